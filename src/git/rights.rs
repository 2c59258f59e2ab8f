//! Rights that a task took from its own files: to save them, their owner must be able to read them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Let the owner read every file below `top`, and look into every directory. No link is followed. Was there anything to do?
pub fn give_back(top: &Path) -> bool {
    let mut given = false;
    let mut open: Vec<PathBuf> = vec![top.to_owned()];
    while let Some(path) = open.pop() {
        let Ok(data) = fs::symlink_metadata(&path) else { continue };
        let wanted = if data.is_dir() {
            0o700
        } else if data.is_file() {
            0o400
        } else {
            continue;
        };
        let mode = data.permissions().mode();
        if mode & wanted != wanted {
            given |= fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o7777 | wanted)).is_ok();
        }
        if data.is_dir() {
            open.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
    }
    given
}
