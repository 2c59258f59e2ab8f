//! What is there of a slot after somebody used it, beside its seal. Every directory that holds files of the seal is read,
//! every file of it looked at, by several threads; no link is followed, and no file is opened but those that were written in the same instant as
//! the seal.
//!
//! The one who used it may have done anything that needs no privileges. So a file counts as untouched only where its time
//! of change is that of the seal, which the system sets and no program: of writing, of new rights, of a hard link, of a move. A
//! directory that has changed since must have the rights of those that we make and no others beside them. Whatever cannot be opened or asked makes the slot unfit.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use rustix::fs::{AtFlags, Dir, FileType, Mode, Stat};
use rustix::io::Errno;

use super::compare::children;
use super::seal::Seal;
use crate::core::word::Word;
use crate::git::advance::{EXECUTABLE, OPEN};
use crate::git::index::Fresh;

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
        let stat = rustix::fs::fstat(&fd).map_err(|error| format!("it cannot be looked at: {error}"))?;
        let first = Job { parent: Arc::new(fd), name: Vec::new(), path: Vec::new(), range: 0..seal.index.len() };
        let state = State { jobs: vec![first], busy: 0, found: Self::default(), failed: None };
        let shared = Shared { state: Mutex::new(state), wake: Condvar::new(), seal, device: stat.st_dev, top };
        std::thread::scope(|scope| {
            for _ in 1..super::write::threads() {
                scope.spawn(|| shared.work());
            }
            shared.work();
        });
        let state = shared.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        match state.failed {
            Some(words) => Err(words),
            None => Ok(state.found),
        }
    }

    fn add(&mut self, mut more: Self) {
        self.stale.append(&mut more.stale);
        self.foul.append(&mut more.foul);
        self.others.append(&mut more.others);
        self.settled.append(&mut more.settled);
    }
}

/// A directory to look at.
struct Job {
    parent: Arc<OwnedFd>,
    /// Empty for the top.
    name: Vec<u8>,
    path: Vec<u8>,
    range: Range<usize>,
}

struct State {
    jobs: Vec<Job>,
    busy: usize,
    found: Scan,
    failed: Option<String>,
}

struct Shared<'a> {
    state: Mutex<State>,
    wake: Condvar,
    seal: &'a Seal,
    device: u64,
    top: &'a Path,
}

impl Shared<'_> {
    fn work(&self) {
        let mut found = Scan::default();
        let lock = || self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = lock();
        loop {
            if let Some(job) = state.jobs.pop() {
                state.busy += 1;
                drop(state);
                let done = self.dir(&job, &mut found);
                state = lock();
                state.busy -= 1;
                match done {
                    Ok(mut more) => state.jobs.append(&mut more),
                    Err(words) => {
                        state.jobs.clear();
                        state.failed.get_or_insert(words);
                    }
                }
                self.wake.notify_all();
            } else if state.busy == 0 {
                break;
            } else {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        state.found.add(found);
    }

    /// Look at one directory; answers those in it.
    fn dir(&self, job: &Job, found: &mut Scan) -> Result<Vec<Job>, String> {
        let index = &self.seal.index;
        let shown = || Word::from(job.path.clone()).shown();
        let fd = match job.name.is_empty() {
            true => job.parent.clone(),
            false => match rustix::fs::openat(&*job.parent, &job.name[..], OPEN, Mode::empty()) {
                Ok(fd) => Arc::new(fd),
                Err(errno @ (Errno::NOENT | Errno::NOTDIR | Errno::LOOP)) => {
                    found.stale.extend(job.range.clone().map(|at| Word::from(index.at(at).0.to_vec())));
                    if errno != Errno::NOENT {
                        found.foul.push(Word::from(job.path.clone()));
                    }
                    return Ok(Vec::new());
                }
                Err(errno) => return Err(format!("cannot open {}: {errno}", shown())),
            },
        };
        let stat = rustix::fs::fstat(&*fd).map_err(|errno| format!("cannot look at {}: {errno}", shown()))?;
        if stat.st_dev != self.device {
            return Err(format!("something is mounted at {}", shown()));
        }
        if !self.seal.is_older(changed(&stat)) {
            self.directory_is_ours(&fd, &stat).map_err(|words| format!("{} {words}", shown()))?;
        }
        let prefix = if job.path.is_empty() { 0 } else { job.path.len() + 1 };
        let mut there = children(index, job.range.clone(), prefix);
        let mut more = Vec::new();
        let entries = Dir::read_from(&*fd).map_err(|errno| format!("cannot read {}: {errno}", shown()))?;
        for entry in entries {
            let entry = entry.map_err(|errno| format!("cannot read {}: {errno}", shown()))?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") || (prefix == 0 && name == b".git") {
                continue;
            }
            let path = || Word::from(if prefix == 0 { name.to_vec() } else { [&job.path[..], name].join(&b'/') });
            match there.remove(name) {
                Some(child) => match (child.file, child.dir) {
                    (Some(at), _) => self.file(&fd, name, at, found)?,
                    (None, Some(range)) => {
                        let (parent, path) = (fd.clone(), path().as_bytes().to_vec());
                        more.push(Job { parent, name: name.to_vec(), path, range });
                    }
                    (None, None) => {}
                },
                None if speaks_to_git(name) => found.foul.push(path()),
                None => {
                    let is_dir = match entry.file_type() {
                        FileType::Unknown => {
                            let stat = rustix::fs::statat(&*fd, name, AtFlags::SYMLINK_NOFOLLOW);
                            let stat = stat.map_err(|errno| format!("cannot look at {}: {errno}", path().shown()))?;
                            FileType::from_raw_mode(stat.st_mode) == FileType::Directory
                        }
                        kind => kind == FileType::Directory,
                    };
                    let slash: &[u8] = if is_dir { b"/" } else { b"" };
                    found.others.push(Word::from([path().as_bytes(), slash].concat()));
                }
            }
        }
        for child in there.into_values() {
            let gone = child.file.map(|at| at..at + 1).into_iter().chain(child.dir).flatten();
            found.stale.extend(gone.map(|at| Word::from(index.at(at).0.to_vec())));
        }
        Ok(more)
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

    fn file(&self, dir: &OwnedFd, name: &[u8], at: usize, found: &mut Scan) -> Result<(), String> {
        let (path, known) = self.seal.index.at(at);
        let path = || Word::from(path.to_vec());
        let stat = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
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

#[allow(clippy::unnecessary_cast, reason = "of another width on other systems")]
pub(super) fn changed(stat: &Stat) -> (i64, i64) {
    (stat.st_ctime, stat.st_ctime_nsec as i64)
}

/// A file that git reads wherever it lies, whether it is tracked or not. No task may leave one to the next.
fn speaks_to_git(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 4] = [b".git", b".gitignore", b".gitattributes", b".gitmodules"];
    NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}
