//! A small result as a pack, without a process: the commits that the base does not have, and what their parents do not
//! have of their trees.
//!
//! Nothing is a delta against what the base has, so a large result is git's, and whatever the library does not read as git would.

use std::collections::HashSet;
use std::path::Path;

use git2::{Buf, ObjectType, Odb, Oid, Repository, Tree};

use super::objects;
use crate::core::id::CommitId;

/// More objects than these, or bytes of them, are packed by git.
const MOST: usize = 2000;
const LARGEST: usize = 4 << 20;
/// As deep as anybody goes, so that a hostile tree does not use up our stack.
const DEPTH: usize = 500;

/// The pack, from this git directory. None where it is for git to make.
pub(super) fn pack(dir: &Path, tips: &[CommitId], base: CommitId) -> Option<Vec<u8>> {
    let library = Repository::open(dir).ok().filter(|library| !library.is_shallow())?;
    if objects::is_replaced(&super::Repository::at(dir)) {
        return None;
    }
    let id = |commit: &CommitId| Oid::from_bytes(commit.as_bytes()).ok();
    let mut commits = library.revwalk().ok()?;
    tips.iter().try_for_each(|tip| commits.push(id(tip)?).ok())?;
    commits.hide(id(&base)?).ok()?;
    let odb = library.odb().ok()?;
    let mut new = New { library: &library, odb: &odb, found: Vec::new(), seen: HashSet::new(), left: LARGEST };
    for commit in commits {
        let commit = library.find_commit(commit.ok()?).ok()?;
        new.add(commit.id())?;
        let parents: Option<Vec<Tree<'_>>> = commit.parents().map(|parent| parent.tree().ok()).collect();
        new.tree(commit.tree_id(), &parents?, 0)?;
    }
    let mut packer = library.packbuilder().ok()?;
    packer.set_threads(1);
    new.found.iter().try_for_each(|id| packer.insert_object(*id, None).ok())?;
    let mut bytes = Buf::new();
    packer.write_buf(&mut bytes).ok()?;
    Some(bytes.to_vec())
}

struct New<'a> {
    library: &'a Repository,
    odb: &'a Odb<'a>,
    found: Vec<Oid>,
    seen: HashSet<Oid>,
    left: usize,
}

impl New<'_> {
    fn add(&mut self, id: Oid) -> Option<ObjectType> {
        let (size, kind) = self.odb.read_header(id).ok()?;
        self.left = self.left.checked_sub(size)?;
        self.found.push(id);
        (self.found.len() <= MOST).then_some(kind)
    }

    /// A tree, and all below it that trees of the same place (`known`) do not have.
    fn tree(&mut self, tree: Oid, known: &[Tree<'_>], depth: usize) -> Option<()> {
        if known.iter().any(|known| known.id() == tree) || !self.seen.insert(tree) {
            return Some(());
        }
        if depth > DEPTH || self.add(tree)? != ObjectType::Tree {
            return None;
        }
        for entry in &self.library.find_tree(tree).ok()? {
            let (id, kind) = (entry.id(), entry.kind());
            let olds: Vec<_> = known.iter().filter_map(|known| known.get_name_bytes(entry.name_bytes())).collect();
            if olds.iter().any(|old| (old.id(), old.kind()) == (id, kind)) {
                continue;
            }
            match kind? {
                // Of another repository.
                ObjectType::Commit => {}
                ObjectType::Tree => {
                    let below = olds.iter().filter(|old| old.kind() == Some(ObjectType::Tree));
                    let below: Option<Vec<Tree<'_>>> = below.map(|old| self.library.find_tree(old.id()).ok()).collect();
                    self.tree(id, &below?, depth + 1)?;
                }
                _ if self.seen.insert(id) => drop(self.add(id)?),
                _ => {}
            }
        }
        Some(())
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests write files as a user would")]
mod tests {
    use super::*;
    use crate::process::Tool;

    #[test]
    fn it_holds_what_git_would_pack_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        let git = |args: &[&str]| {
            let who = ["-c", "user.name=x", "-c", "user.email=x@y", "-c", "commit.gpgsign=false"];
            Tool::git().dir(&top).args(who).args(args).line().unwrap()
        };
        let commit = |files: &[(&str, &str)]| {
            for (path, text) in files {
                let path = top.join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            git(&["add", "-A"]);
            git(&["commit", "-q", "--allow-empty", "-m", "x"]);
            git(&["rev-parse", "HEAD"]).parse::<CommitId>().unwrap()
        };
        git(&["init", "-q", "-b", "main"]);
        let base = commit(&[("a/b/c", "1"), ("a/d", "2"), ("e", "3")]);
        let first = commit(&[("a/b/c", "4"), ("new/x", "3"), ("new/y", "2")]);
        git(&["checkout", "-q", "-b", "side", &base.to_string()]);
        let side = commit(&[("e", "5"), ("a/b/f", "4")]);
        git(&["merge", "-q", "--no-ff", "-m", "merge", &first.to_string()]);
        git(&["mv", "a", "moved"]);
        let tip = commit(&[]);
        for tips in [vec![first], vec![tip], vec![first, side], vec![tip, base]] {
            let bytes = pack(&top.join(".git"), &tips, base).unwrap();
            let wanted: String = tips.iter().map(|tip| format!("{tip}\n")).collect();
            let listed = Tool::git().dir(&top).args(["rev-list", "--objects", "--stdin", "--no-object-names"]);
            let listed = listed.input(format!("{wanted}^{base}\n")).run().unwrap();
            let mut listed: Vec<String> = String::from_utf8(listed).unwrap().lines().map(str::to_owned).collect();
            listed.sort();
            let empty = tempfile::tempdir().unwrap();
            let there = |args: &[&str]| Tool::git().dir(empty.path()).args(args);
            there(&["init", "-q", "--bare"]).run().unwrap();
            there(&["index-pack", "--stdin"]).input(bytes).run().unwrap();
            let held = there(&["cat-file", "--batch-all-objects", "--batch-check=%(objectname)"]).run().unwrap();
            let held: Vec<String> = String::from_utf8(held).unwrap().lines().map(str::to_owned).collect();
            // What some other path of the base has is in it once more: that does no harm.
            let missing: Vec<&String> = listed.iter().filter(|id| !held.contains(id)).collect();
            assert!(missing.is_empty(), "{tips:?}: {missing:?}");
            assert!(held.len() <= listed.len() + 4, "{tips:?}: {} for {}", held.len(), listed.len());
        }
        assert_eq!(pack(&top.join(".git"), &["12".repeat(20).parse().unwrap()], base), None);
        let large = commit(&[("large", &"x".repeat(LARGEST + 1))]);
        assert_eq!(pack(&top.join(".git"), &[large], base), None);
    }
}
