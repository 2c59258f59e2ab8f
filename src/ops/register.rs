//! Making us known to a client of the Model Context Protocol: our own entry in its configuration file, and nothing else.
//!
//! A file that cannot be read as what it should be is an error and stays as it is. Comments, order and all other entries
//! stay, and what else somebody put into our entry. Twice is once.

pub(in crate::ops) mod edit;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use edit::Entry;
use serde_json::json;

use super::{Error, ErrorKind, Session};
use crate::config::env;
use crate::process::tool::own_directory;
use crate::store::{self, StoreError};

/// The name of our entry.
const NAME: &str = "pleach";

/// A program that speaks to MCP servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// Claude Code
    Claude,
    /// Codex
    Codex,
    /// Gemini CLI
    Gemini,
    /// Qwen Code
    Qwen,
    /// opencode
    Opencode,
    /// Kiro
    Kiro,
    /// Visual Studio Code
    Vscode,
}

impl Client {
    /// Every client, by its word.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("claude", Self::Claude),
        ("codex", Self::Codex),
        ("gemini", Self::Gemini),
        ("qwen", Self::Qwen),
        ("opencode", Self::Opencode),
        ("kiro", Self::Kiro),
        ("vscode", Self::Vscode),
    ];
}

/// Whose configuration is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// That of this repository.
    #[default]
    Project,
    /// That of the user, for all repositories.
    User,
}

impl Scope {
    /// Every scope, by its word.
    pub const ALL: &'static [(&'static str, Self)] = &[("project", Self::Project), ("user", Self::User)];
}

/// What is to be written, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The client's file.
    pub file: PathBuf,
    /// Our entry alone, as it would be in an empty file.
    pub entry: String,
    /// The whole file as it is to be; `None` where it is so already.
    pub change: Option<String>,
}

/// See what is to be done; nothing is written.
///
/// # Errors
/// Where there is no repository or no home, or where the file cannot be read as what it should be.
pub fn plan(directory: &Path, client: Client, scope: Scope, agent: Option<&str>) -> Result<Planned, Error> {
    let file = file(directory, client, scope)?;
    let (keys, entry) = entry(client, scope, agent);
    let edit = |text: &str| match client {
        Client::Codex => edit::toml(text, keys, &entry),
        _ => edit::json(text, keys, &entry),
    };
    // A file of the user's own: a link to where somebody keeps such files is followed.
    let before = store::read(&file.canonicalize().unwrap_or_else(|_| file.clone()))?.unwrap_or_default();
    let broken = |why: String| {
        let message = format!("{} cannot be used as it is: {why}", file.display());
        Error::new(
            ErrorKind::Refused,
            message,
            "mend it first; nothing was changed. `--print` shows what belongs there",
        )
    };
    let before = String::from_utf8(before).map_err(|_| broken("it is not UTF-8".to_owned()))?;
    let after = edit(&before).map_err(broken)?;
    let alone = edit("").map_err(broken)?;
    Ok(Planned { file, entry: alone, change: (after != before).then_some(after) })
}

/// Our entry as it would be in an empty file, whatever is in the client's.
///
/// # Errors
/// Where there is no repository or no home.
pub fn preview(directory: &Path, client: Client, scope: Scope, agent: Option<&str>) -> Result<Planned, Error> {
    let (keys, entry) = entry(client, scope, agent);
    let alone = if client == Client::Codex { edit::toml("", keys, &entry) } else { edit::json("", keys, &entry) };
    let entry = alone.map_err(|why| Error::plain(ErrorKind::Error, why))?;
    Ok(Planned { file: file(directory, client, scope)?, entry, change: None })
}

/// Write it, whole or not at all.
///
/// # Errors
/// Where it cannot be written.
pub fn write(planned: &Planned) -> Result<(), Error> {
    let Some(text) = &planned.change else { return Ok(()) };
    // A link to where somebody keeps such files stays one.
    let file = planned.file.canonicalize().unwrap_or_else(|_| planned.file.clone());
    let mode = fs::metadata(&file).map_or(0o644, |seen| seen.permissions().mode());
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir).map_err(StoreError::file("make", dir))?;
    }
    store::replace(&file, text.as_bytes())?;
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).map_err(StoreError::file("write", &file))?;
    Ok(())
}

fn file(directory: &Path, client: Client, scope: Scope) -> Result<PathBuf, Error> {
    use Client as C;
    if scope == Scope::Project {
        let session = Session::open(directory)?;
        let Some(checkout) = &session.found.checkout else {
            let message = "a bare repository has no place for a project's configuration";
            return Err(Error::new(ErrorKind::Refused, message, "use `--scope user`"));
        };
        let top = &checkout.top;
        let path = match client {
            C::Claude => top.join(".mcp.json"),
            C::Codex => top.join(".codex/config.toml"),
            C::Gemini => top.join(".gemini/settings.json"),
            C::Qwen => top.join(".qwen/settings.json"),
            C::Opencode => either(top, "opencode"),
            C::Kiro => top.join(".kiro/settings/mcp.json"),
            C::Vscode => top.join(".vscode/mcp.json"),
        };
        return require_within(top, &path).map(|()| path);
    }
    let homeless = || Error::new(ErrorKind::Error, "there is no home directory", "set HOME, or use `--scope project`");
    let home = env::home().ok_or_else(homeless)?;
    Ok(match client {
        C::Claude => home.join(".claude.json"),
        C::Codex => env::codex_home().unwrap_or_else(|| home.join(".codex")).join("config.toml"),
        C::Gemini => home.join(".gemini/settings.json"),
        C::Qwen => home.join(".qwen/settings.json"),
        C::Opencode => either(&env::config_home().ok_or_else(homeless)?.join("opencode"), "opencode"),
        C::Kiro => home.join(".kiro/settings/mcp.json"),
        C::Vscode => {
            let message = "where VS Code keeps the user's configuration depends on its profile";
            let hint =
                "use `--scope project`; or run `MCP: Open User Configuration` there, and add what `--print` shows";
            return Err(Error::new(ErrorKind::Usage, message, hint));
        }
    })
}

/// What is in a repository may be somebody else's: a link that leads out of the checkout is not followed.
pub(in crate::ops) fn require_within(top: &Path, path: &Path) -> Result<(), Error> {
    let there = path.ancestors().take_while(|path| *path != top).find(|path| path.symlink_metadata().is_ok());
    let Some(there) = there else { return Ok(()) };
    let real = there.canonicalize().map_err(StoreError::file("read", there))?;
    if real.starts_with(top) {
        return Ok(());
    }
    let name = path.strip_prefix(top).unwrap_or(path).display();
    let message = format!("{name} is a link that leads out of this checkout, to {}", real.display());
    Err(Error::new(ErrorKind::Refused, message, "nothing was changed; edit that file yourself, or take the link away"))
}

/// The one with comments, where there is one.
fn either(dir: &Path, name: &str) -> PathBuf {
    let commented = dir.join(format!("{name}.jsonc"));
    if commented.exists() { commented } else { dir.join(format!("{name}.json")) }
}

/// Where our entry is, and what has to be in it.
fn entry(client: Client, scope: Scope, agent: Option<&str>) -> (&'static [&'static str], Entry) {
    use Client as C;
    let us = program();
    let mut args = vec!["mcp".to_owned()];
    args.extend(agent.into_iter().flat_map(|agent| ["--agent".to_owned(), agent.to_owned()]));
    match client {
        C::Claude => {
            (&["mcpServers", NAME], vec![("type", json!("stdio")), ("command", json!(us)), ("args", json!(args))])
        }
        C::Codex => (&["mcp_servers", NAME], vec![("command", json!(us)), ("args", json!(args))]),
        C::Gemini | C::Qwen | C::Kiro => (&["mcpServers", NAME], vec![("command", json!(us)), ("args", json!(args))]),
        C::Opencode => {
            args.insert(0, us);
            (&["mcp", NAME], vec![("type", json!("local")), ("command", json!(args)), ("enabled", json!(true))])
        }
        C::Vscode => {
            // It starts servers wherever it was started itself.
            if scope == Scope::Project {
                args.splice(0..0, ["-C".to_owned(), "${workspaceFolder}".to_owned()]);
            }
            (&["servers", NAME], vec![("type", json!("stdio")), ("command", json!(us)), ("args", json!(args))])
        }
    }
}

/// How we are called: by name where we are found by it, for such files are often shared.
pub(in crate::ops) fn program() -> String {
    match own_directory() {
        Some(dir) if !env::search_path().iter().any(|known| is_same(known, &dir)) => {
            dir.join(NAME).display().to_string()
        }
        _ => NAME.to_owned(),
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| -> io::Result<PathBuf> { path.canonicalize() };
    one == other || matches!((real(one), real(other)), (Ok(one), Ok(other)) if one == other)
}
