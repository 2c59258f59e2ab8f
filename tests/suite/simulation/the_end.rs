//! What must be so when all has come to rest.

use pleach::core::change::{Collected, Hold, Refusal};
use pleach::core::event::{Event, Record};
use pleach::core::id::{CommitId, TaskId};
use pleach::core::state::{Place, State, Task, TaskState as S, Waiting};
use pleach::core::task::FoldPolicy;

use super::coordinator::{kept, pin};
use super::ledger::{is_fit, leaves_out};
use super::world::{Check, World, ensure};

impl World {
    pub(crate) fn check_the_end(&mut self) -> Check {
        let state = self.state();
        let stand = || state.tasks().map(|task| (task.id, &task.state)).collect::<Vec<_>>();
        ensure!(!state.has_work(), "at rest, and there is work: {:?}", stand());
        for task in state.tasks() {
            self.check_task_at_the_end(task)?;
        }
        self.check_runs_at_the_end()?;
        if let Some(unrecorded) = self.ledger.moves.iter().find(|m| !m.is_recorded) {
            return Err(format!("{} has landed, and nobody knows", unrecorded.task));
        }
        let heads: Vec<CommitId> =
            super::people::TARGETS.iter().map(|t| self.repo.refs[&format!("refs/heads/{t}")]).collect();
        for (_, pushed) in &self.ledger.pushed {
            ensure!(heads.iter().any(|head| self.repo.holds(*head, *pushed)), "a commit that somebody pushed is gone");
        }
        self.check_replay()
    }

    fn check_task_at_the_end(&self, task: &Task) -> Check {
        match &task.state {
            S::Running { .. } | S::Queued { .. } | S::Landing { .. } => {
                return Err(format!("{} hangs as {:?}", task.id, task.state));
            }
            S::Pending => {
                let is_blocked = matches!(self.state().waiting(task), Some(Waiting::Blocked(_) | Waiting::Needs(_)));
                let stands = |id: &TaskId| self.state().task(*id).is_some_and(is_fit);
                ensure!(is_blocked && !task.spec.needs.iter().all(stands), "{} never had its turn", task.id);
            }
            S::Refused { refusal: Refusal::Held(Hold::Overlap { .. } | Hold::Refused { .. }), .. } => {
                let is_tried_again = task.spec.fold == FoldPolicy::Auto && task.spec.target.is_some();
                ensure!(!is_tried_again, "{} is held for ever by what has passed", task.id);
            }
            S::Folded(folded) => {
                let attempt = task.attempt_id(folded.attempt);
                let own = self.own(attempt)?;
                let head = self.repo.refs[&folded.target.full()];
                ensure!(self.repo.holds(head, folded.landing.to), "the fold of {} is gone from its target", task.id);
                ensure!(own.after & !own.before & !self.repo.content(head) == 0, "the target lacks {}", task.id);
                let is_kept = self.repo.holds(head, own.tip) || self.repo.tip(&kept(attempt)) == Some(own.tip);
                ensure!(is_kept, "the fold of {} could not be taken back after a gc", task.id);
            }
            _ => {}
        }
        task.attempts.iter().try_for_each(|attempt| self.check_attempt_at_the_end(task, attempt.number))
    }

    fn check_attempt_at_the_end(&self, task: &Task, number: u32) -> Check {
        let id = task.attempt_id(number);
        let attempt = task.attempt(number).ok_or("no such attempt")?;
        let ended = attempt.ended.as_ref().ok_or_else(|| format!("{id} has no end"))?;
        let may_stay =
            (matches!(ended.result, Collected::Refused { .. }) || leaves_out(&ended.result)) && !attempt.freed;
        let is_gone = attempt.place == Place::Gone;
        ensure!(is_gone || may_stay, "the worktree of {id} is left over");
        if attempt.freed && task.state == S::Discarded {
            let restored = Record { at: self.now, event: Event::Restored { attempt: id } };
            ensure!(self.state().clone().apply(&restored).is_err(), "{id} is freed, and could be restored");
        }
        let Some(place) = self.places.get(&id) else { return Ok(()) };
        ensure!(!place.is_running, "the task of {id} is left over");
        let is_clean = !place.files && !place.registered && !self.repo.refs.contains_key(&pin(id));
        ensure!(is_clean == is_gone, "{id} is said to be {:?}, and is clean: {is_clean}", attempt.place);
        if let Some(change) = ended.result.change().filter(|_| !attempt.freed) {
            ensure!(self.repo.is_reachable(change.tip), "a gc would take the result of {id}");
            ensure!(
                place.wrote & !self.repo.content(change.tip) == 0,
                "the result of {id} lacks something that it wrote"
            );
        }
        Ok(())
    }

    /// The journal replays to the state that was lived, and so does a snapshot of half of it with the rest.
    fn check_replay(&mut self) -> Check {
        let half = self.rng.below(self.journal.records.len() + 1);
        let mut replayed = State::default();
        for (i, record) in self.journal.records.iter().enumerate() {
            if i == half {
                let snapshot = replayed.write();
                replayed = State::read(snapshot).map_err(|e| format!("the snapshot does not load: {e:?}"))?;
            }
            replayed.apply(record).map_err(|e| e.to_string())?;
        }
        ensure!(replayed == *self.state(), "the journal does not replay to the state that was lived");
        Ok(())
    }
}
