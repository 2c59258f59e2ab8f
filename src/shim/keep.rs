//! What runs where somebody else works in a worktree of ours: it says that the place is ready, and stays until it is ended.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use super::watch::Message;
use crate::process::socket;

/// The hidden name of it.
pub const KEEP: &str = "__keep";

/// What it says as soon as it runs: all that prepares the worktree has ended well then.
pub const READY: &str = "ready";

/// Keep the place. `args` is what follows the hidden name: nothing.
///
/// Where nobody can be told that it is ready, it fails: whoever waits for that has its end instead.
pub fn main(socket: Option<PathBuf>, _args: &[OsString]) -> ExitCode {
    let Some(socket) = socket else { return ExitCode::from(2) };
    let ready = Message::Progress { done: None, total: None, text: Some(READY.to_owned()) };
    let told = serde_json::to_vec(&ready).map_err(std::io::Error::from).and_then(|bytes| socket::send(&socket, &bytes));
    if let Err(error) = told {
        let _ = writeln!(std::io::stderr(), "the outside does not listen: {error}");
        return ExitCode::FAILURE;
    }
    loop {
        std::thread::park();
    }
}
