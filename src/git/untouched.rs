//! Is a checkout surely untouched where a landing changes it? The cheap answer, which looks at nothing else.
//!
//! `git status` looks at every file of the checkout: on 50,000 files that is most of what a landing costs. Here only the
//! paths of the change are looked at, in the index and by their times. Whatever is not plain (a file that is newer than
//! the index, an index that is split or sparse, a submodule, a file in the place of a directory) is left to git.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::checkout::{CheckoutOf, Entry, TreeChange, parents};
use crate::core::word::Word;

/// Not staged, not edited, nowhere in this change. `false` where only git can tell.
pub(super) fn is_surely_untouched(checkout: &CheckoutOf, change: &TreeChange) -> bool {
    let file = checkout.git_dir.join("index");
    let (Ok(seen), Ok(index)) = (fs::metadata(&file), git2::Index::open(&file)) else { return false };
    let look = Look { checkout, index: &index, written: (seen.mtime(), seen.mtime_nsec()) };
    !index.has_conflicts()
        && change.entries.iter().all(|(path, sides)| match sides {
            (Some(old), new) => !new.as_ref().is_some_and(Entry::is_gitlink) && look.is_as_in(path, old),
            (None, new) => !new.as_ref().is_some_and(Entry::is_gitlink) && look.is_free(path),
        })
}

struct Look<'a> {
    checkout: &'a CheckoutOf,
    index: &'a git2::Index,
    /// When the index was written.
    written: (i64, i64),
}

impl Look<'_> {
    /// Does the index hold the entry of the tree, and the checkout the file of the index?
    fn is_as_in(&self, path: &Word, tree: &Entry) -> bool {
        const SPECIAL: u16 = git2::IndexEntryFlag::VALID.bits();
        let Some(entry) = self.index.get_path(path.as_path(), 0) else { return false };
        if entry.id.to_string() != tree.object || entry.mode != tree.mode || tree.is_gitlink() {
            return false;
        }
        // Such as "assume unchanged" and "skip the work tree".
        if entry.flags & SPECIAL != 0 || entry.flags_extended != 0 {
            return false;
        }
        let Ok(seen) = fs::symlink_metadata(self.checkout.top.join(path.as_path())) else { return false };
        let changed = (seen.ctime(), seen.ctime_nsec());
        let modified = (seen.mtime(), seen.mtime_nsec());
        let is_same = |time: git2::IndexTime, seen: (i64, i64)| {
            (i64::from(time.seconds()), i64::from(time.nanoseconds())) == seen
        };
        let kind = if seen.is_symlink() { 0o120_000 } else { 0o100_000 };
        let is_executable = seen.mode() & 0o100 != 0;
        is_same(entry.mtime, modified)
            && is_same(entry.ctime, changed)
            && modified < self.written
            && u64::from(entry.file_size) == seen.size()
            && u64::from(entry.ino) == seen.ino() & 0xffff_ffff
            && !seen.is_dir()
            && entry.mode & 0o170_000 == kind
            && (seen.is_symlink() || (entry.mode & 0o100 != 0) == is_executable)
    }

    /// Does the index hold nothing at this path, below it or above it? (What is in the checkout there is looked at anyway.)
    fn is_free(&self, path: &Word) -> bool {
        let is_known = |path: &Word| self.index.get_path(path.as_path(), 0).is_some();
        let below = Word::from([path.as_bytes(), b"/"].concat());
        !is_known(path)
            && self.index.find_prefix(below.as_path()).is_err()
            && !parents(path).any(|above| is_known(&above))
    }
}
