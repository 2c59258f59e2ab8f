//! The output of an attempt: a directory of chunks, each named by the offset of its first byte.
//!
//! The first chunk is the head. When it is full, chunks of the tail follow, and the oldest of them goes when there are
//! too many. So both ends are kept within the cap, a reader finds any offset by a look at the names, a gap between two
//! chunks is exactly what was dropped, and a reader that stalls never blocks the writer.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::process::beneath;

/// Chunks that the tail is made of.
const TAIL_CHUNKS: usize = 4;

/// The writing end.
#[derive(Debug)]
pub struct Writer {
    dir: PathBuf,
    head: u64,
    chunk: u64,
    file: File,
    room: u64,
    written: u64,
    dropped: u64,
    tail: VecDeque<(u64, u64)>,
}

impl Writer {
    /// Start a log that keeps at most about `cap` bytes.
    ///
    /// # Errors
    /// Where the directory cannot be made.
    pub fn create(dir: &Path, cap: u64) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let head = (cap / 2).max(1);
        let chunk = (cap / 2 / TAIL_CHUNKS as u64).max(1);
        let file = open_chunk(dir, 0)?;
        Ok(Self { dir: dir.to_owned(), head, chunk, file, room: head, written: 0, dropped: 0, tail: VecDeque::new() })
    }

    /// Add output.
    ///
    /// # Errors
    /// Where the disk refuses; the bytes are then counted as dropped, and writing may go on.
    pub fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.room == 0 {
                self.turn()?;
            }
            let part = bytes.len().min(usize::try_from(self.room).unwrap_or(usize::MAX));
            let (now, later) = bytes.split_at(part);
            if let Err(error) = self.file.write_all(now) {
                self.dropped += bytes.len() as u64;
                return Err(error);
            }
            self.written += part as u64;
            self.room -= part as u64;
            if let Some((_, length)) = self.tail.back_mut() {
                *length += part as u64;
            }
            bytes = later;
        }
        Ok(())
    }

    fn turn(&mut self) -> io::Result<()> {
        self.file = open_chunk(&self.dir, self.written)?;
        self.room = self.chunk;
        self.tail.push_back((self.written, 0));
        if self.tail.len() > TAIL_CHUNKS
            && let Some((start, length)) = self.tail.pop_front()
        {
            fs::remove_file(self.dir.join(chunk_name(start)))?;
            self.dropped += length;
        }
        Ok(())
    }

    /// Bytes written, and bytes of these that are not kept.
    pub fn counts(&self) -> (u64, u64) {
        (self.written, self.dropped)
    }

    /// The bytes that the head may take.
    pub fn head(&self) -> u64 {
        self.head
    }
}

fn chunk_name(start: u64) -> String {
    format!("{start:016}")
}

fn open_chunk(dir: &Path, start: u64) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(dir.join(chunk_name(start)))
}

/// A piece of a log.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Output.
    Bytes(Vec<u8>),
    /// So many bytes were written here and not kept.
    Dropped(u64),
}

/// The reading end: remembers how far it is.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    offset: u64,
}

impl Reader {
    /// From the beginning.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), offset: 0 }
    }

    /// From this byte on.
    pub fn at(dir: &Path, offset: u64) -> Self {
        Self { dir: dir.to_owned(), offset }
    }

    /// How far it is: the offset of the next byte.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// From the beginning of the last `lines` lines that are there now.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub fn at_tail(dir: &Path, lines: usize) -> io::Result<Self> {
        let mut wanted = lines;
        let mut reader = Self::new(dir);
        let mut at_end = true;
        for (start, path) in chunks(dir)?.into_iter().rev() {
            let mut bytes = Vec::new();
            open(&path)?.read_to_end(&mut bytes)?;
            for (index, byte) in bytes.iter().enumerate().rev() {
                // The newline that ends the log ends its last line; it does not begin another.
                if *byte == b'\n' && !std::mem::take(&mut at_end) {
                    if wanted <= 1 {
                        reader.offset = start + index as u64 + 1;
                        return Ok(reader);
                    }
                    wanted -= 1;
                }
                at_end = false;
            }
        }
        if lines == 0 {
            reader.offset = end(dir)?;
        }
        Ok(reader)
    }

    /// What has been added since the last call, at most about a megabyte; `None` where there is nothing new.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub fn read(&mut self) -> io::Result<Option<Piece>> {
        const AT_ONCE: u64 = 1 << 20;
        let list = chunks(&self.dir)?;
        let holding = list.iter().rev().find(|(start, _)| *start <= self.offset);
        if let Some((start, path)) = holding {
            let mut bytes = Vec::new();
            match open(path) {
                Ok(mut file) => {
                    file.seek(SeekFrom::Start(self.offset - start))?;
                    file.take(AT_ONCE).read_to_end(&mut bytes)?;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            if !bytes.is_empty() {
                self.offset += bytes.len() as u64;
                return Ok(Some(Piece::Bytes(bytes)));
            }
        }
        // At the end of what this chunk holds: a later chunk that starts further on tells of a gap.
        match list.iter().map(|(start, _)| *start).find(|start| *start > self.offset) {
            Some(start) => {
                let dropped = start - self.offset;
                self.offset = start;
                Ok(Some(Piece::Dropped(dropped)))
            }
            None => Ok(None),
        }
    }
}

/// The last line that says something, at most `limit` bytes of it.
///
/// # Errors
/// Where the log cannot be read.
pub fn last_line(dir: &Path, limit: usize) -> io::Result<Option<String>> {
    let Some((_, path)) = chunks(dir)?.pop() else { return Ok(None) };
    let mut file = open(&path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(4096)))?;
    let mut bytes = Vec::new();
    file.take(4096).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let mut lines = text.split(['\n', '\r']).map(str::trim).rev();
    let line = lines.find(|line| !line.is_empty());
    Ok(line.map(|line| line.chars().take(limit).collect()))
}

/// Bytes written, and bytes of these that are not kept, as the chunks tell.
///
/// # Errors
/// Where the log cannot be read.
pub fn counts(dir: &Path) -> io::Result<(u64, u64)> {
    let (mut written, mut dropped) = (0, 0);
    for (start, path) in chunks(dir)? {
        dropped += start.saturating_sub(written);
        written = start + fs::metadata(path)?.len();
    }
    Ok((written, dropped))
}

/// A chunk by its path: neither it nor the directory of the log may be a link.
fn open(chunk: &Path) -> io::Result<File> {
    let above = chunk.ancestors().nth(2).unwrap_or(chunk);
    beneath::open(above, chunk.strip_prefix(above).unwrap_or(chunk))
}

fn end(dir: &Path) -> io::Result<u64> {
    match chunks(dir)?.pop() {
        Some((start, path)) => Ok(start + fs::metadata(path)?.len()),
        None => Ok(0),
    }
}

fn chunks(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let named = entries.flatten().filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())));
    let mut list: Vec<(u64, PathBuf)> = named.collect();
    list.sort();
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(reader: &mut Reader) -> (Vec<u8>, u64) {
        let (mut bytes, mut dropped) = (Vec::new(), 0);
        while let Some(piece) = reader.read().unwrap() {
            match piece {
                Piece::Bytes(more) => bytes.extend(more),
                Piece::Dropped(count) => dropped += count,
            }
        }
        (bytes, dropped)
    }

    #[test]
    fn head_and_tail_are_kept_and_the_rest_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(dir.path(), 800).unwrap();
        let lines: Vec<String> = (0..500).map(|n| format!("line {n:04}\n")).collect();
        lines.iter().for_each(|line| writer.write(line.as_bytes()).unwrap());
        let whole = lines.concat().into_bytes();
        let (bytes, dropped) = read_all(&mut Reader::new(dir.path()));
        assert_eq!(writer.counts(), (whole.len() as u64, dropped));
        assert_eq!(counts(dir.path()).unwrap(), writer.counts());
        assert_eq!(bytes.len() as u64 + dropped, whole.len() as u64);
        assert!(bytes.len() <= 800 && whole.starts_with(&bytes[..400]) && whole.ends_with(&bytes[400..]));
        assert_eq!(last_line(dir.path(), 100).unwrap().as_deref(), Some("line 0499"));
        let (tail, _) = read_all(&mut Reader::at_tail(dir.path(), 3).unwrap());
        assert_eq!(tail, b"line 0497\nline 0498\nline 0499\n");
    }

    #[test]
    fn a_reader_follows() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(dir.path(), 1000).unwrap();
        let mut reader = Reader::at_tail(dir.path(), 0).unwrap();
        assert_eq!(reader.read().unwrap(), None);
        writer.write(b"one").unwrap();
        assert_eq!(reader.read().unwrap(), Some(Piece::Bytes(b"one".to_vec())));
        assert_eq!(reader.read().unwrap(), None);
    }

    #[test]
    fn no_log_is_an_empty_log() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("none");
        assert_eq!(last_line(&missing, 9).unwrap(), None);
        assert_eq!(read_all(&mut Reader::at_tail(&missing, 5).unwrap()), (Vec::new(), 0));
    }
}
