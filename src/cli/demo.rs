//! `pleach demo`: all of it, in a repository made for that.
//!
//! Each step is a command line that is shown and then really run, so what is shown is how it is done by hand. It is
//! also a test: whatever does not come out as it has to ends it with an error.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser as _;

use super::args::{Cli, Verb};
use super::commands::{Context, act};
use super::style::{Paint, Style, pad};
use super::{board, exit, pager, time};
use crate::core::report::{Board, Row, Show, Standing};
use crate::ops::demo::{self, CONFLICTING, FOLDED, MENDED, PARTS};
use crate::ops::{Error, ErrorKind, look};
use crate::process::clock;

/// How often the board is looked at.
const LOOK: Duration = Duration::from_millis(80);
/// Seconds after which something must be wrong: the tasks take a tenth of that.
const PATIENCE: i64 = 120;

/// Show all of it, in `dir`.
///
/// # Errors
/// Where a step fails, or comes out other than it has to.
pub(super) fn demo(context: &Context, dir: Option<PathBuf>) -> Result<u8, Error> {
    let dir = dir.map_or_else(|| demo::default_dir(&context.directory), |dir| context.directory.join(dir));
    let dir = demo::make(&dir)?;
    let style = context.style();
    let context = Context { directory: dir.clone(), color: context.color };
    let mut show = Demo { context, dir, style, step: 0, edit: Vec::new(), surprises: Vec::new() };
    show.make()?;
    show.run()?;
    show.look()?;
    show.fold()?;
    show.conflict()?;
    show.end()
}

struct Demo {
    context: Context,
    dir: PathBuf,
    style: Style,
    step: u32,
    /// The edit that was left in the checkout.
    edit: Vec<u8>,
    surprises: Vec<String>,
}

impl Demo {
    fn make(&mut self) -> Result<(), Error> {
        self.heading("A repository with seven faults", "each module has a check, and each check fails");
        self.tell(&format!("made {}", self.dir.display()));
        self.checks(&[])
    }

    fn run(&mut self) -> Result<(), Error> {
        let title = "Nine tasks at once";
        self.heading(title, "each in a git worktree of its own, made from the commit that you stand on");
        for part in PARTS {
            let line = part.command_line();
            self.expect(&line, 0)?;
            self.tell(&self.style.paint(Paint::Faint, format!("    {}", part.shows)));
        }
        self.edit = demo::edit(&self.dir)?;
        self.tell(&format!("\nmeanwhile you go on working: {} has an edit now that is not committed\n", demo::EDITED));
        self.prompt("pleach ls    # again and again");
        let board = self.watch()?;
        for part in PARTS {
            let row = board.tasks.iter().find(|row| row.name.as_ref().is_some_and(|name| name.as_str() == part.name));
            self.surprises.extend(part.surprise(row));
        }
        Ok(())
    }

    fn look(&mut self) -> Result<(), Error> {
        self.heading("Look at what they did", "nothing of it is in your branch or in your files yet");
        self.expect("pleach diff --stat notes", 0)?;
        self.expect("pleach diff slug", 0)?;
        self.expect("pleach diff total", 0)?;
        self.heading("Failed is not lost", "log, files and commits of an attempt that failed or hung are kept");
        self.expect("pleach logs --tail 2 dates", 0)?;
        self.expect("pleach diff --stat names", 0)
    }

    fn fold(&mut self) -> Result<(), Error> {
        self.heading("Fold what is good", "one after the other, and only what merges cleanly");
        self.expect(&format!("pleach merge {}", FOLDED.join(" ")), 0)?;
        let untouched = demo::is_untouched(&self.dir, &self.edit)?;
        self.prompt("git status --short");
        self.tell(demo::status(&self.dir)?.trim_end());
        match untouched {
            true => self.tell(&format!("your edit of {} is byte for byte as you left it", demo::EDITED)),
            false => self.surprises.push(format!("{} is not as it was left", demo::EDITED)),
        }
        Ok(())
    }

    fn conflict(&mut self) -> Result<(), Error> {
        self.heading("A conflict is a state", "not a half-merged checkout; nothing was touched");
        self.expect(&format!("pleach merge {CONFLICTING}"), exit::of(ErrorKind::Conflict))?;
        self.expect(&format!("pleach diff {CONFLICTING}"), 0)
    }

    fn end(mut self) -> Result<u8, Error> {
        self.heading("What came of it", "the checks of all that was folded pass; two modules are left for you");
        self.checks(MENDED)?;
        self.prompt("git log --graph --oneline");
        self.tell(demo::history(&self.dir)?.trim_end());
        self.expect("pleach ls --all", 0)?;
        if !self.surprises.is_empty() {
            let message = format!("this did not come out as it has to: {}", self.surprises.join("; "));
            let hint = format!("look around in {}, first with `pleach doctor`", self.dir.display());
            return Err(Error::new(ErrorKind::Error, message, hint));
        }
        self.heading("It is yours to play with", "");
        self.goodbye();
        Ok(0)
    }

    fn goodbye(&self) {
        let things = [
            (format!("cd {}", shell_words::quote(&self.dir.to_string_lossy())), ""),
            ("pleach status links".to_owned(), "one task in full"),
            ("pleach undo report".to_owned(), "take a fold back"),
            ("pleach retry names".to_owned(), "hang once more; `pleach cancel names` ends it"),
            (format!("pleach discard {CONFLICTING}"), "and `pleach restore` takes that back"),
            ("pleach run 'sort -o names/names.txt names/names.txt'".to_owned(), "mend it yourself"),
        ];
        for (command, what) in things {
            let what = self.style.paint(Paint::Faint, what);
            self.tell(format!("  {}  {what}", pad(&command, 56)).trim_end());
        }
    }

    /// Show what `sh check` says; exactly these modules must pass.
    fn checks(&mut self, mended: &[&str]) -> Result<(), Error> {
        self.prompt("sh check");
        let verdicts = demo::check(&self.dir)?;
        for (good, line) in &verdicts {
            let paint = if *good { Paint::Good } else { Paint::Bad };
            self.tell(&self.style.paint(paint, line.as_str()));
        }
        self.surprises.extend(demo::wrong_checks(&verdicts, mended));
        Ok(())
    }

    /// Show a command line, run it, and see whether it ends with this code.
    fn expect(&mut self, line: &str, code: u8) -> Result<(), Error> {
        self.prompt(line);
        let words = shell_words::split(line).expect("the lines of the demonstration are well quoted");
        let cli = Cli::try_parse_from(words).expect("the lines of the demonstration are command lines of ours");
        let verb = match cli.verb {
            // Nobody wants to leave a pager in the middle of a demonstration.
            Verb::Diff(args) => Verb::Diff(super::args::DiffArgs { no_pager: true, ..args }),
            other => other,
        };
        let found = act(&self.context, verb)?;
        if found != code {
            self.surprises.push(format!("`{line}` exited with {found} instead of {code}"));
        }
        Ok(())
    }

    /// Show the board until nothing runs or waits any more: on a terminal in place, elsewhere one line a change.
    fn watch(&self) -> Result<Board, Error> {
        let mut view = View::new(self.style.clone());
        let begun = clock::now();
        loop {
            let board = look::board(&mut self.context.session()?, Show::All)?;
            let over = board.running == 0 && board.waiting == 0;
            pager::unless_closed(view.show(&board)).map_err(cannot_write)?;
            if over {
                return Ok(board);
            }
            if clock::now().duration_since(begun).as_secs() > PATIENCE {
                let hint = format!("see what is wrong with `pleach -C {} doctor`", self.dir.display());
                return Err(Error::new(ErrorKind::TimedOut, "the tasks do not come to an end", hint));
            }
            std::thread::sleep(LOOK);
        }
    }

    fn heading(&mut self, title: &str, what: &str) {
        self.step += 1;
        let title = self.style.paint(Paint::Strong, format!("{}. {title}", self.step));
        let between = if what.is_empty() { "" } else { ": " };
        self.tell(&format!("\n{title}{between}{what}"));
    }

    fn prompt(&self, line: &str) {
        self.tell(&format!("{} {}", self.style.paint(Paint::Busy, "$"), self.style.paint(Paint::Strong, line)));
    }

    fn tell(&self, text: &str) {
        // Who stops looking has seen enough; the tasks go on to their end.
        let _ = writeln!(std::io::stdout(), "{text}");
    }
}

fn cannot_write(error: std::io::Error) -> Error {
    Error::plain(ErrorKind::Error, format!("cannot write to the terminal: {error}"))
}

/// The board, live.
struct View {
    style: Style,
    terminal: Option<console::Term>,
    lines: usize,
    seen: BTreeMap<String, Standing>,
}

impl View {
    fn new(style: Style) -> Self {
        let is_terminal = std::io::stdout().is_terminal() && style.color;
        Self { style, terminal: is_terminal.then(console::Term::stdout), lines: 0, seen: BTreeMap::new() }
    }

    fn show(&mut self, board: &Board) -> std::io::Result<()> {
        let Some(terminal) = &self.terminal else { return self.changes(board) };
        let mut text = Vec::new();
        board::draw(&mut text, board, &self.style)?;
        terminal.clear_last_lines(self.lines)?;
        self.lines = text.iter().filter(|byte| **byte == b'\n').count();
        terminal.write_str(&String::from_utf8_lossy(&text))?;
        terminal.flush()
    }

    fn changes(&mut self, board: &Board) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        for row in &board.tasks {
            let name = row.name.as_ref().map_or_else(|| row.id.to_string(), ToString::to_string);
            if self.seen.insert(name.clone(), row.state) != Some(row.state) {
                writeln!(out, "{}", change(&name, row, &self.style).trim_end())?;
            }
        }
        out.flush()
    }
}

fn change(name: &str, row: &Row, style: &Style) -> String {
    let state = style.paint(board::paint_of(row.state), pad(row.state.as_str(), 9));
    let spent = row.duration_ms.filter(|_| row.outcome.is_some()).map(time::span).unwrap_or_default();
    format!("{}  {state}  {spent:>5}  {}", pad(name, 10), board::note(row))
}
