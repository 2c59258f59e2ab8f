//! What somebody may do to a line.

use super::{merge, result, runs, scene};
use crate::support::scene::{Scene, finish};

/// A line in which the first one is being verified, and some wait behind it.
fn line() -> (Scene, std::process::Child) {
    let scene = scene("guarantee = \"every\"\ncores = 4\n");
    let mut ids = vec![result(&scene, "touch slow")];
    ids.extend((2..=4).map(|n| result(&scene, &format!("echo fine > a{n}"))));
    let args: Vec<&str> = std::iter::once("merge").chain(ids.iter().map(String::as_str)).collect();
    let merging = scene.start(&args);
    scene.until("the check runs", || runs(&scene) > 0);
    (scene, merging)
}

fn order(scene: &Scene) -> Vec<u64> {
    let queue = scene.json(&["queue"]);
    let entries = queue["lines"][0]["entries"].as_array().unwrap().iter();
    entries.map(|entry| entry["id"].as_u64().unwrap()).collect()
}

fn landed(scene: &Scene) -> Vec<String> {
    let log = scene.git(&["log", "--first-parent", "--reverse", "--format=%s", "main"]);
    log.lines().filter_map(|line| Some(line.rsplit_once("> ")?.1.to_owned())).collect()
}

#[test]
fn a_line_gets_another_order() {
    let (scene, merging) = line();
    assert_eq!(order(&scene), [1, 2, 3, 4]);
    scene.ok(&["queue", "move", "4", "--before", "2"]);
    assert_eq!(order(&scene), [1, 4, 2, 3]);
    scene.ok(&["queue", "move", "1", "--last"]);
    assert_eq!(order(&scene), [4, 2, 3, 1]);
    let ran = scene.pleach(&["queue", "move", "4", "--before", "4"]);
    assert_eq!(ran.code, Some(7), "{ran:?}");
    std::fs::write(scene.path("gate"), "").unwrap();
    assert_eq!(finish(merging).code, Some(0));
    assert_eq!(landed(&scene), ["a4", "a2", "a3"]);
    scene.assert_tidy();
}

#[test]
fn who_is_on_hold_keeps_its_place_and_nobody_else() {
    let (scene, merging) = line();
    scene.ok(&["queue", "hold", "1", "3"]);
    assert!(scene.ok(&["queue"]).contains("on hold"));
    let ran = finish(merging);
    assert_eq!(ran.code, Some(6), "{ran:?}");
    assert!(ran.out.contains("task 3: on hold in the line of main"), "{ran:?}");
    assert_eq!(landed(&scene), ["a2", "a4"]);
    assert_eq!(order(&scene), [1, 3]);
    // A new coordinator knows it too, and nobody waits for what cannot go on.
    scene.processes().iter().filter(|process| process.is_coordinator()).for_each(|process| process.kill());
    scene.ok(&["wait"]);
    assert_eq!(scene.stands(3), "queued");
    scene.ok(&["queue", "remove", "1"]);
    assert_eq!(scene.stands(1), "ready");
    scene.ok(&["queue", "release", "3"]);
    scene.ok(&["wait", "3"]);
    assert_eq!(landed(&scene), ["a2", "a4", "a3"]);
    scene.assert_tidy();
}

#[test]
fn what_builds_on_one_that_is_on_hold_says_so() {
    let scene = scene("");
    let first = result(&scene, "touch slow");
    let next = scene.add(&["--after", &first], "echo fine > a").to_string();
    scene.ok(&["wait", &next]);
    let merging = scene.start(&["merge", &first, &next]);
    scene.until("the check runs", || runs(&scene) > 0);
    scene.ok(&["queue", "hold", &first]);
    let ran = finish(merging);
    assert_eq!(ran.code, Some(6), "{ran:?}");
    assert!(scene.ok(&["ls"]).contains("behind 1, which is on hold"), "{}", scene.ok(&["ls"]));
    let ran = scene.pleach(&["queue", "hold", "7"]);
    assert!(ran.err.contains("there is no task 7") && ran.code == Some(4), "{ran:?}");
    std::fs::write(scene.path("gate"), "").unwrap();
    scene.ok(&["queue", "release", &first]);
    assert_eq!(merge(&scene, &[first, next]).code, Some(0));
}
