//! Real agents, each as a task of ours against a model of our own on loopback. One is tried where a variable names its program
//! ([`variable`]: `PLEACH_TEST_CLAUDE` and so on); where none does, it is said that nothing was tried. `tests/agents.sh` installs them
//! all, and runs this; `.ci/run` does so for two of them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{ended, run};
use crate::support::scene::Scene;

const MAKE: &str = "Do this.\nRUN: echo made > made.txt\nSAY: I made it\n";
/// Of one that has no tools: the edit is in its words.
const EDIT: &str = "Do this.\nTEXT:\nmade.txt\n```\nmade\n```\nEND\n";

/// Of one that ends when a command says so.
const MAKE_AND_SUBMIT: &str =
    "Do this.\nRUN: echo made > made.txt\nRUN: echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT\nSAY: I made it\n";

/// Without a redirection, which one asks about in any case.
const TOUCH: &str = "Do this.\nRUN: touch made.txt\nSAY: I made it\n";

/// The model, and where it listens.
struct Model {
    child: Child,
    url: String,
}

impl Model {
    fn start(scene: &Scene) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/agents/model.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(scene.path("asked")).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Self { child, url: url.trim().to_owned() }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The variable that names its program.
fn variable(agent: &str) -> String {
    let program = match agent {
        // The same program, spoken with.
        "opencode-acp" | "gemini-acp" => agent.trim_end_matches("-acp"),
        other => other,
    };
    format!("PLEACH_TEST_{}", program.to_uppercase().replace('-', "_"))
}

/// A scene in which this agent is set up to talk to the model, which behaves like this; none where it is not installed.
fn with(agent: &str, mode: &str) -> Option<(Scene, Model)> {
    let name = variable(agent);
    let Ok(program) = std::env::var(&name) else {
        eprintln!("{name} does not name a program: not tested");
        return None;
    };
    let mut scene = Scene::new();
    let model = Model::start(&scene);
    let setup = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/agents/setup");
    let home = scene.path("home");
    let said = Command::new("sh")
        .arg(setup)
        .arg(agent)
        .arg(format!("{}/{mode}", model.url))
        .env("HOME", &home)
        .output()
        .unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    for line in String::from_utf8(said.stdout).unwrap().lines() {
        let (name, value) = line.split_once('=').unwrap();
        scene.variables.insert(name.to_owned(), value.to_owned());
    }
    let dir = Path::new(&program).parent().unwrap();
    let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap());
    scene.variables.insert("PATH".to_owned(), path);
    // One keeps its configuration where the scene has that of pleach.
    let config = home.join(".config/opencode");
    if config.exists() {
        fs::create_dir_all(scene.path("home/config")).unwrap();
        fs::rename(config, scene.path("home/config/opencode")).unwrap();
    }
    Some((scene, model))
}

fn makes_an_edit_that_is_folded(agent: &str, options: &[&str], prompt: &str) {
    let Some((scene, _model)) = with(agent, "ok") else { return };
    let options = [&["--fold", "auto", "--timeout", "120s"], options].concat();
    let report = run(&scene, agent, &options, prompt);
    assert_eq!(report["state"], "folded", "{report:#}\n{}", scene.story());
    assert_eq!((scene.read("made.txt").trim(), report["files"].as_u64()), ("made", Some(1)), "{report:#}");
    scene.assert_tidy();
}

/// It is refused by its provider, whatever its exit code says of that.
fn fails_on_401(agent: &str) {
    let Some((scene, _model)) = with(agent, "401") else { return };
    // One tries again for minutes otherwise.
    let options = ["--timeout", "120s", "--env", "CLAUDE_CODE_MAX_RETRIES=1"];
    let model: &[&str] = if agent == "pi" { &["--model", "fake/fake"] } else { &[] };
    let report = run(&scene, agent, &[&options, model].concat(), MAKE);
    let (how, why) = ended(&report);
    assert_eq!(
        (report["state"].as_str(), how.as_str()),
        (Some("failed"), "agent_failed"),
        "{report:#}\n{}",
        scene.log(1)
    );
    assert!(["401", "x-api-key", "API key"].iter().any(|word| why.contains(word)), "{why}");
    scene.assert_tidy();
}

/// A server that is broken for ever, and one that says nothing: its time is over some time.
fn ends_in_time(agent: &str, mode: &str, options: &[&str]) {
    let Some((scene, _model)) = with(agent, mode) else { return };
    let report = run(&scene, agent, &[&["--timeout", "12s", "--grace", "3s"], options].concat(), MAKE);
    let (how, _) = ended(&report);
    assert_eq!(report["state"], "failed", "{report:#}");
    let is_in_time = how == "timed_out" || (mode == "500" && how == "agent_failed");
    assert!(is_in_time, "{report:#}\n{}", scene.log(1));
    scene.assert_tidy();
}

/// While a tool of it sleeps; nothing of it is left.
fn is_cancelled_whole(agent: &str, model: &str) {
    let Some((scene, _model)) = with(agent, "ok") else { return };
    let there = scene.path("there");
    let prompt = format!("Do this.\nRUN: touch here.txt; sleep 297\nSAY: slept {}\n", there.display());
    let add = ["add", "--grace", "2s", "--agent", agent, "--prompt", &prompt];
    let model = if model.is_empty() { vec![] } else { vec!["--model", model] };
    scene.ok(&[&add[..], &model].concat());
    let sleeps = || scene.processes().iter().any(|process| process.words.iter().any(|word| word.contains("297")));
    scene.until("its tool sleeps", || sleeps() || scene.stands(1) != "running" && scene.stands(1) != "waiting");
    assert!(sleeps(), "{}\n{}", scene.story(), scene.log(1));
    scene.ok(&["cancel", "1"]);
    scene.pleach(&["wait", "1"]);
    assert_eq!(scene.outcome(1), "cancelled", "{}", scene.story());
    assert!(!sleeps());
    scene.assert_tidy();
}

macro_rules! agents {
    ($($module:ident, $name:literal, $options:expr, $prompt:expr;)*) => {$(
        mod $module {
            #[test]
            fn makes_an_edit_that_is_folded() {
                super::makes_an_edit_that_is_folded($name, $options, $prompt);
            }

            #[test]
            fn a_hang_ends_in_time() {
                super::ends_in_time($name, "hang", $options);
            }

            #[test]
            fn a_server_that_is_broken_for_ever_ends_in_time() {
                super::ends_in_time($name, "500", $options);
            }
        }
    )*};
}

agents! {
    claude, "claude", &[], super::MAKE;
    codex, "codex", &[], super::MAKE;
    opencode, "opencode", &[], super::MAKE;
    opencode_acp, "opencode-acp", &[], super::MAKE;
    gemini, "gemini", &["--model", "gemini-2.5-flash"], super::MAKE;
    gemini_acp, "gemini-acp", &["--model", "gemini-2.5-flash"], super::MAKE;
    aider, "aider", &["--model", "openai/fake"], super::EDIT;
    qwen, "qwen", &[], super::MAKE;
    pi, "pi", &["--model", "fake/fake"], super::MAKE;
    cline, "cline", &[], super::MAKE;
    mini, "mini-swe-agent", &["--model", "openai/fake"], super::MAKE_AND_SUBMIT;
    claude_acp, "claude-acp", &[], super::MAKE;
    codex_acp, "codex-acp", &[], super::MAKE;
}

#[test]
fn each_that_is_refused_fails() {
    ["claude", "codex", "opencode", "gemini", "pi", "cline", "claude-acp"].into_iter().for_each(fails_on_401);
}

#[test]
fn each_is_cancelled_whole() {
    let all = [
        ("claude", ""),
        ("codex", ""),
        ("opencode", ""),
        ("pi", "fake/fake"),
        ("cline", ""),
        ("qwen", ""),
        ("codex-acp", ""),
    ];
    all.into_iter().for_each(|(agent, model)| is_cancelled_whole(agent, model));
}

#[test]
fn a_limit_of_a_real_provider_stops_its_kind() {
    let Some((scene, _model)) = with("codex", "429") else { return };
    scene.ok(&["add", "--agent", "codex", "--prompt", MAKE]);
    let waits = |task: u64| scene.board().get(&task).and_then(|row| row["why"].as_str().map(str::to_owned));
    scene.until("the limit is known", || waits(1).is_some_and(|why| why.starts_with("codex: limit reached")));
    scene.ok(&["cancel", "1"]);
}

/// It is not given its flag that approves all, and does nothing: its exit code is 0 all the same.
#[test]
fn what_claude_may_not_do_is_denied() {
    let Some((scene, _model)) = with("claude", "ok") else { return };
    scene.configure(
        "[agents.claude]\ncommand = [\"claude\", \"-p\", \"--output-format\", \"stream-json\", \"--verbose\"]\n",
    );
    let report = run(&scene, "claude", &["--timeout", "120s"], MAKE);
    assert_eq!(ended(&report), ("denied".to_owned(), "Bash".to_owned()), "{report:#}\n{}", scene.log(1));
}

/// The model would run a command. Its role grants no shell, and leaves the worktree to be written: the agent alone holds that.
#[test]
fn what_a_role_does_not_grant_is_not_used() {
    let all = [
        ("claude", ""),
        ("gemini", "gemini-2.5-flash"),
        ("opencode", ""),
        ("codex", ""),
        ("pi", "fake/fake"),
        ("qwen", ""),
    ];
    for (agent, model) in all {
        let Some((scene, _model)) = with(agent, "ok") else { continue };
        let model = if model.is_empty() { String::new() } else { format!("model = {model:?}\n") };
        let role = format!("agent = {agent:?}\n{model}tools = [\"read\", \"write\"]\n");
        fs::create_dir_all(scene.path("home/config/pleach/roles")).unwrap();
        fs::write(scene.path("home/config/pleach/roles/writer.toml"), role).unwrap();
        let report = run(&scene, agent, &["--role", "writer", "--timeout", "120s"], TOUCH);
        assert_eq!(
            (&report["state"], report["files"].as_u64().unwrap_or(0)),
            (&"failed".into(), 0),
            "{report:#}\n{}",
            scene.log(1)
        );
        let granted = format!("agent = {agent:?}\n{model}tools = [\"read\", \"shell\"]\n");
        fs::write(scene.path("home/config/pleach/roles/runner.toml"), granted).unwrap();
        let report = run(&scene, agent, &["--role", "runner", "--timeout", "120s"], TOUCH);
        assert_eq!((&report["state"], &report["files"]), (&"ready".into(), &1.into()), "{report:#}\n{}", scene.log(2));
    }
}

/// All files, each with what is in it.
fn files_below(dir: &Path) -> std::collections::BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut all = std::collections::BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            all.extend(files_below(&entry.path()));
        } else {
            all.insert(entry.path(), fs::read(entry.path()).unwrap_or_default());
        }
    }
    all
}

/// Where the home cannot be written, each attempt has a copy of what its agent keeps there, and the home is as it was.
#[test]
fn each_attempt_keeps_its_own_state_where_the_home_is_closed() {
    for agent in ["claude", "codex", "pi"] {
        let Some((scene, _model)) = with(agent, "ok") else { continue };
        scene.configure("[sandbox]\nhome = \"ro\"\n");
        let before = files_below(&scene.path("home"));
        let model: &[&str] = match agent {
            "pi" => &["--model", "fake/fake"],
            "gemini" => &["--model", "gemini-2.5-flash"],
            _ => &[],
        };
        let report = run(&scene, agent, &[&["--timeout", "120s"], model].concat(), MAKE);
        assert_eq!(report["state"], "ready", "{agent}: {report:#}\n{}", scene.log(1));
        let after = files_below(&scene.path("home"));
        assert_eq!(before, after, "{agent}");
        scene.assert_tidy();
    }
}
