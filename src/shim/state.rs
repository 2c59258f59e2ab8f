//! What an agent keeps of itself (its sessions, its keys), as a copy that its attempt has for itself.
//!
//! In the full tier the copy of the home is that already. Elsewhere the home cannot be written, so that most agents would not even
//! start, or is one for all that run side by side. The copy is in the directory of the attempt, is nobody else's to read, and is removed
//! when the attempt ends: what should outlive it, because a provider gives a key only once, is a link to the original wherever the
//! task may write that anyway.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::core::agent::StateDir;
use crate::core::sandbox::{Home, Tier};
use crate::git::trash;
use crate::store::layout::AttemptDir;
use crate::store::record::Spec;

/// A file that is longer is not copied where the file system would have to write it again.
const LONGEST: u64 = 64 << 20;

/// Make the copies that this attempt needs in this tier. The answer is the variables that say where they are.
///
/// # Errors
/// Where one cannot be written.
pub(super) fn bring(dir: &AttemptDir, spec: &Spec, tier: Tier) -> io::Result<Vec<(String, PathBuf)>> {
    let Some(assigned) = &spec.agent else { return Ok(Vec::new()) };
    let home = spec.sandbox.home;
    if (tier == Tier::Full && home == Home::Cow) || assigned.agent.state.is_empty() {
        return Ok(Vec::new());
    }
    let is_open = tier == Tier::None || (tier == Tier::Full && home == Home::Rw);
    let mut variables: Vec<(String, PathBuf)> = Vec::new();
    for state in &assigned.agent.state {
        let copy = dir.agent().join(&state.variable);
        let Some(from) = original(spec, state) else { continue };
        make(&copy)?;
        match bring_one(&from, &copy.join(&state.to), state, is_open) {
            // Somebody's own file that cannot be read is none that the agent could have read.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            done => done?,
        }
        if !variables.iter().any(|(name, _)| *name == state.variable) {
            variables.push((state.variable.clone(), copy));
        }
    }
    Ok(variables)
}

/// They are not needed any more.
pub(super) fn forget(dir: &AttemptDir) {
    // What is left is removed with the attempt.
    let _ = trash::delete(&dir.agent());
}

/// Where it is: where its user has it, else where it is by itself, below the home.
fn original(spec: &Spec, state: &StateDir) -> Option<PathBuf> {
    let own = spec.environment.get(&state.variable).map(|value| value.as_path().join(&state.to));
    let home = spec.environment.get("HOME").map(|home| home.as_path().join(&state.from));
    own.or(home).filter(|path| path.is_absolute())
}

fn bring_one(from: &Path, to: &Path, state: &StateDir, is_open: bool) -> io::Result<()> {
    match fs::metadata(from) {
        Ok(data) if data.is_file() => return copy(from, to),
        // A name with an ending is one of a file (`.claude.json`): in its place the agent must find nothing, and no directory.
        Err(_) if from.extension().is_some() => return Ok(()),
        Ok(_) | Err(_) => make(to)?,
    }
    let is_skipped = |path: &Path| state.skip.iter().any(|name| path == from.join(name));
    let is_shared = |path: &Path| is_open && state.shared.iter().any(|name| path == from.join(name));
    let entries = WalkDir::new(from).min_depth(1).follow_links(false).into_iter();
    for entry in entries.filter_entry(|entry| !is_skipped(entry.path())).flatten() {
        let Ok(below) = entry.path().strip_prefix(from) else { continue };
        let target = to.join(below);
        if target.symlink_metadata().is_ok() && !entry.file_type().is_dir() {
            continue;
        }
        if is_shared(entry.path()) {
            std::os::unix::fs::symlink(entry.path(), &target)?;
        } else if entry.file_type().is_dir() {
            make(&target)?;
        } else if entry.file_type().is_symlink() {
            // Relative links lead out of the copy where they led out of the original.
            let leads = fs::read_link(entry.path())?;
            let leads = if leads.is_relative() { entry.path().parent().unwrap_or(from).join(leads) } else { leads };
            std::os::unix::fs::symlink(leads, &target)?;
        } else if entry.file_type().is_file() {
            copy(entry.path(), &target)?;
        }
        // Sockets and pipes belong to the process that made them.
    }
    Ok(())
}

/// For its owner alone.
fn make(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let parent = to.parent().unwrap_or(to);
    make(parent)?;
    match reflink_copy::reflink(from, to) {
        Ok(()) => {}
        Err(_) if fs::metadata(from)?.len() > LONGEST => return Ok(()),
        Err(_) => {
            fs::copy(from, to)?;
        }
    }
    let mode = fs::metadata(to)?.permissions().mode();
    fs::set_permissions(to, fs::Permissions::from_mode(mode & 0o700 | 0o600))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests write files as a user would")]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_private_whole_and_without_what_is_large() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("copy/inner"));
        fs::create_dir_all(from.join("sessions/old")).unwrap();
        fs::create_dir_all(from.join("rules")).unwrap();
        for (name, mode) in [("auth.json", 0o600), ("rules/one", 0o644), ("sessions/old/long", 0o644)] {
            fs::write(from.join(name), name).unwrap();
            fs::set_permissions(from.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        std::os::unix::fs::symlink("rules/one", from.join("link")).unwrap();
        let state = StateDir {
            from: String::new(),
            to: String::new(),
            variable: String::new(),
            skip: vec!["sessions".to_owned()],
            shared: vec!["auth.json".to_owned()],
        };
        bring_one(&dir.path().join("absent.json"), &dir.path().join("absent"), &state, true).unwrap();
        assert!(!dir.path().join("absent").exists(), "it would have been a file");
        for is_open in [false, true] {
            let to = to.join(is_open.to_string());
            // Twice is no more than once.
            for _ in 0..2 {
                bring_one(&from, &to, &state, is_open).unwrap();
            }
            let read = |name: &str| fs::read_to_string(to.join(name)).ok();
            assert_eq!((read("rules/one").as_deref(), read("link").as_deref()), (Some("rules/one"), Some("rules/one")));
            assert!(!to.join("sessions").exists());
            assert_eq!(fs::symlink_metadata(to.join("auth.json")).unwrap().is_symlink(), is_open);
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&to), mode(&to.join("rules/one"))), (0o700, 0o600));
        }
        // What is not there is an empty directory.
        let none = dir.path().join("none");
        bring_one(&dir.path().join("nothing"), &none, &state, false).unwrap();
        assert!(none.is_dir());
    }
}
