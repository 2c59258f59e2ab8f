//! What is on disk: where it is ([`layout`]), the journal and its snapshot ([`journal`], and [`follow`] as it grows), who
//! leads ([`election`]), logs ([`log`]), the records of shims ([`record`]), and conflicts to come ([`foreseen`]).
//!
//! Whole files are written by [`replace`]: a crash leaves the old one or the new one. Directories are removed by a
//! rename into the trash (`git::worktree`), never in place.

mod caches;
pub mod election;
pub mod environment;
pub mod follow;
pub mod foreseen;
pub mod journal;
pub mod layout;
pub mod log;
pub mod record;
pub mod secrets;
pub mod weight;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub use layout::Layout;

/// A file of ours could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("cannot {what} {}", path.display())]
    File {
        /// What we were doing.
        what: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The file does not say what it should.
    #[error("{}:{line}: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// The repository was copied, and our records with it: two of them must not work on the same tasks.
    #[error("this repository is a copy of {}, whose tasks it must not touch", original.display())]
    Copied {
        /// The common directory of the other one.
        original: PathBuf,
        /// Our records in the copy.
        home: PathBuf,
    },
}

impl StoreError {
    /// For `map_err` on a file operation.
    pub fn file(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { what, path, source }
    }
}

/// Did it fail for want of room on the disk, which passes?
pub fn is_no_room(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Bytes free for us where this path is.
pub fn free_disk(path: &Path) -> Option<u64> {
    let seen = rustix::fs::statvfs(path).ok()?;
    Some(seen.f_bavail.saturating_mul(seen.f_frsize))
}

/// Replace a whole file: temporary file beside it, fsync, rename, fsync of the directory.
///
/// # Errors
/// Where any step fails; the old file is then still there.
pub fn replace(path: &Path, contents: &[u8]) -> Result<(), StoreError> {
    replace_with(path, contents, Durable::Yes)
}

/// Must it survive a power cut, or only a crash of ours?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    /// It is on the disk before anybody believes it.
    Yes,
    /// The page cache is enough: it can be told again.
    No,
}

/// As [`replace`], where losing it in a power cut is harmless.
///
/// # Errors
/// As [`replace`].
pub fn replace_with(path: &Path, contents: &[u8], durable: Durable) -> Result<(), StoreError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(dir)?;
        file.write_all(contents)?;
        if durable == Durable::Yes {
            file.as_file().sync_data()?;
        }
        file.persist(path).map_err(|error| error.error)?;
        if durable == Durable::Yes {
            File::open(dir)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(StoreError::file("write", path))
}

/// Make a whole file where there is none; `false` where there is one.
///
/// # Errors
/// Where any step fails; there is no file then.
pub fn create(path: &Path, contents: &[u8]) -> Result<bool, StoreError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let write = || -> io::Result<bool> {
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(dir)?;
        file.write_all(contents)?;
        file.as_file().sync_data()?;
        match file.persist_noclobber(path) {
            Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            persisted => persisted.map_err(|failed| failed.error)?,
        };
        File::open(dir)?.sync_all()?;
        Ok(true)
    };
    write().map_err(StoreError::file("write", path))
}

/// Read a whole file; `None` where it is not there. What is no file (a link, a pipe that a task has put there) is not
/// followed and not waited for.
///
/// # Errors
/// Where it cannot be read.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    use std::io::Read as _;
    use std::os::unix::fs::OpenOptionsExt;
    let whole = || -> io::Result<Vec<u8>> {
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let mut file = File::options().read(true).custom_flags(flags.bits() as i32).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match whole() {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::file("read", path)(error)),
    }
}

/// Make a directory and those above it.
///
/// # Errors
/// Where that fails.
pub fn make_dir(path: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(path).map_err(StoreError::file("make directory", path))
}
