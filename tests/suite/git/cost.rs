//! How many git processes one ordinary task costs: they are most of what a task costs at all.
#![allow(clippy::disallowed_methods, reason = "tests write files and start programs as a user would")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pleach::store::Layout;

use crate::support::repo::{World, put};

const PLEACH: &str = env!("CARGO_BIN_EXE_pleach");

/// A coordinator for which every `git` is written down.
struct Counted {
    world: World,
    coordinator: Child,
}

impl Counted {
    fn new(world: World) -> Self {
        let git = world.root.join("bin/git");
        let paths = std::env::var_os("PATH").unwrap();
        let real = std::env::split_paths(&paths).map(|dir| dir.join("git")).find(|git| git.is_file()).unwrap();
        let log = world.root.join("log");
        let script = format!(
            "#!/bin/sh\n{{ printf '%s\\001' \"$@\"; echo; }} >> '{}'\nexec '{}' \"$@\"\n",
            log.display(),
            real.display()
        );
        put(&git, script);
        fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).unwrap();
        let common = world.repo().common_dir().to_owned();
        Layout::make(&common, &world.root.join("state")).unwrap();
        let coordinator = command(&world, &["__coordinator", common.to_str().unwrap()]).spawn().unwrap();
        until(|| UnixStream::connect(common.join("pleach/socket")).is_ok());
        Self { world, coordinator }
    }

    /// Run a task to the removal of its worktree. The git commands that it took, in their order, less the one that
    /// stays for all transactions on refs.
    fn run(&self, task: usize, line: &str) -> Vec<String> {
        let log = self.world.root.join("log");
        fs::write(&log, "").unwrap();
        for args in [&["add", "--fold", "never", line][..], &["wait"]] {
            let done = command(&self.world, args).output().unwrap();
            assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
        }
        // Its pin is the last that goes.
        until(|| self.world.repo().ref_value(&format!("refs/pleach/base/{task}.1")).unwrap().is_none());
        let lines = fs::read_to_string(log).unwrap();
        lines.lines().map(subcommand).filter(|name| name != "update-ref").collect()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let _ = self.coordinator.kill();
        let _ = self.coordinator.wait();
    }
}

fn command(world: &World, args: &[&str]) -> Command {
    let mut command = Command::new(PLEACH);
    let paths = std::env::var_os("PATH").unwrap();
    let dirs: Vec<PathBuf> = [world.root.join("bin")].into_iter().chain(std::env::split_paths(&paths)).collect();
    command.args(args).current_dir(&world.top).stdin(Stdio::null()).env("PATH", std::env::join_paths(dirs).unwrap());
    command
        .env("HOME", &world.root)
        .env("XDG_CONFIG_HOME", &world.root)
        // What counts them writes its list outside of the worktree.
        .env("PLEACH_SANDBOX", "none")
        .env("PLEACH_STATE_DIR", world.root.join("state"));
    command
}

fn until(fact: impl Fn() -> bool) {
    let begun = Instant::now();
    while !fact() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never came true");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn subcommand(line: &str) -> String {
    let mut words = line.split('\u{1}');
    while let Some(word) = words.next() {
        match word {
            "-c" | "--git-dir" | "--work-tree" => drop(words.next()),
            word => return word.to_owned(),
        }
    }
    String::new()
}

#[test]
fn an_ordinary_task_takes_few_git_processes() {
    let counted = Counted::new(World::new(&[]));
    // What a coordinator asks once is no cost of a task.
    counted.run(1, "true");
    // None for its place, where nothing is ignored: a place that is used again asks git once what it ignores.
    assert_eq!(counted.run(2, "true"), ["status"]);
    assert_eq!(counted.run(3, "echo new > new"), ["status", "index-pack"]);
    // What the earlier task made is there still.
    let committed = ["check-ignore", "status", "index-pack"];
    let by_itself = counted.run(4, "/usr/bin/env git commit -q --allow-empty -m itself");
    let by_pleach: Vec<&str> = by_itself.iter().map(String::as_str).filter(|name| *name != "commit").collect();
    assert_eq!(by_pleach, committed);
}
