//! What a landing costs on a large checkout: ours, beside `git merge`, and beside the checkout that both have to do.
//!
//! `cargo bench --bench landing` uses 5,000 files, `-- --full` 50,000; `-- --json` prints JSON.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a bench is its own user")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use pleach::process::usage;

const PLEACH: &str = env!("CARGO_BIN_EXE_pleach");
const LANDINGS: usize = 20;

fn main() {
    let flags: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| flags.iter().any(|given| given == flag);
    let files = if has("--full") { 50_000 } else { 5_000 };
    let bench = Bench::new(files);
    let mut rows =
        vec![("git merge --no-ff", bench.git_merge()), ("the checkout alone (read-tree -m -u)", bench.checkout())];
    rows.push(("pleach merge", bench.ours()));
    // Processor time: on a noisy machine the wall says more of others than of us.
    let own = rows[2].1.cpu_ms - rows[1].1.cpu_ms;
    if has("--json") {
        let rows = rows
            .iter()
            .map(|(what, cost)| serde_json::json!({ "what": what, "wall_ms": cost.wall_ms, "cpu_ms": cost.cpu_ms }));
        println!("{}", serde_json::json!({ "files": files, "rows": rows.collect::<Vec<_>>(), "own_cpu_ms": own }));
        return;
    }
    println!("{files} files, {LANDINGS} landings of one file each, per landing:");
    for (what, cost) in &rows {
        println!("{what:<40} {:>8.1} ms wall {:>8.1} ms processor", cost.wall_ms, cost.cpu_ms);
    }
    let goal = if own <= 50.0 { "met" } else { "NOT MET" };
    println!("pleach beside the checkout: {own:.1} ms of processor, at most 50: {goal}");
}

/// Of one landing.
struct Cost {
    wall_ms: f64,
    cpu_ms: f64,
}

/// A repository in a home of its own, with its checkout.
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
            let path = top.join(format!("d{}/e{}/f{file}.txt", file % 97, file % 31));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("file {file}\n").repeat(20)).unwrap();
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
        command.args(args).current_dir(&self.top).env("HOME", &self.root).stdin(Stdio::null());
        command.env("PLEACH_STATE_DIR", self.root.join("state")).env("PLEACH_IDLE_SECONDS", "1");
        command.env_remove("XDG_CONFIG_HOME");
        command
    }

    fn git(&self, args: &[&str]) -> String {
        let output = self.command("git", args).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn pleach(&self, args: &[&str]) {
        let output = self.command(PLEACH, args).output().unwrap();
        assert!(output.status.success(), "pleach {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// As many branches as there will be landings, each with one file changed on the first commit.
    fn branches(&self) -> Vec<String> {
        let first = self.git(&["rev-parse", "main"]);
        let branch = |number: usize| {
            let name = format!("b{number}");
            let script = format!(
                "set -e; export GIT_INDEX_FILE=$PWD/.git/scratch; git read-tree {first}; \
                 blob=$(echo {number} | git hash-object -w --stdin); \
                 git update-index --add --cacheinfo 100644,$blob,d1/new{number}.txt; \
                 git branch -f {name} $(git commit-tree -p {first} -m {name} $(git write-tree))"
            );
            assert!(self.command("sh", &["-c", &script]).status().unwrap().success());
            name
        };
        (1..=LANDINGS).map(branch).collect()
    }

    fn back_to(&self, commit: &str) {
        self.git(&["reset", "-q", "--hard", commit]);
        self.git(&["status", "--short"]);
    }

    fn git_merge(&self) -> Cost {
        let (branches, first) = (self.branches(), self.git(&["rev-parse", "main"]));
        let cost = each(|| {
            for branch in &branches {
                self.git(&["merge", "-q", "--no-ff", "-m", branch, branch]);
            }
        });
        self.back_to(&first);
        cost
    }

    /// From each of the merged commits to the next: index and file, and nothing else.
    fn checkout(&self) -> Cost {
        let first = self.git(&["rev-parse", "main"]);
        for branch in self.branches() {
            self.git(&["merge", "-q", "--no-ff", "-m", &branch, &branch]);
        }
        let heads = self.git(&["rev-list", "--first-parent", "--reverse", &format!("{first}..main")]);
        self.back_to(&first);
        let cost = each(|| {
            let mut from = first.as_str();
            for to in heads.lines() {
                self.git(&["read-tree", "-m", "-u", from, to]);
                from = to;
            }
        });
        self.back_to(&first);
        cost
    }

    fn ours(&self) -> Cost {
        let mut coordinator = self.coordinator();
        let ids: Vec<String> = (1..=LANDINGS).map(|number| number.to_string()).collect();
        for id in &ids {
            self.pleach(&["add", &format!("echo {id} > d1/new{id}.txt")]);
        }
        self.pleach(&["wait"]);
        let begun = Instant::now();
        let before = usage::of_children().cpu_ms + cpu_ms(coordinator.id());
        let merge: Vec<&str> = std::iter::once("merge").chain(ids.iter().map(String::as_str)).collect();
        self.pleach(&merge);
        let wall_ms = begun.elapsed().as_secs_f64() * 1000.0;
        let cpu = usage::of_children().cpu_ms + cpu_ms(coordinator.id()) - before;
        assert_eq!(self.git(&["status", "--short"]), "");
        assert!(ids.iter().all(|id| self.top.join(format!("d1/new{id}.txt")).exists()));
        assert!(Command::new("kill").args(["-TERM", &coordinator.id().to_string()]).status().unwrap().success());
        coordinator.wait().unwrap();
        Cost { wall_ms: wall_ms / LANDINGS as f64, cpu_ms: cpu as f64 / LANDINGS as f64 }
    }

    fn coordinator(&self) -> std::process::Child {
        let common = self.top.join(".git");
        pleach::store::Layout::make(&common, &self.root.join("state")).unwrap();
        let child = self.command(PLEACH, &["__coordinator", common.to_str().unwrap()]).spawn().unwrap();
        while std::os::unix::net::UnixStream::connect(common.join("pleach/socket")).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        child
    }
}

/// Processor time of a process and of all its children that have ended.
fn cpu_ms(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = fields[11..15].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    ticks * 10
}

fn each(act: impl FnOnce()) -> Cost {
    let (begun, before) = (Instant::now(), usage::of_children().cpu_ms);
    act();
    let cpu = usage::of_children().cpu_ms - before;
    Cost { wall_ms: begun.elapsed().as_secs_f64() * 1000.0 / LANDINGS as f64, cpu_ms: cpu as f64 / LANDINGS as f64 }
}
