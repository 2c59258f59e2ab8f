//! Opening what a task may have put somewhere: below a directory of ours, with no link on the way. The kernel looks, in one
//! step (`openat2`), so that nothing can be changed between a look and the opening.
//!
//! Used for the files of a running task (a glance at what it has changed, its diff so far), for the `.git` of its worktree, for what
//! is read of its git directory, and for its log. Left are: records and the result, which are one name in a directory that only we
//! write (`O_NOFOLLOW`, and no waiting: `store::read`, `git::pack`); what is removed (`git::trash` goes by descriptors); git
//! itself, which reads the files and the objects of a running task for `pleach diff` by names; and the user's own checkout, which no task can write.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, Stat};

/// A regular file, to be read; what is none is not waited for.
///
/// # Errors
/// Where it is not there, is no file, or a link is on the way to it or a `..` in its name.
pub fn open(dir: &Path, path: &Path) -> io::Result<File> {
    Top::open(dir)?.file(path)
}

/// A directory of ours, for several questions.
#[derive(Debug)]
pub struct Top {
    above: OwnedFd,
    /// The directory that was asked for last.
    last: RefCell<Option<(PathBuf, OwnedFd)>>,
}

impl Top {
    /// Take hold of it.
    ///
    /// # Errors
    /// Where it is no directory, or may not be entered.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { above: rustix::fs::open(dir, flags, Mode::empty())?, last: RefCell::new(None) })
    }

    /// As [`open`].
    ///
    /// # Errors
    /// As [`open`].
    pub fn file(&self, path: &Path) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = File::from(opened(&self.above, path, flags)?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a file")) }
    }

    /// What is there: of a link, the link itself. What lies behind a link is not there. The directory is kept for the next
    /// question, so neighbours are best asked for one after the other.
    ///
    /// # Errors
    /// Where nothing is there, or a link is on the way to it or a `..` in its name.
    pub fn seen(&self, path: &Path) -> io::Result<Stat> {
        let name = path.file_name().ok_or_else(|| io::Error::other("its name leads elsewhere"))?;
        let look = |dir: &OwnedFd| Ok(rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?);
        let dir = path.parent().unwrap_or(Path::new(""));
        if dir.as_os_str().is_empty() {
            return look(&self.above);
        }
        let mut last = self.last.borrow_mut();
        if last.as_ref().is_none_or(|(path, _)| path != dir) {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            *last = Some((dir.to_owned(), opened(&self.above, dir, flags)?));
        }
        last.as_ref().map_or_else(|| Err(io::ErrorKind::NotFound.into()), |(_, dir)| look(dir))
    }
}

/// The time of change: the system sets it, and no program. In seconds and nanoseconds.
#[allow(clippy::unnecessary_cast, reason = "of another width on other systems")]
pub fn changed(stat: &Stat) -> (i64, i64) {
    (stat.st_ctime, stat.st_ctime_nsec as i64)
}

#[cfg(target_os = "linux")]
fn opened(above: &impl std::os::fd::AsFd, path: &Path, flags: OFlags) -> io::Result<std::os::fd::OwnedFd> {
    use rustix::fs::ResolveFlags;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(above, path, flags, Mode::empty(), resolve) {
        // A kernel before 5.6, or a filter of system calls that is older than that.
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => step_by_step(above, path, flags),
        opened => Ok(opened?),
    }
}

#[cfg(not(target_os = "linux"))]
fn opened(above: &impl std::os::fd::AsFd, path: &Path, flags: OFlags) -> io::Result<std::os::fd::OwnedFd> {
    step_by_step(above, path, flags)
}

/// The same with a descriptor for each directory on the way.
fn step_by_step(above: &impl std::os::fd::AsFd, path: &Path, flags: OFlags) -> io::Result<std::os::fd::OwnedFd> {
    use std::path::Component;
    let mut parts: Vec<&std::ffi::OsStr> = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => parts.push(part),
            Component::CurDir => {}
            _ => return Err(io::Error::other("its name leads elsewhere")),
        }
    }
    let Some((last, dirs)) = parts.split_last() else { return Err(io::ErrorKind::IsADirectory.into()) };
    let mut at = above.as_fd().try_clone_to_owned()?;
    for dir in dirs {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        at = rustix::fs::openat(&at, *dir, flags, Mode::empty())?;
    }
    Ok(rustix::fs::openat(&at, *last, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "tests write files as a task would")]
    use std::fs;
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use rustix::fs::FileType;

    use super::*;

    #[test]
    fn no_link_is_followed_wherever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("in/deep")).unwrap();
        fs::create_dir_all(at("out")).unwrap();
        fs::write(at("in/deep/file"), "mine").unwrap();
        fs::write(at("out/file"), "SECRET").unwrap();
        symlink(at("out"), at("in/link")).unwrap();
        symlink(at("out/file"), at("in/last")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, at("in/fifo"), rustix::fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
        let above = File::open(at("in")).unwrap();
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mut text = String::new();
        open(&at("in"), Path::new("deep/file")).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "mine");
        assert!(step_by_step(&above, Path::new("deep/file"), flags).is_ok());
        let top = Top::open(&at("in")).unwrap();
        let kind = |path: &str| FileType::from_raw_mode(top.seen(Path::new(path)).unwrap().st_mode);
        assert_eq!(
            [kind("last"), kind("deep"), kind("deep/file")],
            [FileType::Symlink, FileType::Directory, FileType::RegularFile]
        );
        assert!(top.seen(Path::new("deep/absent")).is_err() && top.seen(Path::new("absent/file")).is_err());
        assert!(top.seen(Path::new("link/file")).is_err() && top.seen(Path::new("../out/file")).is_err());
        for bad in ["link/file", "last", "../out/file", "deep/../../out/file", "/etc/hostname"] {
            assert!(open(&at("in"), Path::new(bad)).is_err(), "{bad}");
            assert!(step_by_step(&above, Path::new(bad), flags).is_err(), "{bad}, step by step");
        }
        assert!(open(&at("in"), Path::new("fifo")).is_err() && open(&at("in"), Path::new("deep")).is_err());
    }
}
