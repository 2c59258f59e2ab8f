//! A user's repository: where it is, and questions about its graph.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::GitError;
use crate::core::id::{BranchName, CommitId, TreeId};
use crate::core::word::{Word, one_line};
use crate::process::Tool;

pub use super::listed::Listed;

/// A repository, by its common git directory (the one that all its worktrees share).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    common_dir: PathBuf,
}

/// What was found from a directory: a repository, and the checkout that the directory is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The repository.
    pub repository: Repository,
    /// The checkout; none in a bare repository or inside a git directory.
    pub checkout: Option<Checkout>,
    /// The branch that HEAD names, even if it has no commit yet; none where HEAD is detached.
    pub branch: Option<BranchName>,
    /// The commit of HEAD; none before the first commit.
    pub head: Option<CommitId>,
}

/// A checkout of the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// Its top directory.
    pub top: PathBuf,
    /// Where in it the question was asked, relative to the top.
    pub prefix: PathBuf,
}

/// There is nothing to work with here.
#[derive(Debug, thiserror::Error)]
pub enum Discover {
    /// No repository.
    #[error("{} is not in a git repository", .0.display())]
    NotARepository(PathBuf),
    /// Git refuses to work in it (another owner, a broken configuration).
    #[error("git cannot work in {}: {words}", dir.display())]
    Refused {
        /// Where.
        dir: PathBuf,
        /// Git's own words.
        words: String,
    },
    /// Git is missing or too old.
    #[error(transparent)]
    Git(#[from] GitError),
}

impl Repository {
    /// Find the repository of a directory, as `git` itself would, but with no regard to `GIT_*` variables.
    ///
    /// # Errors
    /// Where there is none, or git refuses to work in it.
    pub fn discover(dir: &Path) -> Result<Found, Discover> {
        match discover_in_process(dir) {
            Some(found) => Ok(found),
            None => discover_by_git(dir),
        }
    }

    /// The repository with this common git directory. Nothing is looked at.
    pub fn at(common_dir: impl Into<PathBuf>) -> Self {
        Self { common_dir: common_dir.into() }
    }

    /// The directory that all worktrees share: objects, refs, configuration.
    pub fn common_dir(&self) -> &Path {
        &self.common_dir
    }

    /// A directory of our own in it, `<common>/pleach/<name>`; made, where there is none. The repository itself is not:
    /// where it was moved away under us, nothing appears at its old place.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub(super) fn own_dir(&self, name: &str) -> Result<PathBuf, GitError> {
        let home = self.common_dir.join("pleach");
        let dir = home.join(name);
        for dir in [&home, &dir] {
            match std::fs::create_dir(dir) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                made => made.map_err(GitError::file("make", dir))?,
            }
        }
        Ok(dir)
    }

    /// A `git` command on this repository. It runs no monitor, starts no maintenance, and starts in the common
    /// directory, so that nothing depends on where we were called.
    pub fn git(&self) -> Tool {
        Tool::git().dir(&self.common_dir).arg("--git-dir").arg(&self.common_dir).args([
            "-c",
            "core.fsmonitor=false",
            "-c",
            "gc.auto=0",
            "-c",
            "maintenance.auto=false",
        ])
    }

    /// The repository for in-process reading, where the library can open it: not with SHA-256, reftable or
    /// partial clones.
    pub fn library(&self) -> Option<git2::Repository> {
        git2::Repository::open(&self.common_dir).ok()
    }

    /// The commit that a revision means; `None` where it means none.
    ///
    /// # Errors
    /// Where git cannot be asked.
    pub fn resolve(&self, revision: &str) -> Result<Option<CommitId>, GitError> {
        let spec = format!("{revision}^{{commit}}");
        let asked = self.git().args(["rev-parse", "--verify", "--quiet", "--end-of-options", &spec]);
        self.object_or_none(asked)
    }

    /// The head of a branch; `None` where there is no such branch.
    ///
    /// # Errors
    /// Where git cannot be asked.
    pub fn head_of(&self, branch: &BranchName) -> Result<Option<CommitId>, GitError> {
        self.ref_value(&branch.full())
    }

    /// The value of a ref, by its full name; `None` where there is no such ref.
    ///
    /// # Errors
    /// Where git cannot be asked.
    pub fn ref_value(&self, name: &str) -> Result<Option<CommitId>, GitError> {
        self.open().ref_value(name)
    }

    pub(super) fn object_or_none(&self, asked: Tool) -> Result<Option<CommitId>, GitError> {
        let output = asked.output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().parse().ok().filter(|_| output.code == Some(0)))
    }

    /// The tree of a commit.
    ///
    /// # Errors
    /// Where the commit is not there.
    pub fn tree_of(&self, commit: CommitId) -> Result<TreeId, GitError> {
        self.open().tree_of(commit)
    }

    /// The parents of a commit.
    ///
    /// # Errors
    /// Where it is not there, or git cannot be run.
    pub fn parents(&self, commit: CommitId) -> Result<Vec<CommitId>, GitError> {
        let line = self.git().args(["rev-list", "--no-walk", "--parents", &commit.to_string(), "--"]).line()?;
        line.split(' ').skip(1).map(|parent| parse("rev-list", parent)).collect()
    }

    /// Is `old` the same as `new`, or in its history?
    ///
    /// # Errors
    /// Where a commit is missing.
    pub fn is_ancestor(&self, old: CommitId, new: CommitId) -> Result<bool, GitError> {
        self.open().is_ancestor(old, new)
    }

    /// Those of these commits that are not in the history of a head. One that is missing is not told.
    ///
    /// # Errors
    /// Where git cannot be asked.
    pub fn not_in(&self, head: CommitId, commits: &[CommitId]) -> Result<BTreeSet<CommitId>, GitError> {
        let lines: String = commits.iter().map(|commit| format!("{commit}\n")).collect();
        let asked = self.git().args(["rev-list", "--ignore-missing", "--stdin"]).input(format!("{lines}^{head}\n"));
        let answer = asked.run()?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let outside: BTreeSet<CommitId> = answer.lines().filter_map(|line| line.parse().ok()).collect();
        Ok(commits.iter().copied().filter(|commit| outside.contains(commit)).collect())
    }
}

/// An object name that git or the library answered.
pub(crate) fn parse<T: std::str::FromStr>(command: &'static str, answer: &str) -> Result<T, GitError> {
    answer.parse().map_err(|_| GitError::Answer { command, answer: answer.to_owned() })
}

fn discover_in_process(dir: &Path) -> Option<Found> {
    let nothing: [&std::ffi::OsStr; 0] = [];
    let repository = git2::Repository::open_ext(dir, git2::RepositoryOpenFlags::CROSS_FS, nothing).ok()?;
    let common_dir = repository.commondir().canonicalize().ok()?;
    let checkout = match repository.workdir().map(Path::canonicalize) {
        Some(top) => {
            let top = top.ok()?;
            let prefix = dir.canonicalize().ok()?.strip_prefix(&top).ok()?.to_owned();
            // Inside `.git` the library still names a work tree; git does not.
            let inside_git = dir.canonicalize().ok()?.starts_with(repository.path().canonicalize().ok()?);
            (!inside_git).then_some(Checkout { top, prefix })
        }
        None => None,
    };
    let head = repository.find_reference("HEAD").ok()?;
    let branch = match head.symbolic_target() {
        Ok(Some(name)) => Some(BranchName::from_full(name)?),
        Ok(None) => None,
        Err(_) => return None,
    };
    let head = match repository.head() {
        Ok(head) => Some(head.peel_to_commit().ok()?.id().to_string().parse().ok()?),
        Err(error) if error.code() == git2::ErrorCode::UnbornBranch => None,
        Err(_) => return None,
    };
    Some(Found { repository: Repository { common_dir }, checkout, branch, head })
}

fn discover_by_git(dir: &Path) -> Result<Found, Discover> {
    let ask = |args: &[&str]| Tool::git().dir(dir).args(args);
    let answer = ask(&["rev-parse", "--path-format=absolute", "--git-common-dir"]);
    let output = answer.output().map_err(GitError::from)?;
    if output.code != Some(0) {
        // The one case that has no code of its own; any other complaint is shown as it is.
        let words = one_line(output.stderr.trim().trim_start_matches("fatal: "));
        let lost = words.starts_with("not a git repository");
        let dir = dir.to_owned();
        return Err(if lost { Discover::NotARepository(dir) } else { Discover::Refused { dir, words } });
    }
    let path = |bytes: &[u8]| Word::from(bytes.strip_suffix(b"\n").unwrap_or(bytes).to_vec()).as_path().to_owned();
    let common_dir = path(&output.stdout);
    let top = ask(&["rev-parse", "--path-format=absolute", "--show-toplevel"]).output().map_err(GitError::from)?;
    let prefix = ask(&["rev-parse", "--show-prefix"]).output().map_err(GitError::from)?;
    let checkout = (top.code == Some(0) && !top.stdout.is_empty())
        .then(|| Checkout { top: path(&top.stdout), prefix: path(&prefix.stdout) });
    let branch = ask(&["symbolic-ref", "--quiet", "HEAD"]).output().map_err(GitError::from)?;
    let branch = BranchName::from_full(String::from_utf8_lossy(&branch.stdout).trim());
    let head = ask(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).output().map_err(GitError::from)?;
    let head = String::from_utf8_lossy(&head.stdout).trim().parse().ok();
    Ok(Found { repository: Repository { common_dir }, checkout, branch, head })
}
