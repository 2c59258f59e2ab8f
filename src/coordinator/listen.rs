//! The socket: requests come in, answers go out.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

use super::log;
use super::protocol::{LONGEST, Refused, RefusedKind, Request, Response};
use super::run::Message;
use crate::process::tree;
use crate::shim::SHIM;

/// Accept until the coordinator leaves.
pub(super) async fn listen(listener: UnixListener, inbox: mpsc::UnboundedSender<Message>, state: Arc<Path>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::task::spawn_local(converse(stream, inbox.clone(), Arc::clone(&state)));
            }
            Err(error) => {
                log(&format!("cannot accept: {error}"));
                // Out of descriptors: others must close theirs first.
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

/// Is a process of a task at the other end? Where no sandbox keeps the socket from it, it could ask for anything; but for tasks
/// there is another one, at their shim.
fn is_of_a_task(stream: &UnixStream, state: &Path) -> bool {
    let is_its_shim = |words: &[&[u8]]| match words {
        [_, verb, dir, ..] => {
            *verb == SHIM.as_bytes() && Path::new(std::ffi::OsStr::from_bytes(dir)).starts_with(state.join("attempts"))
        }
        _ => false,
    };
    let pid = stream.peer_cred().ok().and_then(|peer| peer.pid()).and_then(|pid| u32::try_from(pid).ok());
    pid.is_some_and(|pid| tree::is_below(pid, is_its_shim))
}

fn not_for_tasks() -> Response {
    Response::No(Refused {
        kind: RefusedKind::Inside,
        message: "a task asks at a socket of its own, and not here".to_owned(),
        hint: Some("call pleach in the worktree of the task".to_owned()),
    })
}

async fn converse(stream: UnixStream, inbox: mpsc::UnboundedSender<Message>, state: Arc<Path>) {
    let is_of_a_task = is_of_a_task(&stream, &state);
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read).take(LONGEST);
    let mut line = String::new();
    loop {
        line.clear();
        read.set_limit(LONGEST);
        if !matches!(read.read_line(&mut line).await, Ok(1..)) {
            return;
        }
        let Ok(request) = serde_json::from_str(&line) else { return };
        if is_of_a_task {
            let _ = say(&mut write, &not_for_tasks()).await;
            return;
        }
        if matches!(request, Request::Watch) {
            return watch(read, write, inbox).await;
        }
        let (answer, answered) = oneshot::channel();
        if inbox.send(Message::Request { request, answer }).is_err() {
            return;
        }
        // Without an answer the asker asks again: the connection just ends.
        let Some(response) = answer_to(&mut read, answered).await else {
            let _ = inbox.send(Message::AskerGone);
            return;
        };
        if say(&mut write, &response).await.is_err() {
            return;
        }
    }
}

/// The answer; `None` where there is none, or where whoever asked is gone and nobody need remember the question.
async fn answer_to(
    read: &mut (impl AsyncBufReadExt + Unpin),
    mut answered: oneshot::Receiver<Response>,
) -> Option<Response> {
    tokio::select! {
        biased;
        answer = &mut answered => return answer.ok(),
        more = read.fill_buf() => if more.map_or(true, <[u8]>::is_empty) { return None },
    }
    // The next question is there already: it waits for this answer.
    answered.await.ok()
}

async fn watch(
    mut read: impl AsyncBufReadExt + Unpin,
    mut write: tokio::net::unix::OwnedWriteHalf,
    inbox: mpsc::UnboundedSender<Message>,
) {
    let (tick, mut ticks) = mpsc::channel(1);
    if inbox.send(Message::Watch(tick)).is_err() {
        return;
    }
    loop {
        let goes_on = tokio::select! {
            tick = ticks.recv() => tick.is_some() && say(&mut write, &Response::Tick).await.is_ok(),
            // Whoever watches says nothing more: this is the end of the connection.
            _ = read.fill_buf() => false,
        };
        if !goes_on {
            drop(ticks);
            let _ = inbox.send(Message::AskerGone);
            return;
        }
    }
}

async fn say(write: &mut tokio::net::unix::OwnedWriteHalf, response: &Response) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(response).expect("responses are enums of strings");
    line.push(b'\n');
    write.write_all(&line).await
}
