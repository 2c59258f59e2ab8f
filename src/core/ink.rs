//! The colours of a language: which piece of a line is what. Text in, pieces out; how each looks is left to whoever draws it.

use std::sync::OnceLock;

use syntect::parsing::{ParseState, Scope, ScopeStack, SyntaxReference, SyntaxSet};

use super::hunk::{Fate, Line};
use super::review::FileSheet;

/// Longer lines are nobody's hand's work.
const LONGEST: usize = 1_000;

/// What a piece of a line is in its language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ink {
    /// Nothing special.
    #[default]
    Plain,
    /// For people.
    Comment,
    /// A string.
    Text,
    /// A number or another constant.
    Number,
    /// A word of the language.
    Keyword,
    /// The name of a type, or of whatever has one.
    Type,
    /// The name of a function.
    Function,
}

/// All languages that are known.
#[derive(Debug)]
pub struct Grammars(SyntaxSet);

impl Grammars {
    /// They are in the program, packed: it takes a moment to have them.
    pub fn load() -> Self {
        Self(two_face::syntax::extra_newlines())
    }

    /// The language of a file, by its name or its first line.
    fn of(&self, file: &FileSheet) -> Option<&SyntaxReference> {
        let path = String::from_utf8_lossy(file.path.as_bytes());
        let name = path.rsplit('/').next().unwrap_or(&path);
        let extension = || self.0.find_syntax_by_extension(name.rsplit_once('.')?.1);
        let by_name = self.0.find_syntax_by_extension(name).or_else(extension);
        let first = || {
            let line = file.hunks.iter().find_map(|hunk| hunk.lines.first())?;
            let text = std::str::from_utf8(line.text.as_bytes()).ok().filter(|text| text.len() < LONGEST)?;
            self.0.find_syntax_by_first_line(text)
        };
        by_name.or_else(first).filter(|found| found.name != "Plain Text")
    }
}

/// Where the reading of a hunk is, on both of its sides.
#[derive(Debug)]
pub struct Tongue {
    old: (ParseState, ScopeStack),
    new: (ParseState, ScopeStack),
}

impl Tongue {
    /// At the first line of a hunk of this file; none where its language is not known.
    pub fn of(grammars: &Grammars, file: &FileSheet) -> Option<Self> {
        let syntax = grammars.of(file)?;
        let start = || (ParseState::new(syntax), ScopeStack::new());
        Some(Self { old: start(), new: start() })
    }

    /// From which byte on the next line is what. Of what is no text or too long, nothing is known.
    pub fn ink(&mut self, line: &Line, grammars: &Grammars) -> Vec<(usize, Ink)> {
        let text = std::str::from_utf8(line.text.as_bytes()).ok().filter(|text| text.len() <= LONGEST);
        let Some(text) = text.map(|text| format!("{text}\n")) else { return Vec::new() };
        match line.is {
            Fate::Removed => inks(&mut self.old, &text, &grammars.0),
            Fate::Added => inks(&mut self.new, &text, &grammars.0),
            Fate::Kept => {
                inks(&mut self.old, &text, &grammars.0);
                inks(&mut self.new, &text, &grammars.0)
            }
        }
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
