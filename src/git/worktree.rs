//! The linked worktree that everybody else sees.
use super::{GitError, Repository};
use crate::core::id::CommitId;
use std::path::{Path, PathBuf};

/// Proof of holding the repository-wide lock on worktree administration.
#[derive(Debug)]
pub struct WorktreeLock {
    _file: std::fs::File,
}
impl WorktreeLock {
    /// Wait for the lock.
    pub fn acquire(_repo: &Repository) -> Result<Self, GitError> {
        todo!()
    }
}
/// Where an attempt works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The worktree.
    pub worktree: PathBuf,
    /// The private git directory.
    pub private: PathBuf,
}
/// What is there of a worktree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Nothing.
    Absent,
    /// Some of it.
    HalfMade,
    /// All of it.
    Registered,
}
/// Look.
pub fn seen(_repo: &Repository, _worktree: &Path) -> Result<Seen, GitError> {
    todo!()
}
/// Register.
pub fn register(
    _repo: &Repository,
    _lock: &WorktreeLock,
    _worktree: &Path,
    _base: CommitId,
    _reason: &str,
) -> Result<(), GitError> {
    todo!()
}
/// Lead `.git` to the private directory.
pub fn lead_inside(_place: &Place) -> Result<(), GitError> {
    todo!()
}
/// Lead `.git` to the repository again.
pub fn lead_outside(_repo: &Repository, _place: &Place) -> Result<(), GitError> {
    todo!()
}
/// Remove; calls `at` with "remove.renamed" and "remove.unregistered".
pub fn remove(
    _repo: &Repository,
    _lock: &WorktreeLock,
    _place: &Place,
    _trash: &Path,
    _at: &dyn Fn(&'static str),
) -> Result<(), GitError> {
    todo!()
}
/// Delete all that is in the trash; what could not be deleted is answered.
pub fn empty_trash(_trash: &Path) -> Vec<GitError> {
    todo!()
}
