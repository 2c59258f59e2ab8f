//! The tests that need more than one function: one binary, one folder a topic.
mod journals;
mod simulation;
