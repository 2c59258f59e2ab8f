//! Places that lie over a base image: whoever dies, whatever is missing, what a task did there is not lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::overlay::{WORK, all_gone, attempt, configure, go, images, kept, over, provider, waits};
use crate::support::cli::{changed, state_of, task, told};
use crate::support::scene::Process;

#[test]
fn whoever_is_killed_the_work_is_saved() {
    let Some(scene) = over() else { return };
    let id = waits(&scene, WORK);
    scene.processes().into_iter().filter(Process::is_shim).for_each(|shim| shim.kill());
    scene.pleach(&["wait", &id.to_string()]);
    assert_eq!(scene.outcome(id), "lost", "{}", scene.story());
    assert_eq!((kept(&scene, id, "readme"), kept(&scene, id, "dir/other")), ("hello\nedited".into(), "other".into()));
    all_gone(&scene);
    let id = waits(&scene, WORK);
    scene.processes().into_iter().filter(Process::is_coordinator).for_each(|coordinator| coordinator.kill());
    go(&scene);
    scene.ok(&["wait", &id.to_string()]);
    assert_eq!((kept(&scene, id, "readme"), kept(&scene, id, "dir/other")), ("hello\nedited".into(), "other".into()));
    all_gone(&scene);
    for point in [
        "overlay.laid",
        "launch.checked_out",
        "launch.spec_written",
        "shim.task_ended",
        "shim.left_overs_committed",
        "shim.exported",
        "remove.renamed",
    ] {
        scene.arm(point);
        let id = scene.add(&[], WORK);
        scene.pleach(&["wait", &id.to_string()]);
        scene.until("it was hit", || {
            scene.pleach(&["ls"]);
            !scene.is_armed(point)
        });
        scene.ok(&["wait"]);
        assert_eq!(kept(&scene, id, "readme"), "hello\nedited", "{point}: {}", scene.story());
        assert_eq!(kept(&scene, id, "dir/other"), "other", "{point}");
        all_gone(&scene);
    }
}

/// What is in no result stays, and then it is a worktree as any other.
#[test]
fn a_place_that_stays_is_made_a_worktree() {
    let Some(scene) = over() else { return };
    let nested = format!(
        "{WORK}; git init -q nested; echo in > nested/in; git -C nested add in; mkdir closed; echo c > closed/c; chmod 0 closed"
    );
    // Nor is it of use to close the door behind oneself.
    let closed = task(&scene, &format!("{WORK}; chmod 0 ."));
    assert_eq!((kept(&scene, closed, "readme"), kept(&scene, closed, "src/c")), ("hello\nedited".into(), "c".into()));
    all_gone(&scene);
    for point in ["none", "overlay.written", "overlay.emptied", "overlay.real"] {
        scene.arm(point);
        let id = scene.add(&[], &nested);
        scene.pleach(&["wait", &id.to_string()]);
        scene.until("it was hit", || {
            scene.pleach(&["ls"]);
            point == "none" || !scene.is_armed(point)
        });
        scene.until("it is told how it ended", || scene.outcome(id) == "exited 0");
        let worktree = scene.status(id)["attempts"][0]["worktree"].as_str().unwrap().to_owned();
        let worktree = Path::new(&worktree);
        let read = |path: &str| {
            fs::read_to_string(worktree.join(path)).unwrap_or_else(|error| panic!("{point} {path}: {error}"))
        };
        assert_eq!(
            (read("readme"), read("src/deep/a"), read("x.ignored")),
            ("hello\nedited\n".into(), "a\n".into(), "x\n".into())
        );
        assert_eq!(
            (read("dir/other"), read("nested/in"), read("src/x.made")),
            ("other\n".into(), "in\n".into(), "x\n".into())
        );
        assert!(!worktree.join("staged").exists() && !worktree.join("dir/kept").exists(), "{point}");
        assert_eq!(read("closed/c"), "c\n", "{point}");
        assert!(!attempt(&scene, id).join("overlay").exists(), "{point}");
        let status = scene.git_in(worktree, &["status", "--porcelain"]);
        let status: Vec<&str> = status.lines().map(str::trim).collect();
        let wanted = ["D dir/kept", "M readme", "D staged", "?? closed/", "?? dir/other", "?? nested/", "?? new"];
        assert_eq!(status, wanted, "{point}: it is as it was left, for whoever looks from outside");
        scene.ok(&["doctor"]);
        scene.ok(&["discard", &id.to_string()]);
        scene.ok(&["gc", "--older-than", "0s", "--yes"]);
        all_gone(&scene);
    }
}

/// Its repository is elsewhere by then: what it left can be looked into, and taken over.
#[test]
fn what_cannot_be_saved_is_made_a_worktree_too() {
    let Some(mut scene) = over() else { return };
    let id = waits(&scene, WORK);
    let moved = scene.path("moved");
    fs::rename(&scene.top, &moved).unwrap();
    scene.top = moved;
    go(&scene);
    scene.pleach(&["wait", &id.to_string()]);
    let refused = told(&scene, id, "refused");
    assert_eq!(refused, ["its files could not be committed"], "{}", scene.story());
    let worktree = scene.status(id)["attempts"][0]["worktree"].as_str().unwrap().to_owned();
    let read = |path: &str| fs::read_to_string(Path::new(&worktree).join(path)).unwrap();
    assert_eq!(
        (read("readme"), read("src/deep/a"), read("x.ignored")),
        ("hello\nedited\n".into(), "a\n".into(), "x\n".into())
    );
    scene.ok(&["restore", &id.to_string()]);
    assert_eq!(changed(&scene, id), ["dir/kept", "dir/other", "new", "readme", "staged"]);
    all_gone(&scene);
}

/// There is no room to put it together: then it stays as it is, and is taken over from there.
#[test]
fn on_a_full_disk_it_stays_as_it_is_and_is_taken_over_from_there() {
    let Some(scene) = over() else { return };
    configure(&scene, "[limits]\ndisk_floor = \"0 B\"\n");
    let state = scene.path("state");
    // What has room for the files that were written has none for this once more.
    scene.write("base", vec![b'x'; 3 << 20]);
    scene.git(&["add", "base"]);
    scene.git(&["commit", "-qm", "base"]);
    let mounted =
        |args: &[&str]| Command::new("mount").args(args).arg(&state).status().is_ok_and(|ended| ended.success());
    if !mounted(&["-t", "tmpfs", "-o", "size=20m", "tmpfs"]) {
        return;
    }
    let _unmounted = Unmounted(state.clone());
    let id = scene.add(&[], "echo small > small; head -c 12M /dev/urandom > large");
    scene.until("it waits for room, or cannot be here", || {
        scene.status(id)["why"] == "waits for room on the disk" || scene.outcome(id) == "could_not_start"
    });
    if scene.outcome(id) == "could_not_start" {
        println!("this kernel has no overlay on a tmpfs");
        return;
    }
    // To the last byte.
    let _ = std::io::copy(&mut std::io::repeat(1), &mut fs::File::create(state.join("fill")).unwrap());
    scene.ok(&["cancel", "--now", &id.to_string()]);
    assert_eq!(told(&scene, id, "refused"), ["its files could not be committed"]);
    let written = scene.status(id)["attempts"][0]["written"].as_str().map(PathBuf::from).unwrap();
    assert_eq!(fs::read_to_string(written.join("small")).unwrap(), "small\n");
    assert!(told(&scene, id, "note").concat().contains("what it wrote is there all the same"));
    assert!(mounted(&["-o", "remount,size=80m"]));
    scene.ok(&["restore", &id.to_string()]);
    assert_eq!((changed(&scene, id), kept(&scene, id, "src/c")), (vec!["large".into(), "small".into()], "c".into()));
    all_gone(&scene);
}

/// A file system that goes with the test.
struct Unmounted(PathBuf);

impl Drop for Unmounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Its image is gone, so nothing can be mounted: all that it wrote is there all the same.
#[test]
fn without_its_image_nothing_is_lost() {
    let Some(scene) = over() else { return };
    let id = waits(&scene, WORK);
    let [image] = &images(&scene)[..] else { panic!("{}", scene.story()) };
    fs::rename(image, scene.path("elsewhere")).unwrap();
    go(&scene);
    scene.ok(&["wait", &id.to_string()]);
    assert_eq!(changed(&scene, id), ["dir/kept", "dir/other", "new", "readme", "staged"], "{}", scene.story());
    all_gone(&scene);
}

#[test]
fn an_image_goes_when_nothing_lies_over_it_and_is_not_used_once_it_was_changed() {
    let Some(scene) = over() else { return };
    let id = waits(&scene, WORK);
    let [image] = &images(&scene)[..] else { panic!("{}", scene.story()) };
    let floor = |bytes: &str| configure(&scene, &format!("[limits]\ndisk_floor = \"{bytes}\"\n"));
    floor("900 TiB");
    // A cache beside it, to see that some go.
    let idle = state_of(&scene).join("slots/7");
    fs::create_dir_all(idle.join("pleach-slot-7")).unwrap();
    fs::write(idle.join("seal"), "").unwrap();
    let waiting = scene.add(&[], "true");
    scene.until("a cache is gone", || !idle.exists());
    assert!(image.exists(), "it is held");
    scene.ok(&["cancel", &waiting.to_string()]);
    floor("0 B");
    task(&scene, "true");
    go(&scene);
    scene.ok(&["wait", &id.to_string()]);
    all_gone(&scene);
    // Somebody writes where nobody should. A coordinator that has not looked yet does not believe it.
    scene.until("the coordinator leaves", || !scene.processes().iter().any(Process::is_coordinator));
    fs::write(image.join("files/readme"), "forged\n").unwrap();
    let id = task(&scene, "cat readme; git status --porcelain");
    assert_eq!((provider(&scene, id).as_str(), &*scene.log(id)), ("overlay", "hello\n"));
    all_gone(&scene);
    floor("900 TiB");
    scene.add(&[], "true");
    scene.until("they are gone", || images(&scene).is_empty());
}
