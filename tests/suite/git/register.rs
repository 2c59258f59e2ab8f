//! The linked worktree outside.
#![allow(clippy::disallowed_methods, reason = "tests write files as a user would")]

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::symlink;

use pleach::git::worktree::{self, Seen, WorktreeLock};

use crate::support::repo::{World, git, put};

#[test]
fn thirty_at_once_are_all_registered() {
    let world = World::new(&[]);
    let base = world.head();
    std::thread::scope(|scope| {
        for n in 0..30 {
            let world = &world;
            scope.spawn(move || {
                let (repo, place) = (world.repo(), world.place(&format!("{n}.1")));
                let lock = WorktreeLock::acquire(&repo).unwrap();
                worktree::register(&repo, &lock, &place.worktree, base, "pleach: many").unwrap();
            });
        }
    });
    assert_eq!(world.repo().worktrees().unwrap().len(), 31);
    assert!(
        world.repo().worktrees().unwrap()[1..].iter().all(|listed| listed.locked.as_deref() == Some("pleach: many"))
    );
}

#[test]
fn half_made_pieces_are_finished_and_strangers_are_left_alone() {
    let world = World::new(&[]);
    let (repo, place, base) = (world.repo(), world.place("1.1"), world.head());
    let admin = repo.common_dir().join("worktrees/pleach-1.1");
    let lock = WorktreeLock::acquire(&repo).unwrap();
    let register = || worktree::register(&repo, &lock, &place.worktree, base, "pleach: x").unwrap();
    let seen = || worktree::seen(&repo, &place.worktree).unwrap();
    assert_eq!(seen(), Seen::Absent);
    // In the order in which git makes them.
    type Make<'a> = &'a dyn Fn();
    let steps: [Make<'_>; 4] = [
        &|| fs::create_dir_all(&admin).unwrap(),
        &|| fs::create_dir(&place.worktree).unwrap(),
        &|| fs::write(admin.join("gitdir"), format!("{}/.git\n", place.worktree.display())).unwrap(),
        &|| fs::write(place.worktree.join(".git"), format!("gitdir: {}\n", admin.display())).unwrap(),
    ];
    for upto in 1..=steps.len() {
        steps[..upto].iter().for_each(|step| step());
        assert_eq!(seen(), Seen::HalfMade, "after {upto}");
        register();
        assert_eq!(seen(), Seen::Registered);
        worktree::remove(&repo, &lock, &place, &world.root.join("state/trash"), &|_| {}).unwrap();
        assert_eq!(seen(), Seen::Absent);
    }
    // Somebody else's of the same name.
    let other = world.root.join("elsewhere/pleach-1.1");
    world.run(&["worktree", "add", "-q", "--detach", other.to_str().unwrap()]);
    assert!(worktree::seen(&repo, &place.worktree).is_err());
    assert!(worktree::register(&repo, &lock, &place.worktree, base, "x").is_err());
    put(&place.worktree.join("precious"), "mine");
    assert!(worktree::remove(&repo, &lock, &place, &world.root.join("state/trash"), &|_| {}).is_err());
    assert!(place.worktree.join("precious").exists() && other.join("readme").exists());
    assert_eq!(world.repo().worktrees().unwrap().len(), 2);
}

#[test]
fn files_that_we_did_not_make_are_never_taken_for_ours() {
    let world = World::new(&[]);
    let (repo, place) = (world.repo(), world.place("1.1"));
    let lock = WorktreeLock::acquire(&repo).unwrap();
    put(&place.worktree.join("precious"), "mine");
    assert!(worktree::register(&repo, &lock, &place.worktree, world.head(), "x").is_err());
    assert!(worktree::remove(&repo, &lock, &place, &world.root.join("state/trash"), &|_| {}).is_err());
    assert_eq!(fs::read(place.worktree.join("precious")).unwrap(), b"mine");
}

#[test]
fn removing_is_finished_from_any_point_and_leaves_the_repository_as_it_was() {
    for killed_at in [None, Some("remove.renamed"), Some("remove.unregistered")] {
        let world = World::new(&[]);
        let before = world.fingerprint();
        let place = world.launch("1.1");
        let (repo, trash) = (world.repo(), world.root.join("state/trash"));
        let lock = WorktreeLock::acquire(&repo).unwrap();
        let points = RefCell::new(Vec::new());
        let remove = |at: &dyn Fn(&'static str)| worktree::remove(&repo, &lock, &place, &trash, at);
        let attempt = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            remove(&|point| {
                points.borrow_mut().push(point);
                assert!(killed_at != Some(point), "killed");
            })
        }));
        assert_eq!(attempt.is_err(), killed_at.is_some());
        remove(&|_| {}).unwrap();
        assert_eq!(worktree::seen(&repo, &place.worktree).unwrap(), Seen::Absent);
        assert!(!repo.common_dir().join("worktrees").exists());
        assert_eq!(fs::read_dir(&trash).unwrap().count(), 1);
        assert!(worktree::empty_trash(&trash).is_empty());
        assert_eq!(world.fingerprint(), before);
    }
}

#[test]
fn a_user_who_removed_the_registration_does_not_stop_us() {
    let world = World::new(&[]);
    let place = world.launch("1.1");
    let repo = world.repo();
    fs::remove_dir_all(repo.common_dir().join("worktrees/pleach-1.1")).unwrap();
    let lock = WorktreeLock::acquire(&repo).unwrap();
    worktree::remove(&repo, &lock, &place, &world.root.join("state/trash"), &|_| {}).unwrap();
    assert!(!place.worktree.exists());
}

#[test]
fn leading_outside_loses_nothing_that_a_task_put_in_the_way() {
    let world = World::new(&[]);
    let secret = world.root.join("secret");
    put(&secret, "untouched");
    for (n, what) in ["file", "directory", "link", "nothing", "another file", "closed"].iter().enumerate() {
        let place = world.launch(&format!("{n}.1"));
        let git_file = place.worktree.join(".git");
        if *what != "file" && *what != "closed" {
            fs::remove_file(&git_file).unwrap();
        }
        match *what {
            "directory" => drop(git(&place.worktree, &["init", "-q"])),
            "link" => symlink(&secret, &git_file).unwrap(),
            "another file" => put(&git_file, "gitdir: /elsewhere\n"),
            "closed" => {
                use std::os::unix::fs::PermissionsExt;
                fs::set_permissions(&place.worktree, fs::Permissions::from_mode(0o500)).unwrap();
            }
            _ => {}
        }
        worktree::lead_outside(&world.repo(), &place).unwrap();
        worktree::lead_outside(&world.repo(), &place).unwrap();
        let common = git(&place.worktree, &["rev-parse", "--path-format=absolute", "--git-common-dir"]);
        assert_eq!(common.trim(), world.repo().common_dir().to_str().unwrap(), "{what}");
        let aside = place.worktree.with_file_name(format!("pleach-{n}.1.git-1"));
        assert_eq!(fs::symlink_metadata(&aside).is_ok(), matches!(*what, "directory" | "link" | "another file"));
        assert!(*what != "directory" || aside.join("HEAD").exists());
        worktree::lead_inside(&place).unwrap();
        let inside = git(&place.worktree, &["rev-parse", "--absolute-git-dir"]);
        assert_eq!(inside.trim(), place.private.to_str().unwrap());
        let lock = WorktreeLock::acquire(&world.repo()).unwrap();
        worktree::remove(&world.repo(), &lock, &place, &world.root.join("state/trash"), &|_| {}).unwrap();
        assert!(fs::symlink_metadata(&aside).is_err());
    }
    assert_eq!(fs::read(&secret).unwrap(), b"untouched");
}
