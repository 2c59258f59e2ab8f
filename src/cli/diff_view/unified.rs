//! The unified difference.

use std::io::{self, Write};
use std::ops::Range;
use std::time::Duration;

use similar::{DiffOp, DiffTag, TextDiff};

use super::{FileDiff, Side, quoted};
use crate::config::units::Bytes;
use crate::core::marks::{self, Marks};
use crate::core::report::Readable;
use crate::core::word::is_hostile;

/// How a difference is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Lines around each change.
    pub context: usize,
    /// With git's colours.
    pub color: bool,
    /// With the words marked that changed (only with colour).
    pub words: bool,
    /// With what could act on a terminal escaped. Not for a patch.
    pub escape: bool,
}

impl Options {
    /// A patch: every byte as it is.
    pub fn patch() -> Self {
        Self { context: 3, color: false, words: false, escape: false }
    }
}

/// The bits of a mode that say what kind of thing it is.
const KIND: u32 = 0o170_000;
/// How long the lines of one file may be compared before the answer gets coarser.
const PATIENCE: Duration = Duration::from_secs(2);

const META: &str = "\x1b[1m";
const HUNK: &str = "\x1b[36m";
const OLD: &str = "\x1b[31m";
const NEW: &str = "\x1b[32m";
const MARK: &str = "\x1b[7m";
const UNMARK: &str = "\x1b[27m";
const RESET: &str = "\x1b[m";

/// Draw the differences of all files.
///
/// # Errors
/// Where `out` cannot be written to.
pub fn unified(out: &mut dyn Write, files: &[FileDiff], options: Options) -> io::Result<()> {
    files.iter().try_for_each(|file| match (&file.old, &file.new) {
        // A file that became a link (or the other way round) is one that went and one that came.
        (Some(old), Some(new)) if old.mode & KIND != new.mode & KIND => {
            draw(out, &FileDiff { new: None, ..file.clone() }, options)?;
            draw(out, &FileDiff { old: None, ..file.clone() }, options)
        }
        _ => draw(out, file, options),
    })
}

/// Lines added and removed.
pub(super) fn counts(file: &FileDiff) -> (u64, u64) {
    let (old, new) = (lines(file.old.as_ref()), lines(file.new.as_ref()));
    let diff = compare(&old, &new);
    diff.ops().iter().filter(|op| op.tag() != DiffTag::Equal).fold((0, 0), |(added, removed), op| {
        (added + op.new_range().len() as u64, removed + op.old_range().len() as u64)
    })
}

/// Lines as git has them: up to and with the line feed; a carriage return alone ends nothing.
fn lines(side: Option<&Side>) -> Vec<&[u8]> {
    content(side).split_inclusive(|byte| *byte == b'\n').collect()
}

fn content(side: Option<&Side>) -> &[u8] {
    side.map_or(&[], |side| &side.bytes)
}

fn compare<'a>(old: &[&'a [u8]], new: &[&'a [u8]]) -> TextDiff<'a, 'a, [u8]> {
    TextDiff::configure().timeout(PATIENCE).diff_slices(old, new)
}

fn draw(out: &mut dyn Write, file: &FileDiff, options: Options) -> io::Result<()> {
    header(out, file, options)?;
    let (from, to) = (name(b"a/", file.old.as_ref()), name(b"b/", file.new.as_ref()));
    let size = |side: Option<&Side>| Bytes(side.map_or(0, |side| side.size as u64));
    let sizes = match options.escape {
        true => format!(" ({} -> {})", size(file.old.as_ref()), size(file.new.as_ref())),
        // A program may read it: then it is as git says it.
        false => String::new(),
    };
    match file.readable {
        Readable::Binary => return meta(out, &format!("Binary files {from} and {to} differ{sizes}"), options),
        Readable::Large => {
            return meta(out, &format!("Files {from} and {to} differ{sizes}, too large to be shown here"), options);
        }
        Readable::Text if content(file.old.as_ref()) == content(file.new.as_ref()) => return Ok(()),
        Readable::Text => {}
    }
    // As git does, so that a name with a blank at its end is still told from what follows.
    let end = |name: &str| if name.contains(' ') { "\t" } else { "" };
    meta(out, &format!("--- {from}{}", end(&from)), options)?;
    meta(out, &format!("+++ {to}{}", end(&to)), options)?;
    let view = View { old: lines(file.old.as_ref()), new: lines(file.new.as_ref()), options };
    let diff = compare(&view.old, &view.new);
    let mut heading = Heading::default();
    for group in diff.grouped_ops(options.context) {
        view.hunk(out, &group, &mut heading)?;
    }
    Ok(())
}

fn header(out: &mut dyn Write, file: &FileDiff, options: Options) -> io::Result<()> {
    let either = |first: &Option<Side>, second: &Option<Side>, prefix: &[u8]| {
        let side = first.as_ref().or(second.as_ref());
        quoted(&[prefix, side.map_or(&[][..], |side| side.path.as_bytes())].concat())
    };
    let from = either(&file.old, &file.new, b"a/");
    let to = either(&file.new, &file.old, b"b/");
    meta(out, &format!("diff --git {from} {to}"), options)?;
    match (&file.old, &file.new) {
        (None, Some(new)) => meta(out, &format!("new file mode {:06o}", new.mode), options),
        (Some(old), None) => meta(out, &format!("deleted file mode {:06o}", old.mode), options),
        (Some(old), Some(new)) => {
            if old.mode != new.mode {
                meta(out, &format!("old mode {:06o}", old.mode), options)?;
                meta(out, &format!("new mode {:06o}", new.mode), options)?;
            }
            if old.path != new.path {
                meta(out, &format!("rename from {}", quoted(old.path.as_bytes())), options)?;
                meta(out, &format!("rename to {}", quoted(new.path.as_bytes())), options)?;
            }
            Ok(())
        }
        (None, None) => Ok(()),
    }
}

fn name(prefix: &[u8], side: Option<&Side>) -> String {
    side.map_or_else(|| "/dev/null".to_owned(), |side| quoted(&[prefix, side.path.as_bytes()].concat()))
}

fn meta(out: &mut dyn Write, text: &str, options: Options) -> io::Result<()> {
    if options.color { writeln!(out, "{META}{text}{RESET}") } else { writeln!(out, "{text}") }
}

/// The line that a hunk is below of: a function, a section. As git by default: the last line that starts with a
/// letter, `_` or `$`.
#[derive(Default)]
struct Heading<'a> {
    line: Option<&'a [u8]>,
    looked: usize,
}

impl<'a> Heading<'a> {
    /// Each line is looked at only once, however many hunks there are.
    fn above(&mut self, lines: &[&'a [u8]], start: usize) -> Option<&'a [u8]> {
        let starts = |line: &&&[u8]| line.first().is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'$'));
        if let Some(found) = lines[self.looked.min(start)..start].iter().rev().find(starts) {
            self.line = Some(found);
        }
        self.looked = self.looked.max(start);
        self.line
    }
}

struct View<'a> {
    old: Vec<&'a [u8]>,
    new: Vec<&'a [u8]>,
    options: Options,
}

impl<'a> View<'a> {
    fn hunk(&self, out: &mut dyn Write, ops: &[DiffOp], heading: &mut Heading<'a>) -> io::Result<()> {
        let (Some(first), Some(last)) = (ops.first(), ops.last()) else { return Ok(()) };
        let old = first.old_range().start..last.old_range().end;
        let new = first.new_range().start..last.new_range().end;
        let text = format!("@@ -{} +{} @@", range(&old), range(&new));
        if self.options.color {
            write!(out, "{HUNK}{text}{RESET}")?
        } else {
            write!(out, "{text}")?
        }
        if let Some(line) = heading.above(&self.old, old.start) {
            const SHOWN: usize = 80;
            let line = line.trim_ascii_end();
            out.write_all(b" ")?;
            self.bytes(out, &line[..line.len().min(SHOWN)])?;
        }
        out.write_all(b"\n")?;
        ops.iter().try_for_each(|op| self.op(out, op))
    }

    fn op(&self, out: &mut dyn Write, op: &DiffOp) -> io::Result<()> {
        let (old, new) = (op.old_range(), op.new_range());
        if op.tag() == DiffTag::Equal {
            return self.old[old].iter().try_for_each(|line| self.line(out, b" ", "", line, &[]));
        }
        let wants_marks = self.options.words && self.options.color && op.tag() == DiffTag::Replace;
        let marks = if wants_marks { marks::marks(&self.old[old.clone()], &self.new[new.clone()]) } else { None };
        let (removed, added): (Marks, Marks) = marks.unwrap_or_default();
        for (i, line) in self.old[old].iter().enumerate() {
            self.line(out, b"-", OLD, line, removed.get(i).map_or(&[], Vec::as_slice))?;
        }
        for (i, line) in self.new[new].iter().enumerate() {
            self.line(out, b"+", NEW, line, added.get(i).map_or(&[], Vec::as_slice))?;
        }
        Ok(())
    }

    fn line(
        &self,
        out: &mut dyn Write,
        sign: &[u8],
        color: &str,
        line: &[u8],
        marks: &[Range<usize>],
    ) -> io::Result<()> {
        let is_whole = line.ends_with(b"\n");
        let text = &line[..line.len() - usize::from(is_whole)];
        let color = if self.options.color { color } else { "" };
        out.write_all(color.as_bytes())?;
        out.write_all(sign)?;
        let mut at = 0;
        for mark in marks {
            let end = mark.end.min(text.len());
            let start = mark.start.min(end);
            self.bytes(out, &text[at..start])?;
            out.write_all(MARK.as_bytes())?;
            self.bytes(out, &text[start..end])?;
            out.write_all(UNMARK.as_bytes())?;
            at = end;
        }
        self.bytes(out, &text[at..])?;
        if !color.is_empty() {
            out.write_all(RESET.as_bytes())?;
        }
        out.write_all(b"\n")?;
        if is_whole { Ok(()) } else { out.write_all(b"\\ No newline at end of file\n") }
    }

    fn bytes(&self, out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
        if self.options.escape { escaped(out, bytes) } else { out.write_all(bytes) }
    }
}

/// `12`, `12,3`, and for nothing the line before it: `11,0`.
fn range(lines: &Range<usize>) -> String {
    match lines.len() {
        0 => format!("{},0", lines.start),
        1 => format!("{}", lines.start + 1),
        length => format!("{},{length}", lines.start + 1),
    }
}

/// Bytes with everything escaped that could act on a terminal, except tabs.
fn escaped(out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(at) = rest.find(|c| is_hostile(c) && c != '\t') {
            let (safe, after) = rest.split_at(at);
            let mut after = after.chars();
            let hostile = after.next().unwrap_or_default();
            write!(out, "{safe}{}", hostile.escape_default())?;
            rest = after.as_str();
        }
        out.write_all(rest.as_bytes())?;
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}
