//! From a draft to tasks: one for each item, for each try, in an order in which needs come first.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::{Draft, DraftTask, ForEach, Settings};
use super::problem::{Problem, Problems};
use super::template::Hole;
use super::{Glob, Member};
use crate::core::id::TaskName;
use crate::core::task::CommandLine;

/// More tasks are no plan.
pub const MOST_TASKS: usize = 5000;
/// Bytes of all that tasks say of themselves, together.
const MOST_BYTES: usize = 4 << 20;
/// Bytes of one item.
const LONGEST_ITEM: usize = 4096;

/// All tasks of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expanded {
    /// Needs come first.
    pub tasks: Vec<Planned>,
}

/// One task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// What it is called.
    pub name: TaskName,
    /// What it runs, as far as that is known.
    pub command: CommandLine,
    /// The message of its commit.
    pub message: Option<String>,
    /// The places of those that it builds on.
    pub needs: Vec<usize>,
    /// What it is in the plan.
    pub member: Member,
    /// All else.
    pub settings: Settings,
}

/// Make the tasks. `items` answers what there is one for each of.
///
/// # Errors
/// Where an answer is of no use, or it all becomes too much.
pub fn expand(
    text: &str,
    draft: &Draft,
    items: &dyn Fn(&ForEach) -> Result<Vec<String>, String>,
) -> Result<Expanded, Problems> {
    let mut problems = Vec::new();
    let mut room = Room { tasks: MOST_TASKS, bytes: MOST_BYTES };
    let mut made = Expanded::default();
    let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for task in in_order(draft) {
        let items = match items_of(task, items) {
            Ok(items) => items,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        let needs = |item: &Option<String>| needs_of(task, item.as_deref(), &places, &made.tasks);
        let needs = items.iter().map(needs).collect::<Result<Vec<_>, _>>();
        let needs = match needs {
            Ok(needs) => needs,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        for (item, needs) in items.iter().zip(&needs) {
            for candidate in (1..=task.attempts).map(|number| (task.attempts > 1).then_some(number)) {
                let planned = one(task, item.as_deref(), candidate, needs, &mut taken);
                let Some(planned) = planned.filter(|planned| room.has(planned)) else {
                    let message = format!(
                        "this is too much: a plan has at most {MOST_TASKS} tasks, and {} MiB of what they say together",
                        MOST_BYTES >> 20
                    );
                    problems.push(Problem::new(task.at, message));
                    return Err(Problems::of(text, problems));
                };
                places.entry(&task.name).or_default().push(made.tasks.len());
                made.tasks.push(planned);
            }
        }
    }
    if problems.is_empty() { Ok(made) } else { Err(Problems::of(text, problems)) }
}

struct Room {
    tasks: usize,
    bytes: usize,
}

impl Room {
    fn has(&mut self, planned: &Planned) -> bool {
        let run = planned.member.run.iter().flat_map(|run| run.templates()).map(|(template, _)| template.text().len());
        let item = planned.member.item.as_ref().map_or(0, String::len);
        let settings = &planned.settings;
        let env: usize = settings.env.iter().map(|(name, value)| name.len() + value.len()).sum();
        let paths: usize = settings.paths.iter().map(|glob| glob.as_str().len()).sum();
        let texts = [&planned.message, &settings.verify].into_iter().flatten().map(String::len).sum::<usize>();
        let command = planned.command.shown().len() + run.sum::<usize>();
        let bytes = command + item + env + paths + texts + 8 * planned.needs.len();
        let fits = self.tasks > 0 && self.bytes >= bytes;
        if fits {
            self.tasks -= 1;
            self.bytes -= bytes;
        }
        fits
    }
}

/// The tasks of the file, needs first, otherwise as they stand there.
fn in_order(draft: &Draft) -> Vec<&DraftTask> {
    let mut ordered: Vec<&DraftTask> = Vec::new();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut open: Vec<&DraftTask> = draft.tasks.iter().collect();
    while !open.is_empty() {
        let (ready, rest): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|task| task.needs.iter().all(|need| done.contains(need.as_str())));
        if ready.is_empty() {
            // A cycle, which was told before.
            break;
        }
        done.extend(ready.iter().map(|task| task.name.as_str()));
        ordered.extend(ready);
        open = rest;
    }
    ordered
}

fn items_of(
    task: &DraftTask,
    items: &dyn Fn(&ForEach) -> Result<Vec<String>, String>,
) -> Result<Vec<Option<String>>, Problem> {
    let Some((source, at)) = &task.for_each else { return Ok(vec![None]) };
    let wrong = |message: String| Problem::new(*at, message);
    let items = items(source).map_err(wrong)?;
    if items.is_empty() {
        let what = match source {
            ForEach::List(_) => "the list is empty".to_owned(),
            ForEach::Globs(globs) => match globs.iter().find(|glob| !glob.ends_with('/')) {
                None => format!("git tracks nothing in a directory that is meant by {}", globs.join(", ")),
                Some(file) => format!(
                    "git tracks no file that is meant by {} (with a slash at its end, directories are meant: {file}/)",
                    globs.join(", ")
                ),
            },
            ForEach::Command(command) => format!("`{command}` wrote no line"),
        };
        return Err(wrong(format!("there is nothing to do it for: {what}")));
    }
    if let Some(long) = items.iter().find(|item| item.len() > LONGEST_ITEM || item.contains('\0')) {
        let begin: String = long.chars().take(20).collect();
        return Err(wrong(format!("{begin:?}… is no item: it has more than {LONGEST_ITEM} bytes, or a NUL")));
    }
    Ok(items.into_iter().map(Some).collect())
}

/// The places of those that the one for this item builds on.
fn needs_of(
    task: &DraftTask,
    item: Option<&str>,
    places: &BTreeMap<&str, Vec<usize>>,
    made: &[Planned],
) -> Result<Vec<usize>, Problem> {
    let mut found = Vec::new();
    for need in &task.needs {
        // Where there is none, there is a problem with it, which was told.
        let Some(places) = places.get(need.as_str()) else { continue };
        if !task.same_item.contains(need) {
            found.extend(places);
            continue;
        }
        let same = places.iter().filter(|place| made[**place].member.item.as_deref() == item);
        let before = found.len();
        found.extend(same);
        if found.len() == before {
            let message = format!(
                "there is no {need} for {:?}: both have to be there for the same items",
                item.unwrap_or_default()
            );
            return Err(Problem::new(task.for_each.as_ref().map_or(task.at, |(_, at)| *at), message));
        }
    }
    Ok(found)
}

fn one(
    task: &DraftTask,
    item: Option<&str>,
    candidate: Option<u32>,
    needs: &[usize],
    taken: &mut BTreeSet<String>,
) -> Option<Planned> {
    let name = name(task, item, candidate, taken)?;
    let known = |hole: &Hole| match hole {
        Hole::Task => Some(name.to_string()),
        Hole::Item => item.map(str::to_owned),
        _ => None,
    };
    let run = task.run.fill(&known);
    let is_full = run.prompt().is_none() && run.templates().iter().all(|(template, _)| template.is_full());
    let settings = task.settings.clone();
    Some(Planned {
        command: run.command(),
        message: settings.message.as_ref().map(|message| message.fill(super::template::Use::Plain, &known).text()),
        needs: needs.to_vec(),
        member: Member {
            task: task.name.clone(),
            item: item.map(str::to_owned),
            candidate,
            fold: Default::default(),
            run: (!is_full).then_some(run),
            accept: settings.accept.clone(),
            paths: settings.paths.clone(),
            on_conflict: settings.on_conflict,
        },
        name,
        settings,
    })
}

/// `fix`, `fix-src-api`, `fix-src-api-2` where that is taken; `try.1` of several tries.
fn name(
    task: &DraftTask,
    item: Option<&str>,
    candidate: Option<u32>,
    taken: &mut BTreeSet<String>,
) -> Option<TaskName> {
    const LONGEST: usize = 52;
    let mut base = task.name.clone();
    if let Some(item) = item {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let slug: String = item.chars().map(plain).collect();
        let words: Vec<&str> = slug.split('-').filter(|word| !word.is_empty()).collect();
        // The end of a path says more than its beginning.
        let slug = words.join("-");
        let from = slug.len().saturating_sub(LONGEST.saturating_sub(base.len() + 1));
        let slug = slug[from..].trim_start_matches('-');
        if !slug.is_empty() {
            base = format!("{base}-{slug}");
        }
    }
    if let Some(candidate) = candidate {
        base = format!("{base}.{candidate}");
    }
    let free = (1..).map(|number| if number == 1 { base.clone() } else { format!("{base}-{number}") });
    let name = free.take(MOST_TASKS + 1).find(|name| !taken.contains(name))?;
    taken.insert(name.clone());
    name.parse().ok()
}

/// The places of the tasks by how many others have to end before: those of one level can run side by side.
pub fn levels(expanded: &Expanded) -> Vec<Vec<usize>> {
    let mut level: Vec<usize> = Vec::new();
    let mut levels: Vec<Vec<usize>> = Vec::new();
    for (place, task) in expanded.tasks.iter().enumerate() {
        let own = task.needs.iter().map(|need| level[*need] + 1).max().unwrap_or(0);
        level.push(own);
        if levels.len() <= own {
            levels.push(Vec::new());
        }
        levels[own].push(place);
    }
    levels
}

/// Tasks that may run side by side and may touch the same paths, as far as they say which: by their names in the file.
pub fn overlaps(draft: &Draft) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for (index, one) in draft.tasks.iter().enumerate() {
        for other in &draft.tasks[index + 1..] {
            let is_apart = !builds_on(draft, one, other) && !builds_on(draft, other, one);
            let pair = one.settings.paths.iter().flat_map(|a| other.settings.paths.iter().map(move |b| (a, b)));
            let met = pair.filter(|(a, b): &(&Glob, &Glob)| a.may_meet(b)).map(|(a, b)| match a == b {
                true => a.as_str().to_owned(),
                false => format!("{} and {}", a.as_str(), b.as_str()),
            });
            if let Some(met) = met.take(1).next().filter(|_| is_apart) {
                found.push((one.name.clone(), other.name.clone(), met));
            }
        }
    }
    found
}

fn builds_on(draft: &Draft, task: &DraftTask, other: &DraftTask) -> bool {
    let (mut open, mut met) = (vec![task], BTreeSet::new());
    while let Some(task) = open.pop() {
        if task.name == other.name {
            return true;
        }
        let needs = task.needs.iter().filter(|need| met.insert(need.as_str()));
        open.extend(needs.filter_map(|need| draft.tasks.iter().find(|known| known.name == *need)));
    }
    false
}
