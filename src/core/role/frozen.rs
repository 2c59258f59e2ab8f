//! What stays of a role with its task: fixed when that is asked for, whatever becomes of the file.

use serde::{Deserialize, Serialize};

use super::{Role, RoleName};
use crate::core::plan::Glob;

/// The role of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRole {
    /// What it is called.
    pub name: RoleName,
    /// Where it came from: `project`, `user`, `project-kiro`, and so on.
    pub source: String,
    /// The name of its content.
    pub hash: String,
    /// Why nobody was asked, or that somebody was.
    pub allowed: Allowed,
    /// What its agent is told before the prompt of the task.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub preamble: String,
    /// The tools of its agent, where they are limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    /// Those that it uses without being asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_tools: Vec<String>,
    /// To change nothing is a failure.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub require_changes: bool,
    /// What it may touch in the tree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<Glob>,
    /// Exit codes that are success too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<u8>,
    /// The roles that it may hand tasks to; all, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available: Option<Vec<Glob>>,
}

/// By whose word a role may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Allowed {
    /// The user wrote it.
    Own,
    /// The user's own file trusts its name.
    Trusted,
    /// The user approved this content.
    Approved,
    /// The role that hands the task over trusts its name, and that one is allowed.
    ByRole,
    /// Somebody said yes, this once.
    Once,
}

impl Allowed {
    /// In a few words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Own => "your own",
            Self::Trusted => "trusted",
            Self::Approved => "approved",
            Self::ByRole => "trusted by the role that asks",
            Self::Once => "allowed once",
        }
    }
}

impl TaskRole {
    /// What stays of it.
    pub fn of(role: &Role, source: &str, hash: &str, allowed: Allowed) -> Self {
        Self {
            name: role.name.clone(),
            source: source.to_owned(),
            hash: hash.to_owned(),
            allowed,
            preamble: role.preamble(),
            tools: role.tools.clone(),
            allowed_tools: role.allowed_tools.clone(),
            require_changes: role.result.require_changes,
            paths: role.result.paths.clone(),
            accept: role.result.accept_exit_codes.clone(),
            available: role.available.clone(),
        }
    }

    /// What its agent is told, all of it.
    pub fn before(&self, prompt: &str) -> String {
        if self.preamble.is_empty() { prompt.to_owned() } else { format!("{}\n\n{prompt}", self.preamble) }
    }
}
