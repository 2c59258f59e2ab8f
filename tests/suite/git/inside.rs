//! What a task does inside, and that nobody outside notices.
#![allow(clippy::disallowed_methods, reason = "tests write files as a user would")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::repo::{World, git, put};

/// A user in the middle of things: staged, edited and untracked files, a stash, a hook, a remote.
fn busy() -> World {
    let world = World::new(&[]);
    world.run(&["branch", "other"]);
    world.run(&["tag", "-am", "annotated", "v1"]);
    world.write("src/a", "stashed\n");
    world.run(&["stash", "-q"]);
    world.write("src/a", "edited\n");
    world.write("src/b", "staged\n");
    world.run(&["add", "src/b"]);
    world.write("untracked", "u\n");
    world.write("x.ignored", "i\n");
    world.run(&["remote", "add", "origin", "/nowhere"]);
    let hook = world.top.join(".git/hooks/pre-commit");
    put(&hook, "#!/bin/sh\ntouch \"$(git rev-parse --show-toplevel)/hook-ran\"\n");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    world
}

#[test]
fn everything_works_inside_and_nothing_of_it_reaches_the_user() {
    let world = busy();
    let place = world.launch("7.1");
    let before = world.fingerprint();
    let objects = world.objects();
    let run = |args: &[&str]| git(&place.worktree, args);
    assert_eq!(run(&["status", "--porcelain"]), "");
    assert_eq!(run(&["symbolic-ref", "HEAD"]).trim(), "refs/heads/pleach/7.1");
    assert_eq!(run(&["config", "user.email"]).trim(), "author@example.com");
    assert_eq!(run(&["describe", "--tags"]).trim(), "v1");
    assert!(run(&["for-each-ref", "refs/stash"]).is_empty());
    put(&place.worktree.join("src/a"), "by the task\n");
    run(&["commit", "-qam", "one"]);
    assert!(place.worktree.join("hook-ran").exists(), "hooks of the repository run inside");
    put(&place.worktree.join("src/b"), "more\n");
    run(&["stash", "-q"]);
    run(&["stash", "pop", "-q"]);
    run(&["checkout", "-q", "-b", "mine"]);
    run(&["commit", "-qam", "two"]);
    run(&["rebase", "-q", "main"]);
    run(&["branch", "-qD", "other"]);
    run(&["tag", "mine-1"]);
    run(&["config", "core.fsmonitor", "false"]);
    run(&["worktree", "add", "-q", "-b", "nested", "../nested-of-7"]);
    run(&["reflog", "expire", "--all", "--expire=now"]);
    run(&["gc", "-q", "--prune=now"]);
    run(&["fsck", "--no-dangling"]);
    let elsewhere = world.root.join("state/elsewhere");
    fs::create_dir_all(&elsewhere).unwrap();
    git(&elsewhere, &["init", "-q"]);
    let library = git2::Repository::open(&place.worktree).unwrap();
    put(&place.worktree.join("by-library"), "x");
    let mut index = library.index().unwrap();
    index.add_path(std::path::Path::new("by-library")).unwrap();
    index.write().unwrap();
    let tree = library.find_tree(index.write_tree().unwrap()).unwrap();
    let who = git2::Signature::now("l", "l@example.com").unwrap();
    let parent = library.head().unwrap().peel_to_commit().unwrap();
    library.commit(Some("HEAD"), &who, &who, "by library", &tree, &[&parent]).unwrap();
    assert_eq!(run(&["status", "--porcelain"]), "?? hook-ran\n");
    assert_eq!(world.fingerprint(), before);
    assert_eq!(world.objects(), objects);
}

#[test]
fn the_users_own_maintenance_is_not_disturbed() {
    let world = busy();
    let place = world.launch("7.1");
    put(&place.worktree.join("src/a"), "by the task\n");
    git(&place.worktree, &["commit", "-qam", "one"]);
    let listed = world.run(&["worktree", "list", "--porcelain"]);
    assert!(listed.contains("locked pleach: a task"), "{listed}");
    for args in [&["log", "--all", "--oneline"][..], &["gc", "-q", "--prune=now"], &["fsck"], &["worktree", "prune"]] {
        world.run(args);
    }
    assert_eq!(world.run(&["worktree", "list", "--porcelain"]), listed);
    git(&place.worktree, &["fsck"]);
    assert_eq!(git(&place.worktree, &["log", "--format=%s"]), "one\nfirst\n");
}

#[test]
fn only_allowed_settings_come_along_byte_for_byte() {
    let world = World::new(&[]);
    let odd = "a\n\t\"b\\ # ; c \r\u{e9} ";
    world.run(&["config", "alias.odd", odd]);
    world.run(&["config", "url.x\"\\y.insteadOf", "z"]);
    world.run(&["config", "http.extraHeader", "Authorization: secret"]);
    world.run(&["config", "credential.helper", "store"]);
    world.run(&["config", "core.sshCommand", "evil"]);
    world.run(&["config", "core.fsmonitor", "evil"]);
    world.run(&["config", "--add", "remote.o.fetch", "+a:b"]);
    world.run(&["config", "--add", "remote.o.fetch", "+c:d"]);
    put(&world.root.join("included"), "[alias]\n\tfromfile\n");
    world.run(&["config", "include.path", world.root.join("included").to_str().unwrap()]);
    let place = world.launch("7.1");
    let config = place.private.join("config");
    let get = |key: &str| git(&world.top, &["config", "-f", config.to_str().unwrap(), "--get-all", key]);
    assert_eq!(get("alias.odd"), format!("{odd}\n"));
    assert_eq!(get("url.x\"\\y.insteadof"), "z\n");
    assert_eq!(get("remote.o.fetch"), "+a:b\n+c:d\n");
    let hooks = fs::canonicalize(get("core.hookspath").trim()).unwrap();
    assert_eq!(hooks, world.top.join(".git/hooks").canonicalize().unwrap());
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.contains("fromfile\n"));
    for absent in ["secret", "credential", "evil", "include"] {
        assert!(!text.contains(absent), "{absent} in {text}");
    }
}

#[test]
fn refs_that_clash_with_the_branch_of_the_task_are_left_out() {
    let world = World::new(&[]);
    world.run(&["branch", "pleach"]);
    world.run(&["branch", "deep/er"]);
    world.run(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
    world.run(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main"]);
    world.run(&["update-ref", "refs/pleach/kept/1.1/x", "HEAD"]);
    let place = world.launch("7.1");
    let names = git(&place.worktree, &["for-each-ref", "--format=%(refname) %(symref)"]);
    let expected = [
        "refs/heads/deep/er ",
        "refs/heads/main ",
        "refs/heads/pleach/7.1 ",
        "refs/remotes/origin/HEAD refs/remotes/origin/main",
        "refs/remotes/origin/main ",
    ];
    assert_eq!(names.lines().collect::<Vec<_>>(), expected);
}
