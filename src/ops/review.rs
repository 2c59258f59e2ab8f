//! A review: results cut into pieces, and what somebody says of them carried out.

use serde::{Deserialize, Serialize};

use super::control::{self, From};
use super::fold::{self, How, Told};
use super::{Error, ErrorKind, Session, draft, find};
use crate::coordinator::protocol::Request;
use crate::core::hunk::{self, Hunk};
use crate::core::id::{AttemptId, CommitId, TaskHandle, TaskId};
use crate::core::report::{FileChange, Readable, SCHEMA};
use crate::core::review::{Accepted, FileSheet, HunkSheet, MODE, Pieces, Remarks, Sheet, Verdict};
use crate::core::state::{State, Task, TaskState};
use crate::core::wary;
use crate::core::word::Word;
use crate::git::diff::FileDiff;
use crate::git::merge::Identity;
use crate::git::part::{self, Piece};
use crate::git::{Repository, diff};
use crate::process::clock;
use crate::store::StoreError;

/// The bits of a mode that say what kind of thing it is, and a file's.
const KIND: u32 = 0o170_000;
const FILE: u32 = 0o100_000;

/// A result to be reviewed.
#[derive(Debug, Clone)]
pub struct Reviewed {
    /// All of it, with nothing said yet.
    pub sheet: Sheet,
    /// Whose it is.
    pub attempt: AttemptId,
    base: CommitId,
    tip: CommitId,
    /// In the order of the sheet's files.
    files: Vec<File>,
}

/// A file, and its pieces as the sheet has them, but for a change of mode.
#[derive(Debug, Clone)]
struct File {
    diff: FileDiff,
    hunks: Vec<Hunk>,
    has_mode: bool,
}

/// What became of a result that was reviewed.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// Which task.
    pub task: TaskId,
    /// What.
    pub done: Done,
    /// What was said of it and reaches no task, for it is not sent back.
    pub untold: Option<Remarks>,
    /// Somebody had discarded it, and it is accepted all the same.
    pub was_discarded: bool,
}

/// What was done.
#[derive(Debug, Clone, PartialEq)]
pub enum Done {
    /// It was accepted, and is up for review still, for nobody wanted it folded.
    Accepted {
        /// The attempt that the accepted part counts as; none where all of it was accepted.
        part: Option<AttemptId>,
    },
    /// It was accepted, and this became of its fold.
    Folded {
        /// The attempt that the accepted part counts as; none where all of it was accepted.
        part: Option<AttemptId>,
        /// What.
        told: Box<Told>,
    },
    /// It was thrown away, and is kept until it is freed.
    Discarded,
    /// The task runs again.
    SentBack,
    /// Nothing was said of it.
    Left,
}

/// The results of these tasks, or of all that wait for somebody, in the order of their ids.
///
/// # Errors
/// Where a task is unknown or has no result to look at.
pub fn of(session: &Session, handles: &[TaskHandle]) -> Result<Vec<Reviewed>, Error> {
    let state = session.state()?;
    meant(&state, handles)?.into_iter().map(|task| reviewed(session.repository(), task)).collect()
}

/// Whose results those are, without looking into them.
///
/// # Errors
/// Where a task is unknown.
pub fn list(session: &Session, handles: &[TaskHandle]) -> Result<Vec<(TaskId, String)>, Error> {
    let state = session.state()?;
    let title = |task: &Task| task.spec.name.as_ref().map_or_else(|| task.spec.command.shown(), ToString::to_string);
    Ok(meant(&state, handles)?.into_iter().map(|task| (task.id, title(task))).collect())
}

fn meant<'a>(state: &'a State, handles: &[TaskHandle]) -> Result<Vec<&'a Task>, Error> {
    let waits = |task: &&Task| matches!(task.state, TaskState::Ready { .. } | TaskState::Refused { .. });
    if handles.is_empty() { Ok(state.open().filter(waits).collect()) } else { find(state, handles) }
}

fn reviewed(repository: &Repository, task: &Task) -> Result<Reviewed, Error> {
    let id = task.id;
    let refuse = |why: String, hint: String| Err(Error::new(ErrorKind::Refused, why, hint));
    match &task.state {
        TaskState::Pending | TaskState::Running { .. } => {
            return refuse(format!("task {id} has not ended yet"), format!("wait for it with `pleach wait {id}`"));
        }
        TaskState::Queued { .. } | TaskState::Landing { .. } => {
            let hint = format!("take it out of its line first with `pleach queue remove {id}`");
            return refuse(format!("task {id} is on its way into its target already"), hint);
        }
        TaskState::Folded(folded) => {
            let hint = format!("look at it with `pleach diff {id}`; take it back with `pleach undo {id}`");
            return refuse(format!("task {id} is folded into {} already", folded.target), hint);
        }
        _ => {}
    }
    let found = task.result_attempt().filter(|attempt| !attempt.freed);
    let sides = found.and_then(|attempt| {
        let change = attempt.ended.as_ref()?.result.change()?;
        Some((attempt, attempt.base?, change))
    });
    let Some((attempt, base, change)) = sides else {
        let hint = format!("see what there is of it with `pleach status {id}`");
        return refuse(format!("task {id} has no result to look at"), hint);
    };
    let mut files: Vec<(FileSheet, File)> =
        diff::between(repository, base, change.tip, &[])?.into_iter().map(cut).collect();
    // What is to be looked at first comes first; the others stay in their order.
    files.sort_by_key(|(sheet, _)| sheet.look_first.is_none());
    let (sheets, files) = files.into_iter().unzip();
    let sheet = Sheet {
        schema: SCHEMA,
        task: TaskHandle::Id(id),
        name: task.spec.name.as_ref().map(ToString::to_string),
        attempt: Some(attempt.number),
        base: Some(base),
        tip: Some(change.tip),
        target: task.spec.target.clone(),
        command: Some(task.spec.command.shown()),
        summary: attempt.ended.as_ref().and_then(|ended| ended.facts.summary.clone()),
        flags: change.flags.iter().map(ToString::to_string).collect(),
        verdict: None,
        others: None,
        message: None,
        says: None,
        comments: Vec::new(),
        files: sheets,
    };
    Ok(Reviewed { sheet, attempt: task.attempt_id(attempt.number), base, tip: change.tip, files })
}

/// One file, cut into pieces.
fn cut(diff: FileDiff) -> (FileSheet, File) {
    let change = match (&diff.old_path, &diff.new_path) {
        (None, _) => FileChange::Added,
        (_, None) => FileChange::Deleted,
        (Some(old), Some(new)) if old != new => FileChange::Renamed,
        _ if diff.readable == Readable::Text && diff.old == diff.new => FileChange::Mode,
        _ => FileChange::Modified,
    };
    let path = diff.new_path.clone().or_else(|| diff.old_path.clone()).unwrap_or_default();
    let is_file = |mode: Option<u32>| mode.is_none_or(|mode| mode & KIND == FILE);
    let is_text = diff.readable == Readable::Text && is_file(diff.old_mode) && is_file(diff.new_mode);
    let text = |side: &Option<Vec<u8>>| side.clone().unwrap_or_default();
    let hunks = if is_text { hunk::cut(&text(&diff.old), &text(&diff.new)) } else { Vec::new() };
    let has_mode = !hunks.is_empty() && diff.old_mode.zip(diff.new_mode).is_some_and(|(old, new)| old != new);
    let mode = has_mode.then(|| HunkSheet { id: MODE.to_owned(), verdict: None, lines: Vec::new() });
    let counts = hunks.iter().map(Hunk::counts);
    let (insertions, deletions) = counts.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    let octal = |mode: Option<u32>| mode.map(|mode| format!("{mode:06o}"));
    let [old_size, new_size] = diff.sizes;
    let unread = match diff.readable {
        Readable::Text if is_text => None,
        Readable::Text => Some(odd(&diff)),
        Readable::Binary => Some(format!("it is no text: {old_size} bytes before, {new_size} after")),
        Readable::Large => Some(format!("it is too large to be shown: {old_size} bytes before, {new_size} after")),
    };
    let sheet = FileSheet {
        old_path: diff.old_path.clone().filter(|_| change == FileChange::Renamed),
        old_mode: octal(diff.old_mode),
        new_mode: octal(diff.new_mode),
        look_first: wary::why(&path, diff.old_mode, diff.new_mode).map(str::to_owned),
        unread,
        insertions,
        deletions,
        hunks: mode.into_iter().chain(hunks.iter().map(HunkSheet::from)).collect(),
        ..FileSheet::new(path, change)
    };
    (sheet, File { diff, hunks, has_mode })
}

/// What a link or a commit of another repository leads to: it is no file, and goes or comes as a whole.
fn odd(diff: &FileDiff) -> String {
    const LINK: u32 = 0o120_000;
    let side = |mode: Option<u32>, bytes: &Option<Vec<u8>>| {
        let words = Word::from(bytes.clone().unwrap_or_default()).shown();
        match mode.map(|mode| mode & KIND) {
            None => "nothing".to_owned(),
            Some(FILE) => "a file".to_owned(),
            Some(LINK) => format!("a symbolic link to {words}"),
            Some(_) => words.trim_end_matches("\\n").to_owned(),
        }
    };
    format!("it was {} and is {}", side(diff.old_mode, &diff.old), side(diff.new_mode, &diff.new))
}

/// What is to be done of what somebody says.
struct Plan<'a> {
    said: &'a Sheet,
    reviewed: Reviewed,
    accepted: Accepted,
}

/// Do what is said of each: all is looked at before anything is done. Of what is accepted a part becomes a result of its
/// own; and then all that is accepted is folded, in this order, unless there is no `how`.
///
/// # Errors
/// Where anything that is said does not fit: all of that at once, and nothing is done. A conflict is no error of this
/// function: see [`Fate`](fold::Fate).
pub fn apply(session: &mut Session, sheets: &[Sheet], how: Option<&How>) -> Result<Vec<Applied>, Error> {
    let state = session.state()?;
    let plans = plans(session, &state, sheets)?;
    let mut all: Vec<Applied> = Vec::new();
    let mut to_fold: Vec<(usize, TaskId, Option<AttemptId>)> = Vec::new();
    let mut looked_at: Vec<(TaskId, CommitId)> = Vec::new();
    for plan in &plans {
        let task = plan.reviewed.attempt.task;
        let handle = [TaskHandle::Id(task)];
        let done = match plan.said.verdict {
            None => Done::Left,
            Some(Verdict::Refuse) => {
                control::send(session, &handle, |tasks| Request::Discard { tasks })?;
                Done::Discarded
            }
            Some(Verdict::SendBack) => {
                let remarks = vec![(task, plan.said.remarks())];
                control::retry_told(session, &handle, From::Target, remarks)?;
                Done::SentBack
            }
            Some(Verdict::Accept) => {
                let (part, tip) = accept(session, &state, plan)?;
                looked_at.push((task, tip));
                to_fold.push((all.len(), task, part));
                Done::Accepted { part }
            }
        };
        if done != Done::Left {
            draft::drop_of(session, plan.reviewed.attempt)?;
        }
        let is_told = matches!(done, Done::SentBack | Done::Left);
        let untold = Some(plan.said.remarks()).filter(|remarks| !is_told && !remarks.is_mute());
        let is_discarded = |task: &Task| task.state == TaskState::Discarded;
        let was_discarded = plan.said.verdict == Some(Verdict::Accept) && state.task(task).is_some_and(is_discarded);
        all.push(Applied { task, done, untold, was_discarded });
    }
    if let Some(how) = how
        && !to_fold.is_empty()
    {
        let handles: Vec<TaskHandle> = to_fold.iter().map(|(_, task, _)| TaskHandle::Id(*task)).collect();
        // What took the place of a result since then, nobody has seen.
        let how = How { looked_at, ..how.clone() };
        let told = fold::merge(session, &handles, &how)?;
        for ((place, _, part), told) in to_fold.into_iter().zip(told) {
            all[place].done = Done::Folded { part, told: Box::new(told) };
        }
    }
    Ok(all)
}

/// Run these again, each told what one of the sheets says of its result.
///
/// # Errors
/// Where a task is unknown, nothing is said of it, or a comment is about what is not in its result.
pub fn send_back(session: &mut Session, handles: &[TaskHandle], sheets: &[Sheet]) -> Result<Vec<TaskId>, Error> {
    let state = session.state()?;
    let sent: Vec<Sheet> =
        sheets.iter().map(|said| Sheet { verdict: Some(Verdict::SendBack), ..said.clone() }).collect();
    let ids = control::ids(&state, handles)?;
    let is_meant =
        |said: &Sheet| find(&state, std::slice::from_ref(&said.task)).is_ok_and(|found| ids.contains(&found[0].id));
    let sent: Vec<Sheet> = sent.into_iter().filter(is_meant).collect();
    let plans = plans(session, &state, &sent)?;
    let attempts: Vec<AttemptId> = plans.iter().map(|plan| plan.reviewed.attempt).collect();
    let remarks: Vec<(TaskId, Remarks)> =
        plans.into_iter().map(|plan| (plan.reviewed.attempt.task, plan.said.remarks())).collect();
    if let Some(mute) = ids.iter().find(|id| !remarks.iter().any(|(task, _)| task == *id)) {
        let message = format!("the review says nothing of task {mute}");
        return Err(Error::new(ErrorKind::Usage, message, format!("see how with `pleach review --json {mute}`")));
    }
    let sent_back = control::retry_told(session, handles, From::Target, remarks)?;
    attempts.into_iter().try_for_each(|attempt| draft::drop_of(session, attempt))?;
    Ok(sent_back)
}

/// Read what somebody says of results: one sheet, a list of them, or what `review --json` prints.
///
/// # Errors
/// Where it is none of these: where, and why.
pub fn read(text: &str) -> Result<Vec<Sheet>, Error> {
    #[derive(Deserialize)]
    struct Shape {
        reviews: Option<serde::de::IgnoredAny>,
    }
    let is_list = text.trim_start().starts_with('[');
    let is_whole = || serde_json::from_str::<Shape>(text).is_ok_and(|shape| shape.reviews.is_some());
    let sheets = match () {
        () if is_list => serde_json::from_str::<Vec<Sheet>>(text),
        () if is_whole() => serde_json::from_str::<Reviews>(text).map(|all| all.reviews),
        () => serde_json::from_str::<Sheet>(text).map(|one| vec![one]),
    };
    sheets.map_err(|error| {
        let hint = "start from what `pleach review --json` prints; docs/json.md has all of its keys";
        Error::new(ErrorKind::Usage, format!("that is no review: {error}"), hint)
    })
}

/// What `review --json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reviews {
    /// [`SCHEMA`].
    #[serde(default)]
    pub schema: u32,
    /// The results.
    pub reviews: Vec<Sheet>,
}

fn plans<'a>(session: &Session, state: &State, sheets: &'a [Sheet]) -> Result<Vec<Plan<'a>>, Error> {
    let (mut plans, mut problems) = (Vec::<Plan<'a>>::new(), Vec::new());
    for said in sheets {
        let task = find(state, std::slice::from_ref(&said.task))?[0];
        let reviewed = reviewed(session.repository(), task)?;
        let is_meant = said.attempt.is_none_or(|attempt| attempt == reviewed.attempt.number)
            && said.tip.is_none_or(|tip| tip == reviewed.tip);
        if !is_meant {
            problems.push(format!("task {}: its result is that of attempt {} now", task.id, reviewed.attempt));
            continue;
        }
        if plans.iter().any(|plan| plan.reviewed.attempt.task == task.id) {
            problems.push(format!("task {} is named twice", task.id));
            continue;
        }
        match judge(said, &reviewed) {
            Ok(accepted) => plans.push(Plan { said, reviewed, accepted }),
            Err(found) => problems.extend(found.into_iter().map(|problem| format!("task {}: {problem}", task.id))),
        }
    }
    if problems.is_empty() {
        return Ok(plans);
    }
    let message = format!("the review does not fit, and nothing of it was done:\n  {}", problems.join("\n  "));
    Err(Error::new(ErrorKind::Usage, message, "see what there is with `pleach review --json`"))
}

fn judge(said: &Sheet, reviewed: &Reviewed) -> Result<Accepted, Vec<String>> {
    let accepted = said.settle(&reviewed.sheet)?;
    let is_said = |file: &FileSheet| file.verdict.is_some() || file.hunks.iter().any(|hunk| hunk.verdict.is_some());
    let is_mute = said.remarks().is_mute();
    match said.verdict {
        None if said.others.is_some() || said.files.iter().any(is_said) => {
            Err(vec!["something is said of its files and nothing of itself: say \"verdict\" too".to_owned()])
        }
        Some(Verdict::Accept) if accepted == Accepted::Nothing => {
            Err(vec!["nothing of it is accepted: say \"verdict\": \"refuse\"".to_owned()])
        }
        Some(Verdict::SendBack) if is_mute => {
            Err(vec!["it is sent back without a word: say \"says\", or a comment".to_owned()])
        }
        _ => Ok(accepted),
    }
}

/// Take what is accepted for the task's result; answers the attempt that a part counts as, and the last commit of what is the result then.
fn accept(session: &mut Session, state: &State, plan: &Plan<'_>) -> Result<(Option<AttemptId>, CommitId), Error> {
    let whole = plan.reviewed.attempt;
    let Some(task) = state.task(whole.task) else { return Ok((None, plan.reviewed.tip)) };
    let Accepted::Part(part) = &plan.accepted else {
        if !task.shows_branch() {
            session.coordinator()?.ask(&Request::Restore { attempts: vec![whole] })?;
        }
        return Ok((None, plan.reviewed.tip));
    };
    let pieces: Vec<Piece> = part.iter().flat_map(|(place, pieces)| plan.reviewed.pieces(*place, pieces)).collect();
    let root = session.make_layout()?.state.clone();
    let scratch = tempfile::tempdir_in(&root).map_err(StoreError::file("write in", &root))?;
    let repository = session.repository();
    let who = Identity::of(repository, clock::now())?;
    let message = plan.said.message.as_deref();
    let Reviewed { base, tip, .. } = plan.reviewed;
    let tip = part::commit(repository, (base, tip), &pieces, message, &who, scratch.path())?;
    let seen = task.attempts.len();
    session.coordinator()?.ask(&Request::TakePart { of: whole, seen, tip })?;
    Ok((Some(task.next_attempt()), tip))
}

impl Reviewed {
    /// What becomes of the paths of a file of which this is accepted.
    fn pieces(&self, place: usize, accepted: &Pieces) -> Vec<Piece> {
        let (sheet, file) = (&self.sheet.files[place], &self.files[place]);
        let path = sheet.path.clone();
        let left = sheet.old_path.clone().map(Piece::Gone);
        let there = match accepted {
            Pieces::All if sheet.change == Some(FileChange::Deleted) => Piece::Gone(path),
            Pieces::All => Piece::AsResult(path),
            Pieces::Of(taken) => file.made(path, |place| taken.contains(&place)),
        };
        left.into_iter().chain([there]).collect()
    }
}

impl File {
    /// The file with some of its pieces.
    fn made(&self, path: Word, taken: impl Fn(usize) -> bool) -> Piece {
        let first = usize::from(self.has_mode);
        let side = |side: &Option<Vec<u8>>| side.clone().unwrap_or_default();
        let (old, new) = (side(&self.diff.old), side(&self.diff.new));
        let bytes = hunk::take(&old, &new, &self.hunks, |place| taken(first + place));
        let mode = if self.has_mode && !taken(0) { self.diff.old_mode } else { self.diff.new_mode };
        Piece::Made { path, mode: mode.unwrap_or(FILE | 0o644), bytes }
    }
}
