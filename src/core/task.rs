//! What somebody asked for. A [`TaskSpec`] is frozen when it is submitted and never changes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::agent::Assigned;
use super::delegate::Delegation;
use super::id::{AttemptId, BranchName, CommitId, TaskId, TaskName};
use super::plan::{Glob, Member};
use super::provider::WorktreeMode;
use super::role::TaskRole;
use super::sandbox::Policy;
use super::verify::Check;
use super::word::{Word, shown};

/// A task as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// What to call it, beside its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<TaskName>,
    /// What to run.
    pub command: CommandLine,
    /// Where in the tree to run it; empty is the top.
    #[serde(default, skip_serializing_if = "is_default")]
    pub directory: Word,
    /// The checkout that it was asked from: ignored files are copied from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkout: Option<Word>,
    /// What its user calls that, where there is a link on the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called: Option<Word>,
    /// Who goes first.
    #[serde(default, skip_serializing_if = "is_default")]
    pub priority: Priority,
    /// A named group whose tasks share a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Tasks whose results it builds on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<TaskId>,
    /// The commit that it starts from (the results of its needs are folded onto it).
    pub base: CommitId,
    /// The branch that its result is meant for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<BranchName>,
    /// Wall time that it may take, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// Seconds between the polite and the hard end.
    #[serde(default = "default_grace", skip_serializing_if = "is_default_grace")]
    pub grace: u64,
    /// Bytes of memory that it says it needs: it does not start where so much is not free.
    #[serde(default, skip_serializing_if = "is_default")]
    pub needs_memory: u64,
    /// How many more attempts follow a failed or lost one by themselves.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retries: u32,
    /// Variables that were named on purpose.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Word>,
    /// Names of secrets that it is given, whose values are not here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Which stored environment it inherits (a content hash; see `store::environment`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// What becomes of a good result.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fold: FoldPolicy,
    /// How it is folded, where that was said beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// What moves when it lands, where that is not the branch itself.
    #[serde(default, skip_serializing_if = "is_default")]
    pub publish: Publish,
    /// What the target has to pass with its result in, where it folds by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Box<Check>>,
    /// Somebody said `--no-verify`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unverified: bool,
    /// What is asked before its commit lands, where it folds by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<LandingHook>,
    /// The message for left-overs and for the fold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Ignored files to bring along: patterns beside those of `.worktreeinclude`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copy: Vec<String>,
    /// How its worktree is made.
    #[serde(default, skip_serializing_if = "is_default")]
    pub worktree: WorktreeMode,
    /// Does it want a worktree that no task had before it?
    #[serde(default, skip_serializing_if = "is_default")]
    pub clean: bool,
    /// What prepares the worktree before the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup: Option<Setup>,
    /// Bytes of output that are kept; half for the head, half for the tail.
    #[serde(default = "default_log_cap", skip_serializing_if = "is_default_log_cap")]
    pub log_cap: u64,
    /// What it may touch.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sandbox: Policy,
    /// Who asked, by a random word: the same question twice gets the same task.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request: String,
    /// What it is in its plan, where it is of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<Box<Member>>,
    /// The agent that does it, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Box<Assigned>>,
    /// Its role, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Box<TaskRole>>,
    /// How far it may delegate.
    #[serde(default, skip_serializing_if = "is_default")]
    pub delegation: Delegation,
    /// The attempt that asked for it, where a task did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<AttemptId>,
    /// How many tasks whoever asked for it is inside of: 0 for a person.
    #[serde(default, skip_serializing_if = "is_default")]
    pub depth: u32,
    /// What it may touch in the tree, as whoever asked says, or may touch no more; everything, where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<Glob>,
    /// Who works in its worktree, where its command only keeps the place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Box<Tenant>>,
}

/// Somebody whom we did not start and who works in the worktree of a task: a sub-agent of another program, mostly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// The program, such as `claude`.
    pub by: String,
    /// What that calls the place.
    pub name: String,
    /// The conversation that it is of.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub session: String,
    /// The process with whose end it is over in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Living>,
}

/// One process, and no later one of the same number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Living {
    /// Its number.
    pub pid: u32,
    /// When it was started, in the ticks of the system.
    pub started: u64,
    /// Where that number is its: the namespace.
    pub space: String,
}

impl TaskSpec {
    /// What it does, for people, on one line: its command, or its agent and what that is told.
    pub fn shown(&self) -> String {
        if let Some(tenant) = &self.tenant {
            return format!("{} works there: {}", shown(&tenant.by), shown(&tenant.name));
        }
        let Some(assigned) = &self.agent else { return self.command.shown() };
        let of_plan = || Some(self.member.as_ref()?.run.as_ref()?.prompt()?.text());
        assigned.shown(&assigned.prompt.clone().or_else(of_plan).unwrap_or_default())
    }
}

/// Seconds of grace where nothing else is said.
pub const DEFAULT_GRACE: u64 = 10;
/// Bytes of output kept where nothing else is said.
pub const DEFAULT_LOG_CAP: u64 = 16 << 20;

fn default_grace() -> u64 {
    DEFAULT_GRACE
}

fn is_default_grace(grace: &u64) -> bool {
    *grace == DEFAULT_GRACE
}

fn default_log_cap() -> u64 {
    DEFAULT_LOG_CAP
}

fn is_default_log_cap(cap: &u64) -> bool {
    *cap == DEFAULT_LOG_CAP
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandLine {
    /// One line for `sh -c`.
    Shell(Word),
    /// A program and its arguments, as they are.
    Exec(Vec<Word>),
}

impl CommandLine {
    /// The rule of the command line: one word is a line for the shell, several are run as they are.
    /// `None` where there is nothing to run.
    pub fn from_words(mut words: Vec<Word>) -> Option<Self> {
        match words.len() {
            0 => None,
            1 if words[0].as_bytes().trim_ascii().is_empty() => None,
            1 => words.pop().map(Self::Shell),
            _ => Some(Self::Exec(words)),
        }
    }

    /// For people, on one line.
    pub fn shown(&self) -> String {
        match self {
            Self::Shell(line) => line.shown(),
            Self::Exec(words) => join(words),
        }
    }

    /// Where a line for the shell has options behind it, so that it was taken for the name of a program: what was
    /// probably meant, the options first.
    pub fn options_first(&self) -> Option<String> {
        let Self::Exec(words) = self else { return None };
        let (line, options) = words.split_first()?;
        let is_line = line.as_bytes().contains(&b' ');
        let has_options = options.first().is_some_and(|word| word.as_bytes().starts_with(b"-"));
        (is_line && has_options).then(|| format!("{} {}", join(options), join(std::slice::from_ref(line))))
    }
}

fn join(words: &[Word]) -> String {
    words.iter().map(|word| quote(&word.shown())).collect::<Vec<_>>().join(" ")
}

/// A word as it is typed in a shell.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A hook that prepares the worktree. Its text was approved before it was frozen here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// A line for `sh -c`, run at the top of the worktree.
    pub command: String,
    /// Seconds that it may take.
    pub timeout: u64,
}

/// Who goes first. Waiting raises it, so that nothing starves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// When nothing else waits.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Before the ordinary.
    High,
    /// Before all others.
    Critical,
}

/// What becomes of a good result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FoldPolicy {
    /// It waits for somebody to merge or discard it.
    #[default]
    Review,
    /// It is folded into its target as soon as it is there.
    Auto,
    /// It stays on its branch.
    Never,
}

/// How a result becomes part of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// A merge commit with two parents.
    #[default]
    Merge,
    /// One commit on top of the target.
    Squash,
    /// The task's commits, one by one, on top of the target.
    Rebase,
    /// The target moves to the task's tip, or not at all.
    #[serde(rename = "ff")]
    FastForward,
    /// The target moves to the task's tip where it can, as with [`Strategy::FastForward`]; else as [`Strategy::Merge`].
    Auto,
}

/// What a target promises of the commits that it points at, where results have to pass a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guarantee {
    /// Each head that it ever had was verified.
    #[default]
    Tip,
    /// Each fold was verified by itself, also those that landed together.
    Every,
}

/// What moves when a result lands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Publish {
    /// The branch itself, and its checkout with it.
    #[default]
    Branch,
    /// Another branch, which stands for it ([`BranchName::stand_in`]); somebody brings that in.
    Ref,
}

/// A hook of git that is asked before a commit of ours lands, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LandingHook {
    /// May refuse a merge commit, by what is in it.
    PreMergeCommit,
    /// May refuse or rewrite the message of a merge commit or a squash.
    CommitMsg,
}

impl Publish {
    /// What moves instead of this branch; which may be named by its stand-in, too.
    pub fn of(self, target: &BranchName) -> BranchName {
        let branch = target.stands_for().unwrap_or_else(|| target.clone());
        match self {
            Self::Branch => branch,
            Self::Ref => branch.stand_in(),
        }
    }
}

macro_rules! words {
    ($name:ident, $expected:literal, $($variant:ident = $word:literal),+) => {
        impl $name {
            /// Every spelling, in order.
            pub const ALL: &'static [(&'static str, Self)] = &[$(($word, Self::$variant)),+];

            /// Its one spelling, on the command line and in files.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::core::id::ParseId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let found = Self::ALL.iter().find(|(word, _)| *word == text);
                found.map(|(_, value)| *value).ok_or_else(|| Self::Err { text: text.to_owned(), expected: $expected })
            }
        }
    };
}
pub(crate) use words;
words!(
    Priority,
    "a priority (low, normal, high or critical)",
    Low = "low",
    Normal = "normal",
    High = "high",
    Critical = "critical"
);
words!(FoldPolicy, "a fold policy (review, auto or never)", Review = "review", Auto = "auto", Never = "never");
words!(
    LandingHook,
    "a hook that can be asked (pre-merge-commit or commit-msg)",
    PreMergeCommit = "pre-merge-commit",
    CommitMsg = "commit-msg"
);
words!(Publish, "what moves (branch or ref)", Branch = "branch", Ref = "ref");
words!(Guarantee, "a guarantee (tip or every)", Tip = "tip", Every = "every");
words!(
    Strategy,
    "a strategy (merge, squash, rebase, ff or auto)",
    Merge = "merge",
    Squash = "squash",
    Rebase = "rebase",
    FastForward = "ff",
    Auto = "auto"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_is_for_the_shell_and_several_are_run_as_they_are() {
        let words = |list: &[&str]| list.iter().map(|w| Word::from(*w)).collect();
        assert_eq!(CommandLine::from_words(words(&[])), None);
        assert_eq!(CommandLine::from_words(words(&["  "])), None);
        assert_eq!(CommandLine::from_words(words(&["a | b"])).unwrap().shown(), "a | b");
        assert_eq!(CommandLine::from_words(words(&["a", "b c", ""])).unwrap().shown(), "a 'b c' ''");
        let meant = |list: &[&str]| CommandLine::from_words(words(list)).unwrap().options_first();
        assert_eq!(meant(&["sleep 1", "--name", "x y"]).as_deref(), Some("--name 'x y' 'sleep 1'"));
        assert_eq!((meant(&["sleep", "-x"]), meant(&["a b", "c"]), meant(&["a b"])), (None, None, None));
    }

    #[test]
    fn what_is_default_is_not_written() {
        let spec = r#"{"command":{"shell":"true"},"base":"0123456789abcdef0123456789abcdef01234567"}"#;
        let read: TaskSpec = serde_json::from_str(spec).unwrap();
        assert_eq!((read.grace, read.log_cap, read.priority), (DEFAULT_GRACE, DEFAULT_LOG_CAP, Priority::Normal));
        assert_eq!(serde_json::to_string(&read).unwrap(), spec);
    }
}
