//! A client that speaks the protocol by hand: one line of JSON each way.
#![allow(clippy::disallowed_methods, reason = "tests start programs as a user would")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use crate::support::scene::{PATIENCE, Scene};

/// A conversation with `pleach mcp`.
pub(crate) struct Client {
    server: Child,
    input: Option<ChildStdin>,
    lines: Receiver<Value>,
    asked: u64,
    /// What came that was no answer.
    pub(crate) notices: Vec<Value>,
}

/// What a tool answered.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) data: Value,
    pub(crate) is_error: bool,
}

impl Said {
    /// Its `task_id`.
    pub(crate) fn id(&self) -> String {
        self.data["task_id"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }
}

impl Client {
    pub(crate) fn new(scene: &Scene) -> Self {
        Self::with(scene, &[])
    }

    /// With more words behind `mcp`, and the handshake that every client of today makes.
    pub(crate) fn with(scene: &Scene, words: &[&str]) -> Self {
        let mut client = Self::raw(scene.command(&[&["mcp"], words].concat()));
        let hello = json!({
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" }
        });
        let answer = client.request("initialize", hello);
        assert_eq!(answer["result"]["serverInfo"]["name"], "pleach", "{answer}");
        client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        client
    }

    /// Started, and nothing said.
    pub(crate) fn raw(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stderr(Stdio::inherit());
        let mut server = command.spawn().unwrap();
        let (input, output) = (server.stdin.take(), BufReader::new(server.stdout.take().unwrap()));
        let (heard, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
                if heard.send(line).is_err() {
                    return;
                }
            }
        });
        Self { server, input, lines, asked: 0, notices: Vec::new() }
    }

    pub(crate) fn send(&mut self, message: &Value) {
        writeln!(self.input.as_mut().unwrap(), "{message}").unwrap();
    }

    /// Ask, and go on; the id under which it will be answered.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> u64 {
        self.asked += 1;
        self.send(&json!({ "jsonrpc": "2.0", "id": self.asked, "method": method, "params": params }));
        self.asked
    }

    /// The next that comes of the server's own accord, or an answer.
    pub(crate) fn next(&mut self) -> Value {
        self.lines.recv_timeout(PATIENCE).expect("the server says nothing")
    }

    pub(crate) fn answer(&mut self, id: u64) -> Value {
        loop {
            let line = self.next();
            if line["id"] == id {
                return line;
            }
            self.notices.push(line);
        }
    }

    pub(crate) fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params);
        self.answer(id)
    }

    /// Call a tool.
    pub(crate) fn call(&mut self, tool: &str, arguments: Value) -> Said {
        let answer = self.request("tools/call", json!({ "name": tool, "arguments": arguments }));
        said(&answer)
    }

    /// Call a tool, which has to work.
    pub(crate) fn ok(&mut self, tool: &str, arguments: Value) -> Said {
        let said = self.call(tool, arguments);
        assert!(!said.is_error, "{said:?}");
        said
    }

    /// Call a tool, which has to fail; its message and its next step.
    pub(crate) fn refused(&mut self, tool: &str, arguments: Value) -> String {
        let said = self.call(tool, arguments);
        assert!(said.is_error, "{said:?}");
        assert!(said.data["kind"].is_string() && said.data["next"].is_string(), "{said:?}");
        assert!(said.text.contains("\nnext: "), "{said:?}");
        said.text
    }

    /// Say nothing more, and wait for the end of the server.
    pub(crate) fn end(mut self) {
        drop(self.input.take());
        assert!(self.server.wait().unwrap().success());
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.server.wait();
    }
}

/// What an answer to `tools/call` says.
pub(crate) fn said(answer: &Value) -> Said {
    let result = &answer["result"];
    let text = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    Said { text, data: result["structuredContent"].clone(), is_error: result["isError"] == json!(true) }
}
