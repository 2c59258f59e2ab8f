//! Running one command with everything that it starts.
//!
//! One thread, one `poll`. The output always drains, whatever else happens. It comes back when the tree is empty, and
//! never before.
#![expect(clippy::disallowed_methods, reason = "deadlines are measured here")]

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use super::tree::{self, Children, Reaped};

/// How long it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Until it is asked to end.
    pub timeout: Option<Duration>,
    /// From there until it is killed.
    pub grace: Duration,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Its exit code, where it ended by itself.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why we ended it, if we did.
    pub stopped: Option<Stop>,
    /// Processes that were left when it ended, and were killed.
    pub leaked: u64,
}

/// Why a command was ended by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Its time was over.
    TimedOut,
    /// Somebody asked for it.
    Cancelled,
    /// Whoever watches saw it go over a limit.
    OverLimit,
}

/// What whoever watches wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Go on.
    Nothing,
    /// End it politely.
    Stop,
    /// End it at once.
    Kill,
    /// It went over a limit: end it politely.
    Halt,
    /// It went over a limit: end it at once.
    HaltNow,
}

/// Who watches: gets the output, and has doors of its own that are waited on.
pub trait Watcher {
    /// Output, as it comes.
    fn output(&mut self, bytes: &[u8]);
    /// Descriptors to wait on beside ours.
    fn doors(&self) -> Vec<rustix::fd::BorrowedFd<'_>>;
    /// Something may be at a door.
    fn attend(&mut self) -> Wish;
    /// After this long it wants to look, also where nothing happens.
    fn look_in(&self) -> Option<Duration> {
        None
    }
}

/// SIGCHLD, and SIGTERM and SIGINT to ourselves, as something that can be waited on.
#[derive(Debug)]
pub struct Signals {
    children: UnixStream,
    asked: UnixStream,
}

impl Signals {
    /// Start to listen. Once in a process, before its first child.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn listen() -> io::Result<Self> {
        let pipe = |signals: &[i32]| -> io::Result<UnixStream> {
            let (here, there) = UnixStream::pair()?;
            here.set_nonblocking(true)?;
            for signal in signals {
                signal_hook::low_level::pipe::register(*signal, there.try_clone()?)?;
            }
            Ok(here)
        };
        use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
        Ok(Self { children: pipe(&[SIGCHLD])?, asked: pipe(&[SIGTERM, SIGINT])? })
    }

    fn drain(stream: &UnixStream) -> bool {
        let mut buffer = [0; 64];
        let mut any = false;
        while (&*stream).read(&mut buffer).is_ok_and(|count| count > 0) {
            any = true;
        }
        any
    }
}

/// What a command reads, writes and says beside that.
pub type Streams = [Option<OwnedFd>; 3];

/// Run the command in a group of its own, without input. `start` starts it with these streams, and answers the number of the
/// process that is waited for.
///
/// # Errors
/// Where it cannot be started: nothing has run then.
pub fn run(
    mut command: Command,
    start: impl FnOnce(Command, Streams) -> io::Result<u32>,
    patience: Patience,
    signals: &Signals,
    watcher: &mut dyn Watcher,
) -> io::Result<End> {
    tree::become_subreaper();
    let (reader, writer) = io::pipe()?;
    let (null, writer) = (File::open("/dev/null")?, OwnedFd::from(writer));
    command.process_group(0);
    die_with_us(&mut command);
    // Only when the tree has closed the writing ends does the output end.
    let id = start(command, [Some(null.into()), Some(writer.try_clone()?), Some(writer)])?;
    let mut output = File::from(OwnedFd::from(reader));
    rustix::io::ioctl_fionbio(&output, true)?;
    let main = Pid::from_raw(id as i32).ok_or(io::ErrorKind::NotFound)?;
    prefer_for_memory_kill(main);
    let mut run = Running { main, started: Instant::now(), patience, stopped: None, kill_at: None, ended: None };
    loop {
        let wish = wait(&run, signals, &output, watcher);
        drain_output(&mut output, watcher);
        run.stop_if(wish);
        match tree::reap() {
            Children::Some(reaped) => run.note(&reaped),
            Children::None(reaped) => {
                run.note(&reaped);
                break;
            }
        }
        if run.ended.is_some() || run.kill_at.is_some_and(|at| at <= Instant::now()) {
            break;
        }
    }
    let leaked = empty_tree(&mut run, signals, &mut output, watcher);
    drain_output(&mut output, watcher);
    let (code, signal) = run.ended.map_or((None, None), |end| (end.code, end.signal));
    Ok(End { code, signal, stopped: run.stopped, leaked })
}

/// Start it as it is.
///
/// # Errors
/// Where it cannot be started.
pub fn plainly(mut command: Command, [input, output, errors]: Streams) -> io::Result<u32> {
    input.map(|input| command.stdin(input));
    output.map(|output| command.stdout(output));
    errors.map(|errors| command.stderr(errors));
    command.spawn().map(|child| child.id())
}

/// Run a command to its end, with all that it starts, and look from time to time whether it is to be ended (`is_over`, of
/// the time that it has taken). Answers how it ended; none where it was ended by us. Only while we have no other child.
///
/// # Errors
/// Where it cannot be started: nothing has run then.
pub fn run_quietly(
    mut command: Command,
    streams: Streams,
    start: impl FnOnce(Command, Streams) -> io::Result<u32>,
    is_over: &mut dyn FnMut(Duration) -> bool,
) -> io::Result<Option<ExitStatus>> {
    const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    tree::become_subreaper();
    die_with_us(&mut command);
    let started = Instant::now();
    let pid = Pid::from_raw(start(command, streams)? as i32).ok_or(io::ErrorKind::NotFound)?;
    let descriptor = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
    let ended = loop {
        let _ = poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&LOOK));
        match waitpid(Some(pid), WaitOptions::NOHANG)? {
            Some((_, status)) => break Some(ExitStatus::from_raw(status.as_raw())),
            None if is_over(started.elapsed()) => {
                kill_process(pid, Signal::KILL)?;
                waitpid(Some(pid), WaitOptions::empty())?;
                break None;
            }
            None => {}
        }
    };
    while let Children::Some(_) = tree::reap() {
        tree::signal_all(Signal::KILL);
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(ended)
}

struct Running {
    main: Pid,
    started: Instant,
    patience: Patience,
    stopped: Option<Stop>,
    kill_at: Option<Instant>,
    ended: Option<Reaped>,
}

impl Running {
    fn note(&mut self, reaped: &[Reaped]) {
        self.ended = self.ended.or_else(|| reaped.iter().find(|child| child.pid == self.main).copied());
    }

    fn next_deadline(&self) -> Option<Instant> {
        match self.kill_at {
            Some(at) => Some(at),
            None => self.patience.timeout.map(|timeout| self.started + timeout),
        }
    }

    fn stop_if(&mut self, wish: Wish) {
        let over = self.stopped.is_none() && self.patience.timeout.is_some_and(|limit| self.started.elapsed() >= limit);
        let wish = if over && wish == Wish::Nothing { Wish::Stop } else { wish };
        let reason = match wish {
            Wish::Halt | Wish::HaltNow => Stop::OverLimit,
            _ if over => Stop::TimedOut,
            _ => Stop::Cancelled,
        };
        match wish {
            Wish::Nothing => {}
            Wish::Stop | Wish::Halt if self.stopped.is_some() => {}
            Wish::Stop | Wish::Halt => {
                self.stopped = Some(reason);
                self.kill_at = Some(Instant::now() + self.patience.grace);
                tree::signal_all(Signal::TERM);
            }
            Wish::Kill | Wish::HaltNow => {
                self.stopped.get_or_insert(reason);
                self.kill_at = Some(Instant::now());
            }
        }
    }
}

/// Sleep until something happens: output, the end of a child, a signal to us, a door, a deadline.
fn wait(run: &Running, signals: &Signals, output: &File, watcher: &mut dyn Watcher) -> Wish {
    {
        let doors = watcher.doors();
        let fixed = [output.as_fd(), signals.children.as_fd(), signals.asked.as_fd()];
        let mut list: Vec<PollFd<'_>> =
            fixed.iter().chain(&doors).map(|door| PollFd::from_borrowed_fd(*door, PollFlags::IN)).collect();
        let left = run.next_deadline().map(|at| at.saturating_duration_since(Instant::now()));
        let left = left.into_iter().chain(watcher.look_in()).min();
        let left = left.map(|left| Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() });
        // Interrupted is as good as woken.
        let _ = poll(&mut list, left.as_ref());
        // When all writers are gone the pipe is readable for ever: the end of the main process is what counts then.
        let only_hangup = list[0].revents() == PollFlags::HUP && list[1..].iter().all(|door| door.revents().is_empty());
        if only_hangup {
            let _ = poll(&mut list[1..], left.as_ref());
        }
    }
    Signals::drain(&signals.children);
    let wish = watcher.attend();
    if Signals::drain(&signals.asked) && wish == Wish::Nothing { Wish::Stop } else { wish }
}

/// Take what is there. One that writes faster than we read must not keep us from its deadline.
fn drain_output(output: &mut File, watcher: &mut dyn Watcher) {
    const AT_ONCE: usize = 64;
    let mut buffer = [0; 64 << 10];
    for _ in 0..AT_ONCE {
        match output.read(&mut buffer) {
            Ok(count @ 1..) => watcher.output(&buffer[..count]),
            _ => return,
        }
    }
}

/// Kill until there is no child left. Returns how many it met after the main process had ended.
fn empty_tree(run: &mut Running, signals: &Signals, output: &mut File, watcher: &mut dyn Watcher) -> u64 {
    let mut met = 0;
    let main_had_ended = run.ended.is_some();
    loop {
        match tree::reap() {
            Children::Some(reaped) => run.note(&reaped),
            Children::None(reaped) => {
                run.note(&reaped);
                break;
            }
        }
        met = met.max(tree::signal_all(Signal::KILL) as u64);
        drain_output(output, watcher);
        let mut list = [PollFd::new(&signals.children, PollFlags::IN)];
        let moment = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
        let _ = poll(&mut list, Some(&moment));
        Signals::drain(&signals.children);
    }
    if main_had_ended { met } else { 0 }
}

/// If the supervisor is killed, the command does not go on alone.
#[expect(unsafe_code, reason = "between fork and exec there is no safe door")]
fn die_with_us(command: &mut Command) {
    #[cfg(target_os = "linux")]
    {
        let parent = std::process::id();
        // SAFETY: only system calls, no allocation and no lock, as is demanded between fork and exec.
        unsafe {
            command.pre_exec(move || {
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
                let orphaned = rustix::process::getppid().is_none_or(|now| now.as_raw_pid() as u32 != parent);
                if orphaned { Err(io::Error::from(io::ErrorKind::BrokenPipe)) } else { Ok(()) }
            });
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = command;
}

/// When memory runs out, the task goes before its supervisor and before whatever the user works with.
fn prefer_for_memory_kill(main: Pid) {
    #[cfg(target_os = "linux")]
    {
        use std::io::Write;
        let path = format!("/proc/{}/oom_score_adj", main.as_raw_nonzero());
        let _ = File::options().write(true).open(path).and_then(|mut file| file.write_all(b"500"));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = main;
}
