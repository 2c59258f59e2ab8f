//! For tests: a state in which tasks stand in every place that there is.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Live, Progress, Seen};
use crate::core::change::{
    Change, Collected, Conflict, ConflictPath, Direction, Flag, FoldRequest, Hold, Landing, Refusal, Size,
};
use crate::core::event::{Event, Facts, Record};
use crate::core::id::{AttemptId, BranchName, CommitId, TaskId};
use crate::core::outcome::Outcome;
use crate::core::sandbox::traffic::{Traffic, Why};
use crate::core::state::State;
use crate::core::task::{FoldPolicy, Strategy, TaskSpec};

/// So many seconds after noon of some day.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_777_636_800 + second).expect("it is within the range of timestamps")
}

pub(crate) fn commit(digit: char) -> CommitId {
    digit.to_string().repeat(40).parse().expect("it is forty digits")
}

fn spec(command: &str, more: &str) -> Box<TaskSpec> {
    let command = serde_json::to_string(command).expect("text is JSON");
    let base = commit('b');
    let json = format!(r#"{{"command":{{"shell":{command}}},"base":"{base}","target":"main"{more}}}"#);
    Box::new(serde_json::from_str(&json).expect("the test wrote a spec"))
}

fn apply(state: &mut State, second: i64, event: Event) {
    state.apply(&Record { at: at(second), event }).expect("the test tells a possible story");
}

fn submit(state: &mut State, id: u64, second: i64, command: &str, more: &str) {
    apply(state, second, Event::Submitted { task: TaskId(id), spec: spec(command, more) });
}

fn attempt(id: u64, number: u32) -> AttemptId {
    AttemptId { task: TaskId(id), number }
}

fn start(state: &mut State, id: u64, number: u32, second: i64) {
    apply(state, second, Event::Started { attempt: attempt(id, number), base: commit('b') });
}

fn change(files: u32) -> Collected {
    Collected::Change(Box::new(Change {
        tip: commit('c'),
        branch: Some(BranchName("pleach/x".into())),
        size: Size { commits: 2, files, insertions: 10, deletions: 2 },
        flags: Vec::new(),
        extras: Vec::new(),
    }))
}

fn end(state: &mut State, id: u64, number: u32, second: i64, outcome: Outcome, result: Collected, facts: Facts) {
    apply(state, second, Event::Ended { attempt: attempt(id, number), outcome, result, facts });
}

/// A task that was asked for, ran for five seconds and ended.
pub(crate) fn run(state: &mut State, id: u64, second: i64, command: &str, code: i32, files: Option<u32>) {
    submit(state, id, second, command, "");
    start(state, id, 1, second + 1);
    let result = files.map_or(Collected::Nothing, change);
    end(state, id, 1, second + 6, Outcome::exited(code), result, Facts::default());
}

fn request() -> FoldRequest {
    let target = BranchName("main".into());
    FoldRequest {
        direction: Direction::Fold,
        target,
        strategy: Strategy::Merge,
        message: None,
        accept_flags: false,
        check: None,
        unverified: false,
        hooks: Vec::new(),
    }
}

fn ask(state: &mut State, id: u64, second: i64) {
    apply(state, second, Event::FoldRequested { task: TaskId(id), request: request() });
}

fn refuse(state: &mut State, id: u64, second: i64, refusal: Refusal) {
    ask(state, id, second);
    apply(state, second + 1, Event::LandingRefused { task: TaskId(id), refusal });
}

/// Tasks in every place that there is.
pub(crate) fn state() -> State {
    let mut state = State::default();
    let s = &mut state;
    let landing = Landing { from: commit('d'), to: commit('e') };
    run(s, 1, 0, "cargo fmt", 0, Some(3));
    ask(s, 1, 20);
    apply(s, 21, Event::LandingPlanned { task: TaskId(1), landing: landing.clone(), whole: None, candidate: None });
    apply(s, 22, Event::Landed { task: TaskId(1), landing: landing.clone() });
    run(s, 2, 30, "true", 0, None);
    // Failed twice: once with something to look at, once out of time.
    submit(
        s,
        3,
        40,
        "npx eslint --fix src",
        r#","name":"lint","retries":1,"timeout":90,"priority":"high","group":"web","fold":"auto""#,
    );
    start(s, 3, 1, 41);
    let mut network = Traffic { connections: 2, sent: 1400, received: 90_210, ..Traffic::default() };
    for to in ["example.org:443", "evil.example.org:80", "example.org:443"] {
        network.deny(to, Why::NotListed);
    }
    let facts = Facts {
        account: None,
        warnings: Vec::new(),
        summary: Some("12 fixed\n3 left \u{1b}[31m".into()),
        cpu_ms: 3200,
        max_rss_kb: 46_080,
        log_bytes: 3 << 20,
        log_dropped: 1 << 20,
        leaked: 2,
        sandbox: Some(crate::core::sandbox::Tier::Reduced),
        provider: None,
        network: Some(network),
        notes: vec!["setup took 9s".into()],
        ended: Some(at(50)),
    };
    end(s, 3, 1, 52, Outcome::exited(3), change(1), facts);
    start(s, 3, 2, 60);
    end(s, 3, 2, 150, Outcome::TimedOut, Collected::Nothing, Facts::default());
    submit(s, 4, 160, "make report", r#","needs":[3]"#);
    run(s, 5, 170, "codemod", 0, Some(40));
    run(s, 6, 180, "sed -i s/a/b/ *", 0, Some(2));
    let path = ConflictPath { path: "src/a b.rs".into(), ours: Some(commit('d')), theirs: Some(commit('c')) };
    refuse(s, 6, 190, Refusal::Conflict(Conflict { onto: commit('d'), paths: vec![path] }));
    run(s, 7, 200, "gen", 0, Some(1));
    refuse(s, 7, 210, Refusal::Held(Hold::Overlap { checkout: "/home/u/r".into(), paths: vec!["gen.rs".into()] }));
    run(s, 8, 220, "link", 0, Some(1));
    let flags = vec![Flag::OutsideLink { path: "l".into(), leads_to: "/etc".into() }];
    refuse(s, 8, 230, Refusal::Held(Hold::Flagged { flags }));
    run(s, 9, 240, "a", 0, Some(1));
    ask(s, 9, 250);
    apply(s, 251, Event::LandingPlanned { task: TaskId(9), landing, whole: None, candidate: None });
    run(s, 10, 260, "b", 0, Some(1));
    ask(s, 10, 270);
    run(s, 11, 280, "unwanted", 0, Some(1));
    apply(s, 290, Event::Discarded { task: TaskId(11) });
    submit(s, 12, 300, "never ran", "");
    apply(s, 301, Event::Withdrawn { task: TaskId(12) });
    submit(s, 13, 310, "cargo test --workspace", r#","name":"test""#);
    start(s, 13, 1, 320);
    submit(s, 14, 330, "sleep 999", "");
    start(s, 14, 1, 331);
    apply(s, 340, Event::CancelRequested { task: TaskId(14), now: false });
    submit(s, 15, 350, "low", r#","priority":"low""#);
    submit(s, 16, 360, "high", r#","priority":"high""#);
    submit(s, 17, 370, "echo 日本語 \u{1b}[2J", r#","needs":[13]"#);
    submit(s, 18, 380, "echo last", "");
    submit(s, 19, 390, "cp", "");
    apply(s, 391, Event::NotStarted { attempt: attempt(19, 1), reason: "needs 3 and 5 conflict".into() });
    run(s, 20, 400, "big", 0, Some(1));
    state
}

/// What is seen of those that run.
pub(crate) fn seen() -> Seen {
    let progress = Progress { done: 47, total: Some(89), text: "core::tests".into() };
    let test = Live { progress: Some(progress), last_line: Some("running 89 tests".into()), ..Live::default() };
    let sleep = Live { progress: None, last_line: Some("zzz \u{1b}[31mred".into()), ..Live::default() };
    Seen { live: BTreeMap::from([(attempt(13, 1), test), (attempt(14, 1), sleep)]), ..Seen::default() }
}

#[test]
fn the_policies_of_the_sample_are_what_they_say() {
    let state = state();
    assert_eq!(state.task(TaskId(3)).map(|task| task.spec.fold), Some(FoldPolicy::Auto));
}
