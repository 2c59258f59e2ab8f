//! Where the `.git` of a worktree leads, for a task and for whoever looks at it meanwhile.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::support::cli::{state_of, worktree_of};
use super::super::support::repo::{git, git_works};
use super::super::support::scene::Scene;
use super::{scene, word, works};

/// A task of this line that waits at its end until [`go_on`].
fn start(scene: &Scene, line: &str) -> (u64, PathBuf) {
    let task = scene.add(&[], &format!("{line}; echo SET; until test -e go; do sleep 0.05; done; rm go"));
    scene.until("it is set", || scene.log(task).contains("SET"));
    (task, worktree_of(&state_of(scene), &format!("{task}.1")))
}

fn go_on(scene: &Scene, task: u64, worktree: &Path) {
    fs::write(worktree.join("go"), "").unwrap();
    scene.pleach(&["wait", &task.to_string()]);
    assert_eq!(scene.outcome(task), "exited 0", "{}", scene.log(task));
}

fn leads_to(worktree: &Path) -> String {
    fs::read_to_string(worktree.join(".git")).unwrap().trim().replacen("gitdir: ", "", 1)
}

fn registration(scene: &Scene, task: u64) -> String {
    let worktree = worktree_of(&state_of(scene), &format!("{task}.1"));
    scene.top.join(".git/worktrees").join(worktree.file_name().unwrap()).display().to_string()
}

#[test]
fn in_the_full_tier_it_leads_to_the_user_for_everybody_but_the_task() {
    if !works("full") {
        return;
    }
    let scene = scene("full");
    fs::write(scene.top.join("tracked"), "as it was").unwrap();
    scene.git(&["add", "tracked"]);
    scene.git(&["commit", "-qm", "tracked"]);
    let line = "git rev-parse --absolute-git-dir; echo x > tracked; git commit -qam x; echo y > new; \
        for try in 'rm -f .git' 'mv .git moved' 'mv new .git' 'umount .git' 'truncate -s 0 .git' 'chmod 0 .git' 'rm -f $TOP/.git' 'umount -l $TOP' \
        'unshare -Urm umount .git' 'unshare -Urm mount -t tmpfs none .'; do eval \"$try\" 2> /dev/null && echo \"DID $try\"; done; git log -1 --format=%s";
    let line = line.replace("$TOP", &word(scene.top.clone()));
    let (task, worktree) = start(&scene, &line);
    let log = scene.log(task);
    assert!(log.contains(&format!("attempts/{task}.1/git\n")) && log.contains("\nx\n"), "{log}");
    let did: Vec<&str> = log.lines().filter(|line| line.starts_with("DID")).collect();
    // In namespaces of its own it does as it likes, and only there.
    assert!(did.iter().all(|did| did.contains("mount -t tmpfs")), "{log}");
    assert_eq!(leads_to(&worktree), registration(&scene, task));
    // What git says there is what the task has changed since its base.
    assert_eq!(git(&worktree, &["status", "--porcelain"]), " M tracked\n?? new\n");
    assert!(git(&worktree, &["ls-files"]).contains("tracked"));
    assert_eq!(git(&worktree, &["log", "-1", "--format=%s"]), "tracked\n");
    for all in [&["gc", "-q"][..], &["fsck"], &["log", "--all"], &["worktree", "prune"], &["worktree", "list"]] {
        assert!(git_works(&scene.top, all), "{all:?}");
    }
    go_on(&scene, task, &worktree);
    assert_eq!(scene.git(&["show", &format!("pleach/{task}:tracked")]), "x");
}

#[test]
fn elsewhere_it_leads_inside_as_long_as_it_runs() {
    for tier in ["none", "reduced"] {
        if tier != "none" && !works(tier) {
            continue;
        }
        let scene = scene(tier);
        let (task, worktree) = start(&scene, "echo x > x; git add x; git commit -qm x; git status --porcelain");
        assert!(leads_to(&worktree).ends_with(&format!("attempts/{task}.1/git")), "{tier}");
        assert!(scene.log(task).ends_with("SET\n"), "{tier}: {}", scene.log(task));
        go_on(&scene, task, &worktree);
        assert_eq!(scene.git(&["show", &format!("pleach/{task}:x")]), "x", "{tier}");
    }
}

#[test]
fn git_finds_no_repository_in_the_worktree_of_a_check() {
    for tier in ["none", "reduced", "full"] {
        if tier != "none" && !works(tier) {
            continue;
        }
        let scene = scene(tier);
        let task = scene.add(&[], "echo x > new");
        scene.pleach(&["wait", &task.to_string()]);
        let ran = scene.path("ran");
        let trap = format!("git config core.fsmonitor \"touch {}\"", ran.display());
        let check = format!("{trap}; git log -1 --format=%H && touch up && until test -e go; do sleep 0.05; done");
        let mut merge = scene.command(&["merge", "--verify", &check, &task.to_string()]).spawn().unwrap();
        let tree = state_of(&scene).join("pool/1/tree");
        scene.until_there(&tree.join("up"));
        // That it is the trap that is not met is shown where nothing keeps it from being met.
        assert_eq!((git_works(&tree, &["status"]), ran.exists()), (tier != "full", tier != "full"), "{tier}");
        fs::write(tree.join("go"), "").unwrap();
        assert!(merge.wait().unwrap().success(), "{tier}: {}", scene.story());
        assert!(!git_works(&tree, &["status"]) && leads_to(&tree) == "/dev/null", "{tier}");
        // The next one is checked in the same worktree.
        let next = scene.add(&[], "echo y > next");
        scene.pleach(&["wait", &next.to_string()]);
        let merged = scene.pleach(&["merge", "--verify", "test -e next && git status", &next.to_string()]);
        assert_eq!(merged.code, Some(0), "{tier}: {merged:?}");
    }
}
