//! What a hostile task sends is refused, and leaves no trace.
#![allow(clippy::disallowed_methods, reason = "tests write files as a user would")]

use std::fs;
use std::path::{Path, PathBuf};

use pleach::core::change::Flag;
use pleach::core::id::CommitId;
use pleach::core::word::Word;
use pleach::git::pack::{self, Imported};
use pleach::git::snapshot;
use pleach::git::worktree::Place;

use crate::support::repo::{World, git, git_with, put};

/// Mode, name, object.
type Entry<'a> = (&'a str, &'a str, &'a str);

/// A tree with these entries as bytes, in the private repository, whatever git thinks of it.
fn tree(place: &Place, entries: &[Entry<'_>]) -> String {
    let mut bytes = Vec::new();
    for (mode, name, id) in entries {
        bytes.extend(format!("{mode} {name}\0").bytes());
        bytes.extend(id.parse::<CommitId>().unwrap().as_bytes());
    }
    git_with(&place.worktree, &["hash-object", "-w", "-t", "tree", "--literally", "--stdin"], &bytes)
}

fn blob(place: &Place, content: &str) -> String {
    git_with(&place.worktree, &["hash-object", "-w", "--stdin"], content.as_bytes())
}

fn commit(place: &Place, tree: &str, parent: CommitId) -> CommitId {
    let id = git(&place.worktree, &["commit-tree", tree, "-p", &parent.to_string(), "-m", "hostile"]);
    id.trim().parse().unwrap()
}

fn send(world: &World, place: &Place, tip: CommitId) -> PathBuf {
    let file = world.root.join("state/result.pack");
    pack::export(place, &[tip], world.head(), &file).unwrap();
    file
}

fn assert_refused(world: &World, file: &Path, tip: CommitId, what: &str) {
    let (objects, files) = (world.objects(), listing(world));
    let answer = pack::import(&world.repo(), file, &[tip], world.head()).unwrap();
    assert!(matches!(answer, Imported::Refused(_)), "{what}: {answer:?}");
    assert_eq!(world.objects(), objects, "{what}");
    assert_eq!(listing(world), files, "{what}");
}

fn listing(world: &World) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(world.repo().common_dir().join("objects")).sort_by_file_name();
    entries.into_iter().map(|entry| entry.unwrap().into_path()).collect()
}

#[test]
fn hostile_trees_and_modules_are_refused() {
    let world = World::new(&[]);
    let place = world.launch("1.1");
    let base = world.head();
    let file = blob(&place, "payload\n");
    let inner = tree(&place, &[("100644", "config", &file)]);
    let link = blob(&place, "../../target");
    let option = blob(&place, "[submodule \"x\"]\n\tpath = x\n\turl = -u./payload\n");
    let name = blob(&place, "[submodule \"../../hooks\"]\n\tpath = x\n\turl = ./x\n");
    let cases: &[(&str, Vec<Entry<'_>>)] = &[
        ("A27 .git", vec![("40000", ".git", &inner)]),
        ("A28 .GIT", vec![("40000", ".GIT", &inner)]),
        ("A28 git~1", vec![("40000", "git~1", &inner)]),
        ("A29 ..", vec![("40000", "..", &inner)]),
        ("A29 slash", vec![("100644", "a/b", &file)]),
        ("A30 duplicate", vec![("100644", "a", &file), ("100644", "a", &file)]),
        ("A31 .gitmodules link", vec![("120000", ".gitmodules", &link)]),
        ("A32 url option", vec![("100644", ".gitmodules", &option)]),
        ("A33 name", vec![("100644", ".gitmodules", &name)]),
    ];
    for (what, entries) in cases {
        let tip = commit(&place, &tree(&place, entries), base);
        let file = send(&world, &place, tip);
        assert_refused(&world, &file, tip, what);
    }
    // The positive control: the same way, an honest tree.
    let tip = commit(&place, &tree(&place, &[("100644", "a", &file)]), base);
    let file = send(&world, &place, tip);
    assert_eq!(pack::import(&world.repo(), &file, &[tip], base).unwrap(), Imported::Done);
    assert_eq!(pack::import(&world.repo(), &file, &[tip], base).unwrap(), Imported::Done);
    assert_eq!(world.run(&["show", &format!("{tip}:a")]), "payload\n");
    world.run(&["fsck", "--full", "--strict"]);
}

#[test]
fn packs_that_are_not_whole_are_refused() {
    let world = World::new(&[]);
    let place = world.launch("1.1");
    let (base, other) = (world.head(), blob(&place, "other\n"));
    let lost = blob(&place, "lost\n");
    let tip = commit(&place, &tree(&place, &[("100644", "a", &lost), ("100644", "b", &other)]), base);
    let file = send(&world, &place, tip);
    let whole = fs::read(&file).unwrap();
    for (what, bytes) in [
        ("truncated", whole[..whole.len() - 30].to_vec()),
        ("flipped", whole.iter().enumerate().map(|(n, b)| if n == whole.len() / 2 { !b } else { *b }).collect()),
        ("longer", [&whole[..], b"more"].concat()),
        ("garbage", b"not a pack at all".to_vec()),
        ("empty", Vec::new()),
        ("a bundle", b"# v3 git bundle\n@filter=blob:none\n\n".to_vec()),
    ] {
        fs::write(&file, bytes).unwrap();
        assert_refused(&world, &file, tip, what);
    }
    // A pack that is well formed, but lacks an object of the tip.
    let list = git(&place.worktree, &["rev-list", "--objects", "--no-object-names", &tip.to_string(), "--not", "main"]);
    let less: String = list.lines().filter(|id| *id != lost).map(|id| format!("{id}\n")).collect();
    let input = tempfile::NamedTempFile::new().unwrap();
    fs::write(input.path(), less).unwrap();
    let name = world.root.join("state/short");
    let hash =
        git_with(&place.worktree, &["pack-objects", "-q", name.to_str().unwrap()], &fs::read(input.path()).unwrap());
    assert_refused(&world, &world.root.join(format!("state/short-{hash}.pack")), tip, "A34 missing object");
    // Not a file at all.
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(world.root.join("state/short.pack"), &file).unwrap();
    assert!(pack::import(&world.repo(), &file, &[tip], base).is_err());
    // A tip that is no commit.
    let tree_as_tip: CommitId = tree(&place, &[("100644", "a", &lost)]).parse().unwrap();
    let file = world.root.join("state/tree.pack");
    pack::export(&place, &[tree_as_tip], base, &file).unwrap();
    assert_refused(&world, &file, tree_as_tip, "a tree as tip");
}

#[test]
fn a_crash_in_the_middle_leaves_only_what_the_sweep_removes() {
    let world = World::new(&[]);
    let left = world.repo().common_dir().join("objects/pleach-incoming-x/pack");
    put(&left.join("tmp_pack_x"), "half");
    pack::sweep_quarantine(&world.repo()).unwrap();
    assert!(!left.parent().unwrap().exists());
    let missing = world.root.join("state/none.pack");
    assert_eq!(pack::import(&world.repo(), &missing, &[world.head()], world.head()).unwrap(), Imported::Done);
}

/// Bytes of a good pack that were changed, cut or doubled, each beside the whole one, which must be taken.
#[test]
fn whatever_a_pack_says_it_is_refused_or_whole() {
    const ROUNDS: u64 = 40;
    let world = World::new(&[]);
    let place = world.launch("1.1");
    put(&place.worktree.join("new"), "one\ntwo\n".repeat(50));
    git(&place.worktree, &["add", "-A"]);
    git(&place.worktree, &["commit", "-qm", "good"]);
    let tip: CommitId = git(&place.worktree, &["rev-parse", "HEAD"]).trim().parse().unwrap();
    let file = send(&world, &place, tip);
    let good = fs::read(&file).unwrap();
    let mut random = fastrand::Rng::with_seed(23);
    for round in 0..ROUNDS {
        let mut bad = good.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..bad.len());
            match random.u8(..3) {
                0 => bad[at] = random.u8(..),
                1 => bad.truncate(at.max(1)),
                _ => bad.extend_from_within(at..),
            }
        }
        if bad != good && !(bad.starts_with(b"PACK") && bad.get(8..12) == Some(&[0; 4])) {
            fs::write(&file, &bad).unwrap();
            assert_refused(&world, &file, tip, &format!("round {round}: {bad:?}"));
        }
    }
    fs::write(&file, &good).unwrap();
    assert_eq!(pack::import(&world.repo(), &file, &[tip], world.head()).unwrap(), Imported::Done);
    git(&world.top, &["fsck", "--strict"]);
}

#[test]
fn what_needs_a_word_is_flagged_and_counted() {
    let world = World::new(&[]);
    world.write("Makefile", "all:\n");
    world.run(&["add", "-A"]);
    world.run(&["commit", "-qm", "second"]);
    let (place, base) = (world.launch("1.1"), world.head());
    let at = |path: &str| place.worktree.join(path);
    put(&at("src/a"), "one\n2\nthree\nfour\n");
    put(&at("makefile"), "x");
    std::os::unix::fs::symlink("/etc/passwd", at("abs")).unwrap();
    std::os::unix::fs::symlink("../../up", at("src/up")).unwrap();
    std::os::unix::fs::symlink("../readme", at("src/fine")).unwrap();
    git(&place.worktree, &["add", "-A"]);
    let gitlink = format!("160000,{base},module");
    git(&place.worktree, &["update-index", "--add", "--cacheinfo", &gitlink]);
    git(&place.worktree, &["commit", "-qm", "odd"]);
    let tip: CommitId = git(&place.worktree, &["rev-parse", "HEAD"]).trim().parse().unwrap();
    let file = send(&world, &place, tip);
    assert_eq!(pack::import(&world.repo(), &file, &[tip], base).unwrap(), Imported::Done);
    let (size, flags) = pack::inspect(&world.repo(), base, tip).unwrap();
    assert_eq!((size.commits, size.files), (1, 6));
    assert!(size.insertions >= 3 && size.deletions == 1, "{size:?}");
    let word = |text: &str| Word::from(text);
    assert_eq!(
        flags,
        [
            Flag::Gitlink { path: word("module") },
            Flag::OutsideLink { path: word("abs"), leads_to: word("/etc/passwd") },
            Flag::OutsideLink { path: word("src/up"), leads_to: word("../../up") },
            Flag::Colliding { path: word("makefile"), with: word("Makefile") },
        ]
    );
    let first: CommitId = world.run(&["rev-parse", "HEAD^"]).trim().parse().unwrap();
    let (_, flags) = pack::inspect(&world.repo(), base, first).unwrap();
    assert_eq!(flags, [Flag::Diverged]);
    assert_eq!(pack::inspect(&world.repo(), base, base).unwrap(), Default::default());
}

#[test]
fn the_snapshot_of_a_task_is_the_same_outside() {
    let world = World::new(&[]);
    let (place, base) = (world.launch("1.1"), world.head());
    put(&place.worktree.join("src/a"), "edited\n");
    let taken = snapshot::take(&world.repo(), &place, base, "left").unwrap();
    let before = world.fingerprint();
    let file = send(&world, &place, taken.tip);
    assert_eq!(pack::import(&world.repo(), &file, &[taken.tip], base).unwrap(), Imported::Done);
    assert_eq!(world.fingerprint(), before);
}

/// A hundred small results would be a hundred packs, each of which is opened by whoever looks for anything.
#[test]
fn few_objects_become_files_of_their_own_and_many_stay_a_pack() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new(&[]);
    let place = world.launch("1.1");
    let base = world.head();
    let objects = world.repo().common_dir().join("objects");
    let packs = || fs::read_dir(objects.join("pack")).map_or(0, Iterator::count);
    let send_files = |count: usize| {
        let blobs: Vec<(String, String)> =
            (0..count).map(|n| (format!("f{n:03}"), blob(&place, &format!("{count} {n}\n")))).collect();
        let entries: Vec<Entry<'_>> = blobs.iter().map(|(name, id)| ("100644", &**name, &**id)).collect();
        let tip = commit(&place, &tree(&place, &entries), base);
        let file = send(&world, &place, tip);
        assert_eq!(pack::import(&world.repo(), &file, &[tip], base).unwrap(), Imported::Done);
        assert_eq!(world.run(&["show", &format!("{tip}:f{:03}", count - 1)]), format!("{count} {}\n", count - 1));
        tip.to_string()
    };
    // Shared with a group, whatever our own mask says.
    fs::set_permissions(&objects, fs::Permissions::from_mode(0o2770)).unwrap();
    let few = send_files(3);
    assert_eq!(packs(), 0);
    let dir = objects.join(&few[..2]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&dir), mode(&dir.join(&few[2..]))), (0o2770, 0o440));
    send_files(200);
    assert!(packs() > 0);
    world.run(&["fsck", "--full", "--strict"]);
}
