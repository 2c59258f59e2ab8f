//! The end of an attempt: left-overs become a commit, the result a pack, and how it ended a record.

use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use crate::core::id::CommitId;
use crate::core::outcome::Outcome;
use crate::core::sandbox::traffic::Traffic;
use crate::core::sandbox::{Tier, Warning};
use crate::git::worktree::Place;
use crate::git::{GitError, Repository, pack, rights, snapshot};
use crate::process::{clock, crash, tree, usage};
use crate::sandbox::limits;
use crate::store::layout::AttemptDir;
use crate::store::record::{self, Exit, Spec, Verified};
use crate::store::{Durable, StoreError, log};

use super::inside::{self, Saved};
use super::room::{Patience, Room};
use super::watch::{Closed, Watch};

/// The longest summary that a record carries.
const SUMMARY_LIMIT: usize = 4096;

/// How the note begins that says why there is no snapshot.
const NOT_SAVED: &str = "its files could not be committed";

/// What came of running it.
#[derive(Debug)]
pub(super) struct Ran {
    /// How it ended.
    pub(super) outcome: Outcome,
    /// Processes that were left, and were killed.
    pub(super) leaked: u64,
    /// How far it was kept to itself.
    pub(super) sandbox: Option<Tier>,
    /// What its user should know of that.
    pub(super) warnings: Vec<Warning>,
    /// What it asked of the network, where hosts are listed.
    pub(super) network: Option<Traffic>,
    /// Of a run that verifies: what was seen after it.
    pub(super) verified: Option<Verified>,
}

/// The task has ended, and its tree is empty.
pub(super) fn finish(dir: &AttemptDir, spec: &Spec, ran: Ran, watch: Watch) -> Result<(), StoreError> {
    let ended = clock::now();
    let usage = usage::of_children();
    let (said, door) = watch.close();
    let Ran { outcome, leaked, sandbox, warnings, network, verified } = ran;
    let exit = Exit { outcome, ended, leaked, sandbox, warnings, network, ..record_of(spec, said) };
    let exit = Exit { cpu_ms: usage.cpu_ms, max_rss_kb: usage.max_rss_kb, verified, ..exit };
    let mut room = Room::new(dir, Patience::Door(door));
    // Saving its files takes a while. Should we be killed meanwhile, how it ended is known all the same.
    room.write(|| record::save(&dir.ended(), &exit, Durable::No))?;
    crash::point("shim.task_ended");
    conclude(dir, spec, exit, room)
}

/// How a salvage goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Salvage {
    /// The shim is dead; there will be room on the disk some time.
    Patient,
    /// The shim is dead, and somebody who cancelled it does not wait for room.
    Hurried,
    /// All is recorded, but the files could not be saved then.
    Again,
}

/// The shim of this attempt is gone. End what it left running, and save what it left lying.
pub(super) fn salvage(dir: &AttemptDir, spec: &Spec, how: Salvage) -> Result<(), StoreError> {
    let recorded = if how == Salvage::Again { record::load::<Exit>(&dir.exit())? } else { None };
    if let Some(mut exit) = recorded {
        exit.notes.retain(|note| !note.starts_with(NOT_SAVED));
        return conclude(dir, spec, exit, Room::new(dir, Patience::None));
    }
    if dir.exit().exists() {
        return Ok(());
    }
    // The number of an attempt is no mark: other repositories have attempts of that number. Its socket is its own.
    let mark = [b"PLEACH_SOCKET=", dir.inbox().as_os_str().as_bytes()].concat();
    let held = record::load::<record::Held>(&dir.held()).ok().flatten();
    if let Some(group) = held.as_ref().and_then(|held| held.group.as_ref()) {
        limits::end(group.as_path());
    }
    // Whoever else works in the worktree is nobody of ours.
    let dir_of_ours = Some(spec.worktree.as_path()).filter(|_| spec.tenant.is_none());
    let killed = tree::kill_marked(&mark, dir_of_ours);
    let room = Room::new(dir, if how == Salvage::Patient { Patience::Later } else { Patience::Record });
    // A record that was torn by a power cut is none.
    if let Some(exit) = record::load::<Exit>(&dir.ended()).ok().flatten() {
        return conclude(dir, spec, exit, room);
    }
    let progress: record::Progress = record::load(&dir.progress()).ok().flatten().unwrap_or_default();
    let (log_bytes, log_dropped) = log::counts(&dir.log()).unwrap_or_default();
    let account = progress.account;
    let summary = progress.summary.or_else(|| account.as_ref().and_then(|account| account.message.clone()));
    let said = Closed { summary, account, log_bytes, log_dropped, ..Closed::default() };
    let cause = "its supervisor was killed".to_owned();
    let (sandbox, warnings) = held.map_or((None, Vec::new()), |held| (Some(held.tier), held.warnings));
    let network = record::load::<Traffic>(&dir.network()).ok().flatten();
    let leaked = killed as u64;
    let exit = Exit { outcome: Outcome::Lost { cause }, leaked, sandbox, warnings, network, ..record_of(spec, said) };
    conclude(dir, spec, exit, room)
}

fn record_of(spec: &Spec, said: Closed) -> Exit {
    let summary = said.summary.map(|text| text.chars().take(SUMMARY_LIMIT).collect());
    Exit {
        outcome: Outcome::Cancelled,
        ended: clock::now(),
        tip: None,
        extras: Vec::new(),
        left_out: Vec::new(),
        summary,
        cpu_ms: 0,
        max_rss_kb: 0,
        log_bytes: said.log_bytes,
        log_dropped: said.log_dropped,
        leaked: 0,
        sandbox: None,
        provider: spec.provider,
        warnings: Vec::new(),
        network: None,
        notes: said.notes,
        verified: None,
        account: said.account,
    }
}

fn conclude(dir: &AttemptDir, spec: &Spec, mut exit: Exit, mut room: Room<'_>) -> Result<(), StoreError> {
    if spec.candidate.is_some() {
        return room.write(|| record::save(&dir.exit(), &exit, Durable::Yes));
    }
    // Without a snapshot there is no tip, and without a tip the worktree is kept: nothing is lost either way.
    loop {
        let grace = Duration::from_secs(spec.grace);
        let mut is_over = |taken: Duration| inside::is_late(taken) || room.is_given_up(grace);
        match inside::save(dir, spec, exit.sandbox, &mut is_over) {
            Ok(saved) => {
                exit.tip = Some(saved.tip);
                exit.extras = saved.extras;
                exit.left_out = saved.left_out;
                exit.notes.extend(saved.notes);
            }
            Err(error) if error.no_room && room.wait()? => continue,
            Err(error) => exit.notes.push(format!("{NOT_SAVED}: {}", error.words)),
        }
        break;
    }
    crash::point("shim.exported");
    room.write(|| record::save(&dir.exit(), &exit, Durable::Yes))?;
    crash::point("shim.recorded");
    room.close();
    Ok(())
}

/// Save what lies in the worktree, and export it: where [`inside::save`] says.
pub(super) fn save_files(dir: &AttemptDir, spec: &Spec) -> Result<Saved, GitError> {
    let repository = Repository::at(spec.repository.as_path());
    let place = Place { worktree: spec.worktree.as_path().to_owned(), private: dir.git() };
    let take = || snapshot::take(&repository, &place, spec.base, &spec.message);
    let mut saved = take();
    // What could not be read is not in it, and would go with the worktree.
    if saved.as_ref().map_or(true, |saved| !saved.notes.is_empty()) && rights::give_back(&place.worktree) {
        saved = take();
    }
    let saved = saved?;
    crash::point("shim.left_overs_committed");
    let extras = saved.extras.iter().map(|(_, commit)| *commit);
    let tips: Vec<CommitId> = std::iter::once(saved.tip).chain(extras).filter(|tip| *tip != spec.base).collect();
    if !tips.is_empty() {
        snapshot::persist(|| pack::export(&place, &tips, spec.base, &dir.pack()))?;
    }
    let snapshot::Snapshot { tip, extras, left_out, notes } = saved;
    Ok(Saved { tip, extras, left_out, notes })
}
