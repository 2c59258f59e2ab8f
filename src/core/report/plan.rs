//! What is shown of a plan: before it runs, and what came of it.

mod markdown;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Board, CommitLine, FileLine, Row, SCHEMA, Seen, Standing, rows};
use crate::core::change::Flag;
use crate::core::id::{TaskId, TaskName};
use crate::core::plan::steer::{is_like, is_under_way};
use crate::core::plan::{self as plans, Draft, Expanded, ForEach, OnFailure, Plan, PlanId, Run};
use crate::core::state::{State, Task};
use crate::core::word::{Word, shown};

/// What a plan would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preview {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What it is called.
    pub name: TaskName,
    /// Where it was read.
    pub file: String,
    /// What becomes of the others where one fails.
    pub on_failure: OnFailure,
    /// How many of its tasks run at once, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Its tasks, needs first.
    pub tasks: Vec<PreviewTask>,
    /// Which of them may run side by side and touch the same paths, as far as they say which.
    pub overlaps: Vec<Overlap>,
    /// Those of which there is one for each line that a command writes, which was not run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unexpanded: Vec<Unexpanded>,
}

/// A task of which it is not known how many there will be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unexpanded {
    /// Its name in the file.
    pub task: String,
    /// What writes the lines.
    pub command: String,
}

/// A task of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PreviewTask {
    /// What it is called.
    pub name: TaskName,
    /// Its name in the file.
    pub task: String,
    /// What it is one of `for_each` for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// Which of several tries it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<u32>,
    /// How many have to end before it, one after the other.
    pub level: usize,
    /// What it builds on.
    pub needs: Vec<TaskName>,
    /// What it runs; what is put in when it starts stands there in braces.
    pub command: String,
    /// What its agent is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// What it may touch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
}

/// Two tasks that may touch the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overlap {
    /// The one, by its name in the file.
    pub one: String,
    /// The other.
    pub other: String,
    /// What both may touch.
    pub paths: String,
}

impl Preview {
    /// Of what was read. `is_whole`: the commands of `for_each` were run.
    pub fn of(name: &TaskName, file: &str, draft: &Draft, expanded: &Expanded, is_whole: bool) -> Self {
        let levels = plans::levels(expanded);
        let level: BTreeMap<usize, usize> = levels
            .iter()
            .enumerate()
            .flat_map(|(level, places)| places.iter().map(move |place| (*place, level)))
            .collect();
        let task = |(place, task): (usize, &plans::Planned)| PreviewTask {
            name: task.name.clone(),
            task: task.member.task.clone(),
            item: task.member.item.clone(),
            candidate: task.member.candidate,
            level: level.get(&place).copied().unwrap_or(0),
            needs: task.needs.iter().map(|need| expanded.tasks[*need].name.clone()).collect(),
            command: task.command.shown(),
            prompt: task.member.run.as_ref().and_then(Run::prompt).map(|prompt| prompt.text()),
            paths: task.member.paths.iter().map(|glob| glob.as_str().to_owned()).collect(),
        };
        let overlap = |(one, other, paths)| Overlap { one, other, paths };
        let unexpanded = draft.tasks.iter().filter(|_| !is_whole).filter_map(|task| match &task.for_each {
            Some((ForEach::Command(command), _)) => {
                Some(Unexpanded { task: task.name.clone(), command: shown(command) })
            }
            _ => None,
        });
        Self {
            unexpanded: unexpanded.collect(),
            schema: SCHEMA,
            name: name.clone(),
            file: file.to_owned(),
            on_failure: draft.on_failure,
            concurrency: draft.concurrency,
            tasks: expanded.tasks.iter().enumerate().map(task).collect(),
            overlaps: plans::overlaps(draft).into_iter().map(overlap).collect(),
        }
    }
}

impl Board {
    /// These tasks alone.
    pub fn keep(&mut self, wanted: &dyn Fn(TaskId) -> bool) {
        let before = self.tasks.len();
        self.tasks.retain(|row| wanted(row.id));
        self.hidden += before - self.tasks.len();
        let count = |wanted: fn(Standing) -> bool| self.tasks.iter().filter(|row| wanted(row.state)).count();
        self.running = count(|state| matches!(state, Standing::Running | Standing::Cancelling));
        self.waiting = count(|state| matches!(state, Standing::Waiting | Standing::Blocked));
        self.attention = count(Standing::wants_attention);
    }
}

/// What only adapters know of a result.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Its files.
    pub files: Vec<FileLine>,
    /// Its commits, newest first.
    pub commits: Vec<CommitLine>,
}

/// What came of a plan, as far as it has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// When this was true.
    pub at: Timestamp,
    /// What it is called.
    pub plan: PlanId,
    /// The file that it came from.
    pub file: String,
    /// When it was asked for.
    pub submitted: Timestamp,
    /// Will nothing more happen to it by itself?
    pub ended: bool,
    /// Did all of it come to something?
    pub ok: bool,
    /// What becomes of the others where one fails.
    pub on_failure: OnFailure,
    /// The task whose failure stopped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<TaskId>,
    /// How many of its tasks stand where.
    pub counts: BTreeMap<Standing, usize>,
    /// Its tasks.
    pub tasks: Vec<PlanTask>,
}

/// A task of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanTask {
    /// At a glance.
    #[serde(flatten)]
    pub row: Row,
    /// Its name in the file.
    pub task: String,
    /// What it is one of `for_each` for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// Which of several tries it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<u32>,
    /// Did somebody pick it among its like?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub picked: bool,
    /// Did it come to something, or will it?
    pub ok: bool,
    /// What it said of itself, else its last commit.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// What somebody should know before it is folded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Flag>,
    /// The commits of its result, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commit_list: Vec<CommitLine>,
    /// The files of its result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub file_list: Vec<FileLine>,
}

/// What came of a plan.
pub fn plan(state: &State, plan: &Plan, seen: &Seen, mut found: BTreeMap<TaskId, Found>, now: Timestamp) -> PlanReport {
    let tasks: Vec<&Task> = plan.tasks().filter_map(|id| state.task(id)).collect();
    let rows = rows(state, &tasks, seen, now);
    let pairs = tasks.iter().zip(rows);
    let mut told: Vec<PlanTask> =
        pairs.map(|(task, row)| plan_task(plan, task, row, found.remove(&task.id).unwrap_or_default())).collect();
    // A try may come to nothing, as long as another one of the same does not.
    let good: Vec<&Task> =
        tasks.iter().zip(&told).filter(|(task, told)| told.ok && is_try(task)).map(|(task, _)| *task).collect();
    for (task, told) in tasks.iter().zip(&mut told) {
        told.ok |= is_try(task) && good.iter().any(|other| is_like(task, other));
    }
    let mut counts = BTreeMap::new();
    for task in &told {
        *counts.entry(task.row.state).or_default() += 1;
    }
    PlanReport {
        schema: SCHEMA,
        at: now,
        plan: plan.id.clone(),
        file: plan.file.clone(),
        submitted: plan.submitted,
        ended: !is_under_way(state, plan),
        ok: plan.stopped_by.is_none() && told.iter().all(|task| task.ok),
        on_failure: plan.on_failure,
        stopped_by: plan.stopped_by,
        counts,
        tasks: told,
    }
}

fn is_try(task: &Task) -> bool {
    task.spec.member.as_ref().is_some_and(|member| member.candidate.is_some())
}

fn plan_task(plan: &Plan, task: &Task, row: Row, found: Found) -> PlanTask {
    let member = task.spec.member.as_deref();
    let result = task.result_attempt();
    let flags = result.and_then(|attempt| task.change(attempt.number)).map(|change| change.flags.clone());
    let ended = result.or(task.attempts.last()).and_then(|attempt| attempt.ended.as_ref());
    let said = ended.and_then(|ended| ended.facts.summary.clone());
    let last = found.commits.first().map(|commit| shown(&commit.subject));
    let flags = flags.unwrap_or_default();
    let is_good = match row.state {
        Standing::Ready => flags.is_empty(),
        Standing::Folded | Standing::Empty => true,
        Standing::Waiting | Standing::Running | Standing::Queued | Standing::Landing => true,
        Standing::Discarded => plan.stopped_by.is_none() && row.outcome.as_ref().is_some_and(|one| one.is_success()),
        _ => false,
    };
    PlanTask {
        task: member.map(|member| member.task.clone()).unwrap_or_default(),
        item: member.and_then(|member| member.item.clone()),
        candidate: member.and_then(|member| member.candidate),
        picked: plan.picked.contains(&task.id),
        ok: is_good,
        summary: said.map(|said| safe_lines(&said)).or(last).unwrap_or_default(),
        flags,
        commit_list: found.commits,
        file_list: found.files,
        row,
    }
}

/// Fit for a terminal, with its lines.
fn safe_lines(text: &str) -> String {
    text.lines().map(shown).collect::<Vec<_>>().join("\n")
}

/// A path for people.
fn path(word: &Word) -> String {
    word.shown()
}
