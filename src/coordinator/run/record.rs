//! Writing down what happened, and what follows from it.

use tokio::sync::mpsc;

use super::{Coordinator, Waiter};
use crate::coordinator::protocol::Response;
use crate::coordinator::{log, requests, sweep};
use crate::core::delegate;
use crate::core::event::{Event, Record};
use crate::core::id::TaskId;
use crate::core::plan::steer::steer;
use crate::process::clock;
use crate::store::StoreError;

impl Coordinator {
    /// Write events down, believe them, and what follows from them for the tasks of a plan; then tell who waits.
    pub(super) fn record(&mut self, events: Vec<Event>) -> Result<(), StoreError> {
        self.write_down(events)?;
        loop {
            let known = self.state.events();
            let events: Vec<Event> = steer(&self.state).into_iter().chain(delegate::follow(&self.state)).collect();
            let dropped: Vec<TaskId> =
                events.iter().filter(|event| is_discard(event)).filter_map(Event::task).collect();
            self.write_down(events)?;
            self.show_branches(&dropped);
            if self.state.events() == known {
                break;
            }
        }
        self.notifier.rests(&self.state);
        self.watchers.retain(|tick| !matches!(tick.try_send(()), Err(mpsc::error::TrySendError::Closed(()))));
        let state = &self.state;
        let there = |waiter: &mut Waiter| requests::has_reached(state, &waiter.tasks, waiter.until, waiter.any);
        for waiter in self.waiters.extract_if(.., there) {
            let _ = waiter.answer.send(Response::Yes);
        }
        self.waiters.retain(|waiter| !waiter.answer.is_closed());
        Ok(())
    }

    fn write_down(&mut self, events: Vec<Event>) -> Result<(), StoreError> {
        let at = clock::now();
        for event in events {
            let record = Record { at, event };
            let mut next = std::mem::take(&mut self.state);
            let checked = next.check(&record);
            if let Err(error) = checked {
                // But for these only a bug can bring this about; what is written down stays sound.
                if !record.event.may_be_overtaken() {
                    log(&format!("did not record what makes no sense: {error}"));
                }
                self.state = next;
                continue;
            }
            self.foreseer.happened(&record.event);
            let written = self.journal.append(std::slice::from_ref(&record));
            if written.is_ok()
                && let Err(error) = next.apply(&record)
            {
                log(&format!("cannot happen: {error}"));
            }
            let is_written = written.is_ok();
            self.state = next;
            if is_written {
                self.notifier.happened(&record.event, &self.state);
            }
            written?;
        }
        Ok(())
    }

    /// Let the branches of these agree with where they stand.
    pub(super) fn show_branches(&self, tasks: &[TaskId]) {
        for task in tasks.iter().filter_map(|id| self.state.task(*id)) {
            // A result that runs again keeps its branch until the next one replaces it.
            if !task.has_work_ahead()
                && let Err(error) = sweep::show_branch(&self.world, task)
            {
                log(&format!("cannot make the branch of task {} agree: {}", task.id, error.words()));
            }
        }
    }
}

fn is_discard(event: &Event) -> bool {
    matches!(event, Event::Discarded { .. })
}
