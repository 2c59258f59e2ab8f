//! `pleach mcp install`: our entry, and nothing else.
#![allow(clippy::disallowed_methods, reason = "tests write files as a user would")]

use std::os::unix::fs::PermissionsExt as _;

use crate::support::scene::Scene;

const CLIENTS: &[(&str, &str, &str)] = &[
    ("claude", ".mcp.json", ".claude.json"),
    ("codex", ".codex/config.toml", ".codex/config.toml"),
    ("gemini", ".gemini/settings.json", ".gemini/settings.json"),
    ("qwen", ".qwen/settings.json", ".qwen/settings.json"),
    ("opencode", "opencode.json", "config/opencode/opencode.json"),
    ("kiro", ".kiro/settings/mcp.json", ".kiro/settings/mcp.json"),
];

#[test]
fn each_client_gets_its_file_and_twice_is_once() {
    let scene = Scene::new();
    for (client, project, user) in CLIENTS {
        for (scope, file) in [("project", scene.top.join(project)), ("user", scene.path("home").join(user))] {
            let args = ["mcp", "install", "--client", client, "--scope", scope];
            let printed = scene.ok(&[&args[..], &["--print"]].concat());
            assert!(!file.exists(), "--print writes nothing");
            assert!(scene.ok(&args).contains("wrote our entry"), "{client}");
            let text = std::fs::read_to_string(&file).unwrap();
            assert_eq!(text.trim(), printed, "{client}");
            assert!(scene.ok(&args).contains("has our entry already"), "{client}");
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        }
    }
    assert!(scene.ok(&["mcp", "install", "--client", "vscode"]).contains(".vscode/mcp.json"));
    let refused = scene.pleach(&["mcp", "install", "--client", "vscode", "--scope", "user"]);
    assert!(refused.code == Some(2) && refused.err.contains("MCP: Open User Configuration"), "{refused:?}");
}

#[test]
fn what_an_editor_puts_before_a_file_stays_there() {
    let scene = Scene::new();
    scene.write(".mcp.json", "\u{feff}{\r\n  \"mcpServers\": {}\r\n}\r\n");
    assert!(scene.ok(&["mcp", "install", "--client", "claude"]).contains("wrote our entry"));
    let text = scene.read(".mcp.json");
    assert!(text.starts_with("\u{feff}{\r\n") && text.contains("\"pleach\""), "{text}");
    assert!(scene.ok(&["mcp", "install", "--client", "claude"]).contains("has our entry already"));
}

#[test]
fn a_file_that_somebody_keeps_stays_theirs() {
    let scene = Scene::new();
    let kept = scene.path("home").join("dotfiles.json");
    std::fs::write(&kept, "{\n  // mine\n  \"theme\": \"dark\",\n}\n").unwrap();
    std::fs::set_permissions(&kept, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::create_dir(scene.path("home").join(".gemini")).unwrap();
    std::os::unix::fs::symlink(&kept, scene.path("home").join(".gemini/settings.json")).unwrap();
    scene.ok(&["mcp", "install", "--client", "gemini", "--scope", "user", "--agent", "codex exec -"]);
    let text = std::fs::read_to_string(&kept).unwrap();
    assert!(text.contains("// mine") && text.contains("\"--agent\", \"codex exec -\""), "{text}");
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(scene.path("home").join(".gemini/settings.json").is_symlink());
}

#[test]
fn a_link_of_the_repository_that_leads_out_of_it_is_not_followed() {
    let scene = Scene::new();
    let theirs = scene.path("home").join("theirs");
    std::fs::create_dir(&theirs).unwrap();
    std::os::unix::fs::symlink(&theirs, scene.top.join(".gemini")).unwrap();
    let refused = scene.pleach(&["mcp", "install", "--client", "gemini"]);
    assert!(refused.code == Some(7) && refused.err.contains("leads out of this checkout"), "{refused:?}");
    assert_eq!(std::fs::read_dir(&theirs).unwrap().count(), 0);
}

#[test]
fn a_broken_file_is_an_error_and_left_alone() {
    let scene = Scene::new();
    for (client, file, broken) in [
        ("claude", ".mcp.json", "{ \"mcpServers\": "),
        ("opencode", "opencode.json", "{ \"mcp\": [] }"),
        ("codex", ".codex/config.toml", "model = \n"),
        ("kiro", ".kiro/settings/mcp.json", "\u{feff}[]"),
    ] {
        scene.write(file, broken);
        let ran = scene.pleach(&["mcp", "install", "--client", client]);
        assert!(ran.code == Some(7) && ran.err.contains("cannot be used as it is"), "{client}: {ran:?}");
        assert!(ran.err.contains("hint: ") && ran.err.contains(file), "{ran:?}");
        assert_eq!(scene.read(file), broken);
    }
}
