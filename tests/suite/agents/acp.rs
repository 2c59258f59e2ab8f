//! Agents that are spoken with by the Agent Client Protocol.

use std::fs;

use serde_json::json;

use super::{ended, pair, run, scene};
use crate::support::scene::finish;

#[test]
fn a_turn_is_followed_and_its_questions_are_answered() {
    let scene = scene();
    let report = run(&scene, "fake-acp", &[], "tool execute make\nask rm -r x\nwrite made it is made\nsay .");
    assert_eq!((&report["state"], &report["files"]), (&json!("ready"), &json!(1)), "{}", scene.story());
    let attempt = &report["attempts"][0];
    assert_eq!((&attempt["summary"], &attempt["leaked"]), (&json!("rm -r x: allow_once."), &json!(0)));
    assert_eq!(attempt["account"]["tool"], "execute: make");
    assert_eq!(ended(&run(&scene, "fake-acp", &[], "fail 401")), pair("agent_failed", "401"));
    assert_eq!(ended(&run(&scene, "fake-acp", &[], "exit 0")), pair("agent_failed", "it ended without telling how"));
    scene.assert_tidy();
}

#[test]
fn what_is_sent_is_told_in_the_same_session() {
    let scene = scene();
    let gate = scene.path("gate");
    let prompt = format!("write one one\ntool execute wait\nawait {}", gate.display());
    let child = scene.start(&["run", "--json", "--agent", "fake-acp", "--prompt", &prompt]);
    scene
        .until("it is at work", || scene.board().get(&1).is_some_and(|row| row["progress"]["text"] == "execute: wait"));
    scene.ok(&["send", "1", "write two two"]);
    fs::write(gate, "").unwrap();
    let ran = finish(child);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.err, scene.story());
    assert_eq!(scene.status(1)["files"], 2);
    let refused = scene.pleach(&["send", "1", "more"]);
    assert!(refused.code == Some(7) && refused.err.contains("is not running"), "{}", refused.err);
    scene.ok(&["add", "--agent", "fake", "--prompt", "say x"]);
    let refused = scene.pleach(&["send", "2", "more"]);
    assert!(refused.code == Some(7) && refused.err.contains("nobody can speak with fake"), "{}", refused.err);
}

#[test]
fn a_cancel_is_told_in_the_way_of_the_protocol_before_any_signal() {
    let scene = scene();
    scene.ok(&["add", "--agent", "fake-acp", "--prompt", "write one one\ntool execute wait\nhang"]);
    scene.until("it is at work", || scene.board()[&1]["progress"]["text"] == "execute: wait");
    scene.ok(&["cancel", "1"]);
    scene.pleach(&["wait", "1"]);
    assert_eq!(fs::read_to_string(scene.path("told")).unwrap(), "cancelled\n");
    assert_eq!(scene.outcome(1), "cancelled", "{}", scene.story());
    // One that hears nothing is ended all the same.
    scene.ok(&["add", "--grace", "1s", "--agent", "fake-acp", "--prompt", "tool execute wait\nstubborn"]);
    scene.until("it is at work", || scene.board()[&2]["progress"]["text"] == "execute: wait");
    scene.ok(&["cancel", "2"]);
    scene.pleach(&["wait", "2"]);
    assert_eq!(scene.outcome(2), "cancelled", "{}", scene.story());
    scene.assert_tidy();
}
