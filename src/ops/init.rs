//! Setting a repository up: a configuration to start from, ignored files that tasks need, and the agents that delegate to us.
//!
//! All is planned before anything is written, so that a file that cannot be used leaves all others as they are. In files of others
//! only our own entry is touched. Twice is once; killed in the middle, the second time does the rest.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::register::edit::{self, Hook};
use super::register::{self, Client, Scope};
use super::{Error, ErrorKind, Session};
use crate::process::Tool;
use crate::process::tool::fields;
use crate::store::{self, StoreError};

const CONFIG: &str = include_str!("init/pleach.toml");
const TEXT: &str = include_str!("../../hooks/agents/delegate.md");
const SKILL_HEAD: &str = include_str!("../../hooks/agents/skill-head.md");
/// What stands around our part of a file of others.
const BEGIN: &str = "<!-- pleach: begin -->";
const END: &str = "<!-- pleach: end -->";
/// Ignored files at the top that tasks mostly need, and directories that some do.
const FILES: &[&str] = &[".env", ".env.local", ".envrc", ".npmrc", "local.properties"];
const DIRECTORIES: &[&str] = &["node_modules/", ".venv/", "venv/", "vendor/"];
/// Seconds that a hook may take which makes or collects a worktree, and any other.
const LONG: u64 = 300;
const SHORT: u64 = 60;

/// What a file is like, and what is done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The file, from the top of the checkout.
    pub file: PathBuf,
    /// What of it is ours.
    pub what: &'static str,
    /// What is done.
    pub action: Action,
    /// Why it is left alone, or what of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The whole text, where it is to be written.
    #[serde(skip)]
    pub text: Option<String>,
}

/// What is done about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is made, or our part of it is written.
    Write,
    /// It is as it should be.
    Unchanged,
    /// It is somebody else's.
    Keep,
}

/// All that is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The top of the checkout.
    #[serde(skip)]
    top: PathBuf,
    /// Each file.
    pub files: Vec<Step>,
}

/// See what is to be done for these agents; nothing is written.
///
/// # Errors
/// Where there is no checkout, or a file cannot be used as it is.
pub fn plan(directory: &Path, agents: &[Client]) -> Result<Plan, Error> {
    let session = Session::open(directory)?;
    let Some(checkout) = &session.found.checkout else {
        let message = "a bare repository has no files to set up";
        return Err(Error::new(
            ErrorKind::Refused,
            message,
            "go into a checkout of it: `git worktree add`, `git clone`",
        ));
    };
    let mut plan = Plan { top: checkout.top.clone(), files: Vec::new() };
    plan.made_once(".pleach.toml", "a configuration to start from", CONFIG.to_owned())?;
    if let Some(text) = include(&checkout.top)? {
        plan.made_once(".worktreeinclude", "ignored files that tasks get", text)?;
    }
    for agent in agents {
        plan.agent(directory, *agent)?;
    }
    Ok(plan)
}

/// The agents that this repository is set up for already, as far as can be told.
pub fn guess(directory: &Path) -> Vec<Client> {
    let Some(top) = Session::open(directory).ok().and_then(|session| Some(session.found.checkout?.top)) else {
        return Vec::new();
    };
    let marks: [(Client, &[&str]); 7] = [
        (Client::Claude, &[".claude", "CLAUDE.md"]),
        (Client::Codex, &[".codex"]),
        (Client::Gemini, &[".gemini", "GEMINI.md"]),
        (Client::Qwen, &[".qwen", "QWEN.md"]),
        (Client::Opencode, &["opencode.json", "opencode.jsonc", ".opencode"]),
        (Client::Kiro, &[".kiro"]),
        (Client::Vscode, &[".vscode"]),
    ];
    marks
        .into_iter()
        .filter(|(_, names)| names.iter().any(|name| top.join(name).exists()))
        .map(|(one, _)| one)
        .collect()
}

/// Do it. Each file is written whole or not at all.
///
/// # Errors
/// Where one cannot be written; those before it are, and a second time does the rest.
pub fn write(plan: &Plan) -> Result<(), Error> {
    for step in &plan.files {
        let Some(text) = &step.text else { continue };
        let file = plan.top.join(&step.file);
        let file = file.canonicalize().unwrap_or(file);
        let mode = fs::metadata(&file).map_or(0o644, |seen| seen.permissions().mode());
        if let Some(dir) = file.parent() {
            fs::create_dir_all(dir).map_err(StoreError::file("make", dir))?;
        }
        store::replace(&file, text.as_bytes())?;
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).map_err(StoreError::file("write", &file))?;
    }
    Ok(())
}

impl Plan {
    fn agent(&mut self, directory: &Path, agent: Client) -> Result<(), Error> {
        use Client as C;
        self.server(directory, agent)?;
        match agent {
            C::Claude => {
                self.hooks(".claude/settings.json", &claude(), "pleach hook claude")?;
                self.skill(".claude/skills/pleach/SKILL.md")
            }
            C::Codex => {
                self.hooks(".codex/hooks.json", &codex(), "pleach hook codex")?;
                self.part("AGENTS.md")
            }
            C::Gemini => self.part("GEMINI.md"),
            C::Qwen => self.part("QWEN.md"),
            C::Opencode | C::Kiro | C::Vscode => self.part("AGENTS.md"),
        }
    }

    /// What is in a file of the checkout; a link that leads out of it is not followed.
    fn read(&self, name: &str) -> Result<Option<String>, Error> {
        let path = self.top.join(name);
        register::require_within(&self.top, &path)?;
        let path = path.canonicalize().unwrap_or(path);
        let Some(bytes) = store::read(&path)? else { return Ok(None) };
        String::from_utf8(bytes).map(Some).map_err(|_| broken(name, "it is not UTF-8"))
    }

    fn push(&mut self, file: &str, what: &'static str, before: Option<&str>, after: String) {
        let is_same = before == Some(&after);
        let action = if is_same { Action::Unchanged } else { Action::Write };
        let text = (!is_same).then_some(after);
        self.files.push(Step { file: file.into(), what, action, why: None, text });
    }

    /// A file that is its owner's from then on.
    fn made_once(&mut self, file: &str, what: &'static str, text: String) -> Result<(), Error> {
        match self.read(file)? {
            None => self.push(file, what, None, text),
            Some(known) if known == text => self.push(file, what, Some(&known), text),
            Some(_) => {
                let why = Some("it is there already".to_owned());
                self.files.push(Step { file: file.into(), what, action: Action::Keep, why, text: None });
            }
        }
        Ok(())
    }

    /// Our entry among the servers of the Model Context Protocol.
    fn server(&mut self, directory: &Path, agent: Client) -> Result<(), Error> {
        let planned = register::plan(directory, agent, Scope::Project, None)?;
        let file = planned.file.strip_prefix(&self.top).unwrap_or(&planned.file).to_owned();
        let name = file.display().to_string();
        let before = self.read(&name)?;
        let after = planned.change.or_else(|| before.clone()).unwrap_or_default();
        self.push(&name, "our MCP server", before.as_deref(), after);
        Ok(())
    }

    fn hooks(&mut self, file: &str, wanted: &[Hook], mark: &str) -> Result<(), Error> {
        let before = self.read(file)?;
        let (after, left) =
            edit::hooks(before.as_deref().unwrap_or_default(), mark, wanted).map_err(|why| broken(file, &why))?;
        self.push(file, "our hooks", before.as_deref(), after);
        if let (false, Some(step)) = (left.is_empty(), self.files.last_mut()) {
            step.why = Some(format!("{} has a hook of somebody else, which stays alone", left.join(", ")));
        }
        Ok(())
    }

    /// A file of ours.
    fn skill(&mut self, file: &str) -> Result<(), Error> {
        let before = self.read(file)?;
        let what = "how to delegate";
        if before.as_ref().is_some_and(|text| !text.contains(BEGIN)) {
            let why = Some("it is not of our making".to_owned());
            self.files.push(Step { file: file.into(), what, action: Action::Keep, why, text: None });
            return Ok(());
        }
        self.push(file, what, before.as_deref(), format!("{SKILL_HEAD}{}", marked("\n")));
        Ok(())
    }

    /// Our part of a file of others.
    fn part(&mut self, file: &str) -> Result<(), Error> {
        if self.files.iter().any(|step| step.file == Path::new(file)) {
            return Ok(());
        }
        let before = self.read(file)?;
        let after = with_part(before.as_deref().unwrap_or_default()).map_err(|why| broken(file, why))?;
        self.push(file, "how to delegate", before.as_deref(), after);
        Ok(())
    }
}

fn broken(name: &str, why: &str) -> Error {
    Error::new(
        ErrorKind::Refused,
        format!("{name} cannot be used as it is: {why}"),
        "mend it first; nothing was changed",
    )
}

/// Our text between its marks, with these ends of lines.
fn marked(end: &str) -> String {
    format!("{BEGIN}\n{TEXT}{END}\n").replace('\n', end)
}

/// A text with our part in it: where that is already, or at the end.
fn with_part(text: &str) -> Result<String, &'static str> {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let part = marked(end);
    match (text.matches(BEGIN).count(), text.matches(END).count()) {
        (0, 0) if text.is_empty() => Ok(part),
        (0, 0) => Ok(format!("{}{}{end}{part}", text, if text.ends_with('\n') { "" } else { end })),
        (1, 1) => {
            let (before, rest) = text.split_once(BEGIN).ok_or("its marks are torn")?;
            let (_, after) = rest.split_once(END).ok_or("the marks of our part are in the wrong order")?;
            Ok(format!("{before}{}{after}", part.trim_end()))
        }
        _ => Err("the marks of our part are torn, or there twice"),
    }
}

/// What is worth including of what git ignores here; none where nothing is.
fn include(top: &Path) -> Result<Option<String>, Error> {
    let list =
        ["-c", "core.fsmonitor=false", "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory"];
    let listed = Tool::git().dir(top).args(list).run().map_err(crate::git::GitError::from)?;
    let ignored: Vec<&str> = fields(&listed).filter_map(|name| std::str::from_utf8(name).ok()).collect();
    let of = |known: &[&'static str]| known.iter().copied().filter(|name| ignored.contains(name)).collect::<Vec<_>>();
    let (files, directories) = (of(FILES), of(DIRECTORIES));
    if files.is_empty() && directories.is_empty() {
        return Ok(None);
    }
    let mut text = "# Ignored files that each task of pleach gets a copy of, as in .gitignore.\n".to_owned();
    files.iter().for_each(|name| text += &format!("/{name}\n"));
    if !directories.is_empty() {
        text += "# These are there, too. They are cheap to copy where the file system can share blocks, and dear elsewhere.\n";
        directories.iter().for_each(|name| text += &format!("#/{name}\n"));
    }
    Ok(Some(text))
}

fn hook(event: &'static str, matcher: Option<&'static str>, command: String, timeout: u64) -> Hook {
    Hook { event, matcher, command, timeout, is_alone: event.starts_with("Worktree") }
}

fn claude() -> Vec<Hook> {
    // A worktree can take long to prepare. We give up a little before we are given up.
    let (short, long) = (line("claude"), format!("{} --timeout {}s", line("claude"), LONG - 20));
    vec![
        hook("WorktreeCreate", None, long.clone(), LONG),
        hook("WorktreeRemove", None, long.clone(), LONG),
        hook("SubagentStop", None, long, LONG),
        hook("PreToolUse", Some("SendMessage"), short.clone(), SHORT),
        hook("PostToolUse", Some("Agent|Task"), short.clone(), SHORT),
        hook("Stop", None, short.clone(), SHORT),
        hook("SessionEnd", None, short, SHORT),
    ]
}

fn codex() -> Vec<Hook> {
    vec![hook("SessionStart", None, line("codex"), SHORT), hook("Stop", None, line("codex"), SHORT)]
}

/// How we are called, as a line for a shell.
fn line(caller: &str) -> String {
    let program = register::program();
    let is_plain = program.chars().all(|c| c.is_alphanumeric() || "/._-+".contains(c));
    let program = if is_plain { program } else { format!("'{}'", program.replace('\'', r"'\''")) };
    format!("{program} hook {caller}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_commented_out_is_a_configuration() {
        let is_setting = |line: &&str| line.strip_prefix('#').is_some_and(|rest| !rest.starts_with(' '));
        let text: String = CONFIG.lines().filter(is_setting).map(|line| format!("{}\n", &line[1..])).collect();
        let read: crate::config::file::File = toml::from_str(&text).unwrap();
        assert_eq!(read.verify.command.as_deref(), Some("npm test"));
        assert!(CONFIG.lines().all(|line| line.is_empty() || line.starts_with('#')));
    }

    #[test]
    fn our_part_is_replaced_and_not_doubled() {
        let once = with_part("# Mine\n\nkeep").unwrap();
        assert!(once.starts_with("# Mine\n\nkeep\n\n<!-- pleach: begin -->\n"), "{once}");
        assert_eq!(with_part(&once).unwrap(), once);
        let older = once.replace("Delegating with pleach", "An older text") + "and below\n";
        assert_eq!(with_part(&older).unwrap(), once.clone() + "and below\n");
        let windows = with_part("mine\r\n").unwrap();
        assert_eq!(windows.matches('\n').count(), windows.matches("\r\n").count());
        assert_eq!(with_part(&windows).unwrap(), windows);
        for torn in [BEGIN, END, &format!("{END} {BEGIN}"), &format!("{once}{once}")] {
            assert!(with_part(torn).is_err(), "{torn}");
        }
    }
}
