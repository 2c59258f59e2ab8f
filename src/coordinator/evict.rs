//! Making room: caches go while the disk has less than its floor, those first that nobody has used for longest.
//!
//! A cache is what only saves time: a slot that waits for a task, a worktree that candidates were verified in, and a base image. Sources are
//! none: where a task works, what it left, logs, records and what is kept stay, however little room there is. One goes at a time, by
//! a rename, so that no more goes than has to.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use super::{World, slots, trash};
use crate::git::place;
use crate::store::StoreError;

/// Throw the cache away that was used longest ago, but for the pooled worktrees `in_use`. Answers what it was; none where
/// there is none.
///
/// # Errors
/// Where it cannot be renamed.
pub(super) fn evict(world: &World, in_use: &[u32]) -> Result<Option<PathBuf>, StoreError> {
    // Somebody leases one just now: then it is looked at again.
    let Ok(_alone) = world.leasing.try_lock() else { return Ok(None) };
    let mut caches: Vec<(Option<SystemTime>, PathBuf)> = slots::idle(world)?;
    // What hooks are asked in is no pooled worktree of a run.
    let is_used = |dir: &PathBuf| {
        let number = dir.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
        number.is_none_or(|number| number == 0 || in_use.contains(&number))
    };
    let pooled = world.layout.pooled()?.into_iter().filter(|dir| !is_used(dir));
    caches.extend(pooled.map(|dir| {
        let used = fs::metadata(dir.join("git/index")).or_else(|_| fs::metadata(&dir));
        (used.and_then(|seen| seen.modified()).ok(), dir)
    }));
    let made = |dir: PathBuf| (fs::metadata(&dir).and_then(|seen| seen.modified()).ok(), dir);
    caches.extend(
        match world.images.get() {
            Some(Ok(images)) => images.unused(),
            // Nobody has looked for one yet.
            _ => free(world)?,
        }
        .into_iter()
        .map(made),
    );
    caches.sort();
    let Some((_, oldest)) = caches.into_iter().next() else { return Ok(None) };
    trash::throw(&oldest, &world.layout.trash())?;
    Ok(Some(oldest))
}

/// The images that nothing lies over. What is to lie over one takes hold of it while nobody evicts.
fn free(world: &World) -> Result<Vec<PathBuf>, StoreError> {
    let held = place::held(&world.layout.all_attempts());
    let is_free = |dir: &PathBuf| dir.file_name().is_none_or(|name| !held.contains(name));
    Ok(world.layout.all_images()?.into_iter().filter(is_free).collect())
}
