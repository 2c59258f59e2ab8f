//! Every key that a plan may have: what it takes, and what it is for. What is read, the words of the errors, and the
//! published schema come from this one table.

use serde_json::{Map, Value, json};

use crate::core::agent::Changes;
use crate::core::task::{FoldPolicy, Priority, Strategy};

use super::{OnConflict, OnFailure};

/// A key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) takes: Takes,
    pub(super) about: &'static str,
}

/// What stands behind a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Takes {
    Text,
    Word(&'static [&'static str]),
    Number(u32, u32),
    Flag,
    Duration,
    Size,
    Texts,
    Numbers,
    TextOrTexts,
    Table(&'static [Key]),
    Tables(&'static [Key]),
    TextTable,
    /// A list of texts, or a table with one of these keys.
    Items(&'static [Key]),
}

macro_rules! key {
    ($name:literal, $takes:expr, $about:literal) => {
        Key { name: $name, takes: $takes, about: $about }
    };
}

/// The words of a set, which is a constant.
const fn spelled<T: Copy, const N: usize>(all: &[(&'static str, T)]) -> [&'static str; N] {
    let mut words = [""; N];
    let mut at = 0;
    while at < N {
        words[at] = all[at].0;
        at += 1;
    }
    words
}

const PRIORITIES: [&str; Priority::ALL.len()] = spelled(Priority::ALL);
const FOLDS: [&str; FoldPolicy::ALL.len()] = spelled(FoldPolicy::ALL);
const STRATEGIES: [&str; Strategy::ALL.len()] = spelled(Strategy::ALL);
const FAILURES: [&str; OnFailure::ALL.len()] = spelled(OnFailure::ALL);
const CHANGES: [&str; Changes::ALL.len()] = spelled(Changes::ALL);
const CONFLICTS: [&str; OnConflict::ALL.len()] = spelled(OnConflict::ALL);

/// At the top.
pub(super) const PLAN: &[Key] = &[
    key!("name", Takes::Text, "What the plan is called; without it, the name of the file"),
    key!("on_failure", Takes::Word(&FAILURES), "What becomes of the other tasks where one fails (default: continue)"),
    key!(
        "concurrency",
        Takes::Number(1, 1000),
        "How many of its tasks run at once (default: as many as there is room for)"
    ),
    key!("base", Takes::Text, "The revision that the tasks start from (default: HEAD)"),
    key!("into", Takes::Text, "The branch that the results are for (default: the one that is checked out)"),
    key!("defaults", Takes::Table(SETTINGS), "What all tasks say that do not say it themselves"),
    key!("task", Takes::Tables(TASK), "The tasks"),
];

/// What `[defaults]` and a task may say.
pub(super) const SETTINGS: &[Key] = &[
    key!(
        "agent",
        Takes::TextOrTexts,
        "What runs a prompt: the name of an agent (`pleach agents`), or a command that is given it on standard input, or in {prompt_file}"
    ),
    key!("role", Takes::Text, "The role that it has (`pleach roles`); its agent does a prompt where none is named"),
    key!("model", Takes::Text, "The model that its agent uses"),
    key!("max_turns", Takes::Number(1, 10_000), "So many turns its agent may take"),
    key!("budget", Takes::Text, "What its agent may cost, in dollars"),
    key!("changes", Takes::Word(&CHANGES), "Must its agent change something? (default: required)"),
    key!("priority", Takes::Word(&PRIORITIES), "Who goes first"),
    key!("group", Takes::Text, "The group whose limit it shares"),
    key!("timeout", Takes::Duration, "Wall time that it may take"),
    key!("needs_memory", Takes::Size, "Memory that must be free for it to start"),
    key!("retries", Takes::Number(0, 100), "How many more attempts follow a failed one"),
    key!("accept_exit_codes", Takes::Numbers, "Exit codes that are success too"),
    key!("paths", Takes::Texts, "What it may touch: patterns from the top. A result that touches more is held"),
    key!("fold", Takes::Word(&FOLDS), "What becomes of a good result"),
    key!("strategy", Takes::Word(&STRATEGIES), "How it is folded"),
    key!("verify", Takes::Text, "What the branch has to pass with the result in it: a line for sh -c"),
    key!("message", Takes::Text, "The message of its commit; {task} and {item} are filled in"),
    key!("env", Takes::TextTable, "Variables"),
    key!("on_conflict", Takes::Word(&CONFLICTS), "What becomes of a result that conflicts (default: hold)"),
    key!("read_only", Takes::Flag, "It writes its temporary directory only"),
    key!("clean", Takes::Flag, "It gets a worktree that no task had before it, with no ignored files of any"),
];

/// What only a task may say.
const OWN: &[Key] = &[
    key!("name", Takes::Text, "What it is called, in the plan and for every verb"),
    key!(
        "needs",
        Takes::Texts,
        "The tasks that it builds on, by name; NAME-{item}: of those the one for the same item"
    ),
    key!("for_each", Takes::Items(EACH), "One task for each of these; {item} is which"),
    key!("command", Takes::TextOrTexts, "What it runs: a line for sh -c, or a program and its arguments"),
    key!("prompt", Takes::Text, "What its agent is told"),
    key!("attempts", Takes::Number(1, 16), "So many tries at the same, of which somebody picks one"),
];

/// What a task may say.
pub(super) const TASK: &[Key] = &joined::<{ OWN.len() + SETTINGS.len() }>(OWN, SETTINGS);

const EACH: &[Key] = &[
    key!("glob", Takes::TextOrTexts, "Patterns of files that git tracks; with a slash at its end, of directories"),
    key!("command", Takes::Text, "What writes them, one on a line: a line for sh -c"),
];

const fn joined<const N: usize>(one: &[Key], two: &[Key]) -> [Key; N] {
    let mut all = [one[0]; N];
    let mut at = 0;
    while at < N {
        all[at] = if at < one.len() { one[at] } else { two[at - one.len()] };
        at += 1;
    }
    all
}

/// The schema of a plan, as JSON Schema (2020-12).
pub fn schema() -> Value {
    let mut schema = table(PLAN, &["task"]);
    let top = schema.as_object_mut().expect("a table is an object");
    top.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    top.insert("title".to_owned(), json!("A plan of pleach"));
    schema
}

fn table(keys: &[Key], required: &[&str]) -> Value {
    let properties: Map<String, Value> = keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let mut table = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if !required.is_empty() {
        table["required"] = json!(required);
    }
    table
}

fn property(key: &Key) -> Value {
    let text = json!({ "type": "string" });
    let texts = json!({ "type": "array", "items": text });
    let mut property = match key.takes {
        Takes::Text => text,
        Takes::Word(words) => json!({ "enum": words }),
        Takes::Number(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Takes::Flag => json!({ "type": "boolean" }),
        Takes::Duration | Takes::Size => json!({ "type": ["string", "integer"], "minimum": 1 }),
        Takes::Texts => texts,
        Takes::Numbers => json!({ "type": "array", "items": { "type": "integer", "minimum": 0, "maximum": 255 } }),
        Takes::TextOrTexts => json!({ "oneOf": [text, { "type": "array", "items": text, "minItems": 1 }] }),
        Takes::Table(keys) => table(keys, &[]),
        Takes::Tables(keys) => {
            let mut item = table(keys, &["name"]);
            item["oneOf"] = json!([{ "required": ["command"] }, { "required": ["prompt"] }]);
            json!({ "type": "array", "minItems": 1, "items": item })
        }
        Takes::TextTable => json!({ "type": "object", "additionalProperties": text }),
        Takes::Items(keys) => {
            let mut one_of = table(keys, &[]);
            one_of["minProperties"] = json!(1);
            one_of["maxProperties"] = json!(1);
            json!({ "oneOf": [{ "type": "array", "items": text, "minItems": 1 }, one_of] })
        }
    };
    property["description"] = json!(key.about);
    property
}
