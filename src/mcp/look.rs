//! `delegate_status` and `delegate_result`; the row that every answer about a task has.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::answer::{Answer, lines};
use super::args::{self, Handle};
use super::{Call, delegate};
use crate::config::env;
use crate::core::change::Refusal;
use crate::core::id::TaskId;
use crate::core::report::{Row, Show, Standing, TaskReport};
use crate::core::state::State;
use crate::core::word::shown;
use crate::ops::{self, Error, ErrorKind, Session, look, wait};

/// Rows, files and commits that one answer has at most: it stays in the context of who asked.
const MOST: usize = 50;
/// Characters of a summary.
const SUMMARY: usize = 2000;

/// A task at a glance. Ids are text, for they are given back as such.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Line {
    pub(super) task_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    pub(super) state: Standing,
    #[serde(skip_serializing_if = "String::is_empty")]
    why: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    progress: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    summary: String,
    attempt: u32,
    age_s: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ran_s: Option<u64>,
    files: u32,
    insertions: u64,
    deletions: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<String>,
}

impl Line {
    fn of(row: &Row, now: Timestamp) -> Self {
        let progress = row.progress.as_ref().map(|progress| {
            let total = progress.total.map(|total| format!("/{total}")).unwrap_or_default();
            format!("{}{total} {}", progress.done, shown(&progress.text)).trim_end().to_owned()
        });
        Self {
            task_id: row.id.to_string(),
            name: row.name.as_ref().map(ToString::to_string),
            state: row.state,
            why: shown(&row.why),
            outcome: row.outcome.as_ref().map(|outcome| shown(&outcome.to_string())),
            progress: progress.unwrap_or_default(),
            summary: shown(&row.line),
            attempt: row.attempt,
            age_s: now.duration_since(row.submitted).as_secs(),
            ran_s: row.duration_ms.map(|ms| ms / 1000),
            files: row.files,
            insertions: row.insertions,
            deletions: row.deletions,
            target: row.target.as_ref().map(ToString::to_string),
            depends_on: row.needs.iter().map(ToString::to_string).collect(),
        }
    }

    fn text(&self) -> String {
        let name = self.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
        let mut text = format!("{}{name}: {}", self.task_id, self.state);
        if !self.why.is_empty() {
            text += &format!(" ({})", self.why);
        }
        if self.files > 0 {
            text += &format!(", {} +{} -{}", count(self.files), self.insertions, self.deletions);
        }
        for said in [&self.progress, &self.summary].into_iter().filter(|said| !said.is_empty()) {
            text += &format!(" - {said}");
        }
        text
    }
}

/// The rows of these tasks, in their order.
pub(super) fn rows(session: &mut Session, ids: &[TaskId]) -> Result<Vec<Line>, Error> {
    let board = look::board(session, Show::All)?;
    let row = |id: &TaskId| board.tasks.iter().find(|row| row.id == *id);
    Ok(ids.iter().filter_map(row).map(|row| Line::of(row, board.at)).collect())
}

/// Rows as text, with what to do next for each state that is among them.
pub(super) fn text(rows: &[Line]) -> String {
    if rows.is_empty() {
        return "no tasks".to_owned();
    }
    let steps = steps(rows).into_iter().map(|(state, next)| format!("next, where {state}: {next}"));
    rows.iter().map(Line::text).chain(steps).collect::<Vec<_>>().join("\n")
}

/// What to do next, by each state that is among them. Some clients show a model the data alone.
pub(super) fn steps(rows: &[Line]) -> BTreeMap<&'static str, &'static str> {
    rows.iter().filter_map(|row| Some((row.state.as_str(), next(row.state)?))).collect()
}

/// Rows as data and as text.
pub(super) fn answer(rows: &[Line]) -> Answer {
    Answer::new(text(rows), json!({ "tasks": rows, "next": steps(rows) }))
}

/// What one would do about a task that stands there.
fn next(state: Standing) -> Option<&'static str> {
    if env::inside().is_some() { next_inside(state) } else { next_outside(state) }
}

/// A task takes over what its own have done; where that lands is not for it to say.
fn next_inside(state: Standing) -> Option<&'static str> {
    use Standing as S;
    Some(match state {
        S::Waiting | S::Running | S::Cancelling | S::Queued | S::Landing => "delegate_wait",
        S::Ready => {
            "delegate_diff; where it is good, take it over: `pleach diff ID | git apply`, or git cherry-pick of its commits in \
             delegate_result"
        }
        S::Failed => "delegate_logs says why; then delegate_task once more, or do it here",
        S::Blocked => "delegate_cancel it; then delegate_task once more, without what failed",
        S::Conflict | S::Rejected | S::Held => {
            "whoever started this task settles it; take it over here where it is needed"
        }
        S::Withdrawn | S::Empty | S::Folded | S::Discarded => return None,
    })
}

fn next_outside(state: Standing) -> Option<&'static str> {
    use Standing as S;
    Some(match state {
        S::Waiting | S::Running | S::Cancelling | S::Queued | S::Landing => "delegate_wait",
        S::Ready => "delegate_diff, then delegate_merge or delegate_discard",
        S::Failed => "delegate_logs says why; then delegate_retry or delegate_discard",
        S::Blocked => "delegate_retry what it builds on, or delegate_cancel it",
        S::Conflict => "delegate_retry with onto_target, or delegate_discard",
        S::Rejected => "delegate_result says why; then delegate_retry with onto_target, or delegate_discard",
        S::Held => "delegate_result says what is in the way; mend that, then delegate_merge again",
        S::Withdrawn | S::Empty | S::Folded | S::Discarded => return None,
    })
}

/// The tasks that are meant: named, or of a batch.
pub(super) fn meant(
    session: &Session,
    ids: Option<&Vec<Handle>>,
    batch: Option<&String>,
) -> Result<Option<Vec<TaskId>>, Error> {
    match (ids.filter(|ids| !ids.is_empty()), batch) {
        (Some(_), Some(_)) => Err(args::usage("batch_id", &"not together with task_ids")),
        (Some(ids), None) => wait::meant(session, &args::handles(ids)?).map(Some),
        (None, Some(batch)) => delegate::of_batch(&session.state()?, batch).map(Some),
        (None, None) => Ok(None),
    }
}

pub(super) fn status(call: &Call, arguments: Value) -> Result<Answer, Error> {
    let args: args::Status = args::read("delegate_status", arguments)?;
    let mut session = call.session()?;
    let ids = match meant(&session, args.task_ids.as_ref(), args.batch_id.as_ref())? {
        Some(ids) => ids,
        None => open(&session.state()?),
    };
    let more = ids.len().saturating_sub(MOST);
    // The newest of many: the older ones are asked for by name.
    let rows = rows(&mut session, &ids[more..])?;
    let mut answer = answer(&rows);
    if more > 0 {
        answer.text += &format!("\nand {more} older ones");
        answer.value["older_not_shown"] = more.into();
    }
    Ok(answer)
}

/// Is anything still to come of it?
pub(super) fn is_open(session: &Session, id: TaskId) -> Result<bool, Error> {
    Ok(session.state()?.open().any(|task| task.id == id))
}

fn open(state: &State) -> Vec<TaskId> {
    state.open().map(|task| task.id).collect()
}

pub(super) fn result(call: &Call, arguments: Value) -> Result<Answer, Error> {
    let args: args::Tasks = args::read("delegate_result", arguments)?;
    let mut session = call.session()?;
    let handles = args::handles(&args.task_ids)?;
    if handles.is_empty() {
        return Err(Error::new(ErrorKind::Usage, "task_ids is empty", "name at least one; see delegate_status"));
    }
    let ids: Vec<TaskId> = ops::find(&session.state()?, &handles)?.iter().map(|task| task.id).collect();
    let (mut texts, mut values) = (Vec::new(), Vec::new());
    for id in ids.iter().take(MOST) {
        let report = look::task(&mut session, &crate::core::id::TaskHandle::Id(*id))?;
        texts.push(told(&report));
        values.push(in_full(&report));
    }
    Ok(Answer::new(texts.join("\n\n"), json!({ "results": values })))
}

fn in_full(report: &TaskReport) -> Value {
    let last = report.attempts.last();
    let outcome = last.and_then(|attempt| attempt.outcome.as_ref());
    let files = report.file_list.iter().take(MOST);
    let commits = report.commit_list.iter().take(MOST);
    let mut value = json!({
        "task_id": report.row.id.to_string(),
        "state": report.row.state,
        "outcome": outcome.map(|outcome| shown(&outcome.to_string())),
        "exit_code": outcome.map(|outcome| outcome.exit_code()),
        "summary": last.and_then(|attempt| attempt.summary.as_ref()).map(|summary| cut(summary)),
        "commits": commits.map(|commit| format!("{:.12} {}", commit.id, shown(&commit.subject))).collect::<Vec<_>>(),
        "files": files.map(|file| file.path.shown()).collect::<Vec<_>>(),
        "files_in_all": report.row.files,
        "insertions": report.row.insertions,
        "deletions": report.row.deletions,
    });
    let mut add = |key: &str, more: Value| drop(value.as_object_mut().map(|map| map.insert(key.to_owned(), more)));
    if let Some(landed) = &report.landed {
        add("merged", json!({ "target": landed.target, "commit": landed.to }));
    }
    if let Some(refusal) = &report.refusal {
        add("refusal", refused(refusal));
    }
    let flags: Vec<String> = last.iter().flat_map(|attempt| &attempt.flags).map(ToString::to_string).collect();
    for (key, notes) in [("flags", flags), ("notes", last.map(|last| last.notes.clone()).unwrap_or_default())] {
        if !notes.is_empty() {
            add(key, json!(notes));
        }
    }
    if let Some(next) = next(report.row.state) {
        add("next", next.into());
    }
    value
}

/// Why a result did not go in.
pub(super) fn refused(refusal: &Refusal) -> Value {
    match refusal {
        Refusal::Conflict(conflict) => {
            let files: Vec<String> = conflict.paths.iter().take(MOST).map(|path| path.path.shown()).collect();
            json!({ "kind": "conflict", "reason": shown(&refusal.to_string()), "conflict_files": files })
        }
        Refusal::Rejected(rejection) => {
            let runs: Vec<u32> = rejection.runs.clone();
            json!({ "kind": "rejected", "reason": shown(&rejection.verdict.to_string()), "check_runs": runs })
        }
        Refusal::Held(hold) => json!({ "kind": "held", "reason": shown(&hold.to_string()) }),
    }
}

fn told(report: &TaskReport) -> String {
    let row = &report.row;
    let name = row.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
    let why = if row.why.is_empty() { String::new() } else { format!(" ({})", shown(&row.why)) };
    let last = report.attempts.last();
    let outcome = last.and_then(|attempt| attempt.outcome.as_ref());
    let ended = outcome.map_or_else(|| "not ended".to_owned(), |outcome| shown(&outcome.to_string()));
    let mut text = vec![format!("{}{name}: {}{why}; {ended}", row.id, row.state)];
    if let Some(summary) = last.and_then(|attempt| attempt.summary.as_ref()) {
        text.push(lines(&cut(summary)));
    }
    if row.files > 0 {
        let files: Vec<String> = report.file_list.iter().take(MOST).map(|file| file.path.shown()).collect();
        text.push(format!("{} +{} -{}: {}", count(row.files), row.insertions, row.deletions, files.join(", ")));
    }
    if let Some(landed) = &report.landed {
        text.push(format!("merged into {} as {:.12}", landed.target, landed.to));
    }
    for flag in last.iter().flat_map(|attempt| &attempt.flags) {
        text.push(format!("a person should look: {}", shown(&flag.to_string())));
    }
    text.extend(last.iter().flat_map(|attempt| &attempt.notes).map(|note| format!("note: {}", shown(note))));
    text.extend(next(row.state).map(|next| format!("next: {next}")));
    text.join("\n")
}

fn count(files: u32) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SUMMARY) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text.to_owned(),
    }
}
