//! `[agents.NAME]`: agents of one's own, and other settings of those that are known beforehand.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::file::{Size, Spelled};
use super::lay::Told;
use super::{Origin, Sourced, Untrusted, set};
use crate::core::agent::{self, Agent, Changes, Dialect, Kind, PromptBy, StateDir, ToolOptions};

/// What a file says of one agent.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Said {
    /// How it is understood.
    pub kind: Option<Spelled<Kind>>,
    /// What its lines look like.
    pub dialect: Option<Spelled<Dialect>>,
    /// The program and its arguments.
    pub command: Option<Vec<String>>,
    /// How it is given its prompt.
    pub prompt: Option<Spelled<PromptBy>>,
    /// What is added where a model is named.
    pub model: Option<Vec<String>>,
    /// What is added where a limit of turns is.
    pub max_turns: Option<Vec<String>>,
    /// What is added where a limit of cost is.
    pub budget: Option<Vec<String>>,
    /// How it is told which of its tools it may use.
    pub tools: Option<ToolOptions>,
    /// Variables that it is given.
    pub env: Option<BTreeMap<String, String>>,
    /// Variables of the caller that it inherits.
    pub env_pass: Option<Vec<String>>,
    /// The directories of which each attempt gets a copy.
    pub state: Option<States>,
    /// Bytes of memory that a task of it needs.
    pub needs_memory: Option<Size>,
    /// What it leaves that is no result.
    pub leftovers: Option<Vec<String>>,
    /// Exit codes that are success, too.
    pub accept_exit_codes: Option<Vec<u8>>,
    /// Must it change something?
    pub changes: Option<Spelled<Changes>>,
}

/// One directory, or a list of them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct States(#[serde(deserialize_with = "agent::one_or_many")] Vec<StateDir>);

/// Agents that files speak of, each whole.
pub type Agents = BTreeMap<String, Sourced<Agent>>;

/// The key of agents of a repository's own file.
pub const KEY: &str = "agents";

/// Lay what a file says over what was known before.
pub(super) fn lay(known: &mut Agents, said: BTreeMap<String, Said>, told: &mut Told<'_>) {
    for (name, said) in said {
        if !agent::is_name(&name) {
            let key = format!("agents.{name}");
            told.refuse(&key, format!("agents.{name:?} is no name of an agent: letters, digits, `-`, `_` and `.`"));
            continue;
        }
        let before = known.get(&name).map(|known| known.value.clone());
        let mut agent =
            before.or_else(|| agent::preset(&name).map(|preset| preset.agent)).unwrap_or_else(|| none(&name));
        set(&mut agent.kind, said.kind.map(|kind| kind.0));
        set(&mut agent.dialect, said.dialect.map(|dialect| Some(dialect.0)));
        set(&mut agent.command, said.command);
        set(&mut agent.prompt, said.prompt.map(|prompt| prompt.0));
        set(&mut agent.model, said.model);
        set(&mut agent.turns, said.max_turns);
        set(&mut agent.budget, said.budget);
        set(&mut agent.tools, said.tools);
        set(&mut agent.env, said.env);
        set(&mut agent.pass, said.env_pass);
        set(&mut agent.state, said.state.map(|state| state.0));
        set(&mut agent.needs_memory, said.needs_memory.map(|size| size.0));
        set(&mut agent.leftovers, said.leftovers);
        set(&mut agent.accept, said.accept_exit_codes);
        set(&mut agent.changes, said.changes.map(|changes| changes.0));
        if let Err(why) = check(&agent) {
            told.refuse(&format!("agents.{name}"), format!("agents.{name}: {why}"));
            continue;
        }
        known.insert(name, Sourced { value: agent, from: told.from.clone() });
    }
}

fn none(name: &str) -> Agent {
    Agent {
        name: name.to_owned(),
        kind: Kind::Command,
        dialect: None,
        command: Vec::new(),
        prompt: PromptBy::Stdin,
        model: Vec::new(),
        turns: Vec::new(),
        budget: Vec::new(),
        tools: ToolOptions::default(),
        env: BTreeMap::new(),
        pass: Vec::new(),
        state: Vec::new(),
        needs_memory: 0,
        leftovers: Vec::new(),
        accept: Vec::new(),
        changes: Changes::Required,
    }
}

fn check(agent: &Agent) -> Result<(), String> {
    let has = |words: &[String], hole: &str| words.iter().any(|word| word.contains(hole));
    let is_whole = |hole: &str| agent.command.iter().any(|word| word == hole);
    match () {
        () if agent.command.first().is_none_or(|program| program.trim().is_empty()) => {
            Err("say its `command`: a list of the program and its arguments".to_owned())
        }
        () if agent.kind == Kind::JsonStream && agent.dialect.is_none() => {
            Err("a json-stream needs a `dialect`: claude, codex, gemini, opencode, pi or cline".to_owned())
        }
        () if agent.prompt == PromptBy::File && !is_whole("{prompt_file}") => {
            Err("`prompt = \"file\"` needs the argument \"{prompt_file}\" in `command`".to_owned())
        }
        () if agent.prompt == PromptBy::Argument && !is_whole("{prompt}") => {
            Err("`prompt = \"argument\"` needs the argument \"{prompt}\" in `command`".to_owned())
        }
        () if !agent.model.is_empty() && !has(&agent.model, "{model}") => {
            Err("`model` has no {model} in it".to_owned())
        }
        () if !agent.turns.is_empty() && !has(&agent.turns, "{turns}") => {
            Err("`max_turns` has no {turns} in it".to_owned())
        }
        () if !agent.budget.is_empty() && !has(&agent.budget, "{budget}") => {
            Err("`budget` has no {budget} in it".to_owned())
        }
        () if agent
            .state
            .iter()
            .any(|state| !is_below(&state.from) || !(state.to.is_empty() || is_below(&state.to))) =>
        {
            Err("`state`: `from` and `to` are paths without `..` that begin with no `/`: `from` lies below your home"
                .to_owned())
        }
        () if agent.state.iter().any(|state| !is_variable(&state.variable)) => {
            Err("`state` needs the name of a `variable` that says where the copy is".to_owned())
        }
        () if !agent.tools.only.is_empty()
            && !has(&agent.tools.only, "{tools}")
            && !has(&agent.tools.only, "{names}") =>
        {
            Err("`tools.only` has no {tools} in it".to_owned())
        }
        () if !agent.tools.never.is_empty() && !has(&agent.tools.never, "{tools}") => {
            Err("`tools.never` has no {tools} in it".to_owned())
        }
        () => match agent
            .tools
            .names
            .keys()
            .chain(agent.tools.without.keys())
            .chain(&agent.tools.asks)
            .find(|name| !agent::tools::GENERAL.contains(&name.as_str()))
        {
            Some(name) => Err(format!("`tools`: {name:?} is none of {}", agent::tools::GENERAL.join(", "))),
            None => Ok(()),
        },
    }
}

fn is_below(path: &str) -> bool {
    let mut parts = std::path::Path::new(path).components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, std::path::Component::Normal(_)))
}

fn is_variable(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(plain)
        && !name.starts_with("PLEACH_")
}

/// What a repository says of agents: programs, and variables that are handed to them.
pub(super) fn untrusted(agents: &Agents) -> Option<Untrusted> {
    let theirs = agents.iter().filter_map(|(name, agent)| match &agent.from {
        Origin::Repository(file) => Some((name, &agent.value, file)),
        _ => None,
    });
    let theirs: Vec<_> = theirs.collect();
    let (_, _, file) = theirs.first()?;
    let text: Vec<String> = theirs
        .iter()
        .map(|(name, agent, _)| format!("{name} = {}", serde_json::to_string(agent).unwrap_or_default()))
        .collect();
    Some(Untrusted::new(KEY, text.join("\n"), file))
}
