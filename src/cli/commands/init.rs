//! `init`: set a repository up.

use super::{Context, answer, print_json, tell};
use crate::cli::args::InitArgs;
use crate::cli::ask;
use crate::core::word::shown;
use crate::ops::init::{self, Action, Plan};
use crate::ops::register::Client;
use crate::ops::{Error, ErrorKind};

pub(super) fn init(context: &Context, args: &InitArgs) -> Result<u8, Error> {
    let agents = agents(context, args)?;
    let plan = init::plan(&context.directory, &agents)?;
    if !args.print {
        init::write(&plan)?;
    }
    if args.json {
        let value = serde_json::json!({ "printed": args.print, "files": plan.files });
        return answer(|out| print_json(out, &value));
    }
    if args.print { print(&plan) } else { told(&plan, args.agents.is_empty() && agents.is_empty()) }
}

/// Those that were named, else those that somebody at a terminal says, else none.
fn agents(context: &Context, args: &InitArgs) -> Result<Vec<Client>, Error> {
    let mut named: Vec<Client> = args.agents.iter().flatten().copied().collect();
    if args.agents.contains(&None) && !named.is_empty() {
        let message = "none, and an agent beside it, make no sense together";
        return Err(Error::new(ErrorKind::Usage, message, "leave out one of the two"));
    }
    if args.agents.is_empty() && !args.json && !args.print {
        let known: Vec<&str> = init::guess(&context.directory).into_iter().map(word).collect();
        let likely = if known.is_empty() { "none".to_owned() } else { known.join(" ") };
        let all: Vec<&str> = Client::ALL.iter().map(|(word, _)| *word).collect();
        let question = format!("Which agents delegate here ({}, or none)? [{likely}] ", all.join(", "));
        if let Some(said) = ask::words(&question)? {
            let said = if said.is_empty() { likely } else { said };
            for one in said.split([' ', ',']).filter(|one| !one.is_empty() && *one != "none") {
                let found = Client::ALL.iter().find(|(word, _)| *word == one).map(|(_, client)| *client);
                named.push(found.ok_or_else(|| {
                    let message = format!("{} is no agent that is known here; nothing was changed", shown(one));
                    Error::new(ErrorKind::Usage, message, format!("name some of {}", all.join(", ")))
                })?);
            }
        }
    }
    let mut once = Vec::new();
    named.into_iter().for_each(|one| {
        if !once.contains(&one) {
            once.push(one)
        }
    });
    Ok(once)
}

fn word(client: Client) -> &'static str {
    Client::ALL.iter().find(|(_, known)| *known == client).map_or("", |(word, _)| word)
}

fn print(plan: &Plan) -> Result<u8, Error> {
    for step in plan.files.iter().filter(|step| step.text.is_none()) {
        let why = step.why.as_deref().unwrap_or("it is as it should be");
        tell(&format!("{}: left alone, {why}", step.file.display()));
    }
    let change = |step: &init::Step| Some((step.file.display().to_string(), step.text.clone()?));
    let changes: Vec<(String, String)> = plan.files.iter().filter_map(change).collect();
    answer(|out| changes.iter().try_for_each(|(file, text)| writeln!(out, "==> {file} <==\n{}\n", text.trim_end())))
}

fn told(plan: &Plan, is_nobody: bool) -> Result<u8, Error> {
    let is_new = plan.files.iter().any(|step| step.action == Action::Write);
    let line = |step: &init::Step| {
        let done = match step.action {
            Action::Write => "wrote",
            Action::Unchanged => "unchanged",
            Action::Keep => "kept",
        };
        let why = step.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        format!("{done:<10} {}: {}{why}", step.file.display(), step.what)
    };
    let lines: Vec<String> = plan.files.iter().map(line).collect();
    answer(|out| {
        lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        if !is_new { writeln!(out, "nothing to do: all is as it was") } else { Ok(()) }
    })?;
    if is_nobody {
        tell("no agent was named: `pleach init --agent claude` sets one up");
    } else if is_new {
        tell("look at it with `git diff`, and commit it: tasks see committed files only");
    }
    Ok(0)
}
