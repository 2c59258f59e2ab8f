//! `pleach review --web`: the same review in a browser. Requests in, a page out.
//!
//! - [`guard`]: who is heard. Every user of the machine can reach a port on loopback, and so can pages in a browser.
//! - [`routes`]: what can be asked for. [`data`]: the answers. [`render`]: a file's change as HTML, in which nothing acts.
//! - [`live`]: the board, told anew whenever something happens.
//! - `page/`: what the browser gets: one document, one style, one script, all inside of the program.
//!
//! It is bound to loopback, and to nothing else ever. What it does is what [`review::apply`](crate::ops::review::apply)
//! does; what somebody has not carried out yet is kept where the review on a terminal keeps it. Left to others: what a result is, and what it
//! comes to.

mod data;
mod guard;
mod live;
mod render;
mod routes;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, server};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

use crate::core::id::{TaskHandle, TaskId};
use crate::core::ink::Grammars;
use crate::ops::fold::How;
use crate::ops::review::Applied;
use crate::ops::{Error, ErrorKind, Session, find, token};

/// How many clients are heard at once.
const CLIENTS: usize = 128;
/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(20);

/// How the page is served.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it stands: the results of this directory's repository are reviewed.
    pub directory: PathBuf,
    /// Which; all that are not settled, if none is named.
    pub tasks: Vec<TaskHandle>,
    /// How what is accepted is folded; it is not, where nothing is said.
    pub how: Option<How>,
    /// What became of a result, as a front end tells it.
    pub told: fn(&Applied) -> Value,
}

/// What every request needs.
struct Served {
    settings: Settings,
    only: Vec<TaskId>,
    guard: guard::Guard,
    shelf: data::Shelf,
    board: live::Board,
    /// Had when a file is looked at first.
    grammars: OnceLock<Grammars>,
}

impl Served {
    fn session(&self) -> Result<Session, Error> {
        Session::open(&self.settings.directory)
    }
}

/// Serve until somebody ends us. `up` is told the address, with the token in it, as soon as it listens.
///
/// # Errors
/// Where a task is unknown, no port can be had, or no token can be made.
pub fn serve(settings: Settings, up: impl FnOnce(&str) -> Result<(), Error>) -> Result<(), Error> {
    let mut session = Session::open(&settings.directory)?;
    let only = find(&session.state()?, &settings.tasks)?.iter().map(|task| task.id).collect();
    // Somebody who cannot be asked to do anything is told so now, and not by an empty page.
    session.coordinator()?;
    let token = token::random()?;
    let cannot = |error: std::io::Error| {
        Error::new(
            ErrorKind::Error,
            format!("cannot listen on loopback: {error}"),
            "review without a browser: `pleach review --json`",
        )
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    let ended = runtime.block_on(async {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let mut end = signal(SignalKind::terminate()).map_err(cannot)?;
        let guard = guard::Guard::new(address, &token);
        let board = live::Board::default();
        let (shelf, grammars) = (data::Shelf::default(), OnceLock::new());
        let served = Arc::new(Served { settings, only, guard, shelf, board, grammars });
        live::follow(&served);
        // After the `#`: no browser says that part to anybody.
        up(&format!("http://{address}/#{token}"))?;
        tokio::select! {
            () = answer_all(listener, served) => Ok(()),
            _ = tokio::signal::ctrl_c() => Ok(()),
            _ = end.recv() => Ok(()),
        }
    });
    // What was asked of the coordinator goes on there.
    runtime.shutdown_background();
    ended
}

async fn answer_all(listener: TcpListener, served: Arc<Served>) {
    let places = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        // A connection that breaks while it is taken is nobody's trouble but its own.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let served = served.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request: Request<Incoming>| {
                let served = served.clone();
                async move { Ok::<_, Infallible>(routes::answer(served, request).await) }
            });
            let mut http = server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
            // A client that goes away has had enough.
            let _ = http.serve_connection(TokioIo::new(stream), answer).await;
            drop(place);
        });
    }
}
