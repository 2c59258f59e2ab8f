//! `wait`, `cancel`, `retry`, `pause`, `resume`.

use std::time::Duration;

use serde_json::json;

use super::plan::{self, meant};
use super::{Context, answer, print_json, run};
use crate::cli::args::{Answer, CancelArgs, PriorityArgs, ResumeArgs, RetryArgs, WaitArgs};
use crate::cli::bell::Bell;
use crate::cli::progress::Ticking;
use crate::cli::style::{self, Style};
use crate::cli::{board, exit};
use crate::core::id::{TaskHandle, TaskId};
use crate::core::outcome::Outcome;
use crate::core::report::{self, Board, Row, Seen, Show};
use crate::core::state::{State, Task};
use crate::ops::{Error, Session, control, draft, look, plan as plan_op, review, wait as wait_op};
use crate::process::clock;

pub(super) fn wait(context: &Context, args: &WaitArgs) -> Result<u8, Error> {
    let mut session = context.session()?;
    let patience = wait_op::Patience { any: args.any, timeout: args.timeout.map(Duration::from_secs) };
    let tasks = meant(&session, args.plan.as_deref(), &args.tasks, plan::every)?;
    let meant = wait_op::meant(&session, &tasks)?;
    let bell = Bell::new(&session);
    let ticking = Ticking::start(context, &meant, args.json);
    let waited = wait_op::wait(&mut session, &tasks, patience);
    drop(ticking);
    let ids = waited?;
    bell.ring(&format!("{} ended", style::count(ids.len() as u64, "task")));
    if let Some(plan) = args.plan.as_deref().filter(|_| !args.any) {
        // Of a plan it is known what counts as good, such as one of several tries.
        let report = plan_op::report(&mut session, Some(plan))?;
        let state = session.state()?;
        show(context, &state, &look::ahead(&session, &state, &ids), &ids, args.json)?;
        return Ok(plan::code(&report));
    }
    let state = session.state()?;
    let is_over = |task: &Task| !task.has_work_ahead() || state.is_stuck(task);
    let ended: Vec<TaskId> = ids.into_iter().filter(|id| state.task(*id).is_some_and(is_over)).collect();
    // Who waits for any of them goes on at once.
    let seen = if args.any { Seen::default() } else { look::ahead(&session, &state, &ended) };
    show(context, &state, &seen, &ended, args.json)?;
    if !args.json {
        warn(context, &state, &ended);
    }
    let outcomes: Vec<Outcome> = ended.iter().map(|id| outcome(&state, *id)).collect();
    Ok(exit::of_tasks(&outcomes))
}

/// How it ended. What is blocked, or was withdrawn, has not ended well either.
fn outcome(state: &State, id: TaskId) -> Outcome {
    let task = state.task(id);
    if task.is_some_and(Task::has_work_ahead) {
        return Outcome::CouldNotStart { reason: "what it needs did not end well".to_owned() };
    }
    let last = task.and_then(|task| task.attempts.last());
    last.and_then(|attempt| attempt.ended.as_ref()).map_or(Outcome::Cancelled, |ended| ended.outcome.clone())
}

/// The rows of these tasks, as the board has them.
fn show(context: &Context, state: &State, seen: &Seen, ids: &[TaskId], json: bool) -> Result<u8, Error> {
    let whole = report::board(state, seen, clock::now(), Show::All);
    let rows: Vec<Row> = whole.tasks.into_iter().filter(|row| ids.contains(&row.id)).collect();
    if json {
        return answer(|out| print_json(out, &rows));
    }
    let board = Board { tasks: rows, hidden: 0, ..whole };
    answer(|out| if board.tasks.is_empty() { Ok(()) } else { board::rows(out, &board, &context.style()) })
}

/// What somebody should know of how these were kept, on stderr.
fn warn(context: &Context, state: &State, ids: &[TaskId]) {
    let tasks: Vec<&Task> = ids.iter().filter_map(|id| state.task(*id)).collect();
    let rows = report::rows(state, &tasks, &Seen::default(), clock::now());
    rows.iter().for_each(|row| run::warn(&Style::of_stderr(context.color), row));
}

pub(super) fn cancel(context: &Context, args: &CancelArgs) -> Result<u8, Error> {
    let mut session = context.session()?;
    let tasks = meant(&session, args.plan.as_deref(), &args.tasks, plan::has_work)?;
    if tasks.is_empty() {
        let state = session.state()?;
        return show(context, &state, &Seen::default(), &[], args.json);
    }
    let ids = control::cancel(&mut session, &tasks, args.now)?;
    // Cancelled is true only when the tree is empty, so this waits for it.
    let handles: Vec<TaskHandle> = ids.iter().map(|id| TaskHandle::Id(*id)).collect();
    wait_op::wait(&mut session, &handles, wait_op::Patience { any: false, timeout: None })?;
    let state = session.state()?;
    show(context, &state, &Seen::default(), &ids, args.json)
}

pub(super) fn retry(context: &Context, args: &RetryArgs) -> Result<u8, Error> {
    let mut session = context.session()?;
    if let Some(file) = &args.with_review {
        let sheets = match file {
            Some(file) => super::review::read(file)?,
            None => draft::of(&session, &args.tasks.tasks)?,
        };
        let ids = review::send_back(&mut session, &args.tasks.tasks, &sheets)?;
        return said(&mut session, &ids, args.tasks.json, "runs again, and is told what the review says");
    }
    let (from, what) = match args.onto_target {
        false => (control::From::Base, "runs again"),
        true => (control::From::Target, "runs again, on what its target is now"),
    };
    let ids = control::retry(&mut session, &args.tasks.tasks, from)?;
    said(&mut session, &ids, args.tasks.json, what)
}

pub(super) fn priority(context: &Context, args: &PriorityArgs) -> Result<u8, Error> {
    let mut session = context.session()?;
    let ids = control::prioritize(&mut session, &args.tasks.tasks, args.level)?;
    said(&mut session, &ids, args.tasks.json, &format!("goes with priority {} now", args.level))
}

fn said(session: &mut Session, ids: &[TaskId], json: bool, what: &str) -> Result<u8, Error> {
    if json {
        let state = session.state()?;
        let seen = Seen::default();
        let rows =
            ids.iter().filter_map(|id| state.task(*id)).map(|task| report::row(&state, task, &seen, clock::now()));
        let rows: Vec<Row> = rows.collect();
        return answer(|out| print_json(out, &rows));
    }
    answer(|out| ids.iter().try_for_each(|id| writeln!(out, "task {id} {what}")))
}

pub(super) fn resume(context: &Context, args: ResumeArgs) -> Result<u8, Error> {
    let Some(agent) = &args.agent else { return pause(context, Answer { json: args.json }, false) };
    let limited = control::resume_agent(&mut context.session()?, agent)?;
    answer(|out| match args.json {
        true => print_json(out, &json!({ "agent": agent, "resumed": limited })),
        false => writeln!(out, "resumed: tasks of {agent} start again"),
    })
}

pub(super) fn pause(context: &Context, args: Answer, paused: bool) -> Result<u8, Error> {
    let mut session = context.session()?;
    control::pause(&mut session, paused)?;
    let state = session.state()?;
    let running = state.open().filter(|task| task.has_work_ahead() && !task.attempts.is_empty()).count() as u64;
    if args.json {
        return answer(|out| print_json(out, &json!({ "paused": state.is_paused() })));
    }
    answer(|out| match (paused, running) {
        (true, 0) => writeln!(out, "paused: no task starts until `pleach resume`"),
        (true, count) => {
            writeln!(out, "paused: no task starts until `pleach resume`; {} go on", style::count(count, "task"))
        }
        (false, _) => writeln!(out, "resumed"),
    })
}
