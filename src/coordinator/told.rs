//! What the hooks `setup` and `verify` are told of what they are run for: JSON in a file that `$PLEACH_HOOK` names.
//!
//! `setup` has it on its standard input, too. `verify` has not: a line such as `! rg FIXME` reads that where there is one, and would look
//! through our words instead of the tree, and let everything in. Who wants it there says so: `hooks/check < "$PLEACH_HOOK"`.

use serde_json::{Value, json};

use super::World;
use crate::config::env;
use crate::core::id::{AttemptId, CommitId};
use crate::core::report::SCHEMA;
use crate::core::state::Task;
use crate::core::task::Setup;
use crate::core::verify::Run;
use crate::core::word::Word;
use crate::store::layout::AttemptDir;
use crate::store::{Durable, StoreError, make_dir, replace_with};

/// The variable that leads to it.
pub(super) fn variable(dir: &AttemptDir) -> (&'static str, Word) {
    (env::HOOK, dir.hook().into())
}

/// Write down what a task's setup hook is for, where it has one.
///
/// # Errors
/// Where the file system fails.
pub(super) fn setup(
    world: &World,
    task: &Task,
    attempt: AttemptId,
    base: CommitId,
    dir: &AttemptDir,
) -> Result<(), StoreError> {
    let Some(Setup { timeout, .. }) = &task.spec.setup else { return Ok(()) };
    let spec = &task.spec;
    let told = json!({
        "schema": SCHEMA,
        "hook": "setup",
        "task": task.id,
        "attempt": attempt,
        "name": spec.name,
        "base": base,
        "target": spec.target,
        "worktree": Word::from(world.layout.worktree(attempt)),
        "directory": spec.directory,
        "command": spec.command.shown(),
        "agent": spec.agent.as_ref().map(|assigned| &assigned.agent.name),
        "role": spec.role.as_ref().map(|role| &role.name),
        "item": spec.member.as_ref().and_then(|member| member.item.as_ref()),
        "parent": spec.parent,
        "timeout_s": timeout,
    });
    write(dir, told)
}

/// Write down what a run of the check is for. A verdict holds for a tree, whoever's it is and wherever it would land, so nothing else
/// is told.
///
/// # Errors
/// Where the file system fails.
pub(super) fn verify(run: &Run, dir: &AttemptDir) -> Result<(), StoreError> {
    write(dir, json!({ "schema": SCHEMA, "hook": "verify", "tree": run.tree }))
}

fn write(dir: &AttemptDir, mut told: Value) -> Result<(), StoreError> {
    if let Some(map) = told.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
    make_dir(&dir.handback())?;
    let mut line = told.to_string();
    line.push('\n');
    replace_with(&dir.hook(), line.as_bytes(), Durable::No)
}
