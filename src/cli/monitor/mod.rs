//! `pleach monitor`: all tasks, live, with keys.
//!
//! [`model`] is pure: pictures and keys in, effects out. [`view`] draws it ([`table`], [`queue`], [`help`], and [`log`] with
//! its [`text`]); [`tree`] is the order of the rows. [`feed`] looks on and acts in threads of its own, [`screen`] holds the
//! terminal. It replays the journal itself, so it goes on where the coordinator is killed.

mod feed;
mod help;
mod log;
mod model;
mod queue;
pub(super) mod screen;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod tree;
pub(super) mod view;

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::time::Duration;

use crossterm::event::{self, Event, KeyEventKind};
use signal_hook::consts::SIGTSTP;

use super::args::{DiffArgs, Verb, Which};
use super::bell::Bell;
use super::commands::{Context, act, review};
use super::style::Style;
use crate::config::env;
use crate::core::id::{TaskHandle, TaskId};
use crate::core::word::shown;
use crate::ops::logs::Piece;
use crate::ops::monitor::Monitor;
use crate::ops::{Error, ErrorKind};
use crate::process::crash;
use feed::{News, Wish};
use model::{Deed, Effect, Message, Model, What};
use screen::Screen;
use view::Look;

/// How long a key is waited for before the news are looked at.
const KEY: Duration = Duration::from_millis(40);
/// How often what was asked for is waited for before leaving, and how long each time.
const LAST: (u32, Duration) = (20, Duration::from_millis(100));

/// Show all tasks until somebody leaves.
///
/// # Errors
/// Where there is no terminal or no repository.
pub(super) fn monitor(context: &Context) -> Result<u8, Error> {
    let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    if !is_terminal || env::look().dumb {
        let message = "the monitor needs a terminal that it can draw on";
        let hint = "see the tasks with `pleach ls --json`, or what happens with `pleach events -f --json`";
        return Err(Error::new(ErrorKind::Usage, message, hint));
    }
    let monitor = Monitor::open(&context.directory)?;
    let bell = Bell::new(&context.session()?);
    let signal = screen::signals().map_err(|error| terminal("listen for signals", &error))?;
    let (tell, news) = sync_channel(8);
    let (wish, wishes) = channel();
    let place = monitor.place().display().to_string();
    let teller = tell.clone();
    std::thread::spawn(move || feed::look_on(monitor, &wishes, &teller));
    let screen = Screen::take().map_err(|error| terminal("take over the terminal", &error))?;
    let size = screen.size().unwrap_or((80, 24));
    let look = Look { color: Style::of_stdout(context.color).color };
    let wanted = Wish { is_all: false, log: None };
    let model = Model::new(place, size);
    let mut show = Show { context, model, screen, look, wish, wanted, tell, underway: 0, bell, is_busy: false };
    let left = show.run(&news, &signal);
    show.wait_for_deeds(&news);
    drop(show);
    match signal.load(Ordering::SeqCst) {
        0 => left.map(|()| 0),
        number => {
            // Whoever waits for us is to see that it was the signal.
            let _ = signal_hook::low_level::emulate_default_handler(number as i32);
            Ok(super::exit::of(ErrorKind::Interrupted))
        }
    }
}

fn terminal(what: &str, error: &io::Error) -> Error {
    Error::new(ErrorKind::Error, format!("cannot {what}: {error}"), "see the tasks with `pleach ls`")
}

struct Show<'a> {
    context: &'a Context,
    model: Model,
    screen: Screen,
    look: Look,
    wish: Sender<Wish>,
    wanted: Wish,
    tell: SyncSender<News>,
    /// What was asked for and has not come out yet.
    underway: usize,
    bell: Bell,
    /// Something ran or waited when it was last looked at.
    is_busy: bool,
}

impl Show<'_> {
    fn run(&mut self, news: &Receiver<News>, signal: &AtomicUsize) -> Result<(), Error> {
        let cannot = |error: io::Error| terminal("use the terminal", &error);
        let mut is_stale = true;
        while signal.load(Ordering::SeqCst) == 0 {
            is_stale |= self.hear(news)?;
            if std::mem::take(&mut is_stale) {
                self.draw().map_err(cannot)?;
            }
            let mut wait = KEY;
            while event::poll(wait).map_err(cannot)? {
                wait = Duration::ZERO;
                is_stale = true;
                let effect = match event::read().map_err(cannot)? {
                    Event::Key(key) if key.kind != KeyEventKind::Release => self.model.key(key),
                    _ => None,
                };
                match effect {
                    Some(Effect::Quit) => return Ok(()),
                    Some(effect) => self.affect(effect).map_err(cannot)?,
                    None => {}
                }
            }
        }
        Ok(())
    }

    /// Take up what there is to tell; was there anything?
    fn hear(&mut self, news: &Receiver<News>) -> Result<bool, Error> {
        let mut any = false;
        loop {
            match news.try_recv() {
                Ok(news) => self.take(news),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    return Err(Error::plain(ErrorKind::Error, "nobody looks on any more: this is a bug"));
                }
            }
            any = true;
        }
        let log = self.model.wanted_log();
        let wanted = Wish { is_all: self.model.is_all, log };
        if wanted != self.wanted {
            self.wanted = wanted;
            self.model.log.turn_to(log);
            let _ = self.wish.send(wanted);
            any = true;
        }
        Ok(any)
    }

    fn take(&mut self, news: News) {
        match news {
            News::Picture(picture) => {
                let is_busy = picture.board.running + picture.board.waiting > 0;
                self.model.see(*picture);
                if std::mem::replace(&mut self.is_busy, is_busy) && !is_busy {
                    self.bell.ring_at_once("all tasks are through");
                }
            }
            News::Log(of, pieces) if self.model.log.of == Some(of) => {
                for piece in pieces {
                    match piece {
                        Piece::Bytes(bytes) => self.model.log.push(&bytes),
                        Piece::Dropped(count) => self.model.log.dropped(count),
                    }
                }
            }
            News::Log(..) => {}
            News::Done(message) => {
                self.underway -= 1;
                self.model.message = Some(message);
            }
            News::Blind(message) => self.model.message = Some(message),
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        crash::panics("monitor");
        self.model.resize(self.screen.size()?);
        let (model, look) = (&self.model, self.look);
        self.screen.draw(|cells| view::draw(cells, model, look))
    }

    fn affect(&mut self, effect: Effect) -> io::Result<()> {
        match effect {
            Effect::Quit | Effect::ShowAll(_) => {}
            Effect::Suspend => drop(self.screen.lend(|| signal_hook::low_level::raise(SIGTSTP))?),
            Effect::Diff(task) => self.lend_to(|context| act(context, Verb::Diff(diff(task))).map(|_| true))?,
            Effect::Review(task) => self.lend_to(|context| review::lent(context, task))?,
            Effect::Do(deed) => self.act(deed),
        }
        Ok(())
    }

    /// Do this on the terminal as it is without us. It says whether it told anything there.
    fn lend_to(&mut self, what: impl FnOnce(&Context) -> Result<bool, Error>) -> io::Result<()> {
        let context = self.context;
        self.screen.lend(|| {
            let mut out = io::stdout();
            match what(context) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => drop(writeln!(out, "{}", shown(&error.message))),
            }
            // What is short does not fill the screen, and would be gone at once.
            let _ = write!(out, "\nEnter goes back to the monitor ");
            let _ = out.flush();
            let _ = io::stdin().lock().read_line(&mut String::new());
        })
    }

    fn act(&mut self, deed: Deed) {
        if deed.what == What::Merge {
            // It may take as long as the check does.
            let text = "merging; the queue (2) shows how far it is".to_owned();
            self.model.message = Some(Message { is_bad: false, text });
        }
        self.underway += 1;
        feed::act(self.context.directory.clone(), deed, self.tell.clone());
    }

    /// Who types a wish and leaves at once has wished for it. A merge goes on without us.
    fn wait_for_deeds(&mut self, news: &Receiver<News>) {
        let (mut times, each) = LAST;
        while self.underway > 0 && times > 0 {
            times -= 1;
            if let Ok(news) = news.recv_timeout(each) {
                self.take(news);
            }
        }
    }
}

/// What a task changed.
fn diff(task: TaskId) -> DiffArgs {
    DiffArgs {
        against: None,
        stat: false,
        name_only: false,
        unified: 3,
        no_pager: false,
        json: false,
        task: Which::Task(TaskHandle::Id(task)),
        paths: Vec::new(),
    }
}
