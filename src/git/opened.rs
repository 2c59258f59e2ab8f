//! A repository that is open for several questions: in process where the library can open it, else by `git`.
//!
//! What is asked here is in objects, which never change, and in configuration. Refs are read through a library that
//! was opened just now: it keeps what it has seen of them, and others write.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use git2::{Config, ErrorCode, ObjectType, Oid, Tree};

use super::checkout::{Entry, Sides};
use super::objects::Objects;
use super::repository::parse;
use super::{GitError, Repository};
use crate::core::id::{CommitId, TreeId};
use crate::core::word::Word;
use crate::process::Tool;
use crate::process::tool::fields;

/// A repository, and the library on it where it can open it.
pub(super) struct Opened<'a> {
    pub(super) repo: &'a Repository,
    library: Option<git2::Repository>,
    objects: OnceCell<Option<Objects<'static>>>,
}

impl Repository {
    /// Open it once, for several questions about the graph, trees and configuration.
    pub(super) fn open(&self) -> Opened<'_> {
        Opened { repo: self, library: self.library(), objects: OnceCell::new() }
    }
}

impl Opened<'_> {
    /// The library, where it can open this repository.
    pub(super) fn library(&self) -> Option<&git2::Repository> {
        self.library.as_ref()
    }

    /// The objects, for a walk over trees, where we see them as git does. (Also where there is no library.)
    pub(super) fn objects(&self) -> Option<&Objects<'static>> {
        self.objects.get_or_init(|| Objects::of(self.repo)).as_ref()
    }

    fn git(&self) -> Tool {
        self.repo.git()
    }

    /// As [`Repository::ref_value`].
    pub(super) fn ref_value(&self, name: &str) -> Result<Option<CommitId>, GitError> {
        if let Some(library) = &self.library {
            return Ok(library.refname_to_id(name).ok().and_then(|oid| oid.to_string().parse().ok()));
        }
        let asked = self.git().args(["rev-parse", "--verify", "--quiet", "--end-of-options", name]);
        self.repo.object_or_none(asked)
    }

    /// As [`Repository::tree_of`].
    pub(super) fn tree_of(&self, commit: CommitId) -> Result<TreeId, GitError> {
        if let Some(library) = &self.library {
            return parse("read tree", &library.find_commit(oid(commit)?)?.tree_id().to_string());
        }
        let answer = self.git().args(["rev-parse", "--verify", &format!("{commit}^{{tree}}")]).line()?;
        parse("rev-parse", &answer)
    }

    /// As [`Repository::is_ancestor`].
    pub(super) fn is_ancestor(&self, old: CommitId, new: CommitId) -> Result<bool, GitError> {
        if old == new {
            return Ok(true);
        }
        // The library does not know where the history of a shallow clone ends, and fails there.
        if let Some(library) = &self.library
            && let Ok(answer) = library.graph_descendant_of(oid(new)?, oid(old)?)
        {
            return Ok(answer);
        }
        let [old, new] = [old, new].map(|id| id.to_string());
        Ok(self.git().args(["merge-base", "--is-ancestor", &old, &new]).succeeds()?)
    }

    /// All best common ancestors.
    pub(super) fn merge_bases(&self, one: CommitId, other: CommitId) -> Result<Vec<CommitId>, GitError> {
        // "Not found" may be a base as well as a commit that a shallow clone does not have.
        if let Some(library) = &self.library
            && let Ok(bases) = library.merge_bases(oid(one)?, oid(other)?)
        {
            return bases.iter().map(|base| parse("merge-base", &base.to_string())).collect();
        }
        self.merge_bases_by_git(one, other)
    }

    pub(super) fn merge_bases_by_git(&self, one: CommitId, other: CommitId) -> Result<Vec<CommitId>, GitError> {
        let output = self.git().args(["merge-base", "--all", &one.to_string(), &other.to_string()]).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// The bytes of a commit.
    pub(super) fn commit_bytes(&self, id: CommitId) -> Result<Vec<u8>, GitError> {
        if let Some(library) = &self.library {
            let odb = library.odb()?;
            let object = odb.read(oid(id)?)?;
            if object.kind() == ObjectType::Commit {
                return Ok(object.data().to_vec());
            }
        }
        Ok(self.git().args(["cat-file", "commit", &id.to_string()]).run()?)
    }

    /// Each path that differs between two commits, with its old and its new entry. No renames are looked for.
    pub(super) fn difference(&self, from: CommitId, to: CommitId) -> Result<BTreeMap<Word, Sides>, GitError> {
        let Some(library) = &self.library else { return self.difference_by_git(from, to) };
        let tree = |commit: CommitId| library.find_commit(oid(commit)?)?.tree();
        let mut walk = Walk { library, found: BTreeMap::new() };
        walk.compare(&[], Some(tree(from)?), Some(tree(to)?))?;
        Ok(walk.found)
    }

    pub(super) fn difference_by_git(&self, from: CommitId, to: CommitId) -> Result<BTreeMap<Word, Sides>, GitError> {
        let asked = self.git().args(["diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames"]);
        let answer = asked.args([from.to_string(), to.to_string()]).run()?;
        let strange =
            |head: &[u8]| GitError::Answer { command: "diff-tree", answer: String::from_utf8_lossy(head).into_owned() };
        let mut words = fields(&answer);
        let mut entries = BTreeMap::new();
        while let (Some(head), Some(path)) = (words.next(), words.next()) {
            let text = std::str::from_utf8(head).map_err(|_| strange(head))?;
            let parts: Vec<&str> = text.trim_start_matches(':').split(' ').collect();
            let [old_mode, new_mode, old, new, _status] = parts[..] else { return Err(strange(head)) };
            let entry = |mode: &str, object: &str| {
                let mode = u32::from_str_radix(mode, 8).ok().filter(|mode| *mode != 0)?;
                Some(Entry { mode, object: object.to_owned() })
            };
            entries.insert(Word::from(path.to_vec()), (entry(old_mode, old), entry(new_mode, new)));
        }
        Ok(entries)
    }

    /// All configuration that git would read here, as it is now. `None` where only git can tell: the library does not
    /// open it, or somebody has conditional includes, which the library understands in part.
    pub(super) fn settings(&self) -> Option<Config> {
        let settings = self.library.as_ref()?.config().ok()?.snapshot().ok()?;
        let has_conditions = settings.entries(Some(r"^includeif\.")).ok()?.next().is_some();
        (!has_conditions).then_some(settings)
    }

    /// A yes or no of the configuration; `false` where it says nothing that can be understood.
    pub(super) fn is_set(&self, key: &str) -> Result<bool, GitError> {
        match self.settings().map(|settings| settings.get_bool(key)) {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) if error.code() == ErrorCode::NotFound => Ok(false),
            _ => Ok(self.git().args(["config", "--type=bool", "--get", key]).output()?.stdout.trim_ascii() == b"true"),
        }
    }

    /// A path of the configuration.
    pub(super) fn path_setting(&self, key: &str) -> Result<Option<PathBuf>, GitError> {
        match self.settings().map(|settings| settings.get_path(key)) {
            Some(Ok(path)) => return Ok(Some(path)),
            Some(Err(error)) if error.code() == ErrorCode::NotFound => return Ok(None),
            _ => {}
        }
        let asked = self.git().args(["config", "--type=path", "--get", key]).output()?;
        let named = asked.stdout.strip_suffix(b"\n").filter(|_| asked.code == Some(0));
        Ok(named.map(|path| Word::from(path.to_vec()).as_path().to_owned()))
    }
}

/// The library's name of a commit.
pub(super) fn oid(commit: CommitId) -> Result<Oid, git2::Error> {
    Oid::from_bytes(commit.as_bytes())
}

/// Two trees, side by side.
struct Walk<'a> {
    library: &'a git2::Repository,
    found: BTreeMap<Word, Sides>,
}

impl Walk<'_> {
    fn compare(&mut self, dir: &[u8], old: Option<Tree<'_>>, new: Option<Tree<'_>>) -> Result<(), GitError> {
        let mut names: BTreeMap<Vec<u8>, (Option<Leaf>, Option<Leaf>)> = BTreeMap::new();
        for entry in old.iter().flatten() {
            names.entry(entry.name_bytes().to_vec()).or_default().0 = Some(Leaf::of(&entry));
        }
        for entry in new.iter().flatten() {
            names.entry(entry.name_bytes().to_vec()).or_default().1 = Some(Leaf::of(&entry));
        }
        for (name, (old, new)) in names.into_iter().filter(|(_, (old, new))| old != new) {
            let path = if dir.is_empty() { name } else { [dir, &name[..]].join(&b'/') };
            let sides = (old.and_then(Leaf::file), new.and_then(Leaf::file));
            if sides != (None, None) {
                self.found.insert(Word::from(path.clone()), sides);
            }
            let library = self.library;
            let tree = |side: Option<Leaf>| {
                let side = side.filter(|leaf| leaf.mode == Leaf::TREE);
                side.map(|leaf| library.find_tree(leaf.id)).transpose()
            };
            let (old, new) = (tree(old)?, tree(new)?);
            if old.is_some() || new.is_some() {
                self.compare(&path, old, new)?;
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Leaf {
    mode: u32,
    id: Oid,
}

impl Leaf {
    const TREE: u32 = 0o40_000;

    fn of(entry: &git2::TreeEntry<'_>) -> Self {
        Self { mode: u32::try_from(entry.filemode()).unwrap_or_default(), id: entry.id() }
    }

    fn file(self) -> Option<Entry> {
        (self.mode != Self::TREE).then(|| Entry { mode: self.mode, object: self.id.to_string() })
    }
}
