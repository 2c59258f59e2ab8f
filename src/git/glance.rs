//! A glance at the worktree of a running task: which files it has changed so far.
//!
//! No git is asked, and no git directory of the task is read: a file counts whose inode changed since the task began and
//! whose bytes are not those of its base. What a filter makes of a file between the two is not seen, so a glance says "may".

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use git2::{ObjectType, Oid};
use rustix::fs::FileType;

use super::Repository;
use super::objects::{Entry, Objects};
use super::overlay::{Reading, Seen, Upper};
use crate::core::id::{CommitId, TreeId};
use crate::core::word::Word;
use crate::process::beneath::{self, changed};

/// How many tracked files are looked at. In a larger repository only those count that somebody else changed.
const MOST_FILES: usize = 50_000;
/// How many bytes of a file are read. A larger one that was written counts as changed.
const MOST_BYTES: u64 = 1 << 20;
/// No tree is deeper.
const DEPTH: usize = 500;

/// The worktree of a running task.
#[derive(Debug)]
pub struct Glance<'a> {
    /// Its files.
    pub worktree: &'a Path,
    /// Where what it wrote lies over an image, that.
    pub upper: Option<&'a Path>,
    /// A file that was made just before the task began, and after its worktree was.
    pub since: &'a Path,
    /// Is what is missing deleted? Not so where only some of the files were checked out.
    pub is_whole: bool,
    /// What it builds on.
    pub base: CommitId,
}

/// The paths among the tracked ones, and among `others`, that a running task has changed, made or deleted so far. None
/// where the objects of the repository cannot be read in process, or the task has not begun.
pub fn touched_so_far(repo: &Repository, glance: &Glance<'_>, others: &BTreeSet<Word>) -> BTreeSet<Word> {
    let began = fs::metadata(glance.since).map(|seen| (seen.mtime(), seen.mtime_nsec()));
    let (Some(objects), Ok(began)) = (Objects::of(repo), began) else { return BTreeSet::new() };
    let Some(tree) = objects.tree_of(glance.base) else { return BTreeSet::new() };
    objects.begin();
    let others = others.iter().map(|path| (path.clone(), entry_at(&objects, tree, path)));
    let mut paths: BTreeMap<Word, Option<Entry>> = others.collect();
    let written = glance.upper.map(|upper| Upper::read(upper, Reading::Live)).transpose();
    let files = beneath::Top::open(glance.upper.unwrap_or(glance.worktree));
    let (Ok(files), Ok(written)) = (files, written) else { return BTreeSet::new() };
    let tracked = tracked(&objects, tree).unwrap_or_default();
    paths.extend(tracked.into_iter().map(|(path, entry)| (path, Some(entry))));
    // What shines through is as it was.
    let shines = |path: &Word| written.as_ref().is_some_and(|written| written.seen(path) == Seen::Below);
    paths.retain(|path, entry| !shines(path) && glance.is_touched(&files, path, *entry, began));
    // It may have ended meanwhile: a worktree that is gone has deleted nothing.
    if !glance.upper.unwrap_or(glance.worktree).is_dir() {
        return BTreeSet::new();
    }
    paths.into_keys().collect()
}

impl Glance<'_> {
    fn is_touched(&self, files: &beneath::Top, path: &Word, entry: Option<Entry>, began: (i64, i64)) -> bool {
        let Ok(seen) = files.seen(path.as_path()) else {
            return entry.is_some() && self.is_whole;
        };
        let kind = FileType::from_raw_mode(seen.st_mode);
        if changed(&seen) < began || kind == FileType::Directory {
            return false;
        }
        let Some(entry) = entry else { return true };
        if kind != FileType::RegularFile || seen.st_size.cast_unsigned() > MOST_BYTES {
            return true;
        }
        // What lies behind a link is not the task's, and is not read.
        let read = || read_file(files, path.as_path()).ok();
        let now = read().and_then(|bytes| Oid::hash_object(ObjectType::Blob, &bytes).ok());
        now != Some(entry.id)
    }
}

/// A regular file, and nothing that we would wait for.
fn read_file(files: &beneath::Top, path: &Path) -> std::io::Result<Vec<u8>> {
    let file = files.file(path)?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Every tracked file with its place; `None` where there are too many, or one tree cannot be read.
fn tracked(objects: &Objects<'_>, tree: TreeId) -> Option<Vec<(Word, Entry)>> {
    let mut files = Vec::new();
    walk(objects, Oid::from_str(&tree.to_string()).ok()?, &mut Vec::new(), &mut files, 0)?;
    Some(files)
}

fn walk(
    objects: &Objects<'_>,
    tree: Oid,
    path: &mut Vec<u8>,
    files: &mut Vec<(Word, Entry)>,
    depth: usize,
) -> Option<()> {
    let listing = objects.tree(tree).filter(|_| depth <= DEPTH)?;
    for (name, entry) in (0..listing.len()).filter_map(|place| listing.get(place)) {
        let length = path.len();
        if length > 0 {
            path.push(b'/');
        }
        path.extend(name);
        match entry.mode {
            Entry::TREE => walk(objects, entry.id, path, files, depth + 1)?,
            0o160_000 => {}
            _ => files.push((Word::from(path.clone()), entry)),
        }
        path.truncate(length);
        if files.len() > MOST_FILES {
            return None;
        }
    }
    Some(())
}

fn entry_at(objects: &Objects<'_>, tree: TreeId, path: &Word) -> Option<Entry> {
    let mut at = Entry { mode: Entry::TREE, id: Oid::from_str(&tree.to_string()).ok()? };
    for part in path.as_bytes().split(|byte| *byte == b'/') {
        let listing = objects.tree(at.id).filter(|_| at.is_tree())?;
        at = (0..listing.len()).filter_map(|place| listing.get(place)).find(|(name, _)| *name == part)?.1;
    }
    Some(at).filter(|entry| !entry.is_tree() && entry.mode != 0o160_000)
}
