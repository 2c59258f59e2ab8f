//! The place of an attempt, where what it wrote lies over a base image.
//!
//! It is mounted for each command of the attempt, in namespaces that end with that command, by whoever holds the lock of the attempt: so there is never
//! more than one mount of it.

use crate::core::sandbox::Policy;
use crate::core::word::Word;
use crate::git::overlay::Layers;
use crate::git::place::{Real, make_real};
use crate::git::worktree::Place;
use crate::git::{GitError, Repository};
use crate::process::{Tool, crash};
use crate::sandbox::{Overlay, probe};
use crate::store::layout::AttemptDir;
use crate::store::record::Spec;

/// The parts of its place; none where that is a worktree as any other.
pub(super) fn layers(dir: &AttemptDir) -> Option<Layers> {
    Layers::find(&dir.overlay(), &dir.images())
}

/// What is mounted.
pub(super) fn of(dir: &AttemptDir) -> Option<Overlay> {
    let layers = layers(dir)?;
    Some(Overlay { lower: layers.image(), upper: layers.upper(), work: layers.work() })
}

/// Make its place a worktree as any other.
pub(super) fn make_worktree(dir: &AttemptDir, spec: &Spec, layers: &Layers) -> Result<(), GitError> {
    make_real(&Real {
        repo: &Repository::at(spec.repository.as_path()),
        place: &Place { worktree: spec.worktree.as_path().to_owned(), private: dir.git() },
        base: spec.base,
        layers,
        trash: &dir.trash(),
        at: &crash::point,
    })
}

/// Can tasks of this policy work over an image, with what they write in this directory of ours? Found by doing it.
///
/// # Errors
/// Where they cannot: why, as the rest of a sentence.
pub fn works(dir: &std::path::Path) -> Result<(), String> {
    let shell = |line: &str| Tool::new("sh").args(["-c", line]).into_command();
    probe::overlay(dir, &shell).map_err(|refused| refused.to_string())
}

/// Why a task of this policy cannot work over an image, whatever works here.
pub fn forbids(policy: &Policy) -> Option<String> {
    if !policy.tiers().contains(&crate::core::sandbox::Tier::Full) {
        return Some(
            "it needs the full tier of the sandbox, and `[sandbox] tier` or PLEACH_SANDBOX says another".to_owned(),
        );
    }
    // The rules of the kernel are of the directory that is below the mount.
    let runs_own = |path: &Word| path.as_bytes() == b".";
    let runs_own = policy.exec.as_ref().is_some_and(|exec| exec.iter().any(runs_own));
    runs_own.then(|| "`exec` in `[sandbox]` lets it run what is in its worktree (`.`)".to_owned())
}
