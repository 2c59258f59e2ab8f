//! The commits that land, made from those that were planned: the same trees and authors on the same parents, with what is
//! known of them only now in their messages, and signed where the user signs.
//!
//! Only commits of ours are made anew: those of a task, or of anybody else, are never touched.

use std::collections::HashMap;

use jiff::Timestamp;

use super::commit::{Commit, Identity, Made};
use super::hook::Draft;
use super::opened::Opened;
use super::{GitError, Repository};
use crate::core::id::CommitId;

/// A planned step of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsealed {
    /// The commit as it was planned: it stands on that of the step before.
    pub commit: CommitId,
    /// The result in it: what its history holds is not ours.
    pub tip: Option<CommitId>,
    /// When its commits are made, as they say.
    pub at: Timestamp,
    /// Lines to be added to the message of the commit, where it is one of ours.
    pub trailers: String,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sealed {
    /// What each step becomes: each stands on the one before, the first on the head.
    Steps(Vec<CommitId>),
    /// Not done, because of this step or, where none is named, of none in particular; and why.
    Refused(Option<usize>, String),
}

/// Who is asked about the commit of a step, where it is one of ours: its message, or why it is not to be made.
pub type Ask<'a> = &'a dyn Fn(usize, Draft) -> Result<Result<Vec<u8>, String>, GitError>;

/// Make the commits that land on a head. A planned step may also stand on `stand_in`, which the head was made from.
///
/// # Errors
/// Where an object is missing or git cannot be run. A commit that cannot be signed is [`Sealed::Refused`].
pub fn seal(
    repo: &Repository,
    head: CommitId,
    stand_in: Option<CommitId>,
    steps: &[Unsealed],
    ask: Option<Ask<'_>>,
) -> Result<Sealed, GitError> {
    let opened = &repo.open();
    let signs = opened.is_set("commit.gpgsign")?;
    let mut known: HashMap<CommitId, CommitId> = stand_in.map(|commit| (commit, head)).into_iter().collect();
    let mut sealed = Vec::with_capacity(steps.len());
    let mut before = head;
    for (place, step) in steps.iter().enumerate() {
        if ask.is_some() || signs || !step.trailers.is_empty() || !known.is_empty() {
            let who = Identity::of(repo, step.at)?;
            for (id, parents) in ours(opened, head, step.commit, steps, &known)? {
                let own: Vec<CommitId> = parents.iter().map(|id| known.get(id).copied().unwrap_or(*id)).collect();
                let trailers = if id == step.commit { step.trailers.as_str() } else { "" };
                let ask = ask.filter(|_| id == step.commit);
                if ask.is_none() && !signs && trailers.is_empty() && own == parents {
                    continue;
                }
                let mut commit = Commit { parents: own, ..Commit::read(opened, id)? };
                if !trailers.is_empty() {
                    let line_end = if commit.message.ends_with(b"\n") { "" } else { "\n" };
                    commit.message.extend(line_end.bytes().chain(trailers.bytes()));
                }
                if let Some(ask) = ask {
                    let Commit { parents, tree, message, .. } = commit.clone();
                    match ask(place, Draft { parents, tree, message })? {
                        Ok(message) => commit.message = message,
                        Err(reason) => return Ok(Sealed::Refused(Some(place), reason)),
                    }
                }
                match commit.sign(opened, &who, signs)? {
                    Made::Commit(made) => known.insert(id, made),
                    Made::NotSigned(reason) => return Ok(Sealed::Refused(None, reason)),
                };
            }
        }
        let to = known.get(&step.commit).copied().unwrap_or(step.commit);
        if !opened.is_ancestor(before, to)? {
            return Ok(Sealed::Refused(None, "it was planned on another head".to_owned()));
        }
        sealed.push(to);
        before = to;
    }
    Ok(Sealed::Steps(sealed))
}

/// The commits of a step that we made, with their parents, oldest first.
fn ours(
    opened: &Opened<'_>,
    head: CommitId,
    commit: CommitId,
    steps: &[Unsealed],
    known: &HashMap<CommitId, CommitId>,
) -> Result<Vec<(CommitId, Vec<CommitId>)>, GitError> {
    let theirs = steps.iter().filter_map(|step| step.tip).chain(known.keys().copied()).chain([head]);
    let asked = opened.repo.git().args([
        "rev-list",
        "--ignore-missing",
        "--topo-order",
        "--reverse",
        "--parents",
        &commit.to_string(),
    ]);
    let answer = asked.args(theirs.map(|id| format!("^{id}"))).line()?;
    let line = |line: &str| {
        let mut ids = line.split(' ').map_while(|id| id.parse().ok());
        Some((ids.next()?, ids.collect()))
    };
    Ok(answer.lines().filter_map(line).collect())
}
