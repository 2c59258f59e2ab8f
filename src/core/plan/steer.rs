//! What happens to the tasks of a plan because of each other: decided from the state alone, so that it is the same before
//! and after a crash.

use crate::core::change::Refusal;
use crate::core::event::Event;
use crate::core::id::TaskId;
use crate::core::state::{State, Task, TaskState};

use super::{OnConflict, OnFailure, Plan};

/// A task is run again for a conflict at most so often: somebody has to look then.
pub const MOST_RERUNS: usize = 10;

/// What is to be written down now. Empty where nothing is.
pub fn steer(state: &State) -> Vec<Event> {
    let mut events = Vec::new();
    for plan in state.plans() {
        match failure(state, plan) {
            Some(by) => events.push(Event::PlanStopped { plan: plan.id.clone(), by }),
            None => events.extend(state.open_in(plan).filter_map(|task| next(plan, task))),
        }
    }
    events
}

/// The task whose failure stops the plan now.
fn failure(state: &State, plan: &Plan) -> Option<TaskId> {
    if plan.on_failure == OnFailure::Continue || plan.stopped_by.is_some() {
        return None;
    }
    let has_failed = |task: &Task| task.state == TaskState::Failed && !plan.doomed.contains(&task.id);
    // Of several tries at the same one may fail, as long as another does not.
    let has_failed_for_all = |task: &Task| {
        let is_try = task.spec.member.as_ref().is_some_and(|member| member.candidate.is_some());
        let mut like = plan.tasks().filter_map(|id| state.task(id)).filter(|other| is_like(task, other));
        !is_try || like.all(has_failed)
    };
    state.open_in(plan).find(|task| has_failed(task) && has_failed_for_all(task)).map(|task| task.id)
}

/// Are they tries at the same?
pub fn is_like(one: &Task, other: &Task) -> bool {
    match (&one.spec.member, &other.spec.member) {
        (Some(one), Some(other)) => one.candidate.is_some() && one.task == other.task && one.item == other.item,
        _ => false,
    }
}

fn next(plan: &Plan, task: &Task) -> Option<Event> {
    let id = task.id;
    if plan.doomed.contains(&id) {
        return match &task.state {
            TaskState::Pending => Some(Event::Withdrawn { task: id }),
            TaskState::Running { cancel: None } => Some(Event::CancelRequested { task: id, now: false }),
            TaskState::Queued { undoes: None, .. } => Some(Event::QueueLeft { task: id }),
            TaskState::Failed | TaskState::Ready { .. } | TaskState::Refused { .. } | TaskState::Empty => {
                Some(Event::Discarded { task: id })
            }
            _ => None,
        };
    }
    let TaskState::Refused { refusal: Refusal::Conflict(_), request, .. } = &task.state else { return None };
    let policy = task.spec.member.as_ref()?.on_conflict;
    let reruns = task.attempts.iter().filter(|attempt| attempt.hand_back.is_some()).count();
    let is_wanted = policy != OnConflict::Hold && reruns < MOST_RERUNS;
    is_wanted.then(|| Event::Retried { task: id, onto: Some(request.target.clone()) })
}

/// Will anything more happen to it by itself?
pub fn is_under_way(state: &State, plan: &Plan) -> bool {
    state.open_in(plan).any(|task| match task.state {
        TaskState::Pending => !state.is_stuck(task),
        TaskState::Running { .. } | TaskState::Landing { .. } => true,
        TaskState::Queued { .. } => !state.is_kept_waiting(task),
        _ => false,
    })
}
