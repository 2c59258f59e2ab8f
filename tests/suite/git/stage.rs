//! What is staged without a process is what `git add -A` stages.
#![allow(clippy::disallowed_methods, reason = "tests write files and start programs as a user would")]

use std::process::Command;

use pleach::git::snapshot;

use crate::support::repo::{World, git};

/// What a task does, beginning with `src/a`, `src/b`, `readme` and `.gitignore` (`*.ignored`) in its base.
const DEEDS: [&str; 21] = [
    "echo edited >> src/a; echo new > src/new; mkdir -p x/y/z; echo deep > x/y/z/w",
    "rm src/a src/b",
    "rm -r src; echo file > src",
    "rm readme; mkdir readme; echo inside > readme/file",
    "chmod +x readme; ln -s src/a link; ln -s nowhere dangling; ln -s src dir",
    "rm readme; ln -s src/a readme",
    "mkdir empty; echo i > x.ignored; mkdir cache.ignored; echo i > cache.ignored/y",
    "echo i > x.ignored; git add -f x.ignored; echo more >> x.ignored",
    "echo staged > gone; git add gone; rm gone; echo other > other",
    "git rm -q --cached readme; echo '/readme' >> .gitignore",
    "git rm -q --cached readme; echo changed >> readme",
    "git mv src/a moved; echo changed >> moved; git mv src/b src/a",
    "printf 'a\\r\\nb\\r\\n' > crlf; echo plain > plain",
    "printf '* text=auto\\n' > .gitattributes; printf 'a\\r\\nb\\r\\n' > crlf; printf 'a\\nb\\n' > lf",
    "printf '*.txt text eol=crlf\\n' > .gitattributes; printf 'a\\nb\\n' > x.txt",
    "git config core.autocrlf input; printf 'a\\r\\nb\\r\\n' > crlf",
    "git config filter.up.clean 'tr a-z A-Z'; echo '*.up filter=up' > src/.gitattributes; echo low > src/x.up; echo low > x.up",
    "git config filter.up.clean 'tr a-z A-Z'; mkdir -p \"$(git rev-parse --git-path info)\"; echo '*.up filter=up' >> \"$(git rev-parse --git-path info/attributes)\"; echo low > x.up",
    "git config core.fileMode false; chmod +x readme; echo more >> src/a",
    "echo one >> readme; git commit -qam one; echo two >> readme; git reset -q --soft HEAD~1",
    "git checkout -q --detach; printf 'bin\\0ary' > bin; echo odd > \"$(printf 'o\\ndd \\303\\251')\"; : > nothing",
];

#[test]
fn it_is_what_git_stages() {
    for deed in DEEDS {
        let world = World::new(&[]);
        let place = world.launch("1.1");
        let done = Command::new("sh").args(["-c", deed]).current_dir(&place.worktree).output().unwrap();
        assert!(done.status.success(), "{deed}: {done:?}");
        let index = world.root.join("index-of-git");
        std::fs::copy(place.private.join("index"), &index).unwrap();
        let by_git = |args: &[&str]| {
            let git =
                Command::new("git").args(args).current_dir(&place.worktree).env("GIT_INDEX_FILE", &index).output();
            String::from_utf8(git.unwrap().stdout).unwrap().trim().to_owned()
        };
        by_git(&["add", "-A"]);
        let expected = by_git(&["ls-tree", "-r", "-z", &by_git(&["write-tree"])]);
        let taken = snapshot::take(&world.repo(), &place, world.head(), "left\n").unwrap();
        let tree = git(&place.worktree, &["ls-tree", "-r", "-z", &taken.tip.to_string()]);
        assert_eq!(tree.trim(), expected, "{deed}");
        assert_eq!(git(&place.worktree, &["status", "--porcelain"]), "", "{deed}");
        world.run(&["fsck", "--strict"]);
    }
}
