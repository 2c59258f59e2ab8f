//! `delegate_diff` and `delegate_logs`: long things in pages, so that who asks keeps room for thoughts.

use std::hash::{DefaultHasher, Hasher as _};

use serde_json::{Value, json};

use super::answer::Answer;
use super::args::{self, Form, Stream};
use super::{Call, look};
use crate::core::id::{AttemptId, TaskHandle, TaskId};
use crate::core::report::FileLine;
use crate::core::word::{Word, shown};
use crate::ops::events::Events;
use crate::ops::logs::{self, Log, Piece};
use crate::ops::{self, Error, ErrorKind, Session, diff as diff_op};

/// Bytes of a page.
const PAGE: usize = 8000;
const LARGEST: usize = 40_000;
const SMALLEST: usize = 200;
/// Lines of a log, where nobody says.
const TAIL: usize = 40;
/// Files of a page of figures, and events of a page.
const ROWS: usize = 100;
const EVENTS: usize = 40;
/// Lines of context in a patch.
const CONTEXT: usize = 3;

fn size(said: Option<usize>) -> usize {
    said.unwrap_or(PAGE).clamp(SMALLEST, LARGEST)
}

fn stale() -> Error {
    let message = "the cursor does not fit: what it goes on with has changed, or belongs to another call";
    Error::new(ErrorKind::Usage, message, "start again without a cursor")
}

pub(super) fn diff(call: &Call, arguments: Value) -> Result<Answer, Error> {
    let args: args::Diff = args::read("delegate_diff", arguments)?;
    let session = call.session()?;
    let handle = args.task_id.parse()?;
    let difference = diff_op::of(&session, &handle, None)?;
    let paths: Vec<Word> = args.paths.iter().flatten().map(|path| Word::from(path.as_str())).collect();
    match args.mode.unwrap_or(Form::Stat) {
        Form::Stat => stat(&difference.lines(&paths)?, args.cursor.as_deref()),
        Form::Patch => patch(&difference.patch(&paths, CONTEXT)?, args.cursor.as_deref(), size(args.max_bytes)),
    }
}

fn stat(files: &[FileLine], cursor: Option<&str>) -> Result<Answer, Error> {
    let mark = mark(format!("{files:?}").as_bytes());
    let from = place(cursor, mark, files.len())?;
    let to = (from + ROWS).min(files.len());
    let (insertions, deletions) = files.iter().fold((0, 0), |(i, d), file| (i + file.insertions, d + file.deletions));
    let mut text = vec![format!("files changed: {}, +{insertions} -{deletions}", files.len())];
    let line = |file: &FileLine| {
        let old = file.old_path.as_ref().map(|old| format!(" from {}", old.shown())).unwrap_or_default();
        let change = serde_json::to_value(file.change).unwrap_or_default();
        let change = change.as_str().unwrap_or_default();
        format!("{change} {}{old} +{} -{}", file.path.shown(), file.insertions, file.deletions)
    };
    text.extend(files[from..to].iter().map(line));
    let next = (to < files.len()).then(|| said(to, mark));
    let value = json!({
        "files_changed": files.len(), "insertions": insertions, "deletions": deletions,
        "files": &files[from..to], "truncated": next.is_some(), "next_cursor": next,
    });
    Ok(Answer::new(with_next(text.join("\n"), next.as_deref()), value))
}

fn patch(patch: &[u8], cursor: Option<&str>, size: usize) -> Result<Answer, Error> {
    let mark = mark(patch);
    let from = place(cursor, mark, patch.len())?;
    let to = from + cut(&patch[from..], size);
    let text = String::from_utf8_lossy(&patch[from..to]).into_owned();
    let next = (to < patch.len()).then(|| said(to, mark));
    let value = json!({
        "patch": text, "bytes_in_all": patch.len(), "truncated": next.is_some(), "next_cursor": next,
    });
    let text = if patch.is_empty() { "nothing differs".to_owned() } else { text };
    Ok(Answer::new(with_next(text, next.as_deref()), value))
}

fn with_next(text: String, next: Option<&str>) -> String {
    match next {
        Some(next) => format!("{}\n[cut here; go on with cursor {next}]", text.trim_end_matches('\n')),
        None => text,
    }
}

/// What a cursor remembers of the whole, so that pages of two things are never mixed.
fn mark(bytes: &[u8]) -> u32 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish() as u32
}

fn said(place: usize, mark: u32) -> String {
    format!("{place}-{mark:08x}")
}

fn place(cursor: Option<&str>, mark: u32, length: usize) -> Result<usize, Error> {
    let Some(cursor) = cursor else { return Ok(0) };
    let parts = cursor.split_once('-').filter(|(_, known)| *known == format!("{mark:08x}"));
    parts.and_then(|(place, _)| place.parse().ok()).filter(|place| *place < length).ok_or_else(stale)
}

/// Where a page of at most `size` bytes ends: behind a line, else behind a character.
fn cut(bytes: &[u8], size: usize) -> usize {
    if bytes.len() <= size {
        return bytes.len();
    }
    if let Some(end) = bytes[..size].iter().rposition(|byte| *byte == b'\n') {
        return end + 1;
    }
    // Not in the middle of a character, where these are characters.
    (size.saturating_sub(3)..=size).rev().find(|end| bytes[*end] & 0xc0 != 0x80).unwrap_or(size)
}

pub(super) fn logs(call: &Call, arguments: Value) -> Result<Answer, Error> {
    let args: args::Logs = args::read("delegate_logs", arguments)?;
    if args.tail.is_some() && args.cursor.is_some() {
        return Err(args::usage("tail", &"not together with cursor"));
    }
    let mut session = call.session()?;
    let handle = args.task_id.parse()?;
    match args.stream.unwrap_or(Stream::Log) {
        Stream::Log => log(&session, &handle, &args),
        Stream::Events => events(&mut session, &handle, &args),
    }
}

/// The cursor of a log is its attempt and an offset, which stays true while the log grows.
fn log(session: &Session, handle: &TaskHandle, args: &args::Logs) -> Result<Answer, Error> {
    let size = size(args.max_bytes);
    let mut log = match &args.cursor {
        None => logs::open(session, handle, None, Some(args.tail.unwrap_or(TAIL)))?,
        Some(cursor) => {
            let parts = cursor.split_once(':');
            let parts = parts.and_then(|(attempt, at)| Some((attempt.parse::<AttemptId>().ok()?, at.parse().ok()?)));
            let (attempt, offset) = parts.ok_or_else(stale)?;
            let mut log = logs::open(session, handle, Some(attempt.number), None)?;
            if log.attempt != attempt {
                return Err(stale());
            }
            log.go_to(offset);
            log
        }
    };
    let page = read(&mut log, size, args.cursor.is_none())?;
    let is_over = logs::is_over(session, log.attempt)?;
    let cursor = format!("{}:{}", log.attempt, page.next);
    let ends = page.is_end && is_over;
    let mut text = page.text.clone();
    if page.skipped > 0 {
        text = format!("[{} bytes before this]\n{text}", page.skipped);
    }
    if !ends {
        let why = if page.is_end { "it still runs; read on later" } else { "cut here; go on" };
        text = format!("{}\n[{why} with cursor {cursor}]", text.trim_end_matches('\n'));
    }
    let value = json!({
        "attempt": log.attempt, "text": page.text, "dropped_bytes": page.dropped, "skipped_bytes": page.skipped,
        "truncated": !page.is_end, "ended": is_over, "next_cursor": (!ends).then_some(cursor),
    });
    Ok(Answer::new(if text.is_empty() { "it wrote nothing".to_owned() } else { text }, value))
}

/// A page of a log.
struct Page {
    text: String,
    /// The offset of the next page.
    next: u64,
    /// Bytes that were written here and not kept.
    dropped: u64,
    /// Bytes of the wanted lines that are not here, because they are too many.
    skipped: usize,
    is_end: bool,
}

/// The first `size` bytes of what there is, or the last.
fn read(log: &mut Log, size: usize, last: bool) -> Result<Page, Error> {
    let (mut bytes, mut dropped, mut skipped) = (Vec::new(), 0, 0);
    let mut next = log.offset();
    let mut is_end = true;
    while let Some(piece) = log.piece()? {
        match piece {
            Piece::Dropped(count) => {
                if !last && !bytes.is_empty() {
                    is_end = false;
                    break;
                }
                dropped += count;
            }
            Piece::Bytes(more) if last => bytes.extend(more),
            Piece::Bytes(more) => {
                let room = size - bytes.len();
                bytes.extend_from_slice(&more[..cut(&more, room)]);
                if more.len() > room {
                    next = log.offset() - (more.len() - cut(&more, room)) as u64;
                    is_end = false;
                    break;
                }
            }
        }
        next = log.offset();
        if last && bytes.len() > size {
            let from = bytes.len() - size;
            let line = bytes[from..].iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            let from = from + if line < size { line } else { 0 };
            skipped += from;
            bytes.drain(..from);
        }
        if !last && bytes.len() >= size {
            is_end = false;
            break;
        }
    }
    Ok(Page { text: plain(&bytes), next, dropped, skipped, is_end })
}

/// Without what only moves or colours on a terminal: it costs room and says nothing.
fn plain(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return String::new();
    }
    let text = String::from_utf8_lossy(bytes);
    let text = console::strip_ansi_codes(&text).replace("\r\n", "\n");
    // Of a line that was written over again and again, the last state counts.
    let line = |line: &str| shown(line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default());
    let mut lines: Vec<String> = text.split('\n').map(line).collect();
    let ends = lines.last().is_some_and(String::is_empty);
    if ends {
        lines.pop();
    }
    lines.join("\n") + if ends { "\n" } else { "" }
}

fn events(session: &mut Session, handle: &TaskHandle, args: &args::Logs) -> Result<Answer, Error> {
    let id: TaskId = ops::find(&session.state()?, std::slice::from_ref(handle))?[0].id;
    let from: u64 = args.cursor.as_deref().map_or(Ok(1), str::parse).map_err(|_| stale())?;
    let mut all = Vec::new();
    for line in Events::from(from.max(1)).take(session)?.into_iter().filter(|line| line.record.event.task() == Some(id))
    {
        let mut value = serde_json::to_value(&line).unwrap_or_default();
        // What was asked can be long, and is known to who asked.
        if let Some(map) = value.as_object_mut() {
            map.remove("spec");
        }
        all.push((line.n, value));
    }
    let skipped = match (&args.cursor, args.tail) {
        (None, tail) => all.len().saturating_sub(tail.unwrap_or(EVENTS).min(EVENTS)),
        (Some(_), _) => 0,
    };
    let page: Vec<(u64, Value)> = all.drain(..).skip(skipped).take(EVENTS).collect();
    let next = page.last().map_or(from, |(n, _)| n + 1).to_string();
    let text: Vec<String> = page.iter().map(|(_, value)| value.to_string()).collect();
    let mut text = if text.is_empty() { "nothing new".to_owned() } else { text.join("\n") };
    if look::is_open(session, id)? {
        text += &format!("\n[read on later with cursor {next}]");
    }
    let events: Vec<Value> = page.into_iter().map(|(_, value)| value).collect();
    Ok(Answer::new(text, json!({ "events": events, "skipped": skipped, "next_cursor": next })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_put_together_are_the_whole() {
        let whole: String = (0..900).map(|n| format!("line {n} äöü\n")).collect();
        let (mut cursor, mut seen, mut pages) = (None, String::new(), 0);
        loop {
            let answer = patch(whole.as_bytes(), cursor.as_deref(), 1000).unwrap();
            let page = answer.value["patch"].as_str().unwrap();
            assert!(page.len() <= 1000 && page.ends_with('\n'));
            seen += page;
            pages += 1;
            match answer.value["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => break,
            }
        }
        assert!(seen == whole && pages > 10);
    }

    #[test]
    fn a_cursor_of_something_else_is_refused() {
        let next = patch(&[b'x'; 500], None, 200).unwrap().value["next_cursor"].as_str().unwrap().to_owned();
        assert!(patch(&[b'x'; 500], Some(&next), 200).is_ok());
        for (bytes, cursor) in [(&[b'y'; 500][..], next.as_str()), (&[b'x'; 500], "12"), (&[b'x'; 500], "-1")] {
            assert_eq!(patch(bytes, Some(cursor), 200).unwrap_err().kind, ErrorKind::Usage);
        }
    }

    #[test]
    fn a_long_line_is_not_cut_within_a_character() {
        let text = "ä".repeat(200);
        let end = cut(text.as_bytes(), 201);
        assert!(end == 200 && text.is_char_boundary(end));
        assert_eq!(cut(b"ab\ncd", 4), 3);
    }

    #[test]
    fn a_terminals_noise_is_left_out() {
        assert_eq!(plain(b"\x1b[31mred\x1b[0m\r\n10%\r20%\r100%\ndone\n"), "red\n100%\ndone\n");
        assert_eq!(plain(b""), "");
    }
}
