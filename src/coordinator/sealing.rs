//! What a landing adds to the commits that were planned: signatures, trailers, and what hooks say.

use std::sync::{Mutex, PoisonError};

use super::World;
use super::landing::Entry;
use crate::core::id::{CommitId, TreeId};
use crate::core::task::{Guarantee, Strategy};
use crate::core::verify::{Check, Scope};
use crate::core::word::Word;
use crate::git::GitError;
use crate::git::hook::{self, Draft};
use crate::git::seal::{self, Sealed, Unsealed};
use crate::git::worktree::Place;
use crate::store::environment;

/// One landing at a time has the worktree of hooks.
static HOOKS: Mutex<()> = Mutex::new(());

/// Make the commits that land on a head: with these trailers, signed, and after the hooks had their say.
///
/// # Errors
/// Where git fails.
pub(super) fn sealed(
    world: &World,
    (head, stand_in): (CommitId, Option<CommitId>),
    steps: &[(&Entry, CommitId)],
    trailers: &dyn Fn(&Entry, CommitId) -> Result<String, GitError>,
) -> Result<Sealed, GitError> {
    let unsealed = |(entry, commit): &(&Entry, CommitId)| {
        let tip = entry.change().map(|(_, tip)| tip);
        Ok(Unsealed { commit: *commit, tip, at: entry.at(), trailers: trailers(entry, *commit)? })
    };
    let unsealed = steps.iter().map(unsealed).collect::<Result<Vec<_>, GitError>>()?;
    let has_hooks = |entry: &Entry| !entry.request.hooks.is_empty() && entry.request.strategy != Strategy::Rebase;
    let ask = |place: usize, draft: Draft| {
        let entry = steps[place].0;
        if !has_hooks(entry) {
            return Ok(Ok(draft.message));
        }
        // One worktree serves all targets. Runs have those from 1.
        let _alone = HOOKS.lock().unwrap_or_else(PoisonError::into_inner);
        let (worktree, private) = world.layout.slot(0);
        let environment = entry.task.spec.environment.as_deref();
        let environment = environment.map(|name| environment::find(&world.layout, name)).transpose();
        match environment {
            Ok(environment) => hook::ask(
                &world.repository,
                &Place { worktree, private },
                &entry.request.hooks,
                &draft,
                &environment.unwrap_or_default(),
            ),
            Err(error) => Ok(Err(error.to_string())),
        }
    };
    let ask: seal::Ask<'_> = &ask;
    let ask = steps.iter().any(|(entry, _)| has_hooks(entry)).then_some(ask);
    seal::seal(&world.repository, head, stand_in, &unsealed, ask)
}

/// The line that says what a commit has passed, where it has one of ours: with others, what the last of them has passed.
///
/// # Errors
/// Where git fails.
pub(super) fn verified(world: &World, entry: &Entry, commit: CommitId, whole: TreeId) -> Result<String, GitError> {
    let Some(check) = entry.check().filter(|_| entry.request.strategy != Strategy::Rebase) else {
        return Ok(String::new());
    };
    let tree = match check.guarantee {
        Guarantee::Tip => whole,
        Guarantee::Every => world.repository.tree_of(commit)?,
    };
    Ok(format!("Pleach-Verified: {tree} {}\n", check_name(check)))
}

/// A short name of what a check runs: the start of what `git hash-object` answers for its command.
fn check_name(check: &Check) -> String {
    let scope = |scope: &Scope| {
        let paths: Vec<String> = scope.paths.iter().map(Word::shown).collect();
        format!("{}: {}", paths.join(" "), scope.command)
    };
    let text: Vec<String> = match check.scopes.as_slice() {
        [] => vec![check.command.clone()],
        scopes => scopes.iter().map(scope).collect(),
    };
    format!("{:.16}", super::verify::digest(&text.join("\n")))
}
