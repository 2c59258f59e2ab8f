//! What is promised about a task while it runs: its output, its time, its turn, its environment.
#![allow(clippy::disallowed_methods, reason = "tests write files")]

use std::fs;
use std::io::{BufRead, BufReader, Read};

use crate::support::scene::{Process, Scene, finish};

#[test]
fn a_long_output_keeps_head_and_tail_and_counts_the_gap() {
    let scene = Scene::new();
    let task = scene.add(&["--log-cap", "16KiB"], "seq 1 100000");
    scene.ok(&["wait", &task.to_string()]);
    let whole: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
    let log = scene.log(task);
    let (head, rest) = log.split_once("\n[… ").expect("there is a gap");
    let (gap, tail) = rest.split_once(" bytes were not kept …]\n").unwrap();
    let gap: usize = gap.parse().unwrap();
    assert!(whole.starts_with(head) && whole.ends_with(tail) && head.len() >= 8000 && tail.len() >= 4000);
    assert_eq!(head.len() + gap + tail.len(), whole.len());
    let attempt = &scene.status(task)["attempts"][0];
    assert_eq!(
        (attempt["log_bytes"].as_u64(), attempt["log_dropped"].as_u64()),
        (Some(whole.len() as u64), Some(gap as u64))
    );
    assert_eq!(scene.ok(&["logs", "--tail", "2", &task.to_string()]), "99999\n100000");
}

/// Its shim packs it, and the coordinator takes it over; until then the task is not through.
#[test]
fn a_result_that_takes_long_to_be_saved_says_so() {
    let scene = Scene::new();
    let gate = scene.path("gate");
    let line = format!("echo on its way; until [ -e '{}' ]; do sleep 0.02; done; echo x > x", gate.display());
    let id = scene.add(&[], &line);
    scene.until("it runs", || scene.log(id).contains("on its way"));
    assert!(!scene.ok(&["ls"]).contains("saving"));
    let coordinator = scene.processes().into_iter().find(Process::is_coordinator).unwrap().stopped();
    fs::write(&gate, "").unwrap();
    let why = || scene.board()[&id]["why"].as_str().unwrap_or_default().to_owned();
    scene.until("it says so", || why().starts_with("saving its result for "));
    let took = || scene.board()[&id]["duration_ms"].clone();
    let before = took();
    let page = scene.ok(&["status", &id.to_string()]);
    assert!(page.lines().next().unwrap().contains("running, saving its result for "), "{page}");
    assert_eq!((scene.stands(id), took()), ("running".to_owned(), before), "its own time is over");
    coordinator.go_on();
    scene.ok(&["wait", &id.to_string()]);
    assert_eq!((scene.stands(id), why()), ("ready".to_owned(), String::new()));
}

#[test]
fn a_task_has_its_time_and_no_more() {
    let scene = Scene::new();
    let ran = scene.pleach(&["run", "--timeout", "1s", "--grace", "1s", "--", "echo begun; echo x > x; sleep 1000"]);
    assert_eq!((ran.code, &*ran.out), (Some(124), "begun\n"), "{}", ran.err);
    assert_eq!((scene.outcome(1), scene.stands(1)), ("timed_out".to_owned(), "failed".to_owned()));
    assert_eq!(scene.git(&["show", "refs/pleach/kept/1.1/tip:x"]), "x");
    assert_eq!(scene.pleach(&["wait", "1"]).code, Some(124));
    scene.assert_tidy();
}

#[test]
fn a_failed_task_runs_again_as_often_as_it_may() {
    let scene = Scene::new();
    let count = scene.path("count");
    let line = format!("echo try >> {0}; [ $(wc -l < {0}) -ge 3 ]", count.display());
    assert_eq!(scene.pleach(&["run", "--retries", "2", "--", &line]).code, Some(0));
    fs::remove_file(&count).unwrap();
    assert_eq!(scene.pleach(&["run", "--retries", "1", "--", &line]).code, Some(1));
    let attempts = [1, 2].map(|task| scene.status(task)["attempts"].as_array().unwrap().len());
    assert_eq!(attempts, [3, 2]);
}

#[test]
fn limits_are_never_exceeded() {
    let scene = Scene::with_concurrency(3);
    let (running, seen) = (scene.path("running"), scene.path("seen"));
    fs::create_dir_all(running.join("net")).unwrap();
    fs::create_dir_all(running.join("all")).unwrap();
    fs::create_dir_all(scene.path("home/config/pleach")).unwrap();
    scene.configure("[groups]\nnet = 1\n");
    // A task is counted a little after it has begun and until a little before it ends.
    let line = |group: &str| {
        let (running, seen) = (running.display(), seen.display());
        format!(
            "mkdir {running}/all/$PLEACH_TASK {running}/{group}/$PLEACH_TASK 2>/dev/null; \
             echo $(ls {running}/all | wc -l) $(ls {running}/net | wc -l) >> {seen}; sleep 0.2; \
             rmdir {running}/{group}/$PLEACH_TASK {running}/all/$PLEACH_TASK 2>/dev/null; true"
        )
    };
    for _ in 0..6 {
        scene.add(&["--group", "net"], &line("net"));
        scene.add(&[], &line("all"));
    }
    scene.ok(&["wait"]);
    let seen = fs::read_to_string(seen).unwrap();
    let counts: Vec<(u32, u32)> = seen
        .lines()
        .map(|line| line.split_once(' ').map(|(all, net)| (all.parse().unwrap(), net.parse().unwrap())).unwrap())
        .collect();
    assert_eq!(counts.len(), 12);
    assert_eq!(counts.iter().map(|(all, _)| *all).max(), Some(3), "{seen}");
    assert_eq!(counts.iter().map(|(_, net)| *net).max(), Some(1), "{seen}");
}

#[test]
fn what_matters_more_goes_first_and_a_pause_holds_all() {
    let scene = Scene::with_concurrency(1);
    let order = scene.path("order");
    scene.ok(&["pause"]);
    for priority in ["low", "normal", "critical", "high"] {
        scene.add(&["--priority", priority], &format!("echo {priority} >> {}", order.display()));
    }
    let waiting = scene.board();
    assert!(waiting.values().all(|row| row["state"] == "waiting" && row["why"].as_str().unwrap().contains("paused")));
    assert!(!order.exists());
    scene.ok(&["resume"]);
    scene.ok(&["wait"]);
    assert_eq!(fs::read_to_string(order).unwrap(), "critical\nhigh\nnormal\nlow\n");
}

#[test]
fn who_waits_can_be_given_another_turn() {
    let scene = Scene::with_concurrency(1);
    let order = scene.path("order");
    scene.ok(&["pause"]);
    for name in ["first", "second", "third"] {
        scene.add(&["--name", name], &format!("echo {name} >> {}", order.display()));
    }
    assert_eq!(scene.ok(&["priority", "high", "third"]), "task 3 goes with priority high now");
    assert_eq!(scene.ok(&["priority", "high", "3"]), "task 3 goes with priority high now", "twice is once");
    let told = scene.json(&["priority", "low", "1"]);
    assert_eq!((&told[0]["id"], &told[0]["priority"]), (&1.into(), &"low".into()));
    let ran = scene.pleach(&["priority", "3", "high"]);
    assert!(ran.code == Some(2) && ran.err.contains("low, normal, high, critical"), "{ran:?}");
    scene.ok(&["resume"]);
    scene.ok(&["wait"]);
    assert_eq!(fs::read_to_string(order).unwrap(), "third\nsecond\nfirst\n");
    // Of several, one that does not wait: nothing is changed.
    scene.ok(&["pause"]);
    let waits = scene.add(&[], "true").to_string();
    let ran = scene.pleach(&["priority", "critical", &waits, "1"]);
    assert!(
        ran.code == Some(7) && ran.err.contains("task 1 is without changes, and only who waits has a turn"),
        "{ran:?}"
    );
    assert_eq!(scene.status(4)["priority"], "normal");
}

#[test]
fn a_chain_waits_for_a_need_that_failed_and_goes_on_after_its_retry() {
    let scene = Scene::new();
    let flag = scene.path("flag");
    let a = scene.add(&["--name", "first"], &format!("echo a > a; [ -e {} ]", flag.display()));
    let b = scene.add(&["--name", "second", "--after", "first"], "cat a > b");
    let c = scene.add(&["--after", "second"], "cat a b > c");
    let unrelated = scene.add(&[], "true");
    scene.pleach(&["wait"]);
    assert_eq!([a, b, c].map(|task| scene.stands(task)), ["failed", "blocked", "blocked"]);
    assert_eq!(scene.stands(unrelated), "empty");
    fs::File::create(&flag).unwrap();
    scene.ok(&["retry", "first"]);
    scene.ok(&["wait", &c.to_string()]);
    assert_eq!([a, b, c].map(|task| scene.stands(task)), ["ready"; 3]);
    assert_eq!(scene.git(&["show", &format!("pleach/{c}:c")]), "a\na");
    // Whoever folds the last of them is told what has to come first.
    assert_eq!(scene.pleach(&["merge", &c.to_string()]).code, Some(6));
    scene.ok(&["merge", "first", "second", &c.to_string()]);
    assert_eq!(scene.folds("main"), [format!("{a}.2"), format!("{b}.1"), format!("{c}.1")]);
    assert_eq!((scene.read("a"), scene.read("c")), ("a\n".to_owned(), "a\na\n".to_owned()));
    assert_eq!(scene.git(&["status", "--porcelain"]), "");
    scene.assert_tidy();
}

#[test]
fn what_a_task_says_of_itself_is_seen_outside() {
    let scene = Scene::new();
    let gate = scene.path("gate");
    let pleach = env!("CARGO_BIN_EXE_pleach");
    let line = format!(
        "{pleach} progress 47/89 'checking src/app.ts'; echo last line; until [ -e {} ]; do sleep 0.05; done; \
         echo fixed 12 files | {pleach} summary -",
        gate.display()
    );
    let task = scene.add(&[], &line);
    scene.until("its progress is on the board", || {
        let row = &scene.board()[&task];
        row["progress"]["done"] == 47 && row["progress"]["total"] == 89 && row["line"] == "last line"
    });
    assert_eq!(scene.status(task)["progress"]["text"], "checking src/app.ts");
    fs::File::create(&gate).unwrap();
    scene.ok(&["wait"]);
    assert_eq!(scene.status(task)["attempts"][0]["summary"], "fixed 12 files");
    assert_eq!(scene.board()[&task]["line"], "fixed 12 files");
}

#[test]
fn a_task_sees_no_variable_of_git_and_no_secret() {
    let mut scene = Scene::new();
    let other = scene.path("other");
    let hostile = [
        ("GIT_DIR", other.to_str().unwrap()),
        ("GIT_WORK_TREE", "/"),
        ("GIT_INDEX_FILE", "/nowhere/index"),
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "core.bare"),
        ("GIT_CONFIG_VALUE_0", "true"),
        ("GIT_OBJECT_DIRECTORY", "/nowhere"),
        ("AWS_SECRET_ACCESS_KEY", "hush"),
        ("GITHUB_TOKEN", "hush"),
        ("SSH_AUTH_SOCK", "/nowhere/agent"),
        ("LD_PRELOAD", ""),
    ];
    let clean = scene.git(&["config", "--list", "--local"]);
    scene.variables.extend(hostile.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let ran = scene.pleach(&["run", "--env", "WANTED=yes", "--", "env; git status --short; echo x > x; git add x"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let names: Vec<&str> = ran.out.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    assert!(names.contains(&"WANTED") && names.contains(&"PATH") && names.contains(&"PLEACH_TASK"), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("GIT_")), "{names:?}");
    assert!(!ran.out.contains("hush") && !names.contains(&"SSH_AUTH_SOCK") && !names.contains(&"LD_PRELOAD"));
    scene.ok(&["merge", "1"]);
    scene.variables.retain(|name, _| name.starts_with("PLEACH_"));
    assert_eq!(scene.read("x"), "x\n");
    assert_eq!(scene.git(&["status", "--porcelain"]), "");
    assert_eq!(scene.git(&["config", "--list", "--local"]), clean);
    scene.assert_tidy();
}

#[test]
fn what_a_task_waits_for_is_told() {
    let scene = Scene::with_concurrency(4);
    let config = |text: &str| scene.configure(text);
    config("[groups]\nnet = 1\n");
    let gate = scene.path("gate");
    let line = format!("until test -e {}; do sleep 0.01; done", gate.display());
    let running = scene.add(&["--group", "net"], &line);
    scene.until("it runs", || scene.stands(running) == "running");
    let grouped = scene.add(&["--group", "net"], "true");
    assert_eq!(scene.status(grouped)["why"], "group net is full");
    // A chain behind one that failed is blocked to its end.
    let head = scene.add(&[], "exit 2");
    let next = scene.add(&["--after", &head.to_string()], "true");
    let last = scene.add(&["--after", &next.to_string()], "true");
    scene.until("it failed", || scene.stands(head) == "failed");
    for id in [next, last] {
        let status = scene.status(id);
        assert_eq!((&status["state"], &status["why"]), (&"blocked".into(), &format!("by {head} (exit 2)").into()));
        assert_eq!(status["hints"][0]["command"], format!("pleach retry {head}"));
    }
    let blocked = scene.pleach(&["run", "--after", &last.to_string(), "--", "true"]);
    assert!(blocked.err.contains(&format!("waits: blocked by {head} (exit 2)")), "{blocked:?}");
    // `run` says so before it waits, and says when it goes on.
    let run = |scene: &Scene| {
        let mut child = scene.start(&["run", "--", "echo said"]);
        let (mut told, mut first) = (BufReader::new(child.stderr.take().unwrap()), String::new());
        told.read_line(&mut first).unwrap();
        let id: u64 = first.split(' ').nth(1).unwrap().parse().unwrap();
        (id, first, told, child)
    };
    scene.ok(&["pause"]);
    let (id, first, mut told, child) = run(&scene);
    assert_eq!(
        first,
        format!(
            "task {id} waits: the queue is paused, and `pleach resume` goes on; Ctrl-C leaves it in the background\n"
        )
    );
    assert_eq!(scene.status(id)["why"], "paused");
    scene.ok(&["resume"]);
    assert_eq!(finish(child).out, "said\n");
    let mut rest = String::new();
    told.read_to_string(&mut rest).unwrap();
    assert!(rest.starts_with(&format!("task {id} runs in a worktree of its own\n")), "{rest}");
    config("[limits]\ndisk_floor = \"900 TiB\"\n");
    let (id, first, _told, child) = run(&scene);
    assert!(first.starts_with(&format!("task {id} waits: too little room on the disk (")), "{first}");
    assert_eq!(scene.status(id)["why"], "too little room on the disk");
    let doctor = scene.pleach(&["doctor"]);
    assert!(doctor.code == Some(1) && doctor.out.contains("no task starts below 900 TiB"), "{doctor:?}");
    config("[limits]\ndisk_floor = \"1 B\"\n[groups]\nnet = 1\n");
    fs::write(&gate, "").unwrap();
    // The limits are those of the newest request.
    scene.add(&[], "true");
    assert_eq!(finish(child).code, Some(0));
    scene.ok(&["wait", &grouped.to_string()]);
}
