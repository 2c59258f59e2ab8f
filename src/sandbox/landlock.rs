//! Rules of the kernel for one process and all that comes of it (Landlock), by its system calls.
//!
//! The full tier uses it for what namespaces do not reach: abstract sockets and signals. The reduced tier has nothing
//! else to say where may be written.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use libc::c_long;

/// As the kernel has it; later kernels know more fields.
#[repr(C)]
#[derive(Default)]
struct Ruleset {
    files: u64,
    ports: u64,
    scopes: u64,
}

#[repr(C, packed)]
struct Beneath {
    allowed: u64,
    parent: i32,
}

const VERSION: c_long = 1;
const PATH_BENEATH: c_long = 1;

const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const TRUNCATE: u64 = 1 << 14;
const REFER: u64 = 1 << 13;
/// Remove and make, of every kind.
const CHANGE: u64 = 0b1_1111_1111 << 4;
/// What can be said of something that is no directory.
const OF_A_FILE: u64 = EXECUTE | WRITE_FILE | TRUNCATE;

const ABSTRACT_SOCKETS: u64 = 1;
const SIGNALS: u64 = 2;

/// The version of the kernel's rules; 0 where it has none.
pub(super) fn version() -> i64 {
    // SAFETY: without attributes the call only answers a number.
    let answer = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0_usize, VERSION) };
    answer.max(0)
}

/// Nothing of other domains can be signalled, and no abstract socket reached. None where the kernel knows no such thing.
pub(super) fn scopes() -> Option<OwnedFd> {
    (version() >= 6).then(|| make(&Ruleset { scopes: ABSTRACT_SOCKETS | SIGNALS, ..Ruleset::default() }).ok())?
}

/// Only these can be written.
///
/// # Errors
/// Where the kernel knows no such rules.
pub(super) fn writes(allowed: &[PathBuf], run: Option<&[PathBuf]>) -> io::Result<OwnedFd> {
    let version = version();
    if version == 0 {
        return Err(io::Error::from(io::ErrorKind::Unsupported));
    }
    let mut files = WRITE_FILE | CHANGE;
    if version >= 2 {
        files |= REFER;
    }
    if version >= 3 {
        files |= TRUNCATE;
    }
    let scopes = if version >= 6 { ABSTRACT_SOCKETS | SIGNALS } else { 0 };
    let executed = if run.is_some() { EXECUTE } else { 0 };
    let rules = make(&Ruleset { files: files | executed, ports: 0, scopes })?;
    allow(&rules, allowed, files)?;
    allow(&rules, run.unwrap_or_default(), EXECUTE)?;
    Ok(rules)
}

/// Only these can be run; all else is as with [`scopes`].
///
/// # Errors
/// Where the kernel knows no such rules.
pub(super) fn runs(run: &[PathBuf]) -> io::Result<OwnedFd> {
    let version = version();
    if version == 0 {
        return Err(io::Error::from(io::ErrorKind::Unsupported));
    }
    // What is not spoken of is free, but for moving something to another directory.
    let refer = if version >= 2 { REFER } else { 0 };
    let scopes = if version >= 6 { ABSTRACT_SOCKETS | SIGNALS } else { 0 };
    let rules = make(&Ruleset { files: EXECUTE | refer, ports: 0, scopes })?;
    if refer != 0 {
        allow(&rules, &["/".into()], refer)?;
    }
    allow(&rules, run, EXECUTE)?;
    Ok(rules)
}

fn allow(rules: &OwnedFd, paths: &[PathBuf], files: u64) -> io::Result<()> {
    for path in paths {
        let flags = libc::O_PATH | libc::O_CLOEXEC;
        let Ok(parent) = File::options().read(true).custom_flags(flags).open(path) else { continue };
        let of = if parent.metadata()?.is_dir() { files } else { files & OF_A_FILE };
        let rule = Beneath { allowed: of, parent: parent.as_raw_fd() };
        // SAFETY: the rule outlives the call, and is as the kernel wants it.
        let added = unsafe {
            libc::syscall(libc::SYS_landlock_add_rule, rules.as_raw_fd(), PATH_BENEATH, &raw const rule, 0_usize)
        };
        if added != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn make(rules: &Ruleset) -> io::Result<OwnedFd> {
    // Older kernels refuse fields that they do not know, unless they are left out.
    let size = if rules.scopes != 0 {
        size_of::<Ruleset>()
    } else if rules.ports != 0 {
        16
    } else {
        8
    };
    // SAFETY: the attributes outlive the call, and are at least as long as is said.
    let made = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, &raw const *rules, size, 0_usize) };
    if made < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was made just now, and is nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(made as i32) })
}

/// Hold the calling thread to it, for ever. Only system calls: it is used between fork and exec.
pub(super) fn enforce(rules: &OwnedFd) -> Result<(), &'static CStr> {
    // SAFETY: a descriptor and a number.
    let held = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0_usize) };
    if held == 0 { Ok(()) } else { Err(c"hold it to rules of the kernel (Landlock)") }
}
