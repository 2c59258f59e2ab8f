//! Worktrees, private git directories, snapshots and packs, with real repositories.

mod cost;
mod foresee;
mod image;
mod inside;
mod odd;
mod pack;
mod place;
mod refs;
mod register;
mod snapshot;
mod stage;
mod walk;
