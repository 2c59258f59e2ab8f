//! A structural merge driver: a program of the user's that merges single files by their structure, where lines conflict.
//!
//! It lives in a [`Check`](super::verify::Check): without one there is none, so that nothing which it merged ever lands unverified.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::change::list;
use super::id::TaskId;
use super::word::Word;

/// A driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Driver {
    /// A line for `sh -c` with git's placeholders: `%O` base, `%A` ours (and the result), `%B` theirs, `%P` the path, and so on.
    pub command: String,
    /// Which files it is for; all, where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<String>,
    /// Seconds that it may take for a file.
    pub timeout: u64,
}

/// Seconds that a driver may take for a file, where nothing else is said.
pub const DEFAULT_DRIVER_TIMEOUT: u64 = 60;

/// What a driver merged of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Driven {
    /// Whose.
    pub task: TaskId,
    /// The name of the driver.
    pub driver: String,
    /// In which files.
    pub paths: Vec<Word>,
}

impl fmt::Display for Driven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.driver, list(self.paths.iter().map(Word::shown)))
    }
}

impl Driver {
    /// What it is called: the name of its program.
    pub fn name(&self) -> String {
        let program = self.command.split_whitespace().next().unwrap_or_default();
        super::word::shown(program.rsplit('/').next().unwrap_or_default())
    }

    /// Is this file one of those that it is for?
    pub fn is_for(&self, path: &Word) -> bool {
        let path = path.as_bytes();
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
        let is_one = |pattern: &String| match pattern.strip_prefix('/').unwrap_or(pattern) {
            whole if pattern.contains('/') => fits(whole.as_bytes(), path),
            simple => fits(simple.as_bytes(), name),
        };
        self.patterns.is_empty() || self.patterns.iter().any(is_one)
    }

    /// The line to run, with each placeholder replaced; `None` stands for one that git does not know, which stays as it is.
    pub fn line(&self, value: &dyn Fn(char) -> Option<Word>) -> Word {
        let mut line = Vec::new();
        let mut rest = self.command.chars();
        while let Some(c) = rest.next() {
            let next = if c == '%' { rest.clone().next() } else { None };
            match next {
                Some('%') => line.push(b'%'),
                Some(name) if value(name).is_some() => line.extend(quoted(&value(name).unwrap_or_default())),
                _ => {
                    line.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
                    continue;
                }
            }
            rest.next();
        }
        line.into()
    }
}

/// In single quotes, for the shell.
fn quoted(word: &Word) -> Vec<u8> {
    let mut text = vec![b'\''];
    for byte in word.as_bytes() {
        match byte {
            b'\'' => text.extend(b"'\\''"),
            byte => text.push(*byte),
        }
    }
    text.push(b'\'');
    text
}

/// `?` is one character and `*` any number within a name; `**` also goes over directories.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', b'*', b'/', rest @ ..] => {
            let mut below = (0..text.len()).filter(|at| text[*at] == b'/').map(|at| &text[at + 1..]);
            fits(rest, text) || below.any(|text| fits(rest, text))
        }
        [b'*', b'*', rest @ ..] => (0..=text.len()).any(|at| fits(rest, &text[at..])),
        [b'*', rest @ ..] => {
            let name = text.iter().position(|byte| *byte == b'/').unwrap_or(text.len());
            (0..=name).any(|at| fits(rest, &text[at..]))
        }
        [b'?', rest @ ..] => matches!(text, [byte, more @ ..] if *byte != b'/' && fits(rest, more)),
        [first, rest @ ..] => matches!(text, [byte, more @ ..] if byte == first && fits(rest, more)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn driver(command: &str, patterns: &[&str]) -> Driver {
        let patterns = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        Driver { command: command.to_owned(), patterns, timeout: 1 }
    }

    #[test]
    fn which_files_it_is_for() {
        let is_for = |patterns: &[&str], path: &str| driver("x", patterns).is_for(&path.into());
        assert!(is_for(&[], "any/thing"));
        for (pattern, path) in [
            ("*.rs", "a.rs"),
            ("*.rs", "deep/er/a.rs"),
            ("src/*.rs", "src/a.rs"),
            ("/a.?s", "a.rs"),
            ("src/**", "src/deep/a"),
            ("**/x/*.rs", "x/a.rs"),
            ("**/x/*.rs", "deep/x/a.rs"),
        ] {
            assert!(is_for(&["nothing", pattern], path), "{pattern} {path}");
        }
        for (pattern, path) in
            [("*.rs", "a.rss"), ("src/*.rs", "src/deep/a.rs"), ("/a.rs", "deep/a.rs"), ("?", "ab"), ("**/x", "deepx")]
        {
            assert!(!is_for(&[pattern], path), "{pattern} {path}");
        }
    }

    #[test]
    fn placeholders_are_words_of_the_shell() {
        let value = |name: char| match name {
            'A' => Some(Word::from("it's")),
            'P' => Some(Word::from(vec![b'$', 0xff])),
            _ => None,
        };
        let line = driver("/usr/bin/mergiraf -p %P %A 100%% %Q %", &[]);
        assert_eq!(line.line(&value).as_bytes(), b"/usr/bin/mergiraf -p '$\xff' 'it'\\''s' 100% %Q %");
        assert_eq!(line.name(), "mergiraf");
    }
}
