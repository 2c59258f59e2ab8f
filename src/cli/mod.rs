//! Words in, words out: what somebody types becomes a call of one op, and its answer becomes text or JSON.

pub mod args;
pub mod exit;
