//! What somebody may do to the line of a target: move, hold, release, leave. Pure, like [`requests`](super::requests).

use super::protocol::{Place, Refused, RefusedKind};
use super::requests::{find, stands, wrong};
use crate::core::event::Event;
use crate::core::id::{BranchName, TaskId};
use crate::core::kinds::Kind;
use crate::core::state::{State, Task, TaskState};

/// The line with these in another place, in the order in which they are named.
///
/// # Errors
/// Where one stands in no line, or they stand in several.
pub(super) fn reorder(state: &State, tasks: &[TaskId], to: Place) -> Result<Option<Event>, Refused> {
    let other = match to {
        Place::Before(other) | Place::Behind(other) => Some(other),
        Place::First | Place::Last => None,
    };
    let mut target: Option<&BranchName> = None;
    for id in tasks.iter().chain(&other) {
        let of = queued(find(state, *id)?)?;
        if let Some(one) = target.replace(of).filter(|one| *one != of) {
            let message = format!("these stand in the lines of {one} and of {of}");
            return Err(wrong(message, "name those of one line"));
        }
    }
    let Some(target) = target else { return Ok(None) };
    if let Some(other) = other.filter(|other| tasks.contains(other)) {
        return Err(wrong(format!("task {other} cannot stand beside itself"), "name another place"));
    }
    let mut line: Vec<(u64, TaskId)> = state
        .of_kind(&[Kind::InLine])
        .filter(|task| matches!(task.state, TaskState::Queued { .. }))
        .filter_map(|task| task.place_in_line().filter(|(_, of)| *of == target).map(|(place, _)| (place, task.id)))
        .collect();
    line.sort_unstable();
    let before: Vec<TaskId> = line.into_iter().map(|(_, id)| id).collect();
    let mut after: Vec<TaskId> = before.iter().filter(|id| !tasks.contains(id)).copied().collect();
    let index = |other: TaskId| after.iter().position(|id| *id == other).unwrap_or(after.len());
    let at = match to {
        Place::First => 0,
        Place::Last => after.len(),
        Place::Before(other) => index(other),
        Place::Behind(other) => index(other) + 1,
    };
    let mut named: Vec<TaskId> = Vec::new();
    for id in tasks {
        if !named.contains(id) {
            named.push(*id);
        }
    }
    after.splice(at..at, named);
    Ok((after != before).then(|| Event::QueueMoved { target: target.clone(), tasks: after }))
}

/// Keep it from landing, or let it land again.
///
/// # Errors
/// Where it stands in no line.
pub(super) fn hold(task: &Task, on_hold: bool) -> Result<Option<Event>, Refused> {
    queued(task)?;
    let id = task.id;
    Ok(match on_hold {
        _ if task.on_hold == on_hold => None,
        true => Some(Event::QueueHeld { task: id }),
        false => Some(Event::QueueReleased { task: id }),
    })
}

/// Take it out of its line. One that is in none is so already.
///
/// # Errors
/// Where it is landing just now.
pub(super) fn leave(task: &Task) -> Result<Option<Event>, Refused> {
    match &task.state {
        TaskState::Ready { .. } => Ok(None),
        _ => queued(task).map(|_| Some(Event::QueueLeft { task: task.id })),
    }
}

/// The target in whose line it stands.
fn queued(task: &Task) -> Result<&BranchName, Refused> {
    match &task.state {
        TaskState::Queued { request, .. } => Ok(&request.target),
        _ => Err(Refused {
            kind: RefusedKind::WrongState,
            message: format!("task {} is {}, and waits in no line", task.id, stands(task)),
            hint: Some("see who does with `pleach queue`".to_owned()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::core::sketch;

    fn check(tasks: &str, moved: &[u64], to: Place, picture: Expect) {
        let state = sketch::state(tasks);
        let ids: Vec<TaskId> = moved.iter().map(|id| TaskId(*id)).collect();
        let told = match reorder(&state, &ids, to) {
            Ok(Some(Event::QueueMoved { tasks, .. })) => {
                tasks.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            }
            Ok(other) => format!("{other:?}"),
            Err(refused) => refused.message,
        };
        picture.assert_eq(&told);
    }

    #[test]
    fn a_line_gets_another_order() {
        let line = "1 queued; 2 queued; 3 queued; 4 queued";
        check(line, &[3], Place::First, expect!["3 1 2 4"]);
        check(line, &[3, 1], Place::First, expect!["3 1 2 4"]);
        check(line, &[1], Place::Last, expect!["2 3 4 1"]);
        check(line, &[4, 4], Place::Before(TaskId(2)), expect!["1 4 2 3"]);
        check(line, &[1], Place::Behind(TaskId(3)), expect!["2 3 1 4"]);
        check(line, &[1], Place::First, expect!["None"]);
    }

    #[test]
    fn what_cannot_be_moved_is_told() {
        check("1 queued; 2 ready", &[2], Place::First, expect!["task 2 is ready for review, and waits in no line"]);
        check("1 queued; 2 landing", &[2], Place::First, expect!["task 2 is being folded, and waits in no line"]);
        check(
            "1 queued; 2 queued into dev",
            &[1],
            Place::Before(TaskId(2)),
            expect!["these stand in the lines of main and of dev"],
        );
        check("1 queued", &[1], Place::Before(TaskId(1)), expect!["task 1 cannot stand beside itself"]);
        check("1 queued", &[7], Place::First, expect!["there is no task 7"]);
    }
}
