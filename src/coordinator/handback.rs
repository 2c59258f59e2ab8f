//! What an attempt is told of an earlier result that is handed back to it: files in its own directory, outside its
//! worktree, made when it is brought up.
//!
//! `handback.json` has all of it, `handback.md` the same for a prompt. What is too large, or no text, is beside them by
//! numbers: names that a task chose are not ours to use.

use std::path::Path;

use super::World;
use super::launch::LaunchError;
use crate::config::env;
use crate::core::change::{Refusal, Rejection};
use crate::core::handback::{CheckSaid, Earlier, HandBack, InConflict, Material};
use crate::core::id::{AttemptId, CommitId};
use crate::core::state::Task;
use crate::core::verify::attempt_of;
use crate::core::word::Word;
use crate::git::conflict::{self, Left, Path3, Scratch, Sides};
use crate::git::{diff, rerere};
use crate::store::record::{self, Spec};
use crate::store::{Durable, StoreError, log, make_dir, replace_with};

/// The names of the files.
const JSON: &str = "handback.json";
pub(super) const MARKDOWN: &str = "handback.md";
const PATCH: &str = "change.patch";
const LOG: &str = "check.log";

/// Paths of a conflict that are told in full; the others are counted.
const MOST_PATHS: usize = 50;
/// Lines around a conflict, bytes of conflicts that are told of a path and of all paths, and of a whole merged text.
const AROUND: usize = 3;
const MOST_OF_PATH: usize = 16 << 10;
const MOST_OF_ALL: usize = 128 << 10;
const MOST_OF_TEXT: usize = 4 << 20;
/// Bytes of a patch.
const MOST_OF_PATCH: usize = 64 << 20;
/// Lines and bytes of the log of a check.
const LOG_LINES: usize = 200;
const MOST_OF_LOG: usize = 32 << 10;

/// The variables that tell an attempt what it was given back: the directory, why, and the earlier result.
pub(super) fn variables(world: &World, task: &Task, attempt: AttemptId) -> Vec<(&'static str, Word)> {
    let Some(hand_back) = hand_back(task, attempt) else { return Vec::new() };
    let tip = task.change(hand_back.attempt).map(|change| (env::HANDBACK_TIP, Word::from(change.tip.to_string())));
    let dir = (env::HANDBACK, world.layout.attempt(attempt).handback().into());
    let kind = (env::HANDBACK_KIND, hand_back.kind().as_str().into());
    [dir, kind].into_iter().chain(tip).collect()
}

fn hand_back(task: &Task, attempt: AttemptId) -> Option<&HandBack> {
    task.attempt(attempt.number)?.hand_back.as_ref()
}

/// Write it all down, anew where that was begun before.
///
/// # Errors
/// Where git or the file system fails.
pub(super) fn bring(world: &World, task: &Task, attempt: AttemptId, onto: CommitId) -> Result<(), LaunchError> {
    let Some(hand_back) = hand_back(task, attempt) else { return Ok(()) };
    let dir = world.layout.attempt(attempt).handback();
    make_dir(&dir)?;
    let mut material = Material::new(attempt, task.spec.shown(), hand_back, onto);
    material.earlier = earlier(world, task, hand_back, &dir)?;
    if let Some(earlier) = &material.earlier {
        let sides = Sides { base: earlier.base, ours: onto, theirs: earlier.tip, replay: task.undone };
        let scratch = Scratch::new(&world.repository, &world.layout.state)?;
        if let Some(left) = scratch.merge(&sides)? {
            material.conflicts = true;
            material.more_paths = left.paths.len().saturating_sub(MOST_PATHS);
            material.paths = paths(&scratch, &sides, &left, &dir)?;
            // An offer: where it cannot be had, there is none.
            for known in rerere::known(&scratch, &sides, &left).unwrap_or_default() {
                if let Some(path) = material.paths.get_mut(known.place) {
                    path.resolved = Some(put(&dir, &format!("resolved-{}", known.place + 1), &known.text)?);
                }
            }
        }
    }
    if let Some(Refusal::Rejected(rejection)) = &hand_back.refusal {
        material.check = Some(check_said(world, rejection, &dir)?);
    }
    record::save(&dir.join(JSON), &material, Durable::No)?;
    put(&dir, MARKDOWN, material.to_markdown().as_bytes())?;
    Ok(())
}

fn put(dir: &Path, name: &str, bytes: &[u8]) -> Result<String, StoreError> {
    replace_with(&dir.join(name), bytes, Durable::No)?;
    Ok(name.to_owned())
}

/// The earlier result, and its patch; none where somebody freed it.
fn earlier(world: &World, task: &Task, hand_back: &HandBack, dir: &Path) -> Result<Option<Earlier>, LaunchError> {
    let attempt = task.attempt(hand_back.attempt);
    let ended = attempt.and_then(|attempt| attempt.ended.as_ref());
    let sides = attempt.and_then(|attempt| Some((attempt.base?, task.change(attempt.number)?.tip)));
    let is_there = |commit| world.repository.tree_of(commit).is_ok();
    let Some((base, tip)) = sides.filter(|(base, tip)| is_there(*base) && is_there(*tip)) else { return Ok(None) };
    let patch = diff::Reader::of(&world.repository).patch(base, tip, &[], 3)?;
    let patch = (patch.len() <= MOST_OF_PATCH).then(|| put(dir, PATCH, &patch)).transpose()?;
    let summary = ended.and_then(|ended| ended.facts.summary.clone());
    Ok(Some(Earlier { attempt: task.attempt_id(hand_back.attempt), base, tip, patch, summary }))
}

fn paths(scratch: &Scratch<'_>, sides: &Sides, left: &Left, dir: &Path) -> Result<Vec<InConflict>, LaunchError> {
    let mut room = MOST_OF_ALL;
    let told = left.paths.iter().take(MOST_PATHS).enumerate().map(|(place, path)| {
        let told = in_conflict(scratch, sides, left, path, &dir.join(format!("merged-{}", place + 1)), &mut room)?;
        Ok(told)
    });
    told.collect()
}

/// One path. `room` is what is left for the texts of all.
fn in_conflict(
    scratch: &Scratch<'_>,
    sides: &Sides,
    left: &Left,
    path: &Path3,
    merged: &Path,
    room: &mut usize,
) -> Result<InConflict, LaunchError> {
    let [ours, theirs] = scratch.last_touches(sides, &path.path)?;
    let object = |stage: &Option<(u32, String)>| stage.as_ref().map(|(_, object)| object.clone());
    let mut told = InConflict {
        path: path.path.clone(),
        ours,
        theirs,
        sides: [0, 1, 2].map(|stage| object(&path.stages[stage])),
        binary: false,
        hunks: Vec::new(),
        cut: false,
        merged: None,
        resolved: None,
    };
    let Some(content) = scratch.content(left.tree, &path.path)? else { return Ok(told) };
    told.binary = conflict::is_binary(&content);
    if told.binary {
        return Ok(told);
    }
    let hunks = conflict::hunks(&content, AROUND);
    if hunks.is_empty() {
        return Ok(told);
    }
    let mut most = MOST_OF_PATH.min(*room);
    for hunk in hunks {
        if hunk.len() > most {
            told.cut = true;
            break;
        }
        most -= hunk.len();
        *room -= hunk.len();
        told.hunks.push(hunk.into());
    }
    if content.len() <= MOST_OF_TEXT {
        replace_with(merged, &content, Durable::No)?;
        told.merged = merged.file_name().map(|name| name.to_string_lossy().into_owned());
    }
    Ok(told)
}

/// What a check said, and what is left of its last run: the command, and the end of its log.
fn check_said(world: &World, rejection: &Rejection, dir: &Path) -> Result<CheckSaid, LaunchError> {
    let run = rejection.runs.last().map(|run| world.layout.attempt(attempt_of(*run)));
    let spec = run.as_ref().and_then(|run| record::load::<Spec>(&run.spec()).ok().flatten());
    let of = run.map(|run| run.log()).unwrap_or_default();
    // A log that is gone, or cannot be read, is no reason not to try again.
    let tail = tail(&of).unwrap_or_default();
    let (written, _) = log::counts(&of).unwrap_or_default();
    let log = if tail.is_empty() { None } else { Some(put(dir, LOG, &tail)?) };
    Ok(CheckSaid {
        command: spec.map(|spec| spec.command.shown()).unwrap_or_default(),
        runs: rejection.runs.clone(),
        verdict: rejection.verdict.clone(),
        by_itself: rejection.by_itself,
        cut: written > tail.len() as u64,
        log_tail: String::from_utf8_lossy(&tail).into_owned(),
        log,
    })
}

fn tail(log: &Path) -> std::io::Result<Vec<u8>> {
    let mut reader = log::Reader::at_tail(log, LOG_LINES)?;
    let mut tail = Vec::new();
    while let Some(piece) = reader.read()? {
        if let log::Piece::Bytes(bytes) = piece {
            tail.extend(bytes);
        }
    }
    let from = tail.len().saturating_sub(MOST_OF_LOG);
    // A line is told whole, unless it alone is too long.
    let line =
        tail[from..].iter().position(|byte| *byte == b'\n').filter(|_| from > 0).map_or(from, |end| from + end + 1);
    tail.drain(..if line < tail.len() { line } else { from });
    Ok(tail)
}
