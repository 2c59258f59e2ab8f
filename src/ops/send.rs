//! Saying something to an agent that is at work.

use super::{Error, ErrorKind, Session, find};
use crate::core::agent::Kind;
use crate::core::id::{TaskHandle, TaskId};
use crate::core::state::TaskState;
use crate::process::socket;
use crate::shim::watch::{LARGEST_MESSAGE, SAY};

/// Say something to the agent of a running task. It is told behind what it is doing now.
///
/// # Errors
/// Where the task is unknown or does not run, or nobody can speak with its agent.
pub fn send(session: &Session, task: &TaskHandle, message: &str) -> Result<TaskId, Error> {
    let state = session.state()?;
    let task = find(&state, std::slice::from_ref(task))?[0];
    let id = task.id;
    let refuse = |message: String, hint: &str| Err(Error::new(ErrorKind::Refused, message, hint));
    let Some(assigned) = &task.spec.agent else {
        return refuse(
            format!("task {id} runs a command, which hears nothing"),
            "an agent can be spoken with that is of kind acp in `pleach agents`",
        );
    };
    if assigned.agent.kind != Kind::Acp {
        let message =
            format!("nobody can speak with {} while it works: it hears its prompt alone", assigned.agent.name);
        return refuse(
            message,
            "use an agent that speaks the Agent Client Protocol: those of kind acp in `pleach agents`",
        );
    }
    let (TaskState::Running { cancel: None }, Some(attempt)) = (&task.state, task.last_attempt()) else {
        return refuse(format!("task {id} is not running"), "see where it stands with `pleach status`");
    };
    if message.trim().is_empty() || SAY.len() + message.len() > LARGEST_MESSAGE {
        let message = format!("a message has 1 to {} bytes", LARGEST_MESSAGE - SAY.len());
        return Err(Error::new(
            ErrorKind::Usage,
            message,
            "say it in fewer words, or name a committed file that says it",
        ));
    }
    let layout = session.layout().ok_or_else(|| Error::plain(ErrorKind::Error, "nothing was ever run here"))?;
    let told = socket::send(&layout.attempt(attempt).control(), &[SAY, message.as_bytes()].concat());
    told.map_err(|error| {
        let message = format!("task {id} cannot be reached: {error}");
        Error::new(ErrorKind::Refused, message, "it is just starting or ending; see with `pleach status`")
    })?;
    Ok(id)
}
