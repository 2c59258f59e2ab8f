//! What a task of a plan is told of its needs when it starts, and the prompt of an agent: files in the attempt's own
//! directory, outside its worktree, and the holes of its command filled in.
//!
//! `needs/NAME.diff` and `needs/NAME.summary` are there for each need; `prompt.md` where there is a prompt.

use super::World;
use super::launch::LaunchError;
use crate::config::env;
use crate::core::agent::Assigned;
use crate::core::id::{AttemptId, CommitId};
use crate::core::plan::template::Hole;
use crate::core::plan::{Member, OnConflict, Run, Template};
use crate::core::state::{State, Task};
use crate::core::task::CommandLine;
use crate::core::word::Word;
use crate::git::diff;
use crate::store::layout::AttemptDir;
use crate::store::{Durable, StoreError, make_dir, read, replace_with};

/// Bytes of diffs that are put into a command or a prompt; what is more is named by its file.
const MOST_INLINE: usize = 64 << 10;
/// Bytes of a patch that is kept as a file.
const MOST_OF_PATCH: usize = 64 << 20;

/// What is known of one need.
#[derive(Debug, Clone)]
pub(super) struct Need {
    /// Its name in the plan.
    task: String,
    /// Its own name, for its files.
    name: String,
    said: Option<String>,
    ended: String,
    change: Option<(CommitId, CommitId)>,
}

/// The needs of a task of a plan, as they stand now.
pub(super) fn of(state: &State, task: &Task) -> Vec<Need> {
    if task.spec.member.is_none() {
        return Vec::new();
    }
    let needs = task.spec.needs.iter().filter_map(|id| state.task(*id));
    let need = |need: &Task| {
        let name = need.spec.name.as_ref().map_or_else(|| need.id.to_string(), ToString::to_string);
        let ended = need.result_attempt().or(need.attempts.last()).and_then(|attempt| attempt.ended.as_ref());
        let base = need.result_attempt().and_then(|attempt| attempt.base);
        Need {
            task: need.spec.member.as_ref().map_or_else(|| name.clone(), |member| member.task.clone()),
            name,
            said: ended.and_then(|ended| ended.facts.summary.clone()),
            ended: ended.map(|ended| ended.outcome.to_string()).unwrap_or_default(),
            change: base.zip(need.tip()),
        }
    };
    needs.map(need).collect()
}

/// The variables that lead to these files.
pub(super) fn variables(task: &Task, dir: &AttemptDir) -> Vec<(&'static str, Word)> {
    let own = || task.spec.agent.as_ref()?.prompt.as_ref();
    let Some(member) = &task.spec.member else {
        return own().map(|_| (env::PROMPT, dir.prompt().into())).into_iter().collect();
    };
    let needs = (!task.spec.needs.is_empty()).then(|| (env::NEEDS, dir.needs().into()));
    let prompt = prompt_of(member).map(|_| (env::PROMPT, dir.prompt().into()));
    let item = member.item.as_ref().map(|item| (env::ITEM, Word::from(item.as_str())));
    needs.into_iter().chain(prompt).chain(item).collect()
}

fn prompt_of(member: &Member) -> Option<&Template> {
    member.run.as_ref().and_then(Run::prompt)
}

/// Write the files, anew where that was begun before, and fill in what the task runs.
///
/// # Errors
/// Where git or the file system fails.
pub(super) fn bring(
    world: &World,
    task: &Task,
    attempt: AttemptId,
    needs: &[Need],
) -> Result<CommandLine, LaunchError> {
    let Some(member) = &task.spec.member else { return alone(world, task, attempt) };
    let dir = world.layout.attempt(attempt);
    let told = needs.iter().map(|need| tell(world, need, &dir)).collect::<Result<Vec<_>, _>>()?;
    let Some(run) = &member.run else { return Ok(task.spec.command.clone()) };
    let count = |template: &Template| template.holes().filter(|hole| matches!(hole, Hole::Diff(_))).count();
    let diffs: usize = run.templates().iter().map(|(template, _)| count(template)).sum();
    let room = MOST_INLINE / diffs.max(1);
    let known = |hole: &Hole| {
        let of = |name: &String| told.iter().filter(move |told| told.task == *name).collect::<Vec<_>>();
        match hole {
            Hole::Worktree => Some(world.layout.worktree(attempt).display().to_string()),
            Hole::PromptFile => Some(dir.prompt().display().to_string()),
            Hole::Summary(need) => Some(summary(&of(need))),
            Hole::Diff(need) => Some(inline(&of(need), room, &dir)),
            Hole::Task | Hole::Item => None,
        }
    };
    let run = run.fill(&known);
    match &run {
        Run::Prompt { prompt, agent } => {
            let mut prompt = of_role(task, prompt.text());
            if member.on_conflict == OnConflict::HandBack {
                prompt = with_hand_back(prompt, &dir)?;
            }
            put_prompt(&prompt, &dir)?;
            if let Some(assigned) = &task.spec.agent {
                return Ok(assigned_command(assigned, &prompt, &dir));
            }
            let names_file =
                |run: &Run| run.templates().iter().any(|(one, _)| one.holes().any(|hole| *hole == Hole::PromptFile));
            let is_named = member.run.as_ref().is_some_and(|run| match run {
                Run::Prompt { agent, .. } => names_file(agent),
                Run::Shell(_) | Run::Exec(_) => false,
            });
            Ok(if is_named { agent.command() } else { on_standard_input(&agent.command()) })
        }
        Run::Shell(_) | Run::Exec(_) => Ok(run.command()),
    }
}

/// The prompt and the command of an agent that does a task of no plan; the command, where it is no agent's.
fn alone(world: &World, task: &Task, attempt: AttemptId) -> Result<CommandLine, LaunchError> {
    let Some((assigned, prompt)) = task.spec.agent.as_ref().and_then(|one| Some((one, one.prompt.clone()?))) else {
        return Ok(task.spec.command.clone());
    };
    let dir = world.layout.attempt(attempt);
    let prompt = with_hand_back(of_role(task, prompt), &dir)?;
    put_prompt(&prompt, &dir)?;
    Ok(assigned_command(assigned, &prompt, &dir))
}

/// What its role tells an agent comes before what the task asks.
fn of_role(task: &Task, prompt: String) -> String {
    task.spec.role.as_ref().map_or(prompt.clone(), |role| role.before(&prompt))
}

/// What is handed back to it, where anything is, belongs to what it is told.
fn with_hand_back(prompt: String, dir: &AttemptDir) -> Result<String, LaunchError> {
    let told = read(&dir.handback().join(super::handback::MARKDOWN))?;
    Ok(match told {
        Some(told) => format!("{}\n\n{}", prompt.trim_end(), String::from_utf8_lossy(&told)),
        None => prompt,
    })
}

fn put_prompt(prompt: &str, dir: &AttemptDir) -> Result<(), LaunchError> {
    make_dir(&dir.handback())?;
    Ok(replace_with(&dir.prompt(), prompt.as_bytes(), Durable::No)?)
}

fn assigned_command(assigned: &Assigned, prompt: &str, dir: &AttemptDir) -> CommandLine {
    let file = dir.prompt().display().to_string();
    assigned.command(&[("{prompt}", &prompt.replace('\0', "")), ("{prompt_file}", &file)])
}

/// The prompt is what it reads.
fn on_standard_input(agent: &CommandLine) -> CommandLine {
    match agent {
        CommandLine::Shell(line) => {
            let line = [b"{ ", line.as_bytes(), b"\n} < \"$", env::PROMPT.as_bytes(), b"\""].concat();
            CommandLine::Shell(line.into())
        }
        CommandLine::Exec(words) => {
            let line = format!("exec \"$@\" < \"${}\"", env::PROMPT);
            let shell = ["sh", "-c", &line, "sh"].map(Word::from);
            CommandLine::Exec(shell.into_iter().chain(words.iter().cloned()).collect())
        }
    }
}

struct Told {
    task: String,
    name: String,
    summary: String,
    diff: String,
    is_cut: bool,
}

fn tell(world: &World, need: &Need, dir: &AttemptDir) -> Result<Told, LaunchError> {
    let to = dir.needs();
    make_dir(&to)?;
    let patch = match need.change {
        Some((base, tip)) => diff::Reader::of(&world.repository).patch(base, tip, &[], 3)?,
        None => Vec::new(),
    };
    let is_cut = patch.len() > MOST_OF_PATCH;
    let patch = if is_cut { Vec::new() } else { patch };
    let last = match (&need.said, need.change) {
        (None, Some((base, tip))) => {
            world.repository.subjects(base, tip, 1)?.into_iter().next().map(|(_, subject)| subject)
        }
        _ => None,
    };
    let none = || if need.change.is_none() { format!("{}, nothing changed", need.ended) } else { need.ended.clone() };
    let summary = need.said.clone().or(last).unwrap_or_else(none);
    let put = |ending: &str, bytes: &[u8]| -> Result<(), StoreError> {
        replace_with(&to.join(format!("{}.{ending}", need.name)), bytes, Durable::No)
    };
    put("diff", &patch)?;
    put("summary", summary.as_bytes())?;
    let diff = String::from_utf8_lossy(&patch).replace('\0', "");
    Ok(Told { task: need.task.clone(), name: need.name.clone(), summary: summary.replace('\0', ""), diff, is_cut })
}

/// Of one its own words; of several each with its name.
fn summary(told: &[&Told]) -> String {
    match told {
        [one] => one.summary.clone(),
        _ => told.iter().map(|one| format!("{}: {}", one.name, one.summary)).collect::<Vec<_>>().join("\n"),
    }
}

fn inline(told: &[&Told], room: usize, dir: &AttemptDir) -> String {
    let bytes: usize = told.iter().map(|one| one.diff.len()).sum();
    if bytes <= room && !told.iter().any(|one| one.is_cut) {
        return told.iter().map(|one| one.diff.as_str()).collect();
    }
    let place = match told {
        [one] => dir.needs().join(format!("{}.diff", one.name)),
        _ => dir.needs(),
    };
    format!("({bytes} bytes of differences: read them in {})", place.display())
}
