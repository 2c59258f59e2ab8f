//! The files and commits of a change, as they are shown.

use serde::{Deserialize, Serialize};

use crate::core::id::CommitId;
use crate::core::word::Word;

/// A file of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileLine {
    /// Its path, the new one.
    pub path: Word,
    /// What happened to it.
    pub change: FileChange,
    /// The path that it had before, for a rename.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_path: Option<Word>,
    /// Lines added.
    pub insertions: u64,
    /// Lines removed.
    pub deletions: u64,
    /// It is no text, so there are no lines to count.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub binary: bool,
}

/// Can a person read what differs in a file?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Readable {
    /// It is text.
    #[default]
    Text,
    /// It is no text, or somebody's attributes say so.
    Binary,
    /// It is text, and too much of it.
    Large,
}

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileChange {
    /// It is new.
    Added,
    /// It is gone.
    Deleted,
    /// Its content changed.
    Modified,
    /// Only its mode changed.
    Mode,
    /// It has another path, and maybe another content.
    Renamed,
}

/// A commit of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitLine {
    /// Its name.
    pub id: CommitId,
    /// The first line of its message.
    pub subject: String,
}
