//! `pleach review` on a terminal: results, and what somebody says of them with keys.
//!
//! [`model`] and [`keys`] are pure: keys come in, effects go out. [`rows`] and [`tree`] are what there is to stand on,
//! [`view`] draws it ([`line`](mod@line), [`dress`], [`help`]), [`input`] is text that is typed. Here they meet the terminal, the drafts
//! (written after each key that says something) and the editor.

mod dress;
mod help;
mod input;
mod keys;
mod line;
mod model;
mod rows;
#[cfg(test)]
mod tests;
mod tree;
mod view;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossterm::event::{self, Event, KeyEventKind};
use signal_hook::consts::{SIGINT, SIGTSTP};

use super::commands::Context;
use super::monitor::screen::{self, Screen};
use super::monitor::view::Look;
use super::style::Style;
use crate::config::env;
use crate::core::id::{AttemptId, TaskHandle};
use crate::core::review::Sheet;
use crate::ops::{Error, ErrorKind, Session, draft, review};
use crate::process::{Tool, crash};
use dress::Dresser;
use input::Input;
use model::{Effect, Mode, Model};

/// How long a key is waited for before anything else is looked at.
const KEY: Duration = Duration::from_millis(100);

/// How somebody left.
pub(super) enum Left {
    /// What was said is kept.
    Kept,
    /// This is to be carried out.
    CarryOut(Vec<Sheet>),
    /// A signal ended it.
    Signal(i32),
}

/// Can the view be drawn here?
pub(super) fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal() && !env::look().dumb
}

/// Show the results of these tasks until somebody leaves.
///
/// # Errors
/// Where a task is unknown or has no result, or the terminal cannot be used.
pub(super) fn show(context: &Context, session: &Session, tasks: &[TaskHandle]) -> Result<Left, Error> {
    let results = review::list(session, tasks)?;
    let signal = screen::signals().map_err(|error| terminal("listen for signals", &error))?;
    let look = Look { color: Style::of_stdout(context.color).color };
    let dresser = if look.color { Dresser::loading() } else { Dresser::plain() };
    let screen = Screen::take().map_err(|error| terminal("take over the terminal", &error))?;
    let size = screen.size().unwrap_or((80, 24));
    let attempts = vec![None; results.len()];
    let model = Model::new(results, size);
    let mut show = Show { session, model, screen, look, dresser, attempts, refused: None, signal };
    let left = show.run();
    let (sheets, signal) = (show.decided(), show.signal.load(Ordering::SeqCst));
    drop(show);
    Ok(match (signal, left?) {
        (0, true) => Left::CarryOut(sheets),
        (0, false) => Left::Kept,
        (number, _) => Left::Signal(number as i32),
    })
}

fn terminal(what: &str, error: &io::Error) -> Error {
    Error::new(ErrorKind::Error, format!("cannot {what}: {error}"), "review it as data: `pleach review --json`")
}

struct Show<'a> {
    session: &'a Session,
    model: Model,
    screen: Screen,
    look: Look,
    dresser: Dresser,
    /// Whose results were read.
    attempts: Vec<Option<AttemptId>>,
    /// A draft that was edited and could not be taken: it is opened again.
    refused: Option<(usize, String)>,
    /// The signal that ends us.
    signal: Arc<AtomicUsize>,
}

impl Show<'_> {
    /// Is it to be carried out?
    fn run(&mut self) -> Result<bool, Error> {
        let cannot = |error: io::Error| terminal("use the terminal", &error);
        // A large result takes its time: that it is read is seen meanwhile.
        self.draw().map_err(cannot)?;
        // What was said before is carried out with the rest, so it is read even where nobody turns to it.
        let said = draft::tasks(self.session);
        for at in 0..self.model.slots.len() {
            if said.contains(&self.model.slots[at].task) {
                self.read(at)?;
            }
        }
        let mut is_stale = true;
        while self.signal.load(Ordering::SeqCst) == 0 {
            is_stale |= self.dresser.is_fresh();
            if std::mem::take(&mut is_stale) {
                self.draw().map_err(cannot)?;
            }
            if let Some(at) = self.model.wants() {
                self.read(at)?;
                is_stale = true;
                continue;
            }
            let mut wait = KEY;
            while event::poll(wait).map_err(cannot)? {
                wait = Duration::ZERO;
                is_stale = true;
                let effect = match event::read().map_err(cannot)? {
                    Event::Key(key) if key.kind != KeyEventKind::Release => self.model.key(key),
                    Event::Paste(text) => {
                        self.model.paste(&text);
                        None
                    }
                    _ => None,
                };
                self.keep();
                match effect {
                    Some(Effect::Quit) => return Ok(false),
                    Some(Effect::CarryOut) => return Ok(true),
                    Some(effect) => self.affect(effect).map_err(cannot)?,
                    None => {}
                }
                if self.model.wants().is_some() {
                    break;
                }
            }
        }
        Ok(false)
    }

    fn draw(&mut self) -> io::Result<()> {
        crash::panics("review");
        self.model.resize(self.screen.size()?);
        let (model, dresser, look) = (&self.model, &mut self.dresser, self.look);
        self.screen.draw(|cells| view::draw(cells, model, dresser, look))
    }

    /// Where it is the only one and cannot be looked at, there is nothing to stay for.
    fn read(&mut self, at: usize) -> Result<(), Error> {
        let task = self.model.slots[at].task;
        let read = review::of(self.session, &[TaskHandle::Id(task)]).and_then(|mut all| {
            let mut reviewed = all.remove(0);
            draft::take_up(self.session, &mut reviewed)?;
            Ok(reviewed)
        });
        match read {
            Ok(reviewed) => {
                self.attempts[at] = Some(reviewed.attempt);
                self.model.take(at, Ok(reviewed.sheet));
            }
            Err(error) if self.model.slots.len() == 1 => return Err(error),
            Err(error) => self.model.take(at, Err(error.message)),
        }
        Ok(())
    }

    /// Write down what was said.
    fn keep(&mut self) {
        for at in std::mem::take(&mut self.model.unkept) {
            if let (Some(attempt), Some(sheet)) = (self.attempts[at], &self.model.slots[at].sheet)
                && let Err(error) = draft::keep(self.session, attempt, sheet)
            {
                self.model.unkept.insert(at);
                return self.model.complain(format!("what was said cannot be kept: {}", error.message));
            }
        }
    }

    fn affect(&mut self, effect: Effect) -> io::Result<()> {
        match effect {
            Effect::Quit | Effect::CarryOut => {}
            Effect::Suspend => drop(self.screen.lend(|| signal_hook::low_level::raise(SIGTSTP))?),
            Effect::EditText => {
                if let Mode::Say(_, input) = &self.model.mode {
                    let text = input.text.clone();
                    match self.screen.lend(|| edit(&text, ".md"))? {
                        Ok(text) => {
                            if let Mode::Say(_, input) = &mut self.model.mode {
                                *input = Input::of(text.trim_end());
                            }
                        }
                        Err(problem) => self.model.complain(problem),
                    }
                }
            }
            Effect::EditDraft => self.edit_draft()?,
        }
        // Ctrl-C was meant for the editor.
        let _ = self.signal.compare_exchange(SIGINT as usize, 0, Ordering::SeqCst, Ordering::SeqCst);
        Ok(())
    }

    fn edit_draft(&mut self) -> io::Result<()> {
        let at = self.model.at;
        let Some(sheet) = self.model.sheet() else { return Ok(()) };
        let text = match self.refused.take() {
            Some((of, text)) if of == at => text,
            _ => serde_json::to_string_pretty(sheet).unwrap_or_default() + "\n",
        };
        let edited = match self.screen.lend(|| edit(&text, ".json"))? {
            Ok(edited) => edited,
            Err(problem) => {
                self.model.complain(problem);
                return Ok(());
            }
        };
        if edited == text {
            return Ok(());
        }
        let taken = taken(&edited, self.model.sheet());
        match taken {
            Ok(said) => {
                self.model.change(|sheet, _| sheet.take_up(&said));
                self.model.rebuild();
                self.keep();
                self.model.say("taken over");
            }
            Err(problem) => {
                self.refused = Some((at, edited));
                self.model.complain(format!("not taken: {problem}; e opens it again"));
            }
        }
        Ok(())
    }

    /// What was decided, for `apply`.
    fn decided(&self) -> Vec<Sheet> {
        let sheets = self.model.slots.iter().filter_map(|slot| slot.sheet.as_ref());
        sheets.filter(|sheet| sheet.verdict.is_some()).map(Sheet::said).collect()
    }
}

/// What somebody wrote, if it is a review of this result.
fn taken(edited: &str, whole: Option<&Sheet>) -> Result<Sheet, String> {
    let mut all = review::read(edited).map_err(|error| error.message)?;
    let (Some(said), Some(whole), true) = (all.pop(), whole, all.is_empty()) else {
        return Err("it is not about one result".to_owned());
    };
    said.settle(whole).map_err(|problems| problems.join("; "))?;
    Ok(said)
}

/// Let somebody edit a text in their editor.
fn edit(text: &str, suffix: &str) -> Result<String, String> {
    let file = tempfile::Builder::new().prefix("pleach-review-").suffix(suffix).tempfile();
    let mut file = file.map_err(|error| format!("cannot write a file to edit: {error}"))?;
    file.write_all(text.as_bytes()).map_err(|error| format!("cannot write a file to edit: {error}"))?;
    let editor = env::editor().unwrap_or_else(|| "vi".into());
    let mut line = editor.clone();
    line.push(" \"$@\"");
    let tool = Tool::new("sh").arg("-c").arg(line).arg(&editor).arg(file.path());
    let tool = tool.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
    let status = tool.spawn().map_err(|error| error.to_string())?.wait().map_err(|error| error.to_string())?;
    if !status.success() {
        return Err(format!("the editor ended with {status}; nothing was taken over"));
    }
    std::fs::read_to_string(file.path()).map_err(|error| format!("cannot read what was written: {error}"))
}
