//! Hooks of the user that are asked about a commit before it lands, where somebody set that up.
//!
//! They run in a worktree of ours, never in a checkout of somebody's, and find there what they would find in the middle of
//! a `git merge`: HEAD is what the commit goes on top of, index and files are the merged tree.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;

use super::worktree::Place;
use super::{GitError, Repository, pool, private};
use crate::core::change::list;
use crate::core::id::{CommitId, TreeId};
use crate::core::task::LandingHook;
use crate::core::word::{Word, one_line};
use crate::process::Tool;

/// A commit that is not made yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Its parents; the first is what it goes on top of.
    pub parents: Vec<CommitId>,
    /// Its tree.
    pub tree: TreeId,
    /// Its message.
    pub message: Vec<u8>,
}

/// Seconds that a hook may take.
const TIME: &str = "600";

/// Ask these about a commit: its message, as they leave it, or why it is not to be made.
///
/// # Errors
/// Where the place for them cannot be made.
pub fn ask(
    repo: &Repository,
    place: &Place,
    hooks: &[LandingHook],
    draft: &Draft,
    environment: &BTreeMap<String, Word>,
) -> Result<Result<Vec<u8>, String>, GitError> {
    let Some((head, others)) = draft.parents.split_first() else { return Ok(Ok(draft.message.clone())) };
    pool::prepare(repo, place, *head)?;
    let git = || private::git(&place.private, &place.worktree);
    git().args(["read-tree", "--reset", "-u", &draft.tree.to_string()]).run()?;
    #[expect(clippy::disallowed_methods, reason = "nobody reads them after a crash: the worktree is made good again")]
    let write = |name: &str, bytes: &[u8]| {
        let path = place.private.join(name);
        fs::write(&path, bytes).map_err(GitError::file("write", &path)).map(|()| path)
    };
    if !others.is_empty() {
        write("MERGE_HEAD", others.iter().map(|id| format!("{id}\n")).collect::<String>().as_bytes())?;
    }
    let message = write("MERGE_MSG", &draft.message)?;
    // A path in the tree itself (`.githooks`) stays one, and is then that of the merged tree.
    let set = repo.git().args(["config", "--type=path", "--get", "core.hooksPath"]).output()?;
    let hooks_path = match set.stdout.strip_suffix(b"\n").filter(|_| set.code == Some(0)) {
        Some(path) => Word::from(path.to_vec()),
        None => Word::from(repo.common_dir().join("hooks")),
    };
    let mut hooks_option = OsString::from("core.hooksPath=");
    hooks_option.push(hooks_path.as_os_str());
    for hook in hooks {
        let of_merges = *hook == LandingHook::PreMergeCommit;
        if of_merges && others.is_empty() {
            continue;
        }
        let tool = Tool::new("timeout").args(["--kill-after=5", TIME, "git", "--git-dir"]).arg(&place.private);
        let tool = tool.arg("--work-tree").arg(&place.worktree);
        let tool = tool.arg("-c").arg(&hooks_option);
        let tool = tool.args(["hook", "run", "--ignore-missing", hook.as_str()]).dir(&place.worktree).env_clear();
        let tool = if of_merges { tool } else { tool.arg("--").arg(&message) };
        let tool = environment.iter().fold(tool, |tool, (name, value)| tool.env(name, value.as_os_str()));
        let output = tool.output()?;
        if output.code != Some(0) {
            let words = match (one_line(&output.stderr), output.code) {
                (words, Some(124)) if words.is_empty() => format!("it took more than {TIME} seconds"),
                (words, Some(code)) if words.is_empty() => format!("it exited with {code}"),
                (words, _) => words,
            };
            return Ok(Err(format!("the {hook} hook says no: {words}")));
        }
    }
    let index = git().args(["write-tree"]).line()?;
    let differing =
        git().args(["diff", "--name-only", "-z", "--ignore-submodules=all", &draft.tree.to_string()]).run()?;
    if index != draft.tree.to_string() || !differing.is_empty() {
        let paths = crate::process::tool::fields(&differing).map(|path| Word::from(path.to_vec()).shown());
        let paths: Vec<String> = paths.collect();
        return Ok(Err(format!("a hook changed what would land: {}", list(paths.into_iter()))));
    }
    let message = fs::read(&message).map_err(GitError::file("read", &message))?;
    Ok(if message.trim_ascii().is_empty() { Err("a hook left no message".to_owned()) } else { Ok(message) })
}
