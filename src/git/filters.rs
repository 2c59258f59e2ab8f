//! After a filter failed: which files it did work for.

use std::path::Path;

use super::GitError;
use crate::core::word::Word;
use crate::process::Tool;
use crate::process::tool::fields;

/// The index holds every changed file unfiltered; `before` is the index as it was. Put the filtered content of those in whose filter works.
/// One process a filtered file: this is the way of last resort. `git` runs no filter, `filtered` does.
///
/// # Errors
/// Where git cannot be run.
pub(super) fn retry(
    git: &dyn Fn() -> Tool,
    filtered: &dyn Fn() -> Tool,
    worktree: &Path,
    before: &Path,
) -> Result<(), GitError> {
    let entries = git().args(["ls-files", "-s", "-z"]).run()?;
    let old = git().env("GIT_INDEX_FILE", before).args(["ls-files", "-s", "-z"]).output()?.stdout;
    let old: std::collections::HashSet<&[u8]> = fields(&old).collect();
    let changed: Vec<(&[u8], &[u8])> =
        fields(&entries).filter(|entry| !old.contains(entry)).filter_map(split).collect();
    let paths: Vec<u8> = changed.iter().flat_map(|(_, path)| [path, &b"\0"[..]].concat()).collect();
    let answer = git().args(["check-attr", "-z", "--stdin", "filter"]).input(paths).run()?;
    let mut words = answer.split(|byte| *byte == 0);
    let mut lines = Vec::new();
    while let (Some(path), Some(_), Some(driver)) = (words.next(), words.next(), words.next()) {
        if matches!(driver, b"unspecified" | b"unset" | b"set") {
            continue;
        }
        let Some((mode, _)) = changed.iter().find(|(mode, changed)| *changed == path && mode.starts_with(b"100"))
        else {
            continue;
        };
        let word = Word::from(path.to_vec());
        let hash = filtered().args(["hash-object", "-w", "--path"]).arg(word.as_os_str()).arg("--");
        let hash = hash.arg(worktree.join(word.as_path())).output()?;
        if hash.code == Some(0) {
            let id = hash.stdout.trim_ascii();
            lines.extend([*mode, b" ", id, b"\t", path, b"\0"].concat());
        }
    }
    if !lines.is_empty() {
        git().args(["update-index", "-z", "--index-info"]).input(lines).run()?;
    }
    Ok(())
}

/// `<mode> <object> <stage>`, a tab, the path: as mode and path.
fn split(entry: &[u8]) -> Option<(&[u8], &[u8])> {
    let tab = entry.iter().position(|byte| *byte == b'\t')?;
    Some((&entry[..entry.iter().position(|byte| *byte == b' ')?], &entry[tab + 1..]))
}
