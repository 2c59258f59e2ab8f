//! The tests that need more than one function: one binary, one folder a topic.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test may say what it does")]
#![allow(clippy::disallowed_methods, reason = "a test writes files and starts programs as a user would")]

mod agents;
mod cli;
mod crash;
mod delegate;
mod docs;
mod fold;
mod foreseen;
mod git;
mod hooks;
mod journals;
mod lost_work;
mod many;
mod mcp;
mod monitor;
mod odd;
mod plans;
mod queue;
mod real;
mod review;
mod roles;
mod sandbox;
mod simulation;
mod support;
mod tidy;
