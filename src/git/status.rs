//! What `git status` tells of the worktree of a task.

use super::stage::{Edit, Edits};
use crate::core::id::CommitId;
use crate::core::word::Word;
use crate::process::tool::fields;

/// What `git status` told.
#[derive(Debug, Default)]
pub(super) struct Status {
    pub(super) head: Option<CommitId>,
    /// Anything that is not a nested repository.
    pub(super) is_dirty: bool,
    /// Something is staged that the worktree does not hold.
    pub(super) has_staged_only: bool,
    /// Does the worktree surely differ from HEAD?
    pub(super) surely_differs: bool,
    pub(super) nested: Vec<Word>,
    /// Submodules with edits or commits of their own.
    pub(super) submodules: Vec<Word>,
    /// All that is to be staged; none where only git can tell.
    pub(super) edits: Option<Edits>,
}

/// Read its answer in the second form. `base` is what HEAD is where it says nothing of it.
pub(super) fn parse(answer: &[u8], base: CommitId) -> Status {
    let mut status = Status { head: Some(base), edits: Some(Edits::new()), ..Status::default() };
    for line in fields(answer) {
        status.edits = status.edits.take().and_then(|edits| with_line(edits, line));
        if let Some(head) = line.strip_prefix(b"# branch.oid ") {
            // "(initial)" before the first commit of a branch.
            status.head = std::str::from_utf8(head).ok().and_then(|head| head.parse().ok());
        } else if let Some(path) = line.strip_prefix(b"? ") {
            match path.strip_suffix(b"/") {
                // With all files asked for, only a repository is told as a directory.
                Some(repository) => status.nested.push(Word::from(repository.to_vec())),
                None => (status.is_dirty, status.surely_differs) = (true, true),
            }
        } else if let [b'1', b' ', staged, unstaged, b' ', submodule, commit, rest @ ..] = line {
            status.is_dirty = true;
            // Edits inside a submodule are no part of this tree; a commit of it is, by name.
            let only_inside = *submodule == b'S' && *commit == b'.';
            let both = *staged != b'.' && *unstaged != b'.';
            status.has_staged_only |= both && *submodule != b'S';
            status.surely_differs |= !(both || only_inside && *staged == b'.');
            if *submodule == b'S' && *unstaged != b'.' && *unstaged != b'D' {
                let path = rest.splitn(7, |byte| *byte == b' ').nth(6).unwrap_or_default();
                status.submodules.push(Word::from(path.to_vec()));
            }
        } else if line.starts_with(b"u ") {
            status.is_dirty = true;
        }
    }
    // Without a commit, the tree is compared with the base's, to which nothing that was told refers.
    status.surely_differs &= status.head.is_some();
    status.is_dirty |= status.head.is_none();
    status
}

/// What a line of `git status` says is to be staged beside these; none where it is not simply a file.
fn with_line(mut edits: Edits, line: &[u8]) -> Option<Edits> {
    match line {
        [b'#', ..] => {}
        [b'?', b' ', path @ ..] if !path.ends_with(b"/") => {
            edits.insert(Word::from(path.to_vec()), Edit::Put);
        }
        [b'1', b' ', staged, unstaged, b' ', b'N', rest @ ..] => {
            let words: Vec<&[u8]> = rest.splitn(7, |byte| *byte == b' ').collect();
            let (mode_of_head, path) = (words.get(1)?, words.get(6)?);
            let edit = match [*staged, *unstaged].contains(&b'D') {
                false => Edit::Put,
                true if *mode_of_head == b"000000" => Edit::Forget,
                true => Edit::Remove,
            };
            edits.insert(Word::from(path.to_vec()), edit);
        }
        _ => return None,
    }
    Some(edits)
}
