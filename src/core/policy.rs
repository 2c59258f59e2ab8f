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
    /// Cores of this machine: what one run of a check uses of them says how many there may be at a time.
    #[serde(default = "one")]
    pub cores: usize,
    /// Bytes that must stay free on the disk of the worktrees; nothing starts below that.
    pub disk_floor: u64,
    /// Bytes of memory that must stay free; nothing starts that would take more.
    #[serde(default)]
    pub memory_floor: u64,
}

fn one() -> usize {
    1
}

impl Default for Limits {
    fn default() -> Self {
        Self { tasks: 1, groups: BTreeMap::new(), cores: 1, disk_floor: 0, memory_floor: 0 }
    }
}
