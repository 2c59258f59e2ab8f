//! Each tool: what it does, and what it says where it cannot.

use serde_json::{Value, json};

use super::client::Client;
use crate::support::scene::Scene;

const ALL: &[&str] = &[
    "delegate_task",
    "delegate_batch",
    "delegate_roles",
    "delegate_wait",
    "delegate_status",
    "delegate_result",
    "delegate_diff",
    "delegate_logs",
    "delegate_merge",
    "delegate_retry",
    "delegate_send",
    "delegate_cancel",
    "delegate_discard",
];

fn wait(client: &mut Client, ids: &[&str]) -> Value {
    let said = client.ok("delegate_wait", json!({ "task_ids": ids, "timeout_s": 120 }));
    assert_eq!(said.data["timed_out"], false, "{said:?}");
    said.data["tasks"].clone()
}

#[test]
fn a_task_from_its_start_to_its_fold() {
    let scene = Scene::new();
    let mut client = Client::new(&scene);
    let list = client.request("tools/list", json!({}));
    let names: Vec<&str> =
        list["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ALL);
    let page = include_str!("../../../docs/mcp.md");
    ALL.iter().for_each(|tool| assert!(page.contains(&format!("| `{tool}` |")), "docs/mcp.md says nothing of {tool}"));
    let task = client.ok(
        "delegate_task",
        json!({ "command": "echo more >> readme; echo said; pleach summary 'all done'", "title": "More of it" }),
    );
    assert_eq!((task.id().as_str(), &task.data["name"]), ("1", &json!("more-of-it")));
    let rows = wait(&mut client, &["1"]);
    assert_eq!((&rows[0]["state"], &rows[0]["files"]), (&json!("ready"), &json!(1)), "{rows}");
    let result = client.ok("delegate_result", json!({ "task_ids": ["more-of-it"] }));
    let one = &result.data["results"][0];
    assert_eq!(
        (&one["exit_code"], &one["summary"], &one["files"]),
        (&json!(0), &json!("all done"), &json!(["readme"]))
    );
    assert!(one["commits"][0].as_str().unwrap().ends_with(" More of it"), "{one}");
    assert!(result.text.contains("all done") && result.text.contains("delegate_merge"), "{}", result.text);
    let stat = client.ok("delegate_diff", json!({ "task_id": "1" }));
    assert_eq!(stat.data["files"][0]["path"], "readme");
    let patch = client.ok("delegate_diff", json!({ "task_id": 1, "mode": "patch", "paths": ["readme"] }));
    assert!(patch.text.contains("+more") && patch.data["next_cursor"].is_null(), "{patch:?}");
    let other = client.ok("delegate_diff", json!({ "task_id": "1", "mode": "patch", "paths": ["dir"] }));
    assert_eq!((other.text.as_str(), &other.data["patch"]), ("nothing differs", &json!("")));
    let log = client.ok("delegate_logs", json!({ "task_id": "1" }));
    assert_eq!((&log.data["text"], &log.data["ended"]), (&json!("said\n"), &json!(true)));
    let dry = client.ok("delegate_merge", json!({ "task_ids": ["1"], "dry_run": true }));
    assert_eq!(dry.data["merges"][0]["result"], "would_merge");
    assert_eq!(scene.read("readme"), "hello\n");
    let merged = client.ok("delegate_merge", json!({ "task_ids": ["1"], "verify": "grep -q more readme" }));
    let one = &merged.data["merges"][0];
    assert_eq!((&one["result"], &one["target"]), (&json!("merged"), &json!("main")), "{merged:?}");
    assert_eq!(one["commit"].as_str().unwrap(), scene.git(&["rev-parse", "main"]));
    assert_eq!(scene.read("readme"), "hello\nmore\n");
    let again = client.ok("delegate_merge", json!({ "task_ids": ["1"] }));
    assert_eq!(again.data["merges"][0]["result"], "merged_already");
    assert_eq!(client.ok("delegate_status", json!({})).text, "no tasks");
    client.end();
    scene.assert_tidy();
}

#[test]
fn asked_twice_with_one_key_is_one_task() {
    let scene = Scene::new();
    let mut client = Client::new(&scene);
    let wish = json!({ "command": "true", "idempotency_key": "k" });
    assert_eq!(client.ok("delegate_task", wish.clone()).data["asked_before"], false);
    client.end();
    // Another server, as after a crash of the client.
    let mut client = Client::new(&scene);
    let again = client.ok("delegate_task", wish);
    assert_eq!((again.id().as_str(), &again.data["asked_before"]), ("1", &json!(true)));
    assert_eq!(client.ok("delegate_task", json!({ "command": "true", "idempotency_key": "other" })).id(), "2");
    let batch = json!({ "tasks": [{ "key": "a", "command": "true" }, { "key": "b", "command": "true" }], "idempotency_key": "k" });
    let first = client.ok("delegate_batch", batch.clone());
    let second = client.ok("delegate_batch", batch);
    assert_eq!(
        (&first.data["task_ids"], &first.data["batch_id"]),
        (&second.data["task_ids"], &second.data["batch_id"])
    );
    assert_eq!((&first.data["asked_before"], &second.data["asked_before"]), (&json!(false), &json!(true)));
    assert_eq!(scene.board().len(), 4);
    wait(&mut client, &["1", "2", "3", "4"]);
}

#[test]
fn a_batch_is_all_or_nothing_and_knows_its_tasks() {
    let scene = Scene::new();
    let mut client = Client::new(&scene);
    let tasks = json!([
        { "key": "last", "command": "cat one two > three", "depends_on": ["one", "two"], "title": "three" },
        { "key": "one", "command": "echo 1 > one" },
        { "key": "two", "command": "echo 2 > two" },
    ]);
    let batch = client.ok("delegate_batch", json!({ "tasks": tasks }));
    let name = batch.data["batch_id"].as_str().unwrap();
    let last = batch.data["task_ids"]["last"].as_str().unwrap().to_owned();
    let done = client.ok("delegate_wait", json!({ "batch_id": name, "timeout_s": 120 }));
    let rows = done.data["tasks"].as_array().unwrap();
    assert!(rows.len() == 3 && rows.iter().all(|row| row["state"] == "ready"), "{rows:?}");
    let patch = client.ok("delegate_diff", json!({ "task_id": last, "mode": "patch" }));
    assert!(patch.text.contains("+1") && patch.text.contains("+2"), "{}", patch.text);
    assert_eq!(client.ok("delegate_status", json!({ "batch_id": name })).data["tasks"].as_array().unwrap().len(), 3);
    let before = scene.board().len();
    let circle = json!([{ "key": "a", "command": "true", "depends_on": ["b"] }, { "key": "b", "command": "true", "depends_on": ["a"] }]);
    assert!(client.refused("delegate_batch", json!({ "tasks": circle })).contains("wait for each other: a, b"));
    let unknown =
        json!([{ "key": "a", "command": "sleep 600" }, { "key": "b", "command": "true", "depends_on": ["nobody"] }]);
    assert!(client.refused("delegate_batch", json!({ "tasks": unknown })).contains("there is no task nobody"));
    assert_eq!(scene.board().len(), before);
    let wrong = json!([{ "key": "a", "command": "sleep 600" }, { "key": "b", "command": "true", "base": "nowhere" }]);
    let told = client.refused("delegate_batch", json!({ "tasks": wrong, "idempotency_key": "k" }));
    assert!(
        told.contains("nowhere") && told.contains("cancelled again: 4") && told.contains("another idempotency_key"),
        "{told}"
    );
    wait(&mut client, &["4"]);
    // It had started meanwhile, or it had not.
    assert!(scene.board().len() - before == 1 && ["failed", "withdrawn"].contains(&scene.stands(4).as_str()));
    assert!(client.refused("delegate_wait", json!({ "batch_id": "batch-none" })).contains("there is no batch"));
    // Together they go in, in whatever order they are named.
    let merged = client.ok("delegate_merge", json!({ "task_ids": [last, "1", "2"] }));
    let results: Vec<&Value> = merged.data["merges"].as_array().unwrap().iter().map(|one| &one["result"]).collect();
    assert!(results.iter().all(|result| **result == "merged"), "{merged:?}");
}

#[test]
fn a_batch_stands_or_falls_together_where_that_is_said() {
    let scene = Scene::with_concurrency(4);
    let mut client = Client::new(&scene);
    let wish = |policy: &str| {
        json!({
            "on_failure": policy, "concurrency": 1, "idempotency_key": policy,
            "tasks": [
                { "key": "behind", "command": "true", "depends_on": ["bad"] },
                { "key": "good", "command": "echo good > good" },
                { "key": "bad", "command": "exit 3", "depends_on": ["good"] },
            ],
        })
    };
    for (policy, expected) in [
        ("continue", ["blocked", "ready", "failed"]),
        ("stop", ["withdrawn", "ready", "failed"]),
        ("discard all", ["withdrawn", "discarded", "discarded"]),
    ] {
        let batch = client.ok("delegate_batch", wish(policy));
        let name = batch.data["batch_id"].as_str().unwrap().to_owned();
        let done = client.ok("delegate_wait", json!({ "batch_id": name, "timeout_s": 120 }));
        assert_eq!(done.data["tasks"].as_array().unwrap().len(), 3, "{done:?}");
        let ids = ["behind", "good", "bad"].map(|key| batch.data["task_ids"][key].as_str().unwrap().parse().unwrap());
        scene.until("all of it has come to rest", || ids.map(|id| scene.stands(id)) == expected);
        // A person sees it as a plan.
        assert!(scene.pleach(&["report", &name]).out.contains(&format!("plan {name}.1 ")));
        let again = client.ok("delegate_batch", wish(policy));
        assert_eq!((&again.data["task_ids"], &again.data["asked_before"]), (&batch.data["task_ids"], &json!(true)));
    }
    let before = scene.board().len();
    for (arguments, told) in [
        (json!({ "concurrency": 0, "tasks": [{ "key": "a", "command": "true" }] }), "concurrency: 0 tasks at once"),
        (
            json!({ "on_failure": "explode", "tasks": [{ "key": "a", "command": "true" }] }),
            "continue, stop or discard all",
        ),
        (
            json!({ "on_failure": "stop", "tasks": [{ "key": "a", "command": "true", "depends_on": ["1"] }] }),
            "tasks of this batch only",
        ),
        (
            json!({ "on_failure": "discard all", "tasks": [{ "key": "a", "command": "true", "merge": "auto" }] }),
            "cannot be discarded",
        ),
        (
            json!({ "on_failure": "stop", "tasks": [{ "key": "a", "command": "true" }, { "key": "b", "command": "true", "base": "nowhere" }] }),
            "nowhere",
        ),
    ] {
        assert!(client.refused("delegate_batch", arguments.clone()).contains(told), "{arguments}");
    }
    assert_eq!(scene.board().len(), before, "nothing of any was started");
}

#[test]
fn a_conflict_is_told_with_its_files_and_settled_by_another_attempt() {
    let scene = Scene::new();
    let mut client = Client::new(&scene);
    client.ok("delegate_task", json!({ "command": "echo $PLEACH_ATTEMPT >> readme", "title": "clash" }));
    wait(&mut client, &["clash"]);
    scene.write("readme", "hello\nmine\n");
    scene.git(&["commit", "-qam", "mine"]);
    let told = client.ok("delegate_merge", json!({ "task_ids": ["clash"] }));
    let one = &told.data["merges"][0];
    assert_eq!((&one["result"], &one["conflict_files"]), (&json!("conflict"), &json!(["readme"])), "{told:?}");
    assert!(told.text.contains("nothing was touched") && told.text.contains("onto_target"), "{}", told.text);
    assert_eq!(scene.read("readme"), "hello\nmine\n");
    client.ok("delegate_retry", json!({ "task_ids": ["clash"], "onto_target": true }));
    wait(&mut client, &["clash"]);
    assert_eq!(client.ok("delegate_merge", json!({ "task_ids": ["clash"] })).data["merges"][0]["result"], "merged");
    assert_eq!(scene.read("readme"), "hello\nmine\n1.2\n");
    // What does not pass is told, too, and stays out.
    client.ok("delegate_task", json!({ "command": "echo bad > bad", "title": "bad" }));
    wait(&mut client, &["bad"]);
    let told = client.ok("delegate_merge", json!({ "task_ids": ["bad"], "verify": "! test -e bad" }));
    assert_eq!(told.data["merges"][0]["result"], "rejected", "{told:?}");
    // What is in it may stay as a branch, but never in the place of another one.
    client.refused("delegate_discard", json!({ "task_ids": ["bad"], "keep_branch": "main" }));
    let gone = client.ok("delegate_discard", json!({ "task_ids": ["bad"], "keep_branch": "idea" }));
    assert_eq!(scene.git(&["show", "idea:bad"]), "bad");
    assert_eq!(gone.data["tasks"][0]["state"], "discarded");
}

#[test]
fn long_logs_and_diffs_come_in_pages() {
    let scene = Scene::new();
    let mut client = Client::new(&scene);
    let long = "i=0; while [ $i -lt 3000 ]; do echo \"line $i of many\"; i=$((i+1)); done | tee long";
    client.ok("delegate_task", json!({ "command": long }));
    wait(&mut client, &["1"]);
    let whole: String = (0..3000).map(|n| format!("line {n} of many\n")).collect();
    let tail = client.ok("delegate_logs", json!({ "task_id": "1", "tail": 2 }));
    assert_eq!(tail.data["text"], "line 2998 of many\nline 2999 of many\n");
    let (mut seen, mut cursor) = (String::new(), json!("1.1:0"));
    while let Value::String(_) = cursor {
        let page = client.ok("delegate_logs", json!({ "task_id": "1", "cursor": cursor, "max_bytes": 5000 }));
        let text = page.data["text"].as_str().unwrap();
        assert!(text.len() <= 5000, "{}", text.len());
        seen += text;
        cursor = page.data["next_cursor"].clone();
    }
    assert!(seen == whole, "{} of {}", seen.len(), whole.len());
    let (mut patch, mut cursor, mut pages) = (String::new(), Value::Null, 0);
    loop {
        let page = client.ok("delegate_diff", json!({ "task_id": "1", "mode": "patch", "cursor": cursor }));
        assert!(page.text.len() < 9000, "{}", page.text.len());
        patch += page.data["patch"].as_str().unwrap();
        cursor = page.data["next_cursor"].clone();
        pages += 1;
        if cursor.is_null() {
            break;
        }
    }
    let put_together = scene.path("patch");
    std::fs::write(&put_together, patch).unwrap();
    scene.git(&["apply", put_together.to_str().unwrap()]);
    assert!(pages > 5 && scene.read("long") == whole, "{pages} pages");
    // A page that nobody asked to be small is.
    let tail = client.ok("delegate_logs", json!({ "task_id": "1", "tail": 3000 }));
    assert!(tail.text.len() < 9000 && tail.text.ends_with("line 2999 of many\n"));
    assert!(tail.data["skipped_bytes"].as_u64().unwrap() > 40_000, "{}", tail.data);
    for cursor in ["x", "2.1:0", "1.9:0", "1.1:x"] {
        client.refused("delegate_logs", json!({ "task_id": "1", "cursor": cursor }));
    }
    assert!(
        client.refused("delegate_diff", json!({ "task_id": "1", "mode": "patch", "cursor": "8-0" })).contains("cursor")
    );
    let events = client.ok("delegate_logs", json!({ "task_id": "1", "stream": "events" }));
    assert_eq!(events.data["events"][0]["event"], "submitted");
    let more = json!({ "task_id": "1", "stream": "events", "cursor": events.data["next_cursor"] });
    assert_eq!(client.ok("delegate_logs", more).data["events"], json!([]));
}

#[test]
fn what_makes_no_sense_says_the_next_step() {
    let scene = Scene::new();
    let mut client = Client::new(&scene);
    for (tool, arguments, told) in [
        ("delegate_task", json!({}), "a command or a prompt"),
        ("delegate_task", json!({ "command": " " }), "a command or a prompt"),
        ("delegate_task", json!({ "prompt": "do it" }), "nobody says which agent"),
        ("delegate_task", json!({ "comand": "true" }), "unknown field `comand`"),
        ("delegate_task", json!({ "command": "true", "key": "k" }), "only tasks of a batch"),
        ("delegate_task", json!({ "command": "true", "priority": "urgent" }), "low, normal, high or critical"),
        ("delegate_task", json!({ "command": "true", "merge": "now" }), "review, auto or never"),
        ("delegate_task", json!({ "command": "true", "base": "nowhere" }), "not a commit"),
        ("delegate_task", json!({ "command": "true", "depends_on": ["9"] }), "there is no task 9"),
        ("delegate_batch", json!({ "tasks": [] }), "0 tasks"),
        ("delegate_batch", json!({ "tasks": [{ "command": "true" }] }), "needs one"),
        (
            "delegate_batch",
            json!({ "tasks": [{ "key": "a", "command": "true" }, { "key": "a", "command": "true" }] }),
            "two tasks have the key",
        ),
        ("delegate_task", json!({ "command": "true", "paths": ["/etc"] }), "paths: \"/etc\" begins with /"),
        ("delegate_send", json!({ "task_id": "9", "message": "hello" }), "there is no task 9"),
        ("delegate_wait", json!({ "task_ids": ["9"] }), "there is no task 9"),
        ("delegate_wait", json!({ "task_ids": ["1"], "mode": "some" }), "`any` or `all`"),
        ("delegate_status", json!({ "task_ids": ["a b"] }), "a task"),
        ("delegate_result", json!({ "task_ids": [] }), "is empty"),
        ("delegate_diff", json!({}), "missing field `task_id`"),
        ("delegate_diff", json!({ "task_id": "9" }), "delegate_status"),
        ("delegate_merge", json!({ "task_ids": [] }), "is empty"),
        ("delegate_cancel", json!({ "task_ids": ["9"] }), "there is no task 9"),
        ("delegate_retry", json!({ "task_ids": ["9"] }), "there is no task 9"),
        ("delegate_discard", json!({ "task_ids": ["9"] }), "there is no task 9"),
    ] {
        let said = client.refused(tool, arguments.clone());
        assert!(said.contains(told), "{tool} {arguments}: {said}");
    }
    assert!(scene.board().is_empty());
    let answer = client.request("tools/call", json!({ "name": "delegate_nothing", "arguments": {} }));
    assert!(answer["error"]["message"].as_str().unwrap().contains("there is no tool delegate_nothing"), "{answer}");
    // Nor is what is no protocol at all.
    client.send(&json!("nonsense"));
    // What cannot be done where a task stands is no reason to give up on the server.
    client.ok("delegate_task", json!({ "command": "true" }));
    wait(&mut client, &["1"]);
    client.refused("delegate_cancel", json!({ "task_ids": ["1"] }));
    assert!(client.refused("delegate_send", json!({ "task_id": "1", "message": "hello" })).contains("hears nothing"));
    assert_eq!(client.ok("delegate_logs", json!({ "task_id": "1" })).text, "it wrote nothing");
}

#[test]
fn what_a_task_may_touch_is_looked_for_in_its_result() {
    let scene = Scene::new();
    let mut client = Client::new(&scene);
    let task = json!({ "command": "mkdir docs; echo x > docs/x; echo y > y", "title": "strays", "paths": ["docs/**"] });
    client.ok("delegate_task", task);
    wait(&mut client, &["strays"]);
    let merged = client.ok("delegate_merge", json!({ "task_ids": ["strays"] }));
    assert_eq!(merged.data["merges"][0]["result"], "held", "{merged:?}");
    assert!(merged.text.contains("y is none of the paths that it may touch"), "{merged:?}");
    // The same on the command line, where it is one that keeps to it.
    scene.ok(&[
        "run",
        "--name",
        "keeps",
        "--paths",
        "docs/**",
        "--paths",
        "README",
        "--",
        "mkdir docs; echo x > docs/z",
    ]);
    scene.ok(&["merge", "keeps"]);
    assert_eq!(scene.read("docs/z"), "x\n");
}

#[test]
fn a_server_outside_of_a_repository_says_so_and_goes_on() {
    let scene = Scene::new();
    let mut command = scene.command(&["mcp"]);
    command.current_dir(scene.path("home"));
    let mut client = Client::raw(command);
    // The newest revision of the protocol has no handshake.
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let found = client.request("server/discover", json!({ "_meta": meta }));
    assert!(found["result"]["supportedVersions"].as_array().unwrap().contains(&json!("2026-07-28")), "{found}");
    let call = json!({ "name": "delegate_status", "arguments": {}, "_meta": meta });
    let answer = super::client::said(&client.request("tools/call", call));
    assert!(answer.is_error && answer.data["kind"] == "repository", "{answer:?}");
    assert!(answer.text.contains("next: "), "{}", answer.text);
}

#[test]
fn a_prompt_is_done_by_the_agent_that_was_named() {
    let scene = Scene::new();
    let mut client = Client::with(&scene, &["--agent", "cat > answer"]);
    let prompt = "Write $HOME and 'quotes'\nas they are";
    let task = client.ok("delegate_task", json!({ "prompt": prompt }));
    assert_eq!(task.data["name"], "write-home-and-quotes");
    wait(&mut client, &["1"]);
    client.ok("delegate_merge", json!({ "task_ids": ["1"] }));
    assert_eq!(scene.read("answer"), format!("{prompt}\n"));
    assert!(client.refused("delegate_task", json!({ "prompt": "x".repeat(100_001) })).contains("longer than"));
    assert!(client.refused("delegate_task", json!({ "prompt": "x", "command": "y" })).contains("one of them only"));
}

#[test]
fn a_task_delegates_for_itself_and_not_in_the_place_of_its_user() {
    let scene = Scene::new();
    let lines = [
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params":
            { "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } } }),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params":
            { "name": "delegate_task", "arguments": { "command": "true" } } }),
    ];
    let said: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let question = scene.path("question");
    std::fs::write(&question, said).unwrap();
    let top = scene.top.display();
    // Here it gets a task of its own; with the way out named it starts nothing. The input stays open until the answer is there.
    for place in [".".to_owned(), top.to_string()] {
        let answer = scene.path("answer");
        let line = format!(
            "(cat {}; until grep -q '\"id\":2' {1}; do :; done) | pleach -C {place} mcp > {1}",
            question.display(),
            answer.display()
        );
        let id = scene.add(&[], &line);
        scene.ok(&["wait", &id.to_string()]);
        let told = std::fs::read_to_string(&answer).unwrap();
        let is_refused = told.contains("not for a task to ask for");
        assert_eq!(is_refused, place != ".", "{told}");
        std::fs::remove_file(&answer).unwrap();
    }
    assert_eq!(scene.board().len(), 3);
}
