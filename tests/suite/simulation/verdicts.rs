//! What must hold of verifying, by a bookkeeping of its own: which greens were really given, and who is to blame in truth.

use std::collections::{BTreeMap, BTreeSet};

use pleach::core::action::Action;
use pleach::core::change::{Direction, Hold, Landing, Refusal, Rejection};
use pleach::core::event::{Event, Record};
use pleach::core::id::{AttemptId, BranchName, CommitId, TaskId};
use pleach::core::speculation::FAILURES;
use pleach::core::state::{Task, TaskState as S};
use pleach::core::task::Guarantee;
use pleach::core::verify::{Check as VerifyCheck, Purpose, Run, Verdict};

use super::landing::Planned;
use super::repo::Content;
use super::runs::Rig;
use super::verifying::{CANDIDATES, candidate_pin, key};
use super::world::{Check, World, ensure};

#[derive(Default)]
pub(crate) struct Verdicts {
    green: BTreeSet<(String, Content)>,
    /// How often in a row a content was found red.
    red: BTreeMap<(String, Content), u32>,
    /// The numbers that were given, each to a run that is over or not.
    numbers: BTreeMap<u32, Run>,
    /// The runs of which a result has left the line.
    past: BTreeSet<u32>,
    /// How many runs of a target in a row gave no answer.
    failures: BTreeMap<BranchName, usize>,
}

impl Verdicts {
    /// A run has really said yes.
    pub(crate) fn gave_green(&mut self, check: &str, content: Content) {
        self.green.insert((check.to_owned(), content));
    }
}

fn request(task: &Task) -> Option<(AttemptId, &pleach::core::change::FoldRequest)> {
    match &task.state {
        S::Queued { attempt, request, .. }
        | S::Landing { attempt, request, .. }
        | S::Refused { attempt, request, .. } => Some((task.attempt_id(*attempt), request)),
        _ => None,
    }
}

// What may be decided.
impl World {
    pub(crate) fn check_verifying(&self, action: &Action) -> Check {
        let state = self.state();
        let run_of = |number: &u32| state.lines().run(*number).ok_or_else(|| format!("{action:?}, and no such run"));
        match action {
            Action::Candidate { target, tasks, .. } => {
                ensure!(!tasks.is_empty(), "a candidate of nothing");
                let mut checks = Vec::new();
                for (place, id) in tasks.iter().enumerate() {
                    let task = state.task(*id).ok_or("nobody is verified")?;
                    let S::Queued { request, .. } = &task.state else {
                        return Err(format!("{id} is verified, and is {:?}", task.state));
                    };
                    ensure!(request.target == *target, "{id} is verified for {target}");
                    ensure!(request.direction == Direction::Fold, "{id} is verified to be taken back");
                    checks.push(request.check.clone().ok_or_else(|| format!("{id} is verified, and need not be"))?);
                    for need in &task.spec.needs {
                        let waits = state
                            .task(*need)
                            .is_some_and(|need| matches!(need.state, S::Queued { .. } | S::Landing { .. }));
                        ensure!(!waits || tasks[..place].contains(need), "{id} is verified without its need {need}");
                    }
                }
                ensure!(checks.windows(2).all(|pair| pair[0] == pair[1]), "two checks in one candidate");
                let running = state.lines().runs().filter(|run| run.target == *target).count();
                ensure!(running <= 16, "{running} runs for {target}");
                Ok(())
            }
            Action::Advance { target, steps } => {
                let check = |id: TaskId| request(state.task(id)?)?.1.check.clone();
                for step in steps {
                    let task = state.task(step.task).ok_or("nobody lands")?;
                    let stands = matches!(&task.state, S::Queued { request, .. } if request.target == *target);
                    ensure!(stands, "{} lands verified, and is {:?}", step.task, task.state);
                    ensure!(check(step.task) == check(steps[0].task), "they land together by different checks");
                }
                Ok(())
            }
            Action::Blame { task, .. } => {
                let task = state.task(*task).ok_or("nobody to blame")?;
                let is_rejected = matches!(&task.state, S::Refused { refusal: Refusal::Rejected(_), .. });
                ensure!(is_rejected, "{} is blamed, and is {:?}", task.id, task.state);
                Ok(())
            }
            Action::Early { task, .. } => {
                let task = state.task(*task).ok_or("nobody to verify")?;
                let is_ready = matches!(&task.state, S::Ready { .. });
                ensure!(is_ready, "{} is verified by itself, and is {:?}", task.id, task.state);
                Ok(())
            }
            Action::Verify(number) | Action::CallOff(number) | Action::Judge(number) => run_of(number).map(drop),
            Action::Baseline { .. } | Action::Evict(_) | Action::GiveUp { .. } => Ok(()),
            other => Err(format!("{other:?} is not of the queue")),
        }
    }

    /// Was what lands verified, as far as its check promises?
    pub(crate) fn check_verified(&self, all: &[Planned], whole: &Landing) -> Check {
        let is_known = |check: &VerifyCheck, from: CommitId, to: CommitId| {
            let content = self.repo.content(to);
            self.repo.content(from) == content || self.ledger.verdicts.green.contains(&(check.command.clone(), content))
        };
        for one in all {
            let Some(check) = &one.check else { continue };
            let tip = is_known(check, whole.from, whole.to);
            ensure!(tip, "{} lands by {}, and {:?} was never green", one.attempt, check.command, whole.to);
            if check.guarantee == Guarantee::Every {
                let step = is_known(check, one.landing.from, one.landing.to);
                ensure!(step, "{} lands in the midst of others, and its step was never green", one.attempt);
            }
        }
        // Nobody gets in but those that land.
        let brought = self.repo.content(whole.to) & !self.repo.content(whole.from);
        let mut own: Content = 0;
        for one in all.iter().filter(|one| self.state().task(one.attempt.task).is_some_and(|t| !is_undo(t))) {
            let change = self.own(one.attempt)?;
            own |= change.after & !change.before;
        }
        let is_undo = all.iter().any(|one| self.state().task(one.attempt.task).is_some_and(is_undo));
        ensure!(is_undo || brought & !own == 0, "{:?} brings in more than those that land", whole.to);
        Ok(())
    }
}

fn is_undo(task: &Task) -> bool {
    request(task).is_some_and(|(_, request)| request.direction == Direction::Undo)
}

// What may happen.
impl World {
    pub(crate) fn note_of_a_line(&mut self, record: &Record) -> Check {
        match &record.event {
            Event::VerifyStarted { run } => {
                let before = self.ledger.verdicts.numbers.insert(run.number, (**run).clone());
                ensure!(before.is_none(), "number {} is given twice", run.number);
                let commit = run.steps.last().map_or(run.head, |step| step.commit);
                ensure!(run.key == key(&run.command, commit, &self.repo), "the key of run {} is wrong", run.number);
                let pin = self.repo.tip(&candidate_pin(run.number));
                let is_alone = matches!(run.purpose, Purpose::Blame | Purpose::Early);
                ensure!(is_alone || pin.is_some(), "nothing pins the candidate of {}", run.number);
            }
            Event::VerifyEnded { run, verdict, .. } => self.note_answer(*run, verdict),
            Event::VerdictReused { run, verdict, times } => {
                self.ledger.verdicts.failures.remove(&run.target);
                let commit = run.steps.last().map_or(run.head, |step| step.commit);
                let is_given = || self.is_green(&run.command, commit);
                let is_new = commit != run.head || run.purpose == Purpose::Baseline;
                ensure!(*verdict != Verdict::Green || !is_new || is_given(), "a green of {commit:?} was never given");
                let is_kept = !self.shape.checks.iter().any(|c| c.command == run.command && c.no_cache);
                ensure!(is_kept || !is_new, "{commit:?} is to be verified anew, and is not");
                let found = self.ledger.verdicts.red.get(&(run.command.clone(), self.repo.content(commit)));
                let is_found = found.is_some_and(|found| found >= times);
                ensure!(is_found || !verdict.is_red(), "{commit:?} is said to be red {times} times, and was {found:?}");
                if !self.is_flaky() && verdict.is_red() {
                    let is_bad = self.repo.is_bad(&run.command, self.repo.content(commit));
                    ensure!(is_bad, "{commit:?} is good, and said to be red");
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn note_answer(&mut self, number: u32, verdict: &Verdict) {
        let verdicts = &mut self.ledger.verdicts;
        let Some(run) = verdicts.numbers.get(&number) else { return };
        let commit = run.steps.last().map_or(run.head, |step| step.commit);
        let red = verdicts.red.entry((run.command.clone(), self.repo.content(commit))).or_default();
        match verdict {
            Verdict::Green => *red = 0,
            verdict if verdict.is_red() => *red += 1,
            _ => {}
        }
        if verdicts.past.contains(&number) {
            return;
        }
        let failures = verdicts.failures.entry(run.target.clone()).or_default();
        match verdict {
            Verdict::Cancelled => {}
            Verdict::TimedOut | Verdict::Broken { .. } => *failures += 1,
            _ => *failures = 0,
        }
    }

    fn is_green(&self, check: &str, commit: CommitId) -> bool {
        self.ledger.verdicts.green.contains(&(check.to_owned(), self.repo.content(commit)))
    }

    fn is_flaky(&self) -> bool {
        self.shape.flakes > 0
    }

    /// It has left its line: what runs with it in says nothing of the line any more.
    pub(crate) fn note_left(&mut self, id: TaskId) {
        let verdicts = &mut self.ledger.verdicts;
        let with_it = verdicts
            .numbers
            .values()
            .filter(|run| run.purpose == Purpose::Land && run.steps.iter().any(|step| step.task == id));
        verdicts.past.extend(with_it.map(|run| run.number));
    }

    pub(crate) fn check_refusal(&self, id: TaskId, refusal: &Refusal) -> Check {
        let task = self.state().task(id).ok_or("nobody is refused")?;
        let Some((attempt, request)) = request(task) else { return Ok(()) };
        let check = request.check.as_ref();
        let failures = self.ledger.verdicts.failures.get(&request.target).copied().unwrap_or_default();
        match refusal {
            Refusal::Rejected(rejection) => {
                let check = check.ok_or_else(|| format!("{id} is rejected, and asked for no check"))?;
                self.check_rejected(attempt, check, rejection)
            }
            Refusal::Held(Hold::RedTarget { onto, .. }) if !self.is_flaky() => {
                let check = check.ok_or_else(|| format!("{id} waits for a check that it does not ask for"))?;
                let is_bad = self.repo.is_bad(&check.command, self.repo.content(*onto));
                ensure!(is_bad, "{onto:?} is good, and {id} is held because of it");
                Ok(())
            }
            Refusal::Held(Hold::Unverified { .. }) => {
                ensure!(failures >= FAILURES, "{id} is given up after {failures} runs that failed");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Where runs are not flaky: its target is good without it, and bad with it.
    fn check_rejected(&self, attempt: AttemptId, check: &VerifyCheck, rejection: &Rejection) -> Check {
        ensure!(rejection.verdict.is_red(), "{attempt} is rejected by {}", rejection.verdict);
        let evidence = rejection.runs.len();
        ensure!(check.deterministic || evidence > 1, "{attempt} is rejected after a single run");
        if self.is_flaky() && !check.deterministic {
            return Ok(());
        }
        let own = self.own(attempt)?;
        let head = self.repo.content(rejection.onto);
        let with = head | own.after & !own.before;
        ensure!(self.repo.is_bad(&check.command, with), "{attempt} is rejected, and would break nothing");
        let is_red = self.repo.is_bad(&check.command, head);
        ensure!(!is_red, "{attempt} is rejected by a target that is red without it");
        Ok(())
    }

    pub(crate) fn check_blamed(&self, id: TaskId, by_itself: Option<bool>) -> Check {
        let task = self.state().task(id).ok_or("nobody is blamed")?;
        let Some((attempt, request)) = request(task) else { return Err(format!("{id} is blamed for nothing")) };
        let (Some(by_itself), Some(check)) = (by_itself, &request.check) else { return Ok(()) };
        if !self.is_flaky() {
            let is_bad = self.repo.is_bad(&check.command, self.own(attempt)?.after);
            ensure!(is_bad == by_itself, "{attempt} is said to be broken by itself: {by_itself}");
        }
        Ok(())
    }

    pub(crate) fn check_runs_at_the_end(&self) -> Check {
        let left = self.state().lines().runs().next();
        ensure!(left.is_none(), "a run is left over: {left:?}");
        ensure!(self.runs.shims.is_empty(), "the shim of a run is left over");
        let live = self.runs.rigs.iter().find(|(_, rig): &(&u32, &Rig)| rig.is_running);
        ensure!(live.is_none(), "run {:?} is left running", live.map(|(number, _)| number));
        let pin = self.repo.refs.keys().find(|name| name.starts_with(CANDIDATES));
        ensure!(pin.is_none(), "{pin:?} is left over");
        Ok(())
    }
}
