//! What a configuration file may say. Everything is optional; what is not known is refused, with what is allowed.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, Visitor};

pub use super::place::Positions;
use super::{place, units};
use crate::core::id::ParseId;
use crate::core::notice::Kind;
use crate::core::plan::Glob;
use crate::core::provider::WorktreeMode;
use crate::core::sandbox::network::Rule;
use crate::core::sandbox::{Home, Network, Tier};
use crate::core::task::{FoldPolicy, Guarantee, LandingHook, Priority, Publish, Strategy};

/// One configuration file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// `[run]`
    pub run: Run,
    /// `[groups]`: how many tasks of a group run at once.
    pub groups: BTreeMap<String, AtLeastOne>,
    /// `[worktree]`
    pub worktree: Worktree,
    /// `[fold]`
    pub fold: Fold,
    /// `[verify]`
    pub verify: Verify,
    /// `[merge]`
    pub merge: Merge,
    /// `[branch]`
    pub branch: Branch,
    /// `[limits]`
    pub limits: Limits,
    /// `[sandbox]`
    pub sandbox: Sandbox,
    /// `[notify]`
    pub notify: Notify,
    /// `[roles]`
    pub roles: Roles,
    /// `[agents.NAME]`
    pub agents: BTreeMap<String, super::agents::Said>,
    /// `[delegate]`
    pub delegate: Delegate,
    /// Where each key is.
    #[serde(skip)]
    pub at: Positions,
}

/// `[delegate]`: how far tasks may delegate from inside.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Delegate {
    /// How deep tasks may be nested; 1: no task delegates.
    pub depth: Option<AtLeastOne>,
    /// How many tasks one attempt may start.
    pub children: Option<u32>,
}

/// `[notify]`: who is told when something happens.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Notify {
    /// Does the terminal of who waits ring?
    pub bell: Option<bool>,
    /// Does it show a notification?
    pub osc: Option<bool>,
    /// After how long.
    pub after: Option<Duration>,
    /// Does the desktop show one?
    pub desktop: Option<bool>,
    /// Where it is posted to.
    pub webhook: Option<String>,
    /// What is started with it.
    #[serde(deserialize_with = "program")]
    pub command: Option<Vec<String>>,
    /// Of what these hear.
    pub events: Option<Vec<Spelled<Kind>>>,
}

/// `[run]`: how tasks run.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Run {
    /// How many at once.
    pub concurrency: Option<AtLeastOne>,
    /// Wall time of a task.
    pub timeout: Option<Duration>,
    /// Between the polite and the hard end.
    pub grace: Option<Duration>,
    /// How many more attempts follow a failed one.
    pub retries: Option<u32>,
    /// Bytes of output that are kept.
    pub log_cap: Option<Size>,
    /// Who goes first.
    pub priority: Option<Spelled<Priority>>,
    /// Variables that tasks inherit although they would not.
    pub env_pass: Option<Vec<String>>,
}

/// `[worktree]`: where tasks run, and what is there.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Worktree {
    /// Where worktrees are made.
    pub dir: Option<PathBuf>,
    /// How they are made.
    pub mode: Option<Spelled<WorktreeMode>>,
    /// Does each task get one that no task had before it?
    pub clean: Option<bool>,
    /// Ignored files to bring along.
    pub copy: Option<Vec<String>>,
    /// What prepares a worktree.
    pub setup: Option<String>,
    /// How long that may take.
    pub setup_timeout: Option<Duration>,
}

/// `[fold]`: what becomes of good results.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fold {
    /// Whether they wait for a person.
    pub policy: Option<Spelled<FoldPolicy>>,
    /// How they become part of the target.
    pub strategy: Option<Spelled<Strategy>>,
    /// What moves when a result lands.
    pub publish: Option<Spelled<Publish>>,
    /// Hooks of git that are asked before a commit of ours lands.
    pub hooks: Option<Vec<Spelled<LandingHook>>>,
}

/// `[verify]`: what a target has to pass before it moves.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Verify {
    /// A line for `sh -c`.
    pub command: Option<String>,
    /// Wall time of a run.
    pub timeout: Option<Duration>,
    /// Does one red run prove a culprit?
    pub deterministic: Option<bool>,
    /// What is promised of the commits between two verified heads.
    pub guarantee: Option<Spelled<Guarantee>>,
    /// Cores that one run uses.
    pub cores: Option<Cores>,
    /// Is each result verified as soon as it is there?
    pub early: Option<bool>,
    /// For how long a verdict holds.
    pub expire: Option<Duration>,
    /// What a verdict depends on beside the tree.
    pub fingerprint: Fingerprint,
    /// Parts of the tree with a check of their own.
    pub scope: Vec<Scope>,
}

/// `[verify.fingerprint]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fingerprint {
    /// What these answer.
    pub commands: Vec<String>,
    /// The values of these variables.
    pub variables: Vec<String>,
    /// The contents of these files.
    pub files: Vec<String>,
}

/// `[[verify.scope]]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Files and directories, from the top.
    pub paths: Vec<String>,
    /// A line for `sh -c`.
    pub command: String,
}

/// `[merge]`: what is tried where git finds a conflict.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Merge {
    /// A merge driver: a line for `sh -c` with git's placeholders.
    pub driver: Option<String>,
    /// The files that it is for.
    pub patterns: Option<Vec<String>>,
    /// How long it may take for a file.
    pub timeout: Option<Duration>,
}

/// `[branch]`: names of branches.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Branch {
    /// What branches of results start with.
    pub prefix: Option<String>,
}

/// `[sandbox]`: what a task may touch.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sandbox {
    /// The tier, or the best that works.
    pub tier: Option<WantedTier>,
    /// With less than this nothing runs.
    pub require: Option<Spelled<Tier>>,
    /// Whom tasks can talk to.
    pub network: Option<Whom>,
    /// What else they can write.
    pub write: Option<Vec<PathBuf>>,
    /// What else they cannot see.
    pub hide: Option<Vec<PathBuf>>,
    /// Memory that all of a task may take together.
    pub memory: Option<Size>,
    /// Processes that a task may have at once.
    pub processes: Option<AtLeastOne>,
    /// What becomes of what it writes at home.
    pub home: Option<Spelled<Home>>,
    /// What it can read although it is among the hidden.
    pub read: Option<Vec<PathBuf>>,
    /// What it can run.
    pub exec: Option<Vec<PathBuf>>,
}

/// `[roles]`: which roles may be used; only in the user's own file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Roles {
    /// The roles that may be used.
    pub available: Option<Vec<Names>>,
    /// Those for which nobody is asked.
    pub trusted: Option<Vec<Names>>,
}

/// `[limits]`: what must stay free.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes that must stay free on the disk of the worktrees.
    pub disk_floor: Option<Size>,
    /// Bytes of memory that must stay free.
    pub memory_floor: Option<Size>,
}

/// A configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {}", .file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It says things that are not allowed, in the order of the text.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Content(Vec<Wrong>),
}

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Which.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What, and what would be allowed.
    pub message: String,
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file.display(), self.line, self.column, self.message)
    }
}

impl File {
    /// Read a file; `None` where there is none.
    ///
    /// # Errors
    /// Where it cannot be read, or says something that is not allowed.
    pub fn load(file: &Path) -> Result<Option<Self>, FileError> {
        match std::fs::read(file) {
            Ok(bytes) => Self::parse(file, &bytes).map(Some),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(source) => Err(FileError::Read { file: file.to_owned(), source }),
        }
    }

    /// Understand the content of `file`.
    ///
    /// # Errors
    /// Where it says something that is not allowed.
    pub fn parse(file: &Path, bytes: &[u8]) -> Result<Self, FileError> {
        let wrong = |offset: usize, message: String| {
            let (line, column) = place::of(bytes, offset);
            Wrong { file: file.to_owned(), line, column, message }
        };
        let text = std::str::from_utf8(bytes).map_err(|error| {
            FileError::Content(vec![wrong(error.valid_up_to(), "this is not UTF-8 text".to_owned())])
        })?;
        let read = place::read::<Self>(text).map_err(|problems| {
            FileError::Content(problems.into_iter().map(|(at, message)| wrong(at, message)).collect())
        })?;
        Ok(Self { at: Positions::of(text), ..read })
    }
}

/// A pattern of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names(pub Glob);

/// A number of cores above 0, in hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cores(pub u32);

/// `full`, `reduced`, `none`; or `best`, which is none in particular.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedTier(pub Option<Tier>);

/// `none`, `allow`, or a list of hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whom(pub Network);

/// A number above 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtLeastOne(pub usize);

/// Seconds, written as `"90s"`, `"10m"`, `"1h30m"`, or as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duration(pub u64);

/// Bytes, written as `"1 GiB"`, `"500 MB"`, or as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

/// A word of a small set, spelled as on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spelled<T>(pub T);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Glob::parse(&String::deserialize(d)?).map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for AtLeastOne {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(d)?;
        match usize::try_from(number) {
            Ok(number) if number > 0 => Ok(Self(number)),
            _ => Err(D::Error::custom(format_args!("{number} is not a number above 0"))),
        }
    }
}

impl<'de> Deserialize<'de> for Whom {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Words;
        impl<'de> Visitor<'de> for Words {
            type Value = Whom;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"none\", \"allow\", or a list of hosts such as [\"crates.io\", \"*.npmjs.org:443\"]")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Whom, E> {
                match text {
                    "none" => Ok(Whom(Network::None)),
                    "allow" => Ok(Whom(Network::Allow)),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut all: A) -> Result<Whom, A::Error> {
                let mut words: Vec<String> = Vec::new();
                while let Some(word) = all.next_element()? {
                    words.push(word);
                }
                let rules = Rule::parse_all(words.iter().map(String::as_str));
                rules.map(|rules| Whom(Network::List(rules))).map_err(A::Error::custom)
            }
        }
        d.deserialize_any(Words)
    }
}

impl<'de> Deserialize<'de> for WantedTier {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        tier(&text).map(Self).ok_or_else(|| D::Error::custom(format_args!("{text:?} is not {A_TIER}")))
    }
}

/// What a tier is called where the best may be meant, too.
pub const A_TIER: &str = "a tier of the sandbox (best, full, reduced or none)";

/// `best` is none in particular. None where it is no tier at all.
pub fn tier(text: &str) -> Option<Option<Tier>> {
    if text == "best" { Some(None) } else { text.parse().ok().map(Some) }
}

impl<'de> Deserialize<'de> for Cores {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(d)?;
        if (0.01..=10_000.0).contains(&number) {
            Ok(Self((number * 100.0).round() as u32))
        } else {
            Err(D::Error::custom(format_args!("{number} is not a number of cores")))
        }
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Amount { expected: "a duration, such as \"90s\" or \"10m\"", parse: units::parse_duration })
            .map(Self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Amount { expected: "a size, such as \"1 GiB\"", parse: units::parse_size }).map(Self)
    }
}

impl<'de, T: std::str::FromStr<Err = ParseId>> Deserialize<'de> for Spelled<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

/// A program and its arguments, word by word.
fn program<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Vec<String>>, D::Error> {
    struct Program;
    impl<'de> Visitor<'de> for Program {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a program and its arguments, such as [\"sh\", \"/home/you/notify\"]")
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut all: A) -> Result<Vec<String>, A::Error> {
            std::iter::from_fn(|| all.next_element().transpose()).collect()
        }
    }
    d.deserialize_seq(Program).map(Some)
}

struct Amount {
    expected: &'static str,
    parse: fn(&str) -> Result<u64, units::ParseUnit>,
}

impl Visitor<'_> for Amount {
    type Value = u64;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<u64, E> {
        (self.parse)(text).map_err(E::custom)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<u64, E> {
        u64::try_from(number).map_err(|_| E::custom(format_args!("{number} is not {}", self.expected)))
    }
}
