//! A limit of a provider: nothing more of its agent starts, until the time that was given or until somebody says so.

use serde_json::json;

use super::{run, scene};
use crate::support::scene::Scene;

fn waits(scene: &Scene, task: u64) -> String {
    scene.board()[&task]["why"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_limit_stops_its_kind_outlives_the_coordinator_and_ends_on_command() {
    let scene = scene();
    let once = "limit usage limit reached";
    scene.ok(&["add", "--agent", "fake", "--prompt", once]);
    let why = "fake: limit reached, until it is resumed";
    scene.until("the limit is known", || waits(&scene, 1) == why);
    scene.ok(&["add", "--agent", "fake", "--prompt", "write two two"]);
    assert_eq!(waits(&scene, 2), why);
    // Of another kind one runs, and a command too.
    assert_eq!(run(&scene, "text", &[], "echo three > three")["state"], "ready");
    scene.processes().iter().filter(|process| process.is_coordinator()).for_each(|process| process.kill());
    scene.until("no coordinator is there", || !scene.processes().iter().any(|process| process.is_coordinator()));
    scene.ok(&["pause"]);
    scene.ok(&["resume"]);
    assert_eq!(waits(&scene, 2), why);
    let agents = scene.json(&["agents"]);
    let fake = agents["agents"].as_array().unwrap().iter().find(|agent| agent["name"] == "fake").unwrap().clone();
    assert_eq!(fake["limited"]["why"], "usage limit reached");
    scene.ok(&["cancel", "1"]);
    scene.ok(&["resume", "--agent", "fake"]);
    scene.ok(&["wait", "2"]);
    assert_eq!(scene.board()[&2]["state"], json!("ready"), "{}", scene.story());
    let refused = scene.pleach(&["resume", "--agent", "fake"]);
    assert!(refused.code == Some(7) && refused.err.contains("no limit keeps"), "{}", refused.err);
    scene.assert_tidy();
}

#[test]
fn a_limit_with_a_time_is_told_with_it() {
    let scene = scene();
    scene.ok(&["add", "--agent", "fake", "--prompt", "limit usage limit reached|4000000000"]);
    scene.until("the limit is known", || waits(&scene, 1) == "fake: limit reached, until 2096-10-02T07:06:40Z");
    scene.ok(&["cancel", "1"]);
}
