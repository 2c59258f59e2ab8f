//! Several tasks that somebody asks for in one call, and that stand or fall together: a plan that no file says.

use super::submit::{self, Asker, Wish};
use super::{Error, ErrorKind, Session};
use crate::coordinator::protocol::{NewPlan, Request, Response};
use crate::core::id::{TaskId, TaskName};
use crate::core::plan::{Member, OnConflict, OnFailure, Plan};
use crate::core::state::State;
use crate::core::task::{FoldPolicy, TaskSpec};

/// What holds for all of it.
#[derive(Debug, Clone)]
pub struct Batch {
    /// What its plan is called.
    pub name: TaskName,
    /// What becomes of the others where one fails.
    pub on_failure: OnFailure,
    /// How many run at once.
    pub concurrency: Option<u32>,
    /// Who asks: the same once more is the same batch.
    pub request: Option<String>,
}

/// One of its tasks.
#[derive(Debug, Clone)]
pub struct Item {
    /// What it is called in there.
    pub key: String,
    /// The places of those that it builds on, all of them before it.
    pub needs: Vec<usize>,
    /// What is wanted.
    pub wish: Wish,
}

/// The batch that this request already made.
pub fn known<'a>(state: &'a State, request: &str) -> Option<&'a Plan> {
    state.plans().iter().rev().find(|plan| plan.request == request)
}

/// Hand it over, all of it or nothing. The answer is the ids, in the same order.
///
/// # Errors
/// Where a part of it cannot be granted.
pub fn submit(session: &mut Session, batch: Batch, items: Vec<Item>) -> Result<Vec<TaskId>, Error> {
    let mut asker = Asker::default();
    let specs = items.into_iter().map(|item| spec(session, &mut asker, batch.on_failure, item));
    let mut specs = specs.collect::<Result<Vec<TaskSpec>, Error>>()?;
    let secrets: Vec<_> = specs.iter_mut().map(submit::seal).collect();
    let secrets = if secrets.iter().all(|of_one| of_one.is_empty()) { Vec::new() } else { secrets };
    let plan = Box::new(NewPlan {
        file: batch.name.to_string(),
        // No other has its name, so none is the same but by its request.
        fingerprint: batch.name.to_string(),
        name: batch.name,
        request: batch.request.unwrap_or_else(submit::request),
        on_failure: batch.on_failure,
        concurrency: batch.concurrency,
    });
    let limits = session.config()?.limits();
    match session.coordinator()?.ask(&Request::SubmitPlan { plan, specs, secrets, limits })? {
        Response::Planned(id) => Ok(session.state()?.plan(&id).map(|plan| plan.tasks().collect()).unwrap_or_default()),
        other => Err(Error::plain(ErrorKind::Error, format!("the coordinator answered {other:?}"))),
    }
}

fn spec(session: &mut Session, asker: &mut Asker, on_failure: OnFailure, item: Item) -> Result<TaskSpec, Error> {
    let Item { key, needs, mut wish } = item;
    // What is discarded where one fails must not be folded before all have ended.
    if on_failure == OnFailure::DiscardAll {
        if wish.fold == Some(FoldPolicy::Auto) {
            let message = format!("task {key:?}: what has been folded cannot be discarded where another one fails");
            return Err(Error::new(ErrorKind::Usage, message, "fold what is good in the end, with delegate_merge"));
        }
        wish.fold = wish.fold.or(Some(FoldPolicy::Review));
    }
    let member = Member {
        task: key,
        item: None,
        candidate: None,
        fold: FoldPolicy::Review,
        run: None,
        accept: Vec::new(),
        paths: Vec::new(),
        on_conflict: OnConflict::Hold,
    };
    // Within the batch, from 1.
    let needs = needs.into_iter().map(|place| TaskId(place as u64 + 1)).collect();
    Ok(TaskSpec { needs, member: Some(Box::new(member)), ..asker.spec(session, wish)? })
}
