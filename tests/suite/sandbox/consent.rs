//! Where nothing keeps a task to itself, its user has to agree; and while it runs, it is said.

use std::fs;

use super::super::support::scene::Scene;
use super::scene;

/// A machine on which no sandbox works.
fn bare() -> Scene {
    let scene = scene("best");
    for tier in ["full", "reduced"] {
        fs::write(scene.path(&format!("crash/without.{tier}")), "").unwrap();
    }
    scene
}

#[test]
fn nothing_runs_unconfined_before_somebody_agreed() {
    let scene = bare();
    let refused = scene.pleach(&["add", "--", "true"]);
    assert_eq!(refused.code, Some(9), "{refused:?}");
    assert!(refused.err.contains("no sandbox works here") && refused.err.contains("pleach approve"), "{refused:?}");
    assert_eq!(scene.json(&["ls", "--all"])["tasks"], serde_json::json!([]));
    let tried = scene.pleach(&["sandbox", "--", "true"]);
    assert_eq!(tried.code, Some(125), "{tried:?}");
    assert_eq!(scene.pleach(&["approve"]).code, Some(7), "nobody is there to ask");
    scene.ok(&["approve", "--yes"]);
    let task = scene.add(&[], "echo ran");
    scene.pleach(&["wait", &task.to_string()]);
    assert_eq!((scene.log(task).as_str(), scene.outcome(task).as_str()), ("ran\n", "exited 0"));
    assert_eq!(scene.status(task)["attempts"][0]["sandbox"], "none");
    // It was for this repository alone.
    assert!(
        std::process::Command::new("git").args(["init", "-q"]).arg(scene.path("other")).status().unwrap().success()
    );
    scene.git_in(
        &scene.path("other"),
        &["-c", "user.name=U", "-c", "user.email=u@x", "commit", "-q", "--allow-empty", "-m", "x"],
    );
    let other = scene.path("other").display().to_string();
    assert_eq!(scene.pleach(&["-C", &other, "add", "--", "true"]).code, Some(9));
    // Who names the tier has agreed; who requires one has not.
    let mut named = scene.command(&["-C", &other, "run", "--", "true"]);
    assert!(named.env("PLEACH_SANDBOX", "none").output().unwrap().status.success());
    let required = scene.pleach(&["run", "--require-sandbox", "reduced", "--", "true"]);
    assert_eq!(required.code, Some(125), "{required:?}");
}

/// What worked when it was asked for may not when it starts.
#[test]
fn a_task_that_finds_no_sandbox_does_not_start() {
    let scene = scene("best");
    scene.ok(&["pause"]);
    let ran = scene.path("ran");
    let added = scene.pleach(&["add", "--", &format!("touch {}", ran.display())]);
    if added.code == Some(9) {
        return println!("no sandbox works here, so none can stop working");
    }
    for tier in ["full", "reduced"] {
        fs::write(scene.path(&format!("crash/without.{tier}")), "").unwrap();
    }
    scene.ok(&["resume"]);
    scene.pleach(&["wait", "1"]);
    assert_eq!(scene.outcome(1), "could_not_start");
    assert!(scene.ok(&["status", "1"]).contains("nobody agreed to do without a sandbox"));
    assert!(!ran.exists());
    // What it says is a way out.
    assert_eq!(scene.pleach(&["approve"]).code, Some(7), "nobody is there to ask");
    assert_eq!(scene.pleach(&["add", "--", "true"]).code, Some(9), "what was found earlier is not believed again");
    scene.ok(&["approve", "--yes"]);
    scene.ok(&["run", "--", "true"]);
}

#[test]
fn each_list_says_what_runs_unconfined() {
    let scene = scene("none");
    let gate = scene.path("gate");
    let task = scene.add(&[], &format!("echo up; until test -e {}; do sleep 0.05; done", gate.display()));
    scene.until("it runs", || scene.log(task).contains("up"));
    let warning = "warning: 1 task runs without a sandbox, and can do whatever you can\n";
    for list in [&["ls"][..], &["status"], &["status", "1"], &["queue"]] {
        let ran = scene.pleach(list);
        assert_eq!(ran.err, warning, "{list:?}");
    }
    assert_eq!(scene.json(&["ls"])["unconfined"], 1);
    fs::write(&gate, "").unwrap();
    scene.pleach(&["wait", "1"]);
    assert_eq!(scene.pleach(&["ls", "--all"]).err, "");
}
