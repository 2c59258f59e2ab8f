//! A child, made of the spec of its parent: everything is as it is there, and what is asked can only take away.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Delegation, Denied};
use crate::core::agent::{Assigned, Changes, Permit, preset};
use crate::core::id::{AttemptId, CommitId, TaskId, TaskName};
use crate::core::plan::Glob;
use crate::core::role::means;
use crate::core::sandbox::{Network, Policy, Tier};
use crate::core::secret::is_secret;
use crate::core::state::Task;
use crate::core::task::{CommandLine, FoldPolicy, Priority, TaskSpec};
use crate::core::units::Bytes;
use crate::core::word::{Word, shown};

/// What a task wants done. What is `None` is as with itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Child {
    /// Who asked, by a random word.
    pub request: String,
    /// What to call it.
    pub name: Option<TaskName>,
    /// What to run.
    pub command: Option<CommandLine>,
    /// Or what an agent is told.
    pub prompt: Option<Handed>,
    /// Where in the tree.
    pub directory: Option<Word>,
    /// Who goes first.
    pub priority: Option<Priority>,
    /// Seconds that it may take.
    pub timeout: Option<u64>,
    /// Seconds between the polite and the hard end.
    pub grace: Option<u64>,
    /// Others of its own that it builds on.
    pub after: Vec<TaskId>,
    /// The group whose limit it shares.
    pub group: Option<String>,
    /// How many more attempts follow a failed one.
    pub retries: Option<u32>,
    /// Variables.
    pub env: BTreeMap<String, Word>,
    /// What becomes of its result.
    pub fold: Option<FoldPolicy>,
    /// The message of its commit.
    pub message: Option<String>,
    /// Bytes of output to keep.
    pub log_cap: Option<u64>,
    /// It does without the setup hook.
    pub no_setup: bool,
    /// It writes its temporary directory only.
    pub read_only: bool,
    /// What it may touch in the tree.
    pub paths: Vec<Glob>,
    /// Whom it can talk to.
    pub network: Option<Network>,
    /// Bytes of memory that it may take.
    pub memory: Option<u64>,
    /// Processes that it may have.
    pub processes: Option<u64>,
    /// It runs only where the sandbox holds this much.
    pub require: Option<Tier>,
}

/// What an agent is told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Handed {
    /// Which agent; empty for the one that does the task itself.
    pub agent: String,
    /// What it is told.
    pub prompt: String,
    /// Which model.
    pub model: Option<String>,
    /// How many turns it may take.
    pub turns: Option<u32>,
    /// Must it change something?
    pub changes: Option<Changes>,
}

const HINT_LESS: &str = "ask for no more than the task itself has; see that with `pleach status` outside";

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The parent.
    pub task: &'a Task,
    /// Its attempt.
    pub by: AttemptId,
    /// What that builds on.
    pub base: CommitId,
    /// How far it is kept to itself.
    pub held: Option<Tier>,
    /// How many it has asked for so far.
    pub started: usize,
    /// Is there a limit for its group?
    pub is_group_limited: bool,
}

/// The spec of a child, and the values of what was named that looks like a secret.
///
/// # Errors
/// Where its parent may not ask for it, or asks for more than it has itself.
pub fn child(asker: &Asker<'_>, asked: Child) -> Result<(TaskSpec, BTreeMap<String, Word>), Denied> {
    let Asker { task: parent, by, base, held, started, is_group_limited } = *asker;
    let own = &parent.spec;
    may_delegate(own, started)?;
    if words(&asked).any(|word| word.contains(&0)) {
        return Err(Denied::new("there is a NUL byte in what is asked", "leave it out: no program can be given one"));
    }
    let (env, secrets) = variables(own, asked.env)?;
    let (agent, role, command) = who(own, asked.command, asked.prompt)?;
    let usual = rank(own.fold).min(rank(FoldPolicy::Review));
    let fold = asked.fold.unwrap_or(if usual == 0 { FoldPolicy::Never } else { FoldPolicy::Review });
    if rank(fold) > rank(own.fold) {
        return Err(wider("what becomes of its result", &fold.to_string(), &own.fold.to_string()));
    }
    let priority = asked.priority.unwrap_or(parent.priority());
    if priority > parent.priority() {
        return Err(wider("priority", &priority.to_string(), &parent.priority().to_string()));
    }
    if is_group_limited && asked.group.is_some() && asked.group != own.group {
        return Err(Denied::new("a task of a group with a limit delegates within that", "leave `--group` out"));
    }
    let is_handed_back = parent.attempt(by.number).is_some_and(|attempt| attempt.hand_back.is_some());
    // What its base holds already is no need: the head of the target, onto which it was handed back.
    let needs = own.needs.iter().filter(|_| !is_handed_back).chain(&asked.after).copied();
    let mut needs: Vec<TaskId> = needs.collect();
    needs.sort();
    needs.dedup();
    let of_plan = own.member.as_ref().map(|member| member.paths.clone()).filter(|paths| !paths.is_empty());
    let held_to = of_plan.unwrap_or_else(|| own.paths.clone());
    let paths = match (asked.paths.is_empty(), held_to.is_empty()) {
        (true, _) => held_to,
        (false, true) => asked.paths,
        // Two lists of patterns have no third one that means what is on both.
        (false, false) => {
            return Err(Denied::new(
                "what this task may touch is said already, and it holds for whatever it delegates",
                "leave `--paths` out",
            ));
        }
    };
    let secrets_of = own.secrets.iter().cloned().chain(secrets.keys().cloned());
    let mut all_secrets: Vec<String> = secrets_of.collect();
    all_secrets.sort();
    all_secrets.dedup();
    let spec = TaskSpec {
        name: asked.name,
        command,
        directory: asked.directory.map_or_else(|| Ok(own.directory.clone()), directory)?,
        priority,
        group: asked.group.or_else(|| own.group.clone()),
        needs,
        base,
        timeout: within("seconds", asked.timeout, own.timeout)?,
        grace: asked.grace.unwrap_or(own.grace).min(own.grace),
        retries: within("retries", asked.retries.map(u64::from), Some(own.retries.into()))?
            .and_then(|retries| retries.try_into().ok())
            .unwrap_or(0),
        env,
        secrets: all_secrets,
        fold,
        message: asked.message,
        setup: own.setup.clone().filter(|_| !asked.no_setup),
        log_cap: asked.log_cap.unwrap_or(own.log_cap).min(own.log_cap),
        sandbox: sandbox(
            &own.sandbox,
            held,
            (asked.read_only, asked.network, asked.memory, asked.processes, asked.require),
        )?,
        request: marked(by, &asked.request),
        member: None,
        agent,
        role,
        delegation: own.delegation.below(),
        parent: Some(by),
        depth: own.depth + 1,
        paths,
        ..own.clone()
    };
    Ok((spec, secrets))
}

/// All that becomes arguments and variables.
fn words(asked: &Child) -> impl Iterator<Item = &[u8]> {
    let line: Vec<&Word> = match &asked.command {
        Some(CommandLine::Shell(line)) => vec![line],
        Some(CommandLine::Exec(words)) => words.iter().collect(),
        None => Vec::new(),
    };
    let handed = asked.prompt.iter();
    let handed = handed.flat_map(|handed| [Some(&handed.prompt), handed.model.as_ref()]).flatten();
    let texts = handed.chain(&asked.message).chain(&asked.group).map(|text| text.as_bytes());
    line.into_iter().chain(asked.env.values()).chain(&asked.directory).map(Word::as_bytes).chain(texts)
}

/// The random word of a question from inside: nobody else's can be met by it.
pub fn marked(by: AttemptId, request: &str) -> String {
    format!("by {by}: {request}")
}

fn may_delegate(own: &TaskSpec, started: usize) -> Result<(), Denied> {
    let Delegation { levels, children } = own.delegation;
    if levels == 0 {
        return Err(Denied::new(
            "this task may not delegate",
            "do the work here; how deep tasks may be nested is `[delegate] depth` of the user's own pleach/config.toml, \
             and a role may say `delegate = false`",
        ));
    }
    if started >= children as usize {
        return Err(Denied::new(
            format!("this task has started {started} tasks, and may not start more"),
            "do the rest here; the limit is `[delegate] children` of the user's own pleach/config.toml",
        ));
    }
    Ok(())
}

/// Who does it, with which role, and what is run.
type Who = (Option<Box<Assigned>>, Option<Box<crate::core::role::TaskRole>>, CommandLine);

fn who(own: &TaskSpec, command: Option<CommandLine>, handed: Option<Handed>) -> Result<Who, Denied> {
    let role = own.role.as_ref();
    match (command, handed) {
        (Some(command), None) => {
            let permit = own.agent.as_ref().map(|assigned| assigned.permit).unwrap_or_default();
            if role.is_some_and(|role| role.tools.is_some()) || permit == Permit::Deny {
                return Err(Denied::new(
                    "the tools of this task are limited, so it cannot have commands run",
                    "hand over a prompt instead: `pleach add --prompt TEXT`",
                ));
            }
            // What a role says of a result is about what its agent does, but for what may be touched.
            let role = role.cloned().map(|role| {
                Box::new(crate::core::role::TaskRole { require_changes: false, accept: Vec::new(), ..*role })
            });
            Ok((None, role, command))
        }
        (None, Some(handed)) => {
            let assigned = agent(own, handed)?;
            let command = assigned.command(&[]);
            Ok((Some(Box::new(assigned)), role.cloned(), command))
        }
        _ => {
            Err(Denied::new("a task needs a command or a prompt, and one of them", "say what: pleach add -- make test"))
        }
    }
}

fn agent(own: &TaskSpec, handed: Handed) -> Result<Assigned, Denied> {
    let same = own.agent.as_ref().filter(|of| handed.agent.is_empty() || of.agent.name == handed.agent);
    if let Some(role) = &own.role
        && role.available.as_ref().is_some_and(|globs| !means(globs, &role.name))
    {
        return Err(Denied::new(
            format!("the role {} may not hand tasks to agents of its own role", role.name),
            "do it here; its file says to which roles it may: available (availableAgents in Kiro's)",
        ));
    }
    let assigned = match (same, &own.role) {
        (Some(assigned), _) => (**assigned).clone(),
        (None, Some(role)) => {
            let message = format!("a task of the role {} hands over to its own agent only", role.name);
            return Err(Denied::new(message, "leave `--agent` out"));
        }
        (None, None) if handed.agent.is_empty() => {
            return Err(Denied::new("no agent does this task, so one must be named", "name it: --agent AGENT"));
        }
        (None, None) => match preset(&handed.agent) {
            Some(preset) => Assigned::new(preset.agent),
            None => {
                let message = format!("there is no agent {} that a task may name", shown(&handed.agent));
                return Err(Denied::new(message, "name one that is built in, such as claude or codex"));
            }
        },
    };
    let turns = match (handed.turns, assigned.turns) {
        (Some(asked), Some(own)) => Some(asked.min(own)),
        (asked, own) => asked.or(own),
    };
    let assigned = Assigned {
        model: handed.model.or(assigned.model),
        turns,
        changes: handed.changes.unwrap_or(assigned.changes),
        prompt: Some(handed.prompt),
        ..assigned
    };
    if assigned.prompt.as_ref().is_some_and(|prompt| prompt.trim().is_empty()) {
        return Err(Denied::new(
            format!("{} is told nothing", assigned.agent.name),
            "say what it is to do with --prompt",
        ));
    }
    assigned.check().map_err(|unfit| Denied::new(unfit.to_string(), "leave that out"))?;
    Ok(assigned)
}

type Variables = BTreeMap<String, Word>;

/// Its variables, and those among what was asked that look like secrets.
fn variables(own: &TaskSpec, asked: Variables) -> Result<(Variables, Variables), Denied> {
    let is_plain = |name: &str| {
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
        !name.is_empty() && name.chars().all(letters) && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    // Of an agent that is called over MCP, what it was asked is such a variable.
    let is_ours =
        |name: &str| name.starts_with("GIT_") || (name.starts_with("PLEACH_") && name != "PLEACH_PROMPT_TEXT");
    if let Some(name) = asked.keys().find(|name| !is_plain(name) || is_ours(name)) {
        let message = format!("{} is no variable that a task can be given", shown(name));
        return Err(Denied::new(message, "name it with letters, digits and _, and not GIT_… or PLEACH_…"));
    }
    let (secrets, asked): (BTreeMap<_, _>, BTreeMap<_, _>) = asked.into_iter().partition(|(name, _)| is_secret(name));
    Ok((own.env.clone().into_iter().chain(asked).collect(), secrets))
}

type Closer = (bool, Option<Network>, Option<u64>, Option<u64>, Option<Tier>);

/// What it may touch: what its parent may, less what is asked.
fn sandbox(own: &Policy, held: Option<Tier>, asked: Closer) -> Result<Policy, Denied> {
    let (read_only, network, memory, processes, require) = asked;
    let network = network.map_or_else(
        || Ok(own.network.clone()),
        |asked| match asked {
            Network::Allow if own.network == Network::None => Err(wider("network", "allow", "none")),
            Network::Allow if own.network != Network::Allow => Err(wider("network", "allow", "some hosts")),
            asked => Ok(own.network.clone().closer(asked)),
        },
    )?;
    // No less than what its parent is held by: what was tried for that one works.
    let least = held.unwrap_or_default().min(own.tier.unwrap_or(Tier::Full));
    Ok(Policy {
        require: own.require.max(require.unwrap_or_default()).max(least),
        read_only: own.read_only || read_only,
        network,
        memory: within_shown("memory", memory, own.memory, |bytes| Bytes(bytes).to_string())?,
        processes: within("processes", processes, own.processes)?,
        ..own.clone()
    })
}

fn within(what: &str, asked: Option<u64>, own: Option<u64>) -> Result<Option<u64>, Denied> {
    within_shown(what, asked, own, |number| number.to_string())
}

fn within_shown(
    what: &str,
    asked: Option<u64>,
    own: Option<u64>,
    show: impl Fn(u64) -> String,
) -> Result<Option<u64>, Denied> {
    match (asked, own) {
        (Some(asked), Some(own)) if asked > own => Err(wider(what, &show(asked), &show(own))),
        (asked, own) => Ok(asked.or(own)),
    }
}

fn wider(what: &str, asked: &str, own: &str) -> Denied {
    Denied::new(format!("{what}: {asked} is more than the task that asks has itself ({own})"), HINT_LESS)
}

/// The closer, the lower.
fn rank(fold: FoldPolicy) -> u8 {
    match fold {
        FoldPolicy::Never => 0,
        FoldPolicy::Review => 1,
        FoldPolicy::Auto => 2,
    }
}

/// A directory of the tree, and none beside it.
fn directory(asked: Word) -> Result<Word, Denied> {
    let is_plain = asked.as_path().components().all(|part| matches!(part, std::path::Component::Normal(_)));
    if is_plain {
        return Ok(asked);
    }
    Err(Denied::new(format!("{} is no directory of the tree", asked.shown()), "name one below the top of the worktree"))
}
