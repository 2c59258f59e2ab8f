//! A run of a check: the same shim, but what counts is not what it left, but whether it said yes to just this tree.

use crate::core::outcome::Outcome;
use crate::core::word::Word;
use crate::git::pool::{self, Differing};
use crate::git::worktree::Place;
use crate::git::{GitError, Repository};
use crate::store::record::{Candidate, Spec, Verified};

/// Bring the pooled worktree to the candidate. Answers what differs in it from the start.
pub(super) fn prepare(spec: &Spec, candidate: &Candidate) -> Result<Differing, Outcome> {
    let failed = |why: String| Outcome::CouldNotStart { reason: format!("its worktree cannot be made ready: {why}") };
    let place = place(spec, candidate);
    let repository = Repository::at(spec.repository.as_path());
    let differing = pool::prepare(&repository, &place, spec.base).map_err(|error| failed(error.words()))?;
    match pool::tree(&place) {
        Ok(tree) if tree == candidate.tree => Ok(differing),
        Ok(tree) => Err(failed(format!("it holds {tree:.8} instead of {:.8}", candidate.tree))),
        Err(error) => Err(failed(error.words())),
    }
}

/// Is it still the tree that was asked about, and what did the run rewrite?
pub(super) fn look(spec: &Spec, candidate: &Candidate, before: &Differing) -> Result<Verified, GitError> {
    let place = place(spec, candidate);
    let rewritten: Vec<Word> = pool::differing(&place)?.difference(before).cloned().collect();
    Ok(Verified { is_same_tree: pool::tree(&place)? == candidate.tree, rewritten })
}

fn place(spec: &Spec, candidate: &Candidate) -> Place {
    Place { worktree: spec.worktree.as_path().to_owned(), private: candidate.private.as_path().to_owned() }
}
