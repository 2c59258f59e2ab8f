//! Odd repositories, odd names, odd settings, odd tasks: each goes the whole round with the real program, or is refused
//! in one clear line with a next step. Nothing is lost either way.
#![allow(clippy::disallowed_methods, reason = "tests write files as a user would")]

mod kinds;
mod modules;
mod names;
mod places;
mod settings;
mod tasks;
