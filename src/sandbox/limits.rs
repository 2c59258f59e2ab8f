//! Who keeps a task to its memory and its number of processes: the kernel, or whoever watches.

#[cfg(not(target_os = "linux"))]
use std::path::Path;

#[cfg(target_os = "linux")]
pub(super) use super::cgroup::enter;
#[cfg(target_os = "linux")]
pub use super::cgroup::{Cgroup, Limits, end, probe};

/// What a group is held to.
#[cfg(not(target_os = "linux"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
}

/// There are none.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub enum Cgroup {}

#[cfg(not(target_os = "linux"))]
impl Cgroup {
    /// There are none.
    ///
    /// # Errors
    /// Always.
    pub fn make(_name: &str, _limits: Limits) -> Result<Self, String> {
        Err(probe().err().unwrap_or_default())
    }

    /// Nothing can be in it.
    ///
    /// # Errors
    /// Always.
    pub fn entry(&self) -> std::io::Result<std::os::fd::OwnedFd> {
        Err(std::io::ErrorKind::Unsupported.into())
    }

    /// It is nowhere.
    pub fn path(&self) -> &Path {
        Path::new("")
    }

    /// Never.
    pub fn was_out_of_memory(&mut self) -> bool {
        false
    }

    /// Never.
    pub fn was_refused_a_process(&mut self) -> bool {
        false
    }
}

/// There is nothing to enter.
#[cfg(not(target_os = "linux"))]
pub(super) fn enter(_command: &mut std::process::Command, _entry: std::os::fd::OwnedFd) {}

/// There is nothing to end.
#[cfg(not(target_os = "linux"))]
pub fn end(_path: &Path) {}

/// There is none.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn probe() -> Result<(), String> {
    Err("this system has no control groups".to_owned())
}

/// The one command that would have the kernel keep them, where that is known.
pub fn mend() -> Option<&'static str> {
    let is_there = |path: &str| std::path::Path::new(path).exists();
    if is_there("/.dockerenv") || is_there("/run/.containerenv") {
        return Some("start the container with a cgroup that it may write (podman does so; docker with --privileged)");
    }
    // A session of its own below the user's systemd: what is above it there is the user's.
    let is_systemd = is_there("/run/systemd/system") && is_there("/sys/fs/cgroup/cgroup.controllers");
    is_systemd.then_some("systemd-run --user --scope --slice=app.slice $SHELL, and work in there")
}
