//! The screen, drawn from the model: only what is seen of it is looked at.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::model::{Focus, Mode, Model, Pane};
use super::table;
use super::text::{Line, places};
use super::{help, queue};
use crate::cli::style::{Paint, fit, width};
use crate::cli::time;
use crate::core::report::Board;
use crate::core::word::shown;

/// With colour?
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Look {
    pub(in crate::cli) color: bool,
}

impl Look {
    /// What a piece of text looks like.
    pub(in crate::cli) fn style(self, paint: Paint) -> Style {
        let plain = Style::new();
        let color = |color| if self.color { plain.fg(color) } else { plain };
        match paint {
            Paint::Plain => plain,
            Paint::Strong => plain.add_modifier(Modifier::BOLD),
            Paint::Faint => plain.add_modifier(Modifier::DIM),
            Paint::Good => color(Color::Green),
            Paint::Bad => color(Color::Red),
            Paint::Look => color(Color::Yellow),
            Paint::Busy => color(Color::Cyan),
        }
    }
}

/// Text from a column on, in at most so many; the column behind it.
pub(in crate::cli) fn put(cells: &mut Buffer, x: u16, y: u16, text: &str, most: u16, style: Style) -> u16 {
    let room = cells.area.right().saturating_sub(x).min(most);
    if room == 0 || y >= cells.area.bottom() {
        return x;
    }
    cells.set_stringn(x, y, text, usize::from(room), style).0
}

/// Draw all of it.
pub(super) fn draw(cells: &mut Buffer, model: &Model, look: Look) {
    let area = cells.area;
    if area.height < 3 || area.width < 10 {
        put(cells, 0, 0, "too small", area.width, Style::new());
        return;
    }
    heading(cells, model, look);
    let heights = model.heights();
    let (table, pane) = if heights.table == 0 { (0, 1) } else { (heights.table, 2 + heights.table) };
    if table > 0 {
        table::draw(cells, Rect::new(0, 1, area.width, table + 1), model, look);
    }
    let place = Rect::new(0, pane, area.width, heights.pane);
    match model.pane.filter(|_| heights.pane > 0) {
        Some(Pane::Log) => log(cells, place, model, look),
        Some(Pane::Queue) => lines(cells, place, model, look),
        None => {}
    }
    foot(cells, model, look);
    if model.mode == Mode::Help {
        help::draw(cells, look);
    }
}

fn heading(cells: &mut Buffer, model: &Model, look: Look) {
    let room = cells.area.width;
    let x = put(cells, 0, 0, " pleach ", room, look.style(Paint::Strong).add_modifier(Modifier::REVERSED));
    let x = put(cells, x, 0, &format!(" {} ", shown(&model.place)), room / 2, look.style(Paint::Strong));
    let Some(picture) = &model.picture else { return };
    let (words, paint) = &tally(&picture.board, picture.all_left);
    let start = room.saturating_sub(width(words) as u16 + 1).max(x);
    put(cells, start, 0, words, room, look.style(*paint));
}

fn tally(board: &Board, left: Option<u64>) -> (String, Paint) {
    let mut parts = Vec::new();
    if board.paused {
        parts.push("PAUSED".to_owned());
    }
    if board.unconfined > 0 {
        parts.push(format!("{} without a sandbox", board.unconfined));
    }
    parts.extend([format!("{} running", board.running), format!("{} waiting", board.waiting)]);
    if let Some(left) = left.filter(|left| *left > 0) {
        parts.push(format!("about {} left", time::about(left)));
    }
    if board.attention > 0 {
        parts.push(format!("{} to look at", board.attention));
    }
    if board.hidden > 0 {
        parts.push(format!("{} settled", board.hidden));
    }
    let is_odd = board.paused || board.unconfined > 0;
    (parts.join(" · "), if is_odd { Paint::Look } else { Paint::Plain })
}

/// A line with a title in it.
fn rule(cells: &mut Buffer, y: u16, title: &str, end: &str, is_focused: bool, look: Look) {
    let room = cells.area.width;
    let style = look.style(if is_focused { Paint::Strong } else { Paint::Faint });
    let line: String = "─".repeat(usize::from(room));
    put(cells, 0, y, &line, room, look.style(Paint::Faint));
    put(cells, 1, y, &format!(" {title} "), room.saturating_sub(2), style);
    let start = room.saturating_sub(width(end) as u16 + 4);
    if !end.is_empty() && usize::from(start) > width(title) + 4 {
        put(cells, start, y, &format!(" {end} "), room, style);
    }
}

fn log(cells: &mut Buffer, area: Rect, model: &Model, look: Look) {
    let log = &model.log;
    let is_focused = model.focus == Focus::Pane;
    let title = match (model.row(), log.of) {
        (Some(row), Some((_, attempt))) if attempt > 1 => format!("log of {}, attempt {attempt}", queue::name(row)),
        (Some(row), Some(_)) => format!("log of {}", queue::name(row)),
        (Some(row), None) if row.attempt == 0 => format!("{} has not run yet", queue::name(row)),
        (Some(row), None) => format!("log of {}", queue::name(row)),
        (None, _) => "log".to_owned(),
    };
    let found = match (log.words.is_empty(), log.current) {
        (true, _) => String::new(),
        (false, Some(number)) => format!("/{} {} of {} · ", shown(&log.words), number + 1, log.matches.len()),
        (false, None) => format!("/{} not found · ", shown(&log.words)),
    };
    let seen = log.seen();
    let place = if log.is_following() {
        "follows".to_owned()
    } else {
        format!("line {} of {}", seen.end, log.text.range().end)
    };
    rule(cells, area.y, &title, &format!("{found}{place}"), is_focused, look);
    for (y, number) in (area.y + 1..area.bottom()).zip(seen) {
        if let Some(line) = log.text.line(number) {
            let is_current = log.current_line() == Some(number);
            draw_line(cells, y, line, log.left, look);
            mark(cells, y, line, &log.words, log.left, is_current, look);
        }
    }
}

fn draw_line(cells: &mut Buffer, y: u16, line: &Line, left: usize, look: Look) {
    let mut column = 0;
    for (text, style) in line.pieces() {
        let style = if look.color { style } else { Style::new().add_modifier(style.add_modifier) };
        let end = column + width(text);
        if end > left {
            let cut = skip(text, left.saturating_sub(column));
            let x = (end - width(cut)).saturating_sub(left);
            put(cells, u16::try_from(x).unwrap_or(u16::MAX), y, cut, u16::MAX, style);
        }
        column = end;
    }
}

/// What was searched for stands out.
fn mark(cells: &mut Buffer, y: u16, line: &Line, words: &str, left: usize, is_current: bool, look: Look) {
    for (start, end) in places(&line.text, words) {
        let (from, to) = (width(&line.text[..start]), width(&line.text[..end]));
        let color = if is_current { Color::Yellow } else { Color::Cyan };
        let style = if look.color {
            Style::new().fg(Color::Black).bg(color)
        } else {
            Style::new().add_modifier(Modifier::REVERSED)
        };
        for x in from.saturating_sub(left)..to.saturating_sub(left) {
            if let Some(cell) = u16::try_from(x).ok().and_then(|x| cells.cell_mut((x, y))) {
                cell.set_style(style);
            }
        }
    }
}

/// The text without what takes its first columns.
fn skip(text: &str, columns: usize) -> &str {
    let mut left = columns;
    for (at, c) in text.char_indices() {
        let mut bytes = [0; 4];
        let wide = width(c.encode_utf8(&mut bytes));
        if left < wide.max(1) && wide > 0 {
            return &text[at..];
        }
        left = left.saturating_sub(wide);
    }
    ""
}

fn lines(cells: &mut Buffer, area: Rect, model: &Model, look: Look) {
    rule(cells, area.y, "merge queue", "", model.focus == Focus::Pane, look);
    let all = model.picture.as_ref().map(queue::lines).unwrap_or_default();
    let room = usize::from(area.height.saturating_sub(1));
    let top = model.queue_top.min(all.len().saturating_sub(room));
    for (y, pieces) in (area.y + 1..area.bottom()).zip(&all[top..]) {
        let mut x = 0;
        for (text, paint) in pieces {
            x = put(cells, x, y, text, u16::MAX, look.style(*paint));
        }
    }
}

fn foot(cells: &mut Buffer, model: &Model, look: Look) {
    let y = cells.area.bottom() - 1;
    let room = cells.area.width;
    let (text, style) = match (&model.mode, &model.message) {
        (Mode::Search(words), _) => {
            (format!("/{}▏  Enter keeps it, Esc drops it", shown(words)), look.style(Paint::Strong))
        }
        (Mode::Ask(deed), _) => {
            let ids: Vec<String> = deed.tasks.iter().map(ToString::to_string).collect();
            let whom = match ids.len() {
                0..=6 => ids.join(", "),
                more => format!("{} and {} more", ids[..5].join(", "), more - 5),
            };
            (format!("{} {whom}? y does it, any other key does not", deed.what.verb()), look.style(Paint::Look))
        }
        (_, Some(message)) => (message.text.clone(), look.style(if message.is_bad { Paint::Bad } else { Paint::Good })),
        (_, None) => (help::foot(model.focus).to_owned(), look.style(Paint::Faint)),
    };
    put(cells, 0, y, &fit(&text, usize::from(room)), room, style);
}
