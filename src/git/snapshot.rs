//! Left-overs become a commit: by plumbing, so that no hook, no signer and no lock of the task can stop it.
//!
//! Runs inside the shim of the attempt, for filters that the task configured run here. The task may have left
//! its private directory in any state; where git cannot work with it, a substitute of our own making, which sees
//! the objects of both, takes its place. The task's own index is replaced only by one that holds the commit, and what only it held is kept before.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::index::Index;
use super::private::{self, Private};
use super::status::{self, Status};
use super::worktree::Place;
use super::written::Written;
use super::{GitError, Repository, is_no_room, trash, unless_no_room};
use super::{extras, filters};
use crate::core::id::CommitId;
use crate::core::word::{Word, shown};
use crate::process::Tool;
use crate::process::tool::{Output, fields};

/// What an attempt leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The commit that holds the worktree as it is; HEAD of the task, where nothing differs from that.
    pub tip: CommitId,
    /// Other things it left (branches, stashes, tags, staged content): a name, fit to be one component of a ref
    /// name, and a commit. Only what neither tip nor base hold.
    pub extras: Vec<(String, CommitId)>,
    /// Repositories inside the worktree, whose files are not in the tip.
    pub left_out: Vec<Word>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Commit what the worktree holds beyond HEAD, and find what else is worth keeping. Done again after a crash, it
/// answers the same tip where the first one got as far as moving HEAD.
///
/// # Errors
/// Where not even the substitute can be made: a full disk, or a base that is gone.
pub fn take(repo: &Repository, place: &Place, base: CommitId, message: &str) -> Result<Snapshot, GitError> {
    let substitute = private::substitute_of(&place.private);
    let mut notes = Vec::new();
    if !substitute.join("HEAD").exists() {
        match persist(|| Taking::new(repo, place, &place.private, base, message).take()) {
            Ok(snapshot) => return Ok(snapshot),
            // A directory of our own would need room too.
            Err(error) if error.is_no_room() => return Err(error),
            Err(error) => notes.push(format!("the task's git directory could not be used: {}", shown(&error.words()))),
        }
    }
    make_substitute(repo, place, &substitute, base)?;
    let mut snapshot = persist(|| Taking::new(repo, place, &substitute, base, message).take())?;
    notes.append(&mut snapshot.notes);
    let whole = |commit: CommitId| is_whole(&substitute, commit, base).unwrap_or(false);
    let saved = extras::rescue(repo, &place.private, &substitute, (snapshot.tip, base), &whole)?;
    let taken: Vec<CommitId> = snapshot.extras.iter().map(|(_, commit)| *commit).collect();
    snapshot.extras.extend(saved.into_iter().filter(|(_, commit)| !taken.contains(commit)));
    Ok(Snapshot { notes, ..snapshot })
}

/// A git of ours may be killed while we are not: by the kernel that runs out of memory, say. What is wrong for good is
/// wrong after a pause too.
pub fn persist<T>(mut once: impl FnMut() -> Result<T, GitError>) -> Result<T, GitError> {
    const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];
    for pause in PAUSES {
        match once() {
            Ok(done) => return Ok(done),
            Err(_) => std::thread::sleep(pause),
        }
    }
    once()
}

/// Does this directory see a commit with all that it needs beyond the base?
fn is_whole(dir: &Path, commit: CommitId, base: CommitId) -> Result<bool, GitError> {
    let walk = private::git(dir, dir).args(["rev-list", "--objects", "--quiet", &commit.to_string()]);
    Ok(walk.arg(format!("^{base}")).arg("--").succeeds()?)
}

/// A private directory of our own making that also sees the objects of the broken one, with whatever refs of that
/// can be read.
fn make_substitute(repo: &Repository, place: &Place, dir: &Path, base: CommitId) -> Result<(), GitError> {
    if dir.join("HEAD").exists() {
        return Ok(());
    }
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".draft");
    let draft = dir.with_file_name(name);
    trash::delete(&draft)?;
    private::create(repo, &draft, &Private { base, branch: "pleach/substitute".to_owned() }, None)?;
    let objects = [repo.common_dir().join("objects"), place.private.join("objects")];
    let [ours, theirs] = objects.each_ref().map(PathBuf::as_path);
    let seen: &[&Path] = if theirs.is_dir() { &[ours, theirs] } else { &[ours] };
    private::write(&draft.join("objects/info/alternates"), &private::alternates(seen))?;
    if let Some(head) = extras::head_by_hand(&place.private) {
        // Only a commit that is whole is worth standing on.
        let head = if is_whole(&draft, head, base)? { head } else { base };
        private::write(&draft.join("HEAD"), format!("{head}\n").as_bytes())?;
    }
    let _ = fs::remove_dir(dir);
    fs::rename(&draft, dir).map_err(GitError::file("create", dir))
}

struct Taking<'a> {
    repo: &'a Repository,
    worktree: &'a Path,
    private: &'a Path,
    base: CommitId,
    message: &'a str,
    /// The copy of the index that we work with.
    index: PathBuf,
    /// It as it was read, where nothing in it is told to be looked away from.
    plain: Option<Index>,
    /// Settings that switch filters off, once one has failed: whatever writes an index may run them.
    unfiltered: Vec<String>,
    notes: Vec<String>,
}

impl<'a> Taking<'a> {
    fn new(repo: &'a Repository, place: &'a Place, private: &'a Path, base: CommitId, message: &'a str) -> Self {
        let index = private.join("pleach-index");
        Self {
            repo,
            worktree: &place.worktree,
            private,
            base,
            message,
            index,
            plain: None,
            unfiltered: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn take(mut self) -> Result<Snapshot, GitError> {
        let is_there = fs::symlink_metadata(self.worktree).is_ok_and(|meta| meta.is_dir());
        if !is_there {
            self.notes.push("the worktree is gone".to_owned());
            let head = self.resolve("HEAD")?.unwrap_or(self.base);
            return self.finish(head, Vec::new());
        }
        let status = self.status()?;
        let head = status.head.unwrap_or(self.base);
        if status.has_staged_only {
            self.keep_index(head)?;
        }
        let mut tip = head;
        if status.is_dirty {
            let written = match self.stage(&status) {
                Some(written) => Some(written),
                None => {
                    self.add(&status.nested)?;
                    Written::tree(self.private, &self.index, head)
                }
            };
            let tree = match &written {
                Some(written) => written.tree.to_string(),
                None => self.git().args(["write-tree"]).line()?,
            };
            // Without its filter a file may only seem to differ.
            let surely = status.surely_differs && self.unfiltered.is_empty();
            let of_head = written.as_ref().and_then(|written| written.tree_of(head));
            if surely || of_head.map_or_else(|| self.tree_of(head), Ok)? != tree {
                let commit = written.as_ref().and_then(|written| written.commit(head, self.message));
                tip = commit.map_or_else(|| self.commit(&tree, head, self.message), Ok)?;
                // First the index, then HEAD: whoever comes after a crash finds either the work undone, or done.
                let _ = fs::rename(&self.index, self.private.join("index"));
                if written.is_none_or(|written| written.move_head(tip, status.head).is_none()) {
                    self.move_head(tip, status.head)?;
                }
            }
        }
        self.finish(tip, [status.nested, status.submodules].concat())
    }

    fn finish(self, tip: CommitId, left_out: Vec<Word>) -> Result<Snapshot, GitError> {
        let extras = extras::find(self.repo, self.private, tip, self.base)?;
        let _ = fs::remove_file(&self.index);
        Ok(Snapshot { tip, extras, left_out, notes: self.notes })
    }

    /// A git command inside, on our copy of the index.
    fn git(&self) -> Tool {
        self.filtered().args(&self.unfiltered)
    }

    fn filtered(&self) -> Tool {
        let dir = if self.worktree.is_dir() { self.worktree } else { self.private };
        private::git(self.private, dir).env("GIT_INDEX_FILE", &self.index).env("GIT_NO_LAZY_FETCH", "1").args([
            "-c",
            "advice.addEmbeddedRepo=false",
            "-c",
            "core.safecrlf=false",
            "-c",
            "submodule.recurse=false",
            // Where this names a file that is not there, `status` fails.
            "-c",
            "diff.orderFile=/dev/null",
        ])
    }

    /// What was told, in the index that we work with, without a process; none where it is for git to do.
    fn stage(&self, status: &Status) -> Option<Written> {
        let (plain, edits, head) = (self.plain.as_ref()?, status.edits.as_ref()?, status.head?);
        if !self.unfiltered.is_empty() {
            return None;
        }
        let (written, index) = Written::staged(self.private, self.worktree, plain, head, edits)?;
        let draft = with_ending(&self.index, ".staged");
        let put = private::write(&draft, &index);
        if put.is_err() || fs::rename(&draft, &self.index).is_err() {
            let _ = fs::remove_file(draft);
            return None;
        }
        Some(written)
    }

    fn status(&mut self) -> Result<Status, GitError> {
        let _ = fs::remove_file(with_ending(&self.index, ".lock"));
        let copied = copy_index(&self.private.join("index"), &self.index)?;
        if copied {
            self.uncover()?;
            let answer = self.ask_status()?;
            if answer.code == Some(0) {
                return Ok(status::parse(&answer.stdout, self.base));
            }
        }
        // A filter fails, or the index is missing or broken.
        if copied {
            self.unfiltered = self.without_filters()?;
            let answer = self.ask_status()?;
            if answer.code == Some(0) {
                return Ok(status::parse(&answer.stdout, self.base));
            }
        }
        self.unfiltered.clear();
        self.notes.push("the index was missing or damaged; what was staged only there is not kept".to_owned());
        self.rebuild_index()?;
        let mut answer = self.ask_status()?;
        if answer.code != Some(0) {
            self.unfiltered = self.without_filters()?;
            answer = expect(self.ask_status()?, "status")?;
        }
        Ok(status::parse(&answer.stdout, self.base))
    }

    /// A task may have told git to look away from files (`--assume-unchanged`, `--skip-worktree`): what it wrote there is
    /// work all the same. What a sparse checkout leaves out stays out. Where nothing is marked, this is one look at a file.
    fn uncover(&mut self) -> Result<(), GitError> {
        self.plain = Index::read(&self.index).filter(Index::is_plain);
        if self.plain.is_some() {
            return Ok(());
        }
        const ASSUMED: u16 = 0x8000;
        const SKIPPED: u16 = 0x4000;
        let (mut assumed, mut skipped) = (Vec::new(), Vec::new());
        if let Ok(index) = git2::Index::open(&self.index) {
            for entry in index.iter() {
                if entry.flags & ASSUMED != 0 {
                    assumed.push(entry.path.clone());
                }
                if entry.flags_extended & SKIPPED != 0 {
                    skipped.push(entry.path);
                }
            }
        } else {
            // The library cannot read every index. A broken one is found by whoever asks next.
            let tagged = self.git().args(["ls-files", "-v", "-z"]).output()?.stdout;
            for line in fields(&tagged) {
                let path = line.get(2..).unwrap_or_default().to_vec();
                assumed.extend(line[0].is_ascii_lowercase().then(|| path.clone()));
                skipped.extend(line[0].eq_ignore_ascii_case(&b'S').then_some(path));
            }
        }
        skipped.retain(|path| self.has(path));
        for (option, paths) in [("--no-assume-unchanged", assumed), ("--no-skip-worktree", skipped)] {
            if !paths.is_empty() {
                let list: Vec<u8> = paths.into_iter().flat_map(|path| [path, b"\0".to_vec()].concat()).collect();
                let update = self.git().args(["update-index", option, "-z", "--stdin"]);
                unless_no_room(update.input(list).output()?, "update-index")?;
            }
        }
        Ok(())
    }

    fn ask_status(&mut self) -> Result<Output, GitError> {
        let status = self.git().args(["status", "--porcelain=v2", "-z", "--branch", "--no-renames"]);
        let status = status.args(["--untracked-files=all", "--ignore-submodules=none", "--no-ahead-behind"]);
        let answer = unless_no_room(status.output()?, "status")?;
        if answer.code == Some(0) {
            // A directory that cannot be read is a warning, and then it is as if it were not there.
            let words = answer.stderr.lines().filter(|line| !line.trim().is_empty());
            self.notes.extend(words.take(50).map(shown));
        }
        Ok(answer)
    }

    /// An index as a checkout of HEAD makes it, without touching a file.
    fn rebuild_index(&self) -> Result<(), GitError> {
        let _ = fs::remove_file(&self.index);
        let head = self.resolve("HEAD")?.unwrap_or(self.base);
        self.git().args(["read-tree", &head.to_string()]).run()?;
        let sparse = self.git().args(["config", "--type=bool", "--get", "core.sparseCheckout"]).output()?;
        if sparse.stdout == b"true\n" {
            let all = self.git().args(["ls-files", "-z"]).run()?;
            let inside = self.git().args(["sparse-checkout", "check-rules", "-z"]).input(all.clone()).run()?;
            let inside: std::collections::HashSet<&[u8]> = fields(&inside).collect();
            let outside = fields(&all).filter(|path| !inside.contains(path) && !self.has(path));
            let outside: Vec<u8> = outside.flat_map(|path| [path, b"\0"].concat()).collect();
            self.git().args(["update-index", "-z", "--skip-worktree", "--stdin"]).input(outside).run()?;
        }
        Ok(())
    }

    fn has(&self, path: &[u8]) -> bool {
        fs::symlink_metadata(self.worktree.join(Word::from(path.to_vec()).as_path())).is_ok()
    }

    /// `add -A`, less the nested repositories. What cannot be read is noted, the rest is added.
    fn add(&mut self, nested: &[Word]) -> Result<(), GitError> {
        let mut paths = b".\0".to_vec();
        for path in nested {
            paths.extend([b":(top,literal,exclude)", path.as_bytes(), b"\0"].concat());
        }
        let add = |git: Tool| {
            let add = git.args(["add", "-A", "--sparse", "--ignore-errors"]);
            let output = add.args(["--pathspec-from-file=-", "--pathspec-file-nul"]).input(paths.clone()).output()?;
            // What it could not write it leaves out, as if it could not be read.
            unless_no_room(output, "add")
        };
        let before = with_ending(&self.index, ".before");
        copy_index(&self.index, &before)?;
        let mut output = add(self.filtered())?;
        // 1 is what it says when some files were left out; with more it has written nothing.
        if !matches!(output.code, Some(0 | 1)) {
            self.notes.push(format!("a filter failed: {}", shown(last_line(&output.stderr))));
            copy_index(&before, &self.index)?;
            let _ = fs::remove_file(with_ending(&self.index, ".lock"));
            self.unfiltered = self.without_filters()?;
            output = add(self.git())?;
            if !matches!(output.code, Some(0 | 1)) {
                return expect(output, "add").map(|_| ());
            }
            filters::retry(&|| self.git(), &|| self.filtered(), self.worktree, &before)?;
        }
        let _ = fs::remove_file(&before);
        let words = output.stderr.lines().filter(|line| !line.trim().is_empty());
        self.notes.extend(words.take(50).map(shown));
        Ok(())
    }

    /// Settings that switch every configured filter off.
    fn without_filters(&self) -> Result<Vec<String>, GitError> {
        let names = self.git().args(["config", "--list", "--name-only", "-z"]).run()?;
        let names: std::collections::BTreeSet<String> = fields(&names)
            .filter_map(|name| std::str::from_utf8(name).ok()?.strip_prefix("filter.")?.rsplit_once('.'))
            .map(|(driver, _)| driver.to_owned())
            .collect();
        let off = |driver: &String| {
            let settings = ["clean=", "smudge=", "process=", "required=false"];
            settings.map(|setting| ["-c".to_owned(), format!("filter.{driver}.{setting}")]).concat()
        };
        Ok(names.iter().flat_map(off).collect())
    }

    /// What the task had staged, as a commit under a ref of its own, before its index is replaced.
    fn keep_index(&self, head: CommitId) -> Result<(), GitError> {
        let tree = unless_no_room(self.git().args(["write-tree"]).output()?, "write-tree")?;
        // A conflicted index is no tree; its sides are commits already.
        if tree.code == Some(0) {
            let tree = String::from_utf8_lossy(&tree.stdout);
            let commit = self.commit(tree.trim(), head, "staged content")?.to_string();
            self.git().args(["update-ref", extras::STAGED, &commit]).run()?;
        }
        Ok(())
    }

    fn commit(&self, tree: &str, parent: CommitId, message: &str) -> Result<CommitId, GitError> {
        let commit = |tool: Tool| {
            let tool = tool.args(["-c", "i18n.commitEncoding=UTF-8", "commit-tree", tree, "-p", &parent.to_string()]);
            tool.args(["-F", "-"]).input(message).line()
        };
        let answer = commit(self.git()).or_else(|_| {
            // The task broke its identity.
            let names = [("NAME", "pleach"), ("EMAIL", "pleach@localhost")];
            let git = names.iter().fold(self.git(), |git, (name, value)| {
                git.env(format!("GIT_AUTHOR_{name}"), value).env(format!("GIT_COMMITTER_{name}"), value)
            });
            commit(git)
        })?;
        super::repository::parse("commit-tree", &answer)
    }

    /// HEAD, and the branch that it names, move to the tip. It only helps whoever looks, so a lock that the task
    /// left does no harm.
    fn move_head(&mut self, tip: CommitId, from: Option<CommitId>) -> Result<(), GitError> {
        let old = from.map_or_else(|| tip.null(), |from| from.to_string());
        let update = self.git().args(["update-ref", "-m", "pleach: left-overs", "HEAD", &tip.to_string(), &old]);
        if update.output()?.code != Some(0) {
            self.notes.push("the task's HEAD could not be moved".to_owned());
        }
        Ok(())
    }

    fn tree_of(&self, commit: CommitId) -> Result<String, GitError> {
        Ok(self.git().args(["rev-parse", "--verify", &format!("{commit}^{{tree}}")]).line()?)
    }

    fn resolve(&self, revision: &str) -> Result<Option<CommitId>, GitError> {
        let ask = self.git().args(["rev-parse", "--verify", "--quiet", &format!("{revision}^{{commit}}")]);
        let output = ask.output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().parse().ok().filter(|_| output.code == Some(0)))
    }
}

fn expect(output: Output, command: &'static str) -> Result<Output, GitError> {
    match output.code {
        Some(0) => Ok(output),
        _ => Err(GitError::Answer { command, answer: output.stderr.trim().to_owned() }),
    }
}

fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or_default()
}

/// Copy an index, with its time: a file that was edited in the same instant in which the index was written is
/// told from one that was not by comparing with that time, and by nothing else where the size is the same.
/// `false` where it cannot be copied; a full disk is an error, for it passes.
fn copy_index(from: &Path, to: &Path) -> Result<bool, GitError> {
    let copy = || {
        let meta = fs::symlink_metadata(from)?;
        if !meta.is_file() || fs::copy(from, to)? == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // The copy has the mode of what a task left, too.
        fs::set_permissions(to, fs::Permissions::from_mode(0o600))?;
        File::options().write(true).open(to)?.set_modified(meta.modified()?)
    };
    match copy() {
        Err(error) if is_no_room(&error) => Err(GitError::file("copy", from)(error)),
        copied => Ok(copied.is_ok()),
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
