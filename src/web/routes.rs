//! What can be asked for, and how it is answered. Only a POST with JSON changes anything.

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;

use super::{Served, data, guard, live};
use crate::core::word::shown;
use crate::ops::{Error, ErrorKind};

/// The largest review that is taken.
const LARGEST: usize = 16 << 20;

pub(super) type Answer = Response<BoxBody<Bytes, Infallible>>;

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

/// What somebody asks for.
#[derive(Debug, PartialEq)]
enum Route<'a> {
    /// A part of the page.
    Fixed(&'static str, &'static str),
    Events,
    Review(&'a str),
    File {
        task: &'a str,
        tip: &'a str,
        file: &'a str,
    },
    Draft,
    Apply,
}

fn route(path: &str) -> Option<Route<'_>> {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    Some(match parts[..] {
        [""] => Route::Fixed(HTML, include_str!("page/review.html")),
        ["review.css"] => Route::Fixed("text/css; charset=utf-8", include_str!("page/review.css")),
        ["review.js"] => Route::Fixed("text/javascript; charset=utf-8", include_str!("page/review.js")),
        ["api", "events"] => Route::Events,
        ["api", "review", task] => Route::Review(task),
        ["api", "review", task, tip, file] => Route::File { task, tip, file },
        ["api", "draft"] => Route::Draft,
        ["api", "apply"] => Route::Apply,
        _ => return None,
    })
}

/// Answer one request, whatever it is.
pub(super) async fn answer(served: Arc<Served>, request: Request<Incoming>) -> Answer {
    let mut answer = admitted(served, request).await;
    guard::seal(answer.headers_mut());
    answer
}

async fn admitted(served: Arc<Served>, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    let route = route(&path);
    let is_open = matches!(route, Some(Route::Fixed(..)));
    if let Some((status, why)) = served.guard.refuses(&request, is_open) {
        return plain(status, why);
    }
    let Some(route) = route else { return plain(StatusCode::NOT_FOUND, "there is no such page") };
    let wanted = if matches!(route, Route::Draft | Route::Apply) { Method::POST } else { Method::GET };
    if *request.method() != wanted {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "that is not how it is asked for");
    }
    match route {
        Route::Fixed(kind, text) => with(StatusCode::OK, kind, text),
        Route::Events => live::stream(&served.board),
        Route::Review(task) => {
            let task = task.to_owned();
            json_of(blocking(move || data::review(&served, &task)).await)
        }
        Route::File { task, tip, file } => {
            let asked = data::Asked::new(task, tip, file, request.uri().query());
            match blocking(move || data::file(&served, &asked)).await {
                Ok(html) => with(StatusCode::OK, HTML, html),
                Err(error) => failed(&error),
            }
        }
        Route::Draft => match body(request).await {
            Ok(bytes) => json_of(blocking(move || data::keep(&served, &bytes)).await),
            Err((status, why)) => plain(status, why),
        },
        Route::Apply => match body(request).await {
            Ok(bytes) => json_of(blocking(move || data::apply(&served, &bytes)).await),
            Err((status, why)) => plain(status, why),
        },
    }
}

/// What is sent, where it is JSON and not too much. A page elsewhere cannot send JSON without being asked first.
async fn body(request: Request<Incoming>) -> Result<Bytes, (StatusCode, &'static str)> {
    let kind = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if kind.split(|byte| *byte == b';').next().is_none_or(|kind| kind.trim_ascii() != JSON.as_bytes()) {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "send JSON"));
    }
    match Limited::new(request.into_body(), LARGEST).collect().await {
        Ok(all) => Ok(all.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err((StatusCode::PAYLOAD_TOO_LARGE, "that is more than a review can be"))
        }
        Err(_) => Err((StatusCode::BAD_REQUEST, "it broke off")),
    }
}

/// Ops are plain functions that may block: each call has a thread.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(Error::new(ErrorKind::Error, format!("it broke: {error}"), "this is a bug of pleach: report it"))
    })
}

fn json_of(answered: Result<serde_json::Value, Error>) -> Answer {
    match answered {
        Ok(value) => with(StatusCode::OK, JSON, value.to_string()),
        Err(error) => failed(&error),
    }
}

fn failed(error: &Error) -> Answer {
    let status = match error.kind {
        ErrorKind::UnknownTask => StatusCode::NOT_FOUND,
        ErrorKind::Usage => StatusCode::BAD_REQUEST,
        ErrorKind::Refused => StatusCode::CONFLICT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let safe = |text: &str| text.lines().map(shown).collect::<Vec<_>>().join("\n");
    let value = json!({ "error": safe(&error.message), "hint": error.hint.as_deref().map(safe) });
    with(status, JSON, value.to_string())
}

fn plain(status: StatusCode, why: &'static str) -> Answer {
    with(status, JSON, json!({ "error": why }).to_string())
}

fn with(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()).boxed());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
