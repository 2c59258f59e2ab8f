//! Conflicts are told before anybody merges.

use std::fs;

use serde_json::{Value, json};

use crate::support::cli::task;
use crate::support::scene::Scene;

/// Its coordinator stays.
fn scene() -> Scene {
    let mut scene = Scene::new();
    scene.variables.insert("PLEACH_IDLE_SECONDS".to_owned(), "60".to_owned());
    scene
}

fn conflicts(scene: &Scene, task: u64) -> Value {
    scene.board()[&task]["will_conflict"].clone()
}

/// Wait until this is what the board tells of a task.
fn until_told(scene: &Scene, task: u64, what: &Value) {
    scene.until(&format!("task {task} will conflict: {what}"), || conflicts(scene, task) == *what);
}

#[test]
fn two_that_clash_are_told_and_then_the_one_that_is_left() {
    let scene = scene();
    let ids = ["echo one > readme", "echo two > readme", "echo x > clean"].map(|line| task(&scene, line));
    until_told(&scene, 1, &json!([{ "with": 2, "paths": ["readme"] }]));
    until_told(&scene, 2, &json!([{ "with": 1, "paths": ["readme"] }]));
    assert_eq!((ids, conflicts(&scene, 3)), ([1, 2, 3], Value::Null));
    let board = scene.ok(&["ls"]);
    assert!(board.contains("will conflict with 2 in readme"), "{board}");
    let page = scene.ok(&["status", "2"]);
    assert!(page.contains("\nconflicts to come\n  will conflict with 1 in readme\n"), "{page}");
    assert!(!scene.ok(&["status", "3"]).contains("conflict"));
    scene.ok(&["merge", "1"]);
    until_told(&scene, 2, &json!([{ "paths": ["readme"] }]));
    assert_eq!((conflicts(&scene, 1), conflicts(&scene, 3)), (Value::Null, Value::Null));
    let board = scene.ok(&["ls"]);
    assert!(board.contains("will conflict with main in readme"), "{board}");
    // It was true.
    assert_eq!(scene.pleach(&["merge", "2"]).code, Some(5));
    until_told(&scene, 2, &Value::Null);
    scene.ok(&["merge", "3"]);
    scene.assert_tidy();
}

#[test]
fn whoever_waited_is_told_too() {
    let scene = scene();
    for line in ["echo one > readme", "echo two > readme"] {
        scene.add(&[], line);
    }
    // A machine that is busy takes longer than the moment that is waited for it.
    scene.until("it is told", || scene.ok(&["wait", "1", "2"]).contains("will conflict with 2 in readme"));
    assert!(scene.ok(&["wait", "2"]).contains("will conflict with 1 in readme"));
    assert_eq!(scene.json(&["wait", "1", "2"])[1]["will_conflict"], json!([{ "with": 1, "paths": ["readme"] }]));
}

#[test]
fn what_somebody_else_commits_is_taken_up() {
    let scene = scene();
    task(&scene, "echo one > readme");
    task(&scene, "echo two > readme");
    until_told(&scene, 1, &json!([{ "with": 2, "paths": ["readme"] }]));
    scene.write("dir/kept", "by hand\n");
    scene.git(&["commit", "-qam", "beside it"]);
    // The same pair, and sure again once it was looked at on that head.
    until_told(&scene, 1, &json!([{ "with": 2, "paths": ["readme"] }]));
    scene.write("readme", "by hand\n");
    scene.git(&["commit", "-qam", "across it"]);
    for task in [1, 2] {
        until_told(&scene, task, &json!([{ "paths": ["readme"] }]));
    }
    scene.git(&["reset", "-q", "--hard", "HEAD~1"]);
    until_told(&scene, 1, &json!([{ "with": 2, "paths": ["readme"] }]));
    scene.ok(&["discard", "2"]);
    assert_eq!(conflicts(&scene, 1), Value::Null, "nobody tells of what is not there");
    scene.ok(&["restore", "2"]);
    until_told(&scene, 1, &json!([{ "with": 2, "paths": ["readme"] }]));
}

#[test]
fn where_nobody_looks_it_only_may_be() {
    let scene = Scene::new();
    task(&scene, "echo one > readme");
    task(&scene, "echo two > readme");
    until_told(&scene, 1, &json!([{ "with": 2, "paths": ["readme"] }]));
    scene.until("the coordinator is gone", || scene.processes().is_empty());
    assert_eq!(conflicts(&scene, 1), json!([{ "with": 2, "paths": ["readme"] }]), "nothing has changed");
    scene.write("dir/kept", "by hand\n");
    scene.git(&["commit", "-qam", "beside it"]);
    assert_eq!(conflicts(&scene, 1), json!([{ "with": 2, "paths": ["readme"], "may": true }]));
    let board = scene.ok(&["ls"]);
    assert!(board.contains("may conflict with 2 in readme"), "{board}");
    assert!(scene.processes().is_empty(), "who looks starts nobody");
    // A file that cannot be read is as if it were not there.
    let home = fs::read_dir(scene.path("state")).unwrap().flatten().find(|home| home.path().is_dir()).unwrap();
    fs::write(home.path().join("foreseen.json"), "{").unwrap();
    assert_eq!(conflicts(&scene, 1), Value::Null);
    // The next coordinator looks at once.
    task(&scene, "echo x > clean");
    until_told(&scene, 1, &json!([{ "with": 2, "paths": ["readme"] }]));
}

/// A result is no conflict with what it builds on.
#[test]
fn what_builds_on_another_does_not_conflict_with_it() {
    let scene = scene();
    task(&scene, "echo one > readme");
    let id = scene.add(&["--after", "1"], "echo two >> readme");
    scene.ok(&["wait", &id.to_string()]);
    task(&scene, "echo three > readme");
    until_told(&scene, 1, &json!([{ "with": 3, "paths": ["readme"] }]));
    until_told(&scene, 2, &json!([{ "with": 3, "paths": ["readme"], "may": true }]));
    scene.ok(&["merge", "1", "2"]);
    until_told(&scene, 3, &json!([{ "paths": ["readme"] }]));
}

#[test]
fn the_line_of_a_target_tells_it_too() {
    let scene = scene();
    task(&scene, "echo one > readme");
    task(&scene, "echo two > readme");
    until_told(&scene, 1, &json!([{ "with": 2, "paths": ["readme"] }]));
    let go = scene.path("go");
    let check = format!("until test -e '{}'; do sleep 0.02; done", go.display());
    let merge = scene.start(&["merge", "--verify", &check, "1"]);
    scene.until("it is in the line", || {
        scene.json(&["queue"])["lines"][0]["entries"][0]["will_conflict"] == json!([{ "with": 2, "paths": ["readme"] }])
    });
    let line = scene.ok(&["queue"]);
    assert!(line.contains("; will conflict with 2 in readme"), "{line}");
    fs::write(go, "").unwrap();
    assert!(merge.wait_with_output().unwrap().status.success());
    until_told(&scene, 2, &json!([{ "paths": ["readme"] }]));
}

/// What runs is told by the files that it has written so far, also by the one that is still to be committed.
#[test]
fn a_running_task_may_conflict() {
    let mut scene = scene();
    scene.variables.insert("PLEACH_CONCURRENCY".to_owned(), "3".to_owned());
    task(&scene, "echo one > readme; echo new > made");
    let go = scene.path("go");
    let wait = format!("until test -e '{}'; do sleep 0.02; done", go.display());
    scene.add(&[], &format!("echo two > readme; echo also > made; echo x > own; {wait}"));
    scene.add(&[], &format!("echo beside > staged; touch readme mine; {wait}; rm dir/kept"));
    scene.add(&[], &format!("echo four > staged && git commit -qam staged; {wait}"));
    until_told(&scene, 1, &json!([{ "with": 2, "paths": ["made", "readme"], "may": true }]));
    until_told(&scene, 2, &json!([{ "with": 1, "paths": ["made", "readme"], "may": true }]));
    until_told(&scene, 3, &json!([{ "with": 4, "paths": ["staged"], "may": true }]));
    scene.write("mine", "by hand\n");
    scene.git(&["commit", "-qam", "beside it"]);
    scene.write("readme", "by hand\n");
    scene.git(&["commit", "-qam", "across it"]);
    until_told(&scene, 2, &json!([{ "paths": ["readme"], "may": true }]));
    let board = scene.ok(&["ls"]);
    assert!(board.contains("may conflict with main in readme"), "{board}");
    fs::write(go, "").unwrap();
    assert_eq!(scene.pleach(&["wait"]).code, Some(0));
    until_told(&scene, 2, &json!([{ "paths": ["readme"] }]));
    until_told(&scene, 3, &json!([{ "with": 4, "paths": ["staged"] }]));
    scene.assert_tidy();
}
