//! The two processes around a task: the stage outside of its namespace of processes, and the init inside.

use std::ffi::{CStr, c_int};
use std::os::fd::RawFd;

use super::system::{close_others, errno, read_whole};

/// Wait for the end of the namespace, and end as the task did.
pub(super) fn stage(init: libc::pid_t, status: RawFd) -> ! {
    // SAFETY: numbers, and buffers as long as is said.
    unsafe {
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGPIPE] {
            libc::signal(signal, libc::SIG_IGN);
        }
        close_others(&[status]);
        let mut ended: c_int = 0;
        let mut told = read_whole(status, (&raw mut ended).cast(), size_of::<c_int>());
        let mut of_init = 0;
        while libc::waitpid(init, &raw mut of_init, 0) < 0 && errno() == libc::EINTR {}
        if !told {
            // It was killed, and everything with it.
            ended = of_init;
            told = true;
        }
        debug_assert!(told);
        if libc::WIFSIGNALED(ended) {
            let signal = libc::WTERMSIG(ended);
            let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
            libc::signal(signal, libc::SIG_DFL);
            libc::kill(libc::getpid(), signal);
        }
        libc::_exit(libc::WEXITSTATUS(ended))
    }
}

/// Reap until the task has ended; then tell how, and what it left.
pub(super) fn init(task: libc::pid_t, status: RawFd, left: RawFd) -> ! {
    // SAFETY: numbers, and buffers as long as is said.
    unsafe {
        let mut watch = libc::pollfd { fd: status, events: 0, revents: 0 };
        // Whoever waits for us died before we could be told to die with it.
        if libc::poll(&raw mut watch, 1, 0) > 0 {
            libc::_exit(1);
        }
        loop {
            let mut ended = 0;
            let child = libc::waitpid(-1, &raw mut ended, 0);
            if child == task {
                let count = others();
                libc::write(left, (&raw const count).cast(), size_of::<u64>());
                libc::write(status, (&raw const ended).cast(), size_of::<c_int>());
                libc::_exit(0);
            }
            if child < 0 && errno() == libc::ECHILD {
                libc::_exit(1);
            }
        }
    }
}

/// The processes of the namespace that still run, beside ourselves.
pub(super) fn others() -> u64 {
    let mut count = 0;
    // SAFETY: the directory is open until it is closed, and its entries are read one at a time.
    unsafe {
        // What has ended and was ours is taken leave of first.
        while libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) > 0 {}
        let dir = libc::opendir(c"/proc".as_ptr());
        if dir.is_null() {
            return 0;
        }
        loop {
            let entry = libc::readdir(dir);
            if entry.is_null() {
                break;
            }
            let name = CStr::from_ptr((*entry).d_name.as_ptr()).to_bytes();
            if name.iter().all(u8::is_ascii_digit) && name != b"1" {
                count += 1;
            }
        }
        libc::closedir(dir);
    }
    count
}
