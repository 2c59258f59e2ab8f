//! A result leaves the private repository as a raw pack and enters the user's as if a hostile client had sent it:
//! checked byte by byte in a quarantine directory, and moved in only when it is whole.
//!
//! What the pack holds is judged here; what the change means is [`super::inspect`].

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::worktree::Place;
use super::{GitError, Repository, connected, new_objects, private, trash, unfolds, unpack};
use crate::core::id::CommitId;
use crate::core::word::Word;
use crate::process::{Tool, ToolError};

pub use super::inspect::inspect;

const QUARANTINE: &str = "pleach-incoming-";
/// The most that is held in memory of a pack at once. Larger files are no deltas, and are not held in memory.
const LARGEST_PIECE: &str = "1g";

/// What became of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Imported {
    /// All tips and all that they need are in the repository.
    Done,
    /// Nothing was taken over, and why.
    Refused(String),
}

/// Write what `tips` have and `base` has not to `file`, from the private repository: in the shim. The file appears
/// in one step, complete and on disk.
///
/// # Errors
/// Where an object is missing or the file cannot be written.
pub fn export(place: &Place, tips: &[CommitId], base: CommitId, file: &Path) -> Result<(), GitError> {
    let substitute = private::substitute_of(&place.private);
    let from = if substitute.join("HEAD").exists() { substitute } else { place.private.clone() };
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let draft = file.with_file_name(name);
    let out = File::create(&draft).map_err(GitError::file("write", &draft))?;
    if tips.iter().any(|tip| *tip != base) {
        match new_objects::pack(&from, tips, base) {
            Some(bytes) => (&out).write_all(&bytes).map_err(GitError::file("write", &draft))?,
            None => pack_by_git(&from, tips, base, &out)?,
        }
    }
    out.sync_all().map_err(GitError::file("write", &draft))?;
    fs::rename(&draft, file).map_err(GitError::file("write", file))?;
    sync_dir(file.parent().unwrap_or(file))
}

/// Take a pack over into the user's repository: all of it, or nothing. Done twice it does no more than once.
///
/// # Errors
/// Where git cannot be run or files cannot be moved. What the pack did wrong is an answer, not an error.
pub fn import(repo: &Repository, file: &Path, tips: &[CommitId], base: CommitId) -> Result<Imported, GitError> {
    let Some(pack) = open_pack(file)? else {
        return connected(repo, None, tips, base);
    };
    let quarantine = Quarantine::create(repo)?;
    let partial = has_promisor_packs(repo);
    let check = if partial { "--fsck-objects" } else { "--strict" };
    let index = quarantine.enter(repo.git()).args(["index-pack", "--stdin", "--fix-thin", check]).stdin(pack);
    // A few bytes can unfold without end.
    let index = index.env("GIT_ALLOC_LIMIT", LARGEST_PIECE);
    let output = index.output()?;
    if output.code != Some(0) {
        return Ok(Imported::Refused(words(&output.stderr)));
    }
    if let Some(reason) = unfolds::too_much(repo, &quarantine.dir, tips, base, &|git| quarantine.enter(git)) {
        return Ok(Imported::Refused(reason));
    }
    match connected(repo, Some(&quarantine), tips, base)? {
        Imported::Done => {
            if !unpack::unpack(repo, &quarantine.dir)? {
                quarantine.migrate(repo)?;
            }
            Ok(Imported::Done)
        }
        refused => Ok(refused),
    }
}

/// Remove quarantine directories that a crash left. Only while no import runs.
///
/// # Errors
/// Where one cannot be removed.
pub fn sweep_quarantine(repo: &Repository) -> Result<(), GitError> {
    let objects = repo.common_dir().join("objects");
    for entry in fs::read_dir(&objects).map_err(GitError::file("read", &objects))?.flatten() {
        if entry.file_name().as_bytes().starts_with(QUARANTINE.as_bytes()) {
            trash::delete(&entry.path())?;
        }
    }
    Ok(())
}

/// Are the tips commits, and is all there that they need beside the base?
fn connected(
    repo: &Repository,
    quarantine: Option<&Quarantine>,
    tips: &[CommitId],
    base: CommitId,
) -> Result<Imported, GitError> {
    // What is missing is told in git's words, and so is whatever the library does not understand.
    if connected::is_whole(repo, quarantine.map(|quarantine| &*quarantine.dir), tips, base) {
        return Ok(Imported::Done);
    }
    let view = |git: Tool| match quarantine {
        Some(quarantine) => quarantine.enter(git),
        None => git,
    };
    let names: String = tips.iter().map(|tip| format!("{tip}\n")).collect();
    let types = view(repo.git()).args(["cat-file", "--batch-check=%(objecttype)"]).input(names.clone()).output()?;
    let types = String::from_utf8_lossy(&types.stdout).into_owned();
    if types.lines().count() != tips.len() || types.lines().any(|kind| kind != "commit") {
        return Ok(Imported::Refused("a tip is missing or not a commit".to_owned()));
    }
    let walk = view(repo.git()).args(["rev-list", "--objects", "--quiet"]);
    let walk = if has_promisor_packs(repo) { walk.arg("--exclude-promisor-objects") } else { walk };
    let walk = walk.args(["--stdin", "--"]).input(format!("{names}^{base}\n")).output()?;
    Ok(match walk.code {
        Some(0) => Imported::Done,
        _ => Imported::Refused(words(&walk.stderr)),
    })
}

/// A directory whose objects only our own checks see. It goes when this is dropped.
struct Quarantine {
    dir: PathBuf,
    objects: PathBuf,
}

impl Quarantine {
    fn create(repo: &Repository) -> Result<Self, GitError> {
        let objects = repo.common_dir().join("objects");
        let made = tempfile::Builder::new().prefix(QUARANTINE).tempdir_in(&objects);
        let dir = made.map_err(GitError::file("create a directory in", &objects))?.keep();
        let pack = dir.join("pack");
        let quarantine = Self { dir, objects };
        fs::create_dir(&pack).map_err(GitError::file("create", pack))?;
        Ok(quarantine)
    }

    fn enter(&self, git: Tool) -> Tool {
        // In this list a colon separates.
        let alternate = private::quoted(&self.objects, b"\n\":");
        git.env("GIT_OBJECT_DIRECTORY", &self.dir)
            .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", Word::from(alternate).as_os_str())
            .env("GIT_QUARANTINE_PATH", &self.dir)
            .env("GIT_NO_LAZY_FETCH", "1")
    }

    /// Move the pack in. Its index comes last: with it the objects are seen, and only then.
    fn migrate(&self, repo: &Repository) -> Result<(), GitError> {
        let (from, to) = (self.dir.join("pack"), repo.common_dir().join("objects").join("pack"));
        fs::create_dir_all(&to).map_err(GitError::file("create", &to))?;
        let entries = fs::read_dir(&from).map_err(GitError::file("read", &from))?;
        let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        for ending in [".pack", ".rev", ".idx"] {
            for name in names.iter().filter(|name| name.as_bytes().ends_with(ending.as_bytes())) {
                let path = from.join(name);
                File::open(&path).and_then(|file| file.sync_all()).map_err(GitError::file("write", &path))?;
                // The name is made of the content: what it replaces is the same.
                fs::rename(&path, to.join(name)).map_err(GitError::file("move", &path))?;
            }
        }
        sync_dir(&to)
    }
}

impl Drop for Quarantine {
    fn drop(&mut self) {
        let _ = trash::delete(&self.dir);
    }
}

/// The pack, at its start; none where the file is missing or has no objects.
fn open_pack(file: &Path) -> Result<Option<File>, GitError> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let failed = |error: io::Error| GitError::file("read", file)(error);
    let mut pack = match rustix::fs::open(file, flags, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(failed(errno.into())),
    };
    if !pack.metadata().map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("it is not a file")));
    }
    let mut head = Vec::new();
    (&mut pack).take(12).read_to_end(&mut head).map_err(failed)?;
    pack.seek(SeekFrom::Start(0)).map_err(failed)?;
    // "PACK", the version, and how many objects follow.
    let is_empty = head.is_empty() || (head.starts_with(b"PACK") && head.ends_with(&[0; 4]));
    Ok((!is_empty).then_some(pack))
}

fn pack_by_git(from: &Path, tips: &[CommitId], base: CommitId, out: &File) -> Result<(), GitError> {
    let wanted: String = tips.iter().map(|tip| format!("{tip}\n")).chain([format!("^{base}\n")]).collect();
    // A blobless clone has the base's blobs only here: a delta against one could not be resolved outside.
    let thin: &[&str] = if is_partial(from) { &["--missing=allow-promisor"] } else { &["--thin"] };
    let pack = private::git(from, from).env("GIT_NO_LAZY_FETCH", "1").args(["pack-objects", "-q", "--revs"]);
    run_into(pack.args(["--stdout", "--delta-base-offset"]).args(thin), &wanted, out)
}

fn run_into(tool: Tool, input: &str, out: &File) -> Result<(), GitError> {
    let shown = tool.shown();
    let start = |source| ToolError::Start { shown: shown.clone(), source };
    let mut from = tempfile::tempfile().map_err(start)?;
    from.write_all(input.as_bytes()).and_then(|()| from.rewind()).map_err(start)?;
    let out = out.try_clone().map_err(start)?;
    let running = tool.stdin(from).stdout(out).stderr(Stdio::piped()).spawn()?;
    let output = running.wait_with_output().map_err(start)?;
    if output.status.success() {
        return Ok(());
    }
    let how = output.status.code().map_or("was killed by a signal".to_owned(), |code| format!("exited with {code}"));
    Err(ToolError::Failed { shown, how, stderr: String::from_utf8_lossy(&output.stderr).into_owned() }.into())
}

fn is_partial(private_dir: &Path) -> bool {
    let config = fs::read(private_dir.join("config")).unwrap_or_default().to_ascii_lowercase();
    let has = |word: &[u8]| config.windows(word.len()).any(|window| window == word);
    has(b"partialclone") || has(b"promisor")
}

fn has_promisor_packs(repo: &Repository) -> bool {
    let packs = fs::read_dir(repo.common_dir().join("objects").join("pack"));
    packs.is_ok_and(|packs| packs.flatten().any(|pack| pack.file_name().as_bytes().ends_with(b".promisor")))
}

fn sync_dir(dir: &Path) -> Result<(), GitError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(GitError::file("write", dir))
}

fn words(stderr: &str) -> String {
    let lines = stderr.lines().map(|line| line.trim_start_matches("fatal: ").trim_start_matches("error: "));
    let words = lines.filter(|line| !line.is_empty()).take(5).collect::<Vec<_>>().join("; ");
    if words.is_empty() { "git refused the pack".to_owned() } else { words }
}
