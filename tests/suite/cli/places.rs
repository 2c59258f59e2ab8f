//! Where tasks work: a place goes from one to the next, with the real program.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::support::cli::{changed, places_in_use, state_of, task, worktree_of};
use crate::support::scene::Scene;

/// How the files of the last attempt of a task came to their place.
pub(super) fn provider(scene: &Scene, id: u64) -> String {
    let report: Value = serde_json::from_str(&scene.ok(&["status", &id.to_string(), "--json"])).unwrap();
    report["attempts"].as_array().unwrap().last().unwrap()["provider"].as_str().unwrap_or_default().to_owned()
}

/// Was it made new? How is a matter of the file system.
pub(super) fn is_new(scene: &Scene, id: u64) -> bool {
    matches!(&*provider(scene, id), "parallel" | "reflink" | "snapshot")
}

/// Nobody has a place any more.
pub(super) fn all_given_back(scene: &Scene) {
    scene.until("places are given back", || places_in_use(&state_of(scene)) == 0);
}

#[test]
fn the_next_task_has_the_place_of_the_last_with_what_is_ignored_and_nothing_else() {
    let scene = Scene::new();
    let first = task(&scene, "echo warm > cache.ignored; echo left > left; echo edited >> readme");
    assert_eq!(changed(&scene, first), ["left", "readme"]);
    assert!(is_new(&scene, first));
    all_given_back(&scene);
    assert_eq!(scene.git(&["worktree", "list"]).lines().count(), 1, "an idle place is in no list");
    let second = task(
        &scene,
        "cat cache.ignored; ls left; cat readme; git status --porcelain; git log --oneline | wc -l; git stash list; git branch --list 'pleach/*' | wc -l",
    );
    assert_eq!(provider(&scene, second), "slot");
    let log = scene.log(second);
    assert!(log.starts_with("warm\n") && log.contains("No such file") && log.ends_with("hello\n1\n1\n"), "{log}");
    assert!(scene.ok(&["status", &second.to_string()]).contains("slot (used again"), "people are told too");
    all_given_back(&scene);
    let third = scene.add(&["--clean"], "ls cache.ignored || echo cold");
    scene.ok(&["wait", &third.to_string()]);
    assert!(is_new(&scene, third) && scene.log(third).ends_with("cold\n"));
    let doctor = scene.ok(&["doctor"]);
    assert!(doctor.contains("how worktrees are made: slot, else ") && doctor.contains("parallel, else plain ("));
}

#[test]
fn a_place_follows_the_target_and_only_what_differs_is_written() {
    let scene = Scene::new();
    task(&scene, "true");
    all_given_back(&scene);
    scene.write("dir/new", "new\n");
    scene.git(&["rm", "-q", "mine"]);
    scene.git(&["add", "-A"]);
    scene.git(&["commit", "-qm", "second"]);
    let id = task(&scene, "cat dir/new; test ! -e mine; stat -c %Y readme; git status --porcelain");
    assert_eq!(provider(&scene, id), "slot");
    all_given_back(&scene);
    let again = task(&scene, "cat dir/new; test ! -e mine; stat -c %Y readme; git status --porcelain");
    assert_eq!(scene.log(id), scene.log(again), "what is the same keeps its time");
}

#[test]
fn the_ways_to_make_worktrees_can_be_chosen() {
    let words = "parallel reflink snapshot";
    for (mode, first, second) in
        [("plain", "plain", "plain"), ("parallel", "parallel", "parallel"), ("slot", words, "slot")]
    {
        let scene = Scene::new();
        scene.write(".pleach.toml", format!("[worktree]\nmode = \"{mode}\"\n"));
        for wanted in [first, second] {
            let id = task(&scene, "git status --porcelain; echo x > x");
            assert!(wanted.contains(&provider(&scene, id)), "{mode}: {}", provider(&scene, id));
            assert_eq!(scene.log(id), "", "{mode}");
            all_given_back(&scene);
        }
    }
}

#[test]
fn a_way_that_cannot_work_here_is_refused_with_the_reason() {
    let scene = Scene::new();
    fs::remove_dir_all(scene.top.join(".git/logs")).unwrap();
    scene.git(&["refs", "migrate", "--ref-format=reftable"]);
    scene.write(".pleach.toml", "[worktree]\nmode = \"slot\"\n");
    let id = scene.add(&[], "true");
    scene.pleach(&["wait", &id.to_string()]);
    let told = scene.ok(&["status", &id.to_string()]);
    assert!(told.contains("reftable") && told.contains("mode = \"auto\""), "{told}");
    scene.write(".pleach.toml", "");
    let id = task(&scene, "true");
    assert_eq!(provider(&scene, id), "parallel");
    for mode in ["snapshot", "reflink"] {
        scene.write(".pleach.toml", format!("[worktree]\nmode = \"{mode}\"\n"));
        let id = scene.add(&[], "true");
        scene.pleach(&["wait", &id.to_string()]);
        let told = scene.ok(&["status", &id.to_string()]);
        assert!(told.contains(&format!("mode is {mode}")) && told.contains("mode = \"auto\""), "{told}");
        let doctor = scene.pleach(&["doctor"]).out;
        assert!(doctor.contains(&format!("[worktree] mode is {mode}")), "{doctor}");
    }
}

#[test]
fn a_place_is_not_used_again_after_a_task_that_was_lost_or_left_processes() {
    let scene = Scene::new();
    let lost = scene.add(&[], "echo dirty > cache.ignored; echo saved > saved; touch here; exec sleep 1000");
    let is_there = || worktree_of(&state_of(&scene), &format!("{lost}.1")).join("here").exists();
    scene.until("it runs", is_there);
    let shims: Vec<_> = scene.processes().into_iter().filter(|process| process.is_shim()).collect();
    shims.iter().for_each(crate::support::scene::Process::kill);
    scene.pleach(&["wait", &lost.to_string()]);
    all_given_back(&scene);
    let next = task(&scene, "ls cache.ignored || echo cold");
    assert!(scene.log(next).ends_with("cold\n") && provider(&scene, next) != "slot", "{}", scene.log(next));
    assert_eq!(scene.git(&["show", &format!("refs/pleach/kept/{lost}.1/tip:saved")]), "saved");
}

#[test]
fn copies_of_ignored_files_are_those_of_now_and_no_link_of_a_task_leads_them_out() {
    let scene = Scene::new();
    scene.write(".worktreeinclude", "env.ignored\ndeep.ignored/\n");
    scene.write("env.ignored", "one\n");
    scene.write("deep.ignored/a/b", "b\n");
    let outside = scene.path("outside");
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("b"), "theirs\n").unwrap();
    task(&scene, "cat env.ignored deep.ignored/a/b; echo evil > env.ignored");
    all_given_back(&scene);
    // As a task without a sandbox might leave it.
    let tree = state_of(&scene).join("slots/1/pleach-slot-1");
    fs::remove_dir_all(tree.join("deep.ignored")).unwrap();
    fs::create_dir(tree.join("deep.ignored")).unwrap();
    symlink(&outside, tree.join("deep.ignored/a")).unwrap();
    fs::remove_file(tree.join("env.ignored")).unwrap();
    fs::create_dir(tree.join("env.ignored")).unwrap();
    scene.write("env.ignored", "two\n");
    scene.write("deep.ignored/a/b", "B\n");
    let id = task(&scene, "cat env.ignored deep.ignored/a/b");
    assert_eq!((provider(&scene, id).as_str(), &*scene.log(id)), ("slot", "two\nB\n"));
    assert_eq!(fs::read_to_string(outside.join("b")).unwrap(), "theirs\n");
}

#[test]
fn who_dies_while_a_place_changes_hands_loses_nothing() {
    for point in ["slot.leased", "slot.opened", "slot.cleared", "slot.switched", "slot.released"] {
        let scene = Scene::new();
        let first = task(&scene, "echo one > one; echo warm > cache.ignored");
        all_given_back(&scene);
        scene.write("readme", "changed\n");
        scene.git(&["commit", "-qam", "second"]);
        scene.arm(point);
        let second = scene.add(&[], "cat readme; git status --porcelain; echo two > two");
        let waited = scene.pleach(&["wait", &second.to_string()]);
        assert_eq!(waited.code, Some(0), "{point}: {waited:?}\n{}", scene.story());
        assert_eq!(scene.log(second), "changed\n", "{point}");
        scene.until("it was hit", || {
            scene.pleach(&["ls"]);
            !scene.is_armed(point)
        });
        scene.ok(&["wait"]);
        for (id, file) in [(first, "one"), (second, "two")] {
            assert_eq!(scene.git(&["show", &format!("refs/pleach/kept/{id}.1/tip:{file}")]), file, "{point}");
        }
        all_given_back(&scene);
        let third = task(&scene, "cat readme; git status --porcelain; ls one two || true");
        assert!(scene.log(third).starts_with("changed\nls: "), "{point}: {}", scene.log(third));
        all_given_back(&scene);
        scene.assert_tidy();
    }
}
