//! Who waits is told how far it is, and who does not look is told of the end.
#![allow(clippy::disallowed_methods, reason = "tests write files and start programs as a user would")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::tmux::{self, Tmux};
use crate::support::scene::{Scene, finish};

fn notices(scene: &Scene, name: &str) -> Vec<Value> {
    let text = fs::read_to_string(scene.path(name)).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn who_waits_in_a_pipe_gets_a_line_for_each_event_and_json_none() {
    let scene = Scene::with_concurrency(1);
    let gate = scene.path("gate");
    let line = format!("until [ -e {} ]; do sleep 0.02; done; echo x > x", gate.display());
    scene.add(&["--name", "first"], &line);
    scene.add(&["--name", "second"], "exit 3");
    let waiting = scene.start(&["wait", "1", "2"]);
    let quiet = scene.start(&["wait", "1", "2", "--json"]);
    // Both are there before anything happens.
    scene.until("both wait", || {
        scene.processes().iter().filter(|one| one.words.contains(&"wait".to_owned())).count() == 2
    });
    scene.until("the first runs", || scene.stands(1) == "running");
    fs::write(&gate, "").unwrap();
    let (told, quiet) = (finish(waiting), finish(quiet));
    assert_eq!((told.code, quiet.code, quiet.err.as_str()), (Some(1), Some(1), ""));
    let ends: Vec<&str> = told.err.lines().filter(|line| line.contains(" after ")).collect();
    assert!(ends[0].starts_with("task 1 (first): ready after ") && ends[0].ends_with("· 1 file +1 -0"), "{told:?}");
    assert!(ends[1].starts_with("task 2 (second): failed after ") && ends[1].ends_with("· exit 3"), "{told:?}");
    let merged = scene.pleach(&["merge", "1"]);
    assert_eq!(merged.code, Some(0));
    assert!(merged.err.lines().any(|line| line.starts_with("task 1 (first): folded after ")), "{merged:?}");
}

#[test]
fn on_a_terminal_it_is_one_line_with_an_estimate() {
    if !tmux::is_there() {
        return;
    }
    let scene = Scene::new();
    let (gate, line) = (scene.path("gate"), "until [ -e $GATE ]; do sleep 0.02; done; echo through");
    let line = format!("GATE={}; {line}", gate.display());
    fs::write(&gate, "").unwrap();
    scene.ok(&["run", "--", &line]);
    fs::remove_file(&gate).unwrap();
    let tmux = Tmux::new(&scene, 100, 20);
    tmux.line(&format!("$PLEACH run -- '{line}'; echo left with $?"));
    tmux.until("it is said how far it is", |screen| {
        screen.lines().any(|line| line.starts_with("2 running · ") && line.contains("longer than usual"))
    });
    fs::write(&gate, "").unwrap();
    tmux.until_seen("left with 0");
    let screen = tmux.screen();
    assert!(screen.contains("\nthrough\n") && !screen.contains("longer than usual"), "{screen}");
}

#[test]
fn a_merge_says_how_far_it_is_however_short_its_task_was() {
    if !tmux::is_there() {
        return;
    }
    let scene = Scene::new();
    let gate = scene.path("gate");
    scene.ok(&["run", "--", "echo x > x"]);
    let tmux = Tmux::new(&scene, 100, 20);
    let check = format!("until [ -e {} ]; do sleep 0.02; done", gate.display());
    tmux.line(&format!("$PLEACH merge --verify '{check}' 1; echo left with $?"));
    tmux.until("it is said that it waits for its check", |screen| {
        screen.lines().any(|line| line.starts_with("1 queued"))
    });
    fs::write(&gate, "").unwrap();
    tmux.until_seen("left with 0");
}

#[test]
fn a_program_and_an_address_hear_of_what_happens_when_nobody_looks() {
    let scene = Scene::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (told, port) = (scene.path("told"), listener.local_addr().unwrap().port());
    scene.configure(&format!(
        "[notify]\ncommand = [\"sh\", \"-c\", \"cat >> {}\"]\nwebhook = \"http://127.0.0.1:{port}/hook?token=x\"\n",
        told.display()
    ));
    let posted = std::thread::spawn(move || {
        let mut all = Vec::new();
        // One connection each: ended, review, refused, folded come in this order.
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut text, mut bytes) = (String::new(), [0; 65536]);
            while !text.contains("\r\n\r\n{") || !text.ends_with('}') {
                let count = stream.read(&mut bytes).unwrap();
                text.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
            stream.write_all(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n").unwrap();
            all.push(text);
        }
        all
    });
    let has_curl = Command::new("curl").arg("--version").output().is_ok_and(|output| output.status.success());
    scene.add(&["--name", "good"], "echo x > x");
    scene.until("the end of it is told", || notices(&scene, "told").iter().any(|notice| notice["event"] == "done"));
    let told = notices(&scene, "told");
    assert_eq!((&told[0]["event"], &told[0]["task"]["state"]), (&"review".into(), &"ready".into()), "{told:?}");
    assert_eq!(told[0]["text"], "task 1 good: ready");
    assert_eq!((&told[1]["event"], &told[1]["attention"]), (&"done".into(), &1.into()));
    if has_curl {
        let posted = posted.join().unwrap();
        assert!(posted[0].starts_with("POST /hook?token=x HTTP/1.1\r\n"), "{posted:?}");
        assert!(posted[0].contains("\"text\":\"task 1 good: ready\""), "{posted:?}");
    }
    // Only what is asked for, as it is set at that moment; and a program that fails keeps nobody.
    scene.configure(&format!(
        "[notify]\ncommand = [\"sh\", \"-c\", \"cat >> {}; exit 3\"]\nevents = [\"folded\"]\n",
        scene.path("folds").display()
    ));
    scene.ok(&["merge", "good"]);
    scene.until("the fold is told", || !notices(&scene, "folds").is_empty());
    assert_eq!(notices(&scene, "folds")[0]["event"], "folded");
    scene.until("the failure is noted", || {
        scene.story().contains("cannot notify by command sh: it ended with exit status: 3")
    });
    assert_eq!(notices(&scene, "folds").len(), 1);
    scene.configure("[notify]\ncommand = [\"/nowhere/teller\", \"secret\"]\n");
    scene.ok(&["run", "--", "true"]);
    scene.until("it is noted which", || scene.story().contains("cannot notify by command /nowhere/teller: "));
    assert!(!scene.story().contains("secret"));
}

/// On a bus of its own, with a desktop that writes down what it is told.
#[test]
fn the_desktop_hears_of_it() {
    let python = "/usr/bin/python3";
    let has = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).stdin(Stdio::null()).output();
        output.is_ok_and(|output| output.status.success())
    };
    let is_there = has("notify-send", &["--version"])
        && has("dbus-run-session", &["--version"])
        && has(python, &["-c", "import dbus, gi"]);
    if !is_there {
        return println!("there is no notify-send, bus or python with dbus here");
    }
    let scene = Scene::new();
    scene.configure("[notify]\ndesktop = true\n");
    let inner = scene.command(&[]);
    let told = scene.path("told");
    let script = format!(
        "{python} {}/fixtures/notifications.py > {told} & desktop=$!
         until grep -q up {told}; do sleep 0.02; done
         {} run --name 'says' -- 'echo x > x'
         until grep -q through {told}; do sleep 0.02; done
         kill $desktop",
        env!("CARGO_MANIFEST_DIR"),
        inner.get_program().display(),
        told = told.display()
    );
    let mut command = Command::new("timeout");
    command.args(["120", "dbus-run-session", "--", "sh", "-c", &script]).env_clear().current_dir(&scene.top);
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ran = finish(command.spawn().unwrap());
    let told: Vec<String> = fs::read_to_string(&told).unwrap().lines().map(str::to_owned).collect();
    let expected = ["up", "pleach|pleach|task 1 says: ready", "pleach|pleach|all tasks are through, 1 task to look at"];
    assert_eq!(told, expected, "{ran:?}");
}

#[test]
fn a_repository_cannot_say_who_is_told() {
    let scene = Scene::new();
    scene.write(".pleach.toml", "[notify]\ncommand = [\"touch\", \"/tmp/never\"]\n");
    let ran = scene.pleach(&["add", "true"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("[notify] can only be set in your own file"), "{}", ran.err);
}

/// Feed a shell with lines as somebody types them; what it said.
fn typed(scene: &Scene, shell: &[&str], lines: &str) -> Option<String> {
    if Command::new(shell[0]).arg("--version").output().is_err() {
        println!("there is no {} here", shell[0]);
        return None;
    }
    let inner = scene.command(&[]);
    let dir = std::path::Path::new(inner.get_program()).parent().unwrap();
    let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).env_clear().current_dir(&scene.top);
    command
        .envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("PATH", path)
        .env("TERM", "dumb");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let ran = finish(child);
    Some(ran.out + &ran.err)
}

#[test]
fn shells_say_before_the_next_prompt_what_has_ended() {
    let scene = Scene::new();
    scene.ok(&["run", "--name", "before", "--", "true"]);
    let cases: [(&[&str], &str); 2] = [
        (
            &["bash", "--norc", "--noprofile", "-i"],
            "PS1='> '\neval \"$(pleach shell-init bash)\"\neval \"$(pleach shell-init bash)\"\n",
        ),
        (&["zsh", "-f", "-i"], "eval \"$(pleach shell-init zsh)\"\n"),
    ];
    for (number, (shell, init)) in cases.into_iter().enumerate() {
        let name = format!("job{number}");
        let lines = format!(
            "{init}pleach add --name {name} -- 'echo x > x{number}'\npleach wait {name} >/dev/null 2>&1\ncd /\ntrue\ncd {}\nfalse\necho code $?\n",
            scene.top.display()
        );
        let Some(said) = typed(&scene, shell, &lines) else { continue };
        let told = said.matches(&format!("{name}: ready (1 file +1 -0)")).count();
        assert_eq!(told, 1, "{shell:?}: {said}");
        assert!(!said.contains("before: "), "what ended before is no news: {said}");
        assert!(said.contains("code 1"), "the code of the last command is still there: {said}");
    }
}

/// Without a terminal fish shows no prompt.
#[test]
fn fish_says_it_too() {
    let is_there = Command::new("fish").arg("--version").output().is_ok_and(|output| output.status.success());
    if !(tmux::is_there() && is_there) {
        return println!("there is no fish here");
    }
    let scene = Scene::new();
    scene.ok(&["run", "--name", "before", "--", "true"]);
    let tmux = Tmux::new(&scene, 100, 30);
    tmux.line("PATH=$(dirname $PLEACH):$PATH exec fish --no-config -i");
    tmux.until("fish is there", |screen| screen.lines().last().is_some() && screen.contains("fish"));
    tmux.line("pleach shell-init fish | source; echo source''d");
    tmux.until_seen("sourced");
    tmux.line("pleach add --name fishy -- 'echo x > x'; pleach wait fishy >/dev/null");
    tmux.until_seen("pleach: task 2 fishy: ready (1 file +1 -0)");
    assert!(!tmux.screen().contains("before: "), "{}", tmux.screen());
}

#[test]
fn what_a_prompt_says() {
    let scene = Scene::new();
    let outside = scene.path("elsewhere");
    fs::create_dir(&outside).unwrap();
    let ran = scene.pleach(&["-C", outside.to_str().unwrap(), "prompt"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), "", ""));
    scene.ok(&["run", "--", "true"]);
    let since = scene.ok(&["prompt"]);
    for id in 2..=9 {
        scene.add(&["--name", &format!("n{id}")], "true");
    }
    scene.ok(&["wait"]);
    let ran = scene.pleach(&["prompt", &since]);
    assert_eq!(ran.err.lines().count(), 6, "{}", ran.err);
    assert!(ran.err.ends_with("pleach: and 3 more: `pleach ls`\n"), "{}", ran.err);
    let again = scene.pleach(&["prompt", ran.out.trim_end()]);
    assert_eq!(again.err, "");
}
