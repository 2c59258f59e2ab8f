//! One function for each verb: arguments become a call of one op, and its answer becomes words or JSON.

mod agents;
pub(in crate::cli) mod fold;
mod hook;
mod house;
mod init;
mod look;
mod mcp;
mod plan;
mod queue;
pub(super) mod review;
mod roles;
mod run;
mod sandbox;
mod wait;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::args::{Cli, Color, Everywhere, Verb, Which};
use super::style::{Paint, Style, count};
use super::{exit, pager};
use crate::config;
use crate::core::id::TaskHandle;
use crate::core::word::shown;
use crate::ops::{Error, ErrorKind, Session, inside};

/// What every verb needs to know beside its own arguments.
pub(super) struct Context {
    pub(super) directory: PathBuf,
    pub(super) color: Color,
}

/// Do what was asked.
pub(super) fn dispatch(cli: Cli) -> ExitCode {
    let Everywhere { directory, color } = cli.everywhere;
    let directory = match directory.map_or_else(std::env::current_dir, Ok) {
        Ok(directory) => directory,
        Err(error) => {
            let error = Error::new(ErrorKind::Usage, format!("there is no current directory: {error}"), "go to one");
            return fail(color, false, &error);
        }
    };
    let context = Context { directory, color };
    let json = wants_json(&cli.verb);
    match act(&context, cli.verb) {
        Ok(code) => ExitCode::from(code),
        Err(error) => fail(context.color, json, &error),
    }
}

/// Do what one verb asks; answers the exit code.
pub(super) fn act(context: &Context, verb: Verb) -> Result<u8, Error> {
    if let Some(what) = for_people(&verb)
        && config::env::inside().is_some()
        && let Ok(session) = Session::open(&context.directory)
    {
        inside::require_outside(&session, what)?;
    }
    match verb {
        Verb::Add(task) => run::add(context, task),
        Verb::Run(run) => run::run(context, run),
        Verb::Ls(args) => look::ls(context, &args),
        Verb::Status(args) => look::status(context, &args),
        Verb::Logs(args) => look::logs(context, &args),
        Verb::Events(args) => look::events(context, &args),
        Verb::Diff(args) => look::diff(context, &args),
        Verb::Wait(args) => wait::wait(context, &args),
        Verb::Cancel(args) => wait::cancel(context, &args),
        Verb::Retry(args) => wait::retry(context, &args),
        Verb::Priority(args) => wait::priority(context, &args),
        Verb::Pause(answer) => wait::pause(context, answer, true),
        Verb::Resume(answer) => wait::resume(context, answer),
        Verb::Progress(args) => run::progress(&args),
        Verb::Summary(args) => run::summary(&args),
        Verb::Merge(args) => fold::merge(context, &args),
        Verb::Review(args) => review::review(context, &args),
        Verb::Queue(args) => queue::queue(context, &args),
        Verb::Discard(args) => fold::discard(context, &args),
        Verb::Restore(args) => fold::restore(context, &args),
        Verb::Undo(args) => fold::undo(context, &args),
        Verb::Gc(args) => house::gc(context, &args),
        Verb::Doctor(args) => house::doctor(context, &args),
        Verb::Demo(args) => super::demo::demo(context, args.dir),
        Verb::Monitor => super::monitor::monitor(context),
        Verb::Sandbox(args) => sandbox::sandbox(context, args),
        Verb::Plan(args) => plan::plan(context, &args),
        Verb::Report(args) => plan::report(context, &args),
        Verb::Pick(args) => plan::pick(context, &args),
        Verb::Roles(args) => roles::roles(context, &args),
        Verb::Send(args) => agents::send(context, &args),
        Verb::Agents(args) => agents::list(context, &args),
        Verb::Approve(args) => house::approve(context, &args),
        Verb::Mcp(args) => mcp::mcp(context, args),
        Verb::Init(args) => init::init(context, &args),
        Verb::Hook(args) => hook::hook(context, &args.verb),
        Verb::Completions(args) => answer(|out| super::generate::completions(out, args.shell)),
        Verb::ShellInit(args) => look::shell_init(&args),
        Verb::Prompt(args) => look::prompt(context, &args),
        Verb::Man(args) => house::man(args.dir.as_deref()),
    }
}

/// What is not for a task to ask for.
fn for_people(verb: &Verb) -> Option<&'static str> {
    Some(match verb {
        Verb::Merge(_) => "`pleach merge`",
        Verb::Undo(_) => "`pleach undo`",
        Verb::Discard(_) => "`pleach discard`",
        Verb::Restore(_) => "`pleach restore`",
        Verb::Retry(_) => "`pleach retry`",
        Verb::Review(_) => "`pleach review`",
        Verb::Queue(_) => "`pleach queue`",
        Verb::Pause(_) => "`pleach pause`",
        Verb::Resume(_) => "`pleach resume`",
        Verb::Gc(_) => "`pleach gc`",
        Verb::Approve(_) => "`pleach approve`",
        Verb::Send(_) => "`pleach send`",
        Verb::Pick(_) => "`pleach pick`",
        Verb::Plan(_) => "`pleach plan`",
        Verb::Events(_) => "`pleach events`",
        Verb::Monitor => "`pleach monitor`",
        _ => return None,
    })
}

fn wants_json(verb: &Verb) -> bool {
    match verb {
        Verb::Add(task) => task.json,
        Verb::Run(run) => run.task.json,
        Verb::Ls(args) => args.json,
        Verb::Status(args) => args.json,
        Verb::Events(args) => args.json,
        Verb::Diff(args) => args.json,
        Verb::Wait(args) => args.json,
        Verb::Cancel(args) => args.json,
        Verb::Retry(args) => args.tasks.json,
        Verb::Priority(args) => args.tasks.json,
        Verb::Discard(args) => args.json,
        Verb::Pause(answer) => answer.json,
        Verb::Resume(args) => args.json,
        Verb::Merge(args) => args.json,
        Verb::Review(args) => args.json,
        Verb::Queue(args) => args.json,
        Verb::Restore(args) => args.json,
        Verb::Undo(args) => args.json,
        Verb::Gc(args) => args.json,
        Verb::Doctor(args) => args.json,
        Verb::Approve(args) => args.json,
        Verb::Roles(args) => {
            args.json || matches!(&args.verb, Some(crate::cli::args::RolesVerb::Show(show)) if show.json)
        }
        Verb::Agents(args) => args.json,
        Verb::Init(args) => args.json,
        Verb::Send(args) => args.json,
        Verb::Plan(args) => args.json,
        Verb::Report(args) => args.json,
        Verb::Pick(args) => args.json,
        Verb::Logs(args) => args.json,
        Verb::Progress(_) | Verb::Summary(_) => false,
        Verb::Monitor
        | Verb::ShellInit(_)
        | Verb::Prompt(_)
        | Verb::Demo(_)
        | Verb::Sandbox(_)
        | Verb::Mcp(_)
        | Verb::Hook(_)
        | Verb::Completions(_)
        | Verb::Man(_) => false,
    }
}

impl Context {
    /// For a verb that can do without the configuration: where that cannot be used, this says so, once.
    pub(super) fn session(&self) -> Result<Session, Error> {
        static TOLD: std::sync::Once = std::sync::Once::new();
        let session = Session::open(&self.directory)?;
        if let Some(error) = session.misconfigured() {
            let style = Style::of_stderr(self.color);
            let words = format!("{}; this goes on without it", shown(&error.message));
            TOLD.call_once(|| tell(&format!("{} {words}", style.paint(Paint::Look, "warning:"))));
        }
        Ok(session)
    }

    /// For a verb that needs it, and fails without it, or that says itself what is wrong with it.
    pub(super) fn strict_session(&self) -> Result<Session, Error> {
        Session::open(&self.directory)
    }

    /// The head of each list while tasks run that nothing keeps to themselves.
    pub(super) fn warn_of_unconfined(&self, tasks: usize) {
        if tasks > 0 {
            let run = if tasks == 1 { "runs" } else { "run" };
            let line = format!("{} {run} without a sandbox, and can do whatever you can", count(tasks as u64, "task"));
            tell(&format!("{} {line}", Style::of_stderr(self.color).paint(Paint::Look, "warning:")));
        }
    }

    pub(super) fn style(&self) -> Style {
        Style::of_stdout(self.color)
    }
}

/// Say what went wrong, and give the code for it.
fn fail(color: Color, json: bool, error: &Error) -> ExitCode {
    #[derive(Serialize)]
    struct Failure<'a> {
        error: &'a str,
        kind: ErrorKind,
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<&'a str>,
    }
    if json {
        let failure = Failure { error: &error.message, kind: error.kind, hint: error.hint.as_deref() };
        let _ = answer(|out| print_json(out, &failure));
    } else {
        let style = Style::of_stderr(color);
        let safe = |text: &str| text.lines().map(shown).collect::<Vec<_>>().join("\n");
        tell(&format!("{} {}", style.paint(Paint::Bad, "error:"), safe(&error.message)));
        if let Some(hint) = &error.hint {
            tell(&format!("{} {}", style.paint(Paint::Strong, "hint:"), safe(hint)));
        }
    }
    ExitCode::from(exit::of(error.kind))
}

/// Write the answer to standard output. Who stops reading has had enough: that is no failure.
fn answer(draw: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<u8, Error> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let written = draw(&mut out).and_then(|()| out.flush());
    match pager::unless_closed(written) {
        Ok(()) => Ok(0),
        Err(error) => Err(Error::plain(ErrorKind::Error, format!("cannot write the answer: {error}"))),
    }
}

fn print_json(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out)
}

/// One line beside the answer.
pub(super) fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The task, and the attempt where one was named.
fn parts(which: &Which) -> (TaskHandle, Option<u32>) {
    match which {
        Which::Task(handle) => (handle.clone(), None),
        Which::Attempt(attempt) => (TaskHandle::Id(attempt.task), Some(attempt.number)),
    }
}
