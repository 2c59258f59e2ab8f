//! Who starts next.
//!
//! Needs first; then priority, where waiting counts ([`RAISE`] seconds of it are one level, without end, so
//! that nothing starves); then the longer chain of dependents; then age.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::action::Subject;
use super::id::{AttemptId, TaskId};
use super::inventory::Inventory;
use super::policy::Limits;
use super::state::{State, Task, TaskState, Waiting};

/// Seconds of waiting that are worth one level of priority.
pub const RAISE: i64 = 600;

/// The attempts to start now, in order, within the limits.
pub fn next(state: &State, seen: &Inventory, limits: &Limits, now: Timestamp) -> Vec<AttemptId> {
    if state.is_paused() || is_disk_short(seen, limits) {
        return Vec::new();
    }
    let mut room = Room::new(state, limits);
    // A task that is being given its base has its slot already, although no event says so yet; also one that was
    // withdrawn meanwhile, for a retry may come before the start does.
    let starting: BTreeSet<TaskId> = starting(state, seen).collect();
    for task in starting.iter().filter_map(|id| state.task(*id)) {
        room.take(task);
    }
    let slots = room.tasks;
    let is_free = |task: &&Task| slots > 0 || task.spec.tenant.is_some();
    let is_ready = |task: &&Task| {
        is_free(task)
            && state.waiting(task) == Some(Waiting::Turn)
            && !starting.contains(&task.id)
            && limit(state, task, now).is_none()
    };
    let mut ready: Vec<&Task> = state.open().filter(is_ready).collect();
    if ready.is_empty() {
        return Vec::new();
    }
    let chains = Chains::of(state);
    ready.sort_by_cached_key(|task| Reverse(urgency(task, &chains, now)));
    ready.into_iter().filter(|task| room.take(task)).map(Task::next_attempt).collect()
}

/// The tasks whose next attempt is being given its base.
fn starting(state: &State, seen: &Inventory) -> impl Iterator<Item = TaskId> {
    seen.busy.iter().filter_map(|subject| match subject {
        Subject::Attempt(attempt) => {
            state.task(attempt.task).filter(|task| task.next_attempt() == *attempt).map(|task| task.id)
        }
        Subject::Target(_) | Subject::Candidate(..) | Subject::Run(_) | Subject::Task(_) => None,
    })
}

/// Where a task stands that needs nothing more, and is not running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What it waits for.
    pub waiting: Waiting,
    /// Which it is among those that wait for their turn alone, from 1; 0 where it waits for something else.
    pub turn: usize,
    /// Is there a slot for it?
    pub starts: bool,
}

/// Those that need nothing more, and why they do not run.
pub fn line(state: &State, free_disk: Option<u64>, limits: &Limits, now: Timestamp) -> BTreeMap<TaskId, Place> {
    let waits = |task: &&Task| matches!(state.waiting(task), Some(Waiting::Turn | Waiting::Paused | Waiting::Agent(_)));
    let mut ready: Vec<&Task> = state.open().filter(waits).collect();
    let chains = Chains::of(state);
    ready.sort_by_cached_key(|task| Reverse(urgency(task, &chains, now)));
    let seen = Inventory { free_disk, ..Inventory::default() };
    let for_all = match () {
        () if state.is_paused() => Some(Waiting::Paused),
        () if is_disk_short(&seen, limits) => Some(Waiting::Disk),
        () => None,
    };
    let (mut room, mut turn) = (Room::new(state, limits), 0);
    let mut place = |task: &Task| {
        let waiting = match (&for_all, limit(state, task, now), room.full_group(task)) {
            (Some(waiting), ..) => waiting.clone(),
            (None, Some(agent), _) => Waiting::Agent(agent.to_owned()),
            (None, None, Some(group)) => Waiting::Group(group.to_owned()),
            (None, None, None) => Waiting::Turn,
        };
        if waiting != Waiting::Turn {
            return Place { waiting, turn: 0, starts: false };
        }
        turn += 1;
        Place { waiting, turn, starts: room.take(task) }
    };
    ready.into_iter().map(|task| (task.id, place(task))).collect()
}

/// The agent of a task, where its provider gives it no more at this time.
fn limit<'a>(state: &'a State, task: &Task, now: Timestamp) -> Option<&'a str> {
    state.limit_of(task).filter(|(_, limited)| limited.holds(now)).map(|(agent, _)| agent)
}

/// When the first of the limits is over for which a task waits.
pub fn next_resume(state: &State, now: Timestamp) -> Option<Timestamp> {
    let waits = |task: &&Task| state.waiting(task) == Some(Waiting::Turn);
    let limits = state.open().filter(waits).filter_map(|task| state.limit_of(task)?.1.until);
    limits.filter(|until| *until > now).min()
}

/// Is there too little room on the disk to start anything?
pub fn is_disk_short(seen: &Inventory, limits: &Limits) -> bool {
    seen.free_disk.is_some_and(|free| free < limits.disk_floor)
}

/// Larger goes first.
fn urgency(task: &Task, chains: &Chains, now: Timestamp) -> (i64, usize, Reverse<TaskId>) {
    let waited = now.as_second().saturating_sub(task.submitted.as_second()).max(0);
    // Whole minutes, so that the chain of dependents decides among what was asked for together.
    let rank = (task.priority() as i64 * RAISE + waited) / 60;
    (rank, chains.length(task.id), Reverse(task.id))
}

/// Free slots.
struct Room<'a> {
    tasks: usize,
    groups: BTreeMap<&'a str, usize>,
}

impl<'a> Room<'a> {
    fn new(state: &'a State, limits: &'a Limits) -> Self {
        let groups = limits.groups.iter().map(|(name, limit)| (name.as_str(), *limit)).collect();
        let mut room = Self { tasks: limits.tasks, groups };
        for task in state.open().filter(|task| matches!(task.state, TaskState::Running { .. })) {
            room.take(task);
        }
        room
    }

    /// The group of the task, where no slot of it is left.
    fn full_group<'b>(&self, task: &'b Task) -> Option<&'b str> {
        task.spec.group.as_deref().filter(|group| self.groups.get(group) == Some(&0))
    }

    /// Take a slot for the task; `false`, and nothing taken, where there is none.
    fn take(&mut self, task: &Task) -> bool {
        // What works there is not ours, and does so already.
        if task.spec.tenant.is_some() {
            return true;
        }
        let group = task.spec.group.as_deref().and_then(|group| self.groups.get_mut(group));
        if self.tasks == 0 || group.as_deref() == Some(&0) {
            return false;
        }
        self.tasks -= 1;
        if let Some(slots) = group {
            *slots -= 1;
        }
        true
    }
}

/// How many tasks wait in the longest chain behind each pending task.
struct Chains(BTreeMap<TaskId, usize>);

impl Chains {
    fn of(state: &State) -> Self {
        let mut lengths = BTreeMap::new();
        // A task's needs are older than itself, so one pass from the newest to the oldest sees dependents first.
        for task in state.open().rev().filter(|task| task.state == TaskState::Pending) {
            let behind = lengths.get(&task.id).copied().unwrap_or(0) + 1;
            for need in &task.spec.needs {
                let length = lengths.entry(*need).or_insert(0);
                *length = behind.max(*length);
            }
        }
        Self(lengths)
    }

    fn length(&self, task: TaskId) -> usize {
        self.0.get(&task).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::super::sketch;
    use super::*;

    /// Who starts now, in this order, with so many slots; group `a` has one slot.
    fn check(tasks: &str, slots: usize, picture: Expect) {
        let limits = Limits { tasks: slots, groups: [("a".to_owned(), 1)].into(), disk_floor: 0, cores: 1 };
        let next = next(&sketch::state(tasks), &Inventory::default(), &limits, sketch::now());
        picture.assert_eq(&next.iter().map(AttemptId::to_string).collect::<Vec<_>>().join(" "));
    }

    #[test]
    fn the_more_urgent_goes_first_then_the_longer_chain_then_the_older() {
        check("1 low; 2; 3 high; 4 critical", 9, expect!["4.1 3.1 2.1 1.1"]);
        check("1; 2; 3", 2, expect!["1.1 2.1"]);
        check("1; 2; 3 after 2; 4 after 3; 5 after 1", 9, expect!["2.1 1.1"]);
    }

    #[test]
    fn ten_minutes_of_waiting_are_one_level() {
        check("1 low 9m; 2", 1, expect!["2.1"]);
        check("1 low 11m; 2", 1, expect!["1.1"]);
        check("1 low 29m; 2 critical", 1, expect!["2.1"]);
        check("1 low 31m; 2 critical", 1, expect!["1.1"]);
    }

    #[test]
    fn running_tasks_hold_their_slots() {
        check("1 running; 2 cancelled; 3; 4", 3, expect!["3.1"]);
        check("1 running; 2", 1, expect![""]);
    }

    #[test]
    fn a_place_for_somebody_else_needs_no_slot() {
        check("1 running; 2 tenant; 3; 4 tenant", 1, expect!["2.1 4.1"]);
        check("1 tenant running; 2; 3", 1, expect!["2.1"]);
    }

    #[test]
    fn a_full_group_lets_others_pass() {
        check("1 in a running; 2 in a critical; 3 low in b; 4 low", 9, expect!["3.1 4.1"]);
        check("1 in a; 2 in a; 3", 9, expect!["1.1 3.1"]);
    }

    #[test]
    fn needs_come_first() {
        check("1 running; 2 after 1; 3 ready; 4 after 3; 5 after 1,3", 9, expect!["4.1"]);
        check(
            "1 failed; 2 after 1; 3 withdrawn; 4 after 3; 5 empty; 6 after 5; 7 refused; 8 after 7",
            9,
            expect!["6.1 8.1"],
        );
    }

    #[test]
    fn why_those_do_not_run_that_need_nothing_more() {
        let check = |tasks: &str, free_disk, picture: Expect| {
            let limits = Limits { tasks: 3, groups: [("a".to_owned(), 1)].into(), cores: 1, disk_floor: 100 };
            let line = line(&sketch::state(tasks), Some(free_disk), &limits, sketch::now());
            let place = |(id, place): (&TaskId, &Place)| {
                format!("{id} {:?} {}{}", place.waiting, place.turn, if place.starts { " starts" } else { "" })
            };
            picture.assert_eq(&line.iter().map(place).collect::<Vec<_>>().join("; "));
        };
        let tasks = "1 in a running; 2 in a; 3; 4 after 3; 5 in b; 6";
        check(tasks, 100, expect![[r#"2 Group("a") 0; 3 Turn 1 starts; 5 Turn 2 starts; 6 Turn 3"#]]);
        check(tasks, 99, expect!["2 Disk 0; 3 Disk 0; 5 Disk 0; 6 Disk 0"]);
        // Whoever goes first in a group takes its slot.
        check("1 in a; 2 high in a", 100, expect![[r#"1 Group("a") 0; 2 Turn 1 starts"#]]);
    }

    #[test]
    fn a_start_under_way_holds_its_slot_whatever_becomes_of_its_task() {
        let limits = Limits { tasks: 1, ..Limits::default() };
        for tasks in ["1; 2", "1 withdrawn; 2"] {
            let first = AttemptId { task: TaskId(1), number: 1 };
            let seen = Inventory { busy: [Subject::Attempt(first)].into(), ..Inventory::default() };
            assert_eq!(next(&sketch::state(tasks), &seen, &limits, sketch::now()), []);
        }
    }

    #[test]
    fn nothing_starts_on_a_full_disk() {
        let limits = Limits { tasks: 1, disk_floor: 100, ..Limits::default() };
        let on = |free_disk| {
            let seen = Inventory { free_disk, ..Inventory::default() };
            next(&sketch::state("1"), &seen, &limits, sketch::now()).len()
        };
        assert_eq!((on(Some(99)), on(Some(100)), on(None)), (0, 1, 1));
    }
}
