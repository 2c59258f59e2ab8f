//! What is there of a slot after somebody used it, beside its seal. Every directory that holds files of the seal and every
//! file of it is looked at, no link is followed, and no file is opened but those that were written in the same instant as
//! the seal.
//!
//! The one who used it may have done anything that needs no privileges. So a file counts as untouched only where its time
//! of change is that of the seal, which the system sets and no program: of writing, of new rights, of a hard link, of a move.
//! A directory of which that holds has the names that it had, for each name that comes or goes changes it; any other is read, and must have
//! the rights of those that we make and no others beside them. Whatever cannot be opened or asked makes the slot unfit.
//!
//! First the directories, each before what is in it: so there is no link on the way to any file. Then the files, by several threads.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, Dir, FileType, Mode, Stat};
use rustix::io::Errno;

use super::compare::children;
use super::seal::Seal;
use crate::core::word::Word;
use crate::git::advance::{EXECUTABLE, OPEN};
use crate::git::index::{Fresh, Index};
use crate::process::beneath::changed;

/// Files that a thread looks at before it takes more.
const CHUNK: usize = 1024;

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Files of the seal that are not as they were.
    pub(super) stale: Vec<Word>,
    /// What must go before anything else: it stands where something else was, or would change what git thinks of the rest.
    pub(super) foul: Vec<Word>,
    /// What the seal does not have; a directory ends in a slash.
    pub(super) others: Vec<Word>,
    /// Files that are as they were, of which the seal itself could not tell that.
    pub(super) settled: Vec<(Word, Fresh)>,
}

impl Scan {
    /// Look. The error is why the slot is not fit.
    pub(super) fn of(top: &Path, seal: &Seal) -> Result<Self, String> {
        let fd = rustix::fs::open(top, OPEN, Mode::empty()).map_err(|error| format!("it cannot be opened: {error}"))?;
        let device = rustix::fs::fstat(&fd).map_err(|error| format!("it cannot be looked at: {error}"))?.st_dev;
        let look = Look { seal, device, top, fd };
        let mut found = Self::default();
        let lost = look.dirs(&mut found)?;
        look.files(&lost, &mut found)?;
        found.stale.extend(lost.into_iter().flatten().map(|at| look.path(at)));
        Ok(found)
    }

    fn add(&mut self, mut more: Self) {
        self.stale.append(&mut more.stale);
        self.foul.append(&mut more.foul);
        self.others.append(&mut more.others);
        self.settled.append(&mut more.settled);
    }
}

struct Look<'a> {
    seal: &'a Seal,
    device: u64,
    top: &'a Path,
    fd: OwnedFd,
}

impl Look<'_> {
    fn path(&self, at: usize) -> Word {
        Word::from(self.seal.index.at(at).0.to_vec())
    }

    /// Look at all directories. Answers which files of the seal are not where they were, for what is above them is not.
    fn dirs(&self, found: &mut Scan) -> Result<Vec<Range<usize>>, String> {
        let index = &self.seal.index;
        let mut lost: Vec<Range<usize>> = Vec::new();
        for (number, (first, path)) in std::iter::once((0, &b""[..])).chain(dirs(index)).enumerate() {
            if lost.last().is_some_and(|lost| lost.contains(&first)) {
                continue;
            }
            let shown = || Word::from(path.to_vec()).shown();
            let name: &[u8] = if path.is_empty() { b"." } else { path };
            let stat = match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => Some(stat),
                Err(Errno::NOENT) => None,
                Err(errno) => return Err(format!("cannot look at {}: {errno}", shown())),
            };
            let Some(stat) = stat.filter(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory) else {
                if stat.is_some() {
                    found.foul.push(Word::from(path.to_vec()));
                }
                lost.push(all_below(index, first, path));
                continue;
            };
            if stat.st_dev != self.device {
                return Err(format!("something is mounted at {}", shown()));
            }
            // Its `.git` came after the seal.
            let is_untouched = !path.is_empty() && self.seal.knows(number - 1, changed(&stat));
            if !is_untouched {
                self.dir(path, all_below(index, first, path), found)?;
            }
        }
        Ok(lost)
    }

    /// Read a directory of these files of the seal.
    fn dir(&self, path: &[u8], range: Range<usize>, found: &mut Scan) -> Result<(), String> {
        let shown = || Word::from(path.to_vec()).shown();
        let name: &[u8] = if path.is_empty() { b"." } else { path };
        let fd = rustix::fs::openat(&self.fd, name, OPEN, Mode::empty());
        let fd = fd.map_err(|errno| format!("cannot open {}: {errno}", shown()))?;
        let stat = rustix::fs::fstat(&fd).map_err(|errno| format!("cannot look at {}: {errno}", shown()))?;
        if !self.seal.is_older(changed(&stat)) {
            self.directory_is_ours(&fd, &stat).map_err(|words| format!("{} {words}", shown()))?;
        }
        let prefix = if path.is_empty() { 0 } else { path.len() + 1 };
        let there = children(&self.seal.index, range, prefix);
        let entries = Dir::read_from(&fd).map_err(|errno| format!("cannot read {}: {errno}", shown()))?;
        for entry in entries {
            let entry = entry.map_err(|errno| format!("cannot read {}: {errno}", shown()))?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") || (prefix == 0 && name == b".git") || there.contains_key(name) {
                continue;
            }
            let path = Word::from(if prefix == 0 { name.to_vec() } else { [path, name].join(&b'/') });
            if speaks_to_git(name) {
                found.foul.push(path);
                continue;
            }
            let is_dir = match entry.file_type() {
                FileType::Unknown => {
                    let stat = rustix::fs::statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW);
                    let stat = stat.map_err(|errno| format!("cannot look at {}: {errno}", path.shown()))?;
                    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
                }
                kind => kind == FileType::Directory,
            };
            let slash: &[u8] = if is_dir { b"/" } else { b"" };
            found.others.push(Word::from([path.as_bytes(), slash].concat()));
        }
        Ok(())
    }

    /// Look at all files but those that are lost (ranges in order).
    fn files(&self, lost: &[Range<usize>], found: &mut Scan) -> Result<(), String> {
        let (next, done) = (AtomicUsize::new(0), Mutex::new(Ok(std::mem::take(found))));
        let all = self.seal.index.len();
        let work = || {
            let mut seen = Scan::default();
            let looked = loop {
                let first = next.fetch_add(CHUNK, Ordering::Relaxed);
                if first >= all {
                    break Ok(());
                }
                let mut chunk = first..(first + CHUNK).min(all);
                let is_lost = |at: &usize| {
                    let next = lost.partition_point(|lost| lost.end <= *at);
                    lost.get(next).is_some_and(|lost| lost.contains(at))
                };
                let looked = chunk.try_for_each(|at| if is_lost(&at) { Ok(()) } else { self.file(at, &mut seen) });
                if looked.is_err() {
                    next.store(all, Ordering::Relaxed);
                    break looked;
                }
            };
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            match (&mut *done, looked) {
                (Ok(found), Ok(())) => found.add(seen),
                (Ok(_), Err(words)) => *done = Err(words),
                (Err(_), _) => {}
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..super::write::threads().min(all.div_ceil(CHUNK)) {
                scope.spawn(work);
            }
            work();
        });
        *found = done.into_inner().unwrap_or_else(PoisonError::into_inner)?;
        Ok(())
    }

    /// A directory that is not as it was when the seal was written: made, filled or changed since.
    fn directory_is_ours(&self, fd: &OwnedFd, stat: &Stat) -> Result<(), String> {
        if stat.st_mode & 0o7777 != self.seal.dir_mode {
            return Err("has other rights than we give".to_owned());
        }
        let mut names = [0_u8; 4096];
        match rustix::fs::flistxattr(fd, &mut names[..]) {
            Ok(length) => {
                let mut names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
                if names.any(|name| !name.starts_with(b"security.")) {
                    return Err("has attributes that we do not give".to_owned());
                }
            }
            Err(Errno::NOTSUP) => {}
            Err(errno) => return Err(format!("does not tell its attributes: {errno}")),
        }
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::IFlags;
            // That of directories in which `A` and `a` are one name, which no library has.
            let casefold = IFlags::from_bits_retain(0x4000_0000);
            match rustix::fs::ioctl_getflags(fd) {
                Ok(flags) if flags.intersects(IFlags::IMMUTABLE | IFlags::APPEND | casefold) => {
                    return Err("has flags that we do not set".to_owned());
                }
                Ok(_) | Err(Errno::NOTTY | Errno::NOTSUP) => {}
                Err(errno) => return Err(format!("does not tell its flags: {errno}")),
            }
        }
        Ok(())
    }

    fn file(&self, at: usize, found: &mut Scan) -> Result<(), String> {
        let (path, known) = self.seal.index.at(at);
        let seen = rustix::fs::statat(&self.fd, path, AtFlags::SYMLINK_NOFOLLOW);
        let path = || Word::from(path.to_vec());
        let stat = match seen {
            Ok(stat) => stat,
            Err(Errno::NOENT) => {
                found.stale.push(path());
                return Ok(());
            }
            Err(errno) => return Err(format!("cannot look at {}: {errno}", path().shown())),
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if !known.is_plain() {
            // It is left out of the checkout: nothing should be here.
            found.foul.push(path());
            return Ok(());
        }
        if kind == FileType::Directory {
            found.foul.push(path());
            found.stale.push(path());
            return Ok(());
        }
        let seen = Fresh::of(known.mode(), known.object(), &stat);
        let is_as_it_was = known.is_as(&seen);
        if is_as_it_was && self.seal.is_older(changed(&stat)) {
            if known.may_have_changed_unseen() || !known.has_size_of(&seen) {
                found.settled.push((path(), seen));
            }
        } else if is_as_it_was && self.is_ours(&stat, known.mode()) && self.holds(&path(), known.object()) {
            found.settled.push((path(), seen));
        } else {
            found.stale.push(path());
        }
        Ok(())
    }

    /// Is it a file of the rights that we give, which has no other name?
    fn is_ours(&self, stat: &Stat, mode: u32) -> bool {
        let runs = if mode == EXECUTABLE { self.seal.dir_mode & 0o111 } else { 0 };
        FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
            && stat.st_nlink == 1
            && stat.st_mode & 0o7777 == self.seal.dir_mode & 0o666 | runs
    }

    fn holds(&self, path: &Word, object: &[u8]) -> bool {
        let found = git2::Oid::hash_file(git2::ObjectType::Blob, self.top.join(path.as_path()));
        found.is_ok_and(|found| found.as_bytes() == object)
    }
}

/// The directories that the files of an index are in, each before what is in it: its first file, and its path. Not the top.
pub(super) fn dirs(index: &Index) -> impl Iterator<Item = (usize, &[u8])> {
    let mut before: &[u8] = b"";
    (0..index.len()).flat_map(move |at| {
        let path = index.at(at).0;
        let common = before.iter().zip(path).take_while(|(one, other)| one == other).count();
        before = path;
        let slashes = (common..path.len()).filter(|slash| path[*slash] == b'/');
        slashes.map(move |slash| (at, &path[..slash]))
    })
}

/// The files of an index in this directory, of which the first is known.
fn all_below(index: &Index, first: usize, dir: &[u8]) -> Range<usize> {
    if dir.is_empty() {
        return 0..index.len();
    }
    // What comes after all names below is what comes after the slash.
    let end = index.search(&[dir, b"0"].concat()).unwrap_or_else(|end| end);
    first..end
}

/// A file that git reads wherever it lies, whether it is tracked or not. No task may leave one to the next.
fn speaks_to_git(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 4] = [b".git", b".gitignore", b".gitattributes", b".gitmodules"];
    NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}
