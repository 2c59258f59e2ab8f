//! Lock files that a git of ours left when it was killed.
//!
//! Git cannot tell such a lock from one that somebody holds, and waits for a person. We can: the names below
//! `refs/pleach` and of the result branches are written by nobody else, and who holds a lock either has it open, or is a
//! git at work in this repository that was started before the lock was made. A lock for which neither is true, and that
//! has lain for a while, is put aside. In case of doubt it stays.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{GitError, Repository};
use crate::process::tree;

/// No program holds a lock on a ref so long without having it open.
const OLD: Duration = Duration::from_secs(2);
/// What is still held after that is somebody's, and not to be waited for.
const SOMEBODYS: Duration = Duration::from_secs(30);

/// What became of the locks that were there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cleared {
    /// So many were dead.
    pub dead: usize,
    /// Of so many young ones that cannot be told yet.
    pub open: usize,
}

/// Put aside what is provably dead of the locks below `refs/pleach` and on branches that begin with `prefix`, and of those
/// that any change of a ref may need.
///
/// # Errors
/// Where a lock cannot be moved.
pub fn clear(repo: &Repository, prefix: &str) -> Result<Cleared, GitError> {
    let refs = repo.common_dir().join("refs");
    let branches = format!("heads/{prefix}");
    let ours = |path: &Path| {
        let name = path.strip_prefix(&refs).unwrap_or(path).to_string_lossy();
        name.starts_with("pleach/") || name.starts_with(&branches)
    };
    let walk = walkdir::WalkDir::new(&refs).follow_links(false).into_iter().flatten();
    let mut locks: Vec<PathBuf> = walk.map(walkdir::DirEntry::into_path).filter(|path| is_lock(path)).collect();
    locks.retain(|path| ours(path));
    locks.extend(shared(repo));
    clear_dead(repo, &locks)
}

/// The same for the locks that a transaction on these refs met.
///
/// # Errors
/// As [`clear`].
pub(super) fn clear_for<'a>(repo: &Repository, names: impl Iterator<Item = &'a str>) -> Result<Cleared, GitError> {
    let mut locks: Vec<PathBuf> = names.map(|name| repo.common_dir().join(format!("{name}.lock"))).collect();
    locks.extend(shared(repo));
    clear_dead(repo, &locks)
}

fn shared(repo: &Repository) -> [PathBuf; 2] {
    ["packed-refs.lock", "reftable/tables.list.lock"].map(|name| repo.common_dir().join(name))
}

fn is_lock(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "lock")
}

fn clear_dead(repo: &Repository, locks: &[PathBuf]) -> Result<Cleared, GitError> {
    let mut cleared = Cleared::default();
    for lock in locks {
        let Ok(made) = fs::symlink_metadata(lock).and_then(|seen| seen.modified()) else { continue };
        let age = made.elapsed().unwrap_or_default();
        if age > OLD && !tree::is_open(lock) && !has_older_git(repo, made) {
            put_aside(repo, lock)?;
            cleared.dead += 1;
        } else if age < SOMEBODYS {
            cleared.open += 1;
        }
    }
    Ok(cleared)
}

/// Is a git at work in this repository that was there when the lock was made? (Those that we start go on beside.)
fn has_older_git(repo: &Repository, made: SystemTime) -> bool {
    let places: Vec<PathBuf> = match repo.worktrees() {
        Ok(list) => list.into_iter().map(|tree| tree.path).chain([repo.common_dir().to_owned()]).collect(),
        Err(_) => return true,
    };
    // Starts are told to the second.
    let until = made + Duration::from_secs(1);
    tree::find("git", &places).is_none_or(|found| found.iter().any(|started| *started <= until))
}

fn put_aside(repo: &Repository, lock: &Path) -> Result<(), GitError> {
    let trash = repo.own_dir("trash")?;
    let name = lock.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match fs::rename(lock, trash.join(format!("{name}-{:016x}", fastrand::u64(..)))) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(GitError::file("rename", lock)(error)),
        _ => Ok(()),
    }
}
