//! Unix sockets at paths of any length.
//!
//! The kernel takes 107 bytes of path. A longer one is reached through a descriptor of its directory.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

const LONGEST: usize = 100;

/// Listen for conversations. A socket that lies there from before is replaced: the caller holds the lock that says that
/// nobody else listens.
///
/// # Errors
/// Where the directory cannot be written.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    remove(path)?;
    through(path, UnixListener::bind)
}

/// Start a conversation.
///
/// # Errors
/// Where nobody listens.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    through(path, UnixStream::connect)
}

/// Listen for messages; see [`listen`].
///
/// # Errors
/// Where the directory cannot be written.
pub fn receive(path: &Path) -> io::Result<UnixDatagram> {
    remove(path)?;
    let socket = through(path, UnixDatagram::bind)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Send one message.
///
/// # Errors
/// Where nobody listens.
pub fn send(path: &Path, message: &[u8]) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    through(path, |path| socket.send_to(message, path)).map(drop)
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn through<T>(path: &Path, act: impl FnOnce(PathBuf) -> io::Result<T>) -> io::Result<T> {
    if path.as_os_str().as_bytes().len() <= LONGEST {
        return act(path.to_owned());
    }
    let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let dir = File::open(parent)?;
    act(PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_any_length_work() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(120)).join("e".repeat(120));
        std::fs::create_dir_all(&deep).unwrap();
        for path in [dir.path().join("s"), deep.join("s")] {
            let inbox = receive(&path).unwrap();
            send(&path, b"hello").unwrap();
            let mut buffer = [0; 16];
            assert_eq!(inbox.recv(&mut buffer).unwrap(), 5);
            drop(inbox);
            // A child that another test has just forked holds it, too, until it runs its program.
            assert!((0..1_000_000).any(|_| send(&path, b"nobody").is_err()));
            let _listener = listen(&path).unwrap();
            assert!(connect(&path).is_ok());
        }
    }
}
