//! What runs git in a directory that a task wrote to: it is done in the sandbox of that task, by this same program.
//!
//! A task may leave a filter or a setting in its git directory that makes git run something. Where it was kept to itself,
//! that must be, too. What it makes git run may also never end: it is a process of its own, which can be ended.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::limits::Bound;
use super::{cage, finish, lead, overlay, verify};
use crate::core::id::CommitId;
use crate::core::sandbox::{Policy, Tier};
use crate::core::word::Word;
use crate::git::GitError;
use crate::process::tool::own_program;
use crate::process::{Tool, crash, supervise};
use crate::sandbox::{Cage, Group, Places, Streams};
use crate::store::layout::AttemptDir;
use crate::store::record::{self, Candidate, Spec, Verified};

/// The hidden name of this program inside.
pub const INSIDE: &str = "__inside";

const SAVE: &str = "save";
const PREPARE: &str = "prepare";
const LOOK: &str = "look";

/// Why it could not be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failed {
    /// In words.
    pub(super) words: String,
    /// For want of room on the disk, which passes.
    pub(super) no_room: bool,
}

impl From<GitError> for Failed {
    fn from(error: GitError) -> Self {
        Self { words: error.words(), no_room: error.is_no_room() }
    }
}

/// What was saved of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Saved {
    pub(super) tip: CommitId,
    pub(super) extras: Vec<(String, CommitId)>,
    pub(super) left_out: Vec<Word>,
    pub(super) notes: Vec<String>,
}

/// Save the files of an attempt that had this tier. A filter of the task may take for ever: `is_over` says of something that
/// has taken so long whether to give it up.
pub(super) fn save(
    dir: &AttemptDir,
    spec: &Spec,
    tier: Option<Tier>,
    is_over: &mut dyn FnMut(Duration) -> bool,
) -> Result<Saved, Failed> {
    // Over an image there is nothing to see outside, whatever has run.
    if let Some(layers) = overlay::layers(dir) {
        let taken_in = layers.take_in(spec.worktree.as_path());
        taken_in.map_err(GitError::file("take in what is in", spec.worktree.as_path()))?;
        lead::during(dir, spec, Tier::Full)?;
        if let Ok(done) = tried(dir, spec, Tier::Full, SAVE, is_over) {
            return done;
        }
        // For want of a mount, or of the image: as a worktree it can still be saved.
        overlay::make_worktree(dir, spec, &layers)?;
    }
    match tier {
        Some(tier) => {
            // It may have been saved in another way before; what a filter writes there would wait for the user.
            lead::during(dir, spec, tier)?;
            call(dir, spec, tier, SAVE, is_over)
        }
        // Nothing of it has run.
        None => Ok(finish::save_files(dir, spec)?),
    }
}

/// Bring a pooled worktree to its candidate. Answers the tracked files that differ all the same.
///
/// What checks of other tiers left in it is not known: it is done in the best tier that works.
pub(super) fn prepare(dir: &AttemptDir, spec: &Spec, candidate: &Candidate) -> Result<Verified, Failed> {
    let policy = policy_of(spec);
    let tiers = spec.sandbox.tiers();
    for tier in tiers.iter().copied().filter(|tier| *tier != Tier::None) {
        // It may have to be made anew, with all that is in it.
        let places = Places { lead: None, ..places(dir, spec) };
        if let Ok(cage) = Cage::prepare(tier, &policy, &places, Group::Own) {
            match ask(dir, spec, &cage, PREPARE, &mut is_late) {
                Err(Asked::Refused) => {}
                Err(Asked::Died(failed) | Asked::Failed(failed)) => return Err(failed),
                Ok(answer) => return answer,
            }
        }
    }
    if !tiers.contains(&Tier::None) {
        let words = "no tier of the sandbox that is enough works here; see `pleach doctor`".to_owned();
        return Err(Failed { words, no_room: false });
    }
    Ok(verify::bring(spec, candidate)?)
}

/// What is there of the candidate after its check.
pub(super) fn look(
    dir: &AttemptDir,
    spec: &Spec,
    candidate: &Candidate,
    tier: Option<Tier>,
) -> Result<Verified, Failed> {
    match caged(tier) {
        Some(tier) => call(dir, spec, tier, LOOK, &mut is_late),
        None => Ok(verify::see(spec, candidate)?),
    }
}

/// What we do there ourselves writes, and needs nobody outside.
fn policy_of(spec: &Spec) -> Policy {
    let (memory, processes) = Bound::policy(spec);
    let network = spec.sandbox.network.without_proxy();
    Policy { read_only: false, network, memory, processes, ..spec.sandbox.clone() }
}

/// Longer than this nothing takes that will ever end.
pub(super) fn is_late(taken: Duration) -> bool {
    taken > Duration::from_secs(30 * 60)
}

fn caged(tier: Option<Tier>) -> Option<Tier> {
    tier.filter(|tier| *tier != Tier::None)
}

enum Asked {
    /// The sandbox does not work here.
    Refused,
    /// It was killed.
    Died(Failed),
    Failed(Failed),
}

fn call<T: DeserializeOwned>(
    dir: &AttemptDir,
    spec: &Spec,
    tier: Tier,
    what: &str,
    is_over: &mut dyn FnMut(Duration) -> bool,
) -> Result<T, Failed> {
    tried(dir, spec, tier, what, is_over).unwrap_or_else(Err)
}

/// As [`call`]; the outer error says that the sandbox does not work here, so that nothing was done.
fn tried<T: DeserializeOwned>(
    dir: &AttemptDir,
    spec: &Spec,
    tier: Tier,
    what: &str,
    is_over: &mut dyn FnMut(Duration) -> bool,
) -> Result<Result<T, Failed>, Failed> {
    let policy = policy_of(spec);
    let failed = |words: String| Failed { words, no_room: false };
    let cage =
        Cage::prepare(tier, &policy, &places(dir, spec), Group::Own).map_err(|refused| failed(refused.to_string()))?;
    let mut pauses = PAUSES.iter();
    loop {
        match (ask(dir, spec, &cage, what, is_over), pauses.next()) {
            (Ok(answer), _) => return Ok(answer),
            (Err(Asked::Died(_)), Some(pause)) => std::thread::sleep(*pause),
            (Err(Asked::Died(why) | Asked::Failed(why)), _) => return Ok(Err(why)),
            (Err(Asked::Refused), _) => {
                return Err(failed(format!("the {tier} tier of the sandbox does not work here any more")));
            }
        }
    }
}

/// How long to wait before it is tried again: it may be killed while we are not, by the kernel that runs out of memory,
/// say, and what it does can be done twice.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

fn ask<T: DeserializeOwned>(
    dir: &AttemptDir,
    spec: &Spec,
    cage: &Cage,
    what: &str,
    is_over: &mut dyn FnMut(Duration) -> bool,
) -> Result<Result<T, Failed>, Asked> {
    let failed = |words: String| Asked::Failed(Failed { words, no_room: false });
    let io_failed = |error: io::Error| failed(error.to_string());
    let program = own_program().map_err(io_failed)?;
    let tool = Tool::new(program).arg(INSIDE).arg(&dir.0).arg(what).dir(home_of(dir, spec));
    let tool = if cage.tier() == Tier::None {
        tool
    } else {
        spec.environment.iter().fold(tool.env_clear(), |tool, (name, value)| tool.env(name, value.as_os_str()))
    };
    // A test kills us in there, too.
    let tool = tool.args(crash::armed());
    let command = tool.into_command();
    let [mut out, mut words] = [tempfile::tempfile().map_err(io_failed)?, tempfile::tempfile().map_err(io_failed)?];
    let streams = || -> io::Result<Streams> {
        let files = [File::open("/dev/null")?, out.try_clone()?, words.try_clone()?];
        Ok(files.map(|file| Some(file.into())))
    };
    let mut bound = Bound::new(spec, cage.tier());
    let group = bound.entry().map_err(io_failed)?;
    let mut is_over = |taken: Duration| bound.is_over() || is_over(taken);
    let mut child = None;
    let start = |command, streams| Ok(child.insert(cage.spawn(command, streams, group)?).id());
    let ended = streams().and_then(|streams| supervise::run_quietly(command, streams, start, &mut is_over));
    let ended = ended.map_err(|error| match cage.refused() {
        Some(_) => Asked::Refused,
        None => io_failed(error),
    })?;
    if let Some(over) = bound.over() {
        return Err(failed(format!(
            "{over}: raise the limit of tasks (`memory` or `processes` in `[sandbox]`), and take over what it left with `pleach restore`"
        )));
    }
    let Some(status) = ended else {
        return Err(failed(format!("{what} took too long, or was given up")));
    };
    let status = child.and_then(|mut child| child.ended()).unwrap_or(status);
    let answer = read_all(&mut out).map_err(io_failed)?;
    serde_json::from_slice(&answer).map_err(|_| {
        let said = read_all(&mut words).unwrap_or_default();
        let words = format!("{what} ended with {status}: {}", String::from_utf8_lossy(&said).trim());
        let failed = Failed { words, no_room: false };
        if status.code().is_none() { Asked::Died(failed) } else { Asked::Failed(failed) }
    })
}

/// All that was written to a file of ours, up to what any answer has.
fn read_all(file: &mut File) -> io::Result<Vec<u8>> {
    const LARGEST: u64 = 64 << 20;
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What is written: all of the attempt, or the pooled worktree with its git directory.
fn home_of(dir: &AttemptDir, spec: &Spec) -> PathBuf {
    let slot = spec.candidate.as_ref().and_then(|candidate| candidate.private.as_path().parent());
    slot.map_or_else(|| dir.0.clone(), Path::to_owned)
}

fn places(dir: &AttemptDir, spec: &Spec) -> Places {
    let home = home_of(dir, spec);
    // It is made by the first that needs it.
    let _ = fs::create_dir_all(&home);
    let worktree = if spec.candidate.is_some() { home.clone() } else { spec.worktree.as_path().to_owned() };
    let (worktree, write) = if worktree.is_dir() { (worktree, vec![home.clone()]) } else { (home.clone(), Vec::new()) };
    let base = cage::places(dir, spec, &home);
    let keep = base.keep.into_iter().chain([spec.repository.as_path().to_owned()]).collect();
    let tmp = base.tmp.filter(|tmp| tmp.is_dir());
    // It reads what it is to do; what we wrote of the attempt is not for a filter to change. What is written later replaces
    // whatever has its name then.
    let records =
        [dir.lock(), dir.run(), dir.held(), dir.ended(), dir.progress(), dir.network(), dir.log(), dir.handback()];
    let records = records.into_iter().filter(|path| fs::symlink_metadata(path).is_ok());
    let show = records.chain([dir.spec(), dir.lead()].into_iter().filter(|path| path.is_file())).collect();
    let run = base.run.into_iter().chain(git_programs(spec)).collect();
    // A filter of the task does not reach past the mount.
    let over = Some(dir.overlay()).filter(|_| base.overlay.is_some());
    let hide = base.hide.into_iter().chain(over).collect();
    Places { run, work: home, worktree, checkout: None, common: None, write, show, tmp, keep, hide, ..base }
}

/// What git is run by, should what may be run be limited.
fn git_programs(spec: &Spec) -> Vec<PathBuf> {
    let path = spec.environment.get("PATH").map(|path| path.as_os_str().to_owned()).unwrap_or_default();
    let git = std::env::split_paths(&path).map(|dir| dir.join("git")).find(|git| git.is_file());
    let parts = ["/usr/lib/git-core", "/usr/libexec/git-core"].map(PathBuf::from);
    git.into_iter().chain(parts).collect()
}

/// Run inside. `args` is what follows the hidden name: the directory of the attempt, what to do, and for tests where the
/// armed crash points are.
pub fn main(args: &[OsString]) -> ExitCode {
    if let Some(points) = args.get(2) {
        crash::arm(PathBuf::from(points));
    }
    let (Some(dir), Some(what)) = (args.first(), args.get(1)) else { return ExitCode::from(2) };
    let dir = AttemptDir(PathBuf::from(dir));
    let Ok(Some(spec)) = record::load::<Spec>(&dir.spec()) else { return ExitCode::from(2) };
    let answer = match (what.to_str(), &spec.candidate) {
        (Some(SAVE), None) => serde_json::to_vec(&finish::save_files(&dir, &spec).map_err(Failed::from)),
        (Some(PREPARE), Some(candidate)) => serde_json::to_vec(&verify::bring(&spec, candidate).map_err(Failed::from)),
        (Some(LOOK), Some(candidate)) => serde_json::to_vec(&verify::see(&spec, candidate).map_err(Failed::from)),
        _ => return ExitCode::from(2),
    };
    let written = answer.map_err(std::io::Error::from).and_then(|bytes| std::io::stdout().write_all(&bytes));
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
