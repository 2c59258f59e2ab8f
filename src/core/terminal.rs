//! Output of a task on its way to a terminal: it may be coloured and draw over its own line, and do nothing else.

use super::word::is_hostile;

/// The longest sequence that a colour needs.
const LONGEST: usize = 64;

/// What has come so far and is not whole yet: a piece ends anywhere.
#[derive(Debug, Default)]
pub struct Gentle(Vec<u8>);

/// What comes next.
enum Next {
    /// So many bytes, as they are.
    Pass(usize),
    /// So many bytes, and what is shown of them.
    Instead(usize, String),
    /// It is not told yet.
    Unknown,
}

impl Gentle {
    /// The next piece, as it can be shown.
    pub fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.0.extend(bytes);
        let all = std::mem::take(&mut self.0);
        let (mut shown, mut at) = (Vec::with_capacity(all.len()), 0);
        while at < all.len() {
            match next(&all[at..]) {
                Next::Pass(length) => {
                    shown.extend(&all[at..at + length]);
                    at += length;
                }
                Next::Instead(length, text) => {
                    shown.extend(text.bytes());
                    at += length;
                }
                Next::Unknown => break,
            }
        }
        self.0 = all[at..].to_vec();
        shown
    }

    /// What was not whole at the end.
    pub fn rest(&mut self) -> Vec<u8> {
        let rest = std::mem::take(&mut self.0);
        rest.iter().flat_map(|byte| byte.escape_ascii()).collect()
    }
}

fn next(rest: &[u8]) -> Next {
    match rest[0] {
        b'\n' | b'\t' | b'\r' | b' '..=b'~' => return Next::Pass(1),
        0x1b => return sequence(rest),
        _ => {}
    }
    let start = &rest[..rest.len().min(4)];
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(error) if error.valid_up_to() > 0 => std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default(),
        Err(error) if error.error_len().is_none() && rest.len() < 4 => return Next::Unknown,
        Err(_) => "",
    };
    match text.chars().next() {
        Some(c) if is_hostile(c) => Next::Instead(c.len_utf8(), c.escape_default().to_string()),
        Some(c) => Next::Pass(c.len_utf8()),
        None => Next::Instead(1, rest[0].escape_ascii().to_string()),
    }
}

/// Colours, and clearing the rest of a line.
fn sequence(rest: &[u8]) -> Next {
    let escaped = Next::Instead(1, "\\u{1b}".to_owned());
    match rest.get(1) {
        None => return Next::Unknown,
        Some(b'[') => {}
        Some(_) => return escaped,
    }
    let numbers = rest[2..].iter().take_while(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':')).count();
    match rest.get(2 + numbers) {
        _ if numbers > LONGEST => escaped,
        None => Next::Unknown,
        Some(b'm' | b'K') => Next::Pass(3 + numbers),
        Some(_) => escaped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &[u8]) -> String {
        let mut gentle = Gentle::default();
        let mut all = gentle.pass(text);
        all.extend(gentle.rest());
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn colours_stay_and_nothing_else_acts() {
        for same in ["plain\tä\n", "\u{1b}[1;31mred\u{1b}[0m", "10%\r20%\u{1b}[K\n", "\u{65e5}\u{672c}"] {
            assert_eq!(shown(same.as_bytes()), same);
        }
        assert_eq!(shown(b"\x1b]0;title\x07"), "\\u{1b}]0;title\\u{7}");
        assert_eq!(
            shown(b"\x1b[2J\x1b[5A\x1bc\x9b\xc2\x9b31m\x08"),
            "\\u{1b}[2J\\u{1b}[5A\\u{1b}c\\x9b\\u{9b}31m\\u{8}"
        );
        assert_eq!(shown("\u{202e}x\u{2066}".as_bytes()), "\\u{202e}x\\u{2066}");
        assert_eq!(shown(b"\x1b["), "\\x1b[");
    }

    #[test]
    fn where_a_piece_ends_changes_nothing_and_nothing_is_kept_for_long() {
        let mut random = 88_172_645_463_325_252_u64;
        let mut byte = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let all = b"\x1b[]0;31mKa\xc3\xa4\xe2\x80\xae\xf0\x9f\xff\x9b\x07\r\n";
            all[random as usize % all.len()]
        };
        for _ in 0..2000 {
            let text: Vec<u8> = (0..40).map(|_| byte()).collect();
            let whole = shown(&text);
            let mut gentle = Gentle::default();
            let mut pieces: Vec<u8> = text.iter().flat_map(|byte| gentle.pass(&[*byte])).collect();
            assert!(gentle.0.len() <= LONGEST + 3);
            pieces.extend(gentle.rest());
            assert_eq!(String::from_utf8(pieces).unwrap(), whole, "{text:?}");
            assert!(!whole.chars().any(|c| is_hostile(c) && !matches!(c, '\n' | '\r' | '\t' | '\u{1b}')), "{whole:?}");
        }
    }
}
