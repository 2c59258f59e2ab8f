//! The examples below `hooks/`, as they are.

use std::path::Path;

use crate::support::scene::Scene;

fn example(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("hooks").join(name)).unwrap()
}

#[test]
fn each_prepares_and_verifies_what_is_there() {
    let scene = Scene::new();
    scene.write("hooks/setup/dependencies", example("setup/dependencies"));
    scene.write("hooks/verify/tests", example("verify/tests"));
    scene.write("hooks/verify/no-conflict-marks", example("verify/no-conflict-marks"));
    scene.write(".env.example", "COLOUR=green\n");
    scene.write(".gitignore", "*.ignored\n.env\n");
    scene.write("Makefile", "test:\n\ttest ! -e broken\n");
    let check = "sh hooks/verify/no-conflict-marks && sh hooks/verify/tests";
    let config = format!(
        "[worktree]\nsetup = \"sh hooks/setup/dependencies\"\n[verify]\ncommand = \"{check}\"\ndeterministic = true\n"
    );
    scene.write(".pleach.toml", config);
    scene.git(&["add", "-A"]);
    scene.git(&["commit", "-qm", "hooks"]);
    scene.ok(&["approve", "--yes"]);
    scene.ok(&["run", "--name", "good", "--", "grep -q green .env && cp .env made"]);
    scene.ok(&["merge", "good"]);
    assert_eq!(scene.read("made"), "COLOUR=green\n");
    for (name, line) in [("red", "touch broken"), ("marks", "printf '<<<<<<< ours\\n' >> readme")] {
        scene.ok(&["run", "--name", name, "--", line]);
        let ran = scene.pleach(&["merge", name]);
        assert_eq!(ran.code, Some(8), "{name}: {ran:?}");
        scene.ok(&["discard", name]);
    }
    assert_eq!(scene.read("readme"), "hello\n");
}

#[test]
fn a_notice_is_written_down() {
    let scene = Scene::new();
    let [script, log] = [scene.path("log"), scene.path("events.log")];
    std::fs::write(&script, example("notify/log")).unwrap();
    let line = format!("PLEACH_NOTIFY_LOG={} sh {}", log.display(), script.display());
    scene.configure(&format!("[notify]\ncommand = [\"sh\", \"-c\", {line:?}]\nevents = [\"done\"]\n"));
    scene.ok(&["run", "--", "true"]);
    let text = || std::fs::read_to_string(&log).unwrap_or_default();
    scene.until("it is written down", || text().contains(" done {"));
}

/// In a file, and on the standard input of `setup`. Not on that of `verify`: what reads it where there is one would look through our words
/// instead of the tree.
#[test]
fn a_hook_is_told_in_json_what_it_is_for() {
    for tier in ["none", "full"].into_iter().filter(|tier| *tier == "none" || crate::sandbox::works(tier)) {
        let scene = crate::delegate::scene(tier, 1);
        let verify = r#"test -z "$(cat)" && echo $(cat "$PLEACH_HOOK") | grep -Eqx '\{"hook":"verify","schema":1,"tree":"[0-9a-f]{40}"\}'"#;
        scene.configure(&format!(
            "[worktree]\nsetup = 'cat > told && cmp told \"$PLEACH_HOOK\"'\n[verify]\ncommand = '''{verify}'''\n"
        ));
        scene.ok(&["run", "--name", "make", "--", "true"]);
        scene.ok(&["merge", "make"]);
        let told: serde_json::Value = serde_json::from_str(&scene.read("told")).unwrap();
        let said = ["hook", "attempt", "name", "target", "command"].map(|key| told[key].as_str().unwrap_or_default());
        assert_eq!(said, ["setup", "1.1", "make", "main", "true"], "{told:#}");
        assert!(Path::new(told["worktree"].as_str().unwrap()).is_absolute(), "{told:#}");
    }
}
