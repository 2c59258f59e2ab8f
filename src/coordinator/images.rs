//! Base images: which tasks' places are made of one, and when a new one is made beside the work.

use std::sync::Arc;

use super::launch::LaunchError;
use super::{World, log};
use crate::core::provider::WorktreeMode;
use crate::core::state::Task;
use crate::git::place::Images;
use crate::process::{crash, idle};
use crate::{shim, store};

/// The images of which the place of a task may be made; none where that cannot be here, or is not wanted.
///
/// # Errors
/// Where nothing else will do.
pub(super) fn of<'a>(world: &'a World, task: &Task) -> Result<Option<&'a Images>, LaunchError> {
    let mode = task.spec.worktree;
    if matches!(mode, WorktreeMode::Parallel | WorktreeMode::Plain) {
        return Ok(None);
    }
    if mode == WorktreeMode::Overlay {
        return over(world, task);
    }
    let found = world.images();
    let why = match (&found, mode) {
        (Err(why), WorktreeMode::Snapshot | WorktreeMode::Reflink) => Some(why),
        (Ok(images), WorktreeMode::Snapshot) => images.sharing.snapshot.as_ref().err(),
        (Ok(images), WorktreeMode::Reflink) => images.sharing.reflink.as_ref().err(),
        _ => None,
    };
    match why {
        Some(why) => Err(LaunchError::Refused(format!(
            "its worktree mode is {mode}, and that does not work here: {why} (say `mode = \"auto\"` in [worktree])"
        ))),
        None => Ok(found.ok()),
    }
}

/// As [`of`], for what is to lie over one.
fn over<'a>(world: &'a World, task: &Task) -> Result<Option<&'a Images>, LaunchError> {
    // Who is no process of ours sees what is on the disk.
    if task.spec.tenant.is_some() {
        return Ok(None);
    }
    let tried = || shim::overlay::works(&world.layout.state);
    let found = match shim::overlay::forbids(&task.spec.sandbox) {
        Some(why) => Err(why),
        None => world.overlays.get_or_init(tried).clone().and_then(|()| world.images()),
    };
    found.map(Some).map_err(|why| {
        LaunchError::Refused(format!(
            "its worktree mode is overlay, and that does not work here: {why} (say `mode = \"auto\"` in [worktree])"
        ))
    })
}

/// Make the image that would have been of use to those who came so far, beside the work and after it: by a thread that steps back
/// for all others.
pub(super) fn improve(world: &Arc<World>, disk_floor: u64) {
    let opened = world.images.get().and_then(|images| images.as_ref().ok());
    let Some(wanted) = opened.and_then(Images::wanted) else { return };
    // It is of use to nobody where no task starts.
    if store::free_disk(&world.layout.state).is_some_and(|free| free < disk_floor) {
        return;
    }
    let world = world.clone();
    std::thread::spawn(move || {
        idle::step_back();
        let Ok(images) = world.images() else { return };
        if let Err(words) = images.make(&world.repository, &wanted, &crash::point) {
            log(&format!("there is no base image of {}: {words}", wanted.commit));
        }
    });
}
