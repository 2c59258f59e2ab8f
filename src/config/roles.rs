//! `[roles]`: which roles may be used, and for which of them nobody is asked.

use super::lay::Told;
use super::{Origin, file, set};
use crate::core::plan::Glob;

/// Which roles may be used. A repository has no say in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roles {
    /// These; all, where nothing is said.
    pub available: Option<Vec<Glob>>,
    /// For these nobody is asked.
    pub trusted: Vec<Glob>,
}

/// What a file says of roles: only its user's own, as a repository would trust what it brings along.
pub(super) fn lay(roles: &mut Roles, said: file::Roles, told: &mut Told<'_>) {
    if matches!(told.from, Origin::Repository(_)) && said != file::Roles::default() {
        return told
            .refuse("roles", "[roles] can only be set in your own file (pleach/config.toml), not by a repository");
    }
    let globs = |names: Vec<file::Names>| names.into_iter().map(|one| one.0).collect::<Vec<_>>();
    set(&mut roles.available, said.available.map(|names| Some(globs(names))));
    set(&mut roles.trusted, said.trusted.map(globs));
}
