//! The keys of a file of another program, taken one by one: what is left in the end is told.

use serde_json::{Map, Value};

use super::{Note, Wrong};

/// Characters of a value that a note shows.
const SHOWN: usize = 300;

/// A table of which each key is taken once.
#[derive(Debug)]
pub(super) struct Fields {
    map: Map<String, Value>,
    /// What it stands under, with a dot at its end.
    under: String,
    notes: Vec<Note>,
}

impl Fields {
    pub(super) fn new(value: Value) -> Result<Self, Wrong> {
        Self::under(value, String::new())
    }

    fn under(value: Value, under: String) -> Result<Self, Wrong> {
        match value {
            Value::Object(map) => Ok(Self { map, under, notes: Vec::new() }),
            other => Err(Wrong::new(format!("{} is {}, and should be a table", whole(&under), kind(&other)))),
        }
    }

    /// What stands there; null is as nothing.
    pub(super) fn value(&mut self, key: &str) -> Option<Value> {
        self.map.remove(key).filter(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>, Wrong> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(text)) if !text.contains('\0') => Ok(Some(text)),
            Some(other) => Err(self.mismatch(key, &other, "a text")),
        }
    }

    pub(super) fn texts(&mut self, key: &str) -> Result<Option<Vec<String>>, Wrong> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Array(list)) => {
                let text = |value| match value {
                    Value::String(text) => Ok(text),
                    other => Err(self.mismatch(key, &other, "a list of texts")),
                };
                list.into_iter().map(text).collect::<Result<_, _>>().map(Some)
            }
            Some(other) => Err(self.mismatch(key, &other, "a list of texts")),
        }
    }

    pub(super) fn flag(&mut self, key: &str) -> Result<Option<bool>, Wrong> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(self.mismatch(key, &other, "true or false")),
        }
    }

    pub(super) fn number(&mut self, key: &str) -> Result<Option<u32>, Wrong> {
        match self.value(key) {
            None => Ok(None),
            Some(value) => match value.as_u64().and_then(|number| u32::try_from(number).ok()) {
                Some(number) => Ok(Some(number)),
                None => Err(self.mismatch(key, &value, "a number")),
            },
        }
    }

    /// A table in it; its notes come back with [`Fields::join`].
    pub(super) fn table(&mut self, key: &str) -> Result<Option<Fields>, Wrong> {
        let under = format!("{}{key}.", self.under);
        self.value(key).map(|value| Fields::under(value, under)).transpose()
    }

    pub(super) fn join(&mut self, table: Fields) {
        self.notes.extend(table.end());
    }

    /// Say something of a key.
    pub(super) fn note(&mut self, key: &str, about: impl Into<String>) {
        self.notes.push(Note { key: format!("{}{key}", self.under), about: about.into() });
    }

    /// A key that has no place here: take it, and say why and what it said.
    pub(super) fn unmapped(&mut self, key: &str, why: &str) {
        if let Some(value) = self.value(key) {
            self.note(key, format!("{why}: {}", brief(&value)));
        }
    }

    /// The notes, those of the keys that nobody took among them.
    pub(super) fn end(mut self) -> Vec<Note> {
        let left: Vec<String> = self.map.keys().cloned().collect();
        for key in left {
            self.unmapped(&key, "not known here");
        }
        self.notes
    }

    pub(super) fn mismatch(&self, key: &str, value: &Value, wanted: &str) -> Wrong {
        Wrong::new(format!("{}{key} is {}, and should be {wanted}", self.under, kind(value)))
    }
}

fn whole(under: &str) -> &str {
    if under.is_empty() { "the file" } else { under.trim_end_matches('.') }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

fn brief(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Commas between them, as Claude Code has it; those in parentheses belong to what stands before.
pub(super) fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for c in text.chars() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        match (c, depth) {
            (',', 0) => parts.push(String::new()),
            _ => parts.last_mut().expect("there is one from the start").push(c),
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}
