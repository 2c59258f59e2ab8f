//! `roles`, `approve --role`, and asking for a role that nobody has allowed.

use serde_json::json;

use super::{Context, answer, print_json, tell};
use crate::cli::args::{ApproveArgs, Color, RolesArgs, RolesVerb};
use crate::cli::style::{Paint, Style, count};
use crate::cli::{ask, roles_view};
use crate::ops::roles::{self, Chosen};
use crate::ops::{Error, ErrorKind, Session, approve};

pub(super) fn roles(context: &Context, args: &RolesArgs) -> Result<u8, Error> {
    let session = context.strict_session()?;
    let style = context.style();
    match &args.verb {
        None => {
            let list = roles::list(&session)?;
            answer(|out| if args.json { print_json(out, &list) } else { roles_view::list(out, &list, &style) })
        }
        Some(RolesVerb::Show(show)) => {
            let report = roles::show(&session, &show.role)?;
            let json = args.json || show.json;
            answer(|out| if json { print_json(out, &report) } else { roles_view::show(out, &report, &style) })
        }
    }
}

/// The role that somebody named for a task; they are asked where nobody has allowed it.
pub(super) fn choose(context: &Context, session: &Session, name: Option<&str>) -> Result<Option<Chosen>, Error> {
    let mut asked = |report: &_| ask::role(context.color, report);
    name.map(|name| roles::choose(session, name, None, &mut asked)).transpose()
}

/// One line where an agent runs without a role.
pub(super) fn warn(color: Color, line: Option<String>) {
    if let Some(line) = line {
        tell(&format!("{} {line}", Style::of_stderr(color).paint(Paint::Look, "warning:")));
    }
}

pub(super) fn approve(context: &Context, args: &ApproveArgs) -> Result<u8, Error> {
    let session = context.strict_session()?;
    let open = roles::pending(&session, &args.role)?;
    let style = Style::of_stderr(context.color);
    for (_, report) in open.iter().filter(|_| !args.json) {
        let mut text = Vec::new();
        let _ = roles_view::details(&mut text, report, &style);
        tell(String::from_utf8_lossy(&text).trim_end());
    }
    let wanted: Vec<_> = open.iter().map(|(wanted, _)| wanted.clone()).collect();
    if !open.is_empty() && !args.yes && !ask::whether("Approve this, for as long as it says the same? [y/N] ")? {
        let hint = "approve it with `pleach approve --yes --role NAME`";
        return Err(Error::new(ErrorKind::Refused, "nothing was approved", hint));
    }
    approve::approve(&wanted)?;
    if args.json {
        let approved: Vec<_> = wanted.iter().map(|one| json!({ "what": one.what, "text": one.text })).collect();
        return answer(|out| print_json(out, &json!({ "approved": approved })));
    }
    answer(|out| match open.len() {
        0 => writeln!(out, "there is nothing that needs approval"),
        some => writeln!(out, "approved {}; a change of its text asks again", count(some as u64, "role")),
    })
}
