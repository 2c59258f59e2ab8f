//! Kills while candidates are verified.

use super::{assert_always_green, result, runs, scene};
use crate::support::scene::Process;

#[test]
fn a_run_outlives_the_coordinator_and_its_answer_counts() {
    let scene = scene("");
    let ids = [result(&scene, "touch slow"), result(&scene, "echo fine > a")];
    let merging = scene.start(&["merge", &ids[0], &ids[1]]);
    scene.until("the check runs", || runs(&scene) > 0);
    let before = runs(&scene);
    scene.processes().iter().filter(|process| process.is_coordinator()).for_each(Process::kill);
    scene.ok(&["ls"]);
    std::fs::write(scene.path("gate"), "").unwrap();
    let ran = crate::support::scene::finish(merging);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(scene.folds("main").len(), 2);
    assert!(runs(&scene) <= before + 1, "what ran went on");
    scene.assert_tidy();
}

#[test]
fn kills_every_now_and_then_until_it_is_through() {
    let scene = scene("");
    let lines: Vec<String> = (1..=12)
        .map(|n| match n {
            4 => "echo bad > a4".to_owned(),
            6 => "touch x".to_owned(),
            9 => "touch y".to_owned(),
            _ => format!("echo {n} > a{n}"),
        })
        .collect();
    let ids: Vec<String> =
        lines.iter().map(|line| scene.add(&["--fold", "auto", "--retries", "50"], line).to_string()).collect();
    let mut random = fastrand::Rng::with_seed(11);
    let mut kills = 0;
    let settled = || {
        let board = scene.board();
        ids.iter().all(|id| {
            let state = board[&id.parse::<u64>().unwrap()]["state"].as_str().unwrap().to_owned();
            ["folded", "rejected", "failed"].contains(&state.as_str())
        })
    };
    while !settled() {
        // The one sleep: the instant of a kill is what this is about.
        std::thread::sleep(std::time::Duration::from_millis(random.u64(20..300)));
        let all = scene.processes();
        if let Some(coordinator) = all.iter().find(|process| process.is_coordinator()) {
            if random.bool() {
                coordinator.kill()
            } else {
                coordinator.kill_group()
            }
            kills += 1;
        }
        assert!(kills < 500, "{}", scene.story());
    }
    println!("{kills} kills");
    let folded: Vec<String> = (1..=12).filter(|id| scene.stands(*id) == "folded").map(|id| id.to_string()).collect();
    assert_eq!(folded.len(), 10, "{}", scene.ok(&["ls", "--all"]));
    assert!(!folded.contains(&"4".to_owned()));
    let folds = scene.folds("main");
    assert_eq!(folds.len(), 10, "{folds:?}");
    assert_always_green(&scene);
    scene.assert_tidy();
}
