//! What happens outside of the screen: a thread that looks on, and threads that do what was asked for.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use super::model::{Deed, Message, What};
use crate::cli::commands::fold as told;
use crate::core::id::{TaskHandle, TaskId};
use crate::core::report::Show;
use crate::ops::logs::{Log, Piece};
use crate::ops::monitor::{Monitor, Picture};
use crate::ops::{Error, Session, control, fold};

/// How often the journal and the log are looked at.
const LOOK: Duration = Duration::from_millis(60);
/// Pieces of a log that are told at once.
const AT_ONCE: usize = 8;

/// What is told to the screen.
#[derive(Debug)]
pub(super) enum News {
    /// Everything stands like this.
    Picture(Box<Picture>),
    /// The log of this attempt goes on so.
    Log((TaskId, u32), Vec<Piece>),
    /// Something that was asked for came out like this.
    Done(Message),
    /// It cannot be looked at just now.
    Blind(Message),
}

/// What the screen wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wish {
    /// Settled tasks too?
    pub(super) is_all: bool,
    /// Whose log.
    pub(super) log: Option<(TaskId, u32)>,
}

/// Look on until the screen is gone.
pub(super) fn look_on(mut monitor: Monitor, wishes: &Receiver<Wish>, news: &SyncSender<News>) {
    let mut log: Option<(Log, (TaskId, u32))> = None;
    let mut wish = Wish { is_all: false, log: None };
    let mut trouble = None;
    loop {
        match wishes.recv_timeout(LOOK) {
            Ok(next) => wish = wishes.try_iter().last().unwrap_or(next),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        monitor.show = if wish.is_all { Show::All } else { Show::Open };
        let told = match monitor.look() {
            Ok(Some(picture)) => news.send(News::Picture(Box::new(picture))),
            Ok(None) => Ok(()),
            // The same trouble is told once.
            Err(error) if trouble.as_ref() == Some(&error.message) => Ok(()),
            Err(error) => {
                trouble = Some(error.message.clone());
                news.send(News::Blind(words(&error)))
            }
        };
        if wish.log != log.as_ref().map(|(_, of)| *of) {
            let open = |of: (TaskId, u32)| Some((monitor.log(of.0, super::text::MOST)?, of));
            log = wish.log.and_then(open);
        }
        let told = told.and_then(|()| log.as_mut().map_or(Ok(()), |(log, of)| tell_log(log, *of, news)));
        if told.is_err() {
            return;
        }
    }
}

fn tell_log(log: &mut Log, of: (TaskId, u32), news: &SyncSender<News>) -> Result<(), std::sync::mpsc::SendError<News>> {
    // What cannot be read now is only not shown.
    let pieces: Vec<Piece> = std::iter::from_fn(|| log.piece().ok().flatten()).take(AT_ONCE).collect();
    if pieces.is_empty() { Ok(()) } else { news.send(News::Log(of, pieces)) }
}

/// Ask for it, and tell how it came out.
pub(super) fn act(directory: PathBuf, deed: Deed, news: SyncSender<News>) {
    std::thread::spawn(move || {
        let message = match done(&directory, &deed) {
            Ok(message) => message,
            Err(error) => words(&error),
        };
        let _ = news.send(News::Done(message));
    });
}

fn words(error: &Error) -> Message {
    let hint = error.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
    Message { is_bad: true, text: crate::core::word::one_line(&format!("{}{hint}", error.message)) }
}

fn done(directory: &Path, deed: &Deed) -> Result<Message, Error> {
    let mut session = Session::open(directory)?;
    let tasks: Vec<TaskHandle> = deed.tasks.iter().map(|id| TaskHandle::Id(*id)).collect();
    let words = match deed.what {
        What::Cancel => control::cancel(&mut session, &tasks, false).map(|_| "asked to end")?,
        What::Retry => control::retry(&mut session, &tasks, control::From::Base).map(|_| "runs again")?,
        What::RetryOntoTarget => control::retry(&mut session, &tasks, control::From::Target)
            .map(|_| "runs again, on what its target is now")?,
        What::Discard => fold::discard(&mut session, &tasks).map(|_| "discarded; `pleach restore` takes that back")?,
        What::Prioritize(priority) => {
            control::prioritize(&mut session, &tasks, priority)?;
            return Ok(said(&tasks, &format!("goes with priority {priority} now")));
        }
        What::Pause | What::Resume => {
            let is_paused = deed.what == What::Pause;
            control::pause(&mut session, is_paused)?;
            let text = if is_paused { "paused: no task starts until p once more" } else { "tasks start again" };
            return Ok(Message { is_bad: false, text: text.to_owned() });
        }
        What::Merge => {
            let all = fold::merge(&mut session, &tasks, &fold::How::default())?;
            let lines: Vec<(bool, String)> = all.iter().map(told::in_a_line).collect();
            let text = lines.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("; ");
            return Ok(Message { is_bad: lines.iter().any(|(is_in, _)| !is_in), text });
        }
    };
    Ok(said(&tasks, words))
}

fn said(tasks: &[TaskHandle], words: &str) -> Message {
    let text = match tasks {
        [task] => format!("task {task}: {words}"),
        tasks => format!("{} tasks: {words}", tasks.len()),
    };
    Message { is_bad: false, text }
}
