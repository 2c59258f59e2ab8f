//! Actions on their way: each gets a thread of its own with copies of all it needs, and comes back as a message.

use std::time::Duration;

use super::{Acted, Coordinator, LONGEST_BACKOFF, Message};
use crate::coordinator::collect::words;
use crate::coordinator::{World, collect, images, landing, launch, log, needs, remove, start, verify};
use crate::core::action::{Action, Subject};
use crate::core::change::Collected;
use crate::core::event::{Event, Facts};
use crate::core::footing::Footing;
use crate::core::id::{AttemptId, BranchName, CommitId, TaskId};
use crate::core::outcome::Outcome;
use crate::core::state::{Task, TaskState};
use crate::core::verify::{Check, Purpose, Run, Step, attempt_of};
use crate::process::socket;
use crate::shim::watch::{KILL, STOP};
use crate::store::StoreError;

impl Coordinator {
    pub(super) fn acted(&mut self, action: Action, result: Result<Acted, String>) -> Result<(), StoreError> {
        let subject = action.subject();
        match result {
            Ok(Acted { events, shim }) => {
                self.seen.busy.remove(&subject);
                self.backoff.remove(&subject);
                if events.is_empty() && action.must_tell() {
                    // Asked again at once, it would come to nothing again.
                    self.seen.busy.insert(subject.clone());
                    self.rest(subject, &action, "it came to nothing");
                    return Ok(());
                }
                let footing = self.footings.remove(&subject).unwrap_or_default();
                let events = footing.still_true(&self.state, events);
                self.record(events)?;
                if let Some(child) = shim {
                    match action {
                        Action::Launch(attempt) => drop(self.shims.insert(attempt, child)),
                        Action::Verify(run) => drop(self.shims.insert(attempt_of(run), child)),
                        _ => {}
                    }
                }
                if matches!(action, Action::Launch(_)) {
                    images::improve(&self.world, self.limits.disk_floor);
                }
                match action {
                    Action::Verify(run) => self.observe(attempt_of(run)),
                    Action::Judge(run) => self.forget(attempt_of(run)),
                    Action::Launch(attempt) | Action::Salvage(attempt) | Action::Abandon(attempt) => {
                        self.observe(attempt);
                    }
                    Action::Collect(attempt) => self.forget(attempt),
                    Action::Remove(_) => self.empty_trash(),
                    _ => {}
                }
            }
            Err(why) => self.rest(subject, &action, &why),
        }
        Ok(())
    }

    /// What was only of use while the attempt ran.
    fn forget(&mut self, attempt: AttemptId) {
        self.seen.shims.remove(&attempt);
        self.seen.told.remove(&attempt);
    }

    /// It failed, nothing is lost, and it is tried again a little later.
    fn rest(&mut self, subject: Subject, action: &Action, why: &str) {
        let wait = self.backoff.get(&subject).map_or(Duration::from_millis(200), |last| *last * 2);
        let wait = wait.min(LONGEST_BACKOFF);
        log(&format!("{action:?} failed, next try in {wait:?}: {why}"));
        self.backoff.insert(subject.clone(), wait);
        let inbox = self.inbox.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(wait).await;
            let _ = inbox.send(Message::Rested(subject));
        });
    }

    /// Give the action a thread of its own, with copies of all it needs.
    pub(super) fn set_going(&mut self, action: Action) -> Result<(), StoreError> {
        let world = self.world.clone();
        let floor = self.limits.disk_floor;
        let task = |id: TaskId| self.state.task(id).cloned();
        type Work = Box<dyn FnOnce() -> Result<Acted, String> + Send>;
        let work: Option<Work> = match &action {
            Action::Start(attempt) => task(attempt.task).map(|task| {
                let plan = start::plan(&self.state, &task, *attempt);
                Box::new(move || start::start(&world, &plan).map(Acted::from).map_err(|e| e.words())) as Work
            }),
            Action::Launch(attempt) => task(attempt.task).and_then(|task| {
                let (attempt, base) = (*attempt, task.attempt(attempt.number)?.base?);
                let needs = needs::of(&self.state, &task);
                Some(Box::new(move || launched(&world, &task, attempt, base, &needs, floor)) as Work)
            }),
            Action::Abandon(attempt) => {
                let attempt = *attempt;
                Some(Box::new(move || ended_without_a_run(&world, attempt, Outcome::Cancelled)))
            }
            Action::Salvage(attempt) => task(attempt.task).and_then(|task| {
                let (attempt, base) = (*attempt, task.attempt(attempt.number)?.base?);
                let salvage = move || launch::salvage(&world, &task, attempt, base);
                Some(Box::new(move || salvage().map(|()| Acted::default())) as Work)
            }),
            Action::Collect(attempt) => task(attempt.task).map(|task| {
                let attempt = *attempt;
                let collect = move || collect::collect(&world, &task, attempt);
                Box::new(move || collect().map(Acted::from).map_err(|e| words(&e))) as Work
            }),
            Action::Remove(attempt) => task(attempt.task).map(|task| {
                let attempt = *attempt;
                let remove = move || remove::remove(&world, &task, attempt);
                Box::new(move || remove().map(Acted::from).map_err(|e| words(&e))) as Work
            }),
            Action::Plan(id, _) => task(*id).and_then(|task| landing::entry(&self.state, &task)).map(|entry| {
                Box::new(move || landing::plan(&world, &entry).map(Acted::from).map_err(|e| e.words())) as Work
            }),
            Action::Land(id, _) => task(*id).and_then(|task| {
                let planned = landing::together(&self.state, &task);
                let TaskState::Landing { landing, whole, .. } = task.state else { return None };
                let land = move || landing::land(&world, &planned, &whole.unwrap_or(landing));
                Some(Box::new(move || land().map(Acted::from).map_err(|e| e.words())) as Work)
            }),
            Action::Candidate { target, tasks, again } => {
                self.candidate(&action, target, tasks, *again, Purpose::Land).map(|wanted| {
                    let make = move || verify::candidate(&world, &wanted).map(Acted::from);
                    Box::new(make) as Work
                })
            }
            Action::Baseline { target, task, again } => {
                self.candidate(&action, target, &[*task], *again, Purpose::Baseline).map(|wanted| {
                    let make = move || verify::candidate(&world, &wanted).map(Acted::from);
                    Box::new(make) as Work
                })
            }
            Action::Blame { target, task } => {
                self.candidate(&action, target, &[*task], false, Purpose::Blame).map(|wanted| {
                    let blame = move || verify::alone(&world, &wanted).map(Acted::from);
                    Box::new(blame) as Work
                })
            }
            Action::Early { target, task } => {
                self.candidate(&action, target, &[*task], false, Purpose::Early).map(|wanted| {
                    let early = move || verify::alone(&world, &wanted).map(Acted::from);
                    Box::new(early) as Work
                })
            }
            Action::Advance { target, steps } => {
                let line = self.state.lines().line(target);
                let on = line.and_then(|line| Some((line.head?, line.stand_in)));
                let entry =
                    |step: &Step| Some((landing::entry(&self.state, self.state.task(step.task)?)?, step.commit));
                let entries: Option<Vec<_>> = steps.iter().map(entry).collect();
                on.zip(entries).map(|(on, entries)| {
                    let target = target.clone();
                    let advance = move || landing::advance(&world, &target, on, &entries);
                    Box::new(move || advance().map(Acted::from).map_err(|e| e.words())) as Work
                })
            }
            Action::Verify(number) => self.state.lines().run(*number).cloned().and_then(|run| {
                let check = self.check_of(&run)?;
                let verify = move || verify::verify(&world, &run, &check, floor);
                Some(Box::new(move || verify().map(|shim| Acted { events: Vec::new(), shim })) as Work)
            }),
            Action::Judge(number) => self.state.lines().run(*number).cloned().map(|run| {
                let judge = move || verify::judge(&world, &run);
                Box::new(move || judge().map(Acted::from)) as Work
            }),
            Action::CallOff(number) => {
                self.tell(attempt_of(*number), true);
                None
            }
            Action::Evict(id) => {
                let event = verify::rejected(&self.state, *id);
                self.record(event.into_iter().collect())?;
                None
            }
            Action::GiveUp { target, tasks } => {
                let events = verify::given_up(&self.state, target, tasks);
                self.record(events)?;
                None
            }
            Action::Stop { attempt, now } => {
                self.tell(*attempt, *now);
                None
            }
            Action::Requeue(id) => {
                // As it was asked, which may be more than what the task's own policy says.
                if let Some(TaskState::Refused { request, .. }) = self.state.task(*id).map(|task| &task.state) {
                    let event = Event::FoldRequested { task: *id, request: request.clone() };
                    self.record(vec![event])?;
                }
                None
            }
        };
        if let Some(work) = work {
            self.footings.insert(action.subject(), Footing::of(&self.state, &action));
            self.seen.busy.insert(action.subject());
            let inbox = self.inbox.clone();
            tokio::task::spawn_blocking(move || {
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
                let result = result.unwrap_or_else(|_| Err("it panicked; this is a bug".to_owned()));
                let _ = inbox.send(Message::Acted { action, result });
            });
        }
        Ok(())
    }

    /// All that is needed to make a candidate, with a number and a pooled worktree that no other run has.
    fn candidate(
        &mut self,
        action: &Action,
        target: &BranchName,
        tasks: &[TaskId],
        again: bool,
        purpose: Purpose,
    ) -> Option<verify::Wanted> {
        let lines = self.state.lines();
        let entries = tasks.iter().map(|id| landing::entry(&self.state, self.state.task(*id)?));
        let entries = entries.collect::<Option<Vec<_>>>()?;
        let check = entries.first()?.check()?.clone();
        let subject = action.subject();
        self.numbers.retain(|subject, _| self.seen.busy.contains(subject));
        let taken = self.pooled_in_use();
        let number = self.numbers.values().map(|(number, _)| number + 1).fold(lines.next_run(), u32::max);
        let slot = (1..).find(|slot| !taken.contains(slot))?;
        self.numbers.insert(subject, (number, slot));
        let known = if again { Default::default() } else { lines.verdicts().clone() };
        let line = lines.line(target);
        let (head, stand_in) = (line.and_then(|line| line.head), line.and_then(|line| line.stand_in));
        let target = target.clone();
        Some(verify::Wanted { target, entries, check, head, stand_in, verdicts: known, purpose, number, slot })
    }

    /// The check that a run is of: its own, or that of the results in it.
    fn check_of(&self, run: &Run) -> Option<Check> {
        let of_a_task = |id: TaskId| match &self.state.task(id)?.state {
            TaskState::Queued { request, .. }
            | TaskState::Landing { request, .. }
            | TaskState::Refused { request, .. } => request.check.as_deref().cloned(),
            TaskState::Ready { .. } => self.state.task(id)?.spec.check.as_deref().cloned(),
            _ => None,
        };
        run.check.as_deref().cloned().or_else(|| run.tasks().find_map(of_a_task))
    }

    fn tell(&mut self, attempt: AttemptId, now: bool) {
        let control = self.world.layout.attempt(attempt).control();
        match socket::send(&control, if now { KILL } else { STOP }) {
            Ok(()) => {
                self.seen.told.insert(attempt, now);
            }
            // It is ending just now, or is not listening yet: look again soon.
            Err(_) => {
                let inbox = self.inbox.clone();
                tokio::task::spawn_local(async move {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    let _ = inbox.send(Message::ShimGone(attempt));
                });
            }
        }
    }
}

/// Bring an attempt up. Where that fails, no shim that is still on its way may run it either, or nothing is recorded.
fn launched(
    world: &World,
    task: &Task,
    attempt: AttemptId,
    base: CommitId,
    needs: &[needs::Need],
    disk_floor: u64,
) -> Result<Acted, String> {
    match launch::launch(world, task, attempt, base, needs, disk_floor) {
        Ok(shim) => Ok(Acted { events: Vec::new(), shim }),
        Err(outcome) => ended_without_a_run(world, attempt, outcome),
    }
}

fn ended_without_a_run(world: &World, attempt: AttemptId, outcome: Outcome) -> Result<Acted, String> {
    let won = launch::claim(world, attempt).map_err(|error| error.to_string())?;
    let ended = Event::Ended { attempt, outcome, result: Collected::Nothing, facts: Facts::default() };
    Ok(Acted::from(if won { vec![ended] } else { Vec::new() }))
}
