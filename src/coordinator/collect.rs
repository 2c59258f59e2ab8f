//! Taking over the result of an attempt that has ended.
//!
//! The objects first, then the refs that keep them, and the event last: whatever is interrupted is done again, and
//! comes to the same.

use std::collections::BTreeSet;

use super::sweep::is_checked_out;
use super::{World, kept_prefix};
use crate::core::agent::Account;
use crate::core::change::{Change, Collected, Flag};
use crate::core::event::{Event, Facts};
use crate::core::id::{AttemptId, BranchName, CommitId};
use crate::core::outcome::Outcome;
use crate::core::state::Task;
use crate::core::word::Word;
use crate::git::overlay::Layers;
use crate::git::place::{self, Real};
use crate::git::refs::{RefChange, Swap};
use crate::git::{GitError, diff, pack, worktree};
use crate::process::crash;
use crate::store::record::{self, Exit};
use crate::store::{self, StoreError};

/// A result could not be taken over now. It is still there, and is tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum CollectError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Refs(String),
}

/// What it comes down to.
pub(super) fn words(error: &CollectError) -> String {
    match error {
        CollectError::Git(error) => error.words(),
        error => error.to_string(),
    }
}

/// Import the result of an attempt, and tell how it ended.
///
/// # Errors
/// Where that cannot be done now (a full disk, a held lock).
pub(super) fn collect(world: &World, task: &Task, attempt: AttemptId) -> Result<Vec<Event>, CollectError> {
    let dir = world.layout.attempt(attempt);
    let exit: Option<Exit> = record::load(&dir.exit())?;
    let base = task.attempt(attempt.number).and_then(|attempt| attempt.base);
    // From here on it is a worktree like any other: by what leads to the repository it is known to be ours.
    worktree::lead_outside(&world.repository, &world.place(attempt))?;
    let (Some(mut exit), Some(base)) = (exit, base) else { return Ok(Vec::new()) };
    if let Some(member) = &task.spec.member {
        exit.outcome = exit.outcome.accepting(&member.accept);
    }
    let changed = exit.tip.is_some_and(|tip| tip != base) || !exit.left_out.is_empty();
    if let Some(role) = &task.spec.role {
        exit.outcome = exit.outcome.accepting(&role.accept);
        if role.require_changes && !changed && task.spec.agent.is_none() && exit.outcome.is_success() {
            exit.outcome = Outcome::NoChanges { said: String::new() };
        }
    }
    if let Some(assigned) = &task.spec.agent {
        exit.outcome = exit.account.as_deref().unwrap_or(&Account::default()).judge(exit.outcome, assigned, changed);
    }
    let result = match exit.tip {
        None => Collected::Refused { reason: "its files could not be committed".to_owned() },
        Some(tip) => take_over(world, task, attempt, base, tip, &mut exit)?,
    };
    if !result.is_complete()
        && let Err(error) = make_worktree(world, attempt, base)
    {
        // It can be taken over as it is, once that can be done.
        exit.notes.push(format!(
            "its worktree cannot be put together: {}; what it wrote is there all the same: try `pleach restore {attempt}`",
            error.words()
        ));
    }
    let facts = Facts {
        ended: Some(exit.ended),
        summary: exit.summary,
        cpu_ms: exit.cpu_ms,
        max_rss_kb: exit.max_rss_kb,
        log_bytes: exit.log_bytes,
        log_dropped: exit.log_dropped,
        leaked: exit.leaked,
        sandbox: exit.sandbox,
        provider: exit.provider,
        warnings: exit.warnings,
        network: exit.network,
        notes: exit.notes,
        account: exit.account,
    };
    Ok(vec![Event::Ended { attempt, outcome: exit.outcome, result, facts }])
}

fn take_over(
    world: &World,
    task: &Task,
    attempt: AttemptId,
    base: CommitId,
    tip: CommitId,
    exit: &mut Exit,
) -> Result<Collected, CollectError> {
    let repository = &world.repository;
    let extras = exit.extras.iter().map(|(_, commit)| *commit);
    let tips: Vec<CommitId> = std::iter::once(tip).chain(extras).filter(|tip| *tip != base).collect();
    if !tips.is_empty()
        && let pack::Imported::Refused(reason) =
            pack::import(repository, &world.layout.attempt(attempt).pack(), &tips, base)?
    {
        // A full disk makes a good pack look broken: that passes, and is tried again.
        if is_disk_full(world, attempt) {
            return Err(CollectError::Refs(format!("there is no room on the disk: {reason}")));
        }
        return Ok(Collected::Refused { reason });
    }
    crash::point("collect.imported");
    let prefix = kept_prefix(attempt);
    let mut keep: Vec<RefChange> =
        exit.extras.iter().map(|(name, commit)| RefChange::Set(format!("{prefix}{name}"), *commit)).collect();
    for (name, _) in &exit.extras {
        exit.notes.push(format!("it also left {name}: kept as {prefix}{name}"));
    }
    if tip != base {
        keep.push(RefChange::Set(format!("{prefix}tip"), tip));
    }
    let is_nothing = tip == base && exit.left_out.is_empty();
    let branch = if exit.outcome.is_success() && !is_nothing {
        keep_and_show(world, task, attempt, tip, &keep)?
    } else {
        swap(world, &keep)?;
        None
    };
    if is_nothing {
        return Ok(Collected::Nothing);
    }
    let (size, mut flags) = pack::inspect(repository, base, tip)?;
    flags.extend(exit.left_out.iter().map(|path| Flag::LeftOut { path: path.clone() }));
    flags.extend(outside(world, task, base, tip)?);
    if exit.outcome.is_success() && branch.is_none() {
        exit.notes.push(format!(
            "no branch shows it: there is one whose name is in the way of {}; rename that, or set `[branch] prefix`",
            world.branch(task)
        ));
    }
    crash::point("collect.refs_created");
    Ok(Collected::Change(Box::new(Change { tip, branch, size, flags, extras: exit.extras.clone() })))
}

/// What stays is a worktree as any other: whoever looks into it sees all of it.
fn make_worktree(world: &World, attempt: AttemptId, base: CommitId) -> Result<(), GitError> {
    let (dir, place) = (world.layout.attempt(attempt), world.place(attempt));
    let Some(layers) = Layers::find(&dir.overlay(), &dir.images()) else { return Ok(()) };
    let (repo, trash) = (&world.repository, &dir.trash());
    place::make_real(&Real { repo, place: &place, base, layers: &layers, trash, at: &crash::point })?;
    worktree::lead_outside(repo, &place)
}

/// Keep a part of a result that somebody accepted as the result of an attempt of its own.
///
/// # Errors
/// Where it is no part of it, or that cannot be done now.
pub(super) fn take_part(
    world: &World,
    task: &Task,
    of: AttemptId,
    attempt: AttemptId,
    tip: CommitId,
) -> Result<Vec<Event>, CollectError> {
    let base = task.attempt(of.number).and_then(|whole| whole.base);
    let parents = world.repository.parents(tip)?;
    let Some(base) = base.filter(|base| parents == [*base]) else {
        return Err(CollectError::Refs(format!("{tip:.12} is not a commit on the base of attempt {of}")));
    };
    let keep = [RefChange::Set(format!("{}tip", kept_prefix(attempt)), tip)];
    let branch = keep_and_show(world, task, attempt, tip, &keep)?;
    crash::point("part.refs_created");
    let (size, mut flags) = pack::inspect(&world.repository, base, tip)?;
    flags.extend(outside(world, task, base, tip)?);
    let change = Change { tip, branch, size, flags, extras: Vec::new() };
    Ok(vec![Event::PartTaken { attempt, of: of.number, result: Collected::Change(Box::new(change)) }])
}

/// What it changed beside the paths that it said it would.
fn outside(world: &World, task: &Task, base: CommitId, tip: CommitId) -> Result<Vec<Flag>, CollectError> {
    const MOST: usize = 100;
    let of_plan = task.spec.member.as_ref().map(|member| &member.paths);
    let of_role = task.spec.role.as_ref().map(|role| &role.paths);
    let of_parent = Some(&task.spec.paths);
    let limits: Vec<_> =
        of_plan.into_iter().chain(of_role).chain(of_parent).filter(|paths| !paths.is_empty()).collect();
    if limits.is_empty() {
        return Ok(Vec::new());
    }
    let files = diff::stat(&world.repository, base, tip, &[])?;
    let touched: BTreeSet<Word> =
        files.into_iter().flat_map(|file| [Some(file.path), file.old_path]).flatten().collect();
    let is_outside = |path: &Word| limits.iter().any(|paths| !paths.iter().any(|glob| glob.matches(path.as_bytes())));
    let outside = touched.into_iter().filter(is_outside).take(MOST);
    Ok(outside.map(|path| Flag::Outside { path }).collect())
}

/// Is there less room than taking the result over may need?
fn is_disk_full(world: &World, attempt: AttemptId) -> bool {
    const SPARE: u64 = 16 << 20;
    let pack = std::fs::symlink_metadata(world.layout.attempt(attempt).pack()).map_or(0, |data| data.len());
    store::free_disk(world.repository.common_dir()).is_some_and(|free| free < 4 * pack + SPARE)
}

fn swap(world: &World, changes: &[RefChange]) -> Result<(), CollectError> {
    match world.refs.update(changes, "pleach: keep a result")? {
        Swap::Done => Ok(()),
        Swap::Refused(words) => Err(CollectError::Refs(words)),
    }
}

/// Keep the result, and make the branch that shows it, in one transaction. A branch of that name that is not ours is left
/// alone; the result then gets one with the number of the attempt. Where a branch `pleach` leaves no room for `pleach/7`,
/// there is none: the result is kept all the same.
fn keep_and_show(
    world: &World,
    task: &Task,
    attempt: AttemptId,
    tip: CommitId,
    keep: &[RefChange],
) -> Result<Option<BranchName>, CollectError> {
    let plain = world.branch(task);
    let numbered = BranchName(format!("{}.{}", plain.0, attempt.number));
    let earlier = |tip: CommitId| task.attempts.iter().any(|old| task.change(old.number).is_some_and(|c| c.tip == tip));
    for branch in [plain, numbered] {
        let change = match world.repository.head_of(&branch)? {
            Some(head) if head == tip => return swap(world, keep).map(|()| Some(branch)),
            // A branch that somebody stands on does not move under their feet.
            Some(head) if earlier(head) && !is_checked_out(world, &branch)? => {
                RefChange::Advance { name: branch.full(), from: head, to: tip }
            }
            Some(_) => continue,
            None => RefChange::Create(branch.full(), tip),
        };
        let changes = [keep, &[change]].concat();
        match world.refs.update(&changes, "pleach: keep and show a result")? {
            Swap::Done => return Ok(Some(branch)),
            Swap::Refused(_) if !has_room(world, &branch)? => {}
            Swap::Refused(words) => return Err(CollectError::Refs(words)),
        }
    }
    swap(world, keep).map(|()| None)
}

/// Can there be a branch of this name beside those that there are?
fn has_room(world: &World, branch: &BranchName) -> Result<bool, CollectError> {
    let full = branch.full();
    let slashes = full.char_indices().filter(|(at, c)| *c == '/' && *at > "refs/heads".len());
    for (at, _) in slashes {
        if world.repository.ref_value(&full[..at])?.is_some() {
            return Ok(false);
        }
    }
    Ok(world.repository.refs_below(&format!("{full}/"))?.is_empty())
}
