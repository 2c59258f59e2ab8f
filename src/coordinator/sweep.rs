//! What a new coordinator puts right before its first turn: the small things that no event speaks of.

use std::collections::BTreeSet;

use super::{World, candidate_pin, log};
use crate::core::id::{AttemptId, BranchName, TaskId};
use crate::core::state::{Place, State, Task};
use crate::git::refs::RefChange;
use crate::git::{GitError, locks, pack, worktree};
use crate::process::idle;
use crate::store::StoreError;

/// Make branches, pins and left-over directories agree with the state. What fails is told, and tried by the next one.
pub(super) fn sweep(world: &World, state: &State) {
    let told = |what: &str, result: Result<(), GitError>| {
        if let Err(error) = result {
            log(&format!("cannot {what}: {}", error.words()));
        }
    };
    told("remove what an import left", pack::sweep_quarantine(&world.repository));
    told("drop pins of attempts that are over", drop_pins(world, state));
    told("make branches agree with the tasks", show_branches(world, state));
    if let Err(error) = super::slots::sweep(world, state) {
        log(&format!("cannot throw a slot away: {error}"));
    }
    if let Err(error) = forget_runs(world, state) {
        log(&format!("cannot forget old runs: {error}"));
    }
}

/// The logs of the last runs of checks are enough.
fn forget_runs(world: &World, state: &State) -> Result<(), StoreError> {
    const KEPT: u32 = 200;
    let old = |attempt: &AttemptId| {
        attempt.task == TaskId(0) && attempt.number.saturating_add(KEPT) < state.lines().next_run()
    };
    let live = |attempt: &AttemptId| state.lines().run(attempt.number).is_some();
    for attempt in world.layout.attempts()?.into_iter().filter(|attempt| old(attempt) && !live(attempt)) {
        super::trash::throw(&world.layout.attempt(attempt).0, &world.layout.trash())?;
    }
    Ok(())
}

/// Put aside the locks that a killed git of ours left. `true` where there are some of which that is not sure yet.
pub(super) fn clear_locks(world: &World) -> bool {
    match locks::clear(&world.repository, &world.prefix) {
        Ok(cleared) => cleared.open > 0,
        Err(error) => {
            log(&format!("cannot put a dead lock aside: {}", error.words()));
            false
        }
    }
}

/// Delete what was thrown away. Slow, and no hurry: a thread of its own does it, which steps back for all others.
pub(super) fn empty_trash(world: &World) {
    let empty = || {
        idle::step_back();
        worktree::empty_trash(&world.layout.trash())
    };
    let _alone = world.emptying.lock();
    let failures = std::thread::scope(|scope| scope.spawn(empty).join());
    for error in failures.unwrap_or_default() {
        log(&format!("cannot delete something in the trash: {}", error.words()));
    }
}

fn drop_pins(world: &World, state: &State) -> Result<(), GitError> {
    let live: BTreeSet<AttemptId> = state
        .tasks()
        .flat_map(|task| task.attempts.iter().map(move |attempt| (task, attempt)))
        .filter(|(_, attempt)| attempt.ended.is_none() || attempt.place == Place::Present)
        .map(|(task, attempt)| task.attempt_id(attempt.number))
        .collect();
    let is_over = |name: &str| {
        let attempt = name.strip_prefix("refs/pleach/base/").and_then(|id| id.parse().ok());
        attempt.is_some_and(|attempt| !live.contains(&attempt))
    };
    let runs: BTreeSet<String> = state.lines().runs().map(|run| candidate_pin(run.number)).collect();
    let pins = world.repository.refs_below("refs/pleach/base/")?.into_iter().filter(|(name, _)| is_over(name));
    let candidates = world.repository.refs_below("refs/pleach/candidate/")?;
    let over = pins.chain(candidates.into_iter().filter(|(name, _)| !runs.contains(name)));
    let changes: Vec<RefChange> = over.map(|(name, base)| RefChange::Delete(name, base)).collect();
    world.repository.update_refs(&changes, "pleach: unpin").map(drop)
}

/// Each result that is up for review has its branch, and no other has.
fn show_branches(world: &World, state: &State) -> Result<(), GitError> {
    let there = world.repository.refs_below(&BranchName(world.prefix.clone()).full())?;
    for task in state.tasks() {
        let change = task.result_attempt().and_then(|attempt| attempt.ended.as_ref()?.result.change());
        let Some(branch) = change.and_then(|change| change.branch.as_ref()) else { continue };
        if task.shows_branch() != there.contains_key(&branch.full()) {
            show_branch(world, task)?;
        }
    }
    Ok(())
}

/// Make the branch of one task agree with where it stands. A branch that somebody moved on is theirs and stays.
///
/// # Errors
/// Where git fails.
pub(super) fn show_branch(world: &World, task: &Task) -> Result<(), GitError> {
    let Some(change) = task.result_attempt().and_then(|attempt| attempt.ended.as_ref()?.result.change()) else {
        return Ok(());
    };
    let branch = change.branch.clone().unwrap_or_else(|| world.branch(task));
    let there = world.repository.head_of(&branch)?;
    let change = match (task.shows_branch(), there) {
        (true, None) => RefChange::Create(branch.full(), change.tip),
        (false, Some(head)) if head == change.tip && !is_checked_out(world, &branch)? => {
            RefChange::Delete(branch.full(), head)
        }
        _ => return Ok(()),
    };
    world.repository.update_refs(&[change], "pleach: show what is up for review").map(drop)
}

pub(super) fn is_checked_out(world: &World, branch: &BranchName) -> Result<bool, GitError> {
    Ok(world.repository.worktrees()?.iter().any(|tree| tree.branch.as_ref() == Some(branch)))
}
