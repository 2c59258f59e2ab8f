//! What only saves time, and may go where the disk is short; and what goes already.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Layout, StoreError};

impl Layout {
    /// The pooled worktrees that there are, each with its git directory.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub fn pooled(&self) -> Result<Vec<PathBuf>, StoreError> {
        entries_of(&self.state.join("pool"))
    }

    /// The base images that there are.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub fn all_images(&self) -> Result<Vec<PathBuf>, StoreError> {
        entries_of(&self.images())
    }

    /// What is on its way out.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub fn thrown_away(&self) -> Result<Vec<PathBuf>, StoreError> {
        entries_of(&self.trash())
    }
}

fn entries_of(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => {
            let entries = entries.map_err(StoreError::file("read directory", dir))?;
            Ok(entries.flatten().map(|entry| entry.path()).collect())
        }
    }
}
