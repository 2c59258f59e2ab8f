//! The socket: requests come in, answers go out.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

use super::log;
use super::protocol::{LONGEST, Request, Response};
use super::run::Message;

/// Accept until the coordinator leaves.
pub(super) async fn listen(listener: UnixListener, inbox: mpsc::UnboundedSender<Message>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::task::spawn_local(converse(stream, inbox.clone()));
            }
            Err(error) => {
                log(&format!("cannot accept: {error}"));
                // Out of descriptors: others must close theirs first.
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

async fn converse(stream: UnixStream, inbox: mpsc::UnboundedSender<Message>) {
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
