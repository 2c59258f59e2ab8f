//! Worktrees, private git directories, snapshots and packs, with real repositories.

mod inside;
mod odd;
mod pack;
mod register;
mod snapshot;
