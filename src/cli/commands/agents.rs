//! `agents`, and what `add` and `run` say of an agent.

use std::io::{self, IsTerminal as _, Read as _, Write};
use std::path::Path;

use serde::Serialize;

use super::{Context, answer, print_json, tell};
use crate::cli::args::{Answer, SendArgs, TaskArgs};
use crate::cli::style::{Paint, Style};
use crate::ops::agents::{self, Listed, Wanted};
use crate::ops::{Error, ErrorKind, send};

/// Bytes of a prompt.
const LONGEST_PROMPT: u64 = 1 << 20;

/// All agents.
#[derive(Serialize)]
struct Agents {
    schema: u32,
    agents: Vec<Listed>,
}

pub(super) fn list(context: &Context, args: &Answer) -> Result<u8, Error> {
    let agents = agents::list(&context.strict_session()?)?;
    if args.json {
        return answer(|out| print_json(out, &Agents { schema: crate::core::report::SCHEMA, agents }));
    }
    answer(|out| table(out, &agents, &context.style()))
}

fn table(out: &mut dyn Write, agents: &[Listed], style: &Style) -> io::Result<()> {
    let width = agents.iter().map(|one| one.agent.name.len()).max().unwrap_or(0);
    for one in agents {
        let found = match (&one.program, &one.version) {
            (Some(_), Some(version)) => style.paint(Paint::Good, version.clone()),
            (Some(program), None) => style.paint(Paint::Good, program.display().to_string()),
            (None, _) => style.paint(Paint::Faint, "not found".to_owned()),
        };
        let tested = match (one.tested, one.from) {
            (Some(version), _) => format!("; seen to work: {version}"),
            (None, "built in") => "; nobody has tried it with pleach".to_owned(),
            (None, from) => format!("; set up by the {from}"),
        };
        let name = format!("{:width$}", one.agent.name);
        let kind = format!("{:11}", one.agent.kind);
        let tested = style.paint(Paint::Faint, tested).into_owned();
        let limited = one.limited.as_ref().map(|limited| format!("; {limited}")).unwrap_or_default();
        let tested = tested + &style.paint(Paint::Look, limited);
        writeln!(out, "{}  {kind}  {found}{tested}", style.paint(Paint::Strong, name))?;
    }
    Ok(())
}

pub(super) fn send(context: &Context, args: &SendArgs) -> Result<u8, Error> {
    let id = send::send(&context.session()?, &args.task, &args.message.join(" "))?;
    answer(|out| match args.json {
        true => print_json(out, &serde_json::json!({ "task": id, "result": "told" })),
        false => writeln!(out, "task {id} is told, behind what it is doing now"),
    })
}

/// What is said of an agent.
pub(super) fn wanted(task: &TaskArgs, is_inside: bool) -> Result<Option<Wanted>, Error> {
    let is_told = task.prompt.is_some() || task.prompt_file.is_some();
    let name = match (&task.agent, &task.role) {
        (Some(name), _) => name,
        (None, _) if !is_told => return Ok(None),
        // That of the role, which is looked up later.
        (None, Some(_)) => &String::new(),
        // That of the task that asks.
        (None, None) if is_inside => &String::new(),
        (None, None) => {
            let hint = "name it: --agent AGENT (see `pleach agents`), or --role ROLE (see `pleach roles`)";
            return Err(Error::new(ErrorKind::Usage, "nobody says which agent is told that", hint));
        }
    };
    let prompt = match (&task.prompt, &task.prompt_file) {
        (Some(text), _) => text.clone(),
        (None, Some(file)) => read(file)?,
        (None, None) => {
            let hint = "say it with --prompt TEXT, or --prompt-file FILE";
            return Err(Error::new(ErrorKind::Usage, format!("{name} is not told what to do"), hint));
        }
    };
    Ok(Some(Wanted {
        name: name.clone(),
        model: task.model.clone(),
        turns: task.max_turns,
        budget: task.budget.clone(),
        changes: task.changes,
        prompt: Some(prompt),
        ..Wanted::default()
    }))
}

fn read(file: &Path) -> Result<String, Error> {
    let cannot = |why: String| {
        let message = format!("cannot read the prompt {}: {why}", file.display());
        Error::new(ErrorKind::Usage, message, "name a file of UTF-8 text, or - for standard input")
    };
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        if io::stdin().is_terminal() {
            tell("reading the prompt from the terminal; end it with Ctrl-D");
        }
        io::stdin().lock().take(LONGEST_PROMPT + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(LONGEST_PROMPT + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| cannot(error.to_string()))?;
    if bytes.len() as u64 > LONGEST_PROMPT {
        return Err(cannot(format!("it has more than {} MiB", LONGEST_PROMPT >> 20)));
    }
    String::from_utf8(bytes).map_err(|_| cannot("it is not UTF-8 text".to_owned()))
}
