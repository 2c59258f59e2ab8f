//! What a task can say of itself, from inside.

use super::{Error, ErrorKind};
use crate::config;
use crate::process::socket;
use crate::shim::watch::LARGEST_MESSAGE;
pub use crate::shim::watch::Message;

/// Tell the outside something.
///
/// # Errors
/// Where this is not inside a task, or what is said is too long.
pub fn tell(message: &Message) -> Result<(), Error> {
    let Some(inside) = config::env::inside() else {
        return Err(Error::new(
            ErrorKind::Usage,
            "this is not inside a task",
            "call it from the command that `pleach run` or `pleach add` runs",
        ));
    };
    let bytes = serde_json::to_vec(message).expect("messages are enums of strings and numbers");
    if bytes.len() > LARGEST_MESSAGE {
        let message = format!("that is longer than {} bytes", LARGEST_MESSAGE);
        return Err(Error::new(ErrorKind::Usage, message, "say less, and commit the rest as a file"));
    }
    socket::send(&inside.socket, &bytes)
        .map_err(|error| Error::plain(ErrorKind::Error, format!("the outside does not listen: {error}")))
}
