//! Real repositories in a hermetic home, built by git itself.
#![allow(clippy::disallowed_methods, reason = "tests write files and start programs as a user would")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use pleach::core::id::CommitId;
use pleach::git::Repository;
use pleach::git::private::{self, Private};
use pleach::git::worktree::{self, Place, WorktreeLock};

/// A directory with a user's repository in it (`repo`) and a place for our state (`state`).
pub(crate) struct World {
    _dir: tempfile::TempDir,
    pub(crate) root: PathBuf,
    /// Where the user's commands run.
    pub(crate) top: PathBuf,
}

impl World {
    /// `git init` with these arguments, one commit with a few files.
    pub(crate) fn new(init: &[&str]) -> Self {
        Self::named("repo", init)
    }

    /// The same, where the repository has this name.
    pub(crate) fn named(name: impl AsRef<OsStr>, init: &[&str]) -> Self {
        let world = Self::empty(name);
        world.run(&[&["init", "-q", "-b", "main"], init].concat());
        world.identify();
        world.write("readme", "hello\n");
        world.write("src/a", "one\ntwo\nthree\n");
        world.write("src/b", "b\n");
        world.write(".gitignore", "*.ignored\n");
        world.run(&["add", "-A"]);
        world.run(&["commit", "-qm", "first"]);
        world
    }

    /// No repository yet.
    pub(crate) fn empty(name: impl AsRef<OsStr>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let top = root.join(name.as_ref());
        fs::create_dir_all(&top).unwrap();
        fs::create_dir_all(root.join("state/worktrees")).unwrap();
        Self { _dir: dir, root, top }
    }

    pub(crate) fn identify(&self) {
        self.run(&["config", "user.name", "A U Thor"]);
        self.run(&["config", "user.email", "author@example.com"]);
    }

    /// A file in the user's checkout.
    pub(crate) fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        put(&self.top.join(path), content);
    }

    /// `git` as the user, in the checkout.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        git(&self.top, args)
    }

    pub(crate) fn repo(&self) -> Repository {
        Repository::discover(&self.top).unwrap().repository
    }

    pub(crate) fn head(&self) -> CommitId {
        self.run(&["rev-parse", "HEAD"]).trim().parse().unwrap()
    }

    pub(crate) fn place(&self, attempt: &str) -> Place {
        let state = self.root.join("state");
        fs::create_dir_all(state.join("attempts").join(attempt)).unwrap();
        Place {
            worktree: state.join("worktrees").join(format!("pleach-{attempt}")),
            private: state.join("attempts").join(attempt).join("git"),
        }
    }

    /// A place as an attempt finds it: registered, filled, leading inside.
    pub(crate) fn launch(&self, attempt: &str) -> Place {
        self.launch_at(attempt, self.head())
    }

    pub(crate) fn launch_at(&self, attempt: &str, base: CommitId) -> Place {
        let (repo, place) = (self.repo(), self.place(attempt));
        let lock = WorktreeLock::acquire(&repo).unwrap();
        worktree::register(&repo, &lock, &place.worktree, base, "pleach: a task").unwrap();
        drop(lock);
        let dir = git_output(&self.top, &["rev-parse", "--absolute-git-dir"]).0;
        let dir = PathBuf::from(OsStr::from_bytes(dir.strip_suffix(b"\n").unwrap()));
        let private = Private { base, branch: format!("pleach/{attempt}") };
        private::create(&repo, &place.private, &private, Some(&dir)).unwrap();
        private::checkout(&place.private, &place.worktree).unwrap();
        worktree::lead_inside(&place).unwrap();
        place
    }

    /// Everything of the user's that a task must not touch: refs, stash, configuration, hooks, index, HEAD, logs,
    /// files, as bytes and modes. Our own directory and the registrations are left out, objects too.
    pub(crate) fn fingerprint(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let common = self.repo().common_dir().to_owned();
        let mut seen = BTreeMap::new();
        for top in [&self.top, &common] {
            for entry in walkdir::WalkDir::new(top).into_iter().map(Result::unwrap) {
                let path = entry.path();
                let ours = ["pleach", "objects", "worktrees/pleach-"].iter().any(|part| {
                    let Ok(inner) = path.strip_prefix(&common) else { return false };
                    inner.as_os_str().as_bytes().starts_with(part.as_bytes())
                });
                if ours || path == common.join("worktrees") || entry.file_type().is_dir() {
                    continue;
                }
                let bytes = if entry.file_type().is_symlink() {
                    fs::read_link(path).unwrap().into_os_string().as_bytes().to_vec()
                } else {
                    fs::read(path).unwrap()
                };
                seen.insert(path.to_owned(), (fs::symlink_metadata(path).unwrap().permissions().mode(), bytes));
            }
        }
        seen
    }

    /// How many objects the user's repository has, in packs and loose.
    pub(crate) fn objects(&self) -> usize {
        let (all, _) = git_output(&self.top, &["cat-file", "--batch-all-objects", "--batch-check=%(objectname)"]);
        all.iter().filter(|byte| **byte == b'\n').count()
    }
}

/// Write a file, with the directories above it.
pub(crate) fn put(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// `git` in a directory, as a person or a task would run it; it must succeed.
pub(crate) fn git(dir: &Path, args: &[&str]) -> String {
    String::from_utf8_lossy(&git_output(dir, args).0).into_owned()
}

fn git_output(dir: &Path, args: &[&str]) -> (Vec<u8>, String) {
    let output = command(dir).args(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "git {args:?} in {}: {stderr}", dir.display());
    (output.stdout, stderr)
}

/// Does it succeed?
pub(crate) fn git_works(dir: &Path, args: &[&str]) -> bool {
    command(dir).args(args).output().unwrap().status.success()
}

/// What a git command answers to this input.
pub(crate) fn git_with(dir: &Path, args: &[&str], input: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), input).unwrap();
    let output = command(dir).args(args).stdin(fs::File::open(file.path()).unwrap()).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn command(dir: &Path) -> Command {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_bytes().starts_with(b"GIT_")) {
        command.env_remove(name);
    }
    let home = dir.ancestors().find(|dir| dir.join("state").is_dir()).unwrap_or(dir);
    command.current_dir(dir).env("HOME", home).env("XDG_CONFIG_HOME", home).env("GIT_CONFIG_NOSYSTEM", "1");
    command
}
