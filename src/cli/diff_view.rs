//! Changes for people and for `git apply`: unified differences, `--stat` and `--name-only`, as git draws them.
//!
//! To a terminal, what could act on it is escaped. Into a pipe every byte goes as it is, so that the output is a
//! patch. However large a file is, the time is bounded: a difference that is not found in time is coarser, never wrong.

mod stat;
mod unified;

use crate::core::report::{FileChange, FileLine, Readable};
use crate::core::word::{Word, is_hostile};

pub use stat::{name_only, stat};
pub use unified::{Options, unified};

/// One file before and after.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileDiff {
    /// Before; none for a new file.
    pub old: Option<Side>,
    /// After; none for a deleted file.
    pub new: Option<Side>,
    /// Can a person read it? If not, only its sizes are here.
    pub readable: Readable,
}

/// One side of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Side {
    /// Its path in the tree.
    pub path: Word,
    /// Its mode, as git has it: `0o100644`.
    pub mode: u32,
    /// Its content; of a submodule, git's `Subproject commit …` line.
    pub bytes: Vec<u8>,
    /// How many bytes those are, where they are not here.
    pub size: usize,
}

impl FileDiff {
    /// What happened to the file, with its lines counted.
    pub fn line(&self) -> FileLine {
        let (insertions, deletions) = if self.readable == Readable::Text { unified::counts(self) } else { (0, 0) };
        let path = self.new.as_ref().or(self.old.as_ref()).map(|side| side.path.clone()).unwrap_or_default();
        let old_path = self.old.as_ref().map(|side| side.path.clone()).filter(|old| *old != path);
        let change = match (&self.old, &self.new) {
            (None, _) => FileChange::Added,
            (_, None) => FileChange::Deleted,
            _ if old_path.is_some() => FileChange::Renamed,
            (Some(old), Some(new)) if old.bytes == new.bytes => FileChange::Mode,
            _ => FileChange::Modified,
        };
        FileLine { path, change, old_path, insertions, deletions, binary: self.readable == Readable::Binary }
    }
}

/// A path as git writes it: as it is, or quoted like a string of C where it could be misread. Nothing in it acts on
/// a terminal, and `git apply` understands it.
fn quoted(path: &[u8]) -> String {
    let safe = |text: &str| !text.chars().any(|c| is_hostile(c) || c == '"' || c == '\\');
    if let Some(text) = std::str::from_utf8(path).ok().filter(|text| safe(text)) {
        return text.to_owned();
    }
    let mut text = String::from("\"");
    for chunk in path.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => text.extend(['\\', c]),
                '\n' => text.push_str("\\n"),
                '\t' => text.push_str("\\t"),
                '\r' => text.push_str("\\r"),
                c if is_hostile(c) => octal(c.encode_utf8(&mut [0; 4]).as_bytes(), &mut text),
                c => text.push(c),
            }
        }
        octal(chunk.invalid(), &mut text);
    }
    text.push('"');
    text
}

fn octal(bytes: &[u8], text: &mut String) {
    for byte in bytes {
        text.push_str(&format!("\\{byte:03o}"));
    }
}

#[cfg(test)]
mod tests;
