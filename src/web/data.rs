//! What the page asks for: a result without its lines, a file of it as HTML, and what somebody says carried out.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Served, render};
use crate::core::id::{AttemptId, TaskHandle};
use crate::core::ink::Grammars;
use crate::core::report::FileChange;
use crate::core::review::{FileSheet, HunkSheet, Sheet};
use crate::core::word::shown;
use crate::ops::fold::How;
use crate::ops::{Error, ErrorKind, draft, review};

/// How many results are kept cut: the files of one are asked for one by one.
const KEPT: usize = 3;
/// Lines beyond which only the newest of them is.
const MOST_LINES: usize = 500_000;

/// The results that were looked at last.
#[derive(Default)]
pub(super) struct Shelf(Mutex<Vec<Arc<Sheet>>>);

impl Shelf {
    /// The result of this task with this last commit. Who asks at the same time waits: it is cut once.
    fn take(&self, served: &Served, task: &str, tip: Option<&str>) -> Result<Arc<Sheet>, Error> {
        let handle: TaskHandle =
            task.parse().map_err(|error| Error::plain(ErrorKind::UnknownTask, format!("{error}")))?;
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_meant = |sheet: &&Arc<Sheet>| {
            sheet.task == handle && tip.is_some_and(|tip| sheet.tip.is_some_and(|own| own.to_string() == tip))
        };
        if let Some(sheet) = kept.iter().find(is_meant) {
            return Ok(sheet.clone());
        }
        let reviewed = review::of(&served.session()?, std::slice::from_ref(&handle))?;
        let sheet = reviewed.into_iter().next().map(|reviewed| Arc::new(reviewed.sheet));
        let sheet = sheet.ok_or_else(|| Error::plain(ErrorKind::UnknownTask, format!("there is no task {handle}")))?;
        kept.retain(|known| known.task != sheet.task);
        kept.insert(0, sheet.clone());
        let (mut place, mut lines) = (0, 0);
        kept.retain(|known| {
            place += 1;
            lines += known.files.iter().flat_map(|file| &file.hunks).map(|hunk| hunk.lines.len()).sum::<usize>();
            place == 1 || (place <= KEPT && lines <= MOST_LINES)
        });
        match tip {
            Some(tip) if !is_meant(&&sheet) => {
                let message = format!("the result of task {handle} is another one than {tip:.8} now");
                Err(Error::new(ErrorKind::Refused, message, "open the task again"))
            }
            _ => Ok(sheet),
        }
    }
}

/// A result, without the lines of its files.
pub(super) fn review(served: &Served, task: &str) -> Result<Value, Error> {
    let sheet = served.shelf.take(served, task, None)?;
    let safe = |text: &Option<String>| text.as_deref().map(lines_shown);
    let files: Vec<Value> = sheet.files.iter().map(file_line).collect();
    let draft = match attempt(&sheet) {
        Some(attempt) => draft::kept(&served.session()?, attempt, sheet.tip)?,
        None => None,
    };
    Ok(json!({
        "draft": draft,
        "task": match &sheet.task {
            TaskHandle::Id(id) => json!(id),
            TaskHandle::Name(name) => json!(name.to_string()),
        },
        "name": sheet.name,
        "attempt": sheet.attempt,
        "base": sheet.base,
        "tip": sheet.tip,
        "target": sheet.target,
        "command": safe(&sheet.command),
        "summary": safe(&sheet.summary),
        "flags": sheet.flags.iter().map(|flag| shown(flag)).collect::<Vec<_>>(),
        "files": files,
    }))
}

fn attempt(sheet: &Sheet) -> Option<AttemptId> {
    match (&sheet.task, sheet.attempt) {
        (TaskHandle::Id(task), Some(number)) => Some(AttemptId { task: *task, number }),
        _ => None,
    }
}

/// Keep what is said of a result, as long as it is the one that it is said of.
pub(super) fn keep(served: &Served, bytes: &[u8]) -> Result<Value, Error> {
    let said: Sheet = read(bytes)?;
    let tip = said.tip.map(|tip| tip.to_string());
    let whole = served.shelf.take(served, &said.task.to_string(), Some(tip.as_deref().unwrap_or_default()))?;
    if let Some(attempt) = attempt(&whole) {
        draft::keep(&served.session()?, attempt, &said)?;
    }
    Ok(json!({ "kept": true }))
}

fn read<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::new(ErrorKind::Usage, format!("that is no review: {error}"), "see docs/json.md"))
}

fn file_line(file: &FileSheet) -> Value {
    let (word, mark) = match file.change {
        Some(FileChange::Added) => ("added", "A"),
        Some(FileChange::Deleted) => ("deleted", "D"),
        Some(FileChange::Renamed) => ("renamed", "R"),
        Some(FileChange::Mode) => ("mode changed", "M"),
        _ => ("changed", "M"),
    };
    let modes = file.old_mode.as_ref().zip(file.new_mode.as_ref()).filter(|(old, new)| old != new);
    json!({
        // As it is said back; what is shown of it is another matter.
        "path": file.path,
        "shown": file.path.shown(),
        "old": file.old_path.as_ref().map(|old| old.shown()),
        "old_path": file.old_path,
        "change": word,
        "mark": mark,
        "modes": modes.map(|(old, new)| format!("mode {old} \u{2192} {new}")),
        "look_first": file.look_first,
        "unread": file.unread.as_deref().map(shown),
        "insertions": file.insertions,
        "deletions": file.deletions,
        "lines": file.hunks.iter().map(|hunk| hunk.lines.len()).sum::<usize>(),
        "hunks": file.hunks.iter().map(|hunk: &HunkSheet| &hunk.id).collect::<Vec<_>>(),
    })
}

fn lines_shown(text: &str) -> String {
    text.lines().map(shown).collect::<Vec<_>>().join("\n")
}

/// A part of a file that somebody asks for.
pub(super) struct Asked {
    task: String,
    tip: String,
    file: Option<usize>,
    view: render::View,
    from: usize,
}

impl Asked {
    pub(super) fn new(task: &str, tip: &str, file: &str, query: Option<&str>) -> Self {
        let of = |name: &str| {
            let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
            pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let view = if of("view") == Some("split") { render::View::Split } else { render::View::Unified };
        let from = of("from").and_then(|from| from.parse().ok()).unwrap_or(0);
        Self { task: task.to_owned(), tip: tip.to_owned(), file: file.parse().ok(), view, from }
    }
}

/// A file's change as HTML.
pub(super) fn file(served: &Served, asked: &Asked) -> Result<String, Error> {
    let sheet = served.shelf.take(served, &asked.task, Some(&asked.tip))?;
    let file = asked.file.and_then(|place| sheet.files.get(place));
    let file = file.ok_or_else(|| Error::plain(ErrorKind::Usage, "there is no such file in it"))?;
    let grammars = served.grammars.get_or_init(Grammars::load);
    Ok(render::file(file, asked.view, asked.from, Some(grammars)))
}

/// What the page sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    reviews: Vec<Sheet>,
    /// The flags were seen.
    #[serde(default)]
    accept_flags: bool,
}

/// Do what is said, and wait for what comes of it.
pub(super) fn apply(served: &Served, bytes: &[u8]) -> Result<Value, Error> {
    let said: Said = read(bytes)?;
    let how = served.settings.how.as_ref();
    let how = how.map(|how| How { accept_flags: how.accept_flags || said.accept_flags, ..how.clone() });
    let applied = review::apply(&mut served.session()?, &said.reviews, how.as_ref())?;
    Ok(json!({ "done": applied.iter().map(served.settings.told).collect::<Vec<_>>() }))
}
