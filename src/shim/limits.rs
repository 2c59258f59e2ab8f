//! What is looked at while a task runs: its memory, its processes, the disk. The nearer it is to a limit, the sooner it is
//! looked at again.
#![expect(clippy::disallowed_methods, reason = "it measures when it is next looked at")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::core::outcome::Outcome;
use crate::core::sandbox::{Policy, Tier};
use crate::process::supervise::Wish;
use crate::process::weight;
use crate::sandbox::limits::{Cgroup, Limits};
use crate::store;
use crate::store::layout::AttemptDir;
use crate::store::record::Spec;

/// How fast a task may take memory, in bytes each second: by this it is said when it is looked at again.
const TAKING: u64 = 4 << 30;
/// How fast a disk may fill.
const FILLING: u64 = 1 << 30;
const SOONEST: Duration = Duration::from_millis(50);
const LATEST: Duration = Duration::from_millis(500);
const LATEST_DISK: Duration = Duration::from_secs(30);
const LOOK_AT_FILES: Duration = Duration::from_secs(1);
/// So many times as long as a look takes is waited until the next one.
const LOOKING: u32 = 20;
/// The process around a task in the full tier.
const AROUND: u64 = 1;

/// The limits of one attempt.
#[derive(Debug)]
pub(super) struct Keeper {
    policy: Policy,
    disk: Disk,
    group: Option<Cgroup>,
    /// How many processes of the tree are not the task's.
    around: u64,
    next: Option<Instant>,
    over: Option<Outcome>,
}

#[derive(Debug)]
struct Disk {
    floor: u64,
    /// Where the task may write.
    dirs: Vec<PathBuf>,
    /// Seconds, as files tell them.
    since: i64,
    next: Option<Instant>,
}

impl Keeper {
    pub(super) fn new(dir: &AttemptDir, spec: &Spec) -> Self {
        let policy = spec.sandbox.clone();
        let limits = Limits { memory: policy.memory, processes: policy.processes };
        let is_limited = limits.memory.is_some() || limits.processes.is_some();
        let name = format!("{}-{}", spec.attempt, std::process::id());
        let group = if is_limited { Cgroup::make(&name, limits).ok() } else { None };
        let disk = Disk {
            floor: spec.disk_floor,
            dirs: vec![spec.worktree.as_path().to_owned(), dir.0.clone()],
            since: crate::process::clock::now().as_second(),
            next: (spec.disk_floor > 0).then(Instant::now),
        };
        let next = (is_limited && group.is_none()).then(Instant::now);
        Self { policy, disk, group, around: 0, next, over: None }
    }

    /// The group that the kernel keeps to the limits, where there is one.
    pub(super) fn group(&self) -> Option<&Cgroup> {
        self.group.as_ref()
    }

    /// A command starts in this tier.
    pub(super) fn starts(&mut self, tier: Tier) {
        self.around = if tier == Tier::Full { AROUND } else { 0 };
    }

    /// After which time it is to be looked at again.
    pub(super) fn look_in(&self) -> Option<Duration> {
        let now = Instant::now();
        self.next.into_iter().chain(self.disk.next).min().map(|at| at.saturating_duration_since(now))
    }

    /// Look at what is due.
    pub(super) fn look(&mut self) -> Wish {
        let now = Instant::now();
        let of_tree = if self.next.is_some_and(|at| at <= now) { self.look_at_tree(now) } else { Wish::Nothing };
        let of_disk = if self.disk.next.is_some_and(|at| at <= now) { self.look_at_disk(now) } else { Wish::Nothing };
        if of_tree == Wish::Nothing { of_disk } else { of_tree }
    }

    fn look_at_tree(&mut self, now: Instant) -> Wish {
        let seen = weight::weigh(self.policy.memory);
        let took = now.elapsed();
        let mut wait = LATEST;
        if let Some(limit) = self.policy.memory {
            if seen.memory > limit {
                return self.halt(Outcome::OutOfMemory { limit: Some(limit) });
            }
            wait = wait.min(until(limit - seen.memory, TAKING, LATEST));
        }
        if let Some(limit) = self.policy.processes {
            if seen.processes > limit + self.around {
                return self.halt(Outcome::TooManyProcesses { limit });
            }
            // They multiply.
            wait = SOONEST;
        }
        // Looking must not be what the machine does.
        self.next = Some(Instant::now() + wait.max(took * LOOKING));
        Wish::Nothing
    }

    fn halt(&mut self, outcome: Outcome) -> Wish {
        self.next = None;
        self.over = Some(outcome);
        Wish::HaltNow
    }

    /// Below the floor, who has written at least what is missing is stopped; below half of it, everybody is.
    fn look_at_disk(&mut self, now: Instant) -> Wish {
        let disk = &mut self.disk;
        let Some(free) = disk.dirs.first().and_then(|dir| store::free_disk(dir)) else {
            disk.next = None;
            return Wish::Nothing;
        };
        let missing = disk.floor.saturating_sub(free);
        let is_over = missing > 0 && (free < disk.floor / 2 || written(&disk.dirs, disk.since) >= missing);
        if !is_over {
            // Looking at all of its files takes a while.
            let above = if missing > 0 { LOOK_AT_FILES } else { until(free - disk.floor, FILLING, LATEST_DISK) };
            disk.next = Some(now + above);
            return Wish::Nothing;
        }
        disk.next = None;
        self.over.get_or_insert(Outcome::DiskFull { floor: disk.floor });
        Wish::Halt
    }

    /// Which limit it was stopped at, or died of.
    pub(super) fn over(&mut self) -> Option<Outcome> {
        let was_killed = self.group.as_mut().is_some_and(Cgroup::was_out_of_memory);
        let of_kernel = was_killed.then_some(Outcome::OutOfMemory { limit: self.policy.memory });
        of_kernel.or_else(|| self.over.take())
    }
}

/// How long something may take to come to so much.
fn until(amount: u64, each_second: u64, latest: Duration) -> Duration {
    Duration::from_secs_f64(amount as f64 / each_second as f64).clamp(SOONEST, latest)
}

/// Bytes on the disk that were written below these since then. The time of a change cannot be forged.
fn written(dirs: &[PathBuf], since: i64) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let of = |dir: &Path| -> u64 {
        let files = walkdir::WalkDir::new(dir).follow_links(false).same_file_system(true).into_iter().flatten();
        let data = files.filter_map(|entry| entry.metadata().ok());
        data.filter(|data| data.ctime() >= since).map(|data| data.blocks() * 512).sum()
    };
    dirs.iter().map(|dir| of(dir)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearer_the_sooner() {
        assert_eq!(until(0, TAKING, LATEST), SOONEST);
        assert_eq!(until(1 << 30, TAKING, LATEST), Duration::from_millis(250));
        assert_eq!(until(1 << 40, TAKING, LATEST), LATEST);
    }

    #[test]
    fn what_was_there_before_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), vec![1; 1 << 20]).unwrap();
        let now = crate::process::clock::now().as_second();
        assert!(written(&[dir.path().to_owned()], now - 60) >= 1 << 20);
        assert_eq!(written(&[dir.path().to_owned()], now + 60), 0);
    }
}
