//! Objects of ours, written into the user's repository without a process, so that a power cut leaves them whole or
//! not at all. (The library renames an object into place before it is on the disk.)

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use git2::{ObjectType, Oid};
use tempfile::NamedTempFile;

use super::GitError;

/// Everybody may read an object who may read the directory that it is in, and nobody writes it.
const READ: u32 = 0o444;

/// Write a commit, by its bytes; its name.
///
/// # Errors
/// Where a directory or file cannot be written.
pub(super) fn write_commit(common_dir: &Path, bytes: &[u8]) -> Result<Oid, GitError> {
    write(common_dir, &[(ObjectType::Commit, bytes)])?;
    Ok(Oid::hash_object(ObjectType::Commit, bytes)?)
}

/// Write objects. They appear in this order, each whole and on the disk, and stay when this comes back.
///
/// # Errors
/// Where a directory or file cannot be written.
pub(super) fn write(common_dir: &Path, objects: &[(ObjectType, impl AsRef<[u8]>)]) -> Result<(), GitError> {
    let top = common_dir.join("objects");
    let (mut drafts, mut dirs) = (Vec::new(), BTreeSet::new());
    for (kind, bytes) in objects {
        let name = Oid::hash_object(*kind, bytes.as_ref())?.to_string();
        let dir = top.join(&name[..2]);
        let path = dir.join(&name[2..]);
        let draft = draft(&top, &dir, *kind, bytes.as_ref(), &mut dirs).map_err(GitError::file("write", &path))?;
        drafts.push((draft, path));
        dirs.insert(dir);
    }
    for (draft, path) in drafts {
        // One that is there already is replaced by the same: it may be what a power cut left of it.
        draft.persist(&path).map_err(|error| GitError::file("write", &path)(error.error))?;
    }
    for dir in dirs {
        File::open(&dir).and_then(|dir| dir.sync_all()).map_err(GitError::file("write", &dir))?;
    }
    Ok(())
}

/// An object on the disk that has no name yet. A directory that is made for it is told to whoever makes that last.
fn draft(
    top: &Path,
    dir: &Path,
    kind: ObjectType,
    bytes: &[u8],
    changed: &mut BTreeSet<PathBuf>,
) -> io::Result<NamedTempFile> {
    // As open as what it is in: a repository may be shared by a group.
    let open = fs::metadata(top)?.permissions();
    match fs::create_dir(dir) {
        Ok(()) => {
            fs::set_permissions(dir, open.clone())?;
            changed.insert(top.to_owned());
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    // With this name `git gc` removes what a crash leaves.
    let mut file = tempfile::Builder::new().prefix("tmp_obj_").tempfile_in(dir)?;
    let mut packed = ZlibEncoder::new(&mut file, Compression::fast());
    write!(packed, "{} {}\0", kind.str(), bytes.len())?;
    packed.write_all(bytes)?;
    packed.finish()?;
    file.as_file().set_permissions(Permissions::from_mode(open.mode() & READ))?;
    file.as_file().sync_all()?;
    Ok(file)
}
