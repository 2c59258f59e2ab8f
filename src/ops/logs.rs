//! The output of a task.

use std::path::PathBuf;

use super::{Error, ErrorKind, Session, find};
use crate::core::id::{AttemptId, TaskHandle};
use crate::core::state::TaskState;
pub use crate::store::log::{Piece, Reader};

/// A log to read.
#[derive(Debug)]
pub struct Log {
    /// Whose.
    pub attempt: AttemptId,
    /// Where it is.
    pub dir: PathBuf,
    /// The reading end.
    pub reader: Reader,
}

/// Open the log of a task's newest attempt, or of the one named; from the beginning or from its last lines.
///
/// # Errors
/// Where the task is unknown, has not run, or its log was freed.
pub fn open(session: &Session, task: &TaskHandle, attempt: Option<u32>, tail: Option<usize>) -> Result<Log, Error> {
    let state = session.state()?;
    let task = find(&state, std::slice::from_ref(task))?[0];
    let found = match attempt {
        None => task.attempts.last(),
        Some(number) => task.attempt(number),
    };
    let (Some(found), Some(layout)) = (found, session.layout()) else {
        let what = attempt.map_or("has not run yet".to_owned(), |number| format!("has no attempt {number}"));
        return Err(Error::new(ErrorKind::Refused, format!("task {} {what}", task.id), "see it with `pleach status`"));
    };
    let attempt = task.attempt_id(found.number);
    let dir = layout.attempt(attempt).log();
    // After an undo the result is kept again, and the log is not.
    let was_written = found.ended.as_ref().is_some_and(|ended| ended.facts.log_bytes > 0);
    if found.freed || (was_written && !dir.exists()) {
        let message = format!("the log of task {} was freed by `pleach gc`", task.id);
        return Err(Error::new(ErrorKind::Refused, message, "see what is known of it with `pleach status`"));
    }
    let reader = match tail {
        None => Ok(Reader::new(&dir)),
        Some(lines) => Reader::at_tail(&dir, lines),
    };
    let cannot = |error| Error::plain(ErrorKind::Error, format!("cannot read the log of {attempt}: {error}"));
    Ok(Log { attempt, reader: reader.map_err(cannot)?, dir })
}

/// Is this attempt over, so that its log does not grow any more?
///
/// # Errors
/// Where the journal cannot be read.
pub fn is_over(session: &Session, attempt: AttemptId) -> Result<bool, Error> {
    let state = session.state()?;
    let running = state
        .task(attempt.task)
        .is_some_and(|task| matches!(task.state, TaskState::Running { .. }) && task.last_attempt() == Some(attempt));
    Ok(!running)
}
