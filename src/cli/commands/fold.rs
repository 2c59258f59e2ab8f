//! `merge`, `discard`, `restore`, `undo`.

use std::io::{self, Write};

use serde::Serialize;

use super::plan::{self, meant};
use super::{Context, answer, parts, print_json};
use crate::cli::args::{DiscardArgs, MergeArgs, RestoreArgs, UndoArgs};
use crate::cli::bell::Bell;
use crate::cli::exit;
use crate::cli::leave::{Before, GoesOn};
use crate::cli::progress::Ticking;
use crate::cli::style::{Paint, Style, count};
use crate::core::change::{Conflict, Hold, Refusal};
use crate::core::id::{BranchName, CommitId, TaskId};
use crate::core::word::shown;
use crate::ops::fold::{self, Fate, How, Told};
use crate::ops::{Error, ErrorKind, find};

/// What became of one task, as JSON.
#[derive(Serialize)]
pub(super) struct Answer<'a> {
    task: TaskId,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a BranchName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<CommitId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a Refusal>,
}

impl Answer<'_> {
    /// An answer of which there is no more to say.
    pub(super) fn plain(task: TaskId, result: &'static str) -> Self {
        Self { task, result, target: None, commit: None, refusal: None }
    }
}

pub(super) fn merge(context: &Context, args: &MergeArgs) -> Result<u8, Error> {
    let mut session = context.strict_session()?;
    let how = How {
        strategy: args.strategy(),
        into: args.into.clone(),
        publish: args.publish,
        message: args.message.clone(),
        accept_flags: args.accept_flags,
        verify: args.verify.clone().into(),
        looked_at: Vec::new(),
    };
    let tasks = meant(&session, args.plan.as_deref(), &args.tasks, plan::is_ready)?;
    let told = match args.dry_run {
        true => fold::try_merge(&session, &tasks, &how)?,
        false => {
            let ids: Vec<TaskId> = find(&session.state()?, &tasks)?.iter().map(|task| task.id).collect();
            let bell = Bell::new(&session);
            let ticking = Ticking::start(context, &ids, args.json);
            let names: Vec<String> = tasks.iter().map(ToString::to_string).collect();
            let _goes_on = GoesOn::fold(&names, Before::Nobody);
            let told = fold::merge(&mut session, &tasks, &how);
            drop(ticking);
            bell.ring(&format!("the merge of {} is through", count(ids.len() as u64, "task")));
            told?
        }
    };
    tell_all(context, &told, "merge", args.json)
}

pub(super) fn undo(context: &Context, args: &UndoArgs) -> Result<u8, Error> {
    let mut session = context.session()?;
    let told = fold::undo(&mut session, args.task.as_ref(), args.into.as_ref())?;
    tell_all(context, &[told], "undo", args.json)
}

/// `verb` is what was asked for, and is to be asked for again once the way is free.
fn tell_all(context: &Context, told: &[Told], verb: &str, json: bool) -> Result<u8, Error> {
    let style = context.style();
    if json {
        let answers: Vec<Answer<'_>> = told.iter().map(|told| as_json(told)).collect();
        answer(|out| print_json(out, &answers))?;
    } else {
        answer(|out| told.iter().try_for_each(|told| say(out, told, verb, &style)))?;
    }
    // The worst of them decides: a conflict before a hold before all else.
    Ok(told.iter().map(|told| code(&told.fate)).filter(|code| *code != 0).min().unwrap_or(0))
}

pub(super) fn code(fate: &Fate) -> u8 {
    match fate {
        Fate::Folded(_) | Fate::Already(_) | Fate::Nothing | Fate::Undone { .. } | Fate::Would(_) => 0,
        Fate::Refused(_, Refusal::Conflict(_)) => exit::of(ErrorKind::Conflict),
        Fate::Refused(_, Refusal::Rejected(_)) => exit::of(ErrorKind::Rejected),
        Fate::OnHold(_) | Fate::Refused(_, Refusal::Held(_)) => exit::of(ErrorKind::Held),
        Fate::Elsewhere(_) => exit::of(ErrorKind::Refused),
    }
}

pub(super) fn as_json(told: &Told) -> Answer<'_> {
    let plain = Answer::plain(told.task, "");
    match &told.fate {
        Fate::Folded(folded) | Fate::Already(folded) => {
            let result = if matches!(told.fate, Fate::Already(_)) { "already_folded" } else { "folded" };
            Answer { result, target: Some(&folded.target), commit: Some(folded.landing.to), ..plain }
        }
        Fate::Nothing => Answer { result: "nothing_to_fold", ..plain },
        Fate::Undone { target } => Answer { result: "undone", target: Some(target), ..plain },
        Fate::Would(target) => Answer { result: "would_fold", target: Some(target), ..plain },
        Fate::OnHold(target) => Answer { result: "on_hold", target: Some(target), ..plain },
        Fate::Elsewhere(_) => Answer { result: "elsewhere", ..plain },
        Fate::Refused(target, refusal) => {
            let result = match refusal {
                Refusal::Conflict(_) => "conflict",
                Refusal::Rejected(_) => "rejected",
                Refusal::Held(_) => "held",
            };
            Answer { result, target: Some(target), refusal: Some(refusal), ..plain }
        }
    }
}

/// The same in one line, and whether it is in.
pub(in crate::cli) fn in_a_line(told: &Told) -> (bool, String) {
    let mut text = Vec::new();
    // Nothing can go wrong with writing to memory.
    let _ = say(&mut text, told, "merge", &Style::plain());
    let text = String::from_utf8_lossy(&text);
    (code(&told.fate) == 0, text.lines().next().unwrap_or_default().to_owned())
}

pub(super) fn say(out: &mut dyn Write, told: &Told, verb: &str, style: &Style) -> io::Result<()> {
    let task = told.task;
    match &told.fate {
        Fate::Folded(folded) => {
            let words = format!("folded into {}", folded.target);
            let check = if folded.unverified { ", without its check" } else { "" };
            writeln!(out, "task {task}: {} ({:.8}){check}", style.paint(Paint::Good, words), folded.landing.to)?;
            match folded.target.stands_for() {
                Some(branch) => {
                    writeln!(out, "  on {branch}, bring it in with `git merge --ff-only {}`", folded.target)
                }
                None => Ok(()),
            }
        }
        Fate::Already(folded) => {
            writeln!(out, "task {task}: is in {} already ({:.8})", folded.target, folded.landing.to)
        }
        Fate::Nothing => writeln!(out, "task {task}: nothing to fold"),
        Fate::Undone { target } => {
            let words = format!("taken back from {target}");
            writeln!(out, "task {task}: {}; its result is up for review again", style.paint(Paint::Good, words))
        }
        Fate::Would(target) => writeln!(out, "task {task}: would go into {target}"),
        Fate::OnHold(target) => {
            let words = format!("on hold in the line of {target}");
            writeln!(
                out,
                "task {task}: {}; see `pleach queue`, then `pleach queue release`",
                style.paint(Paint::Look, words)
            )
        }
        Fate::Elsewhere(what) => writeln!(out, "task {task}: {what}"),
        Fate::Refused(target, Refusal::Conflict(conflict)) => {
            let words = format!("conflict with {target}");
            writeln!(out, "task {task}: {}; nothing was touched", style.paint(Paint::Bad, words))?;
            match verb {
                "undo" => say_undo_conflict(out, task, conflict, target),
                _ => say_conflict(out, told, conflict, target),
            }
        }
        Fate::Refused(target, Refusal::Rejected(rejection)) => {
            let words = format!("{target} does not pass its check with it");
            writeln!(out, "task {task}: {}; nothing was touched", style.paint(Paint::Bad, words))?;
            let runs: Vec<String> = rejection.runs.iter().map(u32::to_string).collect();
            writeln!(out, "  {} (run {})", shown(&rejection.verdict.to_string()), runs.join(", "))?;
            rejection.runs.last().map_or(Ok(()), |run| writeln!(out, "  see why with `pleach queue --log {run}`"))
        }
        Fate::Refused(target, Refusal::Held(hold)) => {
            writeln!(out, "task {task}: {}; nothing was touched", style.paint(Paint::Look, "held"))?;
            writeln!(out, "  {}", shown(&hold.to_string()))?;
            writeln!(out, "  {}", next_step(task, hold, target, verb))
        }
    }
}

fn say_conflict(out: &mut dyn Write, told: &Told, conflict: &Conflict, target: &BranchName) -> io::Result<()> {
    let task = told.task;
    for path in &conflict.paths {
        let side = |commit: Option<CommitId>| commit.map_or("-".to_owned(), |commit| format!("{commit:.8}"));
        writeln!(out, "  {}  {target} {}  task {}", path.path.shown(), side(path.ours), side(path.theirs))?;
    }
    writeln!(
        out,
        "  see it with `pleach diff {task}`; run it again on what {target} is now: `pleach retry {task} --onto-target`"
    )?;
    if let Some(driver) = &told.untried {
        let why = "what it merges lands only after a check: set [verify], or say `--verify COMMAND`";
        writeln!(out, "  {driver} was not tried, for {why}")?;
    }
    match &told.branch {
        Some(branch) => writeln!(out, "  or merge its branch by hand: `git merge {branch}`"),
        None => Ok(()),
    }
}

/// The other side of an undo is no work of anybody: there is nothing of it to tell, and nothing to run again.
fn say_undo_conflict(out: &mut dyn Write, task: TaskId, conflict: &Conflict, target: &BranchName) -> io::Result<()> {
    for path in &conflict.paths {
        let last = path.ours.map(|commit| format!("  {target} {commit:.8}")).unwrap_or_default();
        writeln!(out, "  {}{last}", path.path.shown())?;
    }
    writeln!(out, "  what came in later touches the same lines: take that back first, or take this one back by hand;")?;
    writeln!(out, "  see what it brought with `pleach diff {task}`")
}

fn next_step(task: TaskId, hold: &Hold, target: &BranchName, verb: &str) -> String {
    match hold {
        Hold::Overlap { .. } => format!("commit or put away those edits, then `pleach {verb} {task}` again"),
        Hold::Unfinished { operation, .. } => format!("finish the {operation}, then `pleach {verb} {task}` again"),
        Hold::SeveralCheckouts { .. } => "leave the branch in all of them but one".to_owned(),
        Hold::NoTarget { .. } => format!("make it with `git branch {target}`, or name another with `--into`"),
        Hold::Needs { needs } => {
            let needs: Vec<String> = needs.iter().map(ToString::to_string).collect();
            format!("fold them first: `pleach merge {} {task}`", needs.join(" "))
        }
        Hold::Flagged { .. } => {
            format!("look at it with `pleach diff {task}`, then `pleach merge --accept-flags {task}`")
        }
        Hold::Unverified { run, .. } => {
            let log = run.map(|run| format!("see what it wrote with `pleach queue --log {run}`; ")).unwrap_or_default();
            format!("{log}mend that, then `pleach {verb} {task}` again, or fold it as it is with `--no-verify`")
        }
        Hold::RedTarget { run, .. } => format!(
            "see why with `pleach queue --log {run}`; mend {target} or the check, then `pleach {verb} {task}` again, or fold it \
             as it is with `--no-verify`"
        ),
        Hold::Parted { branch, stand_in } => {
            format!("on {branch}, bring that in with `git merge {stand_in}`, then `pleach merge --publish ref {task}`")
        }
        Hold::NotFastForward => format!("fold it another way: `pleach merge --rebase {task}`"),
        Hold::NotConserved { .. } | Hold::Disputed { .. } => {
            "this is a bug of pleach or a very odd history: merge it by hand".to_owned()
        }
        Hold::Refused { .. } => format!("mend that, then `pleach {verb} {task}` again"),
    }
}

pub(super) fn discard(context: &Context, args: &DiscardArgs) -> Result<u8, Error> {
    let mut session = context.session()?;
    let tasks = meant(&session, args.plan.as_deref(), &args.tasks, plan::can_be_discarded)?;
    let ids = match (&args.keep_branch, &tasks[..]) {
        (None, _) => fold::discard(&mut session, &tasks)?,
        (Some(branch), [task]) => fold::discard_to(&mut session, task, branch)?,
        (Some(_), _) => {
            let hint = "say it for each of them, with a name of its own";
            return Err(Error::new(ErrorKind::Usage, "one branch keeps one result", hint));
        }
    };
    if args.json {
        return answer(|out| print_json(out, &serde_json::json!({ "discarded": ids })));
    }
    let state = session.state()?;
    let can_come_back = |id: &TaskId| state.task(*id).is_some_and(|task| task.restorable().is_some());
    answer(|out| {
        ids.iter().try_for_each(|id| match can_come_back(id) {
            true => writeln!(out, "task {id} discarded; `pleach restore {id}` takes that back"),
            false => writeln!(out, "task {id} discarded; it left nothing"),
        })
    })
}

pub(super) fn restore(context: &Context, args: &RestoreArgs) -> Result<u8, Error> {
    let mut session = context.session()?;
    let wanted: Vec<_> = args.tasks.iter().map(parts).collect();
    let attempts = fold::restore(&mut session, &wanted)?;
    if args.json {
        return answer(|out| print_json(out, &serde_json::json!({ "restored": attempts })));
    }
    answer(|out| {
        attempts.iter().try_for_each(|attempt| {
            writeln!(out, "task {} is up for review with what attempt {} left", attempt.task, attempt.number)
        })
    })
}
