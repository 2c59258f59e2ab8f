//! A place that is used again is as a new one would be, whatever the task before did to it.
#![allow(clippy::disallowed_methods, reason = "tests write files as a task would")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use pleach::core::id::CommitId;
use pleach::core::provider::{Provider, WorktreeMode};
use pleach::git::place::{self, FillError, Images, Order};
use pleach::git::private::{self, Private};
use pleach::git::worktree::Place;

use crate::support::repo::{World, put};

/// A slot, and the attempts that had it.
pub(super) struct Slot {
    pub(super) world: World,
    pub(super) dir: PathBuf,
    attempts: u32,
    /// Of what a new place is made, and how.
    pub(super) images: Option<Images>,
    pub(super) mode: WorktreeMode,
}

impl Slot {
    pub(super) fn new(world: World) -> Self {
        let dir = world.root.join("state/slots/1");
        fs::create_dir_all(dir.join("pleach-slot-1")).unwrap();
        fs::create_dir_all(world.root.join("state/trash")).unwrap();
        Self { world, dir, attempts: 0, images: None, mode: WorktreeMode::Auto }
    }

    pub(super) fn tree(&self) -> PathBuf {
        self.dir.join("pleach-slot-1")
    }

    /// The next attempt gets it, with this base.
    pub(super) fn fill(&mut self, base: CommitId) -> Result<Provider, FillError> {
        self.attempts += 1;
        let home = self.world.root.join(format!("state/attempts/{}.1", self.attempts));
        fs::create_dir_all(&home).unwrap();
        let place = Place { worktree: self.tree(), private: home.join("git") };
        let repo = self.world.repo();
        private::create(&repo, &place.private, &Private { base, branch: "pleach/1".to_owned() }, None).unwrap();
        let filled = place::fill(&Order {
            repo: &repo,
            place: &place,
            base,
            mode: self.mode,
            slot: Some(&self.dir),
            trash: &self.world.root.join("state/trash"),
            images: self.images.as_ref(),
            overlay: None,
            backdate: true,
            at: &|_| (),
        });
        if filled.is_ok() {
            put(&self.tree().join(".git"), format!("gitdir: {}\n", place.private.display()));
        }
        filled
    }

    /// The same, where what it was before is taken for granted.
    pub(super) fn again(&mut self, base: CommitId) {
        assert_eq!(self.fill(base).unwrap(), Provider::Slot);
        self.is_as_new(base);
    }

    /// Git sees nothing, and each file is what a new checkout has.
    pub(super) fn is_as_new(&self, base: CommitId) {
        let git = |args: &[&str]| crate::support::repo::git(&self.tree(), args);
        assert_eq!(git(&["status", "--porcelain", "--untracked-files=all"]), "");
        assert_eq!(git(&["diff", "--raw", &base.to_string()]), "");
        // By content, and not by what the index says of it.
        let fresh = self.world.root.join("fresh");
        let _ = fs::remove_dir_all(&fresh);
        self.world.run(&["worktree", "add", "-q", "-f", "--detach", fresh.to_str().unwrap(), &base.to_string()]);
        let ignored: BTreeSet<String> = git(&["ls-files", "-z", "--others", "--ignored", "--exclude-standard"])
            .split('\0')
            .map(str::to_owned)
            .collect();
        let mut there = files(&self.tree());
        there.retain(|path, _| !ignored.contains(path));
        assert_eq!(there, files(&fresh));
        self.world.run(&["worktree", "remove", "--force", fresh.to_str().unwrap()]);
    }
}

/// Each file with its rights and its content; a link with where it leads.
pub(super) fn files(top: &Path) -> BTreeMap<String, (u32, u64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in walkdir::WalkDir::new(top).min_depth(1).into_iter().map(Result::unwrap) {
        let path = entry.path().strip_prefix(top).unwrap().to_string_lossy().into_owned();
        if path == ".git" {
            continue;
        }
        let seen = fs::symlink_metadata(entry.path()).unwrap();
        let content = match (seen.is_symlink(), seen.is_file()) {
            (true, _) => fs::read_link(entry.path()).unwrap().to_string_lossy().into_owned().into_bytes(),
            (_, true) => fs::read(entry.path()).unwrap(),
            _ if !path.is_empty() => continue,
            _ => Vec::new(),
        };
        found.insert(path, (seen.mode(), if seen.is_file() { seen.nlink() } else { 1 }, content));
    }
    found
}

fn slot() -> (Slot, CommitId) {
    let mut slot = Slot::new(World::new(&[]));
    let base = second(&slot.world);
    assert_eq!(slot.fill(base).unwrap(), Provider::Parallel);
    slot.is_as_new(base);
    (slot, base)
}

/// A commit with files of each kind.
pub(super) fn second(world: &World) -> CommitId {
    world.write("src/deep/er/c", "c\n");
    world.write("run.sh", "#!/bin/sh\n");
    fs::set_permissions(world.top.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("src/a", world.top.join("link")).unwrap();
    world.write(".gitignore", "*.ignored\n/target/\n");
    world.run(&["add", "-A"]);
    world.run(&["commit", "-qm", "second"]);
    world.head()
}

#[test]
fn a_place_goes_from_base_to_base_and_what_is_ignored_stays() {
    let (mut slot, first) = slot();
    put(&slot.tree().join("target/built"), "warm");
    put(&slot.tree().join("src/x.ignored"), "warm");
    put(&slot.tree().join("left-over"), "of the first");
    put(&slot.tree().join("left/over/deep"), "of the first");
    slot.world.run(&["rm", "-q", "src/b", "src/deep/er/c"]);
    slot.world.write("src/a", "other\n");
    slot.world.write("new/file", "new\n");
    slot.world.write("src/b/now-a-directory", "x\n");
    slot.world.run(&["add", "-A"]);
    slot.world.run(&["commit", "-qm", "third"]);
    let third = slot.world.head();
    slot.again(third);
    slot.again(first);
    slot.again(third);
    assert_eq!(fs::read_to_string(slot.tree().join("target/built")).unwrap(), "warm");
    assert_eq!(fs::read_to_string(slot.tree().join("src/x.ignored")).unwrap(), "warm");
    assert!(!slot.tree().join("left").exists() && !slot.tree().join("left-over").exists());
}

#[test]
fn what_the_next_base_does_not_ignore_goes() {
    let (mut slot, _) = slot();
    put(&slot.tree().join("x.ignored"), "x");
    slot.world.write(".gitignore", "/target/\n");
    slot.world.run(&["commit", "-qam", "no longer ignored"]);
    let base = slot.world.head();
    slot.again(base);
    assert!(!slot.tree().join("x.ignored").exists());
}

#[test]
fn what_is_beside_files_is_known_where_nobody_was_since() {
    let (mut slot, first) = slot();
    put(&slot.tree().join("src/deep/x.ignored"), "x");
    put(&slot.tree().join("src/deep/er/target/y.ignored"), "y");
    // The directories are as they were when the seal was put, and the files are still there.
    slot.again(first);
    slot.again(first);
    assert_eq!(fs::read_to_string(slot.tree().join("src/deep/x.ignored")).unwrap(), "x");
    slot.world.write(".gitignore", "/target/\n");
    slot.world.run(&["commit", "-qam", "no longer ignored"]);
    let base = slot.world.head();
    slot.again(base);
    assert!(!slot.tree().join("src/deep/x.ignored").exists());
    assert!(!slot.tree().join("src/deep/er/target").exists());
}

#[test]
fn a_clock_that_was_set_back_hides_nothing() {
    let (mut slot, base) = slot();
    slot.again(base);
    put(&slot.tree().join("src/deep/new"), "of the one before");
    fs::remove_file(slot.tree().join("src/deep/er/c")).unwrap();
    // As if what came after the seal had the times of an hour before it.
    let seal = fs::File::options().append(true).open(slot.dir.join("seal")).unwrap();
    seal.set_modified(SystemTime::now() + Duration::from_secs(3600)).unwrap();
    slot.again(base);
}

/// What somebody without privileges can do to the files of a worktree.
pub(super) type Trick = (&'static str, fn(&Path, &Path));

pub(super) const TRICKS: &[Trick] = &[
    ("same size, same times", |tree, _| {
        let path = tree.join("src/a");
        let before = fs::metadata(&path).unwrap();
        fs::write(&path, "ONE\nTWO\nTHREE\n").unwrap();
        let file = fs::File::options().append(true).open(&path).unwrap();
        file.set_modified(before.modified().unwrap()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), before.len());
    }),
    ("another file of the same size and times in its place", |tree, _| {
        let (path, other) = (tree.join("src/a"), tree.join("src/other.ignored"));
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&other, "ONE\nTWO\nTHREE\n").unwrap();
        fs::File::options().append(true).open(&other).unwrap().set_modified(before).unwrap();
        fs::rename(other, path).unwrap();
    }),
    ("rights", |tree, _| {
        fs::set_permissions(tree.join("src/a"), fs::Permissions::from_mode(0o6777)).unwrap();
        fs::set_permissions(tree.join("run.sh"), fs::Permissions::from_mode(0o000)).unwrap();
    }),
    ("a second name outside, written to later", |tree, outside| {
        fs::hard_link(tree.join("src/a"), outside.join("mine")).unwrap();
    }),
    ("a second name inside, where it is ignored", |tree, _| {
        fs::create_dir_all(tree.join("target")).unwrap();
        fs::hard_link(tree.join("src/a"), tree.join("target/mine")).unwrap();
    }),
    ("a hard link to somebody else's file", |tree, outside| {
        fs::write(outside.join("theirs"), "theirs").unwrap();
        fs::remove_file(tree.join("src/a")).unwrap();
        fs::hard_link(outside.join("theirs"), tree.join("src/a")).unwrap();
    }),
    ("a link in the place of a file", |tree, outside| {
        fs::write(outside.join("theirs"), "theirs").unwrap();
        fs::remove_file(tree.join("src/a")).unwrap();
        symlink(outside.join("theirs"), tree.join("src/a")).unwrap();
    }),
    ("a link in the place of a directory", |tree, outside| {
        fs::rename(tree.join("src"), outside.join("src")).unwrap();
        symlink(outside.join("src"), tree.join("src")).unwrap();
    }),
    ("a link in the place of what is ignored", |tree, outside| {
        fs::create_dir(outside.join("home")).unwrap();
        fs::write(outside.join("home/theirs"), "theirs").unwrap();
        symlink(outside.join("home"), tree.join("left")).unwrap();
        symlink(outside.join("home"), tree.join("x.ignored")).unwrap();
    }),
    ("two directories changed places", |tree, _| {
        fs::rename(tree.join("src/deep"), tree.join("tmp")).unwrap();
        fs::create_dir(tree.join("src/deep")).unwrap();
        fs::rename(tree.join("tmp"), tree.join("src/deep/er")).unwrap();
    }),
    ("a directory in the place of a file, and the other way round", |tree, _| {
        fs::remove_file(tree.join("src/a")).unwrap();
        fs::create_dir(tree.join("src/a")).unwrap();
        fs::write(tree.join("src/a/x.ignored"), "x").unwrap();
        fs::remove_dir_all(tree.join("src/deep")).unwrap();
        fs::write(tree.join("src/deep"), "file").unwrap();
    }),
    ("rules that hide files from git", |tree, _| {
        fs::create_dir_all(tree.join("src/new")).unwrap();
        for dir in ["", "src", "src/new"] {
            fs::write(tree.join(dir).join("hidden"), "hidden").unwrap();
        }
        fs::write(tree.join("src/.gitignore"), "*\n").unwrap();
        fs::write(tree.join("src/new/.gitignore"), "*\n").unwrap();
        fs::write(tree.join(".gitignore"), "*\n").unwrap();
        fs::write(tree.join("src/.gitattributes"), "* filter=evil\n").unwrap();
    }),
    ("repositories inside", |tree, _| {
        for dir in ["nested", "src/nested", "src"] {
            fs::create_dir_all(tree.join(dir)).unwrap();
            crate::support::repo::git(&tree.join(dir), &["init", "-q"]);
            fs::write(tree.join(dir).join("of-it"), "x").unwrap();
        }
    }),
    ("all tracked files gone", |tree, _| {
        for entry in fs::read_dir(tree).unwrap().flatten().filter(|entry| entry.file_name() != ".git") {
            match entry.file_type().unwrap().is_dir() {
                true => fs::remove_dir_all(entry.path()).unwrap(),
                false => fs::remove_file(entry.path()).unwrap(),
            }
        }
    }),
    ("odd names", |tree, _| {
        use std::os::unix::ffi::OsStrExt;
        for name in [&b"\xff\xfe"[..], b"new\nline", b" ", b"-rf", b"SRC", b".GITIGNORE", b":(top)x"] {
            fs::write(tree.join(std::ffi::OsStr::from_bytes(name)), "*\n").unwrap();
        }
    }),
    ("a pipe and a socket", |tree, _| {
        rustix::fs::mknodat(rustix::fs::CWD, tree.join("src/pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
            .unwrap();
        std::os::unix::net::UnixListener::bind(tree.join("socket")).unwrap();
        fs::remove_file(tree.join("readme")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, tree.join("readme"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    }),
];

#[test]
fn whatever_a_task_does_the_next_finds_a_new_place() {
    let failures = Mutex::new(Vec::new());
    let next = Mutex::new(TRICKS.iter());
    let play = || {
        while let Some((name, trick)) = { next.lock().unwrap().next() } {
            let done = std::panic::catch_unwind(|| {
                let (mut slot, base) = slot();
                let outside = slot.world.root.join("outside");
                fs::create_dir_all(&outside).unwrap();
                // Nothing is of the instant of this seal.
                slot.again(base);
                trick(&slot.tree(), &outside);
                let theirs = files(&outside);
                slot.again(base);
                assert_eq!(files(&outside).keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
                // What is written outside now does not come in.
                for entry in fs::read_dir(&outside).unwrap().flatten().filter(|entry| entry.path().is_file()) {
                    fs::write(entry.path(), "written later").unwrap();
                }
                slot.is_as_new(base);
                slot.again(base);
            });
            if done.is_err() {
                failures.lock().unwrap().push(*name);
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(play);
        scope.spawn(play);
    });
    assert_eq!(failures.into_inner().unwrap(), [""; 0]);
}

#[test]
fn a_place_that_is_not_surely_clean_is_given_up() {
    let unfit = |trick: &dyn Fn(&Slot)| {
        let (mut slot, base) = slot();
        trick(&slot);
        match slot.fill(base) {
            Err(FillError::Unfit(words)) => words,
            other => panic!("{other:?}"),
        }
    };
    let words =
        unfit(&|slot| fs::set_permissions(slot.tree().join("src"), fs::Permissions::from_mode(0o2777)).unwrap());
    assert_eq!(words, "src has other rights than we give");
    let words = unfit(&|slot| fs::remove_file(slot.dir.join("seal")).unwrap());
    assert_eq!(words, "it was left half made");
    let words = unfit(&|slot| fs::write(slot.dir.join("seal"), "DIRC").unwrap());
    assert_eq!(words, "its seal is damaged");
    let words = unfit(&|slot| {
        let about = fs::read_to_string(slot.dir.join("seal.json")).unwrap();
        let boot = about.split("\"boot\":\"").nth(1).unwrap();
        fs::write(slot.dir.join("seal.json"), about.replace(&boot[..8], "00000000")).unwrap();
    });
    assert_eq!(words, "the system was started anew since it was used");
}

#[test]
fn a_file_of_the_instant_of_the_seal_is_believed_by_its_content_only() {
    let (mut slot, base) = slot();
    // As if all had been written in the tick of the seal.
    let seal = slot.dir.join("seal");
    fs::File::options()
        .append(true)
        .open(&seal)
        .unwrap()
        .set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(9))
        .unwrap();
    let before = fs::metadata(slot.tree().join("src/a")).unwrap().ino();
    slot.again(base);
    assert_eq!(fs::metadata(slot.tree().join("src/a")).unwrap().ino(), before, "it is not written again");
}

#[test]
fn files_that_are_not_the_bytes_of_their_objects_are_written_by_git() {
    let (mut slot, _) = slot();
    slot.world.write(".gitattributes", "*.txt text eol=crlf\n");
    slot.world.write("a.txt", "one\ntwo\n");
    slot.world.run(&["add", "-A"]);
    slot.world.run(&["commit", "-qm", "line ends"]);
    let base = slot.world.head();
    // All files would have to be looked at anew.
    assert!(matches!(slot.fill(base), Err(FillError::Unfit(_))));
    let mut slot = Slot::new(slot.world);
    fs::rename(slot.tree(), slot.world.root.join("state/trash/old")).unwrap();
    fs::create_dir(slot.tree()).unwrap();
    slot.attempts = 10;
    assert_eq!(slot.fill(base).unwrap(), Provider::Plain);
    slot.is_as_new(base);
    assert_eq!(fs::read(slot.tree().join("a.txt")).unwrap(), b"one\r\ntwo\r\n");
    fs::write(slot.tree().join("a.txt"), "ONE\r\nTWO\r\n").unwrap();
    put(&slot.tree().join("left"), "over");
    slot.world.write("b.txt", "three\n");
    slot.world.run(&["add", "-A"]);
    slot.world.run(&["commit", "-qm", "one more"]);
    let next = slot.world.head();
    slot.again(next);
    assert_eq!(fs::read(slot.tree().join("b.txt")).unwrap(), b"three\r\n");
}
