//! The shim: one process for each running attempt, which outlives everything else.
//!
//! It is this same program under a hidden name, dispatched before any argument is parsed and before any runtime is
//! started: one thread (and those of a proxy, where hosts are listed, and of a task that delegates), small. It holds a lock on its attempt for as long
//! as it lives: *the lock is the liveness*. It runs the setup hook and the task, drains the output into a capped log,
//! keeps the time, empties the process tree, commits left-overs, exports the result, and writes one exit record. Its
//! last act is to tell the coordinator, and to start one where none runs.
//!
//! A task runs at most once in an attempt: whoever comes second finds `run.json` and leaves.

mod asks;
mod cage;
mod finish;
pub mod inside;
pub mod keep;
mod lead;
mod limits;
pub mod overlay;
mod room;
mod state;
mod talk;
mod verify;
pub mod watch;

use std::ffi::OsString;
use std::fs;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::core::outcome::Outcome;
use crate::core::task::CommandLine;
use crate::process::supervise::{End, Patience, Signals, Stop};
use crate::process::{Tool, clock, crash, daemon, socket};
use crate::store::election::{self, Held};
use crate::store::layout::AttemptDir;
use crate::store::record::{self, Run, Spec};
use crate::store::{Durable, Layout, StoreError, secrets};
use cage::{Cages, CannotRun};
use finish::Salvage;
use watch::Watch;

/// The hidden name of the shim.
pub const SHIM: &str = "__shim";
/// The hidden name of a shim that only saves what a dead one left.
pub const SALVAGE: &str = "__salvage";
/// The hidden name of the coordinator.
pub const COORDINATOR: &str = "__coordinator";

/// What a salvage is told that must not wait for room on a full disk.
pub const HURRY: &str = "hurry";
/// What it is told where there is an exit record already, without a result.
pub const AGAIN: &str = "again";

/// What the shim tells its coordinator once it holds its lock.
pub const UP: &str = "up\n";

/// Run as a shim. `args` is what follows the hidden name: the directory of the attempt, and for a salvage maybe [`HURRY`] or [`AGAIN`].
pub fn main(args: &[OsString], salvage: bool) -> ExitCode {
    daemon::detach();
    let Some(dir) = args.first().map(|dir| AttemptDir(PathBuf::from(dir))) else { return ExitCode::from(2) };
    let how = match args.get(1) {
        Some(arg) if arg == HURRY => Salvage::Hurried,
        Some(arg) if arg == AGAIN => Salvage::Again,
        _ => Salvage::Patient,
    };
    match serve(&dir, salvage.then_some(how)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The coordinator reads this; its log has it too.
            say(&format!("{error}: {}\n", sources(&error)));
            let _ = writeln!(std::io::stderr(), "shim of {}: {error}: {}", dir.0.display(), sources(&error));
            ExitCode::FAILURE
        }
    }
}

fn sources(error: &dyn std::error::Error) -> String {
    let mut words = Vec::new();
    let mut next = error.source();
    while let Some(source) = next {
        words.push(source.to_string());
        next = source.source();
    }
    words.join(": ")
}

fn say(text: &str) {
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn serve(dir: &AttemptDir, salvage: Option<Salvage>) -> Result<(), StoreError> {
    let spec: Spec = record::load(&dir.spec())?.ok_or_else(|| StoreError::Damaged {
        path: dir.spec(),
        line: 1,
        why: "there is no such attempt".to_owned(),
    })?;
    let Some(_lock) = hold(dir)? else {
        say(UP);
        return Ok(());
    };
    // Until we end, nobody else has our place.
    let _slot = spec.slot_lock.as_ref().map(|lock| hold_slot(lock.as_path())).transpose()?;
    crash::point("shim.locked");
    if let Some(how) = salvage {
        finish::salvage(dir, &spec, how)?;
    } else if dir.run().exists() {
        say(UP);
        return Ok(());
    } else {
        attempt(dir, &spec)?;
    }
    state::forget(dir);
    tell_coordinator(&spec);
    Ok(())
}

/// The lock of the attempt; `None` where another shim has it and has started.
fn hold(dir: &AttemptDir) -> Result<Option<Held>, StoreError> {
    loop {
        if let Some(lock) = election::try_hold(&dir.lock())? {
            return Ok(Some(lock));
        }
        if dir.run().exists() {
            return Ok(None);
        }
        // Somebody holds it for a moment: another shim on its way, or a coordinator that looks.
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The lock of the place; whoever else has it looks at it for a moment.
fn hold_slot(path: &std::path::Path) -> Result<Held, StoreError> {
    loop {
        if let Some(lock) = election::try_hold(path)? {
            return Ok(lock);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn attempt(dir: &AttemptDir, spec: &Spec) -> Result<(), StoreError> {
    let (spec, missing) = &with_secrets(dir, spec);
    let run = Run { shim: std::process::id(), started: clock::now() };
    record::save(&dir.run(), &run, Durable::No)?;
    room::reserve(dir);
    let cannot = |what| StoreError::file(what, &dir.0);
    let signals = Signals::listen().map_err(cannot("listen for signals in"))?;
    let mut watch = Watch::new(dir, spec).map_err(cannot("listen in"))?;
    say(UP);
    close_stdout();
    crash::point("shim.started");
    let memory = memory_kills();
    let mut cages = cage::Cages::new(dir, spec, watch.book());
    let mut leaked = 0;
    let mut verified = None;
    let mut run = |cages: &mut Cages<'_>| {
        if let Some(reason) = missing {
            return Err(Outcome::CouldNotStart { reason: reason.clone() });
        }
        setup(spec, cages, &signals, &mut watch, &mut leaked)
            .map(|()| task(spec, cages, &signals, &mut watch, &mut leaked, memory))
    };
    let outcome = match &spec.candidate {
        None => run(&mut cages),
        Some(candidate) => verify::prepare(dir, spec, candidate).and_then(|before| {
            let outcome = run(&mut cages)?;
            let seen = verify::look(dir, spec, candidate, &before, cages.tier());
            verified = Some(seen.map_err(|error| Outcome::CouldNotStart { reason: error.words })?);
            Ok(outcome)
        }),
    };
    let outcome = outcome.unwrap_or_else(|outcome| outcome);
    lead::after(spec);
    let warnings = cages.warnings();
    let ran = finish::Ran { outcome, leaked, sandbox: cages.tier(), warnings, network: cages.network(), verified };
    finish::finish(dir, spec, ran, watch)
}

/// What it is to do with the values of its secrets, which are in our memory from here on; and why it cannot be done without
/// those that are gone.
fn with_secrets(dir: &AttemptDir, spec: &Spec) -> (Spec, Option<String>) {
    let mut spec = spec.clone();
    if spec.secrets.is_empty() {
        return (spec, None);
    }
    let path = dir.secrets_of(spec.attempt.task);
    let found = secrets::find(&path);
    if !spec.keep_secrets {
        // Where it cannot be removed now, the coordinator does it when the task has ended.
        let _ = fs::remove_file(&path);
    }
    let task = spec.attempt.task;
    let missing = match found {
        Ok(found) => {
            let gone = spec.secrets.iter().find(|name| !found.contains_key(*name));
            let told = gone.map(|name| format!("the value of {name} is gone: {name}=VALUE pleach retry {task}"));
            spec.environment.extend(found);
            told
        }
        Err(error) => Some(format!("its secrets cannot be read: {error}; give them with `pleach retry {task}`")),
    };
    (spec, missing)
}

/// Whoever waits for our first words must not wait for our end.
fn close_stdout() {
    if let Ok(null) = fs::File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&null);
    }
}

fn setup(
    spec: &Spec,
    cages: &mut Cages<'_>,
    signals: &Signals,
    watch: &mut Watch,
    leaked: &mut u64,
) -> Result<(), Outcome> {
    let Some(setup) = &spec.setup else { return Ok(()) };
    let failed = |why: String| Outcome::CouldNotStart { reason: format!("the setup hook {why}") };
    let line = CommandLine::Shell(setup.command.as_str().into());
    let patience =
        Patience { timeout: Some(Duration::from_secs(setup.timeout)), grace: Duration::from_secs(spec.grace) };
    let told = told(cages.dir).map_err(|error| failed(format!("cannot be told what it is for: {error}")))?;
    let end = cages.run(&line, spec.worktree.as_path(), Some(&told), patience, signals, watch);
    let end = end.map_err(|error| failed(error.to_string()))?;
    *leaked += end.leaked;
    if let Some(over) = watch.over_limit(&end) {
        return Err(failed(format!("ended: {over}")));
    }
    match (end.stopped, end.code) {
        (Some(Stop::Cancelled), _) => Err(Outcome::Cancelled),
        (Some(Stop::TimedOut), _) => Err(failed(format!("took longer than {} s", setup.timeout))),
        (Some(Stop::OverLimit), _) => Err(failed("was stopped".to_owned())),
        (None, Some(0)) => Ok(()),
        (None, Some(code)) => Err(failed(format!("exited with {code}"))),
        (None, None) => Err(failed(format!("was killed by signal {}", end.signal.unwrap_or(0)))),
    }
}

/// What the setup hook reads on its standard input: what is in the file that `$PLEACH_HOOK` names. A file and no pipe, for who does not
/// read it must not be waited for; and one without a name, so that nothing leads back through it to a file of ours.
fn told(dir: &AttemptDir) -> std::io::Result<fs::File> {
    let mut told = tempfile::tempfile()?;
    std::io::copy(&mut fs::File::open(dir.hook())?, &mut told)?;
    told.rewind()?;
    Ok(told)
}

fn task(
    spec: &Spec,
    cages: &mut Cages<'_>,
    signals: &Signals,
    watch: &mut Watch,
    leaked: &mut u64,
    memory: u64,
) -> Outcome {
    let dir = spec.worktree.as_path().join(spec.directory.as_path());
    let failed = |reason| Outcome::CouldNotStart { reason };
    let has_dir = overlay::layers(cages.dir).map_or_else(|| dir.is_dir(), |it| it.has_dir(spec.directory.as_path()));
    if !has_dir {
        return failed(format!("there is no directory {} in its base", spec.directory.shown()));
    }
    let patience = Patience { timeout: spec.timeout.map(Duration::from_secs), grace: Duration::from_secs(spec.grace) };
    crash::point("shim.spawned_task");
    watch.begin(spec);
    match cages.run(&spec.command, &dir, None, patience, signals, watch) {
        Ok(end) => {
            *leaked += end.leaked;
            let known = watch.over_limit(&end).or_else(|| watch.ended_by_talk(&end));
            known.unwrap_or_else(|| outcome(end, memory))
        }
        Err(error) if error.is_refused() => failed(error.to_string()),
        Err(CannotRun::Start(error))
            if spec.sandbox.exec.is_some() && error.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            failed(format!("{}: it is not among what tasks can run (`exec` in `[sandbox]`)", spec.command.shown()))
        }
        Err(CannotRun::Start(error)) if error.kind() == std::io::ErrorKind::NotFound && spec.agent.is_some() => {
            let CommandLine::Exec(words) = &spec.command else { return failed(error.to_string()) };
            let program = words.first().map(crate::core::word::Word::shown).unwrap_or_default();
            failed(format!(
                "there is no program {program} where tasks look for it; see what there is with `pleach agents`"
            ))
        }
        Err(error) => failed(format!("{}: {error}", spec.command.shown())),
    }
}

fn outcome(end: End, memory: u64) -> Outcome {
    match (end.stopped, end.code, end.signal) {
        (Some(Stop::TimedOut), ..) => Outcome::TimedOut,
        (Some(Stop::Cancelled | Stop::OverLimit), ..) => Outcome::Cancelled,
        // A shell says so of what it waited for.
        (None, Some(137), _) | (None, None, Some(9)) if memory_kills() > memory => {
            Outcome::OutOfMemory { limit: None, at_start: false }
        }
        (None, Some(code), _) => Outcome::exited(code),
        (None, None, Some(signal)) => Outcome::Signalled { signal },
        (None, None, None) => Outcome::Lost { cause: "its end was not seen".to_owned() },
    }
}

/// How often the kernel has killed for memory since it booted.
fn memory_kills() -> u64 {
    let text = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

fn tool(spec: &Spec, line: &CommandLine, dir: &Path) -> Tool {
    let tool = match line {
        CommandLine::Shell(line) => Tool::new("sh").arg("-c").arg(line.as_os_str()),
        CommandLine::Exec(words) => {
            let mut words = words.iter().map(|word| word.as_os_str());
            Tool::new(words.next().unwrap_or_default()).args(words)
        }
    };
    let tool = tool.env_clear().dir(dir);
    spec.environment.iter().fold(tool, |tool, (name, value)| tool.env(name, value.as_os_str()))
}

/// Our last act. If it fails, the next command of the user finds the exit record all the same.
fn tell_coordinator(spec: &Spec) {
    let Ok(Some(layout)) = Layout::find(spec.repository.as_path()) else { return };
    let poke = |mut stream: std::os::unix::net::UnixStream| stream.write_all(b"\"poke\"\n");
    if socket::connect(&layout.socket()).and_then(poke).is_err() {
        let args = [COORDINATOR.as_ref(), spec.repository.as_os_str()];
        let _ = daemon::start(&args, &layout.coordinator_log(), std::process::Stdio::null());
    }
}
