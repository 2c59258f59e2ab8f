//! A landing that was cut off: what of it is there, and how it is taken back, so that it can start afresh.
//!
//! Whoever holds the fold lock knows that no process of the earlier landing lives. What it can have left behind:
//! lock files, and, where `read-tree` was cut off, files of which each is old, new, absent, or the beginning of new.
//! A file that is none of these is the user's; then nothing at all is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::checkout::{CheckoutOf, Entry, Sides, TreeChange, files_below, parents};
use super::fold::{FoldLock, read_if_there};
use super::live::quoted;
use super::{GitError, Repository};
use crate::core::change::Landing;
use crate::core::id::CommitId;
use crate::core::word::Word;
use crate::process::tool::fields;

/// The note that a landing has begun. It is there from before the first lock until after the answer.
#[derive(Debug)]
pub(super) struct Intent {
    path: PathBuf,
    text: String,
}

impl Intent {
    pub(super) fn of(repo: &Repository, landing: &Landing) -> Self {
        let path = repo.common_dir().join("pleach/landing").join(landing.to.to_string());
        Self { path, text: format!("{} {}\n", landing.from, landing.to) }
    }

    /// A note of the same commit onto another head is not ours: what it left is told by content all the same.
    pub(super) fn is_there(&self) -> bool {
        self.path.exists()
    }

    pub(super) fn write(&self) -> Result<(), GitError> {
        if self.is_there() {
            return Ok(());
        }
        let fail = || GitError::file("write", &self.path);
        let dir = self.path.parent().unwrap_or(&self.path);
        fs::create_dir_all(dir).map_err(fail())?;
        // Its being there is all that counts, so half of it is as good as the whole.
        let mut file = fs::File::create(&self.path).map_err(fail())?;
        file.write_all(self.text.as_bytes()).and_then(|()| file.sync_all()).map_err(fail())?;
        fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(fail())
    }

    pub(super) fn forget(&self) -> Result<(), GitError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(GitError::file("remove", &self.path)(error))
            }
            _ => Ok(()),
        }
    }
}

/// What became of half-done work in a checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Restored {
    /// Index and files are as before the landing.
    Old,
    /// Index and files were all written: only the ref was missing.
    New,
    /// These are neither old nor new; nothing was touched.
    NotOurs(Vec<Word>),
}

/// Take back what a cut-off `read-tree` left in a checkout.
pub(super) fn restore(lock: &FoldLock, checkout: &CheckoutOf, change: &TreeChange) -> Result<Restored, GitError> {
    let index = read_index(checkout, None)?.unwrap_or_default();
    let is_at = |side: fn(&Sides) -> &Option<Entry>| {
        let differs = |(path, sides): &(&Word, &Sides)| index.get(*path) != side(sides).as_ref();
        change.entries.iter().filter(differs).map(|(path, _)| path.clone()).collect::<Vec<_>>()
    };
    let not_old = is_at(|(old, _)| old);
    if !not_old.is_empty() {
        // The index is written last and in one step: where it is new, all files were.
        return Ok(if is_at(|(_, new)| new).is_empty() { Restored::New } else { Restored::NotOurs(not_old) });
    }
    let work = Leftover::find(checkout, change)?;
    if !work.not_ours.is_empty() {
        return Ok(Restored::NotOurs(work.not_ours.into_iter().collect()));
    }
    work.take_back(lock, checkout)?;
    Ok(Restored::Old)
}

/// The changed paths whose files are not as the old tree has them.
pub(super) fn edited(checkout: &CheckoutOf, change: &TreeChange) -> Result<Vec<Word>, GitError> {
    let seen = |path: &&Word| fs::symlink_metadata(checkout.top.join(path.as_path())).is_ok_and(|seen| seen.is_file());
    let files: Vec<Word> = change.paths().filter(seen).cloned().collect();
    let hashes = hash_files(checkout, &files)?;
    let differs = |path: &Word| change.entries[path].0.as_ref().is_none_or(|old| hashes.get(path) != Some(&old.object));
    Ok(files.into_iter().filter(differs).collect())
}

#[derive(Debug, Default)]
struct Leftover {
    /// New files that the old tree does not have.
    to_remove: Vec<Word>,
    /// Paths of the old tree that are absent, new, or begun.
    to_write: Vec<Word>,
    /// Somebody wrote there meanwhile.
    not_ours: BTreeSet<Word>,
}

impl Leftover {
    fn find(checkout: &CheckoutOf, change: &TreeChange) -> Result<Self, GitError> {
        let mut left = Self::default();
        let suspects = suspects(checkout, change)?;
        let mut files = Vec::new();
        for path in change.paths() {
            let (old, _) = &change.entries[path];
            if old.is_some() && !suspects.contains(path) {
                continue;
            }
            left.sort_by_kind(checkout, change, path, &mut files)?;
        }
        let hashes = hash_files(checkout, &files)?;
        for path in files {
            let (old, new) = &change.entries[&path];
            let hash = hashes.get(&path);
            let is = |entry: &Option<Entry>| entry.as_ref().is_some_and(|entry| Some(&entry.object) == hash);
            if is(old) || is(new) || begins(checkout, &path, new.as_ref())? {
                if old.is_some() { left.to_write.push(path) } else { left.to_remove.push(path) }
            } else {
                left.not_ours.insert(path);
            }
        }
        Ok(left)
    }

    /// What is at a path: nothing, a link, a directory; a plain file goes to `files`, for its content decides.
    fn sort_by_kind(
        &mut self,
        checkout: &CheckoutOf,
        change: &TreeChange,
        path: &Word,
        files: &mut Vec<Word>,
    ) -> Result<(), GitError> {
        let (old, new) = &change.entries[path];
        if old.iter().chain(new).any(Entry::is_gitlink) {
            return Ok(());
        }
        let blocked = parents(path)
            .find(|above| fs::symlink_metadata(checkout.top.join(above.as_path())).is_ok_and(|seen| !seen.is_dir()));
        if let Some(above) = blocked {
            // A file of ours that stands where a directory was is looked at by itself.
            if !change.entries.contains_key(&above) {
                self.not_ours.insert(above);
            } else if old.is_some() {
                self.to_write.push(path.clone());
            }
            return Ok(());
        }
        let place = checkout.top.join(path.as_path());
        let Ok(seen) = fs::symlink_metadata(&place) else {
            self.to_write.extend(old.is_some().then(|| path.clone()));
            return Ok(());
        };
        if seen.is_file() {
            files.push(path.clone());
        } else if seen.is_symlink() {
            let target = fs::read_link(&place).map_err(GitError::file("read", &place))?;
            let is = |entry: &Option<Entry>| link_is(checkout, entry.as_ref(), target.as_os_str().as_bytes());
            match (is(old)? || is(new)?, old.is_some()) {
                (true, true) => self.to_write.push(path.clone()),
                (true, false) => self.to_remove.push(path.clone()),
                (false, _) => drop(self.not_ours.insert(path.clone())),
            }
        } else if seen.is_dir() {
            // It is in the way of an old file: all in it must be ours.
            if old.is_some() {
                let not_ours = &mut self.not_ours;
                files_below(&checkout.top, path, &mut |file| {
                    if !matches!(change.entries.get(&file), Some((None, Some(_)))) {
                        not_ours.insert(file);
                    }
                })?;
                self.to_write.push(path.clone());
            }
        } else {
            self.not_ours.insert(path.clone());
        }
        Ok(())
    }

    fn take_back(&self, lock: &FoldLock, checkout: &CheckoutOf) -> Result<(), GitError> {
        for path in &self.to_remove {
            let place = checkout.top.join(path.as_path());
            fs::remove_file(&place).map_err(GitError::file("remove", &place))?;
            let mut above: Vec<Word> = parents(path).collect();
            // A directory that is not empty stays.
            while let Some(dir) = above.pop() {
                if fs::remove_dir(checkout.top.join(dir.as_path())).is_err() {
                    break;
                }
            }
        }
        if self.to_write.is_empty() {
            return Ok(());
        }
        let names: Vec<u8> = self.to_write.iter().flat_map(|path| [path.as_bytes(), b"\0"].concat()).collect();
        let tool = checkout.git().args(["checkout-index", "-f", "-q", "-z", "--stdin"]);
        let mut conversation = lock.converse(tool)?;
        let _ = conversation.say(&names);
        if conversation.end()?.success() {
            return Ok(());
        }
        Err(super::commit::failed("git checkout-index -f -z --stdin".to_owned(), Some(1), lock.words()))
    }
}

/// Paths of the old tree whose files may not be as it has them. (Times decide: more are named than differ.)
fn suspects(checkout: &CheckoutOf, change: &TreeChange) -> Result<BTreeSet<Word>, GitError> {
    let asked = checkout.git().args(["diff-files", "-z", "--name-only", "--no-renames", "--ignore-submodules=dirty"]);
    let answer = asked.run()?;
    let paths = fields(&answer).map(|path| Word::from(path.to_vec()));
    Ok(paths.filter(|path| change.entries.contains_key(path)).collect())
}

/// Is the file the beginning of what the new tree has, as a checkout writes it?
fn begins(checkout: &CheckoutOf, path: &Word, new: Option<&Entry>) -> Result<bool, GitError> {
    let Some(new) = new.filter(|entry| entry.mode != 0o120_000) else { return Ok(false) };
    let Some(bytes) = read_if_there(&checkout.top.join(path.as_path()))? else { return Ok(false) };
    if bytes.is_empty() {
        return Ok(true);
    }
    let named = std::ffi::OsStr::from_bytes(&[b"--path=", path.as_bytes()].concat()).to_owned();
    let whole = checkout.git().args(["cat-file", "--filters"]).arg(named).arg(&new.object).run()?;
    Ok(whole.starts_with(&bytes))
}

fn link_is(checkout: &CheckoutOf, entry: Option<&Entry>, target: &[u8]) -> Result<bool, GitError> {
    let Some(entry) = entry.filter(|entry| entry.mode == 0o120_000) else { return Ok(false) };
    Ok(checkout.git().args(["cat-file", "blob", &entry.object]).run()? == target)
}

/// The object names of files, as if they were added.
fn hash_files(checkout: &CheckoutOf, paths: &[Word]) -> Result<BTreeMap<Word, String>, GitError> {
    if paths.is_empty() {
        return Ok(BTreeMap::new());
    }
    let names: Vec<u8> = paths.iter().flat_map(|path| [&quoted(path.as_bytes())[..], b"\n"].concat()).collect();
    let asked = checkout.git().args(["-c", "core.safecrlf=false", "hash-object", "--stdin-paths"]);
    let answer = String::from_utf8_lossy(&asked.input(names).run()?).into_owned();
    Ok(paths.iter().cloned().zip(answer.lines().map(str::to_owned)).collect())
}

/// All entries of an index; `None` where it cannot be read as one. An unmerged path has an entry that equals no other.
fn read_index(checkout: &CheckoutOf, file: Option<&Path>) -> Result<Option<BTreeMap<Word, Entry>>, GitError> {
    let mut tool = checkout.git();
    if let Some(file) = file {
        tool = tool.env("GIT_INDEX_FILE", file);
    }
    let output = tool.args(["ls-files", "--stage", "-z"]).output()?;
    if output.code != Some(0) {
        return Ok(None);
    }
    let mut entries = BTreeMap::new();
    for line in fields(&output.stdout) {
        let Some(tab) = line.iter().position(|byte| *byte == b'\t') else { continue };
        let head = String::from_utf8_lossy(&line[..tab]).into_owned();
        let [mode, object, stage] = head.split(' ').collect::<Vec<_>>()[..] else { continue };
        let object = if stage == "0" { object.to_owned() } else { "unmerged".to_owned() };
        let mode = u32::from_str_radix(mode, 8).unwrap_or(0);
        entries.insert(Word::from(line[tab + 1..].to_vec()), Entry { mode, object });
    }
    Ok(Some(entries))
}

/// Put aside the lock files that the cut-off landing left, where they are provably its own: no process has them open,
/// no git works in that checkout, they are not older than the landing, and hold what it would have written.
pub(super) fn clear_locks(
    repo: &Repository,
    intent: &Intent,
    checkouts: &[CheckoutOf],
    refs: &[String],
    change: &TreeChange,
    to: CommitId,
) -> Result<(), GitError> {
    let is_ref_lock = |bytes: &[u8]| bytes.is_empty() || bytes.trim_ascii_end() == to.to_string().as_bytes();
    for name in refs {
        let path = repo.common_dir().join(format!("{name}.lock"));
        put_aside(repo, intent, checkouts, &path, &|bytes| Ok(is_ref_lock(bytes) || is_object_name(bytes)))?;
    }
    for checkout in checkouts {
        put_aside(repo, intent, checkouts, &checkout.git_dir.join("HEAD.lock"), &|bytes| Ok(is_ref_lock(bytes)))?;
        let path = checkout.git_dir.join("index.lock");
        put_aside(repo, intent, checkouts, &path, &|bytes| is_our_index(checkout, change, &path, bytes))?;
    }
    Ok(())
}

/// A mark's lock holds the commit of the mark, which may be another than the target's.
fn is_object_name(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes.trim_ascii_end()).is_ok_and(|text| text.parse::<CommitId>().is_ok())
}

/// Empty, torn, or all of the changed paths at the new tree (`read-tree`) or at the old one (a refresh).
fn is_our_index(checkout: &CheckoutOf, change: &TreeChange, path: &Path, bytes: &[u8]) -> Result<bool, GitError> {
    const SIGNATURE: &[u8] = b"DIRC";
    if !bytes.starts_with(SIGNATURE) && !SIGNATURE.starts_with(bytes) {
        return Ok(false);
    }
    if is_torn(checkout, path, bytes)? {
        return Ok(true);
    }
    let Some(index) = read_index(checkout, Some(path))? else { return Ok(true) };
    let mut sides = change.entries.iter();
    let all_new = sides.clone().all(|(path, (_, new))| index.get(path) == new.as_ref());
    Ok(all_new || sides.all(|(path, (old, _))| index.get(path) == old.as_ref()))
}

/// Does the index end before it has all the entries that its head promises? (Git reads on into nothing: it does not
/// verify the checksum.)
fn is_torn(checkout: &CheckoutOf, path: &Path, bytes: &[u8]) -> Result<bool, GitError> {
    let Some(promised) = bytes.get(8..12) else { return Ok(true) };
    let promised = promised.iter().fold(0, |count: usize, byte| count << 8 | usize::from(*byte));
    let asked = checkout.git().env("GIT_INDEX_FILE", path).args(["ls-files", "--sparse", "--stage", "-z"]);
    let output = asked.output()?;
    let is_whole = |line: &[u8]| !line.ends_with(b"\t") && !line.starts_with(b"000000");
    let entries = fields(&output.stdout).filter(|line| is_whole(line)).count();
    Ok(output.code != Some(0) || entries != promised)
}

fn put_aside(
    repo: &Repository,
    intent: &Intent,
    checkouts: &[CheckoutOf],
    path: &Path,
    is_ours: &dyn Fn(&[u8]) -> Result<bool, GitError>,
) -> Result<(), GitError> {
    let Some(bytes) = read_if_there(path)? else { return Ok(()) };
    let changed = |path: &Path| fs::metadata(path).and_then(|seen| seen.modified()).ok();
    if changed(path) < changed(&intent.path) || !is_ours(&bytes)? || is_in_use(path, checkouts) {
        return Ok(());
    }
    let trash = repo.own_dir("trash")?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let aside = (0..).map(|n| trash.join(format!("{name}.{n}"))).find(|aside| !aside.exists());
    match fs::rename(path, aside.unwrap_or_default()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(GitError::file("rename", path)(error)),
        _ => Ok(()),
    }
}

/// Does a living process have the lock open, or is a git at work in one of the checkouts? (`git commit` closes its
/// lock and keeps it while an editor runs.) Where processes cannot be listed, the answer is yes.
fn is_in_use(lock: &Path, checkouts: &[CheckoutOf]) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return true };
    let mut seen_any = false;
    for process in processes.flatten().map(|entry| entry.path()) {
        if !process.file_name().is_some_and(|name| name.as_bytes().iter().all(u8::is_ascii_digit)) {
            continue;
        }
        seen_any = true;
        let is_git = fs::read(process.join("comm")).is_ok_and(|name| name.starts_with(b"git"));
        let cwd = fs::read_link(process.join("cwd")).unwrap_or_default();
        if is_git && checkouts.iter().any(|c| cwd.starts_with(&c.top) || cwd.starts_with(&c.git_dir)) {
            return true;
        }
        let open = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        if open.filter_map(|fd| fs::read_link(fd.path()).ok()).any(|file| file == lock) {
            return true;
        }
    }
    !seen_any
}
