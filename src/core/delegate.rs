//! Delegating from inside: what a running task may ask for, what its children are, and what becomes of them with it.
//!
//! A task asks over a socket of its own ([`Ask`]); who asks is known from the socket, and is not part of what is asked.
//! There is no word here for anything that widens: a child is made of the spec of its parent ([`child()`]), and what is asked
//! can only take away from that. Whether there may be one more level is frozen in the spec ([`Delegation`]).
//!
//! A parent that is interrupted interrupts its children ([`follow`]); one that ended well has handed them over, and they go on.

mod child;

use serde::{Deserialize, Serialize};

use super::event::Event;
use super::id::{AttemptId, TaskId};
use super::kinds::Kind;
use super::state::{State, Task, TaskState};
use super::word::Word;
pub use child::{Asker, Child, Handed, child, marked};

/// The longest question of a task, in bytes.
pub const LONGEST: usize = 1 << 20;

/// How far a task may delegate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Delegation {
    /// How many levels of tasks there may be below it; 0: it delegates nothing.
    pub levels: u32,
    /// How many tasks one attempt of it may start.
    pub children: u32,
}

impl Delegation {
    /// As it is set where nobody said anything: tasks of tasks, and no further.
    pub const DEPTH: u32 = 2;
    /// Children of one attempt, where nobody said anything.
    pub const CHILDREN: u32 = 64;

    /// For a task that a person starts, where tasks may be nested so deep: 1 is that task itself.
    pub fn of_depth(depth: u32, children: u32) -> Self {
        let levels = if children == 0 { 0 } else { depth.saturating_sub(1) };
        if levels == 0 { Self::default() } else { Self { levels, children } }
    }

    /// For a task of a task that has this.
    #[must_use]
    pub fn below(self) -> Self {
        Self::of_depth(self.levels, self.children)
    }
}

/// What a task may ask from inside. What is no line of this is refused, whatever it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Take a task. The same `request` twice is one task.
    Submit(Box<Child>),
    /// End these of its own; those that wait are withdrawn.
    #[serde(rename = "cancel")]
    Cancel(Cancel),
    /// Answer when these of its own have got there.
    #[serde(rename = "await")]
    Await(Await),
    /// Where its own stand: the state, with nothing else in it.
    State,
    /// What an attempt of its own wrote.
    Log(Log),
}

/// End these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    /// Which.
    pub tasks: Vec<TaskId>,
    /// Without grace?
    pub now: bool,
}

/// Wait for these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Await {
    /// Which.
    pub tasks: Vec<TaskId>,
    /// Is one enough?
    pub any: bool,
    /// Also until they have got where they go by themselves?
    pub landed: bool,
}

/// A piece of what an attempt wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Which.
    pub attempt: AttemptId,
    /// From this byte on.
    pub from: u64,
    /// Or from the beginning of this many last lines.
    pub tail: Option<usize>,
}

/// What came of the last one: a piece, or nothing where nothing is new.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LogPiece {
    /// Output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Word>,
    /// So many bytes were written here and not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<u64>,
    /// The offset of what comes next.
    pub next: u64,
}

/// A question, and who asks: the shim says so, which has the socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relayed {
    /// The attempt that asks.
    pub by: AttemptId,
    /// What it asks.
    pub ask: Ask,
    /// The values of the secrets that it was given, which its children are given as well.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub secrets: std::collections::BTreeMap<String, Word>,
}

/// It is not granted to a task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Denied {
    /// What, and why not.
    pub message: String,
    /// The next step.
    pub hint: String,
}

impl Denied {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

/// Its parent, the parent of that, and so on.
pub fn ancestors<'a>(state: &'a State, task: &Task) -> impl Iterator<Item = &'a Task> {
    let above = |task: &Task| {
        // Whoever asks is older than what it asked for, so this ends.
        task.spec.parent.filter(|parent| parent.task < task.id).and_then(|parent| state.task(parent.task))
    };
    std::iter::successors(above(task), move |task| above(task))
}

/// Did this task ask for it, or one that it asked for?
pub fn is_descendant(state: &State, task: &Task, of: TaskId) -> bool {
    ancestors(state, task).any(|above| above.id == of)
}

/// The tasks that a task asked for, and those that they asked for, oldest first.
pub fn descendants(state: &State, of: TaskId) -> Vec<TaskId> {
    let mut found = children(state, of);
    // Whoever asks is older than what it asked for, so this ends.
    for at in 0.. {
        let Some(next) = found.get(at) else { break };
        found.extend(children(state, *next));
    }
    found.sort_unstable();
    found
}

/// The tasks that a task asked for itself, oldest first.
pub fn children(state: &State, of: TaskId) -> Vec<TaskId> {
    state.asked_by(of).into_iter().map(|task| task.id).collect()
}

/// The state as a task is shown it: what it delegated, and nothing of anybody else's.
pub fn view(state: &State, of: TaskId) -> State {
    let shown = descendants(state, of);
    let task = |id: &TaskId| {
        let mut task = state.task(*id)?.clone();
        task.spec.needs.retain(|need| shown.contains(need));
        task.spec.checkout = None;
        task.spec.called = None;
        task.spec.environment = None;
        // What it called its question, without what was set before that.
        if let Some(said) = task.spec.request.strip_prefix(&marked(task.spec.parent?, "")) {
            task.spec.request = said.to_owned();
        }
        Some(task)
    };
    state.only(shown.iter().filter_map(task))
}

/// What becomes of children because of their parents: to be written down now.
pub fn follow(state: &State) -> Vec<Event> {
    state.of_kind(&[Kind::Delegated]).filter(|task| !task.adopted).filter_map(|task| next(state, task)).collect()
}

fn next(state: &State, task: &Task) -> Option<Event> {
    let now = interrupted(state, task.spec.parent?)?;
    match task.state {
        TaskState::Pending => Some(Event::Withdrawn { task: task.id }),
        TaskState::Running { cancel: None } => Some(Event::CancelRequested { task: task.id, now }),
        TaskState::Running { cancel: Some(false) } if now => Some(Event::CancelRequested { task: task.id, now }),
        _ => None,
    }
}

/// Was the parent told to end, or did it not end well? Then whether that was, or is to be, without grace.
fn interrupted(state: &State, parent: AttemptId) -> Option<bool> {
    let task = state.task(parent.task)?;
    match &task.attempt(parent.number)?.ended {
        None => match task.state {
            TaskState::Running { cancel } if task.last_attempt() == Some(parent) => cancel,
            _ => None,
        },
        Some(ended) => (!ended.outcome.is_success()).then_some(false),
    }
}

#[cfg(test)]
mod tests;
