//! What somebody says of a result, hunk by hunk, is what comes of it.

mod parts;
mod terminal;
mod web;

use serde_json::{Value, json};

use crate::support::cli::{at_top, task};
use crate::support::scene::{Ran, Scene, finish};

/// A task with something to say to each of its files.
fn reviewed() -> (Scene, u64) {
    let scene = Scene::new();
    at_top(
        &scene,
        "seq 1 40 > a; echo b > b; mkdir -p .github/workflows; echo x > .github/workflows/ci.yml; git add -A; git commit -qm base",
    );
    let id = task(
        &scene,
        "sed -i '2s/.*/two/; 30s/.*/thirty/' a; chmod +x a; rm b; echo new > c; echo y >> .github/workflows/ci.yml; \
         pleach summary 'all of it'",
    );
    (scene, id)
}

fn apply(scene: &Scene, options: &[&str], review: &Value) -> Ran {
    let file = scene.path("review.json");
    std::fs::write(&file, review.to_string()).unwrap();
    scene.pleach(&[&["review", "--apply", file.to_str().unwrap()], options].concat())
}

fn sheet(scene: &Scene, id: u64) -> Value {
    let all = scene.json(&["review", &id.to_string()]);
    assert_eq!(all["reviews"].as_array().unwrap().len(), 1);
    all["reviews"][0].clone()
}

#[test]
fn what_is_to_be_looked_at_first_comes_first() {
    let (scene, id) = reviewed();
    let sheet = sheet(&scene, id);
    let of = |file: &Value| {
        let hunks = file["hunks"].as_array().unwrap().iter().map(|hunk| hunk["id"].as_str().unwrap().to_owned());
        let path = file["path"].as_str().unwrap().to_owned();
        (path, file["look_first"].as_str().unwrap_or_default().to_owned(), hunks.collect::<Vec<_>>().join("; "))
    };
    let files: Vec<_> = sheet["files"].as_array().unwrap().iter().map(of).collect();
    let expected = [
        (".github/workflows/ci.yml", "a CI service runs it", "-1,1 +1,2"),
        ("a", "it can be run now", "mode; -1,5 +1,5; -27,7 +27,7"),
        ("b", "", "-1,1 +0,0"),
        ("c", "", "-0,0 +1,1"),
    ];
    assert_eq!(files, expected.map(|(path, why, hunks)| (path.to_owned(), why.to_owned(), hunks.to_owned())));
    assert_eq!(sheet["summary"], "all of it");
    let words = scene.ok(&["review"]);
    assert!(words.contains("look: a CI service runs it"), "{words}");
}

#[test]
fn an_accepted_part_goes_in_and_the_whole_is_kept() {
    let (scene, id) = reviewed();
    let review = json!({
        "task": id, "verdict": "accept", "message": "only thirty", "comments": [{"path": "a", "line": 2, "text": "why?"}],
        "files": [
            {"path": "b", "verdict": "refuse"},
            {"path": "a", "hunks": [{"id": "-1,5 +1,5", "verdict": "refuse"}, {"id": "mode", "verdict": "refuse"}]},
        ],
    });
    let other = task(&scene, "echo other > other");
    let refused = json!({"task": other, "verdict": "refuse", "says": "no"});
    let told: Value = serde_json::from_str(&apply(&scene, &["--json"], &refused).out).unwrap();
    assert_eq!((&told[0]["review"], &told[0]["untold"]), (&json!("refused"), &json!({"says": "no"})));
    let ran = apply(&scene, &[], &review);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains(&format!("the accepted part is attempt {id}.2; all of it is kept")), "{ran:?}");
    assert!(ran.out.contains("reaches no task") && ran.out.contains("a:2: why?"), "{ran:?}");
    assert_eq!(scene.stands(id), "folded");
    let a: String = (1..=40).map(|n| if n == 30 { "thirty\n".to_owned() } else { format!("{n}\n") }).collect();
    assert_eq!((scene.read("a"), scene.read("b"), scene.read("c")), (a, "b\n".to_owned(), "new\n".to_owned()));
    assert!(scene.git(&["ls-tree", "HEAD", "a"]).starts_with("100644"));
    assert_eq!(scene.git(&["log", "-1", "--format=%s", "HEAD^2"]), "only thirty");
    // What was not accepted is still there, and can be had.
    scene.ok(&["undo"]);
    scene.ok(&["restore", &format!("{id}.1")]);
    scene.ok(&["merge", &id.to_string()]);
    assert!(!scene.top.join("b").exists());
    assert!(scene.git(&["ls-tree", "HEAD", "a"]).starts_with("100755"));
    scene.assert_tidy();
}

#[test]
fn the_printed_sheet_is_taken_back_as_it_is_once_it_says_something() {
    let (scene, id) = reviewed();
    let mut sheet = sheet(&scene, id);
    assert!(apply(&scene, &[], &json!({"reviews": [sheet]})).out.contains("nothing was said of it"));
    sheet["verdict"] = "accept".into();
    sheet["others"] = "refuse".into();
    sheet["files"][3]["verdict"] = "accept".into();
    let ran = apply(&scene, &["--no-merge", "--json"], &json!([sheet]));
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(told, json!([{"review": "accepted", "part": format!("{id}.2"), "task": id, "result": "ready"}]));
    assert_eq!(scene.ok(&["diff", "--name-only", &id.to_string()]), "c");
    let status = scene.status(id);
    assert_eq!((&status["attempts"][1]["part_of"], &status["state"]), (&json!(1), &json!("ready")));
    // The same once more is about a result that is no longer the task's.
    let again = apply(&scene, &[], &json!([sheet]));
    assert_eq!(again.code, Some(2), "{again:?}");
    assert!(again.err.contains(&format!("its result is that of attempt {id}.2 now")), "{again:?}");
    assert!(scene.ok(&["logs", &id.to_string()]).is_empty());
}

/// What takes the place of a result between the look at it and its fold is not folded unseen.
#[test]
fn a_result_that_is_replaced_after_the_look_is_not_folded() {
    let (scene, id) = reviewed();
    let other = task(&scene, "seq 1 9 > n; echo more > m");
    let review = json!([
        {"task": id, "verdict": "accept"},
        {"task": other, "verdict": "accept", "files": [{"path": "m", "verdict": "refuse"}]},
    ]);
    std::fs::write(scene.path("review.json"), review.to_string()).unwrap();
    // All is looked at by now, and of the second a part is made: there the one who reviews is held up.
    let git = scene.path("held/git");
    std::fs::create_dir_all(git.parent().unwrap()).unwrap();
    let [there, go] = ["there", "go"].map(|name| scene.path(name));
    let wait = format!(
        "case $* in *write-tree*) : >{}; until test -e {}; do sleep 0.02; done;; esac",
        there.display(),
        go.display()
    );
    std::fs::write(&git, format!("#!/bin/sh\n{wait}\nPATH=${{PATH#*:}} exec git \"$@\"\n")).unwrap();
    std::fs::set_permissions(&git, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", git.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut held = scene.command(&["review", "--apply", scene.path("review.json").to_str().unwrap()]);
    let held = held.env("PATH", path).spawn().unwrap();
    scene.until_there(&there);
    // Meanwhile somebody else accepts a part of the first.
    let part =
        json!({"task": id, "verdict": "accept", "others": "refuse", "files": [{"path": "c", "verdict": "accept"}]});
    std::fs::write(scene.path("part.json"), part.to_string()).unwrap();
    scene.ok(&["review", "--no-merge", "--apply", scene.path("part.json").to_str().unwrap()]);
    let before = scene.git(&["rev-parse", "HEAD"]);
    std::fs::write(&go, "").unwrap();
    let ran = finish(held);
    assert_eq!(ran.code, Some(7), "{ran:?}");
    assert!(ran.err.contains(&format!("task {id} has another result now than the one that was looked at")), "{ran:?}");
    assert_eq!(scene.git(&["rev-parse", "HEAD"]), before);
    assert_eq!([id, other].map(|id| scene.stands(id)), ["ready", "ready"]);
    // Who looks anew sees what it would be, and may have it.
    assert_eq!(scene.ok(&["diff", "--name-only", &id.to_string()]), "c");
    scene.ok(&["merge", &id.to_string()]);
    scene.assert_tidy();
}

#[test]
fn refused_and_sent_back() {
    let (scene, id) = reviewed();
    let other = task(&scene, "cp \"$PLEACH_HANDBACK\"/handback.md told 2>/dev/null || echo first > told");
    let review = json!([
        {"task": id, "verdict": "refuse"},
        {"task": other, "verdict": "send_back", "says": "once more", "comments": [{"path": "told", "line": 1, "text": "why first?"}]},
    ]);
    let ran = apply(&scene, &[], &review);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(scene.stands(id), "discarded");
    // Who had not heard of that is told.
    let ran = apply(&scene, &["--no-merge"], &json!([{"task": id, "verdict": "accept"}]));
    assert!(ran.out.contains("it had been discarded, and is taken up again"), "{ran:?}");
    assert_eq!(scene.stands(id), "ready");
    scene.ok(&["discard", &id.to_string()]);
    scene.ok(&["wait", &other.to_string()]);
    let told = scene.ok(&["diff", &other.to_string()]);
    for part in [
        "wants it made anew on what main is now",
        "## Review",
        "once more",
        "told, line 1 in the earlier result:",
        "why first?",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert!(scene.ok(&["status", &other.to_string()]).contains("with a review: once more"));
    // The same by `retry`; only what is said of that task counts.
    let file = scene.path("again.json");
    let review = json!([{"task": id, "says": "no"}, {"task": other, "comments": [{"path": "told", "text": "better"}]}]);
    std::fs::write(&file, review.to_string()).unwrap();
    scene.ok(&["retry", &format!("--with-review={}", file.display()), &other.to_string()]);
    scene.ok(&["wait", &other.to_string()]);
    assert!(scene.ok(&["diff", &other.to_string()]).contains("better"));
    scene.assert_tidy();
}

#[test]
fn what_does_not_fit_is_told_whole_and_nothing_is_done() {
    let (scene, id) = reviewed();
    let review = json!([
        {"task": id, "verdict": "accept", "files": [{"path": "zzz"}, {"path": "a", "hunks": [{"id": "-9,9 +9,9"}]}]},
        {"task": id, "verdict": "refuse"},
    ]);
    let ran = apply(&scene, &[], &review);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    for part in ["nothing of it was done", "zzz does not differ", "a has no hunk \"-9,9 +9,9\"", "hint: "] {
        assert!(ran.err.contains(part), "{part} in {ran:?}");
    }
    for (review, problem) in [
        (json!({"task": id, "verdict": "send_back"}), "without a word"),
        (json!({"task": id, "verdict": "accept", "others": "refuse"}), "nothing of it is accepted"),
        (json!({"task": id, "files": [{"path": "a", "verdict": "refuse"}]}), "nothing of itself"),
        (json!({"task": id, "verdct": "accept"}), "unknown field `verdct`"),
        (json!({"task": 77, "verdict": "accept"}), "there is no task 77"),
    ] {
        let ran = apply(&scene, &[], &review);
        assert!(ran.code != Some(0) && ran.err.contains(problem), "{problem} in {ran:?}");
    }
    assert_eq!(scene.stands(id), "ready");
}
