//! What the children that have ended took of the machine.
#![expect(unsafe_code, reason = "getrusage has no safe door in the crates that we use")]

use std::mem::MaybeUninit;

/// Processor time and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Milliseconds of processor time, user and system.
    pub cpu_ms: u64,
    /// The largest resident set of any of them, in kilobytes.
    pub max_rss_kb: u64,
}

/// Of all children that ended and were waited for, with theirs.
pub fn of_children() -> Usage {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is valid for a write of the struct; zeroes are a valid value of it should the call fail.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr());
        usage.assume_init()
    };
    let ms = |time: libc::timeval| (time.tv_sec as u64) * 1000 + (time.tv_usec as u64) / 1000;
    // macOS counts bytes here, Linux kilobytes.
    let unit = if cfg!(target_os = "macos") { 1024 } else { 1 };
    Usage { cpu_ms: ms(usage.ru_utime) + ms(usage.ru_stime), max_rss_kb: usage.ru_maxrss as u64 / unit }
}
