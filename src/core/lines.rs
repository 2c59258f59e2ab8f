//! The lines of all targets, as far as verifying goes: what runs, what was answered, and what that means for each line.
//!
//! Part of the replay: [`Lines::apply`] follows the same events as the tasks do.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::change::{Direction, FoldRequest, Hold, Landing, Refusal};
use super::event::Event;
use super::id::{BranchName, CommitId, TaskId};
use super::state::{Task, TaskState};
use super::verify::{self, Baseline, Kept, Line, Purpose, Run, Verdict};

/// All lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lines {
    next_run: u32,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    runs: BTreeMap<u32, Run>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    lines: BTreeMap<BranchName, Line>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    verdicts: BTreeMap<String, Kept>,
}

impl Default for Lines {
    fn default() -> Self {
        Self { next_run: 1, runs: BTreeMap::new(), lines: BTreeMap::new(), verdicts: BTreeMap::new() }
    }
}

impl Lines {
    /// The number that the next run gets.
    pub fn next_run(&self) -> u32 {
        self.next_run
    }

    /// The runs that have no answer yet, oldest first.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.values()
    }

    /// One of them.
    pub fn run(&self, number: u32) -> Option<&Run> {
        self.runs.get(&number)
    }

    /// What is known of the line of a target.
    pub fn line(&self, target: &BranchName) -> Option<&Line> {
        self.lines.get(target)
    }

    /// All verdicts that are kept, by key.
    pub fn verdicts(&self) -> &BTreeMap<String, Kept> {
        &self.verdicts
    }

    /// Is this a legal step?
    pub(super) fn is_legal(&self, event: &Event) -> bool {
        match event {
            Event::VerifyStarted { run } => {
                // Several are made at once, and the later one may be done first.
                self.runs.values().all(|other| other.number != run.number && other.slot != run.slot)
            }
            Event::VerifyEnded { run, .. } => self.runs.contains_key(run),
            _ => true,
        }
    }

    /// Follow an event. `task` is the one that it is about, as it stood before.
    pub(super) fn apply(&mut self, event: &Event, task: Option<&Task>, at: Timestamp) {
        match event {
            Event::VerifyStarted { run } => {
                self.next_run = self.next_run.max(run.number + 1);
                if run.purpose.is_of_the_line() {
                    self.lines.entry(run.target.clone()).or_default().stands_on(run.head);
                }
                self.runs.insert(run.number, (**run).clone());
            }
            Event::VerifyEnded { run, verdict, wall_ms, cpu_ms } => {
                let Some(run) = self.runs.remove(run) else { return };
                self.answered(&run, verdict, 1, at);
                let used = cpu_ms.saturating_mul(100).checked_div(*wall_ms).filter(|_| verdict.is_about_the_tree());
                if let Some(used) = used {
                    self.lines.entry(run.target).or_default().cores = u32::try_from(used).unwrap_or(u32::MAX);
                }
            }
            Event::VerdictReused { run, verdict, times } => {
                if run.purpose.is_of_the_line() {
                    self.lines.entry(run.target.clone()).or_default().stands_on(run.head);
                }
                // Only what was really run twice counts twice.
                let line = self.lines.entry(run.target.clone()).or_default();
                (0..*times).for_each(|_| line.answered(run, verdict));
            }
            Event::HeadSeen { target, head } => self.lines.entry(target.clone()).or_default().stands_on(*head),
            Event::Landed { task: id, landing } => {
                if let Some((task, request)) = task.and_then(|task| Some((task, requested(task)?))) {
                    self.moved(*id, request, landing, candidate(task).unwrap_or(landing.to));
                }
            }
            Event::QueueLeft { task: id } => {
                if let Some(request) = task.and_then(requested) {
                    self.lost(*id, &request.target);
                }
            }
            Event::LandingRefused { task: id, refusal } => {
                if let Some(request) = task.and_then(requested) {
                    self.refused(*id, &request.target, refusal);
                }
            }
            _ => {}
        }
    }

    fn answered(&mut self, run: &Run, verdict: &Verdict, times: u32, at: Timestamp) {
        verify::keep(&mut self.verdicts, run, verdict, at);
        if run.is_past {
            return;
        }
        let line = self.lines.entry(run.target.clone()).or_default();
        (0..times).for_each(|_| line.answered(run, verdict));
    }

    fn moved(&mut self, task: TaskId, request: &FoldRequest, landing: &Landing, candidate: CommitId) {
        let Landing { from, to } = *landing;
        let Some(line) = self.lines.get_mut(&request.target) else { return };
        line.moved(task, request.check.as_deref(), landing, candidate);
        if request.check.is_some() && request.direction == Direction::Fold {
            line.landed += 1;
        }
        // A run that begins with it goes on, and is about the rest on the new head.
        for run in self.runs.values_mut().filter(|run| run.target == request.target && run.purpose == Purpose::Land) {
            if run.head == from && run.steps.first().is_some_and(|step| step.task == task && step.commit == candidate) {
                run.head = to;
                run.steps.remove(0);
            }
        }
    }

    fn refused(&mut self, task: TaskId, target: &BranchName, refusal: &Refusal) {
        let Some(line) = self.lines.get_mut(target) else { return };
        match refusal {
            Refusal::Rejected(_) => line.evicted += 1,
            Refusal::Held(Hold::Unverified { .. }) => {
                line.given_up += usize::from(!line.failures.is_empty());
                line.failures.clear();
            }
            // What is red where the target is red says nothing, and is not believed again.
            Refusal::Held(Hold::RedTarget { .. }) => {
                let vain: Vec<u32> = line.red.iter().map(|red| red.run).collect();
                let of_it = line.baseline.red.iter().map(|(run, _)| *run);
                let vain: Vec<u32> = vain.into_iter().chain(of_it).collect();
                self.verdicts.retain(|_, kept| !kept.verdict.is_red() || !vain.contains(&kept.run));
                line.baseline = Baseline::default();
            }
            Refusal::Conflict(_) | Refusal::Held(_) => {}
        }
        self.lost(task, target);
    }

    /// It is in the line no more, or is anew, at another place.
    fn lost(&mut self, task: TaskId, target: &BranchName) {
        if let Some(line) = self.lines.get_mut(target) {
            line.lost(task);
        }
        let is_about_it = |run: &&mut Run| run.target == *target && run.purpose == Purpose::Land;
        for run in self.runs.values_mut().filter(is_about_it) {
            run.is_past |= run.steps.iter().any(|step| step.task == task);
        }
    }
}

fn requested(task: &Task) -> Option<&FoldRequest> {
    match &task.state {
        TaskState::Queued { request, .. } | TaskState::Landing { request, .. } => Some(request),
        _ => None,
    }
}

fn candidate(task: &Task) -> Option<CommitId> {
    match &task.state {
        TaskState::Landing { candidate, .. } => *candidate,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::sketch::commit;
    use super::super::verify::Step;
    use super::*;

    #[test]
    fn what_stands_on_a_candidate_goes_on_when_another_commit_lands_for_it() {
        let step = |task: u64, id: u8| Step { task: TaskId(task), commit: commit(id.into()) };
        let (head, landed, again) = (commit(1), commit(12), commit(13));
        let mut line = Line { head: Some(head), ..Line::default() };
        line.green = vec![vec![step(1, 2), step(2, 3)], vec![step(1, 9), step(2, 3)]];
        line.moved(TaskId(1), None, &Landing { from: head, to: landed }, commit(2));
        assert_eq!((line.head, line.stand_in), (Some(landed), Some(commit(2))));
        assert_eq!(line.green, [vec![step(2, 3)]], "and what stands on another one does not");
        line.moved(TaskId(7), None, &Landing { from: landed, to: landed }, landed);
        assert_eq!(line.stand_in, Some(commit(2)), "what adds nothing moves nothing");
        line.green = vec![vec![step(2, 3), step(3, 4)]];
        line.moved(TaskId(2), None, &Landing { from: landed, to: again }, commit(3));
        assert_eq!((line.stand_in, line.green.len()), (Some(commit(3)), 1));
        line.moved(TaskId(3), None, &Landing { from: again, to: commit(4) }, commit(4));
        assert_eq!(line.stand_in, None, "it landed as it was");
        line.stand_in = Some(commit(3));
        line.stands_on(commit(30));
        assert_eq!(line.stand_in, None, "somebody else moved the target");
    }
}
