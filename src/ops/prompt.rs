//! What has ended since a shell showed its last prompt. It is asked before every prompt, so mostly it looks at one file
//! and is done.

use super::{Error, Session};
use crate::core::id::TaskId;
use crate::core::notice;
use crate::core::report::{self, Row, Seen, Standing};
use crate::core::state::{State, Task};
use crate::process::clock;
use crate::store::Layout;
use crate::store::{StoreError, journal};

/// Tasks that are told of at once.
const MOST: usize = 5;

/// What has happened since.
#[derive(Debug, Clone, PartialEq)]
pub struct News {
    /// Up to here. The shell gives it back the next time.
    pub until: String,
    /// Tasks that have ended or come to rest, as they stand now.
    pub rows: Vec<Row>,
    /// More of them.
    pub more: usize,
}

/// What has happened in this repository since an earlier answer. Where that is of another repository, or of none, nothing
/// is told: who comes by hears what happens from then on.
///
/// # Errors
/// Where the journal cannot be read.
pub fn since(session: &Session, since: &str) -> Result<News, Error> {
    let nothing = |until: String| Ok(News { until, rows: Vec::new(), more: 0 });
    let Some(layout) = session.layout() else { return nothing(String::new()) };
    let length = journal::length(layout).map_err(StoreError::file("read", layout.journal()))?;
    let place = layout.home.display().to_string();
    // `<events> <bytes of the journal> <place>`
    let mut parts = since.splitn(3, ' ');
    let mut number = || parts.next()?.parse::<u64>().ok();
    let (events, bytes) = (number(), number());
    let is_here = parts.next() == Some(place.as_str());
    let Some(events) = events.filter(|_| is_here) else {
        return nothing(format!("{} {length} {place}", session.state()?.events()));
    };
    if bytes == Some(length) {
        return nothing(since.to_owned());
    }
    let state = session.state()?;
    let until = format!("{} {length} {place}", state.events());
    let (rows, more) = rows(layout, &state, events)?;
    Ok(News { until, rows, more })
}

/// The tasks that came to rest after an event, as they stand now.
fn rows(layout: &Layout, state: &State, after: u64) -> Result<(Vec<Row>, usize), Error> {
    let mut ids: Vec<TaskId> = Vec::new();
    for line in journal::lines(layout, after + 1)? {
        let of_it = line.record.event.task().filter(|_| notice::is_of_interest(&line.record.event));
        ids.retain(|known| Some(*known) != of_it);
        ids.extend(of_it);
    }
    let tasks: Vec<&Task> = ids.iter().filter_map(|id| state.task(*id)).collect();
    let mut rows = report::rows(state, &tasks, &Seen::default(), clock::now());
    // What runs again, or is on its way in, will be told of when it is there.
    rows.retain(|row| {
        use Standing as S;
        !matches!(row.state, S::Waiting | S::Blocked | S::Running | S::Cancelling | S::Queued | S::Landing)
    });
    let more = rows.len().saturating_sub(MOST);
    rows.truncate(MOST);
    Ok((rows, more))
}
