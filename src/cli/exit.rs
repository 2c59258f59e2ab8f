//! The one table of exit codes.

use std::io::{self, Write};

use crate::core::error_kind::ErrorKind;
use crate::core::outcome::Outcome;

/// Every exit code, and what it says. The man page and the README print this.
pub const TABLE: &[(&str, &str)] = &[
    ("0", "it worked; for `run` and `wait`: every task ended with 0"),
    ("1 ..", "for `run` and for `wait` with one task: the task's own code (128 + N where signal N ended it)"),
    ("1", "an error; for `wait` with several tasks and for a plan: one of them did not end well"),
    ("2", "the command line makes no sense"),
    ("3", "not a repository, or one that cannot be worked in"),
    ("4", "no such task"),
    ("5", "conflict: the change and its target touch the same lines"),
    ("6", "held: something is in the way of the fold, and nothing was touched"),
    ("7", "refused: not possible where the task stands"),
    ("8", "rejected: the target would not pass its check; nothing was touched"),
    ("9", "no sandbox that is enough works here (`pleach doctor`), or nobody agreed to do without (`pleach approve`)"),
    ("10", "a role is not approved, and nobody allowed it (`pleach approve --role NAME`, or `[roles] trusted`)"),
    ("11", "no such role, or not one that may be used here"),
    ("12", "asked from inside a task, and not for a task to ask for"),
    ("124", "timed out"),
    ("125", "pleach could not run it, or lost it"),
    ("130", "interrupted or cancelled"),
];

/// The exit code of an error.
pub fn of(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Error => 1,
        ErrorKind::Usage => 2,
        ErrorKind::Repository => 3,
        ErrorKind::UnknownTask => 4,
        ErrorKind::Conflict => 5,
        ErrorKind::Held => 6,
        ErrorKind::Refused => 7,
        ErrorKind::Rejected => 8,
        ErrorKind::Unconfined => 9,
        ErrorKind::UntrustedRole => 10,
        ErrorKind::UnknownRole => 11,
        ErrorKind::Inside => 12,
        ErrorKind::TimedOut => 124,
        ErrorKind::NotRun => 125,
        ErrorKind::Interrupted => 130,
    }
}

/// The exit code of a command that stood for these tasks: of one, its own; of several, whether all ended well.
pub fn of_tasks<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> u8 {
    let outcomes: Vec<_> = outcomes.into_iter().collect();
    match outcomes[..] {
        [one] => one.exit_code(),
        _ if outcomes.iter().all(|outcome| outcome.is_success()) => 0,
        _ => 1,
    }
}

/// The table as text, indented by two spaces.
///
/// # Errors
/// Where `out` cannot be written to.
pub fn print(out: &mut dyn Write) -> io::Result<()> {
    for (code, meaning) in TABLE {
        writeln!(out, "  {code:<5} {meaning}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_task_gives_its_own_code_and_several_only_whether_all_went_well() {
        let exited = |code| Outcome::exited(code);
        assert_eq!(of_tasks([&exited(42)]), 42);
        assert_eq!(of_tasks([&Outcome::TimedOut]), 124);
        assert_eq!(of_tasks([&Outcome::Signalled { signal: 9 }]), 137);
        assert_eq!(of_tasks([&exited(0), &exited(0)]), 0);
        assert_eq!(of_tasks([&exited(0), &exited(42)]), 1);
        assert_eq!(of_tasks([]), 0);
    }

    #[test]
    fn each_code_of_an_error_is_in_the_table() {
        use ErrorKind as K;
        let all = [K::Error, K::Usage, K::Repository, K::UnknownTask, K::Conflict, K::Held, K::Refused, K::Rejected];
        for kind in all.into_iter().chain([
            K::Unconfined,
            K::UntrustedRole,
            K::UnknownRole,
            K::Inside,
            K::TimedOut,
            K::NotRun,
            K::Interrupted,
        ]) {
            let code = of(kind).to_string();
            assert!(TABLE.iter().any(|(listed, _)| *listed == code), "{kind:?} is {code}");
        }
    }
}
