//! What happens to the tasks of a plan because of each other: decided from the state alone, so that it is the same before
//! and after a crash.

use std::collections::BTreeSet;

use crate::core::change::Refusal;
use crate::core::event::Event;
use crate::core::id::TaskId;
use crate::core::kinds::Kind;
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
            None => events.extend(moving(state, plan).filter_map(|task| next(plan, task))),
        }
    }
    events
}

/// The tasks of a plan to which something may happen because of others, oldest first.
fn moving<'a>(state: &'a State, plan: &'a Plan) -> impl Iterator<Item = &'a Task> {
    let refused = state.of_kind_in(Kind::Refused, plan).map(|task| task.id);
    let ids: BTreeSet<TaskId> = plan.doomed.iter().copied().chain(refused).collect();
    ids.into_iter().filter_map(|id| state.task(id))
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
    let mut failed = state.of_kind_in(Kind::Failed, plan);
    failed.find(|task| has_failed(task) && has_failed_for_all(task)).map(|task| task.id)
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
    is_wanted.then(|| Event::Retried { task: id, onto: Some(request.target.clone()), remarks: None })
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

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::core::plan::{Member, PlanId};
    use crate::core::sketch;

    /// A plan over the tasks of a sketch, all of which are tries at the same where `tries`.
    fn planned(tasks: &str, on_failure: OnFailure, on_conflict: OnConflict, tries: bool) -> State {
        let before = sketch::state(tasks);
        let member = |id: TaskId| Member {
            task: "t".to_owned(),
            item: None,
            candidate: tries.then_some(id.0 as u32),
            fold: Default::default(),
            run: None,
            accept: Vec::new(),
            paths: Vec::new(),
            on_conflict,
        };
        let mut specs: Vec<_> = before.tasks().map(|task| task.spec.clone()).collect();
        specs.iter_mut().zip(1..).for_each(|(spec, id)| spec.member = Some(Box::new(member(TaskId(id)))));
        let plan = Plan {
            id: PlanId { name: "p".parse().unwrap(), number: 1 },
            file: String::new(),
            fingerprint: String::new(),
            request: String::new(),
            submitted: sketch::now(),
            first: TaskId(1),
            count: specs.len() as u64,
            on_failure,
            stopped_by: None,
            concurrency: None,
            doomed: Default::default(),
            picked: Default::default(),
        };
        let mut state = State::default();
        sketch::apply(&mut state, sketch::now(), Event::Planned { plan: Box::new(plan), specs });
        for event in sketch::fates(tasks) {
            sketch::apply(&mut state, sketch::now(), event);
        }
        state
    }

    /// All that follows, and where the tasks stand then. What follows is always a legal step, and comes to an end.
    fn check(mut state: State, picture: Expect) {
        let mut told = String::new();
        loop {
            let events = steer(&state);
            if events.is_empty() {
                break;
            }
            for event in events {
                let value = serde_json::to_value(&event).unwrap();
                told.push_str(&format!("{} {}; ", value["event"].as_str().unwrap(), event.task().map_or(0, |id| id.0)));
                sketch::apply(&mut state, sketch::now(), event);
            }
        }
        picture.assert_eq(told.trim_end_matches("; "));
    }

    const ALL: &str = "1 failed; 2; 3 running; 4 ready; 5 queued; 6 refused; 7 folded; 8 empty; 9 landing; 10 after 1";

    #[test]
    fn what_a_failure_does() {
        let state = |policy| planned(ALL, policy, OnConflict::Hold, false);
        check(state(OnFailure::Continue), expect![""]);
        check(state(OnFailure::Stop), expect!["plan_stopped 0"]);
        check(
            state(OnFailure::DiscardAll),
            expect![
                "plan_stopped 0; discarded 1; cancel_requested 3; discarded 4; queue_left 5; discarded 6; discarded 5"
            ],
        );
        let mut state = state(OnFailure::Stop);
        for event in steer(&state) {
            sketch::apply(&mut state, sketch::now(), event);
        }
        let stands = |id| state.task(TaskId(id)).unwrap().state.clone();
        assert_eq!((stands(2), stands(10)), (TaskState::Withdrawn, TaskState::Withdrawn));
        assert_eq!(stands(3), TaskState::Running { cancel: None });
    }

    #[test]
    fn a_conflict_runs_again_but_not_for_ever() {
        let state = |policy| planned("1 refused; 2 ready", OnFailure::Continue, policy, false);
        check(state(OnConflict::Hold), expect![""]);
        check(state(OnConflict::Rerun), expect!["retried 1"]);
        check(state(OnConflict::HandBack), expect!["retried 1"]);
        let mut again = state(OnConflict::Rerun);
        let mut count = 0;
        while let Some(event) = steer(&again).pop() {
            sketch::apply(&mut again, sketch::now(), event);
            let number = again.task(TaskId(1)).unwrap().next_attempt().number;
            sketch::fate_of(TaskId(1), number, "refused").into_iter().for_each(|event| {
                sketch::apply(&mut again, sketch::now(), event);
            });
            count += 1;
        }
        assert_eq!(count, MOST_RERUNS);
    }

    #[test]
    fn of_several_tries_one_may_fail_and_one_is_picked() {
        check(planned("1 failed; 2 ready", OnFailure::Stop, OnConflict::Hold, true), expect![""]);
        check(planned("1 failed; 2 failed", OnFailure::Stop, OnConflict::Hold, true), expect!["plan_stopped 0"]);
        let mut state =
            planned("1 ready; 2 running; 3; 4 failed; 5 ready", OnFailure::Continue, OnConflict::Hold, true);
        sketch::apply(&mut state, sketch::now(), Event::Picked { task: TaskId(5) });
        check(state, expect!["discarded 1; cancel_requested 2; withdrawn 3; discarded 4"]);
    }
}
