//! Words and paths as the system has them: bytes, mostly UTF-8, with an exact JSON form.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// An argument, environment value or path: any bytes without NUL.
///
/// In JSON it is a string where it is UTF-8, else `{"bytes": [..]}`: nothing is replaced or lost.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Word(Vec<u8>);

impl Word {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// For the operating system.
    pub fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }

    /// As a path.
    pub fn as_path(&self) -> &Path {
        Path::new(self.as_os_str())
    }

    /// For people: control characters and bytes that are not UTF-8 are escaped, the rest is as it is.
    pub fn shown(&self) -> String {
        let mut text = String::with_capacity(self.0.len());
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if is_hostile(c) { text.extend(c.escape_default()) } else { text.push(c) }
            }
            for byte in chunk.invalid() {
                text.push_str(&format!("\\x{byte:02x}"));
            }
        }
        text
    }
}

/// Text that a task wrote, made safe for a terminal: control and direction characters are escaped.
pub fn shown(text: &str) -> String {
    Word::from(text).shown()
}

/// What a program said over several lines, on one: a sentence that was broken goes on, and what stood by itself is set
/// off with a semicolon.
pub fn one_line(text: &str) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut last = "";
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if !last.is_empty() {
            let goes_on = last.ends_with(['.', ',', ':', ';', '!', '?']) || is_broken(last, line);
            whole.push_str(if goes_on { " " } else { "; " });
        }
        last = line.trim();
        whole.push_str(last);
    }
    whole
}

/// Is the second line the rest of the first? That one is as long as lines get, and this one is neither the item of a
/// list nor a message of its own: `error: ...`.
fn is_broken(line: &str, next: &str) -> bool {
    const LONG: usize = 50;
    let is_message = next.split_whitespace().next().is_some_and(|word| word.ends_with(':'));
    line.chars().count() >= LONG && next.starts_with(char::is_lowercase) && !is_message
}

/// `1 file`, `3 files`.
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Would this character act on a terminal, or on the order of the text, instead of being seen?
pub fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_os_str().fmt(f)
    }
}

impl From<&str> for Word {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<String> for Word {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl From<Vec<u8>> for Word {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<OsString> for Word {
    fn from(text: OsString) -> Self {
        Self(text.into_vec())
    }
}

impl From<PathBuf> for Word {
    fn from(path: PathBuf) -> Self {
        path.into_os_string().into()
    }
}

impl From<&Path> for Word {
    fn from(path: &Path) -> Self {
        Self(path.as_os_str().as_bytes().to_vec())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Json<'a> {
    Text(std::borrow::Cow<'a, str>),
    Raw { bytes: std::borrow::Cow<'a, [u8]> },
}

impl Serialize for Word {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => s.serialize_str(text),
            Err(_) => Json::Raw { bytes: (&self.0[..]).into() }.serialize(s),
        }
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(match Json::deserialize(d)? {
            Json::Text(text) => Self(text.into_owned().into_bytes()),
            Json::Raw { bytes } => Self(bytes.into_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_every_byte() {
        for bytes in [&b"plain"[..], b"", b"new\nline", b"\xff\xfe caf\xc3\xa9", "é".as_bytes()] {
            let word = Word::from(bytes.to_vec());
            let json = serde_json::to_string(&word).unwrap();
            assert_eq!(serde_json::from_str::<Word>(&json).unwrap(), word, "{json}");
        }
    }

    #[test]
    fn several_lines_become_one_that_can_be_read() {
        let said = "Unable to create 'index.lock': File exists.\n\nAnother git process seems to be running in this \
                    repository, e.g.\nan editor opened by 'git commit'. Please make sure all processes\nare \
                    terminated then try again.\n";
        let line = "Unable to create 'index.lock': File exists. Another git process seems to be running in this \
                    repository, e.g. an editor opened by 'git commit'. Please make sure all processes are \
                    terminated then try again.";
        assert_eq!(one_line(said), line);
        assert_eq!(one_line("not on\nfridays"), "not on; fridays");
        let said = "error: Your local changes to the following files would be overwritten:\n\ta\n\tb\nPlease commit\n";
        assert_eq!(
            one_line(said),
            "error: Your local changes to the following files would be overwritten: a; b; Please commit"
        );
        let said = "error: this is as long as the lines of a message ever get\nfatal: gone";
        assert_eq!(one_line(said), said.replace('\n', "; "));
    }

    #[test]
    fn what_is_shown_cannot_act_on_a_terminal() {
        assert_eq!(Word::from(b"a\x1b[31m\xff\nb".to_vec()).shown(), "a\\u{1b}[31m\\xff\\nb");
        assert_eq!(shown("ok \u{202e}txt"), "ok \\u{202e}txt");
    }
}
