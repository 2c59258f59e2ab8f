//! Names of files, of branches, and of the repository itself.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use crate::support::cli::{FILES, at_top, changed, held, made_by, round, round_of, task, told};
use crate::support::scene::Scene;

#[test]
fn files_of_any_names_go_the_whole_round() {
    let scene = Scene::new();
    let names =
        [&b" s p "[..], b"-dash", b"--option=x", b"a\\b", b"c\x01\x1b[31m", b"n\nl", b"q'\"`$(x)", b"*", b":(top)m"];
    for name in names.iter().chain([&&b"\xff\xfe"[..]]) {
        fs::write(scene.top.join(OsStr::from_bytes(name)), "one\n").unwrap();
    }
    scene.git(&["add", "-A"]);
    scene.git(&["commit", "-qm", "odd"]);
    scene.make_dirty();
    let line = "for f in *; do case $f in readme|mine|staged|dir) ;; *) echo two >> \"./$f\"; echo new > \"./x$f\";; esac; done";
    let mut paths: Vec<Vec<u8>> = names.iter().chain([&&b"\xff\xfe"[..]]).map(|name| name.to_vec()).collect();
    paths.extend(paths.clone().into_iter().map(|name| [b"x", &name[..]].concat()));
    paths.sort();
    let paths: Vec<String> = paths.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    round_of(&scene, line, &paths.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn what_is_printed_of_odd_names_cannot_act_on_a_terminal() {
    let scene = Scene::new();
    let id = task(&scene, "printf x > \"$(printf 'a\\033[31m\\nb')\"; ln -s /etc/passwd \"$(printf 'l\\033[2J')\"");
    let word = id.to_string();
    for args in [&["ls"][..], &["status", &word], &["diff", "--stat", &word], &["diff", "--name-only", &word]] {
        let shown = scene.ok(args);
        assert!(!shown.contains('\u{1b}'), "{args:?}: {shown:?}");
    }
    let shown = scene.pleach(&["merge", &word]);
    assert_eq!((shown.code, shown.out.lines().count()), (Some(6), 3), "{shown:?}");
    assert!(!shown.out.contains('\u{1b}'), "{shown:?}");
    assert_eq!(changed(&scene, id), ["a\u{1b}[31m\nb", "l\u{1b}[2J"]);
}

#[test]
fn a_repository_at_a_path_of_any_bytes() {
    let long = ["d".repeat(120), "e".repeat(120)].join("/");
    let names = [&b"with space"[..], b"new\nline", b"-dash", b"not-utf8-\xff", b"quote'\"colon:semi;", long.as_bytes()];
    for name in names {
        let scene = made_by(OsStr::from_bytes(name), &format!("cd \"$TOP\"; git init -q; {FILES}"));
        round(&scene);
    }
}

#[test]
fn a_branch_in_the_way_of_the_results_branch_costs_nothing_but_the_branch() {
    let scene = Scene::new();
    scene.git(&["branch", "pleach"]);
    let id = task(&scene, "echo more >> readme");
    assert_eq!(scene.stands(id), "ready");
    let note = told(&scene, id, "note").concat();
    assert!(note.contains("in the way of pleach/1; rename that, or set `[branch] prefix`"), "{note}");
    scene.ok(&["merge", "1"]);
    scene.ok(&["undo", "1"]);
    scene.ok(&["discard", "1"]);
    scene.git(&["branch", "-m", "pleach", "other"]);
    scene.ok(&["restore", "1"]);
    assert_eq!(scene.git(&["diff", "--name-only", "main", "pleach/1"]), "readme");
}

#[test]
fn a_branch_below_the_results_branch_gives_it_another_name() {
    let scene = Scene::new();
    scene.git(&["branch", "pleach/1/x"]);
    task(&scene, "echo more >> readme");
    assert_eq!(told(&scene, 1, "branch"), ["pleach/1.1"]);
    scene.ok(&["merge", "1"]);
    assert_eq!(scene.git(&["branch", "--list", "pleach/*", "--format=%(refname:short)"]), "pleach/1/x");
}

#[test]
fn names_that_differ_only_in_case_are_flagged() {
    let scene = Scene::new();
    task(&scene, "echo 1 > README; mkdir DIR; echo 1 > DIR/Kept");
    let flags = told(&scene, 1, "flag");
    assert!(flags.iter().any(|flag| flag == "README and readme are one file where case does not count"), "{flags:?}");
    assert!(
        flags.iter().any(|flag| flag == "DIR/Kept and dir/kept are one file where case does not count"),
        "{flags:?}"
    );
    held(&scene, &["merge", "1"], "README and readme", "`pleach merge --accept-flags 1`");
    scene.ok(&["merge", "--accept-flags", "1"]);
    assert_eq!(scene.read("README"), "1\n");
    assert_eq!(at_top(&scene, "git status --porcelain"), "");
}
