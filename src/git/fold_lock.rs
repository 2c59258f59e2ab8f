//! The lock under which a repository lands, one result at a time, over all processes.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Stdio;

use rustix::fs::FlockOperation;

use super::{GitError, Repository};
use crate::core::word::one_line;
use crate::process::Tool;
use crate::process::tool::Conversation;

/// The one landing at a time of a repository, over all processes.
///
/// Programs that a landing starts inherit it: it is free only when the last of them is gone, so who holds it knows
/// that no orphan of a killed coordinator still writes.
#[derive(Debug)]
pub struct FoldLock {
    file: File,
}

impl FoldLock {
    /// Wait until every process of an earlier landing is gone, orphans of a killed coordinator included.
    ///
    /// # Errors
    /// Where the lock file cannot be made.
    pub fn acquire(repo: &Repository) -> Result<Self, GitError> {
        let (path, file) = Self::open(repo)?;
        loop {
            match rustix::fs::flock(&file, FlockOperation::LockExclusive) {
                Ok(()) => return Ok(Self { file }),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(GitError::file("lock", path)(error.into())),
            }
        }
    }

    /// As [`FoldLock::acquire`], but `None` where it would have to wait.
    ///
    /// # Errors
    /// Where the lock file cannot be made.
    pub fn try_acquire(repo: &Repository) -> Result<Option<Self>, GitError> {
        let (path, file) = Self::open(repo)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(GitError::file("lock", path)(error.into())),
        }
    }

    fn open(repo: &Repository) -> Result<(PathBuf, File), GitError> {
        let path = repo.own_dir("")?.join("fold.lock");
        let open = File::options().read(true).append(true).create(true).open(&path);
        Ok((path.clone(), open.map_err(GitError::file("open", &path))?))
    }

    /// Start a program that holds this lock as its standard error: what it complains of is then in the lock file.
    pub(super) fn converse(&self, tool: Tool) -> Result<Conversation, GitError> {
        let file = || GitError::file("use", "fold.lock");
        self.file.set_len(0).map_err(file())?;
        let kept: OwnedFd = self.file.try_clone().map_err(file())?.into();
        Ok(tool.converse(Some(kept))?)
    }

    /// Run a program to its end under this lock; did it end well?
    pub(super) fn run(&self, tool: Tool) -> Result<bool, GitError> {
        Ok(self.converse(tool)?.end()?.success())
    }

    /// Run a program to its end under this lock; its standard output is the answer.
    pub(super) fn answer(&self, tool: Tool) -> Result<Vec<u8>, GitError> {
        let file = || GitError::file("use", "fold.lock");
        self.file.set_len(0).map_err(file())?;
        let kept: OwnedFd = self.file.try_clone().map_err(file())?.into();
        let shown = tool.shown();
        let child = tool.stdout(Stdio::piped()).stderr(kept).spawn()?;
        let output = child.wait_with_output().map_err(GitError::file("read", &shown))?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(super::commit::failed(shown, output.status.code(), self.words())),
        }
    }

    /// As a program would.
    pub(super) fn complain(&self, words: &str) {
        let _ = self.file.set_len(0).and_then(|()| self.file.write_all_at(words.as_bytes(), 0));
    }

    /// What the last program complained of.
    pub(super) fn words(&self) -> String {
        let mut bytes = vec![0; 4096];
        let read = self.file.read_at(&mut bytes, 0).unwrap_or(0);
        one_line(String::from_utf8_lossy(&bytes[..read]).trim().trim_start_matches("fatal: "))
    }
}
