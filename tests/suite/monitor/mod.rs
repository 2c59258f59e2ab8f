//! `pleach monitor` in a real terminal, by real keys.
#![allow(clippy::disallowed_methods, reason = "tests write files as a user would")]

mod telling;
pub(crate) mod tmux;

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::scene::{Process, Scene};
use tmux::Tmux;

/// Start the monitor in the shell; before and after it is written down what the terminal is set to.
fn open(tmux: &Tmux<'_>) {
    let (before, after) = (tmux.scene.path("before"), tmux.scene.path("after"));
    let line =
        format!("stty -a > {}; $PLEACH monitor; echo left with $?; stty -a > {}", before.display(), after.display());
    tmux.line(&line);
    tmux.until_seen("? keys");
}

/// The shell has its terminal back as it was.
fn assert_left(tmux: &Tmux<'_>, code: i32) {
    tmux.until_seen(&format!("left with {code}"));
    let read = |name: &str| fs::read_to_string(tmux.scene.path(name)).unwrap_or_default();
    tmux.scene.until("the terminal was asked again", || read("after").ends_with('\n'));
    // The first line has the size, which may be another one by now.
    let settings = |name: &str| read(name).lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert!(settings("after").len() > 3, "{}", read("after"));
    assert_eq!(settings("before"), settings("after"));
    assert_eq!(tmux.tells("#{alternate_on} #{cursor_flag}"), "0 1", "{}", tmux.screen());
    tmux.until("the prompt is back", |screen| screen.trim_end().ends_with("ready>"));
}

fn monitor_of(scene: &Scene) -> Process {
    let is_monitor = |process: &Process| process.words.len() == 2 && process.words[1] == "monitor";
    scene.processes().into_iter().find(is_monitor).unwrap()
}

#[test]
fn keys_move_search_cancel_and_merge_while_the_coordinator_is_killed() {
    if !tmux::is_there() {
        return;
    }
    let scene = Scene::with_concurrency(3);
    let (gate, go) = (scene.path("gate"), scene.path("go"));
    let wait = |path: &std::path::Path| format!("until [ -e {} ]; do sleep 0.05; done", path.display());
    let line = format!("seq -f 'line %g' 200; {}; echo the last word; echo x > x; {}", wait(&go), wait(&gate));
    let first = scene.add(&["--name", "counts"], &line);
    let second =
        scene.add(&["--name", "hangs", "--grace", "1s"], "trap '' TERM; echo hung; while :; do sleep 0.05; done");
    scene
        .add(&["--name", "odd"], "printf 'red \\033[31mtext\\033[0m \\033]0;title\\007 \\342\\200\\256\\n'; touch odd");
    scene.ok(&["wait", "odd"]);
    let tmux = Tmux::new(&scene, 100, 30);
    open(&tmux);
    for word in ["1 counts", "2 hangs", "3 odd", "ready", "log of 1 counts", "line 200", "follows"] {
        tmux.until_seen(word);
    }
    tmux.until("the processors were looked at", |screen| screen.contains("MEMORY") && screen.contains('%'));
    // The log goes on.
    fs::write(&go, "").unwrap();
    tmux.until_seen("the last word");
    tmux.keys(&["/"]);
    tmux.keys(&["-l", "line 17"]);
    tmux.keys(&["Enter"]);
    tmux.until_seen("/line 17 11 of 11");
    tmux.keys(&["n"]);
    tmux.until("it is gone to the first", |screen| {
        screen.contains("/line 17 1 of 11") && screen.contains("\nline 17\n")
    });
    tmux.keys(&["f"]);
    tmux.until_seen("the last word");
    // Nothing that a task writes acts on the terminal.
    tmux.keys(&["j", "j"]);
    tmux.until_seen("red text \\u{1b}]0;title\\u{7} \\u{202e}");
    // The coordinator goes; a key brings another one.
    tmux.keys(&["k"]);
    tmux.until_seen("log of 2 hangs");
    scene.processes().iter().filter(|process| process.is_coordinator()).for_each(Process::kill_group);
    tmux.keys(&["c"]);
    tmux.until_seen("cancel 2? y does it");
    tmux.keys(&["y"]);
    tmux.until_seen("task 2: asked to end");
    tmux.until("it has ended", |screen| screen.lines().any(|line| line.contains("2 hangs") && line.contains("failed")));
    assert_eq!(scene.outcome(second), "cancelled");
    tmux.tmux(&["resize-window", "-x", "60", "-y", "16"]);
    tmux.until("it is as narrow as that", |screen| screen.lines().count() == 16 && screen.contains("log of 2 hangs"));
    tmux.tmux(&["resize-window", "-x", "110", "-y", "30"]);
    tmux.until_seen("MEMORY");
    fs::write(&gate, "").unwrap();
    tmux.until("the first is through", |screen| {
        screen.lines().any(|line| line.contains("1 counts") && line.contains("ready"))
    });
    tmux.keys(&["g", "d"]);
    tmux.until_seen("Enter goes back to the monitor");
    assert!(tmux.screen().contains("+x"), "{}", tmux.screen());
    tmux.keys(&["Enter"]);
    tmux.until_seen("log of 1 counts");
    tmux.keys(&["m"]);
    tmux.until_seen("merge 1? y does it");
    tmux.keys(&["y"]);
    tmux.until_seen("task 1: folded into main");
    assert_eq!(scene.git(&["show", "main:x"]), "x");
    tmux.keys(&["q"]);
    assert_left(&tmux, 0);
    assert_eq!(scene.stands(first), "folded");
    drop(tmux);
    scene.assert_tidy();
}

#[test]
fn the_terminal_is_as_it_was_after_a_panic_and_after_signals() {
    if !tmux::is_there() {
        return;
    }
    let scene = Scene::new();
    let tmux = Tmux::new(&scene, 80, 24);
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        open(&tmux);
        kill_process(Pid::from_raw(monitor_of(&scene).pid as i32).unwrap(), signal).unwrap();
        assert_left(&tmux, code);
        tmux.line("clear");
        tmux.until("the screen is clear", |screen| !screen.contains("left with"));
    }
    open(&tmux);
    tmux.keys(&["C-c"]);
    assert_left(&tmux, 0);
    tmux.line("clear");
    tmux.until("the screen is clear", |screen| !screen.contains("left with"));
    open(&tmux);
    // It is drawn anew each second.
    scene.arm("panic.monitor");
    assert_left(&tmux, 101);
    assert!(tmux.screen().contains("a test asked for it"), "{}", tmux.screen());
}

#[test]
fn a_thousand_tasks_and_their_turns() {
    if !tmux::is_there() {
        return;
    }
    let scene = Scene::new();
    scene.ok(&["pause"]);
    let items: Vec<String> = (1..=1000).map(|number| format!("\"{number}\"")).collect();
    let plan = format!("[[task]]\nname = \"many\"\nfor_each = [{}]\ncommand = \"true\"\n", items.join(", "));
    scene.write("many.toml", plan);
    scene.ok(&["run", "--detach", "many.toml"]);
    let tmux = Tmux::new(&scene, 100, 40);
    open(&tmux);
    for word in ["PAUSED", "1000 waiting", "▾ many.1"] {
        tmux.until_seen(word);
    }
    tmux.keys(&["G"]);
    tmux.until_seen("└ 1000 ");
    tmux.keys(&["+"]);
    tmux.until_seen("task 1000: goes with priority high now");
    tmux.until("it has the first turn", |screen| {
        screen.lines().any(|line| line.contains("└ 1000 ") && line.contains('↑'))
    });
    assert_eq!(scene.status(1000)["priority"], "high");
    tmux.keys(&["g", "Enter"]);
    tmux.until("the plan is one row", |screen| screen.contains("▸ many.1") && !screen.contains("├"));
    tmux.keys(&["c"]);
    tmux.until_seen("and 995 more? y does it");
    tmux.keys(&["y"]);
    tmux.until_seen("1000 tasks: asked to end");
    tmux.keys(&["p"]);
    tmux.until_seen("tasks start again");
    tmux.keys(&["q"]);
    assert_left(&tmux, 0);
    assert_eq!(scene.board().values().filter(|row| row["state"] == "withdrawn").count(), 1000);
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let scene = Scene::new();
    let ran = scene.pleach(&["monitor"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("needs a terminal") && ran.err.contains("`pleach ls --json`"), "{}", ran.err);
    assert_eq!(ran.out, "");
}
