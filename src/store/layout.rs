//! Every path that we write.
//!
//! Two homes. `<common git dir>/pleach` holds what belongs to the repository: the journal and the locks. The
//! user's state directory holds what is large or short-lived: worktrees, private repositories, logs.
//!
//! ```text
//! <common git dir>/pleach/
//!     journal.jsonl  snapshot.jsonl  lock  socket  fold.lock  worktree.lock  place.json
//! <state dir>/<repository>-<hash>/
//!     worktrees/pleach-7.1/        the files of attempt 7.1, where it has no slot
//!     attempts/7.1/                spec.json lock run.json ended.json exit.json progress.json result.pack
//!                                  sandbox.json network.json common (leads to the repository)
//!                                  lead (the `.git` that its worktree has for its task)
//!                                  overlay/ (what it wrote, over the image that a link in it names)
//!                                  git/ (private repository)  log/ (output)  tmp/ (its TMPDIR)
//!                                  handback/ (what it is told: of an earlier result, of its needs, its prompt)
//!     attempts/0.3/                the same of run 3 of a check
//!     slots/2/                     lease (leads to its attempt) lock seal and seal.json, and the files: pleach-slot-2/
//!     pool/1/                      tree/ and git/ of a worktree that candidates are verified in
//!     secrets/<task>.json (until they are not needed any more)
//!     reviews/7.1.json             what was said of a result and is not carried out yet
//!     environments/<hash>.json     trash/     coordinator.log     foreseen.json (conflicts to come)
//! ```

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{StoreError, create, make_dir, read, replace};
use crate::core::id::{AttemptId, TaskId};
use crate::core::word::Word;

/// The file beside the state of all repositories that says which tier of the sandbox works here.
const WORKS: &str = "sandbox-works";

/// The paths of one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// `<common git dir>/pleach`.
    pub home: PathBuf,
    /// `<state dir>/<repository>-<hash>`.
    pub state: PathBuf,
}

/// Where the state of this repository is, and whose it is.
#[derive(Debug, Serialize, Deserialize)]
struct Place {
    /// The common git directory that it was made for: a copied repository must not share it.
    repository: Word,
    state: Word,
}

impl Layout {
    /// The layout of a repository that has one already; `None` where nothing was ever run in it.
    ///
    /// # Errors
    /// Where the file that says so is damaged or cannot be read.
    pub fn find(common_dir: &Path) -> Result<Option<Self>, StoreError> {
        let home = common_dir.join("pleach");
        let file = home.join("place.json");
        let Some(bytes) = read(&file)? else { return Ok(None) };
        let place: Place = serde_json::from_slice(&bytes).map_err(|error| StoreError::Damaged {
            path: file.clone(),
            line: error.line(),
            why: error.to_string(),
        })?;
        let recorded = place.repository.as_path();
        if recorded != common_dir && is_another(&recorded.join("pleach/place.json"), &file, &place) {
            return Err(StoreError::Copied { original: recorded.to_owned(), home });
        }
        Ok(Some(Self { home, state: place.state.as_path().to_owned() }))
    }

    /// The layout of a repository; made, where it has none. Its state directory is its own: one that is there already
    /// belonged to a repository that was at this path before, and what lies in it has the same numbers as our tasks.
    ///
    /// # Errors
    /// Where directories cannot be made.
    pub fn make(common_dir: &Path, state_root: &Path) -> Result<Self, StoreError> {
        if let Some(layout) = Self::find(common_dir)? {
            layout.make_dirs()?;
            layout.settle(common_dir)?;
            return Ok(layout);
        }
        let home = common_dir.join("pleach");
        make_dir(&home)?;
        let state = make_own(state_root, &directory_name(common_dir))?;
        let place = Place { repository: common_dir.into(), state: state.as_path().into() };
        let bytes = serde_json::to_vec(&place).expect("a struct of strings is JSON");
        if !create(&home.join("place.json"), &bytes)? {
            // Somebody was faster: theirs counts, and ours is empty.
            let _ = fs::remove_dir(&state);
        }
        let lost = || StoreError::file("find", home.join("place.json"))(io::ErrorKind::NotFound.into());
        let layout = Self::find(common_dir)?.ok_or_else(lost)?;
        layout.make_dirs()?;
        Ok(layout)
    }

    /// Where the repository was moved, its record follows: a copy of it that is made later is known by that.
    fn settle(&self, common_dir: &Path) -> Result<(), StoreError> {
        let file = self.home.join("place.json");
        let place = read(&file)?.and_then(|bytes| serde_json::from_slice::<Place>(&bytes).ok());
        match place {
            Some(place) if place.repository.as_path() != common_dir && !is_there(&place) => {
                let place = Place { repository: common_dir.into(), ..place };
                replace(&file, &serde_json::to_vec(&place).expect("a struct of strings is JSON"))
            }
            _ => Ok(()),
        }
    }

    fn make_dirs(&self) -> Result<(), StoreError> {
        for dir in ["worktrees", "slots", "attempts", "environments", "trash"] {
            make_dir(&self.state.join(dir))?;
        }
        Ok(())
    }

    /// The journal.
    pub fn journal(&self) -> PathBuf {
        self.home.join("journal.jsonl")
    }

    /// The compacted past of the journal.
    pub fn snapshot(&self) -> PathBuf {
        self.home.join("snapshot.jsonl")
    }

    /// Whoever holds this lock is the coordinator.
    pub fn lock(&self) -> PathBuf {
        self.home.join("lock")
    }

    /// Where the coordinator listens.
    pub fn socket(&self) -> PathBuf {
        self.home.join("socket")
    }

    /// What the coordinator had to say.
    pub fn coordinator_log(&self) -> PathBuf {
        self.state.join("coordinator.log")
    }

    /// The conflicts that were foreseen last.
    pub fn foreseen(&self) -> PathBuf {
        self.state.join("foreseen.json")
    }

    /// What somebody said of results and has not carried out yet.
    pub fn drafts(&self) -> PathBuf {
        self.state.join("reviews")
    }

    /// What somebody said of the result of an attempt and has not carried out yet.
    pub fn draft(&self, attempt: AttemptId) -> PathBuf {
        self.drafts().join(format!("{attempt}.json"))
    }

    /// Where removed directories wait for their end.
    pub fn trash(&self) -> PathBuf {
        self.state.join("trash")
    }

    /// Where it is written down which tier of the sandbox works on this machine, for all repositories.
    pub fn works(&self) -> Option<PathBuf> {
        Some(self.state.parent()?.join(WORKS))
    }

    /// Where the values of secrets are, of each task that may still need them.
    pub fn secrets(&self) -> PathBuf {
        self.state.join("secrets")
    }

    /// Those of this task.
    pub fn secrets_of(&self, task: TaskId) -> PathBuf {
        self.secrets().join(format!("{task}.json"))
    }

    /// The stored environment of this hash.
    pub fn environment(&self, hash: &str) -> PathBuf {
        self.state.join("environments").join(format!("{hash}.json"))
    }

    /// The files of an attempt: in the slot that it has, or in a directory of its own.
    pub fn worktree(&self, attempt: AttemptId) -> PathBuf {
        match self.slot_of(attempt) {
            Some(slot) => slot.tree(),
            None => self.state.join("worktrees").join(format!("pleach-{attempt}")),
        }
    }

    /// The slot that an attempt has: each of the two names the other.
    pub fn slot_of(&self, attempt: AttemptId) -> Option<SlotDir> {
        self.slot_named_by(attempt).filter(|slot| slot.lessee() == Some(attempt))
    }

    /// The slot that an attempt names, whether or not that one names it.
    pub fn slot_named_by(&self, attempt: AttemptId) -> Option<SlotDir> {
        let number = fs::read_link(self.attempt(attempt).place()).ok()?;
        Some(SlotDir { number: number.to_str()?.parse().ok()?, dir: self.slots().join(number) })
    }

    /// Where the slots are.
    pub fn slots(&self) -> PathBuf {
        self.state.join("slots")
    }

    /// Where the base images are.
    pub fn images(&self) -> PathBuf {
        self.state.join("images")
    }

    /// All slots, by number.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub fn all_slots(&self) -> Result<Vec<SlotDir>, StoreError> {
        let dir = self.slots();
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(StoreError::file("read directory", &dir))?,
        };
        let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let mut slots: Vec<SlotDir> = numbers.map(|number| self.slot_numbered(number)).collect();
        slots.sort_by_key(|slot| slot.number);
        Ok(slots)
    }

    /// The slot of this number.
    pub fn slot_numbered(&self, number: u32) -> SlotDir {
        SlotDir { number, dir: self.slots().join(number.to_string()) }
    }

    /// Everything else of an attempt.
    pub fn attempt(&self, attempt: AttemptId) -> AttemptDir {
        AttemptDir(self.state.join("attempts").join(attempt.to_string()))
    }

    /// A pooled worktree for candidates: its files, and its git directory.
    pub fn slot(&self, number: u32) -> (PathBuf, PathBuf) {
        let dir = self.state.join("pool").join(number.to_string());
        (dir.join("tree"), dir.join("git"))
    }

    /// Where all attempts have their directories.
    pub fn all_attempts(&self) -> PathBuf {
        self.state.join("attempts")
    }

    /// The attempts that have a directory.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub fn attempts(&self) -> Result<Vec<AttemptId>, StoreError> {
        let dir = self.all_attempts();
        let entries = fs::read_dir(&dir).map_err(StoreError::file("read directory", &dir))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter_map(|name| name.parse().ok()).collect())
    }
}

/// What a task is served at, beside the socket at which it tells of itself.
pub const ASKS: &str = "asks";
/// A place that is used again: its files, and beside them what we know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotDir {
    /// Its number.
    pub number: u32,
    /// Its directory.
    pub dir: PathBuf,
}

impl SlotDir {
    /// The worktree. Its name is unlike that of any attempt's.
    pub fn tree(&self) -> PathBuf {
        self.dir.join(format!("pleach-slot-{}", self.number))
    }

    /// Held by the shim of the attempt that has it, for as long as it lives.
    pub fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    /// A link to the name of the attempt that has it: made in one step, by one.
    pub fn lease(&self) -> PathBuf {
        self.dir.join("lease")
    }

    /// Who has it.
    pub fn lessee(&self) -> Option<AttemptId> {
        fs::read_link(self.lease()).ok()?.to_str()?.parse().ok()
    }
}

/// The directory of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptDir(pub PathBuf);

impl AttemptDir {
    /// The directory of all attempts of the repository and more.
    fn state(&self) -> &Path {
        self.0.ancestors().nth(2).unwrap_or(&self.0)
    }

    /// As [`Layout::works`].
    pub fn works(&self) -> Option<PathBuf> {
        Some(self.state().parent()?.join(WORKS))
    }

    /// As [`Layout::secrets_of`].
    pub fn secrets_of(&self, task: TaskId) -> PathBuf {
        self.state().join("secrets").join(format!("{task}.json"))
    }

    /// What the shim is to do: written once, by the coordinator.
    pub fn spec(&self) -> PathBuf {
        self.0.join("spec.json")
    }

    /// Held by the shim for as long as it lives.
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// A link to the number of the slot that it has, if it has one.
    pub fn place(&self) -> PathBuf {
        self.0.join("place")
    }

    /// Who the shim is: written once, by the shim, before its task.
    pub fn run(&self) -> PathBuf {
        self.0.join("run.json")
    }

    /// How far its task is kept to itself: written by the shim when it starts that.
    pub fn held(&self) -> PathBuf {
        self.0.join("sandbox.json")
    }

    /// How its task ended, before its files are saved: of no more use once [`AttemptDir::exit`] is there.
    pub fn ended(&self) -> PathBuf {
        self.0.join("ended.json")
    }

    /// How it ended: written once, by the shim.
    pub fn exit(&self) -> PathBuf {
        self.0.join("exit.json")
    }

    /// Room for the two above on a full disk, while the attempt runs.
    pub fn reserve(&self) -> PathBuf {
        self.0.join("reserve")
    }

    /// There while its shim waits for room on the disk.
    pub fn no_room(&self) -> PathBuf {
        self.0.join("no-room")
    }

    /// What the task says of its progress.
    pub fn progress(&self) -> PathBuf {
        self.0.join("progress.json")
    }

    /// What it asked of the network, and what was denied, while it runs.
    pub fn network(&self) -> PathBuf {
        self.0.join("network.json")
    }

    /// The exported result.
    pub fn pack(&self) -> PathBuf {
        self.0.join("result.pack")
    }

    /// Where the coordinator speaks to the shim.
    pub fn control(&self) -> PathBuf {
        self.0.join("control")
    }

    /// Where the task speaks to the shim.
    pub fn inbox(&self) -> PathBuf {
        self.0.join("inbox")
    }

    /// Where the task asks for something.
    pub fn asks(&self) -> PathBuf {
        self.inbox().with_file_name(ASKS)
    }

    /// The private repository.
    pub fn git(&self) -> PathBuf {
        self.0.join("git")
    }

    /// What the file `.git` of its worktree is for the task in the full tier.
    pub fn lead(&self) -> PathBuf {
        self.0.join("lead")
    }

    /// The output.
    pub fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    /// What it was given back of an earlier result.
    pub fn handback(&self) -> PathBuf {
        self.0.join("handback")
    }

    /// What it is told of its needs.
    pub fn needs(&self) -> PathBuf {
        self.handback().join("needs")
    }

    /// What a hook is told.
    pub fn hook(&self) -> PathBuf {
        self.handback().join("hook.json")
    }

    /// What its agent is told.
    pub fn prompt(&self) -> PathBuf {
        self.handback().join("prompt.md")
    }

    /// What it wrote, where that lies over a base image; else there is no such directory.
    pub fn overlay(&self) -> PathBuf {
        self.0.join("overlay")
    }

    /// As [`Layout::images`].
    pub fn images(&self) -> PathBuf {
        self.state().join("images")
    }

    /// As [`Layout::trash`].
    pub fn trash(&self) -> PathBuf {
        self.state().join("trash")
    }

    /// Copies of what its agent keeps of itself.
    pub fn agent(&self) -> PathBuf {
        self.0.join("agent")
    }

    /// The temporary directory of the task.
    pub fn tmp(&self) -> PathBuf {
        self.0.join("tmp")
    }
}

/// Is this record also at the place that it names?
fn is_there(place: &Place) -> bool {
    let there = read(&place.repository.as_path().join("pleach/place.json")).ok().flatten();
    let there = there.and_then(|bytes| serde_json::from_slice::<Place>(&bytes).ok());
    there.is_some_and(|there| there.state == place.state)
}

/// Is the repository of this record another one, and not this one under another path (a mount, or moved and then
/// replaced by a new one, which has a state directory of its own)?
fn is_another(theirs: &Path, ours: &Path, place: &Place) -> bool {
    let identity = |path| fs::metadata(path).ok().map(|seen| (seen.dev(), seen.ino()));
    let Some(identity_of_theirs) = identity(theirs) else { return false };
    let record = read(theirs).ok().flatten().and_then(|bytes| serde_json::from_slice::<Place>(&bytes).ok());
    Some(identity_of_theirs) != identity(ours) && record.is_none_or(|theirs| theirs.state == place.state)
}

/// A directory below `root` that nobody has had before: `name`, or `name-2` and so on.
fn make_own(root: &Path, name: &str) -> Result<PathBuf, StoreError> {
    make_dir(root)?;
    for number in 1.. {
        let path = root.join(if number == 1 { name.to_owned() } else { format!("{name}-{number}") });
        // For its user alone: the repository may be so, and a task can leave a program in here that runs as them (setuid).
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(StoreError::file("make directory", path)(error)),
            Ok(()) => return Ok(path),
        }
    }
    unreachable!("there are more numbers than directories")
}

/// `name-hash`: readable, short, and not the same for two repositories.
fn directory_name(common_dir: &Path) -> String {
    let top = match common_dir.file_name() {
        Some(name) if name == ".git" => common_dir.parent().and_then(Path::file_name),
        name => name,
    };
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    let name: String = top.unwrap_or_default().to_string_lossy().chars().take(24).map(plain).collect();
    format!(
        "{}-{:016x}",
        name.trim_start_matches('.'),
        super::environment::hash(common_dir.as_os_str().as_encoded_bytes())
    )
}
