//! Waits are bounded, told of, and given up; the tasks go on.

use serde_json::json;

use super::client::{Client, said};
use crate::support::scene::Scene;

#[test]
fn a_wait_ends_in_time_and_the_task_goes_on() {
    let scene = Scene::new();
    let mut client = Client::new(&scene);
    let go = scene.path("go");
    client.ok(
        "delegate_task",
        json!({ "command": format!("until [ -e {} ]; do sleep 0.01; done; echo x > x", go.display()) }),
    );
    client.ok("delegate_task", json!({ "command": "echo y > y" }));
    let said = client.ok("delegate_wait", json!({ "task_ids": ["1"], "timeout_s": 1 }));
    assert_eq!(
        (&said.data["timed_out"], &said.data["tasks"][0]["state"]),
        (&json!(true), &json!("running")),
        "{said:?}"
    );
    assert!(said.text.contains("call delegate_wait again"), "{}", said.text);
    // Some clients show their model the data alone.
    assert_eq!(said.data["next"], json!({ "running": "delegate_wait" }));
    // One is enough where one is enough.
    let any = client.ok("delegate_wait", json!({ "task_ids": ["1", "2"], "mode": "any", "timeout_s": 120 }));
    assert_eq!(any.data["timed_out"], false);
    assert_eq!(scene.stands(1), "running");
    std::fs::write(&go, "").unwrap();
    let all = client.ok("delegate_wait", json!({ "timeout_s": 120 }));
    assert_eq!(all.data["timed_out"], false);
    assert_eq!((scene.stands(1), scene.stands(2)), ("ready".to_owned(), "ready".to_owned()));
}

#[test]
fn whoever_waits_is_told_how_far_it_is() {
    let scene = Scene::new();
    let mut client = Client::new(&scene);
    let go = scene.path("go");
    client.ok("delegate_task", json!({ "command": format!("until [ -e {} ]; do sleep 0.01; done", go.display()) }));
    let call =
        json!({ "name": "delegate_wait", "arguments": { "timeout_s": 120 }, "_meta": { "progressToken": "mine" } });
    let id = client.ask("tools/call", call);
    let mut last = 0.0;
    for _ in 0..2 {
        let news = client.next();
        assert_eq!(
            (&news["method"], &news["params"]["progressToken"]),
            (&json!("notifications/progress"), &json!("mine"))
        );
        let now = news["params"]["progress"].as_f64().unwrap();
        assert!(now > last && news["params"]["message"].as_str().unwrap().contains("0 of 1 ended"), "{news}");
        last = now;
    }
    std::fs::write(&go, "").unwrap();
    assert!(!said(&client.answer(id)).is_error);
}

/// A call that is given up is over for the server, too: nobody asks the coordinator for it any more.
#[test]
fn a_wait_that_is_given_up_leaves_the_task_alone() {
    let scene = Scene::new();
    let mut client = Client::new(&scene);
    let go = scene.path("go");
    client.ok("delegate_task", json!({ "command": format!("until [ -e {} ]; do sleep 0.01; done", go.display()) }));
    let call = json!({ "name": "delegate_wait", "arguments": { "timeout_s": 600 }, "_meta": { "progressToken": 1 } });
    let id = client.ask("tools/call", call);
    // It waits, for it tells so.
    assert_eq!(client.next()["method"], "notifications/progress");
    let threads = || {
        let server =
            scene.processes().into_iter().find(|process| process.words.last().is_some_and(|word| word == "mcp"));
        std::fs::read_dir(format!("/proc/{}/fd", server.unwrap().pid))
            .unwrap()
            .flatten()
            .filter(|fd| {
                std::fs::read_link(fd.path()).is_ok_and(|place| place.to_string_lossy().starts_with("socket:"))
            })
            .count()
    };
    let waiting = threads();
    client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id, "reason": "enough" } }));
    scene.until("the connection to the coordinator is let go", || threads() < waiting);
    assert_eq!(client.ok("delegate_status", json!({})).data["tasks"][0]["state"], "running");
    assert!(client.notices.iter().all(|line| line["id"] != id), "{:?}", client.notices);
    // A client that goes away in the middle of a wait takes the server with it, and not the task.
    client.ask("tools/call", json!({ "name": "delegate_wait", "arguments": { "timeout_s": 600 } }));
    client.end();
    assert_eq!(scene.stands(1), "running");
    std::fs::write(&go, "").unwrap();
    scene.ok(&["wait", "1"]);
}

#[test]
fn cancelled_is_true_only_when_it_has_ended() {
    let scene = Scene::new();
    let mut client = Client::new(&scene);
    let up = scene.path("up");
    client.ok("delegate_task", json!({ "command": format!("touch {}; sleep 600", up.display()), "title": "slow" }));
    client.ok("delegate_task", json!({ "command": "true", "depends_on": ["slow"] }));
    scene.until_there(&up);
    let said = client.ok("delegate_cancel", json!({ "task_ids": ["slow", "2"] }));
    assert_eq!(
        (&said.data["tasks"][0]["state"], &said.data["tasks"][0]["outcome"]),
        (&json!("failed"), &json!("cancelled")),
        "{said:?}"
    );
    assert_eq!(said.data["tasks"][1]["state"], "withdrawn");
    assert!(!scene.processes().iter().any(|process| process.words.iter().any(|word| word == "600")));
    let again = client.ok("delegate_retry", json!({ "task_ids": ["slow"] }));
    assert!(["waiting", "running"].contains(&again.data["tasks"][0]["state"].as_str().unwrap()), "{again:?}");
    client.ok("delegate_cancel", json!({ "task_ids": ["slow"], "now": true }));
}

/// A check can take longer than a client waits: the fold goes on, and is found later.
#[test]
fn a_merge_that_takes_long_is_told_and_goes_on() {
    let scene = Scene::new();
    let mut client = Client::new(&scene);
    let go = scene.path("go");
    client.ok("delegate_task", json!({ "command": "echo x > x" }));
    client.ok("delegate_wait", json!({ "timeout_s": 120 }));
    let check = format!("until [ -e {} ]; do sleep 0.01; done", go.display());
    let said = client.ok("delegate_merge", json!({ "task_ids": ["1"], "verify": check, "timeout_s": 1 }));
    assert_eq!(said.data["timed_out"], true, "{said:?}");
    assert!(said.text.contains("goes on by itself"), "{}", said.text);
    std::fs::write(&go, "").unwrap();
    client.ok("delegate_wait", json!({ "task_ids": ["1"], "timeout_s": 120 }));
    let result = client.ok("delegate_result", json!({ "task_ids": ["1"] }));
    assert_eq!(result.data["results"][0]["merged"]["target"], "main", "{result:?}");
}
