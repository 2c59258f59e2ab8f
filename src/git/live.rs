//! The files of a running task as a tree, without any git directory that the task may write.
//!
//! A git directory of our own reads the task's objects and nothing else of its private repository: not its
//! configuration, hooks, refs or index. Of the user's configuration only filters of Git LFS may run, because a filter
//! runs beside the task's files, outside the sandbox, and may name a program among them. No nested repository is
//! asked anything.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::fold::read_if_there;
use super::overlay::{Reading, Seen, Upper};
use super::{GitError, Repository};
use crate::core::id::{CommitId, TreeId};
use crate::core::word::Word;
use crate::process::tool::fields;
use crate::process::{Tool, beneath};

/// A running task may remove a file while we read it: how often we begin again.
const TRIES: u32 = 3;

/// The files of a worktree as a tree, as `git add --all` would make it of the index of `base`; and the directory of
/// objects to read it from (see [`Reader::with`](super::diff::Reader::with)). `scratch` is ours alone.
///
/// Every file is read, for no index tells which are unchanged.
///
/// # Errors
/// Where git cannot be run, or files vanish again and again while they are read.
pub fn tree_of_files(
    repo: &Repository,
    private_objects: &Path,
    files: Files<'_>,
    base: CommitId,
    scratch: &Path,
) -> Result<(TreeId, PathBuf), GitError> {
    let look = Look::prepare(repo, private_objects, files, scratch)?;
    let mut failed = None;
    for _ in 0..TRIES {
        match look.tree(base) {
            Ok(tree) => return Ok((tree, look.git_dir.join("objects"))),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or(GitError::Answer { command: "write-tree", answer: String::new() }))
}

/// The files of a running task.
#[derive(Debug, Clone, Copy)]
pub enum Files<'a> {
    /// They are in a worktree.
    Worktree(&'a Path),
    /// What it wrote is here, and lies over the files of its base.
    Upper(&'a Path),
}

struct Look<'a> {
    git_dir: PathBuf,
    worktree: &'a Path,
    is_upper: bool,
    options: Vec<OsString>,
    sparse: Option<PathBuf>,
}

impl<'a> Look<'a> {
    fn prepare(repo: &Repository, private_objects: &Path, files: Files<'a>, scratch: &Path) -> Result<Self, GitError> {
        let (worktree, is_upper) = match files {
            Files::Worktree(worktree) => (worktree, false),
            Files::Upper(upper) => (upper, true),
        };
        fs::create_dir_all(scratch).map_err(GitError::file("make", scratch))?;
        let git_dir = scratch.join("git");
        let format = repo.git().args(["rev-parse", "--show-object-format"]).line()?;
        let init = Tool::git().dir(scratch).args(["init", "--quiet", "--bare", "--template=", "--object-format"]);
        init.arg(format).arg(&git_dir).run()?;
        let alternates = [repo.common_dir().join("objects").as_path(), private_objects].map(line_of);
        put(&git_dir.join("objects/info/alternates"), &alternates.concat())?;
        if let Some(exclude) = read_if_there(&repo.common_dir().join("info/exclude"))? {
            put(&git_dir.join("info/exclude"), &exclude)?;
        }
        // What the sparse checkout of the task leaves out is not deleted.
        let rules = private_objects.parent().and_then(|git| sparse_rules(git).ok());
        let sparse = rules.map(|rules| put(&git_dir.join("info/rules"), &rules).map(|()| git_dir.join("info/rules")));
        let sparse = sparse.transpose()?;
        Ok(Self { options: options(repo)?, git_dir, worktree, is_upper, sparse })
    }

    fn git(&self) -> Tool {
        let tool = Tool::git().dir(self.worktree).arg("--git-dir").arg(&self.git_dir);
        tool.arg("--work-tree").arg(self.worktree).args(&self.options)
    }

    fn tree(&self, base: CommitId) -> Result<TreeId, GitError> {
        self.git().args(["read-tree", &base.to_string()]).run()?;
        let (mut there, mut gone, mut below) = (Vec::new(), Vec::new(), Vec::new());
        let written = self.is_upper.then(|| Upper::read(self.worktree, Reading::Live)).transpose();
        let written = written.map_err(GitError::file("read", self.worktree))?;
        let tracked = self.git().args(["ls-files", "--stage", "-z"]).run()?;
        for line in fields(&tracked).filter(|line| !line.starts_with(b"160000")) {
            let Some(tab) = line.iter().position(|byte| *byte == b'\t') else { continue };
            let path = Word::from(line[tab + 1..].to_vec());
            match written.as_ref().map(|written| written.seen(&path)) {
                Some(Seen::Below) => below.push(path),
                Some(Seen::Gone) => gone.push(path),
                _ if self.has_file(&path) => there.push(path),
                _ => gone.push(path),
            }
        }
        if !below.is_empty() {
            // As what a sparse checkout leaves out: it is not missed, and rules in it are read from the objects.
            let names: Vec<u8> = below.iter().flat_map(|path| [path.as_bytes(), b"\0"].concat()).collect();
            self.git().args(["update-index", "--skip-worktree", "-z", "--stdin"]).input(names).run()?;
        }
        let gone = self.really_gone(gone)?;
        let others = self.git().args(["ls-files", "--others", "--exclude-standard", "-z"]).run()?;
        // With a slash at its end it is a repository of its own.
        let others = fields(&others).filter(|path| !path.ends_with(b"/")).map(|path| Word::from(path.to_vec()));
        there.extend(others.filter(|path| self.has_file(path)));
        let null = base.null();
        let removals: Vec<u8> =
            gone.iter().flat_map(|path| [format!("0 {null}\t").as_bytes(), path.as_bytes(), b"\0"].concat()).collect();
        self.git().args(["update-index", "-z", "--index-info"]).input(removals).run()?;
        let names: Vec<u8> = there.iter().flat_map(|path| [path.as_bytes(), b"\0"].concat()).collect();
        self.git().args(["update-index", "--add", "--remove", "--replace", "-z", "--stdin"]).input(names).run()?;
        super::repository::parse("write-tree", &self.git().arg("write-tree").line()?)
    }

    /// Is there a file or a link, below directories only?
    fn has_file(&self, path: &Word) -> bool {
        let seen = beneath::Top::open(self.worktree).and_then(|files| files.seen(path.as_path()));
        let kind = seen.map(|seen| FileType::from_raw_mode(seen.st_mode));
        kind.is_ok_and(|kind| matches!(kind, FileType::RegularFile | FileType::Symlink))
    }

    /// Less those that a sparse checkout never had.
    fn really_gone(&self, gone: Vec<Word>) -> Result<Vec<Word>, GitError> {
        let Some(rules) = self.sparse.as_ref().filter(|_| !gone.is_empty()) else { return Ok(gone) };
        let names: Vec<u8> = gone.iter().flat_map(|path| [path.as_bytes(), b"\0"].concat()).collect();
        let asked = self.git().args(["sparse-checkout", "check-rules", "-z", "--rules-file"]).arg(rules);
        let answer = asked.input(names).run()?;
        let inside: BTreeSet<&[u8]> = fields(&answer).collect();
        Ok(gone.into_iter().filter(|path| inside.contains(path.as_bytes())).collect())
    }
}

/// What the task wrote may be no file of any length: a copy is read.
fn sparse_rules(private_dir: &Path) -> std::io::Result<Vec<u8>> {
    const MOST: u64 = 16 << 20;
    let mut rules = Vec::new();
    beneath::open(private_dir, Path::new("info/sparse-checkout"))?.take(MOST).read_to_end(&mut rules)?;
    Ok(rules)
}

/// The user's configuration, less all that could start a program.
fn options(repo: &Repository) -> Result<Vec<OsString>, GitError> {
    let mut options: Vec<OsString> = Vec::new();
    let mut set = |value: OsString| options.extend(["-c".into(), value]);
    let mut include = OsString::from("include.path=");
    include.push(repo.common_dir().join("config"));
    set(include);
    for fixed in ["core.fsmonitor=false", "core.hooksPath=/dev/null", "core.sparseCheckout=false", "gc.auto=0"] {
        set(fixed.into());
    }
    let asked = repo.git().args(["config", "-z", "--get-regexp", r"^filter\..*\.(clean|process)$"]).output()?;
    for pair in fields(&asked.stdout) {
        let (key, command) = match pair.iter().position(|byte| *byte == b'\n') {
            Some(end) => (&pair[..end], &pair[end + 1..]),
            None => (pair, &b""[..]),
        };
        if command.starts_with(b"git-lfs ") || command.starts_with(b"git lfs ") {
            continue;
        }
        set(OsString::from_vec([key, b"="].concat()));
        let name = key.iter().rposition(|byte| *byte == b'.').map_or(key, |dot| &key[..dot]);
        set(OsString::from_vec([name, b".required=false"].concat()));
    }
    Ok(options)
}

pub(super) fn put(path: &Path, bytes: &[u8]) -> Result<(), GitError> {
    let dir = path.parent().unwrap_or(path);
    fs::create_dir_all(dir).map_err(GitError::file("make", dir))?;
    fs::File::create(path).and_then(|mut file| file.write_all(bytes)).map_err(GitError::file("write", path))
}

/// A line of `alternates`: in quotes only where it must be, for the library does not know them.
fn line_of(path: &Path) -> Vec<u8> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.contains(&b'\n') || bytes.starts_with(b"\"") {
        return [always_quoted(path).as_bytes(), b"\n"].concat();
    }
    [bytes, b"\n"].concat()
}

/// A path in git's own quotes.
pub(super) fn always_quoted(path: &Path) -> OsString {
    OsString::from_vec(quoted(path.as_os_str().as_bytes()))
}

/// A path in git's own quotes.
pub(super) fn quoted(path: &[u8]) -> Vec<u8> {
    let mut line = vec![b'"'];
    for byte in path {
        match byte {
            b'"' | b'\\' => line.extend([b'\\', *byte]),
            b' '..=b'~' => line.push(*byte),
            _ => line.extend(format!("\\{byte:03o}").into_bytes()),
        }
    }
    line.push(b'"');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_as_git_reads_them() {
        assert_eq!(quoted(b"a \"b\"\\\n\xff"), b"\"a \\\"b\\\"\\\\\\012\\377\"");
    }
}
