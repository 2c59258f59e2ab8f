//! What somebody may want to be told of who does not look: made from the events of the journal.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::event::Event;
use super::report::{self, Row, SCHEMA, Seen, Show, Standing};
use super::state::State;
use super::task::words;
use super::word::{count, shown};

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An attempt ended, and the task does not run again by itself.
    Ended,
    /// A result waits for somebody to look at it.
    Review,
    /// A result does not go in: a conflict, a check that said no, something in the way.
    Refused,
    /// A result is part of its target.
    Folded,
    /// Nothing runs, waits or lands any more.
    Done,
}
words!(
    Kind,
    "an event (ended, review, refused, folded or done)",
    Ended = "ended",
    Review = "review",
    Refused = "refused",
    Folded = "folded",
    Done = "done"
);

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notice {
    /// The version of this form: that of all reports.
    pub schema: u32,
    /// When.
    pub at: Timestamp,
    /// What happened. What ended and waits for somebody is told once, as `review`.
    pub event: Kind,
    /// In words, on one line, fit for a terminal.
    pub text: String,
    /// The repository.
    pub repository: String,
    /// The task, as `ls --json` has it; none where it is about all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Row>,
    /// How many somebody should look at.
    pub attention: usize,
}

impl Notice {
    /// Does somebody who listens for these kinds hear it?
    pub fn is_for(&self, kinds: &[Kind]) -> bool {
        kinds.contains(&self.event) || (self.event == Kind::Review && kinds.contains(&Kind::Ended))
    }
}

/// Is there anything to tell of such an event?
pub fn is_of_interest(event: &Event) -> bool {
    use Event as E;
    matches!(event, E::Ended { .. } | E::NotStarted { .. } | E::LandingRefused { .. } | E::Landed { .. })
}

/// What there is to tell of an event, after which the state is this one.
pub fn of(state: &State, event: &Event, repository: &str, now: Timestamp) -> Option<Notice> {
    let task = state.task(event.task()?).filter(|_| is_of_interest(event))?;
    let row = report::row(state, task, &Seen::default(), now);
    let kind = match (event, row.state) {
        // It runs again by itself.
        (_, Standing::Waiting) => return None,
        (Event::Landed { .. }, Standing::Folded) => Kind::Folded,
        // An undo.
        (Event::Landed { .. }, _) => return None,
        (Event::LandingRefused { .. }, _) => Kind::Refused,
        (_, Standing::Ready) => Kind::Review,
        _ => Kind::Ended,
    };
    let name = row.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
    let why = if row.why.is_empty() { String::new() } else { format!(" ({})", row.why) };
    let text = shown(&format!("task {}{name}: {}{why}", row.id, row.state));
    let attention = attention(state, now);
    Some(Notice {
        schema: SCHEMA,
        at: now,
        event: kind,
        text,
        repository: repository.to_owned(),
        task: Some(row),
        attention,
    })
}

/// That nothing is left to do.
pub fn done(state: &State, repository: &str, now: Timestamp) -> Notice {
    let attention = attention(state, now);
    let look = if attention > 0 { format!(", {} to look at", count(attention as u64, "task")) } else { String::new() };
    let text = format!("all tasks are through{look}");
    let repository = repository.to_owned();
    Notice { schema: SCHEMA, at: now, event: Kind::Done, text, repository, task: None, attention }
}

fn attention(state: &State, now: Timestamp) -> usize {
    report::board(state, &Seen::default(), now, Show::Open).attention
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::change::Landing;
    use crate::core::id::{AttemptId, TaskId};
    use crate::core::report::sample::{self, at};

    #[test]
    fn what_is_told_and_what_is_not() {
        let state = sample::state();
        let told = |event: &Event| of(&state, event, "/r", at(600)).map(|notice| (notice.event, notice.text));
        let removed = |id| Event::Removed { attempt: AttemptId { task: TaskId(id), number: 1 } };
        let landing = Landing { from: sample::commit('d'), to: sample::commit('e') };
        let landed = |id| Event::Landed { task: TaskId(id), landing: landing.clone() };
        assert_eq!(told(&removed(5)), None);
        assert_eq!(told(&Event::Paused), None);
        assert_eq!(told(&landed(1)), Some((Kind::Folded, "task 1: folded (into main)".to_owned())));
        assert_eq!(told(&landed(5)), None, "an undo");
        let ended = |id, reason: &str| Event::NotStarted {
            attempt: AttemptId { task: TaskId(id), number: 1 },
            reason: reason.to_owned(),
        };
        assert_eq!(told(&ended(5, "")), Some((Kind::Review, "task 5: ready".to_owned())));
        assert_eq!(told(&ended(3, "")), Some((Kind::Ended, "task 3 lint: failed (timed out)".to_owned())));
        assert_eq!(told(&ended(15, "")), None, "it runs again");
        assert_eq!(done(&state, "/r", at(600)).text, "all tasks are through, 8 tasks to look at");
        let review = of(&state, &ended(5, ""), "/r", at(600)).unwrap();
        assert!(review.is_for(&[Kind::Ended]) && review.is_for(&[Kind::Review]) && !review.is_for(&[Kind::Folded]));
    }
}
