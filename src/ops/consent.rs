//! Where no sandbox works, nothing runs in a repository before its user agreed to that, once. Who set the tier `none`
//! agreed by that.

use std::path::PathBuf;

use super::{Error, ErrorKind, Session, approve, sandbox};
use crate::config::Untrusted;
use crate::core::sandbox::{Policy, Tier};
use crate::sandbox::probe;
use crate::store::{self, Layout};

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
    Ok(session.config()?.sandbox.needs_consent() && best(session) == Tier::None)
}

/// The same, tried now: a task that found no sandbox although one was there earlier sends its user here.
pub(super) fn is_missing_now(session: &Session) -> Result<bool, Error> {
    let is_missing = session.config()?.sandbox.needs_consent() && sandbox::probe().best == Tier::None;
    if let (true, Some(mark)) = (is_missing, mark(session)) {
        // What holds no longer is not believed again; where it cannot be removed, a task still says so.
        let _ = std::fs::remove_file(mark);
    }
    Ok(is_missing)
}

/// Where it is written down which tier works.
fn mark(session: &Session) -> Option<PathBuf> {
    session.layout().and_then(Layout::works)
}

/// The best tier that works here. What was found holds until the machine boots, or a task finds less; should it not,
/// nothing starts with less than it must have all the same.
fn best(session: &Session) -> Tier {
    let Some(mark) = mark(session) else { return sandbox::probe().best };
    let boot = store::read(BOOT.as_ref()).ok().flatten();
    let known = store::read(&mark).ok().flatten();
    let known = boot.as_ref().zip(known).and_then(|(boot, known)| tier_of(known.strip_prefix(&boot[..])?));
    known.unwrap_or_else(|| look(session))
}

/// The same, tried now.
fn look(session: &Session) -> Tier {
    let best = sandbox::probe().best;
    let boot = store::read(BOOT.as_ref()).ok().flatten();
    if let (true, Some(mark), Some(mut boot)) = (best > Tier::None, mark(session), boot) {
        boot.extend_from_slice(best.as_str().as_bytes());
        // Without it, it is only tried again.
        let _ = store::replace_with(&mark, &boot, store::Durable::No);
    }
    best
}

fn tier_of(bytes: &[u8]) -> Option<Tier> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// Fail where a task that requires this much, beside what is set, cannot have it, or where somebody must agree to less and has
/// not. Answers the best tier that works here, where none is named.
pub(super) fn require(session: &mut Session, required: Tier) -> Result<Option<Tier>, Error> {
    // It may have been given a moment ago.
    let mut policy = session.config()?.sandbox.clone();
    fill(&mut policy, session);
    session.config.sandbox = policy;
    let policy = &session.config()?.sandbox;
    let (named, required) = (policy.tier, policy.require.max(required));
    if let Some(tier) = named.filter(|tier| *tier < required) {
        return Err(Error::new(
            ErrorKind::Unconfined,
            format!("it is required to have the {required} tier of the sandbox, and {tier} is what is asked for"),
            "leave `[sandbox] tier` and PLEACH_SANDBOX out, or require less",
        ));
    }
    if named.is_some() && required == Tier::None {
        return Ok(None);
    }
    let needs_consent = policy.needs_consent();
    let mut best = best(session);
    if best < required {
        // Somebody may have mended it since.
        best = look(session);
    }
    if best < required {
        return Err(not_enough(required));
    }
    if needs_consent && best == Tier::None {
        return Err(nobody_agreed());
    }
    Ok(Some(best).filter(|_| named.is_none()))
}

fn not_enough(required: Tier) -> Error {
    let found = sandbox::probe();
    let why = found.refused.iter().find(|refused| refused.tier == required).or(found.refused.first());
    let message = format!(
        "it is required to have the {required} tier of the sandbox (--require-sandbox, or `require` in [sandbox]), and {}",
        why.map_or_else(|| "that does not work here".to_owned(), ToString::to_string)
    );
    let mend = why
        .and_then(probe::mend)
        .map_or_else(|| "see what would with `pleach doctor`".to_owned(), |mend| format!("mend it: {mend}"));
    let less =
        if found.best > Tier::None { format!("; or require less: {} works here", found.best) } else { String::new() };
    Error::new(ErrorKind::Unconfined, message, format!("{mend}{less}"))
}

fn nobody_agreed() -> Error {
    let mend = sandbox::probe().refused.iter().find_map(probe::mend);
    let mend = mend.map_or_else(String::new, |mend| format!("; or mend it: {mend}"));
    Error::new(
        ErrorKind::Unconfined,
        "no sandbox works here, so a task could do whatever you can, and nobody has agreed to that in this repository",
        format!("agree once with `pleach approve`, or for all with PLEACH_SANDBOX=none or `tier = \"none\"`{mend}"),
    )
}

/// The policy with what was agreed to here.
pub(super) fn fill(policy: &mut Policy, session: &Session) {
    if policy.tier.is_none() {
        policy.unconfined = approve::is_approved(&wanted(session)).unwrap_or(false);
    }
}
