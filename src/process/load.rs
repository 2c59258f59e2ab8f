//! What somebody else's tree of processes takes at this moment, as `/proc` shows it.
//!
//! Processor time is exact for what was waited for: a task's shim inherits and reaps all that its task leaves behind, so the
//! time of whatever has ended is with one of those that still live. Memory is what no file of the disk stands behind; pages
//! that several share after a fork count for each of them.

use std::fs;

use super::tree;

/// Processor time and memory of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Milliseconds of processor time since it began, user and system.
    pub cpu_ms: u64,
    /// Bytes of memory now.
    pub memory: u64,
    /// Processes now.
    pub processes: usize,
}

/// Of all below this process, and of what it has waited for. None where it is not there, or is not who it was: one of its
/// arguments has to be `mark`.
pub fn below(root: u32, mark: &[u8]) -> Option<Load> {
    let words = fs::read(format!("/proc/{root}/cmdline")).ok()?;
    if !words.split(|byte| *byte == 0).any(|word| word == mark) {
        return None;
    }
    let [_, reaped] = ticks(root)?;
    let mut load = Load::default();
    let mut all = reaped;
    for pid in tree::descendants(root) {
        let Some(own) = ticks(pid) else { continue };
        all += own.iter().sum::<u64>();
        load.memory += owned(pid);
        load.processes += 1;
    }
    load.cpu_ms = all * 1000 / rustix::param::clock_ticks_per_second().max(1);
    Some(load)
}

/// Bytes of memory that can be had without swapping: of the machine, or of the control group that stands for it in a
/// container, where that has less. None where it cannot be told.
pub fn free_memory() -> Option<u64> {
    let machine = of_meminfo(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")?;
    let group = |name: &str| fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?.trim().parse::<u64>().ok();
    let limit = group("memory.max").zip(group("memory.current")).map(|(most, used)| most.saturating_sub(used));
    Some(limit.map_or(machine, |limit| limit.min(machine)))
}

/// Bytes of memory that there are at all.
pub fn all_memory() -> Option<u64> {
    of_meminfo(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")
}

fn of_meminfo(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// Clock ticks of a process, and of the children that it has waited for.
fn ticks(pid: u32) -> Option<[u64; 2]> {
    of_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn of_stat(stat: &str) -> Option<[u64; 2]> {
    // The name may hold anything; what follows its last bracket are numbers. User time is the 14th of all.
    let mut numbers = stat.rsplit_once(')')?.1.split_whitespace().skip(11).map(str::parse::<u64>);
    let mut next = || numbers.next()?.ok();
    Some([next()? + next()?, next()? + next()?])
}

/// Bytes that are in memory and in no file.
fn owned(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let mut pages = text.split(' ').skip(1).filter_map(|pages| pages.parse::<u64>().ok());
    let (resident, shared) = (pages.next().unwrap_or(0), pages.next().unwrap_or(0));
    resident.saturating_sub(shared) * rustix::param::page_size() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_free_of_the_memory() {
        let text = "MemTotal:       24597836 kB\nMemFree:          300 kB\nMemAvailable:   2000 kB\n";
        assert_eq!(of_meminfo(text, "MemAvailable:"), Some(2000 * 1024));
        assert_eq!(of_meminfo("MemTotal: 1 MB\n", "MemTotal:"), None);
        #[cfg(target_os = "linux")]
        assert!(free_memory().unwrap() <= all_memory().unwrap());
    }

    #[test]
    fn the_times_of_a_process_with_an_odd_name() {
        let stat = "7 (a) R 1 2) S 1 7 7 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 1 0 55 9000 80 18446744073709551615";
        assert_eq!(of_stat(stat), Some([120, 7]));
        assert_eq!(of_stat("7 (a"), None);
    }

    #[test]
    fn who_is_somebody_else_by_now_has_no_load() {
        assert_eq!(below(std::process::id(), b"--no-such-word"), None);
        let own = fs::read("/proc/self/cmdline").unwrap();
        let first = own.split(|byte| *byte == 0).next().unwrap();
        assert!(below(std::process::id(), first).is_some());
    }
}
