//! The verbs that programs, prompts and fingers ask for again and again, understood without the table of all verbs: to put that
//! together takes half of the time of such a verb.
//!
//! Only what is understood counts. Everything else, help and errors first of all, comes from the whole table, so that nobody can see
//! which of the two has read a line.

use std::ffi::OsString;

use clap::{Args as _, Command, FromArgMatches as _, Parser as _};

use super::{
    Answer, CancelArgs, Cli, DiffArgs, DiscardArgs, EventsArgs, Everywhere, LogsArgs, LsArgs, MergeArgs, ProgressArgs,
    PromptArgs, QueueArgs, RunArgs, StatusArgs, SummaryArgs, TaskArgs, WaitArgs,
};

/// Understand a command line. `words` begins with the name of the program.
///
/// # Errors
/// Whatever is to be shown instead: help, the version, or what is wrong with it.
pub fn parse(words: &[OsString]) -> Result<Cli, clap::Error> {
    if matches!(words, [_, flag] if flag == "--version" || flag == "-V") {
        let all = Command::new("pleach").version(env!("CARGO_PKG_VERSION"));
        all.try_get_matches_from(words)?;
    }
    quick(words).map_or_else(|| Cli::try_parse_from(words), Ok)
}

/// The same for a few verbs, where there is nothing to be said against it.
pub(super) fn quick(words: &[OsString]) -> Option<Cli> {
    let name = words.get(1)?.to_str()?;
    let verb = Command::new(name.to_owned());
    let verb = match name {
        "add" => TaskArgs::augment_args(verb),
        "run" => RunArgs::augment_args(verb),
        "ls" => LsArgs::augment_args(verb),
        "status" => StatusArgs::augment_args(verb),
        "logs" => LogsArgs::augment_args(verb),
        "wait" => WaitArgs::augment_args(verb),
        "cancel" => CancelArgs::augment_args(verb),
        "events" => EventsArgs::augment_args(verb),
        "progress" => ProgressArgs::augment_args(verb),
        "summary" => SummaryArgs::augment_args(verb),
        "diff" => DiffArgs::augment_args(verb),
        "queue" => QueueArgs::augment_args(verb),
        "merge" => MergeArgs::augment_args(verb),
        "discard" => DiscardArgs::augment_args(verb),
        "agents" => Answer::augment_args(verb),
        "prompt" => PromptArgs::augment_args(verb),
        _ => return None,
    };
    let all = Everywhere::augment_args(Command::new("pleach")).subcommand(verb);
    Cli::from_arg_matches(&all.try_get_matches_from(words).ok()?).ok()
}
