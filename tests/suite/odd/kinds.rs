//! Kinds of repositories.

use std::fs;

use crate::support::cli::{FILES, at_top, fails, held, made_by, round, round_of, sh, task, told};
use crate::support::scene::Scene;

fn init(args: &str, more: &str) -> Scene {
    made_by("repo", &format!("cd \"$TOP\"; git init -q {args}; {FILES} {more}"))
}

#[test]
fn sha256() {
    round(&init("--object-format=sha256", ""));
}

#[test]
fn reftable() {
    round(&init("--ref-format=reftable", ""));
}

#[test]
fn both_of_these() {
    round(&init("--object-format=sha256 --ref-format=reftable", ""));
}

#[test]
fn a_shallow_clone() {
    let script = "git init -q o; cd o; for n in 1 2 3; do echo $n > readme; git add -A; git commit -qm $n; done; \
                  cd ..; git clone -q --depth 2 file://$PWD/o \"$TOP\"";
    let scene = made_by("repo", script);
    round(&scene);
    assert_eq!(scene.git(&["rev-parse", "--is-shallow-repository"]), "true");
}

#[test]
fn a_blobless_clone() {
    let script = "git init -q o; cd o; for n in 1 2 3; do echo $n > readme; seq $n 2000 > big; git add -A; git commit -qm $n; done; \
                  git config uploadpack.allowFilter true; git config uploadpack.allowAnySHA1InWant true; \
                  cd ..; git clone -q --filter=blob:none file://$PWD/o \"$TOP\"";
    let scene = made_by("repo", script);
    round(&scene);
}

#[test]
fn a_sparse_checkout_with_cones_and_without() {
    for (kind, pattern) in [("--cone", "dir"), ("--no-cone", "/dir/")] {
        let more = format!(
            "mkdir docs; echo d > docs/d; git add -A; git commit -qm d; git sparse-checkout set {kind} {pattern}"
        );
        let scene = init("", &more);
        assert!(!scene.top.join("docs").exists());
        let line = "test ! -e docs && echo more >> dir/kept && mkdir docs && echo new > docs/new";
        round_of(&scene, line, &["dir/kept", "docs/new"]);
        assert!(!scene.top.join("docs").exists(), "{kind}: the checkout is as sparse as before");
    }
}

/// The library opens the repository, and fails at its index.
#[test]
fn an_index_that_is_split_or_sparse() {
    let scene = init("", "git update-index --split-index");
    assert!(at_top(&scene, "ls .git").contains("sharedindex."));
    let id = task(&scene, "echo more >> readme; echo one > made").to_string();
    assert!(scene.ok(&["diff", "--stat", &id]).ends_with("2 files changed, 2 insertions(+)"));
    assert_eq!(scene.ok(&["diff", "--name-only", &id]), "made\nreadme");
    assert!(scene.ok(&["diff", &id]).contains("+more"));
    assert_eq!(scene.json(&["status", &id])["file_list"].as_array().map(Vec::len), Some(2));
    scene.ok(&["discard", &id]);
    round(&init("", "git update-index --split-index"));
    let sparse =
        "mkdir docs; echo d > docs/d; git add -A; git commit -qm d; git sparse-checkout set --sparse-index dir";
    let scene = init("", sparse);
    assert!(at_top(&scene, "git ls-files --sparse").contains("docs/\n"));
    round_of(&scene, "echo more >> dir/kept && mkdir -p docs && echo new > docs/new", &["dir/kept", "docs/new"]);
}

#[test]
fn a_linked_worktree_as_the_checkout() {
    let mut scene = init("", "git branch side; git worktree add -q ../linked side");
    scene.top = scene.path("repositories/linked");
    round(&scene);
    assert_eq!(at_top(&scene, "git -C ../repo status --porcelain; git -C ../repo log --format=%s"), "first\n");
}

#[test]
fn a_bare_repository() {
    let script = format!("git init -q o; cd o; {FILES} cd ..; rmdir \"$TOP\"; git clone -q --bare o \"$TOP\"");
    round(&made_by("repo.git", &script));
}

#[test]
fn a_worktree_of_a_bare_repository() {
    let script = format!(
        "git init -q o; cd o; {FILES} cd ..; git clone -q --bare o ../bare.git; rmdir \"$TOP\"; git -C ../bare.git worktree add -q \"$TOP\" main"
    );
    round(&made_by("repo", &script));
}

#[test]
fn a_git_directory_elsewhere() {
    let scene = made_by("repo", &format!("git init -q --separate-git-dir ../elsewhere \"$TOP\"; cd \"$TOP\"; {FILES}"));
    round(&scene);
}

#[test]
fn extensions_worktree_config() {
    round(&init("", "git config extensions.worktreeConfig true; git config --worktree core.sparseCheckout false"));
}

#[test]
fn relative_worktree_paths() {
    let scene = init("", "");
    let version = scene.git(&["version"]);
    if scene.git(&["config", "--type=bool", "--default", "false", "extensions.relativeWorktrees"]) == "false"
        && version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok()).is_none_or(|minor| minor < 48)
    {
        return eprintln!("{version} knows no relative worktrees: nothing to test");
    }
    scene.git(&["config", "worktree.useRelativePaths", "true"]);
    at_top(&scene, "git worktree add -q ../other -b other");
    round(&scene);
}

#[test]
fn a_submodule_is_left_as_it_is() {
    let script = format!(
        "git init -q sub; cd sub; echo s > s; git add s; git commit -qm s; cd ..; \
         git init -q \"$TOP\"; git -C \"$TOP\" submodule --quiet add $PWD/sub sub; cd \"$TOP\"; {FILES}"
    );
    let scene = made_by("repo", &script);
    round(&scene);
    assert_eq!(fs::read_to_string(scene.top.join("sub/s")).unwrap(), "s\n");
}

#[test]
fn a_submodule_that_a_task_moved_on_is_flagged_and_can_be_undone() {
    let script = format!(
        "git init -q sub; cd sub; echo s > s; git add s; git commit -qm s; cd ..; \
         git init -q \"$TOP\"; git -C \"$TOP\" submodule --quiet add $PWD/sub sub; cd \"$TOP\"; {FILES}"
    );
    let scene = made_by("repo", &script);
    let line = "git -c protocol.file.allow=always submodule --quiet update --init && cd sub && \
                git -c user.name=a -c user.email=b commit -q --allow-empty -m more";
    task(&scene, line);
    assert_eq!(
        told(&scene, 1, "flag"),
        ["new submodule link at sub", "sub is a repository of its own and was left out"]
    );
    let worktree = told(&scene, 1, "worktree").concat();
    let commit = sh(&scene, std::path::Path::new(&worktree), "git -C sub rev-parse HEAD");
    held(&scene, &["merge", "1"], "new submodule link at sub", "`pleach merge --accept-flags 1`");
    scene.ok(&["merge", "--accept-flags", "1"]);
    assert_eq!(scene.git(&["rev-parse", "HEAD:sub"]), commit.trim());
    scene.ok(&["undo"]);
    assert_eq!(at_top(&scene, "git status --porcelain; git -C sub status --porcelain"), "");
    scene.ok(&["discard", "1"]);
    // The commit is in that worktree and nowhere else: this is said before it goes.
    let plan = scene.ok(&["gc", "--older-than", "0s"]);
    assert!(plan.contains("with sub that is nowhere else"), "{plan}");
    assert!(fs::exists(&worktree).unwrap());
}

#[test]
fn a_required_filter_of_the_local_configuration() {
    let more = "git config filter.big.clean 'tr a-z A-Z'; git config filter.big.smudge 'tr A-Z a-z'; \
                git config filter.big.required true; echo '*.big filter=big' > .gitattributes; echo content > x.big; \
                git add -A; git commit -qm big";
    let scene = init("", more);
    round_of(&scene, "grep -q content x.big && echo more >> x.big && echo new > y.big", &["x.big", "y.big"]);
    task(&scene, "echo more >> x.big");
    scene.ok(&["merge", "2"]);
    assert_eq!(scene.read("x.big"), "content\nmore\n");
    assert_eq!(scene.git(&["cat-file", "blob", "HEAD:x.big"]), "CONTENT\nMORE");
}

#[test]
fn a_required_filter_that_fails_at_the_fold_touches_nothing() {
    let more = "echo '*.big filter=big' > .gitattributes; git add -A; git commit -qm big; \
                git config filter.big.clean cat; git config filter.big.smudge 'test ! -e /proc/self/cwd/../broken && cat'; \
                git config filter.big.required true";
    let scene = init("", more);
    task(&scene, "echo new > y.big; echo more >> readme");
    fs::write(scene.top.join("../broken"), "").unwrap();
    let before = crate::support::cli::user_side(&scene);
    let ran = scene.pleach(&["merge", "1"]);
    assert_eq!(ran.code, Some(6), "{ran:?}");
    assert_eq!(crate::support::cli::user_side(&scene), before);
    fs::remove_file(scene.top.join("../broken")).unwrap();
    scene.ok(&["merge", "1"]);
    assert_eq!(scene.read("y.big"), "new\n");
}

#[test]
fn no_commit_yet() {
    let scene = made_by("repo", "git init -q \"$TOP\"");
    let hint = "git commit --allow-empty -m 'first commit'";
    fails(&scene.pleach(&["add", "--", "true"]), 3, "the repository has no commit yet", hint);
    fails(&scene.pleach(&["run", "--", "true"]), 3, "the repository has no commit yet", hint);
    fails(&scene.pleach(&["merge", "1"]), 4, "there is no task 1", "`pleach ls --all`");
    assert!(scene.ok(&["ls"]).contains("no task yet"));
    scene.ok(&["doctor"]);
    assert_eq!(at_top(&scene, "git status --porcelain; ls .git | grep -c pleach || true"), "0\n", "nothing is made");
}

#[test]
fn a_detached_head() {
    let scene = init("", "git checkout -q --detach");
    let detached = "HEAD is detached, so there is no branch to fold into";
    fails(&scene.pleach(&["add", "--fold", "auto", "--", "true"]), 2, detached, "`--into BRANCH`");
    task(&scene, "echo more >> readme");
    fails(&scene.pleach(&["merge", "1"]), 2, "started from a detached HEAD", "`--into BRANCH`");
    scene.ok(&["merge", "--into", "main", "1"]);
    assert_eq!(scene.git(&["show", "main:readme"]), "hello\nmore");
    assert_eq!(at_top(&scene, "cat readme; git status --porcelain"), "hello\n", "this checkout is not of main");
    let id = scene.add(&["--into", "main", "--fold", "auto"], "echo auto > auto");
    scene.ok(&["wait", &id.to_string()]);
    assert_eq!(scene.git(&["show", "main:auto"]), "auto", "who waited finds it folded");
}

#[test]
fn not_a_repository() {
    let mut scene = Scene::new();
    scene.top = scene.path("home");
    for verb in [&["add", "--", "true"][..], &["ls"], &["merge", "1"], &["doctor"], &["gc"]] {
        fails(&scene.pleach(verb), 3, "is not in a git repository", "`-C DIR`");
    }
}

#[test]
fn a_start_from_a_subdirectory() {
    let mut scene = init("", "");
    let top = scene.top.clone();
    scene.top = top.join("dir");
    task(&scene, "test \"$(basename \"$PWD\")\" = dir && echo more >> kept");
    assert_eq!(scene.ok(&["diff", "--name-only", "1", "--", "kept"]), "dir/kept");
    assert_eq!(scene.ok(&["diff", "--name-only", "1", "--", "../readme"]), "");
    scene.ok(&["merge", "1"]);
    assert_eq!(scene.read("kept"), "kept\nmore\n");
    // One that the base does not have.
    scene.top = top.join("new");
    fs::create_dir(&scene.top).unwrap();
    let ran = scene.pleach(&["run", "--", "true"]);
    assert_eq!(ran.code, Some(125), "{ran:?}");
    assert!(ran.err.contains("could not start: there is no directory new in its base"), "{ran:?}");
}
