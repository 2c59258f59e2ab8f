//! `run plan.toml`, `plan`, `report`, `pick`, and the tasks that `--plan` means.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use super::run::{listen_for_interrupts, prepare};
use super::{Context, answer, print_json, tell};
use crate::cli::args::{PickArgs, PlanArgs, ReportArgs, RunArgs, TaskArgs};
use crate::cli::style::{Paint, Style};
use crate::cli::{ask, exit, plan_view};
use crate::core::id::{TaskHandle, TaskId};
use crate::core::plan::{self as plans, PlanId};
use crate::core::report::plan::PlanReport;
use crate::core::state::{State, Task, TaskState};
use crate::core::word::Word;
use crate::ops::plan::{self, Said, Source};
use crate::ops::{Error, ErrorKind, Session, wait};

/// How often it is looked at who has ended.
const LOOK: Duration = Duration::from_millis(200);

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Json,
    Markdown,
}

/// Is it a plan that is to run? Its options may also stand behind its name.
pub(super) fn is_plan(directory: &Path, args: &RunArgs) -> bool {
    let mut words = args.task.command.iter().map(|word| Word::from(word.clone()));
    words.next().is_some_and(|word| plan::is_file(directory, &word))
        && words.next().is_none_or(|word| word.as_bytes().starts_with(b"-"))
}

pub(super) fn run(context: &Context, mut args: RunArgs) -> Result<u8, Error> {
    let words: Vec<Word> = args.task.command.drain(..).map(Word::from).collect();
    for word in &words[1..] {
        match word.as_bytes() {
            b"--json" => args.task.json = true,
            b"--markdown" => args.markdown = true,
            b"-d" | b"--detach" => args.detach = true,
            _ => {
                let message = format!("{} is no option behind a plan", word.shown());
                let hint = "there are --detach, --json and --markdown; --name, --base and --into go before the plan";
                return Err(Error::new(ErrorKind::Usage, message, hint));
            }
        }
    }
    let form = form(args.task.json, args.markdown);
    let said = said(args.task)?;
    let source = plan::load(&context.directory, &plan::path(&words[0]), said)?;
    let mut session = context.strict_session()?;
    prepare(context, &session, true)?;
    let pressed = Arc::new(AtomicUsize::new(0));
    if !args.detach {
        listen_for_interrupts(&pressed)?;
    }
    super::roles::warn(context.color, plan::unbound(&session, &source)?);
    let id = plan::submit(&mut session, &source, &mut |report| ask::role(context.color, report))?;
    if args.detach {
        let added = json!({ "plan": id, "tasks": ids(&session.state()?, &id) });
        return answer(|out| if form == Form::Json { print_json(out, &added) } else { writeln!(out, "{id}") });
    }
    follow(context, &mut session, &id, &pressed)?.map_or(Ok(exit::of(ErrorKind::Interrupted)), |()| {
        let report = plan::report(&mut session, Some(&id.to_string()))?;
        tell_report(context, &report, form)?;
        Ok(code(&report))
    })
}

fn form(json: bool, markdown: bool) -> Form {
    match (json, markdown) {
        (true, _) => Form::Json,
        (_, true) => Form::Markdown,
        _ => Form::Text,
    }
}

/// What may be said beside a plan; all else is said in the file.
fn said(task: TaskArgs) -> Result<Said, Error> {
    let TaskArgs { name, base, into, .. } = task.clone();
    let rest = TaskArgs { name: None, base: None, into: None, json: false, ..task };
    if rest != TaskArgs::default() {
        return Err(Error::new(
            ErrorKind::Usage,
            "with a plan there are only --name, --base, --into, --detach, --json and --markdown",
            "say the rest in the file: under [defaults] for all tasks, or in a [[task]]",
        ));
    }
    Ok(Said { name, base, into })
}

fn ids(state: &State, id: &PlanId) -> Vec<TaskId> {
    state.plan(id).map(|plan| plan.tasks().collect()).unwrap_or_default()
}

/// Wait for it, and say who has ended; none where somebody left.
fn follow(context: &Context, session: &mut Session, id: &PlanId, pressed: &AtomicUsize) -> Result<Option<()>, Error> {
    let style = Style::of_stderr(context.color);
    let tasks = ids(&session.state()?, id);
    let count = crate::core::word::count(tasks.len() as u64, "task");
    let words = format!("plan {id}: {count}; Ctrl-C leaves it in the background");
    tell(&style.paint(Paint::Faint, words));
    let (told, heard) = std::sync::mpsc::channel();
    let (mut waiting, awaited) = (context.strict_session()?, tasks.clone());
    std::thread::spawn(move || {
        let patience = wait::Patience { any: false, timeout: None };
        let _ = told.send(wait::until(&mut waiting, &awaited, wait::Until::Landed, patience));
    });
    let mut ended = plan_view::Ended::default();
    loop {
        let heard = heard.recv_timeout(LOOK);
        let state = session.state()?;
        for line in ended.news(&state, &tasks, &style) {
            tell(&line);
        }
        match heard {
            Ok(result) => return result.map(Some),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return Ok(Some(())),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
        }
        if pressed.load(Ordering::Relaxed) > 0 {
            tell(&format!(
                "\nplan {id} goes on in the background: `pleach wait --plan {id}` waits for it, `pleach report {id}` \
                 tells of it, `pleach cancel --plan {id}` ends it"
            ));
            return Ok(None);
        }
    }
}

fn tell_report(context: &Context, report: &PlanReport, form: Form) -> Result<u8, Error> {
    answer(|out| match form {
        Form::Json => print_json(out, report),
        Form::Markdown => out.write_all(report.to_markdown().as_bytes()),
        Form::Text => plan_view::report(out, report, &context.style()),
    })
}

/// 0 where all of it came to something.
pub(super) fn code(report: &PlanReport) -> u8 {
    if report.ok { 0 } else { exit::of(ErrorKind::Error) }
}

pub(super) fn plan(context: &Context, args: &PlanArgs) -> Result<u8, Error> {
    let Some(file) = args.file.as_ref().filter(|_| !args.schema) else {
        let schema = serde_json::to_string_pretty(&plans::schema()).unwrap_or_default();
        return answer(|out| writeln!(out, "{schema}"));
    };
    let source: Source = plan::load(&context.directory, file, Said::default())?;
    let preview = plan::preview(&context.session()?, &source, args.expand)?;
    answer(
        |out| if args.json { print_json(out, &preview) } else { plan_view::preview(out, &preview, &context.style()) },
    )
}

pub(super) fn report(context: &Context, args: &ReportArgs) -> Result<u8, Error> {
    let report = plan::report(&mut context.session()?, args.plan.as_deref())?;
    tell_report(context, &report, form(args.json, args.markdown))
}

pub(super) fn pick(context: &Context, args: &PickArgs) -> Result<u8, Error> {
    let mut session = context.session()?;
    let id = plan::pick(&mut session, &args.task)?;
    let patience = wait::Patience { any: false, timeout: None };
    wait::until(&mut session, &[id], wait::Until::Landed, patience)?;
    let state = session.state()?;
    let stands = state.task(id).map(|task| plan_view::stands(&state, task)).unwrap_or_default();
    answer(|out| match args.json {
        true => print_json(out, &json!({ "task": id, "result": "picked" })),
        false => writeln!(out, "task {id} is picked, and {stands}; the other tries are discarded"),
    })
}

/// The tasks that somebody named, or those of a plan to which it can be done.
pub(super) fn meant(
    session: &Session,
    plan: Option<&str>,
    tasks: &[TaskHandle],
    wanted: fn(&State, &Task) -> bool,
) -> Result<Vec<TaskHandle>, Error> {
    match plan {
        None => Ok(tasks.to_vec()),
        Some(plan) => {
            let tasks = plan::tasks(session, plan, wanted)?;
            if tasks.is_empty() {
                tell(&format!("there is nothing to do in plan {plan}; see `pleach report {plan}`"));
            }
            Ok(tasks)
        }
    }
}

pub(super) fn every(_: &State, _: &Task) -> bool {
    true
}

pub(super) fn has_work(_: &State, task: &Task) -> bool {
    task.has_work_ahead()
}

pub(super) fn is_ready(_: &State, task: &Task) -> bool {
    matches!(task.state, TaskState::Ready { .. })
}

pub(super) fn can_be_discarded(_: &State, task: &Task) -> bool {
    use TaskState as S;
    matches!(task.state, S::Ready { .. } | S::Refused { .. } | S::Failed | S::Withdrawn)
}
