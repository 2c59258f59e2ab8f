//! Standard output is for the answer, standard error for the rest; colour and pagers are for terminals only.

use std::fs;
use std::io::{BufRead, Read};
use std::process::{Command, Stdio};

use crate::support::cli::{at_top, task};
use crate::support::scene::Scene;

/// Run a line with a terminal of its own; what was seen there. `None` where there is no `script`.
fn on_a_terminal(scene: &Scene, variables: &[(&str, &str)], line: &str) -> Option<String> {
    let wanted = scene.command(&[]);
    let mut script = Command::new("script");
    script.args(["-qec", line, "/dev/null"]).env_clear().current_dir(&scene.top).stdin(Stdio::null());
    script.envs(wanted.get_envs().filter_map(|(name, value)| Some((name, value?))));
    script.env("TERM", "xterm").env("PLEACH", env!("CARGO_BIN_EXE_pleach")).envs(variables.iter().copied());
    match script.output() {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(_) => {
            eprintln!("there is no script(1) here: not tested");
            None
        }
    }
}

#[test]
fn colour_is_for_terminals() {
    let scene = Scene::new();
    task(&scene, "echo more >> readme");
    for args in [&["ls"][..], &["status", "1"], &["diff", "1"], &["doctor"], &["status", "9"]] {
        let ran = scene.pleach(args);
        assert!(!ran.out.contains('\u{1b}') && !ran.err.contains('\u{1b}'), "{ran:?}");
        assert!(args[0] != "diff" || scene.pleach(&[&["--color", "always"], args].concat()).out.contains('\u{1b}'));
    }
    let line = "$PLEACH diff --no-pager 1";
    let Some(seen) = on_a_terminal(&scene, &[], line) else { return };
    assert!(seen.contains("\u{1b}["), "{seen:?}");
    for variables in [[("NO_COLOR", "1")], [("TERM", "dumb")]] {
        let seen = on_a_terminal(&scene, &variables, line).unwrap();
        assert!(!seen.contains('\u{1b}') && seen.contains("+more"), "{variables:?}: {seen:?}");
    }
}

#[test]
fn a_pager_is_the_one_of_git_and_only_on_a_terminal() {
    let scene = Scene::new();
    task(&scene, "echo more >> readme");
    let seen = scene.path("paged");
    scene.git(&["config", "core.pager", &format!("sh -c 'echo paged; cat > {}'", seen.display())]);
    assert!(scene.ok(&["diff", "1"]).contains("+more"));
    assert!(!seen.exists());
    let Some(shown) = on_a_terminal(&scene, &[], "$PLEACH diff 1") else { return };
    assert!(shown.contains("paged") && !shown.contains("+"), "{shown:?}");
    assert!(fs::read_to_string(&seen).unwrap().contains("more"));
    // One that is not there, or that is left early, is not the end.
    let shown = on_a_terminal(&scene, &[("GIT_PAGER", "true")], "$PLEACH diff 1; echo code $?").unwrap();
    assert!(shown.contains("code 0"), "{shown:?}");
    let shown = on_a_terminal(&scene, &[("GIT_PAGER", "cat"), ("NO_COLOR", "1")], "$PLEACH diff 1").unwrap();
    assert!(shown.contains("+more"), "{shown:?}");
}

#[test]
fn who_stops_reading_has_had_enough() {
    let scene = Scene::new();
    task(&scene, "seq 200000; seq 20000 > many");
    for verb in ["ls", "status 1", "logs 1", "diff 1", "events", "diff --name-only 1", "--help", "completions zsh"] {
        // The reader closes first, so each write meets a closed pipe.
        let line = format!(
            "{{ read -r _ < {0}; $PLEACH {verb} 2>{1}; echo $? >&3; }} 3>{2} | {{ exec <&-; echo > {0}; }}",
            "fifo", "../err", "../code"
        );
        at_top(&scene, &format!("rm -f fifo; mkfifo fifo; {line}; until test -s ../code; do sleep 0.01; done"));
        let said = fs::read_to_string(scene.path("err")).unwrap();
        assert_eq!(said, "", "{verb}");
        fs::remove_file(scene.path("code")).unwrap();
    }
}

#[test]
fn how_long_it_takes_is_said_in_a_pipe_too() {
    let scene = Scene::new();
    let [once, again] = ["once", "again"].map(|name| scene.path(name));
    // The same command, whose first run takes a second, and the others as long as they are let.
    let [first, others] = [once.display(), again.display()];
    let line = format!("[ -e '{first}' ] || exec sleep 1.1; until [ -e '{others}' ]; do sleep 0.02; done");
    let ran = scene.pleach(&["run", "--", &line]);
    assert!(ran.err.starts_with("task 1 runs in a worktree of its own; Ctrl-C"), "{ran:?}");
    fs::write(&once, "").unwrap();
    let first_line = |child: &mut std::process::Child| {
        let mut line = String::new();
        let mut errors = std::io::BufReader::new(child.stderr.take().unwrap());
        errors.read_line(&mut line).unwrap();
        (line, errors)
    };
    let mut run = scene.start(&["run", "--", &line]);
    let (said, _errors) = first_line(&mut run);
    assert_eq!(said, "task 2 runs in a worktree of its own, usually for 2s; Ctrl-C leaves it in the background\n");
    let mut wait = scene.start(&["wait", "2"]);
    let (said, _errors_too) = first_line(&mut wait);
    assert_eq!(said, "task 2: running, usually for 2s\n");
    fs::write(&again, "").unwrap();
    assert!(run.wait().unwrap().success() && wait.wait().unwrap().success());
}

#[test]
fn nothing_waits_for_an_answer_where_nobody_can_give_one() {
    let scene = Scene::new();
    scene.write(".pleach.toml", "[worktree]\nsetup = \"true\"\n");
    let mut child = scene.command(&["add", "--", "true"]).stdin(Stdio::piped()).spawn().unwrap();
    let code = child.wait().unwrap().code();
    let mut words = String::new();
    child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
    assert_eq!(code, Some(7), "{words}");
    assert!(words.contains("hint: read it, and then approve it with `pleach approve`"), "{words}");
}
