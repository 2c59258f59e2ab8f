//! Limits: how much may happen at once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How much may happen at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Attempts that run at the same time.
    pub tasks: usize,
    /// The same for the tasks of a named group; a group that is not named has no limit of its own.
    pub groups: BTreeMap<String, usize>,
    /// Bytes that must stay free on the disk of the worktrees; nothing starts below that.
    pub disk_floor: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { tasks: 1, groups: BTreeMap::new(), disk_floor: 0 }
    }
}
