//! All tasks, kept up to date for somebody who looks on: each look reads only what was added to the journal.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::logs::{self, Log};
use super::queue::{self, LineReport};
use super::{Error, Session, client, look};
use crate::core::estimate::{self, Expected};
use crate::core::id::{AttemptId, TaskHandle, TaskId};
use crate::core::report::{self, Board, Row, Seen, Show, Standing};
use crate::core::state::{State, Task, TaskState};
use crate::process::{clock, load};
use crate::store::Layout;
use crate::store::follow::Follower;
use crate::store::record;

/// Milliseconds after which what is not in the journal (progress, output, processors) is looked at again.
const AGAIN: i64 = 1000;

/// Who looks on.
#[derive(Debug)]
pub struct Monitor {
    directory: PathBuf,
    session: Session,
    follower: Option<Follower>,
    /// Settled tasks too?
    pub show: Show,
    loads: BTreeMap<AttemptId, (Timestamp, load::Load)>,
    looked: Option<(Timestamp, Show)>,
    opened: Timestamp,
}

/// How everything stands at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// The tasks.
    pub board: Board,
    /// The line of each target.
    pub lines: Vec<LineReport>,
    /// What the tasks that run take of the machine.
    pub loads: BTreeMap<TaskId, Load>,
    /// About how long each that runs goes on, in milliseconds; 0 where it runs longer than usual. Where nothing is known, nothing.
    pub left: BTreeMap<TaskId, u64>,
    /// The same of all that run or wait, together.
    pub all_left: Option<u64>,
}

/// What a task takes of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Of one processor, in percent, since the look before; none at the first look.
    pub cpu: Option<u64>,
    /// Bytes of memory.
    pub memory: u64,
}

impl Monitor {
    /// Look on in the repository of this directory.
    ///
    /// # Errors
    /// Where there is none.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let session = Session::open(directory)?;
        let directory = directory.to_owned();
        let (loads, opened) = (BTreeMap::new(), clock::now());
        Ok(Self { directory, session, follower: None, show: Show::Open, loads, looked: None, opened })
    }

    /// Milliseconds from the start to the last look.
    pub fn watched(&self) -> u64 {
        let looked = self.looked.map_or(self.opened, |(at, _)| at);
        u64::try_from(looked.as_millisecond() - self.opened.as_millisecond()).unwrap_or(0)
    }

    /// The directory that is looked on in, as people name it.
    pub fn place(&self) -> PathBuf {
        let found = &self.session.found;
        found
            .checkout
            .as_ref()
            .map_or_else(|| found.repository.common_dir().to_owned(), |checkout| checkout.top.clone())
    }

    /// How everything stands, where that has changed or was not looked at for a second.
    ///
    /// # Errors
    /// Where the journal is damaged or cannot be read.
    pub fn look(&mut self) -> Result<Option<Picture>, Error> {
        Ok(self.is_new()?.map(|now| self.picture(now)))
    }

    /// Now, where there is something new or a second has passed.
    fn is_new(&mut self) -> Result<Option<Timestamp>, Error> {
        let now = clock::now();
        let known = self.looked.filter(|(_, show)| *show == self.show).map(|(at, _)| at);
        let is_due = known.is_none_or(|at| (now.as_millisecond() - at.as_millisecond()).abs() >= AGAIN);
        if self.follower.is_none() && is_due {
            self.find()?;
        }
        let changed = self.follower.as_mut().map_or(Ok(false), Follower::look)?;
        if !changed && !is_due {
            return Ok(None);
        }
        self.looked = Some((now, self.show));
        Ok(Some(now))
    }

    /// Where these stand, where that has changed or was not looked at for a second.
    ///
    /// # Errors
    /// Where the journal is damaged or cannot be read.
    pub fn rows(&mut self, ids: &[TaskId]) -> Result<Option<Vec<Row>>, Error> {
        let Some(now) = self.is_new()? else { return Ok(None) };
        let Some(state) = self.follower.as_ref().map(Follower::state) else { return Ok(None) };
        let live = self.session.layout().map(|layout| look::live(layout, state)).unwrap_or_default();
        let seen = Seen { live, limits: self.session.limits(), ..Seen::default() };
        let tasks: Vec<&Task> = ids.iter().filter_map(|id| state.task(*id)).collect();
        Ok(Some(report::rows(state, &tasks, &seen, now)))
    }

    /// How long a task usually takes, in milliseconds, if that is known; none where there is no such task.
    pub fn usual(&self, task: TaskId) -> Option<Option<u64>> {
        let state = self.follower.as_ref()?.state();
        Some(estimate::usual(state, state.task(task)?))
    }

    /// How many tasks run at once.
    pub fn slots(&self) -> usize {
        self.session.limits().tasks
    }

    /// The log of a task's newest attempt from its last lines on; none where it has not run.
    pub fn log(&self, task: TaskId, tail: usize) -> Option<Log> {
        logs::open(&self.session, &TaskHandle::Id(task), None, Some(tail)).ok()
    }

    /// The first task of a repository makes the place where it is written down.
    fn find(&mut self) -> Result<(), Error> {
        if self.session.layout().is_none() {
            self.session = Session::open(&self.directory)?;
        }
        self.follower = self.session.layout().cloned().map(Follower::new);
        Ok(())
    }

    fn picture(&mut self, now: Timestamp) -> Picture {
        let nothing = State::default();
        let state = self.follower.as_ref().map_or(&nothing, Follower::state);
        let layout = self.session.layout().cloned();
        // Whoever looks on sees to it that the work goes on, as with every look.
        self.session.wake(state);
        let mut board = report::board(state, &look::seen(&self.session, state), now, self.show);
        board.coordinator = layout.as_ref().map(client::is_up);
        board.unconfined = layout.as_ref().map_or(0, |layout| look::unconfined(layout, state));
        let lines = queue::of(state, &board.tasks).lines;
        let running = state.open().filter(|task| matches!(task.state, TaskState::Running { .. }));
        let running: Vec<AttemptId> = running.filter_map(Task::last_attempt).collect();
        let load_of = |id: &AttemptId| Some((*id, load_of(layout.as_ref()?, *id)?));
        let seen: BTreeMap<_, _> = running.iter().filter_map(load_of).collect();
        let loads = seen.iter().map(|(id, load)| (id.task, since(self.loads.get(id), now, load))).collect();
        // Two looks at the same moment would measure nothing.
        let kept = seen.into_iter().map(|(id, load)| {
            let before = self.loads.get(&id).filter(|(at, _)| now.as_millisecond() - at.as_millisecond() < AGAIN / 2);
            (id, before.copied().unwrap_or((now, load)))
        });
        self.loads = kept.collect();
        let (left, all_left) = time_left(state, &board.tasks, self.session.limits().tasks);
        Picture { board, lines, loads, left, all_left }
    }
}

fn time_left(state: &State, rows: &[Row], slots: usize) -> (BTreeMap<TaskId, u64>, Option<u64>) {
    let is_ahead = |row: &&Row| matches!(row.state, Standing::Waiting | Standing::Running | Standing::Cancelling);
    let rows: Vec<&Row> = rows.iter().filter(is_ahead).collect();
    let usual = estimate::usual_of(state, rows.iter().filter_map(|row| state.task(row.id)));
    let expected = rows.iter().map(|row| {
        let elapsed = row.duration_ms.filter(|_| row.state != Standing::Waiting);
        (row.id, Expected { usual: usual.get(&row.id).copied(), elapsed })
    });
    let expected: Vec<(TaskId, Expected)> = expected.collect();
    let of_one = |(id, it): &(TaskId, Expected)| Some((*id, it.usual?.saturating_sub(it.elapsed?)));
    let each = expected.iter().filter_map(of_one).collect();
    let all: Vec<Expected> = expected.iter().map(|(_, expected)| *expected).collect();
    (each, estimate::left(&all, slots).filter(|_| !all.is_empty()))
}

fn load_of(layout: &Layout, attempt: AttemptId) -> Option<load::Load> {
    let dir = layout.attempt(attempt);
    let run: record::Run = record::load(&dir.run()).ok().flatten()?;
    load::below(run.shim, dir.0.as_os_str().as_encoded_bytes())
}

fn since(before: Option<&(Timestamp, load::Load)>, now: Timestamp, load: &load::Load) -> Load {
    let cpu = before.and_then(|(at, before)| {
        let wall = u64::try_from(now.as_millisecond() - at.as_millisecond()).ok().filter(|wall| *wall > 0)?;
        Some(load.cpu_ms.saturating_sub(before.cpu_ms) * 100 / wall)
    });
    Load { cpu, memory: load.memory }
}
