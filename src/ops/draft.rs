//! What somebody said of a result and has not carried out yet: one file for each attempt, written whole each time.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind as Io;

use super::review::{self, Reviewed};
use super::{Error, ErrorKind, Session, find};
use crate::core::id::{AttemptId, CommitId, TaskHandle, TaskId};
use crate::core::review::Sheet;
use crate::store::{self, Layout, StoreError};

/// Put what was said of this result before onto its sheet. What was said of another result, or cannot be read, is not.
///
/// # Errors
/// Where there is such a file and it cannot be read.
pub fn take_up(session: &Session, reviewed: &mut Reviewed) -> Result<(), Error> {
    if let Some(draft) = kept(session, reviewed.attempt, reviewed.sheet.tip)? {
        reviewed.sheet.take_up(&draft);
    }
    Ok(())
}

/// What was said before of the result of this attempt, where that is still the one with this last commit.
///
/// # Errors
/// Where there is such a file and it cannot be read.
pub fn kept(session: &Session, attempt: AttemptId, tip: Option<CommitId>) -> Result<Option<Sheet>, Error> {
    let Some(layout) = session.layout() else { return Ok(None) };
    let bytes = store::read(&layout.draft(attempt))?;
    let draft: Option<Sheet> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    Ok(draft.filter(|draft| draft.tip == tip))
}

/// Keep what is said of this result. Where nothing is said any more, nothing is kept.
///
/// # Errors
/// Where it cannot be written.
pub fn keep(session: &Session, attempt: AttemptId, sheet: &Sheet) -> Result<(), Error> {
    if sheet.is_mute() {
        return drop_of(session, attempt);
    }
    let Some(layout) = session.layout() else { return Ok(()) };
    let path = layout.draft(attempt);
    if let Some(dir) = path.parent() {
        store::make_dir(dir)?;
    }
    let bytes = serde_json::to_vec_pretty(&sheet.said()).expect("structs of strings and numbers are JSON");
    Ok(store::replace(&path, &bytes)?)
}

/// The tasks of whose results something is kept.
pub fn tasks(session: &Session) -> BTreeSet<TaskId> {
    let dir = session.layout().map(Layout::drafts);
    let entries = dir.and_then(|dir| fs::read_dir(dir).ok()).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|name| Some(name.strip_suffix(".json")?.parse::<AttemptId>().ok()?.task)).collect()
}

/// It was carried out, or the result is gone.
///
/// # Errors
/// Where the file is there and cannot be removed.
pub fn drop_of(session: &Session, attempt: AttemptId) -> Result<(), Error> {
    let Some(layout) = session.layout() else { return Ok(()) };
    let path = layout.draft(attempt);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != Io::NotFound => Err(StoreError::file("remove", path)(error).into()),
        _ => Ok(()),
    }
}

/// What was said of these, for another attempt.
///
/// # Errors
/// Where a task is unknown, has no result, or nothing was said of it.
pub fn of(session: &Session, handles: &[TaskHandle]) -> Result<Vec<Sheet>, Error> {
    let state = session.state()?;
    find(&state, handles)?;
    let mut sheets = Vec::new();
    for mut reviewed in review::of(session, handles)? {
        take_up(session, &mut reviewed)?;
        if reviewed.sheet.is_mute() {
            let task = reviewed.attempt.task;
            let hint =
                format!("say it with `pleach review {task}`, or name a file: `pleach retry --with-review=FILE {task}`");
            return Err(Error::new(
                ErrorKind::Usage,
                format!("nothing was said of the result of task {task} yet"),
                hint,
            ));
        }
        sheets.push(reviewed.sheet.said());
    }
    Ok(sheets)
}
