//! A place over a base image: only what differs from it is written, in the upper directory of an overlay.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use super::compare::Change;
use super::image::{Image, Images, Way, is_far};
use super::write::{self, Paper};
use super::{FillError, Order, fresh, plain};
use crate::core::word::Word;
use crate::git::advance::Dirs;
use crate::git::checkout::parents;
use crate::git::index::Index;
use crate::git::objects::Objects;
use crate::git::overlay::{DRAFT, IMAGE};
use crate::git::{GitError, trash};

/// Where an overlay is to be.
#[derive(Debug, Clone, Copy)]
pub struct Under<'a> {
    /// Its directory, in which nothing is yet.
    pub dir: &'a Path,
    /// While this is held no cache goes.
    pub alone: &'a Mutex<()>,
}

/// Make one, and answer the index of its files. `None`, and nothing is there, where no image could be made.
pub(super) fn lay(
    order: &Order<'_>,
    images: &Images,
    objects: &Objects<'_>,
    under: Under<'_>,
) -> Result<Option<Vec<u8>>, FillError> {
    let turn = images.turn();
    match images.untouched(order.repo, objects, order.base, order.at) {
        Ok(found) => take(order, under, turn, &found).map(Some),
        Err(_) => Ok(None),
    }
}

/// As [`lay`], where there is an image that is near: then only what differs from it is looked at, and not all files of the base. An image has
/// files of ordinary names only, that are the bytes of their objects.
pub(super) fn quickly(order: &Order<'_>, objects: &Objects<'_>) -> Result<Option<Vec<u8>>, FillError> {
    let (Some(images), Some(under)) = (order.images, order.overlay) else { return Ok(None) };
    if images.way(order.mode, order.backdate) != Some(Way::Overlay) {
        return Ok(None);
    }
    let turn = images.turn();
    let near = images.nearest(objects, order.base).filter(|(_, differs)| !is_far(differs));
    let Some((image, differs)) = near else { return Ok(None) };
    let is_plain = plain::look(order, &image.seal.index, Some(objects), Some(&differs)).is_plain;
    if is_plain && images.is_known(&image) { take(order, under, turn, &(image, differs)).map(Some) } else { Ok(None) }
}

/// Take hold of an image, and write what differs from it.
fn take(
    order: &Order<'_>,
    under: Under<'_>,
    turn: MutexGuard<'_, ()>,
    (image, differs): &(Image, Change),
) -> Result<Vec<u8>, FillError> {
    let draft = under.dir.with_extension(DRAFT);
    trash::delete(&draft)?;
    let cannot = |error: io::Error| FillError::Git(GitError::file("make", &draft)(error));
    let upper = draft.join("upper");
    for dir in [&draft, &upper, &draft.join("work")] {
        fs::create_dir(dir).map_err(cannot)?;
    }
    {
        let _alone = under.alone.lock();
        std::os::unix::fs::symlink(image.name(), draft.join(IMAGE)).map_err(cannot)?;
        if !image.is_there() {
            return Err(FillError::Unfit("the base image has gone meanwhile".to_owned()));
        }
    }
    // From here on it is held.
    drop(turn);
    let paper = Paper { repo: order.repo, top: &upper, trash: order.trash, backdate: order.backdate };
    let bytes = over(&paper, image, differs)?;
    // Something to mount on.
    fs::copy(order.place.worktree.join(".git"), upper.join(".git")).map_err(cannot)?;
    (order.at)("overlay.laid");
    fs::rename(&draft, under.dir).map_err(cannot)?;
    Ok(bytes)
}

/// What is over an image becomes the files of another commit. Answers their index.
fn over(paper: &Paper<'_>, image: &Image, change: &Change) -> Result<Vec<u8>, FillError> {
    let index = &image.seal.index;
    if change.entries.is_empty() {
        return Ok(index.bytes().to_vec());
    }
    let written = write::all(paper, &change.writes()).map_err(FillError::Unfit)?;
    let mut all = fresh(&written);
    all.extend(change.removes().map(|path| (path, None)));
    let bytes = index.with_trees(&all, &change.trees);
    let new = Index::of(bytes, 0).ok_or_else(|| FillError::Unfit("its index cannot be read".to_owned()))?;
    let mut dirs = Dirs::open(paper.top).map_err(GitError::file("open", paper.top))?;
    for path in change.removes() {
        let Some(gone) = topmost_gone(&new, path) else { continue };
        remove(&mut dirs, &gone).map_err(GitError::file("remove", paper.top.join(gone.as_path())))?;
    }
    Ok(new.bytes().to_vec())
}

/// Of a path that is not in an index any more, the topmost that is not: directories go with the last file in them. `None` where what is
/// there now hides it.
fn topmost_gone(new: &Index, path: &Word) -> Option<Word> {
    for at in parents(path).chain([path.clone()]) {
        if new.get(&at).is_some() {
            return None;
        }
        if new.below(&at).next().is_none() {
            return Some(at);
        }
    }
    None
}

/// What the image has at a path does not shine through.
fn remove(dirs: &mut Dirs, path: &Word) -> io::Result<()> {
    let (dir, name) = dirs.of(path)?;
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{FileType, Mode};
        // A device of no number, which anybody may make.
        match rustix::fs::mknodat(dir, name, FileType::CharacterDevice, Mode::empty(), 0) {
            // Another path below it went before.
            Err(rustix::io::Errno::EXIST) => Ok(()),
            made => Ok(made?),
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (dir, name);
        Err(io::ErrorKind::Unsupported.into())
    }
}
