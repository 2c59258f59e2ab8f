//! A review: what a result changes, cut into pieces, and what somebody says of each.
//!
//! One document for both ways. `review --json` prints a [`Sheet`] for each result, with every `verdict` still open; who reviews
//! fills them in, leaves out what is of no interest, and hands it back with `--apply`. What it comes to is [`Sheet::settle`]:
//! either all of it, nothing, or some pieces, which become a result of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::hunk::{Hunk, Line};
use super::id::{BranchName, CommitId, TaskHandle};
use super::report::{FileChange, SCHEMA};
use super::word::Word;

/// The name of the piece that is a change of mode, beside changes of content.
pub const MODE: &str = "mode";

/// A result, and what is said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sheet {
    /// [`SCHEMA`].
    #[serde(default = "schema")]
    pub schema: u32,
    /// Which task; a name is good enough.
    #[serde(serialize_with = "as_named", deserialize_with = "named")]
    pub task: TaskHandle,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which attempt's result it is; where it is said, no other is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Where the result begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<CommitId>,
    /// Its last commit; where it is said, no other is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tip: Option<CommitId>,
    /// The branch that it is meant for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<BranchName>,
    /// What the task ran, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// What the task said of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// What somebody should know of the result before it is folded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// What becomes of it; as long as nothing is said, nothing.
    #[serde(default)]
    pub verdict: Option<Verdict>,
    /// Of a result that is accepted: what becomes of the files that are not named. They are accepted too, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<Choice>,
    /// The message of the commit, where only a part is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What is said to the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
    /// What is said to a file or line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comments: Vec<Comment>,
    /// The files that differ, those first that are to be looked at first.
    #[serde(default)]
    pub files: Vec<FileSheet>,
}

/// What becomes of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It goes in, or what is accepted of it.
    Accept,
    /// Nobody wants it.
    Refuse,
    /// The task runs again, and is told what was said.
    SendBack,
}

/// What becomes of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// It goes in.
    Accept,
    /// It does not.
    Refuse,
}

/// A file that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSheet {
    /// Its path, the new one.
    pub path: Word,
    /// The path that it had before, for a rename.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_path: Option<Word>,
    /// What happened to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<FileChange>,
    /// Its mode before, as git writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_mode: Option<String>,
    /// Its mode after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_mode: Option<String>,
    /// Why it should be looked at before the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_first: Option<String>,
    /// Why there is nothing of it to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
    /// Lines added.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub insertions: u64,
    /// Lines removed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub deletions: u64,
    /// What becomes of it.
    #[serde(default)]
    pub verdict: Option<Choice>,
    /// Its pieces; of a file that can only be taken whole none, or one.
    #[serde(default)]
    pub hunks: Vec<HunkSheet>,
}

/// A piece of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HunkSheet {
    /// What it is called within its file: `-12,7 +12,8`, or [`MODE`].
    pub id: String,
    /// What becomes of it; what is said of its file, if nothing is said.
    #[serde(default)]
    pub verdict: Option<Choice>,
    /// Its lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Line>,
}

/// What somebody says to a file or line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comment {
    /// The file.
    pub path: Word,
    /// The line, from 1; the whole file, where none is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Where that line is.
    #[serde(default, skip_serializing_if = "is_new")]
    pub side: Side,
    /// What is said.
    pub text: String,
}

/// A side of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Before.
    Old,
    /// After.
    #[default]
    New,
}

/// What was said of a result, for the attempt that is to do better.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Remarks {
    /// To the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
    /// To files and lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comments: Vec<Comment>,
}

impl Remarks {
    /// Is there not a word?
    pub fn is_mute(&self) -> bool {
        self.says.as_deref().is_none_or(|says| says.trim().is_empty()) && self.comments.is_empty()
    }
}

/// What is accepted of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// All of it.
    All,
    /// Nothing.
    Nothing,
    /// Of these files, by their places in the sheet, these pieces; the others not.
    Part(BTreeMap<usize, Pieces>),
}

/// What is accepted of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pieces {
    /// All of it.
    All,
    /// The pieces at these places.
    Of(BTreeSet<usize>),
}

fn schema() -> u32 {
    SCHEMA
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_new(side: &Side) -> bool {
    *side == Side::New
}

fn as_named<S: Serializer>(handle: &TaskHandle, s: S) -> Result<S::Ok, S::Error> {
    match handle {
        TaskHandle::Id(id) => id.serialize(s),
        TaskHandle::Name(name) => s.collect_str(name),
    }
}

fn named<'de, D: Deserializer<'de>>(d: D) -> Result<TaskHandle, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Said {
        Number(u64),
        Text(String),
    }
    let text = match Said::deserialize(d)? {
        Said::Number(number) => number.to_string(),
        Said::Text(text) => text,
    };
    text.parse().map_err(serde::de::Error::custom)
}

impl FileSheet {
    /// One of which nothing is said yet.
    pub fn new(path: Word, change: FileChange) -> Self {
        Self {
            path,
            old_path: None,
            change: Some(change),
            old_mode: None,
            new_mode: None,
            look_first: None,
            unread: None,
            insertions: 0,
            deletions: 0,
            verdict: None,
            hunks: Vec::new(),
        }
    }

    /// Does it go or come as a whole?
    pub fn is_whole(&self) -> bool {
        matches!(self.change, Some(FileChange::Added | FileChange::Deleted)) || self.hunks.is_empty()
    }

    /// The path that is gone where it is accepted.
    fn leaves(&self) -> Option<&Word> {
        match self.change {
            Some(FileChange::Deleted) => Some(&self.path),
            _ => self.old_path.as_ref(),
        }
    }

    /// The path that is there where it is accepted, and was not before.
    fn brings(&self) -> Option<&Word> {
        matches!(self.change, Some(FileChange::Added | FileChange::Renamed)).then_some(&self.path)
    }
}

impl From<&Hunk> for HunkSheet {
    fn from(hunk: &Hunk) -> Self {
        Self { id: hunk.id(), verdict: None, lines: hunk.lines.clone() }
    }
}

impl Sheet {
    /// What is said of it to the task.
    pub fn remarks(&self) -> Remarks {
        Remarks { says: self.says.clone(), comments: self.comments.clone() }
    }

    /// What is accepted of a result whose own sheet is `whole`, by what this one says.
    ///
    /// # Errors
    /// All that does not fit: files and pieces that there are not, and pieces that cannot be without others.
    pub fn settle(&self, whole: &Sheet) -> Result<Accepted, Vec<String>> {
        let mut problems = self.strangers(whole);
        let others = self.others.unwrap_or(Choice::Accept);
        let mut part = BTreeMap::new();
        let named: BTreeMap<&Word, &FileSheet> = self.files.iter().rev().map(|said| (&said.path, said)).collect();
        for (place, file) in whole.files.iter().enumerate() {
            let said = named.get(&file.path).copied();
            match pieces(file, said, others) {
                Ok(Some(pieces)) => drop(part.insert(place, pieces)),
                Ok(None) => {}
                Err(problem) => problems.push(problem),
            }
        }
        problems.extend(in_each_others_way(whole, &part));
        if !problems.is_empty() {
            return Err(problems);
        }
        let is_all = part.len() == whole.files.len() && part.values().all(|pieces| *pieces == Pieces::All);
        Ok(match () {
            () if is_all => Accepted::All,
            () if part.is_empty() => Accepted::Nothing,
            () => Accepted::Part(part),
        })
    }

    /// What it speaks of and the result does not have.
    fn strangers(&self, whole: &Sheet) -> Vec<String> {
        let mut problems = Vec::new();
        let mut met = BTreeSet::new();
        let known: BTreeMap<&Word, &FileSheet> = whole.files.iter().map(|file| (&file.path, file)).collect();
        let of = |path: &Word| known.get(path).copied();
        for said in &self.files {
            let shown = said.path.shown();
            if !met.insert(&said.path) {
                problems.push(format!("{shown} is named twice"));
            }
            let Some(file) = of(&said.path) else {
                problems.push(format!("{shown} does not differ in this result"));
                continue;
            };
            let is_there = |hunk: &&HunkSheet| file.hunks.iter().any(|known| known.id == hunk.id);
            let missing = said.hunks.iter().filter(|hunk| !is_there(hunk));
            problems.extend(missing.map(|hunk| format!("{shown} has no hunk {:?}", hunk.id)));
        }
        for comment in &self.comments {
            let shown = comment.path.shown();
            let is_old = |file: &FileSheet| file.old_path.as_ref() == Some(&comment.path);
            if of(&comment.path).is_none() && !whole.files.iter().any(is_old) {
                problems.push(format!("a comment is on {shown}, which does not differ in this result"));
            }
            if comment.line == Some(0) {
                problems.push(format!("a comment is on line 0 of {shown}: lines are counted from 1"));
            }
        }
        problems
    }
}

/// What is accepted of a file; none where nothing is.
fn pieces(file: &FileSheet, said: Option<&FileSheet>, others: Choice) -> Result<Option<Pieces>, String> {
    let of_file = said.and_then(|said| said.verdict);
    let choice = of_file.unwrap_or(others);
    let of_hunk = |hunk: &HunkSheet| {
        let said = said.and_then(|said| said.hunks.iter().find(|known| known.id == hunk.id));
        said.and_then(|said| said.verdict).unwrap_or(choice)
    };
    let accepted = |(place, hunk)| (of_hunk(hunk) == Choice::Accept).then_some(place);
    let taken: BTreeSet<usize> = file.hunks.iter().enumerate().filter_map(accepted).collect();
    let is_all = taken.len() == file.hunks.len();
    if file.is_whole() {
        let is_taken = if file.hunks.is_empty() { choice == Choice::Accept } else { is_all };
        return Ok(is_taken.then_some(Pieces::All));
    }
    if file.change == Some(FileChange::Renamed) {
        return match (of_file.unwrap_or(others), taken.is_empty()) {
            (Choice::Accept, _) => Ok(Some(if is_all { Pieces::All } else { Pieces::Of(taken) })),
            (Choice::Refuse, true) => Ok(None),
            (Choice::Refuse, false) => Err(format!(
                "a hunk of {} is accepted and its new name is not: accept the file, and refuse the other hunks",
                file.path.shown()
            )),
        };
    }
    Ok(match () {
        () if taken.is_empty() => None,
        () if is_all => Some(Pieces::All),
        () => Some(Pieces::Of(taken)),
    })
}

/// A file that is to come where another one stays: a path and what is below it cannot both be there.
fn in_each_others_way(whole: &Sheet, part: &BTreeMap<usize, Pieces>) -> Vec<String> {
    let refused = whole.files.iter().enumerate().filter(|(place, _)| !part.contains_key(place));
    let staying: BTreeSet<&[u8]> = refused.filter_map(|(_, file)| file.leaves()).map(Word::as_bytes).collect();
    let coming = part.keys().filter_map(|place| whole.files.get(*place)?.brings());
    let mut problems = Vec::new();
    for path in coming {
        let bytes = path.as_bytes();
        let below = [bytes, b"/"].concat();
        let above = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &bytes[..at]);
        let in_way = above.chain([bytes]).find_map(|path| staying.get(path));
        let in_way = in_way.or_else(|| staying.range(&below[..]..).next().filter(|path| path.starts_with(&below)));
        if let Some(in_way) = in_way {
            let (path, other) = (path.shown(), Word::from(in_way.to_vec()).shown());
            problems.push(format!("{path} cannot come in while {other} stays: accept or refuse both"));
        }
    }
    problems
}

impl fmt::Display for Comment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path.shown())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        let side = if self.side == Side::Old { " (as it was)" } else { "" };
        write!(f, "{side}: {}", self.text)
    }
}

impl fmt::Display for Remarks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.says, self.comments.len()) {
            (Some(says), _) => f.write_str(says.lines().next().unwrap_or_default()),
            (None, 1) => f.write_str("1 comment"),
            (None, count) => write!(f, "{count} comments"),
        }
    }
}

#[cfg(test)]
mod tests;
