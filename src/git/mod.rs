//! Git: reads by `git2` where it can open the repository, all else by the `git` command. In the private repository of
//! a task, its shim writes by `git2` too.
//!
//! - [`repository`]: finding a repository, and questions about its graph and checkouts.
//! - [`refs`]: transactions on refs, by compare-and-swap.
//! - [`worktree`]: the linked worktree that everybody else sees. [`private`]: the git directory that the task sees.
//!   [`place`]: its files, in a place that may have been used before, or lie over a base image ([`overlay`]).
//! - [`snapshot`]: left-overs become a commit. [`pack`]: a result leaves the private repository and enters the user's.
//! - [`merge`]: what would land. [`seal`]: its commits, signed and with trailers. [`hook`]: hooks that are asked then. [`fold`]: landing it, with the checkout of the target
//!   (`advance`, by its `index`).
//!   [`publish`]: where a branch is not to be moved.
//! - [`conflict`]: what does not merge, in full. [`rerere`]: how it was resolved before.
//! - [`driver`]: merging by structure what git cannot merge by lines.
//! - [`walk`]: merges of trees in process, to look ahead and to check what git merged. [`foresee`]: which will conflict.
//! - [`glance`]: what a running task has changed so far.
//! - [`diff`]: what differs. [`part`]: some of it. [`locks`]: lock files that a killed git left.
//!
//! No git command of ours ever takes a directory that a task may write as its repository, except inside the
//! shim of that very task.

mod advance;
mod apart;
pub mod checkout;
mod commit;
pub mod conflict;
mod connected;
mod conserve;
mod crosscheck;
pub mod diff;
pub mod driver;
mod extras;
mod filters;
pub mod fold;
mod fold_lock;
pub mod foresee;
pub mod glance;
mod history;
pub mod hook;
mod index;
mod index_lock;
mod inspect;
mod listed;
mod live;
pub mod locks;
mod loose;
pub mod merge;
pub mod modules;
mod new_objects;
mod objects;
mod opened;
pub mod overlay;
pub mod pack;
#[cfg(test)]
mod parity;
pub mod part;
pub mod place;
pub mod pool;
pub mod private;
mod private_config;
pub mod publish;
pub mod refs;
pub mod repository;
pub mod rerere;
mod resume;
pub mod rights;
pub mod seal;
pub mod snapshot;
mod stage;
mod status;
pub(crate) mod trash;
mod unfolds;
mod unpack;
mod untouched;
pub mod walk;
pub mod worktree;
mod written;

pub use repository::{Found, Repository};

use std::io;

use rustix::io::Errno;

use crate::process::ToolError;
use crate::process::tool::Output;

/// Git, or the file system under it, did not do what we asked.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The command failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The in-process library failed.
    #[error("cannot read the repository")]
    Library(#[from] git2::Error),
    /// A file could not be read or written.
    #[error("cannot {what} {}", path.display())]
    File {
        /// What we were doing: "read", "write", "rename".
        what: &'static str,
        /// To what.
        path: std::path::PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// Git answered something that we do not understand.
    #[error("cannot understand what `git {command}` answered: {answer:?}")]
    Answer {
        /// The git command.
        command: &'static str,
        /// What it said.
        answer: String,
    },
}

impl GitError {
    /// For `map_err` on a file operation.
    pub fn file(what: &'static str, path: impl Into<std::path::PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { what, path, source }
    }

    /// Did it fail for want of room on the disk, which passes?
    pub fn is_no_room(&self) -> bool {
        match self {
            Self::Tool(ToolError::Failed { stderr, .. }) => says_no_room(stderr),
            Self::Tool(ToolError::Start { source, .. }) | Self::File { source, .. } => is_no_room(source),
            Self::Library(error) => says_no_room(error.message()),
            Self::Answer { answer, .. } => says_no_room(answer),
        }
    }

    /// What it comes down to, for a person, on one line.
    pub fn words(&self) -> String {
        match self {
            Self::Tool(error) => error.words(),
            Self::File { source, .. } => format!("{self}: {source}"),
            Self::Library(error) => error.message().to_owned(),
            Self::Answer { .. } => self.to_string(),
        }
    }
}

fn is_no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Git has no code for a full disk, but it repeats the system's own words for it, which we take from the system too.
fn says_no_room(words: &str) -> bool {
    [Errno::NOSPC, Errno::DQUOT].into_iter().any(|errno| {
        let said = io::Error::from(errno).to_string();
        words.contains(said.split(" (os error").next().unwrap_or(&said))
    })
}

/// What a git command left, unless it is for want of room that it failed.
fn unless_no_room(output: Output, command: &str) -> Result<Output, GitError> {
    if output.code == Some(0) || !says_no_room(&output.stderr) {
        return Ok(output);
    }
    Err(ToolError::Failed { shown: format!("git {command}"), how: "failed".to_owned(), stderr: output.stderr }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_known_by_the_words_of_the_system() {
        assert!(says_no_room("error: unable to write file: No space left on device\nfatal: adding files failed\n"));
        assert!(!says_no_room("fatal: index file corrupt"));
        assert!(!says_no_room(""));
    }
}
