//! Landing results: make the commit, move the target, let its checkout follow.

use super::{World, kept_prefix, landed_mark, sweep};
use crate::core::change::{Direction, FoldRequest, Hold, Landing, Refusal};
use crate::core::event::Event;
use crate::core::id::{CommitId, TaskId};
use crate::core::merge_queue;
use crate::core::state::{Folded, State, Task, TaskState};
use crate::git::GitError;
use crate::git::fold::{self, Fold, FoldLock};
use crate::git::merge::{self, Identity, Plan, Wanted};
use crate::git::refs::{RefChange, Swap};
use crate::process::{clock, crash};

/// A result in the line of its target, with what else must be known to land it.
#[derive(Debug)]
pub(super) struct Entry {
    task: Task,
    request: FoldRequest,
    undoes: Option<Folded>,
    /// The tips of needs that are not folded by themselves: the target must hold them in some other way.
    unfolded: Vec<(TaskId, CommitId)>,
}

/// The entry of a task that stands in a line.
pub(super) fn entry(state: &State, task: &Task) -> Option<Entry> {
    let (request, undoes) = match &task.state {
        TaskState::Queued { request, undoes, .. } | TaskState::Landing { request, undoes, .. } => (request, undoes),
        _ => return None,
    };
    let unfolded = merge_queue::unfolded(state, task, &request.target);
    Some(Entry { task: task.clone(), request: request.clone(), undoes: undoes.clone(), unfolded })
}

/// Make the commit to land; nothing moves.
///
/// # Errors
/// Where git fails.
pub(super) fn plan(world: &World, entry: &Entry) -> Result<Vec<Event>, GitError> {
    let task = entry.task.id;
    let refused = |hold| Ok(vec![Event::LandingRefused { task, refusal: Refusal::Held(hold) }]);
    let target = &entry.request.target;
    let Some(head) = world.repository.head_of(target)? else {
        return refused(Hold::NoTarget { target: target.clone() });
    };
    let who = Identity::of(&world.repository, clock::now())?;
    let plan = match (&entry.undoes, entry.request.direction) {
        (Some(folded), Direction::Undo) => {
            merge::plan_undo(&world.repository, head, &folded.landing, &undo_message(entry, folded), &who)?
        }
        _ => match gate(world, entry, head)? {
            Some(hold) => return refused(hold),
            None => plan_fold(world, entry, head, &who)?,
        },
    };
    crash::point("plan.committed");
    let landing = |to| Landing { from: head, to };
    Ok(match plan {
        Plan::Land(to) => vec![Event::LandingPlanned { task, landing: landing(to) }],
        Plan::Already => {
            let keep: Vec<RefChange> =
                kept_again(world, entry).map(|(name, tip)| RefChange::Set(name, tip)).into_iter().collect();
            if let Swap::Refused(reason) = world.refs.update(&keep, "pleach: keep an undone result")? {
                return refused(Hold::Refused { reason });
            }
            tidy(world, entry)?;
            let landing = landing(head);
            vec![Event::LandingPlanned { task, landing: landing.clone() }, Event::Landed { task, landing }]
        }
        Plan::Refused(refusal) => vec![Event::LandingRefused { task, refusal }],
    })
}

/// What has to be settled before a fold is even tried.
fn gate(world: &World, entry: &Entry, head: CommitId) -> Result<Option<Hold>, GitError> {
    if let Some(hold) = merge_queue::flagged(&entry.task, entry.request.accept_flags) {
        return Ok(Some(hold));
    }
    let mut needs = Vec::new();
    for (need, tip) in &entry.unfolded {
        if !world.repository.is_ancestor(*tip, head)? {
            needs.push(*need);
        }
    }
    Ok((!needs.is_empty()).then_some(Hold::Needs { needs }))
}

fn plan_fold(world: &World, entry: &Entry, head: CommitId, who: &Identity) -> Result<Plan, GitError> {
    let attempt = entry.task.result_attempt();
    let change = attempt.and_then(|attempt| attempt.ended.as_ref()?.result.change());
    let (Some(change), Some(base)) = (change, attempt.and_then(|attempt| attempt.base)) else {
        return Ok(Plan::Already);
    };
    let message = fold_message(entry, base);
    let strategy = entry.request.strategy;
    let wanted = Wanted { head, base, tip: change.tip, strategy, message: &message, replay: entry.task.undone };
    merge::plan(&world.repository, &wanted, who)
}

/// Says where the commit comes from: for people in its first line, for programs in its trailers.
fn fold_message(entry: &Entry, base: CommitId) -> String {
    let task = &entry.task;
    let asked = entry.request.message.as_ref().or(task.spec.message.as_ref()).cloned();
    let subject = asked.unwrap_or_else(|| subject(task));
    let attempt = task.result_attempt().map_or(1, |attempt| attempt.number);
    format!("{}\n\nPleach-Task: {}\nPleach-Base: {base}\n", subject.trim_end(), task.attempt_id(attempt))
}

fn undo_message(entry: &Entry, folded: &Folded) -> String {
    let attempt = entry.task.attempt_id(folded.attempt);
    let asked = entry.request.message.clone();
    let subject = asked.unwrap_or_else(|| format!("Undo the fold of task {}", entry.task.id));
    format!("{}\n\nPleach-Undo: {attempt}\nPleach-Fold: {}\n", subject.trim_end(), folded.landing.to)
}

/// What a task did, as the first line of a message.
pub(super) fn subject(task: &Task) -> String {
    let command = task.spec.command.shown();
    match &task.spec.name {
        Some(name) => one_line(&format!("{name}: {command}")),
        None => one_line(&command),
    }
}

fn one_line(text: &str) -> String {
    const LONGEST: usize = 68;
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= LONGEST {
        return line.to_owned();
    }
    line.chars().take(LONGEST - 1).chain(['…']).collect()
}

/// Move the target, or finish moving it.
///
/// # Errors
/// Where git fails half-way: the same landing is then tried again, and finishes what is half done.
pub(super) fn land(world: &World, entry: &Entry, landing: &Landing) -> Result<Vec<Event>, GitError> {
    let task = entry.task.id;
    let attempt = entry.task.result_attempt().map_or(1, |attempt| attempt.number);
    let mark = landed_mark(entry.task.attempt_id(attempt));
    let lock = FoldLock::acquire(&world.repository)?;
    let marks: Vec<(String, CommitId)> = [(mark, landing.to)].into_iter().chain(kept_again(world, entry)).collect();
    let fold = fold::land(&world.repository, &lock, &entry.request.target, landing, &marks, &crash::point)?;
    Ok(vec![match fold {
        Fold::Done => {
            tidy(world, entry)?;
            crash::point("land.tidied");
            Event::Landed { task, landing: landing.clone() }
        }
        Fold::Moved => Event::LandingMissed { task },
        Fold::Held(hold) => Event::LandingRefused { task, refusal: Refusal::Held(hold) },
    }])
}

/// The ref that keeps a result whose fold is taken back, in the same transaction as the undo: `gc` may have freed it. None
/// where the result itself is gone from the repository; its fold can be taken back all the same.
fn kept_again(world: &World, entry: &Entry) -> Option<(String, CommitId)> {
    let folded = entry.undoes.as_ref()?;
    let tip = entry.task.change(folded.attempt)?.tip;
    let base = entry.task.attempt(folded.attempt)?.base;
    let is_there = base != Some(tip) && world.repository.tree_of(tip).is_ok();
    is_there.then(|| (format!("{}tip", kept_prefix(entry.task.attempt_id(folded.attempt))), tip))
}

/// The branch of a folded result has served; that of an undone one is wanted again.
fn tidy(world: &World, entry: &Entry) -> Result<(), GitError> {
    let attempt = entry.task.result_attempt().map_or(1, |attempt| attempt.number);
    let state = match entry.request.direction {
        Direction::Fold => TaskState::Discarded,
        Direction::Undo => TaskState::Ready { attempt },
    };
    sweep::show_branch(world, &Task { state, ..entry.task.clone() })
}
