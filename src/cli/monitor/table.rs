//! The tasks as rows with columns; of a thousand only those are drawn that are seen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::model::{Focus, Model};
use super::tree::{Item, Key, Tally};
use super::view::{Look, put};
use crate::cli::style::{Paint, count, fit, pad, width};
use crate::cli::{board, time};
use crate::core::report::{Progress, Row};
use crate::core::task::Priority;
use crate::core::units::Bytes;
use crate::core::word::shown;

const COLUMNS: usize = 9;
const TITLES: [&str; COLUMNS] = ["TASK", "STATE", "", "PROGRESS", "TIME", "LEFT", "CPU", "MEMORY", "NOTE"];
const TASK: usize = 0;
const STATE: usize = 1;
const PRIORITY: usize = 2;
const PROGRESS: usize = 3;
const TIME: usize = 4;
const LEFT: usize = 5;
const CPU: usize = 6;
const MEMORY: usize = 7;
const NOTE: usize = 8;

/// How wide each column is; 0 leaves it out. The narrower the screen, the fewer there are.
fn widths(room: u16, has_progress: bool, has_estimates: bool, has_loads: bool) -> [u16; COLUMNS] {
    let mut widths = [0, 10, 1, 14, 6, 6, 5, 9, 0];
    if !has_progress {
        widths[PROGRESS] = 0;
    }
    if !has_estimates {
        widths[LEFT] = 0;
    }
    if !has_loads {
        (widths[CPU], widths[MEMORY]) = (0, 0);
    }
    for column in [PROGRESS, MEMORY, CPU, LEFT, PRIORITY, TIME] {
        if left(&widths, room) < 36 {
            widths[column] = 0;
        }
    }
    let left = left(&widths, room);
    // What a task is called comes before what there is to say of it.
    widths[TASK] = left.min((left * 2 / 5).max(20));
    widths[NOTE] = left.saturating_sub(widths[TASK] + 1);
    widths
}

fn left(widths: &[u16; COLUMNS], room: u16) -> u16 {
    let taken: u16 = widths.iter().filter(|width| **width > 0).map(|width| width + 1).sum();
    room.saturating_sub(taken)
}

pub(super) fn draw(cells: &mut Buffer, area: Rect, model: &Model, look: Look) {
    let shown_items = model.items.iter().enumerate().skip(model.top).take(usize::from(area.height.saturating_sub(1)));
    let has_progress = shown_items.clone().any(|(_, item)| row(model, item).is_some_and(|row| row.progress.is_some()));
    let has_loads = model.picture.as_ref().is_some_and(|picture| !picture.loads.is_empty());
    let has_estimates = model.picture.as_ref().is_some_and(|picture| !picture.left.is_empty());
    let widths = widths(area.width, has_progress, has_estimates, has_loads);
    line(cells, area.y, &widths, &TITLES.map(|title| (title.to_owned(), Paint::Faint)), look);
    if model.items.is_empty() && model.picture.is_some() {
        let text = "no task yet: start one with `pleach add -- COMMAND`";
        put(cells, 0, area.y + 1, text, area.width, look.style(Paint::Faint));
    }
    for (y, (number, item)) in (area.y + 1..area.bottom()).zip(shown_items) {
        line(cells, y, &widths, &cells_of(model, item), look);
        if number == model.selected {
            let style = look.style(Paint::Plain).add_modifier(match model.focus {
                Focus::Tasks => Modifier::REVERSED,
                Focus::Pane => Modifier::UNDERLINED,
            });
            cells.set_style(Rect::new(area.x, y, area.width, 1), style);
        }
    }
}

fn row<'a>(model: &'a Model, item: &Item) -> Option<&'a Row> {
    matches!(item.key, Key::Task(_)).then(|| &model.rows()[item.at])
}

fn line(cells: &mut Buffer, y: u16, widths: &[u16; COLUMNS], texts: &[(String, Paint); COLUMNS], look: Look) {
    let mut x = 0;
    for (column, (text, paint)) in texts.iter().enumerate() {
        let room = widths[column];
        if room == 0 {
            continue;
        }
        let text = fit(text, usize::from(room));
        // Numbers are compared by their ends.
        let start = match column {
            TIME | LEFT | CPU | MEMORY => x + room.saturating_sub(width(&text) as u16),
            _ => x,
        };
        put(cells, start, y, &text, room, look.style(*paint));
        x += room + 1;
    }
}

fn cells_of(model: &Model, item: &Item) -> [(String, Paint); COLUMNS] {
    let mut texts: [(String, Paint); COLUMNS] = std::array::from_fn(|_| (String::new(), Paint::Plain));
    let Some(row) = row(model, item) else {
        plan(&mut texts, model, item);
        return texts;
    };
    let name = row.name.as_ref().map_or_else(|| row.command.clone(), ToString::to_string);
    let more = if item.folded > 0 { format!(" (+{})", item.folded) } else { String::new() };
    texts[TASK].0 = format!("{}{} {}{more}", item.branch, row.id, shown(&name));
    texts[STATE] = (row.state.to_string(), board::paint_of(row.state));
    texts[PRIORITY] = priority(row.priority);
    texts[PROGRESS] = (row.progress.as_ref().map(bar).unwrap_or_default(), Paint::Busy);
    texts[TIME].0 = row.duration_ms.map(time::span).unwrap_or_default();
    let left = model.picture.as_ref().and_then(|picture| picture.left.get(&row.id));
    texts[LEFT] = match left {
        // Longer than usual.
        Some(0) => ("late".to_owned(), Paint::Look),
        left => (left.map(|left| time::about(*left)).unwrap_or_default(), Paint::Plain),
    };
    if let Some(load) = model.picture.as_ref().and_then(|picture| picture.loads.get(&row.id)) {
        texts[CPU].0 = load.cpu.map(|percent| format!("{percent}%")).unwrap_or_default();
        texts[MEMORY].0 = Bytes(load.memory).to_string();
    }
    texts[NOTE].0 = note(row);
    texts
}

fn plan(texts: &mut [(String, Paint); COLUMNS], model: &Model, item: &Item) {
    let Key::Plan(plan) = &item.key else { return };
    let tally = model.tallies.get(plan).copied().unwrap_or_default();
    let sign = if item.folded > 0 { "▸" } else { "▾" };
    texts[TASK] = (format!("{sign} {plan}"), Paint::Strong);
    texts[STATE] = (format!("{} tasks", tally.all), Paint::Faint);
    texts[NOTE] = (tally_words(&tally), Paint::Faint);
}

fn tally_words(tally: &Tally) -> String {
    let parts = [(tally.running, "running"), (tally.waiting, "waiting"), (tally.attention, "to look at")];
    let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
    let words = parts.collect::<Vec<_>>().join(", ");
    if words.is_empty() { count(tally.all as u64, "task") + ", all settled" } else { words }
}

fn priority(priority: Priority) -> (String, Paint) {
    match priority {
        Priority::Critical => ("‼".to_owned(), Paint::Bad),
        Priority::High => ("↑".to_owned(), Paint::Look),
        Priority::Normal => (String::new(), Paint::Plain),
        Priority::Low => ("↓".to_owned(), Paint::Faint),
    }
}

/// `███░░ 47/89`
fn bar(progress: &Progress) -> String {
    const WIDTH: u64 = 5;
    match (progress.done, progress.total) {
        (done, Some(total)) if total > 0 => {
            let full = (done.min(total) as u128 * u128::from(WIDTH) / u128::from(total)) as usize;
            format!("{}{} {done}/{total}", "█".repeat(full), "░".repeat(WIDTH as usize - full))
        }
        (0, _) => String::new(),
        (done, _) => pad("", WIDTH as usize) + &format!(" {done}"),
    }
}

/// Why it stands there, and the last that it said or wrote.
fn note(row: &Row) -> String {
    let said = row.progress.as_ref().map(|progress| progress.text.as_str()).filter(|text| !text.is_empty());
    board::note_with(row, &shown(said.unwrap_or(&row.line)))
}
