//! A structural merge driver: tried only after git said conflict, marked, and never landed without a check.

use std::os::unix::ffi::OsStrExt;

use super::{merge, result, runs, scene as with_check};
use crate::support::scene::Scene;

/// A driver that takes the lines of both sides, writes down for which path it was asked, and does not like some lines.
fn driver(scene: &Scene) -> String {
    let script = format!(
        "printf '%s\\n' \"$4\" >> {log}\n\
         grep -q refuse \"$3\" && exit 1\n\
         grep -q lie \"$3\" && printf '<<<<<<< a\\n=======\\n>>>>>>> b\\n' > \"$2\" && exit 0\n\
         test -e \"$1\" && sort -u \"$2\" \"$3\" > both && mv both \"$2\"\n",
        log = scene.path("asked").display()
    );
    std::fs::write(scene.path("driver"), script).unwrap();
    format!("sh {} %O %A %B %P", scene.path("driver").display())
}

fn asked(scene: &Scene) -> String {
    std::fs::read_to_string(scene.path("asked")).unwrap_or_default()
}

/// The check of the queue, and this driver, approved.
fn scene(more: &str) -> Scene {
    let scene = with_check("deterministic = true\n");
    configure(&scene, more);
    scene.write("list", "m\n");
    scene.write("other", "m\n");
    scene.git(&["add", "."]);
    scene.git(&["commit", "-qm", "lists"]);
    scene.ok(&["approve", "--yes"]);
    scene
}

fn configure(scene: &Scene, more: &str) {
    let line = driver(scene);
    let verify = "[verify]\ncommand = \"sh tools/check\"\ndeterministic = true\n";
    scene.write(".pleach.toml", format!("{verify}{more}\n[merge]\ndriver = '{line}'\npatterns = ['list*', 'b*']\n"));
}

#[test]
fn it_merges_what_git_does_not_and_that_is_marked() {
    let scene = scene("");
    let ids = [
        result(&scene, "echo a > list"),
        result(&scene, "echo z > list; echo fine > a1"),
        result(&scene, "echo 1 > x"),
    ];
    let ran = merge(&scene, &ids);
    assert_eq!((ran.code, asked(&scene).lines().next()), (Some(0), Some("list")), "{ran:?}");
    assert_eq!(scene.git(&["show", "main:list"]), "a\nz");
    assert_eq!(scene.git(&["show", "main:a1"]), "fine");
    assert!(runs(&scene) > 0);
    let told = scene.git(&["log", "--format=%(trailers:key=Pleach-Merged-By,valueonly,separator=;)", "main"]);
    assert_eq!(told.split_whitespace().collect::<Vec<_>>(), ["sh", "in", "list"], "one commit has the mark");
    let status = scene.status(ids[1].parse().unwrap());
    assert_eq!(status["landed"]["merged_by"], "sh in list");
    assert!(scene.ok(&["status", &ids[1]]).contains("merged by driver sh in list"));
    assert!(!scene.ok(&["status", &ids[0]]).contains("merged by"));
    let events = scene.ok(&["events", "--json"]);
    let mark = format!("\"driven\":[{{\"task\":{},\"driver\":\"sh\",\"paths\":[\"list\"]}}]", ids[1]);
    assert!(events.lines().any(|line| line.contains("verify_started") && line.contains(&mark)), "{events}");
    assert_eq!(scene.git(&["status", "--porcelain"]), "");
    scene.git(&["fsck", "--no-dangling"]);
    scene.assert_tidy();
}

#[test]
fn what_it_merged_does_not_land_without_a_check() {
    let scene = scene("");
    let ids = [result(&scene, "echo a > list"), result(&scene, "echo z > list")];
    let ran = scene.pleach(&["merge", "--no-verify", &ids[0], &ids[1]]);
    assert_eq!((ran.code, asked(&scene).as_str(), runs(&scene)), (Some(5), "", 0), "{ran:?}");
    assert!(ran.out.contains("sh was not tried, for what it merges lands only after a check: set [verify]"), "{ran:?}");
    // A check that says no is no less a check.
    let bad = scene.add(&["--base", "main~1"], "echo b > list; echo bad > a").to_string();
    scene.ok(&["wait", &bad]);
    let head = scene.git(&["rev-parse", "main"]);
    let ran = merge(&scene, &[bad]);
    assert_eq!((ran.code, scene.git(&["rev-parse", "main"])), (Some(8), head), "{ran:?}");
    assert!(asked(&scene).starts_with("list\n"));
    assert_eq!(merge(&scene, &[ids[1].clone()]).code, Some(0));
    assert_eq!(scene.git(&["show", "main:list"]), "a\nz");
}

#[test]
fn where_it_cannot_tell_the_conflict_stands() {
    let scene =
        scene("[[verify.scope]]\npaths = ['list', 'other', 'binary', 'list-link']\ncommand = 'sh tools/check'\n");
    std::fs::write(scene.top.join("binary"), b"\0m").unwrap();
    scene.write("list-outside", "m\n");
    scene.git(&["add", "."]);
    scene.git(&["commit", "-qm", "more"]);
    let lines = [
        ("it says no", "echo refuse > list", "list\n"),
        ("it leaves markers", "echo lie > list", "list\n"),
        ("it is not for that file", "echo z > other", ""),
        ("one of two files is not for it", "echo z > list; echo z > other", ""),
        ("no text", "printf '\\0z' > binary", ""),
        ("one side deleted it", "rm list", ""),
        ("one side made a link of it", "rm list; ln -s z list", ""),
        ("no scope looks at it", "echo z > list-outside", "list-outside\n"),
    ];
    let ids: Vec<String> = lines.iter().map(|(_, line, _)| result(&scene, line)).collect();
    for path in ["list", "other", "list-outside"] {
        scene.write(path, "a\n");
    }
    std::fs::write(scene.top.join("binary"), b"\0a").unwrap();
    scene.git(&["commit", "-qam", "theirs"]);
    let head = scene.git(&["rev-parse", "main"]);
    for ((what, _, expected), id) in lines.iter().zip(ids) {
        let _ = std::fs::remove_file(scene.path("asked"));
        let ran = merge(&scene, &[id]);
        assert_eq!((ran.code, asked(&scene).as_str()), (Some(5), *expected), "{what}: {ran:?}");
        assert_eq!(scene.git(&["rev-parse", "main"]), head, "{what}");
    }
    // Replayed commits keep their own words, so nothing could mark them.
    let id = scene.add(&["--base", "main~1"], "echo z > list").to_string();
    scene.ok(&["wait", &id]);
    let ran = scene.pleach(&["merge", "--rebase", &id]);
    assert_eq!((ran.code, asked(&scene).matches("list\n").count()), (Some(5), 0), "{ran:?}");
    assert_eq!(scene.pleach(&["merge", "--squash", &id]).code, Some(0));
    assert!(scene.git(&["log", "-1", "--format=%B", "main"]).contains("Pleach-Merged-By: sh in list"));
}

#[test]
fn odd_names_and_executable_files() {
    let scene = scene("");
    let odd = std::ffi::OsStr::from_bytes(b"b'$(touch hurt)\"\n\xff");
    let name = "\"$(printf \"b'\\044(touch hurt)\\\"\\n\\377\")\"";
    std::fs::write(scene.top.join(odd), "m\n").unwrap();
    scene.git(&["add", "."]);
    scene.git(&["commit", "-qm", "odd"]);
    let id = result(&scene, &format!("echo z > {name}; chmod +x {name}"));
    std::fs::write(scene.top.join(odd), "a\n").unwrap();
    scene.git(&["commit", "-qam", "theirs"]);
    let ran = merge(&scene, &[id]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(std::fs::read_to_string(scene.top.join(odd)).unwrap(), "a\nz\n");
    assert!(scene.git(&["ls-tree", "main", "b*"]).is_empty());
    assert!(scene.git(&["ls-tree", "main"]).contains("100755 blob"));
    assert_eq!(scene.git(&["status", "--porcelain"]), "");
}

#[test]
fn that_of_the_repository_needs_approval() {
    let scene = with_check("deterministic = true\n");
    let id = result(&scene, "echo fine > a");
    configure(&scene, "");
    let ran = scene.pleach(&["merge", &id]);
    assert!(
        ran.code != Some(0) && ran.err.contains("merge.driver") && ran.err.contains("nobody has approved"),
        "{ran:?}"
    );
    scene.ok(&["approve", "--yes"]);
    assert_eq!(scene.pleach(&["merge", &id]).code, Some(0));
}
