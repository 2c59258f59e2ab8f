//! What a line looks like: which words of it changed, and the colours of its language. Made for the hunks that are seen, when
//! they are seen; the grammars are loaded beside, and until they are there lines are plain.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::core::hunk::{Fate, Line};
use crate::core::ink::{Grammars, Ink, Tongue};
use crate::core::marks;
use crate::core::review::{FileSheet, HunkSheet};

/// Lines of a hunk that are dressed; what comes behind them is plain.
const MOST: usize = 2_000;

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
    grammars: Arc<OnceLock<Grammars>>,
    kept: BTreeMap<(usize, usize, usize), Hunk>,
    had_grammars: bool,
}

struct Hunk {
    lines: Vec<Dress>,
    tongue: Option<Tongue>,
    /// Lines whose inks are known.
    inked: usize,
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
        std::thread::spawn(move || drop(grammars.set(Grammars::load())));
        this
    }

    /// One that has them.
    #[cfg(test)]
    pub(super) fn loaded() -> Self {
        let this = Self::plain();
        this.grammars.get_or_init(Grammars::load);
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
        let tongue = || grammars.and_then(|grammars| Tongue::of(grammars, file));
        let hunk = self.kept.entry(at).or_insert_with(|| Hunk::of(sheet, tongue()));
        if let Some(set) = grammars {
            hunk.ink(&sheet.lines, line, set);
        }
        hunk.lines.get(line).cloned().unwrap_or_default()
    }
}

impl Hunk {
    fn of(sheet: &HunkSheet, tongue: Option<Tongue>) -> Self {
        let mut lines = vec![Dress::default(); sheet.lines.len().min(MOST)];
        mark(&sheet.lines[..lines.len()], &mut lines);
        Self { lines, tongue, inked: 0 }
    }

    /// Know the inks up to this line.
    fn ink(&mut self, lines: &[Line], until: usize, grammars: &Grammars) {
        let Some(tongue) = &mut self.tongue else { return };
        while self.inked <= until.min(self.lines.len() - 1) {
            self.lines[self.inked].inks = tongue.ink(&lines[self.inked], grammars);
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
