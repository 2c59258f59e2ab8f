//! Verifying candidates: making them, looking up what is known of their trees, bringing runs up, taking their answers.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Child;
use std::time::Duration;

use super::landing::{self, Entry};
use super::launch;
use super::{World, candidate_pin, told};
use crate::core::change::{Hold, Refusal, Rejection};
use crate::core::driver::Driven;
use crate::core::event::Event;
use crate::core::id::{BranchName, CommitId, TaskId};
use crate::core::outcome::Outcome;
use crate::core::state::{State, TaskState};
use crate::core::task::CommandLine;
use crate::core::verify::{Check, Early, Fingerprint, Kept, Purpose, Run, Step, Verdict, attempt_of};
use crate::core::word::Word;
use crate::git::GitError;
use crate::git::merge::Plan;
use crate::git::refs::{RefChange, Swap};
use crate::process::{Tool, clock};
use crate::store::record::{self, Candidate, Exit, Spec, Verified};
use crate::store::{Durable, environment};

/// Results of a line that are to be verified together.
pub(super) struct Wanted {
    pub(super) target: BranchName,
    /// In the order in which they would land.
    pub(super) entries: Vec<Entry>,
    pub(super) check: Check,
    /// The head that the line stands on, as far as known.
    pub(super) head: Option<CommitId>,
    /// The candidate that this head landed for: what is verified already stands on that one.
    pub(super) stand_in: Option<CommitId>,
    /// The verdicts that may be used again.
    pub(super) verdicts: BTreeMap<String, Kept>,
    /// Why.
    pub(super) purpose: Purpose,
    /// The number of the run, and its pooled worktree, should there be one.
    pub(super) number: u32,
    pub(super) slot: u32,
}

/// Seconds between the polite and the hard end of a run.
const GRACE: u64 = 5;
/// Bytes of output of a run that are kept.
const LOG_CAP: u64 = 4 << 20;
/// How long a command of a fingerprint may take.
const FINGERPRINT_TIME: Duration = Duration::from_secs(30);

/// Fold them onto each other in memory; verify that, unless the answer is known.
///
/// # Errors
/// Where git fails.
pub(super) fn candidate(world: &World, wanted: &Wanted) -> Result<Vec<Event>, String> {
    let words = |error: GitError| error.words();
    let target = &wanted.target;
    let refused = |task, refusal| vec![Event::LandingRefused { task, refusal }];
    let head = match landing::head(world, target).map_err(words)? {
        Ok(head) => head,
        Err(hold) => {
            let hold = || Refusal::Held(hold.clone());
            return Ok(wanted.entries.iter().flat_map(|entry| refused(entry.task(), hold())).collect());
        }
    };
    if wanted.head.is_some_and(|known| known != head) {
        return Ok(vec![Event::HeadSeen { target: target.clone(), head }]);
    }
    let entries = match wanted.purpose {
        Purpose::Land => wanted.entries.as_slice(),
        Purpose::Baseline | Purpose::Blame | Purpose::Early => &[],
    };
    let stand_in = wanted.stand_in.filter(|commit| world.repository.tree_of(*commit).is_ok());
    let on_stand_in = stand_in.map(|commit| Ok((commit, chain(world, entries, commit)?))).transpose();
    let (start, (steps, driven)) = match on_stand_in.map_err(words)? {
        Some((start, Ok(chain))) => (start, chain),
        // What is refused is told of the head that everybody sees.
        _ => match chain(world, entries, head).map_err(words)? {
            Ok(chain) => (head, chain),
            Err((task, refusal)) => return Ok(refused(task, refusal)),
        },
    };
    let predicted = steps.last().map_or(start, |step| step.commit);
    let run = Run { driven, ..run_of(world, wanted, head, steps, predicted)? };
    let known = wanted.verdicts.get(&run.key).filter(|kept| is_fresh(&wanted.check, kept));
    // Nothing is left to check, or all of it was checked before.
    if predicted == start && run.purpose == Purpose::Land || run.command.is_empty() {
        return Ok(vec![Event::VerdictReused { run: Box::new(run), verdict: Verdict::Green, times: 1 }]);
    }
    if let Some(kept) = known {
        let run = Run { number: kept.run, ..run };
        let event =
            Event::VerdictReused { run: Box::new(run), verdict: kept.verdict.clone(), times: kept.times.min(2) };
        return Ok(vec![event]);
    }
    let pin = RefChange::Set(candidate_pin(run.number), predicted);
    match world.refs.update(&[pin], "pleach: verify").map_err(words)? {
        Swap::Done => Ok(vec![Event::VerifyStarted { run: Box::new(run) }]),
        Swap::Refused(words) => Err(words),
    }
}

/// The steps of a candidate, and what a merge driver did for them.
type Chain = (Vec<Step>, Vec<Driven>);

/// Fold them onto each other, the first onto this head; or the first that does not go in, and why.
fn chain(world: &World, entries: &[Entry], head: CommitId) -> Result<Result<Chain, (TaskId, Refusal)>, GitError> {
    let (mut steps, mut driven): Chain = Default::default();
    let mut predicted = head;
    for entry in entries {
        let before: Vec<TaskId> = steps.iter().map(|step| step.task).collect();
        let (plan, merged) = landing::plan_on(world, entry, predicted, &before)?;
        driven.extend(merged);
        match plan {
            Plan::Land(commit) => predicted = commit,
            Plan::Already => {}
            Plan::Refused(refusal) => return Ok(Err((entry.task(), refusal))),
        }
        steps.push(Step { task: entry.task(), commit: predicted });
    }
    Ok(Ok((steps, driven)))
}

fn is_fresh(check: &Check, kept: &Kept) -> bool {
    let age = clock::now().duration_since(kept.at).as_secs();
    check.expire.is_none_or(|limit| u64::try_from(age).is_ok_and(|age| age <= limit))
}

/// Verify a result by itself, on its own base, unless what that gives is known.
///
/// # Errors
/// Where git fails.
pub(super) fn alone(world: &World, wanted: &Wanted) -> Result<Vec<Event>, String> {
    let Some((task, (base, tip))) = wanted.entries.first().and_then(|entry| Some((entry.task(), entry.change()?)))
    else {
        return Ok(Vec::new());
    };
    let run = run_of(world, wanted, base, vec![Step { task, commit: tip }], tip)?;
    if let Some(kept) = wanted.verdicts.get(&run.key).filter(|kept| is_fresh(&wanted.check, kept)) {
        let run = Run { number: kept.run, ..run };
        return Ok(of_it_alone(&run, task, &kept.verdict).into_iter().collect());
    }
    Ok(vec![Event::VerifyStarted { run: Box::new(run) }])
}

fn run_of(world: &World, wanted: &Wanted, head: CommitId, steps: Vec<Step>, commit: CommitId) -> Result<Run, String> {
    let words = |error: GitError| error.words();
    let check = &wanted.check;
    let tree = world.repository.tree_of(commit).map_err(words)?;
    let fingerprint = fingerprint(world, check, wanted)?;
    let name = |what: &str, command: &str| format!("{what} {:.16}", digest(&format!("{command}\0{fingerprint}")));
    let (mut commands, mut keys) = (Vec::new(), Vec::new());
    for scope in &check.scopes {
        let parts = scope.paths.iter().map(|path| part(world, commit, path)).collect::<Result<Vec<_>, _>>()?;
        let key = name(&format!("{:.16}", digest(&parts.join("\0"))), &scope.command);
        let is_known = |kept: &Kept| kept.verdict == Verdict::Green && is_fresh(check, kept) && !check.no_cache;
        if !wanted.verdicts.get(&key).is_some_and(is_known) {
            commands.push(format!("( {}\n)", scope.command));
        }
        keys.push(key);
    }
    if check.scopes.is_empty() {
        commands.push(check.command.clone());
    }
    let key = match keys.as_slice() {
        [] => name(&tree.to_string(), &check.command),
        [one] => one.clone(),
        several => format!("scopes {:.16}", digest(&several.join("\0"))),
    };
    Ok(Run {
        number: wanted.number,
        target: wanted.target.clone(),
        head,
        steps,
        tree,
        also: keys.into_iter().filter(|part| *part != key).collect(),
        key,
        command: commands.join(" &&\n"),
        slot: wanted.slot,
        purpose: wanted.purpose,
        driven: Vec::new(),
        check: (wanted.purpose == Purpose::Baseline).then(|| Box::new(check.clone())),
        is_past: false,
    })
}

/// What is at a path of a commit, by its object name.
fn part(world: &World, commit: CommitId, path: &Word) -> Result<String, String> {
    let mut name = std::ffi::OsString::from(format!("{commit}:"));
    name.push(path.as_os_str());
    let answer = world.repository.git().args(["rev-parse", "--verify", "--quiet"]).arg(name).output();
    answer.map(|answer| String::from_utf8_lossy(&answer.stdout).trim().to_owned()).map_err(|error| error.words())
}

/// What a verdict depends on beside the tree, as one text.
fn fingerprint(world: &World, check: &Check, wanted: &Wanted) -> Result<String, String> {
    let Fingerprint { commands, variables, files } = &check.fingerprint;
    if commands.is_empty() && variables.is_empty() && files.is_empty() {
        return Ok(String::new());
    }
    let environment = environment_of(world, check)?;
    let mut text = String::new();
    for name in variables {
        text.push_str(&format!("{name}={}\0", environment.get(name).map(Word::shown).unwrap_or_default()));
    }
    for command in commands {
        let tool = Tool::new("timeout").arg(FINGERPRINT_TIME.as_secs().to_string()).args(["sh", "-c", command]);
        let tool =
            environment.iter().fold(tool.env_clear().dir("/"), |tool, (name, value)| tool.env(name, value.as_os_str()));
        let answer = tool.output().map_err(|error| format!("`{command}`: {}", error.words()))?;
        text.push_str(&format!("{:?}{}{}\0", answer.code, String::from_utf8_lossy(&answer.stdout), answer.stderr));
    }
    let checkout = wanted.entries.iter().find_map(Entry::checkout);
    for file in files {
        let bytes =
            checkout.map(|checkout| checkout.as_path().join(file.as_path())).and_then(|path| std::fs::read(path).ok());
        text.push_str(&format!("{}\0", bytes.map(|bytes| digest_of(&bytes)).unwrap_or_default()));
    }
    Ok(text)
}

pub(super) fn environment_of(world: &World, check: &Check) -> Result<BTreeMap<String, Word>, String> {
    let stored = check.environment.as_deref().map(|name| environment::find(&world.layout, name)).transpose();
    stored.map(Option::unwrap_or_default).map_err(|error| error.to_string())
}

/// The name that git would give a text.
pub(super) fn digest(text: &str) -> String {
    digest_of(text.as_bytes())
}

/// The name that git would give these bytes.
fn digest_of(bytes: &[u8]) -> String {
    git2::Oid::hash_object(git2::ObjectType::Blob, bytes).map(|id| id.to_string()).unwrap_or_default()
}

/// Bring the run up.
///
/// # Errors
/// Where it cannot be started now.
pub(super) fn verify(world: &World, run: &Run, check: &Check, disk_floor: u64) -> Result<Option<Child>, String> {
    let attempt = attempt_of(run.number);
    let dir = world.layout.attempt(attempt);
    let failed = |error: crate::store::StoreError| error.to_string();
    for path in [&dir.0, &dir.tmp()] {
        crate::store::make_dir(path).map_err(failed)?;
    }
    if record::load::<Spec>(&dir.spec()).ok().flatten().is_none() {
        told::verify(run, &dir).map_err(failed)?;
        record::save(&dir.spec(), &Spec { disk_floor, ..spec(world, run, check)? }, Durable::No).map_err(failed)?;
    }
    launch::spawn_shim(world, attempt)
}

fn spec(world: &World, run: &Run, check: &Check) -> Result<Spec, String> {
    let attempt = attempt_of(run.number);
    let dir = world.layout.attempt(attempt);
    let (tree, private) = world.layout.slot(run.slot);
    let mut environment = environment_of(world, check)?;
    let own = [
        ("PLEACH_VERIFY", Word::from(run.number.to_string())),
        ("TMPDIR", dir.tmp().into()),
        ("CI", "1".into()),
        told::variable(&dir),
    ];
    environment.extend(own.into_iter().map(|(name, value)| (name.to_owned(), value)));
    let commit = run.steps.last().map_or(run.head, |step| step.commit);
    Ok(Spec {
        tenant: None,
        agent: None,
        attempt,
        repository: world.repository.common_dir().into(),
        worktree: tree.into(),
        base: commit,
        directory: Word::from(Vec::new()),
        command: CommandLine::Shell(run.command.as_str().into()),
        environment,
        secrets: Vec::new(),
        warnings: Vec::new(),
        keep_secrets: false,
        setup: None,
        timeout: check.timeout,
        grace: GRACE,
        log_cap: LOG_CAP,
        message: String::new(),
        checkout: None,
        called: None,
        disk_floor: 0,
        provider: None,
        slot_lock: None,
        sandbox: check.sandbox.clone(),
        candidate: Some(Candidate { tree: run.tree, private: private.into() }),
    })
}

/// Take its answer. One that never ran is over without any.
///
/// # Errors
/// Where it cannot be had now.
pub(super) fn judge(world: &World, run: &Run) -> Result<Vec<Event>, String> {
    let attempt = attempt_of(run.number);
    let dir = world.layout.attempt(attempt);
    let failed = |error: crate::store::StoreError| error.to_string();
    let mut exit: Option<Exit> = record::load(&dir.exit()).map_err(failed)?;
    let started = record::load::<record::Run>(&dir.run()).ok().flatten();
    if exit.is_none() {
        if started.is_none() && launch::claim(world, attempt).map_err(failed)? {
            return ended(world, run, Verdict::Cancelled, 0, 0);
        }
        launch::salvage_run(world, attempt)?;
        exit = record::load(&dir.exit()).map_err(failed)?;
    }
    let Some(exit) = exit else { return Ok(Vec::new()) };
    let wall = started.map_or(0, |started| exit.ended.duration_since(started.started).as_millis());
    ended(world, run, verdict(&exit), u64::try_from(wall).unwrap_or(0), exit.cpu_ms)
}

fn ended(world: &World, run: &Run, verdict: Verdict, wall_ms: u64, cpu_ms: u64) -> Result<Vec<Event>, String> {
    let pin = candidate_pin(run.number);
    if let Some(commit) = world.repository.ref_value(&pin).map_err(|error| error.words())? {
        let swap = world.refs.update(&[RefChange::Delete(pin, commit)], "pleach: unpin");
        if let Swap::Refused(words) = swap.map_err(|error| error.words())? {
            return Err(words);
        }
    }
    let alone = run.tasks().next().and_then(|task| of_it_alone(run, task, &verdict));
    Ok([Event::VerifyEnded { run: run.number, verdict, wall_ms, cpu_ms }].into_iter().chain(alone).collect())
}

/// What a run of one result by itself says of that.
fn of_it_alone(run: &Run, task: TaskId, verdict: &Verdict) -> Option<Event> {
    match run.purpose {
        Purpose::Land | Purpose::Baseline => None,
        Purpose::Blame => {
            let by_itself = verdict.is_about_the_tree().then(|| verdict.is_red());
            Some(Event::Blamed { task, by_itself })
        }
        // Called off because somebody merges it: then that is verified.
        Purpose::Early if *verdict == Verdict::Cancelled => None,
        Purpose::Early => {
            let early = Early { tip: run.steps.first()?.commit, run: run.number, verdict: verdict.clone() };
            Some(Event::VerifiedEarly { task, early })
        }
    }
}

fn verdict(exit: &Exit) -> Verdict {
    let broken = |reason: String| Verdict::Broken { reason };
    match (&exit.outcome, &exit.verified) {
        (Outcome::TimedOut, _) => Verdict::TimedOut,
        (Outcome::Cancelled, _) => Verdict::Cancelled,
        // What the shell says where there is no such program: no tree is to blame.
        (Outcome::Exited { code: 127, .. }, _) => broken("its command was not found".to_owned()),
        (Outcome::Exited { code: 126, .. }, _) => broken("its command may not be executed".to_owned()),
        (Outcome::Exited { code: 0, .. }, Some(Verified { is_same_tree: true, rewritten })) if rewritten.is_empty() => {
            Verdict::Green
        }
        (Outcome::Exited { code: 0, .. }, Some(Verified { rewritten, .. })) => {
            Verdict::Dirty { paths: rewritten.clone() }
        }
        (Outcome::Exited { code, .. }, Some(_)) => Verdict::Red { code: Some(*code) },
        (Outcome::Signalled { .. }, Some(_)) => Verdict::Red { code: None },
        (outcome, _) => broken(outcome.to_string()),
    }
}

/// The check of a line cannot be run, or its target does not pass it: its results wait for somebody who mends that.
pub(super) fn given_up(state: &State, target: &BranchName, tasks: &[TaskId]) -> Vec<Event> {
    let Some(line) = state.lines().line(target) else { return Vec::new() };
    let failures = line.failures.as_slice();
    let reason = failures
        .last()
        .map_or_else(String::new, |(run, verdict)| format!("{verdict}, {} times in a row (run {run})", failures.len()));
    let hold = match (failures, line.baseline.red.last(), line.head) {
        ([], Some((run, verdict)), Some(onto)) => Hold::RedTarget { onto, run: *run, verdict: verdict.clone() },
        _ => Hold::Unverified { reason, run: failures.last().map(|(run, _)| *run) },
    };
    let refusal = || Refusal::Held(hold.clone());
    tasks.iter().map(|task| Event::LandingRefused { task: *task, refusal: refusal() }).collect()
}

/// A result breaks its target: what is known of that.
pub(super) fn rejected(state: &State, task: TaskId) -> Option<Event> {
    let (TaskState::Queued { request, .. } | TaskState::Landing { request, .. }) = &state.task(task)?.state else {
        return None;
    };
    let line = state.lines().line(&request.target)?;
    let reds: Vec<_> = line.red.iter().filter(|red| red.tasks == [task]).collect();
    // An answer that was known may count twice, and is one run all the same.
    let runs: BTreeSet<u32> = reds.iter().map(|red| red.run).collect();
    let rejection = Rejection {
        runs: runs.into_iter().collect(),
        verdict: reds.last()?.verdict.clone(),
        onto: line.head?,
        by_itself: None,
        is_tried: false,
    };
    Some(Event::LandingRefused { task, refusal: Refusal::Rejected(rejection) })
}
