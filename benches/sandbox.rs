//! What the sandbox adds to the start of a program: ours, beside `bwrap`, interleaved, so that what else goes on in the
//! machine meets all of them.
//!
//! `cargo bench --bench sandbox` does 400 rounds, `-- --rounds N` as many as are said; `-- --json` prints JSON.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a bench is its own user")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use pleach::core::sandbox::{Network, Policy, Tier};
use pleach::sandbox::{Cage, Group, Places, surroundings};

/// How much of what `bwrap` adds may be added.
const GOAL: f64 = 0.5;

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
        ("full tier, as a task has it", Box::new(|| caged(Tier::Full, &open, &task))),
        ("full tier, and no network", Box::new(|| caged(Tier::Full, &alone, &task))),
        ("full tier, and nothing to hide", Box::new(|| caged(Tier::Full, &alone, &bare))),
        ("reduced tier", Box::new(|| caged(Tier::Reduced, &open, &task))),
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
    let medians = measure(&starts, rounds);
    report(&starts, &medians, rounds, has("--json"));
}

fn report(starts: &[Start<'_>], medians: &[f64], rounds: usize, json: bool) {
    let added = |name: &str| {
        let place = starts.iter().position(|(what, _)| *what == name)?;
        Some(medians[place] - medians[0])
    };
    // The one that does as much: with a network of its own.
    let ratio = added("bwrap --unshare-all").and_then(|theirs| Some(added("full tier, and no network")? / theirs));
    if json {
        let rows = starts.iter().zip(medians);
        let rows: Vec<_> = rows.map(|((what, _), us)| serde_json::json!({ "what": what, "median_us": us })).collect();
        println!("{}", serde_json::json!({ "rounds": rounds, "rows": rows, "ratio": ratio, "goal": GOAL }));
        return;
    }
    println!("{rounds} rounds of /bin/true, from the start of it to its end, medians:");
    for ((what, _), us) in starts.iter().zip(medians) {
        println!("{what:<32} {us:>8.0} us {:>8.0} us added", us - medians[0]);
    }
    if let Some(ratio) = ratio {
        let goal = if ratio < GOAL { "met" } else { "NOT MET" };
        println!("what we add is {ratio:.2} of what bwrap --unshare-all adds, less than {GOAL} wanted: {goal}");
    }
}

fn measure(starts: &[Start<'_>], rounds: usize) -> Vec<f64> {
    starts.iter().for_each(|(_, start)| start());
    let mut times = vec![Vec::with_capacity(rounds); starts.len()];
    for _ in 0..rounds {
        for ((_, start), times) in starts.iter().zip(&mut times) {
            let begun = Instant::now();
            start();
            times.push(begun.elapsed().as_secs_f64() * 1e6);
        }
    }
    for times in &mut times {
        times.sort_by(f64::total_cmp);
    }
    times.iter().map(|times| times[times.len() / 2]).collect()
}

fn plain(words: &[&str]) -> bool {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn caged(tier: Tier, policy: &Policy, places: &Places) {
    let cage = Cage::prepare(tier, policy, places, Group::Own).unwrap();
    let mut command = Command::new("/bin/true");
    command.stdin(Stdio::null());
    cage.confine(&mut command);
    assert!(command.status().unwrap().success());
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
    Places {
        run: Vec::new(),
        work: make("state/worktrees/1.1"),
        worktree: make("state/worktrees/1.1"),
        called: None,
        checkout: Some(make("user")),
        common: Some((root.join("state/attempts/1.1/common"), make("user/.git"))),
        write: vec![private],
        show: Vec::new(),
        tmp: Some(make("state/attempts/1.1/tmp")),
        hide: vec![make("state")],
        keep: Vec::new(),
        home: Some(make("home")),
        sockets: surroundings::sockets(),
        links: Vec::new(),
    }
}
