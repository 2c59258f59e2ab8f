//! The journal for who goes on looking: each look reads only what was added since the last one.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;

use super::journal::{self, Line};
use super::{Layout, StoreError};
use crate::core::state::State;

/// Follows the journal of a repository.
#[derive(Debug)]
pub struct Follower {
    layout: Layout,
    state: State,
    /// What of the file is in the state.
    at: Option<Extent>,
}

/// A file, by its device and number, and how many bytes of it.
type Extent = ((u64, u64), u64);

impl Follower {
    /// From the beginning; nothing is read yet.
    pub fn new(layout: Layout) -> Self {
        Self { layout, state: State::default(), at: None }
    }

    /// The state as of the last look.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Look; was there anything new?
    ///
    /// # Errors
    /// Where the journal is damaged or cannot be read. The next look tries again from the beginning.
    pub fn look(&mut self) -> Result<bool, StoreError> {
        let seen = self.seen()?;
        match (self.at, seen) {
            (Some((file, read)), Some((now, length))) if file == now && read == length => Ok(false),
            // What is not whole yet, or was taken back by a writer whose disk was full, is nothing new.
            (Some((file, read)), Some((now, length))) if file == now && read < length => match self.read_on(read) {
                Some(is_new) => Ok(is_new),
                None => self.anew(),
            },
            (None, None) if self.state.events() == 0 => Ok(false),
            _ => self.anew(),
        }
    }

    /// Which file the journal is, and how long; none where there is none.
    fn seen(&self) -> Result<Option<Extent>, StoreError> {
        let path = self.layout.journal();
        match fs::metadata(&path) {
            Ok(data) => Ok(Some(((data.dev(), data.ino()), data.len()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::file("read", path)(error)),
        }
    }

    /// Read the lines behind this byte; none where they do not follow on what is known.
    fn read_on(&mut self, from: u64) -> Option<bool> {
        let mut file = File::open(self.layout.journal()).ok()?;
        let data = file.metadata().ok()?;
        self.at.filter(|(known, _)| *known == (data.dev(), data.ino()))?;
        file.seek(SeekFrom::Start(from)).ok()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in bytes[..whole].split_inclusive(|byte| *byte == b'\n') {
            let line: Line = serde_json::from_slice(line).ok()?;
            if line.n != self.state.events() + 1 {
                return None;
            }
            self.state.apply(&line.record).ok()?;
        }
        self.at = Some(((data.dev(), data.ino()), from + whole as u64));
        Some(whole > 0)
    }

    fn anew(&mut self) -> Result<bool, StoreError> {
        let before = self.state.events();
        self.at = None;
        let seen = self.seen()?;
        let (state, sound) = journal::replay_to(&self.layout)?;
        self.state = state;
        // Where it was archived in between, the next look begins again.
        if let (Some((file, _)), Some((now, _))) = (seen, self.seen()?)
            && file == now
        {
            self.at = Some((file, sound));
        }
        Ok(self.state.events() != before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::{Event, Record};
    use crate::store::journal::Journal;

    #[test]
    fn it_agrees_with_a_replay_after_every_write_and_over_an_archive() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::make(&dir.path().join("repo.git"), &dir.path().join("state")).unwrap();
        let mut follower = Follower::new(layout.clone());
        assert!(!follower.look().unwrap());
        let (mut journal, mut state) = Journal::open(&layout).unwrap();
        for round in 0..20 {
            let event = if round % 2 == 0 { Event::Paused } else { Event::Resumed };
            let record = Record { at: "2026-01-01T00:00:00Z".parse().unwrap(), event };
            journal.append(std::slice::from_ref(&record)).unwrap();
            state.apply(&record).unwrap();
            assert!(follower.look().unwrap(), "round {round}");
            assert!(!follower.look().unwrap(), "round {round}");
            assert_eq!(*follower.state(), state);
            if round % 7 == 3 {
                journal.compact(&state).unwrap();
                assert!(!follower.look().unwrap(), "an archive is nothing new");
                assert_eq!(*follower.state(), state);
            }
        }
    }

    #[test]
    fn half_a_line_is_not_read_and_what_was_taken_back_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::make(&dir.path().join("repo.git"), &dir.path().join("state")).unwrap();
        let line =
            |n: u64, event: &str| format!("{{\"n\":{n},\"at\":\"2026-01-01T00:00:00Z\",\"event\":\"{event}\"}}\n");
        let (first, second) = (line(1, "paused"), line(2, "resumed"));
        let mut follower = Follower::new(layout.clone());
        let write = |text: &str| {
            fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(layout.journal())
                .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
        };
        write(&first).unwrap();
        assert!(follower.look().unwrap());
        write(&second[..10]).unwrap();
        assert!(!follower.look().unwrap());
        write(&second[10..]).unwrap();
        assert!(follower.look().unwrap());
        assert_eq!(follower.state().events(), 2);
        File::options().write(true).open(layout.journal()).unwrap().set_len(first.len() as u64).unwrap();
        assert!(follower.look().unwrap());
        assert_eq!((follower.state().events(), follower.state().is_paused()), (1, true));
    }
}
