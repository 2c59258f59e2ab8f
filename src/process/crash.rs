//! Named points at which a test can make this process die as if by `kill -9`.
//!
//! A point fires where a file of its name lies in the armed directory. The file is removed first, so that the
//! process that takes over does not die there again. Unarmed, a point costs one atomic load.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

static ARMED: OnceLock<PathBuf> = OnceLock::new();

/// Every point, so that a test can prove that it has hit them all.
pub const POINTS: &[&str] = &[
    "tenant.asked",
    "journal.appended",
    "start.planned",
    "launch.pinned",
    "launch.registered",
    "slot.leased",
    "slot.opened",
    "slot.cleared",
    "slot.switched",
    "image.written",
    "image.made",
    "image.shared",
    "overlay.laid",
    "overlay.written",
    "overlay.emptied",
    "overlay.real",
    "launch.checked_out",
    "launch.spec_written",
    "launch.spawned",
    "shim.locked",
    "shim.started",
    "shim.spawned_task",
    "shim.task_ended",
    "shim.left_overs_committed",
    "shim.exported",
    "shim.recorded",
    "collect.imported",
    "collect.refs_created",
    "part.refs_created",
    "remove.renamed",
    "remove.unregistered",
    "slot.released",
    "remove.unpinned",
    "plan.committed",
    "land.locked",
    "land.prepared",
    "land.files_written",
    "land.tree_updated",
    "land.committed",
    "land.tidied",
    "snapshot.written",
];

/// Arm the points whose names lie as files in `dir`.
pub fn arm(dir: PathBuf) {
    let _ = ARMED.set(dir);
}

/// Where the armed points are, for a process that is part of this one in all but its sandbox.
pub fn armed() -> Option<&'static Path> {
    ARMED.get().map(PathBuf::as_path)
}

/// Panic here, where a file `panic.NAME` lies among the armed points: to see what a panic leaves behind.
pub fn panics(name: &str) {
    if ARMED.get().is_some_and(|dir| fs::remove_file(dir.join(format!("panic.{name}"))).is_ok()) {
        panic!("a test asked for it");
    }
}

/// Die here, if this point is armed.
pub fn point(name: &'static str) {
    debug_assert!(POINTS.contains(&name), "{name} is not in the list of crash points");
    if let Some(dir) = ARMED.get()
        && fs::remove_file(dir.join(name)).is_ok()
    {
        std::process::abort();
    }
}
