//! The only door to other programs, to signals and to the clock.
//!
//! Every program starts through [`Tool`]: no `GIT_*` variable of the caller reaches it, it never asks at a
//! terminal, and what failed is told with the command and its own words.

pub mod clock;
pub mod crash;
pub mod tool;

pub use tool::{Tool, ToolError};
