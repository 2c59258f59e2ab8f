//! Secrets that a task was given on purpose stay out of what is written down.

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
