//! How pleach behaves with many tasks, and how long its verbs keep somebody who types them, each beside a named baseline of the
//! same run.
//!
//! `cargo bench --bench scale` is the small one, `-- --full` the whole, `-- --json` prints JSON. `pueue` is measured where it is
//! on the path (`cargo install pueue`). Machines are noisy: trust the ratios, and those only when they are large.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a bench is its own user")]

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pleach::core::change::{Change, Collected, Size};
use pleach::core::decide::decide;
use pleach::core::event::{Event, Facts, Record};
use pleach::core::id::{AttemptId, CommitId, TaskId};
use pleach::core::inventory::{Inventory, Shim};
use pleach::core::outcome::Outcome;
use pleach::core::policy::Limits;
use pleach::core::state::State;
use pleach::core::task::TaskSpec;
use pleach::store::Layout;
use pleach::store::journal::Journal;

const PLEACH: &str = env!("CARGO_BIN_EXE_pleach");
const HISTORY: u64 = 1000;

fn main() {
    let flags: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| flags.iter().any(|given| given == flag);
    let (pending, running, rounds) = if has("--full") { (10_000, 200, 31) } else { (2_000, 20, 7) };
    let mut rows = decisions(pending, running);
    rows.extend(verbs(rounds));
    rows.push(cold_add(rounds));
    rows.extend(many_at_once(if has("--full") { 1000 } else { 100 }));
    rows.extend(crowd(pending, running));
    if has("--json") { print_json(&rows) } else { print_table(&rows) }
}

/// One line of the table: less is better.
struct Row {
    what: String,
    ours: f64,
    unit: &'static str,
    baseline: Option<(String, f64)>,
    goal: &'static str,
}

fn print_table(rows: &[Row]) {
    println!("{:<58} {:>12} {:>12} {:>7}  goal; baseline", "what", "pleach", "baseline", "ratio");
    for row in rows {
        let ours = format!("{:.1} {}", row.ours, row.unit);
        let (theirs, ratio, name) = match &row.baseline {
            Some((name, value)) => {
                (format!("{value:.1} {}", row.unit), format!("{:.1}x", value / row.ours), name.as_str())
            }
            None => (String::new(), String::new(), ""),
        };
        println!("{:<58} {ours:>12} {theirs:>12} {ratio:>7}  {}; {name}", row.what, row.goal);
    }
}

fn print_json(rows: &[Row]) {
    let rows = rows.iter().map(|row| {
        let baseline = row.baseline.as_ref().map(|(name, value)| serde_json::json!({ "name": name, "value": value }));
        serde_json::json!({ "what": row.what, "value": row.ours, "unit": row.unit, "baseline": baseline, "goal": row.goal })
    });
    println!("{}", serde_json::Value::Array(rows.collect()));
}

/// A repository in a home of its own.
struct Bench {
    _dir: tempfile::TempDir,
    root: PathBuf,
    top: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let top = root.join("repo");
        for file in 0..200 {
            let path = top.join(format!("d{}/f{file}.txt", file % 20));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("file {file}\n").repeat(40)).unwrap();
        }
        let bench = Self { _dir: dir, root, top };
        bench.git(&["init", "-q", "-b", "main"]);
        bench.git(&["config", "user.name", "Bench"]);
        bench.git(&["config", "user.email", "bench@example.com"]);
        bench.git(&["add", "-A"]);
        bench.git(&["commit", "-qm", "first"]);
        bench
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(&self.top).env("HOME", &self.root).env_remove("XDG_CONFIG_HOME");
        command.env("PLEACH_STATE_DIR", self.root.join("state")).env("PLEACH_IDLE_SECONDS", "60");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn git(&self, args: &[&str]) {
        assert!(self.command("git", args).status().unwrap().success(), "git {args:?}");
    }

    fn commit(&self, name: &str) -> CommitId {
        let output = self.command("git", &["rev-parse", name]).stdout(Stdio::piped()).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    }

    /// Milliseconds that it takes.
    fn time(&self, program: &str, args: &[&str]) -> f64 {
        let begun = Instant::now();
        let status = self.command(program, args).status().unwrap();
        assert!(status.success(), "{program} {args:?}");
        begun.elapsed().as_secs_f64() * 1000.0
    }

    fn coordinator(&self) -> Coordinator {
        let common = self.top.join(".git");
        Layout::make(&common, &self.root.join("state")).unwrap();
        let child = self.command(PLEACH, &["__coordinator", common.to_str().unwrap()]).spawn().unwrap();
        let socket = common.join("pleach/socket");
        until(|| std::os::unix::net::UnixStream::connect(&socket).is_ok());
        Coordinator(child)
    }

    /// A journal with so many tasks that ended well and were discarded.
    fn history(&self, tasks: u64) {
        let layout = Layout::make(&self.top.join(".git"), &self.root.join("state")).unwrap();
        let (mut journal, mut state) = Journal::open(&layout).unwrap();
        // What does not exist would be looked for by git.
        self.git(&["commit", "-q", "--allow-empty", "-m", "second"]);
        let [base, tip] = ["HEAD~", "HEAD"].map(|name| self.commit(name));
        let records: Vec<Record> = (1..=tasks).flat_map(|number| past(number, base, tip)).collect();
        records.iter().for_each(|record| state.apply(record).unwrap());
        journal.append(&records).unwrap();
        journal.compact(&state).unwrap();
    }
}

/// It goes with the bench, whatever happens.
struct Coordinator(Child);

impl Drop for Coordinator {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

fn until(fact: impl Fn() -> bool) {
    let begun = Instant::now();
    while !fact() {
        assert!(begun.elapsed() < Duration::from_secs(300), "it never came true");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn spec(number: u64) -> TaskSpec {
    serde_json::from_value(serde_json::json!({
        "command": { "shell": format!("npx eslint --fix packages/p{number}") },
        "base": "0123456789abcdef0123456789abcdef01234567", "target": "main", "request": format!("{number:016x}"),
    }))
    .unwrap()
}

fn record(event: Event) -> Record {
    Record { at: "2026-01-01T00:00:00Z".parse().unwrap(), event }
}

fn past(number: u64, base: CommitId, tip: CommitId) -> Vec<Record> {
    let task = TaskId(number);
    let attempt = AttemptId { task, number: 1 };
    let size = Size { commits: 1, files: 3, insertions: 10, deletions: 2 };
    let change = Change { tip, branch: None, size, flags: Vec::new(), extras: Vec::new() };
    let result = Collected::Change(Box::new(change));
    let events = [
        Event::Submitted { task, spec: Box::new(TaskSpec { base, ..spec(number) }) },
        Event::Started { attempt, base },
        Event::Ended { attempt, outcome: Outcome::exited(0), result, facts: Facts::default() },
        Event::Removed { attempt },
        Event::Discarded { task },
    ];
    events.into_iter().map(record).collect()
}

/// What one decision costs, and one event: with many tasks, and with a hundredth of them.
fn decisions(pending: u64, running: u64) -> Vec<Row> {
    let (few_decide, few_apply) = decision(pending / 100, running / 10);
    let (decide, apply) = decision(pending, running);
    let row = |what: &str, ours, few| Row {
        what: format!("{what}, {pending} pending and {running} running"),
        ours,
        unit: "µs",
        baseline: Some((format!("{} and {}", pending / 100, running / 10), few)),
        goal: "no scan of what waits",
    };
    vec![row("a decision", decide, few_decide), row("an event", apply, few_apply)]
}

fn decision(pending: u64, running: u64) -> (f64, f64) {
    let mut state = State::default();
    let mut seen = Inventory::default();
    for number in 1..=pending + running {
        state.apply(&record(Event::Submitted { task: TaskId(number), spec: Box::new(spec(number)) })).unwrap();
    }
    for number in 1..=running {
        let attempt = AttemptId { task: TaskId(number), number: 1 };
        state.apply(&record(Event::Started { attempt, base: spec(number).base })).unwrap();
        seen.shims.insert(attempt, Shim::Alive);
    }
    // One slot is free, so that somebody is to be chosen.
    let limits = Limits { tasks: running as usize + 1, ..Limits::default() };
    let now = "2026-01-01T01:00:00Z".parse().unwrap();
    let rounds = 200;
    let begun = Instant::now();
    (0..rounds).for_each(|_| drop(black_box(decide(&state, &seen, &limits, now))));
    let decided = begun.elapsed().as_secs_f64() * 1e6 / f64::from(rounds);
    let last = TaskId(pending + running);
    let events: Vec<Record> = (0..rounds)
        .map(|round| {
            let priority = if round % 2 == 0 { "high" } else { "low" }.parse().unwrap();
            record(Event::Prioritized { task: last, priority })
        })
        .collect();
    let begun = Instant::now();
    events.iter().for_each(|event| state.apply(event).unwrap());
    (decided, begun.elapsed().as_secs_f64() * 1e6 / f64::from(rounds))
}

/// What looks and changes nothing, in a repository with a history.
fn verbs(rounds: usize) -> Vec<Row> {
    let bench = Bench::new();
    bench.history(HISTORY);
    let verbs: [(&str, &[&str], &'static str); 6] = [
        ("--version", &["--version"], "3 ms"),
        ("ls", &["ls"], "10 ms"),
        ("status", &["status", "7"], "10 ms"),
        ("queue", &["queue"], "10 ms"),
        ("ls --json", &["ls", "--json"], "10 ms"),
        ("agents", &["agents"], "10 ms"),
    ];
    let measure = |(name, args, goal): (&str, &[&str], &'static str)| {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            ours.push(bench.time(PLEACH, args));
            theirs.push(bench.time("git", &["--version"]));
        }
        let baseline = Some(("git --version".to_owned(), median(theirs)));
        Row { what: format!("{name}, {HISTORY} tasks of history"), ours: median(ours), unit: "ms", baseline, goal }
    };
    verbs.into_iter().map(measure).collect()
}

/// `add` where no coordinator is up.
fn cold_add(rounds: usize) -> Row {
    let bench = Bench::new();
    bench.time(PLEACH, &["pause"]);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds.min(11) {
        let lock = bench.top.join(".git/pleach/socket");
        let _ = Command::new("pkill").args(["-f", &format!("__coordinator {}", bench.top.display())]).status();
        until(|| std::os::unix::net::UnixStream::connect(&lock).is_err());
        ours.push(bench.time(PLEACH, &["add", "true"]));
        theirs.push(bench.time("git", &["status", "--short"]));
    }
    let _ = Command::new("pkill").args(["-f", &format!("__coordinator {}", bench.top.display())]).status();
    let baseline = Some(("git status on 200 files".to_owned(), median(theirs)));
    Row { what: "add, cold coordinator".to_owned(), ours: median(ours), unit: "ms", baseline, goal: "60 ms" }
}

/// So many tasks put in the queue, by one plan and one by one.
fn many_at_once(tasks: usize) -> Vec<Row> {
    let bench = Bench::new();
    let _coordinator = bench.coordinator();
    bench.time(PLEACH, &["pause"]);
    let mut plan = String::new();
    for number in 0..tasks {
        let _ = write!(plan, "[[task]]\nname = \"t{number}\"\ncommand = \"true\"\n");
    }
    fs::write(bench.root.join("plan.toml"), plan).unwrap();
    let file = bench.root.join("plan.toml");
    let by_plan = bench.time(PLEACH, &["run", "--detach", file.to_str().unwrap()]);
    let one_by_one = |program: &str, args: &[&str]| (0..tasks).map(|_| bench.time(program, args)).sum::<f64>();
    let adds = one_by_one(PLEACH, &["add", "true"]);
    let pueue = pueue(&bench, tasks);
    let row = |what: String, ours, goal| Row { what, ours, unit: "ms", baseline: pueue.clone(), goal };
    vec![
        row(format!("{tasks} tasks by one plan"), by_plan, "1000 ms for 1,000"),
        row(format!("{tasks} tasks by {tasks} adds"), adds, "3 times faster"),
    ]
}

fn pueue(bench: &Bench, tasks: usize) -> Option<(String, f64)> {
    let daemon = bench.command("pueued", &[]).spawn().ok()?;
    let _daemon = Coordinator(daemon);
    let is_up = || bench.command("pueue", &["pause"]).status().is_ok_and(|status| status.success());
    until(is_up);
    Some((format!("{tasks} times pueue add"), (0..tasks).map(|_| bench.time("pueue", &["add", "true"])).sum()))
}

/// A coordinator with many tasks that wait and many that run, while nothing happens.
fn crowd(pending: u64, running: u64) -> Vec<Row> {
    let bench = Bench::new();
    let mut plan = String::new();
    for number in 0..pending + running {
        let _ = write!(plan, "[[task]]\nname = \"t{number}\"\ncommand = \"sleep 600\"\n");
    }
    fs::write(bench.root.join("plan.toml"), plan).unwrap();
    fs::create_dir_all(bench.root.join(".config/pleach")).unwrap();
    let config = format!("[run]\nconcurrency = {running}\n[sandbox]\ntier = \"none\"\n");
    fs::write(bench.root.join(".config/pleach/config.toml"), config).unwrap();
    let coordinator = bench.coordinator();
    let pid = coordinator.0.id();
    let file = bench.root.join("plan.toml");
    bench.time(PLEACH, &["run", "--detach", file.to_str().unwrap()]);
    let is_running = || {
        let attempts = fs::read_dir(bench.root.join("state")).into_iter().flatten().flatten();
        let attempts = attempts.filter_map(|dir| fs::read_dir(dir.path().join("attempts")).ok()).flatten().flatten();
        attempts.filter(|attempt| attempt.path().join("run.json").exists()).count() as u64 >= running
    };
    until(is_running);
    std::thread::sleep(Duration::from_secs(3));
    let window = Duration::from_secs(5);
    let before = ticks(pid);
    std::thread::sleep(window);
    let busy = (ticks(pid) - before) * 10.0 / window.as_secs_f64();
    let what = |text: &str| format!("{text}, {pending} pending and {running} running");
    let rows = vec![
        Row {
            what: what("a quiet second of the coordinator"),
            ours: busy,
            unit: "ms",
            baseline: None,
            goal: "no busy core",
        },
        Row {
            what: what("memory of the coordinator"),
            ours: memory_mb(pid),
            unit: "MB",
            baseline: None,
            goal: "stated",
        },
    ];
    bench.command(PLEACH, &["cancel", "--now", "--all"]).status().unwrap();
    drop(coordinator);
    let _ = Command::new("pkill").args(["-f", bench.root.to_str().unwrap()]).status();
    rows
}

/// Hundredths of a second of processor time.
fn ticks(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let numbers: Vec<f64> =
        stat.rsplit_once(')').unwrap().1.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    numbers[10] + numbers[11]
}

fn memory_mb(pid: u32) -> f64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}
