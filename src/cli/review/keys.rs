//! What the keys do.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::input::{Input, Typed};
use super::model::{About, Effect, Mode, Model};
use crate::core::review::{Choice, Verdict};

const SIDEWAYS: isize = 8;

impl Model {
    /// Take a key.
    pub(super) fn key(&mut self, key: KeyEvent) -> Option<Effect> {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        if is_control && key.code == KeyCode::Char('z') {
            return Some(Effect::Suspend);
        }
        match std::mem::replace(&mut self.mode, Mode::Browse) {
            Mode::Browse => {
                self.message = None;
                self.browse(key, is_control)
            }
            Mode::Help => None,
            Mode::Search(input) => self.search(input, key),
            Mode::Say(about, input) => self.type_comment(about, input, key),
            Mode::Whole => {
                self.whole(key.code);
                None
            }
            Mode::Others => {
                let choice = match key.code {
                    KeyCode::Char('a') => Choice::Accept,
                    KeyCode::Char('x') => Choice::Refuse,
                    _ => return None,
                };
                self.judge_others(choice);
                self.mode = Mode::Ask;
                None
            }
            Mode::Ask => (key.code == KeyCode::Char('y')).then_some(Effect::CarryOut),
        }
    }

    /// Text was pasted.
    pub(super) fn paste(&mut self, text: &str) {
        match &mut self.mode {
            Mode::Say(_, input) => input.put(text),
            Mode::Search(input) => input.put(text.lines().next().unwrap_or_default()),
            _ => {}
        }
    }

    fn browse(&mut self, key: KeyEvent, is_control: bool) -> Option<Effect> {
        let page = self.room() as isize;
        match key.code {
            KeyCode::Char('c') if is_control => return Some(Effect::Quit),
            KeyCode::Char('d') if is_control => self.by(page / 2),
            KeyCode::Char('u') if is_control => self.by(-page / 2),
            KeyCode::Char('f') if is_control => self.by(page),
            KeyCode::Char('b') if is_control => self.by(-page),
            _ if is_control => {}
            KeyCode::Char('q') => return Some(Effect::Quit),
            KeyCode::Char('?') => self.mode = Mode::Help,
            KeyCode::Char('e') => return self.sheet().map(|_| Effect::EditDraft),
            KeyCode::Char('w') | KeyCode::Enter => self.finish(),
            code => {
                self.walk(code, page);
                self.speak(code);
            }
        }
        None
    }

    fn walk(&mut self, code: KeyCode, page: isize) {
        let file = self.place();
        match code {
            KeyCode::Char('j') | KeyCode::Down => self.by(1),
            KeyCode::Char('k') | KeyCode::Up => self.by(-1),
            KeyCode::PageDown => self.by(page),
            KeyCode::PageUp => self.by(-page),
            KeyCode::Char('g') | KeyCode::Home => self.to(0),
            KeyCode::Char('G') | KeyCode::End => self.to(usize::MAX),
            KeyCode::Char('h') | KeyCode::Left => self.sideways(-SIDEWAYS),
            KeyCode::Char('l') | KeyCode::Right => self.sideways(SIDEWAYS),
            KeyCode::Char('n') if !self.next_hunk() => self.say("that is the last hunk; w carries out what was said"),
            KeyCode::Char('p') if !self.hunk_before() => self.say("that is the first hunk"),
            KeyCode::Tab | KeyCode::Char(']') if !self.go_to_file(file + 1) => self.say("that is the last file"),
            KeyCode::BackTab | KeyCode::Char('[') => match file.checked_sub(1) {
                Some(before) => drop(self.go_to_file(before)),
                None => self.say("that is the first file"),
            },
            KeyCode::Char('>') => self.go_to_result((self.at + 1) % self.slots.len()),
            KeyCode::Char('<') => self.go_to_result((self.at + self.slots.len() - 1) % self.slots.len()),
            KeyCode::Char(digit @ '1'..='9') => self.go_to_result(digit as usize - '1' as usize),
            KeyCode::Char('s') => {
                self.is_split = !self.is_split;
                let hunk = self.hunk();
                self.rebuild();
                self.to(self.rows.heads.get(hunk).copied().unwrap_or(0));
            }
            KeyCode::Char('f') => self.has_tree = !self.has_tree,
            KeyCode::Char('/') => self.mode = Mode::Search(Input::default()),
            KeyCode::Char('.') => self.find(false),
            KeyCode::Char(',') => self.find(true),
            _ => {}
        }
    }

    fn speak(&mut self, code: KeyCode) {
        if self.file().is_none() && !matches!(code, KeyCode::Char('t' | 'C')) {
            return;
        }
        match code {
            KeyCode::Char(' ') => {
                let hunk = self.hunk();
                let choice = match self.file().and_then(|file| file.said_of(hunk)) {
                    Some(Choice::Accept) => Choice::Refuse,
                    _ => Choice::Accept,
                };
                self.judge(false, Some(choice));
            }
            KeyCode::Char('a') => self.judge_and_go_on(false, Choice::Accept),
            KeyCode::Char('x') => self.judge_and_go_on(false, Choice::Refuse),
            KeyCode::Char('A') => self.judge_and_go_on(true, Choice::Accept),
            KeyCode::Char('X') => self.judge_and_go_on(true, Choice::Refuse),
            KeyCode::Char('u') => self.judge(false, None),
            KeyCode::Char('U') => self.judge(true, None),
            KeyCode::Char('t') if self.sheet().is_some() => self.mode = Mode::Whole,
            KeyCode::Char('c') => {
                if let Some(about) = self.about() {
                    let said = match (&about, self.sheet()) {
                        (About::Comment(place), Some(sheet)) => Input::of(&sheet.comments[*place].text),
                        _ => Input::default(),
                    };
                    self.mode = Mode::Say(about, said);
                }
            }
            KeyCode::Char('C') => self.say_of_whole(false),
            KeyCode::Char('d') => self.unsay(),
            _ => {}
        }
    }

    fn say_of_whole(&mut self, is_sent_back: bool) {
        if let Some(sheet) = self.sheet() {
            let said = Input::of(sheet.says.as_deref().unwrap_or_default());
            self.mode = Mode::Say(About::Whole { is_sent_back }, said);
        }
    }

    fn judge_and_go_on(&mut self, is_file: bool, choice: Choice) {
        self.judge(is_file, Some(choice));
        let went = if is_file { self.go_to_file(self.place() + 1) } else { self.next_hunk() };
        if !went {
            self.say("that was the last one; w carries out what was said");
        }
    }

    fn whole(&mut self, code: KeyCode) {
        let verdict = match code {
            KeyCode::Char('a') => Some(Verdict::Accept),
            KeyCode::Char('x') => Some(Verdict::Refuse),
            KeyCode::Char('u') => None,
            KeyCode::Char('b') => {
                let is_mute = self.sheet().is_some_and(|sheet| sheet.says.is_none() && sheet.comments.is_empty());
                if is_mute {
                    return self.say_of_whole(true);
                }
                Some(Verdict::SendBack)
            }
            _ => return,
        };
        self.change(|sheet, _| sheet.say(verdict));
        let next = (self.at + 1..self.slots.len()).find(|at| {
            self.slots[*at].problem.is_none()
                && self.slots[*at].sheet.as_ref().is_none_or(|sheet| sheet.verdict.is_none())
        });
        match (verdict, next) {
            (Some(_), Some(next)) => self.go_to_result(next),
            (Some(_), None) => self.say("w carries out what was said"),
            (None, _) => {}
        }
    }

    fn finish(&mut self) {
        let (open, words) = self.summary();
        if words.is_empty() {
            return self.complain("nothing is decided yet: a or x on a hunk, t on the whole result");
        }
        if let Some(misfits) = self.misfits() {
            return self.complain(misfits);
        }
        self.mode = if open > 0 { Mode::Others } else { Mode::Ask };
    }

    fn search(&mut self, mut input: Input, key: KeyEvent) -> Option<Effect> {
        match input.key(key) {
            Typed::Done => {
                if !input.text.is_empty() {
                    self.words = input.text;
                }
                self.find(false);
            }
            Typed::Dropped => {}
            Typed::More | Typed::Editor => self.mode = Mode::Search(input),
        }
        None
    }

    fn type_comment(&mut self, about: About, mut input: Input, key: KeyEvent) -> Option<Effect> {
        match input.key(key) {
            Typed::Done => self.said(about, &input.text),
            Typed::Dropped => {}
            Typed::More => self.mode = Mode::Say(about, input),
            Typed::Editor => {
                self.mode = Mode::Say(about, input);
                return Some(Effect::EditText);
            }
        }
        None
    }
}
