//! Worktrees that candidates are verified in. They are made once and used again, so that what git ignores (build caches,
//! dependencies) stays warm.
//!
//! Each has a private git directory, like a task, and is in no list of the user's repository. Who runs a check leads its `.git`
//! there; all that is done here names the directory itself. Whatever a check did to it
//! is put right before the next candidate; where that fails, it is made anew.

use std::collections::BTreeSet;
use std::fs;

use super::private::{self, Private};
use super::worktree::Place;
use super::{GitError, Repository, modules, trash};
use crate::core::id::{CommitId, TreeId};
use crate::core::word::Word;
use crate::process::Tool;
use crate::process::tool::fields;

/// The branch that its HEAD names.
const BRANCH: &str = "pleach/candidate";

/// The tracked files of a worktree that differ from its HEAD.
pub type Differing = BTreeSet<Word>;

/// Bring a pooled worktree to a commit: tracked files as they are there, no untracked ones, ignored ones as they were left.
/// Answers what still differs (a filter that does not come back to what it was given).
///
/// # Errors
/// Where it cannot be made.
pub fn prepare(repo: &Repository, place: &Place, commit: CommitId) -> Result<Differing, GitError> {
    let is_there = place.private.join("HEAD").is_file() && place.worktree.is_dir();
    if !(is_there && switch(place, commit).is_ok() && differing(place)?.is_empty()) {
        trash::delete(&place.worktree)?;
        trash::delete(&place.private)?;
        make(repo, place, commit)?;
    }
    // A check fails that needs one which is empty: it says so itself.
    let _ = modules::fill(repo, place, None);
    differing(place)
}

fn make(repo: &Repository, place: &Place, commit: CommitId) -> Result<(), GitError> {
    fs::create_dir_all(&place.worktree).map_err(GitError::file("create", &place.worktree))?;
    let private = Private { base: commit, branch: BRANCH.to_owned() };
    private::create(repo, &place.private, &private, None)?;
    // A check needs the whole tree, whatever the user's checkout leaves out.
    let whole = private::git(&place.private, &place.worktree).args(["config", "core.sparseCheckout", "false"]);
    whole.run()?;
    private::checkout(&place.private, &place.worktree)
}

fn switch(place: &Place, commit: CommitId) -> Result<(), GitError> {
    for lock in ["index.lock", "HEAD.lock"] {
        let _ = fs::remove_file(place.private.join(lock));
    }
    let git = || private::git(&place.private, &place.worktree).args(["-c", "submodule.recurse=false"]);
    git().args(["reset", "--quiet", "--hard", &commit.to_string(), "--"]).run()?;
    // Twice forced: also repositories inside.
    git().args(["clean", "-ffdq"]).run()?;
    Ok(())
}

/// The tracked files that differ from HEAD.
///
/// # Errors
/// Where git cannot tell.
pub fn differing(place: &Place) -> Result<Differing, GitError> {
    let ask = git(place).args(["status", "--porcelain=v1", "-z", "--untracked-files=no", "--no-renames"]);
    let answer = ask.arg("--ignore-submodules=all").run()?;
    Ok(fields(&answer).filter_map(|line| line.get(3..)).map(|path| Word::from(path.to_vec())).collect())
}

/// The tree of its HEAD.
///
/// # Errors
/// Where git cannot tell.
pub fn tree(place: &Place) -> Result<TreeId, GitError> {
    let answer = git(place).args(["rev-parse", "--verify", "HEAD^{tree}"]).line()?;
    super::repository::parse("rev-parse", &answer)
}

fn git(place: &Place) -> Tool {
    private::git(&place.private, &place.worktree)
}
