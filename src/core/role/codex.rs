//! Custom agents of Codex: `.codex/agents/NAME.toml`, as its page on subagents has them.

use serde_json::Value;

use super::fields::Fields;
use super::{Imported, Role, RoleName, Wrong};

/// Read one. `stem` is the name of the file, which counts where it says none.
///
/// # Errors
/// Where it is none.
pub fn import(text: &str, stem: &str) -> Result<Imported, Wrong> {
    let value: Value = toml::from_str(text).map_err(|error| super::own::wrong(text, &error))?;
    let mut fields = Fields::new(value)?;
    let name = fields.text("name")?.unwrap_or_else(|| stem.to_owned());
    let mut role = Role::new(name.parse::<RoleName>().map_err(|error| Wrong::new(error.to_string()))?);
    role.agent = Some("codex".to_owned());
    role.description = fields.text("description")?.unwrap_or_default();
    role.prompt = fields.text("developer_instructions")?.unwrap_or_default();
    role.model = fields.text("model")?;
    match fields.text("sandbox_mode")?.as_deref() {
        None | Some("workspace-write") => {}
        Some("read-only") => role.permissions.read_only = true,
        Some("danger-full-access") => {
            fields.note("sandbox_mode", "not granted: no role gets out of the sandbox: \"danger-full-access\"");
        }
        Some(other) => {
            let what =
                format!("sandbox_mode is {other:?}, and should be read-only, workspace-write or danger-full-access");
            return Err(Wrong::new(what));
        }
    }
    if let Some(mut write) = fields.table("sandbox_workspace_write")? {
        // Codex allows no network there unless this says so.
        write.unmapped("network_access", "not held: say `network` in a role of pleach");
        write.unmapped("writable_roots", "not granted: only your own files can allow more to write");
        fields.join(write);
    }
    fields.unmapped("model_reasoning_effort", "only Codex itself knows what to do with it");
    fields.unmapped(
        "approval_policy",
        "not passed on: what a task may touch is held by the sandbox, whatever its agent allows",
    );
    fields.unmapped("mcp_servers", "only Codex itself reads it, from its own file");
    fields.unmapped("skills", "only Codex itself reads it, from its own file");
    fields.unmapped("nickname_candidates", "of no meaning for a task");
    Ok(Imported { role, prompt_file: None, notes: fields.end() })
}
