//! Roles: files of other programs, what they may do, and who has to be asked.
#![allow(clippy::disallowed_methods, reason = "tests write files and start programs as a user would")]

mod approval;
mod golden;
mod held;
mod over_mcp;

use super::support::scene::Scene;

/// A role of the project.
const REVIEWER: &str = "---\nname: reviewer\ndescription: Reviews code\ntools: Read, Grep, Bash\n---\nBe kind.\n";

/// A scene with `.claude/agents/reviewer.md` in its repository.
fn scene() -> Scene {
    let scene = Scene::new();
    scene.write(".claude/agents/reviewer.md", REVIEWER);
    scene
}

/// Write a file of the user's own.
fn own(scene: &Scene, path: &str, text: &str) {
    let path = scene.path("home/config/pleach").join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}
