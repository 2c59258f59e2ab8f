//! `pleach mcp --http`: only with the token, only as loopback, only without an origin.
#![allow(clippy::disallowed_methods, reason = "tests start programs as a user would")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::scene::{PATIENCE, Scene};

/// A server, ended with this.
struct Served {
    server: Child,
    /// `127.0.0.1:…`
    host: String,
    /// The header that lets in.
    token: String,
}

impl Served {
    fn new(scene: &Scene) -> Self {
        let mut server = scene.command(&["mcp", "--http", "0"]).stdin(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let address = lines.next().unwrap().unwrap();
        let host = address.strip_prefix("http://").and_then(|rest| rest.strip_suffix("/mcp")).unwrap().to_owned();
        Self { server, host, token: lines.next().unwrap().unwrap() }
    }

    /// The status and the rest of the answer.
    fn post(&self, path: &str, headers: &[&str], body: &Value) -> (u16, String) {
        let body = body.to_string();
        let mut stream = TcpStream::connect(&self.host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut head = format!(
            "POST {path} HTTP/1.1\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
        );
        headers.iter().for_each(|header| head += &format!("{header}\r\n"));
        head += &format!("Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn only_who_has_the_token_is_heard() {
    let scene = Scene::new();
    let served = Served::new(&scene);
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params":
        { "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } } });
    let (host, token) = (format!("Host: {}", served.host), served.token.as_str());
    assert!(token.starts_with("Authorization: Bearer ") && token.len() > 80, "{token}");
    let (status, answer) = served.post("/mcp", &[&host, token], &hello);
    assert!(status == 200 && answer.contains("\"name\":\"pleach\""), "{answer}");
    let wrong = format!("{}0", &token[..token.len() - 1]);
    let wrong = if wrong == token { format!("{}1", &token[..token.len() - 1]) } else { wrong };
    for (headers, wanted) in [
        (vec![host.as_str()], 401),
        (vec![&host, &wrong], 401),
        (vec![&host, "Authorization: Bearer "], 401),
        (vec!["Host: example.org", token], 403),
        (vec![&host, token, "Origin: http://example.org"], 403),
    ] {
        let (status, answer) = served.post("/mcp", &headers, &hello);
        assert!(status == wanted && !answer.contains("pleach"), "{headers:?}: {answer}");
    }
    assert_eq!(served.post("/", &[&host, token], &hello).0, 404);
    let short = scene.command(&["mcp", "--http", "0"]).env("PLEACH_MCP_TOKEN", "short").output().unwrap();
    assert_eq!(short.status.code(), Some(2), "{short:?}");
}

#[test]
fn the_sdk_for_python_does_the_same_over_http() {
    let scene = Scene::new();
    let python = std::env::var("PLEACH_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    if !Command::new(&python).args(["-c", "import mcp"]).stderr(Stdio::null()).status().is_ok_and(|it| it.success()) {
        eprintln!("{python} has no mcp: not tested");
        return;
    }
    let served = Served::new(&scene);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/mcp/client.py");
    let address = format!("http://{}/mcp", served.host);
    let output = Command::new(&python).args([script, &address, &served.token]).output().unwrap();
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), scene.story());
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(seen["states"], json!(["ready", "merged", "conflict", "unknown_task"]), "{seen:#}");
    assert!(seen["progress"].as_u64().unwrap() >= 1, "{seen:#}");
    assert_eq!(scene.read("from-python"), "hello\n");
}
