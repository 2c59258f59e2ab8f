//! Places that are made of a base image, with the real program, on file systems that can share what is in files.

use std::fs;
use std::path::PathBuf;

use super::places::{all_given_back, provider};
use crate::support::cli::{changed, state_of, task};
use crate::support::mounted::Mounted;
use crate::support::scene::Scene;

/// A user whose state is on a file system of this kind. `None` where this machine does not do it.
fn scene_on(kind: &str) -> Option<(Scene, Mounted)> {
    let scene = Scene::new();
    let mounted = Mounted::new(kind, &scene.path("state"))?;
    Some((scene, mounted))
}

/// The images that are whole.
fn images(scene: &Scene) -> Vec<PathBuf> {
    let all = fs::read_dir(state_of(scene).join("images")).into_iter().flatten().flatten().map(|entry| entry.path());
    all.filter(|dir| dir.join("seal").exists()).collect()
}

fn clean(scene: &Scene, line: &str) -> u64 {
    let id = scene.add(&["--clean"], line);
    let ended = scene.pleach(&["wait", &id.to_string()]);
    assert_eq!(ended.code, Some(0), "{ended:?}\n{}", scene.story());
    id
}

const WORK: &str =
    "cat readme; git status --porcelain; git log --oneline | wc -l; echo left > left; echo edited >> readme";

#[test]
fn a_place_is_a_snapshot_of_a_base_image_where_there_are_snapshots() {
    let Some((scene, _mounted)) = scene_on("btrfs") else { return };
    let first = task(&scene, WORK);
    assert_eq!(provider(&scene, first), "snapshot", "{}", scene.story());
    assert_eq!((scene.log(first), changed(&scene, first)), ("hello\n1\n".into(), vec!["left".into(), "readme".into()]));
    assert!(scene.ok(&["status", &first.to_string()]).contains("snapshot (new, of a base image)"));
    all_given_back(&scene);
    let second = task(&scene, WORK);
    assert_eq!((provider(&scene, second), scene.log(second)), ("slot".into(), "hello\n1\n".into()));
    let third = clean(&scene, WORK);
    assert_eq!((provider(&scene, third), scene.log(third)), ("snapshot".into(), "hello\n1\n".into()));
    assert_eq!(images(&scene).len(), 1);
    let doctor = scene.ok(&["doctor"]);
    assert!(doctor.contains("slot, else snapshot, else reflink, else parallel, else plain ("), "{doctor}");
    all_given_back(&scene);
    scene.assert_tidy();
}

#[test]
fn an_image_is_made_beside_the_work_where_files_can_share_their_content() {
    let Some((scene, _mounted)) = scene_on("xfs") else { return };
    let first = task(&scene, WORK);
    assert_eq!(provider(&scene, first), "parallel");
    scene.until("there is an image", || images(&scene).len() == 1);
    let second = clean(&scene, WORK);
    assert_eq!((provider(&scene, second), scene.log(second)), ("reflink".into(), "hello\n1\n".into()));
    assert_eq!(changed(&scene, second), ["left", "readme"]);
    assert!(scene.ok(&["status", &second.to_string()]).contains("reflink (new, shares"));
    let doctor = scene.ok(&["doctor"]);
    assert!(doctor.contains("slot, else reflink, else parallel, else plain ("), "{doctor}");
    all_given_back(&scene);
    scene.assert_tidy();
}

#[test]
fn these_ways_too_can_be_chosen() {
    for (kind, mode) in [("btrfs", "snapshot"), ("btrfs", "reflink"), ("xfs", "reflink"), ("xfs", "snapshot")] {
        let Some((scene, _mounted)) = scene_on(kind) else { continue };
        scene.write(".pleach.toml", format!("[worktree]\nmode = \"{mode}\"\n"));
        if (kind, mode) == ("xfs", "snapshot") {
            let id = scene.add(&[], "true");
            scene.pleach(&["wait", &id.to_string()]);
            let told = scene.ok(&["status", &id.to_string()]);
            assert!(told.contains("has no snapshots of directories"), "{told}");
            continue;
        }
        for _ in 0..2 {
            let id = task(&scene, WORK);
            assert_eq!((provider(&scene, id).as_str(), &*scene.log(id)), (mode, "hello\n1\n"), "{kind}");
            all_given_back(&scene);
        }
        // What comes along may be newer than an image: then no file is older than it.
        scene.write(".worktreeinclude", "env.ignored\n");
        scene.write("env.ignored", "one\n");
        let id = task(&scene, "cat env.ignored; test readme -nt env.ignored && echo newer");
        assert_eq!((provider(&scene, id).as_str(), &*scene.log(id)), ("reflink", "one\nnewer\n"), "{kind}");
        all_given_back(&scene);
        scene.assert_tidy();
    }
}

#[test]
fn who_dies_while_an_image_is_made_or_used_loses_nothing() {
    for (kind, point) in [
        ("btrfs", "image.written"),
        ("btrfs", "image.made"),
        ("btrfs", "image.shared"),
        ("xfs", "image.written"),
        ("xfs", "image.made"),
    ] {
        let Some((scene, _mounted)) = scene_on(kind) else { continue };
        scene.arm(point);
        let first = scene.add(&[], WORK);
        let waited = scene.pleach(&["wait", &first.to_string()]);
        assert_eq!(waited.code, Some(0), "{kind} {point}: {waited:?}\n{}", scene.story());
        scene.until("it was hit", || {
            scene.pleach(&["ls"]);
            !scene.is_armed(point)
        });
        assert_eq!(scene.log(first), "hello\n1\n", "{kind} {point}");
        assert_eq!(changed(&scene, first), ["left", "readme"], "{kind} {point}");
        let kept = format!("refs/pleach/kept/{first}.1/tip:left");
        assert_eq!(scene.git(&["show", &kept]), "left", "{kind} {point}");
        scene.until("there is an image", || {
            clean(&scene, "true");
            images(&scene).len() == 1
        });
        let last = clean(&scene, WORK);
        let wanted = if kind == "btrfs" { "snapshot" } else { "reflink" };
        assert_eq!((provider(&scene, last).as_str(), &*scene.log(last)), (wanted, "hello\n1\n"), "{kind} {point}");
        all_given_back(&scene);
        let left = fs::read_dir(state_of(&scene).join("images")).unwrap().count();
        assert_eq!(left, 1, "{kind} {point}: what was half made is gone");
        scene.assert_tidy();
    }
}
