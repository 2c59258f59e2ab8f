//! What must hold, checked by a bookkeeping of its own: it reads the journal and the world, and asks the core
//! for as little as it can.

use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan};
use pleach::core::action::{Action, Subject};
use pleach::core::change::{Collected, Direction, Flag, Hold, Landing, Refusal};
use pleach::core::decide::{Decision, HELD_RETRY, decide};
use pleach::core::event::{Event, Record};
use pleach::core::id::{AttemptId, BranchName, CommitId, TaskId};
use pleach::core::inventory::Inventory;
use pleach::core::outcome::Outcome;
use pleach::core::state::{Ended, State, Task, TaskState as S};
use pleach::core::task::FoldPolicy;

use super::children::{lent, parent_of};
use super::coordinator::{kept, pin};
use super::landing::Planned;
use super::verdicts::Verdicts;
use super::world::{Check, World, ensure};

#[derive(Default)]
pub(crate) struct Ledger {
    /// How many records were believed by a coordinator, ever.
    pub(crate) believed: usize,
    /// The state of the last coordinator when it died.
    pub(crate) last: Option<State>,
    /// What others did to targets: from, to.
    pub(crate) pushed: Vec<(CommitId, CommitId)>,
    /// What we did to targets, and how often the journal said so.
    pub(crate) moves: Vec<Move>,
    pub(crate) verdicts: Verdicts,
    tasks: BTreeMap<TaskId, Book>,
}

pub(crate) struct Move {
    pub(crate) task: TaskId,
    to: CommitId,
    pub(crate) is_recorded: bool,
}

/// What is remembered of a task.
#[derive(Clone, Default)]
pub(crate) struct Book {
    pub(crate) cancelled: Option<bool>,
    pub(crate) retried: u32,
    started: u32,
    /// Where in the journal its landing was asked for.
    asked: usize,
    /// Was it asked to be taken back?
    undoes: bool,
    refused: Option<Timestamp>,
}

impl Ledger {
    pub(crate) fn book(&self, task: TaskId) -> Book {
        self.tasks.get(&task).cloned().unwrap_or_default()
    }
}

// What may be decided.
impl World {
    pub(crate) fn check_decision(&self, decision: &Decision, seen: &mut Inventory) -> Check {
        for action in &decision.actions {
            let subject = action.subject();
            ensure!(!seen.busy.contains(&subject), "{action:?}, but something works on that already");
            seen.busy.insert(subject);
        }
        let is_work = |action: &Action| !matches!(action, Action::Requeue(_));
        let has_work = self.state().has_work() || !decision.actions.iter().any(is_work);
        ensure!(has_work, "nothing to do, it says, and decides {:?}", decision.actions);
        // The dearest check, so not each time.
        if self.now.as_second() % 4 != 0 {
            return Ok(());
        }
        let again = decide(self.state(), seen, &self.shape.limits, self.now);
        // What is worth a run beside others is a matter of degree.
        let again: Vec<&Action> = again.actions.iter().filter(|a| !matches!(a, Action::Candidate { .. })).collect();
        ensure!(again.is_empty(), "asked again at once: {again:?} after {:?}", decision.actions);
        Ok(())
    }

    pub(crate) fn check_begin(&self, action: &Action) -> Check {
        let state = self.state();
        match action {
            Action::Start(attempt) => self.check_start(*attempt),
            Action::Launch(attempt) => {
                ensure!(self.ledger.book(attempt.task).cancelled.is_none(), "{attempt} is launched, and was cancelled");
                Ok(())
            }
            Action::Abandon(attempt) | Action::Stop { attempt, .. } => {
                let told = self.coordinator.as_ref().and_then(|c| c.told.get(attempt).copied());
                let wanted = self.ledger.book(attempt.task).cancelled;
                ensure!(wanted.is_some(), "{action:?} although nobody cancelled it");
                ensure!(told.is_none() || told < wanted, "{attempt} is told twice");
                let harder = matches!(action, Action::Stop { now, .. } if Some(*now) != wanted);
                ensure!(!harder, "{action:?} is not what was asked for: {wanted:?}");
                Ok(())
            }
            Action::Requeue(id) => {
                let task = state.task(*id).ok_or("nobody is requeued")?;
                let refused = self.ledger.book(*id).refused.ok_or("requeued, and was never refused")?;
                ensure!(task.spec.fold == FoldPolicy::Auto, "{id} folds by itself, and nobody said that it may");
                // What waited for its needs goes on as soon as they are in; all else waits for something to pass.
                let waits = |hold: &Hold| matches!(hold, Hold::Needs { .. } | Hold::RedTarget { .. });
                let needs = matches!(&task.state, S::Refused { refusal: Refusal::Held(hold), .. } if waits(hold));
                let rested = self.now >= refused + HELD_RETRY.seconds();
                ensure!(needs || rested, "{id} is tried again at once");
                Ok(())
            }
            Action::Plan(task, target) | Action::Land(task, target) => self.check_turn(*task, target, action),
            Action::Salvage(_) | Action::Collect(_) | Action::Remove(_) => Ok(()),
            other => self.check_verifying(other),
        }
    }

    fn check_start(&self, attempt: AttemptId) -> Check {
        let state = self.state();
        let task = state.task(attempt.task).ok_or("nobody is started")?;
        ensure!(!state.is_paused(), "{attempt} starts while the queue is paused");
        let limit = state.limit_of(task).filter(|(_, limited)| limited.holds(self.now));
        ensure!(limit.is_none(), "{attempt} starts, and its agent has reached a limit");
        ensure!(self.free_disk() >= self.shape.limits.disk_floor, "{attempt} starts without room on the disk");
        for need in &task.spec.needs {
            let fit = state.task(*need).is_some_and(is_fit);
            ensure!(fit, "{attempt} starts before its need {need} is there");
        }
        let doing = &self.coordinator.as_ref().expect("it decided").doing;
        let is_starting =
            |task: &Task| doing.iter().any(|d| d.action.subject() == Subject::Attempt(task.next_attempt()));
        let holds_slot = |t: &&Task| matches!(t.state, S::Running { .. }) || is_starting(t);
        let limits = &self.shape.limits;
        let holders: Vec<&Task> = state.tasks().filter(holds_slot).collect();
        // Whoever runs lends its slot to one of those that it asked for.
        let is_on_loan = parent_of(task).is_some_and(|parent| {
            let runs = |id| state.task(id).is_some_and(|task| matches!(task.state, S::Running { .. }));
            runs(parent) && !holders.iter().any(|other| parent_of(other) == Some(parent))
        });
        let used = holders.len() - lent(&holders);
        ensure!(is_on_loan || used < limits.tasks, "{attempt} starts, and all {} slots are taken", limits.tasks);
        let group_limit = |group: &Option<String>| group.as_ref().and_then(|g| limits.groups.get(g)).copied();
        let in_group = |group: &Option<String>| {
            let of_it: Vec<&Task> = holders.iter().copied().filter(|t| t.spec.group == *group).collect();
            of_it.len() - lent(&of_it)
        };
        let is_full = |group: &Option<String>| group_limit(group).is_some_and(|limit| in_group(group) >= limit);
        ensure!(is_on_loan || !is_full(&task.spec.group), "{attempt} starts, and its group is full");
        let goes_first = |other: &&Task| {
            let is_ready =
                other.state == S::Pending && other.spec.needs.iter().all(|n| state.task(*n).is_some_and(is_fit));
            let has_limit = state.limit_of(other).is_some_and(|(_, limited)| limited.holds(self.now));
            let is_ready = is_ready && !has_limit;
            let is_more_urgent = other.spec.priority > task.spec.priority && other.submitted <= task.submitted;
            // A slot that is lent is nobody else's.
            let could_have_it = !is_on_loan || parent_of(other) == parent_of(task);
            could_have_it && is_ready && is_more_urgent && !is_starting(other) && !is_full(&other.spec.group)
        };
        match state.tasks().find(goes_first) {
            Some(other) => Err(format!("{attempt} starts before {}, which is older and more urgent", other.id)),
            None => Ok(()),
        }
    }

    /// One landing at a time, in the order in which they were asked for; needs before dependents.
    fn check_turn(&self, id: TaskId, target: &BranchName, action: &Action) -> Check {
        let state = self.state();
        let of_line = |task: &&Task| matches!(&task.state, S::Queued { request, .. } | S::Landing { request, .. } if request.target == *target);
        let is_on_its_way = |id: &TaskId| {
            state.task(*id).is_some_and(|task| matches!(task.state, S::Queued { .. } | S::Landing { .. }))
        };
        if let Action::Land(..) = action {
            return Ok(());
        }
        let task = state.task(id).ok_or("nobody is planned")?;
        ensure!(!task.spec.needs.iter().any(is_on_its_way), "{id} lands before its needs");
        let asked = |id: TaskId| self.ledger.book(id).asked;
        for other in state.tasks().filter(of_line).filter(|other| other.id != id) {
            let is_landing = matches!(other.state, S::Landing { .. });
            ensure!(!is_landing, "{id} is planned while {} lands", other.id);
            let waits = other.on_hold || other.spec.needs.iter().any(is_on_its_way);
            ensure!(waits || asked(id) < asked(other.id), "{id} lands before {}, which asked first", other.id);
        }
        Ok(())
    }
}

/// Attempts that ended by a limit of their provider: another follows, whatever was said of retries.
fn by_limits(task: &Task) -> u32 {
    let by_limit = |ended: &Ended| matches!(ended.outcome, Outcome::LimitReached { .. });
    task.attempts.iter().filter(|one| one.ended.as_ref().is_some_and(by_limit)).count() as u32
}

pub(crate) fn is_fit(need: &Task) -> bool {
    matches!(
        need.state,
        S::Empty | S::Ready { .. } | S::Queued { .. } | S::Landing { .. } | S::Refused { .. } | S::Folded(_)
    )
}

// What may happen.
impl World {
    pub(crate) fn check_spawn(&mut self, attempt: AttemptId) -> Check {
        let odd = (self.rng.one_in(12), self.rng.one_in(12));
        let place = self.places.entry(attempt).or_default();
        (place.is_refused, place.leaves_out) = odd;
        place.runs += 1;
        place.is_running = true;
        ensure!(place.runs == 1, "{attempt} runs a second time");
        ensure!(place.checked_out && place.files && place.registered, "{attempt} runs without a worktree");
        let head = place.head.ok_or("a task runs without a base")?;
        ensure!(self.repo.is_reachable(head), "a gc would pull the base from under {attempt}");
        let running = self.places.iter().filter(|(_, place)| place.is_running);
        let known = self.coordinator.as_ref().map(|coordinator| &coordinator.state);
        let tasks: Vec<&Task> = running.filter_map(|(id, _)| known?.task(id.task)).collect();
        let running = tasks.len() - lent(&tasks);
        ensure!(running <= self.shape.limits.tasks, "{running} tasks run at once");
        Ok(())
    }

    pub(crate) fn check_removal(&self, attempt: AttemptId) -> Check {
        let task = self.state().task(attempt.task).ok_or("nobody's worktree")?;
        let ended = task.attempt(attempt.number).and_then(|a| a.ended.as_ref());
        let ended = ended.ok_or_else(|| format!("the worktree of {attempt} goes before its end is known"))?;
        let Some(place) = self.places.get(&attempt) else { return Ok(()) };
        ensure!(!place.is_running, "the worktree of {attempt} goes while its task runs");
        let only_copy = matches!(ended.result, Collected::Refused { .. }) || leaves_out(&ended.result);
        let freed = task.attempt(attempt.number).is_some_and(|a| a.freed);
        ensure!(!only_copy || freed, "the worktree of {attempt} goes, and holds the only copy");
        if !place.is_refused && place.wrote != 0 && !task.attempt(attempt.number).is_some_and(|a| a.freed) {
            let tip = self.repo.tip(&kept(attempt)).ok_or_else(|| format!("nothing is kept of {attempt}"))?;
            ensure!(place.wrote & !self.repo.content(tip) == 0, "{attempt} wrote what its kept result does not hold");
        }
        Ok(())
    }

    /// A target has just been moved by us.
    pub(crate) fn check_move(
        &mut self,
        all: &[Planned],
        target: &BranchName,
        before: Option<CommitId>,
        whole: &Landing,
    ) -> Check {
        let tasks = || all.iter().map(|one| one.attempt.task).collect::<Vec<_>>();
        ensure!(before == Some(whole.from), "{target} was no longer at {:?} when {:?} landed", whole.from, tasks());
        ensure!(self.repo.holds(whole.to, whole.from), "{target} does not move forward");
        self.check_verified(all, whole)?;
        for one in all.iter().filter(|one| one.landing.from != one.landing.to) {
            self.ledger.moves.push(Move { task: one.attempt.task, to: one.landing.to, is_recorded: false });
        }
        Ok(())
    }

    /// Everything that the journal has since the last look, one by one.
    pub(crate) fn note_new_records(&mut self) -> Check {
        while let Some(record) = self.journal.records.get(self.ledger.believed).cloned() {
            self.ledger.believed += 1;
            self.note(&record)?;
        }
        Ok(())
    }

    fn note(&mut self, record: &Record) -> Check {
        let position = self.ledger.believed;
        if let Event::QueueMoved { tasks, .. } = &record.event {
            let mut places: Vec<usize> = tasks.iter().map(|id| self.ledger.book(*id).asked).collect();
            places.sort_unstable();
            tasks.iter().zip(places).for_each(|(id, place)| self.ledger.tasks.entry(*id).or_default().asked = place);
        }
        let Some(id) = record.event.task() else { return self.note_of_a_line(record) };
        let book = self.ledger.tasks.entry(id).or_default();
        match &record.event {
            Event::CancelRequested { now, .. } => book.cancelled = Some(*now || book.cancelled == Some(true)),
            Event::Retried { .. } => (book.cancelled, book.retried) = (None, book.retried + 1),
            Event::FoldRequested { request, .. } => {
                (book.asked, book.undoes) = (position, request.direction == Direction::Undo);
            }
            Event::QueueLeft { .. } => self.note_left(id),
            Event::LandingRefused { refusal, .. } => {
                book.refused = Some(record.at);
                let was_undo = book.undoes;
                self.check_refusal(id, refusal)?;
                self.note_left(id);
                let stands = self.state().task(id).is_some_and(|task| matches!(task.state, S::Folded(_)));
                ensure!(was_undo == stands, "the landing of {id} is refused: an undo {was_undo}, folded {stands}");
                self.check_not_landed(id)?;
            }
            Event::LandingMissed { .. } => {
                let waits = self.state().task(id).is_some_and(|task| matches!(task.state, S::Queued { .. }));
                ensure!(waits, "{id} has missed its landing, and does not wait for another");
                self.check_not_landed(id)?;
            }
            Event::NotStarted { .. } => {
                book.started += 1;
                book.cancelled = None;
            }
            Event::Started { attempt, base } => {
                book.started += 1;
                let book = book.clone();
                self.check_started(*attempt, *base, &book)?;
            }
            Event::Ended { attempt, outcome, result, .. } => {
                (book.asked, book.undoes) = (position, false);
                let book = book.clone();
                self.check_ended(*attempt, outcome, result, &book)?;
            }
            Event::Recovered { attempt, result, .. } => self.check_recovered(*attempt, result)?,
            Event::Removed { attempt } => self.check_removed(*attempt)?,
            Event::Landed { landing, .. } => self.check_landed(id, landing)?,
            Event::Blamed { by_itself, .. } => self.check_blamed(id, *by_itself)?,
            _ => {}
        }
        self.check_limits()
    }

    fn check_limits(&self) -> Check {
        let limits = &self.shape.limits;
        let running: Vec<&Task> = self.state().tasks().filter(|t| matches!(t.state, S::Running { .. })).collect();
        let used = running.len() - lent(&running);
        ensure!(used <= limits.tasks, "{used} tasks run, and {} may", limits.tasks);
        for (group, limit) in &limits.groups {
            let of_it: Vec<&Task> =
                running.iter().copied().filter(|task| task.spec.group.as_ref() == Some(group)).collect();
            let count = of_it.len() - lent(&of_it);
            ensure!(count <= *limit, "{count} of group {group} run, and {limit} may");
        }
        Ok(())
    }

    fn check_started(&self, attempt: AttemptId, base: CommitId, book: &Book) -> Check {
        let task = self.state().task(attempt.task).ok_or("nobody started")?;
        ensure!(book.cancelled.is_none(), "{attempt} starts although the task was cancelled");
        let may = 1 + task.spec.retries + book.retried + by_limits(task);
        ensure!(book.started <= may, "{attempt} is attempt {} of at most {may}", book.started);
        // What it was asked from may be in no history of a target.
        let is_asked_from = task.hand_back.is_some() || self.repo.holds(base, task.spec.base);
        ensure!(is_asked_from, "the base of {attempt} is not what was asked for");
        // A need that somebody retried in the meantime is another one than the base was made from.
        for need in task.spec.needs.iter().filter_map(|need| self.state().task(*need)).filter(|need| is_fit(need)) {
            let number = match &need.state {
                S::Ready { attempt } | S::Queued { attempt, .. } | S::Landing { attempt, .. } => *attempt,
                _ => continue,
            };
            let of_need = AttemptId { task: need.id, number };
            // Folded, freed, and on its way out again.
            if need.attempt(number).is_some_and(|attempt| attempt.freed) {
                continue;
            }
            if self.state().events() > 0 && need.attempts.len() as u32 == number {
                let tip = self.repo.tip(&kept(of_need)).ok_or_else(|| format!("nothing is kept of {of_need}"))?;
                ensure!(self.repo.holds(base, tip), "{attempt} does not build on {of_need}");
            }
        }
        Ok(())
    }

    fn check_ended(&self, attempt: AttemptId, outcome: &Outcome, result: &Collected, book: &Book) -> Check {
        let task = self.state().task(attempt.task).ok_or("nobody ended")?;
        if let Some(place) = self.places.get(&attempt) {
            ensure!(!place.is_running, "{attempt} is said to have ended, and its task runs");
            let exit = place.exit.as_ref().map(|(outcome, _)| outcome);
            ensure!(place.runs == 0 || exit == Some(outcome), "{attempt} ended by {exit:?}, and {outcome} is recorded");
            match result {
                Collected::Nothing => ensure!(place.wrote == 0, "{attempt} wrote something, and nothing is kept"),
                Collected::Refused { .. } => ensure!(place.files, "the only copy of {attempt} is gone"),
                Collected::Change(change) => {
                    ensure!(self.repo.tip(&kept(attempt)) == Some(change.tip), "nothing keeps the result of {attempt}");
                    let missing = place.wrote & !self.repo.content(change.tip);
                    ensure!(missing == 0, "the result of {attempt} lacks something that it wrote");
                }
            }
        }
        let fails = !outcome.is_success() && *outcome != Outcome::Cancelled;
        let by_limits = by_limits(task);
        let is_again = match outcome {
            Outcome::LimitReached { .. } => by_limits <= 5,
            _ => attempt.number <= task.spec.retries + by_limits,
        };
        let is_retried = fails && book.cancelled.is_none() && is_again;
        let is_wanted = outcome.is_success() && book.cancelled.is_none() && matches!(result, Collected::Change(_));
        let folds = is_wanted && task.spec.fold == FoldPolicy::Auto && task.spec.target.is_some();
        ensure!((task.state == S::Pending) == is_retried, "{attempt} ended by {outcome}, and is {:?}", task.state);
        ensure!(
            matches!(task.state, S::Queued { .. }) == folds,
            "{attempt} ended by {outcome}, and is {:?}",
            task.state
        );
        ensure!(
            matches!(task.state, S::Empty) == (outcome.is_success() && *result == Collected::Nothing),
            "{attempt} changed {result:?}, and is {:?}",
            task.state
        );
        Ok(())
    }

    fn check_recovered(&self, attempt: AttemptId, result: &Collected) -> Check {
        let task = self.state().task(attempt.task).ok_or("nobody recovered")?;
        let recorded = task.attempt(attempt.number).and_then(|a| a.ended.as_ref()).map(|ended| &ended.result);
        ensure!(recorded == Some(result), "{attempt} is taken over, and {recorded:?} is recorded");
        let Some(change) = result.change() else { return Ok(()) };
        ensure!(task.state == S::Ready { attempt: attempt.number }, "{attempt} is taken over, and {:?}", task.state);
        let missing = self.places.get(&attempt).map_or(0, |place| place.wrote & !self.repo.content(change.tip));
        ensure!(missing == 0, "what was taken over of {attempt} lacks something that it wrote");
        Ok(())
    }

    fn check_removed(&self, attempt: AttemptId) -> Check {
        let Some(place) = self.places.get(&attempt) else { return Ok(()) };
        let is_gone = !place.files && !place.registered && !self.repo.refs.contains_key(&pin(attempt));
        ensure!(is_gone, "something of the worktree of {attempt} is left");
        Ok(())
    }

    fn check_not_landed(&self, task: TaskId) -> Check {
        let pending = self.ledger.moves.iter().any(|m| m.task == task && !m.is_recorded);
        ensure!(!pending, "{task} has landed, and is said not to have");
        Ok(())
    }

    fn check_landed(&mut self, id: TaskId, landing: &Landing) -> Check {
        let mut pending = self.ledger.moves.iter_mut().filter(|m| m.task == id && !m.is_recorded);
        // What the target holds already lands without a move.
        if landing.from != landing.to {
            let first = pending.next().ok_or_else(|| format!("{id} is said to have landed, and has not"))?;
            ensure!(first.to == landing.to, "{id} landed as {:?}, and {:?} is recorded", first.to, landing.to);
            first.is_recorded = true;
        }
        ensure!(pending.next().is_none(), "{id} has landed twice");
        let state = self.state();
        let task = state.task(id).ok_or("nobody landed")?;
        let (before, after) = (self.repo.content(landing.from), self.repo.content(landing.to));
        match &task.state {
            S::Folded(folded) => {
                let own = self.own(task.attempt_id(folded.attempt))?;
                ensure!(own.after & !own.before & !after == 0, "{id} is folded, and the target lacks a part of it");
                ensure!(
                    after == before | (own.after & !own.before) || before == after,
                    "the fold of {id} did more than its change"
                );
            }
            S::Ready { attempt } => {
                ensure!(after & !before == 0, "the undo of {id} brought something in");
                let (number, attempt) = (*attempt, task.attempt_id(*attempt));
                let tip = self.own(attempt)?.tip;
                ensure!(
                    self.repo.tip(&kept(attempt)) == Some(tip),
                    "nothing keeps {attempt}, whose fold was taken back"
                );
                let freed = task.attempt(number).is_some_and(|attempt| attempt.freed);
                ensure!(!freed, "{attempt} is up for review again, and said to be freed");
            }
            other => return Err(format!("{id} landed, and is {other:?}")),
        }
        Ok(())
    }
}

pub(crate) fn leaves_out(result: &Collected) -> bool {
    result.change().is_some_and(|change| change.flags.iter().any(|flag| matches!(flag, Flag::LeftOut { .. })))
}
