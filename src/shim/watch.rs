//! What the shim does while its command runs: keep the output, and answer at its doors.
//!
//! At `control` the coordinator asks it to end its task. At `inbox` the task itself tells of its progress, and at `asks` it delegates ([`super::asks`]). Where hosts are
//! listed, a bell rings when something is denied for the first time.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::asks::Desk;
use super::limits::Keeper;
use super::talk::{self, Talk};
use crate::core::agent::Account;
use crate::core::outcome::Outcome;
use crate::core::secret::Redactor;
use crate::process::living::Hold;
use crate::process::socket;
use crate::process::supervise::{End, Stop, Watcher, Wish};
use crate::sandbox::proxy::Book;
use crate::store::layout::AttemptDir;
use crate::store::record::{self, Progress, Spec};
use crate::store::{Durable, log};

/// What a task may say, one JSON message each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// How far it is.
    Progress {
        /// So many are through.
        done: Option<u64>,
        /// Of so many.
        total: Option<u64>,
        /// In its own words.
        text: Option<String>,
    },
    /// What it has to say in the end.
    Summary(String),
}

/// The largest message that is read.
pub const LARGEST_MESSAGE: usize = 128 << 10;
/// So many messages are read before anything else is looked at.
const AT_ONCE: usize = 256;
/// What the coordinator says to have the task end politely.
pub const STOP: &[u8] = b"stop";
/// What somebody says who works in the worktree and is through; behind it stands what they have to say in the end.
pub const DONE: &[u8] = b"done:";
/// What stands before a message for the agent of a task.
pub const SAY: &[u8] = b"say:";
/// What the coordinator says to have it end at once.
pub const KILL: &[u8] = b"kill";

/// The doors and the log of one attempt.
#[derive(Debug)]
pub(super) struct Watch {
    dir: AttemptDir,
    log: log::Writer,
    redactor: Redactor,
    control: UnixDatagram,
    inbox: UnixDatagram,
    desk: Option<Desk>,
    progress: Progress,
    notes: Vec<String>,
    book: Arc<Book>,
    bell: UnixStream,
    /// Its output is in the middle of a line.
    in_line: bool,
    keeper: Keeper,
    /// The agent that does the task, once that has begun.
    talk: Option<Talk>,
    /// When that is to be looked at again.
    talk_look_in: Option<Duration>,
    /// With whose end it is over, where somebody else works there.
    tenant: Option<Hold>,
    /// Whoever else works there is through, or gone.
    is_left: bool,
}

impl Watch {
    pub(super) fn new(dir: &AttemptDir, spec: &Spec) -> io::Result<Self> {
        let (book, bell) = Book::open()?;
        Ok(Self {
            dir: dir.clone(),
            log: log::Writer::create(&dir.log(), spec.log_cap)?,
            control: socket::receive(&dir.control())?,
            inbox: socket::receive(&dir.inbox())?,
            desk: Desk::open(dir, spec)?,
            progress: Progress::default(),
            notes: Vec::new(),
            book,
            bell,
            in_line: false,
            keeper: Keeper::new(dir, spec),
            talk: None,
            talk_look_in: None,
            tenant: None,
            is_left: false,
            redactor: Redactor::new(&spec.environment),
        })
    }

    /// Where it is written down what is asked of the network.
    pub(super) fn book(&self) -> Arc<Book> {
        Arc::clone(&self.book)
    }

    /// The task itself begins, and not what prepares it.
    pub(super) fn begin(&mut self, spec: &Spec) {
        self.talk = spec.agent.as_ref().map(|assigned| Talk::new(&self.dir, spec, assigned));
        self.tenant = spec.tenant.as_ref().and_then(|tenant| tenant.process.as_ref()).map(Hold::of);
    }

    /// The agent that is about to start.
    pub(super) fn talk(&mut self) -> Option<&mut Talk> {
        self.talk.as_mut()
    }

    /// Hear what the agent says, to the last of it where that has ended.
    fn hear(&mut self, is_over: bool) {
        let Some(mut talk) = self.talk.take() else { return };
        let redactor = std::mem::take(&mut self.redactor);
        let clean = |text: &str| redactor.text(text);
        let mut bytes = Vec::new();
        let mut keep = |piece: &[u8]| bytes.extend_from_slice(piece);
        let is_news = if is_over {
            talk.end(&mut keep, &clean);
            true
        } else {
            talk.hear(&mut keep, &clean)
        };
        self.redactor = redactor;
        if !bytes.is_empty() {
            self.output(&bytes);
        }
        if is_news {
            self.progress.account = Some(Box::new(talk.account().clone()));
            self.save_progress();
        }
        self.talk = Some(talk);
    }

    fn save_progress(&mut self) {
        if let Err(error) = record::save(&self.dir.progress(), &self.progress, Durable::No) {
            self.note(format!("its progress could not be written: {error}"));
        }
    }

    /// Close the door of the task. What was said stays, and so does the door of the coordinator.
    pub(super) fn close(mut self) -> (Closed, UnixDatagram) {
        self.read_inbox();
        self.hear(true);
        let rest = self.redactor.end();
        self.keep(&rest);
        self.tell_denied();
        let _ = std::fs::remove_file(self.dir.inbox());
        let _ = std::fs::remove_file(self.dir.asks());
        let (log_bytes, log_dropped) = self.log.counts();
        let account = self.progress.account;
        // What it says of itself on purpose goes before what it happened to say last.
        let summary = self.progress.summary.or_else(|| account.as_ref().and_then(|account| account.message.clone()));
        let said = Closed { summary, account, log_bytes, log_dropped, notes: self.notes };
        (said, self.control)
    }

    /// Who keeps what runs to its limits.
    pub(super) fn keeper(&mut self) -> &mut Keeper {
        &mut self.keeper
    }

    /// Which limit a command went over, where it did not end well for that.
    pub(super) fn over_limit(&mut self, end: &End) -> Option<Outcome> {
        let may_be = end.stopped == Some(Stop::OverLimit) || (end.stopped.is_none() && end.code != Some(0));
        self.keeper.over(end.leaked, self.log.counts().0 == 0).filter(|_| may_be)
    }

    fn read_inbox(&mut self) {
        let mut buffer = vec![0; LARGEST_MESSAGE];
        let mut any = false;
        // One that says more than we read must not keep us from its deadline.
        for _ in 0..AT_ONCE {
            let Ok(length) = self.inbox.recv(&mut buffer) else { break };
            match serde_json::from_slice(&buffer[..length]) {
                Ok(Message::Progress { done, total, text }) => {
                    let text = text.map(|text| self.redactor.text(&text));
                    self.progress = Progress { done, total, text, ..std::mem::take(&mut self.progress) };
                }
                Ok(Message::Summary(summary)) => self.progress.summary = Some(self.redactor.text(&summary)),
                // A task may write what it likes; what is no message is no harm.
                Err(_) => continue,
            }
            any = true;
        }
        if any {
            self.save_progress();
        }
    }

    /// What was denied is told where whoever looks for the reason of a failure looks first: in the log.
    fn tell_denied(&mut self) {
        let mut buffer = [0; 64];
        while (&self.bell).read(&mut buffer).is_ok_and(|count| count > 0) {}
        let fresh = self.book.fresh();
        for denied in &fresh {
            let line = if self.in_line { "\n" } else { "" };
            self.keep(format!("{line}pleach: network: {denied}\n").as_bytes());
        }
        if !fresh.is_empty()
            && let Err(error) = record::save(&self.dir.network(), &self.book.traffic(), Durable::No)
        {
            self.note(format!("what was denied could not be written: {error}"));
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.in_line = bytes.last().map_or(self.in_line, |byte| *byte != b'\n');
        if let Err(error) = self.log.write(bytes) {
            self.note(format!("some output could not be kept: {error}"));
        }
    }

    fn read_control(&mut self) -> Wish {
        let mut buffer = vec![0; LARGEST_MESSAGE];
        let mut wish = Wish::Nothing;
        while let Ok(length) = self.control.recv(&mut buffer) {
            match &buffer[..length] {
                KILL => wish = Wish::Kill,
                // An agent that is spoken with is told first, and only then meets a signal.
                STOP if wish == Wish::Nothing && self.talk.as_mut().is_some_and(Talk::cancel) => {}
                STOP if wish == Wish::Nothing => wish = Wish::Stop,
                message if message.starts_with(DONE) => self.leave(&message[DONE.len()..]),
                message => self.pass_on(message),
            }
        }
        wish
    }

    /// Whoever else works there is through.
    fn leave(&mut self, words: &[u8]) {
        self.is_left = true;
        let words = String::from_utf8_lossy(words);
        if !words.trim().is_empty() {
            self.progress.summary = Some(self.redactor.text(words.trim()));
            self.save_progress();
        }
    }

    /// Is whoever else works there through, or gone?
    fn is_over(&mut self) -> bool {
        if !self.is_left && self.tenant.as_ref().is_some_and(Hold::is_over) {
            self.is_left = true;
            self.note("whoever worked there has ended without a word; what it left is the result".to_owned());
        }
        self.is_left
    }

    /// Somebody has something to say to the agent.
    fn pass_on(&mut self, message: &[u8]) {
        let Some(text) = message.strip_prefix(SAY) else { return };
        let text = String::from_utf8_lossy(text).into_owned();
        if !self.talk.as_mut().is_some_and(|talk| talk.say(text)) {
            self.note("a message came when its agent listened no more".to_owned());
        }
    }

    /// What follows from how the conversation with the agent stands.
    fn follow_talk(&mut self) -> Wish {
        let (standing, look_in) = self.talk.as_mut().map_or((talk::Standing::GoesOn, None), Talk::stands);
        self.talk_look_in = look_in.map(Duration::from_millis);
        match standing {
            talk::Standing::GoesOn => Wish::Nothing,
            talk::Standing::Cancelled => Wish::Stop,
            talk::Standing::Over => Wish::Halt,
        }
    }

    /// How it ended, where that is not what its exit tells: an agent that was told to stop and did, or that had said all and
    /// had to be ended.
    pub(super) fn ended_by_talk(&mut self, end: &End) -> Option<Outcome> {
        if self.is_left && end.stopped == Some(Stop::OverLimit) {
            return Some(Outcome::exited(0));
        }
        let standing = self.talk.as_ref().and_then(Talk::was_ended)?;
        match (standing, end.stopped) {
            (talk::Standing::Cancelled, None | Some(Stop::Cancelled)) => Some(Outcome::Cancelled),
            (talk::Standing::Over, Some(Stop::OverLimit)) => Some(Outcome::exited(0)),
            _ => None,
        }
    }

    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// What is left of a [`Watch`].
#[derive(Debug, Default)]
pub(super) struct Closed {
    pub(super) summary: Option<String>,
    pub(super) log_bytes: u64,
    pub(super) log_dropped: u64,
    pub(super) notes: Vec<String>,
    pub(super) account: Option<Box<Account>>,
}

impl Watcher for Watch {
    fn output(&mut self, bytes: &[u8]) {
        if self.redactor.is_idle() {
            return self.keep(bytes);
        }
        let bytes = self.redactor.pass(bytes);
        self.keep(&bytes);
    }

    fn doors(&self) -> Vec<rustix::fd::BorrowedFd<'_>> {
        let doors = [self.control.as_fd(), self.inbox.as_fd(), self.bell.as_fd()];
        // A process that has ended stays readable, and there is no need to look twice.
        let tenant = self.tenant.as_ref().filter(|_| !self.is_left).and_then(Hold::door);
        let more = [self.talk.as_ref().and_then(Talk::door), self.desk.as_ref().map(Desk::door), tenant];
        doors.into_iter().chain(more.into_iter().flatten()).collect()
    }

    fn attend(&mut self) -> Wish {
        self.read_inbox();
        self.desk.iter().for_each(Desk::attend);
        self.hear(false);
        self.tell_denied();
        let asked = self.read_control();
        let follows = self.follow_talk();
        match (asked, follows) {
            (Wish::Nothing, Wish::Nothing) if self.is_over() => Wish::Halt,
            (Wish::Nothing, Wish::Nothing) => self.keeper.look(),
            (Wish::Nothing, wish) | (wish, _) => wish,
        }
    }

    fn look_in(&self) -> Option<Duration> {
        self.keeper.look_in().into_iter().chain(self.talk_look_in).min()
    }
}
