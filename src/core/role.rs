//! Roles: who does a task, what it is told, and what it may do.
//!
//! A [`Role`] comes of a file: our own TOML ([`own`]), or one that people have for another program ([`kiro`], [`claude`],
//! [`codex`]). The importers are pure: a text becomes a role and [`Note`]s, and each key that has no place here is a note, with
//! what it said. What cannot be understood is an error, never a role that may more than was written.
//!
//! What a role may is held by the sandbox: [`Permissions::narrow`] makes a [`Policy`] of it. What it may touch in the tree is
//! looked for in its result. A role of a project can only take away; one that its user wrote may also give ([`Owner`]).
//!
//! Left to others: finding the files, and asking somebody ([`crate::ops::roles`]).

pub mod claude;
pub mod codex;
pub mod commands;
mod fields;
pub mod frozen;
pub mod kiro;
mod may;
pub mod own;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::agent::Tools;
use super::id::ParseId;
use super::plan::Glob;
use super::sandbox::{Home, Network, Policy, Tier, closer};
use super::word::Word;
pub use commands::Commands;
pub use frozen::TaskRole;

/// What a role is called: what people type, and what globs of other roles mean.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleName(String);

/// A role, whatever file it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Role {
    /// What it is called.
    pub name: RoleName,
    /// What it is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What its agent is told before the prompt of the task.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prompt: String,
    /// The agent that does it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The model that the agent is to use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How often the agent may turn to its model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u32>,
    /// The tools of the agent that it has; all of them, where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    /// Those that it uses without being asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_tools: Vec<String>,
    /// Those that it has not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disallowed_tools: Vec<String>,
    /// What it is to read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// What it may touch.
    pub permissions: Permissions,
    /// What its result must be.
    pub result: ResultRules,
    /// Seconds that a task of it may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// How many more attempts follow a failed one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// Variables.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The roles that it may hand tasks to; all, where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available: Option<Vec<Glob>>,
    /// Those among them for which nobody is asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trusted: Vec<Glob>,
    /// May its tasks delegate at all? As it is set, where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delegate: Option<bool>,
}

/// What a task of a role may touch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Permissions {
    /// It writes its temporary directory only.
    #[serde(skip_serializing_if = "is_default")]
    pub read_only: bool,
    /// Whom it can talk to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// What it can run: paths, `.` for the worktree, and names that are looked for in `PATH`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<Vec<Word>>,
    /// The same, by whole command lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commands: Option<Commands>,
    /// What else it can write.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub write: Vec<Word>,
    /// What it can read although it is among the hidden.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<Word>,
    /// What else it cannot see.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hide: Vec<Word>,
    /// Variables that it inherits although tasks do not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env_pass: Vec<String>,
    /// Bytes of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// With less than this tier it does not run.
    #[serde(skip_serializing_if = "is_default")]
    pub require: Tier,
    /// What becomes of what it writes at home.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home: Option<Home>,
}

/// What a result of a role must be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ResultRules {
    /// To change nothing is a failure.
    #[serde(skip_serializing_if = "is_default")]
    pub require_changes: bool,
    /// What it may touch in the tree; everything, where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<Glob>,
    /// Exit codes that are success too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accept_exit_codes: Vec<u8>,
}

/// A key of a file that came to nothing, or to something else than its author may think.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The key, with those that it stands under: `toolsSettings.shell.deniedCommands`.
    pub key: String,
    /// What became of it, and what it said.
    pub about: String,
}

/// A file that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The role.
    pub role: Role,
    /// The file that holds its prompt, where that is another one: as it was written, without `file://`.
    pub prompt_file: Option<String>,
    /// What came to nothing.
    pub notes: Vec<Note>,
}

/// A file that was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Wrong {
    /// From 1, where that is known.
    pub line: Option<usize>,
    /// What, and what would be right.
    pub what: String,
}

impl Wrong {
    fn new(what: impl Into<String>) -> Self {
        Self { line: None, what: what.into() }
    }
}

/// Whose word a role is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// It lies in the home of the user, who wrote it.
    User,
    /// It came with the repository: anybody who can commit to it wrote it.
    Project,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Role {
    /// One that says nothing but its name.
    pub fn new(name: RoleName) -> Self {
        Self {
            name,
            description: String::new(),
            prompt: String::new(),
            agent: None,
            model: None,
            max_turns: None,
            tools: None,
            allowed_tools: Vec::new(),
            disallowed_tools: Vec::new(),
            resources: Vec::new(),
            permissions: Permissions::default(),
            result: ResultRules::default(),
            timeout: None,
            retries: None,
            env: BTreeMap::new(),
            available: None,
            trusted: Vec::new(),
            delegate: None,
        }
    }

    /// What an agent is told before the prompt of its task: the prompt of the role, and what it is to read.
    pub fn preamble(&self) -> String {
        let read = match &self.resources[..] {
            [] => String::new(),
            all => format!("Read what you need of these first: {}", all.join(", ")),
        };
        let parts = [self.prompt.trim().to_owned(), read];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n")
    }

    /// Which tools its agent may use.
    ///
    /// Commands that are allowed, and paths, need tools that are not asked about: the kernel and a look at the result hold these.
    pub fn agent_tools(&self) -> Tools {
        let mut allowed = self.allowed_tools.clone();
        if !allowed.is_empty() {
            let commands = self
                .permissions
                .commands
                .as_ref()
                .is_some_and(|commands| commands.read_only || !commands.patterns.is_empty());
            let held = [("shell", commands), ("write", !self.result.paths.is_empty())];
            allowed.extend(held.into_iter().filter(|(_, is_held)| *is_held).map(|(name, _)| name.to_owned()));
        }
        Tools::of(self.tools.as_deref(), &allowed, &self.disallowed_tools)
    }

    /// May it hand tasks to a role of this name?
    pub fn may_use(&self, name: &RoleName) -> bool {
        self.available.as_ref().is_none_or(|globs| means(globs, name))
    }

    /// May its tasks delegate, from inside?
    pub fn delegates(&self) -> bool {
        self.delegate != Some(false) && self.available.as_ref().is_none_or(|globs| !globs.is_empty())
    }

    /// And without anybody being asked?
    pub fn trusts(&self, name: &RoleName) -> bool {
        self.may_use(name) && means(&self.trusted, name)
    }
}

/// Is a role of this name meant?
pub fn means(globs: &[Glob], name: &RoleName) -> bool {
    globs.iter().any(|glob| glob.matches(name.as_str().as_bytes()))
}

impl Permissions {
    /// What a task may touch whose user allows `policy`, and what of the role's wishes was not granted. `exec` is what it can
    /// run, as paths.
    ///
    /// What takes away always counts. What gives (a wider network, more to write) counts where the user wrote the role.
    pub fn narrow(&self, policy: &Policy, owner: Owner, exec: Option<Vec<Word>>) -> (Policy, Vec<String>) {
        let mut narrowed = policy.clone();
        let mut refused = Vec::new();
        narrowed.read_only |= self.read_only;
        narrowed.require = narrowed.require.max(self.require);
        narrowed.hide.extend(self.hide.iter().filter(|path| !policy.hide.contains(path)).cloned());
        match owner {
            Owner::User => {
                narrowed.network = self.network.clone().unwrap_or(narrowed.network);
                narrowed.memory = self.memory.or(narrowed.memory);
                narrowed.processes = self.processes.or(narrowed.processes);
                narrowed.home = self.home.unwrap_or(narrowed.home);
                narrowed.exec = exec.or(narrowed.exec);
                narrowed.write.extend(self.write.clone());
                narrowed.read.extend(self.read.clone());
            }
            Owner::Project => {
                if let Some(network) = &self.network {
                    narrowed.network = std::mem::take(&mut narrowed.network).closer(network.clone());
                }
                narrowed.memory = closer(narrowed.memory, self.memory);
                narrowed.processes = closer(narrowed.processes, self.processes);
                narrowed.home = narrowed.home.min(self.home.unwrap_or(Home::Rw));
                narrowed.exec = within(exec, policy.exec.as_deref(), &mut refused);
                let more = [("write", &self.write, &policy.write), ("read", &self.read, &policy.read)];
                for (what, wanted, allowed) in more {
                    let missing = wanted.iter().filter(|path| !is_within(path, allowed));
                    refused.extend(
                        missing.map(|path| format!("{what} {}: only your own files can allow that", path.shown())),
                    );
                }
            }
        }
        (narrowed, refused)
    }
}

/// Of these, what lies in what is allowed; all of it, where that is not limited.
fn within(wanted: Option<Vec<Word>>, allowed: Option<&[Word]>, refused: &mut Vec<String>) -> Option<Vec<Word>> {
    let Some(allowed) = allowed else { return wanted };
    let Some(wanted) = wanted else { return Some(allowed.to_vec()) };
    let (kept, left): (Vec<Word>, Vec<Word>) = wanted.into_iter().partition(|path| is_within(path, allowed));
    refused.extend(left.iter().map(|path| format!("exec {}: not in your own [sandbox] exec", path.shown())));
    Some(kept)
}

fn is_within(path: &Word, allowed: &[Word]) -> bool {
    let is_plain = |path: &Path| path.components().all(|part| part != Component::ParentDir);
    is_plain(path.as_path()) && allowed.iter().any(|one| path.as_path().starts_with(one.as_path()))
}

impl RoleName {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RoleName {
    type Err = ParseId;

    fn from_str(text: &str) -> Result<Self, ParseId> {
        let bad = |c: char| super::word::is_hostile(c) || c.is_control() || "/:*?[]\\".contains(c);
        let is_name = !text.is_empty() && text.len() <= 100 && text.trim() == text && !text.contains(bad);
        let expected = "the name of a role (up to 100 bytes, without / : * ? [ ] and control characters)";
        is_name.then(|| Self(text.to_owned())).ok_or_else(|| ParseId { text: text.to_owned(), expected })
    }
}

impl TryFrom<String> for RoleName {
    type Error = ParseId;

    fn try_from(text: String) -> Result<Self, ParseId> {
        text.parse()
    }
}

impl From<RoleName> for String {
    fn from(name: RoleName) -> Self {
        name.0
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a program means by tools that change nothing: does none of these write?
fn only_reads(tools: &[String], readers: &[&str]) -> bool {
    tools.iter().all(|tool| readers.contains(&tool.as_str()))
}

/// Programs that are agents: what they do is said by a prompt, and is not known before.
const AGENTS: &[&str] = &[
    "aider",
    "amp",
    "claude",
    "cline",
    "codex",
    "copilot",
    "crush",
    "cursor-agent",
    "droid",
    "gemini",
    "goose",
    "kiro-cli",
    "mini",
    "openhands",
    "opencode",
    "pi",
    "q",
    "qwen",
    "vibe",
];

/// Is this the program of an agent?
pub fn is_agent(program: &str) -> bool {
    AGENTS.contains(&program.rsplit('/').next().unwrap_or(program))
}

/// What is said where an agent has no role, on one line: what holds it all the same.
pub fn trust_all(policy: &Policy) -> String {
    let mut held = Vec::new();
    if policy.tier == Some(Tier::None) || policy.unconfined {
        held.push("nothing, where it runs without a sandbox".to_owned());
    } else {
        held.push(match policy.read_only {
            true => "writing anything but its temporary directory".to_owned(),
            false => "writing outside of its worktree".to_owned(),
        });
        held.push("reading secrets of your home".to_owned());
        match &policy.network {
            Network::Allow => {}
            Network::None => held.push("any network".to_owned()),
            Network::List(rules) => held.push(format!("all hosts but {} that are listed", rules.len())),
        }
        if policy.exec.is_some() {
            held.push("programs that are not in [sandbox] exec".to_owned());
        }
    }
    format!("this agent has no role, so it may use all its tools; the sandbox still forbids: {}", held.join("; "))
}

#[cfg(test)]
mod tests;
