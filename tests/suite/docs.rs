//! Every command of the README and of docs/ is run here, and what they say in tables and examples compared with the code.
#![allow(clippy::disallowed_methods, reason = "tests read files as a user would")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pleach::config::env::NAMES;
use pleach::config::file::{Branch, File, Fingerprint, Fold, Limits, Merge, Run, Verify, Worktree};
use pleach::config::{self, DEFAULT_DISK_FLOOR, DEFAULT_MEMORY_FLOOR, DEFAULT_SETUP_TIMEOUT, file};
use pleach::core::delegate::Delegation;
use pleach::core::driver::DEFAULT_DRIVER_TIMEOUT;
use pleach::core::provider::WorktreeMode;
use pleach::core::sandbox::{Home, Network, Tier};
use pleach::core::task::{DEFAULT_GRACE, DEFAULT_LOG_CAP, FoldPolicy, Priority, Publish, Strategy};
use pleach::core::verify::Check;
use serde_json::Value;

use super::support::scratch::Scratch;

#[test]
fn each_command_of_the_readme_works() {
    run_all("README.md");
}

#[test]
fn each_command_of_the_other_pages_works() {
    // Those of json.md are run with its examples, below.
    let pages = pages().into_iter().filter(|page| !["README.md", "docs/json.md"].contains(&page.as_str()));
    pages.for_each(|page| run_all(&page));
}

/// Every page that somebody reads.
fn pages() -> Vec<String> {
    let names = |dir: &str| -> Vec<String> {
        let entries = fs::read_dir(root().join(dir)).unwrap().map(|entry| entry.unwrap().file_name());
        let names = entries.map(|name| name.into_string().unwrap()).filter(|name| name.ends_with(".md"));
        names.map(|name| if dir.is_empty() { name } else { format!("{dir}/{name}") }).collect()
    };
    let mut all: Vec<String> = ["", "docs", "hooks", "fixtures"].into_iter().flat_map(names).collect();
    all.sort();
    assert!(all.len() > 14, "{all:?}");
    all
}

/// All `sh` blocks of a page, in order, in one repository.
fn run_all(page: &str) {
    let text = read(page);
    let scripts: Vec<&str> = blocks(&text).filter(|(kind, _)| *kind == "sh").map(|(_, code)| code).collect();
    let scratch = Scratch::new();
    for script in scripts {
        let output = scratch.sh(script);
        let told = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{page}:\n{script}\n{}\n{}", output.status, String::from_utf8_lossy(&told));
    }
}

/// What builds, tests or installs is too much for a test; the continuous integration runs it, word for word.
#[test]
fn what_no_test_runs_is_run_by_ci() {
    let ci = read(".ci/run");
    for page in pages() {
        let text = read(&page);
        let lines = blocks(&text).filter(|(kind, _)| *kind == "console").flat_map(|(_, code)| code.lines());
        for line in lines.filter_map(|line| line.strip_prefix("$ ")) {
            assert!(ci.contains(line), "{page}: nobody runs `{line}`");
        }
    }
}

#[test]
fn the_demonstration_comes_out_as_it_has_to() {
    let scratch = Scratch::new();
    let output = scratch.sh_in(scratch.top.parent().unwrap(), "pleach demo garden && git -C garden status --porcelain");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.ends_with(" M README.md\n"), "{text}");
    let again = scratch.sh_in(scratch.top.parent().unwrap(), "pleach demo garden");
    assert_eq!(again.status.code(), Some(7), "what is there already is left alone");
}

/// It goes where no repository gets an untracked directory of it.
#[test]
fn the_demonstration_leaves_the_repository_alone_that_it_is_called_in() {
    let scratch = Scratch::new();
    let home = scratch.top.parent().unwrap();
    let script = "mkdir -p tmp/pleach-demo here/pleach-demo; touch tmp/pleach-demo/it here/pleach-demo/it";
    scratch.sh_in(home, script);
    for (from, place) in [("project/api", "tmp"), ("here", "here")] {
        let output = scratch.sh_in(&home.join(from), &format!("TMPDIR={}/tmp pleach demo", home.display()));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            told.contains(&format!("{} is there already", home.join(place).join("pleach-demo").display())),
            "{told}"
        );
    }
    assert_eq!(scratch.sh("git status --porcelain").stdout, b"");
}

#[test]
fn the_page_on_configuration_has_every_key_and_variable() {
    let text = read("docs/configuration.md");
    let (_, whole) = blocks(&text).find(|(kind, _)| *kind == "toml").unwrap();
    // Taken apart without `..`: a key that is added must be added to the page too.
    let File {
        run,
        groups,
        worktree,
        fold,
        verify,
        merge,
        branch,
        limits,
        sandbox,
        agents,
        roles,
        notify,
        delegate,
        at: _,
    } = File::parse(Path::new("page"), whole.as_bytes()).unwrap();
    let file::Delegate { depth, children } = delegate;
    assert_eq!((depth.unwrap().0, children.unwrap()), (Delegation::DEPTH as usize, Delegation::CHILDREN));
    let Run { concurrency, timeout, grace, retries, log_cap, priority, env_pass } = run;
    let Worktree { dir, mode, clean, copy, setup, setup_timeout } = worktree;
    assert_eq!(
        (mode, clean),
        (Some(file::Spelled(WorktreeMode::Auto)), Some(false)),
        "the page says that these are the defaults"
    );
    let (Fold { policy, strategy, publish, hooks }, Branch { prefix }, Limits { disk_floor, memory_floor }) =
        (fold, branch, limits);
    let examples = [concurrency.is_some(), timeout.is_some(), env_pass.is_some(), !groups.is_empty(), dir.is_some()];
    assert!(examples.iter().chain(&[copy.is_some(), setup.is_some(), hooks.is_some()]).all(|said| *said));
    let Verify { command, timeout: limit, deterministic, guarantee, cores, early, expire, fingerprint, scope } = verify;
    assert!(command.is_some() && limit.is_some() && cores.is_some() && expire.is_some() && scope.len() == 1);
    let Fingerprint { commands, variables, files } = fingerprint;
    assert!([commands, variables, files].iter().all(|said| !said.is_empty()));
    let Merge { driver, patterns, timeout: driver_timeout } = merge;
    assert!(driver.is_some_and(|line| line.contains("%A")) && patterns.is_some());
    let file::Sandbox { tier, require, network, write, hide, memory, processes, home, read: shown, exec } = sandbox;
    assert!(write.is_some() && hide.is_some() && agents.len() == 2);
    assert!(memory.is_some() && processes.is_some() && shown.is_some() && exec.is_some());
    let file::Roles { available, trusted } = roles;
    assert!(available.is_some() && trusted.is_some());
    let file::Notify { bell, osc, after, desktop, webhook, command, events } = notify;
    assert!(webhook.is_some() && command.is_some() && events.is_some());
    let by_default = config::Notify::default();
    assert_eq!((bell, osc, desktop), (Some(by_default.bell), Some(by_default.osc), Some(by_default.desktop)));
    assert_eq!(after, Some(file::Duration(config::DEFAULT_AFTER)));
    // Of these the page says that they are the defaults.
    let default = Check::default();
    assert_eq!(deterministic, Some(default.deterministic));
    assert_eq!(early, Some(default.early));
    assert_eq!(guarantee, Some(file::Spelled(default.guarantee)));
    let defaults = File {
        run: Run {
            grace: Some(file::Duration(DEFAULT_GRACE)),
            retries: Some(0),
            log_cap: Some(file::Size(DEFAULT_LOG_CAP)),
            priority: Some(file::Spelled(Priority::default())),
            ..Run::default()
        },
        worktree: Worktree { setup_timeout: Some(file::Duration(DEFAULT_SETUP_TIMEOUT)), ..Worktree::default() },
        fold: Fold {
            policy: Some(file::Spelled(FoldPolicy::default())),
            strategy: Some(file::Spelled(Strategy::default())),
            publish: Some(file::Spelled(Publish::default())),
            ..Fold::default()
        },
        merge: Merge { timeout: Some(file::Duration(DEFAULT_DRIVER_TIMEOUT)), ..Merge::default() },
        branch: Branch { prefix: Some(config::DEFAULT_BRANCH_PREFIX.to_owned()) },
        limits: Limits {
            disk_floor: Some(file::Size(DEFAULT_DISK_FLOOR)),
            memory_floor: Some(file::Size(DEFAULT_MEMORY_FLOOR)),
        },
        sandbox: file::Sandbox {
            tier: Some(file::WantedTier(None)),
            require: Some(file::Spelled(Tier::None)),
            network: Some(file::Whom(Network::Allow)),
            home: Some(file::Spelled(Home::Cow)),
            ..file::Sandbox::default()
        },
        ..File::default()
    };
    let found = File {
        run: Run { grace, retries, log_cap, priority, ..Run::default() },
        worktree: Worktree { setup_timeout, ..Worktree::default() },
        fold: Fold { policy, strategy, publish, ..Fold::default() },
        merge: Merge { timeout: driver_timeout, ..Merge::default() },
        branch: Branch { prefix },
        limits: Limits { disk_floor, memory_floor },
        sandbox: file::Sandbox { tier, require, network, home, ..file::Sandbox::default() },
        ..File::default()
    };
    assert_eq!(found, defaults);
    for (name, meaning) in NAMES {
        assert!(text.contains(&format!("| `{name}` | {meaning} |")), "{name}");
    }
    let readme = read("README.md");
    let (_, summary) = blocks(&readme).find(|(kind, _)| *kind == "toml").unwrap();
    File::parse(Path::new("README.md"), summary.as_bytes()).unwrap();
}

/// The examples of docs/json.md against what the program really answers: each field that is answered is in the
/// example, with the same kind of value. (A field that an example has may be left out where there is nothing to say.)
#[test]
fn the_page_on_json_shows_what_is_answered() {
    let scratch = Scratch::new();
    let text = read("docs/json.md");
    let mut checked = 0;
    for section in text.split("\n## ").skip(1) {
        let Some((_, example)) = blocks(section).find(|(kind, _)| *kind == "json") else { continue };
        let command = section.split('`').nth(1).unwrap();
        let example: Value = serde_json::from_str(example).unwrap_or_else(|error| panic!("{command}: {error}"));
        let before: Vec<&str> = blocks(section).filter(|(kind, _)| *kind == "sh").map(|(_, code)| code).collect();
        scratch.sh(&before.join("\n"));
        let answers = if command.contains("events") {
            let output = scratch.sh(command);
            let text = String::from_utf8(output.stdout).unwrap();
            Value::Array(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
        } else {
            scratch.json(&format!("{command} || true"))
        };
        let (mut known, mut found) = (BTreeSet::new(), BTreeSet::new());
        shape(&example, "", &mut known);
        shape(&answers, "", &mut found);
        let unknown: Vec<_> = found.difference(&known).collect();
        assert!(unknown.is_empty(), "{command}: docs/json.md does not have {unknown:?}; the answer: {answers:#}");
        assert!(!found.is_empty(), "{command} answers nothing");
        checked += 1;
    }
    assert!(checked >= 14, "only {checked} examples");
}

/// What has no `--json` is said to have none; what has it is on the page, with an example.
#[test]
fn the_page_on_json_has_every_verb() {
    let text = read("docs/json.md");
    let without = text.split("these do not: ").nth(1).and_then(|rest| rest.split('.').next()).unwrap();
    let table = pleach::cli::args::table();
    for verb in table.get_subcommands() {
        let name = verb.get_name();
        let answers = verb.get_arguments().any(|arg| arg.get_long() == Some("json"));
        assert_eq!(!answers, without.contains(&format!("`{name}`")), "{name}");
        let is_shown =
            text.contains(&format!("\n## `pleach {name} ")) || text.contains(&format!("`{name}` answers the same"));
        assert_eq!(answers, is_shown, "{name}");
    }
}

/// Each field that a report can have, in an example or in words.
#[test]
fn the_page_on_json_has_every_field() {
    const INNER: &[&str] = &["row", "size", "places"];
    let text = read("docs/json.md");
    let source = read("src/core/report.rs");
    let mut count = 0;
    for item in source.split("\npub struct ").skip(1) {
        let (name, rest) = item.split_once(' ').unwrap();
        let fields = rest.split("\n}").next().unwrap();
        // These are given, not answered.
        if matches!(name, "Live" | "Known" | "Seen") {
            continue;
        }
        for field in fields.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(": ")) {
            let (field, _) = field;
            let is_there = [format!("\"{field}\""), format!("`{field}`")].iter().any(|word| text.contains(word));
            assert!(is_there || INNER.contains(&field), "{name}: nothing is said of {field}");
            count += 1;
        }
    }
    assert!(count > 60, "only {count} fields");
}

/// All paths of a value with their kinds: `.tasks[].id number`.
fn shape(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| shape(value, &format!("{path}.{name}"), found)),
        Value::Array(items) => items.iter().for_each(|item| shape(item, &format!("{path}[]"), found)),
        Value::String(_) => drop(found.insert(format!("{path} string"))),
        Value::Number(_) => drop(found.insert(format!("{path} number"))),
        Value::Bool(_) => drop(found.insert(format!("{path} bool"))),
        Value::Null => drop(found.insert(format!("{path} null"))),
    }
}

#[test]
fn links_lead_somewhere() {
    for page in pages() {
        let text = read(&page);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.starts_with("http") && !target.starts_with('#')) {
            let file = root().join(&page).parent().unwrap().join(target.split('#').next().unwrap());
            assert!(file.exists(), "{page} leads to {target}, which is not there");
        }
    }
}

/// The fenced blocks of a page: what kind, and their content.
fn blocks(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut parts = text.split("\n```");
    parts.next();
    std::iter::from_fn(move || {
        let block = parts.next()?;
        parts.next();
        block.split_once('\n')
    })
}

fn read(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
