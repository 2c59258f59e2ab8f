//! What would land. Nothing moves here: only objects are written, and the same question gives the same commit.
//!
//! - Commits are not signed yet: not all of them land ([`super::seal`]).
//! - The verdict on text is `git merge-tree`'s alone (the ort engine), with the attributes of the target.
//! - A plan never asks for unrelated histories to be joined, and never takes a side.
//! - Every tree that git merged is checked against our own walk ([`super::walk`]), where that decides.
//! - Every plan passes the conservation check: a tree that would change more than the change did is refused.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use super::commit::{self, Commit};
use super::crosscheck::{self, Engine};
use super::opened::Opened;
use super::{GitError, Repository, conserve};
use crate::core::change::{Conflict, ConflictPath, Hold, Landing, Refusal};
use crate::core::id::{CommitId, TreeId};
use crate::core::task::Strategy;
use crate::core::word::Word;
use crate::process::tool::fields;

pub use super::commit::Identity;

/// Paths of a conflict that are looked up in the history; the rest are named without their commits.
const EXPLAINED: usize = 50;

/// What `git merge-tree` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// One tree.
    Clean(TreeId),
    /// These paths conflict. (None may be named, for a conflict of another kind.)
    Conflict(Vec<Word>),
    /// The two have no commit in common.
    NoBase,
    /// Git says that it is clean, but its tree is not the one that our own walk comes to: here they differ. One of the
    /// two is wrong, so it is nobody's.
    Disputed(Vec<Word>),
}

/// A wish: this change on that head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The target as it is now.
    pub head: CommitId,
    /// Where the change begins.
    pub base: CommitId,
    /// Where it ends.
    pub tip: CommitId,
    /// How it becomes part of the target.
    pub strategy: Strategy,
    /// The message of a commit that we make; replayed commits keep their own.
    pub message: &'a str,
    /// The graph does not tell what the target holds (a fold of it was undone, a need was squashed): take
    /// `base..tip` as a difference, even if the tip is in the target's history.
    pub replay: bool,
}

/// What would land.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// This commit; it descends from the head.
    Land(CommitId),
    /// The head holds it: nothing would change.
    Already,
    /// It does not go in.
    Refused(Refusal),
}

/// Merge in memory. With `base`, it alone is the merge base; without, git finds it in the graph.
///
/// # Errors
/// Where an object is missing or git cannot be run.
pub fn merge_trees(
    repo: &Repository,
    base: Option<CommitId>,
    ours: CommitId,
    theirs: CommitId,
) -> Result<Merged, GitError> {
    merge_in(&repo.open(), base, ours, theirs)
}

fn merge_in(opened: &Opened<'_>, base: Option<CommitId>, ours: CommitId, theirs: CommitId) -> Result<Merged, GitError> {
    crosscheck::merge(opened, &by_git, base, [ours, theirs], &|| opened.merge_bases(ours, theirs))
}

/// As git says, unchecked.
pub(super) fn by_git(
    repo: &Repository,
    base: Option<CommitId>,
    ours: CommitId,
    theirs: CommitId,
) -> Result<Merged, GitError> {
    let [our_name, their_name] = [ours, theirs].map(|id| id.to_string());
    // The attributes of the target decide about merge drivers: not those of some checkout, nor those of the change.
    let mut tool = repo.git().args(commit::DURABLE).arg(format!("--attr-source={ours}"));
    tool = tool.args(["merge-tree", "--write-tree", "-z", "--name-only", "--no-messages"]);
    if let Some(base) = base {
        tool = tool.arg(format!("--merge-base={base}"));
    }
    let shown = tool.shown();
    let output = tool.args([&our_name, &their_name]).output()?;
    let mut answer = fields(&output.stdout);
    match (output.code, answer.next()) {
        (Some(0), Some(tree)) => {
            super::repository::parse("merge-tree", &String::from_utf8_lossy(tree)).map(Merged::Clean)
        }
        (Some(1), Some(_)) => Ok(Merged::Conflict(answer.map(|path| Word::from(path.to_vec())).collect())),
        _ if base.is_none() && repo.open().merge_bases(ours, theirs)?.is_empty() => Ok(Merged::NoBase),
        (code, _) => Err(commit::failed(shown, code, output.stderr)),
    }
}

/// What would land, as a commit that is written but that nothing leads to yet.
///
/// The graph is trusted where the change begins in the target's history (a three-way merge with the base that git
/// finds); else the change is replayed: its commits along first parents, one by one, each as the difference to its
/// first parent, so that a merge inside it is one step. Where first parents do not lead from the tip to the base, the
/// whole change is one step; so it is where a commit on the way conflicts with the target and the whole does not.
/// `Squash` always takes the whole change in one step.
///
/// # Errors
/// Where an object is missing or git cannot be run. A conflict is a [`Plan`].
pub fn plan(repo: &Repository, wanted: &Wanted<'_>, who: &Identity) -> Result<Plan, GitError> {
    plan_by(&by_git, repo, wanted, who)
}

pub(super) fn plan_by(
    engine: Engine<'_>,
    repo: &Repository,
    wanted: &Wanted<'_>,
    who: &Identity,
) -> Result<Plan, GitError> {
    let &Wanted { head, base, tip, .. } = wanted;
    let opened = &repo.open();
    if !wanted.replay && opened.is_ancestor(tip, head)? {
        return Ok(Plan::Already);
    }
    let follows = opened.is_ancestor(base, head)?;
    let natural = !wanted.replay && follows && opened.is_ancestor(base, tip)?;
    let planner = Planner { opened, wanted, who, natural, engine, bases: OnceCell::new() };
    let is_ahead = || Ok::<_, GitError>(follows && opened.is_ancestor(head, tip)?);
    let made = match wanted.strategy {
        Strategy::FastForward | Strategy::Auto if is_ahead()? => Ok(tip),
        Strategy::FastForward => Err(Plan::Refused(Refusal::Held(Hold::NotFastForward))),
        Strategy::Merge | Strategy::Auto => planner.merge()?,
        Strategy::Squash => planner.squash()?,
        Strategy::Rebase => planner.replay()?,
    };
    let to = match made {
        Ok(to) if to == head => return Ok(Plan::Already),
        Ok(to) => to,
        Err(plan) => return Ok(plan),
    };
    checked(opened, head, to, &planner.since()?, tip)
}

/// The paths that a step of a target touches.
///
/// # Errors
/// Where an object is missing.
pub fn touched(repo: &Repository, step: &Landing) -> Result<BTreeSet<Word>, GitError> {
    conserve::changed(&repo.open(), step.from, step.to)
}

/// The base of a task that needs others: their tips folded onto `base`, in order, or the paths that conflict.
///
/// A tip that descends from what there is so far is taken as it is; one that is held by it adds nothing; any other
/// makes a merge commit.
///
/// # Errors
/// As [`plan`].
pub fn combine(
    repo: &Repository,
    base: CommitId,
    tips: &[CommitId],
    message: &str,
    who: &Identity,
) -> Result<Result<CommitId, Vec<Word>>, GitError> {
    let opened = repo.open();
    let mut so_far = base;
    for &tip in tips {
        if opened.is_ancestor(tip, so_far)? {
            continue;
        }
        if opened.is_ancestor(so_far, tip)? {
            so_far = tip;
            continue;
        }
        let merged = match merge_in(&opened, None, so_far, tip)? {
            // A result that was made on a history of its own is still a difference to the base.
            Merged::NoBase => merge_in(&opened, Some(base), so_far, tip)?,
            merged => merged,
        };
        let tree = match merged {
            Merged::Clean(tree) => tree,
            Merged::Conflict(paths) | Merged::Disputed(paths) => return Ok(Err(paths)),
            Merged::NoBase => return Ok(Err(Vec::new())),
        };
        let commit = Commit::new(tree, vec![so_far, tip], who, message);
        so_far = commit.write(&opened, who)?;
    }
    Ok(Ok(so_far))
}

/// A fold taken back: one commit on top of the head, with the difference `folded.to..folded.from`.
///
/// # Errors
/// As [`plan`].
pub fn plan_undo(
    repo: &Repository,
    head: CommitId,
    folded: &Landing,
    message: &str,
    who: &Identity,
) -> Result<Plan, GitError> {
    let opened = &repo.open();
    let tree = match merge_in(opened, Some(folded.to), head, folded.from)? {
        Merged::Clean(tree) => tree,
        Merged::Conflict(paths) => return conflict(repo, head, head, folded.from, &[folded.to], paths),
        Merged::NoBase => return Ok(Plan::Refused(Refusal::Held(no_base()))),
        Merged::Disputed(paths) => return Ok(Plan::Refused(Refusal::Held(Hold::Disputed { paths }))),
    };
    if tree == opened.tree_of(head)? {
        return Ok(Plan::Already);
    }
    let to = Commit::new(tree, vec![head], who, message).write(opened, who)?;
    checked(opened, head, to, &[folded.to], folded.from)
}

fn no_base() -> Hold {
    Hold::Refused { reason: "the change and the target have no commit in common".to_owned() }
}

fn checked(
    opened: &Opened<'_>,
    head: CommitId,
    to: CommitId,
    bases: &[CommitId],
    tip: CommitId,
) -> Result<Plan, GitError> {
    let paths = conserve::beyond(opened, head, to, bases, tip)?;
    Ok(match paths.is_empty() {
        true => Plan::Land(to),
        false => Plan::Refused(Refusal::Held(Hold::NotConserved { paths })),
    })
}

/// A conflict, with who touched each path since the bases.
fn conflict(
    repo: &Repository,
    onto: CommitId,
    ours: CommitId,
    theirs: CommitId,
    bases: &[CommitId],
    paths: Vec<Word>,
) -> Result<Plan, GitError> {
    let mut told = Vec::with_capacity(paths.len());
    for (place, path) in paths.into_iter().enumerate() {
        let (mut our_last, mut their_last) = (None, None);
        if place < EXPLAINED {
            our_last = last_touch(repo, ours, bases, &path)?;
            their_last = last_touch(repo, theirs, bases, &path)?;
        }
        told.push(ConflictPath { path, ours: our_last, theirs: their_last });
    }
    Ok(Plan::Refused(Refusal::Conflict(Conflict { onto, paths: told })))
}

pub(super) fn last_touch(
    repo: &Repository,
    side: CommitId,
    bases: &[CommitId],
    path: &Word,
) -> Result<Option<CommitId>, GitError> {
    let asked = repo.git().args(["--literal-pathspecs", "rev-list", "-1", &side.to_string()]);
    let asked = asked.args(bases.iter().map(|base| format!("^{base}"))).arg("--").arg(path.as_os_str());
    Ok(asked.line()?.parse().ok())
}

/// `Err` is a plan that is final: already there, or refused.
type Step = Result<CommitId, Plan>;

struct Planner<'a> {
    opened: &'a Opened<'a>,
    wanted: &'a Wanted<'a>,
    who: &'a Identity,
    natural: bool,
    engine: Engine<'a>,
    bases: OnceCell<Vec<CommitId>>,
}

impl Planner<'_> {
    fn merge(&self) -> Result<Step, GitError> {
        let &Wanted { head, tip, message, .. } = self.wanted;
        let (tree, second) = if self.natural {
            match self.whole()? {
                Ok(tree) => (tree, tip),
                Err(plan) => return Ok(Err(plan)),
            }
        } else {
            match self.replay()? {
                Ok(replayed) if replayed == head => return Ok(Err(Plan::Already)),
                Ok(replayed) => (self.opened.tree_of(replayed)?, replayed),
                Err(plan) => return Ok(Err(plan)),
            }
        };
        if tree == self.opened.tree_of(head)? {
            return Ok(Err(Plan::Already));
        }
        Commit::new(tree, vec![head, second], self.who, message).write(self.opened, self.who).map(Ok)
    }

    fn squash(&self) -> Result<Step, GitError> {
        let &Wanted { head, tip, message, .. } = self.wanted;
        let tree = match self.whole()? {
            Ok(tree) if tree == self.opened.tree_of(head)? => return Ok(Err(Plan::Already)),
            Ok(tree) => tree,
            Err(plan) => return Ok(Err(plan)),
        };
        let author = Commit::read(self.opened, tip)?.author;
        let commit = Commit { author, ..Commit::new(tree, vec![head], self.who, message) };
        commit.write(self.opened, self.who).map(Ok)
    }

    /// The tree of the whole change on the head.
    fn whole(&self) -> Result<Result<TreeId, Plan>, GitError> {
        let &Wanted { head, base, tip, .. } = self.wanted;
        self.step(head, (!self.natural).then_some(base), tip)
    }

    /// The tree of one difference on a commit; without a base, git finds it.
    fn step(&self, ours: CommitId, base: Option<CommitId>, theirs: CommitId) -> Result<Result<TreeId, Plan>, GitError> {
        // Git looks for a base only where the whole change goes onto the head.
        let bases = || self.since();
        let paths = match crosscheck::merge(self.opened, self.engine, base, [ours, theirs], &bases)? {
            Merged::Clean(tree) => return Ok(Ok(tree)),
            Merged::Conflict(paths) => paths,
            Merged::NoBase => return Ok(Err(Plan::Refused(Refusal::Held(no_base())))),
            Merged::Disputed(paths) => return Ok(Err(Plan::Refused(Refusal::Held(Hold::Disputed { paths })))),
        };
        let head = self.wanted.head;
        conflict(self.opened.repo, head, head, theirs, &self.since()?, paths).map(Err)
    }

    /// Where the change and the target parted.
    fn since(&self) -> Result<Vec<CommitId>, GitError> {
        let &Wanted { head, base, tip, .. } = self.wanted;
        if !self.natural {
            return Ok(vec![base]);
        }
        if self.bases.get().is_none() {
            let _ = self.bases.set(self.opened.merge_bases(head, tip)?);
        }
        Ok(self.bases.get().cloned().unwrap_or_default())
    }

    /// The commits of the change on top of the head, without those that add nothing there.
    fn replay(&self) -> Result<Step, GitError> {
        let &Wanted { base, tip, .. } = self.wanted;
        let chain = self.chain()?;
        match self.replay_chain(&chain)? {
            // The target may hold later steps of it and not the earlier ones.
            Err(plan) if chain.len() > 1 && matches!(plan, Plan::Refused(Refusal::Conflict(_))) => {
                Ok(self.replay_chain(&[(base, tip)])?.map_err(|_| plan))
            }
            made => Ok(made),
        }
    }

    fn replay_chain(&self, chain: &[(CommitId, CommitId)]) -> Result<Step, GitError> {
        let mut so_far = self.wanted.head;
        for &(parent, id) in chain {
            if parent == so_far {
                so_far = id;
                continue;
            }
            let tree = match self.step(so_far, Some(parent), id)? {
                Ok(tree) if tree == self.opened.tree_of(so_far)? => continue,
                Ok(tree) => tree,
                Err(plan) => return Ok(Err(plan)),
            };
            let replayed = Commit { tree, parents: vec![so_far], ..Commit::read(self.opened, id)? };
            so_far = replayed.write(self.opened, self.who)?;
        }
        Ok(Ok(so_far))
    }

    /// The steps of a replay, oldest first: each a commit and what it is a difference to.
    fn chain(&self) -> Result<Vec<(CommitId, CommitId)>, GitError> {
        let &Wanted { base, tip, .. } = self.wanted;
        let asked = self.opened.repo.git().args(["rev-list", "--first-parent", "--reverse", "--parents"]);
        let answer = asked.args([tip.to_string(), format!("^{base}")]).line()?;
        let chain: Vec<_> = answer
            .lines()
            .filter_map(|line| {
                let mut ids = line.split(' ').map(str::parse);
                let id = ids.next()?.ok()?;
                Some((ids.next()?.ok()?, id))
            })
            .collect();
        let leads_to_base = chain.first().is_some_and(|(parent, _)| *parent == base);
        Ok(if leads_to_base { chain } else { vec![(base, tip)] })
    }
}
