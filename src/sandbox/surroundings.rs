//! What the plan must know of this machine.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt};
use std::path::{Component, Path, PathBuf};

use super::given;
use super::plan::{Kind, Places};
use crate::core::sandbox::Policy;

/// What is at a path, without following a link.
fn kind(path: &Path) -> Kind {
    match fs::symlink_metadata(path) {
        Ok(data) if data.is_dir() => Kind::Directory,
        Ok(data) if data.is_symlink() => fs::canonicalize(path).map_or(Kind::Absent, Kind::Link),
        Ok(_) => Kind::File,
        Err(_) => Kind::Absent,
    }
}

/// What was found at paths: each is looked at once, as the same ones are asked for again and again. Where nothing is, nothing is
/// below it.
#[derive(Debug, Default)]
pub struct Seen(RefCell<HashMap<OsString, Kind>>);

impl Seen {
    /// What is at a path, without following a link.
    pub fn kind(&self, path: &Path) -> Kind {
        if let Some(kind) = self.0.borrow().get(path.as_os_str()) {
            return kind.clone();
        }
        let parent = path.parent().and_then(|parent| self.0.borrow().get(parent.as_os_str()).cloned());
        let kind = match parent {
            Some(Kind::Absent | Kind::File) => Kind::Absent,
            _ => kind(path),
        };
        self.0.borrow_mut().insert(path.as_os_str().to_owned(), kind.clone());
        kind
    }

    /// The same place without any link on the way; `None` where there is nothing.
    fn real(&self, path: &Path) -> Option<PathBuf> {
        let mut real = PathBuf::from("/");
        let mut pieces = path.components();
        if pieces.next() != Some(Component::RootDir) {
            return fs::canonicalize(path).ok();
        }
        for piece in pieces {
            let Component::Normal(name) = piece else { return fs::canonicalize(path).ok() };
            real.push(name);
            match self.kind(&real) {
                Kind::Directory | Kind::File => {}
                Kind::Link(to) => real = to,
                Kind::Absent => return None,
            }
        }
        Some(real)
    }
}

/// The same places without any link on the way: by their names it is told what lies in what.
pub fn real(places: &Places, seen: &Seen) -> Places {
    let one = |path: &PathBuf| seen.real(path).unwrap_or_else(|| path.components().collect());
    let all = |paths: &Vec<PathBuf>| paths.iter().map(one).collect();
    // A link is one of these itself.
    let name = |path: &PathBuf| match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => one(&parent.to_owned()).join(name),
        _ => path.clone(),
    };
    Places {
        work: one(&places.work),
        worktree: one(&places.worktree),
        overlay: places.overlay.clone(),
        checkout: places.checkout.as_ref().map(one),
        called: places.called.clone(),
        common: places.common.as_ref().map(|(link, common)| (name(link), one(common))),
        write: all(&places.write),
        show: all(&places.show),
        // What is there on the disk is a file of ours, and no link is followed at its name.
        lead: places.lead.as_ref().map(|(file, at)| (one(file), name(at))),
        tmp: places.tmp.as_ref().map(one),
        hide: all(&places.hide),
        keep: all(&places.keep),
        home: places.home.as_ref().map(one),
        sockets: all(&places.sockets),
        run: all(&places.run),
        links: links(places, seen),
    }
}

fn links(places: &Places, seen: &Seen) -> Vec<(PathBuf, PathBuf)> {
    let single = [&places.work, &places.worktree]
        .into_iter()
        .chain(&places.checkout)
        .chain(&places.called)
        .chain(&places.tmp)
        .chain(&places.home);
    let many = places.write.iter().chain(&places.show).chain(&places.keep);
    let common = places.common.iter().flat_map(|(link, common)| [link.parent().unwrap_or(link), common.as_path()]);
    let mut met: HashSet<&OsStr> = HashSet::new();
    let all = single.chain(many).map(PathBuf::as_path).chain(common).flat_map(Path::ancestors);
    let all = all.filter(|path| met.insert(path.as_os_str()));
    let may_be = all.filter(|path| matches!(seen.kind(path), Kind::Link(_) | Kind::Absent));
    let mut links: Vec<_> = may_be.filter_map(|path| Some((path.to_owned(), fs::read_link(path).ok()?))).collect();
    links.sort();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_without_links_as_the_system_would() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        fs::create_dir_all(top.join("a/b")).unwrap();
        fs::File::create(top.join("a/b/file")).unwrap();
        for (at, to) in [("link", "a"), ("a/up", "../a/b"), ("dangling", "nothing"), ("round", "round")] {
            std::os::unix::fs::symlink(to, top.join(at)).unwrap();
        }
        let seen = Seen::default();
        for name in [
            "",
            "a",
            "a/b/file",
            "link",
            "link/b",
            "link/up/file",
            "a/../link/b",
            "a/./b",
            "dangling",
            "round/x",
            "a/b/file/x",
            "not",
        ] {
            let path = top.join(name);
            assert_eq!(seen.real(&path), fs::canonicalize(&path).ok(), "{name}");
        }
    }
}
