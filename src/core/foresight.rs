//! Conflicts to come: which results are to be compared with which, and what of an earlier answer still holds.
//!
//! What was foreseen is never journaled: it can be had again at any time. It is kept as it was found, and whoever shows it
//! asks here what the tasks and their targets have become since.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::change::{Direction, Refusal, list};
use super::id::{AttemptId, BranchName, CommitId, TaskId};
use super::kinds::Kind;
use super::merge_queue;
use super::state::{State, Task, TaskState};
use super::word::Word;

/// The version of what is kept. What has another one is as if it were not there.
pub const VERSION: u32 = 1;
/// How many others are named for one change. The rest are counted.
pub const MOST_OTHERS: usize = 20;
/// How many paths are named for one conflict. The rest are counted.
pub const MOST_PATHS: usize = 20;

/// What was foreseen for every target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foresight {
    /// [`VERSION`].
    pub version: u32,
    /// One for each target that results are meant for.
    pub targets: Vec<Outlook>,
}

/// What was foreseen for one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlook {
    /// Which.
    pub target: BranchName,
    /// The head that it had.
    pub head: CommitId,
    /// What was compared.
    pub changes: Vec<Compared>,
    /// What was found. A conflict of two is in it once.
    pub clashes: Vec<Clash>,
}

/// A change that was compared with the others of its target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// Whose.
    pub attempt: AttemptId,
    /// Its last commit; none as long as the attempt runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tip: Option<CommitId>,
    /// Does it come with what it builds on, which the target does not have?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_needs: bool,
    /// Others that it will conflict with and that are not named.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: usize,
}

/// A conflict to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clash {
    /// The place of one change among [`Outlook::changes`].
    pub one: usize,
    /// The place of the other, behind that of the one; none where it is the target that it conflicts with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<usize>,
    /// Where. None may be named, for a conflict of another kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<Word>,
    /// Paths that are not named.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: usize,
    /// Both touch these paths, and no merge was tried.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may: bool,
}

/// A conflict to come, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WillConflict {
    /// The task with whose result; none where it is the target itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<TaskId>,
    /// Where. None may be named, for a conflict of another kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<Word>,
    /// Paths that are not named.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: usize,
    /// It is not sure: both touch these paths but no merge was tried, or the target has moved since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may: bool,
}

/// All that one task will conflict with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// The target before all others, what is sure before what is not.
    pub conflicts: Vec<WillConflict>,
    /// Others that are not among them.
    pub more: usize,
}

/// A change that may meet others on the way into its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Whose.
    pub attempt: AttemptId,
    /// Where it begins. For one that builds on results that are not in the target this is before them: it comes with them.
    pub base: CommitId,
    /// Where it ends; none as long as the attempt runs.
    pub tip: Option<CommitId>,
    /// The tasks that it builds on, over however many others. It does not conflict with these.
    pub needs: BTreeSet<TaskId>,
    /// Are there any of these that the target does not have?
    pub with_needs: bool,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Default for Foresight {
    fn default() -> Self {
        Self { version: VERSION, targets: Vec::new() }
    }
}

impl Foresight {
    /// Have the results of these tasks been compared with the others that are `open`? One alone has nobody to be compared with.
    pub fn has_compared(&self, open: &BTreeMap<BranchName, Vec<Open>>, tasks: &BTreeSet<TaskId>) -> bool {
        open.iter().all(|(target, changes)| {
            let outlook = self.targets.iter().find(|outlook| outlook.target == *target);
            let seen = outlook.map(|outlook| &outlook.changes[..]).unwrap_or_default();
            let is_seen = |open: &Open| seen.iter().any(|it| it.attempt == open.attempt && it.tip == open.tip);
            let finished: Vec<&Open> = changes.iter().filter(|change| change.tip.is_some()).collect();
            let mut meant = finished.iter().filter(|change| tasks.contains(&change.attempt.task));
            finished.len() < 2 || meant.all(|change| is_seen(change))
        })
    }
}

impl WillConflict {
    /// `will conflict with 7 in src/a.rs`
    pub fn words(&self, target: Option<&BranchName>) -> String {
        let with = match (self.with, target) {
            (Some(task), _) => task.to_string(),
            (None, Some(target)) => target.to_string(),
            (None, None) => "its target".to_owned(),
        };
        let will = if self.may { "may" } else { "will" };
        let named = self.paths.iter().map(Word::shown);
        // Those that are not named count all the same.
        let nameless = std::iter::repeat_n(String::new(), self.more);
        let paths: Vec<String> = named.chain(nameless).collect();
        let paths = if paths.is_empty() { String::new() } else { format!(" in {}", list(paths.into_iter())) };
        format!("{will} conflict with {with}{paths}")
    }
}

/// What is to be compared, for each target: results that wait for somebody or stand in the line, and what still runs.
///
/// Not among them: undos, results whose fold was taken back (the graph no longer tells what they change), and those of
/// which a conflict with the target is known already.
pub fn open(state: &State) -> BTreeMap<BranchName, Vec<Open>> {
    let mut open: BTreeMap<BranchName, Vec<Open>> = BTreeMap::new();
    let kinds = [Kind::Ready, Kind::Running, Kind::InLine, Kind::Refused];
    for task in state.of_kind(&kinds).filter(|task| !task.undone) {
        if let Some((target, change)) = open_of(state, task) {
            open.entry(target.clone()).or_default().push(change);
        }
    }
    open
}

fn open_of<'a>(state: &State, task: &'a Task) -> Option<(&'a BranchName, Open)> {
    let (target, number) = match &task.state {
        TaskState::Ready { attempt } => (task.spec.target.as_ref()?, *attempt),
        TaskState::Running { .. } => (task.spec.target.as_ref()?, task.attempts.last()?.number),
        TaskState::Queued { request, attempt, .. } | TaskState::Landing { request, attempt, .. }
            if request.direction == Direction::Fold =>
        {
            (&request.target, *attempt)
        }
        TaskState::Refused { request, attempt, refusal: Refusal::Held(_) | Refusal::Rejected(_) } => {
            (&request.target, *attempt)
        }
        _ => return None,
    };
    let attempt = task.attempt(number).filter(|attempt| !attempt.freed)?;
    let tip = match attempt.ended {
        Some(_) => Some(task.change(number)?.tip),
        None => None,
    };
    let with_needs = !merge_queue::unfolded(state, task, target).is_empty();
    let base = if with_needs { task.spec.base } else { attempt.base? };
    Some((target, Open { attempt: task.attempt_id(number), base, tip, needs: needs(state, task), with_needs }))
}

fn needs(state: &State, task: &Task) -> BTreeSet<TaskId> {
    let (mut met, mut open) = (BTreeSet::new(), task.spec.needs.clone());
    while let Some(id) = open.pop() {
        if met.insert(id) {
            open.extend(state.task(id).map(|need| need.spec.needs.as_slice()).unwrap_or_default());
        }
    }
    met
}

impl Outlook {
    /// What was found, made small enough to be kept: so many others and paths are named, the rest are counted.
    pub fn new(target: BranchName, head: CommitId, changes: &[Open], mut clashes: Vec<Clash>) -> Self {
        let compared =
            |open: &Open| Compared { attempt: open.attempt, tip: open.tip, with_needs: open.with_needs, more: 0 };
        let mut changes: Vec<Compared> = changes.iter().map(compared).collect();
        // The target first, then what is sure, then what stands next to each other.
        clashes.sort_by_key(|clash| {
            let distance = clash.other.map(|other| other.abs_diff(clash.one));
            (clash.other.is_some(), clash.may, distance, clash.one)
        });
        let mut named = vec![0; changes.len()];
        clashes.retain_mut(|clash| {
            clash.more += clash.paths.len().saturating_sub(MOST_PATHS);
            clash.paths.truncate(MOST_PATHS);
            let Some(other) = clash.other else { return true };
            let both = [clash.one, other];
            let is_kept = both.iter().any(|place| named[*place] < MOST_OTHERS);
            both.iter().for_each(|place| if is_kept { named[*place] += 1 } else { changes[*place].more += 1 });
            is_kept
        });
        Self { target, head, changes, clashes }
    }

    /// Is it worth another look? The target has moved since, or something runs.
    pub fn is_to_look_at(&self, heads: &BTreeMap<BranchName, CommitId>) -> bool {
        let has_moved = heads.get(&self.target) != Some(&self.head);
        self.changes.iter().any(|change| has_moved || change.tip.is_none())
    }
}

/// What still holds of what was foreseen, by task. `heads` are those that the targets have now.
///
/// Where a target has moved since, nothing is sure any more. One that a change conflicted with and that has landed since is
/// told as part of the target. What belongs to a result that is not there any more is not told.
pub fn told(state: &State, foresight: &Foresight, heads: &BTreeMap<BranchName, CommitId>) -> BTreeMap<TaskId, Told> {
    let mut told: BTreeMap<TaskId, Told> = BTreeMap::new();
    for outlook in foresight.targets.iter().filter(|_| foresight.version == VERSION) {
        let places: Vec<Place> = outlook.changes.iter().map(|change| place(state, &outlook.target, change)).collect();
        let has_moved = heads.get(&outlook.target) != Some(&outlook.head);
        for clash in &outlook.clashes {
            let (Some(one), other) = (places.get(clash.one), clash.other.map(|other| places.get(other))) else {
                continue;
            };
            let attempt = |place: usize| outlook.changes[place].attempt.task;
            let is_guess = |place: Option<usize>| place.is_some_and(|place| outlook.changes[place].with_needs);
            let may = clash.may || has_moved || is_guess(Some(clash.one)) || is_guess(clash.other);
            let mut tell = |who: TaskId, with: Option<TaskId>, may: bool| {
                let conflict = WillConflict { with, paths: clash.paths.clone(), more: clash.more, may };
                told.entry(who).or_default().conflicts.push(conflict);
            };
            match (one, other, clash.other) {
                (Place::Open, None, _) => tell(attempt(clash.one), None, may),
                (Place::Open, Some(Some(Place::Open)), Some(other)) => {
                    tell(attempt(clash.one), Some(attempt(other)), may);
                    tell(attempt(other), Some(attempt(clash.one)), may);
                }
                (Place::Open, Some(Some(Place::Landed)), _) => tell(attempt(clash.one), None, true),
                (Place::Landed, Some(Some(Place::Open)), Some(other)) => tell(attempt(other), None, true),
                _ => {}
            }
        }
        for (change, place) in outlook.changes.iter().zip(&places) {
            if change.more > 0 && *place == Place::Open {
                told.entry(change.attempt.task).or_default().more += change.more;
            }
        }
    }
    for told in told.values_mut() {
        told.conflicts.sort_by_key(|conflict| (conflict.with.is_some(), conflict.may, conflict.with));
        // Several that landed since are one target.
        let mut has_target = false;
        told.conflicts.retain(|conflict| conflict.with.is_some() || !std::mem::replace(&mut has_target, true));
    }
    told
}

/// What has become of a change that was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Open,
    Landed,
    Gone,
}

fn place(state: &State, target: &BranchName, change: &Compared) -> Place {
    let Some(task) = state.task(change.attempt.task) else { return Place::Gone };
    let number = change.attempt.number;
    let is_same = |open: &Open| open.attempt == change.attempt && (change.tip.is_none() || open.tip == change.tip);
    match open_of(state, task) {
        Some((meant, open)) if meant == target && is_same(&open) && !task.undone => Place::Open,
        _ if task.is_folded_into(target) && task.result_attempt().is_some_and(|result| result.number == number) => {
            Place::Landed
        }
        _ => Place::Gone,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::super::sketch;
    use super::*;

    fn check_open(tasks: &str, picture: Expect) {
        let mut lines = Vec::new();
        for (target, changes) in open(&sketch::state(tasks)) {
            for change in changes {
                let runs = if change.tip.is_none() { " runs" } else { "" };
                let needs = if change.with_needs { format!(" with {:?}", change.needs) } else { String::new() };
                lines.push(format!("{} to {target}{runs}{needs}", change.attempt));
            }
        }
        picture.assert_eq(&lines.join(", "));
    }

    #[test]
    fn who_is_compared() {
        check_open(
            "1 ready; 2 queued into dev; 3 running; 4 folded; 5 discarded; 6 failed; 7 landing; 8; 9 undoing; 10 refused",
            expect!["2.1 to dev, 1.1 to main, 3.1 to main runs, 7.1 to main"],
        );
        check_open(
            "1 ready; 2 ready after 1; 3 folded; 4 ready after 3; 5 ready after 2",
            expect!["1.1 to main, 2.1 to main with {#1}, 4.1 to main, 5.1 to main with {#1, #2}"],
        );
    }

    #[test]
    fn what_has_just_ended_is_waited_for() {
        let before = sketch::state("1 ready; 2 running");
        let now = sketch::state("1 ready; 2 ready; 3 running");
        let seen = |state: &State| Foresight { targets: vec![outlook(state, "1-main a")], ..Foresight::default() };
        let of = |id: u64| BTreeSet::from([TaskId(id)]);
        let nobody = Foresight::default();
        assert!(nobody.has_compared(&open(&before), &of(1)), "there is nobody else");
        assert!(!nobody.has_compared(&open(&now), &of(1)));
        assert!(seen(&before).has_compared(&open(&now), &of(1)));
        assert!(!seen(&before).has_compared(&open(&now), &of(2)), "it ran then");
        assert!(seen(&now).has_compared(&open(&now), &of(2)));
        assert!(nobody.has_compared(&open(&now), &of(3)), "it runs");
    }

    /// All of a line are compared, and these conflict: `1-2 a, 3-main b`.
    fn outlook(state: &State, clashes: &str) -> Outlook {
        let target = BranchName("main".to_owned());
        let changes = open(state).remove(&target).unwrap_or_default();
        let place = |id: &str| changes.iter().position(|change| change.attempt.task.to_string() == id);
        let clash = |text: &str| {
            let (who, path) = text.trim().split_once(' ').unwrap();
            let (one, other) = who.split_once('-').unwrap();
            let may = path.ends_with('?');
            let paths = vec![path.trim_end_matches('?').into()];
            Clash { one: place(one).unwrap(), other: place(other), paths, more: 0, may }
        };
        let clashes = clashes.split(',').map(clash).collect();
        Outlook::new(target, sketch::commit(1), &changes, clashes)
    }

    fn check_told(before: &str, clashes: &str, after: &str, head: u64, picture: Expect) {
        let foresight = Foresight { targets: vec![outlook(&sketch::state(before), clashes)], ..Foresight::default() };
        let heads = BTreeMap::from([(BranchName("main".to_owned()), sketch::commit(head))]);
        let target = BranchName("main".to_owned());
        let mut lines = Vec::new();
        for (task, told) in told(&sketch::state(after), &foresight, &heads) {
            let words: Vec<String> = told.conflicts.iter().map(|conflict| conflict.words(Some(&target))).collect();
            lines.push(format!("{task} {}", words.join(", ")));
        }
        picture.assert_eq(&lines.join("\n"));
    }

    #[test]
    fn what_still_holds_is_told() {
        let (before, clashes) = ("1 ready; 2 ready; 3 ready; 4 running", "1-2 a, 3-main b, 2-3 c, 3-4 d?");
        check_told(
            before,
            clashes,
            before,
            1,
            expect![[r#"
            1 will conflict with 2 in a
            2 will conflict with 1 in a, will conflict with 3 in c
            3 will conflict with main in b, will conflict with 2 in c, may conflict with 4 in d
            4 may conflict with 3 in d"#]],
        );
        check_told(
            before,
            clashes,
            before,
            2,
            expect![[r#"
            1 may conflict with 2 in a
            2 may conflict with 1 in a, may conflict with 3 in c
            3 may conflict with main in b, may conflict with 2 in c, may conflict with 4 in d
            4 may conflict with 3 in d"#]],
        );
        check_told(
            before,
            clashes,
            "1 folded; 2 ready; 3 discarded; 4 running",
            2,
            expect!["2 may conflict with main in a"],
        );
        check_told(
            before,
            clashes,
            "1 folded; 2 ready; 3 ready; 4 ready",
            1,
            expect![[r#"
            2 may conflict with main in a, will conflict with 3 in c
            3 will conflict with main in b, will conflict with 2 in c, may conflict with 4 in d
            4 may conflict with 3 in d"#]],
        );
    }

    #[test]
    fn no_more_is_kept_than_can_be_read_at_a_glance() {
        let many = 60;
        let tasks: Vec<String> = (1..=many).map(|id| format!("{id} ready")).collect();
        let changes = open(&sketch::state(&tasks.join("; "))).remove(&BranchName("main".to_owned())).unwrap();
        let pairs = (0..many).flat_map(|one| (one + 1..many).map(move |other| (one, Some(other))));
        let paths: Vec<Word> = (0..30).map(|n| Word::from(format!("{n}").as_str())).collect();
        let clashes = pairs.map(|(one, other)| Clash { one, other, paths: paths.clone(), more: 0, may: false });
        let outlook = Outlook::new(BranchName("main".to_owned()), sketch::commit(1), &changes, clashes.collect());
        for (place, change) in outlook.changes.iter().enumerate() {
            let is_of = |clash: &&Clash| clash.one == place || clash.other == Some(place);
            let named = outlook.clashes.iter().filter(is_of).count();
            assert_eq!(named + change.more, many - 1, "all are counted");
            assert!((MOST_OTHERS..=2 * MOST_OTHERS).contains(&named), "{named}");
        }
        assert!(outlook.clashes.iter().all(|clash| clash.paths.len() == MOST_PATHS && clash.more == 10));
        let words = WillConflict { with: Some(TaskId(7)), paths: paths[..6].to_vec(), more: 3, may: true }.words(None);
        assert_eq!(words, "may conflict with 7 in 0, 1, 2, 3, 4 and 4 more");
    }
}
