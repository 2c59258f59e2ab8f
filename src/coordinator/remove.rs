//! Removing the worktree of an attempt whose result the repository holds.

use super::collect::CollectError;
use super::{World, base_pin, kept_prefix, landed_mark, slots, trash};
use crate::core::event::Event;
use crate::core::id::AttemptId;
use crate::core::state::{Place, State, Task, TaskState};
use crate::git::place;
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
            return Err(CollectError::Refs(format!(
                "the result of {attempt} is not where it is kept: nothing is removed"
            )));
        }
    }
    let bin = world.layout.trash();
    let has_slot = world.layout.slot_of(attempt).is_some();
    slots::release(world, task, attempt)?;
    if !has_slot {
        let place = world.place(attempt);
        let lock = WorktreeLock::acquire(&world.repository)?;
        worktree::remove(&world.repository, &lock, &place, &bin, &crash::point)?;
    }
    let dir = world.layout.attempt(attempt);
    let git = dir.git();
    for part in [git.with_extension("substitute"), git, dir.tmp(), dir.agent(), dir.pack(), dir.lead()] {
        trash::throw(&part, &bin)?;
    }
    // And what was half made of an overlay, or of a worktree that one was to be.
    let over = dir.overlay();
    for part in [over.with_extension("new"), over, place::draft_of(&world.place(attempt).worktree)] {
        trash::throw(&part, &bin)?;
    }
    let pin = base_pin(attempt);
    if let Some(base) = world.repository.ref_value(&pin)?
        && let Swap::Refused(words) = world.refs.update(&[RefChange::Delete(pin.clone(), base)], "pleach: unpin")?
        // Who frees and who tidies up may be at it at once; the other one was faster.
        && world.repository.ref_value(&pin)?.is_some()
    {
        return Err(CollectError::Refs(words));
    }
    crash::point("remove.unpinned");
    Ok(vec![Event::Removed { attempt }])
}

/// Free what is kept of an attempt: its worktree if there is one, its refs, its log. Who asked looked earlier than we do:
/// what somebody has put up for review since is not touched.
///
/// # Errors
/// Where anything cannot be done now.
pub(super) fn free(world: &World, state: &State, attempt: AttemptId) -> Result<Vec<Event>, CollectError> {
    let task = state.task(attempt.task);
    let Some((task, kept)) = task.and_then(|task| Some((task, task.attempt(attempt.number)?))) else {
        return Ok(Vec::new());
    };
    if kept.ended.is_none() || kept.freed || task.is_under_review(attempt.number) {
        return Ok(Vec::new());
    }
    let mut events = Vec::new();
    if kept.place == Place::Present {
        events.extend(remove(world, task, attempt)?);
    }
    let mut refs = world.repository.refs_below(&kept_prefix(attempt))?;
    let tip = format!("{}tip", kept_prefix(attempt));
    if refs.contains_key(&tip) && is_only_kept(world, task, attempt.number)? {
        refs.remove(&tip);
    }
    refs.extend(world.repository.refs_below(&landed_mark(attempt))?);
    let deletes: Vec<RefChange> = refs.into_iter().map(|(name, commit)| RefChange::Delete(name, commit)).collect();
    if let Swap::Refused(words) = world.refs.update(&deletes, "pleach: free")? {
        return Err(CollectError::Refs(words));
    }
    trash::throw(&world.layout.attempt(attempt).0, &world.layout.trash())?;
    events.push(Event::Freed { attempt });
    Ok(events)
}

/// Is the tip of a folded result in the history of nothing but its own ref? After a squash or a rebase it is, and an undo
/// would put up for review what a gc of the user's has taken away.
fn is_only_kept(world: &World, task: &Task, number: u32) -> Result<bool, CollectError> {
    let TaskState::Folded(folded) = &task.state else { return Ok(false) };
    let Some(change) = task.change(number).filter(|_| folded.attempt == number) else { return Ok(false) };
    Ok(match world.repository.head_of(&folded.target)? {
        Some(head) => !world.repository.is_ancestor(change.tip, head)?,
        None => true,
    })
}
