//! Work that is in no hurry steps back for all other.

/// The calling thread, to its end, takes processor and disk only when nobody else does. Where the system knows no such
/// thing, it goes on as it is.
pub fn step_back() {
    #[cfg(target_os = "linux")]
    {
        // Of a thread, on this system.
        let _ = rustix::process::nice(19);
        idle_disk();
    }
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a system call that no library has")]
fn idle_disk() {
    const WHO_THREAD: libc::c_int = 1;
    const CLASS_IDLE: libc::c_int = 3 << 13;
    // SAFETY: it takes three numbers, and changes nothing but how our own reads and writes are queued.
    unsafe {
        libc::syscall(libc::SYS_ioprio_set, WHO_THREAD, 0, CLASS_IDLE);
    }
}
