//! Clients that we did not write: the official SDK for Python, the MCP Inspector, and real agents with a model that only
//! delegates. Where one is not installed, it is said that nothing was tried; agents are tried where a variable names them
//! (`PLEACH_TEST_CLAUDE`, `PLEACH_TEST_CODEX`).
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

#[test]
fn claude_code_delegates_by_what_install_wrote() {
    agent("claude", "PLEACH_TEST_CLAUDE");
}

#[test]
fn codex_delegates_by_what_install_wrote() {
    agent("codex", "PLEACH_TEST_CODEX");
}

/// The agent calls delegate_task, delegate_wait and delegate_merge, and the result is in the checkout.
fn agent(which: &str, variable: &str) {
    let Ok(path) = std::env::var(variable) else {
        eprintln!("{variable} does not name a program: not tested");
        return;
    };
    let scene = Scene::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/mcp/agent");
    // It can call nobody but the model: there is nothing else in its network.
    let alone = program(&scene, "unshare", &["--map-root-user", "--net", "true"]);
    let mut command = match alone {
        Some(mut command) => {
            command.args(["--map-root-user", "--net", "sh"]);
            command
        }
        None => program(&scene, "sh", &["-c", "true"]).unwrap(),
    };
    let output = command.args([script, which, &path, env!("CARGO_BIN_EXE_pleach")]).output().unwrap();
    let told = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).join("\n");
    assert!(output.status.success(), "{told}");
    for tool in ["delegate_task", "delegate_wait", "delegate_merge"] {
        assert!(told.contains(tool), "{which} did not call {tool}: {told}");
    }
    assert_eq!(scene.read("from-agent"), "delegated\n", "{told}\n{}", scene.story());
}
