//! Refs move by compare-and-swap, several in one transaction, or not at all.

use std::collections::BTreeMap;

use super::{GitError, Repository, locks};
use crate::core::id::CommitId;
use crate::core::word::one_line;

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

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swap {
    /// All of it happened.
    Done,
    /// None of it happened: a ref was not where it had to be, or something refused it, in git's words.
    Refused(String),
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
        let answer = self.git().args(["for-each-ref", "--format=%(objectname) %(refname)", prefix]).run()?;
        let lines = String::from_utf8_lossy(&answer).into_owned();
        let pairs = lines.lines().filter_map(|line| line.split_once(' '));
        Ok(pairs.filter_map(|(id, name)| Some((name.to_owned(), id.parse().ok()?))).collect())
    }
}
