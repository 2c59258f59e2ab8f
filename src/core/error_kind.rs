//! The kinds of errors that a caller can tell apart: by exit code, and as a word in JSON.

use serde::{Deserialize, Serialize};

/// What kind of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// Something went wrong that has no kind of its own.
    Error,
    /// The question makes no sense as it was asked.
    Usage,
    /// There is no repository here, or none that can be worked in.
    Repository,
    /// There is no such task.
    UnknownTask,
    /// A change and its target touch the same lines.
    Conflict,
    /// Something is in the way of a fold; nothing was touched.
    Held,
    /// The target would not pass its check with a result in it; nothing was touched.
    Rejected,
    /// It cannot be done to a task that stands where this one does.
    Refused,
    /// No sandbox works here, and nobody agreed to do without.
    Unconfined,
    /// A role is used that nobody has allowed, and nobody is there to ask.
    UntrustedRole,
    /// There is no such role, or it may not be used here.
    UnknownRole,
    /// It is not for a task to ask for.
    Inside,
    /// The time to wait is over.
    TimedOut,
    /// We could not run it, or lost it.
    NotRun,
    /// Somebody interrupted us.
    Interrupted,
}
