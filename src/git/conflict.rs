//! A conflict in full, as git would leave it in a checkout: without a checkout, and without a trace in the repository.
//!
//! Whatever git writes while it looks goes into a directory of our own, which is gone when the [`Scratch`] is.

use std::path::Path;

use super::live::always_quoted;
use super::merge::last_touch;
use super::{GitError, Repository};
use crate::core::id::{CommitId, TreeId};
use crate::core::word::Word;
use crate::process::Tool;

/// A change, and what it is to be merged with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sides {
    /// Where the change begins.
    pub base: CommitId,
    /// What it is merged with.
    pub ours: CommitId,
    /// Where it ends.
    pub theirs: CommitId,
    /// The graph does not tell what `ours` holds of it.
    pub replay: bool,
}

/// One path of a conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path3 {
    /// The path.
    pub path: Word,
    /// Mode and object of base, ours and theirs, as far as there is such a file.
    pub stages: [Option<(u32, String)>; 3],
}

/// What merging two sides leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The merged tree; files in conflict are in it with markers.
    pub tree: TreeId,
    /// The paths in conflict.
    pub paths: Vec<Path3>,
    /// Is each conflict one of contents that were merged line by line?
    pub is_only_text: bool,
}

/// A place for what git writes while it looks.
#[derive(Debug)]
pub struct Scratch<'a> {
    repo: &'a Repository,
    dir: tempfile::TempDir,
}

impl<'a> Scratch<'a> {
    /// Make one, below `dir`.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn new(repo: &'a Repository, dir: &Path) -> Result<Self, GitError> {
        let made = tempfile::tempdir_in(dir).map_err(GitError::file("write in", dir))?;
        let objects = made.path().join("objects");
        std::fs::create_dir(&objects).map_err(GitError::file("make", objects))?;
        Ok(Self { repo, dir: made })
    }

    /// The directory.
    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The repository whose commits are looked at.
    pub(super) fn repository(&self) -> &Repository {
        self.repo
    }

    /// `git` on the repository, that writes objects here.
    pub(super) fn git(&self) -> Tool {
        self.lend(self.repo.git())
    }

    /// Let a command read the objects of the repository, and write its own here.
    pub(super) fn lend(&self, tool: Tool) -> Tool {
        let theirs = always_quoted(&self.repo.common_dir().join("objects"));
        let tool = tool.env("GIT_OBJECT_DIRECTORY", self.dir.path().join("objects"));
        tool.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", theirs)
    }

    /// Merge as a landing would, and say what conflicts. `None` where nothing does, or the two have no commit in common.
    ///
    /// # Errors
    /// Where git fails.
    pub fn merge(&self, sides: &Sides) -> Result<Option<Left>, GitError> {
        self.merge_as(sides, "diff3")
    }

    /// The same, with conflicts in one of git's styles.
    pub(super) fn merge_as(&self, sides: &Sides, style: &str) -> Result<Option<Left>, GitError> {
        let base = (!self.is_natural(sides)?).then_some(sides.base);
        merge_by(self.git().arg("-c").arg(format!("merge.conflictStyle={style}")), base, [sides.ours, sides.theirs])
    }

    fn is_natural(&self, sides: &Sides) -> Result<bool, GitError> {
        let Sides { base, ours, theirs, replay } = *sides;
        Ok(!replay && self.repo.is_ancestor(base, ours)? && self.repo.is_ancestor(base, theirs)?)
    }

    /// Who touched a path last, on either side, since the two parted.
    ///
    /// # Errors
    /// Where git cannot be asked.
    pub fn last_touches(&self, sides: &Sides, path: &Word) -> Result<[Option<CommitId>; 2], GitError> {
        let bases = match self.is_natural(sides)? {
            true => self.repo.open().merge_bases(sides.ours, sides.theirs)?,
            false => vec![sides.base],
        };
        let of = |side| last_touch(self.repo, side, &bases, path);
        Ok([of(sides.ours)?, of(sides.theirs)?])
    }

    /// The content of a file of a tree; `None` where there is none.
    ///
    /// # Errors
    /// Where git cannot be run.
    pub fn content(&self, tree: TreeId, path: &Word) -> Result<Option<Vec<u8>>, GitError> {
        let mut name = std::ffi::OsString::from(format!("{tree}:"));
        name.push(path.as_os_str());
        let output = self.git().args(["cat-file", "blob"]).arg(name).output()?;
        Ok((output.code == Some(0)).then_some(output.stdout))
    }
}

/// What a merge by this git leaves; `None` where nothing conflicts. Without a base, git finds it.
pub(super) fn merge_by(
    git: Tool,
    base: Option<CommitId>,
    [ours, theirs]: [CommitId; 2],
) -> Result<Option<Left>, GitError> {
    let tool = git.arg(format!("--attr-source={ours}"));
    let mut tool = tool.args(["merge-tree", "--write-tree", "-z", "--messages"]);
    if let Some(base) = base {
        tool = tool.arg(format!("--merge-base={base}"));
    }
    let output = tool.args([ours, theirs].map(|id| id.to_string())).output()?;
    if output.code == Some(1) { parse(&output.stdout).map(Some) } else { Ok(None) }
}

/// `tree NUL (mode SP object SP stage TAB path NUL)* NUL (count NUL path NUL … kind NUL words NUL)*`
fn parse(answer: &[u8]) -> Result<Left, GitError> {
    let strange = || GitError::Answer { command: "merge-tree", answer: String::from_utf8_lossy(answer).into_owned() };
    let mut words = answer.split(|byte| *byte == 0);
    let tree = words.next().ok_or_else(strange)?;
    let tree = super::repository::parse("merge-tree", &String::from_utf8_lossy(tree))?;
    let mut paths: Vec<Path3> = Vec::new();
    for line in words.by_ref().take_while(|line| !line.is_empty()) {
        let tab = line.iter().position(|byte| *byte == b'\t').ok_or_else(strange)?;
        let head = std::str::from_utf8(&line[..tab]).map_err(|_| strange())?;
        let [mode, object, stage] = head.split(' ').collect::<Vec<_>>()[..] else { return Err(strange()) };
        let mode = u32::from_str_radix(mode, 8).map_err(|_| strange())?;
        let stage = stage.parse::<usize>().ok().filter(|stage| (1..=3).contains(stage)).ok_or_else(strange)?;
        let path = Word::from(line[tab + 1..].to_vec());
        if paths.last().is_none_or(|last| last.path != path) {
            paths.push(Path3 { path, stages: [None, None, None] });
        }
        if let Some(last) = paths.last_mut() {
            last.stages[stage - 1] = Some((mode, object.to_owned()));
        }
    }
    let mut is_only_text = !paths.is_empty();
    while let Some(count) = words.next().filter(|count| !count.is_empty()) {
        let count: usize = std::str::from_utf8(count).ok().and_then(|count| count.parse().ok()).ok_or_else(strange)?;
        let kind = words.by_ref().nth(count).ok_or_else(strange)?;
        // A short word for machines that git promises to keep; all else about a path is for people.
        is_only_text &= !kind.starts_with(b"CONFLICT") || kind == b"CONFLICT (contents)";
        words.next();
    }
    Ok(Left { tree, paths, is_only_text })
}

/// Is it no text, as git tells?
pub fn is_binary(content: &[u8]) -> bool {
    content.iter().take(8000).any(|byte| *byte == 0)
}

/// The places of a text that have markers, each with `around` lines on both sides; those that touch are one.
pub fn hunks(text: &[u8], around: usize) -> Vec<Vec<u8>> {
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let is = |line: &[u8], marker: u8| line.len() > 7 && line[..7].iter().all(|byte| *byte == marker);
    let mut places: Vec<(usize, usize)> = Vec::new();
    let mut begun = None;
    for (number, line) in lines.iter().enumerate() {
        if is(line, b'<') && begun.is_none() {
            begun = Some(number);
        } else if is(line, b'>')
            && let Some(begin) = begun.take()
        {
            let (from, to) = (begin.saturating_sub(around), (number + 1 + around).min(lines.len()));
            match places.last_mut().filter(|(_, end)| *end >= from) {
                Some((_, end)) => *end = to,
                None => places.push((from, to)),
            }
        }
    }
    places.into_iter().map(|(from, to)| lines[from..to].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_with_markers_and_what_is_around_them() {
        let text = b"1\n2\n3\n<<<<<<< a\nx\n=======\ny\n>>>>>>> b\n4\n5\n6\n7\n8\n<<<<<<< a\n=======\nz\n>>>>>>> b";
        let found: Vec<String> = hunks(text, 2).iter().map(|hunk| String::from_utf8_lossy(hunk).into_owned()).collect();
        assert_eq!(
            found,
            ["2\n3\n<<<<<<< a\nx\n=======\ny\n>>>>>>> b\n4\n5\n", "7\n8\n<<<<<<< a\n=======\nz\n>>>>>>> b"]
        );
        assert_eq!(hunks(text, 3).len(), 1);
        assert!(hunks(b"no\n>>>>>>> conflict\n<<<<<<< here\n", 3).is_empty());
    }
}
