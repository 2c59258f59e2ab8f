//! What we know of a slot: the index of its files as we wrote them, beside it, where no task can write.
//!
//! It is there only while it is true: who opens a slot takes it away, and whoever is killed before the slot is filled
//! leaves a slot without one, which nobody uses again.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::git::index::Index;

pub(super) const INDEX: &str = "seal";
const ABOUT: &str = "seal.json";

/// The seal of a slot.
#[derive(Debug)]
pub(super) struct Seal {
    /// The files.
    pub(super) index: Index,
    /// The time of its writing, which is not before that of any file in it, and not after the start of any task.
    pub(super) written: (i64, i64),
    /// What decided what was written for an object.
    pub(super) likeness: String,
    /// The rights of directories that we make.
    pub(super) dir_mode: u32,
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
        Self::read(dir, || fs::remove_file(dir.join(INDEX)))
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
        Ok(Some(Self { index, written: (seen.mtime(), seen.mtime_nsec()), likeness, dir_mode, version }))
    }

    /// Seal a slot, whose files in `tree` are those of this index.
    pub(super) fn put(dir: &Path, tree: &Path, index: &[u8], likeness: &str, version: Option<u64>) -> io::Result<()> {
        let dir_mode = fs::symlink_metadata(tree)?.mode() & 0o7777;
        let about = About { likeness: likeness.to_owned(), dir_mode, version, boot: boot() };
        File::create(dir.join(ABOUT))?.write_all(&serde_json::to_vec(&about)?)?;
        let draft = dir.join("seal.new");
        File::create(&draft)?.write_all(index)?;
        fs::rename(draft, dir.join(INDEX))
    }

    /// Was a file of this time of change there before the seal?
    pub(super) fn is_older(&self, changed: (i64, i64)) -> bool {
        changed < self.written
    }
}

/// Is it known what is in this slot?
pub fn is_there(dir: &Path) -> bool {
    dir.join(INDEX).exists()
}

/// Which start of the system this is; empty where it does not say.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
