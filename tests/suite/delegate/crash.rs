//! Coordinators and shims that die while a task delegates.

use super::{scene, well};

#[test]
fn a_coordinator_that_is_killed_while_a_parent_waits_is_made_good_by_nobody_else() {
    let scene = scene("none", 1);
    let (sign, go, over) = (scene.path("sign"), scene.path("go"), scene.path("over"));
    let line = format!(
        "pleach run -- 'touch {}; while ! test -e {}; do sleep 0.01; done; echo x > x' && pleach run -- true && touch {}",
        sign.display(),
        go.display(),
        over.display()
    );
    let parent = scene.add(&[], &line);
    scene.until_there(&sign);
    let kill = || scene.processes().into_iter().filter(|process| process.is_coordinator()).for_each(|one| one.kill());
    kill();
    std::fs::write(&go, "").unwrap();
    // No command of ours starts one: the shim does, for its task.
    scene.until_there(&over);
    well(&scene, parent);
    assert_eq!(scene.board().len(), 3);
    scene.assert_tidy();
}

#[test]
fn one_that_dies_before_it_answers_has_taken_the_task_once() {
    let scene = scene("none", 2);
    let go = scene.path("go");
    let line = format!("while ! test -e {}; do sleep 0.01; done; pleach run -- 'echo x > x'", go.display());
    let parent = scene.add(&[], &line);
    scene.until("it runs", || scene.stands(parent) == "running");
    // It dies when the child is written down, and before anybody is told so.
    scene.arm("journal.appended");
    std::fs::write(&go, "").unwrap();
    well(&scene, parent);
    assert!(!scene.is_armed("journal.appended"));
    assert_eq!(scene.board().len(), 2, "{}", scene.story());
    scene.assert_tidy();
}

#[test]
fn with_a_lost_parent_its_children_end() {
    let scene = scene("none", 2);
    let sign = scene.path("sign");
    let line = format!("pleach run -- 'echo kept > kept; touch {}; sleep 1000'", sign.display());
    let parent = scene.add(&[], &line);
    scene.until_there(&sign);
    let dir = format!("/{parent}.1");
    let is_its =
        |process: &crate::support::scene::Process| process.is_shim() && process.words.iter().any(|w| w.ends_with(&dir));
    scene.processes().into_iter().filter(is_its).for_each(|shim| shim.kill());
    scene.pleach(&["wait"]);
    assert_eq!(scene.outcome(parent), "lost");
    assert_eq!(scene.outcome(2), "cancelled", "{}", scene.story());
    assert!(scene.ok(&["diff", "2"]).contains("kept"));
    scene.assert_tidy();
}
