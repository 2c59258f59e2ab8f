//! Is a checkout surely untouched where a landing changes it? The cheap answer, which looks at nothing else.
//!
//! `git status` looks at every file of the checkout: on 50,000 files that is most of what a landing costs. Here only the
//! paths of the change are looked at: in the index, by their times, and where those do not tell, by content. Whatever is
//! not plain (an index that is split or sparse, a submodule, a file in the place of a directory) is left to git.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::MetadataExt;

use super::checkout::{CheckoutOf, Entry, TreeChange, parents};
use super::index::Index;
use crate::core::word::Word;

/// Nothing that a change touches is staged or edited, or stands where something new goes.
pub(super) struct Untouched {
    /// What was looked at.
    pub(super) index: Index,
    /// Does the index itself show it? Else git does not believe it before it has refreshed the index.
    pub(super) is_by_times: bool,
}

/// Look. `None` where only git can tell.
pub(super) fn surely_untouched(checkout: &CheckoutOf, change: &TreeChange) -> Option<Untouched> {
    let index = Index::read(&checkout.git_dir.join("index"))?;
    let look = Look { checkout, index: &index, change, is_by_times: Cell::new(true) };
    let is_untouched = look.is_untouched();
    let is_by_times = look.is_by_times.get();
    is_untouched.then_some(Untouched { index, is_by_times })
}

/// The same look once more, with an index that was read before.
pub(super) fn is_still_untouched(checkout: &CheckoutOf, change: &TreeChange, index: &Index) -> bool {
    Look { checkout, index, change, is_by_times: Cell::new(true) }.is_untouched()
}

struct Look<'a> {
    checkout: &'a CheckoutOf,
    index: &'a Index,
    change: &'a TreeChange,
    is_by_times: Cell<bool>,
}

impl Look<'_> {
    fn is_untouched(&self) -> bool {
        self.change.entries.iter().all(|(path, sides)| match sides {
            (Some(old), new) => !new.as_ref().is_some_and(Entry::is_gitlink) && self.is_as_in(path, old),
            (None, new) => !new.as_ref().is_some_and(Entry::is_gitlink) && self.is_free(path),
        })
    }

    /// Does the index hold the entry of the tree, and the checkout the file of the index?
    fn is_as_in(&self, path: &Word, tree: &Entry) -> bool {
        let Some(known) = self.index.get(path) else { return false };
        let Ok(object) = git2::Oid::from_str(&tree.object) else { return false };
        if known.object() != object.as_bytes() || known.mode() != tree.mode || tree.is_gitlink() || !known.is_plain() {
            return false;
        }
        let place = self.checkout.top.join(path.as_path());
        let Ok(seen) = fs::symlink_metadata(&place) else { return false };
        let kind = if seen.is_symlink() { 0o120_000 } else { 0o100_000 };
        let is_executable = seen.mode() & 0o100 != 0;
        let is_kind = !seen.is_dir()
            && tree.mode & 0o170_000 == kind
            && (seen.is_symlink() || (tree.mode & 0o100 != 0) == is_executable);
        if !is_kind {
            return false;
        }
        if known.looks_like(&seen) && !known.may_have_changed_unseen() {
            return true;
        }
        self.is_by_times.set(false);
        // Newer than the index, or as good as: what it holds decides.
        seen.is_file() && git2::Oid::hash_file(git2::ObjectType::Blob, &place).is_ok_and(|now| now == object)
    }

    /// Does the index hold nothing at this path, and nothing below it or above it that stays? (What is in the checkout
    /// there is looked at anyway.)
    fn is_free(&self, path: &Word) -> bool {
        let is_known = |path: &Word| self.index.get(path).is_some();
        let mut above = parents(path);
        !is_known(path)
            && self.index.below(path).all(|below| self.change.takes_away(&below))
            && !above.any(|above| is_known(&above) && !self.change.takes_away(&above))
    }
}
