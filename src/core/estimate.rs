//! How long tasks will take, from how long the same command took before.

use std::collections::BTreeMap;

use super::id::TaskId;
use super::outcome::Outcome;
use super::state::{Attempt, State, Task};
use super::task::CommandLine;
use super::word::Word;

/// Earlier attempts that are looked at: the newest count.
const NEWEST: usize = 15;

/// What is known of the time that one task takes, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// What it usually takes.
    pub usual: Option<u64>,
    /// How long it has run; none where it waits.
    pub elapsed: Option<u64>,
}

/// What the command of a task usually took, in milliseconds: the median of its newest attempts that ended well, or else of
/// those that ended by themselves. None where it never ran.
pub fn usual(state: &State, task: &Task) -> Option<u64> {
    usual_of(state, [task]).remove(&task.id)
}

/// The same of many, in one pass; those of which nothing is known are left out.
pub fn usual_of<'a>(state: &'a State, tasks: impl IntoIterator<Item = &'a Task>) -> BTreeMap<TaskId, u64> {
    let mut wanted: BTreeMap<(&CommandLine, &Word), Vec<TaskId>> = BTreeMap::new();
    for task in tasks {
        wanted.entry((&task.spec.command, &task.spec.directory)).or_default().push(task.id);
    }
    let mut known: BTreeMap<(&CommandLine, &Word), Vec<(bool, u64)>> = BTreeMap::new();
    for task in state.tasks().rev() {
        let key = (&task.spec.command, &task.spec.directory);
        if wanted.contains_key(&key) {
            known.entry(key).or_default().extend(task.attempts.iter().rev().filter_map(took));
        }
    }
    let all = known.iter().filter_map(|(key, attempts)| Some((middle(attempts)?, &wanted[key])));
    all.flat_map(|(usual, ids)| ids.iter().map(move |id| (*id, usual))).collect()
}

/// Of attempts, the newest first.
fn middle(attempts: &[(bool, u64)]) -> Option<u64> {
    let times = |is_good: bool| -> Vec<u64> {
        attempts.iter().filter(|(good, _)| *good == is_good).map(|(_, took)| *took).take(NEWEST).collect()
    };
    median(times(true)).or_else(|| median(times(false)))
}

/// Did it end well, and how long did it run?
fn took(attempt: &Attempt) -> Option<(bool, u64)> {
    let ended = attempt.ended.as_ref()?;
    let by_itself = matches!(ended.outcome, Outcome::Exited { .. });
    let end = ended.facts.ended.unwrap_or(ended.at);
    let took = u64::try_from(end.as_millisecond() - attempt.started.as_millisecond()).ok()?;
    by_itself.then_some((ended.outcome.is_success(), took))
}

fn median(mut times: Vec<u64>) -> Option<u64> {
    times.sort_unstable();
    let middle = times.len() / 2;
    match times.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(times[middle]),
        _ => Some(times[middle - 1].midpoint(times[middle])),
    }
}

/// How long these will take together, where so many run at once. None where of one of them nothing is known.
pub fn left(tasks: &[Expected], slots: usize) -> Option<u64> {
    let (mut longest, mut sum) = (0, 0);
    for task in tasks {
        let left = task.usual?.saturating_sub(task.elapsed.unwrap_or(0));
        longest = longest.max(left);
        sum += left;
    }
    Some(longest.max(sum / slots.max(1) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::report::sample;

    #[test]
    fn the_middle_of_what_ended_well_counts_and_failures_only_where_nothing_did() {
        let mut state = State::default();
        for (id, code) in [(1, 0), (2, 0), (3, 1), (4, 0)] {
            sample::run(&mut state, id, 100 * id as i64, "make", code, None);
        }
        sample::run(&mut state, 5, 900, "never good", 3, None);
        let usual = |id| usual(&state, state.task(TaskId(id)).unwrap());
        assert_eq!((usual(4), usual(5)), (Some(5000), Some(5000)));
        assert_eq!(usual_of(&state, state.tasks()).len(), 5, "the same of all at once");
        assert_eq!(usual_of(&state, []), BTreeMap::new());
        assert_eq!(median(vec![9, 1, 3]), Some(3));
        assert_eq!(median(vec![9, 1, 3, 5]), Some(4));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn what_waits_shares_the_slots() {
        let runs = |usual, elapsed| Expected { usual: Some(usual), elapsed: Some(elapsed) };
        let waits = |usual| Expected { usual: Some(usual), elapsed: None };
        assert_eq!(left(&[runs(100, 40)], 4), Some(60));
        assert_eq!(left(&[runs(100, 400)], 4), Some(0));
        assert_eq!(left(&[runs(100, 0), waits(100), waits(100), waits(100)], 2), Some(200));
        assert_eq!(left(&[waits(100), Expected { usual: None, elapsed: None }], 2), None);
        assert_eq!(left(&[], 0), Some(0));
    }
}
