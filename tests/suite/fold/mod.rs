//! What would land, and landing it: with real git, in repositories of a few commits.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]
#![allow(clippy::disallowed_methods, reason = "tests make files and processes of their own")]

mod crash;
mod landing;
mod planning;
mod processes;
mod sealing;
mod showing;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use pleach::core::change::Landing;
use pleach::core::id::{BranchName, CommitId};
use pleach::core::task::Strategy;
use pleach::core::word::Word;
use pleach::git::Repository;
use pleach::git::fold::{Fold, FoldLock, land};
use pleach::git::merge::{Identity, Plan, Wanted, plan};
use pleach::process::Tool;

/// A repository with a checkout, whose own configuration says all that a user's could say otherwise.
struct Bench {
    dir: tempfile::TempDir,
    top: PathBuf,
    repo: Repository,
}

impl Bench {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap().join("user");
        Tool::git().args(["init", "-q", "-b", "main"]).args(options).arg(&top).run().unwrap();
        let bench = Self { repo: Repository::at(top.join(".git")), top, dir };
        let hooks = bench.top.join(".git/hooks");
        for (key, value) in [
            ("user.name", "Ute User"),
            ("user.email", "ute@example.org"),
            ("commit.gpgsign", "false"),
            ("core.hooksPath", hooks.to_str().unwrap()),
            ("core.excludesFile", "/dev/null"),
            ("core.attributesFile", "/dev/null"),
            ("core.autocrlf", "false"),
            ("merge.renames", "true"),
            ("rerere.enabled", "false"),
        ] {
            bench.git(&["config", key, value]);
        }
        bench
    }

    fn git(&self, args: &[&str]) -> String {
        self.git_in(&self.top, args)
    }

    fn git_in(&self, dir: &Path, args: &[&str]) -> String {
        Tool::git().dir(dir).args(args).line().unwrap_or_else(|error| panic!("{error}"))
    }

    fn id(&self, revision: &str) -> CommitId {
        self.git(&["rev-parse", &format!("{revision}^{{commit}}")]).parse().unwrap()
    }

    fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let place = self.top.join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, content).unwrap();
    }

    /// Commit all that is in the checkout.
    fn commit(&self, message: &str) -> CommitId {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.id("HEAD")
    }

    /// A commit on `base` with these files (`None` deletes), made without the checkout, by somebody else.
    fn change(&self, base: CommitId, files: &[(&str, Option<&str>)]) -> CommitId {
        self.change_with(base, files, "by task", &[base])
    }

    fn change_with(
        &self,
        base: CommitId,
        files: &[(&str, Option<&str>)],
        message: &str,
        parents: &[CommitId],
    ) -> CommitId {
        let index = self.dir.path().join("index");
        let git = || {
            let git = self.repo.git().env("GIT_INDEX_FILE", &index);
            let git = git.env("GIT_AUTHOR_NAME", "Theo Task").env("GIT_AUTHOR_EMAIL", "theo@example.org");
            git.env("GIT_AUTHOR_DATE", "@1000000000 +0200").env("GIT_COMMITTER_DATE", "@1000000001 +0200")
        };
        git().args(["read-tree", &base.to_string()]).run().unwrap();
        for (path, content) in files {
            match content {
                Some(content) => {
                    let blob = git().args(["hash-object", "-w", "--stdin"]).input(*content).line().unwrap();
                    let entry = format!("100644,{blob},{path}");
                    git().args(["update-index", "--add", "--replace", "--cacheinfo", &entry]).run().unwrap();
                }
                None => drop(git().args(["update-index", "--force-remove", "--", path]).run().unwrap()),
            }
        }
        let tree = git().arg("write-tree").line().unwrap();
        let commit = git().args(["commit-tree", "-m", message, &tree]);
        let commit = parents.iter().fold(commit, |tool, parent| tool.arg("-p").arg(parent.to_string()));
        commit.line().unwrap().parse().unwrap()
    }

    fn wanted(&self, base: CommitId, tip: CommitId, strategy: Strategy) -> Wanted<'static> {
        Wanted { head: self.head(), base, tip, strategy, message: "fold it", replay: false }
    }

    fn head(&self) -> CommitId {
        self.repo.head_of(&main()).unwrap().unwrap()
    }

    fn planned(&self, base: CommitId, tip: CommitId) -> Landing {
        let wanted = self.wanted(base, tip, Strategy::Merge);
        match plan(&self.repo, &wanted, &who()).unwrap() {
            Plan::Land(to) => Landing { from: wanted.head, to },
            other => panic!("{other:?}"),
        }
    }

    fn land(&self, landing: &Landing) -> Fold {
        let lock = FoldLock::acquire(&self.repo).unwrap();
        land(&self.repo, &lock, &main(), landing, &marks(landing), &|_| {}).unwrap()
    }

    /// Every file of the checkout with its kind, executable bit and bytes, and every entry of the index.
    fn fingerprint(&self) -> Fingerprint {
        let mut files = BTreeMap::new();
        let walk = walkdir::WalkDir::new(&self.top).into_iter().filter_entry(|entry| entry.file_name() != ".git");
        for entry in walk.map(|entry| entry.unwrap()).filter(|entry| !entry.file_type().is_dir()) {
            let path = Word::from(entry.path().strip_prefix(&self.top).unwrap());
            let content = if entry.path_is_symlink() {
                fs::read_link(entry.path()).unwrap().as_os_str().as_bytes().to_vec()
            } else {
                fs::read(entry.path()).unwrap()
            };
            let mode = entry.metadata().unwrap().mode() & 0o170_100;
            files.insert(path, (mode, Word::from(content)));
        }
        let index = Tool::git().dir(&self.top).args(["ls-files", "--stage", "-z"]).run().unwrap();
        let index = index.split(|byte| *byte == 0).map(|line| Word::from(line.to_vec())).collect();
        Fingerprint { files, index }
    }

    /// Nothing differs between HEAD, index and files, and nothing of git's or ours lies about.
    fn assert_tidy(&self) {
        assert_eq!(self.git(&["status", "--porcelain", "--ignored"]), "");
        self.assert_no_leftovers();
    }

    fn assert_no_leftovers(&self) {
        let walk = walkdir::WalkDir::new(self.repo.common_dir()).into_iter().map(|entry| entry.unwrap());
        let locks: Vec<_> = walk
            .filter(|entry| entry.path().extension().is_some_and(|ext| ext == "lock"))
            .filter(|entry| entry.file_name() != "fold.lock")
            .collect();
        assert!(locks.is_empty(), "{locks:?}");
        let notes = fs::read_dir(self.repo.common_dir().join("pleach/landing")).into_iter().flatten().count();
        assert_eq!(notes, 0);
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Fingerprint {
    files: BTreeMap<Word, (u32, Word)>,
    index: Vec<Word>,
}

fn main() -> BranchName {
    BranchName("main".to_owned())
}

fn who() -> Identity {
    let at = "2026-01-02T03:04:05Z".parse().unwrap();
    Identity { name: "Ute User".to_owned(), email: "ute@example.org".to_owned(), at }
}

fn marks(landing: &Landing) -> Vec<(String, CommitId)> {
    vec![(format!("refs/pleach/landed/{:.8}", landing.to), landing.to)]
}

fn link(target: &str, place: PathBuf) {
    symlink(target, place).unwrap();
}

/// Twenty numbered lines, some of them replaced.
fn lines(changed: &[(usize, &str)]) -> String {
    let line =
        |n: usize| changed.iter().find(|(at, _)| *at == n).map_or(format!("line {n}"), |(_, text)| (*text).into());
    (1..=20).map(|n| line(n) + "\n").collect()
}
