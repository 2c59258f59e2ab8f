//! Conflicts are foreseen, and are those that come.

use std::path::PathBuf;

use pleach::core::id::CommitId;
use pleach::core::task::Strategy;
use pleach::git::foresee::{Foreseen, MOST_MERGED, will_conflict};
use pleach::git::merge::{Identity, Plan, Wanted, plan};

use crate::support::repo::World;

/// A commit on `base` with these files; no content deletes.
fn change(world: &World, base: CommitId, files: &[(&str, &str)]) -> CommitId {
    world.run(&["checkout", "-q", "--detach", &base.to_string()]);
    for (path, content) in files {
        match *content {
            "" => drop(world.run(&["rm", "-q", path])),
            content => world.write(path, content),
        }
    }
    world.run(&["add", "-A"]);
    world.run(&["commit", "-qm", "change"]);
    world.head()
}

fn lines(changed: &[(usize, &str)]) -> String {
    let line = |n: usize| changed.iter().find(|(at, _)| *at == n).map_or(format!("{n}"), |(_, text)| (*text).into());
    (1..=20).map(|n| line(n) + "\n").collect()
}

fn told(found: &[Foreseen]) -> String {
    let told = found.iter().map(|Foreseen { change, with, paths, may }| {
        let with = with.map_or("head".to_owned(), |with| with.to_string());
        let may = if *may { "?" } else { "" };
        format!("{change}-{with}{may} {}\n", paths.iter().map(|path| path.shown()).collect::<Vec<_>>().join(" "))
    });
    told.collect()
}

fn foreseen(world: &World, head: CommitId, changes: &[(CommitId, CommitId)]) -> Vec<Foreseen> {
    will_conflict(&world.repo(), head, changes, &|_, _| false).unwrap()
}

/// A few results on two bases, and the head that they are to go to.
fn results(options: &[&str]) -> (World, CommitId, Vec<(CommitId, CommitId)>) {
    let world = World::new(options);
    for file in ["x/1", "x/2"] {
        world.write(file, lines(&[(3, file)]));
    }
    let base = change(&world, world.head(), &[("long", &lines(&[])), ("other", &lines(&[])), ("o/1", "1\n")]);
    let head = change(&world, base, &[("other", &lines(&[(1, "head")]))]);
    let mut changes: Vec<(CommitId, CommitId)> = [
        vec![("long", lines(&[(5, "first")]))],
        vec![("long", lines(&[(5, "second")]))],
        vec![("long", lines(&[(15, "far")])), ("src/b", "b2\n".to_owned())],
        vec![("other", lines(&[(1, "not head")]))],
        vec![("other", lines(&[(18, "end")]))],
        vec![
            ("x/1", String::new()),
            ("x/2", String::new()),
            ("y/1", lines(&[(3, "x/1")])),
            ("y/2", lines(&[(3, "x/2")])),
        ],
        vec![("x/new", "new\n".to_owned())],
        vec![("readme", "alike\n".to_owned())],
        vec![("readme", "alike\n".to_owned())],
        vec![("o/1", String::new())],
        vec![("o/1", "2\n".to_owned())],
    ]
    .iter()
    .map(|files| {
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        (base, change(&world, base, &files))
    })
    .collect();
    changes.push((head, change(&world, head, &[("src/b", "b3\n")])));
    changes.push((base, head));
    (world, head, changes)
}

const EXPECTED: &str = "0-1 long\n2-11 src/b\n3-head other\n5-6 y/new\n9-10 o/1\n";

#[test]
fn conflicts_with_the_head_and_with_each_other() {
    for options in [&[][..], &["--ref-format=reftable"], &["--object-format=sha256"]] {
        let (world, head, changes) = results(options);
        let objects = world.objects();
        assert_eq!(told(&foreseen(&world, head, &changes)), EXPECTED, "{options:?}");
        assert_eq!(world.objects(), objects, "nothing of it stays");
    }
    let (world, head, changes) = results(&[]);
    assert_eq!(foreseen(&world, head, &[]), []);
    let known = |one: usize, other: usize| (one, other) == (2, 11);
    let found = will_conflict(&world.repo(), head, &changes, &known).unwrap();
    assert_eq!(told(&found), EXPECTED.replace("2-11 src/b\n", ""));
}

/// One lands, then the other: what was foreseen is what comes.
#[test]
fn what_is_foreseen_is_what_comes() {
    let (world, head, changes) = results(&[]);
    let found = foreseen(&world, head, &changes);
    let who = Identity { name: "a".into(), email: "a@b".into(), at: "2026-01-02T03:04:05Z".parse().unwrap() };
    let land = |head: CommitId, (base, tip): (CommitId, CommitId)| {
        let wanted = Wanted { head, base, tip, strategy: Strategy::Merge, message: "m", replay: false };
        match plan(&world.repo(), &wanted, &who).unwrap() {
            Plan::Land(to) => Some(to),
            Plan::Already => Some(head),
            Plan::Refused(_) => None,
        }
    };
    for (first, change) in changes.iter().enumerate() {
        let is = |one: usize, other: Option<usize>| found.iter().any(|it| (it.change, it.with) == (one, other));
        let has = |one: usize, with: Option<usize>| is(one, with) || with.is_some_and(|with| is(with, Some(one)));
        let landed = land(head, *change);
        assert_eq!(landed.is_none(), has(first, None), "{first}");
        let Some(landed) = landed else { continue };
        for second in (0..changes.len()).filter(|second| *second != first && !has(*second, None)) {
            assert_eq!(land(landed, changes[second]).is_none(), has(second, Some(first)), "{second} after {first}");
        }
    }
}

/// A merge that git cannot do is not foreseen, and all others are.
#[test]
fn what_cannot_be_merged_is_left_out() {
    let (world, head, mut changes) = results(&[]);
    // The blob that both `long` of the first pair are changes of.
    let blob = world.run(&["rev-parse", &format!("{}:long", changes[0].1)]);
    let (dir, name) = blob.trim().split_at(2);
    let file: PathBuf = world.top.join(".git/objects").join(dir).join(name);
    std::fs::remove_file(file).unwrap();
    changes.push((head, "0123456789abcdef0123456789abcdef01234567".parse().unwrap()));
    let found = told(&foreseen(&world, head, &changes));
    assert_eq!(found, EXPECTED.replace("0-1 long\n", ""));
}

/// Many results that have nothing in common, and many that all change one file.
#[test]
fn many_at_once() {
    let world = World::new(&[]);
    let base = change(&world, world.head(), &[("long", &lines(&[]))]);
    let mut changes = Vec::new();
    for n in 0..6 {
        changes
            .push((base, change(&world, base, &[(&format!("new/{n}"), "n\n"), ("long", &lines(&[(n * 3 + 1, "n")]))])));
    }
    assert_eq!(foreseen(&world, base, &changes), []);
    let again: Vec<_> = changes.iter().chain(&changes).copied().collect();
    assert_eq!(foreseen(&world, base, &again), []);
}

/// There is an end to how much git is asked: what lands far apart only may conflict.
#[test]
fn what_is_too_much_to_ask_may_conflict() {
    let world = World::new(&[]);
    let base = world.head();
    let changes: Vec<_> = (0..50).map(|n| (base, change(&world, base, &[("src/a", &format!("{n}\n"))]))).collect();
    let found = foreseen(&world, base, &changes);
    assert_eq!(found.len(), 50 * 49 / 2);
    assert_eq!(found.iter().filter(|one| !one.may).count(), MOST_MERGED);
    let distance = |one: &Foreseen| one.with.unwrap() - one.change;
    let farthest = found.iter().filter(|one| !one.may).map(distance).max();
    assert!(found.iter().filter(|one| one.may).all(|one| Some(distance(one)) >= farthest));
    assert!(found.iter().all(|one| one.paths.len() == 1));
}
