//! Words in, words out: what somebody types becomes a call of one op, and its answer becomes text or JSON.
//!
//! - [`args`]: everything that can be typed. [`generate`]: completions and man pages of it. [`exit`]: exit codes.
//! - [`board`], [`status`], [`diff_view`]: reports as text. [`style`], [`time`]: what they share.
//! - [`pager`]: long output on a terminal.
//!
//! Drawing knows nothing but what it is given, and draws to any writer.

pub mod args;
pub mod board;
pub mod diff_view;
pub mod exit;
pub mod generate;
pub mod pager;
pub mod status;
pub mod style;
pub mod time;
