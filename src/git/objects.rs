//! Trees, read without a process, for the walk ([`super::walk`]).
//!
//! A bare database of objects opens where the library refuses the repository: partial clones and reftable. What it
//! cannot read (SHA-256, a tree that a partial clone does not have), or reads differently from git (replaced objects),
//! is an answer, `None`: then git is to be asked.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use git2::{ObjectType, Odb, Oid};

use super::Repository;
use crate::core::id::{CommitId, TreeId};

/// How many entries of trees one question may look at: trees can be made that unfold without end.
const MOST_ENTRIES: usize = 1_000_000;
/// How many bytes of trees are kept in memory between questions.
const MOST_KEPT: usize = 64 << 20;

/// The objects of a repository.
pub struct Objects<'a> {
    odb: Odb<'a>,
    read: RefCell<HashMap<Oid, Rc<Listing>>>,
    kept: Cell<usize>,
    /// Trees that are in no repository yet.
    made: RefCell<HashMap<Oid, Rc<Listing>>>,
    seen: Cell<usize>,
}

/// What a name in a tree leads to. The mode is as git understands it: of a file, it knows only whether it can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) mode: u32,
    pub(super) id: Oid,
}

impl Entry {
    pub(super) const TREE: u32 = 0o40_000;

    pub(super) fn is_tree(self) -> bool {
        self.mode == Self::TREE
    }
}

/// A tree, its entries by name (not in the order of the object, where a directory sorts as if it ended in a slash).
#[derive(Debug, Default)]
pub(super) struct Listing {
    bytes: Vec<u8>,
    entries: Vec<(Range<usize>, Entry)>,
}

impl Objects<'static> {
    /// Those of this repository; `None` where git may see other objects than we would.
    pub fn of(repo: &Repository) -> Option<Self> {
        Self::beside(repo, Odb::new().ok()?)
    }
}

impl<'a> Objects<'a> {
    /// Those of this repository, as [`Objects::of`], and of a database of ours, which takes what is written.
    pub(super) fn beside(repo: &Repository, odb: Odb<'a>) -> Option<Self> {
        if is_replaced(repo) {
            return None;
        }
        odb.add_disk_alternate(repo.common_dir().join("objects").to_str()?).ok()?;
        let (read, made) = Default::default();
        Some(Self { odb, read, kept: Cell::new(0), made, seen: Cell::new(0) })
    }

    /// The tree of a commit.
    pub fn tree_of(&self, commit: CommitId) -> Option<TreeId> {
        let object = self.odb.read(Oid::from_bytes(commit.as_bytes()).ok()?).ok()?;
        let line = object.data().split(|byte| *byte == b'\n').next()?.strip_prefix(b"tree ")?;
        std::str::from_utf8(line).ok()?.parse().ok().filter(|_| object.kind() == ObjectType::Commit)
    }

    /// The bytes of a file; `None` where it cannot be read.
    pub(super) fn blob(&self, id: Oid) -> Option<Vec<u8>> {
        let object = self.odb.read(id).ok()?;
        (object.kind() == ObjectType::Blob).then(|| object.data().to_vec())
    }

    /// A new question begins, and may look at as much as any.
    pub(super) fn begin(&self) {
        self.seen.set(0);
        if self.kept.get() > MOST_KEPT {
            self.read.borrow_mut().clear();
            self.kept.set(0);
        }
    }

    /// The entries of a tree; `None` where it cannot be read, is not as git writes trees, or is one too many.
    pub(super) fn tree(&self, id: Oid) -> Option<Rc<Listing>> {
        let known = |trees: &RefCell<HashMap<Oid, Rc<Listing>>>| trees.borrow().get(&id).cloned();
        let listing = match known(&self.read).or_else(|| known(&self.made)) {
            Some(listing) => listing,
            None => {
                let object = self.odb.read(id).ok()?;
                let listing = Rc::new(Listing::parse(object.data()).filter(|_| object.kind() == ObjectType::Tree)?);
                self.kept.set(self.kept.get() + object.len());
                self.read.borrow_mut().insert(id, listing.clone());
                listing
            }
        };
        self.seen.set(self.seen.get() + listing.entries.len() + 1);
        (self.seen.get() <= MOST_ENTRIES).then_some(listing)
    }

    /// A tree of these entries, as git would name it. It is kept here and not written.
    pub(super) fn make(&self, entries: &mut [(Vec<u8>, Entry)]) -> Option<Oid> {
        entries.sort_by(|(one, first), (other, second)| git_order((one, *first), (other, *second)));
        let mut bytes = Vec::new();
        for (name, entry) in entries.iter() {
            bytes.extend(format!("{:o} ", entry.mode).bytes());
            bytes.extend(name);
            bytes.push(0);
            bytes.extend(entry.id.as_bytes());
        }
        let id = Oid::hash_object(ObjectType::Tree, &bytes).ok()?;
        self.made.borrow_mut().insert(id, Rc::new(Listing::parse(&bytes)?));
        Some(id)
    }

    /// Write a tree that was made here, with all made trees below it.
    ///
    /// # Errors
    /// Where the database does not take them.
    pub(super) fn write(&self, id: Oid) -> Result<(), git2::Error> {
        let Some(listing) = self.made.borrow().get(&id).cloned() else { return Ok(()) };
        for (_, entry) in &listing.entries {
            if entry.is_tree() {
                self.write(entry.id)?;
            }
        }
        self.odb.write(ObjectType::Tree, &listing.bytes).map(drop)
    }

    /// Write a commit.
    ///
    /// # Errors
    /// As [`Objects::write`].
    pub(super) fn write_commit(&self, bytes: &[u8]) -> Result<Oid, git2::Error> {
        self.odb.write(ObjectType::Commit, bytes)
    }
}

impl Listing {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut entries: Vec<(Range<usize>, Entry)> = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let space = at + bytes[at..].iter().position(|byte| *byte == b' ')?;
            let mode = u32::from_str_radix(std::str::from_utf8(&bytes[at..space]).ok()?, 8).ok()?;
            let end = space + 1 + bytes[space + 1..].iter().position(|byte| *byte == 0)?;
            let id = Oid::from_bytes(bytes.get(end + 1..end + 21)?).ok()?;
            let (name, entry) = (space + 1..end, Entry { mode: canonical(mode)?, id });
            let before = entries.last().map(|(range, entry)| (&bytes[range.clone()], *entry));
            if name.is_empty() || before.is_some_and(|before| git_order(before, (&bytes[name.clone()], entry)).is_ge())
            {
                return None;
            }
            entries.push((name, entry));
            at = end + 21;
        }
        let name = |(range, _): &(Range<usize>, Entry)| &bytes[range.clone()];
        entries.sort_by(|one, other| name(one).cmp(name(other)));
        // One name may stand for a file and for a directory, with others between the two.
        let has_twins = entries.windows(2).any(|pair| name(&pair[0]) == name(&pair[1]));
        (!has_twins).then(|| Self { bytes: bytes.to_vec(), entries })
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entry at a place: its name, and what it leads to.
    pub(super) fn get(&self, place: usize) -> Option<(&[u8], Entry)> {
        self.entries.get(place).map(|(range, entry)| (&self.bytes[range.clone()], *entry))
    }
}

/// As git reads modes: there are trees with others, made long ago or by others.
fn canonical(mode: u32) -> Option<u32> {
    match mode & 0o170_000 {
        0o100_000 if mode & 0o100 != 0 => Some(0o100_755),
        0o100_000 => Some(0o100_644),
        kind @ (0o120_000 | 0o40_000 | 0o160_000) => Some(kind),
        _ => None,
    }
}

/// The order of the entries in a tree.
fn git_order((one, first): (&[u8], Entry), (other, second): (&[u8], Entry)) -> Ordering {
    let ending = |entry: Entry| entry.is_tree().then_some(b'/');
    let common = one.len().min(other.len());
    one[..common].cmp(&other[..common]).then_with(|| {
        let next = |name: &[u8], entry| name.get(common).copied().or(ending(entry));
        next(one, first).cmp(&next(other, second))
    })
}

/// Are there objects that git would take for others, or parents that it would make up? Yes is also the answer where only
/// git can tell and does not.
pub(super) fn is_replaced(repo: &Repository) -> bool {
    let common_dir = repo.common_dir();
    if common_dir.join("info/grafts").exists() {
        return true;
    }
    if common_dir.join("reftable").is_dir() {
        let asked = repo.git().args(["for-each-ref", "--count=1", "refs/replace/"]).line();
        return !asked.is_ok_and(|found| found.is_empty());
    }
    has_entries(&common_dir.join("refs/replace")) || names(&common_dir.join("packed-refs"), " refs/replace/")
}

fn has_entries(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some())
}

fn names(file: &Path, what: &str) -> bool {
    match fs::read(file) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).contains(what),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}
