//! Ignored files that a task needs (`.env`, `node_modules`) come along.
//!
//! What comes: files of the user's checkout that git ignores *and* that match `.worktreeinclude` (gitignore syntax, the
//! de-facto standard) or a pattern of `[worktree] copy`. Git itself does the matching. They are copied by reflink where
//! the file system can, links are copied as links, and nothing that is tracked is ever overwritten.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::launch::LaunchError;
use crate::core::provider::Provider;
use crate::core::state::Task;
use crate::core::word::Word;
use crate::git::private;
use crate::git::worktree::Place;
use crate::process::Tool;
use crate::process::tool::fields;
use crate::store::StoreError;

/// The file of patterns, at the top of a checkout.
const INCLUDE_FILE: &str = ".worktreeinclude";

/// Copy them into the worktree. Where a task had it before, its copies may be old, or links may stand where they were: whatever is
/// not tracked gives way.
///
/// # Errors
/// Where a pattern or a file cannot be read, or a copy cannot be written.
pub(super) fn bring(task: &Task, place: &Place, provider: Provider, trash: &Path) -> Result<(), LaunchError> {
    let Some(checkout) = task.spec.checkout.as_ref().map(Word::as_path).filter(|dir| dir.is_dir()) else {
        return Ok(());
    };
    let include = checkout.join(INCLUDE_FILE);
    let mut patterns = match fs::read(&include) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(StoreError::file("read", include)(error).into()),
    };
    for pattern in &task.spec.copy {
        patterns.extend_from_slice(format!("\n{pattern}\n").as_bytes());
    }
    if patterns.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    let wanted = wanted(checkout, &patterns)?;
    if provider == Provider::Slot {
        let tracked = tracked(place, &wanted)?;
        for path in &wanted {
            give_way(checkout, &place.worktree, path, &tracked, trash)?;
        }
    }
    for path in wanted {
        copy(&checkout.join(&path), &place.worktree.join(&path))?;
    }
    Ok(())
}

/// What is tracked at these paths, above them and below them.
fn tracked(place: &Place, paths: &[PathBuf]) -> Result<BTreeSet<PathBuf>, LaunchError> {
    let all: BTreeSet<&Path> =
        paths.iter().flat_map(|path| path.ancestors().filter(|above| !above.as_os_str().is_empty())).collect();
    if all.is_empty() {
        return Ok(BTreeSet::new());
    }
    let mut found = BTreeSet::new();
    let all: Vec<&Path> = all.into_iter().collect();
    // A command line is not endless.
    for some in all.chunks(500) {
        let list = private::git(&place.private, &place.worktree).args(["--literal-pathspecs", "ls-files", "-z", "--"]);
        let answer = list.args(some).run().map_err(crate::git::GitError::from)?;
        found.extend(fields(&answer).map(|path| Word::from(path.to_vec()).as_path().to_owned()));
    }
    Ok(found)
}

/// Remove what is in the way of a copy or is not as its original: links on the way to it, and files that differ. A file that is
/// named itself always comes anew.
fn give_way(
    checkout: &Path,
    worktree: &Path,
    path: &Path,
    tracked: &BTreeSet<PathBuf>,
    trash: &Path,
) -> Result<(), LaunchError> {
    let remove = |path: &Path| {
        let to = worktree.join(path);
        fs::remove_file(&to).map_err(StoreError::file("replace", to))
    };
    let mut above: Vec<&Path> = path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()).collect();
    above.reverse();
    for above in above {
        match fs::symlink_metadata(worktree.join(above)) {
            Ok(seen) if seen.is_dir() => {}
            Ok(_) if tracked.contains(above) => return Ok(()),
            Ok(_) => remove(above)?,
            Err(_) => return Ok(()),
        }
    }
    let mut walk = WalkDir::new(checkout.join(path)).follow_links(false).into_iter();
    while let Some(entry) = walk.next() {
        let entry = entry.map_err(|error| StoreError::file("read", checkout.join(path))(error.into()))?;
        let name = entry.path().strip_prefix(checkout).unwrap_or(path).to_owned();
        let is_dir = entry.file_type().is_dir();
        let Ok(there) = fs::symlink_metadata(worktree.join(&name)) else {
            if is_dir {
                walk.skip_current_dir();
            }
            continue;
        };
        let is_same_dir = is_dir && there.is_dir();
        if is_same_dir || tracked.contains(&name) {
            continue;
        }
        if there.is_dir() {
            super::trash::throw(&worktree.join(&name), trash)?;
            continue;
        }
        let is_same = entry.depth() > 0 && entry.metadata().is_ok_and(|original| is_copy(&original, &there));
        if !is_same {
            remove(&name)?;
        }
    }
    Ok(())
}

fn is_copy(original: &fs::Metadata, copy: &fs::Metadata) -> bool {
    let is_kind = original.is_file() && copy.is_file();
    let times = (original.modified().ok(), copy.modified().ok());
    is_kind && original.len() == copy.len() && times.0.is_some() && times.0 == times.1
}

/// Does its user have a file of patterns?
pub(super) fn has_patterns(task: &Task) -> bool {
    task.spec.checkout.as_ref().is_some_and(|checkout| checkout.as_path().join(INCLUDE_FILE).exists())
}

/// The ignored paths that match, relative to the checkout. A directory that is ignored as a whole is one path.
fn wanted(checkout: &Path, patterns: &[u8]) -> Result<Vec<PathBuf>, LaunchError> {
    let cannot = StoreError::file("write patterns beside", checkout);
    let file = tempfile::NamedTempFile::new().and_then(|mut file| file.write_all(patterns).map(|()| file));
    let file = file.map_err(cannot)?;
    let ask = |exclude: &std::ffi::OsStr| -> Result<BTreeSet<PathBuf>, LaunchError> {
        let list =
            Tool::git().dir(checkout).args(["-c", "core.fsmonitor=false", "ls-files", "-z", "--others", "--ignored"]);
        let answer = list.arg(exclude).run().map_err(crate::git::GitError::from)?;
        Ok(fields(&answer).map(|path| Word::from(path.to_vec()).as_path().to_owned()).collect())
    };
    let mut from_file = std::ffi::OsString::from("--exclude-from=");
    from_file.push(file.path());
    let matching = ask(&from_file)?;
    if matching.is_empty() {
        return Ok(Vec::new());
    }
    let ignored = ask("--exclude-standard".as_ref())?;
    Ok(matching.intersection(&ignored).cloned().collect())
}

fn copy(from: &Path, to: &Path) -> Result<(), LaunchError> {
    for entry in WalkDir::new(from).follow_links(false) {
        let entry = entry.map_err(|error| StoreError::file("read", from)(error.into()))?;
        let target = match entry.path().strip_prefix(from) {
            Ok(rest) if !rest.as_os_str().is_empty() => to.join(rest),
            _ => to.to_owned(),
        };
        copy_one(entry.path(), entry.file_type(), &target).map_err(StoreError::file("copy", entry.path()))?;
    }
    Ok(())
}

fn copy_one(from: &Path, kind: fs::FileType, to: &Path) -> io::Result<()> {
    if kind.is_dir() {
        return fs::create_dir_all(to);
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    if to.symlink_metadata().is_ok() {
        // Tracked, or brought by an earlier try.
        return Ok(());
    }
    if kind.is_symlink() {
        return std::os::unix::fs::symlink(fs::read_link(from)?, to);
    }
    if kind.is_file() {
        reflink_copy::reflink_or_copy(from, to)?;
        let times = fs::metadata(from)?;
        let copied = fs::File::options().append(true).open(to);
        // Build tools compare times: a copy is as old as its original. Read-only ones keep their own.
        if let (Ok(file), Ok(modified)) = (copied, times.modified()) {
            file.set_modified(modified)?;
        }
        fs::set_permissions(to, times.permissions())?;
    }
    // Sockets and pipes belong to the process that made them.
    Ok(())
}
