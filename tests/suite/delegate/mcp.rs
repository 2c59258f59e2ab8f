//! `pleach mcp` that an agent started inside of its task.

use serde_json::json;

use super::{scene, well};
use crate::mcp::client::Client;
use crate::support::scene::Scene;

/// A task that runs until it is told, and a client that speaks as if from inside of it.
fn inside(scene: &Scene) -> (u64, Client) {
    let (sign, go) = (scene.path("sign"), scene.path("go"));
    let line = format!(
        "printf '%s\\n' \"$PLEACH_SOCKET\" \"$PWD\" > {0}.new; mv {0}.new {0}; while ! test -e {1}; do sleep 0.01; done",
        sign.display(),
        go.display()
    );
    let parent = scene.add(&[], &line);
    scene.until_there(&sign);
    let told = std::fs::read_to_string(&sign).unwrap();
    let (socket, dir) = told.trim().split_once('\n').unwrap();
    let mut command = scene.command(&["mcp"]);
    command
        .env("PLEACH_SOCKET", socket)
        .env("PLEACH_TASK", parent.to_string())
        .env("PLEACH_ATTEMPT", format!("{parent}.1"));
    command.current_dir(dir);
    let mut client = Client::raw(command);
    let hello =
        json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    client.request("initialize", hello);
    client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    (parent, client)
}

#[test]
fn an_agent_in_a_task_delegates_waits_and_looks_at_what_came() {
    let scene = scene("none", 1);
    let (parent, mut client) = inside(&scene);
    let tools = client.request("tools/list", json!({}));
    let names: Vec<&str> =
        tools["result"]["tools"].as_array().unwrap().iter().filter_map(|t| t["name"].as_str()).collect();
    assert!(names.contains(&"delegate_task") && !names.contains(&"delegate_merge"), "{names:?}");
    let task = json!({ "command": "echo x > x; echo said", "title": "Make x", "idempotency_key": "once" });
    let id = client.ok("delegate_task", task.clone()).id();
    let again = client.ok("delegate_task", task);
    assert_eq!((again.id(), &again.data["asked_before"]), (id.clone(), &json!(true)));
    let waited = client.ok("delegate_wait", json!({ "task_ids": [id], "timeout_s": 100 }));
    assert_eq!(waited.data["timed_out"], false, "{waited:?}");
    // What it is told to do next, it can do.
    let next = waited.data["next"]["ready"].as_str().unwrap();
    assert!(next.contains("git apply") && !next.contains("delegate_merge"), "{next}");
    assert!(client.ok("delegate_diff", json!({ "task_id": id, "mode": "patch" })).text.contains("+x"));
    assert!(client.ok("delegate_logs", json!({ "task_id": id })).text.contains("said"));
    assert!(client.ok("delegate_result", json!({ "task_ids": [id] })).text.contains("make-x"));
    let both =
        json!({ "tasks": [{ "key": "a", "command": "true" }, { "key": "b", "command": "true", "depends_on": ["a"] }] });
    client.ok("delegate_batch", both);
    for tool in ["delegate_merge", "delegate_discard", "delegate_retry"] {
        assert!(client.refused(tool, json!({ "task_ids": [id] })).contains("not for a task to ask for"), "{tool}");
    }
    assert!(client.refused("delegate_cancel", json!({ "task_ids": [parent.to_string()] })).contains("no task"));
    client.end();
    std::fs::write(scene.path("go"), "").unwrap();
    well(&scene, parent);
    assert_eq!(scene.board().len(), 4);
}

#[test]
fn in_a_full_sandbox_without_a_network_it_is_the_same() {
    if !crate::sandbox::works("full") {
        return;
    }
    let scene = scene("full", 1);
    let script = r#"
use IPC::Open2; use strict;
my $pid = open2(my $out, my $in, 'pleach', 'mcp'); $in->autoflush(1);
sub ask { print $in "$_[0]\n"; my $line = <$out>; print $line; return $line; }
ask('{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}');
print $in '{"jsonrpc":"2.0","method":"notifications/initialized"}', "\n";
my $said = ask('{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"delegate_task","arguments":{"command":"echo x > x"}}}');
my ($id) = $said =~ /"task_id":"(\d+)"/ or die "no id";
ask('{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"delegate_wait","arguments":{"task_ids":["' . $id . '"],"timeout_s":100}}}');
my $diff = ask('{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"delegate_diff","arguments":{"task_id":"' . $id . '","mode":"patch"}}}');
die "no diff" unless $diff =~ /\+x/;
close $in; waitpid $pid, 0;
"#;
    scene.write("client.pl", script);
    scene.git(&["add", "client.pl"]);
    scene.git(&["commit", "-qm", "a client"]);
    let parent = scene.add(&["--network", "none"], "perl client.pl");
    well(&scene, parent);
    assert_eq!(scene.stands(2), "ready");
}
