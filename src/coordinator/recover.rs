//! Taking over once more what an attempt left, whose result was refused: its files are in its worktree and nowhere else.
//!
//! What went wrong may have passed (a full disk, a broken filter). Nobody waits in here: what fails is told to who asked,
//! and everything is then as it was.

use super::{World, collect, launch};
use crate::core::change::Collected;
use crate::core::event::Event;
use crate::core::id::AttemptId;
use crate::core::state::Task;

/// Take it over.
///
/// # Errors
/// Where that cannot be done: why, in words.
pub(super) fn recover(world: &World, task: &Task, attempt: AttemptId) -> Result<Event, String> {
    launch::save_again(world, task, attempt)?;
    let events = collect::collect(world, task, attempt).map_err(|error| collect::words(&error))?;
    let ended = events.into_iter().find_map(|event| match event {
        Event::Ended { result, facts, .. } => Some((result, facts.notes)),
        _ => None,
    });
    match ended {
        None => Err("how it ended is not known any more".to_owned()),
        Some((Collected::Refused { reason }, notes)) => Err(match notes.last() {
            Some(note) if note.starts_with(&reason) => note.clone(),
            _ => reason,
        }),
        Some((result, notes)) => Ok(Event::Recovered { attempt, result, notes }),
    }
}
