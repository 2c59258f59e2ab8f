//! Agents whose providers give them no more for now: none of their tasks starts until that is over, or somebody says so.
//!
//! It begins with an attempt that ends by [`Outcome::LimitReached`], and is over at the time that was given, or with
//! [`Event::AgentResumed`]. So it is in the journal, and outlives everybody.

use std::fmt;

use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use super::{State, Task};
use crate::core::event::{Event, Record};
use crate::core::id::TaskId;
use crate::core::outcome::Outcome;

/// Seconds that it lasts at least, whatever was said.
const LEAST: i64 = 60;
/// Attempts of one task that end by a limit and are followed by another.
pub(super) const MOST: usize = 5;

/// Why the tasks of an agent do not start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limited {
    /// In the words of its provider.
    pub why: String,
    /// Whose attempt met it.
    pub task: TaskId,
    /// Since when.
    pub since: Timestamp,
    /// Until when; none until somebody says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl fmt::Display for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.until {
            Some(until) => write!(f, "limit reached, until {until}"),
            None => f.write_str("limit reached, until it is resumed"),
        }
    }
}

impl Limited {
    /// Does it hold at this time?
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

impl State {
    /// Why the tasks of this agent do not start; it may be over by now: [`Limited::holds`].
    pub fn limited(&self, agent: &str) -> Option<&Limited> {
        self.limited.get(agent)
    }

    /// Is there any limit, be it over by now?
    pub fn has_limits(&self) -> bool {
        !self.limited.is_empty()
    }

    /// The same for the agent of a task.
    pub fn limit_of(&self, task: &Task) -> Option<(&str, &Limited)> {
        let name = &task.spec.agent.as_ref()?.agent.name;
        self.limited.get_key_value(name).map(|(name, limited)| (name.as_str(), limited))
    }

    pub(super) fn note_limits(&mut self, record: &Record) {
        match &record.event {
            Event::Ended { attempt, outcome: Outcome::LimitReached { agent, why, until }, .. } => {
                let before = self.limited.get(agent).filter(|before| before.holds(record.at));
                let until = until.map(|until| until.max(record.at + LEAST.seconds()));
                // Of two that say when, the later counts; who does not say when does not know better.
                let until = [before.and_then(|before| before.until), until].into_iter().flatten().max();
                let limited = Limited { why: why.clone(), task: attempt.task, since: record.at, until };
                self.limited.insert(agent.clone(), limited);
            }
            Event::AgentResumed { agent } => drop(self.limited.remove(agent)),
            _ => {}
        }
    }
}

impl Task {
    /// Attempts that ended by a limit: they are nobody's fault.
    pub(super) fn ended_by_limits(&self) -> usize {
        let is_one = |outcome: &Outcome| matches!(outcome, Outcome::LimitReached { .. });
        self.attempts.iter().filter(|one| one.ended.as_ref().is_some_and(|ended| is_one(&ended.outcome))).count()
    }
}

#[cfg(test)]
mod tests {
    use super::super::TaskState;
    use super::*;
    use crate::core::change::Collected;
    use crate::core::decide::decide;
    use crate::core::event::Facts;
    use crate::core::id::AttemptId;
    use crate::core::inventory::Inventory;
    use crate::core::policy::Limits;
    use crate::core::sketch;
    use crate::core::state::Waiting;

    fn hit(state: &mut State, until: Option<Timestamp>) {
        let attempt =
            AttemptId { task: TaskId(1), number: state.task(TaskId(1)).unwrap().attempts.last().unwrap().number };
        let outcome = Outcome::LimitReached { agent: "claude".to_owned(), why: "no more".to_owned(), until };
        let ended = Event::Ended { attempt, outcome, result: Collected::Nothing, facts: Facts::default() };
        sketch::apply(state, sketch::now(), ended);
    }

    fn starts(state: &State, now: Timestamp) -> (Vec<String>, Option<Timestamp>) {
        let limits = Limits { tasks: 9, ..Limits::default() };
        let decision = decide(state, &Inventory::default(), &limits, now);
        let starts = decision.actions.iter().filter_map(|action| match action {
            crate::core::action::Action::Start(attempt) => Some(attempt.to_string()),
            _ => None,
        });
        (starts.collect(), decision.wake_at)
    }

    #[test]
    fn nothing_of_its_kind_starts_until_the_time_that_was_given() {
        let mut state = sketch::state("1 by claude running; 2 by claude; 3 by codex; 4");
        let until = sketch::now() + 10.minutes();
        hit(&mut state, Some(until));
        assert_eq!(state.task(TaskId(1)).unwrap().state, TaskState::Pending);
        assert_eq!(starts(&state, sketch::now()), (vec!["3.1".to_owned(), "4.1".to_owned()], Some(until)));
        assert!(state.has_work());
        let (all, wake) = starts(&state, until);
        assert_eq!((all.join(" ").as_str(), wake), ("1.2 2.1 3.1 4.1", None));
        let again = State::read(state.write()).unwrap();
        assert_eq!(starts(&again, sketch::now()), starts(&state, sketch::now()));
    }

    #[test]
    fn without_a_time_it_lasts_until_somebody_resumes_it() {
        let mut state = sketch::state("1 by claude running; 2 by claude");
        hit(&mut state, None);
        assert_eq!(starts(&state, sketch::now() + 48.hours()), (vec![], None));
        assert_eq!(state.waiting(state.task(TaskId(2)).unwrap()), Some(Waiting::Agent("claude".to_owned())));
        let attempt = AttemptId { task: TaskId(1), number: 1 };
        sketch::apply(&mut state, sketch::now(), Event::Removed { attempt });
        assert!(!state.has_work());
        sketch::apply(&mut state, sketch::now(), Event::AgentResumed { agent: "claude".to_owned() });
        assert_eq!(starts(&state, sketch::now()).0, ["1.2", "2.1"]);
    }

    #[test]
    fn a_task_does_not_run_into_a_limit_for_ever() {
        let mut state = sketch::state("1 by claude running");
        for number in 2.. {
            hit(&mut state, Some(sketch::now()));
            if state.task(TaskId(1)).unwrap().state != TaskState::Pending {
                assert_eq!(number as usize, MOST + 2);
                break;
            }
            let attempt = AttemptId { task: TaskId(1), number };
            sketch::apply(&mut state, sketch::now(), Event::Started { attempt, base: sketch::commit(1) });
        }
        assert_eq!(state.task(TaskId(1)).unwrap().state, TaskState::Failed);
        // What is over at once is not over at once.
        assert_eq!(state.limited("claude").unwrap().until, Some(sketch::now() + LEAST.seconds()));
    }
}
