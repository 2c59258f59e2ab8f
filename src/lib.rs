//! `pleach`: a git-worktree sandboxed parallel task executor.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod core;
