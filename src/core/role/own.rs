//! Roles as pleach has them: `.pleach/roles/NAME.toml`, and `pleach/roles/NAME.toml` in the user's own configuration.
//!
//! Here nothing is noted: a key that is not known is an error.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::{Commands, Imported, Permissions, ResultRules, Role, RoleName, Wrong};
use crate::core::plan::Glob;
use crate::core::sandbox::network::Rule;
use crate::core::sandbox::{Home, LEAST_MEMORY, Network, Tier};
use crate::core::units;
use crate::core::word::Word;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    name: Option<RoleName>,
    description: String,
    prompt: String,
    prompt_file: Option<String>,
    agent: Option<String>,
    model: Option<String>,
    max_turns: Option<u32>,
    tools: Option<Vec<String>>,
    allowed_tools: Vec<String>,
    disallowed_tools: Vec<String>,
    resources: Vec<String>,
    timeout: Option<Seconds>,
    retries: Option<u32>,
    env: BTreeMap<String, String>,
    available: Option<Vec<Pattern>>,
    trusted: Vec<Pattern>,
    delegate: Option<bool>,
    permissions: Allow,
    result: Rules,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Allow {
    read_only: bool,
    network: Option<Whom>,
    exec: Option<Vec<String>>,
    commands: Option<Vec<String>>,
    write: Vec<String>,
    read: Vec<String>,
    hide: Vec<String>,
    env_pass: Vec<String>,
    memory: Option<Bytes>,
    processes: Option<u64>,
    require: Option<String>,
    home: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Rules {
    require_changes: bool,
    paths: Vec<Pattern>,
    accept_exit_codes: Vec<u8>,
}

#[derive(Debug)]
struct Seconds(u64);
#[derive(Debug)]
struct Bytes(u64);
#[derive(Debug)]
struct Pattern(Glob);

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Amount {
    Number(u64),
    Text(String),
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "\"none\", \"allow\", or a list of hosts such as [\"crates.io\", \"*.npmjs.org:443\"]")]
enum Whom {
    Word(String),
    Hosts(Vec<String>),
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let seconds = match Amount::deserialize(d)? {
            Amount::Number(number) => number,
            Amount::Text(text) => units::parse_duration(&text).map_err(D::Error::custom)?,
        };
        if seconds == 0 {
            Err(D::Error::custom("no task can end in no time; leave it out for no limit"))
        } else {
            Ok(Self(seconds))
        }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match Amount::deserialize(d)? {
            Amount::Number(number) => Ok(Self(number)),
            Amount::Text(text) => units::parse_size(&text).map(Self).map_err(D::Error::custom),
        }
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Glob::parse(&String::deserialize(d)?).map(Self).map_err(D::Error::custom)
    }
}

/// Read one. `stem` is the name of the file, which counts where it says none.
///
/// # Errors
/// Where it says anything that is not known or makes no sense.
pub fn import(text: &str, stem: &str) -> Result<Imported, Wrong> {
    let file: File = toml::from_str(text).map_err(|error| wrong(text, &error))?;
    let named = stem.parse::<RoleName>().map_err(|error| Wrong::new(error.to_string()));
    let mut role = Role::new(file.name.map_or(named, Ok)?);
    if file.prompt_file.is_some() && !file.prompt.is_empty() {
        return Err(Wrong::new("a role has a prompt or a prompt_file, not both"));
    }
    let globs = |patterns: Vec<Pattern>| patterns.into_iter().map(|pattern| pattern.0).collect::<Vec<_>>();
    role.permissions = permissions(file.permissions)?;
    role.result = ResultRules {
        require_changes: file.result.require_changes,
        paths: globs(file.result.paths),
        accept_exit_codes: file.result.accept_exit_codes,
    };
    if let Some(name) = file.env.keys().find(|name| !is_variable(name)) {
        return Err(Wrong::new(format!("env: {name:?} is no variable that a task can be given")));
    }
    let role = Role {
        description: file.description,
        prompt: file.prompt,
        agent: file.agent,
        model: file.model,
        max_turns: file.max_turns,
        tools: file.tools,
        allowed_tools: file.allowed_tools,
        disallowed_tools: file.disallowed_tools,
        resources: file.resources,
        timeout: file.timeout.map(|timeout| timeout.0),
        retries: file.retries,
        env: file.env,
        available: file.available.map(globs),
        trusted: globs(file.trusted),
        delegate: file.delegate,
        ..role
    };
    let mut role = role;
    // An agent may have no way to be told; the kernel has.
    role.permissions.read_only |= role.agent_tools().only_read();
    Ok(Imported { role, prompt_file: file.prompt_file, notes: Vec::new() })
}

fn is_variable(name: &str) -> bool {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    plain && !name.starts_with("GIT_") && !name.starts_with("PLEACH_")
}

fn permissions(said: Allow) -> Result<Permissions, Wrong> {
    let network = match said.network {
        None => None,
        Some(Whom::Word(word)) if word == "none" || word == "allow" => {
            Some(if word == "none" { Network::None } else { Network::Allow })
        }
        Some(Whom::Word(word)) => {
            return Err(Wrong::new(format!(
                "permissions.network is {word:?}, and should be \"none\", \"allow\" or a list of hosts"
            )));
        }
        Some(Whom::Hosts(hosts)) => {
            let rules = Rule::parse_all(hosts.iter().map(String::as_str));
            Some(Network::List(rules.map_err(|error| Wrong::new(format!("permissions.network: {error}")))?))
        }
    };
    for (key, paths) in [("write", &said.write), ("read", &said.read), ("hide", &said.hide)] {
        if let Some(path) = paths.iter().find(|path| !path.starts_with('/') && !path.starts_with("~/")) {
            return Err(Wrong::new(format!("permissions.{key}: {path} must be an absolute path, or start with ~/")));
        }
    }
    let is_program = |path: &&String| {
        !path.is_empty()
            && (!path.contains('/') || path.starts_with('/') || path.starts_with("~/"))
            && path.as_str() != ".."
    };
    if let Some(path) = said.exec.iter().flatten().find(|path| !is_program(path)) {
        let what = format!("permissions.exec: {path:?} must be a name, an absolute path, start with ~/, or be \".\"");
        return Err(Wrong::new(what));
    }
    let commands = said.commands.map(|patterns| Commands { patterns, read_only: false });
    commands
        .as_ref()
        .map_or(Ok(()), Commands::check)
        .map_err(|why| Wrong::new(format!("permissions.commands: {why}")))?;
    if said.memory.as_ref().is_some_and(|memory| memory.0 < LEAST_MEMORY) {
        return Err(Wrong::new(format!(
            "permissions.memory is less than {}: nothing would run",
            units::Bytes(LEAST_MEMORY)
        )));
    }
    if said.processes == Some(0) {
        return Err(Wrong::new("permissions.processes must be above 0"));
    }
    let parse = |error: crate::core::id::ParseId| Wrong::new(format!("permissions: {error}"));
    let words = |list: Vec<String>| list.iter().map(|text| Word::from(text.as_str())).collect::<Vec<_>>();
    Ok(Permissions {
        read_only: said.read_only,
        network,
        exec: said.exec.map(words),
        commands,
        write: words(said.write),
        read: words(said.read),
        hide: words(said.hide),
        env_pass: said.env_pass,
        memory: said.memory.map(|memory| memory.0),
        processes: said.processes,
        require: said.require.map_or(Ok(Tier::None), |tier| tier.parse().map_err(parse))?,
        home: said.home.map(|home| home.parse::<Home>().map_err(parse)).transpose()?,
    })
}

/// An error of a TOML file, with its line.
pub(super) fn wrong(text: &str, error: &toml::de::Error) -> Wrong {
    let before = error.span().and_then(|span| text.get(..span.start));
    Wrong { line: before.map(|before| before.matches('\n').count() + 1), what: error.message().replace('\n', " ") }
}
