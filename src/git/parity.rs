//! What is read or written in process is what git would have read or written.

use std::fs;
use std::path::{Path, PathBuf};

use super::Repository;
use super::advance::{Advance, Advanced};
use super::checkout::TreeChange;
use super::commit::{Commit, Identity};
use super::fold::checkouts_of;
use super::untouched::surely_untouched;
use crate::core::id::{BranchName, CommitId};
use crate::process::Tool;

struct Bench {
    _dir: tempfile::TempDir,
    root: PathBuf,
    top: PathBuf,
    repo: Repository,
}

impl Bench {
    fn new(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let top = root.join("user");
        Tool::git().args(["init", "-q", "-b", "main"]).args(options).arg(&top).run().unwrap();
        let common = if top.join(".git").is_dir() { top.join(".git") } else { top.clone() };
        let bench = Self { _dir: dir, root, repo: Repository::at(common), top };
        bench.git(&["config", "user.name", "Ute User"]);
        bench.git(&["config", "user.email", "ute@example.org"]);
        bench.git(&["config", "commit.gpgsign", "false"]);
        bench
    }

    fn git(&self, args: &[&str]) -> String {
        Tool::git().dir(&self.top).args(args).line().unwrap_or_else(|error| panic!("{error}"))
    }

    fn commit(&self, tree: &str, parents: &[CommitId], second: usize) -> CommitId {
        let date = format!("@{} +0000", 1_000_000_000 + second);
        let tool = self.repo.git().env("GIT_COMMITTER_DATE", &date).env("GIT_AUTHOR_DATE", &date);
        let tool = tool.args(["commit-tree", "-m", "x", tree]);
        let tool = parents.iter().fold(tool, |tool, parent| tool.arg("-p").arg(parent.to_string()));
        tool.line().unwrap().parse().unwrap()
    }

    fn tree(&self, entries: &[(&str, &str, String)]) -> String {
        let line = |(mode, name, object): &(&str, &str, String)| {
            let kind = match *mode {
                "40000" => "tree",
                "160000" => "commit",
                _ => "blob",
            };
            format!("{mode} {kind} {object}\t{name}\0")
        };
        let input: String = entries.iter().map(line).collect();
        self.repo.git().args(["mktree", "-z", "--missing"]).input(input).line().unwrap()
    }

    fn blob(&self, text: &str) -> String {
        self.repo.git().args(["hash-object", "-w", "--stdin"]).input(text).line().unwrap()
    }
}

fn identity(name: &str, email: &str) -> Identity {
    Identity { name: name.to_owned(), email: email.to_owned(), at: "2026-01-02T03:04:05Z".parse().unwrap() }
}

#[test]
fn commits_have_the_same_names_and_are_whole() {
    let bench = Bench::new(&[]);
    let empty = bench.tree(&[]);
    let parents = [bench.commit(&empty, &[], 0), bench.commit(&empty, &[], 1)];
    let twins = [parents[0], parents[0]];
    let names = ["Ute User", "Jr.", " . padded, ", "Ünï (Cödé)", "a <b> c", "O'Brien \"X\"", ""];
    let long = "long line\n".repeat(20_000);
    let messages = ["m", "", "no end", "m\n\n\nend\n\n", "ümläut\n", "\u{fdd0} and \u{1fffe}\n", "# kept\r\n", &long];
    let opened = bench.repo.open();
    let check = |commit: &Commit, who: &Identity| {
        let by_git = commit.write_by_git(&bench.repo, who);
        let ours = commit.write(&opened, who);
        match (by_git, ours) {
            (Ok(by_git), Ok(ours)) => assert_eq!(by_git, ours, "{commit:?} {who:?}"),
            (by_git, ours) => assert!(by_git.is_err() && ours.is_err(), "{commit:?} {who:?}: {by_git:?} {ours:?}"),
        }
    };
    for name in names {
        for email in ["ute@example.org", "1+ute@x.org", "", " <x>. "] {
            let who = identity(name, email);
            check(&Commit::new(empty.parse().unwrap(), parents.to_vec(), &who, "m\n"), &who);
        }
    }
    let who = identity("Ute User", "ute@example.org");
    for message in messages {
        for parents in [&[][..], &parents[..1], &parents, &twins] {
            check(&Commit::new(empty.parse().unwrap(), parents.to_vec(), &who, message), &who);
        }
    }
    let plain = Commit::new(empty.parse().unwrap(), Vec::new(), &who, "m\n");
    check(&Commit { encoding: "ISO-8859-1".to_owned(), message: b"\xfc\n".to_vec(), ..plain.clone() }, &who);
    check(&Commit { message: b"\xfc\n".to_vec(), ..plain.clone() }, &who);
    check(&Commit { message: b"a\0b\n".to_vec(), ..plain.clone() }, &who);
    let missing = "0123456789abcdef0123456789abcdef01234567";
    check(&Commit { tree: missing.parse().unwrap(), ..plain.clone() }, &who);
    check(&Commit { parents: vec![missing.parse().unwrap()], ..plain.clone() }, &who);
    for date in ["0 +0000", "1 -0000", "1000000000 +0175", "1000000000 +0530", "1000000000 -1130", "0123 +0100"] {
        let raw = format!("tree {empty}\nauthor A B <a@b> {date}\ncommitter A B <a@b> {date}\n\nm\n");
        let hash = bench.repo.git().args(["hash-object", "-t", "commit", "-w", "--literally", "--stdin"]);
        let id = hash.input(raw).line().unwrap().parse().unwrap();
        check(&Commit { parents: vec![id], ..Commit::read(&opened, id).unwrap() }, &who);
    }
}

/// What we write is what git reads, where nobody has written it before.
#[test]
fn a_commit_of_ours_passes_the_check_of_git() {
    let bench = Bench::new(&[]);
    let tree = bench.tree(&[]);
    let who = identity("Ute User", "ute@example.org");
    for message in ["short\n".to_owned(), "long line\n".repeat(20_000)] {
        let commit = Commit::new(tree.parse().unwrap(), Vec::new(), &who, &message);
        let id = commit.write(&bench.repo.open(), &who).unwrap();
        assert_eq!(bench.git(&["log", "-1", "--format=%B", &id.to_string()]).trim_end(), message.trim_end());
        bench.git(&["update-ref", "refs/heads/main", &id.to_string()]);
        bench.git(&["fsck", "--strict", "--full"]);
        // What a power cut left of it is made whole.
        let name = id.to_string();
        let path = bench.repo.common_dir().join("objects").join(&name[..2]).join(&name[2..]);
        fs::remove_file(&path).unwrap();
        fs::File::create(&path).unwrap();
        commit.write(&bench.repo.open(), &who).unwrap();
        bench.git(&["fsck", "--strict", "--full"]);
    }
    bench.git(&["gc", "-q"]);
    bench.git(&["fsck", "--strict", "--full"]);
}

#[test]
fn differences_are_those_of_git() {
    let bench = Bench::new(&[]);
    let mut rng = fastrand::Rng::with_seed(7);
    let blobs: Vec<String> = ["a", "b", "c"].iter().map(|text| bench.blob(text)).collect();
    let mut commits = Vec::new();
    for place in 0..24 {
        let mut dirs = vec![bench.tree(&[])];
        for _ in 0..4 {
            let mut entries = Vec::new();
            for name in ["x", "x-y", "x.y", "x0", "é \"\n"] {
                match rng.u8(0..7) {
                    0 => entries.push(("100644", name, rng.choice(&blobs).unwrap().clone())),
                    1 => entries.push(("100755", name, rng.choice(&blobs).unwrap().clone())),
                    2 => entries.push(("120000", name, rng.choice(&blobs).unwrap().clone())),
                    3 => entries.push(("160000", name, "0123456789abcdef0123456789abcdef01234567".to_owned())),
                    4 | 5 => entries.push(("40000", name, rng.choice(&dirs).unwrap().clone())),
                    _ => {}
                }
            }
            dirs.push(bench.tree(&entries));
        }
        commits.push(bench.commit(dirs.last().unwrap(), &[], place));
    }
    let opened = bench.repo.open();
    for &one in &commits {
        for &other in commits.iter().step_by(5) {
            assert_eq!(opened.difference(one, other).unwrap(), opened.difference_by_git(one, other).unwrap());
        }
    }
}

#[test]
fn merge_bases_are_those_of_git() {
    let bench = Bench::new(&[]);
    let tree = bench.tree(&[]);
    let mut rng = fastrand::Rng::with_seed(11);
    let mut commits = vec![bench.commit(&tree, &[], 0), bench.commit(&tree, &[], 1)];
    for _ in 0..60 {
        let near = commits.len().saturating_sub(8)..commits.len();
        let mut parents: Vec<CommitId> = (0..rng.usize(1..4)).map(|_| commits[rng.usize(near.clone())]).collect();
        parents.sort();
        parents.dedup();
        // Clocks are wrong sometimes.
        let second = rng.usize(0..1000);
        commits.push(bench.commit(&tree, &parents, second));
    }
    let opened = bench.repo.open();
    for _ in 0..60 {
        let [one, other] = [(); 2].map(|()| *rng.choice(&commits).unwrap());
        let mut ours = opened.merge_bases(one, other).unwrap();
        let mut of_git = opened.merge_bases_by_git(one, other).unwrap();
        ours.sort();
        of_git.sort();
        assert_eq!(ours, of_git, "{one} {other}");
        let asked = bench.repo.git().args(["merge-base", "--is-ancestor", &one.to_string(), &other.to_string()]);
        assert_eq!(opened.is_ancestor(one, other).unwrap(), asked.succeeds().unwrap());
    }
}

/// The history of a shallow clone ends where the objects do.
#[test]
fn the_graph_of_a_shallow_clone_is_read() {
    let bench = Bench::new(&[]);
    let tree = bench.tree(&[]);
    let mut commits = Vec::new();
    for place in 0..4 {
        let parents: Vec<CommitId> = commits.last().copied().into_iter().collect();
        commits.push(bench.commit(&tree, &parents, place));
    }
    bench.git(&["update-ref", "refs/heads/main", &commits[3].to_string()]);
    let url = format!("file://{}", bench.repo.common_dir().display());
    let clone = bench.root.join("clone.git");
    Tool::git().args(["clone", "-q", "--bare", "--depth", "2", &url]).arg(&clone).run().unwrap();
    let mut shallow = bench;
    shallow.repo = Repository::at(&clone);
    shallow.top = clone;
    shallow.git(&["config", "user.name", "Ute User"]);
    shallow.git(&["config", "user.email", "ute@example.org"]);
    let base = commits[2];
    let [one, other] = [10, 11].map(|second| shallow.commit(&tree, &[base], second));
    let orphan = shallow.commit(&tree, &[], 12);
    let opened = shallow.repo.open();
    assert!(opened.library().is_some());
    assert_eq!(opened.merge_bases(one, other).unwrap(), [base]);
    assert_eq!(opened.merge_bases(one, orphan).unwrap(), []);
    assert!(opened.is_ancestor(base, one).unwrap() && !opened.is_ancestor(orphan, one).unwrap());
    assert!(!opened.is_ancestor(one, other).unwrap() && !opened.is_ancestor(one, base).unwrap());
}

#[test]
fn the_committer_is_whom_git_would_name() {
    let cases: &[&[(&str, &str)]] = &[
        &[("user.name", "A B"), ("user.email", "a@b.org")],
        &[("user.name", "A B"), ("user.email", "a@b.org"), ("committer.name", "C"), ("committer.email", "c@d.org")],
        &[("user.name", "A B"), ("user.email", "a@b.org"), ("committer.email", "c@d.org")],
        &[("user.name", " Jr., "), ("user.email", "<a@b.org>")],
        &[("user.name", "A"), ("user.email", "")],
        &[("user.name", ""), ("user.email", "a@b.org")],
        &[("author.name", "A"), ("user.email", "a@b.org")],
        &[("user.name", "Ü (x)"), ("user.email", "a@b.org")],
        &[("include.path", "more"), ("user.email", "a@b.org")],
        &[("includeIf.gitdir:**/user/.git.path", "more"), ("user.email", "a@b.org")],
        &[
            ("includeIf.hasconfig:remote.*.url:ssh://**.path", "more"),
            ("remote.o.url", "ssh://x/y"),
            ("user.name", "Z"),
        ],
    ];
    for case in cases {
        let bench = Bench::new(&[]);
        for key in ["user.name", "user.email"] {
            bench.git(&["config", "--unset", key]);
        }
        fs::File::create(bench.top.join(".git/more")).unwrap();
        bench.git(&["config", "--file", ".git/more", "user.name", "Of Include"]);
        bench.git(&["config", "--file", ".git/more", "user.email", "of@include.org"]);
        for (key, value) in *case {
            bench.git(&["config", key, value]);
        }
        let at = "2026-01-02T03:04:05Z".parse().unwrap();
        let of_git = Identity::by_git(&bench.repo, at).unwrap();
        assert_eq!(Identity::of(&bench.repo, at).unwrap(), of_git, "{case:?}");
    }
}

#[test]
fn switches_and_paths_are_read_as_git_reads_them() {
    let bench = Bench::new(&[]);
    for value in ["true", "yes", "on", "1", "0", "", "off", "7", "1k", "nonsense"] {
        bench.git(&["config", "commit.gpgsign", value]);
        let asked = bench.repo.git().args(["config", "--type=bool", "--get", "commit.gpgsign"]).output().unwrap();
        assert_eq!(bench.repo.open().is_set("commit.gpgsign").unwrap(), asked.stdout == b"true\n", "{value}");
    }
    for value in ["/somewhere", "../x", "~/y"] {
        bench.git(&["config", "core.excludesFile", value]);
        let asked = bench.repo.git().args(["config", "--type=path", "--get", "core.excludesFile"]).line().unwrap();
        assert_eq!(bench.repo.open().path_setting("core.excludesFile").unwrap(), Some(PathBuf::from(asked)), "{value}");
    }
}

/// Checkouts of every kind, some of them broken.
fn odd_checkouts(bench: &Bench) {
    let tree = bench.tree(&[]);
    let first = bench.commit(&tree, &[], 0);
    let second = bench.commit(&tree, &[first], 1);
    for (name, id) in [("main", second), ("topic", first), ("deep/er", first), ("packed", second)] {
        bench.git(&["update-ref", &format!("refs/heads/{name}"), &id.to_string()]);
    }
    bench.git(&["pack-refs", "--all"]);
    bench.git(&["symbolic-ref", "refs/heads/alias", "refs/heads/packed"]);
    let place = |name: &str| bench.root.join(name).to_str().unwrap().to_owned();
    let add = |name: &str, args: &[&str]| bench.git(&[&["worktree", "add", "-q", &place(name)], args].concat());
    add("topic", &["topic"]);
    add("z detached\n", &["--detach", "main"]);
    add("locked", &["--detach", "--lock"]);
    add("locked why", &["--detach", "--lock", "--reason", " in use \n by me "]);
    add("gone", &["deep/er"]);
    add("gone and locked", &["--detach", "--lock"]);
    add("unborn", &["--detach"]);
    add("aliased", &["--detach"]);
    add("rebasing", &["-b", "rebased"]);
    add("silent", &["--detach"]);
    fs::rename(bench.root.join("gone"), bench.root.join("went")).unwrap();
    fs::rename(bench.root.join("gone and locked"), bench.root.join("went too")).unwrap();
    let set = |name: &str, to: &str| {
        Tool::git().dir(bench.root.join(name)).args(["symbolic-ref", "HEAD", to]).run().unwrap();
    };
    set("unborn", "refs/heads/nothing/here");
    set("aliased", "refs/heads/alias");
    let rebasing = bench.repo.common_dir().join("worktrees/rebasing");
    fs::create_dir(rebasing.join("rebase-merge")).unwrap();
    fs::File::create(rebasing.join("rebase-merge/head-name")).unwrap();
    Tool::git().dir(bench.root.join("rebasing")).args(["checkout", "-q", "--detach"]).run().unwrap();
    fs::remove_file(bench.repo.common_dir().join("worktrees/silent/gitdir")).unwrap();
    fs::create_dir(bench.repo.common_dir().join("worktrees/nothing")).unwrap();
}

#[test]
fn worktrees_are_listed_as_git_lists_them() {
    for options in [&[][..], &["--bare"]] {
        let bench = Bench::new(options);
        assert_eq!(bench.repo.worktrees().unwrap(), bench.repo.worktrees_by_git().unwrap(), "before the first commit");
        odd_checkouts(&bench);
        let listed = bench.repo.worktrees_by_files().expect("the library opens it");
        assert_eq!(listed, bench.repo.worktrees_by_git().unwrap());
        assert!(listed.iter().any(|tree| tree.is_prunable) && listed.iter().any(|tree| tree.locked.is_some()));
        for branch in ["main", "topic", "deep/er", "alias", "packed", "rebased", "nothing/here"] {
            let branch = BranchName(branch.to_owned());
            let opened = bench.repo.open();
            let (ours, of_git) = super::checkout::both_ways(&opened, &branch);
            assert_eq!(ours, of_git, "{branch}");
        }
    }
}

#[test]
fn a_main_checkout_of_any_shape_is_listed_as_git_lists_it() {
    let same = |bench: &Bench| {
        assert_eq!(bench.repo.worktrees_by_files(), Some(bench.repo.worktrees_by_git().unwrap()));
        let (ours, of_git) = super::checkout::both_ways(&bench.repo.open(), &BranchName("main".to_owned()));
        assert_eq!(ours, of_git);
    };
    let bench = Bench::new(&[]);
    let first = bench.commit(&bench.tree(&[]), &[], 0);
    bench.git(&["update-ref", "refs/heads/main", &first.to_string()]);
    same(&bench);
    bench.git(&["checkout", "-q", "--detach"]);
    same(&bench);
    bench.git(&["symbolic-ref", "HEAD", "refs/heads/main"]);
    let elsewhere = bench.root.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    bench.git(&["config", "core.worktree", "../../elsewhere"]);
    same(&bench);
    assert_eq!(checkouts_of(&bench.repo, &BranchName("main".to_owned())).unwrap()[0].top, elsewhere);
    bench.git(&["config", "--unset", "core.worktree"]);
    bench.git(&["config", "core.bare", "yes"]);
    same(&bench);
    bench.git(&["config", "--unset", "core.bare"]);
    same(&bench);
    Tool::git().dir(&bench.top).args(["config", "extensions.worktreeConfig", "true"]).run().unwrap();
    Tool::git().dir(&bench.top).args(["config", "--worktree", "core.bare", "true"]).run().unwrap();
    same(&bench);
}

/// A path that is relative to the git directory, as newer versions of git write it, and older ones list wrongly.
#[test]
fn a_relative_worktree_is_found() {
    let bench = Bench::new(&[]);
    let first = bench.commit(&bench.tree(&[]), &[], 0);
    bench.git(&["update-ref", "refs/heads/main", &first.to_string()]);
    bench.git(&["worktree", "add", "-q", "-b", "topic", "../topic"]);
    let git_dir = bench.repo.common_dir().join("worktrees/topic");
    store(&git_dir.join("gitdir"), "../../../../topic/.git\n");
    let listed = bench.repo.worktrees().unwrap();
    assert_eq!(listed[1].path, bench.root.join("topic"));
    assert!(!listed[1].is_prunable);
    let found = checkouts_of(&bench.repo, &BranchName("topic".to_owned())).unwrap();
    assert_eq!((&found[0].top, &found[0].git_dir), (&bench.root.join("topic"), &git_dir));
    fs::rename(bench.root.join("topic"), bench.root.join("away")).unwrap();
    assert!(bench.repo.worktrees().unwrap()[1].is_prunable);
}

/// Where HEAD is not such a file, nothing is guessed.
#[test]
fn what_is_no_plain_file_is_asked_of_git() {
    let reftable = Bench::new(&["--ref-format=reftable"]);
    assert_eq!(reftable.repo.worktrees_by_files(), None);
    let bench = Bench::new(&[]);
    let first = bench.commit(&bench.tree(&[]), &[], 0);
    bench.git(&["update-ref", "refs/heads/main", &first.to_string()]);
    let head = bench.repo.common_dir().join("HEAD");
    fs::remove_file(&head).unwrap();
    std::os::unix::fs::symlink("refs/heads/main", &head).unwrap();
    assert_eq!(bench.repo.worktrees_by_files(), None);
    assert_eq!(checkouts_of(&bench.repo, &BranchName("main".to_owned())).unwrap().len(), 1);
}

/// One tree of random names, with some files that become directories and the other way round.
fn random_tree(random: &mut fastrand::Rng, bench: &Bench, blobs: &[String]) -> String {
    let names =
        ["a", "b", "b.c", "b/x", "b/y/z", "c", "c/d", "long name that has more than a few bytes", "ü", "-x", "zz/zz"];
    let index = bench.root.join("scratch");
    let git = || bench.repo.git().env("GIT_INDEX_FILE", &index);
    git().args(["read-tree", "--empty"]).run().unwrap();
    let mut taken: Vec<&str> = Vec::new();
    let mut lines = String::new();
    for name in names {
        let is_blocked =
            taken.iter().any(|other| other.starts_with(&format!("{name}/")) || name.starts_with(&format!("{other}/")));
        if random.u8(..) < 150 && !is_blocked {
            taken.push(name);
            let mode = if random.u8(..) < 40 { "100755" } else { "100644" };
            lines += &format!("{mode} {}\t{name}\0", blobs[random.usize(..blobs.len())]);
        }
    }
    git().args(["update-index", "-z", "--index-info"]).input(lines).run().unwrap();
    git().args(["write-tree"]).line().unwrap()
}

/// From any tree to any other: the files and the index are those that git would have made, and git takes them for its own.
#[test]
fn a_checkout_advances_as_git_would_do_it() {
    for (options, seed) in [(2, 0_u64), (4, 1), (3, 2), (4, 3)] {
        let bench = Bench::new(&[]);
        bench.git(&["config", "index.version", &options.to_string()]);
        bench.git(&["config", "index.skipHash", if seed == 3 { "true" } else { "false" }]);
        let mut random = fastrand::Rng::with_seed(seed);
        let blobs: Vec<String> =
            ["", "one\n", "two\n", &"large\n".repeat(9000)].iter().map(|text| bench.blob(text)).collect();
        let mut last = bench.commit(&random_tree(&mut random, &bench, &blobs), &[], 0);
        bench.git(&["reset", "-q", "--hard", &last.to_string()]);
        for step in 1..40 {
            if step % 3 == 0 {
                bench.git(&["status"]);
            }
            let next = bench.commit(&random_tree(&mut random, &bench, &blobs), &[last], step);
            let opened = bench.repo.open();
            let checkout = &checkouts_of(&bench.repo, &BranchName("main".to_owned())).unwrap()[0];
            let change = TreeChange::between(&opened, last, next).unwrap();
            let untouched =
                surely_untouched(checkout, &change).unwrap_or_else(|| panic!("seed {seed} step {step}: {change:?}"));
            let advance = Advance::prepare(&opened, checkout, &change, untouched.index);
            // A name that is not plain is left to git.
            let Some(advance) = advance else {
                assert!(change.paths().any(|path| !path.as_bytes().is_ascii()), "seed {seed} step {step}: {change:?}");
                bench.git(&["reset", "-q", "--hard", &next.to_string()]);
                last = next;
                continue;
            };
            assert!(matches!(advance.run(&|_| ()), Ok(Advanced::Done)), "seed {seed} step {step}");
            let tree = bench.git(&["rev-parse", &format!("{next}^{{tree}}")]);
            assert_eq!(bench.git(&["write-tree"]), tree, "seed {seed} step {step}");
            bench.git(&["update-ref", "refs/heads/main", &next.to_string()]);
            assert_eq!(bench.git(&["status", "--porcelain", "--ignored"]), "", "seed {seed} step {step}");
            bench.git(&["fsck", "--no-dangling"]);
            last = next;
        }
    }
}

/// A checkout that is to have `a` changed and `new` added, where somebody does this between our look and our lock.
fn meanwhile(act: impl Fn(&Bench)) -> (Bench, Result<Advanced, String>) {
    let bench = Bench::new(&[]);
    let last = bench.commit(&bench.tree(&[("100644", "a", bench.blob("a\n"))]), &[], 0);
    bench.git(&["reset", "-q", "--hard", &last.to_string()]);
    let both = [("100644", "a", bench.blob("b\n")), ("100644", "new", bench.blob("new\n"))];
    let next = bench.commit(&bench.tree(&both), &[last], 1);
    let opened = bench.repo.open();
    let checkout = &checkouts_of(&bench.repo, &BranchName("main".to_owned())).unwrap()[0];
    let change = TreeChange::between(&opened, last, next).unwrap();
    let untouched = surely_untouched(checkout, &change).unwrap();
    let advance = Advance::prepare(&opened, checkout, &change, untouched.index).unwrap();
    act(&bench);
    let advanced = advance.run(&|_| ());
    drop(opened);
    (bench, advanced)
}

#[test]
fn what_somebody_does_meanwhile_is_not_written_over() {
    let (bench, advanced) = meanwhile(|bench| {
        store(&bench.top.join("staged"), "mine\n");
        bench.git(&["add", "staged"]);
    });
    assert!(matches!(advanced, Ok(Advanced::Untouched)));
    assert_eq!(bench.git(&["status", "--porcelain"]), "A  staged");
    let (bench, advanced) = meanwhile(|bench| store(&bench.top.join("a"), "mine\n"));
    assert!(matches!(advanced, Ok(Advanced::Untouched)));
    assert_eq!(fs::read(bench.top.join("a")).unwrap(), b"mine\n");
    let (bench, advanced) = meanwhile(|bench| store(&bench.top.join("new"), "mine\n"));
    assert!(advanced.is_err());
    assert_eq!(fs::read(bench.top.join("new")).unwrap(), b"mine\n");
}

fn store(path: &Path, text: &str) {
    use std::io::Write;
    fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}
