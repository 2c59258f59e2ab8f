//! Subvolumes of btrfs: directories of which the file system makes a snapshot in one step, however many files they hold.
//! The files of a snapshot have the inodes and the times of those that it was made of.
//!
//! Whoever owns a subvolume may do all of this. On other file systems each is refused by the system itself.
#![cfg_attr(target_os = "linux", expect(unsafe_code, reason = "ioctls that no library has"))]

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// May files of a snapshot be written?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// By those who have the rights.
    Write,
    /// By nobody.
    Read,
}

/// Make an empty subvolume where nothing is.
///
/// # Errors
/// Where the system does not do it.
pub fn create(at: &Path) -> io::Result<()> {
    let (above, name) = split(at)?;
    system::create(above.as_fd(), name)
}

/// Make a snapshot of a subvolume where nothing is.
///
/// # Errors
/// Where the system does not do it.
pub fn snapshot(of: &Path, at: &Path, access: Access) -> io::Result<()> {
    let (above, name) = split(at)?;
    system::snapshot(open(of)?.as_fd(), above.as_fd(), name, access)
}

/// Destroy a subvolume with all that is in it, at once.
///
/// # Errors
/// Where the system does not do it: what is there may be no subvolume, or only the administrator may.
pub fn destroy(above: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    system::destroy(above, name)
}

/// Let the files of a subvolume be written from now on.
///
/// # Errors
/// Where the system does not do it.
pub fn unlock(dir: BorrowedFd<'_>) -> io::Result<()> {
    system::unlock(dir)
}

/// By this number it is known whether anything in a subvolume was changed since it was asked before.
///
/// # Errors
/// Where the system does not tell.
pub fn version(dir: &Path) -> io::Result<u64> {
    system::version(open(dir)?.as_fd())
}

fn split(at: &Path) -> io::Result<(OwnedFd, &OsStr)> {
    match (at.parent(), at.file_name()) {
        (Some(above), Some(name)) => Ok((open(above)?, name)),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn open(dir: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(dir, flags, Mode::empty())?)
}

#[cfg(target_os = "linux")]
mod system {
    use std::ffi::OsStr;
    use std::io;
    use std::os::fd::{AsRawFd, BorrowedFd};
    use std::os::unix::ffi::OsStrExt;

    use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

    use super::Access;

    const GROUP: u8 = 0x94;
    const CREATE: Opcode = opcode::write::<Named>(GROUP, 24);
    const SNAPSHOT: Opcode = opcode::write::<Named>(GROUP, 23);
    const DESTROY: Opcode = opcode::write::<Plain>(GROUP, 15);
    const FLAGS: Opcode = opcode::read::<u64>(GROUP, 25);
    const SET_FLAGS: Opcode = opcode::write::<u64>(GROUP, 26);
    const INFO: Opcode = opcode::read::<Info>(GROUP, 60);
    const READ_ONLY: u64 = 1 << 1;

    /// `struct btrfs_ioctl_vol_args_v2`.
    #[repr(C)]
    struct Named {
        fd: i64,
        transid: u64,
        flags: u64,
        unused: [u64; 4],
        name: [u8; 4040],
    }

    /// `struct btrfs_ioctl_vol_args`.
    #[repr(C)]
    struct Plain {
        fd: i64,
        name: [u8; 4088],
    }

    /// `struct btrfs_ioctl_get_subvol_info_args`.
    #[repr(C)]
    struct Info {
        before: [u64; 43],
        /// The transaction in which a file of it was changed last.
        changed: u64,
        after: [u64; 19],
    }

    fn named(fd: i64, name: &OsStr, flags: u64) -> io::Result<Named> {
        Ok(Named { fd, transid: 0, flags, unused: [0; 4], name: padded(name)? })
    }

    /// With at least one zero behind it.
    fn padded<const N: usize>(name: &OsStr) -> io::Result<[u8; N]> {
        let bytes = name.as_bytes();
        if bytes.len() >= N || bytes.contains(&b'/') {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut padded = [0; N];
        padded[..bytes.len()].copy_from_slice(bytes);
        Ok(padded)
    }

    fn ask<const OPCODE: Opcode, T>(fd: BorrowedFd<'_>, about: &mut T) -> io::Result<()> {
        // SAFETY: each opcode above is made of the type that it is used with, which has the layout of the kernel's own, holds no
        // pointer, and may have any value; the kernel reads and writes no more than that.
        let done = unsafe { ioctl(fd, Updater::<OPCODE, T>::new(about)) };
        Ok(done?)
    }

    pub(super) fn create(above: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
        ask::<CREATE, _>(above, &mut named(0, name, 0)?)
    }

    pub(super) fn snapshot(of: BorrowedFd<'_>, above: BorrowedFd<'_>, name: &OsStr, access: Access) -> io::Result<()> {
        let flags = if access == Access::Read { READ_ONLY } else { 0 };
        ask::<SNAPSHOT, _>(above, &mut named(of.as_raw_fd().into(), name, flags)?)
    }

    pub(super) fn destroy(above: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
        ask::<DESTROY, _>(above, &mut Plain { fd: 0, name: padded(name)? })
    }

    pub(super) fn unlock(dir: BorrowedFd<'_>) -> io::Result<()> {
        let mut flags = 0_u64;
        ask::<FLAGS, _>(dir, &mut flags)?;
        if flags & READ_ONLY == 0 {
            return Ok(());
        }
        flags &= !READ_ONLY;
        ask::<SET_FLAGS, _>(dir, &mut flags)
    }

    pub(super) fn version(dir: BorrowedFd<'_>) -> io::Result<u64> {
        let mut info = Info { before: [0; 43], changed: 0, after: [0; 19] };
        ask::<INFO, _>(dir, &mut info)?;
        Ok(info.changed)
    }

    #[cfg(test)]
    mod tests {
        use std::mem::{offset_of, size_of};

        use super::*;

        #[test]
        fn the_structs_are_those_of_the_kernel() {
            assert_eq!((size_of::<Named>(), size_of::<Plain>(), size_of::<Info>()), (4096, 4096, 504));
            assert_eq!((offset_of!(Named, name), offset_of!(Info, changed)), (56, 344));
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::ffi::OsStr;
    use std::io;
    use std::os::fd::BorrowedFd;

    use super::Access;

    fn refused<T>() -> io::Result<T> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn create(_: BorrowedFd<'_>, _: &OsStr) -> io::Result<()> {
        refused()
    }

    pub(super) fn snapshot(_: BorrowedFd<'_>, _: BorrowedFd<'_>, _: &OsStr, _: Access) -> io::Result<()> {
        refused()
    }

    pub(super) fn destroy(_: BorrowedFd<'_>, _: &OsStr) -> io::Result<()> {
        refused()
    }

    pub(super) fn unlock(_: BorrowedFd<'_>) -> io::Result<()> {
        refused()
    }

    pub(super) fn version(_: BorrowedFd<'_>) -> io::Result<u64> {
        refused()
    }
}
