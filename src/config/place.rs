//! Where things are in a file, and reading it so that everything that is wrong with it is told at once.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

/// More is not told.
const MOST: usize = 50;

/// The places of keys (`sandbox.memory`): line and column of their values, from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Positions(BTreeMap<String, (usize, usize)>);

impl Positions {
    /// Those of a text that can be read.
    pub fn of(text: &str) -> Self {
        let mut found = BTreeMap::new();
        if let Ok(table) = DeTable::parse(text) {
            collect(table.get_ref(), "", &mut |key, at| {
                found.insert(key, of(text.as_bytes(), at));
            });
        }
        Self(found)
    }

    /// That of this key; the start of the file where it has none.
    pub fn of_key(&self, key: &str) -> (usize, usize) {
        self.0.get(key).copied().unwrap_or((1, 1))
    }
}

fn collect(table: &DeTable<'_>, above: &str, found: &mut dyn FnMut(String, usize)) {
    for (key, value) in table {
        let name = format!("{above}{}", key.get_ref());
        found(name.clone(), value.span().start);
        if let DeValue::Table(below) = value.get_ref() {
            collect(below, &format!("{name}."), found);
        }
    }
}

/// Line and column of a byte, from 1; the column in characters.
pub(super) fn of(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = String::from_utf8_lossy(&bytes[..offset.min(bytes.len())]);
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

/// Read it.
///
/// # Errors
/// All that is wrong, each with the byte at which it is, in the order of the text. What is no TOML at all is told by its
/// first fault alone: what comes behind it may be meant in any way.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Vec<(usize, String)>> {
    let mut table = DeTable::parse(text).map_err(|error| vec![told(&error)])?;
    let mut problems = Vec::new();
    while problems.len() < MOST {
        match T::deserialize(Deserializer::from(table.clone())) {
            Ok(read) if problems.is_empty() => return Ok(read),
            Ok(_) => break,
            Err(error) => {
                let problem = told(&error);
                // Without what is wrong the rest says what else is.
                let is_gone = error.span().is_some_and(|span| take_out(table.get_mut(), span.start));
                problems.push(problem);
                if !is_gone {
                    break;
                }
            }
        }
    }
    problems.sort();
    problems.dedup();
    Err(problems)
}

fn told(error: &toml::de::Error) -> (usize, String) {
    (error.span().map_or(0, |span| span.start), error.message().replace('\n', " "))
}

/// Remove the innermost entry that holds this byte.
fn take_out(table: &mut DeTable<'_>, at: usize) -> bool {
    for (_, value) in table.iter_mut() {
        if let DeValue::Table(below) = value.get_mut()
            && take_out(below, at)
        {
            return true;
        }
    }
    let holds = |key: &Spanned<std::borrow::Cow<'_, str>>, value: &Spanned<DeValue<'_>>| {
        let is_in = |span: std::ops::Range<usize>| span.contains(&at) || span.start == at;
        is_in(key.span()) || is_in(value.span()) || elements(value.get_ref()).into_iter().any(is_in)
    };
    let found = table.iter().find(|(key, value)| holds(key, value)).map(|(key, _)| key.clone());
    found.is_some_and(|key| table.remove(&key).is_some())
}

/// Where the parts of an array are: one of tables is written in several places.
fn elements(value: &DeValue<'_>) -> Vec<std::ops::Range<usize>> {
    match value {
        DeValue::Array(all) => {
            all.iter().flat_map(|one| [vec![one.span()], elements(one.get_ref())].concat()).collect()
        }
        DeValue::Table(table) => {
            let of = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
                let _: &std::borrow::Cow<'_, str> = key.get_ref();
                [vec![key.span(), value.span()], elements(value.get_ref())].concat()
            };
            table.iter().flat_map(of).collect()
        }
        _ => Vec::new(),
    }
}
