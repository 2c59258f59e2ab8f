//! The rules that no compiler knows: which layer may import which, where `unsafe` lives, and what a tree must not hold.
#![allow(clippy::disallowed_methods, reason = "tests read files as a user would")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use pleach::cli::exit;
use pleach::process::crash;

/// Which layer may import which, and why. A new arrow is a design change with its own commit and reason.
const LAYERS: &[(&str, &[&str], &str)] = &[
    ("core", &[], "nouns and decisions: no I/O, no clock"),
    ("process", &["core"], "the only door to other programs, to signals and to the clock"),
    ("config", &["core"], "files and environment become one value"),
    ("git", &["core", "process"], "an adapter; it starts `git`"),
    ("store", &["core", "process"], "an adapter; journal and snapshot have crash points"),
    ("sandbox", &["core"], "what a process may touch; it knows nothing of tasks or of git"),
    (
        "shim",
        &["core", "process", "sandbox", "git", "store"],
        "an adapter that is a process: it runs the task, then exports its result",
    ),
    ("coordinator", &["core", "process", "config", "git", "store", "shim"], "the loop over the adapters"),
    (
        "ops",
        &["core", "process", "sandbox", "config", "git", "store", "shim", "coordinator"],
        "one file for each thing to ask for",
    ),
    ("mcp", &["core", "config", "ops"], "calls in, JSON out"),
    ("web", &["core", "ops"], "requests in, a page out"),
    ("cli", &["core", "config", "ops"], "words in, words out"),
];

/// Single arrows beside the table.
const ARROWS: &[(&str, &str, &str)] = &[
    ("src/cli/mod.rs", "shim", "the hidden verbs are dispatched before the command line is looked at"),
    ("src/cli/mod.rs", "coordinator", "the hidden verbs are dispatched before the command line is looked at"),
    ("src/cli/mod.rs", "process", "crash points are armed first of all"),
    ("src/cli/mod.rs", "sandbox", "what a test takes away is armed with the crash points"),
    ("src/cli/pager.rs", "process", "it starts the user's pager"),
    ("src/cli/demo.rs", "process", "it measures how long the tasks take"),
    ("src/cli/commands/mcp.rs", "mcp", "the verb starts the server"),
    ("src/cli/monitor/mod.rs", "process", "a test can ask it to panic"),
    ("src/cli/review/mod.rs", "process", "it starts the user's editor, and a test can ask it to panic"),
    ("src/cli/commands/review.rs", "web", "the verb starts the server"),
    ("src/cli/commands/review.rs", "process", "it opens the user's browser"),
    ("src/cli/commands/wait.rs", "process", "durations are told as of now"),
    ("src/cli/commands/house.rs", "process", "ages are told as of now"),
];

/// Files with more lines than a file should have, and why they are one.
const LONG: &[(&str, &str)] = &[
    ("src/cli/args.rs", "all that can be typed is one table"),
    ("src/core/state.rs", "the life of a task is one table, and a replay of all events"),
];
const LONGEST: usize = 500;

/// Who may use `unsafe`.
const UNSAFE: &[&str] = &["process", "sandbox"];

#[test]
fn imports_point_up() {
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for (path, text) in sources("src") {
        let Some((layer, _)) = path.trim_start_matches("src/").split_once('/') else { continue };
        let Some((_, allowed, _)) = LAYERS.iter().find(|(name, ..)| *name == layer) else {
            wrong.push(format!("{path}: layer {layer} is not in the table"));
            continue;
        };
        for seen in imports(&text) {
            if seen == layer || allowed.contains(&seen.as_str()) || path.ends_with("/tests.rs") {
                continue;
            }
            match ARROWS.iter().find(|(file, to, _)| *file == path && *to == seen) {
                Some(arrow) => drop(used.insert(arrow)),
                None => wrong.push(format!("{path}: {layer} must not import {seen}")),
            }
        }
    }
    let stale = ARROWS.iter().filter(|arrow| !used.contains(arrow));
    wrong.extend(stale.map(|(file, to, _)| format!("{file} does not import {to}: take it off the list")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The layers that a file names, as `crate::layer` or in `crate::{layer, …}`.
fn imports(text: &str) -> BTreeSet<String> {
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => {
                let list = &list[..list.find(';').unwrap_or(list.len())];
                found.extend(top_level(list).map(|item| word(item.trim())));
            }
            None => drop(found.insert(word(rest))),
        }
    }
    // Macros and types at the top are nobody's layer.
    found.retain(|name| LAYERS.iter().any(|(layer, ..)| layer == name));
    found
}

fn top_level(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    list.split(move |c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    })
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn the_check_of_imports_sees_all_forms() {
    let text = "use crate::{config, git::{self, diff}, shim};\nfn f() { crate::store::read() }\n// crate::ops\ncrate::hello!();";
    assert_eq!(imports(text), ["config", "git", "shim", "store"].map(str::to_owned).into());
}

#[test]
fn unsafe_has_two_homes() {
    for (path, text) in sources("src") {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let found =
            code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_')).any(|word| word == "unsafe");
        let at_home = UNSAFE.iter().any(|home| path.starts_with(&format!("src/{home}/")));
        assert!(!found || at_home, "{path} is no home of unsafe code");
    }
}

#[test]
fn each_file_says_what_it_is_for() {
    let files = ["src", "tests", "benches"].into_iter().flat_map(sources);
    let heads = files.filter(|(path, _)| !path.ends_with("/tests.rs"));
    let without: Vec<String> = heads.filter(|(_, text)| !text.starts_with("//! ")).map(|(path, _)| path).collect();
    assert!(without.is_empty(), "no head: {without:?}");
}

#[test]
fn files_are_short_unless_there_is_a_reason() {
    let files: BTreeMap<String, usize> =
        ["src", "tests"].into_iter().flat_map(sources).map(|(path, text)| (path, text.lines().count())).collect();
    let mut wrong = Vec::new();
    for (path, lines) in &files {
        let listed = LONG.iter().any(|(file, _)| file == path);
        if *lines > LONGEST && !listed {
            wrong.push(format!("{path} has {lines} lines: split it, or say why not"));
        }
        if *lines <= LONGEST && listed {
            wrong.push(format!("{path} has {lines} lines: take it off the list"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_crash_point_is_in_one_place_and_on_the_list() {
    let mut places: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in sources("src").filter(|(path, _)| path != "src/process/crash.rs") {
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for call in ["point(\"", "at(\"", "at)(\""] {
                for (at, _) in line.match_indices(call) {
                    let name = line[at + call.len()..].split('"').next().unwrap_or_default();
                    if name.contains('.') && !name.contains(' ') {
                        places.entry(name.to_owned()).or_default().insert(path.clone());
                    }
                }
            }
        }
    }
    let listed: BTreeSet<String> = crash::POINTS.iter().map(|name| (*name).to_owned()).collect();
    let found: BTreeSet<String> = places.keys().cloned().collect();
    assert_eq!(found, listed, "what the code names, and what the list has");
    for (name, files) in places {
        assert_eq!(files.len(), 1, "{name} is in {files:?}");
    }
}

#[test]
fn the_readme_has_the_exit_codes() {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let rows: Vec<String> =
        exit::TABLE.iter().map(|(code, meaning)| format!("| {code} | {} |", meaning.replace('|', "\\|"))).collect();
    let found: Vec<&str> = text.lines().skip_while(|line| *line != "| code | meaning |").skip(2).collect();
    let found: Vec<&str> = found.into_iter().take_while(|line| line.starts_with('|')).collect();
    assert_eq!(found, rows);
}

#[test]
fn nothing_of_the_machine_that_it_was_made_on_is_in_the_tree() {
    // In two parts each, so that this file does not hold them itself.
    let forbidden = [
        ["/wo", "rk/"],
        ["/tm", "p/h/"],
        ["/ro", "ot/"],
        ["work", "place"],
        ["registry.", "npmjs"],
        ["index.", "crates.io"],
        ["static.", "crates.io"],
        ["pypi.", "org"],
        ["deb.", "debian.org"],
    ];
    let forbidden: Vec<String> = forbidden.iter().map(|parts| parts.concat()).collect();
    let mut wrong = Vec::new();
    for (path, text) in files(".") {
        for (number, line) in text.lines().enumerate() {
            for word in forbidden.iter().filter(|word| line.contains(word.as_str())) {
                wrong.push(format!("{path}:{}: {word}", number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files below a directory.
fn sources(dir: &str) -> impl Iterator<Item = (String, String)> {
    files(dir).filter(|(path, _)| path.ends_with(".rs"))
}

/// The text files below a directory, by their paths from the top.
fn files(dir: &str) -> impl Iterator<Item = (String, String)> {
    let walk = walkdir::WalkDir::new(root().join(dir)).sort_by_file_name().into_iter();
    let walk =
        walk.filter_entry(|entry| !matches!(entry.file_name().to_str(), Some("target" | ".git" | "pleach-demo")));
    walk.flatten().filter(|entry| entry.file_type().is_file()).filter_map(|entry| {
        let path = entry.path().strip_prefix(root()).ok()?.to_str()?.trim_start_matches("./").to_owned();
        Some((path, fs::read_to_string(entry.path()).ok()?))
    })
}
