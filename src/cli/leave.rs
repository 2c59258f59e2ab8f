//! Ctrl-C while somebody waits for what others do, and what goes on without them: they are told so.

use std::io::{self, IsTerminal as _};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use super::commands::tell;

/// As long as this is there, Ctrl-C says what goes on, and ends us.
pub(super) struct GoesOn(Option<Handle>);

/// Who listens to signals already?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// Nobody: all but Ctrl-C do what they did.
    Nobody,
    /// A view has, and listens no more: they are to end us again.
    View,
}

impl GoesOn {
    /// These are on their way into their branch.
    pub(super) fn fold(tasks: &[String], before: Before) -> Self {
        let signals = match before {
            Before::Nobody => Signals::new([SIGINT]),
            Before::View => Signals::new([SIGINT, SIGTERM, SIGHUP]),
        };
        // Without it Ctrl-C ends us as ever.
        let Ok(mut signals) = signals else { return Self(None) };
        let handle = signals.handle();
        let tasks = tasks.join(" ");
        std::thread::spawn(move || {
            // None comes where it is over before.
            let Some(signal) = signals.forever().next() else { return };
            if signal == SIGINT {
                if io::stderr().is_terminal() {
                    tell("");
                }
                tell(&format!(
                    "the merge goes on without you: `pleach queue` shows it, `pleach queue remove {tasks}` takes it back out"
                ));
            }
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        });
        Self(Some(handle))
    }
}

impl Drop for GoesOn {
    fn drop(&mut self) {
        if let Some(handle) = self.0.take() {
            handle.close();
        }
    }
}
