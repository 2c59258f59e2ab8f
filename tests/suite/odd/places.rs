//! Where things are: the state, the home, disks that cannot be written or are full, repositories that move.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::cli::{
    FILES, at_top, changed, fails, made_by, places_in_use, round, sh, state_of, task, told, user_side,
};
use crate::support::scene::{Scene, finish};

/// Can this file system be mounted here? Else there is a note, and nothing is tested.
fn mounted(options: &[&str]) -> bool {
    let done = Command::new("mount").args(options).output().is_ok_and(|output| output.status.success());
    if !done {
        eprintln!("nothing can be mounted here: not tested");
    }
    done
}

fn unmount(path: &std::path::Path) {
    let done = Command::new("umount").arg("-l").arg(path).status().unwrap();
    assert!(done.success());
}

#[test]
fn no_home_is_told_and_a_place_for_the_state_is_enough() {
    let scene = Scene::new();
    let without = |args: &[&str], names: &[&str]| {
        let mut command = scene.command(args);
        for name in names {
            command.env_remove(name);
        }
        finish(command.spawn().unwrap())
    };
    let all = ["HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "PLEACH_STATE_DIR"];
    let ran = without(&["add", "--", "true"], &all);
    fails(&ran, 1, "there is no home directory to keep state in", "set PLEACH_STATE_DIR");
    assert_eq!(without(&["ls"], &all).code, Some(0));
    let ran = without(&["run", "--", "echo more >> readme; echo \"home=$HOME\""], &all[..3]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "home=\n"), "{ran:?}");
    assert_eq!(without(&["merge", "1"], &all[..3]).code, Some(0));
    assert_eq!(scene.read("readme"), "hello\nmore\n");
}

/// A task has a `/dev/shm` of its own, in which there is what it needs of the one outside.
#[test]
fn all_of_it_in_memory() {
    let memory = std::path::Path::new("/dev/shm");
    if fs::create_dir_all(memory.join("pleach-is-here"))
        .and_then(|()| fs::remove_dir(memory.join("pleach-is-here")))
        .is_err()
    {
        eprintln!("there is no such directory here: not tested");
        return;
    }
    round(&Scene::below(memory));
}

#[test]
fn a_state_path_that_is_too_long_for_a_socket() {
    let mut scene = Scene::new();
    let long = scene.path("state").join("d".repeat(120)).join("e".repeat(120));
    scene.variables.insert("PLEACH_STATE_DIR".to_owned(), long.display().to_string());
    round(&scene);
    let program = env!("CARGO_BIN_EXE_pleach");
    let id = task(&scene, &format!("{program} progress 1/2 half && {program} summary 'all of it'"));
    assert_eq!(told(&scene, id, "summary"), ["all of it"]);
    let id = scene.add(&[], "exec sleep 1000");
    scene.until("it runs", || scene.stands(id) == "running");
    scene.pleach(&["cancel", &id.to_string()]);
    assert_eq!(scene.outcome(id), "cancelled");
}

#[test]
fn a_repository_that_cannot_be_written_to() {
    let scene = Scene::new();
    let options = ["--bind", scene.top.to_str().unwrap(), scene.top.to_str().unwrap()];
    if !mounted(&options) {
        return;
    }
    let top = scene.top.to_str().unwrap();
    if !mounted(&["-o", "remount,ro,bind", top]) {
        return unmount(&scene.top);
    }
    let ran = scene.pleach(&["add", "--", "true"]);
    let looked = scene.pleach(&["ls"]);
    let doctor = scene.pleach(&["doctor"]);
    unmount(&scene.top);
    fails(&ran, 1, "Read-only file system", "pleach must be able to write to the git directory");
    assert_eq!(looked.code, Some(0), "{looked:?}");
    assert_eq!(doctor.code, Some(0), "{doctor:?}");
    task(&scene, "true");
}

#[test]
fn a_state_directory_that_cannot_be_made() {
    let mut scene = Scene::new();
    fs::write(scene.path("file"), "").unwrap();
    scene.variables.insert("PLEACH_STATE_DIR".to_owned(), scene.path("file/state").display().to_string());
    fails(&scene.pleach(&["add", "--", "true"]), 1, "cannot make directory", "pleach must be able to write");
    scene.variables.clear();
    task(&scene, "true");
}

#[test]
fn a_git_directory_of_another_user_is_refused_as_git_does() {
    let scene = Scene::new();
    let chown =
        |user: &str| Command::new("chown").args(["-R", user]).arg(&scene.top).output().unwrap().status.success();
    if !chown("12345:12345") {
        return eprintln!("files cannot be given away here: not tested");
    }
    let ran = scene.pleach(&["add", "--", "true"]);
    assert!(chown("0:0"));
    // Whoever may read everything may be trusted by git's rules all the same.
    if ran.code != Some(0) {
        fails(&ran, 3, "dubious ownership", "`git status` there says the same");
    }
}

#[test]
fn a_full_disk_is_told_and_nothing_is_lost() {
    let mut scene = Scene::new();
    let disk = scene.path("disk");
    fs::create_dir(&disk).unwrap();
    if !mounted(&["-t", "tmpfs", "-o", "size=24m", "pleach-test", disk.to_str().unwrap()]) {
        return;
    }
    scene.variables.insert("PLEACH_STATE_DIR".to_owned(), disk.join("state").display().to_string());
    scene.configure("[limits]\ndisk_floor = \"0 B\"\n");
    scene.ok(&["run", "--", "echo one >> readme"]);
    let gate = scene.path("gate");
    let line = format!(
        "echo two > two; head -c 1000 /dev/urandom > bytes; while test ! -e {}; do read -t 1 _ || sleep 0.05; done",
        gate.display()
    );
    let id = scene.add(&[], &line);
    scene.until("it runs", || scene.status(id)["state"] == "running" && !changed_now(&scene, id).is_empty());
    // Fill it to the last byte while the task works.
    let _ = Command::new("sh").arg("-c").arg(format!("cat /dev/zero > {}/filler 2>/dev/null", disk.display())).status();
    fs::write(&gate, "").unwrap();
    let full = scene.pleach(&["add", "--", "true"]);
    fs::remove_file(disk.join("filler")).unwrap();
    scene.pleach(&["wait"]);
    let stands = scene.stands(id);
    let kept = scene.git(&["for-each-ref", "--format=%(refname)", &format!("refs/pleach/kept/{id}.1/tip")]);
    let (is_kept, worktree) = (stands == "ready" || !kept.is_empty(), told(&scene, id, "worktree"));
    let is_there = worktree.first().is_some_and(|path| fs::exists(format!("{path}/two")).unwrap());
    let story = scene.ok(&["status", &id.to_string()]);
    scene.ok(&["merge", "1"]);
    scene.until("no one works there any more", || scene.processes().is_empty());
    unmount(&disk);
    assert!(is_kept || is_there, "{story}");
    assert!(full.code == Some(0) || full.err.contains("hint: "), "{full:?}");
    assert_eq!(scene.read("readme"), "hello\none\n");
}

fn changed_now(scene: &Scene, id: u64) -> Vec<String> {
    let ran = scene.pleach(&["diff", "--name-only", &id.to_string()]);
    ran.out.lines().map(str::to_owned).collect()
}

#[test]
fn a_repository_that_was_moved_goes_on() {
    let mut scene = made_by("repo", &format!("cd \"$TOP\"; git init -q; {FILES}"));
    task(&scene, "echo more >> readme");
    // The coordinator of the old place may still be there: it must not be asked.
    let moved = scene.path("repositories/moved");
    fs::rename(&scene.top, &moved).unwrap();
    scene.top = moved;
    assert_eq!(changed(&scene, 1), ["readme"]);
    task(&scene, "echo new > made");
    scene.ok(&["merge", "1", "2"]);
    assert_eq!(at_top(&scene, "cat readme made; git status --porcelain"), "hello\nmore\nnew\n");
    scene.ok(&["doctor"]);
}

#[test]
fn a_repository_that_was_moved_under_a_running_task_keeps_its_files() {
    let mut scene = made_by("repo", &format!("cd \"$TOP\"; git init -q; {FILES}"));
    let (there, go) = (scene.path("there"), scene.path("go"));
    sh(&scene, &scene.path(""), "mkfifo go");
    let id = scene.add(&[], &format!("echo precious > made; touch {}; read _ < {}", there.display(), go.display()));
    scene.until_there(&there);
    let moved = scene.path("repositories/moved");
    fs::rename(&scene.top, &moved).unwrap();
    scene.top = moved;
    fs::write(&go, "\n").unwrap();
    scene.pleach(&["wait", &id.to_string()]);
    assert_eq!(told(&scene, id, "refused"), ["its files could not be committed"]);
    let worktree = told(&scene, id, "worktree").concat();
    assert_eq!(fs::read_to_string(format!("{worktree}/made")).unwrap(), "precious\n");
    // No age and no retry makes them go.
    scene.ok(&["retry", &id.to_string()]);
    fs::write(&go, "\n").unwrap();
    scene.ok(&["wait", &id.to_string()]);
    assert!(scene.ok(&["gc", "--older-than", "0s", "--yes"]).contains("nothing to free"));
    assert_eq!(fs::read_to_string(format!("{worktree}/made")).unwrap(), "precious\n");
}

#[test]
fn a_copy_of_a_repository_does_not_touch_the_tasks_of_the_original() {
    let mut scene = made_by("repo", &format!("cd \"$TOP\"; git init -q; {FILES}"));
    task(&scene, "echo more >> readme");
    let before = user_side(&scene);
    let original = scene.top.clone();
    scene.top = scene.path("repositories/copy");
    sh(&scene, &original, "cp -a . \"$TOP\"");
    let home = scene.top.join(".git/pleach").display().to_string();
    for verb in [&["ls"][..], &["add", "--", "true"], &["merge", "1"], &["doctor"], &["gc", "--yes"]] {
        fails(&scene.pleach(verb), 3, "this repository is a copy of", &format!("start afresh here: rm -r {home}"));
    }
    fs::remove_dir_all(home).unwrap();
    assert!(scene.ok(&["ls"]).contains("no task yet"));
    task(&scene, "echo other >> readme");
    scene.ok(&["merge", "1"]);
    scene.top = original;
    assert_eq!(user_side(&scene), before);
    scene.ok(&["merge", "1"]);
    assert_eq!(scene.read("readme"), "hello\nmore\n");
}

#[test]
fn a_copy_of_a_moved_repository_is_known_as_one() {
    let mut scene = made_by("repo", &format!("cd \"$TOP\"; git init -q; {FILES}"));
    task(&scene, "echo more >> readme");
    let (moved, copy) = (scene.path("repositories/moved"), scene.path("repositories/copy"));
    fs::rename(&scene.top, &moved).unwrap();
    scene.top = moved;
    scene.ok(&["discard", "1"]);
    sh(&scene, &scene.top, &format!("cp -a . {}", copy.display()));
    scene.top = copy;
    fails(&scene.pleach(&["ls"]), 3, "this repository is a copy of", "start afresh here");
}

#[test]
fn a_repository_made_anew_at_the_same_path_starts_afresh() {
    let scene = made_by("repo", &format!("cd \"$TOP\"; git init -q; {FILES}"));
    task(&scene, "echo old; echo old >> readme");
    let old = state_of(&scene);
    fs::remove_dir_all(&scene.top).unwrap();
    fs::create_dir(&scene.top).unwrap();
    sh(&scene, &scene.top, &format!("git init -q; {FILES}"));
    let id = task(&scene, "echo new; echo new > made");
    assert_eq!((id, scene.log(1)), (1, "new\n".to_owned()));
    assert_eq!(changed(&scene, 1), ["made"]);
    assert!(state_of(&scene) != old && old.join("attempts/1.1/log").exists());
    scene.until("the coordinator of the old one leaves", || {
        scene.processes().iter().filter(|process| process.is_coordinator()).count() <= 1
    });
}

#[test]
fn rights_of_a_state_directory_keep_others_out() {
    let scene = Scene::new();
    let id = scene.add(&["--env", "SECRET=1"], "true");
    scene.ok(&["wait", &id.to_string()]);
    let attempt = state_of(&scene).join("attempts/1.1");
    assert_eq!(fs::metadata(attempt).unwrap().permissions().mode() & 0o077, 0);
}

/// A scene whose state is on a disk of 20 MB of its own, and a task in it whose result does not fit there; its id.
fn with_a_full_disk() -> Option<(Scene, u64)> {
    let scene = Scene::new();
    scene.configure("[limits]\ndisk_floor = \"0 B\"\n");
    let state = scene.path("state");
    if !mounted(&["-t", "tmpfs", "-o", "size=20m", "tmpfs", state.to_str().unwrap()]) {
        return None;
    }
    let id = scene.add(&[], "echo small > small; head -c 12M /dev/urandom > large");
    scene.until("it waits for room", || scene.status(id)["why"] == "waits for room on the disk");
    Some((scene, id))
}

fn make_room(scene: &Scene) {
    assert!(mounted(&["-o", "remount,size=80m", scene.path("state").to_str().unwrap()]));
}

#[test]
fn a_result_waits_for_room_on_a_full_disk() {
    let Some((scene, id)) = with_a_full_disk() else { return };
    assert!(scene.ok(&["ls"]).contains("waits for room on the disk"));
    let doctor = scene.pleach(&["doctor"]);
    assert!(doctor.code != Some(0) && doctor.out.contains("there is no room on the disk of"), "{doctor:?}");
    // Neither a death of its supervisor nor one of the coordinator gives it up.
    scene.processes().iter().filter(|process| process.is_shim() || process.is_coordinator()).for_each(|p| p.kill());
    scene.until("another one waits for room", || {
        scene.stands(id) == "running" && scene.processes().iter().any(|process| process.is_shim())
    });
    make_room(&scene);
    scene.ok(&["wait"]);
    assert_eq!(changed(&scene, id), ["large", "small"]);
    let dir = state_of(&scene).join("attempts/1.1");
    assert!(!dir.join("no-room").exists() && !dir.join("reserve").exists());
    unmount(&scene.path("state"));
}

#[test]
fn who_does_not_wait_for_room_finds_the_files_in_their_worktree() {
    let Some((scene, id)) = with_a_full_disk() else { return };
    scene.ok(&["cancel", "--now", "1"]);
    assert_eq!((scene.stands(id), scene.outcome(id)), ("failed".to_owned(), "exited 0".to_owned()));
    assert_eq!(told(&scene, id, "refused"), ["its files could not be committed"]);
    let worktree = told(&scene, id, "worktree").concat();
    assert_eq!(fs::read_to_string(format!("{worktree}/small")).unwrap(), "small\n");
    // An ordinary command takes them over, once it can.
    fails(&scene.pleach(&["restore", "1"]), 1, "what attempt 1.1 left cannot be taken over", "still in its worktree");
    assert_eq!(fs::read_to_string(format!("{worktree}/small")).unwrap(), "small\n");
    make_room(&scene);
    assert!(scene.ok(&["status", "1"]).contains("pleach restore 1"));
    assert!(scene.ok(&["restore", "1"]).contains("task 1 is up for review"));
    assert_eq!((scene.stands(id), changed(&scene, id)), ("ready".to_owned(), vec!["large".into(), "small".into()]));
    assert_eq!(scene.git(&["show", "pleach/1:small"]), "small");
    assert_eq!(told(&scene, id, "note"), [""; 0]);
    // A place of which somebody had to see to the files is used by nobody again, or it is free for the next.
    scene.until("its worktree goes", || places_in_use(&state_of(&scene)) == 0);
    scene.ok(&["doctor"]);
    scene.ok(&["merge", "1"]);
    unmount(&scene.path("state"));
}
