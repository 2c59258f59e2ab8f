//! Tasks that agents do: a program of our own that obeys its prompt, for the edges; and the real ones, where a variable names them.
#![allow(clippy::disallowed_methods, reason = "tests write files and start programs as a user would")]

mod acp;
mod any_line;
mod limits;
mod real;
mod results;

use std::path::Path;

use crate::support::scene::Scene;

/// A scene with two agents: `fake`, which writes lines as Claude Code does, and `fake-acp`, which is spoken with.
fn scene() -> Scene {
    let scene = Scene::new();
    let program = scene.path("fake.py");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/agents/fake.py");
    std::fs::copy(source, &program).unwrap();
    let told = scene.path("told");
    scene.configure(&format!(
        "[agents.fake]\nkind = \"json-stream\"\ndialect = \"claude\"\ncommand = [\"python3\", {program:?}, \"claude\"]\n\
         [agents.fake-acp]\nkind = \"acp\"\ncommand = [\"python3\", {program:?}, \"acp\"]\nenv = {{ TOLD = {told:?} }}\n\
         [agents.text]\ncommand = [\"sh\", \"-c\", \"sh\"]\nleftovers = [\".left*\"]\n"
    ));
    scene
}

/// Run a task to its end; the answer of `run --json`.
fn run(scene: &Scene, agent: &str, options: &[&str], prompt: &str) -> serde_json::Value {
    let mut args = vec!["run", "--json", "--agent", agent];
    args.extend(options);
    args.extend(["--prompt", prompt]);
    let ran = scene.pleach(&args);
    serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}\n{}", ran.out, ran.err))
}

/// How its last attempt ended, in one word, and why.
fn ended(report: &serde_json::Value) -> (String, String) {
    let outcome = &report["attempts"].as_array().unwrap().last().unwrap()["outcome"];
    let why = ["why", "what", "said", "reason"].iter().find_map(|key| outcome[*key].as_str());
    (outcome["how"].as_str().unwrap_or_default().to_owned(), why.unwrap_or_default().to_owned())
}

fn pair(how: &str, why: &str) -> (String, String) {
    (how.to_owned(), why.to_owned())
}
