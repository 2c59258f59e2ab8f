//! What did not go in is handed back: a new attempt starts on what the target is now, and is told why.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use serde_json::Value;

use super::{merge, result, scene as with_check};
use crate::support::scene::Scene;

/// A task that does this, and keeps what it was given back in `given`.
fn task(scene: &Scene, line: &str) -> String {
    task_on(scene, "HEAD", line)
}

fn task_on(scene: &Scene, base: &str, line: &str) -> String {
    let given = scene.path("given");
    let keep = format!(
        "if test -n \"$PLEACH_HANDBACK\"; then rm -rf {given}; cp -r \"$PLEACH_HANDBACK\" {given}; \
         echo \"$PLEACH_HANDBACK_KIND $PLEACH_HANDBACK_TIP\" > {given}/env; \
         git cat-file -p \"$PLEACH_HANDBACK_TIP\" > {given}/tip; fi",
        given = given.display()
    );
    let id = scene.add(&["--base", base], &format!("{keep}; {line}")).to_string();
    scene.ok(&["wait", &id]);
    id
}

fn given(scene: &Scene, name: &str) -> String {
    String::from_utf8_lossy(&std::fs::read(scene.path("given").join(name)).unwrap()).into_owned()
}

fn material(scene: &Scene) -> Value {
    serde_json::from_str(&given(scene, "handback.json")).unwrap()
}

fn again(scene: &Scene, id: &str) {
    scene.ok(&["retry", "--onto-target", id]);
    scene.ok(&["wait", id]);
}

fn commit(scene: &Scene, path: &str, content: &str) {
    scene.write(path, content);
    scene.git(&["add", "-A"]);
    scene.git(&["commit", "-qm", path]);
}

#[test]
fn a_conflict_is_made_anew_on_the_new_head_and_lands() {
    let scene = Scene::with_concurrency(4);
    commit(&scene, "list", "one\ntwo\nthree\n");
    let first = task(&scene, "sed -i s/two/2/ list");
    let second = task(&scene, "sed -i 's/\\(two\\|2\\)/& and more/' list");
    let plain = task(&scene, "true; echo alone > alone");
    let ran = merge(&scene, &[first, second.clone()]);
    assert_eq!(ran.code, Some(5), "{ran:?}");
    assert!(ran.out.contains(&format!("pleach retry {second} --onto-target")), "{ran:?}");
    assert!(scene.ok(&["status", &second]).contains(&format!("pleach retry {second} --onto-target")));

    again(&scene, &second);
    let (head, told) = (scene.git(&["rev-parse", "main"]), material(&scene));
    assert_eq!(
        (&told["kind"], &told["target"], &told["onto"]),
        (&"conflict".into(), &"main".into(), &head.as_str().into())
    );
    let path = &told["paths"][0];
    assert_eq!((&told["conflicts"], &path["path"]), (&true.into(), &"list".into()));
    let hunk = path["hunks"][0].as_str().unwrap();
    assert!(
        hunk.starts_with("one\n<<<<<<<")
            && hunk.contains("\n2\n|||||||")
            && hunk.contains("\ntwo\n=======\ntwo and more\n")
    );
    assert_eq!(given(&scene, "merged-1"), hunk);
    // Both sides' commits are named, and the earlier result is reachable from inside.
    let tip = told["earlier"]["tip"].as_str().unwrap();
    assert_eq!(path["theirs"], tip);
    assert!(path["ours"].is_string());
    assert_eq!(given(&scene, "env"), format!("conflict {tip}\n"));
    assert!(given(&scene, "tip").contains("tree "));
    assert!(given(&scene, "change.patch").contains("\n-two\n+two and more\n"));
    let text = given(&scene, "handback.md");
    assert!(text.contains("conflict in list") && text.contains("\n### list\n") && text.contains(hunk), "{text}");

    let attempt = &scene.status(second.parse().unwrap())["attempts"][1];
    assert_eq!((&attempt["base"], &attempt["hand_back"]["attempt"]), (&head.into(), &1.into()));
    assert_eq!(attempt["hand_back"]["refusal"]["refusal"], "conflict");
    let shown = scene.ok(&["status", &second]);
    assert!(shown.contains("given     the result of attempt 1, onto main: conflict in list"), "{shown}");
    // The earlier result is kept, and the new one goes in.
    scene.git(&["rev-parse", &format!("refs/pleach/kept/{second}.1/tip")]);
    let ran = merge(&scene, &[second]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(scene.git(&["show", "main:list"]), "one\n2 and more\nthree");

    // A result that nobody refused can be made anew too.
    again(&scene, &plain);
    assert_eq!((&material(&scene)["kind"], &material(&scene)["conflicts"]), (&"ready".into(), &false.into()));
    assert_eq!(merge(&scene, &[plain]).code, Some(0));
    scene.assert_tidy();
}

#[test]
fn a_rejection_is_told_with_the_end_of_the_log() {
    let scene = with_check("deterministic = true\n");
    let good = result(&scene, "touch x");
    assert_eq!(merge(&scene, &[good]).code, Some(0));
    // It does not know of that until it starts on it.
    let base = scene.git(&["rev-parse", "main~1"]);
    let id = task_on(&scene, &base, "if test -e x; then touch z; else touch y; fi");
    let ran = merge(&scene, std::slice::from_ref(&id));
    assert_eq!(ran.code, Some(8), "{ran:?}");
    again(&scene, &id);
    let told = material(&scene);
    let check = &told["check"];
    assert_eq!(
        (&told["kind"], &told["conflicts"], &check["verdict"]),
        (&"rejected".into(), &false.into(), &"red".into())
    );
    assert_eq!((&check["code"], &check["log_tail"]), (&3.into(), &"x and y clash\n".into()));
    assert_eq!((&check["command"], given(&scene, "check.log").as_str()), (&"sh tools/check".into(), "x and y clash\n"));
    assert_eq!(check["runs"].as_array().unwrap().len(), 1);
    let text = given(&scene, "handback.md");
    assert!(text.contains("red, exit 3") && text.contains("```\nx and y clash\n```\n"), "{text}");
    assert!(scene.ok(&["status", &id]).contains("onto main: the check says no"));
    assert_eq!(merge(&scene, &[id]).code, Some(0));
    super::assert_always_green(&scene);
}

#[test]
fn odd_names_and_what_is_no_text() {
    let scene = Scene::with_concurrency(4);
    let odd: PathBuf = OsStr::from_bytes(b"a`b\"\n\xff").into();
    let name = "\"$(printf 'a`b\"\\n\\377')\"";
    let write = |path: &PathBuf, content: &[u8]| std::fs::write(scene.top.join(path), content).unwrap();
    write(&odd, b"one\n");
    write(&"bin".into(), b"\0one");
    commit(&scene, "gone", "1\n");
    let id = task(&scene, &format!("printf '```\\nmine\\n' > {name}; printf '\\0mine' > bin; echo 2 > gone"));
    write(&odd, b"theirs\n");
    write(&"bin".into(), b"\0theirs");
    std::fs::remove_file(scene.top.join("gone")).unwrap();
    scene.git(&["commit", "-qam", "theirs"]);
    assert_eq!(merge(&scene, std::slice::from_ref(&id)).code, Some(5));
    again(&scene, &id);
    let told = material(&scene);
    let paths = told["paths"].as_array().unwrap();
    assert_eq!(paths.len(), 3, "{told:#}");
    assert_eq!(paths[0]["path"]["bytes"].as_array().unwrap().last().unwrap(), 255);
    let merged = given(&scene, paths[0]["merged"].as_str().unwrap());
    assert!(merged.contains("theirs\n") && merged.contains("```\nmine\n"), "{merged}");
    assert_eq!(
        (&paths[1]["path"], &paths[1]["binary"], &paths[1]["hunks"]),
        (&"bin".into(), &true.into(), &Value::Null)
    );
    assert_eq!((&paths[2]["path"], &paths[2]["sides"][1]), (&"gone".into(), &Value::Null));
    let text = given(&scene, "handback.md");
    assert!(text.contains("\n### a`b\"\\n\\xff\n"), "{text}");
    assert!(text.contains("\n````\n<<<<<<<") && text.contains("there is no such file in main"), "{text}");
    assert_eq!(merge(&scene, &[id]).code, Some(0));
}

#[test]
fn killed_on_the_way_it_is_handed_back_all_the_same() {
    let scene = Scene::with_concurrency(4);
    let id = task(&scene, "echo $PLEACH_ATTEMPT > list");
    commit(&scene, "list", "theirs\n");
    for (number, point) in ["start.planned", "launch.checked_out", "launch.spec_written"].into_iter().enumerate() {
        let _ = std::fs::remove_dir_all(scene.path("given"));
        scene.arm(point);
        again(&scene, &id);
        assert!(!scene.is_armed(point), "{point}");
        let (told, attempts) = (material(&scene), scene.status(id.parse().unwrap())["attempts"].clone());
        let last = &attempts[number + 1];
        assert_eq!((&told["attempt"], &told["earlier"]["attempt"]), (&last["id"], &attempts[number]["id"]), "{point}");
        assert_eq!(
            (&told["onto"], &told["onto"]),
            (&last["base"], &scene.git(&["rev-parse", "main"]).into()),
            "{point}"
        );
        assert_eq!((&told["kind"], &told["conflicts"]), (&"ready".into(), &(number == 0).into()), "{point}");
    }
    assert_eq!(merge(&scene, &[id]).code, Some(0));
    scene.assert_tidy();
}

#[test]
fn only_where_there_is_a_target_and_a_result() {
    let scene = Scene::with_concurrency(4);
    let failed = scene.add(&[], "exit 3").to_string();
    scene.pleach(&["wait", &failed]);
    let ran = scene.pleach(&["retry", "--onto-target", &failed]);
    assert!(ran.code != Some(0) && ran.err.contains("no result of it to hand back"), "{ran:?}");

    scene.git(&["branch", "side"]);
    let id =
        scene.add(&["--into", "side"], "echo $PLEACH_ATTEMPT > a; test -z \"$PLEACH_HANDBACK\" || exit 4").to_string();
    scene.ok(&["wait", &id]);
    scene.git(&["branch", "-D", "side"]);
    let ran = scene.pleach(&["retry", "--onto-target", &id]);
    assert!(
        ran.code != Some(0) && ran.err.contains("there is no branch side") && ran.err.contains("git branch side"),
        "{ran:?}"
    );
    assert_eq!(scene.stands(id.parse().unwrap()), "ready");

    // An attempt that left nothing is given the same again; a bare retry starts where the first one did.
    scene.git(&["commit", "-q", "--allow-empty", "-m", "later"]);
    scene.git(&["branch", "side"]);
    for _ in 0..2 {
        scene.ok(&["retry", "--onto-target", &id]);
        assert_eq!(scene.pleach(&["wait", &id]).code, Some(4));
    }
    scene.ok(&["retry", &id]);
    scene.ok(&["wait", &id]);
    let attempts = scene.status(id.parse().unwrap())["attempts"].clone();
    let given: Vec<&Value> = attempts.as_array().unwrap().iter().map(|one| &one["hand_back"]["attempt"]).collect();
    assert_eq!(given, [&Value::Null, &1.into(), &1.into(), &Value::Null]);
    assert_eq!(
        (&attempts[2]["base"], &attempts[3]["base"]),
        (&scene.git(&["rev-parse", "side"]).into(), &attempts[0]["base"])
    );
}

#[test]
fn what_rerere_knows_is_offered_and_not_taken() {
    let scene = Scene::with_concurrency(4);
    commit(&scene, "a dir/list", "one\ntwo\nthree\nfour\n");
    let id = task(&scene, "printf 'one\\nmine\\nthree\\n4\\n' > 'a dir/list'");
    commit(&scene, "a dir/list", "one\ntheirs\nthree\nfour\n");
    // Somebody resolves it by hand, once, and takes that back.
    scene.git(&["config", "rerere.enabled", "true"]);
    scene.git(&["config", "merge.conflictStyle", "zdiff3"]);
    let branch = scene.status(id.parse().unwrap())["branch"].as_str().unwrap().to_owned();
    scene.git(&["-c", &format!("alias.try=!git merge -q {branch} || true"), "try"]);
    assert!(scene.read("a dir/list").contains("<<<<<<<"));
    commit(&scene, "a dir/list", "one\nboth\nthree\n4\n");
    scene.git(&["reset", "-q", "--hard", "HEAD~1"]);
    let cache = || fingerprint(&scene.top.join(".git/rr-cache"));
    let before = cache();
    assert!(!before.is_empty());

    assert_eq!(merge(&scene, std::slice::from_ref(&id)).code, Some(5));
    assert_eq!(scene.status(id.parse().unwrap())["rerere"][0], "a dir/list");
    assert!(scene.ok(&["status", &id]).contains("git rerere knows a resolution for a dir/list"));
    again(&scene, &id);
    let path = &material(&scene)["paths"][0];
    assert_eq!(given(&scene, path["resolved"].as_str().unwrap()), "one\nboth\nthree\n4\n");
    assert!(given(&scene, "handback.md").contains("`$PLEACH_HANDBACK/resolved-1`"));
    assert_eq!(cache(), before);
    assert!(!scene.top.join(".git/MERGE_RR").exists() && scene.git(&["status", "--porcelain"]).is_empty());
    // Somebody who wants nothing of that is told nothing.
    scene.git(&["config", "rerere.enabled", "false"]);
    again(&scene, &id);
    assert_eq!(material(&scene)["paths"][0]["resolved"], Value::Null);
}

/// Names, contents and times.
fn fingerprint(dir: &std::path::Path) -> Vec<(PathBuf, Vec<u8>, std::time::SystemTime)> {
    let files = walkdir::WalkDir::new(dir).sort_by_file_name().into_iter().map(Result::unwrap);
    let files = files.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path);
    files
        .map(|path| (path.clone(), std::fs::read(&path).unwrap(), path.metadata().unwrap().modified().unwrap()))
        .collect()
}
