//! From the state of the world to a report of it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::hints::hints;
use super::{AttemptReport, Board, Known, LandedReport, NeedReport, RoleMark, Row, SCHEMA, Seen, Standing, TaskReport};
use crate::core::change::{Collected, Refusal, Size, list};
use crate::core::delegate;
use crate::core::id::{BranchName, TaskId};
use crate::core::inventory::Inventory;
use crate::core::sandbox::Warning;
use crate::core::schedule::{self, Place};
use crate::core::state::{Attempt, State, Task, TaskState, Waiting};
use crate::core::units::Bytes;
use crate::core::verify::{Early, Verdict};
use crate::core::word::shown;

/// How much of the past a board shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Show {
    /// What is not settled, and the last ten that are.
    #[default]
    Open,
    /// Everything.
    All,
}

/// Settled tasks that an open board still shows.
const RECENT: usize = 10;

/// What is said of an attempt that cannot save what its task left.
pub(super) const NO_ROOM: &str = "waits for room on the disk";
/// Seconds after which it is said that the result of a task is being saved.
const LONG_SAVING: i64 = 1;

/// The board.
pub fn board(state: &State, seen: &Seen, now: Timestamp, show: Show) -> Board {
    let queue = Queue::of(state, seen, now);
    let shown: Vec<&Task> = match show {
        Show::All => state.tasks().collect(),
        Show::Open => open_and_recent(state),
    };
    let tasks: Vec<Row> = shown.into_iter().map(|task| queue.row(task, seen, now)).collect();
    let count = |wanted: fn(Standing) -> bool| tasks.iter().filter(|row| wanted(row.state)).count();
    Board {
        schema: SCHEMA,
        at: now,
        hidden: state.count() - tasks.len(),
        running: count(|state| matches!(state, Standing::Running | Standing::Cancelling)),
        waiting: count(|state| matches!(state, Standing::Waiting | Standing::Blocked)),
        attention: count(Standing::wants_attention),
        paused: state.is_paused(),
        coordinator: None,
        unconfined: 0,
        tasks,
    }
}

/// One line of the board. For many, [`board`] looks at the queue only once.
pub fn row(state: &State, task: &Task, seen: &Seen, now: Timestamp) -> Row {
    Queue::of(state, seen, now).row(task, seen, now)
}

/// The lines of these.
pub fn rows(state: &State, tasks: &[&Task], seen: &Seen, now: Timestamp) -> Vec<Row> {
    let queue = Queue::of(state, seen, now);
    tasks.iter().map(|task| queue.row(task, seen, now)).collect()
}

/// One task in full. `known` is what only adapters know.
pub fn task(state: &State, task: &Task, seen: &Seen, mut known: Known, now: Timestamp) -> TaskReport {
    let row = row(state, task, seen, now);
    let attempts = task.attempts.iter().map(|attempt| {
        let places = known.places.remove(&attempt.number).unwrap_or_default();
        AttemptReport { places, ..attempt_report(task, attempt, now) }
    });
    let need = |id: &TaskId| NeedReport {
        id: *id,
        name: state.task(*id).and_then(|need| need.spec.name.clone()),
        state: state.task(*id).map(|need| standing(state, need)),
    };
    TaskReport {
        schema: SCHEMA,
        at: now,
        fold: task.spec.fold,
        strategy: task.spec.strategy,
        timeout: task.spec.timeout,
        base: task.spec.base,
        message: task.spec.message.clone(),
        role: task.spec.role.as_deref().map(RoleMark::of),
        attempts: attempts.collect(),
        result: task.result_attempt().filter(|a| task.change(a.number).is_some()).map(|attempt| attempt.number),
        need_states: task.spec.needs.iter().map(need).collect(),
        needed_by: state.open().filter(|other| other.spec.needs.contains(&task.id)).map(|other| other.id).collect(),
        children: delegate::children(state, task.id),
        file_list: known.files,
        commit_list: known.commits,
        refusal: refusal(task).cloned(),
        rerere: known.rerere,
        landed: landed(task).map(|landed| LandedReport { merged_by: known.merged_by, ..landed }),
        undone: task.undone,
        hints: hints(state, &row, task),
        row,
    }
}

/// What is not settled, and the last of what is, by id.
fn open_and_recent(state: &State) -> Vec<&Task> {
    let (mut settled, mut shown): (Vec<&Task>, Vec<&Task>) = state.open().partition(|task| task.is_settled());
    settled.extend(state.last_settled(RECENT));
    settled.sort_by_key(|task| std::cmp::Reverse((task.updated, task.id)));
    shown.extend(settled.into_iter().take(RECENT));
    shown.sort_by_key(|task| task.id);
    shown
}

/// Where a task stands, in one word.
fn standing(state: &State, task: &Task) -> Standing {
    match &task.state {
        TaskState::Pending if state.is_stuck(task) => Standing::Blocked,
        TaskState::Pending => Standing::Waiting,
        TaskState::Running { cancel: None } => Standing::Running,
        TaskState::Running { cancel: Some(_) } => Standing::Cancelling,
        TaskState::Withdrawn => Standing::Withdrawn,
        TaskState::Failed => Standing::Failed,
        TaskState::Empty => Standing::Empty,
        TaskState::Ready { .. } => Standing::Ready,
        TaskState::Queued { .. } => Standing::Queued,
        TaskState::Landing { .. } => Standing::Landing,
        TaskState::Refused { refusal: Refusal::Conflict(_), .. } => Standing::Conflict,
        TaskState::Refused { refusal: Refusal::Rejected(_), .. } => Standing::Rejected,
        TaskState::Refused { refusal: Refusal::Held(_), .. } => Standing::Held,
        TaskState::Folded(_) => Standing::Folded,
        TaskState::Discarded => Standing::Discarded,
    }
}

/// What must be counted over all tasks to tell one of them its place.
struct Queue<'a> {
    state: &'a State,
    /// The places of those that stand in the line of each target.
    lines: BTreeMap<&'a BranchName, BTreeSet<u64>>,
    /// Those that need nothing more, and do not run.
    places: BTreeMap<TaskId, Place>,
}

impl<'a> Queue<'a> {
    fn of(state: &'a State, seen: &Seen, now: Timestamp) -> Self {
        let mut lines: BTreeMap<_, BTreeSet<u64>> = BTreeMap::new();
        for task in state.open() {
            if let TaskState::Queued { request, place, .. } | TaskState::Landing { request, place, .. } = &task.state {
                lines.entry(&request.target).or_default().insert(*place);
            }
        }
        let (free_disk, free_memory) = (seen.free_disk, seen.free_memory);
        let room = Inventory { free_disk, free_memory, ..Inventory::default() };
        let places = schedule::line(state, &room, &seen.limits, now);
        Self { state, lines, places }
    }

    fn row(&self, task: &Task, seen: &Seen, now: Timestamp) -> Row {
        let last = task.attempts.last();
        let standing = standing(self.state, task);
        let change = task.result_attempt().and_then(|attempt| task.change(attempt.number));
        let is_there = task.state != TaskState::Empty;
        let size = change.filter(|_| is_there).map_or(Size::default(), |change| change.size);
        let ended = task.attempts.iter().rev().find_map(|attempt| attempt.ended.as_ref());
        let is_under_way = matches!(task.state, TaskState::Running { .. });
        let live = task.last_attempt().filter(|_| is_under_way).and_then(|attempt| seen.live.get(&attempt));
        // Its own time is over by then.
        let saving_since = live.and_then(|live| live.saving_since);
        let said = ended.filter(|_| !is_under_way).and_then(|ended| ended.facts.summary.as_deref());
        let line = live.and_then(|live| live.last_line.as_deref()).or(said).unwrap_or_default();
        let foreseen = seen.foreseen.get(&task.id).cloned().unwrap_or_default();
        Row {
            id: task.id,
            name: task.spec.name.clone(),
            command: task.spec.shown(),
            state: standing,
            why: match (live, saving_since) {
                (Some(live), _) if live.no_room => NO_ROOM.to_owned(),
                (_, Some(since)) if now.as_second() - since.as_second() > LONG_SAVING => saving(since, now),
                _ => self.why(task),
            },
            outcome: ended.map(|ended| ended.outcome.clone()),
            progress: live.and_then(|live| live.progress.clone()),
            line: shown(line.lines().next().unwrap_or_default()),
            attempt: last.map_or(0, |attempt| attempt.number),
            submitted: task.submitted,
            started: last.map(|attempt| attempt.started),
            duration_ms: last.map(|attempt| duration_ms(attempt, saving_since.unwrap_or(now))),
            files: size.files,
            insertions: size.insertions,
            deletions: size.deletions,
            commits: size.commits,
            branch: change.and_then(|change| change.branch.clone()).filter(|_| task.shows_branch()),
            target: target(task).cloned(),
            priority: task.priority(),
            group: task.spec.group.clone(),
            agent: task.spec.agent.as_ref().map(|assigned| assigned.agent.name.clone()),
            needs: task.spec.needs.clone(),
            plan: self.state.plan_of(task.id).map(|plan| plan.id.clone()),
            parent: task.spec.parent.map(|parent| parent.task),
            on_hold: task.on_hold,
            early: early(task).cloned().filter(|_| matches!(task.state, TaskState::Ready { .. })),
            warnings: live.map_or_else(|| warnings(task), |live| live.warnings.clone()),
            will_conflict: foreseen.conflicts,
            will_conflict_more: foreseen.more,
        }
    }

    fn why(&self, task: &Task) -> String {
        match &task.state {
            TaskState::Pending => self.why_waiting(task),
            TaskState::Running { cancel: Some(true) } => "without grace".to_owned(),
            TaskState::Failed => match task.attempts.last().and_then(|attempt| attempt.ended.as_ref()) {
                Some(ended) => match &ended.result {
                    Collected::Refused { reason } if ended.outcome.is_success() => {
                        format!("result not taken over: {reason}")
                    }
                    _ => ended.outcome.to_string(),
                },
                None => String::new(),
            },
            TaskState::Queued { request, place, undoes, .. } => {
                let ahead = self.lines.get(&request.target).map_or(0, |line| line.range(..place).count());
                if task.on_hold {
                    return format!("on hold in the line of {}", request.target);
                }
                let needs = task.spec.needs.iter().filter_map(|need| self.state.task(*need));
                let before: Vec<&Task> = needs.filter(|need| need.place_in_line().is_some()).collect();
                let is_verified = self.verifying(task.id).filter(|_| before.iter().all(|need| !need.on_hold));
                if let Some(note) = is_verified {
                    return note;
                }
                if !before.is_empty() {
                    let names = before.iter().map(|need| match need.on_hold {
                        true => format!("{}, which is on hold", need.id),
                        false => need.id.to_string(),
                    });
                    return format!("behind {}", list(names.collect::<Vec<_>>().into_iter()));
                }
                let what = if undoes.is_some() { "undo in" } else { "for" };
                format!("turn {} {what} {}", ahead + 1, request.target)
            }
            TaskState::Landing { request, undoes, .. } => {
                let what = if undoes.is_some() { "undo in" } else { "into" };
                format!("{what} {}", request.target)
            }
            TaskState::Refused { refusal, .. } => match refusal {
                Refusal::Conflict(conflict) => format!("in {}", list(conflict.paths.iter().map(|p| p.path.shown()))),
                Refusal::Rejected(_) | Refusal::Held(_) => refusal.to_string(),
            },
            TaskState::Ready { .. } if task.undone => "its fold was undone".to_owned(),
            TaskState::Ready { .. } => early(task).map(early_words).unwrap_or_default(),
            TaskState::Folded(folded) if folded.unverified => format!("into {}, unverified", folded.target),
            TaskState::Folded(folded) => format!("into {}", folded.target),
            // Why somebody may have dropped it.
            TaskState::Discarded => {
                let last = task.attempts.last().and_then(|attempt| attempt.ended.as_ref());
                last.filter(|ended| !ended.outcome.is_success())
                    .map(|ended| ended.outcome.to_string())
                    .unwrap_or_default()
            }
            _ => String::new(),
        }
    }

    /// `verified with 3, 4 in run 12`
    fn verifying(&self, id: TaskId) -> Option<String> {
        let run = self.state.lines().runs().find(|run| run.tasks().any(|task| task == id))?;
        let others: Vec<String> = run.tasks().filter(|task| *task != id).map(|task| task.to_string()).collect();
        let with = if others.is_empty() { String::new() } else { format!(" with {}", list(others.into_iter())) };
        Some(format!("verified{with} in run {}", run.number))
    }

    fn why_waiting(&self, task: &Task) -> String {
        let blockers = self.state.blockers(task);
        if !blockers.is_empty() {
            return format!("by {}", list(blockers.iter().map(|id| self.blocker(*id))));
        }
        if let Some(Waiting::Needs(ids)) = self.state.waiting(task) {
            return format!("needs {}", list(ids.iter().map(TaskId::to_string)));
        }
        let Some(place) = self.places.get(&task.id) else { return String::new() };
        match &place.waiting {
            Waiting::Paused => "paused".to_owned(),
            Waiting::Disk => "too little room on the disk".to_owned(),
            Waiting::Memory => match task.spec.needs_memory {
                0 => "too little memory is free".to_owned(),
                needs => format!("{} of memory are not free", Bytes(needs)),
            },
            Waiting::Agent(agent) => {
                self.state.limited(agent).map_or_else(String::new, |limit| format!("{agent}: {limit}"))
            }
            Waiting::Group(group) => format!("group {} is full", shown(group)),
            Waiting::Plan(plan) => format!("plan {plan} is full"),
            _ => format!("turn {}", place.turn),
        }
    }

    /// `3 (exit 1)`
    fn blocker(&self, id: TaskId) -> String {
        let task = self.state.task(id);
        let ended = task.and_then(|task| task.attempts.last()).and_then(|attempt| attempt.ended.as_ref());
        match (task.map(|task| &task.state), ended) {
            (Some(TaskState::Failed), Some(ended)) => format!("{id} ({})", ended.outcome),
            (Some(TaskState::Withdrawn), _) => format!("{id} (withdrawn)"),
            (Some(TaskState::Discarded), _) => format!("{id} (discarded)"),
            _ => id.to_string(),
        }
    }
}

fn attempt_report(task: &Task, attempt: &Attempt, now: Timestamp) -> AttemptReport {
    let ended = attempt.ended.as_ref();
    let facts = ended.map(|ended| ended.facts.clone()).unwrap_or_default();
    let change = task.change(attempt.number);
    AttemptReport {
        id: task.attempt_id(attempt.number),
        outcome: ended.map(|ended| ended.outcome.clone()),
        base: attempt.base,
        tip: change.map(|change| change.tip),
        started: attempt.started,
        ended: ended.map(|ended| facts.ended.unwrap_or(ended.at)),
        duration_ms: duration_ms(attempt, now),
        cpu_ms: facts.cpu_ms,
        max_rss_kb: facts.max_rss_kb,
        log_bytes: facts.log_bytes,
        log_dropped: facts.log_dropped,
        leaked: facts.leaked,
        sandbox: facts.sandbox,
        provider: facts.provider,
        warnings: facts.warnings,
        network: facts.network,
        size: change.map_or(Size::default(), |change| change.size),
        summary: facts.summary,
        notes: facts.notes,
        account: facts.account,
        flags: change.map(|change| change.flags.clone()).unwrap_or_default(),
        extras: change.map(|change| change.extras.clone()).unwrap_or_default(),
        uncollected: match ended.map(|ended| &ended.result) {
            Some(Collected::Refused { reason }) => Some(reason.clone()),
            _ => None,
        },
        places: super::Places::default(),
        freed: attempt.freed,
        hand_back: attempt.hand_back.clone(),
        part_of: attempt.part_of,
    }
}

/// What is to know of the newest attempt, once it has ended.
fn warnings(task: &Task) -> Vec<Warning> {
    let last = task.attempts.last().and_then(|attempt| attempt.ended.as_ref());
    last.map(|ended| ended.facts.warnings.clone()).unwrap_or_default()
}

fn duration_ms(attempt: &Attempt, now: Timestamp) -> u64 {
    let end = attempt.ended.as_ref().map_or(now, |ended| ended.facts.ended.unwrap_or(ended.at));
    // A clock that was set back must not give a task a negative age.
    u64::try_from(end.as_millisecond() - attempt.started.as_millisecond()).unwrap_or(0)
}

/// `saving its result for 1m05s`
fn saving(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - since.as_second();
    match seconds {
        ..60 => format!("saving its result for {seconds}s"),
        _ => format!("saving its result for {}m{:02}s", seconds / 60, seconds % 60),
    }
}

fn target(task: &Task) -> Option<&BranchName> {
    match &task.state {
        TaskState::Queued { request, .. } | TaskState::Landing { request, .. } | TaskState::Refused { request, .. } => {
            Some(&request.target)
        }
        TaskState::Folded(folded) => Some(&folded.target),
        _ => task.spec.target.as_ref(),
    }
}

pub(super) fn refusal(task: &Task) -> Option<&Refusal> {
    match &task.state {
        TaskState::Refused { refusal, .. } => Some(refusal),
        _ => None,
    }
}

fn landed(task: &Task) -> Option<LandedReport> {
    let TaskState::Folded(folded) = &task.state else { return None };
    Some(LandedReport {
        attempt: folded.attempt,
        target: folded.target.clone(),
        from: folded.landing.from,
        to: folded.landing.to,
        merged_by: None,
    })
}

/// What is known of a ready result by itself.
pub(super) fn early(task: &Task) -> Option<&Early> {
    task.early.as_ref().filter(|early| task.tip() == Some(early.tip))
}

fn early_words(early: &Early) -> String {
    match &early.verdict {
        Verdict::Green => "passes its check".to_owned(),
        verdict if verdict.is_red() => format!("does not pass its check ({verdict}; run {})", early.run),
        verdict => format!("could not be checked ({verdict}; run {})", early.run),
    }
}

#[cfg(test)]
mod tests;
