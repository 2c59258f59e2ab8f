//! A terminal of tmux with a shell in it, in a scene: keys go in, what is seen comes out.
#![allow(clippy::disallowed_methods, reason = "tests start programs as a user would")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::support::scene::{Process, Scene};

/// The terminal. It goes with its server.
pub(crate) struct Tmux<'a> {
    pub(crate) scene: &'a Scene,
    socket: PathBuf,
}

/// Is there a tmux at all?
pub(crate) fn is_there() -> bool {
    let is_there = Command::new("tmux").arg("-V").output().is_ok_and(|output| output.status.success());
    if !is_there {
        println!("there is no tmux here");
    }
    is_there
}

impl<'a> Tmux<'a> {
    /// A shell that knows `pleach`, in the repository of the scene.
    pub(crate) fn new(scene: &'a Scene, width: u16, height: u16) -> Self {
        let this = Self { scene, socket: scene.path("tmux") };
        let inner = scene.command(&[]);
        let mut shell = vec!["env".to_owned(), "-i".to_owned()];
        for (name, value) in inner.get_envs() {
            shell.extend(value.map(|value| format!("{}={}", name.to_str().unwrap(), value.to_str().unwrap())));
        }
        let said = [format!("PLEACH={}", inner.get_program().to_str().unwrap()), "PS1=ready> ".to_owned()];
        let kind = ["TERM=screen-256color".to_owned(), "LC_ALL=C.UTF-8".to_owned(), "sh".to_owned(), "-i".to_owned()];
        shell.extend(said.into_iter().chain(kind));
        let size = [width.to_string(), height.to_string()];
        let mut start = vec!["-f", "/dev/null", "new-session", "-d", "-x", &size[0], "-y", &size[1], "-c"];
        start.push(scene.top.to_str().unwrap());
        start.extend(shell.iter().map(String::as_str));
        this.tmux(&start);
        this.tmux(&["set-option", "-g", "escape-time", "0"]);
        this.until_seen("ready>");
        this
    }

    fn output(&self, args: &[&str]) -> Output {
        let mut command = Command::new("tmux");
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("LC_ALL", "C.UTF-8");
        command.arg("-u").arg("-S").arg(&self.socket).args(args).output().unwrap()
    }

    pub(crate) fn tmux(&self, args: &[&str]) -> String {
        let output = self.output(args);
        assert!(output.status.success(), "tmux {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Press keys, by their names in tmux.
    pub(crate) fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Type a line into the shell.
    pub(crate) fn line(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.keys(&["Enter"]);
    }

    /// Start a view in the shell, by these words; before and after it is written down what the terminal is set to.
    pub(crate) fn open(&self, words: &str) {
        let [before, after] = ["before", "after"].map(|name| self.scene.path(name).display().to_string());
        self.line(&format!("clear; stty -a > {before}; {words}; echo left with $?; stty -a > {after}"));
        self.until_seen("? keys");
    }

    /// The shell has its terminal back as it was.
    pub(crate) fn assert_left(&self, code: i32) {
        self.until_seen(&format!("left with {code}"));
        let read = |name: &str| fs::read_to_string(self.scene.path(name)).unwrap_or_default();
        self.scene.until("the terminal was asked again", || read("after").ends_with('\n'));
        // The first line has the size, which may be another one by now.
        let settings = |name: &str| read(name).lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
        assert!(settings("after").len() > 3, "{}", read("after"));
        assert_eq!(settings("before"), settings("after"));
        assert_eq!(self.tells("#{alternate_on} #{cursor_flag}"), "0 1", "{}", self.screen());
        // A key may come too late for a view that panics: then the shell has it.
        let last = |screen: &str| screen.trim_end().lines().next_back().unwrap_or_default().to_owned();
        self.until("the prompt is back", |screen| last(screen).starts_with("ready>"));
        self.keys(&["C-u"]);
        self.until("the line is empty", |screen| last(screen).trim_end() == "ready>");
        fs::remove_file(self.scene.path("after")).unwrap();
    }

    /// The process of a view that was started with this verb alone.
    pub(crate) fn viewer(&self, verb: &str) -> Process {
        let is_it = |process: &Process| process.words.len() == 2 && process.words[1] == verb;
        self.scene.processes().into_iter().find(is_it).unwrap()
    }

    /// What is on the screen now.
    pub(crate) fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        let begun = std::time::Instant::now();
        loop {
            let screen = self.screen();
            if is_so(&screen) {
                return;
            }
            let patience = crate::support::scene::PATIENCE;
            assert!(begun.elapsed() < patience, "not seen: {what}\n{screen}\n{}", self.scene.story());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    pub(crate) fn until_seen(&self, words: &str) {
        self.until(words, |screen| screen.contains(words));
    }

    /// What tmux knows of its terminal: `#{alternate_on}`.
    pub(crate) fn tells(&self, format: &str) -> String {
        self.tmux(&["display-message", "-p", format]).trim().to_owned()
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        self.output(&["kill-server"]);
    }
}
