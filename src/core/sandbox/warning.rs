//! What the user of a task should know of how it was kept, beside its tier: what is less than they may think.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Policy, Tier};
use crate::core::agent::Assigned;
use crate::core::word::{Word, shown};

/// One thing to know. Its text ends with what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Warning {
    /// A better tier worked here when the task was asked for.
    Fell {
        /// That one.
        from: Tier,
        /// The one that it had.
        to: Tier,
        /// Why the better one did not work.
        why: String,
    },
    /// What `write` names is not there, so that it writes to a copy that vanishes, or not at all.
    NotKept {
        /// What is not there.
        path: Word,
    },
    /// The worktree could not be put into the place of the checkout of its user.
    Elsewhere {
        /// The checkout.
        checkout: Word,
        /// What becomes of what is written there.
        becomes: Becomes,
    },
    /// These submodules are empty in the worktree.
    EmptySubmodules {
        /// Their paths in the tree.
        paths: Vec<Word>,
    },
    /// Its role keeps tools from its agent that this cannot be told to leave alone.
    Untold {
        /// The agent.
        agent: String,
        /// Those tools.
        tools: Vec<String>,
    },
}

/// What becomes of what a task writes where its worktree is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Becomes {
    /// It seems to work, and vanishes with the task.
    Vanishes,
    /// The kernel says no.
    Refused,
    /// It changes what is there.
    Stays,
}

impl Warning {
    /// Of what this agent cannot be told of its tools and its sandbox does not hold, where there is anything.
    pub fn untold(assigned: &Assigned, policy: &Policy) -> Option<Self> {
        let tools = assigned.told().open(policy);
        (!tools.is_empty()).then(|| Self::Untold { agent: assigned.agent.name.clone(), tools })
    }

    /// In a few words, where that belongs into each list.
    pub fn in_short(&self) -> Option<String> {
        match self {
            Self::Fell { from, to, .. } => Some(format!("{to} sandbox instead of {from}")),
            Self::NotKept { path } => Some(format!("{} is not kept", path.shown())),
            Self::Elsewhere { .. } | Self::EmptySubmodules { .. } | Self::Untold { .. } => None,
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fell { from, to, why } => write!(
                f,
                "it had the {to} tier of the sandbox, although {from} worked when it was asked for: {why}; see `pleach \
                 doctor`, and with `--require-sandbox {from}` it does not start in such a case"
            ),
            Self::NotKept { path } => write!(
                f,
                "nothing is at {path}, which `write` in `[sandbox]` names, so what it writes there is not kept: make it \
                 first, or write `{path}/` there to have a directory made",
                path = path.shown()
            ),
            Self::Elsewhere { checkout, becomes } => write!(
                f,
                "its worktree is not in the place of {}, which holds what a task needs: what it writes there by an absolute \
                 path {}; have it use relative paths",
                checkout.shown(),
                match becomes {
                    Becomes::Vanishes => "vanishes with it",
                    Becomes::Refused => "is refused",
                    Becomes::Stays => "changes your checkout itself",
                }
            ),
            Self::EmptySubmodules { paths } => {
                let paths: Vec<String> = paths.iter().map(Word::shown).collect();
                write!(
                    f,
                    "submodules are empty in its worktree, as the commits that they should be at are not in your repository: {}; \
                     fetch them with `git submodule update --init --recursive`, and then `pleach retry`",
                    paths.join(", ")
                )
            }
            Self::Untold { agent, tools } => write!(
                f,
                "its role does not grant all tools, and {agent} cannot be told to leave these alone: {}; hold what counts in \
                 `[permissions]` of the role (read_only, network, commands)",
                shown(&tools.join(", "))
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_what_to_do_and_comes_back_from_json() {
        let all = [
            Warning::Fell { from: Tier::Full, to: Tier::Reduced, why: "cannot make namespaces".to_owned() },
            Warning::NotKept { path: "/home/ute/.cache/uv".into() },
            Warning::Elsewhere { checkout: "/home/ute".into(), becomes: Becomes::Vanishes },
            Warning::EmptySubmodules { paths: vec!["vendor/one".into(), "vendor/two".into()] },
            Warning::Untold { agent: "codex".to_owned(), tools: vec!["write".to_owned()] },
        ];
        for warning in all {
            let text = warning.to_string();
            assert!(text.contains('`') || text.contains("relative paths"), "{text}");
            let json = serde_json::to_string(&warning).unwrap();
            assert_eq!(serde_json::from_str::<Warning>(&json).unwrap(), warning, "{json}");
        }
    }
}
