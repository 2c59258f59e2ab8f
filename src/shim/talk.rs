//! What the shim does while an agent does its task: it gives that its prompt, keeps what it writes, and understands it line by
//! line.
//!
//! The output of an agent that is understood has a pipe of its own, apart from its errors, so that no word of those tears a
//! line of it in two. In the log both are what they are.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::core::agent::{Account, Assigned, Kind, PromptBy, Said, read};
use crate::core::lines_of::Lines;
use crate::process::supervise::Streams;
use crate::store::layout::AttemptDir;

/// Reads of one look at the pipe.
const AT_ONCE: usize = 64;

/// The ends of pipes that belong to the agent.
#[derive(Debug, Default)]
pub(super) struct Ends {
    input: Option<OwnedFd>,
    output: Option<OwnedFd>,
}

impl Ends {
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
    /// Its output, once it runs.
    output: Option<File>,
    lines: Lines,
    account: Account,
}

impl Talk {
    pub(super) fn new(dir: &AttemptDir, assigned: &Assigned) -> Self {
        Self {
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
        Ok(ends)
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
        let Some(dialect) = self.assigned.agent.dialect else { return false };
        let mut any = false;
        for line in self.lines.pass(bytes) {
            for said in read(dialect, &String::from_utf8_lossy(&line)) {
                any |= !matches!(said, Said::Piece(_) | Said::Usage { .. } | Said::Begins);
                self.account.take(said.map(clean));
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
