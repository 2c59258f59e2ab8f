//! Limits that the kernel keeps for a whole tree of processes: a control group (cgroup v2) of its own for each attempt.
//!
//! One can be made where some group above ours is writable and hands the controllers on: below the user's own systemd, as
//! root, in some containers. It is found by doing: made, given its limits, and entered by a process.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::lack;

/// What a group is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
}

/// A group that is there.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    entry: File,
    killed: u64,
    refused: u64,
}

/// How often it is looked whether a group is empty, and how long between two looks.
const LOOKS: u32 = 200;
const LOOK: Duration = Duration::from_millis(5);

impl Cgroup {
    /// Make one of this name.
    ///
    /// # Errors
    /// Where there is no place for it: why, in words.
    pub fn make(name: &str, limits: Limits) -> Result<Self, String> {
        if lack::of("cgroup") {
            return Err(lack::WHY.to_owned());
        }
        let own = own().ok_or("there is no cgroup v2 here")?;
        let mut why = None;
        // The nearest first: what is said of groups above holds for it, too.
        for parent in own.ancestors().take_while(|parent| parent.join("cgroup.procs").exists()) {
            match make_in(parent, name, limits) {
                Ok(made) => return Ok(made),
                Err(error) => why = why.or(Some(error)),
            }
        }
        Err(why.unwrap_or_else(|| "there is no cgroup v2 here".to_owned()))
    }

    /// Where a command enters it, with all that comes of it.
    ///
    /// # Errors
    /// Where there are no descriptors left.
    pub fn entry(&self) -> io::Result<OwnedFd> {
        self.entry.try_clone().map(OwnedFd::from)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Has the kernel killed something in it for memory since the last time that this was asked?
    pub fn was_out_of_memory(&mut self) -> bool {
        let count = self.count("memory.events", "oom_kill ");
        std::mem::replace(&mut self.killed, count) < count
    }

    /// The same of a process too many that was not made.
    pub fn was_refused_a_process(&mut self) -> bool {
        let count = self.count("pids.events", "max ");
        std::mem::replace(&mut self.refused, count) < count
    }

    fn count(&self, file: &str, name: &str) -> u64 {
        let text = fs::read_to_string(self.path.join(file)).unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        end(&self.path);
    }
}

/// End all that is in a group, and take it away. That it is gone already is no failure.
pub fn end(path: &Path) {
    // Never one that is not ours.
    if !path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(PREFIX.as_bytes())) {
        return;
    }
    let _ = write(&path.join("cgroup.kill"), "1");
    for _ in 0..LOOKS {
        match fs::remove_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => std::thread::sleep(LOOK),
            _ => return,
        }
    }
}

/// What the names of our groups begin with.
const PREFIX: &str = "pleach-";

/// Can one be made?
///
/// # Errors
/// Why not, in words.
pub fn probe() -> Result<(), String> {
    let limits = Limits { memory: Some(1 << 30), processes: Some(1 << 10) };
    Cgroup::make(&format!("probe-{}", std::process::id()), limits).map(drop)
}

fn make_in(parent: &Path, name: &str, limits: Limits) -> Result<Cgroup, String> {
    let at = parent.display();
    let offered = fs::read_to_string(parent.join("cgroup.subtree_control")).unwrap_or_default();
    let needed = [("memory", limits.memory.is_some()), ("pids", limits.processes.is_some())];
    for (controller, _) in needed.iter().filter(|(_, is_needed)| *is_needed) {
        if !offered.split_whitespace().any(|one| one == *controller) {
            write(&parent.join("cgroup.subtree_control"), &format!("+{controller}"))
                .map_err(|error| format!("{at} hands on no limits of {controller}: {error}"))?;
        }
    }
    let path = parent.join(format!("{PREFIX}{name}"));
    fs::create_dir(&path).map_err(|error| format!("cannot make a group in {at}: {error}"))?;
    // From here on it is taken away again, whatever fails.
    let entry = OpenOptions::new().write(true).open(path.join("cgroup.procs")).inspect_err(|_| end(&path));
    let entry = entry.map_err(|error| format!("cannot enter a group in {at}: {error}"))?;
    let group = Cgroup { path, entry, killed: 0, refused: 0 };
    let set = |file: &str, value: &str| {
        write(&group.path.join(file), value).map_err(|error| format!("cannot set {file} in {at}: {error}"))
    };
    if let Some(memory) = limits.memory {
        set("memory.max", &memory.to_string())?;
        // All of it or nothing: half of a task is of no use.
        set("memory.oom.group", "1")?;
        // Not there where the kernel cannot swap.
        let _ = set("memory.swap.max", "0");
    }
    if let Some(processes) = limits.processes {
        set("pids.max", &processes.to_string())?;
    }
    try_it(&group.entry).map_err(|error| format!("cannot enter a group in {at}: {error}"))?;
    Ok(group)
}

/// Let a process enter it, which does nothing else.
fn try_it(entry: &File) -> io::Result<()> {
    // SAFETY: the child makes system calls only, and never returns.
    unsafe {
        match libc::fork() {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                let error = enter_now(entry.as_raw_fd()).err().and_then(|error| error.raw_os_error()).unwrap_or(0);
                libc::_exit(error)
            }
            child => {
                let mut ended = 0;
                while libc::waitpid(child, &raw mut ended, 0) < 0 {
                    if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                        return Err(io::Error::last_os_error());
                    }
                }
                match libc::WEXITSTATUS(ended) {
                    0 if libc::WIFEXITED(ended) => Ok(()),
                    error => Err(io::Error::from_raw_os_error(error)),
                }
            }
        }
    }
}

/// Have this command be in the group of this entry.
pub(super) fn enter(command: &mut Command, entry: OwnedFd) {
    // SAFETY: one system call, with a buffer that lives as long as the program: no allocation, no lock.
    unsafe { command.pre_exec(move || enter_now(entry.as_raw_fd())) };
}

/// The one who writes is the one who is moved.
fn enter_now(entry: i32) -> io::Result<()> {
    // SAFETY: one byte that lives as long as the program.
    let written = unsafe { libc::write(entry, c"0".as_ptr().cast(), 1) };
    if written == 1 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    // Neither made nor cut: these are no files.
    OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

/// Our own group, where there is cgroup v2.
fn own() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let below = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(mounted(&mounts)?.join(below))
}

/// Where cgroup v2 is mounted, from a list of mounts.
fn mounted(mounts: &str) -> Option<PathBuf> {
    let is_it = |line: &&str| line.split(" - ").nth(1).is_some_and(|rest| rest.starts_with("cgroup2 "));
    mounts.lines().find(is_it)?.split(' ').nth(4).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_is_mounted() {
        let mounts = "24 1 0:22 / /proc rw - proc proc rw\n\
                      31 24 0:27 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(mounted(mounts), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(mounted("24 1 0:22 / /proc rw - proc proc rw"), None);
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (theirs, ours) = (dir.path().join("user.slice"), dir.path().join("pleach-1"));
        for path in [&theirs, &ours] {
            fs::create_dir(path).unwrap();
            end(path);
        }
        assert!(theirs.exists() && !ours.exists());
    }
}
