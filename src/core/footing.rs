//! What an action relies on that takes a while, and what of its findings counts when somebody had a word meanwhile.
//!
//! A result may be moved, kept or taken out of its line while its landing is planned or a candidate with it is made.

use super::action::Action;
use super::event::Event;
use super::id::TaskId;
use super::state::State;

/// Where the results stand that an action is about. Whoever asks anew stands at another place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Footing(Vec<(TaskId, Option<u64>)>);

impl Footing {
    /// As it is now.
    pub fn of(state: &State, action: &Action) -> Self {
        let tasks: Vec<TaskId> = match action {
            Action::Plan(task, _) => vec![*task],
            Action::Candidate { tasks, .. } => tasks.clone(),
            Action::Advance { steps, .. } => steps.iter().map(|step| step.task).collect(),
            _ => Vec::new(),
        };
        Self(tasks.into_iter().map(|id| (id, place(state, id))).collect())
    }

    /// What is still to be written down of what the action found.
    pub fn still_true(&self, state: &State, events: Vec<Event>) -> Vec<Event> {
        let is_as_it_was = self.0.iter().all(|(id, before)| before.is_some() && place(state, *id) == *before);
        if is_as_it_was {
            return events;
        }
        let counts = |event: Event| match event {
            Event::LandingPlanned { .. }
            | Event::LandingRefused { .. }
            | Event::Landed { .. }
            | Event::VerdictReused { .. } => None,
            // Its pin and its worktree are there, and are let go as those of any other run.
            Event::VerifyStarted { mut run } => {
                run.is_past = true;
                Some(Event::VerifyStarted { run })
            }
            event => Some(event),
        };
        events.into_iter().filter_map(counts).collect()
    }
}

fn place(state: &State, id: TaskId) -> Option<u64> {
    let task = state.task(id).filter(|task| !task.on_hold)?;
    task.place_in_line().map(|(place, _)| place)
}
