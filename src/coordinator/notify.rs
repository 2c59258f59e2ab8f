//! Telling who does not look: the desktop, a web address, any program, as the user's own file says (`[notify]`).
//!
//! A thread of its own does it, so that nothing that hangs there keeps a task waiting. What is lost with a coordinator
//! that is killed is not told again: a notice is a courtesy, and the journal is the truth.

use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::log;
use crate::config::{Config, Notify};
use crate::core::event::Event;
use crate::core::notice::{self, Notice};
use crate::core::state::State;
use crate::core::word::shown;
use crate::git::Repository;
use crate::process::{Tool, clock};

/// How often it is looked whether a program has ended, and how many times: half a minute in all.
const LOOK: (Duration, u32) = (Duration::from_millis(50), 600);

/// Tells of what happens.
pub(super) struct Notifier {
    repository: String,
    tell: Option<Sender<(Notify, Notice)>>,
    /// What is not told yet.
    open: Arc<AtomicUsize>,
    /// Somebody is still to be told when all is done.
    is_busy: bool,
    make: Option<Receiver<(Notify, Notice)>>,
}

impl Notifier {
    pub(super) fn new(repository: &Repository) -> Self {
        let (tell, make) = channel();
        let common = repository.common_dir();
        // People know a repository by its checkout.
        let place = if common.ends_with(".git") { common.parent().unwrap_or(common) } else { common };
        let repository = place.to_string_lossy().into_owned();
        Self { repository, tell: Some(tell), open: Arc::default(), is_busy: false, make: Some(make) }
    }

    /// This happened, and this is the state after it.
    pub(super) fn happened(&mut self, event: &Event, state: &State) {
        let began = matches!(event, Event::Started { .. } | Event::Withdrawn { .. } | Event::FoldRequested { .. });
        self.is_busy |= began;
        if !notice::is_of_interest(event) {
            return;
        }
        self.is_busy = true;
        if let Some(notify) = heard()
            && let Some(notice) = notice::of(state, event, &self.repository, clock::now())
        {
            self.tell(notify, notice);
        }
    }

    /// Nothing more follows from what happened.
    pub(super) fn rests(&mut self, state: &State) {
        if self.is_busy && !state.has_work() {
            self.is_busy = false;
            if let Some(notify) = heard() {
                self.tell(notify, notice::done(state, &self.repository, clock::now()));
            }
        }
    }

    /// Is everybody told?
    pub(super) fn is_idle(&self) -> bool {
        self.open.load(Ordering::SeqCst) == 0
    }

    fn tell(&mut self, notify: Notify, notice: Notice) {
        if !notice.is_for(&notify.events) {
            return;
        }
        if let Some(notices) = self.make.take() {
            let (open, place) = (Arc::clone(&self.open), self.repository.clone());
            std::thread::spawn(move || {
                for (notify, notice) in notices {
                    tell(&notify, &notice, &place);
                    open.fetch_sub(1, Ordering::SeqCst);
                }
            });
        }
        self.open.fetch_add(1, Ordering::SeqCst);
        if let Some(tell) = &self.tell
            && tell.send((notify, notice)).is_err()
        {
            self.tell = None;
            self.open.store(0, Ordering::SeqCst);
        }
    }
}

/// Who is told, as it is set now; none where nobody is. A file that cannot be read is told by every command; here nobody
/// would see it.
fn heard() -> Option<Notify> {
    Config::load(None).ok().map(|config| config.notify).filter(Notify::is_heard)
}

fn tell(notify: &Notify, notice: &Notice, place: &str) {
    let json = serde_json::to_vec(notice).expect("a notice is a struct of strings and numbers");
    for (name, tool, input) in tools(notify, notice, json) {
        if let Err(error) = run(tool.dir(place).env("PLEACH_EVENT", notice.event.as_str()), &input) {
            log(&format!("cannot notify by {name}: {error}"));
        }
    }
}

fn tools(notify: &Notify, notice: &Notice, json: Vec<u8>) -> Vec<(String, Tool, Vec<u8>)> {
    let mut all = Vec::new();
    if notify.desktop {
        let tool = Tool::new("notify-send").args(["--app-name=pleach", "--", "pleach", &notice.text]);
        all.push(("notify-send".to_owned(), tool, Vec::new()));
    }
    if let Some(url) = &notify.webhook {
        // The address may hold a secret, and arguments can be seen by everybody.
        let tool = Tool::new("curl").args(["--config", "-"]);
        all.push(("webhook (curl)".to_owned(), tool, curl(url, &json).into_bytes()));
    }
    if let Some((program, args)) = notify.command.split_first() {
        let mut line = json;
        line.push(b'\n');
        // Its arguments may hold a secret.
        all.push((format!("command {}", shown(program)), Tool::new(program).args(args), line));
    }
    all
}

/// What curl is to do, in the language of its configuration.
fn curl(url: &str, json: &[u8]) -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let body = quoted(&String::from_utf8_lossy(json));
    format!(
        "silent\nshow-error\nfail\nmax-time = 20\nproto = \"=http,https\"\noutput = \"/dev/null\"\nurl = \"{}\"\n\
         header = \"content-type: application/json\"\ndata-raw = \"{body}\"\n",
        quoted(url)
    )
}

/// Run it to its end, or until it has taken too long.
fn run(tool: Tool, input: &[u8]) -> Result<(), String> {
    let tool = tool.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = tool.spawn().map_err(|error| error.words())?;
    if let Some(mut pipe) = child.stdin.take() {
        let bytes = input.to_vec();
        // Who does not read must not keep us.
        std::thread::spawn(move || drop(pipe.write_all(&bytes)));
    }
    for _ in 0..LOOK.1 {
        match child.try_wait() {
            Ok(None) => std::thread::sleep(LOOK.0),
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("it ended with {status}")),
            Err(error) => return Err(error.to_string()),
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    Err("it took more than half a minute, and was ended".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_curl_reads_cannot_end_its_own_quotes() {
        let text = curl("https://x/?a=\"b", br#"{"text":"a \"b\" \n c"}"#);
        assert!(text.contains(r#"url = "https://x/?a=\"b""#), "{text}");
        assert!(text.ends_with(concat!(r#"data-raw = "{\"text\":\"a \\\"b\\\" \\n c\"}""#, "\n")), "{text}");
    }
}
