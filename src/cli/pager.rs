//! Paging as git does it: `GIT_PAGER`, else `core.pager`, else `PAGER`, else `less`; only on a terminal; `cat` or
//! nothing means none.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::SIGINT;

use crate::config::env::Paging;
use crate::process::{Tool, ToolError};

/// A program that shows long output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pager {
    /// A line for `sh -c`.
    pub command: OsString,
    /// Does it draw differences by itself? Then it wants git's own colours, and none of our marks.
    pub draws_diffs: bool,
    less: bool,
    lv: bool,
}

/// Output could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum PagerError {
    /// The pager could not be started.
    #[error(transparent)]
    Start(#[from] ToolError),
    /// Writing failed.
    #[error("cannot write the output")]
    Write(#[from] io::Error),
}

/// `core.pager` of the repository that `dir` is in, or of the user.
pub fn configured(dir: &Path) -> Option<String> {
    let output = Tool::git().dir(dir).args(["config", "--null", "--get", "core.pager"]).output().ok()?;
    let value = output.stdout.strip_suffix(b"\0")?;
    (output.code == Some(0)).then(|| String::from_utf8_lossy(value).into_owned())
}

/// The pager to use, if any. `core_pager` is asked only where the environment does not say.
pub fn choose(paging: &Paging, core_pager: impl FnOnce() -> Option<String>, is_terminal: bool) -> Option<Pager> {
    if !is_terminal {
        return None;
    }
    let said = paging.git_pager.clone().or_else(|| core_pager().map(OsString::from)).or_else(|| paging.pager.clone());
    let command = said.unwrap_or_else(|| "less".into());
    let is_none = matches!(command.as_bytes().trim_ascii(), b"" | b"cat");
    let draws_diffs = draws_diffs(&command.to_string_lossy());
    (!is_none).then_some(Pager { command, draws_diffs, less: !paging.has_less, lv: !paging.has_lv })
}

/// Does the line start one of the programs that draw differences by themselves?
fn draws_diffs(command: &str) -> bool {
    const RENDERERS: &[&str] = &[
        "delta",
        "diff-so-fancy",
        "diff-highlight",
        "git-split-diffs",
        "colordiff",
        "ydiff",
        "cdiff",
        "icdiff",
        "riff",
        "dunk",
        "diffr",
        "perldiff",
    ];
    // Quotes and blanks matter little here: a word that ends in such a name is such a program.
    let words = command.split(|c: char| c.is_whitespace() || "|;&'\"()".contains(c));
    words.map(|word| word.rsplit('/').next().unwrap_or(word)).any(|name| RENDERERS.contains(&name))
}

/// Show what `draw` writes: through the pager, or straight to standard output.
///
/// Somebody who closes the pager early is no error. A pager that is not there is not the end: the output then goes
/// to standard output after all, for which `draw` is called again.
///
/// # Errors
/// Where drawing fails.
pub fn show(pager: Option<&Pager>, draw: impl Fn(&mut dyn Write) -> io::Result<()>) -> Result<(), PagerError> {
    let Some(pager) = pager else { return Ok(to_stdout(draw)?) };
    // Ctrl-C is for the pager to understand while it has the terminal, and ends us again afterwards.
    let is_over = Arc::new(AtomicBool::new(false));
    let handler = signal_hook::flag::register_conditional_default(SIGINT, Arc::clone(&is_over));
    handler.map_err(PagerError::Write)?;
    let was_shown = through(pager, &draw);
    is_over.store(true, Ordering::SeqCst);
    if was_shown? { Ok(()) } else { Ok(to_stdout(draw)?) }
}

/// Was there such a program, so that somebody saw it?
fn through(pager: &Pager, draw: impl Fn(&mut dyn Write) -> io::Result<()>) -> Result<bool, PagerError> {
    let mut child = pager.start()?;
    let drawn = match child.stdin.take() {
        Some(pipe) => {
            let mut pipe = io::BufWriter::new(pipe);
            draw(&mut pipe).and_then(|()| pipe.flush())
        }
        None => Ok(()),
    };
    let ended = child.wait()?;
    // What a shell says of a program that is not there, or that it may not run.
    if matches!(ended.code(), Some(126 | 127)) {
        return Ok(false);
    }
    unless_closed(drawn)?;
    Ok(true)
}

impl Pager {
    fn start(&self) -> Result<Child, ToolError> {
        let mut tool = Tool::new("sh").arg("-c").arg(&self.command).stdin(Stdio::piped());
        if self.less {
            tool = tool.env("LESS", "FRX");
        }
        if self.lv {
            tool = tool.env("LV", "-c");
        }
        tool.spawn()
    }
}

fn to_stdout(draw: impl Fn(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    unless_closed(draw(&mut out).and_then(|()| out.flush()))
}

/// Who stops reading has read enough.
pub fn unless_closed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(git_pager: Option<&str>, core: Option<&str>, pager: Option<&str>) -> Option<String> {
        let paging = Paging { git_pager: git_pager.map(Into::into), pager: pager.map(Into::into), ..Paging::default() };
        let pager = choose(&paging, || core.map(str::to_owned), true)?;
        Some(pager.command.into_string().unwrap())
    }

    #[test]
    fn the_order_is_that_of_git() {
        assert_eq!(chosen(Some("a"), Some("b"), Some("c")).as_deref(), Some("a"));
        assert_eq!(chosen(None, Some("b"), Some("c")).as_deref(), Some("b"));
        assert_eq!(chosen(None, None, Some("c")).as_deref(), Some("c"));
        assert_eq!(chosen(None, None, None).as_deref(), Some("less"));
        for none in ["", "cat", " cat "] {
            assert_eq!(chosen(Some(none), Some("b"), None), None);
            assert_eq!(chosen(None, Some(none), Some("c")), None);
        }
        assert_eq!(choose(&Paging::default(), || None, false), None);
    }

    #[test]
    fn programs_that_draw_differences_are_known() {
        for line in
            ["delta", "/opt/bin/delta --dark", "diff-so-fancy | less -RFX", "'delta' --x", "diff-highlight|less"]
        {
            assert!(draws_diffs(line), "{line}");
        }
        for line in ["less", "less -R", "most", "echo delta-x"] {
            assert!(!draws_diffs(line), "{line}");
        }
    }

    #[test]
    fn a_pager_that_is_not_there_or_closes_early_is_no_error() {
        let pager = |command: &str| Pager { command: command.into(), draws_diffs: false, less: true, lv: true };
        let much = |out: &mut dyn Write| (0..100_000).try_for_each(|i| writeln!(out, "{i}"));
        assert!(!through(&pager("no-such-program-at-all 2>/dev/null"), much).unwrap());
        assert!(through(&pager("head -n 1 >/dev/null"), much).unwrap());
        assert!(through(&pager("test \"$LESS\" = FRX && cat >/dev/null"), much).unwrap());
    }
}
