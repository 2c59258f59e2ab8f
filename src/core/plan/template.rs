//! Text with holes: `{item}`, `{needs.build.diff}`.
//!
//! Only `{name}` is a hole: other braces, `${VARIABLE}`, `{a,b}` and `{ print $1 }` are themselves. `{{name}}` is `{name}`.
//! In a line for the shell, what is put in is quoted as one word.

use serde::{Deserialize, Serialize};

/// Text with holes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Template(Vec<Piece>);

/// A part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Piece {
    Text(String),
    Hole(Hole),
}

/// What is put in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hole {
    /// `{task}`: its name, with what tells it from its like.
    Task,
    /// `{item}`: what it is one of `for_each` for.
    Item,
    /// `{worktree}`: where it runs.
    Worktree,
    /// `{prompt_file}`: the file that holds its prompt.
    PromptFile,
    /// `{needs.x.summary}`
    Summary(String),
    /// `{needs.x.diff}`
    Diff(String),
}

/// Every hole, as it is written.
pub const HOLES: &[&str] = &["task", "item", "worktree", "prompt_file", "needs.NAME.summary", "needs.NAME.diff"];

/// What a text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// A line for `sh -c`: what is put in is quoted.
    Shell,
    /// One argument, or a prompt: what is put in is as it is.
    Plain,
}

/// A hole that is none, and at which byte of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoHole {
    pub(super) at: usize,
    pub(super) name: String,
    pub(super) why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Unknown,
    InQuotes,
}

impl Hole {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "task" => Self::Task,
            "item" => Self::Item,
            "worktree" => Self::Worktree,
            "prompt_file" => Self::PromptFile,
            _ => {
                let (need, what) = name.strip_prefix("needs.")?.rsplit_once('.')?;
                match what {
                    "summary" if !need.is_empty() => Self::Summary(need.to_owned()),
                    "diff" if !need.is_empty() => Self::Diff(need.to_owned()),
                    _ => return None,
                }
            }
        })
    }

    fn name(&self) -> String {
        match self {
            Self::Task => "task".to_owned(),
            Self::Item => "item".to_owned(),
            Self::Worktree => "worktree".to_owned(),
            Self::PromptFile => "prompt_file".to_owned(),
            Self::Summary(need) => format!("needs.{need}.summary"),
            Self::Diff(need) => format!("needs.{need}.diff"),
        }
    }

    /// The need that it tells of.
    pub fn need(&self) -> Option<&str> {
        match self {
            Self::Summary(need) | Self::Diff(need) => Some(need),
            _ => None,
        }
    }
}

impl std::fmt::Display for Hole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{{{}}}", self.name())
    }
}

impl Template {
    /// Find the holes of a text, and what looks like one and is none.
    pub(super) fn parse(text: &str, usage: Use) -> (Self, Vec<NoHole>) {
        let (mut pieces, mut wrong, mut plain) = (Vec::new(), Vec::new(), String::new());
        let (mut at, mut quotes) = (0, Quotes::default());
        while at < text.len() {
            let rest = &text[at..];
            let found = if at > 0 && text[..at].ends_with('$') { None } else { brace(rest) };
            let Some((depth, name)) = found else {
                let c = rest.chars().next().unwrap_or_default();
                plain.push(c);
                quotes.step(c);
                at += c.len_utf8();
                // The braces of a variable of the shell belong together.
                if c == '{' {
                    let more = rest[1..].len() - rest[1..].trim_start_matches('{').len();
                    plain.push_str(&rest[1..=more]);
                    at += more;
                }
                continue;
            };
            let length = name.len() + 2 * depth;
            if depth > 1 {
                plain.push_str(&rest[1..length - 1]);
            } else if let Some(hole) = Hole::parse(name) {
                if usage == Use::Shell && quotes.is_open() {
                    wrong.push(NoHole { at, name: name.to_owned(), why: Why::InQuotes });
                }
                pieces.extend((!plain.is_empty()).then(|| Piece::Text(std::mem::take(&mut plain))));
                pieces.push(Piece::Hole(hole));
            } else {
                wrong.push(NoHole { at, name: name.to_owned(), why: Why::Unknown });
                plain.push_str(&rest[..length]);
            }
            at += length;
        }
        pieces.extend((!plain.is_empty()).then_some(Piece::Text(plain)));
        (Self(pieces), wrong)
    }

    /// Its holes.
    pub fn holes(&self) -> impl Iterator<Item = &Hole> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Hole(hole) => Some(hole),
            Piece::Text(_) => None,
        })
    }

    /// Put in what is known; the other holes stay.
    pub fn fill(&self, usage: Use, known: &dyn Fn(&Hole) -> Option<String>) -> Self {
        let mut pieces: Vec<Piece> = Vec::new();
        for piece in &self.0 {
            let text = match piece {
                Piece::Text(text) => Some(text.clone()),
                Piece::Hole(hole) => known(hole).map(|value| match usage {
                    Use::Shell => quoted(&value),
                    Use::Plain => value,
                }),
            };
            match (pieces.last_mut(), text) {
                (Some(Piece::Text(before)), Some(text)) => before.push_str(&text),
                (_, Some(text)) => pieces.push(Piece::Text(text)),
                (_, None) => pieces.push(piece.clone()),
            }
        }
        Self(pieces)
    }

    /// As text, with the holes that are left as they are written.
    pub fn text(&self) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Hole(hole) => hole.to_string(),
        };
        self.0.iter().map(piece).collect()
    }

    /// Is there nothing left to put in?
    pub fn is_full(&self) -> bool {
        self.holes().next().is_none()
    }
}

/// How many braces, and the name between them.
fn brace(text: &str) -> Option<(usize, &str)> {
    let inner = text.trim_start_matches('{');
    let depth = text.len() - inner.len();
    let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && !"_.-".contains(c))?;
    let name = &inner[..end];
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (depth > 0 && is_name && inner[end..].starts_with(&"}".repeat(depth))).then_some((depth, name))
}

/// Are we between quotes of the shell?
#[derive(Default)]
struct Quotes {
    open: Option<char>,
    is_escaped: bool,
}

impl Quotes {
    fn step(&mut self, c: char) {
        match (self.open, c) {
            _ if self.is_escaped => self.is_escaped = false,
            (None | Some('"'), '\\') => self.is_escaped = true,
            (None, '\'' | '"') => self.open = Some(c),
            (Some(open), c) if open == c => self.open = None,
            _ => {}
        }
    }

    fn is_open(&self) -> bool {
        self.open.is_some()
    }
}

/// As one word of the shell.
pub fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,@%+=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, usage: Use) -> String {
        let (template, wrong) = Template::parse(text, usage);
        assert_eq!(wrong, [], "{text}");
        let known = |hole: &Hole| match hole {
            Hole::Item => Some("it's".to_owned()),
            Hole::Task => Some("fix-1".to_owned()),
            _ => None,
        };
        template.fill(usage, &known).text()
    }

    #[test]
    fn only_names_in_braces_are_holes() {
        for same in [
            "awk '{print $1}'",
            "${HOME}/{a,b}",
            "find -exec ls {} \\;",
            "{ x; }",
            "{\"a\":{\"b\":1}}",
            "{",
            "é{ }",
            "${{x}",
        ] {
            assert_eq!(filled(same, Use::Shell), same);
        }
        assert_eq!(filled("do {task} {item} {{item}} {{{task}}}", Use::Shell), "do fix-1 'it'\\''s' {item} {{task}}");
        assert_eq!(filled("{item}{needs.a.b.diff}", Use::Plain), "it's{needs.a.b.diff}");
    }

    #[test]
    fn what_is_no_hole_is_told_with_its_place() {
        let wrong = |text: &str| {
            Template::parse(text, Use::Shell).1.into_iter().map(|one| (one.at, one.why)).collect::<Vec<_>>()
        };
        assert_eq!(wrong("x {itm} {needs.a.b}"), [(2, Why::Unknown), (8, Why::Unknown)]);
        assert_eq!(wrong("x \"{item}\" 'a' \\' {item} '{item}"), [(3, Why::InQuotes), (26, Why::InQuotes)]);
        assert!(Template::parse("\"{item}\"", Use::Plain).1.is_empty());
    }
}
