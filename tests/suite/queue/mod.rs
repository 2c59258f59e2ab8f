//! The merge queue on real repositories with real checks: what lands, who is sent back, and what survives a kill.

mod crash;
mod driver;
mod handback;
mod hooks;
mod landing;
mod order;
mod publish;
mod real;
mod signing;
mod verdicts;

use std::path::PathBuf;

use crate::support::scene::{Ran, Scene};

/// A repository whose check says no where a file says `bad`, or where two files clash (`x` and `y`). Each run is written
/// down in `runs`, and waits for `gate` where there is a file `slow`.
pub(super) fn scene(more: &str) -> Scene {
    let scene = Scene::with_concurrency(4);
    let log = scene.path("runs");
    let check = format!(
        "#!/bin/sh\n\
         echo \"$(git rev-parse HEAD^{{tree}}) $(pwd)\" >> {log}\n\
         if test -e slow; then until test -e {gate}; do sleep 0.01; done; fi\n\
         git grep -l bad -- 'a*' 'b*' && exit 1\n\
         if test -e x && test -e y; then echo x and y clash; exit 3; fi\n\
         exit 0\n",
        log = log.display(),
        gate = scene.path("gate").display()
    );
    scene.write("tools/check", check);
    scene.write(".pleach.toml", format!("[verify]\ncommand = \"sh tools/check\"\n{more}"));
    scene.git(&["add", "."]);
    scene.git(&["commit", "-qm", "check"]);
    scene.ok(&["approve", "--yes"]);
    scene
}

/// A finished task that does this.
pub(super) fn result(scene: &Scene, line: &str) -> String {
    let id = scene.add(&[], line).to_string();
    scene.ok(&["wait", &id]);
    id
}

/// How often the check ran so far.
pub(super) fn runs(scene: &Scene) -> usize {
    std::fs::read_to_string(scene.path("runs")).unwrap_or_default().lines().count()
}

pub(super) fn merge(scene: &Scene, ids: &[String]) -> Ran {
    let args: Vec<&str> = std::iter::once("merge").chain(ids.iter().map(String::as_str)).collect();
    scene.pleach(&args)
}

/// Every head that the target ever had passes its check.
pub(super) fn assert_always_green(scene: &Scene) {
    let heads = scene.git(&["reflog", "--format=%H", "main"]);
    let dir = scene.path("proof");
    for head in heads.lines() {
        let _ = std::fs::remove_dir_all(&dir);
        scene.git(&["worktree", "prune"]);
        scene.git(&["worktree", "add", "-q", "--detach", dir.to_str().unwrap(), head]);
        let bad = std::process::Command::new("sh")
            .args(["-c", "git grep -l bad -- 'a*' 'b*' || { test -e x && test -e y; }"])
            .current_dir(&dir)
            .output()
            .unwrap();
        assert!(!bad.status.success(), "{head} is not good: {bad:?}");
    }
    scene.git(&["worktree", "remove", "--force", dir.to_str().unwrap()]);
}

pub(super) fn state_home(scene: &Scene) -> PathBuf {
    let homes = std::fs::read_dir(scene.path("state")).unwrap().flatten().map(|entry| entry.path());
    homes.into_iter().find(|path| path.join("attempts").is_dir()).unwrap()
}
