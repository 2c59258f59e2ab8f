//! Agents: programs that are told what to do in words. What is known of each kind of them is a value, a preset.
//!
//! A preset says how the program is called, how it is given its prompt, what limits it can be set, which variables it needs,
//! and how it is understood: [`Kind`]. What it writes becomes [`Said`], one line after the other ([`read()`]); what all of that
//! comes to is an [`Account`], and its [`Account::judge`] is the *result rule*: how the program ended **and** what it said of
//! itself **and** whether anything changed. An exit code alone is never believed.
//!
//! A task that an agent does carries an [`Assigned`], frozen when it is asked for.

mod account;
pub mod acp;
mod command;
mod limit;
mod presets;
pub mod stream;
pub mod tools;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::task::words;

pub use account::{Account, Limit, Said};
pub use command::Unfit;
pub use limit::limit_of;
pub use presets::{Preset, preset, presets};
pub use stream::read;
pub use tools::{ToolOptions, Tools};

/// What is known of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// What it is called: the name of its kind, for limits that its provider sets.
    pub name: String,
    /// How it is understood.
    pub kind: Kind,
    /// What its lines look like, where it writes JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Dialect>,
    /// The program and its arguments, with holes: `{prompt_file}`, `{prompt}`, and `{options}` as an argument of its own for
    /// where the options below go (else they go to the end).
    pub command: Vec<String>,
    /// How it is given its prompt.
    pub prompt: PromptBy,
    /// What is added where a model is named, with `{model}` in it; it cannot be named where this is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub model: Vec<String>,
    /// The same for a limit of turns, with `{turns}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<String>,
    /// The same for a limit of what it may cost in dollars, with `{budget}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budget: Vec<String>,
    /// How it is told which of its tools it may use.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tools: ToolOptions,
    /// Variables that it is given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Variables of the caller that it inherits although tasks do not: its keys, and where its provider is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pass: Vec<String>,
    /// Where it keeps its own state, of which each attempt gets a copy of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "one_or_many")]
    pub state: Vec<StateDir>,
    /// Bytes of memory that a task of it needs.
    #[serde(default, skip_serializing_if = "is_default")]
    pub needs_memory: u64,
    /// What it leaves in the worktree that is no result: patterns of .gitignore.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<String>,
    /// Exit codes that are success beside 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<u8>,
    /// Must it change something?
    #[serde(default, skip_serializing_if = "is_default")]
    pub changes: Changes,
}

/// A directory of state, or a file, that is copied for each attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateDir {
    /// Where it is: below the home of the user.
    pub from: String,
    /// The variable that says where the copy is.
    pub variable: String,
    /// Where below that it is; nothing for right there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub to: String,
    /// What of it is not copied: paths in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skip: Vec<String>,
    /// What is a link to the original where the task may write that anyway: keys that are given out once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<String>,
}

/// One, or a list of them.
pub(crate) fn one_or_many<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<StateDir>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Said {
        One(StateDir),
        Many(Vec<StateDir>),
    }
    Ok(match Option::<Said>::deserialize(d)? {
        None => Vec::new(),
        Some(Said::One(one)) => vec![one],
        Some(Said::Many(many)) => many,
    })
}

/// How an agent is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Not at all: its output is text for people.
    #[default]
    Command,
    /// It writes a line of JSON for each thing that it does.
    JsonStream,
    /// It speaks the Agent Client Protocol on its standard input and output.
    Acp,
}

/// What lines of JSON look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// `claude -p --output-format stream-json`, and of qwen.
    Claude,
    /// `codex exec --json`
    Codex,
    /// `gemini -o stream-json`
    Gemini,
    /// `opencode run --format json`
    Opencode,
    /// `pi --mode json`
    Pi,
    /// `cline --json`
    Cline,
}

/// How an agent is given its prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PromptBy {
    /// It reads it on its standard input.
    #[default]
    Stdin,
    /// It reads the file that `{prompt_file}` names.
    File,
    /// It is an argument, `{prompt}`: other programs see it, and it cannot be long.
    Argument,
}

/// Must an agent change something?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Changes {
    /// Where nothing has changed, it has not done what it was asked.
    #[default]
    Required,
    /// It may have been asked for words alone.
    Optional,
}

/// What an agent that asks whether it may use a tool is told; the sandbox holds it either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permit {
    /// Yes.
    #[default]
    Allow,
    /// No.
    Deny,
}

words!(
    Kind,
    "a kind of agent (command, json-stream or acp)",
    Command = "command",
    JsonStream = "json-stream",
    Acp = "acp"
);
words!(
    Dialect,
    "a dialect of agents (claude, codex, gemini, opencode, pi or cline)",
    Claude = "claude",
    Codex = "codex",
    Gemini = "gemini",
    Opencode = "opencode",
    Pi = "pi",
    Cline = "cline"
);
words!(
    PromptBy,
    "how a prompt is given (stdin, file or argument)",
    Stdin = "stdin",
    File = "file",
    Argument = "argument"
);
words!(Changes, "whether changes are needed (required or optional)", Required = "required", Optional = "optional");
words!(Permit, "what a question for permission is answered (allow or deny)", Allow = "allow", Deny = "deny");

/// Who does a task, and how: frozen when it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assigned {
    /// The agent.
    pub agent: Agent,
    /// Which model, where not its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How many turns it may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<u32>,
    /// What it may cost, in dollars, as it was typed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<String>,
    /// Must it change something?
    #[serde(default, skip_serializing_if = "is_default")]
    pub changes: Changes,
    /// What its questions are answered.
    #[serde(default, skip_serializing_if = "is_default")]
    pub permit: Permit,
    /// What its role says of its tools.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tools: Tools,
    /// What it is told; none for a task of a plan, which has its prompt there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
}

impl Assigned {
    /// To this agent, and nothing else said.
    pub fn new(agent: Agent) -> Self {
        let changes = agent.changes;
        Self {
            agent,
            model: None,
            turns: None,
            budget: None,
            changes,
            permit: Permit::Allow,
            tools: Tools::default(),
            prompt: None,
        }
    }
}

/// Is this a name for an agent? A command is none: it has a blank or a slash in it.
pub fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=40).contains(&text.len()) && text.chars().all(plain) && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
