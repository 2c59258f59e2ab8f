//! `add`, `run`, and what a task says from inside.
#![expect(clippy::disallowed_methods, reason = "how long to wait for a second Ctrl-C is measured here")]

use std::io::{self, IsTerminal as _, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Context, agents, answer, plan, print_json, roles, tell};
use crate::cli::args::{ProgressArgs, RunArgs, SummaryArgs, TaskArgs, Variable};
use crate::cli::bell::Bell;
use crate::cli::progress::Progress;
use crate::cli::style::{Paint, Style};
use crate::cli::{ask, board, exit, time};
use crate::config;
use crate::core::estimate;
use crate::core::id::{TaskHandle, TaskId};
use crate::core::report::{Row, Standing, TaskReport};
use crate::core::task::CommandLine;
use crate::core::word::{Word, shown};
use crate::ops::inside::{self, Message};
use crate::ops::logs::{self, Log, Piece};
use crate::ops::submit::{self, Wish};
use crate::ops::{Error, ErrorKind, Session, approve, control, look, roles as roles_op, wait};

/// How often a growing log is looked at.
const LOOK: Duration = Duration::from_millis(30);
/// How long after the first Ctrl-C a second one cancels.
const SECOND: Duration = Duration::from_millis(1500);

/// What takes no longer need not be told ahead, in milliseconds.
const WORTH_SAYING: u64 = 1000;

/// A task that was taken.
#[derive(Serialize)]
struct Added {
    id: TaskId,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

pub(super) fn add(context: &Context, task: TaskArgs) -> Result<u8, Error> {
    let plan = RunArgs { detach: true, markdown: false, task };
    if plan::is_plan(&context.directory, &plan) {
        return plan::run(context, plan);
    }
    let task = plan.task;
    let json = task.json;
    let name = task.name.as_ref().map(ToString::to_string);
    let mut session = context.strict_session()?;
    let id = submit(context, &mut session, task)?;
    answer(|out| if json { print_json(out, &Added { id, name }) } else { writeln!(out, "{id}") })
}

fn submit(context: &Context, session: &mut Session, task: TaskArgs) -> Result<TaskId, Error> {
    let role = task.role.clone();
    let wish = wish(task, session.is_inside())?;
    if !session.is_inside() {
        prepare(context, session, wish.setup)?;
    }
    let wish = Wish { role: roles::choose(context, session, role.as_deref())?, ..wish };
    let unbound = roles_op::unbound(session, &wish)?;
    let id = submit::submit(session, wish)?;
    // Of what is refused there is nothing to warn of.
    roles::warn(context.color, unbound);
    Ok(id)
}

/// Ask for what is not approved yet, where somebody can answer.
pub(super) fn prepare(context: &Context, session: &Session, has_setup: bool) -> Result<(), Error> {
    let mut open = approve::pending(session)?;
    open.retain(|one| has_setup || one.what != approve::SETUP);
    if !open.is_empty() && ask::yes(context.color, &open)? {
        approve::approve(&open)?;
    }
    Ok(())
}

fn wish(task: TaskArgs, is_inside: bool) -> Result<Wish, Error> {
    let agent = agents::wanted(&task, is_inside)?;
    let words = task.command.into_iter().map(Word::from).collect();
    let command = match &agent {
        Some(_) => CommandLine::Exec(Vec::new()),
        None => CommandLine::from_words(words).ok_or_else(|| {
            Error::new(ErrorKind::Usage, "there is nothing to run", "say what: pleach run -- npx eslint --fix src")
        })?,
    };
    let variables = task.env.into_iter().map(|variable| match variable {
        Variable::Set(name, value) => Ok((name, value)),
        Variable::Pass(name) => config::env::named(&name).map(|value| (name.clone(), value)).ok_or_else(|| {
            let message = format!("{name} is not set here, so there is nothing to pass on");
            Error::new(ErrorKind::Usage, message, format!("say what it is: --env {name}=VALUE"))
        }),
    });
    Ok(Wish {
        command,
        name: task.name,
        priority: task.priority,
        timeout: task.timeout,
        grace: task.grace,
        after: task.after,
        base: task.base,
        into: task.into,
        publish: task.publish,
        group: task.group,
        retries: task.retries,
        env: variables.collect::<Result<_, _>>()?,
        fold: task.fold,
        strategy: task.strategy,
        message: task.message,
        copy: task.copy,
        clean: task.clean,
        log_cap: task.log_cap,
        setup: !task.no_setup,
        verify: task.verify.into(),
        require_sandbox: task.require_sandbox,
        network: task.network.clone(),
        read_only: task.read_only,
        paths: task.paths,
        memory: task.memory,
        needs_memory: task.needs_memory,
        processes: task.processes,
        agent,
        role: None,
        tenant: None,
    })
}

pub(super) fn run(context: &Context, args: RunArgs) -> Result<u8, Error> {
    if plan::is_plan(&context.directory, &args) {
        return plan::run(context, args);
    }
    if args.markdown {
        let message = "--markdown tells what came of a plan, and this is none";
        return Err(Error::new(ErrorKind::Usage, message, "leave it out, or say --json"));
    }
    if args.detach {
        return add(context, args.task);
    }
    let json = args.task.json;
    let mut session = context.strict_session()?;
    let bell = Bell::new(&session);
    let pressed = Arc::new(AtomicUsize::new(0));
    listen_for_interrupts(&pressed)?;
    let id = submit(context, &mut session, args.task)?;
    let style = Style::of_stderr(context.color);
    let state = session.state()?;
    let waits = look::waits(&session, &state, id);
    let line = match &waits {
        None => {
            let usual = state.task(id).and_then(|task| estimate::usual(&state, task));
            let usual = usual.filter(|usual| *usual >= WORTH_SAYING);
            let usual = usual.map(|usual| format!(", usually for {}", time::about(usual))).unwrap_or_default();
            format!("task {id} runs in a worktree of its own{usual}; Ctrl-C leaves it in the background")
        }
        Some(why) => format!("task {id} waits: {}; Ctrl-C leaves it in the background", shown(why)),
    };
    // It may be large, and a task may take long.
    drop(state);
    tell(&style.paint(Paint::Faint, line));
    let began = format!("task {id} runs in a worktree of its own");
    let began = waits.map(|_| style.paint(Paint::Faint, began).into_owned());
    match follow(context, &mut session, id, &pressed, Shown { output: !json, began })? {
        End::Detached => return Ok(exit::of(ErrorKind::Interrupted)),
        // What is told now has a line of its own, also where the output did not end its last.
        End::Ended { mid_line: true } if is_same_place() => tell(""),
        End::Ended { .. } => {}
    }
    let report = look::task(&mut session, &TaskHandle::Id(id))?;
    bell.ring(&format!("task {id}: {}", report.row.state));
    if json {
        answer(|out| print_json(out, &report))?;
    } else {
        conclude(&style, &report);
    }
    Ok(code(&report))
}

/// Do output and advice go to the same place?
fn is_same_place() -> bool {
    let place = |seen: rustix::fs::Stat| (seen.st_dev, seen.st_ino);
    let places = (rustix::fs::fstat(io::stdout()), rustix::fs::fstat(io::stderr()));
    matches!(places, (Ok(out), Ok(err)) if place(out) == place(err))
}

/// The task's own code.
fn code(report: &TaskReport) -> u8 {
    let outcome = report.attempts.last().and_then(|attempt| attempt.outcome.as_ref());
    match outcome {
        Some(outcome) => exit::of_tasks([outcome]),
        None if report.row.state == Standing::Withdrawn => exit::of(ErrorKind::Interrupted),
        None => exit::of(ErrorKind::NotRun),
    }
}

/// In a few words how it ended, and what to do next.
fn conclude(style: &Style, report: &TaskReport) {
    let row = &report.row;
    let outcome = report.attempts.last().and_then(|attempt| attempt.outcome.as_ref());
    let good = outcome.is_some_and(|outcome| outcome.is_success());
    let ended = outcome.map_or_else(|| row.state.as_str().to_owned(), |outcome| shown(&outcome.to_string()));
    let mut words = vec![style.paint(if good { Paint::Good } else { Paint::Bad }, ended).into_owned()];
    if let Some(duration) = row.duration_ms {
        words.push(format!("in {}", time::span(duration)));
    }
    if row.files > 0 {
        words.push(format!("· {}", board::change(row.files, row.insertions, row.deletions)));
    } else if good {
        words.push("· nothing changed".to_owned());
    }
    tell(&format!("task {}: {}", row.id, words.join(" ")));
    warn(style, row);
    for hint in &report.hints {
        tell(&style.paint(Paint::Faint, format!("  {:<28} {}", hint.command, hint.to)));
    }
}

/// What somebody should know of how it was kept.
pub(super) fn warn(style: &Style, row: &Row) {
    for warning in &row.warnings {
        let line = format!("warning: task {}: {}", row.id, shown(&warning.to_string()));
        tell(&style.paint(Paint::Look, line));
    }
}

pub(super) fn listen_for_interrupts(pressed: &Arc<AtomicUsize>) -> Result<(), Error> {
    let counter = pressed.clone();
    let thread = move || -> io::Result<()> {
        let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGINT])?;
        std::thread::spawn(move || {
            for _ in signals.forever() {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        Ok(())
    };
    thread().map_err(|error| Error::plain(ErrorKind::Error, format!("cannot listen for Ctrl-C: {error}")))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The task has ended, and its result has got where it goes by itself.
    Ended {
        /// Its output does not end with the end of a line.
        mid_line: bool,
    },
    /// Somebody left.
    Detached,
}

/// What is shown while a task is followed.
struct Shown {
    output: bool,
    /// What is said once it runs, where it was said to wait.
    began: Option<String>,
}

/// Show the output of a task until it has ended.
fn follow(
    context: &Context,
    session: &mut Session,
    id: TaskId,
    pressed: &AtomicUsize,
    mut show: Shown,
) -> Result<End, Error> {
    let (told, heard) = std::sync::mpsc::channel();
    let mut waiting = context.strict_session()?;
    std::thread::spawn(move || {
        let patience = wait::Patience { any: false, timeout: None };
        let _ = told.send(wait::until(&mut waiting, &[id], wait::Until::Landed, patience));
    });
    let mut output = Output::default();
    // In a pipe the output itself is what there is to see.
    let mut progress = Progress::new(context, &[id]).filter(|_| show.output && io::stderr().is_terminal());
    let clear = |progress: &mut Option<Progress>| progress.iter_mut().for_each(Progress::clear);
    let mut first_press: Option<Instant> = None;
    let mut cancelled = false;
    loop {
        let ended = heard.recv_timeout(LOOK);
        if show.began.is_some() && session.state()?.task(id).is_some_and(|task| !task.attempts.is_empty()) {
            clear(&mut progress);
            show.began.take().iter().for_each(|words| tell(words));
        }
        if show.output {
            output.copy(session, id, &mut || clear(&mut progress))?;
        }
        match ended {
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) if first_press.is_none() => {
                let may_draw = !(output.mid_line && is_same_place());
                progress.iter_mut().for_each(|progress| progress.look(may_draw));
            }
            _ => clear(&mut progress),
        }
        match ended {
            Ok(result) => return result.map(|()| output.end()),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return Ok(output.end()),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
        }
        match pressed.load(Ordering::Relaxed) {
            0 => {}
            1 if first_press.is_none() => {
                clear(&mut progress);
                first_press = Some(Instant::now());
                tell(&format!(
                    "\ntask {id} goes on in the background: `pleach logs -f {id}` comes back to it; \
                     Ctrl-C once more cancels it"
                ));
            }
            1 if first_press.is_some_and(|at| at.elapsed() > SECOND) => return Ok(End::Detached),
            1 => {}
            _ if !cancelled => {
                cancelled = true;
                tell(&format!("\ncancelling task {id}"));
                // It may have ended just now: then there is nothing to cancel, and its end is told below.
                let _ = control::cancel(session, &[TaskHandle::Id(id)], false);
            }
            _ => {}
        }
    }
}

/// The output of a task, as far as it was shown.
#[derive(Default)]
struct Output {
    log: Option<Log>,
    mid_line: bool,
}

impl Output {
    /// Copy what is new in the log of the newest attempt to standard output.
    fn copy(&mut self, session: &Session, id: TaskId, before: &mut dyn FnMut()) -> Result<(), Error> {
        let newest = session.state()?.task(id).and_then(|task| task.last_attempt());
        if self.log.as_ref().map(|log| log.attempt) != newest {
            self.copy_log(before)?;
            let open = |number| logs::open(session, &TaskHandle::Id(id), Some(number), None).ok();
            self.log = newest.and_then(|attempt| open(attempt.number));
        }
        self.copy_log(before)
    }

    fn copy_log(&mut self, before: &mut dyn FnMut()) -> Result<(), Error> {
        if let Some(last) = self.log.as_mut().map(|log| copy_after(log, before)).transpose()?.flatten() {
            self.mid_line = last != b'\n';
        }
        Ok(())
    }

    fn end(&self) -> End {
        End::Ended { mid_line: self.mid_line }
    }
}

/// Copy all that is there now; its last byte. Exact in a pipe; on a terminal it may be coloured and act in no other way.
pub(super) fn copy(log: &mut Log) -> Result<Option<u8>, Error> {
    copy_after(log, &mut || {})
}

/// The same; before anything is written, `before` is called.
fn copy_after(log: &mut Log, before: &mut dyn FnMut()) -> Result<Option<u8>, Error> {
    let mut out = io::stdout().lock();
    let cannot = |error: io::Error| match error.kind() {
        io::ErrorKind::BrokenPipe => Error::plain(ErrorKind::Interrupted, "nobody reads any more"),
        _ => Error::plain(ErrorKind::Error, format!("cannot copy the output: {error}")),
    };
    let is_terminal = io::stdout().is_terminal();
    let mut last = None;
    while let Some(piece) = log.piece()? {
        before();
        match piece {
            Piece::Bytes(bytes) => {
                let shown = is_terminal.then(|| log.terminal.pass(&bytes));
                out.write_all(shown.as_ref().unwrap_or(&bytes)).map_err(cannot)?;
                last = bytes.last().copied().or(last);
            }
            Piece::Dropped(count) => {
                writeln!(out, "\n[… {count} bytes were not kept …]").map_err(cannot)?;
                last = Some(b'\n');
            }
        }
    }
    out.flush().map_err(cannot)?;
    Ok(last)
}

pub(super) fn progress(args: &ProgressArgs) -> Result<u8, Error> {
    let (first, rest) = args.words.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    let numbers = match first.split_once('/') {
        Some((done, total)) => done.parse().ok().zip(total.parse().ok()).map(|(done, total)| (done, Some(total))),
        None => first.parse().ok().map(|done| (done, None)),
    };
    if let Some((done, Some(total))) = numbers
        && done > total
    {
        let message = format!("{done} of {total} steps cannot be done");
        return Err(Error::new(
            ErrorKind::Usage,
            message,
            "say DONE/TOTAL, or DONE alone where the total is not known",
        ));
    }
    let (done, total, text) = match numbers {
        Some((done, total)) => (Some(done), total, rest.first().cloned()),
        None => (None, None, Some(args.words.join(" "))),
    };
    inside::tell(&Message::Progress { done, total, text })?;
    Ok(0)
}

pub(super) fn summary(args: &SummaryArgs) -> Result<u8, Error> {
    let text = if args.words == ["-"] {
        if io::stdin().is_terminal() {
            tell("reading the summary from the terminal; end it with Ctrl-D");
        }
        let mut bytes = Vec::new();
        let read = io::stdin().lock().read_to_end(&mut bytes);
        read.map_err(|error| Error::plain(ErrorKind::Error, format!("cannot read the summary: {error}")))?;
        String::from_utf8_lossy(&bytes).trim_end().to_owned()
    } else {
        args.words.join(" ")
    };
    inside::tell(&Message::Summary(text))?;
    Ok(0)
}
