//! Journals of every version load for ever. A file in `fixtures/journals` is never changed: a new version gets a
//! new one.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use expect_test::expect;
use pleach::core::event::Record;
use pleach::core::state::State;
use serde_json::Value;

const V1: &str = include_str!("../../fixtures/journals/v1.jsonl");
/// What was added since, which goes on where the first one ends.
const V1_MORE: &str = include_str!("../../fixtures/journals/v1-more.jsonl");

/// The same with plans.
const V1_PLANS: &str = include_str!("../../fixtures/journals/v1-plans.jsonl");

fn lines() -> impl Iterator<Item = &'static str> {
    V1.lines().chain(V1_MORE.lines())
}

/// Every kind of event that version 1 can write.
const KINDS: [&str; 19] = [
    "submitted",
    "started",
    "not_started",
    "cancel_requested",
    "withdrawn",
    "ended",
    "removed",
    "retried",
    "fold_requested",
    "landing_planned",
    "landing_missed",
    "landing_refused",
    "landed",
    "discarded",
    "restored",
    "recovered",
    "freed",
    "paused",
    "resumed",
];

#[test]
fn version_1_loads() {
    let mut state = State::default();
    for (number, line) in lines().enumerate() {
        let record: Record = serde_json::from_str(line).unwrap_or_else(|e| panic!("line {}: {e}", number + 1));
        state.apply(&record).unwrap_or_else(|e| panic!("line {}: {e}", number + 1));
    }
    let mut picture = String::new();
    for task in state.tasks() {
        let outcomes = task.attempts.iter().filter_map(|attempt| attempt.ended.as_ref());
        let outcomes: Vec<String> = outcomes.map(|ended| ended.outcome.to_string()).collect();
        let state = serde_json::to_value(&task.state).unwrap();
        writeln!(picture, "{}: {} [{}]", task.id, state["state"].as_str().unwrap(), outcomes.join("; ")).unwrap();
    }
    expect![[r#"
        1: ready [lost: its shim died; exit 0]
        2: failed [could not start: the results of its needs conflict in src/lib.rs]
        3: discarded [cancelled]
        4: ready [could not start: no space left on device; out of memory; signal 11; timed out]
        5: refused [exit 0]
        6: empty [exit 0]
        7: ready [exit 0]
    "#]]
    .assert_eq(&picture);
}

/// A journal with plans: one that was stopped and discarded, and one with a try that was picked.
#[test]
fn plans_load_and_stay_in_the_snapshot() {
    let mut state = State::default();
    for line in V1_PLANS.lines() {
        state.apply(&serde_json::from_str::<Record>(line).unwrap()).unwrap();
    }
    let read = State::read(state.write()).unwrap();
    assert_eq!(read, state);
    let plan = |plan: &pleach::core::plan::Plan| format!("{} {:?} {:?}", plan.id, plan.stopped_by, plan.picked);
    assert_eq!(read.plans().iter().map(plan).collect::<Vec<_>>(), ["all.1 Some(#2) {}", "try.1 None {#4}"]);
    assert!(read.plans().iter().all(|plan| plan.doomed.is_empty() && plan.tasks().all(|id| read.task(id).is_some())));
    assert_eq!(read.plan_of(read.plans()[1].first).unwrap().id.to_string(), "try.1");
}

#[test]
fn nothing_of_it_is_lost_by_reading() {
    for line in lines().chain(V1_PLANS.lines()) {
        let record: Record = serde_json::from_str(line).unwrap();
        let (there, kept) = (serde_json::from_str(line).unwrap(), serde_json::to_value(&record).unwrap());
        assert!(is_within(&there, &kept), "{there}\nis not within\n{kept}");
    }
}

/// Does `whole` say all that `part` says? A later version may write more.
fn is_within(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(key, value)| whole.get(key).is_some_and(|kept| is_within(value, kept)))
        }
        (Value::Array(part), Value::Array(whole)) => {
            part.len() == whole.len() && part.iter().zip(whole).all(|(part, whole)| is_within(part, whole))
        }
        (part, whole) => part == whole,
    }
}

#[test]
fn every_kind_of_event_is_in_it() {
    let of_line = |line| serde_json::from_str::<Value>(line).unwrap()["event"].as_str().unwrap().to_owned();
    let there: BTreeSet<String> = lines().map(of_line).collect();
    assert_eq!(there, KINDS.iter().map(|kind| (*kind).to_owned()).collect());
}
