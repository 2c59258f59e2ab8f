//! Roles as text: all of them, one in full, and what somebody is shown who is asked.

use std::io::{self, Write};

use super::style::{Paint, Style, pad};
use crate::core::report::roles::{RoleList, RoleReport, RoleRow};
use crate::core::role::frozen::Allowed;
use crate::core::sandbox::{Network, Policy};
use crate::core::task::quote;
use crate::core::units::Bytes;
use crate::core::word::{Word, shown};

/// Characters of a hash that are enough for people.
const SHORT: usize = 12;

/// All of them.
///
/// # Errors
/// Where `out` cannot be written to.
pub fn list(out: &mut dyn Write, list: &RoleList, style: &Style) -> io::Result<()> {
    if list.roles.is_empty() && list.broken.is_empty() {
        return writeln!(out, "there are no roles yet: write .pleach/roles/NAME.toml, or see docs/roles.md");
    }
    let name = list.roles.iter().map(|row| row.name.as_str().chars().count()).max().unwrap_or(0);
    let source = list.roles.iter().map(|row| row.source.len()).max().unwrap_or(0);
    for row in &list.roles {
        let (paint, state) = state(row);
        let title = style.paint(Paint::Strong, pad(&shown(row.name.as_str()), name)).into_owned();
        let state = style.paint(paint, format!("{state:<12}"));
        writeln!(out, "{title}  {}  {state}  {}", pad(&row.source, source), shown(first_line(&row.description)))?;
        if !row.may.is_empty() {
            writeln!(out, "{}  {}", pad("", name), style.paint(Paint::Faint, shown(&row.may.join("; "))))?;
        }
    }
    for broken in &list.broken {
        let line = broken.line.map(|line| format!(":{line}")).unwrap_or_default();
        let words = format!("{}{line}: {}", broken.file.shown(), shown(&broken.problem));
        writeln!(out, "{} {words}", style.paint(Paint::Bad, "no role:"))?;
    }
    Ok(())
}

fn first_line(text: &str) -> &str {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default()
}

fn state(row: &RoleRow) -> (Paint, &'static str) {
    match (&row.shadowed_by, row.available, row.allowed) {
        (Some(_), ..) => (Paint::Faint, "shadowed"),
        (_, false, _) => (Paint::Faint, "unavailable"),
        (_, _, None) => (Paint::Look, "not approved"),
        (_, _, Some(Allowed::Own)) => (Paint::Good, "your own"),
        (_, _, Some(Allowed::Trusted)) => (Paint::Good, "trusted"),
        (_, _, Some(_)) => (Paint::Good, "approved"),
    }
}

/// One in full.
///
/// # Errors
/// Where `out` cannot be written to.
pub fn show(out: &mut dyn Write, report: &RoleReport, style: &Style) -> io::Result<()> {
    details(out, report, style)?;
    if let Some(by) = &report.row.shadowed_by {
        field(
            out,
            "shadowed",
            &format!("the role of that name is the one of {by}; this one is {}", address(&report.row)),
        )?;
    }
    let state = match report.row.allowed {
        Some(allowed) => allowed.as_str().to_owned(),
        None => {
            format!(
                "not approved: `pleach approve --role {}`, or [roles] trusted in your own file",
                address(&report.row)
            )
        }
    };
    field(out, "allowed", &state)?;
    writeln!(out, "\n{}", style.paint(Paint::Strong, "what the sandbox of its tasks is told"))?;
    policy(out, &report.policy)
}

/// What one types to mean it, also where another one has its name.
fn address(row: &RoleRow) -> String {
    match row.shadowed_by {
        Some(_) => quote(&format!("{}:{}", row.source, row.name)),
        None => quote(row.name.as_str()),
    }
}

/// What it is, its tools, what it reads, what it may: what somebody has to know who is asked.
///
/// # Errors
/// Where `out` cannot be written to.
pub fn details(out: &mut dyn Write, report: &RoleReport, style: &Style) -> io::Result<()> {
    let (row, role) = (&report.row, &report.role);
    writeln!(out, "{}", style.paint(Paint::Strong, format!("role {}", shown(row.name.as_str()))))?;
    field(out, "what", &shown(first_line(&row.description)))?;
    field(out, "from", &format!("{} ({})", row.file.shown(), row.source))?;
    field(out, "content", row.hash.get(..SHORT).unwrap_or(&row.hash))?;
    let agent = role.agent.iter().chain(&role.model).map(|word| shown(word)).collect::<Vec<_>>().join(", ");
    field(out, "agent", &agent)?;
    let tools = role.tools.as_ref().map_or("all of its agent".to_owned(), |tools| words(tools));
    field(out, "tools", &tools)?;
    field(out, "unasked", &words(&role.allowed_tools))?;
    field(out, "without", &words(&role.disallowed_tools))?;
    field(out, "handed on", &words(&report.told))?;
    let untold = words(&report.untold);
    if !untold.is_empty() {
        field(out, "not told", &format!("its agent cannot be told to leave these alone: {untold}"))?;
    }
    field(out, "resources", &words(&role.resources))?;
    for line in &row.may {
        field(out, "may", &shown(line))?;
    }
    let limits = [
        role.timeout.map(|seconds| format!("at most {seconds} s")),
        role.retries.map(|times| format!("{times} retries")),
    ];
    field(out, "limits", &limits.into_iter().flatten().collect::<Vec<_>>().join(", "))?;
    let env: Vec<String> = role.env.iter().map(|(name, value)| shown(&format!("{name}={value}"))).collect();
    field(out, "variables", &env.join(" "))?;
    for line in role.prompt.trim().lines() {
        field(out, "told", &shown(line))?;
    }
    for note in &report.notes {
        field(out, "note", &shown(&format!("{}: {}", note.key, note.about)))?;
    }
    for line in &report.refused {
        field(out, "refused", &shown(line))?;
    }
    Ok(())
}

fn policy(out: &mut dyn Write, policy: &Policy) -> io::Result<()> {
    let list = |words: &[Word]| words.iter().map(Word::shown).collect::<Vec<_>>().join(", ");
    field(out, "tier", &policy.tier.map_or("the best that works".to_owned(), |tier| tier.to_string()))?;
    field(out, "worktree", if policy.read_only { "cannot be written" } else { "written" })?;
    field(
        out,
        "network",
        &match &policy.network {
            Network::None => "nobody".to_owned(),
            Network::Allow => "everybody".to_owned(),
            Network::List(rules) => rules.iter().map(|rule| String::from(rule.clone())).collect::<Vec<_>>().join(", "),
        },
    )?;
    field(
        out,
        "runs",
        &policy.exec.as_ref().map_or("anything".to_owned(), |exec| match exec.is_empty() {
            true => "nothing".to_owned(),
            false => list(exec),
        }),
    )?;
    field(out, "writes", &list(&policy.write))?;
    field(out, "reads", &list(&policy.read))?;
    field(out, "hidden", &list(&policy.hide))?;
    field(out, "memory", &policy.memory.map(|memory| Bytes(memory).to_string()).unwrap_or_default())?;
    field(out, "processes", &policy.processes.map(|number| number.to_string()).unwrap_or_default())
}

fn words(words: &[String]) -> String {
    words.iter().map(|word| shown(word)).collect::<Vec<_>>().join(", ")
}

fn field(out: &mut dyn Write, name: &str, value: &str) -> io::Result<()> {
    if value.is_empty() { Ok(()) } else { writeln!(out, "  {name:<10} {value}") }
}
