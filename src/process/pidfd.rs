//! Waiting for the end of a process that is not our child.
#![expect(unsafe_code, reason = "the runtime wants a promise about the descriptor")]

use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;

/// A hold on one process, which no later process of the same number can be taken for.
#[derive(Debug)]
pub struct Hold(AsyncFd<OwnedFd>);

impl Hold {
    /// Take hold of the process that has this number now; `None` where there is none, or the system has no such thing.
    pub fn of(pid: u32) -> Option<Self> {
        let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
        let descriptor = pidfd_open(pid, PidfdFlags::NONBLOCK).ok()?;
        // SAFETY: the descriptor is owned, so it stays the same and open for as long as it is registered.
        unsafe { AsyncFd::register(descriptor) }.ok().map(Self)
    }

    /// Come back when it has ended.
    pub async fn ended(&self) {
        // A failure is an answer too: whoever waits looks for itself.
        let _ = self.0.readable().await;
    }
}
