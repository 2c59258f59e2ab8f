//! The agents that there are, and which of them can be run here.

use std::io::{Read as _, Seek as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::{Error, ErrorKind, Session, approve};
use crate::config::{self, Origin, Sourced, agents as said};
use crate::core::agent::{self, Agent, Assigned, Changes, Permit, Tools};
use crate::core::state::Limited;
use crate::core::word::shown;
use crate::process::supervise::{plainly, run_quietly};
use crate::process::{Tool, clock};

/// The agent that somebody wants, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// What it is called.
    pub name: String,
    /// Which model.
    pub model: Option<String>,
    /// How many turns it may take.
    pub turns: Option<u32>,
    /// What it may cost, in dollars.
    pub budget: Option<String>,
    /// Must it change something?
    pub changes: Option<Changes>,
    /// What its questions are answered.
    pub permit: Permit,
    /// What its role says of its tools.
    pub tools: Tools,
    /// What it is told; none where a plan says that.
    pub prompt: Option<String>,
}

/// An agent, and what is known of it here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// How it is called and understood.
    #[serde(flatten)]
    pub agent: Agent,
    /// Who said so: `built in`, `user` or `repository`.
    pub from: &'static str,
    /// Where its program is; none where it is not found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<PathBuf>,
    /// What it says of its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The version that was seen to work with pleach; none where nobody has tried it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tested: Option<&'static str>,
    /// How to get it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub install: Option<&'static str>,
    /// Why none of its tasks starts now: its provider gives it no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limited: Option<Limited>,
}

/// All agents that could be named here.
///
/// # Errors
/// Where the configuration or the journal cannot be read.
pub fn list(session: &Session) -> Result<Vec<Listed>, Error> {
    let config = session.config()?;
    let state = session.state()?;
    let mut names: Vec<String> = agent::presets().map(|preset| preset.agent.name).collect();
    names.extend(config.agents.keys().filter(|name| agent::preset(name).is_none()).cloned());
    let one = |name: &String| {
        let known = agent::preset(name);
        let Sourced { value, from } = find(session, name)?;
        let program = program(&value);
        let version = program.as_ref().and_then(version);
        Ok(Listed {
            from: match from {
                Origin::Default => "built in",
                Origin::User(_) => "user",
                Origin::Repository(_) => "repository",
            },
            version,
            program,
            tested: known.as_ref().and_then(|preset| preset.tested),
            install: known.map(|preset| preset.install),
            limited: state.limited(name).filter(|limited| limited.holds(clock::now())).cloned(),
            agent: value,
        })
    };
    names.iter().map(one).collect()
}

/// The agent of this name.
///
/// # Errors
/// Where there is none.
pub fn find(session: &Session, name: &str) -> Result<Sourced<Agent>, Error> {
    let config = session.config()?;
    let built_in = || agent::preset(name).map(|preset| Sourced { value: preset.agent, from: Origin::Default });
    config.agents.get(name).cloned().or_else(built_in).ok_or_else(|| {
        let message = format!("there is no agent {name:?}");
        Error::new(ErrorKind::Usage, message, "see those that there are with `pleach agents`, or set up [agents.NAME]")
    })
}

/// Is there an agent of this name?
pub fn is_known(session: &Session, name: &str) -> bool {
    agent::is_name(name) && find(session, name).is_ok()
}

/// Freeze what is wanted.
///
/// # Errors
/// Where there is no such agent, it cannot do what is asked, or a repository speaks of it and nobody has approved that.
pub(super) fn assign(session: &Session, wanted: &Wanted) -> Result<Assigned, Error> {
    let Sourced { value: agent, from } = find(session, &wanted.name)?;
    if matches!(from, Origin::Repository(_)) {
        approve::require(session, &[said::KEY])?;
    }
    if wanted.prompt.as_ref().is_some_and(|prompt| prompt.trim().is_empty()) {
        let hint = "say what it is to do with --prompt TEXT or --prompt-file FILE";
        return Err(Error::new(ErrorKind::Usage, format!("{} is told nothing", agent.name), hint));
    }
    let assigned = Assigned {
        model: wanted.model.clone(),
        turns: wanted.turns,
        budget: wanted.budget.clone(),
        changes: wanted.changes.unwrap_or(agent.changes),
        permit: wanted.permit,
        tools: wanted.tools.clone(),
        prompt: wanted.prompt.clone(),
        ..Assigned::new(agent)
    };
    assigned.check().map_err(|unfit| {
        Error::new(
            ErrorKind::Usage,
            unfit.to_string(),
            "leave that out, or see what it can with `pleach agents --json`",
        )
    })?;
    Ok(assigned)
}

/// Where its program is.
fn program(agent: &Agent) -> Option<PathBuf> {
    let name = agent.command.first()?;
    let is_program = |path: &PathBuf| {
        std::fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(is_program);
    }
    config::env::search_path().into_iter().map(|dir| dir.join(name)).find(is_program)
}

/// What it says of its version, where it does so soon.
fn version(program: &PathBuf) -> Option<String> {
    const PATIENCE: Duration = Duration::from_secs(10);
    let mut out = tempfile::tempfile().ok()?;
    let null = || std::fs::File::open("/dev/null").map(OwnedFd::from).ok();
    let streams = [null(), Some(out.try_clone().ok()?.into()), null()];
    let command = Tool::new(program).arg("--version").into_command();
    run_quietly(command, streams, plainly, &mut |taken| taken > PATIENCE).ok()??;
    let mut bytes = Vec::new();
    out.rewind().ok()?;
    out.take(1 << 10).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let line = text.lines().map(str::trim).find(|line| line.chars().any(|c| c.is_ascii_digit()))?;
    Some(shown(&line.chars().take(60).collect::<String>()))
}
