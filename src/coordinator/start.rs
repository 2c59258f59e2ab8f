//! Giving an attempt its base.

use super::World;
use crate::core::event::Event;
use crate::core::id::{AttemptId, BranchName, CommitId};
use crate::core::state::{State, Task};
use crate::git::GitError;
use crate::git::merge::{self, Identity};
use crate::process::{clock, crash};

/// What the base is made of.
#[derive(Debug)]
pub(super) struct Plan {
    attempt: AttemptId,
    base: CommitId,
    /// Instead of the base: the head of this branch, as it is when the attempt starts.
    onto: Option<BranchName>,
    tips: Vec<CommitId>,
}

/// The base of the task, and the results of its needs.
pub(super) fn plan(state: &State, task: &Task, attempt: AttemptId) -> Plan {
    let onto = task.hand_back.as_ref().map(|hand_back| hand_back.target.clone());
    let is_there = |need: &&Task| onto.as_ref().is_some_and(|target| need.is_folded_into(target));
    let needs = task.spec.needs.iter().filter_map(|need| state.task(*need)).filter(|need| !is_there(need));
    let tips = needs.filter_map(Task::tip).collect();
    Plan { attempt, base: task.spec.base, onto, tips }
}

/// Fold the needs onto the base, in memory.
///
/// # Errors
/// Where git fails.
pub(super) fn start(world: &World, plan: &Plan) -> Result<Vec<Event>, GitError> {
    let attempt = plan.attempt;
    let base = match &plan.onto {
        None => plan.base,
        Some(target) => match world.repository.head_of(target)? {
            Some(head) => head,
            None => {
                return Ok(vec![Event::NotStarted {
                    attempt,
                    reason: format!("there is no branch {target} any more"),
                }]);
            }
        },
    };
    if plan.tips.is_empty() {
        crash::point("start.planned");
        return Ok(vec![Event::Started { attempt, base }]);
    }
    let identity = Identity::of(&world.repository, clock::now())?;
    let message = format!("Base of task {}: its needs, together", attempt.task);
    let combined = merge::combine(&world.repository, base, &plan.tips, &message, &identity)?;
    crash::point("start.planned");
    Ok(vec![match combined {
        Ok(base) => Event::Started { attempt, base },
        Err(paths) => {
            let paths = crate::core::change::list(paths.iter().map(|path| path.shown()));
            Event::NotStarted { attempt, reason: format!("the results of its needs conflict in {paths}") }
        }
    }])
}
