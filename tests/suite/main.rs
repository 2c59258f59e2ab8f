//! The tests that need more than one function: one binary, one folder a topic.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod crash;
mod docs;
mod fold;
mod git;
mod journals;
mod many;
mod simulation;
mod support;
mod tidy;
