//! The line of each target as a picture: what is verified together, what waits, what was sent back.

use crate::cli::board;
use crate::cli::style::Paint;
use crate::core::id::{BranchName, TaskId};
use crate::core::report::{Row, Standing};
use crate::core::word::shown;
use crate::ops::monitor::Picture;
use crate::ops::queue::LineReport;

/// A line of the picture, in pieces.
pub(super) type Pieces = Vec<(String, Paint)>;

/// The whole picture.
pub(super) fn lines(picture: &Picture) -> Vec<Pieces> {
    let rows = &picture.board.tasks;
    let is_back = |row: &&Row| matches!(row.state, Standing::Rejected | Standing::Conflict | Standing::Held);
    let back: Vec<&Row> = rows.iter().filter(is_back).filter(|row| row.target.is_some()).collect();
    let known = picture.lines.iter().map(|line| &line.target);
    let mut targets: Vec<&BranchName> = known.chain(back.iter().filter_map(|row| row.target.as_ref())).collect();
    targets.sort();
    targets.dedup();
    let mut all = Vec::new();
    for target in targets {
        let line = picture.lines.iter().find(|line| line.target == *target);
        let back: Vec<&Row> = back.iter().filter(|row| row.target.as_ref() == Some(target)).copied().collect();
        all.push(heading(target, line));
        let below = below(rows, line, &back);
        let last = below.len().saturating_sub(1);
        all.extend(below.into_iter().enumerate().map(|(number, mut pieces)| {
            let branch = if number == last { " └─ " } else { " ├─ " };
            pieces.insert(0, (branch.to_owned(), Paint::Faint));
            pieces
        }));
    }
    if all.is_empty() {
        all.push(vec![("no result waits for its target".to_owned(), Paint::Faint)]);
    }
    all
}

fn heading(target: &BranchName, line: Option<&LineReport>) -> Pieces {
    let mut pieces = vec![(shown(&target.to_string()), Paint::Strong)];
    if let Some(head) = line.and_then(|line| line.head) {
        pieces.push((format!(" at {head:.8}"), Paint::Plain));
    }
    if let Some(line) = line.filter(|line| line.landed + line.evicted > 0) {
        pieces.push((format!("   {} landed, {} sent back by its check", line.landed, line.evicted), Paint::Faint));
    }
    pieces
}

fn below(rows: &[Row], line: Option<&LineReport>, back: &[&Row]) -> Vec<Pieces> {
    let mut all = Vec::new();
    let runs = line.map(|line| &line.runs[..]).unwrap_or_default();
    for run in runs {
        let tasks: Vec<String> = run.tasks.iter().map(|id| named(rows, *id)).collect();
        // A run without a result in it looks at the branch itself.
        let tasks = if tasks.is_empty() { "the branch alone".to_owned() } else { tasks.join(" + ") };
        all.push(vec![
            (format!("{:<10}", format!("run {}", run.run)), Paint::Busy),
            (tasks, Paint::Plain),
            (format!("   {}", shown(&run.command)), Paint::Faint),
        ]);
    }
    let is_verified = |id: TaskId| runs.iter().any(|run| run.tasks.contains(&id));
    for row in line.iter().flat_map(|line| &line.entries) {
        let (word, paint) = match row.state {
            Standing::Landing => ("lands", Paint::Good),
            _ if row.on_hold => ("on hold", Paint::Look),
            _ if is_verified(row.id) => continue,
            _ => ("waits", Paint::Plain),
        };
        all.push(entry(word, paint, row));
    }
    for row in back {
        let word = if row.state == Standing::Rejected { "sent back" } else { row.state.as_str() };
        all.push(entry(word, board::paint_of(row.state), row));
    }
    all
}

fn entry(word: &str, paint: Paint, row: &Row) -> Pieces {
    vec![(format!("{word:<10}"), paint), (name(row), Paint::Plain), (format!("   {}", shown(&row.why)), Paint::Faint)]
}

fn named(rows: &[Row], id: TaskId) -> String {
    let row = rows.binary_search_by_key(&id, |row| row.id).ok().map(|at| &rows[at]);
    row.map_or_else(|| id.to_string(), name)
}

/// `7 lint`
pub(super) fn name(row: &Row) -> String {
    match &row.name {
        Some(name) => format!("{} {}", row.id, shown(name.as_str())),
        None => row.id.to_string(),
    }
}
