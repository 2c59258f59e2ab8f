//! Landing results: make the commit, move the target, let its checkout follow.

use jiff::Timestamp;

use super::{World, driven, kept_prefix, landed_mark, sealing, sweep};
use crate::core::change::{Direction, FoldRequest, Hold, Landing, Refusal};
use crate::core::driver::Driven;
use crate::core::event::Event;
use crate::core::id::{BranchName, CommitId, TaskId};
use crate::core::kinds::Kind;
use crate::core::merge_queue;
use crate::core::state::{Folded, State, Task, TaskState};
use crate::core::verify::Check;
use crate::core::word::Word;
use crate::git::GitError;
use crate::git::fold::{self, Fold, FoldLock};
use crate::git::merge::{self, Identity, Plan, Wanted};
use crate::git::publish::{self, Standing};
use crate::git::refs::{RefChange, Swap};
use crate::git::seal::Sealed;
use crate::process::{clock, crash};

/// A result in the line of its target, with what else must be known to land it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) task: Task,
    pub(super) request: FoldRequest,
    undoes: Option<Folded>,
    /// The tips of needs that are not folded by themselves: the target must hold them in some other way.
    unfolded: Vec<(TaskId, CommitId)>,
}

impl Entry {
    /// Whose.
    pub(super) fn task(&self) -> TaskId {
        self.task.id
    }

    /// Its change: from its base to its tip.
    pub(super) fn change(&self) -> Option<(CommitId, CommitId)> {
        let attempt = self.task.result_attempt()?;
        Some((attempt.base?, attempt.ended.as_ref()?.result.change()?.tip))
    }

    /// When its commits are made, as they say: the same question gives the same commit, whenever it is asked.
    pub(super) fn at(&self) -> Timestamp {
        let attempt = self.task.result_attempt();
        attempt.and_then(|attempt| attempt.ended.as_ref()).map_or_else(clock::now, |ended| ended.at)
    }

    /// What the target has to pass with it in.
    pub(super) fn check(&self) -> Option<&Check> {
        self.request.check.as_deref()
    }

    /// The checkout that it was asked from.
    pub(super) fn checkout(&self) -> Option<&Word> {
        self.task.spec.checkout.as_ref()
    }
}

/// The entry of a task that stands in a line.
pub(super) fn entry(state: &State, task: &Task) -> Option<Entry> {
    let (request, undoes) = match &task.state {
        TaskState::Queued { request, undoes, .. } | TaskState::Landing { request, undoes, .. } => (request, undoes),
        TaskState::Refused { request, refusal: Refusal::Rejected(_), .. } => (request, &None),
        TaskState::Ready { .. } => (&task.usual_fold()?, &None),
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
    let head = match (head(world, target)?, world.repository.head_of(target)?) {
        (Ok(head), _) => head,
        // What has landed there is taken back there, wherever the branch went.
        (Err(Hold::Parted { .. }), Some(head)) if entry.undoes.is_some() => head,
        (Err(hold), _) => return refused(hold),
    };
    let plan = match (&entry.undoes, entry.request.direction) {
        (Some(folded), Direction::Undo) => {
            let who = Identity::of(&world.repository, clock::now())?;
            merge::plan_undo(&world.repository, head, &folded.landing, &undo_message(entry, folded), &who)?
        }
        _ => plan_on(world, entry, head, &[])?.0,
    };
    crash::point("plan.committed");
    let landing = |to| Landing { from: head, to };
    let planned = |to| Event::LandingPlanned { task, landing: landing(to), whole: None, candidate: None };
    Ok(match plan {
        Plan::Land(to) => match sealing::sealed(world, (head, None), &[(entry, to)], &|_, _| Ok(String::new()))? {
            Sealed::Steps(sealed) => vec![planned(sealed.last().copied().unwrap_or(to))],
            Sealed::Refused(_, reason) => return refused(Hold::Refused { reason }),
        },
        Plan::Already => {
            let keep: Vec<RefChange> =
                kept_again(world, entry).map(|(name, tip)| RefChange::Set(name, tip)).into_iter().collect();
            if let Swap::Refused(reason) = world.refs.update(&keep, "pleach: keep an undone result")? {
                return refused(Hold::Refused { reason });
            }
            tidy(world, entry)?;
            vec![planned(head), Event::Landed { task, landing: landing(head) }]
        }
        Plan::Refused(refusal) => vec![Event::LandingRefused { task, refusal }],
    })
}

/// The head that a target has for whoever lands in it. What stands for a branch is brought to it first, where that goes by
/// itself.
///
/// # Errors
/// Where git fails.
pub(super) fn head(world: &World, target: &BranchName) -> Result<Result<CommitId, Hold>, GitError> {
    let Some(branch) = target.stands_for() else {
        return Ok(world.repository.head_of(target)?.ok_or_else(|| Hold::NoTarget { target: target.clone() }));
    };
    let (from, to) = match publish::standing(&world.repository, target, &branch)? {
        Standing::Ahead(head) => return Ok(Ok(head)),
        Standing::Parted(_) => return Ok(Err(Hold::Parted { branch, stand_in: target.clone() })),
        Standing::NoBranch => return Ok(Err(Hold::NoTarget { target: branch })),
        Standing::Behind { from, to } => (from, to),
    };
    let Some(from) = from else {
        let create = RefChange::Create(target.full(), to);
        return Ok(match world.refs.update(&[create], "pleach: stand for a branch")? {
            Swap::Done => Ok(to),
            Swap::Refused(reason) => Err(Hold::Refused { reason }),
        });
    };
    let lock = FoldLock::acquire(&world.repository)?;
    Ok(match fold::land(&world.repository, &lock, target, &Landing { from, to }, &[], &|_| {})? {
        Fold::Done => Ok(to),
        Fold::Moved => Err(Hold::Refused { reason: format!("somebody else moves {target}") }),
        Fold::Held(hold) => Err(hold),
    })
}

/// The fold of a result onto a head, which may be one that is only predicted: with the results of `before` in it. And what
/// a merge driver did for it, which it only does where a check follows.
///
/// # Errors
/// Where git fails.
pub(super) fn plan_on(
    world: &World,
    entry: &Entry,
    head: CommitId,
    before: &[TaskId],
) -> Result<(Plan, Option<Driven>), GitError> {
    match gate(world, entry, head, before)? {
        Some(hold) => Ok((Plan::Refused(Refusal::Held(hold)), None)),
        None => plan_fold(world, entry, head),
    }
}

/// What has to be settled before a fold is even tried.
fn gate(world: &World, entry: &Entry, head: CommitId, before: &[TaskId]) -> Result<Option<Hold>, GitError> {
    if let Some(hold) = merge_queue::flagged(&entry.task, entry.request.accept_flags) {
        return Ok(Some(hold));
    }
    let mut needs = Vec::new();
    for (need, tip) in &entry.unfolded {
        if !before.contains(need) && !world.repository.is_ancestor(*tip, head)? {
            needs.push(*need);
        }
    }
    Ok((!needs.is_empty()).then_some(Hold::Needs { needs }))
}

fn plan_fold(world: &World, entry: &Entry, head: CommitId) -> Result<(Plan, Option<Driven>), GitError> {
    let attempt = entry.task.result_attempt();
    let who = &Identity::of(&world.repository, entry.at())?;
    let change = attempt.and_then(|attempt| attempt.ended.as_ref()?.result.change());
    let (Some(change), Some(base)) = (change, attempt.and_then(|attempt| attempt.base)) else {
        return Ok((Plan::Already, None));
    };
    let message = fold_message(entry, base);
    let strategy = entry.request.strategy;
    let wanted = Wanted { head, base, tip: change.tip, strategy, message: &message, replay: entry.task.undone };
    match merge::plan(&world.repository, &wanted, who)? {
        conflict @ Plan::Refused(Refusal::Conflict(_)) => driven::plan(world, entry, &wanted, who, conflict),
        plan => Ok((plan, None)),
    }
}

/// Says where the commit comes from: for people in its first line, for programs in its trailers.
fn fold_message(entry: &Entry, base: CommitId) -> String {
    let task = &entry.task;
    let asked = entry.request.message.as_ref().or(task.spec.message.as_ref()).cloned();
    let subject = asked.unwrap_or_else(|| subject(task));
    let attempt = task.result_attempt().map_or(1, |attempt| attempt.number);
    let verified = if entry.request.unverified { "Pleach-Verified: no\n" } else { "" };
    format!("{}\n\nPleach-Task: {}\nPleach-Base: {base}\n{verified}", subject.trim_end(), task.attempt_id(attempt))
}

fn undo_message(entry: &Entry, folded: &Folded) -> String {
    let attempt = entry.task.attempt_id(folded.attempt);
    let asked = entry.request.message.clone();
    let subject = asked.unwrap_or_else(|| format!("Undo the fold of task {}", entry.task.id));
    format!("{}\n\nPleach-Undo: {attempt}\nPleach-Fold: {}\n", subject.trim_end(), folded.landing.to)
}

/// What a task did, as the first line of a message.
pub(super) fn subject(task: &Task) -> String {
    let command = task.spec.shown();
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

/// Verified results land together: each gets its step of the way. Where the target is not on the head that they were
/// verified on, that is told instead. They may also stand on `stand_in`, which that head landed for.
///
/// # Errors
/// Where git fails.
pub(super) fn advance(
    world: &World,
    target: &BranchName,
    (head, stand_in): (CommitId, Option<CommitId>),
    steps: &[(Entry, CommitId)],
) -> Result<Vec<Event>, GitError> {
    let Some(now) = world.repository.head_of(target)?.filter(|now| *now == head) else {
        let tasks: Vec<TaskId> = steps.iter().map(|(entry, _)| entry.task()).collect();
        // They stand in their line, and only a target that is gone is news to them.
        let news = missed(world, target, &tasks)?;
        return Ok(news.into_iter().filter(|event| !matches!(event, Event::LandingMissed { .. })).collect());
    };
    let Some((_, last)) = steps.last() else { return Ok(Vec::new()) };
    let whole_tree = world.repository.tree_of(*last)?;
    let verified = |entry: &Entry, commit| sealing::verified(world, entry, commit, whole_tree);
    let unsealed: Vec<(&Entry, CommitId)> = steps.iter().map(|(entry, commit)| (entry, *commit)).collect();
    let sealed = match sealing::sealed(world, (now, stand_in), &unsealed, &verified)? {
        Sealed::Steps(sealed) => sealed,
        Sealed::Refused(place, reason) => {
            let refusal = Refusal::Held(Hold::Refused { reason });
            let to_blame = steps.iter().enumerate().filter(|(own, _)| place.is_none_or(|place| place == *own));
            let refused = |(_, (entry, _)): (usize, &(Entry, _))| Event::LandingRefused {
                task: entry.task(),
                refusal: refusal.clone(),
            };
            return Ok(to_blame.map(refused).collect());
        }
    };
    let whole = sealed.last().map(|last| Landing { from: now, to: *last }).filter(|_| steps.len() > 1);
    let mut from = now;
    let step = |((entry, commit), to): (&(Entry, CommitId), CommitId)| {
        let landing = Landing { from: std::mem::replace(&mut from, to), to };
        let candidate = Some(*commit).filter(|commit| *commit != to);
        Event::LandingPlanned { task: entry.task(), landing, whole: whole.clone(), candidate }
    };
    Ok(steps.iter().zip(sealed).map(step).collect())
}

/// These go back into the line, which stands on what the target is now.
fn missed(world: &World, target: &BranchName, tasks: &[TaskId]) -> Result<Vec<Event>, GitError> {
    let Some(head) = world.repository.head_of(target)? else {
        let hold = || Refusal::Held(Hold::NoTarget { target: target.clone() });
        return Ok(tasks.iter().map(|task| Event::LandingRefused { task: *task, refusal: hold() }).collect());
    };
    let back = tasks.iter().map(|task| Event::LandingMissed { task: *task });
    Ok(back.chain([Event::HeadSeen { target: target.clone(), head }]).collect())
}

/// A result with the step of the target that it lands by.
pub(super) type Planned = (Entry, Landing);

/// Those that land together with a task, in their order; it alone, where it lands alone.
pub(super) fn together(state: &State, task: &Task) -> Vec<Planned> {
    let TaskState::Landing { whole, landing, request, .. } = &task.state else { return Vec::new() };
    let alone = || entry(state, task).map(|entry| (entry, landing.clone())).into_iter().collect();
    let Some(whole) = whole else { return alone() };
    let mut all: Vec<(&Task, &Landing)> = Vec::new();
    for other in state.of_kind(&[Kind::InLine]) {
        if let TaskState::Landing { whole: Some(way), landing, request: asked, .. } = &other.state
            && way == whole
            && asked.target == request.target
        {
            all.push((other, landing));
        }
    }
    // The order of their steps: each begins where another one ends.
    let ends = |landing: &Landing| all.iter().find(|(_, other)| other.to == landing.from && other.from != other.to);
    let depth = |landing: &Landing| {
        let steps = std::iter::successors(Some(landing), |landing| ends(landing).map(|(_, other)| *other));
        steps.take(all.len() + 1).count()
    };
    let mut order: Vec<(usize, &Task, &Landing)> = all.iter().map(|(task, step)| (depth(step), *task, *step)).collect();
    // What moves nothing comes first where it stands.
    order.sort_by_key(|(depth, _, step)| (*depth, step.from != step.to));
    order.into_iter().filter_map(|(_, task, step)| Some((entry(state, task)?, step.clone()))).collect()
}

/// Do their steps lead all the way?
fn reaches(planned: &[Planned], whole: &Landing) -> bool {
    let last = planned.iter().try_fold(whole.from, |at, (_, step)| (step.from == at).then_some(step.to));
    last == Some(whole.to)
}

/// Move the target, or finish moving it.
///
/// # Errors
/// Where git fails half-way: the same landing is then tried again, and finishes what is half done.
pub(super) fn land(world: &World, planned: &[Planned], whole: &Landing) -> Result<Vec<Event>, GitError> {
    let Some((first, _)) = planned.first() else { return Ok(Vec::new()) };
    let target = first.request.target.clone();
    // A death cut the plan short, or what was written down of its end: the whole holds results that are not landing.
    let is_in = |head| world.repository.is_ancestor(whole.to, head);
    if !reaches(planned, whole) && !world.repository.head_of(&target)?.map_or(Ok(false), is_in)? {
        let all: Vec<TaskId> = planned.iter().map(|(entry, _)| entry.task()).collect();
        return missed(world, &target, &all);
    }
    let mark = |entry: &Entry| {
        let attempt = entry.task.result_attempt().map_or(1, |attempt| attempt.number);
        landed_mark(entry.task.attempt_id(attempt))
    };
    let marks: Vec<(String, CommitId)> = planned.iter().map(|(entry, step)| (mark(entry), step.to)).collect();
    let lock = FoldLock::acquire(&world.repository)?;
    let again = planned.iter().filter_map(|(entry, _)| kept_again(world, entry));
    let marks: Vec<(String, CommitId)> = marks.into_iter().chain(again).collect();
    let fold = fold::land(&world.repository, &lock, &target, whole, &marks, &crash::point)?;
    drop(lock);
    let all: Vec<TaskId> = planned.iter().map(|(entry, _)| entry.task()).collect();
    Ok(match fold {
        Fold::Done => {
            for (entry, _) in planned {
                tidy(world, entry)?;
            }
            crash::point("land.tidied");
            planned.iter().map(|(entry, step)| Event::Landed { task: entry.task(), landing: step.clone() }).collect()
        }
        Fold::Moved if first.request.check.is_some() => missed(world, &target, &all)?,
        Fold::Moved => all.iter().map(|task| Event::LandingMissed { task: *task }).collect(),
        Fold::Held(hold) => held(world, planned, &hold)?,
    })
}

/// Something is in the way of a landing: of which results? The others go back into the line.
fn held(world: &World, planned: &[Planned], hold: &Hold) -> Result<Vec<Event>, GitError> {
    let mut events = Vec::new();
    for (entry, step) in planned {
        let own = match hold {
            Hold::Overlap { checkout, paths } if planned.len() > 1 => {
                let touched = merge::touched(&world.repository, step)?;
                let paths: Vec<Word> = paths.iter().filter(|path| touched.contains(*path)).cloned().collect();
                (!paths.is_empty()).then(|| Hold::Overlap { checkout: checkout.clone(), paths })
            }
            hold => Some(hold.clone()),
        };
        events.push(match own {
            Some(hold) => Event::LandingRefused { task: entry.task(), refusal: Refusal::Held(hold) },
            None => Event::LandingMissed { task: entry.task() },
        });
    }
    // Nobody to blame: all of them wait.
    if events.iter().all(|event| matches!(event, Event::LandingMissed { .. })) {
        let refused =
            |(entry, _): &Planned| Event::LandingRefused { task: entry.task(), refusal: Refusal::Held(hold.clone()) };
        return Ok(planned.iter().map(refused).collect());
    }
    Ok(events)
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
