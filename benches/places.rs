//! What the place of a task costs, beside what git does for the same: making it, the first look at it, what changed in it,
//! removing it, and its disk.
//!
//! `cargo bench --bench places` uses 5,000 files, `-- --full` 80,000; `-- --json` prints JSON; `-- --dir DIR` works on another file system: where that can
//! share what is in files, there are rows for places of a base image too. Each pair is measured in turn, and the median of at least five counts.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a bench is its own user")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use pleach::core::id::CommitId;
use pleach::core::provider::{Provider, WorktreeMode};
use pleach::git::place::{self, Images, Order, Under};
use pleach::git::private::{self, Private};
use pleach::git::worktree::{self, Place, WorktreeLock};
use pleach::git::{Repository, snapshot};

const ROUNDS: usize = 5;
const IDLE: usize = 20;

fn main() {
    let flags: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| flags.iter().any(|given| given == flag);
    let files = if has("--full") { 80_000 } else { 5_000 };
    let dir = flags.iter().position(|flag| flag == "--dir").and_then(|at| flags.get(at + 1));
    let bench = Bench::new(files, dir.map_or_else(std::env::temp_dir, PathBuf::from));
    let mut rows = bench.all();
    rows.extend(bench.of_images());
    if has("--json") {
        let rows: Vec<_> = rows.iter().map(Row::json).collect();
        println!("{}", serde_json::json!({ "files": files, "rounds": ROUNDS, "rows": rows }));
        return;
    }
    println!("{files} files, medians of {ROUNDS} rounds:");
    println!("{:<44} {:>12} {:>12} {:>8}  goal (on 80,000 files)", "", "git", "pleach", "ratio");
    for row in rows {
        row.print();
    }
}

/// Two ways to the same, and by how much ours should be better.
struct Row {
    what: &'static str,
    baseline: &'static str,
    unit: &'static str,
    git: Vec<f64>,
    ours: Vec<f64>,
    /// Times less than git; 0 where it is to be nothing at all.
    goal: f64,
}

impl Row {
    fn medians(&self) -> (f64, f64) {
        let median = |all: &[f64]| {
            let mut all = all.to_vec();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        (median(&self.git), median(&self.ours))
    }

    fn is_met(&self) -> bool {
        let (git, ours) = self.medians();
        if self.goal == 0.0 { ours == 0.0 } else { git >= self.goal * ours }
    }

    fn print(&self) {
        let (git, ours) = self.medians();
        let goal = if self.goal == 0.0 { "none".to_owned() } else { format!("{}x", self.goal) };
        let met = if self.is_met() { "met" } else { "NOT MET" };
        println!(
            "{:<44} {:>12} {:>12} {:>7.1}x  {goal}: {met}",
            self.what,
            self.shown(git),
            self.shown(ours),
            git / ours
        );
        println!("  against {}", self.baseline);
    }

    fn shown(&self, value: f64) -> String {
        format!("{value:.1} {}", self.unit)
    }

    fn json(&self) -> serde_json::Value {
        let (git, ours) = self.medians();
        serde_json::json!({ "what": self.what, "baseline": self.baseline, "unit": self.unit, "git": git, "ours": ours,
            "goal": self.goal, "met": self.is_met() })
    }
}

/// A repository with two commits, a few files apart.
struct Bench {
    _dir: tempfile::TempDir,
    root: PathBuf,
    top: PathBuf,
    repo: Repository,
    commits: [CommitId; 2],
    attempts: std::cell::Cell<u32>,
}

impl Bench {
    fn new(files: usize, above: PathBuf) -> Self {
        let dir = tempfile::tempdir_in(above).unwrap();
        let root = dir.path().canonicalize().unwrap();
        let top = root.join("repo");
        for file in 0..files {
            let path = top.join(format!("d{}/e{}/f{file}.txt", file % 97, file % 31));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("file {file} has a few lines\n").repeat(40)).unwrap();
        }
        fs::write(top.join(".gitignore"), "/target/\n").unwrap();
        git(&top, &["init", "-q", "-b", "main"]);
        for (key, value) in [("user.name", "Bench"), ("user.email", "bench@example.com"), ("gc.auto", "0")] {
            git(&top, &["config", key, value]);
        }
        git(&top, &["add", "-A"]);
        git(&top, &["commit", "-qm", "first"]);
        let first = git(&top, &["rev-parse", "HEAD"]);
        for file in 0..20 {
            fs::write(top.join(format!("d{}/e{}/f{file}.txt", file % 97, file % 31)), "changed\n").unwrap();
        }
        git(&top, &["commit", "-qam", "second"]);
        let second = git(&top, &["rev-parse", "HEAD"]);
        // As a repository is that was fetched: one pack.
        git(&top, &["repack", "-adq"]);
        for dir in ["slots/1/pleach-slot-1", "worktrees", "trash", "attempts", "images"] {
            fs::create_dir_all(root.join("state").join(dir)).unwrap();
        }
        let commits = [first, second].map(|commit| commit.parse().unwrap());
        let repo = Repository::at(top.join(".git"));
        Self { _dir: dir, root, top, repo, commits, attempts: std::cell::Cell::new(0) }
    }

    fn all(&self) -> Vec<Row> {
        let row = |what, baseline, unit, goal| Row { what, baseline, unit, git: Vec::new(), ours: Vec::new(), goal };
        let mut cold = row("a place, cold", "git worktree add", "ms", 2.2);
        let mut warm = row("a place, warm (slot, bases 20 files apart)", "git worktree add", "ms", 45.0);
        let mut opened = row("files opened by the first git status", "git worktree add", "files", 0.0);
        let mut collect = row("collecting a one-file result (slot)", "git add -A && git commit", "ms", 1.5);
        let mut removal = row("removal", "git worktree remove --force", "ms", 300.0);
        let mut disk = row("disk of 20 idle places", "20 times git worktree add", "MB", 20.0);
        let slot = self.root.join("state/slots/1");
        let tree = slot.join("pleach-slot-1");
        self.fill(&tree, Some(&slot), 0, WorktreeMode::Auto);
        for round in 0..ROUNDS {
            let theirs = self.root.join("theirs");
            let path = theirs.to_str().unwrap();
            let commit = self.commits[round % 2].to_string();
            let added = time(|| drop(git(&self.top, &["worktree", "add", "-q", "--detach", path, &commit])));
            cold.git.push(added);
            warm.git.push(added);

            let new = self.root.join(format!("state/worktrees/new-{round}"));
            fs::create_dir_all(&new).unwrap();
            let place = self.place(&new);
            let mut made = None;
            cold.ours.push(time(|| made = Some(self.fill_place(&place, None, round % 2, WorktreeMode::Auto))));
            assert_eq!(made, Some(Provider::Parallel));
            opened.git.push(opened_by_status(&theirs));
            opened.ours.push(opened_by_status(&new));

            let place = self.place(&tree);
            warm.ours
                .push(time(|| made = Some(self.fill_place(&place, Some(&slot), (round + 1) % 2, WorktreeMode::Auto))));
            assert_eq!(made, Some(Provider::Slot));

            // Somebody has looked at both: that is what a task does first.
            for dir in [&theirs, &tree] {
                git(dir, &["status", "--porcelain"]);
                fs::write(dir.join("d1/result.txt"), "one file\n").unwrap();
            }
            collect.git.push(time(|| {
                git(&theirs, &["add", "-A"]);
                git(&theirs, &["commit", "-qm", "result"]);
            }));
            let base = self.commits[(round + 1) % 2];
            collect.ours.push(time(|| drop(snapshot::take(&self.repo, &place, base, "result").unwrap())));

            removal.git.push(time(|| drop(git(&self.top, &["worktree", "remove", "--force", path]))));
            let gone = self.registered("gone", round % 2);
            removal.ours.push(time(|| {
                let lock = WorktreeLock::acquire(&self.repo).unwrap();
                worktree::remove(&self.repo, &lock, &gone, &self.root.join("state/trash"), &|_| ()).unwrap();
            }));
            fs::remove_dir_all(new).unwrap();
            fs::remove_dir_all(self.root.join("state/trash")).unwrap();
            fs::create_dir_all(self.root.join("state/trash")).unwrap();
        }
        // An idle place is a slot with its seal: it takes what a worktree takes. One is weighed for all.
        let one = bytes(&slot);
        git(&self.top, &["worktree", "add", "-q", "--detach", self.root.join("theirs").to_str().unwrap()]);
        let theirs = bytes(&self.root.join("theirs"));
        disk.git.push((IDLE as u64 * theirs) as f64 / 1e6);
        disk.ours.push((IDLE as u64 * one) as f64 / 1e6);
        vec![cold, warm, opened, collect, removal, disk]
    }

    /// New places of a base image; none where files cannot share what is in them.
    fn of_images(&self) -> Vec<Row> {
        let images = Images::of(&self.root.join("state/images"), &self.root.join("state/trash"));
        let ways = [
            (images.sharing.snapshot.is_ok(), WorktreeMode::Snapshot, "a place, new, a snapshot of an image", 400.0),
            (images.sharing.reflink.is_ok(), WorktreeMode::Reflink, "a place, new, a reflink of an image", 2.2),
            (cfg!(target_os = "linux"), WorktreeMode::Overlay, "a place, new, over an image, to be mounted", 400.0),
        ];
        let mut rows = Vec::new();
        for (_, mode, what, goal) in ways.into_iter().filter(|(works, ..)| *works) {
            let row =
                |what, baseline, unit, goal| Row { what, baseline, unit, git: Vec::new(), ours: Vec::new(), goal };
            let mut made = row(what, "git worktree add", "ms", goal);
            let mut opened = row("  files opened by its first git status", "git worktree add", "files", 0.0);
            let mut removal = row("  its removal", "git worktree remove --force", "ms", 300.0);
            let mut disk = row("  disk of 20 of them, with the image", "20 times git worktree add", "MB", 20.0);
            let commit = self.commits[0].to_string();
            let theirs = self.root.join("theirs-of-images");
            let path = theirs.to_str().unwrap();
            self.image(&images, mode, "first");
            for round in 0..ROUNDS {
                let before = self.used();
                made.git.push(time(|| drop(git(&self.top, &["worktree", "add", "-q", "--detach", path, &commit]))));
                disk.git.push(IDLE as f64 * (self.used() - before));
                let mut place = None;
                made.ours.push(time(|| place = Some(self.image(&images, mode, &format!("{round}")))));
                let place = place.unwrap();
                // Outside there is nothing of one that is to be mounted.
                if mode != WorktreeMode::Overlay {
                    opened.git.push(opened_by_status(&theirs));
                    opened.ours.push(opened_by_status(&place.worktree));
                }
                removal.git.push(time(|| drop(git(&self.top, &["worktree", "remove", "--force", path]))));
                let lock = WorktreeLock::acquire(&self.repo).unwrap();
                let trash = self.root.join("state/trash");
                removal.ours.push(time(|| {
                    worktree::remove(&self.repo, &lock, &place, &trash, &|_| ()).unwrap();
                    let _ = fs::rename(place.private.with_file_name("overlay"), trash.join("overlay"));
                }));
                drop(lock);
                assert!(worktree::empty_trash(&trash).is_empty());
            }
            worktree::empty_trash(&self.root.join("state/images"));
            worktree::empty_trash(&self.root.join("state/trash"));
            let before = self.used();
            (0..IDLE).for_each(|number| drop(self.image(&images, mode, &format!("idle-{number}"))));
            disk.ours.push(self.used() - before);
            worktree::empty_trash(&self.root.join("state/worktrees"));
            worktree::empty_trash(&self.root.join("state/images"));
            rows.extend([made, opened, removal, disk].into_iter().filter(|row| !row.ours.is_empty()));
        }
        rows
    }

    fn image(&self, images: &Images, mode: WorktreeMode, name: &str) -> Place {
        let tree = self.root.join(format!("state/worktrees/of-{name}"));
        let lock = WorktreeLock::acquire(&self.repo).unwrap();
        worktree::register(&self.repo, &lock, &tree, self.commits[0], "bench").unwrap();
        drop(lock);
        let place = self.place(&tree);
        let made = self.fill_from(&place, None, 0, mode, Some(images));
        assert_eq!(made.to_string(), mode.to_string());
        place
    }

    /// What is in use of the file system, in MB.
    fn used(&self) -> f64 {
        let dir = fs::File::open(&self.root).unwrap();
        rustix::fs::syncfs(&dir).unwrap();
        let seen = rustix::fs::fstatvfs(&dir).unwrap();
        (seen.f_blocks - seen.f_bfree) as f64 * seen.f_frsize as f64 / 1e6
    }

    fn registered(&self, name: &str, commit: usize) -> Place {
        let tree = self.root.join(format!("state/worktrees/{name}"));
        let lock = WorktreeLock::acquire(&self.repo).unwrap();
        worktree::register(&self.repo, &lock, &tree, self.commits[commit], "bench").unwrap();
        drop(lock);
        let place = self.place(&tree);
        self.fill_place(&place, None, commit, WorktreeMode::Auto);
        place
    }

    /// Of one more attempt.
    fn place(&self, tree: &Path) -> Place {
        self.attempts.set(self.attempts.get() + 1);
        let home = self.root.join(format!("state/attempts/{}.1", self.attempts.get()));
        fs::create_dir_all(&home).unwrap();
        Place { worktree: tree.to_owned(), private: home.join("git") }
    }

    fn fill(&self, tree: &Path, slot: Option<&Path>, commit: usize, mode: WorktreeMode) -> Provider {
        self.fill_place(&self.place(tree), slot, commit, mode)
    }

    /// All that is done for an attempt: its git directory too.
    fn fill_place(&self, place: &Place, slot: Option<&Path>, commit: usize, mode: WorktreeMode) -> Provider {
        self.fill_from(place, slot, commit, mode, None)
    }

    fn fill_from(
        &self,
        place: &Place,
        slot: Option<&Path>,
        commit: usize,
        mode: WorktreeMode,
        images: Option<&Images>,
    ) -> Provider {
        let base = self.commits[commit];
        private::create(&self.repo, &place.private, &Private { base, branch: "pleach/1".to_owned() }, None).unwrap();
        let trash = self.root.join("state/trash");
        let (over, alone) = (place.private.with_file_name("overlay"), Mutex::new(()));
        let under = Under { dir: &over, alone: &alone };
        let order = Order {
            repo: &self.repo,
            place,
            base,
            mode,
            slot,
            trash: &trash,
            images,
            overlay: (mode == WorktreeMode::Overlay).then_some(under),
            backdate: true,
            at: &|_| (),
        };
        let provider = place::fill(&order).unwrap();
        worktree::lead_inside(place).unwrap();
        provider
    }
}

fn time(act: impl FnOnce()) -> f64 {
    let start = Instant::now();
    act();
    start.elapsed().as_secs_f64() * 1000.0
}

fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git").current_dir(dir).args(args).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Tracked files that the first `git status` opens; needs `strace`.
fn opened_by_status(dir: &Path) -> f64 {
    let log = dir.with_extension("strace");
    let status = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=openat,open", "-o"])
        .arg(&log)
        .args(["git", "status", "--porcelain"])
        .current_dir(dir)
        .stdout(Stdio::null())
        .status()
        .expect("strace is there");
    assert!(status.success());
    let text = fs::read_to_string(&log).unwrap();
    fs::remove_file(log).unwrap();
    text.lines().filter(|line| line.contains(".txt\"") && !line.contains("ENOENT")).count() as f64
}

/// What it takes on the disk.
fn bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = walkdir::WalkDir::new(dir).into_iter().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|seen| seen.blocks() * 512).sum()
}
