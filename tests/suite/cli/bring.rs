//! What comes along into a worktree, and the setup hook.

use crate::support::cli::{at_top, changed, fails, task};
use crate::support::scene::Scene;

#[test]
fn ignored_files_that_are_asked_for_come_along_and_nothing_else() {
    let scene = Scene::new();
    scene.write(".gitignore", "*.ignored\n/modules/\n.env*\n");
    scene.write(".worktreeinclude", "# comment\n.env\nmodules/\nmine\nuntracked\nreadme\n");
    scene.git(&["add", "-A"]);
    scene.git(&["commit", "-qm", "include"]);
    scene.write(".pleach.toml", "[worktree]\ncopy = [\"*.ignored\", \"!not.ignored\"]\n");
    for (path, content) in [
        (".env", "secret\n"),
        (".env.other", "not asked for\n"),
        ("modules/a/b", "module\n"),
        ("deep/x.ignored", "copied\n"),
        ("not.ignored", "not this one\n"),
        ("sp ace\nline.ignored", "odd\n"),
        ("untracked", "not ignored, so not copied\n"),
        ("mine", "edited by the user\n"),
    ] {
        scene.write(path, content);
    }
    std::os::unix::fs::symlink("a", scene.top.join("modules/link")).unwrap();
    let id = task(
        &scene,
        "cat .env modules/a/b deep/x.ignored mine; cat sp*; readlink modules/link; ls -A .env.other not.ignored untracked 2>/dev/null; git status --porcelain",
    );
    assert_eq!(scene.log(id), "secret\nmodule\ncopied\nmine\nodd\na\n");
    assert_eq!(scene.stands(id), "empty", "what came along is no change");
    // What a task does to its copies stays there.
    let id = task(&scene, "echo changed > .env; rm -r modules; echo more >> readme");
    assert_eq!(changed(&scene, id), ["readme"]);
    assert_eq!(at_top(&scene, "cat .env modules/a/b"), "secret\nmodule\n");
    // By a flag, for one task.
    let id = scene.add(&["--copy", ".env.other"], "cat .env.other");
    scene.ok(&["wait", &id.to_string()]);
    assert_eq!(scene.log(id), "not asked for\n");
}

#[test]
fn a_setup_hook_of_the_repository_needs_approval_of_exactly_its_text() {
    let scene = Scene::new();
    scene.write(".pleach.toml", "[worktree]\nsetup = \"echo prepared > prepared.ignored\"\n");
    fails(&scene.pleach(&["add", "--", "true"]), 7, "which nobody has approved", "`pleach approve`");
    assert_eq!(scene.pleach(&["approve"]).code, Some(7));
    // Without the hook nothing needs approval.
    let id = scene.add(&["--no-setup"], "test ! -e prepared.ignored");
    assert_eq!(scene.pleach(&["wait", &id.to_string()]).code, Some(0));
    assert!(scene.ok(&["approve", "--yes"]).contains("approved 1 setting"));
    let id = task(&scene, "cat prepared.ignored");
    assert_eq!(scene.log(id), "prepared\n");
    scene.write(".pleach.toml", "[worktree]\nsetup = \"echo other > prepared.ignored\"\n");
    fails(&scene.pleach(&["add", "--", "true"]), 7, "which nobody has approved", "`pleach approve`");
}

#[test]
fn a_setup_hook_that_fails_or_takes_too_long_means_that_the_task_could_not_start() {
    let scene = Scene::new();
    let config = |text: &str| scene.configure(text);
    // The user's own file needs no approval.
    config("[worktree]\nsetup = \"echo why; exit 3\"\n");
    let ran = scene.pleach(&["run", "--", "echo ran"]);
    assert_eq!(ran.code, Some(125), "{ran:?}");
    assert!(ran.err.contains("could not start: the setup hook exited with 3"), "{ran:?}");
    assert_eq!(scene.log(1), "why\n", "its output is in the log, and the task did not run");
    config("[worktree]\nsetup = \"sleep 1000\"\nsetup_timeout = \"1s\"\n[run]\ngrace = \"1s\"\n");
    let ran = scene.pleach(&["run", "--", "echo ran"]);
    assert_eq!(ran.code, Some(125), "{ran:?}");
    assert!(ran.err.contains("could not start: the setup hook took longer than 1 s"), "{ran:?}");
    config("[worktree]\nsetup = \"echo from-setup >> readme\"\n");
    let id = task(&scene, "cat readme");
    assert_eq!(scene.log(id), "hello\nfrom-setup\n");
}
