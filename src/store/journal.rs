//! The journal: one JSON line an event, fsynced before anybody believes it.
//!
//! Only the coordinator appends. Everybody may read. Each line has a number, so that a snapshot and a journal that
//! overlap after a crash are one history all the same. A compacted journal is not deleted: it becomes
//! `journal.<last number>.jsonl`, and `pleach events` still shows it.
//!
//! A last line without its end was being written when somebody was killed: it never counted, and it is cut off.
//! Any other line that does not parse is an error with its file and line.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Layout, StoreError, read, replace};
use crate::core::event::Record;
use crate::core::state::State;
use crate::process::crash;

/// A journal smaller than this is never compacted.
const SMALL: u64 = 256 << 10;

/// One line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// Its number, from 1, without gaps.
    pub n: u64,
    /// What happened, and when.
    #[serde(flatten)]
    pub record: Record,
}

/// The journal, open for its one writer.
#[derive(Debug)]
pub struct Journal {
    layout: Layout,
    file: File,
    length: u64,
    next: u64,
    snapshot_length: u64,
}

/// The state as it is written down now. For readers: nothing is changed, no lock is needed.
///
/// # Errors
/// Where something cannot be read, or is damaged.
pub fn load(layout: &Layout) -> Result<State, StoreError> {
    replay(layout).map(|replayed| replayed.state)
}

/// All lines that are kept, oldest first, from number `from` on.
///
/// # Errors
/// As [`load`].
pub fn lines(layout: &Layout, from: u64) -> Result<Vec<Line>, StoreError> {
    let mut archives: Vec<(u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(&layout.home).map_err(StoreError::file("read directory", &layout.home))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let number = name.strip_prefix("journal.").and_then(|rest| rest.strip_suffix(".jsonl"));
        if let Some(last) = number.and_then(|number| number.parse().ok()).filter(|last| *last >= from) {
            archives.push((last, entry.path()));
        }
    }
    archives.sort();
    let mut all: Vec<Line> = Vec::new();
    for path in archives.into_iter().map(|(_, path)| path).chain([layout.journal()]) {
        let bytes = read(&path)?.unwrap_or_default();
        for line in parse(&path, &bytes)?.lines {
            // A journal that is archived while we read, or was after a crash, shows up twice.
            if line.n >= from && all.last().is_none_or(|last| last.n < line.n) {
                all.push(line);
            }
        }
    }
    Ok(all)
}

impl Journal {
    /// Open it for writing, and replay it. A torn last line is cut off.
    ///
    /// # Errors
    /// Where it cannot be opened, or is damaged.
    pub fn open(layout: &Layout) -> Result<(Self, State), StoreError> {
        let path = layout.journal();
        let replayed = replay(layout)?;
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(StoreError::file("open", &path))?;
        let length = file.metadata().map_err(StoreError::file("read", &path))?.len();
        if length > replayed.sound {
            file.set_len(replayed.sound).map_err(StoreError::file("cut off the torn end of", &path))?;
        }
        // Somebody may have died between writing and syncing: what we act on must survive, too.
        file.sync_data().map_err(StoreError::file("write", &path))?;
        let journal = Self {
            layout: layout.clone(),
            file,
            length: replayed.sound,
            next: replayed.state.events() + 1,
            snapshot_length: replayed.snapshot_length,
        };
        Ok((journal, replayed.state))
    }

    /// Write records down. When this returns, they survive anything.
    ///
    /// # Errors
    /// Where the disk refuses; then none of them counts.
    pub fn append(&mut self, records: &[Record]) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        for (n, record) in (self.next..).zip(records) {
            let line = Line { n, record: record.clone() };
            serde_json::to_writer(&mut bytes, &line).expect("events are structs of strings and numbers");
            bytes.push(b'\n');
        }
        let written = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a line must not become part of the next one.
            let _ = self.file.set_len(self.length);
            return Err(StoreError::file("write", self.layout.journal())(error));
        }
        self.length += bytes.len() as u64;
        self.next += records.len() as u64;
        crash::point("journal.appended");
        Ok(())
    }

    /// Is it worth a new snapshot?
    pub fn is_long(&self) -> bool {
        self.length > SMALL.max(self.snapshot_length / 4)
    }

    /// Fold the journal into the snapshot. `state` is its replay.
    ///
    /// # Errors
    /// Where the disk refuses; the old snapshot and journal are then still good.
    pub fn compact(&mut self, state: &State) -> Result<(), StoreError> {
        let text = state.write();
        replace(&self.layout.snapshot(), text.as_bytes())?;
        crash::point("snapshot.written");
        let path = self.layout.journal();
        let archive = self.layout.home.join(format!("journal.{}.jsonl", self.next - 1));
        fs::rename(&path, &archive).map_err(StoreError::file("rename", &path))?;
        self.file =
            OpenOptions::new().create(true).append(true).open(&path).map_err(StoreError::file("open", &path))?;
        self.length = 0;
        self.snapshot_length = text.len() as u64;
        Ok(())
    }
}

/// The state as it is written down now, and how many bytes of the journal are in it.
pub(super) fn replay_to(layout: &Layout) -> Result<(State, u64), StoreError> {
    replay(layout).map(|replayed| (replayed.state, replayed.sound))
}

struct Replayed {
    state: State,
    /// Bytes of the journal that are whole lines.
    sound: u64,
    snapshot_length: u64,
}

fn replay(layout: &Layout) -> Result<Replayed, StoreError> {
    // The journal first: a snapshot that is written in between then holds all that we miss.
    let journal = layout.journal();
    let bytes = read(&journal)?.unwrap_or_default();
    let (mut state, snapshot_length) = load_snapshot(&layout.snapshot())?;
    let parsed = parse(&journal, &bytes)?;
    for (index, line) in parsed.lines.into_iter().enumerate() {
        let damaged = |why: String| StoreError::Damaged { path: journal.clone(), line: index + 1, why };
        if line.n <= state.events() {
            continue;
        }
        if line.n != state.events() + 1 {
            return Err(damaged(format!("line number {} follows {}: something is missing", line.n, state.events())));
        }
        state.apply(&line.record).map_err(|error| damaged(error.to_string()))?;
    }
    Ok(Replayed { state, sound: parsed.sound, snapshot_length })
}

fn load_snapshot(path: &Path) -> Result<(State, u64), StoreError> {
    let Some(bytes) = read(path)? else { return Ok((State::default(), 0)) };
    let length = bytes.len() as u64;
    let damaged = |line, why| StoreError::Damaged { path: path.to_owned(), line, why };
    let text = String::from_utf8(bytes).map_err(|error| damaged(1, error.to_string()))?;
    let state = State::read(text).map_err(|(line, why)| damaged(line, why))?;
    Ok((state, length))
}

struct Parsed {
    lines: Vec<Line>,
    sound: u64,
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Parsed, StoreError> {
    let sound = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let whole = bytes[..sound].split_inclusive(|byte| *byte == b'\n').enumerate();
    let lines = whole.map(|(index, line)| {
        serde_json::from_slice(line).map_err(|error| StoreError::Damaged {
            path: path.to_owned(),
            line: index + 1,
            why: error.to_string(),
        })
    });
    Ok(Parsed { lines: lines.collect::<Result<_, _>>()?, sound: sound as u64 })
}

/// The journal as a file that grows: how far it is, for who waits for more.
///
/// # Errors
/// Where it is there and cannot be looked at.
pub fn length(layout: &Layout) -> io::Result<u64> {
    match fs::metadata(layout.journal()) {
        Ok(data) => Ok(data.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::Event;

    fn layout() -> (tempfile::TempDir, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::make(&dir.path().join("repo.git"), &dir.path().join("state")).unwrap();
        (dir, layout)
    }

    fn record(event: Event) -> Record {
        Record { at: "2026-01-01T00:00:00Z".parse().unwrap(), event }
    }

    #[test]
    fn a_torn_last_line_never_counted_and_a_damaged_one_is_told() {
        let (_dir, layout) = layout();
        let (mut journal, mut state) = Journal::open(&layout).unwrap();
        for event in [Event::Paused, Event::Resumed, Event::Paused] {
            journal.append(&[record(event.clone())]).unwrap();
            state.apply(&record(event)).unwrap();
        }
        drop(journal);
        let whole = fs::read(layout.journal()).unwrap();
        for cut in 1..whole.len() {
            replace(&layout.journal(), &whole[..cut]).unwrap();
            let lines = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(load(&layout).unwrap().events(), lines as u64);
            let (mut journal, _) = Journal::open(&layout).unwrap();
            journal.append(&[record(Event::Resumed)]).unwrap();
            assert_eq!(load(&layout).unwrap().events(), lines as u64 + 1, "after a cut at {cut}");
        }
        let mut damaged = whole.clone();
        damaged[3] = b'!';
        replace(&layout.journal(), &damaged).unwrap();
        assert!(load(&layout).unwrap_err().to_string().contains("journal.jsonl:1:"));
    }

    #[test]
    fn a_crash_between_snapshot_and_journal_counts_nothing_twice() {
        let (_dir, layout) = layout();
        let (mut journal, mut state) = Journal::open(&layout).unwrap();
        for event in [Event::Paused, Event::Resumed, Event::Paused] {
            journal.append(&[record(event.clone())]).unwrap();
            state.apply(&record(event)).unwrap();
        }
        let before = fs::read(layout.journal()).unwrap();
        journal.compact(&state).unwrap();
        assert_eq!(load(&layout).unwrap(), state);
        replace(&layout.journal(), &before).unwrap();
        assert_eq!(load(&layout).unwrap(), state);
        let (mut journal, _) = Journal::open(&layout).unwrap();
        journal.append(&[record(Event::Resumed)]).unwrap();
        assert_eq!(load(&layout).unwrap().events(), 4);
        assert_eq!(lines(&layout, 1).unwrap().iter().map(|line| line.n).collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
}
