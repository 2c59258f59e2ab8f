//! A home and a repository in which the real program runs as a user would run it.
#![allow(clippy::disallowed_methods, reason = "tests start programs as a user would")]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Three modules, a lint, a codemod and an agent: what the examples of the documents work on.
const FILES: &[(&str, &str)] = &[
    ("api/main.txt", "the colour of the api \n"),
    ("web/main.txt", "the colour of the web\t\n"),
    ("worker/main.txt", "the colour of the worker\n"),
    (".gitignore", "*.log\n.env\n"),
    (
        "tools/lint",
        "for file in */main.txt; do\n  sed 's/[[:blank:]]*$//' \"$file\" >\"$TMPDIR/l\" && cat \"$TMPDIR/l\" >\"$file\"\ndone\n",
    ),
    ("tools/rename", "sed \"s/$2/$3/g\" \"$1/main.txt\" >\"$TMPDIR/r\" && cat \"$TMPDIR/r\" >\"$1/main.txt\"\n"),
    ("tools/agent", "echo \"$1\" >page.txt && git add page.txt && git commit -qm \"$1\" && pleach summary done\n"),
];

pub(crate) struct Scratch {
    dir: tempfile::TempDir,
    pub(crate) top: PathBuf,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap().join("project");
        let scratch = Self { dir, top };
        fs::create_dir_all(scratch.dir.path().join("home")).unwrap();
        for (path, content) in FILES {
            super::repo::put(&scratch.top.join(path), content);
        }
        let made = scratch
            .sh("git init -q -b main && git config user.name Somebody && git config user.email somebody@example.com \
             && git add -A && git commit -qm first");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        scratch
    }

    /// Run a script in the repository; it ends at the first command that fails.
    pub(crate) fn sh(&self, script: &str) -> Output {
        self.sh_in(&self.top, script)
    }

    pub(crate) fn sh_in(&self, dir: &Path, script: &str) -> Output {
        let program = Path::new(env!("CARGO_BIN_EXE_pleach")).parent().unwrap();
        let mut path = OsString::from(program);
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let root = self.dir.path();
        let mut sh = Command::new("sh");
        sh.args(["-eu", "-c", script]).current_dir(dir).env_clear().env("PATH", path).env("HOME", root.join("home"));
        sh.env("PLEACH_STATE_DIR", root.join("state")).env("PLEACH_IDLE_SECONDS", "1").env("GIT_CONFIG_NOSYSTEM", "1");
        sh.stdin(std::process::Stdio::null()).output().unwrap()
    }

    /// What `pleach … --json` answers.
    pub(crate) fn json(&self, line: &str) -> serde_json::Value {
        let output = self.sh(line);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!(
                "{line}: {error}: {}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            )
        })
    }
}
