//! What `git rerere` has recorded of how a conflict was resolved. It is only told, and never taken.
//!
//! Git itself is asked, in a directory of ours that has copies of the recordings in question: the user's own are not even
//! marked as used. The files there have names of ours; a recording is found by what conflicts, not by its path.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::conflict::{Left, Scratch, Sides};
use super::live::put;
use super::{GitError, Repository};
use crate::core::id::CommitId;
use crate::process::Tool;

/// A conflict has another shape in each, so that a recording is found only in that in which it was made.
const STYLES: [&str; 3] = ["merge", "diff3", "zdiff3"];

/// A recorded resolution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Which of the paths in conflict.
    pub place: usize,
    /// The whole text, resolved.
    pub text: Vec<u8>,
}

/// Does the user let git record resolutions, and are there any?
pub fn is_in_use(repo: &Repository) -> bool {
    let is_empty = |dir: &Path| fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none());
    if is_empty(&recordings(repo)) {
        return false;
    }
    let asked = repo.git().args(["config", "--type=bool", "--get", "rerere.enabled"]).output();
    asked.is_ok_and(|answer| answer.stdout.trim_ascii() != b"false")
}

fn recordings(repo: &Repository) -> std::path::PathBuf {
    repo.common_dir().join("rr-cache")
}

/// The recorded resolutions of what is left of a merge.
///
/// # Errors
/// Where git or the file system fails.
pub fn known(scratch: &Scratch<'_>, sides: &Sides, left: &Left) -> Result<Vec<Known>, GitError> {
    let repo = scratch.repository();
    if !is_in_use(repo) {
        return Ok(Vec::new());
    }
    let desk = Desk::prepare(scratch)?;
    let mut laid = Vec::new();
    for style in STYLES {
        let Some(styled) = scratch.merge_as(sides, style)? else { continue };
        for (place, path) in left.paths.iter().enumerate() {
            // Only what both sides have as a file can have been recorded.
            let [_, Some(_), Some(_)] = path.stages else { continue };
            let Some(text) = scratch.content(styled.tree, &path.path)? else { continue };
            laid.push((place, format!("{style}-{place}"), text));
        }
    }
    let lines = laid.iter().flat_map(|(place, name, _)| {
        let stages = left.paths[*place].stages.iter().enumerate();
        stages.filter_map(move |(number, stage)| {
            let (mode, object) = stage.as_ref()?;
            Some(format!("{mode:o} {object} {}\t{name}\0", number + 1))
        })
    });
    let lines: String = lines.collect();
    desk.git().args(["update-index", "-z", "--index-info"]).input(lines).run()?;
    desk.lay(&laid)?;
    // Without a recording, git only tells under which name it would be kept.
    desk.rerere()?;
    if !desk.copy_recordings(&recordings(repo))? {
        return Ok(Vec::new());
    }
    desk.lay(&laid)?;
    desk.rerere()?;
    let mut found: Vec<Known> = Vec::new();
    for (place, name, before) in &laid {
        let path = desk.tree.join(name);
        let text = fs::read(&path).map_err(GitError::file("read", path))?;
        if text != *before && found.iter().all(|known| known.place != *place) {
            found.push(Known { place: *place, text });
        }
    }
    Ok(found)
}

/// A git directory and files of our own.
struct Desk<'a> {
    scratch: &'a Scratch<'a>,
    git_dir: std::path::PathBuf,
    tree: std::path::PathBuf,
}

impl<'a> Desk<'a> {
    fn prepare(scratch: &'a Scratch<'_>) -> Result<Desk<'a>, GitError> {
        let (git_dir, tree) = (scratch.path().join("git"), scratch.path().join("tree"));
        let format = scratch.repository().git().args(["rev-parse", "--show-object-format"]).line()?;
        let init =
            Tool::git().dir(scratch.path()).args(["init", "--quiet", "--bare", "--template=", "--object-format"]);
        init.arg(format).arg(&git_dir).run()?;
        fs::create_dir(&tree).map_err(GitError::file("make", &tree))?;
        Ok(Desk { scratch, git_dir, tree })
    }

    fn git(&self) -> Tool {
        let tool = self.scratch.lend(Tool::git().dir(&self.tree));
        let tool = tool.arg("--git-dir").arg(&self.git_dir).arg("--work-tree").arg(&self.tree);
        let options = ["rerere.enabled=true", "rerere.autoUpdate=false", "core.autocrlf=false", "core.fsmonitor=false"];
        options.iter().fold(tool, |tool, option| tool.arg("-c").arg(option))
    }

    fn lay(&self, files: &[(usize, String, Vec<u8>)]) -> Result<(), GitError> {
        for (_, name, text) in files {
            put(&self.tree.join(name), text)?;
        }
        Ok(())
    }

    fn rerere(&self) -> Result<(), GitError> {
        Ok(self.git().arg("rerere").run().map(drop)?)
    }

    /// Put what the user has recorded in place of what was begun here; `false` where there is none of it.
    fn copy_recordings(&self, from: &Path) -> Result<bool, GitError> {
        let merge_rr = self.git_dir.join("MERGE_RR");
        let list = super::fold::read_if_there(&merge_rr)?.unwrap_or_default();
        // `<name>[.<variant>] TAB <path> NUL`
        let name = |line: &[u8]| {
            let name: Vec<u8> = line.iter().copied().take_while(u8::is_ascii_hexdigit).collect();
            String::from_utf8(name).ok().filter(|name| name.parse::<CommitId>().is_ok())
        };
        let names: BTreeSet<String> = list.split(|byte| *byte == 0).filter_map(name).collect();
        let (mine, begun) = (self.git_dir.join("rr-cache"), self.git_dir.join("begun"));
        fs::rename(&mine, &begun).map_err(GitError::file("rename", &mine))?;
        if !list.is_empty() {
            fs::remove_file(&merge_rr).map_err(GitError::file("remove", merge_rr))?;
        }
        let mut is_any = false;
        for name in names {
            let (theirs, ours) = (from.join(&name), mine.join(&name));
            let Ok(files) = fs::read_dir(&theirs) else { continue };
            fs::create_dir_all(&ours).map_err(GitError::file("make", &ours))?;
            for file in files.flatten() {
                let to = ours.join(file.file_name());
                fs::copy(file.path(), &to).map_err(GitError::file("copy", to))?;
            }
            is_any = true;
        }
        Ok(is_any)
    }
}
