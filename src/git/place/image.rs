//! Base images: a checkout of a commit that no task ever has, of which new places are made without writing its files again.
//!
//! Where the file system is btrfs, an image is a subvolume that nobody can write to, and a place is a snapshot of it: in one step, with
//! the inodes and the times of the image, so that its index is the index of the place. Elsewhere (XFS, and others that can share content) each
//! file of the place is new, and shares its content with that of the image until somebody writes to it.
//!
//! An image is no more believed than a slot is: a file whose inode, size, owner or times are not those of its seal is
//! written from its object, and a subvolume in which anything was written since is thrown away. It is used for commits
//! near its own, too: what differs is written. One that is too far from what is wanted makes a new one, which is made of it.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use git2::Oid;
use rustix::fs::{Mode, OFlags};

use super::compare::Change;
use super::seal::Seal;
use super::write::{self, Paper};
use super::{FillError, fresh, plain, scan};
use crate::core::id::CommitId;
use crate::core::provider::WorktreeMode;
use crate::core::word::Word;
use crate::git::advance::OPEN;
use crate::git::index::{Fresh, Index, Known};
use crate::git::objects::Objects;
use crate::git::overlay::name_in;
use crate::git::{Repository, trash};
use crate::process::beneath::changed;
use crate::process::subvolume::{self, Access};

/// Files in which an image may differ from what is wanted of it. To write them takes as long as all else that a place costs.
const FAR: usize = 256;
/// Images that are kept: somebody may work on two branches in turn.
const MOST: usize = 2;
/// Of one that is being made.
const DRAFT: &str = "draft-";

/// What a directory's file system can do, found by doing it. The error is why not, as the rest of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sharing {
    /// Snapshots of directories.
    pub snapshot: Result<(), String>,
    /// Files that share their content.
    pub reflink: Result<(), String>,
}

/// How a place comes of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Snapshot,
    Reflink,
    Overlay,
}

/// The images of a repository.
#[derive(Debug)]
pub struct Images {
    dir: PathBuf,
    trash: PathBuf,
    /// Below it is what lies over images; none where nothing does.
    over: Option<PathBuf>,
    /// Those of which it is known that nobody has changed anything in them.
    known: Mutex<BTreeSet<PathBuf>>,
    /// What can be done where they are.
    pub sharing: Sharing,
    /// One is made, or taken away, at a time.
    turn: Mutex<()>,
    /// What one would have been of use for.
    wanted: Mutex<Option<Wanted>>,
}

/// An image that would have been of use.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The commit.
    pub commit: CommitId,
    /// A slot with its files, and where they are: what is still as it was written there need not be written again.
    pub(super) slot: Option<(PathBuf, PathBuf)>,
}

/// One of them.
pub(super) struct Image {
    files: PathBuf,
    pub(super) seal: Seal,
}

impl Images {
    /// Those in this directory of ours. It must be there.
    pub fn of(dir: &Path, trash: &Path) -> Self {
        let locks = (Mutex::new(()), Mutex::new(None));
        let (dir, trash) = (dir.to_owned(), trash.to_owned());
        let known = Mutex::default();
        Self { sharing: super::probe::sharing(&dir), dir, trash, over: None, known, turn: locks.0, wanted: locks.1 }
    }

    /// Overlays in this directory hold those that they lie over ([`held`]).
    #[must_use]
    pub fn held_in(self, over: &Path) -> Self {
        Self { over: Some(over.to_owned()), ..self }
    }

    /// Throw away what somebody who was killed left half made.
    pub fn sweep(&self) {
        let _turn = self.turn();
        for path in self.all().into_iter().filter(|path| name(path).is_some_and(|name| name.starts_with(DRAFT))) {
            self.throw(&path);
        }
    }

    /// Those of which nothing is made just now.
    pub fn unused(&self) -> Vec<PathBuf> {
        let free = || self.all().into_iter().filter(|dir| !self.is_held(dir)).collect();
        self.turn.try_lock().map_or_else(|_| Vec::new(), |_turn| free())
    }

    /// The image that would have been of use since this was asked last.
    pub fn wanted(&self) -> Option<Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Make such an image, unless there is one by now. Slow.
    ///
    /// # Errors
    /// Where that fails, in words.
    pub fn make(&self, repo: &Repository, wanted: &Wanted, at: &dyn Fn(&'static str)) -> Result<(), String> {
        let objects = Objects::of(repo).ok_or("its objects cannot be read")?;
        // The slot may have changed hands: then its files are not those of the seal that is read here, or it has none.
        let like = wanted
            .slot
            .as_ref()
            .and_then(|(dir, files)| Some(Image { seal: Seal::look(dir).ok()??, files: files.clone() }));
        if let Some(like) = &like {
            sync(&like.files)?;
        }
        let _turn = self.turn();
        self.near(repo, &objects, wanted.commit, like.as_ref(), at).map(drop)
    }

    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn want(&self, commit: CommitId, slot: Option<(PathBuf, PathBuf)>) {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = Some(Wanted { commit, slot });
    }

    /// The best way in this mode, if there is any.
    pub(super) fn way(&self, mode: WorktreeMode, may_be_older: bool) -> Option<Way> {
        let (snapshot, reflink) = (self.sharing.snapshot.is_ok() && may_be_older, self.sharing.reflink.is_ok());
        match mode {
            WorktreeMode::Parallel | WorktreeMode::Plain => None,
            WorktreeMode::Reflink => reflink.then_some(Way::Reflink),
            WorktreeMode::Overlay => may_be_older.then_some(Way::Overlay),
            _ if snapshot => Some(Way::Snapshot),
            _ => reflink.then_some(Way::Reflink),
        }
    }

    /// The image that is nearest to a commit, and what differs. One that is not as it was made goes.
    pub(super) fn nearest(&self, objects: &Objects<'_>, commit: CommitId) -> Option<(Image, Change)> {
        let tree = objects.tree_of(commit)?;
        let mut best: Option<(Image, Change)> = None;
        for dir in self.all().into_iter().filter(|dir| name(dir).is_some_and(|name| !name.starts_with(DRAFT))) {
            let Some(image) = Image::open(&dir) else {
                self.throw(&dir);
                continue;
            };
            let Some(change) = Change::to(objects, tree, &image.seal.index) else { continue };
            if best.as_ref().is_none_or(|(_, least)| change.entries.len() < least.entries.len()) {
                best = Some((image, change));
            }
        }
        best
    }

    /// One that is near enough; made, where there is none, of one that is not or else of a slot. To be called in turn.
    pub(super) fn near(
        &self,
        repo: &Repository,
        objects: &Objects<'_>,
        commit: CommitId,
        like: Option<&Image>,
        at: &dyn Fn(&'static str),
    ) -> Result<(Image, Change), String> {
        let nearest = self.nearest(objects, commit);
        if let Some((_, change)) = nearest.as_ref()
            && !is_far(change)
        {
            return Ok(nearest.expect("it was just looked at"));
        }
        let draft = self.dir.join(format!("{DRAFT}{:016x}", fastrand::u64(..)));
        let from = nearest.as_ref();
        let made = self.draft(&draft, repo, objects, commit, (from, like), at);
        if let Err(words) = made {
            self.throw(&draft);
            return Err(words);
        }
        let name = |number: u32| if number == 0 { commit.to_string() } else { format!("{commit}-{number}") };
        self.throw(&self.dir.join(name(0)));
        // What lies over one that is not believed any more keeps it.
        let free = (0..).map(|number| self.dir.join(name(number))).find(|dir| fs::symlink_metadata(dir).is_err());
        let dir = free.ok_or("there is no name left for it")?;
        fs::rename(&draft, &dir).map_err(|error| error.to_string())?;
        at("image.made");
        self.keep_newest();
        self.nearest(objects, commit).ok_or_else(|| "it is gone again".to_owned())
    }

    /// All of an image, beside its place.
    fn draft(
        &self,
        dir: &Path,
        repo: &Repository,
        objects: &Objects<'_>,
        commit: CommitId,
        (from, like): (Option<&(Image, Change)>, Option<&Image>),
        at: &dyn Fn(&'static str),
    ) -> Result<(), String> {
        let words = |error: io::Error| error.to_string();
        fs::create_dir(dir).map_err(words)?;
        let files = dir.join("files");
        let are_subvolumes = self.sharing.snapshot.is_ok();
        let top = if are_subvolumes { dir.join("draft") } else { files.clone() };
        let paper = Paper { repo, top: &top, trash: &self.trash, backdate: true };
        let bytes = match from {
            Some((image, change)) if are_subvolumes => {
                subvolume::snapshot(&image.files, &top, Access::Write).map_err(words)?;
                switch(&paper, image, change).map_err(|error| error.to_string())?
            }
            _ => {
                if are_subvolumes { subvolume::create(&top) } else { fs::create_dir(&top) }.map_err(words)?;
                let empty = Index::empty();
                let tree = objects.tree_of(commit).ok_or("its tree cannot be read")?;
                let change = Change::to(objects, tree, &empty).ok_or("its tree cannot be read")?;
                let like = like.or(from.map(|(image, _)| image));
                let written = write::all_from(&paper, &change.writes(), like)?;
                empty.with_trees(&fresh(&written), &change.trees)
            }
        };
        at("image.written");
        let version = if are_subvolumes {
            // What is in it is on the disk then, and stays as it is.
            subvolume::snapshot(&top, &files, Access::Read).map_err(words)?;
            self.throw(&top);
            Some(subvolume::version(&files).map_err(words)?)
        } else {
            // Content is shared by what is on the disk only: else each file would be waited for.
            sync(&top)?;
            None
        };
        Seal::put(dir, &files, bytes, plain::BYTES, version, None).map_err(words)
    }

    fn keep_newest(&self) {
        let mut images = self.all();
        images.sort_by_key(|dir| std::cmp::Reverse(fs::metadata(dir).and_then(|seen| seen.modified()).ok()));
        images.iter().skip(MOST).for_each(|dir| self.throw(dir));
    }

    fn all(&self) -> Vec<PathBuf> {
        fs::read_dir(&self.dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    }

    /// As [`Images::near`], and nobody has changed anything in it: for what shows all of it as it is.
    pub(super) fn untouched(
        &self,
        repo: &Repository,
        objects: &Objects<'_>,
        commit: CommitId,
        at: &dyn Fn(&'static str),
    ) -> Result<(Image, Change), String> {
        // Those that are kept, and a new one.
        for _ in 0..=MOST {
            let (image, change) = self.near(repo, objects, commit, None, at)?;
            if self.is_known(&image) {
                return Ok((image, change));
            }
            // Without it nobody believes it.
            fs::remove_file(image.dir().join(super::seal::INDEX)).map_err(|error| error.to_string())?;
        }
        Err("somebody writes to all of them".to_owned())
    }

    /// Is it known that nobody has changed anything in an image? Each file is looked at once.
    pub(super) fn is_known(&self, image: &Image) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = known.contains(image.dir()) || image.is_untouched();
        is_known.then(|| known.insert(image.dir().to_owned()));
        is_known
    }

    /// Does an overlay lie over it?
    fn is_held(&self, dir: &Path) -> bool {
        let over = self.over.as_deref();
        over.zip(dir.file_name()).is_some_and(|(over, name)| held(over).contains(name))
    }

    /// What cannot go now goes another time, and what is held stays.
    fn throw(&self, path: &Path) {
        if self.is_held(path) {
            return;
        }
        let to = self.trash.join(format!("image-{:016x}", fastrand::u64(..)));
        let _ = fs::rename(path, to);
    }
}

/// The names of the images that overlays lie over: of those in the directories below this one, made or half made.
pub fn held(over: &Path) -> BTreeSet<OsString> {
    let all = fs::read_dir(over).into_iter().flatten().flatten().map(|entry| entry.path());
    let layers = all.flat_map(|dir| ["overlay", "overlay.new"].map(|name| dir.join(name)));
    layers.filter_map(|layers| name_in(&layers)).collect()
}

/// All that was written to a file system is on the disk.
pub(super) fn sync(dir: &Path) -> Result<(), String> {
    let dir = rustix::fs::open(dir, OPEN, Mode::empty()).map_err(|errno| errno.to_string())?;
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(&dir).map_err(|errno| errno.to_string())?;
    #[cfg(not(target_os = "linux"))]
    rustix::fs::fsync(&dir).map_err(|errno| errno.to_string())?;
    Ok(())
}

/// Is it better to make a new image than to write all that differs time and again?
pub(super) fn is_far(change: &Change) -> bool {
    change.entries.len() > FAR
}

fn name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

/// Files that are those of an image become those of another commit. Answers their index.
pub(super) fn switch(paper: &Paper<'_>, image: &Image, change: &Change) -> Result<Vec<u8>, FillError> {
    let index = &image.seal.index;
    if change.entries.is_empty() {
        return Ok(index.bytes().to_vec());
    }
    for path in change.paths() {
        paper.take_away(path)?;
    }
    for path in change.removes() {
        paper.prune(path)?;
    }
    let written = write::all(paper, &change.writes()).map_err(FillError::Unfit)?;
    let mut all = fresh(&written);
    all.extend(change.removes().map(|path| (path, None)));
    Ok(index.with_trees(&all, &change.trees))
}

impl Image {
    /// `None` where it is not as it was made.
    fn open(dir: &Path) -> Option<Self> {
        let files = dir.join("files");
        let seal = Seal::look(dir).ok()??;
        let is_as_made = match seal.version {
            Some(version) => subvolume::version(&files).is_ok_and(|now| now == version),
            None => files.is_dir(),
        };
        (is_as_made && seal.likeness == plain::BYTES).then_some(Self { files, seal })
    }

    /// Its directory, in which its files are.
    fn dir(&self) -> &Path {
        self.files.parent().unwrap_or(&self.files)
    }

    /// By which it is known.
    pub(super) fn name(&self) -> &OsStr {
        self.dir().file_name().unwrap_or_default()
    }

    /// Is it where it was made?
    pub(super) fn is_there(&self) -> bool {
        self.files.is_dir()
    }

    /// Is each file as it was made, and nothing else there?
    fn is_untouched(&self) -> bool {
        let seen = scan::Scan::of(&self.files, &self.seal);
        seen.is_ok_and(|seen| seen.stale.is_empty() && seen.foul.is_empty() && seen.others.is_empty())
    }

    /// Make a place of it, where an empty directory is, but for the file `.git`, which comes again. Wherever one is killed, there is
    /// either the one or the other, or nothing.
    pub(super) fn snapshot(&self, place: &Path, at: &dyn Fn(&'static str)) -> io::Result<()> {
        let mut others = fs::read_dir(place)?.flatten();
        if others.any(|entry| entry.file_name() != ".git") {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let mut name = place.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let new = place.with_file_name(name);
        trash::delete(&new).map_err(io::Error::other)?;
        subvolume::snapshot(&self.files, &new, Access::Write)?;
        let file = place.join(".git");
        match fs::read(&file) {
            Ok(lead) => {
                File::create(new.join(".git")).and_then(|mut file| file.write_all(&lead))?;
                fs::remove_file(&file)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        fs::remove_dir(place)?;
        at("image.shared");
        fs::rename(&new, place)
    }
}

/// The files of an image, as a thread finds them.
pub(super) struct Original<'a> {
    image: &'a Image,
    top: OwnedFd,
    /// The last directory: paths come in order.
    last: Option<(Vec<u8>, OwnedFd)>,
}

/// A file of an image that is as it was made.
pub(super) struct Untouched {
    file: File,
    changed: (i64, i64),
}

impl<'a> Original<'a> {
    pub(super) fn open(image: &'a Image) -> io::Result<Self> {
        Ok(Self { image, top: rustix::fs::open(&image.files, OPEN, Mode::empty())?, last: None })
    }

    /// The file of the image at a path, if it is of this object.
    pub(super) fn find(&mut self, path: &Word, mode: u32, id: Oid) -> Option<Untouched> {
        let index = &self.image.seal.index;
        let known = index.get(path).filter(|known| known.mode() == mode && known.object() == id.as_bytes())?;
        let bytes = path.as_bytes();
        let (dir, name) = match bytes.iter().rposition(|byte| *byte == b'/') {
            None => (&self.top, bytes),
            Some(slash) => (self.directory(&bytes[..slash])?, &bytes[slash + 1..]),
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(dir, name, flags, Mode::empty()).ok()?);
        self.is_untouched(&file, &known, mode, id).map(|changed| Untouched { file, changed })
    }

    fn is_untouched(&self, file: &File, known: &Known<'_>, mode: u32, id: Oid) -> Option<(i64, i64)> {
        let stat = rustix::fs::fstat(file).ok()?;
        let (changed, seen) = (changed(&stat), Fresh::of(mode, id.as_bytes(), &stat));
        (known.is_as(&seen) && known.has_size_of(&seen) && self.image.seal.is_older(changed)).then_some(changed)
    }

    fn directory(&mut self, dir: &[u8]) -> Option<&OwnedFd> {
        if self.last.as_ref().is_none_or(|(last, _)| last != dir) {
            let mut at = self.top.try_clone().ok()?;
            for component in dir.split(|byte| *byte == b'/') {
                at = rustix::fs::openat(&at, component, OPEN, Mode::empty()).ok()?;
            }
            self.last = Some((dir.to_vec(), at));
        }
        self.last.as_ref().map(|(_, dir)| dir)
    }
}

impl Untouched {
    /// Let a new file have its content. `false` where that cannot be, or it changed meanwhile.
    pub(super) fn share_with(&self, new: &File) -> bool {
        share(new, &self.file).is_ok() && rustix::fs::fstat(&self.file).is_ok_and(|stat| changed(&stat) == self.changed)
    }
}

/// Let a new file share the content of another one.
#[cfg(target_os = "linux")]
pub(super) fn share(new: &File, with: &File) -> io::Result<()> {
    Ok(rustix::fs::ioctl_ficlone(new, with)?)
}

/// Let a new file share the content of another one.
#[cfg(not(target_os = "linux"))]
pub(super) fn share(_: &File, _: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
