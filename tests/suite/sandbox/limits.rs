//! What a task may take: memory, processes, room on the disk. The kernel keeps it where it can, and else it is watched; here
//! both are tried.

use std::fs;
use std::process::Command;

use super::super::support::scene::Scene;
use super::{scene, works};

/// It holds so many megabytes until it is killed, and says so first.
const HOG: &str = "exec perl -e '$| = 1; print \"fine\\n\"; my @all; for (1 .. $ARGV[0]) { push @all, \"x\" x (1 << 20) } print \"kept\\n\"; sleep 1000 if $ARGV[1]'";

/// Each tier that works here, and each keeper: the kernel where it can, and nobody but us.
fn everywhere(mut test: impl FnMut(&Scene, &str)) {
    for tier in ["none", "reduced", "full"] {
        if tier != "none" && !works(tier) {
            continue;
        }
        for watched in [false, true] {
            let scene = scene(tier);
            if watched {
                fs::write(scene.path("crash/without.cgroup"), "").unwrap();
            }
            test(&scene, tier);
        }
    }
}

#[test]
fn a_task_that_takes_more_memory_than_it_may_is_ended_and_told() {
    everywhere(|scene, tier| {
        let small = scene.add(&["--memory", "200M"], &format!("{HOG} 30 0"));
        // The shell is not what grows, and its own answer would be 137.
        let large = scene.add(&["--memory", "200M"], &format!("({HOG} 2000 1); echo after $?"));
        for (task, ended) in [(small, "exited 0"), (large, "out_of_memory")] {
            scene.pleach(&["wait", &task.to_string()]);
            assert_eq!(scene.outcome(task), ended, "{tier}: {}", scene.log(task));
            assert!(scene.log(task).contains("fine\n"));
        }
        assert!(scene.log(small).contains("kept\n") && !scene.log(large).contains("after"), "{tier}");
        let status = scene.status(large);
        assert_eq!(status["attempts"][0]["outcome"]["limit"], 200 << 20, "{status:#}");
        for text in [scene.ok(&["status", &large.to_string()]), scene.ok(&["ls", "--all"])] {
            assert!(text.contains("out of memory (limit 200 MiB)"), "{text}");
        }
        assert_eq!(scene.pleach(&["wait", &large.to_string()]).code, Some(137));
    });
}

#[test]
fn memory_that_is_shared_counts_once() {
    let scene = scene("none");
    fs::write(scene.path("crash/without.cgroup"), "").unwrap();
    let line = "exec perl -e '$x = \"x\" x (60 << 20); for (1 .. 6) { fork or do { sleep 2; exit } } 1 while wait > 0; print \"done\\n\"'";
    let task = scene.add(&["--memory", "200M"], line);
    scene.pleach(&["wait", &task.to_string()]);
    assert_eq!(scene.outcome(task), "exited 0", "{}", scene.log(task));
}

/// It forks as fast as it can, and never more than this.
const BOMB: &str = "perl -e '$| = 1; print \"fine\\n\"; $SIG{ALRM} = sub { exit }; for (1 .. 3000) { my $p = fork; if (!defined $p) { print \"refused at $_\\n\"; last } if (!$p) { sleep 30; exit } }'; echo after";

#[test]
fn a_task_with_more_processes_than_it_may_is_refused_or_ended() {
    everywhere(|scene, tier| {
        let few = scene.add(&["--processes", "100"], "(true | true | true) && echo fine");
        let many = scene.add(&["--processes", "100"], BOMB);
        for task in [few, many] {
            scene.pleach(&["wait", &task.to_string()]);
            assert!(scene.log(task).contains("fine\n"), "{tier}: {}", scene.log(task));
        }
        assert_eq!(scene.outcome(few), "exited 0");
        let (log, outcome) = (scene.log(many), scene.outcome(many));
        let refused = log.lines().find_map(|line| line.strip_prefix("refused at ")?.parse::<u32>().ok());
        match refused {
            // The kernel said no, and it lived on. Where root has no limit of its own, numbers of processes run out a little later.
            Some(at) => assert!(
                at <= 410 && (outcome == "exited 0" || outcome == "too_many_processes"),
                "{tier}: {at} {outcome}"
            ),
            None => {
                assert_eq!(outcome, "too_many_processes", "{tier}: {log}");
                assert!(scene.ok(&["status", &many.to_string()]).contains("too many processes (limit 100)"));
            }
        }
        assert_eq!(scene.processes().into_iter().filter(|one| !one.may_stay()).count(), 0);
    });
}

/// In a namespace of its own somebody who is not root is held by the kernel, also where there is no group.
#[test]
fn the_kernel_refuses_processes_to_who_is_not_root() {
    if !rustix::process::geteuid().is_root() || !works("full") {
        return;
    }
    let scene = scene("full");
    fs::write(scene.path("crash/without.cgroup"), "").unwrap();
    Command::new("chown").args(["-R", "65534:65534"]).arg(scene.path("")).status().unwrap();
    let program = scene.path("pleach");
    fs::copy(env!("CARGO_BIN_EXE_pleach"), &program).unwrap();
    let wanted = scene.command(&[]);
    let mut run = Command::new("setpriv");
    run.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&program).current_dir(&scene.top);
    run.env_clear().envs(wanted.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = run.args(["run", "--processes", "100", "--", BOMB]).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let at: u32 = said.lines().find_map(|line| line.strip_prefix("refused at ")).expect(&said).parse().unwrap();
    assert!((90..=101).contains(&at) && said.contains("after") && output.status.success(), "{said}");
    // What fails for it is told so, and not only in its own words.
    let mut run = Command::new("setpriv");
    run.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&program).current_dir(&scene.top);
    run.env_clear().envs(wanted.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = run.args(["run", "--processes", "100", "--", &format!("{BOMB}; exit 3")]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(137), "{said}");
    assert!(said.contains("too many processes (limit 100)"), "{said}");
    // And what fails for something else is not.
    let mut run = Command::new("setpriv");
    run.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&program).current_dir(&scene.top);
    run.env_clear().envs(wanted.get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert_eq!(run.args(["run", "--processes", "100", "--", "exit 3"]).output().unwrap().status.code(), Some(3));
}

#[test]
fn a_limit_that_is_too_small_to_run_anything_is_told_as_that() {
    everywhere(|scene, tier| {
        let task = scene.add(&["--memory", "4M"], "exec perl -e '$x = \"x\" x (50 << 20); sleep 1000'");
        scene.pleach(&["wait", &task.to_string()]);
        assert_eq!(scene.outcome(task), "out_of_memory", "{tier}: {}", scene.log(task));
        let said = scene.ok(&["status", &task.to_string()]);
        assert!(
            said.contains("out of memory at its start (limit 4 MiB, which is too little to run it)"),
            "{tier}: {said}"
        );
    });
}

/// A task may leave a filter that takes all there is, and it is run when its files are saved.
#[test]
fn saving_files_is_limited_as_the_task_is() {
    everywhere(|scene, tier| {
        let hog = "perl -e 'for (1 .. 300) { fork or do { sleep 60; exit } } sleep 60'";
        let line = format!(
            "git config filter.hog.clean \"{hog}\"; git config filter.hog.required true; echo '* filter=hog' > .gitattributes; echo precious > made"
        );
        let task = scene.add(&["--processes", "30"], &line);
        scene.pleach(&["wait", &task.to_string()]);
        let status = scene.status(task);
        let notes = status["attempts"][0]["notes"].to_string();
        // Without the filter they are saved, or all of them stay where they are.
        if !scene.git(&["for-each-ref", &format!("refs/pleach/kept/{task}.1/tip")]).is_empty() {
            assert_eq!(
                scene.git(&["show", &format!("refs/pleach/kept/{task}.1/tip:made")]),
                "precious",
                "{tier}: {notes}"
            );
        } else {
            assert!(
                notes.contains("too many processes (limit 64)") && notes.contains("pleach restore"),
                "{tier}: {notes}"
            );
            let worktree = status["attempts"][0]["worktree"].as_str().unwrap_or_else(|| panic!("{tier}: {status:#}"));
            assert_eq!(fs::read_to_string(format!("{worktree}/made")).unwrap(), "precious\n", "{tier}");
        }
        assert_eq!(scene.processes().into_iter().filter(|one| !one.may_stay()).count(), 0, "{tier}");
    });
}

#[test]
fn a_directory_in_memory_is_no_way_around() {
    if !works("full") {
        return;
    }
    let scene = scene("full");
    let task = scene.add(&["--memory", "64M"], "head -c 200000000 /dev/zero > /dev/shm/big; echo y > ~/x && cat ~/x; ls -l /dev/shm/big 2>/dev/null | cut -d' ' -f5");
    scene.pleach(&["wait", &task.to_string()]);
    let log = scene.log(task);
    assert!(scene.outcome(task) == "out_of_memory" || log.contains("No space left on device"), "{log}");
}

#[test]
fn a_repository_can_only_lower_the_limits() {
    let scene = scene("none");
    let config = scene.path("home/config/pleach");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("config.toml"), "[sandbox]\nmemory = \"300M\"\nprocesses = 50\n").unwrap();
    scene.write(".pleach.toml", "[sandbox]\nmemory = \"1T\"\nprocesses = 20\n");
    let task = scene.add(&[], &format!("{HOG} 2000 1"));
    scene.pleach(&["wait", &task.to_string()]);
    let status = scene.status(task);
    assert_eq!(status["attempts"][0]["outcome"]["limit"], 300 << 20, "{status:#}");
    let refused = scene.pleach(&["add", "--memory", "1k", "--", "true"]);
    assert!(refused.code == Some(2) && refused.err.contains("nothing runs in less than 4 MiB"), "{refused:?}");
}

#[test]
fn doctor_says_who_keeps_the_limits() {
    let scene = scene("none");
    let said = scene.ok(&["doctor"]);
    assert!(said.contains("limits of memory and processes: "), "{said}");
    fs::write(scene.path("crash/without.cgroup"), "").unwrap();
    let said = scene.ok(&["doctor"]);
    assert!(said.contains("limits of memory and processes: watched") && said.contains("a test took it away"), "{said}");
}

/// A scene whose state is on a disk of its own; none where nothing can be mounted.
fn with_a_small_disk(floor: &str) -> Option<Scene> {
    let scene = scene("none");
    let config = scene.path("home/config/pleach");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("config.toml"), format!("[limits]\ndisk_floor = \"{floor}\"\n[run]\nconcurrency = 3\n"))
        .unwrap();
    let state = scene.path("state");
    let mut mount = Command::new("mount");
    let mounted = mount.args(["-t", "tmpfs", "-o", "size=120m", "tmpfs"]).arg(&state).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        println!("nothing can be mounted here: not tested");
        return None;
    }
    Some(scene)
}

fn unmount(scene: &Scene) {
    scene.until("no one works there any more", || scene.processes().is_empty());
    assert!(Command::new("umount").arg("-l").arg(scene.path("state")).status().unwrap().success());
}

#[test]
fn a_task_that_fills_the_disk_is_stopped_and_its_files_are_saved() {
    let Some(scene) = with_a_small_disk("80M") else { return };
    let gate = scene.path("gate");
    let innocent = format!("echo fine > fine; until test -e {}; do sleep 0.05; done", gate.display());
    let innocent = scene.add(&[], &innocent);
    // What it fills is no file of the result, as that would fill the rest.
    // It goes below the floor and not below its half, however late anybody looks.
    let line = "echo made > made; trap 'echo asked > asked; exit 3' TERM; i=0; \
        while [ $(df --output=avail -k $TMPDIR | tail -n 1) -gt 76000 ]; do i=$((i + 1)); head -c 500000 /dev/zero > $TMPDIR/$i; done; \
        while :; do sleep 0.05; done";
    let hog = scene.add(&["--grace", "30s"], line);
    scene.pleach(&["wait", &hog.to_string()]);
    assert_eq!(scene.outcome(hog), "disk_full", "{}", scene.log(hog));
    let status = scene.ok(&["status", &hog.to_string()]);
    assert!(status.contains("stopped, as less than 80 MiB of the disk was free"), "{status}");
    assert_eq!(scene.stands(innocent), "running", "it took nothing");
    fs::write(&gate, "").unwrap();
    scene.pleach(&["wait", &innocent.to_string()]);
    assert_eq!(scene.outcome(innocent), "exited 0");
    assert_eq!(scene.git(&["show", &format!("refs/pleach/kept/{hog}.1/tip:made")]), "made");
    assert_eq!(scene.git(&["show", &format!("refs/pleach/kept/{hog}.1/tip:asked")]), "asked", "it was asked first");
    unmount(&scene);
}

#[test]
fn below_half_of_what_must_stay_free_everybody_is_stopped() {
    let Some(scene) = with_a_small_disk("80M") else { return };
    let task = scene.add(&[], "echo fine; sleep 1000");
    scene.until("it runs", || scene.log(task).contains("fine"));
    fs::write(scene.path("state/filler"), vec![1; 90 << 20]).unwrap();
    scene.pleach(&["wait", &task.to_string()]);
    assert_eq!(scene.outcome(task), "disk_full");
    fs::remove_file(scene.path("state/filler")).unwrap();
    unmount(&scene);
}

#[test]
fn a_log_keeps_both_ends_within_its_cap() {
    let scene = scene("none");
    let task = scene.add(&["--log-cap", "64K"], "echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last");
    scene.pleach(&["wait", &task.to_string()]);
    let log = scene.log(task);
    assert!(log.starts_with("first\n") && log.ends_with("last\n") && log.len() < 80 << 10, "{}", log.len());
    let attempt = &scene.status(task)["attempts"][0];
    assert!(attempt["log_dropped"].as_u64().unwrap() > 2_900_000, "{attempt:#}");
}
