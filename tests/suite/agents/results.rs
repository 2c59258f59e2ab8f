//! What an agent did, said and left makes how its task ended; its exit code alone does not.

use serde_json::json;

use super::{ended, pair, run, scene};
use crate::support::scene::finish;

#[test]
fn an_edit_is_committed_summed_up_and_folded() {
    let scene = scene();
    let report = run(&scene, "fake", &["--fold", "auto"], "write made it is made\ntool Bash make it\nsay I made it");
    assert_eq!(report["state"], "folded", "{}", scene.story());
    assert_eq!(scene.read("made"), "it is made\n");
    let attempt = &report["attempts"][0];
    assert_eq!((&attempt["summary"], &attempt["account"]["tools"]), (&json!("I made it"), &json!(1)));
    assert_eq!((&attempt["account"]["turns"], &attempt["account"]["cost"]), (&json!(2), &json!(250_000)));
    assert_eq!((&report["agent"], &report["command"]), (&json!("fake"), &json!("fake: write made it is made")));
    let log = scene.log(1);
    assert!(log.lines().all(|line| line.starts_with('{')) && log.contains("\"result\": \"I made it\""), "{log}");
    scene.assert_tidy();
}

#[test]
fn what_is_no_success_is_none_whatever_the_exit_code() {
    let scene = scene();
    let how = |prompt: &str| ended(&run(&scene, "fake", &[], prompt));
    assert_eq!(how("say nothing to do"), pair("no_changes", "nothing to do"));
    assert_eq!(how("deny Bash\ndeny Write"), pair("denied", "Bash, Write"));
    assert_eq!(how("write a b\nfail 401 Unauthorized"), pair("agent_failed", "401 Unauthorized"));
    assert_eq!(how("exit 0"), pair("agent_failed", "it ended without telling how"));
    assert_eq!(how("write a b\nexit 3"), pair("exited", ""));
    // Half a line of errors tears no line in two, and what is no line of JSON is none.
    assert_eq!(how("write a b\nstderr half a line\nraw {\nraw {\"type\": 7}\nsay well").0, "exited");
    let row = &scene.board()[&1];
    assert_eq!((&row["state"], &row["why"]), (&json!("failed"), &json!("no changes: nothing to do")));
    assert_eq!(scene.pleach(&["run", "--agent", "fake", "--prompt", "say no"]).code, Some(1));
    scene.assert_tidy();
}

#[test]
fn words_may_be_enough() {
    let scene = scene();
    let report = run(&scene, "fake", &["--changes", "optional"], "say it is all right");
    assert_eq!((ended(&report).0.as_str(), &report["state"]), ("exited", &json!("empty")));
}

#[test]
fn what_an_agent_leaves_beside_its_result_is_none_of_it() {
    let scene = scene();
    // Of an agent that is not understood the exit code and what changed are all there is.
    let report = run(&scene, "text", &[], "echo junk > .left.history; mkdir .left.d; echo junk > .left.d/x");
    assert_eq!(ended(&report), pair("no_changes", ""), "{report:#}");
    let report = run(&scene, "text", &[], "echo junk > .left.history; echo good > good");
    assert_eq!((&report["state"], &report["files"]), (&json!("ready"), &json!(1)), "{report:#}");
}

#[test]
fn what_it_does_is_seen_while_it_does_it() {
    let scene = scene();
    let gate = scene.path("gate");
    let prompt = format!("tool Bash cargo test\nsay so far\nawait {}\nwrite a b", gate.display());
    let child = scene.start(&["run", "--json", "--agent", "fake", "--prompt", &prompt]);
    scene.until("its tool is seen", || {
        scene
            .board()
            .get(&1)
            .is_some_and(|row| row["progress"]["text"] == "Bash: cargo test" && row["line"] == "so far")
    });
    std::fs::write(gate, "").unwrap();
    assert_eq!(finish(child).code, Some(0));
}

#[test]
fn what_cannot_be_done_is_refused_before_anything_starts() {
    let scene = scene();
    let refused = |args: &[&str]| {
        let ran = scene.pleach(&[&["add"], args].concat());
        assert_eq!(ran.code, Some(2), "{}", ran.err);
        // Of what does not start there is nothing to warn of.
        assert!(ran.err.starts_with("error: "), "{}", ran.err);
        ran.err
    };
    assert!(refused(&["--agent", "nobody", "--prompt", "x"]).contains("there is no agent \"nobody\""));
    assert!(refused(&["--agent", "fake"]).contains("fake is not told what to do"));
    assert!(refused(&["--agent", "fake", "--prompt", " "]).contains("fake is told nothing"));
    assert!(refused(&["--agent", "fake", "--model", "m", "--prompt", "x"]).contains("cannot be told which model"));
    assert!(scene.board().is_empty());
}

#[test]
fn a_plan_names_an_agent_and_fills_its_prompt() {
    let scene = scene();
    scene.write(
        "plan.toml",
        "[defaults]\nagent = \"fake\"\nfold = \"auto\"\n[[task]]\nname = \"one\"\nprompt = \"write one from {task}\\nsay done with one\"\n\
         [[task]]\nname = \"two\"\nneeds = [\"one\"]\nprompt = \"write two {needs.one.summary}\"\n",
    );
    scene.ok(&["run", "plan.toml"]);
    assert_eq!((scene.read("one"), scene.read("two")), ("from one\n".to_owned(), "done with one\n".to_owned()));
    assert_eq!(scene.status(1)["agent"], "fake");
}

#[test]
fn a_repository_speaks_of_agents_only_where_somebody_has_approved_it() {
    let scene = scene();
    scene.write(".pleach.toml", "[agents.theirs]\ncommand = [\"sh\"]\n");
    let add = ["add", "--agent", "theirs", "--prompt", "echo x > x"];
    let refused = scene.pleach(&add);
    assert!(refused.code == Some(7) && refused.err.contains("which nobody has approved"), "{}", refused.err);
    scene.ok(&["approve", "--yes"]);
    scene.ok(&add);
}
