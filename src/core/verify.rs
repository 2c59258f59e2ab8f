//! Verifying candidates: what is asked, what was answered, and what is known of the line of a target because of it.
//!
//! A [`Check`] is frozen in each request to fold. A *run* verifies one candidate: some results of a line, folded onto a
//! head in their order. What it answered is a fact about a tree, kept as a [`Verdict`] under its [`Run::key`]; what that
//! means for the line, as it moves on, is kept in a [`Line`].

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::change::Landing;
use super::driver::{Driven, Driver};
use super::id::{AttemptId, BranchName, CommitId, TaskId, TreeId};
use super::sandbox::Policy;
use super::task::Guarantee;
use super::word::Word;

/// How results are verified before they land.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// A line for `sh -c`, run at the top of the candidate's tree.
    pub command: String,
    /// Seconds that a run may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// Does one red run prove a culprit?
    #[serde(default, skip_serializing_if = "is_default")]
    pub deterministic: bool,
    /// What the target promises of its commits.
    #[serde(default, skip_serializing_if = "is_default")]
    pub guarantee: Guarantee,
    /// How many cores one run uses, in hundredths; measured where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
    /// Parts of the tree with a check of their own, instead of `command` on the whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<Scope>,
    /// What else a verdict depends on.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fingerprint: Fingerprint,
    /// Seconds for which a verdict holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire: Option<u64>,
    /// Which stored environment a run inherits (a content hash).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// What is tried on files that git cannot merge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<Driver>,
    /// Is a result verified by itself, on its own base, as soon as it is there and nothing else is to do?
    #[serde(default, skip_serializing_if = "is_default")]
    pub early: bool,
    /// Did somebody type its command, instead of setting it up? Then it stays with the task.
    #[serde(default, skip_serializing_if = "is_default")]
    pub typed: bool,
    /// What a run may touch.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sandbox: Policy,
    /// Is every candidate verified anew, whatever is known?
    #[serde(default, skip_serializing_if = "is_default")]
    pub no_cache: bool,
}

/// A part of the tree that is checked by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// The files and directories that its check reads. Where none of them changed, its verdict stands.
    pub paths: Vec<Word>,
    /// A line for `sh -c`, run at the top.
    pub command: String,
}

/// What a verdict depends on beside the tree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// What these answer, such as `rustc --version`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// The values of these variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<String>,
    /// The contents of these files, which git ignores, in the checkout that asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<Word>,
}

/// A run of a check on a candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Which, from 1; never given twice in a repository.
    pub number: u32,
    /// For which target.
    pub target: BranchName,
    /// On which head.
    pub head: CommitId,
    /// The results in it, in the order in which they would land, each with the commit that folds it.
    pub steps: Vec<Step>,
    /// The tree that is verified.
    pub tree: TreeId,
    /// Under which its verdict is kept, beside those of other trees.
    pub key: String,
    /// The keys of its scopes: where it is green, so is each of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// What is run.
    pub command: String,
    /// In which of the pooled worktrees.
    pub slot: u32,
    /// Why.
    #[serde(default, skip_serializing_if = "is_default")]
    pub purpose: Purpose,
    /// What a driver merged in it, where git found conflicts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub driven: Vec<Driven>,
    /// For a baseline: by which check. Of any other run its results tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Box<Check>>,
    /// A result in it has left the line since: it still tells of its tree, but nothing of the line, where that result may
    /// stand again, at another place or with another change.
    #[serde(default, skip_serializing_if = "is_default")]
    pub is_past: bool,
}

impl Check {
    /// Is there a check that looks at this file?
    pub fn covers(&self, path: &Word) -> bool {
        let is_below = |dir: &Word| {
            let (path, dir) = (path.as_bytes(), dir.as_bytes());
            let rest = path.strip_prefix(dir.strip_suffix(b"/").unwrap_or(dir));
            dir.is_empty() || dir == b"." || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        self.scopes.is_empty() || self.scopes.iter().any(|scope| scope.paths.iter().any(is_below))
    }
}

impl Run {
    /// Whose results it holds.
    pub fn tasks(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.steps.iter().map(|step| step.task)
    }
}

/// A result in a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Step {
    /// Whose.
    pub task: TaskId,
    /// The commit that folds it.
    pub commit: CommitId,
}

/// Why a run is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To land it.
    #[default]
    Land,
    /// To know whether a result that was sent back is broken by itself.
    Blame,
    /// To know whether a result that waits for somebody passes by itself.
    Early,
    /// To know whether the target passes with nothing of the line in it.
    Baseline,
}

impl Purpose {
    /// Is it about the head that a line stands on?
    pub fn is_of_the_line(self) -> bool {
        matches!(self, Self::Land | Self::Baseline)
    }
}

/// What is known of a result by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Early {
    /// The last commit of it.
    pub tip: CommitId,
    /// By which run.
    pub run: u32,
    /// What it answered.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// What a run answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// All is well.
    Green,
    /// The check says no.
    Red {
        /// Its exit code; none where a signal ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<i32>,
    },
    /// It said yes, but rewrote tracked files, so what it said is not about the tree.
    Dirty {
        /// Some of them.
        paths: Vec<Word>,
    },
    /// It took too long.
    TimedOut,
    /// It could not be run to its end, through no fault of the tree.
    Broken {
        /// Why.
        reason: String,
    },
    /// Nobody waits for the answer any more.
    Cancelled,
}

impl Verdict {
    /// Does it count against the candidate?
    pub fn is_red(&self) -> bool {
        matches!(self, Self::Red { .. } | Self::Dirty { .. })
    }

    /// Is it about the tree at all?
    pub fn is_about_the_tree(&self) -> bool {
        matches!(self, Self::Green) || self.is_red()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Green => f.write_str("green"),
            Self::Red { code: Some(code) } => write!(f, "red, exit {code}"),
            Self::Red { code: None } => f.write_str("red, killed by a signal"),
            Self::Dirty { paths } => {
                write!(f, "it rewrote {}", super::change::list(paths.iter().map(Word::shown)))
            }
            Self::TimedOut => f.write_str("timed out"),
            Self::Broken { reason } => write!(f, "could not run: {reason}"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

/// A verdict that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// What it says.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// When it was found.
    pub at: Timestamp,
    /// By which run.
    pub run: u32,
    /// How often in a row the same was found.
    pub times: u32,
}

/// How many verdicts are kept.
const KEPT: usize = 1000;

/// The id under which a run has its directory, its log and its lock: those of attempts of a task 0, which is nobody's.
pub fn attempt_of(run: u32) -> AttemptId {
    AttemptId { task: TaskId(0), number: run }
}

/// What is known of a line, about the head that it stands on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The head that all of this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<CommitId>,
    /// What is known of the head itself.
    #[serde(default, skip_serializing_if = "is_default")]
    pub baseline: Baseline,
    /// The candidate that the head landed for, where it is another commit: what is being verified stands on that one, and
    /// so does what is made as long as nobody else moves the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stand_in: Option<CommitId>,
    /// What was found green on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub green: Vec<Vec<Step>>,
    /// What was found red.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub red: Vec<Red>,
    /// How many results have landed after a verdict, and how many were sent back.
    #[serde(default)]
    pub landed: usize,
    /// See `landed`.
    #[serde(default)]
    pub evicted: usize,
    /// How often in a row some of it were held because no run gave an answer.
    #[serde(default, skip_serializing_if = "is_default")]
    pub given_up: usize,
    /// The last runs in a row that gave no answer about a tree, and what they gave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<(u32, Verdict)>,
    /// Cores that the last runs used, in hundredths.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cores: u32,
}

/// What is known of a head with nothing of the line in it. Where it does not pass by itself, nobody is to blame.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// Of which check this is told: another one may say something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Box<Check>>,
    /// It passes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub is_green: bool,
    /// The runs in a row that said no, and what they said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub red: Vec<(u32, Verdict)>,
}

impl Baseline {
    /// What is known by this check.
    pub fn by(&self, check: &Check) -> Option<&Self> {
        Some(self).filter(|known| known.check.as_deref() == Some(check))
    }

    /// The run that proves that the head does not pass by itself.
    pub fn proof(&self, check: &Check) -> Option<&(u32, Verdict)> {
        let evidence = if check.deterministic { 1 } else { 2 };
        let red = &self.by(check)?.red;
        red.last().filter(|_| !self.is_green && red.len() >= evidence)
    }
}

/// What is left in the line of a red run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Red {
    /// Which run.
    pub run: u32,
    /// What it answered.
    pub verdict: Verdict,
    /// The results that it held and that are still in the line.
    pub tasks: Vec<TaskId>,
}

impl Line {
    /// A head that somebody else brought about: what is known of sets was about another one.
    pub fn stands_on(&mut self, head: CommitId) {
        if self.head != Some(head) {
            self.head = Some(head);
            self.stand_in = None;
            self.baseline = Baseline::default();
            self.green.clear();
            self.red.clear();
        }
    }

    /// Is this a run of one result alone, which an earlier red run points at?
    pub fn is_suspected(&self, run: &Run) -> bool {
        let [step] = run.steps.as_slice() else { return false };
        self.red.iter().any(|red| red.tasks == [step.task])
    }

    /// A run on this line has ended.
    pub fn answered(&mut self, run: &Run, verdict: &Verdict) {
        if !run.purpose.is_of_the_line() {
            return;
        }
        match verdict {
            Verdict::Cancelled => return,
            Verdict::TimedOut | Verdict::Broken { .. } => {
                self.failures.push((run.number, verdict.clone()));
                return;
            }
            Verdict::Green | Verdict::Red { .. } | Verdict::Dirty { .. } => {
                self.failures.clear();
                self.given_up = 0;
            }
        }
        if self.head.is_none() {
            self.head = Some(run.head);
        }
        match run.purpose {
            Purpose::Blame | Purpose::Early => return,
            Purpose::Baseline => {
                let is_here = self.head == Some(run.head);
                if is_here && self.baseline.check != run.check {
                    self.baseline = Baseline { check: run.check.clone(), ..Baseline::default() };
                }
                match verdict {
                    Verdict::Green => self.baseline.is_green |= is_here,
                    _ if is_here => self.baseline.red.push((run.number, verdict.clone())),
                    _ => {}
                }
                return;
            }
            Purpose::Land => {}
        }
        if self.head != Some(run.head) {
            // On another head it cannot land; but whether a suspect is to blame is still told.
            match verdict {
                Verdict::Green if self.is_suspected(run) => {
                    let tasks: Vec<TaskId> = run.tasks().collect();
                    self.red.retain(|red| red.tasks != tasks);
                }
                verdict if verdict.is_red() && self.is_suspected(run) => {
                    self.red.push(Red { run: run.number, verdict: verdict.clone(), tasks: run.tasks().collect() });
                }
                _ => {}
            }
            return;
        }
        match verdict {
            Verdict::Green => self.green.push(run.steps.clone()),
            _ => self.red.push(Red { run: run.number, verdict: verdict.clone(), tasks: run.tasks().collect() }),
        }
    }

    /// A result that had to pass this check has landed: the head moved by one step of ours, which was verified as `candidate`.
    pub fn moved(&mut self, task: TaskId, check: Option<&Check>, landing: &Landing, candidate: CommitId) {
        let Landing { from, to } = *landing;
        if self.head.is_some_and(|head| head != from) {
            self.green.clear();
            self.red.clear();
        }
        // What added nothing leaves the head, and what stands for it, as they are.
        if self.head != Some(to) || candidate != to {
            self.stand_in = Some(candidate).filter(|candidate| *candidate != to);
        }
        self.head = Some(to);
        // What was green without it says nothing of a head that has it.
        self.green.retain(|steps| steps.first().is_some_and(|step| step.task == task && step.commit == candidate));
        for steps in &mut self.green {
            steps.remove(0);
        }
        // What the head held already was not verified, and says nothing of it.
        if from != to {
            let is_green = self.green.iter().any(Vec::is_empty);
            self.baseline = Baseline { check: check.cloned().map(Box::new), is_green, red: Vec::new() };
        }
        self.green.retain(|steps| !steps.is_empty());
        self.red.iter_mut().for_each(|red| red.tasks.retain(|id| *id != task));
        self.red.retain(|red| !red.tasks.is_empty());
    }

    /// A result has left the line.
    pub fn lost(&mut self, task: TaskId) {
        self.green.retain(|steps| steps.iter().all(|step| step.task != task));
        self.red.retain(|red| !red.tasks.contains(&task));
    }
}

/// Keep what a run has found.
pub fn keep(verdicts: &mut BTreeMap<String, Kept>, run: &Run, verdict: &Verdict, at: Timestamp) {
    if !verdict.is_about_the_tree() {
        return;
    }
    let before = verdicts.get(&run.key).filter(|kept| kept.verdict.is_red() == verdict.is_red());
    let times = before.map_or(1, |kept| kept.times + 1);
    let kept = Kept { verdict: verdict.clone(), at, run: run.number, times };
    if *verdict == Verdict::Green {
        verdicts.extend(run.also.iter().map(|key| (key.clone(), Kept { times: 1, ..kept.clone() })));
    }
    verdicts.insert(run.key.clone(), kept);
    while verdicts.len() > KEPT {
        let oldest = verdicts.iter().min_by_key(|(_, kept)| kept.at).map(|(key, _)| key.clone());
        oldest.map(|key| verdicts.remove(&key));
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
