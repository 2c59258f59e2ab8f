//! What a task can touch: attacks, each beside something that must work, and each also without any sandbox, where it must
//! succeed. That proves the attack.

mod attacks;
mod consent;
mod fuzz;
mod given;
mod lead;
mod limits;
mod network;
mod objects;
mod overlay;
mod overlay_kept;
mod policy;
mod printed;
mod secrets;
mod table;
mod told;
mod tools;
mod work;
mod world;

use std::path::PathBuf;

use super::support::scene::Scene;

/// A scene in this tier, with a secret at home.
pub(crate) fn scene(tier: &str) -> Scene {
    let mut scene = Scene::new();
    scene.variables.insert("PLEACH_SANDBOX".to_owned(), tier.to_owned());
    let home = scene.path("home");
    std::fs::create_dir_all(home.join(".ssh")).unwrap();
    std::fs::write(home.join(".ssh/id"), "SECRET").unwrap();
    std::fs::write(home.join(".profile"), "mine\n").unwrap();
    scene
}

/// Does this tier work on this machine? Where it does not there is nothing to attack, and it is said.
pub(crate) fn works(tier: &str) -> bool {
    let scene = Scene::new();
    let ran = scene.pleach(&["sandbox", "--tier", tier, "--", "true"]);
    if ran.code != Some(0) {
        println!("the {tier} tier does not work here, so nothing of it is tried: {}", ran.err);
    }
    ran.code == Some(0)
}

/// A shell's word for a path.
pub(crate) fn word(path: PathBuf) -> String {
    format!("'{}'", path.display())
}
