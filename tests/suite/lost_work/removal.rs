//! What is removed, and what never is.

use std::fs;
use std::path::Path;

use crate::support::cli::{at_top, changed, state_of, task, told, user_side};
use crate::support::scene::Scene;

const NESTED: &str = "git init -q n; echo precious > n/f";

#[test]
fn row_01_a_worktree_that_leads_to_the_users_checkout_is_not_followed() {
    let scene = Scene::new();
    scene.make_dirty();
    let before = user_side(&scene);
    let line = format!("dir=$PWD; cd ..; rm -rf \"$dir\"; ln -s {} \"$dir\"", scene.top.display());
    task(&scene, &line);
    assert_eq!(user_side(&scene), before);
    scene.ok(&["discard", "1"]);
    scene.pleach(&["gc", "--older-than", "0s", "--yes"]);
    scene.pleach(&["doctor"]);
    assert_eq!(user_side(&scene), before);
    assert_eq!(scene.read("untracked"), "nobody knows this\n");
}

#[test]
fn row_02_a_task_without_a_worktree_has_nothing_to_remove() {
    let scene = Scene::new();
    let before = user_side(&scene);
    scene.ok(&["pause"]);
    let never = scene.add(&[], "true").to_string();
    scene.ok(&["cancel", &never]);
    scene.ok(&["resume"]);
    scene.ok(&["discard", &never]);
    scene.ok(&["gc", "--older-than", "0s", "--yes"]);
    assert_eq!(user_side(&scene), before);
}

#[test]
fn row_03_another_repository_at_the_place_of_a_worktree_is_not_removed() {
    let scene = Scene::new();
    task(&scene, NESTED);
    let worktree = told(&scene, 1, "worktree").concat();
    let aside = scene.path("aside");
    fs::rename(&worktree, &aside).unwrap();
    at_top(&scene, &format!("git clone -q . {worktree}; echo precious > {worktree}/uncommitted"));
    scene.ok(&["discard", "1"]);
    let ran = scene.pleach(&["gc", "--older-than", "0s", "--yes"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("not known to be ours"), "{ran:?}");
    assert_eq!(fs::read_to_string(format!("{worktree}/uncommitted")).unwrap(), "precious\n");
    assert_eq!(fs::read_to_string(aside.join("n/f")).unwrap(), "precious\n");
}

#[test]
fn row_04_what_git_refuses_is_not_done_by_force() {
    let scene = Scene::new();
    task(&scene, NESTED);
    let worktree = told(&scene, 1, "worktree").concat();
    // Git will not remove it, for it is locked; neither do we, for it holds what is nowhere else.
    let refused = at_top(&scene, &format!("! git worktree remove --force {worktree} 2>&1"));
    assert!(refused.contains("locked"), "{refused}");
    scene.ok(&["gc", "--older-than", "0s", "--yes"]);
    scene.ok(&["doctor"]);
    scene.ok(&["discard", "1"]);
    assert_eq!(fs::read_to_string(format!("{worktree}/n/f")).unwrap(), "precious\n");
}

#[test]
fn row_06_work_is_at_risk_in_every_form() {
    let scene = Scene::new();
    // A commit, a commit on another branch, a stash, staged only, edited, untracked, on a detached HEAD.
    let line = "set -e; echo c >> readme; git commit -qam own; git checkout -q -b other; echo o > o; git add o; git commit -qm o; \
                git checkout -q -; echo s > s; git add s; git stash -q; echo t > t; git add t; rm t; echo u > u; echo e >> mine; \
                git checkout -q --detach; echo d > d; git add d; git commit -qm d";
    task(&scene, line);
    assert_eq!(changed(&scene, 1), ["d", "mine", "readme", "u"]);
    let kept = scene.git(&["for-each-ref", "--format=%(refname)", "refs/pleach/kept/1.1/"]);
    let held = |path: &str| {
        kept.lines()
            .any(|name| !scene.git(&["log", "-m", "--format=%h", &format!("main..{name}"), "--", path]).is_empty())
    };
    for path in ["d", "u", "o", "s", "t"] {
        assert!(held(path), "{path}: {kept}");
    }
}

#[test]
fn row_10_and_11_a_pruning_user_or_task_takes_no_worktree_away() {
    let scene = Scene::new();
    at_top(&scene, "git worktree add -q ../side -b side; mv ../side ../unmounted");
    let (there, go) = (scene.path("there"), scene.path("go"));
    let line = format!(
        "git worktree prune; echo more >> readme; touch {}; until test -e {}; do sleep 0.01; done",
        there.display(),
        go.display()
    );
    let id = scene.add(&[], &line);
    scene.until_there(&there);
    let list = scene.git(&["worktree", "list", "--porcelain"]);
    assert!(list.contains("locked pleach task 1"), "{list}");
    assert!(list.contains("/side\n"), "what is not mounted just now is still registered: {list}");
    // Ours is locked, so that a prune of the user's does not take it even where its directory is away.
    let worktree = told(&scene, id, "worktree").concat();
    fs::rename(&worktree, scene.path("away")).unwrap();
    at_top(&scene, "mkdir -p ../side; git worktree prune --expire=now; rmdir ../side");
    fs::rename(scene.path("away"), &worktree).unwrap();
    fs::write(&go, "").unwrap();
    scene.ok(&["wait", &id.to_string()]);
    assert_eq!(changed(&scene, id), ["readme"]);
    scene.ok(&["merge", &id.to_string()]);
    let left = scene.git(&["worktree", "list"]);
    assert!(!left.contains("/pleach-slot-"), "{left}");
}

#[test]
fn row_15_age_alone_frees_nothing_that_is_not_settled() {
    let scene = Scene::new();
    task(&scene, "echo review >> readme");
    task(&scene, "echo conflict >> readme");
    task(&scene, "echo folded >> mine");
    scene.ok(&["merge", "1", "3"]);
    scene.ok(&["undo", "1"]);
    scene.write("readme", "hello\nother\n");
    scene.git(&["commit", "-qam", "other"]);
    assert_eq!(scene.pleach(&["merge", "2"]).code, Some(5));
    let plan = scene.json(&["gc", "--older-than", "0s"]);
    let items: Vec<&str> =
        plan["items"].as_array().unwrap().iter().map(|item| item["attempt"].as_str().unwrap()).collect();
    assert_eq!((items, &plan["freed"]), (vec!["3.1"], &false.into()), "first it only says it");
    assert_eq!(scene.git(&["for-each-ref", "--format=%(refname)", "refs/pleach/kept"]).lines().count(), 3);
    assert!(scene.ok(&["gc", "--yes"]).contains("nothing to free"), "and not what is younger than asked");
    scene.ok(&["gc", "--older-than", "0s", "--yes"]);
    assert_eq!(scene.git(&["for-each-ref", "--format=%(refname)", "refs/pleach/kept"]).lines().count(), 2);
    assert_eq!(changed(&scene, 1), ["readme"]);
    scene.ok(&["doctor"]);
}

#[test]
fn row_14_what_a_task_left_running_is_ended_before_its_files_are_looked_at() {
    let scene = Scene::new();
    let late = scene.path("late");
    let line = format!(
        "echo more >> readme; (setsid sh -c 'trap \"\" TERM HUP; sleep 1000; touch {}' & ) ; exit 0",
        late.display()
    );
    task(&scene, &line);
    assert_eq!(changed(&scene, 1), ["readme"]);
    let left: Vec<_> = scene.processes().into_iter().filter(|process| !process.may_stay()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn row_22_links_are_not_followed_when_a_worktree_goes() {
    let scene = Scene::new();
    let outside = scene.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "precious\n").unwrap();
    task(
        &scene,
        &format!("ln -s {} link; mkdir -p a/b; ln -s {} a/b/link; ln -s / root", outside.display(), outside.display()),
    );
    scene.ok(&["discard", "1"]);
    scene.ok(&["gc", "--older-than", "0s", "--yes"]);
    scene.until("the trash is empty", || fs::read_dir(state_of(&scene).join("trash")).unwrap().count() == 0);
    assert_eq!(fs::read_to_string(outside.join("precious")).unwrap(), "precious\n");
}

#[test]
fn row_23_other_repositories_and_similar_names_are_not_touched() {
    let scene = Scene::new();
    // Same state root, names that begin alike.
    let mut other = Scene::new();
    other.variables.insert("PLEACH_STATE_DIR".to_owned(), scene.path("state").display().to_string());
    task(&scene, "echo more >> readme");
    task(&other, "echo other >> readme");
    at_top(
        &scene,
        "git branch pleach/10; git branch pleach/1x; git branch pleach-1; git worktree add -q ../pleach-1.1 -b mine",
    );
    scene.ok(&["discard", "1"]);
    scene.ok(&["gc", "--older-than", "0s", "--yes"]);
    scene.ok(&["doctor"]);
    let branches = scene.git(&["branch", "--format=%(refname:short)"]);
    assert_eq!(branches, "main\nmine\npleach-1\npleach/10\npleach/1x");
    assert!(scene.path("pleach-1.1/readme").exists());
    assert_eq!(changed(&other, 1), ["readme"]);
    other.ok(&["merge", "1"]);
}

#[test]
fn row_25_worktrees_are_not_in_a_temporary_directory() {
    let scene = Scene::new();
    let (there, go) = (scene.path("there"), scene.path("go"));
    let line = format!(
        "pwd > {0}.new; mv {0}.new {0}; until test -e {1}; do sleep 0.01; done; test -d \"$TMPDIR\"",
        there.display(),
        go.display()
    );
    let id = scene.add(&[], &line);
    scene.until_there(&there);
    let at = fs::read_to_string(&there).unwrap();
    assert!(Path::new(at.trim()).starts_with(scene.path("state")), "{at}");
    fs::write(&go, "").unwrap();
    scene.ok(&["wait", &id.to_string()]);
}

#[test]
fn row_30_what_is_half_removed_is_finished_and_what_is_not_ours_is_told() {
    let scene = Scene::new();
    task(&scene, "echo more >> readme");
    let state = state_of(&scene);
    // A busy writer left something in the trash; and there is a directory that nobody knows.
    fs::create_dir_all(state.join("trash/old/deep")).unwrap();
    fs::create_dir_all(state.join("worktrees/pleach-99.1")).unwrap();
    fs::write(state.join("worktrees/pleach-99.1/precious"), "").unwrap();
    fs::create_dir_all(state.join("worktrees/elsewhere")).unwrap();
    let ran = scene.pleach(&["doctor"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for name in ["pleach-99.1", "elsewhere"] {
        assert!(ran.out.contains(&format!("worktrees/{name} belongs to no task")), "{ran:?}");
    }
    assert!(ran.out.contains("remove it by hand if nothing in it is wanted"), "{ran:?}");
    assert!(state.join("worktrees/pleach-99.1/precious").exists());
    scene.ok(&["discard", "1"]);
    scene.ok(&["gc", "--older-than", "0s", "--yes"]);
    scene.until("the trash is empty", || fs::read_dir(state.join("trash")).unwrap().count() == 0);
}
