//! What lands, and who is sent back.

use super::{assert_always_green, merge, result, runs, scene};
use crate::support::scene::Scene;

#[test]
fn the_good_land_together_and_the_culprits_are_named() {
    let scene = scene("");
    scene.make_dirty();
    let edits = scene.edits();
    let ids: Vec<String> = [
        "echo 1 > a1",
        "echo 2 > a2",
        "echo bad > a3",
        "echo 4 > a4",
        "touch x",
        "echo 6 > a6",
        "touch y",
        "echo 8 > a8",
    ]
    .iter()
    .map(|line| result(&scene, line))
    .collect();
    let ran = merge(&scene, &ids);
    assert_eq!(ran.code, Some(8), "{ran:?}");
    let stands: Vec<String> = (1..=8).map(|id| scene.stands(id)).collect();
    let count = |word: &str| stands.iter().filter(|state| *state == word).count();
    assert_eq!((count("folded"), count("rejected")), (6, 2), "{stands:?}\n{}", ran.out);
    assert_eq!(stands[2], "rejected");
    assert!(stands[4] == "rejected" || stands[6] == "rejected", "{stands:?}");
    assert!(ran.out.contains("task 3: main does not pass its check with it"), "{}", ran.out);
    assert_eq!(scene.edits(), edits);
    assert_always_green(&scene);
    // When nothing else is to do, it is found out whether they are broken by themselves.
    let rejected = |id: u64| scene.status(id)["refusal"].clone();
    let culprit = if stands[4] == "rejected" { 5 } else { 7 };
    scene.until("the culprits are looked at", || {
        rejected(3)["by_itself"] == true && rejected(culprit)["by_itself"] == false
    });
    // Its log says why, and it can be asked once more.
    let log = scene.status(3)["refusal"]["runs"].as_array().unwrap().last().unwrap().to_string();
    assert!(scene.ok(&["queue", "--log", &log]).contains("a3"));
    assert_eq!(scene.ok(&["queue"]), "no result waits for its target");
    scene.assert_tidy();
}

#[test]
fn without_the_check_it_lands_and_that_is_told() {
    let scene = scene("");
    let id = result(&scene, "echo bad > a");
    let ran = scene.pleach(&["merge", "--no-verify", &id]);
    assert_eq!((ran.code, runs(&scene)), (Some(0), 0), "{ran:?}");
    assert!(ran.out.contains("without its check"), "{ran:?}");
    assert!(scene.ok(&["events", "--json"]).contains("\"unverified\":true"));
    assert!(scene.ok(&["ls"]).contains("unverified"));
}

#[test]
fn a_typed_check_is_used_and_needs_no_approval() {
    let scene = scene("");
    let (good, bad) = (result(&scene, "echo fine > a"), result(&scene, "echo fine > b"));
    assert_eq!(scene.pleach(&["merge", "--verify", "test -e a", &good]).code, Some(0));
    let ran = scene.pleach(&["merge", "--verify", "test ! -e b", &bad]);
    assert_eq!((ran.code, runs(&scene)), (Some(8), 0), "{ran:?}");
}

#[test]
fn what_a_repository_wants_run_is_approved_first() {
    let scene = scene("");
    let id = result(&scene, "echo fine > a");
    scene.write(".pleach.toml", "[verify]\ncommand = \"sh tools/check && true\"\n");
    let ran = scene.pleach(&["merge", &id]);
    assert_eq!((ran.code, runs(&scene)), (Some(7), 0), "{ran:?}");
    assert!(ran.err.contains("which nobody has approved") && ran.err.contains("pleach approve"), "{ran:?}");
}

#[test]
fn an_automatic_fold_is_verified_too() {
    let scene = scene("");
    let good = scene.add(&["--fold", "auto"], "echo fine > a");
    let bad = scene.add(&["--fold", "auto"], "echo bad > b");
    scene.until("both are settled", || {
        let there = |id, states: &[&str]| states.contains(&scene.stands(id).as_str());
        there(good, &["folded"]) && there(bad, &["rejected"])
    });
    assert!(runs(&scene) > 0);
    assert_always_green(&scene);
}

#[test]
fn a_dependent_of_a_culprit_does_not_land_without_it() {
    let scene = scene("");
    let head = result(&scene, "echo bad > a");
    let next = scene.add(&["--after", &head], "echo fine > b").to_string();
    scene.ok(&["wait", &next]);
    let ran = merge(&scene, &[head, next]);
    assert_eq!(ran.code, Some(6), "{ran:?}");
    assert_eq!((scene.stands(1), scene.stands(2)), ("rejected".into(), "held".into()), "{ran:?}");
}

#[test]
fn a_check_that_rewrites_files_is_not_green() {
    let scene = scene("");
    let id = result(&scene, "echo fine > a");
    let ran = scene.pleach(&["merge", "--verify", "if test -e a; then echo formatted > readme; fi", &id]);
    assert_eq!(ran.code, Some(8), "{ran:?}");
    assert!(ran.out.contains("it rewrote readme"), "{ran:?}");
}

#[test]
fn a_check_that_cannot_be_run_blames_nobody() {
    let scene = scene("timeout = 1\n");
    let id = result(&scene, "touch slow");
    let ran = merge(&scene, std::slice::from_ref(&id));
    assert_eq!((ran.code, scene.stands(1)), (Some(6), "held".into()), "{ran:?}");
    assert!(ran.out.contains("timed out") && ran.out.contains("--no-verify"), "{ran:?}");
    let ran = scene.pleach(&["merge", "--verify", "no-such-program --at all", &id]);
    assert!(ran.out.contains("was not found"), "{ran:?}");
    std::fs::write(scene.path("gate"), "").unwrap();
    assert_eq!(scene.pleach(&["merge", "--verify", "sh tools/check", &id]).code, Some(0));
    scene.assert_tidy();
}

#[test]
fn the_target_may_move_while_a_candidate_is_verified() {
    let scene = scene("");
    let ids = [result(&scene, "touch slow"), result(&scene, "echo fine > a")];
    let merging = scene.start(&["merge", &ids[0], &ids[1]]);
    scene.until("the check runs", || runs(&scene) > 0);
    let queue = scene.ok(&["queue"]);
    assert!(queue.contains("verifies") && queue.contains("sh tools/check"), "{queue}");
    scene.write("mine", "mine");
    scene.git(&["add", "mine"]);
    scene.git(&["commit", "-qm", "mine"]);
    std::fs::write(scene.path("gate"), "").unwrap();
    let ran = crate::support::scene::finish(merging);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(scene.read("mine"), "mine");
    assert_eq!(scene.folds("main").len(), 2);
    assert_always_green(&scene);
    scene.assert_tidy();
}

#[test]
fn edits_in_the_way_hold_their_task_and_no_other() {
    let scene = scene("");
    let ids: Vec<String> = ["echo 1 >> readme", "echo 2 > a2"].iter().map(|line| result(&scene, line)).collect();
    scene.write("readme", "mine\n");
    let ran = merge(&scene, &ids);
    assert_eq!(ran.code, Some(6), "{ran:?}");
    assert_eq!((scene.stands(1), scene.stands(2)), ("held".into(), "folded".into()), "{ran:?}");
    assert_eq!(scene.read("readme"), "mine\n");
}

#[test]
fn where_the_target_itself_does_not_pass_nobody_is_sent_back() {
    let scene = scene("");
    scene.write("a0", "bad");
    scene.git(&["add", "a0"]);
    scene.git(&["commit", "-qm", "not good"]);
    let ids: Vec<String> = (1..=3).map(|n| result(&scene, &format!("echo fine > b{n}"))).collect();
    let ran = merge(&scene, &ids);
    assert_eq!(ran.code, Some(6), "{ran:?}");
    assert!((1..=3).all(|id| scene.stands(id) == "held"), "{ran:?}");
    assert!(ran.out.contains("the target itself does not pass the check"), "{ran:?}");
    let log = scene.status(1)["refusal"]["run"].to_string();
    assert_eq!(scene.ok(&["queue", "--log", &log]).trim(), "a0");
    // What mends it goes in, and then so do they; what was found before counts for nothing.
    let auto = scene.add(&["--fold", "auto"], "echo fine > b4");
    scene.until("it is held", || scene.stands(auto) == "held");
    let mend = result(&scene, "echo fine > a0");
    assert_eq!(merge(&scene, &[mend]).code, Some(0));
    scene.until("it is tried again", || scene.stands(auto) == "folded");
    assert_eq!(merge(&scene, &ids).code, Some(0));
    scene.assert_tidy();
}

#[test]
fn a_tool_that_came_back_is_asked_again() {
    let scene = scene("");
    let tool = scene.path("tool");
    let check = format!("test -e {}", tool.display());
    let id = result(&scene, "echo fine > a");
    let ran = scene.pleach(&["merge", "--verify", &check, &id]);
    assert_eq!((ran.code, scene.stands(1)), (Some(6), "held".into()), "{ran:?}");
    std::fs::write(&tool, "").unwrap();
    assert_eq!(scene.pleach(&["merge", "--verify", &check, &id]).code, Some(0));
}

#[test]
fn what_somebody_typed_stays_with_the_task() {
    let scene = Scene::new();
    let (bad, good) = (result(&scene, "echo bad > a"), result(&scene, "echo fine > b"));
    let check = "! grep -q bad a 2>/dev/null";
    assert_eq!(scene.pleach(&["merge", "--verify", check, &bad, &good]).code, Some(8));
    // Asked once more without a word of the check, and with another attempt.
    assert_eq!(merge(&scene, std::slice::from_ref(&bad)).code, Some(8));
    let last = scene.status(1)["refusal"]["runs"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(merge(&scene, std::slice::from_ref(&bad)).code, Some(8));
    assert_eq!(scene.status(1)["refusal"]["runs"], serde_json::json!([last]), "what is known is named once");
    scene.ok(&["retry", &bad, "--onto-target"]);
    scene.ok(&["wait", &bad]);
    assert_eq!(merge(&scene, std::slice::from_ref(&bad)).code, Some(8));
    let ran = scene.pleach(&["merge", "--no-verify", &bad]);
    assert!(ran.code == Some(0) && ran.out.contains("without its check"), "{ran:?}");
    // What is typed when it is added, too.
    let id = scene.add(&["--verify", "false"], "echo fine > c").to_string();
    scene.ok(&["wait", &id]);
    assert_ne!(merge(&scene, std::slice::from_ref(&id)).code, Some(0));
    assert_eq!(scene.folds("main").len(), 2);
}

#[test]
fn a_target_that_goes_away_meanwhile_holds_it() {
    let scene = scene("");
    scene.git(&["branch", "release"]);
    let id = result(&scene, "touch slow");
    let merging = scene.start(&["merge", "--into", "release", &id]);
    scene.until("the check runs", || runs(&scene) > 0);
    scene.git(&["branch", "-D", "release"]);
    std::fs::write(scene.path("gate"), "").unwrap();
    let ran = crate::support::scene::finish(merging);
    assert!(ran.code == Some(6) && ran.out.contains("there is no branch release"), "{ran:?}");
    scene.git(&["branch", "release"]);
    assert_eq!(scene.pleach(&["merge", "--into", "release", &id]).code, Some(0));
    scene.assert_tidy();
}

#[test]
fn one_that_hangs_the_check_keeps_nobody_else() {
    let scene = scene("timeout = 1\n");
    let ids: Vec<String> =
        ["echo fine > a1", "touch slow", "echo fine > a3"].iter().map(|line| result(&scene, line)).collect();
    let ran = merge(&scene, &ids);
    assert_eq!(ran.code, Some(6), "{ran:?}");
    let stands: Vec<String> = (1..=3).map(|id| scene.stands(id)).collect();
    assert_eq!(stands, ["folded", "held", "folded"], "{ran:?}");
    assert!(ran.out.contains("timed out"), "{ran:?}");
    scene.assert_tidy();
}
