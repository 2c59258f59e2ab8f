//! What a task changed; of a running one, what it has changed so far.

use super::{Error, ErrorKind, Session, find, find_attempt};
use crate::core::id::{CommitId, TaskHandle};
use crate::core::report::FileLine;
use crate::core::state::{Task, TaskState};
use crate::core::word::Word;
pub use crate::git::diff::FileDiff;
use crate::git::diff::{self, FileStat, Files, Reader, Side};
use crate::git::overlay::Layers;
use crate::git::{GitError, Repository};
use crate::store::StoreError;

/// The two sides of a change.
#[derive(Debug)]
pub struct Difference {
    repository: Repository,
    from: CommitId,
    to: Side,
    /// Where the objects of a running task are; gone when this is dropped.
    objects: Option<(std::path::PathBuf, tempfile::TempDir)>,
}

/// What to compare for a task, or for one of its attempts.
///
/// # Errors
/// Where the task is unknown, or there is nothing to compare.
pub fn of(session: &Session, handle: &TaskHandle, attempt: Option<u32>) -> Result<Difference, Error> {
    let state = session.state()?;
    let task = find(&state, std::slice::from_ref(handle))?[0];
    let running = matches!(task.state, TaskState::Running { .. });
    let last = task.attempts.last().map(|attempt| attempt.number);
    if running && (attempt.is_none() || attempt == last) {
        return of_running(session, task);
    }
    let found = match attempt {
        Some(number) => Some(find_attempt(task, number)?),
        None => task.result_attempt(),
    };
    let repository = session.repository().clone();
    let sides = found.and_then(|attempt| {
        let tip = attempt.ended.as_ref()?.result.change().map(|change| change.tip).or(attempt.base)?;
        Some((attempt.base?, tip))
    });
    match sides {
        Some((from, to)) => Ok(Difference { repository, from, to: to.into(), objects: None }),
        // It ended without a change: nothing differs, and that is an answer.
        None if !task.has_work_ahead() && !task.attempts.is_empty() => {
            let base = task.spec.base;
            Ok(Difference { repository, from: base, to: base.into(), objects: None })
        }
        None => Err(Error::new(
            ErrorKind::Refused,
            format!("task {} has not run yet", task.id),
            "see what it waits for with `pleach status`",
        )),
    }
}

/// How one result differs from another: from the files of `other` to those of `handle`.
///
/// # Errors
/// Where one of them is unknown, or has no result to compare.
pub fn against(
    session: &Session,
    handle: (&TaskHandle, Option<u32>),
    other: (&TaskHandle, Option<u32>),
) -> Result<Difference, Error> {
    let state = session.state()?;
    let tip = |(handle, number): (&TaskHandle, Option<u32>)| {
        let task = find(&state, std::slice::from_ref(handle))?[0];
        let attempt = number.map(|number| find_attempt(task, number)).transpose()?.or(task.result_attempt());
        let change = attempt.and_then(|attempt| attempt.ended.as_ref()?.result.change());
        change.map(|change| change.tip).ok_or_else(|| {
            let message = format!("{handle} has no result to compare");
            Error::new(
                ErrorKind::Refused,
                message,
                "see where it stands with `pleach status`; only results are compared",
            )
        })
    };
    let (from, to) = (tip(other)?, tip(handle)?);
    Ok(Difference { repository: session.repository().clone(), from, to: to.into(), objects: None })
}

fn of_running(session: &Session, task: &Task) -> Result<Difference, Error> {
    if session.is_inside() {
        let message = format!("task {} still runs, and a task sees what another has done when that has ended", task.id);
        return Err(Error::new(ErrorKind::Refused, message, format!("wait for it first: pleach wait {}", task.id)));
    }
    let attempt = task.attempts.last().and_then(|attempt| Some((task.attempt_id(attempt.number), attempt.base?)));
    let (Some((attempt, base)), Some(layout)) = (attempt, session.layout()) else {
        return Err(Error::plain(ErrorKind::Refused, format!("task {} has not run yet", task.id)));
    };
    let worktree = layout.worktree(attempt);
    if !layout.attempt(attempt).spec().exists() {
        let message = format!("the worktree of task {} is still being made", task.id);
        return Err(Error::new(ErrorKind::Refused, message, "try again in a moment"));
    }
    let scratch = tempfile::tempdir_in(&layout.state).map_err(StoreError::file("write in", &layout.state))?;
    let repository = session.repository().clone();
    let private = layout.attempt(attempt).git().join("objects");
    let dir = layout.attempt(attempt);
    let upper = Layers::find(&dir.overlay(), &dir.images()).map(|layers| layers.upper());
    let files = upper.as_deref().map_or(Files::Worktree(&worktree), Files::Upper);
    let (tree, objects) = diff::tree_of_files(&repository, &private, files, base, scratch.path())?;
    Ok(Difference { repository, from: base, to: tree.into(), objects: Some((objects, scratch)) })
}

impl Difference {
    fn reader(&self) -> Reader<'_> {
        match &self.objects {
            Some((objects, _)) => Reader::with(&self.repository, objects),
            None => Reader::of(&self.repository),
        }
    }

    /// The files with their contents.
    ///
    /// # Errors
    /// Where git fails.
    pub fn files(&self, paths: &[Word]) -> Result<Vec<FileDiff>, Error> {
        Ok(self.reader().between(self.from, self.to, paths)?)
    }

    /// All of it as `git apply` takes it, also what nobody can read.
    ///
    /// # Errors
    /// Where git fails.
    pub fn patch(&self, paths: &[Word], context: usize) -> Result<Vec<u8>, Error> {
        Ok(self.reader().patch(self.from, self.to, paths, context)?)
    }

    /// The files in figures.
    ///
    /// # Errors
    /// Where git fails.
    pub fn stat(&self, paths: &[Word]) -> Result<Vec<FileStat>, Error> {
        Ok(self.reader().stat(self.from, self.to, paths)?)
    }

    /// The files as a report has them.
    ///
    /// # Errors
    /// Where git fails.
    pub fn lines(&self, paths: &[Word]) -> Result<Vec<FileLine>, Error> {
        Ok(lines(&self.reader(), self.from, self.to, paths)?)
    }
}

/// The files of a change, as a report has them.
///
/// # Errors
/// Where git fails.
pub fn files(repository: &Repository, from: CommitId, to: CommitId) -> Result<Vec<FileLine>, GitError> {
    lines(&Reader::of(repository), from, to.into(), &[])
}

fn lines(reader: &Reader<'_>, from: CommitId, to: Side, paths: &[Word]) -> Result<Vec<FileLine>, GitError> {
    let line = |file: FileStat| FileLine {
        change: file.change,
        path: file.path,
        old_path: file.old_path,
        insertions: file.insertions,
        deletions: file.deletions,
        binary: file.binary,
    };
    Ok(reader.stat(from, to, paths)?.into_iter().map(line).collect())
}
