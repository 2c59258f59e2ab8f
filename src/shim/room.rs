//! A disk that is full: what must be written is tried again until there is room, and whoever looks is told.
//!
//! How a task ended fits into a reserve that was put aside before it ran. Its files may not: then the shim waits, until
//! there is room or somebody gives up for it (`cancel --now`). The files then stay in the worktree.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use jiff::Timestamp;

use super::watch::{KILL, STOP};
use crate::process::clock;
use crate::store::layout::AttemptDir;
use crate::store::{self, StoreError};

/// Bytes put aside for two records: how it ended, and then what came of it.
const RESERVE: u64 = 64 << 10;
/// How often somebody may say something to us, and room may have been made.
const LOOK: Duration = Duration::from_millis(100);
/// So many looks at most, then it is tried all the same: what is missing may be something else than blocks.
const LOOKS: u32 = 50;
/// Bytes more than before that are worth a try.
const WORTHWHILE: u64 = 64 << 10;

/// Who is asked to wait.
#[derive(Debug)]
pub(super) enum Patience {
    /// Until there is room, or a word of the coordinator comes in at this door.
    Door(UnixDatagram),
    /// Not at all: the coordinator comes again.
    Later,
    /// For the record alone: somebody gave up.
    Record,
    /// Not at all: all is recorded already, and stays as it is.
    None,
}

/// What to do about a full disk.
#[derive(Debug)]
pub(super) struct Room<'a> {
    dir: &'a AttemptDir,
    patience: Patience,
    /// When a polite end was asked for.
    asked: Option<Timestamp>,
}

/// Put bytes aside, so that the end of an attempt can be written down on a full disk. Without them it waits for room.
pub(super) fn reserve(dir: &AttemptDir) {
    let fill = || -> io::Result<()> { File::create(dir.reserve())?.write_all(&vec![b'.'; RESERVE as usize]) };
    if fill().is_err() {
        let _ = fs::remove_file(dir.reserve());
    }
}

impl<'a> Room<'a> {
    pub(super) fn new(dir: &'a AttemptDir, patience: Patience) -> Self {
        Self { dir, patience, asked: None }
    }

    /// Write something small. What was put aside for it is given back when the disk is full; after that it is waited for.
    pub(super) fn write(&mut self, mut write: impl FnMut() -> Result<(), StoreError>) -> Result<(), StoreError> {
        loop {
            match write() {
                Err(StoreError::File { source, .. })
                    if store::is_no_room(source.kind()) && !matches!(self.patience, Patience::None) =>
                {
                    if !self.spend() {
                        self.tell();
                        self.look();
                    }
                }
                written => return written,
            }
        }
    }

    /// Half of the reserve for each record.
    fn spend(&self) -> bool {
        let path = self.dir.reserve();
        match fs::metadata(&path).map(|data| data.len()) {
            Ok(RESERVE) => File::options().write(true).open(&path).and_then(|file| file.set_len(RESERVE / 2)).is_ok(),
            Ok(_) => fs::remove_file(&path).is_ok(),
            Err(_) => false,
        }
    }

    /// Wait until it is worth another try. `false` where nobody wants to wait any more.
    ///
    /// # Errors
    /// Where the coordinator waits for us.
    pub(super) fn wait(&mut self) -> Result<bool, StoreError> {
        self.tell();
        if matches!(self.patience, Patience::Later) {
            return Err(StoreError::file("save the files of", &self.dir.0)(io::ErrorKind::StorageFull.into()));
        }
        let before = store::free_disk(&self.dir.0);
        for _ in 0..LOOKS {
            if matches!(self.patience, Patience::Record | Patience::None) {
                return Ok(false);
            }
            self.look();
            if store::free_disk(&self.dir.0) >= before.map(|free| free + WORTHWHILE) {
                break;
            }
        }
        Ok(true)
    }

    /// An empty file needs no block.
    fn tell(&self) {
        let _ = File::create(self.dir.no_room());
    }

    fn look(&mut self) {
        std::thread::sleep(LOOK);
        self.listen();
    }

    fn listen(&mut self) {
        let mut buffer = [0; 16];
        while let Patience::Door(door) = &self.patience
            && let Ok(length) = door.recv(&mut buffer)
        {
            match &buffer[..length] {
                KILL => self.patience = Patience::Record,
                STOP => self.asked = self.asked.or_else(|| Some(clock::now())),
                _ => {}
            }
        }
    }

    /// Does somebody want an end of it, at once, or as long ago as a task has to end?
    pub(super) fn is_given_up(&mut self, grace: Duration) -> bool {
        self.listen();
        matches!(self.patience, Patience::Record)
            || self.asked.is_some_and(|at| clock::now().duration_since(at).unsigned_abs() > grace)
    }

    /// All is written.
    pub(super) fn close(self) {
        for path in [self.dir.no_room(), self.dir.reserve(), self.dir.control()] {
            let _ = fs::remove_file(path);
        }
    }
}
