//! Objects of ours, written into the user's repository without a process, so that a power cut leaves them whole or
//! not at all. (The library renames an object into place before it is on the disk.)

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use git2::{ObjectType, Oid};

use super::GitError;

/// Write a commit, by its bytes; its name.
///
/// # Errors
/// Where a directory or file cannot be written.
pub(super) fn write_commit(common_dir: &Path, bytes: &[u8]) -> Result<Oid, GitError> {
    let id = Oid::hash_object(ObjectType::Commit, bytes)?;
    let name = id.to_string();
    let objects = common_dir.join("objects");
    let dir = objects.join(&name[..2]);
    let content = [format!("commit {}\0", bytes.len()).as_bytes(), bytes].concat();
    put(&objects, &dir, &name[2..], &stored(&content)).map_err(GitError::file("write", dir.join(&name[2..])))?;
    Ok(id)
}

fn put(objects: &Path, dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let sync = |dir: &Path| File::open(dir).and_then(|dir| dir.sync_all());
    match fs::create_dir(dir) {
        Ok(()) => sync(objects)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    // With this name `git gc` removes what a crash leaves.
    let mut file =
        tempfile::Builder::new().prefix("tmp_obj_").permissions(Permissions::from_mode(0o444)).tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    // One that is there already is replaced by the same: it may be what a power cut left of it.
    file.persist(dir.join(name))?;
    sync(dir)
}

/// A zlib stream that is not compressed, which is no matter for the few bytes of a commit.
fn stored(bytes: &[u8]) -> Vec<u8> {
    const LONGEST: usize = 0xffff;
    let mut stream = vec![0x78, 0x01];
    let blocks = bytes.chunks(LONGEST);
    let last = blocks.len() - 1;
    for (place, block) in blocks.enumerate() {
        let length = block.len() as u16;
        stream.push(u8::from(place == last));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    let (mut low, mut high) = (1, 0);
    for byte in bytes {
        low = (low + u32::from(*byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    stream.extend((high << 16 | low).to_be_bytes());
    stream
}
