//! A result leaves the private repository and enters the user's.
use super::{GitError, Repository, worktree::Place};
use crate::core::change::{Flag, Size};
use crate::core::id::CommitId;
use std::path::Path;

/// What became of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Imported {
    /// All tips and all that they need are in the repository.
    Done,
    /// Nothing was taken over.
    Refused(String),
}
/// Write the pack.
pub fn export(_place: &Place, _tips: &[CommitId], _base: CommitId, _file: &Path) -> Result<(), GitError> {
    todo!()
}
/// Take it over.
pub fn import(_repo: &Repository, _file: &Path, _tips: &[CommitId], _base: CommitId) -> Result<Imported, GitError> {
    todo!()
}
/// Remove quarantine directories that a crash left. Only while no import runs.
pub fn sweep_quarantine(_repo: &Repository) -> Result<(), GitError> {
    todo!()
}
/// How large a change is, and what is odd about it.
pub fn inspect(_repo: &Repository, _base: CommitId, _tip: CommitId) -> Result<(Size, Vec<Flag>), GitError> {
    todo!()
}
