//! Running the commands of an attempt in a sandbox: the best tier that the policy allows and that works here.
//!
//! A tier is chosen by the first command of the attempt, by trying; all later ones have the same. What was refused has run
//! nothing.

use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::core::sandbox::traffic::Traffic;
use crate::core::sandbox::{Tier, Warning};
use crate::core::task::CommandLine;
use crate::git::private;
use crate::process::supervise::{self, End, Patience, Signals};
use crate::process::tool::{own_directory, own_program};
use crate::sandbox::limits::Cgroup;
use crate::sandbox::proxy::Book;
use crate::sandbox::{Cage, Child, Group, Places, Refused, surroundings};
use crate::store::layout::AttemptDir;
use crate::store::record::{self, Held, Spec};
use crate::store::{Durable, StoreError};

use super::lead;
use super::overlay;
use super::state;
use super::talk::Talk;
use super::watch::Watch;

/// A command could not be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum CannotRun {
    /// It could not be kept to itself as far as it must be.
    #[error("{0}; see what works here with `pleach doctor`")]
    Refused(Refused),
    /// Hosts are listed, and that cannot be held.
    #[error("[sandbox] network lists hosts, which only the full tier holds, and {0}; {LIST_HINT}")]
    List(String),
    /// Nobody is to be reached, and no tier is left that holds that.
    #[error("[sandbox] network is none, which nothing holds without a sandbox, and {0}; {NETWORK_HINT}")]
    Network(String),
    /// No tier is both asked for and enough.
    #[error(
        "the sandbox is required to hold more ({required}) than the tier that is asked for: leave `[sandbox] tier` and \
         PLEACH_SANDBOX out, and add the task again"
    )]
    Insufficient {
        /// What is required.
        required: Tier,
    },
    /// Its files are not on the disk as they are, and nothing puts them in their place.
    #[error(
        "its worktree mode is overlay, and {0}; say `mode = \"auto\"` in [worktree] and add the task again, or see what works here with \
         `pleach doctor`"
    )]
    Overlay(String),
    /// None works, and nobody agreed to do without.
    #[error("{0}; nobody agreed to do without a sandbox: do so with `pleach approve`, and then add the task again")]
    Unconfined(Refused),
    #[error("{}", words(.0))]
    Store(#[from] StoreError),
    #[error(transparent)]
    Start(#[from] io::Error),
}

const LIST_HINT: &str =
    "see what works here with `pleach doctor`, or ask again with `--network none` or `--network allow`";

const NETWORK_HINT: &str = "see what works here with `pleach doctor`, or ask again with `--network allow`";

fn words(error: &StoreError) -> String {
    match error {
        StoreError::File { source, .. } => format!("{error}: {source}"),
        other => other.to_string(),
    }
}

impl CannotRun {
    /// Was it because of the sandbox, and not of the command?
    pub(super) fn is_refused(&self) -> bool {
        !matches!(self, Self::Store(_) | Self::Start(_))
    }
}

/// The sandbox of one attempt.
#[derive(Debug)]
pub(super) struct Cages<'a> {
    pub(super) dir: &'a AttemptDir,
    spec: &'a Spec,
    chosen: Option<Tier>,
    warnings: Vec<Warning>,
    book: Arc<Book>,
}

impl<'a> Cages<'a> {
    pub(super) fn new(dir: &'a AttemptDir, spec: &'a Spec, book: Arc<Book>) -> Self {
        Self { dir, spec, chosen: None, warnings: Vec::new(), book }
    }

    /// What its commands asked of the network, where hosts are listed.
    pub(super) fn network(&self) -> Option<Traffic> {
        self.spec.sandbox.network.list().map(|_| self.book.traffic())
    }

    /// How far its commands were kept to themselves, once one has started.
    pub(super) fn tier(&self) -> Option<Tier> {
        self.chosen
    }

    /// What its user should know of that.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        self.warnings.clone()
    }

    /// What is to be known of a command that is about to start in this tier.
    fn warn(&mut self, tier: Tier, cage: &Cage, refused: Option<&Refused>) {
        if self.chosen.is_none() {
            self.warnings.clone_from(&self.spec.warnings);
        }
        let found = self.spec.sandbox.found.filter(|found| tier < *found);
        let fell = found.zip(refused).map(|(from, why)| Warning::Fell { from, to: tier, why: why.to_string() });
        if fell.is_some() {
            self.forget_what_worked();
        }
        for warning in fell.into_iter().chain(cage.warnings().iter().cloned()) {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
    }

    /// What was found once is not believed again: whoever asks next tries anew.
    fn forget_what_worked(&self) {
        let _ = self.dir.works().map(fs::remove_file);
    }

    /// Run a command to the end of all that it starts. It reads `input`; nothing, where there is none.
    pub(super) fn run(
        &mut self,
        line: &CommandLine,
        work: &Path,
        input: Option<&fs::File>,
        patience: Patience,
        signals: &Signals,
        watch: &mut Watch,
    ) -> Result<End, CannotRun> {
        let mut tiers = self.chosen.map_or_else(|| self.spec.sandbox.tiers(), |tier| vec![tier]);
        let is_overlay = overlay::layers(self.dir).is_some();
        // Elsewhere nothing is mounted.
        tiers.retain(|tier| *tier == Tier::Full || !is_overlay);
        let mut first = None;
        for tier in tiers {
            lead::during(self.dir, self.spec, tier).map_err(|error| io::Error::other(error.words()))?;
            let state = state::bring(self.dir, self.spec, tier)?;
            let cage = match Cage::prepare(tier, &self.spec.sandbox, &places(self.dir, self.spec, work), Group::Own) {
                Ok(cage) => cage,
                Err(refused) => {
                    first = first.or(Some(refused));
                    continue;
                }
            };
            let mut command = super::tool(self.spec, line, work).into_command();
            command.envs(cage.variables().iter().copied());
            command.envs(state);
            let keeper = watch.keeper();
            keeper.starts(tier);
            let group = keeper.group().map(|group| group.path().into());
            self.warn(tier, &cage, first.as_ref());
            let warnings = self.warnings.clone();
            record::save(&self.dir.held(), &Held { tier, group, warnings }, Durable::No)?;
            let group = keeper.group().map(Cgroup::entry).transpose()?;
            let serving = cage.serve(&self.book)?;
            let ends = watch.talk().map(Talk::connect).transpose()?.unwrap_or_default();
            let ends = ends.or_reading(input)?;
            let mut child = None;
            let start = |command, streams| Ok(child.insert(cage.spawn(command, ends.given_to(streams), group)?).id());
            let ended = supervise::run(command, start, patience, signals, watch);
            drop(serving);
            match ended {
                Ok(end) => {
                    self.chosen = Some(tier);
                    return Ok(child.map_or(end, |child| as_told(end, child)));
                }
                Err(error) => match cage.refused() {
                    Some(refused) => first = first.or(Some(refused)),
                    None => {
                        self.chosen = Some(tier);
                        return Err(error.into());
                    }
                },
            }
        }
        self.forget_what_worked();
        let policy = &self.spec.sandbox;
        if is_overlay {
            let why = first.map_or_else(|| "the full tier is not asked for".to_owned(), |refused| refused.to_string());
            return Err(CannotRun::Overlay(why));
        }
        Err(match (first, policy.network.list()) {
            (Some(refused), Some(_)) => CannotRun::List(refused.to_string()),
            (None, Some(_)) => CannotRun::List(format!("{} is asked for", policy.tier.unwrap_or_default())),
            (refused, None) if policy.is_held_for_network() => {
                let asked = || format!("{} is asked for", policy.tier.unwrap_or_default());
                CannotRun::Network(refused.map_or_else(asked, |refused| refused.to_string()))
            }
            (None, None) => CannotRun::Insufficient { required: policy.least() },
            (Some(refused), None) if policy.needs_consent() => CannotRun::Unconfined(refused),
            (Some(refused), None) => CannotRun::Refused(refused),
        })
    }
}

/// The end of a command as it is known of inside of its sandbox.
fn as_told(end: End, mut child: Child) -> End {
    let leaked = end.leaked.max(child.left());
    match child.ended() {
        Some(status) => End { code: status.code(), signal: status.signal(), leaked, ..end },
        None => End { leaked, ..end },
    }
}

/// What an attempt is given, for a command that starts in `work`.
pub(super) fn places(dir: &AttemptDir, spec: &Spec, work: &Path) -> Places {
    let worktree = spec.worktree.as_path().to_owned();
    let private = spec.candidate.as_ref().map_or_else(|| dir.git(), |one| one.private.as_path().to_owned());
    let common = (private::common_name(&private), spec.repository.as_path().to_owned());
    let home = spec.environment.get("HOME").map(|home| home.as_path().to_owned());
    let values = spec.environment.iter().filter(|(name, _)| !matches!(name.as_str(), "TMPDIR" | "PLEACH_SOCKET"));
    let values: Vec<&Path> = values.map(|(_, value)| value.as_path()).collect();
    let ours = [dir.inbox(), dir.asks(), dir.handback(), dir.spec()];
    let lead = Some((dir.lead(), worktree.join(".git"))).filter(|(file, _)| file.is_file());
    // Where nothing is put over it, the file itself is not to be changed, as far as that can be held.
    let shown = ours.into_iter().chain(lead.is_none().then(|| worktree.join(".git")));
    Places {
        work: work.to_owned(),
        checkout: spec.checkout.as_ref().map(|checkout| checkout.as_path().to_owned()),
        called: spec.called.as_ref().map(|called| called.as_path().to_owned()),
        common: Some(common),
        write: [private].into_iter().chain(Some(dir.agent()).filter(|path| path.is_dir())).collect(),
        show: shown.filter(|path| fs::symlink_metadata(path).is_ok()).collect(),
        lead,
        tmp: Some(dir.tmp()),
        hide: states(dir),
        keep: surroundings::named(values).into_iter().chain(own_directory()).collect(),
        home: home.filter(|home| home.is_absolute()),
        sockets: surroundings::sockets(),
        links: Vec::new(),
        run: own_program().into_iter().map(Into::into).collect(),
        overlay: overlay::of(dir).filter(|_| spec.candidate.is_none()),
        worktree,
    }
}

/// The directories in which all tasks are: of this repository, and of the others beside it.
fn states(dir: &AttemptDir) -> Vec<PathBuf> {
    let Some(own) = dir.0.parent().and_then(Path::parent) else { return Vec::new() };
    let beside = own.parent().and_then(|root| fs::read_dir(root).ok()).into_iter().flatten().flatten();
    let beside = beside.map(|entry| entry.path()).filter(|path| path != own && path.join("attempts").is_dir());
    beside.chain([own.to_owned()]).collect()
}
