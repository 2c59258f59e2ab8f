//! What a proxy has seen, for whoever tells of it: each new denial rings a bell.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

use crate::core::sandbox::traffic::{Denied, Traffic, Why};

/// The account of one attempt; every command of it adds to it.
#[derive(Debug)]
pub struct Book {
    pages: Mutex<Pages>,
    bell: UnixStream,
}

#[derive(Debug, Default)]
struct Pages {
    traffic: Traffic,
    fresh: Vec<Denied>,
}

impl Book {
    /// An empty one, and where a byte comes when something new was denied.
    ///
    /// # Errors
    /// Where the system has no sockets left.
    pub fn open() -> io::Result<(Arc<Self>, UnixStream)> {
        let (bell, ear) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        ear.set_nonblocking(true)?;
        Ok((Arc::new(Self { pages: Mutex::default(), bell }), ear))
    }

    /// All of it, as it is now.
    pub fn traffic(&self) -> Traffic {
        self.with(|pages| pages.traffic.clone())
    }

    /// What was denied for the first time since this was asked last.
    pub fn fresh(&self) -> Vec<Denied> {
        self.with(|pages| std::mem::take(&mut pages.fresh))
    }

    pub(super) fn deny(&self, to: &str, why: Why) {
        let is_new = self.with(|pages| {
            let new = pages.traffic.deny(to, why);
            let is_new = new.is_some();
            pages.fresh.extend(new);
            is_new
        });
        if is_new {
            // Where it is full it has rung already.
            let _ = (&self.bell).write(b"!");
        }
    }

    pub(super) fn count(&self, add: impl FnOnce(&mut Traffic)) {
        self.with(|pages| add(&mut pages.traffic));
    }

    fn with<T>(&self, look: impl FnOnce(&mut Pages) -> T) -> T {
        look(&mut self.pages.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
