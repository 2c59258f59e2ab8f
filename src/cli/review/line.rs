//! A line of a file as cells: nothing in it acts on the terminal, and nothing in it is unseen.

use super::dress::Dress;
use crate::cli::style::width;
use crate::core::ink::Ink;
use crate::core::word::is_hostile;

const TAB: usize = 4;
/// Marks on one character (accents) that are drawn.
const ACCENTS: usize = 4;

/// A piece of a line that looks the same all over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) ink: Ink,
    /// It changed.
    pub(super) is_marked: bool,
    /// It stands for something that cannot be shown as it is.
    pub(super) is_odd: bool,
}

/// Would nobody see that it is there?
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180e}'
        | '\u{200b}'..='\u{200d}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2064}' | '\u{3164}' | '\u{ffa0}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// What is seen of a line from a column on, in so many columns. However long it is, only that much of it is looked at.
pub(super) fn pieces(bytes: &[u8], dress: &Dress, left: usize, room: usize) -> Vec<Piece> {
    let mut painter = Painter { left, end: left.saturating_add(room), ..Painter::default() };
    let mut at = 0;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if painter.column > painter.end {
                return painter.pieces;
            }
            painter.look(dress, at);
            painter.char(c);
            at += c.len_utf8();
        }
        for byte in chunk.invalid() {
            if painter.column > painter.end {
                return painter.pieces;
            }
            painter.look(dress, at);
            painter.odd(&format!("\\x{byte:02x}"));
            at += 1;
        }
    }
    painter.pieces
}

#[derive(Default)]
struct Painter {
    pieces: Vec<Piece>,
    column: usize,
    left: usize,
    end: usize,
    accents: usize,
    ink: Ink,
    is_marked: bool,
}

impl Painter {
    fn look(&mut self, dress: &Dress, at: usize) {
        let known = dress.inks.partition_point(|(start, _)| *start <= at);
        self.ink = known.checked_sub(1).map_or(Ink::Plain, |known| dress.inks[known].1);
        self.is_marked = dress.marks.iter().any(|mark| mark.contains(&at));
    }

    fn char(&mut self, c: char) {
        match c {
            ' '..='~' => self.put(c.encode_utf8(&mut [0; 4]), 1, false),
            '\t' => (0..TAB - self.column % TAB).for_each(|_| self.put(" ", 1, false)),
            c if is_hostile(c) || is_unseen(c) => self.odd(&c.escape_default().to_string()),
            c => {
                let mut bytes = [0; 4];
                let text = c.encode_utf8(&mut bytes);
                match width(text) {
                    0 if self.accents >= ACCENTS || self.column == 0 => self.odd(&c.escape_default().to_string()),
                    0 => {
                        self.accents += 1;
                        if let Some(last) = self.pieces.last_mut().filter(|_| self.column > self.left) {
                            last.text.push_str(text);
                        }
                    }
                    columns => self.put(text, columns, false),
                }
            }
        }
    }

    fn odd(&mut self, text: &str) {
        text.chars().for_each(|c| self.put(c.encode_utf8(&mut [0; 4]), 1, true));
    }

    fn put(&mut self, text: &str, columns: usize, is_odd: bool) {
        self.accents = 0;
        let from = self.column;
        self.column += columns;
        if self.column <= self.left || from >= self.end {
            return;
        }
        // Half of a wide character that the edge cuts is a blank.
        let text = if from < self.left || self.column > self.end { " " } else { text };
        let (ink, is_marked) = (self.ink, self.is_marked);
        match self.pieces.last_mut() {
            Some(last) if (last.ink, last.is_marked, last.is_odd) == (ink, is_marked, is_odd) => {
                last.text.push_str(text)
            }
            _ => self.pieces.push(Piece { text: text.to_owned(), ink, is_marked, is_odd }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8], left: usize, room: usize) -> String {
        pieces(bytes, &Dress::default(), left, room).into_iter().map(|piece| piece.text).collect()
    }

    #[test]
    fn nothing_acts_and_nothing_is_unseen() {
        assert_eq!(text(b"a\x1b[31mb\r", 0, 80), "a\\u{1b}[31mb\\r");
        assert_eq!(text("x\u{202e}y\u{200b}z\u{e0041}".as_bytes(), 0, 80), "x\\u{202e}y\\u{200b}z\\u{e0041}");
        assert_eq!(text(b"\xff\tq", 0, 80), "\\xff    q");
        // An accent is an accent; a heap of them is not.
        assert_eq!(text("e\u{301}".as_bytes(), 0, 80), "e\u{301}");
        let heap = format!("e{}", "\u{301}".repeat(9));
        assert!(text(heap.as_bytes(), 0, 80).contains("\\u{301}"));
        assert_eq!(text("\u{301}".as_bytes(), 0, 80), "\\u{301}");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "it measures how long it takes")]
    fn only_what_is_seen_is_looked_at() {
        assert_eq!(text("日本語".as_bytes(), 1, 3), " 本");
        assert_eq!(text("日本語".as_bytes(), 0, 3), "日 ");
        let long = vec![b'x'; 100 << 20];
        let begun = std::time::Instant::now();
        assert_eq!(text(&long, 10, 5), "xxxxx");
        // The first chunk is looked through once for what is not UTF-8, and that is all.
        assert!(begun.elapsed().as_secs() < 5);
    }
}
