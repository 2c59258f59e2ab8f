//! Asking somebody at a terminal. Where nobody can answer, nothing is asked: the caller fails, and says which flag answers.

use std::io::{self, BufRead, IsTerminal as _, Write};

use super::args::Color;
use super::style::{Paint, Style};
use crate::config::Untrusted;
use crate::core::word::shown;
use crate::ops::{Error, ErrorKind};

/// Show what a repository wants run, and ask whether it may. `false` where nobody is there.
///
/// # Errors
/// Where the terminal cannot be read.
pub(super) fn yes(color: Color, wanted: &[Untrusted]) -> Result<bool, Error> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
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
    ask().map_err(|error| Error::plain(ErrorKind::Error, format!("cannot ask: {error}")))
}
