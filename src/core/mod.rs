//! Nouns and decisions. No I/O, clock, randomness, threads or async: values in, values out.
//!
//! - [`id`], [`word`], [`bytes`]: small types with one meaning each.
//! - [`task`]: what somebody asked for. [`change`]: what came of it. [`outcome`]: how a run ended.
//! - [`event`]: facts, in the past tense. [`state`]: the replay of all facts.
//! - [`inventory`]: what the coordinator sees of the world now.
//! - [`kinds`], `turns`: what a decision has to look at, so that it need not look at all.
//! - [`schedule`], [`merge_queue`]: who is next. [`planner`]: which trees to verify. [`decide`](mod@decide): all of it together, as [`action`]s.
//! - [`agent`]: programs that are told what to do in words, and what becomes of what they say.
//! - [`lines_of`](mod@lines_of): bytes become lines.
//! - [`foresight`]: which results are compared before they meet, and what of that still holds.
//! - [`handback`]: what a new attempt is told of a result that did not go in.
//! - [`review`]: what somebody says of a result, piece by piece. [`draft`]: as far as it is said. [`hunk`]: the pieces. [`wary`]: what to look at first. [`marks`]: the words that changed.
//! - [`secret`]: what looks like one, and is kept out of logs.
//! - [`plan`]: many tasks in one file, and what becomes of them together. [`units`]: durations and sizes as people write them.
//! - [`role`]: who does a task, and what that may do; how the files of other programs become one.
//! - [`provider`]: how an attempt comes to its files.
//! - [`report`]: what front ends show, as text or JSON.
//!
//! On purpose there is nothing here about files, processes or git: the adapters do what an
//! [`action::Action`] says, and come back with [`event::Event`]s.

pub mod action;
pub mod agent;
pub mod bytes;
pub mod change;
pub mod decide;
pub mod delegate;
pub mod draft;
pub mod driver;
pub mod error_kind;
pub mod estimate;
pub mod event;
pub mod footing;
pub mod foresight;
pub mod handback;
pub mod hunk;
pub mod id;
pub mod ink;
pub mod inventory;
pub mod kinds;
pub mod lines;
pub mod lines_of;
pub mod marks;
pub mod merge_queue;
pub mod notice;
pub mod outcome;
pub mod plan;
pub mod planner;
pub mod policy;
pub mod provider;
pub mod report;
pub mod review;
pub mod role;
pub mod sandbox;
pub mod schedule;
pub mod secret;
#[cfg(test)]
pub(crate) mod sketch;
mod slots;
pub mod speculation;
pub mod state;
pub mod task;
pub mod terminal;
mod turns;
pub mod units;
pub mod verify;
pub mod wary;
pub mod word;
