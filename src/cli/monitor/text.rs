//! Output of a task as lines of a pane: colours become styles, and nothing in it acts on the terminal.

use std::collections::VecDeque;

use ratatui::style::{Color, Modifier, Style};

use crate::core::terminal::Gentle;

/// The newest lines that are kept.
pub(super) const MOST: usize = 10_000;
/// The longest line that is kept, in characters.
const LONGEST: usize = 4_000;
const TAB: usize = 8;

/// A line, and from which byte on it looks how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) styles: Vec<(usize, Style)>,
    length: usize,
}

impl Line {
    /// Its pieces, each of one style.
    pub(super) fn pieces(&self) -> impl Iterator<Item = (&str, Style)> {
        let ends = self.styles.iter().skip(1).map(|(at, _)| *at).chain([self.text.len()]);
        let head = self.styles.first().map_or(self.text.len(), |(at, _)| *at);
        let pieces = self.styles.iter().zip(ends).map(|((at, style), end)| (&self.text[*at..end], *style));
        std::iter::once((&self.text[..head], Style::new())).chain(pieces).filter(|(text, _)| !text.is_empty())
    }
}

/// The newest lines of an output, numbered from its first one on.
#[derive(Debug, Default)]
pub(super) struct Text {
    lines: VecDeque<Line>,
    /// Lines before the first that is kept.
    gone: usize,
    gentle: Gentle,
    style: Style,
    /// What begins a sequence and is not whole yet.
    rest: String,
    /// The last line has not ended.
    is_open: bool,
    /// The cursor was sent back: what comes next stands in the place of the line.
    is_over: bool,
}

impl Text {
    /// More output.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let passed = self.gentle.pass(bytes);
        let text = std::mem::take(&mut self.rest) + &String::from_utf8_lossy(&passed);
        let mut rest = text.as_str();
        while let Some(c) = rest.chars().next() {
            if c == '\u{1b}' {
                // Only colours and the clearing of a line have passed, whole.
                let end = rest.find(['m', 'K']).map_or(rest.len(), |at| at + 1);
                if rest[..end].ends_with('m') {
                    self.style = sgr(self.style, &rest[2..end - 1]);
                    self.mark();
                }
                rest = &rest[end..];
                continue;
            }
            self.put(c);
            rest = &rest[c.len_utf8()..];
        }
    }

    /// A line of ours in between: `… 12 bytes were not kept …`
    pub(super) fn note(&mut self, text: &str) {
        self.is_open = false;
        let dim = Style::new().add_modifier(Modifier::DIM);
        self.add(Line { text: text.to_owned(), styles: vec![(0, dim)], length: text.chars().count() });
        self.is_open = false;
    }

    fn put(&mut self, c: char) {
        match c {
            '\n' => {
                if !self.is_open {
                    self.add(Line::default());
                }
                (self.is_open, self.is_over) = (false, false);
            }
            '\r' => self.is_over = self.is_open,
            c => {
                if !self.is_open {
                    self.add(Line::default());
                    self.mark();
                }
                if std::mem::take(&mut self.is_over) {
                    *self.last() = Line::default();
                    self.mark();
                }
                let line = self.last();
                let blanks = TAB - line.length % TAB;
                for c in std::iter::repeat_n(if c == '\t' { ' ' } else { c }, if c == '\t' { blanks } else { 1 }) {
                    match line.length {
                        0..LONGEST => line.text.push(c),
                        LONGEST => line.text.push('…'),
                        _ => {}
                    }
                    line.length += 1;
                }
            }
        }
    }

    /// From here on it looks like this.
    fn mark(&mut self) {
        if self.is_open {
            let style = self.style;
            let line = self.last();
            let at = line.text.len();
            line.styles.retain(|(known, _)| *known < at);
            if line.styles.last().map_or(Style::new(), |(_, style)| *style) != style {
                line.styles.push((at, style));
            }
        }
    }

    fn last(&mut self) -> &mut Line {
        if self.lines.is_empty() {
            self.lines.push_back(Line::default());
        }
        self.lines.back_mut().expect("there is one now")
    }

    fn add(&mut self, line: Line) {
        self.lines.push_back(line);
        self.is_open = true;
        if self.lines.len() > MOST {
            self.lines.pop_front();
            self.gone += 1;
        }
    }

    /// The number of the first line that is kept, and of the one behind the last.
    pub(super) fn range(&self) -> std::ops::Range<usize> {
        self.gone..self.gone + self.lines.len()
    }

    /// One line.
    pub(super) fn line(&self, number: usize) -> Option<&Line> {
        self.lines.get(number.checked_sub(self.gone)?)
    }

    /// The lines that hold these words, of those from `from` on. Capitals count only where there is one among the words.
    pub(super) fn matches(&self, words: &str, from: usize) -> Vec<usize> {
        if words.is_empty() {
            return Vec::new();
        }
        let from = from.max(self.gone);
        let lines = (from..self.range().end)
            .filter(|number| self.line(*number).is_some_and(|line| places(&line.text, words).next().is_some()));
        lines.collect()
    }
}

/// Where these words are in a line: the bytes at which they begin and end.
pub(super) fn places<'a>(text: &'a str, words: &'a str) -> impl Iterator<Item = (usize, usize)> + 'a {
    let is_exact = words.chars().any(char::is_uppercase);
    let starts = text.char_indices().map(|(at, _)| at);
    let mut free = 0;
    starts.filter_map(move |at| {
        let end = at + length_of(&text[at..], words, is_exact).filter(|length| *length > 0)?;
        if at < free {
            return None;
        }
        free = end;
        Some((at, end))
    })
}

/// How many bytes of the text these words take, where it begins with them.
fn length_of(text: &str, words: &str, is_exact: bool) -> Option<usize> {
    let mut rest = text.chars();
    for wanted in words.chars() {
        let found = rest.next()?;
        let is_same = found == wanted || (!is_exact && found.to_lowercase().eq(wanted.to_lowercase()));
        if !is_same {
            return None;
        }
    }
    Some(text.len() - rest.as_str().len())
}

/// A style after the numbers of a colour sequence. What hides text is left out.
fn sgr(mut style: Style, numbers: &str) -> Style {
    let mut numbers = numbers.split([';', ':']).map(|number| number.parse::<u8>().unwrap_or(0));
    while let Some(number) = numbers.next() {
        style = match number {
            0 => Style::new(),
            1 => style.add_modifier(Modifier::BOLD),
            2 => style.add_modifier(Modifier::DIM),
            3 => style.add_modifier(Modifier::ITALIC),
            4 => style.add_modifier(Modifier::UNDERLINED),
            7 => style.add_modifier(Modifier::REVERSED),
            9 => style.add_modifier(Modifier::CROSSED_OUT),
            22 => style.remove_modifier(Modifier::BOLD | Modifier::DIM),
            23 => style.remove_modifier(Modifier::ITALIC),
            24 => style.remove_modifier(Modifier::UNDERLINED),
            27 => style.remove_modifier(Modifier::REVERSED),
            29 => style.remove_modifier(Modifier::CROSSED_OUT),
            30..=37 | 90..=97 => style.fg(basic(number % 10, number >= 90)),
            40..=47 | 100..=107 => style.bg(basic(number % 10, number >= 100)),
            38 | 48 => match extended(&mut numbers) {
                Some(color) if number == 38 => style.fg(color),
                Some(color) => style.bg(color),
                None => style,
            },
            39 => style.fg(Color::Reset),
            49 => style.bg(Color::Reset),
            _ => style,
        };
    }
    // What was taken back need not be remembered: it would only differ from a line that never had it.
    style.sub_modifier = Modifier::empty();
    style
}

fn extended(numbers: &mut impl Iterator<Item = u8>) -> Option<Color> {
    match numbers.next()? {
        5 => Some(Color::Indexed(numbers.next()?)),
        2 => Some(Color::Rgb(numbers.next()?, numbers.next()?, numbers.next()?)),
        _ => None,
    }
}

fn basic(number: u8, is_bright: bool) -> Color {
    Color::Indexed(if is_bright { number + 8 } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> Vec<String> {
        let mut text = Text::default();
        // Where a piece ends must not matter.
        bytes.chunks(3).for_each(|piece| text.push(piece));
        text.range().map(|number| text.line(number).unwrap().text.clone()).collect()
    }

    #[test]
    fn lines_are_as_a_terminal_shows_them_and_nothing_acts() {
        assert_eq!(text(b"one\ntwo\r\n10%\r100%\nlast"), ["one", "two", "100%", "last"]);
        assert_eq!(text(b"a\tb\n\n\tc"), ["a       b", "", "        c"]);
        assert_eq!(text(b"\x1b[31mred\x1b[0m \x1b[K\x1b]0;x\x07\x1b[2J"), ["red \\u{1b}]0;x\\u{7}\\u{1b}[2J"]);
        assert_eq!(text("\u{202e}x \u{65e5}".as_bytes()), ["\\u{202e}x \u{65e5}"]);
    }

    #[test]
    fn colours_go_on_over_the_end_of_a_line() {
        let mut text = Text::default();
        text.push(b"a\x1b[1;38;5;9mb\nc\x1b[md");
        let bold = Style::new().add_modifier(Modifier::BOLD).fg(Color::Indexed(9));
        let pieces =
            |number: usize| text.line(number).unwrap().pieces().map(|(t, s)| (t.to_owned(), s)).collect::<Vec<_>>();
        assert_eq!(pieces(0), [("a".to_owned(), Style::new()), ("b".to_owned(), bold)]);
        assert_eq!(pieces(1), [("c".to_owned(), bold), ("d".to_owned(), Style::new())]);
    }

    #[test]
    fn only_the_newest_lines_are_kept_and_long_ones_are_cut() {
        let mut text = Text::default();
        (0..MOST + 5).for_each(|number| text.push(format!("{number}\n").as_bytes()));
        assert_eq!(text.range(), 5..MOST + 5);
        assert_eq!(text.line(5).unwrap().text, "5");
        assert_eq!((text.line(4), text.matches("10003", 0)), (None, vec![10_003]));
        text.push("x".repeat(3 * LONGEST).as_bytes());
        assert_eq!(text.line(MOST + 5).unwrap().text.chars().count(), LONGEST + 1);
    }

    #[test]
    fn a_search_finds_words_in_any_case_unless_one_was_typed() {
        let all = |text, words| places(text, words).collect::<Vec<_>>();
        assert_eq!(all("Error: error ERROR", "error"), [(0, 5), (7, 12), (13, 18)]);
        assert_eq!(all("Error: error", "Error"), [(0, 5)]);
        assert_eq!(all("ÄÖ äö", "ö"), [(2, 4), (7, 9)]);
        assert_eq!(all("aaaa", "aa"), [(0, 2), (2, 4)]);
        assert_eq!(all("aaa", ""), []);
    }
}
