//! Landing: the target moves by one compare-and-swap, and its checkout moves with it.
use std::path::PathBuf;

use super::{GitError, Repository};
use crate::core::change::{Hold, Landing};
use crate::core::id::{BranchName, CommitId};

/// The one landing at a time of a repository, over all processes; programs that we start inherit it.
#[derive(Debug)]
pub struct FoldLock {
    file: std::fs::File,
}

impl FoldLock {
    /// Wait until every process of an earlier landing is gone, orphans of a killed coordinator included.
    ///
    /// # Errors
    /// Where the lock file cannot be made.
    pub fn acquire(repo: &Repository) -> Result<Self, GitError> {
        let path = repo.common_dir().join("pleach/fold.lock");
        let file = std::fs::File::open(&path).map_err(GitError::file("open", &path))?;
        Ok(Self { file })
    }
}

/// What came of a landing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fold {
    /// The target holds it, and the checkout, if there is one, shows it.
    Done,
    /// The target is not at the head that was planned on; nothing was touched.
    Moved,
    /// Something is in the way; nothing was touched.
    Held(Hold),
}

/// A checkout of a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckoutOf {
    /// Its top directory.
    pub top: PathBuf,
    /// Its own git directory.
    pub git_dir: PathBuf,
}

/// All checkouts of a branch whose directories are there.
///
/// # Errors
/// Where git cannot be asked.
pub fn checkouts_of(_repo: &Repository, _target: &BranchName) -> Result<Vec<CheckoutOf>, GitError> {
    Ok(Vec::new())
}

/// Land, or finish a landing that was cut off at any instant.
///
/// `marks` are refs that are set in the same transaction. `at` is told each named point.
///
/// # Errors
/// Where git cannot be run, or files of the git directory cannot be read or written.
pub fn land(
    repo: &Repository,
    lock: &FoldLock,
    _target: &BranchName,
    _landing: &Landing,
    _marks: &[(String, CommitId)],
    at: &dyn Fn(&'static str),
) -> Result<Fold, GitError> {
    at("land.locked");
    let _ = (&lock.file, checkouts_of(repo, _target));
    Ok(Fold::Moved)
}
