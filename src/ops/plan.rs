//! Plans: reading the file, looking at what it would do, handing it over whole, and telling what came of it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use super::roles::{self, Ask, Chosen};
use super::sandbox::{self, Wish as Tried};
use super::submit::{self, Asker, Wish};
use super::verify::{How, Verifying};
use super::{Error, ErrorKind, Session, agents, diff, look};
use crate::coordinator::protocol::{LONGEST as LONGEST_REQUEST, NewPlan, Request, Response};
use crate::core::id::{BranchName, TaskHandle, TaskId, TaskName};
use crate::core::plan::{
    self, Draft, Expanded, ForEach, Glob, LONGEST, OnFailure, Plan, PlanId, Planned, Problems, Run, Syntax,
};
use crate::core::report::plan::{Found, PlanReport, Preview};
use crate::core::report::{self, CommitLine};
use crate::core::role::trust_all;
use crate::core::sandbox::Tier;
use crate::core::state::{State, Task};
use crate::core::task::{CommandLine, FoldPolicy, TaskSpec};
use crate::core::units::Bytes;
use crate::core::word::Word;
use crate::process::clock;
use crate::store::environment;

/// Bytes that a command may write for `for_each`.
const MOST_WRITTEN: u64 = 1 << 20;
/// What UTF-8 may begin with.
const BOM: &[u8] = b"\xef\xbb\xbf";
/// Commits that are told of one task.
const MOST_COMMITS: usize = 100;

/// A plan that was read and makes sense.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file, as somebody named it.
    file: String,
    text: String,
    draft: Draft,
    name: TaskName,
}

/// What somebody says beside the file.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// What it is called.
    pub name: Option<TaskName>,
    /// The revision that its tasks start from.
    pub base: Option<String>,
    /// The branch that the results are for.
    pub into: Option<BranchName>,
}

/// Is this the name of a plan, and not a command? What could be a line for the shell, too, is one where there is such a file.
pub fn is_file(directory: &Path, word: &Word) -> bool {
    let path = word.as_path();
    let has_ending = path.extension().is_some_and(|ending| ending == "toml" || ending == "json");
    let is_line = || word.as_bytes().iter().any(|byte| byte.is_ascii_whitespace() || b"|&;<>()$`\"'".contains(byte));
    has_ending && (!is_line() || directory.join(path).is_file())
}

/// Read a plan. What somebody says beside it goes over what it says itself.
///
/// # Errors
/// Where it cannot be read; and everything that is wrong with it.
pub fn load(directory: &Path, file: &Path, said: Said) -> Result<Source, Error> {
    let shown = Word::from(file).shown();
    let path = directory.join(file);
    let text = read_file(&path).map_err(|why| {
        Error::new(
            ErrorKind::Usage,
            format!("cannot read the plan {shown}: {why}"),
            "see `pleach help run` for what can be run",
        )
    })?;
    let syntax = if file.extension().is_some_and(|ending| ending == "json") { Syntax::Json } else { Syntax::Toml };
    let mut draft = plan::read(&text, syntax).map_err(|problems| refuse(&shown, &problems))?;
    draft.base = said.base.or(draft.base);
    draft.into = said.into.or(draft.into);
    let stem = file.file_stem().map(|stem| Word::from(stem.to_os_string()).shown()).unwrap_or_default();
    let name = match said.name.or(draft.name.clone()) {
        Some(name) => name,
        None => stem.parse().map_err(|error: crate::core::id::ParseId| {
            Error::new(ErrorKind::Usage, format!("{shown} says no name, and {error}"), "write name = \"…\" at its top")
        })?,
    };
    Ok(Source { file: shown, text, draft, name })
}

fn read_file(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    if !file.metadata().is_ok_and(|data| data.is_file()) {
        return Err("it is no file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LONGEST {
        return Err(format!("it has more than {} MiB", LONGEST >> 20));
    }
    // Some editors begin a file with the mark of its encoding, which is nothing that it says.
    if bytes.starts_with(BOM) {
        bytes.drain(..BOM.len());
    }
    String::from_utf8(bytes)
        .map_err(|error| format!("it is not UTF-8 text, from byte {} on", error.utf8_error().valid_up_to()))
}

fn refuse(file: &str, problems: &Problems) -> Error {
    let hint = format!(
        "mend {}, and see what it would do with `pleach plan {file}`",
        match problems.iter().len() {
            1 => "that line",
            _ => "these lines",
        }
    );
    Error::new(ErrorKind::Usage, problems.told(file), hint)
}

/// What it would do. Nothing is run, but for the commands of `for_each` where `expands`.
///
/// # Errors
/// Where what it asks for is not there.
pub fn preview(session: &Session, source: &Source, expands: bool) -> Result<Preview, Error> {
    let expanded = expand(session, source, expands)?;
    Ok(Preview::of(&source.name, &source.file, &source.draft, &expanded, expands))
}

fn expand(session: &Session, source: &Source, runs: bool) -> Result<Expanded, Error> {
    let paths = std::cell::OnceCell::new();
    let written = std::cell::RefCell::new(BTreeMap::new());
    let items = |each: &ForEach| match each {
        ForEach::List(items) => Ok(items.clone()),
        // Once for all tasks that name it: one that needs another item by item has the same items.
        ForEach::Command(command) if runs => {
            let mut written = written.borrow_mut();
            written.entry(command.clone()).or_insert_with(|| lines(session, command)).clone()
        }
        // What it would write is not known: one task stands for all of them.
        ForEach::Command(_) => Ok(vec!["<line>".to_owned()]),
        ForEach::Globs(globs) => {
            let paths = paths.get_or_init(|| tracked(session, source.draft.base.as_deref()));
            let place =
                session.found.checkout.as_ref().map(|checkout| checkout.prefix.as_path()).unwrap_or(Path::new(""));
            let meant = meant(globs, paths.as_ref().map_err(Clone::clone)?);
            Ok(meant.into_iter().map(|path| seen_from(place, path)).collect())
        }
    };
    plan::expand(&source.text, &source.draft, &items).map_err(|problems| refuse(&source.file, &problems))
}

/// All files of the commit that the tasks start from.
fn tracked(session: &Session, base: Option<&str>) -> Result<Vec<String>, String> {
    let base = submit::base(session, base).map_err(|error| error.message)?;
    let listed =
        session.repository().git().args(["ls-tree", "-r", "-z", "--name-only", "--full-tree", &base.to_string()]);
    let listed = listed.run().map_err(|error| crate::git::GitError::from(error).words())?;
    let names = listed.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    // A name that is no text is no item.
    Ok(names.filter_map(|name| String::from_utf8(name.to_vec()).ok()).collect())
}

/// A path from the top, as one below writes it who stands there: that is where the tasks run.
fn seen_from(place: &Path, path: String) -> String {
    let (mut above, mut below) = (place.components().peekable(), Path::new(&path).components().peekable());
    while above.peek().is_some() && above.peek() == below.peek() {
        above.next();
        below.next();
    }
    let seen: PathBuf = above.map(|_| Component::ParentDir).chain(below).collect();
    match seen.to_str() {
        Some("") => ".".to_owned(),
        Some(seen) => seen.to_owned(),
        None => path,
    }
}

fn meant(globs: &[String], paths: &[String]) -> Vec<String> {
    let mut found = std::collections::BTreeSet::new();
    for glob in globs {
        let (pattern, wants_directories) = match glob.strip_suffix('/') {
            Some(pattern) => (pattern, true),
            None => (glob.as_str(), false),
        };
        let Ok(pattern) = Glob::parse(pattern) else { continue };
        for path in paths {
            if !wants_directories {
                found.extend(pattern.matches(path.as_bytes()).then(|| path.clone()));
                continue;
            }
            let above = path.match_indices('/').map(|(at, _)| &path[..at]);
            found.extend(above.filter(|above| pattern.matches(above.as_bytes())).map(str::to_owned));
        }
    }
    found.into_iter().collect()
}

/// The lines that a command writes: it runs as a task would, and can write nothing where anything confines it.
fn lines(session: &Session, command: &str) -> Result<Vec<String>, String> {
    let is_unconfined = session.config().is_ok_and(|config| config.sandbox.tier == Some(Tier::None));
    let command_line = CommandLine::Shell(command.into());
    let wish = Tried { command: command_line, tier: None, network: None, read_only: !is_unconfined };
    let (tried, bytes) = sandbox::output(session, &wish, MOST_WRITTEN).map_err(|error| error.message)?;
    if tried.code != 0 {
        return Err(format!("`{command}` ended with {}", tried.code));
    }
    let text = String::from_utf8(bytes).map_err(|_| format!("`{command}` wrote what is no text"))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut seen = std::collections::BTreeSet::new();
    Ok(lines.filter(|line| seen.insert(*line)).map(str::to_owned).collect())
}

/// Hand it over, all of it or nothing. The same file again while it is under way is the same plan.
///
/// # Errors
/// Where a part of it cannot be granted, or another plan of its name is under way.
pub fn submit(session: &mut Session, source: &Source, ask: Ask<'_>) -> Result<PlanId, Error> {
    super::inside::require_outside(session, "a plan")?;
    let fingerprint = format!("{:016x}", environment::hash(source.text.as_bytes()));
    let open = session.state()?;
    // Taken up again: what its commands write now, and where HEAD is now, is of no matter.
    let known = open.newest_plan(&source.name).filter(|plan| plan.fingerprint == fingerprint);
    if let Some(known) = known.filter(|plan| is_under_way(&open, plan)) {
        let id = known.id.clone();
        session.wake(&open);
        return Ok(id);
    }
    let expanded = expand(session, source, true)?;
    let mut asker = Asker::default();
    let roles = chosen(session, &expanded, ask)?;
    let specs = expanded.tasks.iter().map(|task| spec(session, &mut asker, &source.draft, task, &roles));
    let mut specs = specs.collect::<Result<Vec<TaskSpec>, Error>>()?;
    let secrets: Vec<_> = specs.iter_mut().map(submit::seal).collect();
    let secrets = if secrets.iter().all(BTreeMap::is_empty) { Vec::new() } else { secrets };
    let bytes = serde_json::to_vec(&(&specs, &secrets)).map_or(0, |bytes| bytes.len() as u64);
    if bytes > LONGEST_REQUEST - (64 << 10) {
        let message = format!("{} is too much: its tasks come to {}", source.file, Bytes(bytes));
        return Err(Error::new(ErrorKind::Usage, message, "make two plans of it, or shorten what its tasks say"));
    }
    let plan = Box::new(NewPlan {
        name: source.name.clone(),
        file: source.file.clone(),
        fingerprint,
        request: submit::request(),
        on_failure: source.draft.on_failure,
        concurrency: source.draft.concurrency,
    });
    let limits = session.config()?.limits();
    match session.coordinator()?.ask(&Request::SubmitPlan { plan, specs, secrets, limits })? {
        Response::Planned(id) => Ok(id),
        other => Err(Error::plain(ErrorKind::Error, format!("the coordinator answered {other:?}"))),
    }
}

/// The roles of its tasks: for each one somebody is asked once at most.
fn chosen(session: &Session, expanded: &Expanded, ask: Ask<'_>) -> Result<BTreeMap<String, Chosen>, Error> {
    let mut chosen = BTreeMap::new();
    for name in expanded.tasks.iter().filter_map(|task| task.settings.role.as_ref()) {
        if !chosen.contains_key(name) {
            chosen.insert(name.clone(), roles::choose(session, name, None, ask)?);
        }
    }
    Ok(chosen)
}

/// One line where an agent of the plan has no role.
///
/// # Errors
/// Where the configuration cannot be read.
pub fn unbound(session: &Session, source: &Source) -> Result<Option<String>, Error> {
    let is_agent = |task: &plan::DraftTask| task.run.prompt().is_some() || roles::runs_agent(&task.run.command());
    let is_unbound = source.draft.tasks.iter().any(|task| task.settings.role.is_none() && is_agent(task));
    Ok(if is_unbound { Some(trust_all(&session.config()?.sandbox)) } else { None })
}

fn spec(
    session: &mut Session,
    asker: &mut Asker,
    draft: &Draft,
    task: &Planned,
    roles: &BTreeMap<String, Chosen>,
) -> Result<TaskSpec, Error> {
    let settings = task.settings.clone();
    let how = settings.verify.map_or(How::Configured, How::Command);
    // What is discarded where one fails must not be folded before all have ended.
    let said = settings.fold.or((draft.on_failure == OnFailure::DiscardAll).then_some(FoldPolicy::Review));
    let wanted = said.unwrap_or(session.config()?.fold);
    let is_try = task.member.candidate.is_some();
    let wish = Wish {
        name: Some(task.name.clone()),
        priority: settings.priority,
        timeout: settings.timeout,
        base: draft.base.clone(),
        into: draft.into.clone(),
        group: settings.group,
        needs_memory: settings.needs_memory,
        retries: settings.retries,
        env: settings.env.into_iter().map(|(name, value)| (name, value.into())).collect(),
        fold: if is_try { Some(FoldPolicy::Review) } else { said },
        strategy: settings.strategy,
        message: task.message.clone(),
        verify: Verifying { how, no_cache: false },
        read_only: settings.read_only,
        clean: settings.clean,
        agent: agent(session, task)?,
        role: settings.role.as_ref().and_then(|name| roles.get(name)).cloned(),
        ..Wish::new(task.command.clone())
    };
    let mut member = task.member.clone();
    member.fold = if is_try { wanted } else { FoldPolicy::Review };
    // Within the plan, from 1.
    let needs = task.needs.iter().map(|place| TaskId(*place as u64 + 1)).collect();
    Ok(TaskSpec { needs, member: Some(Box::new(member)), ..asker.spec(session, wish)? })
}

/// The agent that a task of a plan names. What is no name of one is a command that is run.
fn agent(session: &Session, task: &Planned) -> Result<Option<agents::Wanted>, Error> {
    let settings = &task.settings;
    let name = match &task.member.run {
        Some(Run::Prompt { agent, .. }) => match agent.as_ref() {
            Run::Shell(line) => Some(line.text()).filter(|name| agents::is_known(session, name)),
            // Nobody is named but the role.
            Run::Exec(words) if words.is_empty() => Some(String::new()),
            _ => None,
        },
        _ => None,
    };
    let asks = settings.model.is_some() || settings.max_turns.is_some() || settings.budget.is_some();
    match name {
        None if asks && task.member.run.as_ref().is_some_and(|run| run.prompt().is_some()) => {
            let message = format!("task {} says a model, max_turns or budget, and its agent is a command", task.name);
            Err(Error::new(ErrorKind::Usage, message, "name an agent instead: see `pleach agents`"))
        }
        None => Ok(None),
        Some(name) => Ok(Some(agents::Wanted {
            name,
            model: settings.model.clone(),
            turns: settings.max_turns,
            budget: settings.budget.clone(),
            changes: settings.changes,
            ..agents::Wanted::default()
        })),
    }
}

/// Will anything more happen to it by itself?
pub fn is_under_way(state: &State, plan: &Plan) -> bool {
    plan::steer::is_under_way(state, plan)
}

/// The plan that somebody means: `release.2`, or the newest of a name; the newest of all where nobody says.
///
/// # Errors
/// Where there is none.
pub fn find<'a>(state: &'a State, said: Option<&str>) -> Result<&'a Plan, Error> {
    let found = match said {
        None => state.plans().last(),
        Some(text) => {
            let exact = text.parse::<PlanId>().ok().and_then(|id| state.plan(&id));
            exact.or_else(|| text.parse::<TaskName>().ok().and_then(|name| state.newest_plan(&name)))
        }
    };
    found.ok_or_else(|| {
        let known: Vec<String> = state.plans().iter().rev().take(5).map(|plan| plan.id.to_string()).collect();
        let message = match said {
            Some(text) => format!("there is no plan {text}"),
            None => "no plan was ever run here".to_owned(),
        };
        let hint = match known.is_empty() {
            true => "run one with `pleach run plan.toml`".to_owned(),
            false => format!("there are {}", known.join(", ")),
        };
        Error::new(ErrorKind::UnknownTask, message, hint)
    })
}

/// The tasks of a plan.
///
/// # Errors
/// Where there is no such plan.
pub fn tasks(session: &Session, said: &str, wanted: fn(&State, &Task) -> bool) -> Result<Vec<TaskHandle>, Error> {
    let state = session.state()?;
    let plan = find(&state, Some(said))?;
    let tasks = plan.tasks().filter_map(|id| state.task(id)).filter(|task| wanted(&state, task));
    Ok(tasks.map(|task| TaskHandle::Id(task.id)).collect())
}

/// What came of a plan, as far as it has come.
///
/// # Errors
/// Where there is no such plan.
pub fn report(session: &mut Session, said: Option<&str>) -> Result<PlanReport, Error> {
    let state = session.state()?;
    session.wake(&state);
    let plan = find(&state, said)?;
    let seen = look::seen(session, &state);
    let found: BTreeMap<TaskId, Found> =
        plan.tasks().filter_map(|id| state.task(id)).map(|task| (task.id, result_of(session, task))).collect();
    Ok(report::plan::plan(&state, plan, &seen, found, clock::now()))
}

/// The files and commits of a result, where its objects are there.
fn result_of(session: &Session, task: &Task) -> Found {
    let sides = task.result_attempt().and_then(|attempt| Some((attempt.base?, task.tip()?)));
    let Some((base, tip)) = sides else { return Found::default() };
    let commits = session.repository().subjects(base, tip, MOST_COMMITS).unwrap_or_default();
    Found {
        files: diff::files(session.repository(), base, tip).unwrap_or_default(),
        commits: commits.into_iter().map(|(id, subject)| CommitLine { id, subject }).collect(),
    }
}

/// Of several tries at the same, take this one.
///
/// # Errors
/// Where it is none, or has no result.
pub fn pick(session: &mut Session, task: &TaskHandle) -> Result<TaskId, Error> {
    let state = session.state()?;
    let id = super::find(&state, std::slice::from_ref(task))?[0].id;
    session.coordinator()?.ask(&Request::Pick { task: id })?;
    Ok(id)
}

/// The file that a word names.
pub fn path(word: &Word) -> PathBuf {
    word.as_path().to_owned()
}
