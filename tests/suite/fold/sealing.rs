//! What was planned becomes what lands: the same trees, signed and with trailers.

use std::os::unix::fs::PermissionsExt;

use pleach::git::seal::{Sealed, Unsealed, seal};

use super::*;

/// Two results on one base, and the target moved on.
fn two_results(bench: &Bench) -> (CommitId, [CommitId; 2]) {
    bench.write("f", lines(&[]));
    let base = bench.commit("base");
    let tips = [("a", 1), ("b", 2)].map(|(file, line)| {
        let middle = bench.change(base, &[(file, Some("new\n"))]);
        bench.change(middle, &[("f", Some(&lines(&[(line * 5, "theirs")])))])
    });
    bench.write("f", lines(&[(20, "ours")]));
    bench.commit("by user");
    (base, tips)
}

/// What these results become, one on top of the other.
fn planned(bench: &Bench, base: CommitId, tips: [CommitId; 2], strategies: [Strategy; 2]) -> [Unsealed; 2] {
    let mut head = bench.head();
    std::array::from_fn(|place| {
        let wanted = Wanted { head, ..bench.wanted(base, tips[place], strategies[place]) };
        let Plan::Land(commit) = plan(&bench.repo, &wanted, &who()).unwrap() else { panic!() };
        head = commit;
        let trailers = if strategies[place] == Strategy::Rebase { "" } else { "\nProof: yes\n" };
        Unsealed { commit, tip: Some(tips[place]), at: who().at, trailers: trailers.to_owned() }
    })
}

fn sealed(bench: &Bench, head: CommitId, stand_in: Option<CommitId>, steps: &[Unsealed]) -> Vec<CommitId> {
    match seal(&bench.repo, head, stand_in, steps, None).unwrap() {
        Sealed::Steps(steps) => steps,
        Sealed::Refused(_, reason) => panic!("{reason}"),
    }
}

/// Sign as many users do, with a key that is made here. Each signature is a line of `signed`.
fn sign_with_ssh(bench: &Bench) {
    let key = bench.dir.path().join("key");
    Tool::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).run().unwrap();
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    let signers = bench.dir.path().join("signers");
    fs::write(&signers, format!("ute@example.org {public}")).unwrap();
    bench.git(&["config", "gpg.format", "ssh"]);
    bench.git(&["config", "user.signingkey", key.to_str().unwrap()]);
    bench.git(&["config", "gpg.ssh.allowedSignersFile", signers.to_str().unwrap()]);
    bench.git(&["config", "commit.gpgsign", "true"]);
}

fn is_signed(bench: &Bench, commit: CommitId) -> bool {
    bench.git(&["cat-file", "commit", &commit.to_string()]).contains("\ngpgsig ")
}

fn tree(bench: &Bench, commit: CommitId) -> String {
    bench.git(&["rev-parse", &format!("{commit}^{{tree}}")])
}

fn trailers(bench: &Bench, commit: CommitId) -> String {
    bench.git(&["show", "-s", "--format=%(trailers:only,unfold)", &commit.to_string()])
}

#[test]
fn what_lands_is_signed_and_what_is_only_planned_is_not() {
    for strategies in [
        [Strategy::Merge, Strategy::Merge],
        [Strategy::Squash, Strategy::Rebase],
        [Strategy::Rebase, Strategy::Squash],
        [Strategy::Rebase, Strategy::Merge],
    ] {
        let bench = Bench::new();
        let (base, tips) = two_results(&bench);
        sign_with_ssh(&bench);
        let steps = planned(&bench, base, tips, strategies);
        let head = bench.head();
        let landed = sealed(&bench, head, None, &steps);
        for (step, to) in steps.iter().zip(&landed) {
            assert!(!is_signed(&bench, step.commit), "{strategies:?}");
            assert_eq!(tree(&bench, step.commit), tree(&bench, *to), "{strategies:?}");
            assert_eq!(trailers(&bench, *to), step.trailers.trim(), "{strategies:?}");
            let told =
                |id: CommitId| bench.git(&["show", "-s", "--format=%an %ae %ai %cn %ce %ci %s", &id.to_string()]);
            assert_eq!(told(step.commit), told(*to), "{strategies:?}");
        }
        let [one, two] = landed[..] else { panic!() };
        let on = |to: CommitId, from: CommitId| bench.repo.is_ancestor(from, to).unwrap();
        assert!(on(one, head) && on(two, one) && !on(two, steps[0].commit), "{strategies:?}");
        let range = [two.to_string(), format!("^{head}"), format!("^{}", tips[0]), format!("^{}", tips[1])];
        let own = bench.git(&[&["rev-list"][..], &range.each_ref().map(String::as_str)].concat());
        own.lines().for_each(|id| drop(bench.git(&["verify-commit", id])));
        for (tip, strategy) in tips.iter().zip(strategies) {
            assert!(!is_signed(&bench, *tip));
            assert_eq!(on(two, *tip), strategy == Strategy::Merge, "the task's own commits are as they were");
        }
    }
}

#[test]
fn where_nothing_is_to_be_added_the_commits_are_those_that_were_planned() {
    let bench = Bench::new();
    let (base, tips) = two_results(&bench);
    let mut steps = planned(&bench, base, tips, [Strategy::Merge, Strategy::Rebase]);
    steps.iter_mut().for_each(|step| step.trailers.clear());
    let as_planned: Vec<CommitId> = steps.iter().map(|step| step.commit).collect();
    assert_eq!(sealed(&bench, bench.head(), None, &steps), as_planned);
}

#[test]
fn a_fast_forward_leaves_the_tasks_commits_alone_also_where_the_user_signs() {
    let bench = Bench::new();
    bench.write("f", "f\n");
    let base = bench.commit("base");
    let tip = bench.change(base, &[("g", Some("g\n"))]);
    sign_with_ssh(&bench);
    for strategy in [Strategy::FastForward, Strategy::Auto, Strategy::Rebase] {
        assert_eq!(plan(&bench.repo, &bench.wanted(base, tip, strategy), &who()).unwrap(), Plan::Land(tip));
        let step = Unsealed { commit: tip, tip: Some(tip), at: who().at, trailers: "Proof: yes\n".to_owned() };
        assert_eq!(sealed(&bench, base, None, &[step]), [tip]);
    }
}

#[test]
fn what_was_planned_on_a_commit_that_landed_as_another_lands_on_that_one() {
    let bench = Bench::new();
    let (base, tips) = two_results(&bench);
    let steps = planned(&bench, base, tips, [Strategy::Merge, Strategy::Squash]);
    let head = bench.head();
    let first = sealed(&bench, head, None, &steps[..1])[0];
    assert_ne!(first, steps[0].commit);
    let second = sealed(&bench, first, Some(steps[0].commit), &steps[1..])[0];
    assert_eq!(sealed(&bench, head, None, &steps), [first, second], "one by one is as together");
    // Nobody knows what it was planned on: it would take the first one out of the target's history.
    let refused = seal(&bench.repo, first, None, &steps[1..], None).unwrap();
    assert!(matches!(refused, Sealed::Refused(None, _)), "{refused:?}");
}

#[test]
fn a_commit_that_cannot_be_signed_is_refused_with_the_signers_words() {
    let bench = Bench::new();
    let (base, tips) = two_results(&bench);
    let signer = bench.dir.path().join("signer");
    fs::write(&signer, "#!/bin/sh\necho no card in the reader >&2\nexit 1\n").unwrap();
    fs::set_permissions(&signer, fs::Permissions::from_mode(0o755)).unwrap();
    bench.git(&["config", "commit.gpgsign", "true"]);
    bench.git(&["config", "gpg.program", signer.to_str().unwrap()]);
    for strategy in [Strategy::Merge, Strategy::Squash, Strategy::Rebase] {
        let steps = planned(&bench, base, tips, [strategy, strategy]);
        let Sealed::Refused(_, reason) = seal(&bench.repo, bench.head(), None, &steps, None).unwrap() else { panic!() };
        assert!(reason.contains("cannot sign the commit") && reason.contains("no card"), "{reason}");
    }
}
