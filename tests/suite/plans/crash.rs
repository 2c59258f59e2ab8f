//! Whoever is killed in the middle: the plan goes on, and the same command takes it up again.

use std::fs;

use super::super::support::scene::Scene;
use super::{run, states, task};

const PLAN: &str = r#"
    [defaults]
    fold = "auto"
    [[task]]
    name = "list"
    command = "echo a > a; test ! -e GATE.hold || sleep 600"
    [[task]]
    name = "gate"
    needs = ["list"]
    command = "touch GATE.here; while ! test -e GATE.open; do sleep 0.05; done; echo gate > gate"
    [[task]]
    name = "clash"
    for_each = ["x", "y"]
    command = "echo {item} > readme"
    [[task]]
    name = "fail"
    command = "exit 3"
    [[task]]
    name = "hang"
    command = "sleep 600"
    timeout = "2s"
    [[task]]
    name = "last"
    needs = ["gate"]
    command = "cp a last; echo {needs.gate.summary} >> last"
    "#;

fn plan(scene: &Scene) -> String {
    PLAN.replace("GATE", &scene.path("gate").display().to_string())
}

/// With a failing, a conflicting and a hanging member; killed in between, client and coordinator; resumed.
#[test]
fn a_plan_is_taken_up_after_kills() {
    let scene = Scene::with_concurrency(4);
    let text = plan(&scene);
    scene.write("plan.toml", &text);
    let mut client = scene.start(&["run", "plan.toml"]);
    scene.until("the gate is reached", || scene.path("gate.here").exists());
    client.kill().unwrap();
    client.wait().unwrap();
    for process in scene.processes().iter().filter(|process| process.is_coordinator()) {
        process.kill();
    }
    // Another file of that name is refused while it is under way.
    scene.write("plan.toml", text.replace("exit 3", "exit 4"));
    let other = scene.pleach(&["run", "--detach", "plan.toml"]);
    assert_eq!(other.code, Some(7), "{}{}", other.out, other.err);
    scene.write("plan.toml", &text);
    assert_eq!(scene.ok(&["run", "--detach", "plan.toml"]), "plan.1", "it is the same one");
    fs::write(scene.path("gate.open"), "").unwrap();
    let waited = scene.pleach(&["wait", "--plan", "plan"]);
    assert_eq!(waited.code, Some(1), "{}{}", waited.out, waited.err);
    let report = scene.json(&["report", "plan.1"]);
    assert_eq!(report["tasks"].as_array().unwrap().len(), 7);
    assert_eq!(scene.board().len(), 7, "no task is there twice");
    for (name, state) in
        [("list", "folded"), ("gate", "folded"), ("fail", "failed"), ("hang", "failed"), ("last", "folded")]
    {
        assert_eq!(task(&report, name)["state"], state, "{}", states(&report));
    }
    assert_eq!(task(&report, "hang")["outcome"]["how"], "timed_out");
    let mut clashes = ["clash-x", "clash-y"].map(|name| task(&report, name)["state"].as_str().unwrap().to_owned());
    clashes.sort();
    assert_eq!(clashes, ["conflict", "folded"]);
    assert_eq!(
        scene.read("last"),
        "a\ngate: touch\n".replace("gate: touch", scene.read("last").lines().nth(1).unwrap())
    );
}

/// The coordinator dies behind each line of the journal in turn: what follows from a failure follows all the same.
#[test]
fn what_follows_from_a_failure_follows_after_a_kill_too() {
    for point in ["journal.appended", "collect.refs_created", "launch.spec_written"] {
        let scene = Scene::with_concurrency(1);
        scene.ok(&["pause"]);
        scene.write(
            "plan.toml",
            r#"
            on_failure = "discard all"
            [[task]]
            name = "good"
            command = "echo good > good"
            [[task]]
            name = "bad"
            needs = ["good"]
            command = "exit 1"
            [[task]]
            name = "behind"
            needs = ["bad"]
            command = "true"
            "#,
        );
        assert_eq!(scene.ok(&["run", "-d", "plan.toml"]), "plan.1");
        scene.ok(&["resume"]);
        let mut kills = 0;
        loop {
            scene.arm(point);
            scene.pleach(&["ls"]);
            scene.until("it fired, or all has ended", || {
                !scene.is_armed(point) || scene.json(&["report", "plan"])["ended"] == true
            });
            kills += usize::from(!scene.is_armed(point));
            if scene.json(&["report", "plan"])["ended"] == true || kills > 40 {
                break;
            }
        }
        let _ = fs::remove_file(scene.path("crash").join(point));
        scene.pleach(&["wait", "--plan", "plan"]);
        let report = scene.json(&["report", "plan"]);
        assert_eq!(states(&report), "good discarded, bad discarded, behind withdrawn", "{point} after {kills} kills");
        assert!(kills > 0, "{point} never fired");
    }
}

/// A plan is there whole or not at all, and its first task never without the others.
#[test]
fn a_plan_is_there_whole() {
    let scene = Scene::with_concurrency(2);
    scene.arm("journal.appended");
    let (code, report) =
        run(&scene, "[[task]]\nname = 'a'\nfor_each = ['1', '2', '3']\ncommand = 'echo {item} > {item}'\n");
    assert_eq!((code, report["tasks"].as_array().unwrap().len()), (0, 3));
    assert_eq!(scene.board().len(), 3, "asked again after the kill, it is still one plan");
    assert!(!scene.is_armed("journal.appended"));
}
