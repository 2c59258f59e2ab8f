//! The walk over trees answers what git answers, or leaves it to git.

use std::collections::BTreeMap;

use git2::{FileMode, Oid, Repository as Library, Signature};
use pleach::core::id::{CommitId, TreeId};
use pleach::git::Repository;
use pleach::git::walk::{Look, Objects, Walked, look, walk};

use crate::support::repo::{World, git_with};

/// A path leads to a kind and a content.
type Files = BTreeMap<Vec<u8>, (char, String)>;

/// `path=content` a file, `!` one to be run, `@` a symbolic link, `#` a commit of another repository.
fn files(text: &str) -> Files {
    let mut files = Files::new();
    for word in text.split_whitespace() {
        let (at, kind) = word.char_indices().find(|(_, c)| "=!@#".contains(*c)).unwrap();
        // Names that words cannot have.
        let name = word[..at].replace("SPACE", " ").replace("NL", "\n").into_bytes();
        let name = name.split(|byte| *byte == b'?').collect::<Vec<_>>().join(&b"\xff"[..]);
        files.insert(name, (kind, word[at + 1..].to_owned()));
    }
    files
}

/// `1~5` is `1` with another line 5: long enough for git to see renames.
fn content(text: &str) -> String {
    let (name, changed) = text.split_once('~').unwrap_or((text, ""));
    let line =
        |n: usize| if changed == n.to_string() { format!("changed {n}\n") } else { format!("{name} line {n}\n") };
    (0..20).map(line).collect()
}

struct Trees {
    world: World,
    library: Library,
}

impl Trees {
    fn new() -> Self {
        let world = World::new(&[]);
        let library = world.repo().library().unwrap();
        Self { world, library }
    }

    fn tree(&self, files: &Files) -> Oid {
        let mut below: BTreeMap<&[u8], Files> = BTreeMap::new();
        let mut builder = self.library.treebuilder(None).unwrap();
        for (path, file) in files {
            match path.iter().position(|byte| *byte == b'/') {
                Some(slash) => {
                    below.entry(&path[..slash]).or_default().insert(path[slash + 1..].to_vec(), file.clone());
                }
                None => {
                    let blob = |text: String| self.library.blob(text.as_bytes()).unwrap();
                    let (id, mode) = match file.0 {
                        '=' => (blob(content(&file.1)), FileMode::Blob),
                        '!' => (blob(content(&file.1)), FileMode::BlobExecutable),
                        '@' => (blob(file.1.clone()), FileMode::Link),
                        _ => (Oid::from_str(&file.1.repeat(40)[..40]).unwrap(), FileMode::Commit),
                    };
                    builder.insert(&path[..], id, mode.into()).unwrap();
                }
            }
        }
        for (name, files) in below {
            builder.insert(name, self.tree(&files), FileMode::Tree.into()).unwrap();
        }
        builder.write().unwrap()
    }

    /// The trees of base, ours and theirs, and a line for git.
    fn sides(&self, sides: [&Files; 3]) -> ([TreeId; 3], String) {
        let trees = sides.map(|files| self.tree(files));
        let who = Signature::new("a", "a@b", &git2::Time::new(0, 0)).unwrap();
        let commit = |tree: Oid, parents: &[&git2::Commit<'_>]| {
            let id = self.library.commit(None, &who, &who, "x", &self.library.find_tree(tree).unwrap(), parents);
            self.library.find_commit(id.unwrap()).unwrap()
        };
        let base = commit(trees[0], &[]);
        let [ours, theirs] = [1, 2].map(|side| commit(trees[side], &[&base]).id());
        (trees.map(|tree| tree.to_string().parse().unwrap()), format!("{} -- {ours} {theirs}\n", base.id()))
    }

    /// What git says to each line: a tree, or none for a conflict.
    fn by_git(&self, lines: &str) -> Vec<Option<TreeId>> {
        let args = ["merge-tree", "--write-tree", "--stdin", "--name-only", "--no-messages"];
        let said = git_with(&self.world.top, &args, lines.as_bytes());
        let mut words = said.split('\0').peekable();
        let mut answers = Vec::new();
        while words.peek().is_some_and(|word| !word.is_empty()) {
            let (status, tree) = (words.next().unwrap(), words.next().unwrap());
            words.by_ref().take_while(|path| !path.is_empty()).for_each(drop);
            answers.push((status == "1").then(|| tree.parse().unwrap()));
        }
        answers
    }
}

/// What it is, base, ours, theirs, and whether the walk decides. (Both ways round: it is all the same.)
const CASES: &[(&str, &str, &str, &str, bool)] = &[
    ("nothing", "a=1", "a=1", "a=1", true),
    ("one side", "a=1 d/b=1", "a=1 d/b=1", "a=2 d/b=1 d/c=1", true),
    ("different files", "a=1 b=1", "a=2 b=1", "a=1 b=2", true),
    ("different files of a directory", "d/e/a=1 d/e/b=1", "d/e/a=2 d/e/b=1", "d/e/a=1 d/e/b=2", true),
    ("the same change", "a=1 b=1", "a=2 b=1", "a=2 b=2", true),
    ("one file, far apart", "a=1", "a=1~2", "a=1~17", false),
    ("one file, the same line", "a=1", "a=2~2", "a=3~2", false),
    ("both add alike", "a=1", "a=1 b=2", "a=2 b=2", true),
    ("both add, not alike", "a=1", "a=1 b=2", "a=1 b=3", false),
    ("both add to a new directory", "a=1", "a=1 d/x=1", "a=1 d/y=2", true),
    ("both add a directory, one file not alike", "a=1", "a=1 d/x=1", "a=1 d/x=2 d/y=2", false),
    ("a file and a directory are added", "a=1", "a=1 d=1", "a=1 d/x=1", false),
    ("deleted and changed", "a=1 b=1", "b=1", "a=2 b=1", false),
    ("deleted and untouched", "a=1 b=1", "b=1", "a=1 b=2", true),
    ("both delete", "a=1 b=1", "b=1", "b=2", false),
    ("both delete all", "a=1", "", "", false),
    ("both delete a directory", "d/a=1 b=1", "b=1", "b=2", false),
    ("both delete, one has it elsewhere", "a=1 b=1 x/k=1", "b=1 y/a=1 x/k=1", "b=1 x/k=1", false),
    ("alike without it, one has it elsewhere", "x/s=1 x/k=2 y/z=3", "x/k=2 y/z=3 y/t=1", "x/k=2 y/z=3", false),
    ("renamed", "a=1 b=1", "c=1 b=1", "a=1 b=2", true),
    ("renamed and changed", "a=1 b=1", "c=1 b=1", "a=1~3 b=1", false),
    ("renamed both alike", "a=1 b=1", "c=1 b=1", "c=1 b=2", false),
    ("renamed to two names", "a=1", "b=1", "c=1", false),
    ("two renamed to one", "a=1 b=1~4 c=3", "x=1 b=1~4 c=3", "a=1 x=1~4 c=3", false),
    ("renamed to what the other adds", "a=1 b=2", "x=1 b=2", "a=1 b=2 x=1~3", false),
    ("renamed to what the other adds alike", "a=1 b=2", "x=1 b=2", "a=1 b=2 x=1", true),
    ("directory renamed, file added there", "d/a=1 d/b=2 x=1", "e/a=1 e/b=2 x=1", "d/a=1 d/b=2 d/n=3 x=1", false),
    ("directory renamed, other elsewhere", "d/a=1 d/b=2 x=1", "e/a=1 e/b=2 x=1", "d/a=1 d/b=2 x=2", true),
    ("part of a directory renamed", "d/a=1 d/b=2 d/c=3", "e/a=1 e/b=2 d/c=3", "d/a=1 d/b=2 d/c=3 d/n=4", true),
    ("directory renamed, file moved there", "d/a=1 d/b=2 x=9", "e/a=1 e/b=2 x=9", "d/a=1 d/b=2 d/x=9", false),
    ("directory into another", "d/s/a=1 d/s/b=2 d/k=3", "d/a=1 d/b=2 d/k=3", "d/s/a=1 d/s/b=2 d/s/n=4 d/k=3", false),
    ("all moved down", "a=1 b=2", "s/a=1 s/b=2", "a=1 b=2 n=3", true),
    ("mode", "a=1 b=1", "a!1 b=1", "a=1 b=2", true),
    ("mode both alike", "a=1 b=1", "a!1 b=1", "a!1 b=2", true),
    ("mode and content", "a=1", "a!1", "a=2", false),
    ("link", "l@x a=1", "l@y a=1", "l@x a=2", true),
    ("link, both", "l@x", "l@y", "l@z", false),
    ("file to link", "a=1 b=1", "a@b b=1", "a=1 b=2", true),
    ("file to link and changed", "a=1", "a@b", "a=2", false),
    ("submodule moved", "s#1 a=1", "s#2 a=1", "s#1 a=2", true),
    ("submodule moved alike", "s#1 a=1", "s#2 a=1", "s#2 a=2", true),
    ("submodule moved apart", "s#1", "s#2", "s#3", false),
    ("submodule added and removed", "s#1 a=1", "a=1 t#2", "s#1 a=2", true),
    ("submodule to directory", "s#1 a=1", "s/x=1 a=1", "s#1 a=2", true),
    ("file to directory", "p=1 a=1", "p/x=2 a=1", "p=1 a=2", true),
    ("file into a directory of its name", "p=1 a=1", "p/p=1 a=1", "p=1 a=2", true),
    ("file to directory and changed", "p=1", "p/x=2", "p=2", false),
    ("file to directory, both", "p=1", "p/x=2", "p/x=2", false),
    ("directory to file", "p/x=1 a=1", "p=2 a=1", "p/x=1 a=2", true),
    ("directory to file and changed", "p/x=1", "p=2", "p/x=3", false),
    ("halves of a directory deleted", "d/a=1 d/b=2 k=1", "d/a=1 k=1", "d/b=2 k=1", true),
    ("halves of all deleted", "a=1 b=2", "a=1", "b=2", true),
    ("from nothing", "", "a=1", "b=1", true),
    ("to nothing", "a=1", "", "a=1", false),
    ("order of names", "a/x=1 a-b=1 a.b=1 a0=1", "a/x=2 a-b=1 a.b=1 a0=1", "a/y=1 a/x=1 a-b=1 a.b=2 a0=1", true),
    ("names", "?=1 aSPACEb/NL=1 -=1", "?=2 aSPACEb/NL=1 -=1", "?=1 aSPACEb/NL=2 aSPACEb/?=1 -=1", true),
];

#[test]
fn small_cases() {
    let trees = Trees::new();
    let objects = Objects::of(&trees.world.repo()).unwrap();
    for (what, base, ours, theirs, decides) in CASES {
        for sides in [[base, ours, theirs], [base, theirs, ours]] {
            let ([base, ours, theirs], line) = trees.sides(sides.map(|text| files(text)).each_ref());
            let by_git = trees.by_git(&line);
            match walk(&objects, base, ours, theirs) {
                Walked::Tree(tree) => assert_eq!(by_git, [Some(tree)], "{what}"),
                Walked::Unsure => assert!(!decides, "{what}: git says {by_git:?}"),
            }
            match look(&objects, base, ours, theirs) {
                Look::Clean => assert!(decides, "{what}"),
                Look::Unsure(paths) => assert!(!decides && (!paths.is_empty() || *what == "to nothing"), "{what}"),
            }
        }
    }
}

#[test]
fn what_both_touch_is_named() {
    let trees = Trees::new();
    let objects = Objects::of(&trees.world.repo()).unwrap();
    let sides = ["d/a=1 d/b=1 e/x=1 f=1 k=1", "d/a=2 d/b=1 f=2 k=2", "d/a=3 e/x=2 f=1 k=2"];
    let ([base, ours, theirs], _) = trees.sides(sides.map(files).each_ref());
    let Look::Unsure(paths) = look(&objects, base, ours, theirs) else { panic!("clean") };
    assert_eq!(paths.iter().map(|path| path.shown()).collect::<Vec<_>>(), ["d/a", "e"]);
}

/// One side of a random case: some of what people do.
fn changed(files: &Files, random: &mut fastrand::Rng) -> Files {
    const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    const CONTENTS: [&str; 8] = ["1", "2", "3", "1~3", "1~15", "2~3", "2~9", "3~3"];
    let mut files = files.clone();
    let name = |random: &mut fastrand::Rng| {
        let parts = (0..random.usize(1..=3)).map(|_| random.choice(NAMES).unwrap()).collect::<Vec<_>>();
        parts.join("/").into_bytes()
    };
    for _ in 0..random.usize(1..4) {
        let there: Vec<Vec<u8>> = files.keys().cloned().collect();
        let one = random.choice(&there).cloned();
        let kind = random.choice(['=', '=', '=', '!', '@', '#']).unwrap();
        let content = random.choice(CONTENTS).unwrap();
        let file = (kind, if kind == '#' { content[..1].to_owned() } else { content.to_owned() });
        match (random.u8(0..7), one) {
            (0 | 1, _) | (_, None) => drop(files.insert(name(random), file)),
            (2 | 3, Some(one)) => drop(files.insert(one, file)),
            (4, Some(one)) => drop(files.remove(&one)),
            (5, Some(one)) => {
                let moved = files.remove(&one).unwrap();
                files.insert(name(random), moved);
            }
            (_, Some(one)) => {
                let dir = one.split(|byte| *byte == b'/').next().unwrap().to_vec();
                let to = name(random);
                for path in there.iter().filter(|path| path.starts_with(&[&dir[..], b"/"].concat())) {
                    let moved = files.remove(path).unwrap();
                    files.insert([&to, &path[dir.len()..]].concat(), moved);
                }
            }
        }
    }
    // A file where a directory is needed goes.
    let all: Vec<Vec<u8>> = files.keys().cloned().collect();
    files.retain(|path, _| !all.iter().any(|other| other.starts_with(&[&path[..], b"/"].concat())));
    files
}

#[test]
fn random_cases() {
    let trees = Trees::new();
    let objects = Objects::of(&trees.world.repo()).unwrap();
    let mut random = fastrand::Rng::with_seed(20_260_101);
    let (mut cases, mut lines) = (Vec::new(), String::new());
    for _ in 0..600 {
        let mut base = Files::new();
        for _ in 0..4 {
            base = changed(&base, &mut random);
        }
        let (mut ours, mut theirs) = (changed(&base, &mut random), changed(&base, &mut random));
        if random.u8(0..4) == 0 {
            // Both have something in common.
            let both = changed(&base, &mut random);
            (ours, theirs) = (changed(&both, &mut random), both);
        }
        let (sides, line) = trees.sides([&base, &ours, &theirs]);
        cases.push((sides, [base, ours, theirs]));
        lines += &line;
    }
    let by_git = trees.by_git(&lines);
    assert_eq!(by_git.len(), cases.len());
    let mut decided = 0;
    for (([base, ours, theirs], files), by_git) in cases.into_iter().zip(by_git) {
        let walked = walk(&objects, base, ours, theirs);
        assert_eq!(matches!(walked, Walked::Tree(_)), look(&objects, base, ours, theirs) == Look::Clean, "{files:?}");
        if let Walked::Tree(tree) = walked {
            assert_eq!(by_git, Some(tree), "{files:?}");
            decided += 1;
        }
    }
    assert!((100..500).contains(&decided), "{decided}");
}

/// The walk where the library does not open the repository, and where nobody but git knows what is in it.
#[test]
fn kinds_of_repositories() {
    for (options, decides) in [
        (&[][..], true),
        (&["--ref-format=reftable"], true),
        (&["--object-format=sha256"], false),
        (&["replaced"], false),
        (&["--ref-format=reftable", "replaced"], false),
        (&["grafted"], false),
    ] {
        let init: Vec<&str> = options.iter().copied().filter(|option| option.starts_with("--")).collect();
        let world = World::new(&init);
        let commit = |file: &str| -> CommitId {
            world.run(&["checkout", "-q", "main"]);
            world.run(&["checkout", "-q", "--detach"]);
            world.write(file, "changed\n");
            world.run(&["commit", "-qam", file]);
            world.head()
        };
        let (base, ours, theirs) = (world.head(), commit("src/a"), commit("src/b"));
        match options.last() {
            Some(&"replaced") => drop(world.run(&["replace", &ours.to_string(), &base.to_string()])),
            Some(&"grafted") => world.write(".git/info/grafts", format!("{ours}\n")),
            _ => {}
        }
        let repo: Repository = world.repo();
        let trees = |objects: &Objects<'_>| Some([base, ours, theirs].map(|commit| objects.tree_of(commit)));
        let walked = Objects::of(&repo).and_then(|objects| {
            let [base, ours, theirs] = trees(&objects)?;
            Some(walk(&objects, base?, ours?, theirs?))
        });
        assert_eq!(matches!(walked, Some(Walked::Tree(_))), decides, "{options:?}");
        world.run(&["pack-refs", "--all"]);
        assert_eq!(Objects::of(&repo).is_some(), decides || options == ["--object-format=sha256"], "{options:?}");
    }
}

/// A tree that unfolds to more paths than anybody can look at is left to git, soon.
#[test]
fn a_tree_without_end() {
    let trees = Trees::new();
    let objects = Objects::of(&trees.world.repo()).unwrap();
    let bomb = |text: &str| {
        let mut tree = trees.tree(&files(&format!("f={text}")));
        for _ in 0..12 {
            let mut builder = trees.library.treebuilder(None).unwrap();
            for name in 0..10 {
                builder.insert(name.to_string(), tree, FileMode::Tree.into()).unwrap();
            }
            tree = builder.write().unwrap();
        }
        tree.to_string().parse().unwrap()
    };
    let [base, ours, theirs] = ["1", "2", "3"].map(bomb);
    assert_eq!(walk(&objects, base, ours, theirs), Walked::Unsure);
    assert!(matches!(look(&objects, base, ours, theirs), Look::Unsure(_)));
    assert!(matches!(walk(&objects, base, base, theirs), Walked::Tree(_)));
}
