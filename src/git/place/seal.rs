//! What we know of a slot: the index of its files as we wrote them, beside it, where no task can write.
//!
//! It is there only while it is true: who opens a slot takes it away, and whoever is killed before the slot is filled
//! leaves a slot without one, which nobody uses again.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, Mode};
use serde::{Deserialize, Serialize};

use super::scan;
use crate::core::word::Word;
use crate::git::advance::OPEN;
use crate::git::index::Index;
use crate::process::beneath::changed;

pub(super) const INDEX: &str = "seal";
const ABOUT: &str = "seal.json";
/// The times of change of the directories, two numbers of eight bytes for each.
const DIRS: &str = "seal.dirs";

/// Seconds and nanoseconds.
type Time = (i64, i64);

/// The seal of a slot.
#[derive(Debug)]
pub(super) struct Seal {
    /// The files.
    pub(super) index: Index,
    /// The time of its writing, which is not before that of any file in it, and not after the start of any task.
    pub(super) written: Time,
    /// What decided what was written for an object.
    pub(super) likeness: String,
    /// The rights of directories that we make.
    pub(super) dir_mode: u32,
    /// The times of change of the directories, in the order of [`scan::dirs`]. Empty where they are not known.
    dirs: Vec<Time>,
    /// That of the subvolume in which nobody has written since; none where it is no subvolume.
    pub(super) version: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct About {
    likeness: String,
    dir_mode: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    /// Which start of the system: after a power cut, what is on the disk need not be what was written.
    boot: String,
}

impl Seal {
    /// Read the seal, and break it. `None` where there is none.
    pub(super) fn take(dir: &Path) -> Result<Option<Self>, String> {
        let seal = Self::read(dir, || fs::remove_file(dir.join(INDEX)))?;
        // It came before the seal: where that is whole, so is this.
        let times = fs::read(dir.join(DIRS)).unwrap_or_default();
        let dirs = times.chunks_exact(16).filter_map(time).collect();
        Ok(seal.map(|seal| Self { dirs, ..seal }))
    }

    /// Read the seal of what no task gets. `None` where there is none.
    pub(super) fn look(dir: &Path) -> Result<Option<Self>, String> {
        Self::read(dir, || Ok(()))
    }

    /// `opened` is called before anything in it is believed.
    fn read(dir: &Path, opened: impl FnOnce() -> io::Result<()>) -> Result<Option<Self>, String> {
        let path = dir.join(INDEX);
        let words = |error: io::Error| format!("its seal cannot be read: {error}");
        let seen = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            seen => seen.map_err(words)?,
        };
        let bytes = fs::read(&path).map_err(words)?;
        let about = fs::read(dir.join(ABOUT)).map_err(words)?;
        opened().map_err(words)?;
        let about: About = serde_json::from_slice(&about).map_err(|error| format!("its seal is damaged: {error}"))?;
        if about.boot != boot() {
            return Err("the system was started anew since it was used".to_owned());
        }
        let second = u32::try_from(seen.mtime()).map_err(|error| error.to_string())?;
        let index = Index::of(bytes, second).ok_or("its seal is damaged")?;
        let About { likeness, dir_mode, version, .. } = about;
        let written = (seen.mtime(), seen.mtime_nsec());
        Ok(Some(Self { index, written, likeness, dir_mode, dirs: Vec::new(), version }))
    }

    /// Seal a slot, whose files in `tree` are those of this index. Beside them there are `others` in it (a directory ends in a
    /// slash); none where nobody asks which of its directories were changed.
    pub(super) fn put(
        dir: &Path,
        tree: &Path,
        index: Vec<u8>,
        likeness: &str,
        version: Option<u64>,
        others: Option<&[Word]>,
    ) -> io::Result<()> {
        let dir_mode = fs::symlink_metadata(tree)?.mode() & 0o7777;
        let about = About { likeness: likeness.to_owned(), dir_mode, version, boot: boot() };
        File::create(dir.join(ABOUT))?.write_all(&serde_json::to_vec(&about)?)?;
        let draft = dir.join("seal.new");
        File::create(&draft)?.write_all(&index)?;
        if let Some(others) = others {
            let index = Index::made(index);
            let times = index.map(|index| times_of_dirs(tree, &index, others)).transpose()?.unwrap_or_default();
            File::create(dir.join(DIRS))?.write_all(&times)?;
        }
        fs::rename(draft, dir.join(INDEX))
    }

    /// Is this the time of change that the directory of this number had, and was it there before the seal?
    pub(super) fn knows(&self, number: usize, changed: Time) -> bool {
        self.is_older(changed) && self.dirs.get(number) == Some(&changed)
    }

    /// Was a file of this time of change there before the seal?
    pub(super) fn is_older(&self, changed: Time) -> bool {
        changed < self.written
    }
}

/// Is it known what is in this slot?
pub fn is_there(dir: &Path) -> bool {
    dir.join(INDEX).exists()
}

/// The times of change of the directories of an index. Those in which there is something else, or that are not there, are to
/// be looked at again, and so have none.
fn times_of_dirs(tree: &Path, index: &Index, others: &[Word]) -> io::Result<Vec<u8>> {
    let above = |path: &Word| {
        let path = path.as_bytes().strip_suffix(b"/").unwrap_or(path.as_bytes());
        path.iter().rposition(|byte| *byte == b'/').map_or_else(Vec::new, |slash| path[..slash].to_vec())
    };
    let with_others: HashSet<Vec<u8>> = others.iter().map(above).collect();
    let top = rustix::fs::open(tree, OPEN, Mode::empty())?;
    let mut times = Vec::new();
    for (_, path) in scan::dirs(index) {
        // A sparse checkout does not have all of them.
        let seen = rustix::fs::statat(&top, path, AtFlags::SYMLINK_NOFOLLOW).ok();
        let (seconds, nanoseconds) = seen.filter(|_| !with_others.contains(path)).map_or((0, 0), |seen| changed(&seen));
        times.extend(seconds.to_le_bytes());
        times.extend(nanoseconds.to_le_bytes());
    }
    Ok(times)
}

fn time(bytes: &[u8]) -> Option<Time> {
    let (seconds, nanoseconds) = bytes.split_first_chunk()?;
    Some((i64::from_le_bytes(*seconds), i64::from_le_bytes(nanoseconds.try_into().ok()?)))
}

/// Which start of the system this is; empty where it does not say.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
