//! How far one is who waits: on a terminal one line in place, elsewhere a line for each thing that happens; both on
//! standard error.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::board;
use super::commands::Context;
use super::style::{Paint, Style, count, fit};
use super::time::{about, span};
use crate::config::env;
use crate::core::estimate::{Expected, left};
use crate::core::id::TaskId;
use crate::core::report::{Row, Standing};
use crate::core::word::shown;
use crate::ops::monitor::Monitor;

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(150);
/// What is over sooner need not say how far it is, in milliseconds.
const SOON: u64 = 400;

/// Who waits for tasks, and what was told of them.
pub(super) struct Progress {
    monitor: Monitor,
    ids: Vec<TaskId>,
    style: Style,
    in_place: bool,
    rows: Vec<Row>,
    /// What each usually takes.
    usual: BTreeMap<TaskId, Option<u64>>,
    told: BTreeMap<TaskId, String>,
    is_drawn: bool,
}

impl Progress {
    /// Somebody waits for these. None where that cannot be looked at: then they wait without.
    pub(super) fn new(context: &Context, ids: &[TaskId]) -> Option<Self> {
        let in_place = io::stderr().is_terminal() && !env::look().dumb;
        Some(Self {
            monitor: Monitor::open(&context.directory).ok()?,
            ids: ids.to_vec(),
            style: Style::of_stderr(context.color),
            in_place,
            rows: Vec::new(),
            usual: BTreeMap::new(),
            told: BTreeMap::new(),
            is_drawn: false,
        })
    }

    /// Look, and tell what is new. `may_draw`: the cursor is where a line may be drawn in place.
    pub(super) fn look(&mut self, may_draw: bool) {
        // What cannot be looked at now is not told; who waits hears of the end all the same.
        if let Ok(Some(rows)) = self.monitor.rows(&self.ids) {
            self.rows = rows;
            for id in &self.ids {
                // Asked once: it is the same for as long as it runs.
                if !self.usual.contains_key(id)
                    && let Some(usual) = self.monitor.usual(*id)
                {
                    self.usual.insert(*id, usual);
                }
            }
            if !self.in_place {
                self.tell_events();
            } else if may_draw {
                self.draw();
            }
        } else if self.in_place && may_draw && !self.is_drawn && !self.rows.is_empty() {
            self.draw();
        }
    }

    /// Take the line in place away: somebody else writes.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.is_drawn) {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }

    /// About how long it will take, in words.
    pub(super) fn estimate(&self) -> Option<String> {
        let open: Vec<&Row> = self.rows.iter().filter(|row| is_ahead(row.state)).collect();
        let expected = open.iter().map(|row| Expected {
            usual: self.usual.get(&row.id).copied().flatten(),
            elapsed: row.duration_ms.filter(|_| row.state != Standing::Waiting),
        });
        let expected: Vec<Expected> = expected.collect();
        if expected.is_empty() {
            return None;
        }
        Some(match left(&expected, self.monitor.slots())? {
            0 => "longer than usual".to_owned(),
            left => format!("about {} left", about(left)),
        })
    }

    fn draw(&mut self) {
        // What is merged may have run for a moment, and its check takes long.
        let oldest = self.rows.iter().filter_map(|row| row.duration_ms).max().unwrap_or(SOON);
        if oldest.max(self.monitor.watched()) < SOON {
            return;
        }
        let text = self.words();
        // The last column stays free: some terminals would begin a new line there.
        let text = fit(&text, self.style.width.unwrap_or(80).saturating_sub(1)).into_owned();
        let _ = write!(io::stderr(), "\r\x1b[2K{}", self.style.paint(Paint::Faint, text));
        let _ = io::stderr().flush();
        self.is_drawn = true;
    }

    /// What counts comes first: a narrow terminal shows no more than that.
    fn words(&self) -> String {
        let left = self.estimate().unwrap_or_default();
        let name =
            |row: &Row| row.name.as_ref().map_or_else(|| row.id.to_string(), |name| format!("{} {name}", row.id));
        if let [row] = &self.rows[..] {
            let time = row.duration_ms.filter(|_| row.outcome.is_none()).map(span).unwrap_or_default();
            return join(&[format!("{} {}", name(row), row.state), time, left, board::note(row)]);
        }
        let with = |wanted: &dyn Fn(Standing) -> bool| self.rows.iter().filter(|row| wanted(row.state)).count();
        let over = with(&|state| !is_ahead(state) && !is_landing(state));
        let parts = [
            (with(&|state| matches!(state, Standing::Running | Standing::Cancelling)), "running"),
            (with(&|state| matches!(state, Standing::Waiting | Standing::Blocked)), "waiting"),
            (with(&is_landing), "on their way in"),
        ];
        let parts = parts.iter().filter(|(number, _)| *number > 0).map(|(number, word)| format!("{number} {word}"));
        let newest = self.rows.iter().rev().find(|row| row.state == Standing::Running);
        let newest = newest.map(|row| format!("{} {}", name(row), board::note(row))).unwrap_or_default();
        let whole = format!("{over} of {} are through", count(self.rows.len() as u64, "task"));
        join(&[whole, parts.collect::<Vec<_>>().join(", "), left, newest.trim().to_owned()])
    }

    /// A line for each that stands elsewhere than before. Where they stood first is no event, unless it is known for how long.
    fn tell_events(&mut self) {
        for row in &self.rows {
            let event = event(row);
            let before = self.told.insert(row.id, event.clone());
            let usual = self.usual.get(&row.id).copied().flatten().filter(|_| row.state == Standing::Running);
            if before.map_or(usual.is_some(), |before| before != event) {
                let name = row.name.as_ref().map(|name| format!(" ({})", shown(name.as_str()))).unwrap_or_default();
                let usual = usual.map(|usual| format!(", usually for {}", about(usual))).unwrap_or_default();
                let _ = writeln!(io::stderr(), "task {}{name}: {event}{usual}", row.id);
            }
        }
    }
}

/// Where it stands, in words that stay the same for as long as it stands there.
fn event(row: &Row) -> String {
    let state = row.state.as_str();
    match row.state {
        Standing::Waiting => state.to_owned(),
        Standing::Running | Standing::Cancelling => match row.attempt {
            0 | 1 => state.to_owned(),
            attempt => format!("{state}, attempt {attempt}"),
        },
        Standing::Queued | Standing::Landing => join(&[state.to_owned(), shown(&row.why)]),
        _ => {
            let time = row.duration_ms.map(|took| format!("after {}", span(took))).unwrap_or_default();
            let what = board::change(row.files, row.insertions, row.deletions);
            join(&[format!("{state} {time}").trim().to_owned(), what, shown(&row.why)])
        }
    }
}

fn join(parts: &[String]) -> String {
    parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join(" · ")
}

fn is_ahead(state: Standing) -> bool {
    matches!(state, Standing::Waiting | Standing::Running | Standing::Cancelling)
}

fn is_landing(state: Standing) -> bool {
    matches!(state, Standing::Queued | Standing::Landing)
}

/// The same for who waits in one go: told by a thread, until it is dropped.
pub(super) struct Ticking(Option<(Sender<()>, JoinHandle<()>)>);

impl Ticking {
    /// Tell how far these are, unless it is to be quiet.
    pub(super) fn start(context: &Context, ids: &[TaskId], is_quiet: bool) -> Self {
        let progress = if is_quiet || ids.is_empty() { None } else { Progress::new(context, ids) };
        Self(progress.map(|mut progress| {
            let (stop, stopped) = channel();
            // What stands now is known before anything is asked for.
            progress.look(false);
            let thread = std::thread::spawn(move || {
                while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                    progress.look(true);
                }
                progress.look(false);
                progress.clear();
            });
            (stop, thread)
        }))
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}
