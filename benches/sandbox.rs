//! What the sandbox adds to the start of a program: ours, beside `bwrap`, interleaved, so that what else goes on in the
//! machine meets all of them.
//!
//! Three times are taken: until the program does something (the first byte that it writes), until its end is told, and until
//! nothing is left of it. We tell an end when nothing is left; `bwrap` when the program has ended, and its namespaces go after that.
//!
//! `cargo bench --bench sandbox` does 400 rounds, `-- --rounds N` as many as are said; `-- --json` prints JSON,
//! `-- --only WORD` does only those whose name has this word, for a profile.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a bench is its own user")]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use pleach::core::sandbox::{Network, Policy, Tier};
use pleach::process::tree::become_subreaper;
use pleach::process::usage::of_children;
use pleach::sandbox::{Cage, Group, Places, surroundings};
use rustix::process::{WaitOptions, wait};
use rustix::time::{ClockId, clock_gettime};

/// How much of what `bwrap` adds may be added.
const GOAL: f64 = 0.5;

/// A task as it is by default, and one that has no network.
const TASK: &str = "full tier, as a task has it";
const ALONE: &str = "full tier, and no network";

/// What is started: it writes one byte.
const PROGRAM: &str = "/bin/echo";

/// One way to start it, to its end; what it writes comes out of the pipe.
type Start<'a> = (&'static str, Box<dyn Fn(&mut Watch) + 'a>);

/// When what happened, in microseconds since the start.
struct Watch {
    begun: Instant,
    first: f64,
}

impl Watch {
    /// Wait for the first byte.
    fn first(&mut self, mut pipe: impl Read) {
        pipe.read_exact(&mut [0]).unwrap();
        self.first = self.now();
    }

    fn now(&self) -> f64 {
        self.begun.elapsed().as_secs_f64() * 1e6
    }
}

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
    let unshare: &[&str] = &["bwrap", "--unshare-all", "--dev-bind", "/", "/", PROGRAM];
    let has_bwrap = works(unshare);
    if !has_bwrap {
        println!("bwrap is not here or does not work: there is nothing to compare with");
    }
    let mut starts: Vec<Start<'_>> = vec![
        ("bare", Box::new(|watch| plain(watch, &[PROGRAM]))),
        (TASK, Box::new(|watch| caged(watch, Tier::Full, &open, &task))),
        (ALONE, Box::new(|watch| caged(watch, Tier::Full, &alone, &task))),
        ("full tier, and nothing to hide", Box::new(|watch| caged(watch, Tier::Full, &alone, &bare))),
        ("reduced tier", Box::new(|watch| caged(watch, Tier::Reduced, &open, &task))),
        ("full tier, made ready only", Box::new(|_| drop(ready(Tier::Full, &open, &task)))),
    ];
    if has_bwrap {
        starts.push(("bwrap --unshare-all", Box::new(move |watch| plain(watch, unshare))));
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
            PROGRAM,
        ];
        if works(alike) {
            starts.push(("bwrap, its network left", Box::new(move |watch| plain(watch, alike))));
        }
    }
    if let Some(only) = flags.iter().position(|flag| flag == "--only").and_then(|at| flags.get(at + 1)) {
        // For a profile of one of them.
        starts.retain(|(what, _)| what.contains(only.as_str()));
        measure(&starts, rounds).iter().for_each(|cost| println!("{:.0} us", cost.gone));
        return;
    }
    let costs = measure(&starts, rounds);
    report(&starts, &costs, rounds, has("--json"));
}

/// What one way costs, in microseconds: medians.
#[derive(Clone, Copy, Default)]
struct Cost {
    /// Until the program has done something.
    first: f64,
    /// Until its end is told.
    told: f64,
    /// Until nothing is left of it.
    gone: f64,
    /// Processor time of us and of all processes that come of it, on average.
    processor: f64,
}

impl Cost {
    const NAMES: [&str; 4] = ["first", "told", "gone", "processor"];

    fn all(&self) -> [f64; 4] {
        [self.first, self.told, self.gone, self.processor]
    }
}

fn report(starts: &[Start<'_>], costs: &[Cost], rounds: usize, json: bool) {
    let place = |name: &str| starts.iter().position(|(what, _)| *what == name);
    // What a task costs by default, and the one that has a network of its own as theirs does.
    let ratios = [TASK, ALONE].into_iter().filter_map(|ours| {
        let (ours_at, theirs_at) = (place(ours)?, place("bwrap --unshare-all")?);
        let added = |cost: &Cost, at: usize| cost.all()[at] - costs[0].all()[at];
        let ratio = |at: usize| added(&costs[ours_at], at) / added(&costs[theirs_at], at);
        Some((ours, [ratio(0), ratio(1), ratio(2), ratio(3)]))
    });
    if json {
        let named = |values: [f64; 4]| {
            Cost::NAMES
                .into_iter()
                .zip(values.map(Into::into))
                .map(|(name, value): (_, serde_json::Value)| (name.to_owned(), value))
                .collect::<serde_json::Map<_, _>>()
        };
        let rows: Vec<_> = starts
            .iter()
            .zip(costs)
            .map(|((what, _), cost)| serde_json::json!({ "what": what, "us": named(cost.all()) }))
            .collect();
        let ratios: Vec<_> =
            ratios.map(|(what, ratios)| serde_json::json!({ "what": what, "ratios": named(ratios) })).collect();
        println!("{}", serde_json::json!({ "rounds": rounds, "rows": rows, "ratios": ratios, "goal": GOAL }));
        return;
    }
    println!(
        "{rounds} rounds of {PROGRAM}, in us from its start to its first byte, to its end as it is told, and until nothing is left:"
    );
    println!("{:<32} {:>8} {:>8} {:>8} {:>10}", "", "first", "told", "gone", "processor");
    for ((what, _), cost) in starts.iter().zip(costs) {
        println!("{what:<32} {:>8.0} {:>8.0} {:>8.0} {:>10.0}", cost.first, cost.told, cost.gone, cost.processor);
    }
    println!("of what bwrap --unshare-all adds to the bare one, we add (less than {GOAL} wanted):");
    for (what, ratios) in ratios {
        let shown = ratios.map(|ratio| format!("{ratio:.2} {}", if ratio < GOAL { "met" } else { "NOT MET" }));
        let [first, told, gone, processor] = shown;
        println!("{what:<32} first {first}, told {told}, gone {gone}, processor {processor}");
    }
}

fn measure(starts: &[Start<'_>], rounds: usize) -> Vec<Cost> {
    become_subreaper();
    let mut times = vec![[const { Vec::new() }; 3]; starts.len()];
    let mut processor = vec![0.0; starts.len()];
    // The first round is not counted: nothing is in memory then.
    for round in 0..=rounds {
        for (at, (_, start)) in starts.iter().enumerate() {
            let used = used();
            let mut watch = Watch { begun: Instant::now(), first: 0.0 };
            start(&mut watch);
            let told = watch.now();
            while wait(WaitOptions::empty()).is_ok() {}
            let gone = watch.now();
            if round > 0 {
                let all = times[at].iter_mut().zip([watch.first, told, gone]);
                all.for_each(|(times, time): (&mut Vec<f64>, f64)| times.push(time));
                processor[at] += self::used() - used;
            }
        }
    }
    let median = |times: &[f64]| {
        let mut times = times.to_vec();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let cost = |(times, processor): (&[Vec<f64>; 3], f64)| {
        let [first, told, gone] = times.each_ref().map(|times| median(times));
        Cost { first, told, gone, processor: processor / rounds as f64 }
    };
    times.iter().zip(processor).map(cost).collect()
}

/// Processor time so far, of us and of all that was waited for. That of children is told in whole milliseconds: of many
/// rounds what is cut off evens out.
fn used() -> f64 {
    let own = clock_gettime(ClockId::ProcessCPUTime);
    let children = of_children().cpu_ms as f64 * 1e3;
    own.tv_sec as f64 * 1e6 + own.tv_nsec as f64 / 1e3 + children
}

fn plain(watch: &mut Watch, words: &[&str]) {
    let (pipe, writer) = std::io::pipe().unwrap();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(writer);
    let mut child = command.spawn().unwrap();
    drop(command);
    watch.first(pipe);
    assert!(child.wait().unwrap().success());
}

fn works(words: &[&str]) -> bool {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn ready(tier: Tier, policy: &Policy, places: &Places) -> Cage {
    Cage::prepare(tier, policy, places, Group::Own).unwrap()
}

fn caged(watch: &mut Watch, tier: Tier, policy: &Policy, places: &Places) {
    let cage = ready(tier, policy, places);
    let null = fs::File::open("/dev/null").unwrap();
    let (pipe, writer) = std::io::pipe().unwrap();
    let mut child = cage.spawn(Command::new(PROGRAM), [Some(null.into()), Some(writer.into()), None], None).unwrap();
    watch.first(pipe);
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
