//! A process that is neither ours nor a child of ours, and with whose end something of ours is over: knowing it again, and seeing
//! its end.

use std::fs;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, getppid, pidfd_open};

use crate::core::task::Living;

/// How many shells may stand between a program and what it calls.
const SHELLS: usize = 3;

/// The program that called us, where a shell that runs nothing but us stands between. `None` where the system does not tell.
pub fn caller() -> Option<Living> {
    let mut pid = u32::try_from(getppid()?.as_raw_nonzero().get()).ok()?;
    for _ in 0..SHELLS {
        if !is_shell(pid) {
            break;
        }
        pid = seen(pid)?.0;
    }
    let space = space()?;
    // The first process of a system or a container is nobody's conversation.
    (pid > 1).then(|| seen(pid)).flatten().map(|(_, started)| Living { pid, started, space })
}

/// A shell that was started to run one line.
fn is_shell(pid: u32) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = line.split(|byte| *byte == 0);
    let name = words.next().unwrap_or_default();
    let name = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let is_known = [&b"sh"[..], b"dash", b"bash", b"zsh", b"ksh", b"fish"].contains(&name);
    is_known && words.take(2).any(|word| word.starts_with(b"-") && word.ends_with(b"c"))
}

/// Its parent, and when it was started.
fn seen(pid: u32) -> Option<(u32, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program stands in brackets, and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    Some((parent, fields.nth(17)?.parse().ok()?))
}

/// Where our numbers of processes are those of others, too.
fn space() -> Option<String> {
    Some(fs::read_link("/proc/self/ns/pid").ok()?.to_string_lossy().into_owned())
}

/// What is known of such a process.
#[derive(Debug)]
pub enum Hold {
    /// It lives, or did a moment ago: its end can be seen here.
    On(OwnedFd),
    /// It has ended.
    Gone,
    /// It cannot be seen from here.
    Unknown,
}

impl Hold {
    /// Take hold of it.
    pub fn of(living: &Living) -> Self {
        if space().is_none_or(|space| space != living.space) {
            return Self::Unknown;
        }
        let Some(pid) = i32::try_from(living.pid).ok().and_then(Pid::from_raw) else { return Self::Unknown };
        let descriptor = pidfd_open(pid, PidfdFlags::NONBLOCK);
        match (descriptor, seen(living.pid)) {
            (Ok(descriptor), Some((_, started))) if started == living.started => Self::On(descriptor),
            (_, Some((_, started))) if started == living.started => Self::Unknown,
            _ => Self::Gone,
        }
    }

    /// What becomes readable with its end.
    pub fn door(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::On(descriptor) => Some(descriptor.as_fd()),
            Self::Gone | Self::Unknown => None,
        }
    }

    /// Has it ended, as far as can be seen?
    pub fn is_over(&self) -> bool {
        match self {
            Self::Gone => true,
            Self::Unknown => false,
            Self::On(descriptor) => {
                let mut doors = [PollFd::new(descriptor, PollFlags::IN)];
                poll(&mut doors, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_know_ourselves_and_nobody_who_never_was() {
        let pid = std::process::id();
        let us = Living { pid, started: seen(pid).unwrap().1, space: space().unwrap() };
        let hold = Hold::of(&us);
        assert!(matches!(hold, Hold::On(_)) && !hold.is_over());
        assert!(matches!(Hold::of(&Living { started: us.started + 1, ..us.clone() }), Hold::Gone));
        assert!(matches!(Hold::of(&Living { space: "elsewhere".to_owned(), ..us }), Hold::Unknown));
    }
}
