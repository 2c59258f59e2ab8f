//! `hook`: what the hooks of other agents call.
//!
//! Whatever goes wrong, the exit code is 1: with 2, an agent takes a complaint for a reason to go on.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use super::{Context, answer, fail};
use crate::cli::args::{HookDoneArgs, HookEventArgs, HookVerb};
use crate::ops::hook::{self, Caller, Event};
use crate::ops::{Error, ErrorKind};

pub(super) fn hook(context: &Context, verb: &HookVerb) -> Result<u8, Error> {
    let done = match verb {
        HookVerb::Claude(args) => event(context, Caller::Claude, args),
        HookVerb::Codex(args) => event(context, Caller::Codex, args),
        HookVerb::Kiro(args) => event(context, Caller::Kiro, args),
        HookVerb::Done(args) => return self::done(context, args),
    };
    done.or_else(|error| {
        let _ = fail(context.color, false, &error);
        Ok(1)
    })
}

fn event(context: &Context, caller: Caller, args: &HookEventArgs) -> Result<u8, Error> {
    let event = args.event.as_deref().map(known).transpose()?;
    if io::stdin().is_terminal() {
        let message = "this is told in JSON on its standard input what happened, by the hooks of an agent";
        return Err(Error::new(ErrorKind::Usage, message, "have them set up with `pleach init --agent claude`"));
    }
    let text = hook::answer(&context.directory, caller, event, io::stdin(), Duration::from_secs(args.timeout))?;
    match text.is_empty() {
        true => Ok(0),
        false => answer(|out| writeln!(out, "{text}")),
    }
}

fn known(word: &str) -> Result<Event, Error> {
    let found = Event::ALL.iter().find(|(known, _)| *known == word);
    found.map(|(_, event)| *event).ok_or_else(|| {
        let all: Vec<&str> = Event::ALL.iter().map(|(known, _)| *known).collect();
        let message = format!("{word:?} is no event that anything is done for");
        Error::new(ErrorKind::Usage, message, format!("it is one of {}", all.join(", ")))
    })
}

fn done(context: &Context, args: &HookDoneArgs) -> Result<u8, Error> {
    let mut session = context.session()?;
    let told = hook::done(&mut session, &args.tasks, Duration::from_secs(args.timeout))?;
    answer(|out| told.iter().try_for_each(|line| writeln!(out, "{line}")))
}
