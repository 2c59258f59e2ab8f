//! `ls`, `status`, `logs`, `events`, `diff`.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::plan::every;
use super::{Context, answer, parts, print_json, run, tell};
use crate::cli::args::{
    DiffArgs, EventsArgs, LogsArgs, LsArgs, PromptArgs, Prompting, ShellInitArgs, StatusArgs, Which,
};
use crate::cli::diff_view::{self, FileDiff, Options, Side};
use crate::cli::style::Style;
use crate::cli::{board, disk_view, pager, status as status_view, time};
use crate::config;
use crate::core::id::{AttemptId, TaskHandle};
use crate::core::report::{AttemptReport, Readable, Show};
use crate::core::sandbox::Tier;
use crate::core::word::{Word, shown};
use crate::ops::events::{Events, Line};
use crate::ops::{
    Error, ErrorKind, Session, diff as diff_op, disk as disk_op, logs as log_op, look, plan as plan_op,
    prompt as prompt_op,
};

/// How often a growing log is looked at.
const LOOK: Duration = Duration::from_millis(50);

pub(super) fn ls(context: &Context, args: &LsArgs) -> Result<u8, Error> {
    let mut session = context.session()?;
    if args.disk {
        let disk = disk_op::disk(&session)?;
        let draw = |out: &mut dyn Write| disk_view::draw(out, &disk, &context.style());
        return answer(|out| if args.json { print_json(out, &disk) } else { draw(out) });
    }
    let is_all = args.all || args.plan.is_some();
    let mut board = look::board(&mut session, if is_all { Show::All } else { Show::Open })?;
    context.warn_of_unconfined(board.unconfined);
    if let Some(plan) = &args.plan {
        let tasks = plan_op::tasks(&session, plan, every)?;
        board.keep(&|id| tasks.contains(&TaskHandle::Id(id)));
    }
    answer(|out| if args.json { print_json(out, &board) } else { board::draw(out, &board, &context.style()) })
}

pub(super) fn status(context: &Context, args: &StatusArgs) -> Result<u8, Error> {
    let Some(task) = &args.task else {
        return ls(context, &LsArgs { all: false, plan: None, disk: false, json: args.json });
    };
    let mut session = context.session()?;
    let report = look::task(&mut session, task)?;
    let is_unconfined = |attempt: &&AttemptReport| attempt.outcome.is_none() && attempt.sandbox == Some(Tier::None);
    context.warn_of_unconfined(report.attempts.iter().filter(is_unconfined).count());
    answer(|out| if args.json { print_json(out, &report) } else { status_view::draw(out, &report, &context.style()) })
}

pub(super) fn logs(context: &Context, args: &LogsArgs) -> Result<u8, Error> {
    let session = context.session()?;
    let (handle, attempt) = parts(&args.task);
    let mut log = open_log(&session, &handle, attempt, args)?;
    if args.json {
        let output = Output::read(&mut log)?;
        return answer(|out| print_json(out, &output));
    }
    loop {
        // Whether it is over is asked before the last look, so that nothing written in between is missed.
        let over = !args.follow || log_op::is_over(&session, log.attempt)?;
        match run::copy(&mut log) {
            Err(error) if error.kind == ErrorKind::Interrupted => return Ok(0),
            copied => drop(copied?),
        }
        if over {
            return Ok(0);
        }
        std::thread::sleep(LOOK);
    }
}

/// What a task wrote, as JSON.
#[derive(Serialize)]
struct Output {
    attempt: AttemptId,
    /// Of output that is here, and that was not kept.
    bytes: u64,
    dropped: u64,
    /// How many of the lines were written before what was not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped_after: Option<usize>,
    lines: Vec<Word>,
}

impl Output {
    fn read(log: &mut log_op::Log) -> Result<Self, Error> {
        let mut output = Self { attempt: log.attempt, bytes: 0, dropped: 0, dropped_after: None, lines: Vec::new() };
        let mut text = Vec::new();
        while let Some(piece) = log.piece()? {
            match piece {
                log_op::Piece::Bytes(bytes) => text.extend(bytes),
                log_op::Piece::Dropped(count) => {
                    output.add(&std::mem::take(&mut text));
                    output.dropped += count;
                    output.dropped_after = Some(output.lines.len());
                }
            }
        }
        output.add(&text);
        Ok(output)
    }

    fn add(&mut self, text: &[u8]) {
        self.bytes += text.len() as u64;
        let lines = text.split_inclusive(|byte| *byte == b'\n');
        self.lines.extend(lines.map(|line| Word::from(line.strip_suffix(b"\n").unwrap_or(line).to_vec())));
    }
}

/// The log; to follow a task that still waits, wait for it too.
fn open_log(
    session: &Session,
    handle: &TaskHandle,
    attempt: Option<u32>,
    args: &LogsArgs,
) -> Result<log_op::Log, Error> {
    let mut told = false;
    loop {
        match log_op::open(session, handle, attempt, args.tail) {
            Err(error) if args.follow && error.kind == ErrorKind::Refused && is_ahead(session, handle)? => {
                if !std::mem::replace(&mut told, true) {
                    tell(&format!("task {handle} has not started yet; waiting for it"));
                }
                std::thread::sleep(LOOK);
            }
            opened => return opened,
        }
    }
}

fn is_ahead(session: &Session, handle: &TaskHandle) -> Result<bool, Error> {
    Ok(session.state()?.find(handle).is_some_and(|task| task.has_work_ahead()))
}

pub(super) fn events(context: &Context, args: &EventsArgs) -> Result<u8, Error> {
    let mut session = context.session()?;
    let first = match args.tail {
        Some(count) => session.state()?.events().saturating_sub(count as u64) + 1,
        None => 1,
    };
    let mut events = Events::from(first);
    loop {
        // Watching begins before the look, so that nothing falls between the two.
        let mut watch = None;
        if args.follow {
            let mut client = session.coordinator()?;
            client.begin_watch()?;
            watch = Some(client);
        }
        loop {
            let lines = events.take(&session)?;
            answer(|out| lines.iter().try_for_each(|line| show_event(out, line, args.json, &context.style())))?;
            let Some(client) = &mut watch else { return Ok(0) };
            if !client.watch() {
                break;
            }
        }
    }
}

fn show_event(out: &mut dyn Write, line: &Line, json: bool, style: &Style) -> std::io::Result<()> {
    if json {
        return print_json(out, line);
    }
    let value = serde_json::to_value(&line.record.event).unwrap_or_default();
    let name = value.get("event").and_then(|name| name.as_str()).unwrap_or_default().replace('_', " ");
    let task = line.record.event.task().map(|task| format!("task {task}")).unwrap_or_default();
    let detail = match &line.record.event {
        crate::core::event::Event::Submitted { spec, .. } => spec.shown(),
        crate::core::event::Event::Ended { outcome, facts, .. } => {
            let denied = facts.network.iter().flat_map(|network| network.lines());
            let warned = facts.warnings.iter().map(|warning| format!("warning: {}", shown(&warning.to_string())));
            let all = std::iter::once(shown(&outcome.to_string())).chain(warned);
            let all = all.chain(denied.map(|line| format!("network: {line}")));
            all.collect::<Vec<_>>().join("; ")
        }
        crate::core::event::Event::LandingRefused { refusal, .. } => refusal.to_string(),
        crate::core::event::Event::Landed { landing, .. } => format!("{:.8} → {:.8}", landing.from, landing.to),
        _ => String::new(),
    };
    let at = time::clock(line.record.at, &style.zone);
    writeln!(out, "{}", format!("{at}  {task:<9} {name:<16} {detail}").trim_end())
}

/// The script of a shell, which is part of this program.
pub(super) fn shell_init(args: &ShellInitArgs) -> Result<u8, Error> {
    let script = match args.shell {
        Prompting::Bash => include_str!("../../../hooks/shell/pleach.bash"),
        Prompting::Zsh => include_str!("../../../hooks/shell/pleach.zsh"),
        Prompting::Fish => include_str!("../../../hooks/shell/pleach.fish"),
    };
    answer(|out| out.write_all(script.as_bytes()))
}

/// Say what has ended, beside the answer: that is for the shell, which gives it back the next time.
pub(super) fn prompt(context: &Context, args: &PromptArgs) -> Result<u8, Error> {
    // A prompt must come whatever is wrong here; every other command says it.
    let Ok(session) = Session::open(&context.directory) else { return Ok(0) };
    let Ok(news) = prompt_op::since(&session, &args.since) else { return Ok(0) };
    let style = Style::of_stderr(context.color);
    for row in &news.rows {
        let name = row.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
        let state = style.paint(board::paint_of(row.state), row.state.as_str());
        let note = board::note(row);
        let change = board::change(row.files, row.insertions, row.deletions);
        let words = [change, note].into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join("; ");
        let words = if words.is_empty() { words } else { format!(" ({words})") };
        tell(&format!("pleach: task {}{name}: {state}{words}", row.id));
    }
    if news.more > 0 {
        tell(&format!("pleach: and {} more: `pleach ls`", news.more));
    }
    answer(|out| writeln!(out, "{}", news.until))
}

pub(super) fn diff(context: &Context, args: &DiffArgs) -> Result<u8, Error> {
    let session = context.session()?;
    let (handle, attempt) = parts(&args.task);
    let difference = match &args.against {
        Some(other) => {
            let (other, number) = parts(other);
            diff_op::against(&session, (&handle, attempt), (&other, number))?
        }
        None => diff_op::of(&session, &handle, attempt)?,
    };
    let paths: Vec<Word> = args.paths.iter().map(|path| in_tree(&session, path)).collect();
    let style = context.style();
    if args.json {
        let lines = difference.lines(&paths)?;
        return answer(|out| {
            print_json(out, &serde_json::json!({ "task": Which::to_string(&args.task), "files": lines }))
        });
    }
    if args.stat || args.name_only {
        let lines = difference.lines(&paths)?;
        return answer(|out| match args.stat {
            true => diff_view::stat(out, &lines, &style),
            false => diff_view::name_only(out, &lines),
        });
    }
    let files: Vec<FileDiff> = difference.files(&paths)?.into_iter().map(drawable).collect();
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stdout());
    // Into a pipe it is a patch, of which nothing may be missing.
    if !terminal && !style.color && files.iter().any(|file| file.readable != Readable::Text) {
        let patch = difference.patch(&paths, args.unified)?;
        return answer(|out| out.write_all(&patch));
    }
    let pager =
        pager::choose(&config::env::paging(), || pager::configured(&context.directory), terminal && !args.no_pager);
    let draws = pager.as_ref().is_some_and(|pager| pager.draws_diffs);
    let options =
        Options { context: args.unified, color: style.color, words: style.color && !draws, escape: terminal && !draws };
    let shown =
        pager::show(pager.as_ref().filter(|_| !files.is_empty()), |out| diff_view::unified(out, &files, options));
    match shown {
        Ok(()) => Ok(0),
        Err(error) => Err(Error::new(ErrorKind::Error, error.to_string(), "try again with `--no-pager`")),
    }
}

/// Paths count from where somebody stands, as with git.
fn in_tree(session: &Session, path: &std::path::Path) -> Word {
    let checkout = session.found.checkout.as_ref();
    let full = match (checkout, path.is_absolute()) {
        (Some(checkout), true) => path.strip_prefix(&checkout.top).unwrap_or(path).to_owned(),
        (Some(checkout), false) => checkout.prefix.join(path),
        (None, _) => path.to_owned(),
    };
    let mut plain = PathBuf::new();
    for part in full.components() {
        match part {
            std::path::Component::ParentDir => {
                plain.pop();
            }
            std::path::Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain.into()
}

fn drawable(file: diff_op::FileDiff) -> FileDiff {
    let side = |path: Option<Word>, mode: Option<u32>, bytes: Option<Vec<u8>>, size| {
        path.zip(mode).map(|(path, mode)| Side { path, mode, bytes: bytes.unwrap_or_default(), size })
    };
    let [old, new] = file.sizes;
    FileDiff {
        old: side(file.old_path, file.old_mode, file.old, old),
        new: side(file.new_path, file.new_mode, file.new, new),
        readable: file.readable,
    }
}
