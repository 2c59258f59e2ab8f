//! What the plan must know of this machine.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::plan::Kind;

/// What is at a path, without following a link.
pub fn kind(path: &Path) -> Kind {
    match fs::symlink_metadata(path) {
        Ok(data) if data.is_dir() => Kind::Directory,
        Ok(data) if data.is_symlink() => Kind::Link,
        Ok(_) => Kind::File,
        Err(_) => Kind::Absent,
    }
}

/// The sockets in the file system that are bound now, as far as the kernel tells.
pub fn sockets() -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let paths = table.lines().filter_map(|line| line.splitn(8, char::is_whitespace).last().and_then(path_of));
    let is_socket = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket());
    let mut all: Vec<PathBuf> = paths.filter(is_socket).collect();
    all.sort();
    all.dedup();
    all
}

/// The last word of a line; the one before it is a number of varying width.
fn path_of(rest: &str) -> Option<PathBuf> {
    let at = rest.find(" /").map(|at| at + 1).or_else(|| rest.starts_with('/').then_some(0))?;
    Some(PathBuf::from(&rest[at..]))
}

/// The directories that the values of these variables name, piece by piece: programs and their files.
pub fn named<'a>(values: impl IntoIterator<Item = &'a Path>) -> Vec<PathBuf> {
    let pieces = values.into_iter().flat_map(|value| std::env::split_paths(value.as_os_str()).collect::<Vec<_>>());
    let mut all: Vec<PathBuf> = pieces.filter(|piece| piece.is_absolute() && piece.is_dir()).collect();
    all.sort();
    all.dedup();
    all
}
