//! What a role may do is held by the kernel, not by the agent.

use super::own;
use crate::sandbox::{scene, works};
use crate::support::scene::Scene;

const RUNNER: &str = r#"{
    "name": "runner",
    "tools": ["shell", "read", "write"],
    "allowedTools": ["read"],
    "toolsSettings": {
        "shell": { "allowedCommands": ["git status.*", "cat [a-z]+"] },
        "write": { "allowedPaths": ["dir/**"] }
    }
}"#;

fn log(scene: &Scene, role: &[&str], line: &str) -> String {
    let words = [&["add"], role, &["--", line]].concat();
    let task = scene.ok(&words).parse::<u64>().unwrap();
    scene.pleach(&["wait", &task.to_string()]);
    scene.log(task)
}

/// Kiro's `toolsSettings.shell.allowedCommands`: the kernel starts no other program.
#[test]
fn a_command_that_is_not_on_the_list_is_refused_by_the_kernel() {
    for tier in ["full", "reduced"] {
        if !works(tier) {
            continue;
        }
        let scene = scene(tier);
        scene.write(".kiro/agents/runner.json", RUNNER);
        scene.ok(&["approve", "--yes", "--role", "runner"]);
        let line =
            "git status --short && cat readme; ls; echo \"ls: $?\"; /usr/bin/env true; cp /bin/ls own; echo built in";
        let held = log(&scene, &["--role", "runner"], line);
        assert!(held.contains("hello\n") && held.contains("ls: 126") && held.contains("built in"), "{tier}: {held}");
        let refused = held.to_lowercase().matches("permission denied").count();
        assert_eq!(refused, 3, "{tier}: {held}");
        // What is not in a shell either: a program that is the whole task.
        let task = scene.ok(&["add", "--role", "runner", "--", "ls", "-l"]);
        scene.pleach(&["wait", &task]);
        assert_ne!(scene.outcome(task.parse().unwrap()), "exited 0", "{tier}");
        // Without the role, all of it works.
        let free = log(&scene, &[], line);
        assert!(free.contains("ls: 0") && !free.to_lowercase().contains("permission denied"), "{tier}: {free}");
    }
}

/// A role of the project takes away; what it would give, it does not.
#[test]
fn a_role_of_the_project_gives_nothing_and_one_of_the_user_may() {
    if !works("full") {
        return;
    }
    let scene = scene("full");
    let wide = "[permissions]\nread = [\"~/.ssh\"]\nwrite = [\"~/out\"]\n";
    std::fs::create_dir_all(scene.path("home/out")).unwrap();
    let line = "cat ~/.ssh/id; echo x > ~/out/it; echo end";
    scene.write(".pleach/roles/wide.toml", wide);
    scene.ok(&["approve", "--yes", "--role", "wide"]);
    assert!(scene.ok(&["roles", "show", "wide"]).contains("only your own files can allow that"));
    assert!(!log(&scene, &["--role", "wide"], line).contains("SECRET"));
    assert!(!scene.path("home/out/it").exists());
    own(&scene, "roles/wider.toml", wide);
    assert!(log(&scene, &["--role", "wider"], line).contains("SECRET"));
    assert!(scene.path("home/out/it").exists());
}

/// A subagent of Claude Code that has no tool which writes cannot write.
#[test]
fn who_only_reads_cannot_write() {
    if !works("full") {
        return;
    }
    let scene = scene("full");
    scene.write(".claude/agents/reader.md", "---\nname: reader\ntools: Read, Grep\n---\nRead.\n");
    scene.ok(&["approve", "--yes", "--role", "reader"]);
    let said = log(&scene, &["--role", "reader"], "cat readme; echo more >> readme; echo end");
    assert!(said.contains("hello") && said.contains("end"), "{said}");
    assert_eq!(scene.stands(1), "empty", "{said}");
    assert_eq!(scene.json(&["roles", "show", "reader"])["policy"]["read_only"], true);
}
