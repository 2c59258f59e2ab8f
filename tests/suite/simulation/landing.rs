//! How a result gets into a target: what the real coordinator does with trees, done with sets.

use pleach::core::change::{Conflict, Direction, Hold, Landing, Refusal};
use pleach::core::event::Event;
use pleach::core::id::{AttemptId, BranchName, CommitId, TaskId};
use pleach::core::state::{Folded, TaskState};
use pleach::core::task::Strategy;

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
        let conflict = Ok(Err(Refusal::Conflict(Conflict { onto: head, paths: Vec::new() })));
        let ours = self.repo.content(head);
        if let Some(Folded { landing, .. }) = undoes {
            ensure!(request.direction == Direction::Undo, "a fold of {id} undoes something");
            let (after, before) = (self.repo.content(landing.to), self.repo.content(landing.from));
            let Ok(content) = self.repo.three_way(after, ours, before) else { return conflict };
            return Ok(Ok(if content == ours { head } else { self.repo.commit(&[head], content) }));
        }
        let own = self.own(task.attempt_id(*attempt))?;
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
        let Ok(content) = merged else { return conflict };
        let is_in_already = self.repo.holds(head, own.tip) && !task.undone;
        if !is_in_already && content != ours | (own.after & !own.before) {
            return Ok(Err(Refusal::Held(Hold::NotConserved { paths: Vec::new() })));
        }
        Ok(Ok(match strategy {
            _ if is_in_already => head,
            Strategy::FastForward => own.tip,
            Strategy::Merge => self.repo.commit(&[head, own.tip], content),
            Strategy::Squash | Strategy::Rebase | Strategy::Auto => self.repo.commit(&[head], content),
        }))
    }

    pub(crate) fn land(&mut self, id: TaskId, target: &BranchName, step: usize) -> Check<Next> {
        let task = self.state().task(id).ok_or("landed for nobody")?;
        let TaskState::Landing { attempt, landing, undoes, .. } = &task.state else {
            return Err(format!("landed {id}, which has no landing"));
        };
        let (attempt, landing, is_undo) = (task.attempt_id(*attempt), landing.clone(), undoes.is_some());
        let is_done = self.repo.tip(&landed(attempt)) == Some(landing.to) && self.fault != Fault::ForgetLanding;
        let head = self.repo.tip(&target.full());
        match step {
            0 if is_done => Ok(Next::Step),
            0 if head != Some(landing.from) => Next::event(Event::LandingMissed { task: id }),
            0 if self.is_held() => {
                let refusal = Refusal::Held(Hold::Refused { reason: "a hook".to_owned() });
                Next::event(Event::LandingRefused { task: id, refusal })
            }
            1 if is_done => Ok(Next::Step),
            1 if head != Some(landing.from) && self.fault != Fault::LandBlindly => {
                Next::event(Event::LandingMissed { task: id })
            }
            1 => {
                self.move_target(attempt, target, &landing)?;
                if self.fault != Fault::LandInTwoSteps {
                    self.repo.refs.insert(landed(attempt), landing.to);
                }
                Ok(Next::Step)
            }
            2 => {
                self.repo.refs.insert(landed(attempt), landing.to);
                if is_undo && self.fault != Fault::UndoKeepsNothing {
                    let tip = self.own(attempt)?.tip;
                    self.repo.refs.insert(kept(attempt), tip);
                }
                Ok(Next::Step)
            }
            3 => Next::event(Event::Landed { task: id, landing }),
            _ => Ok(Next::Step),
        }
    }

    fn move_target(&mut self, attempt: AttemptId, target: &BranchName, landing: &Landing) -> Check {
        let before = self.repo.refs.insert(target.full(), landing.to);
        self.say(|| format!("{target} moves to {:?} for {attempt}", landing.to));
        self.check_move(attempt.task, target, before, landing)
    }

    /// What an attempt did, and what it builds on.
    pub(crate) fn own(&self, attempt: AttemptId) -> Check<Own> {
        let task = self.state().task(attempt.task).ok_or("nobody's change")?;
        let base = self.base(attempt).ok_or("a change without a base")?;
        let tip = task.change(attempt.number).ok_or("no change")?.tip;
        let (before, after) = (self.repo.content(base), self.repo.content(tip));
        Ok(Own { tip, before, after, needs: before & !self.repo.content(task.spec.base) })
    }
}

/// The change of an attempt, from `before` to `after`.
pub(crate) struct Own {
    pub(crate) tip: CommitId,
    pub(crate) before: Content,
    pub(crate) after: Content,
    /// What of `before` came from its needs.
    pub(crate) needs: Content,
}
