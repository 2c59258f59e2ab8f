//! What a task asks from inside, over the socket that its shim serves: only of its own, and never more than it has itself.
//!
//! Who asks is known from the shim. A task that has ended, or was told to end, asks for nothing any more.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use super::{Coordinator, Waiter};
use crate::coordinator::protocol::{Refused, RefusedKind, Request, Response, Until};
use crate::coordinator::requests;
use crate::core::delegate::{self, Ask, Asker, Child, Denied, LogPiece, Relayed};
use crate::core::event::Event;
use crate::core::id::{AttemptId, CommitId, TaskHandle, TaskId, TaskName};
use crate::core::state::{State, Task, TaskState};
use crate::core::word::Word;
use crate::store::log::{Piece, Reader};
use crate::store::{StoreError, record, secrets};

impl Coordinator {
    pub(super) fn inside(&mut self, relayed: Relayed, answer: oneshot::Sender<Response>) -> Result<(), StoreError> {
        let Relayed { by, ask, secrets } = relayed;
        let response = match self.asker(by) {
            Err(refused) => Response::No(refused),
            Ok(base) => match ask {
                Ask::Submit(child) => self.delegate(by, base, *child, secrets)?,
                Ask::Cancel(ask) => match self.own(by, &ask.tasks) {
                    Ok(()) => self.judge(&Request::Cancel { tasks: ask.tasks, now: ask.now })?,
                    Err(refused) => Response::No(refused),
                },
                Ask::Await(ask) => match self.own(by, &ask.tasks) {
                    Ok(()) => {
                        let until = if ask.landed { Until::Landed } else { Until::Ended };
                        if !requests::has_reached(&self.state, &ask.tasks, until, ask.any) {
                            self.waiters.push(Waiter { tasks: ask.tasks, until, any: ask.any, answer });
                            return Ok(());
                        }
                        Response::Yes
                    }
                    Err(refused) => Response::No(refused),
                },
                Ask::State => Response::State(delegate::view(&self.state, by.task).write()),
                Ask::Log(ask) => match self.own(by, &[ask.attempt.task]) {
                    Ok(()) => {
                        let dir = self.world.layout.attempt(ask.attempt).log();
                        tokio::task::spawn_blocking(move || drop(answer.send(read(&dir, &ask))));
                        return Ok(());
                    }
                    Err(refused) => Response::No(refused),
                },
            },
        };
        let _ = answer.send(response);
        Ok(())
    }

    /// Is this an attempt that runs, and may go on? Then what it builds on.
    fn asker(&self, by: AttemptId) -> Result<CommitId, Refused> {
        let runs = self.state.task(by.task).filter(|task| {
            task.last_attempt() == Some(by) && matches!(task.state, TaskState::Running { cancel: None })
        });
        let base = runs.and_then(|task| task.attempt(by.number)?.base);
        base.ok_or_else(|| refused(format!("attempt {by} is over, or was told to end"), None))
    }

    /// Are these its own?
    fn own(&self, by: AttemptId, tasks: &[TaskId]) -> Result<(), Refused> {
        let is_own =
            |id: &TaskId| self.state.task(*id).is_some_and(|task| delegate::is_descendant(&self.state, task, by.task));
        match tasks.iter().find(|id| !is_own(id)) {
            None => Ok(()),
            // Whether there is one of somebody else's is not told.
            Some(other) => Err(Refused {
                kind: RefusedKind::UnknownTask,
                message: format!("there is no task {other} that task {} delegated", by.task),
                hint: Some("see those that it did with `pleach ls --all`".to_owned()),
            }),
        }
    }

    fn delegate(
        &mut self,
        by: AttemptId,
        base: CommitId,
        asked: Child,
        given: BTreeMap<String, Word>,
    ) -> Result<Response, StoreError> {
        let Some(parent) = self.state.task(by.task) else { return Ok(Response::Yes) };
        let held = record::load::<record::Held>(&self.world.layout.attempt(by).held()).ok().flatten();
        let named = asked.name.clone();
        let after = asked.after.clone();
        let started = delegate::children(&self.state, by.task);
        let is_of_this = |id: &&TaskId| self.state.task(**id).is_some_and(|task| task.spec.parent == Some(by));
        let started = started.iter().filter(is_of_this).count();
        // It was asked before, and only the answer got lost.
        if let Some(task) = self.state.find_request(&delegate::marked(by, &asked.request)) {
            return Ok(Response::Submitted(task.id));
        }
        let groups = &self.limits.groups;
        let is_group_limited = parent.spec.group.as_ref().is_some_and(|group| groups.contains_key(group));
        let held = held.map(|held| held.tier);
        let asker = Asker { task: parent, by, base, held, started, is_group_limited };
        let (spec, named_secrets) = match delegate::child(&asker, asked) {
            Ok(made) => made,
            Err(Denied { message, hint }) => return Ok(Response::No(refused(message, Some(hint)))),
        };
        if let Err(refused) = self.own(by, &after).and_then(|()| is_free(&self.state, named)) {
            return Ok(Response::No(refused));
        }
        let own_secrets = &parent.spec.secrets;
        let mut secrets = given;
        secrets.retain(|name, _| own_secrets.contains(name));
        secrets.extend(named_secrets);
        let task = self.state.next_task();
        secrets::keep(&self.world.layout, task, &secrets)?;
        self.record(vec![Event::Submitted { task, spec: Box::new(spec) }])?;
        Ok(Response::Submitted(task))
    }
}

/// A name means the newest task that has it: what a person means by the name of theirs must not become another.
fn is_free(state: &State, name: Option<TaskName>) -> Result<(), Refused> {
    let Some(name) = name else { return Ok(()) };
    let is_of_a_person = |task: &&Task| task.spec.parent.is_none() && !task.is_settled();
    match state.find(&TaskHandle::Name(name.clone())).filter(is_of_a_person) {
        None => Ok(()),
        Some(_) => Err(refused(
            format!("the name {name} is taken by a task of whoever works here"),
            Some("give it another".to_owned()),
        )),
    }
}

fn refused(message: String, hint: Option<String>) -> Refused {
    Refused { kind: RefusedKind::Inside, message, hint }
}

/// The next piece of a log.
fn read(dir: &std::path::Path, ask: &delegate::Log) -> Response {
    /// Bytes at once: the rest is asked for.
    const MOST: usize = 64 << 10;
    let read = || {
        let mut reader = match ask.tail {
            Some(lines) => Reader::at_tail(dir, lines)?,
            None => Reader::at(dir, ask.from),
        };
        let from = reader.offset();
        std::io::Result::Ok(match reader.read()? {
            Some(Piece::Bytes(mut bytes)) => {
                bytes.truncate(MOST);
                let next = from + bytes.len() as u64;
                LogPiece { bytes: Some(bytes.into()), dropped: None, next }
            }
            Some(Piece::Dropped(count)) => LogPiece { bytes: None, dropped: Some(count), next: reader.offset() },
            None => LogPiece { next: reader.offset(), ..LogPiece::default() },
        })
    };
    match read() {
        Ok(piece) => Response::Log(piece),
        Err(error) => Response::No(refused(format!("cannot read the log of {}: {error}", ask.attempt), None)),
    }
}
