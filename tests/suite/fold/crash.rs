//! Landing after a crash: at each named point, and in the middle of the writing of files.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use pleach::core::change::Hold;
use rustix::process::{Pid, Signal, kill_process_group};

use super::*;

const DIR: &str = "TEST_CRASH_DIR";
const POINT: &str = "TEST_CRASH_POINT";

/// Not a test by itself: the other process of the tests below.
#[test]
fn lander() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let point = std::env::var(POINT).unwrap_or_default();
    let repo = Repository::at(Path::new(&dir).join(".git"));
    let landing = read_landing(Path::new(&dir));
    let lock = FoldLock::acquire(&repo).unwrap();
    let at = |name: &'static str| {
        if name == point {
            std::process::abort();
        }
    };
    land(&repo, &lock, &main(), &landing, &marks(&landing), &at).unwrap();
}

fn read_landing(top: &Path) -> Landing {
    let text = fs::read_to_string(top.join(".git/test-landing")).unwrap();
    let (from, to) = text.trim().split_once(' ').unwrap();
    Landing { from: from.parse().unwrap(), to: to.parse().unwrap() }
}

/// Start a landing in a process group of its own.
fn start(bench: &Bench, landing: &Landing, point: &str) -> Child {
    fs::write(bench.top.join(".git/test-landing"), format!("{} {}", landing.from, landing.to)).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "fold::crash::lander"]).env(DIR, &bench.top).env(POINT, point);
    command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().unwrap()
}

/// Kill it and all that it started.
fn kill(mut child: Child) {
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let _ = kill_process_group(group, Signal::KILL);
    child.wait().unwrap();
}

/// A change of many files: changed, added, deleted, made a directory.
fn large(options: &[&str], many: usize) -> (Bench, Landing) {
    let bench = Bench::with(options);
    let body = |text: &str| text.repeat(2000);
    for n in 0..many {
        bench.write(format!("d{}/changed {n}", n % 7), body("old\n"));
        bench.write(format!("d{}/deleted {n}", n % 7), "deleted\n");
        bench.write(format!("d{}/turned {n}", n % 7), "a file\n");
    }
    bench.write("mine", "mine\n");
    bench.write(".gitignore", "*.ignored\n");
    let base = bench.commit("base");
    bench.git(&["checkout", "-q", "-b", "task"]);
    for n in 0..many {
        bench.write(format!("d{}/changed {n}", n % 7), body("new\n"));
        bench.write(format!("e{}/added {n}", n % 7), body("added\n"));
        fs::remove_file(bench.top.join(format!("d{}/deleted {n}", n % 7))).unwrap();
        fs::remove_file(bench.top.join(format!("d{}/turned {n}", n % 7))).unwrap();
        bench.write(format!("d{}/turned {n}/inside", n % 7), "a directory\n");
    }
    let tip = bench.commit("by task");
    bench.git(&["checkout", "-q", "main"]);
    bench.write("mine", "staged\n");
    bench.git(&["add", "mine"]);
    bench.write("mine", "edited\n");
    bench.write("untracked", "untracked\n");
    bench.write("d1/x.ignored", "ignored\n");
    let landing = bench.planned(base, tip);
    (bench, landing)
}

fn assert_landed(bench: &Bench, landing: &Landing) {
    assert_eq!(bench.head(), landing.to);
    assert_eq!(bench.repo.ref_value(&marks(landing)[0].0).unwrap(), Some(landing.to));
    assert_eq!(bench.git(&["status", "--porcelain", "--ignored"]), "MM mine\n?? untracked\n!! d1/x.ignored");
    assert_eq!(fs::read_to_string(bench.top.join("mine")).unwrap(), "edited\n");
    assert_eq!(bench.git(&["show", ":mine"]), "staged");
    // Not by times: every byte is read again.
    fs::remove_file(bench.dir.path().join("index")).ok();
    let index = bench.dir.path().join("fresh");
    fs::copy(bench.top.join(".git/index"), &index).unwrap();
    let fresh = || Tool::git().dir(&bench.top).env("GIT_INDEX_FILE", &index);
    fresh().args(["read-tree", &landing.to.to_string()]).run().unwrap();
    assert_eq!(fresh().args(["diff-files", "--name-only"]).args(["-G."]).line().unwrap(), "mine");
    bench.assert_no_leftovers();
}

#[test]
fn a_crash_at_each_point_is_finished() {
    for options in [&[][..], &["--ref-format=reftable"]] {
        for point in ["land.locked", "land.prepared", "land.files_written", "land.tree_updated", "land.committed"] {
            let (bench, landing) = large(options, 5);
            let mut child = start(&bench, &landing, point);
            let is_hit = !child.wait().unwrap().success();
            let by_git = ["land.prepared", "land.files_written"];
            assert_eq!(is_hit, options.is_empty() || !by_git.contains(&point), "{point}");
            assert_eq!(bench.land(&landing), Fold::Done, "{point}");
            assert_landed(&bench, &landing);
        }
    }
}

#[test]
fn a_crash_with_all_children_in_the_middle_of_the_files_is_finished() {
    let mut torn = 0;
    for round in 0..6 {
        let (bench, landing) = large(&[], 250);
        if round % 2 == 1 {
            // The files are written by git.
            bench.git(&["config", "core.sharedRepository", "umask"]);
        }
        let mut child = start(&bench, &landing, "");
        // The fact waited for: the work has come to this file.
        let first = bench.top.join(format!("e{}", [0, 1, 3, 5, 6, 2][round]));
        while !first.exists() {
            assert!(child.try_wait().unwrap().is_none() || first.exists(), "round {round}");
            std::thread::yield_now();
        }
        kill(child);
        torn += usize::from(bench.top.join(".git/index.lock").exists());
        assert_eq!(bench.land(&landing), Fold::Done, "round {round}");
        assert_landed(&bench, &landing);
    }
    assert!(torn > 0, "no round was killed while files were written");
}

/// What a kill leaves, made by hand: some files new, one begun, one absent, all locks there.
fn half_done(bench: &Bench, landing: &Landing) {
    let mut child = start(bench, landing, "land.locked");
    child.wait().unwrap();
    let new = fs::read_to_string(bench.top.join("d0/changed 0")).unwrap().replace("old", "new");
    bench.write("d0/changed 0", &new);
    bench.write("d1/changed 1", &new[..1001]);
    fs::remove_file(bench.top.join("d2/changed 2")).unwrap();
    fs::remove_file(bench.top.join("d3/deleted 3")).unwrap();
    bench.write("e0/added 0", "");
    fs::remove_file(bench.top.join("d4/turned 4")).unwrap();
    bench.write("d4/turned 4/inside", "a directory\n");
    fs::remove_file(bench.top.join("d3/turned 3")).unwrap();
    fs::create_dir(bench.top.join("d3/turned 3")).unwrap();
    let locks = bench.top.join(".git");
    fs::write(locks.join("index.lock"), &fs::read(locks.join("index")).unwrap()[..50]).unwrap();
    fs::write(locks.join("HEAD.lock"), "").unwrap();
    fs::write(locks.join("refs/heads/main.lock"), format!("{}\n", landing.to)).unwrap();
}

#[test]
fn half_done_work_is_taken_back_and_done_again() {
    let (bench, landing) = large(&[], 5);
    half_done(&bench, &landing);
    assert_eq!(bench.land(&landing), Fold::Done);
    assert_landed(&bench, &landing);
}

#[test]
fn half_done_work_that_somebody_wrote_over_is_left_alone() {
    type Edit = fn(&Bench);
    let cases: &[(&str, Edit)] = &[
        ("d0/changed 0", |b| b.write("d0/changed 0", "mine now\n")),
        ("e0/added 0", |b| b.write("e0/added 0", "mine now\n")),
        ("d4/turned 4/mine", |b| b.write("d4/turned 4/mine", "mine now\n")),
        ("d3/turned 3/mine", |b| b.write("d3/turned 3/mine", "mine now\n")),
        ("d2/changed 2", |b| link("mine", b.top.join("d2/changed 2"))),
    ];
    for (path, edit) in cases {
        let (bench, landing) = large(&[], 5);
        half_done(&bench, &landing);
        edit(&bench);
        fs::rename(bench.top.join(".git/index.lock"), bench.top.join(".git/aside")).unwrap();
        let before = bench.fingerprint();
        for _ in 0..2 {
            let fold = bench.land(&landing);
            let Fold::Held(Hold::Overlap { paths, .. }) = &fold else { panic!("{path}: {fold:?}") };
            assert_eq!(paths.iter().map(Word::shown).collect::<Vec<_>>(), [*path]);
            assert_eq!(bench.fingerprint(), before, "{path}");
        }
        // Once it is out of the way, all goes on.
        fs::remove_file(bench.top.join(path)).unwrap();
        assert_eq!(bench.land(&landing), Fold::Done, "{path}");
        assert_landed(&bench, &landing);
    }
}

#[test]
fn half_done_work_is_taken_back_where_the_target_moved() {
    let (bench, landing) = large(&[], 5);
    let before = bench.fingerprint();
    half_done(&bench, &landing);
    fs::remove_file(bench.top.join(".git/refs/heads/main.lock")).unwrap();
    fs::remove_file(bench.top.join(".git/HEAD.lock")).unwrap();
    let moved = bench.change(landing.from, &[("elsewhere", Some("x\n"))]);
    bench.git(&["update-ref", "refs/heads/main", &moved.to_string()]);
    assert_eq!(bench.land(&landing), Fold::Moved);
    assert_eq!(bench.fingerprint(), before);
    bench.assert_no_leftovers();
}

#[test]
fn an_edit_after_the_files_were_written_stays_on_top_of_them() {
    let (bench, landing) = large(&[], 5);
    start(&bench, &landing, "land.tree_updated").wait().unwrap();
    bench.write("d0/changed 0", "mine now\n");
    assert_eq!(bench.land(&landing), Fold::Done);
    assert_eq!(fs::read_to_string(bench.top.join("d0/changed 0")).unwrap(), "mine now\n");
    assert_eq!(bench.git(&["status", "--porcelain", "-uno"]), " M \"d0/changed 0\"\nMM mine");
    bench.assert_no_leftovers();
}

/// A lock that a living process has open is not ours to put aside, whatever it holds.
#[test]
fn a_lock_in_use_is_not_put_aside() {
    let (bench, landing) = large(&[], 5);
    start(&bench, &landing, "land.locked").wait().unwrap();
    let place = bench.top.join(".git/index.lock");
    let held = fs::File::create(&place).unwrap();
    let before = bench.fingerprint();
    let fold = bench.land(&landing);
    assert!(matches!(&fold, Fold::Held(Hold::Refused { reason }) if reason.contains(".lock")), "{fold:?}");
    assert!(place.exists());
    assert_eq!(bench.fingerprint(), before);
    drop(held);
    fs::remove_file(place).unwrap();
    assert_eq!(bench.land(&landing), Fold::Done);
    assert_landed(&bench, &landing);
}

/// An orphan of a killed coordinator still writes: the next one waits for its end.
#[test]
fn a_landing_waits_for_the_orphans_of_another() {
    let (bench, landing) = large(&[], 5);
    let hook = bench.top.join(".git/hooks/post-index-change");
    let fifo = bench.dir.path().join("fifo");
    Tool::new("mkfifo").arg(&fifo).run().unwrap();
    let started = bench.dir.path().join("started");
    let script =
        format!("#!/bin/sh\ntest $1 = 1 || exit 0\n: > '{}'\nread x < '{}'\n", started.display(), fifo.display());
    fs::write(&hook, script).unwrap();
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut child = start(&bench, &landing, "");
    while !started.exists() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    fs::remove_file(&hook).unwrap();
    assert!(FoldLock::try_acquire(&bench.repo).unwrap().is_none(), "its read-tree lives");
    fs::write(&fifo, "go\n").unwrap();
    assert_eq!(bench.land(&landing), Fold::Done);
    assert_landed(&bench, &landing);
}
