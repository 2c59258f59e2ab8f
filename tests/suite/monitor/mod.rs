//! `pleach monitor` in a real terminal, by real keys.
#![allow(clippy::disallowed_methods, reason = "tests write files as a user would")]

mod telling;
pub(crate) mod tmux;

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::scene::{Process, Scene};
use tmux::Tmux;

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
    tmux.open("$PLEACH monitor");
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
    tmux.assert_left(0);
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
        tmux.open("$PLEACH monitor");
        kill_process(Pid::from_raw(tmux.viewer("monitor").pid as i32).unwrap(), signal).unwrap();
        tmux.assert_left(code);
        tmux.line("clear");
        tmux.until("the screen is clear", |screen| !screen.contains("left with"));
    }
    tmux.open("$PLEACH monitor");
    tmux.keys(&["C-c"]);
    tmux.assert_left(0);
    tmux.line("clear");
    tmux.until("the screen is clear", |screen| !screen.contains("left with"));
    tmux.open("$PLEACH monitor");
    // It is drawn anew each second.
    scene.arm("panic.monitor");
    tmux.assert_left(101);
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
    tmux.open("$PLEACH monitor");
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
    tmux.assert_left(0);
    assert_eq!(scene.board().values().filter(|row| row["state"] == "withdrawn").count(), 1000);
}

#[test]
fn it_ends_where_its_terminal_is_gone() {
    if !tmux::is_there() {
        return;
    }
    let scene = Scene::new();
    scene.ok(&["run", "--", "echo x > x"]);
    for verb in ["monitor", "review"] {
        let tmux = Tmux::new(&scene, 80, 24);
        tmux.open(&format!("$PLEACH {verb}"));
        let viewer = tmux.viewer(verb).pid;
        drop(tmux);
        scene.until("it has ended", || scene.processes().iter().all(|process| process.pid != viewer));
    }
}

/// What a task is called, writes and leaves, and how much of it.
#[test]
fn nothing_that_a_task_writes_or_leaves_acts_on_the_terminal() {
    if !tmux::is_there() {
        return;
    }
    let scene = Scene::new();
    let script = r#"head -c 100000000 /dev/zero | tr '\0' x; echo; printf 'wrote\033]0;evil\007\033[2J\r\n';
        mkdir many; (cd many && seq 1 10000 | xargs touch); printf 'a\0b' > binary; ln -s /etc/passwd link; head -c 100000000 /dev/zero | tr '\0' x > huge;
        printf 'left\033[2J\342\200\256\n' > "$(printf 'name\033[31m')"; chmod +x readme"#;
    scene.ok(&["add", "--name", "odd", script]);
    scene.add(&[], "true '\u{1b}]0;evil\u{7}\u{202e}<script>'");
    scene.ok(&["wait"]);
    let tmux = Tmux::new(&scene, 140, 40);
    tmux.open("GIT_PAGER='head -n 30' $PLEACH monitor");
    for words in [r"wrote\u{1b}]0;evil\u{7}\u{1b}[2J", "bytes were not kept", "log of 1 odd"] {
        tmux.until_seen(words);
    }
    tmux.until_seen(r"true '\u{1b}]0;evil\u{7}\u{202e}<script>'");
    // What it changed, in a pager: 10,000 files and 100 MB.
    tmux.keys(&["d"]);
    tmux.until_seen("Enter goes back to the monitor");
    assert!(tmux.screen().contains("binary") && tmux.tells("#{pane_title}") != "evil", "{}", tmux.screen());
    tmux.keys(&["Enter"]);
    tmux.until_seen("log of 1 odd");
    // The same hunk by hunk, and back.
    tmux.keys(&["v"]);
    tmux.until_seen("it is a symbolic link now");
    tmux.keys(&["q"]);
    // Nothing was told there that could be missed.
    tmux.until_seen("log of 1 odd");
    tmux.keys(&["q"]);
    tmux.assert_left(0);
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let scene = Scene::new();
    let ran = scene.pleach(&["monitor"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("needs a terminal") && ran.err.contains("`pleach ls --json`"), "{}", ran.err);
    assert_eq!(ran.out, "");
}
