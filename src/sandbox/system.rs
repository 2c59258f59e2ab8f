//! The system calls of the full tier, each with what it is for. They are made between fork and exec: nothing here takes
//! memory or a lock.

use std::ffi::{CStr, c_int, c_ulong};
use std::os::fd::RawFd;

use libc::{c_long, mount_attr};

/// What failed: the step in words.
pub(super) type Step = &'static CStr;

const OPEN_TREE_CLONE: c_long = 1;
pub(super) const RECURSIVE: c_long = 0x8000;
pub(super) const EMPTY_PATH: c_long = 0x1000;
const MOVE_EMPTY_PATH: c_long = 4;
const FIRST_OF_OTHERS: c_int = 3;
/// The highest number that a capability might have.
const CAPABILITIES: c_ulong = 63;

/// Put a copy over a directory. Where the kernel cannot, the directory stays, and cannot be written.
pub(super) fn copy(at: &CStr, options: &CStr) {
    // SAFETY: paths.
    unsafe {
        libc::mkdir(c"/dev/u".as_ptr(), 0o755);
        libc::mkdir(c"/dev/w".as_ptr(), 0o755);
    }
    let _ = mount(c"overlay", at, libc::MS_NOSUID | libc::MS_NODEV, options, c"");
}

/// `/proc` as this namespace sees it, in which no process gets a number above `highest`. For root, what would still be root's
/// there is closed.
pub(super) fn mount_processes(is_root: bool, highest: Option<&CStr>) -> Result<(), Step> {
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    mount(c"proc", c"/proc", flags, c"", c"mount its processes (/proc)")?;
    if let Some(highest) = highest {
        // For root there is no other limit. Kernels before 6.14 have one number for all, and do not let us.
        write_to(c"/proc/sys/kernel/pid_max", highest.to_bytes());
    }
    if is_root {
        // What is mounted again is as closed as what it comes of is at that moment.
        close_processes(libc::MOUNT_ATTR_RDONLY, 0)?;
        for path in [
            c"/proc/sys",
            c"/proc/irq",
            c"/proc/bus",
            c"/proc/fs",
            c"/proc/sysrq-trigger",
            c"/proc/acpi",
            c"/proc/scsi",
            c"/proc/dynamic_debug",
        ] {
            match bind(path, path) {
                Err(_) if errno() == libc::ENOENT => {}
                done => done?,
            }
        }
        close_processes(0, libc::MOUNT_ATTR_RDONLY)?;
    }
    Ok(())
}

fn close_processes(set: u64, clear: u64) -> Result<(), Step> {
    change(libc::AT_FDCWD, c"/proc", 0, [set, clear]).map_err(|()| c"close what is root's in /proc")
}

pub(super) fn drop_capabilities() {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: c_int,
    }
    let header = Header { version: 0x2008_0522, pid: 0 };
    let none = [0_u32; 6];
    // SAFETY: numbers, and structs as long as this version of them says. That a number is no capability is no failure.
    unsafe {
        for capability in 0..=CAPABILITIES {
            if libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 {
                break;
            }
        }
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr());
    }
}

/// Servers of the task are reached by the task.
pub(super) fn loopback() {
    // SAFETY: the request is as the kernel wants it. Where it fails, the task has no loopback, and that is all.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        if socket < 0 {
            return;
        }
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        libc::ioctl(socket, libc::SIOCSIFFLAGS, &raw const request);
        libc::close(socket);
    }
}

/// A door at this port of its loopback, handed to whoever is at the other end of `way`. The task does not have it.
pub(super) fn hand_out_door(port: u16, way: RawFd) -> Result<(), Step> {
    const STEP: Step = c"make the door to its proxy";
    const WAITING: c_int = 128;
    /// Room for one descriptor, aligned as the kernel wants it.
    #[repr(C, align(8))]
    struct Room([u8; 64]);
    // SAFETY: structs of numbers, and buffers that outlive the call and are as long as is said.
    unsafe {
        let door = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        ok(if door < 0 { -1 } else { 0 }, STEP)?;
        let mut address: libc::sockaddr_in = std::mem::zeroed();
        address.sin_family = libc::AF_INET as libc::sa_family_t;
        address.sin_port = port.to_be();
        address.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
        ok(libc::bind(door, (&raw const address).cast(), size_of::<libc::sockaddr_in>() as libc::socklen_t), STEP)?;
        ok(libc::listen(door, WAITING), STEP)?;
        let mut byte = 0_u8;
        let mut content = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        let mut room = Room([0; 64]);
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut content;
        message.msg_iovlen = 1;
        message.msg_control = (&raw mut room).cast();
        message.msg_controllen = libc::CMSG_SPACE(size_of::<RawFd>() as u32) as _;
        let head = libc::CMSG_FIRSTHDR(&raw const message);
        (*head).cmsg_level = libc::SOL_SOCKET;
        (*head).cmsg_type = libc::SCM_RIGHTS;
        (*head).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as _;
        std::ptr::write_unaligned(libc::CMSG_DATA(head).cast::<RawFd>(), door);
        let sent = libc::sendmsg(way, &raw const message, libc::MSG_NOSIGNAL);
        ok(if sent == 1 { 0 } else { -1 }, STEP)?;
        libc::close(door);
    }
    Ok(())
}

pub(super) fn open_tree(path: &CStr, deep: c_long) -> Result<RawFd, Step> {
    let flags = OPEN_TREE_CLONE | c_long::from(libc::O_CLOEXEC) | deep;
    // SAFETY: a path and numbers.
    let tree = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) };
    if tree < 0 { Err(c"take hold of what it needs") } else { Ok(tree as RawFd) }
}

pub(super) fn set(dir: RawFd, path: &CStr, flags: c_long, attributes: u64) -> Result<(), ()> {
    change(dir, path, flags, [attributes, 0])
}

/// Give a mount some attributes, and take others from it.
fn change(dir: RawFd, path: &CStr, flags: c_long, [attr_set, attr_clr]: [u64; 2]) -> Result<(), ()> {
    let wanted = mount_attr { attr_set, attr_clr, propagation: libc::MS_PRIVATE, userns_fd: 0 };
    // SAFETY: the attributes outlive the call and are as long as is said.
    let done = unsafe {
        libc::syscall(libc::SYS_mount_setattr, dir, path.as_ptr(), flags, &raw const wanted, size_of::<mount_attr>())
    };
    if done == 0 { Ok(()) } else { Err(()) }
}

pub(super) fn move_to(tree: RawFd, at: &CStr) -> Result<(), Step> {
    // SAFETY: paths and numbers.
    let moved = unsafe {
        libc::syscall(libc::SYS_move_mount, tree, c"".as_ptr(), libc::AT_FDCWD, at.as_ptr(), MOVE_EMPTY_PATH)
    };
    ok(moved as c_int, c"put something in its place")
}

/// The same directory at another place, as closed as it is.
pub(super) fn bind(from: &CStr, at: &CStr) -> Result<(), Step> {
    // SAFETY: paths.
    let bound = unsafe { libc::mount(from.as_ptr(), at.as_ptr(), std::ptr::null(), libc::MS_BIND, std::ptr::null()) };
    ok(bound, c"put something in its place")
}

pub(super) fn mount(kind: &CStr, at: &CStr, flags: c_ulong, options: &CStr, step: Step) -> Result<(), Step> {
    // SAFETY: paths, words and numbers.
    ok(unsafe { libc::mount(kind.as_ptr(), at.as_ptr(), kind.as_ptr(), flags, options.as_ptr().cast()) }, step)
}

pub(super) fn write_to(path: &CStr, bytes: &[u8]) -> bool {
    // SAFETY: a path, and a buffer as long as is said.
    unsafe {
        let file = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if file < 0 {
            return false;
        }
        let written = libc::write(file, bytes.as_ptr().cast(), bytes.len());
        let error = errno();
        libc::close(file);
        *libc::__errno_location() = error;
        written == bytes.len() as isize
    }
}

/// Close every descriptor from 3 on but these.
pub(super) fn close_others(kept: &[RawFd]) {
    let mut from = FIRST_OF_OTHERS as libc::c_uint;
    let mut sorted = [libc::c_uint::MAX; 4];
    for (slot, fd) in sorted.iter_mut().zip(kept) {
        *slot = *fd as libc::c_uint;
    }
    sorted.sort_unstable();
    for stay in sorted {
        if stay > from {
            let to = stay - 1;
            // SAFETY: numbers. What is closed here is used by nobody: this process never returns.
            unsafe { libc::syscall(libc::SYS_close_range, from, to, 0) };
        }
        if stay == libc::c_uint::MAX {
            break;
        }
        from = stay + 1;
    }
}

pub(super) fn read_whole(fd: RawFd, buffer: *mut u8, length: usize) -> bool {
    loop {
        // SAFETY: the caller gives a buffer of this length.
        let count = unsafe { libc::read(fd, buffer.cast(), length) };
        if count < 0 && errno() == libc::EINTR {
            continue;
        }
        return count == length as isize;
    }
}

pub(super) fn write_whole(fd: RawFd, buffer: *const u8, length: usize) {
    loop {
        // SAFETY: the caller gives a buffer of this length. So few bytes are written at once or not at all.
        let count = unsafe { libc::write(fd, buffer.cast(), length) };
        if count >= 0 || errno() != libc::EINTR {
            return;
        }
    }
}

pub(super) fn errno() -> c_int {
    // SAFETY: it is always there.
    unsafe { *libc::__errno_location() }
}

pub(super) fn ok(answer: c_int, step: Step) -> Result<(), Step> {
    if answer == 0 { Ok(()) } else { Err(step) }
}
