//! Verifying as the coordinator does it: candidates, runs and their answers; `coordinator::verify`, with sets for trees.

use std::collections::BTreeMap;

use pleach::core::action::Action;
use pleach::core::change::{FoldRequest, Hold, Landing, Refusal, Rejection};
use pleach::core::event::Event;
use pleach::core::id::{AttemptId, BranchName, CommitId, TaskId};
use pleach::core::inventory::Shim as Seen;
use pleach::core::state::{Task, TaskState};
use pleach::core::verify::{Check as VerifyCheck, Early, Kept, Purpose, Run, Step, Verdict, attempt_of};

use super::coordinator::{Doing, Next};
use super::repo::Repo;
use super::runs::{Phase, RunShim, Spec};
use super::world::{Check, Fault, World};

/// All that was known when a candidate was begun.
pub(crate) struct Wanted {
    target: BranchName,
    entries: Vec<Task>,
    check: VerifyCheck,
    head: Option<CommitId>,
    verdicts: BTreeMap<String, Kept>,
    purpose: Purpose,
    number: u32,
    slot: u32,
}

pub(crate) const CANDIDATES: &str = "refs/pleach/candidate/";

pub(crate) fn candidate_pin(number: u32) -> String {
    format!("{CANDIDATES}{number}")
}

pub(crate) fn key(check: &str, commit: CommitId, repo: &Repo) -> String {
    format!("{} {check}", Repo::tree(repo.content(commit)))
}

/// The attempt and the request of one that stands in a line, or was rejected.
fn asked(task: &Task) -> Option<(AttemptId, FoldRequest)> {
    match &task.state {
        TaskState::Queued { attempt, request, .. }
        | TaskState::Landing { attempt, request, .. }
        | TaskState::Refused { attempt, request, refusal: Refusal::Rejected(_) } => {
            Some((task.attempt_id(*attempt), request.clone()))
        }
        TaskState::Ready { attempt } => Some((task.attempt_id(*attempt), task.usual_fold()?)),
        _ => None,
    }
}

// What is begun.
impl World {
    /// What is done by being written down or said.
    pub(crate) fn verified_at_once(&mut self, action: &Action) -> Option<Vec<Event>> {
        match action {
            Action::Evict(task) => Some(self.rejected(*task).into_iter().collect()),
            Action::GiveUp { target, tasks } => Some(self.given_up(target, tasks)),
            Action::CallOff(number) => {
                self.rig(*number).is_told = true;
                self.coordinator.as_mut()?.told.insert(attempt_of(*number), true);
                Some(Vec::new())
            }
            _ => None,
        }
    }

    fn rejected(&self, task: TaskId) -> Option<Event> {
        let (_, request) = asked(self.state().task(task)?)?;
        let line = self.state().lines().line(&request.target)?;
        let reds: Vec<_> = line.red.iter().filter(|red| red.tasks == [task]).collect();
        let rejection = Rejection {
            runs: reds.iter().map(|red| red.run).collect(),
            verdict: reds.last()?.verdict.clone(),
            onto: line.head?,
            by_itself: None,
            is_tried: false,
        };
        Some(Event::LandingRefused { task, refusal: Refusal::Rejected(rejection) })
    }

    fn given_up(&self, target: &BranchName, tasks: &[TaskId]) -> Vec<Event> {
        let Some(line) = self.state().lines().line(target) else { return Vec::new() };
        let hold = match (line.failures.as_slice(), line.baseline.red.last(), line.head) {
            ([], Some((run, verdict)), Some(onto)) => Hold::RedTarget { onto, run: *run, verdict: verdict.clone() },
            _ => Hold::Unverified { reason: String::new(), run: None },
        };
        let refusal = || Refusal::Held(hold.clone());
        tasks.iter().map(|task| Event::LandingRefused { task: *task, refusal: refusal() }).collect()
    }

    /// What a candidate is made of, with a number and a slot that no other run has. For anything else there is nothing to
    /// know; where a candidate cannot be made any more, nothing is begun.
    pub(crate) fn wanted(&self, action: &Action) -> Check<Option<Option<Box<Wanted>>>> {
        let (target, tasks, again, purpose) = match action {
            Action::Candidate { target, tasks, again } => (target, tasks.clone(), *again, Purpose::Land),
            Action::Baseline { target, task, again } => (target, vec![*task], *again, Purpose::Baseline),
            Action::Blame { target, task } => (target, vec![*task], false, Purpose::Blame),
            Action::Early { target, task } => (target, vec![*task], false, Purpose::Early),
            _ => return Ok(Some(None)),
        };
        let entries: Option<Vec<Task>> =
            tasks.iter().map(|id| self.state().task(*id).filter(|task| asked(task).is_some()).cloned()).collect();
        let Some(entries) = entries else { return Ok(None) };
        let check = entries.first().and_then(|task| asked(task)?.1.check.as_deref().cloned());
        let check = check.ok_or_else(|| format!("{action:?} without a check"))?;
        let lines = self.state().lines();
        let others = || self.coordinator.iter().flat_map(|c| &c.doing).filter_map(|doing| doing.wanted.as_ref());
        let number = others().map(|wanted| wanted.number + 1).fold(lines.next_run(), u32::max);
        let mut taken: Vec<u32> = lines.runs().map(|run| run.slot).collect();
        if self.fault != Fault::ShareSlots {
            taken.extend(others().map(|wanted| wanted.slot));
        }
        let slot = (1..).find(|slot| !taken.contains(slot)).unwrap_or(1);
        let verdicts = if again { BTreeMap::new() } else { lines.verdicts().clone() };
        let head = lines.line(target).and_then(|line| line.head);
        let target = target.clone();
        Ok(Some(Some(Box::new(Wanted { target, entries, check, head, verdicts, purpose, number, slot }))))
    }

    /// What a new coordinator clears away.
    pub(crate) fn drop_candidate_pins(&mut self) {
        if self.fault != Fault::LeaveCandidates {
            let live: Vec<String> = self.state().lines().runs().map(|run| candidate_pin(run.number)).collect();
            self.repo.refs.retain(|name, _| !name.starts_with(CANDIDATES) || live.contains(name));
        }
    }
}

// What is done about it.
impl World {
    pub(crate) fn candidate(&mut self, doing: &mut Doing) -> Check<Next> {
        let Some(wanted) = doing.wanted.take() else { return Err("a candidate of nothing".to_owned()) };
        match doing.step {
            0 => doing.seen = self.repo.tip(&wanted.target.full()),
            1 => {
                let head = doing.seen.ok_or("a target that is not there")?;
                doing.events = self.made(&wanted, head)?;
                if let [Event::VerifyStarted { run }] = doing.events.as_slice()
                    && self.fault != Fault::ForgetCandidate
                {
                    let commit = run.steps.last().map_or(run.head, |step| step.commit);
                    self.repo.refs.insert(candidate_pin(run.number), commit);
                }
            }
            _ => return Ok(Next::Done(std::mem::take(&mut doing.events))),
        }
        doing.wanted = Some(wanted);
        Ok(Next::Step)
    }

    fn made(&mut self, wanted: &Wanted, head: CommitId) -> Check<Vec<Event>> {
        if wanted.head.is_some_and(|known| known != head) {
            return Ok(vec![Event::HeadSeen { target: wanted.target.clone(), head }]);
        }
        let mut steps: Vec<Step> = Vec::new();
        let mut predicted = head;
        for task in wanted.entries.iter().filter(|_| wanted.purpose == Purpose::Land) {
            let (attempt, request) = asked(task).ok_or("nobody asked for it")?;
            match self.fold_onto(task, attempt, &request, predicted)? {
                Ok(commit) => predicted = commit,
                Err(refusal) => return Ok(vec![Event::LandingRefused { task: task.id, refusal }]),
            }
            steps.push(Step { task: task.id, commit: predicted });
        }
        let run = self.run_of(wanted, head, steps, predicted);
        if predicted == head && run.purpose == Purpose::Land {
            return Ok(vec![Event::VerdictReused { run: Box::new(run), verdict: Verdict::Green, times: 1 }]);
        }
        if let Some(kept) = self.known(wanted, &run) {
            let run = Box::new(Run { number: kept.run, ..run });
            return Ok(vec![Event::VerdictReused { run, verdict: kept.verdict.clone(), times: kept.times.min(2) }]);
        }
        Ok(vec![Event::VerifyStarted { run: Box::new(run) }])
    }

    fn known<'a>(&self, wanted: &'a Wanted, run: &Run) -> Option<&'a Kept> {
        let is_fresh = |kept: &&Kept| {
            let age = self.now.duration_since(kept.at).as_secs().unsigned_abs();
            wanted.check.expire.is_none_or(|limit| age <= limit)
        };
        match self.fault {
            Fault::AnyVerdict => {
                wanted.verdicts.iter().find(|(key, _)| key.ends_with(&run.command)).map(|(_, kept)| kept)
            }
            _ => wanted.verdicts.get(&run.key).filter(is_fresh),
        }
    }

    fn run_of(&self, wanted: &Wanted, head: CommitId, steps: Vec<Step>, commit: CommitId) -> Run {
        Run {
            number: wanted.number,
            target: wanted.target.clone(),
            head,
            steps,
            tree: Repo::tree(self.repo.content(commit)),
            key: key(&wanted.check.command, commit, &self.repo),
            also: Vec::new(),
            command: wanted.check.command.clone(),
            slot: wanted.slot,
            purpose: wanted.purpose,
            check: (wanted.purpose == Purpose::Baseline).then(|| Box::new(wanted.check.clone())),
            is_past: false,
            driven: Vec::new(),
        }
    }

    pub(crate) fn alone(&mut self, doing: &mut Doing) -> Check<Next> {
        let wanted = doing.wanted.as_ref().ok_or("nobody to blame")?;
        let [task] = wanted.entries.as_slice() else { return Err("blame is for one".to_owned()) };
        let (attempt, _) = asked(task).ok_or("nobody asked for it")?;
        let own = self.own_of(task, attempt.number)?;
        let run = self.run_of(wanted, own.base, vec![Step { task: task.id, commit: own.tip }], own.tip);
        Next::event(match self.known(wanted, &run) {
            Some(kept) => match of_it_alone(&Run { number: kept.run, ..run }, &kept.verdict) {
                Some(event) => event,
                None => return Ok(Next::Done(Vec::new())),
            },
            None => Event::VerifyStarted { run: Box::new(run) },
        })
    }

    pub(crate) fn advance_target(&mut self, target: &BranchName, steps: &[Step], doing: &mut Doing) -> Check<Next> {
        // The head that its line stood on when it was begun.
        let head = doing.seen.ok_or("verified on no head")?;
        let now = self.repo.tip(&target.full()).ok_or("a target that is not there")?;
        if now != head {
            return Next::event(Event::HeadSeen { target: target.clone(), head: now });
        }
        let whole = steps.last().map(|last| Landing { from: now, to: last.commit }).filter(|_| steps.len() > 1);
        let mut from = now;
        let step = |step: &Step| {
            let landing = Landing { from: std::mem::replace(&mut from, step.commit), to: step.commit };
            Event::LandingPlanned { task: step.task, landing, whole: whole.clone(), candidate: None }
        };
        Ok(Next::Done(steps.iter().map(step).collect()))
    }

    pub(crate) fn verify(&mut self, number: u32, doing: &mut Doing) -> Check<Next> {
        if doing.step < 2 && self.befalls(self.shape.launch_fails) {
            return Ok(Next::Done(Vec::new()));
        }
        match doing.step {
            0 => {
                let Some(run) = self.state().lines().run(number).cloned() else { return Ok(Next::Done(Vec::new())) };
                let commit = run.steps.last().map_or(run.head, |step| step.commit);
                let deterministic = self.shape.checks.iter().any(|c| c.command == run.command && c.deterministic);
                let spec = Spec { slot: run.slot, commit, command: run.command, deterministic };
                self.rig(number).spec.get_or_insert(spec);
            }
            1 => self.runs.shims.push(RunShim { number, phase: Phase::Spawned }),
            // It says when it has its lock.
            _ if self.runs.is_spawning(number) => doing.step = 1,
            _ => return Ok(Next::Done(Vec::new())),
        }
        Ok(Next::Step)
    }

    pub(crate) fn judge(&mut self, number: u32, doing: &mut Doing) -> Check<Next> {
        let is_blind = self.fault == Fault::JudgeUnclaimed;
        let lets_live = self.fault == Fault::JudgeAlive;
        let is_alive = self.runs.seen(number) == Seen::Alive;
        let rig = self.rig(number);
        match doing.step {
            0 if rig.exit.is_some() => doing.step = 2,
            0 if !rig.claimed => {
                rig.claimed = !is_blind;
                doing.step = 4;
            }
            // A shim was just coming up, and has it now.
            1 if is_alive => return Ok(Next::Done(Vec::new())),
            1 => rig.is_running &= lets_live,
            2 => drop(rig.exit.get_or_insert(Verdict::Broken { reason: "its shim died".to_owned() })),
            // Its answer is there, or will never be.
            3 | 5 => drop(self.repo.refs.remove(&candidate_pin(number))),
            4 | 6 => {
                let verdict = rig.exit.clone().unwrap_or(Verdict::Cancelled);
                return Ok(Next::Done(self.judged(number, verdict)));
            }
            _ => {}
        }
        Ok(Next::Step)
    }

    fn judged(&mut self, number: u32, verdict: Verdict) -> Vec<Event> {
        let Some(run) = self.state().lines().run(number).cloned() else { return Vec::new() };
        let alone = of_it_alone(&run, &verdict);
        let wall_ms = 1000;
        let cpu_ms = *self.rng.pick(&[300, 1000, 2500]);
        let ended = Event::VerifyEnded { run: number, verdict, wall_ms, cpu_ms };
        [ended].into_iter().chain(alone).collect()
    }
}

/// What a run of one result by itself says of that.
fn of_it_alone(run: &Run, verdict: &Verdict) -> Option<Event> {
    let Step { task, commit: tip } = *run.steps.first()?;
    match run.purpose {
        Purpose::Land | Purpose::Baseline => None,
        Purpose::Blame => {
            Some(Event::Blamed { task, by_itself: verdict.is_about_the_tree().then(|| verdict.is_red()) })
        }
        Purpose::Early if *verdict == Verdict::Cancelled => None,
        Purpose::Early => {
            Some(Event::VerifiedEarly { task, early: Early { tip, run: run.number, verdict: verdict.clone() } })
        }
    }
}
