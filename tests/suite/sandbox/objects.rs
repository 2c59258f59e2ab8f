//! Hostile objects: what a task may leave in its git directory, and what of it comes into the user's repository. Each case
//! comes the same way as an honest one, which must get through.
#![allow(clippy::disallowed_methods, reason = "tests write files and start programs as a user would")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use pleach::core::change::Flag;
use pleach::core::id::CommitId;
use pleach::git::pack::{self, Imported};
use pleach::git::worktree::Place;

use super::super::support::repo::{World, git, git_with, put};
use super::super::support::scene::Scene;

/// Mode, name, object.
type Entry = (&'static str, Vec<u8>, String);

struct Case {
    world: World,
    place: Place,
    base: CommitId,
    file: String,
    dir: String,
}

impl Case {
    fn new() -> Self {
        Self::of(World::new(&[]))
    }

    fn of(world: World) -> Self {
        let (place, base) = (world.launch("1.1"), world.head());
        let file = git_with(&place.worktree, &["hash-object", "-w", "--stdin"], b"payload\n");
        let mut case = Self { world, place, base, file: file.clone(), dir: String::new() };
        case.dir = case.tree(&[("100644", b"config".to_vec(), file)]);
        case
    }

    fn object(&self, kind: &str, bytes: &[u8]) -> String {
        git_with(&self.place.worktree, &["hash-object", "-w", "-t", kind, "--literally", "--stdin"], bytes)
    }

    /// A tree of these bytes, whatever git thinks of it.
    fn tree(&self, entries: &[Entry]) -> String {
        let mut bytes = Vec::new();
        for (mode, name, id) in entries {
            bytes.extend([mode.as_bytes(), b" ", name, b"\0"].concat());
            bytes.extend(id.parse::<CommitId>().unwrap().as_bytes());
        }
        self.object("tree", &bytes)
    }

    fn commit(&self, tree: &str) -> CommitId {
        let base = self.base.to_string();
        git(&self.place.worktree, &["commit-tree", tree, "-p", &base, "-m", "hostile"]).trim().parse().unwrap()
    }

    fn export(&self, tip: CommitId) -> PathBuf {
        let file = self.world.root.join("state/result.pack");
        pack::export(&self.place, &[tip], self.base, &file).unwrap();
        file
    }

    fn import(&self, file: &Path, tip: CommitId) -> Imported {
        pack::import(&self.world.repo(), file, &[tip], self.base).unwrap()
    }

    /// It is refused, soon, and nothing of it is left. Why.
    fn refused(&self, what: &str, file: &Path, tip: CommitId) -> String {
        let (objects, begun) = (self.world.objects(), Instant::now());
        let Imported::Refused(why) = self.import(file, tip) else { panic!("{what} was taken") };
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}: {:?}", begun.elapsed());
        assert_eq!(self.world.objects(), objects, "{what}");
        why
    }

    /// What this test tries must not be refused for another reason.
    fn control(&self) {
        let tip = self.commit(&self.tree(&[("100644", b"honest".to_vec(), self.file.clone())]));
        assert_eq!(self.import(&self.export(tip), tip), Imported::Done);
        assert_eq!(self.world.run(&["show", &format!("{tip}:honest")]), "payload\n");
        self.world.run(&["fsck", "--full", "--strict"]);
    }
}

#[test]
fn names_that_are_git_s_own_somewhere_are_refused() {
    let case = Case::new();
    let link = case.object("blob", b"../../target");
    for name in
        [".git", ".GiT", ".git ", ".git.", ".git . .", "git~1", "GIT~1", ".git::$INDEX_ALLOCATION", ".g\u{200c}it"]
    {
        let tip = case.commit(&case.tree(&[("40000", name.as_bytes().to_vec(), case.dir.clone())]));
        case.refused(name, &case.export(tip), tip);
        let below = case.tree(&[("40000", name.as_bytes().to_vec(), case.dir.clone())]);
        let tip = case.commit(&case.tree(&[("40000", b"below".to_vec(), below)]));
        case.refused(&format!("below/{name}"), &case.export(tip), tip);
    }
    for name in [".gitmodules", ".GITMODULES", ".gitmodules ", "gitmod~1", ".git\u{200c}modules"] {
        let tip = case.commit(&case.tree(&[("120000", name.as_bytes().to_vec(), link.clone())]));
        case.refused(&format!("{name} as a link"), &case.export(tip), tip);
    }
    case.control();
}

#[test]
fn trees_that_no_git_writes_are_refused() {
    let case = Case::new();
    let (file, dir) = (case.file.clone(), case.dir.clone());
    let entry = |mode, name: &[u8], id: &str| -> Entry { (mode, name.to_vec(), id.to_owned()) };
    let null = "0".repeat(40);
    let cases = [
        ("..", vec![entry("40000", b"..", &dir)]),
        (".", vec![entry("40000", b".", &dir)]),
        ("a path", vec![entry("100644", b"a/b", &file)]),
        ("an absolute path", vec![entry("100644", b"/etc/x", &file)]),
        ("no name", vec![entry("100644", b"", &file)]),
        ("twice", vec![entry("100644", b"a", &file), entry("100644", b"a", &file)]),
        (
            "a file and a directory",
            vec![entry("100644", b"a", &file), entry("100644", b"a-", &file), entry("40000", b"a", &dir)],
        ),
        ("out of order", vec![entry("100644", b"b", &file), entry("100644", b"a", &file)]),
        ("nothing", vec![entry("100644", b"a", &null)]),
        ("a file that is a directory", vec![entry("100644", b"a", &dir)]),
        ("a directory that is a file", vec![entry("40000", b"a", &file)]),
        ("a mode with a nought", vec![entry("0100644", b"a", &file)]),
        ("a very long name", vec![entry("100644", &[b'x'; 5000], &file)]),
    ];
    for (what, entries) in cases {
        let tip = case.commit(&case.tree(&entries));
        // What git cannot even pack did not get that far.
        let pack = case.world.root.join("state/result.pack");
        if pack::export(&case.place, &[tip], case.base, &pack).is_ok() {
            case.refused(what, &pack, tip);
        } else {
            println!("{what}: cannot be packed");
        }
    }
    case.control();
}

#[test]
fn modules_that_run_or_lead_out_are_refused() {
    let case = Case::new();
    for text in [
        "[submodule \"x\"]\n\tpath = x\n\turl = -u./payload\n",
        "[submodule \"x\"]\n\tpath = -x\n\turl = ./x\n",
        "[submodule \"../../hooks\"]\n\tpath = x\n\turl = ./x\n",
        "[submodule \"x\"]\n\tpath = x\n\turl = ./x\n\tupdate = !touch payload\n",
        "[submodule \"x\"]\n\tpath = x\n\turl = https://example.org/a%0ab\n",
    ] {
        let modules = case.object("blob", text.as_bytes());
        let tip = case.commit(&case.tree(&[("100644", b".gitmodules".to_vec(), modules)]));
        case.refused(text, &case.export(tip), tip);
    }
    case.control();
}

#[test]
fn commits_that_no_git_writes_are_refused() {
    let case = Case::new();
    let tree = case.tree(&[("100644", b"a".to_vec(), case.file.clone())]);
    let (base, who) = (case.base, "A <a@example.org> 1700000000 +0000");
    for (what, text) in [
        ("no author", format!("tree {tree}\nparent {base}\ncommitter {who}\n\nx\n")),
        ("two authors", format!("tree {tree}\nparent {base}\nauthor {who}\nauthor {who}\ncommitter {who}\n\nx\n")),
        ("no tree", format!("parent {base}\nauthor {who}\ncommitter {who}\n\nx\n")),
        ("no date", format!("tree {tree}\nparent {base}\nauthor A <a@example.org>\ncommitter {who}\n\nx\n")),
        (
            "a parent that is nowhere",
            format!("tree {tree}\nparent {}\nauthor {who}\ncommitter {who}\n\nx\n", "1".repeat(40)),
        ),
        ("a parent that is a tree", format!("tree {tree}\nparent {tree}\nauthor {who}\ncommitter {who}\n\nx\n")),
        ("a tree that is a file", format!("tree {}\nparent {base}\nauthor {who}\ncommitter {who}\n\nx\n", case.file)),
        ("a NUL in its head", format!("tree {tree}\nparent {base}\nauthor {who}\0\ncommitter {who}\n\nx\n")),
    ] {
        let tip: CommitId = case.object("commit", text.as_bytes()).parse().unwrap();
        let pack = pack_of(&case, &[&tip.to_string(), &tree, &case.file]);
        case.refused(what, &pack, tip);
    }
    case.control();
}

/// A pack of just these objects.
fn pack_of(case: &Case, objects: &[&str]) -> PathBuf {
    let name = case.world.root.join("state/made");
    let input: String = objects.iter().map(|object| format!("{object}\n")).collect();
    let hash = git_with(&case.place.worktree, &["pack-objects", "-q", name.to_str().unwrap()], input.as_bytes());
    case.world.root.join(format!("state/made-{hash}.pack"))
}

/// What a private repository tells git of its objects is not what they are.
#[test]
fn grafts_shallow_histories_replacements_and_false_objects_deceive_nobody() {
    let case = Case::new();
    let work = &case.place.worktree;
    let tree = case.tree(&[("100644", b"a".to_vec(), case.file.clone())]);
    // It says of a commit without a parent that it stands on the base.
    let orphan = git(work, &["commit-tree", &tree, "-m", "orphan"]).trim().to_owned();
    put(&case.place.private.join("info/grafts"), format!("{orphan} {}\n", case.base));
    assert_eq!(git(work, &["merge-base", "HEAD", &orphan]).trim(), case.base.to_string(), "the graft works");
    let tip: CommitId = orphan.parse().unwrap();
    assert_eq!(case.import(&case.export(tip), tip), Imported::Done);
    let (_, flags) = pack::inspect(&case.world.repo(), case.base, tip).unwrap();
    assert!(flags.contains(&Flag::Diverged), "{flags:?}");
    fs::remove_file(case.place.private.join("info/grafts")).unwrap();
    // It says of a commit that its parents are not there.
    let other = case.tree(&[("100644", b"b".to_vec(), case.file.clone())]);
    let middle = case.commit(&other);
    let last = git(work, &["commit-tree", &tree, "-p", &middle.to_string(), "-m", "last"]).trim().to_owned();
    put(&case.place.private.join("shallow"), format!("{last}\n"));
    let tip: CommitId = last.parse().unwrap();
    case.refused("a shallow history", &case.export(tip), tip);
    fs::remove_file(case.place.private.join("shallow")).unwrap();
    // It says of one commit that it is another.
    let good = case.commit(&case.tree(&[("100644", b"good".to_vec(), case.file.clone())]));
    let bad = case.commit(&case.tree(&[("100644", b"bad".to_vec(), case.file.clone())]));
    git(work, &["replace", &bad.to_string(), &good.to_string()]);
    assert_eq!(git(work, &["ls-tree", "--name-only", &bad.to_string()]), "good\n", "the replacement works");
    assert_eq!(case.import(&case.export(bad), bad), Imported::Done);
    assert_eq!(case.world.run(&["ls-tree", "--name-only", &bad.to_string()]), "bad\n");
    assert_eq!(case.world.run(&["for-each-ref", "refs/replace"]), "");
    // Its bytes are not what its name says.
    let lie = git_with(work, &["hash-object", "-w", "--stdin"], b"what it says\n");
    let truth = git_with(work, &["hash-object", "-w", "--stdin"], b"something else\n");
    let loose = |id: &str| case.place.private.join("objects").join(&id[..2]).join(&id[2..]);
    fs::remove_file(loose(&lie)).unwrap();
    fs::copy(loose(&truth), loose(&lie)).unwrap();
    let tip = case.commit(&case.tree(&[("100644", b"lie".to_vec(), lie)]));
    let pack = case.world.root.join("state/result.pack");
    if pack::export(&case.place, &[tip], case.base, &pack).is_ok() {
        case.refused("a false object", &pack, tip);
    }
    case.control();
}

/// What the library cannot read is counted by git.
#[test]
fn what_unfolds_without_end_is_refused_in_each_kind_of_repository() {
    let sha256 = World::new(&["--object-format=sha256"]);
    let mut partial = World::new(&[]);
    partial.run(&["config", "uploadpack.allowfilter", "true"]);
    let url = format!("file://{}", partial.top.display());
    partial.run(&["clone", "-q", "--filter=blob:none", &url, "../partial"]);
    partial.top = partial.root.join("partial");
    partial.identify();
    for (kind, world) in [("SHA-256", sha256), ("a partial clone", partial)] {
        let case = Case::of(world);
        let mut id = case
            .tree(&(0..10).map(|n| ("100644", format!("f{n}").into_bytes(), case.file.clone())).collect::<Vec<_>>());
        for _ in 0..8 {
            id = case.tree(&(0..10).map(|n| ("40000", format!("d{n}").into_bytes(), id.clone())).collect::<Vec<_>>());
        }
        let tip = case.commit(&id);
        let why = case.refused(kind, &case.export(tip), tip);
        assert!(why.contains("more than 1000000 changed paths"), "{kind}: {why}");
        let tip = case.commit(&case.tree(&[("100644", b"honest".to_vec(), case.file.clone())]));
        assert_eq!(case.import(&case.export(tip), tip), Imported::Done, "{kind}: the control");
    }
}

/// A few bytes that unfold to more than there is room for.
#[test]
fn what_unfolds_without_end_is_refused_soon() {
    let case = Case::new();
    // Ten directories of ten directories, and so on: 10^9 files.
    let mut id =
        case.tree(&(0..10).map(|n| ("100644", format!("f{n}").into_bytes(), case.file.clone())).collect::<Vec<_>>());
    for _ in 0..8 {
        id = case.tree(&(0..10).map(|n| ("40000", format!("d{n}").into_bytes(), id.clone())).collect::<Vec<_>>());
    }
    let tip = case.commit(&id);
    let why = case.refused("trees of trees", &case.export(tip), tip);
    assert!(why.contains("more than 1000000 changed paths"), "{why}");
    // Ten thousand are no bomb.
    let mut id = case
        .tree(&(0..100).map(|n| ("100644", format!("f{n:03}").into_bytes(), case.file.clone())).collect::<Vec<_>>());
    id = case.tree(&(0..100).map(|n| ("40000", format!("d{n:03}").into_bytes(), id.clone())).collect::<Vec<_>>());
    let tip = case.commit(&id);
    assert_eq!(case.import(&case.export(tip), tip), Imported::Done);
    assert_eq!(pack::inspect(&case.world.repo(), case.base, tip).unwrap().0.files, 10_000 + 4);
    // A delta of a few bytes that makes 3 GB of one megabyte.
    let pack = case.world.root.join("state/bomb.pack");
    let made = Command::new("perl").args(["-e", DELTA_BOMB]).arg(&pack).status().unwrap();
    assert!(made.success());
    assert!(fs::metadata(&pack).unwrap().len() < 100_000);
    let why = case.refused("a delta", &pack, tip);
    assert!(why.contains("attempting to allocate"), "{why}");
    // So many objects that the list of them has no room.
    let many = case.world.root.join("state/many.pack");
    fs::write(&many, [&b"PACK"[..], &[0, 0, 0, 2, 0xff, 0xff, 0xff, 0xf0], &[0x30, 0x78][..]].concat()).unwrap();
    case.refused("four thousand million objects", &many, tip);
    case.control();
}

/// One blob of a megabyte, and a delta that copies it 3000 times.
const DELTA_BOMB: &str = r#"
use Compress::Zlib; use Digest::SHA;
sub head { my ($kind, $size) = @_; my $b = ($kind << 4) | ($size & 15); $size >>= 4; my $out = '';
    while ($size) { $out .= chr($b | 128); $b = $size & 127; $size >>= 7 } $out . chr($b) }
sub number { my $n = shift; my $out = ''; while ($n > 127) { $out .= chr($n & 127 | 128); $n >>= 7 } $out . chr($n) }
my $size = 1 << 20; my $times = 3000;
my $base = head(3, $size) . compress("\0" x $size);
my $delta = number($size) . number($size * $times);
for (1 .. $times) { for my $at (0 .. 16) { my ($from, $length) = ($at * 65535, 65535); $length = $size - $from if $from + $length > $size;
    next if $length <= 0;
    $delta .= chr(0x80 | 1 | 2 | 4 | 16 | 32) . chr($from & 255) . chr($from >> 8 & 255) . chr($from >> 16 & 255) . chr($length & 255) . chr($length >> 8) } }
my $back = length($base); my $offset = chr($back & 127); while ($back >>= 7) { $back--; $offset = chr(128 | $back & 127) . $offset }
my $pack = "PACK" . pack("NN", 2, 2) . $base . head(6, length($delta)) . $offset . compress($delta);
open(my $out, '>', $ARGV[0]) or die; binmode $out; print $out $pack, Digest::SHA::sha1($pack);
"#;

/// What is told of a result is short, however long it is.
#[test]
fn flags_of_a_hostile_result_are_few_and_short() {
    let case = Case::new();
    let long = case.object("blob", &[b"/".to_vec(), vec![b'x'; 3 << 20]].concat());
    let short = case.object("blob", b"/etc/passwd");
    let mut entries: Vec<Entry> = vec![("120000", b"a".to_vec(), long)];
    entries.extend((0..3000).map(|n| ("120000", format!("link{n:05}").into_bytes(), short.clone())));
    let tip = case.commit(&case.tree(&entries));
    assert_eq!(case.import(&case.export(tip), tip), Imported::Done);
    let (_, flags) = pack::inspect(&case.world.repo(), case.base, tip).unwrap();
    assert_eq!(flags.len(), 1000);
    let told = serde_json::to_string(&flags).unwrap();
    assert!(
        told.len() < 200_000 && told.contains("longer than any path") && told.contains("/etc/passwd"),
        "{}",
        told.len()
    );
}

#[test]
fn a_pack_that_is_no_file_is_not_waited_for() {
    let case = Case::new();
    let pack = case.world.root.join("state/result.pack");
    let tip = case.commit(&case.tree(&[("100644", b"a".to_vec(), case.file.clone())]));
    assert!(Command::new("mkfifo").arg(&pack).status().unwrap().success());
    assert!(pack::import(&case.world.repo(), &pack, &[tip], case.base).is_err());
    fs::remove_file(&pack).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &pack).unwrap();
    assert!(pack::import(&case.world.repo(), &pack, &[tip], case.base).is_err());
    fs::remove_file(&pack).unwrap();
    case.control();
}

/// Names that a task writes into its refs by hand: what is kept of them is kept below the task's own name.
#[test]
fn refs_with_names_of_any_kind_stay_below_the_task() {
    let scene = Scene::new();
    let before = scene.git(&["for-each-ref", "refs/heads", "refs/tags", "refs/stash"]);
    let names = [
        "refs/heads/../../heads/main",
        "refs/heads/-x",
        "refs/heads/a..b",
        "refs/heads/@{-1}",
        "refs/heads/x.lock",
        "refs/heads/\\033[31mred",
        "refs/heads/con",
        "refs/heads/main/../stolen",
        "refs/pleach/kept/9.1/tip",
        "refs/pleach/base/9.1",
        "refs/replace/0000000000000000000000000000000000000001",
        "refs/bisect/bad",
        "refs/worktree/x",
        "refs/stash",
        "refs//double",
        "HEAD2",
        "/etc/passwd",
    ];
    let lines = names.map(|name| format!("printf '%s {name}\\n' $tip >> \"$dir/packed-refs\"; ")).concat();
    let script = format!(
        "echo s > side; git add side; git commit -qm side; tip=$(git rev-parse HEAD); git branch honest; git reset -q --hard HEAD^; \
         dir=$(git rev-parse --absolute-git-dir); {lines} echo more >> readme"
    );
    let id = scene.add(&[], &script);
    scene.pleach(&["wait", &id.to_string()]);
    assert_eq!(scene.outcome(id), "exited 0", "{}", scene.log(id));
    let own = format!("refs/pleach/kept/{id}.1/");
    let all = scene.git(&["for-each-ref", "--format=%(refname)"]);
    let others = ["refs/heads/main", "refs/heads/pleach/1"];
    let strange: Vec<&str> = all.lines().filter(|name| !name.starts_with(&own) && !others.contains(name)).collect();
    assert_eq!(strange, [""; 0], "{all}");
    let seen = scene.git(&["for-each-ref", "refs/heads/main", "refs/tags", "refs/stash"]);
    assert_eq!(seen, before);
    assert!(all.contains("honest"), "the control: {all}");
    assert!(!scene.ok(&["status", &id.to_string()]).contains('\u{1b}'));
    scene.git(&["fsck", "--strict", "--no-dangling"]);
}
