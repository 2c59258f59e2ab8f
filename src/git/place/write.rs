//! Files of the user's objects come into a place: by several threads, each file new, below directories that are reached
//! without following a link. And what is to go goes: a directory by one rename into the trash.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use git2::{ObjectType, Odb, Oid};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

use super::FillError;
use super::image::{Image, Original, Untouched};
use crate::core::word::Word;
use crate::git::Repository;
use crate::git::advance::{Dirs, EXECUTABLE, OPEN};
use crate::git::index::Fresh;

/// Files that a thread takes at a time: neighbours, mostly of one directory.
const CHUNK: usize = 64;
/// The mode of a link in a tree.
const LINK: u32 = 0o120_000;

/// What is written on.
pub(super) struct Paper<'a> {
    pub(super) repo: &'a Repository,
    pub(super) top: &'a Path,
    pub(super) trash: &'a Path,
    /// Are the files to seem a little older than they are?
    pub(super) backdate: bool,
}

/// As many as there are processors; more do not make a disk faster.
pub(super) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |found| found.get().min(8))
}

/// Write these files, which are in order. Answers each as it was made. The error is why not; some may have been written.
pub(super) fn all(paper: &Paper<'_>, files: &[(Word, u32, Oid)]) -> Result<Vec<(Word, Fresh)>, String> {
    all_from(paper, files, None)
}

/// As [`all`]; what an image has shares its content with that.
pub(super) fn all_from(
    paper: &Paper<'_>,
    files: &[(Word, u32, Oid)],
    image: Option<&Image>,
) -> Result<Vec<(Word, Fresh)>, String> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Ok(Vec::with_capacity(files.len()))));
    let work = || {
        let mut made = Vec::new();
        let written = Pen::new(paper, image).and_then(|mut pen| {
            loop {
                let at = next.fetch_add(CHUNK, Ordering::Relaxed);
                let Some(chunk) = files.get(at..(at + CHUNK).min(files.len())).filter(|chunk| !chunk.is_empty()) else {
                    return Ok(());
                };
                for (path, mode, id) in chunk {
                    let fresh = pen.write(path, *mode, *id);
                    let fresh = fresh.map_err(|error| format!("cannot write {}: {error}", path.shown()))?;
                    made.push((path.clone(), fresh));
                }
            }
        });
        if written.is_err() {
            next.store(files.len(), Ordering::Relaxed);
        }
        if let Ok(mut done) = done.lock() {
            match (&mut *done, written) {
                (Ok(all), Ok(())) => all.append(&mut made),
                (Ok(_), Err(words)) => *done = Err(words),
                (Err(_), _) => {}
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads().min(files.len().div_ceil(CHUNK)) {
            scope.spawn(work);
        }
        work();
    });
    done.into_inner().unwrap_or_else(|_| Err("a thread of ours came to nothing".to_owned()))
}

/// What one thread writes with.
struct Pen<'a> {
    odb: Odb<'static>,
    dirs: Dirs,
    original: Option<Original<'a>>,
    /// The time that files seem to be of.
    older: Option<Timestamps>,
}

impl<'a> Pen<'a> {
    fn new(paper: &Paper<'_>, image: Option<&'a Image>) -> Result<Self, String> {
        let objects = paper.repo.common_dir().join("objects");
        let odb = Odb::new().and_then(|odb| {
            let path = objects.to_str().ok_or_else(|| git2::Error::from_str("its path is not UTF-8"))?;
            odb.add_disk_alternate(path).map(|()| odb)
        });
        let odb = odb.map_err(|error| format!("cannot read objects: {error}"))?;
        let dirs = Dirs::open(paper.top).map_err(|error| format!("cannot open the place: {error}"))?;
        let older = paper.backdate.then(|| {
            // An index tells a file that may have changed in the second of its own writing by its time alone.
            let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
            let before = Timespec { tv_sec: now.tv_sec - 2, tv_nsec: now.tv_nsec };
            Timestamps { last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT }, last_modification: before }
        });
        // One that cannot be opened is as good as none.
        let original = image.and_then(|image| Original::open(image).ok());
        Ok(Self { odb, dirs, original, older })
    }

    fn write(&mut self, path: &Word, mode: u32, id: Oid) -> io::Result<Fresh> {
        if mode != LINK
            && let Some(from) = self.original.as_mut().and_then(|original| original.find(path, mode, id))
            && let Some(fresh) = self.share(path, mode, id, &from)?
        {
            return Ok(fresh);
        }
        let object = self.odb.read(id).map_err(io::Error::other)?;
        if object.kind() != ObjectType::Blob {
            return Err(io::Error::other(format!("{id} is no file")));
        }
        let (dir, name) = self.dirs.of(path)?;
        if mode == LINK {
            rustix::fs::symlinkat(object.data(), dir, name)?;
            if let Some(older) = &self.older {
                rustix::fs::utimensat(dir, name, older, AtFlags::SYMLINK_NOFOLLOW)?;
            }
            let seen = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
            return Ok(Fresh::of(mode, id.as_bytes(), &seen));
        }
        let mut file = new_file(dir, name, mode)?;
        file.write_all(object.data())?;
        self.done(&file, mode, id)
    }

    /// A file with the content of another one. `None`, and nothing is there, where that cannot be.
    fn share(&mut self, path: &Word, mode: u32, id: Oid, from: &Untouched) -> io::Result<Option<Fresh>> {
        let (dir, name) = self.dirs.of(path)?;
        let file = new_file(dir, name, mode)?;
        if !from.share_with(&file) {
            rustix::fs::unlinkat(dir, name, AtFlags::empty())?;
            return Ok(None);
        }
        self.done(&file, mode, id).map(Some)
    }

    fn done(&self, file: &File, mode: u32, id: Oid) -> io::Result<Fresh> {
        if let Some(older) = &self.older {
            rustix::fs::futimens(file, older)?;
        }
        Ok(Fresh::of(mode, id.as_bytes(), &rustix::fs::fstat(file)?))
    }
}

fn new_file(dir: &OwnedFd, name: &[u8], mode: u32) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let rights = Mode::from_raw_mode(if mode == EXECUTABLE { 0o777 } else { 0o666 });
    Ok(File::from(rustix::fs::openat(dir, name, flags, rights)?))
}

impl Paper<'_> {
    /// Take away what is at a path, whatever it is. Nothing happens where nothing is.
    pub(super) fn take_away(&self, path: &Word) -> Result<(), FillError> {
        self.try_to_take_away(path)
            .map_err(|errno| FillError::Unfit(format!("cannot remove {}: {errno}", path.shown())))
    }

    fn try_to_take_away(&self, path: &Word) -> Result<(), Errno> {
        let Some((dir, name)) = self.find(path)? else { return Ok(()) };
        match rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno),
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                let to = self.trash.join(format!("left-{:016x}", fastrand::u64(..)));
                match rustix::fs::renameat(&dir, name, rustix::fs::CWD, &to) {
                    // To move a directory elsewhere, one must be allowed to write to it.
                    Err(Errno::ACCESS) => {
                        rustix::fs::chmodat(&dir, name, Mode::RWXU, AtFlags::empty())?;
                        rustix::fs::renameat(&dir, name, rustix::fs::CWD, &to)
                    }
                    other => other,
                }
                .or_else(|errno| match errno {
                    Errno::XDEV => self.delete_here(&dir, name),
                    errno => Err(errno),
                })
            }
            Ok(_) => rustix::fs::unlinkat(&dir, name, AtFlags::empty()),
        }
    }

    /// What is in a subvolume cannot leave it: it is deleted there, at the top, where no link is on the way to it.
    fn delete_here(&self, dir: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        let to = self.top.join(format!(".left-{:016x}", fastrand::u64(..)));
        rustix::fs::renameat(dir, name, rustix::fs::CWD, &to)?;
        crate::git::trash::delete(&to).map_err(|_| Errno::IO)
    }

    /// Remove the directories above a path that are empty.
    pub(super) fn prune(&self, path: &Word) -> Result<(), FillError> {
        let mut dirs =
            Dirs::open(self.top).map_err(|error| FillError::Unfit(format!("it cannot be opened: {error}")))?;
        match dirs.remove(path) {
            Ok(()) => Ok(()),
            // A directory above went before.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(()),
            Err(error) => Err(FillError::Unfit(format!("cannot remove {}: {error}", path.shown()))),
        }
    }

    /// Is there anything at a path, below directories only?
    pub(super) fn has(&self, path: &Word) -> bool {
        let found = self.find(path).ok().flatten();
        found.is_some_and(|(dir, name)| rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).is_ok())
    }

    /// The directory of a path and the name in it; none where there is no such directory.
    fn find<'p>(&self, path: &'p Word) -> Result<Option<(OwnedFd, &'p [u8])>, Errno> {
        let bytes = path.as_bytes();
        let mut at = rustix::fs::open(self.top, OPEN, Mode::empty())?;
        let Some(slash) = bytes.iter().rposition(|byte| *byte == b'/') else { return Ok(Some((at, bytes))) };
        for component in bytes[..slash].split(|byte| *byte == b'/') {
            at = match rustix::fs::openat(at.as_fd(), component, OPEN, Mode::empty()) {
                Ok(next) => next,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
                Err(errno) => return Err(errno),
            };
        }
        Ok(Some((at, &bytes[slash + 1..])))
    }
}
