//! The change of a text file, cut into hunks that can be taken one by one.
//!
//! A hunk is what `diff -U3` shows as one: changes with less than seven lines between them. It has the name that its heading
//! gives it, which is the only one of its file; and since hunks never overlap, any choice of them makes a file.

use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use similar::{ChangeTag, TextDiff};

use super::word::Word;

/// Lines around a change.
const CONTEXT: usize = 3;
/// How long the lines of one file may be compared before the answer gets coarser.
const PATIENCE: Duration = Duration::from_secs(2);

/// Some changed lines of a file, with those around them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hunk {
    /// The lines that it stands for before, from 0.
    pub old: Range<usize>,
    /// And after.
    pub new: Range<usize>,
    /// All of them, in order.
    pub lines: Vec<Line>,
}

/// A line of a hunk.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// What became of it.
    pub is: Fate,
    /// The line, without its line feed.
    pub text: Word,
    /// It is the last, and has no line feed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Nothing.
    #[default]
    Kept,
    /// It is gone.
    Removed,
    /// It is new.
    Added,
}

impl Hunk {
    /// What it is called within its file: its heading, without the signs around it.
    pub fn id(&self) -> String {
        // As `diff` counts: from 1, and of nothing the line before.
        let side = |range: &Range<usize>| format!("{},{}", range.start + usize::from(!range.is_empty()), range.len());
        format!("-{} +{}", side(&self.old), side(&self.new))
    }

    /// Lines added and removed.
    pub fn counts(&self) -> (u64, u64) {
        let of = |fate| self.lines.iter().filter(|line| line.is == fate).count() as u64;
        (of(Fate::Added), of(Fate::Removed))
    }
}

/// Lines as git has them: up to and with the line feed; a carriage return alone ends nothing.
fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').collect()
}

/// Cut what differs between two texts into hunks, in their order. However long the texts are, the time is bounded.
pub fn cut(old: &[u8], new: &[u8]) -> Vec<Hunk> {
    let (old, new) = (lines(old), lines(new));
    let diff = TextDiff::configure().timeout(PATIENCE).diff_slices(&old, &new);
    let hunk = |group: Vec<similar::DiffOp>| {
        let (first, last) = (group.first()?, group.last()?);
        let lines = group.iter().flat_map(|op| diff.iter_changes(op)).map(|change| {
            let is = match change.tag() {
                ChangeTag::Equal => Fate::Kept,
                ChangeTag::Delete => Fate::Removed,
                ChangeTag::Insert => Fate::Added,
            };
            let bytes: &[u8] = change.value();
            let text = bytes.strip_suffix(b"\n");
            Line { is, text: Word::from(text.unwrap_or(bytes).to_vec()), open: text.is_none() }
        });
        let old = first.old_range().start..last.old_range().end;
        Some(Hunk { old, new: first.new_range().start..last.new_range().end, lines: lines.collect() })
    };
    diff.grouped_ops(CONTEXT).into_iter().filter_map(hunk).collect()
}

/// The old text with some of its hunks: those that are `taken`, by their place in `hunks`, which [`cut`] made of the two.
pub fn take(old: &[u8], new: &[u8], hunks: &[Hunk], taken: impl Fn(usize) -> bool) -> Vec<u8> {
    let (old, new) = (lines(old), lines(new));
    let (mut text, mut at) = (Vec::<&[u8]>::new(), 0);
    for (place, hunk) in hunks.iter().enumerate() {
        text.extend(&old[at..hunk.old.start]);
        text.extend(if taken(place) { &new[hunk.new.clone()] } else { &old[hunk.old.clone()] });
        at = hunk.old.end;
    }
    text.extend(&old[at..]);
    text.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: impl IntoIterator<Item = impl std::fmt::Display>) -> Vec<u8> {
        lines.into_iter().map(|line| format!("{line}\n")).collect::<String>().into_bytes()
    }

    #[test]
    fn each_hunk_can_be_taken_alone() {
        let old = text(1..=30);
        let new = text((1..=30).filter(|n| *n != 28).map(|n| if n == 2 { "two".to_owned() } else { n.to_string() }));
        let hunks = cut(&old, &new);
        assert_eq!(hunks.iter().map(Hunk::id).collect::<Vec<_>>(), ["-1,5 +1,5", "-25,6 +25,5"]);
        assert_eq!(hunks[0].counts(), (1, 1));
        assert_eq!(take(&old, &new, &hunks, |_| true), new);
        assert_eq!(take(&old, &new, &hunks, |_| false), old);
        let first = take(&old, &new, &hunks, |place| place == 0);
        assert_eq!(first, text((1..=30).map(|n| if n == 2 { "two".to_owned() } else { n.to_string() })));
    }

    #[test]
    fn a_new_file_and_one_without_a_last_line_feed() {
        let hunks = cut(b"", b"a\nb");
        assert_eq!(hunks[0].id(), "-0,0 +1,2");
        assert!(hunks[0].lines[1].open && !hunks[0].lines[0].open);
        assert_eq!(take(b"", b"a\nb", &hunks, |_| true), b"a\nb");
        let (old, new) = (b"a\nb", b"a\nb\n");
        let hunks = cut(old, new);
        assert_eq!(hunks.len(), 1);
        assert_eq!(take(old, new, &hunks, |_| true), new);
        assert_eq!(cut(b"same\n", b"same\n"), []);
    }
}
