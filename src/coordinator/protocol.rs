//! What is said on the coordinator's socket: one JSON line each way.
//!
//! Every request may be sent again after a broken connection: it then does no more than it did the first time.

use serde::{Deserialize, Serialize};

use crate::core::change::FoldRequest;
use crate::core::delegate::{LogPiece, Relayed};
use crate::core::id::{AttemptId, BranchName, CommitId, TaskId, TaskName};
use crate::core::plan::{OnFailure, PlanId};
use crate::core::policy::Limits;
use crate::core::review::Remarks;
use crate::core::task::{Priority, TaskSpec};
use crate::store::environment::Environment;

/// The longest request that is read, in bytes.
pub const LONGEST: u64 = 16 << 20;

/// A question or an order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Look around: something may have happened. Also: are you there?
    Poke,
    /// Take a task. The same `spec.request` twice is one task.
    Submit {
        /// What is asked.
        spec: Box<TaskSpec>,
        /// The values of its secrets.
        #[serde(default, skip_serializing_if = "Environment::is_empty")]
        secrets: Environment,
        /// The limits that the asker's configuration gives.
        limits: Limits,
    },
    /// Take a plan, whole or not at all. The same `request` twice is one plan.
    SubmitPlan {
        /// What it is called; the number comes with the answer.
        plan: Box<NewPlan>,
        /// Its tasks; their needs are numbers within the plan, from 1.
        specs: Vec<TaskSpec>,
        /// The values of the secrets of each.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        secrets: Vec<Environment>,
        /// The limits that the asker's configuration gives.
        limits: Limits,
    },
    /// Of several tries at the same, take this one.
    Pick {
        /// Which.
        task: TaskId,
    },
    /// End these tasks; those that wait are withdrawn.
    Cancel {
        /// Which.
        tasks: Vec<TaskId>,
        /// Without grace?
        now: bool,
    },
    /// Another attempt of these.
    Retry {
        /// Which, and how many attempts of it the asker has seen: asked again, it is not tried again.
        tasks: Vec<(TaskId, usize)>,
        /// The branches on whose heads they start, with their results handed back; the others start where they did before.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        onto: Vec<(TaskId, BranchName)>,
        /// What somebody said of the results that are handed back.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        remarks: Vec<(TaskId, Remarks)>,
        /// The values of their secrets, which were not kept.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        secrets: Vec<(TaskId, Environment)>,
    },
    /// Take a part of a result for a result of its own, in its place.
    TakePart {
        /// The attempt of whose result it is a part.
        of: AttemptId,
        /// How many attempts of the task the asker has seen: asked again, it is not taken again.
        seen: usize,
        /// The part: a commit on the base of that attempt.
        tip: CommitId,
    },
    /// Put these into the line of their target, in this order.
    Fold {
        /// Which, and how.
        folds: Vec<(TaskId, FoldRequest)>,
    },
    /// Give the line of these another order: what is named stands together, in this order.
    Move {
        /// Which.
        tasks: Vec<TaskId>,
        /// Where to.
        to: Place,
    },
    /// Keep these, in their lines, from landing; or let them land again.
    Hold {
        /// Which.
        tasks: Vec<TaskId>,
        /// Which of the two.
        on_hold: bool,
    },
    /// Take these out of their lines.
    Leave {
        /// Which.
        tasks: Vec<TaskId>,
    },
    /// Let these have another turn among those that wait.
    Prioritize {
        /// Which.
        tasks: Vec<TaskId>,
        /// Which turn.
        priority: Priority,
    },
    /// Drop these results.
    Discard {
        /// Which.
        tasks: Vec<TaskId>,
    },
    /// Bring the results of these attempts back.
    Restore {
        /// Which.
        attempts: Vec<AttemptId>,
    },
    /// Free what is kept of these attempts: refs, logs, worktrees.
    Free {
        /// Which.
        attempts: Vec<AttemptId>,
    },
    /// Start nothing more, or start again.
    Pause {
        /// Which of the two.
        paused: bool,
    },
    /// Start the tasks of an agent again, whose provider had given it no more.
    ResumeAgent {
        /// Which.
        agent: String,
    },
    /// Answer when these tasks have got there.
    Await {
        /// Which.
        tasks: Vec<TaskId>,
        /// Where.
        until: Until,
        /// Is one enough?
        any: bool,
    },
    /// Answer with [`Response::Tick`] for each event from now on, without end.
    Watch,
    /// What a task asks from inside; its shim says so.
    Inside(Box<Relayed>),
}

/// A plan that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPlan {
    /// Its name.
    pub name: TaskName,
    /// The file that it came from, for people.
    pub file: String,
    /// The same file once more has the same.
    pub fingerprint: String,
    /// Who asked, by a random word.
    pub request: String,
    /// What becomes of the others where one fails.
    pub on_failure: OnFailure,
    /// How many of its tasks run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
}

/// A place in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Before all others.
    First,
    /// Behind all others.
    Last,
    /// Before this one.
    Before(TaskId),
    /// Behind this one.
    Behind(TaskId),
}

/// How far a task has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// It has no attempt under way and none ahead.
    Ended,
    /// It is in no line and on no way into a target.
    Landed,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// It is so.
    Yes,
    /// The task has this id.
    Submitted(TaskId),
    /// The plan is called this.
    Planned(PlanId),
    /// No, and nothing was changed.
    No(Refused),
    /// Something happened.
    Tick,
    /// What a task may see of where tasks stand, as [`State::write`](crate::core::state::State::write) writes it.
    State(String),
    /// A piece of a log.
    Log(LogPiece),
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// What kind of no.
    pub kind: RefusedKind,
    /// In words, without a full stop.
    pub message: String,
    /// The next step.
    pub hint: Option<String>,
}

/// What kind of no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedKind {
    /// There is no such task.
    UnknownTask,
    /// Not where the task stands.
    WrongState,
    /// Not for a task to ask.
    Inside,
    /// We failed.
    Internal,
}
