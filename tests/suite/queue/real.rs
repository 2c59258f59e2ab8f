//! A real crate, its real compiler, and a program that uses it: twenty tasks, of which one breaks the build by itself, and
//! two only together.

use std::path::Path;
use std::process::Command;

use crate::real::{dependencies, import};
use crate::support::cli::at_top;
use crate::support::scene::Scene;

/// Uses what the crate is for.
const USER: &str = "fn main() {\n    assert_eq!(memchr::memchr(b'c', b\"abc\"), Some(2));\n    \
                    assert_eq!(memchr::memmem::find(b\"a needle here\", b\"needle\"), Some(2));\n}\n";
/// Those that are to land, whatever happens.
const GOOD: usize = 17;

/// The sources of a dependency as a repository of its own, with a check. None where cargo does not tell where they are.
fn crate_with_a_check() -> Option<Scene> {
    let sources = dependencies()?.remove("memchr")?;
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let rustc = Path::new(String::from_utf8(sysroot.stdout).ok()?.trim()).join("bin/rustc");
    let scene = Scene::with_concurrency(4);
    assert!(import(&sources.join("src"), &scene.top.join("src")) > 30);
    scene.write("user.rs", USER);
    let check = format!(
        "set -e\nrustc='{} --edition 2021 --cap-lints allow --out-dir '$TMPDIR\n\
         $rustc --crate-type lib --crate-name memchr --cfg 'feature=\"std\"' --cfg 'feature=\"alloc\"' src/lib.rs\n\
         $rustc -L \"$TMPDIR\" --extern memchr=\"$TMPDIR/libmemchr.rlib\" user.rs\n\"$TMPDIR/user\"\n",
        rustc.display()
    );
    scene.write("check", check);
    scene.write(".pleach.toml", "[verify]\ncommand = \"sh ./check\"\ndeterministic = true\n");
    scene.git(&["add", "-A", "-f", "."]);
    scene.git(&["commit", "-qm", "memchr"]);
    scene.ok(&["approve", "--yes"]);
    Some(scene)
}

/// The lines of the tasks, each with its name.
fn tasks(scene: &Scene) -> Vec<(String, String)> {
    let listed =
        at_top(scene, "git ls-files src | grep -v -e ext.rs -e generic/memchr.rs -e all/memchr.rs -e cow.rs -e lib.rs");
    let codemod = |(number, file): (usize, &str)| {
        let line = format!("sed -i 's/#.inline(always)./#[inline]/' {file} && echo '// seen' >> {file}");
        (format!("codemod-{}", number + 1), line)
    };
    let mut tasks: Vec<(String, String)> = listed.lines().take(GOOD).enumerate().map(codemod).collect();
    let rename = "sed -i 's/as_usize/to_usize/' src/ext.rs src/arch/generic/memchr.rs src/arch/all/memchr.rs";
    let uses = "echo 'fn address(at: *const u8) -> usize { use crate::ext::Pointer; at.as_usize() }' >> src/cow.rs";
    for (at, name, line) in [(4, "broken", "echo 'fn {' >> src/lib.rs"), (8, "rename", rename), (15, "uses", uses)] {
        tasks.insert(at, (name.to_owned(), line.to_owned()));
    }
    tasks
}

/// Every head that the target ever had passes the real check.
fn assert_heads_pass(scene: &Scene) {
    let heads = at_top(
        scene,
        "for head in $(git reflog --format=%H main | sort -u); do if git cat-file -e $head:check 2>/dev/null; then echo $head; fi; done",
    );
    for head in heads.lines() {
        let dir = scene.path("head");
        let script = format!(
            "git worktree add -q --detach '{0}' {head} && cd '{0}' && mkdir -p '{0}.tmp' && TMPDIR='{0}.tmp' sh ./check; code=$?; \
             cd / ; git -C '{1}' worktree remove --force '{0}'; exit $code",
            dir.display(),
            scene.top.display()
        );
        at_top(scene, &script);
    }
}

fn assert_the_right_ones_landed(scene: &Scene, names: &[String]) {
    let board = scene.json(&["ls", "--all"]);
    let rows = board["tasks"].as_array().unwrap();
    let stands = |name: &str| {
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        row["state"].as_str().unwrap().to_owned()
    };
    for name in names.iter().filter(|name| name.starts_with("codemod")) {
        assert_eq!(stands(name), "folded", "{name}: {}", scene.ok(&["ls", "--all"]));
    }
    assert_eq!(stands("broken"), "rejected");
    let pair = [stands("rename"), stands("uses")];
    assert!(pair.contains(&"folded".to_owned()) && pair.contains(&"rejected".to_owned()), "{pair:?}");
    assert_eq!(scene.folds("main").len(), GOOD + 1);
    assert_heads_pass(scene);
    assert_eq!(scene.git(&["status", "--porcelain"]), "");
}

#[test]
fn the_right_ones_land_and_the_culprits_are_named() {
    let Some(scene) = crate_with_a_check() else {
        return println!("skipped: cargo does not tell where its sources are");
    };
    let mut names = Vec::new();
    for (name, line) in tasks(&scene) {
        scene.add(&["--name", &name], &line);
        names.push(name);
    }
    scene.ok(&["wait"]);
    let args: Vec<&str> = std::iter::once("merge").chain(names.iter().map(String::as_str)).collect();
    let ran = scene.pleach(&args);
    assert_eq!(ran.code, Some(8), "{ran:?}");
    assert_eq!(ran.out.matches("main does not pass its check with it").count(), 2, "{}", ran.out);
    assert_the_right_ones_landed(&scene, &names);
    // Why, in the words of the compiler.
    let status = scene.json(&["status", "broken"]);
    let run = status["refusal"]["runs"].as_array().unwrap().last().unwrap().to_string();
    assert!(scene.ok(&["queue", "--log", &run]).contains("error: "));
    scene.assert_tidy();
}

#[test]
fn kills_every_few_seconds_change_nothing_of_that() {
    let Some(scene) = crate_with_a_check() else {
        return println!("skipped: cargo does not tell where its sources are");
    };
    let mut names = Vec::new();
    for (name, line) in tasks(&scene) {
        scene.add(&["--name", &name, "--fold", "auto"], &line);
        names.push(name);
    }
    let is_open = || {
        let board = scene.json(&["ls", "--all"]);
        let rows = board["tasks"].as_array().unwrap();
        rows.iter().any(|row| !["folded", "rejected"].contains(&row["state"].as_str().unwrap()))
    };
    let mut random = fastrand::Rng::with_seed(20);
    let mut kills = 0;
    while is_open() {
        // The one sleep: the instant of a kill is what this is about.
        std::thread::sleep(std::time::Duration::from_millis(random.u64(300..3000)));
        for coordinator in scene.processes().iter().filter(|process| process.is_coordinator()) {
            coordinator.kill();
            kills += 1;
        }
        assert!(kills < 300, "{}", scene.story());
    }
    println!("{kills} kills");
    assert_the_right_ones_landed(&scene, &names);
    scene.assert_tidy();
}
