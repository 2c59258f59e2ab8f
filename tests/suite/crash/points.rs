//! A crash at every named point, of coordinator and shim, and then nothing but ordinary commands.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{LazyLock, Mutex};

use pleach::process::crash;

use crate::support::scene::Scene;

/// Scenes that are played side by side.
const SIDE_BY_SIDE: usize = 3;
/// A shim that dies here leaves nobody who knows how the task ended: it is lost, and runs again where it may.
const LOST: &[&str] = &["shim.started", "shim.spawned_task"];

/// Not those of base images and of what lies over them: the file system below the tests need not be able to have any (`cli/images.rs` and
/// `sandbox/overlay_kept.rs` play them).
static POINTS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    crash::POINTS
        .iter()
        .copied()
        .filter(|point| !point.starts_with("image.") && !point.starts_with("overlay."))
        .collect()
});

#[test]
fn a_crash_at_any_point_is_made_good_by_ordinary_commands() {
    let open = Mutex::new(POINTS.clone());
    let hit = Mutex::new(BTreeSet::new());
    let play = || {
        while let Some(point) = { open.lock().unwrap().pop() } {
            Play::new(point).all();
            hit.lock().unwrap().insert(point);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(play);
        }
    });
    assert_eq!(hit.into_inner().unwrap(), POINTS.iter().copied().collect::<BTreeSet<_>>());
}

#[test]
fn a_fold_that_was_cut_off_is_taken_back_once_also_where_that_is_cut_off() {
    for point in POINTS.iter().filter(|point| point.starts_with("land.") || point.starts_with("plan.")) {
        let play = Play::new("none");
        let a = play.first();
        play.scene.arm(point);
        play.scene.ok(&["merge", &a.to_string()]);
        play.fired(point);
        assert_eq!(play.scene.stands(a), "folded", "{point}");
        assert_eq!(play.scene.read("a"), "a\n", "{point}");
        play.scene.arm(point);
        play.scene.ok(&["undo"]);
        play.fired(point);
        assert_eq!(play.scene.stands(a), "ready", "{point}");
        assert!(!play.scene.top.join("a").exists(), "{point}");
        let undone = play.scene.git(&["log", "--first-parent", "--format=%(trailers:key=Pleach-Undo,valueonly)"]);
        assert_eq!(undone.trim(), format!("{a}.1"), "{point}");
        assert_eq!(play.scene.folds("main"), [format!("{a}.1")], "{point}");
        play.as_before();
    }
}

#[test]
fn crashes_at_all_points_in_one_run_are_made_good() {
    let play = Play::new("none");
    let arm_all =
        || POINTS.iter().filter(|point| **point != "snapshot.written").for_each(|point| play.scene.arm(point));
    arm_all();
    let a = play.first();
    arm_all();
    play.rest(a);
    for point in POINTS.iter().filter(|point| !point.starts_with("snapshot")) {
        play.fired(point);
    }
}

/// A user with edits of every kind, whose tasks do everything that there are points for.
struct Play {
    scene: Scene,
    point: &'static str,
    before: Vec<String>,
}

impl Play {
    fn new(point: &'static str) -> Self {
        let scene = Scene::with_concurrency(3);
        scene.make_dirty();
        let before = scene.edits();
        if point != "none" {
            scene.arm(point);
        }
        Self { scene, point, before }
    }

    fn all(&self) {
        let a = self.first();
        self.rest(a);
        self.fired(self.point);
    }

    fn fired(&self, point: &str) {
        assert!(!self.scene.is_armed(point), "nobody came to {point}\n{}", self.scene.story());
    }

    /// One that commits something, leaves something, and writes a lot.
    fn first(&self) -> u64 {
        let big = format!("BIG={}", "x".repeat(if self.point == "snapshot.written" { 100_000 } else { 1 }));
        let line = "echo one; echo a > a; git add a; git commit -qm 'by a'; echo rest > a.rest; seq 1 4000";
        let a = self.scene.add(&["--retries", "3", "--env", &big], line);
        let ended = self.scene.pleach(&["wait", &a.to_string()]);
        assert_eq!(ended.code, Some(0), "{}{}\n{}", ended.out, ended.err, self.scene.story());
        if self.point == "snapshot.written" {
            for _ in 0..2 {
                self.scene.add(&["--env", &big], "true");
            }
            self.scene.ok(&["wait"]);
        }
        a
    }

    /// The others: one that builds on it, one that fails, one that is cancelled; folds, and one taken back.
    fn rest(&self, a: u64) {
        let scene = &self.scene;
        let started = scene.path("started");
        let b = scene.add(&["--retries", "3", "--after", &a.to_string()], "cat a > b; echo b");
        let hangs = format!("echo kept > c; touch {}; sleep 1000", started.display());
        let c = scene.add(&["--retries", "3"], &hangs);
        // To look is a command like any other: it sets going again what was killed.
        scene.until("it has started", || scene.pleach(&["ls"]).code == Some(0) && started.exists());
        let f = scene.add(&[], "echo failing; echo left > f; exit 3");
        scene.ok(&["cancel", &c.to_string()]);
        scene.pleach(&["wait"]);
        for task in [a, b] {
            scene.ok(&["merge", &task.to_string()]);
        }
        scene.ok(&["undo"]);
        let d = scene.add(&["--retries", "3"], "echo 1 > d1; echo 2 > d2");
        scene.ok(&["wait", &d.to_string()]);
        let review =
            format!(r#"{{"task": {d}, "verdict": "accept", "files": [{{"path": "d2", "verdict": "refuse"}}]}}"#);
        let file = scene.path("review.json");
        std::fs::write(&file, review).unwrap();
        scene.ok(&["review", "--no-merge", "--apply", file.to_str().unwrap()]);
        // Somebody looks: that sets going whatever there may still be to do.
        scene.until("all is settled", || {
            scene
                .board()
                .values()
                .all(|row| !["running", "waiting", "queued", "landing"].contains(&row["state"].as_str().unwrap()))
        });
        self.check(a, b, c, f);
        self.check_part(d);
        self.place();
    }

    /// A place for somebody else: where its hook is killed, asked again it is the same.
    fn place(&self) {
        let input = r#"{"hook_event_name": "WorktreeCreate", "session_id": "s", "name": "guest"}"#;
        let ask = || crate::hooks::hook(&self.scene, &["claude"], input);
        let asked = ask();
        let asked = if asked.code == Some(0) { asked } else { ask() };
        assert_eq!(asked.code, Some(0), "{asked:?}\n{}", self.scene.story());
        std::fs::write(Path::new(asked.out.trim()).join("guest"), "here\n").unwrap();
        let guests: Vec<u64> =
            self.scene.board().iter().filter(|(_, row)| row["name"] == "guest").map(|(id, _)| *id).collect();
        assert_eq!(guests.len(), 1, "{}\n{}", self.point, self.scene.story());
        self.scene.ok(&["hook", "done", &guests[0].to_string()]);
        assert_eq!(self.scene.stands(guests[0]), "ready", "{}", self.point);
        self.as_before();
    }

    /// A part of it is its result, once, and the whole is kept.
    fn check_part(&self, d: u64) {
        let (scene, point) = (&self.scene, self.point);
        let status = scene.status(d);
        let attempts = status["attempts"].as_array().unwrap();
        let parts: Vec<u64> = attempts.iter().filter_map(|attempt| attempt["part_of"].as_u64()).collect();
        let whole = attempts.len() as u64 - 1;
        assert_eq!((scene.stands(d), parts), ("ready".to_owned(), vec![whole]), "{point}\n{}", scene.story());
        for (reference, files) in [
            (format!("pleach/{d}"), "d1"),
            (format!("refs/pleach/kept/{d}.{}/tip", whole + 1), "d1"),
            (format!("refs/pleach/kept/{d}.{whole}/tip"), "d1\nd2"),
        ] {
            let there = scene.git(&["ls-tree", "--name-only", &reference, "d1", "d2"]);
            assert_eq!(there.trim(), files, "{point}: {reference}");
        }
    }

    fn check(&self, a: u64, b: u64, c: u64, f: u64) {
        let (scene, point) = (&self.scene, self.point);
        let others = if point == "snapshot.written" { 2 } else { 0 };
        assert_eq!(scene.board().len(), 5 + others, "{point}: each is there once\n{}", scene.story());
        let outcomes = [a, b, c, f].map(|task| scene.outcome(task));
        let failing = if point == "none" { outcomes[3].clone() } else { "exited 3".to_owned() };
        assert_eq!(outcomes, ["exited 0", "exited 0", "cancelled", &failing], "{point}\n{}", scene.story());
        let states = [a, b, c, f].map(|task| scene.stands(task));
        assert_eq!(states, ["folded", "ready", "failed", "failed"], "{point}");
        let attempts = [a, b, c, f].map(|task| scene.status(task)["attempts"].as_array().unwrap().len());
        if point != "none" {
            let expected = if LOST.contains(&point) { [2, 1, 1, 1] } else { [1; 4] };
            assert_eq!(attempts, expected, "{point}\n{}", scene.story());
        }
        let numbers: String = (1..=4000).map(|n| format!("{n}\n")).collect();
        assert_eq!(scene.log(a), format!("one\n{numbers}"), "{point}");
        assert_eq!(scene.log(b), "b\n", "{point}");
        for (task, number, content) in [(c, attempts[2], "kept"), (f, attempts[3], "left")] {
            let name = if task == c { "c" } else { "f" };
            let kept = format!("refs/pleach/kept/{task}.{number}/tip:{name}");
            if scene.outcome(task) != "lost" {
                assert_eq!(scene.git(&["show", &kept]), content, "{point}");
            }
        }
        let folds = [format!("{a}.{}", attempts[0]), format!("{b}.{}", attempts[1])];
        assert_eq!(scene.folds("main"), folds, "{point}");
        assert_eq!((scene.read("a"), scene.read("a.rest")), ("a\n".to_owned(), "rest\n".to_owned()), "{point}");
        assert!(!scene.top.join("b").exists(), "{point}");
        self.as_before();
    }

    /// The user's edits are, and nothing else is.
    fn as_before(&self) {
        assert_eq!(self.scene.edits(), self.before, "{}", self.point);
        self.scene.assert_tidy();
    }
}
