//! A commit of left-overs, written by the library: what `write-tree`, `commit-tree` and `update-ref` would cost three
//! processes for. Every function answers nothing where the library cannot do the same as git, and then git does it.
//!
//! Only for the shim of that very attempt: the repository is the task's own.

use std::path::Path;

use git2::{Oid, Reference, Signature};

use super::index::Index;
use super::stage::{self, Edits};
use crate::core::id::CommitId;

/// The bits of an entry that say that it is staged in name only: no part of a tree.
const INTENT_TO_ADD: u16 = 1 << 13;

/// A tree that was written from an index.
pub(super) struct Written {
    library: git2::Repository,
    pub(super) tree: Oid,
}

impl Written {
    /// Write the tree of this index. None where the library cannot open the repository, see `head`, or read the index
    /// (a split or sparse one, a conflict).
    pub(super) fn tree(private_dir: &Path, index: &Path, head: CommitId) -> Option<Self> {
        // Opened only now: it would not see what another process has written since.
        let library = git2::Repository::open(private_dir).ok()?;
        library.find_commit(oid(head)?).ok()?;
        let mut index = git2::Index::open(index).ok()?;
        if index.iter().any(|entry| entry.flags_extended & INTENT_TO_ADD != 0) {
            return None;
        }
        let tree = index.write_tree_to(&library).ok()?;
        Some(Self { library, tree })
    }

    /// The tree of HEAD with these edits, and the index that holds it. None where only git can stage them.
    pub(super) fn staged(
        private_dir: &Path,
        worktree: &Path,
        index: &Index,
        head: CommitId,
        edits: &Edits,
    ) -> Option<(Self, Vec<u8>)> {
        let library = git2::Repository::open(private_dir).ok()?;
        let staged = stage::stage(&library, worktree, index, oid(head)?, edits)?;
        Some((Self { library, tree: staged.tree }, staged.index))
    }

    /// The tree of a commit.
    pub(super) fn tree_of(&self, commit: CommitId) -> Option<String> {
        Some(self.library.find_commit(oid(commit)?).ok()?.tree_id().to_string())
    }

    /// A commit of the tree. None where the task broke its identity, or git would have to guess one.
    pub(super) fn commit(&self, parent: CommitId, message: &str) -> Option<CommitId> {
        let mut message = message.to_owned();
        if !message.ends_with('\n') {
            message.push('\n');
        }
        let [author, committer] = [self.who("author")?, self.who("committer")?];
        let tree = self.library.find_tree(self.tree).ok()?;
        let parent = self.library.find_commit(oid(parent)?).ok()?;
        let commit = self.library.commit(None, &author, &committer, &message, &tree, &[&parent]).ok()?;
        commit.to_string().parse().ok()
    }

    fn who(&self, role: &str) -> Option<Signature<'static>> {
        let config = self.library.config().ok()?;
        let word = |name: &str| {
            let own = config.get_string(&format!("{role}.{name}"));
            own.or_else(|_| config.get_string(&format!("user.{name}"))).ok().filter(|word| is_plain(word))
        };
        Signature::now(&word("name")?, &word("email")?).ok()
    }

    /// HEAD, and the branch that it names, move to the tip, from where they were: none before the first commit.
    pub(super) fn move_head(&self, tip: CommitId, from: Option<CommitId>) -> Option<()> {
        let head = self.library.find_reference("HEAD").ok()?;
        let name = match head.symbolic_target() {
            Ok(Some(name)) => name.to_owned(),
            Ok(None) => "HEAD".to_owned(),
            Err(_) => return None,
        };
        let log = "pleach: left-overs";
        let tip = oid(tip)?;
        let moved: Result<Reference<'_>, git2::Error> = match from {
            Some(from) => self.library.reference_matching(&name, tip, true, oid(from)?, log),
            None => self.library.reference(&name, tip, false, log),
        };
        moved.ok().map(drop)
    }
}

/// Is it a name that git takes as it is? What it would cut off or leave out it decides itself.
fn is_plain(word: &str) -> bool {
    let at_ends = |c: char| c.is_control() || c.is_whitespace() || ".,:;\"\\'".contains(c);
    let ends = [word.chars().next(), word.chars().next_back()];
    ends.iter().all(|end| end.is_some_and(|c| !at_ends(c))) && !word.contains(['<', '>', '\n', '\0'])
}

fn oid(commit: CommitId) -> Option<Oid> {
    Oid::from_bytes(commit.as_bytes()).ok()
}
