//! The wiring of each verb: its ordinary answer, its JSON, its exit code, and where its words go.
#![allow(clippy::disallowed_methods, reason = "tests write files and start programs as a user would")]

mod answers;
mod bring;
mod channels;
mod disk;
mod images;
mod places;
