//! The terminal goes away, and Ctrl-C.
#![allow(clippy::disallowed_methods, reason = "tests start programs as a terminal would")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::support::scene::Scene;

struct Followed {
    scene: Scene,
    child: Child,
    gate: PathBuf,
    started: PathBuf,
}

/// The same command as a terminal starts it: also below `nohup`, it hears that the terminal goes away.
fn of_a_terminal(inner: &Command) -> Command {
    let mut outer = Command::new("env");
    outer.arg("--default-signal=HUP").arg(inner.get_program()).args(inner.get_args()).env_clear();
    outer.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    outer.current_dir(inner.get_current_dir().unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped());
    outer
}

/// `pleach run` in a process group of its own, as a shell starts it, with its task under way.
fn run() -> Followed {
    let scene = Scene::new();
    let (gate, started) = (scene.path("gate"), scene.path("started"));
    let (open, there) = (gate.display(), started.display());
    let line = format!("echo before; touch {there}; until [ -e {open} ]; do sleep 0.05; done; echo after; echo x > x");
    let child = of_a_terminal(&scene.command(&["run", "--grace", "1s", "--", &line])).process_group(0).spawn().unwrap();
    scene.until_there(&started);
    Followed { scene, child, gate, started }
}

impl Followed {
    fn signal(&self, signal: Signal) {
        kill_process_group(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Read what it says until it says this.
    fn hear(&mut self, wanted: &str) -> String {
        let mut heard = String::new();
        let mut lines = BufReader::new(self.child.stderr.as_mut().unwrap());
        while !heard.contains(wanted) {
            assert!(lines.read_line(&mut heard).unwrap() > 0, "it never said {wanted:?}, but: {heard}");
        }
        heard
    }

    fn ends_well(self) {
        fs::File::create(&self.gate).unwrap();
        assert_eq!(self.scene.pleach(&["wait", "1"]).code, Some(0));
        assert_eq!(self.scene.log(1), "before\nafter\n");
        assert_eq!(self.scene.stands(1), "ready");
        assert_eq!(self.scene.git(&["show", "pleach/1:x"]), "x");
        self.scene.assert_tidy();
    }
}

#[test]
fn the_task_goes_on_when_the_terminal_closes() {
    let mut followed = run();
    followed.signal(Signal::HUP);
    let status = followed.child.wait().unwrap();
    assert!(!status.success());
    assert_eq!(followed.scene.stands(1), "running");
    followed.ends_well();
}

#[test]
fn the_task_goes_on_when_a_real_terminal_is_taken_away() {
    if Command::new("script").arg("--version").output().is_err() {
        return println!("there is no script(1) here");
    }
    let scene = Scene::new();
    let (gate, started) = (scene.path("gate"), scene.path("started"));
    let line = format!("touch {}; until [ -e {} ]; do sleep 0.05; done; echo x > x", started.display(), gate.display());
    let inner = scene.command(&["run", "--", &line]);
    let words: Vec<_> = std::iter::once(inner.get_program()).chain(inner.get_args()).collect();
    let words = words.iter().map(|word| format!("'{}'", word.to_str().unwrap())).collect::<Vec<_>>().join(" ");
    // `script` makes a terminal, and is its only other end.
    let mut terminal = Command::new("script");
    terminal.args(["-qefc", &words, "/dev/null"]).env_clear();
    terminal.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("SHELL", "/bin/sh");
    let mut terminal = of_a_terminal(terminal.current_dir(&scene.top)).stdout(Stdio::null()).spawn().unwrap();
    scene.until_there(&started);
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    scene.until("whoever followed is gone", || {
        !scene.processes().iter().any(|process| process.words.contains(&"run".to_owned()))
    });
    assert_eq!(scene.stands(1), "running");
    fs::File::create(&gate).unwrap();
    assert_eq!(scene.pleach(&["wait", "1"]).code, Some(0));
    assert_eq!(scene.git(&["show", "pleach/1:x"]), "x");
    scene.assert_tidy();
}

#[test]
fn one_interrupt_leaves_it_in_the_background_and_says_how_to_come_back() {
    let mut followed = run();
    followed.signal(Signal::INT);
    let heard = followed.hear("cancels it");
    assert!(heard.contains("pleach logs -f 1"), "{heard}");
    assert_eq!(followed.child.wait().unwrap().code(), Some(130));
    assert_eq!(followed.scene.stands(1), "running");
    followed.ends_well();
}

#[test]
fn two_interrupts_cancel_it() {
    let mut followed = run();
    followed.signal(Signal::INT);
    followed.hear("cancels it");
    followed.signal(Signal::INT);
    let mut rest = String::new();
    followed.child.stderr.take().unwrap().read_to_string(&mut rest).unwrap();
    assert_eq!(followed.child.wait().unwrap().code(), Some(130), "{rest}");
    assert!(rest.contains("cancelling task 1"), "{rest}");
    assert_eq!(followed.scene.outcome(1), "cancelled");
    assert!(followed.started.exists());
    followed.scene.assert_tidy();
}
