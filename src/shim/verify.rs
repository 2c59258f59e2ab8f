//! A run of a check: the same shim, but what counts is not what it left, but whether it said yes to just this tree.

use super::inside::{self, Failed};
use crate::core::outcome::Outcome;
use crate::core::sandbox::Tier;
use crate::core::word::Word;
use crate::git::worktree::Place;
use crate::git::{GitError, Repository, pool};
use crate::store::layout::AttemptDir;
use crate::store::record::{Candidate, Spec, Verified};

/// Bring the pooled worktree to the candidate. Answers the tracked files that differ from it from the start.
pub(super) fn prepare(dir: &AttemptDir, spec: &Spec, candidate: &Candidate) -> Result<Vec<Word>, Outcome> {
    let failed = |why: String| Outcome::CouldNotStart { reason: format!("its worktree cannot be made ready: {why}") };
    let seen = inside::prepare(dir, spec, candidate).map_err(|error| failed(error.words))?;
    if !seen.is_same_tree {
        return Err(failed(format!("it holds another tree than {:.8}", candidate.tree)));
    }
    Ok(seen.rewritten)
}

/// Is it still the tree that was asked about, and what did the run rewrite?
pub(super) fn look(
    dir: &AttemptDir,
    spec: &Spec,
    candidate: &Candidate,
    before: &[Word],
    tier: Option<Tier>,
) -> Result<Verified, Failed> {
    let mut seen = inside::look(dir, spec, candidate, tier)?;
    seen.rewritten.retain(|path| !before.contains(path));
    Ok(seen)
}

/// [`prepare`], where it is done.
pub(super) fn bring(spec: &Spec, candidate: &Candidate) -> Result<Verified, GitError> {
    let place = place(spec, candidate);
    let repository = Repository::at(spec.repository.as_path());
    let differing = pool::prepare(&repository, &place, spec.base)?;
    Ok(Verified { is_same_tree: pool::tree(&place)? == candidate.tree, rewritten: differing.into_iter().collect() })
}

/// [`look`], where it is done: every tracked file that differs.
pub(super) fn see(spec: &Spec, candidate: &Candidate) -> Result<Verified, GitError> {
    let place = place(spec, candidate);
    let differing = pool::differing(&place)?;
    Ok(Verified { is_same_tree: pool::tree(&place)? == candidate.tree, rewritten: differing.into_iter().collect() })
}

pub(super) fn place(spec: &Spec, candidate: &Candidate) -> Place {
    Place { worktree: spec.worktree.as_path().to_owned(), private: candidate.private.as_path().to_owned() }
}
