//! What a tool says: once as data, once as short text, for clients that hand on only one of the two.

use serde_json::{Value, json};

use crate::core::word::shown;
use crate::ops::Error;

/// The same twice.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) value: Value,
}

impl Answer {
    pub(super) fn new(text: impl Into<String>, value: Value) -> Self {
        Self { text: text.into(), value }
    }

    pub(super) fn of_error(error: &Error) -> Self {
        let hint = error.hint.as_deref().map(in_tools);
        let mut text = format!("error: {}", lines(&error.message));
        let mut value = json!({ "error": error.message, "kind": error.kind });
        if let Some(hint) = hint {
            text += &format!("\nnext: {}", lines(&hint));
            value["next"] = hint.into();
        }
        Self { text, value }
    }
}

/// Fit for a terminal or a model: no control characters but the ends of lines.
pub(super) fn lines(text: &str) -> String {
    text.lines().map(shown).collect::<Vec<_>>().join("\n")
}

/// The verbs of the command line that a tool does, too.
const SAME: &[(&str, &str)] = &[
    ("ls", "delegate_status"),
    ("status", "delegate_status"),
    ("wait", "delegate_wait"),
    ("logs", "delegate_logs"),
    ("diff", "delegate_diff"),
    ("merge", "delegate_merge"),
    ("discard", "delegate_discard"),
    ("cancel", "delegate_cancel"),
    ("retry", "delegate_retry"),
    ("add", "delegate_task"),
    ("run", "delegate_task"),
];

/// A next step that names a command names the tool instead, where there is one that does the same.
pub(super) fn in_tools(hint: &str) -> String {
    let parts = hint.split('`').enumerate().map(|(place, part)| {
        let quoted = place % 2 == 1;
        let Some(command) = part.strip_prefix("pleach ").filter(|_| quoted) else { return part.to_owned() };
        let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
        // An option that no tool has is for a person.
        let known =
            rest.split_whitespace().all(|word| !word.starts_with('-') || matches!(word, "--all" | "--onto-target"));
        match SAME.iter().find(|(name, _)| *name == verb && known) {
            Some((_, tool)) if rest.contains("--onto-target") => format!("{tool} with onto_target"),
            Some((_, tool)) => (*tool).to_owned(),
            None => part.to_owned(),
        }
    });
    parts.collect::<Vec<_>>().join("`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_next_step_names_tools_where_there_are_any() {
        assert_eq!(in_tools("see all tasks with `pleach ls --all`"), "see all tasks with `delegate_status`");
        assert_eq!(in_tools("`pleach retry 3 --onto-target`"), "`delegate_retry with onto_target`");
        assert_eq!(
            in_tools("a `pleach merge --accept-flags 3`, `git log`"),
            "a `pleach merge --accept-flags 3`, `git log`"
        );
        assert_eq!(in_tools("no commands"), "no commands");
    }
}
