//! `delegate_task` and `delegate_batch`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::answer::Answer;
use super::args::{self, Task};
use super::{Call, look};
use crate::config::env;
use crate::core::id::{TaskHandle, TaskId, TaskName};
use crate::core::plan::Glob;
use crate::core::state::State;
use crate::core::task::CommandLine;
use crate::core::word::Word;
use crate::ops::roles::Chosen;
use crate::ops::submit::{self, Wish};
use crate::ops::verify::How;
use crate::ops::{self, Error, ErrorKind, Session, agents, batch, control, roles};

/// The longest name that is made of a title.
const LONGEST_NAME: usize = 40;
/// The longest prompt: it travels as a variable, and the kernel takes 128 KiB.
const LONGEST_PROMPT: usize = 100_000;
/// What a group is called whose tasks are one batch.
const BATCH: &str = "batch-";
/// Many tasks at once, but not so many that the answer fills a context.
const MOST_TASKS: usize = 200;

pub(super) fn task(call: &Call, arguments: Value) -> Result<Answer, Error> {
    let args: Task = args::read("delegate_task", arguments)?;
    if args.key.is_some() {
        return Err(args::usage("key", &"only tasks of a batch have one"));
    }
    let mut session = call.delegating()?;
    let after = args::handles(args.depends_on.as_deref().unwrap_or_default())?;
    let wish = Wish { after, ..wish(call, &args)? };
    let request = args.idempotency_key.as_ref().map(|key| format!("mcp {key}"));
    let known = request.as_ref().map(|request| session.state().map(|state| state.find_request(request).is_some()));
    let known = known.transpose()?.unwrap_or(false);
    let warning = roles::unbound(&session, &wish)?;
    let id = put(&mut session, wish, request)?;
    let rows = look::rows(&mut session, &[id])?;
    let text = match known {
        true => format!("this was asked before, so nothing was started\n{}", look::text(&rows)),
        false => look::text(&rows),
    };
    let mut value = json!(rows.first());
    value["asked_before"] = known.into();
    if let Some(warning) = warning {
        value["warning"] = warning.into();
    }
    value["next"] = json!(look::steps(&rows).into_values().next());
    Ok(Answer::new(text, value))
}

fn put(session: &mut Session, wish: Wish, request: Option<String>) -> Result<TaskId, Error> {
    match request {
        Some(request) => submit::submit_as(session, wish, request),
        None => submit::submit(session, wish),
    }
}

/// What is wanted, without what it builds on.
fn wish(call: &Call, args: &Task) -> Result<Wish, Error> {
    // Nobody sits at a terminal here.
    let nobody = &mut |_: &_| Ok(roles::Answer::Nobody);
    let by = call.settings.role.as_deref();
    let role = args.role.as_deref().map(|role| roles::choose(&call.delegating()?, role, by, nobody)).transpose()?;
    let (mut wish, prompt) = match (args.command.as_deref().map(str::trim), args.prompt.as_deref().map(str::trim)) {
        (Some(command), None) if !command.is_empty() => {
            if args.agent.is_some() || args.model.is_some() || args.max_turns.is_some() {
                return Err(args::usage("agent", &"a task with a command has none; give prompt instead of command"));
            }
            (Wish::new(CommandLine::Shell(command.into())), None)
        }
        (None, Some(prompt)) if !prompt.is_empty() => (agent(call, args, role.as_ref(), prompt)?, Some(prompt)),
        _ => {
            let message = "a task needs a command or a prompt, and one of them only";
            return Err(Error::new(ErrorKind::Usage, message, "give command: a shell line such as \"npm test\""));
        }
    };
    let title =
        args.title.as_deref().or_else(|| prompt?.lines().next()).map(str::trim).filter(|title| !title.is_empty());
    wish.name = title.and_then(name);
    wish.message = args.title.clone().filter(|title| !title.trim().is_empty()).or_else(|| title.map(str::to_owned));
    wish.priority = args::word("priority", args.priority.as_ref())?;
    wish.fold = args::word("merge", args.merge.as_ref())?;
    wish.timeout = args.timeout_s;
    wish.base = args.base.clone();
    let paths = args.paths.iter().flatten().map(|path| Glob::parse(path).map_err(|error| args::usage("paths", &error)));
    wish.paths = paths.collect::<Result<_, _>>()?;
    if let Some(command) = &args.verify {
        wish.verify.how = How::Command(command.clone());
    }
    wish.role = role;
    Ok(wish)
}

/// The agent that does what a prompt asks, or the line of the server's settings that does.
fn agent(call: &Call, args: &Task, role: Option<&Chosen>, prompt: &str) -> Result<Wish, Error> {
    // Where nobody else is named, the agent of the role does it.
    let of_role = role.filter(|role| args.agent.is_none() && role.has_agent()).map(|_| String::new());
    let of_task = call.session().is_ok_and(|session| session.is_inside()).then(String::new);
    let named = args.agent.as_ref().or(of_role.as_ref()).or(call.settings.agent.as_ref());
    let Some(agent) = named.or(of_task.as_ref()) else {
        let hint = "give agent (a person sees those that there are with `pleach agents`), or command instead of prompt";
        return Err(Error::new(ErrorKind::Usage, "nobody says which agent does what this prompt asks", hint));
    };
    if args.agent.is_some() || of_role.is_some() || agent.is_empty() || agents::is_known(&call.delegating()?, agent) {
        return Ok(Wish::of_agent(agents::Wanted {
            name: agent.clone(),
            model: args.model.clone(),
            turns: args.max_turns,
            prompt: Some(prompt.to_owned()),
            ..agents::Wanted::default()
        }));
    }
    if args.model.is_some() || args.max_turns.is_some() {
        return Err(args::usage(
            "model",
            &"the agent of this server is a command line, which has none; give agent, too",
        ));
    }
    if prompt.len() > LONGEST_PROMPT {
        let message = format!("the prompt is longer than {LONGEST_PROMPT} bytes");
        return Err(Error::new(ErrorKind::Usage, message, "put the long part into a file, and commit that"));
    }
    let line = format!("printf '%s\\n' \"${}\" | {agent}", env::PROMPT_TEXT);
    let mut wish = Wish::new(CommandLine::Shell(line.as_str().into()));
    wish.env.insert(env::PROMPT_TEXT.to_owned(), Word::from(prompt));
    Ok(wish)
}

/// A name made of a title, where any is left of it: it names a branch, too.
fn name(title: &str) -> Option<TaskName> {
    let plain = title.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    let parts: String = plain.collect();
    let mut name = String::new();
    for part in parts.split('-').filter(|part| !part.is_empty()) {
        if !name.is_empty() && name.len() + part.len() >= LONGEST_NAME {
            break;
        }
        if !name.is_empty() {
            name.push('-');
        }
        name.extend(part.chars().take(LONGEST_NAME));
    }
    name.parse().ok()
}

pub(super) fn batch(call: &Call, arguments: Value) -> Result<Answer, Error> {
    let args: args::Batch = args::read("delegate_batch", arguments)?;
    let order = order(&args.tasks)?;
    let wishes: Vec<Wish> = args.tasks.iter().map(|task| wish(call, task)).collect::<Result<_, _>>()?;
    let mut session = call.delegating()?;
    require_needs(&session.state()?, &args.tasks)?;
    if args.concurrency.is_some() || args.on_failure.is_some() {
        return together(&mut session, &args, &order, &wishes);
    }
    let request = |key: &str| args.idempotency_key.as_ref().map(|of_all| format!("mcp batch {of_all}: {key}"));
    let before = args.tasks.first().and_then(|task| request(task.key.as_deref()?));
    let known = before.map(|before| session.state().map(|state| of_request(&state, &before))).transpose()?.flatten();
    let was_known = known.is_some();
    let group = known.unwrap_or_else(|| format!("{BATCH}{:08x}", fastrand::u32(..)));
    let mut ids: BTreeMap<&str, TaskId> = BTreeMap::new();
    for place in order {
        let (task, key) = (&args.tasks[place], args.tasks[place].key.as_deref().unwrap_or_default());
        let put = after(task, &ids).and_then(|after| {
            let wish = Wish { after, group: Some(group.clone()), ..wishes[place].clone() };
            put(&mut session, wish, request(key))
        });
        match put {
            Ok(id) => drop(ids.insert(key, id)),
            Err(error) if was_known => return Err(error),
            Err(error) => {
                let error = taken_back(&mut session, error, key, ids.into_values().collect());
                let used = args.idempotency_key.as_ref().map(|_| "; take another idempotency_key then");
                return Err(Error { hint: error.hint.map(|hint| hint + used.unwrap_or_default()), ..error });
            }
        }
    }
    started(&mut session, &args, &group, &ids, was_known)
}

/// What stands or falls together is a plan: `pleach report` knows it, too.
fn together(session: &mut Session, args: &args::Batch, order: &[usize], wishes: &[Wish]) -> Result<Answer, Error> {
    ops::inside::require_outside(session, "concurrency or on_failure of a batch")?;
    if args.concurrency == Some(0) {
        return Err(args::usage("concurrency", &"0 tasks at once would never end"));
    }
    let on_failure = args::word("on_failure", args.on_failure.as_ref())?.unwrap_or_default();
    let request = args.idempotency_key.as_ref().map(|key| format!("mcp batch {key}"));
    let state = session.state()?;
    let known = request.as_ref().and_then(|request| batch::known(&state, request));
    let was_known = known.is_some();
    let group = known.map_or_else(|| format!("{BATCH}{:08x}", fastrand::u32(..)), |plan| plan.id.name.to_string());
    let key = |place: usize| args.tasks[place].key.as_deref().unwrap_or_default();
    let before = |need: &args::Handle| order.iter().position(|place| key(*place) == need.text());
    let item = |place: &usize| {
        let needs = args.tasks[*place].depends_on.iter().flatten().map(|need| {
            let outside = "with concurrency or on_failure, tasks of this batch only, by their keys";
            before(need).ok_or_else(|| args::usage("depends_on", &outside))
        });
        let wish = Wish { group: Some(group.clone()), ..wishes[*place].clone() };
        Ok(batch::Item { key: key(*place).to_owned(), needs: needs.collect::<Result<_, Error>>()?, wish })
    };
    let items = order.iter().map(item).collect::<Result<Vec<_>, Error>>()?;
    let name = group.parse().map_err(|error| args::usage("a batch", &error))?;
    let all = batch::Batch { name, on_failure, concurrency: args.concurrency, request };
    let ids = match known {
        Some(plan) => plan.tasks().collect(),
        None => batch::submit(session, all, items)?,
    };
    let ids = order.iter().map(|place| key(*place)).zip(ids).collect();
    started(session, args, &group, &ids, was_known)
}

fn started(
    session: &mut Session,
    args: &args::Batch,
    group: &str,
    ids: &BTreeMap<&str, TaskId>,
    was_known: bool,
) -> Result<Answer, Error> {
    let all: Vec<TaskId> = args.tasks.iter().filter_map(|task| ids.get(task.key.as_deref()?).copied()).collect();
    let rows = look::rows(session, &all)?;
    let by_key: BTreeMap<&str, String> = ids.iter().map(|(key, id)| (*key, id.to_string())).collect();
    let text = format!("batch_id {group}\n{}", look::text(&rows));
    let value = json!({ "batch_id": group, "task_ids": by_key, "tasks": rows, "next": look::steps(&rows), "asked_before": was_known });
    Ok(Answer::new(text, value))
}

/// The batch that this request already made.
fn of_request(state: &State, request: &str) -> Option<String> {
    state.find_request(request).and_then(|task| task.spec.group.clone())
}

/// What was started before one failed is ended again: all of a batch, or none.
fn taken_back(session: &mut Session, error: Error, key: &str, ids: Vec<TaskId>) -> Error {
    let handles: Vec<TaskHandle> = ids.into_iter().map(TaskHandle::Id).collect();
    let mut message = format!("task {key:?}: {}", error.message);
    if !handles.is_empty() {
        // One that has ended meanwhile cannot be cancelled; the others are.
        for handle in &handles {
            let _ = control::cancel(session, std::slice::from_ref(handle), true);
        }
        let list: Vec<String> = handles.iter().map(ToString::to_string).collect();
        message += &format!("; those started before it were cancelled again: {}", list.join(", "));
    }
    Error { message, ..error }
}

/// What a batch builds on beside itself has to be there: nothing is started for nothing.
fn require_needs(state: &State, tasks: &[Task]) -> Result<(), Error> {
    let is_key = |need: &str| tasks.iter().any(|task| task.key.as_deref() == Some(need));
    let needs = tasks.iter().flat_map(|task| task.depends_on.iter().flatten());
    for need in needs.filter(|need| !is_key(&need.text())) {
        ops::find(state, &[need.parse()?])?;
    }
    Ok(())
}

fn after(task: &Task, ids: &BTreeMap<&str, TaskId>) -> Result<Vec<TaskHandle>, Error> {
    let needs = task.depends_on.iter().flatten();
    needs.map(|need| ids.get(need.text().as_str()).map_or_else(|| need.parse(), |id| Ok(TaskHandle::Id(*id)))).collect()
}

/// The tasks, each behind what it builds on.
fn order(tasks: &[Task]) -> Result<Vec<usize>, Error> {
    if tasks.is_empty() || tasks.len() > MOST_TASKS {
        return Err(args::usage("tasks", &format!("{} tasks, where 1 to {MOST_TASKS} make a batch", tasks.len())));
    }
    let mut keys = BTreeSet::new();
    for task in tasks {
        let Some(key) = task.key.as_deref().filter(|key| !key.is_empty()) else {
            return Err(args::usage("key", &"each task of a batch needs one"));
        };
        if task.idempotency_key.is_some() {
            return Err(args::usage("idempotency_key", &"give one for the whole batch"));
        }
        if !keys.insert(key) {
            return Err(args::usage("key", &format!("two tasks have the key {key:?}")));
        }
    }
    let mut placed: BTreeSet<&str> = BTreeSet::new();
    let mut order = Vec::new();
    while order.len() < tasks.len() {
        let is_free = |task: &Task| {
            let needs = task.depends_on.iter().flatten().map(args::Handle::text);
            needs.into_iter().all(|need| !keys.contains(need.as_str()) || placed.contains(need.as_str()))
        };
        let next =
            tasks.iter().position(|task| task.key.as_deref().is_some_and(|key| !placed.contains(key)) && is_free(task));
        let Some(place) = next else {
            let left: Vec<&str> = keys.difference(&placed).copied().collect();
            return Err(args::usage("depends_on", &format!("these wait for each other: {}", left.join(", "))));
        };
        placed.extend(tasks[place].key.as_deref());
        order.push(place);
    }
    Ok(order)
}

/// The tasks of a batch.
pub(super) fn of_batch(state: &State, batch: &str) -> Result<Vec<TaskId>, Error> {
    let of_it = |group: Option<&String>| group.is_some_and(|group| group == batch);
    let ids: Vec<TaskId> = state.tasks().filter(|task| of_it(task.spec.group.as_ref())).map(|task| task.id).collect();
    if ids.is_empty() {
        let message = format!("there is no batch {batch:?}");
        return Err(Error::new(ErrorKind::UnknownTask, message, "see all tasks with delegate_status"));
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_becomes_a_name() {
        let named = |title: &str| name(title).map(|name| name.to_string());
        assert_eq!(named("Fix the tests, please!").as_deref(), Some("fix-the-tests-please"));
        assert_eq!(named(&"long ".repeat(30)).map(|name| name.len() <= LONGEST_NAME), Some(true));
        assert_eq!(named(&"x".repeat(200)).map(|name| name.len()), Some(LONGEST_NAME));
        assert_eq!((named("  "), named("2024"), named("日本")), (None, None, None));
    }

    #[test]
    fn what_builds_on_another_is_started_behind_it() {
        let task = |key: &str, needs: &[&str]| Task {
            key: Some(key.to_owned()),
            depends_on: Some(needs.iter().map(|need| args::Handle::Text((*need).to_owned())).collect()),
            ..Task::default()
        };
        assert_eq!(order(&[task("c", &["a", "b"]), task("a", &["7"]), task("b", &["a"])]).unwrap(), [1, 2, 0]);
        let error = order(&[task("a", &["b"]), task("b", &["a"]), task("c", &[])]).unwrap_err();
        assert!(error.message.contains("wait for each other: a, b"), "{error}");
        assert!(order(&[task("a", &[]), task("a", &[])]).is_err() && order(&[]).is_err());
    }
}
