//! A line of JSON that an agent wrote, understood. Whatever the line is, there is an answer: what it means, which may be
//! nothing. What was seen of each dialect is recorded in `fixtures/agents/`.

use serde_json::Value;

use super::{Dialect, Said, limit_of};

/// What a line means.
pub fn read(dialect: Dialect, line: &str) -> Vec<Said> {
    let Ok(event @ Value::Object(_)) = serde_json::from_str(line.trim()) else { return Vec::new() };
    match dialect {
        Dialect::Claude => claude(&event),
        Dialect::Codex => codex(&event),
        Dialect::Gemini => gemini(&event),
        Dialect::Opencode => opencode(&event),
        Dialect::Pi => pi(&event),
        Dialect::Cline => cline(&event),
    }
}

fn text<'a>(value: &'a Value, place: &str) -> &'a str {
    value.pointer(place).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, place: &str) -> Option<u64> {
    value.pointer(place).and_then(Value::as_u64)
}

fn list<'a>(value: &'a Value, place: &str) -> &'a [Value] {
    value.pointer(place).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The first of these that says anything.
fn first<'a>(value: &'a Value, places: &[&str]) -> &'a str {
    places.iter().map(|place| text(value, place)).find(|text| !text.trim().is_empty()).unwrap_or_default()
}

/// Dollars in millionths.
fn cost(value: &Value, place: &str) -> Option<u64> {
    let dollars = value.pointer(place).and_then(Value::as_f64).filter(|dollars| (0.0..1e12).contains(dollars))?;
    Some((dollars * 1e6).round() as u64)
}

fn sum(value: &Value, places: &[&str]) -> Option<u64> {
    let numbers: Vec<u64> = places.iter().filter_map(|place| number(value, place)).collect();
    (!numbers.is_empty()).then(|| numbers.into_iter().fold(0, u64::saturating_add))
}

/// The use of a tool; `input` is what it is given.
pub(super) fn tool(name: &str, input: Option<&Value>) -> Said {
    const TELLING: &[&str] = &[
        "command",
        "cmd",
        "commands",
        "file_path",
        "filePath",
        "path",
        "pattern",
        "query",
        "url",
        "description",
        "prompt",
    ];
    const LONGEST: usize = 120;
    let told = input.and_then(|input| match input {
        Value::String(text) => Some(text.clone()),
        _ => TELLING.iter().find_map(|key| match input.get(key)? {
            Value::String(text) => Some(text.clone()),
            Value::Array(words) => Some(words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")),
            _ => None,
        }),
    });
    let told = told.unwrap_or_default();
    let line = told.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    Said::Tool { name: name.to_owned(), about: line.chars().take(LONGEST).collect() }
}

/// An end that was not good: a limit of the provider, or something else.
pub(super) fn failure(why: &str) -> Said {
    let why = if why.trim().is_empty() { "it does not say why" } else { why.trim() };
    limit_of(why).map_or_else(|| Said::Failed(why.to_owned()), Said::Limit)
}

fn claude(event: &Value) -> Vec<Said> {
    match text(event, "/type") {
        "system" if text(event, "/subtype") == "init" => vec![Said::Begins],
        "system" if text(event, "/subtype") == "api_retry" => {
            let status = number(event, "/error_status").map(|status| format!(" ({status})")).unwrap_or_default();
            vec![Said::Trouble(format!("{}{status}, and tries again", text(event, "/error")))]
        }
        "assistant" => {
            let parts = list(event, "/message/content").iter().filter_map(|part| match text(part, "/type") {
                "text" => Some(Said::Message(text(part, "/text").to_owned())),
                "tool_use" => Some(tool(text(part, "/name"), part.get("input"))),
                _ => None,
            });
            parts.collect()
        }
        "rate_limit_event" => {
            let resets = event.pointer("/rate_limit_info/resetsAt").and_then(Value::as_i64);
            resets.and_then(|at| jiff::Timestamp::from_second(at).ok()).map(Said::Resets).into_iter().collect()
        }
        "result" => {
            let denied = list(event, "/permission_denials").iter().map(|one| text(one, "/tool_name"));
            let mut said: Vec<Said> =
                denied.filter(|name| !name.is_empty()).map(|name| Said::Denied(name.to_owned())).collect();
            let tokens = sum(
                event,
                &[
                    "/usage/input_tokens",
                    "/usage/output_tokens",
                    "/usage/cache_read_input_tokens",
                    "/usage/cache_creation_input_tokens",
                ],
            );
            said.push(Said::Usage { turns: number(event, "/num_turns"), cost: cost(event, "/total_cost_usd"), tokens });
            let told = first(event, &["/result", "/error/message", "/errors/0"]);
            let subtype = text(event, "/subtype");
            // An answer of 401 is an error whose subtype is success; of qwen, it is no error at all, but a result that says so.
            if told.starts_with("[API Error")
                || event.pointer("/is_error").and_then(Value::as_bool) == Some(true)
                || subtype.starts_with("error")
            {
                said.push(failure(if told.is_empty() { subtype } else { told }));
            } else {
                said.push(Said::Message(told.to_owned()));
                said.push(Said::Done);
            }
            said
        }
        _ => Vec::new(),
    }
}

fn codex(event: &Value) -> Vec<Said> {
    let kind = text(event, "/item/type");
    let status = text(event, "/item/status");
    match (text(event, "/type"), kind) {
        ("thread.started" | "turn.started", _) => vec![Said::Begins],
        ("item.completed", "command_execution" | "file_change" | "mcp_tool_call") if status == "declined" => {
            vec![Said::Denied(kind.to_owned())]
        }
        ("item.started", "command_execution") => vec![tool("shell", event.pointer("/item/command"))],
        ("item.started", "mcp_tool_call") => {
            vec![tool(&format!("{}.{}", text(event, "/item/server"), text(event, "/item/tool")), None)]
        }
        ("item.started", "web_search") => vec![tool("web_search", event.pointer("/item/query"))],
        ("item.completed", "file_change") => {
            list(event, "/item/changes").iter().map(|change| tool("edit", change.get("path"))).collect()
        }
        ("item.completed", "agent_message") => vec![Said::Message(text(event, "/item/text").to_owned())],
        ("item.completed", "error") => vec![Said::Trouble(text(event, "/item/message").to_owned())],
        ("turn.completed", _) => {
            let tokens = sum(event, &["/usage/input_tokens", "/usage/output_tokens"]);
            vec![Said::Usage { turns: None, cost: None, tokens }, Said::Done]
        }
        ("turn.failed", _) => vec![failure(text(event, "/error/message"))],
        ("error", _) => vec![Said::Trouble(text(event, "/message").to_owned())],
        _ => Vec::new(),
    }
}

fn gemini(event: &Value) -> Vec<Said> {
    match text(event, "/type") {
        "init" => vec![Said::Begins],
        "message" if text(event, "/role") == "assistant" => {
            let told = text(event, "/content").to_owned();
            let is_piece = event.pointer("/delta").and_then(Value::as_bool) == Some(true);
            vec![if is_piece { Said::Piece(told) } else { Said::Message(told) }]
        }
        "tool_use" => vec![tool(text(event, "/tool_name"), event.get("parameters"))],
        "tool_result" if text(event, "/status") == "error" => {
            let why = first(event, &["/error/type", "/error/message"]);
            let is_refusal =
                ["policy", "denied", "permission", "confirmation"].iter().any(|sign| why.to_lowercase().contains(sign));
            if is_refusal {
                vec![Said::Denied(first(event, &["/tool_name", "/tool_id"]).to_owned())]
            } else {
                Vec::new()
            }
        }
        "error" => vec![Said::Trouble(text(event, "/message").to_owned())],
        "result" => {
            let tokens = number(event, "/stats/total_tokens");
            let usage = Said::Usage { turns: None, cost: None, tokens };
            match text(event, "/status") {
                "success" => vec![usage, Said::Done],
                _ => vec![usage, failure(first(event, &["/error/message", "/error/type", "/error"]))],
            }
        }
        _ => Vec::new(),
    }
}

fn opencode(event: &Value) -> Vec<Said> {
    match text(event, "/type") {
        "step_start" => vec![Said::Begins],
        "tool_use" => {
            let name = text(event, "/part/tool");
            let mut said = vec![tool(name, event.pointer("/part/state/input"))];
            let why = text(event, "/part/state/error").to_lowercase();
            if ["rejected permission", "permission denied", "prevents you from using"]
                .iter()
                .any(|sign| why.contains(sign))
            {
                said.push(Said::Denied(name.to_owned()));
            }
            said
        }
        "text" => vec![Said::Message(text(event, "/part/text").to_owned())],
        "step_finish" => {
            let tokens = sum(event, &["/part/tokens/input", "/part/tokens/output"]);
            let usage = Said::Usage { turns: None, cost: cost(event, "/part/cost"), tokens };
            match text(event, "/part/reason") {
                "tool-calls" => vec![usage],
                "error" => vec![usage, failure("its step ended with an error")],
                _ => vec![usage, Said::Done],
            }
        }
        "error" => {
            vec![failure(first(event, &["/error/data/message", "/error/message", "/error/name", "/message"]))]
        }
        _ => Vec::new(),
    }
}

fn pi(event: &Value) -> Vec<Said> {
    match text(event, "/type") {
        "agent_start" => vec![Said::Begins],
        "tool_execution_start" => vec![tool(text(event, "/toolName"), event.get("args"))],
        "message_end" if text(event, "/message/role") == "assistant" => {
            let parts = list(event, "/message/content").iter().filter(|part| text(part, "/type") == "text");
            let told: Vec<&str> = parts.map(|part| text(part, "/text")).collect();
            let tokens = number(event, "/message/usage/totalTokens");
            let usage = Said::Usage { turns: None, cost: cost(event, "/message/usage/cost/total"), tokens };
            vec![usage, Said::Message(told.join("\n"))]
        }
        "agent_end" => {
            let last = list(event, "/messages").iter().rev().find(|message| text(message, "/role") == "assistant");
            match last.map(|last| (text(last, "/stopReason"), text(last, "/errorMessage"))) {
                Some(("error" | "aborted", why)) => vec![failure(why)],
                Some(_) => vec![Said::Done],
                None => vec![failure("it said nothing")],
            }
        }
        _ => Vec::new(),
    }
}

fn cline(event: &Value) -> Vec<Said> {
    match text(event, "/type") {
        "run_start" => vec![Said::Begins],
        "agent_event" => {
            let event = event.get("event").unwrap_or(event);
            let name = first(event, &["/toolName", "/toolCall/toolName", "/tool"]);
            let kind = text(event, "/type");
            if !name.is_empty() && (kind.contains("start") || kind.is_empty()) {
                return vec![tool(name, event.get("input").or_else(|| event.pointer("/toolCall/input")))];
            }
            match kind {
                "error" => vec![Said::Trouble(first(event, &["/error/message", "/message", "/error"]).to_owned())],
                _ => Vec::new(),
            }
        }
        "run_result" => {
            let told = first(event, &["/text", "/outputText", "/result"]);
            let why = first(event, &["/error/message", "/error", "/text"]);
            let reason = first(event, &["/finishReason", "/status"]);
            let usage = Said::Usage {
                turns: number(event, "/iterations"),
                cost: cost(event, "/usage/totalCost"),
                tokens: sum(event, &["/usage/inputTokens", "/usage/outputTokens"]),
            };
            match reason {
                "completed" | "success" | "stop" => vec![usage, Said::Message(told.to_owned()), Said::Done],
                _ => vec![usage, failure(if why.is_empty() { reason } else { why })],
            }
        }
        // It tells of a hook that went wrong in the same way, and goes on: its result says how it ended.
        "error" => vec![Said::Trouble(first(event, &["/message", "/error/message", "/error"]).to_owned())],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Account, Assigned, preset};
    use super::*;
    use crate::core::outcome::Outcome;

    /// What a recording comes to.
    fn judged(agent: &str, text: &str, code: i32, changed: bool) -> (Account, String) {
        let assigned = Assigned::new(preset(agent).unwrap().agent);
        let mut account = Account::default();
        let said = text.lines().flat_map(|line| read(assigned.agent.dialect.unwrap(), line));
        said.for_each(|said| account.take(said));
        let outcome = account.judge(Outcome::exited(code), &assigned, changed).to_string();
        (account, outcome)
    }

    macro_rules! recorded {
        ($name:literal) => {
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/agents/recorded/", $name, ".jsonl"))
        };
    }

    #[test]
    fn what_real_agents_wrote_is_understood() {
        let (claude, outcome) = judged("claude", recorded!("claude-2.1.197"), 0, true);
        assert_eq!((claude.tool.as_deref(), outcome.as_str()), (Some("Bash: echo made > made.txt"), "exit 0"));
        assert_eq!((claude.turns, claude.cost, claude.message.as_deref()), (Some(2), Some(60), Some("I made it")));
        let (codex, outcome) = judged("codex", recorded!("codex-0.169.0"), 0, true);
        assert_eq!((codex.tools, codex.message.as_deref(), outcome.as_str()), (1, Some("I made it"), "exit 0"));
        let (opencode, outcome) = judged("opencode", recorded!("opencode-1.18.33"), 0, true);
        assert_eq!((opencode.tool.as_deref(), outcome.as_str()), (Some("bash: echo made > made.txt"), "exit 0"));
        assert_eq!(opencode.message.as_deref(), Some("I made it"));
        for (agent, text, tool) in [
            ("qwen", recorded!("qwen-0.15.10"), "run_shell_command: echo made > made.txt"),
            ("pi", recorded!("pi-0.73.1"), "bash: echo made > made.txt"),
            ("cline", recorded!("cline-3.0.65"), "run_commands: echo made > made.txt"),
        ] {
            let (account, outcome) = judged(agent, text, 0, true);
            let told = (account.tools, account.tool.as_deref(), account.message.as_deref(), outcome.as_str());
            assert_eq!(told, (1, Some(tool), Some("I made it"), "exit 0"), "{agent}");
        }
    }

    #[test]
    fn what_real_agents_wrote_when_it_went_wrong_is_understood() {
        // Whatever the exit code is.
        for code in [0, 1] {
            let failed = |agent: &str, text: &str| judged(agent, text, code, false).1;
            assert!(failed("codex", recorded!("codex-0.169.0-401")).starts_with("agent failed: unexpected status 401"));
            assert_eq!(failed("opencode", recorded!("opencode-1.18.33-401")), "agent failed: invalid x-api-key");
            assert!(failed("gemini", recorded!("gemini-0.61.0-401")).starts_with("agent failed: [API Error"));
            assert_eq!(
                failed("qwen", recorded!("qwen-0.15.10-401")),
                "agent failed: [API Error: 401 invalid x-api-key]"
            );
            assert_eq!(failed("cline", recorded!("cline-3.0.65-401")), "agent failed: invalid x-api-key");
            assert_eq!(failed("pi", recorded!("pi-0.73.1-401")), "agent failed: 401 invalid x-api-key");
            assert!(failed("codex", recorded!("codex-0.169.0-429")).starts_with("limit reached: exceeded retry limit"));
        }
        let (waiting, _) = judged("claude", recorded!("claude-2.1.197-429"), 143, false);
        assert_eq!(waiting.trouble.as_deref(), Some("rate_limit (429), and tries again"));
    }

    #[test]
    fn a_refused_tool_and_a_hidden_error_are_found() {
        let denied = r#"{"type":"result","subtype":"success","is_error":false,"result":"no","permission_denials":[{"tool_name":"Bash"}]}"#;
        assert_eq!(judged("claude", denied, 0, false).1, "denied: Bash");
        let hidden = r#"{"type":"result","subtype":"success","is_error":true,"result":"Invalid API key"}"#;
        assert_eq!(judged("qwen", hidden, 0, false).1, "agent failed: Invalid API key");
        let limit = "{\"type\":\"rate_limit_event\",\"rate_limit_info\":{\"resetsAt\":4000000000}}\n\
            {\"type\":\"result\",\"is_error\":true,\"result\":\"You've hit your limit: usage limit reached\"}";
        let (account, outcome) = judged("claude", limit, 1, false);
        assert!(outcome.starts_with("limit reached") && format!("{:?}", account.end).contains("2096-10-02"));
        let pi = r#"{"type":"agent_end","messages":[{"role":"assistant","stopReason":"error","errorMessage":"401"}]}"#;
        assert_eq!(judged("pi", pi, 0, false).1, "agent failed: 401");
        let cline = r#"{"type":"run_result","finishReason":"completed","text":"done"}"#;
        assert_eq!(judged("cline", cline, 0, true).1, "exit 0");
    }
}
