//! Roles: which there are, who allowed them, and what a task of one may do.
//!
//! There is one way to give a task a role: [`choose`] finds it, has somebody asked where nobody allowed it, and answers a
//! [`Chosen`], which nothing else makes. What was read then is what is approved, and what the task gets: the file is not
//! looked at again.

mod find;
mod programs;

use std::path::PathBuf;

use super::agents::Wanted;
use super::submit::Wish;
use super::{Error, ErrorKind, Session, agents, approve};
use crate::config::{Untrusted, env};
use crate::core::agent::Changes;
use crate::core::report::roles::{RoleList, RoleReport, RoleRow};
use crate::core::role::frozen::Allowed;
use crate::core::role::{Note, Owner, Role, RoleName, TaskRole, is_agent, means, trust_all};
use crate::core::sandbox::{Policy, closer};
use crate::core::task::{CommandLine, quote};
use crate::core::word::Word;

pub use find::{Broken, Catalog, catalog};

/// A role that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it says.
    pub role: Role,
    /// Where it came from.
    pub source: &'static str,
    /// Whose word it is.
    pub owner: Owner,
    /// Its file.
    pub file: PathBuf,
    /// What of the file came to nothing.
    pub notes: Vec<Note>,
    /// The name of all that was read.
    pub hash: String,
}

/// What somebody at a terminal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// This once.
    Yes,
    /// And whenever it says the same.
    Always,
    /// No.
    No,
    /// Nobody is there.
    Nobody,
}

/// Asks whether a role may be used.
pub type Ask<'a> = &'a mut dyn FnMut(&RoleReport) -> Result<Answer, Error>;

/// A role that may be used: [`choose`] alone makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    found: Found,
    allowed: Allowed,
}

/// All roles, as they are told.
///
/// # Errors
/// Where the configuration or the list of approvals cannot be read.
pub fn list(session: &Session) -> Result<RoleList, Error> {
    let catalog = catalog(session)?;
    let rows = catalog.all.iter().map(|found| row(session, &catalog, found)).collect::<Result<_, _>>()?;
    Ok(RoleList::new(rows, catalog.broken.iter().map(Broken::row).collect()))
}

/// Those that whoever has the role `by` may hand tasks to, each with whether nobody need be asked.
///
/// # Errors
/// As [`list`]; and where there is no such role.
pub fn offered(session: &Session, by: Option<&str>) -> Result<Vec<(RoleRow, bool)>, Error> {
    let catalog = catalog(session)?;
    let by = by.map(|by| catalog.find(by)).transpose()?;
    let mut offered = Vec::new();
    for found in &catalog.all {
        let row = row(session, &catalog, found)?;
        if row.available && row.shadowed_by.is_none() && by.is_none_or(|by| by.role.may_use(&row.name)) {
            let is_trusted = allowed(session, found, by)?.is_some();
            offered.push((row, is_trusted));
        }
    }
    Ok(offered)
}

/// One role in full.
///
/// # Errors
/// Where there is none of this name.
pub fn show(session: &Session, name: &str) -> Result<RoleReport, Error> {
    let catalog = catalog(session)?;
    report(session, &catalog, catalog.find(name)?)
}

fn report(session: &Session, catalog: &Catalog, found: &Found) -> Result<RoleReport, Error> {
    let config = session.config()?;
    let nothing = CommandLine::Exec(Vec::new());
    let exec = programs::exec(&found.role.permissions, &nothing, &runner(session, &found.role));
    let (policy, refused) = found.role.permissions.narrow(&config.sandbox, found.owner, exec?);
    let agent = found.role.agent.as_ref().and_then(|name| agents::find(session, name).ok());
    let told = agent.map(|agent| found.role.agent_tools().told(&agent.value.tools)).unwrap_or_default();
    Ok(RoleReport {
        untold: told.open(&policy),
        told: told.options.into_iter().chain(told.variable.map(|(name, value)| format!("{name}={value}"))).collect(),
        schema: crate::core::report::SCHEMA,
        row: row(session, catalog, found)?,
        role: found.role.clone(),
        notes: found.notes.clone(),
        policy,
        refused,
    })
}

/// The program of its agent, where it names one that is known.
fn runner(session: &Session, role: &Role) -> Vec<String> {
    let agent = role.agent.as_ref().and_then(|name| agents::find(session, name).ok());
    agent.and_then(|agent| agent.value.command.first().cloned()).into_iter().collect()
}

fn row(session: &Session, catalog: &Catalog, found: &Found) -> Result<RoleRow, Error> {
    let first = catalog.first(&found.role.name);
    Ok(RoleRow {
        name: found.role.name.clone(),
        source: found.source.to_owned(),
        owner: found.owner,
        file: Word::from(found.file.as_path()),
        description: found.role.description.clone(),
        allowed: allowed(session, found, None)?,
        available: is_available(session, &found.role.name)?,
        shadowed_by: first.filter(|first| *first != found).map(|first| first.source.to_owned()),
        hash: found.hash.clone(),
        may: found.role.may(),
    })
}

fn is_available(session: &Session, name: &RoleName) -> Result<bool, Error> {
    Ok(session.config()?.roles.available.as_ref().is_none_or(|globs| means(globs, name)))
}

/// By whose word it may be used, if by anybody's. `by` is the role that hands the task over, where one does: then it is not
/// enough that the user wrote the file, as that role may do less than the user.
fn allowed(session: &Session, found: &Found, by: Option<&Found>) -> Result<Option<Allowed>, Error> {
    if means(&session.config()?.roles.trusted, &found.role.name) {
        return Ok(Some(Allowed::Trusted));
    }
    if by.is_none() && found.owner == Owner::User {
        return Ok(Some(Allowed::Own));
    }
    if approve::is_approved(&untrusted(found))? {
        return Ok(Some(Allowed::Approved));
    }
    let Some(by) = by.filter(|by| by.role.trusts(&found.role.name)) else { return Ok(None) };
    // Trust is not handed on: whoever trusts must be allowed without anybody's trust.
    Ok(allowed(session, by, None)?.map(|_| Allowed::ByRole))
}

/// What is approved: by its hash, which is of all that was read.
fn untrusted(found: &Found) -> Untrusted {
    Untrusted { what: "role", text: found.role.name.to_string(), file: found.file.clone(), hash: found.hash.clone() }
}

/// The role of this name for a task. `by` names the role of whoever hands the task over.
///
/// # Errors
/// Where there is none, it is not available, or nobody allows it.
pub fn choose(session: &Session, name: &str, by: Option<&str>, ask: Ask<'_>) -> Result<Chosen, Error> {
    super::inside::require_outside(session, "a role (a task hands its own role on)")?;
    let catalog = catalog(session)?;
    let by = by.map(|by| catalog.find(by)).transpose()?;
    let found = catalog.find(name)?;
    let said = &found.role.name;
    if !is_available(session, said)? {
        let message = format!("the role {said} is not available here");
        let hint = "your own pleach/config.toml says which are: [roles] available";
        return Err(Error::new(ErrorKind::UnknownRole, message, hint));
    }
    if let Some(by) = by.filter(|by| !by.role.may_use(said)) {
        let message = format!("the role {} may not hand tasks to the role {said}", by.role.name);
        let hint = format!("its file says to which: available (availableAgents in Kiro's), in {}", by.file.display());
        return Err(Error::new(ErrorKind::UnknownRole, message, hint));
    }
    if let Some(allowed) = allowed(session, found, by)? {
        return Ok(Chosen { found: found.clone(), allowed });
    }
    match ask(&report(session, &catalog, found)?)? {
        Answer::Yes => Ok(Chosen { found: found.clone(), allowed: Allowed::Once }),
        Answer::Always => {
            approve::approve(&[untrusted(found)])?;
            Ok(Chosen { found: found.clone(), allowed: Allowed::Approved })
        }
        Answer::No => {
            let message = format!("the role {said} was not allowed, so nothing was started");
            Err(Error::new(
                ErrorKind::UntrustedRole,
                message,
                format!("read it with `pleach roles show {}`", quote(name)),
            ))
        }
        Answer::Nobody => Err(not_allowed(found, name, by)),
    }
}

fn not_allowed(found: &Found, said: &str, by: Option<&Found>) -> Error {
    let (name, said) = (&found.role.name, quote(said));
    let (message, more) = match by {
        None => {
            let message =
                format!("the role {name} of {} is not approved, and nobody is there to ask", found.file.display());
            (message, format!("trust it in your own pleach/config.toml: [roles] trusted = [\"{name}\"]"))
        }
        // Trust counts only of one that is allowed itself.
        Some(by) if by.role.trusts(name) => {
            let message = format!(
                "the role {} trusts the role {name}, but is not approved itself as both are now, and nobody is there to ask",
                by.role.name
            );
            (
                message,
                format!("approve the one that trusts it: `pleach approve --role {}`", quote(by.role.name.as_str())),
            )
        }
        Some(by) => {
            let message =
                format!("the role {} does not trust the role {name}, and nobody is there to ask", by.role.name);
            (message, format!("name it under trusted (trustedAgents in Kiro's) in {}", by.file.display()))
        }
    };
    let hint = format!(
        "read it with `pleach roles show {said}`, then approve it with `pleach approve --role {said}`; or {more}"
    );
    Error::new(ErrorKind::UntrustedRole, message, hint)
}

/// Those of these names that nobody has allowed, to be approved.
///
/// # Errors
/// Where there is no such role.
pub fn pending(session: &Session, names: &[String]) -> Result<Vec<(Untrusted, RoleReport)>, Error> {
    let catalog = catalog(session)?;
    let mut open = Vec::new();
    for name in names {
        let found = catalog.find(name)?;
        if !approve::is_approved(&untrusted(found))? {
            open.push((untrusted(found), report(session, &catalog, found)?));
        }
    }
    Ok(open)
}

/// One line where an agent runs without a role: what holds it all the same.
///
/// # Errors
/// Where the configuration cannot be read.
pub fn unbound(session: &Session, wish: &Wish) -> Result<Option<String>, Error> {
    if session.is_inside() || wish.role.is_some() || !(wish.agent.is_some() || runs_agent(&wish.command)) {
        return Ok(None);
    }
    let mut policy = session.config()?.sandbox.clone();
    policy.read_only |= wish.read_only;
    policy.network = wish.network.clone().unwrap_or(policy.network);
    Ok(Some(trust_all(&policy)))
}

/// Does this command begin with an agent?
pub fn runs_agent(command: &CommandLine) -> bool {
    match command {
        CommandLine::Exec(words) => words.first().is_some_and(|word| is_agent(&word.shown())),
        CommandLine::Shell(line) => line.shown().split_whitespace().next().is_some_and(is_agent),
    }
}

impl Chosen {
    /// What it is called.
    pub fn name(&self) -> &RoleName {
        &self.found.role.name
    }

    /// Does it name an agent?
    pub fn has_agent(&self) -> bool {
        self.found.role.agent.is_some()
    }

    /// What stays of it with the task.
    pub(super) fn frozen(&self) -> TaskRole {
        TaskRole::of(&self.found.role, self.found.source, &self.found.hash, self.allowed)
    }

    /// May its tasks delegate?
    pub(super) fn delegates(&self) -> bool {
        self.found.role.delegates()
    }

    /// Variables that its tasks inherit.
    pub(super) fn env_pass(&self) -> &[String] {
        &self.found.role.permissions.env_pass
    }

    /// What a task of it may touch that runs this, and what was not granted.
    pub(super) fn policy(&self, policy: &Policy, command: &CommandLine, agent: Option<&str>) -> Result<Policy, Error> {
        let runner: Vec<String> = agent.map(str::to_owned).into_iter().collect();
        let permissions = &self.found.role.permissions;
        let exec = programs::exec(permissions, command, &runner)?;
        Ok(permissions.narrow(policy, self.found.owner, exec).0)
    }

    /// Lay the role under what somebody wants: what was said for this one task is nearer.
    pub(super) fn fill(&self, session: &Session, mut wish: Wish) -> Result<Wish, Error> {
        let role = &self.found.role;
        let config = session.config()?;
        wish.timeout = wish.timeout.or(match self.found.owner {
            Owner::User => role.timeout.or(config.timeout),
            Owner::Project => closer(config.timeout, role.timeout),
        });
        wish.retries = wish.retries.or(role.retries);
        for (name, value) in &role.env {
            wish.env.entry(name.clone()).or_insert_with(|| Word::from(value.as_str()));
        }
        if let Some(prompt) = wish.env.get_mut(env::PROMPT_TEXT) {
            *prompt = Word::from(self.frozen().before(&prompt.shown()));
        }
        wish.agent = wish.agent.map(|wanted| self.agent(session, wanted)).transpose()?;
        Ok(wish)
    }

    /// Who does it, where an agent does.
    fn agent(&self, session: &Session, mut wanted: Wanted) -> Result<Wanted, Error> {
        let role = &self.found.role;
        let own = role.agent.clone().unwrap_or_default();
        if wanted.name.is_empty() {
            if own.is_empty() {
                let message = format!("the role {} names no agent that could do what a prompt asks", role.name);
                return Err(Error::new(ErrorKind::Usage, message, "name one: --agent AGENT (see `pleach agents`)"));
            }
            wanted.name = own.clone();
        }
        // A model is one of its agent's; another agent has others.
        if wanted.name == own {
            wanted.model = wanted.model.or_else(|| role.model.clone());
        }
        wanted.tools = role.agent_tools();
        let has_turns = !agents::find(session, &wanted.name)?.value.turns.is_empty();
        wanted.turns = wanted.turns.or(role.max_turns.filter(|_| has_turns));
        wanted.changes = wanted.changes.or(match (role.result.require_changes, role.permissions.read_only) {
            (true, _) => Some(Changes::Required),
            (false, true) => Some(Changes::Optional),
            (false, false) => None,
        });
        Ok(wanted)
    }
}
