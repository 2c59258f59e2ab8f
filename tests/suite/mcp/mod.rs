//! `pleach mcp` by clients that speak over its standard input and output, and `pleach mcp install`.
#![allow(clippy::disallowed_methods, reason = "tests write files and start programs as a user would")]

pub(crate) mod client;
mod http;
mod install;
mod real;
mod tasks;
mod tools;
mod waiting;
