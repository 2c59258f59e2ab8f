//! The files of an attempt come to their place: the one seam behind which it is decided how.
//!
//! A *slot* is a place that is used again. What git ignores stays in it; everything else is as it would be in a new one.
//! What a task left there is not believed: beside the slot, where no task can write, lies its *seal*, the index of the files as we
//! wrote them. A file whose inode, times of change and rest are those of the seal is untouched, for no program can choose
//! the time of change of a file; any other is taken away and written anew, and what is tracked neither there nor ignored by the files
//! of the new base goes ([`scan`]). From one base to the next only the files that differ are written ([`compare`]), by several
//! threads ([`write`](mod@write)). Where what is written is not what the objects hold (filters, line ends, links to other
//! repositories), git writes ([`plain`]).
//!
//! A new place is made of a base image where the file system can share what is in files ([`image`]), or lies over one ([`lay`]); then it is
//! made a worktree as any other where it stays ([`real`]).
//!
//! A place that cannot be shown to be clean is [`FillError::Unfit`]: it is thrown away, never mended.

mod compare;
mod image;
mod lay;
mod plain;
mod probe;
mod real;
mod scan;
mod seal;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

pub use image::{Images, Sharing, held};
pub use lay::Under;
pub use probe::{probe, sharing};
pub use real::{Real, draft_of, make_real};
pub use seal::is_there as is_sealed;

use self::compare::Change;
use self::image::Way;
use self::scan::Scan;
use self::seal::Seal;
use self::write::Paper;
use super::checkout::parents;
use super::index::{Fresh, Index};
use super::objects::Objects;
use super::worktree::Place;
use super::{GitError, Repository, private};
use crate::core::id::CommitId;
use crate::core::provider::{Provider, WorktreeMode};
use crate::core::word::Word;

/// What is to be filled.
pub struct Order<'a> {
    /// The user's repository.
    pub repo: &'a Repository,
    /// Where. The private git directory is there, and new.
    pub place: &'a Place,
    /// With what.
    pub base: CommitId,
    /// How.
    pub mode: WorktreeMode,
    /// The directory of the slot, if the place is one.
    pub slot: Option<&'a Path>,
    /// Where that goes which is taken away; on the same file system.
    pub trash: &'a Path,
    /// Of what new places may be made.
    pub images: Option<&'a Images>,
    /// Where it may lie over one of these, what is written there.
    pub overlay: Option<Under<'a>>,
    /// Will nothing be brought there that is older than its files? Then they may be a little older than they are, and
    /// the first `git status` need not open any.
    pub backdate: bool,
    /// Told where a crash would be of interest.
    pub at: &'a dyn Fn(&'static str),
}

/// The place is not filled.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// What is there cannot be shown to be clean: it is to be thrown away, and a new place filled.
    #[error("this place cannot be used again: {0}")]
    Unfit(String),
    /// It cannot be filled at all.
    #[error(transparent)]
    Git(#[from] GitError),
}

/// Fill a place: exactly the files of its base, and what git ignores where the place was used before. A new place is
/// an empty directory, but for its `.git`.
///
/// # Errors
/// Where what is there is not fit, or the files cannot be written.
pub fn fill(order: &Order<'_>) -> Result<Provider, FillError> {
    let sealed = order.slot.map(Seal::take).transpose().map_err(FillError::Unfit)?.flatten();
    (order.at)("slot.opened");
    let objects = Objects::of(order.repo);
    if let (Some(objects), None) = (&objects, order.slot)
        && let Some(bytes) = lay::quickly(order, objects)?
    {
        private::write(&order.place.private.join("index"), &bytes)?;
        return Ok(Provider::Overlay);
    }
    let empty = Index::empty();
    let index = sealed.as_ref().map_or(&empty, |seal| &seal.index);
    let tree = objects.as_ref().and_then(|objects| objects.tree_of(order.base));
    let change = objects.as_ref().zip(tree).and_then(|(objects, tree)| Change::to(objects, tree, index));
    let found = plain::look(order, index, objects.as_ref(), change.as_ref());
    let filler = Filler { order, objects: objects.as_ref(), change: change.filter(|_| found.is_plain) };
    let (provider, bytes, others) = match &sealed {
        Some(seal) if seal.likeness != found.likeness => {
            return Err(FillError::Unfit("what decides how its files are written has changed".to_owned()));
        }
        Some(seal) => filler.recycle(seal).map(|(bytes, others)| (Provider::Slot, bytes, others))?,
        None => filler.fill_new(&empty).map(|(provider, bytes)| (provider, bytes, Vec::new()))?,
    };
    (order.at)("slot.switched");
    if let Some(dir) = order.slot {
        let top = &order.place.worktree;
        let sealed = Seal::put(dir, top, bytes, &found.likeness, None, Some(&others));
        sealed.map_err(GitError::file("write", dir))?;
    }
    Ok(provider)
}

struct Filler<'a> {
    order: &'a Order<'a>,
    objects: Option<&'a Objects<'a>>,
    /// What is to be written and removed; none where git has to tell.
    change: Option<Change>,
}

impl Filler<'_> {
    /// A new place.
    fn fill_new(&self, empty: &Index) -> Result<(Provider, Vec<u8>), FillError> {
        let top = &self.order.place.worktree;
        let mut others = fs::read_dir(top).map_err(GitError::file("read", top))?.flatten();
        if self.order.slot.is_some() && others.any(|entry| entry.file_name() != ".git") {
            return Err(FillError::Unfit("it was left half made".to_owned()));
        }
        if let Some(made) = self.share(empty)? {
            return Ok(made);
        }
        if let Some(change) = self.change.as_ref().filter(|_| self.order.mode != WorktreeMode::Plain)
            && let Ok(written) = write::all(&self.paper(self.order.backdate), &change.writes())
        {
            let bytes = empty.with_trees(&fresh(&written), &change.trees);
            self.put_index(&bytes)?;
            return Ok((Provider::Parallel, bytes));
        }
        private::checkout(&self.order.place.private, top)?;
        Ok((Provider::Plain, self.index_bytes()?))
    }

    /// A new place of a base image; `None` where there is none, and nothing is there.
    fn share(&self, empty: &Index) -> Result<Option<(Provider, Vec<u8>)>, FillError> {
        let order = self.order;
        let (Some(change), Some(images), Some(objects)) = (&self.change, order.images, self.objects) else {
            return Ok(None);
        };
        let top = &order.place.worktree;
        match images.way(order.mode, order.backdate) {
            None => Ok(None),
            Some(Way::Snapshot) => {
                let turn = images.turn();
                let Ok((image, differs)) = images.near(order.repo, objects, order.base, None, order.at) else {
                    return Ok(None);
                };
                if image.snapshot(top, order.at).is_err() {
                    return Ok(None);
                }
                drop(turn);
                let bytes = image::switch(&self.paper(order.backdate), &image, &differs)?;
                self.put_index(&bytes)?;
                Ok(Some((Provider::Snapshot, bytes)))
            }
            Some(Way::Overlay) => {
                let Some(under) = order.overlay else { return Ok(None) };
                let Some(bytes) = lay::lay(order, images, objects, under)? else { return Ok(None) };
                self.put_index(&bytes)?;
                Ok(Some((Provider::Overlay, bytes)))
            }
            Some(Way::Reflink) => {
                let near = if order.mode == WorktreeMode::Auto || order.mode == WorktreeMode::Slot {
                    images.nearest(objects, order.base)
                } else {
                    let _turn = images.turn();
                    images.near(order.repo, objects, order.base, None, order.at).ok()
                };
                if near.as_ref().is_none_or(|(_, differs)| image::is_far(differs)) {
                    images.want(order.base, order.slot.map(|dir| (dir.to_owned(), top.clone())));
                }
                let Some((image, _)) = near else { return Ok(None) };
                let written = write::all_from(&self.paper(order.backdate), &change.writes(), Some(&image));
                let written = written.map_err(FillError::Unfit)?;
                let bytes = empty.with_trees(&fresh(&written), &change.trees);
                self.put_index(&bytes)?;
                Ok(Some((Provider::Reflink, bytes)))
            }
        }
    }

    /// A place that was used before: its index, and what else is there.
    fn recycle(&self, seal: &Seal) -> Result<(Vec<u8>, Vec<Word>), FillError> {
        let paper = self.paper(false);
        let seen = Scan::of(&self.order.place.worktree, seal).map_err(FillError::Unfit)?;
        for path in &seen.foul {
            paper.take_away(path)?;
        }
        let bytes = match &self.change {
            Some(change) => self.switch(seal, &seen, change, &paper)?,
            None => self.switch_by_git(seal, &seen, &paper)?,
        };
        let others: Vec<Word> = seen.others.into_iter().filter(|path| paper.has(&without_slash(path))).collect();
        if others.is_empty() {
            return Ok((bytes, others));
        }
        let index = Index::made(bytes.clone());
        let index = index.ok_or_else(|| FillError::Unfit("its index cannot be read".to_owned()))?;
        // What the new base has is no longer another's, whatever is ignored.
        let others: Vec<Word> = others.into_iter().filter(|path| index.get(&without_slash(path)).is_none()).collect();
        // By the rules of the new base, which are there now.
        let ignored = self.ignored(&others)?;
        for path in others.iter().filter(|path| !ignored.contains(path)).map(without_slash) {
            if index.below(&path).next().is_none() {
                paper.take_away(&path)?;
            } else if self.change.is_none() {
                // Git put files between what was there, and nobody has told the two apart.
                return Err(FillError::Unfit(format!("new files are among old ones in {}", path.shown())));
            }
        }
        Ok((bytes, others))
    }

    fn switch(&self, seal: &Seal, seen: &Scan, change: &Change, paper: &Paper<'_>) -> Result<Vec<u8>, FillError> {
        let unfit = |words: String| FillError::Unfit(words);
        let mut writes = change.writes();
        for path in seen.stale.iter().filter(|path| !change.entries.contains_key(*path)) {
            let known = seal.index.get(path).ok_or_else(|| unfit(format!("{} is in no index", path.shown())))?;
            let id = git2::Oid::from_bytes(known.object()).map_err(GitError::from)?;
            writes.push((path.clone(), known.mode(), id));
        }
        writes.sort();
        for path in seen.stale.iter().chain(change.paths()) {
            paper.take_away(path)?;
        }
        for path in change.removes() {
            paper.prune(path)?;
        }
        // What stands in the way of a new file goes, whatever it is.
        let names: BTreeSet<&[u8]> = writes.iter().map(|(path, ..)| path.as_bytes()).collect();
        for other in seen.others.iter().map(without_slash).filter(|other| stands_in_the_way(&names, other)) {
            paper.take_away(&other)?;
        }
        (self.order.at)("slot.cleared");
        let written = write::all(paper, &writes).map_err(unfit)?;
        let mut entries: BTreeMap<&Word, Option<Fresh>> = fresh(&seen.settled);
        entries.extend(change.removes().map(|path| (path, None)));
        entries.extend(fresh(&written));
        let bytes = seal.index.with_trees(&entries, &change.trees);
        self.put_index(&bytes)?;
        Ok(bytes)
    }

    /// What is not as it was is away, so git writes it, and what the two bases do not have in common.
    fn switch_by_git(&self, seal: &Seal, seen: &Scan, paper: &Paper<'_>) -> Result<Vec<u8>, FillError> {
        for path in &seen.stale {
            paper.take_away(path)?;
        }
        (self.order.at)("slot.cleared");
        self.put_index(&seal.index.with(&fresh(&seen.settled)))?;
        private::checkout(&self.order.place.private, &self.order.place.worktree)?;
        Ok(self.index_bytes()?)
    }

    /// Those of the others that git ignores, as it says itself.
    fn ignored(&self, others: &[Word]) -> Result<BTreeSet<Word>, FillError> {
        if others.is_empty() {
            return Ok(BTreeSet::new());
        }
        let place = self.order.place;
        let names: Vec<u8> = others.iter().flat_map(|path| [path.as_bytes(), b"\0"].concat()).collect();
        let ask = private::git(&place.private, &place.worktree).args(["check-ignore", "-z", "--stdin"]).input(names);
        let answer = ask.output().map_err(GitError::from)?;
        // 1 is what it says where none is.
        if !matches!(answer.code, Some(0 | 1)) {
            return Err(FillError::Unfit(format!("git cannot tell what it ignores: {}", answer.stderr.trim())));
        }
        Ok(crate::process::tool::fields(&answer.stdout).map(|path| Word::from(path.to_vec())).collect())
    }

    fn paper(&self, backdate: bool) -> Paper<'_> {
        Paper { repo: self.order.repo, top: &self.order.place.worktree, trash: self.order.trash, backdate }
    }

    fn index(&self) -> PathBuf {
        self.order.place.private.join("index")
    }

    fn put_index(&self, bytes: &[u8]) -> Result<(), GitError> {
        private::write(&self.index(), bytes)
    }

    fn index_bytes(&self) -> Result<Vec<u8>, GitError> {
        fs::read(self.index()).map_err(GitError::file("read", self.index()))
    }
}

fn fresh(written: &[(Word, Fresh)]) -> BTreeMap<&Word, Option<Fresh>> {
    written.iter().map(|(path, fresh)| (path, Some(fresh.clone()))).collect()
}

/// The name of a directory as it is in an index.
fn without_slash(path: &Word) -> Word {
    Word::from(path.as_bytes().strip_suffix(b"/").unwrap_or(path.as_bytes()).to_vec())
}

/// Is it at one of these paths, or above or below one?
fn stands_in_the_way(names: &BTreeSet<&[u8]>, other: &Word) -> bool {
    let below = [other.as_bytes(), b"/"].concat();
    let is_above = names.range(&below[..]..).next().is_some_and(|name| name.starts_with(&below));
    is_above || names.contains(other.as_bytes()) || parents(other).any(|above| names.contains(above.as_bytes()))
}
