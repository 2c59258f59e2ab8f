//! A checkout goes from one tree to the next: the files of the change are written, and their entries of the index
//! exchanged, in the order in which `read-tree -m -u` does it. So what is cut off in the middle looks the same, and
//! [`super::resume`] takes it back in the same way.
//!
//! Done here only where git would write the bytes of the objects as they are; where there is any doubt (attributes, a
//! setting, a link, a name that git might refuse), `read-tree` does it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use git2::{AttrCheckFlags, AttrValue, Config, ErrorCode, Oid};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::checkout::{CheckoutOf, Entry, TreeChange, parents};
use super::index::{Fresh, Index};
use super::index_lock::IndexLock;
use super::opened::Opened;
use super::untouched::is_still_untouched;
use crate::core::word::Word;

pub(super) const PLAIN: u32 = 0o100_644;
pub(super) const EXECUTABLE: u32 = 0o100_755;
/// More than this, of all files together, goes through git, which does not hold it in memory.
const LARGEST: usize = 32 << 20;

/// All that is to be written, looked up.
pub(super) struct Advance<'a> {
    checkout: &'a CheckoutOf,
    change: &'a TreeChange,
    file: PathBuf,
    /// As it was read.
    index: Index,
    writes: Vec<(&'a Word, u32, Oid, Vec<u8>)>,
    removes: Vec<&'a Word>,
}

/// What came of it.
pub(super) enum Advanced {
    /// The checkout is at the new tree.
    Done,
    /// Somebody else was faster, or holds the lock; nothing was touched.
    Untouched,
    /// Some of it may have been written.
    Failed(String),
}

impl<'a> Advance<'a> {
    /// `None` where git has to do it.
    pub(super) fn prepare(
        opened: &Opened<'_>,
        checkout: &'a CheckoutOf,
        change: &'a TreeChange,
        index: Index,
    ) -> Option<Self> {
        let file = checkout.git_dir.join("index");
        let is_ordinary = change.paths().all(is_ordinary);
        let settings = opened.settings()?;
        let hooks = settings.get_path("core.hookspath").unwrap_or_else(|_| opened.repo.common_dir().join("hooks"));
        // Hooks run at the top of the checkout.
        let is_watched = checkout.top.join(hooks).join("post-index-change").exists();
        // The settings of the main checkout are among those that were read; those of another one are not.
        let is_main = checkout.git_dir == opened.repo.common_dir();
        let has_own = !is_main && checkout.git_dir.join("config.worktree").exists();
        if !is_ordinary || is_watched || has_own || !are_plain(&settings) {
            return None;
        }
        let written = change.entries.iter().filter_map(|(path, (_, new))| Some((path, new.as_ref()?)));
        let written: Vec<(&Word, &Entry)> = written.collect();
        let files: Vec<&Word> = written.iter().map(|(path, _)| *path).collect();
        if !are_written_as_they_are(checkout, &index, &files) {
            return None;
        }
        let odb = opened.library()?.odb().ok()?;
        let (mut writes, mut left) = (Vec::with_capacity(written.len()), LARGEST);
        for (path, entry) in written {
            let id = Oid::from_str(&entry.object).ok()?;
            let (size, _) = odb.read_header(id).ok()?;
            left = left.checked_sub(size)?;
            if !matches!(entry.mode, PLAIN | EXECUTABLE) {
                return None;
            }
            writes.push((path, entry.mode, id, odb.read(id).ok()?.data().to_vec()));
        }
        let removes = change.entries.iter().filter(|(_, (_, new))| new.is_none()).map(|(path, _)| path).collect();
        Some(Self { checkout, change, file, index, writes, removes })
    }

    /// Do it.
    ///
    /// # Errors
    /// Where a file cannot be written; some may have been.
    pub(super) fn run(&self, at: &dyn Fn(&'static str)) -> Result<Advanced, String> {
        let Ok(lock) = IndexLock::take(&self.file) else { return Ok(Advanced::Untouched) };
        // Time has gone by since the look: an edit of that time is the user's, and stays.
        if !self.index.is_still(&self.file) || !is_still_untouched(self.checkout, self.change, &self.index) {
            return Ok(Advanced::Untouched);
        }
        let cannot = |what: &str, path: &Word, error: &dyn std::fmt::Display| {
            format!("cannot {what} {} in the checkout: {error}", path.shown())
        };
        let mut changes: BTreeMap<&Word, Option<Fresh>> = BTreeMap::new();
        let mut dirs = Dirs::open(&self.checkout.top).map_err(|error| format!("cannot open the checkout: {error}"))?;
        for path in &self.removes {
            dirs.remove(path).map_err(|error| cannot("remove", path, &error))?;
            changes.insert(path, None);
        }
        for (path, mode, id, bytes) in &self.writes {
            let made = dirs
                .write(path, *mode, bytes, self.index.get(path).is_some())
                .map_err(|error| cannot("write", path, &error))?;
            let object = id.as_bytes().try_into().map_err(|_| cannot("name", path, id))?;
            changes.insert(path, Some(Fresh::new(*mode, object, &made)));
        }
        at("land.files_written");
        let bytes = self.index.with(&changes);
        lock.commit(&self.file, &bytes).map_err(|error| format!("cannot write the index: {error}"))?;
        Ok(Advanced::Done)
    }
}

/// Is it a name that git takes without a second look on any system?
pub(super) fn is_ordinary(path: &Word) -> bool {
    let is_ordinary = |name: &[u8]| {
        let lower = name.to_ascii_lowercase();
        let is_known = matches!(&lower[..], b".gitignore" | b".gitkeep" | b".github" | b".gitlab-ci.yml");
        !matches!(name, b"" | b"." | b"..")
            && !name.iter().any(|byte| matches!(byte, b'\\' | b':'))
            && (name.is_ascii() || !name.contains(&b'.'))
            && !lower.starts_with(b"git~")
            && (is_known || !lower.starts_with(b".git"))
    };
    path.as_bytes().split(|byte| *byte == b'/').all(is_ordinary)
}

/// Does nothing in the configuration change what a checkout writes?
pub(super) fn are_plain(settings: &Config) -> bool {
    let is = |key: &str, plain: &[&str]| match settings.get_string(key) {
        Ok(value) => plain.iter().any(|one| value.eq_ignore_ascii_case(one)),
        Err(error) => error.code() == ErrorCode::NotFound,
    };
    const NO: &[&str] = &["false", "no", "off", "0"];
    const YES: &[&str] = &["true", "yes", "on", "1"];
    is("core.autocrlf", &["false", "no", "off", "0", "input"])
        && is("core.eol", &["lf", "native"])
        && is("core.symlinks", YES)
        && is("core.filemode", YES)
        && ["core.ignorecase", "core.precomposeunicode", "core.protecthfs", "core.sparsecheckout", "core.splitindex"]
            .iter()
            .all(|key| is(key, NO))
        && ["core.sharedrepository", "attr.tree"].iter().all(|key| is(key, &[]))
}

/// Has none of these an attribute by which a checkout writes something else than the object?
fn are_written_as_they_are(checkout: &CheckoutOf, index: &Index, files: &[&Word]) -> bool {
    let mut dirs = BTreeSet::from([Word::from("")]);
    dirs.extend(files.iter().flat_map(|path| parents(path)));
    let is_as_known = |dir: &Word| {
        let name = if dir.as_bytes().is_empty() { ".gitattributes" } else { "/.gitattributes" };
        let path = Word::from([dir.as_bytes(), name.as_bytes()].concat());
        // Git takes the file only where the index has none.
        let Some(known) = index.get(&path) else { return true };
        let seen = fs::symlink_metadata(checkout.top.join(path.as_path()));
        known.is_plain() && seen.is_ok_and(|seen| seen.is_file() && known.looks_like(&seen))
    };
    if !dirs.iter().all(is_as_known) {
        return false;
    }
    let asked = || -> Result<bool, git2::Error> {
        let library = git2::Repository::open(&checkout.git_dir)?;
        library.set_workdir(&checkout.top, false)?;
        // The library would read all of it, for what is asked of files.
        library.set_index(&mut git2::Index::new()?)?;
        for path in files {
            for (name, plain) in
                [("filter", ""), ("ident", ""), ("working-tree-encoding", ""), ("crlf", ""), ("eol", "lf")]
            {
                let value = library.get_attr_bytes(path.as_path(), name, AttrCheckFlags::FILE_THEN_INDEX)?;
                let is_plain = match AttrValue::from_bytes(value) {
                    AttrValue::Unspecified | AttrValue::False => true,
                    AttrValue::String(value) => value == plain,
                    AttrValue::Bytes(_) | AttrValue::True => false,
                };
                if !is_plain {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    };
    asked().unwrap_or(false)
}

/// Directories of a checkout, reached without following a link.
pub(super) struct Dirs {
    top: OwnedFd,
    /// The last one: paths come in order.
    last: Option<(Vec<u8>, OwnedFd)>,
}

pub(super) const OPEN: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Dirs {
    pub(super) fn open(top: &Path) -> io::Result<Self> {
        Ok(Self { top: rustix::fs::open(top, OPEN, Mode::empty())?, last: None })
    }

    /// The directory of a file, and its name in it. What is missing is made.
    pub(super) fn of<'p>(&mut self, path: &'p Word) -> io::Result<(&OwnedFd, &'p [u8])> {
        let bytes = path.as_bytes();
        let Some(slash) = bytes.iter().rposition(|byte| *byte == b'/') else { return Ok((&self.top, bytes)) };
        let (dir, name) = (&bytes[..slash], &bytes[slash + 1..]);
        if self.last.as_ref().is_none_or(|(last, _)| last != dir) {
            let mut at = self.top.try_clone()?;
            for component in dir.split(|byte| *byte == b'/') {
                match rustix::fs::mkdirat(&at, component, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                at = rustix::fs::openat(&at, component, OPEN, Mode::empty())?;
            }
            self.last = Some((dir.to_vec(), at));
        }
        let dir = self.last.as_ref().map_or(&self.top, |(_, dir)| dir);
        Ok((dir, name))
    }

    /// What stands there is replaced only where it is the old file.
    fn write(&mut self, path: &Word, mode: u32, bytes: &[u8], is_replaced: bool) -> io::Result<Metadata> {
        let (dir, name) = self.of(path)?;
        match is_replaced.then(|| rustix::fs::unlinkat(dir, name, AtFlags::empty())) {
            None | Some(Ok(()) | Err(Errno::NOENT)) => {}
            Some(Err(error)) => return Err(error.into()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let rights = Mode::from_raw_mode(if mode == EXECUTABLE { 0o777 } else { 0o666 });
        let mut file = File::from(rustix::fs::openat(dir, name, flags, rights)?);
        file.write_all(bytes)?;
        file.metadata()
    }

    /// And the directories that are empty then.
    pub(super) fn remove(&mut self, path: &Word) -> io::Result<()> {
        let (dir, name) = match self.existing(path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        match rustix::fs::unlinkat(&dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let above: Vec<Word> = parents(path).collect();
        for dir in above.iter().rev() {
            let (dir, name) = self.existing(dir)?;
            // One that is not empty stays.
            if rustix::fs::unlinkat(&dir, name, AtFlags::REMOVEDIR).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// As [`Dirs::of`], but nothing is made.
    fn existing<'p>(&self, path: &'p Word) -> io::Result<(OwnedFd, &'p [u8])> {
        let mut at = self.top.try_clone()?;
        let mut components = path.as_bytes().split(|byte| *byte == b'/').peekable();
        while let Some(component) = components.next() {
            if components.peek().is_none() {
                return Ok((at, component));
            }
            at = rustix::fs::openat(&at, component, OPEN, Mode::empty())?;
        }
        Err(io::ErrorKind::InvalidInput.into())
    }
}
