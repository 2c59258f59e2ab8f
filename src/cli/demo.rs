//! `pleach demo`.

use std::path::PathBuf;

use super::args::Color;
use crate::ops::Error;

/// Show all of it.
///
/// # Errors
/// Where a step fails.
pub fn demo(_color: Color, _dir: Option<PathBuf>) -> Result<u8, Error> {
    Ok(0)
}
