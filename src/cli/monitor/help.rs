//! The keys, all and in short.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::model::Focus;
use super::view::{Look, put};
use crate::cli::style::Paint;

/// Every key, and what it does.
pub(super) const KEYS: &[(&str, &str)] = &[
    ("j k ↓ ↑", "move; Ctrl-D and Ctrl-U half a page, Space and PgUp a page, g and G to the ends"),
    ("Enter ← →", "hide or show what lies below a plan or a task"),
    ("a", "show settled tasks too, or do not"),
    ("1 2", "show or hide the log, the merge queue"),
    ("Tab", "go to the pane below and back; there j and k scroll, ← → move sideways"),
    ("z", "give the pane below the whole screen; Esc takes it back"),
    ("/ n N", "search in the log; the next match, the one before"),
    ("f", "follow the log"),
    ("d v", "show what the task changed; review it hunk by hunk"),
    ("m", "merge: fold the result into its target"),
    ("c", "cancel"),
    ("r R", "retry; R on what the target is now"),
    ("x", "discard the result"),
    ("+ -", "change the priority of a task that waits"),
    ("p", "pause or resume: whether tasks start"),
    ("q", "leave; the tasks go on"),
];

/// The keys that one needs most.
pub(super) fn foot(focus: Focus) -> &'static str {
    match focus {
        Focus::Tasks => {
            "q leave  ? keys  Tab log  / search  d diff  m merge  c cancel  r retry  x discard  p pause  2 queue"
        }
        Focus::Pane => "Tab tasks  j k scroll  f follow  / search  n N matches  z whole screen  q leave  ? keys",
    }
}

/// All keys in a box over everything else.
pub(super) fn draw(cells: &mut Buffer, look: Look) {
    let longest = KEYS.iter().map(|(_, what)| what.chars().count()).max().unwrap_or(0) as u16;
    let area = cells.area;
    let (width, height) = ((longest + 16).min(area.width), (KEYS.len() as u16 + 2).min(area.height));
    let place = Rect::new((area.width - width) / 2, (area.height - height) / 2, width, height);
    for y in place.y..place.bottom() {
        put(cells, place.x, y, &" ".repeat(usize::from(width)), width, Style::reset());
    }
    let line = "─".repeat(usize::from(width.saturating_sub(2)));
    put(cells, place.x, place.y, &format!("┌{line}┐"), width, Style::reset());
    put(cells, place.x + 2, place.y, " keys ", width, look.style(Paint::Strong));
    put(cells, place.x, place.bottom() - 1, &format!("└{line}┘"), width, Style::reset());
    for (y, (keys, what)) in (place.y + 1..place.bottom() - 1).zip(KEYS) {
        put(cells, place.x, y, "│", 1, Style::reset());
        put(cells, place.right() - 1, y, "│", 1, Style::reset());
        put(cells, place.x + 2, y, keys, 10, look.style(Paint::Strong));
        put(cells, place.x + 13, y, what, width.saturating_sub(14), Style::reset());
    }
}
