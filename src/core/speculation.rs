//! What to verify for a line: the bridge between what is known of it and the [`planner`].
//!
//! The planner speaks of places in a line, we of tasks, commits and runs.

use std::collections::BTreeSet;

use super::action::{Action, Subject};
use super::change::Refusal;
use super::id::{BranchName, TaskId};
use super::inventory::{Inventory, Shim};
use super::kinds::Kind;
use super::planner::{self, Answer, Probe, Question};
use super::policy::Limits;
use super::state::{State, Task, TaskState};
use super::verify::{Check, Line, Purpose, Run, attempt_of};

/// Runs in a row that say nothing about a tree, before the line is given up.
pub const FAILURES: usize = 3;
/// More runs than this at a time win nothing.
const VERIFIERS: usize = 8;

/// Results that are verified together.
#[derive(Debug)]
pub struct Group<'a> {
    /// For which target.
    pub target: &'a BranchName,
    /// By which check.
    pub check: &'a Check,
    /// In the order in which they would land.
    pub tasks: Vec<&'a Task>,
}

/// What to do for a group.
#[derive(Debug, Default)]
pub struct Step {
    /// What to do.
    pub actions: Vec<Action>,
    /// The runs whose answers are waited for.
    pub wanted: BTreeSet<u32>,
}

/// Decide what to land, whom to send back, and what to verify.
pub fn next(state: &State, seen: &Inventory, limits: &Limits, group: &Group<'_>) -> Step {
    let unknown = Line::default();
    let line = state.lines().line(group.target).unwrap_or(&unknown);
    // One of them may hang the check for all: after each run without an answer, fewer are looked at.
    let most = (group.tasks.len().min(planner::WINDOW) >> line.failures.len()).max(1);
    let tasks: Vec<TaskId> = group.tasks.iter().take(most).map(|task| task.id).collect();
    if tasks.is_empty() {
        return Step::default();
    }
    let places = Places(&tasks);
    let runs: Vec<(&Run, Probe)> = state
        .lines()
        .runs()
        .filter(|run| run.target == *group.target && run.purpose == Purpose::Land && !run.is_past)
        .filter(|run| line.head == Some(run.head) || line.is_suspected(run))
        .filter_map(|run| Some((run, places.all(run.tasks())?)))
        .collect();
    let green: Vec<Probe> =
        line.green.iter().filter_map(|steps| places.in_order(steps.iter().map(|s| s.task))).collect();
    let red: Vec<Probe> = line.red.iter().filter_map(|red| places.all(red.tasks.iter().copied())).collect();
    let making: Vec<&[TaskId]> = seen.busy.iter().filter_map(|subject| candidate_of(subject, group.target)).collect();
    let made = making.iter().filter_map(|tasks| places.all(tasks.iter().copied()));
    let question = Question {
        line: group.tasks.iter().take(most).map(|task| places.some(task.spec.needs.iter().copied())).collect(),
        running: runs.iter().map(|(_, probe)| *probe).chain(made).collect(),
        green,
        verifiers: verifiers(group.check, line, limits),
        failure_rate: planner::failure_rate(line.landed, line.evicted, &red),
        guarantee: group.check.guarantee,
        deterministic: group.check.deterministic,
        red,
    };
    let mut answer = planner::plan(&question);
    let is_hopeless = line.failures.len() >= FAILURES || line.baseline.proof(group.check).is_some();
    if answer.land.is_none() && is_hopeless {
        // That some are held once may be their own fault; twice, it is not.
        let is_theirs = line.failures.len() >= FAILURES && line.given_up == 0;
        let all = || group.tasks.iter().map(|task| task.id).collect();
        let tasks = if is_theirs { tasks } else { all() };
        return Step { actions: vec![Action::GiveUp { target: group.target.clone(), tasks }], ..Step::default() };
    }
    let wanted = runs.iter().filter(|(_, probe)| !answer.cancel.contains(probe)).map(|(run, _)| run.number);
    let mut wanted: BTreeSet<u32> = wanted.collect();
    let baseline = baseline(state, seen, group, line, &mut wanted);
    if baseline != Baseline::Unneeded {
        // Nobody is sent back from a target that may not pass by itself.
        answer.evict.clear();
        answer.start.truncate(question.verifiers.saturating_sub(question.running.len() + 1));
    }
    // The making of a candidate may end with a word against a result in it, which must not be landing by then.
    if seen.busy.contains(&Subject::Target(group.target.clone())) || answer.land.is_some() && !making.is_empty() {
        return Step { wanted, ..Step::default() };
    }
    let mut actions = actions(group, line, &places, &question, answer);
    if let Baseline::Missing(action) = baseline {
        actions.push(action);
    }
    Step { actions, wanted }
}

/// The results of a candidate of this target that is being made.
fn candidate_of<'a>(subject: &'a Subject, of: &BranchName) -> Option<&'a [TaskId]> {
    match subject {
        Subject::Candidate(target, tasks) if target == of => Some(tasks),
        _ => None,
    }
}

/// What is to be known of the head itself.
#[derive(Debug, PartialEq)]
enum Baseline {
    /// It is known to pass, or nobody is suspected yet.
    Unneeded,
    /// It is being verified.
    UnderWay,
    /// It is to be verified.
    Missing(Action),
}

/// As soon as somebody is suspected, the target must be known to pass without them.
fn baseline(state: &State, seen: &Inventory, group: &Group<'_>, line: &Line, wanted: &mut BTreeSet<u32>) -> Baseline {
    let is_suspect = |red: &super::verify::Red| red.tasks.len() == 1;
    let known = line.baseline.by(group.check);
    if known.is_some_and(|known| known.is_green) || !line.red.iter().any(is_suspect) {
        return Baseline::Unneeded;
    }
    let is_it = |run: &&Run| {
        let is_of_the_line = run.purpose == Purpose::Baseline && run.target == *group.target;
        is_of_the_line && Some(run.head) == line.head && run.check.as_deref() == Some(group.check)
    };
    if let Some(run) = state.lines().runs().find(is_it) {
        wanted.insert(run.number);
        return Baseline::UnderWay;
    }
    let target = group.target.clone();
    if seen.busy.contains(&Subject::Candidate(target.clone(), Vec::new())) {
        return Baseline::UnderWay;
    }
    let again = group.check.no_cache || known.is_some_and(|known| !known.red.is_empty());
    let Some(first) = group.tasks.first() else { return Baseline::Unneeded };
    Baseline::Missing(Action::Baseline { target, task: first.id, again })
}

fn actions(group: &Group<'_>, line: &Line, places: &Places<'_>, question: &Question, answer: Answer) -> Vec<Action> {
    let target = || group.target.clone();
    let is = |steps: &[super::verify::Step], probe| places.in_order(steps.iter().map(|step| step.task)) == Some(probe);
    let landing = answer.land.and_then(|probe| line.green.iter().find(|steps| is(steps, probe)));
    let advance = landing.map(|steps| Action::Advance { target: target(), steps: steps.clone() });
    let evict = answer.evict.iter().filter_map(|place| places.0.get(*place)).map(|task| Action::Evict(*task));
    let start = answer.start.iter().map(|probe| Action::Candidate {
        target: target(),
        tasks: probe.places().filter_map(|place| places.0.get(place).copied()).collect(),
        again: question.red.contains(probe) || group.check.no_cache,
    });
    advance.into_iter().chain(evict).chain(start).collect()
}

/// How many runs there may be at a time: as many as the cores have room for. One, as long as it is not known what one uses.
pub fn verifiers(check: &Check, line: &Line, limits: &Limits) -> usize {
    let used = check.cores.unwrap_or(line.cores) as usize;
    (limits.cores * 100).checked_div(used).unwrap_or(1).clamp(1, VERIFIERS)
}

/// What the runs need that are under way. The answers of those that are not `wanted` are of no use any more.
pub fn tend(state: &State, seen: &Inventory, wanted: &BTreeSet<u32>) -> Vec<Action> {
    let tend = |run: &Run| {
        let number = run.number;
        let is_blamed = || run.tasks().filter_map(|id| state.task(id)).any(is_to_blame);
        let is_early = || {
            let step = run.steps.first();
            let task = step.and_then(|step| state.task(step.task).filter(|task| task.tip() == Some(step.commit)));
            task.is_some_and(is_to_verify_early)
        };
        let is_wanted = match run.purpose {
            Purpose::Land | Purpose::Baseline => wanted.contains(&number),
            Purpose::Blame => is_blamed(),
            Purpose::Early => is_early(),
        };
        let attempt = attempt_of(number);
        match seen.shim(attempt) {
            Shim::Absent if is_wanted => Some(Action::Verify(number)),
            Shim::Absent | Shim::Exited | Shim::Dead => Some(Action::Judge(number)),
            Shim::Alive if !is_wanted && !seen.told.contains_key(&attempt) => Some(Action::CallOff(number)),
            Shim::Alive => None,
        }
    };
    state.lines().runs().filter_map(tend).collect()
}

/// The first rejected result of which nobody knows whether it is broken by itself, else the first that is ready and of
/// which nobody knows whether it passes. Only asked where nothing else is to do.
pub fn alone(state: &State, seen: &Inventory) -> Option<Action> {
    if seen.busy.iter().any(|subject| matches!(subject, Subject::Candidate(..) | Subject::Target(_))) {
        return None;
    }
    let blame = |task: &Task| match &task.state {
        TaskState::Refused { request, .. } if is_to_blame(task) => {
            Some(Action::Blame { target: request.target.clone(), task: task.id })
        }
        _ => None,
    };
    let early = |task: &Task| {
        let target = task.usual_fold().filter(|_| is_to_verify_early(task))?.target;
        Some(Action::Early { target, task: task.id })
    };
    let unproven: Vec<&Task> = state.of_kind(&[Kind::Unproven]).collect();
    unproven.iter().copied().find_map(blame).or_else(|| unproven.iter().copied().find_map(early))
}

/// Is a result that waits for somebody still to be verified by itself?
pub fn is_to_verify_early(task: &Task) -> bool {
    if !matches!(task.state, TaskState::Ready { .. }) {
        return false;
    }
    let is_asked = task.spec.check.as_ref().is_some_and(|check| check.early) && task.spec.target.is_some();
    is_asked && task.early.as_ref().is_none_or(|early| Some(early.tip) != task.tip())
}

/// Is a rejected result still to be verified on its own base?
pub fn is_to_blame(task: &Task) -> bool {
    let TaskState::Refused { refusal: Refusal::Rejected(rejection), request, .. } = &task.state else { return false };
    !rejection.is_tried && request.check.is_some()
}

/// The places of tasks in a line.
struct Places<'a>(&'a [TaskId]);

impl Places<'_> {
    fn of(&self, task: TaskId) -> Option<usize> {
        self.0.iter().position(|there| *there == task)
    }

    /// All of them; none where one is not in the line.
    fn all(&self, tasks: impl IntoIterator<Item = TaskId>) -> Option<Probe> {
        let places: Option<Vec<usize>> = tasks.into_iter().map(|task| self.of(task)).collect();
        places.map(Probe::of)
    }

    /// All of them, where they would land in this order. What was verified in another one lands another way.
    fn in_order(&self, tasks: impl IntoIterator<Item = TaskId>) -> Option<Probe> {
        let places: Option<Vec<usize>> = tasks.into_iter().map(|task| self.of(task)).collect();
        places.filter(|places| places.is_sorted()).map(Probe::of)
    }

    /// Those of them that are in the line.
    fn some(&self, tasks: impl IntoIterator<Item = TaskId>) -> Probe {
        Probe::of(tasks.into_iter().filter_map(|task| self.of(task)))
    }
}
