//! What tasks do to the place they work in.

use std::fs;
use std::path::Path;

use crate::support::cli::{changed, held, places_in_use, round_of, state_of, task, told, user_side};
use crate::support::scene::Scene;

/// Nothing of the attempt is left, and the user's side is as it was.
fn assert_gone(scene: &Scene) {
    // It goes once its result is taken over, which may be just now.
    scene.until("its worktree is gone", || places_in_use(&state_of(scene)) == 0);
    assert_eq!(scene.git(&["worktree", "list"]).lines().count(), 1);
    scene.ok(&["doctor"]);
}

#[test]
fn it_deletes_its_git_file() {
    let scene = Scene::new();
    scene.make_dirty();
    round_of(&scene, "rm .git; echo new > made", &["made"]);
    assert_gone(&scene);
}

#[test]
fn it_replaces_its_git_file() {
    let scene = Scene::new();
    let others = ["mkdir .git", "ln -s / .git", "echo gitdir: /nonexistent > .git", "mkfifo .git", "git init -q"];
    for other in others {
        let id = task(&scene, &format!("rm .git; {other}; echo '{other}' > made"));
        assert_eq!(changed(&scene, id), ["made"], "{other}");
        scene.ok(&["merge", &id.to_string()]);
    }
    assert_gone(&scene);
}

#[test]
fn it_deletes_its_whole_worktree() {
    // In a sandbox it cannot.
    if Scene::is_caged() {
        return;
    }
    let scene = Scene::new();
    let before = user_side(&scene);
    let id = task(&scene, "rm -rf \"$PWD\"");
    assert_eq!(scene.stands(id), "empty");
    assert_eq!(told(&scene, id, "note"), ["the worktree is gone"]);
    assert!(scene.ok(&["merge", "1"]).contains("nothing to fold"));
    assert_eq!(user_side(&scene), before);
    assert_gone(&scene);
}

#[test]
fn it_deletes_its_worktree_after_it_has_committed() {
    // In a sandbox it cannot.
    if Scene::is_caged() {
        return;
    }
    let scene = Scene::new();
    let id = task(&scene, "echo more >> readme; git commit -qam own; rm -rf \"$PWD\"");
    assert_eq!((scene.stands(id).as_str(), changed(&scene, id)), ("ready", vec!["readme".to_owned()]));
    scene.ok(&["merge", "1"]);
    assert_eq!(scene.read("readme"), "hello\nmore\n");
    assert_gone(&scene);
}

#[test]
fn it_makes_its_worktree_anew() {
    let scene = Scene::new();
    let line =
        "dir=$PWD; cd ..; rm -rf \"$dir\"; mkdir \"$dir\"; echo new > \"$dir/made\"; echo kept > \"$dir/readme\"";
    let id = task(&scene, line);
    assert!(changed(&scene, id).contains(&"made".to_owned()));
    scene.ok(&["discard", "1"]);
    assert_gone(&scene);
}

#[test]
fn it_deletes_all_worktrees_that_it_can_see() {
    // In a sandbox it cannot.
    if Scene::is_caged() {
        return;
    }
    let scene = Scene::new();
    let id = task(&scene, "echo more >> readme; git commit -qam own; rm -rf ../*; cd /");
    assert_eq!(changed(&scene, id), ["readme"]);
    // The next one finds a place again.
    let line = "rm -rf \"$(dirname \"$PWD\")\"";
    assert_eq!(scene.stands(task(&scene, line)), "empty");
    let id = task(&scene, "echo more >> readme");
    scene.ok(&["merge", &id.to_string()]);
    assert_gone(&scene);
}

#[test]
fn it_deletes_its_private_repository() {
    // In a sandbox it cannot.
    if Scene::is_caged() {
        return;
    }
    let scene = Scene::new();
    let before = user_side(&scene);
    task(&scene, "echo more >> readme; rm -rf \"$(git rev-parse --absolute-git-dir)\"");
    assert_eq!(changed(&scene, 1), ["readme"]);
    assert_eq!(user_side(&scene), before);
    scene.ok(&["merge", "1"]);
    assert_eq!(scene.read("readme"), "hello\nmore\n");
    assert_gone(&scene);
}

#[test]
fn it_takes_rights_away() {
    let scene = Scene::new();
    let line =
        "mkdir ro none; echo 1 > ro/f; chmod 000 ro/f; chmod 555 ro; echo 1 > none/f; chmod 000 none; chmod 000 .";
    task(&scene, line);
    assert_eq!(changed(&scene, 1), ["none/f", "ro/f"]);
    scene.ok(&["merge", "1"]);
    assert_eq!(scene.read("ro/f"), "1\n");
    assert_gone(&scene);
    scene.until("the trash is empty", || fs::read_dir(state_of(&scene).join("trash")).unwrap().count() == 0);
}

#[test]
fn links_out_of_the_tree_are_flagged() {
    let scene = Scene::new();
    task(&scene, "ln -s /etc/passwd abs; ln -s ../../x dir/rel; ln -s ../readme dir/fine");
    let flags = [
        "symbolic link abs leads out of the tree, to /etc/passwd",
        "symbolic link dir/rel leads out of the tree, to ../../x",
    ];
    assert_eq!(told(&scene, 1, "flag"), flags);
    held(&scene, &["merge", "1"], flags[0], "look at it with `pleach diff 1`, then `pleach merge --accept-flags 1`");
    scene.ok(&["merge", "--accept-flags", "1"]);
    assert_eq!(fs::read_link(scene.top.join("abs")).unwrap(), Path::new("/etc/passwd"));
}

#[test]
fn a_repository_that_it_made_is_left_out_and_kept() {
    let scene = Scene::new();
    let make = "git init -q n; cd n; echo 1 > f; git add f; git -c user.name=a -c user.email=b commit -qm n; cd ..";
    for (line, paths) in [(format!("{make}; echo more >> readme"), vec!["readme"]), (make.to_owned(), vec![])] {
        let id = task(&scene, &line);
        let word = id.to_string();
        assert_eq!(scene.stands(id), "ready");
        assert_eq!(changed(&scene, id), paths);
        assert_eq!(told(&scene, id, "flag"), ["n is a repository of its own and was left out"]);
        let kept = told(&scene, id, "worktree").concat();
        held(&scene, &["merge", &word], "n is a repository of its own and was left out", "--accept-flags");
        scene.ok(&["merge", "--accept-flags", &word]);
        assert_eq!(scene.git_in(&Path::new(&kept).join("n"), &["log", "--format=%s"]), "n");
        // What is not old enough is not even offered; and what is, is named.
        assert!(scene.ok(&["gc"]).contains("nothing to free"));
        let plan = scene.ok(&["gc", "--older-than", "0s"]);
        assert!(plan.contains("folded into main, with n that is nowhere else"), "{plan}");
        assert!(Path::new(&kept).join("n/f").exists());
        scene.ok(&["gc", "--older-than", "0s", "--yes"]);
    }
    assert_gone(&scene);
}

#[test]
fn nothing_but_a_special_file_is_no_change() {
    let scene = Scene::new();
    let id = task(&scene, "mkfifo pipe; mkdir empty; touch left.ignored");
    assert_eq!(scene.stands(id), "empty");
    assert_gone(&scene);
}
