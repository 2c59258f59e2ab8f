//! The arguments of the tools. A name that a tool does not know is an error that lists those it knows.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::core::id::TaskHandle;
use crate::ops::{Error, ErrorKind};

/// Read the arguments of a tool.
///
/// # Errors
/// Where they do not fit; the words say how.
pub(super) fn read<T: DeserializeOwned>(tool: &str, arguments: Value) -> Result<T, Error> {
    serde_json::from_value(arguments).map_err(|error| {
        let message = format!("the arguments of {tool} do not fit: {error}");
        Error::new(ErrorKind::Usage, message, format!("call {tool} again as its schema says"))
    })
}

/// A word of a fixed list, or nothing.
///
/// # Errors
/// Where it is none of them.
pub(super) fn word<T: std::str::FromStr<Err = crate::core::id::ParseId>>(
    key: &str,
    said: Option<&String>,
) -> Result<Option<T>, Error> {
    said.map(|text| text.parse()).transpose().map_err(|error| usage(key, &error))
}

/// An argument that makes no sense.
pub(super) fn usage(key: &str, error: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Usage, format!("{key}: {error}"), "call it again with another value there")
}

/// The id or name of a task. Models also give an id as a number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Handle {
    Number(u64),
    Text(String),
}

impl Handle {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.trim().to_owned(),
        }
    }

    pub(super) fn parse(&self) -> Result<TaskHandle, Error> {
        self.text().parse().map_err(|error| usage("a task", &error))
    }
}

/// All of them.
///
/// # Errors
/// Where one can name no task.
pub(super) fn handles(list: &[Handle]) -> Result<Vec<TaskHandle>, Error> {
    list.iter().map(Handle::parse).collect()
}

/// `delegate_task`, and an item of `delegate_batch`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Task {
    pub(super) key: Option<String>,
    pub(super) prompt: Option<String>,
    pub(super) command: Option<String>,
    pub(super) role: Option<String>,
    pub(super) agent: Option<String>,
    pub(super) model: Option<String>,
    pub(super) max_turns: Option<u32>,
    pub(super) title: Option<String>,
    pub(super) depends_on: Option<Vec<Handle>>,
    pub(super) priority: Option<String>,
    pub(super) timeout_s: Option<u64>,
    pub(super) verify: Option<String>,
    pub(super) base: Option<String>,
    pub(super) merge: Option<String>,
    pub(super) paths: Option<Vec<String>>,
    pub(super) idempotency_key: Option<String>,
}

/// `delegate_batch`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    pub(super) tasks: Vec<Task>,
    pub(super) concurrency: Option<u32>,
    pub(super) on_failure: Option<String>,
    pub(super) idempotency_key: Option<String>,
}

/// `delegate_status`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Status {
    pub(super) task_ids: Option<Vec<Handle>>,
    pub(super) batch_id: Option<String>,
}

/// `delegate_wait`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    pub(super) task_ids: Option<Vec<Handle>>,
    pub(super) batch_id: Option<String>,
    pub(super) mode: Option<Mode>,
    pub(super) timeout_s: Option<u64>,
}

/// How many of them are enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mode {
    Any,
    All,
}

/// `delegate_logs`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Logs {
    pub(super) task_id: Handle,
    pub(super) tail: Option<usize>,
    pub(super) cursor: Option<String>,
    pub(super) stream: Option<Stream>,
    pub(super) max_bytes: Option<usize>,
}

/// What to read of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stream {
    Log,
    Events,
}

/// `delegate_diff`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Diff {
    pub(super) task_id: Handle,
    pub(super) mode: Option<Form>,
    pub(super) paths: Option<Vec<String>>,
    pub(super) cursor: Option<String>,
    pub(super) max_bytes: Option<usize>,
}

/// How to show a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Form {
    Stat,
    Patch,
}

/// `delegate_discard`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Discard {
    pub(super) task_ids: Vec<Handle>,
    pub(super) keep_branch: Option<String>,
}

/// `delegate_result`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tasks {
    pub(super) task_ids: Vec<Handle>,
}

/// `delegate_merge`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Merge {
    pub(super) task_ids: Vec<Handle>,
    pub(super) strategy: Option<String>,
    pub(super) verify: Option<String>,
    pub(super) dry_run: Option<bool>,
    pub(super) timeout_s: Option<u64>,
}

/// `delegate_cancel`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cancel {
    pub(super) task_ids: Vec<Handle>,
    pub(super) now: Option<bool>,
}

/// `delegate_send`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Send {
    pub(super) task_id: Handle,
    pub(super) message: String,
}

/// `delegate_retry`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retry {
    pub(super) task_ids: Vec<Handle>,
    pub(super) onto_target: Option<bool>,
}
