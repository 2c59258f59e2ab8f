//! What the main job costs, each figure beside a named baseline of the same run.
//!
//! `cargo bench` runs the small one, `cargo bench -- --full` the whole, `-- --json` prints JSON. The machine may be
//! noisy: trust the ratios, and those only when they are large.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a bench is its own user"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pleach::core::change::{Change, Collected, Size};
use pleach::core::event::{Event, Facts, Record};
use pleach::core::id::{AttemptId, TaskId};
use pleach::core::outcome::Outcome;
use pleach::core::task::{CommandLine, TaskSpec};
use pleach::process::usage;
use pleach::store::Layout;
use pleach::store::journal::Journal;

const PLEACH: &str = env!("CARGO_BIN_EXE_pleach");

fn main() {
    let flags: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| flags.iter().any(|given| given == flag);
    let mut rows = Vec::new();
    // Tasks, files, rounds, and how many times faster it should be in wall, in processor, and beside `xargs`.
    type Size = (usize, usize, usize, [Option<u32>; 3]);
    let sizes: &[Size] = match has("--full") {
        true => &[
            (100, 200, 5, [None; 3]),
            (100, 5000, 5, [Some(15), Some(8), Some(9)]),
            (20, 80_000, 3, [Some(25), None, None]),
        ],
        false => &[(20, 200, 3, [None; 3])],
    };
    for (tasks, files, rounds, goals) in sizes {
        rows.extend(many_tasks(*tasks, *files, *rounds, *goals));
    }
    rows.push(add_latency(if has("--full") { 50 } else { 15 }));
    rows.push(ls_with_history(10_000, if has("--full") { 21 } else { 7 }));
    rows.extend(memory());
    if has("--json") { print_json(&rows) } else { print_table(&rows) }
}

/// One line of the table.
struct Row {
    what: String,
    ours: f64,
    baseline: Option<(String, f64)>,
    unit: &'static str,
    /// How many times less than the baseline it should be.
    goal: Option<u32>,
}

fn print_table(rows: &[Row]) {
    println!("{:<58} {:>12} {:>12} {:>8}  baseline", "what", "pleach", "baseline", "ratio");
    for row in rows {
        let ours = format!("{:.1} {}", row.ours, row.unit);
        match &row.baseline {
            Some((name, value)) => {
                let theirs = format!("{value:.1} {}", row.unit);
                let ratio = value / row.ours;
                let met = |goal: u32| if ratio >= goal.into() { "met" } else { "NOT MET" };
                let goal = row.goal.map(|goal| format!("; goal {goal}x: {}", met(goal))).unwrap_or_default();
                println!("{:<58} {ours:>12} {theirs:>12} {ratio:>7.1}x  {name}{goal}", row.what);
            }
            None => println!("{:<58} {ours:>12}", row.what),
        }
    }
}

fn print_json(rows: &[Row]) {
    let rows = rows.iter().map(|row| {
        let baseline = row.baseline.as_ref().map(|(name, value)| serde_json::json!({ "name": name, "value": value }));
        serde_json::json!({ "what": row.what, "value": row.ours, "unit": row.unit, "baseline": baseline, "goal": row.goal.map(|goal| format!("{goal} times")) })
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
    fn new(files: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let top = root.join("repo");
        for file in 0..files {
            let path = top.join(format!("d{}/f{file}.txt", file % 50));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("file {file}\n").repeat(40)).unwrap();
        }
        let bench = Self { _dir: dir, root, top };
        bench.git(&["init", "-q", "-b", "main"]);
        bench.git(&["config", "user.name", "Bench"]);
        bench.git(&["config", "user.email", "bench@example.com"]);
        bench.git(&["config", "gc.auto", "0"]);
        bench.git(&["add", "-A"]);
        bench.git(&["commit", "-qm", "first"]);
        bench
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(&self.top)
            .env("HOME", &self.root)
            .env("PLEACH_STATE_DIR", self.root.join("state"));
        command.env("PLEACH_IDLE_SECONDS", "1").env_remove("XDG_CONFIG_HOME").stdin(Stdio::null());
        command
    }

    fn git(&self, args: &[&str]) {
        assert!(self.command("git", args).stdout(Stdio::null()).status().unwrap().success(), "git {args:?}");
    }

    fn pleach(&self, args: &[&str]) -> String {
        let output = self.command(PLEACH, args).output().unwrap();
        assert!(output.status.success(), "pleach {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn common_dir(&self) -> PathBuf {
        self.top.join(".git")
    }

    /// The coordinator as our own child, so that its processor time and that of all its tasks is counted as ours.
    fn coordinator(&self) -> Child {
        Layout::make(&self.common_dir(), &self.root.join("state")).unwrap();
        let child = self.command(PLEACH, &["__coordinator", self.common_dir().to_str().unwrap()]).spawn().unwrap();
        let socket = self.common_dir().join("pleach/socket");
        until(|| std::os::unix::net::UnixStream::connect(&socket).is_ok());
        child
    }
}

fn until(fact: impl Fn() -> bool) {
    let begun = Instant::now();
    while !fact() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never came true");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Wall and processor seconds of something, children included.
fn cost(act: impl FnOnce()) -> (f64, f64) {
    let (begun, before) = (Instant::now(), usage::of_children().cpu_ms);
    act();
    (begun.elapsed().as_secs_f64(), (usage::of_children().cpu_ms - before) as f64 / 1000.0)
}

/// So many tasks that write one file each, all folded into the branch: by one plan.
fn many_tasks(tasks: usize, files: usize, rounds: usize, goals: [Option<u32>; 3]) -> Vec<Row> {
    let ways: [fn(&Bench, usize); 3] = [ours, shell_loop, by_xargs];
    let mut costs = [const { (Vec::new(), Vec::new()) }; 3];
    for round in 1..=rounds {
        eprintln!("{tasks} tasks, {files} files: round {round} of {rounds}");
        for (way, (walls, cpus)) in ways.iter().zip(&mut costs) {
            let bench = Bench::new(files);
            let (wall, cpu) = cost(|| way(&bench, tasks));
            walls.push(wall);
            cpus.push(cpu);
        }
    }
    let [ours, by_loop, by_xargs] = costs.map(|(walls, cpus)| [median(walls), median(cpus)]);
    let names = [
        "shell loop of worktree add, commit, merge, worktree remove",
        "xargs -P, a lock around worktree add, serial merges",
    ];
    let row = |what: &str, place: usize, theirs: [f64; 2], name: &str, goal: Option<u32>| Row {
        what: format!("{tasks} one-file tasks, {files} files: {what}"),
        ours: ours[place],
        baseline: Some((name.to_owned(), theirs[place])),
        unit: "s",
        goal,
    };
    vec![
        row("wall", 0, by_loop, names[0], goals[0]),
        row("processor", 1, by_loop, names[0], goals[1]),
        row("wall", 0, by_xargs, names[1], goals[2]),
        row("processor", 1, by_xargs, names[1], None),
    ]
}

/// The same beside each other, as many at once as there are processors.
fn by_xargs(bench: &Bench, tasks: usize) {
    let script = format!(
        "set -e; seq {tasks} | xargs -P $(nproc) -I{{}} sh -c 'set -e; \
         (flock 9; git worktree add -q -b t{{}} ../w{{}} >/dev/null 2>&1) 9>../lock; \
         cd ../w{{}}; echo {{}} > new{{}}.txt; git add -A; git commit -qm t{{}}'; \
         for n in $(seq {tasks}); do git merge -q --no-ff -m m$n t$n; git worktree remove ../w$n; git branch -q -d t$n; done"
    );
    assert!(bench.command("sh", &["-c", &script]).status().unwrap().success());
    check(bench, tasks);
}

fn shell_loop(bench: &Bench, tasks: usize) {
    let script = format!(
        "set -e; for n in $(seq {tasks}); do git worktree add -q -b t$n ../w$n >/dev/null 2>&1; \
         (cd ../w$n; echo $n > new$n.txt; git add -A; git commit -qm t$n); \
         git merge -q --no-ff -m m$n t$n; git worktree remove ../w$n; git branch -q -d t$n; done"
    );
    assert!(bench.command("sh", &["-c", &script]).status().unwrap().success());
    check(bench, tasks);
}

fn ours(bench: &Bench, tasks: usize) {
    let mut coordinator = bench.coordinator();
    let items: Vec<String> = (1..=tasks).map(|task| task.to_string()).collect();
    let plan = serde_json::json!({ "name": "new", "task": [{
        "name": "file", "for_each": items, "command": "echo {item} > new{item}.txt", "fold": "auto",
    }] });
    fs::write(bench.root.join("plan.json"), plan.to_string()).unwrap();
    bench.pleach(&["run", "../plan.json"]);
    // What folds by itself is in when this comes back.
    bench.pleach(&["merge", "--plan", "new"]);
    check(bench, tasks);
    // The time in which it stays for more work is no cost of this work.
    let pid = coordinator.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    coordinator.wait().unwrap();
}

fn check(bench: &Bench, tasks: usize) {
    let there = (1..=tasks).filter(|n| bench.top.join(format!("new{n}.txt")).exists()).count();
    assert_eq!(there, tasks, "each task's file is in the checkout");
}

/// How long `add` keeps somebody who types it, with a coordinator that is up.
fn add_latency(rounds: usize) -> Row {
    let bench = Bench::new(200);
    let mut coordinator = bench.coordinator();
    bench.pleach(&["pause"]);
    let time = |program: &str, args: &[&str]| {
        let (wall, _) =
            cost(|| assert!(bench.command(program, args).stdout(Stdio::null()).status().unwrap().success()));
        wall * 1000.0
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(time(PLEACH, &["add", "true"]));
        theirs.push(time("git", &["rev-parse", "HEAD"]));
    }
    Command::new("kill").args(["-TERM", &coordinator.id().to_string()]).status().unwrap();
    coordinator.wait().unwrap();
    let baseline = Some(("git rev-parse HEAD".to_owned(), median(theirs)));
    Row { what: "add, warm coordinator".to_owned(), ours: median(ours), baseline, unit: "ms", goal: None }
}

/// `ls` in a repository with a long history.
fn ls_with_history(tasks: u64, rounds: usize) -> Row {
    let bench = Bench::new(200);
    let layout = Layout::make(&bench.common_dir(), &bench.root.join("state")).unwrap();
    let (mut journal, mut state) = Journal::open(&layout).unwrap();
    let mut records = Vec::new();
    for number in 1..=tasks {
        history(number, &mut records);
    }
    records.iter().for_each(|record| state.apply(record).unwrap());
    journal.append(&records).unwrap();
    journal.compact(&state).unwrap();
    let time = |program: &str, args: &[&str]| {
        let (wall, _) =
            cost(|| assert!(bench.command(program, args).stdout(Stdio::null()).status().unwrap().success()));
        wall * 1000.0
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(time(PLEACH, &["ls"]));
        theirs.push(time("git", &["status", "--short"]));
    }
    let baseline = Some(("git status on 200 files".to_owned(), median(theirs)));
    Row { what: format!("ls with {tasks} tasks of history"), ours: median(ours), baseline, unit: "ms", goal: None }
}

/// The events of one task that ended well and was discarded.
fn history(number: u64, records: &mut Vec<Record>) {
    let task = TaskId(number);
    let attempt = AttemptId { task, number: 1 };
    let base = "0123456789abcdef0123456789abcdef01234567".parse().unwrap();
    let spec: TaskSpec = serde_json::from_value(serde_json::json!({
        "command": CommandLine::Shell(format!("npx eslint --fix packages/p{number}").as_str().into()),
        "base": base, "target": "main", "environment": "0123456789abcdef", "request": format!("{number:016x}"),
        "checkout": "/home/somebody/code/project",
    }))
    .unwrap();
    let size = Size { commits: 1, files: 3, insertions: 10, deletions: 2 };
    let change = Change { tip: base, branch: None, size, flags: Vec::new(), extras: Vec::new() };
    let result = Collected::Change(Box::new(change));
    let events = [
        Event::Submitted { task, spec: Box::new(spec) },
        Event::Started { attempt, base },
        Event::Ended { attempt, outcome: Outcome::exited(0), result, facts: Facts::default() },
        Event::Removed { attempt },
        Event::Discarded { task },
    ];
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    records.extend(events.into_iter().map(|event| Record { at, event }));
}

/// What a shim and an idle coordinator keep for themselves.
fn memory() -> Vec<Row> {
    let bench = Bench::new(200);
    let mut coordinator = bench.coordinator();
    bench.pleach(&["add", "--timeout", "60s", "sleep 50"]);
    let shim = || children(coordinator.id()).into_iter().find(|pid| !children(*pid).is_empty());
    until(|| shim().is_some());
    let rows = vec![
        memory_row("memory of a shim, private", private_kb(shim().unwrap())),
        memory_row("memory of an idle coordinator, private", private_kb(coordinator.id())),
    ];
    bench.pleach(&["cancel", "--now", "1"]);
    Command::new("kill").args(["-TERM", &coordinator.id().to_string()]).status().unwrap();
    coordinator.wait().unwrap();
    rows
}

fn memory_row(what: &str, kb: u64) -> Row {
    Row { what: what.to_owned(), ours: kb as f64 / 1024.0, baseline: None, unit: "MB", goal: None }
}

fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.map(|thread| fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    let all: Vec<String> = std::iter::once(list).chain(lists).collect();
    let pids: BTreeMap<u32, ()> =
        all.iter().flat_map(|list| list.split_whitespace().filter_map(|pid| Some((pid.parse().ok()?, ())))).collect();
    pids.into_keys().collect()
}

/// Pages that this process has for itself. Pages of the program's file count for nobody, also where they are fresh
/// from the linker and not yet on the disk.
fn private_kb(pid: u32) -> u64 {
    let rollup = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("smaps_rollup")).unwrap();
    let own = rollup.lines().filter(|line| line.starts_with("Anonymous:"));
    own.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
}
