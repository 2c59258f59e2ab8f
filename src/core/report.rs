//! What front ends show. The `--json` output of a verb is one of these, and its schema is stable: fields are added,
//! never renamed or removed, and [`SCHEMA`] says since when.
//!
//! Two vocabularies that never share a word: [`Outcome`] says how a run ended, [`Standing`] says where the task
//! and its result stand now.

mod build;
mod files;
mod hints;
pub mod plan;
pub mod roles;
#[cfg(test)]
pub(crate) mod sample;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::agent::Account;
use super::change::{Flag, Refusal};
use super::foresight::{Told, WillConflict};
use super::handback::HandBack;
use super::id::{AttemptId, BranchName, CommitId, TaskId, TaskName};
use super::outcome::Outcome;
use super::plan::PlanId;
use super::policy::Limits;
use super::provider::Provider;
use super::sandbox::traffic::Traffic;
use super::sandbox::{Tier, Warning};
use super::task::{FoldPolicy, Priority, Strategy};
use super::verify::Early;
use super::word::Word;

pub use build::{Show, board, row, rows, task};
pub use files::{CommitLine, FileChange, FileLine, Readable};
pub use roles::RoleMark;

/// The version of everything in this file.
pub const SCHEMA: u32 = 1;

/// All tasks at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Board {
    /// [`SCHEMA`].
    pub schema: u32,
    /// When this was true.
    pub at: Timestamp,
    /// Oldest first.
    pub tasks: Vec<Row>,
    /// Settled tasks that are not among them.
    pub hidden: usize,
    /// How many run.
    pub running: usize,
    /// How many wait to run.
    pub waiting: usize,
    /// How many have a result, a conflict or a failure that somebody should look at.
    pub attention: usize,
    /// Did somebody pause the queue?
    pub paused: bool,
    /// Is a coordinator there? Nobody says so where it was not looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coordinator: Option<bool>,
    /// How many run without any sandbox.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unconfined: usize,
}

/// One task at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its id.
    pub id: TaskId,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<TaskName>,
    /// What it runs, on one line, fit for a terminal.
    pub command: String,
    /// Where it stands.
    pub state: Standing,
    /// Why it stands there: `needs 3`, `by 3 (exit 1)` (blocked), `paused`, `turn 4`, `group web is full`, `too little room on the
    /// disk`, `exit 1`, `in a.rs` (a conflict).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// How the last attempt that ended did so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// How far it says that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Its last line of output, or what it said of itself in the end.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub line: String,
    /// The number of its newest attempt; 0 before the first.
    pub attempt: u32,
    /// When it was asked for.
    pub submitted: Timestamp,
    /// When its newest attempt started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// How long its newest attempt ran, or has run so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Files that its result changes.
    pub files: u32,
    /// Lines that its result adds.
    pub insertions: u64,
    /// Lines that its result removes.
    pub deletions: u64,
    /// Commits in its result.
    pub commits: u32,
    /// The branch that shows its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<BranchName>,
    /// The branch that its result is meant for, or is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<BranchName>,
    /// Who goes first.
    pub priority: Priority,
    /// The group whose limit it shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The agent that does it, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Tasks whose results it builds on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<TaskId>,
    /// The plan that it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanId>,
    /// The task that asked for it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<TaskId>,
    /// What is known of its result by itself, where that is looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early: Option<Early>,
    /// Does somebody keep it, in its line, from landing?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_hold: bool,
    /// What its user should know of how its newest attempt is kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// What its result will conflict with, as far as it was looked at: the target first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub will_conflict: Vec<WillConflict>,
    /// Results that it will or may conflict with, and that are not among them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub will_conflict_more: usize,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// Where a task and its result stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It waits for its turn or for its needs.
    Waiting,
    /// A need did not end well, so it cannot start.
    Blocked,
    /// An attempt is under way.
    Running,
    /// It was asked to end, and has not yet.
    Cancelling,
    /// It was cancelled before it ran.
    Withdrawn,
    /// Its last attempt did not end well.
    Failed,
    /// Its last attempt ended well and changed nothing.
    Empty,
    /// Its result waits for somebody to fold or discard it.
    Ready,
    /// Its result is in the line of its target.
    Queued,
    /// Its result is becoming part of its target.
    Landing,
    /// Its result and its target touch the same lines.
    Conflict,
    /// Its target would not pass its check with the result in it.
    Rejected,
    /// Something else is in the way of its result.
    Held,
    /// Its result is part of its target.
    Folded,
    /// Nobody wants its result.
    Discarded,
}

/// How far a task says that it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Steps behind it.
    pub done: u64,
    /// Steps in all, where it knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// What it is doing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// What is seen of a running attempt from outside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Live {
    /// What it said of itself.
    pub progress: Option<Progress>,
    /// The last line that it wrote.
    pub last_line: Option<String>,
    /// When its task ended: what that left is being saved.
    pub saving_since: Option<Timestamp>,
    /// That waits for room on the disk.
    pub no_room: bool,
    /// What its user should know of how it is kept.
    pub warnings: Vec<Warning>,
}

/// What is seen beside the tasks themselves. By default nothing is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Seen {
    /// The running attempts.
    pub live: BTreeMap<AttemptId, Live>,
    /// How much may happen at once.
    pub limits: Limits,
    /// Bytes free where worktrees are made, as far as known.
    pub free_disk: Option<u64>,
    /// Bytes of memory that are free for new tasks, as far as known.
    pub free_memory: Option<u64>,
    /// Conflicts to come.
    pub foreseen: BTreeMap<TaskId, Told>,
}

/// One task, in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// When this was true.
    pub at: Timestamp,
    /// At a glance.
    #[serde(flatten)]
    pub row: Row,
    /// What becomes of a good result.
    pub fold: FoldPolicy,
    /// How it is folded, where that was said beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Wall time that it may take, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// The commit that it was asked from.
    pub base: CommitId,
    /// The message for left-overs and for the fold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The role that it has, as it was when it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleMark>,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptReport>,
    /// The attempt whose result is the task's result now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<u32>,
    /// Where each of its needs stands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub need_states: Vec<NeedReport>,
    /// Tasks that build on its result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needed_by: Vec<TaskId>,
    /// Tasks that it asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<TaskId>,
    /// The files of its result, where they were looked up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub file_list: Vec<FileLine>,
    /// The commits of its result, newest first, where they were looked up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commit_list: Vec<CommitLine>,
    /// Why its result does not go in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// The paths of its conflict that `git rerere` knows how to resolve. (It is never done by itself.)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rerere: Vec<Word>,
    /// Where its result went in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landed: Option<LandedReport>,
    /// Was a fold of it taken back?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undone: bool,
    /// What one could do next: whole commands, each with its reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<Hint>,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptReport {
    /// Which.
    pub id: AttemptId,
    /// How it ended, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// What it builds on; none where it could not even be given a base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<CommitId>,
    /// The last commit of its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tip: Option<CommitId>,
    /// When it was started.
    pub started: Timestamp,
    /// When its process ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// How long it ran, or has run so far.
    pub duration_ms: u64,
    /// Processor time of its whole tree.
    pub cpu_ms: u64,
    /// The largest resident set of any of its processes.
    pub max_rss_kb: u64,
    /// Bytes that it wrote.
    pub log_bytes: u64,
    /// Bytes of these that were not kept.
    pub log_dropped: u64,
    /// Processes that were left when it ended, and were killed.
    pub leaked: u64,
    /// How far it is kept to itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Tier>,
    /// How its files came to their place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// What its user should know of that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// What it asked of the network, where hosts are listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Traffic>,
    /// Files, lines and commits of its result.
    #[serde(flatten)]
    pub size: super::change::Size,
    /// What it said of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// What went wrong beside the task itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What its agent said of itself: tools, turns, cost, what it was refused, how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Box<Account>>,
    /// What somebody should know before the result is folded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Flag>,
    /// Branches, stashes and the like that it left in its private repository.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extras: Vec<(String, CommitId)>,
    /// Why its result could not be taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncollected: Option<String>,
    /// Where its log, its worktree and its kept ref are.
    #[serde(flatten)]
    pub places: Places,
    /// Was what was kept of it freed?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub freed: bool,
    /// What it was given back, where it started on the head of its target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hand_back: Option<HandBack>,
    /// It never ran: its result is what somebody accepted of the result of this attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<u32>,
}

/// Where the parts of an attempt are. Filled in by who knows the layout.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Places {
    /// Its log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<Word>,
    /// Its worktree, while it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worktree: Option<Word>,
    /// In its stead what it has written, where that lies over a base image and is put together in its sandbox only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<Word>,
    /// The ref that keeps its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
}

/// Where a need stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NeedReport {
    /// Which.
    pub id: TaskId,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<TaskName>,
    /// Where it stands; none where there is no such task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Standing>,
}

/// Where a result went in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LandedReport {
    /// Which attempt's.
    pub attempt: u32,
    /// Into which branch.
    pub target: BranchName,
    /// The head that was there before.
    pub from: CommitId,
    /// The head that was there after.
    pub to: CommitId,
    /// The merge driver that had to help, and where: `mergiraf in src/a.rs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_by: Option<String>,
}

/// Something that one could do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// Why.
    pub to: String,
    /// The whole command.
    pub command: String,
}

/// What only adapters know about a task.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// Where the parts of each attempt are.
    pub places: BTreeMap<u32, Places>,
    /// The files of its result.
    pub files: Vec<FileLine>,
    /// The commits of its result, newest first.
    pub commits: Vec<CommitLine>,
    /// The paths of its conflict that `git rerere` knows how to resolve.
    pub rerere: Vec<Word>,
    /// What the commit that folded it says of a merge driver.
    pub merged_by: Option<String>,
}

impl Standing {
    /// Its one spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Blocked => "blocked",
            Self::Running => "running",
            Self::Cancelling => "cancelling",
            Self::Withdrawn => "withdrawn",
            Self::Failed => "failed",
            Self::Empty => "empty",
            Self::Ready => "ready",
            Self::Queued => "queued",
            Self::Landing => "landing",
            Self::Conflict => "conflict",
            Self::Rejected => "rejected",
            Self::Held => "held",
            Self::Folded => "folded",
            Self::Discarded => "discarded",
        }
    }

    /// Should somebody look at it?
    pub fn wants_attention(self) -> bool {
        matches!(self, Self::Blocked | Self::Failed | Self::Ready | Self::Conflict | Self::Rejected | Self::Held)
    }
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
