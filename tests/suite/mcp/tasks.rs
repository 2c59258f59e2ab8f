//! The tasks extension: a wait without a call, over our own store.

use serde_json::{Value, json};

use super::client::{Client, said};
use crate::support::scene::Scene;

fn meta(can: &Value) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": can,
    })
}

/// Of a client that can.
fn able() -> Value {
    meta(&json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } }))
}

fn call(client: &mut Client, tool: &str, arguments: &Value) -> Value {
    client.request("tools/call", json!({ "name": tool, "arguments": arguments, "_meta": able() }))
}

fn get(client: &mut Client, id: &Value) -> Value {
    client.request("tasks/get", json!({ "taskId": id, "_meta": able() }))
}

fn wait_for(scene: &Scene, client: &mut Client, id: &Value) -> Value {
    let mut last = Value::Null;
    scene.until("it is through", || {
        last = get(client, id)["result"].take();
        last["status"] != "working"
    });
    last
}

#[test]
fn a_wait_is_a_task_that_outlives_the_server() {
    let scene = Scene::new();
    let mut client = Client::raw(scene.command(&["mcp"]));
    let found = client.request("server/discover", json!({ "_meta": able() }));
    assert!(found["result"]["capabilities"]["extensions"]["io.modelcontextprotocol/tasks"].is_object(), "{found}");
    let go = scene.path("go");
    let line = format!("until [ -e {} ]; do sleep 0.01; done; echo x > x", go.display());
    // Delegating answers at once, as ever.
    assert_eq!(said(&call(&mut client, "delegate_task", &json!({ "command": line }))).id(), "1");
    let made = call(&mut client, "delegate_wait", &json!({ "task_ids": ["1"] }));
    let handle = &made["result"];
    assert_eq!((&handle["resultType"], &handle["status"]), (&json!("task"), &json!("working")), "{made}");
    assert_eq!((&handle["ttlMs"], &handle["statusMessage"]), (&Value::Null, &json!("0 of 1 ended")), "{made}");
    let id = handle["taskId"].clone();
    // Another server, and the same wait; the task itself is one, too.
    client.end();
    let mut client = Client::raw(scene.command(&["mcp"]));
    assert_eq!(get(&mut client, &id)["result"]["status"], "working");
    assert_eq!(get(&mut client, &json!("1"))["result"]["status"], "working");
    std::fs::write(&go, "").unwrap();
    let done = wait_for(&scene, &mut client, &id);
    assert_eq!(done["status"], "completed", "{done:#}");
    let content = &done["result"]["structuredContent"];
    assert_eq!((&content["timed_out"], &content["tasks"][0]["state"]), (&json!(false), &json!("ready")), "{done:#}");
    let whole = get(&mut client, &json!("1"))["result"].take();
    assert_eq!(whole["result"]["structuredContent"]["results"][0]["files"], json!(["x"]), "{whole:#}");
    // One that is over in any case.
    call(&mut client, "delegate_task", &json!({ "command": "sleep 300" }));
    let id =
        call(&mut client, "delegate_wait", &json!({ "task_ids": ["2"], "timeout_s": 1 }))["result"]["taskId"].take();
    let over = wait_for(&scene, &mut client, &id);
    assert_eq!(over["result"]["structuredContent"]["timed_out"], true, "{over:#}");
    // Cancelled by the protocol.
    let ack = client.request("tasks/cancel", json!({ "taskId": "2", "_meta": able() }));
    assert!(ack["error"].is_null(), "{ack}");
    let ended = wait_for(&scene, &mut client, &json!("2"));
    assert_eq!(ended["result"]["structuredContent"]["results"][0]["outcome"], "cancelled", "{ended:#}");
    client.end();
}

#[test]
fn a_merge_that_takes_long_is_a_task() {
    let scene = Scene::new();
    let mut client = Client::raw(scene.command(&["mcp"]));
    call(&mut client, "delegate_task", &json!({ "command": "echo x > x" }));
    scene.ok(&["wait", "1"]);
    let go = scene.path("go");
    let verify = format!("until [ -e {} ]; do sleep 0.01; done", go.display());
    let made = call(&mut client, "delegate_merge", &json!({ "task_ids": ["1"], "verify": verify }));
    assert_eq!(made["result"]["status"], "working", "{made}");
    let id = made["result"]["taskId"].clone();
    std::fs::write(&go, "").unwrap();
    let done = wait_for(&scene, &mut client, &id);
    assert_eq!(done["result"]["structuredContent"]["results"][0]["state"], "folded", "{done:#}");
    // What is through at once is answered at once.
    let again = said(&call(&mut client, "delegate_merge", &json!({ "task_ids": ["1"] })));
    assert_eq!(again.data["merges"][0]["result"], "merged_already", "{again:?}");
    client.end();
}

#[test]
fn who_cannot_or_asks_for_nothing_known_is_told() {
    let scene = Scene::new();
    let mut client = Client::raw(scene.command(&["mcp"]));
    scene.add(&[], "true");
    let plain = json!({ "name": "delegate_wait", "arguments": { "task_ids": ["1"] }, "_meta": meta(&json!({})) });
    assert_eq!(said(&client.request("tools/call", plain)).data["timed_out"], false);
    let refused = client.request("tasks/get", json!({ "taskId": "1", "_meta": meta(&json!({})) }));
    assert_eq!(refused["error"]["code"], -32021, "{refused}");
    for id in ["9", "all-9-1-0", "x", "", "all-1", "../../etc"] {
        let answer = get(&mut client, &json!(id));
        assert_eq!(answer["error"]["code"], -32602, "{id}: {answer}");
        let answer = client.request("tasks/cancel", json!({ "taskId": id, "_meta": able() }));
        assert_eq!(answer["error"]["code"], -32602, "{id}: {answer}");
    }
    client.end();
}
