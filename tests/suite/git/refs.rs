//! Many transactions by one process say what single ones say.
#![allow(clippy::disallowed_methods, reason = "tests write files as a user would")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use pleach::git::refs::{RefChange, RefSession, Swap};

use crate::support::repo::{World, put};

fn name(branch: &str) -> String {
    format!("refs/heads/{branch}")
}

#[test]
fn a_session_swaps_refuses_and_goes_on() {
    for init in [&[][..], &["--ref-format=reftable"], &["--object-format=sha256"]] {
        let world = World::new(init);
        let (repo, first) = (world.repo(), world.head());
        let session = RefSession::new(repo.clone());
        let update = |changes: &[RefChange]| session.update(changes, "pleach: test").unwrap();
        assert_eq!(update(&[]), Swap::Done);
        let both = [RefChange::Create(name("a"), first), RefChange::Set(name("b/c"), first)];
        assert_eq!(update(&both), Swap::Done);
        // Somebody else commits, packs everything, and takes a name: the process must see all of that.
        world.run(&["commit", "-q", "--allow-empty", "-m", "second"]);
        world.run(&["gc", "-q", "--prune=now"]);
        world.run(&["branch", "taken"]);
        let second = world.head();
        let change = RefChange::Advance { name: name("a"), from: first, to: second };
        assert_eq!(update(std::slice::from_ref(&change)), Swap::Done);
        // All or nothing, and in the words of a process of its own.
        for bad in [RefChange::Create(name("taken"), second), RefChange::Set(name("b"), second), change] {
            let changes = [RefChange::Set(name("new"), second), bad];
            let single = repo.update_refs(&changes, "pleach: test").unwrap();
            assert!(matches!(single, Swap::Refused(_)), "{changes:?}");
            assert_eq!(update(&changes), single);
            assert_eq!(repo.ref_value(&name("new")).unwrap(), None);
        }
        assert_eq!(update(&[RefChange::Delete(name("a"), second)]), Swap::Done);
        assert_eq!(repo.ref_value(&name("a")).unwrap(), None);
        // Between two transactions nobody has to wait for us.
        world.run(&["pack-refs", "--all"]);
        world.run(&["branch", "-q", "-D", "taken"]);
        assert_eq!(update(&[RefChange::Create(name("taken"), first)]), Swap::Done);
        assert_eq!(world.run(&["rev-parse", "taken"]).trim(), first.to_string());
    }
}

#[test]
fn no_hook_of_the_user_holds_a_transaction_of_ours_up() {
    let world = World::new(&[]);
    let (repo, first) = (world.repo(), world.head());
    let session = RefSession::new(repo);
    let update = |name: &str| session.update(&[RefChange::Set(name.to_owned(), first)], "pleach: test").unwrap();
    assert_eq!(update("refs/heads/one"), Swap::Done);
    let hook = world.root.join("hooks/reference-transaction");
    put(&hook, "#!/bin/sh\n! grep -q refs/heads/two\n");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    world.run(&["config", "core.hooksPath", hook.parent().unwrap().to_str().unwrap()]);
    assert_eq!(update("refs/heads/two"), Swap::Done);
    assert_eq!(update("refs/heads/three"), Swap::Done);
}
