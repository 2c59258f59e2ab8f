//! Subagents of Claude Code: `.claude/agents/NAME.md`, Markdown with YAML in front, as its page on subagents has them.

use serde_json::Value;

use super::fields::{Fields, split};
use super::{Imported, Role, RoleName, Wrong, only_reads};
use crate::core::plan::Glob;

/// Its tools that change nothing.
const READERS: &[&str] = &[
    "Read",
    "Grep",
    "Glob",
    "LS",
    "WebFetch",
    "WebSearch",
    "TodoWrite",
    "Skill",
    "ToolSearch",
    "ListMcpResourcesTool",
    "ReadMcpResourceTool",
    "NotebookRead",
    "BashOutput",
    "Agent",
    "Task",
];

/// Read one. `stem` is the name of the file, which counts where it says none.
///
/// # Errors
/// Where it is none.
pub fn import(text: &str, stem: &str) -> Result<Imported, Wrong> {
    let (front, body) = parts(text)?;
    let value = serde_saphyr::from_str::<Value>(front).map_err(|error| {
        let what = error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        // The line that opens the front matter counts, too.
        Wrong { line: error.location().map(|location| location.line() as usize + 1), what }
    })?;
    let mut fields = Fields::new(if value.is_null() { Value::Object(Default::default()) } else { value })?;
    let name = fields.text("name")?.unwrap_or_else(|| stem.to_owned());
    let mut role = Role::new(name.parse::<RoleName>().map_err(|error| Wrong::new(error.to_string()))?);
    role.agent = Some("claude".to_owned());
    role.description = fields.text("description")?.unwrap_or_default();
    role.prompt = body.trim().to_owned();
    role.model = fields.text("model")?.filter(|model| model != "inherit");
    role.max_turns = fields.number("maxTurns")?;
    role.disallowed_tools = list(&mut fields, "disallowedTools")?.unwrap_or_default();
    role.tools = list(&mut fields, "tools")?.filter(|tools| !tools.iter().any(|tool| tool == "*"));
    delegate(&mut role)?;
    let names: Option<Vec<String>> =
        role.tools.as_ref().map(|tools| tools.iter().map(|tool| program(tool).to_owned()).collect());
    role.permissions.read_only = names.as_ref().is_some_and(|tools| only_reads(tools, READERS));
    if names.iter().flatten().any(|tool| tool == "Bash")
        && role.tools.iter().flatten().any(|tool| tool.starts_with("Bash("))
    {
        fields.note("tools", "the commands in Bash(…) are not held: say `commands` in a role of pleach");
    }
    permission_mode(&mut fields, &mut role)?;
    role.resources =
        list(&mut fields, "skills")?.unwrap_or_default().into_iter().map(|skill| format!("skill://{skill}")).collect();
    if fields.value("isolation").is_some_and(|isolation| isolation != "worktree") {
        fields.note("isolation", "each task has a worktree of its own, whatever this says");
    }
    fields.unmapped("mcpServers", "only Claude Code itself reads it, from its own file");
    fields.unmapped("hooks", "not run: only Claude Code runs them, in the sandbox of the task");
    for key in ["memory", "background", "effort", "initialPrompt"] {
        fields.unmapped(key, "only Claude Code itself knows what to do with it");
    }
    fields.unmapped("color", "of no meaning for a task");
    Ok(Imported { role, prompt_file: None, notes: fields.end() })
}

/// What stands between the two lines of dashes, and what comes behind.
fn parts(text: &str) -> Result<(&str, &str), Wrong> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let none =
        || Wrong { line: Some(1), what: "there is no front matter: it begins and ends with a line `---`".to_owned() };
    let rest = text.strip_prefix("---").ok_or_else(none)?;
    let rest = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n')).ok_or_else(none)?;
    let mut from = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return Ok((&rest[..from], &rest[from + line.len()..]));
        }
        from += line.len();
    }
    Err(none())
}

/// A list, or a text with commas.
fn list(fields: &mut Fields, key: &str) -> Result<Option<Vec<String>>, Wrong> {
    match fields.value(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(split(&text))),
        Some(Value::Array(list)) => {
            let text = |value| match value {
                Value::String(text) => Ok(text),
                other => Err(fields.mismatch(key, &other, "a list of texts")),
            };
            list.into_iter().map(text).collect::<Result<_, _>>().map(Some)
        }
        Some(other) => Err(fields.mismatch(key, &other, "a list of texts, or one text with commas")),
    }
}

/// `Bash` of `Bash(git:*)`.
fn program(tool: &str) -> &str {
    tool.split_once('(').map_or(tool, |(name, _)| name)
}

/// `Agent(worker, researcher)` among the tools limits whom it may hand tasks to; a list without `Agent` means nobody.
fn delegate(role: &mut Role) -> Result<(), Wrong> {
    let Some(tools) = &role.tools else { return Ok(()) };
    let agents: Vec<&String> = tools.iter().filter(|tool| matches!(program(tool), "Agent" | "Task")).collect();
    if agents.iter().any(|tool| !tool.contains('(')) {
        return Ok(());
    }
    let within =
        |tool: &&String| tool.split_once('(').map(|(_, rest)| split(rest.trim_end_matches(')'))).unwrap_or_default();
    let names = agents.iter().flat_map(within).map(|name| Glob::parse(&name));
    role.available = Some(names.collect::<Result<_, _>>().map_err(Wrong::new)?);
    Ok(())
}

fn permission_mode(fields: &mut Fields, role: &mut Role) -> Result<(), Wrong> {
    match fields.text("permissionMode")?.as_deref() {
        None | Some("default") => {}
        Some("plan") => role.permissions.read_only = true,
        Some(other) => {
            let about = format!(
                "not passed on: what a task may touch is held by the sandbox, whatever its agent allows: {other:?}"
            );
            fields.note("permissionMode", about);
        }
    }
    Ok(())
}
