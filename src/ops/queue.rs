//! The line of each target: what is verified together, what waits, what was found.

use jiff::Timestamp;
use serde::Serialize;

use super::logs::Log;
use super::{Error, ErrorKind, Session};
use crate::core::id::{BranchName, CommitId, TaskId, TreeId};
use crate::core::report::{Row, SCHEMA, Show};
use crate::core::state::State;
use crate::core::verify::{Kept, Run, attempt_of};
use crate::process::clock;

/// All lines.
#[derive(Debug, Clone, Serialize)]
pub struct Queue {
    /// The version of this form.
    pub schema: u32,
    /// Each target that has a line, or runs.
    pub lines: Vec<LineReport>,
}

/// The line of one target.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LineReport {
    /// Which.
    pub target: BranchName,
    /// The head that its candidates stand on, once one was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<CommitId>,
    /// The results in it, in the order in which they would land.
    pub entries: Vec<Row>,
    /// What is being verified.
    pub runs: Vec<RunReport>,
    /// How likely it is that a result breaks the target, from what was seen.
    pub failure_rate: f64,
    /// Results that landed after a check.
    pub landed: usize,
    /// Results that were sent back by it.
    pub evicted: usize,
}

/// A run of a check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunReport {
    /// Its number.
    pub run: u32,
    /// The results in it.
    pub tasks: Vec<TaskId>,
    /// The tree.
    pub tree: TreeId,
    /// What is run.
    pub command: String,
}

/// The lines as they are now, and how many tasks run without any sandbox.
///
/// # Errors
/// Where the journal cannot be read.
pub fn queue(session: &mut Session) -> Result<(Queue, usize), Error> {
    let state = session.state()?;
    let board = super::look::board_of(session, &state, Show::Open);
    Ok((of(&state, &board.tasks), board.unconfined))
}

/// The lines of a state. `rows` are those of its open tasks, at least.
pub(super) fn of(state: &State, rows: &[Row]) -> Queue {
    let mut targets: Vec<BranchName> = state.lines().runs().map(|run| run.target.clone()).collect();
    let mut places: Vec<(u64, BranchName, TaskId)> = Vec::new();
    for task in state.open() {
        if let Some((place, target)) = task.place_in_line() {
            places.push((place, target.clone(), task.id));
            targets.push(target.clone());
        }
    }
    places.sort();
    targets.sort();
    targets.dedup();
    let lines = targets.into_iter().map(|target| {
        let row = |id: &TaskId| rows.binary_search_by_key(id, |row| row.id).ok().map(|at| rows[at].clone());
        let of_it = places.iter().filter(|(_, of, _)| *of == target);
        line(state, &target, of_it.filter_map(|(.., id)| row(id)).collect())
    });
    Queue { schema: SCHEMA, lines: lines.collect() }
}

fn line(state: &State, target: &BranchName, entries: Vec<Row>) -> LineReport {
    let known = state.lines().line(target);
    let report = |run: &Run| RunReport {
        run: run.number,
        tasks: run.tasks().collect(),
        tree: run.tree,
        command: run.command.clone(),
    };
    let (landed, evicted) = known.map_or((0, 0), |line| (line.landed, line.evicted));
    LineReport {
        target: target.clone(),
        head: known.and_then(|line| line.head),
        entries,
        runs: state.lines().runs().filter(|run| run.target == *target).map(report).collect(),
        failure_rate: crate::core::planner::failure_rate(landed, evicted, &[]),
        landed,
        evicted,
    }
}

/// A verdict that is kept.
#[derive(Debug, Clone, Serialize)]
pub struct VerdictReport {
    /// What it is about: a tree or the parts of a scope, and a digest of the check.
    pub key: String,
    /// What was found.
    #[serde(flatten)]
    pub kept: Kept,
}

/// All verdicts that are kept.
#[derive(Debug, Clone, Serialize)]
pub struct Verdicts {
    /// The version of this form.
    pub schema: u32,
    /// Now.
    pub at: Timestamp,
    /// The newest first.
    pub verdicts: Vec<VerdictReport>,
}

/// All verdicts that are kept.
///
/// # Errors
/// Where the journal cannot be read.
pub fn verdicts(session: &Session) -> Result<Verdicts, Error> {
    let state = session.state()?;
    let kept = state.lines().verdicts().iter();
    let mut all: Vec<VerdictReport> =
        kept.map(|(key, kept)| VerdictReport { key: key.clone(), kept: kept.clone() }).collect();
    all.sort_by_key(|verdict| std::cmp::Reverse((verdict.kept.at, verdict.kept.run)));
    Ok(Verdicts { schema: SCHEMA, at: clock::now(), verdicts: all })
}

/// The log of a run.
///
/// # Errors
/// Where there is none.
pub fn log(session: &Session, run: u32) -> Result<Log, Error> {
    let attempt = attempt_of(run);
    let dir = session.layout().map(|layout| layout.attempt(attempt).log()).filter(|dir| dir.is_dir());
    let none = || {
        let message = format!("there is no log of a run {run}");
        Error::new(ErrorKind::UnknownTask, message, "see what was run with `pleach queue --verdicts`")
    };
    Ok(Log::whole(attempt, dir.ok_or_else(none)?))
}
