//! The plans that were taken, and what happens to their tasks together.

use super::{OnFailure, Plan, PlanId, State, Task};
use crate::core::event::{Event, Record};
use crate::core::id::{TaskId, TaskName};
use crate::core::kinds::Kind;
use crate::core::plan::steer::is_like;
use crate::core::state::TaskState;

impl State {
    /// All plans, oldest first.
    pub fn plans(&self) -> &[Plan] {
        &self.plans
    }

    /// One plan.
    pub fn plan(&self, id: &PlanId) -> Option<&Plan> {
        self.plans.iter().rev().find(|plan| plan.id == *id)
    }

    /// The newest plan of a name.
    pub fn newest_plan(&self, name: &TaskName) -> Option<&Plan> {
        self.plans.iter().rev().find(|plan| plan.id.name == *name)
    }

    /// The plan that a task is of.
    pub fn plan_of(&self, task: TaskId) -> Option<&Plan> {
        let behind = self.plans.partition_point(|plan| plan.first <= task);
        self.plans[..behind].last().filter(|plan| plan.has(task))
    }

    /// The tasks of a plan of which anything is still to be done or decided.
    pub fn open_in(&self, plan: &Plan) -> impl Iterator<Item = &Task> {
        self.tasks.open_from(plan.first, plan.count)
    }

    /// Those of them that are of one kind.
    pub fn of_kind_in(&self, kind: Kind, plan: &Plan) -> impl Iterator<Item = &Task> {
        self.tasks.of_kind_from(kind, plan.first, plan.count)
    }

    pub(super) fn is_legal(&self, event: &Event) -> bool {
        match event {
            Event::Planned { plan, specs } => {
                let is_new = plan.first.0 >= self.next && self.plan(&plan.id).is_none();
                is_new && plan.count == specs.len() as u64 && plan.first.0.checked_add(plan.count).is_some()
            }
            Event::PlanStopped { plan, by } => {
                self.plan(plan).is_some_and(|plan| plan.stopped_by.is_none() && plan.has(*by))
            }
            Event::Picked { task } => {
                let is_try = |task: &Task| task.spec.member.as_ref().is_some_and(|member| member.candidate.is_some());
                self.plan_of(*task).is_some() && self.task(*task).is_some_and(is_try)
            }
            _ => false,
        }
    }

    pub(super) fn apply_to_plan(&mut self, event: &Event, record: &Record) {
        match event {
            Event::Planned { plan, specs } => {
                self.next = plan.first.0 + plan.count;
                for (id, spec) in plan.tasks().zip(specs) {
                    self.tasks.insert(Task::new(id, spec.clone(), record.at));
                }
                self.plans.push(Plan { submitted: record.at, ..(**plan).clone() });
            }
            Event::PlanStopped { plan: id, by } => self.stop(id, *by, record),
            Event::Picked { task: picked } => {
                let Some(task) = self.task(*picked) else { return };
                let is_other = |other: &&Task| is_like(task, other) && other.id != *picked && !other.is_settled();
                let others: Vec<TaskId> = match self.plan_of(*picked) {
                    Some(plan) => self.open_in(plan).filter(is_other).map(|other| other.id).collect(),
                    None => return,
                };
                if let Some(plan) = self.plans.iter_mut().rev().find(|plan| plan.has(*picked)) {
                    plan.doomed.remove(picked);
                    plan.doomed.extend(others);
                    plan.picked.insert(*picked);
                }
            }
            _ => {}
        }
    }

    fn stop(&mut self, id: &PlanId, by: TaskId, record: &Record) {
        let Some(plan) = self.plan(id).cloned() else { return };
        let waiting: Vec<Task> = self.open_in(&plan).filter(|task| task.state == TaskState::Pending).cloned().collect();
        for task in waiting {
            let event = Event::Withdrawn { task: task.id };
            if let Some(after) = task.after(&Record { at: record.at, event }, 0) {
                self.tasks.insert(after);
            }
        }
        let left: Vec<TaskId> = match plan.on_failure {
            OnFailure::DiscardAll => {
                self.open_in(&plan).filter(|task| !task.is_settled()).map(|task| task.id).collect()
            }
            OnFailure::Continue | OnFailure::Stop => Vec::new(),
        };
        if let Some(plan) = self.plans.iter_mut().find(|plan| plan.id == *id) {
            plan.stopped_by = Some(by);
            plan.doomed.extend(left);
        }
    }

    /// Somebody wants it after all, or nothing is left to be discarded of it.
    pub(super) fn spare(&mut self, task: TaskId) {
        if self.plans.is_empty() {
            return;
        }
        let behind = self.plans.partition_point(|plan| plan.first <= task);
        if let Some(plan) = self.plans[..behind].last_mut().filter(|plan| !plan.doomed.is_empty()) {
            plan.doomed.remove(&task);
        }
    }
}
