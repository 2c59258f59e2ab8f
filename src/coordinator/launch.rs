//! Bringing an attempt up: pin the base, make the worktree and the private repository, write the spec, start the shim.
//!
//! `spec.json` is the line between the two halves. Before it is there, everything is made again or completed; once it is
//! there, a shim may be on its way, and the files are no longer ours to touch.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use super::needs::Need;
use super::{World, base_pin, images, landing, log, needs, slots, told, trash};
use crate::core::id::{AttemptId, CommitId};
use crate::core::outcome::Outcome;
use crate::core::provider::{Provider, WorktreeMode};
use crate::core::sandbox::Warning;
use crate::core::state::{Task, TaskState};
use crate::core::word::Word;
use crate::git::place::{self, FillError, Order, Under};
use crate::git::refs::{RefChange, Swap};
use crate::git::{GitError, modules, private, worktree};
use crate::process::{crash, daemon};
use crate::shim;
use crate::store::layout::{AttemptDir, SlotDir};
use crate::store::record::{self, Spec};
use crate::store::{Durable, Layout, StoreError, election, environment};

/// An attempt could not be brought up.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaunchError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("its base cannot be pinned: {0}")]
    Unpinned(String),
    #[error("its supervisor died at once")]
    Died,
    #[error("{0}")]
    Refused(String),
}

/// How long before an attempt that did not come up is tried again, and then again. Each step of it may be done twice,
/// and what fails may be somebody else's doing: a killed git, a lock held for a moment.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(200)];
/// The same where its base cannot be pinned: a lock that a killed git left there goes when it is old enough.
const LONG_PAUSES: [Duration; 8] = [Duration::from_millis(500); 8];

impl LaunchError {
    fn words(&self) -> String {
        match self {
            Self::Git(error) => error.words(),
            Self::Store(StoreError::File { source, .. }) => format!("{self}: {source}"),
            Self::Store(_) | Self::Unpinned(_) | Self::Died | Self::Refused(_) => self.to_string(),
        }
    }
}

/// Bring it up. The answer is the shim, where it is our child.
///
/// # Errors
/// Where that fails time and again: how the attempt has ended by that.
pub(super) fn launch(
    world: &World,
    task: &Task,
    attempt: AttemptId,
    base: CommitId,
    needs: &[Need],
    disk_floor: u64,
) -> Result<Option<Child>, Outcome> {
    let bring_up =
        || prepare(world, task, attempt, base, needs, disk_floor).and_then(|()| spawn(world, attempt, shim::SHIM));
    let mut up = bring_up();
    let mut tries = 0;
    while let Err(error) = &up {
        let pauses: &[Duration] = if matches!(error, LaunchError::Unpinned(_)) { &LONG_PAUSES } else { &PAUSES };
        let Some(pause) = pauses.get(tries) else { break };
        log(&format!("attempt {attempt} does not come up, next try in {pause:?}: {}", error.words()));
        std::thread::sleep(*pause);
        tries += 1;
        up = bring_up();
    }
    up.map_err(|error| match error {
        // Somebody kills what supervises it, as it may happen later, too: it may run again where it may then.
        LaunchError::Died => Outcome::Lost { cause: format!("{error}, time and again") },
        _ => Outcome::CouldNotStart { reason: error.words() },
    })
}

fn prepare(
    world: &World,
    task: &Task,
    attempt: AttemptId,
    base: CommitId,
    needs: &[Need],
    disk_floor: u64,
) -> Result<(), LaunchError> {
    let dir = world.layout.attempt(attempt);
    if has_spec(&dir)? {
        return Ok(());
    }
    for path in [&dir.0, &dir.tmp()] {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(StoreError::file("make directory", path))?;
    }
    let pin = RefChange::Set(base_pin(attempt), base);
    if let Swap::Refused(words) = world.refs.update(&[pin], "pleach: pin the base")? {
        return Err(LaunchError::Unpinned(words));
    }
    crash::point("launch.pinned");
    let slot = slots::lease(world, task, attempt)?;
    let place = world.place(attempt);
    let reason = format!("pleach task {}", label(task));
    {
        let lock = worktree::WorktreeLock::acquire(&world.repository)?;
        match &slot {
            Some(_) => {
                worktree::adopt(&world.repository, &lock, &place.worktree, base, &reason, &world.layout.trash())?
            }
            None => worktree::register(&world.repository, &lock, &place.worktree, base, &reason)?,
        }
    }
    crash::point("launch.registered");
    let branch = world.branch(task).0;
    let from = task.spec.checkout.as_ref().and_then(|checkout| git_dir_of(checkout.as_path()));
    let private = private::Private { base, branch };
    private::create(&world.repository, &place.private, &private, from.as_deref())?;
    leave_out(task, &place.private)?;
    let provider = fill(world, task, &place, base, slot.as_ref(), &dir.overlay())?;
    // There is nothing of it outside.
    if provider != Provider::Overlay {
        private::give_index(&world.repository, &place)?;
    }
    let paths = modules::fill(&world.repository, &place, from.as_deref())?;
    let mut warnings = if paths.is_empty() { Vec::new() } else { vec![Warning::EmptySubmodules { paths }] };
    warnings.extend(task.spec.agent.as_deref().and_then(|agent| Warning::untold(agent, &task.spec.sandbox)));
    super::provision::bring(task, &place, provider, &world.layout.trash())?;
    super::handback::bring(world, task, attempt, base)?;
    told::setup(world, task, attempt, base, &dir)?;
    let command = needs::bring(world, task, attempt, needs)?;
    crash::point("launch.checked_out");
    let spec =
        Spec { command, disk_floor, warnings, provider: Some(provider), ..spec(world, task, attempt, base, &dir)? };
    record::save(&dir.spec(), &spec, Durable::No)?;
    crash::point("launch.spec_written");
    Ok(())
}

/// Bring the files of the base to the place. What was there before is thrown away where it is in doubt.
fn fill(
    world: &World,
    task: &Task,
    place: &worktree::Place,
    base: CommitId,
    slot: Option<&SlotDir>,
    overlay: &Path,
) -> Result<Provider, LaunchError> {
    let trash_dir = world.layout.trash();
    let images = images::of(world, task)?;
    // Nothing has run in what an earlier try left.
    for path in [overlay.to_owned(), overlay.with_extension("new")] {
        trash::throw(&path, &trash_dir)?;
    }
    let under = Under { dir: overlay, alone: &world.leasing };
    let order = Order {
        repo: &world.repository,
        place,
        base,
        mode: task.spec.worktree,
        slot: slot.map(|slot| slot.dir.as_path()),
        trash: &trash_dir,
        images,
        overlay: Some(under).filter(|_| task.spec.worktree == WorktreeMode::Overlay),
        backdate: task.spec.copy.is_empty() && !super::provision::has_patterns(task),
        at: &crash::point,
    };
    match place::fill(&order) {
        Ok(provider) => Ok(provider),
        Err(FillError::Git(error)) => Err(error.into()),
        Err(FillError::Unfit(words)) => {
            log(&format!("{} is thrown away: {words}", place.worktree.display()));
            trash::throw(&place.worktree, &trash_dir)?;
            crate::store::make_dir(&place.worktree)?;
            worktree::lead_outside(&world.repository, place)?;
            // In the way in which least can go wrong.
            match place::fill(&Order { images: None, ..order }) {
                Ok(provider) => Ok(provider),
                Err(FillError::Git(error)) => Err(error.into()),
                Err(FillError::Unfit(words)) => Err(LaunchError::Refused(words)),
            }
        }
    }
}

/// What its agent leaves that is no result is ignored: by the agent's git, and by what commits what is left.
fn leave_out(task: &Task, private: &Path) -> Result<(), LaunchError> {
    let patterns = task.spec.agent.as_ref().map(|assigned| assigned.agent.leftovers.join("\n")).unwrap_or_default();
    if patterns.is_empty() {
        return Ok(());
    }
    let path = private.join("info/exclude");
    let before = crate::store::read(&path)?.unwrap_or_default();
    let added = format!("\n# Left by its agent.\n{patterns}\n");
    if !before.ends_with(added.as_bytes()) {
        crate::store::replace_with(&path, &[&before[..], added.as_bytes()].concat(), Durable::No)?;
    }
    Ok(())
}

/// Is it there, and whole? A power cut may have torn it; all that it says is known to us.
fn has_spec(dir: &AttemptDir) -> Result<bool, StoreError> {
    match record::load::<Spec>(&dir.spec()) {
        Ok(spec) => Ok(spec.is_some()),
        Err(StoreError::Damaged { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The git directory of a checkout of the user, whose sparse patterns count; none where it is gone.
fn git_dir_of(checkout: &Path) -> Option<PathBuf> {
    let link = checkout.join(".git");
    if link.is_dir() {
        return Some(link);
    }
    let text = std::fs::read(link).ok()?;
    let path = text.strip_prefix(b"gitdir: ")?;
    Some(checkout.join(Word::from(path.trim_ascii_end().to_vec()).as_path()))
}

/// What the task is called in lists of git.
fn label(task: &Task) -> String {
    match &task.spec.name {
        Some(name) => format!("{} ({name})", task.id),
        None => task.id.to_string(),
    }
}

fn spec(world: &World, task: &Task, attempt: AttemptId, base: CommitId, dir: &AttemptDir) -> Result<Spec, StoreError> {
    let inherited = task.spec.environment.as_deref().map(|name| environment::find(&world.layout, name));
    let mut variables: BTreeMap<String, Word> = inherited.transpose()?.unwrap_or_default();
    if let Some(assigned) = &task.spec.agent {
        variables.extend(assigned.variables().map(|(name, value)| (name, value.as_str().into())));
    }
    variables.extend(task.spec.env.clone());
    let own = [
        ("PLEACH_TASK", Word::from(attempt.task.to_string())),
        ("PLEACH_ATTEMPT", attempt.to_string().into()),
        ("PLEACH_SOCKET", dir.inbox().into()),
        ("PLEACH_DEPTH", (task.spec.depth + 1).to_string().into()),
        ("TMPDIR", dir.tmp().into()),
        // Nobody is there to answer an editor or to leaf through a pager.
        ("CI", "1".into()),
        ("EDITOR", "true".into()),
        ("VISUAL", "true".into()),
        ("PAGER", "cat".into()),
    ];
    let explicit = &task.spec.env;
    let own = own.into_iter().chain(super::handback::variables(world, task, attempt));
    let own = own.chain(needs::variables(task, dir)).chain(task.spec.setup.as_ref().map(|_| told::variable(dir)));
    variables.extend(own.filter(|(name, _)| !explicit.contains_key(*name)).map(|(n, v)| (n.to_owned(), v)));
    let message = task.spec.message.clone().unwrap_or_else(|| landing::subject(task));
    Ok(Spec {
        attempt,
        repository: world.repository.common_dir().into(),
        worktree: world.layout.worktree(attempt).into(),
        base,
        directory: task.spec.directory.clone(),
        command: task.spec.command.clone(),
        environment: variables,
        secrets: task.spec.secrets.clone(),
        keep_secrets: attempt.number <= task.spec.retries,
        setup: task.spec.setup.clone(),
        timeout: task.spec.timeout,
        grace: task.spec.grace,
        log_cap: task.spec.log_cap,
        message: format!("{}\n\nPleach-Task: {attempt}\n", message.trim_end()),
        candidate: None,
        // Only who runs it must know.
        disk_floor: 0,
        warnings: Vec::new(),
        provider: None,
        slot_lock: world.layout.slot_of(attempt).map(|slot| slot.lock().into()),
        checkout: task.spec.checkout.clone(),
        called: task.spec.called.clone(),
        sandbox: task.spec.sandbox.clone(),
        agent: task.spec.agent.clone(),
        tenant: task.spec.tenant.clone(),
    })
}

/// Start a shim, and wait until it holds its lock.
fn spawn(world: &World, attempt: AttemptId, role: &str) -> Result<Option<Child>, LaunchError> {
    let dir = world.layout.attempt(attempt);
    let log = world.layout.coordinator_log();
    let started = daemon::start(&[role.as_ref(), dir.0.as_os_str()], &log, Stdio::piped());
    let mut child = started.map_err(StoreError::file("start the shim of", &dir.0))?;
    crash::point("launch.spawned");
    let mut words = String::new();
    if let Some(pipe) = child.stdout.take() {
        // An end without words is told by the exit code below.
        let _ = BufReader::new(pipe).read_line(&mut words);
    }
    if words == shim::UP {
        return Ok(Some(child));
    }
    let _ = child.wait();
    match words.trim() {
        // It was killed after it had taken the attempt: what is seen of it now decides (it is salvaged).
        "" if dir.run().exists() => Ok(None),
        "" => Err(LaunchError::Died),
        words => Err(LaunchError::Refused(words.to_owned())),
    }
}

/// Start the shim of a run that verifies a candidate.
///
/// # Errors
/// Where it does not come up: why, in words.
pub(super) fn spawn_shim(world: &World, attempt: AttemptId) -> Result<Option<Child>, String> {
    spawn(world, attempt, shim::SHIM).map_err(|error| error.words())
}

/// The shim of a run is dead: let another end what it left running.
///
/// # Errors
/// Where it cannot be started.
pub(super) fn salvage_run(world: &World, attempt: AttemptId) -> Result<(), String> {
    let dir = world.layout.attempt(attempt);
    let args = [shim::SALVAGE.as_ref(), dir.0.as_os_str(), shim::HURRY.as_ref()];
    save(&world.layout, &args, &dir, attempt)
}

/// The shim is dead: let another save what it left, and wait for that.
///
/// # Errors
/// Where it cannot be started; what the dead one left is then still there.
pub(super) fn salvage(world: &World, task: &Task, attempt: AttemptId, base: CommitId) -> Result<(), String> {
    let dir = world.layout.attempt(attempt);
    let whole = has_spec(&dir).and_then(|whole| match whole {
        true => Ok(()),
        false => record::save(&dir.spec(), &spec(world, task, attempt, base, &dir)?, Durable::No),
    });
    whole.map_err(|error| error.to_string())?;
    let is_hurried = matches!(task.state, TaskState::Running { cancel: Some(true) });
    let args = [shim::SALVAGE.as_ref(), dir.0.as_os_str(), shim::HURRY.as_ref()];
    save(&world.layout, &args[..if is_hurried { 3 } else { 2 }], &dir, attempt)
}

/// The files of this attempt could not be saved when it ended: let a shim try it once more.
///
/// # Errors
/// Where it cannot be started. Whether it could save them now is told by its record.
pub(super) fn save_again(world: &World, task: &Task, attempt: AttemptId) -> Result<(), String> {
    let dir = world.layout.attempt(attempt);
    let base = task.attempt(attempt.number).and_then(|attempt| attempt.base).ok_or("it had no base")?;
    // The repository may have moved since.
    let spec = spec(world, task, attempt, base, &dir).and_then(|spec| record::save(&dir.spec(), &spec, Durable::No));
    spec.map_err(|error| error.to_string())?;
    save(&world.layout, &[shim::SALVAGE.as_ref(), dir.0.as_os_str(), shim::AGAIN.as_ref()], &dir, attempt)
}

fn save(layout: &Layout, args: &[&OsStr], dir: &AttemptDir, attempt: AttemptId) -> Result<(), String> {
    let started = daemon::start(args, &layout.coordinator_log(), Stdio::null());
    let mut child = started.map_err(|error| error.to_string())?;
    let ended = child.wait().map_err(|error| error.to_string())?;
    if dir.exit().exists() { Ok(()) } else { Err(format!("the salvage of attempt {attempt} ended with {ended}")) }
}

/// Claim an attempt for nobody, so that no shim which is still on its way runs it.
/// `false` where one was faster.
///
/// # Errors
/// Where its directory cannot be written.
pub(super) fn claim(world: &World, attempt: AttemptId) -> Result<bool, StoreError> {
    let dir = world.layout.attempt(attempt);
    crate::store::make_dir(&dir.0)?;
    let won = election::while_held(&dir.lock(), || -> Result<bool, StoreError> {
        if let Some(run) = record::load::<record::Run>(&dir.run())? {
            return Ok(run.is_nobody());
        }
        let nobody = record::Run { shim: 0, started: crate::process::clock::now() };
        record::save(&dir.run(), &nobody, Durable::Yes)?;
        Ok(true)
    })?;
    won.unwrap_or(Ok(false))
}
