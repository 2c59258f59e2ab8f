//! What a target has to pass, as it is frozen in a request.

use super::{Error, Session, approve};
use crate::config;
use crate::core::secret::is_secret;
use crate::core::state::Task;
use crate::core::task::LandingHook;
use crate::core::verify::Check;
use crate::store::environment;

/// What somebody said of verifying.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verifying {
    /// Which check.
    pub how: How,
    /// Verify anew, whatever is known.
    pub no_cache: bool,
}

/// Which check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum How {
    /// The one that is set up, if one is.
    #[default]
    Configured,
    /// This line for `sh -c`, with all else as it is set up.
    Command(String),
    /// None, on purpose.
    No,
}

/// A check for a request, with the environment that its runs inherit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Frozen {
    pub(super) check: Option<Box<Check>>,
    /// Somebody said that none is to be used.
    pub(super) unverified: bool,
    /// Hooks that are asked before a commit lands.
    pub(super) hooks: Vec<LandingHook>,
}

impl Verifying {
    /// The same for this task: where nobody says anything else, what somebody typed for it before counts.
    pub(super) fn of(&self, task: &Task) -> Self {
        let typed = || task.spec.check.as_ref().filter(|check| check.typed).map(|check| &check.command);
        let how = match (&self.how, task.typed_check.as_ref().or_else(typed)) {
            (How::Configured, Some(command)) => How::Command(command.clone()),
            (How::Configured, None) if task.spec.unverified => How::No,
            (how, _) => how.clone(),
        };
        Self { how, no_cache: self.no_cache }
    }
}

/// Freeze it.
///
/// # Errors
/// Where nobody approved what a repository's own file wants run.
pub(super) fn freeze(session: &mut Session, said: &Verifying) -> Result<Frozen, Error> {
    if said.how == How::No {
        return Ok(Frozen { check: None, unverified: true, hooks: Vec::new() });
    }
    let configured = session.config()?.verify.value.clone();
    let hooks = session.config()?.hooks.value.clone();
    if !hooks.is_empty() {
        approve::require(session, &[approve::HOOKS])?;
    }
    let check = match &said.how {
        How::Configured | How::No => configured,
        How::Command(command) => {
            let typed =
                Check { command: command.clone(), scopes: Vec::new(), typed: true, ..configured.unwrap_or_default() };
            Some(typed)
        }
    };
    let Some(check) = check else { return Ok(Frozen { hooks, ..Frozen::default() }) };
    // A command that somebody typed needs nobody's approval; what a fingerprint runs does.
    if said.how == How::Configured || !check.fingerprint.commands.is_empty() {
        approve::require(session, &[approve::VERIFY, approve::ENV_PASS])?;
    }
    let driver = session.config()?.driver.value.clone();
    if driver.is_some() {
        approve::require(session, &[approve::DRIVER, approve::ENV_PASS])?;
    }
    let layout = session.make_layout()?.clone();
    // A check may come long after its task: what would have to be kept for so long is not given to it.
    let inherited = config::env::inherited(&session.config()?.env_pass.value);
    let inherited = inherited.into_iter().filter(|(name, _)| !is_secret(name)).collect();
    let environment = Some(environment::keep(&layout, &inherited)?);
    let sandbox = session.config()?.sandbox.clone();
    let check = Check { environment, driver, sandbox, no_cache: said.no_cache, ..check };
    Ok(Frozen { check: Some(Box::new(check)), unverified: false, hooks })
}
