//! Submodules: what the user has, a task has too, without any network.

use std::fs;
use std::path::Path;

use crate::sandbox::{scene, works};
use crate::support::scene::Scene;

const ALLOW: [&str; 2] = ["-c", "protocol.file.allow=always"];

/// A repository with one file.
fn repository(scene: &Scene, name: &str) -> std::path::PathBuf {
    let dir = scene.path(name);
    fs::create_dir_all(&dir).unwrap();
    scene.git_in(&dir, &["init", "-q", "-b", "main"]);
    for (key, value) in [("user.name", "U"), ("user.email", "u@example.org")] {
        scene.git_in(&dir, &["config", key, value]);
    }
    commit(scene, &dir, "file", name);
    dir
}

fn commit(scene: &Scene, dir: &Path, file: &str, content: &str) {
    fs::write(dir.join(file), format!("{content}\n")).unwrap();
    scene.git_in(dir, &["add", "-A"]);
    scene.git_in(dir, &["commit", "-qm", content]);
}

fn add_module(scene: &Scene, to: &Path, from: &Path, at: &str) {
    scene.git_in(to, &[&ALLOW[..], &["submodule", "--quiet", "add", from.to_str().unwrap(), at]].concat());
    scene.git_in(to, &["commit", "-qm", "a submodule"]);
}

/// With a submodule in a submodule, and one that is not initialised; all of whose origins are gone.
fn with_modules(tier: &str) -> Scene {
    let scene = scene(tier);
    let [inner, outer, absent] = ["inner", "outer", "absent"].map(|name| repository(&scene, name));
    add_module(&scene, &outer, &inner, "deep");
    add_module(&scene, &scene.top, &outer, "libs/out er");
    add_module(&scene, &scene.top, &absent, "absent");
    scene.git(&[&ALLOW[..], &["submodule", "--quiet", "update", "--init", "--recursive"]].concat());
    scene.git(&["submodule", "--quiet", "deinit", "-f", "absent"]);
    fs::remove_dir_all(scene.top.join(".git/modules/absent")).unwrap();
    for origin in [inner, outer, absent] {
        fs::remove_dir_all(origin).unwrap();
    }
    scene
}

fn tiers() -> impl Iterator<Item = &'static str> {
    ["none", "reduced", "full"].into_iter().filter(|tier| *tier == "none" || works(tier))
}

#[test]
fn a_task_has_the_submodules_of_its_user() {
    for tier in tiers() {
        let scene = with_modules(tier);
        let before = scene.git(&["submodule", "status", "--recursive"]);
        let line = "cat 'libs/out er/file' 'libs/out er/deep/file' && cd 'libs/out er' && git log --format=%s -2 && git status --porcelain && \
                    git -C deep log --format=%s && cd ../.. && git status --porcelain && ls absent && echo x > made && echo all";
        let ran = scene.pleach(&["run", "--", line]);
        assert_eq!(ran.out, "outer\ninner\na submodule\nouter\ninner\nall\n", "{tier}: {ran:?}");
        assert!(!ran.err.contains("warning"), "what the user has not, a task need not have: {ran:?}");
        let status = scene.status(1);
        assert_eq!(
            (status["state"].as_str(), status["files"].as_u64()),
            (Some("ready"), Some(1)),
            "{tier}: {status:#}"
        );
        assert_eq!(status["attempts"][0]["flags"], serde_json::Value::Null, "{tier}: {status:#}");
        scene.ok(&["merge", "1"]);
        assert_eq!(scene.git(&["submodule", "status", "--recursive"]), before, "{tier}");
        // Nothing of the user's modules can be changed by it.
        let line = "cd 'libs/out er' && git commit -q --allow-empty -m theirs; git gc -q --prune=now; true";
        let id = scene.add(&[], line);
        scene.pleach(&["wait", &id.to_string()]);
        assert_eq!(scene.git(&["submodule", "status", "--recursive"]), before, "{tier}");
        scene.git_in(&scene.top.join("libs/out er"), &["fsck", "--strict"]);
    }
}

#[test]
fn work_in_a_submodule_is_flagged_and_kept() {
    for tier in tiers() {
        let scene = with_modules(tier);
        let id = scene.add(&[], "echo precious > 'libs/out er/made'; echo x > made");
        scene.pleach(&["wait", &id.to_string()]);
        let status = scene.status(id);
        assert!(status["attempts"][0]["flags"].to_string().contains("libs/out er"), "{tier}: {status:#}");
        let worktree = status["attempts"][0]["worktree"].as_str().unwrap_or_else(|| panic!("{tier}: {status:#}"));
        assert_eq!(fs::read_to_string(format!("{worktree}/libs/out er/made")).unwrap(), "precious\n", "{tier}");
    }
}

/// The tree names a commit that nobody has fetched.
#[test]
fn a_submodule_that_cannot_be_filled_is_told() {
    let scene = with_modules("none");
    scene.git(&["update-index", "--cacheinfo", "160000,1234567890123456789012345678901234567890,libs/out er"]);
    scene.git(&["commit", "-qm", "move it"]);
    let ran = scene.pleach(&["run", "--", "ls 'libs/out er'"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), ""), "{ran:?}");
    assert!(ran.err.contains("submodules are empty in its worktree") && ran.err.contains("libs/out er"), "{ran:?}");
    assert!(ran.err.contains("git submodule update --init --recursive"), "{ran:?}");
    assert!(scene.ok(&["status", "1"]).contains("warning   submodules are empty"));
}

#[test]
fn a_check_has_them_too() {
    let scene = with_modules("none");
    let id = scene.add(
        &["--verify", "grep -q outer 'libs/out er/file' && grep -q inner 'libs/out er/deep/file'"],
        "echo x > made",
    );
    scene.pleach(&["wait", &id.to_string()]);
    let merged = scene.pleach(&["merge", &id.to_string()]);
    assert_eq!(merged.code, Some(0), "{merged:?}");
    assert_eq!(scene.stands(id), "folded");
}
