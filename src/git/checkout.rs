//! The user's checkout of a target: where it is, what is under way in it, and what in it a landing would touch.
//!
//! Nothing here writes a file of the user. (The index may be refreshed: same entries, newer times.)

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::fold::{FoldLock, read_if_there};
use super::listed::{self, Head};
use super::opened::Opened;
use super::{GitError, Repository};
use crate::core::change::Hold;
use crate::core::id::{BranchName, CommitId};
use crate::core::word::Word;
use crate::process::Tool;
use crate::process::tool::fields;

/// A checkout of a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckoutOf {
    /// Its top directory.
    pub top: PathBuf,
    /// Its own git directory: the common one, or one below its `worktrees`.
    pub git_dir: PathBuf,
    /// Why nothing may be done there, though there seems to be a checkout of the branch.
    pub doubt: Option<Doubt>,
}

/// What is wrong with a checkout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// The configuration says that there is none (`core.bare`), but there is an index of one. Most likely some tool wrote
    /// that by mistake.
    Bare,
    /// There is an index of one, and nobody knows where it is: its git directory is elsewhere (`--separate-git-dir`).
    Lost,
}

impl CheckoutOf {
    /// A `git` command in it. The git directory is named, so no file of the checkout decides which one it is.
    pub fn git(&self) -> Tool {
        let tool = Tool::git().dir(&self.top).arg("--git-dir").arg(&self.git_dir).arg("--work-tree").arg(&self.top);
        tool.args([
            "-c",
            "core.fsmonitor=false",
            "-c",
            "gc.auto=0",
            "-c",
            "maintenance.auto=false",
            // Where this names a file that is not there, `status` fails.
            "-c",
            "diff.orderFile=/dev/null",
        ])
    }

    /// Does its HEAD name this branch now?
    pub(super) fn is_on(&self, repo: &Repository, branch: &BranchName) -> Result<bool, GitError> {
        if listed::refs_are_files(repo.common_dir())
            && let Some(head) = listed::head(repo.common_dir(), &self.git_dir)
        {
            return Ok(head == Head::Ref(branch.full()));
        }
        let answer = self.git().args(["symbolic-ref", "--quiet", "HEAD"]).output()?;
        Ok(String::from_utf8_lossy(&answer.stdout).trim() == branch.full())
    }
}

/// All checkouts of a branch whose directories are there.
///
/// # Errors
/// Where git cannot be asked.
pub fn checkouts_of(repo: &Repository, target: &BranchName) -> Result<Vec<CheckoutOf>, GitError> {
    checkouts_in(&repo.open(), target)
}

/// As [`checkouts_of`].
pub(super) fn checkouts_in(opened: &Opened<'_>, target: &BranchName) -> Result<Vec<CheckoutOf>, GitError> {
    let found = match by_files(opened, target)? {
        Some(found) => found,
        None => by_git(opened, target)?,
    };
    Ok(found.into_iter().filter(|checkout| checkout.top.is_dir()).collect())
}

/// `None` where only git can tell. Only the checkouts that are on the branch are looked at closely: there may be many.
fn by_files(opened: &Opened<'_>, target: &BranchName) -> Result<Option<Vec<CheckoutOf>>, GitError> {
    let common = opened.repo.common_dir();
    if !listed::refs_are_files(common) {
        return Ok(None);
    }
    let wanted = Head::Ref(target.full());
    let Some(head) = listed::head(common, common) else { return Ok(None) };
    let mut found = Vec::new();
    if head == wanted {
        match listed::is_bare(common) {
            None => return Ok(None),
            Some(true) if has_index(opened.repo) && is_dot_git(opened.repo) => found.push(disowned(opened.repo)),
            Some(true) => {}
            Some(false) => found.extend(main_checkout(opened, listed::top_of(common).to_owned())?),
        }
    }
    for git_dir in listed::linked_git_dirs(opened.repo)? {
        // Git leaves out what names no place.
        let Some(dot_git) = listed::dot_git_of(&git_dir) else { continue };
        match listed::head(common, &git_dir) {
            None => return Ok(None),
            Some(head) if head == wanted => {
                found.push(CheckoutOf { top: listed::top_of(&dot_git).to_owned(), git_dir, doubt: None });
            }
            Some(_) => {}
        }
    }
    Ok(Some(found))
}

fn by_git(opened: &Opened<'_>, target: &BranchName) -> Result<Vec<CheckoutOf>, GitError> {
    let repo = opened.repo;
    let mut found = Vec::new();
    for (place, mut listed) in repo.worktrees_by_git()?.into_iter().enumerate() {
        if place == 0 && listed.is_bare && has_index(repo) && is_dot_git(repo) {
            let answer = repo.git().args(["symbolic-ref", "--quiet", "HEAD"]).output()?;
            listed.branch = BranchName::from_full(String::from_utf8_lossy(&answer.stdout).trim());
            if listed.branch.as_ref() == Some(target) {
                found.push(disowned(repo));
            }
            continue;
        }
        if listed.branch.as_ref() != Some(target) || listed.is_bare {
            continue;
        }
        let checkout =
            if place == 0 { main_checkout(opened, listed.path)? } else { linked_checkout(repo, &listed.path)? };
        found.extend(checkout);
    }
    Ok(found)
}

/// Has there ever been a checkout that uses the common directory as its own?
fn has_index(repo: &Repository) -> bool {
    repo.common_dir().join("index").exists()
}

fn is_dot_git(repo: &Repository) -> bool {
    repo.common_dir().file_name().is_some_and(|name| name == ".git")
}

/// Write down where the main checkout is, if the git directory cannot tell by its own place. Whoever stands in it knows.
///
/// # Errors
/// Where that cannot be written.
pub fn remember(repo: &Repository, top: &Path) -> Result<(), GitError> {
    let common = repo.common_dir();
    let note = common.join(REMEMBERED);
    let bytes = top.as_os_str().as_bytes();
    if common.parent() == Some(top) || !leads_to(top, common) || read_if_there(&note)?.as_deref() == Some(bytes) {
        return Ok(());
    }
    let written = tempfile::NamedTempFile::new_in(common.join("pleach")).and_then(|mut file| {
        file.write_all(bytes)?;
        file.persist(&note).map(drop).map_err(|failed| failed.error)
    });
    written.map_err(GitError::file("write", note))
}

/// The place of the main checkout, below the common directory.
const REMEMBERED: &str = "pleach/checkout";

fn remembered(repo: &Repository) -> Result<Option<PathBuf>, GitError> {
    let top = read_if_there(&repo.common_dir().join(REMEMBERED))?.map(|top| Word::from(top).as_path().to_owned());
    Ok(top.filter(|top| leads_to(top, repo.common_dir())))
}

/// Does the file `.git` there name this git directory?
fn leads_to(top: &Path, common: &Path) -> bool {
    let file = top.join(".git");
    let named = fs::read(&file).ok().filter(|_| file.is_file());
    let named = named.and_then(|text| Some(text.strip_prefix(b"gitdir: ")?.trim_ascii_end().to_vec()));
    named.is_some_and(|named| top.join(Word::from(named).as_path()).canonicalize().is_ok_and(|dir| dir == common))
}

/// The main checkout, of which a flipped `core.bare` says that it is none.
fn disowned(repo: &Repository) -> CheckoutOf {
    let top = repo.common_dir().parent().unwrap_or(repo.common_dir()).to_owned();
    CheckoutOf { top, git_dir: repo.common_dir().to_owned(), doubt: Some(Doubt::Bare) }
}

/// For the test that compares the two: those by files, and those by git.
#[cfg(test)]
pub(super) fn both_ways(opened: &Opened<'_>, target: &BranchName) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let places = |found: Vec<CheckoutOf>| {
        let there = found.into_iter().filter(|checkout| checkout.top.is_dir());
        let mut places: Vec<_> = there.flat_map(|checkout| [checkout.top, checkout.git_dir]).collect();
        places.sort();
        places
    };
    (places(by_files(opened, target).unwrap().unwrap()), places(by_git(opened, target).unwrap()))
}

/// Git lists the main one by the place of its git directory; `core.worktree` may say otherwise (submodules).
fn main_checkout(opened: &Opened<'_>, listed: PathBuf) -> Result<Option<CheckoutOf>, GitError> {
    let common = opened.repo.common_dir();
    let top = match opened.path_setting("core.worktree")? {
        Some(path) => common.join(path),
        // Listed without files of its own: a git directory that is not called `.git` and names no work tree.
        None if listed == common => match remembered(opened.repo)? {
            Some(top) => top,
            None if !has_index(opened.repo) => return Ok(None),
            None => return Ok(Some(CheckoutOf { top: listed, git_dir: common.to_owned(), doubt: Some(Doubt::Lost) })),
        },
        None => listed,
    };
    let top = top.canonicalize().unwrap_or(top);
    Ok(Some(CheckoutOf { top, git_dir: common.to_owned(), doubt: None }))
}

fn linked_checkout(repo: &Repository, top: &Path) -> Result<Option<CheckoutOf>, GitError> {
    let wanted = top.join(".git");
    for git_dir in listed::linked_git_dirs(repo)? {
        let Some(named) = listed::dot_git_of(&git_dir) else { continue };
        let same =
            named == wanted || named.canonicalize().ok().is_some_and(|path| Some(path) == wanted.canonicalize().ok());
        if same {
            return Ok(Some(CheckoutOf { top: top.to_owned(), git_dir, doubt: None }));
        }
    }
    Ok(None)
}

/// May any of these not be touched at all, not even to finish or to take back what we began?
pub(super) fn doubtful(target: &BranchName, checkouts: &[CheckoutOf]) -> Option<Hold> {
    let checkout = checkouts.iter().find(|checkout| checkout.doubt.is_some())?;
    let top = Word::from(checkout.top.as_path()).shown();
    let reason = match checkout.doubt? {
        Doubt::Bare => format!("core.bare is set, although {target} is checked out in {top}: see `pleach doctor`"),
        Doubt::Lost => format!("{target} is checked out somewhere with {top} as its git directory: go there"),
    };
    Some(Hold::Refused { reason })
}

/// Is somebody in the middle of something there, or rebasing this branch elsewhere?
pub(super) fn unfinished(
    repo: &Repository,
    target: &BranchName,
    checkouts: &[CheckoutOf],
) -> Result<Option<Hold>, GitError> {
    for checkout in checkouts {
        if let Some(operation) = under_way(&checkout.git_dir) {
            let operation = operation.to_owned();
            return Ok(Some(Hold::Unfinished { checkout: checkout.top.as_path().into(), operation }));
        }
    }
    // A rebase detaches HEAD, and sets its branch at the end, wherever that branch is by then.
    let name = target.full();
    for git_dir in listed::linked_git_dirs(repo)?.into_iter().chain([repo.common_dir().to_owned()]) {
        for file in ["rebase-merge/head-name", "rebase-apply/head-name", "rebase-merge/update-refs"] {
            let text = read_if_there(&git_dir.join(file))?.unwrap_or_default();
            if text.split(|byte| *byte == b'\n').any(|line| line == name.as_bytes()) {
                return Ok(Some(Hold::Unfinished { checkout: place_of(&git_dir), operation: "rebase".to_owned() }));
            }
        }
    }
    Ok(None)
}

/// The top directory that belongs to a git directory.
fn place_of(git_dir: &Path) -> Word {
    let path = listed::dot_git_of(git_dir).unwrap_or_else(|| git_dir.to_owned());
    listed::top_of(&path).into()
}

fn under_way(git_dir: &Path) -> Option<&'static str> {
    const SIGNS: &[(&str, &str)] = &[
        ("rebase-merge", "rebase"),
        ("rebase-apply", "rebase"),
        ("MERGE_HEAD", "merge"),
        ("CHERRY_PICK_HEAD", "cherry-pick"),
        ("REVERT_HEAD", "revert"),
        ("sequencer", "cherry-pick"),
        ("BISECT_LOG", "bisect"),
    ];
    SIGNS.iter().find(|(sign, _)| git_dir.join(sign).exists()).map(|(_, operation)| *operation)
}

/// A path of a tree or an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) mode: u32,
    pub(super) object: String,
}

impl Entry {
    pub(super) fn is_gitlink(&self) -> bool {
        self.mode == 0o160_000
    }
}

/// The old entry of a path, and the new one.
pub(super) type Sides = (Option<Entry>, Option<Entry>);

/// What a landing changes: each path with its old and its new entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct TreeChange {
    pub(super) entries: BTreeMap<Word, Sides>,
}

impl TreeChange {
    pub(super) fn between(opened: &Opened<'_>, from: CommitId, to: CommitId) -> Result<Self, GitError> {
        Ok(Self { entries: opened.difference(from, to)? })
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Word> {
        self.entries.keys()
    }

    fn added(&self) -> impl Iterator<Item = &Word> {
        self.entries.iter().filter(|(_, (old, _))| old.is_none()).map(|(path, _)| path)
    }

    /// Is it a file of the old tree that this change takes away?
    pub(super) fn takes_away(&self, path: &Word) -> bool {
        matches!(self.entries.get(path), Some((Some(_), None)))
    }

    /// Is some changed path below this one?
    fn reaches_below(&self, path: &Word) -> bool {
        let below = Word::from([path.as_bytes(), b"/"].concat());
        let next = self.entries.range(below.clone()..).next();
        next.is_some_and(|(path, _)| path.as_bytes().starts_with(below.as_bytes()))
    }
}

/// The paths that a landing would touch and that hold something of the user: edited, staged, untracked or ignored.
pub(super) fn in_the_way(lock: &FoldLock, checkout: &CheckoutOf, change: &TreeChange) -> Result<Vec<Word>, GitError> {
    let mut found: BTreeSet<Word> = BTreeSet::new();
    for (path, is_other_commit) in edited_or_staged(lock, checkout)? {
        // A submodule whose checkout is at another commit than the one that is recorded: that checkout is never touched.
        let is_link = |side: &Option<Entry>| side.as_ref().is_some_and(Entry::is_gitlink);
        if is_other_commit && change.entries.get(&path).is_none_or(|(old, new)| is_link(old) && is_link(new)) {
            continue;
        }
        let is_above = parents(&path).any(|above| matches!(change.entries.get(&above), Some((None, Some(_)))));
        if change.entries.contains_key(&path) || is_above || change.reaches_below(&path) {
            found.insert(path);
        }
    }
    found.extend(in_place_of_added(checkout, change)?);
    Ok(found.into_iter().collect())
}

/// What stands where a landing would put something new, or above or below it.
pub(super) fn in_place_of_added(checkout: &CheckoutOf, change: &TreeChange) -> Result<BTreeSet<Word>, GitError> {
    let mut found: BTreeSet<Word> = BTreeSet::new();
    for path in change.added() {
        // The nearest thing that is there decides: a file or a link above is as much in the way as one at the path.
        let above = parents(path)
            .find(|above| fs::symlink_metadata(checkout.top.join(above.as_path())).is_ok_and(|seen| !seen.is_dir()));
        if let Some(above) = above {
            found.extend((!change.takes_away(&above)).then_some(above));
            continue;
        }
        let place = checkout.top.join(path.as_path());
        match fs::symlink_metadata(&place) {
            Ok(seen) if seen.is_dir() && change.entries[path].1.as_ref().is_some_and(Entry::is_gitlink) => {}
            Ok(seen) if seen.is_dir() => {
                files_below(&checkout.top, path, &mut |file| {
                    if !change.takes_away(&file) {
                        found.insert(file);
                    }
                })?;
            }
            Ok(_) => {
                found.insert(path.clone());
            }
            Err(_) => {}
        }
    }
    Ok(found)
}

/// All tracked paths that differ between HEAD and the index, or the index and the files. The index is refreshed, so
/// that a file that was only touched is not in `read-tree`'s way. With each: is it a submodule whose own HEAD is all that
/// differs?
fn edited_or_staged(lock: &FoldLock, checkout: &CheckoutOf) -> Result<Vec<(Word, bool)>, GitError> {
    let asked = checkout.git().env("GIT_OPTIONAL_LOCKS", "1").args(["status", "--porcelain=v2", "-z"]);
    let asked = asked.args(["--untracked-files=no", "--no-renames", "--ignore-submodules=dirty"]);
    let answer = lock.answer(asked)?;
    let path = |line: &[u8]| {
        let skipped = match line.first()? {
            b'1' => 8,
            b'u' => 10,
            _ => return None,
        };
        let path = line.splitn(skipped + 1, |byte| *byte == b' ').nth(skipped)?;
        Some((Word::from(path.to_vec()), line.starts_with(b"1 .M S")))
    };
    Ok(fields(&answer).filter_map(path).collect())
}

/// Every directory above a path, the nearest to the top first.
pub(super) fn parents(path: &Word) -> impl Iterator<Item = Word> + '_ {
    let bytes = path.as_bytes();
    let slashes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    slashes.map(|(at, _)| Word::from(bytes[..at].to_vec()))
}

/// Everything below a directory that is not a directory; no link is followed.
pub(super) fn files_below(top: &Path, dir: &Word, each: &mut dyn FnMut(Word)) -> Result<(), GitError> {
    let place = top.join(dir.as_path());
    for entry in fs::read_dir(&place).map_err(GitError::file("list", &place))? {
        let entry = entry.map_err(GitError::file("list", &place))?;
        let name = Word::from(entry.file_name());
        let path = Word::from([dir.as_bytes(), name.as_bytes()].join(&b'/'));
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files_below(top, &path, each)?;
        } else {
            each(path);
        }
    }
    Ok(())
}
