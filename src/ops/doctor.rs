//! Looking for what is broken or left over, and mending it. What it cannot mend it says, with the next step.
//!
//! The rule for everything here: what is not provably ours, or provably dead, is left alone and told.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::{Error, Session, client, look, sandbox};
use crate::config::units::Bytes;
use crate::coordinator::observe;
use crate::coordinator::{kept_prefix, trash};
use crate::core::change::list;
use crate::core::id::{AttemptId, BranchName, CommitId, TaskId};
use crate::core::provider::WorktreeMode;
use crate::core::sandbox::{Network, Policy, Tier};
use crate::core::state::{Place, State, TaskState};
use crate::core::word::count as counted;
use crate::git::place;
use crate::git::refs::RefChange;
use crate::git::worktree::{self, Seen, WorktreeLock};
use crate::process::{Tool, tree};
use crate::sandbox::{limits, probe};
use crate::shim::overlay;
use crate::store::{self, Layout};

/// The oldest git that has all we need (`merge-tree --write-tree --merge-base`, `--attr-source`).
const OLDEST_GIT: (u32, u32) = (2, 41);
/// A lock of git that is younger may belong to somebody who is just busy.
const STALE: Duration = Duration::from_secs(60);

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was found, in words.
    pub what: String,
    /// How it is.
    pub health: Health,
    /// What somebody has to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// As it should be.
    Good,
    /// It was not, and is now.
    Mended,
    /// It is not, and would be mended without `--dry-run`.
    Mendable,
    /// It is not, and somebody has to see to it.
    Bad,
}

/// Mend, or only look?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Mend what can be mended.
    Mend,
    /// Change nothing.
    Look,
}

/// Look at everything.
///
/// # Errors
/// Never for what is found; only where looking itself is impossible.
pub fn examine(session: &mut Session, mode: Mode) -> Result<Vec<Finding>, Error> {
    let mut doctor = Doctor { mode, findings: Vec::new() };
    doctor.git();
    doctor.configuration(session);
    doctor.sandbox(session);
    doctor.limits();
    doctor.shared_config(session);
    doctor.locks(session);
    match session.layout().cloned() {
        None => doctor.good("no task was ever run here, so nothing of ours can be broken"),
        Some(layout) => match session.state() {
            Err(error) => doctor.bad(
                error.message,
                format!(
                    "what can be read is kept: save a copy of {}, then cut the file off before that line",
                    layout.home.display()
                ),
            ),
            Ok(state) => {
                doctor.journal(&layout, &state);
                doctor.orphans(session, &layout, &state)?;
                doctor.kept_refs(session, &state)?;
                // What is wrong with the configuration is told already.
                let mode = session.config().map_or_else(|_| WorktreeMode::default(), |config| config.worktree_mode);
                doctor.places(mode, session, &layout);
                doctor.room(session, &layout, &state);
                doctor.work(session, &layout, &state);
            }
        },
    }
    Ok(doctor.findings)
}

/// Can what tasks write lie over an image?
fn over(session: &Session, layout: &Layout) -> Result<(), String> {
    let policy = session.config().map(|config| config.sandbox.clone()).unwrap_or_default();
    overlay::forbids(&policy).map_or(Ok(()), Err)?;
    overlay::works(&layout.state)
}

struct Doctor {
    mode: Mode,
    findings: Vec<Finding>,
}

impl Doctor {
    fn good(&mut self, what: impl Into<String>) {
        self.findings.push(Finding { what: what.into(), health: Health::Good, next_step: None });
    }

    fn bad(&mut self, what: impl Into<String>, next_step: impl Into<String>) {
        let next_step = Some(next_step.into());
        self.findings.push(Finding { what: what.into(), health: Health::Bad, next_step });
    }

    /// Mend it, where that is wanted.
    fn mend(&mut self, what: impl Into<String>, act: impl FnOnce() -> Result<(), Error>) {
        let what = what.into();
        if self.mode == Mode::Look {
            self.findings.push(Finding { what, health: Health::Mendable, next_step: Some("pleach doctor".to_owned()) });
            return;
        }
        match act() {
            Ok(()) => self.findings.push(Finding { what, health: Health::Mended, next_step: None }),
            Err(error) => self.bad(what, format!("mending it failed: {error}")),
        }
    }

    /// How worktrees come to be here.
    fn places(&mut self, mode: WorktreeMode, session: &Session, layout: &Layout) {
        let slots = layout.all_slots().unwrap_or_default();
        let idle = slots.iter().filter(|slot| slot.lessee().is_none()).count();
        let sharing = place::sharing(&layout.slots());
        let recycling = place::probe(session.repository(), &layout.slots());
        let images = recycling.as_ref().map_err(Clone::clone);
        let over = if mode == WorktreeMode::Overlay { over(session, layout) } else { Ok(()) };
        let forced = match mode {
            WorktreeMode::Slot => Some((&recycling, "worktrees cannot be used again")),
            WorktreeMode::Snapshot => Some((&sharing.snapshot, "worktrees cannot be snapshots")),
            WorktreeMode::Reflink => Some((&sharing.reflink, "worktrees cannot share what is in a base image")),
            WorktreeMode::Overlay => Some((&over, "worktrees cannot lie over a base image")),
            _ => None,
        };
        if let Some((result, what)) = forced
            && let Err(why) = images.and(result.as_ref().map_err(Clone::clone))
        {
            return self.bad(
                format!("{what}, and [worktree] mode is {mode}: {why}"),
                "say `mode = \"auto\"` in [worktree], or move the state directory (see `[worktree] dir`)",
            );
        }
        let idle = counted(idle as u64, "idle slot");
        let new = match (&recycling, &sharing.snapshot, &sharing.reflink) {
            (Ok(()), Ok(()), _) => "snapshot, else reflink, else parallel, else plain",
            (Ok(()), Err(_), Ok(())) => "reflink, else parallel, else plain",
            _ => "parallel, else plain",
        };
        let chain = match (mode, recycling) {
            (WorktreeMode::Auto, Err(why)) => format!("{new} (they cannot be used again: {why})"),
            (WorktreeMode::Auto, Ok(())) => format!("slot, else {new} ({idle})"),
            (WorktreeMode::Slot, _) => format!("slot ({idle})"),
            (WorktreeMode::Snapshot | WorktreeMode::Reflink | WorktreeMode::Overlay, _) => {
                format!("{mode}, else parallel, else plain (as [worktree] mode says)")
            }
            (WorktreeMode::Parallel, _) => "parallel, else plain (as [worktree] mode says)".to_owned(),
            (WorktreeMode::Plain, _) => "plain (as [worktree] mode says)".to_owned(),
        };
        self.good(format!("how worktrees are made: {chain}"));
    }

    fn git(&mut self) {
        let version = Tool::git().arg("version").line().unwrap_or_default();
        let number = version.split_whitespace().nth(2).unwrap_or_default().to_owned();
        let mut parts = number.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        if found >= OLDEST_GIT {
            self.good(format!("git {number}"));
        } else {
            self.bad(format!("git {number} is too old"), format!("install {}.{} or newer", OLDEST_GIT.0, OLDEST_GIT.1));
        }
    }

    /// What somebody wrote is theirs to mend.
    fn configuration(&mut self, session: &Session) {
        if let Some(error) = session.misconfigured() {
            let next = error.hint.clone().unwrap_or_default();
            self.bad(format!("the configuration cannot be used: {}", error.message), next);
        }
    }

    /// What holds here, and what would make it more.
    fn sandbox(&mut self, session: &Session) {
        let found = sandbox::probe();
        let reasons: Vec<String> = found.refused.iter().map(ToString::to_string).collect();
        let mend = found.refused.iter().find_map(probe::mend);
        let policy = session.config().map(|config| config.sandbox.clone()).unwrap_or_default();
        let what = match found.best {
            Tier::Full => "the sandbox: full".to_owned(),
            tier => format!(
                "the sandbox: {tier}, in which {}; {}",
                list(tier.gaps().iter().map(ToString::to_string)),
                reasons.join("; ")
            ),
        };
        let next = mend.map_or_else(|| "see docs/sandbox.md for what it needs".to_owned(), str::to_owned);
        match found.best {
            best if best < policy.least() => {
                let why = why_required(&policy);
                self.bad(format!("{what}; but {} is required{why}, so no task can run", policy.least()), next);
            }
            _ if policy.tiers().is_empty() => {
                let (set, least, why) = (policy.tier.unwrap_or_default(), policy.least(), why_required(&policy));
                let what = format!("the sandbox: {set} is set, but {least} is required{why}, so no task can run");
                self.bad(
                    what,
                    format!("set `tier` to {least} or more in [sandbox] (or PLEACH_SANDBOX), or ask for less"),
                );
            }
            Tier::Full => match policy.tier {
                Some(tier @ (Tier::None | Tier::Reduced)) => {
                    self.good(format!("the sandbox: full would work here; {tier} is set"));
                }
                _ => self.good(what),
            },
            _ => {
                let next_step = Some(next);
                self.findings.push(Finding { what, health: Health::Good, next_step });
            }
        }
    }

    /// Who keeps a task to its memory and its processes.
    fn limits(&mut self) {
        match limits::probe() {
            Ok(()) => self.good("limits of memory and processes: kept by the kernel (cgroup v2)"),
            Err(why) => self.findings.push(Finding {
                what: format!(
                    "limits of memory and processes: watched, so that a task is a little over before it is ended; the kernel does not keep them here: {why}"
                ),
                health: Health::Good,
                next_step: limits::mend().map(str::to_owned),
            }),
        }
    }

    /// A stray `git init` with `GIT_DIR` set makes a repository with a checkout bare: git then refuses to work in it.
    fn shared_config(&mut self, session: &Session) {
        let common = session.repository().common_dir();
        let config = common.join("config");
        let ask = |key: &str| Tool::git().args(["config", "--file"]).arg(&config).args(["--get", key]).line();
        let has_checkout = common.file_name().is_some_and(|name| name == ".git") && common.join("index").exists();
        if has_checkout && ask("core.bare").is_ok_and(|bare| bare == "true") {
            let set = Tool::git().args(["config", "--file"]).arg(&config).args(["core.bare", "false"]);
            self.mend("core.bare was set in a repository that has a checkout", || {
                set.run().map(drop).map_err(|error| crate::git::GitError::from(error).into())
            });
        }
        if let Ok(top) = ask("core.worktree") {
            let next = format!("if you did not set it: git config --file {} --unset core.worktree", config.display());
            self.bad(format!("core.worktree is set to {top:?}"), next);
        }
    }

    fn locks(&mut self, session: &Session) {
        let common = session.repository().common_dir().to_owned();
        for lock in stale_locks(&common) {
            let bin = common.join("pleach/trash");
            let shown = lock.strip_prefix(&common).unwrap_or(&lock).display().to_string();
            self.mend(format!("a lock of a git that is dead: {shown}"), || {
                crate::store::make_dir(&bin)?;
                Ok(trash::throw(&lock, &bin)?)
            });
        }
    }

    fn journal(&mut self, layout: &Layout, state: &State) {
        match state.damaged()[..] {
            [] => self.good(format!("the journal is sound: {}", counted(state.events(), "event"))),
            [first, ..] => self.bad(
                format!("the record of task {first} in {} cannot be read", layout.snapshot().display()),
                "its result is still under refs/pleach/kept; the file is as it was written, so look at the disk",
            ),
        }
    }

    fn orphans(&mut self, session: &Session, layout: &Layout, state: &State) -> Result<(), Error> {
        let mut found = false;
        let unknown = |path: PathBuf| format!("{} belongs to no task that the journal knows", path.display());
        let look = "look into it, and remove it by hand if nothing in it is wanted";
        for path in strangers(layout) {
            found = true;
            self.bad(unknown(path), look);
        }
        for attempt in on_disk(layout, session.repository().common_dir()) {
            let known = state.task(attempt.task).and_then(|task| task.attempt(attempt.number));
            let place = worktree::Place { worktree: layout.worktree(attempt), private: layout.attempt(attempt).git() };
            // What has the name and belongs to somebody else is not ours to judge.
            if !matches!(worktree::seen(session.repository(), &place.worktree), Ok(Seen::HalfMade | Seen::Registered)) {
                continue;
            }
            match known.map(|known| (known.place, known.ended.is_some())) {
                Some((Place::Present, _)) => {}
                Some((Place::Gone, _)) => {
                    found = true;
                    self.mend(format!("a worktree of attempt {attempt} was left although it was removed"), || {
                        let lock = WorktreeLock::acquire(session.repository())?;
                        Ok(worktree::remove(session.repository(), &lock, &place, &layout.trash(), &|_| ())?)
                    });
                }
                None => {
                    found = true;
                    self.bad(unknown(place.worktree), look);
                }
            }
        }
        if !found {
            self.good("each worktree belongs to a task");
        }
        Ok(())
    }

    fn kept_refs(&mut self, session: &Session, state: &State) -> Result<(), Error> {
        let there = session.repository().refs_below("refs/pleach/kept/")?;
        let mut count = 0;
        for task in state.tasks() {
            for attempt in task.attempts.iter().filter(|attempt| !attempt.freed) {
                let Some(change) = task.change(attempt.number) else { continue };
                count += 1;
                let id = task.attempt_id(attempt.number);
                let name = format!("{}tip", kept_prefix(id));
                if there.get(&name) == Some(&change.tip) || attempt.base == Some(change.tip) {
                    continue;
                }
                if session.repository().tree_of(change.tip).is_err() {
                    self.bad(
                        format!("the result of attempt {id} is gone from the repository"),
                        "was it removed by a gc?",
                    );
                    continue;
                }
                self.mend(format!("the ref that keeps the result of attempt {id} was gone"), || {
                    let set = RefChange::Set(name, change.tip);
                    Ok(session.repository().update_refs(&[set], "pleach: doctor").map(drop)?)
                });
            }
        }
        let verb = if count == 1 { "is" } else { "are" };
        self.good(format!("{} {verb} kept", counted(count, "result")));
        self.freed_folds(session, state, &there)
    }

    /// What `gc` freed of a fold can still be undone: its tip must be in the history of the target, or have its ref.
    fn freed_folds(
        &mut self,
        session: &Session,
        state: &State,
        there: &BTreeMap<String, CommitId>,
    ) -> Result<(), Error> {
        let mut folds: BTreeMap<&BranchName, Vec<(AttemptId, CommitId)>> = BTreeMap::new();
        for task in state.tasks() {
            let TaskState::Folded(folded) = &task.state else { continue };
            let freed = task.attempt(folded.attempt).filter(|attempt| attempt.freed);
            let id = task.attempt_id(folded.attempt);
            if let Some(change) = freed.and_then(|_| task.change(folded.attempt))
                && !there.contains_key(&format!("{}tip", kept_prefix(id)))
            {
                folds.entry(&folded.target).or_default().push((id, change.tip));
            }
        }
        for (target, folds) in folds {
            let Some(head) = session.repository().head_of(target)? else { continue };
            let tips: Vec<CommitId> = folds.iter().map(|(_, tip)| *tip).collect();
            let outside = session.repository().not_in(head, &tips)?;
            for (id, tip) in folds.into_iter().filter(|(_, tip)| outside.contains(tip)) {
                self.mend(format!("nothing keeps the result of attempt {id}, whose fold can be undone"), || {
                    let set = RefChange::Set(format!("{}tip", kept_prefix(id)), tip);
                    Ok(session.repository().update_refs(&[set], "pleach: doctor").map(drop)?)
                });
            }
        }
        Ok(())
    }

    /// A full disk is nothing that we could mend.
    fn room(&mut self, session: &Session, layout: &Layout, state: &State) {
        let (free, floor) = (store::free_disk(&layout.state), session.limits().disk_floor);
        if let Some(free) = free.filter(|free| *free < floor) {
            let disk = layout.state.display();
            self.bad(
                format!("{} free on the disk of {disk}, and no task starts below {}", Bytes(free), Bytes(floor)),
                "make room, for instance with `pleach gc`, or lower `disk_floor` in `[limits]`",
            );
        }
        let (free, floor) = (observe::free_memory(layout, state), session.limits().memory_floor);
        if let Some(free) = free.filter(|free| *free < floor) {
            self.bad(
                format!("{} of memory are free, and no task starts below {}", Bytes(free), Bytes(floor)),
                "end something that takes it, or lower `memory_floor` in `[limits]`",
            );
        }
        let live = look::live(layout, state);
        let stuck: Vec<TaskId> = live.iter().filter(|(_, live)| live.no_room).map(|(id, _)| id.task).collect();
        if let [first, ..] = stuck[..] {
            let ids = list(stuck.iter().map(TaskId::to_string));
            self.bad(
                format!("there is no room on the disk of {} for the results of task {ids}", layout.state.display()),
                format!(
                    "make room there, or give up with `pleach cancel --now {first}`: the files stay in the worktree"
                ),
            );
        }
    }

    fn work(&mut self, session: &Session, layout: &Layout, state: &State) {
        let up = client::is_up(layout);
        if state.has_work() && !up {
            let common = session.repository().common_dir().to_owned();
            self.mend("there is work and no coordinator", || {
                client::nudge(layout, &common);
                Ok(())
            });
        } else {
            self.good(if up { "a coordinator is there" } else { "no coordinator is needed" });
        }
    }
}

/// The attempts of which a worktree or a registration is there.
fn on_disk(layout: &Layout, common_dir: &Path) -> BTreeSet<AttemptId> {
    let homes = [layout.state.join("worktrees"), common_dir.join("worktrees")];
    let entries = homes.iter().filter_map(|home| fs::read_dir(home).ok()).flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| name.strip_prefix("pleach-")?.parse().ok()).collect()
}

/// What lies beside the worktrees and does not have the name of one: a task may have put it there.
fn strangers(layout: &Layout) -> Vec<PathBuf> {
    let entries = fs::read_dir(layout.state.join("worktrees")).into_iter().flatten().flatten();
    let is_named =
        |name: &str| name.strip_prefix("pleach-").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    entries.filter(|entry| !is_named(&entry.file_name().to_string_lossy())).map(|entry| entry.path()).collect()
}

/// Locks of git in a common directory that nobody can still hold: old enough, and no process has them open.
fn stale_locks(common_dir: &Path) -> Vec<PathBuf> {
    let walk = walkdir::WalkDir::new(common_dir).follow_links(false).into_iter();
    let own = common_dir.join("pleach");
    let walk = walk.filter_entry(|entry| entry.path() != own && entry.file_name() != "objects");
    let is_lock = |path: &Path| path.extension().is_some_and(|extension| extension == "lock");
    let is_old = |path: &Path| {
        let age = fs::metadata(path).and_then(|data| data.modified()).ok().and_then(|at| at.elapsed().ok());
        age.is_some_and(|age| age > STALE)
    };
    let locks = walk.flatten().filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path);
    locks.filter(|path| is_lock(path) && is_old(path) && !tree::is_open(path)).collect()
}

/// Why a tier is required, where nobody named it.
fn why_required(policy: &Policy) -> &'static str {
    match &policy.network {
        Network::List(_) => " (a list of hosts in [sandbox] network needs it)",
        Network::None if policy.require < policy.network.least() => " (network = \"none\" in [sandbox] needs it)",
        Network::None | Network::Allow => "",
    }
}
