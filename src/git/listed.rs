//! The checkouts of a repository, as `git worktree list` tells them, read from the files that it reads.
//!
//! Only where refs are files: elsewhere HEAD is no file, and git is asked. So it is wherever something is odd.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::opened::Opened;
use super::{GitError, Repository};
use crate::core::id::{BranchName, CommitId};
use crate::core::word::Word;
use crate::process::tool::fields;

/// One line of `git worktree list`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its top directory.
    pub path: PathBuf,
    /// The branch that is checked out.
    pub branch: Option<BranchName>,
    /// The commit that is checked out.
    pub head: Option<CommitId>,
    /// Is this the repository itself, without files?
    pub is_bare: bool,
    /// Why it is locked, if it is.
    pub locked: Option<String>,
    /// Is its directory missing?
    pub is_prunable: bool,
}

impl Repository {
    /// All worktrees, as `git worktree list` tells them; the main one first.
    ///
    /// # Errors
    /// Where git cannot be asked.
    pub fn worktrees(&self) -> Result<Vec<Listed>, GitError> {
        match self.worktrees_by_files() {
            Some(list) => Ok(list),
            None => self.worktrees_by_git(),
        }
    }

    /// `None` where only git can tell.
    pub(super) fn worktrees_by_files(&self) -> Option<Vec<Listed>> {
        by_files(&self.open())
    }

    pub(super) fn worktrees_by_git(&self) -> Result<Vec<Listed>, GitError> {
        let answer = self.git().args(["worktree", "list", "--porcelain", "-z"]).run()?;
        Ok(parse(&answer))
    }
}

/// What HEAD of a checkout, or any other ref that is a file, says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Head {
    /// It leads to this ref, which may not be there.
    Ref(String),
    /// A commit.
    Commit(CommitId),
}

/// Are refs files here, so that [`head`] may read them?
pub(super) fn refs_are_files(common_dir: &Path) -> bool {
    !common_dir.join("reftable").is_dir()
}

/// What the HEAD of a git directory says. `None` where only git can tell.
pub(super) fn head(common_dir: &Path, git_dir: &Path) -> Option<Head> {
    let mut answer = ref_file(&git_dir.join("HEAD"))??;
    // As often as git follows.
    for _ in 0..5 {
        let Head::Ref(name) = &answer else { break };
        match ref_file(&common_dir.join(name))? {
            Some(Head::Ref(next)) => answer = Head::Ref(next),
            _ => return Some(answer),
        }
    }
    matches!(answer, Head::Commit(_)).then_some(answer)
}

/// What the file of a ref says; `None` inside where there is none: then it is packed, or not there, and no symbolic
/// one either way. `None` outside where only git can tell.
pub(super) fn ref_file(path: &Path) -> Option<Option<Head>> {
    match fs::symlink_metadata(path) {
        Ok(seen) if seen.is_file() => {}
        Ok(seen) if seen.is_dir() => return Some(None),
        Ok(_) => return None,
        Err(error) => return is_gone(&error).then_some(None),
    }
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim_ascii_end();
    let Some(name) = text.strip_prefix("ref:") else { return Some(Some(Head::Commit(text.parse().ok()?))) };
    let name = name.trim_ascii_start();
    // With reftable the file is there too, and names a branch that cannot be.
    git2::Reference::is_valid_name(name).then(|| Some(Head::Ref(name.to_owned())))
}

/// The git directories of all linked worktrees.
pub(super) fn linked_git_dirs(repo: &Repository) -> Result<Vec<PathBuf>, GitError> {
    let dir = repo.common_dir().join("worktrees");
    match fs::read_dir(&dir) {
        Ok(entries) => Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect()),
        Err(error) if is_gone(&error) => Ok(Vec::new()),
        Err(error) => Err(GitError::file("list", dir)(error)),
    }
}

/// The `.git` of the checkout that a linked git directory belongs to; none where it does not tell.
pub(super) fn dot_git_of(git_dir: &Path) -> Option<PathBuf> {
    let text = fs::read(git_dir.join("gitdir")).ok()?;
    let named = text.trim_ascii_end();
    // It may be relative to the git directory.
    (!named.is_empty()).then(|| plain(&git_dir.join(Word::from(named.to_vec()).as_path())))
}

/// Without `..`, where all of it is there.
fn plain(path: &Path) -> PathBuf {
    let is_plain = path.components().all(|part| part != std::path::Component::ParentDir);
    if is_plain { path.to_owned() } else { path.canonicalize().unwrap_or_else(|_| path.to_owned()) }
}

/// The directory that a `.git` is in.
pub(super) fn top_of(dot_git: &Path) -> &Path {
    let is_named = dot_git.file_name().is_some_and(|name| name == ".git");
    dot_git.parent().filter(|_| is_named).unwrap_or(dot_git)
}

/// Does the configuration of the repository itself say that it has no files of its own?
pub(super) fn is_bare(common_dir: &Path) -> Option<bool> {
    for file in ["config", "config.worktree"] {
        let path = common_dir.join(file);
        if !path.is_file() {
            continue;
        }
        match git2::Config::open(&path).ok()?.get_bool("core.bare") {
            Ok(true) => return Some(true),
            Ok(false) => {}
            Err(error) if error.code() == git2::ErrorCode::NotFound => {}
            Err(_) => return None,
        }
    }
    Some(false)
}

fn by_files(opened: &Opened<'_>) -> Option<Vec<Listed>> {
    opened.library()?;
    let common = opened.repo.common_dir();
    let mut main = listed(opened, common, top_of(common).to_owned())?;
    if is_bare(common)? {
        main = Listed { branch: None, head: None, is_bare: true, ..main };
    }
    let mut linked = Vec::new();
    for git_dir in linked_git_dirs(opened.repo).ok()? {
        // Git leaves out what names no place.
        let Some(dot_git) = dot_git_of(&git_dir) else { continue };
        let reason = read_text(&git_dir.join("locked"))?;
        let is_prunable = reason.is_none() && fs::symlink_metadata(&dot_git).is_err();
        let tree = listed(opened, &git_dir, top_of(&dot_git).to_owned())?;
        linked.push(Listed { locked: reason, is_prunable, ..tree });
    }
    linked.sort_by(|one, other| one.path.as_os_str().cmp(other.path.as_os_str()));
    Some(std::iter::once(main).chain(linked).collect())
}

fn listed(opened: &Opened<'_>, git_dir: &Path, path: PathBuf) -> Option<Listed> {
    let (branch, head) = match head(opened.repo.common_dir(), git_dir)? {
        Head::Commit(commit) => (None, Some(commit)),
        Head::Ref(name) => {
            let nothing = || "0".repeat(40).parse().ok();
            (BranchName::from_full(&name), opened.ref_value(&name).ok()?.or_else(nothing))
        }
    };
    Some(Listed { path, branch, head, is_bare: false, locked: None, is_prunable: false })
}

/// A file of one line; `None` inside where it is not there.
fn read_text(path: &Path) -> Option<Option<String>> {
    match fs::read(path) {
        Ok(bytes) => Some(Some(String::from_utf8_lossy(bytes.trim_ascii()).into_owned())),
        Err(error) => is_gone(&error).then_some(None),
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn parse(answer: &[u8]) -> Vec<Listed> {
    let mut list: Vec<Listed> = Vec::new();
    for field in fields(answer) {
        let (key, value) = match field.iter().position(|byte| *byte == b' ') {
            Some(at) => (&field[..at], &field[at + 1..]),
            None => (field, &b""[..]),
        };
        let text = || String::from_utf8_lossy(value).into_owned();
        if key == b"worktree" {
            let path = Word::from(value.to_vec()).as_path().to_owned();
            list.push(Listed { path, branch: None, head: None, is_bare: false, locked: None, is_prunable: false });
            continue;
        }
        let Some(current) = list.last_mut() else { continue };
        match key {
            b"HEAD" => current.head = text().parse().ok(),
            b"branch" => current.branch = BranchName::from_full(&text()),
            b"bare" => current.is_bare = true,
            b"locked" => current.locked = Some(text()),
            b"prunable" => current.is_prunable = true,
            _ => {}
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worktrees_with_odd_paths_are_read() {
        let answer = b"worktree /a b\nc\0HEAD 0123456789abcdef0123456789abcdef01234567\0branch refs/heads/x/y\0\0worktree /\xff\0HEAD 0123456789abcdef0123456789abcdef01234567\0detached\0locked why not\0\0worktree /bare\0bare\0prunable gone\0\0";
        let list = parse(answer);
        assert_eq!(list.len(), 3);
        assert_eq!(list[0].path, Path::new("/a b\nc"));
        assert_eq!(list[0].branch, Some(BranchName("x/y".into())));
        assert_eq!(list[1].locked.as_deref(), Some("why not"));
        assert!(list[2].is_bare && list[2].is_prunable);
    }
}
