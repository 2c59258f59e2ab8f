//! What a task, or somebody's environment, does not reach.

use std::fs;

use crate::support::cli::{at_top, changed, held, task, told, user_side};
use crate::support::scene::Scene;

#[test]
fn row_20_a_core_bare_that_was_flipped_is_seen_held_and_mended() {
    let scene = Scene::new();
    scene.make_dirty();
    task(&scene, "echo more >> readme");
    let edits = scene.edits();
    scene.git(&["config", "core.bare", "true"]);
    let before = scene.git(&["rev-parse", "main"]);
    let ran = scene.pleach(&["merge", "1"]);
    assert_eq!(
        (ran.code, ran.out.contains("core.bare is set, although main is checked out in")),
        (Some(6), true),
        "{ran:?}"
    );
    assert_eq!(scene.git(&["rev-parse", "main"]), before);
    let looked = scene.pleach(&["doctor", "--dry-run"]);
    assert_eq!((looked.code, looked.out.contains("to mend  core.bare was set")), (Some(1), true), "{looked:?}");
    assert!(scene.ok(&["doctor"]).contains("mended   core.bare was set"));
    assert_eq!(scene.edits(), edits);
    scene.ok(&["merge", "1"]);
    assert_eq!(scene.edits()[3..], edits[3..]);
    assert_eq!(scene.read("readme"), "hello\nmore\n");
}

#[test]
fn row_20_and_21_a_hostile_task_changes_nothing_of_the_users() {
    let scene = Scene::new();
    at_top(
        &scene,
        "git init -q --bare ../origin.git; git remote add origin $PWD/../origin.git; git push -q origin main; git fetch -q; \
         git branch other; git tag v1; echo stashed >> readme; git stash -q; git config my.key 1",
    );
    scene.make_dirty();
    let before = user_side(&scene);
    let objects = scene.git(&["count-objects", "-v"]);
    let line = "echo more >> readme; git stash -q; git stash list | wc -l; git config user.name Evil; git config core.hooksPath /evil; \
                git reflog expire --expire=now --all; git gc -q --prune=now; git worktree prune; git repack -adq; git branch -D other; \
                git branch -D main; git tag -d v1; git update-ref -d refs/remotes/origin/main; git remote remove origin; \
                GIT_DIR=$PWD/.git git init -q; GIT_DIR=$(git rev-parse --absolute-git-dir) GIT_WORK_TREE=/ git init -q --bare; \
                git config --unset core.bare; git config --unset core.worktree; git init -q k; git worktree add -q ../sibling; \
                git stash pop -q; git checkout -q -b mine; git commit -qam mine; git update-ref refs/heads/main HEAD; \
                git symbolic-ref HEAD refs/heads/nowhere; git rev-parse --git-dir --git-common-dir --show-toplevel";
    let id = task(&scene, line);
    assert_eq!(user_side(&scene), before);
    assert!(scene.log(id).starts_with("1\n"), "it sees its own stash only: {}", scene.log(id));
    assert!(!scene.log(id).contains(scene.top.to_str().unwrap()), "{}", scene.log(id));
    assert_eq!(changed(&scene, id), ["readme"]);
    scene.git(&["fsck", "--strict", "--no-dangling"]);
    let count = |text: &str| text.lines().find_map(|line| line.strip_prefix("garbage: ").map(str::to_owned));
    assert_eq!(count(&scene.git(&["count-objects", "-v"])), count(&objects));
    assert_eq!(scene.git(&["ls-remote", "--heads", "origin"]).lines().count(), 1);
}

#[test]
fn row_20_a_push_over_the_configured_remote_is_the_tasks_own_doing() {
    // There is no sandbox yet that would keep it from this: what matters is that the user's own refs do not follow.
    let scene = Scene::new();
    at_top(
        &scene,
        "git init -q --bare ../origin.git; git remote add origin $PWD/../origin.git; git push -q origin main; git fetch -q",
    );
    let before = user_side(&scene);
    task(&scene, "echo more >> readme; git commit -qam own; git push -q origin HEAD:refs/heads/theirs");
    assert_eq!(user_side(&scene), before);
}

#[test]
fn row_21_a_sibling_does_not_see_what_another_stashed() {
    let scene = Scene::new();
    let a = scene.add(&[], "echo a >> readme; git stash -q; git stash list | wc -l; git stash pop -q");
    let b = scene.add(&[], "echo b >> readme; git stash -q; git stash list | wc -l; git stash pop -q");
    scene.ok(&["wait"]);
    for (id, line) in [(a, "a"), (b, "b")] {
        assert_eq!(scene.log(id), "1\n");
        assert_eq!(scene.git(&["show", &format!("pleach/{id}:readme")]), format!("hello\n{line}"));
    }
}

#[test]
fn stale_locks_are_found_and_fresh_ones_left_alone() {
    let scene = Scene::new();
    task(&scene, "echo more >> readme");
    at_top(&scene, "touch -d '2 hours ago' .git/index.lock .git/refs/heads/main.lock; touch .git/config.lock");
    let looked = scene.pleach(&["doctor", "--dry-run"]);
    assert_eq!(looked.code, Some(1), "{looked:?}");
    for lock in ["index.lock", "refs/heads/main.lock"] {
        assert!(looked.out.contains(&format!("to mend  a lock of a git that is dead: {lock}")), "{looked:?}");
    }
    assert!(!looked.out.contains("config.lock"));
    scene.ok(&["doctor"]);
    assert!(scene.top.join(".git/config.lock").exists() && !scene.top.join(".git/index.lock").exists());
    fs::remove_file(scene.top.join(".git/config.lock")).unwrap();
    scene.ok(&["merge", "1"]);
}

#[test]
fn a_lock_that_somebody_holds_holds_the_fold() {
    let scene = Scene::new();
    task(&scene, "echo more >> readme");
    scene.write(".git/index.lock", "");
    held(&scene, &["merge", "1"], "index.lock", "then `pleach merge 1` again");
    fs::remove_file(scene.top.join(".git/index.lock")).unwrap();
    scene.ok(&["merge", "1"]);
    assert_eq!(told(&scene, 1, "branch"), [""; 0]);
}

#[test]
fn a_ref_that_keeps_a_result_is_put_back() {
    let scene = Scene::new();
    task(&scene, "echo more >> readme");
    scene.git(&["update-ref", "-d", "refs/pleach/kept/1.1/tip"]);
    assert!(scene.ok(&["doctor"]).contains("mended   the ref that keeps the result of attempt 1.1 was gone"));
    scene.git(&["rev-parse", "--verify", "refs/pleach/kept/1.1/tip"]);
}

#[test]
fn a_damaged_journal_is_told_with_its_line_and_nothing_is_thrown_away() {
    let scene = Scene::new();
    task(&scene, "echo more >> readme");
    scene.until("nobody leads", || scene.processes().is_empty());
    let path = scene.top.join(".git/pleach/journal.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, whole.replacen("\"started\"", "\"st\u{0}rted\"", 1)).unwrap();
    let ran = scene.pleach(&["ls"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("journal.jsonl:2: "), "{ran:?}");
    assert!(ran.err.contains("hint: "), "{ran:?}");
    let ran = scene.pleach(&["doctor"]);
    assert!(ran.out.contains("save a copy of") && ran.code == Some(1), "{ran:?}");
    fs::write(&path, whole).unwrap();
    assert_eq!(changed(&scene, 1), ["readme"]);
}
