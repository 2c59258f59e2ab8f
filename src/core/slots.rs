//! All tasks of a repository, most of which nobody asks for any more.
//!
//! A task that is *dormant* (settled, and with nothing left to clear away) is read from the snapshot only when
//! somebody asks for it: until then its line stays a line. So a history of ten thousand tasks costs a look at ten
//! thousand line beginnings, and what is decided over and over again walks the open tasks alone.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;

use super::id::{TaskId, TaskName};
use super::kinds::{Kind, Kinds};
use super::state::{Place, Task};
use super::turns::{Find, Turns};

/// What the line of a dormant task begins with; the milliseconds of its last change follow.
const DORMANT: &str = "{\"dormant\":";

/// All tasks by id.
#[derive(Debug, Clone, Default)]
pub(super) struct Slots {
    slots: BTreeMap<TaskId, Slot>,
    open: BTreeSet<TaskId>,
    kinds: Kinds,
    turns: Turns,
}

#[derive(Debug, Clone)]
enum Slot {
    Task(Box<Task>),
    Line(Line),
}

/// A dormant task as it is written in the snapshot.
#[derive(Debug, Clone)]
struct Line {
    text: Arc<str>,
    range: Range<usize>,
    updated: i64,
    task: OnceCell<Option<Box<Task>>>,
}

impl Slots {
    /// One task. A line that does not parse is as good as none: `doctor` tells of it.
    pub(super) fn get(&self, id: TaskId) -> Option<&Task> {
        self.slots.get(&id).and_then(Slot::task)
    }

    /// Put a task in the place of what was there.
    pub(super) fn insert(&mut self, task: Task) {
        let (id, before) = (task.id, self.get(task.id).map(Turns::stands));
        if is_dormant(&task) {
            self.open.remove(&id);
        } else {
            self.open.insert(id);
        }
        self.kinds.changed(&task);
        self.slots.insert(id, Slot::Task(Box::new(task)));
        self.turns.changed(&self.slots, id, before);
    }

    /// All tasks, oldest first; each line is parsed.
    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = &Task> {
        self.slots.values().filter_map(Slot::task)
    }

    /// The tasks that are not dormant, oldest first.
    pub(super) fn open(&self) -> impl DoubleEndedIterator<Item = &Task> {
        self.open.iter().filter_map(|id| self.get(*id))
    }

    /// The tasks among so many from this one on that are not dormant.
    pub(super) fn open_from(&self, first: TaskId, count: u64) -> impl Iterator<Item = &Task> {
        self.open.range(first..TaskId(first.0.saturating_add(count))).filter_map(|id| self.get(*id))
    }

    /// The tasks of these kinds, oldest first. None of them is dormant.
    pub(super) fn of_kind(&self, kinds: &[Kind]) -> impl Iterator<Item = &Task> {
        self.kinds.any(kinds).into_iter().filter_map(|id| self.get(id))
    }

    /// The tasks of a kind among so many from this one on.
    pub(super) fn of_kind_from(&self, kind: Kind, first: TaskId, count: u64) -> impl Iterator<Item = &Task> {
        let range = first..TaskId(first.0.saturating_add(count));
        self.kinds.of(kind).range(range).filter_map(|id| self.get(*id))
    }

    /// Is there any task of these kinds?
    pub(super) fn has_kind(&self, kinds: &[Kind]) -> bool {
        kinds.iter().any(|kind| !self.kinds.of(*kind).is_empty())
    }

    /// The pending tasks whose needs are there, the most urgent first.
    pub(super) fn turns(&self) -> impl Iterator<Item = &Task> {
        self.turns.in_order().filter_map(|id| self.get(id))
    }

    /// Those of them that are of one kind, in the same order.
    pub(super) fn turns_of(&self, kind: Kind) -> Vec<&Task> {
        let mut keys: Vec<_> = self.kinds.of(kind).iter().filter_map(|id| self.turns.key(*id)).collect();
        keys.sort_unstable();
        keys.into_iter().filter_map(|(.., id)| self.get(id)).collect()
    }

    /// The tasks that a task asked for, oldest first. A line that does not name that one is not parsed.
    pub(super) fn asked_by(&self, parent: TaskId) -> Vec<&Task> {
        let mention = format!("\"parent\":\"{parent}.");
        let newer = self.slots.range(parent..).map(|(_, slot)| slot);
        let may_be = newer.filter(|slot| slot.may_mention(&mention)).filter_map(Slot::task);
        may_be.filter(|task| task.spec.parent.is_some_and(|by| by.task == parent)).collect()
    }

    /// How many tasks there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The dormant tasks by their last change, without parsing any.
    pub(super) fn dormant(&self) -> impl Iterator<Item = (i64, TaskId)> {
        let closed = self.slots.iter().filter(|(id, _)| !self.open.contains(id));
        closed.map(|(id, slot)| (slot.updated(), *id))
    }

    /// The newest task of a name.
    pub(super) fn named(&self, name: &TaskName) -> Option<&Task> {
        let mention = format!("\"name\":\"{name}\"");
        let may_be = self.slots.values().rev().filter(|slot| slot.may_mention(&mention));
        may_be.filter_map(Slot::task).find(|task| task.spec.name.as_ref() == Some(name))
    }

    /// One line for each task.
    pub(super) fn write(&self, out: &mut String) {
        for slot in self.slots.values() {
            match slot {
                Slot::Line(line) => out.push_str(&line.text[line.range.clone()]),
                Slot::Task(task) => {
                    let json = serde_json::to_string(task).expect("a task is a struct of strings and numbers");
                    if is_dormant(task) {
                        out.push_str(&format!("{DORMANT}{},{}", task.updated.as_millisecond(), &json[1..]));
                    } else {
                        out.push_str(&json);
                    }
                }
            }
            out.push('\n');
        }
    }

    /// Read what [`Slots::write`] wrote, from `start` on. The error names the line, counted from 1 there.
    pub(super) fn read(text: &Arc<str>, start: usize) -> Result<Self, (usize, String)> {
        let mut read = Self::default();
        let mut slots = Vec::new();
        let mut begin = start;
        for (number, line) in text[start..].split_terminator('\n').enumerate() {
            let range = begin..begin + line.len();
            begin = range.end + 1;
            if let Some((updated, id)) = dormant_head(line) {
                slots.push((id, Slot::Line(Line { text: text.clone(), range, updated, task: OnceCell::new() })));
            } else {
                let task: Task = serde_json::from_str(line).map_err(|error| (number + 1, error.to_string()))?;
                read.open.insert(task.id);
                slots.push((task.id, Slot::Task(Box::new(task))));
            }
        }
        read.slots = slots.into_iter().collect();
        for id in &read.open {
            if let Some(task) = read.slots.get(id).and_then(Slot::task) {
                read.kinds.changed(task);
            }
            read.turns.changed(&read.slots, *id, None);
        }
        Ok(read)
    }

    /// The lines that do not parse, by the id that they claim.
    pub(super) fn damaged(&self) -> Vec<TaskId> {
        self.slots.iter().filter(|(_, slot)| slot.task().is_none()).map(|(id, _)| *id).collect()
    }
}

impl Find for BTreeMap<TaskId, Slot> {
    fn find(&self, id: TaskId) -> Option<&Task> {
        self.get(&id).and_then(Slot::task)
    }
}

impl PartialEq for Slots {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.all().eq(other.all())
    }
}

impl Slot {
    fn task(&self) -> Option<&Task> {
        match self {
            Self::Task(task) => Some(task),
            Self::Line(line) => line.task.get_or_init(|| serde_json::from_str(line.text()).ok()).as_deref(),
        }
    }

    fn updated(&self) -> i64 {
        match self {
            Self::Task(task) => Timestamp::as_millisecond(task.updated),
            Self::Line(line) => line.updated,
        }
    }

    fn may_mention(&self, text: &str) -> bool {
        match self {
            Self::Task(_) => true,
            Self::Line(line) => line.text().contains(text),
        }
    }
}

impl Line {
    fn text(&self) -> &str {
        &self.text[self.range.clone()]
    }
}

/// Settled, and nothing of it is left to clear away.
fn is_dormant(task: &Task) -> bool {
    task.is_settled() && task.attempts.iter().all(|attempt| attempt.place == Place::Gone)
}

/// `{"dormant":1767225600000,"id":17,…`
fn dormant_head(line: &str) -> Option<(i64, TaskId)> {
    let (updated, rest) = line.strip_prefix(DORMANT)?.split_once(',')?;
    let id = rest.strip_prefix("\"id\":")?.split(',').next()?;
    Some((updated.parse().ok()?, TaskId(id.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use crate::core::sketch;
    use crate::core::state::State;

    #[test]
    fn what_is_written_is_read_and_dormant_tasks_wait_for_somebody_to_ask() {
        let state = sketch::state("1 withdrawn; 2 ready; 3 withdrawn; 4 after 2; 5 folded; 6 withdrawn");
        let text = state.write();
        let lines: Vec<bool> = text.lines().skip(1).map(|line| line.starts_with("{\"dormant\":")).collect();
        assert_eq!(lines, [true, false, true, false, false, true]);
        let read = State::read(text.clone()).unwrap();
        assert_eq!(read.open().map(|task| task.id.0).collect::<Vec<_>>(), [2, 4, 5]);
        assert_eq!(read.count(), 6);
        assert_eq!(read.write(), text);
        assert_eq!(read, state);
        assert!(read.last_settled(2).len() == 2 && read.last_settled(9).len() == 3);
    }

    #[test]
    fn a_damaged_line_is_told_with_its_number() {
        let text = sketch::state("1 ready; 2 withdrawn").write();
        let cut = text.replace("\"state\":\"ready\"", "\"state\":\"reedy\"");
        assert_eq!(State::read(cut).unwrap_err().0, 2);
        let cut = text.replace("\"state\":\"withdrawn\"", "\"state\":\"withdrown\"");
        assert_eq!(State::read(cut).unwrap().damaged().len(), 1);
    }
}
