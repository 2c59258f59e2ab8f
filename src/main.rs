//! The `pleach` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    pleach::cli::main(std::env::args_os().collect())
}
