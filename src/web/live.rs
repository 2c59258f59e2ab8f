//! The board, told anew whenever something happens: one watch of the journal for all who look.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::{Body, Bytes, Frame};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::Served;
use super::routes::{self, Answer};
use crate::core::id::TaskId;
use crate::core::report::{Row, Show, Standing};
use crate::core::word::shown;
use crate::ops::{Error, Session, look};

/// The least time between two boards: many things may happen at once.
const BREATH: Duration = Duration::from_millis(100);
/// How often somebody who looks is told that we are still there.
const BEAT: Duration = Duration::from_secs(15);
/// How long after a coordinator could not be reached it is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// The newest board, as text, and the tasks that were ever on it.
pub(super) struct Board {
    newest: watch::Sender<Arc<str>>,
    met: Mutex<BTreeSet<TaskId>>,
}

impl Default for Board {
    fn default() -> Self {
        Self { newest: watch::Sender::new(Arc::from("")), met: Mutex::default() }
    }
}

/// Begin to watch; goes on by itself.
pub(super) fn follow(served: &Arc<Served>) {
    let (told, mut heard) = watch::channel(0_u64);
    let watcher = served.clone();
    std::thread::spawn(move || {
        loop {
            if watch_once(&watcher, &told).is_err() {
                std::thread::sleep(AGAIN);
            }
            if told.is_closed() {
                return;
            }
        }
    });
    let served = served.clone();
    tokio::spawn(async move {
        loop {
            let drawn = served.clone();
            let board = routes::blocking(move || draw(&drawn)).await;
            let board = board.unwrap_or_else(|error| json!({ "error": shown(&error.message) }));
            served.board.newest.send_replace(board.to_string().into());
            if heard.changed().await.is_err() {
                return;
            }
            tokio::time::sleep(BREATH).await;
        }
    });
}

/// Tell of each thing that happens, until the coordinator goes.
fn watch_once(served: &Served, told: &watch::Sender<u64>) -> Result<(), Error> {
    let mut session = Session::open(&served.settings.directory)?;
    let mut client = session.coordinator()?;
    client.begin_watch()?;
    loop {
        told.send_modify(|count| *count += 1);
        if !client.watch() {
            return Ok(());
        }
    }
}

fn draw(served: &Served) -> Result<Value, Error> {
    let mut session = served.session()?;
    let board = look::board(&mut session, Show::All)?;
    let mut met = served.board.met.lock().unwrap_or_else(PoisonError::into_inner);
    let is_settled = |row: &Row| matches!(row.state, Standing::Folded | Standing::Discarded | Standing::Withdrawn);
    let is_meant = |row: &Row| match served.only.is_empty() {
        // What is settled while somebody looks stays there.
        true => met.contains(&row.id) || !is_settled(row),
        false => served.only.contains(&row.id),
    };
    let rows: Vec<&Row> = board.tasks.iter().filter(|row| is_meant(row)).collect();
    let lines: Vec<Value> = rows.iter().map(|row| line(row)).collect();
    let ids: Vec<TaskId> = rows.iter().map(|row| row.id).collect();
    met.extend(ids);
    let top = session.found.checkout.as_ref().map(|checkout| checkout.top.clone());
    let top = top.unwrap_or_else(|| session.repository().common_dir().to_owned());
    let name = top.file_name().map(|name| crate::core::word::Word::from(name.to_owned()).shown());
    Ok(json!({ "repository": name, "folds": served.settings.how.is_some(), "paused": board.paused, "tasks": lines }))
}

fn line(row: &Row) -> Value {
    let is_open = matches!(row.state, Standing::Ready | Standing::Conflict | Standing::Rejected | Standing::Held);
    json!({
        "id": row.id,
        "name": row.name,
        "command": shown(&row.command),
        "state": row.state,
        "why": shown(&row.why),
        "line": shown(&row.line),
        "attempt": row.attempt,
        "files": row.files,
        "insertions": row.insertions,
        "deletions": row.deletions,
        "is_open": is_open,
    })
}

/// The boards as server-sent events: the newest at once, then each.
pub(super) fn stream(board: &Board) -> Answer {
    let mut boards = board.newest.subscribe();
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    tokio::spawn(async move {
        loop {
            let newest = boards.borrow_and_update().clone();
            let text = if newest.is_empty() { ":\n\n".to_owned() } else { format!("data: {newest}\n\n") };
            if sender.send(text.into()).await.is_err() {
                return;
            }
            // Without a word now and then, nobody would notice that a browser has gone.
            while let Err(_quiet) = tokio::time::timeout(BEAT, boards.changed()).await {
                if sender.send(Bytes::from_static(b":\n\n")).await.is_err() {
                    return;
                }
            }
        }
    });
    let mut answer = Response::new(Heard(receiver).boxed());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    answer
}

/// A body that goes on.
struct Heard(mpsc::Receiver<Bytes>);

impl Body for Heard {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
