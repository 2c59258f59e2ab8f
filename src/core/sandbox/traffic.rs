//! What a task asked of the network where hosts are listed: how much went through, and what was denied.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// Connections that were made for it.
    #[serde(default)]
    pub connections: u64,
    /// Bytes that went out over them.
    #[serde(default)]
    pub sent: u64,
    /// Bytes that came in.
    #[serde(default)]
    pub received: u64,
    /// What was denied, each thing once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<Denied>,
    /// How often something else was denied, when that list was full.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_denied: u64,
}

/// Something that was denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied {
    /// What was asked for, mostly `HOST:PORT`; in printable ASCII.
    pub to: String,
    /// Why.
    pub why: Why,
    /// How often.
    pub times: u64,
}

/// Why something was denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It is not on the list.
    NotListed,
    /// Its name leads to this machine, or to the network around it.
    NotPublic,
    /// It is spelled in a way that programs do not agree about.
    NotAHost,
    /// The way was asked for another host than the one that it was then used for.
    OtherName,
    /// Nobody can tell from its first words whom it greets.
    Garbled,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// So many different things are kept.
pub const MOST_DENIED: usize = 32;
/// Characters that are kept of what was asked for.
const LONGEST: usize = 260;

impl Traffic {
    /// Note it. Answers the note where it is a new one.
    pub fn deny(&mut self, to: &str, why: Why) -> Option<Denied> {
        let printable = to.chars().map(|c| if c.is_ascii_graphic() { c } else { '?' });
        let to: String = printable.take(LONGEST).collect();
        if let Some(known) = self.denied.iter_mut().find(|known| known.to == to && known.why == why) {
            known.times += 1;
            return None;
        }
        if self.denied.len() >= MOST_DENIED {
            self.more_denied += 1;
            return None;
        }
        let denied = Denied { to, why, times: 1 };
        self.denied.push(denied.clone());
        Some(denied)
    }

    /// What was denied, a line each.
    pub fn lines(&self) -> Vec<String> {
        let times = |number: u64| if number == 1 { String::new() } else { format!(", {number} times") };
        let all = self.denied.iter().map(|denied| format!("{denied}{}", times(denied.times)));
        let more = (self.more_denied > 0).then(|| format!("denied more, {} times", self.more_denied));
        all.chain(more).collect()
    }
}

impl Why {
    fn as_str(self) -> &'static str {
        match self {
            Self::NotListed => "not in [sandbox] network",
            Self::NotPublic => {
                "it leads to this machine or the network around it, and that address is not in [sandbox] network"
            }
            Self::NotAHost => "no plain name of a host, or address",
            Self::OtherName => "not in [sandbox] network, asked for over the way to another host",
            Self::Garbled => "its greeting (TLS) names nobody plainly",
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "denied {} ({})", self.to, self.why.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_once_and_not_without_end() {
        let mut traffic = Traffic::default();
        assert!(traffic.deny("a.org:443", Why::NotListed).is_some());
        assert!(traffic.deny("a.org:443", Why::NotListed).is_none());
        assert!(traffic.deny("a.org:443", Why::NotPublic).is_some());
        for number in 0..100 {
            traffic.deny(&format!("{number}.org:80"), Why::NotListed);
        }
        assert_eq!((traffic.denied.len(), traffic.more_denied), (MOST_DENIED, 70));
        let lines = traffic.lines();
        assert_eq!(lines[0], "denied a.org:443 (not in [sandbox] network), 2 times");
        assert_eq!(lines[MOST_DENIED], "denied more, 70 times");
    }

    #[test]
    fn what_a_task_wrote_cannot_reach_a_terminal() {
        let mut traffic = Traffic::default();
        let denied = traffic.deny(&format!("\u{1b}]0;x\u{7}é {}", "a".repeat(999)), Why::NotAHost).unwrap();
        assert!(denied.to.starts_with("?]0;x???a") && denied.to.len() == 260, "{denied:?}");
    }
}
