//! Is all there that a commit needs? By the library, as `rev-list --objects` would find out.

use std::collections::HashSet;
use std::path::Path;

use git2::{ObjectType, Odb, Oid, Tree};

use super::Repository;
use crate::core::id::CommitId;

/// Directories in directories: nobody has more, and a hostile tree must not use up our stack.
const DEPTH: usize = 500;

/// Are the tips commits, and does each object that they need beside the base exist, here or in the directory of objects
/// `incoming`? What base and its history need is the user's, and taken to be there.
///
/// No is also the answer where the library cannot tell: then git is to be asked.
pub(super) fn is_whole(repo: &Repository, incoming: Option<&Path>, tips: &[CommitId], base: CommitId) -> bool {
    walk(repo, incoming, tips, base).unwrap_or(false)
}

fn walk(repo: &Repository, incoming: Option<&Path>, tips: &[CommitId], base: CommitId) -> Result<bool, git2::Error> {
    // A shallow history ends where git says so.
    let Some(library) = repo.library().filter(|library| !library.is_shallow()) else { return Ok(false) };
    let odb = library.odb()?;
    match incoming.map(Path::to_str) {
        Some(Some(incoming)) => odb.add_disk_alternate(incoming)?,
        Some(None) => return Ok(false),
        None => {}
    }
    let mut commits = library.revwalk()?;
    for tip in tips {
        commits.push(library.find_commit(Oid::from_bytes(tip.as_bytes())?)?.id())?;
    }
    commits.hide(Oid::from_bytes(base.as_bytes())?)?;
    let mut check = Check { library: &library, odb: &odb, seen: HashSet::new() };
    for commit in commits {
        let commit = library.find_commit(commit?)?;
        let parents = commit.parent_ids().map(|parent| library.find_commit(parent)?.tree());
        let parents: Vec<Tree<'_>> = parents.collect::<Result<_, _>>()?;
        if !check.tree(commit.tree_id(), &parents, 0)? {
            return Ok(false);
        }
    }
    Ok(true)
}

struct Check<'a> {
    library: &'a git2::Repository,
    odb: &'a Odb<'a>,
    /// Trees that are whole.
    seen: HashSet<Oid>,
}

impl Check<'_> {
    /// Is the tree there, and all below it? What a tree of the same place (`known`) has is there, or is told when the
    /// commit of that tree is checked.
    fn tree(&mut self, tree: Oid, known: &[Tree<'_>], depth: usize) -> Result<bool, git2::Error> {
        if depth > DEPTH {
            return Ok(false);
        }
        if known.iter().any(|known| known.id() == tree) || !self.seen.insert(tree) {
            return Ok(true);
        }
        for entry in &self.library.find_tree(tree)? {
            let (id, kind) = (entry.id(), entry.kind());
            let same_name =
                |known: &Tree<'_>| known.get_name_bytes(entry.name_bytes()).map(|old| (old.id(), old.kind()));
            let olds: Vec<(Oid, Option<ObjectType>)> = known.iter().filter_map(same_name).collect();
            if olds.contains(&(id, kind)) {
                continue;
            }
            let is_whole = match kind {
                // A commit of another repository.
                Some(ObjectType::Commit) => true,
                Some(ObjectType::Tree) => {
                    let below = olds.iter().filter(|(_, kind)| *kind == Some(ObjectType::Tree));
                    let below: Vec<Tree<'_>> =
                        below.map(|(id, _)| self.library.find_tree(*id)).collect::<Result<_, _>>()?;
                    self.tree(id, &below, depth + 1)?
                }
                _ => self.odb.read_header(id)?.1 == ObjectType::Blob,
            };
            if !is_whole {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
