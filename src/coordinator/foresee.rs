//! Looking ahead: which results will conflict with their target and with each other.
//!
//! It is done beside everything else, one look at a time, after whatever may have changed the answer. What comes of it is
//! written for readers and believed by nobody: a look that fails is taken again when something happens.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::run::Message;
use super::{World, log};
use crate::core::change::Landing;
use crate::core::event::Event;
use crate::core::foresight::{self, Clash, Foresight, Open, Outlook};
use crate::core::id::{BranchName, CommitId};
use crate::core::state::State;
use crate::core::word::Word;
use crate::git::foresee::{Foreseen, will_conflict};
use crate::git::glance::{Glance, touched_so_far};
use crate::git::overlay::Layers;
use crate::git::{GitError, merge};
use crate::process::clock;
use crate::store::foreseen;

/// After a look there is rest for so many times as long as it took: a fifth of a core at most is spent on it.
const REST: u32 = 4;
/// And no longer than this.
const LONGEST_REST: Duration = Duration::from_secs(10);
/// Nor shorter: many short tasks end in no time, and who waits for an answer waits a little longer than this.
const SHORTEST_REST: Duration = Duration::from_millis(100);

/// What one look leaves to the next.
#[derive(Debug, Default)]
pub(super) struct Memory {
    seen: Foresight,
    pairs: BTreeMap<BranchName, Pairs>,
    /// The paths between two commits.
    touched: BTreeMap<(CommitId, CommitId), BTreeSet<Word>>,
    /// There was more to ask than one look may ask.
    is_unsettled: bool,
}

/// When to look, and what was seen last.
#[derive(Debug, Default)]
pub(super) struct Foreseer {
    /// None as long as a look is under way.
    last: Option<Memory>,
    /// Something happened since the last look began.
    wanted: bool,
}

impl Foreseer {
    /// The first look is wanted at once: nobody knows what happened while no coordinator was there.
    pub(super) fn new(world: &World) -> Self {
        Self { last: Some(Memory { seen: foreseen::load(&world.layout), ..Memory::default() }), wanted: true }
    }

    /// Is nothing to be seen, and nobody looking?
    pub(super) fn is_idle(&self) -> bool {
        !self.wanted && self.last.is_some()
    }

    /// Something may have happened.
    pub(super) fn want(&mut self) {
        self.wanted = true;
    }

    /// This happened.
    pub(super) fn happened(&mut self, event: &Event) {
        use Event as E;
        let is_beside = matches!(
            event,
            E::Submitted { .. }
                | E::Withdrawn { .. }
                | E::CancelRequested { .. }
                | E::Prioritized { .. }
                | E::Paused
                | E::Resumed
                | E::VerifyStarted { .. }
                | E::VerifyEnded { .. }
                | E::VerdictReused { .. }
                | E::Removed { .. }
        );
        self.wanted |= !is_beside;
    }

    /// A look is over, and so is the rest after it.
    pub(super) fn ended(&mut self, memory: Memory) {
        self.wanted |= memory.is_unsettled;
        self.last = Some(memory);
    }

    /// Look, where that is wanted and nobody does.
    pub(super) fn look(&mut self, state: &State, world: &std::sync::Arc<World>, inbox: &UnboundedSender<Message>) {
        let Some(last) = self.last.take_if(|_| self.wanted) else { return };
        self.wanted = false;
        let open = foresight::open(state);
        if open.is_empty() && last.seen.targets.is_empty() {
            self.last = Some(last);
            return;
        }
        let (world, inbox) = (world.clone(), inbox.clone());
        tokio::task::spawn_local(async move {
            let begun = clock::now();
            let memory = tokio::task::spawn_blocking(move || look(&world, &open, last)).await;
            let took = clock::now().duration_since(begun).unsigned_abs();
            tokio::time::sleep((took * REST).clamp(SHORTEST_REST, LONGEST_REST)).await;
            let _ = inbox.send(Message::Foreseen(memory.unwrap_or_default()));
        });
    }
}

/// Look at every target, and write down what was seen.
fn look(world: &World, open: &BTreeMap<BranchName, Vec<Open>>, last: Memory) -> Memory {
    let mut seen = Foresight::default();
    let mut touched = Touched { world, before: last.touched, now: BTreeMap::new() };
    let (last, mut before_pairs) = (last.seen, last.pairs);
    let mut pairs = BTreeMap::new();
    let mut is_unsettled = false;
    for (target, changes) in open {
        let before = last.targets.iter().find(|before| before.target == *target);
        match outlook(world, target, changes, before_pairs.remove(target), &mut touched) {
            Ok(None) => {}
            Ok(Some((outlook, known, unsettled))) => {
                seen.targets.push(outlook);
                pairs.insert(target.clone(), known);
                is_unsettled |= unsettled;
            }
            // What was seen before stays: it tells by itself how far it still holds.
            Err(error) => {
                log(&format!("cannot look ahead at {target}: {}", error.words()));
                seen.targets.extend(before.cloned());
            }
        }
    }
    if seen != last
        && let Err(error) = foreseen::keep(&world.layout, &seen)
    {
        log(&format!("cannot keep what was foreseen: {error}"));
    }
    Memory { seen, pairs, touched: touched.now, is_unsettled }
}

/// What is to be seen of one target, what is known of its pairs, and is there more to ask? `None` where it is not there.
fn outlook(
    world: &World,
    target: &BranchName,
    open: &[Open],
    before: Option<Pairs>,
    touched: &mut Touched<'_>,
) -> Result<Option<(Outlook, Pairs, bool)>, GitError> {
    let Some(head) = world.repository.head_of(target)? else { return Ok(None) };
    let (finished, running): (Vec<&Open>, Vec<&Open>) = open.iter().partition(|change| change.tip.is_some());
    let mut pairs = Pairs::on(head, before);
    let changes: Vec<(CommitId, CommitId)> =
        finished.iter().filter_map(|change| Some((change.base, change.tip?))).collect();
    let skips = |one: usize, other: usize| {
        let (one, other) = (finished[one], finished[other]);
        pairs.is_known(one, other) || is_related(one, other)
    };
    let found = will_conflict(&world.repository, head, &changes, &skips)?;
    let is_unsettled = found.iter().any(|foreseen| foreseen.may);
    let clash =
        |Foreseen { change, with, paths, may }: Foreseen| Clash { one: change, other: with, paths, more: 0, may };
    let mut clashes = pairs.learn(&finished, found.into_iter().map(clash).collect());
    if !running.is_empty() {
        let stuck = clashes.iter().filter(|clash| clash.other.is_none()).map(|clash| clash.one).collect();
        clashes.extend(meetings(world, head, [&finished, &running], &stuck, touched)?);
    }
    let all: Vec<Open> = finished.into_iter().chain(running).cloned().collect();
    Ok(Some((Outlook::new(target.clone(), head, &all, clashes), pairs, is_unsettled)))
}

/// Does one of the two build on the other?
fn is_related(one: &Open, other: &Open) -> bool {
    one.needs.contains(&other.attempt.task) || other.needs.contains(&one.attempt.task)
}

/// What runs may conflict with what has touched the same files. No merge is tried: its files change as we look.
fn meetings(
    world: &World,
    head: CommitId,
    [finished, running]: [&[&Open]; 2],
    stuck: &BTreeSet<usize>,
    touched: &mut Touched<'_>,
) -> Result<Vec<Clash>, GitError> {
    let mut sets: Vec<BTreeSet<Word>> = Vec::new();
    for (place, change) in finished.iter().enumerate() {
        // What does not go in by itself is in nobody's way.
        let tip = change.tip.filter(|_| !stuck.contains(&place)).unwrap_or(change.base);
        // Its objects may be gone.
        sets.push(touched.between(change.base, tip).unwrap_or_default());
    }
    let mut clashes = Vec::new();
    let mut meet = |one: usize, other: Option<usize>, first: &BTreeSet<Word>, second: &BTreeSet<Word>| {
        let paths: Vec<Word> = first.intersection(second).cloned().collect();
        if !paths.is_empty() {
            clashes.push(Clash { one, other, paths, more: 0, may: true });
        }
    };
    for change in running {
        let moved = touched.between(change.base, head)?;
        let others: BTreeSet<Word> = sets.iter().flatten().chain(&moved).cloned().collect();
        let own = so_far(world, change, &others);
        let place = sets.len();
        meet(place, None, &own, &moved);
        for (other, set) in sets.iter().enumerate() {
            let before = finished.get(other).or_else(|| running.get(other - finished.len()));
            if before.is_some_and(|before| !is_related(before, change)) {
                meet(other, Some(place), set, &own);
            }
        }
        sets.push(own);
    }
    Ok(clashes)
}

/// What an attempt that runs has changed so far.
fn so_far(world: &World, change: &Open, others: &BTreeSet<Word>) -> BTreeSet<Word> {
    let dir = world.layout.attempt(change.attempt);
    let upper = Layers::find(&dir.overlay(), &dir.images()).map(|layers| layers.upper());
    let glance = Glance {
        worktree: &world.layout.worktree(change.attempt),
        upper: upper.as_deref(),
        since: &dir.run(),
        is_whole: !dir.git().join("info/sparse-checkout").exists(),
        base: change.base,
    };
    touched_so_far(&world.repository, &glance, others)
}

/// The paths between two commits, each asked once.
struct Touched<'a> {
    world: &'a World,
    before: BTreeMap<(CommitId, CommitId), BTreeSet<Word>>,
    now: BTreeMap<(CommitId, CommitId), BTreeSet<Word>>,
}

impl Touched<'_> {
    fn between(&mut self, from: CommitId, to: CommitId) -> Result<BTreeSet<Word>, GitError> {
        if from == to {
            return Ok(BTreeSet::new());
        }
        if let Some(known) = self.before.remove(&(from, to)) {
            self.now.insert((from, to), known);
        }
        if let Some(known) = self.now.get(&(from, to)) {
            return Ok(known.clone());
        }
        let paths = merge::touched(&self.world.repository, &Landing { from, to })?;
        self.now.insert((from, to), paths.clone());
        Ok(paths)
    }
}

/// What is known of pairs of results on one head: those that were merged there, and in which paths they conflict.
#[derive(Debug, Default)]
struct Pairs {
    head: Option<CommitId>,
    known: HashMap<(CommitId, CommitId), Option<Vec<Word>>>,
}

impl Pairs {
    /// What is still of use on this head.
    fn on(head: CommitId, before: Option<Self>) -> Self {
        let before = before.filter(|before| before.head == Some(head)).unwrap_or_default();
        Self { head: Some(head), ..before }
    }

    fn is_known(&self, one: &Open, other: &Open) -> bool {
        key(one, other).is_some_and(|key| self.known.contains_key(&key))
    }

    /// All pairs of these: what was found, and what was known before. What was not settled is not known.
    fn learn(&mut self, finished: &[&Open], found: Vec<Clash>) -> Vec<Clash> {
        let mut clashes = Vec::new();
        let mut new: HashMap<(usize, usize), Clash> = HashMap::new();
        for clash in found {
            match clash.other {
                Some(other) => drop(new.insert((clash.one, other), clash)),
                None => clashes.push(clash),
            }
        }
        let before = std::mem::take(&mut self.known);
        for (one, first) in finished.iter().enumerate() {
            for (other, second) in finished.iter().enumerate().skip(one + 1) {
                let Some(key) = key(first, second).filter(|_| !is_related(first, second)) else { continue };
                match (new.remove(&(one, other)), before.get(&key)) {
                    (Some(clash), _) => {
                        if !clash.may {
                            self.known.insert(key, Some(clash.paths.clone()));
                        }
                        clashes.push(clash);
                    }
                    (None, Some(Some(paths))) => {
                        self.known.insert(key, Some(paths.clone()));
                        clashes.push(Clash { one, other: Some(other), paths: paths.clone(), more: 0, may: false });
                    }
                    (None, _) => drop(self.known.insert(key, None)),
                }
            }
        }
        clashes
    }
}

fn key(one: &Open, other: &Open) -> Option<(CommitId, CommitId)> {
    let (one, other) = (one.tip?, other.tip?);
    Some((one.min(other), one.max(other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_settled_on_a_head_is_not_asked_again() {
        let commit = |digit: usize| format!("{digit:040x}").parse::<CommitId>().unwrap();
        let open = |id: usize| Open {
            attempt: format!("{id}.1").parse().unwrap(),
            base: commit(90),
            tip: Some(commit(id)),
            needs: BTreeSet::new(),
            with_needs: false,
        };
        let clash = |one, other, may| Clash { one, other: Some(other), paths: vec!["a".into()], more: 0, may };
        let all: Vec<Open> = (1..=4).map(open).collect();
        let all: Vec<&Open> = all.iter().collect();
        let mut pairs = Pairs::on(commit(91), None);
        let found = vec![clash(0, 1, false), clash(1, 2, true)];
        assert_eq!(pairs.learn(&all[..3], found.clone()), found);
        let mut pairs = Pairs::on(commit(91), Some(pairs));
        let asked = |pairs: &Pairs, all: &[&Open]| {
            let each = (0..all.len()).flat_map(|one| (one + 1..all.len()).map(move |other| (one, other)));
            each.filter(|(one, other)| !pairs.is_known(all[*one], all[*other])).collect::<Vec<_>>()
        };
        assert_eq!(asked(&pairs, &all), [(0, 3), (1, 2), (1, 3), (2, 3)]);
        // Places are those of now.
        let now = [all[3], all[1], all[0]];
        assert_eq!(pairs.learn(&now, vec![clash(0, 2, false)]), [clash(0, 2, false), clash(1, 2, false)]);
        assert_eq!(asked(&pairs, &now), []);
        assert_eq!(asked(&Pairs::on(commit(92), Some(pairs)), &now).len(), 3, "another head");
    }
}
