//! One entry of a text in JSON (with comments) or TOML, and nothing around it. Pure.

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstObject, CstRootNode};
use serde_json::{Value, json};
use toml_edit::{Array, DocumentMut, Item, Table, TableLike};

/// What has to be in our entry, in the order in which a person would write it.
pub(super) type Entry = Vec<(&'static str, Value)>;

/// See to it that this is at these keys; what else is there stays.
///
/// # Errors
/// Where the text is no JSON, or something else is in the way.
pub(super) fn json(text: &str, keys: &[&str], entry: &Entry) -> Result<String, String> {
    let (bom, text) = marked(text);
    let root = root(text)?;
    let mut object = root.object_value().ok_or("it is no object of JSON")?;
    for key in keys {
        object = inner(&object, key)?;
    }
    set(&object, entry);
    Ok(format!("{bom}{root}"))
}

/// A command for an event of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ops) struct Hook {
    /// When.
    pub(in crate::ops) event: &'static str,
    /// For which tools.
    pub(in crate::ops) matcher: Option<&'static str>,
    /// What is run.
    pub(in crate::ops) command: String,
    /// Seconds that it may take.
    pub(in crate::ops) timeout: u64,
    /// There can be one only: somebody else's goes first.
    pub(in crate::ops) is_alone: bool,
}

/// See to it that these hooks are there. Ours are known by `mark` in their command. Answers the events that were left to a hook of
/// somebody else.
///
/// # Errors
/// Where the text is no JSON, or something else is in the way.
pub(in crate::ops) fn hooks(text: &str, mark: &str, wanted: &[Hook]) -> Result<(String, Vec<&'static str>), String> {
    let (bom, text) = marked(text);
    let root = root(text)?;
    let hooks = inner(&root.object_value().ok_or("it is no object of JSON")?, "hooks")?;
    let mut left = Vec::new();
    for hook in wanted {
        let mut group = json!({ "hooks": [{ "type": "command", "command": hook.command, "timeout": hook.timeout }] });
        if let Some(matcher) = hook.matcher {
            group["matcher"] = matcher.into();
        }
        let Some(known) = hooks.get(hook.event) else {
            drop(hooks.append(hook.event, CstInputValue::Array(vec![input(&group)])));
            continue;
        };
        let groups = known.array_value().ok_or_else(|| format!("{:?} in it is no list", hook.event))?;
        let commands = groups.elements().into_iter().filter_map(|group| group.as_object()?.get("hooks")?.array_value());
        let mut commands = commands.flat_map(|list| list.elements()).filter_map(|one| one.as_object());
        let is_ours = |one: &CstObject| {
            let value = one.get("command").and_then(|command| command.value()?.to_serde_value());
            value.as_ref().and_then(Value::as_str).is_some_and(|command| command.contains(mark))
        };
        match commands.find(is_ours) {
            Some(ours) => set(&ours, &vec![("command", json!(hook.command)), ("timeout", json!(hook.timeout))]),
            None if hook.is_alone && !groups.elements().is_empty() => left.push(hook.event),
            None => drop(groups.append(input(&group))),
        }
    }
    Ok((format!("{bom}{root}"), left))
}

/// Text as JSON with comments; nothing is an empty object.
/// The mark of its encoding, which some editors begin a file with and which stays there; and the text.
fn marked(text: &str) -> (&str, &str) {
    text.split_at(text.strip_prefix('\u{feff}').map_or(0, |rest| text.len() - rest.len()))
}

fn root(text: &str) -> Result<CstRootNode, String> {
    let begun = if text.trim().is_empty() { "{}\n" } else { text };
    let options = ParseOptions {
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        ..ParseOptions::default()
    };
    CstRootNode::parse(begun, &options).map_err(|error| error.to_string())
}

fn set(object: &CstObject, entry: &Entry) {
    for (key, value) in entry {
        match object.get(key) {
            Some(known) if known.value().and_then(|known| known.to_serde_value()).as_ref() == Some(value) => {}
            Some(known) => known.set_value(input(value)),
            None => drop(object.append(key, input(value))),
        }
    }
}

fn inner(object: &CstObject, key: &str) -> Result<CstObject, String> {
    match object.get(key) {
        Some(known) => known.object_value().ok_or_else(|| format!("{key:?} in it is no object")),
        None => {
            object.ensure_multiline();
            let made = object.append(key, CstInputValue::Object(Vec::new())).object_value();
            let made = made.ok_or_else(|| format!("{key:?} cannot be added"))?;
            made.ensure_multiline();
            Ok(made)
        }
    }
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(value) => CstInputValue::Bool(*value),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(list) => CstInputValue::Array(list.iter().map(input).collect()),
        Value::Object(map) => {
            CstInputValue::Object(map.iter().map(|(key, value)| (key.clone(), input(value))).collect())
        }
    }
}

/// The same in TOML. Texts, switches and lists of texts are all that our entry has.
///
/// # Errors
/// Where the text is no TOML, or something else is in the way.
pub(super) fn toml(text: &str, keys: &[&str], entry: &Entry) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| error.to_string())?;
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for (place, key) in keys.iter().enumerate() {
        let fresh = || {
            let mut fresh = Table::new();
            // Only the innermost has a heading of its own.
            fresh.set_implicit(place + 1 < keys.len());
            Item::Table(fresh)
        };
        let item = table.entry(key).or_insert_with(fresh);
        table = item.as_table_like_mut().ok_or_else(|| format!("{key:?} in it is no table"))?;
    }
    for (key, value) in entry {
        let wanted = toml_value(value);
        let is_so = table.get(key).is_some_and(|known| known.as_value().map(plain) == Some(plain(&wanted)));
        if !is_so {
            table.insert(key, Item::Value(wanted));
        }
    }
    Ok(document.to_string())
}

fn toml_value(value: &Value) -> toml_edit::Value {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::Array(list) => list.iter().map(toml_value).collect::<Array>().into(),
        other => other.as_str().unwrap_or_default().into(),
    }
}

/// Without comments, spaces and ways of quoting.
fn plain(value: &toml_edit::Value) -> String {
    match value {
        toml_edit::Value::String(text) => format!("{:?}", text.value()),
        toml_edit::Value::Array(list) => format!("[{}]", list.iter().map(plain).collect::<Vec<_>>().join(",")),
        other => other.clone().decorated("", "").to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &[&str] = &["mcpServers", "pleach"];

    fn ours() -> Entry {
        vec![("command", json!("pleach")), ("args", json!(["mcp"]))]
    }

    #[test]
    fn comments_order_and_other_entries_stay() {
        let before = "// mine\n{\n\t\"z\": [1, 2], // why\n\t\"mcpServers\": {\n\t\t\"other\": {\"command\": \"x\"},\n\t},\n\t\"a\": null\n}\n";
        let after = json_edit(before);
        let line = "\t\t\"pleach\": {";
        assert!(after.contains(line), "{after}");
        // All that was there is there still, in its order.
        let mut rest = after.as_str();
        for piece in before.split_inclusive('\n') {
            let at =
                rest.find(piece.trim_end_matches([',', '\n'])).unwrap_or_else(|| panic!("{piece:?} is gone: {after}"));
            rest = &rest[at..];
        }
        assert_eq!(json_edit(&after), after, "twice is once");
    }

    fn json_edit(text: &str) -> String {
        json(text, KEYS, &ours()).unwrap()
    }

    #[test]
    fn what_else_is_in_our_entry_stays() {
        let before = r#"{"mcpServers": {"pleach": {"command": "/old/pleach", "args": ["mcp"], "trust": true}}}"#;
        let value: Value = serde_json::from_str(&json_edit(before)).unwrap();
        assert_eq!(value["mcpServers"]["pleach"], json!({ "command": "pleach", "args": ["mcp"], "trust": true }));
    }

    #[test]
    fn nothing_is_a_whole_file() {
        for nothing in ["", "\n", "{}"] {
            let value: Value = serde_json::from_str(&json_edit(nothing)).unwrap();
            assert_eq!(value, json!({ "mcpServers": { "pleach": { "command": "pleach", "args": ["mcp"] } } }));
        }
    }

    #[test]
    fn what_is_broken_is_refused() {
        for broken in ["{", "[]", "{\"mcpServers\": []}", "{\"mcpServers\": {\"pleach\": 1}}", "{a: 1}", "{} x"] {
            assert!(json(broken, KEYS, &ours()).is_err(), "{broken}");
        }
        for broken in ["a = ", "mcpServers = 1", "[mcpServers]\npleach = []"] {
            assert!(toml(broken, KEYS, &ours()).is_err(), "{broken}");
        }
    }

    fn hook(event: &'static str, is_alone: bool) -> Hook {
        Hook { event, matcher: None, command: "pleach hook claude".to_owned(), timeout: 60, is_alone }
    }

    #[test]
    fn hooks_come_beside_those_of_others_and_once() {
        let theirs = r#"{"a": 1, "hooks": {"Stop": [{"hooks": [{"type": "command", "command": "theirs"}]}], "WorktreeCreate": [{"hooks": []}]}}"#;
        let wanted = [hook("Stop", false), hook("WorktreeCreate", true), hook("SessionEnd", false)];
        let (after, left) = hooks(theirs, "pleach hook", &wanted).unwrap();
        assert_eq!(left, ["WorktreeCreate"]);
        let value: Value = serde_json::from_str(&after).unwrap();
        let ours = json!({ "hooks": [{ "type": "command", "command": "pleach hook claude", "timeout": 60 }] });
        let other = json!({ "hooks": [{ "type": "command", "command": "theirs" }] });
        assert_eq!(value["hooks"]["Stop"], json!([other, ours]));
        assert_eq!((&value["hooks"]["SessionEnd"], &value["a"]), (&json!([ours]), &json!(1)));
        assert_eq!(hooks(&after, "pleach hook", &wanted).unwrap().0, after, "twice is once");
        let moved = after.replace("pleach hook claude", "/old/pleach hook claude");
        assert_eq!(hooks(&moved, "pleach hook", &wanted).unwrap().0, after);
        for broken in ["[]", "{\"hooks\": []}", "{\"hooks\": {\"Stop\": {}}}", "{"] {
            assert!(hooks(broken, "pleach hook", &wanted).is_err(), "{broken}");
        }
    }

    #[test]
    fn toml_keeps_comments_too() {
        let before = "# mine\nmodel = \"x\" # why\n\n[mcpServers.other]\ncommand = 'y'\n";
        let after = toml(before, KEYS, &ours()).unwrap();
        assert_eq!(after, format!("{before}\n[mcpServers.pleach]\ncommand = \"pleach\"\nargs = [\"mcp\"]\n"));
        assert_eq!(toml(&after, KEYS, &ours()).unwrap(), after);
        let styled = "[mcpServers]\npleach = { command = 'pleach', args = [ \"mcp\" ], env = { A = \"1\" } } # so\n";
        assert_eq!(toml(styled, KEYS, &ours()).unwrap(), styled);
    }
}
