//! What a test makes this machine lack: a file `without.NAME` in the armed directory of crash points.

use std::path::PathBuf;
use std::sync::OnceLock;

static ARMED: OnceLock<PathBuf> = OnceLock::new();

/// Why something does not work then.
pub const WHY: &str = "a test took it away";

/// Look for the names in `dir`.
pub fn arm(dir: PathBuf) {
    let _ = ARMED.set(dir);
}

/// Is this taken away?
pub(super) fn of(name: &str) -> bool {
    ARMED.get().is_some_and(|dir| dir.join(format!("without.{name}")).exists())
}
