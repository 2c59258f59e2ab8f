//! The whole way of a result, in every kind of repository.
#![allow(clippy::disallowed_methods, reason = "tests write files as a user would")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

use pleach::core::id::CommitId;
use pleach::git::pack::{self, Imported};
use pleach::git::worktree::{self, Place, WorktreeLock};
use pleach::git::{Repository, private, snapshot};

use crate::support::repo::{World, git, put};

/// Launch, work, commit, leave something uncommitted, take, carry over, remove; the user's side stays as it was.
fn whole_way(world: &World) -> (Place, CommitId) {
    let before = world.fingerprint();
    let (place, base) = (world.launch("7.1"), world.head());
    assert_eq!(git(&place.worktree, &["status", "--porcelain"]), "");
    put(&place.worktree.join("src/a"), "committed\n");
    git(&place.worktree, &["commit", "-qam", "one"]);
    put(&place.worktree.join("src/a"), "left over\n");
    put(&place.worktree.join("src/new"), "new\n");
    let taken = snapshot::take(&world.repo(), &place, base, "left").unwrap();
    assert!(taken.notes.is_empty() && taken.extras.is_empty(), "{taken:?}");
    let file = world.root.join("state/result.pack");
    pack::export(&place, &[taken.tip], base, &file).unwrap();
    assert_eq!(pack::import(&world.repo(), &file, &[taken.tip], base).unwrap(), Imported::Done);
    let (size, flags) = pack::inspect(&world.repo(), base, taken.tip).unwrap();
    assert_eq!((size.commits, size.files, flags), (2, 2, vec![]));
    let tip = taken.tip.to_string();
    assert_eq!(world.run(&["show", &format!("{tip}:src/a")]), "left over\n");
    assert_eq!(world.run(&["diff-tree", "-r", "--name-only", &base.to_string(), &tip]), "src/a\nsrc/new\n");
    worktree::lead_outside(&world.repo(), &place).unwrap();
    assert!(world.run(&["worktree", "list"]).contains("pleach-7.1"));
    let lock = WorktreeLock::acquire(&world.repo()).unwrap();
    worktree::remove(&world.repo(), &lock, &place, &world.root.join("state/trash"), &|_| {}).unwrap();
    assert_eq!(world.fingerprint(), before);
    (place, taken.tip)
}

#[test]
fn plain_sha256_and_reftable() {
    for init in [&[][..], &["--object-format=sha256"], &["--ref-format=reftable"]] {
        let world = World::new(init);
        whole_way(&world);
        world.run(&["fsck"]);
    }
}

#[test]
fn names_of_any_bytes() {
    for name in [&b"with space"[..], b"new\nline", b"-dash", b"not-utf8-\xff", b"quote\"colon:semi;", b"back\\slash"] {
        whole_way(&World::named(OsStr::from_bytes(name), &[]));
    }
}

#[test]
fn files_of_any_names() {
    let world = World::new(&[]);
    let names = [&b"-dash"[..], b"sp ace", b"new\nline", b"\xff\xfe", b":(top)magic", b"*star", b"tab\t\"q\""];
    for name in names {
        world.write(OsStr::from_bytes(name), "x");
    }
    world.run(&["add", "-A"]);
    world.run(&["commit", "-qm", "odd"]);
    let place = world.launch("1.1");
    for name in names {
        put(&place.worktree.join(OsStr::from_bytes(name)), "changed");
        put(&place.worktree.join(OsStr::from_bytes(&[b"new-", name].concat())), "new");
    }
    let taken = snapshot::take(&world.repo(), &place, world.head(), "left").unwrap();
    let file = world.root.join("state/result.pack");
    pack::export(&place, &[taken.tip], world.head(), &file).unwrap();
    assert_eq!(pack::import(&world.repo(), &file, &[taken.tip], world.head()).unwrap(), Imported::Done);
    let (size, flags) = pack::inspect(&world.repo(), world.head(), taken.tip).unwrap();
    assert_eq!((size.files, flags), (14, vec![]));
}

#[test]
fn a_linked_worktree_as_the_users_checkout() {
    let mut world = World::new(&[]);
    let linked = world.root.join("linked");
    world.run(&["worktree", "add", "-q", "-b", "side", linked.to_str().unwrap()]);
    world.top = linked;
    whole_way(&world);
}

#[test]
fn a_bare_repository() {
    let mut world = World::new(&[]);
    let bare = world.root.join("bare.git");
    world.run(&["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    world.top = bare;
    world.identify();
    whole_way(&world);
}

#[test]
fn a_shallow_clone() {
    let mut world = World::new(&[]);
    for n in 0..3 {
        world.write("readme", format!("{n}"));
        world.run(&["commit", "-qam", "more"]);
    }
    let url = format!("file://{}", world.top.display());
    world.run(&["clone", "-q", "--depth=2", &url, "../shallow"]);
    world.top = world.root.join("shallow");
    world.identify();
    whole_way(&world);
    world.run(&["fsck"]);
}

#[test]
fn a_blobless_clone() {
    let mut world = World::new(&[]);
    for n in 0..3 {
        world.write("readme", format!("{n}"));
        world.write("src/big", format!("{n}\n").repeat(2000));
        world.run(&["add", "-A"]);
        world.run(&["commit", "-qm", "more"]);
    }
    world.run(&["config", "uploadpack.allowfilter", "true"]);
    world.run(&["config", "uploadpack.allowanysha1inwant", "true"]);
    let url = format!("file://{}", world.top.display());
    world.run(&["clone", "-q", "--filter=blob:none", "--no-checkout", &url, "../partial"]);
    world.top = world.root.join("partial");
    world.identify();
    world.run(&["checkout", "-q", "HEAD", "--", "readme"]);
    let (place, _) = whole_way(&world);
    assert!(fs::read_to_string(place.private.join("config")).unwrap().contains("promisor"));
}

#[test]
fn a_sparse_checkout() {
    for cone in ["--cone", "--no-cone"] {
        let world = World::new(&[]);
        world.write("docs/deep/file", "d\n");
        world.write("other/file", "o\n");
        world.run(&["add", "-A"]);
        world.run(&["commit", "-qm", "docs"]);
        world.run(&["sparse-checkout", "set", cone, "src"]);
        let (place, tip) = whole_way(&world);
        assert!(world.run(&["ls-tree", "-r", &tip.to_string()]).contains("docs/deep/file"));
        let again = world.launch("8.1");
        assert!(again.worktree.join("src/a").exists() && !again.worktree.join("docs").exists(), "{cone}");
        // Without an index the files outside are not taken for deleted, and new ones there are kept.
        fs::remove_file(again.private.join("index")).unwrap();
        put(&again.worktree.join("docs/deep/made"), "m\n");
        let taken = snapshot::take(&world.repo(), &again, world.head(), "left").unwrap();
        let changed = git(&again.worktree, &["diff", "--name-status", "main", &taken.tip.to_string()]);
        assert_eq!(changed, "A\tdocs/deep/made\n", "{cone} {}", place.worktree.display());
    }
}

#[test]
fn a_process_like_filter_of_the_local_configuration() {
    let world = World::new(&[]);
    world.write(".gitattributes", "*.big filter=big\n");
    world.run(&["config", "filter.big.clean", "tr a-z A-Z"]);
    world.run(&["config", "filter.big.smudge", "tr A-Z a-z"]);
    world.run(&["config", "filter.big.required", "true"]);
    world.write("x.big", "content\n");
    world.run(&["add", "-A"]);
    world.run(&["commit", "-qm", "big"]);
    whole_way(&world);
    let place = world.launch("8.1");
    assert_eq!(fs::read(place.worktree.join("x.big")).unwrap(), b"content\n");
}

#[test]
fn a_checkout_that_was_killed_is_finished() {
    let world = World::new(&[]);
    let place = world.launch("1.1");
    put(&place.private.join("index.lock"), "");
    fs::remove_file(place.private.join("index")).unwrap();
    put(&place.worktree.join("src/a"), "hal");
    fs::remove_file(place.worktree.join("src/b")).unwrap();
    private::checkout(&place.private, &place.worktree).unwrap();
    assert_eq!(git(&place.worktree, &["status", "--porcelain"]), "");
    assert_eq!(fs::read(place.worktree.join("src/a")).unwrap(), b"one\ntwo\nthree\n");
}

#[test]
fn a_repository_with_a_broken_ref_and_alternates_of_its_own() {
    let mut world = World::new(&[]);
    world.run(&["clone", "-q", "--shared", ".", "../sharing"]);
    world.top = world.root.join("sharing");
    world.identify();
    whole_way(&world);
    put(&world.top.join(".git/refs/heads/broken"), format!("{}\n", "12".repeat(20)));
    let place = world.launch("8.1");
    assert_eq!(git(&place.worktree, &["log", "--format=%s"]), "first\n");
}

#[test]
fn a_repository_that_cannot_be_written_says_so() {
    let world = World::new(&[]);
    let common = Repository::at(world.top.join(".git"));
    fs::set_permissions(common.common_dir(), fs::Permissions::from_mode(0o500)).unwrap();
    let lock = WorktreeLock::acquire(&common);
    fs::set_permissions(common.common_dir(), fs::Permissions::from_mode(0o700)).unwrap();
    // Root may write anywhere.
    if let Err(error) = lock {
        assert!(error.to_string().starts_with("cannot create "), "{error}");
    }
}
