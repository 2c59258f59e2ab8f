//! What the monitor knows and what its keys do. Pure: a picture of the tasks and keys come in, effects come out.

use std::collections::{BTreeMap, BTreeSet};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::log::Log;
use super::tree::{self, Item, Key, Tally};
use crate::core::id::TaskId;
use crate::core::plan::PlanId;
use crate::core::report::{Row, Standing};
use crate::core::task::Priority;
use crate::ops::monitor::Picture;

/// What is to be done outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// Leave.
    Quit,
    /// Stop, as with Ctrl-Z.
    Suspend,
    /// Show settled tasks too, or do not.
    ShowAll(bool),
    /// Show what a task changed.
    Diff(TaskId),
    /// Look at its result hunk by hunk.
    Review(TaskId),
    /// Ask the coordinator.
    Do(Deed),
}

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Deed {
    pub(super) what: What,
    pub(super) tasks: Vec<TaskId>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Cancel,
    Retry,
    RetryOntoTarget,
    Merge,
    Discard,
    Pause,
    Resume,
    Prioritize(Priority),
}

/// What is shown below the tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pane {
    Log,
    Queue,
}

/// Who gets the keys that move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Focus {
    Tasks,
    Pane,
}

/// What keys mean just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    Browse,
    /// Words to search for are typed.
    Search(String),
    /// It is done if the answer is yes.
    Ask(Deed),
    Help,
}

/// How something that was asked for came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) is_bad: bool,
    pub(super) text: String,
}

/// Everything that is shown.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) place: String,
    pub(super) picture: Option<Picture>,
    pub(super) items: Vec<Item>,
    pub(super) tallies: BTreeMap<PlanId, Tally>,
    closed: BTreeSet<Key>,
    pub(super) selected: usize,
    pub(super) top: usize,
    pub(super) is_all: bool,
    pub(super) pane: Option<Pane>,
    pub(super) focus: Focus,
    pub(super) is_zoomed: bool,
    pub(super) log: Log,
    /// The first line of the queue that is shown.
    pub(super) queue_top: usize,
    pub(super) mode: Mode,
    pub(super) message: Option<Message>,
    size: (u16, u16),
}

/// Lines of the screen: the heading, the titles of the columns and the foot are one each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heights {
    pub(super) table: u16,
    /// With its title; 0 where there is none.
    pub(super) pane: u16,
}

impl Model {
    pub(super) fn new(place: String, size: (u16, u16)) -> Self {
        Self {
            place,
            picture: None,
            items: Vec::new(),
            tallies: BTreeMap::new(),
            closed: BTreeSet::new(),
            selected: 0,
            top: 0,
            is_all: false,
            pane: Some(Pane::Log),
            focus: Focus::Tasks,
            is_zoomed: false,
            log: Log::default(),
            queue_top: 0,
            mode: Mode::Browse,
            message: None,
            size,
        }
    }

    pub(super) fn rows(&self) -> &[Row] {
        self.picture.as_ref().map(|picture| &picture.board.tasks[..]).unwrap_or_default()
    }

    /// Everything stands like this now.
    pub(super) fn see(&mut self, picture: Picture) {
        self.tallies.clear();
        for row in &picture.board.tasks {
            if let Some(plan) = &row.plan {
                self.tallies.entry(plan.clone()).or_default().add(row.state);
            }
        }
        self.picture = Some(picture);
        self.arrange();
    }

    pub(super) fn resize(&mut self, size: (u16, u16)) {
        self.size = size;
        self.keep_in_sight();
    }

    /// The rows anew; who was stood on is stood on still.
    fn arrange(&mut self) {
        let key = self.items.get(self.selected).map(|item| item.key.clone());
        self.items = tree::items(self.rows(), &self.closed);
        let place = key.and_then(|key| self.items.iter().position(|item| item.key == key));
        self.select(place.unwrap_or(self.selected));
    }

    fn select(&mut self, place: usize) {
        self.selected = place.min(self.items.len().saturating_sub(1));
        self.keep_in_sight();
    }

    fn keep_in_sight(&mut self) {
        let height = usize::from(self.heights().table).max(1);
        let last = (self.selected + 1).saturating_sub(height);
        self.top = self.top.clamp(last, self.selected).min(self.items.len().saturating_sub(height));
        let pane = usize::from(self.heights().pane).saturating_sub(1);
        self.log.resize(pane);
    }

    pub(super) fn heights(&self) -> Heights {
        let room = self.size.1.saturating_sub(3);
        match self.pane {
            Some(_) if self.is_zoomed => Heights { table: 0, pane: room + 1 },
            // Where there is hardly any room the tasks come first.
            Some(_) if room >= 8 => Heights { table: room - room / 2, pane: room / 2 },
            _ => Heights { table: room, pane: 0 },
        }
    }

    pub(super) fn item(&self) -> Option<&Item> {
        self.items.get(self.selected)
    }

    /// The task that is stood on.
    pub(super) fn row(&self) -> Option<&Row> {
        let item = self.item()?;
        matches!(item.key, Key::Task(_)).then(|| &self.rows()[item.at])
    }

    /// Whose log is wanted, and of which attempt.
    pub(super) fn wanted_log(&self) -> Option<(TaskId, u32)> {
        let is_shown = self.pane == Some(Pane::Log) && self.heights().pane > 0;
        self.row().filter(|row| is_shown && row.attempt > 0).map(|row| (row.id, row.attempt))
    }

    /// A key.
    pub(super) fn key(&mut self, key: KeyEvent) -> Option<Effect> {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if is_control => return Some(Effect::Quit),
            KeyCode::Char('z') if is_control => return Some(Effect::Suspend),
            _ => {}
        }
        match std::mem::replace(&mut self.mode, Mode::Browse) {
            Mode::Browse => {
                self.message = None;
                self.browse(key.code, is_control)
            }
            Mode::Help => None,
            Mode::Ask(deed) => matches!(key.code, KeyCode::Char('y')).then_some(Effect::Do(deed)),
            Mode::Search(words) => {
                self.mode = self.search(words, key.code);
                None
            }
        }
    }

    fn search(&mut self, mut words: String, code: KeyCode) -> Mode {
        match code {
            KeyCode::Esc => {
                self.log.search("");
                return Mode::Browse;
            }
            KeyCode::Enter => return Mode::Browse,
            KeyCode::Backspace => drop(words.pop()),
            KeyCode::Char(c) => words.push(c),
            _ => {}
        }
        self.log.search(&words);
        Mode::Search(words)
    }

    fn browse(&mut self, code: KeyCode, is_control: bool) -> Option<Effect> {
        match code {
            KeyCode::Char('q') => return Some(Effect::Quit),
            KeyCode::Char('?') | KeyCode::F(1) => self.mode = Mode::Help,
            KeyCode::Tab | KeyCode::BackTab if self.pane.is_some() => {
                self.focus = if self.focus == Focus::Tasks { Focus::Pane } else { Focus::Tasks };
            }
            KeyCode::Char('1') => self.open(Pane::Log),
            KeyCode::Char('2') => self.open(Pane::Queue),
            KeyCode::Char('z') if self.pane.is_some() => {
                self.is_zoomed = !self.is_zoomed;
                self.focus = if self.is_zoomed { Focus::Pane } else { Focus::Tasks };
            }
            KeyCode::Esc => self.close(),
            KeyCode::Char('a') => {
                self.is_all = !self.is_all;
                return Some(Effect::ShowAll(self.is_all));
            }
            KeyCode::Char('/') => {
                self.show(Pane::Log);
                self.mode = Mode::Search(String::new());
            }
            KeyCode::Char('n') => self.log.next_match(true),
            KeyCode::Char('N') => self.log.next_match(false),
            KeyCode::Char('f') => self.log.follow(),
            KeyCode::Char('d') if !is_control => return self.look_at(Effect::Diff),
            KeyCode::Char('v') if !is_control => return self.look_at(Effect::Review),
            KeyCode::Char(c) if !is_control && self.deed(c) => return self.effect(),
            code => self.travel(code, is_control),
        }
        self.keep_in_sight();
        None
    }

    fn show(&mut self, pane: Pane) {
        self.pane = Some(pane);
    }

    /// The same key once more closes it.
    fn open(&mut self, pane: Pane) {
        if self.pane == Some(pane) {
            return self.close();
        }
        self.show(pane);
    }

    fn close(&mut self) {
        match self.is_zoomed {
            true => self.is_zoomed = false,
            false if self.focus == Focus::Pane => {}
            false => self.pane = None,
        }
        self.focus = Focus::Tasks;
    }

    fn travel(&mut self, code: KeyCode, is_control: bool) {
        let page = usize::from(if self.focus == Focus::Tasks { self.heights().table } else { self.heights().pane });
        let page = page.saturating_sub(1).max(1) as isize;
        let by = match code {
            KeyCode::Char('d') if is_control => page / 2,
            KeyCode::Char('u') if is_control => -page / 2,
            KeyCode::Down | KeyCode::Char('j') => 1,
            KeyCode::Up | KeyCode::Char('k') => -1,
            KeyCode::PageDown | KeyCode::Char(' ') => page,
            KeyCode::PageUp => -page,
            KeyCode::Home | KeyCode::Char('g') => isize::MIN,
            KeyCode::End | KeyCode::Char('G') => isize::MAX,
            KeyCode::Enter => return self.fold(),
            KeyCode::Left | KeyCode::Right | KeyCode::Char('h' | 'l') => {
                let is_right = matches!(code, KeyCode::Right | KeyCode::Char('l'));
                return self.sideways(is_right);
            }
            _ => return,
        };
        match (self.focus, self.pane) {
            (Focus::Pane, Some(Pane::Log)) => self.log.scroll(by),
            (Focus::Pane, Some(Pane::Queue)) => self.queue_top = self.queue_top.saturating_add_signed(by),
            _ => self.select(self.selected.saturating_add_signed(by)),
        }
    }

    fn sideways(&mut self, is_right: bool) {
        match self.focus {
            Focus::Pane => self.log.sideways(is_right),
            Focus::Tasks => {
                let is_closed = self.item().is_some_and(|item| self.closed.contains(&item.key));
                if is_closed == is_right {
                    self.fold();
                }
            }
        }
    }

    /// Hide or show what lies below.
    fn fold(&mut self) {
        let Some(key) = self.item().map(|item| item.key.clone()) else { return };
        if !self.closed.remove(&key) {
            self.closed.insert(key);
        }
        self.arrange();
    }

    fn look_at(&mut self, how: fn(TaskId) -> Effect) -> Option<Effect> {
        match self.row() {
            Some(row) if row.attempt > 0 => Some(how(row.id)),
            Some(row) => {
                self.message = Some(Message { is_bad: true, text: format!("task {} has not run yet", row.id) });
                None
            }
            None => None,
        }
    }

    /// The rows that are meant: the one that is stood on, or all tasks of the plan.
    fn meant(&self) -> Vec<&Row> {
        match self.item().map(|item| &item.key) {
            Some(Key::Task(_)) => self.row().into_iter().collect(),
            Some(Key::Plan(plan)) => self.rows().iter().filter(|row| row.plan.as_ref() == Some(plan)).collect(),
            None => Vec::new(),
        }
    }

    /// Does this key ask for something? Then it waits for an answer, or is told why it cannot be.
    fn deed(&mut self, key: char) -> bool {
        let what = match key {
            'c' => What::Cancel,
            'r' => What::Retry,
            'R' => What::RetryOntoTarget,
            'm' => What::Merge,
            'x' => What::Discard,
            'p' if self.picture.as_ref().is_some_and(|picture| picture.board.paused) => What::Resume,
            'p' => What::Pause,
            '+' | '-' => match self.next_priority(key == '+') {
                Some(priority) => What::Prioritize(priority),
                None => return true,
            },
            _ => return false,
        };
        let is_for_all = matches!(what, What::Pause | What::Resume);
        let meant = if is_for_all { Vec::new() } else { self.meant() };
        let is_one = meant.len() == 1;
        let tasks: Vec<TaskId> = meant.iter().filter(|row| what.fits(row.state, is_one)).map(|row| row.id).collect();
        if tasks.is_empty() && !is_for_all {
            let text = match meant[..] {
                [row] => format!("task {} is {}: {}", row.id, row.state, what.no()),
                [] => "there is no task here".to_owned(),
                _ => format!("no task of this plan can be meant: {}", what.no()),
            };
            self.message = Some(Message { is_bad: true, text });
            return true;
        }
        self.mode = Mode::Ask(Deed { what, tasks });
        true
    }

    /// What needs no answer is done at once.
    fn effect(&mut self) -> Option<Effect> {
        match std::mem::replace(&mut self.mode, Mode::Browse) {
            Mode::Ask(deed) if !deed.what.asks() => Some(Effect::Do(deed)),
            mode => {
                self.mode = mode;
                None
            }
        }
    }

    fn next_priority(&mut self, is_up: bool) -> Option<Priority> {
        let now = self.meant().first()?.priority;
        let all: Vec<Priority> = Priority::ALL.iter().map(|(_, priority)| *priority).collect();
        let place = all.iter().position(|priority| *priority == now)?;
        let next = place.checked_add_signed(if is_up { 1 } else { -1 }).and_then(|place| all.get(place)).copied();
        if next.is_none() {
            let text = format!("its priority is {now} already");
            self.message = Some(Message { is_bad: true, text });
        }
        next
    }
}

impl What {
    /// Is it only done after somebody said yes?
    fn asks(self) -> bool {
        matches!(self, Self::Cancel | Self::Discard | Self::Merge)
    }

    /// Can it be meant of a task that stands there? Of a plan only those are meant that nobody need think about.
    fn fits(self, state: Standing, is_one: bool) -> bool {
        use Standing as S;
        let refused = matches!(state, S::Conflict | S::Rejected | S::Held);
        match self {
            Self::Cancel => matches!(state, S::Waiting | S::Blocked | S::Running | S::Cancelling),
            Self::Retry => {
                let again = matches!(state, S::Failed | S::Withdrawn) || refused;
                again || (is_one && matches!(state, S::Ready | S::Empty | S::Discarded))
            }
            Self::RetryOntoTarget => refused || (is_one && state == S::Ready),
            Self::Merge => state == S::Ready || (is_one && refused),
            Self::Discard => {
                let unwanted = matches!(state, S::Failed | S::Ready) || refused;
                unwanted || (is_one && matches!(state, S::Empty | S::Withdrawn))
            }
            Self::Prioritize(_) => matches!(state, S::Waiting | S::Blocked),
            Self::Pause | Self::Resume => true,
        }
    }

    fn no(self) -> &'static str {
        match self {
            Self::Cancel => "there is nothing to cancel",
            Self::Retry => "it cannot run again from here",
            Self::RetryOntoTarget => "there is no result to hand back",
            Self::Merge => "there is nothing to merge",
            Self::Discard => "there is nothing to discard",
            Self::Prioritize(_) => "only who waits has a turn",
            Self::Pause | Self::Resume => "",
        }
    }

    /// `cancel`
    pub(super) fn verb(self) -> String {
        match self {
            Self::Cancel => "cancel".to_owned(),
            Self::Retry => "retry".to_owned(),
            Self::RetryOntoTarget => "retry on its target".to_owned(),
            Self::Merge => "merge".to_owned(),
            Self::Discard => "discard".to_owned(),
            Self::Pause => "pause".to_owned(),
            Self::Resume => "resume".to_owned(),
            Self::Prioritize(priority) => format!("make {priority}"),
        }
    }
}
