//! What tasks and caches take on the disk.

use serde::Serialize;

use super::{Error, Session, inside};
use crate::core::id::{TaskId, TaskName};
use crate::core::report::SCHEMA;
use crate::core::word::Word;
use crate::store::weight::Weight;
use crate::store::{self, Layout};

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Disk {
    /// The version of this form.
    pub schema: u32,
    /// Bytes that are free where the state directory is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free: Option<u64>,
    /// Below this nothing starts, and caches go.
    pub floor: u64,
    /// Tasks that take anything, by id: their worktrees, git directories, logs and records.
    pub tasks: Vec<TaskDisk>,
    /// What only saves time, and goes by itself where the disk is short.
    pub caches: Vec<CacheDisk>,
}

/// What a task takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskDisk {
    /// Which.
    pub id: TaskId,
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<TaskName>,
    /// What it runs.
    pub command: Word,
    /// Bytes that are free once it is gone.
    pub exclusive: u64,
    /// Bytes that others have too.
    pub shared: u64,
}

/// What caches of a kind take.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CacheDisk {
    /// What they are: `free_slots`, `check_worktrees`, `base_images` or `trash`.
    pub cache: &'static str,
    /// How many there are.
    pub count: usize,
    /// Bytes that are free once they are gone.
    pub exclusive: u64,
    /// Bytes that others have too.
    pub shared: u64,
}

/// Weigh everything. That reads all directories, and takes its time where they are large.
///
/// # Errors
/// Where the journal or the state directory cannot be read. From inside a task.
pub fn disk(session: &Session) -> Result<Disk, Error> {
    inside::require_outside(session, "`pleach ls --disk`")?;
    let floor = session.limits().disk_floor;
    let nothing = Disk { schema: SCHEMA, free: None, floor, tasks: Vec::new(), caches: Vec::new() };
    let Some(layout) = session.layout() else { return Ok(nothing) };
    let state = session.state()?;
    let mut tasks: Vec<TaskDisk> = Vec::new();
    let mut attempts = layout.attempts()?;
    attempts.sort();
    for attempt in attempts {
        // Runs of checks are nobody's task.
        let Some(task) = state.task(attempt.task) else { continue };
        let weight = Weight::of([layout.attempt(attempt).0, layout.worktree(attempt)]);
        let command = task.spec.command.shown().into();
        let (id, name) = (task.id, task.spec.name.clone());
        if tasks.last().is_none_or(|last| last.id != id) {
            tasks.push(TaskDisk { id, name, command, exclusive: 0, shared: 0 });
        }
        if let Some(row) = tasks.last_mut() {
            row.exclusive += weight.exclusive;
            row.shared += weight.shared;
        }
    }
    Ok(Disk { free: store::free_disk(&layout.state), tasks, caches: caches(layout)?, ..nothing })
}

fn caches(layout: &Layout) -> Result<Vec<CacheDisk>, Error> {
    let idle: Vec<_> = layout.all_slots()?.into_iter().filter(|slot| slot.lessee().is_none()).collect();
    let idle = idle.into_iter().map(|slot| slot.dir).collect();
    let kinds = [
        ("free_slots", idle),
        ("check_worktrees", layout.pooled()?),
        ("base_images", layout.all_images()?),
        ("trash", layout.thrown_away()?),
    ];
    let caches = kinds.into_iter().map(|(cache, dirs)| {
        let count = dirs.len();
        let Weight { exclusive, shared } = Weight::of(dirs);
        CacheDisk { cache, count, exclusive, shared }
    });
    Ok(caches.collect())
}
