//! The loop itself, and what only it may touch: the state, the journal, the inventory.

use std::collections::BTreeMap;
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::collect::words;
use super::protocol::{Refused, RefusedKind, Request, Response, Until};
use super::{
    World, collect, foresee, landing, launch, listen, log, observe, recover, remove, requests, start, sweep, verify,
};
use crate::core::action::{Action, Subject};
use crate::core::change::Collected;
use crate::core::decide::decide;
use crate::core::event::{Event, Facts, Record};
use crate::core::footing::Footing;
use crate::core::id::{AttemptId, BranchName, CommitId, TaskId};
use crate::core::inventory::{Inventory, Shim};
use crate::core::outcome::Outcome;
use crate::core::policy::Limits;
use crate::core::state::{State, Task, TaskState};
use crate::core::task::TaskSpec;
use crate::core::verify::{Check, Purpose, Run, Step, attempt_of};
use crate::process::{clock, socket};
use crate::shim::watch::{KILL, STOP};
use crate::store::journal::Journal;
use crate::store::{self, StoreError};

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
    tokio::task::spawn_local(listen::listen(listener, inbox.clone()));
    tokio::task::spawn_local(leave_on_signal(inbox.clone()));
    sweep::sweep(&world, &state);
    let mut this = Coordinator {
        foreseer: foresee::Foreseer::new(&world),
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
    };
    this.clear_locks(Duration::ZERO);
    this.empty_trash();
    this.observe_all();
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
            Message::ShimGone(attempt) => self.observe(attempt),
            Message::Leave => self.leaving = true,
        }
        Ok(())
    }

    /// Write events down, believe them, and tell who waits.
    fn record(&mut self, events: Vec<Event>) -> Result<(), StoreError> {
        let at = clock::now();
        for event in events {
            let record = Record { at, event };
            let mut next = std::mem::take(&mut self.state);
            let checked = next.check(&record);
            if let Err(error) = checked {
                // But for these only a bug can bring this about; what is written down stays sound.
                if !record.event.may_be_overtaken() {
                    log(&format!("did not record what makes no sense: {error}"));
                }
                self.state = next;
                continue;
            }
            self.foreseer.happened(&record.event);
            let written = self.journal.append(std::slice::from_ref(&record));
            if written.is_ok()
                && let Err(error) = next.apply(&record)
            {
                log(&format!("cannot happen: {error}"));
            }
            self.state = next;
            written?;
        }
        self.watchers.retain(|tick| !matches!(tick.try_send(()), Err(mpsc::error::TrySendError::Closed(()))));
        let state = &self.state;
        let there = |waiter: &mut Waiter| requests::has_reached(state, &waiter.tasks, waiter.until, waiter.any);
        for waiter in self.waiters.extract_if(.., there) {
            let _ = waiter.answer.send(Response::Yes);
        }
        self.waiters.retain(|waiter| !waiter.answer.is_closed());
        Ok(())
    }

    fn answer(&mut self, request: Request, answer: oneshot::Sender<Response>) -> Result<(), StoreError> {
        let response = match request {
            Request::Poke => {
                self.foreseer.want();
                self.observe_all();
                Response::Yes
            }
            Request::Submit { spec, limits } => self.submit(*spec, limits)?,
            Request::Await { tasks, until, any } => {
                if !requests::has_reached(&self.state, &tasks, until, any) {
                    self.waiters.push(Waiter { tasks, until, any, answer });
                    return Ok(());
                }
                Response::Yes
            }
            Request::Free { attempts } => self.free(&attempts)?,
            Request::Restore { attempts } if !requests::refused(&self.state, &attempts).is_empty() => {
                self.recover(attempts, answer);
                return Ok(());
            }
            request => self.judge(&request)?,
        };
        let _ = answer.send(response);
        Ok(())
    }

    fn submit(&mut self, spec: TaskSpec, limits: Limits) -> Result<Response, StoreError> {
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
        self.record(vec![Event::Submitted { task, spec: Box::new(spec) }])?;
        Ok(Response::Submitted(task))
    }

    fn judge(&mut self, request: &Request) -> Result<Response, StoreError> {
        match requests::judge(&self.state, request) {
            Err(refused) => Ok(Response::No(refused)),
            Ok(events) => {
                use Request as R;
                let shown =
                    matches!(request, R::Discard { .. } | R::Restore { .. } | R::Retry { .. } | R::Cancel { .. });
                let touched: Vec<TaskId> = events.iter().filter_map(Event::task).filter(|_| shown).collect();
                self.record(events)?;
                for task in touched.iter().filter_map(|id| self.state.task(*id)) {
                    // A result that runs again keeps its branch until the next one replaces it.
                    if !task.has_work_ahead()
                        && let Err(error) = sweep::show_branch(&self.world, task)
                    {
                        log(&format!("cannot make the branch of task {} agree: {}", task.id, error.words()));
                    }
                }
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

    fn clear_locks(&self, after: Duration) {
        let (world, inbox) = (self.world.clone(), self.inbox.clone());
        tokio::task::spawn_local(async move {
            tokio::time::sleep(after).await;
            let has_locks = tokio::task::spawn_blocking(move || sweep::clear_locks(&world)).await;
            let _ = inbox.send(Message::Locks(has_locks.unwrap_or(false)));
        });
    }

    fn empty_trash(&self) {
        let world = self.world.clone();
        tokio::task::spawn_blocking(move || sweep::empty_trash(&world));
    }

    fn observe_all(&mut self) {
        let running = self.state.open().filter(|task| task.has_work_ahead());
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

    fn acted(&mut self, action: Action, result: Result<Acted, String>) -> Result<(), StoreError> {
        let subject = action.subject();
        match result {
            Ok(Acted { events, shim }) => {
                self.seen.busy.remove(&subject);
                self.backoff.remove(&subject);
                if events.is_empty() && action.must_tell() {
                    // Asked again at once, it would come to nothing again.
                    self.seen.busy.insert(subject.clone());
                    self.rest(subject, &action, "it came to nothing");
                    return Ok(());
                }
                let footing = self.footings.remove(&subject).unwrap_or_default();
                let events = footing.still_true(&self.state, events);
                self.record(events)?;
                if let Some(child) = shim {
                    match action {
                        Action::Launch(attempt) => drop(self.shims.insert(attempt, child)),
                        Action::Verify(run) => drop(self.shims.insert(attempt_of(run), child)),
                        _ => {}
                    }
                }
                match action {
                    Action::Verify(run) => self.observe(attempt_of(run)),
                    Action::Judge(run) => self.forget(attempt_of(run)),
                    Action::Launch(attempt) | Action::Salvage(attempt) | Action::Abandon(attempt) => {
                        self.observe(attempt);
                    }
                    Action::Collect(attempt) => self.forget(attempt),
                    Action::Remove(_) => self.empty_trash(),
                    _ => {}
                }
            }
            Err(why) => self.rest(subject, &action, &why),
        }
        Ok(())
    }

    /// What was only of use while the attempt ran.
    fn forget(&mut self, attempt: AttemptId) {
        self.seen.shims.remove(&attempt);
        self.seen.told.remove(&attempt);
    }

    /// It failed, nothing is lost, and it is tried again a little later.
    fn rest(&mut self, subject: Subject, action: &Action, why: &str) {
        let wait = self.backoff.get(&subject).map_or(Duration::from_millis(200), |last| *last * 2);
        let wait = wait.min(LONGEST_BACKOFF);
        log(&format!("{action:?} failed, next try in {wait:?}: {why}"));
        self.backoff.insert(subject.clone(), wait);
        let inbox = self.inbox.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(wait).await;
            let _ = inbox.send(Message::Rested(subject));
        });
    }

    /// Give the action a thread of its own, with copies of all it needs.
    fn set_going(&mut self, action: Action) -> Result<(), StoreError> {
        let world = self.world.clone();
        let task = |id: TaskId| self.state.task(id).cloned();
        type Work = Box<dyn FnOnce() -> Result<Acted, String> + Send>;
        let work: Option<Work> = match &action {
            Action::Start(attempt) => task(attempt.task).map(|task| {
                let plan = start::plan(&self.state, &task, *attempt);
                Box::new(move || start::start(&world, &plan).map(Acted::from).map_err(|e| e.words())) as Work
            }),
            Action::Launch(attempt) => task(attempt.task).and_then(|task| {
                let (attempt, base) = (*attempt, task.attempt(attempt.number)?.base?);
                Some(Box::new(move || launched(&world, &task, attempt, base)) as Work)
            }),
            Action::Abandon(attempt) => {
                let attempt = *attempt;
                Some(Box::new(move || ended_without_a_run(&world, attempt, Outcome::Cancelled)))
            }
            Action::Salvage(attempt) => task(attempt.task).and_then(|task| {
                let (attempt, base) = (*attempt, task.attempt(attempt.number)?.base?);
                let salvage = move || launch::salvage(&world, &task, attempt, base);
                Some(Box::new(move || salvage().map(|()| Acted::default())) as Work)
            }),
            Action::Collect(attempt) => task(attempt.task).map(|task| {
                let attempt = *attempt;
                let collect = move || collect::collect(&world, &task, attempt);
                Box::new(move || collect().map(Acted::from).map_err(|e| words(&e))) as Work
            }),
            Action::Remove(attempt) => task(attempt.task).map(|task| {
                let attempt = *attempt;
                let remove = move || remove::remove(&world, &task, attempt);
                Box::new(move || remove().map(Acted::from).map_err(|e| words(&e))) as Work
            }),
            Action::Plan(id, _) => task(*id).and_then(|task| landing::entry(&self.state, &task)).map(|entry| {
                Box::new(move || landing::plan(&world, &entry).map(Acted::from).map_err(|e| e.words())) as Work
            }),
            Action::Land(id, _) => task(*id).and_then(|task| {
                let planned = landing::together(&self.state, &task);
                let TaskState::Landing { landing, whole, .. } = task.state else { return None };
                let land = move || landing::land(&world, &planned, &whole.unwrap_or(landing));
                Some(Box::new(move || land().map(Acted::from).map_err(|e| e.words())) as Work)
            }),
            Action::Candidate { target, tasks, again } => {
                self.candidate(&action, target, tasks, *again, Purpose::Land).map(|wanted| {
                    let make = move || verify::candidate(&world, &wanted).map(Acted::from);
                    Box::new(make) as Work
                })
            }
            Action::Baseline { target, task, again } => {
                self.candidate(&action, target, &[*task], *again, Purpose::Baseline).map(|wanted| {
                    let make = move || verify::candidate(&world, &wanted).map(Acted::from);
                    Box::new(make) as Work
                })
            }
            Action::Blame { target, task } => {
                self.candidate(&action, target, &[*task], false, Purpose::Blame).map(|wanted| {
                    let blame = move || verify::alone(&world, &wanted).map(Acted::from);
                    Box::new(blame) as Work
                })
            }
            Action::Early { target, task } => {
                self.candidate(&action, target, &[*task], false, Purpose::Early).map(|wanted| {
                    let early = move || verify::alone(&world, &wanted).map(Acted::from);
                    Box::new(early) as Work
                })
            }
            Action::Advance { target, steps } => {
                let line = self.state.lines().line(target);
                let on = line.and_then(|line| Some((line.head?, line.stand_in)));
                let entry =
                    |step: &Step| Some((landing::entry(&self.state, self.state.task(step.task)?)?, step.commit));
                let entries: Option<Vec<_>> = steps.iter().map(entry).collect();
                on.zip(entries).map(|(on, entries)| {
                    let target = target.clone();
                    let advance = move || landing::advance(&world, &target, on, &entries);
                    Box::new(move || advance().map(Acted::from).map_err(|e| e.words())) as Work
                })
            }
            Action::Verify(number) => self.state.lines().run(*number).cloned().and_then(|run| {
                let check = self.check_of(&run)?;
                let verify = move || verify::verify(&world, &run, &check);
                Some(Box::new(move || verify().map(|shim| Acted { events: Vec::new(), shim })) as Work)
            }),
            Action::Judge(number) => self.state.lines().run(*number).cloned().map(|run| {
                let judge = move || verify::judge(&world, &run);
                Box::new(move || judge().map(Acted::from)) as Work
            }),
            Action::CallOff(number) => {
                self.tell(attempt_of(*number), true);
                None
            }
            Action::Evict(id) => {
                let event = verify::rejected(&self.state, *id);
                self.record(event.into_iter().collect())?;
                None
            }
            Action::GiveUp { target, tasks } => {
                let events = verify::given_up(&self.state, target, tasks);
                self.record(events)?;
                None
            }
            Action::Stop { attempt, now } => {
                self.tell(*attempt, *now);
                None
            }
            Action::Requeue(id) => {
                // As it was asked, which may be more than what the task's own policy says.
                if let Some(TaskState::Refused { request, .. }) = self.state.task(*id).map(|task| &task.state) {
                    let event = Event::FoldRequested { task: *id, request: request.clone() };
                    self.record(vec![event])?;
                }
                None
            }
        };
        if let Some(work) = work {
            self.footings.insert(action.subject(), Footing::of(&self.state, &action));
            self.seen.busy.insert(action.subject());
            let inbox = self.inbox.clone();
            tokio::task::spawn_blocking(move || {
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
                let result = result.unwrap_or_else(|_| Err("it panicked; this is a bug".to_owned()));
                let _ = inbox.send(Message::Acted { action, result });
            });
        }
        Ok(())
    }

    /// All that is needed to make a candidate, with a number and a pooled worktree that no other run has.
    fn candidate(
        &mut self,
        action: &Action,
        target: &BranchName,
        tasks: &[TaskId],
        again: bool,
        purpose: Purpose,
    ) -> Option<verify::Wanted> {
        let lines = self.state.lines();
        let entries = tasks.iter().map(|id| landing::entry(&self.state, self.state.task(*id)?));
        let entries = entries.collect::<Option<Vec<_>>>()?;
        let check = entries.first()?.check()?.clone();
        let subject = action.subject();
        self.numbers.retain(|subject, _| self.seen.busy.contains(subject));
        let number = self.numbers.values().map(|(number, _)| number + 1).fold(lines.next_run(), u32::max);
        let taken: Vec<u32> =
            lines.runs().map(|run| run.slot).chain(self.numbers.values().map(|(_, slot)| *slot)).collect();
        let slot = (1..).find(|slot| !taken.contains(slot))?;
        self.numbers.insert(subject, (number, slot));
        let known = if again { Default::default() } else { lines.verdicts().clone() };
        let line = lines.line(target);
        let (head, stand_in) = (line.and_then(|line| line.head), line.and_then(|line| line.stand_in));
        let target = target.clone();
        Some(verify::Wanted { target, entries, check, head, stand_in, verdicts: known, purpose, number, slot })
    }

    /// The check that a run is of: its own, or that of the results in it.
    fn check_of(&self, run: &Run) -> Option<Check> {
        let of_a_task = |id: TaskId| match &self.state.task(id)?.state {
            TaskState::Queued { request, .. }
            | TaskState::Landing { request, .. }
            | TaskState::Refused { request, .. } => request.check.as_deref().cloned(),
            TaskState::Ready { .. } => self.state.task(id)?.spec.check.as_deref().cloned(),
            _ => None,
        };
        run.check.as_deref().cloned().or_else(|| run.tasks().find_map(of_a_task))
    }

    fn tell(&mut self, attempt: AttemptId, now: bool) {
        let control = self.world.layout.attempt(attempt).control();
        match socket::send(&control, if now { KILL } else { STOP }) {
            Ok(()) => {
                self.seen.told.insert(attempt, now);
            }
            // It is ending just now, or is not listening yet: look again soon.
            Err(_) => {
                let inbox = self.inbox.clone();
                tokio::task::spawn_local(async move {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    let _ = inbox.send(Message::ShimGone(attempt));
                });
            }
        }
    }
}

/// Bring an attempt up. Where that fails, no shim that is still on its way may run it either, or nothing is recorded.
fn launched(world: &World, task: &Task, attempt: AttemptId, base: CommitId) -> Result<Acted, String> {
    match launch::launch(world, task, attempt, base) {
        Ok(shim) => Ok(Acted { events: Vec::new(), shim }),
        Err(reason) => ended_without_a_run(world, attempt, Outcome::CouldNotStart { reason }),
    }
}

fn ended_without_a_run(world: &World, attempt: AttemptId, outcome: Outcome) -> Result<Acted, String> {
    let won = launch::claim(world, attempt).map_err(|error| error.to_string())?;
    let ended = Event::Ended { attempt, outcome, result: Collected::Nothing, facts: Facts::default() };
    Ok(Acted::from(if won { vec![ended] } else { Vec::new() }))
}
