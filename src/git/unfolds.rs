//! How many paths a result has: a few trees can name each other so that they unfold to more than any disk holds, and
//! whoever lists them never ends.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;

use git2::{ObjectType, Odb, Oid, Tree};

use super::Repository;
use crate::core::id::CommitId;
use crate::process::Tool;

/// More changed paths than these are no result. The largest repositories have as many files.
const MOST_PATHS: u64 = 1_000_000;
/// The same of all their names together, where git lists them: deep ones are long.
const MOST_BYTES: u64 = 1 << 30;
/// A directory of more bytes than these has more entries than that.
const LARGEST_TREE: usize = 64 << 20;
/// A commit of more bytes than these is no message.
const LARGEST_COMMIT: usize = 16 << 20;
/// As deep as anybody goes, so that a hostile tree does not use up our stack.
const DEPTH: usize = 500;

/// Why the tips, of which objects are also in `incoming`, are too much to be looked at; none where they are not, and where
/// only git could tell.
///
/// What the library cannot read (SHA-256, a partial clone) is listed by git, `within` what it sees, up to as many paths.
pub(super) fn too_much(
    repo: &Repository,
    incoming: &Path,
    tips: &[CommitId],
    base: CommitId,
    within: &dyn Fn(Tool) -> Tool,
) -> Option<String> {
    match counted(repo, incoming, tips, base) {
        Some(judged) => judged,
        None => tips.iter().find_map(|tip| listed(repo, *tip, base, within)),
    }
}

/// Have git list all paths, and stop it where they are too many more than in the base. (`diff-tree` would hold all of them in
/// memory before it says one.) What it cannot list is told by who asks next.
fn listed(repo: &Repository, tip: CommitId, base: CommitId, within: &dyn Fn(Tool) -> Tool) -> Option<String> {
    let size = within(repo.git()).args(["cat-file", "-s", &tip.to_string()]).line().ok()?;
    if size.parse::<usize>().is_ok_and(|size| size > LARGEST_COMMIT) {
        return Some(format!("a commit in it has more than {} MiB", LARGEST_COMMIT >> 20));
    }
    // What the base has, it has on the disk of its user.
    let (old, _) = paths(within(repo.git()), base, u64::MAX)?;
    let (_, is_more) = paths(within(repo.git()), tip, old.saturating_add(MOST_PATHS))?;
    is_more.then(|| format!("it has more than {MOST_PATHS} changed paths"))
}

/// How many paths a commit has, and whether that is more than so many: then it is not listed any further.
fn paths(git: Tool, commit: CommitId, most: u64) -> Option<(u64, bool)> {
    let list = git.env("GIT_NO_LAZY_FETCH", "1").args(["ls-tree", "-r", "-z", "--name-only", &commit.to_string()]);
    let mut running = list.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let (count, is_more) = running.stdout.take().map(|out| count(out, most))?;
    if is_more {
        let _ = running.kill();
    }
    let ended = running.wait().ok()?;
    // A tree that is deeper than git can follow ends git.
    Some((count, is_more || ended.code().is_none()))
}

/// How many of these there are, each with a zero behind it, and whether that is more than so many.
fn count(mut from: impl Read, most: u64) -> (u64, bool) {
    let (mut count, mut bytes, mut buffer) = (0_u64, 0_u64, vec![0; 64 << 10]);
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        count += buffer[..length].iter().filter(|byte| **byte == 0).count() as u64;
        bytes += length as u64;
        if count > most || (most < u64::MAX && bytes > MOST_BYTES.saturating_mul(1 + most / MOST_PATHS)) {
            return (count, true);
        }
    }
    (count, false)
}

/// The same by the library; none where it cannot tell.
fn counted(repo: &Repository, incoming: &Path, tips: &[CommitId], base: CommitId) -> Option<Option<String>> {
    let library = repo.library()?;
    let odb = library.odb().ok()?;
    odb.add_disk_alternate(incoming.to_str()?).ok()?;
    let mut count = Count { library: &library, odb: &odb, whole: HashMap::new() };
    let tree_of = |commit: CommitId| {
        let id = Oid::from_bytes(commit.as_bytes()).ok()?;
        let (size, kind) = odb.read_header(id).ok()?;
        if kind != ObjectType::Commit || size > LARGEST_COMMIT {
            return None;
        }
        library.find_commit(id).ok()?.tree_id().into()
    };
    let old = tree_of(base)?;
    for tip in tips {
        if is_large(&odb, *tip) {
            return Some(Some(format!("a commit in it has more than {} MiB", LARGEST_COMMIT >> 20)));
        }
        let paths = count.beyond(tree_of(*tip)?, Some(old), 0)?;
        if paths > MOST_PATHS {
            return Some(Some(format!("it has more than {MOST_PATHS} changed paths")));
        }
    }
    Some(None)
}

fn is_large(odb: &Odb<'_>, commit: CommitId) -> bool {
    let id = Oid::from_bytes(commit.as_bytes());
    id.and_then(|id| odb.read_header(id)).is_ok_and(|(size, _)| size > LARGEST_COMMIT)
}

struct Count<'a> {
    library: &'a git2::Repository,
    odb: &'a Odb<'a>,
    /// The paths below a tree, all of them.
    whole: HashMap<Oid, u64>,
}

impl<'a> Count<'a> {
    /// The paths of a tree that are not as they are in `old`, which is in the same place.
    fn beyond(&mut self, tree: Oid, old: Option<Oid>, depth: usize) -> Option<u64> {
        if old == Some(tree) {
            return Some(0);
        }
        if old.is_none()
            && let Some(known) = self.whole.get(&tree)
        {
            return Some(*known);
        }
        let Some(listed) = self.read(tree)? else { return Some(u64::MAX) };
        if depth > DEPTH {
            return Some(u64::MAX);
        }
        let before: Option<Tree<'a>> = old.and_then(|old| self.library.find_tree(old).ok());
        let mut paths = 0_u64;
        for entry in &listed {
            let known =
                before.as_ref().and_then(|before| before.get_name_bytes(entry.name_bytes()).map(|old| old.id()));
            paths = paths.saturating_add(match entry.kind() {
                _ if known == Some(entry.id()) => 0,
                Some(ObjectType::Tree) => {
                    let known = known
                        .filter(|known| self.odb.read_header(*known).is_ok_and(|(_, kind)| kind == ObjectType::Tree));
                    self.beyond(entry.id(), known, depth + 1)?
                }
                _ => 1,
            });
            if paths > MOST_PATHS {
                break;
            }
        }
        if old.is_none() {
            self.whole.insert(tree, paths);
        }
        Some(paths)
    }

    /// The entries of a tree; `Some(None)` where there are too many. None where it is missing, which somebody else tells.
    fn read(&self, tree: Oid) -> Option<Option<Tree<'a>>> {
        let (size, _) = self.odb.read_header(tree).ok()?;
        if size > LARGEST_TREE {
            return Some(None);
        }
        self.library.find_tree(tree).ok().map(Some)
    }
}
