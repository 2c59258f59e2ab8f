//! What was foreseen of conflicts, in a file of its own: it can be had again, so nothing depends on it being there.

use super::{Durable, Layout, StoreError, read, replace_with};
use crate::core::foresight::{Foresight, VERSION};

/// What was foreseen last; nothing where there is no such file, or none that this version can read.
pub fn load(layout: &Layout) -> Foresight {
    let bytes = read(&layout.foreseen()).ok().flatten();
    let kept: Option<Foresight> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    kept.filter(|kept| kept.version == VERSION).unwrap_or_default()
}

/// Keep what was foreseen.
///
/// # Errors
/// Where it cannot be written.
pub fn keep(layout: &Layout, foresight: &Foresight) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec(foresight).expect("structs of strings and numbers are JSON");
    replace_with(&layout.foreseen(), &bytes, Durable::No)
}
