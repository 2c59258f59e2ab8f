//! One file for each thing that a user can ask for. Every front end calls only these.
//!
//! Readers ([`look`], [`logs`], [`diff`]) replay the journal themselves and never need the coordinator. Whatever changes
//! something goes to the coordinator as a request, which is safe to send again.

pub mod agents;
pub mod approve;
pub mod batch;
pub mod client;
mod consent;
pub mod control;
pub mod demo;
pub mod diff;
pub mod disk;
pub mod doctor;
pub mod draft;
pub mod events;
pub mod fold;
pub mod gc;
pub mod hook;
pub mod init;
pub mod inside;
pub mod logs;
pub mod look;
pub mod monitor;
pub mod plan;
pub mod prompt;
pub mod queue;
pub mod register;
pub mod review;
pub mod roles;
pub mod sandbox;
pub mod send;
pub mod submit;
pub mod tenant;
pub mod token;
pub mod verify;
pub mod wait;

use std::path::{Path, PathBuf};

use crate::config::file::FileError;
use crate::config::{self, Config, ConfigError};
use crate::coordinator::protocol::{Refused, RefusedKind};
pub use crate::core::error_kind::ErrorKind;
use crate::core::id::TaskHandle;
use crate::core::policy::Limits;
use crate::core::state::{Attempt, State, Task};
use crate::core::word::Word;
use crate::git::repository::Discover;
use crate::git::{Found, GitError, Repository};
use crate::store::{Layout, StoreError, journal};

/// Something could not be done. Says what, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What kind of error, for the exit code.
    pub kind: ErrorKind,
    /// What went wrong, without a full stop.
    pub message: String,
    /// The next step.
    pub hint: Option<String>,
}

impl Error {
    /// An error with a next step.
    pub fn new(kind: ErrorKind, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: Some(hint.into()) }
    }

    /// An error whose message says it all.
    pub fn plain(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let message = match &error {
            StoreError::File { source, .. } => format!("{error}: {source}"),
            StoreError::Damaged { .. } | StoreError::Copied { .. } => error.to_string(),
        };
        if let StoreError::Copied { home, .. } = &error {
            let hint = format!("start afresh here: rm -r {}", quoted(home));
            return Self::new(ErrorKind::Repository, message, hint);
        }
        let hint = match &error {
            StoreError::File { source, .. } => hint_for(source.kind()),
            _ => "see what can be mended with `pleach doctor`",
        };
        Self::new(ErrorKind::Error, message, hint)
    }
}

/// A path as one would type it.
fn quoted(path: &Path) -> String {
    let shown = Word::from(path).shown();
    let is_plain = shown.chars().all(|c| c.is_alphanumeric() || "/._-+,:@%".contains(c));
    if is_plain { shown } else { format!("'{}'", shown.replace('\'', "'\\''")) }
}

fn hint_for(kind: std::io::ErrorKind) -> &'static str {
    use std::io::ErrorKind as K;
    match kind {
        K::PermissionDenied | K::ReadOnlyFilesystem | K::NotADirectory | K::AlreadyExists => {
            "pleach must be able to write to the git directory and to its state directory (PLEACH_STATE_DIR)"
        }
        K::StorageFull | K::QuotaExceeded => "make room, for instance with `pleach gc`; nothing was lost",
        _ => "see what can be mended with `pleach doctor`",
    }
}

impl From<GitError> for Error {
    fn from(error: GitError) -> Self {
        Self::new(ErrorKind::Error, error.words(), "see what can be mended with `pleach doctor`")
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        let hint = match &error {
            ConfigError::Variable(variable) => format!("set it so, or take it away: unset {}", variable.name),
            ConfigError::File(FileError::Content(all)) if all.len() > 1 => "mend these lines and try again".to_owned(),
            ConfigError::File(_) | ConfigError::Value(_) => "mend that line and try again".to_owned(),
            ConfigError::Several(_) => "mend each of these and try again".to_owned(),
        };
        Self::new(ErrorKind::Usage, error.to_string(), hint)
    }
}

impl From<Discover> for Error {
    fn from(error: Discover) -> Self {
        let hint = match &error {
            Discover::NotARepository(_) => "go into one, name one with `-C DIR`, or make one with `git init`",
            Discover::Refused { .. } => "`git status` there says the same: mend that first",
            Discover::Git(_) => "is git installed? pleach needs 2.41 or newer",
        };
        Self::new(ErrorKind::Repository, error.to_string(), hint)
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        let kind = match refused.kind {
            RefusedKind::UnknownTask => ErrorKind::UnknownTask,
            RefusedKind::WrongState => ErrorKind::Refused,
            RefusedKind::Inside => ErrorKind::Inside,
            RefusedKind::Internal => ErrorKind::Error,
        };
        Self { kind, message: refused.message, hint: refused.hint }
    }
}

/// A repository in which somebody asks for something.
#[derive(Debug)]
pub struct Session {
    /// What was found from where they stand.
    pub found: Found,
    /// How things are set; as nobody has said anything where that cannot be read.
    config: Config,
    /// Why it cannot be read.
    misconfigured: Option<Error>,
    /// The directory that was named.
    stands: PathBuf,
    layout: Option<Layout>,
    /// Where to ask from inside a task, in the repository of that.
    inside: Option<PathBuf>,
}

impl Session {
    /// Open the repository of a directory.
    ///
    /// # Errors
    /// Where there is none. A configuration that cannot be used is told by [`Session::misconfigured`], and fails only
    /// what needs it: a bad file in the repository must not keep anybody from taking it back.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let found = Repository::discover(dir)?;
        let layout = Layout::find(found.repository.common_dir())?;
        let top = found.checkout.as_ref().map(|checkout| checkout.top.as_path());
        let (config, misconfigured) = match Config::load(top) {
            Ok(config) => (config, None),
            Err(error) => (Config::default(), Some(error.into())),
        };
        let inside = inside::socket(&found);
        let mut session = Self { found, config, misconfigured, stands: dir.to_owned(), layout, inside };
        if session.is_inside() {
            return Ok(session);
        }
        let mut policy = std::mem::take(&mut session.config.sandbox);
        consent::fill(&mut policy, &session);
        session.config.sandbox = policy;
        Ok(session)
    }

    /// How things are set.
    ///
    /// # Errors
    /// Where that cannot be read.
    pub fn config(&self) -> Result<&Config, Error> {
        self.misconfigured.clone().map_or(Ok(&self.config), Err)
    }

    /// How much may happen at once, as far as that can be read.
    pub fn limits(&self) -> Limits {
        self.config.limits()
    }

    /// Is this inside a task, in the repository of that?
    pub fn is_inside(&self) -> bool {
        self.inside.is_some()
    }

    /// Why the configuration cannot be used, where it cannot.
    pub fn misconfigured(&self) -> Option<&Error> {
        self.misconfigured.as_ref()
    }

    /// The repository.
    pub fn repository(&self) -> &Repository {
        &self.found.repository
    }

    /// The paths of this repository, where anything was ever run in it.
    pub fn layout(&self) -> Option<&Layout> {
        self.layout.as_ref()
    }

    /// The paths of this repository; made now, where there are none.
    ///
    /// # Errors
    /// Where they cannot be made.
    pub fn make_layout(&mut self) -> Result<&Layout, Error> {
        inside::require_outside(self, "that")?;
        let layout = Layout::make(self.found.repository.common_dir(), &self.state_root()?)?;
        if let Some(checkout) = &self.found.checkout {
            crate::git::checkout::remember(&self.found.repository, &checkout.top)?;
        }
        Ok(self.layout.insert(layout))
    }

    fn state_root(&self) -> Result<PathBuf, Error> {
        // Where there is one already, it stays where it is.
        if self.layout.is_none() {
            self.config()?;
        }
        let said = config::env::state_dir().or_else(|| self.config.worktree_dir.clone());
        said.or_else(|| config::env::state_home().map(|home| home.join("pleach"))).ok_or_else(|| {
            Error::new(ErrorKind::Error, "there is no home directory to keep state in", "set PLEACH_STATE_DIR")
        })
    }

    /// All tasks, as they are written down now.
    ///
    /// # Errors
    /// Where the journal is damaged or cannot be read. Inside a task, where the outside does not answer.
    pub fn state(&self) -> Result<State, Error> {
        if let Some(socket) = &self.inside {
            return client::Client::inside(socket)?.state();
        }
        Ok(self.layout.as_ref().map(journal::load).transpose()?.unwrap_or_default())
    }

    /// A connection to the coordinator, which is started if there is none.
    ///
    /// # Errors
    /// Where none comes up.
    pub fn coordinator(&mut self) -> Result<client::Client, Error> {
        if let Some(socket) = &self.inside {
            return client::Client::inside(socket);
        }
        let layout = self.make_layout()?.clone();
        client::Client::new(layout, self.found.repository.common_dir())
    }

    /// Start a coordinator where there is work and nobody does it: after a crash or a reboot any look sets things
    /// going again. Looking must not fail for that.
    pub fn wake(&mut self, state: &State) {
        if state.has_work()
            && let Some(layout) = &self.layout
        {
            client::nudge(layout, self.found.repository.common_dir());
        }
    }
}

/// The tasks that somebody means, in their order, each once.
///
/// # Errors
/// Where there is no such task.
pub fn find<'a>(state: &'a State, handles: &[TaskHandle]) -> Result<Vec<&'a Task>, Error> {
    let mut tasks: Vec<&Task> = Vec::new();
    for handle in handles {
        let task = state.find(handle).ok_or_else(|| {
            let message = format!("there is no task {handle}");
            Error::new(ErrorKind::UnknownTask, message, meant_by(state, &handle.to_string()))
        })?;
        if !tasks.iter().any(|known| known.id == task.id) {
            tasks.push(task);
        }
    }
    Ok(tasks)
}

/// What to say of a name that no task has: in a plan it may be that of several.
fn meant_by(state: &State, name: &str) -> String {
    let is_of = |task: &&Task| task.spec.member.as_ref().is_some_and(|member| member.task == name);
    let names: Vec<String> =
        state.tasks().filter(is_of).filter_map(|task| Some(task.spec.name.as_ref()?.to_string())).collect();
    match &names[..] {
        [] => "see all tasks with `pleach ls --all`".to_owned(),
        [first, .., last] => format!("in a plan that is the name of several: {first} to {last}; see `pleach ls --all`"),
        [one] => format!("in a plan that is the name of {one}"),
    }
}

/// The attempt of a task that somebody named by its number.
///
/// # Errors
/// Where it has none of that number.
pub(crate) fn find_attempt(task: &Task, number: u32) -> Result<&Attempt, Error> {
    task.attempt(number).ok_or_else(|| {
        let message = format!("task {} has no attempt {number}", task.id);
        Error::new(ErrorKind::Refused, message, format!("see those that it has with `pleach status {}`", task.id))
    })
}
