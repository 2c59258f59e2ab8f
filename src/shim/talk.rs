//! What the shim does while an agent does its task: it gives that its prompt, keeps what it writes, and understands it line by
//! line.
//!
//! The output of an agent that is understood has a pipe of its own, apart from its errors, so that no word of those tears a
//! line of it in two. In the log both are what they are.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use jiff::{Timestamp, ToSpan};

use crate::core::agent::acp::{Client, Step};
use crate::core::agent::{Account, Assigned, Kind, PromptBy, Said, read};
use crate::core::lines_of::Lines;
use crate::process::clock;
use crate::process::supervise::Streams;
use crate::store::layout::AttemptDir;
use crate::store::record::Spec;

/// Reads of one look at the pipe.
const AT_ONCE: usize = 64;
/// Seconds that an agent has to end by itself, once it was told to or is asked no more.
const PATIENCE: i64 = 5;
/// Bytes that wait for an agent which does not read.
const MOST_UNREAD: usize = 16 << 20;

impl Speech {
    /// As much as it takes now.
    fn write(&mut self) {
        let Some(input) = &mut self.input else { return };
        while !self.unread.is_empty() {
            match input.write(&self.unread) {
                Ok(count @ 1..) => drop(self.unread.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // It reads no more: how it ends says the rest.
                _ => self.unread.clear(),
            }
        }
    }
}

/// The ends of pipes that belong to the agent.
#[derive(Debug, Default)]
pub(super) struct Ends {
    input: Option<OwnedFd>,
    output: Option<OwnedFd>,
}

impl Ends {
    /// Where nobody speaks with it, it reads this.
    pub(super) fn or_reading(self, input: Option<&File>) -> io::Result<Self> {
        let input = input.map(File::try_clone).transpose()?.map(OwnedFd::from);
        Ok(Self { input: self.input.or(input), ..self })
    }

    /// Give them to what is about to start, in place of what it would have.
    pub(super) fn given_to(self, [input, output, errors]: Streams) -> Streams {
        [self.input.or(input), self.output.or(output), errors]
    }
}

/// One agent at work.
#[derive(Debug)]
pub(super) struct Talk {
    assigned: Assigned,
    prompt: std::path::PathBuf,
    directory: String,
    /// Its output, once it runs.
    output: Option<File>,
    lines: Lines,
    account: Account,
    /// Where it is spoken with, and not only heard.
    speech: Option<Speech>,
}

/// What is said to an agent.
#[derive(Debug)]
struct Speech {
    client: Client,
    /// Its input, until it is asked no more.
    input: Option<File>,
    /// What it has not read yet.
    unread: Vec<u8>,
    /// By when it has to end by itself.
    due: Option<Timestamp>,
    /// Was it told to stop?
    is_cancelled: bool,
}

/// How a conversation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It goes on, or there is none.
    GoesOn,
    /// It has had its time to end by itself after it was told to stop.
    Cancelled,
    /// It has said all, and has had its time to end by itself.
    Over,
}

impl Talk {
    pub(super) fn new(dir: &AttemptDir, spec: &Spec, assigned: &Assigned) -> Self {
        Self {
            // Without the slash that joining nothing leaves at the end.
            directory: spec
                .worktree
                .as_path()
                .join(spec.directory.as_path())
                .components()
                .as_path()
                .display()
                .to_string(),
            speech: None,
            assigned: assigned.clone(),
            prompt: dir.prompt(),
            output: None,
            lines: Lines::default(),
            account: Account::default(),
        }
    }

    /// Before it starts: what it reads, and where it writes.
    ///
    /// # Errors
    /// Where the prompt is not there.
    pub(super) fn connect(&mut self) -> io::Result<Ends> {
        let mut ends = Ends::default();
        if self.assigned.agent.prompt == PromptBy::Stdin && self.assigned.agent.kind != Kind::Acp {
            ends.input = Some(File::open(&self.prompt)?.into());
        }
        if self.assigned.agent.kind != Kind::Command {
            let (reader, writer) = io::pipe()?;
            let output = File::from(rustix::fd::OwnedFd::from(reader));
            rustix::io::ioctl_fionbio(&output, true)?;
            self.output = Some(output);
            ends.output = Some(writer.into());
        }
        if self.assigned.agent.kind == Kind::Acp {
            let prompt = String::from_utf8_lossy(&std::fs::read(&self.prompt)?).into_owned();
            let (reader, writer) = io::pipe()?;
            let input = File::from(rustix::fd::OwnedFd::from(writer));
            rustix::io::ioctl_fionbio(&input, true)?;
            ends.input = Some(reader.into());
            let model = self.assigned.model.clone().filter(|_| self.assigned.agent.model.is_empty());
            let mut client = Client::new(self.directory.clone(), prompt, model, self.assigned.permit)
                .with_tools(self.assigned.tools.clone());
            let steps = client.begin();
            let (input, unread) = (Some(input), Vec::new());
            self.speech = Some(Speech { client, input, unread, due: None, is_cancelled: false });
            self.take(steps, &str::to_owned);
        }
        Ok(ends)
    }

    /// Somebody has more to say to it. Can it be told?
    pub(super) fn say(&mut self, message: String) -> bool {
        let Some(speech) = self.speech.as_mut().filter(|speech| speech.input.is_some() && !speech.is_cancelled) else {
            return false;
        };
        let steps = speech.client.add(message);
        self.take(steps, &str::to_owned);
        true
    }

    /// Tell it to stop. Is it one that can be told?
    pub(super) fn cancel(&mut self) -> bool {
        let Some(speech) = self.speech.as_mut().filter(|speech| speech.input.is_some()) else { return false };
        if !std::mem::replace(&mut speech.is_cancelled, true) {
            speech.due = Some(clock::now() + PATIENCE.seconds());
            let steps = speech.client.cancel();
            self.take(steps, &str::to_owned);
        }
        true
    }

    /// How it stands, and in how many milliseconds that is to be looked at again.
    pub(super) fn stands(&mut self) -> (Standing, Option<u64>) {
        let Some(speech) = &mut self.speech else { return (Standing::GoesOn, None) };
        speech.write();
        let soon = (!speech.unread.is_empty()).then_some(20);
        let Some(due) = speech.due else { return (Standing::GoesOn, soon) };
        let left = due.duration_since(clock::now()).as_millis();
        match (left <= 0, speech.is_cancelled, speech.input.is_some()) {
            (false, true, true) | (false, false, _) => {
                (Standing::GoesOn, Some(soon.unwrap_or(u64::MAX).min(left.unsigned_abs() as u64 + 1)))
            }
            (_, true, _) => (Standing::Cancelled, None),
            (true, false, _) => (Standing::Over, None),
        }
    }

    /// Whose doing its end is, where it may be that of whoever spoke with it.
    pub(super) fn was_ended(&self) -> Option<Standing> {
        let speech = self.speech.as_ref()?;
        match (speech.is_cancelled, &speech.input) {
            (true, _) => Some(Standing::Cancelled),
            (false, None) => Some(Standing::Over),
            (false, Some(_)) => None,
        }
    }

    fn take(&mut self, steps: Vec<Step>, clean: &dyn Fn(&str) -> String) -> bool {
        let mut any = false;
        for step in steps {
            match step {
                Step::Said(said) => any |= self.note(said, clean),
                Step::Send(line) => {
                    if let Some(speech) = &mut self.speech
                        && speech.unread.len() < MOST_UNREAD
                    {
                        speech.unread.extend(line.as_bytes());
                        speech.unread.push(b'\n');
                        speech.write();
                    }
                }
                Step::Close => {
                    if let Some(speech) = &mut self.speech {
                        speech.write();
                        speech.input = None;
                        speech.due = speech.due.or_else(|| Some(clock::now() + PATIENCE.seconds()));
                    }
                }
            }
        }
        any
    }

    fn note(&mut self, said: Said, clean: &dyn Fn(&str) -> String) -> bool {
        let is_news = !matches!(said, Said::Piece(_) | Said::Usage { .. } | Said::Begins);
        self.account.take(said.map(clean));
        is_news
    }

    pub(super) fn door(&self) -> Option<BorrowedFd<'_>> {
        self.output.as_ref().map(AsFd::as_fd)
    }

    /// What is there now; nothing where it says no more. All bytes are given to `keep`. Is anything new?
    pub(super) fn hear(&mut self, keep: &mut dyn FnMut(&[u8]), clean: &dyn Fn(&str) -> String) -> bool {
        let mut buffer = [0; 64 << 10];
        let mut any = false;
        for _ in 0..AT_ONCE {
            let Some(output) = &mut self.output else { break };
            match output.read(&mut buffer) {
                Ok(0) => self.output = None,
                Ok(count) => {
                    keep(&buffer[..count]);
                    any |= self.understand(&buffer[..count], clean);
                }
                Err(_) => break,
            }
        }
        any
    }

    fn understand(&mut self, bytes: &[u8], clean: &dyn Fn(&str) -> String) -> bool {
        let mut any = false;
        for line in self.lines.pass(bytes) {
            let line = String::from_utf8_lossy(&line);
            if let Some(speech) = &mut self.speech {
                let steps = speech.client.receive(&line);
                any |= self.take(steps, clean);
            } else if let Some(dialect) = self.assigned.agent.dialect {
                for said in read(dialect, &line) {
                    any |= self.note(said, clean);
                }
            }
        }
        any
    }

    /// It has ended. What is left of a line is one.
    pub(super) fn end(&mut self, keep: &mut dyn FnMut(&[u8]), clean: &dyn Fn(&str) -> String) {
        while self.output.is_some() {
            let before = self.lines.taken();
            self.hear(keep, clean);
            if self.lines.taken() == before {
                break;
            }
        }
        if !self.lines.is_empty() {
            self.understand(b"\n", clean);
        }
        self.output = None;
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }
}
