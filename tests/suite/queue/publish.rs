//! A branch that is not to be moved: what lands is in the one that stands for it.

use super::{assert_always_green, merge, result, runs, scene};

const STAND_IN: &str = "pleach/target/main";

#[test]
fn the_branch_stays_and_somebody_brings_it_in() {
    let scene = scene("[fold]\npublish = \"ref\"\n");
    scene.make_dirty();
    let (edits, head) = (scene.edits(), scene.git(&["rev-parse", "main"]));
    let ids = [result(&scene, "echo 1 > a1"), result(&scene, "echo 2 > a2")];
    let dry = scene.ok(&["merge", "--dry-run", &ids[0], &ids[1]]);
    assert!(dry.contains("task 1: would go into pleach/target/main"), "{dry}");
    assert_eq!(scene.git(&["for-each-ref", "refs/heads/pleach/target"]), "", "a dry run makes nothing");
    let ran = merge(&scene, &ids);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("folded into pleach/target/main"), "{ran:?}");
    assert!(ran.out.contains("on main, bring it in with `git merge --ff-only pleach/target/main`"), "{ran:?}");
    assert_eq!((scene.git(&["rev-parse", "main"]), scene.edits()), (head.clone(), edits));
    assert!(runs(&scene) > 0, "it is verified as ever");
    assert!(scene.ok(&["ls"]).contains("into pleach/target/main"));
    assert_eq!(scene.git(&["ls-tree", "--name-only", STAND_IN, "a1", "a2"]), "a1\na2");
    scene.git(&["merge", "-q", "--ff-only", STAND_IN]);
    assert_eq!(scene.read("a1"), "1\n");
    // The branch goes on from there, and what stands for it follows.
    scene.write("own", "own\n");
    scene.git(&["add", "own"]);
    scene.git(&["commit", "-qm", "own", "--", "own"]);
    let next = result(&scene, "echo 3 > a3");
    assert_eq!(merge(&scene, &[next]).code, Some(0));
    scene.git(&["merge-base", "--is-ancestor", "main", STAND_IN]);
    scene.ok(&["undo", "--into", "main"]);
    assert_eq!(scene.git(&["ls-tree", "--name-only", STAND_IN, "a3", "own"]), "own");
    assert_always_green(&scene);
}

#[test]
fn where_the_two_have_parted_nothing_lands_until_somebody_joins_them() {
    let scene = scene("");
    let publish = ["merge", "--publish", "ref"];
    let ids = [result(&scene, "echo 1 > a1"), result(&scene, "echo 2 > a2"), result(&scene, "echo 3 > a3")];
    scene.ok(&[&publish[..], &[&ids[0]]].concat());
    scene.write("own", "own\n");
    scene.git(&["add", "own"]);
    scene.git(&["commit", "-qm", "own"]);
    let heads = || scene.git(&["rev-parse", "main", STAND_IN]);
    let before = heads();
    for more in [&[][..], &["--no-verify"], &["--dry-run"]] {
        let ran = scene.pleach(&[&publish[..], more, &[&ids[1]]].concat());
        assert_eq!(ran.code, Some(6), "{ran:?}");
        assert!(ran.out.contains("main has moved on without what has landed in pleach/target/main"), "{ran:?}");
        assert!(ran.out.contains("`git merge pleach/target/main`, then `pleach merge --publish ref 2`"), "{ran:?}");
        assert_eq!(heads(), before);
    }
    scene.git(&["merge", "-q", "--no-edit", STAND_IN]);
    scene.ok(&[&publish[..], &[&ids[1]]].concat());
    scene.git(&["merge-base", "--is-ancestor", "main", STAND_IN]);
    // What is said of one task counts for that one.
    scene.ok(&["merge", "--squash", &ids[2]]);
    assert_eq!(scene.git(&["ls-tree", "--name-only", "main", "a1", "a2", "a3", "own"]), "a1\na3\nown");
}

#[test]
fn a_task_keeps_what_was_said_when_it_was_asked_for() {
    let scene = scene("");
    let head = scene.git(&["rev-parse", "main"]);
    let auto = scene.add(&["--fold", "auto", "--publish", "ref"], "echo 1 > a1");
    scene.until("it lands by itself", || scene.stands(auto) == "folded");
    let later = scene.add(&["--publish", "ref", "--strategy", "auto"], "echo 2 > a2").to_string();
    scene.ok(&["wait", &later]);
    // Somebody looks at what stands for the branch: their checkout follows it.
    let dir = scene.path("look");
    scene.git(&["worktree", "add", "-q", dir.to_str().unwrap(), STAND_IN]);
    scene.ok(&["merge", &later]);
    assert_eq!(scene.git(&["rev-parse", "main"]), head);
    assert_eq!(std::fs::read_to_string(dir.join("a2")).unwrap(), "2\n");
    assert_eq!(scene.git(&["-C", dir.to_str().unwrap(), "status", "--porcelain"]), "");
}
