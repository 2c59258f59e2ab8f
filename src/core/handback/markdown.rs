//! The material as text, for a prompt.

use std::fmt::Write;

use super::{CheckSaid, InConflict, Kind, Material};
use crate::core::review::{Comment, Side};
use crate::core::word::shown;

impl Material {
    /// As text: what happened, what is where, and what was in the way.
    pub fn to_markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let target = shown(&self.target.0);
        writeln!(out, "# Task {}, once more\n", self.attempt.task)?;
        writeln!(out, "The task is:\n\n{}", fenced("", &self.command))?;
        self.write_reason(out, &target)?;
        writeln!(out, "\n## What you start from\n")?;
        writeln!(out, "The files here are those of commit {}: {target} as it is now.", self.onto)?;
        writeln!(
            out,
            "The earlier result is **not** in them. Make the change anew, so that it fits what is there now."
        )?;
        match &self.earlier {
            Some(earlier) => {
                writeln!(
                    out,
                    "\n- The earlier result is commit {} (on {}), which git knows here:",
                    earlier.tip, earlier.base
                )?;
                writeln!(
                    out,
                    "  `git diff {:.12} {:.12}` shows it, `git show {:.12}:PATH` one of its files.",
                    earlier.base, earlier.tip, earlier.tip
                )?;
                if let Some(patch) = &earlier.patch {
                    writeln!(out, "- `$PLEACH_HANDBACK/{patch}` is the same as a patch.")?;
                }
                for line in earlier.summary.iter().flat_map(|summary| summary.lines()) {
                    writeln!(out, "- It said of itself: {}", shown(line))?;
                }
            }
            None => writeln!(out, "\nThe earlier result is gone from the repository.")?,
        }
        self.write_remarks(out)?;
        self.write_conflict(out, &target)?;
        self.check.as_ref().map_or(Ok(()), |check| write_check(out, check, &target))
    }

    fn write_reason(&self, out: &mut String, target: &str) -> std::fmt::Result {
        match self.kind {
            Kind::Conflict => writeln!(out, "Its earlier result did not go into {target}: {}.", self.why),
            Kind::Rejected => writeln!(
                out,
                "Its earlier result did not go into {target}, which would not pass its check with it: {}.",
                self.why
            ),
            Kind::Held => {
                writeln!(out, "Its earlier result did not go into {target}; something was in the way: {}.", self.why)
            }
            Kind::Review => writeln!(
                out,
                "Somebody read its earlier result, and wants it made anew on what {target} is now, with what is said below."
            ),
            Kind::Ready => writeln!(
                out,
                "Its earlier result was not folded into {target}; it is to be made anew on what {target} is now."
            ),
        }
    }

    fn write_remarks(&self, out: &mut String) -> std::fmt::Result {
        let Some(remarks) = &self.remarks else { return Ok(()) };
        writeln!(out, "\n## Review\n")?;
        if let Some(says) = &remarks.says {
            writeln!(out, "{}", fenced("", says))?;
        }
        for Comment { path, line, side, text } in &remarks.comments {
            let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
            let of = if *side == Side::Old { "before the earlier result" } else { "in the earlier result" };
            writeln!(out, "{}{line} {of}:\n\n{}", path.shown(), fenced("", text))?;
        }
        Ok(())
    }

    fn write_conflict(&self, out: &mut String, target: &str) -> std::fmt::Result {
        if !self.conflicts {
            let now = if self.kind == Kind::Conflict { "no longer conflicts" } else { "does not conflict" };
            return match &self.earlier {
                Some(_) => writeln!(out, "\nIt {now} with what {target} is now."),
                None => Ok(()),
            };
        }
        writeln!(out, "\n## Conflict\n")?;
        writeln!(
            out,
            "In each place below, the first part is what {target} says, the middle what both started from, the last what the earlier result says."
        )?;
        for path in &self.paths {
            write_path(out, path, target)?;
        }
        if self.more_paths > 0 {
            writeln!(out, "\n… and {} more.", crate::core::word::count(self.more_paths as u64, "path"))?;
        }
        Ok(())
    }
}

fn write_path(out: &mut String, path: &InConflict, target: &str) -> std::fmt::Result {
    writeln!(out, "\n### {}\n", path.path.shown())?;
    for (side, commit) in [(target, path.ours), ("the earlier result", path.theirs)] {
        if let Some(commit) = commit {
            writeln!(out, "- last touched in {side} by {commit:.12}")?;
        }
    }
    match &path.sides {
        [_, Some(_), Some(_)] => {}
        [_, Some(_), None] => writeln!(out, "- there is no such file in the earlier result")?,
        [_, None, Some(_)] => writeln!(out, "- there is no such file in {target}")?,
        [_, None, None] => writeln!(out, "- both sides moved or deleted it")?,
    }
    if path.binary {
        writeln!(out, "- it is no text")?;
    }
    if let Some(resolved) = &path.resolved {
        writeln!(
            out,
            "- `git rerere` knows how this was resolved before: `$PLEACH_HANDBACK/{resolved}`; look whether that is right here"
        )?;
    }
    if let Some(merged) = &path.merged {
        writeln!(out, "- the whole text with its conflicts: `$PLEACH_HANDBACK/{merged}`")?;
    }
    for hunk in &path.hunks {
        write!(out, "\n{}", fenced("", &String::from_utf8_lossy(hunk.as_bytes())))?;
    }
    if path.cut { writeln!(out, "\n(cut: there is more)") } else { Ok(()) }
}

fn write_check(out: &mut String, check: &CheckSaid, target: &str) -> std::fmt::Result {
    writeln!(out, "\n## Check\n")?;
    if !check.command.is_empty() {
        writeln!(out, "{}", fenced("sh", &check.command))?;
    }
    let how = match check.by_itself {
        Some(true) => ", also without what the target got since",
        Some(false) => ", but only together with what the target holds",
        None => "",
    };
    writeln!(out, "With the earlier result in {target} it said: {}{how}.", shown(&check.verdict.to_string()))?;
    if check.log_tail.is_empty() {
        return writeln!(out, "Nothing is left of what it wrote.");
    }
    let what = if check.cut { "The end of what it wrote" } else { "What it wrote" };
    write!(out, "{what}:\n\n{}", fenced("", &check.log_tail))
}

/// A block that nothing in the text can end.
fn fenced(language: &str, text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let end = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
    format!("{fence}{language}\n{text}{end}{fence}\n")
}
