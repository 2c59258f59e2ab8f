//! The screen, drawn from the model: only what is seen of it is looked at.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::dress::{Dress, Dresser};
use super::help;
use super::line::pieces;
use super::model::{About, Mode, Model, contains};
use super::rows::{Cell, Row};
use super::tree::Item;
use crate::cli::monitor::view::{Look, put};
use crate::cli::style::{Paint, fit, width};
use crate::core::hunk::Fate;
use crate::core::ink::Ink;
use crate::core::report::FileChange;
use crate::core::review::{Choice, FileSheet, Sheet, Side, Verdict};
use crate::core::word::{count, shown};

/// Columns of a number and the sign beside it.
const GUTTER: u16 = 7;

/// The lines above the diff: which result, and what is to be known of it.
pub(super) fn head(model: &Model) -> Vec<(String, Paint)> {
    let mut lines = Vec::new();
    let slot = model.slot();
    let Some(sheet) = &slot.sheet else {
        let words = slot.problem.as_deref().unwrap_or("reading the result");
        let paint = if slot.problem.is_some() { Paint::Bad } else { Paint::Faint };
        return vec![(shown(words), paint)];
    };
    let (plus, minus) = sheet.files.iter().fold((0, 0), |sum, file| (sum.0 + file.insertions, sum.1 + file.deletions));
    let target =
        sheet.target.as_ref().map(|target| format!(" · for {}", shown(&target.to_string()))).unwrap_or_default();
    let word = match sheet.verdict {
        Some(Verdict::Accept) if sheet.tally().refused > 0 => " · accepted in part",
        Some(Verdict::Accept) => " · accepted",
        Some(Verdict::Refuse) => " · refused",
        Some(Verdict::SendBack) => " · sent back",
        None => "",
    };
    let files = count(sheet.files.len() as u64, "file");
    lines.push((format!("task {} · {files} +{plus} -{minus}{target}{word}", slot.task), Paint::Strong));
    lines.extend(sheet.flags.iter().take(2).map(|flag| (format!("flagged: {}", shown(flag)), Paint::Look)));
    let one = |text: &str| shown(text.lines().next().unwrap_or_default());
    lines.extend(sheet.summary.as_deref().map(|text| (format!("it says: {}", one(text)), Paint::Plain)));
    lines.extend(sheet.says.as_deref().map(|text| (format!("you say: {}", one(text)), Paint::Busy)));
    lines
}

/// Draw all of it.
pub(super) fn draw(cells: &mut Buffer, model: &Model, dresser: &mut Dresser, look: Look) {
    let area = cells.area;
    if area.height < 6 || area.width < 20 {
        put(cells, 0, 0, "too small", area.width, Style::new());
        return;
    }
    tabs(cells, model, look);
    let head = head(model);
    let body = 2 + head.len() as u16;
    for (y, (text, paint)) in (1..).zip(&head) {
        put(cells, 1, y, text, area.width - 1, look.style(*paint));
    }
    let bottom = area.height - 1;
    let tree = if model.has_tree && area.width >= 70 { (area.width / 4).clamp(22, 44) } else { 0 };
    rule(cells, body - 1, model, look);
    let height = bottom.saturating_sub(body);
    if tree > 0 {
        files(cells, Rect::new(0, body, tree, height), model, look);
        for y in body..bottom {
            put(cells, tree, y, "│", 1, look.style(Paint::Faint));
        }
    }
    let left = if tree > 0 { tree + 1 } else { 0 };
    diff(cells, Rect::new(left, body, area.width - left, height), model, dresser, look);
    foot(cells, model, look);
    if model.mode == Mode::Help {
        keys(cells, look);
    }
}

fn mark_of(choice: Option<Choice>) -> (&'static str, Paint) {
    match choice {
        Some(Choice::Accept) => ("✓", Paint::Good),
        Some(Choice::Refuse) => ("✗", Paint::Bad),
        None => (" ", Paint::Plain),
    }
}

fn tabs(cells: &mut Buffer, model: &Model, look: Look) {
    let room = cells.area.width;
    let mut x = put(cells, 0, 0, " review ", room, look.style(Paint::Strong).add_modifier(Modifier::REVERSED)) + 1;
    // However many there are: those before the one that is shown give way.
    const BEFORE: usize = 2;
    let first = model.at.saturating_sub(BEFORE);
    if first > 0 {
        x = put(cells, x, 0, &format!("‹{first} "), room, look.style(Paint::Faint));
    }
    for (at, slot) in model.slots.iter().enumerate().skip(first) {
        if x + 6 >= room {
            break;
        }
        let (mark, paint) = match slot.sheet.as_ref().and_then(|sheet| sheet.verdict) {
            Some(Verdict::Accept) => ("✓", Paint::Good),
            Some(Verdict::Refuse) => ("✗", Paint::Bad),
            Some(Verdict::SendBack) => ("↩", Paint::Look),
            None => (" ", Paint::Plain),
        };
        x = put(cells, x, 0, mark, room, look.style(paint));
        let style = look.style(if at == model.at { Paint::Strong } else { Paint::Faint });
        let style = if at == model.at { style.add_modifier(Modifier::UNDERLINED) } else { style };
        let title = shown(&slot.title);
        x = put(cells, x, 0, &format!("{} {}", slot.task, fit(&title, 24)), room - x, style) + 1;
    }
    let place = format!("{} of {} ", model.at + 1, model.slots.len());
    let start = room.saturating_sub(place.len() as u16);
    if x < start {
        put(cells, start, 0, &place, room, look.style(Paint::Faint));
    }
}

/// The file that is shown.
fn rule(cells: &mut Buffer, y: u16, model: &Model, look: Look) {
    let room = cells.area.width;
    put(cells, 0, y, &"─".repeat(usize::from(room)), room, look.style(Paint::Faint));
    let (Some(file), Some(sheet)) = (model.file(), model.sheet()) else { return };
    let (mark, paint) = file_mark(file);
    let from = file.old_path.as_ref().map(|old| format!("{} -> ", old.shown())).unwrap_or_default();
    let title = format!("{}{from}{}", change(file), file.path.shown());
    let end = format!(
        " file {} of {} · +{} -{}{} ",
        model.place() + 1,
        sheet.files.len(),
        file.insertions,
        file.deletions,
        if model.left > 0 { format!(" · from column {}", model.left + 1) } else { String::new() }
    );
    let start = room.saturating_sub(width(&end) as u16 + 1);
    let x = put(cells, 1, y, &format!(" {mark} "), room, look.style(paint));
    // The end of a path says more than its start.
    let most = usize::from(start.saturating_sub(x + 2));
    put(cells, x, y, &format!("{} ", tail(&title, most)), room, look.style(Paint::Strong));
    put(cells, start, y, &end, room, look.style(Paint::Faint));
}

fn tail(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let (mut used, mut start) = (1, text.len());
    for (at, c) in text.char_indices().rev() {
        used += width(c.encode_utf8(&mut [0; 4]));
        if used > columns {
            break;
        }
        start = at;
    }
    format!("…{}", &text[start..])
}

fn change(file: &FileSheet) -> &'static str {
    match file.change {
        Some(FileChange::Added) => "A ",
        Some(FileChange::Deleted) => "D ",
        Some(FileChange::Renamed) => "R ",
        _ => "M ",
    }
}

fn file_mark(file: &FileSheet) -> (&'static str, Paint) {
    let tally = file.tally();
    match (tally.accepted, tally.refused, tally.open) {
        (0, 0, _) => (" ", Paint::Plain),
        (_, 0, 0) => mark_of(Some(Choice::Accept)),
        (0, _, 0) => mark_of(Some(Choice::Refuse)),
        _ => ("~", Paint::Look),
    }
}

fn files(cells: &mut Buffer, area: Rect, model: &Model, look: Look) {
    let (Some(sheet), slot) = (model.sheet(), model.slot()) else { return };
    let here = slot.places.get(model.place()).copied().unwrap_or(0);
    let room = usize::from(area.height);
    let top = here.saturating_sub(room / 2).min(slot.items.len().saturating_sub(room));
    for (y, item) in (area.y..area.bottom()).zip(&slot.items[top..]) {
        match item {
            Item::Head(text) => {
                put(cells, 0, y, &tail(text, usize::from(area.width)), area.width, look.style(Paint::Faint));
            }
            Item::Why(place) => {
                let why = sheet.files[*place].look_first.as_deref().unwrap_or_default();
                put(
                    cells,
                    4,
                    y,
                    &fit(&shown(why), usize::from(area.width - 4)),
                    area.width - 4,
                    look.style(Paint::Look),
                );
            }
            Item::File(place) => {
                let file = &sheet.files[*place];
                let (mark, paint) = file_mark(file);
                put(cells, 0, y, mark, 1, look.style(paint));
                let is_here = *place == model.place();
                let style =
                    if is_here { look.style(Paint::Strong).add_modifier(Modifier::REVERSED) } else { Style::new() };
                let path = file.path.shown();
                let name = if file.look_first.is_some() { &path[..] } else { path.rsplit('/').next().unwrap_or(&path) };
                let is_noted = sheet.comments.iter().take(1_000).any(|comment| comment.path == file.path);
                let end = if is_noted { " *" } else { "" };
                let most = usize::from(area.width).saturating_sub(4 + end.len());
                put(cells, 2, y, &format!("{}{}{end}", change(file), tail(name, most)), area.width - 2, style);
            }
        }
    }
}

fn diff(cells: &mut Buffer, area: Rect, model: &Model, dresser: &mut Dresser, look: Look) {
    let (Some(file), Some(sheet)) = (model.file(), model.sheet()) else { return };
    let rows = model.rows.all.iter().enumerate().skip(model.top());
    for (y, (at, row)) in (area.y..area.bottom()).zip(rows) {
        let place = Rect::new(area.x, y, area.width, 1);
        match row {
            Row::Note(note) => {
                put(cells, place.x + 1, y, &model.rows.notes[*note], area.width - 1, look.style(Paint::Look));
            }
            Row::Head(hunk) => heading(cells, place, file, *hunk, look),
            Row::Comment { comment, part } => said(cells, place, sheet, (*comment, *part), look),
            Row::Line { hunk, old, new } => {
                let mut line = Painted { cells, model, file, dresser, look, hunk: *hunk };
                if model.is_split {
                    let half = area.width / 2;
                    line.side(Rect { width: half, ..place }, *old, Side::Old);
                    line.side(Rect { x: place.x + half, width: area.width - half, ..place }, *new, Side::New);
                } else {
                    line.whole(place, *old, *new);
                }
            }
        }
        if at == model.cursor() {
            let style = Style::new().add_modifier(Modifier::REVERSED);
            let until = if matches!(row, Row::Line { .. }) { GUTTER.min(area.width) } else { area.width };
            cells.set_style(Rect { width: until, ..place }, style);
        }
    }
}

fn heading(cells: &mut Buffer, place: Rect, file: &FileSheet, hunk: usize, look: Look) {
    let (mark, paint) = mark_of(file.said_of(hunk));
    let x = put(cells, place.x, place.y, mark, 1, look.style(paint));
    let text = format!(" @@ {} @@ ", shown(&file.hunks[hunk].id));
    let x = put(cells, x, place.y, &text, place.width - 1, look.style(Paint::Busy));
    let words = match file.said_of(hunk) {
        Some(Choice::Accept) => "accepted",
        Some(Choice::Refuse) => "refused",
        None => "",
    };
    let number = format!("hunk {} of {}  ", hunk + 1, file.hunks.len());
    let x = put(cells, x, place.y, &number, place.right().saturating_sub(x), look.style(Paint::Faint));
    put(cells, x, place.y, words, place.right().saturating_sub(x), look.style(paint));
}

fn said(cells: &mut Buffer, place: Rect, sheet: &Sheet, (comment, part): (usize, usize), look: Look) {
    let Some(comment) = sheet.comments.get(comment) else { return };
    let of = match comment.line {
        None => "the file: ".to_owned(),
        Some(line) if comment.side == Side::Old => format!("line {line} as it was: "),
        Some(line) => format!("line {line}: "),
    };
    let text = shown(comment.text.lines().nth(part).unwrap_or_default());
    let lead = if part == 0 { format!("▌{of}") } else { "▌".to_owned() };
    put(cells, place.x + 2, place.y, &format!("{lead}{text}"), place.width.saturating_sub(2), look.style(Paint::Busy));
}

struct Painted<'a> {
    cells: &'a mut Buffer,
    model: &'a Model,
    file: &'a FileSheet,
    dresser: &'a mut Dresser,
    look: Look,
    hunk: usize,
}

impl Painted<'_> {
    fn whole(&mut self, place: Rect, old: Option<Cell>, new: Option<Cell>) {
        let Some(cell) = new.or(old) else { return };
        self.line(place, cell);
    }

    fn side(&mut self, place: Rect, cell: Option<Cell>, side: Side) {
        match cell {
            Some(cell) => self.line(Rect { width: place.width - u16::from(side == Side::Old), ..place }, cell),
            None => {
                put(self.cells, place.x + GUTTER - 1, place.y, "·", 1, self.look.style(Paint::Faint));
            }
        }
    }

    fn line(&mut self, place: Rect, cell: Cell) {
        let Some(line) = self.file.hunks[self.hunk].lines.get(cell.line) else { return };
        let (sign, paint) = match line.is {
            Fate::Kept => (' ', Paint::Plain),
            Fate::Removed => ('-', Paint::Bad),
            Fate::Added => ('+', Paint::Good),
        };
        let faint = if line.is == Fate::Kept { Paint::Faint } else { paint };
        put(self.cells, place.x, place.y, &format!("{:>5}{sign}", cell.number), GUTTER, self.look.style(faint));
        let room = place.width.saturating_sub(GUTTER);
        let bytes = line.text.as_bytes();
        let at = (self.model.at, self.model.place(), self.hunk);
        let dress = self.dresser.line(at, self.file, cell.line);
        let mut x = place.x + GUTTER;
        for piece in pieces(bytes, &dress, self.model.left, usize::from(room)) {
            let style = self.style(&piece, paint);
            x = put(self.cells, x, place.y, &piece.text, place.right().saturating_sub(x), style);
        }
        if line.open && x < place.right() {
            put(self.cells, x, place.y, "  (no line feed)", place.right() - x, self.look.style(Paint::Faint));
        }
        if contains(bytes, &self.model.words) {
            self.found(place, bytes);
        }
    }

    fn style(&self, piece: &super::line::Piece, paint: Paint) -> Style {
        let of_line = self.look.style(paint);
        if piece.is_odd {
            return self.look.style(Paint::Look).add_modifier(Modifier::BOLD);
        }
        if piece.is_marked {
            return of_line.add_modifier(Modifier::REVERSED);
        }
        if !self.look.color {
            return of_line;
        }
        match piece.ink {
            Ink::Plain => of_line,
            Ink::Comment => Style::new().fg(Color::DarkGray),
            Ink::Text => Style::new().fg(Color::Yellow),
            Ink::Number => Style::new().fg(Color::Cyan),
            Ink::Keyword => Style::new().fg(Color::Magenta),
            Ink::Type => Style::new().fg(Color::LightBlue),
            Ink::Function => Style::new().fg(Color::Blue),
        }
    }

    /// What was searched for stands out, where it is seen.
    fn found(&mut self, place: Rect, bytes: &[u8]) {
        let is_exact = self.model.words.chars().any(char::is_uppercase);
        let wanted = self.model.words.as_bytes();
        let room = usize::from(place.width.saturating_sub(GUTTER));
        let seen = bytes.len().min(8 * (self.model.left + room) + wanted.len());
        let mut at = 0;
        while let Some(next) = bytes[at..seen]
            .windows(wanted.len())
            .position(|part| if is_exact { part == wanted } else { part.eq_ignore_ascii_case(wanted) })
        {
            let start = at + next;
            let columns = |end: usize| {
                let all = pieces(&bytes[..end], &Dress::default(), 0, self.model.left + room);
                all.iter().map(|piece| width(&piece.text)).sum::<usize>()
            };
            let (from, to) = (columns(start), columns(start + wanted.len()));
            let x = place.x
                + GUTTER
                + u16::try_from(from.saturating_sub(self.model.left)).unwrap_or(u16::MAX).min(room as u16);
            let wide =
                to.saturating_sub(from.max(self.model.left)).min(usize::from(place.right().saturating_sub(x))) as u16;
            let style = match self.look.color {
                true => Style::new().fg(Color::Black).bg(Color::Yellow),
                false => Style::new().add_modifier(Modifier::REVERSED),
            };
            self.cells.set_style(Rect { x, width: wide, ..place }, style);
            at = start + wanted.len();
            if from > self.model.left + room {
                break;
            }
        }
    }
}

fn foot(cells: &mut Buffer, model: &Model, look: Look) {
    let (y, room) = (cells.area.bottom() - 1, cells.area.width);
    let (text, paint) = match (&model.mode, &model.message) {
        (Mode::Search(input), _) => (format!("/{}▏  Enter finds it, Esc drops it", shown(&input.text)), Paint::Strong),
        (Mode::Say(about, input), _) => return typed(cells, about, input, look),
        (Mode::Whole, _) => (
            "the whole result: a accept  x refuse  b send back  u take back what was said  Esc nothing".to_owned(),
            Paint::Look,
        ),
        (Mode::Others, _) => {
            let (open, _) = model.summary();
            let are =
                if open == 1 { "of 1 piece nothing was said" } else { &format!("of {open} pieces nothing was said") };
            (format!("{are}: a accept, x refuse, any other key goes back"), Paint::Look)
        }
        (Mode::Ask, _) => (format!("{}: carry out? y/n", model.summary().1), Paint::Look),
        (_, Some(message)) => (shown(&message.text), if message.is_bad { Paint::Bad } else { Paint::Good }),
        (_, None) => (help::FOOT.to_owned(), Paint::Faint),
    };
    put(cells, 0, y, &fit(&text, usize::from(room)), room, look.style(paint));
}

/// A comment while it is typed: its last lines, above the foot.
fn typed(cells: &mut Buffer, about: &About, input: &super::input::Input, look: Look) {
    const LINES: usize = 6;
    let title = match about {
        About::Whole { is_sent_back: true } => "what is to be told to the task".to_owned(),
        About::Whole { is_sent_back: false } => "on the whole result".to_owned(),
        About::Line { line: None, .. } => "on the file".to_owned(),
        About::Line { line: Some(line), side, .. } => {
            format!("on line {line}{}", if *side == Side::Old { " as it was" } else { "" })
        }
        About::Comment(_) => "the comment".to_owned(),
    };
    let text = format!("{}▏{}", &input.text[..input.at], &input.text[input.at..]);
    let lines: Vec<&str> = text.split('\n').collect();
    let here = input.text[..input.at].matches('\n').count();
    let room = LINES.min(usize::from(cells.area.height) - 2);
    let first = (here + 1).saturating_sub(room);
    let seen = &lines[first..lines.len().min(first + room)];
    let (width_all, bottom) = (cells.area.width, cells.area.bottom());
    let top = bottom - seen.len() as u16 - 1;
    for y in top..bottom {
        put(cells, 0, y, &" ".repeat(usize::from(width_all)), width_all, Style::reset());
    }
    let head = format!("{title}: Enter says it, Alt-Enter begins a line, Ctrl-O opens $EDITOR, Esc drops it");
    put(cells, 0, top, &fit(&head, usize::from(width_all)), width_all, look.style(Paint::Look));
    for (y, line) in (top + 1..).zip(seen) {
        let safe = shown(line);
        // The cursor stays in sight.
        let cut =
            safe.find('▏').map_or(0, |at| width(&safe[..at])).saturating_sub(usize::from(width_all).saturating_sub(4));
        let skipped: String = pieces(safe.as_bytes(), &Dress::default(), cut, usize::from(width_all) - 1)
            .into_iter()
            .map(|piece| piece.text)
            .collect();
        put(cells, 1, y, &skipped, width_all - 1, Style::reset());
    }
}

/// All keys in a box over everything else.
fn keys(cells: &mut Buffer, look: Look) {
    let longest = help::KEYS.iter().map(|(_, what)| what.chars().count()).max().unwrap_or(0) as u16;
    let area = cells.area;
    let (wide, high) = ((longest + 16).min(area.width), (help::KEYS.len() as u16 + 2).min(area.height));
    let place = Rect::new((area.width - wide) / 2, (area.height - high) / 2, wide, high);
    let line = "─".repeat(usize::from(wide.saturating_sub(2)));
    for y in place.y..place.bottom() {
        put(cells, place.x, y, &format!("│{}│", " ".repeat(usize::from(wide) - 2)), wide, Style::reset());
    }
    put(cells, place.x, place.y, &format!("┌{line}┐"), wide, Style::reset());
    put(cells, place.x + 2, place.y, " keys ", wide, look.style(Paint::Strong));
    put(cells, place.x, place.bottom() - 1, &format!("└{line}┘"), wide, Style::reset());
    for (y, (keys, what)) in (place.y + 1..place.bottom() - 1).zip(help::KEYS) {
        put(cells, place.x + 2, y, keys, 10, look.style(Paint::Strong));
        put(cells, place.x + 13, y, what, wide.saturating_sub(14), Style::reset());
    }
}
