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
