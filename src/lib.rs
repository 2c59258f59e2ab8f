//! `pleach`: a git-worktree sandboxed parallel task executor.

pub mod cli;
pub mod config;
pub mod coordinator;
pub mod core;
pub mod git;
pub mod ops;
pub mod process;
pub mod shim;
pub mod store;
