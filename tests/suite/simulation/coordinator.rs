//! The coordinator as the design has it: observe, decide, act, record; each action a row of effects.
//!
//! What each step here looks at before it acts is what the real one has to look at: the faults of
//! [`Fault`] leave one of these looks out.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pleach::core::action::{Action, Subject};
use pleach::core::change::{Change, Collected, Flag, Size};
use pleach::core::decide::decide;
use pleach::core::delegate;
use pleach::core::event::{Event, Facts, Record};
use pleach::core::footing::Footing;
use pleach::core::id::{AttemptId, BranchName, CommitId, TaskId};
use pleach::core::inventory::{Inventory, Shim as Seen};
use pleach::core::outcome::Outcome;
use pleach::core::speculation::is_to_blame;
use pleach::core::state::{State, Task, TaskState};
use pleach::core::verify::attempt_of;

use super::verifying::Wanted;
use super::world::{Check, Fault, Phase, Shim, World, ensure};

/// What dies with the process.
pub(crate) struct Coordinator {
    pub(crate) state: State,
    pub(crate) told: BTreeMap<AttemptId, bool>,
    pub(crate) doing: Vec<Doing>,
    /// Nothing was to be done at its last look, and nothing has happened since.
    pub(crate) sleep: Option<Sleep>,
}

#[derive(Clone, Copy)]
pub(crate) struct Sleep {
    pub(crate) until: Option<Timestamp>,
}

/// An action that is under way.
pub(crate) struct Doing {
    pub(crate) action: Action,
    pub(crate) step: usize,
    /// What an earlier step of it saw.
    pub(crate) seen: Option<CommitId>,
    /// For a candidate: all that was known when it was begun.
    pub(crate) wanted: Option<Box<Wanted>>,
    /// What it will say.
    pub(crate) events: Vec<Event>,
    /// What it relies on.
    pub(crate) footing: Footing,
}

pub(crate) enum Next {
    Step,
    Done(Vec<Event>),
}

impl Next {
    pub(crate) fn event(event: Event) -> Check<Self> {
        Ok(Self::Done(vec![event]))
    }
}

pub(crate) fn pin(attempt: AttemptId) -> String {
    format!("refs/pleach/pin/{attempt}")
}

pub(crate) fn kept(attempt: AttemptId) -> String {
    format!("refs/pleach/kept/{attempt}/tip")
}

pub(crate) fn branch(task: TaskId) -> BranchName {
    BranchName(format!("pleach/{task}"))
}

impl World {
    pub(crate) fn coordinator_starts(&mut self) -> Check {
        let believed = self.ledger.believed;
        ensure!(self.journal.records.len() >= believed, "the journal has forgotten what was believed");
        let mut state = State::default();
        for record in &self.journal.records {
            state.apply(record).map_err(|e| format!("the journal does not replay: {e}"))?;
            if self.ledger.last.as_ref().is_some_and(|last| last.events() == state.events() && *last != state) {
                return Err("the replay of the journal is not the state that was believed".to_owned());
            }
        }
        if self.fault != Fault::BelieveWhatIsRead {
            self.journal.durable = self.journal.records.len();
        }
        self.say(|| "a coordinator starts".to_owned());
        self.coordinator = Some(Coordinator { state, told: BTreeMap::new(), doing: Vec::new(), sleep: None });
        self.drop_candidate_pins();
        self.note_new_records()?;
        // Somebody may have died between the end of a parent and what follows from it.
        self.follow()
    }

    pub(crate) fn coordinator_dies(&mut self) {
        if let Some(coordinator) = self.coordinator.take() {
            self.say(|| "kill -9 of the coordinator".to_owned());
            self.ledger.last = Some(coordinator.state);
        }
    }

    /// Write it down, then believe it. The coordinator may die at any point of that.
    pub(crate) fn record(&mut self, event: Event) -> Check {
        self.record_one(event)?;
        self.follow()
    }

    /// What becomes of children because of their parents.
    fn follow(&mut self) -> Check {
        while let Some(coordinator) = &self.coordinator {
            let events = delegate::follow(&coordinator.state);
            if events.is_empty() {
                return self.check_children();
            }
            for event in events {
                if self.coordinator.is_some() {
                    self.record_one(event)?;
                }
            }
        }
        Ok(())
    }

    fn record_one(&mut self, event: Event) -> Check {
        let record = Record { at: self.now, event };
        self.say(|| format!("event {:?}", record.event));
        self.journal.records.push(record.clone());
        let rate = self.shape.coordinator_dies;
        if self.fault == Fault::BelieveFirst {
            self.journal.durable = self.journal.records.len() - 1;
        } else {
            if self.befalls(rate) {
                self.coordinator_dies();
                return Ok(());
            }
            self.journal.durable = self.journal.records.len();
        }
        if self.befalls(rate) {
            self.coordinator_dies();
            return Ok(());
        }
        let coordinator = self.coordinator.as_mut().expect("only a coordinator records");
        coordinator.state.apply(&record).map_err(|e| e.to_string())?;
        coordinator.sleep = None;
        self.note_new_records()
    }

    fn observe(&self) -> Inventory {
        let coordinator = self.coordinator.as_ref().expect("a coordinator observes");
        let running = coordinator.state.tasks().filter(|task| matches!(task.state, TaskState::Running { .. }));
        let shims = running.filter_map(Task::last_attempt).map(|attempt| (attempt, self.seen(attempt)));
        let runs = coordinator.state.lines().runs().map(|run| (attempt_of(run.number), self.runs.seen(run.number)));
        Inventory {
            shims: shims.chain(runs).collect(),
            busy: coordinator.doing.iter().map(|doing| doing.action.subject()).collect(),
            told: coordinator.told.clone(),
            free_disk: Some(self.free_disk()),
            free_memory: None,
        }
    }

    /// It runs short for a while now and then.
    pub(crate) fn free_disk(&self) -> u64 {
        let is_short = (self.now.as_second() / 60) % 8 == 0;
        if is_short { 999 } else { 1000 }
    }

    /// Somebody has edits in the checkout of the target, for a while now and then.
    pub(crate) fn is_held(&self) -> bool {
        self.shape.held > 0 && (self.now.as_second() / 90) % self.shape.held == 0
    }

    fn seen(&self, attempt: AttemptId) -> Seen {
        let Some(place) = self.places.get(&attempt) else { return Seen::Absent };
        let has_lock = |shim: &Shim| shim.attempt == attempt && !matches!(shim.phase, Phase::Spawned);
        match () {
            () if place.exit.is_some() => Seen::Exited,
            () if self.shims.iter().any(has_lock) => Seen::Alive,
            () if place.claimed => Seen::Dead,
            () => Seen::Absent,
        }
    }

    /// Something happened that a coordinator is told of.
    pub(crate) fn wake(&mut self) {
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.sleep = None;
        }
    }

    /// Observe, decide, and begin what was decided; unless it sleeps.
    pub(crate) fn turn(&mut self) -> Check {
        let Some(coordinator) = &self.coordinator else { return self.coordinator_starts() };
        match coordinator.sleep {
            Some(Sleep { until }) if until.is_none_or(|until| self.now < until) => Ok(()),
            _ => self.look().map(drop),
        }
    }

    /// The same without sleep. Is there something to do?
    fn look(&mut self) -> Check<bool> {
        let mut seen = self.observe();
        let decision = decide(self.state(), &seen, &self.shape.limits, self.now);
        self.check_decision(&decision, &mut seen)?;
        ensure!(decision.wake_at.is_none_or(|at| at > self.now), "asked to wake in the past");
        let does_something = !decision.actions.is_empty();
        // Some are done by being written down: what is decided of lines is right of what they were before.
        let is_of_a_task = |action: &Action| matches!(action.subject(), Subject::Attempt(_) | Subject::Task(_));
        decision
            .actions
            .iter()
            .filter(|action| !is_of_a_task(action))
            .try_for_each(|action| self.check_begin(action))?;
        for action in decision.actions {
            if is_of_a_task(&action) {
                self.check_begin(&action)?;
            }
            self.say(|| format!("begin {action:?}"));
            if let Some(events) = self.verified_at_once(&action) {
                self.record_all(events)?;
            } else if let Some(wanted) = self.wanted(&action)? {
                let seen = match &action {
                    Action::Advance { target, .. } => self.state().lines().line(target).and_then(|line| line.head),
                    _ => None,
                };
                let footing = Footing::of(self.state(), &action);
                let doing = Doing { action, step: 0, seen, wanted, events: Vec::new(), footing };
                self.coordinator.as_mut().expect("it has just decided").doing.push(doing);
            }
            if self.coordinator.is_none() {
                return Ok(true);
            }
        }
        let coordinator = self.coordinator.as_mut().expect("it has just decided");
        coordinator.sleep = (!does_something).then_some(Sleep { until: decision.wake_at });
        Ok(does_something)
    }

    /// Nothing is under way: does it sleep, and rightly? `false` where it is awake.
    pub(crate) fn sleeps_rightly(&mut self) -> Check<bool> {
        let Some(Sleep { until }) = self.coordinator.as_ref().and_then(|c| c.sleep) else { return Ok(false) };
        ensure!(until.is_some() || !self.look()?, "it sleeps for ever, and there is something to do");
        Ok(until.is_none_or(|until| self.now < until))
    }

    /// One effect of an action that is under way.
    pub(crate) fn advance(&mut self) -> Check {
        let count = self.coordinator.as_ref().map_or(0, |c| c.doing.len());
        if count == 0 {
            return self.turn();
        }
        let i = self.rng.below(count);
        let doing = &self.coordinator.as_ref().expect("it has actions").doing[i];
        // To make a candidate takes a while.
        if doing.wanted.is_some() && !self.rng.one_in(3) {
            return Ok(());
        }
        let mut doing = self.coordinator.as_mut().expect("it has actions").doing.swap_remove(i);
        match self.perform(&mut doing)? {
            Next::Step => {
                doing.step += 1;
                self.coordinator.as_mut().expect("no effect kills it").doing.push(doing);
                Ok(())
            }
            Next::Done(events) => {
                self.wake();
                let events = doing.footing.still_true(self.state(), events);
                self.record_all(events)
            }
        }
    }

    /// One by one; a death may come between any two of them.
    fn record_all(&mut self, events: Vec<Event>) -> Check {
        let rate = if events.len() > 1 { (self.shape.coordinator_dies / 10).max(5) } else { 0 };
        for event in events {
            if self.coordinator.is_some() && !self.came_too_late(&event) {
                self.record(event)?;
            }
            if self.befalls(rate) {
                self.coordinator_dies();
            }
        }
        Ok(())
    }

    /// Somebody's wish was recorded while the action was under way. Of no other event can this be said, but of
    /// what was found out about a result that is not in its line, or not rejected, any more.
    fn came_too_late(&self, event: &Event) -> bool {
        let task = event.task().and_then(|id| self.state().task(id));
        match event {
            Event::Started { .. } | Event::NotStarted { .. } => {
                task.is_none_or(|task| task.state != TaskState::Pending)
            }
            Event::FoldRequested { .. } => task.is_none_or(|task| !matches!(task.state, TaskState::Refused { .. })),
            Event::LandingRefused { .. } => {
                !task.is_some_and(|task| matches!(task.state, TaskState::Queued { .. } | TaskState::Landing { .. }))
            }
            Event::Blamed { .. } => !task.is_some_and(is_to_blame),
            Event::VerifiedEarly { early, .. } => {
                !task.is_some_and(|task| task.tip() == Some(early.tip) && matches!(task.state, TaskState::Ready { .. }))
            }
            _ => false,
        }
    }

    fn perform(&mut self, doing: &mut Doing) -> Check<Next> {
        let step = doing.step;
        self.say(|| format!("  {:?} step {step}", doing.action));
        match doing.action.clone() {
            Action::Start(attempt) => self.start(attempt),
            Action::Launch(attempt) => self.launch(attempt, doing),
            Action::Abandon(attempt) => self.abandon(attempt, step),
            Action::Stop { attempt, now } => self.stop(attempt, now),
            Action::Salvage(attempt) => self.salvage(attempt, step),
            Action::Collect(attempt) => self.collect(attempt, step),
            Action::Remove(attempt) => self.remove(attempt, step),
            Action::Requeue(task) => {
                let request = self.state().task(task).and_then(Task::auto_fold);
                Next::event(Event::FoldRequested { task, request: request.ok_or("requeued without a policy")? })
            }
            Action::Plan(task, target) => self.plan(task, &target, doing),
            Action::Land(task, target) => self.land(task, &target, step),
            Action::Candidate { .. } | Action::Baseline { .. } => self.candidate(doing),
            Action::Blame { .. } | Action::Early { .. } => self.alone(doing),
            Action::Advance { target, steps } => self.advance_target(&target, &steps, doing),
            Action::Verify(number) => self.verify(number, doing),
            Action::Judge(number) => self.judge(number, doing),
            Action::Evict(_) | Action::GiveUp { .. } | Action::CallOff(_) => {
                Err(format!("{:?} is done at once", doing.action))
            }
        }
    }

    fn start(&mut self, attempt: AttemptId) -> Check<Next> {
        let Some(task) = self.state().task(attempt.task).cloned() else { return Ok(Next::Done(Vec::new())) };
        let onto = task.hand_back.as_ref().map(|hand_back| &hand_back.target);
        let mut base = match onto {
            Some(target) => self.repo.tip(&target.full()).ok_or("nobody deletes a target")?,
            None => task.spec.base,
        };
        for need in &task.spec.needs {
            let need = self.state().task(*need).filter(|need| !onto.is_some_and(|target| need.is_folded_into(target)));
            let Some((need, tip)) = need.and_then(|need| Some((need.id, need.tip()?))) else { continue };
            match self.repo.merge(base, tip) {
                Ok(_) if self.repo.holds(base, tip) => {}
                Ok(_) if self.repo.holds(tip, base) => base = tip,
                Ok(content) => base = self.repo.commit(&[base, tip], content),
                Err(_) => return Next::event(Event::NotStarted { attempt, reason: format!("conflict with {need}") }),
            }
        }
        Next::event(Event::Started { attempt, base })
    }

    fn launch(&mut self, attempt: AttemptId, doing: &mut Doing) -> Check<Next> {
        let Some(base) = self.base(attempt) else { return Err(format!("launch of {attempt} without a base")) };
        if doing.step < 4 && self.befalls(self.shape.launch_fails) {
            doing.step = 5;
            return Ok(Next::Step);
        }
        let fault = self.fault;
        let place = self.places.entry(attempt).or_default();
        match doing.step {
            0 if fault != Fault::ForgetPin => drop(self.repo.refs.insert(pin(attempt), base)),
            1 => (place.registered, place.files) = (true, true),
            2 if !place.checked_out || fault == Fault::CheckOutAgain => {
                (place.checked_out, place.head, place.uncommitted) = (true, Some(base), 0);
            }
            3 => place.spec = true,
            4 => self.shims.push(Shim { attempt, phase: Phase::Spawned }),
            // It says when it has its lock.
            5 if self.shims.iter().any(|s| s.attempt == attempt && matches!(s.phase, Phase::Spawned)) => {
                doing.step = 4;
            }
            5 => return Ok(Next::Done(Vec::new())),
            6 => {
                let reason = "no space left".to_owned();
                let result = Collected::Nothing;
                if !self.claim(attempt, Fault::FailUnclaimed) {
                    return Ok(Next::Done(Vec::new()));
                }
                let outcome = Outcome::CouldNotStart { reason };
                return Next::event(Event::Ended { attempt, outcome, result, facts: Facts::default() });
            }
            _ => {}
        }
        Ok(Next::Step)
    }

    /// Make sure that no shim runs for it any more. `false` where one did.
    fn claim(&mut self, attempt: AttemptId, unless: Fault) -> bool {
        let is_blind = self.fault == unless;
        let place = self.places.entry(attempt).or_default();
        let was_free = !place.claimed;
        place.claimed |= !is_blind;
        was_free || is_blind
    }

    fn abandon(&mut self, attempt: AttemptId, step: usize) -> Check<Next> {
        if step == 0 {
            let is_ours = self.claim(attempt, Fault::AbandonUnclaimed);
            return Ok(if is_ours { Next::Step } else { Next::Done(Vec::new()) });
        }
        let (outcome, result) = (Outcome::Cancelled, Collected::Nothing);
        Next::event(Event::Ended { attempt, outcome, result, facts: Facts::default() })
    }

    fn stop(&mut self, attempt: AttemptId, now: bool) -> Check<Next> {
        let place = self.places.entry(attempt).or_default();
        place.told = Some(now || place.told == Some(true));
        self.coordinator.as_mut().expect("it acts").told.insert(attempt, now);
        Ok(Next::Done(Vec::new()))
    }

    fn salvage(&mut self, attempt: AttemptId, step: usize) -> Check<Next> {
        match step {
            0 if self.fault != Fault::SalvageAlive => self.places.entry(attempt).or_default().is_running = false,
            1 => self.commit_left_overs(attempt),
            2 => {
                let place = self.places.entry(attempt).or_default();
                let outcome = Outcome::Lost { cause: "its shim died".to_owned() };
                place.exit.get_or_insert((outcome, place.head));
                return Ok(Next::Done(Vec::new()));
            }
            _ => {}
        }
        Ok(Next::Step)
    }

    fn collect(&mut self, attempt: AttemptId, step: usize) -> Check<Next> {
        let base = self.base(attempt).ok_or("collected without a base")?;
        let place = self.places.entry(attempt).or_default();
        let (outcome, tip) = place.exit.clone().ok_or("collected without an exit record")?;
        let change = tip.filter(|tip| *tip != base && !place.is_refused);
        match (step, change) {
            (0, _) => place.imported = true,
            (1, Some(tip)) if self.fault != Fault::KeepNothing => drop(self.repo.refs.insert(kept(attempt), tip)),
            (2, Some(tip)) if outcome.is_success() => {
                let name = branch(attempt.task).full();
                let is_ours = |old| {
                    (1..attempt.number).any(|number| self.repo.tip(&kept(AttemptId { number, ..attempt })) == Some(old))
                };
                if self.repo.tip(&name).is_none_or(is_ours) {
                    self.repo.refs.insert(name, tip);
                }
            }
            (3, _) => {
                let result = match change {
                    _ if place.is_refused => Collected::Refused { reason: "a corrupt object".to_owned() },
                    Some(tip) => self.change(attempt, tip),
                    None => Collected::Nothing,
                };
                return Next::event(Event::Ended { attempt, outcome, result, facts: Facts::default() });
            }
            _ => {}
        }
        Ok(Next::Step)
    }

    pub(crate) fn change(&self, attempt: AttemptId, tip: CommitId) -> Collected {
        let path = "vendor".into();
        let flags = if self.places[&attempt].leaves_out { vec![Flag::LeftOut { path }] } else { Vec::new() };
        let branch = Some(branch(attempt.task));
        Collected::Change(Box::new(Change { tip, branch, size: Size::default(), flags, extras: Vec::new() }))
    }

    fn remove(&mut self, attempt: AttemptId, step: usize) -> Check<Next> {
        if step == 0 {
            self.check_removal(attempt)?;
        }
        let place = self.places.entry(attempt).or_default();
        match step {
            _ if self.fault == Fault::RemovedFirst && step == 1 => return Next::event(Event::Removed { attempt }),
            0 => (place.files, place.checked_out, place.spec) = (false, false, false),
            1 => place.registered = false,
            2 => drop(self.repo.refs.remove(&pin(attempt))),
            _ => return Next::event(Event::Removed { attempt }),
        }
        Ok(Next::Step)
    }

    pub(crate) fn base(&self, attempt: AttemptId) -> Option<CommitId> {
        self.state().task(attempt.task)?.attempt(attempt.number)?.base
    }
}
