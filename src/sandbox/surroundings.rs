//! What the plan must know of this machine.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt};
use std::path::{Path, PathBuf};

use super::given;
use super::plan::{Kind, Places};
use crate::core::sandbox::Policy;

/// What is at a path, without following a link.
pub fn kind(path: &Path) -> Kind {
    match fs::symlink_metadata(path) {
        Ok(data) if data.is_dir() => Kind::Directory,
        Ok(data) if data.is_symlink() => fs::canonicalize(path).map_or(Kind::Absent, Kind::Link),
        Ok(_) => Kind::File,
        Err(_) => Kind::Absent,
    }
}

/// The same places without any link on the way: by their names it is told what lies in what.
pub fn real(places: &Places) -> Places {
    let one = |path: &PathBuf| fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    let all = |paths: &Vec<PathBuf>| paths.iter().map(one).collect();
    // A link is one of these itself.
    let name = |path: &PathBuf| match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => one(&parent.to_owned()).join(name),
        _ => path.clone(),
    };
    Places {
        work: one(&places.work),
        worktree: one(&places.worktree),
        checkout: places.checkout.as_ref().map(one),
        called: places.called.clone(),
        common: places.common.as_ref().map(|(link, common)| (name(link), one(common))),
        write: all(&places.write),
        show: all(&places.show),
        tmp: places.tmp.as_ref().map(one),
        hide: all(&places.hide),
        keep: all(&places.keep),
        home: places.home.as_ref().map(one),
        sockets: all(&places.sockets),
        run: all(&places.run),
        links: links(places),
    }
}

fn links(places: &Places) -> Vec<(PathBuf, PathBuf)> {
    let single = [&places.work, &places.worktree]
        .into_iter()
        .chain(&places.checkout)
        .chain(&places.called)
        .chain(&places.tmp)
        .chain(&places.home);
    let many = places.write.iter().chain(&places.show).chain(&places.keep);
    let common = places.common.iter().flat_map(|(link, common)| [link.parent().unwrap_or(link), common.as_path()]);
    let all = single.chain(many).map(PathBuf::as_path).chain(common).flat_map(Path::ancestors);
    let mut links: Vec<(PathBuf, PathBuf)> =
        all.filter_map(|path| Some((path.to_owned(), fs::read_link(path).ok()?))).collect();
    links.sort();
    links.dedup();
    links
}

/// Make the directories that are named with a `/` at their end, where nothing is. What cannot be made is not there, which is told.
pub fn make_wanted(policy: &Policy, home: Option<&Path>) {
    for path in policy.write.iter().filter(|path| path.as_bytes().ends_with(b"/")) {
        let path = given::under(home, path.as_path());
        if path.is_absolute() && kind(&path) == Kind::Absent {
            let _ = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
        }
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
