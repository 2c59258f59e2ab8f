//! `sandbox`.

use super::{Context, tell};
use crate::cli::args::SandboxArgs;
use crate::cli::style::{Paint, Style};
use crate::core::sandbox::Tier;
use crate::core::task::CommandLine;
use crate::core::word::{Word, shown};
use crate::ops::sandbox::{self, Wish};
use crate::ops::{Error, ErrorKind};

pub(super) fn sandbox(context: &Context, args: SandboxArgs) -> Result<u8, Error> {
    let session = context.strict_session()?;
    let command = CommandLine::from_words(args.command.into_iter().map(Word::from).collect());
    let command = command.ok_or_else(|| {
        Error::new(ErrorKind::Usage, "there is nothing to run", "say what: pleach sandbox -- sh -c 'touch ~/x'")
    })?;
    let asked = args.tier;
    let wish = Wish { command, tier: args.tier, network: args.network, read_only: args.read_only };
    let tried = sandbox::run(&session, &wish)?;
    if asked.is_none() && tried.tier != Tier::Full {
        let style = Style::of_stderr(context.color);
        let line = format!("it ran in the {} tier of the sandbox; see why with `pleach doctor`", tried.tier);
        tell(&format!("{} {line}", style.paint(Paint::Look, "warning:")));
    }
    for warning in &tried.warnings {
        let style = Style::of_stderr(context.color);
        tell(&format!("{} {}", style.paint(Paint::Look, "warning:"), shown(&warning.to_string())));
    }
    for line in tried.network.iter().flat_map(|network| network.lines()) {
        tell(&format!("pleach: network: {line}"));
    }
    Ok(tried.code)
}
