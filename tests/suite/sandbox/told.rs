//! What is less than its user may think is told where they look: in `run`, `ls`, `wait`, `status`, JSON and events.

use std::fs;
use std::os::unix::fs::symlink;

use super::super::support::scene::Scene;
use super::{scene, word, works};

/// From here on this tier does not work on the machine of the scene.
fn take_away(scene: &Scene, tier: &str) {
    fs::write(scene.path(&format!("crash/without.{tier}")), "").unwrap();
}

fn configure(scene: &Scene, text: &str) {
    let config = scene.path("home/config/pleach");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("config.toml"), text).unwrap();
}

#[test]
fn a_tier_that_stops_working_before_the_start_is_told_everywhere() {
    if !works("full") || !works("reduced") {
        return;
    }
    let scene = scene("best");
    scene.ok(&["pause"]);
    let gate = scene.path("home/gate");
    let task = scene.add(&[], &format!("echo up; until test -e {}; do sleep 0.05; done", word(gate.clone())));
    take_away(&scene, "full");
    scene.ok(&["resume"]);
    scene.until("it runs", || scene.log(task).contains("up"));
    let short = "reduced sandbox instead of full";
    assert!(scene.ok(&["ls"]).contains(short), "while it runs: {}", scene.ok(&["ls"]));
    fs::write(&gate, "").unwrap();
    let waited = scene.pleach(&["wait", &task.to_string()]);
    assert!(waited.code == Some(0) && waited.out.contains(short), "{waited:?}");
    let whole = "warning: task 1: it had the reduced tier of the sandbox, although full worked when it was asked for: the full tier";
    assert!(waited.err.contains(whole) && waited.err.contains("--require-sandbox full"), "{waited:?}");
    for look in [&["ls", "--all"][..], &["status", "1"], &["events"]] {
        let said = scene.ok(look);
        assert!(said.contains(short) || said.contains("although full worked"), "{look:?}: {said}");
    }
    let status = scene.status(task);
    for warning in [&status["warnings"][0], &status["attempts"][0]["warnings"][0]] {
        assert_eq!((warning["kind"].as_str(), warning["from"].as_str()), (Some("fell"), Some("full")), "{status:#}");
    }
    assert!(scene.ok(&["events", "--json"]).contains(r#""warnings":[{"kind":"fell","from":"full","to":"reduced""#));
    // Whoever asks next is promised no more than what works now, so nothing falls.
    let next = scene.pleach(&["run", "--", "true"]);
    assert!(next.code == Some(0) && !next.err.contains("warning"), "{next:?}");
    assert_eq!(scene.status(2)["attempts"][0]["sandbox"], "reduced");
}

#[test]
fn whoever_follows_a_task_is_told_at_its_end() {
    if !works("full") || !works("reduced") {
        return;
    }
    let scene = scene("best");
    // What was found here earlier is believed until a task finds less.
    scene.ok(&["run", "--", "true"]);
    scene.ok(&["run", "--", "true"]);
    take_away(&scene, "full");
    let ran = scene.pleach(&["run", "--", "true"]);
    assert!(ran.code == Some(0) && ran.err.contains("warning: task 3: it had the reduced tier"), "{ran:?}");
}

#[test]
fn a_tier_that_is_required_is_looked_for_before_the_task_is_taken() {
    if !works("full") || !works("reduced") {
        return;
    }
    let scene = scene("best");
    scene.ok(&["run", "--require-sandbox", "full", "--", "true"]);
    scene.ok(&["pause"]);
    let ran = scene.path("home/ran");
    let taken = scene.add(&["--require-sandbox", "full"], &format!("touch {}", word(ran.clone())));
    take_away(&scene, "full");
    scene.ok(&["resume"]);
    // What was there when it was asked for may be gone when it starts: then it does not start.
    assert_eq!(scene.pleach(&["wait", &taken.to_string()]).code, Some(125));
    assert_eq!(scene.outcome(taken), "could_not_start");
    assert!(!ran.exists());
    let refused = scene.pleach(&["run", "--require-sandbox", "full", "--", "true"]);
    assert_eq!(refused.code, Some(9), "{refused:?}");
    for part in ["required to have the full tier", "a test took it away", "require less: reduced works here"] {
        assert!(refused.err.contains(part), "{part}: {refused:?}");
    }
    configure(&scene, "[sandbox]\nrequire = \"full\"\n");
    assert_eq!(scene.pleach(&["add", "--", "true"]).code, Some(9));
    assert_eq!(scene.board().len(), 2, "nothing of it was taken");
    // Once it works again it is taken again.
    fs::remove_file(scene.path("crash/without.full")).unwrap();
    scene.ok(&["run", "--", "true"]);
}

#[test]
fn a_directory_to_write_that_is_not_there_is_made_or_told() {
    for tier in ["reduced", "full"].into_iter().filter(|tier| works(tier)) {
        let scene = scene(tier);
        configure(&scene, "[sandbox]\nwrite = [\"~/made/deep/\", \"~/missing\"]\n");
        let line = "echo x > ~/made/deep/file && mkdir -p ~/missing 2>/dev/null && echo x > ~/missing/file; true";
        let ran = scene.pleach(&["run", "--", line]);
        assert_eq!(ran.code, Some(0), "{tier}: {ran:?}");
        assert_eq!(fs::read_to_string(scene.path("home/made/deep/file")).unwrap(), "x\n", "{tier}");
        assert!(!scene.path("home/missing").exists(), "{tier}");
        let missing = scene.path("home/missing");
        assert!(ran.err.contains(&format!("nothing is at {}", missing.display())), "{tier}: {ran:?}");
        assert!(ran.err.contains("have a directory made"), "{tier}: {ran:?}");
        assert!(!ran.err.contains("made/deep"), "{tier}: {ran:?}");
        assert!(scene.ok(&["ls", "--all"]).contains("missing is not kept"), "{tier}");
        let tried = scene.pleach(&["sandbox", "--tier", tier, "--", "true"]);
        assert!(tried.code == Some(0) && tried.err.contains("nothing is at"), "{tier}: {tried:?}");
    }
}

/// The repository is the home: nothing can be put in its place, as it holds what the task needs.
#[test]
fn a_repository_that_is_the_home_is_told_to_be_out_of_reach() {
    if !works("full") {
        return;
    }
    let mut scene = scene("full");
    scene.variables.insert("HOME".to_owned(), scene.top.display().to_string());
    let line = format!("echo x > {}/by-path; echo y > by-name", scene.top.display());
    let ran = scene.pleach(&["run", "--", &line]);
    let told = format!("is not in the place of {}", scene.top.display());
    assert!(ran.err.contains(&told) && ran.err.contains("vanishes with it"), "{ran:?}");
    assert!(!scene.top.join("by-path").exists());
    assert_eq!(scene.git(&["show", "pleach/1:by-name"]), "y");
    assert!(scene.ok(&["status", "1"]).contains("warning   its worktree is not in the place of"));
}

#[test]
fn a_checkout_that_is_reached_by_a_link_is_the_tasks_by_that_name_too() {
    if !works("full") {
        return;
    }
    let scene = scene("full");
    let link = scene.path("link");
    symlink(&scene.top, &link).unwrap();
    for (number, place) in ["", "dir"].into_iter().enumerate() {
        let stands = link.join(place);
        let line = format!("echo x > {}/by-link-{number}", link.display());
        let mut command = scene.command(&["run", "--", &line]);
        // As a shell does that went there by the link.
        let output = command.current_dir(&stands).env("PWD", &stands).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(!scene.top.join(format!("by-link-{number}")).exists());
        assert_eq!(scene.git(&["show", &format!("pleach/{}:by-link-{number}", number + 1)]), "x");
    }
}
