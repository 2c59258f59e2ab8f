//! From a preset and what somebody asked for to a command line.

use super::tools::Told;
use super::{Agent, Assigned, PromptBy};
use crate::core::task::CommandLine;

/// What is asked for cannot be had of this agent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A model was named.
    #[error("{0} cannot be told which model to use")]
    Model(String),
    /// A limit of turns was named.
    #[error("{0} has no limit of turns that could be set")]
    Turns(String),
    /// A limit of cost was named.
    #[error("{0} has no limit of cost that could be set")]
    Budget(String),
    /// The prompt is too long for an argument.
    #[error("{0} takes its prompt as an argument only, and this one has more than {LONGEST_ARGUMENT} bytes")]
    Long(String),
}

/// The kernel takes 128 KiB.
const LONGEST_ARGUMENT: usize = 100_000;

impl Assigned {
    /// Can the agent do what is asked of it?
    ///
    /// # Errors
    /// The first thing that it cannot.
    pub fn check(&self) -> Result<(), Unfit> {
        let Agent { name, model, turns, budget, prompt, .. } = &self.agent;
        let is_long = self.prompt.as_ref().is_some_and(|prompt| prompt.len() > LONGEST_ARGUMENT);
        match () {
            () if self.model.is_some() && model.is_empty() => Err(Unfit::Model(name.clone())),
            () if self.turns.is_some() && turns.is_empty() => Err(Unfit::Turns(name.clone())),
            () if self.budget.is_some() && budget.is_empty() => Err(Unfit::Budget(name.clone())),
            () if *prompt == PromptBy::Argument && is_long => Err(Unfit::Long(name.clone())),
            () => Ok(()),
        }
    }

    /// What to run. `known` are the holes that are known: `{prompt}` and `{prompt_file}`; the others stay as they are.
    pub fn command(&self, known: &[(&str, &str)]) -> CommandLine {
        let agent = &self.agent;
        let turns = self.turns.map(|turns| turns.to_string());
        let said = [
            (&agent.model, "{model}", self.model.as_deref()),
            (&agent.turns, "{turns}", turns.as_deref()),
            (&agent.budget, "{budget}", self.budget.as_deref()),
        ];
        let told = self.told();
        let mut options = told.options;
        for (words, hole, value) in said {
            let Some(value) = value else { continue };
            options.extend(words.iter().map(|word| word.replace(hole, value)));
        }
        // One pass: what is put in is not looked through again.
        let fill = |word: &String| {
            known.iter().find(|(hole, _)| word == hole).map_or(word.clone(), |(_, value)| (*value).to_owned())
        };
        let mut words: Vec<String> = Vec::new();
        let mut has_place = false;
        for word in without(&agent.command, &told.left_out) {
            if word == "{options}" {
                has_place = true;
                words.append(&mut options);
            } else {
                words.push(fill(word));
            }
        }
        if !has_place {
            words.append(&mut options);
        }
        CommandLine::Exec(words.into_iter().map(Into::into).collect())
    }

    /// What it is told of its tools.
    pub fn told(&self) -> Told {
        self.tools.told(&self.agent.tools)
    }

    /// The variables that it is given because of what it is.
    pub fn variables(&self) -> impl Iterator<Item = (String, String)> {
        self.agent.env.clone().into_iter().chain(self.told().variable)
    }

    /// For people, in a few words: who, and what it is told.
    pub fn shown(&self, prompt: &str) -> String {
        let line = prompt.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        format!("{}: {}", self.agent.name, crate::core::word::shown(line))
    }
}

/// A command without these words, where they stand one after the other.
fn without<'a>(command: &'a [String], left_out: &[String]) -> impl Iterator<Item = &'a String> {
    let at =
        (!left_out.is_empty()).then(|| command.windows(left_out.len()).position(|words| words == left_out)).flatten();
    let gone = at.map_or(0..0, |at| at..at + left_out.len());
    command.iter().enumerate().filter(move |(place, _)| !gone.contains(place)).map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::super::{Assigned, preset};
    use super::*;

    fn assigned(name: &str) -> Assigned {
        Assigned::new(preset(name).unwrap().agent)
    }

    #[test]
    fn options_go_where_the_preset_says() {
        let claude = Assigned { model: Some("opus".to_owned()), turns: Some(3), ..assigned("claude") };
        let shown = claude.command(&[]).shown();
        assert!(shown.starts_with("claude -p ") && shown.ends_with("--model opus --max-turns 3"), "{shown}");
        let codex = Assigned { model: Some("x y".to_owned()), ..assigned("codex") };
        assert!(codex.command(&[]).shown().ends_with("--model 'x y' -"));
        let aider = assigned("aider").command(&[("{prompt_file}", "/p/{options}")]).shown();
        assert!(aider.contains("--message-file '/p/{options}'"), "{aider}");
    }

    #[test]
    fn what_an_agent_cannot_be_told_is_refused() {
        let refused = Assigned { turns: Some(1), ..assigned("codex") }.check().unwrap_err();
        assert_eq!(refused.to_string(), "codex has no limit of turns that could be set");
        assert!(Assigned { budget: Some("1".to_owned()), ..assigned("claude") }.check().is_ok());
        let long = Assigned { prompt: Some("x".repeat(200_000)), ..assigned("cline") };
        assert!(matches!(long.check(), Err(Unfit::Long(_))));
    }
}
