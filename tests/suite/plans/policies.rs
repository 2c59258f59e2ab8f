//! What happens to the tasks of a plan because of each other, or of what they did.

use super::super::support::scene::Scene;
use super::{run, states, task};

#[test]
fn an_option_at_the_wrong_side_of_a_plan_is_no_command() {
    let scene = Scene::new();
    for words in [&["--name", "other"][..], &["--memory", "1G"], &["--", "x"]] {
        let ran = scene.pleach(&[&["run", "plan.toml"], words].concat());
        assert!(ran.code == Some(2) && ran.err.contains("go before the plan"), "{ran:?}");
    }
    assert_eq!(scene.json(&["ls", "--all"])["tasks"], serde_json::json!([]));
}

#[test]
fn no_more_of_its_tasks_run_at_once_than_it_says() {
    let scene = Scene::with_concurrency(4);
    let go = scene.path("go");
    scene.write(
        "plan.toml",
        format!(
            "name = 'few'\nconcurrency = 2\n[[task]]\nname = 'each'\nfor_each = ['a', 'b', 'c', 'd']\ncommand = \"until test -e '{}'; do sleep 0.05; done; echo {{item}} > {{item}}\"\n",
            go.display()
        ),
    );
    assert!(scene.ok(&["plan", "plan.toml"]).contains("at most 2 side by side"));
    scene.ok(&["run", "--detach", "plan.toml"]);
    scene.until("two of it run", || scene.stands(1) == "running" && scene.stands(2) == "running");
    // Others are not kept waiting by it.
    scene.ok(&["run", "--", "true"]);
    let board = scene.board();
    let whys: Vec<_> = [3, 4].iter().map(|id| (board[id]["state"].as_str(), board[id]["why"].as_str())).collect();
    assert_eq!(whys, [(Some("waiting"), Some("plan few.1 is full")); 2]);
    std::fs::write(&go, "").unwrap();
    scene.ok(&["wait", "--plan", "few"]);
    assert_eq!([1, 2, 3, 4].map(|id| scene.stands(id)), ["ready"; 4]);
}

#[test]
fn a_failure_leaves_the_others_alone_or_stops_them_or_takes_all_of_it_back() {
    let plan = |policy: &str| {
        format!(
            r#"
            on_failure = "{policy}"
            [[task]]
            name = "good"
            command = "echo good > good"
            [[task]]
            name = "bad"
            needs = ["good"]
            command = "echo kept > bad; exit 3"
            [[task]]
            name = "behind"
            needs = ["bad"]
            command = "true"
            [[task]]
            name = "late"
            priority = "low"
            needs = ["good"]
            command = "echo late > late"
            "#
        )
    };
    for (policy, expected) in [
        ("continue", "good ready, bad failed, late ready, behind blocked"),
        ("stop", "good ready, bad failed, late withdrawn, behind withdrawn"),
        ("discard all", "good discarded, bad discarded, late withdrawn, behind withdrawn"),
    ] {
        let scene = Scene::with_concurrency(1);
        let (code, report) = run(&scene, &plan(policy));
        assert_eq!((code, states(&report).as_str()), (1, expected), "{policy}");
        let branches = scene.git(&["branch", "--list", "pleach/*"]);
        assert_eq!(branches.is_empty(), policy == "discard all", "{branches}");
        if policy != "continue" {
            assert_eq!(report["stopped_by"], 2);
        }
        // What was discarded is kept, and can be had again.
        if policy == "discard all" {
            let told = scene.ok(&["report"]);
            for part in ["exit 3", "pleach logs 2", "pleach restore 1"] {
                assert!(told.contains(part), "{part}: {told}");
            }
            assert_eq!(report["tasks"][1]["why"], "exit 3");
            let hints = scene.status(2)["hints"].to_string();
            assert!(hints.contains("pleach restore 2"), "{hints}");
            scene.ok(&["restore", "good"]);
            assert_eq!(scene.stands(1), "ready");
            assert_eq!(scene.git(&["show", "pleach/1-good:good"]), "good");
        }
    }
}

#[test]
fn each_of_many_knows_its_own_name() {
    let scene = Scene::new();
    let (code, report) = run(
        &scene,
        r#"
        [[task]]
        name = "fix"
        for_each = ["src/a", "src/b"]
        command = "echo {task} > {task}"
        message = "done by {task}"
        [[task]]
        name = "try"
        attempts = 2
        command = "echo {task}"
        "#,
    );
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(scene.git(&["show", "pleach/1-fix-src-a:fix-src-a"]), "fix-src-a");
    assert!(scene.git(&["show", "-s", "--format=%s", "pleach/2-fix-src-b"]).contains("done by fix-src-b"));
    assert_eq!((scene.log(3).as_str(), scene.log(4).as_str()), ("try.1\n", "try.2\n"));
}

#[test]
fn what_touches_more_than_it_said_is_held_with_the_list() {
    let scene = Scene::new();
    let (code, report) = run(
        &scene,
        r#"
        [[task]]
        name = "outside"
        command = "echo x > dir/fine; echo x > elsewhere; mv mine dir/moved"
        paths = ["dir/**"]
        fold = "auto"
        [[task]]
        name = "accepted"
        command = "echo y > y; exit 4"
        accept_exit_codes = [3, 4]
        fold = "auto"
        "#,
    );
    assert_eq!((code, states(&report).as_str()), (1, "outside held, accepted folded"), "{report:#}");
    let flags = task(&report, "outside")["flags"].as_array().unwrap();
    let paths: Vec<&str> = flags.iter().map(|flag| flag["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["elsewhere", "mine"]);
    assert_eq!(task(&report, "accepted")["outcome"]["accepted"], true);
    assert!(!scene.top.join("elsewhere").exists());
    scene.ok(&["merge", "--accept-flags", "outside"]);
    assert_eq!(scene.read("elsewhere"), "x\n");
}

#[test]
fn a_deterministic_fixer_runs_again_on_what_the_target_is_now() {
    let scene = Scene::with_concurrency(2);
    scene.write("list", "end\n");
    scene.git(&["add", "list"]);
    scene.git(&["commit", "-qm", "list"]);
    let (code, report) = run(
        &scene,
        r#"
        [[task]]
        name = "add"
        for_each = ["a", "b", "c", "d"]
        command = "sed -i 1i{item} list"
        fold = "auto"
        on_conflict = "rerun"
        "#,
    );
    assert_eq!((code, report["counts"]["folded"].as_u64()), (0, Some(4)), "{report:#}");
    let mut lines: Vec<String> = scene.read("list").lines().map(str::to_owned).collect();
    assert_eq!(lines.pop().as_deref(), Some("end"));
    lines.sort();
    assert_eq!(lines, ["a", "b", "c", "d"]);
    let attempts = report["tasks"].as_array().unwrap().iter().map(|task| task["attempt"].as_u64().unwrap());
    assert!(attempts.max() > Some(1), "none of them met another");
}

#[test]
fn a_conflict_is_in_the_prompt_of_who_gets_it_back_and_held_for_the_others() {
    let scene = Scene::with_concurrency(1);
    let (code, report) = run(
        &scene,
        r#"
        [defaults]
        fold = "auto"
        agent = "cat > told-$PLEACH_TASK; echo $PLEACH_TASK > readme"
        [[task]]
        name = "first"
        priority = "high"
        prompt = "say first"
        [[task]]
        name = "back"
        priority = "normal"
        on_conflict = "hand-back"
        prompt = "say second"
        [[task]]
        name = "held"
        priority = "low"
        prompt = "say third"
        "#,
    );
    assert_eq!((code, states(&report).as_str()), (1, "first folded, back folded, held conflict"), "{report:#}");
    assert_eq!(scene.read("told-1"), "say first");
    let told = scene.read("told-2");
    assert!(told.starts_with("say second\n\n") && told.contains("readme") && told.len() > 200, "{told}");
    assert_eq!(task(&report, "back")["attempt"], 2);
}

#[test]
fn one_of_several_tries_is_picked_and_the_others_go() {
    let scene = Scene::with_concurrency(3);
    let (code, report) = run(
        &scene,
        r#"
        [[task]]
        name = "try"
        attempts = 3
        command = "test $PLEACH_TASK != 3 && echo $PLEACH_TASK > answer"
        fold = "auto"
        "#,
    );
    assert_eq!((code, states(&report).as_str()), (0, "try.1 ready, try.2 ready, try.3 failed"), "{report:#}");
    let unclear = scene.pleach(&["pick", "try"]);
    assert!(unclear.code == Some(4) && unclear.err.contains("try.1 to try."), "{unclear:?}");
    scene.ok(&["pick", "try.2"]);
    assert_eq!(scene.read("answer"), "2\n");
    let report = scene.json(&["report", "plan"]);
    assert_eq!(states(&report), "try.1 discarded, try.2 folded, try.3 discarded");
    assert_eq!(task(&report, "try.2")["picked"], true);
    let refused = scene.pleach(&["pick", "try.1"]);
    assert_eq!(refused.code, Some(7), "{}", refused.err);
    scene.ok(&["pick", "try.2"]);
}

#[test]
fn a_large_difference_is_a_file() {
    let scene = Scene::new();
    let (code, _) = run(
        &scene,
        r#"
        [[task]]
        name = "large"
        command = "seq 100000 > numbers"
        [[task]]
        name = "small"
        needs = ["large"]
        command = "echo {needs.large.diff} > told; wc -l < $PLEACH_NEEDS/large.diff > lines"
        "#,
    );
    assert_eq!(code, 0);
    let told = scene.git(&["show", "pleach/2-small:told"]);
    assert!(told.contains("bytes of differences: read them in /") && told.ends_with("large.diff)"), "{told}");
    assert!(scene.git(&["show", "pleach/2-small:lines"]).trim().parse::<u64>().unwrap() > 100_000);
}

#[test]
fn what_a_task_wrote_is_one_word_of_the_shell() {
    let scene = Scene::new();
    let (code, _) = run(
        &scene,
        r#"
        [[task]]
        name = "hostile"
        command = '''pleach summary "'; touch pwned; \$(touch pwned) "'''
        [[task]]
        name = "reader"
        needs = ["hostile"]
        command = "printf %s {needs.hostile.summary} > said"
        "#,
    );
    assert_eq!(code, 0);
    assert_eq!(scene.git(&["ls-tree", "--name-only", "pleach/2-reader", "pwned"]), "");
    assert_eq!(scene.git(&["show", "pleach/2-reader:said"]).trim(), "'; touch pwned; $(touch pwned)");
}

#[test]
fn all_that_is_wrong_is_told_before_anything_starts() {
    let scene = Scene::new();
    scene.write(
        "plan.toml",
        "[[task]]\nname = 'a'\ncommand = 'echo {nothing}'\n[[task]]\nname = 'b'\nneeds = ['c']\ncommand = 'true'\n",
    );
    let ran = scene.pleach(&["run", "plan.toml"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.err.contains("plan.toml:3:17: {nothing}") && ran.err.contains("plan.toml:6:10: there is no task \"c\""),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("hint: "), "{}", ran.err);
    let ran = scene.pleach(&["run", "--priority", "high", "plan.toml"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert_eq!(scene.pleach(&["run", "no-such.toml"]).code, Some(2));
    assert_eq!(scene.pleach(&["report"]).code, Some(4));
    assert!(scene.board().is_empty());
}
