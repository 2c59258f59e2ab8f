//! Looking ahead: which results will conflict with their target and with each other.
//!
//! It is done beside everything else, one look at a time, after whatever may have changed the answer. What comes of it is
//! written for readers and believed by nobody: a look that fails is taken again when something happens.

use std::collections::{BTreeMap, BTreeSet};
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
use crate::git::{GitError, merge};
use crate::process::clock;
use crate::store::foreseen;

/// After a look there is rest for so many times as long as it took: a fifth of a core at most is spent on it.
const REST: u32 = 4;

/// What one look leaves to the next.
#[derive(Debug, Default)]
pub(super) struct Memory {
    seen: Foresight,
    /// The paths between two commits.
    touched: BTreeMap<(CommitId, CommitId), BTreeSet<Word>>,
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
            tokio::time::sleep((took * REST).min(Duration::from_secs(60))).await;
            let _ = inbox.send(Message::Foreseen(memory.unwrap_or_default()));
        });
    }
}

/// Look at every target, and write down what was seen.
fn look(world: &World, open: &BTreeMap<BranchName, Vec<Open>>, last: Memory) -> Memory {
    let mut seen = Foresight::default();
    let mut touched = Touched { world, before: last.touched, now: BTreeMap::new() };
    let last = last.seen;
    for (target, changes) in open {
        let before = last.targets.iter().find(|before| before.target == *target);
        match outlook(world, target, changes, before, &mut touched) {
            Ok(outlook) => seen.targets.extend(outlook),
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
    Memory { seen, touched: touched.now }
}

/// What is to be seen of one target; `None` where it is not there.
fn outlook(
    world: &World,
    target: &BranchName,
    open: &[Open],
    before: Option<&Outlook>,
    touched: &mut Touched<'_>,
) -> Result<Option<Outlook>, GitError> {
    let Some(head) = world.repository.head_of(target)? else { return Ok(None) };
    let (finished, running): (Vec<&Open>, Vec<&Open>) = open.iter().partition(|change| change.tip.is_some());
    let known = Known::of(before.filter(|before| before.head == head), &finished);
    let changes: Vec<(CommitId, CommitId)> =
        finished.iter().filter_map(|change| Some((change.base, change.tip?))).collect();
    let skips = |one: usize, other: usize| {
        let (first, second) = (finished[one], finished[other]);
        known.is_known(one, other) || is_related(first, second)
    };
    let found = will_conflict(&world.repository, head, &changes, &skips)?;
    let found = found.into_iter().map(|Foreseen { change, with, paths, may }| Clash {
        one: change,
        other: with,
        paths,
        more: 0,
        may,
    });
    let mut clashes: Vec<Clash> = found.chain(known.clashes()).collect();
    if !running.is_empty() {
        let stuck: BTreeSet<usize> =
            clashes.iter().filter(|clash| clash.other.is_none()).map(|clash| clash.one).collect();
        clashes.extend(meetings(world, head, [&finished, &running], &stuck, touched)?);
    }
    let all: Vec<Open> = finished.into_iter().chain(running).cloned().collect();
    Ok(Some(Outlook::new(target.clone(), head, &all, clashes)))
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
    let glance = Glance {
        worktree: &world.layout.worktree(change.attempt),
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

/// What was seen before of pairs that are as they were, on a head that is where it was.
struct Known<'a> {
    before: Option<&'a Outlook>,
    /// For each change now: its place then.
    then: Vec<Option<usize>>,
    /// Pairs of then of which git is still to be asked.
    unsure: BTreeSet<(usize, usize)>,
}

impl<'a> Known<'a> {
    fn of(before: Option<&'a Outlook>, now: &[&Open]) -> Self {
        let before = before.filter(|before| before.is_whole());
        let place = |open: &&Open| {
            let all = &before?.changes;
            all.iter()
                .position(|then| (then.attempt, then.tip, then.with_needs) == (open.attempt, open.tip, open.with_needs))
        };
        let unsure = before.into_iter().flat_map(|before| &before.clashes).filter(|clash| clash.may);
        let unsure = unsure.filter_map(|clash| Some((clash.one, clash.other?))).collect();
        Self { before, then: now.iter().map(place).collect(), unsure }
    }

    fn is_known(&self, one: usize, other: usize) -> bool {
        let then = self.then[one].zip(self.then[other]);
        then.is_some_and(|(one, other)| !self.unsure.contains(&(one.min(other), one.max(other))))
    }

    /// The conflicts of those pairs, by the places of now.
    fn clashes(&self) -> Vec<Clash> {
        let now = |then: usize| self.then.iter().position(|place| *place == Some(then));
        let all = self.before.into_iter().flat_map(|before| &before.clashes).filter(|clash| !clash.may);
        let still = all.filter_map(|clash| {
            let (one, other) = (now(clash.one)?, now(clash.other?)?);
            Some(Clash { one: one.min(other), other: Some(one.max(other)), ..clash.clone() })
        });
        still.collect()
    }
}
