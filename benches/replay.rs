//! Is what we merge what git merges? And what does a landing cost beside `git merge`?
//!
//! `cargo bench --bench replay -- PATH [N]` merges the newest N (1,000) merges of two parents with one merge base in the
//! history of the repository at PATH again: by `git merge-tree`, by ours, and by the walk, which may leave it. Nothing is
//! written there. Without a PATH, only the costs are measured, in a repository that is made for that. It ends with 1
//! where two differ.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a bench is its own user")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use pleach::core::change::Landing;
use pleach::core::id::{BranchName, CommitId};
use pleach::core::task::Strategy;
use pleach::git::Repository;
use pleach::git::fold::{Fold, FoldLock, land};
use pleach::git::foresee::will_conflict;
use pleach::git::merge::{Identity, Merged, Plan, Wanted, merge_trees, plan};
use pleach::git::walk::{Objects, Walked, walk};
use pleach::process::usage;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let number = |place: usize| words.get(place).and_then(|word| word.parse().ok());
    let is_same = words.first().is_none_or(|path| replay(Path::new(path), number(1).unwrap_or(1000)));
    costs(20);
    looks();
    if is_same { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The path of a file: fifty in a directory, fifty directories in a directory.
fn place(file: usize) -> String {
    format!("d{}/e{}/f{file}.txt", file / 2500, file / 50 % 50)
}

/// A repository of our own, in a home of its own.
struct Bench {
    _dir: tempfile::TempDir,
    root: PathBuf,
    top: PathBuf,
}

impl Bench {
    fn new(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let bench = Self { _dir: dir, top: root.join("repo"), root };
        fs::create_dir(&bench.top).unwrap();
        bench.git(&[&["init", "-q", "-b", "main"], options].concat());
        for (key, value) in
            [("user.name", "Bench"), ("user.email", "b@example.com"), ("gc.auto", "0"), ("commit.gpgsign", "false")]
        {
            bench.git(&["config", key, value]);
        }
        bench
    }

    /// Files in one commit, packed.
    fn filled(files: usize) -> Self {
        let bench = Self::new(&[]);
        for file in 0..files {
            let path = bench.top.join(place(file));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("file {file}\n")).unwrap();
        }
        bench.git(&["add", "-A"]);
        bench.git(&["commit", "-qm", "first"]);
        bench.git(&["repack", "-adq"]);
        bench
    }

    fn command(&self, dir: &Path, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.args(args).current_dir(dir).env("HOME", &self.root).env("GIT_CONFIG_NOSYSTEM", "1");
        command.env_remove("XDG_CONFIG_HOME").stdin(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn git(&self, args: &[&str]) -> String {
        self.git_in(&self.top, args)
    }

    fn git_in(&self, dir: &Path, args: &[&str]) -> String {
        let output = self.command(dir, args).output().unwrap();
        assert!(output.status.success(), "git {args:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    fn repo(&self) -> Repository {
        Repository::discover(&self.top).unwrap().repository
    }

    /// A commit that changes one file, in nobody's checkout.
    fn change(&self, base: &str, path: &str, content: &str) -> String {
        let index = self.root.join("index");
        let run = |args: &[&str]| {
            let output = self.command(&self.top, args).env("GIT_INDEX_FILE", &index).output().unwrap();
            assert!(output.status.success(), "git {args:?}");
            String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
        };
        let file = self.root.join("content");
        fs::write(&file, content).unwrap();
        let blob = run(&["hash-object", "-w", file.to_str().unwrap()]);
        run(&["read-tree", base]);
        run(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{path}")]);
        let tree = run(&["write-tree"]);
        run(&["commit-tree", &tree, "-p", base, "-m", "change"])
    }
}

/// The newest merges of a history: base, ours, theirs. Those with several bases are counted only.
fn merges(bench: &Bench, at: &Path, most: usize) -> (Vec<[CommitId; 3]>, usize) {
    let list = bench.git(&[
        "--git-dir",
        at.to_str().unwrap(),
        "rev-list",
        "--all",
        "--parents",
        "--min-parents=2",
        "--max-parents=2",
    ]);
    let (mut found, mut several) = (Vec::new(), 0);
    for line in list.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let output = bench.command(&bench.top, &["merge-base", "--all", words[1], words[2]]).output().unwrap();
        let bases = String::from_utf8(output.stdout).unwrap();
        match bases.lines().collect::<Vec<_>>()[..] {
            [base] => found.push([base, words[1], words[2]].map(|name| name.parse().unwrap())),
            _ => several += 1,
        }
        if found.len() == most {
            break;
        }
    }
    (found, several)
}

fn replay(path: &Path, most: usize) -> bool {
    let bench = Bench::new(&["--bare"]);
    let git_dir = bench.git_in(path, &["rev-parse", "--path-format=absolute", "--git-common-dir"]);
    // Its objects are read, and ours are written elsewhere.
    fs::write(bench.top.join("objects/info/alternates"), format!("{git_dir}/objects\n")).unwrap();
    let (merges, several) = merges(&bench, Path::new(&git_dir), most);
    let repo = bench.repo();
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut walks, mut gits, mut ours_all) = (Vec::new(), Vec::new(), Vec::new());
    let mut is_same = true;
    for [base, ours, theirs] in &merges {
        let (took, by_git) = timed(|| by_git(&bench, *ours, *theirs));
        gits.push(took);
        let (took, by_us) = timed(|| merge_trees(&repo, None, *ours, *theirs));
        ours_all.push(took);
        let (took, walked) = timed(|| {
            let objects = Objects::of(&repo).unwrap();
            let [base, ours, theirs] = [base, ours, theirs].map(|commit| objects.tree_of(*commit).unwrap());
            walk(&objects, base, ours, theirs)
        });
        walks.push(took);
        let same = match (&by_git, &by_us) {
            (Some(Some(tree)), Ok(Merged::Clean(ours))) if *tree == ours.to_string() => "identical",
            (Some(None), Ok(Merged::Conflict(_))) => "conflict in both",
            (None, Err(_)) => "git fails (objects that are not there)",
            _ => "DIFFERENT",
        };
        let same_walk = match (&by_git, walked) {
            (_, Walked::Unsure) => "left to git by the walk",
            (Some(Some(tree)), Walked::Tree(ours)) if *tree == ours.to_string() => "decided by the walk, identical",
            (None, _) => "decided by the walk, git fails",
            _ => "decided by the walk, DIFFERENT",
        };
        for what in [same, same_walk] {
            *count.entry(what).or_default() += 1;
            if what.contains("DIFFERENT") {
                println!("{what}: {ours} {theirs}: {by_git:?} {by_us:?} {walked:?}");
                is_same = false;
            }
        }
    }
    println!("{:<40} {:>8}", "merges of two parents with one base", merges.len());
    println!("{:<40} {:>8}", "(left out: several bases or none)", several);
    for what in [
        "identical",
        "conflict in both",
        "DIFFERENT",
        "decided by the walk, identical",
        "decided by the walk, DIFFERENT",
    ] {
        count.entry(what).or_default();
    }
    for (what, many) in &count {
        println!("{what:<40} {many:>8} {:>6.1} %", *many as f64 * 100.0 / merges.len().max(1) as f64);
    }
    println!("{:<40} {:>8} {:>8} {:>8}  ms", "time", "mean", "p50", "p99");
    for (what, times) in [
        ("walk (with opening the objects)", walks),
        ("git merge-tree", gits),
        ("ours (git, checked by the walk)", ours_all),
    ] {
        print_times(what, times);
    }
    is_same
}

/// What git itself says: a tree, a conflict, or nothing.
fn by_git(bench: &Bench, ours: CommitId, theirs: CommitId) -> Option<Option<String>> {
    // The same attributes as a landing has: those of the target.
    let [source, ours, theirs] = [format!("--attr-source={ours}"), ours.to_string(), theirs.to_string()];
    let output = bench.command(&bench.top, &[&source, "merge-tree", "--write-tree", &ours, &theirs]).output().unwrap();
    let answer = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.code() {
        Some(0) => Some(Some(answer.trim_end().to_owned())),
        Some(1) => Some(None),
        _ => None,
    }
}

/// Land small changes, one after the other, beside `git merge` of the same in a worktree.
fn costs(rounds: usize) {
    const FILES: usize = 50_000;
    let bench = Bench::filled(FILES);
    let (repo, base) = (bench.repo(), bench.git(&["rev-parse", "main"]));
    let who = Identity { name: "b".into(), email: "b@example.com".into(), at: "2026-01-02T03:04:05Z".parse().unwrap() };
    let change = |branch: &str, round: usize| {
        let file = (round * 997 + branch.len() * 31) % FILES;
        bench.change(&base, &place(file), &format!("{branch} {round}\n"))
    };
    println!("\none landing of a small change, {FILES} files, {rounds} rounds (median)");
    println!("{:<58} {:>10} {:>10}", "", "wall", "processor");
    bench.git(&["branch", "aside"]);
    bench.git(&["worktree", "add", "-q", "-b", "theirs", "../theirs"]);
    bench.git(&["worktree", "add", "-q", "-b", "files", "../files"]);
    let [theirs, files] = ["theirs", "files"].map(|name| bench.root.join(name));
    for (what, branch) in [
        ("plan + land, checked out", "main"),
        ("plan + land, not checked out", "aside"),
        ("git merge in a worktree", "theirs"),
        ("of that, the files alone: git read-tree -m -u", "files"),
    ] {
        let (mut walls, mut cpus) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            let tip = change(branch, round);
            let (cpu, (wall, ())) = processor(|| {
                timed(|| match branch {
                    "theirs" => drop(bench.git_in(&theirs, &["merge", "-q", "--no-edit", &tip])),
                    "files" => drop(bench.git_in(&files, &["read-tree", "-m", "-u", "HEAD", &tip])),
                    branch => land_one(&repo, branch, base.parse().unwrap(), tip.parse().unwrap(), &who),
                })
            });
            if branch == "files" {
                bench.git_in(&files, &["read-tree", "-m", "-u", &tip, "HEAD"]);
            }
            walls.push(wall);
            cpus.push(cpu);
        }
        println!("{what:<58} {:>7.1} ms {:>7.1} ms", ms(median(&mut walls)), ms(median(&mut cpus)));
    }
    assert_eq!(bench.git(&["status", "--porcelain"]), "");
}

fn land_one(repo: &Repository, branch: &str, base: CommitId, tip: CommitId, who: &Identity) {
    let target = BranchName(branch.to_owned());
    let head = repo.head_of(&target).unwrap().unwrap();
    let wanted = Wanted { head, base, tip, strategy: Strategy::Merge, message: "fold", replay: false };
    let Plan::Land(to) = plan(repo, &wanted, who).unwrap() else { panic!("it does not land") };
    let lock = FoldLock::acquire(repo).unwrap();
    let landing = Landing { from: head, to };
    assert_eq!(land(repo, &lock, &target, &landing, &[], &|_| {}).unwrap(), Fold::Done);
}

/// Thirty results, all pairs of them.
fn looks() {
    const MANY: usize = 30;
    let bench = Bench::filled(5000);
    let (repo, base) = (bench.repo(), bench.git(&["rev-parse", "main"]));
    let long = |changed: usize| {
        (0..200).map(|n| if n == changed { "changed\n".into() } else { format!("{n}\n") }).collect::<String>()
    };
    let base = bench.change(&base, "long", &long(999));
    println!("\nlook-ahead, {MANY} results ({} pairs), 5000 files", MANY * (MANY - 1) / 2);
    for (what, file) in [
        ("nothing in common", None),
        ("one directory in common", Some("d1/new")),
        ("all change one file", Some("long")),
    ] {
        let changes: Vec<(CommitId, CommitId)> = (0..MANY)
            .map(|n| {
                let path = match file {
                    Some("long") => "long".to_owned(),
                    Some(dir) => format!("{dir}/{n}"),
                    None => place(n * 100),
                };
                let content = if path == "long" { long(n * 6) } else { "changed\n".to_owned() };
                (base.parse().unwrap(), bench.change(&base, &path, &content).parse().unwrap())
            })
            .collect();
        let (mut walls, mut cpus) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            let look = || will_conflict(&repo, base.parse().unwrap(), &changes, &|_, _| false).unwrap();
            let (cpu, (wall, found)) = processor(|| timed(look));
            assert!(found.iter().all(|one| one.may), "{found:?}");
            walls.push(wall);
            cpus.push(cpu);
        }
        println!("{what:<58} {:>7.1} ms {:>7.1} ms", ms(median(&mut walls)), ms(median(&mut cpus)));
    }
}

fn timed<T>(act: impl FnOnce() -> T) -> (Duration, T) {
    let begun = Instant::now();
    let done = act();
    (begun.elapsed(), done)
}

/// Processor time of ours and of our children.
fn processor<T>(act: impl FnOnce() -> T) -> (Duration, T) {
    let now = || {
        let own = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let own = Duration::new(own.tv_sec as u64, own.tv_nsec as u32);
        own + Duration::from_millis(usage::of_children().cpu_ms)
    };
    let before = now();
    let done = act();
    (now() - before, done)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn print_times(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let Some(last) = times.len().checked_sub(1) else { return };
    let mean = times.iter().sum::<Duration>() / times.len() as u32;
    let (p50, p99) = (times[last / 2], times[last * 99 / 100]);
    println!("{what:<40} {:>8.2} {:>8.2} {:>8.2}", ms(mean), ms(p50), ms(p99));
}
