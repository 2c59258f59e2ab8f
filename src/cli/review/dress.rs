//! What a line looks like: which words of it changed, and the colours of its language. Made for the hunks that are seen, when
//! they are seen; the grammars are loaded beside, and until they are there lines are plain.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use syntect::parsing::{ParseState, Scope, ScopeStack, SyntaxReference, SyntaxSet};

use crate::core::hunk::{Fate, Line};
use crate::core::marks;
use crate::core::review::{FileSheet, HunkSheet};

/// Lines of a hunk that are dressed; what comes behind them is plain.
const MOST: usize = 2_000;
/// Longer lines are nobody's hand's work.
const LONGEST: usize = 1_000;

/// What a piece of a line is in its language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Ink {
    #[default]
    Plain,
    Comment,
    Text,
    Number,
    Keyword,
    Type,
    Function,
}

/// How one line is dressed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Dress {
    /// From which byte on it is what.
    pub(super) inks: Vec<(usize, Ink)>,
    /// The bytes that changed.
    pub(super) marks: Vec<Range<usize>>,
}

/// Grammars, and what was dressed.
pub(super) struct Dresser {
    grammars: Arc<OnceLock<SyntaxSet>>,
    kept: BTreeMap<(usize, usize, usize), Hunk>,
    had_grammars: bool,
}

struct Hunk {
    lines: Vec<Dress>,
    tongue: Option<Tongue>,
    /// Lines whose inks are known.
    inked: usize,
}

/// Where the parser is on both sides.
struct Tongue {
    old: (ParseState, ScopeStack),
    new: (ParseState, ScopeStack),
}

impl Dresser {
    /// One without grammars.
    pub(super) fn plain() -> Self {
        Self { grammars: Arc::default(), kept: BTreeMap::new(), had_grammars: false }
    }

    /// One whose grammars come as soon as they are loaded.
    pub(super) fn loading() -> Self {
        let this = Self::plain();
        let grammars = Arc::clone(&this.grammars);
        std::thread::spawn(move || drop(grammars.set(two_face::syntax::extra_newlines())));
        this
    }

    /// One that has them.
    #[cfg(test)]
    pub(super) fn loaded() -> Self {
        let this = Self::plain();
        this.grammars.get_or_init(two_face::syntax::extra_newlines);
        this
    }

    /// Did grammars come since this was asked last?
    pub(super) fn is_fresh(&mut self) -> bool {
        let have = self.grammars.get().is_some();
        let is_fresh = have && !self.had_grammars;
        if is_fresh {
            self.had_grammars = true;
            self.kept.clear();
        }
        is_fresh
    }

    /// How a line of a hunk is dressed. `at` says which hunk: of which result, file and place.
    pub(super) fn line(&mut self, at: (usize, usize, usize), file: &FileSheet, line: usize) -> Dress {
        const KEPT: usize = 64;
        let Some(sheet) = file.hunks.get(at.2).filter(|_| line < MOST) else { return Dress::default() };
        if self.kept.len() > KEPT && !self.kept.contains_key(&at) {
            self.kept.clear();
        }
        let grammars = self.grammars.get();
        let hunk = self
            .kept
            .entry(at)
            .or_insert_with(|| Hunk::of(sheet, grammars.and_then(|set| Some((set, tongue(set, file)?)))));
        if let Some(set) = grammars {
            hunk.ink(&sheet.lines, line, set);
        }
        hunk.lines.get(line).cloned().unwrap_or_default()
    }
}

/// The language of a file, by its name or its first line.
fn tongue<'a>(set: &'a SyntaxSet, file: &FileSheet) -> Option<&'a SyntaxReference> {
    let path = String::from_utf8_lossy(file.path.as_bytes());
    let name = path.rsplit('/').next().unwrap_or(&path);
    let by_name = set.find_syntax_by_extension(name).or_else(|| set.find_syntax_by_extension(name.rsplit_once('.')?.1));
    let first = || {
        let line = file.hunks.iter().find_map(|hunk| hunk.lines.first())?;
        set.find_syntax_by_first_line(
            std::str::from_utf8(line.text.as_bytes()).ok().filter(|line| line.len() < LONGEST)?,
        )
    };
    by_name.or_else(first).filter(|found| found.name != "Plain Text")
}

impl Hunk {
    fn of(sheet: &HunkSheet, tongue: Option<(&SyntaxSet, &SyntaxReference)>) -> Self {
        let mut lines = vec![Dress::default(); sheet.lines.len().min(MOST)];
        mark(&sheet.lines[..lines.len()], &mut lines);
        let start = |syntax: &SyntaxReference| (ParseState::new(syntax), ScopeStack::new());
        let tongue = tongue.map(|(_, syntax)| Tongue { old: start(syntax), new: start(syntax) });
        Self { lines, tongue, inked: 0 }
    }

    /// Know the inks up to this line.
    fn ink(&mut self, lines: &[Line], until: usize, set: &SyntaxSet) {
        let Some(tongue) = &mut self.tongue else { return };
        while self.inked <= until.min(self.lines.len() - 1) {
            let line = &lines[self.inked];
            let text = std::str::from_utf8(line.text.as_bytes()).ok().filter(|text| text.len() <= LONGEST);
            if let Some(text) = text {
                let text = format!("{text}\n");
                let inks = match line.is {
                    Fate::Removed => inks(&mut tongue.old, &text, set),
                    Fate::Added => inks(&mut tongue.new, &text, set),
                    Fate::Kept => {
                        inks(&mut tongue.old, &text, set);
                        inks(&mut tongue.new, &text, set)
                    }
                };
                self.lines[self.inked].inks = inks;
            }
            self.inked += 1;
        }
    }
}

/// The words that changed, where lines were replaced by others.
fn mark(lines: &[Line], dresses: &mut [Dress]) {
    let mut at = 0;
    while at < lines.len() {
        let run = |from: usize, fate| from + lines[from..].iter().take_while(|line| line.is == fate).count();
        let middle = run(at, Fate::Removed);
        let end = run(middle, Fate::Added);
        if at < middle && middle < end {
            let texts = |range: Range<usize>| lines[range].iter().map(|line| line.text.as_bytes()).collect::<Vec<_>>();
            if let Some((old, new)) = marks::marks(&texts(at..middle), &texts(middle..end)) {
                for (dress, marks) in dresses[at..end].iter_mut().zip(old.into_iter().chain(new)) {
                    dress.marks = marks;
                }
            }
        }
        at = end.max(at + 1);
    }
}

fn inks(state: &mut (ParseState, ScopeStack), text: &str, set: &SyntaxSet) -> Vec<(usize, Ink)> {
    let (parser, stack) = state;
    let Ok(ops) = parser.parse_line(text, set) else { return Vec::new() };
    let mut found = vec![(0, ink(stack))];
    for (at, op) in ops {
        if stack.apply(&op).is_err() {
            return Vec::new();
        }
        let ink = ink(stack);
        match found.last_mut() {
            Some(last) if last.0 == at => last.1 = ink,
            Some(last) if last.1 == ink => {}
            _ => found.push((at, ink)),
        }
    }
    found
}

fn ink(stack: &ScopeStack) -> Ink {
    static KNOWN: OnceLock<Vec<(Scope, Ink)>> = OnceLock::new();
    let known = KNOWN.get_or_init(|| {
        const NAMES: &[(&str, Ink)] = &[
            ("comment", Ink::Comment),
            ("string", Ink::Text),
            ("constant", Ink::Number),
            ("keyword.operator", Ink::Plain),
            ("keyword", Ink::Keyword),
            ("storage", Ink::Keyword),
            ("entity.name.function", Ink::Function),
            ("support.function", Ink::Function),
            ("entity.name.tag", Ink::Keyword),
            ("entity.name", Ink::Type),
            ("support.type", Ink::Type),
            ("support.class", Ink::Type),
            ("entity.other.attribute-name", Ink::Function),
            ("markup.heading", Ink::Keyword),
        ];
        NAMES.iter().filter_map(|(name, ink)| Some((Scope::new(name).ok()?, *ink))).collect()
    });
    let of = |scope: &Scope| known.iter().find(|(name, _)| name.is_prefix_of(*scope)).map(|(_, ink)| *ink);
    stack.as_slice().iter().rev().find_map(of).unwrap_or_default()
}
