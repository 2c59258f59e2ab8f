//! A worktree for a sub-agent of somebody else: nothing of it is lost, and it outlives nobody.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};

use super::{hook, told};
use crate::support::scene::Scene;

fn create(scene: &Scene, name: &str) -> PathBuf {
    let path =
        told(scene, &["claude"], &json!({ "hook_event_name": "WorktreeCreate", "session_id": "s", "name": name }));
    assert_eq!(path.lines().count(), 1, "{path}");
    path.into()
}

/// A sub-agent that stops.
fn stop(scene: &Scene, agent: &str) -> Value {
    let input = json!({
        "hook_event_name": "SubagentStop", "session_id": "s", "agent_id": agent, "last_assistant_message": "I made two files\nand more"
    });
    serde_json::from_str(&told(scene, &["claude"], &input)).unwrap()
}

#[test]
fn what_a_sub_agent_did_is_a_result_like_any_other() {
    let scene = Scene::new();
    let place = create(&scene, "agent-abc");
    assert_eq!(std::fs::read_to_string(place.join("readme")).unwrap(), "hello\n");
    assert_eq!(scene.stands(1), "running");
    std::fs::write(place.join("one"), "1\n").unwrap();
    scene.git_in(&place, &["add", "one"]);
    scene.git_in(&place, &["commit", "-qm", "one"]);
    std::fs::write(place.join("two"), "2\n").unwrap();
    let said = stop(&scene, "abc");
    assert!(said["systemMessage"].as_str().unwrap().contains("task 1 (agent-abc) changed 2 files"), "{said}");
    assert!(!place.exists(), "its worktree is free again");
    let status = scene.status(1);
    assert_eq!((&status["state"], &status["name"]), (&json!("ready"), &json!("agent-abc")), "{status:#}");
    assert_eq!(status["attempts"][0]["summary"], "I made two files\nand more");
    // The parent hears where it is; whoever wants to go on with it is told that its worktree is gone.
    let tool = json!({ "hook_event_name": "PostToolUse", "session_id": "s", "tool_name": "Agent", "tool_response": { "agentId": "abc" } });
    assert!(told(&scene, &["claude"], &tool).contains("pleach merge 1"));
    let send = json!({ "hook_event_name": "PreToolUse", "session_id": "s", "tool_name": "SendMessage", "tool_input": { "to": "abc" } });
    let decision: Value = serde_json::from_str(&told(&scene, &["claude"], &send)).unwrap();
    assert_eq!(decision["hookSpecificOutput"]["permissionDecision"], "deny");
    for caller in ["claude", "codex", "kiro"] {
        let waits = told(&scene, &[caller, "stop"], &json!({}));
        assert!(waits.contains("1 result waits for review: 1 (agent-abc)"), "{waits}");
    }
    scene.ok(&["merge", "1"]);
    assert_eq!((scene.read("one"), scene.read("two")), ("1\n".to_owned(), "2\n".to_owned()));
    assert_eq!(told(&scene, &["claude", "stop"], &json!({})), "", "nothing waits any more");
    scene.assert_tidy();
}

#[test]
fn a_place_takes_no_slot_and_is_made_once() {
    let scene = Scene::with_concurrency(1);
    let go = scene.path("go");
    scene.add(&[], &format!("until [ -e {} ]; do sleep 0.01; done", go.display()));
    let place = create(&scene, "agent-a");
    assert_eq!(create(&scene, "agent-a"), place, "asked again, it is the same");
    assert_ne!(create(&scene, "agent-b"), place);
    assert_eq!(scene.board().len(), 3);
    // A task waits for its turn all the same.
    scene.add(&[], "true");
    assert_eq!(scene.stands(4), "waiting");
    std::fs::write(&go, "").unwrap();
    scene.ok(&["wait", "1", "4"]);
    std::fs::write(place.join("left"), "here\n").unwrap();
    // Who removes a worktree names it from anywhere, also from inside of it.
    let remove = json!({ "hook_event_name": "WorktreeRemove", "cwd": place, "worktree_path": place });
    assert_eq!(told(&scene, &["claude"], &remove), "");
    assert_eq!(told(&scene, &["claude"], &remove), "", "twice is once");
    let end = |reason: &str| json!({ "hook_event_name": "SessionEnd", "session_id": "s", "reason": reason });
    told(&scene, &["claude"], &end("clear"));
    assert_eq!((scene.stands(2), scene.stands(3)), ("ready".to_owned(), "running".to_owned()));
    told(&scene, &["claude"], &end("other"));
    assert_eq!(scene.stands(3), "empty");
    scene.assert_tidy();
}

#[test]
fn whoever_is_killed_there_leaves_a_result() {
    let scene = Scene::new();
    let script = scene.path("session");
    let input = r#"{"hook_event_name": "WorktreeCreate", "session_id": "k", "name": "agent-k"}"#;
    let program = scene.command(&[]).get_program().to_str().unwrap().to_owned();
    std::fs::write(
        &script,
        format!(
            "echo '{input}' | {program} hook claude > {0}.new\nmv {0}.new {0}\nread end\n",
            scene.path("place").display()
        ),
    )
    .unwrap();
    // A conversation that calls its hook and goes on.
    let mut session = scene.command(&[]);
    let variables: Vec<_> =
        session.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
    session = std::process::Command::new("sh");
    session
        .arg(&script)
        .env_clear()
        .envs(variables)
        .current_dir(&scene.top)
        .stdin(Stdio::piped())
        .stderr(Stdio::null());
    let mut session = session.spawn().unwrap();
    scene.until_there(&scene.path("place"));
    let place = PathBuf::from(std::fs::read_to_string(scene.path("place")).unwrap().trim());
    std::fs::write(place.join("half"), "done\n").unwrap();
    assert_eq!(scene.stands(1), "running");
    session.kill().unwrap();
    session.wait().unwrap();
    scene.until("its place is collected", || scene.stands(1) == "ready");
    let notes = scene.status(1)["attempts"][0]["notes"].to_string();
    assert!(notes.contains("has ended without a word"), "{notes}");
    scene.ok(&["merge", "1"]);
    assert_eq!(scene.read("half"), "done\n");
    scene.assert_tidy();
}

/// Of all that a hook does, only asking for the place changes anything.
#[test]
fn a_hook_that_is_killed_leaves_a_place_that_is_found_again() {
    let scene = Scene::new();
    scene.arm("tenant.asked");
    let input = json!({ "hook_event_name": "WorktreeCreate", "session_id": "s", "name": "agent-x" });
    let ran = hook(&scene, &["claude"], &input.to_string());
    assert_eq!((ran.code, scene.is_armed("tenant.asked")), (None, false), "{ran:?}");
    let place = create(&scene, "agent-x");
    assert_eq!(scene.board().len(), 1);
    std::fs::write(place.join("new"), "new\n").unwrap();
    let done = scene.ok(&["hook", "done", "1"]);
    assert!(done.starts_with("task 1 (agent-x) changed 1 file"), "{done}");
    let refused = scene.pleach(&["hook", "done", &scene.add(&[], "true").to_string()]);
    assert!(refused.code == Some(7) && refused.err.contains("pleach cancel 2"), "{refused:?}");
    scene.ok(&["wait"]);
    scene.assert_tidy();
}

#[test]
fn a_supervisor_that_is_killed_loses_nothing_and_kills_nobody_who_works_there() {
    let scene = Scene::new();
    let place = create(&scene, "agent-y");
    std::fs::write(place.join("new"), "new\n").unwrap();
    let mut tenant = std::process::Command::new("sh");
    tenant.args(["-c", "read end"]).current_dir(&place).stdin(Stdio::piped());
    let mut tenant = tenant.spawn().unwrap();
    scene.processes().iter().filter(|process| process.is_shim()).for_each(|process| process.kill());
    scene.until("it is salvaged", || scene.stands(1) == "failed");
    assert!(tenant.try_wait().unwrap().is_none(), "it lives");
    tenant.kill().unwrap();
    tenant.wait().unwrap();
    scene.ok(&["restore", "1"]);
    scene.ok(&["merge", "1"]);
    assert_eq!(scene.read("new"), "new\n");
    scene.assert_tidy();
}

#[test]
fn whatever_comes_in_the_exit_code_is_1_and_nothing_is_changed() {
    let scene = Scene::new();
    let deep = "[".repeat(100_000);
    let long = format!(r#"{{"name": "{}"}}"#, "x".repeat(9 << 20));
    let inputs =
        ["", "[", "null x", "5", "{\"name\": 5}", "{\"session_id\": []}", "\u{0}\u{1}", "{\"cwd\": {}}", &deep, &long];
    for input in inputs {
        for event in ["worktree-create", "subagent-stop", "stop", "session-end"] {
            let ran = hook(&scene, &["claude", event], input);
            let shown: String = input.chars().take(30).collect();
            assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{event} {shown}: {ran:?}");
            assert!(ran.err.contains("error: ") && ran.err.contains("hint: "), "{ran:?}");
        }
    }
    for (words, input) in [
        (&["claude", "worktree-create"][..], json!({ "name": "  " })),
        (&["claude", "worktree-remove"], json!({ "worktree_path": "/etc" })),
        (&["claude", "worktree-remove"], json!({})),
        (&["claude", "no-such-event"], json!({})),
    ] {
        let ran = hook(&scene, words, &input.to_string());
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{words:?}: {ran:?}");
    }
    // What is none of our business is no error.
    for input in [
        json!({}),
        json!({ "hook_event_name": "Notification" }),
        json!({ "hook_event_name": "SubagentStop", "agent_id": "other" }),
    ] {
        assert_eq!(told(&scene, &["claude"], &input), "");
    }
    assert!(scene.board().is_empty());
    // A name is a name, whatever is in it.
    let place = create(&scene, "../../x \u{1b}[31m\n'$(touch /tmp/y)'");
    assert!(place.starts_with(scene.path("state")), "{}", place.display());
    assert!(!scene.ok(&["ls"]).contains('\u{1b}'));
    told(&scene, &["claude"], &json!({ "hook_event_name": "WorktreeRemove", "worktree_path": place }));
    scene.assert_tidy();
}

#[test]
fn whoever_calls_need_not_close_the_pipe_nor_write_anything() {
    let scene = Scene::new();
    let mut child = scene.command(&["hook", "claude", "stop"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"{}").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(input);
    let mut child =
        scene.command(&["hook", "claude", "stop", "--timeout", "1s"]).stdin(Stdio::piped()).spawn().unwrap();
    let input = child.stdin.take().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    drop(input);
}
