//! A plan as it is written: understood and without a problem of its own, and not yet a task for each item.

use std::collections::{BTreeMap, BTreeSet};

use super::{Glob, OnConflict, OnFailure, Run};
use crate::core::agent::Changes;
use crate::core::id::{BranchName, TaskName};
use crate::core::task::{FoldPolicy, Priority, Strategy};

/// A plan as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Draft {
    /// What it is called, where it says so.
    pub name: Option<TaskName>,
    /// What becomes of the others where one task fails.
    pub on_failure: OnFailure,
    /// How many of its tasks run at once.
    pub concurrency: Option<u32>,
    /// The revision that its tasks start from.
    pub base: Option<String>,
    /// The branch that the results are for.
    pub into: Option<BranchName>,
    /// Its tasks, in the order of the file.
    pub tasks: Vec<DraftTask>,
}

/// One task of it, or one for each of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftTask {
    /// Where it stands, for what is found out later.
    pub at: usize,
    /// What it is called.
    pub name: String,
    /// The tasks that it builds on, by name.
    pub needs: Vec<String>,
    /// Of these, those of which each of it needs the one for the same item.
    pub same_item: BTreeSet<String>,
    /// What there is one of it for each of, and where that is said.
    pub for_each: Option<(ForEach, usize)>,
    /// What it runs.
    pub run: Run,
    /// How many tries at the same there are.
    pub attempts: u32,
    /// All else.
    pub settings: Settings,
}

/// Where the items come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForEach {
    /// They are written down.
    List(Vec<String>),
    /// The files that git tracks and one of these means. One that ends with a slash means directories.
    Globs(Vec<String>),
    /// The lines that this writes: a line for `sh -c`.
    Command(String),
}

/// What a task may say of itself beside what it runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Who goes first.
    pub priority: Option<Priority>,
    /// The group whose limit it shares.
    pub group: Option<String>,
    /// Seconds that it may take.
    pub timeout: Option<u64>,
    /// Bytes of memory that must be free for it to start.
    pub needs_memory: Option<u64>,
    /// How many more attempts follow a failed one.
    pub retries: Option<u32>,
    /// Exit codes that are success too.
    pub accept: Vec<u8>,
    /// What it may touch.
    pub paths: Vec<Glob>,
    /// What becomes of its result.
    pub fold: Option<FoldPolicy>,
    /// How it is folded.
    pub strategy: Option<Strategy>,
    /// What the target has to pass.
    pub verify: Option<String>,
    /// The message of its commit, with `{task}` and `{item}` in it.
    pub message: Option<super::Template>,
    /// Variables.
    pub env: BTreeMap<String, String>,
    /// What becomes of a result that conflicts.
    pub on_conflict: OnConflict,
    /// It writes its temporary directory only.
    pub read_only: bool,
    /// It gets a worktree that no task had before it.
    pub clean: bool,
    /// The role that it has.
    pub role: Option<String>,
    /// The model that its agent uses.
    pub model: Option<String>,
    /// So many turns its agent may take.
    pub max_turns: Option<u32>,
    /// What its agent may cost, in dollars.
    pub budget: Option<String>,
    /// Must its agent change something?
    pub changes: Option<Changes>,
}
