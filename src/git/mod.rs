//! Git: reads by `git2` where it can open the repository, all else by the `git` command. In the private repository of
//! a task, its shim writes by `git2` too.
//!
//! - [`repository`]: finding a repository, and questions about its graph and checkouts.
//! - [`refs`]: transactions on refs, by compare-and-swap.
//! - [`worktree`]: the linked worktree that everybody else sees. [`private`]: the git directory that the task sees.
//! - [`snapshot`]: left-overs become a commit. [`pack`]: a result leaves the private repository and enters the user's.
//! - [`merge`]: what would land. [`fold`]: landing it, with the checkout of the target.
//! - [`walk`]: merges of trees in process, to look ahead and to check what git merged. [`foresee`]: which will conflict.
//! - [`diff`]: what differs. [`locks`]: lock files that a killed git left.
//!
//! No git command of ours ever takes a directory that a task may write as its repository, except inside the
//! shim of that very task.

pub mod checkout;
mod commit;
mod connected;
mod conserve;
mod crosscheck;
pub mod diff;
mod extras;
mod filters;
pub mod fold;
pub mod foresee;
mod inspect;
mod listed;
mod live;
pub mod locks;
mod loose;
pub mod merge;
mod objects;
mod opened;
pub mod pack;
#[cfg(test)]
mod parity;
pub mod private;
mod private_config;
pub mod refs;
pub mod repository;
mod resume;
pub mod snapshot;
mod trash;
pub mod walk;
pub mod worktree;
mod written;

pub use repository::{Found, Repository};

use crate::process::ToolError;

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
