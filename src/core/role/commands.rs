//! Which programs a list of commands can mean.
//!
//! Kiro allows whole command lines by regular expressions; the kernel refuses programs and sees no arguments. So a list of
//! commands becomes the programs with which an allowed command can begin: what is on no allowed command's first place
//! cannot be started at all, and what is there can be started with any arguments. That is found on the automaton of the
//! expressions, not guessed from their text.

use std::collections::BTreeSet;

use regex_automata::Anchored;
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::util::primitives::StateID;
use regex_automata::util::{start, syntax};
use serde::Serialize;

/// Command lines that are allowed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Commands {
    /// Regular expressions, each of a whole command line.
    pub patterns: Vec<String>,
    /// Also what Kiro takes for commands that only read.
    pub read_only: bool,
}

/// What the patterns mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Programs {
    /// Any program at all.
    Any,
    /// These, of those that were asked about.
    These(BTreeSet<String>),
}

/// What Kiro takes for commands that only read, as far as they are programs.
pub const READERS: &[&str] = &["ls", "cat", "echo", "pwd", "which", "head", "tail", "find", "grep", "dir", "type"];

/// Bytes of an automaton: patterns that need more are refused.
const LARGEST: usize = 8 << 20;
/// No program is called so: patterns that allow it allow everything.
const NOBODY: &str = "qzx-no-such-program-7f3";

impl Commands {
    /// Can these patterns be understood?
    ///
    /// # Errors
    /// Why not, in words.
    pub fn check(&self) -> Result<(), String> {
        self.patterns.iter().try_for_each(|pattern| Machine::new(pattern).map(drop))
    }

    /// Which of these programs an allowed command can begin with.
    ///
    /// # Errors
    /// Where a pattern cannot be understood.
    pub fn programs<'a>(&self, known: impl Iterator<Item = &'a str>) -> Result<Programs, String> {
        let machines = self.patterns.iter().map(|pattern| Machine::new(pattern)).collect::<Result<Vec<_>, _>>()?;
        let is_allowed = |name: &str| machines.iter().any(|machine| machine.may_begin_with(name));
        if is_allowed(NOBODY) {
            return Ok(Programs::Any);
        }
        let is_reader = |name: &str| self.read_only && READERS.contains(&name);
        Ok(Programs::These(known.filter(|name| is_reader(name) || is_allowed(name)).map(str::to_owned).collect()))
    }

    /// The patterns that can mean a program by a path that begins in the worktree: which one that is, no rule of the
    /// kernel can say, so none is allowed.
    pub fn of_the_worktree(&self) -> Vec<&str> {
        let is_one = |pattern: &&String| {
            Machine::new(pattern).is_ok_and(|machine| machine.lives_after("./") || machine.lives_after("../"))
        };
        self.patterns.iter().filter(is_one).map(String::as_str).collect()
    }
}

struct Machine(dense::DFA<Vec<u32>>);

impl Machine {
    /// As Kiro says: anchored at both ends, and without look-around.
    fn new(pattern: &str) -> Result<Self, String> {
        let config = dense::Config::new()
            .start_kind(StartKind::Anchored)
            .unicode_word_boundary(true)
            .dfa_size_limit(Some(LARGEST))
            .determinize_size_limit(Some(LARGEST));
        let syntax = syntax::Config::new().utf8(false);
        let built = dense::Builder::new().configure(config).syntax(syntax).build(&format!(r"\A(?:{pattern})\z"));
        built.map(Self).map_err(|error| {
            let mut deepest: &dyn std::error::Error = &error;
            while let Some(source) = deepest.source() {
                deepest = source;
            }
            let whole = deepest.to_string();
            let last = whole.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("{pattern:?} is no regular expression that can be used: {last}")
        })
    }

    /// Is there an allowed command whose first word is this?
    fn may_begin_with(&self, name: &str) -> bool {
        let Some(state) = self.after(name) else { return false };
        let is_whole = self.0.is_match_state(self.0.next_eoi_state(state));
        is_whole || self.is_alive(self.0.next_state(state, b' '))
    }

    fn lives_after(&self, text: &str) -> bool {
        self.after(text).is_some_and(|state| self.is_alive(state))
    }

    fn after(&self, text: &str) -> Option<StateID> {
        let start = self.0.start_state(&start::Config::new().anchored(Anchored::Yes)).ok()?;
        text.bytes()
            .try_fold(start, |state, byte| Some(self.0.next_state(state, byte)).filter(|next| self.is_alive(*next)))
    }

    /// Can anything more make it a match?
    fn is_alive(&self, state: StateID) -> bool {
        !self.0.is_dead_state(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs(patterns: &[&str], read_only: bool) -> String {
        let commands = Commands { patterns: patterns.iter().map(|one| (*one).to_owned()).collect(), read_only };
        let known = ["git", "gitk", "git-lfs", "cargo", "npm", "pnpm", "curl", "ls", "cat", "/usr/bin/git"];
        match commands.programs(known.into_iter()) {
            Ok(Programs::Any) => "any".to_owned(),
            Ok(Programs::These(all)) => all.into_iter().collect::<Vec<_>>().join(" "),
            Err(why) => why,
        }
    }

    #[test]
    fn a_list_of_commands_means_the_programs_that_they_begin_with() {
        assert_eq!(programs(&["git status", "git fetch"], false), "git");
        assert_eq!(programs(&["cargo .+", "p?npm (test|run build)"], false), "cargo npm pnpm");
        assert_eq!(programs(&["git"], false), "git", "not gitk, whose name only begins so");
        assert_eq!(programs(&["git.*"], false), "git git-lfs gitk", "all of them begin an allowed command");
        assert_eq!(programs(&["(?:/usr/bin/)?git log.*"], false), "/usr/bin/git git");
        assert_eq!(
            programs(&["git status && curl .*"], false),
            "git",
            "what a shell would run later is not on its first place"
        );
        assert_eq!(programs(&[], true), "cat ls");
        assert_eq!(programs(&[], false), "");
        assert_eq!(
            (programs(&[".*"], false), programs(&["git .*", "\\S+ --version"], false)),
            ("any".into(), "any".into())
        );
    }

    #[test]
    fn what_kiro_refuses_is_refused() {
        assert!(
            programs(&["git (?!push).*"], false).contains("look-around"),
            "{}",
            programs(&["git (?!push).*"], false)
        );
        assert!(programs(&["git ("], false).contains("is no regular expression"));
        assert!(
            programs(&[r"(\w{200}){200}"], false).contains("is no regular expression"),
            "and what would be too large"
        );
    }

    #[test]
    fn what_lies_in_the_worktree_is_told() {
        let commands = |pattern: &str| Commands { patterns: vec![pattern.to_owned()], read_only: false };
        assert_eq!(commands(r"\./gradlew .*").of_the_worktree(), [r"\./gradlew .*"]);
        assert!(commands("git .*").of_the_worktree().is_empty());
    }
}
