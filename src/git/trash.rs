//! Deleting whole directories that hold anything: no link is followed, missing permissions do not stop it,
//! depth does not either, and what cannot go is told and left.

use std::ffi::{CStr, CString, OsStr};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, chmodat, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

use super::GitError;
use crate::process::subvolume;

/// Deeper directories are first moved up, so that no depth uses up our descriptors.
const DEPTH: usize = 64;
const SUBVOLUME: u64 = 256;

/// Delete everything in this directory; it stays itself. Where it is missing there is nothing to do.
pub(super) fn empty(trash: &Path) -> Vec<GitError> {
    let top = match open(rustix::fs::CWD, trash.as_os_str()) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Vec::new(),
        Err(errno) => return vec![failed(trash, errno)],
    };
    clear_all(&top, trash)
}

fn clear_all(top: &OwnedFd, trash: &Path) -> Vec<GitError> {
    let mut run = Run { top: top.as_fd(), failures: Vec::new(), moved: 0 };
    loop {
        run.failures.clear();
        let before = run.moved;
        run.clear(top.as_fd(), trash, 0);
        // What was moved up lies in the top directory now.
        if run.moved == before {
            return run.failures;
        }
    }
}

/// Delete this file or directory with all that is in it. Where it is missing there is nothing to do.
pub(crate) fn delete(path: &Path) -> Result<(), GitError> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => {
            if let Some(failure) = empty(path).into_iter().next() {
                return Err(failure);
            }
            fs::remove_dir(path).map_err(GitError::file("delete", path))
        }
        Ok(_) => fs::remove_file(path).map_err(GitError::file("delete", path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(GitError::file("delete", path)(error)),
    }
}

struct Run<'a> {
    top: BorrowedFd<'a>,
    failures: Vec<GitError>,
    moved: u64,
}

impl Run<'_> {
    fn clear(&mut self, dir: BorrowedFd<'_>, path: &Path, depth: usize) {
        let names = match names(dir) {
            Ok(names) => names,
            Err(errno) => return self.failures.push(failed(path, errno)),
        };
        for name in names {
            let path: PathBuf = path.join(OsStr::from_bytes(name.as_bytes()));
            // Somebody else may be emptying it, too: what is gone is gone.
            if let Err(errno) = self.delete(dir, &name, &path, depth)
                && errno != Errno::NOENT
            {
                self.failures.push(failed(&path, errno));
            }
        }
    }

    fn delete(&mut self, dir: BorrowedFd<'_>, name: &CStr, path: &Path, depth: usize) -> Result<(), Errno> {
        let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return unlinkat(dir, name, AtFlags::empty());
        }
        if unlinkat(dir, name, AtFlags::REMOVEDIR).is_ok() {
            return Ok(());
        }
        // The top of a subvolume of btrfs has this inode; of another file system both come to nothing.
        if stat.st_ino == SUBVOLUME {
            if subvolume::destroy(dir, OsStr::from_bytes(name.to_bytes())).is_ok() {
                return Ok(());
            }
            if let Ok(inner) = open(dir, OsStr::from_bytes(name.to_bytes())) {
                let _ = subvolume::unlock(inner.as_fd());
                // Nothing can be moved out of it.
                self.failures.append(&mut clear_all(&inner, path));
            }
        }
        if stat.st_mode & 0o700 != 0o700 {
            // It is no link, as we just saw, and the task that could exchange it has ended.
            chmodat(dir, name, Mode::RWXU, AtFlags::empty())?;
        }
        if depth == DEPTH {
            let up = CString::new(format!("moved-{:016x}", fastrand::u64(..))).expect("there is no NUL in it");
            renameat(dir, name, self.top, &up)?;
            self.moved += 1;
            return Ok(());
        }
        let inner = open(dir, OsStr::from_bytes(name.to_bytes()))?;
        let known = self.failures.len();
        let moved = self.moved;
        self.clear(inner.as_fd(), path, depth + 1);
        match unlinkat(dir, name, AtFlags::REMOVEDIR) {
            // The reason is told already, or the next round will do it.
            Err(Errno::NOTEMPTY | Errno::EXIST) if self.failures.len() > known || self.moved > moved => Ok(()),
            other => other,
        }
    }
}

fn open(dir: impl AsFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    openat(dir, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

fn names(dir: BorrowedFd<'_>) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

fn failed(path: &Path, errno: Errno) -> GitError {
    GitError::file("delete", path)(errno.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn links_stay_unfollowed_and_closed_or_deep_directories_go() {
        let dir = tempfile::tempdir().unwrap();
        let (trash, other) = (dir.path().join("trash"), dir.path().join("other"));
        fs::create_dir_all(trash.join("a/closed/inner")).unwrap();
        fs::create_dir_all(&other).unwrap();
        fs::File::create(other.join("kept")).unwrap();
        symlink(&other, trash.join("a/link")).unwrap();
        fs::set_permissions(trash.join("a/closed"), fs::Permissions::from_mode(0o0)).unwrap();
        // Deeper than any path may be long, and than there are descriptors.
        let mut at = open(rustix::fs::CWD, trash.as_os_str()).unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&at, "deep", Mode::RWXU).unwrap();
            at = open(&at, OsStr::new("deep")).unwrap();
        }
        drop(at);
        let failures = empty(&trash);
        assert!(failures.is_empty(), "{failures:?}");
        assert_eq!(fs::read_dir(&trash).unwrap().count(), 0);
        assert!(other.join("kept").exists());
        assert!(empty(&dir.path().join("missing")).is_empty());
    }
}
