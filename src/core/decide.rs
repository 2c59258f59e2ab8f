//! One turn of the coordinator, without its effects.

use jiff::{Timestamp, ToSpan};

use super::action::Action;
use super::change::{Hold, Refusal};
use super::id::TaskId;
use super::inventory::{Inventory, Shim};
use super::kinds::Kind;
use super::merge_queue;
use super::policy::Limits;
use super::schedule;
use super::state::{State, Task, TaskState, Waiting};

/// Seconds after which a held result that folds by itself is tried again.
pub const HELD_RETRY: i64 = 60;
/// Seconds after which the disk is looked at again.
pub const DISK_RETRY: i64 = 10;

/// Seconds after which the memory is looked at again.
pub const MEMORY_RETRY: i64 = 5;

/// What to do now, and when to ask again if nothing happens until then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What to do. No two work on the same subject.
    pub actions: Vec<Action>,
    /// When to ask again.
    pub wake_at: Option<Timestamp>,
}

/// Decide.
pub fn decide(state: &State, seen: &Inventory, limits: &Limits, now: Timestamp) -> Decision {
    let mut actions: Vec<Action> = Vec::new();
    let mut wake_at: Option<Timestamp> = None;
    for task in state.of_kind(&[Kind::Running, Kind::HasLeftOvers, Kind::Refused]) {
        actions.extend(tend(task, seen));
        actions.extend(
            task.attempts
                .iter()
                .filter(|attempt| attempt.is_removable())
                .map(|attempt| Action::Remove(task.attempt_id(attempt.number))),
        );
        if let Some(due) = held_retry(state, task) {
            if due <= now {
                actions.push(Action::Requeue(task.id));
            } else {
                wake_at = earlier(wake_at, due);
            }
        }
    }
    actions.extend(merge_queue::next(state, seen, limits));
    actions.extend(schedule::next(state, seen, limits, now).into_iter().map(Action::Start));
    actions.retain(|action| !seen.busy.contains(&action.subject()));
    let waits = |task: &Task| state.waiting(task) == Some(Waiting::Turn);
    if schedule::is_disk_short(seen, limits) && state.turns().any(waits) {
        wake_at = earlier(wake_at, now + DISK_RETRY.seconds());
    }
    if !state.is_paused() && schedule::is_memory_short(state, seen, limits) {
        wake_at = earlier(wake_at, now + MEMORY_RETRY.seconds());
    }
    if let Some(due) = schedule::next_resume(state, now) {
        wake_at = earlier(wake_at, due);
    }
    Decision { actions, wake_at }
}

/// What a running attempt needs.
fn tend(task: &Task, seen: &Inventory) -> Option<Action> {
    let TaskState::Running { cancel } = task.state else { return None };
    let attempt = task.last_attempt()?;
    match (seen.shim(attempt), cancel) {
        (Shim::Absent, Some(_)) => Some(Action::Abandon(attempt)),
        (Shim::Absent, None) => Some(Action::Launch(attempt)),
        (Shim::Alive, Some(now)) if seen.told.get(&attempt).is_none_or(|told| now && !told) => {
            Some(Action::Stop { attempt, now })
        }
        (Shim::Alive, _) => None,
        (Shim::Exited, _) => Some(Action::Collect(attempt)),
        (Shim::Dead, _) => Some(Action::Salvage(attempt)),
    }
}

/// When a result that folds by itself, and is held by something that passes, is tried again.
fn held_retry(state: &State, task: &Task) -> Option<Timestamp> {
    let TaskState::Refused { refusal: Refusal::Held(hold), request, .. } = &task.state else { return None };
    task.auto_fold()?;
    let need = |id: &TaskId| state.task(*id);
    let is_folded = |id: &TaskId| need(id).is_some_and(|need| need.is_folded_into(&request.target));
    // Once for each news of them: what was refused with all of them in would only be refused again.
    let is_news = |id: &TaskId| need(id).is_some_and(|need| need.updated > task.updated);
    match hold {
        Hold::Overlap { .. } | Hold::Unfinished { .. } | Hold::SeveralCheckouts { .. } | Hold::Refused { .. } => {
            Some(task.updated + HELD_RETRY.seconds())
        }
        // Somebody may have mended it.
        Hold::RedTarget { onto, .. } => {
            let head = state.lines().line(&request.target).and_then(|line| line.head);
            head.filter(|head| head != onto).map(|_| task.updated)
        }
        Hold::Needs { needs } if needs.iter().all(is_folded) && needs.iter().any(is_news) => Some(task.updated),
        _ => None,
    }
}

fn earlier(wake_at: Option<Timestamp>, due: Timestamp) -> Option<Timestamp> {
    Some(wake_at.map_or(due, |at| at.min(due)))
}
