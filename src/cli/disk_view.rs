//! What tasks and caches take on the disk, as text.

use std::io::{self, Write};

use super::style::{Paint, Style, count, pad, width};
use crate::core::word::shown;
use crate::ops::disk::{CacheDisk, Disk};

/// Draw it.
///
/// # Errors
/// Where `out` cannot be written to.
pub fn draw(out: &mut dyn Write, disk: &Disk, style: &Style) -> io::Result<()> {
    let rows = disk.tasks.iter().map(|task| {
        let name = task.name.as_ref().map_or_else(|| task.command.shown(), ToString::to_string);
        [task.id.to_string(), shown(&name), size(task.exclusive), size(task.shared)]
    });
    let rows: Vec<[String; 4]> = [["ID", "TASK", "OWN", "SHARED"].map(str::to_owned)].into_iter().chain(rows).collect();
    let widest = |column: usize| rows.iter().map(|row| width(&row[column])).max().unwrap_or_default();
    let widths = [0, 1, 2, 3].map(widest);
    if disk.tasks.is_empty() {
        writeln!(out, "no task takes anything")?;
    } else {
        for (number, [id, name, own, shared]) in rows.iter().enumerate() {
            let [id, own, shared] = [(id, widths[0]), (own, widths[2]), (shared, widths[3])].map(right);
            let line = format!("{id}  {}  {own}  {shared}", pad(name, widths[1]));
            let paint = if number == 0 { Paint::Faint } else { Paint::Plain };
            writeln!(out, "{}", style.paint(paint, line))?;
        }
    }
    let caches: Vec<String> = disk.caches.iter().map(words).collect();
    if !caches.is_empty() {
        writeln!(out, "caches: {}", caches.join(", "))?;
    }
    let free = disk.free.map(|free| format!("{} free; ", size(free))).unwrap_or_default();
    writeln!(out, "{free}below {} no task starts, and caches go", size(disk.floor))
}

fn right((text, wide): (&String, usize)) -> String {
    format!("{}{text}", " ".repeat(wide.saturating_sub(width(text))))
}

fn words(cache: &CacheDisk) -> String {
    let what = match cache.cache {
        "free_slots" => count(cache.count as u64, "free slot"),
        "check_worktrees" => count(cache.count as u64, "check worktree"),
        "base_images" => count(cache.count as u64, "base image"),
        other => other.to_owned(),
    };
    format!("{what} {}", size(cache.exclusive + cache.shared))
}

/// `1.5 MiB`
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let unit =
        UNITS.iter().enumerate().rev().find(|(power, _)| bytes >= 1 << (10 * power)).map_or(0, |(power, _)| power);
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{:.1} {}", bytes as f64 / f64::from(1 << (10 * unit)), UNITS[unit])
    }
}
