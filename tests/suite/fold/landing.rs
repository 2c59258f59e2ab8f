//! Landing it: the target and its checkout together, and never a byte of the user's.

use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;

use pleach::core::change::Hold;
use pleach::git::fold::checkouts_of;

use super::*;

/// Three files and a directory; the task changes, adds, deletes and makes executable.
fn simple() -> (Bench, Landing) {
    let bench = Bench::new();
    bench.write(".gitignore", "*.ignored\n");
    bench.write("changed", lines(&[]));
    bench.write("deleted", "deleted\n");
    bench.write("mine", "mine\n");
    bench.write("dir/kept", "kept\n");
    let base = bench.commit("base");
    let files =
        [("changed", Some("new\n")), ("deleted", None), ("dir/added", Some("added\n")), ("new/deep/one", Some("1\n"))];
    let tip = bench.change(base, &files);
    bench.write("mine", "committed by the user\n");
    bench.commit("by user");
    let landing = bench.planned(base, tip);
    (bench, landing)
}

fn overlap(fold: &Fold) -> Vec<String> {
    match fold {
        Fold::Held(Hold::Overlap { paths, .. }) => paths.iter().map(Word::shown).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_clean_checkout_follows() {
    let (bench, landing) = simple();
    assert_eq!(bench.land(&landing), Fold::Done);
    assert_eq!(bench.head(), landing.to);
    assert_eq!(fs::read_to_string(bench.top.join("new/deep/one")).unwrap(), "1\n");
    bench.assert_tidy();
    let log = bench.git(&["reflog", "-2", "--format=%gs", "HEAD"]);
    assert_eq!(log.lines().next(), Some("pleach: fold"), "HEAD's own log tells of it");
    assert_eq!(bench.repo.ref_value(&marks(&landing)[0].0).unwrap(), Some(landing.to));
    assert_eq!(bench.land(&landing), Fold::Done, "twice does no more than once");
    bench.assert_tidy();
}

#[test]
fn edits_elsewhere_stay_byte_for_byte() {
    let (bench, landing) = simple();
    bench.write("mine", "staged\n");
    bench.git(&["add", "mine"]);
    bench.write("mine", "staged, and edited on top\n");
    bench.write("dir/kept", "edited\n");
    bench.write("dir/untracked", "untracked\n");
    bench.write("new/deep/x.ignored", "ignored\n");
    bench.write("staged new", "staged new\n");
    bench.git(&["add", "staged new"]);
    link("nowhere", bench.top.join("dangling"));
    let touched = fs::File::open(bench.top.join("changed")).unwrap();
    touched.set_modified(std::time::UNIX_EPOCH).unwrap();
    let before = bench.fingerprint();
    assert_eq!(bench.land(&landing), Fold::Done);
    let after = bench.fingerprint();
    let theirs = ["changed", "deleted", "dir/added", "new/deep/one"].map(Word::from);
    let own = |print: &Fingerprint| {
        let files: Vec<_> = print.files.clone().into_iter().filter(|(path, _)| !theirs.contains(path)).collect();
        let is_own = |line: &&Word| !theirs.iter().any(|path| line.as_bytes().ends_with(path.as_bytes()));
        (files, print.index.iter().filter(is_own).cloned().collect::<Vec<_>>())
    };
    assert_eq!(own(&after), own(&before));
    assert_eq!(after.files[&theirs[0]].1, Word::from("new\n"));
    let status = bench.git(&["status", "--porcelain", "--", "changed", "deleted", "dir/added", "new/deep/one"]);
    assert_eq!(status, "", "what landed is neither staged nor edited");
    bench.assert_no_leftovers();
}

#[test]
fn edits_in_the_way_hold_it_and_nothing_is_touched() {
    type Edit = fn(&Bench);
    let cases: &[(&str, &[&str], Edit)] = &[
        ("unstaged", &["changed"], |b| b.write("changed", "edited\n")),
        ("staged", &["changed"], |b| {
            b.write("changed", "edited\n");
            b.git(&["add", "changed"]);
        }),
        ("staged only", &["changed"], |b| {
            let original = fs::read(b.top.join("changed")).unwrap();
            b.write("changed", "edited\n");
            b.git(&["add", "changed"]);
            b.write("changed", original);
        }),
        ("edited, of the same size and with its old time", &["changed"], |b| {
            let place = b.top.join("changed");
            let (seen, content) = (fs::metadata(&place).unwrap(), fs::read(&place).unwrap());
            fs::write(&place, vec![b'#'; content.len()]).unwrap();
            fs::File::open(&place).unwrap().set_modified(seen.modified().unwrap()).unwrap();
        }),
        ("edited, and said to be unchanged", &["changed"], |b| {
            b.git(&["update-index", "--assume-unchanged", "changed"]);
            b.write("changed", "edited\n");
        }),
        ("equal to what would land", &["changed"], |b| b.write("changed", "new\n")),
        ("deleted by hand", &["changed"], |b| fs::remove_file(b.top.join("changed")).unwrap()),
        ("made executable", &["changed"], |b| {
            fs::set_permissions(b.top.join("changed"), fs::Permissions::from_mode(0o755)).unwrap();
        }),
        ("edited, would be deleted", &["deleted"], |b| b.write("deleted", "edited\n")),
        ("untracked", &["dir/added"], |b| b.write("dir/added", "untracked\n")),
        ("intent to add", &["dir/added"], |b| {
            b.write("dir/added", "untracked\n");
            b.git(&["add", "-N", "dir/added"]);
        }),
        ("staged new, file gone", &["dir/added"], |b| {
            b.write("dir/added", "x\n");
            b.git(&["add", "dir/added"]);
            fs::remove_file(b.top.join("dir/added")).unwrap();
        }),
        ("a directory of untracked files", &["dir/added/a", "dir/added/b/c"], |b| {
            b.write("dir/added/a", "a\n");
            b.write("dir/added/b/c", "c\n");
        }),
        ("a file above", &["new"], |b| b.write("new", "file\n")),
        ("a link above", &["new"], |b| {
            fs::create_dir(b.dir.path().join("elsewhere")).unwrap();
            link("../elsewhere", b.top.join("new"));
        }),
        ("ignored", &["new/deep/one"], |b| {
            b.write(".git/info/exclude", "one\n");
            b.write("new/deep/one", "ignored\n");
        }),
        ("assumed unchanged", &["changed"], |b| {
            b.git(&["update-index", "--assume-unchanged", "changed"]);
            b.write("changed", "hidden edit\n");
        }),
        ("several", &["changed", "dir/added"], |b| {
            b.write("changed", "edited\n");
            b.write("dir/added", "untracked\n");
            b.write("unrelated", "untracked\n");
        }),
    ];
    for (name, paths, edit) in cases {
        let (bench, landing) = simple();
        edit(&bench);
        bench.git(&["status"]);
        let before = bench.fingerprint();
        let fold = bench.land(&landing);
        assert_eq!(overlap(&fold), *paths, "{name}");
        assert_eq!(bench.fingerprint(), before, "{name}");
        assert_eq!(bench.head(), landing.from, "{name}");
        bench.assert_no_leftovers();
    }
}

#[test]
fn files_become_directories_and_links_and_back() {
    let bench = Bench::new();
    bench.write("file", "file\n");
    bench.write("dir/a", "a\n");
    bench.write("dir/b", "b\n");
    bench.write("run.sh", "#!/bin/sh\n");
    link("file", bench.top.join("link"));
    bench.write("other", "x\n");
    let base = bench.commit("base");
    bench.git(&["checkout", "-q", "-b", "task"]);
    bench.git(&["rm", "-q", "file", "dir/a", "dir/b", "link"]);
    bench.write("file/now/a", "directory\n");
    link("file/now", bench.top.join("dir"));
    bench.write("link", "now a file\n");
    fs::set_permissions(bench.top.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let odd = [&b"-dash"[..], b"new\nline", b"not \xff utf-8", b"\"quoted\"", b" space ", b":(top)x", b"caf\xc3\xa9"];
    for name in odd {
        bench.write(Word::from(name.to_vec()).as_path(), name);
    }
    let tip = bench.commit("by task");
    bench.git(&["checkout", "-q", "main"]);
    let there = bench.planned(base, tip);
    // Each odd name is held by an untracked file of that name.
    for name in odd {
        let place = bench.top.join(Word::from(name.to_vec()).as_path());
        fs::write(&place, "mine").unwrap();
        assert!(
            matches!(bench.land(&there), Fold::Held(Hold::Overlap { paths, .. }) if paths == [Word::from(name.to_vec())])
        );
        fs::remove_file(&place).unwrap();
    }
    // An untracked file in a directory that becomes a link.
    bench.write("dir/untracked", "mine\n");
    assert_eq!(overlap(&bench.land(&there)), ["dir/untracked"]);
    fs::remove_file(bench.top.join("dir/untracked")).unwrap();
    assert_eq!(bench.land(&there), Fold::Done);
    bench.assert_tidy();
    let back = Landing { from: there.to, to: bench.change_with(base, &[], "back", &[there.to]) };
    assert_eq!(bench.land(&back), Fold::Done);
    bench.assert_tidy();
}

#[test]
fn a_target_that_moved_is_not_touched() {
    let (bench, landing) = simple();
    bench.write("mine", "more\n");
    bench.commit("meanwhile");
    let before = bench.fingerprint();
    assert_eq!(bench.land(&landing), Fold::Moved);
    assert_eq!(bench.fingerprint(), before);
    bench.git(&["checkout", "-q", "--detach"]);
    bench.git(&["branch", "-q", "-D", "main"]);
    assert_eq!(bench.land(&landing), Fold::Held(Hold::NoTarget { target: main() }));
}

#[test]
fn without_a_checkout_only_the_ref_moves() {
    let (bench, landing) = simple();
    bench.git(&["checkout", "-q", "-b", "elsewhere"]);
    let before = bench.fingerprint();
    assert_eq!(bench.land(&landing), Fold::Done);
    assert_eq!(bench.head(), landing.to);
    assert_eq!(bench.fingerprint(), before);
    let bare = bench.dir.path().join("bare.git");
    bench.git(&["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    let repo = Repository::at(&bare);
    repo.update_refs(&[pleach::git::refs::RefChange::Set(main().full(), landing.from)], "back").unwrap();
    let lock = FoldLock::acquire(&repo).unwrap();
    assert_eq!(land(&repo, &lock, &main(), &landing, &marks(&landing), &|_| {}).unwrap(), Fold::Done);
    assert_eq!(repo.head_of(&main()).unwrap(), Some(landing.to));
}

#[test]
fn a_linked_worktree_can_be_the_checkout() {
    for relative in ["false", "true"] {
        let (bench, landing) = simple();
        bench.git(&["checkout", "-q", "-b", "elsewhere"]);
        let linked = bench.dir.path().canonicalize().unwrap().join("linked\nodd");
        bench.git(&["config", "worktree.useRelativePaths", relative]);
        bench.git(&["worktree", "add", "-q", linked.to_str().unwrap(), "main"]);
        let gone = bench.dir.path().join("gone");
        bench.git(&["worktree", "add", "-q", "--force", gone.to_str().unwrap(), "main"]);
        let fold = bench.land(&landing);
        assert!(matches!(&fold, Fold::Held(Hold::SeveralCheckouts { checkouts }) if checkouts.len() == 2), "{fold:?}");
        fs::remove_dir_all(&gone).unwrap();
        assert_eq!(checkouts_of(&bench.repo, &main()).unwrap().len(), 1, "a directory that is gone does not count");
        fs::write(linked.join("mine"), "edited\n").unwrap();
        assert_eq!(bench.land(&landing), Fold::Done);
        assert_eq!(bench.git_in(&linked, &["status", "--porcelain"]), " M mine");
        assert_eq!(bench.git_in(&linked, &["reflog", "-1", "--format=%gs", "HEAD"]), "pleach: fold");
        bench.assert_tidy();
    }
}

#[test]
fn work_under_way_holds_it() {
    for (operation, start) in [
        ("merge", &["merge", "other"][..]),
        ("cherry-pick", &["cherry-pick", "other"]),
        ("revert", &["revert", "--no-edit", "HEAD~1"]),
        ("rebase", &["rebase", "other"]),
        ("bisect", &["bisect", "start"]),
    ] {
        let (bench, landing) = simple();
        bench.git(&["branch", "other", "HEAD~1"]);
        bench.git(&["checkout", "-q", "other"]);
        bench.write("mine", "other\n");
        bench.commit("on other");
        bench.git(&["checkout", "-q", "main"]);
        let landing = if operation == "revert" {
            for content in ["again\n", "and again\n"] {
                bench.write("mine", content);
                bench.commit("by user");
            }
            let tip = bench.change(landing.from, &[("changed", Some("new\n"))]);
            bench.planned(landing.from, tip)
        } else {
            landing
        };
        drop(Tool::git().dir(&bench.top).args(start).output().unwrap());
        let before = bench.fingerprint();
        let fold = bench.land(&landing);
        assert!(
            matches!(&fold, Fold::Held(Hold::Unfinished { operation: o, .. }) if o == operation),
            "{operation}: {fold:?}"
        );
        assert_eq!(bench.fingerprint(), before);
        assert_eq!(bench.head(), landing.from);
    }
}

#[test]
fn a_hook_may_refuse_and_is_quoted() {
    let (bench, landing) = simple();
    let hook = bench.top.join(".git/hooks/reference-transaction");
    fs::write(&hook, "#!/bin/sh\ngrep -q refs/heads/main && test \"$1\" = prepared && echo 'not on a Friday' >&2 && exit 1\nexit 0\n")
        .unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let before = bench.fingerprint();
    let fold = bench.land(&landing);
    assert!(matches!(&fold, Fold::Held(Hold::Refused { reason }) if reason.contains("not on a Friday")), "{fold:?}");
    assert_eq!(bench.fingerprint(), before);
    assert_eq!(bench.head(), landing.from);
    fs::remove_file(&hook).unwrap();
    assert_eq!(bench.land(&landing), Fold::Done);
    bench.assert_tidy();
}

#[test]
fn a_lock_of_somebody_else_is_respected() {
    for lock in ["index.lock", "HEAD.lock", "refs/heads/main.lock"] {
        let (bench, landing) = simple();
        let before = bench.fingerprint();
        let place = bench.top.join(".git").join(lock);
        fs::write(&place, "theirs").unwrap();
        let fold = bench.land(&landing);
        assert!(matches!(&fold, Fold::Held(Hold::Refused { reason }) if reason.contains(".lock")), "{lock}: {fold:?}");
        assert_eq!(fs::read(&place).unwrap(), b"theirs");
        assert_eq!(bench.fingerprint(), before);
        fs::remove_file(place).unwrap();
        assert_eq!(bench.land(&landing), Fold::Done, "{lock}");
        bench.assert_tidy();
    }
}

#[test]
fn filters_and_line_ends_are_those_of_a_checkout() {
    let bench = Bench::new();
    bench.git(&["config", "filter.shout.smudge", "tr a-z A-Z"]);
    bench.git(&["config", "filter.shout.clean", "tr A-Z a-z"]);
    bench.git(&["config", "filter.shout.required", "true"]);
    bench.write(".gitattributes", "*.big filter=shout\n*.crlf text eol=crlf\n");
    bench.write("a.big", "PAYLOAD\n");
    let base = bench.commit("base");
    let tip =
        bench.change(base, &[("a.big", Some("new payload\n")), ("b.big", Some("b\n")), ("c.crlf", Some("1\n2\n"))]);
    let landing = bench.planned(base, tip);
    // A filter that fails in the middle: what was written is taken back.
    bench.git(&["config", "filter.shout.smudge", "tr a-z A-Z | grep -v ^B"]);
    let before = bench.fingerprint();
    let fold = bench.land(&landing);
    assert!(matches!(fold, Fold::Held(Hold::Refused { .. })), "{fold:?}");
    assert_eq!(bench.fingerprint(), before);
    bench.git(&["config", "filter.shout.smudge", "tr a-z A-Z"]);
    assert_eq!(bench.land(&landing), Fold::Done);
    assert_eq!(fs::read(bench.top.join("a.big")).unwrap(), b"NEW PAYLOAD\n");
    assert_eq!(fs::read(bench.top.join("c.crlf")).unwrap(), b"1\r\n2\r\n");
    bench.assert_tidy();
}

#[test]
fn a_sparse_checkout_stays_sparse() {
    let (bench, landing) = simple();
    bench.git(&["sparse-checkout", "set", "--cone", "dir"]);
    assert_eq!(bench.land(&landing), Fold::Done);
    assert!(!bench.top.join("new").exists() && bench.top.join("dir/added").exists());
    bench.assert_tidy();
}

#[test]
fn reftable_lands_tree_first() {
    let bench = Bench::with(&["--ref-format=reftable"]);
    bench.write("f", lines(&[]));
    bench.write("mine", "mine\n");
    let base = bench.commit("base");
    let tip = bench.change(base, &[("f", Some("new\n")), ("dir/added", Some("added\n"))]);
    bench.write("mine", "staged\n");
    bench.git(&["add", "mine"]);
    let landing = bench.planned(base, tip);
    let before = bench.fingerprint();
    // Somebody moves the target in the last moment: the files go back.
    let lock = FoldLock::acquire(&bench.repo).unwrap();
    let moved = bench.change(base, &[("elsewhere", Some("x\n"))]);
    let meddle = |point: &str| {
        if point == "land.tree_updated" {
            bench.git(&["update-ref", "refs/heads/main", &moved.to_string()]);
        }
    };
    assert_eq!(land(&bench.repo, &lock, &main(), &landing, &marks(&landing), &meddle).unwrap(), Fold::Moved);
    assert_eq!(bench.fingerprint(), before);
    bench.git(&["update-ref", "refs/heads/main", &base.to_string()]);
    drop(lock);
    assert_eq!(bench.land(&landing), Fold::Done);
    assert_eq!(bench.git(&["status", "--porcelain"]), "M  mine");
    assert_eq!(bench.head(), landing.to);
}

#[test]
fn submodule_links_move_and_their_checkouts_do_not() {
    let (bench, landing) = simple();
    let inner = bench.dir.path().join("inner");
    bench.git(&["clone", "-q", ".", inner.to_str().unwrap()]);
    bench.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", inner.to_str().unwrap(), "sub"]);
    let base = bench.commit("with a submodule");
    bench.git(&["config", "submodule.recurse", "true"]);
    let index = bench.dir.path().join("index2");
    let git = || bench.repo.git().env("GIT_INDEX_FILE", &index);
    git().args(["read-tree", &base.to_string()]).run().unwrap();
    git().args(["update-index", "--cacheinfo", &format!("160000,{},sub", landing.from)]).run().unwrap();
    let older = bench.git(&["rev-parse", "HEAD~2"]);
    git().args(["update-index", "--cacheinfo", &format!("160000,{older},sub")]).run().unwrap();
    let tree = git().arg("write-tree").line().unwrap();
    let tip = bench.git(&["commit-tree", "-m", "move it", "-p", &base.to_string(), &tree]).parse().unwrap();
    bench.write("sub/mine", "edited in the submodule\n");
    let landing = bench.planned(base, tip);
    let inside = bench.git(&["-C", "sub", "rev-parse", "HEAD"]);
    assert_eq!(bench.land(&landing), Fold::Done);
    assert_eq!(bench.git(&["-C", "sub", "rev-parse", "HEAD"]), inside);
    assert_eq!(fs::read_to_string(bench.top.join("sub/mine")).unwrap(), "edited in the submodule\n");
    assert!(bench.git(&["ls-files", "-s", "sub"]).contains(&older));
}

/// Everybody plans on the head that they see, and tries again where it moved.
#[test]
fn many_at_once_all_land() {
    const MANY: usize = 8;
    let bench = Bench::new();
    for n in 0..MANY {
        bench.write(format!("file {n}"), "old\n");
    }
    bench.write("mine", "mine\n");
    let base = bench.commit("base");
    let tips: Vec<_> = (0..MANY).map(|n| bench.change(base, &[(&format!("file {n}"), Some("new\n"))])).collect();
    bench.write("mine", "staged\n");
    bench.git(&["add", "mine"]);
    bench.write("mine", "edited\n");
    bench.write("untracked", "untracked\n");
    let moved = Mutex::new(0);
    std::thread::scope(|scope| {
        for tip in &tips {
            scope.spawn(|| {
                loop {
                    let landing = bench.planned(base, *tip);
                    match bench.land(&landing) {
                        Fold::Done => break,
                        Fold::Moved => *moved.lock().unwrap() += 1,
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
    });
    assert_eq!(bench.git(&["rev-list", "--count", "--first-parent", &format!("{base}..main")]), MANY.to_string());
    for n in 0..MANY {
        assert_eq!(fs::read_to_string(bench.top.join(format!("file {n}"))).unwrap(), "new\n");
    }
    assert_eq!(bench.git(&["status", "--porcelain"]), "MM mine\n?? untracked");
    bench.assert_no_leftovers();
}
