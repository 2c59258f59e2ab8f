//! What the hooks of other agents call: JSON in, an answer in the words of that agent, and an exit code that decides.
//!
//! Where Claude Code would make a worktree, it gets one of ours ([`super::tenant`]), and what a sub-agent did there is collected
//! when that stops. All others only hear of what waits for review. Whatever comes in was written by others: a field that is not
//! there is not there, one that is not what it should be is an error, and an error stops nobody.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Error, ErrorKind, Session, tenant};
use crate::config::env;
use crate::core::id::{TaskHandle, TaskId};
use crate::core::state::{Task, TaskState};
use crate::core::task::Tenant;
use crate::core::word::{count, shown};
use crate::process::living;

/// The longest input that is read.
const LARGEST: u64 = 8 << 20;
/// The longest name that is kept of a place.
const LONGEST_NAME: usize = 200;
/// Results that are told of one by one.
const MOST_TOLD: usize = 5;

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Claude Code
    Claude,
    /// Codex
    Codex,
    /// Kiro
    Kiro,
}

impl Caller {
    fn name(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::Kiro => "kiro",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A worktree is wanted.
    WorktreeCreate,
    /// A worktree is not needed any more.
    WorktreeRemove,
    /// A sub-agent has stopped.
    SubagentStop,
    /// A tool is about to be used.
    PreToolUse,
    /// A tool was used.
    PostToolUse,
    /// The agent has stopped, and waits for a person.
    Stop,
    /// A conversation begins.
    SessionStart,
    /// A conversation is over.
    SessionEnd,
}

impl Event {
    /// Every event, by its word.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("worktree-create", Self::WorktreeCreate),
        ("worktree-remove", Self::WorktreeRemove),
        ("subagent-stop", Self::SubagentStop),
        ("pre-tool-use", Self::PreToolUse),
        ("post-tool-use", Self::PostToolUse),
        ("stop", Self::Stop),
        ("session-start", Self::SessionStart),
        ("session-end", Self::SessionEnd),
    ];

    /// As agents call it: `WorktreeCreate`, `agentSpawn`; none that we have nothing to do with.
    fn of(name: &str) -> Option<Self> {
        let plain = name.to_ascii_lowercase();
        let known = Self::ALL.iter().find(|(word, _)| word.replace('-', "") == plain).map(|(_, event)| *event);
        known.or_else(|| (plain == "agentspawn").then_some(Self::SessionStart))
    }
}

/// What comes in. All that is not here is somebody else's.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Input {
    hook_event_name: Option<String>,
    session_id: Option<String>,
    cwd: Option<PathBuf>,
    #[serde(alias = "worktree_name")]
    name: Option<String>,
    worktree_path: Option<PathBuf>,
    agent_id: Option<String>,
    last_assistant_message: Option<String>,
    reason: Option<String>,
    tool_name: Option<String>,
    tool_input: Value,
    tool_response: Value,
}

/// Read what comes in, do what is to be done, and say what is to be answered on standard output; nothing, mostly.
///
/// # Errors
/// Where what comes in is no JSON or not in time, or it cannot be done.
pub fn answer(
    directory: &Path,
    caller: Caller,
    event: Option<Event>,
    input: impl Read + Send + 'static,
    patience: Duration,
) -> Result<String, Error> {
    let input = read(input, patience)?;
    let said = || input.hook_event_name.as_deref().and_then(Event::of);
    // What is none of our business is no error: the same line may stand for every event.
    let Some(event) = event.or_else(said) else { return Ok(String::new()) };
    let mut session = session(directory, caller, &input)?;
    let call = Call { caller, input: &input, patience };
    match event {
        Event::WorktreeCreate => call.create(&mut session),
        Event::WorktreeRemove => call.remove(&mut session),
        Event::SubagentStop => call.subagent_stop(&mut session),
        Event::SessionEnd => call.session_end(&mut session),
        Event::PreToolUse => call.pre_tool_use(&session),
        Event::PostToolUse => call.post_tool_use(&session),
        Event::Stop => call.stop(&session),
        Event::SessionStart => Ok(call.waiting(&session)?.unwrap_or_default()),
    }
}

/// One value of JSON. Who calls need not close the pipe, and may never write anything.
fn read(input: impl Read + Send + 'static, patience: Duration) -> Result<Input, Error> {
    let hint = "this is called by the hooks of an agent: see `pleach init --agent claude --print`";
    let (told, heard) = mpsc::channel();
    std::thread::spawn(move || {
        let mut values = serde_json::Deserializer::from_reader(input.take(LARGEST)).into_iter::<Input>();
        let _ = told.send(values.next());
    });
    match heard.recv_timeout(patience) {
        Ok(Some(Ok(input))) => Ok(input),
        Ok(Some(Err(error))) => {
            Err(Error::new(ErrorKind::Usage, format!("what came in is not what a hook is told: {error}"), hint))
        }
        Ok(None) => Err(Error::new(ErrorKind::Usage, "nothing came in", hint)),
        Err(_) => Err(Error::new(ErrorKind::TimedOut, "nothing came in, in all that time", hint)),
    }
}

/// The repository that this is about: that of the user, also where it is called from within a place of ours, or when that is gone.
fn session(directory: &Path, caller: Caller, input: &Input) -> Result<Session, Error> {
    let project = env::claude_project().filter(|_| caller == Caller::Claude);
    let named = [project, input.worktree_path.clone(), input.cwd.clone()];
    let dirs = named.into_iter().flatten().filter(|dir| dir.is_absolute()).chain([directory.to_owned()]);
    let mut first = None;
    for dir in dirs {
        let dir = tenant::of_path(&dir).map_or(dir, |(_, checkout)| checkout);
        match Session::open(&dir) {
            Ok(session) => return Ok(session),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or_else(|| Error::plain(ErrorKind::Repository, "there is no directory")))
}

struct Call<'a> {
    caller: Caller,
    input: &'a Input,
    patience: Duration,
}

impl Call<'_> {
    fn session_id(&self) -> &str {
        self.input.session_id.as_deref().unwrap_or_default()
    }

    fn create(&self, session: &mut Session) -> Result<String, Error> {
        let name = self.input.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| {
            let hint = "a hook for WorktreeCreate of Claude Code is told one";
            Error::new(ErrorKind::Usage, "a worktree needs a name", hint)
        })?;
        let tenant = Tenant {
            by: self.caller.name().to_owned(),
            name: name.chars().take(LONGEST_NAME).collect(),
            session: self.session_id().to_owned(),
            process: living::caller(),
        };
        let open = tenant::open(session, tenant, self.patience)?;
        match open.worktree.to_str().filter(|path| !path.contains('\n')) {
            Some(path) => Ok(path.to_owned()),
            None => {
                let message = format!("{} is no path that can be said in a line", open.worktree.display());
                Err(Error::new(ErrorKind::Error, message, "set PLEACH_STATE_DIR to one that is plain text"))
            }
        }
    }

    fn remove(&self, session: &mut Session) -> Result<String, Error> {
        let path = self.input.worktree_path.as_deref();
        let path = path.ok_or_else(|| Error::new(ErrorKind::Usage, "no worktree_path came in", "it says which"))?;
        let Some((attempt, _)) = tenant::of_path(path) else {
            let message = format!("{} is no worktree of pleach, and is left alone", shown(&path.to_string_lossy()));
            return Err(Error::new(ErrorKind::Refused, message, "whoever made it removes it: `git worktree remove`"));
        };
        if session.state()?.task(attempt.task).is_some_and(|task| task.has_work_ahead()) {
            tenant::leave(session, &[attempt.task], "", self.patience)?;
        }
        Ok(String::new())
    }

    fn subagent_stop(&self, session: &mut Session) -> Result<String, Error> {
        let Some(agent) = &self.input.agent_id else { return Ok(String::new()) };
        let Some(id) = self.place_of(session, agent)?.filter(|task| task.has_work_ahead()).map(|task| task.id) else {
            return Ok(String::new());
        };
        let words = self.input.last_assistant_message.as_deref().unwrap_or_default();
        tenant::leave(session, &[id], words, self.patience)?;
        let told = session.state()?.task(id).map(tenant::told).unwrap_or_default();
        Ok(json!({ "systemMessage": format!("pleach: {told}") }).to_string())
    }

    fn session_end(&self, session: &mut Session) -> Result<String, Error> {
        // The same program goes on with another conversation, and so may what it left at work.
        if self.session_id().is_empty() || matches!(self.input.reason.as_deref(), Some("clear" | "resume")) {
            return Ok(String::new());
        }
        let state = session.state()?;
        let ids: Vec<TaskId> =
            state.open().filter(|task| task.has_work_ahead() && self.is_of(task)).map(|task| task.id).collect();
        if !ids.is_empty() {
            tenant::leave(session, &ids, "", self.patience)?;
        }
        Ok(String::new())
    }

    /// Its worktree is gone with its end: whoever goes on with it would work in the user's checkout.
    fn pre_tool_use(&self, session: &Session) -> Result<String, Error> {
        let to = self.input.tool_input.get("to").and_then(Value::as_str);
        let Some(to) = to.filter(|_| self.input.tool_name.as_deref() == Some("SendMessage")) else {
            return Ok(String::new());
        };
        let Some(task) = self.place_of(session, to)?.filter(|task| !task.has_work_ahead()) else {
            return Ok(String::new());
        };
        let why = format!(
            "its worktree was collected when it stopped: {}. Start another agent for what is left to do.",
            tenant::told(&task)
        );
        let decision =
            json!({ "hookEventName": "PreToolUse", "permissionDecision": "deny", "permissionDecisionReason": why });
        Ok(json!({ "hookSpecificOutput": decision }).to_string())
    }

    /// The parent of a sub-agent that worked in a place of ours hears where its result is.
    fn post_tool_use(&self, session: &Session) -> Result<String, Error> {
        let Some(agent) = self.input.tool_response.get("agentId").and_then(Value::as_str) else {
            return Ok(String::new());
        };
        let Some(task) = self.place_of(session, agent)? else { return Ok(String::new()) };
        let told = tenant::told(&task);
        let said = json!({ "hookEventName": "PostToolUse", "additionalContext": format!("pleach: {told}") });
        Ok(json!({ "hookSpecificOutput": said }).to_string())
    }

    fn stop(&self, session: &Session) -> Result<String, Error> {
        let Some(told) = self.waiting(session)? else { return Ok(String::new()) };
        Ok(match self.caller {
            Caller::Kiro => told,
            Caller::Claude | Caller::Codex => json!({ "systemMessage": told }).to_string(),
        })
    }

    /// What waits for review.
    fn waiting(&self, session: &Session) -> Result<Option<String>, Error> {
        let state = session.state()?;
        let waits = |task: &&Task| matches!(task.state, TaskState::Ready { .. } | TaskState::Refused { .. });
        let ready: Vec<&Task> = state.open().filter(waits).collect();
        if ready.is_empty() {
            return Ok(None);
        }
        let named = |task: &&Task| {
            task.spec.name.as_ref().map_or_else(|| task.id.to_string(), |name| format!("{} ({name})", task.id))
        };
        let few: Vec<String> = ready.iter().rev().take(MOST_TOLD).map(named).collect();
        let more = if ready.len() > MOST_TOLD { ", ..." } else { "" };
        let results = count(ready.len() as u64, "result");
        let verb = if ready.len() == 1 { "waits" } else { "wait" };
        Ok(Some(format!("pleach: {results} {verb} for review: {}{more}; `pleach review`", few.join(", "))))
    }

    fn is_of(&self, task: &Task) -> bool {
        let is_ours = |tenant: &Tenant| tenant.by == self.caller.name() && tenant.session == self.session_id();
        task.spec.tenant.as_deref().is_some_and(is_ours)
    }

    /// The newest place of a sub-agent of this conversation.
    fn place_of(&self, session: &Session, agent: &str) -> Result<Option<Task>, Error> {
        let name = format!("agent-{agent}");
        let is_its = |task: &&Task| {
            self.is_of(task)
                && task.spec.tenant.as_ref().is_some_and(|tenant| tenant.name == name || tenant.name == agent)
        };
        Ok(session.state()?.tasks().rev().find(is_its).cloned())
    }
}

/// Say by hand that whoever works in these places is through. Answers what became of each.
///
/// # Errors
/// Where a task is unknown or no such place, or the time is over.
pub fn done(session: &mut Session, tasks: &[TaskHandle], patience: Duration) -> Result<Vec<String>, Error> {
    let state = session.state()?;
    let ids: Vec<TaskId> = super::find(&state, tasks)?.iter().map(|task| task.id).collect();
    tenant::leave(session, &ids, "", patience)?;
    let state = session.state()?;
    Ok(ids.iter().filter_map(|id| state.task(*id)).map(tenant::told).collect())
}
