//! `[notify]`: who is told when something happens. Only in the user's own file: it runs programs.

use super::lay::Told;
use super::{Origin, file};
use crate::core::notice::Kind;

/// Seconds of waiting after which a terminal is told of the end, where nothing else is said.
pub const DEFAULT_AFTER: u64 = 10;

/// Who is told when something happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// The terminal of who waits rings.
    pub bell: bool,
    /// It shows a notification.
    pub osc: bool,
    /// Seconds after which it does.
    pub after: u64,
    /// The desktop shows one.
    pub desktop: bool,
    /// It is posted to this address.
    pub webhook: Option<String>,
    /// This program is started with it on its standard input.
    pub command: Vec<String>,
    /// Of what the last three hear.
    pub events: Vec<Kind>,
}

impl Default for Notify {
    fn default() -> Self {
        let events = Kind::ALL.iter().map(|(_, kind)| *kind).collect();
        let (webhook, command) = (None, Vec::new());
        Self { bell: true, osc: false, after: DEFAULT_AFTER, desktop: false, webhook, command, events }
    }
}

impl Notify {
    /// Does anybody but a terminal hear of anything?
    pub fn is_heard(&self) -> bool {
        self.desktop || self.webhook.is_some() || !self.command.is_empty()
    }
}

/// Lay what a file says over what was said before.
pub(super) fn lay(notify: &mut Notify, said: file::Notify, told: &mut Told<'_>) {
    if said == file::Notify::default() {
        return;
    }
    if matches!(told.from, Origin::Repository(_)) {
        return told
            .refuse("notify", "[notify] can only be set in your own file (pleach/config.toml), not by a repository");
    }
    let is_address = |url: &String| {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        rest.is_some_and(|rest| !rest.is_empty()) && !url.contains(|c: char| c.is_control() || c == ' ')
    };
    if let Some(url) = said.webhook.as_ref().filter(|url| !url.is_empty() && !is_address(url)) {
        let what = format!("notify.webhook: {url:?} is no address: it begins with https:// or http://");
        return told.refuse("notify.webhook", what);
    }
    super::set(&mut notify.bell, said.bell);
    super::set(&mut notify.osc, said.osc);
    super::set(&mut notify.after, said.after.map(|after| after.0));
    super::set(&mut notify.desktop, said.desktop);
    super::set(&mut notify.webhook, said.webhook.map(|url| Some(url).filter(|url| !url.is_empty())));
    super::set(&mut notify.command, said.command);
    super::set(&mut notify.events, said.events.map(|events| events.into_iter().map(|kind| kind.0).collect()));
}
