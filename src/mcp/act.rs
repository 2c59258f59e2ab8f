//! `delegate_merge`, `delegate_retry`, `delegate_send`, `delegate_cancel`, `delegate_discard`.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use serde_json::{Value, json};

use super::answer::{Answer, lines};
use super::args::{self, Handle};
use super::waiting::{self, Clock};
use super::{Call, look};
use crate::core::change::Refusal;
use crate::core::id::{BranchName, TaskHandle, TaskId};
use crate::ops::fold::{self, Fate, How, Told};
use crate::ops::verify::{self, Verifying};
use crate::ops::{self, Error, ErrorKind, Session, control, send};

/// Seconds that a merge is waited for: a check can take longer than a client likes.
const MERGE: u64 = 50;
/// Seconds that the end of a cancelled task is waited for.
const CANCEL: u64 = 25;
/// How often we look whether anybody still waits.
const STEP: Duration = Duration::from_millis(100);

fn named(list: &[Handle]) -> Result<Vec<TaskHandle>, Error> {
    if list.is_empty() {
        return Err(Error::new(ErrorKind::Usage, "task_ids is empty", "name at least one; see delegate_status"));
    }
    args::handles(list)
}

pub(super) fn merge(call: &Call, arguments: Value) -> Result<Answer, Error> {
    let args: args::Merge = args::read("delegate_merge", arguments)?;
    let mut session = call.changing()?;
    let handles = named(&args.task_ids)?;
    let mut verify = Verifying::default();
    if let Some(command) = &args.verify {
        verify.how = verify::How::Command(command.clone());
    }
    let how = How { strategy: args::word("strategy", args.strategy.as_ref())?, verify, ..How::default() };
    if args.dry_run == Some(true) {
        return Ok(answer(&fold::try_merge(&session, &handles, &how)?));
    }
    let ids: Vec<TaskId> = ops::find(&session.state()?, &handles)?.iter().map(|task| task.id).collect();
    let limit = waiting::limit(args.timeout_s, MERGE);
    // What is asked for goes on when this call ends; a thread holds the line until then.
    let (told, heard) = mpsc::channel();
    std::thread::spawn(move || drop(told.send(fold::merge(&mut session, &handles, &how))));
    let mut clock = Clock::start(limit);
    loop {
        match heard.recv_timeout(STEP.min(limit)) {
            Ok(told) => return Ok(answer(&told?)),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::new(
                    ErrorKind::Error,
                    "the merge broke",
                    "see where it stands with delegate_status",
                ));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        if clock.is_news() {
            clock.tell(call, "waiting for the results to land".to_owned());
        }
        if clock.is_over() || (call.is_given_up)() {
            return under_way(call, &ids);
        }
    }
}

/// It is not in yet, and will be without anybody's doing.
fn under_way(call: &Call, ids: &[TaskId]) -> Result<Answer, Error> {
    let rows = look::rows(&mut call.session()?, ids)?;
    let text = format!(
        "not all have landed yet; that goes on by itself: call delegate_wait, then delegate_result\n{}",
        look::text(&rows)
    );
    Ok(Answer::new(text, json!({ "timed_out": true, "tasks": rows, "next": "delegate_wait, then delegate_result" })))
}

fn answer(told: &[Told]) -> Answer {
    let values: Vec<Value> = told.iter().map(value).collect();
    let text: Vec<String> = told.iter().map(text).collect();
    Answer::new(text.join("\n"), json!({ "timed_out": false, "merges": values }))
}

fn value(told: &Told) -> Value {
    let id = told.task.to_string();
    match &told.fate {
        Fate::Folded(folded) => {
            json!({ "task_id": id, "result": "merged", "target": folded.target, "commit": folded.landing.to })
        }
        Fate::Already(folded) => {
            json!({ "task_id": id, "result": "merged_already", "target": folded.target, "commit": folded.landing.to })
        }
        Fate::Nothing => json!({ "task_id": id, "result": "nothing_to_merge" }),
        Fate::Would(target) => json!({ "task_id": id, "result": "would_merge", "target": target }),
        Fate::OnHold(target) => json!({ "task_id": id, "result": "on_hold", "target": target }),
        Fate::Undone { target } => json!({ "task_id": id, "result": "undone", "target": target }),
        Fate::Elsewhere(what) => json!({ "task_id": id, "result": "elsewhere", "reason": what }),
        Fate::Refused(target, refusal) => {
            let mut value = look::refused(refusal);
            value["result"] = value["kind"].take();
            value["task_id"] = id.into();
            value["target"] = json!(target);
            value["next"] = next(refusal).into();
            value.as_object_mut().map(|map| map.remove("kind"));
            value
        }
    }
}

fn text(told: &Told) -> String {
    let task = told.task;
    match &told.fate {
        Fate::Folded(folded) => format!("{task}: merged into {} as {:.12}", folded.target, folded.landing.to),
        Fate::Already(folded) => format!("{task}: is in {} already, as {:.12}", folded.target, folded.landing.to),
        Fate::Nothing => format!("{task}: nothing to merge"),
        Fate::Would(target) => format!("{task}: would go into {target}"),
        Fate::OnHold(target) => format!("{task}: a person keeps it in the line of {target}, with `pleach queue hold`"),
        Fate::Undone { target } => format!("{task}: taken back from {target}"),
        Fate::Elsewhere(what) => format!("{task}: {what}"),
        Fate::Refused(target, refusal) => {
            let why = lines(&refusal.to_string());
            format!("{task}: not merged into {target}, and nothing was touched: {why}\nnext: {}", next(refusal))
        }
    }
}

/// What somebody who speaks to us can do about it. What needs a person's eyes is left to a person.
fn next(refusal: &Refusal) -> &'static str {
    use crate::core::change::Hold;
    match refusal {
        Refusal::Conflict(_) => {
            "delegate_retry with onto_target runs it again on what the branch is now; or delegate_discard"
        }
        Refusal::Rejected(_) => "mend it with delegate_retry and onto_target, or delegate_discard",
        Refusal::Held(Hold::Needs { .. }) => "delegate_merge what it builds on first, or together with it",
        Refusal::Held(Hold::Flagged { .. }) => {
            "a person has to look at it: `pleach diff`, then `pleach merge --accept-flags`"
        }
        Refusal::Held(_) => "mend what is in the way, then delegate_merge again",
    }
}

pub(super) fn retry(call: &Call, arguments: Value) -> Result<Answer, Error> {
    let args: args::Retry = args::read("delegate_retry", arguments)?;
    let mut session = call.changing()?;
    let from = if args.onto_target == Some(true) { control::From::Target } else { control::From::Base };
    let ids = control::retry(&mut session, &named(&args.task_ids)?, from)?;
    told(&mut session, &ids)
}

pub(super) fn send(call: &Call, arguments: Value) -> Result<Answer, Error> {
    let args: args::Send = args::read("delegate_send", arguments)?;
    let mut session = call.changing()?;
    let id = send::send(&session, &args.task_id.parse()?, &args.message)?;
    told(&mut session, &[id])
}

pub(super) fn cancel(call: &Call, arguments: Value) -> Result<Answer, Error> {
    let args: args::Cancel = args::read("delegate_cancel", arguments)?;
    let mut session = call.delegating()?;
    let ids = control::cancel(&mut session, &named(&args.task_ids)?, args.now == Some(true))?;
    // Cancelled is true only when the tree of processes is empty.
    waiting::for_these(call, &mut session, &ids, false, Duration::from_secs(CANCEL))?;
    told(&mut session, &ids)
}

pub(super) fn discard(call: &Call, arguments: Value) -> Result<Answer, Error> {
    let args: args::Discard = args::read("delegate_discard", arguments)?;
    let mut session = call.changing()?;
    let tasks = named(&args.task_ids)?;
    let ids = match (&args.keep_branch, &tasks[..]) {
        (None, _) => fold::discard(&mut session, &tasks)?,
        (Some(name), [task]) => fold::discard_to(&mut session, task, &BranchName(name.clone()))?,
        (Some(_), _) => return Err(args::usage("keep_branch", &"one branch keeps one result")),
    };
    told(&mut session, &ids)
}

fn told(session: &mut Session, ids: &[TaskId]) -> Result<Answer, Error> {
    let rows = look::rows(session, ids)?;
    Ok(look::answer(&rows))
}
