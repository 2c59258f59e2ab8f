//! What coordinator and shim leave for each other in an attempt's directory. No two processes write one file.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Durable, StoreError, read, replace_with};
use crate::core::agent::{Account, Assigned};
use crate::core::id::{AttemptId, CommitId, TreeId};
use crate::core::outcome::Outcome;
use crate::core::provider::Provider;
use crate::core::sandbox::traffic::Traffic;
use crate::core::sandbox::{Policy, Tier, Warning};
use crate::core::task::{CommandLine, Setup, Tenant};
use crate::core::word::Word;

/// What the shim is to do (`spec.json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Which attempt.
    pub attempt: AttemptId,
    /// The user's repository, to tell its coordinator.
    pub repository: Word,
    /// The files.
    pub worktree: Word,
    /// What the attempt builds on.
    pub base: CommitId,
    /// Where in the tree to run.
    pub directory: Word,
    /// What to run.
    pub command: CommandLine,
    /// The whole environment of the task, but for the values of secrets.
    pub environment: BTreeMap<String, Word>,
    /// The secrets that it is given, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// May another attempt follow by itself, which needs their values as well?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_secrets: bool,
    /// What prepares the worktree.
    #[serde(default)]
    pub setup: Option<Setup>,
    /// Seconds until it is over.
    #[serde(default)]
    pub timeout: Option<u64>,
    /// Seconds between the polite and the hard end.
    pub grace: u64,
    /// Bytes of output to keep.
    pub log_cap: u64,
    /// The message of the commit of left-overs.
    pub message: String,
    /// Bytes that must stay free on the disk, or it is stopped.
    #[serde(default)]
    pub disk_floor: u64,
    /// The checkout of the user in whose place the worktree appears, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkout: Option<Word>,
    /// What its user calls that, where there is a link on the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called: Option<Word>,
    /// What its user should know of how it was brought up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// How its files came to their place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// The lock of its place, where that is used again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot_lock: Option<Word>,
    /// What it may touch.
    #[serde(default)]
    pub sandbox: Policy,
    /// Where it is not an attempt of a task, but a run that verifies a candidate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Candidate>,
    /// The agent that does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Box<Assigned>>,
    /// Who works in the worktree, where the command only keeps the place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Box<Tenant>>,
}

/// What a run verifies; its commit is [`Spec::base`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The tree.
    pub tree: TreeId,
    /// The git directory of the pooled worktree.
    pub private: Word,
}

/// What was seen of the worktree after a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Does its HEAD still hold the tree?
    pub is_same_tree: bool,
    /// Tracked files that the run rewrote.
    pub rewritten: Vec<Word>,
}

/// Who the shim is (`run.json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its process id. Only together with its lock does it mean anything.
    pub shim: u32,
    /// When it came up.
    pub started: Timestamp,
}

impl Run {
    /// Was the attempt cancelled before any shim ran it?
    pub fn is_nobody(&self) -> bool {
        self.shim == 0
    }
}

/// How it ended (`exit.json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// How.
    pub outcome: Outcome,
    /// When.
    pub ended: Timestamp,
    /// The commit that holds the result: the base where nothing was changed. None where no snapshot could be made.
    pub tip: Option<CommitId>,
    /// Other things that were left in the private repository.
    #[serde(default)]
    pub extras: Vec<(String, CommitId)>,
    /// Repositories inside the worktree that are not part of the result.
    #[serde(default)]
    pub left_out: Vec<Word>,
    /// What the task said of itself.
    #[serde(default)]
    pub summary: Option<String>,
    /// Processor time of the tree in milliseconds.
    #[serde(default)]
    pub cpu_ms: u64,
    /// The largest resident set in kilobytes.
    #[serde(default)]
    pub max_rss_kb: u64,
    /// Bytes written.
    #[serde(default)]
    pub log_bytes: u64,
    /// Bytes of these not kept.
    #[serde(default)]
    pub log_dropped: u64,
    /// Processes that were left, and were killed.
    #[serde(default)]
    pub leaked: u64,
    /// What went wrong beside the task itself.
    #[serde(default)]
    pub notes: Vec<String>,
    /// How far it was kept to itself; none where it never started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Tier>,
    /// How its files came to their place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// What its user should know of how it was kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// What it asked of the network, where hosts are listed. While it runs it is in `network.json`, as of the last denial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Traffic>,
    /// Of a run that verifies: what was seen after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
    /// What its agent said of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Box<Account>>,
}

/// How far a task is kept to itself (`sandbox.json`): written by its shim when it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// How far.
    pub tier: Tier,
    /// The group of the kernel that keeps it to its limits, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Word>,
    /// What its user should know of that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

/// What a task says of itself while it runs (`progress.json`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// How many of it are through.
    #[serde(default)]
    pub done: Option<u64>,
    /// Of how many.
    #[serde(default)]
    pub total: Option<u64>,
    /// In its own words.
    #[serde(default)]
    pub text: Option<String>,
    /// What it has to say in the end.
    #[serde(default)]
    pub summary: Option<String>,
    /// What its agent said of itself so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Box<Account>>,
}

/// Read a record; `None` where it is not there.
///
/// # Errors
/// Where it cannot be read or is damaged.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    let damaged = |error: serde_json::Error| StoreError::Damaged {
        path: path.to_owned(),
        line: error.line(),
        why: error.to_string(),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

/// Write a record.
///
/// # Errors
/// Where it cannot be written.
pub fn save<T: Serialize>(path: &Path, record: &T, durable: Durable) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec(record).expect("records are structs of strings and numbers");
    replace_with(path, &bytes, durable)
}
