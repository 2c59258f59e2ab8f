//! The coordinator: one process per repository, started on demand, gone when idle.
//!
//! One loop: **observe** the world ([`observe`]), **decide** (pure, [`crate::core::decide`]), **act** (one file per
//! action: [`start`], [`launch`], [`collect`], [`remove`], [`verify`], [`landing`]), **record** what happened. Starting, resuming after
//! a `kill -9` and ordinary running are this same loop; there is no recovery path to forget.
//!
//! Beside the loop it looks ahead, at conflicts to come ([`foresee`]), and tells who does not look ([`notify`]).
//!
//! It alone appends to the journal. Actions run on threads of their own and come back with events; no two of them work
//! on one subject. Whatever it forgets by dying is either in the journal, or can be seen in the world.

mod collect;
mod driven;
mod evict;
mod foresee;
mod handback;
mod images;
mod landing;
mod launch;
mod line;
mod listen;
mod needs;
mod notify;
pub(crate) mod observe;
mod plans;
pub mod protocol;
mod provision;
mod recover;
mod remove;
mod requests;
mod run;
mod sealing;
mod slots;
mod start;
mod sweep;
mod told;
pub mod trash;
mod verify;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{self, Config};
use crate::core::id::{AttemptId, BranchName};
use crate::core::state::Task;
use crate::git::Repository;
use crate::git::place::Images;
use crate::git::refs::RefSession;
use crate::git::worktree::Place;
use crate::process::{clock, daemon};
use crate::store::{Layout, election};

/// Everything that an action may need and never changes. Shared by all threads.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) repository: Repository,
    /// Transactions on its refs.
    pub(crate) refs: RefSession,
    pub(crate) layout: Layout,
    /// What comes before the id in the name of a result's branch.
    pub(crate) prefix: String,
    /// Two that delete the same directory would trip over each other.
    pub(crate) emptying: std::sync::Mutex<()>,
    /// Slots are leased and given back one after the other.
    pub(crate) leasing: std::sync::Mutex<()>,
    /// Can places be used again here? Tried once.
    pub(crate) recycling: std::sync::OnceLock<Result<(), String>>,
    /// The base images, and what can be done with them here: tried once.
    pub(crate) images: std::sync::OnceLock<Result<Images, String>>,
    /// Can what a task writes lie over an image? Tried once.
    pub(crate) overlays: std::sync::OnceLock<Result<(), String>>,
}

impl World {
    /// Where the files and the private repository of an attempt are.
    pub(crate) fn place(&self, attempt: AttemptId) -> Place {
        Place { worktree: self.layout.worktree(attempt), private: self.layout.attempt(attempt).git() }
    }

    /// Can places be used again here? The error is why not.
    pub(crate) fn recycling(&self) -> Result<(), String> {
        let probe = || {
            let dir = self.layout.slots();
            crate::store::make_dir(&dir).map_err(|error| error.to_string())?;
            crate::git::place::probe(&self.repository, &dir)
        };
        self.recycling.get_or_init(probe).clone()
    }

    /// The base images. The error is why there are none.
    pub(crate) fn images(&self) -> Result<&Images, String> {
        let open = || {
            self.recycling()?;
            let dir = self.layout.images();
            crate::store::make_dir(&dir).map_err(|error| error.to_string())?;
            let images = Images::of(&dir, &self.layout.trash()).held_in(&self.layout.all_attempts());
            images.sweep();
            Ok(images)
        };
        self.images.get_or_init(open).as_ref().map_err(Clone::clone)
    }

    /// The branch that shows a task's result.
    pub(crate) fn branch(&self, task: &Task) -> BranchName {
        let name = task.spec.name.as_ref().map(|name| format!("-{name}")).unwrap_or_default();
        BranchName(format!("{}{}{name}", self.prefix, task.id))
    }
}

/// The ref that keeps an attempt's base from a garbage collection while the attempt lives.
pub(crate) fn base_pin(attempt: AttemptId) -> String {
    format!("refs/pleach/base/{attempt}")
}

/// The ref that keeps a candidate from a garbage collection while it is verified.
pub(crate) fn candidate_pin(run: u32) -> String {
    format!("refs/pleach/candidate/{run}")
}

/// What an attempt left, below this prefix; its result is `tip`.
pub fn kept_prefix(attempt: AttemptId) -> String {
    format!("refs/pleach/kept/{attempt}/")
}

/// The ref that says that a landing has happened: it is set in the same transaction as the target.
pub(crate) fn landed_mark(attempt: AttemptId) -> String {
    format!("refs/pleach/landed/{attempt}")
}

/// The trailer of a fold in which a merge driver had to help: `mergiraf in src/a.rs`.
pub const MERGED_BY: &str = "Pleach-Merged-By";

/// Run as the coordinator of the repository whose common directory is the first argument.
pub fn main(args: &[OsString]) -> ExitCode {
    daemon::detach();
    let Some(common_dir) = args.first().map(PathBuf::from) else { return ExitCode::from(2) };
    match serve(common_dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log(&format!("leaves: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn serve(common_dir: PathBuf) -> Result<(), Box<dyn std::error::Error>> {
    let Some(layout) = Layout::find(&common_dir)? else { return Ok(()) };
    // Somebody else leads: all is well.
    let Some(_lead) = election::try_hold(&layout.lock())? else { return Ok(()) };
    let repository = Repository::at(&common_dir);
    let top =
        repository.worktrees().ok().and_then(|list| list.into_iter().find(|tree| !tree.is_bare)).map(|tree| tree.path);
    let config = Config::load(top.as_deref()).unwrap_or_else(|error| {
        log(&format!("goes on without the configuration: {error}"));
        Config::default()
    });
    let idle = Duration::from_secs(config::env::idle_seconds());
    let world = Arc::new(World {
        refs: RefSession::new(repository.clone()),
        repository,
        layout,
        prefix: config.branch_prefix.clone(),
        emptying: std::sync::Mutex::new(()),
        leasing: std::sync::Mutex::new(()),
        recycling: std::sync::OnceLock::new(),
        images: std::sync::OnceLock::new(),
        overlays: std::sync::OnceLock::new(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(64).build()?;
    let tasks = tokio::task::LocalSet::new();
    runtime.block_on(tasks.run_until(run::run(world, config.limits(), idle)))?;
    // Threads that still copy or delete must not keep us: whatever they do can be done again.
    runtime.shutdown_background();
    Ok(())
}

/// One line for the coordinator's own log.
pub(crate) fn log(text: &str) {
    let _ = writeln!(std::io::stderr(), "{} coordinator {}: {text}", clock::now(), std::process::id());
}
