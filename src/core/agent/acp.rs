//! Our end of the Agent Client Protocol (version 1): lines of JSON-RPC come in, lines to send and what they mean come out.
//!
//! Written by hand and not with the protocol's own crate: that is built around an asynchronous runtime with tasks of its own, and
//! this runs in a shim, which has one thread and one `poll`. What there is of the protocol is small: `initialize`, `session/new`,
//! `session/prompt` (again for each message that follows), `session/cancel`; and of what the agent asks, permission alone. Files and
//! terminals are not offered: the agent has its own, in the sandbox. Whatever comes in, nothing panics and nothing is believed: the
//! result rule decides.

use serde_json::{Value, json};

use super::stream::{failure, tool};
use super::{Permit, Said, Tools};

/// The version that is spoken.
const VERSION: u64 = 1;

/// What comes of a line, or of a wish.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Write this line to the agent.
    Send(String),
    /// It said this.
    Said(Said),
    /// Nothing more is to be asked: close its input, and it ends.
    Close,
}

/// What we wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Await {
    Initialize,
    Session,
    Turn,
    Nothing,
}

/// One conversation.
#[derive(Debug)]
pub struct Client {
    directory: String,
    model: Option<String>,
    permit: Permit,
    tools: Tools,
    /// Prompts that were not sent yet.
    waiting: std::collections::VecDeque<String>,
    session: Option<String>,
    awaits: Await,
    /// The id of our last request.
    last: u64,
    is_cancelled: bool,
}

impl Client {
    /// For a worktree.
    pub fn new(directory: String, prompt: String, model: Option<String>, permit: Permit) -> Self {
        Self {
            directory,
            model,
            permit,
            tools: Tools::default(),
            waiting: [prompt].into(),
            session: None,
            awaits: Await::Nothing,
            last: 0,
            is_cancelled: false,
        }
    }

    /// The same for one whose role says this of its tools.
    #[must_use]
    pub fn with_tools(mut self, tools: Tools) -> Self {
        self.tools = tools;
        self
    }

    /// The first line.
    pub fn begin(&mut self) -> Vec<Step> {
        self.awaits = Await::Initialize;
        let files = json!({ "readTextFile": false, "writeTextFile": false });
        let can = json!({ "fs": files, "terminal": false });
        let us = json!({ "name": "pleach", "version": env!("CARGO_PKG_VERSION") });
        let asked = json!({ "protocolVersion": VERSION, "clientCapabilities": can, "clientInfo": us });
        vec![self.request("initialize", &asked)]
    }

    /// Somebody has more to say. It is told behind what is being done.
    pub fn add(&mut self, message: String) -> Vec<Step> {
        self.waiting.push_back(message);
        if self.awaits == Await::Nothing && self.session.is_some() { self.next() } else { Vec::new() }
    }

    /// It is to stop. It answers in its own time, and is then let go.
    pub fn cancel(&mut self) -> Vec<Step> {
        self.waiting.clear();
        self.is_cancelled = true;
        match &self.session {
            Some(session) if self.awaits == Await::Turn => {
                let told = json!({ "jsonrpc": "2.0", "method": "session/cancel", "params": { "sessionId": session } });
                vec![Step::Send(told.to_string())]
            }
            _ => vec![Step::Close],
        }
    }

    /// A line of the agent.
    pub fn receive(&mut self, line: &str) -> Vec<Step> {
        let Ok(message @ Value::Object(_)) = serde_json::from_str::<Value>(line.trim()) else { return Vec::new() };
        let method = message.get("method").and_then(Value::as_str);
        match (method, message.get("id")) {
            (Some(method), Some(id)) if !id.is_null() => self.asked(method, id, &message),
            (Some("session/update"), _) => update(&message),
            (Some(_), _) => Vec::new(),
            (None, Some(id)) if id.as_u64() == Some(self.last) => self.answered(&message),
            (None, _) => Vec::new(),
        }
    }

    fn request(&mut self, method: &str, params: &Value) -> Step {
        self.last += 1;
        let line = json!({ "jsonrpc": "2.0", "id": self.last, "method": method, "params": params });
        Step::Send(line.to_string())
    }

    fn answered(&mut self, message: &Value) -> Vec<Step> {
        if let Some(error) = message.get("error") {
            self.awaits = Await::Nothing;
            self.waiting.clear();
            let told = ["/data/details", "/data/message", "/message"];
            let why = told.iter().find_map(|place| error.pointer(place)?.as_str()).unwrap_or_default();
            return vec![Step::Said(failure(why)), Step::Close];
        }
        let result = message.get("result").unwrap_or(&Value::Null);
        match self.awaits {
            Await::Initialize => {
                let version = result.get("protocolVersion").and_then(Value::as_u64);
                if version != Some(VERSION) {
                    let why = format!("it speaks version {version:?} of its protocol, and we speak {VERSION}");
                    return vec![Step::Said(Said::Failed(why)), Step::Close];
                }
                self.awaits = Await::Session;
                let directory = self.directory.clone();
                vec![self.request("session/new", &json!({ "cwd": directory, "mcpServers": [] }))]
            }
            Await::Session => {
                let Some(session) = result.get("sessionId").and_then(Value::as_str) else {
                    return vec![Step::Said(Said::Failed("it opened no session".to_owned())), Step::Close];
                };
                self.session = Some(session.to_owned());
                self.next()
            }
            Await::Turn => {
                let reason = result.get("stopReason").and_then(Value::as_str).unwrap_or_default();
                let said = match reason {
                    "end_turn" => Said::Done,
                    "cancelled" if self.is_cancelled => Said::Failed("it was cancelled".to_owned()),
                    "max_turn_requests" => Said::Failed("it took as many turns as it may".to_owned()),
                    "max_tokens" => Said::Failed("it used as many tokens as it may".to_owned()),
                    "refusal" => Said::Failed("it refused to go on".to_owned()),
                    other => failure(&format!("it stopped: {other}")),
                };
                let is_good = said == Said::Done;
                let mut steps = vec![Step::Said(said)];
                if !is_good {
                    self.waiting.clear();
                }
                steps.extend(self.next());
                steps
            }
            Await::Nothing => Vec::new(),
        }
    }

    /// The next prompt, or the end.
    fn next(&mut self) -> Vec<Step> {
        let (Some(session), Some(prompt)) = (self.session.clone(), self.waiting.pop_front()) else {
            self.awaits = Await::Nothing;
            return vec![Step::Close];
        };
        let mut steps = vec![Step::Said(Said::Begins)];
        if let Some(model) = self.model.take() {
            // Who does not know it answers with an error, which nobody waits for.
            let line = json!({ "jsonrpc": "2.0", "id": "model", "method": "session/set_model",
                "params": { "sessionId": session, "modelId": model } });
            steps.push(Step::Send(line.to_string()));
        }
        self.awaits = Await::Turn;
        let asked = json!({ "sessionId": session, "prompt": [{ "type": "text", "text": prompt }] });
        steps.push(self.request("session/prompt", &asked));
        steps
    }

    /// The agent asks us something, and gets an answer, whatever it is.
    fn asked(&self, method: &str, id: &Value, message: &Value) -> Vec<Step> {
        let answer =
            |what: &str, value: Value| Step::Send(json!({ "jsonrpc": "2.0", "id": id, what: value }).to_string());
        if method != "session/request_permission" {
            return vec![answer("error", json!({ "code": -32601, "message": "this is not offered" }))];
        }
        let permit = self.permit_for(message.pointer("/params/toolCall").unwrap_or(&Value::Null));
        let wanted: &[&str] = match permit {
            _ if self.is_cancelled => &[],
            Permit::Allow => &["allow_once", "allow_always"],
            Permit::Deny => &["reject_once", "reject_always"],
        };
        let options =
            message.pointer("/params/options").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let kind = |option: &Value| option.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        let chosen = wanted.iter().find_map(|wanted| options.iter().find(|option| kind(option) == *wanted));
        let outcome = match chosen.and_then(|option| option.get("optionId")) {
            Some(id) => json!({ "outcome": "selected", "optionId": id }),
            None => json!({ "outcome": "cancelled" }),
        };
        let mut steps = vec![answer("result", json!({ "outcome": outcome }))];
        if permit == Permit::Deny && !self.is_cancelled {
            let title = message.pointer("/params/toolCall/title").and_then(Value::as_str).unwrap_or("a tool");
            steps.push(Step::Said(Said::Denied(title.to_owned())));
        }
        steps
    }

    /// By what the tool is for, as the protocol has it. What is for nothing that is known is only for who may use all.
    fn permit_for(&self, call: &Value) -> Permit {
        if self.tools.is_silent() || self.permit == Permit::Deny {
            return self.permit;
        }
        let text = |key: &str| call.get(key).and_then(Value::as_str).unwrap_or_default();
        let is_granted = match text("kind") {
            "read" | "search" => self.tools.grants("read"),
            "edit" | "delete" | "move" => self.tools.grants("write"),
            "execute" => self.tools.grants("shell"),
            "fetch" => self.tools.grants("web"),
            "think" | "switch_mode" => true,
            _ => {
                self.tools.only.is_none()
                    && !self.tools.never.iter().any(|tool| text("title").starts_with(tool.as_str()))
            }
        };
        if is_granted { Permit::Allow } else { Permit::Deny }
    }
}

/// What it tells of itself.
fn update(message: &Value) -> Vec<Step> {
    let update = message.pointer("/params/update").unwrap_or(&Value::Null);
    let text = |place: &str| update.pointer(place).and_then(Value::as_str).unwrap_or_default();
    let said = match text("/sessionUpdate") {
        "agent_message_chunk" => Said::Piece(text("/content/text").to_owned()),
        "tool_call" => {
            let (kind, title) = (text("/kind"), text("/title"));
            let name = if kind.is_empty() { "tool" } else { kind };
            let title = Some(Value::String(title.to_owned())).filter(|_| !title.is_empty());
            tool(name, title.as_ref().or_else(|| update.get("rawInput")))
        }
        "tool_call_update" if text("/status") == "failed" && is_refusal(update) => {
            Said::Denied(text("/title").to_owned())
        }
        _ => return Vec::new(),
    };
    vec![Step::Said(said)]
}

fn is_refusal(update: &Value) -> bool {
    let told = update.to_string().to_lowercase();
    ["permission denied by", "rejected by user", "user rejected"].iter().any(|sign| told.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(steps: &[Step]) -> Vec<Value> {
        let lines = steps.iter().filter_map(|step| match step {
            Step::Send(line) => Some(serde_json::from_str(line).unwrap()),
            _ => None,
        });
        lines.collect()
    }

    fn open(permit: Permit) -> Client {
        let mut client = Client::new("/w".to_owned(), "do it".to_owned(), None, permit);
        assert_eq!(sent(&client.begin())[0]["method"], "initialize");
        let new = client.receive(r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":1}}"#);
        assert_eq!((&sent(&new)[0]["method"], &sent(&new)[0]["params"]["cwd"]), (&json!("session/new"), &json!("/w")));
        let prompt = client.receive(r#"{"jsonrpc":"2.0","id":2,"result":{"sessionId":"s"}}"#);
        assert_eq!(sent(&prompt)[0]["params"]["prompt"][0]["text"], "do it");
        client
    }

    #[test]
    fn a_turn_from_its_beginning_to_its_end() {
        let mut client = open(Permit::Allow);
        let update = |update: &str| {
            format!(r#"{{"jsonrpc":"2.0","method":"session/update","params":{{"sessionId":"s","update":{update}}}}}"#)
        };
        let call = client.receive(&update(r#"{"sessionUpdate":"tool_call","kind":"execute","title":"ls -l"}"#));
        assert_eq!(call, [Step::Said(Said::Tool { name: "execute".to_owned(), about: "ls -l".to_owned() })]);
        let words =
            client.receive(&update(r#"{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"a"}}"#));
        assert_eq!(words, [Step::Said(Said::Piece("a".to_owned()))]);
        let end = client.receive(r#"{"jsonrpc":"2.0","id":3,"result":{"stopReason":"end_turn"}}"#);
        assert_eq!(end, [Step::Said(Said::Done), Step::Close]);
    }

    #[test]
    fn what_follows_is_told_in_the_same_session() {
        let mut client = open(Permit::Allow);
        assert_eq!(client.add("and this".to_owned()), []);
        let end = client.receive(r#"{"jsonrpc":"2.0","id":3,"result":{"stopReason":"end_turn"}}"#);
        assert_eq!(end[..2], [Step::Said(Said::Done), Step::Said(Said::Begins)]);
        assert_eq!(sent(&end)[0]["params"]["prompt"][0]["text"], "and this");
    }

    #[test]
    fn a_question_for_permission_is_answered_by_policy() {
        let ask = r#"{"jsonrpc":"2.0","id":"q","method":"session/request_permission","params":{"toolCall":{"title":"rm -r"},
            "options":[{"optionId":"n","kind":"reject_once"},{"optionId":"a","kind":"allow_always"},{"optionId":"y","kind":"allow_once"}]}}"#;
        let chosen = |permit, ask: &str| sent(&open(permit).receive(ask))[0]["result"]["outcome"].clone();
        assert_eq!(chosen(Permit::Allow, ask), json!({ "outcome": "selected", "optionId": "y" }));
        assert_eq!(chosen(Permit::Deny, ask), json!({ "outcome": "selected", "optionId": "n" }));
        assert_eq!(chosen(Permit::Allow, &ask.replace("allow", "other")), json!({ "outcome": "cancelled" }));
        assert_eq!(open(Permit::Deny).receive(ask)[1], Step::Said(Said::Denied("rm -r".to_owned())));
        let file = r#"{"jsonrpc":"2.0","id":7,"method":"fs/read_text_file","params":{}}"#;
        assert_eq!(sent(&open(Permit::Allow).receive(file))[0]["error"]["code"], -32601);
    }

    #[test]
    fn a_question_is_answered_by_what_a_role_grants() {
        let tools = Tools { only: Some(vec!["read".to_owned(), "Bash".to_owned()]), never: Vec::new() };
        let chosen = |kind: &str| {
            let ask = format!(
                r#"{{"jsonrpc":"2.0","id":"q","method":"session/request_permission","params":{{"toolCall":{{"kind":"{kind}"}},
                "options":[{{"optionId":"n","kind":"reject_once"}},{{"optionId":"y","kind":"allow_once"}}]}}}}"#
            );
            let answer = open(Permit::Allow).with_tools(tools.clone()).receive(&ask);
            sent(&answer)[0]["result"]["outcome"]["optionId"].as_str().unwrap().to_owned()
        };
        let answers = ["read", "search", "execute", "edit", "delete", "fetch", "other", ""].map(chosen);
        assert_eq!(answers, ["y", "y", "y", "n", "n", "n", "n", "n"]);
    }

    #[test]
    fn a_cancel_is_told_and_an_error_ends_it() {
        let mut client = open(Permit::Allow);
        assert_eq!(sent(&client.cancel())[0]["method"], "session/cancel");
        let end = client.receive(r#"{"jsonrpc":"2.0","id":3,"result":{"stopReason":"cancelled"}}"#);
        assert_eq!(end, [Step::Said(Said::Failed("it was cancelled".to_owned())), Step::Close]);
        let end = open(Permit::Allow).receive(r#"{"jsonrpc":"2.0","id":3,"error":{"code":-32000,"message":"401"}}"#);
        assert_eq!(end, [Step::Said(Said::Failed("401".to_owned())), Step::Close]);
        let mut early = Client::new(String::new(), String::new(), None, Permit::Allow);
        early.begin();
        assert_eq!(early.cancel(), [Step::Close]);
    }
}
