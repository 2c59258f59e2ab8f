//! From bytes, as they come, to whole lines. A line without end is not kept without end.

/// The longest line that is understood; a longer one is left out.
const LONGEST: usize = 16 << 20;

/// The line that is not whole yet.
#[derive(Debug, Default)]
pub struct Lines {
    begun: Vec<u8>,
    is_too_long: bool,
    taken: u64,
}

impl Lines {
    /// The lines that these bytes end, without their ends.
    pub fn pass(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.taken += bytes.len() as u64;
        let mut whole = Vec::new();
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.add(&rest[..end]);
            let line = std::mem::take(&mut self.begun);
            if !std::mem::take(&mut self.is_too_long) {
                whole.push(line);
            }
            rest = &rest[end + 1..];
        }
        self.add(rest);
        whole
    }

    fn add(&mut self, bytes: &[u8]) {
        if self.is_too_long || self.begun.len() + bytes.len() > LONGEST {
            self.is_too_long = true;
            self.begun = Vec::new();
        } else {
            self.begun.extend_from_slice(bytes);
        }
    }

    /// Has no line begun that has not ended?
    pub fn is_empty(&self) -> bool {
        self.begun.is_empty()
    }

    /// Bytes that there were.
    pub fn taken(&self) -> u64 {
        self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_come() {
        let text = b"one\n\ntwo\r\nthree";
        for size in 1..text.len() {
            let mut lines = Lines::default();
            let mut all: Vec<Vec<u8>> = text.chunks(size).flat_map(|bytes| lines.pass(bytes)).collect();
            assert!(!lines.is_empty());
            all.extend(lines.pass(b"\n"));
            assert_eq!(all, [&b"one"[..], b"", b"two\r", b"three"]);
        }
    }

    #[test]
    fn a_line_without_end_is_left_out() {
        let mut lines = Lines::default();
        for _ in 0..40 {
            assert!(lines.pass(&vec![b'x'; 1 << 20]).is_empty());
        }
        assert!(lines.is_empty());
        assert_eq!(lines.pass(b"tail\nnext\n"), [b"next".to_vec()]);
    }
}
