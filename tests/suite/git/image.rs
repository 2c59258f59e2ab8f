//! Places that are made of a base image, on file systems that can share what is in files.
#![allow(clippy::disallowed_methods, reason = "tests write files as a task would")]

use std::fs;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use pleach::core::id::CommitId;
use pleach::core::provider::{Provider, WorktreeMode};
use pleach::git::place::Images;
use pleach::git::worktree::{self, Place, WorktreeLock};
use pleach::process::subvolume;

use super::place::{Slot, TRICKS, files, second};
use crate::support::mounted::Mounted;
use crate::support::repo::{World, git, put};

/// A file system, how places are made on it, and what that is called.
const WAYS: &[(&str, WorktreeMode, Provider)] = &[
    ("btrfs", WorktreeMode::Snapshot, Provider::Snapshot),
    ("btrfs", WorktreeMode::Reflink, Provider::Reflink),
    ("xfs", WorktreeMode::Reflink, Provider::Reflink),
];

/// A repository with state on a file system of its own, and images there.
struct Shared {
    slot: Slot,
    base: CommitId,
    provider: Provider,
    slots: u32,
    _mounted: Mounted,
}

impl Shared {
    /// In each of the ways that this machine has.
    fn each(test: impl Fn(Self)) {
        for (kind, mode, provider) in WAYS {
            let world = World::new(&[]);
            let Some(mounted) = Mounted::new(kind, &world.root.join("state")) else { continue };
            let mut slot = Slot::new(world);
            let images = slot.world.root.join("state/images");
            fs::create_dir(&images).unwrap();
            slot.images = Some(Images::of(&images, &slot.world.root.join("state/trash")));
            slot.mode = *mode;
            let base = second(&slot.world);
            test(Self { slot, base, provider: *provider, slots: 1, _mounted: mounted });
        }
    }

    /// One more place, new, of this commit.
    fn fill(&mut self, base: CommitId) {
        self.slots += 1;
        self.slot.dir = self.slot.world.root.join(format!("state/slots/{}", self.slots));
        fs::create_dir_all(self.slot.tree()).unwrap();
        assert_eq!(self.slot.fill(base).unwrap(), self.provider);
        // As it is: what git would open is not as its index says.
        assert_eq!(git(&self.slot.tree(), &["diff-files"]), "");
        self.slot.is_as_new(base);
    }

    fn images(&self) -> Vec<PathBuf> {
        let dir = self.slot.world.root.join("state/images");
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    fn commit(&self, message: &str) -> CommitId {
        self.slot.world.run(&["add", "-A"]);
        self.slot.world.run(&["commit", "-qm", message]);
        self.slot.world.head()
    }

    /// What is thrown away goes.
    fn empty_trash(&self) {
        let trash = self.slot.world.root.join("state/trash");
        let failures = worktree::empty_trash(&trash);
        assert!(failures.is_empty(), "{failures:?}");
        assert_eq!(fs::read_dir(&trash).unwrap().count(), 0);
    }
}

#[test]
fn a_new_place_is_made_of_an_image_and_what_is_done_in_it_stays_there() {
    Shared::each(|mut shared| {
        let base = shared.base;
        shared.fill(base);
        let image = shared.images();
        assert_eq!(image.len(), 1);
        let first = shared.slot.tree();
        for (path, text) in [("src/a", "of the first"), ("new", "of the first")] {
            put(&first.join(path), text);
        }
        fs::OpenOptions::new().write(true).open(first.join("src/b")).unwrap().set_len(0).unwrap();
        shared.fill(base);
        assert_eq!(fs::read_to_string(first.join("src/a")).unwrap(), "of the first");
        assert_eq!(shared.images(), image, "it is made once");
        // And again, as a slot.
        put(&shared.slot.tree().join("target/built"), "warm");
        put(&shared.slot.tree().join("left/over/deep"), "of the second");
        shared.slot.again(base);
        assert!(shared.slot.tree().join("target/built").exists() && !shared.slot.tree().join("left").exists());
    });
}

#[test]
fn an_image_serves_the_commits_near_it_and_the_next_is_made_of_it() {
    Shared::each(|mut shared| {
        let first = shared.base;
        shared.fill(first);
        shared.slot.world.run(&["rm", "-q", "src/b", "src/deep/er/c"]);
        shared.slot.world.write("src/a", "other\n");
        shared.slot.world.write("src/b/now-a-directory", "x\n");
        let second = shared.commit("near");
        shared.fill(second);
        assert_eq!(shared.images().len(), 1);
        for number in 0..300 {
            shared.slot.world.write(format!("many/{number}"), format!("{number}\n"));
        }
        let third = shared.commit("far");
        shared.fill(third);
        let names = shared.images();
        assert!(names.len() == 2 && names.iter().any(|dir| dir.ends_with(third.to_string())), "{names:?}");
        shared.slot.world.run(&["rm", "-rq", "many"]);
        for number in 0..300 {
            shared.slot.world.write(format!("others/{number}"), format!("{number}\n"));
        }
        let fourth = shared.commit("farther");
        shared.fill(fourth);
        let names = shared.images();
        assert!(names.len() == 2 && names.iter().any(|dir| dir.ends_with(fourth.to_string())), "{names:?}");
        shared.fill(second);
        shared.empty_trash();
    });
}

#[test]
fn an_image_that_somebody_wrote_to_is_not_believed() {
    Shared::each(|mut shared| {
        let base = shared.base;
        shared.fill(base);
        let files_of = shared.images()[0].join("files");
        if shared.provider == Provider::Snapshot {
            assert!(fs::write(files_of.join("new"), "x").is_err(), "nobody writes there by accident");
        }
        let dir = fs::File::open(&files_of).unwrap();
        let _ = subvolume::unlock(std::os::fd::AsFd::as_fd(&dir));
        // The same size and time.
        let path = files_of.join("src/a");
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, "ONE\nTWO\nTHREE\n").unwrap();
        fs::File::options().append(true).open(&path).unwrap().set_modified(before).unwrap();
        shared.fill(base);
        fs::remove_dir_all(files_of.join("src")).unwrap_or_default();
        shared.fill(base);
        fs::remove_dir_all(&shared.images()[0]).unwrap_or_default();
        shared.fill(base);
        shared.empty_trash();
    });
}

#[test]
fn whatever_a_task_does_in_a_snapshot_the_next_finds_a_new_place() {
    Shared::each(|mut shared| {
        // Elsewhere a place of an image is as any other.
        if shared.provider != Provider::Snapshot {
            return;
        }
        let outside = shared.slot.world.root.join("state/outside");
        for (name, trick) in TRICKS {
            shared.fill(shared.base);
            fs::create_dir_all(&outside).unwrap();
            // Nothing can be moved out of a snapshot, nor have a second name there.
            let tricked = std::panic::catch_unwind(AssertUnwindSafe(|| trick(&shared.slot.tree(), &outside)));
            assert!(tricked.is_ok() || name.contains("outside") || name.contains("link"), "{name}");
            shared.slot.again(shared.base);
            fs::remove_dir_all(&outside).unwrap();
        }
        shared.empty_trash();
    });
}

#[test]
fn the_file_by_which_a_place_is_a_worktree_changes_and_what_a_task_put_there_is_kept() {
    Shared::each(|mut shared| {
        let base = shared.base;
        shared.fill(base);
        let tree = shared.slot.tree();
        let world = &shared.slot.world;
        let repo = world.repo();
        let place = Place { worktree: tree.clone(), private: world.root.join("state/attempts/1.1/git") };
        let trash = world.root.join("state/trash");
        let register = || {
            let lock = WorktreeLock::acquire(&repo).unwrap();
            worktree::adopt(&repo, &lock, &tree, base, "a test", &trash).unwrap();
        };
        register();
        assert!(world.run(&["worktree", "list"]).contains("pleach-slot-1"));
        worktree::lead_inside(&place).unwrap();
        assert_eq!(fs::read(tree.join(".git")).unwrap(), worktree::leads_to(&place.private));
        fs::remove_file(tree.join(".git")).unwrap();
        git(&tree, &["init", "-q"]);
        worktree::lead_outside(&repo, &place).unwrap();
        assert!(tree.join(".git").is_file());
        assert!(world.run(&["worktree", "list"]).contains("pleach-slot-1"));
        let aside = tree.with_file_name("pleach-slot-1.git-1");
        assert!(aside.join("HEAD").is_file() || aside.join(".git/HEAD").is_file(), "{:?}", files(&aside));
        let lock = WorktreeLock::acquire(&repo).unwrap();
        worktree::release(&repo, &lock, &place, &trash, &|_| ()).unwrap();
        drop(lock);
        assert!(!tree.join(".git").exists() && tree.join("src/a").exists());
        register();
        let lock = WorktreeLock::acquire(&repo).unwrap();
        worktree::remove(&repo, &lock, &place, &trash, &|_| ()).unwrap();
        drop(lock);
        assert!(!Path::new(&tree).exists());
        shared.empty_trash();
    });
}
