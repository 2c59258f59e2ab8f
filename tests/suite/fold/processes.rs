//! What a landing costs: each process of git is several milliseconds of the user's processor.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::*;

const DIR: &str = "TEST_PROCESSES_DIR";
const CHANGE: &str = "TEST_PROCESSES_CHANGE";

/// Not a test by itself: the other process of the test below, with a `git` that counts.
#[test]
fn planner_and_lander() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let change = std::env::var(CHANGE).unwrap();
    let (base, tip) = change.split_once(' ').unwrap();
    let repo = Repository::at(Path::new(&dir).join(".git"));
    let head = repo.head_of(&main()).unwrap().unwrap();
    let at = "2026-01-02T03:04:05Z".parse().unwrap();
    let who = Identity::of(&repo, at).unwrap();
    let [base, tip] = [base, tip].map(|id| id.parse().unwrap());
    let wanted = Wanted { head, base, tip, strategy: Strategy::Merge, message: "fold it", replay: false };
    let Plan::Land(to) = plan(&repo, &wanted, &who).unwrap() else { panic!() };
    let landing = Landing { from: head, to };
    let lock = FoldLock::acquire(&repo).unwrap();
    assert_eq!(land(&repo, &lock, &main(), &landing, &marks(&landing), &|_| {}).unwrap(), Fold::Done);
    // Is its branch checked out somewhere? That is asked before it is deleted.
    assert_eq!(repo.worktrees().unwrap().len(), 2);
}

/// The git commands of planning and landing one change on a head that has moved on.
fn commands(bench: &Bench) -> Vec<String> {
    commands_after(bench, |bench| {
        bench.write("file", "2\n");
        bench.commit("by user");
    })
}

/// The same, after something has happened to the head.
fn commands_after(bench: &Bench, happens: impl Fn(&Bench)) -> Vec<String> {
    bench.write("file", "1\n");
    let base = bench.commit("base");
    bench.git(&["worktree", "add", "-q", "--detach", "../task"]);
    let tip = bench.change(base, &[("new", Some("new\n"))]);
    happens(bench);
    let bin = bench.dir.path().join("bin");
    let log = bench.dir.path().join("log");
    fs::create_dir(&bin).unwrap();
    let path = std::env::var("PATH").unwrap();
    let script = format!("#!/bin/sh\necho \"$@\" >> '{}'\nPATH='{path}' exec git \"$@\"\n", log.display());
    fs::write(bin.join("git"), script).unwrap();
    fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "fold::processes::planner_and_lander"]).env(DIR, &bench.top);
    // The user's own configuration may ask for what only git can answer.
    command.env("HOME", bench.dir.path()).env("XDG_CONFIG_HOME", bench.dir.path()).env(CHANGE, format!("{base} {tip}"));
    let output = command.env("PATH", format!("{}:{path}", bin.display())).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(bench.git(&["log", "-1", "--format=%cn <%ce>"]), "Ute User <ute@example.org>");
    bench.assert_tidy();
    let known = ["merge-tree", "status", "read-tree", "update-ref"];
    let name = |line: &str| line.split(' ').find(|word| known.contains(word)).unwrap_or(line).to_owned();
    fs::read_to_string(log).unwrap().lines().map(name).collect()
}

#[test]
fn a_landing_takes_few_processes() {
    let expected = ["merge-tree", "update-ref"];
    assert_eq!(commands(&Bench::new()), expected);
    assert_eq!(commands_after(&Bench::new(), |_| ()), ["update-ref"], "on a head that has not moved nothing is merged");
    let shared = Bench::new();
    shared.git(&["config", "extensions.worktreeConfig", "true"]);
    shared.git(&["config", "--worktree", "user.name", "Ute User"]);
    shared.git(&["config", "user.name", "Somebody Else"]);
    assert_eq!(commands(&shared), expected, "the configuration of the main worktree is read too");
}

/// Where the library cannot answer as git does, git is asked, and all is well.
#[test]
fn odd_repositories_take_more_processes() {
    let bench = Bench::new();
    bench.git(&["config", "--unset", "user.name"]);
    fs::write(bench.top.join(".git/named"), "[user]\n\tname = Ute User\n").unwrap();
    bench.git(&["config", "includeIf.gitdir:**/user/.git.path", "named"]);
    assert!(commands(&bench).len() > 3);
    let filtered = Bench::new();
    filtered.write(".gitattributes", "new text eol=crlf\n");
    assert_eq!(commands(&filtered), ["merge-tree", "update-ref", "read-tree"]);
    assert_eq!(fs::read(filtered.top.join("new")).unwrap(), b"new\r\n");
}
