//! `pleach` runs many tasks at once on one git repository, each in a worktree of its own, and folds the good results
//! back. This is the library under the command; start reading here.
//!
//! # The pieces
//!
//! A front end ([`cli`], [`mcp`], [`web`]) calls one of [`ops`], a file for each thing that can be asked for. What changes something goes
//! over a socket to the [`coordinator`]: one process for each repository, started on demand. It observes the world,
//! decides (pure: [`core::decide`]), acts, and records what happened in the journal ([`store::journal`]). For each
//! running attempt there is a [`shim`], which outlives everything else: it owns the task's process, its log and its exit
//! record. Readers replay the journal themselves and need nobody.
//!
//! # One direction
//!
//! `submit -> schedule -> start -> launch -> collect -> queue -> plan -> land`. One turn of the coordinator is observe,
//! decide, act, record; starting, resuming after `kill -9` and ordinary running are this same loop.
//!
//! # The layers
//!
//! Imports point up this list only, and `tests/suite/tidy.rs` holds them to it:
//! [`core`] (nouns and decisions, no I/O), [`process`] (the only door to programs and the clock), [`sandbox`] (what a
//! process may touch), [`config`], [`git`],
//! [`store`], [`shim`], [`coordinator`], [`ops`], [`mcp`], [`web`], [`cli`].
//!
//! # Where to look
//!
//! - What a task can be: [`core::task`]. Its whole life, in one table: [`core::state`].
//! - Who starts next: [`core::schedule`]. Who lands next: [`core::merge_queue`].
//! - What a task may touch, and how that is held: [`sandbox`].
//! - What a task sees instead of your repository: [`git::private`]. How its result comes back: [`git::pack`].
//! - How a branch moves without harm to what you are editing: [`git::fold`].
//! - What somebody says of a result, piece by piece: [`core::review`]. Who does a task: [`core::agent`], [`core::role`].
//! - Every path that we write: [`store::layout`]. Every variable that we read: [`config::env`].
//! - Where a test can kill us: [`process::crash`].
//!
//! # Absent on purpose
//!
//! No database: state is a replay of a text file. No daemon to install, and none that must be up. Nothing is written to
//! your configuration, hooks or stash. No force, no `reset --hard`, no `worktree prune`, no side of a conflict
//! taken by itself. No English is parsed. There is no recovery path: recovering is what every start does.

pub mod cli;
pub mod config;
pub mod coordinator;
pub mod core;
pub mod git;
pub mod mcp;
pub mod ops;
pub mod process;
pub mod sandbox;
pub mod shim;
pub mod store;
pub mod web;
