//! A plan: many tasks in one file, with what they need of each other.
//!
//! `text -> `[`read`](read())` -> `[`Draft`]` -> `[`expand`](expand())` -> `[`Planned`]` tasks`, all of it pure; every problem of a file is told at
//! once. A plan that was taken is a [`Plan`] in the state: its tasks have ids in a row. What happens to them together (a
//! failure stops the others, a conflict runs a task again, one of several attempts is picked) is decided by [`steer`](mod@steer).

mod check;
mod draft;
mod expand;
mod glob;
mod json;
mod keys;
mod node;
mod problem;
mod read;
pub mod steer;
pub mod template;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::id::{ParseId, TaskId, TaskName};
use super::task::{FoldPolicy, words};

pub use draft::{Draft, DraftTask, ForEach, Settings};
pub use expand::{Expanded, MOST_TASKS, Planned, expand, levels, overlaps};
pub use glob::Glob;
pub use keys::schema;
pub use node::Syntax;
pub use problem::{Located, Problems};
pub use read::read;
pub use template::Template;

/// A longer file is no plan.
pub const LONGEST: u64 = 1 << 20;

/// A plan that was taken: its name, and the how manieth of that name it is. `release.2`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlanId {
    /// What the file says.
    pub name: TaskName,
    /// From 1.
    pub number: u32,
}

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.name, self.number)
    }
}

impl FromStr for PlanId {
    type Err = ParseId;

    fn from_str(text: &str) -> Result<Self, ParseId> {
        let parts = text.rsplit_once('.').and_then(|(name, number)| Some((name.parse().ok()?, number.parse().ok()?)));
        let (name, number) =
            parts.ok_or_else(|| ParseId { text: text.to_owned(), expected: "a plan (name.number)" })?;
        Ok(Self { name, number })
    }
}

impl Serialize for PlanId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PlanId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A plan that was taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What it is called.
    pub id: PlanId,
    /// The file that it came from, for people.
    pub file: String,
    /// The same file once more has the same.
    pub fingerprint: String,
    /// Who asked, by a random word: the same question twice gets the same plan.
    pub request: String,
    /// When.
    #[serde(default)]
    pub submitted: Timestamp,
    /// Its first task; the others have the ids behind it.
    pub first: TaskId,
    /// How many they are.
    pub count: u64,
    /// What becomes of the others where one fails.
    pub on_failure: OnFailure,
    /// How many of its tasks run at once; as many as there is room for, where it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// The task whose failure stopped it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<TaskId>,
    /// Tasks that are on their way to be discarded.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub doomed: BTreeSet<TaskId>,
    /// Those that were picked among their like.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub picked: BTreeSet<TaskId>,
}

impl Plan {
    /// The ids of its tasks.
    pub fn tasks(&self) -> impl DoubleEndedIterator<Item = TaskId> + use<> {
        (self.first.0..self.first.0 + self.count).map(TaskId)
    }

    /// Is it one of its tasks?
    pub fn has(&self, task: TaskId) -> bool {
        (self.first.0..self.first.0 + self.count).contains(&task.0)
    }
}

/// What a task is in its plan, as far as that is not said by what every task has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name in the file.
    pub task: String,
    /// What it is one of `for_each` for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// Which of several tries at the same it is, from 1; none where it is the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<u32>,
    /// What becomes of a try that is picked; until then all of them wait.
    #[serde(default, skip_serializing_if = "is_review")]
    pub fold: FoldPolicy,
    /// What it runs, where something of that is known only when it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// Exit codes that are success too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<u8>,
    /// What it may touch; everything, where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<Glob>,
    /// What becomes of a result that conflicts.
    #[serde(default, skip_serializing_if = "is_hold")]
    pub on_conflict: OnConflict,
}

fn is_review(policy: &FoldPolicy) -> bool {
    *policy == FoldPolicy::Review
}

fn is_hold(policy: &OnConflict) -> bool {
    *policy == OnConflict::Hold
}

/// What a task runs, with holes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Run {
    /// One line for `sh -c`.
    Shell(Template),
    /// A program and its arguments.
    Exec(Vec<Template>),
    /// An agent that is given a prompt.
    Prompt {
        /// What to run.
        agent: Box<Run>,
        /// What it is told.
        prompt: Template,
    },
}

impl Run {
    /// Its templates, each with what it is for.
    pub fn templates(&self) -> Vec<(&Template, template::Use)> {
        match self {
            Self::Shell(line) => vec![(line, template::Use::Shell)],
            Self::Exec(words) => words.iter().map(|word| (word, template::Use::Plain)).collect(),
            Self::Prompt { agent, prompt } => {
                let mut all = agent.templates();
                all.push((prompt, template::Use::Plain));
                all
            }
        }
    }

    /// Put in what is known.
    pub fn fill(&self, known: &dyn Fn(&template::Hole) -> Option<String>) -> Self {
        match self {
            Self::Shell(line) => Self::Shell(line.fill(template::Use::Shell, known)),
            Self::Exec(words) => Self::Exec(words.iter().map(|word| word.fill(template::Use::Plain, known)).collect()),
            Self::Prompt { agent, prompt } => {
                let prompt = prompt.fill(template::Use::Plain, known);
                Self::Prompt { agent: Box::new(agent.fill(known)), prompt }
            }
        }
    }

    /// As a command, with the holes that are left as they are written.
    pub fn command(&self) -> super::task::CommandLine {
        use super::task::CommandLine;
        match self {
            Self::Shell(line) => CommandLine::Shell(line.text().into()),
            Self::Exec(words) => CommandLine::Exec(words.iter().map(|word| word.text().into()).collect()),
            Self::Prompt { agent, .. } => agent.command(),
        }
    }

    /// What it is told, where it is an agent.
    pub fn prompt(&self) -> Option<&Template> {
        match self {
            Self::Prompt { prompt, .. } => Some(prompt),
            Self::Shell(_) | Self::Exec(_) => None,
        }
    }
}

/// What becomes of the other tasks of a plan where one fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// They go on; only what needs it waits.
    #[default]
    Continue,
    /// What runs goes on; what waits is withdrawn.
    Stop,
    /// What runs is cancelled, and every result is discarded.
    DiscardAll,
}

/// What becomes of a result that conflicts with its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// It waits for somebody.
    #[default]
    Hold,
    /// The command runs again, on what the target is now.
    Rerun,
    /// The same, and the prompt tells of the conflict.
    HandBack,
}

words!(
    OnFailure,
    "what a failure does (continue, stop or discard all)",
    Continue = "continue",
    Stop = "stop",
    DiscardAll = "discard all"
);
words!(
    OnConflict,
    "what a conflict does (hold, rerun or hand-back)",
    Hold = "hold",
    Rerun = "rerun",
    HandBack = "hand-back"
);
