//! What a repository's own file wants run is run only after its user said yes to exactly that text.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{Error, ErrorKind, Session, consent};
use crate::config::{self, Untrusted};
use crate::store::{self, StoreError};

/// The key of the setup hook.
pub const SETUP: &str = "worktree.setup";
/// The key of variables that are passed on.
pub(super) const ENV_PASS: &str = "run.env_pass";
/// The key of what is tried where git finds a conflict.
pub(super) const DRIVER: &str = "merge.driver";
/// The key of hooks that are asked before a commit lands.
pub(super) const HOOKS: &str = "fold.hooks";
/// The key of the check of a target.
pub(super) const VERIFY: &str = "verify";

/// What is asked for and not approved.
///
/// # Errors
/// Where the list of approvals cannot be read.
pub fn pending(session: &Session) -> Result<Vec<Untrusted>, Error> {
    open(session, consent::is_missing(session)?)
}

/// The same for somebody who came to approve: whether a sandbox works here is tried anew.
///
/// # Errors
/// As `pending`.
pub fn pending_now(session: &Session) -> Result<Vec<Untrusted>, Error> {
    open(session, consent::is_missing_now(session)?)
}

fn open(session: &Session, needs_consent: bool) -> Result<Vec<Untrusted>, Error> {
    let mut wanted = session.config()?.needs_approval();
    if needs_consent {
        wanted.push(consent::wanted(session));
    }
    if wanted.is_empty() {
        return Ok(wanted);
    }
    let approved = load()?;
    Ok(wanted.into_iter().filter(|one| !approved.contains(&one.hash)).collect())
}

/// Approve these, for good: another text asks again.
///
/// # Errors
/// Where that cannot be written down.
pub fn approve(list: &[Untrusted]) -> Result<(), Error> {
    let mut approved = load()?;
    approved.extend(list.iter().map(|one| one.hash.clone()));
    let path = file()?;
    if let Some(dir) = path.parent() {
        store::make_dir(dir)?;
    }
    let text: String = approved.into_iter().map(|hash| hash + "\n").collect();
    Ok(store::replace(&path, text.as_bytes())?)
}

/// Was this approved?
pub(super) fn is_approved(one: &Untrusted) -> Result<bool, Error> {
    Ok(load()?.contains(&one.hash))
}

/// Fail where one of these is set and not approved. What is left out needs no approval.
pub(super) fn require(session: &Session, keys: &[&str]) -> Result<(), Error> {
    let wanted = session.config()?.needs_approval();
    let mut open = wanted.into_iter().filter(|one| keys.contains(&one.what)).peekable();
    if open.peek().is_none() {
        return Ok(());
    }
    let approved = load()?;
    let open = open.find(|one| !approved.contains(&one.hash));
    let Some(first) = open else { return Ok(()) };
    Err(Error::new(
        ErrorKind::Refused,
        format!("{} sets {} = {:?}, which nobody has approved", first.file.display(), first.what, first.text),
        "read it, and then approve it with `pleach approve`",
    ))
}

fn load() -> Result<BTreeSet<String>, Error> {
    let bytes = store::read(&file()?)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
}

/// The user's own file: not in the repository, where whoever writes the hook could also approve it.
fn file() -> Result<PathBuf, Error> {
    let home = config::env::state_dir().or_else(|| config::env::state_home().map(|home| home.join("pleach")));
    let missing = StoreError::file("find a place for", "approved");
    let home = home.ok_or_else(|| Error::from(missing(std::io::ErrorKind::NotFound.into())))?;
    Ok(home.join("approved"))
}
