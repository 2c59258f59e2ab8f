//! What each verb says, and the exit codes of `cli::exit`.

use serde_json::Value;

use crate::support::cli::{at_top, changed, fails, task};
use crate::support::scene::{Scene, finish};

/// The text with what differs from run to run taken out: times, sizes, object names, paths.
fn steady(scene: &Scene, text: &str) -> String {
    let text = text.replace(scene.path("").to_str().unwrap().trim_end_matches('/'), "ROOT");
    let word = |word: &str| {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        let is_time = bare.strip_suffix('s').is_some_and(|rest| rest.parse::<f64>().is_ok());
        let is_name = (8..=64).contains(&bare.len()) && bare.chars().all(|c| c.is_ascii_hexdigit());
        let is_clock = bare.len() >= 8 && bare.chars().all(|c| c.is_ascii_digit() || "-:".contains(c));
        if is_time || is_name || is_clock { word.replace(bare, "~") } else { word.to_owned() }
    };
    text.lines().map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join("\n")
}

/// Does it hold these fields, and is none of them `null`?
fn has(value: &Value, fields: &[&str]) {
    for field in fields {
        let found = field.split('.').try_fold(value, |value, part| value.get(part));
        assert!(found.is_some_and(|found| !found.is_null()), "{field} in {value:#}");
    }
}

#[test]
fn each_verb_in_words() {
    let scene = Scene::new();
    let says = |args: &[&str], expected: &str| {
        let ran = scene.pleach(args);
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
        assert_eq!(steady(&scene, ran.out.trim_end()), expected, "{args:?}: {ran:?}");
    };
    says(&["ls"], "no task yet: start one with `pleach run -- COMMAND`");
    says(&["add", "--name", "lint", "--", "echo fixed >> readme"], "1");
    says(&["wait", "lint"], "ID  TASK  STATE  TIME  CHANGE\n 1  lint  ready  ~  1 file +1 -0");
    says(
        &["ls"],
        "ID  TASK  STATE  TIME  CHANGE\n 1  lint  ready  ~  1 file +1 -0\n0 running, 0 waiting, 1 to look at",
    );
    says(&["logs", "1"], "");
    says(&["diff", "--stat", "lint"], " readme     | 1 +\n 1 file changed, 1 insertion(+)");
    says(&["diff", "--name-only", "1"], "readme");
    says(&["diff", "1"], "diff --git a/readme b/readme\n--- a/readme\n+++ b/readme\n@@ -1 +1,2 @@\n hello\n+fixed");
    says(&["merge", "-n", "1"], "task 1: would go into main");
    says(&["merge", "1"], "task 1: folded into main (~)");
    says(&["merge", "1"], "task 1: is in main already (~)");
    says(&["merge", "-n", "1"], "task 1: is in main already (~)");
    says(&["undo"], "task 1: taken back from main; its result is up for review again");
    says(&["discard", "1"], "task 1 discarded; `pleach restore 1` takes that back");
    says(&["restore", "1"], "task 1 is up for review with what attempt 1 left");
    says(&["pause"], "paused: no task starts until `pleach resume`");
    says(&["retry", "1"], "task 1 runs again");
    // What was cancelled is the next attempt: the result of the last one is up for review as before.
    says(
        &["cancel", "1"],
        "ID  TASK  STATE  TIME  CHANGE        NOTE\n 1  lint  ready  ~  1 file +1 -0  its fold was undone",
    );
    says(&["resume"], "resumed");
    says(&["gc"], "nothing to free: nothing settled is older than 14d00h");
    says(&["approve"], "there is nothing that needs approval");
    let status = scene.ok(&["status", "1"]);
    assert!(status.starts_with("task 1 lint: ") && status.contains("\n  command   echo fixed >> readme\n"), "{status}");
    let events = scene.ok(&["events"]);
    for word in ["submitted", "started", "ended", "landed", "discarded", "restored", "paused", "retried", "withdrawn"] {
        assert!(events.contains(word), "{word}: {events}");
    }
    assert_eq!(scene.ok(&["events", "--tail", "1"]).lines().count(), 1);
}

#[test]
fn each_verb_in_json() {
    let scene = Scene::new();
    let json = |args: &[&str], fields: &[&str]| {
        let value = scene.json(args);
        has(value.get(0).unwrap_or(&value), fields);
        value
    };
    json(&["ls"], &["tasks"]);
    let added = scene.ok(&["add", "--json", "--name", "lint", "echo fixed >> readme; echo said"]);
    has(&serde_json::from_str(&added).unwrap(), &["id", "name"]);
    json(&["wait", "1"], &["id", "state", "name", "files", "insertions", "deletions", "duration_ms"]);
    json(&["ls"], &["tasks", "coordinator", "running", "waiting"]);
    let status = json(&["status", "1"], &["id", "state", "command", "attempts", "files", "commits", "base", "branch"]);
    has(&status["attempts"][0], &["outcome.how", "outcome.code", "started", "log", "kept"]);
    json(&["diff", "1"], &["task", "files"]);
    let log = json(&["logs", "1"], &["attempt", "bytes", "dropped"]);
    assert_eq!((&log["lines"], &log["bytes"]), (&serde_json::json!(["said"]), &serde_json::json!(5)));
    json(&["merge", "-n", "1"], &["task", "result", "target"]);
    let merged = json(&["merge", "1"], &["task", "result", "target", "commit"]);
    assert_eq!(merged[0]["result"], "folded");
    assert_eq!(json(&["merge", "1"], &["task", "result", "target", "commit"])[0]["result"], "already_folded");
    scene.git(&["branch", "other"]);
    fails(&scene.pleach(&["merge", "--into", "other", "1"]), 7, "folded into main already", "`pleach undo 1`");
    assert_eq!(json(&["undo"], &["task", "result", "target"])[0]["result"], "undone");
    json(&["discard", "1"], &["discarded"]);
    json(&["restore", "1"], &["restored"]);
    json(&["pause"], &["paused"]);
    json(&["retry", "1"], &["id", "state"]);
    json(&["cancel", "1"], &["id", "state"]);
    json(&["resume"], &["paused"]);
    json(&["gc"], &["freed", "bytes", "items"]);
    json(&["doctor"], &["what", "health"]);
    json(&["approve"], &["approved"]);
    let events = scene.ok(&["events", "--json"]);
    events.lines().for_each(|line| has(&serde_json::from_str(line).unwrap(), &["n", "at", "event"]));
    // A conflict has its paths and both sides.
    scene.ok(&["run", "--", "echo two > readme"]);
    scene.write("readme", "three\n");
    scene.git(&["commit", "-qam", "three"]);
    let ran = scene.pleach(&["merge", "--json", "2"]);
    assert_eq!(ran.code, Some(5), "{ran:?}");
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(told[0]["result"], "conflict");
    assert!(told.to_string().contains("\"path\":\"readme\"") && told.to_string().contains("theirs"), "{told}");
    // An error is JSON on standard output, too.
    let ran = scene.pleach(&["status", "--json", "99"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    has(&serde_json::from_str(&ran.out).unwrap(), &["error", "kind", "hint"]);
}

/// What nobody can read is in it too: it applies, and leaves nothing out.
#[test]
fn a_diff_into_a_pipe_is_a_patch_of_everything() {
    let scene = Scene::new();
    at_top(
        &scene,
        "printf 'a\\0b' > img; printf 'x\\0y' > gone; seq 1300000 > big; seq 9 > said.lock; cp img 'old name'; \
         printf 'long enough to be seen again\\0\\n' > moved; echo '*.lock binary' > .gitattributes; \
         git add -A; git commit -qm more",
    );
    let line = "printf 'a\\0c' > img; rm gone; seq 2 1300001 > big; echo 9 >> said.lock; chmod +x 'old name'; \
                printf 'long enough to be seen again\\0?\\n' > there; rm moved; printf 'n\\0' > new; echo more >> readme";
    let id = task(&scene, line).to_string();
    assert_eq!(changed(&scene, 1).len(), 8);
    // Coloured it is for people.
    let seen = scene.ok(&["diff", "--color", "always", &id]);
    assert_eq!(seen.matches("Binary files ").count(), 5, "{seen}");
    assert!(seen.contains("Binary files a/said.lock and b/said.lock differ"), "{seen}");
    assert!(seen.contains("Files a/big and b/big differ, too large to be shown here"), "{seen}");
    at_top(&scene, &format!("\"$PLEACH\" diff {id} | git apply --index"));
    assert_eq!(scene.git(&["write-tree"]), scene.git(&["rev-parse", &format!("pleach/{id}^{{tree}}")]));
}

#[test]
fn a_log_in_json_says_what_is_missing() {
    let scene = Scene::new();
    scene.ok(&["run", "--log-cap", "2000", "seq 1000; printf '\\377\\nlast'"]);
    let log = scene.json(&["logs", "1"]);
    let lines = log["lines"].as_array().unwrap();
    assert_eq!((&lines[0], &lines[lines.len() - 1]), (&"1".into(), &"last".into()));
    assert_eq!(lines[lines.len() - 2], serde_json::json!({ "bytes": [255] }));
    let (bytes, dropped) = (log["bytes"].as_u64().unwrap(), log["dropped"].as_u64().unwrap());
    assert_eq!(bytes + dropped, 3893 + 6);
    assert!(dropped > 0 && log["dropped_after"].as_u64().unwrap() < lines.len() as u64);
    assert_eq!(scene.json(&["logs", "--tail", "1", "1"])["lines"], serde_json::json!(["last"]));
    assert_eq!(scene.pleach(&["logs", "--json", "-f", "1"]).code, Some(2));
}

#[test]
fn gc_says_how_to_do_what_it_tells_of() {
    let scene = Scene::new();
    task(&scene, "true");
    let told = scene.ok(&["gc", "--older-than", "0", "--keep-bytes", "1"]);
    let line = told.split('`').nth(1).unwrap();
    assert_eq!(line, "pleach gc --older-than 0s --keep-bytes 1 --yes");
    let words: Vec<&str> = line.split(' ').skip(1).collect();
    assert!(scene.ok(&words).contains("freed 1 attempt"));
}

#[test]
fn run_gives_the_tasks_own_output_and_code() {
    let scene = Scene::new();
    let ran = scene.pleach(&["run", "--", "echo out; echo err >&2; exit 7"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(7), "out\nerr\n"), "{ran:?}");
    assert!(ran.err.contains("task 1 runs in a worktree of its own") && ran.err.contains("exit 7"), "{ran:?}");
    assert_eq!(scene.pleach(&["run", "--", "kill -9 $$"]).code, Some(137));
    assert_eq!(scene.pleach(&["run", "--timeout", "1s", "--grace", "1s", "--", "sleep 1000"]).code, Some(124));
    assert_eq!(scene.pleach(&["run", "--", "/nonexistent", "x"]).code, Some(125));
    assert_eq!(scene.pleach(&["wait", "1"]).code, Some(7));
    assert_eq!(scene.pleach(&["wait", "1", "2"]).code, Some(1));
    assert_eq!(scene.pleach(&["run", "--", "printf", "%s|", "a b", "$x"]).out, "a b|$x|");
    // What is told of it has a line of its own. What is piped in does not reach it.
    let both = at_top(&scene, "echo piped | \"$PLEACH\" run 'cat; printf said' 2>&1");
    assert!(both.contains("\nsaid\ntask 6: exit 0"), "{both}");
}

/// What it needs may fail before somebody waits, or while they do.
#[test]
fn options_behind_a_line_are_asked_for_in_front_of_it() {
    let scene = Scene::new();
    let ran = scene.pleach(&["run", "echo said; exit 3", "--name", "x"]);
    assert_eq!(ran.code, Some(125), "{ran:?}");
    let line = ran.err.lines().find(|line| line.contains("give its options first")).unwrap();
    assert!(line.trim().starts_with("pleach run --name x 'echo said; exit 3' "), "{ran:?}");
    let ran = scene.pleach(&["run", "--name", "x", "echo said; exit 3"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(3), "said\n"), "{ran:?}");
}

#[test]
fn a_name_means_the_newest_task_that_has_it() {
    let scene = Scene::new();
    for (id, line) in ["exit 1", "true", "exit 3"].iter().enumerate() {
        assert_eq!(scene.add(&["--name", "same"], line), id as u64 + 1);
    }
    assert_eq!(scene.pleach(&["wait", "same"]).code, Some(3));
    assert_eq!(scene.json(&["status", "same"])["id"], 3);
}

#[test]
fn a_task_that_is_blocked_has_not_ended_well() {
    let scene = Scene::new();
    let gate = scene.path("gate");
    scene.add(&["--name", "head"], &format!("until test -e {}; do sleep 0.01; done; exit 2", gate.display()));
    scene.add(&["--name", "next", "--after", "head"], "true");
    scene.add(&["--name", "last", "--after", "next"], "true");
    let waiting = scene.start(&["wait", "last"]);
    std::fs::write(gate, "").unwrap();
    let waited = finish(waiting);
    assert_eq!(waited.code, Some(125), "{waited:?}");
    assert!(waited.out.contains("last"), "{waited:?}");
    for (tasks, code) in [(&["head"][..], 2), (&["next"], 125), (&["last"], 125), (&["head", "last"], 1), (&[], 1)] {
        let waited = scene.pleach(&[&["wait", "--json"], tasks].concat());
        assert_eq!(waited.code, Some(code), "{tasks:?} {waited:?}");
        let rows: Value = serde_json::from_str(&waited.out).unwrap();
        assert_eq!(rows.as_array().map(Vec::len), Some(if tasks.is_empty() { 2 } else { tasks.len() }), "{rows}");
    }
    assert_eq!(scene.json(&["ls"])["tasks"][1]["state"], "blocked");
    scene.ok(&["cancel", "next", "last"]);
    assert_eq!(scene.pleach(&["wait", "next"]).code, Some(130));
    scene.ok(&["wait"]);
}

#[test]
fn errors_have_a_code_and_a_next_step() {
    let scene = Scene::new();
    fails(&scene.pleach(&["status", "9"]), 4, "there is no task 9", "`pleach ls --all`");
    fails(&scene.pleach(&["add", "--after", "9", "--", "true"]), 4, "there is no task 9", "`pleach ls --all`");
    fails(&scene.pleach(&["add", "--base", "nowhere", "--", "true"]), 2, "\"nowhere\" is not a commit", "git log");
    fails(
        &scene.pleach(&["add", "--into", "nowhere", "--", "true"]),
        2,
        "there is no branch nowhere",
        "git branch nowhere",
    );
    fails(&scene.pleach(&["undo"]), 7, "nothing was folded, so", "`pleach ls --all`");
    fails(&scene.pleach(&["undo", "--into", "main"]), 7, "nothing was folded into main", "`pleach ls --all`");
    fails(&scene.pleach(&["undo", "--into", "nowhere"]), 2, "there is no branch nowhere", "`git branch`");
    let failed = scene.add(&[], "exit 1").to_string();
    scene.pleach(&["wait", &failed]);
    fails(&scene.pleach(&["merge", &failed]), 7, "task 1 has failed", "`pleach restore`");
    fails(&scene.pleach(&["cancel", &failed]), 7, "nothing to cancel", "`pleach discard`");
    fails(&scene.pleach(&["restore", &failed]), 7, "left no change", "`pleach retry`");
    for verb in ["diff", "logs", "restore"] {
        fails(&scene.pleach(&[verb, "1.9"]), 7, "task 1 has no attempt 9", "`pleach status 1`");
    }
    let gate = scene.path("gate");
    let id = scene.add(&[], &format!("until test -e {}; do sleep 0.01; done", gate.display())).to_string();
    fails(&scene.pleach(&["wait", "--timeout", "1s", &id]), 124, "the time to wait is over", "`pleach ls`");
    fails(&scene.pleach(&["merge", &id]), 7, "task 2 is running", "`pleach wait`");
    fails(&scene.pleach(&["discard", &id]), 7, "task 2 is running", "`pleach cancel`");
    fails(&scene.pleach(&["retry", &id]), 7, "task 2 is running", "`pleach cancel`");
    std::fs::write(gate, "").unwrap();
    scene.ok(&["wait", &id]);
    for args in [&[][..], &["frobnicate"], &["add"], &["merge"], &["gc", "-n", "--yes"]] {
        let ran = scene.pleach(args);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{args:?}: {ran:?}");
    }
    for args in [&["--help"][..], &["help", "merge"], &["--version"]] {
        assert_eq!(scene.pleach(args).code, Some(0), "{args:?}");
    }
}

#[test]
fn one_result_is_one() {
    let scene = Scene::new();
    let good = |wanted: &str| scene.ok(&["doctor"]).lines().any(|line| line == format!("ok       {wanted}"));
    scene.ok(&["pause"]);
    assert!(good("the journal is sound: 1 event") && good("0 results are kept"));
    scene.ok(&["resume"]);
    task(&scene, "echo more >> readme");
    assert!(good("1 result is kept"));
}

#[test]
fn completions_and_man_pages_are_made() {
    let scene = Scene::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(scene.ok(&["completions", shell]).contains("pleach"), "{shell}");
    }
    assert!(scene.ok(&["man"]).contains(".TH"));
    let dir = scene.path("man");
    std::fs::create_dir(&dir).unwrap();
    scene.ok(&["man", dir.to_str().unwrap()]);
    assert!(dir.join("pleach.1").exists() && dir.join("pleach-merge.1").exists());
    task(&scene, "true");
}

#[test]
fn a_dry_run_says_what_a_merge_would_meet() {
    let scene = Scene::new();
    let result = |line: &str, options: &[&str]| {
        let id = scene.add(options, line).to_string();
        scene.ok(&["wait", &id]);
        id
    };
    let edited = result("echo more >> readme", &[]);
    let flagged = result("ln -s /etc/passwd outside", &[]);
    let needed = result("echo n > n", &[]);
    let builds_on = result("echo o > o", &["--after", &needed]);
    let conflicting = result("echo other > n", &[]);
    scene.write("readme", "mine\n");
    // The pins of their bases go with their worktrees, which may be just now.
    let refs = || scene.git(&["for-each-ref", "refs/heads", "refs/pleach/kept"]);
    let before = refs();
    let says = |tasks: &[&str]| {
        let told = scene.pleach(&[&["merge", "--dry-run"], tasks].concat());
        let merged = scene.pleach(&[&["merge"], tasks].concat());
        (told, merged)
    };
    let told = scene.pleach(&["merge", "--dry-run", &edited, &flagged, &builds_on]);
    assert_eq!(told.code, Some(6), "{told:?}");
    let held = ["holds edits", "leads out of the tree", "builds on 3"];
    assert!(held.iter().all(|words| told.out.contains(words)), "{told:?}");
    let told = scene.pleach(&["merge", "--dry-run", &needed, &builds_on]);
    assert_eq!(told.code, Some(0), "{told:?}");
    assert_eq!(refs(), before);
    // What it says is what is met.
    for tasks in [&[&*edited][..], &[&*flagged], &[&*builds_on], &[&*needed, &*builds_on], &[&*conflicting]] {
        let (told, merged) = says(tasks);
        assert_eq!(told.code, merged.code, "{told:?} {merged:?}");
        if told.code != Some(0) {
            assert_eq!(told.out, merged.out);
        }
    }
}

#[test]
fn a_bad_configuration_fails_only_what_needs_it() {
    let scene = Scene::new();
    let task = |line: &str| {
        let id = scene.add(&[], line).to_string();
        scene.ok(&["wait", &id]);
        id
    };
    let (other, bad) = (task("echo more >> readme"), task("printf '[run]\\nconcurency = 3\\n' > .pleach.toml"));
    scene.ok(&["merge", &bad]);
    for verb in [&["add", "--", "true"][..], &["run", "--", "true"], &["approve"], &["merge", &other]] {
        fails(&scene.pleach(verb), 2, ".pleach.toml:2:1: unknown field `concurency`", "mend that line");
    }
    let all = [
        &["ls"][..],
        &["status", &other],
        &["diff", &other],
        &["logs", &other],
        &["wait"],
        &["gc"],
        &["events"],
        &["pause"],
        &["resume"],
        &["discard", &other],
        &["restore", &other],
        &["retry", &other],
        &["wait", &other],
        &["ls", "--json"],
    ];
    for verb in all {
        let ran = scene.pleach(verb);
        assert_eq!(ran.code, Some(0), "{verb:?}: {ran:?}");
        assert_eq!(ran.err.matches("warning: ").count(), 1, "{verb:?}: {ran:?}");
        assert!(ran.err.contains(".pleach.toml:2:1") && ran.err.contains("goes on without it"), "{verb:?}: {ran:?}");
    }
    let doctor = scene.pleach(&["doctor"]);
    assert_eq!(doctor.code, Some(1), "{doctor:?}");
    assert!(doctor.out.contains("the configuration cannot be used") && doctor.out.contains("mend that line"));
    assert_eq!(doctor.err, "");
    // Nobody knows whether the file asks for a check. What is said on the command line needs no file; and what brought the
    // file is taken back.
    fails(&scene.pleach(&["merge", "--squash", &other]), 2, "unknown field `concurency`", "mend that line");
    scene.ok(&["merge", "--squash", "--no-verify", &other]);
    scene.ok(&["undo", &bad]);
    assert_eq!(scene.pleach(&["ls"]).err, "");
    assert_eq!(scene.read("readme"), "hello\nmore\n");
}

#[test]
fn advice_fits_what_happened() {
    let mut scene = Scene::new();
    scene.ok(&["run", "--", "echo one > readme"]);
    scene.ok(&["merge", "1"]);
    scene.write("readme", "other\n");
    scene.git(&["commit", "-qam", "other"]);
    // An undo that conflicts is not to be run again, and has one side.
    let undo = scene.pleach(&["undo", "1"]);
    assert_eq!(undo.code, Some(5), "{undo:?}");
    let head = scene.git(&["rev-parse", "--short=8", "main"]);
    let lines: Vec<&str> = undo.out.lines().collect();
    assert_eq!(lines[..2], ["task 1: conflict with main; nothing was touched", &format!("  readme  main {head}")]);
    assert!(undo.out.contains("take that back first") && !undo.out.contains("pleach add"), "{undo:?}");
    // What never ran cannot come back.
    scene.ok(&["pause"]);
    scene.add(&[], "true");
    scene.ok(&["cancel", "2"]);
    assert_eq!(scene.ok(&["discard", "2"]), "task 2 discarded; it left nothing");
    fails(&scene.pleach(&["restore", "2"]), 7, "task 2 never ran", "`pleach retry`");
    scene.ok(&["resume"]);
    let gate = scene.path("gate");
    scene.add(&[], &format!("until test -e {}; do sleep 0.01; done", gate.display()));
    scene.until("it runs", || scene.stands(3) == "running");
    fails(&scene.pleach(&["restore", "3"]), 7, "task 3 is running", "`pleach wait`");
    fails(&scene.pleach(&["restore", "1.9"]), 7, "task 1 has no attempt 9", "`pleach status 1`");
    std::fs::write(&gate, "").unwrap();
    scene.ok(&["wait"]);
    // A setup hook said something before it failed.
    scene.write("../home/config/pleach/config.toml", "[worktree]\nsetup = \"echo why; exit 3\"\n");
    let ran = scene.pleach(&["run", "--", "true"]);
    assert!(ran.err.contains("pleach logs 4") && ran.err.contains("pleach retry 4"), "{ran:?}");
    scene.variables.insert("PLEACH_CONCURRENCY".to_owned(), "0".to_owned());
    fails(&scene.pleach(&["add", "--", "true"]), 2, "is not a number above 0", "unset PLEACH_CONCURRENCY");
}

#[test]
fn values_that_make_no_sense_are_refused() {
    let scene = Scene::new();
    for (options, words) in [
        (["--timeout", "0"], "leave it out for no limit"),
        (["--timeout", "0s"], "leave it out for no limit"),
        (["--env", "NOSUCH"], "NOSUCH is not set here"),
        (["--group", ""], "a group has a name"),
        (["--group", "a b"], "without blanks"),
        (["--name", "x.lock"], "no `.` or `.lock` at its end"),
    ] {
        let ran = scene.pleach(&[&["add"], &options[..], &["--", "true"]].concat());
        assert_eq!(ran.code, Some(2), "{options:?}: {ran:?}");
        assert!(ran.err.contains(words), "{options:?}: {ran:?}");
    }
    assert_eq!(scene.board().len(), 0);
    scene.configure("[run]\ntimeout = \"0s\"\n");
    fails(&scene.pleach(&["add", "--", "true"]), 2, "run.timeout must be above 0", "mend that line");
    std::fs::remove_file(scene.path("home/config/pleach/config.toml")).unwrap();
    let pleach = env!("CARGO_BIN_EXE_pleach");
    let line = format!("for told in 5/0 200/89 0/0 7/7; do {pleach} progress $told >/dev/null 2>&1; echo $?; done");
    assert_eq!(scene.ok(&["run", "--", &line]), "2\n2\n0\n0");
}
