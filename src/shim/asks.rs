//! Where a task asks for something: a socket of its own, at which it may delegate.
//!
//! Each conversation has a thread, a few at a time, so that nothing that is written here keeps the shim from its work. What
//! comes is bounded and parsed before any of it goes further, and what goes further names the attempt whose socket this is.
//! Where no coordinator is there, one is started, apart from the processes of the task.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use serde_json::json;

use super::COORDINATOR;
use crate::core::delegate::{Ask, LONGEST, Relayed};
use crate::process::{daemon, socket};
use crate::store::Layout;
use crate::store::layout::AttemptDir;
use crate::store::record::Spec;

/// Conversations at a time.
const MOST: usize = 16;
/// How many are taken up before anything else is looked at.
const AT_ONCE: usize = 32;
/// Who says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(60);
/// Who does not read its answer for so long does not want it.
const UNREAD: Duration = Duration::from_secs(10);
/// How long after a question another is passed on: a task that asks without end keeps the coordinator from nobody else.
const PACE: Duration = Duration::from_millis(2);
/// How long before another coordinator is started, and how often that is tried.
const AGAIN: Duration = Duration::from_millis(250);
const TRIES: u32 = 80;
/// Of a thread.
const STACK: usize = 256 << 10;
/// The longest answer that is passed on.
const LONGEST_ANSWER: u64 = 256 << 20;

/// The socket.
#[derive(Debug)]
pub(super) struct Desk {
    listener: UnixListener,
    open: Arc<AtomicUsize>,
    asker: Arc<Asker>,
}

/// Whose socket it is, and whom to ask.
#[derive(Debug)]
struct Asker {
    spec: Spec,
    repository: PathBuf,
    pace: Mutex<()>,
}

impl Desk {
    /// Open it; none for what verifies a candidate, which is no task.
    pub(super) fn open(dir: &AttemptDir, spec: &Spec) -> io::Result<Option<Self>> {
        if spec.candidate.is_some() {
            return Ok(None);
        }
        let listener = socket::listen(&dir.asks())?;
        listener.set_nonblocking(true)?;
        let repository = spec.repository.as_path().to_owned();
        let asker = Asker { spec: spec.clone(), repository, pace: Mutex::default() };
        Ok(Some(Self { listener, open: Arc::default(), asker: Arc::new(asker) }))
    }

    pub(super) fn door(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Somebody may be there.
    pub(super) fn attend(&self) {
        for _ in 0..AT_ONCE {
            let Ok((stream, _)) = self.listener.accept() else { return };
            if self.open.fetch_add(1, Ordering::SeqCst) >= MOST {
                self.open.fetch_sub(1, Ordering::SeqCst);
                refuse_at_once(stream);
                continue;
            }
            let (open, asker) = (Arc::clone(&self.open), Arc::clone(&self.asker));
            let talk = move || {
                // Whoever breaks off has nothing more to ask.
                let _ = converse(stream, &asker);
                open.fetch_sub(1, Ordering::SeqCst);
            };
            if std::thread::Builder::new().stack_size(STACK).spawn(talk).is_err() {
                self.open.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }
}

/// A fresh connection takes so few bytes without waiting.
fn refuse_at_once(mut stream: UnixStream) {
    let _ = stream.set_nonblocking(true);
    let _ = stream.write_all(&no("this task asks for too much at once", "ask again when another question is answered"));
}

fn no(message: &str, hint: &str) -> Vec<u8> {
    let line = json!({ "no": { "kind": "inside", "message": message, "hint": hint } });
    let mut line = line.to_string().into_bytes();
    line.push(b'\n');
    line
}

fn converse(stream: UnixStream, asker: &Asker) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(UNREAD))?;
    let mut write = stream.try_clone()?;
    let mut read = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        (&mut read).take(LONGEST as u64 + 1).read_until(b'\n', &mut line)?;
        match (line.last(), line.len() > LONGEST) {
            (Some(b'\n'), false) => {}
            (_, true) => {
                return write.write_all(&no("that is too much to be asked at once", "ask for less, in several steps"));
            }
            _ => return Ok(()),
        }
        let answer = match serde_json::from_slice::<Ask>(&line) {
            Ok(ask) => asker.relay(ask, &write)?,
            Err(_) => no(
                "that is nothing that a task may ask for",
                "from inside a task: add, run, wait, ls, status, logs, diff and cancel, of its own tasks",
            ),
        };
        write.write_all(&answer)?;
    }
}

impl Asker {
    /// Ask the coordinator, however often it has to be started anew for it, for as long as `client` wants to know.
    fn relay(&self, ask: Ask, client: &UnixStream) -> io::Result<Vec<u8>> {
        let secrets = self.spec.secrets.iter();
        let secrets = secrets.filter_map(|name| Some((name.clone(), self.spec.environment.get(name)?.clone())));
        let is_submit = matches!(ask, Ask::Submit(_));
        let secrets = secrets.filter(|_| is_submit).collect();
        let relayed = Relayed { by: self.spec.attempt, ask, secrets };
        let mut line = serde_json::to_vec(&json!({ "inside": relayed }))?;
        line.push(b'\n');
        let pace = self.pace.lock();
        std::thread::sleep(PACE);
        drop(pace);
        let mut tries = 0;
        loop {
            if let Some(answer) = self.exchange(&line, client)? {
                return Ok(answer);
            }
            tries += 1;
            if tries > TRIES {
                let hint = "try again; whoever started this task can see why with `pleach doctor`";
                return Ok(no("the coordinator does not answer", hint));
            }
            // One may be on its way already.
            if tries % 4 == 1 {
                self.start_coordinator();
            }
            std::thread::sleep(if tries < 4 { AGAIN / 10 } else { AGAIN });
        }
    }

    /// The answer; none where nobody is there, or went away before there was one.
    fn exchange(&self, line: &[u8], client: &UnixStream) -> io::Result<Option<Vec<u8>>> {
        let Ok(Some(layout)) = Layout::find(&self.repository) else { return Ok(None) };
        let Ok(mut stream) = socket::connect(&layout.socket()) else { return Ok(None) };
        stream.set_write_timeout(Some(UNREAD))?;
        if stream.write_all(line).is_err() {
            return Ok(None);
        }
        let mut doors = [PollFd::new(&stream, PollFlags::IN), PollFd::new(client, PollFlags::empty())];
        loop {
            match poll(&mut doors, None) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            if doors[1].revents().intersects(PollFlags::HUP | PollFlags::ERR) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            if !doors[0].revents().is_empty() {
                break;
            }
        }
        let mut answer = Vec::new();
        let read = BufReader::new(stream).take(LONGEST_ANSWER).read_until(b'\n', &mut answer);
        Ok(read.is_ok().then_some(answer).filter(|answer| answer.ends_with(b"\n")))
    }

    fn start_coordinator(&self) {
        let Ok(Some(layout)) = Layout::find(&self.repository) else { return };
        let args = [COORDINATOR.as_ref(), self.repository.as_os_str()];
        let _ = daemon::start_apart(&args, &layout.coordinator_log());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desk(dir: &std::path::Path) -> (Desk, PathBuf) {
        let dir = AttemptDir(dir.to_owned());
        let spec = r#"{"attempt":"7.1","repository":"/nowhere","worktree":"/w","directory":"","grace":1,"log_cap":1,
            "command":{"shell":"true"},"environment":{},"message":"",
            "base":"0123456789abcdef0123456789abcdef01234567"}"#;
        let spec: Spec = serde_json::from_str(spec).unwrap();
        (Desk::open(&dir, &spec).unwrap().unwrap(), dir.asks())
    }

    fn answer(stream: &UnixStream) -> String {
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        line
    }

    #[test]
    fn what_is_no_question_is_told_so_and_nothing_goes_further() {
        let dir = tempfile::tempdir().unwrap();
        let (desk, path) = desk(dir.path());
        for line in [
            &b"\n"[..],
            b"{}\n",
            b"\"poke\"\n",
            b"\"watch\"\n",
            b"{\"fold\":{\"folds\":[]}}\n",
            b"{\"inside\":{\"by\":\"1.1\",\"ask\":\"state\"}}\n",
            b"{\"submit\":{\"sandbox\":{\"tier\":\"none\"}}}\n",
            b"{\"submit\":{\"parent\":\"1.1\"}}\n",
            b"{\"cancel\":{\"tasks\":[1],\"now\":true,\"by\":\"1.1\"}}\n",
            b"\xff\x00\xfe\n",
        ] {
            let mut client = socket::connect(&path).unwrap();
            client.write_all(line).unwrap();
            desk.attend();
            let said = answer(&client);
            assert!(said.contains("nothing that a task may ask for"), "{line:?}: {said}");
        }
    }

    #[test]
    fn what_never_ends_is_cut_off_and_what_comes_in_masses_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (desk, path) = desk(dir.path());
        let mut flood = socket::connect(&path).unwrap();
        desk.attend();
        let writer = std::thread::spawn(move || {
            let block = vec![b'x'; 1 << 16];
            while flood.write_all(&block).is_ok() {}
            answer(&flood)
        });
        // It may have read the refusal, or only met the end of the conversation.
        let said = writer.join().unwrap_or_default();
        assert!(said.is_empty() || said.contains("too much"), "{said}");
        let idle: Vec<UnixStream> = (0..MOST + 4).map(|_| socket::connect(&path).unwrap()).collect();
        desk.attend();
        let refused = idle[MOST..].iter().filter(|stream| answer(stream).contains("too much at once")).count();
        assert!(refused >= 4, "{refused}");
    }
}
