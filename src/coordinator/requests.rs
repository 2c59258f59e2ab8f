//! What is asked of the coordinator, judged by where the tasks stand. Pure: events or a no come out.

use super::line;
use super::protocol::{Refused, RefusedKind, Request, Until};
use crate::core::change::Direction;
use crate::core::event::Event;
use crate::core::id::{AttemptId, BranchName, CommitId, TaskId};
use crate::core::review::Remarks;
use crate::core::state::{Attempt, State, Task, TaskState};
use crate::core::task::Priority;

/// The events that a request makes, all or none.
///
/// # Errors
/// Where the request does not fit: nothing is changed then.
pub(super) fn judge(state: &State, request: &Request) -> Result<Vec<Event>, Refused> {
    let each = |tasks: &[TaskId], judge: &dyn Fn(&Task) -> Result<Option<Event>, Refused>| {
        let events = tasks.iter().map(|id| judge(find(state, *id)?));
        Ok(events.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    };
    match request {
        Request::Cancel { tasks, now } => each(tasks, &|task| cancel(task, *now)),
        Request::Retry { tasks, onto, remarks, .. } => {
            let onto = |id: &TaskId| onto.iter().find(|(task, _)| task == id).map(|(_, target)| target);
            let said = |id: &TaskId| remarks.iter().find(|(task, _)| task == id).map(|(_, remarks)| remarks);
            let events = tasks.iter().map(|(id, seen)| retry(find(state, *id)?, *seen, onto(id), said(id)));
            Ok(events.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        }
        Request::Move { tasks, to } => line::reorder(state, tasks, *to).map(|event| event.into_iter().collect()),
        Request::Hold { tasks, on_hold } => each(tasks, &|task| line::hold(task, *on_hold)),
        Request::Leave { tasks } => each(tasks, &line::leave),
        Request::Prioritize { tasks, priority } => each(tasks, &|task| prioritize(task, *priority)),
        Request::Discard { tasks } => each(tasks, &discard),
        Request::Pick { task } => super::plans::pick(state, find(state, *task)?),
        Request::Fold { folds } => {
            let events = folds.iter().map(|(id, request)| {
                let task = find(state, *id)?;
                let event = Event::FoldRequested { task: *id, request: request.clone() };
                match request.direction {
                    Direction::Fold => fold(task, request.tip, event),
                    Direction::Undo => undo(task, event),
                }
            });
            Ok(events.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        }
        Request::Restore { attempts } => {
            let events = attempts.iter().map(|attempt| restore(find(state, attempt.task)?, *attempt));
            Ok(events.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        }
        Request::Pause { paused: true } if !state.is_paused() => Ok(vec![Event::Paused]),
        Request::Pause { paused: false } if state.is_paused() => Ok(vec![Event::Resumed]),
        Request::ResumeAgent { agent } if state.limited(agent).is_some() => {
            Ok(vec![Event::AgentResumed { agent: agent.clone() }])
        }
        _ => Ok(Vec::new()),
    }
}

/// Have the tasks got there? A task that can get no further by itself has, too.
pub(super) fn has_reached(state: &State, tasks: &[TaskId], until: Until, any: bool) -> bool {
    let there = |id: &TaskId| {
        let Some(task) = state.task(*id) else { return true };
        let ended = !task.has_work_ahead() || state.is_stuck(task);
        match until {
            Until::Ended => ended,
            Until::Landed => match task.state {
                TaskState::Queued { .. } => state.is_kept_waiting(task),
                TaskState::Landing { .. } => false,
                _ => ended,
            },
        }
    };
    if any { tasks.iter().any(there) } else { tasks.iter().all(there) }
}

pub(super) fn find(state: &State, id: TaskId) -> Result<&Task, Refused> {
    state.task(id).ok_or_else(|| Refused {
        kind: RefusedKind::UnknownTask,
        message: format!("there is no task {id}"),
        hint: Some("see all tasks with `pleach ls --all`".to_owned()),
    })
}

pub(super) fn wrong(message: String, hint: impl Into<Option<&'static str>>) -> Refused {
    Refused { kind: RefusedKind::WrongState, message, hint: hint.into().map(str::to_owned) }
}

/// How a refusal names where a task stands.
pub(super) fn stands(task: &Task) -> &'static str {
    match task.state {
        TaskState::Pending => "waiting",
        TaskState::Running { .. } => "running",
        TaskState::Withdrawn => "cancelled",
        TaskState::Failed => "failed",
        TaskState::Empty => "without changes",
        TaskState::Ready { .. } => "ready for review",
        TaskState::Queued { .. } => "queued for its target",
        TaskState::Landing { .. } => "being folded",
        TaskState::Refused { .. } => "held or in conflict",
        TaskState::Folded(_) => "folded",
        TaskState::Discarded => "discarded",
    }
}

fn cancel(task: &Task, now: bool) -> Result<Option<Event>, Refused> {
    let id = task.id;
    match task.state {
        TaskState::Pending => Ok(Some(Event::Withdrawn { task: id })),
        TaskState::Running { cancel: Some(asked) } if asked || !now => Ok(None),
        TaskState::Running { .. } => Ok(Some(Event::CancelRequested { task: id, now })),
        // Whoever cancels what has just been cancelled has got what they wanted.
        TaskState::Withdrawn => Ok(None),
        TaskState::Failed if last_was_cancelled(task) => Ok(None),
        TaskState::Queued { .. } => Err(wrong(
            format!("task {id} is {}, so there is nothing to cancel", stands(task)),
            "take it out of its line with `pleach queue remove`",
        )),
        _ => Err(wrong(
            format!("task {id} is {}, so there is nothing to cancel", stands(task)),
            "drop its result with `pleach discard`",
        )),
    }
}

fn last_was_cancelled(task: &Task) -> bool {
    use crate::core::outcome::Outcome;
    let ended = task.attempts.last().and_then(|attempt| attempt.ended.as_ref());
    ended.is_some_and(|ended| ended.outcome == Outcome::Cancelled)
}

fn retry(
    task: &Task,
    seen: usize,
    onto: Option<&BranchName>,
    remarks: Option<&Remarks>,
) -> Result<Option<Event>, Refused> {
    let id = task.id;
    match task.state {
        TaskState::Pending if onto.is_some() && task.hand_back.as_ref().map(|back| &back.target) != onto => {
            Err(wrong(format!("task {id} is waiting"), "call that off first with `pleach cancel`"))
        }
        TaskState::Pending => Ok(None),
        // The question was asked before, and only its answer got lost.
        _ if task.attempts.len() > seen => Ok(None),
        TaskState::Running { .. } => {
            Err(wrong(format!("task {id} is running"), "cancel it first with `pleach cancel`"))
        }
        TaskState::Queued { .. } | TaskState::Landing { .. } => {
            Err(wrong(format!("task {id} is {}", stands(task)), "wait for it with `pleach wait`"))
        }
        TaskState::Folded(_) => {
            Err(wrong(format!("task {id} is folded"), "take the fold back first with `pleach undo`"))
        }
        _ if onto.is_some_and(|target| task.handed_back(target).is_none()) => Err(wrong(
            format!("task {id} is {}, so there is no result of it to hand back", stands(task)),
            "run it again from where it started with `pleach retry`, or take up what it left with `pleach restore`",
        )),
        _ => {
            let remarks = remarks.cloned().map(Box::new);
            Ok(Some(Event::Retried { task: id, onto: onto.cloned(), remarks }))
        }
    }
}

fn prioritize(task: &Task, priority: Priority) -> Result<Option<Event>, Refused> {
    let id = task.id;
    match task.state {
        TaskState::Pending if task.priority() == priority => Ok(None),
        TaskState::Pending => Ok(Some(Event::Prioritized { task: id, priority })),
        _ => Err(wrong(
            format!("task {id} is {}, and only who waits has a turn", stands(task)),
            "see what waits with `pleach ls`",
        )),
    }
}

fn discard(task: &Task) -> Result<Option<Event>, Refused> {
    let id = task.id;
    match task.state {
        TaskState::Discarded => Ok(None),
        TaskState::Pending | TaskState::Running { .. } => {
            Err(wrong(format!("task {id} is {}", stands(task)), "end it first with `pleach cancel`"))
        }
        TaskState::Queued { .. } => {
            let hint = "take it out of its line first with `pleach queue remove`";
            Err(wrong(format!("task {id} is {}", stands(task)), hint))
        }
        TaskState::Landing { .. } => {
            Err(wrong(format!("task {id} is {}", stands(task)), "wait for it with `pleach wait`"))
        }
        TaskState::Folded(_) => Err(wrong(format!("task {id} is folded"), "take the fold back with `pleach undo`")),
        _ => Ok(Some(Event::Discarded { task: id })),
    }
}

fn restore(task: &Task, attempt: AttemptId) -> Result<Option<Event>, Refused> {
    let id = task.id;
    let Some(kept) = task.attempt(attempt.number) else {
        return Err(wrong(
            format!("task {id} has no attempt {}", attempt.number),
            "see its attempts with `pleach status`",
        ));
    };
    if kept.ended.is_none() {
        return Err(wrong(format!("task {id} is {}", stands(task)), "wait for it with `pleach wait`"));
    }
    if kept.freed || task.change(attempt.number).is_none() {
        return Err(wrong(
            format!("attempt {attempt} left no change that is kept"),
            "see what it left with `pleach status`",
        ));
    }
    match task.state {
        TaskState::Ready { attempt: shown } if shown == attempt.number => Ok(None),
        TaskState::Ready { .. } | TaskState::Refused { .. } | TaskState::Failed | TaskState::Discarded => {
            Ok(Some(Event::Restored { attempt }))
        }
        _ => Err(wrong(format!("task {id} is {}", stands(task)), None)),
    }
}

/// The attempt as which a part of a result is to be taken; none where it has been taken already.
///
/// # Errors
/// Where there is no such result, or it is on its way or in its target.
pub(super) fn part(state: &State, of: AttemptId, seen: usize, tip: CommitId) -> Result<Option<AttemptId>, Refused> {
    let task = find(state, of.task)?;
    let last = task.attempts.last();
    if task.attempts.len() > seen
        && last.is_some_and(|last| {
            last.part_of == Some(of.number) && task.change(last.number).is_some_and(|part| part.tip == tip)
        })
    {
        return Ok(None);
    }
    if task.attempts.len() != seen {
        let hint = "look at it anew with `pleach review`";
        return Err(wrong(format!("task {} has got another result meanwhile", task.id), hint));
    }
    // What may be restored may be taken in part.
    match &task.state {
        TaskState::Ready { attempt } if *attempt == of.number => {}
        _ => drop(restore(task, of)?),
    }
    Ok(Some(task.next_attempt()))
}

/// What of these was refused when it ended, and has to be taken over before it can be restored.
pub(super) fn refused(state: &State, attempts: &[AttemptId]) -> Vec<AttemptId> {
    let stands = |task: &Task| {
        matches!(
            task.state,
            TaskState::Ready { .. } | TaskState::Refused { .. } | TaskState::Failed | TaskState::Discarded
        )
    };
    let is_refused = |id: &&AttemptId| {
        let task = state.task(id.task).filter(|task| stands(task));
        task.and_then(|task| task.attempt(id.number)).is_some_and(Attempt::is_recoverable)
    };
    attempts.iter().filter(is_refused).copied().collect()
}

fn fold(task: &Task, looked_at: Option<CommitId>, event: Event) -> Result<Option<Event>, Refused> {
    let id = task.id;
    if looked_at.is_some() && task.tip().is_some() && task.tip() != looked_at {
        let message = format!("task {id} has another result now than the one that was looked at");
        return Err(wrong(message, "look at it anew with `pleach review`"));
    }
    match task.state {
        TaskState::Ready { .. } | TaskState::Refused { .. } => Ok(Some(event)),
        TaskState::Queued { .. } | TaskState::Landing { .. } | TaskState::Folded(_) => Ok(None),
        TaskState::Empty => Ok(None),
        TaskState::Pending | TaskState::Running { .. } => {
            Err(wrong(format!("task {id} is {}", stands(task)), "wait for it with `pleach wait`"))
        }
        TaskState::Failed | TaskState::Discarded => Err(wrong(
            format!("task {id} {}", if task.state == TaskState::Failed { "has failed" } else { "is discarded" }),
            "look at what it left with `pleach diff`, and take it up again with `pleach restore`",
        )),
        TaskState::Withdrawn => Err(wrong(format!("task {id} never ran"), "run it with `pleach retry`")),
    }
}

fn undo(task: &Task, event: Event) -> Result<Option<Event>, Refused> {
    match task.state {
        TaskState::Folded(_) => Ok(Some(event)),
        TaskState::Queued { undoes: Some(_), .. } | TaskState::Landing { undoes: Some(_), .. } => Ok(None),
        // The question was asked before, and only its answer got lost.
        TaskState::Ready { .. } if task.undone => Ok(None),
        _ => Err(wrong(
            format!("task {} is {}, not folded", task.id, stands(task)),
            "see what is with `pleach ls --all`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::change::FoldRequest;
    use crate::core::sketch;

    #[test]
    fn what_was_looked_at_is_folded_and_nothing_that_took_its_place() {
        let state = sketch::state("1 ready; 2 pending");
        let task = state.task(TaskId(1)).unwrap();
        let asked = |tip| {
            let request = FoldRequest { tip, ..task.usual_fold().unwrap() };
            judge(&state, &Request::Fold { folds: vec![(TaskId(1), request)] })
        };
        let is_asked_for = |tip| matches!(asked(tip).as_deref(), Ok([Event::FoldRequested { task: TaskId(1), .. }]));
        assert!(is_asked_for(task.tip()));
        assert!(is_asked_for(None), "nobody looked");
        let refused = asked(Some(sketch::commit(99))).unwrap_err();
        assert_eq!(refused.kind, RefusedKind::WrongState);
        assert!(refused.message.contains("another result now"), "{refused:?}");
    }
}
