//! One entry of a text in JSON (with comments) or TOML, and nothing around it. Pure.

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstObject, CstRootNode};
use serde_json::Value;
use toml_edit::{Array, DocumentMut, Item, Table, TableLike};

/// What has to be in our entry, in the order in which a person would write it.
pub(super) type Entry = Vec<(&'static str, Value)>;

/// See to it that this is at these keys; what else is there stays.
///
/// # Errors
/// Where the text is no JSON, or something else is in the way.
pub(super) fn json(text: &str, keys: &[&str], entry: &Entry) -> Result<String, String> {
    let begun = if text.trim().is_empty() { "{}\n" } else { text };
    let options = ParseOptions {
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        ..ParseOptions::default()
    };
    let root = CstRootNode::parse(begun, &options).map_err(|error| error.to_string())?;
    let mut object = root.object_value().ok_or("it is no object of JSON")?;
    for key in keys {
        object = inner(&object, key)?;
    }
    for (key, value) in entry {
        match object.get(key) {
            Some(known) if known.value().and_then(|known| known.to_serde_value()).as_ref() == Some(value) => {}
            Some(known) => known.set_value(input(value)),
            None => drop(object.append(key, input(value))),
        }
    }
    Ok(root.to_string())
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
    use serde_json::json;

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
