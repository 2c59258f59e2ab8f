//! Every tool: its name, what it says of itself, its schema, and what runs.
//!
//! Schemas are plain on purpose: strings, integers, booleans, arrays of these and enums; no `$ref`, no `format`, no
//! `null`, no `anyOf`. Defaults are said in the words. Some makers of models refuse anything more.

use rmcp::model::{JsonObject, Tool as Described, ToolAnnotations};
use serde_json::{Value, json};

use super::answer::Answer;
use super::{Call, act, delegate, look, page, roles, waiting};
use crate::ops::Error;

/// One tool.
pub(super) struct Tool {
    pub(super) name: &'static str,
    about: &'static str,
    kind: Kind,
    schema: fn() -> Schema,
    pub(super) run: fn(&Call, Value) -> Result<Answer, Error>,
}

/// What a client may think of a call before it lets it through.
enum Kind {
    Reads,
    Adds,
    Destroys,
}

/// The properties, and those that have to be there.
type Schema = (Value, &'static [&'static str]);

/// All tools, in the order in which they are mostly called.
pub(super) const ALL: &[Tool] = &[
    Tool {
        name: "delegate_task",
        about: "Start one task in a git worktree of its own and return its id at once. It starts from committed files only. Follow it \
                with delegate_wait.",
        kind: Kind::Adds,
        schema: || (task(false), &[]),
        run: delegate::task,
    },
    Tool {
        name: "delegate_batch",
        about: "Start several tasks at once, all or none; each may build on results of others by their keys. Returns their ids by key, and \
                a batch_id for delegate_wait and delegate_status.",
        kind: Kind::Adds,
        schema: || {
            let items = json!({ "type": "object", "properties": task(true), "required": ["key"], "additionalProperties": false });
            let tasks = json!({ "type": "array", "items": items, "description": "The tasks" });
            let failure = choice(&["continue", "stop", "discard all"], "Where one fails; default: continue");
            let concurrency = integer("How many run at once");
            (
                json!({ "tasks": tasks, "concurrency": concurrency, "on_failure": failure, "idempotency_key": idempotency() }),
                &["tasks"],
            )
        },
        run: delegate::batch,
    },
    Tool {
        name: "delegate_roles",
        about: "The roles that tasks can have; one that is not trusted needs a person's approval",
        kind: Kind::Reads,
        schema: || (json!({}), &[]),
        run: roles::list,
    },
    Tool {
        name: "delegate_wait",
        about: "Wait until tasks have ended (and those with merge=auto have landed), but only a bounded time; call it again while timed_out is \
                true. The tasks go on either way.",
        kind: Kind::Reads,
        schema: || {
            let mode = choice(&["all", "any"], "Is one of them enough? Default: all");
            let timeout = integer("Seconds to wait: default 25, at most 600");
            (
                json!({ "task_ids": ids("Which; default: all that run or wait"), "batch_id": batch(), "mode": mode, "timeout_s": timeout }),
                &[],
            )
        },
        run: waiting::wait,
    },
    Tool {
        name: "delegate_status",
        about: "Where tasks stand, one row each, without waiting. Without arguments: all that are not settled.",
        kind: Kind::Reads,
        schema: || (json!({ "task_ids": ids("Which; default: all that are not settled"), "batch_id": batch() }), &[]),
        run: look::status,
    },
    Tool {
        name: "delegate_result",
        about: "How tasks ended: outcome, exit code, their own summary, commits, files, and why a result did not go in.",
        kind: Kind::Reads,
        schema: || (json!({ "task_ids": ids("Which") }), &["task_ids"]),
        run: look::result,
    },
    Tool {
        name: "delegate_diff",
        about: "What a task changed; of a running one, so far. Long ones come in pages: pass next_cursor on.",
        kind: Kind::Reads,
        schema: || {
            let mode = choice(&["stat", "patch"], "Files in figures, or the patch; default: stat");
            let paths = json!({ "type": "array", "items": { "type": "string" }, "description": "Only these files or directories, from the top" });
            (
                json!({ "task_id": id(), "mode": mode, "paths": paths, "cursor": cursor(), "max_bytes": max_bytes() }),
                &["task_id"],
            )
        },
        run: page::diff,
    },
    Tool {
        name: "delegate_logs",
        about: "What a task wrote (its last lines first), or what happened to it. Pass next_cursor to read on from there.",
        kind: Kind::Reads,
        schema: || {
            let tail = integer("The last lines; default 40. Not with cursor");
            let stream = choice(&["log", "events"], "Its output, or the journal of it; default: log");
            (
                json!({ "task_id": id(), "tail": tail, "cursor": cursor(), "stream": stream, "max_bytes": max_bytes() }),
                &["task_id"],
            )
        },
        run: page::logs,
    },
    Tool {
        name: "delegate_merge",
        about: "Fold results into their branches, in this order, each whole or not at all. A conflict or a failed check is told and touches \
                nothing.",
        kind: Kind::Adds,
        schema: || {
            let strategy = choice(&["merge", "squash", "rebase", "ff", "auto"], "How; default: the repository's");
            let verify = string("A shell line that must succeed on the branch with it; default: the repository's");
            let dry = json!({ "type": "boolean", "description": "Only say what would happen; default false" });
            let timeout = integer("Seconds to wait for it: default 50, at most 600; it goes on after that");
            (
                json!({ "task_ids": ids("Which"), "strategy": strategy, "verify": verify, "dry_run": dry, "timeout_s": timeout }),
                &["task_ids"],
            )
        },
        run: act::merge,
    },
    Tool {
        name: "delegate_retry",
        about: "Another attempt of tasks that have ended; with onto_target on what their branch is now, which settles a conflict.",
        kind: Kind::Adds,
        schema: || {
            let onto = json!({ "type": "boolean", "description": "Start on the head of the target branch, with the earlier result handed back; default false" });
            (json!({ "task_ids": ids("Which"), "onto_target": onto }), &["task_ids"])
        },
        run: act::retry,
    },
    Tool {
        name: "delegate_send",
        about: "Tell the agent of a running task something, behind what it is doing now; only agents of kind acp hear.",
        kind: Kind::Adds,
        schema: || (json!({ "task_id": id(), "message": string("What") }), &["task_id", "message"]),
        run: act::send,
    },
    Tool {
        name: "delegate_cancel",
        about: "End running tasks with all their processes; withdraw waiting ones. What they did so far is kept.",
        kind: Kind::Destroys,
        schema: || {
            let now =
                json!({ "type": "boolean", "description": "Kill at once instead of asking first; default false" });
            (json!({ "task_ids": ids("Which"), "now": now }), &["task_ids"])
        },
        run: act::cancel,
    },
    Tool {
        name: "delegate_discard",
        about: "Drop results that nobody wants. (`pleach restore` brings one back.)",
        kind: Kind::Destroys,
        schema: || {
            let keep = string("Keep the one result as this branch");
            (json!({ "task_ids": ids("Which"), "keep_branch": keep }), &["task_ids"])
        },
        run: act::discard,
    },
];

impl Tool {
    /// May a task call it, for tasks of its own?
    pub(super) fn is_for_tasks(&self) -> bool {
        const PEOPLE: [&str; 5] =
            ["delegate_roles", "delegate_merge", "delegate_retry", "delegate_send", "delegate_discard"];
        !PEOPLE.contains(&self.name)
    }

    /// As `tools/list` has it.
    pub(super) fn described(&self) -> Described {
        let (properties, required) = (self.schema)();
        let schema =
            json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false });
        let Value::Object(schema) = schema else { unreachable!("it is written as an object") };
        let (reads, destroys) = match self.kind {
            Kind::Reads => (true, false),
            Kind::Adds => (false, false),
            Kind::Destroys => (false, true),
        };
        let hints = ToolAnnotations::new().read_only(reads).destructive(destroys).open_world(false);
        Described::new(self.name, self.about, JsonObject::from_iter(schema)).with_annotations(hints)
    }
}

fn task(in_batch: bool) -> Value {
    let depends = match in_batch {
        true => "Tasks whose results this one builds on: keys of this batch, or ids",
        false => "Ids of tasks whose results this one builds on",
    };
    let mut properties = json!({
        "command": string("A shell line to run where the server stands in this repository"),
        "prompt": string("What an agent shall do, instead of command"),
        "role": string("Its role: see delegate_roles"),
        "agent": string("Which agent (claude, codex, gemini, ...); default: that of its role, or of the server"),
        "model": string("The model that it uses; default: its own"),
        "max_turns": integer("Turns that it may take"),
        "title": string("A short name; also the message of its commit"),
        "depends_on": { "type": "array", "items": { "type": "string" }, "description": depends },
        "priority": choice(&["low", "normal", "high", "critical"], "Who goes first; default: normal"),
        "timeout_s": integer("Seconds after which it is ended; default: the repository's"),
        "paths": { "type": "array", "items": { "type": "string" }, "description": "What it may touch (src/**); a result that touches more is held" },
        "verify": string("A shell line that must succeed on the branch with it; default: the repository's"),
        "base": string("The revision that it starts from; default: HEAD"),
        "merge": choice(&["auto", "review", "never"], "What becomes of a good result; default: the repository's, mostly review"),
    });
    if let Some(map) = properties.as_object_mut() {
        match in_batch {
            true => map.insert("key".to_owned(), string("A name for it within this batch")),
            false => map.insert("idempotency_key".to_owned(), idempotency()),
        };
    }
    properties
}

fn string(about: &str) -> Value {
    json!({ "type": "string", "description": about })
}

fn integer(about: &str) -> Value {
    json!({ "type": "integer", "description": about })
}

fn choice(words: &[&str], about: &str) -> Value {
    json!({ "type": "string", "enum": words, "description": about })
}

fn ids(about: &str) -> Value {
    json!({ "type": "array", "items": { "type": "string" }, "description": format!("{about}: task ids or names") })
}

fn id() -> Value {
    string("A task id or name")
}

fn batch() -> Value {
    string("All tasks of this batch instead")
}

fn cursor() -> Value {
    string("Go on here: next_cursor of the page before")
}

fn max_bytes() -> Value {
    integer("Bytes of a page: default 8000, at most 40000")
}

fn idempotency() -> Value {
    string("Any text of yours; asked again with the same one, nothing is started twice")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every schema, with whatever is in it.
    fn each(value: &Value, seen: &mut dyn FnMut(&serde_json::Map<String, Value>)) {
        match value {
            Value::Object(map) => {
                seen(map);
                map.values().for_each(|value| each(value, seen));
            }
            Value::Array(list) => list.iter().for_each(|value| each(value, seen)),
            _ => {}
        }
    }

    #[test]
    fn schemas_are_plain() {
        for tool in ALL {
            let schema = serde_json::to_value(tool.described()).unwrap()["inputSchema"].clone();
            assert_eq!(schema["type"], "object", "{}", tool.name);
            each(&schema, &mut |map| {
                for key in ["$ref", "$defs", "$schema", "format", "anyOf", "oneOf", "allOf", "default", "nullable"] {
                    assert!(!map.contains_key(key), "{}: {key}", tool.name);
                }
                if let Some(kind) = map.get("type").filter(|kind| !kind.is_object()) {
                    assert!(kind.is_string(), "{}: {kind}", tool.name);
                }
            });
        }
    }

    #[test]
    fn all_of_it_is_small_enough_to_carry_in_every_context() {
        let size: usize = ALL.iter().map(|tool| serde_json::to_string(&tool.described()).unwrap().len()).sum();
        assert!(size < 10_800, "{size} bytes");
    }
}
