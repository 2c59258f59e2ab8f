//! What the review knows: results, where one stands in them, and what was said. Pure: the outside gives it results, sizes and
//! keys ([`keys`](super::keys)), and does what comes back.

use std::collections::BTreeSet;

use super::input::Input;
use super::rows::{Cell, Row, Rows};
use super::tree::{self, Item};
use crate::core::id::TaskId;
use crate::core::review::{Choice, Comment, FileSheet, Sheet, Side, Verdict};
use crate::core::word::{Word, shown};

/// What is to be done outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// Leave; drafts are kept.
    Quit,
    /// Stop, as with Ctrl-Z.
    Suspend,
    /// Do what was said, and leave.
    CarryOut,
    /// Open what was said of this result in an editor.
    EditDraft,
    /// Go on with what is typed in an editor.
    EditText,
}

/// What keys mean just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    Browse,
    Help,
    /// Words to search for are typed.
    Search(Input),
    /// A comment is typed.
    Say(About, Input),
    /// What becomes of the whole result?
    Whole,
    /// What becomes of the pieces of which nothing was said?
    Others,
    /// It is carried out if the answer is yes.
    Ask,
}

/// What a comment is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum About {
    /// The result; and it is sent back with that.
    Whole { is_sent_back: bool },
    /// A file or line.
    Line { path: Word, line: Option<u32>, side: Side },
    /// What this comment is about.
    Comment(usize),
}

/// A result.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) task: TaskId,
    pub(super) title: String,
    /// None as long as it was not read.
    pub(super) sheet: Option<Sheet>,
    /// Why it cannot be read.
    pub(super) problem: Option<String>,
    pub(super) items: Vec<Item>,
    /// The row of each file among the items.
    pub(super) places: Vec<usize>,
    spot: Spot,
}

/// Where one stands in a result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Spot {
    file: usize,
    cursor: usize,
    top: usize,
}

/// How something came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) is_bad: bool,
    pub(super) text: String,
}

/// Everything that is shown.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) slots: Vec<Slot>,
    pub(super) at: usize,
    pub(super) rows: Rows,
    pub(super) left: usize,
    pub(super) is_split: bool,
    pub(super) has_tree: bool,
    pub(super) mode: Mode,
    pub(super) message: Option<Message>,
    /// What was searched for last.
    pub(super) words: String,
    pub(super) size: (u16, u16),
    /// Results of which something else is said than what was kept.
    pub(super) unkept: BTreeSet<usize>,
}

impl Model {
    pub(super) fn new(results: Vec<(TaskId, String)>, size: (u16, u16)) -> Self {
        let slot = |(task, title)| Slot {
            task,
            title,
            sheet: None,
            problem: None,
            items: Vec::new(),
            places: Vec::new(),
            spot: Spot::default(),
        };
        Self {
            slots: results.into_iter().map(slot).collect(),
            at: 0,
            rows: Rows::default(),
            left: 0,
            is_split: false,
            has_tree: true,
            mode: Mode::Browse,
            message: None,
            words: String::new(),
            size,
            unkept: BTreeSet::new(),
        }
    }

    /// The result that is to be read now, if it is not yet.
    pub(super) fn wants(&self) -> Option<usize> {
        let slot = self.slots.get(self.at)?;
        (slot.sheet.is_none() && slot.problem.is_none()).then_some(self.at)
    }

    /// A result was read, with what was said of it before; or it cannot be.
    pub(super) fn take(&mut self, at: usize, read: Result<Sheet, String>) {
        let slot = &mut self.slots[at];
        match read {
            Ok(sheet) => {
                (slot.items, slot.places) = tree::items(&sheet);
                slot.sheet = Some(sheet);
            }
            Err(problem) => slot.problem = Some(problem),
        }
        if at == self.at {
            self.show(Spot::default());
            self.go_to_first_hunk();
        }
    }

    pub(super) fn slot(&self) -> &Slot {
        &self.slots[self.at]
    }

    pub(super) fn sheet(&self) -> Option<&Sheet> {
        self.slot().sheet.as_ref()
    }

    pub(super) fn place(&self) -> usize {
        self.slot().spot.file
    }

    pub(super) fn file(&self) -> Option<&FileSheet> {
        self.sheet()?.files.get(self.place())
    }

    pub(super) fn cursor(&self) -> usize {
        self.slot().spot.cursor
    }

    pub(super) fn top(&self) -> usize {
        self.slot().spot.top
    }

    /// The hunk that the cursor is in; the first one above of them.
    pub(super) fn hunk(&self) -> usize {
        self.rows.hunk(self.cursor()).unwrap_or(0)
    }

    pub(super) fn say(&mut self, text: impl Into<String>) {
        self.message = Some(Message { is_bad: false, text: text.into() });
    }

    pub(super) fn complain(&mut self, text: impl Into<String>) {
        self.message = Some(Message { is_bad: true, text: text.into() });
    }

    pub(super) fn resize(&mut self, size: (u16, u16)) {
        if self.size != size {
            self.size = size;
            self.to(self.cursor());
        }
    }

    /// Lines of the diff that are seen.
    pub(super) fn room(&self) -> usize {
        usize::from(self.size.1).saturating_sub(super::view::head(self).len() + 3).max(1)
    }

    fn show(&mut self, spot: Spot) {
        self.slots[self.at].spot = spot;
        self.rebuild();
    }

    pub(super) fn rebuild(&mut self) {
        self.rows = match (self.file(), self.sheet()) {
            (Some(file), Some(sheet)) => Rows::of(file, &sheet.comments, self.is_split),
            _ => Rows::default(),
        };
        self.to(self.cursor());
    }

    /// Stand on this row, and see it.
    pub(super) fn to(&mut self, row: usize) {
        let room = self.room();
        let most = self.rows.all.len().saturating_sub(1);
        let spot = &mut self.slots[self.at].spot;
        spot.cursor = row.min(most);
        let margin = (room / 6).min(3);
        let highest = spot.cursor.saturating_sub(margin);
        let lowest = (spot.cursor + margin + 1).saturating_sub(room);
        spot.top = spot.top.min(highest).max(lowest).min((most + 1).saturating_sub(room.min(most + 1)));
    }

    pub(super) fn by(&mut self, rows: isize) {
        self.to(self.cursor().saturating_add_signed(rows));
    }

    pub(super) fn sideways(&mut self, columns: isize) {
        self.left = self.left.saturating_add_signed(columns);
    }

    /// See the whole hunk, as far as it fits: its heading goes near the top.
    fn go_to_hunk(&mut self, hunk: usize) {
        let Some(head) = self.rows.heads.get(hunk).copied() else { return self.to(0) };
        let end = self.rows.heads.get(hunk + 1).copied().unwrap_or(self.rows.all.len());
        let (room, most) = (self.room(), self.rows.all.len());
        let spot = &mut self.slots[self.at].spot;
        if end > spot.top + room || head < spot.top {
            spot.top = if end <= room { 0 } else { head.saturating_sub(1) }.min(most.saturating_sub(room));
        }
        self.to(head);
    }

    fn go_to_first_hunk(&mut self) {
        self.go_to_hunk(0);
    }

    pub(super) fn go_to_result(&mut self, at: usize) {
        if at < self.slots.len() && at != self.at {
            self.at = at;
            self.left = 0;
            self.rebuild();
        }
    }

    pub(super) fn go_to_file(&mut self, file: usize) -> bool {
        let is_there = self.sheet().is_some_and(|sheet| file < sheet.files.len());
        if is_there && file != self.place() {
            self.left = 0;
            self.show(Spot { file, ..Spot::default() });
            self.go_to_first_hunk();
        }
        is_there
    }

    /// The next hunk, also that of the next file; was there one?
    pub(super) fn next_hunk(&mut self) -> bool {
        let next = self.rows.heads.iter().position(|head| *head > self.cursor());
        match next {
            Some(hunk) => self.go_to_hunk(hunk),
            None => return self.go_to_file(self.place() + 1),
        }
        true
    }

    pub(super) fn hunk_before(&mut self) -> bool {
        if let Some(hunk) = self.rows.heads.iter().rposition(|head| *head < self.cursor()) {
            self.go_to_hunk(hunk);
            return true;
        }
        let is_there = self.place() > 0 && self.go_to_file(self.place() - 1);
        if is_there && let Some(last) = self.rows.heads.len().checked_sub(1) {
            self.go_to_hunk(last);
        }
        is_there
    }

    /// Change what is said of this result.
    pub(super) fn change<T>(&mut self, change: impl FnOnce(&mut Sheet, usize) -> T) -> Option<T> {
        let (at, place) = (self.at, self.place());
        let sheet = self.slots[at].sheet.as_mut()?;
        let changed = change(sheet, place);
        self.unkept.insert(at);
        Some(changed)
    }

    /// Say this of the hunk, or of the file.
    pub(super) fn judge(&mut self, is_file: bool, choice: Option<Choice>) {
        let hunk = self.hunk();
        self.change(|sheet, place| {
            let Some(file) = sheet.files.get_mut(place) else { return };
            if is_file {
                file.say(choice)
            } else {
                file.say_of(hunk, choice)
            }
            sheet.follow_pieces();
        });
    }

    /// What a comment here would be about.
    pub(super) fn about(&self) -> Option<About> {
        let file = self.file()?;
        let line = |side, cell: Cell| About::Line {
            path: if side == Side::Old { file.old_path.clone() } else { None }.unwrap_or_else(|| file.path.clone()),
            line: Some(cell.number),
            side,
        };
        Some(match self.rows.all.get(self.cursor()) {
            Some(Row::Line { new: Some(cell), .. }) => line(Side::New, *cell),
            Some(Row::Line { old: Some(cell), .. }) => line(Side::Old, *cell),
            Some(Row::Comment { comment, .. }) => About::Comment(*comment),
            _ => About::Line { path: file.path.clone(), line: None, side: Side::New },
        })
    }

    /// What is typed is said.
    pub(super) fn said(&mut self, about: About, text: &str) {
        let text = text.trim_end().to_owned();
        self.change(|sheet, _| match about {
            About::Whole { is_sent_back } => {
                sheet.says = (!text.is_empty()).then_some(text);
                if is_sent_back && (sheet.says.is_some() || !sheet.comments.is_empty()) {
                    sheet.verdict = Some(Verdict::SendBack);
                }
            }
            About::Line { .. } if text.is_empty() => {}
            About::Line { path, line, side } => sheet.comments.push(Comment { path, line, side, text }),
            About::Comment(place) if text.is_empty() => drop(sheet.comments.remove(place)),
            About::Comment(place) => sheet.comments[place].text = text,
        });
        self.rebuild();
    }

    /// Take back the comment that the cursor is on, or the last one on its line.
    pub(super) fn unsay(&mut self) {
        let place = match (self.about(), self.sheet()) {
            (Some(About::Comment(place)), _) => Some(place),
            (Some(About::Line { path, line, side }), Some(sheet)) => {
                sheet.comments.iter().rposition(|said| said.line == line && said.side == side && said.path == path)
            }
            _ => None,
        };
        match place {
            Some(place) => {
                self.change(|sheet, _| drop(sheet.comments.remove(place)));
                self.rebuild();
            }
            None => self.complain("there is no comment here"),
        }
    }

    /// Find the words from here on, in this file and those behind it, or before it.
    pub(super) fn find(&mut self, is_back: bool) {
        let Some(sheet) = self.sheet().filter(|_| !self.words.is_empty()) else { return };
        let holds = |file: &FileSheet, row: &Row| holds(file, row, &self.words);
        let (file, here) = (self.place(), self.cursor());
        let rows = self.rows.all.iter().enumerate();
        let found = match is_back {
            false => rows.clone().skip(here + 1).find(|(_, row)| holds(&sheet.files[file], row)),
            true => rows.clone().take(here).rev().find(|(_, row)| holds(&sheet.files[file], row)),
        };
        if let Some((row, _)) = found {
            return self.to(row);
        }
        let holds_any = |place: &usize| {
            let file = &sheet.files[*place];
            file.hunks.iter().flat_map(|hunk| &hunk.lines).any(|line| contains(line.text.as_bytes(), &self.words))
        };
        let count = sheet.files.len();
        let next = match is_back {
            false => (file + 1..count).chain(0..file).find(holds_any),
            true => (0..file).rev().chain((file + 1..count).rev()).find(holds_any),
        };
        let Some(next) = next else { return self.complain(format!("not found: {}", shown(&self.words))) };
        self.go_to_file(next);
        let file = self.file().expect("it was found there");
        let mut rows = self.rows.all.iter().enumerate().filter(|(_, row)| self::holds(file, row, &self.words));
        let row = if is_back { rows.next_back() } else { rows.next() };
        let row = row.map(|(row, _)| row);
        self.to(row.unwrap_or(0));
    }

    /// What is to be carried out: whether pieces are left open in what was judged piece by piece, and a line on it all.
    pub(super) fn summary(&self) -> (usize, String) {
        let (mut accepted, mut parts, mut refused, mut sent, mut open, mut only) = (0, 0, 0, 0, 0, 0);
        for sheet in self.slots.iter().filter_map(|slot| slot.sheet.as_ref()) {
            match sheet.verdict {
                Some(Verdict::Accept) => {
                    accepted += 1;
                    let tally = sheet.tally();
                    let is_by_piece = tally.accepted + tally.refused > 0 && sheet.others.is_none();
                    open += if is_by_piece { tally.open } else { 0 };
                    let is_part = tally.refused > 0 || (sheet.others == Some(Choice::Refuse) && tally.open > 0);
                    parts += usize::from(is_part);
                }
                Some(Verdict::Refuse) => refused += 1,
                Some(Verdict::SendBack) => sent += 1,
                None => only += usize::from(!sheet.is_mute()),
            }
        }
        let mut words = Vec::new();
        match (accepted, parts) {
            (0, _) => {}
            (all, 0) => words.push(format!("{all} accepted")),
            (all, parts) => words.push(format!("{all} accepted ({parts} in part)")),
        }
        words.extend((refused > 0).then(|| format!("{refused} refused")));
        words.extend((sent > 0).then(|| format!("{sent} sent back")));
        if words.is_empty() {
            return (0, String::new());
        }
        words.extend((only > 0).then(|| format!("{only} only commented on")));
        (open, words.join(", "))
    }

    /// Of what was judged piece by piece, this becomes of the pieces of which nothing was said.
    pub(super) fn judge_others(&mut self, choice: Choice) {
        for (at, slot) in self.slots.iter_mut().enumerate() {
            let Some(sheet) = slot.sheet.as_mut().filter(|sheet| sheet.verdict == Some(Verdict::Accept)) else {
                continue;
            };
            let tally = sheet.tally();
            if tally.accepted + tally.refused > 0 && tally.open > 0 && sheet.others.is_none() {
                sheet.others = Some(choice);
                self.unkept.insert(at);
            }
        }
    }

    /// What does not fit in what is said: told before it is carried out.
    pub(super) fn misfits(&self) -> Option<String> {
        self.slots.iter().filter_map(|slot| slot.sheet.as_ref()).find_map(|sheet| {
            (sheet.verdict == Some(Verdict::Accept)).then(|| sheet.settle(sheet).err())?.map(|all| all.join("; "))
        })
    }
}

fn holds(file: &FileSheet, row: &Row, words: &str) -> bool {
    let Row::Line { hunk, old, new } = row else { return false };
    let lines = &file.hunks[*hunk].lines;
    [old, new].into_iter().flatten().any(|cell| contains(lines[cell.line].text.as_bytes(), words))
}

/// Capitals count only where one was typed.
pub(super) fn contains(text: &[u8], words: &str) -> bool {
    let wanted = words.as_bytes();
    let is_exact = words.chars().any(char::is_uppercase);
    let is_same = |part: &[u8]| if is_exact { part == wanted } else { part.eq_ignore_ascii_case(wanted) };
    !wanted.is_empty() && text.windows(wanted.len()).any(is_same)
}
