//! Clients that we did not write: the official SDK for Python, and the MCP Inspector. Where one is not installed, it is
//! said that nothing was tried.
#![allow(clippy::disallowed_methods, reason = "tests start programs as a user would")]

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::scene::Scene;

/// Start it with the environment of the scene; `None` where it cannot even say what version it is.
fn program(scene: &Scene, program: &str, probe: &[&str]) -> Option<Command> {
    let mut is_there = Command::new(program);
    is_there.args(probe).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if !is_there.status().is_ok_and(|status| status.success()) {
        eprintln!("{program} {} does not work here: not tested", probe.join(" "));
        return None;
    }
    let wanted = scene.command(&[]);
    let mut command = Command::new(program);
    command.env_clear().envs(wanted.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(&scene.top).stdin(Stdio::null());
    Some(command)
}

#[test]
fn the_sdk_for_python_delegates_waits_looks_and_merges() {
    let scene = Scene::new();
    let python = std::env::var("PLEACH_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let Some(mut command) = program(&scene, &python, &["-c", "import mcp"]) else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/mcp/client.py");
    let output = command.arg(script).arg(env!("CARGO_BIN_EXE_pleach")).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{}", scene.story());
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(seen["states"], json!(["ready", "merged", "conflict", "unknown_task"]), "{seen:#}");
    assert!(seen["progress"].as_u64().unwrap() >= 1, "{seen:#}");
    assert_eq!(scene.read("from-python"), "hello\n");
}

#[test]
fn the_inspector_delegates_waits_looks_and_merges() {
    let scene = Scene::new();
    let inspector = std::env::var("PLEACH_TEST_INSPECTOR").unwrap_or_else(|_| "mcp-inspector".to_owned());
    if program(&scene, &inspector, &["--help"]).is_none() {
        return;
    }
    let call = |method: &str, tool: Option<&str>, arguments: &[&str]| -> Value {
        let mut command = program(&scene, &inspector, &["--help"]).unwrap();
        command.args(["--cli", env!("CARGO_BIN_EXE_pleach"), "mcp", "--method", method]);
        // It hands its server no more of the environment than it is told to.
        for name in ["PLEACH_STATE_DIR", "PLEACH_SANDBOX", "PLEACH_IDLE_SECONDS"] {
            let wanted = scene.command(&[]);
            let value = wanted.get_envs().find(|(key, _)| *key == name).and_then(|(_, value)| value).unwrap();
            command.arg("-e").arg(format!("{name}={}", value.to_str().unwrap()));
        }
        if let Some(tool) = tool {
            command.args(["--tool-name", tool]);
        }
        for argument in arguments {
            command.args(["--tool-arg", argument]);
        }
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{method} {tool:?}: {told}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let tools = call("tools/list", None, &[]);
    assert_eq!(tools["tools"][0]["name"], "delegate_task");
    let task = call("tools/call", Some("delegate_task"), &["command=echo hello > from-inspector", "title=hello"]);
    assert_eq!(task["structuredContent"]["task_id"], "1", "{task:#}");
    let done = call("tools/call", Some("delegate_wait"), &["task_ids=[\"1\"]", "timeout_s=120"]);
    assert_eq!(done["structuredContent"]["tasks"][0]["state"], "ready", "{done:#}");
    let patch = call("tools/call", Some("delegate_diff"), &["task_id=hello", "mode=patch"]);
    assert!(patch["content"][0]["text"].as_str().unwrap().contains("+hello"), "{patch:#}");
    let merged = call("tools/call", Some("delegate_merge"), &["task_ids=[\"1\"]"]);
    assert_eq!(merged["structuredContent"]["merges"][0]["result"], "merged", "{merged:#}");
    assert_eq!(scene.read("from-inspector"), "hello\n");
    let wrong = call("tools/call", Some("delegate_merge"), &["task_ids=[\"9\"]"]);
    assert_eq!((&wrong["isError"], &wrong["structuredContent"]["kind"]), (&json!(true), &json!("unknown_task")));
}
