//! How a result gets into a target: what the real coordinator does with trees, done with sets.

use pleach::core::change::{Conflict, Direction, FoldRequest, Hold, Landing, Refusal};
use pleach::core::event::Event;
use pleach::core::id::{AttemptId, BranchName, CommitId, TaskId};
use pleach::core::state::{Folded, Task, TaskState};
use pleach::core::task::Strategy;
use pleach::core::verify::Check as VerifyCheck;

use super::coordinator::{Doing, Next, kept};
use super::repo::Content;
use super::world::{Check, Fault, World, ensure};

fn landed(attempt: AttemptId) -> String {
    format!("refs/pleach/landed/{attempt}")
}

impl World {
    pub(crate) fn plan(&mut self, task: TaskId, target: &BranchName, doing: &mut Doing) -> Check<Next> {
        let Some(head) = doing.seen else {
            doing.seen = self.repo.tip(&target.full());
            return Ok(Next::Step);
        };
        if !self.state().task(task).is_some_and(|task| matches!(task.state, TaskState::Queued { .. })) {
            // Somebody took it out of its line.
            return Ok(Next::Done(Vec::new()));
        }
        let planned = if self.is_held() {
            Err(Refusal::Held(Hold::Overlap { checkout: "/home".into(), paths: Vec::new() }))
        } else {
            self.commit_to_land(task, head)?
        };
        Next::event(match planned {
            Ok(to) => Event::LandingPlanned { task, landing: Landing { from: head, to }, whole: None, candidate: None },
            Err(refusal) => Event::LandingRefused { task, refusal },
        })
    }

    fn commit_to_land(&mut self, id: TaskId, head: CommitId) -> Check<Result<CommitId, Refusal>> {
        let task = self.state().task(id).cloned().ok_or("planned for nobody")?;
        let TaskState::Queued { attempt, request, undoes, .. } = &task.state else {
            return Err(format!("planned for {id}, which is not queued"));
        };
        let Some(Folded { landing, .. }) = undoes else {
            return self.fold_onto(&task, task.attempt_id(*attempt), request, head);
        };
        ensure!(request.direction == Direction::Undo, "a fold of {id} undoes something");
        let ours = self.repo.content(head);
        let (after, before) = (self.repo.content(landing.to), self.repo.content(landing.from));
        let Ok(content) = self.repo.three_way(after, ours, before) else {
            return Ok(Err(Refusal::Conflict(Conflict { onto: head, paths: Vec::new() })));
        };
        Ok(Ok(if content == ours { head } else { self.repo.commit(&[head], content) }))
    }

    /// A result folded onto a head, which may be one that is only predicted.
    pub(crate) fn fold_onto(
        &mut self,
        task: &Task,
        attempt: AttemptId,
        request: &FoldRequest,
        head: CommitId,
    ) -> Check<Result<CommitId, Refusal>> {
        let ours = self.repo.content(head);
        let own = self.own_of(task, attempt.number)?;
        if own.needs & !ours != 0 {
            return Ok(Err(Refusal::Held(Hold::Needs { needs: task.spec.needs.clone() })));
        }
        let strategy = match request.strategy {
            Strategy::Auto if self.repo.holds(own.tip, head) => Strategy::FastForward,
            Strategy::Auto => Strategy::Merge,
            strategy => strategy,
        };
        let merged = match strategy {
            Strategy::FastForward if !self.repo.holds(own.tip, head) => {
                return Ok(Err(Refusal::Held(Hold::NotFastForward)));
            }
            Strategy::FastForward => Ok(own.after),
            // The commits of an undone fold are in the history, so for a merge there would be nothing to do.
            Strategy::Merge if !task.undone => self.repo.merge(head, own.tip),
            _ => self.repo.three_way(own.before, ours, own.after),
        };
        let Ok(content) = merged else {
            return Ok(Err(Refusal::Conflict(Conflict { onto: head, paths: Vec::new() })));
        };
        let is_in_already = self.repo.holds(head, own.tip) && !task.undone;
        if !is_in_already && content != ours | (own.after & !own.before) {
            return Ok(Err(Refusal::Held(Hold::NotConserved { paths: Vec::new() })));
        }
        Ok(Ok(match strategy {
            _ if is_in_already || content == ours => head,
            Strategy::FastForward => own.tip,
            Strategy::Merge => self.repo.fold(&[head, own.tip], content, attempt),
            Strategy::Squash | Strategy::Rebase | Strategy::Auto => self.repo.fold(&[head], content, attempt),
        }))
    }

    /// Those that land together with a task, in their order; it alone, where it lands alone.
    fn together(&self, id: TaskId) -> Vec<Planned> {
        let planned = |task: &Task| match &task.state {
            TaskState::Landing { attempt, landing, whole, request, undoes, .. } => Some(Planned {
                attempt: task.attempt_id(*attempt),
                landing: landing.clone(),
                whole: whole.clone(),
                target: request.target.clone(),
                check: request.check.as_deref().cloned(),
                is_undo: undoes.is_some(),
            }),
            _ => None,
        };
        let Some(first) = self.state().task(id).and_then(planned) else { return Vec::new() };
        if first.whole.is_none() {
            return vec![first];
        }
        let is_with = |other: &Planned| other.whole == first.whole && other.target == first.target;
        let mut rest: Vec<Planned> = self.state().open().filter_map(planned).filter(is_with).collect();
        // Each begins where another one ends; what moves nothing comes first there.
        let mut order: Vec<Planned> = Vec::new();
        while !rest.is_empty() {
            let starts = |one: &Planned| {
                !rest.iter().any(|other| {
                    other.landing.to == one.landing.from
                        && other.landing.from != other.landing.to
                        && other.attempt != one.attempt
                })
            };
            let is_still = |one: &Planned| one.landing.from == one.landing.to;
            let next = rest.iter().position(|one| starts(one) && is_still(one));
            let next = next.or_else(|| rest.iter().position(starts)).unwrap_or(0);
            order.push(rest.remove(next));
        }
        order
    }

    pub(crate) fn land(&mut self, id: TaskId, target: &BranchName, step: usize) -> Check<Next> {
        let all = self.together(id);
        let Some(first) = all.first() else { return Err(format!("landed {id}, which has no landing")) };
        let whole = first.whole.clone().unwrap_or_else(|| first.landing.clone());
        let has_mark = |one: &Planned| self.repo.tip(&landed(one.attempt)) == Some(one.landing.to);
        let is_done = all.iter().all(has_mark) && self.fault != Fault::ForgetLanding;
        let head = self.repo.tip(&target.full());
        // A death cut the plan short.
        let reached = all.iter().try_fold(whole.from, |at, one| (one.landing.from == at).then_some(one.landing.to));
        let is_whole = reached == Some(whole.to) || self.fault == Fault::LandHalfAPlan;
        match step {
            0 if is_done => Ok(Next::Step),
            0 if !is_whole => Ok(self.missed(&all, target)),
            0 if head != Some(whole.from) => Ok(self.missed(&all, target)),
            0 if self.is_held() => Ok(self.held(&all)),
            1 if is_done => Ok(Next::Step),
            1 if head != Some(whole.from) && self.fault != Fault::LandBlindly => Ok(self.missed(&all, target)),
            1 => {
                self.move_target(&all, target, &whole)?;
                if self.fault != Fault::LandInTwoSteps {
                    self.mark(&all);
                }
                Ok(Next::Step)
            }
            2 => {
                self.mark(&all);
                for one in all.iter().filter(|one| one.is_undo && self.fault != Fault::UndoKeepsNothing) {
                    let tip = self.own(one.attempt)?.tip;
                    self.repo.refs.insert(kept(one.attempt), tip);
                }
                Ok(Next::Step)
            }
            3 => {
                let landed = |one: Planned| Event::Landed { task: one.attempt.task, landing: one.landing };
                Ok(Next::Done(all.into_iter().map(landed).collect()))
            }
            _ => Ok(Next::Step),
        }
    }

    fn mark(&mut self, all: &[Planned]) {
        let count = if self.fault == Fault::MarkTheFirst { 1 } else { all.len() };
        for one in &all[..count] {
            self.repo.refs.insert(landed(one.attempt), one.landing.to);
        }
    }

    /// They go back into the line, which stands on what the target is now.
    fn missed(&self, all: &[Planned], target: &BranchName) -> Next {
        let back = all.iter().map(|one| Event::LandingMissed { task: one.attempt.task });
        let seen = self.repo.tip(&target.full()).filter(|_| all.iter().any(|one| one.check.is_some()));
        let seen = seen.map(|head| Event::HeadSeen { target: target.clone(), head });
        Next::Done(back.chain(seen).collect())
    }

    /// Something is in the way of some of them, or of all. The others go back into the line.
    fn held(&mut self, all: &[Planned]) -> Next {
        let mut is_held: Vec<bool> = all.iter().map(|_| self.rng.one_in(2)).collect();
        if !is_held.contains(&true) {
            is_held.fill(true);
        }
        let event = |(one, is_held): (&Planned, bool)| match is_held {
            true => {
                let refusal = Refusal::Held(Hold::Refused { reason: "a hook".to_owned() });
                Event::LandingRefused { task: one.attempt.task, refusal }
            }
            false => Event::LandingMissed { task: one.attempt.task },
        };
        Next::Done(all.iter().zip(is_held).map(event).collect())
    }

    fn move_target(&mut self, all: &[Planned], target: &BranchName, whole: &Landing) -> Check {
        let before = self.repo.refs.insert(target.full(), whole.to);
        self.say(|| {
            format!("{target} moves to {:?} for {:?}", whole.to, all.iter().map(|one| one.attempt).collect::<Vec<_>>())
        });
        self.check_move(all, target, before, whole)
    }

    /// What an attempt did, and what it builds on.
    pub(crate) fn own(&self, attempt: AttemptId) -> Check<Own> {
        let task = self.state().task(attempt.task).ok_or("nobody's change")?;
        self.own_of(task, attempt.number)
    }

    pub(crate) fn own_of(&self, task: &Task, number: u32) -> Check<Own> {
        let base = task.attempt(number).and_then(|attempt| attempt.base).ok_or("a change without a base")?;
        let tip = task.change(number).ok_or("no change")?.tip;
        let (before, after) = (self.repo.content(base), self.repo.content(tip));
        Ok(Own { base, tip, before, after, needs: before & !self.repo.content(task.spec.base) })
    }
}

/// The change of an attempt, from `before` to `after`.
pub(crate) struct Own {
    pub(crate) base: CommitId,
    pub(crate) tip: CommitId,
    pub(crate) before: Content,
    pub(crate) after: Content,
    /// What of `before` came from its needs.
    pub(crate) needs: Content,
}

/// One that lands, and the step of the target that it lands by.
pub(crate) struct Planned {
    pub(crate) attempt: AttemptId,
    pub(crate) landing: Landing,
    whole: Option<Landing>,
    target: BranchName,
    pub(crate) check: Option<VerifyCheck>,
    is_undo: bool,
}
