//! Asking for a task.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::verify::{self, How, Verifying};
use super::{Error, ErrorKind, Session, agents, approve, consent, find, roles};
use crate::config;
use crate::coordinator::protocol::{Request, Response};
use crate::core::delegate::Delegation;
use crate::core::id::{BranchName, CommitId, TaskHandle, TaskId, TaskName};
use crate::core::plan::Glob;
use crate::core::sandbox::{Network, Policy, Tier};
use crate::core::secret::is_secret;
use crate::core::task::{CommandLine, FoldPolicy, Priority, Publish, Strategy, TaskSpec, Tenant};
use crate::core::units::Bytes;
use crate::core::word::Word;
use crate::process::load;
use crate::process::tool::own_directory;
use crate::store::environment::{self, Environment};

/// What somebody wants done. What is `None` comes from the configuration.
#[derive(Debug, Clone)]
pub struct Wish {
    /// What to run.
    pub command: CommandLine,
    /// What to call it.
    pub name: Option<TaskName>,
    /// Who goes first.
    pub priority: Option<Priority>,
    /// Seconds that it may take.
    pub timeout: Option<u64>,
    /// Seconds between the polite and the hard end.
    pub grace: Option<u64>,
    /// What it builds on.
    pub after: Vec<TaskHandle>,
    /// The revision that it starts from; HEAD if not said.
    pub base: Option<String>,
    /// The branch that its result is for; the one that is checked out if not said.
    pub into: Option<BranchName>,
    /// What moves when it lands.
    pub publish: Option<Publish>,
    /// The group whose limit it shares.
    pub group: Option<String>,
    /// How many more attempts follow a failed one.
    pub retries: Option<u32>,
    /// Variables.
    pub env: BTreeMap<String, Word>,
    /// What becomes of its result.
    pub fold: Option<FoldPolicy>,
    /// How it is folded.
    pub strategy: Option<Strategy>,
    /// The message of its commit.
    pub message: Option<String>,
    /// Ignored files to bring along, beside those of the configuration.
    pub copy: Vec<String>,
    /// Is it to have a worktree that no task had before it, whatever the configuration says?
    pub clean: bool,
    /// Bytes of output to keep.
    pub log_cap: Option<u64>,
    /// Run the setup hook of the configuration first?
    pub setup: bool,
    /// What the target has to pass, where the result folds by itself.
    pub verify: Verifying,
    /// It runs only where the sandbox holds this much.
    pub require_sandbox: Option<Tier>,
    /// Whom it can talk to; none for what is set.
    pub network: Option<Network>,
    /// It writes its temporary directory only.
    pub read_only: bool,
    /// What it may touch in the tree; everything, where nothing is said. A result that touches more is held.
    pub paths: Vec<Glob>,
    /// Bytes of memory that it may take.
    pub memory: Option<u64>,
    /// Bytes of memory that must be free for it to start.
    pub needs_memory: Option<u64>,
    /// Processes that it may have.
    pub processes: Option<u64>,
    /// The agent that does it: then there is nothing to run beside that.
    pub agent: Option<agents::Wanted>,
    /// The role that it has.
    pub role: Option<roles::Chosen>,
    /// Who works in its worktree, where what it runs only keeps the place.
    pub tenant: Option<Tenant>,
}

impl Wish {
    /// To run this, and nothing else said.
    pub fn new(command: CommandLine) -> Self {
        Self {
            command,
            name: None,
            priority: None,
            timeout: None,
            grace: None,
            after: Vec::new(),
            base: None,
            into: None,
            publish: None,
            group: None,
            retries: None,
            env: BTreeMap::new(),
            fold: None,
            strategy: None,
            message: None,
            copy: Vec::new(),
            clean: false,
            log_cap: None,
            setup: true,
            verify: Verifying::default(),
            require_sandbox: None,
            network: None,
            read_only: false,
            paths: Vec::new(),
            memory: None,
            needs_memory: None,
            processes: None,
            agent: None,
            role: None,
            tenant: None,
        }
    }

    /// To have this agent do it, and nothing else said.
    pub fn of_agent(wanted: agents::Wanted) -> Self {
        Self { agent: Some(wanted), ..Self::new(CommandLine::Exec(Vec::new())) }
    }
}

/// Put a task into the queue. It is there for good when this returns.
///
/// # Errors
/// Where the wish cannot be granted: an unknown task or revision, a hook that nobody approved.
pub fn submit(session: &mut Session, wish: Wish) -> Result<TaskId, Error> {
    submit_as(session, wish, request())
}

/// The same for whoever may ask again: the same `request` twice, among the newest tasks, is one task.
///
/// # Errors
/// As [`submit()`].
pub fn submit_as(session: &mut Session, wish: Wish, request: String) -> Result<TaskId, Error> {
    if session.is_inside() {
        return super::inside::submit(session, wish, request);
    }
    let mut spec = TaskSpec { request, ..Asker::default().spec(session, wish)? };
    let secrets = seal(&mut spec);
    let limits = session.config()?.limits();
    match session.coordinator()?.ask(&Request::Submit { spec: Box::new(spec), secrets, limits })? {
        Response::Submitted(task) => Ok(task),
        other => Err(Error::plain(ErrorKind::Error, format!("the coordinator answered {other:?}"))),
    }
}

/// A random word that marks a question.
pub(super) fn request() -> String {
    format!("{:x}{:016x}", std::process::id(), fastrand::u64(..))
}

/// Take the values of secrets out of it, its own and those that it inherits: they go their own way.
pub(super) fn seal(spec: &mut TaskSpec) -> Environment {
    let (secrets, env) = std::mem::take(&mut spec.env).into_iter().partition(|(name, _)| is_secret(name));
    spec.env = env;
    let secrets: Environment = secrets;
    spec.secrets = secrets.keys().cloned().collect();
    secrets
}

/// From wishes to tasks. What was found out for one counts for the next.
#[derive(Debug, Default)]
pub(super) struct Asker {
    environments: Vec<(Vec<String>, (String, Environment))>,
    frozen: Vec<(Verifying, verify::Frozen)>,
    bases: Vec<(Option<String>, CommitId)>,
    targets: Vec<(BranchName, Option<BranchName>)>,
}

impl Asker {
    /// Freeze one.
    pub(super) fn spec(&mut self, session: &mut Session, wish: Wish) -> Result<TaskSpec, Error> {
        super::inside::require_outside(session, "that")?;
        let role = wish.role.clone();
        let wish = role.as_ref().map_or(Ok(wish.clone()), |role| role.fill(session, wish))?;
        let setup = wish.setup.then_some(approve::SETUP);
        approve::require(session, &setup.into_iter().chain([approve::ENV_PASS]).collect::<Vec<_>>())?;
        let found = consent::require(session, wish.require_sandbox.unwrap_or_default())?;
        let config = session.config()?;
        let is_early = config.verify.value.as_ref().is_some_and(|check| check.early);
        let is_verified = match wish.fold.unwrap_or(config.fold) {
            FoldPolicy::Auto => true,
            FoldPolicy::Review => is_early,
            FoldPolicy::Never => false,
        };
        // What somebody typed stays with the task, however it comes to be merged.
        let is_verified = is_verified || wish.verify.how != How::Configured;
        let frozen = if is_verified { self.freeze(session, &wish.verify)? } else { verify::Frozen::default() };
        let base = self.base(session, wish.base.as_deref())?;
        let target = self.target(session, &wish)?;
        let needs = match wish.after.is_empty() {
            true => Vec::new(),
            false => find(&session.state()?, &wish.after)?.iter().map(|task| task.id).collect(),
        };
        let agent = wish.agent.as_ref().map(|wanted| agents::assign(session, wanted)).transpose()?;
        let pass = agent.as_ref().map(|assigned| assigned.agent.pass.as_slice()).unwrap_or_default();
        let pass = [pass, role.as_ref().map(roles::Chosen::env_pass).unwrap_or_default()].concat();
        let (environment, mut env) = self.environment(session, &pass)?;
        env.extend(wish.env);
        let command = agent.as_ref().map_or(wish.command, |assigned| assigned.command(&[]));
        let config = session.config()?;
        let of_agent = agent.as_ref().map_or(0, |assigned| assigned.agent.needs_memory);
        let needs_memory = wish.needs_memory.unwrap_or(of_agent);
        can_be_had(needs_memory, config.memory_floor)?;
        let checkout = session.found.checkout.as_ref();
        let program = agent.as_ref().and_then(|assigned| assigned.agent.command.first()).map(String::as_str);
        let policy = role.as_ref().map(|role| role.policy(&config.sandbox, &command, program)).transpose()?;
        let policy = policy.unwrap_or_else(|| config.sandbox.clone());
        Ok(TaskSpec {
            name: wish.name,
            command,
            directory: checkout.map(|checkout| checkout.prefix.as_path().into()).unwrap_or_default(),
            checkout: checkout.map(|checkout| checkout.top.as_path().into()),
            called: called(session).map(Word::from),
            priority: wish.priority.unwrap_or(config.priority),
            group: wish.group,
            needs,
            base,
            target,
            // Who works there knows when it is over.
            timeout: wish.timeout.or(config.timeout.filter(|_| wish.tenant.is_none())),
            grace: wish.grace.unwrap_or(config.grace),
            needs_memory,
            retries: wish.retries.unwrap_or(config.retries),
            env,
            environment: Some(environment),
            secrets: Vec::new(),
            fold: wish.fold.unwrap_or(config.fold),
            // What nobody said is left open, so that `merge` may still follow the configuration.
            strategy: wish.strategy.or(Some(config.strategy).filter(|strategy| *strategy != Strategy::default())),
            publish: wish.publish.unwrap_or(config.publish),
            message: wish.message,
            copy: config.copy.iter().chain(&wish.copy).cloned().collect(),
            worktree: config.worktree_mode,
            clean: wish.clean || config.clean,
            setup: config.setup_hook().filter(|_| wish.setup),
            check: frozen.check,
            unverified: frozen.unverified,
            hooks: frozen.hooks,
            log_cap: wish.log_cap.unwrap_or(config.log_cap),
            sandbox: Policy {
                require: policy.require.max(wish.require_sandbox.unwrap_or_default()),
                read_only: wish.read_only || policy.read_only,
                network: wish.network.unwrap_or_else(|| policy.network.clone()),
                memory: wish.memory.or(policy.memory),
                processes: wish.processes.or(policy.processes),
                found,
                ..policy
            },
            member: None,
            delegation: match role.as_ref().is_none_or(roles::Chosen::delegates) {
                true => config.delegate,
                false => Delegation::default(),
            },
            parent: None,
            depth: 0,
            paths: wish.paths,
            agent: agent.map(Box::new),
            role: role.map(|role| Box::new(role.frozen())),
            tenant: wish.tenant.map(Box::new),
            request: request(),
        })
    }

    fn freeze(&mut self, session: &mut Session, said: &Verifying) -> Result<verify::Frozen, Error> {
        if let Some((_, known)) = self.frozen.iter().find(|(known, _)| known == said) {
            return Ok(known.clone());
        }
        let frozen = verify::freeze(session, said)?;
        self.frozen.push((said.clone(), frozen.clone()));
        Ok(frozen)
    }

    fn base(&mut self, session: &Session, said: Option<&str>) -> Result<CommitId, Error> {
        if let Some((_, known)) = self.bases.iter().find(|(known, _)| known.as_deref() == said) {
            return Ok(*known);
        }
        let found = base(session, said)?;
        self.bases.push((said.map(str::to_owned), found));
        Ok(found)
    }

    fn target(&mut self, session: &Session, wish: &Wish) -> Result<Option<BranchName>, Error> {
        let Some(said) = &wish.into else { return target(session, wish) };
        if let Some((_, known)) = self.targets.iter().find(|(known, _)| known == said) {
            return Ok(known.clone());
        }
        let found = target(session, wish)?;
        self.targets.push((said.clone(), found.clone()));
        Ok(found)
    }

    /// What it inherits: what is kept by its hash, and the secrets. `pass` is what its agent needs beside what any task gets.
    fn environment(&mut self, session: &mut Session, pass: &[String]) -> Result<(String, Environment), Error> {
        if let Some((_, known)) = self.environments.iter().find(|(known, _)| known == pass) {
            return Ok(known.clone());
        }
        let layout = session.make_layout()?.clone();
        let passed = [session.config()?.env_pass.value.as_slice(), pass].concat();
        let inherited = config::env::inherited(&passed);
        let (secrets, mut inherited): (Environment, _) = inherited.into_iter().partition(|(name, _)| is_secret(name));
        find_us(&mut inherited);
        let kept = (environment::keep(&layout, &inherited)?, secrets);
        self.environments.push((pass.to_vec(), kept.clone()));
        Ok(kept)
    }
}

/// A task that reports its progress calls `pleach`, also where the caller has it not on their path. Last on it, so that
/// nothing that the task means is hidden.
fn find_us(environment: &mut BTreeMap<String, Word>) {
    let Some(dir) = own_directory() else { return };
    let mut path = environment.get("PATH").map(|path| path.as_bytes().to_vec()).unwrap_or_default();
    let dir = dir.as_os_str().as_encoded_bytes();
    if dir.contains(&b':') || path.split(|byte| *byte == b':').any(|known| known == dir) {
        return;
    }
    if !path.is_empty() {
        path.push(b':');
    }
    path.extend(dir);
    environment.insert("PATH".to_owned(), Word::from(path));
}

/// What the user calls the checkout that they stand in, where a link leads to it: agents hear of it by that name.
fn called(session: &Session) -> Option<PathBuf> {
    let checkout = session.found.checkout.as_ref()?;
    let stands = checkout.top.join(&checkout.prefix);
    let top = |said: PathBuf| {
        let is_there = said.is_absolute() && said.canonicalize().is_ok_and(|real| real == stands);
        let below = checkout.prefix.components().count();
        let top: PathBuf = said.ancestors().nth(below).filter(|_| is_there)?.components().collect();
        // A name with `..` in it, or one whose last parts are links themselves, is not that of the top.
        let is_top = top != checkout.top && top.canonicalize().is_ok_and(|real| real == checkout.top);
        is_top.then_some(top)
    };
    [session.stands.clone()].into_iter().chain(config::env::working_directory()).find_map(top)
}

pub(super) fn base(session: &Session, revision: Option<&str>) -> Result<CommitId, Error> {
    match revision {
        None => session.found.head.ok_or_else(|| {
            Error::new(
                ErrorKind::Repository,
                "the repository has no commit yet, so there is nothing for a task to start from",
                "make the first one: git commit --allow-empty -m 'first commit'",
            )
        }),
        Some(revision) => {
            // `HEAD` is that of the checkout somebody stands in, not that of the repository.
            let relative = revision == "HEAD" || revision == "@";
            let known = if relative { session.found.head } else { resolve(session, revision)? };
            known.ok_or_else(|| {
                Error::new(
                    ErrorKind::Usage,
                    format!("{revision:?} is not a commit of this repository"),
                    "name a branch, a tag or a commit; see `git log --oneline --all`",
                )
            })
        }
    }
}

/// Revisions such as `HEAD~2` count from the checkout that somebody stands in.
fn resolve(session: &Session, revision: &str) -> Result<Option<CommitId>, Error> {
    let anchored = ["HEAD", "@"].iter().find_map(|head| {
        let rest = revision.strip_prefix(head)?;
        rest.starts_with(['~', '^']).then(|| session.found.head.map(|head| format!("{head}{rest}")))?
    });
    Ok(session.repository().resolve(anchored.as_deref().unwrap_or(revision))?)
}

fn target(session: &Session, wish: &Wish) -> Result<Option<BranchName>, Error> {
    let Some(branch) = &wish.into else {
        let auto = wish.fold.unwrap_or(session.config()?.fold) == FoldPolicy::Auto;
        if auto && session.found.branch.is_none() {
            return Err(Error::new(
                ErrorKind::Usage,
                "HEAD is detached, so there is no branch to fold into",
                "name one with `--into BRANCH`",
            ));
        }
        return Ok(session.found.branch.clone());
    };
    if session.repository().head_of(branch)?.is_none() {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("there is no branch {branch} to fold into"),
            format!("make it first: git branch {branch}"),
        ));
    }
    Ok(Some(branch.clone()))
}

/// Memory that this machine will never have free is refused at once, and not waited for.
fn can_be_had(needs: u64, floor: u64) -> Result<(), Error> {
    let most = load::all_memory().map(|all| all.saturating_sub(floor));
    match most.filter(|most| *most < needs) {
        None => Ok(()),
        Some(most) => {
            let message = format!("it needs {} of memory, and at most {} can be free here", Bytes(needs), Bytes(most));
            Err(Error::new(ErrorKind::Usage, message, "say less with --needs-memory, or `needs_memory` of its agent"))
        }
    }
}
