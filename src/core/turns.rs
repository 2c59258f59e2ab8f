//! Whose turn it is: the pending tasks whose needs are there, the most urgent first, kept in order as tasks change.
//!
//! A change costs what it touches and a place in the order, however many tasks wait: who starts next is the first of them,
//! and not the answer to a question that all are asked. So that a need of thousands costs no look at each of them,
//! - the length of a chain is raised by who joins it, and measured anew only where the longest leaves;
//! - a task that waits looks at *one* need that is not there yet, and again when that one has changed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::id::TaskId;
use super::state::{Task, TaskState};

/// Seconds of waiting that are worth one level of priority.
pub const RAISE: i64 = 600;

/// The smallest goes first: the more urgent, then the longer chain of dependents, then the older.
pub(super) type Key = (Reverse<i64>, Reverse<usize>, TaskId);

/// The order of those whose turn it is, and what it follows from.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Turns {
    order: BTreeSet<Key>,
    keys: BTreeMap<TaskId, Key>,
    /// The pending tasks that build on a task.
    dependents: BTreeMap<TaskId, BTreeSet<TaskId>>,
    /// How many tasks wait in the longest chain behind a pending one; none where that is 0.
    behind: BTreeMap<TaskId, usize>,
    /// Those that look at a need, and at which one each looks.
    watchers: BTreeMap<TaskId, BTreeSet<TaskId>>,
    watched: BTreeMap<TaskId, TaskId>,
}

/// How a task is found by its id.
pub(super) trait Find {
    /// The task.
    fn find(&self, id: TaskId) -> Option<&Task>;
}

impl Turns {
    /// Those whose turn it is, in order.
    pub(super) fn in_order(&self) -> impl Iterator<Item = TaskId> {
        self.order.iter().map(|(.., id)| *id)
    }

    /// Where a task stands in the order, if it does.
    pub(super) fn key(&self, id: TaskId) -> Option<Key> {
        self.keys.get(&id).copied()
    }

    /// How many tasks wait in the longest chain behind a pending one.
    pub(super) fn behind(&self, id: TaskId) -> usize {
        self.behind.get(&id).copied().unwrap_or(0)
    }

    /// A task is no longer what it was: `before`, where it was there.
    pub(super) fn changed(&mut self, tasks: &impl Find, id: TaskId, before: Option<(bool, bool)>) {
        let Some(task) = tasks.find(id) else { return };
        let (was_pending, served) = before.unwrap_or_default();
        let (is_pending, serves) = Self::stands(task);
        if is_pending && !was_pending {
            self.join(tasks, task);
        } else if was_pending && !is_pending {
            self.leave(tasks, task);
        }
        self.place(tasks, task);
        let asked = match (served, serves) {
            (true, false) => self.dependents.get(&id),
            (false, true) => self.watchers.get(&id),
            _ => None,
        };
        let asked: Vec<TaskId> = asked.into_iter().flatten().copied().collect();
        for dependent in asked {
            tasks.find(dependent).into_iter().for_each(|task| self.place(tasks, task));
        }
    }

    /// What is to be known of a task before it changes: does it wait, and does it serve as a need?
    pub(super) fn stands(task: &Task) -> (bool, bool) {
        (task.state == TaskState::Pending, task.serves_as_need())
    }

    fn join(&mut self, tasks: &impl Find, task: &Task) {
        for need in &task.spec.needs {
            self.dependents.entry(*need).or_default().insert(task.id);
        }
        self.measure(task.id);
        let chain = self.behind(task.id) + 1;
        task.spec.needs.iter().for_each(|need| self.raise(tasks, *need, chain));
    }

    fn leave(&mut self, tasks: &impl Find, task: &Task) {
        let chain = self.behind.remove(&task.id).unwrap_or(0) + 1;
        for need in &task.spec.needs {
            remove(&mut self.dependents, *need, task.id);
            self.lower(tasks, *need, chain);
        }
    }

    /// The chain behind a task from those that build on it.
    fn measure(&mut self, id: TaskId) -> usize {
        let behind = self.dependents.get(&id).into_iter().flatten().map(|id| self.behind(*id) + 1).max().unwrap_or(0);
        if behind == 0 {
            self.behind.remove(&id)
        } else {
            self.behind.insert(id, behind)
        };
        behind
    }

    /// A chain of this length is behind a task now.
    fn raise(&mut self, tasks: &impl Find, id: TaskId, chain: usize) {
        let mut raised = vec![(id, chain)];
        while let Some((id, chain)) = raised.pop() {
            let Some(task) = waits(tasks, id).filter(|_| self.behind(id) < chain) else { continue };
            self.behind.insert(id, chain);
            self.place(tasks, task);
            raised.extend(task.spec.needs.iter().map(|need| (*need, chain + 1)));
        }
    }

    /// A chain of this length is no longer behind a task.
    fn lower(&mut self, tasks: &impl Find, id: TaskId, chain: usize) {
        let mut lowered = vec![(id, chain)];
        while let Some((id, chain)) = lowered.pop() {
            let Some(task) = waits(tasks, id).filter(|_| self.behind(id) == chain) else { continue };
            if self.measure(id) < chain {
                self.place(tasks, task);
                lowered.extend(task.spec.needs.iter().map(|need| (*need, chain + 1)));
            }
        }
    }

    /// Put a task where it belongs: into the order, or to a need that it waits for, or nowhere.
    fn place(&mut self, tasks: &impl Find, task: &Task) {
        if let Some(need) = self.watched.remove(&task.id) {
            remove(&mut self.watchers, need, task.id);
        }
        // The last one is most likely the last to be there.
        let is_there = |need: &TaskId| tasks.find(*need).is_some_and(Task::serves_as_need);
        let missing = task.spec.needs.iter().rev().find(|need| !is_there(need));
        let key = match (task.state == TaskState::Pending, missing) {
            (false, _) => None,
            (true, Some(need)) => {
                self.watched.insert(task.id, *need);
                self.watchers.entry(*need).or_default().insert(task.id);
                None
            }
            (true, None) => Some((Reverse(urgency(task)), Reverse(self.behind(task.id)), task.id)),
        };
        let before = match key {
            Some(key) => self.keys.insert(task.id, key),
            None => self.keys.remove(&task.id),
        };
        if before != key {
            if let Some(key) = &before {
                self.order.remove(key);
            }
            self.order.extend(key);
        }
    }
}

/// In whole minutes, so that the chain of dependents decides among what was asked for together. Who was asked for
/// [`RAISE`] seconds earlier is as urgent as one a level above; so what waits overtakes, and nothing is ever sorted anew.
fn urgency(task: &Task) -> i64 {
    (task.priority() as i64 * RAISE - task.submitted.as_second()).div_euclid(60)
}

fn waits(tasks: &impl Find, id: TaskId) -> Option<&Task> {
    tasks.find(id).filter(|task| task.state == TaskState::Pending)
}

fn remove(sets: &mut BTreeMap<TaskId, BTreeSet<TaskId>>, of: TaskId, id: TaskId) {
    if let Some(set) = sets.get_mut(&of) {
        set.remove(&id);
        if set.is_empty() {
            sets.remove(&of);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::Event;
    use crate::core::id::AttemptId;
    use crate::core::sketch;
    use crate::core::state::{State, Waiting};
    use crate::core::task::Priority;

    /// How many tasks wait in the longest chain behind one, by asking all.
    fn chain(state: &State, id: TaskId) -> usize {
        let mut lengths: BTreeMap<TaskId, usize> = BTreeMap::new();
        for task in state.tasks().rev().filter(|task| task.state == TaskState::Pending) {
            let behind = lengths.get(&task.id).copied().unwrap_or(0) + 1;
            for need in &task.spec.needs {
                let length = lengths.entry(*need).or_insert(0);
                *length = behind.max(*length);
            }
        }
        lengths.get(&id).copied().unwrap_or(0)
    }

    /// Who is next by asking all, as [`Turns`] must know it without.
    fn asked(state: &State) -> Vec<TaskId> {
        let is_next = |task: &&Task| matches!(state.waiting(task), Some(Waiting::Turn));
        let mut next: Vec<&Task> = state.tasks().filter(is_next).collect();
        next.sort_by_key(|task| (Reverse(urgency(task)), Reverse(chain(state, task.id)), task.id));
        next.into_iter().map(|task| task.id).collect()
    }

    /// Random plans and random courses of them, by each of which every kind of change happens.
    #[test]
    fn the_order_is_that_of_asking_all() {
        let mut seen = [false; 4];
        for seed in 0..80 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut state = State::default();
            for _ in 0..120 {
                let count = state.count() as u64;
                let task = TaskId(random.u64(1..=count.max(1)));
                let next = state.task(task).map(Task::next_attempt);
                let last = AttemptId { task, number: state.task(task).map_or(1, |task| task.attempts.len() as u32) };
                let event = match random.u8(0..14) {
                    0..3 if count < 30 => {
                        let mut spec = sketch::spec();
                        let needs = (0..random.u64(0..4)).map(|_| TaskId(random.u64(1..=count.max(1))));
                        spec.needs = needs.filter(|need| need.0 <= count).collect();
                        spec.needs.sort_unstable();
                        spec.needs.dedup();
                        spec.priority = random.choice([Priority::Low, Priority::Normal, Priority::High]).unwrap();
                        Some(Event::Submitted { task: state.next_task(), spec: Box::new(spec) })
                    }
                    3 => Some(Event::Withdrawn { task }),
                    4 => Some(Event::Prioritized { task, priority: Priority::Critical }),
                    5 => Some(Event::Retried { task, onto: None, remarks: None }),
                    6 => Some(Event::Discarded { task }),
                    7 => Some(Event::Restored { attempt: last }),
                    8..10 => next.map(|attempt| Event::Started { attempt, base: sketch::commit(1) }),
                    _ => sketch::fate_of(task, last.number, random.choice(["ready", "failed", "empty"]).unwrap()).pop(),
                };
                let Some(event) = event else { continue };
                let at = sketch::now() + jiff::SignedDuration::from_secs(random.i64(0..2000));
                if state.apply(&crate::core::event::Record { at, event }).is_err() {
                    continue;
                }
                let order: Vec<TaskId> = state.turns().map(|task| task.id).collect();
                assert_eq!(order, asked(&state), "seed {seed}");
                let again = State::read(state.write()).unwrap();
                assert!(again.turns().map(|task| task.id).eq(order.iter().copied()), "seed {seed}, read again");
                let behind = state.turns().any(|task| chain(&state, task.id) > 1);
                let has_needs = state.turns().any(|task| !task.spec.needs.is_empty());
                let met = [behind, has_needs, order.len() > 3, state.count() > order.len() + 3];
                seen.iter_mut().zip(met).for_each(|(seen, met)| *seen |= met);
            }
        }
        assert_eq!(seen, [true; 4], "the course was too plain to show anything");
    }
}
