//! Bytes between a task and a server, in both directions, until one of them has had enough.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::PollFlags;

use super::hello::{self, Hello};
use super::request::Body;
use super::{Shared, is_later};
use crate::core::sandbox::network::Target;
use crate::core::sandbox::traffic::Why;

/// A tunnel in which nothing moves for so long is closed.
const IDLE: Duration = Duration::from_secs(60 * 60);
const BUFFER: usize = 16 << 10;

/// What of the task's bytes goes on.
#[derive(Debug)]
pub(super) enum Filter {
    /// None before it is known whom they greet.
    Greeting {
        /// Whom the tunnel was asked for.
        target: Target,
        /// What has come so far.
        held: Vec<u8>,
    },
    /// Those of one request; what follows is not looked at.
    Body(Body),
    /// All.
    Open,
}

/// It must not go on.
struct Cut;

/// One direction.
#[derive(Debug, Default)]
struct Way {
    pending: Vec<u8>,
    /// Nothing more comes.
    ended: bool,
    /// And that was passed on.
    told: bool,
}

impl Way {
    fn flags_to_read(&self) -> PollFlags {
        if self.ended || !self.pending.is_empty() { PollFlags::empty() } else { PollFlags::IN }
    }

    fn flags_to_write(&self) -> PollFlags {
        if self.pending.is_empty() { PollFlags::empty() } else { PollFlags::OUT }
    }

    /// Answers how many bytes went on.
    fn write(&mut self, to: &mut TcpStream) -> io::Result<usize> {
        let count = match to.write(&self.pending) {
            Ok(count) => count,
            Err(error) if is_later(&error) => 0,
            Err(error) => return Err(error),
        };
        self.pending.drain(..count);
        Ok(count)
    }

    /// Pass on that nothing more comes.
    fn tell(&mut self, to: &TcpStream) {
        if self.ended && self.pending.is_empty() && !self.told {
            self.told = true;
            let _ = to.shutdown(Shutdown::Write);
        }
    }
}

impl Shared {
    /// `first` and `welcome` go to the server and to the task before anything else; `rest` came with the head.
    pub(super) fn relay(
        &self,
        mut task: TcpStream,
        mut server: TcpStream,
        mut filter: Filter,
        first: Vec<u8>,
        welcome: Vec<u8>,
        rest: &[u8],
    ) -> io::Result<()> {
        let is_request = matches!(filter, Filter::Body(_));
        let mut out = Way { pending: first, ..Way::default() };
        let mut back = Way { pending: welcome, ..Way::default() };
        if self.filter(&mut filter, rest, &mut out.pending).is_err() {
            return Ok(());
        }
        let mut buffer = [0; BUFFER];
        loop {
            let mut ready = [
                (task.as_fd(), out.flags_to_read() | back.flags_to_write()),
                (server.as_fd(), back.flags_to_read() | out.flags_to_write()),
            ];
            // What nobody waits for is not listed: the end of a peer would be seen again and again.
            let mut list: Vec<_> = ready.iter().copied().filter(|(_, flags)| !flags.is_empty()).collect();
            if list.is_empty() || self.poll(&mut list, Some(IDLE)) != Some(true) {
                return Ok(());
            }
            let mut seen = list.into_iter().map(|(_, flags)| flags);
            for (_, flags) in ready.iter_mut().filter(|(_, flags)| !flags.is_empty()) {
                *flags = seen.next().unwrap_or(PollFlags::empty());
            }
            let [(_, at_task), (_, at_server)] = ready;
            if !at_task.is_empty()
                && out.flags_to_read() == PollFlags::IN
                && let Some(bytes) = read(&mut task, &mut buffer)?
            {
                out.ended = bytes.is_empty();
                if self.filter(&mut filter, bytes, &mut out.pending).is_err() {
                    return Ok(());
                }
            }
            if !at_server.is_empty()
                && back.flags_to_read() == PollFlags::IN
                && let Some(bytes) = read(&mut server, &mut buffer)?
            {
                back.ended = bytes.is_empty();
                back.pending.extend_from_slice(bytes);
                self.book.count(|traffic| traffic.received += bytes.len() as u64);
            }
            let sent = if out.pending.is_empty() { 0 } else { out.write(&mut server)? };
            self.book.count(|traffic| traffic.sent += sent as u64);
            if !back.pending.is_empty() {
                back.write(&mut task)?;
            }
            back.tell(&task);
            // Some servers take the end of a request's way for the end of their caller.
            if !is_request {
                out.tell(&server);
            }
            if back.told && (out.told || is_request) {
                return Ok(());
            }
        }
    }

    fn filter(&self, filter: &mut Filter, bytes: &[u8], pending: &mut Vec<u8>) -> Result<(), Cut> {
        match filter {
            Filter::Open => pending.extend_from_slice(bytes),
            Filter::Body(body) => {
                let count = body.take(bytes).ok_or(Cut)?;
                pending.extend_from_slice(&bytes[..count]);
            }
            Filter::Greeting { target, held } => {
                held.extend_from_slice(bytes);
                let denied = match hello::read(held) {
                    Hello::More => return Ok(()),
                    Hello::Nobody => None,
                    Hello::Host(name) if target.may_greet(&name, &self.rules) => None,
                    Hello::Host(name) => Some((format!("{name}:{}", target.port), Why::OtherName)),
                    Hello::Broken => Some((target.to_string(), Why::Garbled)),
                };
                if let Some((to, why)) = denied {
                    self.book.deny(&to, why);
                    return Err(Cut);
                }
                pending.append(held);
                *filter = Filter::Open;
            }
        }
        Ok(())
    }
}

/// What has come; nothing at its end. None where nothing has come yet.
fn read<'a>(from: &mut TcpStream, buffer: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
    match from.read(buffer) {
        Ok(count) => Ok(Some(&buffer[..count])),
        Err(error) if is_later(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
