//! The only door to other programs, to signals and to the clock.
//!
//! Every program starts through [`Tool`]: no `GIT_*` variable of the caller reaches it, it never asks at a
//! terminal, and what failed is told with the command and its own words.

//!
//! [`supervise`] runs a task with everything that it starts, and comes back only when its tree is empty.

pub mod beneath;
pub mod clock;
pub mod crash;
pub mod daemon;
pub mod idle;
pub mod living;
pub mod load;
pub mod pidfd;
pub mod socket;
pub mod subvolume;
pub mod supervise;
pub mod tool;
pub mod tree;
pub mod usage;
pub mod weight;

pub use tool::{Tool, ToolError};
