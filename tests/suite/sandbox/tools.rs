//! Real tools in the full tier, as people have them: a build, an installation, test runs, a sandbox in the sandbox.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::support::scene::Scene;
use super::{scene, works};

/// Where a program is; where it is not, that is said, and nothing is tried.
fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).map(|dir| dir.join(program)).find(|path| path.is_file());
    if found.is_none() {
        println!("there is no {program} here: it is not tried");
    }
    found
}

/// A scene in the full tier with these files, which are committed.
fn with(files: &[(&str, &str)]) -> Option<Scene> {
    if !works("full") {
        return None;
    }
    let scene = scene("full");
    for (path, content) in files {
        scene.write(path, content);
    }
    scene.git(&["add", "-A"]);
    scene.git(&["commit", "-qm", "files"]);
    Some(scene)
}

/// It ends with 0. What it said.
fn run(scene: &Scene, line: &str) -> String {
    let id = scene.add(&[], line);
    scene.pleach(&["wait", &id.to_string()]);
    let log = scene.log(id);
    assert_eq!(scene.outcome(id), "exited 0", "{log}\n{}", scene.story());
    assert_eq!(scene.status(id)["attempts"][0]["sandbox"], "full");
    log
}

#[test]
fn a_rust_project_is_built_and_tested() {
    if found("cargo").is_none() {
        return;
    }
    let files = [
        ("Cargo.toml", "[package]\nname = \"made\"\nversion = \"0.1.0\"\nedition = \"2021\"\n"),
        ("src/lib.rs", "pub fn two() -> u32 { 2 }\n#[test]\nfn two_is_two() { assert_eq!(two(), 2); }\n"),
        ("src/main.rs", "fn main() { println!(\"made {}\", made::two()); }\n"),
        (".gitignore", "target\n"),
    ];
    let Some(mut scene) = with(&files) else { return };
    // Toolchains are where the user has them.
    let home = PathBuf::from(std::env::var_os("HOME").unwrap());
    for (name, dir) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        let place = std::env::var_os(name).map_or_else(|| home.join(dir), PathBuf::from);
        scene.variables.insert(name.to_owned(), place.display().to_string());
    }
    let said = run(&scene, "cargo build -q --offline && cargo test -q --offline && target/debug/made");
    assert!(said.contains("1 passed") && said.contains("made 2"), "{said}");
}

#[test]
fn a_package_is_installed_and_used() {
    if found("npm").is_none() || found("node").is_none() {
        return;
    }
    let files = [
        (
            "dep/package.json",
            "{\"name\": \"dep\", \"version\": \"1.0.0\", \"scripts\": {\"postinstall\": \"echo ran > ran\"}}",
        ),
        ("dep/index.js", "module.exports = 'of the dependency'\n"),
        ("package.json", "{\"name\": \"made\", \"version\": \"1.0.0\"}"),
        (".gitignore", "node_modules\n*.tgz\n"),
    ];
    let Some(scene) = with(&files) else { return };
    let line = "(cd dep && npm pack --silent) && npm install --offline --no-audit --no-fund ./dep/dep-1.0.0.tgz && \
        cat node_modules/dep/ran && node -e \"console.log(require('dep'))\"";
    let said = run(&scene, line);
    assert!(said.contains("ran\n") && said.contains("of the dependency"), "{said}");
    assert!(!scene.path("home/.npm").exists(), "what npm keeps at home is gone with the task");
}

#[test]
fn a_python_test_run_with_processes_of_its_own() {
    if found("python3").is_none() {
        return;
    }
    let test = "import multiprocessing, socket, tempfile, unittest\ndef double(n): return 2 * n\nclass All(unittest.TestCase):\n    \
        def test_pool(self):\n        with multiprocessing.Pool(2) as pool: self.assertEqual(pool.map(double, [1, 2]), [2, 4])\n    \
        def test_server(self):\n        with socket.create_server(('127.0.0.1', 0)) as server:\n            socket.create_connection(server.getsockname()).close()\n    \
        def test_files(self):\n        with tempfile.TemporaryDirectory() as place: open(place + '/x', 'w').write('x')\n";
    let Some(scene) = with(&[("test_all.py", test), (".gitignore", "__pycache__\n")]) else { return };
    let said = run(&scene, "python3 -m unittest -v 2>&1");
    assert!(said.contains("Ran 3 tests") && said.contains("\nOK"), "{said}");
}

#[test]
fn a_git_heavy_script() {
    let Some(scene) = with(&[("a", "0\n")]) else { return };
    let line = "set -e; for n in 1 2 3 4 5 6 7 8; do git switch -qc t$n; echo $n >> a; git commit -qam $n; echo dirty >> a; git stash -q; \
        git worktree add -q $TMPDIR/w$n -b w$n; (cd $TMPDIR/w$n && echo $n > f$n && git add . && git commit -qm f$n); git rebase -q w$n; git stash drop -q; done; \
        git worktree list | wc -l; git worktree remove $TMPDIR/w1; git gc -q --prune=now; git fsck --strict; git log --oneline | wc -l";
    let said = run(&scene, line);
    assert!(said.starts_with("9\n"), "{said}");
    assert_eq!(scene.git(&["branch", "--list", "w*"]), "");
}

/// A sandbox of a task's own. Root cannot: whoever has no capability may not map root into a namespace.
#[test]
fn a_sandbox_in_the_sandbox() {
    let Some(bwrap) = found("bwrap") else { return };
    if !works("full") {
        return;
    }
    let dir = tempfile::Builder::new().prefix("pleach-scene-").tempdir().unwrap();
    let place = |name: &str| dir.path().join(name);
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(place("bin")).unwrap();
    fs::create_dir(place("work")).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_pleach"), place("bin/pleach")).unwrap();
    [dir.path(), &place("bin"), &place("bin/pleach")].into_iter().for_each(open);
    fs::write(place("outside"), "mine").unwrap();
    fs::set_permissions(place("outside"), fs::Permissions::from_mode(0o666)).unwrap();
    let inner = format!(
        "echo nested; test -d /proc/self && echo processes; echo x > made && echo wrote; echo x > {}",
        place("outside").display()
    );
    let line = format!(
        "{} --unshare-all --bind / / --dev /dev --proc /proc sh -c '{inner}' 2>&1; {} --dev-bind / / sh -c '{inner}' 2>&1",
        bwrap.display(),
        bwrap.display()
    );
    let script = "mkdir \"$HOME/r\" && cd \"$HOME/r\" && git init -q . && git -c user.name=S -c user.email=s@example.org commit -q --allow-empty -m first && exec \"$@\"";
    let is_root = rustix::process::geteuid().is_root();
    let mut command = Command::new(if is_root { "setpriv" } else { "env" });
    if is_root {
        // Others are not.
        fs::set_permissions(place("work"), fs::Permissions::from_mode(0o777)).unwrap();
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    }
    command.args(["sh", "-c", script, "sh"]).arg(place("bin/pleach")).args(["sandbox", "--tier", "full", "--", &line]);
    let path: OsString = std::env::var_os("PATH").unwrap();
    command.env_clear().env("PATH", path).env("HOME", place("work")).env("PLEACH_STATE_DIR", place("work/state"));
    let output = command.env("GIT_CONFIG_NOSYSTEM", "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        said.matches("nested\nprocesses\nwrote\n").count(),
        2,
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(fs::read_to_string(place("outside")).unwrap(), "mine");
}
