//! Those who ask for things, and those who push to the target without asking anybody.

use pleach::core::action::Action;
use pleach::core::agent::{Assigned, preset};
use pleach::core::change::{Collected, Direction, FoldRequest};
use pleach::core::event::Event;
use pleach::core::id::{AttemptId, BranchName, TaskId};
use pleach::core::state::{Task, TaskState as S};
use pleach::core::task::{CommandLine, FoldPolicy, Priority, Strategy, TaskSpec};
use pleach::core::verify::Check as VerifyCheck;

use super::coordinator::{Coordinator, Doing, branch, kept};
use super::world::{Check, World};

pub(crate) const TARGETS: [&str; 2] = ["main", "dev"];
const STRATEGIES: [Strategy; 6] =
    [Strategy::Merge, Strategy::Merge, Strategy::Auto, Strategy::Squash, Strategy::Rebase, Strategy::FastForward];

impl World {
    /// One request, recorded if it fits. A request starts a coordinator where none runs.
    pub(crate) fn somebody_asks(&mut self) -> Check {
        if self.coordinator.is_none() {
            return self.coordinator_starts();
        }
        if (self.state().next_task().0 as usize) <= self.shape.tasks && self.rng.one_in(2) {
            let event = self.submission();
            return self.record(event);
        }
        match self.rng.below(30) {
            0 if !self.state().is_paused() => return self.record(Event::Paused),
            1..=4 if self.state().is_paused() => return self.record(Event::Resumed),
            _ => {}
        }
        let ids: Vec<TaskId> = self.state().tasks().map(|task| task.id).collect();
        if ids.is_empty() {
            return Ok(());
        }
        // People act on what has just happened.
        let newest = self.journal.records.last().and_then(|record| record.event.task());
        let id = match newest.filter(|_| self.rng.one_in(3)) {
            Some(id) => id,
            None => *self.rng.pick(&ids),
        };
        let task = self.state().task(id).cloned().expect("it is in the list");
        match self.wish(&task) {
            Some(event) => self.record(event),
            None => Ok(()),
        }
    }

    fn submission(&mut self) -> Event {
        let task = self.state().next_task();
        let rng = &mut self.rng;
        let mut needs = Vec::new();
        let is_queue = self.shape.is_queue;
        for _ in 0..*rng.pick(if is_queue { &[0, 0, 0, 0, 0, 1] } else { &[0, 0, 1, 1, 2, 3] }) {
            if task.0 > 1 {
                needs.push(TaskId(1 + rng.below(task.0 as usize - 1) as u64));
            }
        }
        needs.sort();
        needs.dedup();
        let target = BranchName((*rng.pick(&[TARGETS[0], TARGETS[0], TARGETS[0], TARGETS[1]])).to_owned());
        let (check, unverified) = self.any_check();
        let rng = &mut self.rng;
        let spec = TaskSpec {
            called: None,
            secrets: Vec::new(),
            check,
            unverified,
            sandbox: Default::default(),
            hooks: Vec::new(),
            publish: Default::default(),
            name: None,
            command: CommandLine::Shell("true".into()),
            directory: Default::default(),
            checkout: None,
            priority: *rng.pick(&[Priority::Low, Priority::Normal, Priority::High, Priority::Critical]),
            group: rng.pick(&[None, None, Some("a"), Some("b"), Some("c")]).map(str::to_owned),
            needs,
            base: self.repo.refs[&target.full()],
            target: (!rng.one_in(6)).then_some(target),
            timeout: None,
            grace: 10,
            needs_memory: 0,
            retries: *rng.pick(&[0, 0, 1, 2]),
            env: Default::default(),
            environment: None,
            fold: if is_queue && !rng.one_in(4) {
                FoldPolicy::Auto
            } else {
                *rng.pick(&[
                    FoldPolicy::Auto,
                    FoldPolicy::Auto,
                    FoldPolicy::Auto,
                    FoldPolicy::Review,
                    FoldPolicy::Never,
                ])
            },
            strategy: if rng.one_in(if is_queue { 6 } else { 2 }) { Some(*rng.pick(&STRATEGIES)) } else { None },
            message: None,
            copy: Vec::new(),
            worktree: Default::default(),
            clean: false,
            setup: None,
            log_cap: 1,
            member: None,
            // No dice: the course of a seed stays what it was.
            agent: task
                .0
                .is_multiple_of(3)
                .then(|| Box::new(Assigned::new(preset("claude").expect("it is built in").agent))),
            role: None,
            tenant: None,
            request: String::new(),
            delegation: Default::default(),
            parent: None,
            depth: 0,
            paths: Vec::new(),
        };
        let spec = self.maybe_delegated(spec);
        Event::Submitted { task, spec: Box::new(spec) }
    }

    /// Some are asked for by a task that runs, and share its group.
    fn maybe_delegated(&mut self, spec: TaskSpec) -> TaskSpec {
        let may_ask = |task: &&Task| task.state == S::Running { cancel: None } && task.spec.parent.is_none();
        let parents: Vec<(AttemptId, Option<String>)> = self
            .state()
            .tasks()
            .filter(may_ask)
            .filter_map(|task| Some((task.last_attempt()?, task.spec.group.clone())))
            .collect();
        if parents.is_empty() || !self.rng.one_in(3) {
            return spec;
        }
        let (parent, group) = self.rng.pick(&parents).clone();
        TaskSpec { parent: Some(parent), group, depth: 1, needs: Vec::new(), ..spec }
    }

    /// Something that may be asked of a task that stands where it stands.
    fn wish(&mut self, task: &Task) -> Option<Event> {
        let id = task.id;
        let now = self.rng.one_in(3);
        let what = self.rng.below(12);
        match &task.state {
            S::Pending => (what == 0).then_some(Event::Withdrawn { task: id }),
            S::Running { .. } => (what < 3).then_some(Event::CancelRequested { task: id, now }),
            S::Queued { .. } if task.on_hold => now.then_some(Event::QueueReleased { task: id }),
            S::Queued { request, .. } if now && self.rng.one_in(3) => match what {
                0 => Some(Event::QueueHeld { task: id }),
                2 => Some(Event::QueueLeft { task: id }),
                3 => Some(self.any_order(&request.target)),
                _ => None,
            },
            S::Queued { .. } | S::Landing { .. } => None,
            S::Folded(folded) if what < 6 => {
                let target = folded.target.clone();
                Some(self.fold_request(id, Direction::Undo, target))
            }
            S::Folded(_) if what < 8 => self.free(task),
            S::Folded(_) => None,
            S::Ready { .. } | S::Refused { .. } if what < 6 => {
                let other = BranchName((*self.rng.pick(&TARGETS)).to_owned());
                let target = task.spec.target.clone().unwrap_or(other);
                Some(self.fold_request(id, Direction::Fold, target))
            }
            _ if what < 8 => {
                let target = task.spec.target.clone().filter(|target| now && task.handed_back(target).is_some());
                Some(Event::Retried { task: id, onto: target, remarks: None })
            }
            S::Discarded | S::Failed | S::Ready { .. } | S::Refused { .. } if what < 10 => {
                let with_change = task.attempts.iter().filter(|a| task.change(a.number).is_some() && !a.freed);
                let attempts: Vec<u32> = with_change.map(|a| a.number).collect();
                let refused = task.attempts.iter().find(|attempt| attempt.is_recoverable());
                if let Some(refused) = refused.filter(|_| what < 9) {
                    return Some(self.recover(task, refused.number));
                }
                if attempts.is_empty() {
                    return None;
                }
                Some(Event::Restored { attempt: task.attempt_id(*self.rng.pick(&attempts)) })
            }
            S::Discarded => self.free(task),
            _ => Some(Event::Discarded { task: id }),
        }
    }

    /// The line of a target, in any order.
    fn any_order(&mut self, target: &BranchName) -> Event {
        let is_in_it = |task: &&Task| matches!(&task.state, S::Queued { request, .. } if request.target == *target);
        let mut left: Vec<TaskId> = self.state().tasks().filter(is_in_it).map(|task| task.id).collect();
        let mut tasks = Vec::new();
        while !left.is_empty() {
            tasks.push(left.swap_remove(self.rng.below(left.len())));
        }
        Event::QueueMoved { target: target.clone(), tasks }
    }

    /// What somebody wants a result to pass: mostly what is set up for all, now and then another one, or none.
    fn any_check(&mut self) -> (Option<Box<VerifyCheck>>, bool) {
        let Some(usual) = self.shape.checks.first() else { return (None, false) };
        match self.rng.below(12) {
            0 if !self.shape.is_queue || self.rng.one_in(3) => (None, true),
            1 | 2 if !self.shape.is_queue || self.rng.one_in(3) => {
                (self.shape.checks.last().cloned().map(Box::new), false)
            }
            _ => (Some(Box::new(usual.clone())), false),
        }
    }

    fn fold_request(&mut self, task: TaskId, direction: Direction, target: BranchName) -> Event {
        let strategy = *self.rng.pick(&STRATEGIES);
        let (check, unverified) = self.any_check();
        let (check, unverified) =
            (check.filter(|_| direction == Direction::Fold), unverified && direction == Direction::Fold);
        Event::FoldRequested {
            task,
            request: FoldRequest {
                direction,
                target,
                strategy,
                message: None,
                accept_flags: true,
                tip: None,
                check,
                unverified,
                hooks: Vec::new(),
            },
        }
    }

    /// What was refused is taken over once more, and comes in.
    fn recover(&mut self, task: &Task, number: u32) -> Event {
        let attempt = task.attempt_id(number);
        let base = self.base(attempt);
        let place = self.places.entry(attempt).or_default();
        place.is_refused = false;
        let tip = place.exit.as_ref().and_then(|(_, tip)| *tip).filter(|tip| Some(*tip) != base);
        let result = match tip {
            Some(tip) => {
                self.repo.refs.insert(kept(attempt), tip);
                self.change(attempt, tip)
            }
            None => Collected::Nothing,
        };
        Event::Recovered { attempt, result, notes: Vec::new() }
    }

    /// `gc` of what was discarded or folded. The tip of a fold stays where the target does not hold it.
    fn free(&mut self, task: &Task) -> Option<Event> {
        let gone = |attempt: AttemptId| self.places.get(&attempt).is_none_or(|place| !place.files);
        let mut ended =
            task.attempts.iter().rev().filter(|a| a.ended.is_some() && !a.freed && gone(task.attempt_id(a.number)));
        let attempt = task.attempt_id(ended.next()?.number);
        let is_held = match &task.state {
            S::Folded(folded) if folded.attempt == attempt.number => task
                .change(attempt.number)
                .is_some_and(|c| self.repo.holds(self.repo.refs[&folded.target.full()], c.tip)),
            _ => true,
        };
        if is_held {
            self.repo.refs.remove(&kept(attempt));
        }
        Some(Event::Freed { attempt })
    }

    /// Somebody pushes to a target: a commit of their own, or the branch of a task that they merged by hand.
    pub(crate) fn somebody_else(&mut self) -> Check {
        // They like to do it while we land something.
        let moves = |doing: &Doing| {
            matches!(doing.action, Action::Land(..) | Action::Advance { .. } | Action::Candidate { .. })
        };
        let lands = |c: &Coordinator| c.doing.iter().any(moves);
        let rate = self.shape.others_push / if self.coordinator.as_ref().is_some_and(lands) { 5 } else { 1 };
        if !self.befalls(rate) {
            return Ok(());
        }
        let name = format!("refs/heads/{}", self.rng.pick(&TARGETS));
        let head = self.repo.refs[&name];
        let theirs = TaskId(1 + self.rng.below(self.shape.tasks) as u64);
        let to = match self.repo.tip(&branch(theirs).full()).filter(|_| self.rng.one_in(3)) {
            Some(tip) => match self.repo.merge(head, tip) {
                Ok(content) => self.repo.commit(&[head, tip], content),
                Err(_) => return Ok(()),
            },
            None => {
                let before = self.repo.content(head);
                let checks: Vec<&str> = self.shape.checks.iter().map(|check| check.command.as_str()).collect();
                let is_red = checks.iter().any(|check| self.repo.is_bad(check, before));
                let change = match is_red && self.rng.one_in(2) {
                    true => self.repo.mend(&checks, before),
                    false => self.repo.new_change(),
                };
                let content = before | change;
                self.repo.commit(&[head], content)
            }
        };
        self.say(|| format!("somebody moves {name} to {to:?}"));
        self.repo.refs.insert(name, to);
        self.ledger.pushed.push((head, to));
        Ok(())
    }
}
