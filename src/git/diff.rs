//! What differs, for people: whole contents of both sides, and counts of lines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use super::live::always_quoted;
use super::{GitError, Repository};
use crate::core::id::{CommitId, TreeId};
use crate::core::report::{FileChange, Readable};
use crate::core::word::Word;
use crate::process::Tool;
use crate::process::tool::fields;

pub use super::live::{Files, tree_of_files};

/// One side of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The tree of a commit.
    Commit(CommitId),
    /// A tree.
    Tree(TreeId),
}

impl From<CommitId> for Side {
    fn from(id: CommitId) -> Self {
        Self::Commit(id)
    }
}

impl From<TreeId> for Side {
    fn from(id: TreeId) -> Self {
        Self::Tree(id)
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit(id) => id.fmt(f),
            Self::Tree(id) => id.fmt(f),
        }
    }
}

/// One file that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDiff {
    /// Its path before; none for a new file.
    pub old_path: Option<Word>,
    /// Its path after; none for a deleted file.
    pub new_path: Option<Word>,
    /// Its mode before (`0o100644`, `0o100755`, `0o120000` a link, `0o160000` a submodule); none for a new file.
    pub old_mode: Option<u32>,
    /// Its mode after; none for a deleted file.
    pub new_mode: Option<u32>,
    /// Can a person read what differs? If not, only the sizes of its contents are here.
    pub readable: Readable,
    /// Its content before.
    pub old: Option<Vec<u8>>,
    /// Its content after.
    pub new: Option<Vec<u8>>,
    /// The bytes of its contents before and after.
    pub sizes: [usize; 2],
}

/// One file that differs, in figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStat {
    /// Its path: after, or before where it was deleted.
    pub path: Word,
    /// What happened to it.
    pub change: FileChange,
    /// Its path before, where it was renamed.
    pub old_path: Option<Word>,
    /// Lines added.
    pub insertions: u64,
    /// Lines removed.
    pub deletions: u64,
    /// It is not text; no lines were counted.
    pub binary: bool,
}

/// All files that differ, with their contents, in the order of their paths; with `paths`, those only (a path means
/// itself and what is below it, never a pattern).
///
/// # Errors
/// Where an object is missing or git cannot be run.
pub fn between(
    repo: &Repository,
    from: impl Into<Side>,
    to: impl Into<Side>,
    paths: &[Word],
) -> Result<Vec<FileDiff>, GitError> {
    Reader::of(repo).between(from, to, paths)
}

/// All files that differ, in figures.
///
/// # Errors
/// As [`between`].
pub fn stat(
    repo: &Repository,
    from: impl Into<Side>,
    to: impl Into<Side>,
    paths: &[Word],
) -> Result<Vec<FileStat>, GitError> {
    Reader::of(repo).stat(from, to, paths)
}

/// A repository, and maybe one more directory of objects, for comparing what is in the one with what is in the other.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    repo: &'a Repository,
    objects: Option<&'a Path>,
}

impl<'a> Reader<'a> {
    /// The repository alone.
    pub fn of(repo: &'a Repository) -> Self {
        Self { repo, objects: None }
    }

    /// The repository, and the directory of objects that [`tree_of_files`] answered.
    pub fn with(repo: &'a Repository, objects: &'a Path) -> Self {
        Self { repo, objects: Some(objects) }
    }

    /// As [`between`].
    ///
    /// # Errors
    /// As [`between`].
    pub fn between(
        &self,
        from: impl Into<Side>,
        to: impl Into<Side>,
        paths: &[Word],
    ) -> Result<Vec<FileDiff>, GitError> {
        let sides = [from.into(), to.into()];
        let by_library = self.library()?.map(|library| by_library::between(&library, sides, paths));
        by_library.and_then(Result::ok).map_or_else(|| self.between_by_git(sides, paths), Ok)
    }

    /// As [`stat`].
    ///
    /// # Errors
    /// As [`between`].
    pub fn stat(&self, from: impl Into<Side>, to: impl Into<Side>, paths: &[Word]) -> Result<Vec<FileStat>, GitError> {
        let sides = [from.into(), to.into()];
        // It reads attributes, and for those the index, of which it does not know every form: split, sparse.
        let by_library = self.library()?.map(|library| by_library::stat(&library, sides, paths));
        by_library.and_then(Result::ok).map_or_else(|| self.stat_by_git(sides, paths), Ok)
    }

    fn library(&self) -> Result<Option<git2::Repository>, GitError> {
        let Some(library) = self.repo.library() else { return Ok(None) };
        if let Some(objects) = self.objects {
            let Some(path) = objects.to_str() else { return Ok(None) };
            library.odb()?.add_disk_alternate(path)?;
        }
        Ok(Some(library))
    }

    fn git(&self) -> Tool {
        let tool = self.repo.git().arg("--literal-pathspecs");
        match self.objects {
            Some(objects) => tool.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", always_quoted(objects)),
            None => tool,
        }
    }

    fn diff_tree(&self, format: &[&str], sides: [Side; 2], paths: &[Word]) -> Result<Vec<u8>, GitError> {
        let tool = self.git().args(["diff-tree", "-r", "-z", "-M", "--no-abbrev"]).args(format);
        let tool = tool.args(sides.map(|side| side.to_string())).arg("--");
        Ok(tool.args(paths.iter().map(Word::as_os_str)).run()?)
    }

    fn between_by_git(&self, sides: [Side; 2], paths: &[Word]) -> Result<Vec<FileDiff>, GitError> {
        let answer = self.diff_tree(&["--raw"], sides, paths)?;
        let mut words = fields(&answer);
        let mut found = Vec::new();
        while let (Some(head), Some(path)) = (words.next(), words.next()) {
            let text = String::from_utf8_lossy(head).into_owned();
            let parts: Vec<&str> = text.trim_start_matches(':').split(' ').collect();
            let [old_mode, new_mode, old, new, status] = parts[..] else {
                return Err(GitError::Answer { command: "diff-tree", answer: text });
            };
            let is_two = status.starts_with(['R', 'C']);
            let second = if is_two { words.next().unwrap_or(path) } else { path };
            let mode = |text: &str| u32::from_str_radix(text, 8).ok().filter(|mode| *mode != 0);
            let side = |mode: Option<u32>, object: &str, path: &[u8]| {
                mode.map(|mode| (Word::from(path.to_vec()), mode, object.to_owned()))
            };
            found.push((side(mode(old_mode), old, path), side(mode(new_mode), new, second)));
        }
        let is_blob = |side: &&(Word, u32, String)| side.1 != GITLINK;
        let blobs = found.iter().flat_map(|(old, new)| [old, new]).flatten().filter(is_blob);
        let contents = self.contents(&blobs.map(|(_, _, object)| object.as_str()).collect())?;
        let content = |mode: u32, object: &str| match mode {
            GITLINK => gitlink(object),
            _ => contents.get(object).cloned().unwrap_or_default(),
        };
        let stat = self.stat_by_git(sides, paths)?;
        let binary: BTreeSet<Word> = stat.into_iter().filter(|file| file.binary).map(|file| file.path).collect();
        let file = |(old, new): (Option<Named>, Option<Named>)| {
            let is_binary = new.as_ref().or(old.as_ref()).is_some_and(|(path, ..)| binary.contains(path));
            FileDiff::of(whole(old, &content), whole(new, &content), is_binary)
        };
        Ok(found.into_iter().map(file).collect())
    }

    /// All of it as `git apply` takes it, in git's own words: also what is not text, and what is large.
    ///
    /// # Errors
    /// As [`between`].
    pub fn patch(
        &self,
        from: impl Into<Side>,
        to: impl Into<Side>,
        paths: &[Word],
        context: usize,
    ) -> Result<Vec<u8>, GitError> {
        let tool = self.git().args(["diff-tree", "-r", "-p", "-M", "--binary", "--full-index", "--no-color"]);
        let tool = tool.args(["--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/"]);
        let tool = tool.arg(format!("--unified={context}")).args([from.into(), to.into()].map(|side| side.to_string()));
        Ok(tool.arg("--").args(paths.iter().map(Word::as_os_str)).run()?)
    }

    /// The blobs by their names.
    fn contents(&self, objects: &BTreeSet<&str>) -> Result<BTreeMap<String, Vec<u8>>, GitError> {
        if objects.is_empty() {
            return Ok(BTreeMap::new());
        }
        let asked: String = objects.iter().map(|object| format!("{object}\n")).collect();
        let answer = self.git().args(["cat-file", "--batch"]).input(asked).run()?;
        let mut contents = BTreeMap::new();
        let mut rest = answer.as_slice();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let head = String::from_utf8_lossy(&rest[..end]).into_owned();
            let size = match head.split(' ').collect::<Vec<_>>()[..] {
                [_, "blob", size] => size.parse().ok(),
                _ => None,
            };
            let body: Option<&[u8]> = size.and_then(|size: usize| rest.get(end + 1..end + 1 + size));
            let Some(body) = body else { return Err(GitError::Answer { command: "cat-file", answer: head }) };
            let object = head.split(' ').next().unwrap_or_default().to_owned();
            contents.insert(object, body.to_vec());
            rest = rest.get(end + 2 + body.len()..).unwrap_or_default();
        }
        Ok(contents)
    }

    /// What happened to each file, by its path after (before, where it was deleted).
    fn kinds(&self, sides: [Side; 2], paths: &[Word]) -> Result<BTreeMap<Vec<u8>, FileChange>, GitError> {
        let answer = self.diff_tree(&["--raw"], sides, paths)?;
        let mut words = answer.split(|byte| *byte == 0);
        let mut kinds = BTreeMap::new();
        while let Some(head) = words.next().filter(|head| !head.is_empty()) {
            let parts: Vec<&[u8]> = head.split(|byte| *byte == b' ').collect();
            let [old_mode, new_mode, old, new, status] = parts[..] else {
                let answer = String::from_utf8_lossy(head).into_owned();
                return Err(GitError::Answer { command: "diff-tree", answer });
            };
            let mut path = words.next().unwrap_or_default();
            let kind = match status.first() {
                Some(b'A') => FileChange::Added,
                Some(b'D') => FileChange::Deleted,
                Some(b'R') => {
                    path = words.next().unwrap_or_default();
                    FileChange::Renamed
                }
                _ if old == new && old_mode.strip_prefix(b":") != Some(new_mode) => FileChange::Mode,
                _ => FileChange::Modified,
            };
            kinds.insert(path.to_vec(), kind);
        }
        Ok(kinds)
    }

    fn stat_by_git(&self, sides: [Side; 2], paths: &[Word]) -> Result<Vec<FileStat>, GitError> {
        let kinds = self.kinds(sides, paths)?;
        let answer = self.diff_tree(&["--numstat"], sides, paths)?;
        let mut words = answer.split(|byte| *byte == 0);
        let mut found = Vec::new();
        while let Some(head) = words.next().filter(|head| !head.is_empty()) {
            let parts: Vec<&[u8]> = head.splitn(3, |byte| *byte == b'\t').collect();
            let [added, removed, path] = parts[..] else {
                let answer = String::from_utf8_lossy(head).into_owned();
                return Err(GitError::Answer { command: "diff-tree", answer });
            };
            // A rename has an empty path here, and both of its paths behind.
            let (old_path, path) = match path.is_empty() {
                true => (words.next().map(|old| Word::from(old.to_vec())), words.next().unwrap_or_default()),
                false => (None, path),
            };
            let count = |text: &[u8]| std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
            found.push(FileStat {
                path: Word::from(path.to_vec()),
                change: kinds.get(path).copied().unwrap_or(FileChange::Modified),
                old_path,
                insertions: count(added).unwrap_or(0),
                deletions: count(removed).unwrap_or(0),
                binary: added == b"-",
            });
        }
        Ok(found)
    }
}

const GITLINK: u32 = 0o160_000;

/// The bits of a mode that say what kind of thing it is.
const KIND: u32 = 0o170_000;

/// Beyond this, nobody reads it as text.
const LARGEST: usize = 8 << 20;

/// How far into a file git looks for a NUL.
const LOOKED_AT: usize = 8000;

/// A path, its mode and the name of its object.
type Named = (Word, u32, String);

/// A path, its mode and its content.
type Whole = (Word, u32, Vec<u8>);

fn whole(side: Option<Named>, content: &impl Fn(u32, &str) -> Vec<u8>) -> Option<Whole> {
    side.map(|(path, mode, object)| {
        let bytes = content(mode, &object);
        (path, mode, bytes)
    })
}

fn gitlink(object: &str) -> Vec<u8> {
    format!("Subproject commit {object}\n").into_bytes()
}

impl FileDiff {
    fn of(old: Option<Whole>, new: Option<Whole>, is_binary: bool) -> Self {
        let whole = [&old, &new].map(|side| side.as_ref().map(|(_, mode, bytes)| (mode & KIND, bytes)));
        let sizes = whole.map(|side| side.map_or(0, |(_, bytes)| bytes.len()));
        let readable = match whole {
            // Only its mode or its name differs: there is nothing to read.
            [Some(old), Some(new)] if old == new => Readable::Text,
            _ if is_binary => Readable::Binary,
            _ if sizes.iter().any(|size| *size > LARGEST) => Readable::Large,
            _ => Readable::Text,
        };
        let split = |side: Option<Whole>| match side {
            Some((path, mode, bytes)) => (Some(path), Some(mode), Some(bytes).filter(|_| readable == Readable::Text)),
            None => (None, None, None),
        };
        let (old_path, old_mode, old) = split(old);
        let (new_path, new_mode, new) = split(new);
        Self { old_path, new_path, old_mode, new_mode, readable, old, new, sizes }
    }
}

fn has_nul(bytes: &[u8]) -> bool {
    bytes[..bytes.len().min(LOOKED_AT)].contains(&0)
}

/// The same by the library: no process, for the repositories that it can open.
mod by_library {
    use git2::{Delta, Diff, DiffDelta, DiffFile, DiffFindOptions, DiffOptions, Oid, Patch, Repository};

    use super::{FileChange, FileDiff, FileStat, GITLINK, GitError, Readable, Side, Whole, Word, gitlink, has_nul};

    fn diff<'a>(library: &'a Repository, sides: [Side; 2], paths: &[Word]) -> Result<Diff<'a>, GitError> {
        let tree = |side: Side| library.find_object(Oid::from_str(&side.to_string())?, None)?.peel_to_tree();
        let [old, new] = sides.map(tree);
        let mut options = DiffOptions::new();
        options.disable_pathspec_match(true).include_typechange(true).ignore_submodules(false);
        for path in paths {
            options.pathspec(path.as_bytes());
        }
        let mut diff = library.diff_tree_to_tree(Some(&old?), Some(&new?), Some(&mut options))?;
        diff.find_similar(Some(DiffFindOptions::new().renames(true)))?;
        Ok(diff)
    }

    fn path(file: &DiffFile<'_>) -> Word {
        Word::from(file.path_bytes().unwrap_or_default().to_vec())
    }

    pub(super) fn between(library: &Repository, sides: [Side; 2], paths: &[Word]) -> Result<Vec<FileDiff>, GitError> {
        let diff = diff(library, sides, paths)?;
        let file = |(place, delta): (usize, DiffDelta<'_>)| match delta.status() {
            Delta::Typechange => turned_whole(library, &delta),
            _ => {
                let (old, new) = (whole(library, delta.old_file())?, whole(library, delta.new_file())?);
                Ok(FileDiff::of(old, new, is_binary(Patch::from_diff(&diff, place)?.as_ref())))
            }
        };
        diff.deltas().enumerate().map(file).collect()
    }

    /// By its bytes or by attributes. Only once there is a patch it is known.
    fn is_binary(patch: Option<&Patch<'_>>) -> bool {
        patch.is_none_or(|patch| patch.delta().flags().is_binary())
    }

    fn turned_whole(library: &Repository, delta: &DiffDelta<'_>) -> Result<FileDiff, GitError> {
        let (old, new) = (whole(library, delta.old_file())?, whole(library, delta.new_file())?);
        let is_binary = old.iter().chain(&new).any(|(_, _, bytes)| has_nul(bytes));
        Ok(FileDiff::of(old, new, is_binary))
    }

    fn whole(library: &Repository, file: DiffFile<'_>) -> Result<Option<Whole>, GitError> {
        let mode = u32::from(file.mode());
        if mode == 0 || file.id().is_zero() {
            return Ok(None);
        }
        let bytes = match mode {
            GITLINK => gitlink(&file.id().to_string()),
            _ => library.find_blob(file.id())?.content().to_vec(),
        };
        Ok(Some((path(&file), mode, bytes)))
    }

    /// A file that became a link, or the like: all of it went, and all of it came. (The library counts nothing.)
    fn turned(library: &Repository, delta: &DiffDelta<'_>) -> Result<FileStat, GitError> {
        let file = turned_whole(library, delta)?;
        let lines =
            |bytes: Option<Vec<u8>>| bytes.map_or(0, |bytes| bytes.split_inclusive(|byte| *byte == b'\n').count());
        let path = path(&delta.new_file());
        let (insertions, deletions) = (lines(file.new) as u64, lines(file.old) as u64);
        let change = FileChange::Modified;
        Ok(FileStat { path, change, old_path: None, insertions, deletions, binary: file.readable == Readable::Binary })
    }

    pub(super) fn stat(library: &Repository, sides: [Side; 2], paths: &[Word]) -> Result<Vec<FileStat>, GitError> {
        let diff = diff(library, sides, paths)?;
        let mut found = Vec::new();
        for (place, delta) in diff.deltas().enumerate() {
            if delta.status() == Delta::Typechange {
                found.push(turned(library, &delta)?);
                continue;
            }
            let mut patch = Patch::from_diff(&diff, place)?;
            let counted = patch.as_mut().map(|patch| patch.line_stats()).transpose()?;
            let binary = is_binary(patch.as_ref());
            let (_, insertions, deletions) = counted.filter(|_| !binary).unwrap_or_default();
            let newer = if delta.status() == Delta::Deleted { delta.old_file() } else { delta.new_file() };
            let old_path = (delta.status() == Delta::Renamed).then(|| path(&delta.old_file()));
            let (insertions, deletions) = (insertions as u64, deletions as u64);
            let change = match delta.status() {
                Delta::Added => FileChange::Added,
                Delta::Deleted => FileChange::Deleted,
                Delta::Renamed => FileChange::Renamed,
                _ if delta.old_file().id() == delta.new_file().id() => FileChange::Mode,
                _ => FileChange::Modified,
            };
            found.push(FileStat { path: path(&newer), change, old_path, insertions, deletions, binary });
        }
        Ok(found)
    }
}
