//! What is around a task that is attacked: a user with a repository and a home, another task, and other programs.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::super::support::cli::{state_of, worktree_of};
use super::super::support::scene::Scene;
use super::{scene, word};

pub(super) struct World {
    pub(super) scene: Scene,
    /// A program of the user that has nothing to do with tasks.
    pub(super) victim: Child,
    pub(super) socket: UnixListener,
    pub(super) gate: UnixListener,
    /// A pipe with a name, of a program of the user that reads it.
    pub(super) pipe: fs::File,
    pub(super) server: TcpListener,
    pub(super) datagrams: UdpSocket,
    /// A program of the user that sits at a terminal; what appears there is in `out/screen`.
    terminal: Child,
    /// An object of the user that nothing leads to.
    pub(super) dangling: String,
    state: PathBuf,
}

impl World {
    /// With this network; empty for what is the default.
    pub(super) fn new(tier: &str, network: &str) -> Self {
        let config = if network.is_empty() { String::new() } else { format!("network = \"{network}\"") };
        Self::with(tier, &config)
    }

    /// With this in `[sandbox]`.
    pub(super) fn with(tier: &str, config: &str) -> Self {
        let mut scene = scene(tier);
        let out = scene.path("out");
        fs::create_dir_all(&out).unwrap();
        // It is seen by tasks, although it is among the temporary files: what is not there at all cannot be attacked.
        scene.variables.insert("XDG_DATA_HOME".to_owned(), out.display().to_string());
        scene.variables.insert("OF_THE_CALLER".to_owned(), "1".to_owned());
        fs::write(out.join("seen"), "yes").unwrap();
        scene.git(&["tag", "packed"]);
        scene.git(&["pack-refs"]);
        scene.git(&["branch", "precious"]);
        fs::write(scene.path("loose"), "precious").unwrap();
        let dangling = scene.git(&["hash-object", "-w", scene.path("loose").to_str().unwrap()]);
        let quiet = |command: &mut Command| {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        };
        let mut victim = Command::new("sleep");
        victim.arg("1000").env("OF_THE_VICTIM", "1").current_dir(scene.path("home"));
        let victim = quiet(&mut victim);
        // Its end is told by SIGHUP, which below `nohup` nobody would hear.
        let mut terminal = Command::new("env");
        terminal
            .args([
                "--default-signal=HUP",
                "script",
                "-qfec",
                "tty > tty.new; mv tty.new tty; exec sleep 1000",
                "screen",
            ])
            .current_dir(&out);
        let terminal = quiet(&mut terminal);
        let socket = UnixListener::bind(out.join("socket")).unwrap();
        socket.set_nonblocking(true).unwrap();
        let gate = {
            use std::os::linux::net::SocketAddrExt;
            let name = std::os::unix::net::SocketAddr::from_abstract_name(format!("pleach-{}", victim.id())).unwrap();
            UnixListener::bind_addr(&name).unwrap()
        };
        gate.set_nonblocking(true).unwrap();
        let pipe = {
            use std::os::unix::fs::OpenOptionsExt;
            assert!(Command::new("mkfifo").arg(out.join("pipe")).status().unwrap().success());
            // As long as somebody may write, nobody waits to open it.
            let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
            fs::File::options().read(true).write(true).custom_flags(flags).open(out.join("pipe")).unwrap()
        };
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        server.set_nonblocking(true).unwrap();
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        datagrams.set_nonblocking(true).unwrap();
        scene.until_there(&out.join("tty"));
        let state = PathBuf::new();
        // A key of theirs on the ring of their user, where the machine lets anybody have one.
        let key = format!(
            "$k = \"user\"; $n = \"theirs-{}\"; $v = \"OF_THE_RING\"; syscall(248, $k, $n, $v, 11, -4)",
            victim.id()
        );
        let _ = Command::new("perl").args(["-e", &key]).status();
        let mut world = Self { scene, victim, socket, gate, pipe, server, datagrams, terminal, dangling, state };
        world.start_sibling();
        if !config.is_empty() {
            world.scene.configure(&format!("[sandbox]\n{config}\n"));
        }
        world
    }

    /// Task 1 runs until the end of this world.
    fn start_sibling(&mut self) {
        self.scene.add(&[], "echo OF_THE_SIBLING > own; exec sleep 1000");
        self.state = state_of(&self.scene);
        // Where its files are is known only once it has a place.
        self.scene.until("the other task has begun", || self.path_of_sibling("own").exists());
    }

    pub(super) fn path_of_sibling(&self, name: &str) -> PathBuf {
        worktree_of(&self.state, "1.1").join(name)
    }

    /// What an attack on files may have left of them.
    pub(super) fn reset(&self) {
        for (path, content) in [("out/victim", "whole"), ("home/.profile", "mine\n")] {
            let path = self.scene.path(path);
            let _ = fs::remove_file(&path);
            fs::write(path, content).unwrap();
        }
    }

    /// The script, after something that must work: what is attacked from a place where nothing works proves nothing.
    pub(super) fn script(&self, script: &str) -> String {
        let port = self.server.local_addr().unwrap().port();
        let datagrams = self.datagrams.local_addr().unwrap().port();
        format!(
            "set -u; OUT={}; TOP={}; OWN=\"$(dirname \"$(git rev-parse --absolute-git-dir)\")\"; COMMON=\"$OWN/common\"; \
             TREES={}; STATE={}; VICTIM={victim}; GATE=pleach-{victim}; PORT={port}; DATAGRAMS={datagrams}; TTY={}\n\
             echo $$ > fine && git add fine && git commit -qm fine && git stash list && echo y > $TMPDIR/y && echo fine\n\
             test \"$(cat \"$OUT/seen\")\" = yes || exit 1\n\
             ({script}) 2>&1\nexit 0",
            word(self.scene.path("out")),
            word(self.scene.top.clone()),
            word(self.state.join("slots")),
            word(self.scene.path("state")),
            fs::read_to_string(self.scene.path("out/tty")).unwrap().trim(),
            victim = self.victim.id(),
        )
    }

    /// Run it as a task, to its end. What it said.
    pub(super) fn run(&self, script: &str) -> String {
        let task = self.scene.add(&[], &self.script(script));
        self.scene.pleach(&["wait", &task.to_string()]);
        let log = self.scene.log(task);
        assert_eq!(self.scene.outcome(task), "exited 0", "{script}: {log}\n{}", self.scene.story());
        assert!(log.contains("fine\n"), "what must work did not: {log}");
        // Whoever looks at a task must not run what it left.
        let task = task.to_string();
        for look in [&["ls"][..], &["status", &task], &["diff", &task], &["merge", "--dry-run", &task]] {
            self.scene.pleach(look);
        }
        log
    }

    /// The same, where it may be ended for what it does, or not start at all.
    pub(super) fn run_to_any_end(&self, script: &str) -> String {
        let task = self.scene.add(&[], &self.script(script));
        self.scene.pleach(&["wait", &task.to_string()]);
        let log = self.scene.log(task);
        let could_not_start = self.scene.outcome(task) == "could_not_start";
        assert!(could_not_start || log.contains("fine\n"), "what must work did not: {log}");
        log
    }

    /// The same, with somebody who runs git in its worktree after the script, and before its end.
    pub(super) fn run_meanwhile(&self, script: &str) -> String {
        let script = format!("{script}; echo SET; until test -e go; do sleep 0.05; done; rm -f go");
        let task = self.scene.add(&[], &self.script(&script));
        self.scene.until("it is set", || self.scene.log(task).contains("SET"));
        let worktree = worktree_of(&self.state, &format!("{task}.1"));
        let _ = Command::new("git").arg("-C").arg(&worktree).args(["status", "--short"]).output();
        self.scene.pleach(&["diff", &task.to_string()]);
        fs::write(worktree.join("go"), "").unwrap();
        self.scene.pleach(&["wait", &task.to_string()]);
        let log = self.scene.log(task);
        assert!(log.contains("fine\n"), "what must work did not: {log}");
        log
    }

    /// The same, where it is a filter of the task that runs it, when its files are saved. What it wrote into `tmp/said`.
    pub(super) fn run_while_saving(&self, script: &str) -> String {
        let filter = format!(
            "test -e \"$OWN/tmp/up\" || {{ ({script}) > /dev/null 2>&1; echo up > \"$OWN/tmp/up\"; \
             until test -e \"$OWN/tmp/go\"; do sleep 0.05; done; }}; cat"
        );
        let script = format!(
            "printf \"OUT='%s'; OWN='%s'\\n\" \"$OUT\" \"$OWN\" > $OWN/tmp/filter; cat >> $OWN/tmp/filter <<'END'\n{filter}\nEND\n\
             git config filter.evil.clean \"sh $OWN/tmp/filter\"; echo 'dirty filter=evil' > .gitattributes; echo dirty > dirty"
        );
        let task = self.scene.add(&[], &self.script(&script));
        let own = self.state.join(format!("attempts/{task}.1/tmp"));
        self.scene.until_there(&own.join("up"));
        let worktree = worktree_of(&self.state, &format!("{task}.1"));
        let _ = Command::new("git").arg("-C").arg(&worktree).args(["status", "--short"]).output();
        let said = fs::read_to_string(own.join("said")).unwrap_or_default();
        fs::write(own.join("go"), "").unwrap();
        self.scene.pleach(&["wait", &task.to_string()]);
        assert_eq!(self.scene.git(&["show", &format!("pleach/{task}:dirty")]), "dirty");
        said
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.scene.pleach(&["cancel", "1"]);
        self.scene.pleach(&["wait", "1"]);
        for child in [&mut self.victim, &mut self.terminal] {
            let _ = child.kill();
            let _ = child.wait();
        }
        // What a task left in places that are everybody's.
        for dir in ["/tmp", "/dev/shm"] {
            let _ = fs::remove_file(format!("{dir}/pleach-{}", self.victim.id()));
        }
    }
}
