//! The one way out of a network with nobody in it: a proxy that calls only whom the list names.
//!
//! The door at which it listens is made *inside*, by the process that becomes the task, and handed out before the task
//! starts ([`serve`] waits for it). So there is nothing in the namespace that leads out, no bridge and no socket on the disk:
//! only this program takes what comes in at the door, and it calls from outside.
//!
//! One thread takes the calls, and one more for each of them, up to a limit. [`request`] and [`hello`] are the parsers, and
//! are pure; who may be called is for [`crate::core::sandbox::network`] to say; `relay` carries the bytes.
#![expect(clippy::disallowed_methods, reason = "patience with a slow task is measured here")]

mod book;
pub mod hello;
mod relay;
pub mod request;

use std::io::{self, IoSliceMut, PipeReader, PipeWriter, Read, Write};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::core::sandbox::network::{Host, Refusal, Rule};
use crate::core::sandbox::traffic::{Denied, Why};
pub use book::Book;
use relay::Filter;
use request::{Bad, Request};

/// Where it is reached inside, at 127.0.0.1.
pub const PORT: u16 = 3128;

const ADDRESS: &str = "http://127.0.0.1:3128";
const INSIDE: &str = "localhost,127.0.0.1,::1";

/// What programs of the task are told by. Servers of the task itself are reached without it.
pub const VARIABLES: &[(&str, &str)] = &[
    ("HTTP_PROXY", ADDRESS),
    ("http_proxy", ADDRESS),
    ("HTTPS_PROXY", ADDRESS),
    ("https_proxy", ADDRESS),
    ("ALL_PROXY", ADDRESS),
    ("all_proxy", ADDRESS),
    ("NO_PROXY", INSIDE),
    ("no_proxy", INSIDE),
    ("NODE_USE_ENV_PROXY", "1"),
];

/// Calls at once; more wait at the door.
const MOST_CALLS: usize = 128;
/// For the whole head of a request.
const HEAD_PATIENCE: Duration = Duration::from_secs(20);
/// For one address of a server.
const CALL_PATIENCE: Duration = Duration::from_secs(10);
const MOST_ADDRESSES: usize = 8;
/// What still goes on when it ends may finish its account.
const END_PATIENCE: Duration = Duration::from_millis(500);
/// What comes in is not inherited by anybody.
#[cfg(target_os = "linux")]
const CLOSED: RecvFlags = RecvFlags::CMSG_CLOEXEC;
#[cfg(not(target_os = "linux"))]
const CLOSED: RecvFlags = RecvFlags::empty();
const STACK: usize = 512 << 10;

/// A proxy at work. It ends, and hangs up, when this is dropped.
#[derive(Debug)]
pub struct Serving {
    shared: Arc<Shared>,
    alive: Option<PipeWriter>,
    porter: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    rules: Vec<Rule>,
    book: Arc<Book>,
    /// Hangs up when it is over.
    over: PipeReader,
    calls: Mutex<usize>,
    fewer: Condvar,
}

/// Wait for the door that comes over `handover`, and serve at it. `rules` stay as they are.
///
/// # Errors
/// Where the system has no threads or pipes left.
pub fn serve(handover: UnixStream, rules: Vec<Rule>, book: Arc<Book>) -> io::Result<Serving> {
    let (over, alive) = io::pipe()?;
    let shared = Arc::new(Shared { rules, book, over, calls: Mutex::new(0), fewer: Condvar::new() });
    let own = Arc::clone(&shared);
    let porter = std::thread::Builder::new().name("proxy".to_owned()).stack_size(STACK);
    let porter = porter.spawn(move || own.keep_door(&handover))?;
    Ok(Serving { shared, alive: Some(alive), porter: Some(porter) })
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.alive = None;
        self.shared.fewer.notify_all();
        if let Some(porter) = self.porter.take() {
            let _ = porter.join();
        }
        let calls = self.shared.calls.lock().unwrap_or_else(PoisonError::into_inner);
        // Who looks up a name cannot be interrupted, and is left to it.
        let _ = self.shared.fewer.wait_timeout_while(calls, END_PATIENCE, |calls| *calls > 0);
    }
}

impl Shared {
    fn keep_door(self: &Arc<Self>, handover: &UnixStream) {
        if !self.wait(handover, PollFlags::IN, None) {
            return;
        }
        let Some(door) = receive(handover).filter(|door| door.set_nonblocking(true).is_ok()) else { return };
        while self.wait_for_fewer() && self.wait(&door, PollFlags::IN, None) {
            let Ok((call, _)) = door.accept() else {
                // Whoever it was has gone again, or there are no descriptors left.
                std::thread::sleep(Duration::from_millis(10));
                continue;
            };
            *self.calls.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            let own = Arc::clone(self);
            let thread = std::thread::Builder::new().name("proxy call".to_owned()).stack_size(STACK);
            let started = thread.spawn(move || {
                let _counted = Counted(&own);
                // What goes wrong between a task and a server is theirs.
                let _ = own.answer(call);
            });
            if started.is_err() {
                drop(Counted(self));
            }
        }
    }

    /// Until there is room for one more call. `false` when it is over.
    fn wait_for_fewer(&self) -> bool {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        while *calls >= MOST_CALLS {
            if self.is_over() {
                return false;
            }
            calls = self
                .fewer
                .wait_timeout(calls, Duration::from_millis(100))
                .map_or_else(|poisoned| poisoned.into_inner().0, |(calls, _)| calls);
        }
        true
    }

    fn is_over(&self) -> bool {
        let mut list = [PollFd::new(&self.over, PollFlags::IN)];
        poll(&mut list, Some(&Timespec::default())).is_ok() && !list[0].revents().is_empty()
    }

    /// Until something is there, or time is up, or it is over: only the first is `true`.
    fn wait(&self, what: &impl AsFd, flags: PollFlags, until: Option<Instant>) -> bool {
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            match self.poll(&mut [(what.as_fd(), flags)], left) {
                Some(true) => return true,
                Some(false) if left.is_some_and(|left| left.is_zero()) => return false,
                Some(false) => {}
                None => return false,
            }
        }
    }

    /// Is any of these ready? None when it is over. What is ready is left in the flags.
    fn poll(&self, what: &mut [(BorrowedFd<'_>, PollFlags)], left: Option<Duration>) -> Option<bool> {
        let mut list: Vec<PollFd<'_>> = vec![PollFd::new(&self.over, PollFlags::IN)];
        list.extend(what.iter().map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)));
        let left = left.map(|left| Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() });
        // Interrupted is as good as woken.
        let count = poll(&mut list, left.as_ref()).unwrap_or(0);
        for ((_, flags), seen) in what.iter_mut().zip(&list[1..]) {
            *flags = if count == 0 { PollFlags::empty() } else { seen.revents() };
        }
        if count > 0 && !list[0].revents().is_empty() { None } else { Some(count > 0) }
    }

    /// One call, from its first byte to its end.
    fn answer(&self, mut call: TcpStream) -> io::Result<()> {
        call.set_nonblocking(true)?;
        let _ = call.set_nodelay(true);
        let Some((head, rest)) = self.read_head(&mut call)? else { return Ok(()) };
        let request = match request::parse(&head) {
            Ok(request) => request,
            Err(Bad::Malformed(why)) => return self.refuse(&mut call, "400 Bad Request", why),
            Err(Bad::NotAHost(text)) => return self.deny(&mut call, &text, Why::NotAHost),
        };
        let (Request::Tunnel(target) | Request::Fetch { target, .. }) = &request;
        let resolve = &mut |name: &str| -> io::Result<Vec<IpAddr>> {
            Ok((name, target.port).to_socket_addrs()?.map(|address| as_local(address.ip())).collect())
        };
        let server = match target.addresses(&self.rules, resolve) {
            Ok(addresses) => self.call(&addresses),
            Err(Refusal::Denied(why)) => return self.deny(&mut call, &target.to_string(), why),
            Err(Refusal::Unknown(error)) => Err(error),
        };
        let server = match server {
            Ok(server) => server,
            Err(error) => {
                return self.refuse(&mut call, "502 Bad Gateway", &format!("cannot reach {target}: {error}"));
            }
        };
        self.book.count(|traffic| traffic.connections += 1);
        match request {
            Request::Tunnel(target) => {
                let is_named = matches!(target.host, Host::Name(_));
                let filter = if is_named { Filter::Greeting { target, held: Vec::new() } } else { Filter::Open };
                let welcome = b"HTTP/1.1 200 Connection established\r\n\r\n".to_vec();
                self.relay(call, server, filter, Vec::new(), welcome, &rest)
            }
            Request::Fetch { head, body, .. } => self.relay(call, server, Filter::Body(body), head, Vec::new(), &rest),
        }
    }

    /// The head, and what has come after it. None where the caller has gone or was told off.
    fn read_head(&self, call: &mut TcpStream) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
        let until = Instant::now() + HEAD_PATIENCE;
        let mut bytes = Vec::new();
        let mut buffer = [0; 8 << 10];
        loop {
            if !self.wait(call, PollFlags::IN, Some(until)) {
                self.refuse(call, "408 Request Timeout", "its head did not come")?;
                return Ok(None);
            }
            match call.read(&mut buffer) {
                Ok(0) => return Ok(None),
                Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                Err(error) if is_later(&error) => continue,
                Err(error) => return Err(error),
            }
            if let Some(end) = request::end_of_head(&bytes).filter(|end| *end <= request::LONGEST_HEAD) {
                let rest = bytes.split_off(end);
                return Ok(Some((bytes, rest)));
            }
            if bytes.len() > request::LONGEST_HEAD {
                self.refuse(call, "431 Request Header Fields Too Large", "its head is too long")?;
                return Ok(None);
            }
        }
    }

    /// Only these addresses: they are those that were looked at.
    fn call(&self, addresses: &[SocketAddr]) -> io::Result<TcpStream> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in addresses.iter().take(MOST_ADDRESSES) {
            if self.is_over() {
                break;
            }
            match TcpStream::connect_timeout(address, CALL_PATIENCE) {
                Ok(server) => {
                    server.set_nonblocking(true)?;
                    let _ = server.set_nodelay(true);
                    return Ok(server);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn deny(&self, call: &mut TcpStream, to: &str, why: Why) -> io::Result<()> {
        self.book.deny(to, why);
        self.refuse(call, "403 Forbidden", &Denied { to: to.to_owned(), why, times: 1 }.to_string())
    }

    fn refuse(&self, call: &mut TcpStream, status: &str, why: &str) -> io::Result<()> {
        let printable: String = why.chars().filter(|c| !c.is_control()).take(400).collect();
        let words = format!("pleach: network: {printable}\n");
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{words}",
            words.len()
        );
        // It fits into what the system keeps for a fresh connection.
        call.write_all(answer.as_bytes())?;
        call.shutdown(std::net::Shutdown::Write)?;
        // What is still unread would take the answer with it.
        let until = Instant::now() + Duration::from_secs(1);
        let mut buffer = [0; 8 << 10];
        while self.wait(call, PollFlags::IN, Some(until)) && call.read(&mut buffer).is_ok_and(|count| count > 0) {}
        Ok(())
    }
}

/// A call is over when this is dropped, however it ended.
struct Counted<'a>(&'a Shared);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        *self.0.calls.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.fewer.notify_all();
    }
}

/// This machine under any address of its own is this machine.
fn as_local(address: IpAddr) -> IpAddr {
    let unset: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // Nothing is sent by that: the system only says which address it would come from.
    let source = UdpSocket::bind((unset, 0)).and_then(|socket| {
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    let is_here = source.is_ok_and(|source| source.ip().to_canonical() == address.to_canonical());
    if is_here { Ipv4Addr::LOCALHOST.into() } else { address }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// The door that was handed out.
fn receive(handover: &UnixStream) -> Option<TcpListener> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(handover, &mut [IoSliceMut::new(&mut byte)], &mut control, CLOSED).ok()?;
    let mut descriptors = control.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect::<Vec<OwnedFd>>(),
        _ => Vec::new(),
    });
    descriptors.next().map(TcpListener::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_own_addresses() {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        if socket.connect("192.0.2.1:9").is_ok() {
            let own = socket.local_addr().unwrap().ip();
            assert_eq!(as_local(own), IpAddr::V4(Ipv4Addr::LOCALHOST), "{own}");
        }
        assert_eq!(as_local("127.0.0.7".parse().unwrap()).to_string(), "127.0.0.7");
        assert_eq!(as_local("192.0.2.1".parse().unwrap()).to_string(), "192.0.2.1");
    }
}
