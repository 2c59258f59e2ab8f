//! The line of each target branch: one landing at a time, in the order in which they were asked for.
//!
//! A need lands before its dependents: a result that builds on one which is still on its way waits for it. What
//! builds on a result that nobody has asked for is refused when it is asked for (`ops::merge`).

use std::collections::BTreeMap;

use super::action::Action;
use super::id::{BranchName, TaskId};
use super::state::{State, Task, TaskState};

/// What to do for each target that has a line.
pub fn next(state: &State) -> Vec<Action> {
    let mut heads: BTreeMap<&BranchName, Entry> = BTreeMap::new();
    for entry in state.tasks().filter_map(|task| Entry::of(state, task)) {
        let head = heads.entry(entry.target).or_insert(entry);
        if entry.rank() < head.rank() {
            *head = entry;
        }
    }
    let action = |entry: Entry| match entry.is_landing {
        true => Action::Land(entry.task, entry.target.clone()),
        false => Action::Plan(entry.task, entry.target.clone()),
    };
    heads.into_values().filter(|head| !head.waits).map(action).collect()
}

#[derive(Clone, Copy)]
struct Entry<'a> {
    task: TaskId,
    target: &'a BranchName,
    place: u64,
    is_landing: bool,
    waits: bool,
}

impl<'a> Entry<'a> {
    fn of(state: &State, task: &'a Task) -> Option<Self> {
        let (request, place, is_landing) = match &task.state {
            TaskState::Queued { request, place, .. } => (request, *place, false),
            TaskState::Landing { request, place, .. } => (request, *place, true),
            _ => return None,
        };
        let on_its_way = |need: &Task| matches!(need.state, TaskState::Queued { .. } | TaskState::Landing { .. });
        // One that lands already waits for nobody: its need may have joined the line since, to be undone.
        let waits = !is_landing && task.spec.needs.iter().filter_map(|id| state.task(*id)).any(on_its_way);
        Some(Self { task: task.id, target: &request.target, place, is_landing, waits })
    }

    /// A landing that is under way is finished before anything else; then those that wait for nobody.
    fn rank(&self) -> (bool, bool, u64) {
        (!self.is_landing, self.waits, self.place)
    }
}
