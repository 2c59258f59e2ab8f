//! Settings and hooks of the user that could get in the way.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::cli::{FILES, held, made_by, round, round_of, task, told, user_side};
use crate::support::scene::Scene;

fn hook(scene: &Scene, name: &str, script: &str) {
    let path = scene.top.join(".git/hooks").join(name);
    scene.write(&format!(".git/hooks/{name}"), format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_broken_signer_stops_no_result_and_is_told_at_the_fold() {
    let scene = Scene::new();
    for (key, value) in [("commit.gpgsign", "true"), ("tag.gpgsign", "true"), ("gpg.program", "false")] {
        scene.git(&["config", key, value]);
    }
    scene.make_dirty();
    task(&scene, "echo new > made; git commit -qam own; echo left > left");
    assert_eq!(scene.stands(1), "ready");
    held(&scene, &["merge", "1"], "cannot sign the commit", "mend that, then `pleach merge 1` again");
    held(&scene, &["merge", "--squash", "1"], "cannot sign the commit", "mend that");
    scene.git(&["config", "commit.gpgsign", "false"]);
    scene.ok(&["merge", "1"]);
    assert_eq!(scene.read("left"), "left\n");
}

#[test]
fn hooks_that_refuse_commits_stop_no_result() {
    let scene = Scene::new();
    for name in ["pre-commit", "commit-msg", "prepare-commit-msg", "post-checkout", "pre-merge-commit", "post-merge"] {
        hook(&scene, name, "echo refused; exit 1");
    }
    // The task's own commit fails, as it would for the user.
    round_of(&scene, "echo new > made; git add made; ! git commit -qm own", &["made"]);
}

#[test]
fn a_hook_that_guards_refs_stops_no_result_and_is_heard_at_the_fold() {
    let scene = Scene::new();
    hook(&scene, "reference-transaction", "echo guarded by somebody >&2; echo and more >&2; exit 1");
    task(&scene, "echo new > made");
    assert_eq!(scene.stands(1), "ready");
    held(&scene, &["merge", "1"], "guarded by somebody", "mend that, then `pleach merge 1` again");
    fs::remove_file(scene.top.join(".git/hooks/reference-transaction")).unwrap();
    scene.ok(&["merge", "1"]);
    assert_eq!(scene.read("made"), "new\n");
    // What follows a fold is our own bookkeeping.
    hook(&scene, "reference-transaction", "exit 1");
    task(&scene, "echo more > more");
    scene.ok(&["discard", "2"]);
    scene.ok(&["gc", "--older-than", "0s", "--yes"]);
    assert_eq!(scene.git(&["for-each-ref", "refs/pleach", "refs/heads/pleach"]), "");
}

#[test]
fn line_ends_as_the_user_wants_them() {
    let more = "printf 'a\\r\\nb\\r\\n' > crlf; git add crlf; git commit -qm crlf; git config core.autocrlf true; \
                git rm -rq --cached .; git reset -q --hard";
    let scene = made_by("repo", &format!("cd \"$TOP\"; git init -q; {FILES} {more}"));
    assert_eq!(scene.read("readme"), "hello\r\n");
    // The task sees the same, and what it adds with either end is the same to git.
    let line = "test \"$(git status --porcelain)\" = '' && printf 'more\\r\\n' >> readme && printf 'new\\n' > made";
    round_of(&scene, line, &["made", "readme"]);
    task(&scene, "printf 'more\\r\\n' >> readme");
    scene.ok(&["merge", "2"]);
    assert_eq!(scene.read("readme"), "hello\r\nmore\r\n");
    assert_eq!(scene.git(&["cat-file", "blob", "HEAD:readme"]), "hello\nmore");
}

#[test]
fn settings_that_change_what_git_prints_or_does() {
    let scene = Scene::new();
    let settings = [
        ("status.short", "true"),
        ("status.showUntrackedFiles", "no"),
        ("status.relativePaths", "false"),
        ("diff.noprefix", "true"),
        ("diff.external", "false"),
        ("diff.renames", "copies"),
        ("diff.orderFile", "/nonexistent"),
        ("core.quotePath", "false"),
        ("core.abbrev", "4"),
        ("core.pager", "false"),
        ("color.ui", "always"),
        ("column.ui", "always"),
        ("log.showSignature", "true"),
        ("merge.ff", "only"),
        ("merge.renames", "false"),
        ("pull.rebase", "true"),
        ("push.default", "nothing"),
        ("core.hooksPath", "/nonexistent"),
        ("core.fsmonitor", "false-monitor"),
        ("core.untrackedCache", "true"),
        ("core.logAllRefUpdates", "always"),
        ("index.threads", "4"),
        ("feature.manyFiles", "true"),
        ("transfer.fsckObjects", "true"),
        ("receive.denyCurrentBranch", "refuse"),
        ("fetch.recurseSubmodules", "true"),
        ("submodule.recurse", "true"),
        ("rerere.enabled", "true"),
        ("commit.cleanup", "verbatim"),
        ("commit.template", "/nonexistent"),
        ("i18n.commitEncoding", "ISO-8859-1"),
        ("gc.auto", "1"),
        ("maintenance.auto", "true"),
        ("worktree.guessRemote", "true"),
        ("checkout.defaultRemote", "nowhere"),
        ("safe.bareRepository", "explicit"),
    ];
    for (key, value) in settings.iter().filter(|(key, _)| *key != "diff.external" && *key != "diff.orderFile") {
        scene.git(&["config", key, value]);
    }
    // The rounds look with git themselves: only through these two keys could that fail, so they come last.
    round(&scene);
    for (key, value) in &settings {
        scene.git(&["config", key, value]);
    }
    task(&scene, "echo more >> mine");
    assert!(scene.ok(&["diff", "2"]).contains("+more"));
    scene.ok(&["merge", "2"]);
    assert_eq!(scene.read("mine"), "mine\nmore\n");
}

#[test]
fn a_hostile_environment_of_the_caller_reaches_nobody() {
    let mut scene = Scene::new();
    let elsewhere = scene.path("elsewhere").display().to_string();
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX"] {
        scene.variables.insert(name.to_owned(), elsewhere.clone());
    }
    scene.variables.insert("GIT_CONFIG_COUNT".to_owned(), "not a number".to_owned());
    let before = user_side(&scene);
    let id = task(&scene, "env | grep ^GIT_ | sort; echo more >> readme");
    assert_eq!(scene.log(id), "");
    assert_eq!(user_side(&scene), before);
    scene.ok(&["merge", "1"]);
    assert_eq!(scene.read("readme"), "hello\nmore\n");
    assert!(!scene.path("elsewhere").exists());
}

#[test]
fn a_user_without_a_name_gets_commits_all_the_same() {
    let scene = Scene::new();
    scene.git(&["config", "--unset", "user.name"]);
    scene.git(&["config", "--unset", "user.email"]);
    scene.git(&["config", "user.useConfigOnly", "true"]);
    task(&scene, "echo more >> readme; git commit -qam own; echo left > left");
    scene.ok(&["merge", "1"]);
    assert_eq!(scene.read("left"), "left\n");
    assert_eq!(told(&scene, 1, "note"), [""; 0]);
}
