//! Taking a plan, and picking among tries. Pure, as [`requests`](super::requests) are.

use super::protocol::{NewPlan, Refused, RefusedKind};
use super::requests::{stands, wrong};
use crate::core::event::Event;
use crate::core::id::TaskId;
use crate::core::plan::steer::{is_like, is_under_way};
use crate::core::plan::{Plan, PlanId};
use crate::core::state::{State, Task, TaskState};
use crate::core::task::{FoldPolicy, TaskSpec};

/// What becomes of a plan that somebody asks for.
pub(super) enum Judged {
    /// The question was asked before, or the same plan is under way.
    Known(PlanId),
    /// It is taken, with ids for its tasks.
    New(Box<Plan>, Vec<TaskSpec>),
}

/// Take a plan, or not.
///
/// # Errors
/// Where another plan of its name is under way, or it makes no sense.
pub(super) fn judge(state: &State, new: &NewPlan, mut specs: Vec<TaskSpec>) -> Result<Judged, Refused> {
    if let Some(known) = state.plans().iter().rev().find(|plan| plan.request == new.request) {
        return Ok(Judged::Known(known.id.clone()));
    }
    let newest = state.newest_plan(&new.name);
    if let Some(open) = newest.filter(|plan| is_under_way(state, plan)) {
        if open.fingerprint == new.fingerprint {
            return Ok(Judged::Known(open.id.clone()));
        }
        return Err(wrong(
            format!("plan {} is under way, and the file is not what it was", open.id),
            "wait for it with `pleach wait --plan`, cancel it with `pleach cancel --plan`, or give the plan another name",
        ));
    }
    let first = state.next_task();
    let count = specs.len() as u64;
    for (place, spec) in specs.iter_mut().enumerate() {
        // Needs come first, so that no plan has a cycle here.
        if spec.needs.iter().any(|need| need.0 == 0 || need.0 > place as u64) {
            let message = format!("task {} of the plan needs what does not come before it", place + 1);
            return Err(Refused { kind: RefusedKind::Internal, message, hint: None });
        }
        spec.needs.iter_mut().for_each(|need| need.0 += first.0 - 1);
    }
    let number = newest.map_or(1, |plan| plan.id.number.saturating_add(1));
    let plan = Plan {
        id: PlanId { name: new.name.clone(), number },
        file: new.file.clone(),
        fingerprint: new.fingerprint.clone(),
        request: new.request.clone(),
        submitted: jiff::Timestamp::UNIX_EPOCH,
        first,
        count,
        on_failure: new.on_failure,
        concurrency: new.concurrency,
        stopped_by: None,
        doomed: Default::default(),
        picked: Default::default(),
    };
    Ok(Judged::New(Box::new(plan), specs))
}

/// Take one of several tries: the others go; where the plan says so, it is folded.
pub(super) fn pick(state: &State, task: &Task) -> Result<Vec<Event>, Refused> {
    let id = task.id;
    let is_try = task.spec.member.as_ref().is_some_and(|member| member.candidate.is_some());
    let Some(plan) = state.plan_of(id).filter(|_| is_try) else {
        return Err(wrong(
            format!("task {id} is not one of several tries at the same"),
            "a plan has such tasks with `attempts = N`; others are folded with `pleach merge`",
        ));
    };
    if plan.picked.contains(&id) {
        return Ok(Vec::new());
    }
    let rival = |other: &TaskId| state.task(*other).is_some_and(|other| is_like(task, other));
    if let Some(other) = plan.picked.iter().find(|other| rival(other)) {
        let message = format!("task {other} was picked already");
        return Err(wrong(message, "take this one with `pleach restore`, and fold it with `pleach merge`"));
    }
    match task.state {
        TaskState::Ready { .. } | TaskState::Refused { .. } | TaskState::Empty => {}
        TaskState::Pending | TaskState::Running { .. } => {
            return Err(wrong(format!("task {id} is {}", stands(task)), "wait for it with `pleach wait`"));
        }
        _ => return Err(wrong(format!("task {id} is {}", stands(task)), "pick another one; see `pleach report`")),
    }
    let fold = task.usual_fold().filter(|_| wants_fold(task) && task.tip().is_some());
    let fold = fold.map(|request| Event::FoldRequested { task: id, request });
    Ok([Event::Picked { task: id }].into_iter().chain(fold).collect())
}

/// Its plan wants it folded; of several tries that is done when one is picked.
fn wants_fold(task: &Task) -> bool {
    task.spec.member.as_ref().is_some_and(|member| member.fold == FoldPolicy::Auto)
}
