//! A worktree for somebody whom we do not start: a sub-agent of another program, mostly. It is a task whose command only keeps the
//! place; what is done there becomes a result like any other, under review.
//!
//! It is over when somebody says so ([`leave`]), and in any case with the end of the process that it is for: the shim sees to
//! that, so that a place outlives neither its tenant nor a killed hook. What lies there then is collected, uncommitted or not.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::submit::{self, Wish};
use super::wait;
use super::{Error, ErrorKind, Session, control, look};
use crate::core::id::{AttemptId, TaskHandle, TaskId};
use crate::core::state::{State, Task, TaskState};
use crate::core::task::{CommandLine, FoldPolicy, Tenant};
use crate::core::word::{Word, count, shown};
use crate::process::tool::own_program;
use crate::process::{clock, crash, socket};
use crate::shim::keep;
use crate::shim::watch::{DONE, LARGEST_MESSAGE};
use crate::store::record;

/// How often we look whether it is so.
const STEP: Duration = Duration::from_millis(20);

/// A place that is ready to be worked in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Its task.
    pub task: TaskId,
    /// The worktree.
    pub worktree: PathBuf,
}

/// Make a place, and wait until it can be worked in. Asked again for the same tenant while it is there, it is the same one.
///
/// # Errors
/// Where there is none in time, or its setup hook fails: nobody works there then, and it is ended.
pub fn open(session: &mut Session, tenant: Tenant, patience: Duration) -> Result<Open, Error> {
    let known = session.state()?.open().rfind(|task| is_of(task, &tenant)).map(|task| task.id);
    let task = match known {
        Some(task) => task,
        None => submit::submit(session, wish(tenant)?)?,
    };
    crash::point("tenant.asked");
    let ready = until_ready(session, task, patience);
    if ready.is_err() {
        // Nobody was told of it, so nobody works there.
        let _ = control::cancel(session, &[TaskHandle::Id(task)], true);
    }
    ready
}

fn is_of(task: &Task, tenant: &Tenant) -> bool {
    let is_same =
        |known: &Tenant| (&known.by, &known.name, &known.session) == (&tenant.by, &tenant.name, &tenant.session);
    task.has_work_ahead() && task.spec.tenant.as_deref().is_some_and(is_same)
}

fn wish(tenant: Tenant) -> Result<Wish, Error> {
    let cannot = |error| Error::plain(ErrorKind::Error, format!("our own program cannot be found: {error}"));
    let program = own_program().map_err(cannot)?;
    let command = CommandLine::Exec(vec![Word::from(program), Word::from(keep::KEEP)]);
    Ok(Wish {
        name: tenant.name.parse().ok(),
        message: Some(format!("{}, by {}", shown(&tenant.name), shown(&tenant.by))),
        // It may end because somebody was killed: what is half done must not land by itself.
        fold: Some(FoldPolicy::Review),
        retries: Some(0),
        tenant: Some(tenant),
        ..Wish::new(command)
    })
}

fn until_ready(session: &mut Session, id: TaskId, patience: Duration) -> Result<Open, Error> {
    let layout = session.make_layout()?.clone();
    let due =
        clock::now().saturating_add(patience).map_err(|error| Error::plain(ErrorKind::Usage, error.to_string()))?;
    let seen = Session::open(&session.stands)?;
    let attempt_of = |state: &State| state.task(id).and_then(Task::last_attempt);
    let mut ready: Option<AttemptId> = None;
    let ended = wait::wait_while(session, &[id], false, STEP, &mut || {
        let attempt = seen.state().ok().and_then(|state| attempt_of(&state));
        ready = attempt.filter(|attempt| {
            let said = record::load::<record::Progress>(&layout.attempt(*attempt).progress());
            said.ok().flatten().and_then(|said| said.text).is_some_and(|text| text == keep::READY)
        });
        ready.is_none() && clock::now() < due
    })?;
    if let (Some(attempt), false) = (ready, ended) {
        return Ok(Open { task: id, worktree: layout.worktree(attempt) });
    }
    if !ended {
        let why = look::waits(session, &session.state()?, id)
            .unwrap_or_else(|| "its worktree is still being prepared".to_owned());
        let message = format!("task {id} has no worktree that can be worked in yet: {why}");
        return Err(Error::new(
            ErrorKind::TimedOut,
            message,
            format!("see what it waits for with `pleach status {id}`"),
        ));
    }
    let state = session.state()?;
    let outcome = state.task(id).and_then(|task| task.attempts.last()).and_then(|attempt| attempt.ended.as_ref());
    let why = outcome.map_or_else(|| "it was withdrawn".to_owned(), |ended| ended.outcome.to_string());
    let message = format!("task {id} got no worktree that can be worked in: {why}");
    Err(Error::new(ErrorKind::Error, message, format!("see more with `pleach logs {id}`")))
}

/// Say that whoever works in these places is through, with what they have to say in the end; and wait until what is there is collected.
///
/// # Errors
/// Where one is no such place, or the time is over: it goes on by itself.
pub fn leave(session: &mut Session, ids: &[TaskId], words: &str, patience: Duration) -> Result<(), Error> {
    let state = session.state()?;
    for id in ids {
        if state.task(*id).is_none_or(|task| task.spec.tenant.is_none()) {
            let message = format!("task {id} is no place that somebody else works in");
            return Err(Error::new(ErrorKind::Refused, message, format!("end it with `pleach cancel {id}`")));
        }
    }
    let waiting = ids.iter().filter(|id| state.task(**id).is_some_and(|task| task.state == TaskState::Pending));
    let waiting: Vec<TaskHandle> = waiting.copied().map(TaskHandle::Id).collect();
    if !waiting.is_empty() {
        control::cancel(session, &waiting, false)?;
    }
    let due =
        clock::now().saturating_add(patience).map_err(|error| Error::plain(ErrorKind::Usage, error.to_string()))?;
    let message = [DONE, words.as_bytes()].concat();
    let message = &message[..message.len().min(LARGEST_MESSAGE)];
    let seen = Session::open(&session.stands)?;
    let layout = session.make_layout()?.clone();
    let mut told = BTreeSet::new();
    let ended = wait::wait_while(session, ids, false, STEP, &mut || {
        let state = seen.state().unwrap_or_default();
        // One that is just coming up hears nothing yet; one whose shim is dead is collected without being told.
        for attempt in ids.iter().filter_map(|id| state.task(*id)?.last_attempt()) {
            if !told.contains(&attempt) && socket::send(&layout.attempt(attempt).control(), message).is_ok() {
                told.insert(attempt);
            }
        }
        clock::now() < due
    })?;
    if ended {
        return Ok(());
    }
    let message = "what is there is not collected yet; that goes on by itself";
    Err(Error::new(ErrorKind::TimedOut, message, "see how far it is with `pleach ls`"))
}

/// The task whose worktree this is or was, or in whose worktree this is; and the checkout that it is of.
pub fn of_path(path: &Path) -> Option<(AttemptId, PathBuf)> {
    let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
    let found = path.ancestors().find_map(|top| {
        let attempt: AttemptId = name(top)?.strip_prefix("pleach-")?.parse().ok()?;
        let worktrees = top.parent().filter(|parent| name(parent).is_some_and(|name| name == "worktrees"))?;
        Some((attempt, worktrees.parent()?.join("attempts").join(attempt.to_string())))
    });
    let (attempt, dir) = found?;
    let spec: record::Spec = record::load(&crate::store::layout::AttemptDir(dir).spec()).ok().flatten()?;
    let checkout = spec.checkout.as_ref().map(|checkout| checkout.as_path().to_owned()).filter(|path| path.is_dir());
    Some((attempt, checkout.unwrap_or_else(|| spec.repository.as_path().to_owned())))
}

/// What became of what somebody did in a place, in one line that ends with the next step.
pub fn told(task: &Task) -> String {
    let (id, by) = (task.id, task.spec.tenant.as_ref().map(|tenant| shown(&tenant.name)).unwrap_or_default());
    let size = task.result_attempt().and_then(|attempt| task.change(attempt.number)).map(|change| change.size);
    match (&task.state, size) {
        (TaskState::Pending | TaskState::Running { .. }, _) => format!("task {id} ({by}) is being worked on"),
        (TaskState::Empty, _) => format!("task {id} ({by}) changed nothing"),
        (TaskState::Ready { .. }, Some(size)) => format!(
            "task {id} ({by}) changed {}, and waits for review: `pleach diff {id}`, then `pleach merge {id}` or `pleach discard {id}`",
            count(u64::from(size.files), "file")
        ),
        _ => format!("task {id} ({by}): see where it stands with `pleach status {id}`"),
    }
}
