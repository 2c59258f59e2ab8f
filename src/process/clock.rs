//! The clock of the wall. `core` never looks at it: it is given `now`.
#![expect(clippy::disallowed_methods, reason = "this is the home of the clock")]

use jiff::Timestamp;

/// Now, to the millisecond: more would only make journals longer.
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}
