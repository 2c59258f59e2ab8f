//! Whatever a task starts ends with it.
#![allow(clippy::disallowed_methods, reason = "tests write the programs that they run")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::scene::Scene;

/// Every way in which processes try to stay: in a session of their own, as a daemon, deaf to SIGTERM, without any
/// environment, and one that forks faster than anybody looks. Each writes its number down.
fn clingers(scene: &Scene) -> String {
    let pids = scene.path("pids");
    let pids = pids.display();
    let hop = scene.path("hop");
    fs::write(&hop, format!("#!/bin/sh\ntrap '' TERM HUP\necho $$ >> {pids}\nsleep 0.003\n\"$0\" &\n")).unwrap();
    fs::set_permissions(&hop, fs::Permissions::from_mode(0o755)).unwrap();
    let note = format!("echo \\$\\$ >> {pids}; exec sleep 1000");
    [
        format!("sh -c \"{note}\" &"),
        format!("setsid sh -c \"{note}\" &"),
        format!("(cd /; env -i PATH=\"$PATH\" setsid sh -c \"{note}\" >/dev/null 2>&1 </dev/null &) &"),
        format!("sh -c \"trap '' TERM INT HUP; {note}\" &"),
        format!("(setsid env -i PATH=\"$PATH\" {} >/dev/null 2>&1 &)", hop.display()),
        format!("until [ $(wc -l < {pids}) -ge 8 ]; do sleep 0.02; done"),
    ]
    .join("\n")
}

fn assert_none_survived(scene: &Scene) {
    let pids = fs::read_to_string(scene.path("pids")).unwrap();
    let lives = |pid: &&str| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // A number may be somebody else's by now.
        (stat.contains("(sleep)") || stat.contains("(hop)") || stat.contains("(sh)")) && !stat.contains(") Z")
    };
    let survivors: Vec<&str> = pids.lines().filter(lives).collect();
    assert!(survivors.is_empty(), "{survivors:?} of {}", pids.lines().count());
    assert!(pids.lines().count() >= 8);
}

#[test]
fn nothing_survives_the_normal_end_and_what_was_left_is_told() {
    let scene = Scene::new();
    let task = scene.add(&[], &format!("{}\necho bye; exit 5", clingers(&scene)));
    assert_eq!(scene.pleach(&["wait", &task.to_string()]).code, Some(5));
    assert_none_survived(&scene);
    assert_eq!(scene.outcome(task), "exited 5");
    assert!(scene.log(task).ends_with("bye\n"));
    let leaked = scene.status(task)["attempts"][0]["leaked"].as_u64();
    assert!(leaked >= Some(5), "{leaked:?}");
    scene.assert_tidy();
}

#[test]
fn nothing_survives_a_timeout() {
    let scene = Scene::new();
    let line = format!("{}\ntrap '' TERM\nwhile :; do sleep 1000; done", clingers(&scene));
    let ran = scene.pleach(&["run", "--timeout", "3s", "--grace", "1s", "--", &line]);
    assert_eq!(ran.code, Some(124), "{}{}", ran.out, ran.err);
    assert_none_survived(&scene);
    assert_eq!(scene.outcome(1), "timed_out");
    scene.assert_tidy();
}

#[test]
fn nothing_survives_being_cancelled_politely_or_not() {
    for options in [&["cancel"][..], &["cancel", "--now"]] {
        let scene = Scene::new();
        let ready = scene.path("ready");
        let line = format!(
            "{}\ntrap '' TERM\necho x > x; touch {}; while :; do sleep 1000; done",
            clingers(&scene),
            ready.display()
        );
        let task = scene.add(&["--grace", "1s"], &line).to_string();
        scene.until_there(&ready);
        scene.ok(&[options, &[&task]].concat());
        assert_none_survived(&scene);
        assert_eq!(scene.outcome(1), "cancelled");
        assert_eq!(scene.git(&["show", "refs/pleach/kept/1.1/tip:x"]), "x");
        scene.assert_tidy();
    }
}

#[test]
fn a_task_that_ends_by_itself_when_asked_has_its_grace() {
    let scene = Scene::new();
    let ready = scene.path("ready");
    let line =
        format!("trap 'echo saved > saved; exit 0' TERM; touch {}; while :; do sleep 0.05; done", ready.display());
    let task = scene.add(&["--grace", "60s"], &line).to_string();
    scene.until_there(&ready);
    scene.ok(&["cancel", &task]);
    assert_eq!(scene.git(&["show", "refs/pleach/kept/1.1/tip:saved"]), "saved");
    scene.assert_tidy();
}

#[test]
fn nothing_survives_the_supervisor() {
    let scene = Scene::new();
    let (ready, pids) = (scene.path("ready"), scene.path("pids"));
    let note = format!("echo \\$\\$ >> {}; exec sleep 1000", pids.display());
    let line = format!(
        "echo x > x; setsid sh -c \"{note}\" & (cd /; setsid sh -c \"{note}\" >/dev/null 2>&1 &) & \
         until [ $(wc -l < {pids}) -ge 2 ]; do sleep 0.02; done; touch {}; sleep 1000",
        ready.display(),
        pids = pids.display()
    );
    let task = scene.add(&[], &line);
    scene.until_there(&ready);
    scene.processes().iter().find(|process| process.is_shim()).unwrap().kill();
    assert_eq!(scene.pleach(&["wait", &task.to_string()]).code, Some(125));
    assert_eq!(scene.outcome(task), "lost");
    assert_eq!(scene.git(&["show", "refs/pleach/kept/1.1/tip:x"]), "x");
    // In a namespace of processes they died with the first of them, and nobody had to look for them.
    if !Scene::is_caged() {
        assert!(scene.status(task)["attempts"][0]["leaked"].as_u64() >= Some(2));
    }
    scene.assert_tidy();
}

#[test]
fn a_supervisor_that_is_killed_takes_no_task_of_another_repository_with_it() {
    let scenes = [Scene::new(), Scene::new()];
    for scene in &scenes {
        let line = format!(
            "touch {}; until [ -e {} ]; do sleep 0.05; done",
            scene.path("up").display(),
            scene.path("gate").display()
        );
        assert_eq!(scene.add(&[], &line), 1);
        scene.until_there(&scene.path("up"));
    }
    scenes[0].processes().iter().find(|process| process.is_shim()).unwrap().kill();
    scenes[0].pleach(&["wait"]);
    assert_eq!(scenes[0].outcome(1), "lost");
    fs::File::create(scenes[1].path("gate")).unwrap();
    scenes[1].pleach(&["wait"]);
    assert_eq!(scenes[1].outcome(1), "exited 0");
}
