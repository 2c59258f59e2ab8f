//! Identities. Each is a type of its own, so that none can be taken for another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A task: a small number, given once in a repository and never again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(pub u64);

/// One run of a task. Numbers start at 1; `7.2` is the second attempt of task 7.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId {
    /// The task.
    pub task: TaskId,
    /// Which attempt of it, from 1.
    pub number: u32,
}

/// A commit, by its full object name (SHA-1 or SHA-256).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(ObjectName);

/// A tree, by its full object name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeId(ObjectName);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct ObjectName {
    bytes: [u8; 32],
    len: u8,
}

/// The text is not the name of such a thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct ParseId {
    /// What was given.
    pub text: String,
    /// What it should have been, with its article.
    pub expected: &'static str,
}

fn refuse(text: &str, expected: &'static str) -> ParseId {
    ParseId { text: text.to_owned(), expected }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl FromStr for TaskId {
    type Err = ParseId;

    fn from_str(text: &str) -> Result<Self, ParseId> {
        match text.parse::<u64>() {
            // `+7` and `007` are numbers for Rust, but not ids that we ever printed.
            Ok(number) if number > 0 && number.to_string() == text => Ok(Self(number)),
            _ => Err(refuse(text, "a task id (a number)")),
        }
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.task, self.number)
    }
}

impl fmt::Debug for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{self}")
    }
}

impl FromStr for AttemptId {
    type Err = ParseId;

    fn from_str(text: &str) -> Result<Self, ParseId> {
        let expected = "an attempt (task.number)";
        let (task, number) = text.split_once('.').ok_or_else(|| refuse(text, expected))?;
        // Task 0 is nobody's: its attempts are the runs of checks.
        let task = if task == "0" { TaskId(0) } else { task.parse().map_err(|_| refuse(text, expected))? };
        let TaskId(number) = number.parse().map_err(|_| refuse(text, expected))?;
        let number = u32::try_from(number).map_err(|_| refuse(text, expected))?;
        Ok(Self { task, number })
    }
}

impl FromStr for ObjectName {
    type Err = ParseId;

    fn from_str(text: &str) -> Result<Self, ParseId> {
        let expected = "a full object name";
        let digits = text.as_bytes();
        if digits.len() != 40 && digits.len() != 64 {
            return Err(refuse(text, expected));
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |d: u8| match d {
                b'0'..=b'9' => Ok(d - b'0'),
                b'a'..=b'f' => Ok(d - b'a' + 10),
                _ => Err(refuse(text, expected)),
            };
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self { bytes, len: (digits.len() / 2) as u8 })
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `{:.8}` gives the short form that people read.
        let digits = f.precision().unwrap_or(64).min(usize::from(self.len) * 2);
        for i in 0..digits {
            let byte = self.bytes[i / 2];
            let nibble = if i % 2 == 0 { byte >> 4 } else { byte & 15 };
            write!(f, "{nibble:x}")?;
        }
        Ok(())
    }
}

macro_rules! object_id {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:.8}", self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseId;

            fn from_str(text: &str) -> Result<Self, ParseId> {
                text.parse().map(Self)
            }
        }
    };
}
object_id!(CommitId);
object_id!(TreeId);

impl CommitId {
    /// The null object name of the same width: in a ref transaction it means "does not exist".
    pub fn null(self) -> String {
        "0".repeat(usize::from(self.0.len) * 2)
    }

    /// The raw bytes: 20 for SHA-1, 32 for SHA-256.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.bytes[..usize::from(self.0.len)]
    }
}

/// The short name of a local branch, such as `main` for `refs/heads/main`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BranchName(pub String);

impl BranchName {
    /// The full name of its ref.
    pub fn full(&self) -> String {
        format!("refs/heads/{}", self.0)
    }

    /// The branch of a full ref name, where it is one.
    pub fn from_full(name: &str) -> Option<Self> {
        name.strip_prefix("refs/heads/").map(|short| Self(short.to_owned()))
    }

    /// The branch that results land in where this one is not to be moved.
    pub fn stand_in(&self) -> Self {
        Self(format!("{STAND_INS}{self}"))
    }

    /// The branch that this one is the [`BranchName::stand_in`] of.
    pub fn stands_for(&self) -> Option<Self> {
        self.0.strip_prefix(STAND_INS).map(|short| Self(short.to_owned()))
    }
}

/// No result has a branch below this: theirs go on with the number of a task.
const STAND_INS: &str = "pleach/target/";

impl fmt::Display for BranchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name that a person gave to a task: letters, digits, `.`, `_`, `-`; not a number; fit for a branch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskName(String);

impl TaskName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TaskName {
    type Err = ParseId;

    fn from_str(text: &str) -> Result<Self, ParseId> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let good = (1..=64).contains(&text.len())
            && text.chars().all(allowed)
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && !text.ends_with('.')
            && !text.ends_with(".lock")
            && !text.contains("..")
            && !text.chars().all(|c| c.is_ascii_digit() || c == '.');
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(refuse(
                text,
                "a task name (letters, digits, `.`, `_` and `-`, at most 64, from a letter or digit on; not a number, no \
                    `..`, and no `.` or `.lock` at its end, for it names a branch)",
            ))
        }
    }
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What somebody typed to mean a task: its id or its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskHandle {
    /// `7`
    Id(TaskId),
    /// `lint`: the newest task of that name.
    Name(TaskName),
}

impl FromStr for TaskHandle {
    type Err = ParseId;

    fn from_str(text: &str) -> Result<Self, ParseId> {
        if let Ok(id) = text.strip_prefix('#').unwrap_or(text).parse() {
            return Ok(Self::Id(id));
        }
        text.parse().map(Self::Name).map_err(|_| refuse(text, "a task id or name"))
    }
}

impl fmt::Display for TaskHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// Serde by the textual form, for types whose text is their one true spelling.
macro_rules! serde_by_text {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("text")
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                d.deserialize_str(Text)
            }
        }
    )*};
}
serde_by_text!(AttemptId, CommitId, TreeId, TaskName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_one_spelling() {
        assert_eq!("7".parse(), Ok(TaskId(7)));
        for bad in ["0", "07", "+7", "-7", " 7", "7 ", "", "x", "99999999999999999999999"] {
            assert!(bad.parse::<TaskId>().is_err(), "{bad:?}");
        }
        assert_eq!("7.2".parse(), Ok(AttemptId { task: TaskId(7), number: 2 }));
        for bad in ["7", "7.", ".2", "7.0", "7.2.1", "7.02", "../1"] {
            assert!(bad.parse::<AttemptId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn object_names_of_both_widths_survive_a_round_trip() {
        for text in ["0123456789abcdef0123456789abcdef01234567".to_owned(), "ab".repeat(32)] {
            let id: CommitId = text.parse().unwrap();
            assert_eq!(id.to_string(), text);
            assert_eq!(format!("{id:.8}"), text[..8]);
            assert_eq!(serde_json::from_str::<CommitId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
        }
        for bad in ["", "abc", &"g".repeat(40), &"A".repeat(40)] {
            assert!(bad.parse::<CommitId>().is_err());
        }
    }

    #[test]
    fn names_are_fit_for_branches_and_never_numbers() {
        for good in ["lint", "a", "fix-2", "v1.2-rc", "A_b.c"] {
            assert!(good.parse::<TaskName>().is_ok(), "{good:?}");
        }
        for bad in ["", "7", "7.1", "-x", ".x", "x.", "a..b", "a/b", "a b", "x.lock", "a\nb", "é", &"x".repeat(65)] {
            assert!(bad.parse::<TaskName>().is_err(), "{bad:?}");
        }
    }
}
