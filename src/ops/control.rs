//! Cancelling, retrying, pausing.

use super::{Error, Session, find};
use crate::coordinator::protocol::{Place, Request};
use crate::core::id::{TaskHandle, TaskId};
use crate::core::state::{State, Task};

/// End these tasks; those that wait are withdrawn. It is asked when this returns, and true when they have ended
/// ([`wait`](super::wait)).
///
/// # Errors
/// Where a task is unknown, or has ended already.
pub fn cancel(session: &mut Session, tasks: &[TaskHandle], now: bool) -> Result<Vec<TaskId>, Error> {
    send(session, tasks, |tasks| Request::Cancel { tasks, now })
}

/// Another attempt of these.
///
/// # Errors
/// Where a task is unknown, runs, or is folded.
pub fn retry(session: &mut Session, tasks: &[TaskHandle]) -> Result<Vec<TaskId>, Error> {
    let state = session.state()?;
    let tasks = find(&state, tasks)?;
    let seen: Vec<(TaskId, usize)> = tasks.iter().map(|task| (task.id, task.attempts.len())).collect();
    session.coordinator()?.ask(&Request::Retry { tasks: seen.clone() })?;
    Ok(seen.into_iter().map(|(id, _)| id).collect())
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
