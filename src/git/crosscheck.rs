//! What git merged is checked against our own walk, wherever that decides: two engines that have nothing in common do
//! not make the same mistake. Where they disagree one of them is wrong, and nothing lands.

use super::GitError;
use super::merge::Merged;
use super::opened::Opened;
use super::walk::{self, Walked};
use crate::core::id::{CommitId, TreeId};

/// A merge of commits, by some engine. Without a base, it finds it in the graph.
pub(super) type Engine<'a> =
    &'a dyn Fn(&super::Repository, Option<CommitId>, CommitId, CommitId) -> Result<Merged, GitError>;

/// The answer of an engine, checked. `bases` are asked for only where git looked for them itself and they can be had in
/// process.
pub(super) fn merge(
    opened: &Opened<'_>,
    engine: Engine<'_>,
    base: Option<CommitId>,
    [ours, theirs]: [CommitId; 2],
    bases: &dyn Fn() -> Result<Vec<CommitId>, GitError>,
) -> Result<Merged, GitError> {
    // Who is built on it has all of it: there is nothing to merge.
    let is_built_on = match base {
        Some(base) => base == ours,
        None => opened.library().is_some() && opened.is_ancestor(ours, theirs)?,
    };
    if is_built_on {
        return opened.tree_of(theirs).map(Merged::Clean);
    }
    let merged = engine(opened.repo, base, ours, theirs)?;
    let Merged::Clean(tree) = merged else { return Ok(merged) };
    let single = match base {
        Some(base) => Some(base),
        None if opened.library().is_some() => only(&bases()?),
        None => None,
    };
    let Some(single) = single else { return Ok(merged) };
    match disputed(opened, [single, ours, theirs], tree) {
        // The library sees the graph with eyes of its own. This is asked only when the roof is on fire.
        Some(_) if base.is_none() && only(&opened.merge_bases_by_git(ours, theirs)?) != Some(single) => Ok(merged),
        Some(dispute) => Ok(dispute),
        None => Ok(merged),
    }
}

fn only(bases: &[CommitId]) -> Option<CommitId> {
    if let [base] = bases { Some(*base) } else { None }
}

/// Does the walk decide, and has its tree other files than git's?
fn disputed(opened: &Opened<'_>, commits: [CommitId; 3], by_git: TreeId) -> Option<Merged> {
    let objects = opened.objects()?;
    let [base, ours, theirs] = commits.map(|commit| objects.tree_of(commit));
    let Walked::Tree(by_walk) = walk::walk(objects, base?, ours?, theirs?) else { return None };
    if by_walk == by_git {
        return None;
    }
    // A side may bring directories that git would not write; it keeps or mends them as it happens to come by.
    let paths = walk::differing_files(objects, by_git, by_walk);
    (paths != Some(Vec::new())).then(|| Merged::Disputed(paths.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::super::Repository;
    use super::super::merge::{self, Identity, Plan, Wanted};
    use super::*;
    use crate::core::change::{Hold, Refusal};
    use crate::core::task::Strategy;
    use crate::core::word::Word;

    struct Bench {
        _dir: tempfile::TempDir,
        repo: Repository,
    }

    impl Bench {
        fn new(options: &[&str]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let repo = Repository::at(dir.path());
            repo.git().args(["init", "-q", "--bare"]).args(options).run().unwrap();
            repo.git().args(["config", "commit.gpgsign", "false"]).run().unwrap();
            Self { _dir: dir, repo }
        }

        /// Files by name and content; `empty` is a directory that git would not write.
        fn tree(&self, entries: &[(&str, &str)]) -> String {
            let entry = |(name, content): &(&str, &str)| match *content {
                "empty" => format!("040000 tree {}\t{name}\n", self.tree(&[])),
                _ => {
                    let hash = self.repo.git().args(["hash-object", "-w", "--stdin"]).input(*content);
                    format!("100644 blob {}\t{name}\n", hash.line().unwrap())
                }
            };
            let entries: String = entries.iter().map(entry).collect();
            self.repo.git().arg("mktree").input(entries).line().unwrap()
        }

        fn commit(&self, entries: &[(&str, &str)], parents: &[CommitId]) -> CommitId {
            let me = ["-c", "user.name=me", "-c", "user.email=me@localhost", "commit-tree", "-m", "x"];
            let tool = self.repo.git().args(me).arg(self.tree(entries));
            let tool = parents.iter().fold(tool, |tool, parent| tool.arg("-p").arg(parent.to_string()));
            tool.line().unwrap().parse().unwrap()
        }

        /// One side changes `a`, the other `b`.
        fn sides(&self) -> [CommitId; 3] {
            let base = self.commit(&[("a", "1"), ("b", "1"), ("c", "1")], &[]);
            let ours = self.commit(&[("a", "2"), ("b", "1"), ("c", "1")], &[base]);
            [base, ours, self.commit(&[("a", "1"), ("b", "2"), ("c", "1")], &[base])]
        }
    }

    fn who() -> Identity {
        let at = "2026-01-02T03:04:05Z".parse().unwrap();
        Identity { name: "Ute User".to_owned(), email: "ute@example.org".to_owned(), at }
    }

    /// An engine that drops our side: clean, and wrong.
    fn liar(repo: &Repository, base: Option<CommitId>, ours: CommitId, theirs: CommitId) -> Result<Merged, GitError> {
        match merge::by_git(repo, base, ours, theirs)? {
            Merged::Clean(_) => repo.tree_of(theirs).map(Merged::Clean),
            other => Ok(other),
        }
    }

    #[test]
    fn a_tree_that_the_walk_does_not_come_to_does_not_land() {
        let bench = Bench::new(&[]);
        let [base, head, tip] = bench.sides();
        for (strategy, replay) in [
            (Strategy::Merge, false),
            (Strategy::Merge, true),
            (Strategy::Squash, false),
            (Strategy::Squash, true),
            (Strategy::Rebase, false),
        ] {
            let wanted = Wanted { head, base, tip, strategy, message: "m", replay };
            let landed = merge::plan_by(&merge::by_git, &bench.repo, &wanted, &who()).unwrap();
            assert!(matches!(landed, Plan::Land(_)), "{strategy:?} {replay}: {landed:?}");
            let held = merge::plan_by(&liar, &bench.repo, &wanted, &who()).unwrap();
            let paths = vec![Word::from("a")];
            assert_eq!(held, Plan::Refused(Refusal::Held(Hold::Disputed { paths })), "{strategy:?} {replay}");
        }
    }

    #[test]
    fn without_one_known_base_git_alone_tells() {
        let bench = Bench::new(&[]);
        let [base, ours, theirs] = bench.sides();
        let opened = bench.repo.open();
        let disputed = |bases: &[CommitId]| {
            let bases = bases.to_vec();
            merge(&opened, &liar, None, [ours, theirs], &|| Ok(bases.clone())).unwrap()
        };
        assert_eq!(disputed(&[base]), Merged::Disputed(vec![Word::from("a")]));
        let by_liar = Merged::Clean(bench.repo.tree_of(theirs).unwrap());
        assert_eq!(disputed(&[base, ours]), by_liar);
        // A base that git does not find.
        assert_eq!(disputed(&[bench.commit(&[("c", "0")], &[])]), by_liar);
        // Objects that git takes for others.
        bench.repo.git().args(["replace", &base.to_string(), &ours.to_string()]).run().unwrap();
        let opened = bench.repo.open();
        assert_eq!(merge(&opened, &liar, Some(base), [ours, theirs], &|| Ok(Vec::new())).unwrap(), by_liar);
    }

    #[test]
    fn directories_that_git_would_not_write_are_no_dispute() {
        let bench = Bench::new(&[]);
        let base = bench.commit(&[("a", "1"), ("b", "1")], &[]);
        let ours = bench.commit(&[("a", "2"), ("b", "1")], &[base]);
        let theirs = bench.commit(&[("a", "1"), ("b", "2"), ("e", "empty")], &[base]);
        let opened = bench.repo.open();
        let tree = |entries| bench.tree(entries).parse().unwrap();
        let commits = [base, ours, theirs];
        assert_eq!(disputed(&opened, commits, tree(&[("a", "2"), ("b", "2")])), None);
        assert_eq!(disputed(&opened, commits, tree(&[("a", "2"), ("b", "2"), ("e", "empty")])), None);
    }

    #[test]
    fn where_the_library_opens_nothing() {
        for (options, is_checked) in [(["--object-format=sha256"], false), (["--ref-format=reftable"], true)] {
            let bench = Bench::new(&options);
            let [base, ours, theirs] = bench.sides();
            let opened = bench.repo.open();
            assert!(opened.library().is_none());
            let merge = |base| merge(&opened, &liar, base, [ours, theirs], &|| panic!("not asked")).unwrap();
            assert!(matches!(merge(None), Merged::Clean(_)));
            assert_eq!(matches!(merge(Some(base)), Merged::Disputed(_)), is_checked, "{options:?}");
        }
    }
}
