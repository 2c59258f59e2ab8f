//! The line of each target branch: one landing at a time, in the order in which they were asked for.
//!
//! A need lands before its dependents: a result that builds on one which is still on its way waits for it. What
//! builds on a result that nobody has asked for is refused when it is asked for (`ops::merge`).

use std::collections::BTreeMap;

use super::action::Action;
use super::change::Hold;
use super::id::{BranchName, CommitId, TaskId};
use super::state::{State, Task, TaskState};

/// What to do for each target that has a line.
pub fn next(state: &State) -> Vec<Action> {
    let mut heads: BTreeMap<&BranchName, Entry> = BTreeMap::new();
    for entry in state.open().filter_map(|task| Entry::of(state, task)) {
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

/// What keeps this result from being folded, whatever the target holds: flags that nobody has accepted.
pub fn flagged(task: &Task, accept_flags: bool) -> Option<Hold> {
    let change = task.result_attempt().and_then(|attempt| attempt.ended.as_ref()?.result.change())?;
    let is_open = !change.flags.is_empty() && !accept_flags;
    is_open.then(|| Hold::Flagged { flags: change.flags.clone() })
}

/// The tips of needs that are not folded by themselves: the target must hold them in some other way.
pub fn unfolded(state: &State, task: &Task, target: &BranchName) -> Vec<(TaskId, CommitId)> {
    let needs = task.spec.needs.iter().filter_map(|id| state.task(*id));
    let open = needs.filter(|need| !need.is_folded_into(target));
    open.filter_map(|need| Some((need.id, need.tip()?))).collect()
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

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::super::sketch;
    use super::*;

    fn check(tasks: &str, picture: Expect) {
        let shown = |action| match action {
            Action::Plan(task, target) => format!("plan {task} into {target}"),
            Action::Land(task, target) => format!("land {task} into {target}"),
            other => panic!("{other:?} is not of the queue"),
        };
        picture.assert_eq(&next(&sketch::state(tasks)).into_iter().map(shown).collect::<Vec<_>>().join(", "));
    }

    #[test]
    fn one_at_a_time_in_the_order_of_asking() {
        check("1 ready; 2 queued; 3 queued; 4 folded; 5 refused", expect!["plan 2 into main"]);
    }

    #[test]
    fn each_target_has_a_line_of_its_own() {
        check("1 queued; 2 queued into dev; 3 queued into dev", expect!["plan 2 into dev, plan 1 into main"]);
    }

    #[test]
    fn a_landing_under_way_is_finished_first() {
        check("1 queued; 2 landing; 3 queued", expect!["land 2 into main"]);
        check("1 undoing; 2 landing after 1", expect!["land 2 into main"]);
    }

    #[test]
    fn needs_land_before_their_dependents_and_nobody_else_waits_for_them() {
        check("1 undoing; 2 queued after 1", expect!["plan 1 into main"]);
        check("1 landing into dev; 2 queued after 1; 3 queued", expect!["land 1 into dev, plan 3 into main"]);
        check("1 landing into dev; 2 queued after 1", expect!["land 1 into dev"]);
        check("1 ready; 2 queued after 1", expect!["plan 2 into main"]);
    }
}
