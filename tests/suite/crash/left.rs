//! What a killed git, or a power cut, leaves on the disk.
#![allow(clippy::disallowed_methods, reason = "tests leave what others would")]

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use crate::support::scene::{Process, Scene};

/// A lock that was made long ago; it stays open for as long as the answer lives.
fn lock(scene: &Scene, name: &str) -> (PathBuf, File) {
    let path = scene.top.join(".git").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = File::create(&path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
    (path, file)
}

#[test]
fn locks_of_a_dead_git_are_put_aside_and_those_of_others_stay() {
    let scene = Scene::new();
    let names =
        ["packed-refs.lock", "refs/pleach/base/1.1.lock", "refs/pleach/kept/1.1/tip.lock", "refs/heads/pleach/1.lock"];
    let dead: Vec<PathBuf> = names.iter().map(|name| lock(&scene, name).0).collect();
    let users = lock(&scene, "refs/heads/users.lock").0;
    let (held, open) = lock(&scene, "refs/pleach/base/99.1.lock");
    let task = scene.add(&[], "echo x > x");
    scene.ok(&["wait"]);
    scene.ok(&["merge", &task.to_string()]);
    assert_eq!(scene.read("x"), "x\n");
    assert!(!dead.iter().any(|path| path.exists()), "{dead:?}");
    assert!(users.exists() && held.exists());
    drop(open);
    fs::remove_file(users).unwrap();
    // The next coordinator looks again.
    scene.until("the first one leaves", || !scene.processes().iter().any(Process::is_coordinator));
    scene.add(&[], "true");
    scene.ok(&["wait"]);
    scene.assert_tidy();
    assert!(!held.exists());
}

/// Whoever kills its supervisors time and again before one has taken the attempt: nothing ran, and it may run again.
#[test]
fn an_attempt_whose_supervisors_die_at_once_is_lost_and_runs_again() {
    let scene = Scene::new();
    for retries in ["0", "9"] {
        let over = AtomicBool::new(false);
        let row = std::thread::scope(|scope| {
            scope.spawn(|| {
                // As long as the first attempt of ours has not ended, each of its supervisors dies.
                while !over.load(Ordering::Relaxed) {
                    scene.arm("shim.locked");
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            let task = scene.add(&["--retries", retries], "echo x > x");
            let ended = || scene.status(task)["attempts"][0]["outcome"].clone();
            scene.until("the first attempt has ended", || !ended().is_null());
            over.store(true, Ordering::Relaxed);
            scene.status(task)
        });
        let _ = fs::remove_file(scene.path("crash").join("shim.locked"));
        let id = row["id"].as_u64().unwrap();
        assert_eq!(row["attempts"][0]["outcome"]["how"], "lost", "{row}");
        assert_eq!(row["attempts"][0]["outcome"]["cause"], "its supervisor died at once, time and again");
        scene.pleach(&["wait"]);
        if retries == "0" {
            assert_eq!(scene.stands(id), "failed");
            scene.ok(&["retry", &id.to_string()]);
            scene.ok(&["wait"]);
        }
        assert_eq!(scene.stands(id), "ready", "{}", scene.story());
    }
    scene.assert_tidy();
}

/// As the kernel does it to a large one when memory is short: the git dies, and whoever started it lives.
#[test]
fn a_git_that_is_killed_alone_costs_nothing() {
    // Those that save its files run in its sandbox, with its environment: there they are not told from its own.
    let inside = ["status", "add", "rev-list", "pack-objects"];
    let inside = if Scene::is_caged() { &[][..] } else { &inside[..] };
    for word in inside.iter().copied().chain(["index-pack", "merge-tree"]) {
        let mut scene = Scene::new();
        let (bin, once) = (scene.path("bin"), scene.path("once"));
        fs::create_dir(&bin).unwrap();
        let path = std::env::var("PATH").unwrap();
        // Those of the task are its own; of ours, the first that does this is killed.
        let script = format!(
            "#!/bin/sh\ncase \" $PLEACH_TASK $* \" in \"  \"*' {word} '*) mkdir {once} 2>/dev/null && kill -9 $$;; esac\n\
             PATH={path} exec git \"$@\"\n",
            once = once.display()
        );
        fs::write(bin.join("git"), script).unwrap();
        fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
        scene.variables.insert("PATH".to_owned(), format!("{}:{path}", bin.display()));
        let line = "echo s > readme; git stash -q; git checkout -q -b side; echo b > b; git add b; git commit -qm b; \
                    git checkout -q -; echo x > x; printf 'c\r\n' > for-git-to-add; seq 700000 > for-git-to-pack";
        let task = scene.add(&[], line);
        // Something to merge with.
        scene.write("other", "other");
        scene.git(&["add", "other"]);
        scene.git(&["commit", "-qm", "other"]);
        scene.ok(&["wait"]);
        scene.pleach(&["merge", &task.to_string()]);
        // A plan that was not made is asked for again.
        scene.ok(&["merge", &task.to_string()]);
        assert!(once.exists(), "{word} was not needed");
        assert_eq!(scene.read("x"), "x\n", "{word}");
        let kept = scene.git(&["for-each-ref", "--format=%(refname)", "refs/pleach/kept/1.1/"]);
        let kept: Vec<&str> = kept.lines().map(|name| name.rsplit('/').next().unwrap()).collect();
        assert_eq!(kept, ["branch-side", "stash-0", "tip"], "{word}: {}", scene.ok(&["status", "1"]));
        scene.assert_tidy();
    }
}

#[test]
fn records_that_a_power_cut_tore_lose_no_file() {
    for torn in [&["run.json"][..], &["spec.json", "run.json"], &["run.json", "ended.json", "progress.json"]] {
        let scene = Scene::new();
        let started = scene.path("started");
        let task = scene.add(&[], &format!("echo written; echo x > x; touch {}; sleep 1000", started.display()));
        scene.until_there(&started);
        let all = scene.processes();
        let shim = all.iter().find(|process| process.is_shim()).unwrap();
        let dir = PathBuf::from(shim.words.last().unwrap());
        // The power goes: nobody is left, and what was not synced is empty.
        scene.until("all are gone", || {
            let all = scene.processes();
            all.iter().filter(|process| process.is_coordinator()).for_each(Process::kill);
            all.iter().for_each(Process::kill);
            all.is_empty()
        });
        torn.iter().for_each(|name| drop(File::create(dir.join(name)).unwrap()));
        assert_eq!(scene.pleach(&["wait"]).code, Some(125), "{torn:?}\n{}", scene.story());
        assert_eq!(scene.outcome(task), "lost", "{torn:?}");
        assert_eq!(scene.log(task), "written\n");
        assert_eq!(scene.git(&["show", "refs/pleach/kept/1.1/tip:x"]), "x");
        scene.assert_tidy();
    }
}
