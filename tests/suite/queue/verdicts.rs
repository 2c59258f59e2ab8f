//! What was found once is not looked for again.

use super::{merge, result, runs, scene, state_home};

#[test]
fn a_tree_that_is_known_is_not_verified_again() {
    let scene = scene("");
    let id = result(&scene, "echo fine > a");
    assert_eq!(merge(&scene, std::slice::from_ref(&id)).code, Some(0));
    let once = runs(&scene);
    assert_eq!(once, 1);
    scene.ok(&["undo"]);
    scene.git(&["reset", "-q", "--hard", "HEAD~2"]);
    assert_eq!(merge(&scene, &[id]).code, Some(0));
    assert_eq!(runs(&scene), once, "the same tree");
    let verdicts = scene.json(&["queue", "--verdicts"]);
    assert_eq!(verdicts["verdicts"][0]["verdict"], "green", "{verdicts}");
}

#[test]
fn a_cache_can_be_left_out_and_verdicts_expire() {
    let scene = scene("");
    let id = result(&scene, "echo fine > a");
    for (args, expected) in [(&["merge"][..], 1), (&["merge", "--no-cache"], 2)] {
        let ran = scene.pleach(&[args, &[id.as_str()]].concat());
        assert_eq!((ran.code, runs(&scene)), (Some(0), expected), "{ran:?}");
        scene.git(&["reset", "-q", "--hard", "HEAD~1"]);
        scene.ok(&["undo"]);
        scene.git(&["reset", "-q", "--hard", &scene.git(&["rev-parse", "main"])]);
    }
}

#[test]
fn a_scope_that_nothing_touched_is_not_run_again() {
    let scene = scene("");
    let runs_of = |name: &str| std::fs::read_to_string(scene.path(name)).unwrap_or_default().lines().count();
    let scope = |name: &str| {
        format!("[[verify.scope]]\npaths = [\"{name}\"]\ncommand = \"echo x >> {}\"\n", scene.path(name).display())
    };
    scene.write("web/a", "a");
    scene.write("core/a", "a");
    scene.write(".pleach.toml", format!("{}{}", scope("web"), scope("core")));
    scene.git(&["add", "."]);
    scene.git(&["commit", "-qm", "scopes"]);
    scene.ok(&["approve", "--yes"]);
    let ids: Vec<String> = ["echo b > web/b", "echo b > core/b"].iter().map(|line| result(&scene, line)).collect();
    assert_eq!(merge(&scene, &ids[..1]).code, Some(0));
    assert_eq!((runs_of("web"), runs_of("core")), (1, 1));
    assert_eq!(merge(&scene, &ids[1..]).code, Some(0));
    assert_eq!((runs_of("web"), runs_of("core")), (1, 2));
}

#[test]
fn pooled_worktrees_are_used_again_and_keep_what_git_ignores() {
    let scene = scene("");
    scene.write(".gitignore", "cache\n");
    scene.git(&["add", ".gitignore"]);
    scene.git(&["commit", "-qm", "ignore"]);
    let check = "echo x >> cache; echo y > leftover; test $(wc -l < cache) -ge $(cat wanted)";
    for wanted in ["1", "2", "3"] {
        let id = result(&scene, &format!("echo {wanted} > wanted"));
        let ran = scene.pleach(&["merge", "--verify", check, &id]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    let slots: Vec<_> = std::fs::read_dir(state_home(&scene).join("pool")).unwrap().flatten().collect();
    assert_eq!(slots.len(), 1);
    assert!(!scene.git(&["worktree", "list"]).contains("pool"));
}

#[test]
fn what_was_verified_early_lands_without_a_run() {
    let scene = scene("early = true\n");
    let (good, bad) = (result(&scene, "echo fine > a"), result(&scene, "echo bad > b"));
    let early = |id: &str| scene.status(id.parse().unwrap())["early"]["verdict"].clone();
    scene.until("both are looked at", || early(&good) == "green" && early(&bad) == "red");
    let board = scene.ok(&["ls"]);
    assert!(board.contains("passes its check") && board.contains("does not pass its check (red, exit 1;"), "{board}");
    let once = runs(&scene);
    assert_eq!(once, 2);
    assert_eq!(merge(&scene, &[good]).code, Some(0));
    assert_eq!(runs(&scene), once, "its own tree is what lands");
    assert_eq!(merge(&scene, &[bad]).code, Some(8));
    scene.assert_tidy();
}
