//! Can places be used again here, and can they share what is in them? Found by doing it, in the directory where they would be.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::image::{self, Sharing};
use crate::git::{Repository, trash};
use crate::process::subvolume::{self, Access};

/// Can they? The error is why not, as the rest of a sentence.
///
/// # Errors
/// Where they cannot.
pub fn probe(repo: &Repository, dir: &Path) -> Result<(), String> {
    if repo.common_dir().join("reftable").is_dir() {
        return Err("only git can register a worktree in a repository with reftable".to_owned());
    }
    if is_sha256(repo) {
        return Err("the index of a repository with SHA-256 is not known to us".to_owned());
    }
    if is_remote(dir) {
        return Err("the times of a file on a remote file system are not the system's own".to_owned());
    }
    keeps_times(dir).map_err(|error| format!("the file system of {} does not do it: {error}", dir.display()))
}

/// What can files of an image share with places, in this directory?
pub fn sharing(dir: &Path) -> Sharing {
    let told = |what: &str, done: io::Result<()>| {
        done.map_err(|error| format!("the file system of {} has no {what}: {error}", dir.display()))
    };
    let snapshot = told("snapshots of directories", snapshots(dir));
    Sharing { snapshot, reflink: told("files that share their content", reflinks(dir)) }
}

fn reflinks(dir: &Path) -> io::Result<()> {
    let (one, two) = (tempfile::tempfile_in(dir)?, tempfile::tempfile_in(dir)?);
    (&one).write_all(&[1; 16 << 10])?;
    image::share(&two, &one)
}

/// Made, looked at and removed, as its owner would.
fn snapshots(dir: &Path) -> io::Result<()> {
    let draft = tempfile::Builder::new().prefix("draft-").tempdir_in(dir)?;
    let (one, two) = (draft.path().join("one"), draft.path().join("two"));
    subvolume::create(&one)?;
    let made = fs::create_dir(one.join("dir"))
        .and_then(|()| subvolume::snapshot(&one, &two, Access::Write))
        .and_then(|()| subvolume::version(&one).map(drop))
        .and_then(|()| fs::metadata(two.join("dir")).map(drop));
    let removed = trash::delete(draft.path()).map_err(io::Error::other);
    made.and(removed)
}

fn is_sha256(repo: &Repository) -> bool {
    let config = git2::Config::open(&repo.common_dir().join("config"));
    let format = config.and_then(|config| config.get_string("extensions.objectformat"));
    format.is_ok_and(|format| !format.eq_ignore_ascii_case("sha1"))
}

/// A change of a file must show in its time of change, whatever else is done about it.
fn keeps_times(dir: &Path) -> io::Result<()> {
    let changed = |file: &File| file.metadata().map(|seen| (seen.ctime(), seen.ctime_nsec()));
    let path = dir.join("probe");
    let _ = fs::remove_file(&path);
    let mut file = File::options().write(true).create_new(true).open(&path)?;
    let done = (|| {
        file.write_all(b"one")?;
        let (before, old) = (changed(&file)?, SystemTime::UNIX_EPOCH + Duration::from_secs(1));
        // The clock of a file system ticks slowly.
        for _ in 0..50 {
            std::thread::sleep(Duration::from_millis(2));
            file.set_modified(old)?;
            if changed(&file)? != before {
                return Ok(());
            }
        }
        Err(io::Error::other("the time of change of a file stays as it was"))
    })();
    let _ = fs::remove_file(&path);
    done
}

#[cfg(target_os = "linux")]
fn is_remote(dir: &Path) -> bool {
    // NFS, SMB (three), FUSE, 9P, AFS, Ceph: whoever serves them says when a file changed.
    const REMOTE: [u64; 8] =
        [0x6969, 0x517b, 0xfe53_4d42, 0xff53_4d42, 0x6573_5546, 0x0102_1997, 0x5346_414f, 0x00c3_6400];
    rustix::fs::statfs(dir).map_or(true, |seen| REMOTE.contains(&(seen.f_type as u64 & 0xffff_ffff)))
}

#[cfg(not(target_os = "linux"))]
fn is_remote(_: &Path) -> bool {
    false
}
