//! A plan of each shape on a real repository.

use std::fs;
use std::path::Path;

use super::super::support::scene::Scene;
use super::{run, states, task};

fn fixture(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/plans/valid").join(name)).unwrap()
}

#[test]
fn side_by_side() {
    let scene = Scene::new();
    let (code, report) = run(&scene, &fixture("parallel.toml"));
    assert_eq!((code, states(&report).as_str()), (0, "one ready, two ready"));
    assert_eq!(report["plan"], "parallel.1");
    assert!(scene.ok(&["status", "one"]).contains("  plan      parallel.1\n"));
    scene.ok(&["merge", "--plan", "parallel"]);
    assert_eq!((scene.read("one"), scene.read("two")), ("one\n".to_owned(), "two\n".to_owned()));
    // It has ended: the same file again is another plan.
    assert_eq!(run(&scene, &fixture("parallel.toml")).1["plan"], "parallel.2");
}

#[test]
fn one_after_the_other() {
    let scene = Scene::new();
    let (code, report) = run(&scene, &fixture("pipeline.toml"));
    assert_eq!((code, states(&report).as_str()), (0, "draft ready, extend ready, review ready"), "{report:#}");
    assert_eq!(scene.git(&["show", "pleach/2-extend:text"]), "first\na first line");
    let review = scene.git(&["show", "pleach/3-review:review"]);
    let worktree = review.lines().next().unwrap().split(" in ").nth(1).unwrap().split(',').next().unwrap();
    assert!(review.starts_with("review this in /") && worktree.contains("/pleach-slot-"), "{review}");
    assert!(review.contains("where {task} is not filled in:") && review.ends_with("\n+a first line"), "{review}");
    assert_eq!(task(&report, "draft")["summary"], "a first line");
}

/// The directory is where its tasks run, so that is from where they have to find their items.
#[test]
fn below_the_top() {
    let scene = Scene::new();
    for (path, content) in [("api/a b.txt", "api"), ("deep/er/c.txt", "deep"), ("deep/d.txt", "d")] {
        scene.write(path, content);
    }
    // A name that could be a line for the shell, too, of a file as some editors write it.
    scene.write(
        "deep/one each.json",
        "\u{feff}{\"name\": \"each\", \"task\": [{\"name\": \"see\", \"for_each\": {\"glob\": [\"**/*.txt\", \"*/\"]}, \
         \"command\": \"test -e {item} && echo {item} > seen\"}]}",
    );
    scene.git(&["add", "."]);
    scene.git(&["commit", "-qm", "below"]);
    let ran = scene.pleach(&["-C", "deep", "run", "one each.json", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    assert_eq!(ran.code, Some(0), "{report:#}");
    let seen = |task: &serde_json::Value| {
        scene.git(&["show", &format!("pleach/{}-{}:deep/seen", task["id"], task["name"].as_str().unwrap())])
    };
    let mut seen: Vec<String> = report["tasks"].as_array().unwrap().iter().map(seen).collect();
    seen.sort();
    assert_eq!(seen, [".", "../api", "../api/a b.txt", "../dir", "d.txt", "er/c.txt"], "{report:#}");
}

#[test]
fn out_and_in_again() {
    let scene = Scene::with_concurrency(4);
    let (code, report) = run(&scene, &fixture("fan.toml"));
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(scene.git(&["show", "pleach/5-join:joined"]), "a\nb\nc");
    let text = scene.pleach(&["report", "fan", "--markdown"]).out;
    assert!(text.starts_with("# Plan fan.1\n\nall of it came to something: 5 tasks, 5 ready\n"), "{text}");
    assert!(text.contains("| 5 join | ready |") && text.contains("- `joined` +3 -0"), "{text}");
}

#[test]
fn item_by_item() {
    let scene = Scene::with_concurrency(4);
    // Were `test` to wait for all of `fix`, `fix-b` would never end: it waits for what `test-a` does.
    let there = scene.path("tested-a");
    let plan = format!(
        r#"
        name = "items"
        [defaults]
        timeout = "60s"
        [[task]]
        name = "fix"
        for_each = ["a", "b"]
        command = "test {{item}} = a || until test -e '{there}'; do sleep 0.05; done; echo {{item}} > {{item}}; pleach summary fixed {{item}}"
        [[task]]
        name = "test"
        needs = ["fix-{{item}}"]
        for_each = ["a", "b"]
        command = "ls [ab] > seen-{{item}}; echo {{needs.fix.summary}} >> seen-{{item}}; touch '{there}'"
        [[task]]
        name = "join"
        needs = ["test"]
        command = "cat seen-* > joined"
        "#,
        there = there.display()
    );
    scene.write("plan.toml", &plan);
    let preview = scene.ok(&["plan", "plan.toml"]);
    assert!(preview.contains("after fix-a\n") && preview.contains("after fix-b\n"), "{preview}");
    assert!(preview.contains("after test\n"), "{preview}");
    let (code, report) = run(&scene, &plan);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(scene.git(&["show", "pleach/5-join:joined"]), "a\nfixed a\nb\nfixed b");
}

#[test]
fn what_is_there_for_other_items_is_told_before_anything_starts() {
    let scene = Scene::new();
    let plan = "[[task]]\nname = \"fix\"\nfor_each = [\"a\"]\ncommand = \"true\"\n\
                [[task]]\nname = \"test\"\nneeds = [\"fix-{item}\"]\nfor_each = [\"a\", \"b\"]\ncommand = \"true\"\n";
    scene.write("plan.toml", plan);
    let refused = scene.pleach(&["run", "plan.toml"]);
    let told = "plan.toml:8:1: there is no fix for \"b\": both have to be there for the same items";
    assert!(refused.code == Some(2) && refused.err.contains(told), "{}", refused.err);
    assert!(scene.board().is_empty());
}

#[test]
fn tries_are_compared_and_one_is_picked() {
    let scene = Scene::new();
    let plan = "name = \"best\"\n[[task]]\nname = \"try\"\nattempts = 2\ncommand = \"echo $PLEACH_TASK > text\"\n";
    scene.write("plan.toml", plan);
    let told = scene.ok(&["run", "plan.toml"]);
    assert!(told.contains("pleach diff try.2 --against try.1 ") && told.contains("pleach pick try.1 "), "{told}");
    let differs = scene.ok(&["diff", "try.2", "--against", "try.1"]);
    assert!(differs.contains("\n-1\n+2"), "{differs}");
    assert_eq!(scene.ok(&["diff", "try.1", "--against", "1"]), "");
    scene.ok(&["pick", "try.2"]);
    let refused = scene.pleach(&["diff", "try.2", "--against", "9"]);
    assert_eq!(refused.code, Some(4), "{}", refused.err);
}

#[test]
fn for_each_of_a_hundred_modules() {
    let scene = Scene::with_concurrency(8);
    for at in 0..100 {
        scene.write(&format!("modules/m{at:02}/text"), "colour\n");
    }
    scene.write("modules/untracked/text", "colour\n");
    scene.git(&["add", "modules/m*"]);
    scene.git(&["commit", "-qm", "modules"]);
    let (code, report) = run(
        &scene,
        r#"
        [defaults]
        fold = "auto"
        [[task]]
        name = "colour"
        for_each = { glob = "modules/*/" }
        command = "sed -i s/colour/color/ {item}/text"
        paths = ["modules/**"]
        message = "{item}: it is spelled color"
        "#,
    );
    assert_eq!((code, report["counts"]["folded"].as_u64()), (0, Some(100)), "{}", states(&report));
    for at in 0..100 {
        assert_eq!(scene.read(&format!("modules/m{at:02}/text")), "color\n");
    }
    assert_eq!(scene.read("modules/untracked/text"), "colour\n");
    assert_eq!(task(&report, "colour-modules-m42")["item"], "modules/m42");
}

#[test]
fn the_lines_of_a_command() {
    let scene = Scene::new();
    let plan = r#"
        [[task]]
        name = "each"
        for_each = { command = "git ls-files; echo; echo mine; touch made-by-a-plan" }
        command = "printf '%s\n' {item} > listed"
        "#;
    let names = |report: &serde_json::Value| states(report).matches("ready").count();
    let (code, report) = run(&scene, plan);
    // Writing is refused where a sandbox is; here there is none, and the lines count.
    assert_eq!((code, names(&report)), (0, 5), "{report:#}");
    let seen = scene.json(&["plan", "plan.toml"]);
    assert_eq!(seen["tasks"].as_array().unwrap().len(), 1, "nothing was run for a look");
    assert_eq!(seen["unexpanded"][0]["task"], "each");
    assert_eq!(scene.json(&["plan", "--expand", "plan.toml"])["tasks"].as_array().unwrap().len(), 5);
    scene.write("bad.toml", plan.replace("echo mine;", "exit 3;"));
    let ran = scene.pleach(&["run", "bad.toml"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("bad.toml:4:9: ") && ran.err.contains("ended with 3"), "{}", ran.err);
}

#[test]
fn a_look_runs_nothing_and_tells_overlaps() {
    let scene = Scene::new();
    scene.write(
        "plan.toml",
        r#"
        [[task]]
        name = "a"
        command = "touch ../ran"
        paths = ["src/**"]
        [[task]]
        name = "b"
        command = "touch ../ran"
        paths = ["src/a.rs"]
        [[task]]
        name = "c"
        needs = ["a", "b"]
        command = "true"
        paths = ["src/**"]
        "#,
    );
    let text = scene.ok(&["plan", "plan.toml"]);
    assert!(text.starts_with("plan plan (plan.toml): 3 tasks, 2 levels, at most 2 side by side\n"), "{text}");
    assert!(text.contains("overlap: a and b may both touch src/** and src/a.rs\n"), "{text}");
    assert_eq!(text.matches("overlap:").count(), 1, "c builds on them");
    assert!(!scene.path("ran").exists() && scene.board().is_empty());
}

#[test]
fn a_thousand_tasks_are_taken_in_one_go() {
    let scene = Scene::with_concurrency(1);
    scene.ok(&["pause"]);
    let items: Vec<String> = (0..1000).map(|at| format!("item {at}")).collect();
    scene.write("plan.toml", format!("[[task]]\nname = 'many'\nfor_each = {items:?}\ncommand = 'echo {{item}}'\n"));
    let begun = std::time::Instant::now();
    let answer = scene.json(&["run", "--detach", "plan.toml"]);
    let took = begun.elapsed();
    assert_eq!(answer["tasks"].as_array().unwrap().len(), 1000);
    // It is built without optimization, and others use the machine.
    assert!(took.as_secs() < 10, "{took:?}");
    eprintln!("1000 tasks were taken in {took:?}");
    assert_eq!(scene.board().len(), 1000);
}
