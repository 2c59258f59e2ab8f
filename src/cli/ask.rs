//! Asking somebody at a terminal. Where nobody can answer, nothing is asked: the caller fails, and says which flag answers.

use std::io::{self, BufRead, IsTerminal as _, Write};

use super::args::Color;
use super::roles_view;
use super::style::{Paint, Style};
use crate::config::Untrusted;
use crate::core::report::roles::RoleReport;
use crate::core::word::shown;
use crate::ops::roles::Answer;
use crate::ops::{Error, ErrorKind};

/// Show a role, and ask whether it may be used. Nobody answers where nobody is there.
///
/// # Errors
/// Where the terminal cannot be read.
pub(super) fn role(color: Color, report: &RoleReport) -> Result<Answer, Error> {
    if !is_there() {
        return Ok(Answer::Nobody);
    }
    let mut text = Vec::new();
    let shown = roles_view::details(&mut text, report, &Style::of_stderr(color));
    shown.and_then(|()| io::stderr().write_all(&text)).map_err(cannot)?;
    let said = line("Use this role? [y(es, this once)/a(lways, while it says the same)/N] ")?;
    Ok(match said.as_str() {
        "y" | "Y" | "yes" => Answer::Yes,
        "a" | "A" | "always" => Answer::Always,
        _ => Answer::No,
    })
}

/// Ask for a yes. `false` where nobody is there.
///
/// # Errors
/// Where the terminal cannot be read.
pub(super) fn whether(question: &str) -> Result<bool, Error> {
    Ok(is_there() && matches!(line(question)?.as_str(), "y" | "Y" | "yes"))
}

/// Ask for some words. `None` where nobody is there.
///
/// # Errors
/// Where the terminal cannot be read.
pub(super) fn words(question: &str) -> Result<Option<String>, Error> {
    if is_there() { line(question).map(Some) } else { Ok(None) }
}

fn is_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn line(question: &str) -> Result<String, Error> {
    let ask = || -> io::Result<String> {
        let mut out = io::stderr().lock();
        write!(out, "{question}")?;
        out.flush()?;
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        Ok(line.trim().to_owned())
    };
    ask().map_err(cannot)
}

fn cannot(error: io::Error) -> Error {
    Error::plain(ErrorKind::Error, format!("cannot ask: {error}"))
}

/// Show what a repository wants run, and ask whether it may. `false` where nobody is there.
///
/// # Errors
/// Where the terminal cannot be read.
pub(super) fn yes(color: Color, wanted: &[Untrusted]) -> Result<bool, Error> {
    if !is_there() {
        return Ok(false);
    }
    let style = Style::of_stderr(color);
    let mut out = io::stderr().lock();
    let mut ask = || -> io::Result<bool> {
        for one in wanted {
            writeln!(out, "{} wants this, as {}:", one.file.display(), one.what)?;
            writeln!(out, "  {}", style.paint(Paint::Look, shown(&one.text)))?;
        }
        write!(out, "It runs with your rights. Allow it? [y/N] ")?;
        out.flush()?;
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        Ok(matches!(line.trim(), "y" | "Y" | "yes"))
    };
    ask().map_err(cannot)
}
