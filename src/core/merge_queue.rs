//! The line of each target branch: one landing at a time, in the order in which they were asked for. Results that have to
//! pass a check are verified first, several at once ([`speculation`]), and may land together.
//!
//! A need lands before its dependents: a result that builds on one which is still on its way waits for it. What
//! builds on a result that nobody has asked for is refused when it is asked for (`ops::merge`).

use std::collections::{BTreeMap, BTreeSet};

use super::action::Action;
use super::change::{Direction, Hold};
use super::id::{BranchName, CommitId, TaskId};
use super::inventory::Inventory;
use super::kinds::Kind;
use super::policy::Limits;
use super::speculation;
use super::state::{State, Task, TaskState};
use super::verify::Check;

/// What to do for each target that has a line, and for the runs that verify its candidates.
pub fn next(state: &State, seen: &Inventory, limits: &Limits) -> Vec<Action> {
    let mut lines: BTreeMap<&BranchName, Vec<Entry>> = BTreeMap::new();
    let waiting = state.of_kind(&[Kind::InLine]).filter(|task| !task.on_hold);
    for entry in waiting.filter_map(|task| Entry::of(state, task)) {
        lines.entry(entry.target).or_default().push(entry);
    }
    let mut actions = Vec::new();
    let mut wanted = BTreeSet::new();
    for (target, mut line) in lines {
        line.sort_by_key(Entry::rank);
        let head = line[0];
        match head.check {
            _ if head.is_landing => {
                actions.push(Action::Land(head.task, target.clone()));
                wanted.extend(state.lines().runs().filter(|run| run.target == *target).map(|run| run.number));
            }
            None if head.waits => {}
            None => actions.push(Action::Plan(head.task, target.clone())),
            Some(check) => {
                let group = group(state, &line, check);
                let step = speculation::next(state, seen, limits, &speculation::Group { target, check, tasks: group });
                actions.extend(step.actions);
                wanted.extend(step.wanted);
            }
        }
    }
    actions.extend(speculation::tend(state, seen, &wanted));
    if actions.is_empty() && state.lines().runs().next().is_none() {
        actions.extend(speculation::alone(state, seen));
    }
    actions
}

/// The results at the head of a line that share its check, each behind what it builds on.
fn group<'a>(state: &'a State, line: &[Entry<'a>], check: &Check) -> Vec<&'a Task> {
    let mut open: Vec<&Task> = line
        .iter()
        .take_while(|entry| entry.check == Some(check) || entry.waits)
        .filter(|entry| entry.check == Some(check))
        .filter_map(|entry| state.task(entry.task))
        .collect();
    let mut group: Vec<&Task> = Vec::new();
    // What waits for a result that is in none of these lines' reach waits on.
    while let Some(next) = open.iter().position(|task| {
        let needs = task.spec.needs.iter().filter_map(|id| state.task(*id)).filter(|need| on_its_way(need));
        needs.into_iter().all(|need| group.iter().any(|there| there.id == need.id))
    }) {
        group.push(open.remove(next));
    }
    group
}

fn on_its_way(task: &Task) -> bool {
    matches!(task.state, TaskState::Queued { .. } | TaskState::Landing { .. })
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
    /// What it has to pass; an undo passes nothing.
    check: Option<&'a Check>,
}

impl<'a> Entry<'a> {
    fn of(state: &State, task: &'a Task) -> Option<Self> {
        let (request, place, is_landing) = match &task.state {
            TaskState::Queued { request, place, .. } => (request, *place, false),
            TaskState::Landing { request, place, .. } => (request, *place, true),
            _ => return None,
        };
        // One that lands already is finished all the same: its need may have joined the line since, to be undone.
        let waits = task.spec.needs.iter().filter_map(|id| state.task(*id)).any(on_its_way);
        let check = request.check.as_deref().filter(|_| request.direction == Direction::Fold);
        Some(Self { task: task.id, target: &request.target, place, is_landing, waits, check })
    }

    /// A landing that is under way is finished before anything else; then those that wait for nobody.
    fn rank(entry: &Self) -> (bool, bool, u64) {
        (!entry.is_landing, entry.waits, entry.place)
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
        let actions = next(&sketch::state(tasks), &Inventory::default(), &Limits::default());
        picture.assert_eq(&actions.into_iter().map(shown).collect::<Vec<_>>().join(", "));
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
