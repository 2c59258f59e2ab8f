//! What the sandbox adds to the start of a program: ours, beside `bwrap`, interleaved, so that what else goes on in the
//! machine meets all of them.
//!
//! `cargo bench --bench sandbox` does 400 rounds, `-- --rounds N` as many as are said; `-- --json` prints JSON,
//! `-- --only WORD` does only those whose name has this word, for a profile.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a bench is its own user")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pleach::core::sandbox::{Network, Policy, Tier};
use pleach::process::tree::{Children, become_subreaper, reap};
use pleach::process::usage::of_children;
use pleach::sandbox::{Cage, Group, Places, surroundings};
use rustix::time::{ClockId, clock_gettime};

/// How much of what `bwrap` adds may be added.
const GOAL: f64 = 0.5;

/// A task as it is by default, and one that has no network.
const TASK: &str = "full tier, as a task has it";
const ALONE: &str = "full tier, and no network";

/// One way to start a program.
type Start<'a> = (&'static str, Box<dyn Fn() + 'a>);

fn main() {
    let flags: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| flags.iter().any(|given| given == flag);
    let rounds = flags.iter().position(|flag| flag == "--rounds").and_then(|at| flags.get(at + 1)?.parse().ok());
    let rounds = rounds.unwrap_or(400);
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let task = places(&root);
    let work = root.join("state/worktrees/1.1");
    let bare = Places { work: work.clone(), worktree: work, ..Places::default() };
    let alone = Policy { network: Network::None, ..Policy::default() };
    let open = Policy::default();
    let has_bwrap = plain(&["bwrap", "--unshare-all", "--dev-bind", "/", "/", "/bin/true"]);
    if !has_bwrap {
        println!("bwrap is not here or does not work: there is nothing to compare with");
    }
    let mut starts: Vec<Start<'_>> = vec![
        ("bare", Box::new(|| assert!(plain(&["/bin/true"])))),
        (TASK, Box::new(|| caged(Tier::Full, &open, &task))),
        (ALONE, Box::new(|| caged(Tier::Full, &alone, &task))),
        ("full tier, and nothing to hide", Box::new(|| caged(Tier::Full, &alone, &bare))),
        ("reduced tier", Box::new(|| caged(Tier::Reduced, &open, &task))),
        ("full tier, made ready only", Box::new(|| drop(ready(Tier::Full, &open, &task)))),
    ];
    if has_bwrap {
        let unshare: &[&str] = &["bwrap", "--unshare-all", "--dev-bind", "/", "/", "/bin/true"];
        starts.push(("bwrap --unshare-all", Box::new(move || assert!(plain(unshare)))));
        // As far as it can be told to do what we do.
        let alike: &[&str] = &[
            "bwrap",
            "--unshare-user",
            "--unshare-ipc",
            "--unshare-pid",
            "--ro-bind",
            "/",
            "/",
            "--dev",
            "/dev",
            "--proc",
            "/proc",
            "--tmpfs",
            "/tmp",
            "/bin/true",
        ];
        if plain(alike) {
            starts.push(("bwrap, its network left", Box::new(move || assert!(plain(alike)))));
        }
    }
    if let Some(only) = flags.iter().position(|flag| flag == "--only").and_then(|at| flags.get(at + 1)) {
        // For a profile of one of them.
        starts.retain(|(what, _)| what.contains(only.as_str()));
        measure(&starts, rounds).iter().for_each(|cost| println!("{:.0} us", cost.median));
        return;
    }
    let costs = measure(&starts, rounds);
    report(&starts, &costs, rounds, has("--json"));
}

/// What one way costs, in microseconds.
#[derive(Clone, Copy, Default)]
struct Cost {
    /// From the start to the end, as it mostly is.
    median: f64,
    /// A quarter of all is faster: what it is when nothing else is in the way.
    quarter: f64,
    /// Processor time of us and of all processes that come of it, on average.
    processor: f64,
}

fn report(starts: &[Start<'_>], costs: &[Cost], rounds: usize, json: bool) {
    let place = |name: &str| starts.iter().position(|(what, _)| *what == name);
    let ratio = |ours: &str, of: &dyn Fn(&Cost) -> f64| {
        let added = |name: &str| Some(of(&costs[place(name)?]) - of(&costs[0]));
        Some(added(ours)? / added("bwrap --unshare-all")?)
    };
    let ratios = |ours| {
        [ratio(ours, &|cost| cost.median), ratio(ours, &|cost| cost.quarter), ratio(ours, &|cost| cost.processor)]
    };
    // What a task costs by default, and the one that has a network of its own as theirs does.
    let all = [TASK, ALONE].map(|ours| (ours, ratios(ours)));
    if json {
        let row = |(what, cost): (&str, &Cost)| serde_json::json!({ "what": what, "median_us": cost.median, "quarter_us": cost.quarter, "processor_us": cost.processor });
        let rows: Vec<_> = starts.iter().map(|(what, _)| *what).zip(costs).map(row).collect();
        let ratios = all.map(|(what, [median, quarter, processor])| serde_json::json!({ "what": what, "median": median, "quarter": quarter, "processor": processor }));
        println!("{}", serde_json::json!({ "rounds": rounds, "rows": rows, "ratios": ratios, "goal": GOAL }));
        return;
    }
    println!("{rounds} rounds of /bin/true, from the start of it to its end, in us:");
    println!("{:<32} {:>8} {:>8} {:>10} {:>10}", "", "median", "added", "quarter", "processor");
    for ((what, _), cost) in starts.iter().zip(costs) {
        let added = cost.median - costs[0].median;
        println!("{what:<32} {:>8.0} {added:>8.0} {:>10.0} {:>10.0}", cost.median, cost.quarter, cost.processor);
    }
    println!("of what bwrap --unshare-all adds, we add (less than {GOAL} wanted):");
    for (what, ratios) in all {
        if let [Some(median), Some(quarter), Some(processor)] = ratios {
            let goal = if median < GOAL { "met" } else { "NOT MET" };
            println!("{what:<32} {median:>8.2} {goal:>8} {quarter:>10.2} {processor:>10.2}");
        }
    }
}

fn measure(starts: &[Start<'_>], rounds: usize) -> Vec<Cost> {
    become_subreaper();
    starts.iter().for_each(|(_, start)| start());
    let mut times = vec![Vec::with_capacity(rounds); starts.len()];
    let mut processor = vec![0.0; starts.len()];
    for _ in 0..rounds {
        for (at, (_, start)) in starts.iter().enumerate() {
            let (used, begun) = (used(), Instant::now());
            start();
            times[at].push(begun.elapsed().as_secs_f64() * 1e6);
            // bwrap itself ends before what it started has: that belongs to its work, too.
            while let Children::Some(_) = reap() {
                std::thread::sleep(Duration::from_micros(50));
            }
            processor[at] += self::used() - used;
        }
    }
    let mut costs = Vec::new();
    for (mut times, processor) in times.into_iter().zip(processor) {
        times.sort_by(f64::total_cmp);
        let at = |part: usize| times[times.len() / part];
        costs.push(Cost { median: at(2), quarter: at(4), processor: processor / rounds as f64 });
    }
    costs
}

/// Processor time so far, of us and of all that was waited for. That of children is told in whole milliseconds: of many
/// rounds what is cut off evens out.
fn used() -> f64 {
    let own = clock_gettime(ClockId::ProcessCPUTime);
    let children = of_children().cpu_ms as f64 * 1e3;
    own.tv_sec as f64 * 1e6 + own.tv_nsec as f64 / 1e3 + children
}

fn plain(words: &[&str]) -> bool {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn ready(tier: Tier, policy: &Policy, places: &Places) -> Cage {
    Cage::prepare(tier, policy, places, Group::Own).unwrap()
}

fn caged(tier: Tier, policy: &Policy, places: &Places) {
    let cage = ready(tier, policy, places);
    let null = fs::File::open("/dev/null").unwrap();
    let mut child = cage.spawn(Command::new("/bin/true"), [Some(null.into()), None, None], None).unwrap();
    assert!(child.wait().unwrap().success());
}

/// What a task is given: a worktree, a git directory, a temporary one, a home with secrets, the sockets of this machine.
fn places(root: &Path) -> Places {
    let make = |name: &str| -> PathBuf {
        let path = root.join(name);
        fs::create_dir_all(&path).unwrap();
        path
    };
    for secret in [".ssh", ".aws", ".config/gh", ".gnupg"] {
        make(&format!("home/{secret}"));
    }
    let private = make("state/attempts/1.1/git");
    std::os::unix::fs::symlink(make("user/.git"), root.join("state/attempts/1.1/common")).unwrap();
    make("state/worktrees/1.1");
    for file in ["state/attempts/1.1/lead", "state/worktrees/1.1/.git"] {
        fs::write(root.join(file), "gitdir: elsewhere\n").unwrap();
    }
    Places {
        run: Vec::new(),
        work: make("state/worktrees/1.1"),
        worktree: make("state/worktrees/1.1"),
        overlay: None,
        called: None,
        checkout: Some(make("user")),
        common: Some((root.join("state/attempts/1.1/common"), make("user/.git"))),
        write: vec![private],
        show: Vec::new(),
        lead: Some((root.join("state/attempts/1.1/lead"), root.join("state/worktrees/1.1/.git"))),
        tmp: Some(make("state/attempts/1.1/tmp")),
        hide: vec![make("state")],
        keep: Vec::new(),
        home: Some(make("home")),
        sockets: surroundings::sockets(),
        links: Vec::new(),
    }
}
