//! What tasks take on the disk, and what goes by itself where there is little.
#![allow(clippy::disallowed_methods, reason = "tests write files as a user would")]

use std::fs;

use crate::support::cli::{places_in_use, state_of, task};
use crate::support::scene::Scene;

#[test]
fn the_disk_is_told_by_task_and_caches_go_where_it_is_short_and_sources_do_not() {
    let scene = Scene::new();
    let id = task(&scene, "dd if=/dev/zero of=big.ignored bs=1024 count=512 2>/dev/null; echo result > result");
    let state = state_of(&scene);
    scene.until("the place is given back", || places_in_use(&state) == 0);
    // Of a check, too.
    fs::create_dir_all(state.join("pool/1/tree")).unwrap();
    fs::write(state.join("pool/1/tree/cache"), vec![1; 1 << 16]).unwrap();
    fs::create_dir_all(state.join("images/an image/files")).unwrap();
    let disk = scene.json(&["ls", "--disk"]);
    let cache = |name: &str| {
        let caches = disk["caches"].as_array().unwrap();
        caches.iter().find(|cache| cache["cache"] == name).unwrap_or_else(|| panic!("{disk}")).clone()
    };
    let bytes = |cache: serde_json::Value| (cache["count"].as_u64().unwrap(), cache["exclusive"].as_u64().unwrap());
    assert_eq!(disk["tasks"][0]["id"], id);
    assert!(disk["tasks"][0]["exclusive"].as_u64().unwrap() > 0, "{disk}");
    let (count, size) = bytes(cache("free_slots"));
    assert!(count == 1 && size >= 512 << 10, "{disk}");
    let (count, size) = bytes(cache("check_worktrees"));
    assert!(count == 1 && size >= 1 << 16, "{disk}");
    assert_eq!(bytes(cache("base_images")).0, 1, "{disk}");
    let words = scene.ok(&["ls", "--disk"]);
    assert!(words.contains("caches: 1 free slot ") && words.contains(", 1 check worktree "), "{words}");
    // The result, its log and its records are no caches; neither is what a task works in.
    let gate = scene.path("gate");
    let runs = scene.add(&[], &format!("until test -e {}; do sleep 0.01; done; cat result.ignored", gate.display()));
    scene.until("it runs", || scene.status(runs)["state"] == "running" && state.join("slots/1/lease").is_symlink());
    let idle = state.join("slots/7");
    fs::create_dir_all(idle.join("pleach-slot-7")).unwrap();
    fs::write(idle.join("seal"), "").unwrap();
    scene.configure("[limits]\ndisk_floor = \"900 TiB\"\n");
    let waits = scene.add(&[], "true");
    scene.until("caches are gone", || {
        !idle.exists() && !state.join("pool/1").exists() && !state.join("images/an image").exists()
    });
    assert_eq!(scene.status(waits)["why"], "too little room on the disk");
    assert!(state.join("slots/1/lease").is_symlink(), "a place in which somebody works stays");
    assert_eq!(scene.git(&["show", &format!("pleach/{id}:result")]).trim(), "result");
    scene.ok(&["logs", &id.to_string()]);
    scene.configure("[limits]\ndisk_floor = \"0 B\"\n");
    fs::write(gate, "").unwrap();
    scene.add(&[], "true");
    scene.ok(&["wait", &waits.to_string()]);
    assert!(scene.pleach(&["ls", "--disk", "--all"]).code == Some(2));
}
