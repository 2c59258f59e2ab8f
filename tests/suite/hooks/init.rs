//! `pleach init`: its own entries, once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use serde_json::Value;

use crate::support::scene::Scene;

const AGENTS: &str = "claude,codex,gemini,qwen,opencode,kiro,vscode";

/// Each file of the checkout that is not git's, with what is in it.
fn files(scene: &Scene) -> BTreeMap<PathBuf, Vec<u8>> {
    let all = walkdir::WalkDir::new(&scene.top).into_iter().filter_entry(|entry| entry.file_name() != ".git");
    let files = all.map(Result::unwrap).filter(|entry| !entry.file_type().is_dir());
    files
        .map(|entry| (entry.path().strip_prefix(&scene.top).unwrap().to_owned(), std::fs::read(entry.path()).unwrap()))
        .collect()
}

#[test]
fn twice_is_once_and_print_is_never() {
    let scene = Scene::new();
    let before = files(&scene);
    let printed = scene.ok(&["init", "--agent", AGENTS, "--print"]);
    assert_eq!(files(&scene), before);
    let told = scene.ok(&["init", "--agent", AGENTS]);
    let after = files(&scene);
    for name in [
        ".pleach.toml",
        ".mcp.json",
        ".claude/settings.json",
        ".claude/skills/pleach/SKILL.md",
        ".codex/config.toml",
        ".codex/hooks.json",
        "AGENTS.md",
        "GEMINI.md",
        "QWEN.md",
        ".gemini/settings.json",
        ".qwen/settings.json",
        "opencode.json",
        ".kiro/settings/mcp.json",
        ".vscode/mcp.json",
    ] {
        assert!(after.contains_key(Path::new(name)), "{name}");
        assert!(told.contains(&format!("wrote      {name}: ")), "{name}: {told}");
        let text = String::from_utf8(after[Path::new(name)].clone()).unwrap();
        assert!(printed.contains(&format!("==> {name} <==\n{}", text.trim_end())), "{name}: {printed}");
    }
    let again = scene.ok(&["init", "--agent", AGENTS]);
    assert!(again.ends_with("nothing to do: all is as it was"), "{again}");
    assert_eq!(files(&scene), after);
    let report: Value = serde_json::from_str(&scene.ok(&["init", "--agent", AGENTS, "--json"])).unwrap();
    let actions = report["files"].as_array().unwrap().iter().map(|file| file["action"].as_str().unwrap());
    assert!(actions.clone().count() == 14 && actions.clone().all(|action| action == "unchanged"), "{report:#}");
    // Without anybody at a terminal nobody is asked.
    let nobody = scene.pleach(&["init"]);
    assert!(nobody.code == Some(0) && nobody.err.contains("no agent was named"), "{nobody:?}");
    assert_eq!(files(&scene), after);
}

/// The texts themselves, with our program under its name.
#[test]
fn the_texts_are_as_they_were_looked_at() {
    let scene = Scene::new();
    scene.ok(&["init", "--agent", AGENTS]);
    let program = scene.command(&[]).get_program().to_str().unwrap().to_owned();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/init");
    for (name, golden) in [(".claude/settings.json", "claude-settings.json"), (".codex/hooks.json", "codex-hooks.json")]
    {
        let text = scene.read(name).replace(&program, "pleach");
        expect_file![dir.join(golden)].assert_eq(&text);
    }
}

#[test]
fn what_somebody_has_stays() {
    let scene = Scene::new();
    scene.write("AGENTS.md", "# Ours\n\nBe brief.\n");
    scene.write(".pleach.toml", "[run]\nconcurrency = 1\n");
    scene.write(".claude/skills/pleach/SKILL.md", "mine\n");
    let theirs = "{\n  // why\n  \"model\": \"x\",\n  \"hooks\": {\"WorktreeCreate\": [{\"hooks\": [{\"type\": \"command\", \"command\": \"mine\"}]}]}\n}\n";
    scene.write(".claude/settings.json", theirs);
    scene.write(".env", "A=1\n");
    scene.write(".gitignore", "*.ignored\n.env\n");
    let told = scene.ok(&["init", "--agent", "claude,codex"]);
    assert!(told.contains("kept       .pleach.toml"), "{told}");
    assert!(told.contains("WorktreeCreate has a hook of somebody else"), "{told}");
    assert!(told.contains("kept       .claude/skills/pleach/SKILL.md"), "{told}");
    assert_eq!(
        (scene.read(".pleach.toml"), scene.read(".claude/skills/pleach/SKILL.md")),
        ("[run]\nconcurrency = 1\n".to_owned(), "mine\n".to_owned())
    );
    let settings = scene.read(".claude/settings.json");
    assert!(
        settings.contains("// why")
            && settings.contains("\"SubagentStop\"")
            && settings.matches("WorktreeCreate").count() == 1,
        "{settings}"
    );
    assert!(scene.read("AGENTS.md").starts_with("# Ours\n\nBe brief.\n\n<!-- pleach: begin -->\n"));
    assert!(scene.read(".worktreeinclude").contains("\n/.env\n"));
    // A task gets what is included.
    scene.ok(&["run", "--", "grep -q A=1 .env"]);
    // An older text of ours is replaced.
    scene.write("AGENTS.md", scene.read("AGENTS.md").replace("Delegating with pleach", "As it was"));
    scene.ok(&["init", "--agent", "codex"]);
    assert!(
        scene.read("AGENTS.md").contains("Delegating with pleach")
            && scene.read("AGENTS.md").matches("pleach: begin").count() == 1
    );
}

#[test]
fn where_one_file_cannot_be_used_nothing_is_written() {
    let out = Scene::new();
    for (name, content) in [
        (".claude/settings.json", "{ \"hooks\": "),
        (".claude/settings.json", "{ \"hooks\": {\"Stop\": 1} }"),
        (".mcp.json", "[]"),
        ("AGENTS.md", "<!-- pleach: begin -->\n"),
        (".codex/config.toml", "model = \n"),
    ] {
        let scene = Scene::new();
        scene.write(name, content);
        let before = files(&scene);
        let ran = scene.pleach(&["init", "--agent", "claude,codex"]);
        assert!(ran.code == Some(7) && ran.err.contains(name) && ran.err.contains("hint: "), "{name}: {ran:?}");
        assert_eq!(files(&scene), before, "{name}");
    }
    // A link of the repository leads to a file of somebody.
    let scene = Scene::new();
    let target = out.path("target");
    std::fs::write(&target, "mine\n").unwrap();
    std::os::unix::fs::symlink(&target, scene.top.join("AGENTS.md")).unwrap();
    let ran = scene.pleach(&["init", "--agent", "codex"]);
    assert!(ran.code == Some(7) && ran.err.contains("leads out of this checkout"), "{ran:?}");
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "mine\n");
    assert!(!scene.top.join(".pleach.toml").exists());
}

#[test]
fn where_there_is_no_checkout_it_says_so() {
    let scene = Scene::new();
    let bare = scene.path("bare.git");
    scene.git(&["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    let ran = scene.pleach(&["-C", bare.to_str().unwrap(), "init"]);
    assert!(ran.code == Some(7) && ran.err.contains("bare repository"), "{ran:?}");
    let ran = scene.pleach(&["-C", "/", "init", "--json"]);
    assert!(ran.code == Some(3) && ran.out.contains("not in a git repository"), "{ran:?}");
    let ran = scene.pleach(&["init", "--agent", "none,claude"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    let ran = scene.pleach(&["init", "--agent", "nobody"]);
    assert!(ran.code == Some(2) && ran.err.contains("claude, codex"), "{ran:?}");
}
