//! Removing the worktree of an attempt whose result the repository holds.

use super::collect::CollectError;
use super::{World, base_pin, kept_prefix, trash};
use crate::core::event::Event;
use crate::core::id::AttemptId;
use crate::core::state::Task;
use crate::git::refs::{RefChange, Swap};
use crate::git::worktree::{self, WorktreeLock};
use crate::process::crash;

/// Remove it. The kept ref is read back first: what the repository does not hold is not removed.
///
/// # Errors
/// Where anything does not agree, or cannot be done now: everything is then still there.
pub(super) fn remove(world: &World, task: &Task, attempt: AttemptId) -> Result<Vec<Event>, CollectError> {
    if let Some(change) = task.change(attempt.number) {
        let kept = world.repository.ref_value(&format!("{}tip", kept_prefix(attempt)))?;
        let base = task.attempt(attempt.number).and_then(|attempt| attempt.base);
        let freed = task.attempt(attempt.number).is_some_and(|attempt| attempt.freed);
        if kept != Some(change.tip) && base != Some(change.tip) && !freed {
            return Err(CollectError::Refs(format!("the result of {attempt} is not where it is kept: nothing is removed")));
        }
    }
    let place = world.place(attempt);
    let bin = world.layout.trash();
    {
        let lock = WorktreeLock::acquire(&world.repository)?;
        worktree::remove(&world.repository, &lock, &place, &bin, &crash::point)?;
    }
    let dir = world.layout.attempt(attempt);
    for part in [dir.git(), dir.tmp(), dir.pack()] {
        trash::throw(&part, &bin)?;
    }
    let pin = base_pin(attempt);
    if let Some(base) = world.repository.ref_value(&pin)?
        && let Swap::Refused(words) = world.repository.update_refs(&[RefChange::Delete(pin, base)], "pleach: unpin")?
    {
        return Err(CollectError::Refs(words));
    }
    crash::point("remove.unpinned");
    Ok(vec![Event::Removed { attempt }])
}
