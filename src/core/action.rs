//! What to do next: the words between [`decide`](mod@super::decide) and the coordinator that acts.
//!
//! Doing an action twice does no more than doing it once: each looks first, and finishes what is half done.

use super::id::{AttemptId, BranchName, TaskId};
use super::verify::Step;

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
    /// Make a candidate of these results of a line; verify it, unless what it would say is known.
    Candidate {
        /// Of which target.
        target: BranchName,
        /// Which, in the order in which they would land.
        tasks: Vec<TaskId>,
        /// Is a second answer wanted, whatever is known?
        again: bool,
    },
    /// Verify the head itself, by the check of a result in the line, unless what it would say is known.
    Baseline {
        /// Of which target.
        target: BranchName,
        /// Whose check.
        task: TaskId,
        /// Is a second answer wanted, whatever is known?
        again: bool,
    },
    /// Verified results land together: plan it.
    Advance {
        /// Of which target.
        target: BranchName,
        /// The verified candidate.
        steps: Vec<Step>,
    },
    /// Send a result back: it breaks the target.
    Evict(TaskId),
    /// The check of a line cannot be run, time and again, or the target does not pass it by itself: hold its results, and
    /// say so.
    GiveUp {
        /// Of which target.
        target: BranchName,
        /// Which.
        tasks: Vec<TaskId>,
    },
    /// Nothing else is to be verified: find out whether a rejected result is broken by itself.
    Blame {
        /// For which target it was.
        target: BranchName,
        /// Which.
        task: TaskId,
    },
    /// Nothing else is to be verified: find out whether a result that waits for somebody passes by itself.
    Early {
        /// For which target it is.
        target: BranchName,
        /// Which.
        task: TaskId,
    },
    /// Bring the run up.
    Verify(u32),
    /// Tell a run that nobody waits for it.
    CallOff(u32),
    /// Take the answer of a run.
    Judge(u32),
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
    /// A candidate that is being made.
    Candidate(BranchName, Vec<TaskId>),
    /// A run that verifies one.
    Run(u32),
}

impl Action {
    /// Is there always something to tell of it?
    pub fn must_tell(&self) -> bool {
        matches!(
            self,
            Self::Plan(..) | Self::Candidate { .. } | Self::Baseline { .. } | Self::Advance { .. } | Self::Early { .. }
        )
    }

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
            Self::Requeue(task) | Self::Evict(task) => Subject::Task(*task),
            Self::Plan(_, target)
            | Self::Land(_, target)
            | Self::Advance { target, .. }
            | Self::GiveUp { target, .. } => Subject::Target(target.clone()),
            Self::Candidate { target, tasks, .. } => Subject::Candidate(target.clone(), tasks.clone()),
            Self::Baseline { target, .. } => Subject::Candidate(target.clone(), Vec::new()),
            Self::Blame { target, task } | Self::Early { target, task } => {
                Subject::Candidate(target.clone(), vec![*task])
            }
            Self::Verify(run) | Self::CallOff(run) | Self::Judge(run) => Subject::Run(*run),
        }
    }
}
