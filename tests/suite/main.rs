//! The tests that need more than one function: one binary, one folder a topic.
mod simulation;
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod fold;
mod git;
mod support;
