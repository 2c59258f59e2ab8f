//! Folds that only a merge driver of the user's can make. They are marked, and never land without a check of what it merged.

use super::landing::Entry;
use super::verify::environment_of;
use super::{MERGED_BY, World};
use crate::core::driver::Driven;
use crate::core::task::Strategy;
use crate::git::GitError;
use crate::git::driver::{self, Driving};
use crate::git::merge::{Identity, Plan, Wanted};

/// Try it, where git found this conflict; where it cannot be done, the conflict stands.
///
/// It needs a check that looks at each file it merged, and a commit of ours to carry the mark, which commits that are replayed
/// with their own words are not.
///
/// # Errors
/// Where git fails, or the driver cannot be started.
pub(super) fn plan(
    world: &World,
    entry: &Entry,
    wanted: &Wanted<'_>,
    who: &Identity,
    conflict: Plan,
) -> Result<(Plan, Option<Driven>), GitError> {
    let check = entry.check().filter(|_| matches!(wanted.strategy, Strategy::Merge | Strategy::Squash));
    let Some((check, driver)) = check.and_then(|check| Some((check, check.driver.as_ref()?))) else {
        return Ok((conflict, None));
    };
    let Ok(environment) = environment_of(world, check) else { return Ok((conflict, None)) };
    let driving = Driving { driver, environment: &environment, scratch: &world.layout.state };
    let by = |paths: &[_]| Driven { task: entry.task(), driver: driver.name(), paths: paths.to_vec() };
    let message = |paths: &[_]| format!("{}\n{MERGED_BY}: {}\n", wanted.message.trim_end(), by(paths));
    let (plan, paths) = driver::plan(&world.repository, wanted, who, &driving, &message)?;
    let is_sound = matches!(plan, Plan::Land(_)) && !paths.is_empty() && paths.iter().all(|path| check.covers(path));
    Ok(if is_sound { (plan, Some(by(&paths))) } else { (conflict, None) })
}
