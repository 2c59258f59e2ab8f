//! Where no sandbox works, nothing runs in a repository before its user agreed to that, once. Who set the tier `none`
//! agreed by that.

use std::path::PathBuf;

use super::{Error, ErrorKind, Session, approve, sandbox};
use crate::config::Untrusted;
use crate::core::sandbox::{Policy, Tier};
use crate::sandbox::probe;
use crate::store;

/// What somebody agrees to.
pub(super) const UNCONFINED: &str = "sandbox.unconfined";
/// Changes with each boot of the machine.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// What is agreed to in this repository.
pub(super) fn wanted(session: &Session) -> Untrusted {
    let common = session.repository().common_dir();
    Untrusted::new(UNCONFINED, "tasks without a sandbox, as none works here".to_owned(), common)
        .in_place(&common.to_string_lossy())
}

/// Must somebody agree before a task runs here?
///
/// # Errors
/// Where the configuration cannot be read.
pub(super) fn is_missing(session: &Session) -> Result<bool, Error> {
    Ok(session.config()?.sandbox.needs_consent() && !works(session))
}

/// The same, tried now: a task that found no sandbox although one was there earlier sends its user here.
pub(super) fn is_missing_now(session: &Session) -> Result<bool, Error> {
    let is_missing = session.config()?.sandbox.needs_consent() && !found();
    if let (true, Some(mark)) = (is_missing, mark(session)) {
        // What holds no longer is not believed again; where it cannot be removed, a task still says so.
        let _ = std::fs::remove_file(mark);
    }
    Ok(is_missing)
}

/// Where it is written down that a tier works.
fn mark(session: &Session) -> Option<PathBuf> {
    session.layout().and_then(|layout| layout.state.parent()).map(|root| root.join("sandbox-works"))
}

/// Does any tier work here? What was found holds until the machine boots; should it not, nothing runs all the same.
fn works(session: &Session) -> bool {
    let Some(mark) = mark(session) else { return found() };
    let boot = store::read(BOOT.as_ref()).ok().flatten();
    if boot.is_some() && store::read(&mark).ok().flatten() == boot {
        return true;
    }
    let works = found();
    if let (true, Some(boot)) = (works, boot) {
        // Without it, it is only tried again.
        let _ = store::replace_with(&mark, &boot, store::Durable::No);
    }
    works
}

fn found() -> bool {
    sandbox::probe().best > Tier::None
}

/// Fail where somebody must agree and has not.
pub(super) fn require(session: &mut Session) -> Result<(), Error> {
    // It may have been given a moment ago.
    let mut policy = session.config()?.sandbox.clone();
    fill(&mut policy, session);
    session.config.sandbox = policy;
    if !is_missing(session)? {
        return Ok(());
    }
    let mend = sandbox::probe().refused.iter().find_map(probe::mend);
    let mend = mend.map_or_else(String::new, |mend| format!("; or mend it: {mend}"));
    Err(Error::new(
        ErrorKind::Unconfined,
        "no sandbox works here, so a task could do whatever you can, and nobody has agreed to that in this repository",
        format!("agree once with `pleach approve`, or for all with PLEACH_SANDBOX=none or `tier = \"none\"`{mend}"),
    ))
}

/// The policy with what was agreed to here.
pub(super) fn fill(policy: &mut Policy, session: &Session) {
    if policy.tier.is_none() {
        policy.unconfined = approve::is_approved(&wanted(session)).unwrap_or(false);
    }
}
