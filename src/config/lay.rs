//! Laying what one file says over what was said before. What makes no sense is told, all of it, each with its place.

use std::path::PathBuf;

use super::file::{self, Positions, Wrong};
use super::{ConfigError, Origin, Sourced, env, exec, set};
use crate::core::bytes::Bytes;
use crate::core::delegate::Delegation;
use crate::core::driver::{DEFAULT_DRIVER_TIMEOUT, Driver};
use crate::core::sandbox::{Home, LEAST_MEMORY, Network, Policy, closer};
use crate::core::verify::{Check, Fingerprint, Scope};
use crate::core::word::Word;

/// What is wrong with one file, as far as it was looked at.
pub(super) struct Told<'a> {
    /// Who says it.
    pub(super) from: &'a Origin,
    at: Positions,
    errors: Vec<ConfigError>,
}

impl<'a> Told<'a> {
    pub(super) fn new(from: &'a Origin, at: Positions) -> Self {
        Self { from, at, errors: Vec::new() }
    }

    /// Fail where anything was refused, in the order of the text.
    pub(super) fn end(&mut self) -> Result<(), ConfigError> {
        let mut errors = std::mem::take(&mut self.errors);
        let place = |error: &ConfigError| match error {
            ConfigError::Value(wrong) => (wrong.line, wrong.column),
            _ => (0, 0),
        };
        errors.sort_by_key(place);
        ConfigError::all(errors)
    }

    /// What this key says makes no sense.
    pub(super) fn refuse(&mut self, key: &str, message: impl Into<String>) {
        let file = match self.from {
            Origin::User(file) | Origin::Repository(file) => file.clone(),
            Origin::Default => PathBuf::new(),
        };
        let (line, column) = self.at.of_key(key);
        self.errors.push(ConfigError::Value(Wrong { file, line, column, message: message.into() }));
    }
}

/// What a file says of verifying, over what was said before; none where it says nothing.
pub(super) fn check(said: file::Verify, before: Option<&Check>, told: &mut Told<'_>) -> Option<Sourced<Option<Check>>> {
    if said == file::Verify::default() {
        return None;
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
        return Some(Sourced { value: None, from: told.from.clone() });
    }
    if check.scopes.iter().any(|scope| scope.paths.is_empty() || scope.command.trim().is_empty()) {
        told.refuse("verify.scope", "a [[verify.scope]] needs both `paths` and `command`");
    }
    Some(Sourced { value: Some(check), from: told.from.clone() })
}

/// What a file says of a merge driver, over what was said before; none where it says nothing.
pub(super) fn driver(
    said: file::Merge,
    before: Option<&Driver>,
    told: &mut Told<'_>,
) -> Option<Sourced<Option<Driver>>> {
    if said == file::Merge::default() {
        return None;
    }
    let none = Driver { command: String::new(), patterns: Vec::new(), timeout: DEFAULT_DRIVER_TIMEOUT };
    let mut driver = before.cloned().unwrap_or(none);
    set(&mut driver.command, said.driver.map(|command| command.trim().to_owned()));
    set(&mut driver.patterns, said.patterns);
    set(&mut driver.timeout, said.timeout.map(|timeout| timeout.0));
    if driver.timeout == 0 {
        told.refuse("merge.timeout", "merge.timeout must be above 0");
    }
    if !driver.command.is_empty() && !driver.command.contains("%A") {
        told.refuse("merge.driver", "merge.driver does not name the file that it writes: %A, as in git's own drivers");
    }
    // An empty command takes back what a farther file said.
    let value = Some(driver).filter(|driver| !driver.command.is_empty());
    Some(Sourced { value, from: told.from.clone() })
}

/// What a file says of the sandbox. A repository can only make it closer: it is what is kept in.
pub(super) fn sandbox(policy: &mut Policy, said: file::Sandbox, told: &mut Told<'_>) {
    let is_of_repository = matches!(told.from, Origin::Repository(_));
    if is_of_repository {
        let loosens = [
            ("tier", said.tier.is_some()),
            ("write", said.write.is_some()),
            ("read", said.read.is_some()),
            ("home = \"rw\"", said.home.as_ref().is_some_and(|home| home.0 == Home::Rw)),
            ("network = \"allow\"", said.network.as_ref().is_some_and(|network| network.0 == Network::Allow)),
        ];
        for (key, _) in loosens.into_iter().filter(|(_, is_said)| *is_said) {
            let what =
                format!("sandbox.{key} can only be set in your own file (pleach/config.toml), not by a repository");
            let key = key.split(' ').next().unwrap_or_default();
            told.refuse(&format!("sandbox.{key}"), what);
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
        told.refuse(
            "sandbox.memory",
            format!("sandbox.memory is less than {}: nothing would run", Bytes(LEAST_MEMORY)),
        );
    }
    if is_of_repository {
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
    for (key, paths) in [("write", &said.write), ("hide", &said.hide), ("read", &said.read)] {
        for path in paths.iter().flatten().filter(|path| !is_path(path)) {
            let what = format!("sandbox.{key}: {} must be an absolute path, or start with ~/", path.display());
            told.refuse(&format!("sandbox.{key}"), what);
        }
    }
    let words = |paths: Vec<PathBuf>| paths.iter().map(|path| Word::from(path.as_path())).collect::<Vec<_>>();
    set(&mut policy.write, said.write.map(words));
    set(&mut policy.read, said.read.map(words));
    if let Some(exec) = said.exec {
        exec::lay(policy, exec, told);
    }
    // What is hidden adds up: nobody takes back what somebody else keeps to themselves.
    policy.hide.extend(said.hide.map(words).unwrap_or_default());
}

/// How far tasks may delegate. A repository can only take away.
pub(super) fn delegate(delegation: &mut Delegation, said: &file::Delegate, told: &Told<'_>) {
    let (mut depth, mut children) = (said.depth.as_ref().map(|number| number.0 as u32), said.children);
    if matches!(told.from, Origin::Repository(_)) {
        depth = depth.map(|depth| depth.min(delegation.levels + 1));
        children = children.map(|children| children.min(delegation.children));
    }
    let before = *delegation;
    let children = children.unwrap_or(if before.children == 0 { Delegation::CHILDREN } else { before.children });
    *delegation = Delegation::of_depth(depth.unwrap_or(before.levels + 1), children);
}

/// The directory of the worktrees: absolute or below the home. A repository has no say in where a user's files go.
pub(super) fn worktree_dir(dir: PathBuf, told: &mut Told<'_>) -> Option<PathBuf> {
    let key = "worktree.dir";
    if matches!(told.from, Origin::Repository(_)) {
        told.refuse(key, "worktree.dir can only be set in your own file (pleach/config.toml), not by a repository");
        return None;
    }
    let dir = match (dir.strip_prefix("~"), env::home()) {
        (Ok(below), Some(home)) => home.join(below),
        _ => dir,
    };
    if !dir.is_absolute() {
        told.refuse(key, "worktree.dir must be an absolute path, or start with ~/");
    }
    Some(dir)
}

pub(super) fn branch_prefix(prefix: String, told: &mut Told<'_>) -> Option<String> {
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
        Some(prefix)
    } else {
        let what = format!("branch.prefix {prefix:?} cannot start the name of a branch; try \"pleach/\"");
        told.refuse("branch.prefix", what);
        None
    }
}
