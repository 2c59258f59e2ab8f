//! Words in, words out: what somebody types becomes a call of one op, and its answer becomes text or JSON.
//!
//! - [`args`]: everything that can be typed. [`generate`]: completions and man pages of it. [`exit`]: exit codes.
//! - [`board`], [`status`], [`disk_view`], [`diff_view`]: reports as text. [`style`], [`time`]: what they share.
//! - [`pager`]: long output on a terminal. `monitor`: all tasks on the whole of it, with keys; `review`: results.
//! - `progress`: how far one is who waits.
//! - [`plan_view`]: a plan, before it runs and after. [`roles_view`]: roles, and what somebody is shown who is asked.
//!
//! Drawing knows nothing but what it is given, and draws to any writer.

pub mod args;
mod ask;
mod bell;
pub mod board;
mod commands;
mod demo;
pub mod diff_view;
pub mod disk_view;
pub mod exit;
pub mod generate;
mod leave;
mod monitor;
pub mod pager;
pub mod plan_view;
mod progress;
mod review;
pub mod roles_view;
pub mod status;
pub mod style;
pub mod time;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::process::crash;
use crate::sandbox::lack;
use crate::{config, coordinator, shim};

/// Run the command line. `words` begins with the name of the program.
pub fn main(words: Vec<OsString>) -> ExitCode {
    if let Some(dir) = config::env::crash_points() {
        lack::arm(dir.clone());
        crash::arm(dir);
    }
    // The hidden verbs first: a shim must not pay for a command line that it does not have.
    if let Some((verb, rest)) = words.get(1).and_then(|verb| Some((verb.to_str()?, &words[2..]))) {
        match verb {
            shim::SHIM => return shim::main(rest, false),
            shim::SALVAGE => return shim::main(rest, true),
            shim::keep::KEEP => return shim::keep::main(config::env::inside().map(|inside| inside.socket), rest),
            shim::inside::INSIDE => return shim::inside::main(rest),
            shim::COORDINATOR => return coordinator::main(rest),
            _ => {}
        }
    }
    match args::parse(&words) {
        Ok(cli) => commands::dispatch(cli),
        Err(error) => {
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}
