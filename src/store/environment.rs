//! Environments that tasks inherit, stored once by content: a thousand tasks from one shell share one file.

use std::collections::BTreeMap;

use super::{Durable, Layout, StoreError, read, replace_with};
use crate::core::word::Word;

/// Variables by name.
pub type Environment = BTreeMap<String, Word>;

/// Store an environment; the answer finds it again.
///
/// # Errors
/// Where it cannot be written.
pub fn keep(layout: &Layout, environment: &Environment) -> Result<String, StoreError> {
    let bytes = serde_json::to_vec(environment).expect("a map of strings is JSON");
    let name = format!("{:016x}", hash(&bytes));
    let path = layout.environment(&name);
    if !path.exists() {
        replace_with(&path, &bytes, Durable::No)?;
    }
    Ok(name)
}

/// A stored environment; empty where it is gone.
///
/// # Errors
/// Where it cannot be read.
pub fn find(layout: &Layout, name: &str) -> Result<Environment, StoreError> {
    let path = layout.environment(name);
    let bytes = read(&path)?.unwrap_or_else(|| b"{}".to_vec());
    serde_json::from_slice(&bytes).map_err(|error| StoreError::Damaged {
        path,
        line: error.line(),
        why: error.to_string(),
    })
}

/// FNV-1a, 64 bits (Fowler, Noll and Vo): names files, guards nothing.
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
