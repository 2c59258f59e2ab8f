//! What is kept, whatever fails, and whoever else moves.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::cli::{at_top, changed, fails, held, task, told, user_side};
use crate::support::scene::Scene;

#[test]
fn row_05_failed_inspection_is_not_clean() {
    let scene = Scene::new();
    // Git cannot tell what is there: a broken index, a broken HEAD, broken objects, a configuration that is no text.
    let breaks = [
        "echo x > \"$(git rev-parse --git-path index)\"",
        "echo x > \"$(git rev-parse --git-path HEAD)\"",
        "rm -rf \"$(git rev-parse --git-path objects)\"",
        "echo '[' > \"$(git rev-parse --git-path config)\"",
        "touch \"$(git rev-parse --git-path index.lock)\" \"$(git rev-parse --git-path HEAD.lock)\"",
        "git config status.showUntrackedFiles no; git config core.fileMode false",
        "git update-index --assume-unchanged readme; echo more >> readme",
        "git update-index --skip-worktree readme; echo more >> readme",
    ];
    for line in breaks {
        let id = task(&scene, &format!("echo precious > made; {line}"));
        let word = id.to_string();
        let kept = scene.git(&["show", &format!("refs/pleach/kept/{id}.1/tip:made")]);
        assert_eq!(kept, "precious", "{line}: {}", scene.ok(&["status", &word]));
        if line.contains("readme") {
            assert_eq!(changed(&scene, id), ["made", "readme"], "{line}");
        }
    }
}

#[test]
fn row_07_success_is_told_after_it_was_read_back() {
    let scene = Scene::new();
    task(&scene, "echo more >> readme");
    // A target that cannot move: nothing says folded, the branch and what is kept stay.
    scene.write(".git/hooks/reference-transaction", "#!/bin/sh\nexit 1\n");
    fs::set_permissions(scene.top.join(".git/hooks/reference-transaction"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(scene.pleach(&["merge", "1"]).code, Some(6));
    assert_ne!(scene.stands(1), "folded");
    assert_eq!(scene.git(&["rev-parse", "pleach/1"]), scene.git(&["rev-parse", "refs/pleach/kept/1.1/tip"]));
    fs::remove_file(scene.top.join(".git/hooks/reference-transaction")).unwrap();
    scene.ok(&["merge", "1"]);
    scene.git(&["merge-base", "--is-ancestor", "refs/pleach/kept/1.1/tip", "main"]);
}

#[test]
fn row_08_what_moved_since_it_was_looked_at_is_left_alone() {
    let scene = Scene::new();
    task(&scene, "echo more >> readme");
    // The user works on the branch of the result, in a checkout and with uncommitted edits.
    at_top(&scene, "git checkout -q pleach/1; echo mine > own; git add own; git commit -qm own; echo dirty >> mine");
    let own = scene.git(&["rev-parse", "pleach/1"]);
    let still = |what: &str| {
        assert_eq!(scene.git(&["rev-parse", "pleach/1"]), own, "{what}");
        assert_eq!(scene.git(&["symbolic-ref", "--short", "HEAD"]), "pleach/1", "{what}");
        assert_eq!(at_top(&scene, "git status --porcelain"), " M mine\n", "{what}");
    };
    scene.ok(&["retry", "1"]);
    scene.ok(&["wait", "1"]);
    still("retry");
    assert_eq!(told(&scene, 1, "branch"), ["pleach/1.2"]);
    scene.ok(&["discard", "1"]);
    still("discard");
    scene.ok(&["restore", "1"]);
    still("restore");
    scene.ok(&["merge", "--into", "main", "1"]);
    still("merge");
    scene.ok(&["undo"]);
    still("undo");
    scene.ok(&["discard", "1"]);
    scene.ok(&["gc", "--older-than", "0s", "--yes"]);
    scene.ok(&["doctor"]);
    still("gc");
}

#[test]
fn row_08_a_checked_out_branch_of_a_result_does_not_move_or_go() {
    let scene = Scene::new();
    task(&scene, "echo more >> readme");
    at_top(&scene, "git worktree add -q ../look pleach/1");
    let look = scene.path("look");
    let still = |what: &str| {
        assert_eq!(scene.git_in(&look, &["status", "--porcelain", "--branch"]), "## pleach/1", "{what}");
        assert_eq!(scene.git_in(&look, &["log", "-1", "--format=%s"]), "echo more >> readme", "{what}");
    };
    scene.ok(&["retry", "1"]);
    scene.ok(&["wait", "1"]);
    still("retry");
    scene.ok(&["merge", "1"]);
    still("merge");
    scene.ok(&["undo"]);
    scene.ok(&["discard", "1"]);
    still("discard");
    scene.ok(&["gc", "--older-than", "0s", "--yes"]);
    still("gc");
}

#[test]
fn row_16_a_fold_never_stashes_and_leaves_staged_staged() {
    let scene = Scene::new();
    scene.make_dirty();
    let edits = scene.edits();
    task(&scene, "echo more >> readme");
    scene.ok(&["merge", "1"]);
    assert_eq!(scene.edits(), edits.clone());
    scene.ok(&["undo"]);
    assert_eq!(scene.edits(), edits);
    // An overlap of any kind is refused before anything moves.
    for line in [
        "echo x >> mine",
        "echo x >> staged",
        "echo x > untracked",
        "echo x > dir/untracked",
        "git add -f left.ignored 2>/dev/null; echo x > left.ignored; git add -f left.ignored; git commit -qm x",
    ] {
        let id = task(&scene, line).to_string();
        held(
            &scene,
            &["merge", &id],
            "holds edits of its own to",
            &format!("commit or put away those edits, then `pleach merge {id}` again"),
        );
        assert_eq!(scene.edits(), edits);
    }
    // In the middle of something of the user's, nothing is folded and nothing of it is lost.
    scene.git(&["stash", "-q"]);
    at_top(
        &scene,
        "git checkout -q -b side; echo side > readme; git commit -qam side; git checkout -q main; echo main > readme; git commit -qam main; git merge -q side >/dev/null || true",
    );
    let id = task(&scene, "echo y > y").to_string();
    held(&scene, &["merge", "--into", "main", &id], "a merge is under way", "finish the merge");
}

#[test]
fn row_17_a_conflict_takes_no_side() {
    let scene = Scene::new();
    task(&scene, "echo one > readme");
    task(&scene, "echo two > readme");
    scene.ok(&["merge", "1"]);
    let before = user_side(&scene);
    let ran = scene.pleach(&["merge", "2"]);
    assert_eq!(ran.code, Some(5), "{ran:?}");
    assert!(
        ran.out.contains("conflict with main; nothing was touched") && ran.out.contains("  readme  main "),
        "{ran:?}"
    );
    assert_eq!(user_side(&scene), before);
    assert_eq!(scene.read("readme"), "one\n");
    assert_eq!(scene.git(&["show", "pleach/2:readme"]), "two");
}

#[test]
fn row_18_a_branch_of_the_users_only_ever_gains_commits() {
    let scene = Scene::new();
    task(&scene, "echo a > a; git add a; git commit -qm a; echo b > b");
    scene.write("own", "own\n");
    at_top(&scene, "git add own; git commit -qm own");
    for how in ["--rebase", "--squash", "--strategy=merge"] {
        let before = scene.git(&["rev-parse", "main"]);
        scene.ok(&["merge", how, "1"]);
        scene.git(&["merge-base", "--is-ancestor", &before, "main"]);
        let folded = scene.git(&["rev-parse", "main"]);
        scene.ok(&["undo"]);
        scene.git(&["merge-base", "--is-ancestor", &folded, "main"]);
        assert_eq!(scene.git(&["rev-parse", "main^{tree}"]), scene.git(&["rev-parse", &format!("{before}^{{tree}}")]));
    }
    assert_eq!(scene.pleach(&["merge", "--ff", "1"]).code, Some(6));
}

#[test]
fn row_19_what_a_task_commits_is_on_no_branch_of_the_users() {
    let scene = Scene::new();
    let before = user_side(&scene);
    task(
        &scene,
        "git checkout -q main; echo more >> readme; git commit -qam 'on main'; git push -q . HEAD:other; git update-ref refs/heads/side HEAD",
    );
    assert_eq!(user_side(&scene), before);
    assert_eq!(changed(&scene, 1), ["readme"]);
}

#[test]
fn row_24_a_result_is_in_the_users_repository_before_anything_is_called_done() {
    let scene = Scene::new();
    task(&scene, "echo one > readme");
    scene.write("readme", "other\n");
    scene.git(&["commit", "-qam", "other"]);
    assert_eq!(scene.pleach(&["merge", "1"]).code, Some(5));
    // Even with everything of ours outside of the repository gone, and a gc of the user's.
    let state = crate::support::cli::state_of(&scene);
    // Its coordinator may be writing there just now what it foresees.
    scene.until("it is gone", || fs::remove_dir_all(&state).is_ok() || !state.exists());
    at_top(&scene, "git reflog expire --expire=now --all; git gc -q --prune=now");
    assert_eq!(changed(&scene, 1), ["readme"]);
    assert_eq!(scene.git(&["show", "refs/pleach/kept/1.1/tip:readme"]), "one");
    task(&scene, "echo fine > fine");
    scene.ok(&["merge", "2"]);
}

#[test]
fn row_27_neither_hooks_nor_signing_keep_left_overs_from_being_kept() {
    let scene = Scene::new();
    scene.git(&["config", "commit.gpgsign", "true"]);
    scene.git(&["config", "gpg.program", "false"]);
    scene.write(".git/hooks/pre-commit", "#!/bin/sh\nexit 1\n");
    fs::set_permissions(scene.top.join(".git/hooks/pre-commit"), fs::Permissions::from_mode(0o755)).unwrap();
    let id = scene.add(&[], "echo precious > made; exit 3");
    assert_eq!(scene.pleach(&["wait", &id.to_string()]).code, Some(3));
    assert_eq!(scene.git(&["show", "refs/pleach/kept/1.1/tip:made"]), "precious", "of a failed one, too");
    scene.ok(&["restore", "1"]);
    assert_eq!(scene.stands(id), "ready");
}

#[test]
fn row_28_a_gc_of_the_users_while_a_task_runs_takes_nothing() {
    let scene = Scene::new();
    let (there, go) = (scene.path("there"), scene.path("go"));
    let line = format!(
        "touch {}; until test -e {}; do sleep 0.01; done; git log --format=%s; git fsck --connectivity-only; echo more >> mine",
        there.display(),
        go.display()
    );
    let id = scene.add(&[], &line);
    scene.until_there(&there);
    // The base is in no history of the user's any more.
    at_top(&scene, "git commit -q --amend -m rewritten; git reflog expire --expire=now --all; git gc -q --prune=now");
    fs::write(&go, "").unwrap();
    scene.ok(&["wait", &id.to_string()]);
    assert_eq!(scene.log(id).lines().next(), Some("first"));
    assert_eq!(changed(&scene, id), ["mine"]);
    scene.ok(&["merge", "1"]);
    assert_eq!(scene.read("mine"), "mine\nmore\n");
    let subjects = scene.git(&["log", "--format=%s"]);
    assert!(!subjects.contains("first") && subjects.contains("rewritten"), "{subjects}");
}

#[test]
fn kept_results_outlive_their_branches_and_their_discarding() {
    let scene = Scene::new();
    task(&scene, "echo more >> readme");
    at_top(&scene, "git branch -qD pleach/1; git reflog expire --expire=now --all; git gc -q --prune=now");
    assert_eq!(changed(&scene, 1), ["readme"]);
    scene.ok(&["discard", "1"]);
    at_top(&scene, "git gc -q --prune=now");
    scene.ok(&["restore", "1"]);
    scene.ok(&["merge", "1"]);
    fails(&scene.pleach(&["discard", "1"]), 7, "task 1 is folded", "`pleach undo`");
}

#[test]
fn what_gc_freed_of_a_fold_is_kept_again_when_the_fold_is_undone() {
    let collect = "git reflog expire --expire=now --all; git gc -q --prune=now";
    for how in ["--squash", "--rebase", "--strategy=merge"] {
        let scene = Scene::new();
        // What goes in meanwhile makes a rebase another commit.
        task(&scene, "echo one > one; git add one; git commit -qm one; echo two > two; echo said");
        scene.write("own", "own\n");
        at_top(&scene, "git add own; git commit -qm own");
        let tip = scene.git(&["rev-parse", "pleach/1"]);
        scene.ok(&["merge", how, "1"]);
        scene.ok(&["gc", "--older-than", "0s", "--yes"]);
        at_top(&scene, collect);
        scene.ok(&["doctor"]);
        let kept = told(&scene, 1, "kept as");
        let is_held = how.ends_with("merge");
        assert_eq!(kept, [if is_held { "freed by gc" } else { "refs/pleach/kept/1.1/tip" }], "{how}");
        scene.ok(&["undo"]);
        assert_eq!(told(&scene, 1, "kept as"), ["refs/pleach/kept/1.1/tip"], "{how}");
        assert_eq!(told(&scene, 1, "log"), ["freed by gc (5 B)"], "{how}");
        fails(&scene.pleach(&["logs", "1"]), 7, "the log of task 1 was freed", "`pleach status`");
        scene.ok(&["discard", "1"]);
        at_top(&scene, collect);
        scene.ok(&["restore", "1"]);
        assert_eq!(scene.git(&["rev-parse", "pleach/1", "refs/pleach/kept/1.1/tip"]), format!("{tip}\n{tip}"), "{how}");
        scene.ok(&["merge", "1"]);
        assert_eq!(scene.read("two"), "two\n");
    }
}

#[test]
fn doctor_keeps_what_an_undo_would_need() {
    let scene = Scene::new();
    task(&scene, "echo one > one");
    scene.ok(&["merge", "--squash", "1"]);
    scene.ok(&["gc", "--older-than", "0s", "--yes"]);
    scene.git(&["update-ref", "-d", "refs/pleach/kept/1.1/tip"]);
    let found = scene.ok(&["doctor"]);
    assert!(found.contains("nothing keeps the result of attempt 1.1, whose fold can be undone"), "{found}");
    assert_eq!(scene.git(&["show", "refs/pleach/kept/1.1/tip:one"]), "one");
}

/// Refs are listed one by one, by everybody: what is beyond a few hundred is one ref, and all of it is there.
#[test]
fn branches_without_end_are_kept_in_one() {
    let scene = Scene::new();
    let line = "for n in $(seq 300); do git update-ref refs/heads/b$n $(git commit-tree HEAD^{tree} -p HEAD -m only-$n); done; echo x > made";
    let id = task(&scene, line);
    let status = scene.status(id);
    let extras = status["attempts"][0]["extras"].as_array().unwrap();
    assert_eq!(extras.len(), 200, "{:#}", status["attempts"][0]["notes"]);
    assert_eq!(extras[199][0], "and-101-more");
    let kept = scene.git(&["for-each-ref", "--format=%(refname)", &format!("refs/pleach/kept/{id}.1/")]);
    assert_eq!(kept.lines().count(), 201, "the tip, and these: {kept}");
    let subjects = scene.git(&["log", "--format=%s", &format!("--glob=refs/pleach/kept/{id}.1/*")]);
    for n in 1..=300 {
        assert!(subjects.lines().any(|line| line == format!("only-{n}")), "{n} is lost");
    }
    let rest = scene.git(&["show", "-s", "--format=%B", &format!("refs/pleach/kept/{id}.1/and-101-more")]);
    assert_eq!(rest.lines().filter(|line| line.contains(" branch-b")).count(), 101, "{rest}");
    scene.git(&["fsck", "--strict"]);
}
