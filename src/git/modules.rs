//! Submodules of a task's worktree, filled from those of the user: no network, and nothing of theirs can be written.
//!
//! Each gets a git directory of its own in the private one (`modules/NAME`), whose objects are also those of the user's
//! `modules/NAME`, and its files as the tree says. What the user has not initialised stays as empty as in their checkout. What
//! they have, and what could not be filled all the same, is named.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::private::{self, common_name, write};
use super::worktree::Place;
use super::{GitError, Repository};
use crate::core::id::CommitId;
use crate::core::word::Word;
use crate::process::Tool;
use crate::process::tool::fields;

/// As deep as submodules are filled in submodules.
const DEPTH: usize = 8;
/// More are not filled.
const MOST: usize = 1000;

/// Fill them. Answers the paths of those that should not be empty, and are. Done twice it does no more than once.
///
/// # Errors
/// Where it cannot be told which there are.
pub fn fill(repo: &Repository, place: &Place, checkout: Option<&Path>) -> Result<Vec<Word>, GitError> {
    let (common, name) = (repo.common_dir(), common_name(&place.private));
    let mut sources: Vec<Source> = Vec::new();
    // Those of a linked worktree are its own.
    for dir in checkout.into_iter().chain([common]) {
        let Ok(below) = dir.strip_prefix(common) else { continue };
        let source = Source { real: dir.join("modules"), seen: name.join(below).join("modules") };
        if source.real.is_dir() && !sources.iter().any(|known| known.real == source.real) {
            sources.push(source);
        }
    }
    let mut filler = Filler { empty: Vec::new(), left: MOST };
    if !sources.is_empty() {
        filler.level(&place.private, &place.worktree, &sources, Path::new(""), DEPTH)?;
    }
    Ok(filler.empty)
}

/// Git directories of the user's submodules.
struct Source {
    /// Where they are.
    real: PathBuf,
    /// Where they are for the task: their own place may have something else in it there.
    seen: PathBuf,
}

struct Filler {
    empty: Vec<Word>,
    left: usize,
}

/// A submodule that the tree names.
struct Module {
    name: PathBuf,
    path: PathBuf,
    commit: CommitId,
}

impl Filler {
    /// Those of one repository, and those in them.
    fn level(
        &mut self,
        git_dir: &Path,
        worktree: &Path,
        sources: &[Source],
        above: &Path,
        depth: usize,
    ) -> Result<(), GitError> {
        if !fs::symlink_metadata(worktree.join(".gitmodules")).is_ok_and(|data| data.is_file()) {
            return Ok(());
        }
        for module in named(git_dir, worktree)? {
            let is_there = |source: &&Source| source.real.join(&module.name).join("HEAD").is_file();
            let place = worktree.join(&module.path);
            let is_wanted = fs::symlink_metadata(&place).is_ok_and(|data| data.is_dir());
            let Some(source) = sources.iter().find(is_there).filter(|_| is_wanted) else { continue };
            let [real, seen] = [&source.real, &source.seen].map(|dir| dir.join(&module.name));
            let own = git_dir.join("modules").join(&module.name);
            let path = above.join(&module.path);
            let is_filled = depth > 0 && self.left > 0 && fill_one(&module, &own, &place, &real, &seen).is_ok();
            self.left = self.left.saturating_sub(1);
            if !is_filled {
                self.empty.push(path.into());
                continue;
            }
            // So that `git submodule` knows of it.
            let name = Word::from(module.name.as_path());
            let key = [b"submodule.", name.as_bytes(), b".active"].concat();
            private::git(git_dir, worktree).arg("config").arg(Word::from(key).as_os_str()).arg("true").run()?;
            let below = [Source { real: real.join("modules"), seen: seen.join("modules") }];
            self.level(&own, &place, &below, &path, depth - 1)?;
        }
        Ok(())
    }
}

/// The submodules that HEAD names, with the commits at which they should be.
fn named(git_dir: &Path, worktree: &Path) -> Result<Vec<Module>, GitError> {
    let git = || private::git(git_dir, worktree);
    let listed = git().args(["config", "-z", "--blob", "HEAD:.gitmodules", "--get-regexp", r"^submodule\..*\.path$"]);
    let listed = listed.output()?.stdout;
    let of = |line: &[u8]| {
        let (key, path) = line.split_at_checked(line.iter().position(|byte| *byte == b'\n')?)?;
        let name = key.strip_prefix(b"submodule.")?.strip_suffix(b".path")?;
        Some((Word::from(name.to_vec()), Word::from(path.get(1..)?.to_vec())))
    };
    let named: Vec<(Word, Word)> =
        fields(&listed).filter_map(of).filter(|(name, _)| is_plain(name.as_path())).collect();
    if named.is_empty() {
        return Ok(Vec::new());
    }
    let links = git().arg("--literal-pathspecs").args(["ls-files", "--stage", "-z", "--"]);
    let links = links.args(named.iter().map(|(_, path)| path.as_os_str())).run()?;
    let link = |line: &[u8]| {
        let rest = line.strip_prefix(b"160000 ")?;
        let (id, path) = (rest.split(|byte| *byte == b' ').next()?, line.splitn(2, |byte| *byte == b'\t').nth(1)?);
        let commit = std::str::from_utf8(id).ok()?.parse().ok()?;
        let (name, _) = named.iter().find(|(_, known)| known.as_bytes() == path)?;
        Some(Module { name: name.as_path().to_owned(), path: Word::from(path.to_vec()).as_path().to_owned(), commit })
    };
    Ok(fields(&links).filter_map(link).collect())
}

/// A name comes from the tree, which anybody may have written: it must not lead out of the directory of all of them.
fn is_plain(name: &Path) -> bool {
    name.components().count() > 0 && name.components().all(|part| matches!(part, Component::Normal(_)))
}

fn fill_one(module: &Module, own: &Path, place: &Path, real: &Path, seen: &Path) -> Result<(), GitError> {
    let commit = format!("{}^{{commit}}", module.commit);
    let known = Tool::git().dir(real).arg("--git-dir").arg(real).env("GIT_NO_LAZY_FETCH", "1");
    known.args(["cat-file", "-e", &commit]).run()?;
    for inner in ["objects/info", "objects/pack", "refs/heads", "refs/tags", "info"] {
        let dir = own.join(inner);
        fs::create_dir_all(&dir).map_err(GitError::file("create", &dir))?;
    }
    let was_there = own.join("index").exists();
    write(&own.join("objects/info/alternates"), &private::alternates(&[&seen.join("objects")]))?;
    if let Ok(shallow) = fs::read(real.join("shallow")) {
        write(&own.join("shallow"), &shallow)?;
    }
    write(&own.join("config"), &config(module, place))?;
    write(&own.join("HEAD"), format!("{}\n", module.commit).as_bytes())?;
    let link = place.join(".git");
    if fs::symlink_metadata(&link).is_ok_and(|data| !data.is_dir()) {
        fs::remove_file(&link).map_err(GitError::file("replace", &link))?;
    }
    write(&link, &[b"gitdir: ", own.as_os_str().as_bytes(), b"\n"].concat())?;
    private::checkout(own, place)?;
    if was_there {
        private::git(own, place).args(["clean", "-ffdq"]).run()?;
    }
    Ok(())
}

fn config(module: &Module, place: &Path) -> Vec<u8> {
    let is_sha256 = module.commit.as_bytes().len() > 20;
    let (version, format) = if is_sha256 { (1, "[extensions]\n\tobjectFormat = sha256\n") } else { (0, "") };
    let mut worktree = Vec::new();
    for byte in place.as_os_str().as_bytes() {
        match byte {
            b'"' | b'\\' => worktree.extend([b'\\', *byte]),
            b'\n' => worktree.extend(b"\\n"),
            byte => worktree.push(*byte),
        }
    }
    let head = format!(
        "[core]\n\trepositoryFormatVersion = {version}\n\tbare = false\n\tlogAllRefUpdates = true\n\tworktree = \""
    );
    [head.as_bytes(), &worktree, b"\"\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n", format.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_are_not_followed() {
        for name in ["../x", "a/../../x", "/etc", "", "a/.."] {
            assert!(!is_plain(Path::new(name)), "{name:?}");
        }
        assert!(is_plain(Path::new("libs/one")));
    }
}
