//! What several topics need.

pub(crate) mod cli;
pub(crate) mod mounted;
pub(crate) mod repo;
pub(crate) mod scene;
pub(crate) mod scratch;
