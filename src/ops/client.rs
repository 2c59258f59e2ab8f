//! Speaking to the coordinator, and starting it where there is none.
#![expect(clippy::disallowed_methods, reason = "how long to wait for a coordinator is measured here")]

use std::io::{BufRead, BufReader, ErrorKind as ErrorOf, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::{Error, ErrorKind, inside};
use crate::coordinator::protocol::{LONGEST, Request, Response};
use crate::core::delegate::{self, Ask, LogPiece};
use crate::core::state::State;
use crate::process::{daemon, socket};
use crate::shim::COORDINATOR;
use crate::store::Layout;

/// How long a coordinator may take to come up.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long before another one is started: the first may have met one that was just leaving.
const AGAIN: Duration = Duration::from_millis(250);

/// How often in a row a coordinator may end as soon as it is asked and write nothing down, before that is taken for more
/// than chance.
const TRIES: u32 = 20;
/// The same, whatever it writes down.
const MOST_TRIES: u32 = 200;
/// What is meant by as soon as.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A connection that mends itself.
#[derive(Debug)]
pub struct Client {
    to: To,
    stream: Option<BufReader<UnixStream>>,
}

/// Who is at the other end.
#[derive(Debug)]
enum To {
    /// The coordinator, which is started where there is none.
    Coordinator {
        /// Where it listens.
        layout: Layout,
        /// Whose it is.
        common_dir: PathBuf,
    },
    /// The shim of the task that asks, which is served at this socket.
    Shim(PathBuf),
}

impl To {
    /// How much is written down: where that grows, whoever ends time and again gets on all the same.
    fn written(&self) -> Option<u64> {
        match self {
            Self::Coordinator { layout, .. } => layout.journal().metadata().ok().map(|journal| journal.len()),
            Self::Shim(_) => None,
        }
    }
}

impl Client {
    /// Connect; a coordinator is started where there is none.
    ///
    /// # Errors
    /// Where none comes up.
    pub fn new(layout: Layout, common_dir: &Path) -> Result<Self, Error> {
        let to = To::Coordinator { layout, common_dir: common_dir.to_owned() };
        let mut client = Self { to, stream: None };
        client.connect()?;
        Ok(client)
    }

    /// Connect from inside a task.
    ///
    /// # Errors
    /// Where its shim does not listen.
    pub fn inside(socket: &Path) -> Result<Self, Error> {
        let mut client = Self { to: To::Shim(socket.to_owned()), stream: None };
        client.connect()?;
        Ok(client)
    }

    fn connect(&mut self) -> Result<(), Error> {
        let (layout, common_dir) = match &self.to {
            To::Coordinator { layout, common_dir } => (layout, common_dir),
            To::Shim(path) => {
                let stream = socket::connect(path).map_err(|error| {
                    let message = format!("the outside does not listen: {error}");
                    Error::new(ErrorKind::Inside, message, "is this still inside the task that it was started in?")
                })?;
                self.stream = Some(BufReader::new(stream));
                return Ok(());
            }
        };
        let begun = Instant::now();
        let mut started: Option<Instant> = None;
        let mut pause = Duration::from_micros(500);
        loop {
            if let Ok(stream) = socket::connect(&layout.socket()) {
                self.stream = Some(BufReader::new(stream));
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(Error::new(
                    ErrorKind::Error,
                    "the coordinator does not come up",
                    format!("see why in {}", layout.coordinator_log().display()),
                ));
            }
            if started.is_none_or(|at| at.elapsed() > AGAIN) {
                start(layout, common_dir)?;
                started = Some(Instant::now());
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// Ask, and wait for the answer, however often the coordinator has to be started anew for it.
    ///
    /// # Errors
    /// Where the answer is no, or none can be had.
    pub fn ask(&mut self, request: &Request) -> Result<Response, Error> {
        let line = self.line(request)?;
        self.ask_line(&line)
    }

    /// Ask from inside a task.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub(super) fn ask_inside(&mut self, ask: &Ask) -> Result<Response, Error> {
        let line = line_of(ask, delegate::LONGEST)?;
        self.ask_line(&line)
    }

    /// What a task may see of where tasks stand.
    pub(super) fn state(&mut self) -> Result<State, Error> {
        match self.ask_inside(&Ask::State)? {
            Response::State(text) => State::read(text).map_err(|(line, why)| strange(&format!("line {line}: {why}"))),
            other => Err(strange(&format!("{other:?}"))),
        }
    }

    /// A piece of a log.
    pub(super) fn log(&mut self, ask: delegate::Log) -> Result<LogPiece, Error> {
        match self.ask_inside(&Ask::Log(ask))? {
            Response::Log(piece) => Ok(piece),
            other => Err(strange(&format!("{other:?}"))),
        }
    }

    /// The question as whoever is at the other end understands it.
    fn line(&self, request: &Request) -> Result<Vec<u8>, Error> {
        match &self.to {
            To::Coordinator { .. } => line_of(request, LONGEST as usize),
            To::Shim(_) => line_of(&inside::ask(request)?, delegate::LONGEST),
        }
    }

    fn ask_line(&mut self, line: &[u8]) -> Result<Response, Error> {
        let (mut broken, mut ever, mut written) = (0, 0, self.to.written());
        loop {
            let begun = Instant::now();
            match self.exchange(line) {
                Some(Response::No(refused)) => return Err(refused.into()),
                Some(response) => return Ok(response),
                None => {
                    let before = std::mem::replace(&mut written, self.to.written());
                    ever += 1;
                    broken = if begun.elapsed() < AT_ONCE && written == before { broken + 1 } else { 0 };
                    if broken > TRIES || ever > MOST_TRIES {
                        let hint = match &self.to {
                            To::Coordinator { layout, .. } => {
                                format!("nothing was lost; see why in {}", layout.coordinator_log().display())
                            }
                            To::Shim(_) => "nothing was lost; whoever started this task sees more".to_owned(),
                        };
                        let message = "the coordinator ends each time that it is asked this";
                        return Err(Error::new(ErrorKind::Error, message, hint));
                    }
                    self.stream = None;
                    self.connect()?;
                }
            }
        }
    }

    /// As [`ask`](Self::ask), but look up from waiting each `step`: `None` once `going` says to give up.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub fn ask_while(
        &mut self,
        request: &Request,
        step: Duration,
        going: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Response>, Error> {
        let line = self.line(request)?;
        loop {
            self.set_patience(Some(step));
            let written = self.stream.as_mut().is_some_and(|stream| stream.get_mut().write_all(&line).is_ok());
            let mut answer = String::new();
            while let Some(stream) = self.stream.as_mut().filter(|_| written) {
                match stream.read_line(&mut answer) {
                    Err(error) if matches!(error.kind(), ErrorOf::WouldBlock | ErrorOf::TimedOut) => {
                        if !going() {
                            return Ok(None);
                        }
                    }
                    Ok(1..) => match serde_json::from_str(&answer) {
                        Ok(Response::No(refused)) => return Err(refused.into()),
                        Ok(response) => return Ok(Some(response)),
                        Err(_) => break,
                    },
                    Ok(0) | Err(_) => break,
                }
            }
            self.stream = None;
            self.connect()?;
        }
    }

    fn exchange(&mut self, line: &[u8]) -> Option<Response> {
        let stream = self.stream.as_mut()?;
        stream.get_mut().write_all(line).ok()?;
        let mut answer = String::new();
        match stream.read_line(&mut answer) {
            Ok(1..) => serde_json::from_str(&answer).ok(),
            _ => None,
        }
    }

    /// Wait for one more event, of those since the first call. `false` where the connection broke.
    pub fn watch(&mut self) -> bool {
        let Some(stream) = self.stream.as_mut() else { return false };
        let mut tick = String::new();
        matches!(stream.read_line(&mut tick), Ok(1..))
    }

    /// Begin to watch.
    ///
    /// # Errors
    /// Where no coordinator can be had.
    pub fn begin_watch(&mut self) -> Result<(), Error> {
        if matches!(self.to, To::Shim(_)) {
            return Err(inside::refused("to follow events"));
        }
        let line = serde_json::to_vec(&Request::Watch).expect("a unit variant is JSON");
        self.connect()?;
        if let Some(stream) = self.stream.as_mut() {
            // A broken connection is noticed by the first watch.
            let _ = stream.get_mut().write_all(&[line, b"\n".to_vec()].concat());
        }
        Ok(())
    }

    /// Give up waiting for an answer after this long.
    pub fn set_patience(&mut self, patience: Option<Duration>) {
        if let Some(stream) = &self.stream {
            let _ = stream.get_ref().set_read_timeout(patience);
        }
    }
}

fn line_of(question: &impl serde::Serialize, longest: usize) -> Result<Vec<u8>, Error> {
    let mut line = serde_json::to_vec(question).expect("questions are structs of strings and numbers");
    line.push(b'\n');
    if line.len() > longest {
        let message = format!("that is too much to be asked at once: {} bytes, and {longest} is the most", line.len());
        return Err(Error::new(ErrorKind::Usage, message, "ask for less, in several steps"));
    }
    Ok(line)
}

fn strange(what: &str) -> Error {
    Error::plain(ErrorKind::Error, format!("the outside answered {what}"))
}

fn start(layout: &Layout, common_dir: &Path) -> Result<(), Error> {
    let args = [COORDINATOR.as_ref(), common_dir.as_os_str()];
    match daemon::start(&args, &layout.coordinator_log(), Stdio::null()) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::new(
            ErrorKind::Error,
            format!("cannot start the coordinator: {error}"),
            format!("is there room in {}, and may you write there?", layout.state.display()),
        )),
    }
}

/// Is a coordinator there?
pub fn is_up(layout: &Layout) -> bool {
    socket::connect(&layout.socket()).is_ok()
}

/// Tell the coordinator, if one is there, that something may have happened. Nobody waits for what it does then.
pub fn poke(layout: &Layout) {
    let line = serde_json::to_vec(&Request::Poke).expect("a unit variant is JSON");
    if let Ok(mut stream) = socket::connect(&layout.socket()) {
        let _ = stream.write_all(&[line, b"\n".to_vec()].concat());
    }
}

/// See to it that somebody does the work, without waiting for it.
pub fn nudge(layout: &Layout, common_dir: &Path) {
    if !is_up(layout) {
        let _ = start(layout, common_dir);
    }
}
