//! `review`.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::fold::{as_json, code, say};
use super::plan::{self, meant};
use super::{Context, answer, print_json};
use crate::cli::args::ReviewArgs;
use crate::cli::exit;
use crate::cli::leave::{Before, GoesOn};
use crate::cli::progress::Ticking;
use crate::cli::review as view;
use crate::cli::style::{Paint, Style, count};
use crate::core::id::{AttemptId, TaskHandle, TaskId};
use crate::core::report::{FileChange, SCHEMA};
use crate::core::review::{FileSheet, Remarks, Sheet, Verdict};
use crate::core::word::shown;
use crate::ops::fold::How;
use crate::ops::review::{self, Applied, Done, Reviews};
use crate::ops::{Error, ErrorKind, Session, draft, find};
use crate::process::Tool;
use crate::web;

pub(super) fn review(context: &Context, args: &ReviewArgs) -> Result<u8, Error> {
    if let Some(file) = &args.apply {
        return apply(context, args, file);
    }
    if args.web {
        return web(context, args);
    }
    let session = context.session()?;
    let tasks = meant(&session, args.plan.as_deref(), &args.tasks, plan::is_ready)?;
    let is_nothing = args.plan.is_some() && tasks.is_empty();
    if !args.json && !is_nothing && view::is_possible() && !review::list(&session, &tasks)?.is_empty() {
        return look(context, args, &session, &tasks);
    }
    let mut all = if is_nothing { Vec::new() } else { review::of(&session, &tasks)? };
    all.iter_mut().try_for_each(|reviewed| draft::take_up(&session, reviewed))?;
    let reviews: Vec<Sheet> = all.into_iter().map(|reviewed| reviewed.sheet).collect();
    if args.json {
        return answer(|out| print_json(out, &Reviews { schema: SCHEMA, reviews }));
    }
    answer(|out| overview(out, &reviews, &context.style()))
}

/// On the whole of the terminal.
fn look(context: &Context, args: &ReviewArgs, session: &Session, tasks: &[TaskHandle]) -> Result<u8, Error> {
    Ok(look_and_tell(context, args, session, tasks)?.unwrap_or(0))
}

/// Review one result for who has the terminal already; was anything told there?
pub(in crate::cli) fn lent(context: &Context, task: TaskId) -> Result<bool, Error> {
    let tasks = [TaskHandle::Id(task)];
    Ok(look_and_tell(context, &ReviewArgs::default(), &context.session()?, &tasks)?.is_some())
}

/// The exit code, where anything was told.
fn look_and_tell(
    context: &Context,
    args: &ReviewArgs,
    session: &Session,
    tasks: &[TaskHandle],
) -> Result<Option<u8>, Error> {
    match view::show(context, session, tasks)? {
        view::Left::Kept => Ok(None),
        view::Left::CarryOut(sheets) => carry_out(context, args, &sheets, Before::View).map(Some),
        view::Left::Signal(number) => {
            // Whoever waits for us is to see that it was the signal.
            let _ = signal_hook::low_level::emulate_default_handler(number);
            Ok(Some(exit::of(ErrorKind::Interrupted)))
        }
    }
}

/// Read a review from a file, or from standard input.
pub(super) fn read(file: &Path) -> Result<Vec<Sheet>, Error> {
    let text = match file == Path::new("-") {
        true => {
            let mut text = String::new();
            io::stdin().lock().read_to_string(&mut text).map(|_| text)
        }
        false => fs::read_to_string(file),
    };
    let shown = file.display();
    let text = text.map_err(|error| {
        Error::new(
            ErrorKind::Usage,
            format!("cannot read the review {shown}: {error}"),
            "name a file that `pleach review --json` wrote",
        )
    })?;
    review::read(&text)
}

fn apply(context: &Context, args: &ReviewArgs, file: &Path) -> Result<u8, Error> {
    carry_out(context, args, &read(file)?, Before::Nobody)
}

fn carry_out(context: &Context, args: &ReviewArgs, sheets: &[Sheet], before: Before) -> Result<u8, Error> {
    let mut session = context.strict_session()?;
    let how = how(args);
    let applied = {
        // What is folded may be verified first, and that takes long.
        let accepted = sheets.iter().filter(|sheet| how.is_some() && sheet.verdict == Some(Verdict::Accept));
        let accepted: Vec<TaskHandle> = accepted.map(|sheet| sheet.task.clone()).collect();
        let ids: Vec<TaskId> = find(&session.state()?, &accepted)?.iter().map(|task| task.id).collect();
        let _ticking = Ticking::start(context, &ids, args.json);
        let names: Vec<String> = accepted.iter().map(ToString::to_string).collect();
        let _goes_on = (!names.is_empty()).then(|| GoesOn::fold(&names, before));
        review::apply(&mut session, sheets, how.as_ref())?
    };
    if args.json {
        let answers: Vec<Answer<'_>> = applied.iter().map(Answer::of).collect();
        answer(|out| print_json(out, &answers))?;
    } else {
        answer(|out| {
            let style = context.style();
            applied.iter().try_for_each(|applied| tell(out, applied, &style))
        })?;
    }
    let codes = applied.iter().map(|applied| match &applied.done {
        Done::Folded { told, .. } => code(&told.fate),
        _ => 0,
    });
    Ok(codes.filter(|code| *code != 0).min().unwrap_or(0))
}

fn how(args: &ReviewArgs) -> Option<How> {
    let how = How { into: args.into.clone(), accept_flags: args.accept_flags, ..How::default() };
    (!args.no_merge).then_some(how)
}

/// The same in a browser, until somebody ends it.
fn web(context: &Context, args: &ReviewArgs) -> Result<u8, Error> {
    let settings = web::Settings {
        directory: context.directory.clone(),
        tasks: args.tasks.clone(),
        how: how(args),
        told: |applied| {
            let mut words = Vec::new();
            let told = tell(&mut words, applied, &Style::plain());
            let mut value = serde_json::to_value(Answer::of(applied)).unwrap_or_default();
            value["words"] =
                Value::from(told.map(|()| String::from_utf8_lossy(&words).into_owned()).unwrap_or_default());
            value
        },
    };
    // Whoever opens it may read it there, and nobody else: what a program is called with is seen by every user.
    let mut note = None;
    let up = |address: &str| {
        answer(|out| writeln!(out, "{address}"))?;
        super::tell("open that address in a browser on this machine; Ctrl-C ends it");
        if args.open {
            note = Some(open(address)?);
        }
        Ok(())
    };
    web::serve(settings, up).map(|()| 0)
}

/// Open an address by way of a file that only its user can read.
fn open(address: &str) -> Result<tempfile::TempPath, Error> {
    let cannot = |why: String| {
        let message = format!("cannot open a browser: {why}");
        Error::new(ErrorKind::Error, message, "leave out `--open`, and open the address yourself")
    };
    let mut file = tempfile::Builder::new()
        .prefix("pleach-review-")
        .suffix(".html")
        .tempfile()
        .map_err(|error| cannot(error.to_string()))?;
    writeln!(file, "<!doctype html><meta http-equiv=\"refresh\" content=\"0; url={address}\">")
        .map_err(|error| cannot(error.to_string()))?;
    let path = file.into_temp_path();
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let null = std::process::Stdio::null;
    let started = Tool::new(program).arg(&path).stdin(null()).stdout(null()).stderr(null()).spawn();
    started.map(drop).map_err(|error| cannot(error.to_string()))?;
    Ok(path)
}

/// What became of one, as JSON.
#[derive(Serialize)]
struct Answer<'a> {
    review: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<AttemptId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    untold: Option<&'a Remarks>,
    #[serde(flatten)]
    fold: super::fold::Answer<'a>,
}

impl<'a> Answer<'a> {
    fn of(applied: &'a Applied) -> Self {
        let plain = |result| super::fold::Answer::plain(applied.task, result);
        let (review, part, fold) = match &applied.done {
            Done::Accepted { part } => ("accepted", *part, plain("ready")),
            Done::Folded { part, told } => ("accepted", *part, as_json(told)),
            Done::Discarded => ("refused", None, plain("discarded")),
            Done::SentBack => ("sent_back", None, plain("pending")),
            Done::Left => ("left", None, plain("ready")),
        };
        Self { review, part, untold: applied.untold.as_ref(), fold }
    }
}

fn tell(out: &mut dyn Write, applied: &Applied, style: &Style) -> io::Result<()> {
    let task = applied.task;
    let whole =
        |part: &Option<AttemptId>| part.map(|part| format!("the accepted part is attempt {part}; all of it is kept"));
    if applied.was_discarded {
        writeln!(out, "task {task}: it had been discarded, and is taken up again")?;
    }
    match &applied.done {
        Done::Left => writeln!(out, "task {task}: nothing was said of it")?,
        Done::Discarded => writeln!(out, "task {task}: discarded; take that back with `pleach restore {task}`")?,
        Done::SentBack => writeln!(out, "task {task}: runs again, and is told what the review says")?,
        Done::Accepted { part } => {
            let words = whole(part).unwrap_or_else(|| "accepted".to_owned());
            writeln!(out, "task {task}: {words}; fold it with `pleach merge {task}`")?;
        }
        Done::Folded { part, told } => {
            if let Some(words) = whole(part) {
                writeln!(out, "task {task}: {words}")?;
            }
            say(out, told, "merge", style)?;
        }
    }
    applied.untold.iter().try_for_each(|remarks| untold(out, remarks))
}

/// What was said of a result that is not sent back: nobody else is told, so it is not to vanish unseen.
fn untold(out: &mut dyn Write, remarks: &Remarks) -> io::Result<()> {
    writeln!(out, "  what you said of it reaches no task, for it is not sent back:")?;
    let said = remarks.says.iter().flat_map(|says| says.lines().map(shown));
    let comments = remarks.comments.iter().map(|comment| shown(&comment.to_string()));
    said.chain(comments).try_for_each(|line| writeln!(out, "    {line}"))
}

/// What there is to review, in lines.
fn overview(out: &mut dyn Write, reviews: &[Sheet], style: &Style) -> io::Result<()> {
    if reviews.is_empty() {
        return writeln!(out, "no result waits for a review");
    }
    for sheet in reviews {
        let task = match &sheet.task {
            TaskHandle::Id(id) => id.to_string(),
            TaskHandle::Name(name) => name.to_string(),
        };
        let name = sheet.name.as_deref().or(sheet.command.as_deref()).unwrap_or_default();
        writeln!(out, "task {task}  {}", style.paint(Paint::Strong, shown(name)))?;
        for flag in &sheet.flags {
            writeln!(out, "  {} {}", style.paint(Paint::Look, "flagged:"), shown(flag))?;
        }
        sheet.files.iter().try_for_each(|file| line(out, file, style))?;
    }
    writeln!(out, "\nread one with `pleach diff TASK`; as data, to accept parts of it: `pleach review --json TASK`")
}

fn line(out: &mut dyn Write, file: &FileSheet, style: &Style) -> io::Result<()> {
    let mark = match file.change {
        Some(FileChange::Added) => 'A',
        Some(FileChange::Deleted) => 'D',
        Some(FileChange::Renamed) => 'R',
        _ => 'M',
    };
    let from = file.old_path.as_ref().map(|old| format!("{} -> ", old.shown())).unwrap_or_default();
    let path = format!("{from}{}", file.path.shown());
    let hunks = file.hunks.len() as u64;
    write!(out, "  {mark} {path}  +{} -{}", file.insertions, file.deletions)?;
    if hunks > 1 {
        write!(out, "  {}", count(hunks, "hunk"))?;
    }
    if let Some(why) = &file.look_first {
        write!(out, "  {} {why}", style.paint(Paint::Look, "look:"))?;
    }
    writeln!(out)
}
