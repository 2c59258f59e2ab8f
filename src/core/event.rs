//! Facts, in the past tense, with all they need to be replayed. The journal is a list of these.
//!
//! A field that is added later has a default, and an old journal in `fixtures/journals/` still loads.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::agent::Account;
use super::change::{Collected, FoldRequest, Landing, Refusal};
use super::id::{AttemptId, BranchName, CommitId, TaskId};
use super::outcome::Outcome;
use super::plan::{Plan, PlanId};
use super::provider::Provider;
use super::review::Remarks;
use super::sandbox::traffic::Traffic;
use super::sandbox::{Tier, Warning};
use super::task::{Priority, TaskSpec};
use super::verify::{Early, Run, Verdict};

/// An event and when it was written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A task was asked for, and got its id.
    Submitted {
        /// Its id.
        task: TaskId,
        /// What was asked.
        spec: Box<TaskSpec>,
    },
    /// A plan was asked for: all of its tasks at once, with their ids in a row.
    Planned {
        /// What it is.
        plan: Box<Plan>,
        /// Its tasks.
        specs: Vec<TaskSpec>,
    },
    /// A task of a plan failed, and what the plan says of that happens: what waits is withdrawn.
    PlanStopped {
        /// Which.
        plan: PlanId,
        /// The task.
        by: TaskId,
    },
    /// Of several tries at the same, this is the one: the others go.
    Picked {
        /// Which.
        task: TaskId,
    },
    /// An attempt was given its base. Its worktree and its shim follow.
    Started {
        /// Which.
        attempt: AttemptId,
        /// What it builds on.
        base: CommitId,
    },
    /// An attempt could not even be given a base.
    NotStarted {
        /// Which.
        attempt: AttemptId,
        /// Why.
        reason: String,
    },
    /// Somebody asked a running task to end.
    CancelRequested {
        /// Which.
        task: TaskId,
        /// At once, without grace?
        now: bool,
    },
    /// A waiting task was cancelled: it never ran.
    Withdrawn {
        /// Which.
        task: TaskId,
    },
    /// An attempt ended, its tree is empty, and its result is in the repository.
    Ended {
        /// Which.
        attempt: AttemptId,
        /// How.
        outcome: Outcome,
        /// What came of it.
        result: Collected,
        /// What else is known.
        #[serde(flatten)]
        facts: Facts,
    },
    /// The worktree and the private repository of an ended attempt are gone.
    Removed {
        /// Which.
        attempt: AttemptId,
    },
    /// Somebody asked for another attempt.
    Retried {
        /// Of which task.
        task: TaskId,
        /// The branch on whose head it starts, with the result that is there handed back to it; none where it starts from
        /// where the task was asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        onto: Option<BranchName>,
        /// What somebody said of the result that is handed back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        remarks: Option<Box<Remarks>>,
    },
    /// Somebody, or a fold policy, asked for a landing.
    FoldRequested {
        /// Of which task.
        task: TaskId,
        /// What exactly.
        request: FoldRequest,
    },
    /// The commit to land is made, and nothing has moved yet.
    LandingPlanned {
        /// Of which task.
        task: TaskId,
        /// From where to where.
        landing: Landing,
        /// The whole way of those that land together; none where it lands alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        whole: Option<Landing>,
        /// The commit that was verified, where another one lands for it: the same tree, signed or with trailers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        candidate: Option<CommitId>,
    },
    /// The target was no longer what the plan was built on: back into the queue.
    LandingMissed {
        /// Of which task.
        task: TaskId,
    },
    /// It does not go in.
    LandingRefused {
        /// Of which task.
        task: TaskId,
        /// Why.
        refusal: Refusal,
    },
    /// The target holds it, and the checkout has followed.
    Landed {
        /// Of which task.
        task: TaskId,
        /// From where to where.
        landing: Landing,
    },
    /// A candidate is to be verified.
    VerifyStarted {
        /// How.
        run: Box<Run>,
    },
    /// A run gave its answer.
    VerifyEnded {
        /// Which.
        run: u32,
        /// What.
        verdict: Verdict,
        /// How long it took, in milliseconds.
        wall_ms: u64,
        /// Processor time of its tree, in milliseconds.
        cpu_ms: u64,
    },
    /// A candidate need not be verified: the answer is known from an earlier run, whose number this one has.
    VerdictReused {
        /// What it would have been.
        run: Box<Run>,
        /// What is known.
        verdict: Verdict,
        /// How often in a row that was found.
        times: u32,
    },
    /// The target has another head than the one that its line stood on.
    HeadSeen {
        /// Which target.
        target: BranchName,
        /// The head.
        head: CommitId,
    },
    /// A rejected result was verified on its own base.
    Blamed {
        /// Which.
        task: TaskId,
        /// Is it broken by itself, or only together with what the target held? None where no answer came.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by_itself: Option<bool>,
    },
    /// A result that waits for somebody was verified by itself.
    VerifiedEarly {
        /// Of which task.
        task: TaskId,
        /// What came of it.
        #[serde(flatten)]
        early: Early,
    },
    /// Somebody gave a line another order.
    QueueMoved {
        /// Of which target.
        target: BranchName,
        /// All that stood in it, as they stand now.
        tasks: Vec<TaskId>,
    },
    /// Somebody keeps a result in its line from landing.
    QueueHeld {
        /// Of which task.
        task: TaskId,
    },
    /// It may land again.
    QueueReleased {
        /// Of which task.
        task: TaskId,
    },
    /// Somebody took it out of its line.
    QueueLeft {
        /// Of which task.
        task: TaskId,
    },
    /// Somebody gave a waiting task another priority.
    Prioritized {
        /// Which task.
        task: TaskId,
        /// Which.
        priority: Priority,
    },
    /// Nobody wants the result; it stays under its kept ref.
    Discarded {
        /// Of which task.
        task: TaskId,
    },
    /// A kept result is up for review again.
    Restored {
        /// Which attempt's.
        attempt: AttemptId,
    },
    /// Somebody accepted a part of a result: it is a result of its own, as if an attempt had made it.
    PartTaken {
        /// The attempt that it counts as.
        attempt: AttemptId,
        /// The attempt of whose result it is a part.
        of: u32,
        /// The part.
        result: Collected,
    },
    /// What came of an attempt was refused, and has been taken over after all.
    Recovered {
        /// Which.
        attempt: AttemptId,
        /// What came of it.
        result: Collected,
        /// What went wrong beside the task itself, as far as it still counts.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notes: Vec<String>,
    },
    /// What was kept of an attempt (refs, log) was freed by `gc`. The tip of a fold stays where only a ref holds it.
    Freed {
        /// Which.
        attempt: AttemptId,
    },
    /// No task starts any more.
    Paused,
    /// Tasks start again.
    Resumed,
    /// The tasks of an agent start again, whose provider had given it no more.
    AgentResumed {
        /// Which.
        agent: String,
    },
}

/// What else is known of an ended attempt.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// When its process ended (the event itself is later).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// What it said of itself, shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Processor time of the whole tree, in milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cpu_ms: u64,
    /// The largest resident set of any of its processes, in kilobytes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub max_rss_kb: u64,
    /// Bytes that it wrote.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub log_bytes: u64,
    /// Bytes of these that were not kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub log_dropped: u64,
    /// Processes that were left when it ended, and were killed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub leaked: u64,
    /// How far it was kept to itself; none where it never started, or was of a version that did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Tier>,
    /// What its user should know of that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// How its files came to their place; none where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// What it asked of the network, and what of that was denied; where hosts are listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Traffic>,
    /// What went wrong beside the task itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What its agent said of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Box<Account>>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Event {
    /// Is it about the line of a target, and not about one task?
    pub fn is_of_a_line(&self) -> bool {
        use Event as E;
        matches!(self, E::VerifyStarted { .. } | E::VerifyEnded { .. } | E::VerdictReused { .. } | E::HeadSeen { .. })
    }

    /// May somebody's wish have come first, so that it is of no use any more?
    pub fn may_be_overtaken(&self) -> bool {
        use Event as E;
        let of_a_start = matches!(self, E::Started { .. } | E::NotStarted { .. });
        of_a_start || matches!(self, E::LandingRefused { .. } | E::Blamed { .. } | E::VerifiedEarly { .. })
    }

    /// The task that it is about.
    pub fn task(&self) -> Option<TaskId> {
        match self {
            Self::Submitted { task, .. }
            | Self::CancelRequested { task, .. }
            | Self::Withdrawn { task }
            | Self::Retried { task, .. }
            | Self::FoldRequested { task, .. }
            | Self::LandingPlanned { task, .. }
            | Self::LandingMissed { task }
            | Self::LandingRefused { task, .. }
            | Self::Landed { task, .. }
            | Self::Blamed { task, .. }
            | Self::VerifiedEarly { task, .. }
            | Self::QueueHeld { task }
            | Self::QueueReleased { task }
            | Self::QueueLeft { task }
            | Self::Prioritized { task, .. }
            | Self::Picked { task }
            | Self::Discarded { task } => Some(*task),
            Self::Started { attempt, .. }
            | Self::NotStarted { attempt, .. }
            | Self::Ended { attempt, .. }
            | Self::Removed { attempt }
            | Self::Restored { attempt }
            | Self::PartTaken { attempt, .. }
            | Self::Recovered { attempt, .. }
            | Self::Freed { attempt } => Some(attempt.task),
            Self::Planned { .. }
            | Self::PlanStopped { .. }
            | Self::VerifyStarted { .. }
            | Self::VerifyEnded { .. }
            | Self::VerdictReused { .. }
            | Self::HeadSeen { .. }
            | Self::QueueMoved { .. }
            | Self::Paused
            | Self::Resumed
            | Self::AgentResumed { .. } => None,
        }
    }
}
