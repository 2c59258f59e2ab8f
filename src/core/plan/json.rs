//! JSON with places: what `serde_json` reads, and where each value and key of it stands.

use super::node::{Entry, Node, Value};
use super::problem::Problem;

/// Deeper is no plan.
const DEEPEST: usize = 32;

/// Take a text apart; at the first thing that is no JSON it stops.
pub(super) fn parse(text: &str) -> (Node, Vec<Problem>) {
    let mut reader = Reader { text, at: 0, twice: Vec::new() };
    let read = reader.value(0).and_then(|node| match reader.peek() {
        None => Ok(node),
        Some(_) => Err(Problem::new(reader.at, "something follows the end of the plan")),
    });
    let (node, wrong) = match read {
        Ok(node) => (node, None),
        Err(problem) => (Node { at: 0, value: Value::Table(Vec::new()) }, Some(problem)),
    };
    (node, reader.twice.into_iter().chain(wrong).collect())
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Keys that stand twice in one table.
    twice: Vec<Problem>,
}

impl Reader<'_> {
    /// The next byte that is no blank.
    fn peek(&mut self) -> Option<u8> {
        let blanks = self.text.as_bytes()[self.at..].iter().take_while(|byte| b" \t\r\n".contains(byte));
        self.at += blanks.count();
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> bool {
        let is_there = self.peek() == Some(wanted);
        self.at += usize::from(is_there);
        is_there
    }

    fn wrong<T>(&self, what: &str) -> Result<T, Problem> {
        Err(Problem::new(self.at, format!("this is no JSON: {what}")))
    }

    fn value(&mut self, depth: usize) -> Result<Node, Problem> {
        let first = self.peek();
        let at = self.at;
        if depth > DEEPEST {
            return self.wrong("it goes too deep");
        }
        let value = match first {
            Some(b'{') => self.table(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Value::Text(self.string()?),
            Some(_) => self.word()?,
            None => return self.wrong("a value is missing"),
        };
        Ok(Node { at, value })
    }

    fn table(&mut self, depth: usize) -> Result<Value, Problem> {
        self.at += 1;
        let mut entries: Vec<Entry> = Vec::new();
        while !self.take(b'}') {
            if !entries.is_empty() && !self.take(b',') {
                return self.wrong("a comma or } is missing");
            }
            if self.peek() != Some(b'"') {
                return self.wrong("a key in double quotes is missing");
            }
            let at = self.at;
            let key = self.string()?;
            if !self.take(b':') {
                return self.wrong("a colon is missing");
            }
            if entries.iter().any(|entry| entry.key == key) {
                self.twice.push(Problem::new(at, format!("{key:?} is there already")));
            }
            entries.push(Entry { key, at, node: self.value(depth + 1)? });
        }
        Ok(Value::Table(entries))
    }

    fn list(&mut self, depth: usize) -> Result<Value, Problem> {
        self.at += 1;
        let mut items = Vec::new();
        while !self.take(b']') {
            if !items.is_empty() && !self.take(b',') {
                return self.wrong("a comma or ] is missing");
            }
            items.push(self.value(depth + 1)?);
        }
        Ok(Value::List(items))
    }

    fn string(&mut self) -> Result<String, Problem> {
        let bytes = self.text.as_bytes();
        let mut end = self.at + 1;
        while bytes.get(end).is_some_and(|byte| *byte != b'"') {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        if end >= bytes.len() {
            return self.wrong("a text has no end");
        }
        match serde_json::from_str(&self.text[self.at..=end]) {
            Ok(text) => {
                self.at = end + 1;
                Ok(text)
            }
            Err(_) => self.wrong("this is no text"),
        }
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Result<Value, Problem> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c)).unwrap_or(rest.len());
        let value = match (&rest[..end], serde_json::from_str::<serde_json::Value>(&rest[..end])) {
            ("true", _) => Value::Flag(true),
            ("false", _) => Value::Flag(false),
            ("null", _) => Value::Other("null"),
            (_, Ok(serde_json::Value::Number(number))) => {
                number.as_i64().map_or(Value::Other("a fraction or a number that is too large"), Value::Number)
            }
            _ => return self.wrong("this is no value"),
        };
        self.at += end;
        Ok(value)
    }
}
