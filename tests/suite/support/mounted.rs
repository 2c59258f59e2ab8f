//! A file system of its own, for what the one below the tests cannot do. It takes a loop device and the rights to mount: where this
//! machine has not both, the test that asks says so and ends.
#![allow(clippy::disallowed_methods, clippy::print_stderr, reason = "tests start programs as a user would")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What `mkfs` is told.
const KINDS: &[(&str, &[&str])] = &[("btrfs", &["-q"]), ("xfs", &["-q", "-m", "reflink=1"])];

/// It is gone when this is dropped.
pub(crate) struct Mounted {
    _image: tempfile::TempDir,
    at: PathBuf,
}

impl Mounted {
    /// One of this kind, at a directory that is there. `None` where this machine does not do it.
    pub(crate) fn new(kind: &str, at: &Path) -> Option<Self> {
        let (_, options) = KINDS.iter().find(|(name, _)| *name == kind).expect("it is a kind that tests know");
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        // Of more than the floor under which no task starts; it takes what is written.
        File::create(&image).unwrap().set_len(16 << 30).unwrap();
        let run = |program: &str, args: &[&str], last: &[&Path]| {
            let done = Command::new(program).args(args).args(last).stdin(Stdio::null()).output();
            match done {
                Ok(output) if output.status.success() => Ok(()),
                Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
                Err(error) => Err(format!("{program}: {error}")),
            }
        };
        let made = run(&format!("mkfs.{kind}"), options, &[&image])
            .and_then(|()| run("mount", &["-t", kind, "-o", "loop"], &[&image, at]));
        match made {
            Ok(()) => {
                fs::set_permissions(at, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
                Some(Self { _image: dir, at: at.to_owned() })
            }
            Err(words) => {
                eprintln!("skipped: no {kind} can be mounted here ({words})");
                None
            }
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A process may still be on its way out of it.
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}
