//! Where nothing keeps a task to itself, its user has to agree; and while it runs, it is said.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

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
    assert_eq!(required.code, Some(9), "{required:?}");
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

/// What is said at a terminal of its own, and the code, where these keys are pressed when it asks.
fn at_a_terminal(scene: &Scene, args: &[&str], keys: &str) -> (Option<i32>, String) {
    let wanted = scene.command(args);
    let words: Vec<String> = std::iter::once(wanted.get_program())
        .chain(wanted.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &format!("exec {}", words.join(" ")), "/dev/null"]).env_clear().current_dir(&scene.top);
    terminal.envs(wanted.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("NO_COLOR", "1");
    let mut child = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut said, mut byte) = (Vec::new(), [0]);
    let mut out = child.stdout.take().unwrap();
    while !said.ends_with(b"[y/N] ") {
        assert_eq!(out.read(&mut byte).unwrap(), 1, "it never asked: {}", String::from_utf8_lossy(&said));
        said.push(byte[0]);
    }
    let mut input = child.stdin.take().unwrap();
    input.write_all(keys.as_bytes()).unwrap();
    input.flush().unwrap();
    out.read_to_end(&mut said).unwrap();
    drop(input);
    (child.wait().unwrap().code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn who_is_asked_at_a_terminal_is_heard() {
    if Command::new("script").arg("--version").output().is_err() {
        return println!("there is no script(1) here");
    }
    let ran = "ran";
    for (keys, code) in [("n\n", 9), ("\n", 9), ("\u{4}", 9), ("\u{3}", 130)] {
        let scene = bare();
        let place = scene.path(ran);
        let (ended, said) = at_a_terminal(&scene, &["add", "--", &format!("touch {}", place.display())], keys);
        assert!(said.contains("tasks without a sandbox, as none works here"), "{keys:?}: {said}");
        assert_eq!(ended, Some(code), "{keys:?}: {said}");
        assert!(scene.board().is_empty() && !place.exists(), "{keys:?}");
        // Nothing was agreed to.
        assert_eq!(scene.pleach(&["add", "--", "true"]).code, Some(9), "{keys:?}");
    }
    for keys in ["y\n", "yes\n"] {
        let scene = bare();
        let (ended, said) = at_a_terminal(&scene, &["run", "--", "echo here"], keys);
        assert!(ended == Some(0) && said.contains("here"), "{keys:?}: {said}");
        // Asked once.
        let next = scene.pleach(&["run", "--", "echo again"]);
        assert_eq!((next.code, next.out.as_str()), (Some(0), "again\n"), "{next:?}");
    }
}

/// Where nobody can press a key nobody is asked, and nothing waits.
#[test]
fn nobody_is_asked_without_a_terminal() {
    let scene = bare();
    let ran = scene.pleach(&["run", "--", "true"]);
    assert!(ran.code == Some(9) && !ran.err.contains("[y/N]") && ran.err.contains("pleach approve"), "{ran:?}");
}
