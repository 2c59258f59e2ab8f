//! The same server over HTTP, for clients that start no programs: on loopback only, and only for who has the token.
//!
//! Every user of the machine can reach a port on loopback, and so can pages in a browser: each request has to bear the token, name
//! loopback as its host, and have no origin.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;

use super::{Server, Settings};
use crate::config::env;
use crate::ops::{Error, ErrorKind, token};

/// Where it is served.
const PATH: &str = "/mcp";
/// The shortest token that somebody may choose.
const SHORTEST: usize = 16;

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// Serve until somebody ends us. `up` is told where, and the token, as soon as it listens.
///
/// # Errors
/// Where the port cannot be had, or no token can be made.
pub fn serve(settings: Settings, port: u16, up: impl FnOnce(&str, &str) -> Result<(), Error>) -> Result<(), Error> {
    let token = wanted()?;
    let cannot = |error: std::io::Error| {
        let message = format!("cannot listen on port {port} of loopback: {error}");
        Error::new(ErrorKind::Error, message, "take another port; 0 takes any that is free")
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    runtime.block_on(async {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = TcpListener::bind(address).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        up(&format!("http://{address}{PATH}"), &token)?;
        answer_all(listener, settings, token).await
    })
}

/// One that was chosen, else one that nobody can guess.
fn wanted() -> Result<String, Error> {
    if let Some(chosen) = env::mcp_token() {
        if chosen.len() < SHORTEST {
            let message = format!("{} is shorter than {SHORTEST} characters", env::MCP_TOKEN);
            return Err(Error::new(ErrorKind::Usage, message, "take a longer one, or unset it and have one made"));
        }
        return Ok(chosen);
    }
    token::random()
}

async fn answer_all(listener: TcpListener, settings: Settings, token: String) -> Result<(), Error> {
    let server = move || Ok(Server { settings: settings.clone() });
    // Hosts other than loopback are refused by itself; origins only when told to.
    let config = StreamableHttpServerConfig::default().enforce_origin_validation();
    let service = StreamableHttpService::new(server, Arc::new(LocalSessionManager::default()), config);
    let wanted: Arc<str> = format!("Bearer {token}").into();
    loop {
        // A connection that breaks while it is taken is nobody's trouble but its own.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (service, wanted) = (service.clone(), wanted.clone());
        tokio::spawn(async move {
            let answer = service_fn(move |request: Request<Incoming>| {
                let (service, wanted) = (service.clone(), wanted.clone());
                async move {
                    Ok::<_, Infallible>(match refused(&request, &wanted) {
                        Some(status) => empty(status),
                        None => service.handle(request).await,
                    })
                }
            });
            // A client that goes away has had enough.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

/// Why a request is not even looked at.
fn refused(request: &Request<Incoming>, wanted: &str) -> Option<StatusCode> {
    let said = request.headers().get(AUTHORIZATION).map(|value| value.as_bytes()).unwrap_or_default();
    if !token::is_same(said, wanted.as_bytes()) {
        return Some(StatusCode::UNAUTHORIZED);
    }
    (request.uri().path() != PATH).then_some(StatusCode::NOT_FOUND)
}

fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::new()).boxed());
    *answer.status_mut() = status;
    if status == StatusCode::UNAUTHORIZED {
        answer.headers_mut().insert(WWW_AUTHENTICATE, hyper::header::HeaderValue::from_static("Bearer"));
    }
    answer
}
