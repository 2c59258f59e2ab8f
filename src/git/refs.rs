//! Refs move by compare-and-swap, several in one transaction, or not at all.
//!
//! Who has many transactions keeps a [`RefSession`]: one git process for all of them. It holds no lock between two, and
//! whatever it does not answer with a plain yes is asked again of a process of its own, whose words then count.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp};

use super::{GitError, Repository, locks};
use crate::core::id::CommitId;
use crate::core::word::one_line;
use crate::process::clock;
use crate::process::tool::Conversation;

/// One ref of a transaction. Names are full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefChange {
    /// It must not be there; then it is.
    Create(String, CommitId),
    /// It must be at `from`; then it is at `to`.
    Advance {
        /// Which.
        name: String,
        /// Where it must be.
        from: CommitId,
        /// Where it goes.
        to: CommitId,
    },
    /// Wherever it was: for refs that are ours alone.
    Set(String, CommitId),
    /// It must be at this commit; then it is gone.
    Delete(String, CommitId),
}

impl RefChange {
    /// The ref.
    pub fn name(&self) -> &str {
        match self {
            Self::Create(name, _) | Self::Set(name, _) | Self::Delete(name, _) | Self::Advance { name, .. } => name,
        }
    }

    /// The line for `git update-ref --stdin -z`.
    pub fn line(&self) -> Vec<u8> {
        match self {
            Self::Create(name, to) => format!("create {name}\0{to}\0"),
            Self::Advance { name, from, to } => format!("update {name}\0{to}\0{from}\0"),
            // An empty old value means: whatever it was.
            Self::Set(name, to) => format!("update {name}\0{to}\0\0"),
            Self::Delete(name, from) => format!("delete {name}\0{from}\0"),
        }
        .into_bytes()
    }
}

/// Transactions on the refs of one repository, by a git process that stays. It ends with us: with our end of its pipe.
#[derive(Debug)]
pub struct RefSession {
    repository: Repository,
    open: Mutex<Option<Open>>,
}

/// A process that waits for transactions.
#[derive(Debug)]
struct Open {
    git: Conversation,
    config: ConfigStamp,
    used: Timestamp,
}

/// Size and time of the repository's configuration: which hooks run, and what a branch's log is.
type ConfigStamp = Option<(u64, SystemTime)>;

/// After so long without work the process is asked nothing more: it may not have seen what changed since.
const STALE: SignedDuration = SignedDuration::from_secs(5);

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swap {
    /// All of it happened.
    Done,
    /// None of it happened: a ref was not where it had to be, or something refused it, in git's words.
    Refused(String),
}

/// The session works elsewhere than in the repository: whoever asks whether a git is at work there, and may hold a lock
/// that was found, must not meet this one, which holds none between two transactions.
const SESSION: [&str; 7] = ["-c", "core.hooksPath=/dev/null", "update-ref", "-m", "pleach", "--stdin", "-z"];

impl RefSession {
    /// For this repository. Nothing is started yet.
    pub fn new(repository: Repository) -> Self {
        Self { repository, open: Mutex::new(None) }
    }

    /// Change refs in one transaction, as [`Repository::update_refs`] does. `reason` is what their logs say where the
    /// session cannot do it; it has one for all of its own.
    ///
    /// # Errors
    /// Where git cannot be run at all.
    pub fn update(&self, changes: &[RefChange], reason: &str) -> Result<Swap, GitError> {
        if changes.is_empty() {
            return Ok(Swap::Done);
        }
        if self.is_done(changes) { Ok(Swap::Done) } else { self.repository.update_refs(changes, reason) }
    }

    /// Did the session do it? If not, the session is over.
    fn is_done(&self, changes: &[RefChange]) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (config, now) = (self.config(), clock::now());
        let fresh = |open: &Open| open.config == config && now.duration_since(open.used).abs() < STALE;
        let git = match open.take() {
            Some(open) if fresh(&open) => Some(open.git),
            other => {
                end(other.map(|open| open.git));
                self.repository.git().dir("/").args(SESSION).converse(None).ok()
            }
        };
        let Some(mut git) = git else { return false };
        let done = transact(&mut git, changes);
        if done {
            *open = Some(Open { git, config, used: now });
        } else {
            end(Some(git));
        }
        done
    }

    fn config(&self) -> ConfigStamp {
        let meta = fs::metadata(self.repository.common_dir().join("config")).ok()?;
        Some((meta.len(), meta.modified().ok()?))
    }
}

/// It ends by itself once nobody speaks to it; waited for, so that it does not stay as a dead child.
fn end(git: Option<Conversation>) {
    let _ = git.map(Conversation::end);
}

/// One transaction. No lock is taken before `commit`, and none is held after its answer.
fn transact(git: &mut Conversation, changes: &[RefChange]) -> bool {
    let lines: Vec<u8> = changes.iter().flat_map(RefChange::line).collect();
    let said = git.say(&[b"start\0", &lines[..], b"commit\0"].concat());
    let mut answers = |answer: &str| git.hear().is_ok_and(|line| line == answer);
    said.is_ok() && answers("start: ok") && answers("commit: ok")
}

impl Repository {
    /// Change refs in one transaction. This is our own bookkeeping (what is pinned, kept, shown), so hooks of the user
    /// (`reference-transaction`) do not run: one that refuses must not cost a result. They run when a target moves.
    ///
    /// # Errors
    /// Where git cannot be run at all.
    pub fn update_refs(&self, changes: &[RefChange], reason: &str) -> Result<Swap, GitError> {
        if changes.is_empty() {
            return Ok(Swap::Done);
        }
        let lines: Vec<u8> = changes.iter().flat_map(RefChange::line).collect();
        let swap = || -> Result<Swap, GitError> {
            // These are refs of ours: no hook of the user can hold a result up.
            let tool = self.git().args(["-c", "core.hooksPath=/dev/null", "update-ref", "-m", reason, "--stdin", "-z"]);
            let output = tool.input(lines.clone()).output()?;
            Ok(match output.code {
                Some(0) => Swap::Done,
                _ => Swap::Refused(one_line(output.stderr.trim().trim_start_matches("fatal: "))),
            })
        };
        let swapped = swap()?;
        // A git that was killed may have left a lock on one of them: without that it is tried once more.
        if swapped != Swap::Done && locks::clear_for(self, changes.iter().map(RefChange::name))?.dead > 0 {
            return swap();
        }
        Ok(swapped)
    }

    /// All refs below a prefix that ends with `/`, with their commits.
    ///
    /// # Errors
    /// Where git cannot be asked.
    pub fn refs_below(&self, prefix: &str) -> Result<BTreeMap<String, CommitId>, GitError> {
        self.refs_in_process(prefix).map_or_else(|| self.refs_by_git(prefix), Ok)
    }

    /// None where the library cannot read each of them.
    fn refs_in_process(&self, prefix: &str) -> Option<BTreeMap<String, CommitId>> {
        let library = self.library()?;
        let mut refs = BTreeMap::new();
        for reference in library.references_glob(&format!("{prefix}*")).ok()? {
            let reference = reference.ok()?;
            let id = reference.resolve().ok()?.target()?;
            refs.insert(reference.name().ok()?.to_owned(), id.to_string().parse().ok()?);
        }
        Some(refs)
    }

    fn refs_by_git(&self, prefix: &str) -> Result<BTreeMap<String, CommitId>, GitError> {
        let answer = self.git().args(["for-each-ref", "--format=%(objectname) %(refname)", prefix]).run()?;
        let lines = String::from_utf8_lossy(&answer).into_owned();
        let pairs = lines.lines().filter_map(|line| line.split_once(' '));
        Ok(pairs.filter_map(|(id, name)| Some((name.to_owned(), id.parse().ok()?))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Tool;

    #[test]
    fn the_library_tells_the_refs_below_a_prefix_that_git_tells() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        let git = |args: &[&str]| {
            let who = ["-c", "user.name=x", "-c", "user.email=x@y", "-c", "tag.gpgsign=false"];
            Tool::git().dir(&top).args(who).args(args).run().unwrap()
        };
        git(&["init", "-q", "-b", "main"]);
        git(&["commit", "-q", "--allow-empty", "-m", "first"]);
        git(&["tag", "-am", "annotated", "annotated"]);
        for name in ["refs/pleach/base/1.1", "refs/pleach/base/2.1", "refs/pleach/based", "refs/heads/pleach/1-\u{e9}"]
        {
            git(&["update-ref", name, "HEAD"]);
        }
        git(&["pack-refs", "--all"]);
        git(&["update-ref", "refs/pleach/base/3.1", "HEAD"]);
        git(&["update-ref", "-d", "refs/pleach/base/2.1"]);
        git(&["symbolic-ref", "refs/heads/pleach/alias", "refs/heads/main"]);
        let repo = Repository::at(top.join(".git"));
        for (prefix, count) in [("refs/pleach/base/", 2), ("refs/heads/pleach/", 2), ("refs/", 7), ("refs/none/", 0)] {
            let by_git = repo.refs_by_git(prefix).unwrap();
            assert_eq!((repo.refs_in_process(prefix), by_git.len()), (Some(by_git), count), "{prefix}");
        }
    }
}
