//! Left-overs become a commit.
use super::{GitError, Repository, worktree::Place};
use crate::core::id::CommitId;
use crate::core::word::Word;

/// What an attempt leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The commit that holds the worktree as it is; the base, where nothing differs.
    pub tip: CommitId,
    /// Other things it left: a name (one component of a ref name), and a commit.
    pub extras: Vec<(String, CommitId)>,
    /// Repositories inside the worktree.
    pub left_out: Vec<Word>,
    /// What a person should know.
    pub notes: Vec<String>,
}
/// Take it.
pub fn take(_repo: &Repository, _place: &Place, _base: CommitId, _message: &str) -> Result<Snapshot, GitError> {
    todo!()
}
