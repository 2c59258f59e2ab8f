//! Waiting for tasks.

use std::time::Duration;

use super::{Error, ErrorKind, Session, control};
use crate::coordinator::protocol::Request;
pub use crate::coordinator::protocol::Until;
use crate::core::id::{TaskHandle, TaskId};
use crate::core::state::{Task, TaskState};

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Is one of them enough?
    pub any: bool,
    /// How long.
    pub timeout: Option<Duration>,
}

/// Wait until tasks have ended, and what folds by itself has got where it goes: whoever waits wants to go on with it.
/// Without any named: all that are running, waiting, or on their way into their target.
///
/// # Errors
/// Where a task is unknown, or the time is over.
pub fn wait(session: &mut Session, tasks: &[TaskHandle], patience: Patience) -> Result<Vec<TaskId>, Error> {
    let ids = meant(session, tasks)?;
    until(session, &ids, Until::Landed, patience)?;
    Ok(ids)
}

/// Wait as [`wait()`] does, but look up each `step`: `false` once `going` says to give up. The tasks go on all the same.
///
/// # Errors
/// Where a task is unknown.
pub fn wait_while(
    session: &mut Session,
    tasks: &[TaskId],
    any: bool,
    step: Duration,
    going: &mut dyn FnMut() -> bool,
) -> Result<bool, Error> {
    if tasks.is_empty() {
        return Ok(true);
    }
    let request = Request::Await { tasks: tasks.to_vec(), until: Until::Landed, any };
    Ok(session.coordinator()?.ask_while(&request, step, going)?.is_some())
}

/// Those that somebody means; without any named, all that are running, waiting, or on their way into their target.
///
/// # Errors
/// Where a task is unknown.
pub fn meant(session: &Session, tasks: &[TaskHandle]) -> Result<Vec<TaskId>, Error> {
    let state = session.state()?;
    if tasks.is_empty() {
        return Ok(state.open().filter(|task| is_under_way(task)).map(|task| task.id).collect());
    }
    control::ids(&state, tasks)
}

fn is_under_way(task: &Task) -> bool {
    task.has_work_ahead() || matches!(task.state, TaskState::Queued { .. } | TaskState::Landing { .. })
}

/// Wait until these have got there.
///
/// # Errors
/// Where the time is over.
pub fn until(session: &mut Session, tasks: &[TaskId], until: Until, patience: Patience) -> Result<(), Error> {
    if tasks.is_empty() {
        return Ok(());
    }
    let request = Request::Await { tasks: tasks.to_vec(), until, any: patience.any };
    let mut client = session.coordinator()?;
    let Some(timeout) = patience.timeout else { return client.ask(&request).map(drop) };
    // The question goes on in a thread of its own: a broken connection is mended there, and time runs here.
    let (told, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || drop(told.send(client.ask(&request).map(drop))));
    heard.recv_timeout(timeout).unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::TimedOut, "the time to wait is over", "they go on; see them with `pleach ls`"))
    })
}
