//! Patterns of paths, from the top of the repository: `*` and `?` within a name, `**` over directories, `[a-z]`, `[!a-z]`.
//!
//! A pattern may come from anybody: matching takes as many steps as pattern and path are long together, times each other.

use serde::{Deserialize, Serialize};

/// A pattern that makes sense.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Glob(String);

/// Longer is no pattern.
const LONGEST: usize = 1024;

enum Part {
    /// Any number of bytes within a name.
    Name,
    /// Any number of bytes.
    All,
    /// Any number of whole directories: the slash behind it is its own.
    Directories,
    One,
    Byte(u8),
    Class {
        bytes: Vec<(u8, u8)>,
        is_not: bool,
    },
}

impl Glob {
    /// A pattern.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" => return Err("an empty pattern matches nothing".to_owned()),
            _ if text.len() > LONGEST => return Err(format!("a pattern has at most {LONGEST} bytes")),
            _ if text.starts_with('/') => {
                return Err(format!("{text:?} begins with /: patterns go from the top already"));
            }
            _ if text.split('/').any(|name| matches!(name, "." | "..")) => {
                return Err(format!("{text:?} has . or .. in it: patterns go down from the top"));
            }
            _ if text.contains(['{', '}']) => return Err(format!("{text:?} has braces: write a pattern for each")),
            _ => {}
        }
        parts(text).map(|_| Self(text.to_owned())).ok_or_else(|| format!("{text:?} has a [ without its ]"))
    }

    /// The pattern.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Is this path one of those that are meant? A pattern that ends with a slash means all that is below.
    pub fn matches(&self, path: &[u8]) -> bool {
        let whole = if self.0.ends_with('/') { format!("{}**", self.0) } else { self.0.clone() };
        parts(&whole).is_some_and(|parts| fits(&parts, path))
    }

    /// The part before the first character that stands for others.
    pub fn fixed(&self) -> &str {
        self.0.split(['*', '?', '[']).next().unwrap_or_default()
    }

    /// May there be a path that both mean? Told by what both begin with: never no where there is one.
    pub fn may_meet(&self, other: &Self) -> bool {
        let (one, two) = (self.fixed(), other.fixed());
        match (one.len() == self.0.len(), two.len() == other.0.len()) {
            (true, _) if !one.ends_with('/') => other.matches(one.as_bytes()),
            (_, true) if !two.ends_with('/') => self.matches(two.as_bytes()),
            _ => one.starts_with(two) || two.starts_with(one),
        }
    }
}

fn parts(pattern: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = pattern.as_bytes();
    loop {
        rest = match rest {
            [] => return Some(parts),
            [b'*', b'*', b'/', rest @ ..]
                if matches!(parts.last(), None | Some(Part::Byte(b'/') | Part::Directories)) =>
            {
                parts.push(Part::Directories);
                rest
            }
            [b'*', b'*', rest @ ..] => {
                parts.push(Part::All);
                rest
            }
            [b'*', rest @ ..] => {
                parts.push(Part::Name);
                rest
            }
            [b'?', rest @ ..] => {
                parts.push(Part::One);
                rest
            }
            [b'[', inner @ ..] => {
                let (class, rest) = class(inner)?;
                parts.push(class);
                rest
            }
            [byte, rest @ ..] => {
                parts.push(Part::Byte(*byte));
                rest
            }
        };
    }
}

fn class(inner: &[u8]) -> Option<(Part, &[u8])> {
    let (is_not, mut rest) = match inner {
        [b'!' | b'^', rest @ ..] => (true, rest),
        _ => (false, inner),
    };
    let mut bytes = Vec::new();
    loop {
        rest = match rest {
            [] => return None,
            [b']', rest @ ..] if !bytes.is_empty() => return Some((Part::Class { bytes, is_not }, rest)),
            [from, b'-', to, rest @ ..] if *to != b']' => {
                bytes.push((*from, *to));
                rest
            }
            [byte, rest @ ..] => {
                bytes.push((*byte, *byte));
                rest
            }
        };
    }
}

/// `reached[i]`: what comes before place `i` of the path can be what the parts so far mean.
fn fits(parts: &[Part], path: &[u8]) -> bool {
    let mut reached = vec![false; path.len() + 1];
    reached[0] = true;
    for part in parts {
        let mut next = vec![false; path.len() + 1];
        let one = |i: usize| match part {
            Part::One => path[i] != b'/',
            Part::Byte(byte) => path[i] == *byte,
            Part::Class { bytes, is_not } => {
                path[i] != b'/' && bytes.iter().any(|(from, to)| (*from..=*to).contains(&path[i])) != *is_not
            }
            Part::Name | Part::All | Part::Directories => false,
        };
        let mut open = false;
        for i in 0..=path.len() {
            match part {
                Part::Name | Part::All => {
                    open = reached[i] || open && (matches!(part, Part::All) || path[i - 1] != b'/');
                    next[i] = open;
                }
                Part::Directories => {
                    next[i] = reached[i] || open && path[i - 1] == b'/';
                    open |= reached[i];
                }
                _ => next[i] = i > 0 && reached[i - 1] && one(i - 1),
            }
        }
        reached = next;
    }
    reached[path.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_paths_are_meant() {
        let matches = |pattern: &str, path: &str| Glob::parse(pattern).unwrap().matches(path.as_bytes());
        for (pattern, path) in [
            ("a", "a"),
            ("*.rs", "a.rs"),
            ("src/*/mod.rs", "src/a/mod.rs"),
            ("src/**/mod.rs", "src/mod.rs"),
            ("src/**/mod.rs", "src/a/b/mod.rs"),
            ("src/**", "src/a/b"),
            ("src/", "src/a/b"),
            ("**/x", "x"),
            ("**/x", "a/b/x"),
            ("[a-c]?[!x]", "bzz"),
            ("[]]", "]"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("a", "ab"),
            ("*.rs", "d/a.rs"),
            ("src/*", "src/a/b"),
            ("**/x", "ax"),
            ("?", "/"),
            ("[!x]", "x"),
            ("src/", "src"),
        ] {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
        let hostile = Glob::parse(&"*a".repeat(500)).unwrap();
        assert!(!hostile.matches(&b"a".repeat(4096)[..4000].iter().chain(b"b").copied().collect::<Vec<_>>()));
    }

    #[test]
    fn what_is_no_pattern_and_who_may_meet() {
        for bad in ["", "/a", "a/../b", "./a", "[a", "a{b,c}", &"x".repeat(2000)] {
            assert!(Glob::parse(bad).is_err(), "{bad:?}");
        }
        let meet = |one: &str, two: &str| Glob::parse(one).unwrap().may_meet(&Glob::parse(two).unwrap());
        assert!(meet("src/**", "src/a.rs") && meet("a", "a") && meet("**/b", "a/b") && meet("src/", "src/a/*"));
        assert!(
            !meet("src/**", "docs/a") && !meet("a", "b") && !meet("api/", "web/**") && !meet("src/*.rs", "src/a.md")
        );
    }
}
