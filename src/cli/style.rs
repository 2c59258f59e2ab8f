//! How output looks: colour, width, and text that fits. Nothing is ever said by colour alone.

use std::borrow::Cow;
use std::io::IsTerminal as _;

use jiff::tz::TimeZone;

use super::args::Color;
use crate::config::env;
pub use crate::core::word::count;

/// How output looks.
#[derive(Debug, Clone)]
pub struct Style {
    /// With colour?
    pub color: bool,
    /// Columns that a line may take; none where nobody looks at it on a terminal.
    pub width: Option<usize>,
    /// In which zone times are told.
    pub zone: TimeZone,
}

/// What a piece of text is; its colour follows from that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// As it is.
    Plain,
    /// What a line is about.
    Strong,
    /// Beside the point.
    Faint,
    /// It went well.
    Good,
    /// It did not.
    Bad,
    /// Somebody should look.
    Look,
    /// It is under way.
    Busy,
}

impl Style {
    /// No colour, no limit, UTC: for pipes and tests.
    pub fn plain() -> Self {
        Self { color: false, width: None, zone: TimeZone::UTC }
    }

    /// As standard output wants it.
    pub fn of_stdout(color: Color) -> Self {
        Self::of(color, std::io::stdout().is_terminal(), &console::Term::stdout())
    }

    /// As standard error wants it.
    pub fn of_stderr(color: Color) -> Self {
        Self::of(color, std::io::stderr().is_terminal(), &console::Term::stderr())
    }

    fn of(color: Color, is_terminal: bool, terminal: &console::Term) -> Self {
        let look = env::look();
        let measured = terminal.size_checked().map(|(_, columns)| usize::from(columns)).filter(|columns| *columns > 0);
        Self {
            color: wants_color(color, is_terminal, &look),
            width: if is_terminal { measured.or(look.columns).or(Some(80)) } else { look.columns },
            zone: TimeZone::system(),
        }
    }

    /// The text, painted.
    pub fn paint<'a>(&self, paint: Paint, text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
        let text = text.into();
        let code = match paint {
            Paint::Plain => return text,
            Paint::Strong => "1",
            Paint::Faint => "2",
            Paint::Good => "32",
            Paint::Bad => "31",
            Paint::Look => "33",
            Paint::Busy => "36",
        };
        if self.color && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[m").into() } else { text }
    }
}

/// Flags first; then `NO_COLOR`, then `CLICOLOR_FORCE`, then whether somebody looks.
fn wants_color(color: Color, is_terminal: bool, look: &env::Look) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto if look.no_color => false,
        Color::Auto => look.force_color || (is_terminal && !look.dumb),
    }
}

/// Columns that a text takes on a terminal.
pub fn width(text: &str) -> usize {
    console::measure_text_width(text)
}

/// The text in at most so many columns; what is cut is marked.
pub fn fit(text: &str, columns: usize) -> Cow<'_, str> {
    console::truncate_str(text, columns, if columns > 0 { "…" } else { "" })
}

/// The text and as many blanks as make up so many columns.
pub fn pad(text: &str, columns: usize) -> String {
    let blanks = columns.saturating_sub(width(text));
    format!("{text}{:blanks$}", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_decides_about_colour() {
        let look = |no_color, force_color, dumb| env::Look { no_color, force_color, dumb, columns: None };
        let plain = look(false, false, false);
        assert!(wants_color(Color::Auto, true, &plain));
        assert!(!wants_color(Color::Auto, false, &plain));
        assert!(!wants_color(Color::Auto, true, &look(true, true, false)));
        assert!(wants_color(Color::Auto, false, &look(false, true, false)));
        assert!(!wants_color(Color::Auto, true, &look(false, false, true)));
        assert!(wants_color(Color::Always, false, &look(true, false, true)));
        assert!(!wants_color(Color::Never, true, &look(false, true, false)));
    }

    #[test]
    fn text_is_cut_between_characters_by_what_they_take() {
        assert_eq!(fit("hello", 5), "hello");
        assert_eq!(fit("hello!", 5), "hell…");
        assert_eq!(fit("日本語", 4), "日…");
        assert_eq!(width(&fit("日本語テキスト", 8)), 7);
        assert_eq!(pad("日本", 6), "日本  ");
        assert_eq!(fit("x", 0), "");
    }
}
