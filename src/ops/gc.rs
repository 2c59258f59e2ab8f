//! Freeing what is kept: worktrees, kept refs, logs.
//!
//! Only what nobody can still want is a candidate: attempts of tasks that are settled, and earlier attempts that a later
//! one has replaced; of these only what is older than asked. A result that waits for review, a conflict, and a task that
//! runs are never touched, whatever their age.

use jiff::Timestamp;
use serde::Serialize;
use walkdir::WalkDir;

use super::{Error, Session, draft};
use crate::coordinator::protocol::Request;
use crate::core::change::{Collected, Flag, list};
use crate::core::id::AttemptId;
use crate::core::state::{Attempt, Ended, Place, State, Task, TaskState};
use crate::process::clock;
use crate::store::Layout;

/// Seconds that everything is kept where nothing else is said.
pub const DEFAULT_AGE: u64 = 14 * 24 * 3600;

/// What may be freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Only what was settled this many seconds ago.
    pub older_than: u64,
    /// The oldest first, and only until so many bytes are left.
    pub keep_bytes: Option<u64>,
}

/// Something to free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Whose.
    pub attempt: AttemptId,
    /// What it is, in words.
    pub what: String,
    /// Since when nobody can want it.
    pub since: Timestamp,
    /// How much it takes on the disk.
    pub bytes: u64,
}

/// What would be freed; nothing is changed.
///
/// # Errors
/// Where the journal cannot be read.
pub fn plan(session: &Session, wanted: Wanted) -> Result<Vec<Item>, Error> {
    let Some(layout) = session.layout() else { return Ok(Vec::new()) };
    let state = session.state()?;
    let now = clock::now();
    let old_enough = |item: &Item| now.duration_since(item.since).as_secs() >= wanted.older_than.cast_signed();
    let mut items: Vec<Item> = candidates(layout, &state).filter(old_enough).collect();
    items.sort_by_key(|item| (item.since, item.attempt));
    if let Some(keep) = wanted.keep_bytes {
        let mut left: u64 = layout.attempts()?.into_iter().map(|attempt| bytes(layout, attempt)).sum();
        items.retain(|item| {
            let over = left > keep;
            left -= if over { item.bytes.min(left) } else { 0 };
            over
        });
    }
    Ok(items)
}

/// Free these.
///
/// # Errors
/// Where one cannot be freed; those before it are.
pub fn free(session: &mut Session, items: &[Item]) -> Result<(), Error> {
    if items.is_empty() {
        return Ok(());
    }
    let attempts = items.iter().map(|item| item.attempt).collect();
    session.coordinator()?.ask(&Request::Free { attempts })?;
    items.iter().try_for_each(|item| draft::drop_of(session, item.attempt))
}

fn candidates<'a>(layout: &'a Layout, state: &'a State) -> impl Iterator<Item = Item> + 'a {
    state.tasks().flat_map(move |task| {
        let ended = task.attempts.iter().filter(|attempt| !attempt.freed && attempt.ended.is_some());
        ended.filter_map(move |attempt| {
            let id = task.attempt_id(attempt.number);
            let (what, since) = settled(state, task, attempt)?;
            Some(Item { attempt: id, what, since, bytes: bytes(layout, id) })
        })
    })
}

/// What an attempt is, once nobody can want it any more, and since when.
fn settled(state: &State, task: &Task, attempt: &Attempt) -> Option<(String, Timestamp)> {
    let awaited = state.open().any(|other| other.has_work_ahead() && other.spec.needs.contains(&task.id));
    if awaited {
        return None;
    }
    let ended = attempt.ended.as_ref()?;
    let is_result = task.result_attempt().is_some_and(|result| result.number == attempt.number);
    let is_last = task.attempts.last().is_some_and(|last| last.number == attempt.number);
    // Its files could not be taken over: they are in the worktree and nowhere else. Only who discards it wants them gone.
    let is_only_copy = attempt.place == Place::Present && matches!(ended.result, Collected::Refused { .. });
    if is_only_copy && task.state != TaskState::Discarded {
        return None;
    }
    let (what, since) = match &task.state {
        TaskState::Folded(folded) if is_result => Some((format!("folded into {}", folded.target), task.updated)),
        TaskState::Discarded => Some((format!("discarded ({})", ended.outcome), task.updated)),
        TaskState::Empty => Some(("changed nothing".to_owned(), task.updated)),
        TaskState::Failed if is_last => Some((ended.outcome.to_string(), ended.at)),
        _ if !is_last && !is_result => Some((format!("replaced by a later attempt ({})", ended.outcome), ended.at)),
        _ => None,
    }?;
    Some((what + &left_behind(attempt, ended), since))
}

/// What goes with the worktree, and was never part of the result.
fn left_behind(attempt: &Attempt, ended: &Ended) -> String {
    let flags = ended.result.change().map(|change| change.flags.as_slice()).unwrap_or_default();
    let paths = flags.iter().filter_map(|flag| match flag {
        Flag::LeftOut { path } if attempt.place == Place::Present => Some(path.shown()),
        _ => None,
    });
    let paths: Vec<String> = paths.collect();
    if paths.is_empty() { String::new() } else { format!(", with {} that is nowhere else", list(paths.into_iter())) }
}

fn bytes(layout: &Layout, attempt: AttemptId) -> u64 {
    let homes = [layout.attempt(attempt).0, layout.worktree(attempt)];
    let entries = homes.iter().flat_map(|home| WalkDir::new(home).follow_links(false)).flatten();
    entries.filter_map(|entry| entry.metadata().ok()).filter(std::fs::Metadata::is_file).map(|data| data.len()).sum()
}
