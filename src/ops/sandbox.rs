//! Running a command under the policy of tasks, in the checkout that somebody stands in: to try it.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use super::{Error, ErrorKind, Session};
use crate::config;
use crate::core::sandbox::traffic::Traffic;
use crate::core::sandbox::{Network, Policy, Tier, Warning};
use crate::core::task::CommandLine;
use crate::process::Tool;
use crate::process::tool::{own_directory, own_program};
use crate::sandbox::limits::{Cgroup, Limits};
use crate::sandbox::probe::{self, Found};
use crate::sandbox::proxy::Book;
use crate::sandbox::{Cage, Child, Group, Places, Refused, Streams, surroundings};

/// What somebody wants tried.
#[derive(Debug, Clone)]
pub struct Wish {
    /// What to run.
    pub command: CommandLine,
    /// The tier; none for what is set.
    pub tier: Option<Tier>,
    /// Whom it can talk to; none for what is set.
    pub network: Option<Network>,
    /// It cannot write the checkout.
    pub read_only: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The tier that it had.
    pub tier: Tier,
    /// Its exit code; 128 + N where signal N ended it.
    pub code: u8,
    /// What is to be known of how it was kept.
    pub warnings: Vec<Warning>,
    /// What it asked of the network, where hosts are listed.
    pub network: Option<Traffic>,
}

/// Run it to its end, with the terminal of whoever asks.
///
/// # Errors
/// Where no tier that was asked for works here, or there is no such command.
pub fn run(session: &Session, wish: &Wish) -> Result<Tried, Error> {
    run_with(session, wish, &mut |start| start([None, None, None])?.wait())
}

/// Run it to its end, and take what it writes; it writes nowhere else. `most` bytes are read.
///
/// # Errors
/// As [`run`].
pub fn output(session: &Session, wish: &Wish, most: u64) -> Result<(Tried, Vec<u8>), Error> {
    use std::io::Read as _;
    let mut written = Vec::new();
    let tried = run_with(session, wish, &mut |start| {
        let (pipe, pipe_in) = std::io::pipe()?;
        let mut child = start([Some(File::open("/dev/null")?.into()), Some(pipe_in.into()), None])?;
        // The end of the pipe is closed behind this: who writes more ends by that.
        pipe.take(most).read_to_end(&mut written)?;
        child.wait()
    })?;
    Ok((tried, written))
}

/// Start it with these streams.
type Start<'a> = &'a dyn Fn(Streams) -> std::io::Result<Child>;

/// Start it, and wait for its end.
type End<'a> = &'a mut dyn FnMut(Start<'_>) -> std::io::Result<std::process::ExitStatus>;

fn run_with(session: &Session, wish: &Wish, end: End<'_>) -> Result<Tried, Error> {
    let mut policy = session.config()?.sandbox.clone();
    policy.tier = wish.tier.or(policy.tier);
    policy.network = wish.network.clone().unwrap_or(policy.network);
    policy.read_only |= wish.read_only;
    let Some(checkout) = &session.found.checkout else {
        let hint = "go into a checkout, or make one with `git worktree add`";
        return Err(Error::new(ErrorKind::Repository, "a bare repository has no files to run something on", hint));
    };
    let cannot =
        |error: std::io::Error| Error::plain(ErrorKind::NotRun, format!("cannot make a directory for it: {error}"));
    let tmp = tempfile::Builder::new().prefix("pleach-sandbox-").tempdir().map_err(cannot)?;
    let tmp = (tmp.path().canonicalize().map_err(cannot)?, tmp);
    let common = session.repository().common_dir();
    let variables = config::env::inherited(&session.config()?.env_pass.value);
    let values: Vec<&Path> =
        variables.iter().filter(|(name, _)| *name != "TMPDIR").map(|(_, value)| value.as_path()).collect();
    let places = Places {
        overlay: None,
        work: checkout.top.join(checkout.prefix.as_path()),
        worktree: checkout.top.clone(),
        checkout: None,
        called: None,
        common: None,
        write: Vec::new(),
        lead: None,
        // What git would run for you later stays yours.
        show: ["config", "config.worktree", "hooks", "info", "worktrees"]
            .iter()
            .map(|name| common.join(name))
            .filter(|path| path.exists())
            .collect(),
        tmp: Some(tmp.0.clone()),
        hide: session.layout().map(|layout| vec![layout.state.clone(), layout.home.clone()]).unwrap_or_default(),
        keep: surroundings::named(values.iter().copied())
            .into_iter()
            .chain(own_directory())
            .chain([common.to_owned()])
            .collect(),
        home: config::env::home(),
        sockets: surroundings::sockets(),
        links: Vec::new(),
        run: own_program().into_iter().map(Into::into).collect(),
    };
    // What is pressed at the terminal is for the command.
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGQUIT] {
        let _ = signal_hook::flag::register(signal, std::sync::Arc::default());
    }
    let no_proxy =
        |error: std::io::Error| Error::plain(ErrorKind::NotRun, format!("cannot start a proxy for it: {error}"));
    let (book, _bell) = Book::open().map_err(no_proxy)?;
    let wanted = Limits { memory: policy.memory, processes: policy.processes };
    let is_limited = wanted.memory.is_some() || wanted.processes.is_some();
    let group = is_limited.then(|| Cgroup::make(&format!("sandbox-{}", std::process::id()), wanted).ok()).flatten();
    let mut start = |tier| -> Result<Result<Tried, Refused>, Error> {
        let cage = match Cage::prepare(tier, &policy, &places, Group::Same) {
            Ok(cage) => cage,
            Err(refused) => return Ok(Err(refused)),
        };
        let spawn = |streams| {
            let mut tool = tool(&wish.command).env_clear().dir(&places.work).stdin(Stdio::inherit());
            for (name, value) in &variables {
                tool = tool.env(name, value.as_os_str());
            }
            let mut command = tool.env("TMPDIR", &tmp.0).into_command();
            command.envs(cage.variables().iter().copied());
            cage.spawn(command, streams, group.as_ref().map(Cgroup::entry).transpose()?)
        };
        let serving = cage.serve(&book).map_err(no_proxy)?;
        let ended = end(&spawn);
        drop(serving);
        match ended {
            Ok(status) => {
                let network = policy.network.list().map(|_| book.traffic());
                let warnings = cage.warnings().to_vec();
                Ok(Ok(Tried { tier, code: code(status), warnings, network }))
            }
            Err(error) => match cage.refused() {
                Some(refused) => Ok(Err(refused)),
                None => Err(Error::new(
                    ErrorKind::NotRun,
                    format!("cannot run {}: {error}", wish.command.shown()),
                    "is it on your path, and not hidden from tasks? see docs/sandbox.md",
                )),
            },
        }
    };
    let mut last = None;
    for tier in policy.tiers() {
        match start(tier)? {
            Ok(tried) => return Ok(tried),
            Err(refused) => last = last.or(Some(refused)),
        }
    }
    Err(insufficient(&policy, last.as_ref()))
}

fn insufficient(policy: &Policy, refused: Option<&Refused>) -> Error {
    let hint = refused.and_then(probe::mend).unwrap_or("see what works here with `pleach doctor`");
    let message = match refused {
        Some(refused) if policy.network.list().is_some() => {
            format!("hosts are listed, which only the full tier holds, and {refused}")
        }
        Some(refused) if policy.is_held_for_network() => {
            format!("the network is to be none, which nothing holds without a sandbox, and {refused}")
        }
        Some(refused) => refused.to_string(),
        None if policy.is_held_for_network() => {
            let hint = "leave the tier out, or say `--network allow`";
            let message = "the network is to be none, which the tier none of the sandbox does not hold";
            return Error::new(ErrorKind::NotRun, message, hint);
        }
        None if policy.network.list().is_some() => {
            let hint = "leave the tier out, or say `--network none` or `--network allow`";
            let tier = policy.tier.unwrap_or_default();
            let message =
                format!("hosts are listed, which only the full tier of the sandbox holds, and {tier} is asked for");
            return Error::new(ErrorKind::NotRun, message, hint);
        }
        None => format!(
            "the {} tier of the sandbox is less than the required one, {}",
            policy.tier.unwrap_or_default(),
            policy.least()
        ),
    };
    Error::new(ErrorKind::NotRun, message, hint)
}

/// What works here, by doing it.
pub fn probe() -> Found {
    probe::look(&|line| Tool::new("sh").args(["-c", line]).into_command())
}

fn tool(line: &CommandLine) -> Tool {
    match line {
        CommandLine::Shell(line) => Tool::new("sh").arg("-c").arg(line.as_os_str()),
        CommandLine::Exec(words) => {
            let mut words = words.iter().map(|word| word.as_os_str());
            Tool::new(words.next().unwrap_or_default()).args(words)
        }
    }
}

fn code(status: std::process::ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    u8::try_from(code).unwrap_or(1)
}
