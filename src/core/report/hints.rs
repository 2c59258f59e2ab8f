//! What one could do next about a task: whole commands, each with its reason.

use super::build::{NO_ROOM, early, refusal};
use super::{Hint, Row, Standing};
use crate::core::change::{Hold, Refusal};
use crate::core::id::TaskId;
use crate::core::outcome::Outcome;
use crate::core::state::{Attempt, State, Task};
use crate::core::task::FoldPolicy;
use crate::core::verify::Verdict;

/// What one could do next about it.
pub(super) fn hints(state: &State, row: &Row, task: &Task) -> Vec<Hint> {
    let id = task.id;
    let hint = |to: &str, command: String| Hint { to: to.to_owned(), command };
    let changed = task.result_attempt().is_some_and(|attempt| task.change(attempt.number).is_some());
    match row.state {
        Standing::Running | Standing::Cancelling if row.why == NO_ROOM => vec![
            hint("make room, or free what is not wanted any more", "pleach gc".to_owned()),
            hint("give up; its files stay in its worktree", format!("pleach cancel --now {id}")),
        ],
        Standing::Running | Standing::Cancelling => vec![
            hint("follow its output", format!("pleach logs -f {id}")),
            hint("see what it changed so far", format!("pleach diff {id}")),
        ],
        Standing::Blocked => vec![hint("run again what it needs", retry_blockers(state, task))],
        Standing::Failed => {
            let mut hints = Vec::new();
            let could_not_start = matches!(row.outcome, Some(Outcome::CouldNotStart { .. }));
            if let Some(line) = task.spec.command.options_first().filter(|_| could_not_start) {
                hints.push(hint("give its options first", format!("pleach run {line}")));
            }
            // What did not start may have a log all the same: that of the setup hook.
            let last = task.attempts.last().and_then(|attempt| attempt.ended.as_ref());
            let has_log = last.is_some_and(|ended| ended.facts.log_bytes > 0);
            if has_log || !could_not_start {
                hints.push(hint("see what it said", format!("pleach logs {id}")));
            }
            if task.restorable().is_some_and(Attempt::is_recoverable) {
                hints.push(hint("take over once more what it left", format!("pleach restore {id}")));
            } else if changed {
                hints.push(hint("see what it left", format!("pleach diff {id}")));
                hints.push(hint("put that up for review", format!("pleach restore {id}")));
            }
            if !matches!(row.outcome, Some(Outcome::Cancelled)) {
                hints.push(hint("run it again", format!("pleach retry {id}")));
            }
            hints
        }
        Standing::Queued if task.on_hold => {
            vec![
                hint("let it land", format!("pleach queue release {id}")),
                hint("take it out of its line", format!("pleach queue remove {id}")),
            ]
        }
        Standing::Ready => ready_hints(task),
        // Not a bare `retry`: that starts where this one did, and would conflict again.
        Standing::Conflict => {
            let by_hand = row.branch.iter().map(|branch| hint("merge it by hand", format!("git merge {branch}")));
            let onto = hint("run it again on what its target is now", format!("pleach retry {id} --onto-target"));
            [hint("see its change", format!("pleach diff {id}")), onto].into_iter().chain(by_hand).collect()
        }
        Standing::Rejected => rejected_hints(task),
        Standing::Held => held_hints(task),
        Standing::Folded => vec![hint("take it back", format!("pleach undo {id}"))],
        Standing::Discarded => {
            let last = task.attempts.last().and_then(|attempt| attempt.ended.as_ref());
            let has_log = last.is_some_and(|ended| ended.facts.log_bytes > 0);
            let log = has_log.then(|| hint("see what it said", format!("pleach logs {id}")));
            log.into_iter().chain(changed.then(|| hint("get it back", format!("pleach restore {id}")))).collect()
        }
        Standing::Withdrawn => vec![hint("run it after all", format!("pleach retry {id}"))],
        _ => Vec::new(),
    }
}

fn retry_blockers(state: &State, task: &Task) -> String {
    let needs: Vec<_> = state.blockers(task).iter().map(TaskId::to_string).collect();
    format!("pleach retry {}", needs.join(" "))
}

fn ready_hints(task: &Task) -> Vec<Hint> {
    let id = task.id;
    let mut hints = vec![Hint { to: "see its change".to_owned(), command: format!("pleach diff {id}") }];
    if task.spec.fold != FoldPolicy::Never {
        hints.push(Hint { to: "fold it".to_owned(), command: format!("pleach merge {id}") });
    }
    if let Some(early) = early(task).filter(|early| early.verdict != Verdict::Green) {
        hints.push(Hint {
            to: "see why it does not pass".to_owned(),
            command: format!("pleach queue --log {}", early.run),
        });
    }
    hints.push(Hint { to: "throw it away".to_owned(), command: format!("pleach discard {id}") });
    hints
}

fn rejected_hints(task: &Task) -> Vec<Hint> {
    let id = task.id;
    let log = match refusal(task) {
        Some(Refusal::Rejected(rejection)) => rejection.runs.last().copied(),
        _ => None,
    };
    let log = log.map(|run| Hint { to: "see why".to_owned(), command: format!("pleach queue --log {run}") });
    let more = [
        Hint { to: "see its change".to_owned(), command: format!("pleach diff {id}") },
        Hint { to: "ask once more".to_owned(), command: format!("pleach merge {id}") },
        Hint { to: "run it again, told of that".to_owned(), command: format!("pleach retry {id} --onto-target") },
    ];
    log.into_iter().chain(more).collect()
}

fn held_hints(task: &Task) -> Vec<Hint> {
    let id = task.id;
    let again = |to: &str| vec![Hint { to: to.to_owned(), command: format!("pleach merge {id}") }];
    match refusal(task) {
        Some(Refusal::Held(Hold::Overlap { .. })) => again("fold it, once those edits are committed or moved away"),
        Some(Refusal::Held(Hold::Unfinished { operation, .. })) => {
            again(&format!("fold it, once the {operation} is finished or aborted"))
        }
        Some(Refusal::Held(Hold::RedTarget { run, .. } | Hold::Unverified { run: Some(run), .. })) => {
            let log = Hint { to: "see why".to_owned(), command: format!("pleach queue --log {run}") };
            std::iter::once(log).chain(again("fold it, once that is mended")).collect()
        }
        Some(Refusal::Held(Hold::Flagged { .. })) => vec![Hint {
            to: "fold it all the same, after a look at it".to_owned(),
            command: format!("pleach merge --accept-flags {id}"),
        }],
        Some(Refusal::Held(Hold::Needs { needs })) => {
            let needs: Vec<_> = needs.iter().map(TaskId::to_string).collect();
            let command = format!("pleach merge {} {id}", needs.join(" "));
            vec![Hint { to: "fold it with what it builds on".to_owned(), command }]
        }
        Some(Refusal::Held(Hold::Parted { branch, stand_in })) => vec![Hint {
            to: format!("fold it, once {stand_in} is merged into {branch}"),
            command: format!("pleach merge --publish ref {id}"),
        }],
        Some(Refusal::Held(Hold::NotFastForward)) => vec![Hint {
            to: "fold it with a merge commit".to_owned(),
            command: format!("pleach merge --strategy merge {id}"),
        }],
        Some(Refusal::Held(Hold::NoTarget { .. })) => vec![Hint {
            to: "fold it into another branch".to_owned(),
            command: format!("pleach merge --into BRANCH {id}"),
        }],
        _ => again("try again"),
    }
}
