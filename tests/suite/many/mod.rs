//! Many at once, and what a task may do, and what it may not: with the real program, as a user calls it.

mod adds;
mod folds;
mod killing;
mod supervision;
mod terminal;
