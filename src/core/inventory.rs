//! What the coordinator sees of the world, as far as decisions need it.

use std::collections::{BTreeMap, BTreeSet};

use super::action::Subject;
use super::id::AttemptId;

/// What is there, now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The shims of running attempts.
    pub shims: BTreeMap<AttemptId, Shim>,
    /// What is being worked on at this moment by an action that has not come back.
    pub busy: BTreeSet<Subject>,
    /// Cancellations that were delivered, and whether the hard kind.
    pub told: BTreeMap<AttemptId, bool>,
    /// Bytes free where worktrees are made, as far as known.
    pub free_disk: Option<u64>,
    /// Bytes of memory that nobody uses, less what running tasks have said that they need and do not use yet; as far as known.
    pub free_memory: Option<u64>,
}

/// What is seen of the shim of a running attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shim {
    /// None was ever there.
    #[default]
    Absent,
    /// It holds its lock.
    Alive,
    /// It wrote its exit record.
    Exited,
    /// It was there, its lock is free, and there is no exit record.
    Dead,
}

impl Inventory {
    /// The shim of an attempt.
    pub fn shim(&self, attempt: AttemptId) -> Shim {
        self.shims.get(&attempt).copied().unwrap_or_default()
    }
}
