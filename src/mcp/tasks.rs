//! The tasks extension of the protocol (`io.modelcontextprotocol/tasks`), over our own store.
//!
//! A client that declares it need not keep a call open while it waits: `delegate_wait`, and a `delegate_merge` that is not through at
//! once, answer with a task of the protocol, which it asks about with `tasks/get`. Nothing is kept for that. The id says what is waited
//! for, and what became of it is in the journal: it can be asked of another server, and after this one was killed. The id of a task of
//! ours is one of the protocol, too: `tasks/get` tells of it, `tasks/cancel` cancels it.
#![expect(clippy::disallowed_methods, reason = "how long a client waits is measured here")]

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use rmcp::model::{DetailedTask, Task as Described, TaskPayload, TaskStatus};
use serde_json::Value;

use super::answer::Answer;
use super::{Call, act, args, look, waiting};
use crate::core::id::{TaskHandle, TaskId};
use crate::core::state::{Task, TaskState};
use crate::ops::{self, Error, ErrorKind, Session, control, wait};

/// How often a client should ask, in milliseconds.
const POLL: u64 = 1000;
/// Seconds that a merge may take before it becomes a task.
const AT_ONCE: u64 = 2;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// The end of a task of ours.
    Task,
    /// The end of all of them.
    All,
    /// The end of one of them.
    Any,
    /// That they have landed, or will not.
    Merge,
}

impl What {
    const WORDS: [(&'static str, Self); 3] = [("all", Self::All), ("any", Self::Any), ("merge", Self::Merge)];
}

/// A task of the protocol. Its text is all that there is of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Handle {
    what: What,
    tasks: Vec<TaskId>,
    /// When it was made, and when it is over in any case; seconds.
    made: i64,
    due: Option<i64>,
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list: Vec<String> = self.tasks.iter().map(ToString::to_string).collect();
        let word = What::WORDS.iter().find(|(_, what)| *what == self.what).map(|(word, _)| *word);
        match word {
            None => f.write_str(&list.join(",")),
            Some(word) => write!(f, "{word}-{}-{}-{}", list.join(","), self.made, self.due.unwrap_or(0)),
        }
    }
}

impl FromStr for Handle {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let unknown = || {
            Error::new(
                ErrorKind::UnknownTask,
                format!("there is no task {text:?}"),
                "see all tasks with delegate_status",
            )
        };
        if let Ok(task) = text.parse() {
            return Ok(Self { what: What::Task, tasks: vec![task], made: 0, due: None });
        }
        let parts: Vec<&str> = text.split('-').collect();
        let [word, list, made, due] = parts[..] else { return Err(unknown()) };
        let what = What::WORDS.iter().find(|(known, _)| *known == word).ok_or_else(unknown)?.1;
        let tasks = list.split(',').map(str::parse).collect::<Result<Vec<TaskId>, _>>().map_err(|_| unknown())?;
        let [made, due] = [made, due].map(|number| number.parse::<i64>());
        let (Ok(made), Ok(due)) = (made, due) else { return Err(unknown()) };
        Ok(Self { what, tasks, made, due: (due > 0).then_some(due) })
    }
}

/// What a call is answered with.
pub(super) enum Instead {
    /// As always.
    Nothing,
    /// It is through already.
    Answer(Answer),
    /// A task of the protocol.
    Task(Described),
}

/// Answer a call at once, with a task of the protocol where the tool waits for something.
///
/// # Errors
/// As the tool itself.
pub(super) fn instead(call: &Call, tool: &str, arguments: &Value) -> Result<Instead, Error> {
    let made = Timestamp::now().as_second();
    let handle = match tool {
        "delegate_wait" => {
            let args: args::Wait = args::read(tool, arguments.clone())?;
            let session = call.session()?;
            let tasks = match look::meant(&session, args.task_ids.as_ref(), args.batch_id.as_ref())? {
                Some(tasks) => tasks,
                None => wait::meant(&session, &[])?,
            };
            let what = if args.mode == Some(args::Mode::Any) { What::Any } else { What::All };
            let due = args.timeout_s.map(|seconds| made.saturating_add_unsigned(seconds.max(1)));
            Handle { what, tasks, made, due }
        }
        "delegate_merge" => {
            let args: args::Merge = args::read(tool, arguments.clone())?;
            let mut shorter = arguments.clone();
            shorter["timeout_s"] = args.timeout_s.unwrap_or(AT_ONCE).min(AT_ONCE).into();
            let answer = act::merge(call, shorter)?;
            if answer.value["timed_out"] != true {
                return Ok(Instead::Answer(answer));
            }
            let tasks = args::handles(&args.task_ids)?;
            let tasks = ops::find(&call.session()?.state()?, &tasks)?.iter().map(|task| task.id).collect();
            Handle { what: What::Merge, tasks, made, due: None }
        }
        _ => return Ok(Instead::Nothing),
    };
    match handle.tasks.is_empty() {
        true => Ok(Instead::Nothing),
        false => Ok(Instead::Task(seen(call, &handle)?.task)),
    }
}

/// `tasks/get`
///
/// # Errors
/// Where there is no such task.
pub(super) fn get(call: &Call, id: &str) -> Result<DetailedTask, Error> {
    seen(call, &id.parse()?)
}

/// `tasks/cancel`: a task of ours is ended, and a merge is taken out of its line. Who waited just waits no more.
///
/// # Errors
/// Where there is no such task, or it can be ended no more.
pub(super) fn cancel(call: &Call, id: &str) -> Result<(), Error> {
    let handle: Handle = id.parse()?;
    let mut session = call.changing()?;
    let tasks: Vec<TaskHandle> = handle.tasks.iter().copied().map(TaskHandle::Id).collect();
    let state = session.state()?;
    let found = ops::find(&state, &tasks)?;
    match handle.what {
        What::Task if found.iter().any(|task| task.has_work_ahead()) => {
            control::cancel(&mut session, &tasks, false).map(drop)
        }
        What::Merge => {
            let queued = found.iter().filter(|task| matches!(task.state, TaskState::Queued { .. }));
            let queued: Vec<TaskHandle> = queued.map(|task| TaskHandle::Id(task.id)).collect();
            if queued.is_empty() { Ok(()) } else { control::leave(&mut session, &queued).map(drop) }
        }
        What::Task | What::All | What::Any => Ok(()),
    }
}

/// `tasks/update`: nothing of ours ever asks anything.
///
/// # Errors
/// Where there is no such task.
pub(super) fn update(call: &Call, id: &str) -> Result<(), Error> {
    get(call, id).map(drop)
}

fn seen(call: &Call, handle: &Handle) -> Result<DetailedTask, Error> {
    let mut session = call.session()?;
    let state = session.state()?;
    session.wake(&state);
    let handles: Vec<TaskHandle> = handle.tasks.iter().copied().map(TaskHandle::Id).collect();
    let tasks = ops::find(&state, &handles)?;
    let open = tasks.iter().filter(|task| is_under_way(task)).count();
    let now = Timestamp::now();
    let is_over = handle.due.is_some_and(|due| now.as_second() >= due);
    let is_through = match handle.what {
        What::Any => open < tasks.len(),
        What::Task | What::All | What::Merge => open == 0,
    };
    let made = if handle.made > 0 { Timestamp::from_second(handle.made).ok() } else { None };
    let made = made.or_else(|| tasks.iter().map(|task| task.submitted).min()).unwrap_or(now);
    let ended = tasks.iter().filter_map(|task| Some(task.attempts.last()?.ended.as_ref()?.at)).max();
    let moved = ended.unwrap_or(made).max(made);
    let said = format!("{} of {} ended", tasks.len() - open, tasks.len());
    let described = Described::new(handle.to_string(), TaskStatus::Working, made.to_string(), moved.to_string())
        .with_status_message(said)
        .with_poll_interval_ms(POLL);
    let payload = match (handle.what, &tasks[0].state) {
        (What::Task, TaskState::Withdrawn) => TaskPayload::Cancelled,
        _ if !is_through && !is_over => TaskPayload::Working,
        _ => TaskPayload::Completed { result: result(call, &mut session, handle, !is_through)? },
    };
    Ok(DetailedTask::new(described, payload))
}

/// Is it not yet where it goes by itself?
fn is_under_way(task: &Task) -> bool {
    task.has_work_ahead()
        || (matches!(task.state, TaskState::Queued { .. } | TaskState::Landing { .. }) && !task.on_hold)
}

/// What the call would have been answered, had it waited.
fn result(
    call: &Call,
    session: &mut Session,
    handle: &Handle,
    timed_out: bool,
) -> Result<serde_json::Map<String, Value>, Error> {
    let mut answer = match handle.what {
        What::All | What::Any => waiting::answer(session, &handle.tasks, timed_out)?,
        What::Task | What::Merge => {
            let ids: Vec<String> = handle.tasks.iter().map(ToString::to_string).collect();
            look::result(call, serde_json::json!({ "task_ids": ids }))?
        }
    };
    if handle.what == What::Merge {
        answer.value["timed_out"] = false.into();
    }
    match serde_json::to_value(super::result(Ok(answer))) {
        Ok(Value::Object(result)) => Ok(result),
        _ => Err(Error::plain(ErrorKind::Error, "what is to be said is no object of JSON")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_all_that_there_is_to_it() {
        for text in ["7", "all-7,8-1795882177-0", "any-1-5-9", "merge-3-1-0"] {
            assert_eq!(text.parse::<Handle>().unwrap().to_string(), text);
        }
        for wrong in ["", "x", "all-7", "all--1-0", "all-7-x-0", "none-7-1-0", "all-7,-1-0", "-7", "all-7-1-0-0"] {
            assert_eq!(wrong.parse::<Handle>().unwrap_err().kind, ErrorKind::UnknownTask, "{wrong}");
        }
    }
}
