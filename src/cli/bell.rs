//! The terminal of who waits is told of the end: by its bell, and by a notification where that is set (`[notify]`).
#![expect(clippy::disallowed_methods, reason = "how long somebody waited is measured here")]

use std::io::{self, IsTerminal as _, Write};
use std::time::{Duration, Instant};

use crate::config::{Notify, env};
use crate::core::word::shown;
use crate::ops::Session;

/// Somebody waits from here on.
#[derive(Debug)]
pub(super) struct Bell {
    notify: Notify,
    began: Instant,
}

impl Bell {
    /// As it is set up; where that cannot be read, as by default.
    pub(super) fn new(session: &Session) -> Self {
        let notify = session.config().map(|config| config.notify.clone()).unwrap_or_default();
        Self { notify, began: Instant::now() }
    }

    /// It is over. Who did not wait long has not looked away.
    pub(super) fn ring(&self, words: &str) {
        if self.began.elapsed() >= Duration::from_secs(self.notify.after) {
            self.ring_at_once(words);
        }
    }

    /// It is over, however long it took.
    pub(super) fn ring_at_once(&self, words: &str) {
        if env::look().dumb {
            return;
        }
        let mut out = io::stderr();
        if out.is_terminal() {
            let _ = out.write_all(sequence(&self.notify, words, env::in_tmux()).as_bytes());
            let _ = out.flush();
        }
    }
}

/// What a terminal understands: OSC 9 (iTerm2, kitty, WezTerm, Windows Terminal) and OSC 777 (rxvt, foot, ghostty).
fn sequence(notify: &Notify, words: &str, in_tmux: bool) -> String {
    let mut text = String::new();
    if notify.osc {
        // A semicolon would end the title.
        let words = shown(words).replace(';', ",");
        for osc in [format!("\x1b]9;pleach: {words}\x07"), format!("\x1b]777;notify;pleach;{words}\x07")] {
            // tmux passes on what is wrapped so, with each escape twice.
            let wrapped = || format!("\x1bPtmux;{}\x1b\\", osc.replace('\x1b', "\x1b\x1b"));
            text.push_str(&if in_tmux { wrapped() } else { osc.clone() });
        }
    }
    if notify.bell {
        text.push('\x07');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_set_is_said_and_nothing_acts() {
        let none = Notify { bell: false, ..Notify::default() };
        assert_eq!(sequence(&none, "x", false), "");
        assert_eq!(sequence(&Notify::default(), "x", true), "\x07");
        let osc = Notify { osc: true, ..none };
        assert_eq!(
            sequence(&osc, "a;b\x1b]0;x\x07", false),
            "\x1b]9;pleach: a,b\\u{1b}]0,x\\u{7}\x07\x1b]777;notify;pleach;a,b\\u{1b}]0,x\\u{7}\x07"
        );
        assert!(sequence(&osc, "x", true).starts_with("\x1bPtmux;\x1b\x1b]9;pleach: x\x07\x1b\\"));
    }
}
