//! Secrets that a task was given on purpose stay out of what is written down.

use super::super::support::scene::Scene;
use super::scene;

#[test]
fn a_secret_is_in_no_log_and_no_summary() {
    let mut scene = scene("none");
    scene.variables.insert("MY_TOKEN".to_owned(), "hunter2-hunter2".to_owned());
    scene.variables.insert("MY_NAME".to_owned(), "somebody-else".to_owned());
    // A process of its own for each piece, so that the pieces are written one by one.
    let line = "echo \"it is $MY_TOKEN, $MY_NAME\"; printf hunter2; /bin/sleep 0.2; printf -- -hunt; /bin/sleep 0.2; echo er2; \
        pleach progress \"at $MY_TOKEN\"; pleach summary \"had $MY_TOKEN\"; test ${#MY_TOKEN} = 15; printf hunter";
    let task = scene.add(&["--env", "MY_TOKEN", "--env", "MY_NAME"], line);
    scene.pleach(&["wait", &task.to_string()]);
    let log = scene.log(task);
    assert_eq!(log, "it is ***MY_TOKEN***, somebody-else\n***MY_TOKEN***\nhunter", "{}", scene.status(task));
    assert_eq!(scene.outcome(task), "exited 0");
    let shown = scene.ok(&["status", &task.to_string()]);
    assert!(shown.contains("had ***MY_TOKEN***") && !shown.contains("hunter2-hunter2"), "{shown}");
}

#[test]
fn what_a_task_inherits_by_a_pattern_is_no_secret() {
    let mut scene = scene("none");
    for (name, value) in [("MY_TOKEN", "hunter2-hunter2"), ("MY_NAME", "ute"), ("OTHER", "x")] {
        scene.variables.insert(name.to_owned(), value.to_owned());
    }
    let config = scene.path("home/config/pleach");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("config.toml"), "[run]\nenv_pass = [\"MY_*\"]\n").unwrap();
    let task = scene.add(&[], "echo ${MY_TOKEN-none} ${MY_NAME-none} ${OTHER-none}");
    scene.pleach(&["wait", &task.to_string()]);
    assert_eq!(scene.log(task), "none ute none\n");
}

const VALUE: &str = "hunter2-hunter2";
/// What a command can name without saying it.
const BACKWARDS: &str = "2retnuh-2retnuh";

/// Every file below the state and the git directory that holds the value.
fn at_rest(scene: &Scene) -> Vec<std::path::PathBuf> {
    let dirs = [scene.path("state"), scene.top.join(".git")];
    let files = dirs.iter().flat_map(|dir| walkdir::WalkDir::new(dir).into_iter().flatten());
    let files = files.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path);
    let holds = |bytes: Vec<u8>| bytes.windows(VALUE.len()).any(|window| window == VALUE.as_bytes());
    files.filter(|path| std::fs::read(path).is_ok_and(holds)).collect()
}

/// A user with a token that all of their tasks are given.
fn with_a_token(tier: &str) -> Scene {
    let mut scene = scene(tier);
    scene.variables.insert("MY_TOKEN".to_owned(), VALUE.to_owned());
    scene.configure("[run]\nenv_pass = [\"MY_TOKEN\"]\n");
    scene
}

#[test]
fn a_secret_is_at_rest_only_until_the_task_has_it() {
    use std::os::unix::fs::PermissionsExt;
    let scene = with_a_token("none");
    scene.ok(&["pause"]);
    let gate = scene.path("gate");
    let line = format!(
        "test \"$MY_TOKEN$OTHER_KEY\" = \"$(echo depyt-depyt{BACKWARDS} | rev)\" && echo same; until test -e {}; do sleep 0.05; done",
        gate.display()
    );
    let task = scene.add(&["--env", "OTHER_KEY=typed-typed"], &line);
    let files = at_rest(&scene);
    assert_eq!(files.len(), 1, "one file while it waits: {files:?}");
    assert!(files[0].ends_with("secrets/1.json"), "{files:?}");
    assert_eq!(std::fs::metadata(&files[0]).unwrap().permissions().mode() & 0o777, 0o600);
    scene.ok(&["resume"]);
    scene.until("it runs", || scene.log(task).contains("same"));
    assert_eq!(at_rest(&scene), Vec::<std::path::PathBuf>::new(), "it has it");
    std::fs::write(&gate, "").unwrap();
    scene.pleach(&["wait", "1"]);
    for look in [&["status", "1", "--json"][..], &["events", "--json"], &["ls", "--all", "--json"], &["status", "1"]] {
        let said = scene.ok(look);
        assert!(!said.contains(VALUE) && !said.contains("typed-typed"), "{look:?}: {said}");
    }
    assert!(scene.ok(&["events", "--json"]).contains(r#""secrets":["MY_TOKEN","OTHER_KEY"]"#));
    assert_eq!(at_rest(&scene), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_secret_of_a_task_that_does_not_start_any_more_goes() {
    let scene = with_a_token("none");
    scene.ok(&["pause"]);
    for _ in 0..2 {
        scene.add(&[], "true");
    }
    assert_eq!(at_rest(&scene).len(), 2);
    scene.ok(&["cancel", "1"]);
    scene.until("that of the other one is left", || at_rest(&scene).len() == 1);
}

#[test]
fn another_attempt_has_the_secret_too() {
    let mut scene = with_a_token("none");
    let line = format!("test \"$MY_TOKEN\" = \"$(echo {BACKWARDS} | rev)\" && exit 3");
    let task = scene.add(&["--retries", "1"], &line);
    scene.pleach(&["wait", &task.to_string()]);
    let status = scene.status(task);
    assert_eq!(status["attempts"].as_array().unwrap().len(), 2, "{status:#}");
    assert_eq!(scene.outcome(task), "exited 3", "by itself");
    assert_eq!(at_rest(&scene), Vec::<std::path::PathBuf>::new());
    scene.ok(&["retry", "1"]);
    scene.pleach(&["wait", "1"]);
    assert_eq!((scene.outcome(task).as_str(), at_rest(&scene).len()), ("exited 3", 0), "from whoever asks");
    scene.variables.remove("MY_TOKEN");
    let refused = scene.pleach(&["retry", "1"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.err.contains("MY_TOKEN=VALUE pleach retry 1"), "{refused:?}");
}

/// Somebody may have put something else in the place of the file, or taken it away.
#[test]
fn a_secret_that_is_gone_or_is_another_file_starts_nothing() {
    for change in ["gone", "link", "open"] {
        let scene = with_a_token("none");
        scene.ok(&["pause"]);
        let ran = scene.path("ran");
        scene.add(&[], &format!("touch {}", ran.display()));
        let file = at_rest(&scene).pop().unwrap();
        match change {
            "gone" => std::fs::remove_file(&file).unwrap(),
            "link" => {
                std::fs::rename(&file, scene.path("elsewhere")).unwrap();
                std::os::unix::fs::symlink(scene.path("elsewhere"), &file).unwrap();
            }
            _ => std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap(),
        }
        scene.ok(&["resume"]);
        scene.pleach(&["wait", "1"]);
        assert_eq!(scene.outcome(1), "could_not_start", "{change}");
        assert!(scene.ok(&["status", "1"]).contains("pleach retry 1"), "{change}: {}", scene.ok(&["status", "1"]));
        assert!(!ran.exists(), "{change}");
        scene.ok(&["retry", "1"]);
        scene.pleach(&["wait", "1"]);
        assert!(ran.exists(), "{change}: what it says is a way out");
    }
}
