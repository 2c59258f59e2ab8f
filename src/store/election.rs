//! Locks that say who is alive. The kernel frees them with their owner, whatever ends it: a lock is never stale.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use fd_lock::{RwLock, RwLockWriteGuard};

use super::StoreError;

/// A held lock. It is held until the process ends: leaders and shims do not change their mind.
#[derive(Debug)]
pub struct Held {
    _guard: RwLockWriteGuard<'static, File>,
}

/// Take the lock, if nobody has it.
///
/// # Errors
/// Where the file cannot be opened or locked at all.
pub fn try_hold(path: &Path) -> Result<Option<Held>, StoreError> {
    let lock: &'static mut RwLock<File> = Box::leak(Box::new(RwLock::new(open(path)?)));
    match lock.try_write() {
        Ok(guard) => Ok(Some(Held { _guard: guard })),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(StoreError::file("lock", path)(error)),
    }
}

/// Do something while holding the lock; `None`, and nothing done, where somebody has it.
///
/// # Errors
/// Where the file cannot be opened or locked at all.
pub fn while_held<T>(path: &Path, act: impl FnOnce() -> T) -> Result<Option<T>, StoreError> {
    let mut lock = RwLock::new(open(path)?);
    match lock.try_write() {
        Ok(_guard) => Ok(Some(act())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(StoreError::file("lock", path)(error)),
    }
}

/// Does somebody hold the lock?
///
/// # Errors
/// Where the file cannot be opened or locked at all.
pub fn is_held(path: &Path) -> Result<bool, StoreError> {
    Ok(while_held(path, || ())?.is_none())
}

fn open(path: &Path) -> Result<File, StoreError> {
    // Rust opens with close-on-exec: a daemon that a task leaves behind does not keep the lock.
    OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(StoreError::file("open", path))
}
