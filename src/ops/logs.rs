//! The output of a task.

use std::path::PathBuf;

use super::client::Client;
use super::{Error, ErrorKind, Session, find, find_attempt};
use crate::core::delegate;
use crate::core::id::{AttemptId, TaskHandle};
use crate::core::state::{Attempt, TaskState};
use crate::core::terminal::Gentle;
pub use crate::store::log::Piece;
use crate::store::log::Reader;

/// A log to read.
#[derive(Debug)]
pub struct Log {
    /// Whose.
    pub attempt: AttemptId,
    /// Where it is.
    pub dir: PathBuf,
    /// What of it is on its way to a terminal.
    pub terminal: Gentle,
    reader: From,
}

/// Where it comes from.
#[derive(Debug)]
enum From {
    /// Files.
    Files(Reader),
    /// Whoever serves a task inside.
    Asked {
        /// Whom to ask.
        client: Client,
        /// What for.
        ask: delegate::Log,
    },
}

impl Log {
    /// The whole log of an attempt, or of a run of a check, in this directory.
    pub(super) fn whole(attempt: AttemptId, dir: PathBuf) -> Self {
        Self { attempt, reader: From::Files(Reader::new(&dir)), terminal: Gentle::default(), dir }
    }

    /// Read from this byte on.
    pub fn go_to(&mut self, offset: u64) {
        match &mut self.reader {
            From::Files(reader) => *reader = Reader::at(&self.dir, offset),
            From::Asked { ask, .. } => (ask.from, ask.tail) = (offset, None),
        }
    }

    /// The offset of what comes next.
    pub fn offset(&self) -> u64 {
        match &self.reader {
            From::Files(reader) => reader.offset(),
            From::Asked { ask, .. } => ask.from,
        }
    }

    /// What comes next of what is there now.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn piece(&mut self) -> Result<Option<Piece>, Error> {
        match &mut self.reader {
            From::Files(reader) => reader.read().map_err(|error| cannot_read(self.attempt, &error)),
            From::Asked { client, ask } => {
                let piece = client.log(ask.clone())?;
                (ask.from, ask.tail) = (piece.next, None);
                let bytes = piece.bytes.map(|bytes| Piece::Bytes(bytes.as_bytes().to_vec()));
                Ok(bytes.or(piece.dropped.map(Piece::Dropped)))
            }
        }
    }
}

fn cannot_read(attempt: AttemptId, error: &std::io::Error) -> Error {
    Error::plain(ErrorKind::Error, format!("cannot read the log of {attempt}: {error}"))
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
        Some(number) => Some(find_attempt(task, number)?),
    };
    // What is a part of a result never ran: what was written is of the attempt that did.
    let ran = |attempt: &Attempt| attempt.part_of.and_then(|whole| task.attempt(whole));
    let found = std::iter::successors(found, |attempt| ran(attempt)).last();
    if let (Some(found), Some(socket)) = (found, &session.inside) {
        let attempt = task.attempt_id(found.number);
        let (client, ask) = (Client::inside(socket)?, delegate::Log { attempt, from: 0, tail });
        return Ok(Log {
            attempt,
            reader: From::Asked { client, ask },
            terminal: Gentle::default(),
            dir: PathBuf::new(),
        });
    }
    let (Some(found), Some(layout)) = (found, session.layout()) else {
        let message = format!("task {} has not run yet", task.id);
        return Err(Error::new(ErrorKind::Refused, message, "see it with `pleach status`"));
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
    let reader = reader.map_err(|error| cannot_read(attempt, &error))?;
    Ok(Log { attempt, reader: From::Files(reader), terminal: Gentle::default(), dir })
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
