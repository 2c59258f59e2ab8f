//! The mounts of a plan: made ready before the fork, made after it by system calls only.

use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, CString, OsStr, c_long};
use std::io;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::overlay::{Overlay, escaped};
use super::plan::{Access, Mount, Plan};
use super::system::{EMPTY_PATH, RECURSIVE, Step, bind, copy, errno, mount, move_to, ok, open_tree, set};

/// More mounts than these are refused.
const MOST: usize = 4096;

/// Where memory is mounted until its parts are in their places. What is there in the end is put over it.
const SCRATCH: &str = "/dev";
const SCRATCH_AT: &CStr = c"/dev";
/// A directory in there in which there is nothing, and nothing can be put.
const NOTHING_AT: &CStr = c"/dev/nothing";
/// What can be read only.
const CLOSED: u64 = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;

/// What cannot be made ready: the step, and why.
pub(super) type Failure = (&'static str, io::Error);

/// A path as the kernel wants it.
pub(super) fn word(path: &Path) -> Result<CString, Failure> {
    CString::new(path.as_os_str().as_bytes()).map_err(|error| ("name a path", error.into()))
}

/// All mounts of a plan, in their order.
#[derive(Debug)]
pub(super) struct Mounts {
    all: Vec<Made>,
    /// Options of what is in memory.
    memory: CString,
    /// What is put over a directory first of all, before it is taken hold of: its options.
    overlay: Option<(CString, CString)>,
}

/// A mount with its words as the kernel wants them.
#[derive(Debug)]
struct Made {
    /// Directories above it that may be missing.
    above: Vec<CString>,
    /// It lies in what is empty: there is nothing to mount on.
    is_missing: bool,
    at: CString,
    what: What,
}

#[derive(Debug)]
enum What {
    Again {
        from: CString,
        access: Access,
    },
    /// The options of the mount.
    Copy {
        from: CString,
        options: CString,
    },
    /// `from`: its place in the memory that all of them share.
    Empty {
        from: CString,
    },
    /// One in which nothing else is: they are all the same.
    Closed,
    Memory {
        from: CString,
    },
    Nothing,
    Terminals,
    Link {
        to: CString,
    },
}

impl Mounts {
    pub(super) fn none() -> Self {
        Self { all: Vec::new(), memory: CString::default(), overlay: None }
    }

    pub(super) fn of(plan: &Plan) -> Result<Self, Failure> {
        if plan.mounts.len() > MOST {
            return Err(("mount so many places", io::ErrorKind::InvalidInput.into()));
        }
        let places: HashMap<&OsStr, &Mount> = plan.mounts.iter().map(|mount| (mount.at().as_os_str(), mount)).collect();
        // The nearest one that it lies in.
        let holder =
            |mount: &Mount| mount.at().ancestors().skip(1).find_map(|above| places.get(above.as_os_str()).copied());
        let holders: Vec<Option<&Mount>> = plan.mounts.iter().map(holder).collect();
        let held: HashSet<&OsStr> = holders.iter().flatten().map(|holder| holder.at().as_os_str()).collect();
        let mut all = Vec::with_capacity(plan.mounts.len());
        // Directories in what is empty that are made for a mount before.
        let mut made = HashSet::new();
        for (number, (mount, holder)) in plan.mounts.iter().zip(&holders).enumerate() {
            let is_closed =
                matches!(mount, Mount::Empty(at) if !at.starts_with(SCRATCH)) && !held.contains(mount.at().as_os_str());
            let is_missing = matches!(holder, Some(Mount::Empty(_)));
            let mut above = above(mount.at(), *holder);
            if is_missing && !matches!(mount, Mount::Nothing(_)) {
                above.retain(|path| made.insert(path.as_os_str()));
            }
            all.push(Made {
                above: above.into_iter().map(word).collect::<Result<_, _>>()?,
                is_missing,
                at: word(mount.at())?,
                what: if is_closed { What::Closed } else { what(mount, number)? },
            });
        }
        let over = |(at, overlay): &(PathBuf, Overlay)| -> Result<_, Failure> {
            Ok((word(at)?, overlay.options().map_err(|error| ("name a path", error))?))
        };
        let overlay = plan.overlay.as_ref().map(over).transpose()?;
        Ok(Self { all, memory: memory(plan.memory), overlay })
    }

    /// Room for the descriptors of [`make`](Self::make).
    pub(super) fn room(&self) -> Vec<RawFd> {
        vec![-1; self.all.len()]
    }

    /// Make them all. `trees` is the room for descriptors; they stay open until the process is rid of all of its own.
    pub(super) fn make(&self, trees: &mut [RawFd]) -> Result<(), Step> {
        // Step by step the whole system gets narrower: what is taken hold of in between is as narrow as that.
        narrow(libc::MOUNT_ATTR_NOSUID)?;
        if let Some((at, options)) = &self.overlay {
            let step = c"put what it writes over the files of its base (overlay)";
            mount(c"overlay", at, libc::MS_NOSUID | libc::MS_NODEV, options, step)?;
        }
        self.take_hold(trees, |what| what.again(Access::Device))?;
        narrow(libc::MOUNT_ATTR_NODEV)?;
        self.take_hold(trees, |what| what.again(Access::Write))?;
        narrow(libc::MOUNT_ATTR_RDONLY)?;
        self.take_hold(trees, |what| match what {
            What::Copy { from, .. } => Some((from, RECURSIVE)),
            What::Nothing => Some((c"/dev/null", 0)),
            what => what.again(Access::Read),
        })?;
        self.make_memory()?;
        self.take_hold(trees, |what| match what {
            What::Empty { from } | What::Memory { from } => Some((from, 0)),
            _ => None,
        })?;
        for (mount, tree) in self.all.iter().zip(&*trees) {
            mount.make(*tree)?;
        }
        for mount in self.all.iter().filter(|mount| matches!(mount.what, What::Empty { .. })) {
            set(libc::AT_FDCWD, &mount.at, 0, CLOSED).map_err(|()| c"close an empty directory")?;
        }
        Ok(())
    }

    /// Take hold of these before anything is put over them.
    fn take_hold<'a>(
        &'a self,
        trees: &mut [RawFd],
        which: impl Fn(&'a What) -> Option<(&'a CStr, c_long)>,
    ) -> Result<(), Step> {
        for (mount, tree) in self.all.iter().zip(trees) {
            if let Some((from, deep)) = which(&mount.what) {
                *tree = open_tree(from, deep)?;
            }
        }
        Ok(())
    }

    /// One memory for all that is empty or lies in it: each of its own would cost more than all the rest. What is put in its place
    /// later hides it.
    fn make_memory(&self) -> Result<(), Step> {
        mount(c"tmpfs", SCRATCH_AT, libc::MS_NOSUID | libc::MS_NODEV, &self.memory, c"mount an empty directory")?;
        // SAFETY: a number. The mask is put back.
        let mask = unsafe { libc::umask(0) };
        let make = |at: &CStr, mode| {
            // SAFETY: a path and a number.
            ok(unsafe { libc::mkdir(at.as_ptr(), mode) }, c"make an empty directory")
        };
        make(NOTHING_AT, 0o755)?;
        for mount in &self.all {
            match &mount.what {
                What::Empty { from } => make(from, 0o755)?,
                What::Memory { from } => make(from, 0o1777)?,
                _ => {}
            }
        }
        // SAFETY: a number.
        unsafe { libc::umask(mask) };
        let nothing = open_tree(NOTHING_AT, 0)?;
        set(nothing, c"", EMPTY_PATH, CLOSED).map_err(|()| c"close an empty directory")?;
        move_to(nothing, NOTHING_AT)
    }
}

/// Take something from the whole system.
fn narrow(attribute: u64) -> Result<(), Step> {
    set(libc::AT_FDCWD, c"/", RECURSIVE, attribute).map_err(|()| c"make the system read-only")
}

impl What {
    /// Where it comes from, if it is there again with this access.
    fn again(&self, wanted: Access) -> Option<(&CStr, c_long)> {
        match self {
            Self::Again { from, access, .. } if *access == wanted => Some((from, RECURSIVE)),
            _ => None,
        }
    }
}

/// The directories between a mount and the one that it lies in: that one may be empty.
fn above<'a>(at: &'a Path, holder: Option<&Mount>) -> Vec<&'a Path> {
    let Some(holder) = holder else { return Vec::new() };
    let mut above: Vec<&Path> = at.ancestors().skip(1).take_while(|path| *path != holder.at()).collect();
    above.reverse();
    above
}

fn what(mount: &Mount, number: usize) -> Result<What, Failure> {
    let scratch = || word(&Path::new(SCRATCH).join(number.to_string()));
    Ok(match mount {
        Mount::Again { from, access, .. } => What::Again { from: word(from)?, access: *access },
        Mount::Copy(at) => What::Copy { from: word(at)?, options: copy_options(at)? },
        Mount::Empty(_) => What::Empty { from: scratch()? },
        Mount::Memory(_) => What::Memory { from: scratch()? },
        Mount::Nothing(_) => What::Nothing,
        Mount::Terminals(_) => What::Terminals,
        Mount::Link { to, .. } => What::Link { to: word(to)? },
    })
}

/// Options of the memory.
fn memory(size: Option<u64>) -> CString {
    let size = size.map_or_else(String::new, |size| format!(",size={size}"));
    CString::new(format!("mode=0755{size}")).unwrap_or_default()
}

fn copy_options(at: &Path) -> Result<CString, Failure> {
    let lower = escaped(at);
    let rest = format!(",upperdir={SCRATCH}/u,workdir={SCRATCH}/w,userxattr");
    CString::new([b"lowerdir=", &lower[..], rest.as_bytes()].concat()).map_err(|error| ("name a path", error.into()))
}

/// Is there a directory on the way that may not be entered? Asked with all the capabilities that the task will not have.
fn is_out_of_reach(at: &CStr) -> bool {
    // SAFETY: zeros are a value of it; a path, and room for what is told.
    let mut told: libc::stat = unsafe { std::mem::zeroed() };
    unsafe { libc::lstat(at.as_ptr(), &raw mut told) == -1 && errno() == libc::EACCES }
}

/// Is this descriptor that of a directory?
fn is_directory(tree: RawFd) -> bool {
    // SAFETY: zeros are a value of it, and there is room for what is told.
    unsafe {
        let mut told: libc::stat = std::mem::zeroed();
        libc::fstat(tree, &raw mut told) == 0 && told.st_mode & libc::S_IFMT == libc::S_IFDIR
    }
}

impl Made {
    fn make(&self, tree: RawFd) -> Result<(), Step> {
        match &self.what {
            What::Again { .. } | What::Empty { .. } | What::Memory { .. } => self.put(tree),
            What::Copy { options, .. } => {
                self.put(tree)?;
                copy(&self.at, options);
                Ok(())
            }
            What::Nothing => match move_to(tree, &self.at) {
                // A socket that was there when we looked, and is gone: there is nothing to hide.
                Err(_) if errno() == libc::ENOENT => Ok(()),
                // One in a directory of somebody else, which root of this namespace cannot enter, nor can the task.
                Err(_) if errno() == libc::EACCES && is_out_of_reach(&self.at) => Ok(()),
                done => done,
            },
            // None is in /dev, which hides it.
            What::Closed => self.put_where_it_is(|| true, || bind(NOTHING_AT, &self.at)),
            What::Terminals => {
                self.place(true);
                let options = c"newinstance,ptmxmode=0666,mode=0620";
                mount(c"devpts", &self.at, libc::MS_NOSUID | libc::MS_NOEXEC, options, c"mount terminals of its own")
            }
            What::Link { to } => {
                self.make_above();
                // SAFETY: two paths; it may be there already.
                unsafe { libc::symlink(to.as_ptr(), self.at.as_ptr()) };
                Ok(())
            }
        }
    }

    fn put(&self, tree: RawFd) -> Result<(), Step> {
        self.put_where_it_is(|| is_directory(tree), || move_to(tree, &self.at))
    }

    /// Put something where it belongs. Only where there is nothing to mount on, that is made.
    fn put_where_it_is(&self, is_directory: impl Fn() -> bool, put: impl Fn() -> Result<(), Step>) -> Result<(), Step> {
        if !self.is_missing {
            let done = put();
            if done.is_ok() || errno() != libc::ENOENT {
                return done;
            }
        }
        self.place(is_directory());
        put()
    }

    /// Something to mount on, where nothing is. Where it cannot be made, mounting says so.
    fn place(&self, is_directory: bool) {
        self.make_above();
        // SAFETY: a path that lives as long as we do. That something is there already is no failure.
        unsafe {
            if is_directory {
                libc::mkdir(self.at.as_ptr(), 0o755);
            } else {
                libc::mknod(self.at.as_ptr(), libc::S_IFREG | 0o644, 0);
            }
        }
    }

    fn make_above(&self) {
        for dir in &self.above {
            // SAFETY: a path; that it is there already is no failure.
            unsafe { libc::mkdir(dir.as_ptr(), 0o755) };
        }
    }
}
