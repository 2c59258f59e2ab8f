//! What to do next: the words between [`decide`](mod@super::decide) and the coordinator that acts.
//!
//! Doing an action twice does no more than doing it once: each looks first, and finishes what is half done.

use super::id::{AttemptId, BranchName, TaskId};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Give the attempt its base: the results of its needs, folded onto the task's base.
    Start(AttemptId),
    /// Make the worktree and bring up the shim.
    Launch(AttemptId),
    /// Record the end of an attempt that was cancelled before its shim ever ran.
    Abandon(AttemptId),
    /// Tell the shim to end its task; at once, if `now`.
    Stop {
        /// Whose.
        attempt: AttemptId,
        /// Without grace?
        now: bool,
    },
    /// The shim is dead: kill what is left of its tree, and snapshot the worktree.
    Salvage(AttemptId),
    /// Import the result.
    Collect(AttemptId),
    /// Remove the worktree and the private repository.
    Remove(AttemptId),
    /// Ask once more for the landing of a held result whose policy is to fold by itself.
    Requeue(TaskId),
    /// Make the commit to land.
    Plan(TaskId, BranchName),
    /// Move the target, and let its checkout follow.
    Land(TaskId, BranchName),
}

/// What an action works on. Two actions on one subject never run at the same time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// An attempt's place and process.
    Attempt(AttemptId),
    /// A target branch.
    Target(BranchName),
    /// A task as a whole.
    Task(TaskId),
}

impl Action {
    /// What it works on.
    pub fn subject(&self) -> Subject {
        match self {
            Self::Start(attempt)
            | Self::Launch(attempt)
            | Self::Abandon(attempt)
            | Self::Stop { attempt, .. }
            | Self::Salvage(attempt)
            | Self::Collect(attempt)
            | Self::Remove(attempt) => Subject::Attempt(*attempt),
            Self::Requeue(task) => Subject::Task(*task),
            Self::Plan(_, target) | Self::Land(_, target) => Subject::Target(target.clone()),
        }
    }
}
