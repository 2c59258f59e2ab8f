//! One task in full, as a page.

use std::io::{self, Write};

use super::board::{change, note, paint_of};
use super::diff_view::stat;
use super::style::{Paint, Style, pad};
use super::time::{ago, clock, span};
use crate::config::units::Bytes;
use crate::core::change::{Conflict, Refusal};
use crate::core::id::TaskId;
use crate::core::provider::Provider;
use crate::core::report::{AttemptReport, NeedReport, TaskReport};
use crate::core::sandbox::Tier;
use crate::core::sandbox::traffic::Traffic;
use crate::core::task::{FoldPolicy, Priority};
use crate::core::word::{Word, shown};

/// What is said of a part that is not there any more.
const FREED: &str = "freed by gc";

/// Draw the page.
///
/// # Errors
/// Where `out` cannot be written to.
pub fn draw(out: &mut dyn Write, task: &TaskReport, style: &Style) -> io::Result<()> {
    head(out, task, style)?;
    asked(out, task, style)?;
    for attempt in &task.attempts {
        draw_attempt(out, task, attempt, style)?;
    }
    result(out, task, style)?;
    if let Some(Refusal::Conflict(conflict)) = &task.refusal {
        draw_conflict(out, conflict, style)?;
        for path in &task.rerere {
            writeln!(out, "  git rerere knows a resolution for {}", path.shown())?;
        }
    }
    foreseen(out, task, style)?;
    hints(out, task, style)
}

fn head(out: &mut dyn Write, task: &TaskReport, style: &Style) -> io::Result<()> {
    let row = &task.row;
    let title = match &row.name {
        Some(name) => format!("task {} {name}", row.id),
        None => format!("task {}", row.id),
    };
    let state = style.paint(paint_of(row.state), row.state.as_str());
    let note = note(row);
    // "conflict in a.rs" is a sentence; "failed" and "exit 1" are two things to know.
    let between = match note.split(' ').next() {
        None | Some("") => "",
        Some("in" | "into" | "by") => " ",
        Some(_) => ", ",
    };
    writeln!(out, "{}: {state}{between}{note}", style.paint(Paint::Strong, title))
}

fn asked(out: &mut dyn Write, task: &TaskReport, style: &Style) -> io::Result<()> {
    let row = &task.row;
    field(out, "command", &row.command)?;
    field(out, "asked", &format!("{} ({})", clock(row.submitted, &style.zone), ago(row.submitted, task.at)))?;
    let mut how = Vec::new();
    if row.priority != Priority::Normal {
        how.push(format!("priority {}", row.priority));
    }
    how.extend(row.group.as_ref().map(|group| format!("group {}", shown(group))));
    how.extend(task.timeout.map(|seconds| format!("at most {}", span(seconds * 1000))));
    if task.fold != FoldPolicy::Review {
        how.push(format!("fold {}", task.fold));
    }
    how.extend(task.strategy.map(|strategy| format!("strategy {strategy}")));
    field(out, "how", &how.join(", "))?;
    field(out, "base", &format!("{:.12}", task.base))?;
    let role = task.role.as_ref().map(|role| {
        format!("{} of {} ({:.12}, {})", shown(role.name.as_str()), role.source, role.hash, role.allowed.as_str())
    });
    field(out, "role", &role.unwrap_or_default())?;
    field(out, "plan", &row.plan.as_ref().map(ToString::to_string).unwrap_or_default())?;
    field(out, "target", &row.target.as_ref().map(|target| shown(&target.0)).unwrap_or_default())?;
    field(out, "branch", &row.branch.as_ref().map(|branch| shown(&branch.0)).unwrap_or_default())?;
    field(out, "message", &task.message.as_deref().map(shown).unwrap_or_default())?;
    field(out, "needs", &task.need_states.iter().map(need).collect::<Vec<_>>().join(", "))?;
    let ids = |ids: &[TaskId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    field(out, "needed by", &ids(&task.needed_by))?;
    field(out, "asked by", &row.parent.map(|parent| format!("task {parent}")).unwrap_or_default())?;
    field(out, "delegated", &ids(&task.children))
}

fn need(need: &NeedReport) -> String {
    let name = need.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
    let state = need.state.map_or("not there", |state| state.as_str());
    format!("{}{name} ({state})", need.id)
}

fn draw_attempt(out: &mut dyn Write, task: &TaskReport, attempt: &AttemptReport, style: &Style) -> io::Result<()> {
    let title = style.paint(Paint::Strong, format!("attempt {}", attempt.id));
    let paint = match &attempt.outcome {
        None => Paint::Busy,
        Some(outcome) if outcome.is_success() => Paint::Good,
        Some(_) => Paint::Bad,
    };
    let how = attempt.outcome.as_ref().map_or("running".to_owned(), |outcome| shown(&outcome.to_string()));
    let how = style.paint(paint, how);
    let since = if attempt.outcome.is_some() { "ran" } else { "for" };
    writeln!(out, "\n{title}: {how}, {since} {}", span(attempt.duration_ms))?;
    field(out, "started", &clock(attempt.started, &style.zone))?;
    if attempt.base.is_some_and(|base| base != task.base) {
        field(out, "base", &attempt.base.map(|base| format!("{base:.12}")).unwrap_or_default())?;
    }
    let whole = attempt.part_of.map(|whole| format!("attempt {whole}: what somebody accepted of its result"));
    field(out, "part of", &whole.unwrap_or_default())?;
    let handed = attempt.hand_back.as_ref().map(|hand_back| shown(&hand_back.to_string()));
    field(out, "given", &handed.unwrap_or_default())?;
    field(out, "sandbox", &attempt.sandbox.map(sandbox).unwrap_or_default())?;
    field(out, "files", attempt.provider.map(worktree).unwrap_or_default())?;
    for warning in &attempt.warnings {
        field(out, "warning", &shown(&warning.to_string()))?;
    }
    for line in attempt.network.iter().flat_map(Traffic::lines) {
        field(out, "network", &line)?;
    }
    field(out, "used", &used(attempt))?;
    field(out, "log", &log(attempt))?;
    field(out, "worktree", &attempt.places.worktree.as_ref().map(Word::shown).unwrap_or_default())?;
    let over = |path: &Word| format!("{} (over a base image; only its sandbox shows the whole)", path.shown());
    field(out, "written", &attempt.places.written.as_ref().map(over).unwrap_or_default())?;
    let size = attempt.size;
    field(out, "changed", &change(size.files, size.insertions, size.deletions))?;
    let kept = attempt.places.kept.clone().filter(|_| attempt.tip.is_some());
    field(out, "kept as", kept.as_deref().unwrap_or(if attempt.freed { FREED } else { "" }))?;
    for line in attempt.summary.iter().flat_map(|summary| summary.lines()) {
        field(out, "summary", &shown(line))?;
    }
    if attempt.leaked > 0 {
        field(out, "leaked", &leaked(attempt.leaked))?;
    }
    field(out, "refused", &attempt.uncollected.as_deref().map(shown).unwrap_or_default())?;
    for flag in &attempt.flags {
        field(out, "flag", &flag.to_string())?;
    }
    for (name, commit) in &attempt.extras {
        field(out, "also left", &format!("{} {commit:.12}", shown(name)))?;
    }
    for text in &attempt.notes {
        field(out, "note", &shown(text))?;
    }
    Ok(())
}

fn worktree(provider: Provider) -> &'static str {
    match provider {
        Provider::Slot => "slot (used again, with what git ignores)",
        Provider::Snapshot => "snapshot (new, of a base image)",
        Provider::Reflink => "reflink (new, shares the content of a base image)",
        Provider::Overlay => "overlay (what it wrote lay over a base image, in its sandbox)",
        Provider::Parallel => "parallel (new, written by several threads)",
        Provider::Plain => "plain (new, written by git)",
    }
}

fn sandbox(tier: Tier) -> String {
    match tier {
        Tier::Full => tier.to_string(),
        Tier::Reduced => "reduced: it could read all that you can".to_owned(),
        Tier::None => "none: it could do all that you can".to_owned(),
    }
}

fn used(attempt: &AttemptReport) -> String {
    let mut parts = Vec::new();
    if attempt.cpu_ms > 0 {
        parts.push(format!("{} of processor", span(attempt.cpu_ms)));
    }
    if attempt.max_rss_kb > 0 {
        parts.push(format!("{} of memory", Bytes(attempt.max_rss_kb * 1024)));
    }
    parts.join(", ")
}

fn leaked(number: u64) -> String {
    let noun = if number == 1 { "process" } else { "processes" };
    format!("{number} {noun} left running, and killed")
}

fn log(attempt: &AttemptReport) -> String {
    let path = attempt.places.log.as_ref().map(Word::shown).unwrap_or_default();
    if attempt.outcome.is_none() {
        return path;
    }
    if path.is_empty() && attempt.log_bytes == 0 {
        return path;
    }
    if path.is_empty() {
        return format!("{FREED} ({})", Bytes(attempt.log_bytes));
    }
    let size = Bytes(attempt.log_bytes);
    let dropped = match attempt.log_dropped {
        0 => String::new(),
        bytes => format!(", {} from its middle not kept", Bytes(bytes)),
    };
    format!("{path} ({size}{dropped})")
}

fn result(out: &mut dyn Write, task: &TaskReport, style: &Style) -> io::Result<()> {
    if let Some(landed) = &task.landed {
        let title = style.paint(Paint::Strong, format!("folded into {}", shown(&landed.target.0)));
        writeln!(out, "\n{title}: {:.12} to {:.12}", landed.from, landed.to)?;
        if let Some(merged_by) = &landed.merged_by {
            writeln!(out, "  merged by driver {}", shown(merged_by))?;
        }
    }
    if task.commit_list.is_empty() && task.file_list.is_empty() {
        return Ok(());
    }
    let attempt = task.result.map(|number| format!("result of attempt {}.{number}", task.row.id));
    let title = attempt.unwrap_or_else(|| "result so far".to_owned());
    writeln!(out, "\n{}", style.paint(Paint::Strong, title))?;
    for commit in &task.commit_list {
        writeln!(out, "  {} {}", style.paint(Paint::Look, format!("{:.8}", commit.id)), shown(&commit.subject))?;
    }
    stat(out, &task.file_list, style)
}

fn draw_conflict(out: &mut dyn Write, conflict: &Conflict, style: &Style) -> io::Result<()> {
    let target = format!("conflict with {:.12}", conflict.onto);
    writeln!(out, "\n{}", style.paint(Paint::Strong, target))?;
    for path in &conflict.paths {
        let side = |name: &str, commit: Option<_>| commit.map(|id| format!("  {name} {id:.8}")).unwrap_or_default();
        writeln!(out, "  {}{}{}", path.path.shown(), side("there", path.ours), side("here", path.theirs))?;
    }
    Ok(())
}

fn foreseen(out: &mut dyn Write, task: &TaskReport, style: &Style) -> io::Result<()> {
    let row = &task.row;
    if row.will_conflict.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", style.paint(Paint::Strong, "conflicts to come"))?;
    for conflict in &row.will_conflict {
        writeln!(out, "  {}", shown(&conflict.words(row.target.as_ref())))?;
    }
    match row.will_conflict_more {
        0 => Ok(()),
        more => writeln!(out, "  and with {more} more"),
    }
}

fn hints(out: &mut dyn Write, task: &TaskReport, style: &Style) -> io::Result<()> {
    if task.hints.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", style.paint(Paint::Strong, "next"))?;
    let column = task.hints.iter().map(|hint| hint.command.len()).max().unwrap_or(0);
    for hint in &task.hints {
        writeln!(out, "  {}   {}", pad(&hint.command, column), style.paint(Paint::Faint, hint.to.as_str()))?;
    }
    Ok(())
}

/// One field; nothing where there is nothing to say.
fn field(out: &mut dyn Write, name: &str, value: &str) -> io::Result<()> {
    if value.is_empty() {
        return Ok(());
    }
    writeln!(out, "  {name:<9} {value}")
}

#[cfg(test)]
mod tests;
