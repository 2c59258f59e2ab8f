//! Few objects, each as a file of its own, as git takes what is pushed (`transfer.unpackLimit`): every pack is opened by whoever
//! looks for anything in a repository, and one for each of a hundred small results would slow down all that comes after them.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use git2::{ObjectType, Odb};

use super::{GitError, Repository, loose};

/// More objects than these stay a pack, as git has it.
const MOST: usize = 100;
/// The same for the bytes of a pack, and of what is in it.
const LARGEST_PACK: u64 = 1 << 20;
const LARGEST: usize = 8 << 20;

/// Write the objects of a pack that was found to be good, in a quarantine directory, into the repository. False where they are
/// many, large, or not for the library to read: the pack is as good.
///
/// # Errors
/// Where they cannot be written. Some of them may be there then, which nothing leads to.
pub(super) fn unpack(repo: &Repository, quarantine: &Path) -> Result<bool, GitError> {
    let Some(objects) = few(repo, quarantine) else { return Ok(false) };
    loose::write(repo.common_dir(), &objects)?;
    Ok(true)
}

/// What is in the pack: what leads nowhere first, and last what leads to others.
fn few(repo: &Repository, quarantine: &Path) -> Option<Vec<(ObjectType, Vec<u8>)>> {
    // One that the library cannot open has other objects.
    repo.library()?;
    let count = count(&quarantine.join("pack"))?;
    let odb = Odb::new().ok()?;
    odb.add_disk_alternate(quarantine.to_str()?).ok()?;
    let mut names = Vec::with_capacity(count);
    // Whoever stops it is not told whether that was the end.
    let _ = odb.foreach(|name| {
        names.push(*name);
        names.len() <= count
    });
    if names.len() != count {
        return None;
    }
    let mut left = LARGEST;
    let mut objects = Vec::with_capacity(names.len());
    for name in &names {
        left = left.checked_sub(odb.read_header(*name).ok()?.0)?;
        let object = odb.read(*name).ok()?;
        objects.push((object.kind(), object.data().to_vec()));
    }
    objects.sort_by_key(|(kind, _)| match kind {
        ObjectType::Blob => 0,
        ObjectType::Tree => 1,
        ObjectType::Commit => 2,
        _ => 3,
    });
    Some(objects)
}

/// How many objects the only pack in there says that it has; none where they are too many, or too large.
fn count(dir: &Path) -> Option<usize> {
    let mut packs = fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path());
    let is_pack = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "pack");
    let (pack, None) = (packs.find(is_pack)?, packs.find(is_pack)) else { return None };
    let mut pack = File::open(pack).ok().filter(|pack| pack.metadata().is_ok_and(|data| data.len() <= LARGEST_PACK))?;
    // "PACK", the version, and how many objects follow.
    let mut head = [0; 12];
    pack.read_exact(&mut head).ok()?;
    let count = usize::try_from(u32::from_be_bytes([head[8], head[9], head[10], head[11]])).ok()?;
    (1..=MOST).contains(&count).then_some(count)
}
