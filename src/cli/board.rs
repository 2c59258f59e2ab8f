//! The board: one line a task.
//!
//! On a terminal it fits: first the note gives way, then the task, then whole columns. In a pipe nothing is cut.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::style::{Paint, Style, count, fit, pad, width};
use super::time::span;
use crate::core::id::TaskId;
use crate::core::report::{Board, Progress, Row, Standing};
use crate::core::sandbox::Warning;
use crate::core::word::shown;

/// Draw the board.
///
/// # Errors
/// Where `out` cannot be written to.
pub fn draw(out: &mut dyn Write, board: &Board, style: &Style) -> io::Result<()> {
    if board.tasks.is_empty() && board.hidden == 0 {
        writeln!(out, "no task yet: start one with `pleach run -- COMMAND`")?;
        return if board.paused { writeln!(out, "{}", footer(board)) } else { Ok(()) };
    }
    if !board.tasks.is_empty() {
        table(out, board, style)?;
    }
    writeln!(out, "{}", style.paint(Paint::Faint, fit_all(&footer(board), style)))
}

/// Draw only its rows, of which there must be one.
///
/// # Errors
/// Where `out` cannot be written to.
pub fn rows(out: &mut dyn Write, board: &Board, style: &Style) -> io::Result<()> {
    table(out, board, style)
}

/// What a state looks like.
pub fn paint_of(state: Standing) -> Paint {
    match state {
        Standing::Running | Standing::Cancelling | Standing::Queued | Standing::Landing => Paint::Busy,
        Standing::Rejected | Standing::Failed | Standing::Conflict | Standing::Blocked => Paint::Bad,
        Standing::Ready | Standing::Held => Paint::Look,
        Standing::Folded => Paint::Good,
        Standing::Waiting => Paint::Plain,
        Standing::Empty | Standing::Withdrawn | Standing::Discarded => Paint::Faint,
    }
}

/// `47/89 checking src/app.ts`
pub fn progress(progress: &Progress) -> String {
    let steps = match (progress.done, progress.total) {
        (done, Some(total)) => format!("{done}/{total}"),
        (0, None) => String::new(),
        (done, None) => done.to_string(),
    };
    join(&steps, " ", &shown(&progress.text))
}

/// `3 files +10 -2`
pub fn change(files: u32, insertions: u64, deletions: u64) -> String {
    if files == 0 {
        return String::new();
    }
    format!("{} +{insertions} -{deletions}", count(files.into(), "file"))
}

/// What one should know about a task, on one line.
pub fn note(row: &Row) -> String {
    let doing = row.progress.as_ref().map(progress).unwrap_or_default();
    let rest = if doing.is_empty() { row.line.as_str() } else { &doing };
    note_with(row, rest)
}

/// The same, ending in these words.
pub fn note_with(row: &Row, rest: &str) -> String {
    let about = join(&join(&row.why, "; ", &warned(row)), "; ", &foreseen(row));
    shown(&join(&about, ": ", rest))
}

/// `reduced sandbox instead of full`
fn warned(row: &Row) -> String {
    row.warnings.iter().filter_map(Warning::in_short).collect::<Vec<_>>().join("; ")
}

/// `will conflict with 7 in src/a.rs, and with 2 more`
fn foreseen(row: &Row) -> String {
    let Some(first) = row.will_conflict.first() else { return String::new() };
    let more = row.will_conflict.len() - 1 + row.will_conflict_more;
    let more = if more > 0 { format!(", and with {more} more") } else { String::new() };
    format!("{}{more}", first.words(row.target.as_ref()))
}

const TITLES: [&str; COLUMNS] = ["ID", "TASK", "STATE", "TIME", "CHANGE", "NOTE"];
const COLUMNS: usize = 6;
const TASK: usize = 1;
const STATE: usize = 2;
const TIME: usize = 3;
const CHANGE: usize = 4;
const NOTE: usize = 5;
const GAP: usize = 2;

fn table(out: &mut dyn Write, board: &Board, style: &Style) -> io::Result<()> {
    let tasks = below(&board.tasks);
    let rows: Vec<[String; COLUMNS]> = tasks.iter().map(|(row, depth)| cells(row, *depth)).collect();
    let mut widths = TITLES.map(width);
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            widths[column] = widths[column].max(width(cell));
        }
    }
    // A column that is empty everywhere only takes room away.
    for column in [CHANGE, NOTE] {
        if rows.iter().all(|row| row[column].is_empty()) {
            widths[column] = 0;
        }
    }
    if let Some(room) = style.width {
        shrink(&mut widths, room);
    }
    let title = TITLES.map(str::to_owned);
    line(out, &title, &widths, style, |_| Paint::Strong)?;
    for (row, (task, _)) in rows.iter().zip(&tasks) {
        line(out, row, &widths, style, |column| if column == STATE { paint_of(task.state) } else { Paint::Plain })?;
    }
    Ok(())
}

/// The rows, with those that a task asked for below it, each with how deep it stands.
fn below(rows: &[Row]) -> Vec<(&Row, usize)> {
    let place: BTreeMap<TaskId, usize> = rows.iter().enumerate().map(|(at, row)| (row.id, at)).collect();
    let mut children: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        // Whoever asked is older: where that is not so, nobody is led in a circle.
        let parent = row.parent.filter(|parent| *parent < row.id).and_then(|parent| place.get(&parent).copied());
        children.entry(parent).or_default().push(at);
    }
    let mut open: Vec<(usize, usize)> = children.get(&None).into_iter().flatten().rev().map(|top| (*top, 0)).collect();
    let mut ordered = Vec::new();
    while let Some((at, depth)) = open.pop() {
        ordered.push((&rows[at], depth));
        open.extend(children.get(&Some(at)).into_iter().flatten().rev().map(|child| (*child, depth + 1)));
    }
    ordered
}

fn cells(row: &Row, depth: usize) -> [String; COLUMNS] {
    let task = row.name.as_ref().map_or_else(|| row.command.clone(), ToString::to_string);
    let branch = if depth == 0 { String::new() } else { format!("{:1$}└ ", "", 2 * (depth - 1)) };
    [
        row.id.to_string(),
        branch + &task,
        row.state.to_string(),
        row.duration_ms.map(span).unwrap_or_default(),
        change(row.files, row.insertions, row.deletions),
        note(row),
    ]
}

/// Make the columns fit. A width of 0 leaves a column out.
fn shrink(widths: &mut [usize; COLUMNS], room: usize) {
    const LEAST_NOTE: usize = 16;
    const LEAST_TASK: usize = 12;
    let give = |widths: &mut [usize; COLUMNS], column: usize, least: usize| {
        let over = total(widths).saturating_sub(room);
        widths[column] = widths[column].saturating_sub(over).max(least.min(widths[column]));
    };
    give(widths, NOTE, 2 * LEAST_NOTE);
    give(widths, TASK, 2 * LEAST_TASK);
    give(widths, NOTE, LEAST_NOTE);
    give(widths, TASK, LEAST_TASK);
    for column in [CHANGE, TIME] {
        if total(widths) > room {
            widths[column] = 0;
        }
    }
    give(widths, NOTE, 0);
    give(widths, TASK, 1);
}

fn total(widths: &[usize; COLUMNS]) -> usize {
    let shown = widths.iter().filter(|width| **width > 0);
    shown.map(|width| width + GAP).sum::<usize>().saturating_sub(GAP)
}

fn line(
    out: &mut dyn Write,
    cells: &[String; COLUMNS],
    widths: &[usize; COLUMNS],
    style: &Style,
    paint: impl Fn(usize) -> Paint,
) -> io::Result<()> {
    let shown: Vec<usize> = (0..COLUMNS).filter(|column| widths[*column] > 0).collect();
    let last = shown.iter().rev().find(|column| !cells[**column].is_empty());
    for column in &shown {
        let is_last = Some(column) == last;
        let cell = fit(&cells[*column], widths[*column]);
        let blanks = pad("", if is_last { 0 } else { widths[*column].saturating_sub(width(&cell)) + GAP });
        match *column {
            // Numbers are compared by their ends.
            0 => {
                let ahead = pad("", widths[0].saturating_sub(width(&cell)));
                write!(out, "{ahead}{}{:GAP$}", style.paint(paint(0), cell), "")?;
            }
            column => write!(out, "{}{blanks}", style.paint(paint(column), cell))?,
        }
        if is_last {
            break;
        }
    }
    writeln!(out)
}

fn footer(board: &Board) -> String {
    let mut parts = vec![format!("{} running", board.running), format!("{} waiting", board.waiting)];
    if board.attention > 0 {
        parts.push(format!("{} to look at", board.attention));
    }
    let mut text = parts.join(", ");
    if board.paused {
        text.push_str("; paused: `pleach resume` starts tasks again");
    }
    if board.hidden > 0 {
        text.push_str(&format!("; {} more settled: `pleach ls --all`", board.hidden));
    }
    text
}

fn fit_all(text: &str, style: &Style) -> String {
    style.width.map_or_else(|| text.to_owned(), |columns| fit(text, columns).into_owned())
}

fn join(a: &str, between: &str, b: &str) -> String {
    if a.is_empty() || b.is_empty() { format!("{a}{b}") } else { format!("{a}{between}{b}") }
}

#[cfg(test)]
mod tests;
