//! Opening what a task may have put somewhere: below a directory of ours, with no link on the way. The kernel looks, in one
//! step (`openat2`), so that nothing can be changed between a look and the opening.
//!
//! Used for files in the worktree of a running task (a glance at what it has changed) and for its log, as a filter of git that
//! it left runs where that lies. Not where a path has one part below a directory that only we write (records: `O_NOFOLLOW`), not for what is removed
//! (`git::trash` goes by descriptors), and not in the user's own checkout, which no task can write.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// A regular file, to be read; what is none is not waited for.
///
/// # Errors
/// Where it is not there, is no file, or a link is on the way to it or a `..` in its name.
pub fn open(dir: &Path, path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let above = rustix::fs::open(dir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let file = File::from(opened(&above, path, flags)?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a file")) }
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
        for bad in ["link/file", "last", "../out/file", "deep/../../out/file", "/etc/hostname"] {
            assert!(open(&at("in"), Path::new(bad)).is_err(), "{bad}");
            assert!(step_by_step(&above, Path::new(bad), flags).is_err(), "{bad}, step by step");
        }
        assert!(open(&at("in"), Path::new("fifo")).is_err() && open(&at("in"), Path::new("deep")).is_err());
    }
}
