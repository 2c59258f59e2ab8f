//! What is wrong with a plan, and where. All of it is told at once.

use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Problem {
    /// At which byte of the text.
    at: usize,
    /// What, and what would be right; without a full stop.
    message: String,
    /// What is to be looked for from there on: it is that which is wrong.
    word: String,
}

impl Problem {
    pub(super) fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), word: String::new() }
    }

    /// It is wrong somewhere in the text that begins there.
    pub(super) fn within(at: usize, word: String, message: impl Into<String>) -> Self {
        Self { word, ..Self::new(at, message) }
    }

    /// Does the text still mean one thing only? A key that is there twice is told by who reads TOML.
    pub(super) fn is_of_a_key(&self) -> bool {
        self.message.contains("duplicate key") || self.message.contains("is there already")
    }
}

impl Problem {
    fn settle(&mut self, text: &str) {
        let found = text.get(self.at..).and_then(|rest| rest.find(&self.word));
        self.at += found.unwrap_or(0);
        self.word.clear();
    }
}

/// Everything that is wrong with one file, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Located>);

/// A problem by line and column, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
    /// What.
    pub message: String,
}

/// More are only counted.
const MOST: usize = 100;

impl Problems {
    pub(super) fn of(text: &str, mut problems: Vec<Problem>) -> Self {
        problems.iter_mut().for_each(|problem| problem.settle(text));
        problems.sort();
        problems.dedup();
        let more = problems.len().saturating_sub(MOST);
        problems.truncate(MOST);
        let mut located: Vec<Located> = problems.into_iter().map(|problem| locate(text, problem)).collect();
        if let Some(last) = located.last().cloned().filter(|_| more > 0) {
            located.push(Located { message: format!("and {more} more problems behind this one"), ..last });
        }
        Self(located)
    }

    /// One by one.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Located> {
        self.0.iter()
    }

    /// Each on a line of its own: `plan.toml:7:1: unknown key …`.
    pub fn told(&self, file: &str) -> String {
        let line = |one: &Located| format!("{file}:{}:{}: {}", one.line, one.column, one.message);
        self.0.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told("plan"))
    }
}

fn locate(text: &str, problem: Problem) -> Located {
    let mut at = problem.at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Located { line, column, message: super::super::word::shown(&problem.message) }
}

/// `did you mean …?`, where one of these is near.
pub(super) fn near<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let letters = word.chars().count();
    let most = (letters / 3).clamp(1, 3).min(letters.saturating_sub(1));
    let scored = known.into_iter().map(|known| (distance(word, known), known));
    match scored.filter(|(distance, _)| *distance <= most).min() {
        Some((_, known)) => format!("; did you mean {known:?}?"),
        None => String::new(),
    }
}

/// How many letters have to be put in, taken out or replaced. What is long is not near anything.
fn distance(one: &str, other: &str) -> usize {
    const LONG: usize = 64;
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().take(LONG).collect(), other.chars().take(LONG).collect());
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}
