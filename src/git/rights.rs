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

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "files of a task, not of ours")]
mod tests {
    use super::*;

    #[test]
    fn the_owner_can_read_again_what_is_there_and_nothing_else_changes() {
        let dir = tempfile::tempdir().unwrap();
        let (top, outside) = (dir.path().join("top"), dir.path().join("outside"));
        fs::create_dir_all(top.join("deep")).unwrap();
        fs::write(top.join("deep/file"), "text").unwrap();
        fs::write(top.join("script"), "text").unwrap();
        fs::write(&outside, "text").unwrap();
        std::os::unix::fs::symlink(&outside, top.join("link")).unwrap();
        assert!(!give_back(&top));
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        for (path, mode) in [("deep/file", 0), ("script", 0o111), ("deep", 0)] {
            set(&top.join(path), mode);
        }
        set(&outside, 0);
        assert!(give_back(&top));
        let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(["deep", "deep/file", "script"].map(|path| mode(&top.join(path))), [0o700, 0o400, 0o511]);
        assert_eq!(mode(&outside), 0, "no link is followed");
    }
}
