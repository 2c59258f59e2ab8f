//! The board, and one task in full.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Error, Session, client, diff, find};
use crate::coordinator::observe::free_memory;
use crate::coordinator::{MERGED_BY, kept_prefix};
use crate::core::change::Refusal;
use crate::core::foresight::{self, Outlook, Told};
use crate::core::id::{AttemptId, TaskHandle, TaskId};
use crate::core::inventory::Inventory;
use crate::core::report::{self, Board, CommitLine, Known, Live, Places, Progress, Seen, Show, Standing, TaskReport};
use crate::core::sandbox::Tier;
use crate::core::schedule;
use crate::core::state::{Attempt, Place, State, Task, TaskState, Waiting};
use crate::core::word::Word;
use crate::git::Repository;
use crate::git::conflict::{Scratch, Sides};
use crate::git::overlay::Layers;
use crate::git::rerere;
use crate::process::clock;
use crate::store::{self, Layout, log, record};

/// The longest line that the board takes from an output.
const LONGEST_LINE: usize = 200;
/// How often it is asked whether results have been compared, and how many times: a third of a second in all.
const MOMENT: (Duration, u32) = (Duration::from_millis(10), 33);

/// All tasks at a glance.
///
/// # Errors
/// Where the journal is damaged or cannot be read.
pub fn board(session: &mut Session, show: Show) -> Result<Board, Error> {
    let state = session.state()?;
    Ok(board_of(session, &state, show))
}

/// The same of a state that was read.
pub(super) fn board_of(session: &mut Session, state: &State, show: Show) -> Board {
    session.wake(state);
    let seen = seen(session, state);
    let mut board = report::board(state, &seen, clock::now(), show);
    board.coordinator = session.layout().map(client::is_up);
    board.unconfined = session.layout().map_or(0, |layout| unconfined(layout, state));
    board
}

/// One task in full.
///
/// # Errors
/// Where the task is unknown, or the journal cannot be read.
pub fn task(session: &mut Session, handle: &TaskHandle) -> Result<TaskReport, Error> {
    let state = session.state()?;
    session.wake(&state);
    let task = find(&state, std::slice::from_ref(handle))?[0];
    let seen = seen(session, &state);
    let known = known(session, task);
    let mut report = report::task(&state, task, &seen, known, clock::now());
    for attempt in report.attempts.iter_mut().filter(|attempt| attempt.outcome.is_none()) {
        if let Some(held) = session.layout().and_then(|layout| held(layout, attempt.id)) {
            (attempt.sandbox, attempt.warnings) = (Some(held.tier), held.warnings);
        }
        attempt.provider = session.layout().and_then(|layout| {
            let spec: Option<record::Spec> = record::load(&layout.attempt(attempt.id).spec()).ok().flatten();
            spec?.provider
        });
        let network = session.layout().map(|layout| record::load(&layout.attempt(attempt.id).network()));
        attempt.network = network.and_then(|network| network.ok().flatten());
    }
    if session.is_inside() {
        // They are for whoever may decide about a result.
        report.hints.clear();
    }
    Ok(report)
}

/// What is seen beside the journal. The limits are those of the configuration here: the coordinator follows the newest
/// request, which is most often one from here.
pub fn seen(session: &Session, state: &State) -> Seen {
    let layout = session.layout();
    Seen {
        live: layout.map(|layout| live(layout, state)).unwrap_or_default(),
        limits: session.limits(),
        free_disk: layout.and_then(|layout| store::free_disk(&layout.state)),
        free_memory: layout.and_then(|layout| free_memory(layout, state)),
        foreseen: layout.map(|layout| foreseen(session.repository(), layout, state)).unwrap_or_default(),
    }
}

/// Conflicts to come, as they were seen last. Where a target has moved since or a task runs, a coordinator that is there is
/// told to look anew, for it cannot notice by itself; none is started for that.
fn foreseen(repository: &Repository, layout: &Layout, state: &State) -> BTreeMap<TaskId, Told> {
    let foresight = store::foreseen::load(layout);
    let head = |outlook: &Outlook| Some((outlook.target.clone(), repository.head_of(&outlook.target).ok()??));
    let heads = foresight.targets.iter().filter_map(head).collect();
    if foresight.targets.iter().any(|outlook| outlook.is_to_look_at(&heads)) {
        client::poke(layout);
    }
    foresight::told(state, &foresight, &heads)
}

/// What lies ahead of these, which have ended just now: the coordinator gets a moment to look at them, too.
pub fn ahead(session: &Session, state: &State, tasks: &[TaskId]) -> Seen {
    let Some(layout) = session.layout() else { return Seen::default() };
    let open = foresight::open(state);
    let tasks = tasks.iter().copied().collect();
    for _ in 0..MOMENT.1 {
        if store::foreseen::load(layout).has_compared(&open, &tasks) || !client::is_up(layout) {
            break;
        }
        std::thread::sleep(MOMENT.0);
    }
    Seen { foreseen: foreseen(session.repository(), layout, state), ..Seen::default() }
}

/// What a task waits for that does not start at once: as the board says it, and what to do where that is known.
pub fn waits(session: &Session, state: &State, id: TaskId) -> Option<String> {
    let task = state.task(id).filter(|task| task.state == TaskState::Pending)?;
    let (seen, now) = (seen(session, state), clock::now());
    let (free_disk, free_memory) = (seen.free_disk, seen.free_memory);
    let room = Inventory { free_disk, free_memory, ..Inventory::default() };
    let place = schedule::line(state, &room, &seen.limits, now).remove(&id);
    if place.as_ref().is_some_and(|place| place.starts) {
        return None;
    }
    let row = report::row(state, task, &seen, now);
    let disk = session.layout().map(|layout| layout.state.display().to_string()).unwrap_or_default();
    Some(match place.map(|place| place.waiting) {
        None if row.state == Standing::Blocked => format!("blocked {}", row.why),
        Some(Waiting::Paused) => "the queue is paused, and `pleach resume` goes on".to_owned(),
        Some(Waiting::Agent(agent)) => format!("{}; `pleach resume --agent {agent}` goes on at once", row.why),
        Some(Waiting::Memory) => format!("{}: see `pleach doctor`", row.why),
        Some(Waiting::Disk) => format!("{} ({disk}): see `pleach doctor`", row.why),
        _ => row.why,
    })
}

/// How many tasks run without any sandbox.
pub fn unconfined(layout: &Layout, state: &State) -> usize {
    let running = state.open().filter(|task| matches!(task.state, TaskState::Running { .. }));
    running
        .filter_map(Task::last_attempt)
        .filter(|attempt| held(layout, *attempt).is_some_and(|held| held.tier == Tier::None))
        .count()
}

/// How far a running attempt is kept to itself.
fn held(layout: &Layout, attempt: AttemptId) -> Option<record::Held> {
    record::load(&layout.attempt(attempt).held()).ok().flatten()
}

/// What running attempts say of themselves.
pub fn live(layout: &Layout, state: &State) -> BTreeMap<AttemptId, Live> {
    let running = state.open().filter(|task| matches!(task.state, TaskState::Running { .. }));
    running.filter_map(Task::last_attempt).map(|attempt| (attempt, live_attempt(layout, attempt))).collect()
}

fn live_attempt(layout: &Layout, attempt: AttemptId) -> Live {
    let dir = layout.attempt(attempt);
    // What cannot be read now is only not shown.
    let said: record::Progress = record::load(&dir.progress()).ok().flatten().unwrap_or_default();
    // What it says on purpose goes before what is seen of its agent.
    let doing = said.text.or_else(|| said.account.as_ref().and_then(|account| account.tool.clone()));
    let has_progress = said.done.is_some() || doing.is_some();
    let progress = has_progress.then(|| Progress {
        done: said.done.unwrap_or(0),
        total: said.total,
        text: doing.unwrap_or_default(),
    });
    let last_line = match said.account {
        // Its lines are for programs.
        Some(account) => account.message.as_deref().and_then(|text| text.lines().next_back()).map(str::to_owned),
        None => log::last_line(&dir.log(), LONGEST_LINE).ok().flatten(),
    };
    let warnings = held(layout, attempt).map(|held| held.warnings).unwrap_or_default();
    let ended: Option<record::Exit> = record::load(&dir.ended()).ok().flatten();
    let saving_since = ended.map(|exit| exit.ended);
    Live { progress, last_line, saving_since, no_room: dir.no_room().exists(), warnings }
}

fn known(session: &Session, task: &Task) -> Known {
    let places = task.attempts.iter().map(|attempt| (attempt.number, places(session, task, attempt))).collect();
    let change = task.result_attempt().and_then(|attempt| {
        let change = attempt.ended.as_ref()?.result.change()?;
        Some((attempt.base?, change.tip))
    });
    // A result whose objects are gone is still a task that can be looked at.
    let files = change.and_then(|(base, tip)| diff::files(session.repository(), base, tip).ok());
    let commits = change.and_then(|(base, tip)| session.repository().subjects(base, tip, 100).ok());
    let commits = commits.unwrap_or_default().into_iter().map(|(id, subject)| CommitLine { id, subject }).collect();
    let rerere = rerere(session, task).unwrap_or_default();
    let merged_by = match &task.state {
        TaskState::Folded(folded) => session.repository().trailer(folded.landing.to, MERGED_BY).ok().flatten(),
        _ => None,
    };
    Known { places, files: files.unwrap_or_default(), commits, rerere, merged_by }
}

/// The paths of its conflict that `git rerere` knows how to resolve; none where that cannot be looked up.
fn rerere(session: &Session, task: &Task) -> Option<Vec<Word>> {
    let TaskState::Refused { refusal: Refusal::Conflict(conflict), .. } = &task.state else { return None };
    let repository = session.repository();
    if !rerere::is_in_use(repository) {
        return None;
    }
    let attempt = task.result_attempt()?;
    let tip = task.change(attempt.number)?.tip;
    let sides = Sides { base: attempt.base?, ours: conflict.onto, theirs: tip, replay: task.undone };
    let scratch = Scratch::new(repository, &session.layout()?.state).ok()?;
    let left = scratch.merge(&sides).ok()??;
    let known = rerere::known(&scratch, &sides, &left).ok()?;
    Some(known.iter().map(|known| left.paths[known.place].path.clone()).collect())
}

fn places(session: &Session, task: &Task, attempt: &Attempt) -> Places {
    let id = task.attempt_id(attempt.number);
    let Some(layout) = session.layout() else { return Places::default() };
    let change = task.change(attempt.number);
    // `gc` leaves the ref of a fold that nothing else holds.
    let is_there = |name: &String| session.repository().ref_value(name).is_ok_and(|commit| commit.is_some());
    let layers = Layers::find(&layout.attempt(id).overlay(), &layout.images());
    let is_present = attempt.place == Place::Present;
    Places {
        log: Some(layout.attempt(id).log()).filter(|log| log.exists()).map(Word::from),
        worktree: (is_present && layers.is_none()).then(|| layout.worktree(id).into()),
        written: layers.filter(|_| is_present).map(|layers| layers.upper().into()),
        kept: change.map(|_| format!("{}tip", kept_prefix(id))).filter(|name| !attempt.freed || is_there(name)),
    }
}
