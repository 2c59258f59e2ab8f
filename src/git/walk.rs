//! A three-way merge of trees, in process, that never looks into a file: a tenth of a millisecond, and it settles most
//! merges. What it settles is what `git merge-tree` (ort) answers; what it does not, git must.
//!
//! The rules, and why each is one of git's:
//! - Where two sides are equal the third is taken, whole. Directories that both sides changed are walked; what both
//!   sides added alike is there once.
//! - Any other path that both sides touched is handed over: both changed it, both added it, one deleted what the other
//!   changed, its type changed.
//! - So is a path that is gone on both sides, also where both have the same directory without it: each side may have
//!   renamed it, and a rename against a deletion is a conflict.
//! - A rename on one side alone is then a deletion and an addition. A directory that one side moved away is gone there:
//!   if the other side touched it, that is handed over, so nothing that git would move after it stays behind.
//!
//! Merge drivers and attributes matter only where both sides changed a file, and that is handed over. There must be
//! one merge base. It never lands a tree: it looks ahead ([`super::foresee`]) and checks what git merged
//! ([`super::crosscheck`]).

use std::cmp::Ordering;
use std::rc::Rc;

use git2::Oid;

use super::objects::{Entry, Listing};
use crate::core::id::TreeId;
use crate::core::word::Word;

pub use super::objects::Objects;

/// Directories in directories: nobody has more, and a hostile tree must not use up our stack.
const DEPTH: usize = 500;

/// What came of a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walked {
    /// The merge is clean and this is its tree, by its name: nothing was written.
    Tree(TreeId),
    /// Only git can tell.
    Unsure,
}

/// What came of a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// The merge is clean.
    Clean,
    /// Only git can tell: both sides touch these. None may be named, where the trees cannot be read.
    Unsure(Vec<Word>),
}

/// Merge `theirs` into `ours`, where `base` is the tree of the only merge base.
///
/// The name is that which git gives the result, unless a side brings directories that git would not write (empty ones,
/// or with modes of old): the files are the same then.
pub fn walk(objects: &Objects<'_>, base: TreeId, ours: TreeId, theirs: TreeId) -> Walked {
    let merged = named([base, ours, theirs]).and_then(|sides| {
        let mut walk = Walk::new(objects, Goal::Tree);
        walk.top(sides).ok()
    });
    match merged.and_then(|id| id.to_string().parse().ok()) {
        Some(tree) => Walked::Tree(tree),
        None => Walked::Unsure,
    }
}

/// The same question, without the tree of the answer, but with every path that both sides touch.
pub fn look(objects: &Objects<'_>, base: TreeId, ours: TreeId, theirs: TreeId) -> Look {
    let Some(sides) = named([base, ours, theirs]) else { return Look::Unsure(Vec::new()) };
    let mut walk = Walk::new(objects, Goal::Clashes);
    match walk.top(sides) {
        Ok(_) if walk.clashes.is_empty() => Look::Clean,
        _ => Look::Unsure(walk.clashes),
    }
}

/// What differs between two trees, without looking into a directory that only one of them has: it is named itself.
/// `None` where they cannot be read.
pub(super) fn touched(objects: &Objects<'_>, old: TreeId, new: TreeId) -> Option<Vec<Word>> {
    differing(objects, old, new, |_, _| true)
}

/// As [`touched`], but for directories that hold no file at all: git writes none, and others do.
pub(super) fn differing_files(objects: &Objects<'_>, one: TreeId, other: TreeId) -> Option<Vec<Word>> {
    differing(objects, one, other, |walk, entry| entry.is_none_or(|entry| !walk.is_hollow(entry, 0)))
}

fn differing(
    objects: &Objects<'_>,
    old: TreeId,
    new: TreeId,
    counts: fn(&Walk<'_, '_>, Option<Entry>) -> bool,
) -> Option<Vec<Word>> {
    let [old, new] = named([old, new])?;
    let mut walk = Walk::new(objects, Goal::Clashes);
    walk.compare(old, new, 0, counts).ok()?;
    Some(walk.clashes)
}

fn named<const N: usize>(trees: [TreeId; N]) -> Option<[Oid; N]> {
    let mut ids = [Oid::ZERO_SHA1; N];
    for (id, tree) in ids.iter_mut().zip(trees) {
        *id = Oid::from_str(&tree.to_string()).ok()?;
    }
    Some(ids)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// The first clash ends the walk.
    Tree,
    /// All clashes are wanted, and no tree.
    Clashes,
}

/// It is over: only git can tell.
struct Stop;

struct Walk<'a, 'o> {
    objects: &'a Objects<'o>,
    goal: Goal,
    path: Vec<u8>,
    clashes: Vec<Word>,
}

impl<'a, 'o> Walk<'a, 'o> {
    fn new(objects: &'a Objects<'o>, goal: Goal) -> Self {
        objects.begin();
        Self { objects, goal, path: Vec::new(), clashes: Vec::new() }
    }

    fn top(&mut self, [base, ours, theirs]: [Oid; 3]) -> Result<Oid, Stop> {
        let tree = |id| Some(Entry { mode: Entry::TREE, id });
        match self.settle([tree(base), tree(ours), tree(theirs)], 0)? {
            Some(entry) => Ok(entry.id),
            None => self.objects.make(&mut []).ok_or(Stop),
        }
    }

    /// What becomes of one name.
    fn settle(&mut self, sides: [Option<Entry>; 3], depth: usize) -> Result<Option<Entry>, Stop> {
        let [base, ours, theirs] = sides;
        if ours == theirs {
            return if self.loses(base, ours, depth)? { self.clash() } else { taken(base, ours) };
        }
        if base == ours {
            return taken(base, theirs);
        }
        if base == theirs {
            return taken(base, ours);
        }
        let is_tree = |side: Option<Entry>| side.is_some_and(Entry::is_tree);
        if is_tree(ours) && is_tree(theirs) && base.is_none_or(Entry::is_tree) {
            return self.merge(sides, depth);
        }
        self.clash()
    }

    /// Directories that both sides changed.
    fn merge(&mut self, sides: [Option<Entry>; 3], depth: usize) -> Result<Option<Entry>, Stop> {
        let [base, ours, theirs] = sides.map(|side| self.listing(side, depth));
        let mut merged = Vec::new();
        side_by_side([&*base?, &*ours?, &*theirs?], |name, sides| {
            let entry = self.inside(name, |walk| walk.settle(sides, depth + 1))?;
            if self.goal == Goal::Tree {
                merged.extend(entry.map(|entry| (name.to_vec(), entry)));
            }
            Ok(())
        })?;
        if merged.is_empty() {
            return Ok(None);
        }
        let id = self.objects.make(&mut merged).ok_or(Stop)?;
        Ok(Some(Entry { mode: Entry::TREE, id }))
    }

    /// Is there a file in `base` that is not there in what both sides have?
    fn loses(&mut self, base: Option<Entry>, both: Option<Entry>, depth: usize) -> Result<bool, Stop> {
        let Some(base) = base.filter(|base| Some(*base) != both) else { return Ok(false) };
        let Some(both) = both.filter(|both| both.is_tree() == base.is_tree()) else { return Ok(true) };
        if !base.is_tree() {
            return Ok(false);
        }
        let (base, both) = (self.listing(Some(base), depth)?, self.listing(Some(both), depth)?);
        let mut loses = false;
        side_by_side([&*base, &*both], |name, [base, both]| {
            loses = loses || self.inside(name, |walk| walk.loses(base, both, depth + 1))?;
            Ok(())
        })?;
        Ok(loses)
    }

    /// Note each entry that differs, if one of its sides counts.
    fn compare(
        &mut self,
        old: Oid,
        new: Oid,
        depth: usize,
        counts: fn(&Self, Option<Entry>) -> bool,
    ) -> Result<(), Stop> {
        let tree = |id| Some(Entry { mode: Entry::TREE, id });
        let (old, new) = (self.listing(tree(old), depth)?, self.listing(tree(new), depth)?);
        side_by_side([&*old, &*new], |name, [old, new]| {
            self.inside(name, |walk| match (old, new) {
                _ if old == new => Ok(()),
                (Some(old), Some(new)) if old.is_tree() && new.is_tree() => {
                    walk.compare(old.id, new.id, depth + 1, counts)
                }
                _ if old.is_some() && counts(walk, old) || new.is_some() && counts(walk, new) => walk.clash().map(drop),
                _ => Ok(()),
            })
        })
    }

    /// A directory without a file in it, or in any directory in it.
    fn is_hollow(&self, entry: Entry, depth: usize) -> bool {
        let Ok(listing) = self.listing(Some(entry).filter(|entry| entry.is_tree()), depth) else { return false };
        let mut entries = (0..listing.len()).filter_map(|place| listing.get(place));
        entry.is_tree() && entries.all(|(_, entry)| self.is_hollow(entry, depth + 1))
    }

    fn listing(&self, tree: Option<Entry>, depth: usize) -> Result<Rc<Listing>, Stop> {
        match tree {
            Some(tree) if depth <= DEPTH => self.objects.tree(tree.id).ok_or(Stop),
            Some(_) => Err(Stop),
            None => Ok(Rc::default()),
        }
    }

    fn inside<T>(&mut self, name: &[u8], act: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        if length > 0 {
            self.path.push(b'/');
        }
        self.path.extend(name);
        let done = act(self);
        self.path.truncate(length);
        done
    }

    fn clash(&mut self) -> Result<Option<Entry>, Stop> {
        if self.goal == Goal::Tree {
            return Err(Stop);
        }
        self.clashes.push(Word::from(self.path.clone()));
        Ok(None)
    }
}

/// A side is taken as it is; but whether git keeps a directory without files depends on what else it looks at.
fn taken(old: Option<Entry>, new: Option<Entry>) -> Result<Option<Entry>, Stop> {
    const EMPTY: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
    match new {
        Some(entry) if new != old && entry.is_tree() && entry.id.to_string() == EMPTY => Err(Stop),
        _ => Ok(new),
    }
}

/// Every name of some trees, with what each of them has there.
fn side_by_side<const N: usize>(
    listings: [&Listing; N],
    mut each: impl FnMut(&[u8], [Option<Entry>; N]) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut places = [0; N];
    loop {
        let heads: [Option<(&[u8], Entry)>; N] = std::array::from_fn(|side| listings[side].get(places[side]));
        let Some(name) = heads.iter().flatten().map(|(name, _)| *name).min() else { return Ok(()) };
        let mut sides = [None; N];
        for (side, head) in heads.into_iter().enumerate() {
            if let Some((_, entry)) = head.filter(|(head, _)| head.cmp(&name) == Ordering::Equal) {
                sides[side] = Some(entry);
                places[side] += 1;
            }
        }
        each(name, sides)?;
    }
}
