//! Places that are used again: an attempt leases one, and gives it back when its result is safe.
//!
//! The lease is a link in the slot to the name of its attempt, made in one step, and a link back: an attempt has a slot where
//! the two name each other. Beside that its shim holds the lock of the slot for as long as it lives. Only the coordinator leases and
//! releases; a slot is given back once the journal knows the result and its ref was read back, and after that nothing of the attempt
//! names it any more.

use std::fs;
use std::io;

use super::launch::LaunchError;
use super::{World, trash};
use crate::core::change::Collected;
use crate::core::id::AttemptId;
use crate::core::outcome::Outcome;
use crate::core::provider::WorktreeMode;
use crate::core::state::{Attempt, State, Task};
use crate::git::place;
use crate::git::worktree::{self, WorktreeLock};
use crate::process::crash;
use crate::store::layout::SlotDir;
use crate::store::{StoreError, election};

/// As many places wait for a task as can run at once on the largest machines; the oldest goes first.
const MOST_IDLE: usize = 64;

/// The slot of an attempt: that which it has, one that is free, or a new one. None where its place is not to be used
/// again.
///
/// # Errors
/// Where only a slot will do and none can be.
pub(super) fn lease(world: &World, task: &Task, attempt: AttemptId) -> Result<Option<SlotDir>, LaunchError> {
    // Somebody who is no process of ours may still write there when it is over.
    if !task.spec.worktree.recycles() || task.spec.tenant.is_some() {
        return Ok(None);
    }
    if let Some(slot) = world.layout.slot_of(attempt) {
        return Ok(Some(slot));
    }
    if let Err(why) = world.recycling() {
        return match task.spec.worktree {
            WorktreeMode::Slot => Err(LaunchError::Refused(format!(
                "its worktree mode is slot, and that does not work here: {why} (say `mode = \"auto\"` in [worktree])"
            ))),
            _ => Ok(None),
        };
    }
    let _alone = world.leasing.lock();
    let slots = world.layout.all_slots()?;
    // A crash came between the two links.
    if let Some(slot) = slots.iter().find(|slot| slot.lessee() == Some(attempt)) {
        return bind(world, slot, attempt).map(Some);
    }
    if !task.spec.clean {
        let mut idle: Vec<&SlotDir> = slots.iter().filter(|slot| is_idle(slot)).collect();
        // The one that was used last has most in memory and least to change.
        idle.sort_by_key(|slot| std::cmp::Reverse(last_used(slot)));
        for slot in idle {
            if take(slot, attempt)? {
                return bind(world, slot, attempt).map(Some);
            }
        }
    }
    let slot = make(world, &slots, attempt)?;
    bind(world, &slot, attempt).map(Some)
}

/// Make the lease; `false` where somebody has the slot.
fn take(slot: &SlotDir, attempt: AttemptId) -> Result<bool, StoreError> {
    let leased = election::while_held(&slot.lock(), || std::os::unix::fs::symlink(attempt.to_string(), slot.lease()))?;
    match leased {
        None => Ok(false),
        Some(Ok(())) => {
            crash::point("slot.leased");
            Ok(true)
        }
        Some(Err(error)) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Some(Err(error)) => Err(StoreError::file("lease", &slot.dir)(error)),
    }
}

/// The link back.
fn bind(world: &World, slot: &SlotDir, attempt: AttemptId) -> Result<SlotDir, LaunchError> {
    let link = world.layout.attempt(attempt).place();
    match fs::remove_file(&link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(StoreError::file("replace", link)(error).into());
        }
        _ => {}
    }
    std::os::unix::fs::symlink(slot.number.to_string(), &link).map_err(StoreError::file("make a link at", &link))?;
    Ok(slot.clone())
}

fn make(world: &World, slots: &[SlotDir], attempt: AttemptId) -> Result<SlotDir, LaunchError> {
    for number in 1.. {
        if slots.iter().any(|slot| slot.number == number) {
            continue;
        }
        let slot = world.layout.slot_numbered(number);
        match fs::create_dir(&slot.dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            made => made.map_err(StoreError::file("make directory", &slot.dir))?,
        }
        if take(&slot, attempt)? {
            crate::store::make_dir(&slot.tree())?;
            return Ok(slot);
        }
    }
    unreachable!("there are more numbers than directories")
}

/// The slots that wait for a task, each with when it was used last.
///
/// # Errors
/// Where they cannot be listed.
pub(super) fn idle(world: &World) -> Result<Vec<(Option<std::time::SystemTime>, std::path::PathBuf)>, StoreError> {
    let idle = world.layout.all_slots()?.into_iter().filter(is_idle);
    Ok(idle.map(|slot| (last_used(&slot), slot.dir)).collect())
}

/// Nobody has it, and what is in it is known.
fn is_idle(slot: &SlotDir) -> bool {
    fs::symlink_metadata(slot.lease()).is_err() && place::is_sealed(&slot.dir)
}

fn last_used(slot: &SlotDir) -> Option<std::time::SystemTime> {
    fs::metadata(slot.tree())
        .and_then(|_| fs::metadata(slot.dir.join("seal.json")))
        .and_then(|data| data.modified())
        .ok()
}

/// The attempt is over and its result is safe: its slot waits for another, or goes where what is in it is in doubt. Nothing happens where it has
/// none.
///
/// # Errors
/// Where it cannot be given back: then the attempt still has it.
pub(super) fn release(world: &World, task: &Task, attempt: AttemptId) -> Result<(), super::collect::CollectError> {
    let bin = world.layout.trash();
    let Some(slot) = world.layout.slot_of(attempt) else {
        // A task that nothing holds can take the lease away; what is left of the slot is nobody's.
        if let Some(slot) = world.layout.slot_named_by(attempt).filter(|slot| slot.lessee().is_none()) {
            let place = worktree::Place { worktree: slot.tree(), private: world.layout.attempt(attempt).git() };
            let lock = WorktreeLock::acquire(&world.repository)?;
            worktree::remove(&world.repository, &lock, &place, &bin, &crash::point)?;
            trash::throw(&slot.dir, &bin)?;
        }
        return forget(world, attempt);
    };
    let place = world.place(attempt);
    let lock = WorktreeLock::acquire(&world.repository)?;
    let is_fit = task.attempt(attempt.number).is_some_and(is_fit) && place::is_sealed(&slot.dir);
    if is_fit && fs::symlink_metadata(slot.tree()).is_ok_and(|seen| seen.is_dir()) {
        worktree::release(&world.repository, &lock, &place, &bin, &crash::point)?;
    } else {
        worktree::remove(&world.repository, &lock, &place, &bin, &crash::point)?;
        // Without its lease and its files at once, so that nobody takes it for an idle one.
        trash::throw(&slot.dir, &bin)?;
    }
    drop(lock);
    let _alone = world.leasing.lock();
    forget(world, attempt)?;
    crash::point("slot.released");
    let mut idle: Vec<SlotDir> = world.layout.all_slots()?.into_iter().filter(is_idle).collect();
    idle.sort_by_key(|slot| std::cmp::Reverse(last_used(slot)));
    for slot in idle.iter().skip(MOST_IDLE) {
        trash::throw(&slot.dir, &bin)?;
    }
    Ok(())
}

/// Both links go, first that by which the attempt finds its files.
fn forget(world: &World, attempt: AttemptId) -> Result<(), super::collect::CollectError> {
    let remove = |path: std::path::PathBuf| match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::file("remove", path)(error)),
        _ => Ok(()),
    };
    remove(world.layout.attempt(attempt).place())?;
    for slot in world.layout.all_slots()?.into_iter().filter(|slot| slot.lessee() == Some(attempt)) {
        remove(slot.lease())?;
    }
    Ok(())
}

/// Is it known that nothing of the attempt runs any more, and that all that it left is kept?
fn is_fit(attempt: &Attempt) -> bool {
    attempt.ended.as_ref().is_some_and(|ended| {
        let is_seen_to_its_end = !matches!(ended.outcome, Outcome::Lost { .. }) && ended.facts.leaked == 0;
        is_seen_to_its_end && !matches!(ended.result, Collected::Refused { .. })
    })
}

/// Slots of attempts that are gone, or of none that the journal knows, and slots in which nobody knows what is there.
///
/// # Errors
/// Where they cannot be thrown away.
pub(super) fn sweep(world: &World, state: &State) -> Result<(), StoreError> {
    use crate::core::state::Place;
    for slot in world.layout.all_slots()? {
        let is_wanted = match slot.lessee() {
            None => is_idle(&slot),
            Some(attempt) => state.task(attempt.task).is_some_and(|task| {
                let known = task.attempt(attempt.number);
                known.map_or(attempt == task.next_attempt(), |known| {
                    known.ended.is_none() || known.place == Place::Present
                })
            }),
        };
        if !is_wanted && !election::is_held(&slot.lock())? {
            trash::throw(&slot.dir, &world.layout.trash())?;
        }
    }
    Ok(())
}
