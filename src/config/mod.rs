//! How things are set: flags (which the front end lays over this) > environment > `.pleach.toml` at the top of the
//! checkout > the user's `pleach/config.toml` > defaults.
//!
//! A key in the nearer file replaces the same key in the farther one; `[groups]` does so name by name. What a
//! repository's own file would *run*, or would hand to what runs, is not used before somebody approved it by its
//! content: [`Config::needs_approval`].

pub mod agents;
pub mod env;
mod exec;
pub mod file;
mod lay;
mod notify;
mod place;
mod roles;
pub use crate::core::units;
pub use notify::{DEFAULT_AFTER, Notify};
pub use roles::Roles;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use file::{File, FileError, Wrong};
use lay::Told;

use crate::core::delegate::Delegation;
use crate::core::driver::Driver;
use crate::core::policy::Limits;
use crate::core::provider::WorktreeMode;
use crate::core::sandbox::Policy;
use crate::core::task::{DEFAULT_GRACE, DEFAULT_LOG_CAP, FoldPolicy, LandingHook, Priority, Publish, Setup, Strategy};
use crate::core::verify::Check;

/// The name of a repository's own file, at the top of a checkout.
pub const REPOSITORY_FILE: &str = ".pleach.toml";
/// Seconds that a setup hook may take, where nothing else is said.
pub const DEFAULT_SETUP_TIMEOUT: u64 = 600;
/// Bytes that must stay free, where nothing else is said.
pub const DEFAULT_DISK_FLOOR: u64 = 1 << 30;
/// Bytes of memory that must stay free where nothing else is said: less than this, and the machine begins to swap.
pub const DEFAULT_MEMORY_FLOOR: u64 = 256 << 20;
/// What branches of results start with, where nothing else is said.
pub const DEFAULT_BRANCH_PREFIX: &str = "pleach/";

/// Everything that can be set, set.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// How many tasks run at once.
    pub concurrency: usize,
    /// Wall time of a task, in seconds.
    pub timeout: Option<u64>,
    /// Seconds between the polite and the hard end.
    pub grace: u64,
    /// How many more attempts follow a failed one.
    pub retries: u32,
    /// Bytes of output that are kept.
    pub log_cap: u64,
    /// Who goes first.
    pub priority: Priority,
    /// Variables that tasks inherit although they would not.
    pub env_pass: Sourced<Vec<String>>,
    /// How many tasks of a group run at once.
    pub groups: BTreeMap<String, usize>,
    /// Where worktrees are made, where not in the state directory.
    pub worktree_dir: Option<PathBuf>,
    /// How worktrees are made.
    pub worktree_mode: WorktreeMode,
    /// Does each task get one that no task had before it?
    pub clean: bool,
    /// Ignored files to bring along.
    pub copy: Vec<String>,
    /// What prepares a worktree: a line for `sh -c`.
    pub setup: Sourced<Option<String>>,
    /// Seconds that it may take.
    pub setup_timeout: u64,
    /// What becomes of good results.
    pub fold: FoldPolicy,
    /// How they become part of the target.
    pub strategy: Strategy,
    /// What moves when a result lands.
    pub publish: Publish,
    /// Hooks of git that are asked before a commit of ours lands.
    pub hooks: Sourced<Vec<LandingHook>>,
    /// What a target has to pass before it moves, where something is set up; whose environment it inherits is not said here.
    pub verify: Sourced<Option<Check>>,
    /// What is tried where git finds a conflict, where a check follows.
    pub driver: Sourced<Option<Driver>>,
    /// What branches of results start with.
    pub branch_prefix: String,
    /// Bytes that must stay free on the disk of the worktrees.
    pub disk_floor: u64,
    /// Bytes of memory that must stay free.
    pub memory_floor: u64,
    /// What a task may touch.
    pub sandbox: Policy,
    /// Which roles may be used.
    pub roles: Roles,
    /// Agents that files speak of, beside those that are known beforehand.
    pub agents: agents::Agents,
    /// Who is told when something happens.
    pub notify: Notify,
    /// How far tasks may delegate.
    pub delegate: Delegation,
}

/// A value and who said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Who said it.
    pub from: Origin,
}

/// Who said something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody.
    Default,
    /// The user, in this file.
    User(PathBuf),
    /// The repository, in this file: anybody who can commit to it.
    Repository(PathBuf),
}

/// Something that a repository's own file wants run, or handed to what runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untrusted {
    /// The key: `worktree.setup`.
    pub what: &'static str,
    /// What it says, as it would be run.
    pub text: String,
    /// The file that says so.
    pub file: PathBuf,
    /// The name of this content: approving it approves exactly this text for exactly this key.
    pub hash: String,
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file of it.
    #[error(transparent)]
    File(#[from] FileError),
    /// A variable of it.
    #[error(transparent)]
    Variable(#[from] env::BadVariable),
    /// A value that is well-formed and makes no sense.
    #[error("{0}")]
    Value(Wrong),
    /// More than one of these.
    #[error("{}", words(.0))]
    Several(Vec<ConfigError>),
}

impl ConfigError {
    /// Fail with all of these, where there are any.
    fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }
}

/// Each on a line of its own.
fn words(errors: &[ConfigError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// What can run at once here. To ask for it is to read files.
static PROCESSORS: LazyLock<usize> = LazyLock::new(|| std::thread::available_parallelism().map_or(1, NonZero::get));

impl Default for Config {
    fn default() -> Self {
        Self {
            concurrency: *PROCESSORS,
            timeout: None,
            grace: DEFAULT_GRACE,
            retries: 0,
            log_cap: DEFAULT_LOG_CAP,
            priority: Priority::default(),
            env_pass: Sourced { value: Vec::new(), from: Origin::Default },
            groups: BTreeMap::new(),
            worktree_dir: None,
            worktree_mode: WorktreeMode::default(),
            clean: false,
            copy: Vec::new(),
            setup: Sourced { value: None, from: Origin::Default },
            setup_timeout: DEFAULT_SETUP_TIMEOUT,
            fold: FoldPolicy::default(),
            strategy: Strategy::default(),
            publish: Publish::default(),
            hooks: Sourced { value: Vec::new(), from: Origin::Default },
            verify: Sourced { value: None, from: Origin::Default },
            driver: Sourced { value: None, from: Origin::Default },
            branch_prefix: DEFAULT_BRANCH_PREFIX.to_owned(),
            disk_floor: DEFAULT_DISK_FLOOR,
            memory_floor: DEFAULT_MEMORY_FLOOR,
            sandbox: Policy::default(),
            roles: Roles::default(),
            agents: agents::Agents::new(),
            notify: Notify::default(),
            delegate: Delegation::of_depth(Delegation::DEPTH, Delegation::CHILDREN),
        }
    }
}

impl Config {
    /// The configuration for work in a checkout; `top` is its top directory, none for a bare repository.
    ///
    /// # Errors
    /// Where a file or variable says something that is not allowed. Nothing is ignored in silence.
    /// All of it is told at once.
    pub fn load(top: Option<&Path>) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        let mut errors = Vec::new();
        let repository = top.map(|top| Origin::Repository(top.join(REPOSITORY_FILE)));
        for from in user_file().map(Origin::User).into_iter().chain(repository) {
            let (Origin::User(path) | Origin::Repository(path)) = &from else { continue };
            let laid = File::load(path).map_err(ConfigError::from);
            let laid = laid.and_then(|file| file.map_or(Ok(()), |file| config.lay(file, &from)));
            errors.extend(laid.err());
        }
        match env::concurrency() {
            Ok(said) => set(&mut config.concurrency, said),
            Err(error) => errors.push(error.into()),
        }
        match env::sandbox() {
            Ok(said) => set(&mut config.sandbox.tier, said),
            Err(error) => errors.push(error.into()),
        }
        ConfigError::all(errors).map(|()| config)
    }

    /// What somebody must approve before it is used.
    pub fn needs_approval(&self) -> Vec<Untrusted> {
        let mut found = Vec::new();
        if let (Some(command), Origin::Repository(file)) = (&self.setup.value, &self.setup.from) {
            found.push(Untrusted::new("worktree.setup", command.clone(), file));
        }
        if let (Some(check), Origin::Repository(file)) = (&self.verify.value, &self.verify.from) {
            found.push(Untrusted::new("verify", commands(check), file));
        }
        if let (Some(driver), Origin::Repository(file)) = (&self.driver.value, &self.driver.from) {
            found.push(Untrusted::new("merge.driver", driver.command.clone(), file));
        }
        if let (hooks, Origin::Repository(file)) = (&self.hooks.value, &self.hooks.from)
            && !hooks.is_empty()
        {
            let names: Vec<&str> = hooks.iter().map(|hook| hook.as_str()).collect();
            found.push(Untrusted::new("fold.hooks", names.join(" "), file));
        }
        if let (names, Origin::Repository(file)) = (&self.env_pass.value, &self.env_pass.from)
            && !names.is_empty()
        {
            found.push(Untrusted::new("run.env_pass", names.join(" "), file));
        }
        found.extend(agents::untrusted(&self.agents));
        found
    }

    /// The setup hook, frozen. Whether it may run is for [`Config::needs_approval`] to say first.
    pub fn setup_hook(&self) -> Option<Setup> {
        self.setup.value.clone().map(|command| Setup { command, timeout: self.setup_timeout })
    }

    /// How much may happen at once.
    pub fn limits(&self) -> Limits {
        let cores = *PROCESSORS;
        let (disk_floor, memory_floor) = (self.disk_floor, self.memory_floor);
        Limits { tasks: self.concurrency, groups: self.groups.clone(), cores, disk_floor, memory_floor }
    }

    /// Lay what a file says over what was said before.
    fn lay(&mut self, file: File, from: &Origin) -> Result<(), ConfigError> {
        let File {
            run,
            groups,
            worktree,
            fold,
            verify,
            merge,
            branch,
            limits,
            sandbox,
            roles,
            agents,
            notify,
            delegate,
            at,
        } = file;
        let told = &mut Told::new(from, at);
        set(&mut self.concurrency, run.concurrency.map(|number| number.0));
        if run.timeout.as_ref().is_some_and(|timeout| timeout.0 == 0) {
            told.refuse("run.timeout", "run.timeout must be above 0; leave it out for no limit");
        }
        set(&mut self.timeout, run.timeout.map(|timeout| Some(timeout.0)));
        set(&mut self.grace, run.grace.map(|grace| grace.0));
        set(&mut self.retries, run.retries);
        set(&mut self.log_cap, run.log_cap.map(|cap| cap.0));
        set(&mut self.priority, run.priority.map(|priority| priority.0));
        set(&mut self.env_pass, run.env_pass.map(|value| Sourced { value, from: from.clone() }));
        self.groups.extend(groups.into_iter().map(|(name, limit)| (name, limit.0)));
        if let Some(dir) = worktree.dir {
            set(&mut self.worktree_dir, lay::worktree_dir(dir, told).map(Some));
        }
        set(&mut self.worktree_mode, worktree.mode.map(|mode| mode.0));
        set(&mut self.clean, worktree.clean);
        set(&mut self.copy, worktree.copy);
        if let Some(command) = worktree.setup {
            // An empty one takes back what a farther file said.
            let value = Some(command).filter(|command| !command.trim().is_empty());
            self.setup = Sourced { value, from: from.clone() };
        }
        set(&mut self.setup_timeout, worktree.setup_timeout.map(|timeout| timeout.0));
        set(&mut self.fold, fold.policy.map(|policy| policy.0));
        set(&mut self.strategy, fold.strategy.map(|strategy| strategy.0));
        set(&mut self.publish, fold.publish.map(|publish| publish.0));
        if let Some(hooks) = fold.hooks {
            self.hooks = Sourced { value: hooks.into_iter().map(|hook| hook.0).collect(), from: from.clone() };
        }
        if let Some(check) = lay::check(verify, self.verify.value.as_ref(), told) {
            self.verify = check;
        }
        if let Some(driver) = lay::driver(merge, self.driver.value.as_ref(), told) {
            self.driver = driver;
        }
        if let Some(prefix) = branch.prefix {
            set(&mut self.branch_prefix, lay::branch_prefix(prefix, told));
        }
        set(&mut self.disk_floor, limits.disk_floor.map(|floor| floor.0));
        set(&mut self.memory_floor, limits.memory_floor.map(|floor| floor.0));
        lay::sandbox(&mut self.sandbox, sandbox, told);
        roles::lay(&mut self.roles, roles, told);
        agents::lay(&mut self.agents, agents, told);
        notify::lay(&mut self.notify, notify, told);
        lay::delegate(&mut self.delegate, &delegate, told);
        told.end()
    }
}

impl Untrusted {
    /// The same where it counts in this place only.
    #[must_use]
    pub fn in_place(self, place: &str) -> Self {
        let hash = content_hash(self.what, &format!("{} {place}", self.text));
        Self { hash, ..self }
    }

    /// What a file wants.
    pub fn new(what: &'static str, text: String, file: &Path) -> Self {
        let hash = content_hash(what, &text);
        Self { what, text, file: file.to_owned(), hash }
    }
}

/// The name of a content, as `git hash-object` would give it to the line `<what>: <text>`: stable for as long as git
/// is, collision-detecting, and without a dependency that we do not have already.
fn content_hash(what: &str, text: &str) -> String {
    let content = format!("{what}: {text}\n");
    git2::Oid::hash_object(git2::ObjectType::Blob, content.as_bytes())
        .expect("hashing bytes in memory needs nothing that can fail")
        .to_string()
}

/// All that a check would run.
fn commands(check: &Check) -> String {
    let scopes = check.scopes.iter().map(|scope| &scope.command);
    let all: Vec<&str> = std::iter::once(&check.command)
        .chain(scopes)
        .chain(&check.fingerprint.commands)
        .map(String::as_str)
        .filter(|command| !command.is_empty())
        .collect();
    all.join("\n")
}

fn set<T>(value: &mut T, said: Option<T>) {
    if let Some(said) = said {
        *value = said;
    }
}

fn user_file() -> Option<PathBuf> {
    Some(env::config_home()?.join("pleach").join("config.toml"))
}

#[cfg(test)]
mod tests;
