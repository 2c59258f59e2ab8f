//! What a task left, staged without a process: what `git add -A` would do, from what `git status` told.
//!
//! Only where git would store the bytes of the files as they are, under names that it takes anywhere. For all else (filters,
//! line ends, repositories inside, an index that is not as we know it) the answer is nothing, and git does it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use git2::{AttrCheckFlags, AttrValue, Config, ErrorCode, ObjectType, Oid, Repository, Tree};

use super::advance::{EXECUTABLE, PLAIN, is_ordinary};
use super::checkout::parents;
use super::index::{Fresh, Index};
use crate::core::word::Word;

/// More files than these, or bytes of them, are staged by git.
const MOST: usize = 2000;
const LARGEST: u64 = 64 << 20;

const LINK: u32 = 0o120_000;
const DIRECTORY: u32 = 0o40_000;
/// Where a git that is not of the system may look for attributes, and the library does not.
const ATTRIBUTES_OF_OTHERS: [&str; 2] = ["/usr/local/etc/gitattributes", "/opt/homebrew/etc/gitattributes"];

/// What is to be staged at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edit {
    /// What is there.
    Put,
    /// Nothing is there any more, and HEAD has it.
    Remove,
    /// Nothing is there, and HEAD does not have it: only the index does.
    Forget,
}

/// All of them, by path.
pub(super) type Edits = BTreeMap<Word, Edit>;

/// What came of it.
pub(super) struct Staged {
    /// The tree.
    pub(super) tree: Oid,
    /// The index that holds it.
    pub(super) index: Vec<u8>,
}

/// Stage these on the tree of HEAD; nothing is written but objects. `index` is as the task left it, with nothing in it that is told to be looked away from.
pub(super) fn stage(library: &Repository, worktree: &Path, index: &Index, head: Oid, edits: &Edits) -> Option<Staged> {
    let settings = library.config().ok()?.snapshot().ok()?;
    if edits.len() > MOST || !are_plain(&settings)? || !edits.keys().all(is_ordinary) {
        return None;
    }
    if !Attributes::new(library, worktree, &settings)?.let_bytes_be(index, edits) {
        return None;
    }
    let odb = library.odb().ok()?;
    let (mut entries, mut leaves, mut left) = (BTreeMap::new(), Vec::new(), LARGEST);
    for (path, edit) in edits {
        if *edit != Edit::Put {
            entries.insert(path, None);
            leaves.extend((*edit == Edit::Remove).then_some((path.as_bytes(), None)));
            continue;
        }
        let file = worktree.join(path.as_path());
        let seen = fs::symlink_metadata(&file).ok()?;
        left = left.checked_sub(seen.len())?;
        let (mode, bytes) = match seen.file_type() {
            kind if kind.is_symlink() => (LINK, fs::read_link(&file).ok()?.as_os_str().as_bytes().to_vec()),
            kind if kind.is_file() => {
                let bytes = fs::read(&file).ok()?;
                // What line ends are made of is git's to say.
                if bytes.contains(&b'\r') {
                    return None;
                }
                (if seen.mode() & 0o100 == 0 { PLAIN } else { EXECUTABLE }, bytes)
            }
            _ => return None,
        };
        let object = odb.write(ObjectType::Blob, &bytes).ok()?;
        entries.insert(path, Some(Fresh::new(mode, object.as_bytes().try_into().ok()?, &seen)));
        leaves.push((path.as_bytes(), Some((mode, object))));
    }
    let old = library.find_commit(head).ok()?.tree().ok()?;
    let tree = edit(library, Some(&old), &leaves)?;
    let tree = tree.map_or_else(|| library.treebuilder(None).ok()?.write().ok(), Some)?;
    Some(Staged { tree, index: index.with(&entries) })
}

/// A path below a directory, and what it becomes.
type Leaf<'a> = (&'a [u8], Option<(u32, Oid)>);

/// A tree with these edits, which are in the order of their paths; `Some(None)` where nothing is left in it.
fn edit(library: &Repository, old: Option<&Tree<'_>>, edits: &[Leaf<'_>]) -> Option<Option<Oid>> {
    const MODES: [i32; 5] = [0o40_000, 0o100_644, 0o100_755, 0o120_000, 0o160_000];
    if old.is_some_and(|old| old.iter().any(|entry| !MODES.contains(&entry.filemode_raw()))) {
        // Git would write it in another way.
        return None;
    }
    let mut builder = library.treebuilder(old).ok()?;
    let mut names: BTreeMap<&[u8], (Option<Leaf<'_>>, Vec<Leaf<'_>>)> = BTreeMap::new();
    for (path, leaf) in edits {
        match path.iter().position(|byte| *byte == b'/') {
            Some(slash) => names.entry(&path[..slash]).or_default().1.push((&path[slash + 1..], *leaf)),
            None => names.entry(path).or_default().0 = Some((path, *leaf)),
        }
    }
    for (name, (own, below)) in names {
        let before = old.and_then(|old| old.get_name_bytes(name));
        let subtree = before.filter(|entry| entry.kind() == Some(ObjectType::Tree));
        let subtree = subtree.map(|entry| library.find_tree(entry.id())).transpose().ok()?;
        let below = if below.is_empty() { None } else { edit(library, subtree.as_ref(), &below)? };
        let own = own.and_then(|(_, leaf)| leaf);
        match (own, below) {
            // A file and a directory cannot be one.
            (Some(_), Some(_)) => return None,
            (Some((mode, id)), None) => drop(builder.insert(name, id, i32::try_from(mode).ok()?).ok()?),
            (None, Some(id)) => drop(builder.insert(name, id, DIRECTORY as i32).ok()?),
            (None, None) => {
                if builder.get(name).ok()?.is_some() {
                    builder.remove(name).ok()?;
                }
            }
        }
    }
    if builder.is_empty() { Some(None) } else { builder.write().ok().map(Some) }
}

/// Does nothing in the configuration change what is stored of a file without a carriage return? None where the library reads
/// it in part.
fn are_plain(settings: &Config) -> Option<bool> {
    if settings.entries(Some(r"^includeif\.")).ok()?.next().is_some() {
        return None;
    }
    let is = |key: &str, plain: bool| match settings.get_bool(key) {
        Ok(value) => value == plain,
        Err(error) => error.code() == ErrorCode::NotFound,
    };
    let unset = |key: &str| settings.get_entry(key).is_err_and(|error| error.code() == ErrorCode::NotFound);
    let yes = ["core.filemode", "core.symlinks"].iter().all(|key| is(key, true));
    let no = ["core.ignorecase", "core.precomposeunicode", "core.protecthfs", "core.sparsecheckout"];
    Some(yes && no.iter().all(|key| is(key, false)) && unset("attr.tree") && unset("core.bigfilethreshold"))
}

/// What attributes say of files, as the library reads them.
struct Attributes<'a> {
    library: Repository,
    worktree: &'a Path,
}

impl<'a> Attributes<'a> {
    fn new(library: &Repository, worktree: &'a Path, settings: &Config) -> Option<Self> {
        let is_elsewhere = ATTRIBUTES_OF_OTHERS.iter().any(|path| fs::symlink_metadata(path).is_ok());
        if is_elsewhere || settings.get_path("core.attributesfile").is_ok() {
            return None;
        }
        let library = Repository::open(library.path()).ok()?;
        library.set_workdir(worktree, false).ok()?;
        // The library would read all of it, for what is asked of files.
        library.set_index(&mut git2::Index::new().ok()?).ok()?;
        Some(Self { library, worktree })
    }

    /// Has none of the files that are put an attribute by which something else than its bytes is stored, line ends aside?
    fn let_bytes_be(&self, index: &Index, edits: &Edits) -> bool {
        let put: Vec<&Word> = edits.iter().filter(|(_, edit)| **edit == Edit::Put).map(|(path, _)| path).collect();
        let mut dirs = BTreeSet::from([Word::from("")]);
        dirs.extend(put.iter().flat_map(|path| parents(path)));
        let is_read = |dir: &Word| {
            let name = if dir.as_bytes().is_empty() { ".gitattributes" } else { "/.gitattributes" };
            let path = Word::from([dir.as_bytes(), name.as_bytes()].concat());
            // Git takes that of the index where there is no file.
            let seen = fs::symlink_metadata(self.worktree.join(path.as_path()));
            seen.map_or_else(|_| index.get(&path).is_none(), |seen| seen.is_file())
        };
        let has_none = |path: &&Word| {
            ["filter", "ident", "working-tree-encoding"].iter().all(|name| {
                let value = self.library.get_attr_bytes(path.as_path(), name, AttrCheckFlags::FILE_THEN_INDEX);
                let is_none = |value| matches!(AttrValue::from_bytes(value), AttrValue::Unspecified | AttrValue::False);
                value.is_ok_and(is_none)
            })
        };
        dirs.iter().all(is_read) && put.iter().all(has_none)
    }
}
