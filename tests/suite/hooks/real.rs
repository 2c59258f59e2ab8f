//! Claude Code and Codex themselves, with the hooks that `pleach init` wrote for them, against a model of our own: a sub-agent of the
//! one works in a place of ours, the other is told what waits. They are tried where `PLEACH_TEST_CLAUDE` and `PLEACH_TEST_CODEX` name
//! the program (`tests/agents.sh` installs them).

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use crate::support::scene::Scene;

/// The model, and where it listens.
fn model(scene: &Scene) -> (Child, String) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/agents/model.py");
    let mut model = Command::new("python3");
    model.arg(script).arg(scene.path("asked")).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut model = model.spawn().unwrap();
    let mut url = String::new();
    BufReader::new(model.stdout.take().unwrap()).read_line(&mut url).unwrap();
    (model, url.trim().to_owned())
}

/// It runs hooks that somebody has trusted, and nobody can here: an option says that they are.
#[test]
fn codex_is_told_what_waits_for_review() {
    let Ok(program) = std::env::var("PLEACH_TEST_CODEX") else {
        eprintln!("PLEACH_TEST_CODEX does not name a program: not tested");
        return;
    };
    let scene = Scene::new();
    scene.ok(&["init", "--agent", "codex"]);
    // What is tried is the hooks.
    std::fs::remove_file(scene.top.join(".codex/config.toml")).unwrap();
    scene.ok(&["run", "--name", "made", "--", "echo made > made.txt"]);
    let (mut model, url) = model(&scene);
    let setup = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/agents/setup");
    let home = scene.path("home");
    let mut setup = Command::new(setup);
    assert!(setup.args(["codex", &format!("{url}/ok")]).env("HOME", &home).status().unwrap().success());
    let config = home.join(".codex/config.toml");
    let trusted = format!("\n[projects.{:?}]\ntrust_level = \"trusted\"\n", scene.top.canonicalize().unwrap());
    std::fs::write(&config, std::fs::read_to_string(&config).unwrap() + &trusted).unwrap();
    let envs = scene.command(&[]);
    let envs = envs.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    let mut codex = Command::new(program);
    codex.args([
        "exec",
        "--json",
        "--dangerously-bypass-approvals-and-sandbox",
        "--dangerously-bypass-hook-trust",
        "-",
    ]);
    codex.env_clear().envs(envs).current_dir(&scene.top);
    let mut codex = codex.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    codex.stdin.take().unwrap().write_all(b"SAY: done\n").unwrap();
    let output = codex.wait_with_output().unwrap();
    let told = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).join("\n");
    let _ = model.kill();
    let _ = model.wait();
    assert!(output.status.success(), "{told}");
    let asked = std::fs::read_to_string(scene.path("asked")).unwrap();
    assert!(asked.contains("pleach: 1 result waits for review: 1 (made); `pleach review`"), "{told}");
    assert!(!told.contains("hook failed") && !told.contains("invalid"), "{told}");
    scene.assert_tidy();
}

#[test]
fn a_sub_agent_of_claude_code_is_reviewed_and_folded() {
    let Ok(program) = std::env::var("PLEACH_TEST_CLAUDE") else {
        eprintln!("PLEACH_TEST_CLAUDE does not name a program: not tested");
        return;
    };
    let scene = Scene::new();
    scene.ok(&["init", "--agent", "claude"]);
    // What is tried is the hooks.
    std::fs::remove_file(scene.top.join(".mcp.json")).unwrap();
    let (mut model, url) = model(&scene);
    let envs = scene.command(&[]);
    let envs = envs.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    let mut claude = Command::new(program);
    claude.args(["-p", "--output-format", "stream-json", "--verbose", "--dangerously-skip-permissions"]);
    claude
        .env_clear()
        .envs(envs)
        .env("ANTHROPIC_BASE_URL", format!("{url}/ok"))
        .env("ANTHROPIC_API_KEY", "key-of-nobody");
    claude.env("IS_SANDBOX", "1").env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1").current_dir(&scene.top);
    let mut claude = claude.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let prompt = r#"CALL: Agent {"description": "make", "subagent_type": "general-purpose", "isolation": "worktree", "prompt": "RUN: echo made > made.txt\nSAY: I made it"}
SAY: the parent is done
"#;
    claude.stdin.take().unwrap().write_all(prompt.as_bytes()).unwrap();
    let output = claude.wait_with_output().unwrap();
    let told = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).join("\n");
    let _ = model.kill();
    let _ = model.wait();
    assert!(output.status.success(), "{told}");
    let status = scene.status(1);
    assert_eq!(status["state"], "ready", "{status:#}\n{told}\n{}", scene.story());
    assert_eq!(status["attempts"][0]["summary"], "I made it", "{told}");
    let asked = std::fs::read_to_string(scene.path("asked")).unwrap();
    assert!(asked.contains("and waits for review: `pleach diff 1`"), "the parent was not told: {told}");
    assert!(!scene.top.join("made.txt").exists() && !scene.top.join(".claude/worktrees").exists());
    scene.ok(&["merge", "1"]);
    assert_eq!(scene.read("made.txt"), "made\n");
    scene.assert_tidy();
}
