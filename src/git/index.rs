//! The index of a checkout as a file, of which a few entries are exchanged and the others are not looked at.
//!
//! Git reads, checks and writes all of an index to change one line of it; on 50,000 files that and the look at each of them is
//! most of what a landing costs. The format is that of gitformat-index(5), versions 2 to 4 with SHA-1. What is not in
//! it as we know it (a split or sparse index, conflicts, a monitor of the file system, an untracked cache) is left to git.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::Stat;
use sha1::{Digest, Sha1};

use crate::core::word::Word;

const HEAD: usize = 12;
const HASH: usize = 20;
/// Of an entry, before its flags.
const FIXED: usize = 40 + HASH;
const LONGEST_NAME: usize = 0xfff;

const EXTENDED: u16 = 0x4000;
const STAGE: u16 = 0x3000;

/// Seconds and nanoseconds, as an index has them.
type Time = (u32, u32);

/// An index that was read.
#[derive(Debug)]
pub(super) struct Index {
    bytes: Vec<u8>,
    version: u32,
    entries: Vec<Place>,
    /// The names of all entries, one after the other.
    names: Vec<u8>,
    /// The cache of tree names.
    trees: Range<usize>,
    has_checksum: bool,
    /// The second in which it was written: files that are not older may have changed without a trace in their times, for
    /// git compares no smaller part of them.
    written: u32,
    seen: Seen,
}

/// By which a file is known again.
type Seen = (u64, i64, i64, u64);

fn seen(of: &Metadata) -> Seen {
    (of.ino(), of.mtime(), of.mtime_nsec(), of.size())
}

/// Where an entry is.
#[derive(Debug, Clone, Copy)]
struct Place {
    start: u32,
    /// Where its name begins in the file.
    fixed_end: u32,
    end: u32,
    name: (u32, u32),
}

/// What an index has of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    fixed: &'a [u8],
    flags: u16,
    written: u32,
}

/// What is to be in an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fresh {
    /// The name of the object.
    object: [u8; HASH],
    /// Of the file, as it was made; its mode as in a tree.
    stat: [u32; 10],
}

impl Index {
    /// Read it. `None` where only git understands it, or it is damaged.
    pub(super) fn read(file: &Path) -> Option<Self> {
        // Before the bytes: an index that is written meanwhile is a new file, and then this one is not the one that is there.
        let of = fs::symlink_metadata(file).ok().filter(Metadata::is_file)?;
        Some(Self { seen: seen(&of), ..Self::checked(fs::read(file).ok()?, of.mtime() as u32)? })
    }

    /// One of this content, as it was written in this second. `None` where only git understands it, or it is damaged.
    pub(super) fn of(bytes: Vec<u8>, written: u32) -> Option<Self> {
        Self::checked(bytes, written)
    }

    /// One that was made here a moment ago, so that nothing can have happened to it. `None` where only git understands it.
    pub(super) fn made(bytes: Vec<u8>) -> Option<Self> {
        Self::parse(bytes, 0)
    }

    /// One without a file.
    pub(super) fn empty() -> Self {
        let bytes = [&b"DIRC\0\0\0\x02\0\0\0\0"[..], &[0; HASH]].concat();
        Self { has_checksum: true, ..Self::made(bytes).expect("it is whole") }
    }

    /// Is the file still the one that was read?
    pub(super) fn is_still(&self, file: &Path) -> bool {
        fs::symlink_metadata(file).is_ok_and(|of| seen(&of) == self.seen)
    }

    fn checked(bytes: Vec<u8>, written: u32) -> Option<Self> {
        let index = Self::parse(bytes, written)?;
        let (content, checksum) = index.bytes.split_at(index.bytes.len() - HASH);
        (!index.has_checksum || Sha1::digest(content)[..] == *checksum).then_some(index)
    }

    fn parse(bytes: Vec<u8>, written: u32) -> Option<Self> {
        let end = bytes.len().checked_sub(HASH).filter(|end| *end >= HEAD)?;
        let has_checksum = bytes[end..] != [0; HASH];
        if !bytes.starts_with(b"DIRC") {
            return None;
        }
        let version = number(&bytes, 4)?;
        let count = number(&bytes, 8)? as usize;
        if !(2..=4).contains(&version) || u32::try_from(bytes.len()).is_err() {
            return None;
        }
        let mut index = Self {
            version,
            // An entry has more bytes than this: what is promised and cannot be there takes no memory.
            entries: Vec::with_capacity(count.min(bytes.len() / FIXED)),
            names: Vec::new(),
            trees: 0..0,
            has_checksum,
            written,
            seen: Seen::default(),
            bytes,
        };
        let mut at = HEAD;
        for _ in 0..count {
            at = index.entry(at, end)?;
        }
        while at < end {
            at = index.extension(at, end)?;
        }
        Some(index)
    }

    fn entry(&mut self, start: usize, end: usize) -> Option<usize> {
        let flags = u16::from_be_bytes(self.bytes.get(start + FIXED..start + FIXED + 2)?.try_into().ok()?);
        if flags & STAGE != 0 {
            return None;
        }
        let fixed_end = start + FIXED + if flags & EXTENDED == 0 { 2 } else { 4 };
        let before = self.entries.last().map_or((0, 0), |place| place.name);
        let name_start = self.names.len();
        let mut at = fixed_end;
        if self.version == 4 {
            let (strip, next) = variable(&self.bytes[..end], at)?;
            at = next;
            let kept = (before.1 - before.0).checked_sub(u32::try_from(strip).ok()?)?;
            self.names.extend_from_within(before.0 as usize..(before.0 + kept) as usize);
        }
        let length = self.bytes.get(at..end)?.iter().position(|byte| *byte == 0)?;
        self.names.extend_from_slice(&self.bytes[at..at + length]);
        let entry_end = if self.version == 4 { at + length + 1 } else { start + padded(fixed_end - start + length) };
        if entry_end > end || name_start == self.names.len() {
            return None;
        }
        let name = (name_start as u32, self.names.len() as u32);
        // In order, each once; else it is not one of git's.
        let is_first = self.entries.is_empty();
        if !is_first && self.names[before.0 as usize..before.1 as usize] >= self.names[name_start..] {
            return None;
        }
        self.entries.push(Place { start: start as u32, fixed_end: fixed_end as u32, end: entry_end as u32, name });
        Some(entry_end)
    }

    fn extension(&mut self, start: usize, end: usize) -> Option<usize> {
        let name = self.bytes.get(start..start + 4)?;
        let length = number(&self.bytes, start + 4)? as usize;
        let content = start + 8..(start + 8).checked_add(length).filter(|at| *at <= end)?;
        let next = content.end;
        match name {
            b"TREE" => self.trees = content,
            // Where to start reading, for several threads; what a conflict was before it was resolved. Git does without.
            b"EOIE" | b"IEOT" | b"REUC" => {}
            _ => return None,
        }
        Some(next)
    }

    fn name(&self, place: Place) -> &[u8] {
        &self.names[place.name.0 as usize..place.name.1 as usize]
    }

    /// Are all its entries ordinary ones?
    pub(super) fn is_plain(&self) -> bool {
        self.entries.iter().all(|place| self.known(*place).is_plain())
    }

    /// The files that it has.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The file at a place: files are in the order of their names.
    pub(super) fn at(&self, place: usize) -> (&[u8], Known<'_>) {
        (self.name(self.entries[place]), self.known(self.entries[place]))
    }

    /// The place of a file; where there is none, that where it would be.
    pub(super) fn search(&self, path: &[u8]) -> Result<usize, usize> {
        self.entries.binary_search_by(|place| self.name(*place).cmp(path))
    }

    /// What it has of this file.
    pub(super) fn get(&self, path: &Word) -> Option<Known<'_>> {
        Some(self.known(self.entries[self.search(path.as_bytes()).ok()?]))
    }

    fn known(&self, place: Place) -> Known<'_> {
        let fixed = &self.bytes[place.start as usize..place.fixed_end as usize];
        let flags = u16::from_be_bytes([fixed[FIXED], fixed[FIXED + 1]]);
        Known { fixed, flags, written: self.written }
    }

    /// All of it, as a file.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The cache of tree names.
    pub(super) fn trees(&self) -> &[u8] {
        &self.bytes[self.trees.clone()]
    }

    /// The files that it has below this directory.
    pub(super) fn below(&self, dir: &Word) -> impl Iterator<Item = Word> {
        let below = [dir.as_bytes(), b"/"].concat();
        let at = self.search(&below).unwrap_or_else(|at| at);
        let names = self.entries[at..].iter().map(|place| self.name(*place));
        names.take_while(move |name| name.starts_with(&below)).map(|name| Word::from(name.to_vec()))
    }

    /// The same with these entries exchanged (`None`: taken away), as a file.
    ///
    /// Files that may have changed in the instant in which this index was written have no size in the new one, as git
    /// does it: whoever looks at it next compares their contents.
    pub(super) fn with(&self, changes: &BTreeMap<&Word, Option<Fresh>>) -> Vec<u8> {
        self.with_trees(changes, &self.trees_after(changes))
    }

    /// As [`Index::with`], with this cache of tree names.
    pub(super) fn with_trees(&self, changes: &BTreeMap<&Word, Option<Fresh>>, trees: &[u8]) -> Vec<u8> {
        let mut new = Writer {
            bytes: Vec::with_capacity(self.bytes.len() + 4096),
            version: self.version,
            count: 0,
            before: Vec::new(),
        };
        new.bytes.extend_from_slice(&self.bytes[..HEAD]);
        let mut changed = changes.iter().peekable();
        for place in &self.entries {
            let name = self.name(*place);
            let mut is_gone = false;
            while let Some((path, fresh)) = changed.next_if(|(path, _)| path.as_bytes() <= name) {
                is_gone |= path.as_bytes() == name;
                if let Some(fresh) = fresh {
                    new.entry(&fresh.fixed(path.as_bytes()), path.as_bytes());
                }
            }
            if !is_gone {
                self.copy(*place, &mut new);
            }
        }
        for (path, fresh) in changed {
            if let Some(fresh) = fresh {
                new.entry(&fresh.fixed(path.as_bytes()), path.as_bytes());
            }
        }
        let count = new.count;
        new.bytes[8..HEAD].copy_from_slice(&count.to_be_bytes());
        if !trees.is_empty() {
            new.bytes.extend_from_slice(b"TREE");
            new.bytes.extend_from_slice(&(trees.len() as u32).to_be_bytes());
            new.bytes.extend_from_slice(trees);
        }
        let hash = if self.has_checksum { Sha1::digest(&new.bytes).into() } else { [0; HASH] };
        new.bytes.extend_from_slice(&hash);
        new.bytes
    }

    fn copy(&self, place: Place, new: &mut Writer) {
        let fixed = &self.bytes[place.start as usize..place.fixed_end as usize];
        let known = Known { fixed, flags: 0, written: self.written };
        let at = new.bytes.len();
        if self.version == 4 {
            new.entry(fixed, self.name(place));
        } else {
            new.bytes.extend_from_slice(&self.bytes[place.start as usize..place.end as usize]);
            new.count += 1;
        }
        if known.may_have_changed_unseen() {
            new.bytes[at + 36..at + 40].fill(0);
        }
    }

    /// The names of trees are kept where nothing has changed below. A cache that is not understood is left out.
    fn trees_after(&self, changes: &BTreeMap<&Word, Option<Fresh>>) -> Vec<u8> {
        let mut dirs = std::collections::BTreeSet::from([&b""[..]]);
        for path in changes.keys().map(|path| path.as_bytes()) {
            dirs.extend(path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[..at]));
            // A file where a directory was.
            dirs.insert(path);
        }
        let mut trees = Vec::with_capacity(self.trees.len());
        let mut rest = self.trees();
        let is_whole = !rest.is_empty() && copy_tree(&mut rest, &[], &dirs, &mut trees).is_some() && rest.is_empty();
        if is_whole { trees } else { Vec::new() }
    }
}

/// One directory of the cache of tree names, with all below it.
fn copy_tree(
    rest: &mut &[u8],
    above: &[u8],
    changed: &std::collections::BTreeSet<&[u8]>,
    to: &mut Vec<u8>,
) -> Option<()> {
    let name = until(rest, 0)?;
    let count: i64 = std::str::from_utf8(until(rest, b' ')?).ok()?.parse().ok()?;
    let below: u32 = std::str::from_utf8(until(rest, b'\n')?).ok()?.parse().ok()?;
    let object = if count >= 0 { rest.split_off(..HASH)? } else { &[] };
    let path = if above.is_empty() { name.to_vec() } else { [above, name].join(&b'/') };
    let is_changed = changed.contains(&path[..]);
    to.extend_from_slice(name);
    to.push(0);
    let count = if is_changed { -1 } else { count };
    to.extend_from_slice(format!("{count} {below}\n").as_bytes());
    to.extend_from_slice(if is_changed { &[] } else { object });
    for _ in 0..below {
        copy_tree(rest, &path, changed, to)?;
    }
    Some(())
}

pub(super) fn until<'a>(rest: &mut &'a [u8], end: u8) -> Option<&'a [u8]> {
    let at = rest.iter().position(|byte| *byte == end)?;
    let word = &rest[..at];
    *rest = &rest[at + 1..];
    Some(word)
}

struct Writer {
    bytes: Vec<u8>,
    version: u32,
    count: u32,
    /// The name before, for version 4.
    before: Vec<u8>,
}

impl Writer {
    fn entry(&mut self, fixed: &[u8], name: &[u8]) {
        self.count += 1;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(fixed);
        if self.version == 4 {
            let common = self.before.iter().zip(name).take_while(|(one, other)| one == other).count();
            write_variable(self.before.len() - common, &mut self.bytes);
            self.bytes.extend_from_slice(&name[common..]);
            self.bytes.push(0);
            self.before.clear();
            self.before.extend_from_slice(name);
        } else {
            self.bytes.extend_from_slice(name);
            self.bytes.resize(start + padded(fixed.len() + name.len()), 0);
        }
    }
}

impl Known<'_> {
    fn word(&self, at: usize) -> u32 {
        number(self.fixed, at * 4).unwrap_or_default()
    }

    pub(super) fn mode(&self) -> u32 {
        self.word(6)
    }

    pub(super) fn object(&self) -> &[u8] {
        &self.fixed[40..FIXED]
    }

    /// Is it an ordinary one: not "assume unchanged", "skip the work tree" or "intent to add"?
    pub(super) fn is_plain(&self) -> bool {
        self.flags & !(LONGEST_NAME as u16) == 0
    }

    /// Is the file of that moment not older than the index itself? Then its times tell nothing.
    pub(super) fn may_have_changed_unseen(&self) -> bool {
        const GITLINK: u32 = 0o160_000;
        self.mode() != GITLINK && self.word(2) >= self.written
    }

    /// Is it the file that was seen? Of one that may have changed unseen, an index may not know the size.
    pub(super) fn is_as(&self, seen: &Fresh) -> bool {
        let size = self.word(9);
        [0, 1, 2, 3, 5, 7, 8].iter().all(|at| self.word(*at) == seen.stat[*at]) && (size == 0 || size == seen.stat[9])
    }

    pub(super) fn has_size_of(&self, seen: &Fresh) -> bool {
        self.word(9) == seen.stat[9]
    }

    /// Does the file look as it did?
    pub(super) fn looks_like(&self, seen: &Metadata) -> bool {
        let times = [time(seen.ctime(), seen.ctime_nsec()), time(seen.mtime(), seen.mtime_nsec())];
        [(self.word(0), self.word(1)), (self.word(2), self.word(3))] == times
            && self.word(5) == seen.ino() as u32
            && self.word(9) == seen.size() as u32
            && [self.word(7), self.word(8)] == [seen.uid(), seen.gid()]
    }
}

impl Fresh {
    /// Of a file that was just made.
    pub(super) fn new(mode: u32, object: [u8; HASH], seen: &Metadata) -> Self {
        let (changed, modified) = (time(seen.ctime(), seen.ctime_nsec()), time(seen.mtime(), seen.mtime_nsec()));
        let low = |number: u64| number as u32;
        let [device, inode, size] = [seen.dev(), seen.ino(), seen.size()].map(low);
        let (uid, gid) = (seen.uid(), seen.gid());
        let stat = [changed.0, changed.1, modified.0, modified.1, device, inode, mode, uid, gid, size];
        Self { object, stat }
    }

    /// Of a file that was looked at.
    pub(super) fn of(mode: u32, object: &[u8], seen: &Stat) -> Self {
        let changed = (seen.st_ctime as u32, seen.st_ctime_nsec as u32);
        let modified = (seen.st_mtime as u32, seen.st_mtime_nsec as u32);
        let [device, inode, size] = [seen.st_dev as u32, seen.st_ino as u32, seen.st_size as u32];
        let (uid, gid) = (seen.st_uid, seen.st_gid);
        let stat = [changed.0, changed.1, modified.0, modified.1, device, inode, mode, uid, gid, size];
        let mut name = [0; HASH];
        let length = object.len().min(HASH);
        name[..length].copy_from_slice(&object[..length]);
        Self { object: name, stat }
    }

    fn fixed(&self, name: &[u8]) -> Vec<u8> {
        let mut fixed: Vec<u8> = self.stat.iter().flat_map(|word| word.to_be_bytes()).collect();
        fixed.extend_from_slice(&self.object);
        fixed.extend_from_slice(&(name.len().min(LONGEST_NAME) as u16).to_be_bytes());
        fixed
    }
}

/// At least one zero, up to a multiple of eight.
fn padded(length: usize) -> usize {
    (length + 8) & !7
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn time(seconds: i64, nanoseconds: i64) -> Time {
    (seconds as u32, nanoseconds as u32)
}

/// The variable-width number of gitformat-pack(5), as offsets have it.
fn variable(bytes: &[u8], mut at: usize) -> Option<(usize, usize)> {
    let mut value = 0_usize;
    loop {
        let byte = *bytes.get(at)?;
        at += 1;
        value = value.checked_shl(7).filter(|_| value < 1 << 24)? | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, at));
        }
        value += 1;
    }
}

fn write_variable(mut value: usize, to: &mut Vec<u8>) {
    let mut digits = vec![(value & 0x7f) as u8];
    while value > 0x7f {
        value = (value >> 7) - 1;
        digits.push(0x80 | (value & 0x7f) as u8);
    }
    to.extend(digits.iter().rev());
}

#[cfg(test)]
mod tests;
