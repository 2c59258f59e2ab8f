//! What is shown of roles.

use serde::{Deserialize, Serialize};

use super::SCHEMA;
use crate::core::role::frozen::Allowed;
use crate::core::role::{Note, Owner, Role, RoleName, TaskRole};
use crate::core::sandbox::Policy;
use crate::core::word::Word;

/// The role of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleMark {
    /// What it is called.
    pub name: RoleName,
    /// Where it came from.
    pub source: String,
    /// The name of its content.
    pub hash: String,
    /// By whose word it was used.
    pub allowed: Allowed,
}

/// All roles at a glance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RoleList {
    /// [`SCHEMA`].
    pub schema: u32,
    /// In the order in which they count.
    pub roles: Vec<RoleRow>,
    /// Files that are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub broken: Vec<BrokenRow>,
}

/// One role at a glance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RoleRow {
    /// What it is called.
    pub name: RoleName,
    /// Where it came from.
    pub source: String,
    /// Whose word it is.
    pub owner: Owner,
    /// Its file.
    pub file: Word,
    /// What it is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Why nobody is asked before it is used; somebody is, where there is no reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Allowed>,
    /// May it be used here at all?
    pub available: bool,
    /// Where a role of the same name comes from that counts before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadowed_by: Option<String>,
    /// The name of all that was read.
    pub hash: String,
    /// What it may do, in a few words each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub may: Vec<String>,
}

/// A file that is no role.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BrokenRow {
    /// Where it came from.
    pub source: String,
    /// The file.
    pub file: Word,
    /// From 1, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// What is wrong with it.
    pub problem: String,
}

/// One role in full.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RoleReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// At a glance.
    #[serde(flatten)]
    pub row: RoleRow,
    /// All that it says.
    pub role: Role,
    /// What of its file came to nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// What the sandbox of its tasks is told, where nothing else is said.
    pub policy: Policy,
    /// What its agent is told of its tools: options, or a variable.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<String>,
    /// Tools that it does not grant and that its agent cannot be told to leave alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub untold: Vec<String>,
    /// What it asks for and does not get.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
}

impl RoleList {
    /// Of these.
    pub fn new(roles: Vec<RoleRow>, broken: Vec<BrokenRow>) -> Self {
        Self { schema: SCHEMA, roles, broken }
    }
}

impl RoleMark {
    /// What is shown of the role of a task.
    pub fn of(role: &TaskRole) -> Self {
        let TaskRole { name, source, hash, allowed, .. } = role.clone();
        Self { name, source, hash, allowed }
    }
}
