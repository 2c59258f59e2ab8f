//! Which results will conflict, with the target as it will be and with each other, before anybody merges.
//!
//! The walk settles most of it in process, and changes that touch nothing in common cost nothing. The rest is asked of
//! git in batches, and no more of it than [`MOST_MERGED`] pairs. All that is written on the way goes to a directory of its
//! own and is gone afterwards.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::PathBuf;

use git2::Oid;

use super::merge::Merged;
use super::opened::Opened;
use super::repository::parse;
use super::walk::{self, Look, Objects, Walked};
use super::{GitError, Repository, private};
use crate::core::id::{CommitId, TreeId};
use crate::core::word::Word;
use crate::process::ToolError;

/// How many pairs git is asked about at once. Of others that only git could tell it is said that they may conflict.
pub const MOST_MERGED: usize = 1000;

/// A conflict to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreseen {
    /// Which change.
    pub change: usize,
    /// With which one behind it, or (`None`) with the head.
    pub with: Option<usize>,
    /// In which paths. None may be named, for a conflict of another kind.
    pub paths: Vec<Word>,
    /// Both touch these paths, and no merge was tried.
    pub may: bool,
}

/// The conflicts of some changes (each a base and a tip) with a head, and of those that go in there with each other:
/// what would be said if one landed and then the other. A conflict of two is told once. Pairs that
/// are known (by their places, the lower first) are not looked at again.
///
/// What git cannot merge here (an object that a partial clone does not have) is not foreseen.
///
/// # Errors
/// Where git cannot be run, or the directory aside cannot be made.
pub fn will_conflict(
    repo: &Repository,
    head: CommitId,
    changes: &[(CommitId, CommitId)],
    is_known: &dyn Fn(usize, usize) -> bool,
) -> Result<Vec<Foreseen>, GitError> {
    if changes.is_empty() || matches!(changes, [(base, _)] if *base == head) {
        return Ok(Vec::new());
    }
    let aside = Aside::make(repo, head)?;
    let mut found = Vec::new();
    let objects = aside.objects();
    let landed = aside.each_on_head(objects.as_ref(), changes, &mut found)?;
    aside.pairs(objects.as_ref(), &landed, is_known, &mut found)?;
    found.sort_by_key(|one| (one.change, one.with));
    Ok(found)
}

/// A database of objects of our own beside that of the repository, which sees all of that.
struct Aside<'a> {
    opened: Opened<'a>,
    head: CommitId,
    library: git2::Repository,
    dir: tempfile::TempDir,
}

impl<'a> Aside<'a> {
    fn make(repo: &'a Repository, head: CommitId) -> Result<Self, GitError> {
        let dir = tempfile::tempdir().map_err(GitError::file("create a directory in", std::env::temp_dir()))?;
        Ok(Self { opened: repo.open(), head, library: git2::Repository::init_bare(dir.path())?, dir })
    }

    fn objects(&self) -> Option<Objects<'_>> {
        Objects::beside(self.opened.repo, self.library.odb().ok()?)
    }

    /// The tree of the head with each change on it; none for a change that conflicts there, which is noted.
    fn each_on_head(
        &self,
        objects: Option<&Objects<'_>>,
        changes: &[(CommitId, CommitId)],
        found: &mut Vec<Foreseen>,
    ) -> Result<Vec<Option<TreeId>>, GitError> {
        let mut landed = vec![None; changes.len()];
        let (mut unsure, mut wishes) = (Vec::new(), Vec::new());
        for (place, &(base, tip)) in changes.iter().enumerate() {
            let bases = self.bases(base, tip)?;
            let walked = objects.and_then(|objects| {
                let [base, ours, theirs] = [*bases.first()?, self.head, tip].map(|commit| objects.tree_of(commit));
                Some(walk::walk(objects, base?, ours?, theirs?)).filter(|_| bases.len() == 1)
            });
            if let Some(Walked::Tree(tree)) = walked {
                landed[place] = Some(tree);
                continue;
            }
            unsure.push(place);
            wishes.push(match bases[..] {
                [base] => format!("{base} -- {} {tip}\n", self.head),
                _ => format!("{} {tip}\n", self.head),
            });
        }
        for (place, merged) in unsure.into_iter().zip(self.merge_all(&wishes)?) {
            match merged {
                Some(Merged::Clean(tree)) => landed[place] = Some(tree),
                Some(Merged::Conflict(paths)) => {
                    found.push(Foreseen { change: place, with: None, paths, may: false });
                }
                _ => {}
            }
        }
        Ok(landed)
    }

    /// What a landing would take as the base of a change, as [`super::merge::plan`] has it.
    fn bases(&self, base: CommitId, tip: CommitId) -> Result<Vec<CommitId>, GitError> {
        let opened = &self.opened;
        // Without the library each question is a process, and most changes have not merged the target meanwhile.
        let is_known = opened.library().is_none();
        if is_known || !opened.is_ancestor(base, self.head)? || !opened.is_ancestor(base, tip)? {
            return Ok(vec![base]);
        }
        opened.merge_bases(self.head, tip)
    }

    fn pairs(
        &self,
        objects: Option<&Objects<'_>>,
        landed: &[Option<TreeId>],
        is_known: &dyn Fn(usize, usize) -> bool,
        found: &mut Vec<Foreseen>,
    ) -> Result<(), GitError> {
        let objects = objects.and_then(|objects| Some((objects, objects.tree_of(self.head)?)));
        let there: Vec<(usize, TreeId)> =
            landed.iter().enumerate().filter_map(|(place, tree)| Some((place, (*tree)?))).collect();
        let touched: Vec<Option<Vec<Word>>> =
            there.iter().map(|(_, tree)| objects.and_then(|(all, head)| walk::touched(all, head, *tree))).collect();
        let mut written: HashMap<TreeId, Oid> = HashMap::new();
        let (mut unsure, mut wishes) = (Vec::new(), Vec::new());
        let mut pairs = meeting(&touched);
        pairs.retain(|(one, other)| !is_known(there[*one].0, there[*other].0));
        // What lands one after the other is most likely to meet.
        pairs.sort_by_key(|(one, other)| other - one);
        for (one, other) in pairs {
            let [(first, ours), (second, theirs)] = [there[one], there[other]];
            let paths = match objects.map(|(all, head)| walk::look(all, head, ours, theirs)) {
                Some(Look::Clean) => continue,
                Some(Look::Unsure(paths)) => paths,
                None => Vec::new(),
            };
            if wishes.len() == MOST_MERGED {
                // Where nothing can be read in process, nothing speaks for a conflict either.
                let is_seen = !paths.is_empty();
                found.extend(is_seen.then_some(Foreseen { change: first, with: Some(second), paths, may: true }));
                continue;
            }
            let mut name = |tree: TreeId| -> Result<String, GitError> {
                // Before git 2.45 it merges commits only.
                let Some((all, _)) = objects else { return Ok(tree.to_string()) };
                Ok(match written.entry(tree) {
                    Entry::Occupied(commit) => commit.get().to_string(),
                    Entry::Vacant(place) => place.insert(self.commit(all, tree)?).to_string(),
                })
            };
            wishes.push(format!("{} -- {} {}\n", self.head, name(ours)?, name(theirs)?));
            unsure.push((first, second));
        }
        for ((one, other), merged) in unsure.into_iter().zip(self.merge_all(&wishes)?) {
            if let Some(Merged::Conflict(paths)) = merged {
                found.push(Foreseen { change: one, with: Some(other), paths, may: false });
            }
        }
        Ok(())
    }

    /// A commit on the head, for git to merge.
    fn commit(&self, objects: &Objects<'_>, tree: TreeId) -> Result<Oid, GitError> {
        let who = "pleach <pleach@localhost> 0 +0000";
        objects.write(Oid::from_str(&tree.to_string())?)?;
        let text = format!("tree {tree}\nparent {}\nauthor {who}\ncommitter {who}\n\nforeseen\n", self.head);
        Ok(objects.write_commit(text.as_bytes())?)
    }

    /// What git says to each wish; `None` where it cannot merge that.
    fn merge_all(&self, wishes: &[String]) -> Result<Vec<Option<Merged>>, GitError> {
        let mut answers = Vec::new();
        while answers.len() < wishes.len() {
            let left = &wishes[answers.len()..];
            match self.git(&left.concat()) {
                Ok(said) => answers.extend(said.into_iter().map(Some)),
                // There are merges that it dies of, and what it had said by then is lost.
                Err(GitError::Tool(ToolError::Failed { .. })) if left.len() > 1 => {
                    answers.extend(self.merge_all(&left[..left.len() / 2])?);
                    continue;
                }
                Err(GitError::Tool(ToolError::Failed { .. })) => {}
                Err(error) => return Err(error),
            }
            // It gives up at the first that it cannot merge.
            if answers.len() < wishes.len() {
                answers.push(None);
            }
        }
        Ok(answers)
    }

    fn git(&self, wishes: &str) -> Result<Vec<Merged>, GitError> {
        let there = private::quoted(&self.opened.repo.common_dir().join("objects"), b"\n\":");
        // All wishes are given at once and the end of them is the end of the batch: before 2.49 git answers late.
        let tool = self.opened.repo.git().args(["-c", "core.fsync=none"]).arg(format!("--attr-source={}", self.head));
        let tool = tool.args(["merge-tree", "--write-tree", "--stdin", "--name-only", "--no-messages"]);
        let tool = tool.env("GIT_OBJECT_DIRECTORY", self.own_objects()).env("GIT_NO_LAZY_FETCH", "1");
        let tool = tool.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", Word::from(there).as_os_str());
        let output = tool.input(wishes).output()?;
        let mut words = output.stdout.split(|byte| *byte == 0);
        let mut answers = Vec::new();
        while let (Some(status), Some(tree)) = (words.next().filter(|status| !status.is_empty()), words.next()) {
            let paths: Vec<Word> =
                words.by_ref().take_while(|path| !path.is_empty()).map(|path| Word::from(path.to_vec())).collect();
            answers.push(match status {
                b"1" => Merged::Clean(parse("merge-tree", &String::from_utf8_lossy(tree))?),
                _ => Merged::Conflict(paths),
            });
        }
        Ok(answers)
    }

    fn own_objects(&self) -> PathBuf {
        self.dir.path().join("objects")
    }
}

/// The pairs of which one touches what the other touches, or something in it. What is not known meets all.
fn meeting(touched: &[Option<Vec<Word>>]) -> Vec<(usize, usize)> {
    let many = touched.len();
    let mut at: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for (place, paths) in touched.iter().enumerate() {
        for path in paths.iter().flatten() {
            at.entry(path.as_bytes()).or_default().push(place);
        }
    }
    let mut meets = vec![false; many * many];
    for (place, paths) in touched.iter().enumerate() {
        for path in paths.iter().flatten().map(Word::as_bytes) {
            let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| end);
            for above in ends.chain([path.len()]) {
                for other in at.get(&path[..above]).into_iter().flatten() {
                    meets[place.min(*other) * many + place.max(*other)] = true;
                }
            }
        }
    }
    let pairs = (0..many).flat_map(|one| (one + 1..many).map(move |other| (one, other)));
    pairs
        .filter(|&(one, other)| meets[one * many + other] || touched[one].is_none() || touched[other].is_none())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_meets_whom() {
        let touched = |paths: &str| Some(paths.split_whitespace().map(Word::from).collect());
        let all = [touched("a/b c"), touched("a/b/d"), touched("a/bc a/c"), touched("c d"), touched("")];
        assert_eq!(meeting(&all), [(0, 1), (0, 3)]);
        assert_eq!(meeting(&[touched("a"), None, touched("b")]), [(0, 1), (1, 2)]);
    }
}
