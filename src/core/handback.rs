//! A result that is handed back: a new attempt starts on the head of the target, and is told what was made before and what
//! stood in its way.
//!
//! [`HandBack`] is what is recorded: it is small, and says why. [`Material`] is what the attempt reads, as JSON and (by
//! [`Material::to_markdown`]) as text for a prompt; it is made when the attempt is brought up, of what the target holds then.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::change::{Refusal, list};
use super::id::{AttemptId, BranchName, CommitId};
use super::report::SCHEMA;
use super::review::Remarks;
use super::verify::Verdict;
use super::word::Word;

mod markdown;

/// What an attempt was given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandBack {
    /// The attempt whose result it is about.
    pub attempt: u32,
    /// The branch that it was meant for, on whose head the new attempt starts.
    pub target: BranchName,
    /// Why it did not go in; none where nobody had tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// What somebody said of it in a review.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remarks: Option<Box<Remarks>>,
}

/// Why a result was handed back, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It and its target touch the same lines.
    Conflict,
    /// Its target would not pass its check with it.
    Rejected,
    /// Something else was in its way.
    Held,
    /// Nothing was: somebody wants it made anew.
    Ready,
    /// Somebody read it, and said what should be better.
    Review,
}

impl Kind {
    /// Its one spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Rejected => "rejected",
            Self::Held => "held",
            Self::Ready => "ready",
            Self::Review => "review",
        }
    }
}

impl HandBack {
    /// Why, in one word.
    pub fn kind(&self) -> Kind {
        match &self.refusal {
            _ if self.remarks.is_some() => Kind::Review,
            None => Kind::Ready,
            Some(Refusal::Conflict(_)) => Kind::Conflict,
            Some(Refusal::Rejected(_)) => Kind::Rejected,
            Some(Refusal::Held(_)) => Kind::Held,
        }
    }
}

impl fmt::Display for HandBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the result of attempt {}, onto {}", self.attempt, self.target)?;
        if let Some(remarks) = &self.remarks {
            return write!(f, ", with a review: {remarks}");
        }
        self.refusal.as_ref().map_or(Ok(()), |refusal| write!(f, ": {refusal}"))
    }
}

/// All that an attempt is told of a result that was handed back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Material {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The attempt that is told.
    pub attempt: AttemptId,
    /// What the task runs, for people.
    pub command: String,
    /// Why, in one word.
    pub kind: Kind,
    /// Why, in words; empty where nothing was in the way.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The branch that the result is meant for.
    pub target: BranchName,
    /// The commit that the attempt starts from: the head of the target, with what it needs and the target does not hold.
    pub onto: CommitId,
    /// The refusal, as it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// The earlier result; none where it is gone from the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Earlier>,
    /// Does it conflict with what the attempt starts from? Whatever the reason was that it did not go in.
    pub conflicts: bool,
    /// The paths in which it does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<InConflict>,
    /// How many more there are than `paths` names.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_paths: usize,
    /// What the check said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckSaid>,
    /// What somebody said of it in a review.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remarks: Option<Box<Remarks>>,
}

/// The earlier result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    /// Whose.
    pub attempt: AttemptId,
    /// Where it begins.
    pub base: CommitId,
    /// Its last commit.
    pub tip: CommitId,
    /// The file with `base..tip` as a patch, beside this one; none where it is too large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
    /// What that attempt said of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

/// A path of a conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InConflict {
    /// The path.
    pub path: Word,
    /// The target's last commit that touched it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ours: Option<CommitId>,
    /// The earlier attempt's last commit that touched it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theirs: Option<CommitId>,
    /// The contents of base, target and earlier result, by object name; none where that side has no such file.
    pub sides: [Option<String>; 3],
    /// It is no text.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub binary: bool,
    /// The conflicting places, with markers (`diff3`) and a few lines around each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hunks: Vec<Word>,
    /// There was more than fits: see `merged`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// The file beside this one with the whole merged text, markers and all; none where it is no text or too large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<String>,
    /// The file beside this one with the text as `git rerere` would resolve it, where it knows how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<String>,
}

/// What a check said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckSaid {
    /// The command, as far as known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub command: String,
    /// Its runs; the log is that of the last one.
    pub runs: Vec<u32>,
    /// What the last of them answered.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Is the result red on its own base too, or only together with what the target holds? None where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_itself: Option<bool>,
    /// The end of its log; bytes that are not UTF-8 are replaced.
    pub log_tail: String,
    /// The log has more before that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// The file beside this one with the same, byte for byte; none where there is no log any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

impl Material {
    /// What is known before anything is looked up.
    pub fn new(attempt: AttemptId, command: String, hand_back: &HandBack, onto: CommitId) -> Self {
        Self {
            schema: SCHEMA,
            attempt,
            command,
            kind: hand_back.kind(),
            why: hand_back.refusal.as_ref().map(ToString::to_string).unwrap_or_default(),
            target: hand_back.target.clone(),
            onto,
            refusal: hand_back.refusal.clone(),
            earlier: None,
            conflicts: false,
            paths: Vec::new(),
            more_paths: 0,
            check: None,
            remarks: hand_back.remarks.clone(),
        }
    }

    /// The paths that `git rerere` knows how to resolve.
    pub fn known_to_rerere(&self) -> Option<String> {
        let known: Vec<String> =
            self.paths.iter().filter(|one| one.resolved.is_some()).map(|one| one.path.shown()).collect();
        (!known.is_empty()).then(|| list(known.into_iter()))
    }
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}
