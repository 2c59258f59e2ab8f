//! Between fork and exec: namespaces, mounts, a first process that reaps, no capabilities, rules of the kernel.
//!
//! Three processes come of one start. The *stage* is our child: it leaves all namespaces but that of processes, makes the
//! mounts, and then only waits, so that it ends as the task ended. The *init* is the first process of the new namespace
//! of processes: when it ends, the kernel ends all others. The *task* is its child. Each dies with the one before it.
//!
//! Everything that needs memory is made ready in [`Inner::new`]; what is done in the child are system calls only.

use std::ffi::{CStr, CString, c_int};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use libc::sock_filter;

use super::first::{init, stage};
use super::plan::{Access, Mount, Plan};
use super::system::{
    EMPTY_PATH, RECURSIVE, Step, close_others, copy, drop_capabilities, errno, hand_out_door, loopback, mount,
    mount_processes, move_to, ok, open_tree, set, write_to,
};
use super::{Group, filter, landlock, proxy};
use crate::core::sandbox::{Network, Tier};

/// All that the child needs, made ready.
#[derive(Debug)]
pub(super) struct Inner {
    shared: std::sync::Arc<Ready>,
    /// Where the child says which step failed.
    words: OwnedFd,
    /// Where the init says how many were left.
    left: OwnedFd,
    /// Where the door of its proxy comes out.
    door: Option<UnixStream>,
}

#[derive(Debug)]
struct Ready {
    tier: Tier,
    mounts: Vec<Made>,
    work: CString,
    has_network: bool,
    own_group: bool,
    user_map: CString,
    group_map: CString,
    is_root: bool,
    rules: Option<OwnedFd>,
    filter: Vec<sock_filter>,
    words: OwnedFd,
    left: OwnedFd,
    door: Option<UnixStream>,
    /// Options of what is in memory.
    memory: CString,
    /// The processes that it may have with those two around it, and the highest number that one may get.
    processes: Option<(u64, CString)>,
}

/// A mount with its words as the kernel wants them.
#[derive(Debug)]
struct Made {
    /// Directories above it that may be missing.
    above: Vec<CString>,
    at: CString,
    what: What,
}

#[derive(Debug)]
enum What {
    Again {
        from: CString,
        access: Access,
        is_directory: bool,
    },
    /// The options of the mount.
    Copy {
        options: CString,
    },
    /// `from`: its place in the memory that all of them share.
    Empty {
        from: CString,
    },
    Memory {
        from: CString,
    },
    Nothing,
    Terminals,
    Link {
        to: CString,
    },
}

/// More mounts than these are refused: their descriptors are kept in an array.
const MOST: usize = 4096;

const FIRST_OF_OTHERS: c_int = 3;
/// The two processes around a task.
const AROUND: u64 = 2;
/// Numbers of processes below this are not used again once the highest was given.
const NOT_AGAIN: u64 = 300;

impl Inner {
    pub(super) fn new(tier: Tier, plan: &Plan, group: Group) -> Result<Self, (&'static str, io::Error)> {
        let cannot = |step| move |error: io::Error| (step, error);
        let word =
            |path: &Path| CString::new(path.as_os_str().as_bytes()).map_err(|error| ("name a path", error.into()));
        let is_full = tier == Tier::Full;
        let mut mounts = Vec::new();
        for (number, mount) in plan.mounts.iter().enumerate().filter(|_| is_full) {
            mounts.push(Made {
                above: above(mount.at(), &plan.mounts, &word)?,
                at: word(mount.at())?,
                what: what(mount, number, &word)?,
            });
        }
        if mounts.len() > MOST {
            return Err(("mount so many places", io::ErrorKind::InvalidInput.into()));
        }
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
        let (left, left_in) = io::pipe().map_err(cannot("make a pipe"))?;
        rustix::io::ioctl_fionbio(&left, true).map_err(|error| ("make a pipe", error.into()))?;
        rustix::io::ioctl_fionbio(&words, true).map_err(|error| ("make a pipe", error.into()))?;
        let (user, group_id) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let map = |id: u32| CString::new(format!("{id} {id} 1\n")).unwrap_or_default();
        let way = plan.network.list().map(|_| UnixStream::pair()).transpose().map_err(cannot("make a socket"))?;
        let (door, door_in) = way.unzip();
        let internet = is_full || plan.network == Network::Allow;
        let ready = Ready {
            tier,
            mounts,
            work: word(&plan.work)?,
            has_network: plan.network == Network::Allow,
            own_group: group == Group::Own,
            user_map: map(user),
            group_map: map(group_id),
            is_root: user == 0,
            rules,
            filter: filter::program(internet),
            words: words_in.into(),
            left: left_in.into(),
            door: door_in,
            memory: memory(plan.memory),
            processes: plan.processes.map(|most| (most + AROUND, highest(most))),
        };
        Ok(Self { shared: std::sync::Arc::new(ready), words: words.into(), left: left.into(), door })
    }

    pub(super) fn door(&self) -> Option<io::Result<UnixStream>> {
        self.door.as_ref().map(UnixStream::try_clone)
    }

    pub(super) fn confine(&self, command: &mut Command) {
        let ready = std::sync::Arc::clone(&self.shared);
        // SAFETY: `enter` makes system calls only: no allocation, no lock.
        unsafe {
            command.pre_exec(move || {
                let entered = match ready.tier {
                    Tier::Full => ready.enter(),
                    _ => ready.reduce(),
                };
                entered.map_err(|step| {
                    let error = io::Error::last_os_error();
                    ready.tell(step, error.raw_os_error().unwrap_or(0));
                    error
                })
            });
        }
    }

    /// Which step failed, and why.
    pub(super) fn failure(&self) -> Option<(String, io::Error)> {
        let mut bytes = [0; 256];
        let count = File::from(self.words.try_clone().ok()?).read(&mut bytes).ok().filter(|count| *count > 4)?;
        let (number, words) = bytes[..count].split_at(4);
        let number = i32::from_ne_bytes(number.try_into().ok()?);
        Some((String::from_utf8_lossy(words).into_owned(), io::Error::from_raw_os_error(number)))
    }

    pub(super) fn left(&self) -> u64 {
        let mut bytes = [0; 8];
        let Ok(pipe) = self.left.try_clone() else { return 0 };
        File::from(pipe).read_exact(&mut bytes).map_or(0, |()| u64::from_ne_bytes(bytes))
    }
}

/// For a tier without mounts: what any program expects to write beside what it was given.
fn writable(plan: &Plan) -> Vec<PathBuf> {
    let devices = ["null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm"];
    plan.write.iter().cloned().chain(devices.iter().map(|name| Path::new("/dev").join(name))).collect()
}

type Failure = (&'static str, io::Error);

/// The directories between a mount and the one that it lies in: that one may be empty.
fn above(at: &Path, all: &[Mount], word: &dyn Fn(&Path) -> Result<CString, Failure>) -> Result<Vec<CString>, Failure> {
    let holders = all.iter().map(Mount::at).filter(|other| *other != at && at.starts_with(other));
    let Some(holder) = holders.max_by_key(|other| other.components().count()) else { return Ok(Vec::new()) };
    let mut above: Vec<&Path> = at.ancestors().skip(1).take_while(|path| *path != holder).collect();
    above.reverse();
    above.into_iter().map(word).collect()
}

fn what(mount: &Mount, number: usize, word: &dyn Fn(&Path) -> Result<CString, Failure>) -> Result<What, Failure> {
    Ok(match mount {
        Mount::Again { from, access, .. } => {
            What::Again { from: word(from)?, access: *access, is_directory: from.is_dir() }
        }
        Mount::Copy(at) => What::Copy { options: copy_options(at)? },
        Mount::Empty(_) => What::Empty { from: word(&Path::new(SCRATCH).join(number.to_string()))? },
        Mount::Memory(_) => What::Memory { from: word(&Path::new(SCRATCH).join(number.to_string()))? },
        Mount::Nothing(_) => What::Nothing,
        Mount::Terminals(_) => What::Terminals,
        Mount::Link { to, .. } => What::Link { to: word(to)? },
    })
}

impl Ready {
    fn tell(&self, step: Step, number: i32) {
        let mut bytes = [0_u8; 256];
        let words = step.to_bytes();
        let length = words.len().min(bytes.len() - 4);
        bytes[..4].copy_from_slice(&number.to_ne_bytes());
        bytes[4..4 + length].copy_from_slice(&words[..length]);
        // SAFETY: the buffer is as long as is said.
        unsafe { libc::write(self.words.as_raw_fd(), bytes.as_ptr().cast(), 4 + length) };
    }

    /// Without namespaces: rules of the kernel, a filter, nothing inherited.
    fn reduce(&self) -> Result<(), Step> {
        self.lock()
    }

    /// All of it. Returns in the task only; the stage and the init never come back.
    fn enter(&self) -> Result<(), Step> {
        write_to(c"/proc/self/oom_score_adj", b"500");
        let network = if self.has_network { 0 } else { libc::CLONE_NEWNET };
        let flags = libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWPID | network;
        // SAFETY: a number.
        ok(unsafe { libc::unshare(flags) }, c"make namespaces for it")?;
        write_to(c"/proc/self/setgroups", b"deny");
        let maps = write_to(c"/proc/self/uid_map", self.user_map.to_bytes())
            && write_to(c"/proc/self/gid_map", self.group_map.to_bytes());
        ok(if maps { 0 } else { -1 }, c"keep its user in its namespace")?;
        self.mount_all()?;
        if !self.has_network {
            loopback();
        }
        if let Some(way) = &self.door {
            hand_out_door(proxy::PORT, way.as_raw_fd())?;
        }
        // SAFETY: a path that lives as long as we do.
        ok(unsafe { libc::chdir(self.work.as_ptr()) }, c"go to its directory")?;
        let mut pipe = [0; 2];
        // SAFETY: room for two numbers.
        ok(unsafe { libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC) }, c"make a pipe")?;
        // SAFETY: no other thread is needed by what follows: system calls only.
        match unsafe { libc::fork() } {
            -1 => Err(c"start the first process of its namespace"),
            0 => self.be_init(pipe[1]),
            init => stage(init, pipe[0]),
        }
    }

    fn mount_all(&self) -> Result<(), Step> {
        let mut trees: [RawFd; MOST] = [-1; MOST];
        for (mount, tree) in self.mounts.iter().zip(&mut trees) {
            let (from, deep) = match &mount.what {
                What::Again { from, .. } => (from.as_c_str(), RECURSIVE),
                What::Copy { .. } => (mount.at.as_c_str(), RECURSIVE),
                What::Nothing => (c"/dev/null", 0),
                _ => continue,
            };
            *tree = open_tree(from, deep)?;
        }
        let read = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
        set(libc::AT_FDCWD, c"/", RECURSIVE, read).map_err(|()| c"make the system read-only")?;
        // One memory for all that is empty or lies in it: each of its own would cost more than all the rest. What is put in
        // its place later hides it.
        mount(c"tmpfs", SCRATCH_AT, libc::MS_NOSUID | libc::MS_NODEV, &self.memory, c"mount an empty directory")?;
        for (mount, tree) in self.mounts.iter().zip(&mut trees) {
            let (from, mode) = match &mount.what {
                What::Empty { from } => (from, 0o755),
                What::Memory { from } => (from, 0o1777),
                _ => continue,
            };
            // SAFETY: a path and a number; the second for what a mask took away.
            let made = unsafe { libc::mkdir(from.as_ptr(), mode) | libc::chmod(from.as_ptr(), mode) };
            ok(made, c"make an empty directory")?;
            *tree = open_tree(from, 0)?;
        }
        for (mount, tree) in self.mounts.iter().zip(&trees) {
            for dir in &mount.above {
                // SAFETY: a path; that it is there already is no failure.
                unsafe { libc::mkdir(dir.as_ptr(), 0o755) };
            }
            mount.make(*tree)?;
            if *tree >= 0 {
                // SAFETY: our own descriptor.
                unsafe { libc::close(*tree) };
            }
        }
        for mount in self.mounts.iter().filter(|mount| matches!(mount.what, What::Empty { .. })) {
            set(libc::AT_FDCWD, &mount.at, 0, read).map_err(|()| c"close an empty directory")?;
        }
        Ok(())
    }

    /// The first process of the namespace: the task comes of it, and it takes leave of all that end.
    fn be_init(&self, status: RawFd) -> Result<(), Step> {
        // SAFETY: numbers only.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        mount_processes(self.is_root, self.processes.as_ref().map(|(_, highest)| highest.as_c_str()))?;
        // SAFETY: as in `enter`.
        match unsafe { libc::fork() } {
            -1 => Err(c"start it"),
            0 => {
                if self.own_group {
                    // SAFETY: numbers only.
                    unsafe { libc::setpgid(0, 0) };
                }
                if let Some((most, _)) = &self.processes {
                    let limit = libc::rlimit { rlim_cur: *most, rlim_max: *most };
                    // SAFETY: a struct that outlives the call. In a namespace of its own only its own are counted.
                    ok(unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit) }, c"limit its processes")?;
                }
                self.lock()
            }
            task => {
                // Nobody may look into it, whatever their user: what it tells of the task's end is its own.
                // SAFETY: numbers only.
                unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) };
                drop_capabilities();
                close_others(&[status, self.left.as_raw_fd()]);
                init(task, status, self.left.as_raw_fd())
            }
        }
    }

    /// What is taken from the task itself.
    fn lock(&self) -> Result<(), Step> {
        drop_capabilities();
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

/// Is there a directory on the way that may not be entered? Asked with all the capabilities that the task will not have.
fn is_out_of_reach(at: &CStr) -> bool {
    // SAFETY: zeros are a value of it; a path, and room for what is told.
    let mut told: libc::stat = unsafe { std::mem::zeroed() };
    unsafe { libc::lstat(at.as_ptr(), &raw mut told) == -1 && errno() == libc::EACCES }
}

impl Made {
    fn make(&self, tree: RawFd) -> Result<(), Step> {
        let at = self.at.as_ptr();
        match &self.what {
            What::Again { access, is_directory, .. } => {
                self.place(*is_directory);
                let mut attributes = libc::MOUNT_ATTR_NOSUID;
                if *access != Access::Device {
                    attributes |= libc::MOUNT_ATTR_NODEV;
                }
                if *access == Access::Read {
                    attributes |= libc::MOUNT_ATTR_RDONLY;
                }
                set(tree, c"", RECURSIVE | EMPTY_PATH, attributes).map_err(|()| c"limit a mount")?;
                move_to(tree, &self.at)
            }
            What::Copy { options } => {
                self.place(true);
                let attributes = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_RDONLY;
                set(tree, c"", RECURSIVE | EMPTY_PATH, attributes).map_err(|()| c"limit a mount")?;
                move_to(tree, &self.at)?;
                copy(&self.at, options);
                Ok(())
            }
            What::Nothing => {
                let attributes = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_RDONLY;
                set(tree, c"", EMPTY_PATH, attributes).map_err(|()| c"limit a mount")?;
                match move_to(tree, &self.at) {
                    // A socket that was there when we looked, and is gone: there is nothing to hide.
                    Err(_) if errno() == libc::ENOENT => Ok(()),
                    // One in a directory of somebody else, which root of this namespace cannot enter, nor can the task.
                    Err(_) if errno() == libc::EACCES && is_out_of_reach(&self.at) => Ok(()),
                    done => done,
                }
            }
            What::Empty { .. } | What::Memory { .. } => {
                self.place(true);
                move_to(tree, &self.at)
            }
            What::Terminals => {
                self.place(true);
                let options = c"newinstance,ptmxmode=0666,mode=0620";
                mount(c"devpts", &self.at, libc::MS_NOSUID | libc::MS_NOEXEC, options, c"mount terminals of its own")
            }
            What::Link { to } => {
                // SAFETY: two paths; it may be there already.
                unsafe { libc::symlink(to.as_ptr(), at) };
                Ok(())
            }
        }
    }

    /// Something to mount on, where nothing is. Where it cannot be made, mounting says so.
    fn place(&self, is_directory: bool) {
        // SAFETY: paths that live as long as we do.
        unsafe {
            if is_directory {
                libc::mkdir(self.at.as_ptr(), 0o755);
            } else {
                let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY | libc::O_CLOEXEC | libc::O_NOFOLLOW;
                let file = libc::open(self.at.as_ptr(), flags, 0o644);
                if file >= 0 {
                    libc::close(file);
                }
            }
        }
    }
}

/// Options of the memory.
fn memory(size: Option<u64>) -> CString {
    let size = size.map_or_else(String::new, |size| format!(",size={size}"));
    CString::new(format!("mode=0755{size}")).unwrap_or_default()
}

/// The highest number of a process that leaves room for so many.
fn highest(most: u64) -> CString {
    CString::new((most + AROUND + NOT_AGAIN).to_string()).unwrap_or_default()
}

/// Where memory is mounted until its parts are in their places. What is there in the end is put over it.
const SCRATCH: &str = "/dev";
const SCRATCH_AT: &CStr = c"/dev";

/// A path among the options of a mount has no comma, colon or backslash of its own.
fn copy_options(at: &Path) -> Result<CString, Failure> {
    let mut lower = Vec::new();
    for byte in at.as_os_str().as_bytes() {
        if matches!(byte, b',' | b':' | b'\\') {
            lower.push(b'\\');
        }
        lower.push(*byte);
    }
    let rest = format!(",upperdir={SCRATCH}/u,workdir={SCRATCH}/w,userxattr");
    CString::new([b"lowerdir=", &lower[..], rest.as_bytes()].concat()).map_err(|error| ("name a path", error.into()))
}
