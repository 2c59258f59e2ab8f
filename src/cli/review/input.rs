//! Text that somebody types, over one line or several.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// The text, and where the next character goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) text: String,
    pub(super) at: usize,
}

/// What a key means for the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Typed {
    /// It goes on.
    More,
    /// That is it.
    Done,
    /// It is dropped.
    Dropped,
    /// It goes on in an editor.
    Editor,
}

impl Input {
    /// One that is there already.
    pub(super) fn of(text: &str) -> Self {
        Self { text: text.to_owned(), at: text.len() }
    }

    /// Take a key.
    pub(super) fn key(&mut self, key: KeyEvent) -> Typed {
        let (control, alt) = (key.modifiers.contains(KeyModifiers::CONTROL), key.modifiers.contains(KeyModifiers::ALT));
        match key.code {
            KeyCode::Enter if alt => self.put("\n"),
            KeyCode::Enter => return Typed::Done,
            KeyCode::Esc => return Typed::Dropped,
            KeyCode::Char('c') if control => return Typed::Dropped,
            KeyCode::Char('o') if control => return Typed::Editor,
            KeyCode::Char('j') if control => self.put("\n"),
            KeyCode::Char('a') if control => self.at = self.line_start(),
            KeyCode::Char('e') if control => self.at = self.line_end(),
            KeyCode::Char('u') if control => self.cut(self.line_start()),
            KeyCode::Char('w') if control => self.cut(self.word_start()),
            KeyCode::Char(c) if !control && !alt => self.put(c.encode_utf8(&mut [0; 4])),
            KeyCode::Backspace => self.cut(self.before()),
            KeyCode::Delete => {
                let at = self.at;
                self.at = self.behind();
                self.cut(at);
            }
            KeyCode::Left => self.at = self.before(),
            KeyCode::Right => self.at = self.behind(),
            KeyCode::Home => self.at = self.line_start(),
            KeyCode::End => self.at = self.line_end(),
            _ => {}
        }
        Typed::More
    }

    /// Put text in where the cursor is.
    pub(super) fn put(&mut self, text: &str) {
        // As terminals send pasted lines.
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        self.text.insert_str(self.at, &text);
        self.at += text.len();
    }

    fn cut(&mut self, from: usize) {
        self.text.replace_range(from..self.at, "");
        self.at = from;
    }

    fn before(&self) -> usize {
        self.text[..self.at].char_indices().next_back().map_or(0, |(at, _)| at)
    }

    fn behind(&self) -> usize {
        self.at + self.text[self.at..].chars().next().map_or(0, char::len_utf8)
    }

    fn line_start(&self) -> usize {
        self.text[..self.at].rfind('\n').map_or(0, |at| at + 1)
    }

    fn line_end(&self) -> usize {
        self.text[self.at..].find('\n').map_or(self.text.len(), |at| self.at + at)
    }

    fn word_start(&self) -> usize {
        let head = self.text[..self.at].trim_end();
        head.rfind(char::is_whitespace).map_or(0, |at| at + head[at..].chars().next().map_or(1, char::len_utf8))
    }
}
