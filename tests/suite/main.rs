//! The tests that need more than one function: one binary, one folder a topic.
mod simulation;

mod git;
mod support;
mod fold;
