//! Many tasks are asked for at the same instant, before there is any coordinator.

use std::collections::BTreeSet;
use std::fs;

use crate::support::scene::{Scene, at_once, finish};

const ADDS: u64 = 50;

#[test]
fn fifty_adds_at_once_are_fifty_tasks_in_fifty_worktrees() {
    let scene = Scene::with_concurrency(ADDS as usize);
    let gate = scene.path("gate");
    let line = format!("echo $PLEACH_TASK > it; until [ -e {} ]; do sleep 0.05; done", gate.display());
    let ran = at_once((0..ADDS).map(|_| scene.command(&["add", "--", &line])).collect());
    for ran in &ran {
        assert_eq!((ran.code, &*ran.err), (Some(0), ""), "{}", scene.story());
    }
    let ids: BTreeSet<u64> = ran.iter().map(|ran| ran.out.trim().parse().unwrap()).collect();
    assert_eq!(ids, (1..=ADDS).collect());
    scene.until("all run at once", || {
        let board = scene.board();
        board.values().all(|row| row["state"] == "running")
            && scene.git(&["worktree", "list", "--porcelain"]).matches("/pleach-slot-").count() as u64 == ADDS
            && shims(&scene) == ADDS
    });
    fs::File::create(&gate).unwrap();
    scene.ok(&["wait"]);
    for id in ids {
        assert_eq!(scene.git(&["show", &format!("refs/pleach/kept/{id}.1/tip:it")]), id.to_string());
    }
    scene.assert_tidy();
}

/// How many attempts have one: in a sandbox a shim's first children are, by their words, shims too.
fn shims(scene: &Scene) -> u64 {
    let shims = scene.processes().into_iter().filter(|process| process.is_shim());
    shims.filter_map(|process| process.words.last().cloned()).collect::<BTreeSet<_>>().len() as u64
}

#[test]
fn two_checkouts_of_one_repository_run_side_by_side() {
    let scene = Scene::new();
    let checkouts = ["one", "two"].map(|name| {
        let path = scene.path(name);
        scene.git(&["worktree", "add", "-q", "-b", name, path.to_str().unwrap()]);
        fs::write(path.join("own"), name).unwrap();
        scene.git_in(&path, &["add", "own"]);
        scene.git_in(&path, &["commit", "-qm", name]);
        (name, path)
    });
    let children = checkouts.each_ref().map(|(name, path)| {
        let line = format!("cat own > seen; [ \"$(cat own)\" = {name} ] && exit 4");
        scene.command(&["run", "--name", name, "--", &line]).current_dir(path).spawn().unwrap()
    });
    for ran in children.map(finish) {
        assert_eq!(ran.code, Some(4), "{}{}", ran.out, ran.err);
    }
    for (name, path) in &checkouts {
        scene.ok(&["restore", name]);
        scene.ok(&["merge", name]);
        assert_eq!(fs::read_to_string(path.join("seen")).unwrap(), *name);
        assert_eq!(scene.git_in(path, &["status", "--porcelain"]), "");
        assert_eq!(scene.git(&["log", "-1", "--format=%(trailers:key=Pleach-Task,valueonly)", name]).trim().len(), 3);
    }
    assert!(scene.folds("main").is_empty());
    assert!(scene.leftovers().is_empty(), "{:?}", scene.leftovers());
}

#[test]
fn whoever_waits_or_watches_and_goes_away_keeps_no_coordinator_up() {
    let scene = Scene::new();
    scene.ok(&["pause"]);
    scene.add(&[], "true");
    let mut askers = [&["wait"][..], &["events", "-f"]].map(|words| scene.start(words));
    // Longer than an idle coordinator stays: it is they who keep it up.
    scene.until("the first coordinator would have left", || scene.board()[&1]["state"] == "waiting");
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert!(scene.processes().iter().any(|process| process.is_coordinator()));
    for asker in &mut askers {
        asker.kill().unwrap();
        asker.wait().unwrap();
    }
    scene.until("the coordinator leaves", || !scene.processes().iter().any(|process| process.is_coordinator()));
}
