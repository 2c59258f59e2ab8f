//! What came of an attempt, and what stands between it and the target.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::id::{BranchName, CommitId, TaskId};
use super::task::{LandingHook, Strategy};
use super::verify::{Check, Verdict};
use super::word::Word;

/// The result of an attempt, as it was imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Collected {
    /// No file and no commit differs from the base.
    Nothing,
    /// There is something to look at.
    Change(Box<Change>),
    /// What came out could not be taken over; the worktree stays where it is.
    Refused {
        /// Why.
        reason: String,
    },
}

impl Collected {
    /// The change, where there is one.
    pub fn change(&self) -> Option<&Change> {
        match self {
            Self::Change(change) => Some(change),
            Self::Nothing | Self::Refused { .. } => None,
        }
    }

    /// Is all that was left in the worktree in it? Else the worktree stays.
    pub fn is_complete(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Change(change) => {
                !change.flags.iter().any(|flag| matches!(flag, Flag::LeftOut { .. } | Flag::Gitlink { .. }))
            }
            Self::Refused { .. } => false,
        }
    }
}

/// A change: `base..tip`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The last commit of it.
    pub tip: CommitId,
    /// The branch that shows it, for a result that ended well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<BranchName>,
    /// How large it is.
    #[serde(flatten)]
    pub size: Size,
    /// What somebody should know before it is folded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Flag>,
    /// Other things the attempt left in its private repository (branches, stashes): name below the kept
    /// ref, and commit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extras: Vec<(String, CommitId)>,
}

/// How large a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Size {
    /// Commits in it.
    pub commits: u32,
    /// Files that differ.
    pub files: u32,
    /// Lines added.
    pub insertions: u64,
    /// Lines removed.
    pub deletions: u64,
}

/// Something that is allowed in a result but never folded without somebody's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "flag", rename_all = "snake_case")]
pub enum Flag {
    /// The tip does not descend from the base.
    Diverged,
    /// A new link to a commit of another repository.
    Gitlink {
        /// Where.
        path: Word,
    },
    /// A symbolic link that leads out of the tree.
    OutsideLink {
        /// Where.
        path: Word,
        /// What it says.
        leads_to: Word,
    },
    /// Two paths that are one on a file system without case.
    Colliding {
        /// The one.
        path: Word,
        /// The other.
        with: Word,
    },
    /// A path that the task did not say it would touch.
    Outside {
        /// Where.
        path: Word,
    },
    /// A repository inside the worktree, whose files are not part of the result. The worktree is kept.
    LeftOut {
        /// Where.
        path: Word,
    },
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Diverged => f.write_str("its tip does not descend from its base"),
            Self::Gitlink { path } => write!(f, "new submodule link at {}", path.shown()),
            Self::OutsideLink { path, leads_to } => {
                write!(f, "symbolic link {} leads out of the tree, to {}", path.shown(), leads_to.shown())
            }
            Self::Colliding { path, with } => {
                write!(f, "{} and {} are one file where case does not count", path.shown(), with.shown())
            }
            Self::Outside { path } => write!(f, "{} is none of the paths that it may touch", path.shown()),
            Self::LeftOut { path } => write!(f, "{} is a repository of its own and was left out", path.shown()),
        }
    }
}

/// Which way a landing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// A result becomes part of the target.
    Fold,
    /// A fold is taken back by a commit on top.
    Undo,
}

/// A wish to have a result folded, or a fold undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoldRequest {
    /// Which way.
    pub direction: Direction,
    /// The branch to move.
    pub target: BranchName,
    /// The last commit of the result that somebody looked at: another one is not folded. None where nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tip: Option<CommitId>,
    /// How.
    #[serde(default)]
    pub strategy: Strategy,
    /// The message of the commit that is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The flags of the result were seen and accepted.
    #[serde(default)]
    pub accept_flags: bool,
    /// What the target has to pass with it in; none where nothing is set up, or somebody said `--no-verify`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Box<Check>>,
    /// Somebody said `--no-verify`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unverified: bool,
    /// What is asked before its commit lands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<LandingHook>,
}

/// One step of a target: from the head it was planned on to the commit it moves to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landing {
    /// The head that it was planned on, and the only one it may replace.
    pub from: CommitId,
    /// The commit that becomes the head.
    pub to: CommitId,
}

/// Why a result does not go in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "refusal", rename_all = "snake_case")]
pub enum Refusal {
    /// The change and the target touch the same lines.
    Conflict(Conflict),
    /// The target would not pass its check with it in.
    Rejected(Rejection),
    /// Something else is in the way; nothing was touched.
    Held(Hold),
}

/// What the check said of a result that was sent back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// The runs that it alone explains; the last one's log says why.
    pub runs: Vec<u32>,
    /// What the last of them answered.
    pub verdict: Verdict,
    /// The head that the target had.
    pub onto: CommitId,
    /// Is it red on its own base too, or only together with what the target holds? None as long as that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_itself: Option<bool>,
    /// That was looked for, whatever came of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_tried: bool,
}

/// A text conflict, told so that somebody can settle it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The head that it was tried on.
    pub onto: CommitId,
    /// Each path, with the last commit of either side that touched it.
    pub paths: Vec<ConflictPath>,
}

/// One path of a conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictPath {
    /// The path.
    pub path: Word,
    /// The target's commit that touched it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ours: Option<CommitId>,
    /// The task's commit that touched it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theirs: Option<CommitId>,
}

/// What holds a landing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "held", rename_all = "snake_case")]
pub enum Hold {
    /// Files that would change are edited, staged, untracked or ignored in the checkout of the target.
    Overlap {
        /// The checkout.
        checkout: Word,
        /// The files.
        paths: Vec<Word>,
    },
    /// A rebase, merge, cherry-pick or bisect is under way there.
    Unfinished {
        /// The checkout.
        checkout: Word,
        /// Its usual name.
        operation: String,
    },
    /// More than one checkout has the branch.
    SeveralCheckouts {
        /// All of them.
        checkouts: Vec<Word>,
    },
    /// The target branch is not there.
    NoTarget {
        /// Its name.
        target: BranchName,
    },
    /// The result has flags that nobody accepted.
    Flagged {
        /// Them.
        flags: Vec<Flag>,
    },
    /// It builds on results that are not in the target.
    Needs {
        /// Theirs.
        needs: Vec<TaskId>,
    },
    /// Its check could not be run, time and again, through no fault of its own.
    Unverified {
        /// What came of it.
        reason: String,
        /// The last of its runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<u32>,
    },
    /// The target does not pass its check by itself, so nothing can be said of what would go in.
    RedTarget {
        /// The head.
        onto: CommitId,
        /// The run that found it.
        run: u32,
        /// What it answered.
        verdict: Verdict,
    },
    /// The branch is not to be moved, and has parted from the one that stands for it.
    Parted {
        /// The branch.
        branch: BranchName,
        /// What stands for it.
        stand_in: BranchName,
    },
    /// `--ff` was asked, and the target has moved on.
    NotFastForward,
    /// The folded tree would change paths that the task did not: never right, never done.
    NotConserved {
        /// Those paths.
        paths: Vec<Word>,
    },
    /// Two engines merged it, and came to different trees: one of them is wrong, so neither is taken.
    Disputed {
        /// Where they differ; none where that cannot be told.
        paths: Vec<Word>,
    },
    /// Something refused the update: a hook, a lock, permissions, a full disk.
    Refused {
        /// In its own words.
        reason: String,
    },
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overlap { checkout, paths } => {
                write!(f, "{} holds edits of its own to {}", checkout.shown(), list(paths.iter().map(Word::shown)))
            }
            Self::Unfinished { checkout, operation } => {
                write!(f, "a {operation} is under way in {}", checkout.shown())
            }
            Self::SeveralCheckouts { checkouts } => {
                write!(f, "the branch is checked out more than once: {}", list(checkouts.iter().map(Word::shown)))
            }
            Self::NoTarget { target } => write!(f, "there is no branch {target}"),
            Self::Flagged { flags } => f.write_str(&list(flags.iter().map(Flag::to_string))),
            Self::Needs { needs } => {
                write!(f, "it builds on {}, which the target does not hold", list(needs.iter().map(TaskId::to_string)))
            }
            Self::Unverified { reason, .. } => write!(f, "its check came to no answer: {reason}"),
            Self::RedTarget { onto, run, verdict } => {
                write!(f, "the target itself does not pass the check at {onto:.8} ({verdict}; run {run})")
            }
            Self::Parted { branch, stand_in } => {
                write!(f, "{branch} has moved on without what has landed in {stand_in}")
            }
            Self::NotFastForward => f.write_str("the target has moved on, so it cannot be fast-forwarded"),
            Self::NotConserved { paths } => {
                write!(f, "the fold would change files that the task did not: {}", list(paths.iter().map(Word::shown)))
            }
            Self::Disputed { paths } if paths.is_empty() => {
                f.write_str("git merged it into another tree than our own check comes to")
            }
            Self::Disputed { paths } => {
                let paths = list(paths.iter().map(Word::shown));
                write!(f, "git merged it into another tree than our own check comes to: {paths}")
            }
            Self::Refused { reason } => f.write_str(reason),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict(conflict) => {
                write!(f, "conflict in {}", list(conflict.paths.iter().map(|p| p.path.shown())))
            }
            Self::Rejected(rejection) => {
                let runs = rejection.runs.iter().map(u32::to_string);
                write!(f, "the check says no ({}; run {})", rejection.verdict, list(runs))?;
                match rejection.by_itself {
                    Some(true) => f.write_str(", also by itself"),
                    Some(false) => f.write_str(", only together with what the target holds"),
                    None => Ok(()),
                }
            }
            Self::Held(hold) => hold.fmt(f),
        }
    }
}

/// `a, b, c and 4 more`.
pub fn list(items: impl ExactSizeIterator<Item = String>) -> String {
    const SHOWN: usize = 5;
    let more = items.len().saturating_sub(SHOWN);
    let mut text = items.take(SHOWN).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}
