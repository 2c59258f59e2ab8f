//! A file's change as HTML, in which nothing acts: what is not text is escaped, and what could hide or reorder text is shown.
//!
//! However large a change is, one answer is bounded; what comes next is asked for from where it ends.

use std::fmt::Write as _;
use std::ops::Range;

use crate::core::hunk::{Fate, Line};
use crate::core::ink::{Grammars, Ink, Tongue};
use crate::core::marks;
use crate::core::review::{FileSheet, HunkSheet, MODE, Side};
use crate::core::word::is_hostile;

/// Lines in one answer.
const MOST_LINES: usize = 2000;
/// Bytes of one answer, about.
const MOST_BYTES: usize = 2 << 20;
/// Bytes of one line that are shown.
const LONGEST: usize = 2000;
/// Lines of a hunk that are in colour; what comes behind them is plain.
const MOST_IN_COLOUR: usize = 2000;
/// Bytes of a hunk of which the same is true.
const MOST_BYTES_IN_COLOUR: usize = 256 << 10;

/// How the sides stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// One below the other.
    Unified,
    /// One beside the other.
    Split,
}

impl View {
    fn columns(self) -> usize {
        if self == Self::Unified { 3 } else { 4 }
    }
}

/// A line, with its numbers on either side, and the ranges of it that changed.
struct Seen<'a> {
    line: &'a Line,
    old: u32,
    new: u32,
    marks: Vec<Range<usize>>,
    inks: Vec<(usize, Ink)>,
}

/// The change of a file, from this line of its hunks on; in the colours of its language where grammars are given.
pub(super) fn file(file: &FileSheet, view: View, from: usize, grammars: Option<&Grammars>) -> String {
    let name = if view == View::Unified { "unified" } else { "split" };
    let mut out = format!("<table class=\"diff {name}\">");
    let (mut before, mut shown) = (0, 0);
    let all: usize = file.hunks.iter().map(|hunk| hunk.lines.len()).sum();
    for hunk in &file.hunks {
        let first = from.saturating_sub(before).min(hunk.lines.len());
        let is_past = before + hunk.lines.len() <= from && !(hunk.lines.is_empty() && from == 0);
        before += hunk.lines.len();
        if is_past {
            continue;
        }
        let room = MOST_LINES - shown;
        if room == 0 || out.len() > MOST_BYTES {
            break;
        }
        shown += section(&mut out, hunk, first..hunk.lines.len().min(first + room), view, file, grammars);
    }
    let next = from + shown;
    if next < all {
        let columns = view.columns();
        let _ = write!(
            out,
            "<tbody class=\"more\"><tr><td colspan=\"{columns}\"><button type=\"button\" data-from=\"{next}\">Show more: \
             {} of {all} lines are left</button></td></tr></tbody>",
            all - next
        );
    }
    out.push_str("</table>");
    out
}

/// Some lines of a hunk; answers how many.
fn section(
    out: &mut String,
    hunk: &HunkSheet,
    part: Range<usize>,
    view: View,
    file: &FileSheet,
    grammars: Option<&Grammars>,
) -> usize {
    let (mut old, mut new) = starts(&hunk.id);
    let mut painter = grammars.and_then(|grammars| Painter::of(grammars, file));
    let mut paint = |line| painter.as_mut().map(|painter| painter.inks(line)).unwrap_or_default();
    for line in &hunk.lines[..part.start] {
        step(line, &mut old, &mut new);
        paint(line);
    }
    let mut seen: Vec<Seen<'_>> = Vec::new();
    let mut bytes = 0;
    for line in &hunk.lines[part.clone()] {
        if bytes > MOST_BYTES {
            break;
        }
        bytes += line.text.as_bytes().len().min(LONGEST);
        seen.push(Seen { line, old, new, marks: Vec::new(), inks: paint(line) });
        step(line, &mut old, &mut new);
    }
    mark(&mut seen);
    let id = escaped(&hunk.id);
    let _ = write!(out, "<tbody class=\"hunk\" data-hunk=\"{id}\">");
    if part.start == 0 {
        head(out, hunk, view, file);
    }
    match view {
        View::Unified => seen.iter().for_each(|line| unified(out, line)),
        View::Split => split(out, &seen),
    }
    out.push_str("</tbody>");
    seen.len()
}

/// What gives the lines of a hunk their colours, as long as they are not too many.
struct Painter<'a> {
    grammars: &'a Grammars,
    tongue: Tongue,
    lines: usize,
    bytes: usize,
}

impl<'a> Painter<'a> {
    fn of(grammars: &'a Grammars, file: &FileSheet) -> Option<Self> {
        Some(Self { grammars, tongue: Tongue::of(grammars, file)?, lines: 0, bytes: 0 })
    }

    fn inks(&mut self, line: &Line) -> Vec<(usize, Ink)> {
        self.lines += 1;
        self.bytes += line.text.as_bytes().len();
        if self.lines > MOST_IN_COLOUR || self.bytes > MOST_BYTES_IN_COLOUR {
            return Vec::new();
        }
        self.tongue.ink(line, self.grammars)
    }
}

fn head(out: &mut String, hunk: &HunkSheet, view: View, file: &FileSheet) {
    let columns = view.columns();
    let id = escaped(&hunk.id);
    let heading = match hunk.id == MODE {
        true => {
            let mode = |mode: &Option<String>| escaped(mode.as_deref().unwrap_or("none"));
            format!("mode {} \u{2192} {}", mode(&file.old_mode), mode(&file.new_mode))
        }
        false => format!("@@ {id} @@"),
    };
    let _ = write!(
        out,
        "<tr class=\"head\"><th colspan=\"{columns}\" scope=\"rowgroup\"><span class=\"at\" tabindex=\"-1\">{heading}</span>\
         <span class=\"choices\" role=\"group\" aria-label=\"hunk {id}\">\
         <button type=\"button\" data-choice=\"accept\" aria-pressed=\"false\">Accept</button>\
         <button type=\"button\" data-choice=\"refuse\" aria-pressed=\"false\">Refuse</button></span></th></tr>"
    );
}

/// The numbers of the first lines of a hunk, by its name.
fn starts(id: &str) -> (u32, u32) {
    let side = |sign: char| {
        let text = id.split(' ').find_map(|part| part.strip_prefix(sign))?;
        let (start, count) = text.split_once(',')?;
        // Of nothing, the line before is named.
        Some(start.parse::<u32>().ok()? + u32::from(count == "0"))
    };
    (side('-').unwrap_or(1), side('+').unwrap_or(1))
}

fn step(line: &Line, old: &mut u32, new: &mut u32) {
    *old += u32::from(line.is != Fate::Added);
    *new += u32::from(line.is != Fate::Removed);
}

/// Mark the words that changed where lines were replaced.
fn mark(seen: &mut [Seen<'_>]) {
    let mut at = 0;
    while at < seen.len() {
        let run = |from: usize, fate: Fate| seen[from..].iter().take_while(|line| line.line.is == fate).count();
        let removed = run(at, Fate::Removed);
        let added = run(at + removed, Fate::Added);
        if removed > 0 && added > 0 {
            let (old, new) = (at..at + removed, at + removed..at + removed + added);
            let text = |range: &Range<usize>| -> Vec<&[u8]> {
                seen[range.clone()].iter().map(|line| line.line.text.as_bytes()).collect()
            };
            if let Some((of_old, of_new)) = marks::marks(&text(&old), &text(&new)) {
                for (place, marks) in old.zip(of_old).chain(new.zip(of_new)) {
                    seen[place].marks = marks;
                }
            }
        }
        at += (removed + added).max(1);
    }
}

fn class(line: &Line) -> (&'static str, char) {
    match line.is {
        Fate::Kept => ("kept", ' '),
        Fate::Removed => ("removed", '-'),
        Fate::Added => ("added", '+'),
    }
}

fn unified(out: &mut String, seen: &Seen<'_>) {
    let (class, _) = class(seen.line);
    let _ = write!(out, "<tr class=\"line {class}\">");
    let is = seen.line.is;
    number(out, (is != Fate::Added).then_some((Side::Old, seen.old)));
    number(out, (is != Fate::Removed).then_some((Side::New, seen.new)));
    code(out, Some(seen));
    out.push_str("</tr>");
}

fn split(out: &mut String, seen: &[Seen<'_>]) {
    let mut at = 0;
    while at < seen.len() {
        let run = |from: usize, fate: Fate| seen[from..].iter().take_while(|line| line.line.is == fate).count();
        let removed = run(at, Fate::Removed);
        let added = run(at + removed, Fate::Added);
        if removed + added == 0 {
            pair(out, Some(&seen[at]), Some(&seen[at]));
            at += 1;
            continue;
        }
        for row in 0..removed.max(added) {
            let old = (row < removed).then(|| &seen[at + row]);
            let new = (row < added).then(|| &seen[at + removed + row]);
            pair(out, old, new);
        }
        at += removed + added;
    }
}

fn pair(out: &mut String, old: Option<&Seen<'_>>, new: Option<&Seen<'_>>) {
    out.push_str("<tr class=\"line\">");
    number(out, old.map(|seen| (Side::Old, seen.old)));
    code(out, old);
    number(out, new.map(|seen| (Side::New, seen.new)));
    code(out, new);
    out.push_str("</tr>");
}

/// The number of a line, as what a comment on it begins with.
fn number(out: &mut String, at: Option<(Side, u32)>) {
    let Some((side, line)) = at else { return out.push_str("<td class=\"n\"></td>") };
    let (side, when) = if side == Side::Old { ("old", "before") } else { ("new", "after") };
    let _ = write!(
        out,
        "<td class=\"n\"><button type=\"button\" tabindex=\"-1\" data-side=\"{side}\" data-line=\"{line}\" \
         aria-label=\"comment on line {line} {when}\">{line}</button></td>"
    );
}

fn code(out: &mut String, seen: Option<&Seen<'_>>) {
    let Some(seen) = seen else { return out.push_str("<td class=\"code none\"></td>") };
    let (class, sign) = class(seen.line);
    let _ = write!(out, "<td class=\"code {class}\"><span class=\"sign\">{sign}</span>");
    let bytes = seen.line.text.as_bytes();
    let end = boundary(bytes, LONGEST);
    let mut at = 0;
    for mark in seen.marks.iter().filter(|mark| mark.start < end) {
        inked(out, seen, at..mark.start);
        let to = mark.end.min(end);
        out.push_str("<b>");
        inked(out, seen, mark.start..to);
        out.push_str("</b>");
        at = to;
    }
    inked(out, seen, at..end);
    if end < bytes.len() {
        let _ = write!(out, "<span class=\"note\">\u{2026} {} more bytes in this line</span>", bytes.len() - end);
    }
    if seen.line.open {
        out.push_str("<span class=\"note\"> no line feed at the end</span>");
    }
    out.push_str("</td>");
}

/// A part of a line, each piece with a class for its colour: a style of its own is what the page forbids.
fn inked(out: &mut String, seen: &Seen<'_>, part: Range<usize>) {
    let bytes = seen.line.text.as_bytes();
    let mut at = part.start;
    while at < part.end {
        let next = seen.inks.partition_point(|(from, _)| *from <= at);
        let ink = next.checked_sub(1).map(|place| seen.inks[place].1).unwrap_or_default();
        let end = seen.inks.get(next).map_or(part.end, |(from, _)| part.end.min(*from));
        match ink_class(ink) {
            Some(class) => {
                let _ = write!(out, "<span class=\"{class}\">");
                escape(out, &bytes[at..end]);
                out.push_str("</span>");
            }
            None => escape(out, &bytes[at..end]),
        }
        at = end;
    }
}

fn ink_class(ink: Ink) -> Option<&'static str> {
    Some(match ink {
        Ink::Plain => return None,
        Ink::Comment => "ink-comment",
        Ink::Text => "ink-text",
        Ink::Number => "ink-number",
        Ink::Keyword => "ink-keyword",
        Ink::Type => "ink-type",
        Ink::Function => "ink-function",
    })
}

/// The largest place up to `most` that is not within a character.
fn boundary(bytes: &[u8], most: usize) -> usize {
    let is_inside = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    (0..=most.min(bytes.len())).rev().take(4).find(|at| !is_inside(*at)).unwrap_or(most.min(bytes.len()))
}

/// Does it take no room, so that nobody sees that it is there?
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2064}' | '\u{e0000}'..='\u{e007f}')
}

/// Text for HTML: every byte is seen, and none acts.
fn escape(out: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&#39;"),
                '\t' => out.push('\t'),
                c if is_hostile(c) || is_unseen(c) => {
                    let _ = write!(out, "<span class=\"odd\">{}</span>", c.escape_default());
                }
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "<span class=\"odd\">\\x{byte:02x}</span>");
        }
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    escape(&mut out, text.as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::hunk;
    use crate::core::report::FileChange;

    fn sheet(old: &[u8], new: &[u8]) -> FileSheet {
        let hunks = hunk::cut(old, new).iter().map(HunkSheet::from).collect();
        FileSheet { hunks, ..FileSheet::new("file".into(), FileChange::Modified) }
    }

    #[test]
    fn nothing_in_it_acts() {
        let new = "<script>alert(1)</script>&\"'\u{202e}\u{200b}\x1b[31m\r\n".as_bytes();
        let html = file(&sheet(b"", &[new, b"\xff\n"].concat()), View::Unified, 0, None);
        assert!(!html.contains("<script") && html.contains("&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;&#39;"));
        for odd in ["\\u{202e}", "\\u{200b}", "\\u{1b}", "\\r", "\\xff"] {
            assert!(html.contains(&format!("<span class=\"odd\">{odd}</span>")), "{odd} in {html}");
        }
        assert!(!html.contains(['\u{202e}', '\u{200b}', '\u{1b}', '\r']));
    }

    #[test]
    fn the_words_that_changed_are_marked_and_lines_have_their_numbers() {
        let html = file(&sheet(b"same\nthe colour is red\n", b"same\nthe colour is blue\n"), View::Unified, 0, None);
        assert!(html.contains("the colour is <b>red</b>") && html.contains("the colour is <b>blue</b>"), "{html}");
        assert!(
            html.contains("data-side=\"old\" data-line=\"2\"") && html.contains("data-side=\"new\" data-line=\"2\"")
        );
        let split = file(&sheet(b"a\nb\n", b"b\n"), View::Split, 0, None);
        assert_eq!(split.matches("<tr class=\"line\">").count(), 2);
        assert!(split.contains("code none"), "{split}");
    }

    #[test]
    fn a_language_has_its_colours_and_only_so_many_lines_have_them() {
        let grammars = Grammars::load();
        let of = |old: &str, new: &str, view| {
            let sheet = FileSheet { path: "a.rs".into(), ..sheet(old.as_bytes(), new.as_bytes()) };
            file(&sheet, view, 0, Some(&grammars))
        };
        let html = of("let total = 1; // <b>\n", "let total = 22; // <b>\n", View::Unified);
        assert!(html.contains("<span class=\"ink-keyword\">let</span> total"), "{html}");
        // The words that changed are marked all the same, and nothing of it acts.
        assert!(html.contains("<b><span class=\"ink-number\">22</span></b>"), "{html}");
        assert!(html.contains("<span class=\"ink-comment\">// &lt;b&gt;</span>") && !html.contains("style="), "{html}");
        let both = of("let a = 1;\n", "let b = 1;\n", View::Split);
        assert_eq!(both.matches("<span class=\"ink-keyword\">let</span>").count(), 2, "{both}");
        let many = "let a = 1;\n".repeat(3000);
        let sheet = FileSheet { path: "a.rs".into(), ..sheet(b"", many.as_bytes()) };
        let count = |from| file(&sheet, View::Unified, from, Some(&grammars)).matches("ink-keyword").count();
        assert_eq!((count(0), count(1000), count(2000)), (2000, 1000, 0));
        let long = format!("let a = \"{}\";\n", "x".repeat(990)).repeat(1000);
        let sheet = FileSheet { path: "a.rs".into(), ..self::sheet(b"", long.as_bytes()) };
        let html = file(&sheet, View::Unified, 0, Some(&grammars));
        assert_eq!(html.matches("class=\"line added\"").count(), 1000);
        assert!(html.matches("ink-keyword").count() < 300);
    }

    #[test]
    fn one_answer_is_bounded_and_the_next_goes_on() {
        let new: String = (0..5000).map(|n| format!("line {n}\n")).collect();
        let sheet = sheet(b"", new.as_bytes());
        let first = file(&sheet, View::Unified, 0, None);
        assert_eq!(first.matches("class=\"line added\"").count(), MOST_LINES);
        assert!(first.contains("data-from=\"2000\"") && first.contains("3000 of 5000 lines are left"), "{first:.200}");
        let last = file(&sheet, View::Unified, 4000, None);
        assert_eq!(last.matches("class=\"line added\"").count(), 1000);
        assert!(!last.contains("data-from") && !last.contains("class=\"head\"") && last.contains("data-line=\"4001\""));
        let long = file(&self::sheet(b"", &"\u{e9}".repeat(1 << 20).into_bytes()), View::Unified, 0, None);
        assert!(
            long.len() < 10_000 && long.contains("more bytes in this line") && !long.contains("\\x"),
            "{}",
            long.len()
        );
    }
}
