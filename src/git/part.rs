//! A commit of a part of a change: the base with some of the files, or some of the hunks, that a result brought.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::commit::{Commit, Identity};
use super::{GitError, Repository};
use crate::core::id::{CommitId, TreeId};
use crate::core::word::Word;
use crate::process::Tool;
use crate::process::tool::fields;

/// What becomes of a path of the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// It goes.
    Gone(Word),
    /// It is as the result has it.
    AsResult(Word),
    /// It has this content, which neither of them has.
    Made {
        /// The path.
        path: Word,
        /// Its mode, as git has it.
        mode: u32,
        /// Its content.
        bytes: Vec<u8>,
    },
}

/// The part of `base..tip` that `pieces` name, as one commit on `base`, by the author of `tip`; nothing refers to it yet.
/// `scratch` is a directory of ours.
///
/// # Errors
/// Where git fails.
pub fn commit(
    repo: &Repository,
    (base, tip): (CommitId, CommitId),
    pieces: &[Piece],
    message: Option<&str>,
    who: &Identity,
    scratch: &Path,
) -> Result<CommitId, GitError> {
    let tree = tree(repo, (base, tip), pieces, scratch)?;
    let opened = repo.open();
    let theirs = Commit::read(&opened, tip)?;
    let message = message.map_or(theirs.message.clone(), |message| format!("{}\n", message.trim_end()).into_bytes());
    Commit { tree, parents: vec![base], message, ..theirs }.write(&opened, who)
}

fn tree(
    repo: &Repository,
    (base, tip): (CommitId, CommitId),
    pieces: &[Piece],
    scratch: &Path,
) -> Result<TreeId, GitError> {
    let index = scratch.join("index");
    // A whole index of our own, whatever is said of the user's.
    let plain =
        ["core.sparseCheckout=false", "index.sparse=false", "core.splitIndex=false", "core.untrackedCache=false"];
    let git = || repo.git().args(plain.iter().flat_map(|setting| ["-c", setting])).env("GIT_INDEX_FILE", &index);
    git().args(["read-tree", &base.to_string()]).run()?;
    let theirs = entries(repo, base, tip)?;
    let made = blobs(repo, pieces, scratch)?;
    let mut lines: Vec<u8> = Vec::new();
    let mut made = made.into_iter();
    // What goes, goes first: a path and what is below it are never both there.
    for piece in pieces {
        if let Piece::Gone(path) = piece {
            entry(&mut lines, 0, &"0".repeat(base.to_string().len()), path);
        }
    }
    for piece in pieces {
        match piece {
            Piece::Gone(_) => {}
            Piece::AsResult(path) => {
                let missing =
                    || GitError::Answer { command: "diff-tree", answer: format!("nothing of {}", path.shown()) };
                let (mode, object) = theirs.get(path.as_bytes()).ok_or_else(missing)?;
                entry(&mut lines, *mode, object, path);
            }
            Piece::Made { path, mode, .. } => {
                let missing =
                    || GitError::Answer { command: "hash-object", answer: format!("nothing of {}", path.shown()) };
                entry(&mut lines, *mode, &made.next().ok_or_else(missing)?, path);
            }
        }
    }
    git().args(["update-index", "-z", "--index-info"]).input(lines).run()?;
    super::repository::parse("write-tree", &git().arg("write-tree").line()?)
}

fn entry(lines: &mut Vec<u8>, mode: u32, object: &str, path: &Word) {
    lines.extend(format!("{mode:06o} {object}\t").bytes());
    lines.extend(path.as_bytes());
    lines.push(0);
}

/// Modes and objects of what the result has, by path.
fn entries(repo: &Repository, base: CommitId, tip: CommitId) -> Result<BTreeMap<Vec<u8>, (u32, String)>, GitError> {
    let tool = repo.git().args(["diff-tree", "-r", "-z", "--no-renames", "--no-abbrev", "--raw"]);
    let answer = tool.args([base.to_string(), tip.to_string()]).run()?;
    let mut words = fields(&answer);
    let mut found = BTreeMap::new();
    while let (Some(head), Some(path)) = (words.next(), words.next()) {
        let text = String::from_utf8_lossy(head).into_owned();
        let parts: Vec<&str> = text.trim_start_matches(':').split(' ').collect();
        let [_, mode, _, object, _] = parts[..] else {
            return Err(GitError::Answer { command: "diff-tree", answer: text });
        };
        if let Some(mode) = u32::from_str_radix(mode, 8).ok().filter(|mode| *mode != 0) {
            found.insert(path.to_vec(), (mode, object.to_owned()));
        }
    }
    Ok(found)
}

/// Write the contents that are neither of the base nor of the result, in their order; in one process, however many.
#[expect(clippy::disallowed_methods, reason = "into a directory for that, which nobody reads after a crash")]
fn blobs(repo: &Repository, pieces: &[Piece], scratch: &Path) -> Result<Vec<String>, GitError> {
    let contents = pieces.iter().filter_map(|piece| match piece {
        Piece::Made { bytes, .. } => Some(bytes),
        _ => None,
    });
    let mut paths = Vec::new();
    for (place, bytes) in contents.enumerate() {
        // A plain name: git reads a line for each, from where it is started.
        let name = format!("made-{place}");
        fs::write(scratch.join(&name), bytes).map_err(GitError::file("write in", scratch))?;
        paths.push(name);
    }
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let tool: Tool = repo.git().args(super::commit::DURABLE).dir(scratch);
    let answer =
        tool.args(["hash-object", "-w", "--no-filters", "--stdin-paths"]).input(paths.join("\n") + "\n").run()?;
    let names: Vec<String> = String::from_utf8_lossy(&answer).lines().map(str::to_owned).collect();
    match names.len() == paths.len() {
        true => Ok(names),
        false => Err(GitError::Answer { command: "hash-object", answer: names.join(" ") }),
    }
}
