//! Folding results, dropping them, bringing them back, and taking folds back.

use super::verify::{self, Frozen, Verifying};
use super::wait::{Patience, until};
use super::{Error, ErrorKind, Session, control, find, find_attempt};
use crate::coordinator::protocol::{Request, Until};
use crate::core::change::{Direction, FoldRequest, Hold, Landing, Refusal};
use crate::core::driver::Driver;
use crate::core::id::{AttemptId, BranchName, CommitId, TaskHandle, TaskId};
use crate::core::merge_queue;
use crate::core::state::{Folded, State, Task, TaskState};
use crate::core::task::{Publish, Strategy};
use crate::git::fold;
use crate::git::merge::{self, Identity, Wanted};
use crate::git::publish::{self, Standing};
use crate::git::{GitError, Repository};
use crate::process::clock;

/// How to fold.
#[derive(Debug, Clone, Default)]
pub struct How {
    /// How it becomes part of the target; what the task says if not said.
    pub strategy: Option<Strategy>,
    /// The branch; the one that the task was meant for if not said.
    pub into: Option<BranchName>,
    /// What moves; what the task or else the configuration says if not said.
    pub publish: Option<Publish>,
    /// The message of the commit that is made.
    pub message: Option<String>,
    /// The flags of the results were seen and accepted.
    pub accept_flags: bool,
    /// What the target has to pass.
    pub verify: Verifying,
    /// The results that somebody looked at, by their last commits: where a task has another one by now, nothing is folded.
    pub looked_at: Vec<(TaskId, CommitId)>,
}

/// What became of one task.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Which.
    pub task: TaskId,
    /// The branch that shows its result, where one does.
    pub branch: Option<BranchName>,
    /// What.
    pub fate: Fate,
    /// The merge driver that is set up, and was not tried because nothing would have verified what it merges.
    pub untried: Option<String>,
}

/// What became of a fold.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// It is in.
    Folded(Folded),
    /// It was in before anybody asked.
    Already(Folded),
    /// There was nothing to fold.
    Nothing,
    /// The fold was taken back.
    Undone {
        /// Of which branch.
        target: BranchName,
    },
    /// It does not go in; the target is as it was.
    Refused(BranchName, Refusal),
    /// Something else happened to it meanwhile.
    Elsewhere(&'static str),
    /// It stands in this line, and somebody keeps it, or what it builds on, from landing.
    OnHold(BranchName),
    /// It would go in (a dry run).
    Would(BranchName),
}

/// Fold these, in this order, and wait for it.
///
/// # Errors
/// Where a task is unknown, has no result, or has no target. A conflict is no error of this function: see [`Fate`].
pub fn merge(session: &mut Session, handles: &[TaskHandle], how: &How) -> Result<Vec<Told>, Error> {
    let state = session.state()?;
    let tasks = find(&state, handles)?;
    let ids: Vec<TaskId> = tasks.iter().map(|task| task.id).collect();
    let before: Vec<TaskState> = tasks.iter().map(|task| task.state.clone()).collect();
    for task in &tasks {
        refuse_elsewhere(task, how)?;
    }
    let mut frozen: Vec<(Verifying, Frozen)> = Vec::new();
    let mut folds = Vec::new();
    for task in &tasks {
        let said = how.verify.of(task);
        if !frozen.iter().any(|(known, _)| *known == said) {
            frozen.push((said.clone(), verify::freeze(session, &said)?));
        }
        let of_it = frozen.iter().find(|(known, _)| *known == said).map(|(_, frozen)| frozen.clone());
        let Frozen { check, unverified, hooks } = of_it.unwrap_or_default();
        let tip = how.looked_at.iter().find(|(looked_at, _)| *looked_at == task.id).map(|(_, tip)| *tip);
        folds.push((task.id, FoldRequest { tip, check, unverified, hooks, ..request(session, task, how)? }));
    }
    session.coordinator()?.ask(&Request::Fold { folds: folds.clone() })?;
    until(session, &ids, Until::Landed, Patience { any: false, timeout: None })?;
    let state = session.state()?;
    let driver = session.config().ok().and_then(|config| config.driver.value.as_ref()).map(Driver::name);
    let untried = driver.filter(|_| folds.iter().any(|(_, request)| request.check.is_none()));
    let all = ids.into_iter().zip(before).map(|(id, before)| {
        let fate = match fate(&state, id) {
            Fate::Folded(folded) if before == TaskState::Folded(folded.clone()) => Fate::Already(folded),
            fate => fate,
        };
        let is_conflict = matches!(fate, Fate::Refused(_, Refusal::Conflict(_)));
        Told { untried: untried.clone().filter(|_| is_conflict), ..told(&state, id, fate) }
    });
    Ok(all.collect())
}

/// What is in one branch goes into another only once that fold is taken back.
fn refuse_elsewhere(task: &Task, how: &How) -> Result<(), Error> {
    match (&task.state, &how.into) {
        (TaskState::Folded(Folded { target, .. }), Some(into))
            if Publish::Branch.of(target) != Publish::Branch.of(into) =>
        {
            let message = format!("task {} is folded into {target} already", task.id);
            Err(Error::new(ErrorKind::Refused, message, format!("take that back first with `pleach undo {}`", task.id)))
        }
        _ => Ok(()),
    }
}

fn request(session: &Session, task: &Task, how: &How) -> Result<FoldRequest, Error> {
    let target = how.into.clone().or_else(|| task.spec.target.clone()).or_else(|| session.found.branch.clone());
    let strategy = match how.strategy.or(task.spec.strategy) {
        Some(strategy) => strategy,
        None => session.config()?.strategy,
    };
    // Where the configuration cannot be read, what was frozen counts.
    let publish = match (how.publish, task.spec.publish) {
        (Some(publish), _) => publish,
        (None, Publish::Ref) => Publish::Ref,
        (None, Publish::Branch) => session.config().map_or_else(|_| Publish::default(), |config| config.publish),
    };
    let target = target.map(|target| publish.of(&target)).ok_or_else(|| {
        let message = format!("task {} was started from a detached HEAD, so it has no branch to go into", task.id);
        Error::new(ErrorKind::Usage, message, "name one with `--into BRANCH`")
    })?;
    Ok(FoldRequest {
        direction: Direction::Fold,
        target,
        strategy,
        message: how.message.clone(),
        accept_flags: how.accept_flags,
        tip: None,
        check: None,
        unverified: false,
        hooks: Vec::new(),
    })
}

fn told(state: &State, id: TaskId, fate: Fate) -> Told {
    let task = state.task(id).filter(|task| task.shows_branch());
    let change = task.and_then(|task| task.change(task.result_attempt()?.number));
    Told { task: id, branch: change.and_then(|change| change.branch.clone()), fate, untried: None }
}

fn fate(state: &State, id: TaskId) -> Fate {
    match state.task(id).map(|task| (&task.state, task.undone)) {
        Some((TaskState::Folded(folded), _)) => Fate::Folded(folded.clone()),
        Some((TaskState::Refused { request, refusal, .. }, _)) => {
            Fate::Refused(request.target.clone(), refusal.clone())
        }
        Some((TaskState::Queued { request, .. }, _)) => Fate::OnHold(request.target.clone()),
        Some((TaskState::Empty, _)) => Fate::Nothing,
        Some((TaskState::Ready { .. }, _)) => Fate::Elsewhere("it is up for review again"),
        Some((TaskState::Discarded, _)) => Fate::Elsewhere("it was discarded meanwhile"),
        _ => Fate::Elsewhere("it was taken up again meanwhile"),
    }
}

/// Say what folding these one after the other would do; nothing is changed, and nobody is asked.
///
/// # Errors
/// As [`merge()`].
pub fn try_merge(session: &Session, handles: &[TaskHandle], how: &How) -> Result<Vec<Told>, Error> {
    let state = session.state()?;
    let repository = session.repository();
    let who = Identity::of(repository, clock::now())?;
    let mut heads = std::collections::BTreeMap::new();
    let mut all: Vec<Told> = Vec::new();
    for task in find(&state, handles)? {
        refuse_elsewhere(task, how)?;
        if let TaskState::Folded(folded) = &task.state {
            all.push(told(&state, task.id, Fate::Already(folded.clone())));
            continue;
        }
        let FoldRequest { target, strategy, accept_flags, .. } = request(session, task, how)?;
        let attempt = task.result_attempt().filter(|_| task.shows_branch());
        let sides = attempt.and_then(|attempt| Some((attempt.base?, attempt.ended.as_ref()?.result.change()?.tip)));
        let Some((base, tip)) = sides else {
            all.push(told(&state, task.id, fate(&state, task.id)));
            continue;
        };
        let mut held = |target, hold| all.push(told(&state, task.id, Fate::Refused(target, Refusal::Held(hold))));
        if let Some(hold) = merge_queue::flagged(task, accept_flags) {
            held(target, hold);
            continue;
        }
        let now = match head(repository, &target)? {
            Ok(now) => now,
            Err(hold) => {
                held(target, hold);
                continue;
            }
        };
        let head = heads.get(&target).copied().unwrap_or(now);
        let mut needs = Vec::new();
        for (need, tip) in merge_queue::unfolded(&state, task, &target) {
            if !would_go(&all, need, &target) && !repository.is_ancestor(tip, head)? {
                needs.push(need);
            }
        }
        let mut held = |target, hold| all.push(told(&state, task.id, Fate::Refused(target, Refusal::Held(hold))));
        if !needs.is_empty() {
            held(target, Hold::Needs { needs });
            continue;
        }
        let wanted = Wanted { head, base, tip, strategy, message: "pleach: dry run", replay: task.undone };
        let fate = match merge::plan(repository, &wanted, &who)? {
            // What went in before it counts as there: the checkout would have followed.
            merge::Plan::Land(to) => match fold::preview(repository, &target, &Landing { from: now, to })? {
                Some(hold) => Fate::Refused(target, Refusal::Held(hold)),
                None => {
                    heads.insert(target.clone(), to);
                    Fate::Would(target)
                }
            },
            merge::Plan::Already => Fate::Nothing,
            merge::Plan::Refused(refusal) => Fate::Refused(target, refusal),
        };
        all.push(told(&state, task.id, fate));
    }
    Ok(all)
}

/// What a target would be when something lands in it now.
fn head(repository: &Repository, target: &BranchName) -> Result<Result<CommitId, Hold>, Error> {
    let Some(branch) = target.stands_for() else {
        return Ok(repository.head_of(target)?.ok_or_else(|| Hold::NoTarget { target: target.clone() }));
    };
    Ok(match publish::standing(repository, target, &branch)? {
        Standing::Ahead(head) | Standing::Behind { to: head, .. } => Ok(head),
        Standing::Parted(_) => Err(Hold::Parted { branch, stand_in: target.clone() }),
        Standing::NoBranch => Err(Hold::NoTarget { target: branch }),
    })
}

fn would_go(all: &[Told], task: TaskId, target: &BranchName) -> bool {
    all.iter().any(|told| told.task == task && matches!(&told.fate, Fate::Would(into) if into == target))
}

/// Take a fold back: of this task, or the last one (into this branch).
///
/// # Errors
/// Where nothing was folded, or it cannot be taken back: the target is then as it was.
pub fn undo(session: &mut Session, task: Option<&TaskHandle>, into: Option<&BranchName>) -> Result<Told, Error> {
    let state = session.state()?;
    let found = match task {
        Some(handle) => Some(find(&state, std::slice::from_ref(handle))?[0]),
        None => state.last_fold(into).or_else(|| state.last_fold(Some(&into?.stand_in()))),
    };
    let Some(task) = found else { return Err(nothing_to_undo(session, into)?) };
    let TaskState::Folded(folded) = &task.state else {
        let message = format!("task {} is not folded", task.id);
        return Err(Error::new(ErrorKind::Refused, message, "see what is with `pleach ls --all`"));
    };
    let (id, target, before) = (task.id, folded.target.clone(), state.events());
    let request = FoldRequest {
        direction: Direction::Undo,
        target: target.clone(),
        strategy: Strategy::Merge,
        message: None,
        accept_flags: true,
        tip: None,
        check: None,
        unverified: false,
        hooks: Vec::new(),
    };
    session.coordinator()?.ask(&Request::Fold { folds: vec![(id, request)] })?;
    until(session, &[id], Until::Landed, Patience { any: false, timeout: None })?;
    let state = session.state()?;
    let fate = match fate(&state, id) {
        Fate::Folded(folded) => match last_refusal(session, id, before)? {
            Some(refusal) => Fate::Refused(target, refusal),
            None => Fate::Folded(folded),
        },
        _ => Fate::Undone { target },
    };
    Ok(told(&state, id, fate))
}

fn nothing_to_undo(session: &Session, into: Option<&BranchName>) -> Result<Error, Error> {
    let look = "see what is there with `pleach ls --all`";
    let message = match into {
        Some(branch) if session.repository().head_of(branch)?.is_none() => {
            let message = format!("there is no branch {branch}");
            return Ok(Error::new(ErrorKind::Usage, message, "see those that there are with `git branch`"));
        }
        Some(branch) => format!("nothing was folded into {branch}, so there is nothing to undo"),
        None => "nothing was folded, so there is nothing to undo".to_owned(),
    };
    Ok(Error::new(ErrorKind::Refused, message, look))
}

/// Why the landing of a task was refused, of what was written down after an event.
fn last_refusal(session: &Session, task: TaskId, after: u64) -> Result<Option<Refusal>, Error> {
    use crate::core::event::Event;
    let Some(layout) = session.layout() else { return Ok(None) };
    let lines = crate::store::journal::lines(layout, after + 1)?;
    Ok(lines.into_iter().rev().find_map(|line| match line.record.event {
        Event::LandingRefused { task: of, refusal } if of == task => Some(refusal),
        _ => None,
    }))
}

/// Drop these results. They are kept under their refs until `gc` frees them.
///
/// # Errors
/// Where a task is unknown, runs, waits, or is folded.
pub fn discard(session: &mut Session, tasks: &[TaskHandle]) -> Result<Vec<TaskId>, Error> {
    control::send(session, tasks, |tasks| Request::Discard { tasks })
}

/// Drop this result, and keep what is in it as a branch of the user's own.
///
/// # Errors
/// Where it cannot be dropped, has nothing in it, or where another branch has this name: it is not dropped then.
pub fn discard_to(session: &mut Session, task: &TaskHandle, branch: &BranchName) -> Result<Vec<TaskId>, Error> {
    let state = session.state()?;
    let found = find(&state, std::slice::from_ref(task))?[0];
    let tip = found.tip().ok_or_else(|| {
        let message = format!("task {} has no result that a branch could keep", found.id);
        Error::new(ErrorKind::Refused, message, "discard it without one")
    })?;
    let own = found.result_attempt().and_then(|attempt| found.change(attempt.number)?.branch.as_ref());
    if own == Some(branch) {
        let message = format!("the branch {branch} is pleach's own, and goes with the result");
        return Err(Error::new(ErrorKind::Refused, message, "name another one"));
    }
    let repo = session.repository();
    // Said twice it is done once.
    if repo.head_of(branch)? != Some(tip) {
        let asked = repo.git().args(["branch", "--no-track", "--end-of-options", &branch.0, &tip.to_string()]);
        let made = asked.output().map_err(GitError::from)?;
        if made.code != Some(0) {
            let words = made.stderr.trim().trim_start_matches("fatal: ").to_owned();
            let message = format!("the branch {branch} cannot be made: {words}");
            return Err(Error::new(ErrorKind::Refused, message, "name another one; the result is still there"));
        }
    }
    discard(session, std::slice::from_ref(task))
}

/// Put what an attempt left up for review: of each task its newest with a change, or the attempt that is named. What could
/// not be taken over when it ended is taken over now.
///
/// # Errors
/// Where there is nothing that is kept.
pub fn restore(session: &mut Session, wanted: &[(TaskHandle, Option<u32>)]) -> Result<Vec<AttemptId>, Error> {
    let state = session.state()?;
    let mut attempts = Vec::new();
    for (handle, number) in wanted {
        let task = find(&state, std::slice::from_ref(handle))?[0];
        // A task that runs, or waits to, says so itself.
        let last = task.attempts.last().filter(|_| task.has_work_ahead());
        let number = number.or_else(|| task.restorable().or(last).map(|attempt| attempt.number)).ok_or_else(|| {
            let message = match task.state {
                TaskState::Withdrawn | TaskState::Discarded if task.attempts.is_empty() => "never ran",
                TaskState::Pending => "has not run yet",
                _ => "left no change",
            };
            let next = if task.has_work_ahead() {
                "wait for it with `pleach wait`"
            } else {
                "run it again with `pleach retry`"
            };
            Error::new(ErrorKind::Refused, format!("task {} {message}", task.id), next)
        })?;
        find_attempt(task, number)?;
        attempts.push(task.attempt_id(number));
    }
    session.coordinator()?.ask(&Request::Restore { attempts: attempts.clone() })?;
    Ok(attempts)
}
