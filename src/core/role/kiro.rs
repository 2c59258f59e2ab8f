//! Agents of Kiro: `.kiro/agents/NAME.json`, as its configuration reference has them.
//!
//! A task has no terminal, so what Kiro would ask about is refused, as its page on subagents says of runs that are not
//! interactive. So what is allowed *without asking* is all that is allowed: `shell.allowedCommands` becomes the programs that
//! the kernel lets it start, `write.allowedPaths` what its result may touch.

use serde_json::Value;

use super::fields::Fields;
use super::{Commands, Imported, Role, RoleName, Wrong, only_reads};
use crate::core::plan::Glob;
use crate::core::word::Word;

/// Its tools that change nothing, by both of their names.
const READERS: &[&str] = &[
    "read",
    "fs_read",
    "glob",
    "grep",
    "code",
    "web_search",
    "web_fetch",
    "introspect",
    "knowledge",
    "thinking",
    "todo",
    "todo_list",
    "tool_search",
    "session",
    "summary",
    "subagent",
    "use_subagent",
    "delegate",
];
const SHELL: &[&str] = &["shell", "execute_bash", "execute_cmd"];
const WRITE: &[&str] = &["write", "fs_write"];
const READ: &[&str] = &["read", "fs_read"];
const DELEGATE: &[&str] = &["subagent", "use_subagent", "delegate", "crew"];

/// Read one. `stem` is the name of the file, which counts where it says none.
///
/// # Errors
/// Where it is none.
pub fn import(text: &str, stem: &str) -> Result<Imported, Wrong> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let value: Value =
        serde_json::from_str(text).map_err(|error| Wrong { line: Some(error.line()), what: error.to_string() })?;
    let mut fields = Fields::new(value)?;
    let name = fields.text("name")?.unwrap_or_else(|| stem.to_owned());
    let mut role = Role::new(name.parse::<RoleName>().map_err(|error| Wrong::new(error.to_string()))?);
    role.agent = Some("kiro".to_owned());
    role.description = fields.text("description")?.unwrap_or_default();
    role.model = fields.text("model")?;
    let prompt = fields.text("prompt")?.unwrap_or_default();
    let prompt_file = prompt.strip_prefix("file://").map(str::to_owned);
    role.prompt = if prompt_file.is_some() { String::new() } else { prompt };
    role.tools = fields.texts("tools")?.filter(|tools| !tools.iter().any(|tool| tool == "*"));
    role.allowed_tools = fields.texts("allowedTools")?.unwrap_or_default();
    role.resources = resources(&mut fields)?;
    role.permissions.read_only = role.tools.as_ref().is_some_and(|tools| only_reads(tools, READERS));
    if let Some(mut settings) = fields.table("toolsSettings")? {
        shell(&mut settings, &mut role)?;
        write(&mut settings, &mut role)?;
        read(&mut settings, &mut role)?;
        delegate(&mut settings, &mut role)?;
        fields.join(settings);
    }
    for key in ["mcpServers", "includeMcpJson", "useLegacyMcpJson", "toolAliases"] {
        fields.unmapped(key, "only Kiro itself reads it, from its own file");
    }
    fields.unmapped("hooks", "not run: only Kiro runs them, in the sandbox of the task");
    fields.unmapped("permissions", "not held (rules of Kiro 3): say them in a role of pleach");
    for key in ["keyboardShortcut", "welcomeMessage", "$schema"] {
        fields.unmapped(key, "of no meaning for a task");
    }
    Ok(Imported { role, prompt_file, notes: fields.end() })
}

fn resources(fields: &mut Fields) -> Result<Vec<String>, Wrong> {
    let mut all = Vec::new();
    match fields.value("resources") {
        None => {}
        Some(Value::Array(list)) => {
            for one in list {
                match one {
                    Value::String(text) => all.push(text.strip_prefix("file://").unwrap_or(&text).to_owned()),
                    other => fields.note("resources", format!("only Kiro itself can use it: {other}")),
                }
            }
        }
        Some(other) => return Err(fields.mismatch("resources", &other, "a list")),
    }
    Ok(all)
}

fn table(settings: &mut Fields, names: &[&str]) -> Result<Option<(String, Fields)>, Wrong> {
    for name in names {
        if let Some(table) = settings.table(name)? {
            return Ok(Some(((*name).to_owned(), table)));
        }
    }
    Ok(None)
}

fn shell(settings: &mut Fields, role: &mut Role) -> Result<(), Wrong> {
    let Some((_, mut shell)) = table(settings, SHELL)? else { return Ok(()) };
    let patterns = shell.texts("allowedCommands")?;
    let read_only = shell.flag("autoAllowReadonly")?.unwrap_or(false);
    let by_default = shell.flag("denyByDefault")?.unwrap_or(false);
    if patterns.is_some() || by_default {
        let commands = Commands { patterns: patterns.unwrap_or_default(), read_only };
        commands.check().map_err(|why| Wrong::new(format!("toolsSettings.shell.allowedCommands: {why}")))?;
        for pattern in commands.of_the_worktree() {
            shell.note(
                "allowedCommands",
                format!("a program of the worktree cannot be named to the kernel, so none is allowed: {pattern}"),
            );
        }
        shell.note("allowedCommands", "held by the kernel for programs, not for their arguments; the shell itself may be started, and its built-in commands are in it");
        if role.allowed_tools.iter().any(|tool| SHELL.contains(&tool.as_str())) {
            shell.note(
                "allowedCommands",
                "Kiro would not look at it, as the shell is in allowedTools; here it is held all the same",
            );
        }
        role.permissions.commands = Some(commands);
    } else if read_only {
        shell.note("autoAllowReadonly", "limits nothing without allowedCommands or denyByDefault");
    }
    shell.unmapped(
        "deniedCommands",
        "not held: the kernel sees programs and no arguments; leave them out of allowedCommands",
    );
    settings.join(shell);
    Ok(())
}

fn write(settings: &mut Fields, role: &mut Role) -> Result<(), Wrong> {
    let Some((_, mut write)) = table(settings, WRITE)? else { return Ok(()) };
    if let Some(paths) = write.texts("allowedPaths")? {
        let (inside, outside): (Vec<String>, Vec<String>) =
            paths.into_iter().partition(|path| !path.starts_with(['/', '~']) && !path.starts_with("../"));
        for path in outside {
            write.note("allowedPaths", format!("lies outside of the worktree, where a task writes nothing: {path}"));
        }
        let globs = inside.iter().flat_map(|path| globs(path)).map(|path| Glob::parse(&path));
        role.result.paths = globs.collect::<Result<_, _>>().map_err(Wrong::new)?;
        if role.result.paths.is_empty() {
            role.permissions.read_only = true;
            write.note("allowedPaths", "nothing of the worktree is among them, so it cannot be written");
        } else {
            write.note("allowedPaths", "looked for in the result: what touches more is held");
        }
    }
    write.unmapped("deniedPaths", "not held: say in allowedPaths what may be touched");
    settings.join(write);
    Ok(())
}

/// As in `.gitignore`: a directory means what is in it.
fn globs(path: &str) -> Vec<String> {
    let path = path.strip_prefix("./").unwrap_or(path);
    match path.trim_end_matches('/') {
        "" | "." => vec!["**".to_owned()],
        plain if plain.contains(['*', '?', '[']) => vec![plain.to_owned()],
        plain => vec![plain.to_owned(), format!("{plain}/**")],
    }
}

fn read(settings: &mut Fields, role: &mut Role) -> Result<(), Wrong> {
    let Some((_, mut read)) = table(settings, READ)? else { return Ok(()) };
    read.unmapped("allowedPaths", "not held: a task may read its worktree, and what is not hidden");
    for path in read.texts("deniedPaths")?.unwrap_or_default() {
        let plain = path.trim_end_matches("/**").trim_end_matches('/');
        let is_plain = (plain.starts_with("~/") || plain.starts_with('/')) && !plain.contains(['*', '?', '[']);
        match is_plain {
            true => role.permissions.hide.push(Word::from(plain)),
            false => read.note("deniedPaths", format!("not held: only whole paths can be hidden (/… or ~/…): {path}")),
        }
    }
    settings.join(read);
    Ok(())
}

/// Which roles it may hand tasks to: `availableAgents`, all where there is no such list; and for which of them nobody is
/// asked: `trustedAgents`, none where there is no such list.
fn delegate(settings: &mut Fields, role: &mut Role) -> Result<(), Wrong> {
    while let Some((_, mut delegate)) = table(settings, DELEGATE)? {
        let parse = |globs: Vec<String>| globs.iter().map(|glob| Glob::parse(glob)).collect::<Result<Vec<_>, _>>();
        if let Some(globs) = delegate.texts("availableAgents")? {
            role.available = Some(parse(globs).map_err(Wrong::new)?);
        }
        // The other is its older name.
        for key in ["trustedAgents", "allowedAgents"] {
            if let Some(globs) = delegate.texts(key)? {
                role.trusted.extend(parse(globs).map_err(Wrong::new)?);
            }
        }
        settings.join(delegate);
    }
    Ok(())
}
