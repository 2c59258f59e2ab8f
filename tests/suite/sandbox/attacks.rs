//! The attacks, as a table: what a task tries, and how it is seen from outside whether it got anywhere.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};

use super::super::support::scene::Scene;
use super::{scene, word, works};

/// What is around a task that is attacked.
struct World {
    scene: Scene,
    victim: Child,
    socket: UnixListener,
    gate: UnixListener,
    server: TcpListener,
}

/// One attack: what the task runs (a script for `sh`, with the words of [`World::script`]), and whether it got anywhere.
struct Attack {
    name: &'static str,
    script: &'static str,
    escaped: fn(&mut World, &str) -> bool,
    /// Held in these tiers.
    held: &'static [&'static str],
}

const BOTH: &[&str] = &["reduced", "full"];
const FULL: &[&str] = &["full"];

fn has(world: &World, path: &str) -> bool {
    world.scene.path(path).exists()
}

const ATTACKS: &[Attack] = &[
    Attack {
        name: "write a file beside the repository",
        script: "echo x > $OUT/planted",
        escaped: |world, _| has(world, "out/planted"),
        held: BOTH,
    },
    Attack {
        name: "append to a file at home",
        script: "echo evil >> $HOME/.profile",
        escaped: |world, _| fs::read_to_string(world.scene.path("home/.profile")).unwrap() != "mine\n",
        held: BOTH,
    },
    Attack {
        name: "write through a link in the worktree",
        script: "ln -s $OUT/linked link; echo x > link; rm -f link",
        escaped: |world, _| has(world, "out/linked"),
        held: BOTH,
    },
    Attack {
        name: "rename a file of the worktree over one outside",
        script: "echo x > moved; mv -f moved $OUT/victim; rm -f moved",
        escaped: |world, _| fs::read_to_string(world.scene.path("out/victim")).unwrap() != "whole",
        held: BOTH,
    },
    Attack {
        name: "remove a file outside",
        script: "rm -f $OUT/victim",
        escaped: |world, _| !has(world, "out/victim"),
        held: BOTH,
    },
    Attack {
        name: "write through /proc/self/root",
        script: "echo x > /proc/self/root$OUT/rooted",
        escaped: |world, _| has(world, "out/rooted"),
        held: BOTH,
    },
    Attack {
        name: "write through /proc/1/root",
        script: "echo x > /proc/1/root$OUT/by-init",
        escaped: |world, _| has(world, "out/by-init"),
        held: BOTH,
    },
    Attack {
        name: "change the mode of a file outside",
        script: "chmod 0 $OUT/victim",
        escaped: |world, _| {
            use std::os::unix::fs::PermissionsExt;
            fs::metadata(world.scene.path("out/victim")).unwrap().permissions().mode() & 0o777 == 0
        },
        held: FULL,
    },
    Attack {
        name: "write to the user's checkout by its absolute path",
        script: "echo x > $TOP/by-path",
        escaped: |world, _| has(world, "user/by-path"),
        held: BOTH,
    },
    Attack {
        name: "plant a hook in the user's repository",
        script: "printf 'touch x' > $TOP/.git/hooks/post-checkout; cp /bin/true $COMMON/hooks/post-merge",
        escaped: |world, _| has(world, "user/.git/hooks/post-checkout") || has(world, "user/.git/hooks/post-merge"),
        held: BOTH,
    },
    Attack {
        name: "change the configuration of the user's repository",
        script: "echo '[core] fsmonitor = evil' >> $TOP/.git/config; echo '[a] b = c' >> $COMMON/config",
        escaped: |world, _| {
            let config = fs::read_to_string(world.scene.top.join(".git/config")).unwrap();
            config.contains("evil") || config.contains("[a]")
        },
        held: BOTH,
    },
    Attack {
        name: "delete a branch of the user",
        script: "rm -f $TOP/.git/refs/heads/precious $COMMON/refs/heads/precious",
        escaped: |world, _| !has(world, "user/.git/refs/heads/precious"),
        held: BOTH,
    },
    Attack {
        name: "replace .git of the worktree",
        script: "rm -f .git && mkdir .git && touch .git/evil && test -e .git/evil && echo REPLACED",
        escaped: |_, said| said.contains("REPLACED"),
        held: FULL,
    },
    Attack {
        name: "read a secret at home",
        script: "cat $HOME/.ssh/id",
        escaped: |_, said| said.contains("SECRET"),
        held: FULL,
    },
    Attack {
        name: "read the record of what the task is, of another task",
        script: "ls -d $STATE/*/environments/* && echo SEEN",
        escaped: |_, said| said.contains("SEEN"),
        held: FULL,
    },
    Attack {
        name: "end a process outside",
        script: "kill -9 $VICTIM",
        escaped: |world, _| world.victim.try_wait().unwrap().is_some(),
        held: BOTH,
    },
    Attack {
        name: "read the environment of a process outside",
        script: "tr '\\0' '\\n' < /proc/$VICTIM/environ",
        escaped: |_, said| said.contains("OF_THE_VICTIM"),
        held: BOTH,
    },
    Attack {
        name: "look into the files that a process outside has open",
        script: "cat /proc/$VICTIM/cwd/.ssh/id",
        escaped: |_, said| said.contains("SECRET"),
        held: BOTH,
    },
    Attack {
        name: "trace a process outside",
        script: "perl -e 'print \"TRACED\\n\" if syscall(101, 16, $ARGV[0], 0, 0) == 0' $VICTIM",
        escaped: |_, said| said.contains("TRACED"),
        held: BOTH,
    },
    Attack {
        name: "speak to a socket outside",
        script: "perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new(Peer => $ARGV[0]) and print $s \"hi\"' $OUT/socket",
        escaped: |world, _| world.socket.accept().is_ok(),
        held: FULL,
    },
    Attack {
        name: "speak to an abstract socket",
        script: "perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0); connect(S, pack(\"S\", AF_UNIX) . \"\\0\" . $ARGV[0]) and syswrite(S, \"hi\")' $GATE",
        escaped: |world, _| world.gate.accept().is_ok(),
        held: BOTH,
    },
    Attack {
        name: "undo it in namespaces of its own",
        script: "unshare -Urm sh -c \"mount -o remount,bind,rw / ; umount -l $OUT; echo x > $OUT/unshared\"",
        escaped: |world, _| has(world, "out/unshared"),
        held: BOTH,
    },
    Attack {
        name: "have git run something when the files are saved",
        script: "git config filter.evil.clean \"sh -c 'echo x > $OUT/filtered; cat'\" && echo '* filter=evil' > .gitattributes && echo dirty > dirty",
        escaped: |world, _| has(world, "out/filtered"),
        held: BOTH,
    },
    Attack {
        name: "make a ring of system calls",
        script: "perl -e '$b = \"\\0\" x 256; print \"RING\\n\" if syscall(425, 4, $b) >= 0'",
        escaped: |_, said| said.contains("RING"),
        held: BOTH,
    },
];

impl World {
    fn new(tier: &str, allow: &str) -> Self {
        let mut scene = scene(tier);
        if !allow.is_empty() {
            let config = scene.path("home/config/pleach");
            fs::create_dir_all(&config).unwrap();
            fs::write(config.join("config.toml"), format!("[sandbox]\nnetwork = \"{allow}\"\n")).unwrap();
        }
        let out = scene.path("out");
        fs::create_dir_all(&out).unwrap();
        // It is seen by tasks, although it is among the temporary files: what is not there at all cannot be attacked.
        scene.variables.insert("XDG_DATA_HOME".to_owned(), out.display().to_string());
        fs::write(out.join("victim"), "whole").unwrap();
        fs::write(out.join("seen"), "yes").unwrap();
        scene.git(&["branch", "precious"]);
        let mut victim = Command::new("sleep");
        victim.arg("1000").env("OF_THE_VICTIM", "1").current_dir(scene.path("home")).stdin(Stdio::null());
        let victim = victim.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let socket = UnixListener::bind(out.join("socket")).unwrap();
        socket.set_nonblocking(true).unwrap();
        let gate = {
            use std::os::linux::net::SocketAddrExt;
            let name = std::os::unix::net::SocketAddr::from_abstract_name(format!("pleach-{}", victim.id())).unwrap();
            UnixListener::bind_addr(&name).unwrap()
        };
        gate.set_nonblocking(true).unwrap();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        server.set_nonblocking(true).unwrap();
        Self { scene, victim, socket, gate, server }
    }

    /// The script, after something that must work: what is attacked from a place where nothing works proves nothing.
    fn script(&self, script: &str) -> String {
        let port = self.server.local_addr().unwrap().port();
        format!(
            "set -u; OUT={}; TOP={}; COMMON=\"$(dirname \"$(git rev-parse --absolute-git-dir)\")/common\"; STATE={}; \
             VICTIM={}; GATE=pleach-{}; PORT={port}\n\
             echo fine > fine && git add fine && git commit -qm fine && git stash list && echo y > $TMPDIR/y && cat fine\n\
             test \"$(cat \"$OUT/seen\")\" = yes || exit 1\n\
             ({script}) 2>&1\nexit 0",
            word(self.scene.path("out")),
            word(self.scene.top.clone()),
            word(self.scene.path("state")),
            self.victim.id(),
            self.victim.id(),
        )
    }

    /// Run it as a task, to its end. What it said.
    fn run(&self, script: &str) -> String {
        let task = self.scene.add(&[], &self.script(script));
        self.scene.pleach(&["wait", &task.to_string()]);
        let log = self.scene.log(task);
        assert_eq!(self.scene.outcome(task), "exited 0", "{script}: {log}\n{}", self.scene.story());
        assert!(log.contains("fine\n"), "what must work did not: {log}");
        log
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.victim.kill();
        let _ = self.victim.wait();
    }
}

/// Every attack in one tier; those that got somewhere.
fn escapes(tier: &str) -> Vec<&'static str> {
    let mut escaped = Vec::new();
    for attack in ATTACKS {
        let mut world = World::new(tier, "");
        let said = world.run(attack.script);
        if (attack.escaped)(&mut world, &said) {
            escaped.push(attack.name);
        }
    }
    escaped
}

fn not_held(tier: &str) -> Vec<&'static str> {
    let open = ATTACKS.iter().filter(|attack| !attack.held.contains(&tier));
    open.map(|attack| attack.name).collect()
}

#[test]
fn without_a_sandbox_each_attack_succeeds() {
    let all: Vec<&str> = ATTACKS.iter().map(|attack| attack.name).collect();
    // These need what this machine may keep from everybody.
    let depends = [
        "make a ring of system calls",
        "trace a process outside",
        "undo it in namespaces of its own",
        "write through /proc/1/root",
    ];
    let sure = |list: Vec<&'static str>| list.into_iter().filter(|name| !depends.contains(name)).collect::<Vec<_>>();
    assert_eq!(sure(escapes("none")), sure(all));
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
        assert_eq!(escapes("reduced"), not_held("reduced"));
    }
}

#[test]
fn the_page_has_each_attack() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sandbox.md")).unwrap();
    for attack in ATTACKS {
        let word = |tier| if attack.held.contains(&tier) { "held" } else { "open" };
        let row = format!("| {} | {} | {} |", attack.name, word("reduced"), word("full"));
        assert!(page.contains(&row), "docs/sandbox.md: {row}");
    }
}

#[test]
fn nobody_is_reached_without_a_network() {
    let call = "perl -MIO::Socket::INET -e 'print \"REACHED\\n\" if IO::Socket::INET->new(PeerAddr => \"127.0.0.1\", PeerPort => $ARGV[0])' $PORT";
    for (tier, network, reached) in [
        ("none", "none", true),
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
