//! The order of the rows: plans with their tasks below them, and a task below what it needs.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::id::TaskId;
use crate::core::plan::PlanId;
use crate::core::report::{Row, Standing};

/// What one can stand on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// A plan.
    Plan(PlanId),
    /// A task.
    Task(TaskId),
}

/// A row of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) key: Key,
    /// Where its task is among the rows of the board; its first task, for a plan.
    pub(super) at: usize,
    /// What is drawn before its name.
    pub(super) branch: String,
    /// What lies below it and is not shown.
    pub(super) folded: usize,
}

/// How many tasks of a plan stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) all: usize,
    pub(super) running: usize,
    pub(super) waiting: usize,
    pub(super) attention: usize,
}

impl Tally {
    /// Count one.
    pub(super) fn add(&mut self, state: Standing) {
        self.all += 1;
        self.running += usize::from(matches!(state, Standing::Running | Standing::Cancelling));
        self.waiting += usize::from(state == Standing::Waiting);
        self.attention += usize::from(state.wants_attention());
    }
}

/// All rows, in order. `rows` are by id; what is in `closed` is shown without what lies below it.
pub(super) fn items(rows: &[Row], closed: &BTreeSet<Key>) -> Vec<Item> {
    let place: BTreeMap<TaskId, usize> = rows.iter().enumerate().map(|(at, row)| (row.id, at)).collect();
    // A task stands below the last of its needs that is there, of the same plan.
    let parent = |row: &Row| {
        let is_of_it = |at: &usize| rows[*at].plan == row.plan && rows[*at].id < row.id;
        let asked = row.parent.and_then(|parent| place.get(&parent).copied()).filter(|at| rows[*at].id < row.id);
        // What a task asked for stands below that.
        asked.or_else(|| row.needs.iter().filter_map(|need| place.get(need).copied()).filter(is_of_it).max())
    };
    let mut below: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut tops = Vec::new();
    let mut plans: BTreeMap<&PlanId, Vec<usize>> = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        match (parent(row), &row.plan) {
            (Some(parent), _) => below.entry(parent).or_default().push(at),
            (None, Some(plan)) => {
                let tasks = plans.entry(plan).or_default();
                if tasks.is_empty() {
                    tops.push(at);
                }
                tasks.push(at);
            }
            (None, None) => tops.push(at),
        }
    }
    let mut walk = Walk { rows, below: &below, closed, items: Vec::with_capacity(rows.len()) };
    for at in tops {
        match &rows[at].plan {
            Some(plan) => walk.plan(plan, at, &plans[plan]),
            None => walk.task(at, "", ""),
        }
    }
    walk.items
}

struct Walk<'a> {
    rows: &'a [Row],
    below: &'a BTreeMap<usize, Vec<usize>>,
    closed: &'a BTreeSet<Key>,
    items: Vec<Item>,
}

impl Walk<'_> {
    fn plan(&mut self, plan: &PlanId, at: usize, tasks: &[usize]) {
        let key = Key::Plan(plan.clone());
        let is_closed = self.closed.contains(&key);
        let folded = if is_closed { tasks.iter().map(|task| 1 + self.count_below(*task)).sum() } else { 0 };
        self.items.push(Item { key, at, branch: String::new(), folded });
        if !is_closed {
            self.children(tasks, "");
        }
    }

    /// A task and what lies below it. Chains of needs can be long, so this does not call itself.
    fn task(&mut self, at: usize, branch: &str, indent: &str) {
        let mut open = vec![(at, branch.to_owned(), indent.to_owned())];
        while let Some((at, branch, indent)) = open.pop() {
            let key = Key::Task(self.rows[at].id);
            let below = self.below.get(&at).map(Vec::as_slice).unwrap_or_default();
            let is_closed = self.closed.contains(&key) && !below.is_empty();
            let folded = if is_closed { self.count_below(at) } else { 0 };
            self.items.push(Item { key, at, branch, folded });
            if !is_closed {
                open.extend(forks(below, &indent).into_iter().rev());
            }
        }
    }

    fn children(&mut self, tasks: &[usize], indent: &str) {
        for (at, branch, indent) in forks(tasks, indent) {
            self.task(at, &branch, &indent);
        }
    }

    fn count_below(&self, at: usize) -> usize {
        let mut open = vec![at];
        let mut count = 0;
        while let Some(at) = open.pop() {
            let below = self.below.get(&at).map(Vec::as_slice).unwrap_or_default();
            count += below.len();
            open.extend(below);
        }
        count
    }
}

/// The deepest that is drawn: who stands deeper is drawn there all the same.
const DEEPEST: usize = 8;

fn forks(tasks: &[usize], indent: &str) -> Vec<(usize, String, String)> {
    let is_deep = indent.chars().count() >= 2 * DEEPEST;
    let fork = |(number, at): (usize, &usize)| {
        let is_last = number + 1 == tasks.len();
        let branch = format!("{indent}{}", if is_last { "└ " } else { "├ " });
        let below =
            if is_deep { indent.to_owned() } else { format!("{indent}{}", if is_last { "  " } else { "│ " }) };
        (*at, branch, below)
    };
    tasks.iter().enumerate().map(fork).collect()
}
