//! How an attempt comes to its files.

use serde::{Deserialize, Serialize};

use super::task::words;

/// How the files of an attempt came to their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// A place that an earlier task had, brought to the base of this one: only what differs was written.
    Slot,
    /// A new place, a snapshot of a base image: no file is written but those that differ from it.
    Snapshot,
    /// A new place whose files share their content with those of a base image until somebody writes to them.
    Reflink,
    /// What a task writes lies over a base image, in the namespace of its task alone: no file is written but those that differ.
    Overlay,
    /// A new place, written by several threads of ours.
    Parallel,
    /// A new place, written by git.
    Plain,
}

/// Which of them may be used (`[worktree] mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorktreeMode {
    /// The first that works here: slot, snapshot, reflink, parallel, plain.
    #[default]
    Auto,
    /// Places are used again; where that cannot be, nothing starts.
    Slot,
    /// Always a new place, a snapshot of a base image; where the file system has none, nothing starts.
    Snapshot,
    /// Always a new place that shares the content of a base image; where the file system cannot, nothing starts.
    Reflink,
    /// Always a new place, over a base image in the namespace of its task; where that cannot be, nothing starts.
    Overlay,
    /// Always a new place, written by several threads where the files are plain.
    Parallel,
    /// Always a new place, written by git.
    Plain,
}

impl WorktreeMode {
    /// May a place be used again?
    pub fn recycles(self) -> bool {
        matches!(self, Self::Auto | Self::Slot)
    }
}

words!(
    Provider,
    "a provider of places (slot, snapshot, reflink, overlay, parallel or plain)",
    Slot = "slot",
    Snapshot = "snapshot",
    Reflink = "reflink",
    Overlay = "overlay",
    Parallel = "parallel",
    Plain = "plain"
);
words!(
    WorktreeMode,
    "a way to make worktrees (auto, slot, snapshot, reflink, overlay, parallel or plain)",
    Auto = "auto",
    Slot = "slot",
    Snapshot = "snapshot",
    Reflink = "reflink",
    Overlay = "overlay",
    Parallel = "parallel",
    Plain = "plain"
);
