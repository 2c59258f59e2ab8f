//! What an agent said of itself, all of it together, and what that makes of how it ended.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Assigned, Changes, Kind};
use crate::core::outcome::Outcome;

/// One thing that an agent said.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// It uses a tool.
    Tool {
        /// Which.
        name: String,
        /// What for: a command line, a path.
        about: String,
    },
    /// It says something. The last of it is what it has to say in the end.
    Message(String),
    /// It goes on with what it says.
    Piece(String),
    /// It begins, maybe once more: what it said of an end is none.
    Begins,
    /// When a limit that it stands near, or has reached, ends.
    Resets(Timestamp),
    /// A tool that it wanted was refused.
    Denied(String),
    /// Something went wrong, and it may go on all the same.
    Trouble(String),
    /// Its provider gives it no more for now.
    Limit(Limit),
    /// It did not come to an end as it should.
    Failed(String),
    /// By its own account it is done.
    Done,
    /// What it took so far.
    Usage {
        /// Turns.
        turns: Option<u64>,
        /// Dollars, in millionths.
        cost: Option<u64>,
        /// Tokens, in and out.
        tokens: Option<u64>,
    },
}

impl Said {
    /// The same with other texts.
    #[must_use]
    pub fn map(self, clean: &dyn Fn(&str) -> String) -> Self {
        match self {
            Self::Tool { name, about } => Self::Tool { name: clean(&name), about: clean(&about) },
            Self::Message(text) => Self::Message(clean(&text)),
            Self::Piece(text) => Self::Piece(clean(&text)),
            Self::Denied(tool) => Self::Denied(clean(&tool)),
            Self::Trouble(why) => Self::Trouble(clean(&why)),
            Self::Failed(why) => Self::Failed(clean(&why)),
            Self::Limit(limit) => Self::Limit(Limit { why: clean(&limit.why), ..limit }),
            Self::Begins | Self::Resets(_) | Self::Done | Self::Usage { .. } => self,
        }
    }
}

/// A limit of a provider that was reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// In its own words.
    pub why: String,
    /// Until when, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// What an agent said of itself, all of it together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Account {
    /// Uses of tools.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tools: u64,
    /// The last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// Turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<u64>,
    /// What it cost, in millionths of a dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<u64>,
    /// Tokens, in and out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Tools that were refused, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<String>,
    /// What it said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The last thing that went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// How it says that it ended; none where it said nothing of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Ending>,
    /// When a limit ends that it told of.
    #[serde(skip)]
    resets: Option<Timestamp>,
    /// What it says may go on.
    #[serde(skip)]
    is_open: bool,
}

/// How an agent says that it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Well.
    Done,
    /// Not well, and why.
    Failed(String),
    /// Its provider gives it no more for now.
    Limit(Limit),
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Bytes of any text that are kept.
const LONGEST: usize = 4096;
/// Refused tools that are kept.
const MOST_DENIED: usize = 20;

impl Account {
    /// It said this, too.
    pub fn take(&mut self, said: Said) {
        let was_open = std::mem::replace(&mut self.is_open, matches!(said, Said::Piece(_)));
        match said {
            Said::Begins => self.end = None,
            Said::Resets(at) => self.resets = Some(at),
            Said::Piece(text) => {
                let before = self.message.take().filter(|_| was_open).unwrap_or_default();
                self.message = Some(cut(before + &text));
            }
            Said::Tool { name, about } => {
                self.tools += 1;
                self.tool = Some(cut(if about.is_empty() { name } else { format!("{name}: {about}") }));
            }
            Said::Message(text) if text.trim().is_empty() => {}
            Said::Message(text) => self.message = Some(cut(text)),
            Said::Denied(tool) => {
                let tool = cut(tool);
                if self.denied.len() < MOST_DENIED && !self.denied.contains(&tool) {
                    self.denied.push(tool);
                }
            }
            Said::Trouble(why) => self.trouble = Some(cut(why)),
            Said::Limit(Limit { why, until }) => {
                self.end = Some(Ending::Limit(Limit { why: cut(why), until: until.or(self.resets) }));
            }
            // That nothing more is to be had is the reason of the failure that follows it.
            Said::Failed(_) if matches!(self.end, Some(Ending::Limit(_))) => {}
            Said::Failed(why) => self.end = Some(Ending::Failed(cut(why))),
            // Some agents say both, and the worse counts.
            Said::Done if self.end.is_some() => {}
            Said::Done => self.end = Some(Ending::Done),
            Said::Usage { turns, cost, tokens } => {
                self.turns = turns.or(self.turns);
                self.cost = cost.or(self.cost);
                self.tokens = tokens.or(self.tokens);
            }
        }
    }

    /// The result rule: how the program ended, and what it said, and whether anything changed.
    ///
    /// An end that was not its own doing (a timeout, a cancel, a limit of the sandbox) stays what it is.
    pub fn judge(&self, outcome: Outcome, assigned: &Assigned, changed: bool) -> Outcome {
        let agent = &assigned.agent;
        let outcome = outcome.accepting(&agent.accept);
        if !matches!(outcome, Outcome::Exited { .. } | Outcome::Signalled { .. }) {
            return outcome;
        }
        let speaks = agent.kind != Kind::Command;
        match &self.end {
            Some(Ending::Limit(limit)) => {
                return Outcome::LimitReached { agent: agent.name.clone(), why: limit.why.clone(), until: limit.until };
            }
            Some(Ending::Failed(why)) => return Outcome::AgentFailed { why: why.clone() },
            None | Some(Ending::Done) => {}
        }
        if !outcome.is_success() {
            return match &self.trouble {
                Some(why) if speaks => Outcome::AgentFailed { why: why.clone() },
                _ => outcome,
            };
        }
        if changed {
            return outcome;
        }
        if !self.denied.is_empty() {
            return Outcome::Denied { what: self.denied.join(", ") };
        }
        if speaks && self.end.is_none() {
            let why = self.trouble.clone().unwrap_or_else(|| "it ended without telling how".to_owned());
            return Outcome::AgentFailed { why };
        }
        match assigned.changes {
            Changes::Optional => outcome,
            Changes::Required => Outcome::NoChanges { said: self.message.clone().unwrap_or_default() },
        }
    }
}

/// Its beginning, where it is long.
fn cut(mut text: String) -> String {
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::preset;
    use super::*;

    fn judged(name: &str, code: i32, changed: bool, said: &[Said]) -> String {
        let mut account = Account::default();
        said.iter().cloned().for_each(|said| account.take(said));
        account.judge(Outcome::exited(code), &Assigned::new(preset(name).unwrap().agent), changed).to_string()
    }

    #[test]
    fn an_exit_code_alone_is_not_believed() {
        let failed = || Said::Failed("401 Unauthorized".to_owned());
        let denied = || Said::Denied("Bash".to_owned());
        let told = || Said::Message("all is well".to_owned());
        assert_eq!(judged("claude", 0, true, &[told(), Said::Done]), "exit 0");
        assert_eq!(judged("claude", 0, false, &[told(), Said::Done]), "no changes: all is well");
        assert_eq!(judged("claude", 0, false, &[denied(), Said::Done]), "denied: Bash");
        assert_eq!(judged("claude", 0, true, &[denied(), Said::Done]), "exit 0");
        assert_eq!(judged("pi", 0, false, &[failed()]), "agent failed: 401 Unauthorized");
        assert_eq!(judged("pi", 0, true, &[failed(), Said::Done]), "agent failed: 401 Unauthorized");
        assert_eq!(judged("gemini", 145, false, &[Said::Trouble("401".to_owned())]), "agent failed: 401");
        assert_eq!(judged("claude", 0, false, &[]), "agent failed: it ended without telling how");
        assert_eq!(judged("claude", 3, false, &[]), "exit 3");
        // Of one that says nothing, the exit code and what changed are all there is.
        assert_eq!(
            (judged("aider", 0, true, &[]), judged("aider", 0, false, &[])),
            ("exit 0".to_owned(), "no changes".to_owned())
        );
    }

    #[test]
    fn a_limit_is_the_reason_of_the_failure_that_follows() {
        let limit = Said::Limit(Limit { why: "usage limit".to_owned(), until: None });
        assert_eq!(judged("claude", 1, true, &[limit, Said::Failed("x".to_owned())]), "limit reached: usage limit");
    }

    #[test]
    fn an_end_that_was_not_its_own_stays() {
        let mut account = Account::default();
        account.take(Said::Failed("interrupted".to_owned()));
        let assigned = Assigned::new(preset("claude").unwrap().agent);
        for outcome in [Outcome::TimedOut, Outcome::Cancelled, Outcome::OutOfMemory { limit: None, at_start: false }] {
            assert_eq!(account.judge(outcome.clone(), &assigned, false), outcome);
        }
    }

    #[test]
    fn who_may_change_nothing_may_say_so() {
        let mut account = Account::default();
        account.take(Said::Done);
        let assigned = Assigned { changes: Changes::Optional, ..Assigned::new(preset("claude").unwrap().agent) };
        assert!(account.judge(Outcome::exited(0), &assigned, false).is_success());
    }

    #[test]
    fn nothing_grows_without_end() {
        let mut account = Account::default();
        for number in 0..100 {
            account.take(Said::Denied(format!("tool {number}")));
            account.take(Said::Message("é".repeat(10_000)));
        }
        assert!(account.denied.len() == MOST_DENIED && account.message.unwrap().len() < 2 * LONGEST);
    }
}
