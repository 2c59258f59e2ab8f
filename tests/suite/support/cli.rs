//! Whole ways through the real program, on top of a [`Scene`].
#![allow(clippy::disallowed_methods, reason = "tests start programs as a user would")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::scene::{Ran, Scene};

/// A scene whose repository is made by this script instead, run by `sh -e` beside it (`$TOP` is where it must be).
pub(crate) fn made_by(name: impl AsRef<OsStr>, script: &str) -> Scene {
    let mut scene = Scene::new();
    let home = scene.path("home");
    fs::write(home.join(".gitconfig"), IDENTITY).unwrap();
    let beside = scene.path("beside");
    fs::create_dir_all(&beside).unwrap();
    scene.top = scene.path("").join("repositories").join(name.as_ref());
    fs::create_dir_all(&scene.top).unwrap();
    sh(&scene, &beside, script);
    scene
}

const IDENTITY: &str = "[user]\n\tname = Ute User\n\temail = ute@example.org\n[gc]\n\tauto = 0\n[init]\n\tdefaultBranch = main\n[protocol \"file\"]\n\tallow = always\n[advice]\n\tdetachedHead = false\n";

/// The few files that every repository of these tests has.
pub(crate) const FILES: &str = "echo hello > readme; mkdir dir; echo kept > dir/kept; echo '*.ignored' > .gitignore; git add -A; git commit -qm first\n";

/// Run a script as the user would in a shell; it must succeed. Its output.
pub(crate) fn sh(scene: &Scene, dir: &Path, script: &str) -> String {
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", script]).env_clear();
    let wanted = scene.command(&[]);
    let variables = wanted.get_envs().filter_map(|(name, value)| Some((name, value?)));
    shell.envs(variables.filter(|(name, _)| !name.to_string_lossy().starts_with("GIT_")));
    shell.env("TOP", &scene.top).env("PLEACH", env!("CARGO_BIN_EXE_pleach")).env("GIT_CONFIG_NOSYSTEM", "1");
    let output = shell.current_dir(dir).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{script}\n{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// The same, at the top of the repository.
pub(crate) fn at_top(scene: &Scene, script: &str) -> String {
    sh(scene, &scene.top, script)
}

/// Run a task to its end; its id. It must have ended with 0.
pub(crate) fn task(scene: &Scene, line: &str) -> u64 {
    let id = scene.add(&[], line);
    let waited = scene.pleach(&["wait", &id.to_string()]);
    assert_eq!(waited.code, Some(0), "{}{}\n{}\n{}", waited.out, waited.err, scene.log(id), scene.story());
    id
}

/// It must fail with this code, in one line and one with the next step.
pub(crate) fn fails(ran: &Ran, code: i32, error: &str, hint: &str) {
    assert_eq!(ran.code, Some(code), "{ran:?}");
    assert_eq!(ran.out, "", "an error is no answer");
    let lines: Vec<&str> = ran.err.lines().collect();
    assert_eq!(lines.len(), 2, "{ran:?}");
    assert!(lines[0].starts_with("error: ") && lines[0].contains(error), "{ran:?}");
    assert!(lines[1].starts_with("hint: ") && lines[1].contains(hint), "{ran:?}");
}

/// A fold must be held, with this reason and this next step, and nothing moved.
pub(crate) fn held(scene: &Scene, args: &[&str], reason: &str, step: &str) {
    let before = user_side(scene);
    let ran = scene.pleach(args);
    assert_eq!(ran.code, Some(6), "{ran:?}");
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(lines.len() == 3 && lines[0].ends_with("held; nothing was touched"), "{ran:?}");
    assert!(lines[1].contains(reason), "{ran:?}");
    assert!(lines[2].contains(step), "{ran:?}");
    assert_eq!(user_side(scene), before);
}

/// The flags of a task's last attempt, as `status` shows them.
pub(crate) fn told(scene: &Scene, task: u64, field: &str) -> Vec<String> {
    let status = scene.ok(&["status", &task.to_string()]);
    let lines = status.lines().filter_map(|line| line.trim_start().strip_prefix(field));
    lines.map(|text| text.trim().to_owned()).collect()
}

/// The directory of the scene's repository below the state directory.
pub(crate) fn state_of(scene: &Scene) -> PathBuf {
    let place = fs::read(common_dir(scene).join("pleach/place.json")).unwrap();
    let place: Value = serde_json::from_slice(&place).unwrap();
    match &place["state"] {
        Value::String(path) => path.into(),
        raw => serde_json::from_value::<pleach::core::word::Word>(raw.clone()).unwrap().as_path().to_owned(),
    }
}

/// The common git directory.
pub(crate) fn common_dir(scene: &Scene) -> PathBuf {
    pleach::git::Repository::discover(&scene.top).unwrap().repository.common_dir().to_owned()
}

/// Everything of the user's: refs that are not ours, stash, configuration, hooks, HEAD, and what git says of the files.
pub(crate) fn user_side(scene: &Scene) -> BTreeMap<&'static str, String> {
    let common = common_dir(scene);
    let is_bare = scene.git(&["rev-parse", "--is-bare-repository"]) == "true";
    let refs = scene.git(&["for-each-ref"]);
    let ours = |line: &&str| !line.contains("refs/pleach/") && !line.contains("refs/heads/pleach/");
    let mut side = BTreeMap::from([
        ("refs", refs.lines().filter(ours).collect::<Vec<_>>().join("\n")),
        ("stash", sh(scene, &common, "git --git-dir . log -g --format=%H refs/stash -- 2>&1 || true")),
        ("config", String::from_utf8_lossy(&fs::read(common.join("config")).unwrap()).into_owned()),
        ("hooks", sh(scene, &common, "for f in hooks/*; do echo $f; cksum < $f; done")),
        ("head", sh(scene, &scene.top, "git symbolic-ref -q HEAD || git rev-parse HEAD")),
    ]);
    if !is_bare {
        side.insert("status", scene.git(&["status", "--porcelain", "--ignored"]));
        side.insert("staged", scene.git(&["diff", "--cached", "--binary"]));
        side.insert("edited", scene.git(&["diff", "--binary"]));
    }
    side
}

/// The whole round: run, look, fold, take back, drop, bring back, free. Afterwards all is as it was before.
pub(crate) fn round(scene: &Scene) {
    let line = "echo more >> readme && echo one > made && git add made && git commit -qam one && echo left > left";
    round_of(scene, line, &["left", "made", "readme"]);
}

/// The same with another task, which must change these paths (in their order as bytes).
pub(crate) fn round_of(scene: &Scene, line: &str, paths: &[&str]) {
    let before = user_side(scene);
    let head = scene.git(&["rev-parse", "HEAD"]);
    let id = task(scene, line);
    let word = id.to_string();
    assert_eq!(user_side(scene), before);
    assert_eq!(scene.stands(id), "ready", "{:?}", scene.ok(&["status", &word]));
    assert_eq!(told(scene, id, "flag"), [""; 0]);
    assert_eq!(told(scene, id, "note"), [""; 0]);
    assert!(scene.ok(&["ls"]).lines().count() >= 3);
    assert_eq!(changed(scene, id), paths);
    scene.ok(&["diff", &word]);
    let folded = scene.ok(&["merge", &word]);
    assert!(folded.contains("folded into"), "{folded}");
    let seen = scene.git(&["-c", "core.quotePath=true", "diff", "--name-only", "-z", &head, "HEAD"]);
    let seen: Vec<String> = seen.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    assert_eq!(seen, paths);
    if let Some(status) = before.get("status") {
        assert_eq!(&user_side(scene)["status"], status, "the checkout follows");
    }
    assert!(scene.ok(&["undo"]).contains("taken back"));
    assert_eq!(scene.git(&["rev-parse", "HEAD^{tree}"]), scene.git(&["rev-parse", &format!("{head}^{{tree}}")]));
    assert_eq!(scene.stands(id), "ready");
    scene.ok(&["discard", &word]);
    assert_eq!(scene.stands(id), "discarded");
    scene.ok(&["restore", &word]);
    assert_eq!(changed(scene, id), paths);
    scene.ok(&["discard", &word]);
    assert!(scene.ok(&["gc", "--older-than", "0s"]).contains("would free 1 attempt"));
    assert!(scene.ok(&["gc", "--older-than", "0s", "--yes"]).contains("freed 1 attempt"));
    assert_eq!(scene.git(&["for-each-ref", "refs/pleach", "refs/heads/pleach"]), "");
    let after = user_side(scene);
    for (what, was) in before.iter().filter(|(what, _)| **what != "refs") {
        assert_eq!(&after[what], was, "{what}");
    }
    scene.ok(&["doctor"]);
    scene.git(&["fsck", "--strict", "--no-dangling"]);
    assert_eq!(places_in_use(&state_of(scene)), 0);
}

/// How many places some attempt still has.
pub(crate) fn places_in_use(state: &Path) -> usize {
    let entries = |dir: &str| fs::read_dir(state.join(dir)).into_iter().flatten().flatten();
    let leased = entries("slots").filter(|slot| fs::symlink_metadata(slot.path().join("lease")).is_ok()).count();
    entries("worktrees").count() + leased
}

/// The files of an attempt that runs.
pub(crate) fn worktree_of(state: &Path, attempt: &str) -> PathBuf {
    match fs::read_link(state.join("attempts").join(attempt).join("place")) {
        Ok(slot) => state.join("slots").join(&slot).join(format!("pleach-slot-{}", slot.display())),
        Err(_) => state.join(format!("worktrees/pleach-{attempt}")),
    }
}

/// The paths that a task changed, as `diff --json` tells them.
pub(crate) fn changed(scene: &Scene, task: u64) -> Vec<String> {
    let diff = scene.json(&["diff", &task.to_string()]);
    let files = diff["files"].as_array().unwrap().iter();
    let word = |value: &Value| serde_json::from_value::<pleach::core::word::Word>(value.clone()).unwrap();
    files.map(|file| String::from_utf8_lossy(word(&file["path"]).as_bytes()).into_owned()).collect()
}
