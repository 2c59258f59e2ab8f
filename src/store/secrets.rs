//! Values of secrets that tasks are given on purpose: a file for each task, that nobody else reads, and only for as long as an
//! attempt of it may still start by itself.
//!
//! They are nowhere else: the journal, the events and `spec.json` have their names alone. The shim takes them into its
//! memory; after that, or where the task cannot start any more, the file goes.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use super::{Layout, StoreError, environment::Environment, read};
use crate::core::id::TaskId;

/// Keep these for a task; nothing where there are none.
///
/// # Errors
/// Where they cannot be written.
pub fn keep(layout: &Layout, task: TaskId, secrets: &Environment) -> Result<(), StoreError> {
    if secrets.is_empty() {
        return Ok(());
    }
    let dir = layout.secrets();
    let bytes = serde_json::to_vec(secrets).expect("a map of strings is JSON");
    let write = || {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        // Made with 0600 under a name that nobody knows, and put in its place whole.
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(&dir)?;
        file.write_all(&bytes)?;
        file.persist(layout.secrets_of(task)).map_err(|error| error.error)
    };
    write().map(drop).map_err(StoreError::file("write", &layout.secrets_of(task)))
}

/// Those of a file; none where it is gone. A link is not followed, and what others could have written or read is not taken.
///
/// # Errors
/// Where it cannot be read, or is not what [`keep`] made.
pub fn find(path: &Path) -> Result<Environment, StoreError> {
    let Some(bytes) = read(path)? else { return Ok(BTreeMap::new()) };
    let damaged = |why: String| StoreError::Damaged { path: path.to_owned(), line: 1, why };
    let is_ours = fs::symlink_metadata(path).is_ok_and(|data| {
        data.is_file() && data.mode() & 0o077 == 0 && data.uid() == rustix::process::geteuid().as_raw()
    });
    if !is_ours {
        return Err(damaged("others could have touched it".to_owned()));
    }
    serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))
}

/// Let go of all but those of the tasks that may still need them. What cannot be removed now is removed another time.
pub fn sweep(layout: &Layout, is_needed: impl Fn(TaskId) -> bool) {
    let Ok(entries) = fs::read_dir(layout.secrets()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let task = name.to_str().and_then(|name| name.strip_suffix(".json")?.parse().ok());
        if !task.is_some_and(|number| is_needed(TaskId(number))) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
