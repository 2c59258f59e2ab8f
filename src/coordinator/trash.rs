//! The trash: what is to go is renamed into it, which takes no time and cannot be half done, and is deleted later.

use std::fs;
use std::io;
use std::path::Path;

use crate::store::StoreError;

/// Throw a file or directory of ours away. Nothing happens where it is gone already.
///
/// # Errors
/// Where it cannot be renamed.
pub fn throw(path: &Path, trash: &Path) -> Result<(), StoreError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let to = trash.join(format!("{name}-{:016x}", fastrand::u64(..)));
    match fs::rename(path, &to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::file("throw away", path)(error)),
        _ => Ok(()),
    }
}
