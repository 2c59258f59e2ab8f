//! Where the file `.git` of a worktree leads while a command runs in it.
//!
//! A task is to find its private git directory there, and nobody else: what it writes in there would make the git of whoever
//! looks into the worktree run something. In the full tier the file on the disk leads to the user's own repository all the time,
//! and the task alone sees another one in its place, which it can neither remove nor replace. Elsewhere the file itself leads
//! inside for as long as the attempt runs; who collects it puts it back. So it does for somebody else's sub-agent, which works outside. A pooled worktree is in no list of the user's: its file
//! leads nowhere.

use super::verify;
use crate::core::sandbox::Tier;
use crate::git::worktree::{self, Place};
use crate::git::{GitError, Repository};
use crate::store::layout::AttemptDir;
use crate::store::record::Spec;
use crate::store::{self, Durable};

/// A command is about to run in this tier.
pub(super) fn during(dir: &AttemptDir, spec: &Spec, tier: Tier) -> Result<(), GitError> {
    let place = place(dir, spec);
    // A task may have removed all of it.
    if !std::fs::symlink_metadata(&place.worktree).is_ok_and(|seen| seen.is_dir()) {
        return Ok(());
    }
    // Who works there is no process of ours, and sees what is on the disk.
    if tier != Tier::Full || spec.tenant.is_some() {
        return worktree::lead_inside(&place);
    }
    let (file, text) = (dir.lead(), worktree::leads_to(&place.private));
    if !store::read(&file).is_ok_and(|now| now.as_ref() == Some(&text)) {
        let failed = |error: store::StoreError| GitError::file("write", &file)(std::io::Error::other(error));
        store::replace_with(&file, &text, Durable::No).map_err(failed)?;
    }
    match &spec.candidate {
        Some(_) => worktree::lead_nowhere(&place),
        None => worktree::lead_outside(&Repository::at(spec.repository.as_path()), &place),
    }
}

/// A check has ended: nobody collects it.
pub(super) fn after(spec: &Spec) {
    if let Some(candidate) = &spec.candidate {
        // The next one does it again.
        let _ = worktree::lead_nowhere(&verify::place(spec, candidate));
    }
}

fn place(dir: &AttemptDir, spec: &Spec) -> Place {
    match &spec.candidate {
        Some(candidate) => verify::place(spec, candidate),
        None => Place { worktree: spec.worktree.as_path().to_owned(), private: dir.git() },
    }
}
