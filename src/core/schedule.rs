//! Who starts next.
//!
//! Needs first; then priority, where waiting counts ([`RAISE`] seconds of it are one level, without end, so
//! that nothing starves); then the longer chain of dependents; then age. That order is kept by [`State::turns`]; here it is
//! walked as far as there is room.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::action::Subject;
use super::delegate;
use super::id::{AttemptId, TaskId};
use super::inventory::Inventory;
use super::kinds::Kind;
use super::plan::{Plan, PlanId};
use super::policy::Limits;
use super::state::{State, Task, Waiting};

pub use super::turns::RAISE;

/// The attempts to start now, in order, within the limits.
pub fn next(state: &State, seen: &Inventory, limits: &Limits, now: Timestamp) -> Vec<AttemptId> {
    if state.is_paused() || is_disk_short(seen, limits) {
        return Vec::new();
    }
    let mut room = Room::new(state, seen, limits);
    // A task that is being given its base has its slot already, although no event says so yet; also one that was
    // withdrawn meanwhile, for a retry may come before the start does.
    let starting: BTreeSet<TaskId> = starting(state, seen).collect();
    for task in starting.iter().filter_map(|id| state.task(*id)) {
        room.take(task);
    }
    let mut starts = Vec::new();
    let may_start = |task: &&Task| !starting.contains(&task.id) && limit(state, task, now).is_none();
    // Who works there is not ours, and does so already.
    starts.extend(state.turns_of(Kind::Tenant).into_iter().filter(may_start).map(Task::next_attempt));
    for task in state.turns().filter(|task| task.spec.tenant.is_none()).filter(may_start) {
        if room.tasks == 0 {
            break;
        }
        match room.lacks_memory(task) {
            // Nobody overtakes who waits for memory, or the large ones would wait for ever. Where nothing of ours has
            // any to give back, or only who waits for this very one, that would help nobody.
            true if room.is_busy && room.lender(task).is_none() => break,
            true => {}
            false if room.take(task) => starts.push(task.next_attempt()),
            false => {}
        }
    }
    // Whoever is lent a slot needs none of the others, and must not wait for who has that one.
    for task in state.turns_of(Kind::Delegated).into_iter().filter(may_start) {
        let next = task.next_attempt();
        if room.lender(task).is_some() && !starts.contains(&next) && !room.lacks_memory(task) && room.take(task) {
            starts.push(next);
        }
    }
    starts
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
pub fn line(state: &State, seen: &Inventory, limits: &Limits, now: Timestamp) -> BTreeMap<TaskId, Place> {
    let for_all = match () {
        () if state.is_paused() => Some(Waiting::Paused),
        () if is_disk_short(seen, limits) => Some(Waiting::Disk),
        () => None,
    };
    let (mut room, mut turn) = (Room::new(state, seen, limits), 0);
    let mut place = |task: &Task| {
        let waiting = match (&for_all, limit(state, task, now), room.full_group(task)) {
            (Some(waiting), ..) => waiting.clone(),
            (None, Some(agent), _) => Waiting::Agent(agent.to_owned()),
            (None, None, Some(group)) => Waiting::Group(group.to_owned()),
            (None, None, None) => match room.full_plan(task) {
                Some(plan) => Waiting::Plan(plan.clone()),
                None if room.tasks > 0 && room.lacks_memory(task) => Waiting::Memory,
                None => Waiting::Turn,
            },
        };
        if waiting != Waiting::Turn {
            return Place { waiting, turn: 0, starts: false };
        }
        turn += 1;
        Place { waiting, turn, starts: room.take(task) }
    };
    state.turns().map(|task| (task.id, place(task))).collect()
}

/// The agent of a task, where its provider gives it no more at this time.
fn limit<'a>(state: &'a State, task: &Task, now: Timestamp) -> Option<&'a str> {
    state.limit_of(task).filter(|(_, limited)| limited.holds(now)).map(|(agent, _)| agent)
}

/// When the first of the limits is over for which a task waits.
pub fn next_resume(state: &State, now: Timestamp) -> Option<Timestamp> {
    if !state.has_limits() {
        return None;
    }
    let waits = |task: &&Task| state.waiting(task) == Some(Waiting::Turn);
    let limits = state.turns().filter(waits).filter_map(|task| state.limit_of(task)?.1.until);
    limits.filter(|until| *until > now).min()
}

/// Is there too little room on the disk to start anything?
pub fn is_disk_short(seen: &Inventory, limits: &Limits) -> bool {
    seen.free_disk.is_some_and(|free| free < limits.disk_floor)
}

/// Is there too little memory for one of those who would start next?
pub fn is_memory_short(state: &State, seen: &Inventory, limits: &Limits) -> bool {
    let room = Room::new(state, seen, limits);
    let next = state.turns().take(limits.tasks.max(1));
    next.into_iter().any(|task| state.waiting(task) == Some(Waiting::Turn) && room.lacks_memory(task))
}

/// Free slots, and free memory.
///
/// A running task lends its own to one at a time of those that it delegated, and theirs: it waits for them, or it would not have
/// delegated. Without that, tasks that wait for what they delegated could fill all slots, and nothing would ever happen again.
struct Room<'a> {
    state: &'a State,
    tasks: usize,
    groups: BTreeMap<&'a str, usize>,
    /// Of the plans that say how many of their tasks run at once, by their first task.
    plans: BTreeMap<TaskId, u32>,
    lenders: BTreeSet<TaskId>,
    /// Bytes above the floor; below it, less than none.
    memory: Option<i128>,
    /// Does anything run, or start?
    is_busy: bool,
}

impl<'a> Room<'a> {
    fn new(state: &'a State, seen: &Inventory, limits: &'a Limits) -> Self {
        let groups = limits.groups.iter().map(|(name, limit)| (name.as_str(), *limit)).collect();
        let plans = state.plans().iter().filter_map(|plan| Some((plan.first, plan.concurrency?))).collect();
        let lenders = BTreeSet::new();
        let mut room = Self { state, tasks: limits.tasks, groups, plans, lenders, memory: None, is_busy: false };
        // Whoever asked is older, and has lent its slot before one is looked for.
        for task in state.of_kind(&[Kind::Running]) {
            room.take(task);
            room.lenders.insert(task.id);
        }
        // What those that run still need is not among what is free.
        room.memory = seen.free_memory.map(|free| i128::from(free) - i128::from(limits.memory_floor));
        room
    }

    /// Who lends this one a slot.
    fn lender(&self, task: &Task) -> Option<&'a Task> {
        delegate::ancestors(self.state, task).find(|above| self.lenders.contains(&above.id))
    }

    /// The group of the task, where no slot of it is left.
    fn full_group<'b>(&self, task: &'b Task) -> Option<&'b str> {
        let is_lent = self.lender(task).is_some_and(|lender| lender.spec.group == task.spec.group);
        task.spec.group.as_deref().filter(|group| !is_lent && self.groups.get(group) == Some(&0))
    }

    /// Its plan, where that says how many of its tasks run at once.
    fn limited_plan(&self, task: &Task) -> Option<&'a Plan> {
        if self.plans.is_empty() { None } else { self.state.plan_of(task.id).filter(|plan| plan.concurrency.is_some()) }
    }

    /// The plan of the task, where as many of its tasks run as it says.
    fn full_plan(&self, task: &Task) -> Option<&'a PlanId> {
        self.limited_plan(task).filter(|plan| self.plans.get(&plan.first) == Some(&0)).map(|plan| &plan.id)
    }

    /// Is less memory free than the task says that it needs?
    fn lacks_memory(&self, task: &Task) -> bool {
        self.memory.is_some_and(|left| left < i128::from(task.spec.needs_memory))
    }

    /// Take a slot for the task; `false`, and nothing taken, where there is none.
    fn take(&mut self, task: &Task) -> bool {
        // What works there is not ours, and does so already.
        if task.spec.tenant.is_some() {
            return true;
        }
        let (plan, is_plan_full) = (self.limited_plan(task), self.full_plan(task).is_some());
        let lender = self.lender(task).map(|lender| (lender.id, lender.spec.group == task.spec.group));
        let shares_group = lender.is_some_and(|(_, shares)| shares);
        let group = task.spec.group.as_deref().filter(|_| !shares_group);
        let group = group.and_then(|group| self.groups.get_mut(group));
        if (self.tasks == 0 && lender.is_none()) || group.as_deref() == Some(&0) || is_plan_full {
            return false;
        }
        if let Some(slots) = plan.and_then(|plan| self.plans.get_mut(&plan.first)) {
            *slots -= 1;
        }
        self.is_busy = true;
        self.memory = self.memory.map(|left| left - i128::from(task.spec.needs_memory));
        match lender {
            Some((lender, _)) => drop(self.lenders.remove(&lender)),
            None => self.tasks -= 1,
        }
        if let Some(slots) = group {
            *slots -= 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::super::sketch;
    use super::*;

    /// Who starts now, in this order, with so many slots; group `a` has one slot.
    fn check(tasks: &str, slots: usize, picture: Expect) {
        let limits = Limits { tasks: slots, groups: [("a".to_owned(), 1)].into(), ..Limits::default() };
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
            let limits =
                Limits { tasks: 3, groups: [("a".to_owned(), 1)].into(), disk_floor: 100, ..Limits::default() };
            let seen = Inventory { free_disk: Some(free_disk), ..Inventory::default() };
            let line = line(&sketch::state(tasks), &seen, &limits, sketch::now());
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
    fn nothing_starts_that_would_make_the_machine_swap_and_nobody_overtakes_who_waits_for_memory() {
        let check = |tasks: &str, free, picture: Expect| {
            let limits = Limits { tasks: 9, memory_floor: 10, ..Limits::default() };
            let seen = Inventory { free_memory: free, ..Inventory::default() };
            let state = sketch::state(tasks);
            let next = next(&state, &seen, &limits, sketch::now());
            let starts: Vec<String> = next.iter().map(AttemptId::to_string).collect();
            let line = line(&state, &seen, &limits, sketch::now());
            let waits: Vec<String> = line
                .iter()
                .filter(|(_, place)| place.waiting == Waiting::Memory)
                .map(|(id, _)| id.to_string())
                .collect();
            picture.assert_eq(&format!("{}; short {}", starts.join(" "), waits.join(" ")));
        };
        check("1; 2", None, expect!["1.1 2.1; short "]);
        check("1; 2", Some(10), expect!["1.1 2.1; short "]);
        check("1; 2", Some(9), expect!["; short 1 2"]);
        // Each start takes what it needs from the next.
        check("1 needs 50; 2 needs 50; 3 needs 30", Some(130), expect!["1.1 2.1; short 3"]);
        check("1 needs 50; 2 needs 90; 3", Some(130), expect!["1.1; short 2"]);
        // Nothing of ours will give any back.
        check("1 needs 500; 2", Some(130), expect!["2.1; short 1"]);
        check("1 running; 2 needs 500; 3", Some(130), expect!["; short 2"]);
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
