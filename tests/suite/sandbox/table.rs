//! The attacks, as a table: what a task tries, and how it is seen from outside whether it got anywhere.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::world::World;

/// One attack: what the task runs (a script for `sh`, with the words of [`World::script`]), and whether it got anywhere.
pub(super) struct Attack {
    pub(super) name: &'static str,
    pub(super) script: &'static str,
    pub(super) escaped: fn(&mut World, &str) -> bool,
    /// Held in these tiers.
    pub(super) held: &'static [&'static str],
}

const BOTH: &[&str] = &["reduced", "full"];
const FULL: &[&str] = &["full"];
const REDUCED: &[&str] = &["reduced"];
const ALL: &[&str] = &["none", "reduced", "full"];

fn has(world: &World, path: &str) -> bool {
    world.scene.path(path).exists()
}

fn reads(world: &World, path: &str) -> String {
    fs::read_to_string(world.scene.path(path)).unwrap_or_default()
}

fn mode(world: &World, path: &str) -> u32 {
    fs::metadata(world.scene.path(path)).unwrap().permissions().mode() & 0o777
}

/// What is everybody's, with a name of its own.
fn has_shared(world: &World, dir: &str) -> bool {
    fs::exists(format!("{dir}/pleach-{}", world.victim.id())).unwrap()
}

/// Files and their names, modes and times; what is shared with other programs.
#[rustfmt::skip]
pub(super) const FILES: &[Attack] = &[
    Attack { name: "write a file beside the repository", held: BOTH,
        script: "echo x > $OUT/planted",
        escaped: |world, _| has(world, "out/planted") },
    Attack { name: "append to a file at home", held: BOTH,
        script: "echo evil >> $HOME/.profile",
        escaped: |world, _| reads(world, "home/.profile") != "mine\n" },
    Attack { name: "write through a link in the worktree", held: BOTH,
        script: "ln -s $OUT/linked link; echo x > link; rm -f link",
        escaped: |world, _| has(world, "out/linked") },
    Attack { name: "write through a link that is committed", held: BOTH,
        script: "ln -s $OUT/by-commit l && git add l && git commit -qm l && rm l && git checkout -q -- l && echo x > l; rm -f l",
        escaped: |world, _| has(world, "out/by-commit") },
    Attack { name: "write through ..", held: BOTH,
        script: "echo x > ../../../../../../../../../../../../../..$OUT/dotted",
        escaped: |world, _| has(world, "out/dotted") },
    Attack { name: "write a file outside by another name of it", held: BOTH,
        script: "ln $OUT/victim hard && echo x > hard; rm -f hard",
        escaped: |world, _| reads(world, "out/victim") != "whole" },
    Attack { name: "move a file outside into the worktree", held: BOTH,
        script: "mv -f $OUT/victim taken; rm -f taken",
        escaped: |world, _| !has(world, "out/victim") },
    Attack { name: "rename a file of the worktree over one outside", held: BOTH,
        script: "echo x > moved; mv -f moved $OUT/victim; rm -f moved",
        escaped: |world, _| reads(world, "out/victim") != "whole" },
    Attack { name: "exchange a file of the worktree for one outside", held: BOTH,
        script: "echo x > other; perl -e 'syscall(316, -100, $ARGV[0], -100, $ARGV[1], 2)' $PWD/other $OUT/victim; rm -f other",
        escaped: |world, _| reads(world, "out/victim") != "whole" },
    Attack { name: "cut a file outside to nothing", held: BOTH,
        script: "perl -e 'truncate($ARGV[0], 0)' $OUT/victim",
        escaped: |world, _| reads(world, "out/victim").is_empty() },
    Attack { name: "remove a file outside", held: BOTH,
        script: "rm -f $OUT/victim",
        escaped: |world, _| !has(world, "out/victim") },
    Attack { name: "make a directory outside", held: BOTH,
        script: "mkdir $OUT/made",
        escaped: |world, _| has(world, "out/made") },
    Attack { name: "write through /proc/self/root", held: BOTH,
        script: "echo x > /proc/self/root$OUT/rooted",
        escaped: |world, _| has(world, "out/rooted") },
    Attack { name: "write through /proc/self/cwd", held: BOTH,
        script: "echo x > /proc/self/cwd/../../../../../../../../../../../../../..$OUT/by-cwd",
        escaped: |world, _| has(world, "out/by-cwd") },
    Attack { name: "write through /proc/1/root", held: BOTH,
        script: "echo x > /proc/1/root$OUT/by-init",
        escaped: |world, _| has(world, "out/by-init") },
    Attack { name: "change the mode of a file outside", held: FULL,
        script: "chmod 0 $OUT/victim",
        escaped: |world, _| mode(world, "out/victim") == 0 },
    Attack { name: "change the times of a file outside", held: FULL,
        script: "touch -d '2001-01-01 UTC' $OUT/victim",
        escaped: |world, _| {
            let age = fs::metadata(world.scene.path("out/victim")).unwrap().modified().unwrap().elapsed().unwrap();
            age.as_secs() > 86_400
        } },
    Attack { name: "give a file outside an attribute", held: FULL,
        script: "perl -e '$n = \"user.evil\"; $v = \"1\"; syscall(188, $ARGV[0], $n, $v, 1, 0)' $OUT/victim",
        escaped: |world, _| rustix::fs::getxattr(world.scene.path("out/victim"), "user.evil", &mut [0_u8; 8][..]).is_ok() },
    Attack { name: "leave a file in /tmp", held: BOTH,
        script: "echo x > /tmp/pleach-$VICTIM",
        escaped: |world, _| has_shared(world, "/tmp") },
    Attack { name: "leave a file in /dev/shm", held: FULL,
        script: "echo x > /dev/shm/pleach-$VICTIM",
        escaped: |world, _| has_shared(world, "/dev/shm") },
    Attack { name: "leave memory that others can attach to", held: FULL,
        script: "perl -e 'shmget($ARGV[0], 100, 01600)' $VICTIM",
        escaped: |world, _| {
            let key = world.victim.id().to_string();
            let all = fs::read_to_string("/proc/sysvipc/shm").unwrap();
            let is_there = all.lines().any(|line| line.split_whitespace().next() == Some(&key));
            let _ = Command::new("ipcrm").args(["-M", &key]).status();
            is_there
        } },
    Attack { name: "make a device", held: BOTH,
        script: "mknod device c 1 3 && echo MADE; rm -f device",
        escaped: |_, said| said.contains("MADE") },
    Attack { name: "read a secret at home", held: FULL,
        script: "cat $HOME/.ssh/id",
        escaped: |_, said| said.contains("SECRET") },
];

/// The user's repository, and other tasks.
#[rustfmt::skip]
pub(super) const REPOSITORY: &[Attack] = &[
    Attack { name: "write to the user's checkout by its absolute path", held: BOTH,
        script: "echo x > $TOP/by-path",
        escaped: |world, _| has(world, "user/by-path") },
    Attack { name: "plant a hook in the user's repository", held: BOTH,
        script: "printf 'touch x' > $TOP/.git/hooks/post-checkout; cp /bin/true $COMMON/hooks/post-merge",
        escaped: |world, _| has(world, "user/.git/hooks/post-checkout") || has(world, "user/.git/hooks/post-merge") },
    Attack { name: "change the configuration of the user's repository", held: BOTH,
        script: "echo '[core] fsmonitor = evil' >> $TOP/.git/config; echo '[a] b = c' >> $COMMON/config",
        escaped: |world, _| reads(world, "user/.git/config").contains("evil") || reads(world, "user/.git/config").contains("[a]") },
    Attack { name: "change the configuration of the user's repository with git", held: BOTH,
        script: "git --git-dir=$COMMON config core.fsmonitor evil; git -C $TOP config core.hooksPath evil",
        escaped: |world, _| reads(world, "user/.git/config").contains("evil") },
    Attack { name: "change the mode of the user's configuration", held: FULL,
        script: "chmod 666 $COMMON/config",
        escaped: |world, _| mode(world, "user/.git/config") == 0o666 },
    Attack { name: "delete a branch of the user", held: BOTH,
        script: "rm -f $TOP/.git/refs/heads/precious $COMMON/refs/heads/precious",
        escaped: |world, _| !has(world, "user/.git/refs/heads/precious") },
    Attack { name: "delete a branch of the user with git", held: BOTH,
        script: "git -C $TOP branch -qD precious; git --git-dir=$COMMON branch -qD precious",
        escaped: |world, _| !has(world, "user/.git/refs/heads/precious") },
    Attack { name: "move a branch of the user", held: BOTH,
        script: "git rev-parse HEAD > $COMMON/refs/heads/precious",
        escaped: |world, _| reads(world, "user/.git/refs/heads/precious").trim() != world.scene.git(&["rev-parse", "main"]) },
    Attack { name: "remove the packed refs of the user", held: BOTH,
        script: "rm -f $COMMON/packed-refs",
        escaped: |world, _| !has(world, "user/.git/packed-refs") },
    Attack { name: "push into the user's repository", held: BOTH,
        script: "git push -q $COMMON HEAD:refs/heads/pushed; git push -q $TOP HEAD:refs/heads/pushed",
        escaped: |world, _| !world.scene.git(&["for-each-ref", "refs/heads/pushed"]).is_empty() },
    Attack { name: "collect the user's loose objects", held: BOTH,
        script: "git --git-dir=$COMMON gc -q --prune=now",
        escaped: |world, _| {
            let dangling = world.dangling.clone();
            !has(world, &format!("user/.git/objects/{}/{}", &dangling[..2], &dangling[2..]))
        } },
    Attack { name: "expire the user's reflogs", held: BOTH,
        script: "git --git-dir=$COMMON reflog expire --expire=now --all",
        escaped: |world, _| reads(world, "user/.git/logs/refs/heads/main").is_empty() },
    Attack { name: "leave a lock in the user's repository", held: BOTH,
        script: "touch $COMMON/index.lock $COMMON/gc.pid",
        escaped: |world, _| has(world, "user/.git/index.lock") || has(world, "user/.git/gc.pid") },
    Attack { name: "remove the worktree of another task", held: BOTH,
        script: "git --git-dir=$COMMON worktree remove -f -f $TREES/1/pleach-slot-1; rm -rf $TREES/1/pleach-slot-1",
        escaped: |world, _| !world.path_of_sibling("own").exists() },
    Attack { name: "write into the worktree of another task", held: BOTH,
        script: "echo x > $TREES/1/pleach-slot-1/planted",
        escaped: |world, _| world.path_of_sibling("planted").exists() },
    Attack { name: "read the worktree of another task", held: FULL,
        script: "cat $TREES/1/pleach-slot-1/own",
        escaped: |_, said| said.contains("OF_THE_SIBLING") },
    Attack { name: "read the record of what the task is, of another task", held: FULL,
        script: "ls -d $STATE/*/environments/* && echo SEEN",
        escaped: |_, said| said.contains("SEEN") },
    Attack { name: "say itself how far it is kept", held: BOTH,
        script: "echo '{\"tier\":\"full\"}' > $OWN/sandbox.json && echo CLAIMED",
        escaped: |_, said| said.contains("CLAIMED") },
    Attack { name: "write into its own log", held: BOTH,
        script: "echo x > $OWN/log/forged && echo FORGED",
        escaped: |_, said| said.contains("FORGED") },
    Attack { name: "replace .git of the worktree", held: FULL,
        script: "rm -f .git && mkdir .git && touch .git/evil && test -e .git/evil && echo REPLACED",
        escaped: |_, said| said.contains("REPLACED") },
    Attack { name: "leave hooks that run when the files are saved", held: BOTH,
        script: "d=\"$(git rev-parse --absolute-git-dir)/hooks\"; mkdir -p \"$d\"; for h in pre-commit post-commit reference-transaction post-index-change; do printf \"#!/bin/sh\\necho x > $OUT/hooked\\n\" > \"$d/$h\"; chmod +x \"$d/$h\"; done; git config core.hooksPath \"$d\"; echo a > a; git add a; git commit -qm a; echo dirty > dirty",
        escaped: |world, _| has(world, "out/hooked") },
    Attack { name: "have git run something when the files are saved", held: BOTH,
        script: "git config filter.evil.clean \"sh -c 'echo x > $OUT/filtered; cat'\" && echo '* filter=evil' > .gitattributes && echo dirty > dirty",
        escaped: |world, _| has(world, "out/filtered") },
];

/// What waits for whoever looks into the worktree while its task runs, with git of their own.
#[rustfmt::skip]
pub(super) const TRAPS: &[Attack] = &[
    Attack { name: "have git run something for whoever runs it in the worktree meanwhile", held: FULL,
        script: "git config core.fsmonitor \"sh -c 'echo x >> $OUT/by-setting'\"",
        escaped: |world, _| has(world, "out/by-setting") },
    Attack { name: "put a repository of its own there for them", held: FULL,
        script: "git config core.fsmonitor \"sh -c 'echo x >> $OUT/by-replacing'\"; d=\"$(git rev-parse --absolute-git-dir)\"; mv .git moved; umount .git; rm -f .git; cp -r \"$d\" .git",
        escaped: |world, _| has(world, "out/by-replacing") },
];

/// The same of what runs when the files are saved, with all that is written then.
#[rustfmt::skip]
pub(super) const SAVED: &[Attack] = &[
    Attack { name: "the same, while its files are saved", held: FULL,
        script: "git config core.fsmonitor \"sh -c 'echo x >> $OUT/by-saving'\"; rm -f .git; cp -r $OWN/git .git",
        escaped: |world, _| has(world, "out/by-saving") },
    Attack { name: "write into its own log, while its files are saved", held: FULL,
        script: "echo x > $OWN/log/forged && echo x > $OUT/forged || cp -r $OWN/log $OWN/tmp/l && rm -rf $OWN/log && mv $OWN/tmp/l $OWN/log && echo FORGED > $OWN/tmp/said",
        escaped: |world, said| has(world, "out/forged") || said.contains("FORGED") },
];

/// What a task does beyond a limit that it has: but for the tier `none`, to which none is said here.
#[rustfmt::skip]
pub(super) const LIMITED: &[Attack] = &[
    Attack { name: "make more processes than it may", held: BOTH,
        script: "perl -e 'for (1 .. 600) { $p = fork; last if !defined $p; if (!$p) { sleep 60; exit } $n++ } sleep 10; print \"BOMBED\\n\" if $n > 550; kill 9, -getpgrp if 0'",
        escaped: |_, said| said.contains("BOMBED") },
];

/// What a task does that may reach nobody but a host that it does not ask for: but for the tier `none`, which has no such list.
#[rustfmt::skip]
pub(super) const LISTED: &[Attack] = &[
    Attack { name: "call an address past the list of hosts", held: BOTH,
        script: "perl -MIO::Socket::INET -e 'print \"REACHED\\n\" if IO::Socket::INET->new(PeerAddr => \"127.0.0.1\", PeerPort => $ARGV[0])' $PORT",
        escaped: |_, said| said.contains("REACHED") },
    Attack { name: "send a datagram past the list of hosts", held: BOTH,
        script: "perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(Proto => \"udp\", PeerAddr => \"127.0.0.1\", PeerPort => $ARGV[0]) and $s->send(\"hi\")' $DATAGRAMS",
        escaped: |world, _| world.datagrams.recv(&mut [0; 8]).is_ok() },
];

/// Processes, sockets, terminals, the kernel.
#[rustfmt::skip]
pub(super) const PROGRAMS: &[Attack] = &[
    Attack { name: "see the processes outside", held: FULL,
        script: "ls -d /proc/$VICTIM && echo LISTED",
        escaped: |_, said| said.contains("LISTED") },
    Attack { name: "read the environment of a process outside", held: BOTH,
        script: "tr '\\0' '\\n' < /proc/$VICTIM/environ",
        escaped: |_, said| said.contains("OF_THE_VICTIM") },
    Attack { name: "read the environment of whoever started it", held: BOTH,
        script: "cat /proc/[0-9]*/environ | tr '\\0' '\\n' | grep ^OF_THE_C",
        escaped: |_, said| said.contains("OF_THE_CALLER") },
    // The control: what was passed on is there.
    Attack { name: "be given a variable that was not passed on", held: ALL,
        script: "test -n \"$XDG_DATA_HOME\" || echo OF_THE_CALLER; env | grep ^OF_THE_C",
        escaped: |_, said| said.contains("OF_THE_CALLER") },
    Attack { name: "look into the files that a process outside has open", held: BOTH,
        script: "cat /proc/$VICTIM/cwd/.ssh/id",
        escaped: |_, said| said.contains("SECRET") },
    Attack { name: "read the memory map of a process outside", held: BOTH,
        script: "grep -c stack /proc/$VICTIM/maps && echo MAPPED",
        escaped: |_, said| said.contains("MAPPED") },
    Attack { name: "trace a process outside", held: BOTH,
        script: "perl -e 'print \"TRACED\\n\" if syscall(101, 16, $ARGV[0], 0, 0) == 0' $VICTIM",
        escaped: |_, said| said.contains("TRACED") },
    Attack { name: "enter the namespaces of a process outside", held: BOTH,
        script: "nsenter -t $VICTIM -m -p -r sh -c \"echo x > $OUT/entered\"",
        escaped: |world, _| has(world, "out/entered") },
    Attack { name: "offer a process outside to the kernel when memory is short", held: BOTH,
        script: "echo 777 > /proc/$VICTIM/oom_score_adj",
        escaped: |world, _| fs::read_to_string(format!("/proc/{}/oom_score_adj", world.victim.id())).unwrap() == "777\n" },
    Attack { name: "slow a process outside down", held: FULL,
        script: "renice -n 17 -p $VICTIM",
        escaped: |world, _| {
            let stat = fs::read_to_string(format!("/proc/{}/stat", world.victim.id())).unwrap();
            stat.rsplit(')').next().unwrap().split_whitespace().nth(16) == Some("17")
        } },
    Attack { name: "change the limits of a process outside", held: FULL,
        script: "prlimit --pid $VICTIM --nofile=77:77",
        escaped: |world, _| {
            let limits = fs::read_to_string(format!("/proc/{}/limits", world.victim.id())).unwrap();
            limits.lines().any(|line| line.starts_with("Max open files") && line.contains(" 77 "))
        } },
    Attack { name: "speak to a socket outside", held: FULL,
        script: "perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new(Peer => $ARGV[0]) and print $s \"hi\"' $OUT/socket",
        escaped: |world, _| world.socket.accept().is_ok() },
    // A pipe is written also where nothing else can be.
    Attack { name: "write into a pipe outside", held: REDUCED,
        script: "timeout 5 sh -c \"echo PIPED > $OUT/pipe\"",
        escaped: |world, _| world.pipe.read(&mut [0; 8]).is_ok_and(|length| length > 0) },
    Attack { name: "speak to an abstract socket", held: BOTH,
        script: "perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0); connect(S, pack(\"S\", AF_UNIX) . \"\\0\" . $ARGV[0]) and syswrite(S, \"hi\")' $GATE",
        escaped: |world, _| world.gate.accept().is_ok() },
    Attack { name: "write to a terminal outside", held: FULL,
        script: "echo TYPED > $TTY",
        escaped: |world, said| {
            // It is on its way for a moment.
            let is_written = !said.contains("cannot create");
            if is_written {
                world.scene.until("it appears", || reads(world, "out/screen").contains("TYPED"));
            }
            reads(world, "out/screen").contains("TYPED")
        } },
    Attack { name: "type into a terminal outside", held: BOTH,
        script: "perl -e 'open $t, \"+<\", $ARGV[0] or exit; for (split //, \"STUFFED\") { ioctl($t, 0x5412, $_) or exit } print \"TYPED_ALL\\n\"' $TTY",
        escaped: |world, said| {
            // What is typed there is shown there, in a moment.
            if said.contains("TYPED_ALL") {
                world.scene.until("it appears", || reads(world, "out/screen").contains("STUFFED"));
            }
            reads(world, "out/screen").contains("STUFFED")
        } },
    Attack { name: "read a key of the user's ring", held: BOTH,
        script: "perl -e '$k = \"user\"; $n = \"theirs-$ARGV[0]\"; $id = syscall(250, 10, -4, $k, $n, 0); $b = \"\\0\" x 64; syscall(250, 11, $id, $b, 64) > 0 and print \"KEY $b\\n\"' $VICTIM",
        escaped: |_, said| said.contains("KEY OF_THE_RING") },
    Attack { name: "put a key on the user's ring", held: BOTH,
        script: "perl -e '$k = \"user\"; $n = \"pleach-$ARGV[0]\"; $v = \"x\"; syscall(248, $k, $n, $v, 1, -4)' $VICTIM",
        escaped: |world, _| fs::read_to_string("/proc/keys").unwrap_or_default().contains(&format!("pleach-{}", world.victim.id())) },
    Attack { name: "undo it in namespaces of its own", held: BOTH,
        script: "unshare -Urm sh -c \"mount -o remount,bind,rw / ; umount -l $OUT; echo x > $OUT/unshared\"",
        escaped: |world, _| has(world, "out/unshared") },
    Attack { name: "make a ring of system calls", held: BOTH,
        script: "perl -e '$b = \"\\0\" x 256; print \"RING\\n\" if syscall(425, 4, $b) >= 0'",
        escaped: |_, said| said.contains("RING") },
    // Last: it is needed by the others.
    Attack { name: "end a process outside", held: BOTH,
        script: "kill -9 $VICTIM",
        escaped: |world, _| world.victim.try_wait().unwrap().is_some() },
];
