//! A worktree that is a subvolume: nothing can be moved into it or out of it.

use std::fs;
use std::io;
use std::path::Path;

use super::GitError;
use crate::process::subvolume::{self, Access};

/// Move a draft of this text to be the `.git` of a worktree.
pub(super) fn move_in(draft: &Path, file: &Path, text: &[u8]) -> io::Result<()> {
    match fs::rename(draft, file) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let _ = fs::remove_file(draft);
            write(file, text)
        }
        other => other,
    }
}

/// Write it: whole or not at all, and no other file is in there meanwhile. Who is killed leaves none, which is as good as an
/// old one.
#[cfg(target_os = "linux")]
fn write(link: &Path, text: &[u8]) -> io::Result<()> {
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::AsRawFd;

    use rustix::fs::{AtFlags, CWD, Mode, OFlags};
    let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
    let above = link.parent().unwrap_or(link);
    let mut file = File::from(rustix::fs::open(above, flags, Mode::from_raw_mode(0o666))?);
    file.write_all(text)?;
    match fs::remove_file(link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let made = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(rustix::fs::linkat(CWD, made, CWD, link, AtFlags::SYMLINK_FOLLOW)?)
}

/// There are none.
#[cfg(not(target_os = "linux"))]
fn write(_: &Path, _: &[u8]) -> io::Result<()> {
    Err(io::ErrorKind::CrossesDevices.into())
}

/// Keep all of it as it is now, in a directory beside it.
pub(super) fn keep(worktree: &Path, aside: &Path) -> Result<(), GitError> {
    subvolume::snapshot(worktree, aside, Access::Write).map_err(GitError::file("keep", worktree))
}
