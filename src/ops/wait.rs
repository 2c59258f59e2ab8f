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
    let state = session.state()?;
    let ids = if tasks.is_empty() {
        state.open().filter(|task| is_under_way(task)).map(|task| task.id).collect()
    } else {
        control::ids(&state, tasks)?
    };
    until(session, &ids, Until::Landed, patience)?;
    Ok(ids)
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
