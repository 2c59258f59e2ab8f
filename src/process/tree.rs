//! The tree of processes below us: finding it, signalling it, and knowing that it is empty.
//!
//! As a child subreaper we inherit whatever a task leaves behind, however often it forks or changes its session. So
//! "no child left" (`ECHILD`) is proof that the tree is empty; a list from `/proc` never is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};

/// A child that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaped {
    /// Which.
    pub pid: Pid,
    /// Its exit code, where it ended by itself.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

/// What was found at one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Children {
    /// These have ended, and others still run.
    Some(Vec<Reaped>),
    /// These have ended, and there is no other.
    None(Vec<Reaped>),
}

/// Inherit the orphans of our descendants. Does nothing where the system has no such thing.
pub fn become_subreaper() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// Take leave of every child that has ended, without waiting.
pub fn reap() -> Children {
    let mut ended = Vec::new();
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                ended.push(Reaped { pid, code: status.exit_status(), signal: status.terminating_signal() });
            }
            Ok(None) => return Children::Some(ended),
            Err(Errno::INTR) => {}
            Err(_) => return Children::None(ended),
        }
    }
}

/// Signal everything below us. What forks away in the meantime is met in the next round.
pub fn signal_all(signal: Signal) -> usize {
    let below = descendants(std::process::id());
    below.iter().filter_map(|pid| Pid::from_raw(*pid as i32)).filter(|pid| kill_process(*pid, signal).is_ok()).count()
}

/// The processes below one, as `/proc` shows them at this moment, parents before children.
pub fn descendants(root: u32) -> Vec<u32> {
    let mut all = Vec::new();
    let mut open = vec![root];
    let mut met = BTreeSet::from([root]);
    while let Some(parent) = open.pop() {
        for child in children(parent).into_iter().filter(|child| met.insert(*child)) {
            all.push(child);
            open.push(child);
        }
    }
    all
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

/// Is this process below one whose words are such? False where processes cannot be looked at.
pub fn is_below(pid: u32, is_such: impl Fn(&[&[u8]]) -> bool) -> bool {
    const DEEPEST: usize = 256;
    let above = std::iter::successors(parent(pid), |pid| parent(*pid)).take(DEEPEST);
    let mut words = above.filter_map(|pid| fs::read(format!("/proc/{pid}/cmdline")).ok());
    words.any(|words| is_such(&words.split(|byte| *byte == 0).collect::<Vec<_>>()))
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything; behind its last bracket come the state and the parent.
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok().filter(|parent| *parent > 0)
}

/// Kill what a dead supervisor left behind: processes that carry `mark` (`NAME=value`) in their environment, or whose
/// working directory is below `dir`, where one is given. Returns how many were met. It looks again until a look finds none.
pub fn kill_marked(mark: &[u8], dir: Option<&Path>) -> usize {
    const ROUNDS: usize = 100;
    let mut killed = BTreeSet::new();
    for _ in 0..ROUNDS {
        let found = marked(mark, dir);
        if found.is_empty() {
            break;
        }
        for pid in found {
            if let Some(pid) = Pid::from_raw(pid as i32) {
                let _ = kill_process(pid, Signal::KILL);
            }
            killed.insert(pid);
        }
        // The kernel needs a moment to take them away.
        std::thread::sleep(Duration::from_millis(2));
    }
    killed.len()
}

fn marked(mark: &[u8], dir: Option<&Path>) -> Vec<u32> {
    let own = std::process::id();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_marked = |pid: &u32| {
        let home = Path::new("/proc").join(pid.to_string());
        // A process that has ended and is not yet reaped can do no harm.
        let runs = fs::read_to_string(home.join("stat"))
            .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with(['Z', 'X']));
        runs && (fs::read_link(home.join("cwd")).is_ok_and(|cwd| dir.is_some_and(|dir| cwd.starts_with(dir)))
            || fs::read(home.join("environ"))
                .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|entry| entry == mark)))
    };
    pids.filter(|pid| *pid != own).filter(is_marked).collect()
}

/// Has any process that we may look at this file open?
pub fn is_open(path: &Path) -> bool {
    let Ok(entries) = fs::read_dir("/proc") else { return false };
    let descriptors = entries.flatten().filter_map(|entry| fs::read_dir(entry.path().join("fd")).ok());
    descriptors.flatten().flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|open| open == path))
}

/// When each living process was started whose name begins with `name` and which works below one of these directories.
/// `None` where processes cannot be listed.
pub fn find(name: &str, dirs: &[PathBuf]) -> Option<Vec<SystemTime>> {
    let booted = fs::read_to_string("/proc/stat").ok()?;
    let booted: u64 = booted.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let mut found = Vec::new();
    for home in fs::read_dir("/proc").ok()?.flatten().map(|entry| entry.path()) {
        let is_named = fs::read_to_string(home.join("comm")).is_ok_and(|comm| comm.starts_with(name));
        if !is_named || !fs::read_link(home.join("cwd")).is_ok_and(|cwd| dirs.iter().any(|dir| cwd.starts_with(dir))) {
            continue;
        }
        // The name may hold anything; what follows its last bracket are numbers. The start is the 22nd of all.
        let stat = fs::read_to_string(home.join("stat")).unwrap_or_default();
        let numbers = stat.rsplit(')').next().unwrap_or_default();
        if let Some(started) = numbers.split_whitespace().nth(19).and_then(|number| number.parse::<u64>().ok()) {
            found.push(SystemTime::UNIX_EPOCH + Duration::from_secs(booted + started / ticks));
        }
    }
    Some(found)
}
