//! The git directory that the task sees: its own refs, index, configuration and objects, with the user's objects
//! as the only tie (`objects/info/alternates`). Nothing that a task does in it reaches the user's repository.
//!
//! It is always of the files backend, whatever the user's is. [`super::private_config`] says what of the user's
//! configuration comes along.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::trash;
use super::worktree::{self, Place};
use super::{GitError, Repository, private_config};
use crate::core::id::CommitId;
use crate::process::Tool;

/// A copy of `packed-refs` as it was at the start, to tell what a task made from what it was given.
pub(super) const REFS_AT_START: &str = "pleach-refs-at-start";

/// What a private git directory starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Private {
    /// The commit that its branch starts at.
    pub base: CommitId,
    /// The branch that HEAD names, such as `pleach/7-lint`.
    pub branch: String,
}

/// Make the private git directory at `dir`. It appears there in one step, complete; where it is there already,
/// nothing is done.
///
/// `checkout_git_dir` is the git directory of the user's own checkout (`git rev-parse --absolute-git-dir`
/// there), where sparse patterns and settings of that checkout come from; the repository's own by default.
///
/// # Errors
/// Where the repository cannot be read or the directory not written.
pub fn create(
    repo: &Repository,
    dir: &Path,
    private: &Private,
    checkout_git_dir: Option<&Path>,
) -> Result<(), GitError> {
    if fs::symlink_metadata(dir.join("HEAD")).is_ok() {
        return Ok(());
    }
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let draft = dir.with_file_name(name);
    trash::delete(&draft)?;
    fill(repo, &draft, private, checkout_git_dir.unwrap_or(repo.common_dir()))?;
    // A directory without HEAD is no git directory, and not of our making.
    let _ = fs::remove_dir(dir);
    fs::rename(&draft, dir).map_err(GitError::file("create", dir))
}

/// Fill the worktree from HEAD, with the user's filters and sparse patterns; no hook runs. Files that are there
/// are overwritten, so that it can be repeated after a crash, before the task has started.
///
/// # Errors
/// Where a file cannot be written, a required filter fails or an object is missing.
pub fn checkout(private_dir: &Path, worktree: &Path) -> Result<(), GitError> {
    // It is ours alone, so a lock can only be left from a crash.
    let lock = private_dir.join("index.lock");
    match fs::remove_file(&lock) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(GitError::file("remove", lock)(error)),
        _ => {}
    }
    // As many workers as processors, where there are so many files that starting them pays: below that they only take
    // processors from tasks.
    let parallel = ["-c", "checkout.workers=0", "-c", "checkout.thresholdForParallelism=1000"];
    let settings = [&parallel[..], &["-c", "submodule.recurse=false"]].concat();
    git(private_dir, worktree).args(settings).args(["read-tree", "--reset", "-u", "HEAD"]).run()?;
    Ok(())
}

/// A git command inside. Only the shim of that very attempt may use it once the task has started: what a task
/// wrote there may run programs (filters).
pub fn git(private_dir: &Path, worktree: &Path) -> Tool {
    Tool::git().dir(worktree).arg("--git-dir").arg(private_dir).arg("--work-tree").arg(worktree).args([
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "core.fsmonitor=false",
        "-c",
        "gc.auto=0",
        "-c",
        "maintenance.auto=false",
    ])
}

fn fill(repo: &Repository, dir: &Path, private: &Private, checkout: &Path) -> Result<(), GitError> {
    let common = repo.common_dir();
    for inner in ["objects/info", "objects/pack", "refs/heads", "refs/tags", "info", "logs"] {
        let path = dir.join(inner);
        fs::create_dir_all(&path).map_err(GitError::file("create", &path))?;
    }
    let name = common_name(dir);
    link(common, &name)?;
    write(&dir.join("objects/info/alternates"), &alternates(&[&name.join("objects")]))?;
    for name in ["shallow", "info/exclude", "info/attributes"] {
        copy(&common.join(name), &dir.join(name))?;
    }
    copy(&checkout.join("info/sparse-checkout"), &dir.join("info/sparse-checkout"))?;
    write(&dir.join("config"), &private_config::derive(repo, checkout, &name.join("hooks"))?)?;
    let refs = given_refs(repo, private)?;
    write(&dir.join("packed-refs"), &refs.packed)?;
    write(&dir.join(REFS_AT_START), &refs.packed)?;
    for (name, target) in refs.symbolic {
        let path = dir.join(Path::new(std::ffi::OsStr::from_bytes(&name)));
        let parent = path.parent().unwrap_or(dir);
        fs::create_dir_all(parent).map_err(GitError::file("create", parent))?;
        write(&path, &[b"ref: ", &target[..], b"\n"].concat())?;
    }
    write(&dir.join("HEAD"), format!("ref: refs/heads/{}\n", private.branch).as_bytes())
}

/// How a private repository calls the user's: a link beside it. In a sandbox, where another thing may be at the path of the
/// user's repository, the repository itself is there.
pub fn common_name(private_dir: &Path) -> PathBuf {
    private_dir.with_file_name("common")
}

fn link(common: &Path, name: &Path) -> Result<(), GitError> {
    if fs::read_link(name).is_ok_and(|leads| leads == common) {
        return Ok(());
    }
    match fs::remove_file(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(GitError::file("replace", name)(error)),
        _ => {}
    }
    match std::os::unix::fs::symlink(common, name) {
        // Somebody was faster, with the same.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(GitError::file("make a link at", name)),
    }
}

/// A path as git reads it in `objects/info/alternates`: in quotes where it holds one of the `special` bytes.
pub(super) fn quoted(path: &Path, special: &[u8]) -> Vec<u8> {
    let path = path.as_os_str().as_bytes();
    if !path.iter().any(|byte| special.contains(byte)) {
        return path.to_vec();
    }
    let mut text = vec![b'"'];
    for byte in path {
        match byte {
            b'\n' => text.extend(b"\\n"),
            b'"' | b'\\' => text.extend([b'\\', *byte]),
            _ => text.push(*byte),
        }
    }
    text.push(b'"');
    text
}

/// The text of `objects/info/alternates`, which is read line by line.
pub(super) fn alternates(objects: &[&Path]) -> Vec<u8> {
    objects.iter().flat_map(|path| [quoted(path, b"\n\""), b"\n".to_vec()].concat()).collect()
}

struct GivenRefs {
    packed: Vec<u8>,
    /// Such as `refs/remotes/origin/HEAD`, and what it leads to.
    symbolic: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A ref of the user.
#[derive(Debug, PartialEq, Eq)]
struct UserRef {
    name: Vec<u8>,
    id: Vec<u8>,
    /// What an annotated tag leads to; empty for all else.
    peeled: Vec<u8>,
    /// What a symbolic ref leads to; empty for all else.
    symref: Vec<u8>,
}

/// The user's branches, tags and remote branches, and the branch of the task.
fn given_refs(repo: &Repository, private: &Private) -> Result<GivenRefs, GitError> {
    let (refs, is_peeled) = match refs_by_library(repo) {
        Some(refs) => (refs, true),
        None => refs_by_git(repo)?,
    };
    let own = format!("refs/heads/{}", private.branch);
    let own_line = (own.clone().into_bytes(), private.base.to_string().into_bytes(), Vec::new());
    let mut lines = vec![own_line];
    let mut symbolic = Vec::new();
    for UserRef { name, id, peeled, symref } in refs {
        if name.starts_with(b"refs/heads/pleach/") || clash(&name, own.as_bytes()) {
            continue;
        }
        if !symref.is_empty() && name.starts_with(b"refs/remotes/") {
            symbolic.push((name, symref));
        } else {
            lines.push((name, id, peeled));
        }
    }
    lines.sort();
    let header = if is_peeled { "peeled fully-peeled sorted" } else { "sorted" };
    let mut packed = format!("# pack-refs with: {header} \n").into_bytes();
    for (name, id, peeled) in lines {
        packed.extend([&id[..], b" ", &name, b"\n"].concat());
        if !peeled.is_empty() {
            packed.extend([b"^", &peeled[..], b"\n"].concat());
        }
    }
    Ok(GivenRefs { packed, symbolic })
}

/// The refs, sorted by name, and whether all are peeled.
fn refs_by_git(repo: &Repository) -> Result<(Vec<UserRef>, bool), GitError> {
    let ask = |format: &str| {
        let ask = repo.git().args(["for-each-ref", "--sort=refname", &format!("--format={format}")]);
        ask.args(["refs/heads", "refs/tags", "refs/remotes"]).output()
    };
    // Peeling reads each object: one that is missing fails the whole answer, but not without peeling.
    let mut answer = ask("%(objectname) %(*objectname) %(symref) %(refname)")?;
    let is_peeled = answer.code == Some(0);
    if !is_peeled {
        answer = ask("%(objectname)  %(symref) %(refname)")?;
    }
    let refs = answer.stdout.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut words = line.splitn(4, |byte| *byte == b' ').map(<[u8]>::to_vec);
        let (id, peeled, symref, name) = (words.next()?, words.next()?, words.next()?, words.next()?);
        Some(UserRef { name, id, peeled, symref })
    });
    Ok((refs.collect(), is_peeled))
}

/// The same without a process, sorted and peeled; none where the library cannot read each of them.
fn refs_by_library(repo: &Repository) -> Option<Vec<UserRef>> {
    let library = repo.library()?;
    let odb = library.odb().ok()?;
    let mut refs = Vec::new();
    for reference in library.references().ok()? {
        let reference = reference.ok()?;
        let name = reference.name_bytes().to_vec();
        if !["refs/heads/", "refs/tags/", "refs/remotes/"].iter().any(|top| name.starts_with(top.as_bytes())) {
            continue;
        }
        let resolved = match reference.resolve() {
            Ok(resolved) => resolved,
            // It leads to a branch that is no more: git does not tell it either.
            Err(error) if error.code() == git2::ErrorCode::NotFound => continue,
            Err(_) => return None,
        };
        let is_symbolic = reference.kind() == Some(git2::ReferenceType::Symbolic);
        let symref = if is_symbolic { resolved.name_bytes().to_vec() } else { Vec::new() };
        let id = resolved.target()?;
        let (_, kind) = odb.read_header(id).ok()?;
        let peeled = match kind {
            git2::ObjectType::Tag => resolved.peel(git2::ObjectType::Any).ok()?.id().to_string().into_bytes(),
            _ => Vec::new(),
        };
        refs.push(UserRef { name, id: id.to_string().into_bytes(), peeled, symref });
    }
    refs.sort_by(|one, other| one.name.cmp(&other.name));
    Some(refs)
}

/// Are they one name, or is one a directory of the other?
fn clash(one: &[u8], other: &[u8]) -> bool {
    let below = |long: &[u8], short: &[u8]| long.strip_prefix(short).is_some_and(|rest| rest.starts_with(b"/"));
    one == other || below(one, other) || below(other, one)
}

pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), GitError> {
    File::create(path).and_then(|mut file| file.write_all(bytes)).map_err(GitError::file("write", path))
}

/// Copy a file where there is one: never a hard link, for the copy is writable in place.
fn copy(from: &Path, to: &Path) -> Result<(), GitError> {
    match fs::read(from) {
        Ok(bytes) => write(to, &bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(GitError::file("read", from)(error)),
    }
}

/// Where [`super::snapshot`] builds a substitute for a private directory that a task broke.
pub(super) fn substitute_of(private_dir: &Path) -> PathBuf {
    let mut name = private_dir.file_name().unwrap_or_default().to_owned();
    name.push(".substitute");
    private_dir.with_file_name(name)
}

/// Give the entry of the worktree in the user's repository the index of what was just checked out, so that git tells the user what a running task has changed: without
/// one, all files would be new to it. It is a copy, as the task writes its own.
///
/// # Errors
/// Where it cannot be copied.
pub fn give_index(repo: &Repository, place: &Place) -> Result<(), GitError> {
    let entries = fs::read_dir(&place.private).map_err(GitError::file("read", &place.private))?;
    // Half of it is elsewhere, which only its own git directory knows of.
    let is_split = entries.flatten().any(|entry| entry.file_name().as_bytes().starts_with(b"sharedindex."));
    let (from, admin) = (place.private.join("index"), worktree::admin_dir(repo, &place.worktree));
    if is_split || fs::symlink_metadata(&from).is_err() {
        return Ok(());
    }
    let (draft, index) = (admin.join("index.new"), admin.join("index"));
    fs::copy(&from, &draft).map_err(GitError::file("write", &draft))?;
    fs::rename(&draft, &index).map_err(GitError::file("write", &index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_tells_the_refs_that_git_tells() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        let git = |args: &[&str]| {
            let who = ["-c", "user.name=x", "-c", "user.email=x@y", "-c", "advice.nestedTag=false"];
            Tool::git().dir(&top).args(who).args(args).run().unwrap()
        };
        git(&["init", "-q", "-b", "main"]);
        git(&["commit", "-q", "--allow-empty", "-m", "first"]);
        git(&["tag", "-am", "packed", "packed"]);
        git(&["branch", "a/b"]);
        git(&["pack-refs", "--all"]);
        git(&["commit", "-q", "--allow-empty", "-m", "second"]);
        git(&["tag", "-am", "nested", "nested", "packed"]);
        git(&["tag", "light"]);
        git(&["tag", "tree", "HEAD^{tree}"]);
        git(&["branch", "\u{e9}-a.b"]);
        git(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
        git(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main"]);
        git(&["symbolic-ref", "refs/remotes/origin/chain", "refs/remotes/origin/HEAD"]);
        git(&["symbolic-ref", "refs/remotes/gone/HEAD", "refs/remotes/gone/main"]);
        git(&["symbolic-ref", "refs/heads/alias", "refs/heads/main"]);
        git(&["update-ref", "refs/other/x", "HEAD"]);
        let repo = Repository::at(top.join(".git"));
        let (by_git, is_peeled) = refs_by_git(&repo).unwrap();
        assert!(is_peeled && by_git.len() >= 11, "{by_git:?}");
        assert_eq!(refs_by_library(&repo), Some(by_git));
        write(&top.join(".git/refs/heads/broken"), format!("{}\n", "12".repeat(20)).as_bytes()).unwrap();
        assert_eq!(refs_by_library(&repo), None);
    }
}
