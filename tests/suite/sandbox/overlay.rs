//! Places that lie over a base image, with the real program: what a task does there, what breaks, and that nothing is lost.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{scene, works};
use crate::support::cli::{changed, places_in_use, round, state_of, task};
use crate::support::mounted::Mounted;
use crate::support::scene::Scene;

/// A user whose tasks work over images, and tell the tests things by files in `said`. `None` where this machine cannot do it.
pub(super) fn over() -> Option<Scene> {
    if !works("full") {
        return None;
    }
    let scene = scene("full");
    fs::create_dir_all(scene.path("said")).unwrap();
    configure(&scene, "");
    scene.write("src/deep/a", "a\n");
    scene.write("src/deep/b", "b\n");
    scene.write("src/c", "c\n");
    scene.write("src/.gitignore", "*.made\n");
    scene.git(&["add", "-A"]);
    scene.git(&["commit", "-qm", "more"]);
    Some(scene)
}

/// The user's own configuration, and this. What runs inside of a sandbox dies there, too, where a test asks for it.
pub(super) fn configure(scene: &Scene, more: &str) {
    let write = ["said", "crash"].map(|name| scene.path(name));
    let shared = if Scene::is_caged() { String::new() } else { format!("[sandbox]\nwrite = {write:?}\n") };
    scene.configure(&format!("{shared}[worktree]\nmode = \"overlay\"\n{more}"));
}

pub(super) fn attempt(scene: &Scene, task: u64) -> PathBuf {
    state_of(scene).join(format!("attempts/{task}.1"))
}

pub(super) fn provider(scene: &Scene, task: u64) -> String {
    scene.status(task)["attempts"][0]["provider"].as_str().unwrap_or_default().to_owned()
}

pub(super) fn images(scene: &Scene) -> Vec<PathBuf> {
    let all = fs::read_dir(state_of(scene).join("images")).into_iter().flatten().flatten();
    all.map(|entry| entry.path()).filter(|dir| dir.join("seal").exists()).collect()
}

/// All that there is of an image, with times that no program sets.
fn seen(image: &Path) -> BTreeMap<PathBuf, (u64, i64, i64, u64)> {
    let all = walkdir::WalkDir::new(image).into_iter().map(Result::unwrap);
    all.map(|entry| {
        let of = entry.metadata().unwrap();
        (entry.path().to_owned(), (of.ino(), of.ctime(), of.ctime_nsec(), of.len()))
    })
    .collect()
}

/// What a result has at a path.
pub(super) fn kept(scene: &Scene, task: u64, path: &str) -> String {
    scene.git(&["show", &format!("refs/pleach/kept/{task}.1/tip:{path}")])
}

/// A task that does this, and then waits until `go` is there.
pub(super) fn waits(scene: &Scene, line: &str) -> u64 {
    let said = scene.path("said");
    let _ = fs::remove_file(said.join("go"));
    let _ = fs::remove_file(said.join("here"));
    let said = said.display();
    let id =
        scene.add(&[], &format!("{line}; touch {said}/here; until test -e {said}/go; do sleep 0.01; done; echo end"));
    scene.until_there(&scene.path("said/here"));
    id
}

pub(super) fn go(scene: &Scene) {
    fs::write(scene.path("said/go"), "").unwrap();
}

/// Nobody has a place any more, and of none anything is left.
pub(super) fn all_gone(scene: &Scene) {
    let state = state_of(scene);
    let over = || pleach::git::place::held(&state.join("attempts"));
    scene.until("places are given back", || places_in_use(&state) == 0 && over().is_empty());
    scene.until("the trash is empty", || {
        // It steps back for all others, and who leaves meanwhile leaves the rest to the next.
        scene.ok(&["resume"]);
        fs::read_dir(state.join("trash")).unwrap().next().is_none()
    });
    scene.assert_tidy();
}

pub(super) const WORK: &str = "echo edited >> readme; echo new > new; rm staged; echo x > x.ignored; echo x > src/x.made; \
                    rm -r dir; mkdir dir; echo other > dir/other";

#[test]
fn a_task_does_what_it_does_anywhere_and_the_image_stays_as_it_is() {
    let Some(scene) = over() else { return };
    // No file has to be opened to know that it is as it was.
    let first = task(&scene, "git diff-files; git status --porcelain; cat readme src/deep/a; stat -c %h readme");
    assert_eq!(
        (provider(&scene, first).as_str(), &*scene.log(first)),
        ("overlay", "hello\na\n1\n"),
        "{}",
        scene.story()
    );
    all_gone(&scene);
    let [image] = &images(&scene)[..] else { panic!("{}", scene.story()) };
    let before = seen(image);
    let line = format!(
        "{WORK}; git stash -q; cat readme; git stash pop -q; git add -A; git commit -qm work; echo left > left; chmod +x src/c; \
         ln -s readme link; mv mine src/mine; git status --short"
    );
    let second = task(&scene, &line);
    assert!(scene.log(second).starts_with("hello\n D mine\n M src/c\n"), "{}", scene.log(second));
    let paths = ["dir/kept", "dir/other", "left", "link", "mine", "new", "readme", "src/c", "src/mine", "staged"];
    let mut told = changed(&scene, second);
    // A file that was moved is one line.
    told.extend(["mine".to_owned()]);
    told.sort();
    told.dedup();
    assert!(told.iter().all(|path| paths.contains(&path.as_str())) && told.len() >= paths.len() - 1, "{told:?}");
    assert_eq!((kept(&scene, second, "readme"), kept(&scene, second, "left")), ("hello\nedited".into(), "left".into()));
    let tree = scene.git(&["ls-tree", "-r", "--name-only", &format!("refs/pleach/kept/{second}.1/tip")]);
    assert_eq!(
        tree.lines().collect::<Vec<_>>(),
        [
            ".gitignore",
            "dir/other",
            "left",
            "link",
            "new",
            "readme",
            "src/.gitignore",
            "src/c",
            "src/deep/a",
            "src/deep/b",
            "src/mine"
        ]
    );
    assert_eq!(seen(image), before, "nothing in the image was touched");
    all_gone(&scene);
    let status = scene.ok(&["status", &second.to_string()]);
    assert!(status.contains("overlay (what it wrote"), "{status}");
    assert!(scene.ok(&["doctor"]).contains("overlay, else parallel, else plain (as [worktree] mode says)"));
}

/// What breaks: a directory of the image cannot be renamed in one step. Programs that know of it copy; what they leave is right.
#[test]
fn a_directory_of_the_image_is_moved_by_copying() {
    let Some(scene) = over() else { return };
    configure(&scene, "setup = \"cat src/c > set.ignored; echo set >> mine\"\n");
    let line = "cat set.ignored mine; git checkout -q mine; perl -e 'rename \"src\", \"other\" or print 0 + $!, \"\\n\"'; git mv src other 2>/dev/null || echo refused; \
                mkdir mine-too; perl -e 'rename \"mine-too\", \"still-mine\" or print \"ERROR\\n\"'; \
                mv src other; test -e src || echo moved; echo more >> other/c; git status --porcelain";
    let id = task(&scene, line);
    // EXDEV
    assert!(scene.log(id).starts_with("c\nmine\nset\n18\nrefused\nmoved\n D src/.gitignore\n"), "{}", scene.log(id));
    let tree = scene.git(&["ls-tree", "-r", "--name-only", &format!("refs/pleach/kept/{id}.1/tip")]);
    assert!(!tree.contains("src/") && tree.contains("other/.gitignore\nother/c\nother/deep/a\nother/deep/b"), "{tree}");
    assert_eq!(kept(&scene, id, "other/c"), "c\nmore");
    all_gone(&scene);
}

#[test]
fn a_place_of_another_commit_has_its_files_and_no_other() {
    let Some(scene) = over() else { return };
    task(&scene, "true");
    for change in [
        "echo two > readme; rm -r src/deep; git rm -q --cached -r src/deep; mkdir -p new/in; echo x > new/in/x; rm mine; mkdir mine; echo y > mine/y",
        "rm -r mine; echo again > mine; rm -r new; echo file > new; mkdir -p src/deep; echo back > src/deep/back; rm -r dir; rm src/.gitignore",
        "chmod +x readme; ln -s readme link; rm -r src; mkdir -p 'odd name,x'; echo x > 'odd name,x/ü'",
    ] {
        crate::support::cli::at_top(&scene, &format!("{change}; git add -A; git commit -qm next"));
        let id = task(
            &scene,
            "git diff-files; git status --porcelain --ignored; find . -name .git -prune -o -print | LC_ALL=C sort",
        );
        assert_eq!(provider(&scene, id), "overlay");
        let there = crate::support::cli::at_top(&scene, "find . -name .git -prune -o -print | LC_ALL=C sort");
        assert_eq!(scene.log(id), there, "{change}");
        let id = task(
            &scene,
            "git rm -rq . && git commit -qm none; ls -A; git checkout -q HEAD~1 -- . && git status --porcelain | wc -l",
        );
        assert!(scene.log(id).starts_with(".git\n"), "{}", scene.log(id));
        all_gone(&scene);
    }
    assert_eq!(images(&scene).len(), 1, "what differs is written, not a new image");
}

#[test]
fn what_a_running_task_has_changed_is_told() {
    let Some(scene) = over() else { return };
    let id = waits(&scene, &format!("{WORK}; mv src/deep moved"));
    let told = ["dir/kept", "dir/other", "moved/a", "moved/b", "new", "readme", "staged"];
    assert_eq!(changed(&scene, id), told, "what is ignored by rules that nobody wrote is ignored");
    let patch = scene.ok(&["diff", &id.to_string()]);
    assert!(patch.contains("+edited") && patch.contains("-kept") && patch.contains("rename to moved/b"), "{patch}");
    assert!(!patch.contains("x.made"));
    let status = scene.status(id)["attempts"][0].clone();
    let written = Path::new(status["written"].as_str().unwrap()).join("readme");
    assert_eq!((fs::read_to_string(written).unwrap().as_str(), status["worktree"].as_str()), ("hello\nedited\n", None));
    assert!(scene.ok(&["status", &id.to_string()]).contains("(over a base image; only its sandbox shows the whole)"));
    // Somebody who does not know looks, and writes, where the place seems to be.
    let outside = state_of(&scene).join(format!("worktrees/pleach-{id}.1"));
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "there is only what leads to the repository");
    fs::write(outside.join("from-outside"), "theirs\n").unwrap();
    fs::write(outside.join("new"), "theirs too\n").unwrap();
    fs::create_dir(outside.join("src")).unwrap();
    fs::write(outside.join("src/more"), "more\n").unwrap();
    let other = task(&scene, "echo theirs > readme");
    scene.until("the clash is told", || !scene.board()[&other]["will_conflict"].is_null());
    go(&scene);
    scene.ok(&["wait", &id.to_string()]);
    assert_eq!(kept(&scene, id, "from-outside"), "theirs");
    assert_eq!((kept(&scene, id, "new"), kept(&scene, id, "new.outside-1")), ("new".into(), "theirs too".into()));
    let tree = scene.git(&["ls-tree", "-r", "--name-only", &format!("refs/pleach/kept/{id}.1/tip")]);
    assert!(tree.contains("src/c") && tree.contains("src.outside-1/more"), "{tree}");
    all_gone(&scene);
}

/// Whoever could exchange what is mounted would have the kernel write elsewhere.
#[test]
fn neither_a_task_nor_its_filter_reaches_past_the_mount() {
    let Some(scene) = over() else { return };
    let said = scene.path("said").display().to_string();
    let look = "ls $TMPDIR/../overlay/upper; rm -r $TMPDIR/../overlay/image && echo GONE; ls $TMPDIR/../../../images";
    fs::write(scene.path("said/filter"), format!("#!/bin/sh\n({look}; echo looked) > {said}/filtered 2>&1\ncat\n"))
        .unwrap();
    fs::set_permissions(scene.path("said/filter"), fs::Permissions::from_mode(0o755)).unwrap();
    let line = format!(
        "({look}; echo looked) > {said}/task 2>&1; rm -f .git && echo GONE; mv .git x && echo GONE; git config filter.evil.clean {said}/filter; \
         echo 'new filter=evil' > .gitattributes; echo x > new; git stash list"
    );
    let id = task(&scene, &line);
    assert!(!scene.log(id).contains("GONE"), "{}", scene.log(id));
    for who in ["task", "filtered"] {
        let seen = fs::read_to_string(scene.path("said").join(who)).unwrap_or_else(|error| panic!("{who}: {error}"));
        assert!(seen.ends_with("looked\n") && !seen.contains("GONE"), "{who}: {seen}");
        assert!(
            seen.lines().filter(|line| *line != "looked").all(|line| line.contains("No such file")),
            "{who}: {seen}"
        );
    }
    assert_eq!(kept(&scene, id, "new"), "x");
    all_gone(&scene);
}

#[test]
fn who_may_not_write_there_does_not() {
    let Some(scene) = over() else { return };
    let id = scene.add(&["--read-only"], "echo x > new || echo refused; rm readme || echo kept; cat readme src/deep/a");
    scene.ok(&["wait", &id.to_string()]);
    let log = scene.log(id);
    assert!(log.contains("refused\n") && log.contains("kept\n") && log.ends_with("hello\na\n"), "{log}");
    assert_eq!((scene.stands(id).as_str(), provider(&scene, id).as_str()), ("empty", "overlay"));
    all_gone(&scene);
}

#[test]
fn the_whole_round_leaves_nothing_behind() {
    let Some(scene) = over() else { return };
    let id = crate::support::cli::sh(&scene, &scene.top.join("src"), "\"$PLEACH\" add -- pwd");
    scene.ok(&["wait"]);
    assert!(scene.log(id.trim().parse().unwrap()).ends_with("/src\n"));
    scene.ok(&["gc", "--older-than", "0s", "--yes"]);
    round(&scene);
    all_gone(&scene);
}

#[test]
fn where_it_cannot_be_had_nothing_starts_and_the_next_step_is_told() {
    let Some(mut scene) = over() else { return };
    scene.variables.insert("PLEACH_SANDBOX".to_owned(), "reduced".to_owned());
    let id = scene.add(&[], "true");
    scene.pleach(&["wait", &id.to_string()]);
    let told = scene.ok(&["status", &id.to_string()]);
    assert!(
        told.contains("mode is overlay") && told.contains("full tier") && told.contains("mode = \"auto\""),
        "{told}"
    );
    let doctor = scene.pleach(&["doctor"]).out;
    assert!(doctor.contains("[worktree] mode is overlay") && doctor.contains("mode = \"auto\""), "{doctor}");
    all_gone(&scene);
    // Where files are not the bytes of their objects there is no image of them.
    scene.variables.insert("PLEACH_SANDBOX".to_owned(), "full".to_owned());
    scene.write(".gitattributes", "*.txt eol=crlf\n");
    scene.git(&["add", "-A"]);
    scene.git(&["commit", "-qm", "attributes"]);
    assert_eq!(provider(&scene, task(&scene, "git status --porcelain")), "plain");
}

#[test]
fn it_is_the_same_on_other_file_systems() {
    for kind in ["btrfs", "xfs"] {
        let Some(scene) = over() else { return };
        let Some(_mounted) = Mounted::new(kind, &scene.path("state")) else { continue };
        for _ in 0..2 {
            let id = task(
                &scene,
                &format!("git diff-files; git status --porcelain; {WORK}; git status --porcelain | wc -l"),
            );
            assert_eq!(
                (provider(&scene, id).as_str(), &*scene.log(id)),
                ("overlay", "5\n"),
                "{kind}: {}",
                scene.story()
            );
            assert_eq!(changed(&scene, id), ["dir/kept", "dir/other", "new", "readme", "staged"], "{kind}");
            all_gone(&scene);
        }
    }
}

/// Tests may run as root, and most people are not: all of this file once more, by somebody without rights.
#[test]
fn it_is_the_same_for_somebody_without_rights() {
    if !rustix::process::geteuid().is_root() || !works("full") {
        return;
    }
    let dir = tempfile::Builder::new().prefix("pleach-scene-").tempdir().unwrap();
    let place = |name: &str| dir.path().join(name);
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    open(dir.path(), 0o755);
    fs::create_dir(place("bin")).unwrap();
    fs::copy(std::env::current_exe().unwrap(), place("bin/suite")).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_pleach"), place("bin/pleach")).unwrap();
    ["bin", "bin/suite", "bin/pleach"].iter().for_each(|name| open(&place(name), 0o755));
    fs::create_dir(place("tmp")).unwrap();
    open(&place("tmp"), 0o777);
    let mut again = Command::new("setpriv");
    again.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(place("bin/suite"));
    let skipped = ["without_rights", "the_whole_round", "where_it_cannot", "an_image_goes", "other_file_systems"]
        .map(|name| ["--skip", name])
        .concat();
    again.args(["sandbox::overlay", "--test-threads", "2"]).args(skipped).env_clear();
    again.env("PATH", std::env::var_os("PATH").unwrap()).env("TMPDIR", place("tmp")).current_dir(place("tmp"));
    again.env("PLEACH_TEST_PROGRAM", place("bin/pleach"));
    let output = again.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains(" 0 failed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("whoever_is_killed_the_work_is_saved ... ok"), "{said}");
}
