//! What a tree of processes takes of the memory, and how many it is.

use std::fs;

use super::tree;

/// What a tree is at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weight {
    /// Processes and threads.
    pub processes: u64,
    /// Bytes that only go away with it: shared ones count once, files of the disk not at all.
    pub memory: u64,
}

/// Weigh what is below us. Memory is counted in earnest only where it may be more than `limit`: that takes a while.
pub fn weigh(limit: Option<u64>) -> Weight {
    let all = tree::descendants(std::process::id());
    let processes = all.iter().map(|pid| threads(*pid)).sum();
    let memory = limit.map_or(0, |limit| {
        let rough: u64 = all.iter().map(|pid| resident(*pid)).sum();
        if rough <= limit { rough } else { all.iter().map(|pid| owned(*pid).unwrap_or_else(|| resident(*pid))).sum() }
    });
    Weight { processes, memory }
}

fn threads(pid: u32) -> u64 {
    fs::read_dir(format!("/proc/{pid}/task")).map_or(0, |threads| threads.count() as u64)
}

/// Everything of it that is in memory, also what it shares.
fn resident(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages: u64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

/// Its part of what is no file of the disk; none where that is not told.
fn owned(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    Some(of_rollup(&text))
}

fn of_rollup(text: &str) -> u64 {
    const COUNTED: [&str; 3] = ["Pss_Anon:", "Pss_Shmem:", "SwapPss:"];
    let kilobytes = text.lines().filter_map(|line| {
        let (name, value) = line.split_once(char::is_whitespace)?;
        COUNTED.contains(&name).then(|| value.trim().trim_end_matches(" kB").parse::<u64>().ok())?
    });
    kilobytes.sum::<u64>() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_of_a_process() {
        let text = "55a-7ff ---p 00000000 00:00 0    [rollup]\nRss:    9000 kB\nPss:   7000 kB\nPss_Anon:   400 kB\n\
                    Pss_File:    6000 kB\nPss_Shmem:    30 kB\nSwap:   8 kB\nSwapPss:   2 kB\n";
        assert_eq!(of_rollup(text), 432 * 1024);
    }
}
