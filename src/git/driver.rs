//! A merge with a structural driver of the user's for the files that git could not merge by lines.
//!
//! - It is tried only after git said that there is a conflict, and only if each conflict is one of lines in a text that both
//!   sides changed: what was deleted, renamed apart, or is no text stays a conflict.
//! - All or nothing: one file that it does not merge, and the conflict is what it was.
//! - What comes out is an ordinary plan with the same checks; who asks must see that it is verified.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::commit::DURABLE;
use super::conflict::{self, Left, Path3};
use super::live::put;
use super::merge::{self, Identity, Merged, Plan, Wanted};
use super::{GitError, Repository};
use crate::core::driver::Driver;
use crate::core::id::{CommitId, TreeId};
use crate::core::word::Word;
use crate::process::Tool;
use crate::process::tool::ToolError;

/// A driver, and what it needs to run.
#[derive(Debug)]
pub struct Driving<'a> {
    /// Which.
    pub driver: &'a Driver,
    /// Its environment; nothing else is in it.
    pub environment: &'a BTreeMap<String, Word>,
    /// Where it may have its files.
    pub scratch: &'a Path,
}

/// As [`merge::plan`], with the driver where git alone finds a conflict; and the files that it merged. `message` makes the
/// message of the commit of them.
///
/// # Errors
/// Where git fails, or the driver cannot be started. A driver that does not merge a file is no error.
pub fn plan(
    repo: &Repository,
    wanted: &Wanted<'_>,
    who: &Identity,
    driving: &Driving<'_>,
    message: &dyn Fn(&[Word]) -> String,
) -> Result<(Plan, Vec<Word>), GitError> {
    // The driver is asked once for each merge, and what it said counts for both rounds.
    let known: RefCell<BTreeMap<[Option<CommitId>; 3], Merged>> = RefCell::default();
    let merged_paths: RefCell<BTreeSet<Word>> = RefCell::default();
    let engine = |repo: &Repository, base: Option<CommitId>, ours: CommitId, theirs: CommitId| {
        let key = [base, Some(ours), Some(theirs)];
        if let Some(merged) = known.borrow().get(&key) {
            return Ok(merged.clone());
        }
        let merged = match merge::by_git(repo, base, ours, theirs)? {
            Merged::Conflict(paths) => match driven(repo, base, [ours, theirs], driving)? {
                Some((tree, paths)) => {
                    merged_paths.borrow_mut().extend(paths);
                    Merged::Clean(tree)
                }
                None => Merged::Conflict(paths),
            },
            merged => merged,
        };
        known.borrow_mut().insert(key, merged.clone());
        Ok(merged)
    };
    let first = merge::plan_by(&engine, repo, wanted, who)?;
    let paths: Vec<Word> = merged_paths.borrow().iter().cloned().collect();
    if paths.is_empty() || !matches!(first, Plan::Land(_)) {
        return Ok((first, paths));
    }
    let message = message(&paths);
    let wanted = Wanted { message: &message, ..wanted.clone() };
    Ok((merge::plan_by(&engine, repo, &wanted, who)?, paths))
}

/// The merged tree, and the files in it that the driver merged; `None` where it does not merge them all.
fn driven(
    repo: &Repository,
    base: Option<CommitId>,
    sides: [CommitId; 2],
    driving: &Driving<'_>,
) -> Result<Option<(TreeId, Vec<Word>)>, GitError> {
    // What comes out may land, so it is written where git will look for it.
    let Some(left) = conflict::merge_by(repo.git().args(DURABLE), base, sides)? else { return Ok(None) };
    if !left.is_only_text || !left.paths.iter().all(|path| driving.driver.is_for(&path.path)) {
        return Ok(None);
    }
    let desk = tempfile::tempdir_in(driving.scratch).map_err(GitError::file("write in", driving.scratch))?;
    let mut merged = Vec::new();
    for path in &left.paths {
        let Some(text) = one(repo, path, base, sides, driving, desk.path())? else { return Ok(None) };
        let object =
            repo.git().args(DURABLE).args(["hash-object", "-w", "--stdin", "--no-filters"]).input(text).line()?;
        merged.push((path, object));
    }
    let tree = tree(repo, &left, &merged, desk.path())?;
    Ok(Some((tree, left.paths.into_iter().map(|path| path.path).collect())))
}

/// One file, merged; `None` where the driver does not.
fn one(
    repo: &Repository,
    path: &Path3,
    base: Option<CommitId>,
    [ours, theirs]: [CommitId; 2],
    driving: &Driving<'_>,
    desk: &Path,
) -> Result<Option<Vec<u8>>, GitError> {
    let [Some(o), Some(a), Some(b)] = &path.stages else { return Ok(None) };
    let is_file = |(mode, _): &(u32, String)| mode & 0o170_000 == 0o100_000;
    if ![o, a, b].into_iter().all(is_file) {
        return Ok(None);
    }
    let mut had_markers = false;
    for ((_, object), name) in [(o, "base"), (a, "ours"), (b, "theirs")] {
        let text = repo.git().args(["cat-file", "blob", object]).run()?;
        had_markers |= !conflict::hunks(&text, 0).is_empty();
        put(&desk.join(name), &text)?;
    }
    let value = |name: char| -> Option<Word> {
        Some(match name {
            'O' => "base".into(),
            'A' => "ours".into(),
            'B' => "theirs".into(),
            'P' => path.path.clone(),
            'L' => "7".into(),
            'S' => base.map_or_else(|| "base".to_owned(), |base| base.to_string()).into(),
            'X' => ours.to_string().into(),
            'Y' => theirs.to_string().into(),
            _ => return None,
        })
    };
    let line = driving.driver.line(&value);
    let tool = Tool::new("timeout").arg(driving.driver.timeout.to_string()).args(["sh", "-c"]).arg(line.as_os_str());
    let tool = tool.env_clear().dir(desk);
    let tool = driving.environment.iter().fold(tool, |tool, (name, value)| tool.env(name, value.as_os_str()));
    match tool.output() {
        Ok(answer) if answer.code == Some(0) => {}
        // It says that there is a conflict, or it broke, or took too long.
        Ok(_) | Err(ToolError::Failed { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let text = super::fold::read_if_there(&desk.join("ours"))?;
    // Some say that all is well, and leave markers.
    Ok(text.filter(|text| had_markers || conflict::hunks(text, 0).is_empty()))
}

/// What git merged, with these files in place of those in conflict.
fn tree(repo: &Repository, left: &Left, merged: &[(&Path3, String)], desk: &Path) -> Result<TreeId, GitError> {
    let index = desk.join("index");
    let git = || {
        let options = ["-c", "core.splitIndex=false", "-c", "index.sparse=false"];
        let tool = repo.git().args(DURABLE).args(options).arg("--work-tree").arg(desk);
        tool.env("GIT_INDEX_FILE", &index)
    };
    git().args(["read-tree", &left.tree.to_string()]).run()?;
    let mut lines = Vec::new();
    for (path, object) in merged {
        // Git has merged the mode.
        let asked = git().args(["--literal-pathspecs", "ls-files", "--stage", "-z", "--"]).arg(path.path.as_os_str());
        let entry = asked.run()?;
        let mode = entry.split(|byte| *byte == b' ').next().unwrap_or_default();
        lines.extend([mode, b" ", object.as_bytes(), b"\t", path.path.as_bytes(), b"\0"].concat());
    }
    git().args(["update-index", "-z", "--index-info"]).input(lines).run()?;
    super::repository::parse("write-tree", &git().arg("write-tree").line()?)
}
