//! Which words changed in lines that were replaced.

use std::ops::Range;
use std::time::Duration;

use similar::{DiffTag, TextDiff};

/// For each line, the ranges of bytes that changed.
pub type Marks = Vec<Vec<Range<usize>>>;

/// More words than this are not compared: nobody reads marks in a page that is new as a whole.
const MOST: usize = 4000;
/// How long one block may be compared.
const PATIENCE: Duration = Duration::from_millis(50);
/// Less than this part of the text in common, and marks would only be noise.
const LEAST_COMMON: f64 = 0.4;

/// The marks of both sides; none where there is too little in common, or too much to compare.
pub fn marks(old: &[&[u8]], new: &[&[u8]]) -> Option<(Marks, Marks)> {
    let bytes = |lines: &[&[u8]]| lines.iter().map(|line| line.len()).sum::<usize>();
    if bytes(old).max(bytes(new)) > 8 * MOST {
        return None;
    }
    let (old_words, new_words) = (split(old), split(new));
    if old_words.len().max(new_words.len()) > MOST {
        return None;
    }
    let diff = TextDiff::configure().timeout(PATIENCE).diff_slices(&texts(&old_words), &texts(&new_words));
    let (mut removed, mut added) = (vec![Vec::new(); old.len()], vec![Vec::new(); new.len()]);
    let mut common = 0;
    for op in diff.ops() {
        if op.tag() == DiffTag::Equal {
            common += old_words[op.old_range()].iter().map(Token::weight).sum::<usize>();
        } else {
            mark(&mut removed, &old_words[op.old_range()]);
            mark(&mut added, &new_words[op.new_range()]);
        }
    }
    let weight = |words: &[Token<'_>]| words.iter().map(Token::weight).sum::<usize>();
    let whole = weight(&old_words).max(weight(&new_words));
    (common as f64 >= LEAST_COMMON * whole as f64).then_some((removed, added))
}

struct Token<'a> {
    line: usize,
    start: usize,
    text: &'a [u8],
}

impl Token<'_> {
    /// Blanks are in common everywhere, and say nothing.
    fn weight(&self) -> usize {
        if self.text.iter().all(u8::is_ascii_whitespace) { 0 } else { self.text.len() }
    }
}

fn texts<'a>(words: &[Token<'a>]) -> Vec<&'a [u8]> {
    words.iter().map(|word| word.text).collect()
}

/// Words (letters, digits, `_`, everything beyond ASCII), runs of blanks, and single other characters.
fn split<'a>(lines: &[&'a [u8]]) -> Vec<Token<'a>> {
    let mut words = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let mut start = 0;
        while start < line.len() {
            let kind = Kind::of(line[start]);
            let same = line[start..].iter().take_while(|byte| Kind::of(**byte) == kind).count();
            let length = if kind == Kind::Sign { 1 } else { same };
            words.push(Token { line: number, start, text: &line[start..start + length] });
            start += length;
        }
    }
    words
}

#[derive(PartialEq)]
enum Kind {
    Word,
    Blank,
    Sign,
}

impl Kind {
    fn of(byte: u8) -> Self {
        match byte {
            b'_' | 0x80.. => Self::Word,
            byte if byte.is_ascii_alphanumeric() => Self::Word,
            byte if byte.is_ascii_whitespace() => Self::Blank,
            _ => Self::Sign,
        }
    }
}

/// Mark these words, each run of them as one range.
fn mark(marks: &mut Marks, words: &[Token<'_>]) {
    for word in words {
        let end = word.start + word.text.len();
        match marks[word.line].last_mut() {
            Some(last) if last.end == word.start => last.end = end,
            _ => marks[word.line].push(word.start..end),
        }
    }
}
