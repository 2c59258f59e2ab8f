//! The loop itself, and what only it may touch: the state, the journal, the inventory.

mod act;
mod inside;
mod record;
mod tidy;

use std::collections::BTreeMap;
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::collect::{self, words};
use super::protocol::{NewPlan, Refused, RefusedKind, Request, Response, Until};
use super::{World, foresee, listen, log, notify, observe, plans, recover, remove, requests, sweep};
use crate::core::action::{Action, Subject};
use crate::core::decide::decide;
use crate::core::event::Event;
use crate::core::footing::Footing;
use crate::core::id::{AttemptId, CommitId, TaskId};
use crate::core::inventory::{Inventory, Shim};
use crate::core::kinds::Kind;
use crate::core::policy::Limits;
use crate::core::state::{State, Task, TaskState};
use crate::core::task::TaskSpec;
use crate::core::verify::attempt_of;
use crate::process::{clock, socket};
use crate::store::environment::Environment;
use crate::store::journal::Journal;
use crate::store::{self, StoreError, secrets};

/// The longest that a failing action waits before it is tried again.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// How long before locks of which nothing is sure yet are looked at again.
const LOCKS_AGAIN: Duration = Duration::from_millis(500);

/// What reaches the loop.
pub(super) enum Message {
    /// Somebody asks.
    Request { request: Request, answer: oneshot::Sender<Response> },
    /// Somebody wants to be told of each event.
    Watch(mpsc::Sender<()>),
    /// An action came back.
    Acted { action: Action, result: Result<Acted, String> },
    /// Refused results were taken over once more, as far as that could be done: then they are restored.
    Recovered {
        attempts: Vec<AttemptId>,
        results: Vec<Result<Event, Refused>>,
        request: Request,
        answer: oneshot::Sender<Response>,
    },
    /// A subject that failed has rested.
    Rested(Subject),
    /// The locks that were met have been looked at; are there any of which nothing is sure yet?
    Locks(bool),
    /// These conflicts are to come.
    Foreseen(foresee::Memory),
    /// Somebody who waited for an answer, or watched, is gone.
    AskerGone,
    /// The trash is empty after a cache went into it.
    RoomMade,
    /// A shim is gone.
    ShimGone(AttemptId),
    /// Somebody asks us to leave: a signal.
    Leave,
}

/// What an action brought.
#[derive(Debug, Default)]
pub(super) struct Acted {
    events: Vec<Event>,
    shim: Option<Child>,
}

impl From<Vec<Event>> for Acted {
    fn from(events: Vec<Event>) -> Self {
        Self { events, shim: None }
    }
}

struct Coordinator {
    world: Arc<World>,
    journal: Journal,
    state: State,
    seen: Inventory,
    limits: Limits,
    inbox: mpsc::UnboundedSender<Message>,
    shims: BTreeMap<AttemptId, Child>,
    backoff: BTreeMap<Subject, Duration>,
    waiters: Vec<Waiter>,
    watchers: Vec<mpsc::Sender<()>>,
    wake: Option<jiff::Timestamp>,
    leaving: bool,
    /// The identity of the lock file that makes us the coordinator.
    home: Option<(u64, u64)>,
    /// There may be locks that a killed git of ours left.
    has_locks: bool,
    /// The numbers and pooled worktrees of candidates that are being made.
    numbers: BTreeMap<Subject, (u32, u32)>,
    /// What the actions rely on that are under way.
    footings: BTreeMap<Subject, Footing>,
    foreseer: foresee::Foreseer,
    /// Up to which event the secrets were let go of that nobody needs any more.
    swept: u64,
    notifier: notify::Notifier,
    /// A cache that was thrown away is being deleted.
    makes_room: bool,
}

struct Waiter {
    tasks: Vec<TaskId>,
    until: Until,
    any: bool,
    answer: oneshot::Sender<Response>,
}

/// Lead until there has been nothing to do for `idle`.
///
/// # Errors
/// Where the journal cannot be read or written: then nothing that we say could be believed.
pub(super) async fn run(world: Arc<World>, limits: Limits, idle: Duration) -> Result<(), StoreError> {
    let home = observe::identity(&world.layout.lock());
    let (journal, state) = Journal::open(&world.layout)?;
    let socket_path = world.layout.socket();
    let listener = socket::listen(&socket_path).and_then(|listener| {
        listener.set_nonblocking(true)?;
        tokio::net::UnixListener::from_std(listener)
    });
    let listener = listener.map_err(StoreError::file("listen at", &socket_path))?;
    let (inbox, mut messages) = mpsc::unbounded_channel();
    tokio::task::spawn_local(listen::listen(listener, inbox.clone(), world.layout.state.as_path().into()));
    tokio::task::spawn_local(leave_on_signal(inbox.clone()));
    sweep::sweep(&world, &state);
    let mut this = Coordinator {
        foreseer: foresee::Foreseer::new(&world),
        notifier: notify::Notifier::new(&world.repository),
        world,
        journal,
        state,
        seen: Inventory::default(),
        limits,
        inbox,
        shims: BTreeMap::new(),
        backoff: BTreeMap::new(),
        waiters: Vec::new(),
        watchers: Vec::new(),
        wake: None,
        leaving: false,
        home,
        has_locks: true,
        numbers: BTreeMap::new(),
        footings: BTreeMap::new(),
        swept: u64::MAX,
        makes_room: false,
    };
    this.clear_locks(Duration::ZERO);
    this.empty_trash();
    this.observe_all();
    // Somebody may have died between a failure and what follows from it.
    this.record(Vec::new())?;
    while !this.leaving {
        this.turn()?;
        let wait = this.sleep(idle);
        match tokio::time::timeout(wait, messages.recv()).await {
            Ok(Some(message)) => this.receive(message)?,
            Ok(None) => break,
            Err(_) if this.is_idle() && this.wake.is_none_or(|at| at > clock::now()) => break,
            Err(_) => {}
        }
        while let Ok(message) = messages.try_recv() {
            this.receive(message)?;
        }
    }
    if !this.is_at_home() {
        log("leaves: its repository was moved or deleted");
        return Ok(());
    }
    let _ = std::fs::remove_file(socket_path);
    if this.journal.is_long() {
        this.journal.compact(&this.state)?;
    }
    Ok(())
}

async fn leave_on_signal(inbox: mpsc::UnboundedSender<Message>) {
    use tokio::signal::unix::{SignalKind, signal};
    if let Ok(mut asked) = signal(SignalKind::terminate()) {
        asked.recv().await;
        let _ = inbox.send(Message::Leave);
    }
}

impl Coordinator {
    /// Decide, and set the actions going, until there is nothing more to set going.
    fn turn(&mut self) -> Result<(), StoreError> {
        self.seen.free_disk = store::free_disk(&self.world.layout.state);
        self.seen.free_memory = observe::free_memory(&self.world.layout, &self.state);
        loop {
            let known = self.state.events();
            let decision = decide(&self.state, &self.seen, &self.limits, clock::now());
            self.wake = decision.wake_at;
            for action in decision.actions {
                self.set_going(action)?;
            }
            // Some are done by being written down, and then there may be more to do.
            if self.state.events() == known {
                break;
            }
        }
        if self.swept != self.state.events() {
            self.swept = self.state.events();
            let may_start = |task: &Task| matches!(task.state, TaskState::Pending | TaskState::Running { .. });
            secrets::sweep(&self.world.layout, |id| self.state.task(id).is_some_and(may_start));
        }
        self.make_room();
        self.foreseer.look(&self.state, &self.world, &self.inbox);
        if self.journal.is_long() {
            self.journal.compact(&self.state)?;
        }
        Ok(())
    }

    fn sleep(&self, idle: Duration) -> Duration {
        let due = self.wake.map(|at| at.duration_since(clock::now()).unsigned_abs());
        let due = due.filter(|_| self.wake.is_some_and(|at| at > clock::now())).or(self.wake.map(|_| Duration::ZERO));
        let rest = if self.is_idle() { idle } else { Duration::from_secs(3600) };
        due.map_or(rest, |due| due.max(Duration::from_millis(10)).min(rest))
    }

    fn is_idle(&self) -> bool {
        !self.has_locks
            && self.seen.busy.is_empty()
            && self.waiters.is_empty()
            && self.watchers.is_empty()
            && self.foreseer.is_idle()
            && self.notifier.is_idle()
            && !self.makes_room
            && !self.state.has_work()
    }

    /// Is the repository still where it was? Where it was moved, our socket and our lock have moved with it, and whoever
    /// asks there must get a coordinator that knows the new place; at the old place there may be another repository.
    fn is_at_home(&self) -> bool {
        self.home.is_some() && observe::identity(&self.world.layout.lock()) == self.home
    }

    fn receive(&mut self, message: Message) -> Result<(), StoreError> {
        if !self.is_at_home() {
            // Who asked gets no answer, and asks again.
            self.leaving = true;
            return Ok(());
        }
        match message {
            Message::Request { request, answer } => self.answer(request, answer)?,
            Message::Watch(tick) => self.watchers.push(tick),
            Message::Acted { action, result } => self.acted(action, result)?,
            Message::Recovered { attempts, results, request, answer } => {
                self.seen.busy.retain(|subject| !attempts.iter().any(|id| *subject == Subject::Attempt(*id)));
                let response = self.recovered(results, &request)?;
                let _ = answer.send(response);
            }
            Message::Rested(subject) => {
                self.seen.busy.remove(&subject);
            }
            Message::Locks(has_locks) => {
                self.has_locks = has_locks;
                if has_locks {
                    self.clear_locks(LOCKS_AGAIN);
                }
            }
            Message::Foreseen(seen) => self.foreseer.ended(seen),
            Message::AskerGone => {
                self.waiters.retain(|waiter| !waiter.answer.is_closed());
                self.watchers.retain(|tick| !tick.is_closed());
            }
            Message::RoomMade => self.makes_room = false,
            Message::ShimGone(attempt) => self.observe(attempt),
            Message::Leave => self.leaving = true,
        }
        Ok(())
    }

    fn answer(&mut self, request: Request, answer: oneshot::Sender<Response>) -> Result<(), StoreError> {
        let response = match request {
            Request::Poke => {
                self.foreseer.want();
                self.observe_all();
                Response::Yes
            }
            Request::Submit { spec, secrets, limits } => self.submit(*spec, &secrets, limits)?,
            Request::SubmitPlan { plan, specs, secrets, limits } => self.submit_plan(&plan, specs, &secrets, limits)?,
            Request::Await { tasks, until, any } => {
                if !requests::has_reached(&self.state, &tasks, until, any) {
                    self.waiters.push(Waiter { tasks, until, any, answer });
                    return Ok(());
                }
                Response::Yes
            }
            Request::Inside(relayed) => return self.inside(*relayed, answer),
            Request::Free { attempts } => self.free(&attempts)?,
            Request::TakePart { of, seen, tip } => self.take_part(of, seen, tip)?,
            Request::Restore { attempts } if !requests::refused(&self.state, &attempts).is_empty() => {
                self.recover(attempts, answer);
                return Ok(());
            }
            request => self.judge(&request)?,
        };
        let _ = answer.send(response);
        Ok(())
    }

    fn submit(&mut self, spec: TaskSpec, given: &Environment, limits: Limits) -> Result<Response, StoreError> {
        self.limits = limits;
        if let Some(task) = self.state.find_request(&spec.request) {
            return Ok(Response::Submitted(task.id));
        }
        let missing = spec.needs.iter().find(|need| self.state.task(**need).is_none());
        if let Some(missing) = missing {
            return Ok(Response::No(Refused {
                kind: RefusedKind::UnknownTask,
                message: format!("there is no task {missing} to come after"),
                hint: Some("see all tasks with `pleach ls --all`".to_owned()),
            }));
        }
        let task = self.state.next_task();
        secrets::keep(&self.world.layout, task, given)?;
        self.record(vec![Event::Submitted { task, spec: Box::new(spec) }])?;
        Ok(Response::Submitted(task))
    }

    fn submit_plan(
        &mut self,
        new: &NewPlan,
        specs: Vec<TaskSpec>,
        given: &[Environment],
        limits: Limits,
    ) -> Result<Response, StoreError> {
        self.limits = limits;
        match plans::judge(&self.state, new, specs) {
            Err(refused) => Ok(Response::No(refused)),
            Ok(plans::Judged::Known(id)) => Ok(Response::Planned(id)),
            Ok(plans::Judged::New(mut plan, specs)) => {
                plan.submitted = clock::now();
                let id = plan.id.clone();
                for (task, given) in plan.tasks().zip(given) {
                    secrets::keep(&self.world.layout, task, given)?;
                }
                self.record(vec![Event::Planned { plan, specs }])?;
                Ok(Response::Planned(id))
            }
        }
    }

    fn judge(&mut self, request: &Request) -> Result<Response, StoreError> {
        match requests::judge(&self.state, request) {
            Err(refused) => Ok(Response::No(refused)),
            Ok(events) => {
                use Request as R;
                let shown =
                    matches!(request, R::Discard { .. } | R::Restore { .. } | R::Retry { .. } | R::Cancel { .. });
                if let R::Retry { secrets: given, .. } = request {
                    let again = |id: &TaskId| events.iter().any(|event| event.task() == Some(*id));
                    for (task, given) in given.iter().filter(|(task, _)| again(task)) {
                        secrets::keep(&self.world.layout, *task, given)?;
                    }
                }
                let touched: Vec<TaskId> = events.iter().filter_map(Event::task).filter(|_| shown).collect();
                self.record(events)?;
                self.show_branches(&touched);
                Ok(Response::Yes)
            }
        }
    }

    fn free(&mut self, attempts: &[AttemptId]) -> Result<Response, StoreError> {
        for attempt in attempts {
            match remove::free(&self.world, &self.state, *attempt) {
                Ok(events) => self.record(events)?,
                Err(error) => {
                    return Ok(Response::No(Refused {
                        kind: RefusedKind::Internal,
                        message: format!("attempt {attempt} cannot be freed: {}", words(&error)),
                        hint: Some("it is all still there: see what is wrong with `pleach doctor`".to_owned()),
                    }));
                }
            }
        }
        self.empty_trash();
        Ok(Response::Yes)
    }

    /// A part of a result is taken here and now: nothing else may happen to the task between the look and the record.
    fn take_part(&mut self, of: AttemptId, seen: usize, tip: CommitId) -> Result<Response, StoreError> {
        let attempt = match requests::part(&self.state, of, seen, tip) {
            Err(refused) => return Ok(Response::No(refused)),
            Ok(None) => return Ok(Response::Yes),
            Ok(Some(attempt)) => attempt,
        };
        let Some(task) = self.state.task(of.task) else { return Ok(Response::Yes) };
        match collect::take_part(&self.world, task, of, attempt, tip) {
            Ok(events) => self.record(events).map(|()| Response::Yes),
            Err(error) => Ok(Response::No(Refused {
                kind: RefusedKind::Internal,
                message: format!("a part of attempt {of} cannot be taken: {}", words(&error)),
                hint: Some("the whole result is as it was: see what is wrong with `pleach doctor`".to_owned()),
            })),
        }
    }

    /// What was refused is taken over once more, by a thread of its own: it may take as long as the end of a task does.
    fn recover(&mut self, attempts: Vec<AttemptId>, answer: oneshot::Sender<Response>) {
        let refused = requests::refused(&self.state, &attempts);
        let is_busy = |attempt: &AttemptId| self.seen.busy.contains(&Subject::Attempt(*attempt));
        if let Some(attempt) = refused.iter().find(|attempt| is_busy(attempt)) {
            let message = format!("somebody is at work on attempt {attempt}");
            let hint = Some("try again in a moment".to_owned());
            let _ = answer.send(Response::No(Refused { kind: RefusedKind::WrongState, message, hint }));
            return;
        }
        self.seen.busy.extend(refused.iter().copied().map(Subject::Attempt));
        let (world, inbox) = (self.world.clone(), self.inbox.clone());
        let tasks = refused.iter().filter_map(|id| Some((*id, self.state.task(id.task)?.clone())));
        let tasks: Vec<(AttemptId, Task)> = tasks.collect();
        tokio::task::spawn_blocking(move || {
            let results = tasks.iter().map(|(attempt, task)| {
                recover::recover(&world, task, *attempt).map_err(|why| Refused {
                    kind: RefusedKind::Internal,
                    message: format!("what attempt {attempt} left cannot be taken over: {why}"),
                    hint: Some("it is still in its worktree: see where with `pleach status`".to_owned()),
                })
            });
            let results = results.collect();
            let _ = inbox.send(Message::Recovered {
                attempts: refused,
                results,
                request: Request::Restore { attempts },
                answer,
            });
        });
    }

    fn recovered(&mut self, results: Vec<Result<Event, Refused>>, request: &Request) -> Result<Response, StoreError> {
        let mut no = None;
        for result in results {
            match result {
                Err(refused) => no = no.or(Some(refused)),
                Ok(event) => {
                    let id = event.task();
                    self.record(vec![event])?;
                    if let Some(task) = id.and_then(|id| self.state.task(id))
                        && let Err(error) = sweep::show_branch(&self.world, task)
                    {
                        log(&format!("cannot make the branch of task {} agree: {}", task.id, error.words()));
                    }
                }
            }
        }
        no.map_or_else(|| self.judge(request), |refused| Ok(Response::No(refused)))
    }

    fn observe_all(&mut self) {
        let running = self.state.of_kind(&[Kind::Running]);
        let runs = self.state.lines().runs().map(|run| attempt_of(run.number));
        let attempts: Vec<AttemptId> = running.filter_map(|task| task.last_attempt()).chain(runs).collect();
        for attempt in attempts {
            self.observe(attempt);
        }
    }

    fn observe(&mut self, attempt: AttemptId) {
        let dir = self.world.layout.attempt(attempt);
        let seen = match observe::shim(&dir) {
            Ok(seen) => seen,
            Err(error) => return log(&format!("cannot see attempt {attempt}: {error}")),
        };
        let before = self.seen.shims.insert(attempt, seen);
        if seen == Shim::Alive && before != Some(Shim::Alive) {
            let inbox = self.inbox.clone();
            tokio::task::spawn_local(async move {
                observe::until_gone(dir).await;
                let _ = inbox.send(Message::ShimGone(attempt));
            });
        }
        if seen != Shim::Alive
            && let Some(mut child) = self.shims.remove(&attempt)
        {
            // It has let go of its lock or written its record: it ends now, and must not stay as a zombie.
            std::thread::spawn(move || drop(child.wait()));
        }
    }
}
