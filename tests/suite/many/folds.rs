//! A hundred results are folded by a hundred processes at the same instant.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::scene::{Scene, at_once};

const TASKS: u64 = 100;
/// These all write the same file.
const CLASHING: [u64; 10] = [5, 15, 25, 35, 45, 55, 65, 75, 85, 95];
/// This one changes a file that the user is editing.
const IN_THE_WAY: u64 = 50;

#[test]
fn a_hundred_folds_at_once_into_a_checkout_full_of_edits() {
    let scene = Scene::with_concurrency(8);
    scene.make_dirty();
    let before = scene.edits();
    for id in 1..=TASKS {
        let line = match id {
            IN_THE_WAY => "echo by task > mine".to_owned(),
            _ if CLASHING.contains(&id) => format!("echo {id} > shared; mkdir -p f; echo {id} > f/{id}"),
            _ => format!("mkdir -p f; echo {id} > f/{id}"),
        };
        assert_eq!(scene.add(&["--fold", "never"], &line), id);
    }
    scene.ok(&["wait"]);
    let commands = (1..=TASKS).map(|id| scene.command(&["merge", &id.to_string()])).collect();
    let ran = at_once(commands);
    let mut by_code = BTreeMap::<i32, Vec<u64>>::new();
    for (id, ran) in (1..).zip(&ran) {
        by_code.entry(ran.code.unwrap_or(-1)).or_default().push(id);
    }
    let landed: BTreeSet<u64> = by_code.get(&0).into_iter().flatten().copied().collect();
    let words: Vec<_> =
        ran.iter().filter(|ran| ran.code != Some(0)).map(|ran| format!("{}{}", ran.out, ran.err)).collect();
    assert_eq!(by_code.get(&6), Some(&vec![IN_THE_WAY]), "{by_code:?} {words:?}\n{}", scene.story());
    let (first, conflicts): (Vec<u64>, Vec<u64>) = CLASHING.iter().partition(|id| landed.contains(id));
    assert_eq!(first.len(), 1, "{by_code:?}");
    assert_eq!(by_code.get(&5), Some(&conflicts), "{by_code:?} {words:?}");
    assert_eq!(landed.len() as u64, TASKS - 1 - conflicts.len() as u64);
    let folds = scene.folds("main");
    let wanted: BTreeSet<String> = landed.iter().map(|id| format!("{id}.1")).collect();
    assert_eq!(folds.len(), wanted.len(), "none is there twice");
    assert_eq!(folds.into_iter().collect::<BTreeSet<_>>(), wanted);
    for id in 1..=TASKS {
        let file = format!("f/{id}");
        assert_eq!(scene.top.join(&file).exists(), landed.contains(&id), "{id}");
        if landed.contains(&id) {
            assert_eq!(scene.read(&file), format!("{id}\n"));
        }
    }
    assert_eq!(scene.read("shared"), format!("{}\n", first[0]));
    assert_eq!(scene.edits(), before, "what differs from HEAD is what the user edits");
    scene.assert_tidy();
}
