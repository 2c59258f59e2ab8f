//! How a run ended. Never what became of its result: that is [`TaskState`](super::state::TaskState).

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::bytes::Bytes;

/// How an attempt ended. Failure is data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Outcome {
    /// It ended by itself, with this code; 0 is success.
    Exited {
        /// 0 to 255.
        code: i32,
        /// Was it said that this code is success too?
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        accepted: bool,
    },
    /// A signal that was not ours ended it.
    Signalled {
        /// The signal's number.
        signal: i32,
    },
    /// Its time was over.
    TimedOut,
    /// Somebody cancelled it.
    Cancelled,
    /// It took more memory than it may, or the kernel killed it for memory, as far as can be told.
    OutOfMemory {
        /// Bytes that it might take, where it was its own limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u64>,
        /// It got no further than its start: so little is not enough to run it at all.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        at_start: bool,
    },
    /// It had as many processes as it may, threads among them, and was ended for one more, or did not get on without one.
    TooManyProcesses {
        /// So many it might have.
        limit: u64,
    },
    /// It was stopped because the disk was nearly full.
    DiskFull {
        /// Bytes that must stay free.
        floor: u64,
    },
    /// Its shim died with it (a `kill -9`, a power cut): how it would have ended is not known.
    Lost {
        /// What is known of it.
        cause: String,
    },
    /// It never ran.
    CouldNotStart {
        /// Why.
        reason: String,
    },
    /// An agent was refused the tools that it wanted, and changed nothing, whatever its exit code was.
    Denied {
        /// Which.
        what: String,
    },
    /// An agent ended well, and changed nothing.
    NoChanges {
        /// What it said in the end.
        said: String,
    },
    /// An agent failed by its own account, whatever its exit code was.
    AgentFailed {
        /// In its own words.
        why: String,
    },
    /// The provider of an agent gives it no more for now.
    LimitReached {
        /// Whose limit it is.
        agent: String,
        /// In its own words.
        why: String,
        /// Until when, where that was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
}

impl Outcome {
    /// It ended by itself, with this code.
    pub fn exited(code: i32) -> Self {
        Self::Exited { code, accepted: false }
    }

    /// The same, where these codes are success too.
    pub fn accepting(self, codes: &[u8]) -> Self {
        match self {
            Self::Exited { code, .. } if code != 0 && codes.iter().any(|known| i32::from(*known) == code) => {
                Self::Exited { code, accepted: true }
            }
            other => other,
        }
    }

    /// Did it end well?
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Exited { code: 0, .. } | Self::Exited { accepted: true, .. })
    }

    /// May a task that allows retries be retried by itself after this?
    pub fn is_retriable(&self) -> bool {
        // What was refused once is refused again.
        !self.is_success() && !matches!(self, Self::Cancelled | Self::Denied { .. })
    }

    /// The exit code of a command that stands for this task: the task's own, else by the usual conventions of
    /// shells and of `timeout(1)`.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Exited { accepted: true, .. } => 0,
            Self::Exited { code, .. } => u8::try_from(*code).unwrap_or(1),
            Self::Signalled { signal } => 128u8.saturating_add(u8::try_from(*signal).unwrap_or(127)),
            Self::TimedOut => 124,
            Self::Cancelled => 130,
            Self::OutOfMemory { .. } | Self::TooManyProcesses { .. } => 137,
            Self::DiskFull { .. } => 143,
            Self::Lost { .. } | Self::CouldNotStart { .. } => 125,
            Self::Denied { .. } | Self::NoChanges { .. } | Self::AgentFailed { .. } | Self::LimitReached { .. } => 1,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { code, accepted: true } => write!(f, "exit {code}, which is accepted"),
            Self::Exited { code, .. } => write!(f, "exit {code}"),
            Self::Signalled { signal } => write!(f, "signal {signal}"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::OutOfMemory { limit: None, .. } => f.write_str("out of memory"),
            Self::OutOfMemory { limit: Some(limit), at_start: false } => {
                write!(f, "out of memory (limit {})", Bytes(*limit))
            }
            Self::OutOfMemory { limit: Some(limit), at_start: true } => {
                write!(f, "out of memory at its start (limit {}, which is too little to run it)", Bytes(*limit))
            }
            Self::TooManyProcesses { limit } => write!(f, "too many processes (limit {limit})"),
            Self::DiskFull { floor } => write!(f, "stopped, as less than {} of the disk was free", Bytes(*floor)),
            Self::Lost { cause } => write!(f, "lost: {cause}"),
            Self::CouldNotStart { reason } => write!(f, "could not start: {reason}"),
            Self::Denied { what } => write!(f, "denied: {}", first_line(what)),
            Self::NoChanges { said } if said.is_empty() => f.write_str("no changes"),
            Self::NoChanges { said } => write!(f, "no changes: {}", first_line(said)),
            Self::AgentFailed { why } => write!(f, "agent failed: {}", first_line(why)),
            Self::LimitReached { why, .. } => write!(f, "limit reached: {}", first_line(why)),
        }
    }
}

/// The first line of a text, and not all of it where it is long: the whole is in the record.
fn first_line(text: &str) -> String {
    const LONGEST: usize = 160;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let short: String = line.chars().take(LONGEST).collect();
    if short.len() < line.len() { short + "…" } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_down_before_there_were_limits_is_still_read() {
        let read = |text| serde_json::from_str::<Outcome>(text).unwrap();
        let unlimited = Outcome::OutOfMemory { limit: None, at_start: false };
        assert_eq!(read(r#"{"how":"out_of_memory"}"#), unlimited);
        let limited = Outcome::OutOfMemory { limit: Some(4 << 30), at_start: false };
        assert_eq!(read(&serde_json::to_string(&limited).unwrap()), limited);
        assert_eq!(limited.to_string(), "out of memory (limit 4 GiB)");
    }
}
