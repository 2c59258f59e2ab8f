//! What `[sandbox] exec` may say, and who has the last word in it.

use std::path::{Component, Path, PathBuf};

use super::Origin;
use super::lay::Told;
use crate::core::sandbox::Policy;
use crate::core::word::Word;

/// What may be run. Of what a repository names, only what its user allows.
pub(super) fn lay(policy: &mut Policy, said: Vec<PathBuf>, told: &mut Told<'_>) {
    let is_path = |path: &PathBuf| path.is_absolute() || path.starts_with("~") || path == Path::new(".");
    for path in said.iter().filter(|path| !is_path(path)) {
        let what = format!("sandbox.exec: {} must be an absolute path, start with ~/, or be \".\"", path.display());
        told.refuse("sandbox.exec", what);
    }
    let is_plain = |path: &Path| path.components().all(|part| part != Component::ParentDir);
    let known = policy.exec.take().filter(|_| matches!(told.from, Origin::Repository(_)));
    let is_allowed = |path: &&PathBuf| {
        let within = |known: &Vec<Word>| is_plain(path) && known.iter().any(|one| path.starts_with(one.as_path()));
        known.as_ref().is_none_or(within)
    };
    policy.exec = Some(said.iter().filter(is_allowed).map(|path| Word::from(path.as_path())).collect());
}
