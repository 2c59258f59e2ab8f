//! A branch that is not to be moved has another one that stands for it, and which results land in instead.
//!
//! Here is only looked how the two stand to each other; [`super::fold`] moves what is to be moved.

use super::{GitError, Repository};
use crate::core::id::{BranchName, CommitId};

/// How a stand-in stands to its branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It holds all of the branch, and what has landed.
    Ahead(CommitId),
    /// The branch holds all of it, or it is not there yet: it has to come to the branch first.
    Behind {
        /// Where it is.
        from: Option<CommitId>,
        /// Where the branch is.
        to: CommitId,
    },
    /// Each holds something that the other does not.
    Parted(CommitId),
    /// There is no such branch.
    NoBranch,
}

/// Look how they stand.
///
/// # Errors
/// Where git cannot be run.
pub fn standing(repo: &Repository, stand_in: &BranchName, branch: &BranchName) -> Result<Standing, GitError> {
    let Some(to) = repo.head_of(branch)? else { return Ok(Standing::NoBranch) };
    let Some(from) = repo.head_of(stand_in)? else { return Ok(Standing::Behind { from: None, to }) };
    Ok(if repo.is_ancestor(to, from)? {
        Standing::Ahead(from)
    } else if repo.is_ancestor(from, to)? {
        Standing::Behind { from: Some(from), to }
    } else {
        Standing::Parted(from)
    })
}
