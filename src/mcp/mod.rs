//! `pleach mcp`: other programs' agents hand tasks to us over the Model Context Protocol. Calls in, JSON out.
//!
//! - [`tools`]: what can be called, with schemas that any model's maker accepts. [`args`]: their arguments.
//! - [`delegate`], [`look`], [`page`], [`act`], [`waiting`]: what they do, each a thin layer over one of [`ops`](crate::ops).
//! - [`answer`]: what they say: the same as structured content and as short text.
//!
//! - [`tasks`]: for a client that can, a call that waits answers at once, and is asked about.
//! - [`http`]: the same for clients that start no programs.
//!
//! The server keeps nothing: a task is named by its id, which outlives it, and every call opens the repository anew.
//! This module alone knows `rmcp`. Left to others: what a client's configuration says of us is [`register`](crate::ops::register).

mod act;
mod answer;
mod args;
mod delegate;
pub mod http;
mod look;
mod page;
mod roles;
mod tasks;
mod tools;
mod waiting;

use std::path::PathBuf;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, ContentBlock, CreateTaskResult,
    GetTaskParams, GetTaskResult, Implementation, ListToolsResult, PaginatedRequestParams, ProgressNotificationParam,
    ServerCapabilities, ServerConfig, UpdateTaskParams,
};
use rmcp::service::{RequestContext, ServerInitializeError};
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt as _};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::ops::{Error, ErrorKind, Session};
use answer::Answer;
use tasks::Instead;

/// What a client is told of us before it calls anything.
const INSTRUCTIONS: &str = "Runs commands and agents as parallel tasks, each in a git worktree and sandbox of its own, on committed \
    files (commit first what a task has to see). delegate_task or delegate_batch start them and return at once; delegate_wait waits a \
    bounded time (call it again while timed_out); delegate_result and delegate_diff show what came of them; delegate_merge folds a \
    result into its branch, delegate_discard drops it. Tasks go on when a call, a client or this server ends.";

/// The same for a client that works in a task itself.
const INSTRUCTIONS_INSIDE: &str = "You work inside a task. Runs commands and agents as tasks of this one, in parallel, each in a git \
    worktree and sandbox of its own, from the commit that this task started from. delegate_task or delegate_batch start them and return \
    at once; delegate_wait waits a bounded time (call it again while timed_out); delegate_result and delegate_diff show what came of \
    them. Take over what is good with `pleach diff ID | git apply`, or git cherry-pick of its commits: where results land is not for a \
    task to say.";

/// How the server is started.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it stands: the repository of this directory is worked in.
    pub directory: PathBuf,
    /// The line for `sh -c` that does what a `prompt` asks, which it reads on its standard input.
    pub agent: Option<String>,
    /// The role of whoever calls: it says to which roles tasks may be handed.
    pub role: Option<String>,
}

/// Serve on standard input and output, until the client goes.
///
/// # Errors
/// Where the runtime cannot be made, or what comes in is not the protocol.
pub fn serve(settings: Settings) -> Result<(), Error> {
    let broken = |error: String| {
        Error::new(ErrorKind::Error, format!("the conversation broke: {error}"), "is an MCP client at the other end?")
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| broken(error.to_string()))?;
    let ended = runtime.block_on(async {
        let service = match (Server { settings }).serve(rmcp::transport::io::stdio()).await {
            Ok(service) => service,
            // Whoever was there said nothing, and is gone.
            Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
            Err(error) => return Err(broken(error.to_string())),
        };
        service.waiting().await.map(drop).map_err(|error| broken(error.to_string()))
    });
    // A wait that nobody hears any more must not keep us.
    runtime.shutdown_background();
    ended
}

/// Answers one client.
struct Server {
    settings: Settings,
}

/// One call: where it works, and whether anybody still waits for it.
struct Call {
    settings: Settings,
    is_given_up: Box<dyn Fn() -> bool + Send>,
    told: mpsc::UnboundedSender<Step>,
}

/// How far a call is.
struct Step {
    done: f64,
    total: f64,
    text: String,
}

impl Call {
    fn session(&self) -> Result<Session, Error> {
        Session::open(&self.settings.directory)
    }

    /// For what a task may do, too, to tasks of its own.
    fn delegating(&self) -> Result<Session, Error> {
        let session = self.session()?;
        if session.is_inside() { Ok(session) } else { self.changing() }
    }

    /// For what changes something else.
    fn changing(&self) -> Result<Session, Error> {
        match crate::config::env::inside() {
            None => self.session(),
            Some(inside) => Err(Error::new(
                ErrorKind::Inside,
                format!("this server was started inside task {}, and that is not for a task to ask for", inside.task),
                "leave it to whoever started that task; it may delegate_task, and see to tasks of its own",
            )),
        }
    }

    /// Tell the client how far this is; nobody minds where it did not ask.
    fn tell(&self, done: f64, total: f64, text: String) {
        let _ = self.told.send(Step { done, total, text });
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let mut info = ServerConfig::new(ServerCapabilities::builder().enable_tools().enable_tasks().build());
        info.server_info = Implementation::new("pleach", env!("CARGO_PKG_VERSION"));
        let is_inside = crate::config::env::inside().is_some();
        info.instructions = Some(if is_inside { INSTRUCTIONS_INSIDE } else { INSTRUCTIONS }.to_owned());
        info
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let is_inside = Session::open(&self.settings.directory).is_ok_and(|session| session.is_inside());
        let offered = tools::ALL.iter().filter(|tool| !is_inside || tool.is_for_tasks());
        Ok(ListToolsResult::with_all_items(offered.map(|tool| tool.described()).collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = tools::ALL.iter().find(|tool| tool.name == request.name) else {
            return Err(ErrorData::invalid_params(format!("there is no tool {}; see tools/list", request.name), None));
        };
        let (call, mut steps) = self.call(&context);
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        let can_ask_later = context.client_capabilities().is_some_and(|known| known.supports_tasks());
        // Ops are plain functions that may block: each call has a thread.
        let mut work = tokio::task::spawn_blocking(move || {
            let instead = if can_ask_later { tasks::instead(&call, tool.name, &arguments)? } else { Instead::Nothing };
            match instead {
                Instead::Nothing => (tool.run)(&call, arguments).map(Instead::Answer),
                other => Ok(other),
            }
        });
        let ended = loop {
            tokio::select! {
                ended = &mut work => break ended,
                Some(step) = steps.recv() => progress(&context, step).await,
            }
        };
        Ok(match ended.unwrap_or_else(|error| Err(broke(&error))) {
            Ok(Instead::Task(task)) => CallToolResponse::Task(CreateTaskResult::new(task)),
            Ok(Instead::Answer(answer)) => result(Ok(answer)).into(),
            // Each tool says something.
            Ok(Instead::Nothing) => result(Ok(Answer::new("", Value::Null))).into(),
            Err(error) => result(Err(error)).into(),
        })
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        self.look(&context, move |call| tasks::get(call, &request.task_id)).await.map(GetTaskResult::new)
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.look(&context, move |call| tasks::update(call, &request.task_id)).await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.look(&context, move |call| tasks::cancel(call, &request.task_id)).await
    }
}

impl Server {
    /// One call, and what it tells on the way.
    fn call(&self, context: &RequestContext<RoleServer>) -> (Call, mpsc::UnboundedReceiver<Step>) {
        let (told, steps) = mpsc::unbounded_channel();
        let given_up = context.ct.clone();
        let is_given_up = Box::new(move || given_up.is_cancelled());
        (Call { settings: self.settings.clone(), is_given_up, told }, steps)
    }

    /// Do something about a task of the protocol, on a thread of its own. What cannot be done is an error of the protocol there.
    async fn look<T: Send + 'static>(
        &self,
        context: &RequestContext<RoleServer>,
        act: impl FnOnce(&Call) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, ErrorData> {
        let (call, _steps) = self.call(context);
        let ended = tokio::task::spawn_blocking(move || act(&call)).await;
        ended.unwrap_or_else(|error| Err(broke(&error))).map_err(|error| {
            let answer = Answer::of_error(&error);
            match error.kind {
                ErrorKind::Error => ErrorData::internal_error(answer.text, Some(answer.value)),
                _ => ErrorData::invalid_params(answer.text, Some(answer.value)),
            }
        })
    }
}

fn broke(error: &tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Error, format!("the call broke: {error}"), "this is a bug of pleach: report it")
}

/// Pass on how far a call is, where the client gave a token to do so under.
async fn progress(context: &RequestContext<RoleServer>, step: Step) {
    let Some(token) = context.meta.get_progress_token() else { return };
    let news = ProgressNotificationParam::new(token, step.done).with_total(step.total).with_message(step.text);
    // Where the client is gone, the loop of the service ends by itself.
    let _ = context.peer.notify_progress(news).await;
}

fn result(answered: Result<Answer, Error>) -> CallToolResult {
    let (answer, is_error) = match answered {
        Ok(answer) => (answer, false),
        Err(error) => (Answer::of_error(&error), true),
    };
    let mut result = CallToolResult::success(vec![ContentBlock::text(answer.text)]);
    result.is_error = Some(is_error);
    result.structured_content = Some(answer.value);
    result
}
