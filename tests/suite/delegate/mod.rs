//! Tasks that delegate from inside, as a person, a script and an agent in there would.

mod crash;
mod mcp;
mod refused;

use std::path::Path;

use serde_json::Value;

use crate::support::scene::Scene;

/// A scene in this tier.
pub(crate) fn scene(tier: &str, slots: usize) -> Scene {
    let mut scene = Scene::with_concurrency(slots);
    scene.variables.insert("PLEACH_SANDBOX".to_owned(), tier.to_owned());
    scene
}

/// The tiers that work here.
fn tiers() -> impl Iterator<Item = &'static str> {
    ["none", "reduced", "full"].into_iter().filter(|tier| *tier == "none" || crate::sandbox::works(tier))
}

/// Wait for a task, which has to end with 0.
pub(crate) fn well(scene: &Scene, task: u64) {
    let ran = scene.pleach(&["wait", &task.to_string()]);
    assert_eq!(ran.code, Some(0), "{}{}\n{}", scene.log(task), ran.err, scene.story());
}

fn ids(value: &Value) -> Vec<u64> {
    value.as_array().into_iter().flatten().filter_map(Value::as_u64).collect()
}

/// A line that asks `pleach` something and notes the code.
pub(crate) fn coded(words: &str) -> String {
    format!("pleach {words}; echo code=$?; ")
}

const TAKES_OVER: &str = "set -e; id=$(pleach add --name part -- 'echo by the child > made; echo said'); pleach wait $id; \
     pleach diff $id | git apply; pleach logs $id; pleach ls --all; pleach status $id; test \"$PLEACH_DEPTH\" = 1; \
     pleach run -- 'test \"$PLEACH_DEPTH\" = 2; exit 3' || echo code=$?";

#[test]
fn in_every_tier_a_task_delegates_and_takes_over_what_came_of_it() {
    for tier in tiers() {
        for network in ["allow", "none"].into_iter().filter(|network| *network == "allow" || tier != "none") {
            let scene = scene(tier, 1);
            let parent = scene.add(&["--network", network], TAKES_OVER);
            well(&scene, parent);
            let log = scene.log(parent);
            assert!(log.contains("said\n") && log.contains("code=3") && log.contains("part"), "{tier}: {log}");
            let status = scene.status(parent);
            assert_eq!(ids(&status["children"]), [2, 3], "{tier}");
            assert_eq!(status["file_list"][0]["path"], "made", "{tier}: {status}");
            let child = scene.status(2);
            assert_eq!((&child["parent"], &child["state"]), (&1.into(), &"ready".into()), "{tier}: {child}");
            assert_eq!(child["attempts"][0]["sandbox"], tier, "{child}");
            assert!(scene.ok(&["ls", "--all"]).contains("└ part"));
        }
    }
}

#[test]
fn with_one_slot_a_parent_and_what_it_waits_for_come_to_an_end() {
    let scene = scene("none", 1);
    let line = "set -e; for n in 1 2 3; do ids=\"$ids $(pleach add -- \"echo $n > part$n\")\"; done; pleach wait $ids; \
                while pleach ls --json | grep -q '\"running\":[1-9]'; do :; done";
    let parent = scene.add(&[], line);
    let other = scene.add(&[], "true");
    well(&scene, parent);
    well(&scene, other);
    assert_eq!(ids(&scene.status(parent)["children"]).len(), 3);
}

#[test]
fn one_that_ends_well_has_handed_over_what_still_runs() {
    let scene = scene("none", 2);
    let go = scene.path("go");
    let line = format!("pleach add -- 'while ! test -e {}; do sleep 0.01; done; echo x > x'", go.display());
    let parent = scene.add(&[], &line);
    well(&scene, parent);
    scene.until("the child is there", || scene.board().contains_key(&2));
    assert!(["waiting", "running"].contains(&scene.stands(2).as_str()));
    std::fs::write(go, "").unwrap();
    well(&scene, 2);
    assert_eq!(scene.stands(2), "ready");
}

/// A child that never ends, a second that waits for it, and a sign that the first is up.
fn hangs(sign: &Path, then: &str) -> String {
    let sign = sign.display();
    format!(
        "id=$(pleach add -- 'echo kept > kept; touch {sign}; sleep 1000'); pleach add --after $id -- true; \
         while ! test -e {sign}; do sleep 0.01; done; {then}"
    )
}

#[test]
fn whoever_interrupts_a_parent_interrupts_its_children_and_nothing_is_lost() {
    for (how, then) in [("fails", "exit 3"), ("is cancelled", "pleach wait"), ("times out", "pleach wait")] {
        let scene = scene("none", 2);
        let sign = scene.path("up");
        let options: &[&str] = if how == "times out" { &["--timeout", "5"] } else { &[] };
        let parent = scene.add(options, &hangs(&sign, then));
        scene.until_there(&sign);
        if how == "is cancelled" {
            scene.ok(&["cancel", &parent.to_string()]);
        }
        scene.pleach(&["wait"]);
        // It has the time of its parent, and may be over a moment before it is told.
        let outcome = scene.outcome(2).replace("timed_out", "cancelled");
        assert_eq!((scene.stands(2), outcome), ("failed".into(), "cancelled".into()), "{how}\n{}", scene.story());
        assert_eq!(scene.stands(3), "withdrawn", "{how}");
        assert!(scene.ok(&["diff", "2"]).contains("kept"), "what it had done is kept");
        // Whoever asks for it again means it.
        scene.ok(&["retry", "3"]);
        scene.pleach(&["wait", "3", "--timeout", "1"]);
        assert_eq!(scene.stands(3), "blocked", "{how}: it waits for 2, which failed");
    }
}

#[test]
fn a_child_inherits_secrets_and_variables_and_they_are_written_down_nowhere() {
    let mut scene = scene("none", 2);
    scene.variables.insert("MY_TOKEN".to_owned(), "not-to-be-seen".to_owned());
    let line = "export OWN_KEY=$(printf 'also%.0s' 1 2 3); id=$(pleach add --env OWN_KEY --env PLAIN=1 -- \
                'test \"${#MY_TOKEN} ${#OWN_KEY} $PLAIN\" = \"14 12 1\"'); pleach wait $id";
    let parent = scene.add(&["--env", "MY_TOKEN"], line);
    well(&scene, parent);
    let journal = std::fs::read_to_string(scene.top.join(".git/pleach/journal.jsonl")).unwrap();
    assert!(!journal.contains("not-to-be-seen") && !journal.contains("alsoalso"), "{journal}");
}
