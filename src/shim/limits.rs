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
/// What ends before this, and has written nothing, has not got far.
const EARLY: Duration = Duration::from_millis(500);
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
    /// The most processes that were seen at once.
    most: u64,
    /// When the command started.
    started: Instant,
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
        Self { policy, disk, group, around: 0, next, over: None, most: 0, started: Instant::now() }
    }

    /// The group that the kernel keeps to the limits, where there is one.
    pub(super) fn group(&self) -> Option<&Cgroup> {
        self.group.as_ref()
    }

    /// A command starts in this tier.
    pub(super) fn starts(&mut self, tier: Tier) {
        self.around = if tier == Tier::Full { AROUND } else { 0 };
        (self.most, self.started) = (0, Instant::now());
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
                return self.halt(Outcome::OutOfMemory { limit: Some(limit), at_start: false });
            }
            wait = wait.min(until(limit - seen.memory, TAKING, LATEST));
        }
        self.most = self.most.max(seen.processes.saturating_sub(self.around));
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

    /// Which limit it was stopped at, or died of. So many processes were `left` at its end, and maybe it was `mute`: it
    /// wrote nothing.
    pub(super) fn over(&mut self, left: u64, mute: bool) -> Option<Outcome> {
        let was_killed = self.group.as_mut().is_some_and(Cgroup::was_out_of_memory);
        let of_kernel = was_killed.then_some(Outcome::OutOfMemory { limit: self.policy.memory, at_start: false });
        let over = of_kernel.or_else(|| self.over.take()).or_else(|| self.was_refused_a_process(left));
        let is_early = mute && self.started.elapsed() < EARLY;
        over.map(|over| match over {
            Outcome::OutOfMemory { limit, .. } => Outcome::OutOfMemory { limit, at_start: is_early },
            over => over,
        })
    }

    /// The kernel tells the program alone that it has no process more for it, and a group counts that. Without one we tell
    /// by how many it had.
    fn was_refused_a_process(&mut self, left: u64) -> Option<Outcome> {
        let limit = self.policy.processes?;
        let counted = self.group.as_mut().is_some_and(Cgroup::was_refused_a_process);
        // Elsewhere it would have been stopped for it. A few end before their last process does.
        let is_full = self.around > 0 && (self.most >= limit || (limit > 8 && left + 3 >= limit));
        (counted || is_full).then_some(Outcome::TooManyProcesses { limit })
    }
}

/// What runs git in what a task left takes no more than the task might: but never less than git needs for itself.
const LEAST_TO_SAVE: Limits = Limits { memory: Some(1 << 30), processes: Some(64) };

/// The limits of that.
#[derive(Debug)]
pub(super) struct Bound {
    limits: Limits,
    around: u64,
    group: Option<Cgroup>,
    over: Option<Outcome>,
}

impl Bound {
    pub(super) fn new(spec: &Spec, tier: Tier) -> Self {
        let (memory, processes) = Self::policy(spec);
        let limits = Limits { memory, processes };
        let is_limited = limits.memory.is_some() || limits.processes.is_some();
        let name = format!("saving-{}-{}", spec.attempt, std::process::id());
        let group = if is_limited { Cgroup::make(&name, limits).ok() } else { None };
        Self { limits, around: if tier == Tier::Full { AROUND } else { 0 }, group, over: None }
    }

    /// What it is to hold for.
    pub(super) fn policy(spec: &Spec) -> (Option<u64>, Option<u64>) {
        let this = |said: Option<u64>, least: Option<u64>| said.max(said.and(least));
        (this(spec.sandbox.memory, LEAST_TO_SAVE.memory), this(spec.sandbox.processes, LEAST_TO_SAVE.processes))
    }

    /// Where a command enters the group of its own that it has, where the kernel keeps it.
    ///
    /// # Errors
    /// Where there are no descriptors left.
    pub(super) fn entry(&self) -> std::io::Result<Option<std::os::fd::OwnedFd>> {
        self.group.as_ref().map(Cgroup::entry).transpose()
    }

    /// Where nobody else keeps it: is it over now?
    pub(super) fn is_over(&mut self) -> bool {
        if self.group.is_some() || (self.limits.memory.is_none() && self.limits.processes.is_none()) {
            return false;
        }
        let seen = weight::weigh(self.limits.memory);
        let memory = self.limits.memory.filter(|limit| seen.memory > *limit);
        let processes = self.limits.processes.filter(|limit| seen.processes > limit + self.around);
        self.over = memory
            .map(|limit| Outcome::OutOfMemory { limit: Some(limit), at_start: false })
            .or(processes.map(|limit| Outcome::TooManyProcesses { limit }));
        self.over.is_some()
    }

    /// Which limit it was ended at.
    pub(super) fn over(&mut self) -> Option<Outcome> {
        let was_killed = self.group.as_mut().is_some_and(Cgroup::was_out_of_memory);
        let of_kernel = Outcome::OutOfMemory { limit: self.limits.memory, at_start: false };
        was_killed.then_some(of_kernel).or_else(|| self.over.take())
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
