//! The git directory that the task sees.
use super::{GitError, Repository};
use crate::core::id::CommitId;
use crate::process::Tool;
use std::path::Path;

/// What a private git directory starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Private {
    /// The commit that its branch starts at.
    pub base: CommitId,
    /// The branch that HEAD names, such as `pleach/7-lint`.
    pub branch: String,
}
/// Make it. `checkout_git_dir`: the git directory of the user's own checkout, for its sparse patterns.
pub fn create(
    _repo: &Repository,
    _dir: &Path,
    _private: &Private,
    _checkout_git_dir: Option<&Path>,
) -> Result<(), GitError> {
    todo!()
}
/// Fill the worktree from HEAD.
pub fn checkout(_private_dir: &Path, _worktree: &Path) -> Result<(), GitError> {
    todo!()
}
/// A git command inside: only for the shim of that very attempt.
pub fn git(_private_dir: &Path, _worktree: &Path) -> Tool {
    todo!()
}
