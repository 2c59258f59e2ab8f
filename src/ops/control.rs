//! Cancelling, retrying, pausing.

use super::{Error, ErrorKind, Session, find};
use crate::coordinator::protocol::{Place, Request};
use crate::core::id::{BranchName, TaskHandle, TaskId};
use crate::core::review::Remarks;
use crate::core::state::{State, Task, TaskState};
use crate::core::task::Priority;

/// End these tasks; those that wait are withdrawn. It is asked when this returns, and true when they have ended
/// ([`wait`](super::wait)).
///
/// # Errors
/// Where a task is unknown, or has ended already.
pub fn cancel(session: &mut Session, tasks: &[TaskHandle], now: bool) -> Result<Vec<TaskId>, Error> {
    send(session, tasks, |tasks| Request::Cancel { tasks, now })
}

/// Where another attempt starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum From {
    /// Where the first one did.
    #[default]
    Base,
    /// On the head of the target, as it is when the attempt starts; what did not go in is handed back to it.
    Target,
}

/// Another attempt of these.
///
/// # Errors
/// Where a task is unknown, runs, or is folded; and for one that is to start on its target, where there is no such branch or
/// no result to hand back.
pub fn retry(session: &mut Session, tasks: &[TaskHandle], from: From) -> Result<Vec<TaskId>, Error> {
    retry_told(session, tasks, from, Vec::new())
}

/// Another attempt of these, that is told what somebody said of the result that is handed back to it.
///
/// # Errors
/// As [`retry`].
pub fn retry_told(
    session: &mut Session,
    tasks: &[TaskHandle],
    from: From,
    remarks: Vec<(TaskId, Remarks)>,
) -> Result<Vec<TaskId>, Error> {
    let state = session.state()?;
    let tasks = find(&state, tasks)?;
    let seen: Vec<(TaskId, usize)> = tasks.iter().map(|task| (task.id, task.attempts.len())).collect();
    let mut onto = Vec::new();
    if from == From::Target {
        for task in tasks {
            onto.push((task.id, target(session, task)?));
        }
    }
    session.coordinator()?.ask(&Request::Retry { tasks: seen.clone(), onto, remarks })?;
    Ok(seen.into_iter().map(|(id, _)| id).collect())
}

/// The branch that the result of a task was to go into, which must be there.
fn target(session: &Session, task: &Task) -> Result<BranchName, Error> {
    let id = task.id;
    let named = match &task.state {
        TaskState::Refused { request, .. } => Some(&request.target),
        TaskState::Ready { .. } => task.spec.target.as_ref(),
        _ => task.hand_back.as_ref().map(|before| &before.target).or(task.spec.target.as_ref()),
    };
    let target = named.or(session.found.branch.as_ref()).ok_or_else(|| {
        let message = format!("task {id} was started from a detached HEAD, so it has no target to start on");
        Error::new(ErrorKind::Usage, message, "try it on a branch first: `pleach merge --into BRANCH`")
    })?;
    if session.repository().head_of(target)?.is_none() {
        let message = format!("there is no branch {target} for task {id} to start on");
        return Err(Error::new(ErrorKind::Usage, message, format!("make it first: git branch {target}")));
    }
    Ok(target.clone())
}

/// Let these have another turn among those that wait.
///
/// # Errors
/// Where a task is unknown, or does not wait.
pub fn prioritize(session: &mut Session, tasks: &[TaskHandle], priority: Priority) -> Result<Vec<TaskId>, Error> {
    send(session, tasks, |tasks| Request::Prioritize { tasks, priority })
}

/// Start nothing more.
///
/// # Errors
/// Where no coordinator can be had.
pub fn pause(session: &mut Session, paused: bool) -> Result<(), Error> {
    session.coordinator()?.ask(&Request::Pause { paused }).map(drop)
}

/// Give a line another order.
///
/// # Errors
/// Where a task is unknown, or stands in no line or in another one.
pub fn move_in_line(session: &mut Session, tasks: &[TaskHandle], to: &InLine) -> Result<Vec<TaskId>, Error> {
    let state = session.state()?;
    let one = |handle: &TaskHandle| Ok::<_, Error>(ids(&state, std::slice::from_ref(handle))?[0]);
    let to = match to {
        InLine::First => Place::First,
        InLine::Last => Place::Last,
        InLine::Before(other) => Place::Before(one(other)?),
        InLine::Behind(other) => Place::Behind(one(other)?),
    };
    send(session, tasks, |tasks| Request::Move { tasks, to })
}

/// A place in a line.
#[derive(Debug, Clone, PartialEq)]
pub enum InLine {
    /// Before all others.
    First,
    /// Behind all others.
    Last,
    /// Before this one.
    Before(TaskHandle),
    /// Behind this one.
    Behind(TaskHandle),
}

/// Keep these, in their lines, from landing; or let them land again.
///
/// # Errors
/// Where a task is unknown, or stands in no line.
pub fn hold(session: &mut Session, tasks: &[TaskHandle], on_hold: bool) -> Result<Vec<TaskId>, Error> {
    send(session, tasks, |tasks| Request::Hold { tasks, on_hold })
}

/// Take these out of their lines: their results are up for review again.
///
/// # Errors
/// Where a task is unknown, or stands in no line.
pub fn leave(session: &mut Session, tasks: &[TaskHandle]) -> Result<Vec<TaskId>, Error> {
    send(session, tasks, |tasks| Request::Leave { tasks })
}

pub(super) fn send(
    session: &mut Session,
    handles: &[TaskHandle],
    request: impl FnOnce(Vec<TaskId>) -> Request,
) -> Result<Vec<TaskId>, Error> {
    let ids = ids(&session.state()?, handles)?;
    session.coordinator()?.ask(&request(ids.clone()))?;
    Ok(ids)
}

pub(super) fn ids(state: &State, handles: &[TaskHandle]) -> Result<Vec<TaskId>, Error> {
    Ok(find(state, handles)?.into_iter().map(|task: &Task| task.id).collect())
}
