//! The lock of an index, as git takes it.

use std::fs;
use std::io;
use std::path::Path;

/// Held until it is dropped or the new index is in its place.
#[derive(Debug)]
pub(super) struct IndexLock {
    lock: std::path::PathBuf,
    file: fs::File,
    is_done: bool,
}

impl IndexLock {
    /// Take it.
    ///
    /// # Errors
    /// Where somebody has it, or it cannot be made.
    pub(super) fn take(index: &Path) -> io::Result<Self> {
        let mut lock = index.as_os_str().to_owned();
        lock.push(".lock");
        let file = fs::File::options().write(true).create_new(true).open(&lock)?;
        Ok(Self { lock: lock.into(), file, is_done: false })
    }

    /// Put the new index in the place of the old one.
    pub(super) fn commit(mut self, index: &Path, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(&mut self.file, bytes)?;
        fs::rename(&self.lock, index)?;
        self.is_done = true;
        Ok(())
    }
}

impl Drop for IndexLock {
    fn drop(&mut self) {
        if !self.is_done {
            let _ = fs::remove_file(&self.lock);
        }
    }
}
