//! `queue`: the line of each target, the verdicts, the log of a run.

use std::io::{self, Write};

use super::{Context, answer, print_json};
use crate::cli::args::{QueueArgs, QueueVerb};
use crate::cli::style::{Paint, Style};
use crate::cli::{board, time};
use crate::core::verify::Verdict;
use crate::core::word::shown;
use crate::ops::queue::{self as queue_op, LineReport, VerdictReport};
use crate::ops::{Error, Session, control};

pub(super) fn queue(context: &Context, args: &QueueArgs) -> Result<u8, Error> {
    let mut session = context.session()?;
    if let Some(verb) = &args.verb {
        return change(&mut session, verb);
    }
    if let Some(run) = args.log {
        return super::run::copy(&mut queue_op::log(&session, run)?).map(|_| 0);
    }
    if args.verdicts {
        let all = queue_op::verdicts(&session)?;
        if args.json {
            return answer(|out| print_json(out, &all));
        }
        let style = context.style();
        return answer(|out| all.verdicts.iter().try_for_each(|verdict| say_verdict(out, verdict, all.at, &style)));
    }
    let (queue, unconfined) = queue_op::queue(&mut session)?;
    context.warn_of_unconfined(unconfined);
    if args.json {
        return answer(|out| print_json(out, &queue));
    }
    let style = context.style();
    answer(|out| {
        if queue.lines.is_empty() {
            writeln!(out, "no result waits for its target")?;
        }
        queue.lines.iter().try_for_each(|line| say_line(out, line, &style))
    })
}

fn change(session: &mut Session, verb: &QueueVerb) -> Result<u8, Error> {
    let (ids, key, json, words) = match verb {
        QueueVerb::Move(args) => (
            control::move_in_line(session, &args.tasks, &args.to())?,
            "moved",
            args.json,
            "has another place in its line",
        ),
        QueueVerb::Hold(args) => (
            control::hold(session, &args.tasks, true)?,
            "held",
            args.json,
            "does not land until `pleach queue release`",
        ),
        QueueVerb::Release(args) => {
            (control::hold(session, &args.tasks, false)?, "released", args.json, "may land again")
        }
        QueueVerb::Remove(args) => {
            (control::leave(session, &args.tasks)?, "removed", args.json, "is out of its line, and up for review again")
        }
    };
    if json {
        return answer(|out| print_json(out, &serde_json::json!({ key: ids })));
    }
    answer(|out| ids.iter().try_for_each(|id| writeln!(out, "task {id} {words}")))
}

fn say_line(out: &mut dyn Write, line: &LineReport, style: &Style) -> io::Result<()> {
    let head = line.head.map(|head| format!(" at {head:.8}")).unwrap_or_default();
    writeln!(out, "{}{head}", style.paint(Paint::Strong, line.target.to_string()))?;
    for row in &line.entries {
        let name = row.name.as_ref().map_or_else(|| row.command.clone(), ToString::to_string);
        writeln!(out, "  {:>4}  {}  {}  {}", row.id, shown(&name), row.state, board::note(row))?;
    }
    for run in &line.runs {
        let tasks: Vec<String> = run.tasks.iter().map(ToString::to_string).collect();
        writeln!(
            out,
            "  run {} verifies {} as tree {:.8}: {}",
            run.run,
            tasks.join(" + "),
            run.tree,
            shown(&run.command)
        )?;
    }
    let seen = line.landed + line.evicted;
    if seen > 0 {
        let rate = line.failure_rate * 100.0;
        writeln!(
            out,
            "  {} landed, {} sent back; one in about {:.0} breaks it",
            line.landed,
            line.evicted,
            100.0 / rate
        )?;
    }
    Ok(())
}

fn say_verdict(out: &mut dyn Write, verdict: &VerdictReport, now: jiff::Timestamp, style: &Style) -> io::Result<()> {
    let kept = &verdict.kept;
    let paint = if kept.verdict == Verdict::Green { Paint::Good } else { Paint::Bad };
    let times = if kept.times > 1 { format!(", {} times", kept.times) } else { String::new() };
    let words = style.paint(paint, kept.verdict.to_string());
    writeln!(out, "run {:>4}  {}  {words}{times}, {}", kept.run, verdict.key, time::ago(kept.at, now))
}
