//! Each attack of the [`table`] in each tier, and what is no row in it: the network, what is left running, what is inherited.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Mutex;

use super::table::{self, Attack};
use super::world::World;
use super::{scene, works};

fn attacks() -> Vec<&'static Attack> {
    let all =
        [table::FILES, table::REPOSITORY, table::TRAPS, table::SAVED, table::PROGRAMS, table::LIMITED, table::LISTED];
    all.into_iter().flatten().collect()
}

/// Every attack in one tier; those that got somewhere.
fn escapes(tier: &str) -> BTreeSet<&'static str> {
    let (open, escaped) = (Mutex::new(shares(tier)), Mutex::new(BTreeSet::new()));
    let play = || {
        while let Some(attacks) = { open.lock().unwrap().pop() } {
            let first = attacks[0].name;
            let is_of = |list: &[Attack]| list.iter().any(|one| one.name == first);
            let confined = |config| if tier == "none" { "" } else { config };
            let config = match () {
                () if is_of(table::LIMITED) => confined("processes = 200"),
                () if is_of(table::LISTED) => confined("network = [\"pleach.invalid\"]"),
                () => "",
            };
            let mut world = World::with(tier, config);
            for attack in attacks {
                world.reset();
                let said = match () {
                    () if is_of(table::TRAPS) => world.run_meanwhile(attack.script),
                    () if is_of(table::SAVED) => world.run_while_saving(attack.script),
                    () if !config.is_empty() => world.run_to_any_end(attack.script),
                    () => world.run(attack.script),
                };
                if (attack.escaped)(&mut world, &said) {
                    escaped.lock().unwrap().insert(attack.name);
                }
            }
        }
    };
    std::thread::scope(|scope| [scope.spawn(play), scope.spawn(play)].map(drop));
    escaped.into_inner().unwrap()
}

/// Which of them share a world: those whose traces are wiped away between them, and those that are said to be held, of
/// which there must be none. The others have one of their own.
fn shares(tier: &str) -> Vec<Vec<&'static Attack>> {
    const MANY: usize = 12;
    let (held, open): (Vec<_>, Vec<_>) = table::REPOSITORY.iter().partition(|attack| attack.held.contains(&tier));
    let wiped = [table::FILES, table::PROGRAMS].into_iter().flat_map(|list| list.chunks(MANY));
    let shared = wiped.map(|chunk| chunk.iter().collect()).chain(held.chunks(MANY).map(<[_]>::to_vec));
    let special =
        [table::TRAPS, table::SAVED, table::LIMITED, table::LISTED].into_iter().map(|list| list.iter().collect());
    shared.chain(open.into_iter().map(|attack| vec![attack])).chain(special).collect()
}

fn not_held(tier: &str) -> BTreeSet<&'static str> {
    let open = attacks().into_iter().filter(|attack| !attack.held.contains(&tier));
    open.map(|attack| attack.name).collect()
}

/// What a machine, or whose user it is, may keep from everybody.
fn depends() -> Vec<&'static str> {
    let mut depends = vec![
        "make a ring of system calls",
        "trace a process outside",
        "undo it in namespaces of its own",
        "write through /proc/1/root",
        "give a file outside an attribute",
        "put a key on the user's ring",
        "read a key of the user's ring",
        "type into a terminal outside",
    ];
    if rustix::process::geteuid().is_root() {
        // Who has given up all capabilities may not, of a process that has some.
        depends.push("slow a process outside down");
    } else {
        depends.extend([
            "make a device",
            "enter the namespaces of a process outside",
            "read the memory map of a process outside",
        ]);
    }
    depends
}

#[test]
fn without_a_sandbox_each_attack_succeeds() {
    let sure = |list: BTreeSet<&'static str>| {
        list.into_iter().filter(|name| !depends().contains(name)).collect::<BTreeSet<_>>()
    };
    assert_eq!(sure(escapes("none")), sure(not_held("none")));
}

#[test]
fn the_full_tier_holds_them() {
    if works("full") {
        assert_eq!(escapes("full"), not_held("full"));
    }
}

#[test]
fn the_reduced_tier_holds_what_it_says() {
    if works("reduced") {
        let escaped = escapes("reduced");
        let said = not_held("reduced");
        let more: Vec<_> = escaped.difference(&said).collect();
        let less: Vec<_> = said.difference(&escaped).filter(|name| !depends().contains(*name)).collect();
        assert!(more.is_empty() && less.is_empty(), "open: {more:?}, and held: {less:?}");
    }
}

/// Not an attack, and here to be done by somebody without rights too: below a directory of theirs that anybody can write, the
/// kernel refuses them `> FILE` of a device of root's.
#[test]
fn the_devices_of_every_script_can_be_written() {
    for tier in ["reduced", "full"].into_iter().filter(|tier| works(tier)) {
        let line = "echo x > /dev/null && echo y 2>> /dev/zero && echo z > /dev/shm/z && echo all && cat /dev/shm/z; rm -f /dev/shm/z";
        let ran = scene(tier).pleach(&["sandbox", "--tier", tier, "--", line]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(0), "y\nall\nz\n"), "{tier}: {ran:?}");
    }
}

/// Tests may run as root, and most people are not: all of this file once more, by somebody without rights.
#[test]
fn the_table_is_the_same_for_somebody_without_rights() {
    if !rustix::process::geteuid().is_root() {
        println!("nobody is root here: the other tests have shown it");
        return;
    }
    let dir = tempfile::Builder::new().prefix("pleach-scene-").tempdir().unwrap();
    let place = |name: &str| dir.path().join(name);
    let open = |path: &std::path::Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    open(dir.path(), 0o755);
    // Where the program was built nobody else may be able to look.
    fs::create_dir(place("bin")).unwrap();
    fs::copy(std::env::current_exe().unwrap(), place("bin/suite")).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_pleach"), place("bin/pleach")).unwrap();
    ["bin", "bin/suite", "bin/pleach"].iter().for_each(|name| open(&place(name), 0o755));
    fs::create_dir(place("tmp")).unwrap();
    open(&place("tmp"), 0o777);
    let mut again = Command::new("setpriv");
    again.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(place("bin/suite"));
    again.args(["sandbox::attacks", "--skip", "without_rights", "--skip", "the_page", "--test-threads", "2"]);
    again
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("TMPDIR", place("tmp"))
        .current_dir(place("tmp"));
    again.env("PLEACH_TEST_PROGRAM", place("bin/pleach"));
    let output = again.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains(" 0 failed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("the_full_tier_holds_them ... ok"), "{said}");
}

#[test]
fn the_page_has_each_attack() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sandbox.md")).unwrap();
    let rows = attacks().into_iter().map(|attack| {
        let word = |tier| if attack.held.contains(&tier) { "held" } else { "open" };
        format!("| {} | {} | {} |\n", attack.name, word("reduced"), word("full"))
    });
    let table = rows.collect::<String>();
    assert!(
        page.contains(&format!("| --- | --- | --- |\n{table}\n")),
        "docs/sandbox.md has to have this table:\n{table}"
    );
}

#[test]
fn nobody_is_reached_without_a_network() {
    let call = "perl -MIO::Socket::INET -e 'print \"REACHED\\n\" if IO::Socket::INET->new(PeerAddr => \"127.0.0.1\", PeerPort => $ARGV[0])' $PORT";
    for (tier, network, reached) in [
        ("none", "allow", true),
        ("full", "allow", true),
        ("full", "none", false),
        ("reduced", "allow", true),
        ("reduced", "none", false),
    ] {
        if tier != "none" && !works(tier) {
            continue;
        }
        let world = World::new(tier, network);
        assert_eq!(world.run(call).contains("REACHED"), reached, "{tier} {network}");
        // What needs no connection is told by whether it arrived.
        let send = "perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(Proto => \"udp\", PeerAddr => \"127.0.0.1\", PeerPort => $ARGV[0]) and $s->send(\"hi\")' $DATAGRAMS";
        world.run(send);
        assert_eq!(world.datagrams.recv(&mut [0; 8]).is_ok(), reached, "{tier} {network}: datagrams");
    }
}

#[test]
fn a_server_of_the_task_is_reached_by_the_task() {
    if !works("full") {
        return;
    }
    let world = World::new("full", "none");
    let call = "perl -MIO::Socket::INET -e '$l = IO::Socket::INET->new(Listen => 1, LocalAddr => \"127.0.0.1\") or die; \
        print \"REACHED\\n\" if IO::Socket::INET->new(PeerAddr => \"127.0.0.1\", PeerPort => $l->sockport)'";
    assert!(world.run(call).contains("REACHED"));
}

#[test]
fn a_task_does_not_end_its_supervisor() {
    for (tier, outcome) in [("none", "lost"), ("reduced", "exited 0"), ("full", "exited 0")] {
        if tier != "none" && !works(tier) {
            continue;
        }
        let world = World::new(tier, "");
        let task = world.scene.add(&[], &world.script("kill -9 $PPID"));
        world.scene.pleach(&["wait", &task.to_string()]);
        assert_eq!(world.scene.outcome(task), outcome, "{tier}: {}", world.scene.log(task));
    }
}

#[test]
fn what_is_left_running_ends_with_the_task() {
    for tier in ["none", "reduced", "full"] {
        if tier != "none" && !works(tier) {
            continue;
        }
        let world = World::new(tier, "");
        let daemon = "perl -MPOSIX -e 'exit if fork; setsid(); exit if fork; close STDOUT; close STDERR; %ENV = (); exec \"sleep\", \"77777\"'; (setsid sleep 77777 >/dev/null 2>&1 &)";
        let task = world.scene.add(&[], &world.script(daemon));
        world.scene.pleach(&["wait", &task.to_string()]);
        let left =
            world.scene.processes().into_iter().filter(|process| process.words.iter().any(|word| word == "77777"));
        assert_eq!(left.count(), 0, "{tier}");
        let leaked = world.scene.status(task)["attempts"][0]["leaked"].as_u64().unwrap();
        assert!(leaked >= 1, "{tier}: {leaked}");
    }
}

#[test]
fn nothing_is_inherited_but_what_is_said() {
    for tier in ["reduced", "full"] {
        if !works(tier) {
            continue;
        }
        let world = World::new(tier, "");
        let dir = fs::File::open(world.scene.path("out")).unwrap();
        // A descriptor that survives an exec leads past every mount.
        rustix::io::fcntl_setfd(&dir, rustix::io::FdFlags::empty()).unwrap();
        let said = world.run("ls /proc/self/fd");
        let listed: Vec<&str> = said.lines().filter(|line| line.chars().all(|c| c.is_ascii_digit())).collect();
        assert_eq!(listed, ["0", "1", "2", "3"], "the last is that of the listing itself: {said}");
        let mut own = world.scene.command(&["sandbox", "--tier", tier, "--", "ls /proc/self/fd"]).spawn().unwrap();
        let mut text = String::new();
        own.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(own.wait().unwrap().success());
        assert_eq!(text.lines().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
        drop(dir);
    }
}
