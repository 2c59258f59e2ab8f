//! Real input: lint fixes and codemods over the sources of our own dependencies, which are on every machine that builds
//! this, and over a clone of this project. What comes out must be what the same scripts give one after the other.
#![allow(clippy::disallowed_methods, reason = "tests read files and start programs as a user would")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use walkdir::WalkDir;

use crate::support::cli::{at_top, made_by};
use crate::support::scene::Scene;

/// Removes blanks at the ends of lines, as `--fix` of many a linter does. Files that are not text are left alone.
const TRAILING: &str = "grep -rlIE '[ \t]+$' . | tr '\\n' '\\0' | xargs -0 -r sed -i 's/[ \t]*$//'";
/// Files that a script of ours may not meet: links, and names that `grep -l` cannot tell apart.
const PLAIN: &str = "find . -path ./.git -prune -o -type l -print -o -name '*\n*' -print";

#[test]
fn a_codemod_for_each_module_of_some_thousand_files_comes_out_as_it_does_one_by_one() {
    let Some(sources) = dependencies() else { return println!("skipped: cargo does not tell where its sources are") };
    let scene = made_by("sources", "git init -q \"$TOP\"");
    let sources = largest(sources, 12);
    let files: usize = sources.iter().map(|(name, from)| import(from, &scene.top.join(name))).sum();
    assert!(files > 2000, "{files} files");
    assert_eq!(at_top(&scene, PLAIN), "");
    at_top(&scene, "git add -A -f . && git commit -qm sources");
    let before = tree(&scene);

    let mut ids = Vec::new();
    for name in sources.keys() {
        ids.push(scene.add(&["--name", &format!("m-{name}")], &format!("cd '{name}' && {TRAILING}")));
    }
    // One that goes through all of them, and one that conflicts with it wherever both have something to say.
    let rename = "grep -rlIw Copyright . | tr '\\n' '\\0' | xargs -0 -r sed -i 's/Copyright/COPYRIGHT/'";
    let all = scene.add(&["--name", "all"], rename);
    let wait = scene.pleach(&["wait"]);
    assert_eq!(wait.code, Some(0), "{}{}", wait.out, wait.err);
    let changed: Vec<u64> = ids.iter().copied().filter(|id| scene.stands(*id) == "ready").collect();
    assert!(changed.len() > 3, "only {} of {} modules had anything to mend", changed.len(), ids.len());

    merge(&scene, &changed, 0);
    // Serially, in a copy of the beginning.
    let copy = scene.path("serial");
    at_top(&scene, &format!("git worktree add -q --detach '{}' {before}", copy.display()));
    for (name, _) in sources.iter().zip(&ids).filter(|(_, id)| changed.contains(id)).map(|(source, _)| source) {
        at_top(&scene, &format!("cd '{}/{name}' && {TRAILING}", copy.display()));
    }
    let serially = at_top(&scene, &format!("cd '{}' && git add -A -f . && git write-tree", copy.display()));
    assert_eq!(at_top(&scene, "git rev-parse 'HEAD^{tree}'"), serially);
    assert_eq!(at_top(&scene, "git status --porcelain"), "", "the checkout has followed");

    // The one across all modules meets lines whose ends were mended: a conflict where it does, and a clean fold where not.
    let asked = format!("git merge-tree --write-tree HEAD pleach/{all}-all >/dev/null && echo folded || echo conflict");
    let by_git = at_top(&scene, &asked);
    let told = scene.pleach(&["merge", "--json", &all.to_string()]);
    let told: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(told[0]["result"], by_git.trim(), "git says the same");
    assert_eq!(at_top(&scene, "git status --porcelain"), "");
    scene.assert_tidy();
}

#[test]
fn tasks_on_a_clone_of_this_project_come_out_as_they_do_one_by_one() {
    let project = env!("CARGO_MANIFEST_DIR");
    if !Path::new(project).join(".git").exists() {
        return println!("skipped: this is no clone");
    }
    let scene = made_by("clone", &format!("git clone -q --no-local '{project}' \"$TOP\""));
    at_top(&scene, "git switch -q -c work");
    let edits: BTreeMap<&str, &str> = [
        ("core", "sed -i '1s|^|// core\\n|' src/core/*.rs"),
        ("git", "sed -i '1s|^|// git\\n|' src/git/*.rs"),
        ("ops", "for f in src/ops/*.rs; do printf '// ops\\n' >> \"$f\"; done; git add -A; git commit -qm ops"),
        ("moved", "git mv docs pages && git commit -qam moved"),
        ("gone", "git rm -q -r fixtures/journals && git stash list"),
    ]
    .into();
    let ids: Vec<u64> = edits.iter().map(|(name, line)| scene.add(&["--name", name], line)).collect();
    assert_eq!(scene.pleach(&["wait"]).code, Some(0));
    merge(&scene, &ids, 0);
    let copy = scene.path("serial");
    at_top(&scene, &format!("git worktree add -q --detach '{}' origin/HEAD", copy.display()));
    for line in edits.values() {
        at_top(&scene, &format!("cd '{}' && {line}", copy.display()));
    }
    let serially = at_top(&scene, &format!("cd '{}' && git add -A && git write-tree", copy.display()));
    assert_eq!(at_top(&scene, "git rev-parse 'HEAD^{tree}'"), serially);
    assert_eq!(scene.folds("work").len(), edits.len());
    assert_eq!(at_top(&scene, "git status --porcelain"), "");
}

fn merge(scene: &Scene, ids: &[u64], code: i32) {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let args: Vec<&str> = std::iter::once("merge").chain(ids.iter().map(String::as_str)).collect();
    let ran = scene.pleach(&args);
    assert_eq!(ran.code, Some(code), "{}{}", ran.out, ran.err);
}

fn tree(scene: &Scene) -> String {
    at_top(scene, "git rev-parse HEAD").trim().to_owned()
}

/// The unpacked sources of the packages that this one is built from, by name.
pub(crate) fn dependencies() -> Option<BTreeMap<String, PathBuf>> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform"]);
    let output = cargo.arg("x86_64-unknown-linux-gnu").current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
    let told: Value = serde_json::from_slice(&output.stdout).ok()?;
    let foreign = told["packages"].as_array()?.iter().filter(|package| !package["source"].is_null());
    let named = foreign.filter_map(|package| {
        let manifest = Path::new(package["manifest_path"].as_str()?);
        Some((package["name"].as_str()?.to_owned(), manifest.parent()?.to_owned()))
    });
    Some(named.filter(|(_, dir)| dir.is_dir()).collect())
}

/// Those with the most files: the others would cost a worktree each and add little.
fn largest(sources: BTreeMap<String, PathBuf>, most: usize) -> BTreeMap<String, PathBuf> {
    let mut counted: Vec<_> =
        sources.into_iter().map(|(name, dir)| (WalkDir::new(&dir).into_iter().count(), name, dir)).collect();
    counted.sort_by(|a, b| b.cmp(a));
    counted.into_iter().take(most).map(|(_, name, dir)| (name, dir)).collect()
}

/// Copy the plain files of a package; how many.
pub(crate) fn import(from: &Path, to: &Path) -> usize {
    let mut count = 0;
    for entry in WalkDir::new(from).into_iter().flatten().filter(|entry| entry.file_type().is_file()) {
        let path = to.join(entry.path().strip_prefix(from).unwrap());
        // What they say of their own repository would count in this one, too.
        if matches!(entry.file_name().to_str(), Some(".gitattributes" | ".gitmodules" | ".worktreeinclude")) {
            continue;
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(entry.path(), &path).unwrap();
        count += 1;
    }
    count
}
