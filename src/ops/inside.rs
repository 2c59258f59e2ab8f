//! What a task can say and ask from inside: of itself over one socket, for tasks of its own over another.
//!
//! All that a person asks for is there for a task as far as [`Ask`] has words for it. The rest is refused here, with a next
//! step; and outside once more, where it counts.

use std::path::PathBuf;

use super::submit::Wish;
use super::verify::How;
use super::{Error, ErrorKind, Session, agents, find};
use crate::config;
use crate::coordinator::protocol::{Request, Response, Until};
use crate::core::delegate::{Ask, Await, Cancel, Child, Handed};
use crate::core::id::{TaskHandle, TaskId};
use crate::core::task::CommandLine;
use crate::core::word::Word;
use crate::git::Found;
use crate::process::socket;
use crate::shim::watch::LARGEST_MESSAGE;
pub use crate::shim::watch::Message;
use crate::store::layout::ASKS;

/// Tell the outside something.
///
/// # Errors
/// Where this is not inside a task, or what is said is too long.
pub fn tell(message: &Message) -> Result<(), Error> {
    let Some(inside) = config::env::inside() else {
        return Err(Error::new(
            ErrorKind::Usage,
            "this is not inside a task",
            "call it from the command that `pleach run` or `pleach add` runs",
        ));
    };
    let bytes = serde_json::to_vec(message).expect("messages are enums of strings and numbers");
    if bytes.len() > LARGEST_MESSAGE {
        let message = format!("that is longer than {} bytes", LARGEST_MESSAGE);
        return Err(Error::new(ErrorKind::Usage, message, "say less, and commit the rest as a file"));
    }
    socket::send(&inside.socket, &bytes)
        .map_err(|error| Error::plain(ErrorKind::Error, format!("the outside does not listen: {error}")))
}

/// Where a task asks whose own repository this is; none outside, and in any other repository.
pub(super) fn socket(found: &Found) -> Option<PathBuf> {
    let inside = config::env::inside()?;
    let is_own = found.repository.common_dir().join("../spec.json").exists();
    is_own.then(|| inside.socket.with_file_name(ASKS))
}

/// What a task can do instead of what it may not, by a word of that.
const INSTEAD: &[(&str, &str)] = &[
    ("plan", "hand its tasks over one by one: `pleach add`, with `--after` for what one needs"),
    ("retry", "see why it failed with `pleach logs`, and hand it over once more: `pleach add`"),
    (
        "merge",
        "take it over here, and it is part of this task's result: `pleach diff 7 | git apply`, or `git cherry-pick`",
    ),
    ("discard", "leave it: whoever started this task decides about it"),
    ("--base", "what it has to see of what is done here goes into its command or its prompt"),
];

/// It is for a person, and not for a task.
pub(super) fn refused(what: &str) -> Error {
    let general = "from inside a task: add, run, wait, ls, status, logs, diff and cancel, of its own tasks; the rest is for whoever \
                   started it";
    let instead = INSTEAD.iter().find(|(word, _)| what.contains(word)).map_or(general, |(_, instead)| instead);
    Error::new(ErrorKind::Inside, format!("{what} is not for a task to ask for"), instead)
}

/// What a task asks, where that can be said at all.
pub(super) fn ask(request: &Request) -> Result<Ask, Error> {
    match request {
        Request::Cancel { tasks, now } => Ok(Ask::Cancel(Cancel { tasks: tasks.clone(), now: *now })),
        Request::Await { tasks, until, any } => {
            Ok(Ask::Await(Await { tasks: tasks.clone(), any: *any, landed: *until == Until::Landed }))
        }
        Request::SubmitPlan { .. } => Err(refused("a plan")),
        Request::Retry { .. } => Err(refused("a retry")),
        Request::Fold { .. } => Err(refused("to merge, or to take that back,")),
        Request::Discard { .. } | Request::Restore { .. } | Request::Free { .. } | Request::TakePart { .. } => {
            Err(refused("to decide about a result"))
        }
        _ => Err(refused("that")),
    }
}

/// Fail inside of a task.
///
/// # Errors
/// There.
pub fn require_outside(session: &Session, what: &str) -> Result<(), Error> {
    if session.is_inside() { Err(refused(what)) } else { Ok(()) }
}

/// Ask for a task of this one's own.
pub(super) fn submit(session: &mut Session, wish: Wish, request: String) -> Result<TaskId, Error> {
    let child = child(session, wish, request)?;
    match session.coordinator()?.ask_inside(&Ask::Submit(Box::new(child)))? {
        Response::Submitted(task) => Ok(task),
        other => Err(Error::plain(ErrorKind::Error, format!("the outside answered {other:?}"))),
    }
}

/// What is said for tasks of people only.
fn too_much(wish: &Wish) -> Option<&'static str> {
    let said = [
        (wish.base.is_some(), "--base (it starts from what this task started from)"),
        (wish.into.is_some(), "--into (it is for the branch that this task is for)"),
        (wish.publish.is_some(), "--publish"),
        (wish.strategy.is_some(), "--strategy"),
        (!wish.copy.is_empty(), "--copy"),
        (wish.verify.how != How::Configured, "--verify"),
        (wish.role.is_some(), "--role (it has the role of this task)"),
    ];
    said.into_iter().find_map(|(is_said, what)| is_said.then_some(what))
}

fn child(session: &Session, wish: Wish, request: String) -> Result<Child, Error> {
    if let Some(what) = too_much(&wish) {
        return Err(refused(what));
    }
    let after: Vec<TaskHandle> = wish.after;
    let after = if after.is_empty() {
        Vec::new()
    } else {
        find(&session.state()?, &after)?.iter().map(|task| task.id).collect()
    };
    let prefix = session.found.checkout.as_ref().map(|checkout| Word::from(checkout.prefix.as_path()));
    let prompt = wish.agent.map(handed).transpose()?;
    Ok(Child {
        request,
        name: wish.name,
        command: Some(wish.command).filter(|_| prompt.is_none()).filter(|line| *line != CommandLine::Exec(Vec::new())),
        prompt,
        directory: prefix,
        priority: wish.priority,
        timeout: wish.timeout,
        grace: wish.grace,
        after,
        group: wish.group,
        retries: wish.retries,
        env: wish.env,
        fold: wish.fold,
        message: wish.message,
        log_cap: wish.log_cap,
        no_setup: !wish.setup,
        read_only: wish.read_only,
        paths: wish.paths,
        network: wish.network,
        memory: wish.memory,
        processes: wish.processes,
        require: wish.require_sandbox,
    })
}

fn handed(wanted: agents::Wanted) -> Result<Handed, Error> {
    if wanted.budget.is_some() {
        return Err(refused("--budget"));
    }
    let agents::Wanted { name, model, turns, changes, prompt, .. } = wanted;
    Ok(Handed { agent: name, prompt: prompt.unwrap_or_default(), model, turns, changes })
}
