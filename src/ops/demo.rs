//! A small real repository with a real fault in each of several modules, and tasks that mend them.
//!
//! The files are those of `fixtures/demo`. Who shows them does so by ordinary command lines; this file says which, and
//! what has to come of each, so that a demonstration is also a test.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Error, ErrorKind, Session, approve};
use crate::core::report::{Row, Standing};
use crate::git::repository::Discover;
use crate::git::{GitError, Repository};
use crate::process::Tool;
use crate::store;

/// The name of the repository, where nothing else is said.
const DEFAULT_NAME: &str = "pleach-demo";
/// The file that a person is in the middle of editing while all this goes on.
pub const EDITED: &str = "README.md";
/// The modules, each with a check of its own.
pub const MODULES: &[&str] = &["slug", "total", "notes", "links", "title", "dates", "names"];

macro_rules! files {
    ($($path:literal),+ $(,)?) => { &[$(($path, include_bytes!(concat!("../../fixtures/demo/", $path)))),+] };
}

const FILES: &[(&str, &[u8])] = files![
    ".pleach.toml",
    "README.md",
    "check",
    "tools/lib",
    "slug/slug.sh",
    "slug/check",
    "total/total.awk",
    "total/orders.csv",
    "total/check",
    "notes/autumn.txt",
    "notes/spring.txt",
    "notes/summer.txt",
    "notes/tools.txt",
    "notes/winter.txt",
    "notes/check",
    "links/index.md",
    "links/pages/hedge.md",
    "links/pages/knot.md",
    "links/pages/linden-walk.md",
    "links/check",
    "title/page.html",
    "title/check",
    "dates/leap.sh",
    "dates/check",
    "names/names.txt",
    "names/check",
    "agents/slug",
    "agents/total",
    "agents/notes",
    "agents/links",
    "agents/title",
    "agents/dates",
    "agents/names",
    "agents/report",
];

/// A task of the demonstration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// What it runs.
    pub command: &'static [&'static str],
    /// What it builds on.
    pub after: &'static [&'static str],
    /// Seconds that it may take.
    pub timeout: Option<u64>,
    /// What it shows.
    pub shows: &'static str,
    /// Where it has to stand once it has run.
    pub comes_to: Standing,
}

const fn part(name: &'static str, command: &'static [&'static str], shows: &'static str) -> Part {
    Part { name, command, after: &[], timeout: None, shows, comes_to: Standing::Ready }
}

/// The tasks.
pub const PARTS: &[Part] = &[
    part("slug", &["sh", "agents/slug"], "mends a shell script"),
    part("total", &["sh", "agents/total"], "mends an awk script"),
    part("notes", &["sh", "agents/notes"], "a lint with fixes in many files"),
    part("links", &["sh", "agents/links"], "makes commits of its own"),
    part("title", &["sh", "agents/title", "The garden"], "edits one line"),
    part("title-too", &["sh", "agents/title", "Interwoven branches"], "edits the same line: they will conflict"),
    Part { comes_to: Standing::Failed, ..part("dates", &["sh", "agents/dates"], "mends it the wrong way, and fails") },
    Part {
        timeout: Some(5),
        comes_to: Standing::Failed,
        ..part("names", &["sh", "agents/names"], "waits for ever, and runs into its timeout")
    },
    Part { after: &["slug", "total"], ..part("report", &["sh", "agents/report"], "builds on two results") },
];

/// What is folded, in this order.
pub const FOLDED: &[&str] = &["slug", "total", "notes", "links", "title", "report"];
/// What then conflicts.
pub const CONFLICTING: &str = "title-too";
/// The modules that are mended in the end.
pub const MENDED: &[&str] = &["slug", "total", "notes", "links", "title"];

impl Part {
    /// The command line that asks for it.
    pub fn command_line(&self) -> String {
        let mut words = vec!["pleach", "add", "--name", self.name];
        let after = self.after.join(",");
        if !after.is_empty() {
            words.extend(["--after", &after]);
        }
        let timeout = self.timeout.map(|seconds| format!("{seconds}s"));
        words.extend(timeout.iter().flat_map(|timeout| ["--timeout", timeout]));
        words.push("--");
        words.extend(self.command);
        shell_words::join(words)
    }

    /// What is not as it has to be, now that it has run.
    pub fn surprise(&self, row: Option<&Row>) -> Option<String> {
        let found = row.map_or("not there", |row| row.state.as_str());
        (found != self.comes_to.as_str()).then(|| format!("{} is {found} instead of {}", self.name, self.comes_to))
    }
}

/// Where the repository is made, where nothing else is said: here, or, where here is a repository that would have it as
/// an untracked directory, among the temporary files.
pub fn default_dir(here: &Path) -> PathBuf {
    let is_free = matches!(Repository::discover(here), Err(Discover::NotARepository(_)));
    if is_free { here.join(DEFAULT_NAME) } else { std::env::temp_dir().join(DEFAULT_NAME) }
}

/// Make the repository; answers where it is.
///
/// # Errors
/// Where something is there already, or it cannot be written.
pub fn make(dir: &Path) -> Result<PathBuf, Error> {
    if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) || dir.is_file() {
        return Err(Error::new(
            ErrorKind::Refused,
            format!("{} is there already", dir.display()),
            "name another place: `pleach demo DIR`; or go on in it with `pleach ls`",
        ));
    }
    for (path, content) in FILES {
        let path = dir.join(path);
        store::make_dir(path.parent().unwrap_or(dir))?;
        store::replace(&path, content)?;
    }
    let dir = dir.canonicalize().map_err(store::StoreError::file("find", dir))?;
    git(&dir, &["init", "--quiet", "--initial-branch=main", "--template=", "."])?;
    // The user's own identity, signing and hooks have no part in this.
    let settings = [
        ("user.name", "The gardener"),
        ("user.email", "gardener@example.com"),
        ("commit.gpgSign", "false"),
        ("core.hooksPath", "/dev/null"),
        ("core.autocrlf", "false"),
    ];
    for (key, value) in settings {
        git(&dir, &["config", key, value])?;
    }
    git(&dir, &["add", "--all", "--force", "."])?;
    git(&dir, &["commit", "--quiet", "--message", "a garden with seven faults"])?;
    // Whatever runs in it is in this program: nobody has to be asked.
    let open = approve::pending(&Session::open(&dir)?)?;
    if !open.is_empty() {
        approve::approve(&open)?;
    }
    Ok(dir)
}

/// Leave an edit in the checkout, as somebody in the middle of their own work would.
///
/// # Errors
/// Where the file cannot be written.
pub fn edit(dir: &Path) -> Result<Vec<u8>, Error> {
    let path = dir.join(EDITED);
    let mut content = store::read(&path)?.unwrap_or_default();
    content.extend(b"\nI am in the middle of this sentence, and have not committed\n");
    store::replace(&path, &content)?;
    Ok(content)
}

/// Is that edit as it was, byte for byte?
///
/// # Errors
/// Where the file cannot be read.
pub fn is_untouched(dir: &Path, edit: &[u8]) -> Result<bool, Error> {
    Ok(store::read(&dir.join(EDITED))?.as_deref() == Some(edit))
}

/// The verdicts of the checks of all modules, as they tell them themselves.
///
/// # Errors
/// Where there is no `sh`.
pub fn check(dir: &Path) -> Result<Vec<(bool, String)>, Error> {
    let output = Tool::new("sh").arg("check").dir(dir).output().map_err(GitError::from)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().map(|line| (line.starts_with("ok"), line.to_owned())).collect())
}

/// The modules whose check does not say what it has to, where exactly these are `mended`.
pub fn wrong_checks(verdicts: &[(bool, String)], mended: &[&str]) -> Vec<String> {
    let said = |module: &str| {
        verdicts.iter().find(|(_, line)| line.split([' ', ':']).any(|word| word == module)).map(|(good, _)| *good)
    };
    let wrong = MODULES.iter().filter(|module| said(module) != Some(mended.contains(module)));
    wrong.map(|module| format!("the check of {module} says {:?}", said(module))).collect()
}

/// What git says of the checkout, in short.
///
/// # Errors
/// Where git fails.
pub fn status(dir: &Path) -> Result<String, Error> {
    git(dir, &["status", "--short"])
}

/// The newest commits of the branch, drawn by git.
///
/// # Errors
/// Where git fails.
pub fn history(dir: &Path) -> Result<String, Error> {
    git(dir, &["log", "--graph", "--oneline", "--no-decorate", "-n", "14"])
}

fn git(dir: &Path, args: &[&str]) -> Result<String, Error> {
    let output = Tool::git().dir(dir).args(args).run().map_err(GitError::from)?;
    Ok(String::from_utf8_lossy(&output).into_owned())
}
