//! The ways in which other tools lost their users' work, a test for each that could happen to us. The numbers are the rows
//! of the table in `research/peers.md`, section 4.
//!
//! Rows that cannot happen here:
//! - 9, 26: names come from ids that are never reused, and no name is made of another by flattening it; that a branch of
//!   the user is in the way is tested in [`kept`] and in `odd::names`.
//! - 12, 13: attempts do not share worktrees, and a worktree is removed by its own attempt only, after its shim has let go
//!   of its lock. That a shim is not alive is told by that lock and never by a time: `crash`.
//! - 29: whole files are written beside and renamed, the journal is only appended to: `crash`, `journals`.

#![allow(clippy::disallowed_methods, reason = "tests write files as a user would")]

mod kept;
mod removal;
mod untouched;
