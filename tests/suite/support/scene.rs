//! The real program in a repository, home and state directory of its own, with every process that comes of it.
#![allow(clippy::disallowed_methods, reason = "tests write files, start programs and wait as a user would")]

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;

/// The longest that any fact is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A repository with a few files, and `pleach` in it. At its end every process of it is killed, and one that should
/// not have been there any more fails the test.
pub(crate) struct Scene {
    dir: tempfile::TempDir,
    root: PathBuf,
    /// The user's checkout.
    pub(crate) top: PathBuf,
    /// What else every `pleach` gets in its environment.
    pub(crate) variables: BTreeMap<String, String>,
}

/// The program under test; another copy of it where somebody plays who cannot look into where it was built.
fn program() -> OsString {
    std::env::var_os("PLEACH_TEST_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_pleach").into())
}

/// How a command ended.
#[derive(Debug, Clone)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A process of a scene.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) words: Vec<String>,
}

impl Process {
    pub(crate) fn is_coordinator(&self) -> bool {
        self.words.iter().any(|word| word == "__coordinator")
    }

    /// May it be there although nothing is going on? The coordinator, and the git that it speaks to about refs, which
    /// ends with it.
    pub(crate) fn may_stay(&self) -> bool {
        self.is_coordinator() || self.words.ends_with(&["-m", "pleach", "--stdin", "-z"].map(str::to_owned))
    }

    pub(crate) fn is_shim(&self) -> bool {
        self.words.iter().any(|word| word == "__shim" || word == "__salvage")
    }

    /// As `kill -9` does.
    pub(crate) fn kill(&self) {
        if let Some(pid) = Pid::from_raw(self.pid as i32) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    /// Stop it, and look again what it is: a process that is just being started shows the words of its parent.
    pub(crate) fn stopped(self) -> Self {
        if let Some(pid) = Pid::from_raw(self.pid as i32) {
            let _ = kill_process(pid, Signal::STOP);
        }
        let words = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let words = words.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
        let words: Vec<String> = words.filter(|word| !word.is_empty()).collect();
        if words.is_empty() { self } else { Self { words, ..self } }
    }

    /// Let it go on that was stopped.
    pub(crate) fn go_on(&self) {
        if let Some(pid) = Pid::from_raw(self.pid as i32) {
            let _ = kill_process(pid, Signal::CONT);
        }
    }

    /// With its whole process group: for the coordinator, with every git that it runs.
    pub(crate) fn kill_group(&self) {
        if let Some(pid) = Pid::from_raw(self.pid as i32) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    pub(crate) fn below(above: &Path) -> Self {
        let dir = tempfile::Builder::new().prefix("pleach-scene-").tempdir_in(above).unwrap();
        let root = dir.path().canonicalize().unwrap();
        let top = root.join("user");
        let scene = Self { dir, top, root, variables: BTreeMap::new() };
        for part in ["home", "state", "tmp", "crash"] {
            fs::create_dir_all(scene.root.join(part)).unwrap();
        }
        scene.configure("");
        assert!(scene.plain("git").args(["init", "-q", "-b", "main"]).arg(&scene.top).status().unwrap().success());
        for (key, value) in [("user.name", "Ute User"), ("user.email", "ute@example.org"), ("gc.auto", "0")] {
            scene.git(&["config", key, value]);
        }
        scene.write(".gitignore", "*.ignored\n");
        scene.write("readme", "hello\n");
        scene.write("mine", "mine\n");
        scene.write("staged", "staged\n");
        scene.write("dir/kept", "kept\n");
        scene.git(&["add", "-A"]);
        scene.git(&["commit", "-qm", "first"]);
        scene
    }

    /// Are the ordinary scenes played inside of a tier of the sandbox (`PLEACH_TEST_SANDBOX`)?
    pub(crate) fn is_caged() -> bool {
        std::env::var_os("PLEACH_TEST_SANDBOX").is_some_and(|tier| tier != "none")
    }

    /// Write the user's own configuration.
    pub(crate) fn configure(&self, text: &str) {
        let dir = self.root.join("home/config/pleach");
        // What tasks and tests tell each other lies beside the repository. The checkout, its git directory and the state
        // are in places of their own, also in there.
        let shared = if Self::is_caged() { format!("[sandbox]\nwrite = [{:?}]\n", self.root) } else { String::new() };
        if !(shared.is_empty() && text.is_empty()) {
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("config.toml"), format!("{shared}{text}")).unwrap();
        }
    }

    /// A scene with this many tasks at once.
    pub(crate) fn with_concurrency(tasks: usize) -> Self {
        let mut scene = Self::new();
        scene.variables.insert("PLEACH_CONCURRENCY".to_owned(), tasks.to_string());
        scene
    }

    /// A place outside of the repository, for what tasks and tests tell each other.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.top.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.top.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn plain(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.root.join("home"));
        command.env("XDG_CONFIG_HOME", self.root.join("home/config")).env("XDG_STATE_HOME", self.root.join("state"));
        command.env("TMPDIR", self.root.join("tmp")).env("GIT_CONFIG_NOSYSTEM", "1").stdin(Stdio::null());
        command
    }

    /// `pleach` with these arguments, ready to start.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.plain(program());
        command.env_remove("GIT_CONFIG_NOSYSTEM").env("PLEACH_STATE_DIR", self.root.join("state"));
        command.env("PLEACH_IDLE_SECONDS", "1").env("PLEACH_CRASH", self.root.join("crash"));
        // Tasks and tests tell each other things by files that a sandbox would keep apart: `sandbox` tries that.
        match std::env::var_os("PLEACH_TEST_SANDBOX") {
            // To see what a sandbox breaks. What is named is seen by tasks, although it is among the temporary files.
            Some(tier) => command.env("PLEACH_SANDBOX", tier).env("XDG_DATA_HOME", &self.root),
            None => command.env("PLEACH_SANDBOX", "none"),
        };
        command.envs(&self.variables).current_dir(&self.top).args(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn pleach(&self, args: &[&str]) -> Ran {
        finish(self.start(args))
    }

    /// Start it and go on.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.command(args).spawn().unwrap()
    }

    /// It must end with 0; its answer.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let ran = self.pleach(args);
        assert_eq!(ran.code, Some(0), "pleach {args:?}: {}{}\n{}", ran.out, ran.err, self.story());
        ran.out.trim_end().to_owned()
    }

    /// `pleach add`; the id.
    pub(crate) fn add(&self, options: &[&str], line: &str) -> u64 {
        let answer = self.ok(&[&["add"], options, &["--", line]].concat());
        answer.parse().unwrap_or_else(|_| panic!("{answer:?} is no id"))
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let answer = self.ok(&[args, &["--json"]].concat());
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// One task in full.
    pub(crate) fn status(&self, task: u64) -> Value {
        self.json(&["status", &task.to_string()])
    }

    /// Where each task stands, by id.
    pub(crate) fn board(&self) -> BTreeMap<u64, Value> {
        let board = self.json(&["ls", "--all"]);
        let rows = board["tasks"].as_array().unwrap().iter();
        rows.map(|row| (row["id"].as_u64().unwrap(), row.clone())).collect()
    }

    /// Where a task stands, in a word.
    pub(crate) fn stands(&self, task: u64) -> String {
        self.status(task)["state"].as_str().unwrap().to_owned()
    }

    /// How the last attempt of a task ended: `exited 3`, `lost`, `timed_out`.
    pub(crate) fn outcome(&self, task: u64) -> String {
        let status = self.status(task);
        let last = status["attempts"].as_array().and_then(|all| all.last()).cloned().unwrap_or_default();
        outcome(&last["outcome"])
    }

    /// Everything that a task wrote in its last attempt.
    pub(crate) fn log(&self, task: u64) -> String {
        self.pleach(&["logs", &task.to_string()]).out
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        self.git_in(&self.top, args)
    }

    pub(crate) fn git_in(&self, dir: &Path, args: &[&str]) -> String {
        let output = self.plain("git").current_dir(dir).args(args).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {words}\n{}", self.story());
        String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
    }

    /// Make the next process that reaches this point die there.
    pub(crate) fn arm(&self, point: &str) {
        fs::write(self.root.join("crash").join(point), "").unwrap();
    }

    pub(crate) fn is_armed(&self, point: &str) -> bool {
        self.root.join("crash").join(point).exists()
    }

    /// Edits of every kind in the user's checkout.
    pub(crate) fn make_dirty(&self) {
        self.write("staged", "staged\nand more\n");
        self.git(&["add", "staged"]);
        self.write("mine", "mine\nand more\n");
        self.write("untracked", "nobody knows this\n");
        self.write("dir/untracked", "nor this\n");
        self.write("left.ignored", "nor this\n");
    }

    /// What git sees of these edits, and their bytes.
    pub(crate) fn edits(&self) -> Vec<String> {
        let mut seen: Vec<String> = [
            &["status", "--porcelain", "--ignored"][..],
            &["diff", "HEAD"],
            &["diff", "--cached"],
            &["stash", "list"],
            &["symbolic-ref", "HEAD"],
        ]
        .map(|args| self.git(args))
        .to_vec();
        seen.extend(["mine", "staged", "untracked", "dir/untracked", "left.ignored"].map(|path| self.read(path)));
        seen
    }

    /// Wait for a fact.
    pub(crate) fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < PATIENCE, "it did not come to this: {what}\n{}", self.story());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Wait until a file is there.
    pub(crate) fn until_there(&self, path: &Path) {
        self.until(&format!("{} is there", path.display()), || path.exists());
    }

    /// Every living process that belongs to this scene.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let mark = self.root.as_os_str().as_bytes();
        let holds = |bytes: &[u8]| bytes.windows(mark.len()).any(|window| window == mark);
        let pids = fs::read_dir("/proc").unwrap().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let mut all = Vec::new();
        for pid in pids.filter(|pid| *pid != std::process::id()) {
            let home = PathBuf::from(format!("/proc/{pid}"));
            let words = fs::read(home.join("cmdline")).unwrap_or_default();
            let ours = holds(&words)
                || fs::read(home.join("environ")).is_ok_and(|environ| holds(&environ))
                || fs::read_link(home.join("cwd")).is_ok_and(|cwd| cwd.starts_with(&self.root));
            let lives = fs::read_to_string(home.join("stat"))
                .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with(['Z', 'X']));
            if ours && lives {
                let words = words.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
                all.push(Process { pid, words: words.filter(|word| !word.is_empty()).collect() });
            }
        }
        all
    }

    /// The repository is as if nothing had ever been killed: nothing of ours is left over, and nobody still works.
    pub(crate) fn assert_tidy(&self) {
        // A lock whose owner is dead is put aside once it is old enough to be sure of that.
        let mut left = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            self.ok(&["ls"]);
            left = self.leftovers();
            if left.is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(left.is_empty(), "this is left over: {left:#?}\n{}\n{}", self.said_of(&left), self.story());
        let strict = self.plain("git").current_dir(&self.top).args(["fsck", "--strict", "--no-dangling"]).output();
        let strict = strict.unwrap();
        assert!(strict.status.success(), "{}", String::from_utf8_lossy(&strict.stderr));
    }

    pub(crate) fn leftovers(&self) -> Vec<String> {
        let mut found = Vec::new();
        let common = self.top.join(".git");
        for entry in walkdir::WalkDir::new(&common).into_iter().flatten() {
            let own = ["pleach/fold.lock", "pleach/worktree.lock", "pleach/trash"];
            let own = own.iter().any(|own| entry.path().starts_with(common.join(own)));
            if !own && entry.path().extension().is_some_and(|extension| extension == "lock") {
                found.push(entry.path().display().to_string());
            }
        }
        let notes = fs::read_dir(common.join("pleach/landing")).into_iter().flatten().flatten();
        found.extend(notes.map(|note| note.path().display().to_string()));
        let worktrees = self.git(&["worktree", "list", "--porcelain"]);
        found.extend(
            worktrees
                .lines()
                .filter(|line| line.contains("/worktrees/pleach-") || line.contains("/pleach-slot-"))
                .map(str::to_owned),
        );
        let pins = self.git(&["for-each-ref", "--format=%(refname)", "refs/pleach/base/"]);
        found.extend(pins.lines().map(str::to_owned));
        let homes = fs::read_dir(self.root.join("state")).unwrap().flatten();
        for home in homes.map(|entry| entry.path()).filter(|path| path.is_dir()) {
            let left = fs::read_dir(home.join("worktrees")).into_iter().flatten().flatten();
            found.extend(left.map(|left| left.path().display().to_string()));
            let slots = fs::read_dir(home.join("slots")).into_iter().flatten().flatten();
            let leases =
                slots.map(|slot| slot.path().join("lease")).filter(|lease| fs::symlink_metadata(lease).is_ok());
            found.extend(leases.map(|lease| lease.display().to_string()));
        }
        found.retain(|line| !line.is_empty());
        found
    }

    /// The attempts whose folds are in the first-parent history of a branch, oldest first; undone ones too.
    pub(crate) fn folds(&self, branch: &str) -> Vec<String> {
        let format = "--format=%(trailers:key=Pleach-Task,valueonly,separator=%x2C)";
        let lines = self.git(&["log", "--first-parent", "--reverse", format, branch]);
        lines.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    /// What is known when a test fails.
    pub(crate) fn story(&self) -> String {
        let mut story = String::new();
        let homes = fs::read_dir(self.root.join("state")).into_iter().flatten().flatten();
        for home in homes {
            let log = fs::read_to_string(home.path().join("coordinator.log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let from = lines.len().saturating_sub(40);
            story.push_str(&format!("--- coordinator.log\n{}\n", lines[from..].join("\n")));
        }
        let journal = fs::read_to_string(self.top.join(".git/pleach/journal.jsonl")).unwrap_or_default();
        let lines: Vec<String> = journal.lines().map(|line| line.chars().take(300).collect()).collect();
        let from = lines.len().saturating_sub(30);
        story.push_str(&format!("--- journal\n{}\n--- processes\n", lines[from..].join("\n")));
        for process in self.processes() {
            story.push_str(&format!("{} {}\n", process.pid, process.words.join(" ")));
        }
        story
    }

    /// What the journal and the log of the coordinator say of the attempts that these lines name.
    pub(crate) fn said_of(&self, left: &[String]) -> String {
        let ids = left.iter().filter_map(|line| line.rsplit(['-', '/']).next()).filter(|id| id.contains('.'));
        let ids: std::collections::BTreeSet<&str> = ids.collect();
        let mut said = fs::read_to_string(self.top.join(".git/pleach/journal.jsonl")).unwrap_or_default();
        for home in fs::read_dir(self.root.join("state")).into_iter().flatten().flatten() {
            said += &fs::read_to_string(home.path().join("coordinator.log")).unwrap_or_default();
        }
        let lines = said.lines().filter(|line| ids.iter().any(|id| line.contains(*id)));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn end_processes(&self) {
        let begun = Instant::now();
        loop {
            let left = self.processes();
            if left.is_empty() || begun.elapsed() > PATIENCE {
                return;
            }
            left.iter().for_each(Process::kill);
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let panicking = std::thread::panicking();
        let begun = Instant::now();
        // The coordinator may stay until it is idle; nobody else may.
        let others = loop {
            let others: Vec<_> = self.processes().into_iter().filter(|process| !process.may_stay()).collect();
            // A git or a thread that just ends is no leak: what is still there after a while is.
            if panicking || others.is_empty() || begun.elapsed() > Duration::from_secs(20) {
                break others;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        self.end_processes();
        if !panicking {
            assert!(others.is_empty(), "these were left running: {others:?}");
        } else if std::env::var_os("PLEACH_KEEP").is_some() {
            eprintln!("kept: {}", self.root.display());
            let dir = std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap());
            let _ = dir.keep();
        }
    }
}

/// Wait for its end.
pub(crate) fn finish(child: Child) -> Ran {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// An outcome in a word or two.
pub(crate) fn outcome(outcome: &Value) -> String {
    let how = outcome["how"].as_str().unwrap_or("none");
    match outcome["code"].as_i64().or(outcome["signal"].as_i64()) {
        Some(number) => format!("{how} {number}"),
        None => how.to_owned(),
    }
}

/// Start many at the same instant: all stand ready before the first is let go.
pub(crate) fn at_once(commands: Vec<Command>) -> Vec<Ran> {
    let (gate, mut key) = std::io::pipe().unwrap();
    let children: Vec<Child> = commands
        .into_iter()
        .map(|command| {
            // The shell waits at the pipe, then becomes the command.
            let mut waiting = Command::new("sh");
            waiting.args(["-c", "read -r _ <&0; exec 0</dev/null; exec \"$@\"", "sh"]);
            waiting.arg(command.get_program()).args(command.get_args()).env_clear();
            waiting.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
            waiting.current_dir(command.get_current_dir().unwrap());
            waiting.stdin(gate.try_clone().unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
            waiting.spawn().unwrap()
        })
        .collect();
    drop(gate);
    let threads: Vec<_> = children.into_iter().map(|child| std::thread::spawn(move || finish(child))).collect();
    let _ = key.write_all(&b"\n".repeat(threads.len()));
    drop(key);
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}
