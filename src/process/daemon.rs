//! Processes of our own that outlive whoever started them.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::process::{Child, Stdio};

use super::Tool;
use super::tool::own_program;

/// Start this very program again, away from the terminal. What it says on its error stream goes to `log`.
///
/// The new process calls [`detach`] first of all: no hook between fork and exec is needed, so the start is cheap.
///
/// # Errors
/// Where it cannot be started.
pub fn start(args: &[&std::ffi::OsStr], log: &Path, stdout: impl Into<Stdio>) -> io::Result<Child> {
    let mut command =
        Tool::new(own_program()?).args(args).dir("/").stdout(stdout).stderr(open_log(log)?).into_command();
    std::os::unix::process::CommandExt::arg0(&mut command, "pleach");
    command.spawn()
}

/// A log that is started afresh when it has grown over a megabyte.
fn open_log(path: &Path) -> io::Result<File> {
    const FULL: u64 = 1 << 20;
    if path.metadata().is_ok_and(|data| data.len() > FULL) {
        std::fs::rename(path, path.with_extension("log.old"))?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

/// Leave the terminal and the process group of whoever started us.
pub fn detach() {
    // It fails only for who leads a group already, and is then as far away as can be.
    let _ = rustix::process::setsid();
}

/// As [`start`], from a process that sees to the end of all that it starts: the new one is a child of *our* parent (of nobody,
/// where that is gone), and none of ours.
///
/// # Errors
/// Where it cannot be started.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a clone that is no child of ours has no safe door")]
pub fn start_apart(args: &[&std::ffi::OsStr], log: &Path) -> io::Result<()> {
    use std::ffi::CString;
    use std::os::fd::AsRawFd;
    use std::os::unix::ffi::OsStrExt;

    let program = CString::new(own_program()?.as_os_str().as_bytes())?;
    let name = CString::new("pleach")?;
    let args = args.iter().map(|arg| CString::new(arg.as_bytes())).collect::<Result<Vec<_>, _>>()?;
    let words: Vec<*const libc::c_char> =
        std::iter::once(&name).chain(&args).map(|word| word.as_ptr()).chain([std::ptr::null()]).collect();
    let (null, log) = (OpenOptions::new().read(true).write(true).open("/dev/null")?, open_log(log)?);
    let (null, log) = (null.as_raw_fd(), log.as_raw_fd());
    // SAFETY: as with fork, the child has a copy of our memory and one thread. Until it runs its program it makes system calls
    // only, with what was made ready above; it neither allocates nor takes a lock, and never comes back from here.
    let pid = unsafe {
        let (flags, none) = (libc::c_long::from(libc::CLONE_PARENT | libc::SIGCHLD), 0 as libc::c_long);
        let pid = libc::syscall(libc::SYS_clone, flags, none, none, none, none);
        if pid == 0 {
            libc::setsid();
            if libc::chdir(c"/".as_ptr()) == 0
                && libc::dup2(null, 0) == 0
                && libc::dup2(null, 1) == 1
                && libc::dup2(log, 2) == 2
            {
                libc::execv(program.as_ptr(), words.as_ptr());
            }
            libc::_exit(127);
        }
        pid
    };
    if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// As [`start`]: elsewhere nobody inherits the orphans of what they start.
///
/// # Errors
/// Where it cannot be started.
#[cfg(not(target_os = "linux"))]
pub fn start_apart(args: &[&std::ffi::OsStr], log: &Path) -> io::Result<()> {
    start(args, log, Stdio::null()).map(drop)
}
