//! The first process of a sandbox, from its fork to its end. The task is its child; when it ends, the kernel ends all others.
//!
//! It is a copy of whoever started it, with one thread of its own, and makes system calls only: no allocation, no lock.

use std::ffi::{c_int, c_long, c_void};
use std::mem::MaybeUninit;
use std::os::fd::RawFd;

use super::linux::Ready;
use super::program::Program;
use super::system::{Step, close_others, drop_capabilities, errno, ok, write_whole};

/// What the first process tells, on one pipe: whether it has started, and later how it ended.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) what: u32,
    /// The number of the error, or what `wait` says of the task.
    pub(super) number: c_int,
    /// How many processes it left.
    pub(super) left: u64,
}

/// The program runs.
pub(super) const RUNS: u32 = 1;
/// It does not: nothing of it has run.
pub(super) const FAILED: u32 = 2;
/// It has ended.
pub(super) const ENDED: u32 = 3;

/// One start.
#[derive(Debug)]
pub(super) struct Start<'a> {
    pub(super) ready: &'a Ready,
    pub(super) program: Program,
    /// What become its standard streams; -1 for those that stay.
    pub(super) streams: [RawFd; 3],
    /// Where a control group is entered; -1 for none.
    pub(super) group: RawFd,
    /// Both ends of the pipe on which it is told.
    pub(super) pipe: [RawFd; 2],
    /// Room for descriptors of mounts.
    pub(super) trees: Vec<RawFd>,
    /// Why the program does not run.
    pub(super) failed: c_int,
}

/// What a task needs of a stack until its program runs, aligned as every processor wants it.
#[repr(align(16))]
struct Stack {
    _room: [u8; 16 << 10],
}

/// Signals whose handlers are of the program that we are a copy of.
const SIGNALS: c_int = 31;

impl Start<'_> {
    /// In the new process.
    pub(super) fn first(&mut self) -> ! {
        // SAFETY: numbers only.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        default_signals();
        if !self.is_entered() || !self.has_streams() {
            self.fail(errno());
        }
        let task = self.settle().unwrap_or_else(|step| {
            let number = errno();
            self.ready.tell(step, number);
            self.fail(number)
        });
        if self.failed != 0 {
            self.fail(self.failed);
        }
        self.say(Told { what: RUNS, number: 0, left: 0 });
        close_others(&[self.pipe[1]]);
        self.reap(task)
    }

    fn fail(&self, number: c_int) -> ! {
        self.say(Told { what: FAILED, number, left: 0 });
        // SAFETY: a number.
        unsafe { libc::_exit(1) }
    }

    fn is_entered(&self) -> bool {
        // SAFETY: one byte that lives as long as the program.
        self.group < 0 || unsafe { libc::write(self.group, c"0".as_ptr().cast(), 1) } == 1
    }

    fn has_streams(&self) -> bool {
        let given = (0..).zip(self.streams).filter(|(_, from)| *from >= 0);
        // SAFETY: numbers only.
        given.fold(true, |all, (to, from)| all && unsafe { libc::dup2(from, to) } == to)
    }

    /// All that is done before the program runs, and its start.
    fn settle(&mut self) -> Result<libc::pid_t, Step> {
        self.ready.settle(&mut self.trees)?;
        // Nobody may look into it, whatever their user: what it tells of the task's end is its own. The task gets memory
        // of its own with its program.
        // SAFETY: numbers only.
        unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) };
        drop_capabilities();
        let [rules, words] = self.ready.needed();
        close_others(&[self.pipe[1], rules, words]);
        // The other end is with whoever started us. Should they be gone before we could be told to end with them, nobody listens.
        let mut watch = libc::pollfd { fd: self.pipe[1], events: 0, revents: 0 };
        // SAFETY: one struct that outlives the call.
        ok(if unsafe { libc::poll(&raw mut watch, 1, 0) } > 0 { -1 } else { 0 }, c"tell how it ends")?;
        self.start()
    }

    /// The task, in our memory until its program runs: a copy would cost more, and be thrown away. We wait until then.
    fn start(&mut self) -> Result<libc::pid_t, Step> {
        let mut stack = MaybeUninit::<Stack>::uninit();
        let top = stack.as_mut_ptr().wrapping_add(1);
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        // SAFETY: the stack is large enough for what `task` does, and used by nobody else; we stand still until the child has left our
        // memory, and it changes nothing in there but `failed` and a place in a list.
        let task = unsafe { libc::clone(task, top.cast(), flags, std::ptr::from_mut(self).cast()) };
        if task < 0 { Err(c"start it") } else { Ok(task) }
    }

    /// Reap until the task has ended; then tell how, and what it left.
    fn reap(&self, task: libc::pid_t) -> ! {
        loop {
            let mut ended = 0;
            // SAFETY: room for a number.
            let child = unsafe { libc::waitpid(-1, &raw mut ended, 0) };
            if child == task {
                self.say(Told { what: ENDED, number: ended, left: others() });
                // Who reads no more of it may know of a signal by this.
                let code =
                    if libc::WIFSIGNALED(ended) { 128 + libc::WTERMSIG(ended) } else { libc::WEXITSTATUS(ended) };
                // SAFETY: a number.
                unsafe { libc::_exit(code) }
            }
            if child < 0 && errno() == libc::ECHILD {
                // SAFETY: a number.
                unsafe { libc::_exit(1) }
            }
        }
    }

    fn say(&self, told: Told) {
        write_whole(self.pipe[1], (&raw const told).cast(), size_of::<Told>());
    }
}

/// In the task, on a stack of its own.
extern "C" fn task(start: *mut c_void) -> c_int {
    // SAFETY: it is what `start` gave, who stands still for as long as we use it.
    let start = unsafe { &mut *start.cast::<Start<'_>>() };
    if let Err(step) = start.ready.lock() {
        start.failed = errno();
        start.ready.tell(step, start.failed);
        // SAFETY: a number.
        unsafe { libc::_exit(1) }
    }
    // SAFETY: a mask of the right size, that outlives the call. What is held back until now reaches the program.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
    start.failed = start.program.run();
    // SAFETY: a number.
    unsafe { libc::_exit(1) }
}

/// No handler of the program that we are a copy of is ours. What it ignores is ignored by a task, too, but not the end of children.
fn default_signals() {
    // SAFETY: numbers, and structs that outlive the calls.
    unsafe {
        for signal in 1..=SIGNALS {
            let mut now: libc::sigaction = std::mem::zeroed();
            let is_known = libc::sigaction(signal, std::ptr::null(), &raw mut now) == 0;
            let is_ignored = now.sa_sigaction == libc::SIG_IGN && signal != libc::SIGCHLD;
            if is_known && now.sa_sigaction != libc::SIG_DFL && !is_ignored {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
    }
}

/// The processes of the namespace that still run, beside ourselves.
fn others() -> u64 {
    loop {
        // SAFETY: numbers only. What has ended and was ours is taken leave of first.
        match unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } {
            1.. => {}
            // They run still. An error number would be that of an earlier call.
            0 => return listed(),
            // Whatever runs in here comes of us: where we have no child, there is nothing.
            _ if errno() == libc::ECHILD => return 0,
            _ => return listed(),
        }
    }
}

/// The same from `/proc`, without memory but this buffer.
fn listed() -> u64 {
    /// As the kernel writes an entry: number, offset, its length, its kind, and its name.
    const LENGTH: usize = 16;
    const NAME: usize = 19;
    let mut room = [0_u64; 512];
    let mut count = 0;
    // SAFETY: a path; the buffer is as long as is said, and the kernel fills it with whole entries.
    unsafe {
        let dir = libc::open(c"/proc".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC);
        loop {
            let bytes = std::slice::from_raw_parts_mut(room.as_mut_ptr().cast::<u8>(), size_of_val(&room));
            let filled: c_long = libc::syscall(libc::SYS_getdents64, dir, bytes.as_mut_ptr(), bytes.len());
            let Ok(filled @ 1..) = usize::try_from(filled) else { return count };
            let mut at = 0;
            while at + NAME < filled {
                let length = usize::from(u16::from_ne_bytes([bytes[at + LENGTH], bytes[at + LENGTH + 1]]));
                let name = bytes[at + NAME..at + length.max(NAME)].split(|byte| *byte == 0).next().unwrap_or_default();
                if !name.is_empty() && name.iter().all(u8::is_ascii_digit) && name != b"1" {
                    count += 1;
                }
                at += length.max(NAME);
            }
        }
    }
}
