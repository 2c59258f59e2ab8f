//! What a task must still be able to do, and how it ends, in the full tier.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::super::support::scene::Scene;
use super::{scene, word, works};

fn full() -> Option<Scene> {
    works("full").then(|| scene("full"))
}

fn run(scene: &Scene, options: &[&str], line: &str) -> (u64, String) {
    let id = scene.add(options, line);
    scene.pleach(&["wait", &id.to_string()]);
    (id, scene.log(id))
}

#[test]
fn git_does_all_that_it_does_outside() {
    let Some(scene) = full() else { return };
    let script = "set -e; git switch -qc topic; echo 1 > a; git add a; git commit -qm one; echo 2 > a; git stash -q; git stash pop -q; git commit -qam two; \
        git switch -q -; echo 3 > b; git add b; git commit -qm three; git rebase -q topic; git tag v1; git worktree add -q ../beside-$$ 2>/dev/null || git worktree add -q $TMPDIR/beside; \
        git gc -q; git fsck --no-dangling; git cherry-pick --quit; git notes add -m note; git log --oneline | wc -l; git bisect start >/dev/null; git bisect reset >/dev/null 2>&1; git push -q 2>/dev/null || echo no-push";
    let (id, log) = run(&scene, &[], script);
    assert_eq!(scene.outcome(id), "exited 0", "{log}");
    assert!(log.contains("no-push"), "{log}");
    assert_eq!(scene.git(&["show", &format!("pleach/{id}:a")]), "2");
    assert_eq!(scene.git(&["stash", "list"]), "");
    assert_eq!(scene.git(&["tag"]), "");
}

#[test]
fn it_says_how_far_it_is_and_hooks_run_inside() {
    let Some(scene) = full() else { return };
    let hook = scene.top.join(".git/hooks/pre-commit");
    fs::write(&hook, "#!/bin/sh\ntouch hooked\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let (id, log) = run(
        &scene,
        &[],
        "pleach progress 1/2 half && pleach summary 'all is well' && echo x > x && git add x && git commit -qm x && ls hooked",
    );
    assert_eq!(scene.outcome(id), "exited 0", "{log}");
    let status = scene.ok(&["status", &id.to_string()]);
    assert!(status.contains("all is well"), "{status}");
    assert!(!scene.top.join("hooked").exists());
}

#[test]
fn ends_are_told_as_they_are() {
    let Some(scene) = full() else { return };
    assert_eq!(scene.outcome(run(&scene, &[], "exit 42").0), "exited 42");
    assert_eq!(scene.outcome(run(&scene, &[], "kill -TERM $$").0), "signalled 15");
    assert_eq!(scene.outcome(run(&scene, &[], "kill -9 $$").0), "signalled 9");
    assert_eq!(
        scene
            .outcome(run(&scene, &["--timeout", "1s", "--grace", "1s"], "trap '' TERM; while :; do sleep 0.1; done").0),
        "timed_out"
    );
    let (id, log) = run(&scene, &["--timeout", "1s"], "trap 'echo polite; exit 0' TERM; while :; do sleep 0.1; done");
    assert_eq!(scene.outcome(id), "timed_out");
    assert!(log.contains("polite"), "{log}");
    let (id, log) = run(&scene, &[], "kill -9 1; kill -9 -1; sleep 0; echo alive");
    assert!(log.contains("alive") || scene.outcome(id).starts_with("signalled"), "{log}");
    let id = scene.ok(&["add", "--", "no-such-program", "x"]).parse().unwrap();
    scene.pleach(&["wait", &format!("{id}")]);
    assert_eq!(scene.outcome(id), "could_not_start");
}

#[test]
fn cancelling_and_killing_the_shim_leave_nobody() {
    let Some(scene) = full() else { return };
    let flag = |scene: &Scene, id: u64| scene.log(id).contains("up");
    let line = "echo saved > saved; (setsid sleep 77777 &); echo up; sleep 77777";
    let left = |scene: &Scene| scene.processes().iter().any(|process| process.words.iter().any(|word| word == "77777"));
    let id = scene.add(&[], line);
    scene.until("it runs", || flag(&scene, id));
    assert_eq!(scene.status(id)["attempts"][0]["sandbox"], "full", "also while it runs");
    assert!(scene.ok(&["diff", "--stat", &id.to_string()]).contains("saved"), "what it changed so far is seen");
    scene.ok(&["cancel", &id.to_string()]);
    scene.pleach(&["wait", &id.to_string()]);
    assert!(!left(&scene));
    assert_eq!(scene.outcome(id), "cancelled");

    let id = scene.add(&[], line);
    scene.until("it runs", || flag(&scene, id));
    let shim = scene.processes().into_iter().find(|process| process.is_shim()).unwrap();
    shim.kill();
    scene.pleach(&["wait", &id.to_string()]);
    assert_eq!(scene.outcome(id), "lost");
    assert!(!left(&scene));
    assert_eq!(scene.git(&["show", &format!("refs/pleach/kept/{id}.1/tip:saved")]), "saved");
}

#[test]
fn a_setup_hook_is_held_too() {
    let Some(scene) = full() else { return };
    let config = scene.path("home/config/pleach");
    fs::create_dir_all(&config).unwrap();
    let outside = scene.path("outside");
    let text = format!("[worktree]\nsetup = \"echo made > made; touch {} || true\"\n", word(outside.clone()));
    fs::write(config.join("config.toml"), text).unwrap();
    let (id, log) = run(&scene, &[], "cat made");
    assert_eq!(scene.outcome(id), "exited 0", "{log}");
    assert!(log.contains("made") && !outside.exists(), "{log}");
}

#[test]
fn a_check_is_held_too() {
    let Some(scene) = full() else { return };
    let outside = scene.path("outside");
    let check =
        format!("touch {} ; test -f new && git log -1 --format=%H && git status --porcelain", word(outside.clone()));
    let (id, _) = run(&scene, &[], "echo x > new");
    let ran = scene.pleach(&["merge", "--verify", &check, &id.to_string()]);
    assert_eq!(ran.code, Some(0), "{ran:?}\n{}", scene.story());
    assert!(!outside.exists());
    assert_eq!(scene.read("new"), "x\n");
}

/// A home or a state directory may be reached by a link: what lies in what is not told by its name.
#[test]
fn links_on_the_way_change_nothing() {
    if !works("full") {
        return;
    }
    let mut scene = scene("full");
    let link = |name: &str, to: &str| std::os::unix::fs::symlink(scene.path(to), scene.path(name)).unwrap();
    fs::create_dir_all(scene.path("home/deep/state")).unwrap();
    link("s", "home/deep/state");
    fs::rename(scene.path("home/.ssh"), scene.path("home/dotfiles")).unwrap();
    link("home/.ssh", "home/dotfiles");
    let state = scene.path("s").display().to_string();
    scene.variables.insert("PLEACH_STATE_DIR".to_owned(), state);
    let (id, log) = run(
        &scene,
        &[],
        "echo x > new && git add new && git commit -qm new && echo y > dirty; pwd; cat ~/.ssh/id ~/dotfiles/id; ls ~/deep/state/*/environments; exit 0",
    );
    assert_eq!(scene.git(&["show", &format!("pleach/{id}:dirty")]), "y", "{log}");
    assert!(!log.contains("SECRET"), "{log}");
    assert_eq!(scene.status(id)["attempts"][0]["sandbox"], "full");
}

/// Nobody is root in a sandbox, and most people are not outside of it: what a task made unreadable is saved all the same.
#[test]
fn what_a_task_made_unreadable_is_saved() {
    let Some(scene) = full() else { return };
    let line =
        "mkdir ro none; echo 1 > ro/f; chmod 000 ro/f; chmod 555 ro; echo 2 > none/f; chmod 000 none; chmod 000 .";
    let (id, log) = run(&scene, &[], line);
    assert_eq!(scene.outcome(id), "exited 0", "{log}");
    for (path, content) in [("ro/f", "1"), ("none/f", "2")] {
        assert_eq!(scene.git(&["show", &format!("pleach/{id}:{path}")]), content);
    }
}

/// A filter of the task may take for ever when its files are saved: its slot comes back when it is asked for.
#[test]
fn a_save_that_never_ends_is_given_up_when_it_is_cancelled() {
    for tier in ["none", "reduced", "full"] {
        if tier != "none" && !works(tier) {
            continue;
        }
        let scene = scene(tier);
        let line = "git config filter.slow.clean 'echo up > ../../../attempts/1.1/tmp/up; sleep 1000' && echo '* filter=slow' > .gitattributes && echo x > x";
        for (id, options) in [(1, &["cancel", "1"][..]), (2, &["cancel", "--now", "2"])] {
            let line = line.replace("1.1", &format!("{id}.1"));
            assert_eq!(scene.add(&["--grace", "1s"], &line), id);
            let up = super::super::support::cli::state_of(&scene).join(format!("attempts/{id}.1/tmp/up"));
            scene.until_there(&up);
            scene.pleach(options);
            scene.pleach(&["wait", &id.to_string()]);
            assert!(!scene.processes().iter().any(|process| process.words.iter().any(|word| word == "1000")), "{tier}");
            let status = scene.ok(&["status", &id.to_string()]);
            assert!(status.contains("took too long, or was given up"), "{tier}: {status}");
            // It is not lost: it is where the task left it.
            let worktree = super::super::support::cli::told(&scene, id, "worktree").concat();
            assert!(fs::read_to_string(std::path::Path::new(&worktree).join("x")).is_ok(), "{tier}: {status}");
        }
    }
}
