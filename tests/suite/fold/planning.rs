//! What would land.

use pleach::core::change::{Hold, Refusal};
use pleach::git::merge::{Merged, combine, merge_trees, plan_undo};

use super::*;

fn held(plan: Plan) -> Hold {
    match plan {
        Plan::Refused(Refusal::Held(hold)) => hold,
        other => panic!("{other:?}"),
    }
}

fn landed(bench: &Bench, wanted: &Wanted<'_>) -> CommitId {
    match plan(&bench.repo, wanted, &who()).unwrap() {
        Plan::Land(to) => {
            assert_eq!(plan(&bench.repo, wanted, &who()).unwrap(), Plan::Land(to), "a plan is a function");
            assert!(bench.repo.is_ancestor(wanted.head, to).unwrap());
            to
        }
        other => panic!("{other:?}"),
    }
}

fn show(bench: &Bench, commit: CommitId, path: &str) -> String {
    bench.git(&["show", &format!("{commit}:{path}")]) + "\n"
}

fn parents(bench: &Bench, commit: CommitId) -> Vec<CommitId> {
    let answer = bench.git(&["show", "-s", "--format=%P", &commit.to_string()]);
    answer.split_whitespace().map(|id| id.parse().unwrap()).collect()
}

/// `f` with line 1 changed by a task of two commits, line 20 by the target.
fn two_sides(bench: &Bench) -> (CommitId, CommitId) {
    bench.write("f", lines(&[]));
    let base = bench.commit("base");
    let middle = bench.change(base, &[("f", Some(&lines(&[(1, "theirs")]))), ("g", Some("middle\n"))]);
    let tip = bench.change(middle, &[("g", Some("end\n"))]);
    bench.write("f", lines(&[(20, "ours")]));
    bench.commit("by user");
    (base, tip)
}

#[test]
fn each_strategy_makes_the_same_tree_in_its_own_shape() {
    let bench = Bench::new();
    let (base, tip) = two_sides(&bench);
    let head = bench.head();
    for (strategy, first_parent_steps, second) in
        [(Strategy::Merge, 1, Some(tip)), (Strategy::Squash, 1, None), (Strategy::Rebase, 2, None)]
    {
        let to = landed(&bench, &bench.wanted(base, tip, strategy));
        assert_eq!(show(&bench, to, "f"), lines(&[(1, "theirs"), (20, "ours")]), "{strategy:?}");
        assert_eq!(show(&bench, to, "g"), "end\n");
        let steps = bench.git(&["rev-list", "--first-parent", "--count", &format!("{head}..{to}")]);
        assert_eq!(steps, first_parent_steps.to_string(), "{strategy:?}");
        assert_eq!(parents(&bench, to).get(1).copied(), second);
        let told = bench.git(&["show", "-s", "--format=%an <%ae> %ai|%cn <%ce> %cI|%s", &to.to_string()]);
        let theo = "Theo Task <theo@example.org> 2001-09-09 03:46:40 +0200";
        let ute = "Ute User <ute@example.org>";
        let committer = format!("{ute} 2026-01-02T03:04:05+00:00");
        let author = if strategy == Strategy::Merge { format!("{ute} 2026-01-02 03:04:05 +0000") } else { theo.into() };
        let subject = if strategy == Strategy::Rebase { "by task" } else { "fold it" };
        assert_eq!(told, format!("{author}|{}|{subject}", committer.replace("+00:00", "Z").as_str()), "{strategy:?}");
    }
    assert_eq!(
        held(plan(&bench.repo, &bench.wanted(base, tip, Strategy::FastForward), &who()).unwrap()),
        Hold::NotFastForward
    );
    for strategy in [Strategy::FastForward, Strategy::Rebase, Strategy::Auto] {
        let wanted = Wanted { head: base, ..bench.wanted(base, tip, strategy) };
        assert_eq!(landed(&bench, &wanted), tip, "a head that has not moved is fast-forwarded by {strategy:?}");
    }
    let by = |strategy| landed(&bench, &bench.wanted(base, tip, strategy));
    assert_eq!(by(Strategy::Auto), by(Strategy::Merge), "and one that has is merged into");
}

#[test]
fn what_the_target_holds_is_there_already() {
    let bench = Bench::new();
    let (base, tip) = two_sides(&bench);
    for strategy in [Strategy::Merge, Strategy::Squash, Strategy::Rebase] {
        let to = landed(&bench, &bench.wanted(base, tip, strategy));
        for again in [Strategy::Merge, Strategy::Squash, Strategy::Rebase] {
            for replay in [false, true] {
                let wanted = Wanted { head: to, replay, ..bench.wanted(base, tip, again) };
                let plan = plan(&bench.repo, &wanted, &who()).unwrap();
                assert_eq!(plan, Plan::Already, "{strategy:?} then {again:?} {replay}");
            }
        }
    }
}

#[test]
fn a_conflict_names_both_sides_commits() {
    let bench = Bench::new();
    bench.write("f", lines(&[]));
    bench.write("only ours", "1");
    let base = bench.commit("base");
    let theirs = bench.change(base, &[("f", Some(&lines(&[(3, "theirs")])))]);
    let tip = bench.change(theirs, &[("g", Some("g\n"))]);
    bench.write("f", lines(&[(3, "ours")]));
    let ours = bench.commit("by user");
    bench.write("only ours", "2");
    let head = bench.commit("by user, too");
    for strategy in [Strategy::Merge, Strategy::Squash, Strategy::Rebase] {
        let plan = plan(&bench.repo, &bench.wanted(base, tip, strategy), &who()).unwrap();
        let Plan::Refused(Refusal::Conflict(conflict)) = plan else { panic!("{plan:?}") };
        assert_eq!(conflict.onto, head);
        assert_eq!(conflict.paths.len(), 1);
        let told = &conflict.paths[0];
        assert_eq!(
            (told.path.shown().as_str(), told.ours, told.theirs),
            ("f", Some(ours), Some(theirs)),
            "{strategy:?}"
        );
    }
}

#[test]
fn a_change_survives_a_rewritten_target() {
    let bench = Bench::new();
    bench.write("f", lines(&[]));
    bench.commit("base");
    bench.write("secret", "in the base that was rewritten\n");
    let base = bench.commit("to be rewritten");
    let middle = bench.change(base, &[("f", Some(&lines(&[(1, "theirs")])))]);
    let tip = bench.change(middle, &[("g", Some("g\n"))]);
    bench.git(&["rm", "-q", "secret"]);
    bench.write("other", "instead\n");
    bench.git(&["add", "-A"]);
    bench.git(&["commit", "-q", "--amend", "-m", "rewritten"]);
    for (strategy, own) in [(Strategy::Merge, 3), (Strategy::Squash, 1), (Strategy::Rebase, 2)] {
        let wanted = bench.wanted(base, tip, strategy);
        let to = landed(&bench, &wanted);
        assert_eq!(bench.git(&["ls-tree", "--name-only", "-r", &to.to_string()]), "f\ng\nother", "{strategy:?}");
        assert_eq!(show(&bench, to, "f"), lines(&[(1, "theirs")]));
        assert_eq!(bench.git(&["rev-list", "--count", &format!("{}..{to}", wanted.head)]), own.to_string());
        assert!(!bench.repo.is_ancestor(base, to).unwrap(), "the rewritten commit does not come back");
    }
}

#[test]
fn merges_inside_a_replayed_change_are_one_step() {
    let bench = Bench::new();
    bench.write("f", lines(&[]));
    let base = bench.commit("base");
    let one = bench.change(base, &[("one", Some("1\n"))]);
    let side = bench.change(base, &[("side", Some("s\n"))]);
    let tip = bench.change_with(one, &[("side", Some("s\n"))], "merged side", &[one, side]);
    bench.write("f", lines(&[(2, "ours")]));
    bench.commit("by user");
    let to = landed(&bench, &bench.wanted(base, tip, Strategy::Rebase));
    let subjects = bench.git(&["log", "--format=%s", &format!("{}..{to}", bench.head())]);
    assert_eq!(subjects, "merged side\nby task");
    assert_eq!(bench.git(&["ls-tree", "--name-only", &to.to_string()]), "f\none\nside");
    // The base as a second parent: first parents lead past it, so all is one step.
    let orphan = bench.change_with(base, &[("o", Some("o\n"))], "orphan", &[]);
    let tip = bench.change_with(base, &[("o", Some("o\n"))], "joined", &[orphan, base]);
    let to = landed(&bench, &bench.wanted(base, tip, Strategy::Rebase));
    assert_eq!(bench.git(&["log", "--format=%s", &format!("{}..{to}", bench.head())]), "joined");
    // A history of its own is a difference to the base.
    for strategy in [Strategy::Merge, Strategy::Squash, Strategy::Rebase] {
        let to = landed(&bench, &bench.wanted(base, orphan, strategy));
        assert_eq!(bench.git(&["ls-tree", "--name-only", &to.to_string()]), "f\no", "{strategy:?}");
    }
}

#[test]
fn an_undone_fold_can_be_folded_again() {
    let bench = Bench::new();
    let (base, tip) = two_sides(&bench);
    for strategy in [Strategy::Merge, Strategy::Squash, Strategy::Rebase] {
        let wanted = bench.wanted(base, tip, strategy);
        let folded = Landing { from: wanted.head, to: landed(&bench, &wanted) };
        let later = bench.change(folded.to, &[("later", Some("later\n"))]);
        let Plan::Land(undone) = plan_undo(&bench.repo, later, &folded, "undo it", &who()).unwrap() else { panic!() };
        assert_eq!(parents(&bench, undone), [later]);
        assert_eq!(bench.git(&["diff", "--name-only", &folded.from.to_string(), &undone.to_string()]), "later");
        assert_eq!(plan_undo(&bench.repo, undone, &folded, "undo it", &who()).unwrap(), Plan::Already);
        for again in [Strategy::Merge, Strategy::Squash, Strategy::Rebase] {
            let wanted = Wanted { head: undone, replay: true, ..bench.wanted(base, tip, again) };
            let to = landed(&bench, &wanted);
            let same = bench.git(&["diff", "--name-only", &later.to_string(), &to.to_string()]);
            assert_eq!(same, "", "{strategy:?}, undone, then {again:?}");
        }
    }
    // Somebody built on it: then it cannot be taken back.
    let folded = Landing { from: base, to: tip };
    let built = bench.change(tip, &[("g", Some("built on it\n"))]);
    let plan = plan_undo(&bench.repo, built, &folded, "undo it", &who()).unwrap();
    assert!(matches!(plan, Plan::Refused(Refusal::Conflict(_))), "{plan:?}");
}

#[test]
fn renames_on_either_side_are_followed_and_conserved() {
    let text = |name: &str| (1..30).map(|n| format!("{name} {n}\n")).collect::<String>();
    let dir = |at: &str| ["a", "b", "c"].map(|name| (format!("{at}/{name}"), text(name)));
    let moved: Vec<(String, Option<String>)> = dir("old")
        .into_iter()
        .map(|(path, _)| (path, None))
        .chain(dir("new").into_iter().map(|(path, content)| (path, Some(content))))
        .collect();
    let edited = vec![("old/a".to_owned(), Some(text("a") + "edited\n"))];
    let added = vec![("old/added".to_owned(), Some("added\n".to_owned()))];
    for (ours, theirs, expected) in [
        (&moved, &edited, "new/a new/b new/c"),
        (&edited, &moved, "new/a new/b new/c"),
        (&moved, &added, "new/a new/added new/b new/c"),
        (&added, &moved, "new/a new/added new/b new/c"),
    ] {
        let bench = Bench::new();
        // Else git asks whether an added file is to follow its directory.
        bench.git(&["config", "merge.directoryRenames", "true"]);
        for (path, content) in dir("old") {
            bench.write(path, content);
        }
        let base = bench.commit("base");
        let make = |files: &Vec<(String, Option<String>)>| {
            let files: Vec<_> = files.iter().map(|(path, content)| (path.as_str(), content.as_deref())).collect();
            bench.change(base, &files)
        };
        let (head, tip) = (make(ours), make(theirs));
        for strategy in [Strategy::Merge, Strategy::Squash, Strategy::Rebase] {
            let to = landed(&bench, &Wanted { head, ..bench.wanted(base, tip, strategy) });
            let files = bench.git(&["ls-tree", "-r", "--name-only", &to.to_string()]).replace('\n', " ");
            assert_eq!(files, expected, "{strategy:?}");
        }
    }
}

#[test]
fn needs_are_folded_onto_the_base_of_their_dependent() {
    let bench = Bench::new();
    bench.write("f", lines(&[]));
    let base = bench.commit("base");
    let a = bench.change(base, &[("a", Some("a\n"))]);
    let b = bench.change(base, &[("b", Some("b\n"))]);
    let on_a = bench.change(a, &[("f", Some(&lines(&[(1, "on a")])))]);
    let against = bench.change(base, &[("f", Some(&lines(&[(1, "against")])))]);
    let combine = |tips: &[CommitId]| combine(&bench.repo, base, tips, "needs", &who()).unwrap();
    assert_eq!(combine(&[]), Ok(base));
    assert_eq!(combine(&[a]), Ok(a));
    assert_eq!(combine(&[a, on_a, a]), Ok(on_a));
    let both = combine(&[a, b]).unwrap();
    assert_eq!(combine(&[a, b]), Ok(both));
    assert_eq!(parents(&bench, both), [a, b]);
    assert_eq!(bench.git(&["ls-tree", "--name-only", &both.to_string()]), "a\nb\nf");
    assert_eq!(combine(&[on_a, against]), Err(vec![Word::from("f")]));
}

#[test]
fn unrelated_histories_are_told_apart_from_failures() {
    let bench = Bench::new();
    bench.write("f", "f");
    let base = bench.commit("base");
    let orphan = bench.change_with(base, &[("o", Some("o"))], "orphan", &[]);
    assert_eq!(merge_trees(&bench.repo, None, base, orphan).unwrap(), Merged::NoBase);
    let missing: CommitId = "1".repeat(40).parse().unwrap();
    assert!(merge_trees(&bench.repo, Some(base), base, missing).is_err());
}

#[test]
fn attributes_are_those_of_the_target_and_not_of_a_checkout() {
    let bench = Bench::new();
    bench.write("log", "start\n");
    bench.write(".gitattributes", "log merge=union\n");
    let base = bench.commit("base");
    let tip = bench.change(base, &[("log", Some("start\ntheirs\n"))]);
    bench.write("log", "start\nours\n");
    bench.commit("by user");
    bench.write(".gitattributes", "log -merge\n");
    let to = landed(&bench, &bench.wanted(base, tip, Strategy::Merge));
    assert_eq!(show(&bench, to, "log"), "start\nours\ntheirs\n");
}

#[test]
fn the_committer_is_the_users_or_a_name_of_ours() {
    let bench = Bench::new();
    assert_eq!(Identity::of(&bench.repo, who().at).unwrap(), who());
}

#[test]
fn sha256_repositories_are_planned_and_landed_alike() {
    let bench = Bench::with(&["--object-format=sha256"]);
    let (base, tip) = two_sides(&bench);
    for strategy in [Strategy::Merge, Strategy::Squash, Strategy::Rebase] {
        landed(&bench, &bench.wanted(base, tip, strategy));
    }
    let landing = bench.planned(base, tip);
    assert_eq!(bench.land(&landing), Fold::Done);
    bench.assert_tidy();
}
