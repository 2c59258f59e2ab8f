//! An overlay becomes a worktree as any other: the files of its base, and over them what was written.
//!
//! No image is needed, and nothing is mounted: what shines through is in the objects of the base, which is pinned for as long as the
//! place is there. All of it is made beside the place, of links to the files that were written, so that the bytes of each are on the disk at any moment;
//! then it comes to its place by a rename. Done again after a crash it goes on where it was.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;

use super::compare::Change;
use super::image::sync;
use super::write::{self, Paper};
use crate::core::id::CommitId;
use crate::git::advance::OPEN;
use crate::git::index::Index;
use crate::git::objects::Objects;
use crate::git::overlay::{Kind, Layers, Reading, Seen, Upper};
use crate::git::worktree::{self, Place};
use crate::git::{GitError, Repository, trash};

/// In the directory of an overlay: which directory holds all of it, once there is one.
const MARK: &str = "real";

/// An overlay that is to become a worktree as any other. Nothing of it is mounted, and nobody mounts it.
pub struct Real<'a> {
    /// The user's repository.
    pub repo: &'a Repository,
    /// Where.
    pub place: &'a Place,
    /// What it is over, as a commit.
    pub base: CommitId,
    /// What was written.
    pub layers: &'a Layers,
    /// Where that goes which is not needed any more; on the same file system.
    pub trash: &'a Path,
    /// Told where a crash would be of interest.
    pub at: &'a dyn Fn(&'static str),
}

/// Make it one. Once this is done there is no overlay any more.
///
/// # Errors
/// Where a file cannot be written: then all is as it was, or this is to be done again.
pub fn make_real(order: &Real<'_>) -> Result<(), GitError> {
    let top = &order.place.worktree;
    let draft = draft_of(top);
    let mark = order.layers.dir.join(MARK);
    let known = fs::read_to_string(&mark).unwrap_or_default();
    let is_made = |dir: &Path| identity(dir).is_some_and(|made| made == known);
    if !is_made(top) {
        if !is_made(&draft) {
            order.layers.take_in(top).map_err(GitError::file("take in what is in", top))?;
            trash::delete(&draft)?;
            if let Err(error) = build(order, &draft) {
                // For want of room, it may be.
                let _ = trash::delete(&draft);
                return Err(error);
            }
            (order.at)("overlay.written");
            put(&mark, &identity(&draft).unwrap_or_default()).map_err(GitError::file("write", &mark))?;
        }
        // What is there is ours and empty, or it stays.
        match fs::remove_file(top.join(".git")).and_then(|()| fs::remove_dir(top)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(GitError::file("replace", top)(error)),
            _ => {}
        }
        if let Err(error) = fs::remove_dir(top)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(GitError::file("replace", top)(error));
        }
        (order.at)("overlay.emptied");
        fs::rename(&draft, top).map_err(GitError::file("replace", top))?;
    }
    give_index(order)?;
    (order.at)("overlay.real");
    let to = order.trash.join(format!("overlay-{:016x}", fastrand::u64(..)));
    fs::rename(&order.layers.dir, to).map_err(GitError::file("throw away", &order.layers.dir))
}

/// Where it is made, beside its place.
pub fn draft_of(top: &Path) -> PathBuf {
    let mut name = top.file_name().unwrap_or_default().to_owned();
    name.push(".real");
    top.with_file_name(name)
}

/// Whoever looks there with git from outside has the index of its base, as elsewhere.
fn give_index(order: &Real<'_>) -> Result<(), GitError> {
    let opened = git2::Repository::open(order.repo.common_dir())?;
    let tree = opened.find_commit(git2::Oid::from_str(&order.base.to_string())?)?.tree()?;
    let mut index = git2::Index::open(&worktree::admin_dir(order.repo, &order.place.worktree).join("index"))?;
    index.read_tree(&tree)?;
    Ok(index.write()?)
}

fn identity(dir: &Path) -> Option<String> {
    let seen = fs::symlink_metadata(dir).ok()?;
    Some(format!("{}:{}\n", seen.dev(), seen.ino()))
}

/// On the disk, in one step.
fn put(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = File::create(&draft)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all())?;
    fs::rename(draft, path)
}

fn build(order: &Real<'_>, draft: &Path) -> Result<(), GitError> {
    let from = order.layers.upper();
    fs::create_dir(draft).map_err(GitError::file("make", draft))?;
    let upper = Upper::read(&from, Reading::Ended).map_err(GitError::file("read", &from))?;
    let objects = Objects::of(order.repo);
    let tree = objects.as_ref().and_then(|objects| objects.tree_of(order.base));
    let change = objects.as_ref().zip(tree).and_then(|(objects, tree)| Change::to(objects, tree, &Index::empty()));
    let cannot = |words: String| GitError::file("write", draft)(io::Error::other(words));
    let change = change.ok_or_else(|| cannot(format!("the objects of {} cannot be read", order.base)))?;
    let mut files = change.writes();
    files.retain(|(path, ..)| upper.seen(path) == Seen::Below);
    let paper = Paper { repo: order.repo, top: draft, trash: order.trash, backdate: false };
    write::all(&paper, &files).map_err(cannot)?;
    link(&upper, &from, draft).map_err(GitError::file("write", draft))?;
    let lead = from.join(".git");
    fs::copy(&lead, draft.join(".git")).map_err(GitError::file("copy", &lead))?;
    sync(draft).map_err(cannot)
}

/// What was written has another name in the new place.
fn link(upper: &Upper, from: &Path, to: &Path) -> io::Result<()> {
    let (from, to_dir) = (open(from)?, open(to)?);
    let mut modes: Vec<(PathBuf, u32)> = Vec::new();
    for (path, kind) in &upper.entries {
        let path = path.as_path();
        match kind {
            Kind::Removed => {}
            Kind::File => rustix::fs::linkat(&from, path, &to_dir, path, AtFlags::empty())?,
            Kind::Directory { mode, .. } => {
                match rustix::fs::mkdirat(&to_dir, path, Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(errno.into()),
                }
                modes.push((to.join(path), *mode));
            }
        }
    }
    // Those that nothing can be put into come last, the innermost first.
    for (path, mode) in modes.into_iter().rev() {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

fn open(dir: &Path) -> Result<std::os::fd::OwnedFd, Errno> {
    rustix::fs::open(dir, OPEN, Mode::empty())
}
