//! The short views: how many lines of which files, and only the names.

use std::io::{self, Write};

use super::quoted;
use crate::cli::style::{Paint, Style, count, pad, width};
use crate::core::report::FileLine;

/// One line a file with a graph, and the sum of them.
///
/// # Errors
/// Where `out` cannot be written to.
pub fn stat(out: &mut dyn Write, files: &[FileLine], style: &Style) -> io::Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let total = style.width.unwrap_or(80).max(20);
    let numbers = files.iter().map(|file| number(file).len()).max().unwrap_or(0);
    let names: Vec<String> = files.iter().map(shown_path).collect();
    // As git: the names may take what the numbers and a graph of reasonable size leave.
    let longest = names.iter().map(|name| width(name)).max().unwrap_or(0);
    let name_room = longest.min(total.saturating_sub(numbers + 16)).max(10);
    let graph_room = total.saturating_sub(name_room + numbers + 6).clamp(1, 60);
    let most = files.iter().map(lines).max().unwrap_or(0);
    for (file, name) in files.iter().zip(&names) {
        let name = pad(&cut_front(name, name_room), name_room);
        write!(out, " {name} | {:>numbers$}", number(file))?;
        let (plus, minus) = graph(file, most, graph_room);
        if plus + minus > 0 {
            let plus = style.paint(Paint::Good, "+".repeat(plus));
            write!(out, " {plus}{}", style.paint(Paint::Bad, "-".repeat(minus)))?;
        }
        writeln!(out)?;
    }
    writeln!(out, " {}", sum(files))
}

/// Only the paths, one a line, quoted as git does where it has to be.
///
/// # Errors
/// Where `out` cannot be written to.
pub fn name_only(out: &mut dyn Write, files: &[FileLine]) -> io::Result<()> {
    files.iter().try_for_each(|file| writeln!(out, "{}", quoted(file.path.as_bytes())))
}

fn lines(file: &FileLine) -> u64 {
    file.insertions + file.deletions
}

fn number(file: &FileLine) -> String {
    if file.binary { "Bin".to_owned() } else { lines(file).to_string() }
}

fn shown_path(file: &FileLine) -> String {
    let path = quoted(file.path.as_bytes());
    match &file.old_path {
        Some(old) => format!("{} => {path}", quoted(old.as_bytes())),
        None => path,
    }
}

/// The end of a path says more than its start.
fn cut_front(name: &str, room: usize) -> String {
    if width(name) <= room {
        return name.to_owned();
    }
    let fits = |at: &usize| width(&name[*at..]) + 3 <= room;
    let start = name.char_indices().map(|(at, _)| at).find(fits).unwrap_or(name.len());
    format!("...{}", &name[start..])
}

/// How many signs of either kind: to scale where they do not fit, and at least one for what is not nothing.
fn graph(file: &FileLine, most: u64, room: usize) -> (usize, usize) {
    let room = room as u64;
    let scale = |number: u64| match number {
        _ if most <= room => number,
        0 => 0,
        number => (number * room / most).max(1),
    };
    let (plus, minus) = (scale(file.insertions), scale(file.deletions));
    (usize::try_from(plus).unwrap_or(0), usize::try_from(minus).unwrap_or(0))
}

fn sum(files: &[FileLine]) -> String {
    let insertions: u64 = files.iter().map(|file| file.insertions).sum();
    let deletions: u64 = files.iter().map(|file| file.deletions).sum();
    let mut text = format!("{} changed", count(files.len() as u64, "file"));
    if insertions > 0 || deletions == 0 {
        text.push_str(&format!(", {}(+)", count(insertions, "insertion")));
    }
    if deletions > 0 || insertions == 0 {
        text.push_str(&format!(", {}(-)", count(deletions, "deletion")));
    }
    text
}
