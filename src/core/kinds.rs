//! What may be to be done about a task, as far as the task alone tells: sets of ids that are kept as tasks change, so that a
//! decision walks those that it is about.

use std::collections::BTreeSet;

use super::id::TaskId;
use super::speculation;
use super::state::{Task, TaskState};

/// One question. A task may be of several kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An attempt of it is under way.
    Running,
    /// It stands in the line of a target, or lands.
    InLine,
    /// Its last attempt did not end well.
    Failed,
    /// Its result does not go in.
    Refused,
    /// Its result is there, and in no line.
    Ready,
    /// A worktree of it can go.
    HasLeftOvers,
    /// Its result is to be verified by itself.
    Unproven,
    /// A task asked for it, and it waits or runs.
    Delegated,
    /// It waits, and keeps a place for somebody who works already.
    Tenant,
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::Running,
        Self::InLine,
        Self::Failed,
        Self::Refused,
        Self::Ready,
        Self::HasLeftOvers,
        Self::Unproven,
        Self::Delegated,
        Self::Tenant,
    ];

    fn is(self, task: &Task) -> bool {
        match self {
            Self::Running => matches!(task.state, TaskState::Running { .. }),
            Self::InLine => matches!(task.state, TaskState::Queued { .. } | TaskState::Landing { .. }),
            Self::Failed => task.state == TaskState::Failed,
            Self::Refused => matches!(task.state, TaskState::Refused { .. }),
            Self::Ready => matches!(task.state, TaskState::Ready { .. }),
            Self::HasLeftOvers => task.attempts.iter().any(|attempt| attempt.is_removable()),
            Self::Unproven => speculation::is_to_blame(task) || speculation::is_to_verify_early(task),
            Self::Tenant => task.spec.tenant.is_some() && task.state == TaskState::Pending,
            Self::Delegated => task.spec.parent.is_some() && task.has_work_ahead(),
        }
    }
}

/// The tasks of each kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Kinds([BTreeSet<TaskId>; Kind::ALL.len()]);

impl Kinds {
    /// Those of one kind, oldest first.
    pub(super) fn of(&self, kind: Kind) -> &BTreeSet<TaskId> {
        &self.0[kind as usize]
    }

    /// Those of any of these kinds, oldest first, each once.
    pub(super) fn any(&self, kinds: &[Kind]) -> Vec<TaskId> {
        let mut ids: Vec<TaskId> = kinds.iter().flat_map(|kind| self.of(*kind)).copied().collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// This is what a task is now.
    pub(super) fn changed(&mut self, task: &Task) {
        for kind in Kind::ALL {
            let set = &mut self.0[kind as usize];
            if kind.is(task) {
                set.insert(task.id)
            } else {
                set.remove(&task.id)
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::sketch;

    #[test]
    fn each_kind_is_what_asking_all_tells() {
        let state = sketch::state(
            "1 running; 2 queued; 3 landing; 4 failed; 5 refused; 6 ready; 7 folded; 8; 9 empty; 10 undoing; 11 cancelled",
        );
        for kind in Kind::ALL {
            let asked = state.tasks().filter(|task| kind.is(task)).map(|task| task.id);
            assert!(state.of_kind(&[kind]).map(|task| task.id).eq(asked), "{kind:?}");
        }
        let both: Vec<u64> = state.of_kind(&[Kind::Refused, Kind::InLine]).map(|task| task.id.0).collect();
        assert_eq!(both, [2, 3, 5, 10]);
    }
}
