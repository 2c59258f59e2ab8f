//! The tests that need more than one function: one binary, one folder a topic.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod cli;
mod fold;
mod git;
mod journals;
mod lost_work;
mod odd;
mod simulation;
mod support;
