//! Left-overs become a commit, whatever a task did.
#![allow(clippy::disallowed_methods, reason = "tests write files as a user would")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use pleach::core::id::CommitId;
use pleach::core::word::Word;
use pleach::git::pack::{self, Imported};
use pleach::git::snapshot::{self, Snapshot};
use pleach::git::worktree::Place;

use crate::support::repo::{World, git, git_works, put};

/// Take it, carry it to the user's repository, and check that all of it is there.
fn take(world: &World, place: &Place) -> Snapshot {
    let base = world.head();
    let snapshot = snapshot::take(&world.repo(), place, base, "left-overs\n\nby pleach\n").unwrap();
    let again = snapshot::take(&world.repo(), place, base, "left-overs\n\nby pleach\n").unwrap();
    let twice = format!("taken twice: {snapshot:?} {again:?}");
    assert_eq!(
        (again.tip, &again.extras, &again.left_out),
        (snapshot.tip, &snapshot.extras, &snapshot.left_out),
        "{twice}"
    );
    let file = place.private.with_file_name("result.pack");
    let tips: Vec<CommitId> = [snapshot.tip].into_iter().chain(snapshot.extras.iter().map(|(_, id)| *id)).collect();
    pack::export(place, &tips, base, &file).unwrap();
    assert_eq!(pack::import(&world.repo(), &file, &tips, base).unwrap(), Imported::Done);
    for tip in tips {
        world.run(&["rev-list", "--objects", "--quiet", &tip.to_string()]);
    }
    snapshot
}

fn shows(world: &World, commit: CommitId, path: &str) -> String {
    world.run(&["show", &format!("{commit}:{path}")])
}

fn subjects(world: &World, commit: CommitId) -> String {
    world.run(&["log", "--format=%s", &commit.to_string()]).trim().replace('\n', ", ")
}

#[test]
fn nothing_done_is_the_base() {
    let world = World::new(&[]);
    let place = world.launch("1.1");
    put(&place.worktree.join("x.ignored"), "cache");
    let snapshot = take(&world, &place);
    assert_eq!(snapshot, Snapshot { tip: world.head(), extras: vec![], left_out: vec![], notes: vec![] });
}

#[test]
fn edits_new_files_and_deletions_are_kept_against_hooks_signers_and_locks() {
    let world = World::new(&[]);
    let hook = world.top.join(".git/hooks/pre-commit");
    put(&hook, "#!/bin/sh\nexit 1\n");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    world.run(&["config", "commit.gpgsign", "true"]);
    world.run(&["config", "gpg.program", "/bin/false"]);
    let place = world.launch("1.1");
    put(&place.worktree.join("src/a"), "edited\n");
    put(&place.worktree.join("-new dir/\u{e9}\n"), "odd\n");
    fs::remove_file(place.worktree.join("src/b")).unwrap();
    for lock in ["index.lock", "HEAD.lock", "packed-refs.lock"] {
        put(&place.private.join(lock), "");
    }
    let base = world.head();
    let snapshot = snapshot::take(&world.repo(), &place, base, "left\n").unwrap();
    fs::remove_file(place.private.join("HEAD.lock")).unwrap();
    let tree = git(&place.worktree, &["ls-tree", "-r", "-z", "--name-only", &snapshot.tip.to_string()]);
    assert_eq!(tree, "-new dir/\u{e9}\n\0.gitignore\0readme\0src/a\0");
    let body = git(&place.worktree, &["log", "-1", "--format=%P %an %ae %B", &snapshot.tip.to_string()]);
    assert_eq!(body.trim(), format!("{base} A U Thor author@example.com left"));
}

#[test]
fn an_edit_of_the_same_size_in_the_same_instant_is_kept() {
    let world = World::new(&[]);
    let place = world.launch("1.1");
    let file = place.worktree.join("src/a");
    put(&file, "first edit\n");
    git(&place.worktree, &["commit", "-qam", "one"]);
    // What a fast task does within one tick of the file system's clock, made certain: the file, its entry in
    // the index and the index itself all have one time.
    let index = place.private.join("index");
    let instant = fs::metadata(&index).unwrap().modified().unwrap() - Duration::from_secs(60);
    let set = |path: &Path| fs::File::options().write(true).open(path).unwrap().set_modified(instant).unwrap();
    git(&place.worktree, &["config", "core.trustctime", "false"]);
    set(&file);
    git(&place.worktree, &["update-index", "--refresh"]);
    put(&file, "other edit\n");
    set(&file);
    set(&index);
    let snapshot = take(&world, &place);
    assert_eq!(shows(&world, snapshot.tip, "src/a"), "other edit\n");
}

#[test]
fn an_index_in_any_state_loses_no_file() {
    for state in ["missing", "corrupt", "empty", "conflicted", "a directory"] {
        let world = World::new(&[]);
        let place = world.launch("1.1");
        let index = place.private.join("index");
        put(&place.worktree.join("src/a"), "edited\n");
        match state {
            "missing" => fs::remove_file(&index).unwrap(),
            "corrupt" => fs::write(&index, "DIRCgarbage that is no index").unwrap(),
            "empty" => fs::write(&index, "").unwrap(),
            "conflicted" => {
                let run = |args: &[&str]| git(&place.worktree, args);
                run(&["commit", "-qam", "mine"]);
                run(&["checkout", "-qb", "theirs", "main"]);
                put(&place.worktree.join("src/a"), "theirs\n");
                run(&["commit", "-qam", "theirs"]);
                assert!(!git_works(&place.worktree, &["merge", "-q", "pleach/1.1"]));
                put(&place.worktree.join("src/a"), "edited\n");
            }
            _ => {
                fs::remove_file(&index).unwrap();
                fs::create_dir(&index).unwrap();
            }
        }
        let snapshot = take(&world, &place);
        assert_eq!(shows(&world, snapshot.tip, "src/a"), "edited\n", "{state}");
        assert_eq!(world.run(&["diff", "--name-only", "main", &snapshot.tip.to_string()]), "src/a\n", "{state}");
        assert_eq!(snapshot.extras.len(), usize::from(state == "conflicted"), "{snapshot:?}");
    }
}

#[test]
fn a_head_in_any_state_loses_no_commit() {
    for (state, expected) in [
        ("detached", "left-overs, one, first"),
        ("other branch", "left-overs, one, first"),
        ("orphan", "left-overs, first"),
        ("broken", "left-overs, first"),
    ] {
        let world = World::new(&[]);
        let place = world.launch("1.1");
        let run = |args: &[&str]| git(&place.worktree, args);
        put(&place.worktree.join("src/b"), "committed\n");
        run(&["commit", "-qam", "one"]);
        match state {
            "detached" => drop(run(&["checkout", "-q", "--detach"])),
            "other branch" => drop(run(&["checkout", "-qb", "else/where"])),
            "orphan" => drop(run(&["checkout", "-q", "--orphan", "fresh"])),
            _ => put(&place.private.join("HEAD"), format!("{}\n", "12".repeat(20))),
        }
        put(&place.worktree.join("src/a"), "edited\n");
        let snapshot = take(&world, &place);
        assert_eq!(subjects(&world, snapshot.tip), expected, "{state} {snapshot:?}");
        assert_eq!(shows(&world, snapshot.tip, "src/a"), "edited\n");
        assert_eq!(shows(&world, snapshot.tip, "src/b"), "committed\n");
        if state == "orphan" {
            assert_eq!(snapshot.extras[0].0, "branch-pleach-1-1");
        }
    }
}

#[test]
fn a_private_directory_that_is_broken_or_gone_loses_no_file() {
    for state in ["gone", "config", "git file gone", "git file replaced", "no refs", "worktree gone"] {
        let world = World::new(&[]);
        let place = world.launch("1.1");
        put(&place.worktree.join("src/b"), "committed\n");
        git(&place.worktree, &["commit", "-qam", "one"]);
        put(&place.worktree.join("src/a"), "edited\n");
        match state {
            "gone" => fs::remove_dir_all(&place.private).unwrap(),
            "config" => fs::write(place.private.join("config"), "[core\nbroken").unwrap(),
            "no refs" => {
                fs::remove_dir_all(place.private.join("refs")).unwrap();
                fs::remove_file(place.private.join("packed-refs")).unwrap();
            }
            "worktree gone" => fs::remove_dir_all(&place.worktree).unwrap(),
            _ => {
                fs::remove_file(place.worktree.join(".git")).unwrap();
                if state == "git file replaced" {
                    git(&place.worktree, &["init", "-q"]);
                }
            }
        }
        let snapshot = take(&world, &place);
        let expected = match state {
            "gone" | "no refs" => "left-overs, first",
            "worktree gone" => "one, first",
            _ => "left-overs, one, first",
        };
        assert_eq!(subjects(&world, snapshot.tip), expected, "{state} {snapshot:?}");
        assert_eq!(shows(&world, snapshot.tip, "src/b"), "committed\n", "{state}");
        if state != "worktree gone" {
            assert_eq!(shows(&world, snapshot.tip, "src/a"), "edited\n", "{state}");
        }
        assert_eq!(snapshot.notes.is_empty(), state.starts_with("git file"), "{state} {snapshot:?}");
    }
}

#[test]
fn branches_stashes_tags_and_staged_content_are_extras() {
    let world = World::new(&[]);
    world.run(&["branch", "given"]);
    world.run(&["tag", "given-tag"]);
    let place = world.launch("1.1");
    let run = |args: &[&str]| git(&place.worktree, args);
    for n in 0..2 {
        put(&place.worktree.join("src/a"), format!("stash {n}\n"));
        put(&place.worktree.join("new"), "untracked");
        run(&["stash", "-qu"]);
    }
    run(&["checkout", "-qb", "side/line"]);
    run(&["commit", "-q", "--allow-empty", "-m", "side"]);
    run(&["tag", "-am", "annotated", "rel/1.lock.2"]);
    run(&["checkout", "-q", "pleach/1.1"]);
    run(&["branch", "same"]);
    put(&place.worktree.join("src/b"), "only staged\n");
    run(&["add", "src/b"]);
    put(&place.worktree.join("src/b"), "in the tree\n");
    let snapshot = take(&world, &place);
    let names: Vec<&str> = snapshot.extras.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["branch-side-line", "index", "stash-0", "stash-1", "tag-rel-1-lock-2"]);
    let of = |name: &str| snapshot.extras.iter().find(|(extra, _)| extra == name).unwrap().1;
    assert_eq!(shows(&world, of("stash-0"), "src/a"), "stash 1\n");
    assert_eq!(shows(&world, of("stash-1"), "src/a"), "stash 0\n");
    assert_eq!(world.run(&["show", &format!("{}^3:new", of("stash-1"))]), "untracked");
    assert_eq!(shows(&world, of("index"), "src/b"), "only staged\n");
    assert_eq!(shows(&world, snapshot.tip, "src/b"), "in the tree\n");
}

#[test]
fn a_broken_git_directory_keeps_branches_and_stashes_too() {
    let world = World::new(&[]);
    let place = world.launch("1.1");
    let run = |args: &[&str]| git(&place.worktree, args);
    for n in 0..2 {
        put(&place.worktree.join("src/a"), format!("stash {n}\n"));
        run(&["stash", "-q"]);
    }
    run(&["checkout", "-qb", "side"]);
    run(&["commit", "-q", "--allow-empty", "-m", "side"]);
    run(&["checkout", "-q", "pleach/1.1"]);
    put(&place.private.join("refs/heads/torn"), format!("{}\n", "12".repeat(20)));
    put(&place.private.join("config"), "[core\nbroken");
    let snapshot = take(&world, &place);
    let names: Vec<&str> = snapshot.extras.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["branch-side", "stash-0", "stash-1"], "{snapshot:?}");
    let of = |name: &str| snapshot.extras.iter().find(|(extra, _)| extra == name).unwrap().1;
    assert_eq!(shows(&world, of("stash-0"), "src/a"), "stash 1\n");
    assert_eq!(shows(&world, of("stash-1"), "src/a"), "stash 0\n");
}

#[test]
fn repositories_inside_are_left_out_and_named() {
    let world = World::new(&[]);
    let place = world.launch("1.1");
    for (dir, commits) in [("deep/er/full", true), ("bare-start", false), ("src", false)] {
        let dir = place.worktree.join(dir);
        put(&dir.join("file"), "x");
        git(&dir, &["init", "-q"]);
        if commits {
            git(&dir, &["add", "-A"]);
            git(&dir, &["-c", "user.name=x", "-c", "user.email=x@y", "commit", "-qm", "inner"]);
        }
    }
    put(&place.worktree.join("deep/beside"), "y");
    put(&place.worktree.join("src/a"), "edited\n");
    let snapshot = take(&world, &place);
    for path in ["deep/er/full", "bare-start"] {
        assert!(snapshot.left_out.contains(&Word::from(path)), "{snapshot:?}");
    }
    let tree = world.run(&["ls-tree", "-r", &snapshot.tip.to_string()]);
    assert!(!tree.contains("160000") && tree.contains("deep/beside"), "{tree}");
    assert_eq!(shows(&world, snapshot.tip, "src/a"), "edited\n");
    // A file beside tracked ones is part of the tree, or it is named; it is never just gone.
    assert!(tree.contains("src/file") || snapshot.left_out.contains(&Word::from("src")), "{tree} {snapshot:?}");
}

#[test]
fn a_filter_that_fails_and_a_file_that_cannot_be_read_stop_nothing_else() {
    let world = World::new(&[]);
    world.write(".gitattributes", "*.big filter=big\n");
    world.run(&["config", "filter.big.clean", "sed -e '/fail/{q7}' -e 's/^/clean:/'"]);
    world.run(&["config", "filter.big.smudge", "sed s/^clean://"]);
    world.run(&["config", "filter.big.required", "true"]);
    world.write("old.big", "content\n");
    world.run(&["add", "-A"]);
    world.run(&["commit", "-qm", "big"]);
    assert_eq!(world.run(&["show", "HEAD:old.big"]), "clean:content\n");
    let place = world.launch("1.1");
    assert_eq!(fs::read(place.worktree.join("old.big")).unwrap(), b"content\n");
    put(&place.worktree.join("src/a"), "edited\n");
    put(&place.worktree.join("good.big"), "good\n");
    put(&place.worktree.join("bad.big"), "fail\n");
    let snapshot = take(&world, &place);
    assert_eq!(shows(&world, snapshot.tip, "good.big"), "clean:good\n", "{snapshot:?}");
    assert_eq!(shows(&world, snapshot.tip, "old.big"), "clean:content\n");
    assert_eq!(shows(&world, snapshot.tip, "bad.big"), "fail\n");
    assert_eq!(shows(&world, snapshot.tip, "src/a"), "edited\n");
    assert!(!snapshot.notes.is_empty());

    let place = world.launch("2.1");
    put(&place.worktree.join("src/a"), "edited\n");
    put(&place.worktree.join("closed"), "secret");
    fs::set_permissions(place.worktree.join("closed"), fs::Permissions::from_mode(0o0)).unwrap();
    // Root reads everything.
    if fs::File::open(place.worktree.join("closed")).is_err() {
        let snapshot = take(&world, &place);
        assert_eq!(shows(&world, snapshot.tip, "src/a"), "edited\n");
        assert!(snapshot.notes.iter().any(|note| note.contains("closed")), "{snapshot:?}");
    }
}

#[test]
fn work_inside_a_submodule_is_named() {
    let world = World::new(&[]);
    let module = world.root.join("module");
    fs::create_dir(&module).unwrap();
    git(&module, &["init", "-q", "-b", "main"]);
    put(&module.join("file"), "1\n");
    git(&module, &["add", "-A"]);
    git(&module, &["-c", "user.name=x", "-c", "user.email=x@y", "commit", "-qm", "module"]);
    let allow = ["-c", "protocol.file.allow=always"];
    world.run(&[&allow[..], &["submodule", "--quiet", "add", module.to_str().unwrap(), "mod ule"]].concat());
    world.run(&["commit", "-qm", "submodule"]);
    let before = world.fingerprint();
    let place = world.launch("1.1");
    assert_eq!(take(&world, &place).tip, world.head());
    git(&place.worktree, &[&allow[..], &["submodule", "--quiet", "update", "--init"]].concat());
    assert_eq!(take(&world, &place).left_out, []);
    let inner = place.worktree.join("mod ule");
    put(&inner.join("file"), "2\n");
    let edited = take(&world, &place);
    assert_eq!((edited.tip, edited.left_out), (world.head(), vec![Word::from("mod ule")]));
    git(&inner, &["-c", "user.name=x", "-c", "user.email=x@y", "commit", "-qam", "inner"]);
    let snapshot = snapshot::take(&world.repo(), &place, world.head(), "left").unwrap();
    assert_eq!(snapshot.left_out, [Word::from("mod ule")]);
    let names = git(&place.worktree, &["diff", "--name-only", "main", &snapshot.tip.to_string()]);
    assert_eq!(names, "mod ule\n");
    assert_eq!(world.fingerprint(), before);
}

#[test]
fn settings_of_the_task_do_not_reach_the_outside() {
    let world = World::new(&[]);
    let place = world.launch("1.1");
    put(&place.worktree.join(".gitattributes"), "* filter=x\n");
    git(&place.worktree, &["config", "user.name", ""]);
    put(&place.worktree.join("src/a"), "edited\n");
    let snapshot = take(&world, &place);
    assert_eq!(shows(&world, snapshot.tip, "src/a"), "edited\n");
    assert!(!Path::new(&world.top).join(".gitattributes").exists());
}

#[test]
fn an_index_of_any_format_and_an_identity_of_any_kind() {
    let formats: [&[&str]; 6] = [
        &["update-index", "--index-version", "4"],
        &["update-index", "--split-index"],
        &["update-index", "--untracked-cache"],
        &["sparse-checkout", "set", "--cone", "--sparse-index", "src"],
        &["add", "--intent-to-add", "meant"],
        &["update-index", "--skip-worktree", "readme"],
    ];
    for format in formats {
        let world = World::new(&[]);
        world.write("docs/deep/file", "d\n");
        world.run(&["add", "-A"]);
        world.run(&["commit", "-qm", "docs"]);
        let place = world.launch("1.1");
        put(&place.worktree.join("meant"), "m\n");
        git(&place.worktree, format);
        put(&place.worktree.join("src/a"), "edited\n");
        let snapshot = take(&world, &place);
        assert_eq!(
            world.run(&["diff", "--name-only", "main", &snapshot.tip.to_string()]),
            "meant\nsrc/a\n",
            "{format:?}"
        );
        assert_eq!(git(&place.worktree, &["status", "--porcelain"]), "", "{format:?}");
        assert_eq!(git(&place.worktree, &["rev-parse", "pleach/1.1"]).trim(), snapshot.tip.to_string());
        let log = git(&place.worktree, &["reflog", "--format=%gs", "-1"]);
        assert_eq!(log.trim(), "pleach: left-overs");
    }
    for (key, value, expected) in [
        ("user.name", " Dr. <X>,\n", "Dr. X author@example.com A U Thor author@example.com"),
        ("author.name", "Other", "Other author@example.com A U Thor author@example.com"),
        ("committer.email", "c@example.com", "A U Thor author@example.com A U Thor c@example.com"),
        ("user.name", "", "pleach pleach@localhost pleach pleach@localhost"),
    ] {
        let world = World::new(&[]);
        let place = world.launch("1.1");
        git(&place.worktree, &["config", key, value]);
        put(&place.worktree.join("src/a"), "edited\n");
        let tip = snapshot::take(&world.repo(), &place, world.head(), "left").unwrap().tip.to_string();
        let who = git(&place.worktree, &["log", "-1", "--format=%an %ae %cn %ce", &tip]);
        let expected = if value.contains('<') { expected.replace("A U Thor", "Dr. X") } else { expected.to_owned() };
        assert_eq!(who.trim(), expected, "{key} = {value:?}");
        assert_eq!(git(&place.worktree, &["cat-file", "commit", &tip]).lines().last(), Some("left"));
    }
}
