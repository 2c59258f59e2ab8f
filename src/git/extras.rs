//! What a task left in its private repository beside its HEAD: branches, tags, stashes, staged content.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{GitError, Repository, private};
use crate::core::id::CommitId;
use crate::core::word::Word;

/// Where staged content is kept that the worktree does not hold.
pub(super) const STAGED: &str = "refs/pleach/index";

/// All of that, by name, less what `tip` or `base` hold. No process where there is nothing.
///
/// # Errors
/// Where git cannot be asked.
pub(super) fn find(
    repo: &Repository,
    private_dir: &Path,
    tip: CommitId,
    base: CommitId,
) -> Result<Vec<(String, CommitId)>, GitError> {
    let git = || private::git(private_dir, private_dir);
    let given = refs_at_start(repo, private_dir)?;
    let refs = match refs_in_process(private_dir) {
        Some(refs) => refs,
        None => {
            // A broken ref is a warning and a code; the others are told all the same.
            let refs = git().args(["for-each-ref", "--format=%(objectname) %(refname)"]);
            let told = refs.args(["refs/heads", "refs/tags", "refs/stash", "refs/notes", STAGED]).output()?;
            let mut refs: BTreeMap<_, _> = pairs(&told.stdout).map(|(name, id)| (name.to_vec(), id.to_vec())).collect();
            // Where the list of packed ones is broken, git tells none at all.
            if told.code != Some(0) {
                for (name, id) in refs_by_hand(private_dir).into_iter().filter(|(name, _)| is_theirs(name)) {
                    refs.entry(name).or_insert_with(|| id.to_string().into_bytes());
                }
            }
            refs.into_iter().collect()
        }
    };
    let known = [tip.to_string().into_bytes(), base.to_string().into_bytes()];
    let mut found: Vec<(String, String)> = Vec::new();
    for (name, id) in &refs {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if name == b"refs/stash" {
            let entries = git().args(["rev-list", "--walk-reflogs", "refs/stash", "--"]).output()?;
            let entries = if entries.code == Some(0) { text(&entries.stdout) } else { text(id) };
            found.extend(entries.lines().enumerate().map(|(n, entry)| (format!("stash-{n}"), entry.to_owned())));
        } else if given.get(name) != Some(id) && !known.iter().any(|known| known == id) {
            found.push((component(name), text(id)));
        }
    }
    new_commits(private_dir, found, tip, base)
}

/// The same of a git directory that git cannot work with: its refs are read by hand, and looked up in `dir`, which sees its
/// objects. What is not whole is left.
///
/// # Errors
/// Where git cannot be asked in `dir`.
pub(super) fn rescue(
    repo: &Repository,
    broken: &Path,
    dir: &Path,
    (tip, base): (CommitId, CommitId),
    is_whole: &dyn Fn(CommitId) -> bool,
) -> Result<Vec<(String, CommitId)>, GitError> {
    let given = refs_at_start(repo, broken)?;
    let mut found = Vec::new();
    for (name, id) in refs_by_hand(broken) {
        let counts =
            is_theirs(&name) && name != b"refs/stash" && given.get(&name) != Some(&id.to_string().into_bytes());
        if counts && id != tip && id != base && is_whole(id) {
            found.push((component(&name), id.to_string()));
        }
    }
    let log = fs::read_to_string(broken.join("logs/refs/stash")).unwrap_or_default();
    let entries = log.lines().rev().filter_map(|line| line.split(' ').nth(1)?.parse::<CommitId>().ok());
    let entries = entries.filter(|id| is_whole(*id)).enumerate();
    found.extend(entries.map(|(n, id)| (format!("stash-{n}"), id.to_string())));
    new_commits(dir, found, tip, base)
}

/// Every ref that a file or the list of packed refs names.
fn refs_by_hand(dir: &Path) -> BTreeMap<Vec<u8>, CommitId> {
    let id = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.trim_end().parse::<CommitId>().ok();
    let packed = fs::read(dir.join("packed-refs")).unwrap_or_default();
    let mut refs: BTreeMap<_, _> = pairs(&packed).filter_map(|(name, of)| Some((name.to_vec(), id(of)?))).collect();
    for entry in walkdir::WalkDir::new(dir.join("refs")).follow_links(false).into_iter().flatten() {
        let name = entry.path().strip_prefix(dir).unwrap_or(entry.path()).as_os_str().as_bytes().to_vec();
        if let Some(id) = read_small(entry.path()).and_then(|text| id(text.as_bytes())) {
            refs.insert(name, id);
        }
    }
    refs
}

/// Of these commits, those that neither `tip` nor `base` holds.
fn new_commits(
    dir: &Path,
    found: Vec<(String, String)>,
    tip: CommitId,
    base: CommitId,
) -> Result<Vec<(String, CommitId)>, GitError> {
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let git = || private::git(dir, dir);
    let names: String = found.iter().map(|(_, id)| format!("{id}^{{commit}}\n")).collect();
    let commits = git().args(["cat-file", "--batch-check=%(objectname)"]).input(names).run()?;
    let commits = String::from_utf8_lossy(&commits).into_owned();
    let commits = found.into_iter().zip(commits.lines()).filter_map(|((name, _), id)| Some((name, id.parse().ok()?)));
    let commits: Vec<(String, CommitId)> = commits.collect();
    let wanted: String = commits.iter().map(|(_, id)| format!("{id}\n")).collect();
    let walk = git().args(["rev-list", "--stdin", "--"]).input(format!("{wanted}^{tip}\n^{base}\n")).run()?;
    let walk = String::from_utf8_lossy(&walk).into_owned();
    let new: BTreeSet<&str> = walk.lines().collect();
    let all = distinct(commits.into_iter().filter(|(_, id)| new.contains(id.to_string().as_str())));
    bounded(dir, all, tip)
}

/// More are not kept one by one.
const MOST: usize = 200;

/// What is beyond that many is one commit more, of which all of them are parents, and whose message has their names:
/// nothing of it is lost, and nobody has to list refs without end.
fn bounded(dir: &Path, mut all: Vec<(String, CommitId)>, tip: CommitId) -> Result<Vec<(String, CommitId)>, GitError> {
    if all.len() <= MOST {
        return Ok(all);
    }
    let rest = all.split_off(MOST - 1);
    let tree = private::git(dir, dir).args(["rev-parse", &format!("{tip}^{{tree}}")]).line()?;
    let parents: BTreeSet<CommitId> = rest.iter().map(|(_, id)| *id).collect();
    let parents: String = parents.iter().map(|id| format!("parent {id}\n")).collect();
    let names: String = rest.iter().map(|(name, id)| format!("{id} {name}\n")).collect();
    let count = rest.len();
    let text = format!(
        "tree {tree}\n{parents}author pleach <pleach@localhost> 0 +0000\ncommitter pleach <pleach@localhost> 0 +0000\n\n\
         {count} more that a task left\n\nEach is a parent of this commit; `git branch NAME COMMIT` makes a branch of it.\n\n{names}"
    );
    let answer = private::git(dir, dir).args(["hash-object", "-t", "commit", "-w", "--stdin"]).input(text).line()?;
    let commit = answer.parse().map_err(|_| GitError::Answer { command: "hash-object", answer })?;
    all.push((format!("and-{count}-more"), commit));
    Ok(all)
}

/// The same refs as `for-each-ref` tells, by the library; none where it cannot read all of them.
fn refs_in_process(private_dir: &Path) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let library = git2::Repository::open(private_dir).ok()?;
    let mut found = Vec::new();
    for reference in library.references().ok()? {
        let reference = reference.ok()?;
        let name = reference.name_bytes().to_vec();
        if is_theirs(&name) {
            found.push((name, reference.resolve().ok()?.target()?.to_string().into_bytes()));
        }
    }
    found.sort();
    Some(found)
}

/// Is this a ref that a task makes?
fn is_theirs(name: &[u8]) -> bool {
    ["refs/heads/", "refs/tags/", "refs/notes/"].iter().any(|top| name.starts_with(top.as_bytes()))
        || [&b"refs/stash"[..], STAGED.as_bytes()].contains(&name)
}

/// HEAD of a git directory that git itself cannot work with.
pub(super) fn head_by_hand(dir: &Path) -> Option<CommitId> {
    let head = read_small(&dir.join("HEAD"))?;
    let Some(name) = head.trim_end().strip_prefix("ref: ") else {
        return head.trim_end().parse().ok();
    };
    if name.split('/').any(|part| part == ".." || part.is_empty()) {
        return None;
    }
    if let Some(loose) = read_small(&dir.join(name)) {
        return loose.trim_end().parse().ok();
    }
    let packed = fs::read(dir.join("packed-refs")).ok()?;
    let found = pairs(&packed).find(|(packed, _)| *packed == name.as_bytes())?;
    std::str::from_utf8(found.1).ok()?.parse().ok()
}

fn read_small(path: &Path) -> Option<String> {
    let meta = fs::symlink_metadata(path).ok()?;
    if meta.is_file() && meta.len() < 4096 { fs::read_to_string(path).ok() } else { None }
}

fn refs_at_start(repo: &Repository, private_dir: &Path) -> Result<HashMap<Vec<u8>, Vec<u8>>, GitError> {
    if let Ok(packed) = fs::read(private_dir.join(private::REFS_AT_START)) {
        return Ok(pairs(&packed).map(|(name, id)| (name.to_vec(), id.to_vec())).collect());
    }
    let refs = repo.refs_below("refs/")?;
    Ok(refs.into_iter().map(|(name, id)| (name.into_bytes(), id.to_string().into_bytes())).collect())
}

/// The lines `<id> <name>`, as name and id.
fn pairs(lines: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    lines.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#") && !line.starts_with(b"^")).filter_map(
        |line| {
            let space = line.iter().position(|byte| *byte == b' ')?;
            Some((&line[space + 1..], &line[..space]))
        },
    )
}

/// A ref name as one component of another: `refs/heads/a/b` becomes `branch-a-b`.
fn component(name: &[u8]) -> String {
    let name = Word::from(name.to_vec()).as_os_str().to_string_lossy().into_owned();
    let kinds = [("refs/heads/", "branch-"), ("refs/tags/", "tag-"), ("refs/pleach/", ""), ("refs/", "")];
    let (kind, rest) =
        kinds.iter().find_map(|(prefix, kind)| Some((*kind, name.strip_prefix(prefix)?))).unwrap_or(("", &name));
    let clean = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '-' };
    let text: String = kind.chars().chain(rest.chars().map(clean)).take(100).collect();
    // Ref names are compared as files by some; a dot is only kept where it cannot make `.lock` or `..`.
    text.trim_matches('-').to_owned()
}

/// The same, each name once.
fn distinct(extras: impl Iterator<Item = (String, CommitId)>) -> Vec<(String, CommitId)> {
    let mut taken = BTreeSet::new();
    let mut name_it = |name: String| {
        let mut names = std::iter::once(name.clone()).chain((2..).map(|n| format!("{name}-{n}")));
        names.find(|name| taken.insert(name.to_lowercase())).expect("there are more numbers than names")
    };
    extras.map(|(name, id)| (name_it(name), id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_fit_for_a_component() {
        assert_eq!(component(b"refs/heads/a/b.lock"), "branch-a-b-lock");
        assert_eq!(component(b"refs/tags/v1.0"), "tag-v1-0");
        assert_eq!(component(b"refs/heads/\xff\xc3\xa9"), "branch");
        let id: CommitId = "0123456789abcdef0123456789abcdef01234567".parse().unwrap();
        let names = distinct(["a", "A", "a", "b"].iter().map(|name| ((*name).to_owned(), id)));
        assert_eq!(names.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "A-2", "a-3", "b"]);
    }
}
