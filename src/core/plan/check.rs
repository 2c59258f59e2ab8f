//! What is wrong between the tasks of a plan: names, needs, cycles, and templates that ask for what is not there.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::{Draft, DraftTask};
use super::problem::{Problem, near};
use super::read::{Placed, SAME_ITEM};
use super::template::Hole;
use super::{OnFailure, Run};
use crate::core::task::FoldPolicy;

/// The longest name of a task that is there several times: what tells them apart comes behind it.
const LONGEST_NAME: usize = 40;

pub(super) fn check(placed: &Placed, problems: &mut Vec<Problem>) {
    let draft = &placed.draft;
    if draft.tasks.is_empty() {
        problems.push(Problem::new(0, "there is no task in it"));
    }
    names(draft, problems);
    let known: BTreeSet<&str> = placed.names.iter().map(String::as_str).collect();
    for (index, task) in draft.tasks.iter().enumerate() {
        needs(draft, task, &placed.needs[index], &known, problems);
        let at = placed.templates[index];
        templates(task, &mut |hole: &Hole, message| problems.push(Problem::within(at, hole.to_string(), message)));
        if draft.on_failure == OnFailure::DiscardAll && task.settings.fold == Some(FoldPolicy::Auto) {
            let message = "what has been folded cannot be discarded: with on_failure = \"discard all\", fold what is good \
                           in the end with `pleach merge --plan`";
            problems.push(Problem::new(placed.folds[index].unwrap_or(task.at), message));
        }
    }
    cycles(draft, &placed.needs, problems);
}

fn names(draft: &Draft, problems: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    for task in &draft.tasks {
        if !seen.insert(&task.name) {
            problems.push(Problem::new(task.at, format!("there is another task {:?}", task.name)));
        }
        if (task.for_each.is_some() || task.attempts > 1) && task.name.len() > LONGEST_NAME {
            let message = format!("the name of a task that is there several times has at most {LONGEST_NAME} letters");
            problems.push(Problem::new(task.at, message));
        }
    }
}

fn needs(draft: &Draft, task: &DraftTask, places: &[usize], known: &BTreeSet<&str>, problems: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    for (need, at) in task.needs.iter().zip(places) {
        let message = if need == &task.name {
            format!("{need:?} cannot need itself")
        } else if !known.contains(need.as_str()) {
            format!("there is no task {need:?}{}", near(need, known.iter().copied()))
        } else if !seen.insert(need) {
            format!("{need:?} is there twice")
        } else if task.same_item.contains(need) && task.for_each.is_none() {
            format!(
                "{need}{SAME_ITEM} is the one for the same item, and {:?} has none: give it a for_each, or need {need:?}, which is all of them",
                task.name
            )
        } else if task.same_item.contains(need)
            && draft.tasks.iter().any(|other| other.name == *need && other.for_each.is_none())
        {
            format!("{need:?} has no for_each, so there is one of it for all items: need {need:?}")
        } else if draft.tasks.iter().any(|other| other.name == *need && other.attempts > 1) {
            format!(
                "{need:?} ends when somebody picks one of its attempts, and nothing can need that: make it a plan of its own"
            )
        } else {
            continue;
        };
        problems.push(Problem::new(*at, message));
    }
}

fn templates(task: &DraftTask, wrong: &mut dyn FnMut(&Hole, String)) {
    let agent_holes: Vec<&Hole> = match &task.run {
        Run::Prompt { agent, .. } => agent.templates().into_iter().flat_map(|(template, _)| template.holes()).collect(),
        _ => Vec::new(),
    };
    let message = task.settings.message.iter().flat_map(|template| template.holes());
    for hole in message {
        if !matches!(hole, Hole::Task | Hole::Item) {
            wrong(hole, "a message has {task} and {item} in it, and nothing else".to_owned());
        }
    }
    for hole in task.run.templates().into_iter().flat_map(|(template, _)| template.holes()) {
        match hole {
            Hole::Item if task.for_each.is_none() => {
                wrong(hole, "{item} is there only in a task with for_each".to_owned())
            }
            Hole::PromptFile if !agent_holes.contains(&hole) => {
                wrong(hole, "{prompt_file} is there only in the agent of a prompt".to_owned());
            }
            hole => {
                if let Some(need) = hole.need().filter(|need| !task.needs.iter().any(|known| known == need)) {
                    let near = near(need, task.needs.iter().map(String::as_str));
                    wrong(hole, format!("{hole} tells of a task that is not among its needs{near}"));
                }
            }
        }
    }
}

/// Each cycle once, at a need that closes it.
fn cycles(draft: &Draft, places: &[Vec<usize>], problems: &mut Vec<Problem>) {
    let index: BTreeMap<&str, usize> =
        draft.tasks.iter().enumerate().rev().map(|(index, task)| (task.name.as_str(), index)).collect();
    // 0: not seen; 1: on the way; 2: done.
    let mut marks = vec![0u8; draft.tasks.len()];
    for start in 0..draft.tasks.len() {
        let mut way: Vec<(usize, usize)> = Vec::new();
        if marks[start] == 0 {
            marks[start] = 1;
            way.push((start, 0));
        }
        while let Some((task, next)) = way.last_mut() {
            let Some(need) = draft.tasks[*task].needs.get(*next) else {
                marks[*task] = 2;
                way.pop();
                continue;
            };
            let (from, at) = (*task, places[*task][*next]);
            *next += 1;
            let Some(to) = index.get(need.as_str()).copied().filter(|to| *to != from) else { continue };
            match marks[to] {
                0 => {
                    marks[to] = 1;
                    way.push((to, 0));
                }
                1 => {
                    let begin = way.iter().position(|(on, _)| *on == to).unwrap_or(0);
                    let names = way[begin..].iter().map(|(on, _)| draft.tasks[*on].name.as_str());
                    let round: Vec<&str> = names.chain([need.as_str()]).collect();
                    problems.push(Problem::new(at, format!("a cycle: {}", round.join(" needs "))));
                }
                _ => {}
            }
        }
    }
}
