//! How far a task is kept to itself: what was asked for, and what was held.

pub mod network;
pub mod traffic;
pub mod warning;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::id::ParseId;
use super::word::Word;
pub use network::Network;
pub use warning::{Becomes, Warning};

/// How far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// A git directory and an environment of its own, and nothing more.
    #[default]
    None,
    /// It can write only where it should; much else is open ([`Tier::gaps`]).
    Reduced,
    /// Namespaces of its own: what it should not touch is read-only or not there.
    Full,
}

/// What becomes of what a task writes to the home of its user; the closest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Home {
    /// It cannot write there.
    Ro,
    /// It writes to a copy, which vanishes with it.
    #[default]
    Cow,
    /// It stays.
    Rw,
}

impl Home {
    /// Every spelling, in order.
    pub const ALL: &'static [(&'static str, Self)] = &[("ro", Self::Ro), ("cow", Self::Cow), ("rw", Self::Rw)];
}

impl FromStr for Home {
    type Err = ParseId;

    fn from_str(text: &str) -> Result<Self, ParseId> {
        let found = Self::ALL.iter().find(|(word, _)| *word == text);
        let expected = "what becomes of a home (ro, cow or rw)";
        found.map(|(_, home)| *home).ok_or_else(|| ParseId { text: text.to_owned(), expected })
    }
}

/// Below this many bytes of memory not even a shell runs.
pub const LEAST_MEMORY: u64 = 4 << 20;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Policy {
    /// The tier; none for the best that works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// With less than this it does not run at all.
    #[serde(default, skip_serializing_if = "is_default")]
    pub require: Tier,
    /// Whom it can talk to.
    #[serde(default, skip_serializing_if = "is_default")]
    pub network: Network,
    /// Not even its worktree can be written, only its temporary directory.
    #[serde(default, skip_serializing_if = "is_default")]
    pub read_only: bool,
    /// What else it can write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub write: Vec<Word>,
    /// What else it cannot see.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hide: Vec<Word>,
    /// Bytes of memory that all of it may take together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Processes, threads among them, that it may have at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// What becomes of what it writes at home.
    #[serde(default, skip_serializing_if = "is_default")]
    pub home: Home,
    /// What it can read although it is among the hidden.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<Word>,
    /// What it can run: these, and what is in them. None for anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<Vec<Word>>,
    /// The best tier that worked when it was asked for, where none was named: with less than this it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<Tier>,
    /// Somebody agreed that it runs without a sandbox where none works.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unconfined: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The closer one of two limits.
pub fn closer(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

impl Policy {
    /// The least tier that will do.
    pub fn least(&self) -> Tier {
        // Nothing keeps a task from writing where nothing confines it.
        let writes = if self.read_only { Tier::Reduced } else { Tier::None };
        self.require.max(self.network.least()).max(writes)
    }

    /// Would it do without a sandbox, were it not for a network that is `none`?
    pub fn is_held_for_network(&self) -> bool {
        let may_be_none = self.tier.is_none_or(|tier| tier == Tier::None);
        self.network == Network::None && self.require == Tier::None && may_be_none
    }

    /// Is there nothing but a lack of consent between it and no sandbox at all?
    pub fn needs_consent(&self) -> bool {
        self.tier.is_none() && self.least() == Tier::None && !self.unconfined
    }

    /// The tiers to try, the best first. Empty where what is asked for is less than what is required.
    pub fn tiers(&self) -> Vec<Tier> {
        let best = self.tier.unwrap_or(Tier::Full);
        // A tier that was named is meant: only what is less than required is refused, not replaced.
        let least = if self.tier.is_some() { self.least().max(best) } else { self.least() };
        let may_be_none = self.tier.is_some() || self.unconfined;
        let all = [Tier::Full, Tier::Reduced, Tier::None].into_iter().filter(|tier| *tier <= best && *tier >= least);
        all.filter(|tier| *tier != Tier::None || may_be_none).collect()
    }
}

impl Tier {
    /// Every spelling, in order.
    pub const ALL: &'static [(&'static str, Self)] =
        &[("none", Self::None), ("reduced", Self::Reduced), ("full", Self::Full)];

    /// Its one spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Reduced => "reduced",
            Self::Full => "full",
        }
    }

    /// What a task can do in it that it should not be able to do.
    pub fn gaps(self) -> &'static [&'static str] {
        match self {
            Self::Full => &["a socket that is made after the task started, outside of the hidden directories"],
            Self::Reduced => &[
                "it can read your secrets",
                "it can change modes and times of your files",
                "it can reach sockets of your other programs",
                "absolute paths into your checkout lead there, and are refused",
                "it can see other tasks",
            ],
            Self::None => &["it can do whatever you can"],
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Tier {
    type Err = ParseId;

    fn from_str(text: &str) -> Result<Self, ParseId> {
        let found = Self::ALL.iter().find(|(word, _)| *word == text);
        let expected = "a tier of the sandbox (none, reduced or full)";
        found.map(|(_, tier)| *tier).ok_or_else(|| ParseId { text: text.to_owned(), expected })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried() {
        use Tier::{Full, None as Off, Reduced};
        let tiers = |tier, require| Policy { tier, require, ..Policy::default() }.tiers();
        assert_eq!(tiers(None, Off), [Full, Reduced], "nobody agreed to less");
        assert_eq!(Policy { unconfined: true, ..Policy::default() }.tiers(), [Full, Reduced, Off]);
        assert_eq!(tiers(None, Reduced), [Full, Reduced]);
        assert_eq!(tiers(None, Full), [Full]);
        assert_eq!(tiers(Some(Reduced), Off), [Reduced]);
        assert_eq!(tiers(Some(Off), Off), [Off]);
        assert_eq!(tiers(Some(Off), Full), [], "nothing that is asked for is enough");
        let listed = |tier| Policy { tier, network: Network::List(Vec::new()), ..Policy::default() }.tiers();
        assert_eq!(listed(None), [Full], "a list of hosts is held in no other");
        assert_eq!(listed(Some(Reduced)), []);
        assert_eq!(listed(Some(Off)), []);
        let nobody = |tier, unconfined| Policy { tier, unconfined, network: Network::None, ..Policy::default() };
        assert_eq!(
            nobody(None, true).tiers(),
            [Full, Reduced],
            "whoever agreed to no sandbox has a network, or nothing runs"
        );
        assert_eq!(nobody(Some(Reduced), false).tiers(), [Reduced]);
        assert_eq!(nobody(Some(Off), false).tiers(), []);
        assert!(!nobody(None, false).needs_consent(), "to agree would not help");
        assert!(nobody(Some(Off), false).is_held_for_network() && !nobody(Some(Reduced), false).is_held_for_network());
    }
}
