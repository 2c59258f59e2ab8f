//! The conservation check: a landing changes what the change did, and nothing else.
//!
//! It has caught what colours cannot: a merge made on a wrong base is clean, green, and takes back other people's
//! work. The rule: a path that differs between the head and what would land must differ in the change, or be where a
//! rename (of a file, or of its directory, by either side) leads such a path.

use std::collections::{BTreeMap, BTreeSet};

use super::GitError;
use super::opened::Opened;
use crate::core::id::CommitId;
use crate::core::word::Word;
use crate::process::tool::fields;

/// The paths of `head..to` that the change `bases..tip` does not account for. None is good.
pub(super) fn beyond(
    opened: &Opened<'_>,
    head: CommitId,
    to: CommitId,
    bases: &[CommitId],
    tip: CommitId,
) -> Result<Vec<Word>, GitError> {
    let mut allowed = BTreeSet::new();
    for &base in bases {
        allowed.extend(changed(opened, base, tip)?);
    }
    let mut left: Vec<Word> = changed(opened, head, to)?.into_iter().filter(|path| !allowed.contains(path)).collect();
    // Renames are asked for only now: they are rare and dear.
    for &base in bases {
        if left.is_empty() {
            break;
        }
        let ours = Renames::between(opened.repo, base, head)?;
        let theirs = Renames::between(opened.repo, base, tip)?;
        let by_us = changed(opened, base, head)?;
        let reached: BTreeSet<Word> = allowed.iter().flat_map(|path| ours.destinations(path)).collect();
        // Their renamed directory takes our new files along: away from the one place, to the other.
        let moved: BTreeSet<Word> = by_us
            .iter()
            .map(|path| (path, theirs.destinations(path)))
            .filter(|(_, places)| !places.is_empty())
            .flat_map(|(path, places)| places.into_iter().chain([path.clone()]))
            .collect();
        left.retain(|path| !reached.contains(path) && !moved.contains(path));
    }
    Ok(left)
}

/// The paths that differ.
pub(super) fn changed(opened: &Opened<'_>, from: CommitId, to: CommitId) -> Result<BTreeSet<Word>, GitError> {
    Ok(opened.difference(from, to)?.into_keys().collect())
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Renames {
    files: BTreeMap<Vec<u8>, Vec<u8>>,
    dirs: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>,
}

impl Renames {
    fn between(repo: &super::Repository, from: CommitId, to: CommitId) -> Result<Self, GitError> {
        let asked = repo.git().args(["diff-tree", "-r", "-z", "-M", "-l7000", "--diff-filter=R", "--name-status"]);
        let answer = asked.args([from.to_string(), to.to_string()]).run()?;
        let mut words = fields(&answer);
        let mut renames = Self::default();
        while let (Some(_status), Some(old), Some(new)) = (words.next(), words.next(), words.next()) {
            renames.add(old, new);
        }
        Ok(renames)
    }

    /// A renamed file, and every pair of directories that it speaks for: `a/x/f -> b/x/f` for `a/x -> b/x` and `a -> b`.
    fn add(&mut self, old: &[u8], new: &[u8]) {
        self.files.insert(old.to_vec(), new.to_vec());
        let (mut old, mut new) = (parent(old), parent(new));
        while let (Some(old_dir), Some(new_dir)) = (old, new) {
            if old_dir == new_dir {
                break;
            }
            self.dirs.entry(old_dir.to_vec()).or_default().insert(new_dir.to_vec());
            if last(old_dir) != last(new_dir) {
                break;
            }
            (old, new) = (parent(old_dir), parent(new_dir));
        }
    }

    /// Where a path may have gone.
    fn destinations(&self, path: &Word) -> Vec<Word> {
        let path = path.as_bytes();
        let mut places: Vec<Word> = self.files.get(path).map(|new| Word::from(new.clone())).into_iter().collect();
        let mut dir = parent(path);
        while let Some(above) = dir {
            let rest = path[above.len()..].strip_prefix(b"/").unwrap_or(&path[above.len()..]);
            for new_dir in self.dirs.get(above).into_iter().flatten() {
                let parts: &[&[u8]] = if new_dir.is_empty() { &[rest] } else { &[new_dir, rest] };
                places.push(Word::from(parts.join(&b'/')));
            }
            dir = parent(above);
        }
        places
    }
}

/// `a/b` for `a/b/c`, the empty path for `a`, none for the empty path.
fn parent(path: &[u8]) -> Option<&[u8]> {
    let slash = path.iter().rposition(|byte| *byte == b'/');
    (!path.is_empty()).then(|| &path[..slash.unwrap_or(0)])
}

fn last(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::Repository;
    use super::*;

    #[test]
    fn a_renamed_file_speaks_for_its_directories() {
        let mut renames = Renames::default();
        renames.add(b"a/x/f", b"b/x/f");
        renames.add(b"top", b"sub/top");
        let places = |path: &str| {
            let words = renames.destinations(&Word::from(path));
            words.iter().map(Word::shown).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(places("a/x/new"), "b/x/new b/x/new sub/a/x/new");
        assert_eq!(places("a/new"), "b/new sub/a/new");
        assert_eq!(places("top"), "sub/top sub/top");
    }
    /// A merge made on a wrong base takes back what others did: the tree of the tip, on a head that has moved on.
    #[test]
    fn work_of_others_is_not_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let repo = Repository::at(dir.path());
        repo.git().args(["init", "-q", "--bare"]).run().unwrap();
        let commit = |files: &[(&str, &str)], parents: &[CommitId]| -> CommitId {
            let blob = |text: &str| repo.git().args(["hash-object", "-w", "--stdin"]).input(text).line().unwrap();
            let entries: String =
                files.iter().map(|(name, text)| format!("100644 blob {}\t{name}\n", blob(text))).collect();
            let tree = repo.git().arg("mktree").input(entries).line().unwrap();
            let me = ["-c", "user.name=me", "-c", "user.email=me@localhost", "commit-tree", "-m", "x", &tree];
            let tool = parents.iter().fold(repo.git().args(me), |tool, parent| tool.arg("-p").arg(parent.to_string()));
            tool.line().unwrap().parse().unwrap()
        };
        let base = commit(&[("a", "1"), ("b", "1")], &[]);
        let tip = commit(&[("a", "2"), ("b", "1")], &[base]);
        let head = commit(&[("a", "1"), ("b", "2"), ("c", "new")], &[base]);
        let right = commit(&[("a", "2"), ("b", "2"), ("c", "new")], &[head]);
        let wrong = commit(&[("a", "2"), ("b", "1")], &[head]);
        assert_eq!(beyond(&repo.open(), head, right, &[base], tip).unwrap(), []);
        assert_eq!(beyond(&repo.open(), head, wrong, &[base], tip).unwrap(), ["b", "c"].map(Word::from));
    }
}
