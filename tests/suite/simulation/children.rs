//! Tasks that were asked for by others: what becomes of them with those, and whose slot they have.

use pleach::core::id::TaskId;
use pleach::core::state::{Task, TaskState as S, Waiting};

use super::world::{Check, World, ensure};

/// Who asked for it.
pub(crate) fn parent_of(task: &Task) -> Option<TaskId> {
    task.spec.parent.map(|parent| parent.task)
}

/// How many of these lend their slot to another of them.
pub(crate) fn lent(tasks: &[&Task]) -> usize {
    // Who only starts has nothing to lend yet.
    let runs = |one: &&&Task| matches!(one.state, S::Running { .. });
    let has_lent = |one: &&&Task| tasks.iter().any(|other| parent_of(other) == Some(one.id));
    tasks.iter().filter(runs).filter(has_lent).count()
}

impl World {
    /// Nobody goes on, or waits to, who was asked for by an attempt that was told to end or did not end well.
    pub(crate) fn check_children(&self) -> Check {
        let state = self.state();
        for task in state.tasks().filter(|task| self.ledger.book(task.id).retried == 0) {
            let Some(by) = task.spec.parent else { continue };
            let parent = state.task(by.task).ok_or("nobody asked for it")?;
            let attempt = parent.attempt(by.number).ok_or("no attempt asked for it")?;
            let is_interrupted = match &attempt.ended {
                Some(ended) => !ended.outcome.is_success(),
                None => matches!(parent.state, S::Running { cancel: Some(_) }),
            };
            let goes_on = matches!(task.state, S::Pending | S::Running { cancel: None });
            ensure!(!(is_interrupted && goes_on), "{} goes on, and {by}, which asked for it, does not", task.id);
        }
        Ok(())
    }

    /// Nobody waits for a slot whose parent runs, and has lent its own to nobody.
    pub(crate) fn check_lent(&self) -> Check {
        let state = self.state();
        let runs = |id: TaskId| state.task(id).is_some_and(|task| matches!(task.state, S::Running { .. }));
        for task in state.tasks().filter(|task| state.waiting(task) == Some(Waiting::Turn)) {
            let Some(parent) = parent_of(task).filter(|parent| runs(*parent)) else { continue };
            let is_taken = state.tasks().any(|other| parent_of(other) == Some(parent) && runs(other.id));
            let has_limit = state.limit_of(task).is_some_and(|(_, limited)| limited.holds(self.now));
            let is_short = self.free_disk() < self.shape.limits.disk_floor;
            ensure!(is_taken || has_limit || is_short, "{} waits for a slot, and so does {parent} for it", task.id);
        }
        Ok(())
    }
}
