//! A low task among high ones that never end starts all the same, and soon enough.

use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan};
use pleach::core::event::{Event, Record};
use pleach::core::id::{AttemptId, TaskId};
use pleach::core::inventory::Inventory;
use pleach::core::outcome::Outcome;
use pleach::core::policy::Limits;
use pleach::core::schedule::{self, RAISE};
use pleach::core::state::State;
use pleach::core::task::{Priority, TaskSpec};

use super::rng::Rng;

/// Seconds that a task takes.
const TAKES: i64 = 60;

#[test]
fn nothing_starves() {
    for seed in 0..20 {
        let mut rng = Rng::new(seed);
        let low = *rng.pick(&[Priority::Low, Priority::Normal]);
        let high = *rng.pick(&[Priority::High, Priority::Critical]);
        let others = 1 + rng.below(5);
        let levels = high as i64 - low as i64;
        let bound = levels * RAISE + (others as i64 + 2) * TAKES;
        let waited = wait_among(low, high, others, 2 * bound);
        assert!(waited.is_some_and(|w| w <= bound), "seed {seed}: {low} among {others} {high} waits {waited:?} s");
    }
}

/// How long a task waits where so many others are always waiting, one slot is there, and each takes [`TAKES`].
fn wait_among(low: Priority, high: Priority, others: usize, patience: i64) -> Option<i64> {
    let limits = Limits { tasks: 1, groups: BTreeMap::new(), cores: 1, disk_floor: 0, memory_floor: 0 };
    let mut state = State::default();
    let mut now = Timestamp::from_second(1_700_000_000).unwrap();
    submit(&mut state, low, now);
    (0..others).for_each(|_| submit(&mut state, high, now));
    for waited in (0..patience).step_by(TAKES as usize) {
        let next = schedule::next(&state, &Inventory::default(), &limits, now);
        let [attempt] = next[..] else { panic!("one slot, and {next:?} start") };
        if attempt.task == TaskId(1) {
            return Some(waited);
        }
        run(&mut state, attempt, now);
        now += TAKES.seconds();
        submit(&mut state, high, now);
    }
    None
}

fn submit(state: &mut State, priority: Priority, at: Timestamp) {
    let spec = r#"{"command":{"shell":"true"},"base":"0123456789abcdef0123456789abcdef01234567"}"#;
    let spec: TaskSpec = serde_json::from_str(spec).unwrap();
    let event = Event::Submitted { task: state.next_task(), spec: Box::new(TaskSpec { priority, ..spec }) };
    state.apply(&Record { at, event }).unwrap();
}

fn run(state: &mut State, attempt: AttemptId, at: Timestamp) {
    use pleach::core::change::Collected;
    let base = state.task(attempt.task).unwrap().spec.base;
    let (outcome, result) = (Outcome::exited(0), Collected::Nothing);
    for event in
        [Event::Started { attempt, base }, Event::Ended { attempt, outcome, result, facts: Default::default() }]
    {
        state.apply(&Record { at, event }).unwrap();
    }
}
