//! The replay of all events: every task, and where it stands.
//!
//! [`State::apply`] is the whole life of a task in one table. What is not a line of it is refused, so a
//! journal that replays is a journal that makes sense. `ready`, `blocked` and `stuck` are questions
//! ([`State::waiting`]), not states.

mod limited;
mod plans;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::change::{Change, Collected, Direction, FoldRequest, Landing, Refusal, Rejection};
use super::delegate;
use super::event::{Event, Facts, Record};
use super::handback::HandBack;
use super::id::{AttemptId, BranchName, CommitId, TaskHandle, TaskId};
use super::kinds::Kind;
use super::lines::Lines;
use super::outcome::Outcome;
use super::plan::{self, OnFailure, Plan, PlanId};
use super::slots::Slots;
use super::task::{FoldPolicy, Priority, TaskSpec};
use super::verify::Early;

pub use limited::Limited;

/// Everything that is known about a repository's tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    next: u64,
    events: u64,
    paused: bool,
    lines: Lines,
    plans: Vec<Plan>,
    limited: BTreeMap<String, Limited>,
    tasks: Slots,
}

/// The first line of a written state.
#[derive(Serialize, Deserialize)]
struct Head {
    version: u32,
    next: u64,
    events: u64,
    paused: bool,
    #[serde(default)]
    lines: Lines,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    plans: Vec<Plan>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    limited: BTreeMap<String, Limited>,
}

/// The version of a written state. A newer one is refused.
const VERSION: u32 = 2;

/// One task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// What was asked.
    pub spec: TaskSpec,
    /// Where it stands.
    pub state: TaskState,
    /// When it was asked.
    pub submitted: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// Its attempts, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// Was a fold of it taken back? Its commits may then be in the target's history already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undone: bool,
    /// The priority that somebody gave it since it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// What is known of a result of it by itself, where that was looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early: Option<Early>,
    /// The check that somebody typed for it when it was last asked to land.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typed_check: Option<String>,
    /// Does somebody keep it, in its line, from landing?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_hold: bool,
    /// What the next attempt is given back, where somebody asked for one on the head of its target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hand_back: Option<HandBack>,
    /// A task asked for it, and somebody else has asked for it again since: what becomes of that one is nothing to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
}

/// One run of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Which, from 1.
    pub number: u32,
    /// What it builds on; none where it could not even be given a base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<CommitId>,
    /// When it was started.
    pub started: Timestamp,
    /// How it ended, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
    /// Is its worktree still there?
    #[serde(default, skip_serializing_if = "is_gone")]
    pub place: Place,
    /// Was what was kept of it freed? Of a fold that can still be undone, only its log and worktree were.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub freed: bool,
    /// What it was given back, where it started on the head of its target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hand_back: Option<HandBack>,
    /// It never ran: its result is what somebody accepted of the result of this attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<u32>,
}

/// The end of an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// How.
    pub outcome: Outcome,
    /// What came of it.
    pub result: Collected,
    /// What else is known.
    #[serde(flatten)]
    pub facts: Facts,
}

/// Where the files of an attempt are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In its worktree.
    Present,
    /// Only in the repository.
    #[default]
    Gone,
}

fn is_gone(place: &Place) -> bool {
    *place == Place::Gone
}

/// Where a task stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum TaskState {
    /// It waits for its turn.
    Pending,
    /// An attempt is under way.
    Running {
        /// Somebody asked it to end; at once, if true.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cancel: Option<bool>,
    },
    /// Cancelled before it ran.
    Withdrawn,
    /// The last attempt did not end well. What it left is kept.
    Failed,
    /// The last attempt ended well and changed nothing.
    Empty,
    /// A result is there.
    Ready {
        /// Which attempt's.
        attempt: u32,
    },
    /// It stands in the line of its target.
    Queued {
        /// Which attempt's result.
        attempt: u32,
        /// What was asked.
        request: FoldRequest,
        /// Its place in the line: the number of the event that put it there.
        place: u64,
        /// For an undo: the fold that is to be taken back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        undoes: Option<Folded>,
    },
    /// Its landing is made and may be half done.
    Landing {
        /// Which attempt's result.
        attempt: u32,
        /// What was asked.
        request: FoldRequest,
        /// Its place in the line.
        place: u64,
        /// From where to where.
        landing: Landing,
        /// The whole way of those that land together with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        whole: Option<Landing>,
        /// The commit that was verified, where another one lands for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        candidate: Option<CommitId>,
        /// For an undo: the fold that is taken back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        undoes: Option<Folded>,
    },
    /// It does not go in, and waits for somebody.
    Refused {
        /// Which attempt's result.
        attempt: u32,
        /// What was asked.
        request: FoldRequest,
        /// Why not.
        refusal: Refusal,
    },
    /// It is part of its target.
    Folded(Folded),
    /// Nobody wants it. It is kept.
    Discarded,
}

/// A finished fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Folded {
    /// Which attempt's result.
    pub attempt: u32,
    /// Into which branch.
    pub target: BranchName,
    /// From where to where.
    pub landing: Landing,
    /// Its place among all folds: the number of the event that finished it.
    pub place: u64,
    /// Somebody said `--no-verify`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unverified: bool,
}

/// Why a task is not running although it could be wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiting {
    /// For its turn.
    Turn,
    /// For these to end.
    Needs(Vec<TaskId>),
    /// These did not end well: until one is retried, it cannot start.
    Blocked(Vec<TaskId>),
    /// Somebody paused the queue.
    Paused,
    /// There is too little room on the disk for anything to start.
    Disk,
    /// There is too little memory free for it.
    Memory,
    /// As many of its group run as may.
    Group(String),
    /// As many of its plan run as that says.
    Plan(PlanId),
    /// The provider of its agent gives that no more for now.
    Agent(String),
}

/// The event does not fit where the task stands. Either the journal is damaged, or there is a bug.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("task {task:?} is {state}, so this cannot have happened: {event}")]
pub struct IllegalEvent {
    task: Option<TaskId>,
    state: String,
    event: String,
}

impl Default for State {
    fn default() -> Self {
        let (lines, tasks) = (Lines::default(), Slots::default());
        Self { next: 1, events: 0, paused: false, lines, plans: Vec::new(), limited: BTreeMap::new(), tasks }
    }
}

impl State {
    /// Would this record be a legal step?
    ///
    /// # Errors
    /// Where it would not.
    pub fn check(&self, record: &Record) -> Result<(), IllegalEvent> {
        let legal = match &record.event {
            event if event.is_of_a_line() => self.lines.is_legal(event),
            Event::Paused | Event::Resumed | Event::AgentResumed { .. } => true,
            Event::QueueMoved { target, tasks } => self.reordered(target, tasks).is_some(),
            Event::Submitted { task, .. } => task.0 >= self.next,
            event @ (Event::Planned { .. } | Event::PlanStopped { .. } | Event::Picked { .. }) => self.is_legal(event),
            event => event.task().and_then(|id| self.task(id)).is_some_and(|task| task.after(record, 0).is_some()),
        };
        if legal { Ok(()) } else { Err(self.illegal(&record.event)) }
    }

    /// Replay one record.
    ///
    /// # Errors
    /// Where the event is no legal step; the state is then as it was.
    pub fn apply(&mut self, record: &Record) -> Result<(), IllegalEvent> {
        let place = self.events + 1;
        match &record.event {
            event if event.is_of_a_line() => {
                if !self.lines.is_legal(event) {
                    return Err(self.illegal(event));
                }
                self.lines.apply(event, None, record.at);
            }
            Event::QueueMoved { target, tasks } => match self.reordered(target, tasks) {
                Some(moved) => moved.into_iter().for_each(|task| self.tasks.insert(task)),
                None => return Err(self.illegal(&record.event)),
            },
            Event::AgentResumed { .. } => {}
            Event::Paused => self.paused = true,
            Event::Resumed => self.paused = false,
            Event::Submitted { task, spec } => {
                if task.0 < self.next {
                    return Err(self.illegal(&record.event));
                }
                self.next = task.0 + 1;
                self.tasks.insert(Task::new(*task, (**spec).clone(), record.at));
            }
            event @ (Event::Planned { .. } | Event::PlanStopped { .. } | Event::Picked { .. }) => {
                if !self.is_legal(event) {
                    return Err(self.illegal(event));
                }
                self.apply_to_plan(event, record);
            }
            event => {
                let id = event.task();
                let before = id.and_then(|id| self.tasks.get(id));
                match before.and_then(|task| task.after(record, place)) {
                    Some(task) => {
                        self.lines.apply(event, before, record.at);
                        let is_wanted =
                            matches!(event, Event::Retried { .. } | Event::Restored { .. } | Event::PartTaken { .. });
                        if is_wanted || task.is_settled() {
                            self.spare(task.id);
                        }
                        self.tasks.insert(task);
                    }
                    None => return Err(self.illegal(event)),
                }
            }
        }
        self.note_limits(record);
        self.events = place;
        Ok(())
    }

    /// The tasks of a line with their places dealt out anew, in this order. None where one is not in the line.
    fn reordered(&self, target: &BranchName, tasks: &[TaskId]) -> Option<Vec<Task>> {
        let queued = |id: &TaskId| match self.task(*id).map(|task| (task, &task.state)) {
            Some((task, TaskState::Queued { request, place, .. })) if request.target == *target => Some((task, *place)),
            _ => None,
        };
        let line = tasks.iter().map(queued).collect::<Option<Vec<_>>>()?;
        let places: BTreeSet<u64> = line.iter().map(|(_, place)| *place).collect();
        let dealt = line.iter().zip(&places).map(|((task, _), dealt)| {
            let mut task = (*task).clone();
            if let TaskState::Queued { place, .. } = &mut task.state {
                *place = *dealt;
            }
            task
        });
        (places.len() == tasks.len()).then(|| dealt.collect())
    }

    fn illegal(&self, event: &Event) -> IllegalEvent {
        let task = event.task();
        let state = task.and_then(|id| self.tasks.get(id)).map_or("not there".to_owned(), |t| format!("{:?}", t.state));
        IllegalEvent { task, state, event: format!("{event:?}") }
    }

    /// The id that the next task gets.
    pub fn next_task(&self) -> TaskId {
        TaskId(self.next)
    }

    /// How many events this state is made of.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Did somebody pause the queue?
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// What is known of the lines of all targets.
    pub fn lines(&self) -> &Lines {
        &self.lines
    }

    /// All tasks, oldest first. Costs a parse of each that is long settled: see [`State::open`].
    pub fn tasks(&self) -> impl DoubleEndedIterator<Item = &Task> {
        self.tasks.all()
    }

    /// The tasks of which anything is still to be done or decided, oldest first.
    pub fn open(&self) -> impl DoubleEndedIterator<Item = &Task> {
        self.tasks.open()
    }

    /// The same with these tasks alone, and nothing of lines and plans.
    pub fn only(&self, tasks: impl Iterator<Item = Task>) -> Self {
        let mut slots = Slots::default();
        tasks.for_each(|task| slots.insert(task));
        let limited = self.limited.clone();
        let (next, events, paused) = (self.next, self.events, self.paused);
        Self { next, events, paused, lines: Lines::default(), plans: Vec::new(), limited, tasks: slots }
    }

    /// The tasks of these kinds, oldest first, at the cost of those alone.
    pub fn of_kind(&self, kinds: &[Kind]) -> impl Iterator<Item = &Task> {
        self.tasks.of_kind(kinds)
    }

    /// The pending tasks whose needs are there, the most urgent first: more urgent, then with the longer chain of
    /// dependents, then older. Whether there is room for one is not asked.
    pub fn turns(&self) -> impl Iterator<Item = &Task> {
        self.tasks.turns()
    }

    /// Those of [`State::turns`] that are of one kind, at the cost of that kind alone.
    pub fn turns_of(&self, kind: Kind) -> Vec<&Task> {
        self.tasks.turns_of(kind)
    }

    /// The tasks that a task asked for itself, oldest first.
    pub fn asked_by(&self, parent: TaskId) -> Vec<&Task> {
        self.tasks.asked_by(parent)
    }

    /// How many tasks there ever were.
    pub fn count(&self) -> usize {
        self.tasks.len()
    }

    /// The `most` last settled of the tasks that are not [`State::open`], by when they last changed, the newest first.
    pub fn last_settled(&self, most: usize) -> Vec<&Task> {
        let mut all: Vec<(i64, TaskId)> = self.tasks.dormant().collect();
        if all.len() > most {
            let cut = all.len() - most;
            all.select_nth_unstable(cut);
            all.drain(..cut);
        }
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.into_iter().filter_map(|(_, id)| self.task(id)).collect()
    }

    /// The state as text: a line that says what it is, and one for each task.
    pub fn write(&self) -> String {
        let lines = self.lines.clone();
        let (version, next, plans, limited) = (VERSION, self.next, self.plans.clone(), self.limited.clone());
        let head = Head { version, next, events: self.events, paused: self.paused, lines, plans, limited };
        let mut text = serde_json::to_string(&head).expect("a struct of numbers is JSON");
        text.push('\n');
        self.tasks.write(&mut text);
        text
    }

    /// Read what [`State::write`] wrote.
    ///
    /// # Errors
    /// Where a line is not what it should be: its number, from 1, and why.
    pub fn read(text: String) -> Result<Self, (usize, String)> {
        let text: Arc<str> = text.into();
        let head_end = text.find('\n').ok_or((1, "it has no first line".to_owned()))?;
        let head: Head = serde_json::from_str(&text[..head_end]).map_err(|error| (1, error.to_string()))?;
        if head.version > VERSION {
            return Err((1, format!("format {} was written by a newer pleach", head.version)));
        }
        let tasks = Slots::read(&text, head_end + 1).map_err(|(line, why)| (line + 1, why))?;
        let Head { next, events, paused, lines, plans, limited, .. } = head;
        Ok(Self { next, events, paused, lines, plans, limited, tasks })
    }

    /// The tasks whose written lines cannot be read any more.
    pub fn damaged(&self) -> Vec<TaskId> {
        self.tasks.damaged()
    }

    /// One task.
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(id)
    }

    /// The task that somebody means; for a name, the newest that has it.
    pub fn find(&self, handle: &TaskHandle) -> Option<&Task> {
        match handle {
            TaskHandle::Id(id) => self.task(*id),
            TaskHandle::Name(name) => self.tasks.named(name),
        }
    }

    /// The task that this request already made.
    pub fn find_request(&self, request: &str) -> Option<&Task> {
        const RECENT: usize = 256;
        self.tasks().rev().take(RECENT).find(|task| !request.is_empty() && task.spec.request == request)
    }

    /// Why a pending task is not running, as far as the tasks alone tell ([`schedule::line`](super::schedule::line) knows
    /// the limits too); `None` for any other.
    pub fn waiting(&self, task: &Task) -> Option<Waiting> {
        if task.state != TaskState::Pending {
            return None;
        }
        let of = |wanted: fn(&Task) -> bool| -> Vec<TaskId> {
            let needs = task.spec.needs.iter().copied();
            needs.filter(|id| self.task(*id).is_none_or(wanted)).collect()
        };
        let blocked = of(Task::is_unfit_as_need);
        let awaited = of(|need| !need.is_unfit_as_need() && !need.serves_as_need());
        Some(match (blocked, awaited) {
            (blocked, _) if !blocked.is_empty() => Waiting::Blocked(blocked),
            (_, awaited) if !awaited.is_empty() => Waiting::Needs(awaited),
            _ if self.paused => Waiting::Paused,
            _ => match self.limit_of(task) {
                // At the time that was given it is its turn; without one it is nobody's.
                Some((agent, Limited { until: None, .. })) => Waiting::Agent(agent.to_owned()),
                _ => Waiting::Turn,
            },
        })
    }

    /// The tasks that did not end well, for which a pending one waits over however many others.
    pub fn blockers(&self, task: &Task) -> BTreeSet<TaskId> {
        let mut open = vec![task];
        let (mut met, mut blockers) = (BTreeSet::new(), BTreeSet::new());
        while let Some(task) = open.pop().filter(|task| task.state == TaskState::Pending) {
            for need in task.spec.needs.iter().filter(|need| met.insert(**need)) {
                match self.task(*need) {
                    Some(need) if !need.is_unfit_as_need() => open.extend(need.has_work_ahead().then_some(need)),
                    _ => drop(blockers.insert(*need)),
                }
            }
        }
        blockers
    }

    /// Does a pending task wait, over however many others, for one that did not end well? Then nothing happens to it
    /// until somebody sees to that one.
    pub fn is_stuck(&self, task: &Task) -> bool {
        !self.blockers(task).is_empty()
    }

    /// Does it stand in a line, and may not land until somebody releases it or one that it builds on?
    pub fn is_kept_waiting(&self, task: &Task) -> bool {
        let mut open = vec![task];
        let mut met = BTreeSet::new();
        while let Some(task) = open.pop() {
            match task.state {
                TaskState::Queued { .. } if task.on_hold => return true,
                TaskState::Queued { .. } => {
                    let needs = task.spec.needs.iter().filter(|need| met.insert(**need));
                    open.extend(needs.filter_map(|need| self.task(*need)));
                }
                _ => {}
            }
        }
        false
    }

    /// Is there anything that a coordinator would have to do or to watch?
    pub fn has_work(&self) -> bool {
        // The worktree of an earlier attempt goes whatever the task waits for by now.
        self.tasks.has_kind(&[Kind::Running, Kind::HasLeftOvers, Kind::Unproven])
            || self.lines.runs().next().is_some()
            // One that waits for needs counts by what those needs still have to do.
            || self.turns().any(|task| self.waiting(task) == Some(Waiting::Turn))
            || self.of_kind(&[Kind::InLine]).any(|task| !self.is_kept_waiting(task))
            || !plan::steer::steer(self).is_empty()
            || !delegate::follow(self).is_empty()
    }

    /// The newest fold that still stands, of one target or of any.
    pub fn last_fold(&self, target: Option<&BranchName>) -> Option<&Task> {
        let folds = self.tasks().filter_map(|task| match &task.state {
            TaskState::Folded(folded) if target.is_none_or(|t| *t == folded.target) => Some((folded.place, task)),
            _ => None,
        });
        folds.max_by_key(|(place, _)| *place).map(|(_, task)| task)
    }
}

impl Task {
    fn new(id: TaskId, spec: TaskSpec, at: Timestamp) -> Self {
        Self {
            id,
            spec,
            state: TaskState::Pending,
            submitted: at,
            updated: at,
            attempts: Vec::new(),
            undone: false,
            priority: None,
            early: None,
            typed_check: None,
            on_hold: false,
            hand_back: None,
            adopted: false,
        }
    }

    /// The life of a task: every legal step, and nothing else.
    fn after(&self, record: &Record, place: u64) -> Option<Self> {
        use TaskState as S;
        let mut next = Self { updated: record.at, ..self.clone() };
        next.state = match (&self.state, &record.event) {
            (S::Pending, Event::Started { attempt, base }) if *attempt == self.next_attempt() => {
                let started = Attempt::started(attempt.number, *base, record.at);
                next.attempts.push(Attempt { hand_back: self.hand_back.clone(), ..started });
                S::Running { cancel: None }
            }
            (S::Pending, Event::NotStarted { attempt, reason }) if *attempt == self.next_attempt() => {
                next.attempts.push(Attempt::not_started(attempt.number, reason.clone(), record.at));
                S::Failed
            }
            (S::Pending, Event::Withdrawn { .. }) if self.attempts.is_empty() => S::Withdrawn,
            (S::Pending, Event::Withdrawn { .. }) => self.as_the_last_left_it(),
            (S::Pending, Event::Prioritized { priority, .. }) => {
                next.priority = Some(*priority);
                S::Pending
            }
            (S::Running { cancel }, Event::CancelRequested { now, .. }) => {
                S::Running { cancel: Some(*now || *cancel == Some(true)) }
            }
            (S::Running { .. }, Event::Ended { attempt, outcome, result, facts }) if self.is_last(*attempt) => {
                next.end(outcome, result, facts, record.at);
                next.state_after_end(place)
            }
            (state, Event::Removed { attempt }) if !matches!(state, S::Running { .. }) || !self.is_last(*attempt) => {
                next.attempt_mut(attempt.number)?.place = Place::Gone;
                state.clone()
            }
            // What is on its way into a target is needed there.
            (S::Queued { attempt: queued, .. } | S::Landing { attempt: queued, .. }, Event::Freed { attempt })
                if *queued == attempt.number =>
            {
                return None;
            }
            (state, Event::Freed { attempt }) => {
                let freed = next.attempt_mut(attempt.number)?;
                freed.ended.as_ref()?;
                freed.freed = true;
                state.clone()
            }
            (
                S::Withdrawn | S::Failed | S::Empty | S::Ready { .. } | S::Refused { .. } | S::Discarded,
                Event::Retried { onto, remarks, .. },
            ) => {
                next.hand_back = match onto {
                    Some(target) => {
                        let back = self.handed_back(target)?;
                        Some(HandBack { remarks: remarks.clone().or(back.remarks.clone()), ..back })
                    }
                    None => None,
                };
                next.adopted = self.spec.parent.is_some();
                S::Pending
            }
            (S::Ready { attempt } | S::Refused { attempt, .. }, Event::FoldRequested { request, .. })
                if request.direction == Direction::Fold =>
            {
                let typed = request.check.as_ref().filter(|check| check.typed);
                next.typed_check = typed.map(|check| check.command.clone());
                S::Queued { attempt: *attempt, request: request.clone(), place, undoes: None }
            }
            (S::Folded(folded), Event::FoldRequested { request, .. }) if request.direction == Direction::Undo => {
                S::Queued { attempt: folded.attempt, request: request.clone(), place, undoes: Some(folded.clone()) }
            }
            (
                S::Queued { attempt, request, place, undoes },
                Event::LandingPlanned { landing, whole, candidate, .. },
            ) if !self.on_hold => S::Landing {
                attempt: *attempt,
                request: request.clone(),
                place: *place,
                landing: landing.clone(),
                whole: whole.clone(),
                candidate: *candidate,
                undoes: undoes.clone(),
            },
            (S::Ready { .. }, Event::VerifiedEarly { early, .. }) if self.tip() == Some(early.tip) => {
                next.early = Some(early.clone());
                next.updated = self.updated;
                self.state.clone()
            }
            (S::Queued { .. }, Event::QueueHeld { .. }) => {
                next.on_hold = true;
                return Some(next);
            }
            (S::Queued { .. }, Event::QueueReleased { .. }) => self.state.clone(),
            (S::Queued { attempt, undoes, .. }, Event::QueueLeft { .. }) => match undoes {
                Some(folded) => S::Folded(folded.clone()),
                None => S::Ready { attempt: *attempt },
            },
            (S::Landing { attempt, request, place, undoes, .. }, Event::LandingMissed { .. }) => {
                S::Queued { attempt: *attempt, request: request.clone(), place: *place, undoes: undoes.clone() }
            }
            (
                S::Queued { attempt, request, undoes, .. } | S::Landing { attempt, request, undoes, .. },
                Event::LandingRefused { refusal, .. },
            ) => match undoes {
                Some(folded) => S::Folded(folded.clone()),
                None => S::Refused { attempt: *attempt, request: request.clone(), refusal: refusal.clone() },
            },
            (S::Landing { attempt, request, landing: planned, undoes, .. }, Event::Landed { landing, .. })
                if planned == landing =>
            {
                match undoes {
                    Some(_) => {
                        next.undone = true;
                        // Who lands an undo keeps the result anew: it is up for review, and may be discarded and restored.
                        next.attempt_mut(*attempt)?.freed = false;
                        S::Ready { attempt: *attempt }
                    }
                    None => {
                        next.undone = false;
                        let target = request.target.clone();
                        let unverified = request.unverified;
                        S::Folded(Folded { attempt: *attempt, target, landing: landing.clone(), place, unverified })
                    }
                }
            }
            (
                S::Refused { attempt, request, refusal: Refusal::Rejected(rejection) },
                Event::Blamed { by_itself, .. },
            ) => {
                let rejection = Rejection { by_itself: *by_itself, is_tried: true, ..rejection.clone() };
                S::Refused { attempt: *attempt, request: request.clone(), refusal: Refusal::Rejected(rejection) }
            }
            (S::Ready { .. } | S::Refused { .. } | S::Failed | S::Empty | S::Withdrawn, Event::Discarded { .. }) => {
                S::Discarded
            }
            (S::Discarded | S::Failed | S::Ready { .. } | S::Refused { .. }, Event::Restored { attempt })
                if self.change(attempt.number).is_some()
                    && self.attempt(attempt.number).is_some_and(|kept| !kept.freed) =>
            {
                S::Ready { attempt: attempt.number }
            }
            (
                S::Discarded | S::Failed | S::Ready { .. } | S::Refused { .. },
                Event::PartTaken { attempt, of, result },
            ) if *attempt == self.next_attempt() && result.change().is_some() => {
                next.attempts.push(self.attempt(*of)?.part(attempt.number, result.clone())?);
                S::Ready { attempt: attempt.number }
            }
            (
                S::Discarded | S::Failed | S::Ready { .. } | S::Refused { .. },
                Event::Recovered { attempt, result, notes },
            ) if self.attempt(attempt.number).is_some_and(Attempt::is_recoverable) => {
                let ended = next.attempt_mut(attempt.number)?.ended.as_mut()?;
                (ended.result, ended.facts.notes) = (result.clone(), notes.clone());
                match result {
                    Collected::Change(_) => S::Ready { attempt: attempt.number },
                    Collected::Nothing if self.state == S::Failed => next.as_the_last_left_it(),
                    Collected::Nothing => self.state.clone(),
                    Collected::Refused { .. } => return None,
                }
            }
            _ => return None,
        };
        // A worktree that goes meanwhile changes nothing of it; any other step does.
        next.on_hold &= matches!(record.event, Event::Removed { .. } | Event::Freed { .. });
        Some(next)
    }

    fn end(&mut self, outcome: &Outcome, result: &Collected, facts: &Facts, at: Timestamp) {
        let ended = Ended { at, outcome: outcome.clone(), result: result.clone(), facts: facts.clone() };
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.ended = Some(ended);
        }
    }

    fn state_after_end(&self, place: u64) -> TaskState {
        let Some(Attempt { number, ended: Some(ended), .. }) = self.attempts.last() else {
            return TaskState::Failed;
        };
        // Who cancelled it wants nothing more to happen by itself, however the attempt ended in the end.
        let is_cancelled = matches!(self.state, TaskState::Running { cancel: Some(_) });
        match (&ended.outcome, &ended.result) {
            (outcome, Collected::Change(_)) if outcome.is_success() => match self.auto_fold() {
                Some(request) if !is_cancelled => TaskState::Queued { attempt: *number, request, place, undoes: None },
                _ => TaskState::Ready { attempt: *number },
            },
            (outcome, Collected::Nothing) if outcome.is_success() => TaskState::Empty,
            (Outcome::LimitReached { .. }, _) => match self.ended_by_limits() {
                count if !is_cancelled && count <= limited::MOST => TaskState::Pending,
                _ => TaskState::Failed,
            },
            (outcome, _)
                if outcome.is_retriable()
                    && !is_cancelled
                    && *number as usize <= self.spec.retries as usize + self.ended_by_limits() =>
            {
                TaskState::Pending
            }
            _ => TaskState::Failed,
        }
    }

    /// Where it stands when what would have run next is called off, and nothing more is to happen by itself.
    fn as_the_last_left_it(&self) -> TaskState {
        match self.attempts.last() {
            Some(Attempt { number, ended: Some(ended), freed: false, .. }) if ended.outcome.is_success() => {
                match &ended.result {
                    Collected::Change(_) => TaskState::Ready { attempt: *number },
                    Collected::Nothing => TaskState::Empty,
                    Collected::Refused { .. } => TaskState::Failed,
                }
            }
            _ => TaskState::Failed,
        }
    }

    /// Who goes first: as it was asked, or as somebody said since.
    pub fn priority(&self) -> Priority {
        self.priority.unwrap_or(self.spec.priority)
    }

    /// The request that its own fold policy makes as soon as a good result is there.
    pub fn auto_fold(&self) -> Option<FoldRequest> {
        self.usual_fold().filter(|_| self.spec.fold == FoldPolicy::Auto)
    }

    /// The request that somebody makes who asks for nothing special.
    pub fn usual_fold(&self) -> Option<FoldRequest> {
        let target = self.spec.target.as_ref()?;
        let target = self.spec.publish.of(target);
        let strategy = self.spec.strategy.unwrap_or_default();
        Some(FoldRequest {
            direction: Direction::Fold,
            target,
            strategy,
            message: None,
            accept_flags: false,
            tip: None,
            check: self.spec.check.clone(),
            unverified: self.spec.unverified,
            hooks: self.spec.hooks.clone(),
        })
    }

    /// What a new attempt on the head of a branch would be given back: the result that is there, and why it does not go in.
    /// Where an attempt that was given something back left no result, the same again. `None` where there is nothing.
    pub fn handed_back(&self, target: &BranchName) -> Option<HandBack> {
        let of = |attempt: u32, refusal| HandBack { attempt, target: target.clone(), refusal, remarks: None };
        match &self.state {
            TaskState::Ready { attempt } => Some(of(*attempt, None)),
            TaskState::Refused { attempt, refusal, .. } => Some(of(*attempt, Some(refusal.clone()))),
            _ => self.hand_back.clone().map(|before| HandBack { target: target.clone(), ..before }),
        }
    }

    /// The attempt that would come next.
    pub fn next_attempt(&self) -> AttemptId {
        AttemptId { task: self.id, number: self.attempts.last().map_or(1, |last| last.number + 1) }
    }

    /// The newest attempt.
    pub fn last_attempt(&self) -> Option<AttemptId> {
        self.attempts.last().map(|attempt| self.attempt_id(attempt.number))
    }

    fn is_last(&self, attempt: AttemptId) -> bool {
        self.last_attempt() == Some(attempt)
    }

    /// The full id of one of its attempts.
    pub fn attempt_id(&self, number: u32) -> AttemptId {
        AttemptId { task: self.id, number }
    }

    /// One of its attempts.
    pub fn attempt(&self, number: u32) -> Option<&Attempt> {
        self.attempts.iter().find(|attempt| attempt.number == number)
    }

    fn attempt_mut(&mut self, number: u32) -> Option<&mut Attempt> {
        self.attempts.iter_mut().find(|attempt| attempt.number == number)
    }

    /// The change that an attempt made.
    pub fn change(&self, number: u32) -> Option<&Change> {
        self.attempt(number)?.ended.as_ref()?.result.change()
    }

    /// The attempt whose result is the task's result now: the one under review or folded, else the newest with a change.
    pub fn result_attempt(&self) -> Option<&Attempt> {
        let number = match &self.state {
            TaskState::Ready { attempt }
            | TaskState::Queued { attempt, .. }
            | TaskState::Landing { attempt, .. }
            | TaskState::Refused { attempt, .. }
            | TaskState::Folded(Folded { attempt, .. }) => *attempt,
            _ => self.attempts.iter().rev().find(|attempt| self.change(attempt.number).is_some())?.number,
        };
        self.attempt(number)
    }

    /// The attempt that a restore means where none is named: the one under review, else the newest that left anything.
    pub fn restorable(&self) -> Option<&Attempt> {
        let left = |attempt: &&Attempt| self.change(attempt.number).is_some() || attempt.is_recoverable();
        if self.shows_branch() { self.result_attempt() } else { self.attempts.iter().rev().find(left) }
    }

    /// What somebody who builds on this task builds on; `None` where it changed nothing.
    pub fn tip(&self) -> Option<CommitId> {
        if self.state == TaskState::Empty {
            return None;
        }
        self.result_attempt()?.ended.as_ref()?.result.change().map(|change| change.tip)
    }

    /// Does its result have to stay visible on a branch?
    pub fn shows_branch(&self) -> bool {
        use TaskState as S;
        matches!(self.state, S::Ready { .. } | S::Queued { .. } | S::Landing { .. } | S::Refused { .. })
    }

    /// Its place in the line of a target, where it stands in one.
    pub fn place_in_line(&self) -> Option<(u64, &BranchName)> {
        match &self.state {
            TaskState::Queued { request, place, .. } | TaskState::Landing { request, place, .. } => {
                Some((*place, &request.target))
            }
            _ => None,
        }
    }

    /// Is the result of this attempt up for review, or on its way into or out of a target?
    pub fn is_under_review(&self, number: u32) -> bool {
        self.shows_branch() && self.result_attempt().is_some_and(|result| result.number == number)
    }

    /// Is it part of this target by a fold of ours?
    pub fn is_folded_into(&self, target: &BranchName) -> bool {
        matches!(&self.state, TaskState::Folded(folded) if folded.target == *target)
    }

    /// Is it waiting to run, or running?
    pub fn has_work_ahead(&self) -> bool {
        matches!(self.state, TaskState::Pending | TaskState::Running { .. })
    }

    /// Has nobody anything left to decide about it?
    pub fn is_settled(&self) -> bool {
        use TaskState as S;
        matches!(self.state, S::Withdrawn | S::Empty | S::Folded(_) | S::Discarded)
    }

    /// Is there what somebody who builds on it waits for? Whoever changed nothing has nothing to wait for.
    pub(super) fn serves_as_need(&self) -> bool {
        !self.has_work_ahead() && !self.is_unfit_as_need()
    }

    fn is_unfit_as_need(&self) -> bool {
        matches!(self.state, TaskState::Withdrawn | TaskState::Failed | TaskState::Discarded)
    }
}

impl Attempt {
    fn started(number: u32, base: CommitId, at: Timestamp) -> Self {
        Self {
            number,
            base: Some(base),
            started: at,
            ended: None,
            place: Place::Present,
            freed: false,
            hand_back: None,
            part_of: None,
        }
    }

    /// A part of its result, as an attempt of its own; none where it has no result that is still kept.
    fn part(&self, number: u32, result: Collected) -> Option<Self> {
        let whole = self.ended.as_ref().filter(|whole| !self.freed && whole.result.change().is_some())?;
        let (ended, place) = (Some(Ended { result, ..whole.clone() }), Place::Gone);
        Some(Self { number, ended, place, part_of: Some(self.number), ..self.clone() })
    }

    fn not_started(number: u32, reason: String, at: Timestamp) -> Self {
        let ended = Ended {
            at,
            outcome: Outcome::CouldNotStart { reason },
            result: Collected::Nothing,
            facts: Facts::default(),
        };
        Self {
            number,
            base: None,
            started: at,
            ended: Some(ended),
            place: Place::Gone,
            freed: false,
            hand_back: None,
            part_of: None,
        }
    }

    /// Has its worktree nothing left that the repository does not hold? Then it may go.
    ///
    /// A result that was refused, that left something out, or that points into another repository (whose commits may be
    /// nowhere else) keeps its worktree until `gc` frees it: a discard can be taken back, and must not lose the only copy.
    pub fn is_removable(&self) -> bool {
        let Some(ended) = &self.ended else { return false };
        self.place == Place::Present && (ended.result.is_complete() || self.freed)
    }
}

impl Attempt {
    /// Was its result refused, and is what it left still in its worktree? Then it can be taken over once more.
    pub fn is_recoverable(&self) -> bool {
        let is_refused = |ended: &Ended| matches!(ended.result, Collected::Refused { .. });
        self.place == Place::Present && !self.freed && self.ended.as_ref().is_some_and(is_refused)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::super::event::Event as E;
    use super::super::sketch;
    use super::*;

    const FATES: [&str; 13] = [
        "pending",
        "withdrawn",
        "running",
        "cancelled",
        "failed",
        "empty",
        "ready",
        "queued",
        "landing",
        "refused",
        "folded",
        "undoing",
        "discarded",
    ];

    fn name(state: &TaskState) -> String {
        serde_json::to_value(state).unwrap()["state"].as_str().unwrap().to_owned()
    }

    /// For each state: what may happen then, and where it leads.
    #[test]
    fn the_life_of_a_task() {
        let (task, number) = (TaskId(1), 1);
        let (first, landing) = (AttemptId { task, number }, Landing { from: sketch::commit(1), to: sketch::commit(2) });
        let request = |direction| FoldRequest {
            direction,
            target: BranchName("main".to_owned()),
            strategy: Default::default(),
            message: None,
            accept_flags: false,
            tip: None,
            check: None,
            unverified: false,
            hooks: Vec::new(),
        };
        let refusal = Refusal::Held(super::super::change::Hold::NotFastForward);
        let (outcome, result, facts) = (Outcome::Cancelled, Collected::Nothing, Facts::default());
        let events = [
            ("start", E::Started { attempt: first, base: sketch::commit(1) }),
            ("no start", E::NotStarted { attempt: first, reason: String::new() }),
            ("cancel", E::CancelRequested { task, now: true }),
            ("prioritize", E::Prioritized { task, priority: Priority::High }),
            ("withdraw", E::Withdrawn { task }),
            ("end", E::Ended { attempt: first, outcome, result, facts }),
            ("remove", E::Removed { attempt: first }),
            ("retry", E::Retried { task, onto: None, remarks: None }),
            ("fold", E::FoldRequested { task, request: request(Direction::Fold) }),
            ("undo", E::FoldRequested { task, request: request(Direction::Undo) }),
            ("plan", E::LandingPlanned { task, landing: landing.clone(), whole: None, candidate: None }),
            ("miss", E::LandingMissed { task }),
            ("refuse", E::LandingRefused { task, refusal }),
            ("land", E::Landed { task, landing }),
            ("hold", E::QueueHeld { task }),
            ("release", E::QueueReleased { task }),
            ("leave", E::QueueLeft { task }),
            ("discard", E::Discarded { task }),
            ("restore", E::Restored { attempt: first }),
            ("free", E::Freed { attempt: first }),
        ];
        let mut picture = String::new();
        for fate in FATES {
            let before = sketch::state(&format!("1 {fate}"));
            let after = |event: &E| {
                let mut state = before.clone();
                let record = Record { at: sketch::now(), event: event.clone() };
                let legal = state.apply(&record).is_ok();
                assert!(legal || state == before, "a refused event leaves no trace");
                legal.then(|| name(&state.task(task).unwrap().state))
            };
            let steps = events.iter().filter_map(|(name, event)| Some(format!("{name} > {}", after(event)?)));
            picture.push_str(&format!("{fate}: {}\n", steps.collect::<Vec<_>>().join(", ")));
        }
        expect![[r#"
            pending: start > running, no start > failed, prioritize > pending, withdraw > withdrawn
            withdrawn: retry > pending, discard > discarded
            running: cancel > running, end > failed
            cancelled: cancel > running, end > failed
            failed: remove > failed, retry > pending, discard > discarded, free > failed
            empty: remove > empty, retry > pending, discard > discarded, free > empty
            ready: remove > ready, retry > pending, fold > queued, discard > discarded, restore > ready, free > ready
            queued: remove > queued, plan > landing, refuse > refused, hold > queued, release > queued, leave > ready
            landing: remove > landing, miss > queued, refuse > refused, land > folded
            refused: remove > refused, retry > pending, fold > queued, discard > discarded, restore > ready, free > refused
            folded: remove > folded, undo > queued, free > folded
            undoing: remove > queued, plan > landing, refuse > folded, hold > queued, release > queued, leave > folded
            discarded: remove > discarded, retry > pending, free > discarded
        "#]].assert_eq(&picture);
    }

    fn check_waiting(tasks: &str, picture: Expect) {
        let state = sketch::state(tasks);
        let waiting = state.tasks().filter_map(|task| Some(format!("{}: {:?}", task.id, state.waiting(task)?)));
        picture.assert_eq(&waiting.collect::<Vec<_>>().join("; "));
    }

    #[test]
    fn why_a_task_does_not_run() {
        check_waiting(
            "1; 2 after 1; 3 running; 4 after 3; 5 after 1,3",
            expect!["1: Turn; 2: Needs([#1]); 4: Needs([#3]); 5: Needs([#1, #3])"],
        );
        check_waiting(
            "1 failed; 2 after 1; 3 after 2; 4 discarded; 5 after 1,4; 6 withdrawn; 7 after 6",
            expect!["2: Blocked([#1]); 3: Needs([#2]); 5: Blocked([#1, #4]); 7: Blocked([#6])"],
        );
        check_waiting(
            "1 ready; 2 queued; 3 landing; 4 refused; 5 folded; 6 empty; 7 after 1,2,3,4,5,6",
            expect!["7: Turn"],
        );
        let mut state = sketch::state("1; 2 after 1");
        sketch::apply(&mut state, sketch::now(), E::Paused);
        assert_eq!(state.waiting(state.task(TaskId(1)).unwrap()), Some(Waiting::Paused));
        assert!(!state.has_work());
    }

    #[test]
    fn who_cancels_wants_nothing_more_to_happen() {
        for (code, expected) in [(0, "ready"), (1, "failed")] {
            let mut state = sketch::state("1 auto cancelled");
            let attempt = AttemptId { task: TaskId(1), number: 1 };
            let change = Change {
                tip: sketch::commit(9),
                branch: None,
                size: Default::default(),
                flags: vec![],
                extras: vec![],
            };
            let (outcome, result) = (Outcome::exited(code), Collected::Change(Box::new(change)));
            sketch::apply(&mut state, sketch::now(), E::Ended { attempt, outcome, result, facts: Facts::default() });
            assert_eq!(name(&state.task(TaskId(1)).unwrap().state), expected);
        }
    }
}
