//! A plan for people: before it runs, while it runs, and what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use super::board;
use super::style::{Paint, Style, count, pad, width};
use super::time::span;
use crate::core::id::{TaskId, TaskName};
use crate::core::plan::OnFailure;
use crate::core::report::plan::{PlanReport, PlanTask, Preview, PreviewTask};
use crate::core::report::{self, Standing};
use crate::core::state::{State, Task, TaskState};
use crate::core::task::quote;
use crate::core::word::shown;

/// Of tasks that differ only in their item so many are shown.
const MOST_ITEMS: usize = 3;
/// Files that are named of one task.
const MOST_FILES: usize = 5;

/// Draw what it would do.
///
/// # Errors
/// Where `out` cannot be written to.
pub fn preview(out: &mut dyn Write, plan: &Preview, style: &Style) -> io::Result<()> {
    let levels = plan.tasks.iter().map(|task| task.level + 1).max().unwrap_or(0);
    let side_by_side = (0..levels).map(|level| plan.tasks.iter().filter(|task| task.level == level).count()).max();
    let tasks = count(plan.tasks.len() as u64, "task");
    let levels_text = count(levels as u64, "level");
    let head = format!(
        "plan {} ({}): {tasks}, {levels_text}, at most {} side by side",
        plan.name,
        plan.file,
        side_by_side.unwrap_or(0).min(plan.concurrency.map_or(usize::MAX, |most| most as usize))
    );
    writeln!(out, "{}", style.paint(Paint::Strong, head))?;
    for level in 0..levels {
        let of_level: Vec<&PreviewTask> = plan.tasks.iter().filter(|task| task.level == level).collect();
        let mut names: Vec<&str> = of_level.iter().map(|task| task.task.as_str()).collect();
        names.dedup();
        for (place, name) in names.iter().enumerate() {
            let same: Vec<&&PreviewTask> = of_level.iter().filter(|task| task.task == *name).collect();
            let number = if place == 0 { (level + 1).to_string() } else { String::new() };
            for task in same.iter().take(MOST_ITEMS) {
                writeln!(out, "{}", line(&number, task, plan, style))?;
                if let Some(prompt) = &task.prompt {
                    let first = shown(prompt.lines().next().unwrap_or_default());
                    writeln!(out, "      {}", style.paint(Paint::Faint, format!("is told: {first}")))?;
                }
            }
            if same.len() > MOST_ITEMS {
                writeln!(out, "    … and {} more of {name}", same.len() - MOST_ITEMS)?;
            }
        }
    }
    for each in &plan.unexpanded {
        let words =
            format!("{} is there for each line of `{}`, which was not run; --expand runs it", each.task, each.command);
        writeln!(out, "{} {words}", style.paint(Paint::Look, "not known:"))?;
    }
    match plan.on_failure {
        OnFailure::Continue => {}
        OnFailure::Stop => writeln!(out, "where one fails, what waits is withdrawn")?,
        OnFailure::DiscardAll => writeln!(out, "where one fails, all of it is cancelled and discarded")?,
    }
    for overlap in &plan.overlaps {
        let words = format!("{} and {} may both touch {}", overlap.one, overlap.other, shown(&overlap.paths));
        writeln!(out, "{} {words}", style.paint(Paint::Look, "overlap:"))?;
    }
    writeln!(out, "{}", style.paint(Paint::Faint, format!("nothing was run; `pleach run {}` does", quote(&plan.file))))
}

fn line(number: &str, task: &PreviewTask, plan: &Preview, style: &Style) -> String {
    let needed: BTreeSet<&TaskName> = task.needs.iter().collect();
    let (mut needs, mut groups): (Vec<&str>, BTreeMap<&str, bool>) = Default::default();
    for known in &plan.tasks {
        *groups.entry(&known.task).or_insert(true) &= needed.contains(&known.name);
    }
    for need in plan.tasks.iter().filter(|known| needed.contains(&known.name)) {
        // All that are called so, by that name; one for the same item by its own.
        let is_all = groups.get(need.task.as_str()).is_some_and(|is_all| *is_all);
        let shown = if is_all { need.task.as_str() } else { need.name.as_str() };
        if needs.last() != Some(&shown) {
            needs.push(shown);
        }
    }
    let after = if needs.is_empty() { String::new() } else { format!("  after {}", needs.join(", ")) };
    let paths = if task.paths.is_empty() { String::new() } else { format!("  in {}", task.paths.join(", ")) };
    let name = pad(&style.paint(Paint::Strong, task.name.to_string()), 16.max(width(task.name.as_str())));
    format!(
        "{number:<3} {name}  {}{}",
        shown(&task.command),
        style.paint(Paint::Faint, shown(&format!("{after}{paths}")))
    )
}

/// Who was told to have ended.
#[derive(Debug, Default)]
pub struct Ended(BTreeSet<(TaskId, u32, bool)>);

impl Ended {
    /// A line for each task that has ended, or whose result got anywhere, since the last look.
    pub fn news(&mut self, state: &State, tasks: &[TaskId], style: &Style) -> Vec<String> {
        let rests = |task: &&Task| {
            !task.has_work_ahead() && !matches!(task.state, TaskState::Queued { .. } | TaskState::Landing { .. })
        };
        let at_rest = tasks.iter().filter_map(|id| state.task(*id)).filter(rests);
        let mark = |task: &Task| {
            (task.id, task.attempts.len() as u32, matches!(task.state, TaskState::Folded(_) | TaskState::Discarded))
        };
        let news: Vec<&Task> = at_rest.filter(|task| self.0.insert(mark(task))).collect();
        news.into_iter().map(|task| told(state, task, style)).collect()
    }
}

fn told(state: &State, task: &Task, style: &Style) -> String {
    let row = report::rows(state, &[task], &report::Seen::default(), task.updated).remove(0);
    let name = row.name.as_ref().map_or_else(|| row.id.to_string(), |name| format!("{} {name}", row.id));
    let why = if row.why.is_empty() { String::new() } else { format!(" {}", shown(&row.why)) };
    let change = board::change(row.files, row.insertions, row.deletions);
    let change = if change.is_empty() { change } else { format!(" · {change}") };
    format!("  {name}: {}{why}{change}", style.paint(board::paint_of(row.state), row.state.as_str()))
}

/// Where a task stands, in a word.
pub fn stands(state: &State, task: &Task) -> String {
    let row = report::rows(state, &[task], &report::Seen::default(), task.updated).remove(0);
    row.state.to_string()
}

/// Draw what came of it.
///
/// # Errors
/// Where `out` cannot be written to.
pub fn report(out: &mut dyn Write, plan: &PlanReport, style: &Style) -> io::Result<()> {
    let paint = match (plan.ended, plan.ok) {
        (false, _) => Paint::Busy,
        (true, true) => Paint::Good,
        (true, false) => Paint::Bad,
    };
    writeln!(
        out,
        "{} {}",
        style.paint(Paint::Strong, format!("plan {}", plan.plan)),
        style.paint(paint, plan.verdict())
    )?;
    let name = |task: &PlanTask| match &task.row.name {
        Some(name) => format!("{} {name}", task.row.id),
        None => task.row.id.to_string(),
    };
    let longest = plan.tasks.iter().map(|task| width(&name(task))).max().unwrap_or(0).min(40);
    for task in &plan.tasks {
        let row = &task.row;
        let state = style.paint(board::paint_of(row.state), pad(row.state.as_str(), 9));
        let time = row.duration_ms.map(span).unwrap_or_default();
        let change = board::change(row.files, row.insertions, row.deletions);
        let words: Vec<String> = [row.why.as_str(), task.summary.lines().next().unwrap_or_default()]
            .iter()
            .filter(|word| !word.is_empty())
            .map(|word| shown(word))
            .collect();
        let line =
            format!("  {}  {state}  {time:>6}  {}  {}", pad(&name(task), longest), pad(&change, 16), words.join(": "));
        writeln!(out, "{}{}", line.trim_end(), if task.picked { " (picked)" } else { "" })?;
        for flag in &task.flags {
            writeln!(out, "      {} {}", style.paint(Paint::Look, "look:"), shown(&flag.to_string()))?;
        }
        for commit in task.commit_list.iter().take(MOST_FILES) {
            writeln!(
                out,
                "      {}",
                style.paint(Paint::Faint, format!("{:.8} {}", commit.id, shown(&commit.subject)))
            )?;
        }
        if !task.file_list.is_empty() {
            let files: Vec<String> = task.file_list.iter().take(MOST_FILES).map(|file| file.path.shown()).collect();
            let more = task.file_list.len().saturating_sub(MOST_FILES);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            writeln!(out, "      {}", style.paint(Paint::Faint, format!("{}{more}", files.join(" "))))?;
        }
    }
    next_step(out, plan, style)
}

fn next_step(out: &mut dyn Write, plan: &PlanReport, style: &Style) -> io::Result<()> {
    let count_of = |state: Standing| plan.counts.get(&state).copied().unwrap_or(0);
    let is_try = |task: &&PlanTask| task.candidate.is_some() && task.row.state == Standing::Ready && !task.picked;
    let tries: Vec<&PlanTask> = plan.tasks.iter().filter(is_try).collect();
    let mut steps = Vec::new();
    if !plan.ended {
        steps.push((format!("pleach wait --plan {}", plan.plan), "wait for it"));
    }
    if let [first, ..] = tries.as_slice() {
        let named = |task: &PlanTask| task.row.name.as_ref().map_or(task.row.id.to_string(), ToString::to_string);
        if let Some(second) = tries.iter().find(|other| other.task == first.task && other.row.id != first.row.id) {
            steps.push((format!("pleach diff {} --against {}", named(second), named(first)), "compare two tries"));
        }
        steps.push((format!("pleach pick {}", named(first)), "take one of several tries"));
    } else if count_of(Standing::Ready) > 0 {
        steps.push((format!("pleach merge --plan {}", plan.plan), "fold what is ready"));
    }
    let is_dropped = |task: &PlanTask| task.row.state == Standing::Discarded && plan.stopped_by.is_some();
    let by = plan.tasks.iter().find(|task| Some(task.row.id) == plan.stopped_by && is_dropped(task));
    if let Some(failed) = by.or(plan.tasks.iter().find(|task| task.row.state == Standing::Failed)) {
        steps.push((format!("pleach logs {}", failed.row.id), "see why it failed"));
    }
    if let Some(kept) = plan.tasks.iter().find(|task| is_dropped(task) && !task.file_list.is_empty()) {
        steps.push((format!("pleach restore {}", kept.row.id), "get a discarded result back"));
    }
    let widest = steps.iter().map(|(command, _)| width(command)).max().unwrap_or(0).max(28);
    for (command, to) in steps {
        writeln!(out, "{}", style.paint(Paint::Faint, format!("  {} {to}", pad(&command, widest))))?;
    }
    Ok(())
}
