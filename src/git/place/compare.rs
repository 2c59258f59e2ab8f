//! What differs between an index and a tree, and the cache of tree names that the index of that tree has. Directories
//! whose tree the index knows to be the same are not looked into.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use git2::Oid;

use crate::core::id::TreeId;
use crate::core::word::Word;
use crate::git::index::{Index, until};
use crate::git::objects::{Entry, Objects};

/// Directories in directories: nobody has more, and a hostile tree must not use up our stack.
const DEPTH: usize = 500;

/// From an index to a tree.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// Each path that differs, and what the tree has there: its mode and its object.
    pub(super) entries: BTreeMap<Word, Option<(u32, Oid)>>,
    /// The cache of tree names, as an index holds it.
    pub(super) trees: Vec<u8>,
}

impl Change {
    /// `None` where only git can tell.
    pub(super) fn to(objects: &Objects<'_>, tree: TreeId, index: &Index) -> Option<Self> {
        objects.begin();
        let mut known = HashMap::new();
        let mut rest = Known { bytes: index.trees(), at: 0 };
        if !rest.bytes.is_empty() && rest.node(&[], &mut known, 0).is_none() {
            known.clear();
        }
        let mut walk = Walk { objects, index, known, entries: BTreeMap::new() };
        let mut trees = Vec::new();
        walk.dir(&mut Vec::new(), b"", Oid::from_str(&tree.to_string()).ok()?, 0..index.len(), &mut trees, 0)?;
        Some(Self { entries: walk.entries, trees })
    }

    /// The files to write, in order.
    pub(super) fn writes(&self) -> Vec<(Word, u32, Oid)> {
        self.entries.iter().filter_map(|(path, new)| new.map(|(mode, id)| (path.clone(), mode, id))).collect()
    }

    /// The files that are in the index and not in the tree.
    pub(super) fn removes(&self) -> impl Iterator<Item = &Word> {
        self.entries.iter().filter(|(_, new)| new.is_none()).map(|(path, _)| path)
    }

    /// Each path that differs.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Word> {
        self.entries.keys()
    }
}

/// A tree that an index knows.
struct Node {
    id: Oid,
    /// Its part of the cache.
    part: Range<usize>,
    files: u32,
}

/// The cache of an index, as it is read.
struct Known<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Known<'_> {
    fn node(&mut self, above: &[u8], to: &mut HashMap<Vec<u8>, Node>, depth: usize) -> Option<()> {
        let start = self.at;
        let mut rest = &self.bytes[start..];
        let name = until(&mut rest, 0)?;
        let files: i64 = std::str::from_utf8(until(&mut rest, b' ')?).ok()?.parse().ok()?;
        let below: u32 = std::str::from_utf8(until(&mut rest, b'\n')?).ok()?.parse().ok()?;
        let id = if files >= 0 { Some(Oid::from_bytes(rest.split_off(..20)?).ok()?) } else { None };
        self.at = self.bytes.len() - rest.len();
        let path = if above.is_empty() { name.to_vec() } else { [above, name].join(&b'/') };
        if depth > DEPTH {
            return None;
        }
        for _ in 0..below {
            self.node(&path, to, depth + 1)?;
        }
        if let Some(id) = id {
            to.insert(path, Node { id, part: start..self.at, files: u32::try_from(files).ok()? });
        }
        Some(())
    }
}

struct Walk<'a, 'o> {
    objects: &'a Objects<'o>,
    index: &'a Index,
    known: HashMap<Vec<u8>, Node>,
    entries: BTreeMap<Word, Option<(u32, Oid)>>,
}

/// What an index has of one name in a directory.
#[derive(Default)]
pub(super) struct Child {
    pub(super) file: Option<usize>,
    pub(super) dir: Option<Range<usize>>,
}

/// The names that an index has in a directory, whose files are at these places in it. `prefix` is the length of its path with
/// the slash.
pub(super) fn children(index: &Index, range: Range<usize>, prefix: usize) -> HashMap<&[u8], Child> {
    let mut children: HashMap<&[u8], Child> = HashMap::new();
    let mut at = range.start;
    while at < range.end {
        let name = &index.at(at).0[prefix..];
        match name.iter().position(|byte| *byte == b'/') {
            None => {
                children.entry(name).or_default().file = Some(at);
                at += 1;
            }
            Some(slash) => {
                let dir = &name[..=slash];
                let mut end = at + 1;
                while end < range.end && index.at(end).0[prefix..].starts_with(dir) {
                    end += 1;
                }
                children.entry(&name[..slash]).or_default().dir = Some(at..end);
                at = end;
            }
        }
    }
    children
}

impl Walk<'_, '_> {
    /// Answers how many files the tree has.
    fn dir(
        &mut self,
        path: &mut Vec<u8>,
        name: &[u8],
        tree: Oid,
        range: Range<usize>,
        trees: &mut Vec<u8>,
        depth: usize,
    ) -> Option<u32> {
        if let Some(node) = self.known.get(&path[..]).filter(|node| node.id == tree) {
            trees.extend_from_slice(&self.index.trees()[node.part.clone()]);
            return Some(node.files);
        }
        if depth > DEPTH {
            return None;
        }
        let listing = self.objects.tree(tree)?;
        let prefix = if path.is_empty() { 0 } else { path.len() + 1 };
        let index = self.index;
        let mut there = children(index, range, prefix);
        let (mut files, mut below, mut subtrees) = (0, Vec::new(), 0);
        for place in 0..listing.len() {
            let (name, entry) = listing.get(place)?;
            let old = there.remove(name).unwrap_or_default();
            let length = path.len();
            if length > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            if entry.is_tree() {
                self.gone(old.file.map(|at| at..at + 1));
                files += self.dir(path, name, entry.id, old.dir.unwrap_or(0..0), &mut below, depth + 1)?;
                subtrees += 1;
            } else {
                self.gone(old.dir);
                self.file(path, entry, old.file)?;
                files += 1;
            }
            path.truncate(length);
        }
        for old in there.into_values() {
            self.gone(old.file.map(|at| at..at + 1));
            self.gone(old.dir);
        }
        trees.extend_from_slice(name);
        trees.extend_from_slice(format!("\0{files} {subtrees}\n").as_bytes());
        trees.extend_from_slice(tree.as_bytes());
        trees.append(&mut below);
        Some(files)
    }

    fn file(&mut self, path: &[u8], entry: Entry, old: Option<usize>) -> Option<()> {
        if let Some(at) = old {
            let (_, known) = self.index.at(at);
            if !known.is_plain() {
                return None;
            }
            if known.mode() == entry.mode && known.object() == entry.id.as_bytes() {
                return Some(());
            }
        }
        self.entries.insert(Word::from(path.to_vec()), Some((entry.mode, entry.id)));
        Some(())
    }

    fn gone(&mut self, range: Option<Range<usize>>) {
        for at in range.unwrap_or(0..0) {
            let path = Word::from(self.index.at(at).0.to_vec());
            // A new file may be there: its directory was read before.
            self.entries.entry(path).or_insert(None);
        }
    }
}
