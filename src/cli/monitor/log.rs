//! The pane of a log: which of its lines are seen, and what was searched for.

use super::text::Text;
use crate::core::id::TaskId;

/// Columns by which it moves sideways.
const ASIDE: usize = 16;

/// A log, and where one looks.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Of which attempt of which task.
    pub(super) of: Option<(TaskId, u32)>,
    pub(super) text: Text,
    /// The number of the first line that is seen, where it does not follow the end.
    top: Option<usize>,
    pub(super) left: usize,
    height: usize,
    pub(super) words: String,
    pub(super) matches: Vec<usize>,
    /// The match that was gone to.
    pub(super) current: Option<usize>,
    /// Up to which line was searched.
    searched: usize,
}

impl Log {
    /// From here on it is the log of this attempt. What was searched for is searched for there, too.
    pub(super) fn turn_to(&mut self, of: Option<(TaskId, u32)>) {
        if self.of != of {
            let (height, words) = (self.height, std::mem::take(&mut self.words));
            *self = Self { of, height, words, ..Self::default() };
        }
    }

    /// More output of that attempt.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.text.push(bytes);
        self.search_on();
    }

    /// So many bytes are missing here.
    pub(super) fn dropped(&mut self, bytes: u64) {
        self.text.note(&format!("… {bytes} bytes were not kept …"));
    }

    pub(super) fn resize(&mut self, height: usize) {
        self.height = height;
    }

    pub(super) fn is_following(&self) -> bool {
        self.top.is_none()
    }

    /// The numbers of the lines that are seen.
    pub(super) fn seen(&self) -> std::ops::Range<usize> {
        let all = self.text.range();
        let last = all.end.saturating_sub(self.height).max(all.start);
        let top = self.top.map_or(last, |top| top.clamp(all.start, last.max(all.start)));
        top..(top + self.height).min(all.end)
    }

    /// Show the end, as it grows.
    pub(super) fn follow(&mut self) {
        self.top = None;
    }

    pub(super) fn scroll(&mut self, by: isize) {
        let all = self.text.range();
        let last = all.end.saturating_sub(self.height).max(all.start);
        let top = self.seen().start.saturating_add_signed(by).clamp(all.start, last);
        // Who goes to the end wants to see it grow.
        self.top = (top < last || by <= 0).then_some(top);
    }

    pub(super) fn sideways(&mut self, is_right: bool) {
        self.left = if is_right { self.left + ASIDE } else { self.left.saturating_sub(ASIDE) };
    }

    /// Look for these words, from the end; nothing ends the search.
    pub(super) fn search(&mut self, words: &str) {
        words.clone_into(&mut self.words);
        (self.matches, self.current, self.searched) = (Vec::new(), None, 0);
        self.search_on();
        if !self.matches.is_empty() {
            let before = self.matches.iter().rposition(|line| *line < self.seen().end);
            self.go_to(before.unwrap_or(0));
        }
    }

    fn search_on(&mut self) {
        if self.words.is_empty() {
            return;
        }
        let all = self.text.range();
        // The last line may still grow.
        let from = self.searched.saturating_sub(1).max(all.start);
        while self.matches.last().is_some_and(|line| *line >= from) {
            self.matches.pop();
        }
        let gone = self.matches.partition_point(|line| *line < all.start);
        self.matches.drain(..gone);
        self.current = self.current.and_then(|current| current.checked_sub(gone));
        self.matches.extend(self.text.matches(&self.words, from));
        self.searched = all.end;
    }

    /// To the next or the one before; behind the last comes the first.
    pub(super) fn next_match(&mut self, is_next: bool) {
        let count = self.matches.len();
        if count > 0 {
            let step = if is_next { 1 } else { count - 1 };
            let current = self.current.map_or(0, |current| (current + step) % count);
            self.go_to(current);
        }
    }

    fn go_to(&mut self, number: usize) {
        self.current = Some(number);
        let line = self.matches[number];
        if !self.seen().contains(&line) {
            let top = line.saturating_sub(self.height / 2);
            self.top = Some(top.max(self.text.range().start));
        } else {
            self.top = Some(self.seen().start);
        }
    }

    /// The line of the match that was gone to.
    pub(super) fn current_line(&self) -> Option<usize> {
        self.matches.get(self.current?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(lines: usize, height: usize) -> Log {
        let mut log = Log::default();
        log.resize(height);
        (0..lines).for_each(|number| log.push(format!("line {number}\n").as_bytes()));
        log
    }

    #[test]
    fn it_follows_until_somebody_scrolls_and_again_at_the_end() {
        let mut log = log(100, 10);
        assert_eq!(log.seen(), 90..100);
        log.scroll(-5);
        log.push(b"more\n");
        assert_eq!((log.seen(), log.is_following()), (85..95, false));
        log.scroll(isize::MAX);
        assert_eq!((log.seen(), log.is_following()), (91..101, true));
        log.scroll(isize::MIN);
        assert_eq!(log.seen(), 0..10);
    }

    #[test]
    fn a_search_goes_round_and_finds_what_comes_later() {
        let mut log = log(100, 10);
        log.search("line 7");
        assert_eq!((log.matches.len(), log.current_line()), (11, Some(79)));
        assert!(log.seen().contains(&79));
        log.next_match(true);
        assert_eq!(log.current_line(), Some(7));
        assert!(log.seen().contains(&7));
        log.next_match(false);
        assert_eq!(log.current_line(), Some(79));
        log.push(b"line 7");
        log.push(b"00\n");
        assert_eq!(log.matches.len(), 12);
        log.next_match(true);
        assert_eq!(log.current_line(), Some(100));
        log.search("nothing");
        assert_eq!((log.matches.len(), log.current_line()), (0, None));
        log.next_match(true);
    }
}
