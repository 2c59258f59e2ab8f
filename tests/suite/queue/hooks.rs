//! Hooks of git are asked before a commit lands, where somebody set that up.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::scene::Scene;

use super::{merge, result};

fn hook(scene: &Scene, name: &str, script: &str) {
    let path = scene.top.join(".git/hooks").join(name);
    scene.write(&format!(".git/hooks/{name}"), format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn scene(hooks: &str) -> Scene {
    let scene = Scene::new();
    scene.write(".pleach.toml", format!("[fold]\nhooks = {hooks}\n"));
    scene.git(&["add", "."]);
    scene.git(&["commit", "-qm", "hooks"]);
    scene
}

const BOTH: &str = "[\"pre-merge-commit\", \"commit-msg\"]";

#[test]
fn they_see_what_a_merge_would_show_them_and_may_change_the_message() {
    let scene = scene(BOTH);
    let seen = scene.path("seen");
    let look = format!(
        "exec >> {}; git diff --cached --name-only; git rev-parse HEAD MERGE_HEAD; cat made; git ls-files -u; pwd",
        seen.display()
    );
    hook(&scene, "pre-merge-commit", &look);
    hook(&scene, "commit-msg", "test -f \"$1\" && echo 'Reviewed-by: hook' >> \"$1\"");
    let id = result(&scene, "echo new > made");
    let ran = merge(&scene, std::slice::from_ref(&id));
    assert_eq!(ran.code, Some(7), "{ran:?}");
    assert!(ran.err.contains("fold.hooks") && ran.err.contains("pleach approve"), "{ran:?}");
    scene.ok(&["approve", "--yes"]);
    scene.make_dirty();
    let edits = scene.edits();
    let head = scene.git(&["rev-parse", "main"]);
    assert_eq!(merge(&scene, &[id]).code, Some(0));
    let seen = fs::read_to_string(seen).unwrap();
    let seen: Vec<&str> = seen.lines().collect();
    assert_eq!(seen[..4], ["made", head.as_str(), &scene.git(&["rev-parse", "main^2"]), "new"], "{seen:?}");
    assert!(!seen[4].starts_with(scene.top.to_str().unwrap()), "not in the user's checkout: {seen:?}");
    let trailers = scene.git(&["show", "-s", "--format=%(trailers:key=Reviewed-by,key=Pleach-Task)", "main"]);
    assert!(trailers.contains("Reviewed-by: hook") && trailers.contains("Pleach-Task: 1.1"), "{trailers}");
    assert_eq!(scene.edits(), edits);
    // They are not asked of what a squash does not have, nor of the commits of a task.
    hook(&scene, "pre-merge-commit", "exit 1");
    let id = result(&scene, "echo new > second");
    assert_eq!(scene.pleach(&["merge", "--squash", &id]).code, Some(0));
    hook(&scene, "commit-msg", "exit 1");
    let id = result(&scene, "echo new > third");
    assert_eq!(scene.pleach(&["merge", "--rebase", &id]).code, Some(0));
    scene.assert_tidy();
}

#[test]
fn one_that_says_no_or_changes_files_holds_its_task() {
    let scene = scene(BOTH);
    scene.ok(&["approve", "--yes"]);
    let id = result(&scene, "echo new > made");
    let head = scene.git(&["rev-parse", "main"]);
    for (name, script, expected) in [
        ("pre-merge-commit", "echo not today >&2; exit 1", "the pre-merge-commit hook says no: not today"),
        ("pre-merge-commit", "echo formatted > made", "a hook changed what would land: made"),
        ("pre-merge-commit", "echo x > extra; git add extra", "a hook changed what would land: extra"),
        ("commit-msg", "exit 3", "the commit-msg hook says no: it exited with 3"),
        ("commit-msg", ": > \"$1\"", "a hook left no message"),
    ] {
        hook(&scene, name, script);
        let ran = merge(&scene, std::slice::from_ref(&id));
        assert_eq!(ran.code, Some(6), "{ran:?}");
        assert!(ran.out.contains(expected) && ran.out.contains("then `pleach merge 1` again"), "{ran:?}");
        assert_eq!(scene.git(&["rev-parse", "main"]), head);
        fs::remove_file(scene.top.join(".git/hooks").join(name)).unwrap();
    }
    hook(&scene, "pre-merge-commit", "exit 1");
    assert_eq!(scene.pleach(&["merge", "--no-verify", &id]).code, Some(0), "as with git");
}

#[test]
fn of_those_that_land_together_only_the_refused_one_stays_behind() {
    let scene = super::scene("[fold]\nhooks = [\"commit-msg\"]\n");
    hook(&scene, "commit-msg", "! grep -q 'Pleach-Task: 2' \"$1\"");
    let ids: Vec<String> = (1..=3).map(|n| result(&scene, &format!("echo {n} > a{n}"))).collect();
    let ran = merge(&scene, &ids);
    assert_eq!(ran.code, Some(6), "{ran:?}");
    let stands: Vec<String> = (1..=3).map(|id| scene.stands(id)).collect();
    assert_eq!(stands, ["folded", "held", "folded"], "{ran:?}");
    super::assert_always_green(&scene);
}
