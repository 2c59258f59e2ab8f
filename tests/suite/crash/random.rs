//! Kills at random instants, under load, while results are folded into a checkout that somebody edits.
#![allow(clippy::disallowed_methods, reason = "tests measure time and say what they did")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::scene::{Process, Scene, outcome};

/// How many kills there are at least.
const KILLS: usize = 200;
const TASKS: u64 = 20;
/// The code with which each fifth task ends.
const FAILS: i32 = 7;

#[test]
fn two_hundred_kills_at_random_instants_lose_nothing() {
    let seed =
        std::env::var("PLEACH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("PLEACH_SEED={seed} plays these kills again");
    let scene = Scene::with_concurrency(6);
    scene.make_dirty();
    let before = scene.edits();
    let ids: Vec<u64> = (0..TASKS).map(|kind| add(&scene, kind)).collect();
    let (over, refused) = (AtomicBool::new(false), AtomicUsize::new(0));
    let begun = Instant::now();
    let killed = std::thread::scope(|scope| {
        let worker = scope.spawn(|| work(&scene, &over, &refused));
        let killed = Killer::new(&scene, seed).run();
        over.store(true, Ordering::Relaxed);
        worker.join().unwrap();
        killed
    });
    println!("{} in {:?}, {} folds were held", killed.counts(), begun.elapsed(), refused.load(Ordering::Relaxed));
    settle(&scene, &ids);
    println!("settled after {:?}", begun.elapsed());
    for (kind, id) in (0..).zip(&ids) {
        check(&scene, kind, *id, &killed);
    }
    let mut net = BTreeMap::<String, i32>::new();
    let both =
        "--format=%(trailers:key=Pleach-Task,valueonly,separator=)|%(trailers:key=Pleach-Undo,valueonly,separator=)";
    for line in scene.git(&["log", "--first-parent", both, "main"]).lines() {
        let (folded, undone) = line.split_once('|').unwrap();
        for (attempt, step) in [(folded, 1), (undone, -1)] {
            if let Some((task, _)) = attempt.split_once('.') {
                *net.entry(task.to_owned()).or_default() += step;
            }
        }
    }
    net.retain(|_, count| *count != 0);
    let good = (0..).zip(&ids).filter(|(kind, _)| !fails(*kind));
    let wanted: BTreeMap<String, i32> = good.map(|(_, id)| (id.to_string(), 1)).collect();
    assert_eq!(net, wanted, "each good task is in the target once, and no other is");
    assert_eq!(scene.edits(), before);
    scene.assert_tidy();
}

fn fails(kind: u64) -> bool {
    kind % 5 == 2
}

/// What each does, beside writing `work/<kind>`.
fn line(kind: u64) -> String {
    let write = format!("mkdir -p work; echo {kind} > work/{kind}; echo task {kind}");
    match kind % 5 {
        0 => format!("{write}; seq 1 5000"),
        1 => format!("{write}; git add -A; git commit -qm one; echo more >> work/{kind}; git commit -qam two"),
        2 => format!("{write}; exit {FAILS}"),
        3 => format!(
            "{write}; echo s > stashed; git add stashed; git stash -q; mkdir -p work; echo {kind} > work/{kind}; (sleep 300; echo never) &"
        ),
        _ => format!("{write}; for n in 1 2 3 4 5 6; do echo step $n; sleep 0.1; done"),
    }
}

fn log(kind: u64) -> String {
    let first = format!("task {kind}\n");
    match kind % 5 {
        0 => first + &(1..=5000).map(|n| format!("{n}\n")).collect::<String>(),
        4 => first + &(1..=6).map(|n| format!("step {n}\n")).collect::<String>(),
        _ => first,
    }
}

fn add(scene: &Scene, kind: u64) -> u64 {
    // Half of them may run again by themselves.
    let retries = if kind.is_multiple_of(2) { "40" } else { "0" };
    let retries = if fails(kind) { "0" } else { retries };
    scene.add(&["--retries", retries, "--grace", "1s"], &line(kind))
}

/// A person who goes on as if nothing happened: looks, folds what is ready, takes folds back, runs again what was lost.
fn work(scene: &Scene, over: &AtomicBool, refused: &AtomicUsize) {
    let mut turn = 0;
    while !over.load(Ordering::Relaxed) {
        for (id, row) in scene.board() {
            if over.load(Ordering::Relaxed) {
                return;
            }
            turn += 1;
            let id = id.to_string();
            let verb: &[&str] = match row["state"].as_str().unwrap() {
                "ready" if turn % 2 == 0 => &["retry", &id],
                "ready" | "held" => &["merge", &id],
                "folded" if turn % 2 == 0 => &["undo", &id],
                "failed" => &["retry", &id],
                _ => continue,
            };
            let ran = scene.pleach(verb);
            match ran.code {
                Some(0) => {}
                Some(6) => {
                    println!("{verb:?}: {}", ran.out);
                    refused.fetch_add(1, Ordering::Relaxed);
                }
                _ => panic!("{verb:?} ended with {:?}: {}{}\n{}", ran.code, ran.out, ran.err, scene.story()),
            }
        }
    }
}

#[derive(Default)]
struct Killed {
    counts: BTreeMap<&'static str, usize>,
    /// Attempts whose shim was there when it was killed.
    attempts: BTreeSet<String>,
}

impl Killed {
    fn total(&self) -> usize {
        self.counts.values().sum()
    }

    fn counts(&self) -> String {
        format!("{} kills: {:?}", self.total(), self.counts)
    }
}

struct Killer<'a> {
    scene: &'a Scene,
    random: fastrand::Rng,
    killed: Killed,
}

impl<'a> Killer<'a> {
    fn new(scene: &'a Scene, seed: u64) -> Self {
        Self { scene, random: fastrand::Rng::with_seed(seed), killed: Killed::default() }
    }

    fn run(mut self) -> Killed {
        let begun = Instant::now();
        while self.killed.total() < KILLS {
            assert!(begun.elapsed() < Duration::from_secs(300), "{}", self.killed.counts());
            // The one sleep: the instant of a kill is what this is about.
            std::thread::sleep(Duration::from_millis(self.random.u64(5..200)));
            self.kill();
        }
        self.killed
    }

    fn kill(&mut self) {
        let how = match self.random.u32(0..100) {
            0..40 => "coordinator",
            40..65 => "coordinator and its git",
            65..90 => "shim",
            _ => "everything",
        };
        let mut all = self.scene.processes();
        // Tasks are short: a shim is waited for, though not for long.
        for _ in 0..100 {
            if how != "shim" || all.iter().any(Process::is_shim) {
                break;
            }
            all = self.scene.processes();
        }
        let coordinator = all.iter().find(|process| process.is_coordinator());
        let shims: Vec<&Process> = all.iter().filter(|process| process.is_shim()).collect();
        match how {
            "coordinator" => match coordinator {
                Some(coordinator) => coordinator.kill(),
                None => return,
            },
            "coordinator and its git" => match coordinator {
                Some(coordinator) => coordinator.kill_group(),
                None => return,
            },
            "shim" => {
                if shims.is_empty() {
                    return;
                }
                let shim = shims[self.random.usize(0..shims.len())];
                self.note(shim);
                shim.kill();
            }
            _ => {
                if shims.is_empty() && coordinator.is_none() {
                    return;
                }
                coordinator.iter().for_each(|coordinator| coordinator.kill_group());
                // Whatever a person types goes on; all else dies.
                let own = std::process::id();
                let typed = |process: &Process| parent(process.pid) == Some(own);
                let others: Vec<Process> =
                    all.iter().filter(|process| !typed(process)).map(|process| process.clone().stopped()).collect();
                others.iter().filter(|process| process.is_shim()).for_each(|shim| {
                    self.note(shim);
                    shim.kill_group();
                });
                others.iter().for_each(Process::kill);
            }
        }
        *self.killed.counts.entry(how).or_default() += 1;
    }

    fn note(&mut self, shim: &Process) {
        let attempt = shim.words.last().and_then(|dir| dir.rsplit('/').next());
        self.killed.attempts.extend(attempt.map(str::to_owned));
    }
}

fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}

/// Until each has ended as it would have without us, and what is good is folded.
fn settle(scene: &Scene, ids: &[u64]) {
    let mut tries = 0;
    loop {
        scene.pleach(&["wait"]);
        let board = scene.board();
        assert_eq!(board.keys().copied().collect::<Vec<_>>(), ids, "no task is missing, and none is there twice");
        let mut open = 0;
        for (kind, id) in (0..).zip(ids) {
            let row = &board[id];
            let state = row["state"].as_str().unwrap();
            let verb = match (state, fails(kind), outcome(&row["outcome"])) {
                ("folded", false, _) => continue,
                ("failed", true, how) if how == format!("exited {FAILS}") => continue,
                ("ready" | "held", false, _) => "merge",
                ("failed", ..) => "retry",
                (state, _, how) => panic!("task {id} is {state} after {how}\n{}", scene.story()),
            };
            open += 1;
            scene.ok(&[verb, &id.to_string()]);
        }
        if open == 0 {
            return;
        }
        tries += 1;
        assert!(tries < 10, "{}", scene.story());
    }
}

fn check(scene: &Scene, kind: u64, id: u64, killed: &Killed) {
    let status = scene.status(id);
    let attempts = status["attempts"].as_array().unwrap();
    let code = if fails(kind) { FAILS } else { 0 };
    for (number, attempt) in (1..).zip(attempts) {
        let name = format!("{id}.{number}");
        assert_eq!(attempt["id"].as_str(), Some(&*name));
        let how = outcome(&attempt["outcome"]);
        let whole = how == format!("exited {code}");
        let was_killed = killed.attempts.contains(&name);
        let story = || scene.said_of(std::slice::from_ref(&name));
        assert!(whole || was_killed, "{name}, whose shim was not killed, ended as {how}\n{}", story());
        assert!(whole || how == "lost" || how == "signalled 9", "{name} ended as {how}: {attempt}\n{}", story());
        if whole {
            let kept = scene.pleach(&["logs", &name]).out;
            assert_eq!(kept, log(kind), "{name}");
            assert_eq!(attempt["log_bytes"].as_u64(), Some(kept.len() as u64), "{name}: {attempt}");
        }
    }
    let last: &Value = attempts.last().unwrap();
    assert_eq!(outcome(&last["outcome"]), format!("exited {code}"));
    let extra = if kind % 5 == 1 { "more\n" } else { "" };
    let content = format!("{kind}\n{extra}");
    if fails(kind) {
        let tip = format!("refs/pleach/kept/{}/tip:work/{kind}", last["id"].as_str().unwrap());
        assert_eq!(scene.git(&["show", &tip]), kind.to_string());
    } else {
        assert_eq!(scene.read(&format!("work/{kind}")), content);
        assert_eq!(scene.git(&["show", &format!("HEAD:work/{kind}")]) + "\n", content);
    }
    if kind % 5 == 3 {
        let stash = format!("refs/pleach/kept/{}/", last["id"].as_str().unwrap());
        let kept = scene.git(&["for-each-ref", "--format=%(refname)", &stash]);
        let last = last["id"].as_str().unwrap().to_owned();
        assert!(kept.contains("stash"), "{kept}\n{}", scene.said_of(&[last]));
    }
}
