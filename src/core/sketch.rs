//! States in one line, for tests: `check("1 ready; 2 high after 1; 3 in a 20m", ...)`.
//!
//! Each part is a task, and gets the next id (the number that it begins with is for the reader, and checked). Then, in any order:
//! a priority; `after 1,2`; `in GROUP`; `by AGENT`; `needs 50` (bytes of memory); `20m` (so many minutes ago, else just now); `into BRANCH` (else `main`); `auto`;
//! and where it has come to: `running`, `cancelled`, `withdrawn`, `failed`, `empty`, `ready`, `queued`, `landing`,
//! `refused`, `folded`, `undoing`, `discarded`. What is not said is pending.

use jiff::{Timestamp, ToSpan};

use super::agent::{self, Assigned};
use super::change::{Change, Collected, Conflict, Direction, FoldRequest, Landing, Refusal, Size};
use super::event::{Event, Facts, Record};
use super::id::{BranchName, CommitId, TaskId};
use super::outcome::Outcome;
use super::state::State;
use super::task::{CommandLine, FoldPolicy, TaskSpec, Tenant};

pub(crate) fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

pub(crate) fn state(text: &str) -> State {
    let mut state = State::default();
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        add(&mut state, part);
    }
    state
}

fn add(state: &mut State, text: &str) {
    let task = state.next_task();
    let (mut spec, mut at, mut fate) = (spec(), now(), "pending");
    let mut words = text.split_whitespace();
    assert_eq!(words.next(), Some(task.to_string().as_str()), "in {text:?}");
    while let Some(word) = words.next() {
        let mut next = || words.next().unwrap_or_else(|| panic!("{word} what? in {text:?}"));
        match word {
            "after" => spec.needs = next().split(',').map(|id| id.parse().unwrap()).collect(),
            "needs" => spec.needs_memory = next().parse().unwrap(),
            "in" => spec.group = Some(next().to_owned()),
            "by" => spec.agent = agent::preset(next()).map(|preset| Box::new(Assigned::new(preset.agent))),
            "into" => spec.target = Some(BranchName(next().to_owned())),
            "tenant" => {
                let [by, name] = ["claude", "agent-1"].map(str::to_owned);
                spec.tenant = Some(Box::new(Tenant { by, name, session: String::new(), process: None }));
            }
            "auto" => spec.fold = FoldPolicy::Auto,
            "low" | "normal" | "high" | "critical" => spec.priority = word.parse().unwrap(),
            _ if word.ends_with('m') => at -= word[..word.len() - 1].parse::<i64>().unwrap().minutes(),
            _ => fate = word,
        }
    }
    let target = spec.target.clone().unwrap();
    apply(state, at, Event::Submitted { task, spec: Box::new(spec) });
    for event in events(task, fate, &target) {
        apply(state, at, event);
    }
}

pub(crate) fn apply(state: &mut State, at: Timestamp, event: Event) {
    state.apply(&Record { at, event }).unwrap();
}

pub(crate) fn commit(digit: u64) -> CommitId {
    format!("{digit:040x}").parse().unwrap()
}

pub(crate) fn spec() -> TaskSpec {
    let spec = r#"{"command":{"shell":"true"},"base":"0123456789abcdef0123456789abcdef01234567","target":"main"}"#;
    TaskSpec { command: CommandLine::Shell("true".into()), ..serde_json::from_str(spec).unwrap() }
}

/// What leads the tasks of a sketch to where they have come.
pub(crate) fn fates(text: &str) -> Vec<Event> {
    let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
    let of = |part: &str| {
        let mut words = part.split_whitespace();
        let task: TaskId = words.next().unwrap().parse().unwrap();
        let known = ["after", "pending", "auto"];
        let fate = words.next().filter(|word| !known.contains(word)).unwrap_or("pending");
        fate_of(task, 1, fate)
    };
    parts.flat_map(of).collect()
}

/// What leads an attempt of a task for `main` there.
pub(crate) fn fate_of(task: TaskId, number: u32, fate: &str) -> Vec<Event> {
    attempt_events(super::id::AttemptId { task, number }, fate, &BranchName("main".to_owned()))
}

/// What leads there.
fn events(task: TaskId, fate: &str, target: &BranchName) -> Vec<Event> {
    attempt_events(super::id::AttemptId { task, number: 1 }, fate, target)
}

fn attempt_events(attempt: super::id::AttemptId, fate: &str, target: &BranchName) -> Vec<Event> {
    let task = attempt.task;
    let landing = Landing { from: commit(1), to: commit(2) };
    let started = Event::Started { attempt, base: commit(1) };
    let ended =
        |code, result| Event::Ended { attempt, outcome: Outcome::exited(code), result, facts: Facts::default() };
    let change =
        Change { tip: commit(100 + task.0), branch: None, size: Size::default(), flags: vec![], extras: vec![] };
    let change = Collected::Change(Box::new(change));
    let asked = |direction| {
        let strategy = Default::default();
        let request = FoldRequest {
            direction,
            target: target.clone(),
            strategy,
            message: None,
            accept_flags: false,
            tip: None,
            check: None,
            unverified: false,
            hooks: Vec::new(),
        };
        Event::FoldRequested { task, request }
    };
    let refusal = Refusal::Conflict(Conflict { onto: commit(1), paths: vec![] });
    // Each is reached over the one before it in its row.
    let rows = [
        vec![("withdrawn", Event::Withdrawn { task })],
        vec![("running", started.clone()), ("cancelled", Event::CancelRequested { task, now: false })],
        vec![("", started.clone()), ("failed", ended(1, Collected::Nothing)), ("discarded", Event::Discarded { task })],
        vec![("", started.clone()), ("empty", ended(0, Collected::Nothing))],
        vec![
            ("", started.clone()),
            ("ready", ended(0, change.clone())),
            ("queued", asked(Direction::Fold)),
            ("landing", Event::LandingPlanned { task, landing: landing.clone(), whole: None, candidate: None }),
            ("folded", Event::Landed { task, landing }),
            ("undoing", asked(Direction::Undo)),
        ],
        vec![
            ("", started),
            ("", ended(0, change)),
            ("", asked(Direction::Fold)),
            ("refused", Event::LandingRefused { task, refusal }),
        ],
    ];
    if fate == "pending" {
        return Vec::new();
    }
    let row = rows.into_iter().find(|row| row.iter().any(|(name, _)| *name == fate));
    let row = row.unwrap_or_else(|| panic!("{fate} is no fate"));
    let length = row.iter().position(|(name, _)| *name == fate).map_or(0, |i| i + 1);
    row.into_iter().take(length).map(|(_, event)| event).collect()
}
