//! Everything that outlives a coordinator, in maps: the journal, refs, worktrees, shims and their tasks.
//!
//! One call of [`World::step`] is one effect of somebody. Between any two of them anybody may die, and somebody
//! else may move the target.

use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan};
use pleach::core::event::{Event, Record};
use pleach::core::id::{AttemptId, CommitId};
use pleach::core::outcome::Outcome;
use pleach::core::state::{State, Task, Waiting};

use super::coordinator::Coordinator;
use super::ledger::Ledger;
use super::repo::{Content, Repo};
use super::rng::Rng;
use super::runs::Runs;
pub(crate) use super::shape::{Fault, Shape};

/// What went wrong, for people.
pub(crate) type Check<T = ()> = Result<T, String>;

macro_rules! ensure {
    ($holds:expr, $($why:tt)+) => { if !$holds { return Err(format!($($why)+)); } };
}
pub(crate) use ensure;

#[derive(Default)]
pub(crate) struct Journal {
    pub(crate) records: Vec<Record>,
    /// How many of them a power cut cannot take away.
    pub(crate) durable: usize,
}

/// What is on disk of an attempt.
#[derive(Default)]
pub(crate) struct Place {
    pub(crate) registered: bool,
    pub(crate) files: bool,
    pub(crate) checked_out: bool,
    pub(crate) spec: bool,
    /// A shim ran for it, or will never: the first that takes the lock leaves this mark.
    pub(crate) claimed: bool,
    /// The exit record, and what was then the tip.
    pub(crate) exit: Option<(Outcome, Option<CommitId>)>,
    pub(crate) imported: bool,
    pub(crate) head: Option<CommitId>,
    pub(crate) uncommitted: Content,
    /// All that the task ever wrote: what must not be lost.
    pub(crate) wrote: Content,
    pub(crate) runs: u32,
    /// Is its process alive?
    pub(crate) is_running: bool,
    pub(crate) told: Option<bool>,
    /// Its result will be refused by the import; it has a repository inside that is left out.
    pub(crate) is_refused: bool,
    pub(crate) leaves_out: bool,
}

pub(crate) struct Shim {
    pub(crate) attempt: AttemptId,
    pub(crate) phase: Phase,
}

#[derive(Clone)]
pub(crate) enum Phase {
    /// It has no lock yet, and nobody can see it.
    Spawned,
    Locked,
    Running {
        left: usize,
        ending: Ending,
    },
    Ended(Outcome),
    LeftOversCommitted(Outcome),
}

#[derive(Clone)]
pub(crate) enum Ending {
    By(Outcome),
    /// Only when it is told.
    Hangs,
    /// Only when it is told the hard way.
    Stubborn,
}

pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) now: Timestamp,
    pub(crate) fault: Fault,
    pub(crate) shape: Shape,
    pub(crate) repo: Repo,
    pub(crate) journal: Journal,
    pub(crate) places: BTreeMap<AttemptId, Place>,
    pub(crate) shims: Vec<Shim>,
    pub(crate) runs: Runs,
    pub(crate) coordinator: Option<Coordinator>,
    pub(crate) ledger: Ledger,
    /// Nothing bad happens any more, and nobody asks for anything.
    pub(crate) is_calm: bool,
    /// Nobody asks for anything any more.
    pub(crate) is_quiet: bool,
    pub(crate) trace: Option<Vec<String>>,
}

impl World {
    pub(crate) fn new(seed: u64, fault: Fault, trace: bool) -> Self {
        let mut rng = Rng::new(seed);
        let shape = Shape::of(&mut rng);
        let mut repo = Repo::new(rng.next(), *rng.pick(&[6, 20, 1000]));
        repo.breaks = *rng.pick(&[0, 4, 10, 30]);
        repo.clashes = *rng.pick(&[0, 8, 40]);
        if shape.is_queue {
            repo.conflicts = *rng.pick(&[12, 60, 1000]);
        }
        let first = repo.commit(&[], 0);
        for target in super::people::TARGETS {
            repo.refs.insert(format!("refs/heads/{target}"), first);
        }
        Self {
            rng,
            now: Timestamp::from_second(1_700_000_000).unwrap(),
            fault,
            shape,
            repo,
            journal: Journal::default(),
            places: BTreeMap::new(),
            shims: Vec::new(),
            runs: Runs::default(),
            coordinator: None,
            ledger: Ledger::default(),
            is_calm: false,
            is_quiet: false,
            trace: trace.then(Vec::new),
        }
    }

    pub(crate) fn say(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(what());
        }
    }

    /// Does something that happens at this rate happen now? Never when it is calm.
    pub(crate) fn befalls(&mut self, rate: usize) -> bool {
        !self.is_calm && self.rng.one_in(rate)
    }

    /// One effect of somebody, or a death.
    pub(crate) fn step(&mut self) -> Check {
        let pause = if self.rng.one_in(40) { 300 } else { self.rng.below(12) as i64 };
        self.now += pause.seconds();
        if self.befalls(self.shape.power_fails) {
            self.power_fails();
        }
        if self.befalls(self.shape.coordinator_dies) {
            self.coordinator_dies();
        }
        if self.befalls(self.shape.shim_dies) && !self.shims.is_empty() {
            let unlucky = self.rng.below(self.shims.len());
            let shim = self.shims.swap_remove(unlucky);
            self.say(|| format!("kill -9 of the shim of {}", shim.attempt));
            self.wake();
        }
        self.maybe_kill_a_run();
        match self.rng.below(10) {
            0 => self.somebody_else(),
            1 | 2 if !self.is_calm && !self.is_quiet => self.somebody_asks(),
            3 if !self.runs.shims.is_empty() => self.run_step(),
            3 | 4 => self.shim_step(),
            5 | 6 => self.turn(),
            _ => self.advance(),
        }
    }

    /// No deaths, no requests: does all of it come to an end?
    pub(crate) fn come_to_rest(&mut self) -> Check {
        const ENOUGH: usize = 20_000;
        self.is_calm = true;
        if self.coordinator.is_none() {
            self.coordinator_starts()?;
        }
        if self.state().is_paused() {
            self.record(Event::Resumed)?;
        }
        let on_hold: Vec<_> = self.state().tasks().filter(|task| task.on_hold).map(|task| task.id).collect();
        for task in on_hold {
            self.record(Event::QueueReleased { task })?;
        }
        for _ in 0..ENOUGH {
            self.step()?;
            if self.is_idle() && self.sleeps_rightly()? {
                self.check_lent()?;
                if !self.waits_or_cancels()? {
                    return self.check_the_end();
                }
            }
        }
        Err(format!("no rest after {ENOUGH} steps: {:#?}", self.state().tasks().map(|t| &t.state).collect::<Vec<_>>()))
    }

    /// Nothing is under way but tasks that never end by themselves.
    fn is_idle(&self) -> bool {
        let endless = |shim: &Shim| match &shim.phase {
            Phase::Running { left: 0, ending: Ending::Hangs } => self.places[&shim.attempt].told.is_none(),
            Phase::Running { left: 0, ending: Ending::Stubborn } => self.places[&shim.attempt].told != Some(true),
            _ => false,
        };
        self.coordinator.as_ref().is_some_and(|c| c.doing.is_empty())
            && self.shims.iter().all(endless)
            && self.runs.shims.is_empty()
    }

    /// Sleep until something is due, or else have enough of tasks that hang.
    fn waits_or_cancels(&mut self) -> Check<bool> {
        if let Some(at) = self.coordinator.as_ref().and_then(|c| c.sleep?.until) {
            self.now = self.now.max(at);
            return Ok(true);
        }
        let limit = self.state().limited("claude").filter(|limited| limited.until.is_none()).cloned();
        let waits = |task: &Task| matches!(self.state().waiting(task), Some(Waiting::Agent(_)));
        if limit.is_some() && self.state().tasks().any(waits) {
            self.record(Event::AgentResumed { agent: "claude".to_owned() })?;
            return Ok(true);
        }
        let hanging: Vec<_> = self.shims.iter().map(|shim| shim.attempt).collect();
        for attempt in &hanging {
            // Told the hard way before, it would have ended: the coordinator has forgotten it.
            let cancelled = self.ledger.book(attempt.task).cancelled == Some(true);
            ensure!(!cancelled, "{attempt} was cancelled, and its shim is never told");
            self.record(Event::CancelRequested { task: attempt.task, now: true })?;
        }
        Ok(!hanging.is_empty())
    }

    pub(crate) fn state(&self) -> &State {
        &self.coordinator.as_ref().expect("a coordinator runs").state
    }

    fn power_fails(&mut self) {
        self.say(|| "the power fails".to_owned());
        self.coordinator_dies();
        self.shims.clear();
        self.places.values_mut().for_each(|place| place.is_running = false);
        self.runs.lose_power();
        let undecided = self.journal.records.len() - self.journal.durable;
        let survive = self.journal.durable + self.rng.below(undecided + 1);
        self.journal.records.truncate(survive);
    }

    /// One effect of a shim, or of a task that has lost its shim.
    fn shim_step(&mut self) -> Check {
        if self.shims.is_empty() || self.rng.one_in(6) {
            self.orphan_step();
        }
        if self.shims.is_empty() {
            return Ok(());
        }
        let i = self.rng.below(self.shims.len());
        let (attempt, phase) = (self.shims[i].attempt, self.shims[i].phase.clone());
        match self.shim_after(attempt, phase)? {
            Some(phase) => self.shims[i].phase = phase,
            None => drop(self.shims.swap_remove(i)),
        }
        Ok(())
    }

    fn shim_after(&mut self, attempt: AttemptId, phase: Phase) -> Check<Option<Phase>> {
        let fault = self.fault;
        let place = self.places.entry(attempt).or_default();
        Ok(match phase {
            Phase::Spawned => {
                let may_run = place.files && place.spec && (!place.claimed || fault == Fault::RunTwice);
                place.claimed |= may_run;
                self.say(|| format!("shim of {attempt} {}", if may_run { "locks" } else { "leaves" }));
                self.wake();
                may_run.then_some(Phase::Locked)
            }
            Phase::Locked => {
                self.check_spawn(attempt)?;
                let left = if self.shape.is_queue { 1 } else { self.rng.below(4) };
                Some(Phase::Running { left, ending: self.any_ending() })
            }
            Phase::Running { left, ending } => Some(self.task_step(attempt, left, ending)),
            Phase::Ended(outcome) => {
                if fault == Fault::ExitFirst {
                    place.exit = Some((outcome.clone(), place.head));
                }
                self.commit_left_overs(attempt);
                Some(Phase::LeftOversCommitted(outcome))
            }
            Phase::LeftOversCommitted(outcome) => {
                place.exit.get_or_insert((outcome, place.head));
                self.say(|| format!("shim of {attempt} writes its exit record"));
                self.wake();
                None
            }
        })
    }

    fn any_ending(&mut self) -> Ending {
        match self.rng.below(if self.shape.is_queue { 14 } else { 20 }) {
            0..=12 => Ending::By(Outcome::exited(0)),
            13 => Ending::By(Outcome::exited(1)),
            14 => Ending::By(Outcome::Signalled { signal: 11 }),
            15 => Ending::By(Outcome::TimedOut),
            16 => Ending::By(Outcome::OutOfMemory { limit: None, at_start: false }),
            17 => Ending::Hangs,
            18 => Ending::Stubborn,
            _ => Ending::By(Outcome::exited(3)),
        }
    }

    fn task_step(&mut self, attempt: AttemptId, left: usize, ending: Ending) -> Phase {
        let told = self.places[&attempt].told;
        let obeys = match (&ending, told) {
            (_, None) => false,
            (_, Some(true)) | (Ending::Hangs, _) => true,
            (Ending::Stubborn, Some(false)) => false,
            (Ending::By(_), Some(false)) => self.rng.one_in(2),
        };
        if obeys {
            self.task_ends(attempt, &Outcome::Cancelled);
            return Phase::Ended(Outcome::Cancelled);
        }
        match (left, ending) {
            (0, Ending::By(outcome)) => {
                let outcome = self.or_a_limit(attempt, outcome);
                self.task_ends(attempt, &outcome);
                Phase::Ended(outcome)
            }
            (0, ending) => Phase::Running { left, ending },
            (left, ending) => {
                self.task_writes(attempt);
                Phase::Running { left: left - 1, ending }
            }
        }
    }

    /// Where an agent does it, some of what goes wrong is a limit of its provider. No dice, as above.
    fn or_a_limit(&self, attempt: AttemptId, outcome: Outcome) -> Outcome {
        let has_agent = self.has_agent(attempt);
        if outcome.is_success() || !has_agent {
            return outcome;
        }
        let until = attempt.task.0.is_multiple_of(2).then(|| self.now + 5.minutes());
        Outcome::LimitReached { agent: "claude".to_owned(), why: "no more".to_owned(), until }
    }

    /// Does an agent do it?
    fn has_agent(&self, attempt: AttemptId) -> bool {
        attempt.task.0.is_multiple_of(3)
    }

    fn task_ends(&mut self, attempt: AttemptId, outcome: &Outcome) {
        self.say(|| format!("task of {attempt} ends: {outcome}"));
        self.places.entry(attempt).or_default().is_running = false;
    }

    fn task_writes(&mut self, attempt: AttemptId) {
        let change = self.repo.new_change();
        let commits = self.rng.one_in(2);
        let place = self.places.entry(attempt).or_default();
        place.wrote |= change;
        place.uncommitted |= change;
        if commits {
            self.commit_left_overs(attempt);
        }
    }

    pub(crate) fn commit_left_overs(&mut self, attempt: AttemptId) {
        let place = self.places.entry(attempt).or_default();
        if let Some(head) = place.head.filter(|_| place.uncommitted != 0) {
            let content = self.repo.content(head) | place.uncommitted;
            place.head = Some(self.repo.commit(&[head], content));
            place.uncommitted = 0;
        }
    }

    /// A task whose shim was killed goes on as if nothing had happened.
    fn orphan_step(&mut self) {
        let has_shim =
            |id: &AttemptId| self.shims.iter().any(|s| s.attempt == *id && !matches!(s.phase, Phase::Spawned));
        let orphan = self.places.iter().find(|(id, place)| place.is_running && !has_shim(id));
        if let Some(attempt) = orphan.map(|(id, _)| *id) {
            if self.rng.one_in(3) {
                self.task_ends(attempt, &Outcome::exited(0));
            } else {
                self.task_writes(attempt);
            }
        }
    }
}
