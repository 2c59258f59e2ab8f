//! A file as a tree of values, each with where it stands: the same for TOML and for JSON.

use toml::de::{DeTable, DeValue};

use super::json;
use super::problem::Problem;

/// A value, and at which byte it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) at: usize,
    pub(super) value: Value,
}

/// What it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Number(i64),
    Flag(bool),
    List(Vec<Node>),
    Table(Vec<Entry>),
    /// Nothing that a plan has a use for: a date, a fraction, null.
    Other(&'static str),
}

/// A key of a table, and what stands behind it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: usize,
    pub(super) node: Node,
}

/// How the text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// `.toml`
    Toml,
    /// `.json`
    Json,
}

impl Value {
    /// What it is called, with its article.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Number(_) => "a number",
            Self::Flag(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

/// Take a text apart. What is wrong with it as TOML or JSON is among the problems; the tree has what could be read.
pub(super) fn parse(text: &str, syntax: Syntax) -> (Node, Vec<Problem>) {
    match syntax {
        Syntax::Json => json::parse(text),
        Syntax::Toml => {
            let (table, errors) = DeTable::parse_recoverable(text);
            let problem = |error: toml::de::Error| {
                let at = error.span().map_or(0, |span| span.start);
                Problem::new(at, error.message().replace('\n', " "))
            };
            let problems = errors.into_iter().map(problem).collect();
            (Node { at: 0, value: Value::Table(entries(table.get_ref())) }, problems)
        }
    }
}

fn entries(table: &DeTable<'_>) -> Vec<Entry> {
    let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let key: &toml::Spanned<std::borrow::Cow<'_, str>> = key;
        let node = Node { at: value.span().start, value: from_toml(value.get_ref()) };
        Entry { key: key.get_ref().to_string(), at: key.span().start, node }
    };
    let mut entries: Vec<Entry> = table.iter().map(entry).collect();
    entries.sort_by_key(|entry| entry.at);
    entries
}

fn from_toml(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Number(number),
            Err(_) => Value::Other("a number that is too large"),
        },
        DeValue::Float(_) => Value::Other("a fraction"),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Array(list) => {
            let node =
                |item: &toml::Spanned<DeValue<'_>>| Node { at: item.span().start, value: from_toml(item.get_ref()) };
            Value::List(list.iter().map(node).collect())
        }
        DeValue::Table(table) => Value::Table(entries(table)),
    }
}
