//! The tests that need more than one function: one binary, one folder a topic.
mod simulation;

mod crash;
mod fold;
mod git;
mod many;
mod support;
