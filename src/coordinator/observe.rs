//! Looking at the world: what is seen of an attempt's shim, and of the memory.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::core::inventory::Shim;
use crate::core::kinds::Kind;
use crate::core::state::{State, Task};
use crate::process::load;
use crate::process::pidfd::Hold;
use crate::store::layout::AttemptDir;
use crate::store::record::{self, Run};
use crate::store::{Layout, StoreError, election};

/// What is seen of a shim now.
///
/// # Errors
/// Where the attempt's files cannot be read: then nothing is known, and nothing may be concluded.
pub(super) fn shim(dir: &AttemptDir) -> Result<Shim, StoreError> {
    if dir.exit().exists() {
        return Ok(Shim::Exited);
    }
    match record::load::<Run>(&dir.run()) {
        Ok(Some(run)) if !run.is_nobody() => {}
        Ok(_) => return Ok(Shim::Absent),
        // Torn by a power cut: a shim was there all the same, and may have run its task.
        Err(StoreError::Damaged { .. }) => {}
        Err(error) => return Err(error),
    }
    if election::is_held(&dir.lock())? {
        return Ok(Shim::Alive);
    }
    // It may have written its record between the two looks.
    Ok(if dir.exit().exists() { Shim::Exited } else { Shim::Dead })
}

/// Come back when the shim is gone. The process id only wakes us; what counts is the lock.
pub(super) async fn until_gone(dir: AttemptDir) {
    let run: Option<Run> = record::load(&dir.run()).ok().flatten();
    // The lock is looked at once more, with the hold in hand: the number alone could be somebody else's by now.
    if let Some(hold) = run.and_then(|run| Hold::of(run.shim))
        && matches!(shim(&dir), Ok(Shim::Alive))
    {
        return hold.ended().await;
    }
    // No such descriptor on this system: look now and then.
    while matches!(shim(&dir), Ok(Shim::Alive)) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Bytes of memory that are free for new tasks: what nobody uses, less what those that run have said that they need and do
/// not use yet. Only who has said something is weighed.
pub(crate) fn free_memory(layout: &Layout, state: &State) -> Option<u64> {
    let free = load::free_memory()?;
    let to_come = |task: &Task| {
        let dir = layout.attempt(task.last_attempt()?);
        let run: Option<Run> = record::load(&dir.run()).ok().flatten();
        let load = run.and_then(|run| load::below(run.shim, dir.0.as_os_str().as_encoded_bytes())).unwrap_or_default();
        Some(task.spec.needs_memory.saturating_sub(load.memory))
    };
    let needy = state.of_kind(&[Kind::Running]).filter(|task| task.spec.needs_memory > 0);
    Some(free.saturating_sub(needy.filter_map(to_come).sum()))
}

/// Which file this is, whatever it is called.
pub(super) fn identity(path: &Path) -> Option<(u64, u64)> {
    let seen = std::fs::metadata(path).ok()?;
    Some((seen.dev(), seen.ino()))
}
