//! The journal as a stream.

use super::{Error, Session};
use crate::store::journal;
pub use crate::store::journal::Line;

/// Follows the journal.
#[derive(Debug)]
pub struct Events {
    next: u64,
}

impl Events {
    /// From this event on, counted from 1.
    pub fn from(next: u64) -> Self {
        Self { next }
    }

    /// What has been added since the last call.
    ///
    /// # Errors
    /// Where the journal is damaged or cannot be read.
    pub fn take(&mut self, session: &Session) -> Result<Vec<Line>, Error> {
        let Some(layout) = session.layout() else { return Ok(Vec::new()) };
        let lines = journal::lines(layout, self.next)?;
        if let Some(last) = lines.last() {
            self.next = last.n + 1;
        }
        Ok(lines)
    }
}
