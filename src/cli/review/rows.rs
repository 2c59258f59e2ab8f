//! A file as rows: notes, the headings of hunks, their lines side by side or below each other, and what is said of them.

use std::collections::BTreeMap;

use crate::core::hunk::{Fate, Line};
use crate::core::report::FileChange;
use crate::core::review::{Comment, FileSheet, HunkSheet, MODE, Side};
use crate::core::word::{count, shown};

/// The most lines of one hunk that are rows: nobody reads more here.
pub(super) const MOST: usize = 50_000;

/// A line of a hunk, by its place in it, and its number in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) line: usize,
    pub(super) number: u32,
}

/// A row. Lines are not copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    /// One of the notes.
    Note(usize),
    /// The heading of a hunk.
    Head(usize),
    /// A line on both sides or on one; below each other only one of them is there, or both are the same line.
    Line { hunk: usize, old: Option<Cell>, new: Option<Cell> },
    /// A line of a comment.
    Comment { comment: usize, part: usize },
}

/// All rows of a file.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) all: Vec<Row>,
    pub(super) notes: Vec<String>,
    /// The row of the heading of each hunk.
    pub(super) heads: Vec<usize>,
}

impl Rows {
    /// Those of a file, with what `comments` say of it.
    pub(super) fn of(file: &FileSheet, comments: &[Comment], is_split: bool) -> Self {
        let mut rows = Self::default();
        for note in notes(file) {
            rows.note(note);
        }
        let is_old = |comment: &Comment| comment.side == Side::Old && file.old_path.as_ref() == Some(&comment.path);
        let mut at: BTreeMap<(bool, u32), Vec<usize>> = BTreeMap::new();
        for (place, comment) in comments.iter().enumerate() {
            if comment.path == file.path || is_old(comment) {
                at.entry((comment.side == Side::Old, comment.line.unwrap_or(0))).or_default().push(place);
            }
        }
        // What is on a line that is not here is told before all others.
        let mut seen: Vec<(bool, u32)> = Vec::new();
        let mut lines = Vec::new();
        for (place, hunk) in file.hunks.iter().enumerate() {
            lines.push(if is_split { pairs(place, hunk) } else { unified(place, hunk) });
        }
        if !at.is_empty() {
            for row in lines.iter().flatten() {
                let keys = keys(row);
                seen.extend(keys.into_iter().flatten().filter(|key| at.contains_key(key)));
            }
        }
        let elsewhere: Vec<usize> =
            at.iter().filter(|(key, _)| !seen.contains(key)).flat_map(|(_, places)| places.clone()).collect();
        elsewhere.into_iter().for_each(|place| rows.comment(place, comments));
        for (place, (hunk, lines)) in file.hunks.iter().zip(lines).enumerate() {
            rows.heads.push(rows.all.len());
            rows.all.push(Row::Head(place));
            if hunk.id == MODE {
                rows.note(mode(file));
            }
            for row in lines {
                rows.all.push(row);
                for key in keys(&row).into_iter().flatten() {
                    for place in at.remove(&key).unwrap_or_default() {
                        rows.comment(place, comments);
                    }
                }
            }
            if hunk.lines.len() > MOST {
                rows.note(format!(
                    "{} more of this hunk: too much to read here; read them with `pleach diff`",
                    count((hunk.lines.len() - MOST) as u64, "line")
                ));
            }
        }
        rows
    }

    /// The hunk that a row belongs to.
    pub(super) fn hunk(&self, row: usize) -> Option<usize> {
        self.heads.iter().rposition(|head| *head <= row)
    }

    fn note(&mut self, text: String) {
        self.all.push(Row::Note(self.notes.len()));
        self.notes.push(text);
    }

    fn comment(&mut self, comment: usize, comments: &[Comment]) {
        let parts = comments[comment].text.lines().count().max(1);
        self.all.extend((0..parts).map(|part| Row::Comment { comment, part }));
    }
}

/// The lines that a row stands for: is it of the old side, and its number.
fn keys(row: &Row) -> [Option<(bool, u32)>; 2] {
    match row {
        Row::Line { old, new, .. } => [old.map(|cell| (true, cell.number)), new.map(|cell| (false, cell.number))],
        _ => [None, None],
    }
}

fn notes(file: &FileSheet) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(file.look_first.as_ref().map(|why| format!("look at it first: {why}")));
    notes.extend(file.old_path.as_ref().map(|old| format!("renamed from {}", old.shown())));
    notes.extend(file.unread.as_deref().map(shown));
    let is_mode = file.old_mode != file.new_mode && file.old_mode.is_some() && file.new_mode.is_some();
    if is_mode && !file.hunks.iter().any(|hunk| hunk.id == MODE) {
        notes.push(mode(file));
    }
    if file.hunks.is_empty() && file.unread.is_none() && !is_mode {
        notes.push(
            match file.change {
                Some(FileChange::Added) => "an empty file comes",
                Some(FileChange::Deleted) => "an empty file goes",
                _ => "no line of it differs",
            }
            .to_owned(),
        );
    }
    notes
}

fn mode(file: &FileSheet) -> String {
    let of = |mode: &Option<String>| mode.clone().unwrap_or_else(|| "nothing".to_owned());
    format!("mode {} -> {}", of(&file.old_mode), of(&file.new_mode))
}

/// The numbers of its first lines, before and after.
pub(super) fn starts(hunk: &HunkSheet) -> (u32, u32) {
    let number = |side: &str| side[1..].split(',').next().and_then(|number| number.parse().ok()).unwrap_or(0);
    hunk.id.split_once(' ').map_or((0, 0), |(old, new)| (number(old), number(new)))
}

/// Each line of a hunk with its numbers.
fn numbered(hunk: &HunkSheet) -> impl Iterator<Item = (Option<Cell>, Option<Cell>, &Line)> {
    let (mut old, mut new) = starts(hunk);
    hunk.lines.iter().take(MOST).enumerate().map(move |(line, of)| {
        let next = |number: &mut u32, is: bool| {
            let cell = is.then_some(Cell { line, number: *number });
            *number += u32::from(is);
            cell
        };
        let before = next(&mut old, of.is != Fate::Added);
        (before, next(&mut new, of.is != Fate::Removed), of)
    })
}

fn unified(hunk: usize, sheet: &HunkSheet) -> Vec<Row> {
    numbered(sheet).map(|(old, new, _)| Row::Line { hunk, old, new }).collect()
}

/// What was removed stands beside what was added in its place.
fn pairs(hunk: usize, sheet: &HunkSheet) -> Vec<Row> {
    let mut rows = Vec::new();
    let (mut removed, mut added) = (Vec::new(), Vec::new());
    let flush = |removed: &mut Vec<Cell>, added: &mut Vec<Cell>, rows: &mut Vec<Row>| {
        for place in 0..removed.len().max(added.len()) {
            rows.push(Row::Line { hunk, old: removed.get(place).copied(), new: added.get(place).copied() });
        }
        removed.clear();
        added.clear();
    };
    for (old, new, line) in numbered(sheet) {
        match line.is {
            Fate::Kept => {
                flush(&mut removed, &mut added, &mut rows);
                rows.push(Row::Line { hunk, old, new });
            }
            Fate::Removed => {
                if !added.is_empty() {
                    flush(&mut removed, &mut added, &mut rows);
                }
                removed.extend(old);
            }
            Fate::Added => added.extend(new),
        }
    }
    flush(&mut removed, &mut added, &mut rows);
    rows
}
