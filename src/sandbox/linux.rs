//! A process in namespaces of its own: made ready, started, and waited for. Without namespaces: what is done between fork and exec.
//!
//! Two processes come of one start in the full tier. The *first* process of the new namespaces is our child: it makes the mounts,
//! starts the task, and reaps; when it ends, the kernel ends all others ([`first`](super::first)). The *task* is its child. Each dies
//! with the one before it. How the task ended is told on a pipe, as the first process of a namespace cannot end by any signal.
//!
//! Everything that needs memory is made ready before the fork; what is done after it are system calls only.

use std::ffi::{CString, c_int};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;

use libc::sock_filter;

use super::first::{ENDED, RUNS, Start, Told};
use super::mounts::{Failure, Mounts, word};
use super::plan::Plan;
use super::program::Program;
use super::system::{Step, drop_capabilities, hand_out_door, loopback, mount_processes, ok, read_whole, write_to};
use super::{Group, Streams, filter, landlock, proxy};
use crate::core::sandbox::{Network, Tier};

/// All that the child needs, made ready.
#[derive(Debug)]
pub(super) struct Inner {
    shared: Arc<Ready>,
    /// Where the child says which step failed.
    words: OwnedFd,
    /// Where the door of its proxy comes out.
    door: Option<UnixStream>,
}

#[derive(Debug)]
pub(super) struct Ready {
    tier: Tier,
    mounts: Mounts,
    work: CString,
    has_network: bool,
    own_group: bool,
    user_map: CString,
    group_map: CString,
    is_root: bool,
    rules: Option<OwnedFd>,
    filter: Vec<sock_filter>,
    words: OwnedFd,
    door: Option<UnixStream>,
    /// The processes that it may have with the one around it, and the highest number that one may get.
    processes: Option<(u64, CString)>,
}

const FIRST_OF_OTHERS: c_int = 3;
/// The process around a task.
const AROUND: u64 = 1;
/// Numbers of processes below this are not used again once the highest was given.
const NOT_AGAIN: u64 = 300;

impl Inner {
    pub(super) fn new(tier: Tier, plan: &Plan, group: Group) -> Result<Self, Failure> {
        let cannot = |step| move |error: io::Error| (step, error);
        let is_full = tier == Tier::Full;
        let rules = match tier {
            Tier::Full => match &plan.run {
                None => landlock::scopes(),
                Some(run) => Some(landlock::runs(run).map_err(cannot("limit what it runs (Landlock)"))?),
            },
            _ => Some(
                landlock::writes(&writable(plan), plan.run.as_deref())
                    .map_err(cannot("use rules of the kernel (Landlock)"))?,
            ),
        };
        let (words, words_in) = io::pipe().map_err(cannot("make a pipe"))?;
        rustix::io::ioctl_fionbio(&words, true).map_err(|error| ("make a pipe", error.into()))?;
        let (user, group_id) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let map = |id: u32| CString::new(format!("{id} {id} 1\n")).unwrap_or_default();
        let way = plan.network.list().map(|_| UnixStream::pair()).transpose().map_err(cannot("make a socket"))?;
        let (door, door_in) = way.unzip();
        let internet = is_full || plan.network == Network::Allow;
        let ready = Ready {
            tier,
            mounts: if is_full { Mounts::of(plan)? } else { Mounts::none() },
            work: word(&plan.work)?,
            has_network: plan.network == Network::Allow,
            own_group: group == Group::Own,
            user_map: map(user),
            group_map: map(group_id),
            is_root: user == 0,
            rules,
            filter: filter::program(internet),
            words: words_in.into(),
            door: door_in,
            processes: plan.processes.map(|most| (most + AROUND, highest(most))),
        };
        Ok(Self { shared: Arc::new(ready), words: words.into(), door })
    }

    pub(super) fn door(&self) -> Option<io::Result<UnixStream>> {
        self.door.as_ref().map(UnixStream::try_clone)
    }

    /// Without namespaces: have it done between the fork and the exec of the standard library.
    pub(super) fn confine(&self, command: &mut Command) {
        let ready = Arc::clone(&self.shared);
        // SAFETY: `lock` makes system calls only: no allocation, no lock.
        unsafe {
            command.pre_exec(move || {
                ready.lock().map_err(|step| {
                    let error = io::Error::last_os_error();
                    ready.tell(step, error.raw_os_error().unwrap_or(0));
                    error
                })
            });
        }
    }

    /// In namespaces: start it. Its environment is what the command names.
    pub(super) fn start(&self, command: &Command, streams: Streams, group: Option<OwnedFd>) -> io::Result<First> {
        self.shared.start(command, streams, group)
    }

    /// Which step failed, and why.
    pub(super) fn failure(&self) -> Option<(String, io::Error)> {
        let mut bytes = [0; 256];
        let count = File::from(self.words.try_clone().ok()?).read(&mut bytes).ok().filter(|count| *count > 4)?;
        let (number, words) = bytes[..count].split_at(4);
        let number = i32::from_ne_bytes(number.try_into().ok()?);
        Some((String::from_utf8_lossy(words).into_owned(), io::Error::from_raw_os_error(number)))
    }
}

/// The first process of a sandbox, from outside.
#[derive(Debug)]
pub(super) struct First {
    pid: libc::pid_t,
    /// Where it says how the task ended.
    pipe: OwnedFd,
    told: Option<Told>,
}

impl First {
    pub(super) fn id(&self) -> u32 {
        self.pid as u32
    }

    /// Wait for its end: how did the task end?
    pub(super) fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = wait(self.pid)?;
        Ok(self.ended().unwrap_or(ExitStatus::from_raw(status)))
    }

    /// After its end: how the task ended. None where it was killed itself, and everything with it.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.hear().map(|told| ExitStatus::from_raw(told.number))
    }

    /// After its end: how many processes the task left.
    pub(super) fn left(&mut self) -> u64 {
        self.hear().map_or(0, |told| told.left)
    }

    fn hear(&mut self) -> Option<Told> {
        self.told = self.told.or_else(|| hear(&self.pipe).filter(|told| told.what == ENDED));
        self.told
    }
}

fn wait(pid: libc::pid_t) -> io::Result<c_int> {
    let mut status = 0;
    loop {
        // SAFETY: room for a number.
        if unsafe { libc::waitpid(pid, &raw mut status, 0) } == pid {
            return Ok(status);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn hear(pipe: &OwnedFd) -> Option<Told> {
    let mut told = Told::default();
    read_whole(pipe.as_raw_fd(), (&raw mut told).cast(), size_of::<Told>()).then_some(told)
}

/// The same, none of them in the place of another one.
fn beside_ours(streams: Streams) -> io::Result<Streams> {
    let [input, output, error] = streams.map(|stream| match stream {
        Some(fd) if fd.as_raw_fd() < FIRST_OF_OTHERS => fd.try_clone().map(Some),
        other => Ok(other),
    });
    Ok([input?, output?, error?])
}

/// For a tier without mounts: what any program expects to write beside what it was given.
fn writable(plan: &Plan) -> Vec<PathBuf> {
    let devices = ["null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm"];
    plan.write.iter().cloned().chain(devices.iter().map(|name| Path::new("/dev").join(name))).collect()
}

impl Ready {
    pub(super) fn tell(&self, step: Step, number: i32) {
        let mut bytes = [0_u8; 256];
        let words = step.to_bytes();
        let length = words.len().min(bytes.len() - 4);
        bytes[..4].copy_from_slice(&number.to_ne_bytes());
        bytes[4..4 + length].copy_from_slice(&words[..length]);
        // SAFETY: the buffer is as long as is said.
        unsafe { libc::write(self.words.as_raw_fd(), bytes.as_ptr().cast(), 4 + length) };
    }

    /// Fork, and wait until the program runs, or it is known why it does not.
    fn start(&self, command: &Command, streams: Streams, group: Option<OwnedFd>) -> io::Result<First> {
        let streams = beside_ours(streams)?;
        let (pipe, pipe_in) = io::pipe()?;
        let (pipe, pipe_in) = (OwnedFd::from(pipe), OwnedFd::from(pipe_in));
        let mut start = Start {
            ready: self,
            program: Program::of(command)?,
            streams: streams.each_ref().map(|stream| stream.as_ref().map_or(-1, AsRawFd::as_raw_fd)),
            group: group.as_ref().map_or(-1, AsRawFd::as_raw_fd),
            pipe: [pipe.as_raw_fd(), pipe_in.as_raw_fd()],
            trees: self.mounts.room(),
            failed: 0,
        };
        let pid = self.fork(&mut start)?;
        drop((pipe_in, streams, group));
        let told = hear(&pipe);
        if told.is_some_and(|told| told.what == RUNS) {
            rustix::io::ioctl_fionbio(&pipe, true)?;
            return Ok(First { pid, pipe, told: None });
        }
        wait(pid)?;
        Err(told.map_or_else(|| io::ErrorKind::BrokenPipe.into(), |told| io::Error::from_raw_os_error(told.number)))
    }

    /// The first process of new namespaces.
    fn fork(&self, start: &mut Start<'_>) -> io::Result<libc::pid_t> {
        let network = if self.has_network { 0 } else { libc::CLONE_NEWNET };
        let flags = libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWPID | network;
        // SAFETY: masks that outlive the calls; the new process has a copy of all that is ours, and never comes back. No signal reaches
        // it before its handlers are gone: they would speak for us.
        unsafe {
            let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
            let nothing = 0_usize;
            let pid = libc::syscall(libc::SYS_clone, flags | libc::SIGCHLD, nothing, nothing, nothing, nothing);
            if pid == 0 {
                start.first();
            }
            let failed = io::Error::last_os_error();
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
            if pid > 0 {
                return Ok(pid as libc::pid_t);
            }
            self.tell(c"make namespaces for it", failed.raw_os_error().unwrap_or(0));
            Err(failed)
        }
    }

    /// The descriptors that a task needs until its program runs.
    pub(super) fn needed(&self) -> [RawFd; 2] {
        [self.rules.as_ref().map_or(RawFd::MAX, AsRawFd::as_raw_fd), self.words.as_raw_fd()]
    }

    /// All that is around the task, in the first process.
    pub(super) fn settle(&self, trees: &mut [RawFd]) -> Result<(), Step> {
        write_to(c"/proc/self/oom_score_adj", b"500");
        write_to(c"/proc/self/setgroups", b"deny");
        let maps = write_to(c"/proc/self/uid_map", self.user_map.to_bytes())
            && write_to(c"/proc/self/gid_map", self.group_map.to_bytes());
        ok(if maps { 0 } else { -1 }, c"keep its user in its namespace")?;
        self.mounts.make(trees)?;
        if !self.has_network {
            loopback();
        }
        if let Some(way) = &self.door {
            hand_out_door(proxy::PORT, way.as_raw_fd())?;
        }
        mount_processes(self.is_root, self.processes.as_ref().map(|(_, highest)| highest.as_c_str()))?;
        // SAFETY: a path that lives as long as we do.
        ok(unsafe { libc::chdir(self.work.as_ptr()) }, c"go to its directory")
    }

    /// What is of the task alone, and not of the first process, from which it has no capabilities.
    fn lock_in_namespaces(&self) -> Result<(), Step> {
        if self.own_group {
            // SAFETY: numbers only.
            unsafe { libc::setpgid(0, 0) };
        }
        if let Some((most, _)) = &self.processes {
            let limit = libc::rlimit { rlim_cur: *most, rlim_max: *most };
            // SAFETY: a struct that outlives the call. In a namespace of its own only its own are counted.
            ok(unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit) }, c"limit its processes")?;
        }
        Ok(())
    }

    /// What is taken from the task itself.
    pub(super) fn lock(&self) -> Result<(), Step> {
        if self.tier == Tier::Full {
            self.lock_in_namespaces()?;
        } else {
            drop_capabilities();
        }
        // SAFETY: numbers only.
        ok(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, c"keep it from new privileges")?;
        if let Some(rules) = &self.rules {
            landlock::enforce(rules)?;
        }
        // What is inherited leads past every wall.
        // SAFETY: numbers only.
        let closed = unsafe {
            libc::syscall(libc::SYS_close_range, FIRST_OF_OTHERS, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC)
        };
        ok(closed as c_int, c"close what it would inherit")?;
        let program = libc::sock_fprog { len: self.filter.len() as u16, filter: self.filter.as_ptr().cast_mut() };
        // SAFETY: the program outlives the call, which only reads it.
        let held = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
        ok(held, c"filter its system calls (seccomp)")
    }
}

/// The highest number of a process that leaves room for so many.
fn highest(most: u64) -> CString {
    CString::new((most + AROUND + NOT_AGAIN).to_string()).unwrap_or_default()
}
