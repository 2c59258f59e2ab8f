//! How things are set: flags (which the front end lays over this) > environment > `.pleach.toml` at the top of the
//! checkout > the user's `pleach/config.toml` > defaults.
//!
//! A key in the nearer file replaces the same key in the farther one; `[groups]` does so name by name. What a
//! repository's own file would *run*, or would hand to what runs, is not used before somebody approved it by its
//! content: [`Config::needs_approval`].

pub mod env;
mod exec;
pub mod file;
mod notify;
pub use crate::core::units;
pub use notify::{DEFAULT_AFTER, Notify};

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use file::{File, FileError};

use crate::core::bytes::Bytes;
use crate::core::driver::{DEFAULT_DRIVER_TIMEOUT, Driver};
use crate::core::policy::Limits;
use crate::core::sandbox::{Home, LEAST_MEMORY, Network, Policy, closer};
use crate::core::task::{DEFAULT_GRACE, DEFAULT_LOG_CAP, FoldPolicy, LandingHook, Priority, Publish, Setup, Strategy};
use crate::core::verify::{Check, Fingerprint, Scope};
use crate::core::word::Word;

/// The name of a repository's own file, at the top of a checkout.
pub const REPOSITORY_FILE: &str = ".pleach.toml";
/// Seconds that a setup hook may take, where nothing else is said.
pub const DEFAULT_SETUP_TIMEOUT: u64 = 600;
/// Bytes that must stay free, where nothing else is said.
pub const DEFAULT_DISK_FLOOR: u64 = 1 << 30;
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
    /// What a task may touch.
    pub sandbox: Policy,
    /// Who is told when something happens.
    pub notify: Notify,
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
    #[error("{}: {what}", .file.display())]
    Value {
        /// Where it stands.
        file: PathBuf,
        /// What is wrong, and what would be right.
        what: String,
    },
}

impl Default for Config {
    fn default() -> Self {
        Self {
            concurrency: std::thread::available_parallelism().map_or(1, NonZero::get),
            timeout: None,
            grace: DEFAULT_GRACE,
            retries: 0,
            log_cap: DEFAULT_LOG_CAP,
            priority: Priority::default(),
            env_pass: Sourced { value: Vec::new(), from: Origin::Default },
            groups: BTreeMap::new(),
            worktree_dir: None,
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
            sandbox: Policy::default(),
            notify: Notify::default(),
        }
    }
}

impl Config {
    /// The configuration for work in a checkout; `top` is its top directory, none for a bare repository.
    ///
    /// # Errors
    /// Where a file or variable says something that is not allowed. Nothing is ignored in silence.
    pub fn load(top: Option<&Path>) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        if let Some(path) = user_file()
            && let Some(file) = File::load(&path)?
        {
            config.lay(file, &Origin::User(path))?;
        }
        if let Some(path) = top.map(|top| top.join(REPOSITORY_FILE))
            && let Some(file) = File::load(&path)?
        {
            config.lay(file, &Origin::Repository(path))?;
        }
        if let Some(concurrency) = env::concurrency()? {
            config.concurrency = concurrency;
        }
        if let Some(tier) = env::sandbox()? {
            config.sandbox.tier = tier;
        }
        Ok(config)
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
        found
    }

    /// The setup hook, frozen. Whether it may run is for [`Config::needs_approval`] to say first.
    pub fn setup_hook(&self) -> Option<Setup> {
        self.setup.value.clone().map(|command| Setup { command, timeout: self.setup_timeout })
    }

    /// How much may happen at once.
    pub fn limits(&self) -> Limits {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Limits { tasks: self.concurrency, groups: self.groups.clone(), cores, disk_floor: self.disk_floor }
    }

    /// Lay what a file says over what was said before.
    fn lay(&mut self, file: File, from: &Origin) -> Result<(), ConfigError> {
        let File { run, groups, worktree, fold, verify, merge, branch, limits, sandbox, notify } = file;
        set(&mut self.concurrency, run.concurrency.map(|number| number.0));
        if run.timeout.as_ref().is_some_and(|timeout| timeout.0 == 0) {
            return Err(from.refuse("run.timeout must be above 0; leave it out for no limit".to_owned()));
        }
        set(&mut self.timeout, run.timeout.map(|timeout| Some(timeout.0)));
        set(&mut self.grace, run.grace.map(|grace| grace.0));
        set(&mut self.retries, run.retries);
        set(&mut self.log_cap, run.log_cap.map(|cap| cap.0));
        set(&mut self.priority, run.priority.map(|priority| priority.0));
        set(&mut self.env_pass, run.env_pass.map(|value| Sourced { value, from: from.clone() }));
        self.groups.extend(groups.into_iter().map(|(name, limit)| (name, limit.0)));
        if let Some(dir) = worktree.dir {
            self.worktree_dir = Some(worktree_dir(dir, from)?);
        }
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
        if let Some(check) = check(verify, self.verify.value.as_ref(), from)? {
            self.verify = check;
        }
        if let Some(driver) = driver(merge, self.driver.value.as_ref(), from)? {
            self.driver = driver;
        }
        if let Some(prefix) = branch.prefix {
            self.branch_prefix = branch_prefix(prefix, from)?;
        }
        set(&mut self.disk_floor, limits.disk_floor.map(|floor| floor.0));
        lay_sandbox(&mut self.sandbox, sandbox, from)?;
        notify::lay(&mut self.notify, notify, from)?;
        Ok(())
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

/// What a file says of verifying, over what was said before; none where it says nothing.
fn check(
    said: file::Verify,
    before: Option<&Check>,
    from: &Origin,
) -> Result<Option<Sourced<Option<Check>>>, ConfigError> {
    if said == file::Verify::default() {
        return Ok(None);
    }
    let mut check = before.cloned().unwrap_or_default();
    set(&mut check.command, said.command.map(|command| command.trim().to_owned()));
    set(&mut check.timeout, said.timeout.map(|timeout| Some(timeout.0)));
    set(&mut check.deterministic, said.deterministic);
    set(&mut check.guarantee, said.guarantee.map(|guarantee| guarantee.0));
    set(&mut check.early, said.early);
    set(&mut check.cores, said.cores.map(|cores| Some(cores.0)));
    set(&mut check.expire, said.expire.map(|expire| Some(expire.0)));
    if said.fingerprint != file::Fingerprint::default() {
        let files = said.fingerprint.files.iter().map(|file| Word::from(file.as_str())).collect();
        let file::Fingerprint { commands, variables, .. } = said.fingerprint;
        check.fingerprint = Fingerprint { commands, variables, files };
    }
    if !said.scope.is_empty() {
        let paths = |paths: Vec<String>| paths.into_iter().map(|path| Word::from(path.as_str())).collect();
        check.scopes =
            said.scope.into_iter().map(|scope| Scope { paths: paths(scope.paths), command: scope.command }).collect();
    }
    if check.command.is_empty() && check.scopes.is_empty() {
        // An empty command takes back what a farther file said.
        return Ok(Some(Sourced { value: None, from: from.clone() }));
    }
    if check.scopes.iter().any(|scope| scope.paths.is_empty() || scope.command.trim().is_empty()) {
        return Err(from.refuse("a [[verify.scope]] needs both `paths` and `command`".to_owned()));
    }
    Ok(Some(Sourced { value: Some(check), from: from.clone() }))
}

/// What a file says of a merge driver, over what was said before; none where it says nothing.
fn driver(
    said: file::Merge,
    before: Option<&Driver>,
    from: &Origin,
) -> Result<Option<Sourced<Option<Driver>>>, ConfigError> {
    if said == file::Merge::default() {
        return Ok(None);
    }
    let none = Driver { command: String::new(), patterns: Vec::new(), timeout: DEFAULT_DRIVER_TIMEOUT };
    let mut driver = before.cloned().unwrap_or(none);
    set(&mut driver.command, said.driver.map(|command| command.trim().to_owned()));
    set(&mut driver.patterns, said.patterns);
    set(&mut driver.timeout, said.timeout.map(|timeout| timeout.0));
    if driver.timeout == 0 {
        return Err(from.refuse("merge.timeout must be above 0".to_owned()));
    }
    if !driver.command.is_empty() && !driver.command.contains("%A") {
        return Err(
            from.refuse("merge.driver does not name the file that it writes: %A, as in git's own drivers".to_owned())
        );
    }
    // An empty command takes back what a farther file said.
    let value = Some(driver).filter(|driver| !driver.command.is_empty());
    Ok(Some(Sourced { value, from: from.clone() }))
}

/// What a file says of the sandbox. A repository can only make it closer: it is what is kept in.
fn lay_sandbox(policy: &mut Policy, said: file::Sandbox, from: &Origin) -> Result<(), ConfigError> {
    if matches!(from, Origin::Repository(_)) {
        let loosens = [
            ("tier", said.tier.is_some()),
            ("write", said.write.is_some()),
            ("read", said.read.is_some()),
            ("home = \"rw\"", said.home.as_ref().is_some_and(|home| home.0 == Home::Rw)),
            ("network = \"allow\"", said.network.as_ref().is_some_and(|network| network.0 == Network::Allow)),
        ];
        if let Some((key, _)) = loosens.into_iter().find(|(_, is_said)| *is_said) {
            let what =
                format!("sandbox.{key} can only be set in your own file (pleach/config.toml), not by a repository");
            return Err(from.refuse(what));
        }
        policy.require = policy.require.max(said.require.map(|tier| tier.0).unwrap_or_default());
        if let Some(network) = said.network {
            policy.network = std::mem::take(&mut policy.network).closer(network.0);
        }
    } else {
        set(&mut policy.require, said.require.map(|tier| tier.0));
        set(&mut policy.network, said.network.map(|network| network.0));
    }
    let (memory, processes) = (said.memory.map(|size| size.0), said.processes.map(|number| number.0 as u64));
    if memory.is_some_and(|memory| memory < LEAST_MEMORY) {
        return Err(from.refuse(format!("sandbox.memory is less than {}: nothing would run", Bytes(LEAST_MEMORY))));
    }
    if matches!(from, Origin::Repository(_)) {
        policy.memory = closer(policy.memory, memory);
        policy.processes = closer(policy.processes, processes);
        policy.home = policy.home.min(said.home.map_or(Home::Rw, |home| home.0));
    } else {
        set(&mut policy.home, said.home.map(|home| home.0));
        policy.memory = memory.or(policy.memory);
        policy.processes = processes.or(policy.processes);
    }
    set(&mut policy.tier, said.tier.map(|tier| tier.0));
    let is_path = |path: &PathBuf| path.is_absolute() || path.starts_with("~");
    if let Some(path) = said.write.iter().chain(&said.hide).chain(&said.read).flatten().find(|path| !is_path(path)) {
        let what = format!("sandbox: {} must be an absolute path, or start with ~/", path.display());
        return Err(from.refuse(what));
    }
    let words = |paths: Vec<PathBuf>| paths.iter().map(|path| Word::from(path.as_path())).collect::<Vec<_>>();
    set(&mut policy.write, said.write.map(words));
    set(&mut policy.read, said.read.map(words));
    if let Some(exec) = said.exec {
        exec::lay(policy, exec, from)?;
    }
    // What is hidden adds up: nobody takes back what somebody else keeps to themselves.
    policy.hide.extend(said.hide.map(words).unwrap_or_default());
    Ok(())
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

/// The directory of the worktrees: absolute or below the home. A repository has no say in where a user's files go.
fn worktree_dir(dir: PathBuf, from: &Origin) -> Result<PathBuf, ConfigError> {
    let refuse = |what: &str| Err(from.refuse(what.to_owned()));
    if matches!(from, Origin::Repository(_)) {
        return refuse("worktree.dir can only be set in your own file (pleach/config.toml), not by a repository");
    }
    let dir = match (dir.strip_prefix("~"), env::home()) {
        (Ok(below), Some(home)) => home.join(below),
        _ => dir,
    };
    if dir.is_absolute() { Ok(dir) } else { refuse("worktree.dir must be an absolute path, or start with ~/") }
}

fn branch_prefix(prefix: String, from: &Origin) -> Result<String, ConfigError> {
    let good = |part: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        !part.is_empty()
            && part.chars().all(allowed)
            && !part.starts_with(['.', '-'])
            && !part.ends_with('.')
            && !part.ends_with(".lock")
            && !part.contains("..")
    };
    let whole = prefix.strip_suffix('/').unwrap_or(&prefix);
    // What follows is an id or a name, so the last part need not end with a slash.
    if whole.split('/').all(good) {
        Ok(prefix)
    } else {
        Err(from.refuse(format!("branch.prefix {prefix:?} cannot start the name of a branch; try \"pleach/\"")))
    }
}

impl Origin {
    fn refuse(&self, what: String) -> ConfigError {
        let file = match self {
            Self::User(file) | Self::Repository(file) => file.clone(),
            Self::Default => PathBuf::new(),
        };
        ConfigError::Value { file, what }
    }
}

#[cfg(test)]
mod tests;
